/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Sets of inclusive address ranges [start, last].
 *
 * Invariant: the ranges of a set are sorted, disjoint and never adjacent. Not thread-safe: the
 * caller serialises calls that change a set with all others. Used by the IOVA allocator, the
 * backends and container/ for apertures, reserved and usable ranges.
 */

#ifndef DM_RANGE_SET_H
#define DM_RANGE_SET_H

#include <stdbool.h>

#include "dmamap.h"

/** A set. All zeroes is the empty set; no initialisation is needed. */
struct dm_range_set {
	struct dmamap_range *r;
	unsigned int n;
	unsigned int cap;
};

/** Free the memory of a set. It is empty afterwards and may be used again. */
void dm_range_set_clear(struct dm_range_set *s);

/**
 * Add a range; it merges with overlapping and adjacent ones.
 * @return 0; -EINVAL: last < start; -ENOMEM. The set is unchanged on error.
 */
int dm_range_set_add(struct dm_range_set *s, struct dmamap_range r);

/**
 * Remove a range; parts outside the set are ignored.
 * @return 0; -EINVAL: last < start; -ENOMEM: a range had to be split. The set is unchanged on
 *   error.
 */
int dm_range_set_del(struct dm_range_set *s, struct dmamap_range r);

/** Replace a by the intersection of a and b. @return 0 or -ENOMEM, a unchanged */
int dm_range_set_intersect(struct dm_range_set *a, const struct dm_range_set *b);

/**
 * Make dst a copy of src; the former contents of dst are freed. @return 0 or -ENOMEM, dst unchanged
 */
int dm_range_set_copy(struct dm_range_set *dst, const struct dm_range_set *src);

/** Whether all of r is in the set. False if last < start. */
bool dm_range_set_contains(const struct dm_range_set *s, struct dmamap_range r);

/**
 * Whether any part of r is in the set. If so, *hit (may be NULL) is the first overlapping range.
 */
bool dm_range_set_overlaps(
	const struct dm_range_set *s, struct dmamap_range r, struct dmamap_range *hit);

#endif /* DM_RANGE_SET_H */
