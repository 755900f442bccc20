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
 * Its IOVA, and below its 12 bits for: is it an entry, is it live, the class of its length, and a count of its lives,
 * so that two threads which give the same range back cannot both succeed.
 */
/**@{*/
#define DM_LIVE_ENTRY UINT64_C(0x001)
#define DM_LIVE_LIVE UINT64_C(0x002) /**< not set: kept in a cache, free for the next taker */
#define DM_LIVE_CLASS_SHIFT 2
#define DM_LIVE_CLASS_MASK UINT64_C(0x0fc)
#define DM_LIVE_LIFE UINT64_C(0x100) /**< one life, in bits 8 to 11 */
#define DM_LIVE_LIFE_MASK UINT64_C(0xf00)
#define DM_LIVE_IOVA_MASK (~UINT64_C(0xfff))
/** A place where an entry was: searches go on behind it. */
#define DM_LIVE_GRAVE UINT64_C(0x004)
/**@}*/

/**
 * @name Classes of lengths
 * 1 to 32 pages have a class each, then the powers of two up to 2 GiB.
 */
/**@{*/
#define DM_LIVE_CLASS_PAGES 32u /**< so many lengths, from one page on */
#define DM_LIVE_CLASSES 46u
#define DM_LIVE_CLASS_OTHER 63u /**< any other length, which is in len[] */
/**@}*/

/** "No such entry." */
#define DM_LIVE_NONE UINT64_MAX

/**
 * Ranges by their first IOVA. Ranges within the same 32 KiB share a cache line.
 *
 * Words are read and live bits changed by any thread; entries are added and removed by the one who holds
 * the space's lock; the arrays change only while no other thread looks at them.
 */
struct dm_live_table {
	uint64_t *word; /* 0: never used */
	uint64_t *len;	/* bytes; for DM_LIVE_CLASS_OTHER only */
	uint64_t mask;	/* number of words less 1 */
	unsigned int shift;
	uint64_t n;	 /* entries */
	uint64_t n_used; /* entries and graves */
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

/** Add an entry. @return its index */
uint64_t dm_live_add(struct dm_live_table *t, uint64_t iova, uint64_t len, bool live);

/** Remove entry i. */
void dm_live_remove(struct dm_live_table *t, uint64_t i);

/** The class of so many pages, not 0. */
static inline unsigned int
dm_live_class(uint64_t pages)
{
	unsigned int class;

	if (likely(pages <= DM_LIVE_CLASS_PAGES))
		return pages - 1;
	class = DM_LIVE_CLASS_PAGES + __builtin_ctzll(pages / DM_LIVE_CLASS_PAGES) - 1;
	return (pages & (pages - 1)) == 0 && class < DM_LIVE_CLASSES ? class : DM_LIVE_CLASS_OTHER;
}

/** The pages of a class, but DM_LIVE_CLASS_OTHER. */
static inline uint64_t
dm_live_class_pages(unsigned int class)
{
	if (likely(class < DM_LIVE_CLASS_PAGES))
		return class + 1;
	return (uint64_t)DM_LIVE_CLASS_PAGES << (class - DM_LIVE_CLASS_PAGES + 1);
}

/** The word of a range of len bytes. */
static inline uint64_t
dm_live_word(uint64_t iova, uint64_t len, bool live)
{
	uint64_t class = dm_live_class(len >> 12);

	return iova | class << DM_LIVE_CLASS_SHIFT | (live ? DM_LIVE_LIVE : 0) | DM_LIVE_ENTRY;
}

/** The class in a word. */
static inline unsigned int
dm_live_class_of(uint64_t word)
{
	return (word & DM_LIVE_CLASS_MASK) >> DM_LIVE_CLASS_SHIFT;
}

/** The length of entry i, whose word is given, in bytes. */
static inline uint64_t
dm_live_len(const struct dm_live_table *t, uint64_t i, uint64_t word)
{
	unsigned int class = dm_live_class_of(word);

	if (likely(class != DM_LIVE_CLASS_OTHER))
		return dm_live_class_pages(class) << 12;
	return __atomic_load_n(&t->len[i], __ATOMIC_RELAXED);
}

/** Where the search for an IOVA begins. */
static inline uint64_t
dm_live_home(const struct dm_live_table *t, uint64_t iova)
{
	uint64_t line = (iova >> 15) * UINT64_C(0x9e3779b97f4a7c15) >> t->shift;

	return line << 3 | (iova >> 12 & 7);
}

/** Find the range that starts at iova (page aligned). @return its index, and its word; DM_LIVE_NONE */
static inline uint64_t
dm_live_find(const struct dm_live_table *t, uint64_t iova, uint64_t *word)
{
	uint64_t i = dm_live_home(t, iova);

	for (;; i = (i + 1) & t->mask) {
		uint64_t w = __atomic_load_n(&t->word[i], __ATOMIC_ACQUIRE);

		if (likely(((w ^ iova) & (DM_LIVE_IOVA_MASK | DM_LIVE_ENTRY)) == DM_LIVE_ENTRY)) {
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

/** The next life of an entry that the caller alone possesses; word is what it was. */
static inline void
dm_live_begin(struct dm_live_table *t, uint64_t i, uint64_t word)
{
	uint64_t life = (word + DM_LIVE_LIFE) & DM_LIVE_LIFE_MASK;

	__atomic_store_n(&t->word[i], (word & ~DM_LIVE_LIFE_MASK) | life | DM_LIVE_LIVE,
		__ATOMIC_RELEASE);
}

#endif /* DM_LIVE_H */
