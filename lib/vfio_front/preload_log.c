/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Log of a process. Implements preload_log.h.
 */

#include "preload_real.h"

#include <stdio.h>
#include <string.h>

#include "preload_log.h"

#define PREFIX "gantry: "
#define LINE_MAX_LEN 1024

static const char *log_path = "";

void
preload_log_open(const char *path)
{
	log_path = path;
}

void
preload_log_line(const char *fmt, ...)
{
	char line[LINE_MAX_LEN] = PREFIX;
	const size_t line_len = sizeof(line) - strlen(PREFIX) - 1;
	int err = errno, fd = STDERR_FILENO, len;
	va_list ap;
	ssize_t done;

	va_start(ap, fmt);
	len = vsnprintf(line + strlen(PREFIX), line_len, fmt, ap);
	va_end(ap);
	len = len < 0 ? 0 : len < (int)line_len ? len : (int)line_len - 1;
	len += strlen(PREFIX);
	line[len++] = '\n';
	if (log_path[0] != '\0')
		fd = preload_real_open(PRELOAD_REAL(open), log_path,
			O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd >= 0) {
		done = write(fd, line, len);
		(void)done;
	}
	if (fd > STDERR_FILENO)
		preload_real_close(fd);
	errno = err;
}

void
preload_log_message(void *arg, enum dmamap_log_level level, const char *line)
{
	if (level <= DMAMAP_LOG_NOTICE)
		preload_log_line("%s", line);
}
