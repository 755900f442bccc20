/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do many pages come to life soon? Threads take piece after piece; the caller is one of them.
 * See dm_prefault.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <numa.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include <rte_common.h>

#include "dm_fault_in.h"
#include "dm_log.h"
#include "dm_prefault.h"

/** What the threads share; next, done and rc are atomic. */
struct job {
	const struct dm_prefault_conf *conf;
	void *va;
	size_t len, page_size, piece;
	size_t next; /**< where the next piece begins */
	uint64_t done; /**< bytes that are there */
	int rc; /**< the first error */
	time_t logged; /**< second of the last line; the caller's */
};

/** CPUs of a mask, as the C library wants them. */
static void
to_set(const struct bitmask *mask, cpu_set_t *set)
{
	unsigned int i;

	for (i = 0; i < mask->size && i < CPU_SETSIZE; i++)
		if (numa_bitmask_isbitset(mask, i))
			CPU_SET(i, set);
}

/**
 * CPUs for the work: those of the node, or those that the process started with. The caller's own
 * would be one: the EAL binds its threads.
 */
static void
cpus_of(int node, cpu_set_t *set)
{
	const bool have_numa = numa_available() >= 0;
	struct bitmask *mask;

	CPU_ZERO(set);
	mask = node >= 0 && have_numa ? numa_allocate_cpumask() : NULL;
	if (mask != NULL && numa_node_to_cpus(node, mask) == 0)
		to_set(mask, set);
	if (mask != NULL)
		numa_bitmask_free(mask);
	/* Any node, or one without CPUs. */
	if (CPU_COUNT(set) == 0 && have_numa)
		to_set(numa_all_cpus_ptr, set);
	if (CPU_COUNT(set) == 0 && sched_getaffinity(0, sizeof(*set), set) < 0)
		CPU_SET(0, set);
}

static size_t
piece_len(size_t page_size)
{
	return RTE_MAX(page_size, DM_PREFAULT_PIECE);
}

unsigned int
dm_prefault_threads(size_t len, size_t page_size, const struct dm_prefault_conf *conf)
{
	size_t pieces = (len + piece_len(page_size) - 1) / piece_len(page_size), n = conf->threads;
	cpu_set_t cpus;

	if (n == 0) {
		n = len / DM_PREFAULT_SHARE;
		if (n <= 1)
			return 1;
		cpus_of(conf->node, &cpus);
		n = RTE_MIN(n, (size_t)CPU_COUNT(&cpus));
	}
	return RTE_MAX(RTE_MIN(RTE_MIN(n, (size_t)DM_PREFAULT_THREADS), pieces), (size_t)1);
}

/** Take a piece and back it. @return whether there may be more */
static bool
work(struct job *job)
{
	size_t at, len;
	int rc, none = 0;

	if (__atomic_load_n(&job->rc, __ATOMIC_RELAXED) != 0)
		return false;
	at = __atomic_fetch_add(&job->next, job->piece, __ATOMIC_RELAXED);
	if (at >= job->len)
		return false;
	len = RTE_MIN(job->piece, job->len - at);
	rc = dm_fault_in(RTE_PTR_ADD(job->va, at), len, job->page_size);
	if (rc < 0) {
		__atomic_compare_exchange_n(
			&job->rc, &none, rc, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
		return false;
	}
	__atomic_fetch_add(&job->done, len, __ATOMIC_RELAXED);
	return true;
}

static void *
helper(void *arg)
{
	while (work(arg))
		;
	return NULL;
}

/** Say how far the work is; by the calling thread. */
static void
report(struct job *job)
{
	uint64_t done = __atomic_load_n(&job->done, __ATOMIC_RELAXED);
	const struct dm_prefault_conf *conf = job->conf;
	int none = 0, canceled = -ECANCELED;
	struct timespec now;

	if (conf->progress != NULL) {
		if (conf->progress(conf->arg, done, job->len) != 0)
			__atomic_compare_exchange_n(&job->rc, &none, canceled, false,
				__ATOMIC_RELAXED, __ATOMIC_RELAXED);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec == job->logged || done == job->len)
		return;
	job->logged = now.tv_sec;
	DM_LOG(NOTICE, "%s: %" PRIu64 " of %zu MiB are there", conf->what, done >> 20,
		job->len >> 20);
}

/** Start helpers, as many as can be had. They take no signals, which are the program's. @return how
 * many */
static unsigned int
start(struct job *job, pthread_t thread[], unsigned int n)
{
	sigset_t all, old;
	unsigned int i;
	cpu_set_t cpus;

	cpus_of(job->conf->node, &cpus);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (i = 0; i < n; i++) {
		if (pthread_create(&thread[i], NULL, helper, job) != 0)
			break;
		/* The caller may be bound to one CPU, which the helpers would inherit. A refusal
		 * costs time only. */
		pthread_setaffinity_np(thread[i], sizeof(cpus), &cpus);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return i;
}

int
dm_prefault(void *va, size_t len, size_t page_size, const struct dm_prefault_conf *conf)
{
	struct job job = {.conf = conf,
		.va = va,
		.len = len,
		.page_size = page_size,
		.piece = RTE_ALIGN_CEIL(piece_len(page_size), page_size)};
	unsigned int n = dm_prefault_threads(len, page_size, conf), i;
	pthread_t thread[DM_PREFAULT_THREADS];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	job.logged = now.tv_sec;
	n = n > 1 ? start(&job, thread, n - 1) : 0;
	while (work(&job))
		if (__atomic_load_n(&job.done, __ATOMIC_RELAXED) < len)
			report(&job);
	for (i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	if (job.rc == 0)
		report(&job);
	if (job.rc == -ECANCELED)
		DM_LOG(ERR, "%s: given up by its progress callback", conf->what);
	return job.rc;
}
