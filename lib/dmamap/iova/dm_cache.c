/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which free ranges has each thread at hand? Indexes of threads, the gate.
 */

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_pause.h>

#include "dm_cache.h"

#define WORDS (DM_CACHE_THREADS / 64)

__thread int dm_cache_thread __attribute__((tls_model("initial-exec"))) = -1;

static uint64_t enrolled[WORDS]; /* a bit for each index in use */
static pthread_key_t at_exit;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key, has_membarrier;

static void
release(void *arg)
{
	unsigned int i = (uintptr_t)arg - 1;

	dm_cache_thread = -2; /* other destructors may still take and give */
	__atomic_fetch_and(&enrolled[i / 64], ~(UINT64_C(1) << i % 64), __ATOMIC_ACQ_REL);
}

static void
set_up(void)
{
	has_key = pthread_key_create(&at_exit, release) == 0;
	has_membarrier =
		syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

int
dm_cache_thread_enrol(void)
{
	unsigned int w;

	pthread_once(&once, set_up);
	if (dm_cache_thread != -1 || !has_key)
		return dm_cache_thread == -1 ? -2 : dm_cache_thread;
	for (w = 0; w < WORDS; w++) {
		uint64_t used = __atomic_load_n(&enrolled[w], __ATOMIC_RELAXED);

		while (used != UINT64_MAX) {
			unsigned int bit = __builtin_ctzll(~used), i = w * 64 + bit;

			if (!__atomic_compare_exchange_n(&enrolled[w], &used,
				    used | UINT64_C(1) << bit, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_RELAXED))
				continue;
			dm_cache_thread = i;
			if (pthread_setspecific(at_exit, (void *)(uintptr_t)(i + 1)) != 0)
				release((void *)(uintptr_t)(i + 1));
			return dm_cache_thread;
		}
	}
	return -2; /* others may end: ask again next time */
}

void
dm_gate_init(struct dm_gate *g)
{
	pthread_once(&once, set_up);
	*g = (struct dm_gate){.fences = !has_membarrier};
}

struct dm_mag *
dm_mag_new(unsigned int class)
{
	size_t len = sizeof(struct dm_mag) + dm_cache_rounds(class) * sizeof(struct dm_cache_slot);
	struct dm_mag *m =
		aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(len, RTE_CACHE_LINE_SIZE));

	if (m != NULL)
		m->n = 0;
	return m;
}

bool
dm_cache_equip(struct dm_cache *c, unsigned int class)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (c->mag[class][i] == NULL)
			c->mag[class][i] = dm_mag_new(class);
	return c->mag[class][0] != NULL && c->mag[class][1] != NULL;
}

static void
cache_free(struct dm_cache *c)
{
	unsigned int k;

	for (k = 0; k < DM_LIVE_CLASSES; k++) {
		free(c->mag[k][0]);
		free(c->mag[k][1]);
	}
	free(c);
}

void
dm_gate_fini(struct dm_gate *g)
{
	unsigned int i;

	for (i = 0; i < DM_CACHE_THREADS; i++)
		if (g->cache[i] != NULL)
			cache_free(g->cache[i]);
}

struct dm_cache *
dm_gate_my_cache(struct dm_gate *g)
{
	int i = dm_cache_thread >= 0 ? dm_cache_thread : dm_cache_thread_enrol();
	struct dm_cache *c;

	if (i < 0)
		return NULL;
	if (g->cache[i] != NULL)
		return g->cache[i];
	c = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*c));
	if (c == NULL)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->thread = i;
	g->cache[i] = c;
	return c;
}

void
dm_gate_shut(struct dm_gate *g)
{
	unsigned int i, spins;

	__atomic_exchange_n(&g->shut, 1, __ATOMIC_SEQ_CST);
	if (!g->fences)
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	for (i = 0; i < DM_CACHE_THREADS; i++) {
		if (g->cache[i] == NULL)
			continue;
		for (spins = 0; __atomic_load_n(&g->cache[i]->busy, __ATOMIC_SEQ_CST) != 0;
			spins++) {
			/* Its thread may have been preempted; it needs a CPU to leave. */
			if (spins < 100)
				rte_pause();
			else
				sched_yield();
		}
	}
}

void
dm_gate_open(struct dm_gate *g)
{
	__atomic_store_n(&g->shut, 0, __ATOMIC_RELEASE);
}
