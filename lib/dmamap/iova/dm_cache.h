/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which free ranges has each thread at hand? Magazines that only their thread touches, and the gate
 * by which one thread can shut out all others.
 */

#ifndef DM_CACHE_H
#define DM_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "dm_live.h"

/** Threads that can have caches at one time; others take the slow path. */
#define DM_CACHE_THREADS 128
/** Ranges in a magazine at most: of short lengths and powers of two, */
#define DM_CACHE_ROUNDS 64u
/** and of the lengths between, of which there are many more. */
#define DM_CACHE_FEW_ROUNDS 16u

/** A free range that is still an entry of the table of live ranges. */
struct dm_cache_slot {
	uint64_t word; /**< as in the table */
	uint64_t index; /**< where in the table */
};

/** Free ranges of one class of lengths. */
struct dm_mag {
	struct dm_mag *next; /**< in a depot */
	uint32_t n;
	int32_t thread; /**< whose cache it was filled in */
	struct dm_cache_slot slot[];
};

/** The caches of one thread in one space. */
struct dm_cache {
	uint32_t busy; /**< its thread is using it */
	uint64_t ops; /**< takes and gives that it served */
	int32_t thread; /**< index of its thread */
	/** The one in use, and the one before it, so that a thread on the edge does not thrash.
	 * NULL: not needed yet. */
	struct dm_mag *mag[DM_LIVE_CLASSES][2];
} __rte_cache_aligned;

/**
 * All caches of a space, and their gate. A thread that uses its cache says so with a plain store
 * and looks whether the gate is open; it needs no fence, since the one who shuts the gate makes all
 * threads of the process pass one (membarrier(2)). Where the kernel lacks that, both sides use
 * fences.
 */
struct dm_gate {
	uint32_t shut;
	bool fences;
	struct dm_cache *cache[DM_CACHE_THREADS];
};

/** This thread's index among all threads that use caches: -1 not asked for yet, -2: none to be had.
 */
extern __thread int dm_cache_thread __attribute__((tls_model("initial-exec")));

/** Find an index for the calling thread; it is free again when the thread ends. @return it or -2 */
int dm_cache_thread_enrol(void);

/** An empty gate, open. */
void dm_gate_init(struct dm_gate *g);

/** Free all caches. */
void dm_gate_fini(struct dm_gate *g);

/**
 * The calling thread's cache, made if need be. The caller holds the space's lock.
 * @return NULL: it cannot have one
 */
struct dm_cache *dm_gate_my_cache(struct dm_gate *g);

/**
 * Keep all threads out of their caches until dm_gate_open(), and wait until none is in one. The
 * caller holds the space's lock and is not in its cache.
 */
void dm_gate_shut(struct dm_gate *g);
/** @see dm_gate_shut() */
void dm_gate_open(struct dm_gate *g);

/** Ranges of a class that fit in a magazine. */
static inline unsigned int
dm_cache_rounds(unsigned int class)
{
	bool few = class >= DM_LIVE_SHORT && (~class & ((1u << DM_LIVE_STEP_BITS) - 1)) != 0;

	return few ? DM_CACHE_FEW_ROUNDS : DM_CACHE_ROUNDS;
}

/** A new magazine for a class. @return NULL without memory */
struct dm_mag *dm_mag_new(unsigned int class);

/** See to it that a cache has magazines for a class. @return false without memory */
bool dm_cache_equip(struct dm_cache *c, unsigned int class);

/** Start to use a cache of one's own. @return false: the gate is shut, and the cache not entered */
static inline bool
dm_cache_enter(const struct dm_gate *g, struct dm_cache *c)
{
	if (unlikely(g->fences))
		__atomic_exchange_n(&c->busy, 1, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(&c->busy, 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (likely(__atomic_load_n(&g->shut, __ATOMIC_SEQ_CST) == 0))
		return true;
	__atomic_store_n(&c->busy, 0, __ATOMIC_RELEASE);
	return false;
}

/** Stop using it. */
static inline void
dm_cache_leave(struct dm_cache *c)
{
	__atomic_store_n(&c->busy, 0, __ATOMIC_RELEASE);
}

/** The calling thread's cache, entered; NULL: there is none, or the gate is shut. */
static inline struct dm_cache *
dm_gate_enter(const struct dm_gate *g)
{
	int thread = dm_cache_thread;
	struct dm_cache *c;

	if (unlikely(thread < 0))
		return NULL;
	c = g->cache[thread];
	return likely(c != NULL) && dm_cache_enter(g, c) ? c : NULL;
}

/** A magazine that has a range; NULL: there is none. */
static inline struct dm_mag *
dm_cache_loaded(struct dm_cache *c, unsigned int class)
{
	struct dm_mag **mag = c->mag[class];

	if (likely(mag[0] != NULL && mag[0]->n > 0))
		return mag[0];
	if (mag[1] == NULL || mag[1]->n == 0)
		return NULL;
	RTE_SWAP(mag[0], mag[1]);
	return mag[0];
}

/** A magazine that has room when at most `cap` (not 0) are to be in it; NULL: there is none. */
static inline struct dm_mag *
dm_cache_roomy(struct dm_cache *c, unsigned int class, unsigned int cap)
{
	struct dm_mag **mag = c->mag[class];

	if (likely(mag[0] != NULL && mag[0]->n < cap))
		return mag[0];
	if (mag[1] == NULL || mag[1]->n >= cap)
		return NULL;
	RTE_SWAP(mag[0], mag[1]);
	return mag[0];
}

/** A served operation: counted, so that walkers know when something changed. */
static inline void
dm_cache_count(struct dm_cache *c)
{
	__atomic_store_n(&c->ops, c->ops + 1, __ATOMIC_RELAXED);
}

#endif /* DM_CACHE_H */
