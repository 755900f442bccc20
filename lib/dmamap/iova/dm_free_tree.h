/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which pages are free, and where is the lowest block that fits? A radix tree of free pages.
 */

#ifndef DM_FREE_TREE_H
#define DM_FREE_TREE_H

#include <stdbool.h>
#include <stdint.h>

/** Page numbers have this many bits: a 64 bit address space of 4 KiB pages. */
#define DM_FREE_TREE_BITS 52
/** Number of the last page there is. */
#define DM_FREE_TREE_LAST ((UINT64_C(1) << DM_FREE_TREE_BITS) - 1)
/** "No such page." */
#define DM_FREE_TREE_NONE UINT64_MAX
/** Nodes that one dm_free_tree_mark() may need at most. */
#define DM_FREE_TREE_MARK_NODES 16

struct dm_free_node;

/**
 * Free pages. Every node has 64 children and knows of each the order of the largest free block in
 * it that is aligned to its own size; so the lowest aligned block is found by one descent, whatever
 * is live, and neighbours merge without being looked for. Subtrees that are wholly free, or were
 * taken in one piece, have no node. Not thread-safe.
 */
struct dm_free_tree {
	struct dm_free_node *root;
	struct dm_free_node *pool; /* spare nodes, used before */
	struct dm_free_node *fresh, *fresh_end; /* those never used, in the newest slab */
	uint64_t n_pool; /* spare nodes of both kinds */
	void *slabs; /* all node memory ever allocated */
	uint64_t slab_len; /* bytes in them */
	uint64_t n_free; /* free pages */
};

/** Make a tree without any free page. @return 0 or -ENOMEM */
int dm_free_tree_init(struct dm_free_tree *t);

/** Free all memory of the tree. */
void dm_free_tree_fini(struct dm_free_tree *t);

/** See to it that marks which need `nodes` more nodes in all cannot fail. @return 0 or -ENOMEM */
int dm_free_tree_reserve(struct dm_free_tree *t, uint64_t nodes);

/**
 * Mark the pages [first, last] free or taken. They all must have been the opposite.
 * Needs DM_FREE_TREE_MARK_NODES reserved nodes, except that freeing what one mark took needs none.
 */
void dm_free_tree_mark(struct dm_free_tree *t, uint64_t first, uint64_t last, bool free);

/** Are all pages in [first, last] free? */
bool dm_free_tree_is_free(const struct dm_free_tree *t, uint64_t first, uint64_t last);

/**
 * The lowest free block of 2^order pages in [lo, hi] that is aligned to its size.
 * Constant time: one descent, plus one along each border of [lo, hi].
 * @return its first page or DM_FREE_TREE_NONE
 */
uint64_t dm_free_tree_block(
	const struct dm_free_tree *t, unsigned int order, uint64_t lo, uint64_t hi);

/**
 * The lowest run of n free pages in [lo, hi] whose first page is congruent to phase modulo align
 * (a power of two; phase < align). Finds it wherever it is; subtrees in which it cannot be are not
 * entered, but a space full of near misses is walked.
 * @return its first page or DM_FREE_TREE_NONE
 */
uint64_t dm_free_tree_run(const struct dm_free_tree *t, uint64_t n, uint64_t align, uint64_t phase,
	uint64_t lo, uint64_t hi);

#endif /* DM_FREE_TREE_H */
