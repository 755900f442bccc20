/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Log lines, the history of refused calls, and counters. Any thread may call any function, under
 * any lock of vfio_front.
 *
 * Invariant: `lock` is not held while the log callback runs. The callback may run under other locks
 * of vfio_front, and must not call it.
 */

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "front_priv.h"

/** Last error line of libdmamap in this thread. */
static __thread char last_error[sizeof(((struct front_refusal *)NULL)->why)];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct front_refusal
	refusals[FRONT_REFUSALS]; /**< refusal n is at index (n - 1) % FRONT_REFUSALS */
static uint64_t n_refusals;
static uint64_t counters[FRONT_N_COUNTERS], peaks[FRONT_N_COUNTERS];
static dmamap_log_fn log_fn;
static void *log_arg;

void
front_count(enum front_counter counter, int64_t n)
{
	const uint64_t now = __atomic_add_fetch(&counters[counter], (uint64_t)n, __ATOMIC_RELAXED);
	uint64_t most = __atomic_load_n(&peaks[counter], __ATOMIC_RELAXED);

	while (n > 0 && most < now &&
		!__atomic_compare_exchange_n(
			&peaks[counter], &most, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

uint64_t
front_counted_peak(enum front_counter counter)
{
	return __atomic_load_n(&peaks[counter], __ATOMIC_RELAXED);
}

uint64_t
front_counted(enum front_counter counter)
{
	return __atomic_load_n(&counters[counter], __ATOMIC_RELAXED);
}

void
front_log_set(dmamap_log_fn fn, void *arg)
{
	pthread_mutex_lock(&lock);
	log_fn = fn;
	log_arg = arg;
	pthread_mutex_unlock(&lock);
}

static void
log_write(enum dmamap_log_level level, const char *line)
{
	const int saved = errno;
	dmamap_log_fn fn;
	void *arg;

	pthread_mutex_lock(&lock);
	fn = log_fn;
	arg = log_arg;
	pthread_mutex_unlock(&lock);
	if (fn != NULL)
		fn(arg, level, line);
	errno = saved;
}

void
front_log(enum dmamap_log_level level, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_write(level, line);
}

/**
 * Log callback of libdmamap. Errors are kept as the reason of the call that fails; notices and
 * warnings are logged.
 */
static void
log_dmamap_line(void *arg DM_UNUSED, enum dmamap_log_level level, const char *line)
{
	if (level == DMAMAP_LOG_ERR)
		dm_strlcpy(last_error, line, sizeof(last_error));
	else if (level <= DMAMAP_LOG_NOTICE)
		log_write(level, line);
}

void
front_reason_clear(void)
{
	last_error[0] = '\0';
}

void
front_reason_set(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_error, sizeof(last_error), fmt, ap);
	va_end(ap);
}

int
front_refuse(const char *call, int err, const char *fmt, ...)
{
	char why[sizeof(last_error)];
	struct front_refusal *r;
	va_list ap;

	if (fmt != NULL) {
		va_start(ap, fmt);
		vsnprintf(why, sizeof(why), fmt, ap);
		va_end(ap);
	} else {
		dm_strlcpy(why, last_error[0] != '\0' ? last_error : "refused by the kernel",
			sizeof(why));
	}
	pthread_mutex_lock(&lock);
	r = &refusals[n_refusals % FRONT_REFUSALS];
	*r = (struct front_refusal){.number = ++n_refusals, .call = call, .err = err};
	dm_strlcpy(r->why, why, sizeof(r->why));
	pthread_mutex_unlock(&lock);
	front_log(DMAMAP_LOG_ERR, "%s: %s: %s", call, strerror(err), why);
	return -err;
}

uint64_t
front_n_refusals(void)
{
	uint64_t n;

	pthread_mutex_lock(&lock);
	n = n_refusals;
	pthread_mutex_unlock(&lock);
	return n;
}

unsigned int
front_refusals(struct front_refusal *out, unsigned int n)
{
	unsigned int i;
	uint64_t first;

	pthread_mutex_lock(&lock);
	n = DM_MIN((uint64_t)DM_MIN(n, (unsigned int)FRONT_REFUSALS), n_refusals);
	first = n_refusals - n;
	for (i = 0; i < n; i++)
		out[i] = refusals[(first + i) % FRONT_REFUSALS];
	pthread_mutex_unlock(&lock);
	return n;
}

void
front_log_start(void)
{
	dmamap_log_set(log_dmamap_line, NULL);
}

void
front_log_stop(void)
{
	dmamap_log_set(NULL, NULL);
	pthread_mutex_lock(&lock);
	n_refusals = 0;
	memset(counters, 0, sizeof(counters));
	memset(peaks, 0, sizeof(peaks));
	pthread_mutex_unlock(&lock);
}

void
front_log_child(void)
{
	pthread_mutex_init(&lock, NULL);
}
