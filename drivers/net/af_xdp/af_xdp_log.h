/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Log macros of the driver. All its files use them; they depend on none of these.
 */

#ifndef AF_XDP_LOG_H
#define AF_XDP_LOG_H

#include <rte_log.h>

/** The log type `pmd.net.gantry_af_xdp`. */
extern int af_xdp_logtype;

/** Log one line about a device or port; the newline is added. */
#define AF_XDP_LOG(level, name, fmt, ...)                                                          \
	rte_log(RTE_LOG_##level, af_xdp_logtype, "net_gantry_af_xdp: %s: " fmt "\n", name,         \
		##__VA_ARGS__)

/**
 * Log an error line and yield the negative errno.
 * err is read before the line is logged: it may be errno, which logging can change.
 */
#define AF_XDP_FAIL(err, name, fmt, ...)                                                           \
	({                                                                                         \
		const int err_ = (err);                                                            \
		AF_XDP_LOG(ERR, name, fmt, ##__VA_ARGS__);                                         \
		-err_;                                                                             \
	})

#endif /* AF_XDP_LOG_H */
