/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Limits of the control groups of this process, versions 1 and 2: hugepages and memory.
 *
 * The group itself and all its parents count, as far as the mount shows them. Read before memory is
 * allocated, by hugepage.c and anon.c. Nothing is cached, and there is no lock.
 */

#ifndef DM_CGROUP_H
#define DM_CGROUP_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/** The tightest limit: the one that leaves least. */
struct dm_cgroup_limit {
	uint64_t left; /**< bytes that may still be used; UINT64_MAX: no limit */
	uint64_t limit; /**< bytes */
	char file[PATH_MAX]; /**< file that holds the limit; "": no limit */
};

/**
 * Read the hugetlb limits: those on use and those on reservations (Linux,
 * Documentation/admin-guide/cgroup-v1/hugetlb.rst and cgroup-v2.rst).
 * @param root       prefix for the paths of /proc and of the mounts; "" except in tests.
 * @param page_size  bytes of a hugepage.
 * @param tightest   out; always written.
 */
void dm_cgroup_hugetlb(const char *root, size_t page_size, struct dm_cgroup_limit *tightest);

/**
 * Read the memory limits: memory.max (v2), memory.limit_in_bytes and hierarchical_memory_limit
 * (v1). Beyond these the kernel kills a process of the group.
 *
 * Page cache that the kernel can drop counts as unused: active_file and inactive_file of
 * memory.stat. Swap does not count: DMA memory cannot be swapped out.
 *
 * @param root      see dm_cgroup_hugetlb().
 * @param need      bytes. The page cache is looked at only if less than this is left without it.
 * @param tightest  out: the hard limit that leaves least.
 * @param high      out: the memory.high (v2) that leaves least; beyond it the kernel throttles the
 *   group.
 */
void dm_cgroup_memory(const char *root, uint64_t need, struct dm_cgroup_limit *tightest,
	struct dm_cgroup_limit *high);

#endif /* DM_CGROUP_H */
