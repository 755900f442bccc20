/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Physical addresses of memory of this process, from pagemap. Used by the noiommu backend only,
 * where no IOMMU translates. No state; any thread may call.
 */

#ifndef DM_PHYS_H
#define DM_PHYS_H

#include <stdint.h>

/**
 * The physical address of memory of this process at the time of the call.
 *
 * Nothing pins the memory: VFIO in noiommu mode does not know about it. Only hugetlbfs pages are
 * accepted, since neither compaction nor reclaim moves those. The kernel still migrates them in
 * these cases: when memory is taken offline, when a contiguous range is allocated (CMA,
 * alloc_contig_range(), gigantic pages), and on move_pages(2), mbind(2) or a changed cpuset. The
 * device would then corrupt pages of another owner, so none of that may happen while a device runs
 * without an IOMMU.
 *
 * Reads /proc/self/pagemap and /proc/kpageflags (Documentation/admin-guide/mm/pagemap.rst).
 *
 * @param va    start, a multiple of the system's page size.
 * @param len   bytes, a multiple of the system's page size, not 0.
 * @param phys  out: address of va; the whole range is contiguous.
 * @return 0; -EPERM: addresses are hidden from this process (CAP_SYS_ADMIN); -EFAULT: a page is not
 *   present; -EINVAL: not in hugepages, or not physically contiguous. Logged.
 */
int dm_phys_of(const void *va, uint64_t len, uint64_t *phys);

#endif /* DM_PHYS_H */
