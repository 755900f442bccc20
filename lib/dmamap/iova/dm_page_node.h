/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A node of the page tree and the bit operations on it. Private to dm_page_*.c.
 *
 * A node of height h has 64 children of 2^(6h) pages each. The children of height 1 are words of 64
 * pages, stored inside the node. All that is known of the children is kept in masks with one bit
 * for each child, so a search tests 64 children at once.
 */

#ifndef DM_PAGE_NODE_H
#define DM_PAGE_NODE_H

#include <stdint.h>

#include "dm_page_tree.h"
#include "dm_util.h"

#define FANOUT 64u
#define SHIFT 6u
#define TOP_HEIGHT 8u /* 2^(6 * (8 + 1)) pages: more than an address space has */

/**
 * Size class of pages: 1 + the order of their largest aligned free block; 0: no page is free.
 * FULL(h) is the class of a wholly free child of a node of height h.
 */
#define FULL(h) (SHIFT * (h) + 1)

/** A word: the state of 64 pages. */
struct dm_page_word {
	uint64_t free; /* free pages */
	uint64_t start; /* first pages of live ranges */
};

struct dm_page_node {
	/** Children with a node or word of their own, because their pages differ in state. */
	uint64_t detail;
	/** Children that have none, and whose first page starts a live range that covers them. */
	uint64_t start;
	unsigned int size; /* size class of the whole node */
	union {
		/**
		 * plane[k], k up to 6h: children of a size class above k, which have a block of
		 * order k.
		 */
		uint64_t plane[SHIFT * TOP_HEIGHT + 1];
		struct {
			uint64_t plane_[SHIFT * TOP_HEIGHT + 1];
			struct dm_page_node *child[FANOUT]; /* valid where detail is set */
		};
		struct {
			uint64_t plane_1[SHIFT + 1];
			struct dm_page_word word[FANOUT]; /* height 1; valid where detail is set */
		};
		struct dm_page_node *next; /* next spare node */
	};
} DM_CACHE_ALIGNED;

/** Pages in a child of a node of height h, minus 1. */
static inline uint64_t
low_mask(unsigned int h)
{
	return (UINT64_C(1) << SHIFT * h) - 1;
}

/** Index of the child of a node of height h that holds the page. */
static inline unsigned int
child_of(uint64_t page, unsigned int h)
{
	return page >> SHIFT * h & (FANOUT - 1);
}

static inline bool
has_bit(uint64_t mask, unsigned int c)
{
	return mask >> c & 1;
}

/** Bits a to b, inclusive. */
static inline uint64_t
bit_range(unsigned int a, unsigned int b)
{
	return UINT64_MAX << a & UINT64_MAX >> (63 - b);
}

/** Children that are wholly free. */
static inline uint64_t
full_children(const struct dm_page_node *node, unsigned int h)
{
	return node->plane[SHIFT * h];
}

#define BYTES(x) (UINT64_C(0x0101010101010101) * (x))

/** Positions at which aligned groups of 2^k bits start. */
static const uint64_t group_starts[SHIFT + 1] = {UINT64_MAX, BYTES(0x55), BYTES(0x11), BYTES(0x01),
	UINT64_C(0x0001000100010001), UINT64_C(0x0000000100000001), 1};

/** One bit at the start of each aligned group of 2^k set bits. */
static inline uint64_t
aligned_groups(uint64_t mask, unsigned int k)
{
	unsigned int j;

	for (j = 0; j < k; j++)
		mask &= mask >> (1u << j);
	return mask & group_starts[k];
}

/** Order of the largest aligned group of set bits. mask is not 0. */
static inline unsigned int
largest_group(uint64_t mask)
{
	unsigned int k;

	for (k = 0; k < SHIFT; k++) {
		mask &= mask >> (1u << k) & group_starts[k + 1];
		if (mask == 0)
			break;
	}
	return k;
}

#endif /* DM_PAGE_NODE_H */
