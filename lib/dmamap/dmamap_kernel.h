/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 */

#ifndef DMAMAP_KERNEL_H
#define DMAMAP_KERNEL_H

/**
 * @file
 * The system calls that a container makes on VFIO, iommufd and sysfs, as a table.
 *
 * A program that runs a container on something other than Linux fills in a table and names it in
 * struct dmamap_container_conf. Examples are a mock kernel in tests, and a program that intercepts
 * system calls and has to reach the real ones.
 *
 * A member that is NULL stands for Linux's own function, so a table of zeroes is Linux.
 * Every function returns what the system call does, or a negative errno; `arg` is the table's.
 * Several threads may call a function at once. Functions may block. They must not call libdmamap.
 *
 * Experimental: members may be added.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The kernel below a container. The table must outlive every container that names it. */
struct dmamap_kernel {
	void *arg; /**< passed to each function, which defines its meaning */
	const char *sysfs; /**< where sysfs is mounted; NULL: "/sys" */

	/**
	 * open(2) of /dev/vfio/... or /dev/iommu, closed on exec.
	 * @return the descriptor, not negative.
	 */
	int (*open)(void *arg, const char *path, int flags);
	/** ioctl(2); param is a number or the address of a structure, depending on the request. */
	int (*ioctl)(void *arg, int fd, unsigned long request, uintptr_t param);
	/** close(2). */
	int (*close)(void *arg, int fd);

	/**
	 * Read a small file whole. The paths of read_file, read_link and list begin with `sysfs`.
	 * @param buf  out: the text and a terminating zero.
	 * @return its length in bytes; -ENOENT: no such file; -EFBIG: it does not fit.
	 */
	int (*read_file)(void *arg, const char *path, char *buf, size_t size);
	/**
	 * readlink(2), with a terminating zero.
	 * @return the length in bytes; -ENOENT; -ENAMETOOLONG: it does not fit.
	 */
	int (*read_link)(void *arg, const char *path, char *buf, size_t size);
	/**
	 * Call `each` for the name of each entry of a directory, without "." and "..", until it
	 * returns a value other than 0.
	 * @return the last result of `each`, 0 for an empty directory; -ENOENT: no such directory.
	 */
	int (*list)(
		void *arg, const char *path, int (*each)(void *ctx, const char *name), void *ctx);

	/** Duplicate a descriptor, closed on exec, as F_DUPFD_CLOEXEC. @return the duplicate */
	int (*dup)(void *arg, int fd);
	/**
	 * Read the /proc/self/fdinfo of an open file.
	 * @param buf  out: the text, truncated to size, and a terminating zero.
	 * @return its length in bytes; -ENOENT.
	 */
	int (*read_fdinfo)(void *arg, int fd, char *buf, size_t size);
};

#ifdef __cplusplus
}
#endif

#endif /* DMAMAP_KERNEL_H */
