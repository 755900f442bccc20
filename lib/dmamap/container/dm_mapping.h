/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The steps of a mapping's life cycle, for map.c, unmap.c and merge.c. See mapping.c and place.c.
 * All under the bookkeeping lock.
 */

#ifndef DM_MAPPING_H
#define DM_MAPPING_H

#include "dm_container.h"

/** @name mapping.c: a mapping in the tables of its container */
/**@{*/
/** Get a mapping from the pool, closed. @return NULL: out of memory */
struct dm_mapping *dm_mapping_new(struct dmamap_container *c);
/** Return a mapping to the pool. */
void dm_mapping_free(struct dmamap_container *c, struct dm_mapping *m);
/** Release the IOVAs of a mapping, or quarantine them. */
void dm_mapping_release_iovas(
	struct dmamap_container *c, const struct dm_mapping *m, bool quarantine);
/**
 * Make a mapping visible to readers and to dm_mapping_find_va().
 * @return 0; -EEXIST or -ENOMEM: nothing is visible
 */
int dm_mapping_publish(struct dmamap_container *c, const struct dm_mapping *m);
/** Undo dm_mapping_publish(). */
void dm_mapping_withdraw(struct dmamap_container *c, const struct dm_mapping *m);
/** Add a mapping to the index by IOVA. @return 0, or -ENOMEM */
int dm_index_add(struct dmamap_container *c, struct dm_mapping *m);
/** Undo dm_index_add(). */
void dm_index_del(struct dmamap_container *c, const struct dm_mapping *m);
/** Reopen a mapping that was closed without users, so that look-ups may use it. */
void dm_mapping_open(struct dm_mapping *m);
/** Add `len` to the byte counts of a mapping's kind; modulo 2^64, so -len subtracts. */
void dm_mapping_count(struct dmamap_container *c, const struct dm_mapping *m, uint64_t len);
/** Remove a mapping from every list and table, and release or quarantine its IOVAs. */
void dm_mapping_forget(struct dmamap_container *c, struct dm_mapping *m, bool quarantine);
/**@}*/

/** @name place.c: the IOVA of a mapping */
/**@{*/
/**
 * Check that no part of the memory is mapped already and visible to translations.
 * @return 0; -EEXIST (logged); -EAGAIN: reclaim *want and retry
 */
int dm_place_check_memory(
	const struct dmamap_container *c, struct dmamap_range vas, struct dm_want *want);
/**
 * Reserve a fixed range in the allocator, or find it in a reservation.
 * @param owns  out: the mapping owns the range and releases it.
 * @return 0; -EEXIST, -EADDRINUSE or -ERANGE (logged); -ENOMEM; -EAGAIN: reclaim *want and retry
 */
int dm_place_fixed(struct dmamap_container *c, const struct dm_map_req *req, struct dmamap_range r,
	bool *owns, struct dm_want *want);
/**
 * Choose the IOVA of a request.
 * @param reserved  out: all of it is reserved in the allocator; false with DMAMAP_FIXED.
 * @return 0; -EINVAL, -ENOSPC or -ENOMEM (logged)
 */
int dm_place(struct dmamap_container *c, const struct dm_map_req *req, dmamap_iova_t *iova,
	bool *reserved);
/**
 * Whether a registration is being evicted, so that its IOVAs will soon be free. False where no
 * cache is armed: an online reader may be the caller then, and must not wait.
 */
bool dm_mapping_is_being_evicted(const struct dm_mapping *m);
/**@}*/

#endif /* DM_MAPPING_H */
