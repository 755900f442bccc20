/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which IOVAs are free? The allocator of one address space: usable ranges, live ranges.
 */

#ifndef DM_IOVA_H
#define DM_IOVA_H

#include <stdint.h>

#include "dmamap.h"
#include "dm_range_set.h"

/** Smallest unit of allocation in bytes; every IOVA and length is a multiple. */
#define DM_IOVA_GRANULE UINT64_C(4096)

struct dm_iova_space;

/** What a space holds, as of the call. */
struct dm_iova_stats {
	uint64_t live_ranges; /**< ranges taken and not given back */
	uint64_t live_len; /**< bytes in them */
	uint64_t usable_len; /**< bytes in all usable ranges (saturating) */
	uint64_t cached_len; /**< bytes free, but kept in threads' caches */
	uint64_t padding_len; /**< bytes free, but kept behind live ranges as their padding */
};

/**
 * Make an allocator in which nothing is usable.
 * @param page_sizes  bitmap of the IOMMU's page sizes, for alignment classes; 0: 4 KiB, 2 MiB, 1
 * GiB.
 * @return 0 or -ENOMEM.
 */
int dm_iova_create(uint64_t page_sizes, struct dm_iova_space **space);

/** Free the allocator, whatever is live in it. No other call may be under way. */
void dm_iova_destroy(struct dm_iova_space *space);

/**
 * Replace the usable ranges and page sizes; live ranges stay live. Caches are drained first.
 * Serialised by the caller against itself; take and give may run meanwhile.
 *
 * @param usable      need not be page aligned; parts of a granule are left out.
 * @param page_sizes  as in dm_iova_create().
 * @param conflict    may be NULL; on -EADDRINUSE the lowest live range that is not wholly usable.
 * @return 0; -EADDRINUSE or -ENOMEM, nothing changed.
 */
int dm_iova_set_usable(struct dm_iova_space *space, const struct dm_range_set *usable,
	uint64_t page_sizes, struct dmamap_range *conflict);

/**
 * Take a free range. Any thread.
 *
 * The lowest aligned block that fits, above 4 GiB while there is room above, so that devices with
 * 32 bits find room below (a space of which less than a quarter is free keeps nothing apart).
 * Lengths of up to 2 GiB with phase 0, aligned no more than to the power of two that holds them (to
 * a page, if they have up to 32 pages and not a power of two), come from a cache of the calling
 * thread (up to 128 threads at a time, known to the EAL or not): no lock, no allocation, no system
 * call.
 *
 * Waste: a range of up to 32 pages, or of 2^n pages, takes what was asked for. Another one may be
 * followed by a padding of less than an eighth of its length, so that eight classes of lengths a
 * doubling are enough for the caches; not in a space of 39 bits or less, nor while less than a
 * quarter is free, nor below 4 GiB if something above is usable, nor behind a range taken with a
 * phase or a larger alignment. No padding is in anybody's way: whatever is usable and not live can
 * be taken, here or at a fixed place, and made unusable, and -ENOSPC means that no place at all
 * would do. To be sure of that, a refusal first empties the caches of all threads, takes away all
 * paddings, and may walk all free space.
 *
 * @param len     bytes, a multiple of DM_IOVA_GRANULE, not 0.
 * @param align   power of two, at least DM_IOVA_GRANULE.
 * @param phase   a multiple of DM_IOVA_GRANULE below align: *iova % align == phase, so that an IOVA
 * can be congruent with a VA and superpages fit.
 * @param within  all of the range lies in it.
 * @return 0, -EINVAL, -ENOSPC, -ENOMEM.
 */
int dm_iova_take(struct dm_iova_space *space, uint64_t len, uint64_t align, uint64_t phase,
	struct dmamap_range within, rte_iova_t *iova);

/**
 * Take exactly [iova, iova + len - 1]. Any thread.
 * @return 0; -EINVAL; -EEXIST: (partly) live; -ERANGE: not wholly usable; -ENOMEM.
 */
int dm_iova_take_fixed(struct dm_iova_space *space, rte_iova_t iova, uint64_t len);

/**
 * Give back exactly one range that was taken. Any thread.
 * @return 0; -ENOENT: no live range starts there (never taken, or given back twice); -EINVAL: it
 * has another length. Nothing changed then.
 */
int dm_iova_give(struct dm_iova_space *space, rte_iova_t iova, uint64_t len);

/** Begin to fetch what giving back the range of len bytes (not 0) that starts at iova will read.
 * Any thread. */
void dm_iova_prefetch(const struct dm_iova_space *space, rte_iova_t iova, uint64_t len);

/**
 * Find the live range that starts at or after `from`. The first call after a change sorts all live
 * ranges; the others of a walk take logarithmic time.
 * @return 0 and *r; -ENOENT: none; -ENOMEM. A walk is exact only while nobody takes or gives.
 */
int dm_iova_next_live(const struct dm_iova_space *space, rte_iova_t from, struct dmamap_range *r);

/** Count. Exact only while nobody takes or gives. */
void dm_iova_stats(const struct dm_iova_space *space, struct dm_iova_stats *stats);

#endif /* DM_IOVA_H */
