/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Files on a hugetlbfs mount, for kernels without hugetlb memfds.
 *
 * Invariant: no file stays behind for good. It has no name, or a name that identifies its process,
 * so that another process can remove it after a crash. Called by hugepage.c. Any thread may call.
 */

#ifndef DM_HUGEFILE_H
#define DM_HUGEFILE_H

#include <stddef.h>

/**
 * Open an unnamed, empty file on a mounted hugetlbfs. The first call of a process sweeps all
 * hugetlbfs mounts (dm_hugefile_sweep()); concurrent calls wait for it.
 * @param page_size  bytes.
 * @return a file descriptor, which the caller closes; -ENOENT: no writable hugetlbfs with that page
 *   size is mounted; -EMFILE, -ENFILE.
 */
int dm_hugefile_open(size_t page_size);

/**
 * Open an unnamed file in a directory with O_TMPFILE, or with dm_hugefile_open_named() where that
 * is not supported.
 * @return a file descriptor, or a negative errno.
 */
int dm_hugefile_open_in(const char *dir);

/**
 * Create a named file and remove its name at once. @return a file descriptor, or a negative errno.
 */
int dm_hugefile_open_named(const char *dir);

/**
 * Create a file named gantry-PID-STARTTIME-NUMBER, which identifies its owner. It is locked by
 * flock(2) as long as it is open.
 * @param path  out: path of the file.
 * @param size  bytes in path.
 * @return a file descriptor, or a negative errno; -ENAMETOOLONG: path is too short.
 */
int dm_hugefile_create(const char *dir, char *path, size_t size);

/**
 * Remove the files of dead processes from a directory. A file is removed if its name has the format
 * above, its lock is free, and its process is gone or the PID was reused. The lock
 * protects the files of a process in another PID namespace. Each removal is logged.
 * @return how many were removed.
 */
unsigned int dm_hugefile_sweep(const char *dir);

#endif /* DM_HUGEFILE_H */
