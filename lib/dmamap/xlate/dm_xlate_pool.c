/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Memory of the nodes of a translation: allocation, and reuse after readers have left. See
 * dm_xlate_pool.h.
 */

#include <string.h>
#include <sys/mman.h>

#include "dm_util.h"
#include "dm_xlate_pool.h"

#define UNIT DM_XLATE_POOL_UNIT
#define CHUNK_SMALL (UINT64_C(64) << 10)
/**
 * Large pools use chunks of one huge page each: random look-ups run out of TLB entries otherwise.
 */
#define CHUNK_HUGE (UINT64_C(2) << 20)
/** A batch is closed when it holds this many bytes, or this fraction of the pool. */
#define BATCH_MIN (UINT64_C(16) << 10)
#define BATCH_PART 32

/** Header of a chunk. */
struct chunk {
	void *next;
	void *map;
	uint64_t map_len;
	uint8_t pad[UNIT - 24];
};

static void
list_push(struct dm_xlate_pool_list *list, struct dm_xlate_pool_head *node)
{
	if (list->first == NULL)
		list->last = node;
	dm_xlate_pool_head_set(node, (uintptr_t)list->first);
	list->first = node;
}

static struct dm_xlate_pool_head *
list_pop(struct dm_xlate_pool_list *list)
{
	struct dm_xlate_pool_head *node = list->first;

	if (node != NULL)
		list->first = (struct dm_xlate_pool_head *)(uintptr_t)node->bits;
	return node;
}

/** Move all of `from` to the front of `to`. */
static void
list_move(struct dm_xlate_pool_list *to, struct dm_xlate_pool_list *from)
{
	if (from->first == NULL)
		return;
	dm_xlate_pool_head_set(from->last, (uintptr_t)to->first);
	if (to->first == NULL)
		to->last = from->last;
	to->first = from->first;
	from->first = NULL;
}

void
dm_xlate_pool_init(struct dm_xlate_pool *p, const struct dmamap_readers *readers, uint64_t *epoch)
{
	memset(p, 0, sizeof(*p));
	if (readers != NULL)
		p->readers = *readers;
	p->epoch = epoch;
	p->limit = UINT64_MAX;
}

void
dm_xlate_pool_fini(struct dm_xlate_pool *p)
{
	struct chunk *c, *next;

	for (c = p->chunks; c != NULL; c = next) {
		next = c->next;
		munmap(c->map, c->map_len);
	}
}

/**
 * Put the nodes of a batch on the free lists. Readers that may still be inside notice by the epoch.
 */
static void
batch_release(struct dm_xlate_pool *p, struct dm_xlate_pool_batch *b)
{
	unsigned int i;

	/*
	 * Stores to reused nodes are release stores after this one, so who sees them sees the new
	 * epoch.
	 */
	__atomic_store_n(p->epoch, *p->epoch + 1, __ATOMIC_RELEASE);
	for (i = 1; i <= DM_XLATE_POOL_MAX; i++)
		list_move(&p->free[i], &b->of[i]);
	b->len = 0;
}

/** Whether all readers that could see a closed batch are quiescent. */
static bool
batch_quiescent(const struct dm_xlate_pool *p)
{
	return p->readers.done(p->readers.arg, p->closed.token);
}

/** Free the batches that may be reused. With `all`, do not wait for a batch to fill. */
static void
pool_recycle(struct dm_xlate_pool *p, bool all)
{
	uint64_t enough = all ? 1 : DM_MAX(BATCH_MIN, p->used / BATCH_PART);

	if (p->readers.start == NULL) {
		if (p->open.len >= enough)
			batch_release(p, &p->open);
		return;
	}
	if (p->closed.len != 0 && batch_quiescent(p))
		batch_release(p, &p->closed);
	if (p->closed.len != 0 || p->open.len < enough)
		return;
	p->closed = p->open;
	p->closed.token = p->readers.start(p->readers.arg);
	memset(&p->open, 0, sizeof(p->open));
	if (batch_quiescent(p))
		batch_release(p, &p->closed);
}

/** Cut the rest of the newest chunk into free nodes. */
static void
pool_free_rest(struct dm_xlate_pool *p)
{
	unsigned int units;

	while ((units = (p->fresh_end - p->fresh) / UNIT) != 0) {
		units = DM_MIN(units, (unsigned int)DM_XLATE_POOL_MAX);
		list_push(&p->free[units], (void *)p->fresh);
		p->fresh += units * UNIT;
		p->used += units * UNIT;
	}
}

static bool
pool_grow(struct dm_xlate_pool *p)
{
	uint64_t len = p->used < CHUNK_HUGE / 2 ? CHUNK_SMALL : CHUNK_HUGE;
	/* The tail is never written, so it uses no memory. */
	uint64_t map_len = len + DM_XLATE_POOL_TAIL + (len == CHUNK_HUGE ? CHUNK_HUGE : 0);
	void *map = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct chunk *c = map;

	if (map == MAP_FAILED)
		return false;
	if (len == CHUNK_HUGE) {
		c = DM_PTR_ALIGN_CEIL(map, CHUNK_HUGE);
		madvise(c, CHUNK_HUGE, MADV_HUGEPAGE);
	}
	pool_free_rest(p);
	*c = (struct chunk){.next = p->chunks, .map = map, .map_len = map_len};
	p->chunks = c;
	p->fresh = (uint8_t *)(c + 1);
	p->fresh_end = (uint8_t *)c + len;
	p->used += sizeof(*c);
	return true;
}

void *
dm_xlate_pool_alloc(struct dm_xlate_pool *p, unsigned int units)
{
	uint64_t len = units * (uint64_t)UNIT;
	struct dm_xlate_pool_head *node = list_pop(&p->free[units]);

	if (node != NULL)
		return node;
	pool_recycle(p, false);
	node = list_pop(&p->free[units]);
	if (node != NULL)
		return node;
	if (p->used + len <= p->limit &&
		((uint64_t)(p->fresh_end - p->fresh) >= len || pool_grow(p))) {
		node = (void *)p->fresh;
		p->fresh += len;
		p->used += len;
		return node;
	}
	pool_recycle(p, true);
	return list_pop(&p->free[units]);
}

void
dm_xlate_pool_free(struct dm_xlate_pool *p, void *node, unsigned int units)
{
	list_push(&p->free[units], node);
}

void
dm_xlate_pool_retire(struct dm_xlate_pool *p, void *node, unsigned int units)
{
	list_push(&p->open.of[units], node);
	p->open.len += units * UNIT;
}
