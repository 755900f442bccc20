/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which zones translate by an addition? Those of whole hugepages, side by side in one window.
 */

#include "dm_backend.h"

/** The window, made when it is first wanted; NULL: none can be had. */
static struct dm_window *
window_of(struct dmamap_container *c)
{
	struct dm_window *w = c->window;

	if (w != NULL || c->no_window || dm_backend_places(c))
		return w;
	if (dm_window_create(DM_WINDOW_LEN, &w) < 0) {
		DM_LOG(INFO, "container %s: no address space for a window: zones translate by table",
			c->name);
		c->no_window = true;
		return NULL;
	}
	dm_window_place(w, c->window_iova);
	c->window = w;
	dm_window_show(&c->shown, w);
	return w;
}

bool
dm_window_enter(struct dmamap_container *c, struct dmamap_zone *z, uint64_t align, uint32_t flags,
	rte_iova_t *iova)
{
	struct dmamap_range r;
	struct dm_window *w;
	void *va;

	if (z->pin->len % DM_WINDOW_UNIT != 0 || (flags & DMAMAP_LOW32))
		return false;
	align = RTE_MAX(RTE_MAX(align, z->pin->page_size), DM_WINDOW_UNIT);
	w = window_of(c);
	if (w == NULL || dm_window_take(w, z->pin->len, align, &va) < 0)
		return false;
	r = dm_range((uintptr_t)va + w->delta, z->pin->len);
	/* The IOVAs that go with it may be out of reach, or taken by others; then the zone goes elsewhere. */
	if (r.last > c->mask_last || !dm_range_set_contains(&c->usable, r) ||
		dm_mapping_find(c, r) != NULL || dm_taken_find(c, r) != NULL ||
		dm_pin_move(z->pin, va) < 0) {
		dm_window_give(w, va, z->pin->len);
		return false;
	}
	z->window = w;
	*iova = r.start;
	return true;
}

void
dm_window_open(struct dmamap_container *c, struct dmamap_zone *z)
{
	/* A window that came with a merge is not looked at: its zones translate by table. */
	if (z->window != NULL && z->window == c->window)
		dm_window_publish(z->window, z->pin->va, z->pin->len);
}

void
dm_window_shut(struct dmamap_container *c, const struct dm_mapping *m)
{
	const struct dmamap_zone *z = m->zone;

	if (z != NULL && z->window != NULL && z->window == c->window)
		dm_window_withdraw(z->window, z->pin->va, z->pin->len);
}

void
dm_window_leave(struct dmamap_container *c, struct dmamap_zone *z)
{
	void *va = z->pin->va;
	size_t len = z->pin->len;

	dm_pin_free(z->pin);
	if (z->window != NULL && dm_window_give(z->window, va, len) < 0)
		DM_LOG(ERR, "container %s: zone %s: the kernel does not take its memory back",
			c->name, z->name);
}
