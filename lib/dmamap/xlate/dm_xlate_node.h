/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Nodes of a translation: layouts, and look-up of a slot's word. Called by dm_xlate.c and inline by
 * dm_xlate_lookup().
 *
 * A GiB with few mappings is one *wide* node: 4 KiB slots, up to 14 entries, no nodes below. Other
 * nodes have 512 slots and one of three layouts, by their number of entries. An entry is a run of
 * slots with one word.
 *
 * - mini: the first slots of up to 16 entries, compared all at once, and a word for each; one to
 *   three cache lines.
 * - runs: a bitmap of first slots, and a word for each; found by rank (popcount), without a search.
 * - table: a word for each slot.
 *
 * Invariant: where the entries of a node begin never changes while readers can see the node. Words
 * do change, each atomically.
 */

#ifndef DM_XLATE_NODE_H
#define DM_XLATE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "dm_util.h"
#include "dm_xlate_pool.h"

#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if !__has_feature(thread_sanitizer)
#define DM_XLATE_SSE 1
#endif
#else
#define DM_XLATE_SSE 1
#endif
#endif
#ifdef DM_XLATE_SSE
#include <emmintrin.h>
#endif

/** Slots of a node that is not wide. */
#define DM_XLATE_FANOUT 512u

/**
 * @name Words
 * Bits 0 to 2 are the kind. Bits 3 to 11 are the last slot of the entry; 0 in tables and flat
 * arrays, whose words cover one slot. The rest is a leaf's value minus key, or a node's address
 * shifted left by 6. A word of 0 is empty.
 */
/**@{*/
#define DM_XLATE_KIND UINT64_C(7)
#define DM_XLATE_LEAF UINT64_C(1)
#define DM_XLATE_TABLE UINT64_C(2)
#define DM_XLATE_RUNS UINT64_C(3)
#define DM_XLATE_MINI UINT64_C(4) /**< and the two kinds above it: 5, 11 and 16 entries */
#define DM_XLATE_WIDE UINT64_C(7) /**< never below another node */
#define DM_XLATE_LAST_SHIFT 3
#define DM_XLATE_PAYLOAD (~UINT64_C(0xfff))
/**@}*/

/** A node with a word for each slot. */
struct dm_xlate_table {
	struct dm_xlate_pool_head live;
	uint8_t pad[DM_XLATE_POOL_UNIT - sizeof(struct dm_xlate_pool_head)];
	uint64_t word[DM_XLATE_FANOUT];
};

/** A node with a bitmap of the slots at which entries begin. */
struct dm_xlate_runs {
	struct dm_xlate_pool_head live;
	/** Entries that begin before each group of 64 slots */
	uint16_t rank[DM_XLATE_FANOUT / 64];
	uint64_t begin[DM_XLATE_FANOUT / 64];
	uint64_t word[];
};

/**
 * A node with a list of the slots at which entries begin. Unused list items are DM_XLATE_NO_SLOT.
 */
struct dm_xlate_mini {
	struct dm_xlate_pool_head live;
	uint16_t first[16]; /**< the smallest kind has only 8, followed by its words */
};

/** First slot of an unused item; above all slots. */
#define DM_XLATE_NO_SLOT 0x7fff

/** Slots of a wide node, each of 4 KiB. */
#define DM_XLATE_WIDE_FANOUT (1u << 18)
/** Entries that a wide node can hold. */
#define DM_XLATE_WIDE_CAPACITY 14u

/**
 * A node for a whole GiB. A lane is the first slot of an entry, shifted left by 12, and the upper 9
 * bits of its last slot; the lower 9 bits are in the word. Unused lanes are DM_XLATE_NO_LANE.
 */
struct dm_xlate_wide {
	struct dm_xlate_pool_head live;
	uint32_t lane[DM_XLATE_WIDE_CAPACITY];
	uint64_t word[DM_XLATE_WIDE_CAPACITY];
};

/** An unused lane; above all slots. */
#define DM_XLATE_NO_LANE 0x7fffffffu
#define DM_XLATE_LANE_SHIFT 12

/** Load a word that the writer may store meanwhile. */
static inline uint64_t
dm_xlate_word_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/** Publish a word; what was stored before is visible to readers that load it. */
static inline void
dm_xlate_word_store(uint64_t *at, uint64_t word)
{
	__atomic_store_n(at, word, __ATOMIC_RELEASE);
}

/** Whether a word points to a node. */
static inline bool
dm_xlate_is_node(uint64_t word)
{
	return (word & DM_XLATE_KIND) > DM_XLATE_LEAF;
}

/** The node or flat array that a word points to. */
static inline void *
dm_xlate_node(uint64_t word)
{
	return (void *)(uintptr_t)(word >> 12 << 6);
}

/** The word that points to a node or flat array. */
static inline uint64_t
dm_xlate_node_word(const void *node, uint64_t kind)
{
	return (uint64_t)(uintptr_t)node << 6 | kind;
}

/** The last slot in a word. */
static inline int
dm_xlate_word_last(uint64_t word)
{
	return word >> DM_XLATE_LAST_SHIFT & (DM_XLATE_FANOUT - 1);
}

/** word if entry number n (from 1) reaches slot i, else 0. Branch-free. */
static inline uint64_t
dm_xlate_word_if_reaches(uint64_t word, int n, int i)
{
	int64_t no = (dm_xlate_word_last(word) - i) | (n - 1);

	return word & ~(no >> 63);
}

/*
 * A late reader may find garbage in a node that was reused, but reads no address beyond
 * DM_XLATE_POOL_TAIL. Its caller discards the result after an epoch check.
 */

/** Number of entries of a bitmap node that begin at or before slot i. */
static inline int
dm_xlate_runs_count(const struct dm_xlate_runs *n, uint32_t i)
{
	uint32_t rank = __atomic_load_n(&n->rank[i / 64], __ATOMIC_ACQUIRE);
	uint64_t begin = dm_xlate_word_load(&n->begin[i / 64]);

	return (rank + __builtin_popcountll(begin << (63 - i % 64))) & (DM_XLATE_FANOUT - 1);
}

/** The words of a mini. */
static inline uint64_t *
dm_xlate_mini_words(const void *mini, uint64_t kind)
{
	return (uint64_t *)((uintptr_t)mini + (kind == DM_XLATE_MINI ? 24 : 40));
}

/** Number of entries of a mini that begin at or before slot i. */
static inline int
dm_xlate_mini_count(const struct dm_xlate_mini *n, uint64_t kind, int i)
{
	const uint32_t lanes = kind == DM_XLATE_MINI ? 0xff : 0xffff;
#ifdef DM_XLATE_SSE
	const __m128i *first = (const __m128i *)(const void *)n->first;
	__m128i at = _mm_set1_epi16(i);
	__m128i above = _mm_packs_epi16(_mm_cmpgt_epi16(_mm_loadu_si128(first), at),
		_mm_cmpgt_epi16(_mm_loadu_si128(first + 1), at));

	return __builtin_popcount(~_mm_movemask_epi8(above) & lanes);
#else
	int count = 0, j;

	for (j = 0; j < 16 && (lanes >> j & 1) != 0; j++)
		count += __atomic_load_n(&n->first[j], __ATOMIC_ACQUIRE) <= i;
	return count;
#endif
}

/** The word of slot i of a mini. */
static inline uint64_t
dm_xlate_mini_lookup(const void *mini, uint64_t kind, uint32_t i)
{
	int n = dm_xlate_mini_count(mini, kind, i);

	return dm_xlate_word_if_reaches(
		dm_xlate_word_load(dm_xlate_mini_words(mini, kind) + n - 1), n, i);
}

/** The word of slot i of a bitmap node or table. */
static inline uint64_t
dm_xlate_large_lookup(uint64_t node, uint32_t i)
{
	const struct dm_xlate_runs *runs = dm_xlate_node(node);
	const struct dm_xlate_table *table = dm_xlate_node(node);
	int n;

	if ((node & DM_XLATE_KIND) == DM_XLATE_TABLE)
		return dm_xlate_word_load(&table->word[i]);
	n = dm_xlate_runs_count(runs, i);
	return dm_xlate_word_if_reaches(dm_xlate_word_load(runs->word + n - 1), n, i);
}

/** The word of slot i of a node that is not wide. */
static inline uint64_t
dm_xlate_node_lookup(uint64_t node, uint32_t i)
{
	if ((node & DM_XLATE_MINI) != 0)
		return dm_xlate_mini_lookup(dm_xlate_node(node), node & DM_XLATE_KIND, i);
	return dm_xlate_large_lookup(node, i);
}

/** Number of entries of a wide node that begin at or before slot i. */
static inline int
dm_xlate_wide_count(const struct dm_xlate_wide *n, uint32_t i)
{
	const int at = i << DM_XLATE_LANE_SHIFT | ((1 << DM_XLATE_LANE_SHIFT) - 1);
#ifdef DM_XLATE_SSE
	/* The node's head fills the first two lanes of the vector, which are masked out. */
	const __m128i *lane = (const __m128i *)(const void *)n;
	const __m128i v = _mm_set1_epi32(at);
	__m128i low = _mm_packs_epi32(_mm_cmpgt_epi32(_mm_load_si128(lane), v),
		_mm_cmpgt_epi32(_mm_load_si128(lane + 1), v));
	__m128i high = _mm_packs_epi32(_mm_cmpgt_epi32(_mm_load_si128(lane + 2), v),
		_mm_cmpgt_epi32(_mm_load_si128(lane + 3), v));

	return __builtin_popcount(~_mm_movemask_epi8(_mm_packs_epi16(low, high)) & 0xfffc);
#else
	unsigned int j;
	int count = 0;

	for (j = 0; j < DM_XLATE_WIDE_CAPACITY; j++)
		count += (int)__atomic_load_n(&n->lane[j], __ATOMIC_ACQUIRE) <= at;
	return count;
#endif
}

/** The last slot of an entry. */
static inline uint32_t
dm_xlate_wide_last(uint32_t lane, uint64_t word)
{
	return (lane & (DM_XLATE_FANOUT - 1)) << 9 | dm_xlate_word_last(word);
}

/**
 * The word of slot i of a wide node, or 0. *last is the last slot of the entry if the word is not
 * 0.
 */
static inline uint64_t
dm_xlate_wide_lookup(const struct dm_xlate_wide *n, uint32_t i, uint32_t *last)
{
	int count = dm_xlate_wide_count(n, i);
	uint32_t lane;
	uint64_t word;

	if (DM_UNLIKELY(count == 0))
		return 0;
	lane = __atomic_load_n(&n->lane[count - 1], __ATOMIC_ACQUIRE);
	word = dm_xlate_word_load(&n->word[count - 1]);
	*last = dm_xlate_wide_last(lane, word);
	return DM_LIKELY(*last >= i) ? word : 0;
}

/* Writer only from here on. */

/** Prefetch what a look-up of slot i will read. A hint. */
static inline void
dm_xlate_node_prefetch(uint64_t node, uint32_t i)
{
	const struct dm_xlate_table *table = dm_xlate_node(node);
	const uint8_t *line = dm_xlate_node(node);

	__builtin_prefetch(line);
	if ((node & DM_XLATE_KIND) == DM_XLATE_TABLE) {
		__builtin_prefetch(&table->word[i]);
		return;
	}
	/* Covers all of a mini or wide node, and most of a bitmap node. */
	__builtin_prefetch(line + DM_XLATE_POOL_UNIT);
	__builtin_prefetch(line + 2 * DM_XLATE_POOL_UNIT);
}

/** The entry or gap that contains a slot i. */
struct dm_xlate_place {
	uint64_t *at; /**< word of the entry, which may be 0; NULL: i is in a gap */
	uint32_t first; /**< first slot of the entry; in a gap: i */
	uint32_t end; /**< slot after the entry or gap; at most 512 */
	uint32_t next; /**< first slot of the next entry; 512: none */
};

/** Find the entry or gap that contains slot i. An entry whose word is 0 extends to the next one. */
struct dm_xlate_place dm_xlate_node_place(uint64_t node, uint32_t i);

/** Number of live entries of a node; in a table, of words that are not 0. */
uint64_t dm_xlate_node_live(uint64_t node);
/** Set the count of dm_xlate_node_live(). */
void dm_xlate_node_live_set(uint64_t node, uint64_t live);

/** The size of a node in pool units. */
unsigned int dm_xlate_node_units(uint64_t node);

/** A run of slots with one word. The word must contain the last slot too. */
struct dm_xlate_entry {
	uint32_t first, last;
	uint64_t word;
};

/** Whether an entry can be added by storing to existing words. */
bool dm_xlate_node_fits(uint64_t node, const struct dm_xlate_entry *e);

/**
 * Create a node with the live entries of another node, and more.
 * @param node   0: no other node
 * @param more   in order and disjoint; an entry replaces one of a single slot, or lies where none
 *   is live
 * @param upper  node of 2 MiB slots; else of 4 KiB slots
 * @return its word; 0: no memory
 */
uint64_t dm_xlate_node_make(struct dm_xlate_pool *pool, uint64_t node,
	const struct dm_xlate_entry *more, unsigned int n_more, bool upper);

/**
 * Find the lowest of slots [first, last] of a wide node that a live entry covers.
 * @return DM_XLATE_WIDE_FANOUT: none
 */
uint32_t dm_xlate_wide_first(uint64_t node, uint32_t first, uint32_t last);

/**
 * Clear the live entries that begin in slots [first, last] of a wide node. @return whether the node
 * is empty now
 */
bool dm_xlate_wide_clear(uint64_t node, uint32_t first, uint32_t last);

/** The word of a wide node that can be stored to for an entry of slots [first, last], or NULL. */
uint64_t *dm_xlate_wide_fit(uint64_t node, uint32_t first, uint32_t last);

/**
 * List the live entries of a wide node (0: none) and one more, in order.
 * @param e  out: DM_XLATE_WIDE_CAPACITY + 1 entries of 4 KiB slots. The last slot within each word
 *   is not set.
 * @return how many
 */
unsigned int dm_xlate_wide_entries(
	uint64_t node, const struct dm_xlate_entry *more, struct dm_xlate_entry *e);

/** Create a wide node of up to DM_XLATE_WIDE_CAPACITY entries. @return its word; 0: no memory */
uint64_t dm_xlate_wide_make(
	struct dm_xlate_pool *pool, const struct dm_xlate_entry *e, unsigned int n);

/** A copy of a word with the last slot of its entry set. */
static inline uint64_t
dm_xlate_word_with_last(uint64_t word, uint32_t last)
{
	return (word & ~((uint64_t)(DM_XLATE_FANOUT - 1) << DM_XLATE_LAST_SHIFT)) |
		(uint64_t)(last & (DM_XLATE_FANOUT - 1)) << DM_XLATE_LAST_SHIFT;
}

#endif /* DM_XLATE_NODE_H */
