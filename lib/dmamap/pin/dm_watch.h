/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Watcher of application memory: reports ranges that the process unmapped, moved or discarded.
 *
 * A cache of DMA mappings uses it to drop entries whose pages the application no longer has. A
 * process has one watcher, built on userfaultfd(2) events. Its cost falls on munmap(2), mremap(2)
 * and madvise(2) of watched memory only. Called by container/ (the registration cache).
 *
 * Invariant: when such a call returns, its event has been delivered to every listener, or
 * dm_watch_pending() is true until it has been. A cache hit is valid only if dm_watch_fresh()
 * returned true after the entry was found.
 *
 * Reported: munmap, mmap over a range, brk, mremap, MADV_DONTNEED, MADV_FREE, MADV_REMOVE. Not
 * reported: changes made through a file (ftruncate, fallocate on a memfd) or through another
 * mapping of it; shmdt of SHM_HUGETLB memory (other System V memory is refused).
 *
 * A MADV_DONTNEED is reported before the kernel frees the pages. An entry made for the range in
 * between goes stale unreported. It takes a thread that registers memory while another thread
 * discards it. So a cache must not widen an entry beyond the pages of the buffer.
 *
 * Each watched range is a VMA of its own: up to two more of vm.max_map_count. khugepaged does not
 * collapse watched memory that has holes. A watched munmap(2) costs two more context switches, and
 * waits while the reader thread waits for a CPU.
 *
 * A child of fork(2) has no watcher: adds fail there, and no entry is ever fresh. A child of a bare
 * clone(2), which runs no fork handlers, must not call the watcher.
 */

#ifndef DM_WATCH_H
#define DM_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/** A watched range. Embedded in the owner's object; the watcher uses it while it is added. */
struct dm_watch_range {
	uint64_t start, last; /**< the pages of the range asked for */
	uint64_t max_last; /**< highest last in this subtree */
	struct dm_watch_range *left, *right; /**< subtrees */
	bool linked; /**< in the tree of watched ranges */
};

/** A listener. The caller owns the memory, which must live until dm_watch_unlisten() returns. */
struct dm_watch_listener {
	/**
	 * The memory at [start, last] was unmapped, moved or discarded; [0, UINT64_MAX]: any of it
	 * may have been.
	 *
	 * Called for all events of the process, so also for ranges that the listener never added.
	 * Runs in the worker or in a thread that drains, never twice at a time. The only lock of
	 * the watcher that is held is the one that serializes delivery. May allocate, free, munmap,
	 * and call dm_watch_add() and dm_watch_del(). Must not call listen, unlisten, start or
	 * stop. Cache hits take the slow path until it returns.
	 */
	void (*gone)(void *arg, uint64_t start, uint64_t last);
	void *arg;
	struct dm_watch_listener *next; /**< private to the watcher */
};

/**
 * Units: events that are being read, or were read and are not delivered. See dm_watch_pending().
 */
extern uint32_t dm_watch_units;

/**
 * Start the watcher, or add a user of it. The first call opens a descriptor and starts two threads,
 * which block all signals. Any thread.
 * @return 0; logged: -EPERM, -ENOSYS: userfaultfd is forbidden; -ENOTSUP: the kernel is too old
 *   (x86-64: 5.7; arm64: 6.10), or this is the child of a process with a watcher; -EMFILE, -ENOMEM,
 *   -EAGAIN: no descriptors, memory or threads are left.
 */
int dm_watch_start(void);

/**
 * Remove a user; the last one ends the threads and the watching. All listeners must have left.
 * Waits for a delivery in progress, so the caller must not hold a lock that gone() takes.
 */
void dm_watch_stop(void);

/**
 * Watch the pages of a range. Ranges may overlap; memory is watched until the last of them is
 * deleted.
 *
 * A cache keeps this order: insert the entry so that gone() finds it, add the range, pin the
 * memory. Then commit, unless gone() has named the entry in between.
 *
 * Any thread, after dm_watch_start(). Takes the process's mmap lock for writing, so it waits for
 * page faults and pinning in progress, never for a listener. Cost: log(ranges).
 * @param range  owned by the caller; contents are overwritten. Must live until dm_watch_del().
 * @return 0. Errors concern this buffer alone and are logged as debug; the caller does not cache
 *   it.
 *   -EINVAL: start > last, or the range ends at the top of the address space.
 *   -ENOTSUP: not anonymous, shared or hugetlb memory (a file, a device); memory that may never be
 *   written; a kernel that cannot watch this kind (shared, hugetlb: Linux 5.19); a forked child.
 *   -EBUSY: another userfaultfd has it.
 *   -EFAULT: part of it is not mapped.
 *   -ENOMEM: vm.max_map_count is reached.
 */
int dm_watch_add(struct dm_watch_range *range, uint64_t start, uint64_t last);

/**
 * Stop watching a range, except where another one covers it. Any thread, once for each successful
 * dm_watch_add(), whether the memory still exists or not. Waits like dm_watch_add().
 */
void dm_watch_del(struct dm_watch_range *range);

/**
 * Whether there may be an event that listeners do not know of yet. One load.
 *
 * A hit first takes its reference on the entry with a sequentially consistent operation, then calls
 * dm_watch_changing(), then this: dm_watch_fresh(). Why that is enough:
 * - The reader thread adds a unit before it calls read(2), and the kernel blocks a thread in
 *   munmap(2) until read(2) has its event. So the unit precedes the return of munmap(2), and
 *   everything that the application does after it, in any thread that it synchronizes with.
 * - A unit is removed, with release, after all gone() have returned. A later load that yields 0
 *   reads this or a later value, so it acquires the invalidation. An entry found before the load is
 *   then known stale by its own state, or had not been named by an event.
 * - If the load precedes the unit in the single total order, so does the reference. gone() sees it,
 *   and the use is one that began before munmap(2) returned.
 *
 * Always true in the child of a process that had a watcher.
 */
static inline bool
dm_watch_pending(void)
{
	return __atomic_load_n(&dm_watch_units, __ATOMIC_SEQ_CST) != 0;
}

/**
 * Whether the kernel has unmapped or moved memory whose event is not read yet. One system call.
 *
 * munmap(2) frees the addresses before its event is read. Another thread's mmap(2) may get them in
 * between; that thread never synchronized with munmap(2), and no unit exists yet. The kernel counts
 * such calls before it frees the addresses (mmap_changing in fs/userfaultfd.c), and fails
 * UFFDIO_COPY with EAGAIN in the meantime. Once a call finds the count at 0, the unit exists. Hence
 * the order: changing first, then pending, as in dm_watch_fresh().
 */
bool dm_watch_changing(void);

/**
 * Whether an entry that was found is still valid: both checks above in the required order.
 *
 * On the hit path: take the reference, call this, then check whether gone() has marked the entry.
 * If not fresh: drop the reference, call dm_watch_drain(), look up again. If that is not fresh
 * either, other threads keep unmapping: make a new entry, do not wait. An entry that was in use
 * already needs none of this: its user keeps the memory mapped.
 */
static inline bool
dm_watch_fresh(void)
{
	return !dm_watch_changing() && !dm_watch_pending();
}

/**
 * Deliver events. On return every listener knows all events whose cause had returned before the
 * call, in a thread that the caller synchronized with. The worker delivers too, so calling this is
 * optional. Any thread; the caller must not hold a lock that gone() takes. Returns at once inside
 * gone().
 */
void dm_watch_drain(void);

/**
 * Add a listener, which receives all events from now on. Call after dm_watch_start(). Waits for a
 * delivery in progress.
 */
void dm_watch_listen(struct dm_watch_listener *listener);

/**
 * Remove a listener. After return gone() is not running and will not be called. Waits for a
 * delivery in progress.
 */
void dm_watch_unlisten(struct dm_watch_listener *listener);

#endif /* DM_WATCH_H */
