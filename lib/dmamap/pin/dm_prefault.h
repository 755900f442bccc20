/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Faulting many pages in with several threads, with progress reports.
 *
 * Invariant: when dm_prefault() returns, its threads have ended. Called by populate.c; any thread
 * may call.
 */

#ifndef DM_PREFAULT_H
#define DM_PREFAULT_H

#include <stddef.h>
#include <stdint.h>

/** Parameters. */
struct dm_prefault_conf {
	unsigned int threads; /**< 0: by the length and the CPUs */
	int node; /**< NUMA node whose CPUs are used; -1: all CPUs that the process started with */
	int (*progress)(
		/** Nonzero cancels; NULL: log, at most once a second */
		void *arg, uint64_t done, uint64_t len);
	void *arg;
	const char *what; /**< the object, for messages */
};

/** Unit of work in bytes; one page if that is larger. */
#define DM_PREFAULT_CHUNK ((size_t)32 << 20)
/** Bytes for each thread, if conf->threads is 0. */
#define DM_PREFAULT_SHARE ((size_t)128 << 20)
/** Most threads, including the caller. */
#define DM_PREFAULT_THREADS 16

/** Number of threads that will work, including the caller; at least 1. */
unsigned int dm_prefault_threads(size_t len, size_t page_size, const struct dm_prefault_conf *conf);

/**
 * Back a range with pages, as dm_fault_in() does. The first error stops all threads. progress() is
 * called by the calling thread only.
 * @return as dm_fault_in(); -ECANCELED, logged: progress() returned nonzero.
 */
int dm_prefault(void *va, size_t len, size_t page_size, const struct dm_prefault_conf *conf);

#endif /* DM_PREFAULT_H */
