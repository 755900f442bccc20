/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * One direction of address translation: key ranges map to value ranges, or to objects.
 *
 * Invariant: a reader sees, for each key, the old translation, the new one or none, without a lock
 * and without waiting. Readers are any threads, registered with the RCU variable or not. Writers
 * are serialised by the caller; no call waits for readers. Called by container/, which has a
 * table by VA, one by IOVA, and one of objects, its mappings by IOVA.
 */

#ifndef DM_XLATE_H
#define DM_XLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "dm_util.h"
#include "dmamap.h"
#include "dm_xlate_node.h"

/** Keys, values and lengths are multiples of this, in bytes. */
#define DM_XLATE_GRANULE UINT64_C(4096)
/** Result of a look-up without a translation. Equal to DMAMAP_BAD_IOVA. */
#define DM_XLATE_NONE UINT64_MAX

/** The part of a table that readers use. Created by dm_xlate_create() only. */
struct dm_xlate {
	uint64_t *low; /**< a word for each GiB of keys below 2^48 */
	uint64_t *root; /**< a word for each 2^48 keys */
	uint64_t epoch; /**< changes when memory is reused, see dm_xlate_pool.h */
};

/**
 * Create an empty table.
 * @param readers  copied; callbacks that detect when readers are quiescent, before memory is
 *   reused. NULL or no callbacks: reuse is guarded by the epoch alone.
 * @param x        out: the table, which the caller owns; unchanged on error.
 * @return 0 or -ENOMEM.
 */
int dm_xlate_create(const struct dmamap_readers *readers, struct dm_xlate **x);

/** Free the table. No reader may be inside. NULL is allowed. */
void dm_xlate_destroy(struct dm_xlate *x);

/**
 * Translate [key, key + len - 1] to [val, val + len - 1]. One writer at a time; readers may run.
 * @return 0; -EINVAL: length 0, not a multiple of the granule, or wrap-around; -EEXIST: part of it
 *   has a translation; -ENOMEM. Nothing has changed on error.
 */
int dm_xlate_insert(struct dm_xlate *x, uint64_t key, uint64_t val, uint64_t len);

/**
 * Remove a range that one dm_xlate_insert() added. Cannot fail and allocates nothing. One writer at
 * a time; readers may run, and see the old translation or none.
 */
void dm_xlate_remove(struct dm_xlate *x, uint64_t key, uint64_t len);

/** Slow path of dm_xlate_lookup(): any key, from the root. */
uint64_t dm_xlate_lookup_slow(const struct dm_xlate *x, uint64_t key);
/**
 * Continuation of dm_xlate_lookup(): `word` is that of the key's GiB, and `epoch` was read before
 * it.
 */
uint64_t dm_xlate_lookup_below(
	const struct dm_xlate *x, uint64_t key, uint64_t word, uint64_t epoch);

/** The current epoch. */
static inline uint64_t
dm_xlate_epoch(const struct dm_xlate *x)
{
	return __atomic_load_n(&x->epoch, __ATOMIC_ACQUIRE);
}

/** Translate a key. Lock-free; any thread. @return the value, or DM_XLATE_NONE */
static inline uint64_t
dm_xlate_lookup(const struct dm_xlate *x, uint64_t key)
{
	uint64_t epoch = dm_xlate_epoch(x), word, leaf;

	if (DM_UNLIKELY(key >> 48 != 0))
		return dm_xlate_lookup_slow(x, key);
	word = dm_xlate_word_load(&x->low[key >> 30]);
	/* Fast path: 1 GiB pages, and a GiB full of 2 MiB pages. */
	if ((word & DM_XLATE_KIND) == DM_XLATE_TABLE) {
		const struct dm_xlate_table *t = dm_xlate_node(word);

		leaf = dm_xlate_word_load(&t->word[key >> 21 & (DM_XLATE_FANOUT - 1)]);
		if (DM_LIKELY(
			    (leaf & DM_XLATE_KIND) == DM_XLATE_LEAF && dm_xlate_epoch(x) == epoch))
			return key + (leaf & DM_XLATE_PAYLOAD);
	} else if ((word & DM_XLATE_KIND) == DM_XLATE_LEAF) {
		return key + (word & DM_XLATE_PAYLOAD);
	}
	return dm_xlate_lookup_below(x, key, word, epoch);
}

/**
 * Translate a run of keys. Lock-free, as dm_xlate_lookup(); each part is looked up separately.
 * @param len  in: bytes wanted from key on; out: bytes contiguous in value too; 0: no translation.
 * @return the value of key, or DM_XLATE_NONE.
 */
uint64_t dm_xlate_lookup_run(const struct dm_xlate *x, uint64_t key, uint64_t *len);

/** Find the lowest key in [key, last] that has a translation. Writer only. @return false: none */
bool dm_xlate_first(const struct dm_xlate *x, uint64_t key, uint64_t last, uint64_t *found);

/** Prefetch what the writer's next call with this key will read. A hint. Writer only. */
void dm_xlate_prefetch(const struct dm_xlate *x, uint64_t key);

/**
 * @name Tables of objects
 * Each key of a range maps to one object instead of a value of its own. A table holds either values
 * or objects, never both.
 */
/**@{*/
/**
 * dm_xlate_insert() for an object; dm_xlate_remove() removes the range.
 * @param object  aligned to 16 bytes, not NULL, at an address below 2^56; stays the caller's
 * @return as dm_xlate_insert()
 */
int dm_xlate_insert_object(struct dm_xlate *x, uint64_t key, uint64_t len, void *object);
/**
 * The object of a key, or NULL. Lock-free, as dm_xlate_lookup(). The caller makes sure that objects
 * live long enough for readers.
 */
void *dm_xlate_object(const struct dm_xlate *x, uint64_t key);
/**@}*/

/** Bytes of memory that the table uses. */
uint64_t dm_xlate_memory(const struct dm_xlate *x);

/**
 * Limit the memory of the table: an insertion that would exceed it fails with -ENOMEM. Writer only.
 */
void dm_xlate_limit(struct dm_xlate *x, uint64_t bytes);

#endif /* DM_XLATE_H */
