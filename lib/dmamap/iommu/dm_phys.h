/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where is memory physically? Asked only where no IOMMU translates.
 */

#ifndef DM_PHYS_H
#define DM_PHYS_H

#include <stdint.h>

/**
 * The physical address of memory of this process. Only hugepages stay where they are, so no other
 * memory is accepted. Reads /proc/self/pagemap and /proc/kpageflags
 * (Documentation/admin-guide/mm/pagemap.rst).
 *
 * @param va   start, a multiple of the system's page size.
 * @param len  bytes, a multiple of the system's page size, not 0.
 * @return 0; -EPERM: this process may not know (CAP_SYS_ADMIN); -EFAULT: some of it is not there;
 * -EINVAL: no hugepages, or they do not follow each other physically. Logged.
 */
int dm_phys_of(const void *va, uint64_t len, uint64_t *phys);

#endif /* DM_PHYS_H */
