/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * System calls of the backends, made through the table of the container's kernel (dmamap_kernel.h).
 * Tests replace the table by the mock kernel.
 *
 * Invariant: every backend call on VFIO, iommufd or sysfs goes through here; physical addresses
 * (phys.c) do not. All functions return the result of the system call or a negative errno. None
 * logs or keeps state, so any thread may call.
 */

#ifndef DM_KERNEL_H
#define DM_KERNEL_H

#include <stdint.h>

#include "dm_iommu.h"
#include "dm_util.h"
#include "dmamap_kernel.h"

/** The kernel of a container's configuration; conf may be NULL, for the defaults. Never NULL. */
const struct dmamap_kernel *dm_kernel_of(const struct dmamap_container_conf *conf);

/**
 * open(2).
 * @return a file descriptor, closed on exec; or a negative errno.
 */
int dm_kernel_open(const struct dmamap_kernel *k, const char *path, int flags);
/** Duplicate a descriptor, closed on exec. @return the duplicate; or a negative errno */
int dm_kernel_dup(const struct dmamap_kernel *k, int fd);
/**
 * Read the value of a line "key: value" from a file's fdinfo.
 * @param size  bytes in buf.
 * @return 0; -ENOENT: no such line; -ENAMETOOLONG: buf is too short; else the kernel's errno.
 */
int dm_kernel_fdinfo(
	const struct dmamap_kernel *k, int fd, const char *key, char *buf, size_t size);
/** close(2). Works in a forked process too. */
int dm_kernel_close(const struct dmamap_kernel *k, int fd);
/**
 * ioctl(2) with a pointer to a structure, on a file of a backend.
 * @return also -ECHILD, without a system call: this process did not open the backend.
 */
int dm_kernel_ioctl(const struct dm_iommu *iommu, int fd, unsigned long request, void *arg);
/** dm_kernel_ioctl() with a number. */
int dm_kernel_ioctl_int(
	const struct dm_iommu *iommu, int fd, unsigned long request, unsigned long arg);

/** @name sysfs. fmt is a path below its root. */
/**@{*/
/**
 * Read the first line of a file, without the newline. @return 0; -ENOENT; -EFBIG: buf is too short
 * for the file
 */
int dm_kernel_line(const struct dmamap_kernel *k, char *buf, size_t size, const char *fmt, ...)
	DM_PRINTF_LIKE(4, 5);
/** Read a whole file; *text is malloc()ed, the caller frees. @return 0; -ENOENT; -ENOMEM */
int dm_kernel_text(const struct dmamap_kernel *k, char **text, const char *fmt, ...)
	DM_PRINTF_LIKE(3, 4);
/** Read a link: the last component of its target. @return 0; -ENOENT; -ENAMETOOLONG */
int dm_kernel_link_name(const struct dmamap_kernel *k, char *buf, size_t size, const char *fmt, ...)
	DM_PRINTF_LIKE(4, 5);
/** Visit the entries of a directory. @see dmamap_kernel.list */
int dm_kernel_list(const struct dmamap_kernel *k, int (*each)(void *ctx, const char *name),
	void *ctx, const char *fmt, ...) DM_PRINTF_LIKE(4, 5);
/**
 * Callback for dm_kernel_list() that stops at the first entry: tells whether there is one. @return
 * 1
 */
int dm_kernel_stop(void *ctx, const char *name);
/** Check that a directory exists. @return 0; -ENOENT; another negative errno */
int dm_kernel_check_dir(const struct dmamap_kernel *k, const char *fmt, ...) DM_PRINTF_LIKE(2, 3);
/**@}*/

#endif /* DM_KERNEL_H */
