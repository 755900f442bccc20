/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which addresses does a set of inclusive ranges hold? Sorted, disjoint, never adjacent.
 */

#ifndef DM_RANGE_SET_H
#define DM_RANGE_SET_H

#include <stdbool.h>

#include "dmamap.h"

/** Sorted by start, disjoint, merged where adjacent. All zeroes is the empty set. */
struct dm_range_set {
	struct dmamap_range *r;
	unsigned int n;
	unsigned int cap;
};

/** Free what the set holds; it is empty afterwards. */
void dm_range_set_clear(struct dm_range_set *s);

/** Add a range, merging with overlapping and adjacent ones. @return 0, -EINVAL (last < start),
 * -ENOMEM. */
int dm_range_set_add(struct dm_range_set *s, struct dmamap_range r);

/** Remove a range; parts outside the set are ignored. @return 0, -EINVAL, -ENOMEM (a split). */
int dm_range_set_del(struct dm_range_set *s, struct dmamap_range r);

/** Keep only what is in both a and b. @return 0 or -ENOMEM, a unchanged. */
int dm_range_set_intersect(struct dm_range_set *a, const struct dm_range_set *b);

/** Make dst a copy of src; what dst held is freed. @return 0 or -ENOMEM, dst unchanged. */
int dm_range_set_copy(struct dm_range_set *dst, const struct dm_range_set *src);

/** Is all of r in the set? */
bool dm_range_set_contains(const struct dm_range_set *s, struct dmamap_range r);

/** Is any of r in the set? If so and hit is not NULL, the first overlapping range of the set. */
bool dm_range_set_overlaps(
	const struct dm_range_set *s, struct dmamap_range r, struct dmamap_range *hit);

#endif /* DM_RANGE_SET_H */
