/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The library's log: one line for each failure. Lines go to the function of dmamap_log_set(), or,
 * without one, to the environment (dm_port.h).
 *
 * Invariant: no line is written while the calling thread holds a bookkeeping lock. Lines that are
 * logged under such a lock are collected in the thread, and written when the thread releases its
 * last one. Called by every file of the library.
 */

#ifndef DM_LOG_H
#define DM_LOG_H

#include "dm_util.h"
#include "dmamap.h"

/** Log one line, without a newline. Any thread. Collected between dm_log_defer() and _flush(). */
void dm_log(enum dmamap_log_level level, const char *fmt, ...) DM_PRINTF_LIKE(2, 3);

/**
 * Collect this thread's lines from now on, until the matching dm_log_flush(). Calls nest. At most
 * 8 KiB are collected; further lines are counted and reported as lost.
 */
void dm_log_defer(void);
/**
 * Undo one dm_log_defer(); the outermost call writes the collected lines. The caller holds no
 * bookkeeping lock.
 */
void dm_log_flush(void);
/** The current end of the collected lines, for dm_log_forget(). */
unsigned int dm_log_mark(void);
/** Drop the lines collected since a mark: a later attempt of the operation succeeded. */
void dm_log_forget(unsigned int mark);

/** Log one line. */
#define DM_LOG(level, fmt, ...) dm_log(DMAMAP_LOG_##level, "dmamap: " fmt, ##__VA_ARGS__)

/**
 * Log an error line and yield the negative errno, for `return DM_FAIL(EBUSY, ...)`. err is
 * evaluated once, before anything is logged, so it may be `errno`.
 */
#define DM_FAIL(err, fmt, ...)                                                                     \
	__extension__({                                                                            \
		const int dm_fail_errno = (err);                                                   \
		DM_LOG(ERR, fmt, ##__VA_ARGS__);                                                   \
		-dm_fail_errno;                                                                    \
	})

#endif /* DM_LOG_H */
