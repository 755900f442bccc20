/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Log lines of gantry-broker on standard error. Implements part of broker.h.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "broker.h"

static void
log_line(const char *fmt, va_list ap)
{
	char line[1024];
	int err = errno;

	vsnprintf(line, sizeof(line), fmt, ap);
	fprintf(stderr, "gantry-broker: %s\n", line);
	errno = err;
}

void
broker_log(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(fmt, ap);
	va_end(ap);
}

int
broker_fail(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(fmt, ap);
	va_end(ap);
	return status;
}
