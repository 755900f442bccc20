/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where are our own zones? A window of address space in which IOVA is VA plus a constant.
 *
 * The window is reserved address space without access, aligned to 1 GiB. Its user takes a part for
 * a zone, maps memory there (MAP_FIXED), and publishes it; from then on dm_window_va2iova() answers
 * with an addition. A map of 2 MiB units says what is published, so that an address in the window
 * that is no zone's translates to nothing.
 *
 * What belongs together, for a container:
 *   first zone   dm_window_create(), take IOVAs of the same length aligned to 1 GiB,
 * dm_window_place() zone         dm_window_take() -> memory at va, mapped at iova = va + constant
 * -> dm_window_publish() zone's end   dm_window_withdraw() -> readers quiescent, unmapped by the
 * IOMMU -> dm_window_give() The tables (dm_xlate.h) hold zones as well: for runs, and for zones
 * that found no room in the window.
 */

#ifndef DM_WINDOW_H
#define DM_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

#include "dm_xlate.h"

/** Zones in the window are multiples of this. */
#define DM_WINDOW_UNIT DMAMAP_WINDOW_UNIT
/** Length and alignment of a window are multiples of this. */
#define DM_WINDOW_ALIGN (UINT64_C(1) << 30)

/** Longest window: half of what struct dmamap_window can tell apart. */
#define DM_WINDOW_MAX (UINT64_C(64) << 30)
/** Stands for a unit that is not published, as 0 does where that is no unit's number. */
#define DM_WINDOW_NO_UNIT UINT64_MAX

/** The writer's books. What readers need is in struct dmamap_window. */
struct dm_window {
	struct dmamap_window *map; /**< the readers' part, the caller's; NULL: hidden from them */
	uint64_t start; /**< first VA */
	uint64_t len; /**< bytes */
	uint8_t *taken; /**< for each unit: 1 if it is taken */
};

/** Let a readers' part that is all zeroes say that there is no window. */
static inline void
dm_window_none(struct dmamap_window *map)
{
	map->unit[0] = DM_WINDOW_NO_UNIT;
}

/**
 * Reserve address space. It takes no memory, is left out of core dumps and is not inherited by a
 * child.
 * @param len  multiple of DM_WINDOW_ALIGN, not 0, at most DM_WINDOW_MAX
 * @param map  for readers, who may be looking: as dm_window_none() made it. It shows one window
 * only, for a reader may still be at that one when it is hidden. It outlives the window, or is
 * hidden first.
 * @return 0; -EINVAL; -ENOMEM: no address space of that length (RLIMIT_AS, or mlockall() with a
 * limit)
 */
int dm_window_create(uint64_t len, struct dmamap_window *map, struct dm_window **w);

/** Give the address space back, and all memory that was mapped in it. No reader may be inside. NULL
 * is fine. */
void dm_window_destroy(struct dm_window *w);

/** Say at which IOVA the window begins, once, before anything is published. */
void dm_window_place(struct dm_window *w, uint64_t iova);

/**
 * Take address space. One writer at a time, as for all that follows.
 * @param len    multiple of DM_WINDOW_UNIT, not 0
 * @param align  power of two; below DM_WINDOW_UNIT means that. VA and IOVA are both aligned so, up
 * to 1 GiB.
 * @return 0; -EINVAL; -ENOSPC
 */
int dm_window_take(struct dm_window *w, uint64_t len, uint64_t align, void **va);

/**
 * Give back what was taken; memory that is mapped there is unmapped, the address space stays
 * reserved.
 * @return 0; -EINVAL: it is not taken, or published still; -ENOMEM: the kernel cannot split the
 * mapping; nothing changed then.
 */
int dm_window_give(struct dm_window *w, void *va, uint64_t len);

/** Let what was taken translate. */
void dm_window_publish(struct dm_window *w, const void *va, uint64_t len);

/** Let it translate no more. */
void dm_window_withdraw(struct dm_window *w, const void *va, uint64_t len);

/** Let the readers' part answer nothing any more, and forget it. From then on nothing can be
 * published. */
void dm_window_hide(struct dm_window *w);

/** Translate. Lock-free, any thread. @return DM_XLATE_NONE: not of a published zone; ask the tables
 */
static inline uint64_t
dm_window_va2iova(const struct dmamap_window *w, uint64_t va)
{
	return likely(dmamap_window_has(w, va)) ? va + w->delta : DM_XLATE_NONE;
}

/** The other way round. @return DM_XLATE_NONE: as above */
static inline uint64_t
dm_window_iova2va(const struct dmamap_window *w, uint64_t iova)
{
	const uint64_t delta = __atomic_load_n(&w->delta, __ATOMIC_RELAXED);

	/* A delta from before the window was placed can lead to a unit that is published a moment
	 * later. */
	return likely(dmamap_window_has(w, iova - delta)) && likely(w->delta == delta)
		? iova - delta
		: DM_XLATE_NONE;
}

#endif /* DM_WINDOW_H */
