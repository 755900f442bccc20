/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Look-ups in a container: mappings by IOVA and by memory, reservations, devices, groups.
 *
 * Look-ups change nothing, and take logarithmic time at most; dm_mapping_inflight_va() is linear in
 * the maps in progress. Callers hold a lock of the container. Called by every file of container/.
 */

#include <search.h>
#include <stdio.h>
#include <string.h>

#include "dm_container.h"

int
dm_range_cmp(const void *a, const void *b)
{
	const struct dmamap_range *x = a, *y = b;

	return x->last < y->start ? -1 : x->start > y->last;
}

struct dm_mapping *
dm_mapping_at(const struct dmamap_container *c, dmamap_iova_t iova)
{
	return dm_xlate_object(c->index, iova);
}

struct dm_mapping *
dm_mapping_find(const struct dmamap_container *c, struct dmamap_range r)
{
	uint64_t at;

	return dm_xlate_first(c->index, r.start, r.last, &at) ? dm_mapping_at(c, at) : NULL;
}

struct dm_mapping *
dm_mapping_find_va(const struct dmamap_container *c, struct dmamap_range vas)
{
	uint64_t at;

	return dm_xlate_first(c->va2iova, vas.start, vas.last, &at)
		? dm_mapping_at(c, dm_xlate_lookup(c->va2iova, at))
		: NULL;
}

struct dm_mapping *
dm_mapping_inflight_va(const struct dmamap_container *c, struct dmamap_range vas)
{
	struct dm_mapping *m;

	TAILQ_FOREACH(m, &c->inflight, inflight)
		if (!(m->flags & DMAMAP_ALIAS) && dm_range_overlap(m->vas, vas))
			return m;
	return NULL;
}

struct dm_reservation *
dm_reservation_find(const struct dmamap_container *c, struct dmamap_range r)
{
	struct dm_reservation *const *node = tfind(&r, &c->reservations, dm_range_cmp);

	return node != NULL ? *node : NULL;
}

int
dm_device_cmp(const void *a, const void *b)
{
	const struct dmamap_device *x = a, *y = b;

	return strcmp(x->name, y->name);
}

struct dmamap_device *
dm_device_find(const struct dmamap_container *c, const char *name)
{
	struct dmamap_device key, *const *node;

	if (strlen(name) >= sizeof(key.name))
		return NULL;
	strcpy(key.name, name);
	node = tfind(&key, &c->devices_by_name, dm_device_cmp);
	return node != NULL ? *node : NULL;
}

int
dm_group_cmp(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct dm_group *
dm_group_find(const struct dmamap_container *c, int id)
{
	struct dm_group *const *node = tfind(&id, &c->groups, dm_group_cmp);

	return node != NULL ? *node : NULL;
}

bool
dm_mapping_is_idle(const struct dm_mapping *m)
{
	return m->cache != NULL && m->state == DM_LIVE &&
		__atomic_load_n(&m->use, __ATOMIC_RELAXED) == 0;
}

void
dm_mapping_title(const struct dm_mapping *m, char title[DMAMAP_NAME_MAX])
{
	if (m == NULL)
		snprintf(title, DMAMAP_NAME_MAX, "reservation");
	else if (m->zone != NULL)
		snprintf(title, DMAMAP_NAME_MAX, "zone %.50s", m->zone->name);
	else
		snprintf(title, DMAMAP_NAME_MAX, m->cache != NULL ? "registration" : "mapping");
}
