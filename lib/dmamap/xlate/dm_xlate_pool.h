/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Memory of the nodes of a translation: a pool with epoch-based reuse. Called by dm_xlate.c and
 * dm_xlate_node.c; one writer at a time, never by readers.
 *
 * Nodes are unlinked while readers may be inside. They gather in batches. A batch is reused after
 * the epoch has advanced, and, if reader callbacks were given, after all readers were quiescent.
 *
 * Invariants: a reader that finds the epoch unchanged since it began has seen no reused memory.
 * Memory stays mapped until the pool is destroyed, so a late reader may read garbage, which it
 * discards, but never faults.
 */

#ifndef DM_XLATE_POOL_H
#define DM_XLATE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "dmamap.h"

/** Alignment of nodes and unit of their sizes, in bytes. */
#define DM_XLATE_POOL_UNIT 64
/** Largest node, in units. */
#define DM_XLATE_POOL_MAX 65
/** Bytes that may be read, but not written, from the start of each node. */
#define DM_XLATE_POOL_TAIL (UINT64_C(8) << 10)

/**
 * The head of each node. Used by its owner while the node is linked, and by the pool afterwards.
 * Readers do not use it, but a late one may load it: write it with dm_xlate_pool_head_set().
 */
struct dm_xlate_pool_head {
	uint64_t bits;
};

/** Nodes of one size, in any order. */
struct dm_xlate_pool_list {
	struct dm_xlate_pool_head *first, *last;
};

/** Unlinked nodes that become reusable together. */
struct dm_xlate_pool_batch {
	struct dm_xlate_pool_list of[DM_XLATE_POOL_MAX + 1];
	uint64_t len; /**< bytes */
	uint64_t token; /**< of the readers' callbacks, once the batch is closed */
};

/** The pool. Only the epoch is read by readers; all other fields belong to the writer. */
struct dm_xlate_pool {
	uint64_t *epoch; /**< advances when memory is reused */
	struct dmamap_readers readers;
	uint64_t used; /**< bytes of all nodes: linked, unlinked and free */
	uint64_t limit; /**< upper limit of `used` */
	struct dm_xlate_pool_list free[DM_XLATE_POOL_MAX + 1];
	struct dm_xlate_pool_batch open, closed;
	uint8_t *fresh, *fresh_end; /**< unused rest of the newest chunk */
	void *chunks;
};

/**
 * Initialise an empty pool.
 * @param readers  copied; NULL: none
 * @param epoch    of the table; must outlive the pool
 */
void dm_xlate_pool_init(
	struct dm_xlate_pool *p, const struct dmamap_readers *readers, uint64_t *epoch);

/** Unmap all memory of the pool, including nodes in use. */
void dm_xlate_pool_fini(struct dm_xlate_pool *p);

/**
 * Allocate a node. Its contents are undefined.
 * @param units  1 to DM_XLATE_POOL_MAX
 * @return NULL: the limit is reached, or the system has no memory.
 */
void *dm_xlate_pool_alloc(struct dm_xlate_pool *p, unsigned int units);

/** Free a node that no reader has ever seen. It may be reused at once. */
void dm_xlate_pool_free(struct dm_xlate_pool *p, void *node, unsigned int units);

/**
 * Free a node that was unlinked, in which readers may still be. Its contents stay until it is
 * reused, except the head.
 */
void dm_xlate_pool_retire(struct dm_xlate_pool *p, void *node, unsigned int units);

/** Write the head of a node. Atomic, since a late reader may load it. */
static inline void
dm_xlate_pool_head_set(struct dm_xlate_pool_head *h, uint64_t bits)
{
	__atomic_store_n(&h->bits, bits, __ATOMIC_RELAXED);
}

#endif /* DM_XLATE_POOL_H */
