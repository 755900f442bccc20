/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Bounce buffers of a container. See bounce.c. Called by stream.c, by container.c at a container's
 * end, and by merge.c.
 */

#ifndef DM_BOUNCE_H
#define DM_BOUNCE_H

#include "dm_container.h"

/** A bounce buffer that is in use. */
struct dm_bounce {
	void *va;
	dmamap_iova_t iova;
	size_t len; /**< bytes, as requested */
	struct dmamap_pool *pool; /**< the pool it comes from; NULL: `zone` was made for it */
	struct dmamap_zone *zone;
};

/** The access of a device, as flags of a mapping. */
static inline uint32_t
dm_access_of(enum dmamap_direction dir)
{
	return dir == DMAMAP_TO_DEVICE      ? DMAMAP_READ
		: dir == DMAMAP_FROM_DEVICE ? DMAMAP_WRITE
					    : DMAMAP_RW;
}

/**
 * Get a bounce buffer within the reach of every device of a container. Any thread, under no lock.
 * No system call while a pool has a free one.
 * @return 0, or as dmamap_zone_alloc()
 */
int dm_bounce_get(struct dmamap_container *c, size_t len, uint32_t flags, struct dm_bounce *b);
/** Release a bounce buffer. @return 0, or as dmamap_zone_free() */
int dm_bounce_put(struct dm_bounce *b);
/** For a merge: move the pools of `from` to `into`, as their zones move. Both bookkeepings held. */
void dm_bounces_move(struct dmamap_container *into, struct dmamap_container *from);
/** Free all bookkeeping. The zones are dropped next, and no other thread uses the container. */
void dm_bounces_fini(struct dmamap_container *c);

#endif /* DM_BOUNCE_H */
