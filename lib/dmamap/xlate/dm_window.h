/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where are our own zones? A window of address space in which IOVA is VA plus a constant.
 *
 * The window is reserved address space without access, aligned to 1 GiB. Its user takes a part for a zone, maps
 * memory there (MAP_FIXED), and publishes it; from then on dm_window_va2iova() answers with an addition. A map of
 * 2 MiB units says what is published, so that an address in the window that is no zone's translates to nothing.
 *
 * What belongs together, for a container:
 *   first zone   dm_window_create(), take IOVAs of the same length aligned to 1 GiB, dm_window_place()
 *   zone         dm_window_take() -> memory at va, mapped at iova = va + constant -> dm_window_publish()
 *   zone's end   dm_window_withdraw() -> readers quiescent, unmapped by the IOMMU -> dm_window_give()
 * The tables (dm_xlate.h) hold zones as well: for runs, and for zones that found no room in the window.
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

/** What a reader needs, and the writer's books. Readers may have a copy of their part: dm_window_show(). */
struct dm_window {
	struct dmamap_window map; /**< a byte for each unit, for a bit takes a shift more to ask */
	uint8_t *taken;		  /**< for each unit: 1 if it is taken; the writer's */
};

/**
 * Reserve address space. It takes no memory, is left out of core dumps and is not inherited by a child.
 * @param len  multiple of DM_WINDOW_ALIGN, not 0
 * @return 0; -EINVAL; -ENOMEM: no address space of that length (RLIMIT_AS, or mlockall() with a limit)
 */
int dm_window_create(uint64_t len, struct dm_window **w);

/** Give the address space back, and all memory that was mapped in it. No reader may be inside. NULL is fine. */
void dm_window_destroy(struct dm_window *w);

/** Say at which IOVA the window begins. Nothing may be published. */
void dm_window_place(struct dm_window *w, uint64_t iova);

/**
 * Take address space. One writer at a time, as for all that follows.
 * @param len    multiple of DM_WINDOW_UNIT, not 0
 * @param align  power of two; below DM_WINDOW_UNIT means that. VA and IOVA are both aligned so, up to 1 GiB.
 * @return 0; -EINVAL; -ENOSPC
 */
int dm_window_take(struct dm_window *w, uint64_t len, uint64_t align, void **va);

/**
 * Give back what was taken; memory that is mapped there is unmapped, the address space stays reserved.
 * @return 0; -EINVAL: it is not taken, or published still; -ENOMEM: the kernel cannot split the mapping; nothing
 *   changed then.
 */
int dm_window_give(struct dm_window *w, void *va, uint64_t len);

/** Let what was taken translate. */
void dm_window_publish(struct dm_window *w, const void *va, uint64_t len);

/** Let it translate no more. */
void dm_window_withdraw(struct dm_window *w, const void *va, uint64_t len);

/** Let a copy that is all zeroes answer what w does. Readers may be looking at it. */
void dm_window_show(struct dmamap_window *copy, const struct dm_window *w);

/** Let a copy answer nothing any more. It must not show another window later: a reader may still be at this one. */
void dm_window_hide(struct dmamap_window *copy);

/** Translate. Lock-free, any thread. @return DM_XLATE_NONE: not of a published zone; ask the tables */
static inline uint64_t
dm_window_va2iova(const struct dmamap_window *w, uint64_t va)
{
	const uint64_t len = __atomic_load_n(&w->len, __ATOMIC_ACQUIRE);
	const uint64_t offset = va - __atomic_load_n(&w->start, __ATOMIC_RELAXED);

	return likely(offset < len) &&
		likely(__atomic_load_n(&w->published[offset / DM_WINDOW_UNIT], __ATOMIC_ACQUIRE) != 0) ?
		va + __atomic_load_n(&w->delta, __ATOMIC_RELAXED) : DM_XLATE_NONE;
}

/** The other way round. @return DM_XLATE_NONE: as above */
static inline uint64_t
dm_window_iova2va(const struct dmamap_window *w, uint64_t iova)
{
	const uint64_t len = __atomic_load_n(&w->len, __ATOMIC_ACQUIRE);
	const uint64_t va = iova - __atomic_load_n(&w->delta, __ATOMIC_RELAXED);
	const uint64_t offset = va - __atomic_load_n(&w->start, __ATOMIC_RELAXED);

	return likely(offset < len) &&
		likely(__atomic_load_n(&w->published[offset / DM_WINDOW_UNIT], __ATOMIC_ACQUIRE) != 0) ?
		va : DM_XLATE_NONE;
}

#endif /* DM_WINDOW_H */
