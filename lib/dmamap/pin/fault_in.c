/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Faulting pages in through system calls, which report failures as errors. See dm_fault_in.h.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm_fault_in.h"
#include "dm_util.h"

/* Since Linux 5.14; the C library's headers may be older. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int
dm_fault_in_by_read(void *va, size_t len, size_t page_size)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	int rc = 0;

	if (fd < 0)
		return -errno;
	while (at < len && rc == 0) {
		if (read(fd, DM_PTR_ADD(va, at), 1) == 1)
			at += page_size;
		else if (errno != EINTR) /* a signal of the program */
			rc = errno == EFAULT ? -ENOSPC : -errno;
	}
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
