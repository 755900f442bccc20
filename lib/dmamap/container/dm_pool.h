/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal functions of pools, beyond dmamap.h. See pool.c. Called by bounce.c.
 */

#ifndef DM_POOL_H
#define DM_POOL_H

#include "dm_container.h"

/**
 * dmamap_pool_create() with a structure of this library's size.
 * @param last   last IOVA at which an object may end; memory beyond it is freed, with -ENOSPC.
 * @param hold_ref  the container cannot be destroyed before the pool. Otherwise dm_pool_forget() is
 *   called before the container drops its zones.
 */
int dm_pool_create(struct dmamap_container *c, const struct dmamap_pool_conf *conf,
	dmamap_iova_t last, bool hold_ref, struct dmamap_pool **p);
/**
 * Grow the pool to at least n objects, in use or free; raises the pool's limit if needed. Any
 * thread. @return as dmamap_pool_get()
 */
int dm_pool_reserve(struct dmamap_pool *p, uint64_t n);
/** Destroy a pool without objects in use; a zone that cannot be unmapped stays in its container. */
void dm_pool_abandon(struct dmamap_pool *p);
/** Free the bookkeeping of a pool; the caller frees its zones. */
void dm_pool_forget(struct dmamap_pool *p);

#endif /* DM_POOL_H */
