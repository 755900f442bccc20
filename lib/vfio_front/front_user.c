/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Arguments of ioctls, in the program's memory: copied as the kernel copies them, so that a bad
 * pointer is -EFAULT and not a signal. Called by front.c and front_container.c.
 */

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "front_priv.h"

/**
 * @param copied  what process_vm_readv(2) or process_vm_writev(2) returned.
 * @return 0: all was copied; -EFAULT; 1: the call is not to be had, as under seccomp(2).
 */
static int
copy_result(ssize_t copied, size_t len)
{
	if (copied == (ssize_t)len)
		return 0;
	return copied >= 0 || errno == EFAULT ? -EFAULT : 1;
}

int
front_user_read(void *to, uintptr_t from, size_t len)
{
	const struct iovec local = {to, len}, remote = {(void *)from, len};
	int rc;

	if (from == 0)
		return -EFAULT;
	rc = copy_result(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), len);
	if (rc > 0)
		memcpy(to, (const void *)from, len);
	return DM_MIN(rc, 0);
}

int
front_user_write(uintptr_t to, const void *from, size_t len)
{
	const struct iovec local = {(void *)(uintptr_t)from, len}, remote = {(void *)to, len};
	int rc;

	if (to == 0)
		return -EFAULT;
	rc = copy_result(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), len);
	if (rc > 0)
		memcpy((void *)to, from, len);
	return DM_MIN(rc, 0);
}
