/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do pages come to life without a SIGBUS? Through the kernel, which reports what fails.
 */

#ifndef DM_FAULT_IN_H
#define DM_FAULT_IN_H

#include <stddef.h>

/**
 * Back a range of this process with pages now: MADV_POPULATE_WRITE (Linux 5.14), else
 * dm_fault_in_by_read(). Pages that are there already keep their contents only with the former.
 *
 * @param va         start, a multiple of page_size.
 * @param len        bytes, a multiple of page_size.
 * @return 0; -ENOSPC: no page is left where the policy allows one; else as the kernel says.
 */
int dm_fault_in(void *va, size_t len, size_t page_size);

/**
 * The same for older kernels: read(2) of /dev/zero writes a byte to each page. One that cannot be
 * had makes it fail with EFAULT, where an access by the process itself would raise SIGBUS.
 */
int dm_fault_in_by_read(void *va, size_t len, size_t page_size);

#endif /* DM_FAULT_IN_H */
