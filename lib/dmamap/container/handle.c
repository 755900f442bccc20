/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Handles of registrations. See dm_handle.h.
 *
 * A handle is not a pointer: it holds the number of a slot and the slot's generation, which changes
 * with each release. Slots are never freed, so a stale handle can be checked safely.
 *
 * Free slots are in several lock-free stacks. Each thread uses one of them, so that threads that
 * register concurrently do not write the same cache line.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "dm_handle.h"
#include "dm_util.h"

#define CHUNK_SLOTS 4096u
#define CHUNKS_MAX 65536u
#define STACKS 16u

/** All atomic. */
struct slot {
	uint32_t gen; /**< odd: in use */
	uint32_t next; /**< free: number of the next free slot plus 1; 0: none */
	struct dm_mapping *m;
};

/**
 * The head of a stack: number of the first slot plus 1 in the lower half, a count of changes (ABA)
 * in the upper half.
 */
static struct {
	uint64_t head;
} DM_CACHE_ALIGNED stacks[STACKS];

static struct slot *chunks[CHUNKS_MAX]; /* each is set once, with release semantics */
static unsigned int n_chunks;
static pthread_mutex_t grow_lock = PTHREAD_MUTEX_INITIALIZER;

static struct slot *
slot_of(uint32_t number)
{
	struct slot *chunk = NULL;

	if (number / CHUNK_SLOTS < CHUNKS_MAX)
		chunk = __atomic_load_n(&chunks[number / CHUNK_SLOTS], __ATOMIC_ACQUIRE);
	return chunk != NULL ? &chunk[number % CHUNK_SLOTS] : NULL;
}

static unsigned int
stack_of_thread(void)
{
	static unsigned int next;
	static __thread unsigned int own;

	if (own == 0)
		own = 1 + __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % STACKS;
	return own - 1;
}

/** Push linked slots, from first to last. */
static void
stack_push(unsigned int i, uint32_t first, uint32_t last)
{
	uint64_t head = __atomic_load_n(&stacks[i].head, __ATOMIC_RELAXED), new;

	do {
		__atomic_store_n(&slot_of(last)->next, (uint32_t)head, __ATOMIC_RELAXED);
		new = ((head >> 32) + 1) << 32 | (first + 1);
	} while (!__atomic_compare_exchange_n(
		&stacks[i].head, &head, new, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/** @return a slot's number plus 1; 0: the stack is empty */
static uint32_t
stack_pop(unsigned int i)
{
	uint64_t head = __atomic_load_n(&stacks[i].head, __ATOMIC_ACQUIRE), new;

	do {
		if ((uint32_t)head == 0)
			return 0;
		new = ((head >> 32) + 1) << 32 |
			__atomic_load_n(&slot_of((uint32_t)head - 1)->next, __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(
		&stacks[i].head, &head, new, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
	return (uint32_t)head;
}

/** Add a chunk of slots to a stack. @return whether there was memory */
static bool
stack_grow(unsigned int i)
{
	struct slot *chunk = calloc(CHUNK_SLOTS, sizeof(*chunk));
	uint32_t first, k;

	pthread_mutex_lock(&grow_lock);
	if (chunk == NULL || n_chunks == CHUNKS_MAX) {
		pthread_mutex_unlock(&grow_lock);
		free(chunk);
		return false;
	}
	first = n_chunks * CHUNK_SLOTS;
	for (k = 0; k < CHUNK_SLOTS - 1; k++)
		chunk[k].next = first + k + 2;
	__atomic_store_n(&chunks[n_chunks], chunk, __ATOMIC_RELEASE);
	n_chunks++;
	pthread_mutex_unlock(&grow_lock);
	stack_push(i, first, first + CHUNK_SLOTS - 1);
	return true;
}

struct dmamap_registration *
dm_handle_new(struct dm_mapping *m)
{
	const unsigned int i = stack_of_thread();
	uint32_t number, gen;
	struct slot *s;

	while ((number = stack_pop(i)) == 0)
		if (!stack_grow(i))
			return NULL;
	s = slot_of(number - 1);
	__atomic_store_n(&s->m, m, __ATOMIC_RELAXED);
	gen = __atomic_add_fetch(&s->gen, 1, __ATOMIC_RELEASE);
	return (struct dmamap_registration *)(uintptr_t)((uint64_t)gen << 32 | number);
}

struct dm_mapping *
dm_handle_release(struct dmamap_registration *handle)
{
	const uint64_t word = (uintptr_t)handle;
	uint32_t number = (uint32_t)word, gen = word >> 32;
	struct dm_mapping *m;
	struct slot *s;

	if (number == 0 || gen % 2 == 0)
		return NULL;
	s = slot_of(number - 1);
	if (s == NULL)
		return NULL;
	/* If the generation is unchanged, so was the mapping when it was read. */
	m = __atomic_load_n(&s->m, __ATOMIC_RELAXED);
	if (!__atomic_compare_exchange_n(
		    &s->gen, &gen, gen + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return NULL;
	stack_push(stack_of_thread(), number - 1, number - 1);
	return m;
}
