/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Recognition of VFIO files. Implements preload_file.h.
 *
 * A container is the misc device 10:196 (Linux, VFIO_MINOR). Groups have a dynamic major, which the
 * kernel allocates when VFIO is loaded, from 234 up (fs/char_dev.c, CHRDEV_MAJOR_DYN_END). Each
 * group is a parentless device of class "vfio", named by its number, or "noiommu-" and its number.
 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "preload_file.h"

#define MISC_MAJOR 10
#define VFIO_MINOR 196
/** Lowest major that Linux allocates dynamically. */
#define DYNAMIC_MAJOR 234

const char preload_container_file[] = "/dev/vfio/vfio";
const char preload_iommufd_file[] = "/dev/iommu";

enum front_kind
preload_file_kind(dev_t rdev, const char *sysfs, int *group)
{
	static const char groups[] = "/devices/virtual/vfio/";
	char path[128], target[PATH_MAX], *name, *end;
	ssize_t len;
	long number;

	*group = -1;
	if (major(rdev) == MISC_MAJOR && minor(rdev) == VFIO_MINOR)
		return FRONT_CONTAINER;
	if (major(rdev) < DYNAMIC_MAJOR)
		return FRONT_NONE;
	snprintf(path, sizeof(path), "%s/dev/char/%u:%u", sysfs, major(rdev), minor(rdev));
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return FRONT_NONE;
	target[len] = '\0';
	name = strstr(target, groups);
	if (name == NULL)
		return FRONT_NONE;
	name += strlen(groups);
	number = strtol(name, &end, 10);
	if (end == name || *end != '\0' || number < 0 || number > INT_MAX)
		return FRONT_NONE;
	*group = (int)number;
	return FRONT_GROUP;
}
