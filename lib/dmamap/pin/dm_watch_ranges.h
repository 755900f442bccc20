/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Watched ranges: which memory is registered with the watcher's userfaultfd.
 *
 * An interval tree (a treap) of ranges that may overlap. Invariant: memory is registered with the
 * kernel while at least one range covers it. Called by watch.c only.
 *
 * The lock is a leaf: held for the tree and for one ioctl, never across malloc, free, munmap or a
 * callback. So a thread that waits for the watcher's reader in munmap(2) never holds it.
 */

#ifndef DM_WATCH_RANGES_H
#define DM_WATCH_RANGES_H

#include <stdint.h>

#include "dm_watch.h"

/** Read the system's hugepage sizes. Call before the first add. */
void dm_watch_ranges_init(void);

/** See dm_watch_add(); fd is the userfaultfd. */
int dm_watch_ranges_add(int fd, struct dm_watch_range *range, uint64_t start, uint64_t last);

/** See dm_watch_del(); fd is the userfaultfd. */
void dm_watch_ranges_del(int fd, struct dm_watch_range *range);

/** The kernel unmapped [start, last]: remove the ranges that lie wholly in it from the tree. */
void dm_watch_ranges_unmapped(uint64_t start, uint64_t last);

/** mremap(2) moved registered memory to [start, last]: unregister what no range covers. */
void dm_watch_ranges_moved(int fd, uint64_t start, uint64_t last);

/** Unregister all ranges. The descriptor alone would not do: a forked process may hold it open. */
void dm_watch_ranges_clear(int fd);

#endif /* DM_WATCH_RANGES_H */
