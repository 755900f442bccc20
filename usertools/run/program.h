/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Checks, before a program is started, that its dynamic linker will honour LD_PRELOAD. Called by
 * main.c.
 *
 * glibc's dynamic linker does, unless the kernel requests secure execution (ld.so(8),
 * "Secure-execution mode"). Any other program would silently run on plain VFIO.
 */

#ifndef RUN_PROGRAM_H
#define RUN_PROGRAM_H

#include <limits.h>

/** Exit statuses, as those of env(1). */
enum run_status {
	RUN_FAILED = 125, /**< gantry-run itself failed */
	RUN_NOT_RUN = 126, /**< the program exists but cannot be run */
	RUN_NOT_FOUND = 127, /**< no such program */
};

/** Log in one line, on standard error, why the program is not started. @return status */
enum run_status run_fail(enum run_status status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * Find a program as execvp(3) does, and check it. For a script, check its interpreters.
 * @param name  as the user typed it.
 * @param path  out: file to execute.
 * @return 0; a status, after logging a line.
 */
int run_program_find(const char *name, char path[PATH_MAX]);

#endif /* RUN_PROGRAM_H */
