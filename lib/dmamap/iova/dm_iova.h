/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The IOVA allocator of one address space: usable ranges, and the live ranges reserved in them.
 *
 * Invariant: live ranges are disjoint and lie within usable ranges. The allocator is deterministic:
 * the same calls return the same addresses.
 *
 * Not thread-safe: the caller serialises all calls on one allocator, including those that only
 * read. It has no lock and no atomics, and makes no system call except to allocate memory. Called
 * by container/, under the container's bookkeeping lock.
 *
 * Memory: nodes of 1,152 bytes in slabs of 64 KiB at first, then of 2 MiB (1,820 nodes). Slabs are
 * kept until the allocator is destroyed. A live range needs 0 to 14 nodes of its own. A reservation
 * or dm_iova_set_usable() allocates a slab if too few nodes are spare. A release never allocates.
 */

#ifndef DM_IOVA_H
#define DM_IOVA_H

#include <stdint.h>

#include "dmamap.h"
#include "dm_range_set.h"

/** Allocation granule in bytes; every IOVA and length is a multiple of it. */
#define DM_IOVA_GRANULE UINT64_C(4096)

struct dm_iova_allocator;

/** Counts of an allocator. */
struct dm_iova_stats {
	uint64_t live_ranges; /**< ranges reserved and not released */
	uint64_t live_len; /**< bytes in live ranges */
	uint64_t usable_len; /**< bytes in usable ranges; UINT64_MAX if all 2^64 bytes are usable */
};

/**
 * Create an allocator in which nothing is usable.
 * @param page_sizes  bitmap of the IOMMU's page sizes in bytes, for alignment. 0: 4 KiB, 2 MiB, 1
 *   GiB.
 * @param out         the allocator, which the caller owns; unchanged on error.
 * @return 0 or -ENOMEM.
 */
int dm_iova_create(uint64_t page_sizes, struct dm_iova_allocator **out);

/** Free the allocator. Ranges that are still live are dropped. NULL is allowed. */
void dm_iova_destroy(struct dm_iova_allocator *a);

/**
 * Replace the usable ranges and page sizes; live ranges stay live.
 *
 * Cost: proportional to the ranges that change, not to the live ones. Only a refusal walks live
 * ranges.
 *
 * @param usable      copied. Need not be page aligned; partly covered granules are not usable.
 * @param page_sizes  as in dm_iova_create().
 * @param conflict    out, may be NULL: on -EADDRINUSE the lowest live range that would not be
 *   wholly usable.
 * @return 0; -EADDRINUSE or -ENOMEM, and nothing has changed.
 */
int dm_iova_set_usable(struct dm_iova_allocator *a, const struct dm_range_set *usable,
	uint64_t page_sizes, struct dmamap_range *conflict);

/**
 * Reserve a free range of exactly len bytes.
 *
 * Placement: the lowest aligned block that fits above 4 GiB, else below. Addresses below 4 GiB are
 * kept for devices with a 32-bit DMA mask.
 *
 * A packed allocator takes the lowest run that fits instead, block or not. With 512 GiB usable or
 * less (a 39-bit IOMMU) it is always packed. With less than a quarter free it is packed too, and
 * addresses below 4 GiB are no longer kept.
 *
 * -ENOSPC means that no place satisfies length, alignment, phase and `within`: a complete search
 * failed.
 *
 * Cost of a block: a descent of one node for each six bits of the address, however many ranges are
 * live. A search for a run (packed, or no block left) may walk all nodes that have free
 * pages.
 *
 * @param len     bytes, a multiple of DM_IOVA_GRANULE, not 0.
 * @param align   power of two, at least DM_IOVA_GRANULE.
 * @param phase   a multiple of DM_IOVA_GRANULE below align; *iova % align == phase. Makes an IOVA
 *   congruent with a VA, so that superpages fit.
 * @param within  limits; the whole range lies in it.
 * @param iova    out: the first address; unchanged on error.
 * @return 0, -EINVAL, -ENOSPC, -ENOMEM.
 */
int dm_iova_reserve(struct dm_iova_allocator *a, uint64_t len, uint64_t align, uint64_t phase,
	struct dmamap_range within, dmamap_iova_t *iova);

/**
 * Reserve exactly [iova, iova + len - 1]. Succeeds if all of it is usable and free and memory for
 * nodes is available. A range that was just released is free.
 *
 * Cost: as for a block in dm_iova_reserve().
 *
 * @return 0; -EINVAL: not a multiple of DM_IOVA_GRANULE, len is 0, or the range wraps; -EEXIST: all
 *   usable, but (partly) live; -ERANGE: not wholly usable; -ENOMEM.
 */
int dm_iova_reserve_fixed(struct dm_iova_allocator *a, dmamap_iova_t iova, uint64_t len);

/**
 * Release exactly one range that was reserved. Its addresses are free at once and merge with free
 * neighbours.
 *
 * Cost: one descent. Needs no memory.
 *
 * @return 0; -ENOENT: no live range starts at iova (never reserved, or released twice); -EINVAL:
 *   the live range has another length. Nothing has changed on error.
 */
int dm_iova_release(struct dm_iova_allocator *a, dmamap_iova_t iova, uint64_t len);

/** Prefetch what dm_iova_release() of len bytes (not 0) at iova will read. A hint. */
void dm_iova_prefetch(const struct dm_iova_allocator *a, dmamap_iova_t iova, uint64_t len);

/**
 * Find the first live range that starts at or after `from`. The allocator may change between the
 * calls of a walk.
 *
 * Cost: one descent, and the nodes that the range covers.
 *
 * @return 0 and *r; -ENOENT: none.
 */
int dm_iova_next_live(
	const struct dm_iova_allocator *a, dmamap_iova_t from, struct dmamap_range *r);

/** Fill *stats. Cost: grows with the number of usable ranges only. */
void dm_iova_stats(const struct dm_iova_allocator *a, struct dm_iova_stats *stats);

#endif /* DM_IOVA_H */
