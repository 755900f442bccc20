/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Readers of small kernel files in sysfs and procfs. No function keeps state. Any thread. Called by
 * pin/.
 */

#ifndef DM_FILE_H
#define DM_FILE_H

#include <stddef.h>
#include <stdint.h>

/**
 * Read the first line of a file, without its newline.
 *
 * @param buf   out: the line, always terminated.
 * @param size  of buf in bytes, at least 1; a longer line is truncated.
 * @return 0, or the negated errno of open(2) or read(2); buf is "" then.
 */
int dm_file_line(const char *path, char *buf, size_t size);

/**
 * Read a number in C notation from the first line of a file.
 * @return 0; the negated errno of open(2) or read(2); -EINVAL: the line does not begin with a
 * number.
 */
int dm_file_number(const char *path, int64_t *value);

#endif /* DM_FILE_H */
