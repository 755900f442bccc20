/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Log macros of the driver. edu_dmadev.c uses them.
 */

#ifndef EDU_LOG_H
#define EDU_LOG_H

#include <rte_log.h>

/** The log type `pmd.dma.gantry_edu`. */
extern int edu_logtype;

/** Log one line; the newline is added. */
#define EDU_LOG(level, fmt, ...)                                                                   \
	rte_log(RTE_LOG_##level, edu_logtype, "dma_gantry_edu: " fmt "\n", ##__VA_ARGS__)

/**
 * Log an error line and yield the negative errno.
 * err is read before the line is logged: it may be errno, which logging can change.
 */
#define EDU_FAIL(err, fmt, ...)                                                                    \
	({                                                                                         \
		const int err_ = (err);                                                            \
		EDU_LOG(ERR, fmt, ##__VA_ARGS__);                                                  \
		-err_;                                                                             \
	})

#endif /* EDU_LOG_H */
