/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Nodes of a translation: the operations that only the writer uses. See dm_xlate_node.h.
 *
 * Invariant: a node that readers can see changes only by stores to single words. Its layout is
 * fixed when it is created. Called by dm_xlate.c.
 */

#include <stddef.h>

#include "dm_util.h"
#include "dm_xlate_node.h"

/**
 * A node of 2 MiB slots with more entries than this is a table, which can always be changed in
 * place.
 */
#define UPPER_RUNS_MAX 24u

#define FANOUT DM_XLATE_FANOUT
#define GROUPS (FANOUT / 64)
/** With this many entries a table is hardly larger than a bitmap node, and faster. */
#define RUNS_MAX 400u

_Static_assert(sizeof(struct dm_xlate_table) == DM_XLATE_POOL_MAX * DM_XLATE_POOL_UNIT,
	"a table is the largest node");
_Static_assert(sizeof(struct dm_xlate_runs) + FANOUT * 8 <= DM_XLATE_POOL_TAIL,
	"a reader that finds rubbish stays near");
_Static_assert(
	offsetof(struct dm_xlate_wide, lane) == 8 && offsetof(struct dm_xlate_wide, word) == 64,
	"dm_xlate_wide_count() compares the first cache line");
_Static_assert(offsetof(struct dm_xlate_mini, first) == 8 && sizeof(struct dm_xlate_mini) == 40,
	"dm_xlate_mini_words() knows where they are");

#define WIDE_UNITS ((sizeof(struct dm_xlate_wide) + DM_XLATE_POOL_UNIT - 1) / DM_XLATE_POOL_UNIT)

/** Entries that each kind of mini can hold. */
static const uint8_t mini_capacity[] = {5, 11, 16};

uint64_t
dm_xlate_node_live(uint64_t node)
{
	const struct dm_xlate_pool_head *h = dm_xlate_node(node);

	return h->bits;
}

void
dm_xlate_node_live_set(uint64_t node, uint64_t live)
{
	dm_xlate_pool_head_set(dm_xlate_node(node), live);
}

static unsigned int
runs_units(unsigned int n)
{
	size_t len = sizeof(struct dm_xlate_runs) + n * sizeof(uint64_t);

	return (len + DM_XLATE_POOL_UNIT - 1) / DM_XLATE_POOL_UNIT;
}

unsigned int
dm_xlate_node_units(uint64_t node)
{
	const struct dm_xlate_runs *runs = dm_xlate_node(node);

	if ((node & DM_XLATE_KIND) == DM_XLATE_TABLE)
		return DM_XLATE_POOL_MAX;
	if ((node & DM_XLATE_KIND) == DM_XLATE_RUNS)
		return runs_units(
			runs->rank[GROUPS - 1] + __builtin_popcountll(runs->begin[GROUPS - 1]));
	if ((node & DM_XLATE_KIND) == DM_XLATE_WIDE)
		return WIDE_UNITS;
	return (node & DM_XLATE_KIND) - DM_XLATE_MINI + 1;
}

/** The first slot above i at which an entry begins, or 512. */
static uint32_t
runs_next(const struct dm_xlate_runs *n, uint32_t i)
{
	uint32_t g = i / 64;
	/* Two shifts, since a shift by 64 is undefined. */
	uint64_t begin = n->begin[g] & (~UINT64_C(0) << (i % 64) << 1);

	while (begin == 0) {
		if (++g == GROUPS)
			return FANOUT;
		begin = n->begin[g];
	}
	return g * 64 + __builtin_ctzll(begin);
}

/** The last slot at or below i at which an entry begins. The caller knows that there is one. */
static uint32_t
runs_first(const struct dm_xlate_runs *n, uint32_t i)
{
	uint32_t g = i / 64;
	uint64_t begin = n->begin[g] << (63 - i % 64) >> (63 - i % 64);

	while (begin == 0)
		begin = n->begin[--g];
	return g * 64 + 63 - __builtin_clzll(begin);
}

struct dm_xlate_place
dm_xlate_node_place(uint64_t node, uint32_t i)
{
	const uint64_t kind = node & DM_XLATE_KIND;
	struct dm_xlate_place p = {NULL, i, FANOUT, FANOUT};
	int n;

	if (kind == DM_XLATE_TABLE) {
		struct dm_xlate_table *table = dm_xlate_node(node);

		return (struct dm_xlate_place){&table->word[i], i, i + 1, i + 1};
	}
	if (kind == DM_XLATE_RUNS) {
		struct dm_xlate_runs *runs = dm_xlate_node(node);

		n = dm_xlate_runs_count(runs, i);
		p.next = runs_next(runs, i);
		if (n > 0) {
			p.at = runs->word + n - 1;
			p.first = runs_first(runs, i);
		}
	} else {
		struct dm_xlate_mini *mini = dm_xlate_node(node);

		n = dm_xlate_mini_count(mini, kind, i);
		if (n < mini_capacity[kind - DM_XLATE_MINI])
			p.next = DM_MIN((uint32_t)mini->first[n], FANOUT);
		if (n > 0) {
			p.at = dm_xlate_mini_words(mini, kind) + n - 1;
			p.first = mini->first[n - 1];
		}
	}
	p.end = p.next;
	if (p.at != NULL && *p.at != 0) {
		p.end = dm_xlate_word_last(*p.at) + 1;
		if (p.end <= i)
			p = (struct dm_xlate_place){NULL, i, p.next, p.next};
	}
	return p;
}

bool
dm_xlate_node_fits(uint64_t node, const struct dm_xlate_entry *e)
{
	struct dm_xlate_place p;

	if ((node & DM_XLATE_KIND) == DM_XLATE_TABLE)
		return true;
	p = dm_xlate_node_place(node, e->first);
	return p.at != NULL && p.first == e->first && e->last < p.next;
}

/** The entries of a node to be created. */
struct draft {
	unsigned int n;
	struct dm_xlate_entry e[FANOUT];
};

/** Append the live entries of `node` that begin in [at, end). node may be 0: none. */
static void
draft_copy(struct draft *d, uint64_t node, uint32_t at, uint32_t end)
{
	struct dm_xlate_place p;

	for (; node != 0 && at < end; at = p.end) {
		p = dm_xlate_node_place(node, at);
		if (p.at == NULL || *p.at == 0)
			continue;
		d->e[d->n++] = (struct dm_xlate_entry){p.first, p.end - 1, *p.at};
	}
}

static uint64_t
mini_make(struct dm_xlate_pool *pool, const struct draft *d)
{
	unsigned int i, which = d->n <= mini_capacity[0] ? 0 : d->n <= mini_capacity[1] ? 1 : 2;
	struct dm_xlate_mini *n = dm_xlate_pool_alloc(pool, which + 1);
	uint64_t *word;

	if (n == NULL)
		return 0;
	word = dm_xlate_mini_words(n, DM_XLATE_MINI + which);
	for (i = 0; i < d->n; i++) {
		__atomic_store_n(&n->first[i], d->e[i].first, __ATOMIC_RELEASE);
		dm_xlate_word_store(&word[i], d->e[i].word);
	}
	for (; i < (which == 0 ? 8 : 16); i++)
		__atomic_store_n(&n->first[i], DM_XLATE_NO_SLOT, __ATOMIC_RELEASE);
	return dm_xlate_node_word(n, DM_XLATE_MINI + which);
}

static uint64_t
runs_make(struct dm_xlate_pool *pool, const struct draft *d)
{
	struct dm_xlate_runs *n = dm_xlate_pool_alloc(pool, runs_units(d->n));
	uint64_t begin[GROUPS] = {0};
	unsigned int i, rank = 0;

	if (n == NULL)
		return 0;
	for (i = 0; i < d->n; i++) {
		begin[d->e[i].first / 64] |= DM_BIT64(d->e[i].first % 64);
		dm_xlate_word_store(&n->word[i], d->e[i].word);
	}
	for (i = 0; i < GROUPS; i++) {
		__atomic_store_n(&n->rank[i], rank, __ATOMIC_RELEASE);
		dm_xlate_word_store(&n->begin[i], begin[i]);
		rank += __builtin_popcountll(begin[i]);
	}
	return dm_xlate_node_word(n, DM_XLATE_RUNS);
}

static uint64_t
table_make(struct dm_xlate_pool *pool, const struct draft *d, uint64_t *live)
{
	struct dm_xlate_table *n = dm_xlate_pool_alloc(pool, DM_XLATE_POOL_MAX);
	uint32_t i = 0, j;

	if (n == NULL)
		return 0;
	*live = 0;
	for (j = 0; j < d->n; j++) {
		for (; i < d->e[j].first; i++)
			dm_xlate_word_store(&n->word[i], 0);
		*live += d->e[j].last - i + 1;
		for (; i <= d->e[j].last; i++)
			dm_xlate_word_store(&n->word[i], d->e[j].word);
	}
	for (; i < FANOUT; i++)
		dm_xlate_word_store(&n->word[i], 0);
	return dm_xlate_node_word(n, DM_XLATE_TABLE);
}

uint64_t
dm_xlate_node_make(struct dm_xlate_pool *pool, uint64_t node, const struct dm_xlate_entry *more,
	unsigned int n_more, bool upper)
{
	const unsigned int mini_max = mini_capacity[DM_DIM(mini_capacity) - 1];
	uint32_t at = 0;
	struct draft d;
	unsigned int i;
	uint64_t live, made;

	d.n = 0;
	for (i = 0; i < n_more; i++) {
		draft_copy(&d, node, at, more[i].first);
		d.e[d.n++] = more[i];
		at = more[i].last + 1;
	}
	draft_copy(&d, node, at, FANOUT);
	live = d.n;
	made = d.n > (upper ? UPPER_RUNS_MAX : RUNS_MAX) ? table_make(pool, &d, &live)
		: !upper && d.n <= mini_max              ? mini_make(pool, &d)
							 : runs_make(pool, &d);
	if (made != 0)
		dm_xlate_node_live_set(made, live);
	return made;
}

/* Wide nodes. */

static uint32_t
lane_first(uint32_t lane)
{
	return lane >> DM_XLATE_LANE_SHIFT;
}

uint32_t
dm_xlate_wide_first(uint64_t node, uint32_t first, uint32_t last)
{
	const struct dm_xlate_wide *n = dm_xlate_node(node);
	unsigned int begun = dm_xlate_wide_count(n, first), i;

	/*
	 * Entries are disjoint, so of those that begin at or before `first`, the last live one
	 * reaches furthest.
	 */
	for (i = begun; i > 0; i--) {
		if (n->word[i - 1] == 0)
			continue;
		if (dm_xlate_wide_last(n->lane[i - 1], n->word[i - 1]) >= first)
			return first;
		break;
	}
	for (i = begun; i < DM_XLATE_WIDE_CAPACITY && lane_first(n->lane[i]) <= last; i++)
		if (n->word[i] != 0)
			return lane_first(n->lane[i]);
	return DM_XLATE_WIDE_FANOUT;
}

bool
dm_xlate_wide_clear(uint64_t node, uint32_t first, uint32_t last)
{
	struct dm_xlate_wide *n = dm_xlate_node(node);
	uint64_t live = n->live.bits;
	int i;

	for (i = dm_xlate_wide_count(n, last); i > 0 && lane_first(n->lane[i - 1]) >= first; i--) {
		live -= n->word[i - 1] != 0;
		dm_xlate_word_store(&n->word[i - 1], 0);
	}
	dm_xlate_pool_head_set(&n->live, live);
	return live == 0;
}

uint64_t *
dm_xlate_wide_fit(uint64_t node, uint32_t first, uint32_t last)
{
	struct dm_xlate_wide *n = dm_xlate_node(node);
	unsigned int i = dm_xlate_wide_count(n, first);

	/*
	 * The lane cannot be changed, so it must match. The word is 0, since the caller found
	 * nothing live.
	 */
	if (i == 0 || n->lane[i - 1] != (first << DM_XLATE_LANE_SHIFT | last >> 9) ||
		(i < DM_XLATE_WIDE_CAPACITY && lane_first(n->lane[i]) <= last))
		return NULL;
	return &n->word[i - 1];
}

unsigned int
dm_xlate_wide_entries(uint64_t node, const struct dm_xlate_entry *more, struct dm_xlate_entry *e)
{
	const struct dm_xlate_wide *n = dm_xlate_node(node);
	unsigned int i, count = 0;
	bool added = false;

	for (i = 0; node != 0 && i < DM_XLATE_WIDE_CAPACITY && n->lane[i] != DM_XLATE_NO_LANE;
		i++) {
		if (n->word[i] == 0)
			continue;
		if (!added && lane_first(n->lane[i]) > more->first) {
			e[count++] = *more;
			added = true;
		}
		e[count++] = (struct dm_xlate_entry){lane_first(n->lane[i]),
			dm_xlate_wide_last(n->lane[i], n->word[i]), n->word[i]};
	}
	if (!added)
		e[count++] = *more;
	return count;
}

uint64_t
dm_xlate_wide_make(struct dm_xlate_pool *pool, const struct dm_xlate_entry *e, unsigned int n)
{
	struct dm_xlate_wide *w = dm_xlate_pool_alloc(pool, WIDE_UNITS);
	unsigned int i;

	if (w == NULL)
		return 0;
	for (i = 0; i < n; i++) {
		__atomic_store_n(&w->lane[i], e[i].first << DM_XLATE_LANE_SHIFT | e[i].last >> 9,
			__ATOMIC_RELEASE);
		dm_xlate_word_store(&w->word[i], dm_xlate_word_with_last(e[i].word, e[i].last));
	}
	for (; i < DM_XLATE_WIDE_CAPACITY; i++)
		__atomic_store_n(&w->lane[i], DM_XLATE_NO_LANE, __ATOMIC_RELEASE);
	dm_xlate_pool_head_set(&w->live, n);
	return dm_xlate_node_word(w, DM_XLATE_WIDE);
}
