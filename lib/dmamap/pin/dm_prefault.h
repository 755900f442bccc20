/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do many pages come to life soon? By several threads, with word on how far they are.
 */

#ifndef DM_PREFAULT_H
#define DM_PREFAULT_H

#include <stddef.h>
#include <stdint.h>

/** How it is to be done. */
struct dm_prefault_conf {
	unsigned int threads; /**< 0: by the length and the CPUs */
	int node; /**< whose CPUs work; -1: those on which the caller may run */
	int (*progress)(
		void *arg, uint64_t done, uint64_t len); /**< or NULL: log, at most once a second */
	void *arg;
	const char *what; /**< the object, for messages */
};

/** A piece of work: so many bytes, or a page if that is larger. */
#define DM_PREFAULT_PIECE ((size_t)32 << 20)
/** One thread for so many bytes, if the conf does not say. */
#define DM_PREFAULT_SHARE ((size_t)128 << 20)
/** Threads at most. */
#define DM_PREFAULT_THREADS 16

/** How many threads work, the caller among them. */
unsigned int dm_prefault_threads(size_t len, size_t page_size, const struct dm_prefault_conf *conf);

/**
 * Back a range with pages now, as dm_fault_in() does. The first error ends the work of all threads.
 * @return as dm_fault_in(); -ECANCELED, logged: progress() wants no more of it.
 */
int dm_prefault(void *va, size_t len, size_t page_size, const struct dm_prefault_conf *conf);

#endif /* DM_PREFAULT_H */
