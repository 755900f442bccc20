/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Watches the kernel's log for faults of this process's devices, tells them to listeners, logs and
 * counts them.
 *
 *   /dev/kmsg -> thread -> dm_fault_parse() -> dm_fault_resolve() -> listeners, line, counters
 *
 * Faults come in storms: a device that has lost its ring asks for it again and again. So a device
 * gets one line a second, and what comes in between is counted for the next one.
 *
 * Lock order: `lifecycle_lock` (start, stop) > `listeners_lock` (list, held during callbacks) >
 * locks of containers > `recent_lock`. The thread holds `listeners_lock` only while it calls.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "dm_fault.h"
#include "dm_fault_log.h"
#include "dm_thread.h"

/** Bytes of a record of /dev/kmsg: CONSOLE_EXT_LOG_MAX of kernel/printk/printk.c. */
#define RECORD_MAX 8192
/** Devices whose storms are told apart. */
#define DEVICES_MAX 32u
#define RECENT_MAX 16u
#define LINE_EVERY_MS 1000

struct dmamap_fault_listener {
	struct dmamap_fault_listener *next;
	struct dmamap_fault_conf conf;
};

static pthread_mutex_t lifecycle_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t listeners_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recent_lock = PTHREAD_MUTEX_INITIALIZER;

/* Under `listeners_lock`; changed under `lifecycle_lock` too. */
static struct dmamap_fault_listener *listeners;

/* Under `lifecycle_lock`; fixed while the thread runs. */
static pthread_t thread;
static int log_fd = -1, quit_fd = -1;
static bool orphan; /* atomic: forked from a process with a thread */

/* Under `recent_lock`. */
static struct dmamap_fault recent[RECENT_MAX];
static uint64_t n_recent;

static struct dmamap_fault_counts counts; /* atomic */

/** A device with its faults of the last second. Of the thread. */
struct storm {
	uint64_t line_ms; /**< when it had its last line */
	uint64_t pending; /**< faults since then */
	struct dmamap_fault last; /**< the latest of them */
};
static struct storm storms[DEVICES_MAX]; /* of the thread */

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000) + now.tv_nsec / 1000000;
}

static void
count(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

/** Tell a fault to everybody. */
static void
fault_report(struct dmamap_fault *fault)
{
	struct dmamap_fault_listener *l;

	dm_fault_tell(fault);
	pthread_mutex_lock(&listeners_lock);
	for (l = listeners; l != NULL; l = l->next)
		if (l->conf.fault != NULL)
			l->conf.fault(fault, l->conf.arg);
	pthread_mutex_unlock(&listeners_lock);
	fault->detail[sizeof(fault->detail) - 1] = '\0';
	dm_fault_tell(fault);
	dm_trace_fault(fault->device, fault->container, fault->iovas, fault->access);
	DM_LOG(ERR, "%s", fault->text);
	count(&counts.lines, 1);
	pthread_mutex_lock(&recent_lock);
	recent[n_recent++ % RECENT_MAX] = *fault;
	pthread_mutex_unlock(&recent_lock);
}

static void
storm_report(struct storm *s, uint64_t now)
{
	s->last.count = s->pending;
	s->pending = 0;
	s->line_ms = now;
	fault_report(&s->last);
}

/** The storm of a device: its own entry, a free one, or the one that had its line first. */
static struct storm *
storm_of(const char *device)
{
	struct storm *oldest = &storms[0];
	unsigned int i;

	for (i = 0; i < DEVICES_MAX; i++) {
		if (strcmp(storms[i].last.device, device) == 0)
			return &storms[i];
		if (storms[i].line_ms < oldest->line_ms)
			oldest = &storms[i];
	}
	if (oldest->pending > 0)
		storm_report(oldest, now_ms());
	*oldest = (struct storm){0};
	return oldest;
}

static void
record_process(const struct dm_fault_record *record)
{
	struct dmamap_fault fault = {.iovas = record->iovas, .access = record->access, .count = 1};
	uint64_t now = now_ms(), pending;
	struct storm *s;

	memcpy(fault.reason, record->reason, sizeof(fault.reason));
	/* The log has faults of every device of the machine. */
	if (dm_fault_resolve(record->dev, &fault) < 0)
		return;
	count(&counts.faults, 1);
	s = storm_of(fault.device);
	pending = s->pending + 1;
	s->last = fault;
	s->pending = pending;
	if (s->line_ms == 0 || now - s->line_ms >= LINE_EVERY_MS)
		storm_report(s, now);
}

/** Report storms that have waited long enough. @return when to look again, ms; -1: never */
static int
storms_flush(void)
{
	const uint64_t now = now_ms();
	uint64_t age, wait = UINT64_MAX;
	unsigned int i;

	for (i = 0; i < DEVICES_MAX; i++) {
		if (storms[i].pending == 0)
			continue;
		age = now - storms[i].line_ms;
		if (age >= LINE_EVERY_MS)
			storm_report(&storms[i], now);
		else
			wait = DM_MIN(wait, LINE_EVERY_MS - age);
	}
	return wait == UINT64_MAX ? -1 : (int)wait;
}

/** Read one record. @return false: there will be no more */
static bool
record_read(struct dm_fault_parser *parser)
{
	struct dm_fault_record record;
	char line[RECORD_MAX + 1];
	ssize_t len = read(log_fd, line, RECORD_MAX);
	unsigned int n = 0;

	if (len < 0) {
		/* EPIPE: records were overwritten before they were read. */
		if (errno == EPIPE)
			count(&counts.lost, 1);
		return errno == EPIPE || errno == EAGAIN || errno == EINTR || errno == EINVAL;
	}
	if (len == 0)
		return false;
	line[len] = '\0';
	switch (dm_fault_parse(parser, line, &record, &n)) {
	case DM_FAULT_ONE:
		record_process(&record);
		break;
	case DM_FAULT_SUPPRESSED:
		count(&counts.suppressed, n);
		break;
	case DM_FAULT_NONE:
		break;
	}
	return true;
}

static void *
thread_main(void *arg DM_UNUSED)
{
	struct pollfd fds[] = {{.fd = quit_fd, .events = POLLIN}, {.fd = log_fd, .events = POLLIN}};
	struct dm_fault_parser parser = {0};
	unsigned int i;

	dm_thread_use_all_cpus();
	while (fds[0].revents == 0) {
		if (poll(fds, DM_DIM(fds), storms_flush()) < 0) {
			fds[0].revents = 0;
			continue;
		}
		if (fds[1].revents != 0 && !record_read(&parser))
			fds[1].fd = -1;
	}
	for (i = 0; i < DEVICES_MAX; i++) {
		if (storms[i].pending > 0)
			storm_report(&storms[i], 0);
		storms[i] = (struct storm){0};
	}
	return NULL;
}

static void
close_fds(void)
{
	if (log_fd >= 0)
		close(log_fd);
	if (quit_fd >= 0)
		close(quit_fd);
	log_fd = quit_fd = -1;
}

/** fork(2) handler, in the child, which has no thread and no use for the files. */
static void
fork_child(void)
{
	if (quit_fd < 0)
		return;
	__atomic_store_n(&orphan, true, __ATOMIC_RELAXED);
	close_fds();
}

static void
register_fork(void)
{
	pthread_atfork(NULL, NULL, fork_child);
}

/** Open the kernel's log at its end, or duplicate what was given. @return fd; a negative errno */
static int
log_open(int given)
{
	int fd = given > 0 ? fcntl(given, F_DUPFD_CLOEXEC, 0)
			   : open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	/* Faults of the past are of addresses of the past. */
	if (given <= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

static int
place(const struct dmamap_fault_conf *conf, int fd)
{
	return fd < 0 || conf->place == NULL ? fd : conf->place(fd, conf->arg);
}

static int
watch_start(const struct dmamap_fault_conf *conf)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int rc;

	pthread_once(&once, register_fork);
	log_fd = place(conf, log_open(conf->log_fd));
	if (log_fd < 0)
		return log_fd;
	quit_fd = place(conf, eventfd(0, EFD_CLOEXEC));
	rc = quit_fd < 0 ? -errno : dm_thread_start(&thread, thread_main, "dm-faults");
	if (rc < 0)
		close_fds();
	return rc;
}

static void
watch_stop(void)
{
	const uint64_t one = 1;

	if (write(quit_fd, &one, sizeof(one)) < 0)
		DM_LOG(ERR, "faults: eventfd: %s", strerror(errno));
	pthread_join(thread, NULL);
	close_fds();
}

static void
listener_add(struct dmamap_fault_listener *l)
{
	struct dmamap_fault_listener **end;

	pthread_mutex_lock(&listeners_lock);
	for (end = &listeners; *end != NULL;)
		end = &(*end)->next;
	*end = l;
	pthread_mutex_unlock(&listeners_lock);
}

/** @return whether it was there */
static bool
listener_remove(struct dmamap_fault_listener *l)
{
	struct dmamap_fault_listener **at;
	bool found;

	pthread_mutex_lock(&listeners_lock);
	for (at = &listeners; *at != NULL && *at != l;)
		at = &(*at)->next;
	found = *at != NULL;
	if (found)
		*at = l->next;
	pthread_mutex_unlock(&listeners_lock);
	return found;
}

int
dmamap_fault_listen_sized(
	const struct dmamap_fault_conf *given, size_t size, struct dmamap_fault_listener **listener)
{
	struct dmamap_fault_conf conf = {0};
	struct dmamap_fault_listener *l;
	int rc = 0;

	if (listener == NULL)
		return -EINVAL;
	if (__atomic_load_n(&orphan, __ATOMIC_RELAXED))
		return -ENOTSUP;
	if (given != NULL)
		memcpy(&conf, given, DM_MIN(size, sizeof(conf)));
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	l->conf = conf;
	pthread_mutex_lock(&lifecycle_lock);
	if (listeners == NULL)
		rc = watch_start(&conf);
	if (rc == 0)
		listener_add(l);
	pthread_mutex_unlock(&lifecycle_lock);
	if (rc < 0) {
		free(l);
		return rc;
	}
	*listener = l;
	return 0;
}

void
dmamap_fault_unlisten(struct dmamap_fault_listener *l)
{
	if (l == NULL || __atomic_load_n(&orphan, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&lifecycle_lock);
	/* The last one is still told what waits. */
	if (listeners == l && l->next == NULL)
		watch_stop();
	if (listener_remove(l))
		free(l);
	pthread_mutex_unlock(&lifecycle_lock);
}

void
dmamap_fault_counts(struct dmamap_fault_counts *out)
{
	out->faults = __atomic_load_n(&counts.faults, __ATOMIC_RELAXED);
	out->lines = __atomic_load_n(&counts.lines, __ATOMIC_RELAXED);
	out->suppressed = __atomic_load_n(&counts.suppressed, __ATOMIC_RELAXED);
	out->lost = __atomic_load_n(&counts.lost, __ATOMIC_RELAXED);
}

unsigned int
dmamap_faults(struct dmamap_fault *out, unsigned int n)
{
	unsigned int i;

	if (out == NULL || __atomic_load_n(&orphan, __ATOMIC_RELAXED))
		return 0;
	pthread_mutex_lock(&recent_lock);
	n = DM_MIN((uint64_t)n, DM_MIN(n_recent, (uint64_t)RECENT_MAX));
	for (i = 0; i < n; i++)
		out[i] = recent[(n_recent - n + i) % RECENT_MAX];
	pthread_mutex_unlock(&recent_lock);
	return n;
}
