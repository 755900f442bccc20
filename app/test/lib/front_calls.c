/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Calls on virtual containers, and on the mock kernel for all other descriptors. See front_calls.h.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "front_calls.h"

static struct vfio_mock *mock_below;
static bool no_container;

int
front_calls_begin(struct vfio_mock *below, struct front_conf conf)
{
	mock_below = below;
	conf.kernel = vfio_mock_kernel(below);
	return front_init(&conf);
}

void
front_calls_no_container(void)
{
	no_container = true;
}

void
front_calls_end(void)
{
	front_fini();
	no_container = false;
}

int
front_calls_open(const char *path)
{
	const bool is_container = strcmp(path, "/dev/vfio/vfio") == 0;
	int fd = vfio_mock_open(mock_below, is_container && no_container ? "/dev/iommu" : path),
	    number = -1;

	if (fd < 0)
		return fd;
	if (is_container)
		front_opened(fd, no_container ? FRONT_IOMMUFD : FRONT_CONTAINER, -1);
	else if (sscanf(path, "/dev/vfio/%d", &number) == 1)
		front_opened(fd, FRONT_GROUP, number);
	return fd;
}

int
front_calls_close(int fd)
{
	return front_kind(fd) != FRONT_NONE ? front_close(fd) : vfio_mock_close(mock_below, fd);
}

int
front_calls_ioctl(int fd, unsigned long request, unsigned long arg)
{
	return front_kind(fd) != FRONT_NONE ? front_ioctl(fd, request, arg)
					    : vfio_mock_ioctl(mock_below, fd, request, arg);
}
