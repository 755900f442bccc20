/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Faulting pages in without a SIGBUS.
 *
 * The kernel touches the pages during a system call, so a page that cannot be allocated is an error
 * code. An access by the process itself would raise SIGBUS or invoke the OOM killer. Called by
 * prefault.c; any thread may call, on any range of the process. Sleeps while pages are allocated.
 */

#ifndef DM_FAULT_IN_H
#define DM_FAULT_IN_H

#include <stddef.h>

/**
 * Back a range of this process with pages: MADV_POPULATE_WRITE (Linux 5.14), else
 * dm_fault_in_by_read(). Only the former keeps the contents of pages that are present already.
 *
 * @param va         start, a multiple of page_size.
 * @param len        bytes, a multiple of page_size.
 * @param page_size  bytes of a page of the range.
 * @return 0; -ENOSPC: no page is left that the memory policy allows; else the negative errno of the
 *   system call. After an error some pages may be present.
 */
int dm_fault_in(void *va, size_t len, size_t page_size);

/**
 * dm_fault_in() for older kernels: read(2) of /dev/zero writes a byte to each page. A page that
 * cannot be allocated makes read(2) fail with EFAULT, which becomes -ENOSPC.
 */
int dm_fault_in_by_read(void *va, size_t len, size_t page_size);

#endif /* DM_FAULT_IN_H */
