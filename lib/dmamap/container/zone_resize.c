/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Growing and shrinking of zones. Invariant: each growth is a separate mapping, adjacent to the one
 * before, in the addresses that the zone reserved when it was made. Called by the zone's owner, one
 * thread at a time.
 */

#include <errno.h>
#include <stdlib.h>

#include "dm_container.h"
#include "dm_util.h"

/** Add a mapped growth to the zone. */
static void
growth_enter(struct dmamap_zone *z, struct dm_growth *g)
{
	struct dmamap_container *c = dm_owner_lock(&z->c);

	TAILQ_INSERT_TAIL(&z->growths, g, next);
	z->len += g->pin->len;
	dm_owner_unlock(c);
}

static int
zone_grow(struct dmamap_zone *z, size_t len)
{
	const struct dm_pin_conf conf = {.len = len - z->len,
		.node = z->conf.node,
		.name = z->name,
		.placement = z->conf.placement,
		.unit = z->pin->unit,
		.like = z->pin};
	const struct dm_pin_fill fill = {.threads = z->conf.threads};
	struct dmamap_container *c = dm_owner_get(&z->c);
	struct dm_growth *g;
	int rc;

	/* Check before memory is populated where a forked child may have mapped its own. */
	rc = dm_process_check(c->process, c->name, "zone");
	dmamap_container_put(c);
	if (rc < 0)
		return rc;
	if (len > dm_zone_max_len(z))
		return DM_FAIL(ENOSPC, "zone %s: it can grow to %zu bytes, not to %zu: see max_len",
			z->name, dm_zone_max_len(z), len);
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -ENOMEM;
	rc = dm_pin_plan(&conf, &g->pin);
	if (rc < 0)
		goto free_growth;
	rc = dm_pin_populate(g->pin, DM_PTR_ADD(z->pin->va, z->len), &fill);
	if (rc == 0)
		rc = dm_zone_map(z, g->pin, z->iova + z->len, &g->mapping);
	if (rc < 0)
		goto free_pin;
	growth_enter(z, g);
	return 0;

free_pin:
	dm_pin_free(g->pin);
free_growth:
	free(g);
	return rc;
}

/** Find the first growth to remove, if a zone of that length ends with a whole growth. */
static int
zone_find_border(const struct dmamap_zone *z, size_t len, struct dm_growth **first)
{
	size_t at = z->pin->len, below = z->pin->len;
	struct dm_growth *g;

	TAILQ_FOREACH(g, &z->growths, next) {
		if (at >= len)
			break;
		below = at;
		at += g->pin->len;
	}
	*first = g;
	if (at == len)
		return 0;
	if (len < z->pin->len)
		return DM_FAIL(EINVAL,
			"zone %s: it cannot shrink to %zu bytes, below its initial %zu", z->name,
			len, z->pin->len);
	return DM_FAIL(EINVAL, "zone %s: shrinking to %zu bytes would cut it: %zu or %zu will do",
		z->name, len, below, at);
}

/** Move growths from g on to a separate list. */
static void
growths_leave(struct dmamap_zone *z, struct dm_growth *g, size_t len, struct dm_growth_list *gone)
{
	struct dmamap_container *c = dm_owner_lock(&z->c);
	struct dm_growth *next;

	for (; g != NULL; g = next) {
		next = TAILQ_NEXT(g, next);
		TAILQ_REMOVE(&z->growths, g, next);
		TAILQ_INSERT_TAIL(gone, g, next);
	}
	z->len = len;
	dm_owner_unlock(c);
}

static int
zone_shrink(struct dmamap_zone *z, size_t len)
{
	struct dm_growth_list gone = TAILQ_HEAD_INITIALIZER(gone);
	struct dm_growth *g;
	int rc;

	rc = zone_find_border(z, len, &g);
	if (rc < 0)
		return rc;
	rc = dm_zone_unmap(z, (struct dmamap_range){g->mapping->range.start, z->iova + z->len - 1});
	/* With -EIO a domain may keep the mapping. The kernel keeps its pages pinned then. */
	if (rc < 0 && rc != -EIO)
		return rc;
	growths_leave(z, g, len, &gone);
	while ((g = TAILQ_FIRST(&gone)) != NULL) {
		TAILQ_REMOVE(&gone, g, next);
		dm_pin_free(g->pin);
		free(g);
	}
	return rc;
}

int
dmamap_zone_resize(struct dmamap_zone *z, size_t len)
{
	if (z == NULL || len == 0 || len > SIZE_MAX / 4)
		return DM_FAIL(EINVAL, "zone %s: resize to %zu bytes: no zone, or invalid length",
			z != NULL ? z->name : "", len);
	len = dm_zone_round(z, len);
	if (len == z->len)
		return 0;
	return len > z->len ? zone_grow(z, len) : zone_shrink(z, len);
}
