/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A radix tree of the pages of an address space: each page is free, live or unusable.
 *
 * Invariant: the tree records where each live range starts, so no other table of live ranges
 * exists. It is the only data structure of the IOVA allocator. Called by dm_iova.c only.
 *
 * Not thread-safe: the caller serialises all calls. Page numbers are IOVAs divided by 4 KiB. All
 * ranges are inclusive.
 */

#ifndef DM_PAGE_TREE_H
#define DM_PAGE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "dm_range_set.h"

/** Bits of a page number: a 64-bit address space of 4 KiB pages. */
#define DM_PAGE_BITS 52
/** The last page number. */
#define DM_PAGE_LAST ((UINT64_C(1) << DM_PAGE_BITS) - 1)
/** No page. */
#define DM_PAGE_NONE UINT64_MAX
/** Most nodes that one reservation or one dm_page_tree_mark() needs. */
#define DM_PAGE_MARK_NODES 16u
/** Most nodes that dm_page_tree_cover() needs. */
#define DM_PAGE_COVER_NODES 8u

struct dm_page_node;

/**
 * The tree.
 *
 * Every node has 64 children and knows, for each, the order of its largest free block that is
 * aligned to its own size. So the lowest aligned block is found by one descent, and free neighbours
 * merge without a search. A child that is wholly free, or wholly in one live range, has no node.
 */
struct dm_page_tree {
	struct dm_page_node *root;
	unsigned int height; /* of the root; its children have 2^(6 * height) pages each */
	uint64_t last; /* last page that the root covers */
	uint64_t n_free; /* free pages */
	/**
	 * Usable ranges in bytes, whole pages. Borrowed from the owner of the tree. The tree cannot
	 * tell the end of a live range from unusable pages that follow it, so it looks here.
	 */
	const struct dm_range_set *usable;
	struct dm_page_node *pool; /* spare nodes that were used before */
	/* spare nodes in the newest slab that were never used */
	struct dm_page_node *fresh, *fresh_end;
	uint64_t n_spare; /* spare nodes of both kinds */
	void *slabs; /* memory of all nodes */
	uint64_t slab_len; /* bytes in slabs */
};

/**
 * Create a tree in which no page is usable.
 * @param usable  borrowed; must outlive the tree, and the owner keeps it up to date.
 * @return 0 or -ENOMEM
 */
int dm_page_tree_init(struct dm_page_tree *t, const struct dm_range_set *usable);

/** Free all memory of the tree. */
void dm_page_tree_fini(struct dm_page_tree *t);

/**
 * Allocate until `nodes` nodes are spare, so that calls which need so many in total cannot fail.
 * Allocates 64 KiB at a time, later 2 MiB, and only when spare nodes run out.
 * @return 0 or -ENOMEM
 */
int dm_page_tree_prepare(struct dm_page_tree *t, uint64_t nodes);

/** Extend the tree to page `last`. Needs DM_PAGE_COVER_NODES spare nodes. */
void dm_page_tree_cover(struct dm_page_tree *t, uint64_t last);

/**
 * Make [first, last] free or unusable. All pages must have been in the other state, and the tree
 * must cover them. Needs DM_PAGE_MARK_NODES spare nodes.
 */
void dm_page_tree_mark(struct dm_page_tree *t, uint64_t first, uint64_t last, bool free);

/** Whether all pages in [first, last] are free. One descent along each end. */
bool dm_page_tree_is_free(const struct dm_page_tree *t, uint64_t first, uint64_t last);

/**
 * Make [first, last] a live range. Needs DM_PAGE_MARK_NODES spare nodes.
 * @return false: not all of it is free; nothing has changed
 */
bool dm_page_tree_reserve(struct dm_page_tree *t, uint64_t first, uint64_t last);

/**
 * Free the live range of n pages that starts at page `first`. Needs no memory.
 * @return 0; -ENOENT: no live range starts there; -EINVAL: it has another length. Nothing has
 *   changed on error.
 */
int dm_page_tree_release(struct dm_page_tree *t, uint64_t first, uint64_t n);

/** Find the first live range that starts at or after page `from`. @return false: none */
bool dm_page_tree_next_live(
	const struct dm_page_tree *t, uint64_t from, uint64_t *first, uint64_t *last);

/** Prefetch what dm_page_tree_release() of [first, last] will read. A hint. */
void dm_page_tree_prefetch(const struct dm_page_tree *t, uint64_t first, uint64_t last);

/**
 * Find the lowest free block of 2^order pages in [lo, hi] that is aligned to its size. Constant
 * time: one descent, and one along each end of [lo, hi].
 * @return its first page, or DM_PAGE_NONE
 */
uint64_t dm_page_tree_block(
	const struct dm_page_tree *t, unsigned int order, uint64_t lo, uint64_t hi);

/**
 * Find the lowest run of n free pages in [lo, hi] whose first page is congruent to phase modulo
 * align. The search is complete. It skips subtrees that cannot hold the run, but a space full of
 * near misses costs a walk over all nodes.
 * @param align  power of two, in pages; phase < align
 * @return its first page, or DM_PAGE_NONE
 */
uint64_t dm_page_tree_run(const struct dm_page_tree *t, uint64_t n, uint64_t align, uint64_t phase,
	uint64_t lo, uint64_t hi);

#endif /* DM_PAGE_TREE_H */
