/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which pages are free, and where is the lowest block that fits? A radix tree of free pages.
 *
 * A node of height h has 64 children of 2^(6h) pages each. Below height 1 there are no nodes: the
 * children of height 1 are words of 64 bits, one a page. order[c] is 0 if nothing in child c is
 * free, else 1 + the order of its largest aligned free block; 6h + 1 thus means: all of it is free.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_byteorder.h>
#include <rte_common.h>

#include "dm_free_tree.h"

#define FANOUT 64
#define SHIFT 6
#define TOP_HEIGHT 8 /* 2^(6 * (8 + 1)) pages are more than there are */
#define TOP_UNKNOWN UINT8_MAX /* nobody keeps a summary of the root */
#define SLAB_SMALL (UINT64_C(64) << 10)
/* From some nodes on, slabs are huge pages: what random takes and gives touch is short of TLB
 * entries. */
#define SLAB_HUGE (UINT64_C(2) << 20)

struct dm_free_node {
	uint8_t order[FANOUT];
	union {
		struct dm_free_node *child[FANOUT]; /* NULL: all free or all taken */
		uint64_t bits[FANOUT]; /* height 1; a set bit is a free page */
		struct dm_free_node *next; /* in the pool */
	};
} __rte_cache_aligned;

struct slab {
	struct slab *next;
	struct dm_free_node node[] __rte_cache_aligned;
};

#define BYTES(x) (UINT64_C(0x0101010101010101) * (x))

/** The first index from `from` on whose byte is at least v (1 to 127); FANOUT if none is. */
static inline unsigned int
next_at_least(const uint8_t *order, unsigned int from, unsigned int v)
{
	unsigned int w = from / 8;
	uint64_t skip = UINT64_MAX << from % 8 * 8;

	for (; w < FANOUT / 8; w++, skip = UINT64_MAX) {
		uint64_t x;

		memcpy(&x, &order[w * 8], 8);
		x = rte_le_to_cpu_64(x);
		/* No byte borrows from its neighbour: orders are far below 128. */
		x = ((x | BYTES(0x80)) - BYTES(v)) & BYTES(0x80) & skip;
		if (x != 0)
			return w * 8 + __builtin_ctzll(x) / 8;
	}
	return FANOUT;
}

/** A bit for each child whose order is at least v. */
static inline uint64_t
mask_at_least(const uint8_t *order, unsigned int v)
{
	uint64_t mask = 0;
	unsigned int w;

	for (w = 0; w < FANOUT / 8; w++) {
		uint64_t x;

		memcpy(&x, &order[w * 8], 8);
		x = rte_le_to_cpu_64(x);
		x = (((x | BYTES(0x80)) - BYTES(v)) & BYTES(0x80)) >> 7;
		/* Gathers bit 0 of each byte in the top byte. */
		mask |= (x * UINT64_C(0x0102040810204080)) >> 56 << w * 8;
	}
	return mask;
}

/** Where aligned groups of 2^k bits start. */
static const uint64_t group_starts[SHIFT + 1] = {UINT64_MAX, BYTES(0x55), BYTES(0x11), BYTES(0x01),
	UINT64_C(0x0001000100010001), UINT64_C(0x0000000100000001), 1};

/** A bit at the start of each aligned group of 2^k set bits. */
static inline uint64_t
aligned_groups(uint64_t mask, unsigned int k)
{
	unsigned int j;

	for (j = 0; j < k; j++)
		mask &= mask >> (1u << j);
	return mask & group_starts[k];
}

/** The order of the largest aligned group of set bits; mask is not 0. */
static inline unsigned int
largest_group(uint64_t mask)
{
	unsigned int k;

	for (k = 0; k < SHIFT; k++) {
		mask &= mask >> (1u << k) & group_starts[k + 1];
		if (mask == 0)
			break;
	}
	return k;
}

/** The greatest byte of the array, eight at a time. */
static inline unsigned int
greatest(const uint8_t *order)
{
	uint64_t most = 0;
	unsigned int w;

	for (w = 0; w < FANOUT / 8; w++) {
		uint64_t x, ge;

		memcpy(&x, &order[w * 8], 8);
		/* 0xff in each byte where most is at least x. */
		ge = ((((most | BYTES(0x80)) - x) & BYTES(0x80)) >> 7) * 0xff;
		most = (most & ge) | (x & ~ge);
	}
	for (w = 0; most >> 8 != 0; most >>= 8)
		w = RTE_MAX(w, (unsigned int)(most & 0xff));
	return RTE_MAX(w, (unsigned int)most);
}

/** What a node's parent keeps about it. */
static unsigned int
summary(const struct dm_free_node *node, unsigned int h)
{
	const unsigned int full = SHIFT * h + 1;
	unsigned int most = greatest(node->order);

	if (most < full)
		return most;
	return full + largest_group(mask_at_least(node->order, full));
}

/** The summary after one child's order changed; mostly it can be told without looking at the
 * others. */
static inline unsigned int
summary_after(const struct dm_free_node *node, unsigned int h, unsigned int before,
	unsigned int was, unsigned int is)
{
	const unsigned int full = SHIFT * h + 1;

	if (was == is)
		return before;
	if (before < full && is < full) {
		if (is >= before)
			return is;
		if (was < before)
			return before;
	}
	return summary(node, h);
}

/** Bits a to b of a word. */
static inline uint64_t
bit_range(unsigned int a, unsigned int b)
{
	return UINT64_MAX << a & UINT64_MAX >> (63 - b);
}

static void
pool_push(struct dm_free_tree *t, struct dm_free_node *node)
{
	node->next = t->pool;
	t->pool = node;
}

static struct dm_free_node *
pool_pop(struct dm_free_tree *t)
{
	struct dm_free_node *node = t->pool;

	if (node == NULL)
		return t->fresh++;
	t->pool = node->next;
	return node;
}

int
dm_free_tree_reserve(struct dm_free_tree *t, uint64_t nodes)
{
	while (t->n_pool < nodes) {
		uint64_t len = t->slab_len < SLAB_HUGE / 2 ? SLAB_SMALL : SLAB_HUGE;
		struct slab *slab =
			aligned_alloc(len == SLAB_HUGE ? SLAB_HUGE : RTE_CACHE_LINE_SIZE, len);

		if (slab == NULL)
			return -ENOMEM;
		if (len == SLAB_HUGE)
			madvise(slab, len, MADV_HUGEPAGE); /* a wish; nothing depends on it */
		slab->next = t->slabs;
		t->slabs = slab;
		t->slab_len += len;
		while (t->fresh != t->fresh_end)
			pool_push(t, t->fresh++);
		t->fresh = slab->node;
		t->fresh_end = slab->node + (len - sizeof(*slab)) / sizeof(slab->node[0]);
		t->n_pool += t->fresh_end - t->fresh;
	}
	return 0;
}

/** A node for a subtree that is all free or all taken. */
static struct dm_free_node *
node_new(struct dm_free_tree *t, unsigned int h, bool free)
{
	struct dm_free_node *node = pool_pop(t);

	t->n_pool--;
	memset(node->order, free ? SHIFT * h + 1 : 0, sizeof(node->order));
	memset(node->bits, free && h == 1 ? 0xff : 0, sizeof(node->bits));
	return node;
}

static void
node_free(struct dm_free_tree *t, struct dm_free_node *node, unsigned int h)
{
	unsigned int c;

	if (h > 1)
		for (c = 0; c < FANOUT; c++)
			if (node->child[c] != NULL)
				node_free(t, node->child[c], h - 1);
	pool_push(t, node);
	t->n_pool++;
}

int
dm_free_tree_init(struct dm_free_tree *t)
{
	int rc;

	*t = (struct dm_free_tree){0};
	rc = dm_free_tree_reserve(t, 1);
	if (rc == 0)
		t->root = node_new(t, TOP_HEIGHT, false);
	return rc;
}

void
dm_free_tree_fini(struct dm_free_tree *t)
{
	struct slab *slab = t->slabs;

	while (slab != NULL) {
		struct slab *next = slab->next;

		free(slab);
		slab = next;
	}
	*t = (struct dm_free_tree){0};
}

static unsigned int mark(struct dm_free_tree *t, struct dm_free_node *node, unsigned int h,
	uint64_t first, uint64_t last, bool free, unsigned int before);

/** Mark pages a to b of child c; not all of it. */
static void
mark_part(struct dm_free_tree *t, struct dm_free_node *node, unsigned int h, unsigned int c,
	uint64_t a, uint64_t b, bool free)
{
	const unsigned int full = SHIFT * h + 1;

	if (h == 1) {
		uint64_t bits = node->bits[c];

		bits = free ? bits | bit_range(a, b) : bits & ~bit_range(a, b);
		node->bits[c] = bits;
		node->order[c] = bits != 0 ? 1 + largest_group(bits) : 0;
		return;
	}
	if (node->child[c] == NULL)
		node->child[c] = node_new(t, h - 1, node->order[c] == full);
	node->order[c] = mark(t, node->child[c], h - 1, a, b, free, node->order[c]);
	/* A node in which nothing is free is kept: giving back then needs no memory. */
	if (node->order[c] == full) {
		node_free(t, node->child[c], h - 1);
		node->child[c] = NULL;
	}
}

static void
mark_whole(struct dm_free_tree *t, struct dm_free_node *node, unsigned int h, unsigned int c,
	bool free)
{
	node->order[c] = free ? SHIFT * h + 1 : 0;
	if (h == 1) {
		node->bits[c] = free ? UINT64_MAX : 0;
	} else if (node->child[c] != NULL) {
		node_free(t, node->child[c], h - 1);
		node->child[c] = NULL;
	}
}

/** Mark pages first to last, counted from the start of the node. @return its summary, which was
 * before */
static unsigned int
mark(struct dm_free_tree *t, struct dm_free_node *node, unsigned int h, uint64_t first,
	uint64_t last, bool free, unsigned int before)
{
	const uint64_t low = (UINT64_C(1) << SHIFT * h) - 1;
	unsigned int c = first >> SHIFT * h, end = last >> SHIFT * h, was = node->order[c];
	bool one = c == end;

	for (; c <= end; c++) {
		uint64_t b = c == end ? last & low : low;

		if ((first & low) == 0 && b == low)
			mark_whole(t, node, h, c, free);
		else
			mark_part(t, node, h, c, first & low, b, free);
		first = 0;
	}
	return one ? summary_after(node, h, before, was, node->order[end]) : summary(node, h);
}

void
dm_free_tree_mark(struct dm_free_tree *t, uint64_t first, uint64_t last, bool free)
{
	if (free)
		t->n_free += last - first + 1;
	else
		t->n_free -= last - first + 1;
	mark(t, t->root, TOP_HEIGHT, first, last, free, TOP_UNKNOWN);
}

static bool
is_free(const struct dm_free_node *node, unsigned int h, uint64_t first, uint64_t last)
{
	const uint64_t low = (UINT64_C(1) << SHIFT * h) - 1;
	unsigned int c = first >> SHIFT * h, end = last >> SHIFT * h;

	for (; c <= end; c++) {
		uint64_t a = first & low, b = c == end ? last & low : low;

		first = 0;
		if (node->order[c] == SHIFT * h + 1)
			continue;
		if (node->order[c] == 0)
			return false;
		if (h == 1 ? (~node->bits[c] & bit_range(a, b)) != 0
			   : !is_free(node->child[c], h - 1, a, b))
			return false;
	}
	return true;
}

bool
dm_free_tree_is_free(const struct dm_free_tree *t, uint64_t first, uint64_t last)
{
	return is_free(t->root, TOP_HEIGHT, first, last);
}

/** The first aligned block of 2^k set bits among bits a to b. */
static inline uint64_t
block_in_word(uint64_t bits, unsigned int k, unsigned int a, unsigned int b)
{
	uint64_t starts = aligned_groups(bits & bit_range(a, b), k);

	return starts != 0 ? (uint64_t)__builtin_ctzll(starts) : DM_FREE_TREE_NONE;
}

/** The first aligned block of 2^k pages in a child that is all free. */
static inline uint64_t
block_in_free(unsigned int k, uint64_t a, uint64_t b)
{
	uint64_t size = UINT64_C(1) << k;

	a = (a + size - 1) & ~(size - 1);
	return a <= b && b - a >= size - 1 ? a : DM_FREE_TREE_NONE;
}

/** A block that is made of whole children: at least one. */
static uint64_t
block_of_children(const struct dm_free_node *node, unsigned int h, unsigned int order, uint64_t lo,
	uint64_t hi)
{
	const uint64_t span = UINT64_C(1) << SHIFT * h;
	uint64_t a = (lo + span - 1) >> SHIFT * h, b = (hi + 1) >> SHIFT * h, at;

	if (a >= b)
		return DM_FREE_TREE_NONE;
	at = block_in_word(mask_at_least(node->order, SHIFT * h + 1), order - SHIFT * h, a, b - 1);
	return at != DM_FREE_TREE_NONE ? at << SHIFT * h : at;
}

static uint64_t
block(const struct dm_free_node *node, unsigned int h, unsigned int order, uint64_t lo, uint64_t hi)
{
	const uint64_t low = (UINT64_C(1) << SHIFT * h) - 1;
	unsigned int first = lo >> SHIFT * h, last = hi >> SHIFT * h, c;

	if (order >= SHIFT * h)
		return block_of_children(node, h, order, lo, hi);
	for (c = first; c <= last && (c = next_at_least(node->order, c, order + 1)) <= last; c++) {
		uint64_t a = c == first ? lo & low : 0, b = c == last ? hi & low : low, at;

		if (h == 1)
			at = block_in_word(node->bits[c], order, a, b);
		else if (node->child[c] == NULL)
			at = block_in_free(order, a, b);
		else
			at = block(node->child[c], h - 1, order, a, b);
		if (at != DM_FREE_TREE_NONE)
			return ((uint64_t)c << SHIFT * h) + at;
	}
	return DM_FREE_TREE_NONE;
}

uint64_t
dm_free_tree_block(const struct dm_free_tree *t, unsigned int order, uint64_t lo, uint64_t hi)
{
	if (order > DM_FREE_TREE_BITS || lo > hi)
		return DM_FREE_TREE_NONE;
	return block(t->root, TOP_HEIGHT, order, lo, hi);
}

/** A search for a run: what is wanted, and the free run that ends where the walk has come to. */
struct walk {
	uint64_t n, align, phase, lo, hi;
	unsigned int
		enter; /* a subtree whose order is lower can hold no whole run, only ends of it */
	uint64_t start, end; /* the run so far: [start, end) */
};

/** Pages [first, last] are free. @return true: found, at w->start */
static bool
extend(struct walk *w, uint64_t first, uint64_t last)
{
	uint64_t at;

	if (first < w->lo)
		first = w->lo;
	if (last > w->hi)
		last = w->hi;
	if (first > last)
		return false;
	if (first != w->end || w->start == w->end)
		w->start = first;
	w->end = last + 1;

	at = (w->start & ~(w->align - 1)) | w->phase;
	if (at < w->start)
		at += w->align;
	if (at > last || last - at < w->n - 1)
		return false;
	w->start = at;
	return true;
}

static bool
extend_word(struct walk *w, uint64_t base, uint64_t bits)
{
	while (bits != 0) {
		unsigned int a = __builtin_ctzll(bits);
		uint64_t rest = ~(bits >> a);
		unsigned int n = rest != 0 ? __builtin_ctzll(rest) : 64;

		if (extend(w, base + a, base + a + n - 1))
			return true;
		if (a + n == 64)
			break;
		bits &= UINT64_MAX << (a + n);
	}
	return false;
}

/** How many pages are free at the start of the node? */
static uint64_t
leading(const struct dm_free_node *node, unsigned int h)
{
	uint64_t n = 0;
	unsigned int c;

	for (c = 0; c < FANOUT && node->order[c] == SHIFT * h + 1; c++)
		n += UINT64_C(1) << SHIFT * h;
	if (c == FANOUT || node->order[c] == 0)
		return n;
	/* Neither all free nor all taken, so the word has a clear bit. */
	return n +
		(h == 1 ? (uint64_t)__builtin_ctzll(~node->bits[c])
			: leading(node->child[c], h - 1));
}

/** How many pages are free at the end of the node? */
static uint64_t
trailing(const struct dm_free_node *node, unsigned int h)
{
	uint64_t n = 0;
	unsigned int c;

	for (c = FANOUT; c > 0 && node->order[c - 1] == SHIFT * h + 1; c--)
		n += UINT64_C(1) << SHIFT * h;
	if (c == 0 || node->order[c - 1] == 0)
		return n;
	return n +
		(h == 1 ? (uint64_t)__builtin_clzll(~node->bits[c - 1])
			: trailing(node->child[c - 1], h - 1));
}

/** Only the ends of a subtree matter: no run that is long enough lies within it. */
static bool
walk_ends(
	struct walk *w, const struct dm_free_node *node, unsigned int h, uint64_t at, uint64_t last)
{
	uint64_t head = leading(node, h), tail = trailing(node, h);

	return (head > 0 && extend(w, at, at + head - 1)) ||
		(tail > 0 && extend(w, last - tail + 1, last));
}

static bool
walk(struct walk *w, const struct dm_free_node *node, unsigned int h, uint64_t base)
{
	const uint64_t low = (UINT64_C(1) << SHIFT * h) - 1;
	unsigned int c = w->lo > base ? (w->lo - base) >> SHIFT * h : 0;

	for (; c < FANOUT && (c = next_at_least(node->order, c, 1)) < FANOUT; c++) {
		uint64_t at = base + ((uint64_t)c << SHIFT * h), last = at + low;
		bool found;

		if (at > w->hi)
			break;
		if (node->order[c] == SHIFT * h + 1)
			found = extend(w, at, last);
		else if (h == 1)
			found = extend_word(w, at, node->bits[c]);
		else if (node->order[c] >= w->enter)
			found = walk(w, node->child[c], h - 1, at);
		else
			found = walk_ends(w, node->child[c], h - 1, at, last);
		if (found)
			return true;
	}
	return false;
}

/** The order below which a subtree cannot contain the run, as order[] has it. */
static unsigned int
least_order(uint64_t n, uint64_t align, uint64_t phase)
{
	unsigned int begins, holds = 0;

	/* A run whose largest aligned block is 2^m has at most 2^(m+2) - 2 pages. */
	while ((UINT64_C(4) << holds) - 2 < n)
		holds++;
	/* And at its start, which is aligned to some degree, lies such a block. */
	begins = __builtin_ctzll(phase != 0 ? phase : align);
	begins = RTE_MIN(begins, 63u - __builtin_clzll(n));
	return 1 + RTE_MAX(holds, begins);
}

uint64_t
dm_free_tree_run(const struct dm_free_tree *t, uint64_t n, uint64_t align, uint64_t phase,
	uint64_t lo, uint64_t hi)
{
	struct walk w = {n, align, phase, lo, hi, least_order(n, align, phase), 0, 0};

	if (lo > hi)
		return DM_FREE_TREE_NONE;
	return walk(&w, t->root, TOP_HEIGHT, 0) ? w.start : DM_FREE_TREE_NONE;
}
