/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where is this address? One direction of translation: a key range maps to a value range.
 */

#ifndef DM_XLATE_H
#define DM_XLATE_H

#include <stdint.h>

#include "dmamap.h"

/** Keys and values are multiples of this, and so are lengths. */
#define DM_XLATE_GRANULE UINT64_C(4096)
/** What a look-up says of an address that is not there. Equal to RTE_BAD_IOVA. */
#define DM_XLATE_NONE UINT64_MAX

struct dm_xlate;

/**
 * Make an empty table.
 * @param rcu  readers to wait for before memory of the table is used again, or NULL: then memory that a reader
 *             could still see is kept until dm_xlate_destroy().
 * @return 0 or -ENOMEM.
 */
int dm_xlate_create(struct rte_rcu_qsbr *rcu, struct dm_xlate **x);

/** Free the table. No reader may be inside. */
void dm_xlate_destroy(struct dm_xlate *x);

/**
 * Let [key, key + len - 1] translate to [val, val + len - 1]. One writer at a time; readers may run.
 * @return 0; -EINVAL: 0 length, no granule multiple, wrap-around; -EEXIST: part of it translates already; -ENOMEM.
 *   Nothing changed then.
 */
int dm_xlate_insert(struct dm_xlate *x, uint64_t key, uint64_t val, uint64_t len);

/**
 * Let a range that one dm_xlate_insert() made translate to nothing. Cannot fail, allocates nothing.
 * One writer at a time; readers may run: each sees the old translation or none.
 */
void dm_xlate_remove(struct dm_xlate *x, uint64_t key, uint64_t len);

/** Translate. Lock-free, any thread. @return the value, or DM_XLATE_NONE. */
uint64_t dm_xlate_lookup(const struct dm_xlate *x, uint64_t key);

/**
 * Translate a run.
 * @param len  in: bytes wanted from key on; out: how many of them are contiguous in value too (0: none).
 * @return the value of key, or DM_XLATE_NONE.
 */
uint64_t dm_xlate_lookup_run(const struct dm_xlate *x, uint64_t key, uint64_t *len);

/** Bytes of memory that the table uses. */
uint64_t dm_xlate_memory(const struct dm_xlate *x);

/** From now on an insertion that would make the table use more than this says -ENOMEM. Of the writer. */
void dm_xlate_limit(struct dm_xlate *x, uint64_t bytes);

#endif /* DM_XLATE_H */
