/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A mock kernel with replaced calls. See odd_kernel.h.
 */

#include <string.h>

#include <linux/vfio.h>

#include "odd_kernel.h"

struct odd_kernel odd_kernel;

/** The mock's own table. */
static const struct dmamap_kernel *sound;

static int
odd_open(void *arg, const char *path, int flags)
{
	int fd;

	if (odd_kernel.no_file != NULL && strcmp(path, odd_kernel.no_file) == 0)
		return -odd_kernel.no_file_errno;
	fd = sound->open(arg, path, flags);
	odd_kernel.open_files += fd >= 0;
	return fd;
}

static int
odd_ioctl(void *arg, int fd, unsigned long request, uintptr_t param)
{
	int rc =
		(odd_kernel.ioctl != NULL ? odd_kernel.ioctl : odd_kernel_pass)(fd, request, param);

	if (request == VFIO_GROUP_GET_DEVICE_FD && rc >= 0)
		odd_kernel.open_files++;
	return rc;
}

static int
odd_close(void *arg, int fd)
{
	int rc = sound->close(arg, fd);

	odd_kernel.open_files -= rc == 0;
	return rc;
}

static int
odd_dup(void *arg, int fd)
{
	int rc = sound->dup(arg, fd);

	odd_kernel.open_files += rc >= 0;
	return rc;
}

void
odd_kernel_begin(struct vfio_mock *mock)
{
	sound = vfio_mock_kernel(mock);
	odd_kernel = (struct odd_kernel){.table = *sound};
	odd_kernel.table.open = odd_open;
	odd_kernel.table.ioctl = odd_ioctl;
	odd_kernel.table.close = odd_close;
	odd_kernel.table.dup = odd_dup;
}

int
odd_kernel_pass(int fd, unsigned long request, uintptr_t param)
{
	return sound->ioctl(sound->arg, fd, request, param);
}
