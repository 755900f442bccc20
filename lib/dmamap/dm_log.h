/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does the library speak? One log type, one line for each failure.
 */

#ifndef DM_LOG_H
#define DM_LOG_H

#include <rte_log.h>

/** The log type `lib.dmamap`. */
extern int dm_logtype;

/** Log one line; the newline is added. */
#define DM_LOG(level, fmt, ...)                                                                    \
	rte_log(RTE_LOG_##level, dm_logtype, "dmamap: " fmt "\n", ##__VA_ARGS__)

/** Log an error line and yield the negative errno, so that `return DM_FAIL(EBUSY, ...)` reads well.
 */
#define DM_FAIL(err, fmt, ...) (DM_LOG(ERR, fmt, ##__VA_ARGS__), -(err))

#endif /* DM_LOG_H */
