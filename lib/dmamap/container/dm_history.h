/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What was mapped in a container and is not any more: a ring of the latest unmaps. It tells to whom
 * an address belonged at which a device was blocked.
 *
 * An entry costs 32 bytes and a few nanoseconds in an unmap, so it holds numbers: names of zones
 * and threads are in tables of the process, of which the latest are kept. Adjacent unmaps of one
 * thread in one moment share an entry.
 *
 * Detaches are remembered too, for all containers together, as a container may not outlive them.
 *
 * Written by unmap.c, merge.c and attach.c, read by fault.c.
 */

#ifndef DM_HISTORY_H
#define DM_HISTORY_H

#include "dm_container.h"

/** Unmaps that are kept, for each container. */
#define DM_HISTORY_MAX 4096u

/** Who unmaps, and when: the same for all mappings of one call. */
struct dm_past_by {
	uint64_t when; /**< CLOCK_MONOTONIC_COARSE, nanoseconds: some milliseconds too low */
	uint32_t tid; /**< the calling thread */
};

/** An unmap of the past. */
struct dm_past_info {
	struct dmamap_range range; /**< of IOVAs */
	uint64_t ago; /**< nanoseconds since then */
	uint32_t tid; /**< the thread that unmapped */
	char thread[16]; /**< its name; "": not known any more */
	char name[DMAMAP_NAME_MAX]; /**< "mapping", "zone rings", "registration", "zone" */
};

/** Allocate the ring; touched when it is used. @return 0, or -ENOMEM */
int dm_history_init(struct dmamap_container *c);
void dm_history_fini(struct dmamap_container *c);
/** Who unmaps now. Under no lock: the first call of a thread asks the kernel for its name. */
struct dm_past_by dm_history_now(void);
/** Remember a mapping that is about to be forgotten. Bookkeeping is held. Does not fail. */
void dm_history_add(struct dmamap_container *c, const struct dm_mapping *m, struct dm_past_by by);
/** Add what `from` remembers. Bookkeeping of both is held. */
void dm_history_merge(struct dmamap_container *into, const struct dmamap_container *from);
/** Remember that a device leaves a container. Any thread; does not fail. */
void dm_history_detach(const char *container, const char *device);
/**
 * The latest detach of a device within the last minute.
 * @param by    a device's name; without a segment, any segment fits.
 * @param name  out: its whole name. @param container  out: the container that it left.
 * @param past  out: ago, tid and thread.
 * @return false: none is known; of the latest 64 detaches
 */
bool dm_history_find_detach(const char *by, char name[DMAMAP_NAME_MAX],
	char container[DMAMAP_NAME_MAX], struct dm_past_info *past);
/** The latest unmap of any of these IOVAs. Bookkeeping is held. @return false: none is known */
bool dm_history_find(
	const struct dmamap_container *c, struct dmamap_range r, struct dm_past_info *past);

#endif /* DM_HISTORY_H */
