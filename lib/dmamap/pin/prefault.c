/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Faulting many pages in: threads, including the caller, claim one chunk after another. See
 * dm_prefault.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <numa.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "dm_fault_in.h"
#include "dm_log.h"
#include "dm_prefault.h"
#include "dm_util.h"

/** State shared by the threads; next, done and rc are atomic. */
struct prefault_job {
	const struct dm_prefault_conf *conf;
	void *va;
	size_t len, page_size, chunk;
	size_t next; /**< offset of the next chunk */
	uint64_t done; /**< bytes faulted in */
	int rc; /**< the first error */
	int64_t logged; /**< ms, time of the last log line; used by the caller only */
};

/** Convert a libnuma CPU mask. */
static void
cpuset_add_mask(const struct bitmask *mask, cpu_set_t *set)
{
	unsigned int i;

	for (i = 0; i < mask->size && i < CPU_SETSIZE; i++)
		if (numa_bitmask_isbitset(mask, i))
			CPU_SET(i, set);
}

/**
 * CPUs for the work: those of the node, or those that the process started with. The affinity of the
 * caller would be a single CPU, since the EAL binds its threads.
 */
static void
node_cpus(int node, cpu_set_t *set)
{
	const bool have_numa = numa_available() >= 0;
	struct bitmask *mask;

	CPU_ZERO(set);
	mask = node >= 0 && have_numa ? numa_allocate_cpumask() : NULL;
	if (mask != NULL && numa_node_to_cpus(node, mask) == 0)
		cpuset_add_mask(mask, set);
	if (mask != NULL)
		numa_bitmask_free(mask);
	/* Any node, or a node without CPUs. */
	if (CPU_COUNT(set) == 0 && have_numa)
		cpuset_add_mask(numa_all_cpus_ptr, set);
	if (CPU_COUNT(set) == 0 && sched_getaffinity(0, sizeof(*set), set) < 0)
		CPU_SET(0, set);
}

static size_t
chunk_len(size_t page_size)
{
	return DM_MAX(page_size, DM_PREFAULT_CHUNK);
}

unsigned int
dm_prefault_threads(size_t len, size_t page_size, const struct dm_prefault_conf *conf)
{
	size_t chunks = (len + chunk_len(page_size) - 1) / chunk_len(page_size), n = conf->threads;
	cpu_set_t cpus;

	if (n == 0) {
		n = len / DM_PREFAULT_SHARE;
		if (n <= 1)
			return 1;
		node_cpus(conf->node, &cpus);
		n = DM_MIN(n, (size_t)CPU_COUNT(&cpus));
	}
	return DM_MAX(DM_MIN(DM_MIN(n, (size_t)DM_PREFAULT_THREADS), chunks), (size_t)1);
}

/** Claim a chunk and fault it in. @return whether there may be more */
static bool
job_run_chunk(struct prefault_job *job)
{
	size_t at, len;
	int rc, none = 0;

	if (__atomic_load_n(&job->rc, __ATOMIC_RELAXED) != 0)
		return false;
	at = __atomic_fetch_add(&job->next, job->chunk, __ATOMIC_RELAXED);
	if (at >= job->len)
		return false;
	len = DM_MIN(job->chunk, job->len - at);
	rc = dm_fault_in(DM_PTR_ADD(job->va, at), len, job->page_size);
	if (rc < 0) {
		__atomic_compare_exchange_n(
			&job->rc, &none, rc, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
		return false;
	}
	__atomic_fetch_add(&job->done, len, __ATOMIC_RELAXED);
	return true;
}

static void *
job_thread(void *arg)
{
	while (job_run_chunk(arg))
		;
	return NULL;
}

/** Milliseconds on a monotonic clock. */
static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/** Report progress; called by the calling thread only. */
static void
job_report(struct prefault_job *job)
{
	uint64_t done = __atomic_load_n(&job->done, __ATOMIC_RELAXED);
	const struct dm_prefault_conf *conf = job->conf;
	int none = 0, canceled = -ECANCELED;
	int64_t now;

	if (conf->progress != NULL) {
		if (conf->progress(conf->arg, done, job->len) != 0)
			__atomic_compare_exchange_n(&job->rc, &none, canceled, false,
				__ATOMIC_RELAXED, __ATOMIC_RELAXED);
		return;
	}
	now = now_ms();
	if (now - job->logged < 1000 || done == job->len)
		return;
	job->logged = now;
	DM_LOG(NOTICE, "%s: %" PRIu64 " of %zu MiB are faulted in", conf->what, done >> 20,
		job->len >> 20);
}

/** Start up to n threads, which block all signals. @return how many were started */
static unsigned int
job_start_threads(struct prefault_job *job, pthread_t thread[], unsigned int n)
{
	sigset_t all, old;
	unsigned int i;
	cpu_set_t cpus;

	node_cpus(job->conf->node, &cpus);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (i = 0; i < n; i++) {
		if (pthread_create(&thread[i], NULL, job_thread, job) != 0)
			break;
		/*
		 * The caller may be bound to one CPU, which the threads would inherit. A refusal
		 * costs time only.
		 */
		pthread_setaffinity_np(thread[i], sizeof(cpus), &cpus);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return i;
}

int
dm_prefault(void *va, size_t len, size_t page_size, const struct dm_prefault_conf *conf)
{
	struct prefault_job job = {.conf = conf,
		.va = va,
		.len = len,
		.page_size = page_size,
		.chunk = DM_ALIGN_CEIL(chunk_len(page_size), page_size),
		.logged = now_ms()};
	unsigned int n = dm_prefault_threads(len, page_size, conf), i;
	pthread_t thread[DM_PREFAULT_THREADS];

	n = n > 1 ? job_start_threads(&job, thread, n - 1) : 0;
	while (job_run_chunk(&job))
		if (__atomic_load_n(&job.done, __ATOMIC_RELAXED) < len)
			job_report(&job);
	for (i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	if (job.rc == 0)
		job_report(&job);
	if (job.rc == -ECANCELED)
		DM_LOG(ERR, "%s: canceled by its progress callback", conf->what);
	return job.rc;
}
