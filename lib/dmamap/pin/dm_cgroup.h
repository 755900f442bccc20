/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How many hugepages do the control groups of this process still allow? Version 1 and 2.
 */

#ifndef DM_CGROUP_H
#define DM_CGROUP_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/** What the tightest limit leaves. */
struct dm_cgroup_room {
	uint64_t left; /**< bytes; UINT64_MAX: no limit */
	uint64_t limit; /**< bytes, of the tightest */
	char file[PATH_MAX]; /**< where that limit is written; "": no limit */
};

/**
 * Look at the hugetlb limits of this process's group and of all groups above it: those on use and
 * those on reservations (Documentation/admin-guide/cgroup-v1/hugetlb.rst and cgroup-v2.rst of
 * Linux).
 * @param root  put before the paths of /proc and of the mounts; "" but for tests.
 */
void dm_cgroup_hugetlb(const char *root, size_t page_size, struct dm_cgroup_room *room);

#endif /* DM_CGROUP_H */
