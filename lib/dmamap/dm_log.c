/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The library's log: the sink that lines go to, and the lines that a thread collects under a lock.
 * See dm_log.h.
 */

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_log.h"
#include "dm_port.h"
#include "dm_util.h"

/** Longest line in bytes; longer ones are truncated. */
#define LINE_MAX_LEN 2048

/**
 * The function of dmamap_log_set() and its argument. The lock is held for reading while the
 * function runs, so a thread that sets another function waits for it. The pointer may be read
 * without it.
 */
static pthread_rwlock_t sink_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct {
	dmamap_log_fn fn;
	void *arg;
} sink;
/** This thread is running the sink's function. */
static __thread bool in_sink;

/** Maximum bytes of collected lines for each thread. */
#define DEFERRED_SIZE 8192u

/**
 * Collected lines of one thread: for each a byte with the level, the text and a zero. Allocated
 * from the first line until they are written: thread-local storage of that size would keep
 * dlopen(3) from loading the library.
 */
static __thread struct {
	unsigned int depth, len, lost;
	char *text;
} deferred;

static bool
sink_set(void)
{
	return !in_sink && __atomic_load_n(&sink.fn, __ATOMIC_RELAXED) != NULL;
}

/** Pass a line to the sink's function. @return whether one is set */
static bool
sink_write(enum dmamap_log_level level, const char *line)
{
	bool written;

	if (!sink_set())
		return false;
	pthread_rwlock_rdlock(&sink_lock);
	written = sink.fn != NULL;
	if (written) {
		in_sink = true;
		sink.fn(sink.arg, level, line);
		in_sink = false;
	}
	pthread_rwlock_unlock(&sink_lock);
	return written;
}

int
dmamap_log_set(dmamap_log_fn fn, void *arg)
{
	if (in_sink)
		return -EDEADLK;
	pthread_rwlock_wrlock(&sink_lock);
	__atomic_store_n(&sink.fn, fn, __ATOMIC_RELAXED);
	sink.arg = arg;
	pthread_rwlock_unlock(&sink_lock);
	return 0;
}

static void
log_write(enum dmamap_log_level level, const char *line)
{
	if (!sink_write(level, line) && dm_port_log_wanted(level))
		dm_port_log(level, line);
}

static void
deferred_add(enum dmamap_log_level level, const char *fmt, va_list ap)
{
	const unsigned int left = DEFERRED_SIZE - deferred.len;
	int n;

	if (deferred.text == NULL)
		deferred.text = malloc(DEFERRED_SIZE);
	if (deferred.text == NULL || left < 3) {
		deferred.lost++;
		return;
	}
	n = vsnprintf(&deferred.text[deferred.len + 1], left - 1, fmt, ap);
	if (n < 0 || (unsigned int)n >= left - 1) {
		deferred.lost++;
		return;
	}
	deferred.text[deferred.len] = (char)level;
	deferred.len += n + 2;
}

void
dm_log(enum dmamap_log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_LEN];
	va_list ap;

	if (!sink_set() && !dm_port_log_wanted(level))
		return;
	va_start(ap, fmt);
	if (deferred.depth > 0) {
		deferred_add(level, fmt, ap);
	} else {
		vsnprintf(line, sizeof(line), fmt, ap);
		log_write(level, line);
	}
	va_end(ap);
}

void
dm_log_defer(void)
{
	deferred.depth++;
}

void
dm_log_flush(void)
{
	unsigned int at, len, lost;
	char line[64], *text;

	/* Called from the sink's function: the outer flush still iterates over the lines. */
	if (--deferred.depth > 0 || in_sink || (deferred.text == NULL && deferred.lost == 0))
		return;
	text = deferred.text;
	len = deferred.len;
	lost = deferred.lost;
	deferred.text = NULL;
	deferred.len = deferred.lost = 0;
	for (at = 0; at < len; at += strlen(&text[at + 1]) + 2)
		log_write((enum dmamap_log_level)text[at], &text[at + 1]);
	free(text);
	if (lost > 0) {
		snprintf(line, sizeof(line), "dmamap: log: %u lines lost: buffer full", lost);
		log_write(DMAMAP_LOG_WARNING, line);
	}
}

unsigned int
dm_log_mark(void)
{
	return deferred.len;
}

void
dm_log_forget(unsigned int mark)
{
	deferred.len = DM_MIN(mark, deferred.len);
}
