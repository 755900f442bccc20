/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Searches of the page tree: the lowest free block and the lowest free run.
 *
 * Invariant: a search reads the tree only and never changes it. Called by dm_iova.c through
 * dm_page_tree.h.
 */

#include "dm_page_node.h"
#include "dm_util.h"

/* Blocks. */

/** A node, its height and first page, and those of its children that have a block of the order. */
struct place {
	const struct dm_page_node *node;
	unsigned int h;
	uint64_t base, children;
};

/** Children that contain a block of the order, or with which a larger one starts. */
static inline uint64_t
node_children_with(const struct dm_page_node *node, unsigned int h, unsigned int order)
{
	if (order < SHIFT * h)
		return node->plane[order];
	return aligned_groups(full_children(node, h), order - SHIFT * h);
}

/** The first page of the lowest block below a place. */
static inline uint64_t
place_lowest_block(struct place p, unsigned int order)
{
	for (;; p.h--) {
		unsigned int c = __builtin_ctzll(p.children);

		p.base += (uint64_t)c << SHIFT * p.h;
		if (!has_bit(p.node->detail, c))
			return p.base;
		if (p.h == 1)
			return p.base +
				__builtin_ctzll(aligned_groups(p.node->word[c].free, order));
		p.node = p.node->child[c];
		p.children = node_children_with(p.node, p.h - 1, order);
	}
}

/** The first page of the lowest block that starts at or after lo. */
static uint64_t
tree_block_from(const struct dm_page_tree *t, unsigned int order, uint64_t lo)
{
	struct place p = {t->root, t->height, 0, 0}, best = {0};

	/*
	 * lo is a multiple of the block size. On the descent, remember the last place to its right.
	 */
	for (;; p.h--) {
		unsigned int c = child_of(lo, p.h);
		uint64_t right, children;

		children = node_children_with(p.node, p.h, order);
		if ((lo & low_mask(p.h)) == 0) {
			/* All of child c is at or to the right of lo. */
			p.children = children & UINT64_MAX << c;
			if (p.children != 0)
				best = p;
			break;
		}
		right = children & UINT64_MAX << c & ~(UINT64_C(1) << c);
		if (right != 0) {
			p.children = right;
			best = p;
		}
		if (!has_bit(children, c))
			break;
		if (!has_bit(p.node->detail, c))
			return lo;
		if (p.h == 1) {
			uint64_t starts = aligned_groups(p.node->word[c].free, order) &
				UINT64_MAX << (lo & (FANOUT - 1));

			if (starts != 0)
				return (lo & ~low_mask(1)) + __builtin_ctzll(starts);
			break;
		}
		p.base = lo & ~low_mask(p.h);
		p.node = p.node->child[c];
	}
	return best.node != NULL ? place_lowest_block(best, order) : DM_PAGE_NONE;
}

uint64_t
dm_page_tree_block(const struct dm_page_tree *t, unsigned int order, uint64_t lo, uint64_t hi)
{
	uint64_t size = UINT64_C(1) << order, at;

	hi = DM_MIN(hi, t->last);
	lo = (lo + size - 1) & ~(size - 1);
	if (order > SHIFT * (t->height + 1) || lo > hi)
		return DM_PAGE_NONE;
	at = tree_block_from(t, order, lo);
	return at <= hi && hi - at >= size - 1 ? at : DM_PAGE_NONE;
}

/* Runs. */

/** State of a search for a run: the request, and the free run that ends at the current position. */
struct run_walk {
	uint64_t n, align, phase, lo, hi;
	/* a subtree without a block of this order contributes at most its ends */
	unsigned int enter;
	uint64_t start, end; /* the current free run: [start, end) */
};

/** Append the free pages [first, last]. @return true: the run is found; it begins at w->start */
static bool
run_extend(struct run_walk *w, uint64_t first, uint64_t last)
{
	uint64_t at;

	first = DM_MAX(first, w->lo);
	last = DM_MIN(last, w->hi);
	if (first > last)
		return false;
	if (first != w->end || w->start == w->end)
		w->start = first;
	w->end = last + 1;

	at = (w->start & ~(w->align - 1)) | w->phase;
	if (at < w->start)
		at += w->align;
	if (at > last || last - at < w->n - 1)
		return false;
	w->start = at;
	return true;
}

static bool
run_extend_word(struct run_walk *w, uint64_t base, uint64_t bits)
{
	while (bits != 0) {
		unsigned int a = __builtin_ctzll(bits);
		uint64_t rest = ~(bits >> a);
		unsigned int n = rest != 0 ? __builtin_ctzll(rest) : 64;

		if (run_extend(w, base + a, base + a + n - 1))
			return true;
		if (a + n == 64)
			break;
		bits &= UINT64_MAX << (a + n);
	}
	return false;
}

/** Free pages at the start of a node. The node is not wholly free. */
static uint64_t
node_leading_free(const struct dm_page_node *node, unsigned int h)
{
	unsigned int c = __builtin_ctzll(~full_children(node, h));
	uint64_t n = (uint64_t)c << SHIFT * h;

	if (!has_bit(node->detail, c))
		return n;
	if (h == 1)
		return n + __builtin_ctzll(~node->word[c].free);
	return n + node_leading_free(node->child[c], h - 1);
}

/** Free pages at the end of a node. The node is not wholly free. */
static uint64_t
node_trailing_free(const struct dm_page_node *node, unsigned int h)
{
	unsigned int c = __builtin_clzll(~full_children(node, h));
	uint64_t n = (uint64_t)c << SHIFT * h;

	c = FANOUT - 1 - c;
	if (!has_bit(node->detail, c))
		return n;
	if (h == 1)
		return n + __builtin_clzll(~node->word[c].free);
	return n + node_trailing_free(node->child[c], h - 1);
}

/** Visit only the ends of a subtree: no run that is long enough lies within it. */
static bool
run_walk_ends(struct run_walk *w, const struct dm_page_node *node, unsigned int h, uint64_t at,
	uint64_t last)
{
	uint64_t head = node_leading_free(node, h), tail = node_trailing_free(node, h);

	return (head > 0 && run_extend(w, at, at + head - 1)) ||
		(tail > 0 && run_extend(w, last - tail + 1, last));
}

static bool
run_walk(struct run_walk *w, const struct dm_page_node *node, unsigned int h, uint64_t base)
{
	unsigned int from = w->lo > base ? (w->lo - base) >> SHIFT * h : 0;
	uint64_t enter = w->enter <= SHIFT * h ? node->plane[w->enter] : 0;
	uint64_t mask = from < FANOUT ? node->plane[0] & UINT64_MAX << from : 0;

	for (; mask != 0; mask &= mask - 1) {
		unsigned int c = __builtin_ctzll(mask);
		uint64_t at = base + ((uint64_t)c << SHIFT * h), last = at + low_mask(h);
		bool found;

		if (at > w->hi)
			break;
		if (has_bit(full_children(node, h), c))
			found = run_extend(w, at, last);
		else if (h == 1)
			found = run_extend_word(w, at, node->word[c].free);
		else if (has_bit(enter, c))
			found = run_walk(w, node->child[c], h - 1, at);
		else
			found = run_walk_ends(w, node->child[c], h - 1, at, last);
		if (found)
			return true;
	}
	return false;
}

/** An order such that any subtree that contains a whole run has a free block of it. */
static unsigned int
run_least_order(uint64_t n, uint64_t align, uint64_t phase)
{
	unsigned int begins, holds = 0;

	/* A run whose largest aligned block is 2^m has at most 2^(m+2) - 2 pages. */
	while ((UINT64_C(4) << holds) - 2 < n)
		holds++;
	/* The start of the run is aligned to 2^begins at least, so such a block lies there. */
	begins = __builtin_ctzll(phase != 0 ? phase : align);
	begins = DM_MIN(begins, 63u - __builtin_clzll(n));
	return DM_MAX(holds, begins);
}

uint64_t
dm_page_tree_run(const struct dm_page_tree *t, uint64_t n, uint64_t align, uint64_t phase,
	uint64_t lo, uint64_t hi)
{
	struct run_walk w = {n, align, phase, lo, hi, run_least_order(n, align, phase), 0, 0};

	if (lo > hi)
		return DM_PAGE_NONE;
	return run_walk(&w, t->root, t->height, 0) ? w.start : DM_PAGE_NONE;
}
