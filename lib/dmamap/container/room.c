/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does a zone grow where it is? Into addresses that were reserved for it, a mapping at a time.
 */

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_common.h>

#include "dm_backend.h"
#include "dm_space.h"

/** Reserve aligned address space and move a zone's memory to where it begins. */
static int
take_vas(struct dmamap_container *c, struct dmamap_zone *z, uint64_t len, uint64_t align)
{
	void *start = dm_space_reserve_aligned(len, align);
	int rc;

	if (start == NULL)
		return DM_FAIL(ENOMEM,
			"container %s: zone %s: no address space of 0x%" PRIx64
			" bytes to grow into: see"
			" ulimit -v",
			c->name, z->name, len);
	rc = dm_pin_move(z->pin, start);
	if (rc == 0)
		return 0;
	munmap(start, len);
	return DM_FAIL(ENOTSUP,
		"container %s: zone %s: this kernel does not move its pages to where it could grow (Linux 5.16"
		" does): make it without max_len",
		c->name, z->name);
}

/** The IOVAs that go with it. Whatever the window says is checked anew by the allocator. */
static int
take_iovas(struct dmamap_container *c, struct dmamap_zone *z, uint64_t align, uint32_t flags,
	rte_iova_t *iova)
{
	uint64_t len = dm_range_len(z->room->range);
	struct dmamap_range within = {0, c->mask_last};
	int rc;

	if (flags & DMAMAP_LOW32)
		within.last = RTE_MIN(within.last, (rte_iova_t)UINT32_MAX);
	if (z->window != NULL)
		rc = dm_iova_take_fixed(c->space, *iova, len);
	else
		rc = dm_iova_take(c->space, len, align, 0, within, iova);
	if (rc < 0)
		return DM_FAIL(ENOSPC,
			"container %s: zone %s: no IOVA range of 0x%" PRIx64
			" bytes is free to grow into",
			c->name, z->name, len);
	z->room->range = dm_range(*iova, len);
	if (tsearch(z->room, &c->taken, dm_range_cmp) == NULL) {
		dm_iova_give(c->space, *iova, len);
		return -ENOMEM;
	}
	c->taken_len += len;
	return 0;
}

int
dm_room_take(struct dmamap_container *c, struct dmamap_zone *z, uint64_t align, uint32_t flags,
	rte_iova_t *iova)
{
	uint64_t len;
	int rc = 0;

	align = RTE_MAX(RTE_MAX(align, z->pin->page_size), DM_WINDOW_UNIT);
	len = RTE_ALIGN_CEIL((uint64_t)z->conf.max_len, align);
	if (dm_backend_places(c))
		return DM_FAIL(ENOTSUP,
			"container %s: zone %s: no IOMMU translates, so it cannot grow: make it without max_len",
			c->name, z->name);
	if (len < z->conf.max_len || len > UINT64_C(1) << 47)
		return DM_FAIL(EINVAL, "container %s: zone %s: it cannot grow to 0x%zx bytes",
			c->name, z->name, z->conf.max_len);
	z->room = calloc(1, sizeof(*z->room));
	if (z->room == NULL)
		return -ENOMEM;
	z->room->zone = z;
	z->room->open = true;
	if (!dm_window_enter(c, z, len, align, flags, iova))
		rc = take_vas(c, z, len, align);
	if (rc < 0)
		goto free_room;
	z->room->range = dm_range(0, len);
	rc = take_iovas(c, z, align, flags, iova);
	/* If that failed, the addresses of the process go with the zone's memory. */
	return rc;

free_room:
	free(z->room);
	z->room = NULL;
	return rc;
}

void
dm_room_close(struct dmamap_zone *z)
{
	if (z->room != NULL)
		z->room->open = false;
}

void
dm_room_give(struct dmamap_container *c, struct dmamap_zone *z)
{
	struct dmamap_range r, fenced;

	if (z->room == NULL)
		return;
	r = z->room->range;
	/* Found by its range: one that never was entered is not there, or it is another's. */
	if (dm_taken_find(c, r) == z->room) {
		tdelete(z->room, &c->taken, dm_range_cmp);
		c->taken_len -= dm_range_len(r);
		/* A range with a fenced part stays live in the allocator, so nobody gets it again.
		 */
		if (!dm_range_set_overlaps(&c->fenced, r, &fenced))
			dm_iova_give(c->space, r.start, dm_range_len(r));
	}
	free(z->room);
	z->room = NULL;
}

/** Map what a zone is to grow by, and enter it. */
static int
map_growth(struct dmamap_container *c, struct dmamap_zone *z, struct dm_growth *g)
{
	uint32_t flags = dm_zone_map_flags(z) | DMAMAP_FIXED;
	rte_iova_t iova = z->mapping->range.start + z->len;
	int rc;

	z->room->open = true;
	rc = dm_map_locked(c, g->pin->va, g->pin->len, 0, flags, &iova, &g->mapping);
	dm_room_close(z);
	if (rc < 0)
		return rc;
	g->mapping->zone = z;
	TAILQ_INSERT_TAIL(&z->growths, g, next);
	z->len += g->pin->len;
	dm_window_open(c, g->mapping);
	return 0;
}

/** Free the memory of a growth that is not mapped. Its addresses stay the zone's. */
static void
free_growth(struct dmamap_zone *z, struct dm_growth *g)
{
	void *va = g->pin->va;
	size_t len = g->pin->len;

	dm_pin_free(g->pin);
	free(g);
	if (dm_space_reserve(va, len) == NULL)
		DM_LOG(ERR, "container %s: zone %s: the kernel does not take %zu bytes back",
			z->c->name, z->name, len);
}

static int
grow(struct dmamap_zone *z, size_t len)
{
	const struct dm_pin_conf conf = {.len = len - z->len,
		.node = z->conf.node,
		.name = z->name,
		.placement = z->conf.placement,
		.threads = z->conf.threads,
		.at = RTE_PTR_ADD(z->pin->va, z->len),
		.like = z->pin};
	struct dm_growth *g;
	int rc;

	if (len > dm_zone_max_len(z))
		return DM_FAIL(ENOSPC,
			"container %s: zone %s: it can grow to %zu bytes, not to %zu: see max_len",
			z->c->name, z->name, dm_zone_max_len(z), len);
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -ENOMEM;
	rc = dm_pin_alloc(&conf, &g->pin);
	if (rc < 0) {
		free(g);
		return rc;
	}
	dm_lock(z->c);
	rc = map_growth(z->c, z, g);
	dm_unlock(z->c);
	if (rc < 0)
		free_growth(z, g);
	return rc;
}

size_t
dm_zone_max_len(const struct dmamap_zone *z)
{
	return z->room != NULL ? RTE_ALIGN_CEIL(z->conf.max_len, z->pin->page_size) : z->len;
}

/** The first growth that is to go, if a zone of that length ends with a whole one. */
static int
find_border(const struct dmamap_zone *z, size_t len, struct dm_growth **first)
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
			"container %s: zone %s: it cannot shrink to %zu bytes, below the %zu that it was made with",
			z->c->name, z->name, len, z->pin->len);
	return DM_FAIL(EINVAL,
		"container %s: zone %s: shrinking to %zu bytes would cut it: %zu or %zu will do",
		z->c->name, z->name, len, below, at);
}

static int
shrink_locked(struct dmamap_container *c, struct dmamap_zone *z, size_t len)
{
	struct dm_growth *g, *next;
	struct dmamap_range r;
	int rc;

	rc = find_border(z, len, &g);
	if (rc < 0)
		return rc;
	r = (struct dmamap_range){g->mapping->range.start, z->mapping->range.start + z->len - 1};
	rc = dm_unmap_locked(c, r, z->mapping);
	/* Where a domain kept the mapping, the kernel keeps the pages pinned: nobody else gets
	 * them. */
	if (rc < 0 && rc != -EIO)
		return rc;
	for (; g != NULL; g = next) {
		next = TAILQ_NEXT(g, next);
		TAILQ_REMOVE(&z->growths, g, next);
		free_growth(z, g);
	}
	z->len = len;
	return rc;
}

int
dmamap_zone_resize(struct dmamap_zone *z, size_t len)
{
	int rc;

	if (z == NULL || len == 0 || len > SIZE_MAX / 4)
		return DM_FAIL(EINVAL,
			"zone %s: resize to %zu bytes: no zone, or no length that it could have",
			z != NULL ? z->name : "", len);
	len = RTE_ALIGN_CEIL(len, z->pin->page_size);
	if (len == z->len)
		return 0;
	if (len > z->len)
		return grow(z, len);
	dm_lock(z->c);
	rc = shrink_locked(z->c, z, len);
	dm_unlock(z->c);
	return rc;
}
