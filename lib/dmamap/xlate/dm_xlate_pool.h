/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where do the nodes of a translation live, and when is a node's memory used again?
 *
 * Nodes are unlinked while readers are inside. They gather in batches; a batch is used again after
 * the epoch has moved (and, with an RCU variable, after its readers have been quiescent). A reader
 * that finds the epoch as it was when it began has seen no memory that was used again. Memory stays
 * mapped until the pool goes, so that a reader that is late reads rubbish, which it throws away,
 * and never faults.
 */

#ifndef DM_XLATE_POOL_H
#define DM_XLATE_POOL_H

#include <stdbool.h>
#include <stdint.h>

struct rte_rcu_qsbr;

/** Nodes are aligned to this, and their sizes are multiples. */
#define DM_XLATE_POOL_UNIT 64
/** Largest node, in units. */
#define DM_XLATE_POOL_MAX 65
/** From the beginning of each node on, so many bytes may be read, if not written. */
#define DM_XLATE_POOL_TAIL (UINT64_C(8) << 10)

/**
 * What each node begins with: the owner's while the node is linked, the pool's afterwards. Readers
 * do not look at it, but one that reads rubbish may touch it: write it with
 * dm_xlate_pool_head_set().
 */
struct dm_xlate_pool_head {
	uint64_t bits;
};

/** Nodes of one size, in any order. */
struct dm_xlate_pool_list {
	struct dm_xlate_pool_head *first, *last;
};

/** Nodes that wait together. */
struct dm_xlate_pool_batch {
	struct dm_xlate_pool_list of[DM_XLATE_POOL_MAX + 1];
	uint64_t len; /**< bytes */
	uint64_t token; /**< of the RCU variable, once the batch is closed */
};

/** All fields but the epoch are the writer's. */
struct dm_xlate_pool {
	uint64_t *epoch; /**< moves when memory is used again */
	struct rte_rcu_qsbr *rcu; /**< or NULL */
	uint64_t used; /**< bytes that nodes have taken, those that wait and free ones included */
	uint64_t limit; /**< used does not grow beyond */
	struct dm_xlate_pool_list free[DM_XLATE_POOL_MAX + 1];
	struct dm_xlate_pool_batch open, closed;
	uint8_t *fresh, *fresh_end; /**< rest of the newest chunk */
	void *chunks;
};

/** Make an empty pool. */
void dm_xlate_pool_init(struct dm_xlate_pool *p, struct rte_rcu_qsbr *rcu, uint64_t *epoch);

/** Unmap all memory of the pool, whatever is in use. */
void dm_xlate_pool_fini(struct dm_xlate_pool *p);

/**
 * Take memory for a node, with anything in it.
 * @param units  1 to DM_XLATE_POOL_MAX
 * @return NULL: the limit is reached, or the system has no memory.
 */
void *dm_xlate_pool_alloc(struct dm_xlate_pool *p, unsigned int units);

/** Give back a node that no reader can have seen. */
void dm_xlate_pool_free(struct dm_xlate_pool *p, void *node, unsigned int units);

/** Give back a node that was unlinked, in which readers may still be. Its contents stay, but for
 * the head. */
void dm_xlate_pool_retire(struct dm_xlate_pool *p, void *node, unsigned int units);

static inline void
dm_xlate_pool_head_set(struct dm_xlate_pool_head *h, uint64_t bits)
{
	__atomic_store_n(&h->bits, bits, __ATOMIC_RELAXED);
}

#endif /* DM_XLATE_POOL_H */
