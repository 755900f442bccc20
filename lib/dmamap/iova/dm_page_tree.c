/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The page tree: memory of its nodes, and changes of pages between free, live and unusable.
 *
 * Invariants: a child that is wholly free, or wholly in one live range, has no node. The planes of
 * a node give the size classes of its children, and `size` that of the node. A page of a live range
 * is not free; its start bit is set only if it is the first.
 *
 * Called by dm_iova.c through dm_page_tree.h. Searches are in dm_page_find.c.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dm_page_node.h"
#include "dm_util.h"

#define PAGE_SHIFT 12
#define SLAB_SMALL (UINT64_C(64) << 10)
/* Large trees use 2 MiB slabs: random access to 4 KiB pages runs out of TLB entries. */
#define SLAB_HUGE (UINT64_C(2) << 20)

struct slab {
	struct slab *next;
	struct dm_page_node node[] DM_CACHE_ALIGNED;
};

/** State to set. */
enum mark {
	MARK_FREE,
	MARK_LIVE, /* first page becomes the start of a range, the others MARK_HELD */
	MARK_HELD, /* neither free nor a start: unusable, or inside a live range */
};

/* Memory of nodes. */

static void
node_push(struct dm_page_tree *t, struct dm_page_node *node)
{
	node->next = t->pool;
	t->pool = node;
	t->n_spare++;
}

int
dm_page_tree_prepare(struct dm_page_tree *t, uint64_t nodes)
{
	while (DM_UNLIKELY(t->n_spare < nodes)) {
		uint64_t len = t->slab_len < SLAB_HUGE / 2 ? SLAB_SMALL : SLAB_HUGE;
		struct slab *slab = aligned_alloc(len == SLAB_HUGE ? len : DM_CACHE_LINE, len);

		if (slab == NULL)
			return -ENOMEM;
		if (len == SLAB_HUGE)
			/* a hint; a failure only costs TLB misses */
			madvise(slab, len, MADV_HUGEPAGE);
		slab->next = t->slabs;
		t->slabs = slab;
		t->slab_len += len;
		for (; t->fresh != t->fresh_end; t->n_spare--)
			node_push(t, t->fresh++);
		t->fresh = slab->node;
		t->fresh_end = slab->node + (len - sizeof(*slab)) / sizeof(slab->node[0]);
		t->n_spare += t->fresh_end - t->fresh;
	}
	return 0;
}

/** Initialise a spare node whose pages are all free, or all not free. The caller has prepared it.
 */
static struct dm_page_node *
node_new(struct dm_page_tree *t, unsigned int h, bool free)
{
	struct dm_page_node *node = t->pool;
	unsigned int k;

	t->n_spare--;
	if (node != NULL)
		t->pool = node->next;
	else
		node = t->fresh++;
	node->detail = 0;
	node->start = 0;
	node->size = free ? FULL(h + 1) : 0;
	for (k = 0; k < FULL(h); k++)
		node->plane[k] = free ? UINT64_MAX : 0;
	return node;
}

static void
node_free(struct dm_page_tree *t, struct dm_page_node *node, unsigned int h)
{
	unsigned int c;

	for (c = 0; h > 1 && c < FANOUT; c++)
		if (has_bit(node->detail, c))
			node_free(t, node->child[c], h - 1);
	node_push(t, node);
}

int
dm_page_tree_init(struct dm_page_tree *t, const struct dm_range_set *usable)
{
	int rc;

	*t = (struct dm_page_tree){.height = 1, .last = low_mask(2), .usable = usable};
	rc = dm_page_tree_prepare(t, 1);
	if (rc == 0)
		t->root = node_new(t, t->height, false);
	return rc;
}

void
dm_page_tree_fini(struct dm_page_tree *t)
{
	struct slab *slab = t->slabs;

	while (slab != NULL) {
		struct slab *next = slab->next;

		free(slab);
		slab = next;
	}
	*t = (struct dm_page_tree){0};
}

/* Size classes. */

/** Recompute the size class of a node after one or more children changed. */
static void
node_measure(struct dm_page_node *node, unsigned int h)
{
	uint64_t full = full_children(node, h);
	unsigned int size = FULL(h) - 1;

	if (full != 0) {
		node->size = FULL(h) + largest_group(full);
		return;
	}
	while (size > 0 && node->plane[size - 1] == 0)
		size--;
	node->size = size;
}

/** Change the size class of child c from `was` to `is`. */
static inline void
node_resize_child(struct dm_page_node *node, unsigned int h, unsigned int c, unsigned int was,
	unsigned int is)
{
	const uint64_t bit = UINT64_C(1) << c;
	unsigned int k;

	for (k = was; k < is; k++)
		node->plane[k] |= bit;
	for (k = is; k < was; k++)
		node->plane[k] &= ~bit;
	/* Fast path: the class of the node usually follows from this child alone. */
	if (was < FULL(h) && is < FULL(h)) {
		if (node->size >= FULL(h) || (was < node->size && is < node->size))
			return;
		if (is >= node->size) {
			node->size = is;
			return;
		}
	}
	node_measure(node, h);
}

/**
 * Update a node after its child c changed. The size class of the child was `was`. A child that
 * became wholly free loses its node.
 */
static inline void
node_child_changed(struct dm_page_tree *t, struct dm_page_node *node, unsigned int h,
	unsigned int c, unsigned int was)
{
	unsigned int is = node->child[c]->size;

	if (is == FULL(h)) {
		node_push(t, node->child[c]);
		node->detail &= ~(UINT64_C(1) << c);
	}
	if (is != was)
		node_resize_child(node, h, c, was, is);
}

/* Marking. Only the low bits of a page number, those within the node, matter here. */

static unsigned int
word_size(uint64_t free)
{
	return free != 0 ? 1 + largest_group(free) : 0;
}

/** Mark the pages `bits` of word c. */
static inline void
node_mark_word(struct dm_page_node *node, unsigned int c, uint64_t bits, enum mark as)
{
	struct dm_page_word *w = &node->word[c % DM_DIM(node->word)];
	unsigned int was, is;

	if (!has_bit(node->detail, c)) {
		w->free = has_bit(full_children(node, 1), c) ? UINT64_MAX : 0;
		w->start = 0;
		node->detail |= UINT64_C(1) << c;
	}
	was = word_size(w->free);
	if (as == MARK_FREE) {
		w->free |= bits;
		w->start &= ~bits;
		if (w->free == UINT64_MAX)
			node->detail &= ~(UINT64_C(1) << c);
	} else {
		w->free &= ~bits;
		w->start |= as == MARK_LIVE ? bits & -bits : 0;
	}
	is = word_size(w->free);
	if (is != was)
		node_resize_child(node, 1, c, was, is);
}

/** Mark whole children. */
static void
node_mark_children(struct dm_page_tree *t, struct dm_page_node *node, unsigned int h,
	uint64_t children, enum mark as)
{
	uint64_t old = node->detail & children;
	unsigned int k;

	/*
	 * Free children and children in one live range have no nodes, so only pages that become
	 * usable have any.
	 */
	for (node->detail &= ~children; DM_UNLIKELY(old != 0 && h > 1); old &= old - 1)
		node_free(t, node->child[__builtin_ctzll(old)], h - 1);
	if (as == MARK_FREE) {
		for (k = 0; k < FULL(h); k++)
			node->plane[k] |= children;
		node->start &= ~children;
	} else {
		for (k = 0; k < FULL(h); k++)
			node->plane[k] &= ~children;
		node->start |= as == MARK_LIVE ? children & -children : 0;
	}
	node_measure(node, h);
}

static void node_mark(struct dm_page_tree *t, struct dm_page_node *node, unsigned int h,
	uint64_t first, uint64_t last, enum mark as);

/** Mark pages [first, last] of child c. */
static void
node_mark_part(struct dm_page_tree *t, struct dm_page_node *node, unsigned int h, unsigned int c,
	uint64_t first, uint64_t last, enum mark as)
{
	unsigned int was;

	if (h == 1) {
		node_mark_word(node, c, bit_range(first, last), as);
		return;
	}
	if (!has_bit(node->detail, c)) {
		node->child[c] = node_new(t, h - 1, has_bit(full_children(node, h), c));
		node->detail |= UINT64_C(1) << c;
	}
	was = node->child[c]->size;
	node_mark(t, node->child[c], h - 1, first, last, as);
	node_child_changed(t, node, h, c, was);
}

/** Mark [first, last]: the tail of one child, whole children, and the head of another. */
static void
node_mark(struct dm_page_tree *t, struct dm_page_node *node, unsigned int h, uint64_t first,
	uint64_t last, enum mark as)
{
	unsigned int c = child_of(first, h), end = child_of(last, h);
	const uint64_t low = low_mask(h);
	enum mark more = as == MARK_LIVE ? MARK_HELD : as;

	first &= low;
	last &= low;
	if (c == end && (first != 0 || last != low)) {
		node_mark_part(t, node, h, c, first, last, as);
		return;
	}
	if (first != 0) {
		node_mark_part(t, node, h, c++, first, low, as);
		as = more;
	}
	if (last == low)
		end++;
	if (c < end) {
		node_mark_children(t, node, h, bit_range(c, end - 1), as);
		as = more;
	}
	if (last != low)
		node_mark_part(t, node, h, end, 0, last, as);
}

/** The nodes from the root to a page, by height. */
struct path {
	struct dm_page_node *node[TOP_HEIGHT + 1];
};

/** Descend while a single node covers [first, last]. @return the height of the last node */
static inline unsigned int
tree_descend(const struct dm_page_tree *t, uint64_t first, uint64_t last, struct path *p)
{
	struct dm_page_node *node = t->root;
	unsigned int h = t->height;

	for (p->node[h] = node; h > 1 && (first ^ last) >> SHIFT * h == 0; p->node[h] = node) {
		unsigned int c = child_of(first, h);

		if (!has_bit(node->detail, c))
			break;
		node = node->child[c];
		h--;
	}
	return h;
}

/**
 * Mark [first, last] in the node of height h at the end of a path, and update the nodes above it.
 */
static inline void
tree_mark_below(struct dm_page_tree *t, const struct path *p, unsigned int h, uint64_t first,
	uint64_t last, enum mark as)
{
	unsigned int was = p->node[h]->size, before;

	t->n_free += as == MARK_FREE ? last - first + 1 : -(last - first + 1);
	if (h == 1 && (first ^ last) < FANOUT && (first ^ last) + 1 != FANOUT)
		node_mark_word(p->node[1], child_of(first, 1),
			bit_range(first & (FANOUT - 1), last & (FANOUT - 1)), as);
	else
		node_mark(t, p->node[h], h, first, last, as);
	for (; h < t->height && p->node[h]->size != was; h++, was = before) {
		before = p->node[h + 1]->size;
		node_child_changed(t, p->node[h + 1], h + 1, child_of(first, h + 1), was);
	}
}

void
dm_page_tree_mark(struct dm_page_tree *t, uint64_t first, uint64_t last, bool free)
{
	struct path p;
	unsigned int h = tree_descend(t, first, last, &p);

	tree_mark_below(t, &p, h, first, last, free ? MARK_FREE : MARK_HELD);
}

void
dm_page_tree_cover(struct dm_page_tree *t, uint64_t last)
{
	while (t->last < last) {
		struct dm_page_node *below = t->root;

		t->height++;
		t->root = node_new(t, t->height, false);
		t->root->child[0] = below;
		t->root->detail = 1;
		node_child_changed(t, t->root, t->height, 0, 0);
		t->last = low_mask(t->height + 1);
	}
}

/* Live ranges. */

static bool
node_is_free(const struct dm_page_node *node, unsigned int h, uint64_t first, uint64_t last)
{
	unsigned int begin = child_of(first, h), end = child_of(last, h);
	uint64_t mask = bit_range(begin, end) & ~full_children(node, h);
	const uint64_t low = low_mask(h);

	for (; mask != 0; mask &= mask - 1) {
		unsigned int c = __builtin_ctzll(mask);
		uint64_t a = c == begin ? first & low : 0, b = c == end ? last & low : low;

		if (!has_bit(node->detail, c))
			return false;
		if (h == 1 ? (~node->word[c].free & bit_range(a, b)) != 0
			   : !node_is_free(node->child[c], h - 1, a, b))
			return false;
	}
	return true;
}

bool
dm_page_tree_is_free(const struct dm_page_tree *t, uint64_t first, uint64_t last)
{
	return last <= t->last && node_is_free(t->root, t->height, first, last);
}

bool
dm_page_tree_reserve(struct dm_page_tree *t, uint64_t first, uint64_t last)
{
	struct path p;
	unsigned int h;

	if (last > t->last)
		return false;
	h = tree_descend(t, first, last, &p);
	if (!node_is_free(p.node[h], h, first, last))
		return false;
	tree_mark_below(t, &p, h, first, last, MARK_LIVE);
	return true;
}

/** Whether a live range starts with this page. */
static inline bool
node_is_start(const struct dm_page_node *node, unsigned int h, uint64_t page)
{
	for (;; h--) {
		unsigned int c = child_of(page, h);

		if (!has_bit(node->detail, c))
			return has_bit(node->start, c) && (page & low_mask(h)) == 0;
		if (h == 1)
			return has_bit(node->word[c].start, page & (FANOUT - 1));
		node = node->child[c];
	}
}

/**
 * Find the first page in [from, to] that starts a live range or, with `free` set, is free. Pages
 * are counted from the start of the node. @return DM_PAGE_NONE: none
 */
static uint64_t
node_next_border(
	const struct dm_page_node *node, unsigned int h, uint64_t from, uint64_t to, bool free)
{
	unsigned int begin = child_of(from, h), end = child_of(to, h);
	uint64_t full = free ? full_children(node, h) : 0;
	uint64_t mask = (node->detail | node->start | full) & bit_range(begin, end);
	const uint64_t low = low_mask(h);

	for (; mask != 0; mask &= mask - 1) {
		unsigned int c = __builtin_ctzll(mask);
		uint64_t a = c == begin ? from & low : 0, b = c == end ? to & low : low;
		uint64_t at = DM_PAGE_NONE, bits;

		if (!has_bit(node->detail, c)) {
			if (a == 0 || has_bit(full, c))
				at = a;
		} else if (h > 1) {
			at = node_next_border(node->child[c], h - 1, a, b, free);
		} else {
			bits = node->word[c].start | (free ? node->word[c].free : 0);
			bits &= bit_range(a, b);
			if (bits != 0)
				at = __builtin_ctzll(bits);
		}
		if (at != DM_PAGE_NONE)
			return ((uint64_t)c << SHIFT * h) + at;
	}
	return DM_PAGE_NONE;
}

/** The last page of the usable range that contains a page. */
static uint64_t
tree_usable_end(const struct dm_page_tree *t, uint64_t page)
{
	struct dmamap_range at = {page << PAGE_SHIFT, page << PAGE_SHIFT}, usable = {0};

	dm_range_set_overlaps(t->usable, at, &usable);
	return usable.last >> PAGE_SHIFT;
}

/**
 * Whether the live range that starts with page `first` ends with page `last`. node, of height h, is
 * the end of the path to both.
 */
static bool
tree_range_ends_with(const struct dm_page_tree *t, const struct dm_page_node *node, unsigned int h,
	uint64_t first, uint64_t last)
{
	const uint64_t low = low_mask(h + 1);
	uint64_t at = DM_PAGE_NONE, to = DM_MIN(last + 1, t->last);

	/* Fast path: a single page whose neighbour is in the same word. */
	if (first == last && h == 1 && (last & (FANOUT - 1)) != FANOUT - 1 &&
		has_bit(node->detail, child_of(first, 1))) {
		const struct dm_page_word *w = &node->word[child_of(first, 1)];

		if (has_bit(w->start | w->free, (last & (FANOUT - 1)) + 1))
			return true;
	}
	/*
	 * Unusable pages have no borders, so a length that reaches across them would match a later
	 * one.
	 */
	if (first < last && last > tree_usable_end(t, first))
		return false;
	if (DM_LIKELY((last & low) != low)) {
		at = node_next_border(node, h, (first & low) + 1, (last & low) + 1, true);
		if (DM_LIKELY(at != DM_PAGE_NONE))
			return at == (last & low) + 1;
	} else if (first < to) {
		at = node_next_border(t->root, t->height, first + 1, to, true);
		if (at != DM_PAGE_NONE)
			return at == last + 1;
	}
	return last == tree_usable_end(t, first);
}

int
dm_page_tree_release(struct dm_page_tree *t, uint64_t first, uint64_t n)
{
	uint64_t last = first + (n - 1);
	struct path p;
	unsigned int h;

	if (DM_UNLIKELY(first > t->last))
		return -ENOENT;
	if (DM_UNLIKELY(n - 1 > t->last - first))
		return node_is_start(t->root, t->height, first) ? -EINVAL : -ENOENT;
	h = tree_descend(t, first, last, &p);
	if (DM_UNLIKELY(!node_is_start(p.node[h], h, first)))
		return -ENOENT;
	if (DM_UNLIKELY(!tree_range_ends_with(t, p.node[h], h, first, last)))
		return -EINVAL;
	tree_mark_below(t, &p, h, first, last, MARK_FREE);
	return 0;
}

bool
dm_page_tree_next_live(const struct dm_page_tree *t, uint64_t from, uint64_t *first, uint64_t *last)
{
	uint64_t end = DM_PAGE_NONE;

	*first = DM_PAGE_NONE;
	if (from <= t->last)
		*first = node_next_border(t->root, t->height, from, t->last, false);
	if (*first == DM_PAGE_NONE)
		return false;
	if (*first < t->last)
		end = node_next_border(t->root, t->height, *first + 1, t->last, true);
	*last = DM_MIN(end - 1, tree_usable_end(t, *first));
	return true;
}

void
dm_page_tree_prefetch(const struct dm_page_tree *t, uint64_t first, uint64_t last)
{
	const struct dm_page_node *node;
	struct path p;
	unsigned int h;

	if (first > t->last)
		return;
	h = tree_descend(t, first, last, &p);
	node = p.node[h];
	__builtin_prefetch(node, 1);
	if (h == 1)
		__builtin_prefetch(&node->word[child_of(first, 1)], 1);
}
