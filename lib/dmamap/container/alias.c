/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Index of registered aliases by their memory. Aliases overlap each other and other mappings, so
 * the translation table cannot hold them.
 *
 * An alias of length L is in class k, with 2^k <= L < 2^(k+1). Its bucket is that of k and of
 * start >> k. An alias that covers an address starts at most two such steps before it. So a look-up
 * searches three buckets of each class in use. Called by map.c, mapping.c, evict.c, cache.c,
 * registration.c and merge.c, under the bookkeeping lock.
 */

#include <errno.h>
#include <stdlib.h>

#include "dm_container.h"
#include "dm_util.h"

static unsigned int
alias_class(const struct dm_mapping *m)
{
	return 63 - __builtin_clzll(dm_range_len(m->vas));
}

static struct dm_alias_bucket *
alias_bucket(const struct dmamap_container *c, unsigned int k, uint64_t step)
{
	const uint64_t hash = (step * 64 + k) * UINT64_C(0x9e3779b97f4a7c15);

	return &c->aliases.buckets[hash >> 40 & (DM_ALIAS_BUCKETS - 1)];
}

int
dm_alias_init(struct dmamap_container *c)
{
	c->aliases.buckets = calloc(DM_ALIAS_BUCKETS, sizeof(c->aliases.buckets[0]));
	return c->aliases.buckets != NULL ? 0 : -ENOMEM;
}

void
dm_alias_add(struct dmamap_container *c, struct dm_mapping *m)
{
	const unsigned int k = alias_class(m);

	dm_assert_book(c);
	LIST_INSERT_HEAD(alias_bucket(c, k, m->vas.start >> k), m, alias);
	c->aliases.of_class[k]++;
	c->aliases.n++;
}

void
dm_alias_del(struct dmamap_container *c, struct dm_mapping *m)
{
	dm_assert_book(c);
	LIST_REMOVE(m, alias);
	c->aliases.of_class[alias_class(m)]--;
	c->aliases.n--;
}

/** Search the bucket of one step of one class. */
static struct dm_mapping *
alias_find_step(const struct dmamap_container *c, unsigned int k, uint64_t step,
	struct dmamap_range vas, bool (*fits)(const struct dm_mapping *m, const void *arg),
	const void *arg)
{
	struct dm_mapping *m;

	LIST_FOREACH(m, alias_bucket(c, k, step), alias)
		if (alias_class(m) == k && m->vas.start >> k == step &&
			dm_range_overlap(m->vas, vas) && fits(m, arg))
			return m;
	return NULL;
}

/** Search every bucket, for a range with more steps than there are buckets. */
static struct dm_mapping *
alias_find_all(const struct dmamap_container *c, unsigned int k, struct dmamap_range vas,
	bool (*fits)(const struct dm_mapping *m, const void *arg), const void *arg)
{
	struct dm_mapping *m;
	unsigned int i;

	for (i = 0; i < DM_ALIAS_BUCKETS; i++)
		LIST_FOREACH(m, &c->aliases.buckets[i], alias)
			if (alias_class(m) == k && dm_range_overlap(m->vas, vas) && fits(m, arg))
				return m;
	return NULL;
}

static struct dm_mapping *
alias_find_class(const struct dmamap_container *c, unsigned int k, struct dmamap_range vas,
	bool (*fits)(const struct dm_mapping *m, const void *arg), const void *arg)
{
	const uint64_t start = vas.start >> k, first = start < 2 ? 0 : start - 2,
		       last = vas.last >> k;
	struct dm_mapping *m;
	uint64_t step;

	if (last - first >= DM_ALIAS_BUCKETS)
		return alias_find_all(c, k, vas, fits, arg);
	for (step = first; step <= last; step++) {
		m = alias_find_step(c, k, step, vas, fits, arg);
		if (m != NULL)
			return m;
	}
	return NULL;
}

struct dm_mapping *
dm_alias_find(const struct dmamap_container *c, struct dmamap_range vas,
	bool (*fits)(const struct dm_mapping *m, const void *arg), const void *arg)
{
	struct dm_mapping *m = NULL;
	unsigned int k;

	if (c->aliases.n == 0)
		return NULL;
	for (k = 0; k < DM_DIM(c->aliases.of_class) && m == NULL; k++)
		if (c->aliases.of_class[k] > 0)
			m = alias_find_class(c, k, vas, fits, arg);
	return m;
}
