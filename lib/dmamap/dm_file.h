/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does a small file of the kernel say? Readers for sysfs and procfs.
 */

#ifndef DM_FILE_H
#define DM_FILE_H

#include <stddef.h>
#include <stdint.h>

/**
 * Read the first line of a file, without its newline.
 *
 * @param buf   receives the line, always terminated.
 * @param size  of buf, at least 1; a longer line is cut.
 * @return 0, or the errno of open(2) or read(2), negated. buf is "" then.
 */
int dm_file_line(const char *path, char *buf, size_t size);

/**
 * Read a number in C notation from the first line of a file.
 * @return 0; the errno of open(2) or read(2), negated; -EINVAL: it does not begin with a number.
 */
int dm_file_number(const char *path, int64_t *value);

/**
 * The last component of what a symbolic link points to: the name of a driver, a group's number.
 * @return 0; the errno of readlink(2), negated; -ENAMETOOLONG. buf is "" then.
 */
int dm_file_link_name(const char *path, char *buf, size_t size);

#endif /* DM_FILE_H */
