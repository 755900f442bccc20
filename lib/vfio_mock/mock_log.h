/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Log of the mock kernel: misuse of its interface, and objects left open. Used by all files of the
 * mock.
 */

#ifndef MOCK_LOG_H
#define MOCK_LOG_H

#include "dm_util.h"

/** Write to the stream of vfio_mock_set_log(); standard error by default. Any thread. */
void mock_log(const char *fmt, ...) DM_PRINTF_LIKE(1, 2);

/** Log an error line; the newline is added. */
#define MOCK_LOG(fmt, ...) mock_log("vfio_mock: " fmt "\n", ##__VA_ARGS__)

/** Log an error line and evaluate to the negative errno. err must be a constant. */
#define MOCK_FAIL(err, fmt, ...) (MOCK_LOG(fmt, ##__VA_ARGS__), -(err))

#endif /* MOCK_LOG_H */
