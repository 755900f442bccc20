/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which zones translate by an addition? Those of whole hugepages, side by side in one window.
 */

#include <stdlib.h>
#include <sys/mman.h>

#include <rte_common.h>

#include "dm_backend.h"

/** The window, made when it is first wanted; NULL: none can be had. */
static struct dm_window *
window_of(struct dmamap_container *c)
{
	struct dm_window *w = c->window;

	if (w != NULL || c->no_window || dm_backend_places(c))
		return w;
	if (dm_window_create(DM_WINDOW_MAX, &c->shown, &w) < 0) {
		DM_LOG(INFO,
			"container %s: no address space for a window: zones translate by table",
			c->name);
		c->no_window = true;
		return NULL;
	}
	dm_window_place(w, c->window_iova);
	c->window = w;
	return w;
}

bool
dm_window_enter(struct dmamap_container *c, struct dmamap_zone *z, uint64_t len, uint64_t align,
	uint32_t flags, rte_iova_t *iova)
{
	struct dmamap_range r;
	struct dm_window *w;
	void *va;

	if (len % DM_WINDOW_UNIT != 0 || (flags & DMAMAP_LOW32))
		return false;
	align = RTE_MAX(RTE_MAX(align, z->pin->page_size), DM_WINDOW_UNIT);
	w = window_of(c);
	if (w == NULL || dm_window_take(w, len, align, &va) < 0)
		return false;
	r = dm_range((uintptr_t)va + c->shown.delta, len);
	/* The IOVAs that go with it may be out of reach, or taken by others; then the zone goes
	 * elsewhere. */
	if (r.last > c->mask_last || !dm_range_set_contains(&c->usable, r) ||
		dm_mapping_find(c, r) != NULL || dm_taken_find(c, r) != NULL ||
		dm_pin_move(z->pin, va) < 0) {
		dm_window_give(w, va, len);
		return false;
	}
	z->window = w;
	*iova = r.start;
	return true;
}

/** The units of the window that lie in a mapping whole: only these translate, and only if it is of
 * the container's window. */
static struct dm_window *
units_of(const struct dmamap_container *c, const struct dm_mapping *m, void **va, uint64_t *len)
{
	uint64_t start = RTE_ALIGN_CEIL(m->vas.start, DM_WINDOW_UNIT), end;

	/* A window that came with a merge is not looked at: its zones translate by table. */
	if (m->zone == NULL || m->zone->window == NULL || m->zone->window != c->window)
		return NULL;
	end = RTE_ALIGN_FLOOR(m->vas.last + 1, DM_WINDOW_UNIT);
	*va = (void *)(uintptr_t)start;
	*len = end - start;
	return start < end ? m->zone->window : NULL;
}

void
dm_window_open(struct dmamap_container *c, const struct dm_mapping *m)
{
	struct dm_window *w;
	uint64_t len;
	void *va;

	w = units_of(c, m, &va, &len);
	if (w != NULL)
		dm_window_publish(w, va, len);
}

void
dm_window_shut(struct dmamap_container *c, const struct dm_mapping *m)
{
	struct dm_window *w;
	uint64_t len;
	void *va;

	w = units_of(c, m, &va, &len);
	if (w != NULL)
		dm_window_withdraw(w, va, len);
}

void
dm_window_leave(struct dmamap_container *c, struct dmamap_zone *z)
{
	size_t len = z->room != NULL ? dm_range_len(z->room->range) : z->pin->len;
	void *va = z->pin->va;
	struct dm_growth *g;
	int rc = 0;

	dm_pin_free(z->pin);
	while ((g = TAILQ_FIRST(&z->growths)) != NULL) {
		TAILQ_REMOVE(&z->growths, g, next);
		dm_pin_free(g->pin);
		free(g);
	}
	if (z->window != NULL)
		rc = dm_window_give(z->window, va, len);
	else if (z->room != NULL)
		rc = munmap(va, len);
	if (rc < 0)
		DM_LOG(ERR, "container %s: zone %s: the kernel does not take its memory back",
			c->name, z->name);
	dm_room_give(c, z);
}
