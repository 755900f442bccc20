/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which IOVAs are free? Live ranges in a sorted array; the lowest gap that fits is taken.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dm_iova.h"

struct dm_iova_space {
	pthread_mutex_t lock; /* all below */
	struct dm_range_set usable;
	struct dmamap_range *live; /* sorted, disjoint; adjacent ranges stay apart */
	uint64_t n_live;
	uint64_t cap_live;
	uint64_t live_len;
	uint64_t page_sizes;
};

static uint64_t
range_len(struct dmamap_range r)
{
	return r.last - r.start + 1;
}

/** The first live range that ends at or after x; n_live if none does. */
static uint64_t
live_ending_at(const struct dm_iova_space *s, uint64_t x)
{
	uint64_t lo = 0, hi = s->n_live;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (s->live[mid].last >= x)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static int
live_insert(struct dm_iova_space *s, uint64_t at, struct dmamap_range r)
{
	if (s->n_live == s->cap_live) {
		uint64_t cap = s->cap_live > 0 ? s->cap_live * 2 : 64;
		struct dmamap_range *live = reallocarray(s->live, cap, sizeof(*live));

		if (live == NULL)
			return -ENOMEM;
		s->live = live;
		s->cap_live = cap;
	}
	memmove(&s->live[at + 1], &s->live[at], (s->n_live - at) * sizeof(*s->live));
	s->live[at] = r;
	s->n_live++;
	s->live_len += range_len(r);
	return 0;
}

/** The lowest address from x on that is congruent to phase. */
static bool
congruent(uint64_t x, uint64_t align, uint64_t phase, uint64_t *y)
{
	uint64_t at = (x & ~(align - 1)) | phase;

	if (at < x && __builtin_add_overflow(at, align, &at))
		return false;
	*y = at;
	return true;
}

/** The lowest free place in `in`. */
static int
first_fit(struct dm_iova_space *s, uint64_t len, uint64_t align, uint64_t phase,
	struct dmamap_range in, rte_iova_t *iova)
{
	uint64_t at = in.start, i;
	int rc;

	for (i = live_ending_at(s, at);; i++) {
		if (!congruent(at, align, phase, &at) || at > in.last || in.last - at < len - 1)
			return -ENOSPC;
		while (i < s->n_live && s->live[i].last < at)
			i++;
		if (i == s->n_live || s->live[i].start > at + len - 1)
			break;
		if (s->live[i].last == UINT64_MAX)
			return -ENOSPC;
		at = s->live[i].last + 1;
	}
	rc = live_insert(s, i, (struct dmamap_range){at, at + len - 1});
	if (rc == 0)
		*iova = at;
	return rc;
}

/** Cut a set down to whole granules. */
static int
whole_granules(struct dm_range_set *dst, const struct dm_range_set *src)
{
	const uint64_t mask = DM_IOVA_GRANULE - 1;
	unsigned int i;
	int rc;

	for (i = 0; i < src->n; i++) {
		struct dmamap_range r = src->r[i];

		if (r.start > UINT64_MAX - mask)
			continue;
		r.start = (r.start + mask) & ~mask;
		if ((r.last & mask) != mask) {
			if ((r.last & ~mask) == 0)
				continue;
			r.last = (r.last & ~mask) - 1;
		}
		if (r.last < r.start)
			continue;
		rc = dm_range_set_add(dst, r);
		if (rc < 0) {
			dm_range_set_clear(dst);
			return rc;
		}
	}
	return 0;
}

int
dm_iova_create(uint64_t page_sizes, struct dm_iova_space **space)
{
	struct dm_iova_space *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->page_sizes = page_sizes;
	*space = s;
	return 0;
}

void
dm_iova_destroy(struct dm_iova_space *s)
{
	if (s == NULL)
		return;
	dm_range_set_clear(&s->usable);
	pthread_mutex_destroy(&s->lock);
	free(s->live);
	free(s);
}

int
dm_iova_set_usable(struct dm_iova_space *s, const struct dm_range_set *usable, uint64_t page_sizes,
	struct dmamap_range *conflict)
{
	struct dm_range_set fresh = {0};
	uint64_t i;
	int rc = whole_granules(&fresh, usable);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->n_live; i++) {
		if (dm_range_set_contains(&fresh, s->live[i]))
			continue;
		if (conflict != NULL)
			*conflict = s->live[i];
		rc = -EADDRINUSE;
		break;
	}
	if (rc == 0) {
		RTE_SWAP(s->usable, fresh);
		s->page_sizes = page_sizes;
	}
	pthread_mutex_unlock(&s->lock);
	dm_range_set_clear(&fresh);
	return rc;
}

int
dm_iova_take(struct dm_iova_space *s, uint64_t len, uint64_t align, uint64_t phase,
	struct dmamap_range within, rte_iova_t *iova)
{
	unsigned int i;
	int rc = -ENOSPC;

	if (len == 0 || len % DM_IOVA_GRANULE != 0 || (align & (align - 1)) != 0 ||
			align < DM_IOVA_GRANULE || phase >= align || phase % DM_IOVA_GRANULE != 0 ||
			within.last < within.start)
		return -EINVAL;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->usable.n && rc == -ENOSPC; i++) {
		struct dmamap_range in = {
			.start = RTE_MAX(s->usable.r[i].start, within.start),
			.last = RTE_MIN(s->usable.r[i].last, within.last),
		};

		if (in.start <= in.last)
			rc = first_fit(s, len, align, phase, in, iova);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int
dm_iova_take_fixed(struct dm_iova_space *s, rte_iova_t iova, uint64_t len)
{
	struct dmamap_range r = {iova, iova + (len - 1)};
	uint64_t i;
	int rc;

	if (len == 0 || len % DM_IOVA_GRANULE != 0 || iova % DM_IOVA_GRANULE != 0 ||
			r.last < r.start)
		return -EINVAL;

	pthread_mutex_lock(&s->lock);
	i = live_ending_at(s, r.start);
	if (i < s->n_live && s->live[i].start <= r.last)
		rc = -EEXIST;
	else if (!dm_range_set_contains(&s->usable, r))
		rc = -ERANGE;
	else
		rc = live_insert(s, i, r);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int
dm_iova_give(struct dm_iova_space *s, rte_iova_t iova, uint64_t len)
{
	uint64_t i;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	i = live_ending_at(s, iova);
	if (i == s->n_live || s->live[i].start != iova) {
		rc = -ENOENT;
	} else if (range_len(s->live[i]) != len) {
		rc = -EINVAL;
	} else {
		s->live_len -= len;
		s->n_live--;
		memmove(&s->live[i], &s->live[i + 1], (s->n_live - i) * sizeof(*s->live));
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int
dm_iova_next_live(const struct dm_iova_space *space, rte_iova_t from, struct dmamap_range *r)
{
	struct dm_iova_space *s = (struct dm_iova_space *)(uintptr_t)space;
	int rc = -ENOENT;
	uint64_t i;

	pthread_mutex_lock(&s->lock);
	i = live_ending_at(s, from);
	if (i < s->n_live && s->live[i].start < from)
		i++;
	if (i < s->n_live) {
		*r = s->live[i];
		rc = 0;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void
dm_iova_stats(const struct dm_iova_space *space, struct dm_iova_stats *stats)
{
	struct dm_iova_space *s = (struct dm_iova_space *)(uintptr_t)space;
	unsigned int i;

	*stats = (struct dm_iova_stats){0};
	pthread_mutex_lock(&s->lock);
	stats->live_ranges = s->n_live;
	stats->live_len = s->live_len;
	for (i = 0; i < s->usable.n; i++) {
		uint64_t len = s->usable.r[i].last - s->usable.r[i].start;

		if (__builtin_add_overflow(stats->usable_len, len, &stats->usable_len) ||
				stats->usable_len == UINT64_MAX) {
			stats->usable_len = UINT64_MAX;
			break;
		}
		stats->usable_len++;
	}
	pthread_mutex_unlock(&s->lock);
}
