/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Recognises VFIO files by device number, never by name. Called by front_libc.c.
 */

#ifndef PRELOAD_FILE_H
#define PRELOAD_FILE_H

#include <sys/types.h>

#include "front.h"

/** Paths of the container's file, and of /dev/iommu, which can stand in for it. */
extern const char preload_container_file[], preload_iommufd_file[];

/**
 * Kind of a character device. Any thread; does not allocate. No system call for numbers that cannot
 * be VFIO's; else one readlink(2), which may set errno.
 * @param rdev   device number.
 * @param sysfs  mount point of sysfs: "/sys".
 * @param group  out: IOMMU group number; -1: not a group.
 * @return CONTAINER, GROUP or NONE. NONE also for a group without an IOMMU (noiommu) and for VFIO
 *   device files (cdev): neither uses a type1 container.
 */
enum front_kind preload_file_kind(dev_t rdev, const char *sysfs, int *group);

#endif /* PRELOAD_FILE_H */
