/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Log of libgantry_vfio.so inside a program: standard error, or a file.
 *
 * Invariants: the file is opened and closed for each line, so the program sees no extra descriptor.
 * A line is one write(2) with O_APPEND, so processes can share a file. Caller: the preload library
 * and, through front_log_set(), vfio_front.
 */

#ifndef PRELOAD_LOG_H
#define PRELOAD_LOG_H

#include "dmamap.h"

/**
 * Set the log file. Before the first line.
 * @param path  must stay valid; "": standard error.
 */
void preload_log_open(const char *path);

/**
 * Write a line, prefixed with "gantry: ". Any thread. Preserves errno. A line that cannot be
 * written is lost.
 */
void preload_log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** Callback for front_log_set(): logs errors, warnings and notices. */
void preload_log_message(void *arg, enum dmamap_log_level level, const char *line);

#endif /* PRELOAD_LOG_H */
