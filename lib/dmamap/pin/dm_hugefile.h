/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does a file on a hugetlbfs mount leave nothing behind? It has no name, or one that says whose
 * it is.
 */

#ifndef DM_HUGEFILE_H
#define DM_HUGEFILE_H

#include <stddef.h>

/**
 * Open an empty file without a name on a mounted hugetlbfs. The first call of a process removes
 * from each hugetlbfs what dead ones have left (dm_hugefile_sweep()).
 * @return a file descriptor; -ENOENT: no writable hugetlbfs with that page size is mounted.
 */
int dm_hugefile_open(size_t page_size);

/**
 * Open a file in a folder: without a name from the start (O_TMPFILE), or where that cannot be,
 * dm_hugefile_open_named().
 * @return a file descriptor, or a negative errno.
 */
int dm_hugefile_open_in(const char *dir);

/** Open a file under a name that is removed at once. @return a file descriptor, or a negative
 * errno. */
int dm_hugefile_open_named(const char *dir);

/**
 * Make a file with a name that says whose it is: gantry-PID-STARTTIME-NUMBER, locked by flock(2) as
 * long as it is open.
 * @param path  out: the file's.
 * @return a file descriptor, or a negative errno.
 */
int dm_hugefile_create(const char *dir, char *path, size_t size);

/**
 * Remove what dead processes have left in a folder: files with such a name that nobody has locked
 * and whose process is no more, or is another one by now. A process that lives in another PID
 * namespace is known by its lock.
 * @return how many were removed.
 */
unsigned int dm_hugefile_sweep(const char *dir);

#endif /* DM_HUGEFILE_H */
