/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How is a key found? A radix tree whose leaves lie at every page class; readers only load.
 *
 * A slot is one 8-byte word: nothing, a leaf (value minus key, so one formula serves all classes), or a pointer
 * to the node below. Slots cover 256 TiB, 1 GiB, 2 MiB or 4 KiB of keys. The two upper levels are flat arrays
 * whose pages the kernel supplies when they are first written: three loads reach any 4 KiB page below 2^48.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_rcu_qsbr.h>

#include "dm_xlate.h"

#define GRANULE_MASK (DM_XLATE_GRANULE - 1)
#define HOST_PAGE UINT64_C(4096)

/** Levels from the top; a slot of level l covers 1 << level_shift[l] keys. */
enum level { LEVEL_256T, LEVEL_1G, LEVEL_2M, LEVEL_4K };
static const uint8_t level_shift[] = {48, 30, 21, 12};
static const uint32_t level_slots[] = {1 << 16, 1 << 18, 1 << 9, 1 << 9};

/** A slot's kinds; the bits above say the rest. 0 is nothing. */
#define WORD_LEAF UINT64_C(1)
#define WORD_NODE UINT64_C(2)
#define WORD_KIND UINT64_C(3)

/** A node of level 2M or 4K. The slots come first, so that they lie on cache lines of their own. */
struct table {
	uint64_t slot[512];
	uint16_t live;	    /**< slots that are not 0; the writer's */
	uint64_t token;	    /**< readers that may still be inside */
	struct table *next; /**< in a list of retired or free tables */
} __rte_cache_aligned;

/** A node of level 1G: 2 MiB of address space, of which only written pages take memory. */
struct block {
	uint64_t *slot;
	uint64_t pages_written[8]; /**< bitmap over the block's 512 pages; the writer's */
	struct block *next;
};

/** Tables in the order in which they were unlinked. */
struct table_list {
	struct table *first, **end;
};

struct dm_xlate {
	uint64_t *low;	/**< slots of the block for keys below 2^48, which nearly all keys are */
	uint64_t *root; /**< slots of level 256T */
	struct rte_rcu_qsbr *rcu;

	/* The writer's. */
	struct table *free;
	struct table_list retired;
	struct block *blocks;
	uint64_t root_pages_written[2];
	uint64_t memory, limit;
};

/** What an insertion takes before it changes anything: a border needs at most one node a level. */
struct reserve {
	struct table *tables;
	struct block *blocks;
};

static inline uint64_t
slot_load(const uint64_t *slot)
{
	return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

static inline void
slot_store(uint64_t *slot, uint64_t word)
{
	__atomic_store_n(slot, word, __ATOMIC_RELEASE);
}

static inline uint64_t *
word_node(uint64_t word)
{
	return (uint64_t *)(uintptr_t)(word & ~WORD_KIND);
}

static inline uint32_t
slot_index(enum level level, uint64_t key)
{
	return (key >> level_shift[level]) & (level_slots[level] - 1);
}

/** The slots below a slot of `level` for `key`, or NULL if there is no node. */
static inline uint64_t *
child_of(const uint64_t *slots, enum level level, uint64_t key)
{
	uint64_t word = slot_load(&slots[slot_index(level, key)]);

	return (word & WORD_KIND) == WORD_NODE ? word_node(word) : NULL;
}

/* Readers. */

/** The leaf that covers key, or 0; *level is where it lies or where there is nothing. */
static inline uint64_t
find_leaf(const struct dm_xlate *x, uint64_t key, enum level *level)
{
	const uint64_t *slots = x->low;
	uint64_t word;

	*level = LEVEL_1G;
	if (unlikely(key >> 48 != 0)) {
		word = slot_load(&x->root[key >> 48]);
		if ((word & WORD_KIND) != WORD_NODE) {
			*level = LEVEL_256T;
			return word;
		}
		slots = word_node(word);
	}
	word = slot_load(&slots[slot_index(LEVEL_1G, key)]);
	if ((word & WORD_KIND) != WORD_NODE)
		return word;
	*level = LEVEL_2M;
	word = slot_load(&word_node(word)[slot_index(LEVEL_2M, key)]);
	if ((word & WORD_KIND) != WORD_NODE)
		return word;
	*level = LEVEL_4K;
	return slot_load(&word_node(word)[slot_index(LEVEL_4K, key)]);
}

uint64_t
dm_xlate_lookup(const struct dm_xlate *x, uint64_t key)
{
	enum level level;
	uint64_t word = find_leaf(x, key, &level);

	return likely(word != 0) ? key + (word & ~GRANULE_MASK) : DM_XLATE_NONE;
}

uint64_t
dm_xlate_lookup_run(const struct dm_xlate *x, uint64_t key, uint64_t *len)
{
	enum level level;
	uint64_t word = find_leaf(x, key, &level), first = word, at = key, slot_last;
	uint64_t last = *len - 1 > UINT64_MAX - key ? UINT64_MAX : key + *len - 1;

	if (word == 0 || *len == 0) {
		*len = 0;
		return word == 0 ? DM_XLATE_NONE : key + (word & ~GRANULE_MASK);
	}
	while (word == first) {
		slot_last = at | (RTE_BIT64(level_shift[level]) - 1);
		if (slot_last >= last) {
			*len = last - key + 1;
			return key + (first & ~GRANULE_MASK);
		}
		at = slot_last + 1;
		word = find_leaf(x, at, &level);
	}
	*len = at - key;
	return key + (first & ~GRANULE_MASK);
}

/* Memory. */

static bool
charge(struct dm_xlate *x, uint64_t len)
{
	if (len > x->limit || x->memory > x->limit - len)
		return false;
	x->memory += len;
	return true;
}

/** Address space that reads as zeroes and takes memory page by page, when written. */
static uint64_t *
sparse_array(uint32_t slots)
{
	void *p = mmap(NULL, slots * sizeof(uint64_t), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* A huge page would be supplied whole. */
	madvise(p, slots * sizeof(uint64_t), MADV_NOHUGEPAGE);
	return p;
}

static struct block *
block_alloc(struct dm_xlate *x)
{
	struct block *b;

	if (!charge(x, sizeof(*b)))
		return NULL;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		goto uncharge;
	b->slot = sparse_array(level_slots[LEVEL_1G]);
	if (b->slot == NULL)
		goto free_block;
	return b;

free_block:
	free(b);
uncharge:
	x->memory -= sizeof(*b);
	return NULL;
}

static void
block_free(struct dm_xlate *x, struct block *b)
{
	munmap(b->slot, level_slots[LEVEL_1G] * sizeof(uint64_t));
	free(b);
	x->memory -= sizeof(*b);
}

/** Move tables that no reader can be inside any more to the free list. */
static void
reclaim(struct dm_xlate *x)
{
	struct table *t;

	while ((t = x->retired.first) != NULL && rte_rcu_qsbr_check(x->rcu, t->token, false) == 1) {
		x->retired.first = t->next;
		if (t->next == NULL)
			x->retired.end = &x->retired.first;
		t->next = x->free;
		x->free = t;
	}
}

/** A table of nothing. */
static struct table *
table_alloc(struct dm_xlate *x)
{
	struct table *t;

	if (x->free == NULL)
		reclaim(x);
	t = x->free;
	if (t != NULL) {
		x->free = t->next;
		return t;
	}
	if (!charge(x, sizeof(*t)))
		return NULL;
	t = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*t));
	if (t == NULL) {
		x->memory -= sizeof(*t);
		return NULL;
	}
	memset(t, 0, sizeof(*t));
	return t;
}

/** An unlinked table, all of whose slots are 0, waits until readers have left it. */
static void
table_retire(struct dm_xlate *x, struct table *t)
{
	t->token = rte_rcu_qsbr_start(x->rcu);
	t->next = NULL;
	*x->retired.end = t;
	x->retired.end = &t->next;
}

/** Count the page of a flat array that a slot lies in, when it is first written. */
static void
count_page(struct dm_xlate *x, uint64_t *written, uint32_t slot)
{
	uint32_t page = slot / (HOST_PAGE / sizeof(uint64_t));

	if ((written[page / 64] & RTE_BIT64(page % 64)) == 0) {
		written[page / 64] |= RTE_BIT64(page % 64);
		x->memory += HOST_PAGE;
	}
}

static struct block *
block_of(const struct dm_xlate *x, const uint64_t *slots)
{
	struct block *b = x->blocks;

	while (b->slot != slots)
		b = b->next;
	return b;
}

/** Write a slot and keep the books of the node that it lies in. */
static void
slot_write(struct dm_xlate *x, uint64_t *slots, enum level level, uint32_t i, uint64_t word)
{
	if (level == LEVEL_256T)
		count_page(x, x->root_pages_written, i);
	else if (level == LEVEL_1G)
		count_page(x, block_of(x, slots)->pages_written, i);
	else
		((struct table *)slots)->live += (word != 0) - (slots[i] != 0);
	slot_store(&slots[i], word);
}

/* The writer. Each walk visits the slots of one node that [key, last] touches. */

/** Does a part of [key, last] translate to something? */
static bool
overlaps(const uint64_t *slots, enum level level, uint64_t key, uint64_t last)
{
	uint32_t i, end = slot_index(level, last);
	uint64_t word, slot_last;

	for (i = slot_index(level, key); i <= end; i++, key = slot_last + 1) {
		slot_last = key | (RTE_BIT64(level_shift[level]) - 1);
		word = slots[i];
		if (word == 0)
			continue;
		if ((word & WORD_KIND) == WORD_LEAF)
			return true;
		if (overlaps(word_node(word), level + 1, key, RTE_MIN(slot_last, last)))
			return true;
	}
	return false;
}

/** Translate [key, last], where nothing is translated; nodes that are wanting come from r. */
static void
fill(struct dm_xlate *x, struct reserve *r, uint64_t *slots, enum level level, uint64_t key,
	uint64_t last, uint64_t delta)
{
	uint32_t i, end = slot_index(level, last);
	uint64_t word, slot_last, *child;

	for (i = slot_index(level, key); i <= end; i++, key = slot_last + 1) {
		slot_last = key | (RTE_BIT64(level_shift[level]) - 1);
		word = slots[i];
		if (word != 0) {
			fill(x, r, word_node(word), level + 1, key, RTE_MIN(slot_last, last), delta);
			continue;
		}
		if ((key & (RTE_BIT64(level_shift[level]) - 1)) == 0 && slot_last <= last) {
			slot_write(x, slots, level, i, delta | WORD_LEAF);
			continue;
		}
		if (level == LEVEL_256T) {
			struct block *b = r->blocks;

			r->blocks = b->next;
			b->next = x->blocks;
			x->blocks = b;
			child = b->slot;
		} else {
			child = r->tables->slot;
			r->tables = r->tables->next;
		}
		/* Whole before it can be seen. */
		fill(x, r, child, level + 1, key, RTE_MIN(slot_last, last), delta);
		slot_write(x, slots, level, i, (uintptr_t)child | WORD_NODE);
	}
}

/** Translate nothing of [key, last]. Tables left empty go, if there is a way to know when readers have gone. */
static void
clear(struct dm_xlate *x, uint64_t *slots, enum level level, uint64_t key, uint64_t last)
{
	uint32_t i, end = slot_index(level, last);
	uint64_t word, slot_last;
	struct table *t;

	for (i = slot_index(level, key); i <= end; i++, key = slot_last + 1) {
		slot_last = key | (RTE_BIT64(level_shift[level]) - 1);
		word = slots[i];
		if ((word & WORD_KIND) == WORD_LEAF) {
			slot_write(x, slots, level, i, 0);
			continue;
		}
		if (word == 0)
			continue;
		clear(x, word_node(word), level + 1, key, RTE_MIN(slot_last, last));
		t = (struct table *)word_node(word);
		if (level != LEVEL_256T && x->rcu != NULL && t->live == 0) {
			slot_write(x, slots, level, i, 0);
			table_retire(x, t);
		}
	}
}

static bool
take_block(struct dm_xlate *x, struct reserve *r)
{
	struct block *b = block_alloc(x);

	if (b == NULL)
		return false;
	b->next = r->blocks;
	r->blocks = b;
	return true;
}

static bool
take_table(struct dm_xlate *x, struct reserve *r)
{
	struct table *t = table_alloc(x);

	if (t == NULL)
		return false;
	t->next = r->tables;
	r->tables = t;
	return true;
}

/**
 * Take the nodes that one border needs: below each slot that [key, last] covers only in part, where none is.
 * @param at     key or last, the end that is looked at
 * @param other  the other end if its nodes were taken already, else at itself
 */
static bool
reserve_border(struct dm_xlate *x, struct reserve *r, uint64_t key, uint64_t last, uint64_t at,
	uint64_t other)
{
	const uint64_t *slots = x->root;
	enum level level;

	for (level = LEVEL_256T; level < LEVEL_4K; level++) {
		uint64_t mask = RTE_BIT64(level_shift[level]) - 1;
		bool whole = (at & ~mask) >= key && (at | mask) <= last;

		if (slots != NULL)
			slots = child_of(slots, level, at);
		if (slots != NULL)
			continue;
		/* Of a slot that both ends lie in, the first end took the node. */
		if (whole)
			return true;
		if (other != at && (other & ~mask) == (at & ~mask))
			continue;
		if (!(level == LEVEL_256T ? take_block(x, r) : take_table(x, r)))
			return false;
	}
	return true;
}

static void
reserve_undo(struct dm_xlate *x, struct reserve *r)
{
	struct table *t;
	struct block *b;

	while ((t = r->tables) != NULL) {
		r->tables = t->next;
		t->next = x->free;
		x->free = t;
	}
	while ((b = r->blocks) != NULL) {
		r->blocks = b->next;
		block_free(x, b);
	}
}

int
dm_xlate_insert(struct dm_xlate *x, uint64_t key, uint64_t val, uint64_t len)
{
	uint64_t last = key + len - 1;
	struct reserve r = {0};

	if (len == 0 || ((key | val | len) & GRANULE_MASK) != 0 || last < key ||
		val + len - 1 < val)
		return -EINVAL;
	if (overlaps(x->root, LEVEL_256T, key, last))
		return -EEXIST;
	if (!reserve_border(x, &r, key, last, key, key) ||
		!reserve_border(x, &r, key, last, last, key)) {
		reserve_undo(x, &r);
		return -ENOMEM;
	}
	fill(x, &r, x->root, LEVEL_256T, key, last, val - key);
	return 0;
}

void
dm_xlate_remove(struct dm_xlate *x, uint64_t key, uint64_t len)
{
	clear(x, x->root, LEVEL_256T, key, key + len - 1);
}

int
dm_xlate_create(struct rte_rcu_qsbr *rcu, struct dm_xlate **out)
{
	struct dm_xlate *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return -ENOMEM;
	x->rcu = rcu;
	x->retired.end = &x->retired.first;
	x->limit = UINT64_MAX;
	x->memory = sizeof(*x);
	x->root = sparse_array(level_slots[LEVEL_256T]);
	if (x->root == NULL)
		goto free_x;
	/* The block of the low keys is always there, so that a look-up need not ask. */
	x->blocks = block_alloc(x);
	if (x->blocks == NULL)
		goto unmap_root;
	x->low = x->blocks->slot;
	slot_write(x, x->root, LEVEL_256T, 0, (uintptr_t)x->low | WORD_NODE);
	*out = x;
	return 0;

unmap_root:
	munmap(x->root, level_slots[LEVEL_256T] * sizeof(uint64_t));
free_x:
	free(x);
	return -ENOMEM;
}

/** Free the tables below a node of level 1G or 2M. */
static void
free_below(uint64_t *slots, enum level level, uint32_t first, uint32_t n)
{
	uint32_t i;

	for (i = first; i < first + n; i++) {
		if ((slots[i] & WORD_KIND) != WORD_NODE)
			continue;
		if (level == LEVEL_1G)
			free_below(word_node(slots[i]), LEVEL_2M, 0, level_slots[LEVEL_2M]);
		free(word_node(slots[i]));
	}
}

static void
free_list(struct table *t)
{
	struct table *next;

	for (; t != NULL; t = next) {
		next = t->next;
		free(t);
	}
}

void
dm_xlate_destroy(struct dm_xlate *x)
{
	const uint32_t per_page = HOST_PAGE / sizeof(uint64_t);
	struct block *b;
	uint32_t page;

	if (x == NULL)
		return;
	while ((b = x->blocks) != NULL) {
		for (page = 0; page < level_slots[LEVEL_1G] / per_page; page++)
			if ((b->pages_written[page / 64] & RTE_BIT64(page % 64)) != 0)
				free_below(b->slot, LEVEL_1G, page * per_page, per_page);
		x->blocks = b->next;
		block_free(x, b);
	}
	free_list(x->retired.first);
	free_list(x->free);
	munmap(x->root, level_slots[LEVEL_256T] * sizeof(uint64_t));
	free(x);
}

uint64_t
dm_xlate_memory(const struct dm_xlate *x)
{
	return x->memory;
}

void
dm_xlate_limit(struct dm_xlate *x, uint64_t bytes)
{
	x->limit = bytes;
}
