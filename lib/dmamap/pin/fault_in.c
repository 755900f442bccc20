/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do pages come to life without a SIGBUS? Through the kernel, which reports what fails.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_fault_in.h"

/* Since Linux 5.14; the C library's headers may be older. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int
dm_fault_in_by_read(void *va, size_t len, size_t page_size)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	size_t at;
	int rc = 0;

	if (fd < 0)
		return -errno;
	for (at = 0; at < len && rc == 0; at += page_size)
		if (read(fd, RTE_PTR_ADD(va, at), 1) != 1)
			rc = -ENOSPC;
	close(fd);
	return rc;
}

int
dm_fault_in(void *va, size_t len, size_t page_size)
{
	int rc;

	do
		rc = madvise(va, len, MADV_POPULATE_WRITE);
	while (rc < 0 && (errno == EINTR || errno == EAGAIN));

	if (rc == 0)
		return 0;
	if (errno == EINVAL)
		return dm_fault_in_by_read(va, len, page_size);
	return errno == EFAULT || errno == ENOMEM ? -ENOSPC : -errno;
}
