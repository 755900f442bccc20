/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Queries on a container and its domains. They take the bookkeeping lock only, so an online reader
 * of translations may call them at any time. Called by users and telemetry.c.
 */

#include <errno.h>
#include <stdio.h>

#include "dm_container.h"
#include "dm_util.h"

int
dmamap_domain_by_device(const struct dmamap_container *c, const char *dev)
{
	const struct dmamap_device *d;
	int id;

	if (c == NULL || dev == NULL)
		return -EINVAL;
	dm_book_lock(c);
	d = dm_device_find(c, dev);
	id = d != NULL ? (int)d->domain->dom->id : -ENODEV;
	dm_book_unlock(c);
	return id;
}

int
dmamap_domain_by_rid(const struct dmamap_container *c, uint32_t segment, uint16_t requester_id)
{
	char name[DMAMAP_NAME_MAX];

	snprintf(name, sizeof(name), "%04x:%02x:%02x.%x", segment, requester_id >> 8,
		requester_id >> 3 & 0x1f, requester_id & 7);
	return dmamap_domain_by_device(c, name);
}

int
dmamap_container_info_sized(
	const struct dmamap_container *c, struct dmamap_container_info *out, size_t size)
{
	struct dmamap_container_info info = {0};
	const struct dm_domain *d;
	size_t i;

	if (c == NULL || out == NULL)
		return -EINVAL;
	dm_book_lock(c);
	info.backend = c->backend;
	info.n_domains = c->n_domains;
	info.n_groups = c->n_groups;
	info.n_devices = c->n_devices;
	info.page_sizes = c->page_sizes;
	info.n_mappings = c->n_mappings;
	info.mapped_len = c->mapped_len;
	info.reservation_len = c->reservation_len;
	info.quarantined_len = c->quarantined_len;
	info.map_calls = __atomic_load_n(&c->map_calls, __ATOMIC_RELAXED);
	info.unmap_calls = __atomic_load_n(&c->unmap_calls, __ATOMIC_RELAXED);
	info.faults = __atomic_load_n(&c->faults, __ATOMIC_RELAXED);
	info.entries_left = UINT64_MAX;
	info.coherent = info.n_domains > 0;
	TAILQ_FOREACH(d, &c->domains, next) {
		info.entries_left = DM_MIN(info.entries_left,
			__atomic_load_n(&d->info.entries_left, __ATOMIC_RELAXED));
		info.coherent = info.coherent && d->info.coherent;
	}
	info.n_ranges = c->usable.n;
	for (i = 0; i < DM_MIN(c->usable.n, DM_DIM(info.ranges)); i++)
		info.ranges[i] = c->usable.r[i];
	dm_book_unlock(c);
	return dm_copy_out(out, size, &info, sizeof(info));
}
