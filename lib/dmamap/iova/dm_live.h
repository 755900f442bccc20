/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which ranges are out, and how long is each? A hash table that threads read without a lock.
 */

#ifndef DM_LIVE_H
#define DM_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

/**
 * @name The word of a range
 * Its IOVA, and below its 12 bits for: is it an entry, is it live, what kind of length it has, and
 * a count of its lives, so that two threads which give the same range back cannot both succeed.
 *
 * A range of more than DM_LIVE_SHORT pages is aligned to its block, the power of two that holds it;
 * so the page bits below that are 0, and the word has in them how many pages of the block it does
 * not have. An exact length thus needs no memory but the word.
 */
/**@{*/
#define DM_LIVE_ENTRY UINT64_C(0x001)
#define DM_LIVE_LIVE UINT64_C(0x002) /**< not set: kept in a cache, free for the next taker */
#define DM_LIVE_KIND_SHIFT                                                                         \
	2 /**< bits 2 to 7: pages less 1 if short, else DM_LIVE_KIND_BLOCK + order */
#define DM_LIVE_KIND_MASK UINT64_C(0x0fc)
#define DM_LIVE_LIFE UINT64_C(0x100) /**< one life, in bits 8 to 11 */
#define DM_LIVE_LIFE_MASK UINT64_C(0xf00)
/** A place where an entry was: searches go on behind it. */
#define DM_LIVE_GRAVE UINT64_C(0x004)
/** Kind of ranges of more than DM_LIVE_SHORT pages, less the order of their block. */
#define DM_LIVE_KIND_BLOCK 26u
/** Kind of ranges that are in no class, or not aligned: their length is in len[]. */
#define DM_LIVE_KIND_OTHER 63u
/**@}*/

/**
 * @name Classes of lengths
 * What lies in one magazine has one length: 1 to 32 pages have a class each; above, each doubling
 * has eight, up to 2 GiB. A range in a class may get more pages than were asked for, its padding:
 * less than one for each eight.
 */
/**@{*/
#define DM_LIVE_SHORT 32u
#define DM_LIVE_SHORT_ORDER 5u
#define DM_LIVE_STEP_BITS 3u /**< 2^3 classes each doubling */
#define DM_LIVE_MAX_ORDER 19u
#define DM_LIVE_CLASSES                                                                            \
	(DM_LIVE_SHORT + ((DM_LIVE_MAX_ORDER - DM_LIVE_SHORT_ORDER) << DM_LIVE_STEP_BITS))
#define DM_LIVE_CLASS_NONE UINT32_MAX /**< longer */
/**@}*/

/** Order of the longest range there can be. */
#define DM_LIVE_LAST_ORDER 52u
/** "No such entry." */
#define DM_LIVE_NONE UINT64_MAX

/**
 * Ranges by their first IOVA and the order of their length: of each order, eight that could lie
 * side by side share a cache line. So what a thread took at one time is dense in the caches, and
 * little of it in other threads' lines.
 *
 * Words are read and live bits changed by any thread; entries are added and removed by the one who
 * holds the space's lock; the arrays change only while no other thread looks at them.
 */
struct dm_live_table {
	uint64_t *word; /* 0: never used */
	uint64_t *len; /* bytes; for DM_LIVE_KIND_OTHER only */
	uint64_t mask; /* number of words less 1 */
	unsigned int shift;
	/* Others read what is above, all the time; these are written by the one with the lock. */
	uint64_t n __rte_cache_aligned; /* entries */
	uint64_t n_used; /* entries and graves */
};

/** What follows from a length. */
struct dm_live_shape {
	uint64_t key; /**< what the word of such a range has beside its IOVA, lives and live bit */
	uint64_t align; /**< bytes; ranges that are not aligned to it are of the kind OTHER */
	unsigned int order; /**< of the smallest power of two that holds it, in pages */
	unsigned int class; /**< DM_LIVE_CLASS_NONE: no magazine holds such ranges */
};

/** Make an empty table. @return 0 or -ENOMEM */
int dm_live_init(struct dm_live_table *t);

/** Free it. */
void dm_live_fini(struct dm_live_table *t);

/** Has it become so full that `more` entries need a larger table (or one without graves)? */
bool dm_live_is_full(const struct dm_live_table *t, uint64_t more);

/**
 * Make another table of fitting size with all entries of old and room for `more`.
 * @return 0 or -ENOMEM
 */
int dm_live_rebuild(struct dm_live_table *t, const struct dm_live_table *old, uint64_t more);

/**
 * Add an entry.
 * @param word  as dm_live_word() makes it, or with other bits beside
 * @param len   bytes
 * @return its index
 */
uint64_t dm_live_add(struct dm_live_table *t, uint64_t word, uint64_t len);

/** Remove entry i. */
void dm_live_remove(struct dm_live_table *t, uint64_t i);

/** Let go of the padding of entry i, whose word is given: from now on its length is in len[]. No
 * other thread looks. */
void dm_live_unpad(struct dm_live_table *t, uint64_t i, uint64_t word);

/**
 * Find the range that starts at iova (page aligned) though nobody knows its length. Slow.
 * @param pages  a guess
 */
uint64_t dm_live_find_start(
	const struct dm_live_table *t, uint64_t iova, uint64_t pages, uint64_t *word);

/** Find the range with padding that page `page` (its number) is in; the caller knows that no thread
 * looks. */
uint64_t dm_live_find_padded(const struct dm_live_table *t, uint64_t page, uint64_t *word);

/** Order of the smallest power of two that is not below n; n is not 0. */
static inline unsigned int
dm_live_order(uint64_t n)
{
	return n > 1 ? 64 - __builtin_clzll(n - 1) : 0;
}

/** What follows from a length of so many pages, not 0. */
static inline struct dm_live_shape
dm_live_shape(uint64_t pages)
{
	const uint64_t x = pages - 1;
	struct dm_live_shape shape = {.order = dm_live_order(pages)};
	uint64_t block = UINT64_C(1) << shape.order;
	unsigned int above;

	if (pages <= DM_LIVE_SHORT) {
		shape.class = x;
		shape.align = (pages & x) == 0 ? pages << 12 : 1u << 12;
		shape.key = x << DM_LIVE_KIND_SHIFT | DM_LIVE_ENTRY;
		return shape;
	}
	/* The three bits behind the highest one of the last page's number say which eighth. */
	above = shape.order - 1 - DM_LIVE_SHORT_ORDER;
	shape.class = DM_LIVE_SHORT + (above << DM_LIVE_STEP_BITS) +
		(x >> (shape.order - 1 - DM_LIVE_STEP_BITS) & ((1u << DM_LIVE_STEP_BITS) - 1));
	shape.align = block << 12;
	shape.key = (block - pages) << 12 |
		(uint64_t)(DM_LIVE_KIND_BLOCK + shape.order) << DM_LIVE_KIND_SHIFT | DM_LIVE_ENTRY;
	if (unlikely(shape.order > DM_LIVE_MAX_ORDER)) {
		shape.class = DM_LIVE_CLASS_NONE;
		shape.align = UINT64_C(1) << 12;
		shape.key = DM_LIVE_KIND_OTHER << DM_LIVE_KIND_SHIFT | DM_LIVE_ENTRY;
	}
	return shape;
}

/** The pages of a range of a class. */
static inline uint64_t
dm_live_class_pages(unsigned int class)
{
	unsigned int above = (class - DM_LIVE_SHORT) >> DM_LIVE_STEP_BITS;
	unsigned int eighths = (class - DM_LIVE_SHORT) & ((1u << DM_LIVE_STEP_BITS) - 1);

	if (class < DM_LIVE_SHORT)
		return class + 1;
	return ((1u << DM_LIVE_STEP_BITS) + eighths + UINT64_C(1))
		<< (DM_LIVE_SHORT_ORDER - DM_LIVE_STEP_BITS + above);
}

/** With padding: the pages that a range of so many gets in its class; as many if it has none. */
static inline uint64_t
dm_live_padded(uint64_t pages)
{
	unsigned int class = dm_live_shape(pages).class;

	return class != DM_LIVE_CLASS_NONE ? dm_live_class_pages(class) : pages;
}

/** The kind in a word. */
static inline unsigned int
dm_live_kind(uint64_t word)
{
	return (word & DM_LIVE_KIND_MASK) >> DM_LIVE_KIND_SHIFT;
}

/** The page bits in a word that are not of its IOVA. */
static inline uint64_t
dm_live_pad_mask(uint64_t word)
{
	unsigned int kind = dm_live_kind(word);

	if (kind < DM_LIVE_SHORT || kind == DM_LIVE_KIND_OTHER)
		return 0;
	return ((UINT64_C(1) << (kind - DM_LIVE_KIND_BLOCK)) - 1) << 12;
}

/** The IOVA in a word. */
static inline uint64_t
dm_live_iova(uint64_t word)
{
	return word & ~UINT64_C(0xfff) & ~dm_live_pad_mask(word);
}

/** The length of entry i, whose word is given, in bytes. */
static inline uint64_t
dm_live_len(const struct dm_live_table *t, uint64_t i, uint64_t word)
{
	unsigned int kind = dm_live_kind(word);
	uint64_t mask = dm_live_pad_mask(word);

	if (kind == DM_LIVE_KIND_OTHER)
		return __atomic_load_n(&t->len[i], __ATOMIC_RELAXED);
	return kind < DM_LIVE_SHORT ? (kind + UINT64_C(1)) << 12
				    : mask + (1u << 12) - (word & mask);
}

/** The same with its padding. */
static inline uint64_t
dm_live_padded_len(const struct dm_live_table *t, uint64_t i, uint64_t word)
{
	uint64_t len = dm_live_len(t, i, word);

	return dm_live_pad_mask(word) != 0 ? dm_live_padded(len >> 12) << 12 : len;
}

/** The word of a range of so many pages that is live, or not; `padded`: it has all pages of its
 * class. */
static inline uint64_t
dm_live_word(uint64_t iova, uint64_t pages, bool padded, bool live)
{
	struct dm_live_shape shape = dm_live_shape(pages);
	uint64_t key = shape.key;

	if ((iova & (shape.align - 1)) != 0 || (!padded && dm_live_padded(pages) != pages))
		key = DM_LIVE_KIND_OTHER << DM_LIVE_KIND_SHIFT | DM_LIVE_ENTRY;
	return iova | key | (live ? DM_LIVE_LIVE : 0);
}

/** Where the search for a range begins. */
static inline uint64_t
dm_live_home(const struct dm_live_table *t, uint64_t iova, unsigned int order)
{
	/* The golden ratio spreads neighbours evenly; each order begins elsewhere. */
	uint64_t line = (iova >> 15 >> order) * UINT64_C(0x9e3779b97f4a7c15);

	line = (line + order * UINT64_C(0xd1b54a32d192ed03)) >> t->shift;
	return line << 3 | (iova >> 12 >> order & 7);
}

/** Begin to fetch word i, so that it can be written: another thread's copy of the line is given up
 * at once. */
static inline void
dm_live_prefetch(const struct dm_live_table *t, uint64_t i)
{
#ifdef RTE_ARCH_X86_64
	/* The compiler's own says so only when it compiles for newer CPUs; older ones ignore it. */
	__asm__ volatile("prefetchw %0" : : "m"(t->word[i]));
#else
	__builtin_prefetch(&t->word[i], 1);
#endif
}

/**
 * Find the range with a key, iova | shape.key.
 * @param i  where the search begins
 * @return its index, and its word; DM_LIVE_NONE
 */
static inline uint64_t
dm_live_find(const struct dm_live_table *t, uint64_t i, uint64_t key, uint64_t *word)
{
	for (;; i = (i + 1) & t->mask) {
		uint64_t w = __atomic_load_n(&t->word[i], __ATOMIC_ACQUIRE);

		if (likely(((w ^ key) & ~(DM_LIVE_LIVE | DM_LIVE_LIFE_MASK)) == 0)) {
			*word = w;
			return i;
		}
		if (w == 0)
			return DM_LIVE_NONE;
	}
}

/** A live range becomes free, but stays an entry. @return false: somebody else was faster */
static inline bool
dm_live_end(struct dm_live_table *t, uint64_t i, uint64_t word)
{
	return __atomic_compare_exchange_n(&t->word[i], &word, word & ~DM_LIVE_LIVE, false,
		__ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/** The next life of an entry that the caller alone possesses: word is what it was, key what it will
 * be. */
static inline void
dm_live_begin(struct dm_live_table *t, uint64_t i, uint64_t word, uint64_t key)
{
	uint64_t life = (word + DM_LIVE_LIFE) & DM_LIVE_LIFE_MASK;

	__atomic_store_n(&t->word[i], key | life | DM_LIVE_LIVE, __ATOMIC_RELEASE);
}

#endif /* DM_LIVE_H */
