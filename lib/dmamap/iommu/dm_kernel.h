/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do backends speak to the kernel? Through this table, which tests replace by a fake.
 */

#ifndef DM_KERNEL_H
#define DM_KERNEL_H

#include <stdint.h>

#include <rte_common.h>

/** The few calls that backends make. All return what the system call does, or a negative errno. */
struct dm_kernel {
	const char *sysfs; /**< where sysfs is: "/sys" */
	int (*open)(const char *path, int flags);
	int (*ioctl)(int fd, unsigned long request, uintptr_t arg);
	int (*close)(int fd);
};

/** The kernel in use: Linux, unless a test says otherwise. Not to be changed while a backend is
 * open. */
extern const struct dm_kernel *dm_kernel;

/** An ioctl with a pointer to a structure. */
static inline int
dm_kernel_ioctl(int fd, unsigned long request, void *arg)
{
	return dm_kernel->ioctl(fd, request, (uintptr_t)arg);
}

/** An ioctl with a number. */
static inline int
dm_kernel_ioctl_int(int fd, unsigned long request, unsigned long arg)
{
	return dm_kernel->ioctl(fd, request, arg);
}

/** Write the path of a file in sysfs. @return 0, or -ENAMETOOLONG */
int dm_kernel_sysfs(char *path, size_t size, const char *fmt, ...) __rte_format_printf(3, 4);

#endif /* DM_KERNEL_H */
