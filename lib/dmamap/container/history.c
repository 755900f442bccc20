/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The latest unmaps of a container. See dm_history.h.
 *
 * Lock order: bookkeeping of a container > `names_lock`, which is held for a copy of a name.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dm_history.h"
#include "dm_sysfs_dev.h"

/** Names that are kept: of zones, and of threads. */
#define NAMES_MAX 256u

/* Kinds of mappings without a name, in dm_past.name. Names have numbers from NAME_FIRST on. */
enum { PAST_MAPPING, PAST_REGISTRATION, NAME_FIRST };

struct dm_past {
	struct dmamap_range range;
	uint64_t when;
	uint32_t tid;
	uint32_t name;
};

struct dm_history {
	uint64_t n; /**< entries so far; entry i is in slot i % DM_HISTORY_MAX */
	struct dm_past past[DM_HISTORY_MAX];
};

/** Detaches that are kept. */
#define DETACHES_MAX 64u
/** Afterwards the device is somebody else's business. */
#define DETACH_NS (60 * UINT64_C(1000000000))

/* Under `names_lock`, as the following. */
static struct {
	struct dm_past_by by;
	char device[DMAMAP_NAME_MAX], container[DMAMAP_NAME_MAX];
} detaches[DETACHES_MAX];
static unsigned int n_detaches;

/* Under `names_lock`. Zone number i is in slot i % NAMES_MAX, and so are threads in their order. */
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static char zone_names[NAMES_MAX][DMAMAP_NAME_MAX];
static uint32_t zone_last = NAME_FIRST - 1;
static struct {
	uint32_t tid;
	char name[16];
} threads[NAMES_MAX];
static unsigned int n_threads;

static __thread uint32_t own_tid;
static __thread uint64_t own_process; /* a forked child is another thread */

int
dm_history_init(struct dmamap_container *c)
{
	c->history = calloc(1, sizeof(*c->history));
	return c->history != NULL ? 0 : -ENOMEM;
}

void
dm_history_fini(struct dmamap_container *c)
{
	free(c->history);
	c->history = NULL;
}

static uint64_t
clock_now(void)
{
	struct timespec now;

	/* A third of the time that the exact clock takes. */
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

/** Enter the calling thread into the table. */
static void
thread_enter(void)
{
	char name[16] = "";

	own_tid = (uint32_t)syscall(SYS_gettid);
	own_process = dm_process_id();
	pthread_getname_np(pthread_self(), name, sizeof(name));
	pthread_mutex_lock(&names_lock);
	threads[n_threads % NAMES_MAX].tid = own_tid;
	memcpy(threads[n_threads++ % NAMES_MAX].name, name, sizeof(name));
	pthread_mutex_unlock(&names_lock);
}

struct dm_past_by
dm_history_now(void)
{
	if (DM_UNLIKELY(own_tid == 0 || !dm_process_is(own_process)))
		thread_enter();
	return (struct dm_past_by){clock_now(), own_tid};
}

/** The number of a zone's name. Unmaps of one zone follow each other, so the last one is compared.
 */
static uint32_t
zone_number(const char *name)
{
	uint32_t number;

	pthread_mutex_lock(&names_lock);
	if (zone_last < NAME_FIRST || strcmp(zone_names[zone_last % NAMES_MAX], name) != 0) {
		zone_last = zone_last == UINT32_MAX ? NAME_FIRST : zone_last + 1;
		dm_strlcpy(zone_names[zone_last % NAMES_MAX], name, DMAMAP_NAME_MAX);
	}
	number = zone_last;
	pthread_mutex_unlock(&names_lock);
	return number;
}

static void
history_push(struct dm_history *h, const struct dm_past *past)
{
	h->past[h->n++ % DM_HISTORY_MAX] = *past;
}

void
dm_history_add(struct dmamap_container *c, const struct dm_mapping *m, struct dm_past_by by)
{
	struct dm_history *h = c->history;
	struct dm_past past = {.range = m->range, .when = by.when, .tid = by.tid}, *last;

	dm_assert_book(c);
	past.name = m->zone != NULL ? zone_number(m->zone->name)
		: m->cache != NULL  ? PAST_REGISTRATION
				    : PAST_MAPPING;
	last = &h->past[(h->n - 1) % DM_HISTORY_MAX];
	if (h->n > 0 && last->range.last + 1 == past.range.start && last->when == past.when &&
		last->tid == past.tid && last->name == past.name)
		last->range.last = past.range.last;
	else
		history_push(h, &past);
}

void
dm_history_merge(struct dmamap_container *into, const struct dmamap_container *from)
{
	const struct dm_history *h = from->history;
	uint64_t i;

	for (i = h->n > DM_HISTORY_MAX ? h->n - DM_HISTORY_MAX : 0; i < h->n; i++)
		history_push(into->history, &h->past[i % DM_HISTORY_MAX]);
}

/** Fill in the name of a thread, if it is still known. Under `names_lock`. */
static void
thread_name(uint32_t tid, char name[16])
{
	unsigned int i;

	/* From the latest on: the kernel gives numbers of threads again. */
	for (i = 0; i < DM_MIN(n_threads, NAMES_MAX); i++)
		if (threads[(n_threads - 1 - i) % NAMES_MAX].tid == tid) {
			memcpy(name, threads[(n_threads - 1 - i) % NAMES_MAX].name, 16);
			break;
		}
}

/** Fill in names, as far as they are still known. */
static void
past_name(const struct dm_past *past, struct dm_past_info *info)
{
	snprintf(info->name, sizeof(info->name), "%s",
		past->name == PAST_MAPPING                ? "mapping"
			: past->name == PAST_REGISTRATION ? "registration"
							  : "zone");
	pthread_mutex_lock(&names_lock);
	if (past->name >= NAME_FIRST && zone_last - past->name < NAMES_MAX)
		snprintf(info->name, sizeof(info->name), "zone %.50s",
			zone_names[past->name % NAMES_MAX]);
	thread_name(past->tid, info->thread);
	pthread_mutex_unlock(&names_lock);
}

void
dm_history_detach(const char *container, const char *device)
{
	const struct dm_past_by by = dm_history_now();
	unsigned int i;

	pthread_mutex_lock(&names_lock);
	i = n_detaches++ % DETACHES_MAX;
	detaches[i].by = by;
	dm_strlcpy(detaches[i].device, device, DMAMAP_NAME_MAX);
	dm_strlcpy(detaches[i].container, container, DMAMAP_NAME_MAX);
	pthread_mutex_unlock(&names_lock);
}

bool
dm_history_find_detach(const char *by, char name[DMAMAP_NAME_MAX], char container[DMAMAP_NAME_MAX],
	struct dm_past_info *past)
{
	const uint64_t now = clock_now();
	unsigned int i, at;
	bool found = false;

	*past = (struct dm_past_info){0};
	pthread_mutex_lock(&names_lock);
	for (i = 0; i < DM_MIN(n_detaches, DETACHES_MAX) && !found; i++) {
		at = (n_detaches - 1 - i) % DETACHES_MAX;
		past->ago = now > detaches[at].by.when ? now - detaches[at].by.when : 0;
		if (past->ago > DETACH_NS || !dm_sysfs_names_dev(by, detaches[at].device))
			continue;
		past->tid = detaches[at].by.tid;
		thread_name(past->tid, past->thread);
		dm_strlcpy(name, detaches[at].device, DMAMAP_NAME_MAX);
		dm_strlcpy(container, detaches[at].container, DMAMAP_NAME_MAX);
		found = true;
	}
	pthread_mutex_unlock(&names_lock);
	return found;
}

bool
dm_history_find(const struct dmamap_container *c, struct dmamap_range r, struct dm_past_info *info)
{
	const struct dm_history *h = c->history;
	const struct dm_past *past, *latest = NULL;
	uint64_t i, now;

	dm_assert_book(c);
	for (i = 0; i < DM_MIN(h->n, (uint64_t)DM_HISTORY_MAX); i++) {
		past = &h->past[(h->n - 1 - i) % DM_HISTORY_MAX];
		/* A merge leaves two rows of times. */
		if (dm_range_overlap(past->range, r) &&
			(latest == NULL || past->when > latest->when))
			latest = past;
	}
	*info = (struct dm_past_info){0};
	if (latest == NULL)
		return false;
	now = clock_now();
	info->range = latest->range;
	info->ago = now > latest->when ? now - latest->when : 0;
	info->tid = latest->tid;
	past_name(latest, info);
	return true;
}
