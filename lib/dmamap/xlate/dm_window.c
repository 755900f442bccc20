/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where are our own zones? A window of address space in which IOVA is VA plus a constant. See
 * dm_window.h.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "dm_space.h"
#include "dm_window.h"

/** Publish the units of [va, va + len), or not. Readers see each before or after. */
static void
units_publish(struct dmamap_window *map, uint64_t va, uint64_t len, bool are)
{
	uint64_t unit;

	for (unit = va / DM_WINDOW_UNIT; unit < (va + len) / DM_WINDOW_UNIT; unit++)
		__atomic_store_n(&map->unit[unit % DMAMAP_WINDOW_UNITS],
			are ? unit : DM_WINDOW_NO_UNIT, __ATOMIC_RELEASE);
}

/** Is any unit of [va, va + len) published? */
static bool
units_any_published(const struct dmamap_window *map, uint64_t va, uint64_t len)
{
	uint64_t end = va + len;

	for (; map != NULL && va < end; va += DM_WINDOW_UNIT)
		if (dmamap_window_has(map, va))
			return true;
	return false;
}

static bool
all_taken(const uint8_t *taken, uint64_t n)
{
	while (n > 0 && taken[n - 1] != 0)
		n--;
	return n == 0;
}

int
dm_window_create(uint64_t len, struct dmamap_window *map, struct dm_window **out)
{
	struct dm_window *w;
	void *va;

	if (len == 0 || len % DM_WINDOW_ALIGN != 0 || len > DM_WINDOW_MAX)
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->taken = calloc(len / DM_WINDOW_UNIT, 1);
	va = w->taken != NULL ? dm_space_reserve_aligned(len, DM_WINDOW_ALIGN) : NULL;
	if (va == NULL) {
		free(w->taken);
		free(w);
		return -ENOMEM;
	}
	w->map = map;
	w->start = (uintptr_t)va;
	w->len = len;
	*out = w;
	return 0;
}

void
dm_window_destroy(struct dm_window *w)
{
	if (w == NULL)
		return;
	munmap((void *)(uintptr_t)w->start, w->len);
	free(w->taken);
	free(w);
}

void
dm_window_place(struct dm_window *w, uint64_t iova)
{
	__atomic_store_n(&w->map->delta, iova - w->start, __ATOMIC_RELAXED);
}

int
dm_window_take(struct dm_window *w, uint64_t len, uint64_t align, void **va)
{
	const uint64_t units = w->len / DM_WINDOW_UNIT, n = len / DM_WINDOW_UNIT;
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
		memset(&w->taken[at], 1, n);
		*va = (void *)(uintptr_t)(w->start + at * DM_WINDOW_UNIT);
		return 0;
	}
	return -ENOSPC;
}

int
dm_window_give(struct dm_window *w, void *va, uint64_t len)
{
	uint64_t offset = (uintptr_t)va - w->start, at = offset / DM_WINDOW_UNIT,
		 n = len / DM_WINDOW_UNIT;

	if (offset >= w->len || len == 0 || len > w->len - offset ||
		(offset | len) % DM_WINDOW_UNIT != 0 || !all_taken(&w->taken[at], n) ||
		units_any_published(w->map, (uintptr_t)va, len))
		return -EINVAL;
	if (dm_space_reserve(va, len) == NULL)
		return -ENOMEM;
	memset(&w->taken[at], 0, n);
	return 0;
}

void
dm_window_publish(struct dm_window *w, const void *va, uint64_t len)
{
	units_publish(w->map, (uintptr_t)va, len, true);
}

void
dm_window_withdraw(struct dm_window *w, const void *va, uint64_t len)
{
	units_publish(w->map, (uintptr_t)va, len, false);
}

void
dm_window_hide(struct dm_window *w)
{
	uint64_t at;

	for (at = 0; at < w->len / DM_WINDOW_UNIT; at++)
		if (w->taken[at] != 0)
			units_publish(
				w->map, w->start + at * DM_WINDOW_UNIT, DM_WINDOW_UNIT, false);
	w->map = NULL;
}
