/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Sets of inclusive address ranges: a sorted array, searched by bisection.
 *
 * Invariant: ranges are sorted, disjoint and never adjacent. A call that fails leaves the set
 * unchanged. The interface and its callers are described in dm_range_set.h.
 */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dm_range_set.h"
#include "dm_util.h"

/** Index of the first range that ends at or after x; s->n if there is none. */
static unsigned int
set_first_ending_at(const struct dm_range_set *s, uint64_t x)
{
	unsigned int lo = 0, hi = s->n;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (s->r[mid].last >= x)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/** Index of the first range from `lo` on that starts after x; s->n if there is none. */
static unsigned int
set_first_starting_after(const struct dm_range_set *s, unsigned int lo, uint64_t x)
{
	unsigned int hi = s->n;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (s->r[mid].start > x)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static int
set_reserve(struct dm_range_set *s, unsigned int n)
{
	struct dmamap_range *r;
	unsigned int cap;

	if (n <= s->cap)
		return 0;
	if (n > UINT32_MAX / 2)
		return -ENOMEM;
	cap = n < 8 ? 8 : n + n / 2;
	r = reallocarray(s->r, cap, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	s->r = r;
	s->cap = cap;
	return 0;
}

/** Replace the ranges at indexes [i, j) by n_new others. @return 0 or -ENOMEM, nothing changed */
static int
set_replace(struct dm_range_set *s, unsigned int i, unsigned int j, const struct dmamap_range *new,
	unsigned int n_new)
{
	int rc = set_reserve(s, s->n - (j - i) + n_new);

	if (rc < 0)
		return rc;
	if (s->n > j)
		memmove(&s->r[i + n_new], &s->r[j], (s->n - j) * sizeof(*s->r));
	if (n_new > 0)
		memcpy(&s->r[i], new, n_new * sizeof(*new));
	s->n = s->n - (j - i) + n_new;
	return 0;
}

void
dm_range_set_clear(struct dm_range_set *s)
{
	free(s->r);
	*s = (struct dm_range_set){0};
}

int
dm_range_set_add(struct dm_range_set *s, struct dmamap_range r)
{
	/* Adjacent ranges merge too, so the search extends by one address on both sides. */
	uint64_t below = r.start > 0 ? r.start - 1 : 0;
	uint64_t above = r.last < UINT64_MAX ? r.last + 1 : UINT64_MAX;
	unsigned int i, j;

	if (r.last < r.start)
		return -EINVAL;
	i = set_first_ending_at(s, below);
	j = set_first_starting_after(s, i, above);
	if (i < j) {
		if (s->r[i].start < r.start)
			r.start = s->r[i].start;
		if (s->r[j - 1].last > r.last)
			r.last = s->r[j - 1].last;
	}
	return set_replace(s, i, j, &r, 1);
}

int
dm_range_set_del(struct dm_range_set *s, struct dmamap_range r)
{
	struct dmamap_range rest[2];
	unsigned int i, j, n = 0;

	if (r.last < r.start)
		return -EINVAL;
	i = set_first_ending_at(s, r.start);
	j = set_first_starting_after(s, i, r.last);
	if (i == j)
		return 0;
	if (s->r[i].start < r.start)
		rest[n++] = (struct dmamap_range){s->r[i].start, r.start - 1};
	if (s->r[j - 1].last > r.last)
		rest[n++] = (struct dmamap_range){r.last + 1, s->r[j - 1].last};
	return set_replace(s, i, j, rest, n);
}

int
dm_range_set_intersect(struct dm_range_set *a, const struct dm_range_set *b)
{
	struct dm_range_set both = {0};
	unsigned int i = 0, j = 0;
	int rc;

	while (i < a->n && j < b->n) {
		struct dmamap_range r = {
			.start = DM_MAX(a->r[i].start, b->r[j].start),
			.last = DM_MIN(a->r[i].last, b->r[j].last),
		};

		if (r.start <= r.last) {
			rc = set_replace(&both, both.n, both.n, &r, 1);
			if (rc < 0) {
				dm_range_set_clear(&both);
				return rc;
			}
		}
		if (a->r[i].last < b->r[j].last)
			i++;
		else
			j++;
	}
	dm_range_set_clear(a);
	*a = both;
	return 0;
}

int
dm_range_set_copy(struct dm_range_set *dst, const struct dm_range_set *src)
{
	struct dm_range_set copy = {0};
	int rc;

	if (dst == src)
		return 0;
	rc = set_replace(&copy, 0, 0, src->r, src->n);
	if (rc < 0)
		return rc;
	dm_range_set_clear(dst);
	*dst = copy;
	return 0;
}

bool
dm_range_set_contains(const struct dm_range_set *s, struct dmamap_range r)
{
	unsigned int i;

	if (r.last < r.start)
		return false;
	i = set_first_ending_at(s, r.start);
	return i < s->n && s->r[i].start <= r.start && s->r[i].last >= r.last;
}

bool
dm_range_set_overlaps(const struct dm_range_set *s, struct dmamap_range r, struct dmamap_range *hit)
{
	unsigned int i;

	if (r.last < r.start)
		return false;
	i = set_first_ending_at(s, r.start);
	if (i == s->n || s->r[i].start > r.last)
		return false;
	if (hit != NULL)
		*hit = s->r[i];
	return true;
}
