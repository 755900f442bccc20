/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where are our own zones? A window of address space in which IOVA is VA plus a constant. See dm_window.h.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "dm_space.h"
#include "dm_window.h"

/** Say of units [first, first + n) whether they are. Readers see each before or after. */
static void
units_write(uint8_t *map, uint64_t first, uint64_t n, bool are)
{
	uint64_t i;

	for (i = first; i < first + n; i++)
		__atomic_store_n(&map[i], are, __ATOMIC_RELEASE);
}

static bool
units_all(const uint8_t *map, uint64_t first, uint64_t n, bool are)
{
	uint64_t i;

	for (i = first; i < first + n; i++)
		if (map[i] != are)
			return false;
	return true;
}

int
dm_window_create(uint64_t len, struct dm_window **out)
{
	struct dm_window *w;
	void *va;

	if (len == 0 || len % DM_WINDOW_ALIGN != 0 || len > UINT64_C(1) << 47)
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->map.published = calloc(len / DM_WINDOW_UNIT, 1);
	w->taken = calloc(len / DM_WINDOW_UNIT, 1);
	va = w->map.published != NULL && w->taken != NULL ? dm_space_reserve_aligned(len, DM_WINDOW_ALIGN) : NULL;
	if (va == NULL) {
		free(w->map.published);
		free(w->taken);
		free(w);
		return -ENOMEM;
	}
	w->map.start = (uintptr_t)va;
	w->map.len = len;
	*out = w;
	return 0;
}

void
dm_window_destroy(struct dm_window *w)
{
	if (w == NULL)
		return;
	munmap((void *)(uintptr_t)w->map.start, w->map.len);
	free(w->map.published);
	free(w->taken);
	free(w);
}

void
dm_window_place(struct dm_window *w, uint64_t iova)
{
	w->map.delta = iova - w->map.start;
}

int
dm_window_take(struct dm_window *w, uint64_t len, uint64_t align, void **va)
{
	const uint64_t units = w->map.len / DM_WINDOW_UNIT, n = len / DM_WINDOW_UNIT;
	const uint64_t step = RTE_MAX(align, DM_WINDOW_UNIT) / DM_WINDOW_UNIT;
	uint64_t at, used;

	if (len == 0 || len % DM_WINDOW_UNIT != 0 || !rte_is_power_of_2(align) ||
		align > DM_WINDOW_ALIGN)
		return -EINVAL;
	for (at = 0; at + n <= units && at + n >= at; at = RTE_ALIGN_CEIL(used + 1, step)) {
		for (used = at; used < at + n && w->taken[used] == 0;)
			used++;
		if (used < at + n)
			continue;
		units_write(w->taken, at, n, true);
		*va = (void *)(uintptr_t)(w->map.start + at * DM_WINDOW_UNIT);
		return 0;
	}
	return -ENOSPC;
}

int
dm_window_give(struct dm_window *w, void *va, uint64_t len)
{
	uint64_t offset = (uintptr_t)va - w->map.start, at = offset / DM_WINDOW_UNIT, n = len / DM_WINDOW_UNIT;

	if (offset >= w->map.len || len == 0 || len > w->map.len - offset || (offset | len) % DM_WINDOW_UNIT != 0 ||
		!units_all(w->taken, at, n, true) || !units_all(w->map.published, at, n, false))
		return -EINVAL;
	if (dm_space_reserve(va, len) == NULL)
		return -ENOMEM;
	units_write(w->taken, at, n, false);
	return 0;
}

void
dm_window_publish(struct dm_window *w, const void *va, uint64_t len)
{
	units_write(w->map.published, ((uintptr_t)va - w->map.start) / DM_WINDOW_UNIT, len / DM_WINDOW_UNIT, true);
}

void
dm_window_withdraw(struct dm_window *w, const void *va, uint64_t len)
{
	units_write(w->map.published, ((uintptr_t)va - w->map.start) / DM_WINDOW_UNIT, len / DM_WINDOW_UNIT, false);
}

void
dm_window_show(struct dmamap_window *copy, const struct dm_window *w)
{
	__atomic_store_n(&copy->start, w->map.start, __ATOMIC_RELAXED);
	__atomic_store_n(&copy->delta, w->map.delta, __ATOMIC_RELAXED);
	copy->published = w->map.published;
	__atomic_store_n(&copy->len, w->map.len, __ATOMIC_RELEASE);
}

void
dm_window_hide(struct dmamap_window *copy)
{
	__atomic_store_n(&copy->len, 0, __ATOMIC_RELEASE);
}
