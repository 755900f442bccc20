/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Identity of the calling process. See dm_process.h.
 *
 * The number lies in a page that the kernel wipes in children (MADV_WIPEONFORK, Linux 4.14). That
 * covers every kind of fork, clone(2) included. On older kernels a handler of fork(3) wipes a word
 * instead.
 */

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm_log.h"
#include "dm_process.h"

static uint64_t plain_word;
/**
 * The last number given to this process or to those it was forked from; children inherit it.
 * Atomic.
 */
static uint64_t last_id;

uint64_t *dm_process_word = &plain_word;

static void
process_forked(void)
{
	__atomic_store_n(&plain_word, 0, __ATOMIC_RELAXED);
}

/** Runs before main(), so that no thread sees dm_process_word change. */
__attribute__((constructor)) static void
process_init(void)
{
	const size_t len = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page != MAP_FAILED && madvise(page, len, MADV_WIPEONFORK) == 0) {
		dm_process_word = page;
		return;
	}
	if (page != MAP_FAILED)
		munmap(page, len);
	pthread_atfork(NULL, NULL, process_forked);
}

uint64_t
dm_process_enter(void)
{
	uint64_t id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED), none = 0;

	/* If several threads race for the first number, one of them wins. */
	if (__atomic_compare_exchange_n(
		    dm_process_word, &none, id, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return id;
	return none;
}

int
dm_process_check(uint64_t id, const char *container, const char *what)
{
	if (dm_process_is(id))
		return 0;
	return DM_FAIL(ECHILD,
		"container %s: %s: it was created before a fork(2), by another process: create a "
		"container in this process",
		container, what);
}
