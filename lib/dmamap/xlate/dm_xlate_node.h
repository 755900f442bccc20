/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does a node of a translation look like, and how is a slot's word found in it?
 *
 * A GiB with few mappings is one node of the shape *wide*: slots of 4 KiB, up to 14 entries,
 * nothing below. Else a node has 512 slots and one of three shapes, by how many entries it has; an
 * entry is a run of slots with one word: mini   the first slots of up to 16 entries, compared all
 * at once, and a word each: one to three cache lines runs   a bitmap of first slots, and a word for
 * each; a rank (popcount) finds it, there is no search table  a word for each slot Where the
 * entries of a node begin never changes while readers can see it; words do, each atomically.
 */

#ifndef DM_XLATE_NODE_H
#define DM_XLATE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

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

/** Slots of a node. */
#define DM_XLATE_FANOUT 512u

/**
 * @name Words
 * Bits 0 to 2 are the kind, 3 to 11 the last slot of the entry (0 in tables and flat arrays, whose
 * words are of one slot), the rest a leaf's value minus key, or a node's address shifted left by 6.
 * 0 is nothing.
 */
/**@{*/
#define DM_XLATE_KIND UINT64_C(7)
#define DM_XLATE_LEAF UINT64_C(1)
#define DM_XLATE_TABLE UINT64_C(2)
#define DM_XLATE_RUNS UINT64_C(3)
#define DM_XLATE_MINI UINT64_C(4) /**< and the two kinds above: 5, 11 and 16 entries */
#define DM_XLATE_WIDE UINT64_C(7) /**< not below another node */
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
	uint16_t rank[DM_XLATE_FANOUT / 64]; /**< entries that begin before each 64 slots */
	uint64_t begin[DM_XLATE_FANOUT / 64];
	uint64_t word[];
};

/** A node with a list of the slots at which entries begin; those not in use are beyond all slots.
 */
struct dm_xlate_mini {
	struct dm_xlate_pool_head live;
	uint16_t first[16]; /**< of the smallest kind only 8, and words follow at once */
};

/** Stands for the first slot of an entry that is not there. */
#define DM_XLATE_NO_SLOT 0x7fff

/** Slots of a wide node, each of 4 KiB. */
#define DM_XLATE_WIDE_FANOUT (1u << 18)
/** Entries that a wide node has room for. */
#define DM_XLATE_WIDE_ROOM 14u

/**
 * A node for all of a GiB. A lane is the first slot of an entry, shifted left by 12, and the upper
 * 9 bits of its last slot; the lower 9 bits are in the word. Lanes that are not in use are beyond
 * all slots.
 */
struct dm_xlate_wide {
	struct dm_xlate_pool_head live;
	uint32_t lane[DM_XLATE_WIDE_ROOM];
	uint64_t word[DM_XLATE_WIDE_ROOM];
};

/** Stands for a lane that is not in use. */
#define DM_XLATE_NO_LANE 0x7fffffffu
#define DM_XLATE_LANE_SHIFT 12

static inline uint64_t
dm_xlate_word_load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void
dm_xlate_word_store(uint64_t *at, uint64_t word)
{
	__atomic_store_n(at, word, __ATOMIC_RELEASE);
}

/** Does a word point to a node? */
static inline bool
dm_xlate_is_node(uint64_t word)
{
	return (word & DM_XLATE_KIND) > DM_XLATE_LEAF;
}

/** The node, or flat array, that a word points to. */
static inline void *
dm_xlate_node(uint64_t word)
{
	return (void *)(uintptr_t)(word >> 12 << 6);
}

/** The word for a node, or flat array. */
static inline uint64_t
dm_xlate_node_word(const void *node, uint64_t kind)
{
	return (uint64_t)(uintptr_t)node << 6 | kind;
}

static inline int
dm_xlate_word_last(uint64_t word)
{
	return word >> DM_XLATE_LAST_SHIFT & (DM_XLATE_FANOUT - 1);
}

/** word if entry number n (from 1) reaches slot i, else 0, without a branch. */
static inline uint64_t
dm_xlate_word_if_reaches(uint64_t word, int n, int i)
{
	int64_t no = (dm_xlate_word_last(word) - i) | (n - 1);

	return word & ~(no >> 63);
}

/* What is found in a node that was used again is rubbish, but no address beyond DM_XLATE_POOL_TAIL
 * is touched. */

/** How many entries of `runs` begin at or before slot i. */
static inline int
dm_xlate_runs_count(const struct dm_xlate_runs *n, uint32_t i)
{
	uint32_t rank = __atomic_load_n(&n->rank[i / 64], __ATOMIC_ACQUIRE);
	uint64_t begin = dm_xlate_word_load(&n->begin[i / 64]);

	return (rank + __builtin_popcountll(begin << (63 - i % 64))) & (DM_XLATE_FANOUT - 1);
}

/** The first word of a mini. */
static inline uint64_t *
dm_xlate_mini_words(const void *mini, uint64_t kind)
{
	return (uint64_t *)((uintptr_t)mini + (kind == DM_XLATE_MINI ? 24 : 40));
}

/** How many entries of a mini begin at or before slot i. */
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

/** The word of slot i of a node that is no mini. */
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

/** The word of slot i of a node. */
static inline uint64_t
dm_xlate_node_lookup(uint64_t node, uint32_t i)
{
	if ((node & DM_XLATE_MINI) != 0)
		return dm_xlate_mini_lookup(dm_xlate_node(node), node & DM_XLATE_KIND, i);
	return dm_xlate_large_lookup(node, i);
}

/** How many entries of a wide node begin at or before slot i. */
static inline int
dm_xlate_wide_count(const struct dm_xlate_wide *n, uint32_t i)
{
	const int at = i << DM_XLATE_LANE_SHIFT | ((1 << DM_XLATE_LANE_SHIFT) - 1);
#ifdef DM_XLATE_SSE
	/* The head is the first two lanes, which do not count. */
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

	for (j = 0; j < DM_XLATE_WIDE_ROOM; j++)
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

/** The word of slot i of a wide node. *last is the entry's last slot if the word is not 0. */
static inline uint64_t
dm_xlate_wide_lookup(const struct dm_xlate_wide *n, uint32_t i, uint32_t *last)
{
	int count = dm_xlate_wide_count(n, i);
	uint32_t lane;
	uint64_t word;

	if (unlikely(count == 0))
		return 0;
	lane = __atomic_load_n(&n->lane[count - 1], __ATOMIC_ACQUIRE);
	word = dm_xlate_word_load(&n->word[count - 1]);
	*last = dm_xlate_wide_last(lane, word);
	return likely(*last >= i) ? word : 0;
}

/* For the writer. */

/** Begin to fetch what tells of slot i. */
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
	/* All of a mini or a wide node; of runs, the most. */
	__builtin_prefetch(line + DM_XLATE_POOL_UNIT);
	__builtin_prefetch(line + 2 * DM_XLATE_POOL_UNIT);
}

/** What slot i of a node is in. */
struct dm_xlate_place {
	uint64_t *at; /**< its entry's word, which may be 0; NULL: it is in no entry */
	uint32_t first; /**< the entry's first slot; in no entry: i */
	uint32_t end; /**< the slot after the entry; in no entry: the first slot of the next one; at
			 most 512 */
	uint32_t next; /**< the first slot of the next entry */
};

/** Find what slot i is in. An entry whose word is 0 reaches to the next one. */
struct dm_xlate_place dm_xlate_node_place(uint64_t node, uint32_t i);

/** Words of a node that are not 0. */
uint64_t dm_xlate_node_live(uint64_t node);
/** @see dm_xlate_node_live() */
void dm_xlate_node_live_set(uint64_t node, uint64_t live);

/** The size of a node in units of the pool. */
unsigned int dm_xlate_node_units(uint64_t node);

/** A run of slots that shall have a word. Its last slot must be in the word, too. */
struct dm_xlate_entry {
	uint32_t first, last;
	uint64_t word;
};

/** Can the entry be made by storing to words that are there? */
bool dm_xlate_node_fits(uint64_t node, const struct dm_xlate_entry *e);

/**
 * Make a node with the live entries of another, and some more.
 * @param node    0: no other
 * @param more    in order and disjoint; they may replace an entry of one slot, else they lie where
 * none is live
 * @return its word, or 0: no memory
 */
uint64_t dm_xlate_node_make(struct dm_xlate_pool *pool, uint64_t node,
	const struct dm_xlate_entry *more, unsigned int n_more, bool may_be_mini);

/** The lowest of the slots [first, last] of a wide node that is in a live entry;
 * DM_XLATE_WIDE_FANOUT: none is. */
uint32_t dm_xlate_wide_first(uint64_t node, uint32_t first, uint32_t last);

/** Clear the live entries in slots [first, last]. @return whether the node is empty now */
bool dm_xlate_wide_clear(uint64_t node, uint32_t first, uint32_t last);

/** The word of a wide node that can be stored to for an entry of slots [first, last], or NULL. */
uint64_t *dm_xlate_wide_fit(uint64_t node, uint32_t first, uint32_t last);

/**
 * The live entries of a wide node (0: none) and one more, in order.
 * @param e  room for DM_XLATE_WIDE_ROOM + 1; first and last are slots of 4 KiB; the last in the
 * words is unset
 * @return how many
 */
unsigned int dm_xlate_wide_entries(
	uint64_t node, const struct dm_xlate_entry *more, struct dm_xlate_entry *e);

/** Make a wide node of up to DM_XLATE_WIDE_ROOM entries. @return its word, or 0: no memory */
uint64_t dm_xlate_wide_make(
	struct dm_xlate_pool *pool, const struct dm_xlate_entry *e, unsigned int n);

/** The word with the last slot of its entry set. */
static inline uint64_t
dm_xlate_word_with_last(uint64_t word, uint32_t last)
{
	return (word & ~((uint64_t)(DM_XLATE_FANOUT - 1) << DM_XLATE_LAST_SHIFT)) |
		(uint64_t)(last & (DM_XLATE_FANOUT - 1)) << DM_XLATE_LAST_SHIFT;
}

#endif /* DM_XLATE_NODE_H */
