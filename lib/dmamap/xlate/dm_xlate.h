/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where is this address? One direction of translation: a key range maps to a value range.
 */

#ifndef DM_XLATE_H
#define DM_XLATE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>

#include "dmamap.h"
#include "dm_xlate_node.h"

/** Keys and values are multiples of this, and so are lengths. */
#define DM_XLATE_GRANULE UINT64_C(4096)
/** What a look-up says of an address that is not there. Equal to RTE_BAD_IOVA. */
#define DM_XLATE_NONE UINT64_MAX

/** What a reader needs of a table; it is made by dm_xlate_create() only. */
struct dm_xlate {
	uint64_t *low; /**< a word for each GiB of keys below 2^48 */
	uint64_t *root; /**< a word for each 2^48 keys */
	uint64_t epoch; /**< see dm_xlate_pool.h */
};

/**
 * Make an empty table.
 * @param rcu  readers to wait for before memory of the table is used again, or NULL: then memory
 * that a reader could still see is kept until dm_xlate_destroy().
 * @return 0 or -ENOMEM.
 */
int dm_xlate_create(struct rte_rcu_qsbr *rcu, struct dm_xlate **x);

/** Free the table. No reader may be inside. */
void dm_xlate_destroy(struct dm_xlate *x);

/**
 * Let [key, key + len - 1] translate to [val, val + len - 1]. One writer at a time; readers may
 * run.
 * @return 0; -EINVAL: 0 length, no granule multiple, wrap-around; -EEXIST: part of it translates
 * already; -ENOMEM. Nothing changed then.
 */
int dm_xlate_insert(struct dm_xlate *x, uint64_t key, uint64_t val, uint64_t len);

/**
 * Let a range that one dm_xlate_insert() made translate to nothing. Cannot fail, allocates nothing.
 * One writer at a time; readers may run: each sees the old translation or none.
 */
void dm_xlate_remove(struct dm_xlate *x, uint64_t key, uint64_t len);

/** dm_xlate_lookup() for all keys, from the beginning. */
uint64_t dm_xlate_lookup_slow(const struct dm_xlate *x, uint64_t key);
/** dm_xlate_lookup() for a key whose GiB has this word; the epoch was read before it. */
uint64_t dm_xlate_lookup_below(
	const struct dm_xlate *x, uint64_t key, uint64_t word, uint64_t epoch);

/** The epoch now. */
static inline uint64_t
dm_xlate_epoch(const struct dm_xlate *x)
{
	return __atomic_load_n(&x->epoch, __ATOMIC_ACQUIRE);
}

/** Translate. Lock-free, any thread, registered with the RCU variable or not. @return the value, or
 * DM_XLATE_NONE. */
static inline uint64_t
dm_xlate_lookup(const struct dm_xlate *x, uint64_t key)
{
	uint64_t epoch = dm_xlate_epoch(x), word, leaf;

	if (unlikely(key >> 48 != 0))
		return dm_xlate_lookup_slow(x, key);
	word = dm_xlate_word_load(&x->low[key >> 30]);
	/* Here: 1 GiB pages, and a GiB full of 2 MiB pages. */
	if ((word & DM_XLATE_KIND) == DM_XLATE_TABLE) {
		const struct dm_xlate_table *t = dm_xlate_node(word);

		leaf = dm_xlate_word_load(&t->word[key >> 21 & (DM_XLATE_FANOUT - 1)]);
		if (likely((leaf & DM_XLATE_KIND) == DM_XLATE_LEAF && dm_xlate_epoch(x) == epoch))
			return key + (leaf & DM_XLATE_PAYLOAD);
	} else if ((word & DM_XLATE_KIND) == DM_XLATE_LEAF) {
		return key + (word & DM_XLATE_PAYLOAD);
	}
	return dm_xlate_lookup_below(x, key, word, epoch);
}

/**
 * Translate a run.
 * @param len  in: bytes wanted from key on; out: how many of them are contiguous in value too (0:
 * none).
 * @return the value of key, or DM_XLATE_NONE.
 */
uint64_t dm_xlate_lookup_run(const struct dm_xlate *x, uint64_t key, uint64_t *len);

/** The lowest key in [key, last] that translates. Of the writer. @return false: none does */
bool dm_xlate_first(const struct dm_xlate *x, uint64_t key, uint64_t last, uint64_t *found);

/** Begin to fetch what the writer's next call about this key will read. Of the writer. */
void dm_xlate_prefetch(const struct dm_xlate *x, uint64_t key);

/**
 * @name A table of objects
 * Each key of a range answers with one object instead of a value of its own. A table is of this
 * kind or the other.
 */
/**@{*/
/**
 * dm_xlate_insert() for an object; dm_xlate_remove() takes the range out again.
 * @param object  aligned to 16 bytes, not NULL, at an address below 2^56
 */
int dm_xlate_insert_object(struct dm_xlate *x, uint64_t key, uint64_t len, void *object);
/** The object of a key, or NULL. Lock-free as dm_xlate_lookup(); how long the object lives is the
 * caller's affair. */
void *dm_xlate_object(const struct dm_xlate *x, uint64_t key);
/**@}*/

/** Bytes of memory that the table uses. */
uint64_t dm_xlate_memory(const struct dm_xlate *x);

/** From now on an insertion that would make the table use more than this says -ENOMEM. Of the
 * writer. */
void dm_xlate_limit(struct dm_xlate *x, uint64_t bytes);

#endif /* DM_XLATE_H */
