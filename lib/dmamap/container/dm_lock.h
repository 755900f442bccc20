/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The locks of a container, their order, and the references that keep a container alive. Called by
 * every file of container/.
 *
 * Order, outermost first. A thread takes a lock only while it holds none further down:
 *   1. topology lock (reader/writer), one for each container. Two are taken in the order of
 *      addresses. Readers: map, and the kernel's part of an unmap. Writers: attach, detach, move,
 *      merge, destroy.
 *   2. bookkeeping lock (mutex), one for each container; two are taken in the order of addresses.
 *      Held for a few table updates. Under it there is no system call of the library, page fault,
 *      callback, wait for readers or log line. Heap allocation is allowed.
 *   3. list lock (mutex), one for the process: the list of containers, reference counts that reach
 *      0, and the owners of devices, zones, clients and mappings.
 *
 * A thread holds none of them while it waits for readers of translations, for a client's callback
 * or for page faults in application memory. dm_container.h says which lock guards a field.
 */

#ifndef DM_LOCK_H
#define DM_LOCK_H

#include <stdbool.h>

struct dmamap_container;

/** @name Topology lock */
/**@{*/
void dm_topo_read(const struct dmamap_container *c);
void dm_topo_write(struct dmamap_container *c);
/** Undo either. */
void dm_topo_unlock(const struct dmamap_container *c);
/** Lock two for writing, in the order of addresses. */
void dm_topo_write_both(struct dmamap_container *a, struct dmamap_container *b);
void dm_topo_unlock_both(struct dmamap_container *a, struct dmamap_container *b);
/**@}*/

/** @name Bookkeeping lock
 * A const container can be locked too, for reading.
 */
/**@{*/
void dm_book_lock(const struct dmamap_container *c);
/** Release; writes the lines that were logged under the lock. */
void dm_book_unlock(const struct dmamap_container *c);
void dm_book_lock_both(const struct dmamap_container *a, const struct dmamap_container *b);
void dm_book_unlock_both(const struct dmamap_container *a, const struct dmamap_container *b);
/**
 * Wait until dm_book_changed() is called; the lock is released meanwhile. No other lock is held.
 */
void dm_book_wait(struct dmamap_container *c);
/** Wake all waiters; the lock is held. */
void dm_book_changed(struct dmamap_container *c);
/**@}*/

/** @name Assertions
 * Compiled in with -Dlock_checks=true, which the sanitizer builds of the tests set. A violation
 * ends the program.
 */
/**@{*/
/** The calling thread holds no bookkeeping lock: it may sleep, call the kernel or a callback. */
void dm_assert_may_sleep(void);
/** It holds no lock at all: it may wait for readers. */
void dm_assert_unlocked(void);
/**
 * It holds this container's bookkeeping lock, or its topology lock for writing. The check is
 * approximate: it accepts any bookkeeping or topology lock.
 */
void dm_assert_book(const struct dmamap_container *c);
/**@}*/

/** @name List lock */
/**@{*/
void dm_list_lock(void);
void dm_list_unlock(void);
/**@}*/

/** @name Owners (owner.c)
 * An object's owner can change in a merge or move.
 */
/**@{*/
/**
 * Get a reference to the current owner of an object; NULL: none. The owner may change right after.
 */
struct dmamap_container *dm_owner_get(struct dmamap_container *const *owner);
/**
 * Whether c still owns the object. The answer stays true while a lock of c is held that a merge
 * takes for writing.
 */
bool dm_owner_is(struct dmamap_container *const *owner, const struct dmamap_container *c);
/** Make c the owner of an object. */
void dm_owner_set(struct dmamap_container **owner, struct dmamap_container *c);
/**
 * Lock the bookkeeping of an object's current owner, retrying if the owner changes meanwhile.
 * @return the owner, to be passed to dm_owner_unlock(); NULL: the object has none.
 */
struct dmamap_container *dm_owner_lock(struct dmamap_container *const *owner);
void dm_owner_unlock(struct dmamap_container *c);
/** The same with the topology lock. */
struct dmamap_container *dm_owner_topo_write(struct dmamap_container *const *owner);
struct dmamap_container *dm_owner_topo_read(struct dmamap_container *const *owner);
void dm_owner_topo_unlock(struct dmamap_container *c);
/**@}*/

#endif /* DM_LOCK_H */
