/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Log macros of the driver. All its files use them; they depend on none of these.
 */

#ifndef E1000E_LOG_H
#define E1000E_LOG_H

#include <rte_log.h>

/** The log type `pmd.net.gantry_e1000e`. */
extern int e1000e_logtype;

/** Log one line about a device or port; the newline is added. */
#define E1000E_LOG(level, name, fmt, ...)                                                          \
	rte_log(RTE_LOG_##level, e1000e_logtype, "net_gantry_e1000e: %s: " fmt "\n", name,         \
		##__VA_ARGS__)

/**
 * Log an error line and yield the negative errno.
 * err is read before the line is logged: it may be errno, which logging can change.
 */
#define E1000E_FAIL(err, name, fmt, ...)                                                           \
	({                                                                                         \
		const int err_ = (err);                                                            \
		E1000E_LOG(ERR, name, fmt, ##__VA_ARGS__);                                         \
		-err_;                                                                             \
	})

#endif /* E1000E_LOG_H */
