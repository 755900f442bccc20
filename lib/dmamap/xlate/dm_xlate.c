/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * One direction of translation: a radix tree with leaves at every page size.
 *
 * A slot is one 8-byte word: empty, a leaf (value minus key, so one formula serves all page sizes),
 * or a pointer to a node below. Slots cover 256 TiB, 1 GiB, 2 MiB or 4 KiB of keys. The two upper
 * levels are flat arrays whose pages the kernel allocates at the first write. The nodes below have
 * one of several shapes, by their contents (dm_xlate_node.h).
 *
 * Invariant: readers only load, and see the old translation, the new one or none. A removal stores
 * zeroes and unlinks empty nodes, so it needs no memory. An insertion stores to words that exist,
 * or copies the nodes that change, children first, and publishes the copies with one store.
 * Unlinked nodes go to dm_xlate_pool.h, where an epoch tells late readers about reuse.
 *
 * Called by container/ through dm_xlate.h.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dm_util.h"
#include "dm_xlate.h"
#include "dm_xlate_node.h"
#include "dm_xlate_pool.h"

#define GRANULE_MASK (DM_XLATE_GRANULE - 1)
#define HOST_PAGE UINT64_C(4096)
/**
 * Objects are aligned to 16 bytes, as malloc(3) does, so an address of up to 56 bits fits a
 * payload.
 */
#define OBJECT_SHIFT 8

/** Levels from the top; a slot of level l covers 1 << level_shift[l] keys. */
enum level { LEVEL_256T, LEVEL_1G, LEVEL_2M, LEVEL_4K };
static const uint8_t level_shift[] = {48, 30, 21, 12};
static const uint32_t level_slots[] = {1 << 16, 1 << 18, DM_XLATE_FANOUT, DM_XLATE_FANOUT};

/** A flat array of level 1G: 2 MiB of address space, of which only written pages use memory. */
struct block {
	uint64_t *slot;
	/** Bitmap over the 512 pages of the array; used by the writer only */
	uint64_t pages_written[8];
	struct block *next;
};

/**
 * A table, with the state of the writer. Readers use `x` only; frequently changed fields are in
 * other cache lines.
 */
struct writer {
	struct dm_xlate x;
	struct dm_xlate_pool pool DM_CACHE_ALIGNED;
	struct block *blocks;
	uint64_t root_pages_written[2];
	uint64_t flat_memory; /**< bytes used outside the pool */
	uint64_t limit;
};

static struct writer *
writer_of(const struct dm_xlate *x)
{
	return (struct writer *)(uintptr_t)x;
}

static inline uint32_t
slot_index(enum level level, uint64_t key)
{
	return (key >> level_shift[level]) & (level_slots[level] - 1);
}

static inline uint64_t
slot_mask(enum level level)
{
	return DM_BIT64(level_shift[level]) - 1;
}

/** The slot of a key in a wide node. */
static inline uint32_t
wide_index(uint64_t key)
{
	return (key >> level_shift[LEVEL_4K]) & (DM_XLATE_WIDE_FANOUT - 1);
}

/* Readers. */

/**
 * Load the word that covers key in the lowest flat array; *level is that of its slot. Flat arrays
 * are never freed before the table, so no epoch check is needed.
 */
static DM_ALWAYS_INLINE uint64_t
flat_lookup(const struct dm_xlate *x, uint64_t key, enum level *level)
{
	const uint64_t *slots = x->low;
	uint64_t word;

	if (DM_UNLIKELY(key >> 48 != 0)) {
		word = dm_xlate_word_load(&x->root[key >> 48]);
		*level = LEVEL_256T;
		if (!dm_xlate_is_node(word))
			return word;
		slots = dm_xlate_node(word);
	}
	*level = LEVEL_1G;
	return dm_xlate_word_load(&slots[slot_index(LEVEL_1G, key)]);
}

/**
 * Find the leaf of a key. The result is the same for all keys from `key` to *last.
 * @return the word of the leaf, or 0
 */
static uint64_t
xlate_find(const struct dm_xlate *x, uint64_t key, uint64_t *last)
{
	enum level level;
	uint64_t epoch, node, word;
	uint32_t i;

again:
	epoch = dm_xlate_epoch(x);
	word = flat_lookup(x, key, &level);
	*last = key | slot_mask(level);
	if ((word & DM_XLATE_KIND) == DM_XLATE_WIDE) {
		word = dm_xlate_wide_lookup(dm_xlate_node(word), wide_index(key), &i);
		if (dm_xlate_epoch(x) != epoch)
			goto again;
		if (word != 0)
			*last = (key & ~slot_mask(LEVEL_1G)) +
				((i + UINT64_C(1)) << level_shift[LEVEL_4K]) - 1;
		return word;
	}
	while (dm_xlate_is_node(word)) {
		node = word;
		i = slot_index(++level, key);
		word = dm_xlate_node_lookup(node, i);
		if (dm_xlate_epoch(x) != epoch)
			goto again;
		if ((node & DM_XLATE_KIND) != DM_XLATE_TABLE)
			i = DM_MAX(i, (uint32_t)dm_xlate_word_last(word));
		*last = (key & ~slot_mask(level - 1)) + ((i + UINT64_C(1)) << level_shift[level]) -
			1;
	}
	return word;
}

uint64_t
dm_xlate_lookup_slow(const struct dm_xlate *x, uint64_t key)
{
	uint64_t last, word = xlate_find(x, key, &last);

	return word != 0 ? key + (word & DM_XLATE_PAYLOAD) : DM_XLATE_NONE;
}

uint64_t
dm_xlate_lookup_below(const struct dm_xlate *x, uint64_t key, uint64_t word, uint64_t epoch)
{
	uint32_t last;

	if (DM_LIKELY(dm_xlate_is_node(word))) {
		word = (word & DM_XLATE_KIND) == DM_XLATE_WIDE
			? dm_xlate_wide_lookup(dm_xlate_node(word), wide_index(key), &last)
			: dm_xlate_large_lookup(word, slot_index(LEVEL_2M, key));
		/*
		 * The word may be followed or returned only if no node was reused since the epoch
		 * was read.
		 */
		if (DM_UNLIKELY(dm_xlate_epoch(x) != epoch))
			return dm_xlate_lookup_slow(x, key);
	}
	if (dm_xlate_is_node(word)) {
		word = dm_xlate_node_lookup(word, slot_index(LEVEL_4K, key));
		if (DM_UNLIKELY(dm_xlate_epoch(x) != epoch))
			return dm_xlate_lookup_slow(x, key);
	}
	return DM_LIKELY(word != 0) ? key + (word & DM_XLATE_PAYLOAD) : DM_XLATE_NONE;
}

void
dm_xlate_prefetch(const struct dm_xlate *x, uint64_t key)
{
	enum level level;
	uint64_t word = flat_lookup(x, key, &level);

	if (dm_xlate_is_node(word) && (word & DM_XLATE_KIND) != DM_XLATE_WIDE)
		word = dm_xlate_node_lookup(word, slot_index(LEVEL_2M, key));
	if (dm_xlate_is_node(word))
		dm_xlate_node_prefetch(word, slot_index(LEVEL_4K, key));
}

uint64_t
dm_xlate_lookup_run(const struct dm_xlate *x, uint64_t key, uint64_t *len)
{
	uint64_t last = *len - 1 > UINT64_MAX - key ? UINT64_MAX : key + *len - 1;
	uint64_t at, word = xlate_find(x, key, &at), payload = word & DM_XLATE_PAYLOAD;

	if (word == 0 || *len == 0) {
		*len = 0;
		return word == 0 ? DM_XLATE_NONE : key + payload;
	}
	while (at < last) {
		uint64_t next_last, next = xlate_find(x, at + 1, &next_last);

		if (next == 0 || (next & DM_XLATE_PAYLOAD) != payload)
			break;
		at = next_last;
	}
	*len = DM_MIN(at, last) - key + 1;
	return key + payload;
}

/* The flat levels. */

/** Map address space that reads as zeroes and gets memory page by page, at the first write. */
static uint64_t *
sparse_array(uint32_t slots)
{
	void *p = mmap(NULL, slots * sizeof(uint64_t), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* A huge page would be allocated whole for a single word. */
	madvise(p, slots * sizeof(uint64_t), MADV_NOHUGEPAGE);
	return p;
}

static struct block *
block_alloc(struct writer *x)
{
	struct block *b;

	if (x->flat_memory + x->pool.used + sizeof(*b) > x->limit)
		return NULL;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return NULL;
	b->slot = sparse_array(level_slots[LEVEL_1G]);
	if (b->slot == NULL) {
		free(b);
		return NULL;
	}
	x->flat_memory += sizeof(*b);
	return b;
}

static void
block_free(struct writer *x, struct block *b)
{
	munmap(b->slot, level_slots[LEVEL_1G] * sizeof(uint64_t));
	free(b);
	x->flat_memory -= sizeof(*b);
}

static struct block *
block_of(const struct writer *x, const uint64_t *slots)
{
	struct block *b = x->blocks;

	while (b->slot != slots)
		b = b->next;
	return b;
}

/*
 * Planning an insertion. Everything that can fail comes before the first store that readers can
 * see.
 */

/** Words to be stored. */
struct edit {
	uint64_t *at, n, word;
	uint64_t node; /**< the node that they lie in, or 0: a flat array */
	uint64_t *written; /**< bitmap of written pages; flat arrays only */
	uint32_t index; /**< slot of `at`; flat arrays only */
};

/**
 * Maximum number of nodes that one end can create. If a wide node is full, each of its entries may
 * need a node at both ends.
 */
#define PLAN_MADE (2 * (DM_XLATE_WIDE_CAPACITY + 1) + 1)

/**
 * A planned insertion. A range has two ends, in at most two 1 GiB slots of at most two flat arrays,
 * which bounds all counts here.
 */
struct plan {
	struct edit edit[20];
	uint64_t made[2 * PLAN_MADE], replaced[6];
	struct block *blocks[2];
	unsigned int n_edits, n_made, n_replaced, n_blocks;
	uint32_t root_first, root_end; /**< root slots that the range covers wholly */
};

static void
plan_edit(struct plan *p, const struct edit *e)
{
	p->edit[p->n_edits++] = *e;
}

/**
 * Plan to put entries into a node.
 * @param node  its word; 0: it does not exist yet
 * @return the word of the node that will hold them, which is `node` if it can be changed in place;
 *   0: no memory.
 */
static uint64_t
plan_entries(struct writer *x, struct plan *p, uint64_t node, const struct dm_xlate_entry *e,
	unsigned int n, enum level level)
{
	bool in_place = node != 0, table = (node & DM_XLATE_KIND) == DM_XLATE_TABLE;
	unsigned int i;
	uint64_t made;

	for (i = 0; i < n && in_place; i++)
		in_place = dm_xlate_node_fits(node, &e[i]);
	if (in_place) {
		for (i = 0; i < n; i++)
			plan_edit(p,
				&(struct edit){.at = dm_xlate_node_place(node, e[i].first).at,
					.word = e[i].word,
					.n = table ? e[i].last - e[i].first + 1 : 1,
					.node = node});
		return node;
	}
	made = dm_xlate_node_make(&x->pool, node, e, n, level == LEVEL_2M);
	if (made == 0)
		return 0;
	p->made[p->n_made++] = made;
	if (node != 0)
		p->replaced[p->n_replaced++] = node;
	return made;
}

/** An entry for slots [first, last]. */
static struct dm_xlate_entry
entry_make(uint32_t first, uint32_t last, uint64_t word)
{
	return (struct dm_xlate_entry){first, last, dm_xlate_word_with_last(word, last)};
}

/**
 * Plan a part of a 2 MiB slot. If *changed, the caller must put *e into the node.
 * @return false: no memory
 */
static bool
plan_part(struct writer *x, struct plan *p, uint64_t node, uint64_t key, uint64_t last,
	uint64_t leaf, struct dm_xlate_entry *e, bool *changed)
{
	uint32_t i = slot_index(LEVEL_2M, key);
	uint64_t child = node == 0 ? 0 : dm_xlate_node_lookup(node, i), made;
	struct dm_xlate_entry part =
		entry_make(slot_index(LEVEL_4K, key), slot_index(LEVEL_4K, last), leaf);

	made = plan_entries(x, p, child, &part, 1, LEVEL_4K);
	*changed = made != child;
	*e = entry_make(i, i, made);
	return made != 0;
}

/** State while a full wide node is split: the entries of the nodes that replace it, in order. */
struct split {
	struct dm_xlate_entry upper[3 * (DM_XLATE_WIDE_CAPACITY + 1)],
		part[DM_XLATE_WIDE_CAPACITY + 1];
	unsigned int n_upper, n_parts;
	uint32_t slot; /**< the 2 MiB slot of the parts gathered so far */
};

/** Create the node of the gathered parts. @return false: no memory */
static bool
split_close(struct writer *x, struct plan *p, struct split *s)
{
	uint64_t made;

	if (s->n_parts == 0)
		return true;
	made = plan_entries(x, p, 0, s->part, s->n_parts, LEVEL_4K);
	s->upper[s->n_upper++] = entry_make(s->slot, s->slot, made);
	s->n_parts = 0;
	return made != 0;
}

/** Add 4 KiB slots [first, last], which lie in one 2 MiB slot. @return false: no memory */
static bool
split_part(struct writer *x, struct plan *p, struct split *s, uint32_t first, uint32_t last,
	uint64_t leaf)
{
	if (s->n_parts != 0 && s->slot != first / DM_XLATE_FANOUT && !split_close(x, p, s))
		return false;
	s->slot = first / DM_XLATE_FANOUT;
	s->part[s->n_parts++] = entry_make(first % DM_XLATE_FANOUT, last % DM_XLATE_FANOUT, leaf);
	return true;
}

static bool
split_entry(struct writer *x, struct plan *p, struct split *s, uint32_t first, uint32_t last,
	uint64_t leaf)
{
	const uint32_t mask = DM_XLATE_FANOUT - 1;

	if ((first & mask) != 0 || last < (first | mask)) {
		uint32_t end = DM_MIN(first | mask, last);

		if (!split_part(x, p, s, first, end, leaf))
			return false;
		if (end == last)
			return true;
		first = end + 1;
	}
	if (!split_close(x, p, s))
		return false;
	if (last - first >= mask) {
		s->upper[s->n_upper++] =
			entry_make(first / DM_XLATE_FANOUT, (last + 1) / DM_XLATE_FANOUT - 1, leaf);
		first = (last + 1) & ~mask;
	}
	return first > last || split_part(x, p, s, first, last, leaf);
}

/**
 * Plan [key, last] in a 1 GiB slot that is empty or holds a wide node. @return as plan_entries()
 */
static uint64_t
plan_wide(
	struct writer *x, struct plan *p, uint64_t node, uint64_t key, uint64_t last, uint64_t leaf)
{
	struct dm_xlate_entry e[DM_XLATE_WIDE_CAPACITY + 1],
		more = {wide_index(key), wide_index(last), leaf};
	uint64_t *at = node == 0 ? NULL : dm_xlate_wide_fit(node, more.first, more.last), made;
	struct split s = {.n_upper = 0, .n_parts = 0};
	unsigned int n, i;

	if (at != NULL) {
		plan_edit(p,
			&(struct edit){.at = at,
				.n = 1,
				.node = node,
				.word = dm_xlate_word_with_last(leaf, more.last)});
		return node;
	}
	n = dm_xlate_wide_entries(node, &more, e);
	if (node != 0)
		p->replaced[p->n_replaced++] = node;
	if (n > DM_XLATE_WIDE_CAPACITY) {
		for (i = 0; i < n; i++)
			if (!split_entry(x, p, &s, e[i].first, e[i].last, e[i].word))
				return 0;
		if (!split_close(x, p, &s))
			return 0;
		return plan_entries(x, p, 0, s.upper, s.n_upper, LEVEL_2M);
	}
	made = dm_xlate_wide_make(&x->pool, e, n);
	if (made != 0)
		p->made[p->n_made++] = made;
	return made;
}

/** Plan [key, last], part of the 1 GiB slot whose word is `node`. @return as plan_entries() */
static uint64_t
plan_gig(
	struct writer *x, struct plan *p, uint64_t node, uint64_t key, uint64_t last, uint64_t leaf)
{
	const uint64_t mask = slot_mask(LEVEL_2M);
	struct dm_xlate_entry e[3], tail;
	bool changed, tail_changed = false;
	unsigned int n = 0;
	uint64_t end;

	if (node == 0 || (node & DM_XLATE_KIND) == DM_XLATE_WIDE)
		return plan_wide(x, p, node, key, last, leaf);
	if ((key & mask) != 0 || last < (key | mask)) {
		end = DM_MIN(key | mask, last);
		if (!plan_part(x, p, node, key, end, leaf, &e[0], &changed))
			return 0;
		n = changed ? 1 : 0;
		if (end == last)
			return n == 0 ? node : plan_entries(x, p, node, e, n, LEVEL_2M);
		key = end + 1;
	}
	if ((last & mask) != mask) {
		if (!plan_part(x, p, node, last & ~mask, last, leaf, &tail, &tail_changed))
			return 0;
		end = (last & ~mask) - 1;
	} else {
		end = last;
	}
	if (key <= end)
		e[n++] = entry_make(slot_index(LEVEL_2M, key), slot_index(LEVEL_2M, end), leaf);
	if (tail_changed)
		e[n++] = tail;
	return n == 0 ? node : plan_entries(x, p, node, e, n, LEVEL_2M);
}

/** Plan the slot of a flat array that [key, last] covers partly. @return false: no memory */
static bool
plan_slot(struct writer *x, struct plan *p, struct block *b, uint64_t key, uint64_t last,
	uint64_t leaf)
{
	uint32_t i = slot_index(LEVEL_1G, key);
	uint64_t node = b->slot[i], made = plan_gig(x, p, node, key, last, leaf);

	if (made == 0)
		return false;
	if (made != node)
		plan_edit(p,
			&(struct edit){.at = &b->slot[i],
				.n = 1,
				.word = made,
				.written = b->pages_written,
				.index = i});
	return true;
}

/** Plan [key, last], which lies in one flat array. @return false: no memory */
static bool
plan_block(struct writer *x, struct plan *p, struct block *b, uint64_t key, uint64_t last,
	uint64_t leaf)
{
	const uint64_t mask = slot_mask(LEVEL_1G);
	uint64_t end = last;
	uint32_t i;

	if ((key & mask) != 0 || last < (key | mask)) {
		end = DM_MIN(key | mask, last);
		if (!plan_slot(x, p, b, key, end, leaf))
			return false;
		if (end == last)
			return true;
		key = end + 1;
		end = last;
	}
	if ((last & mask) != mask) {
		if (!plan_slot(x, p, b, last & ~mask, last, leaf))
			return false;
		if (key == (last & ~mask))
			return true;
		end = (last & ~mask) - 1;
	}
	i = slot_index(LEVEL_1G, key);
	plan_edit(p,
		&(struct edit){.at = &b->slot[i],
			.n = slot_index(LEVEL_1G, end) - i + 1,
			.word = leaf,
			.written = b->pages_written,
			.index = i});
	return true;
}

/**
 * Plan the root slot that [key, last] covers partly; creates its flat array if needed.
 * @return false: no memory
 */
static bool
plan_root_slot(struct writer *x, struct plan *p, uint64_t key, uint64_t last, uint64_t leaf)
{
	uint32_t i = slot_index(LEVEL_256T, key);
	struct block *b;

	if (x->x.root[i] != 0)
		return plan_block(x, p, block_of(x, dm_xlate_node(x->x.root[i])), key, last, leaf);
	b = block_alloc(x);
	if (b == NULL)
		return false;
	p->blocks[p->n_blocks++] = b;
	if (!plan_block(x, p, b, key, last, leaf))
		return false;
	plan_edit(p,
		&(struct edit){.at = &x->x.root[i],
			.n = 1,
			.word = dm_xlate_node_word(b->slot, DM_XLATE_TABLE),
			.written = x->root_pages_written,
			.index = i});
	return true;
}

/** Plan both ends, and note the root slots between them that are covered wholly. */
static bool
plan_ends(struct writer *x, struct plan *p, uint64_t key, uint64_t last, uint64_t leaf)
{
	const uint64_t mask = slot_mask(LEVEL_256T);
	uint64_t end = DM_MIN(key | mask, last);

	if ((key & mask) != 0 || end != (key | mask)) {
		if (!plan_root_slot(x, p, key, end, leaf))
			return false;
		if (end == last)
			return true;
		key = end + 1;
	}
	if ((last & mask) != mask) {
		if (!plan_root_slot(x, p, last & ~mask, last, leaf))
			return false;
		if (key == (last & ~mask))
			return true;
		last = (last & ~mask) - 1;
	}
	p->root_first = slot_index(LEVEL_256T, key);
	p->root_end = slot_index(LEVEL_256T, last) + 1;
	return true;
}

static void
plan_abandon(struct writer *x, const struct plan *p)
{
	unsigned int i;

	for (i = 0; i < p->n_made; i++)
		dm_xlate_pool_free(
			&x->pool, dm_xlate_node(p->made[i]), dm_xlate_node_units(p->made[i]));
	for (i = 0; i < p->n_blocks; i++)
		block_free(x, p->blocks[i]);
}

/* Changes that readers see. */

/** Account for the pages of a flat array that are written for the first time. */
static void
flat_count_pages(struct writer *x, uint64_t *written, uint32_t first, uint64_t n)
{
	const uint32_t per_page = HOST_PAGE / sizeof(uint64_t);
	uint32_t page;

	for (page = first / per_page; page <= (first + n - 1) / per_page; page++) {
		if ((written[page / 64] & DM_BIT64(page % 64)) != 0)
			continue;
		written[page / 64] |= DM_BIT64(page % 64);
		x->flat_memory += HOST_PAGE;
	}
}

static void
edit_make(struct writer *x, const struct edit *e)
{
	uint64_t i, live = 0;

	if (e->node == 0)
		flat_count_pages(x, e->written, e->index, e->n);
	for (i = 0; i < e->n; i++) {
		live += e->at[i] == 0;
		dm_xlate_word_store(&e->at[i], e->word);
	}
	if (e->node != 0)
		dm_xlate_node_live_set(e->node, dm_xlate_node_live(e->node) + live);
}

/** Store a leaf to a whole root slot. */
static void
root_fill_slot(struct writer *x, uint32_t i, uint64_t leaf)
{
	struct block *b;

	if (x->x.root[i] == 0) {
		edit_make(x,
			&(struct edit){.at = &x->x.root[i],
				.n = 1,
				.word = leaf,
				.written = x->root_pages_written,
				.index = i});
		return;
	}
	/* A flat array is kept when it becomes empty, so its slots are filled instead. */
	b = block_of(x, dm_xlate_node(x->x.root[i]));
	edit_make(x,
		&(struct edit){.at = b->slot,
			.n = level_slots[LEVEL_1G],
			.word = leaf,
			.written = b->pages_written});
}

static void
plan_carry_out(struct writer *x, const struct plan *p, uint64_t leaf)
{
	unsigned int i;

	for (i = 0; i < p->n_blocks; i++) {
		p->blocks[i]->next = x->blocks;
		x->blocks = p->blocks[i];
	}
	/* In the order of the plan: nodes are complete before a word points to them. */
	for (i = 0; i < p->n_edits; i++)
		edit_make(x, &p->edit[i]);
	for (i = p->root_first; i < p->root_end; i++)
		root_fill_slot(x, i, leaf);
	for (i = 0; i < p->n_replaced; i++)
		dm_xlate_pool_retire(&x->pool, dm_xlate_node(p->replaced[i]),
			dm_xlate_node_units(p->replaced[i]));
}

/** Find the lowest key in [key, last] with a leaf in a node or below it. @return false: none */
static bool
node_first(uint64_t node, enum level level, uint64_t key, uint64_t last, uint64_t *found)
{
	uint32_t i, end = slot_index(level, last);
	uint64_t base = key & ~slot_mask(level - 1), start;
	struct dm_xlate_place p;

	if ((node & DM_XLATE_KIND) == DM_XLATE_WIDE) {
		i = dm_xlate_wide_first(node, wide_index(key), wide_index(last));
		*found = DM_MAX(key, base + ((uint64_t)i << level_shift[LEVEL_4K]));
		return i < DM_XLATE_WIDE_FANOUT;
	}
	for (i = slot_index(level, key); i <= end; i = p.end) {
		p = dm_xlate_node_place(node, i);
		if (p.at == NULL || *p.at == 0)
			continue;
		start = DM_MAX(key, base + ((uint64_t)i << level_shift[level]));
		*found = start;
		/*
		 * The last level has no nodes below it. The compiler needs this test to bound the
		 * recursion.
		 */
		if (level == LEVEL_4K || !dm_xlate_is_node(*p.at) ||
			node_first(*p.at, level + 1, start, DM_MIN(start | slot_mask(level), last),
				found))
			return true;
	}
	return false;
}

static bool
flat_first(const uint64_t *slots, enum level level, uint64_t key, uint64_t last, uint64_t *found)
{
	uint32_t i, end = slot_index(level, last);
	uint64_t word, stop;

	for (i = slot_index(level, key); i <= end; i++, key = stop + 1) {
		word = slots[i];
		stop = key | slot_mask(level);
		if (word == 0)
			continue;
		*found = key;
		if (!dm_xlate_is_node(word) ||
			(level == LEVEL_256T ? flat_first(dm_xlate_node(word), LEVEL_1G, key,
						       DM_MIN(stop, last), found)
					     : node_first(word, LEVEL_2M, key, DM_MIN(stop, last),
						       found)))
			return true;
	}
	return false;
}

/*
 * Fast paths without a plan. Most ranges are short, and replace a range of the same length at the
 * same place.
 */

/**
 * Whether [key, last] lies in one 2 MiB slot of a node. *word is that of the slot.
 * @return false: take the slow path
 */
static bool
range_in_one_slot(const struct dm_xlate *x, uint64_t key, uint64_t last, uint64_t *word)
{
	if ((key ^ last) >> level_shift[LEVEL_2M] != 0 || key >> 48 != 0)
		return false;
	*word = x->low[key >> 30];
	if (!dm_xlate_is_node(*word) || (*word & DM_XLATE_KIND) == DM_XLATE_WIDE)
		return false;
	*word = dm_xlate_large_lookup(*word, slot_index(LEVEL_2M, key));
	return true;
}

bool
dm_xlate_first(const struct dm_xlate *x, uint64_t key, uint64_t last, uint64_t *found)
{
	struct dm_xlate_place p;
	uint64_t node;

	if (range_in_one_slot(x, key, last, &node) && dm_xlate_is_node(node)) {
		p = dm_xlate_node_place(node, slot_index(LEVEL_4K, key));
		*found = key;
		if (p.at != NULL && *p.at != 0)
			return true;
		if (slot_index(LEVEL_4K, last) < p.next)
			return false;
	}
	return flat_first(x->root, LEVEL_256T, key, last, found);
}

/** Result of the fast path of an insertion. */
enum quick { QUICK_UNKNOWN, QUICK_BUSY, QUICK_FREE, QUICK_DONE };

/** Insert by storing one word, if an entry with the same first slot existed before. */
static enum quick
xlate_insert_in_place(struct writer *x, uint64_t key, uint64_t last, uint64_t leaf)
{
	const uint32_t first = slot_index(LEVEL_4K, key), end = slot_index(LEVEL_4K, last);
	struct dm_xlate_place p;
	uint64_t node;

	if (!range_in_one_slot(&x->x, key, last, &node))
		return QUICK_UNKNOWN;
	if (!dm_xlate_is_node(node))
		return node == 0 ? QUICK_FREE : QUICK_BUSY;
	p = dm_xlate_node_place(node, first);
	if (p.at != NULL && *p.at != 0)
		return QUICK_BUSY;
	if (end >= p.next)
		return QUICK_UNKNOWN;
	if (p.at == NULL || p.first != first)
		return QUICK_FREE;
	dm_xlate_word_store(p.at, dm_xlate_word_with_last(leaf, end));
	dm_xlate_node_live_set(node, dm_xlate_node_live(node) + 1);
	return QUICK_DONE;
}

/** Remove by clearing one word. @return false: take the slow path; nothing has changed */
static bool
xlate_remove_in_place(struct writer *x, uint64_t key, uint64_t last)
{
	const uint32_t first = slot_index(LEVEL_4K, key), end = slot_index(LEVEL_4K, last);
	struct dm_xlate_place p;
	uint64_t node;

	/* The last live entry takes the slow path, which unlinks the node. */
	if (!range_in_one_slot(&x->x, key, last, &node) || !dm_xlate_is_node(node) ||
		dm_xlate_node_live(node) < 2)
		return false;
	p = dm_xlate_node_place(node, first);
	if (p.at == NULL || *p.at == 0 || p.first != first || p.end != end + 1)
		return false;
	dm_xlate_word_store(p.at, 0);
	dm_xlate_node_live_set(node, dm_xlate_node_live(node) - 1);
	return true;
}

/** Insert a range whose words have this payload. @return 0, -EEXIST, -ENOMEM */
static int
xlate_insert(struct writer *x, uint64_t key, uint64_t last, uint64_t payload)
{
	uint64_t leaf = payload | DM_XLATE_LEAF, busy;
	enum quick quick = xlate_insert_in_place(x, key, last, leaf);
	struct plan p;

	if (quick == QUICK_DONE)
		return 0;
	if (quick == QUICK_BUSY ||
		(quick == QUICK_UNKNOWN && flat_first(x->x.root, LEVEL_256T, key, last, &busy)))
		return -EEXIST;
	p.n_edits = p.n_made = p.n_replaced = p.n_blocks = 0;
	p.root_first = p.root_end = 0;
	if (!plan_ends(x, &p, key, last, leaf)) {
		plan_abandon(x, &p);
		return -ENOMEM;
	}
	plan_carry_out(x, &p, leaf);
	return 0;
}

static bool
range_is_valid(uint64_t key, uint64_t len)
{
	return len != 0 && ((key | len) & GRANULE_MASK) == 0 && key + (len - 1) >= key;
}

int
dm_xlate_insert(struct dm_xlate *x, uint64_t key, uint64_t val, uint64_t len)
{
	if (!range_is_valid(key, len) || !range_is_valid(val, len))
		return -EINVAL;
	return xlate_insert(writer_of(x), key, key + (len - 1), val - key);
}

int
dm_xlate_insert_object(struct dm_xlate *x, uint64_t key, uint64_t len, void *object)
{
	uint64_t payload = (uint64_t)(uintptr_t)object << OBJECT_SHIFT;

	if (!range_is_valid(key, len) || (payload & ~DM_XLATE_PAYLOAD) != 0 ||
		payload >> OBJECT_SHIFT != (uintptr_t)object)
		return -EINVAL;
	return xlate_insert(writer_of(x), key, key + (len - 1), payload);
}

void *
dm_xlate_object(const struct dm_xlate *x, uint64_t key)
{
	uint64_t last, word = xlate_find(x, key, &last);

	return (void *)(uintptr_t)((word & DM_XLATE_PAYLOAD) >> OBJECT_SHIFT);
}

static void
node_retire(struct writer *x, uint64_t node)
{
	dm_xlate_pool_retire(&x->pool, dm_xlate_node(node), dm_xlate_node_units(node));
}

/** Clear [key, last] in a node and below. @return whether the node is empty now */
static bool
node_clear(struct writer *x, uint64_t node, enum level level, uint64_t key, uint64_t last)
{
	uint32_t i, end = slot_index(level, last);
	uint64_t word, base = key & ~slot_mask(level - 1), start, stop, cleared = 0;
	struct dm_xlate_place p;

	if ((node & DM_XLATE_KIND) == DM_XLATE_WIDE)
		return dm_xlate_wide_clear(node, wide_index(key), wide_index(last));
	for (i = slot_index(level, key); i <= end; i = p.end) {
		p = dm_xlate_node_place(node, i);
		if (p.at == NULL || *p.at == 0)
			continue;
		word = *p.at;
		if (level != LEVEL_4K && dm_xlate_is_node(word)) {
			start = base + ((uint64_t)i << level_shift[level]);
			stop = start | slot_mask(level);
			if (!node_clear(x, word, level + 1, DM_MAX(start, key), DM_MIN(stop, last)))
				continue;
		}
		dm_xlate_word_store(p.at, 0);
		cleared++;
		if (dm_xlate_is_node(word))
			node_retire(x, word);
	}
	cleared = dm_xlate_node_live(node) - cleared;
	dm_xlate_node_live_set(node, cleared);
	return cleared == 0;
}

static void
flat_clear(struct writer *x, uint64_t *slots, enum level level, uint64_t key, uint64_t last)
{
	uint32_t i, end = slot_index(level, last);
	uint64_t word, stop;

	for (i = slot_index(level, key); i <= end; i++, key = stop + 1) {
		word = slots[i];
		stop = key | slot_mask(level);
		if (!dm_xlate_is_node(word)) {
			if (word != 0)
				dm_xlate_word_store(&slots[i], 0);
		} else if (level == LEVEL_256T) {
			flat_clear(x, dm_xlate_node(word), LEVEL_1G, key, DM_MIN(stop, last));
		} else if (node_clear(x, word, LEVEL_2M, key, DM_MIN(stop, last))) {
			dm_xlate_word_store(&slots[i], 0);
			node_retire(x, word);
		}
	}
}

void
dm_xlate_remove(struct dm_xlate *table, uint64_t key, uint64_t len)
{
	struct writer *x = writer_of(table);

	if (!xlate_remove_in_place(x, key, key + len - 1))
		flat_clear(x, x->x.root, LEVEL_256T, key, key + len - 1);
}

int
dm_xlate_create(const struct dmamap_readers *readers, struct dm_xlate **table)
{
	struct writer *x = aligned_alloc(DM_CACHE_LINE, sizeof(*x));

	if (x == NULL)
		return -ENOMEM;
	memset(x, 0, sizeof(*x));
	dm_xlate_pool_init(&x->pool, readers, &x->x.epoch);
	x->limit = UINT64_MAX;
	x->flat_memory = sizeof(*x);
	x->x.root = sparse_array(level_slots[LEVEL_256T]);
	if (x->x.root == NULL)
		goto free_x;
	/* The flat array of the low keys always exists, which saves look-ups a test. */
	x->blocks = block_alloc(x);
	if (x->blocks == NULL)
		goto unmap_root;
	x->x.low = x->blocks->slot;
	edit_make(x,
		&(struct edit){.at = x->x.root,
			.n = 1,
			.word = dm_xlate_node_word(x->x.low, DM_XLATE_TABLE),
			.written = x->root_pages_written});
	*table = &x->x;
	return 0;

unmap_root:
	munmap(x->x.root, level_slots[LEVEL_256T] * sizeof(uint64_t));
free_x:
	free(x);
	return -ENOMEM;
}

void
dm_xlate_destroy(struct dm_xlate *table)
{
	struct writer *x = writer_of(table);
	struct block *b;

	if (table == NULL)
		return;
	while ((b = x->blocks) != NULL) {
		x->blocks = b->next;
		block_free(x, b);
	}
	munmap(x->x.root, level_slots[LEVEL_256T] * sizeof(uint64_t));
	dm_xlate_pool_fini(&x->pool);
	free(x);
}

uint64_t
dm_xlate_memory(const struct dm_xlate *table)
{
	const struct writer *x = writer_of(table);

	return x->flat_memory + x->pool.used;
}

void
dm_xlate_limit(struct dm_xlate *table, uint64_t bytes)
{
	struct writer *x = writer_of(table);

	x->limit = bytes;
	x->pool.limit = bytes > x->flat_memory ? bytes - x->flat_memory : 0;
}
