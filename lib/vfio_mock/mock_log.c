/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Log of the mock kernel. Implements mock_log.h.
 */

#include <stdarg.h>

#include "mock_log.h"
#include "vfio_mock.h"

static FILE *stream;

void
vfio_mock_set_log(FILE *log)
{
	__atomic_store_n(&stream, log, __ATOMIC_RELEASE);
}

void
mock_log(const char *fmt, ...)
{
	FILE *log = __atomic_load_n(&stream, __ATOMIC_ACQUIRE);
	va_list ap;

	va_start(ap, fmt);
	vfprintf(log != NULL ? log : stderr, fmt, ap);
	va_end(ap);
}
