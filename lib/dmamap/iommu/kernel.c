/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do backends speak to the kernel? Through this table, which tests replace by a fake.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dm_kernel.h"

static int
linux_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int
linux_ioctl(int fd, unsigned long request, uintptr_t arg)
{
	int rc = ioctl(fd, request, arg);

	return rc < 0 ? -errno : rc;
}

static int
linux_close(int fd)
{
	return close(fd) < 0 ? -errno : 0;
}

static const struct dm_kernel linux_kernel = {
	.sysfs = "/sys",
	.open = linux_open,
	.ioctl = linux_ioctl,
	.close = linux_close,
};

const struct dm_kernel *dm_kernel = &linux_kernel;

int
dm_kernel_sysfs(char *path, size_t size, const char *fmt, ...)
{
	int at = snprintf(path, size, "%s/", dm_kernel->sysfs), len;
	va_list ap;

	if (at < 0 || (size_t)at >= size)
		return -ENAMETOOLONG;
	va_start(ap, fmt);
	len = vsnprintf(path + at, size - at, fmt, ap);
	va_end(ap);
	return len < 0 || (size_t)len >= size - at ? -ENAMETOOLONG : 0;
}
