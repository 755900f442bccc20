/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which IOVAs are free? The allocator of one address space.
 *
 * Three layers. A radix tree knows every free page and finds the lowest aligned block that fits
 * (dm_free_tree.h). A hash table knows each range that has left the tree (dm_live.h). And each
 * thread keeps magazines of free ranges, one for each class of lengths, which are still in the
 * table, so that taking and giving back such a range touches one line of the table and nothing that
 * others write (dm_cache.h). Everything but the magazines of a thread is guarded by one lock.
 *
 * Ranges that leave the tree for a magazine have the greatest length of their class; who takes one
 * and asked for less has some padding behind it. What is neither live nor reserved can be taken all
 * the same: before a take is refused, magazines are emptied into the tree, and so are the paddings.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dm_cache.h"
#include "dm_free_tree.h"
#include "dm_iova.h"
#include "dm_live.h"

#define PAGE_SHIFT 12
#define LOW_END (UINT64_C(1) << 32) /* below: kept for devices with 32 bits */
#define SMALL_PAGES (UINT64_C(1) << (39 - PAGE_SHIFT))
#define REFILL 16u /* ranges at a time from the tree into a magazine */
#define DEPOT_MAGS 16 /* full magazines that a depot keeps for each class */
#define DEFAULT_PAGE_SIZES (UINT64_C(1) << 12 | UINT64_C(1) << 21 | UINT64_C(1) << 30)

struct dm_iova_space {
	/* Read by every operation; written only while the gate is shut. */
	struct dm_gate gate;
	struct dm_live_table live;
	uint64_t floor; /* ranges below are not cached: LOW_END, or 0 if there is nothing above */
	bool small; /* 39 bits or less: packed tightly from the start, without padding */
	uint8_t cap[DM_LIVE_CLASSES]; /* ranges of each class in a magazine; 0: class not cached */

	pthread_mutex_t lock __rte_cache_aligned; /* all below */
	struct dm_free_tree free;
	struct dm_range_set usable; /* whole pages */
	uint64_t usable_pages;
	uint64_t page_sizes;
	bool tight; /* less than a quarter is free: magazines would only scatter it */
	bool padded; /* there may be ranges with padding */
	uint64_t ops; /* takes and gives that went past the caches */
	struct {
		struct dm_mag *full, *empty;
		unsigned int n_full;
	} depot[DM_LIVE_CLASSES];
	struct {
		struct dmamap_range *r; /* all live ranges, sorted, as of `ops` */
		uint64_t n, ops;
	} walk;
};

/* Magazines and their ranges; the gate is shut, or the cache is the caller's own. */

/** Entry i goes back to the tree. */
static void
entry_free(struct dm_iova_space *s, uint64_t i, uint64_t word)
{
	uint64_t first = dm_live_iova(word) >> PAGE_SHIFT,
		 len = dm_live_padded_len(&s->live, i, word);

	dm_live_remove(&s->live, i);
	dm_free_tree_mark(&s->free, first, first + (len >> PAGE_SHIFT) - 1, true);
}

static void
mag_flush(struct dm_iova_space *s, struct dm_mag *m)
{
	while (m->n > 0) {
		m->n--;
		entry_free(s, m->slot[m->n].index, m->slot[m->n].word);
	}
}

/** Call fn for every magazine of the space; the gate is shut. */
static void
for_each_mag(struct dm_iova_space *s, void (*fn)(struct dm_iova_space *s, struct dm_mag *m))
{
	unsigned int i, k;
	struct dm_mag *m;

	for (k = 0; k < DM_LIVE_CLASSES; k++) {
		for (i = 0; i < DM_CACHE_THREADS; i++) {
			if (s->gate.cache[i] == NULL)
				continue;
			if (s->gate.cache[i]->mag[k][0] != NULL)
				fn(s, s->gate.cache[i]->mag[k][0]);
			if (s->gate.cache[i]->mag[k][1] != NULL)
				fn(s, s->gate.cache[i]->mag[k][1]);
		}
		for (m = s->depot[k].full; m != NULL; m = m->next)
			fn(s, m);
	}
}

/** All magazines into the tree; the gate is shut. */
static void
drain(struct dm_iova_space *s)
{
	unsigned int k;

	for_each_mag(s, mag_flush);
	for (k = 0; k < DM_LIVE_CLASSES; k++) {
		while (s->depot[k].full != NULL) {
			struct dm_mag *m = s->depot[k].full;

			s->depot[k].full = m->next;
			m->next = s->depot[k].empty;
			s->depot[k].empty = m;
		}
		s->depot[k].n_full = 0;
	}
}

static void
shut_and_drain(struct dm_iova_space *s)
{
	dm_gate_shut(&s->gate);
	drain(s);
	dm_gate_open(&s->gate);
}

/** The padding of entry i goes back to the tree; the gate is shut. @return 0 or -ENOMEM */
static int
unpad(struct dm_iova_space *s, uint64_t i, uint64_t word)
{
	uint64_t len = dm_live_len(&s->live, i, word),
		 padded = dm_live_padded_len(&s->live, i, word);
	uint64_t first = dm_live_iova(word) >> PAGE_SHIFT;
	int rc;

	if (len == padded)
		return 0;
	rc = dm_free_tree_reserve(&s->free, DM_FREE_TREE_MARK_NODES);
	if (rc < 0)
		return rc;
	dm_live_unpad(&s->live, i, word);
	dm_free_tree_mark(
		&s->free, first + (len >> PAGE_SHIFT), first + (padded >> PAGE_SHIFT) - 1, true);
	return 0;
}

/**
 * Paddings that are not wholly in a set (NULL: all) go back to the tree; the gate is shut,
 * magazines are empty.
 * @return 0 or -ENOMEM
 */
static int
unpad_all(struct dm_iova_space *s, const struct dm_range_set *but)
{
	uint64_t i;
	int rc = 0;

	for (i = 0; i <= s->live.mask && s->padded && rc == 0; i++) {
		uint64_t word = s->live.word[i], start = dm_live_iova(word);

		if ((word & DM_LIVE_ENTRY) == 0)
			continue;
		if (but == NULL ||
			!dm_range_set_contains(but,
				(struct dmamap_range){start,
					start + (dm_live_padded_len(&s->live, i, word) - 1)}))
			rc = unpad(s, i, word);
	}
	if (rc == 0 && but == NULL)
		s->padded = !s->small && !s->tight;
	return rc;
}

/** The last resort: whatever is not live goes to the tree. @return 0 or -ENOMEM */
static int
unpad_now(struct dm_iova_space *s)
{
	int rc;

	dm_gate_shut(&s->gate);
	drain(s);
	rc = unpad_all(s, NULL);
	dm_gate_open(&s->gate);
	return rc;
}

/**
 * How many ranges of each class a magazine holds, so that caches keep a small part of the space.
 * Where space is scarce, there are no classes whose ranges may have padding.
 */
static void
set_caps(struct dm_iova_space *s)
{
	uint64_t share = s->tight ? 0 : s->usable_pages >> (s->small ? 13 : 10);
	unsigned int k;

	s->padded |= !s->small && !s->tight;
	for (k = 0; k < DM_LIVE_CLASSES; k++) {
		uint64_t pages = dm_live_class_pages(k), mine = share;

		if (k >= DM_LIVE_SHORT && (pages & (pages - 1)) != 0)
			mine = s->small ? 0 : share >> DM_LIVE_STEP_BITS;
		s->cap[k] = RTE_MIN(mine / pages, dm_cache_rounds(k));
	}
}

/** Less than a quarter free: no caches; more than three eighths: caches again. */
static void
note_tightness(struct dm_iova_space *s)
{
	bool tight = s->tight ? s->free.n_free <= s->usable_pages / 8 * 3
			      : s->free.n_free < s->usable_pages / 4;

	if (likely(tight == s->tight))
		return;
	dm_gate_shut(&s->gate);
	drain(s);
	s->tight = tight;
	set_caps(s);
	dm_gate_open(&s->gate);
}

/** Slots know their entry's place in the table: tell them the new one. */
static void
mag_relocate(struct dm_iova_space *s, struct dm_mag *m)
{
	uint64_t i, word;

	for (i = 0; i < m->n; i++)
		m->slot[i].index = dm_live_find_start(&s->live, dm_live_iova(m->slot[i].word),
			dm_live_len(&s->live, 0, m->slot[i].word) >> PAGE_SHIFT, &word);
}

/** Memory for `n` ranges that are to leave the tree. The caller is not in its cache. */
static int
make_room(struct dm_iova_space *s, uint64_t n)
{
	struct dm_live_table old;
	int rc = dm_free_tree_reserve(&s->free, n * DM_FREE_TREE_MARK_NODES);

	if (rc < 0 || likely(!dm_live_is_full(&s->live, n)))
		return rc;
	dm_gate_shut(&s->gate);
	old = s->live;
	rc = dm_live_rebuild(&s->live, &old, n);
	if (rc == 0) {
		for_each_mag(s, mag_relocate);
		dm_live_fini(&old);
	} else {
		s->live = old;
	}
	dm_gate_open(&s->gate);
	return rc;
}

/* Places in the tree. Lengths and addresses are in pages from here. */

/** What is asked for. */
struct want {
	uint64_t n, align, phase;
	uint64_t lo, hi;
};

/** The largest page class of the IOMMU that n pages fill. */
static uint64_t
page_class(const struct dm_iova_space *s, uint64_t n)
{
	unsigned int order = 63 - __builtin_clzll(n);
	uint64_t fit = s->page_sizes >> PAGE_SHIFT & (UINT64_MAX >> (63 - order));

	return fit != 0 ? UINT64_C(1) << (63 - __builtin_clzll(fit)) : 1;
}

/** The lowest run that holds it: by far the densest way, but one that may have to look around. */
static uint64_t
find_run(const struct dm_iova_space *s, const struct want *w, uint64_t lo, uint64_t hi)
{
	uint64_t class = page_class(s, w->n), at = DM_FREE_TREE_NONE;

	if (w->phase == 0 && class > w->align)
		at = dm_free_tree_run(&s->free, w->n, class, 0, lo, hi);
	if (at == DM_FREE_TREE_NONE)
		at = dm_free_tree_run(&s->free, w->n, w->align, w->phase, lo, hi);
	return at;
}

/** The lowest aligned block that holds it, else the lowest run that does. */
static uint64_t
find_in(const struct dm_iova_space *s, const struct want *w, uint64_t lo, uint64_t hi)
{
	unsigned int order = dm_live_order(RTE_MAX(w->align, w->phase + w->n));
	uint64_t at;

	if (s->small || s->tight)
		return find_run(s, w, lo, hi);
	at = dm_free_tree_block(&s->free, order, lo, hi);
	if (at != DM_FREE_TREE_NONE)
		return at + w->phase;
	/* A run that is aligned to its length would have been such a block. */
	if (w->align == w->n && w->phase == 0)
		return at;
	return find_run(s, w, lo, hi);
}

/** A place above 4 GiB if there is one, else below, else across. A tight space keeps nothing apart.
 */
static uint64_t
find(const struct dm_iova_space *s, const struct want *w)
{
	uint64_t floor = s->tight ? 0 : s->floor >> PAGE_SHIFT, at = DM_FREE_TREE_NONE;

	if (w->hi >= floor)
		at = find_in(s, w, RTE_MAX(w->lo, floor), w->hi);
	if (at == DM_FREE_TREE_NONE && w->lo < floor)
		at = find_in(s, w, w->lo, RTE_MIN(w->hi, floor - 1));
	if (at == DM_FREE_TREE_NONE && w->lo < floor && w->hi >= floor)
		at = find_in(s, w, w->lo, w->hi);
	return at;
}

/**
 * Take [first, first + room - 1], which is free, out of the tree for a range of n pages. @return
 * its entry
 * @param room  n, or the pages of its class
 */
static uint64_t
carve(struct dm_iova_space *s, uint64_t first, uint64_t n, uint64_t room, bool live)
{
	dm_free_tree_mark(&s->free, first, first + room - 1, false);
	return dm_live_add(
		&s->live, dm_live_word(first << PAGE_SHIFT, n, room > n, live), n << PAGE_SHIFT);
}

/** Can a range of such a shape go into a magazine? */
static inline bool
cacheable(const struct dm_iova_space *s, const struct dm_live_shape *shape, rte_iova_t iova)
{
	return (iova & (shape->align - 1)) == 0 && iova >= s->floor &&
		shape->class < DM_LIVE_CLASSES && s->cap[shape->class] != 0;
}

/** May a range of so many pages be one that has all pages of its class? */
static inline bool
may_pad(const struct dm_iova_space *s, const struct dm_live_shape *shape, uint64_t pages)
{
	return likely(!s->small) || dm_live_class_pages(shape->class) == pages;
}

/* Slow paths: the lock is held. */

/** A full magazine of the depot, best one that this thread filled: the ranges in it are in its
 * caches. */
static struct dm_mag *
depot_get(struct dm_iova_space *s, unsigned int class, int32_t thread)
{
	struct dm_mag **link = &s->depot[class].full, *m;

	while (*link != NULL && (*link)->thread != thread)
		link = &(*link)->next;
	if (*link == NULL)
		link = &s->depot[class].full;
	m = *link;
	if (m != NULL) {
		*link = m->next;
		s->depot[class].n_full--;
	}
	return m;
}

/** Load a magazine of the caller's cache, from the depot or the tree. */
static void
refill(struct dm_iova_space *s, struct dm_cache *c, const struct dm_live_shape *shape,
	const struct want *w)
{
	struct dm_mag *m = c->mag[shape->class][0], *full = depot_get(s, shape->class, c->thread);
	unsigned int n = RTE_MIN((s->cap[shape->class] + 1u) / 2, REFILL);
	struct want most = *w;

	if (full != NULL) {
		c->mag[shape->class][0] = full;
		m->next = s->depot[shape->class].empty;
		s->depot[shape->class].empty = m;
		return;
	}
	most.n = dm_live_class_pages(shape->class);
	while (m->n < n) {
		uint64_t at = find(s, &most);

		if (at == DM_FREE_TREE_NONE || !cacheable(s, shape, at << PAGE_SHIFT))
			break;
		m->slot[m->n].word = dm_live_word(at << PAGE_SHIFT, w->n, true, false);
		m->slot[m->n].index = carve(s, at, w->n, most.n, false);
		m->n++;
	}
	/* The lowest comes out first. */
	for (n = 0; n < m->n / 2; n++)
		RTE_SWAP(m->slot[n], m->slot[m->n - 1 - n]);
}

/** Take from the cache's magazine. The caller is in its cache. */
static inline bool
take_cached(struct dm_iova_space *s, struct dm_cache *c, const struct dm_live_shape *shape,
	uint64_t len, struct dmamap_range within, rte_iova_t *iova)
{
	struct dm_mag *m = dm_cache_loaded(c, shape->class);
	struct dm_cache_slot *slot;
	uint64_t at;

	if (unlikely(m == NULL))
		return false;
	slot = &m->slot[m->n - 1];
	at = slot->word & -shape->align;
	if (unlikely(at < within.start || at + (len - 1) > within.last))
		return false;
	m->n--;
	dm_live_begin(&s->live, slot->index, slot->word, at | shape->key);
	/* The next one has lain there for a while. */
	if (likely(m->n > 0))
		dm_live_prefetch(&s->live, slot[-1].index);
	dm_cache_count(c);
	*iova = at;
	return true;
}

/** Is all that is usable in reach of a take? */
static bool
reaches_all(const struct dm_iova_space *s, const struct want *w)
{
	return s->usable.n > 0 && w->lo <= s->usable.r[0].start >> PAGE_SHIFT &&
		w->hi >= s->usable.r[s->usable.n - 1].last >> PAGE_SHIFT;
}

static bool
take_refilled(struct dm_iova_space *s, const struct dm_live_shape *shape, const struct want *w,
	rte_iova_t *iova)
{
	struct dm_cache *c;
	bool taken;

	if (shape->class >= DM_LIVE_CLASSES || s->cap[shape->class] == 0 ||
		!may_pad(s, shape, w->n) || !reaches_all(s, w))
		return false;
	c = dm_gate_my_cache(&s->gate);
	if (c == NULL || !dm_cache_equip(c, shape->class) || make_room(s, REFILL) < 0)
		return false;
	dm_cache_enter(&s->gate, c); /* the gate is open: only who holds the lock shuts it */
	if (dm_cache_loaded(c, shape->class) == NULL)
		refill(s, c, shape, w);
	taken = take_cached(s, c, shape, w->n << PAGE_SHIFT, DMAMAP_ANYWHERE, iova);
	dm_cache_leave(c);
	return taken;
}

/** When no place is free: look again with empty magazines, then without paddings. */
static int
find_more(struct dm_iova_space *s, const struct want *w, uint64_t *at)
{
	int rc;

	shut_and_drain(s);
	*at = find(s, w);
	if (*at != DM_FREE_TREE_NONE || !s->padded)
		return 0;
	rc = unpad_now(s);
	if (rc == 0)
		rc = make_room(s, 1);
	*at = find(s, w);
	return rc;
}

static int
take_slowly(struct dm_iova_space *s, const struct dm_live_shape *shape, const struct want *w,
	rte_iova_t *iova)
{
	uint64_t at;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (take_refilled(s, shape, w, iova))
		goto out;
	rc = make_room(s, 1);
	if (rc < 0)
		goto out;
	at = find(s, w);
	if (at == DM_FREE_TREE_NONE)
		rc = find_more(s, w, &at);
	if (rc == 0 && at == DM_FREE_TREE_NONE)
		rc = -ENOSPC;
	if (rc < 0)
		goto out;
	carve(s, at, w->n, w->n, true);
	s->ops++;
	*iova = at << PAGE_SHIFT;
out:
	note_tightness(s);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/** Make room in a magazine: swap a full one against an empty one, or send its ranges to the tree.
 */
static struct dm_mag *
unload(struct dm_iova_space *s, struct dm_cache *c, unsigned int class)
{
	struct dm_mag *m = dm_cache_roomy(c, class, s->cap[class]), *empty;

	if (m != NULL)
		return m;
	m = c->mag[class][0];
	if (s->cap[class] == dm_cache_rounds(class) && s->depot[class].n_full < DEPOT_MAGS) {
		empty = s->depot[class].empty;
		if (empty != NULL)
			s->depot[class].empty = empty->next;
		else
			empty = dm_mag_new(class);
		if (empty != NULL) {
			m->next = s->depot[class].full;
			m->thread = c->thread;
			s->depot[class].full = m;
			s->depot[class].n_full++;
			c->mag[class][0] = empty;
			return empty;
		}
	}
	mag_flush(s, m);
	return m;
}

static int
give_slowly(struct dm_iova_space *s, rte_iova_t iova, uint64_t len)
{
	struct dm_cache *c = NULL;
	struct dm_live_shape shape;
	uint64_t i, word;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	i = dm_live_find_start(&s->live, iova, len >> PAGE_SHIFT, &word);
	if (i == DM_LIVE_NONE || (word & DM_LIVE_LIVE) == 0)
		rc = -ENOENT;
	else if (dm_live_len(&s->live, i, word) != len)
		rc = -EINVAL;
	else if (!dm_live_end(&s->live, i, word))
		rc = -ENOENT;
	if (rc < 0)
		goto out;

	word &= ~DM_LIVE_LIVE;
	shape = dm_live_shape(len >> PAGE_SHIFT);
	if (dm_live_kind(word) != DM_LIVE_KIND_OTHER && cacheable(s, &shape, iova))
		c = dm_gate_my_cache(&s->gate);
	if (c != NULL && dm_cache_equip(c, shape.class)) {
		struct dm_mag *m;

		dm_cache_enter(&s->gate, c);
		m = unload(s, c, shape.class);
		m->slot[m->n++] = (struct dm_cache_slot){word, i};
		dm_cache_leave(c);
	} else {
		entry_free(s, i, word);
	}
	s->ops++;
	note_tightness(s);
out:
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* The face. */

int
dm_iova_take(struct dm_iova_space *s, uint64_t len, uint64_t align, uint64_t phase,
	struct dmamap_range within, rte_iova_t *iova)
{
	struct dm_live_shape shape;
	struct dm_cache *c;
	struct want w;

	if (unlikely(((len | align | phase) & (DM_IOVA_GRANULE - 1)) != 0 || len == 0 ||
		    align == 0 || (align & (align - 1)) != 0 || phase >= align ||
		    within.last < within.start))
		return -EINVAL;

	shape = dm_live_shape(len >> PAGE_SHIFT);
	if (unlikely(align > shape.align || phase != 0))
		shape.class = DM_LIVE_CLASS_NONE;
	if (likely(shape.class < DM_LIVE_CLASSES)) {
		c = dm_gate_enter(&s->gate);
		if (likely(c != NULL)) {
			bool taken = likely(may_pad(s, &shape, len >> PAGE_SHIFT)) &&
				take_cached(s, c, &shape, len, within, iova);

			dm_cache_leave(c);
			if (likely(taken))
				return 0;
		}
	}

	w = (struct want){
		.n = len >> PAGE_SHIFT,
		.align = align >> PAGE_SHIFT,
		.phase = phase >> PAGE_SHIFT,
		.lo = (within.start >> PAGE_SHIFT) + ((within.start & (DM_IOVA_GRANULE - 1)) != 0),
		/* The last page counts only if all of it is within. */
		.hi = (within.last >> PAGE_SHIFT),
	};
	if ((within.last & (DM_IOVA_GRANULE - 1)) != DM_IOVA_GRANULE - 1) {
		if (w.hi == 0)
			return -ENOSPC;
		w.hi--;
	}
	return take_slowly(s, &shape, &w, iova);
}

int
dm_iova_give(struct dm_iova_space *s, rte_iova_t iova, uint64_t len)
{
	struct dm_live_shape shape;
	struct dm_cache *c;
	struct dm_mag *m;
	uint64_t i, word;
	int rc = -ENOENT;

	if (unlikely((iova & (DM_IOVA_GRANULE - 1)) != 0))
		return -ENOENT;
	if (unlikely((len & (DM_IOVA_GRANULE - 1)) != 0 || len == 0))
		return give_slowly(s, iova, len);
	shape = dm_live_shape(len >> PAGE_SHIFT);
	c = dm_gate_enter(&s->gate);
	if (unlikely(c == NULL))
		return give_slowly(s, iova, len);
	if (unlikely(!cacheable(s, &shape, iova)))
		goto slowly;
	i = dm_live_home(&s->live, iova, shape.order);
	dm_live_prefetch(&s->live, i); /* for dm_live_end(), or the line would come twice */
	i = dm_live_find(&s->live, i, iova | shape.key, &word);
	if (unlikely(i ==
		    DM_LIVE_NONE)) /* perhaps it is there with another length, or without a class */
		goto slowly;
	if (unlikely((word & DM_LIVE_LIVE) == 0))
		goto out;
	m = dm_cache_roomy(c, shape.class, s->cap[shape.class]);
	if (unlikely(m == NULL))
		goto slowly;
	if (unlikely(!dm_live_end(&s->live, i, word)))
		goto out;
	m->slot[m->n++] = (struct dm_cache_slot){word & ~DM_LIVE_LIVE, i};
	dm_cache_count(c);
	rc = 0;
out:
	dm_cache_leave(c);
	return rc;
slowly:
	dm_cache_leave(c);
	return give_slowly(s, iova, len);
}

void
dm_iova_prefetch(const struct dm_iova_space *s, rte_iova_t iova, uint64_t len)
{
	struct dm_cache *c = dm_gate_enter(&s->gate);
	unsigned int order = dm_live_order(len >> PAGE_SHIFT);

	if (c == NULL)
		return;
	dm_live_prefetch(&s->live, dm_live_home(&s->live, iova, order));
	dm_cache_leave(c);
}

/** What is free but for a padding or what lies in magazines becomes free. @return 0 or -ENOMEM */
static int
free_up(struct dm_iova_space *s, uint64_t first)
{
	uint64_t i, word;
	int rc = 0;

	dm_gate_shut(&s->gate);
	drain(s);
	/* Another range whose padding is in the way would start in it: then it is not free anyway.
	 */
	i = s->padded ? dm_live_find_padded(&s->live, first, &word) : DM_LIVE_NONE;
	if (i != DM_LIVE_NONE)
		rc = unpad(s, i, word);
	dm_gate_open(&s->gate);
	return rc == 0 ? make_room(s, 1) : rc;
}

int
dm_iova_take_fixed(struct dm_iova_space *s, rte_iova_t iova, uint64_t len)
{
	struct dmamap_range r = {iova, iova + (len - 1)};
	uint64_t first = iova >> PAGE_SHIFT, last = r.last >> PAGE_SHIFT;
	int rc;

	if (len == 0 || ((len | iova) & (DM_IOVA_GRANULE - 1)) != 0 || r.last < r.start)
		return -EINVAL;

	pthread_mutex_lock(&s->lock);
	rc = dm_range_set_contains(&s->usable, r) ? make_room(s, 1) : -ERANGE;
	if (rc < 0)
		goto out;
	if (!dm_free_tree_is_free(&s->free, first, last))
		rc = free_up(s, first);
	if (rc == 0 && !dm_free_tree_is_free(&s->free, first, last))
		rc = -EEXIST;
	if (rc < 0)
		goto out;
	carve(s, first, last - first + 1, last - first + 1, true);
	s->ops++;
	note_tightness(s);
out:
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int
dm_iova_create(uint64_t page_sizes, struct dm_iova_space **space)
{
	struct dm_iova_space *s = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	memset(s, 0, sizeof(*s));
	s->page_sizes = page_sizes != 0 ? page_sizes : DEFAULT_PAGE_SIZES;
	dm_gate_init(&s->gate);
	if (dm_live_init(&s->live) < 0)
		goto no_table;
	if (dm_free_tree_init(&s->free) < 0)
		goto no_tree;
	if (pthread_mutex_init(&s->lock, NULL) != 0)
		goto no_lock;
	*space = s;
	return 0;
no_lock:
	dm_free_tree_fini(&s->free);
no_tree:
	dm_live_fini(&s->live);
no_table:
	free(s);
	return -ENOMEM;
}

static void
mags_free(struct dm_mag *m)
{
	while (m != NULL) {
		struct dm_mag *next = m->next;

		free(m);
		m = next;
	}
}

void
dm_iova_destroy(struct dm_iova_space *s)
{
	unsigned int k;

	if (s == NULL)
		return;
	for (k = 0; k < DM_LIVE_CLASSES; k++) {
		mags_free(s->depot[k].full);
		mags_free(s->depot[k].empty);
	}
	dm_gate_fini(&s->gate);
	free(s->walk.r);
	dm_range_set_clear(&s->usable);
	dm_free_tree_fini(&s->free);
	dm_live_fini(&s->live);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* What is usable. */

/** Cut a set down to whole pages. */
static int
whole_pages(struct dm_range_set *dst, const struct dm_range_set *src)
{
	const uint64_t mask = DM_IOVA_GRANULE - 1;
	unsigned int i;
	int rc;

	for (i = 0; i < src->n; i++) {
		struct dmamap_range r = src->r[i];

		if (r.start > UINT64_MAX - mask)
			continue;
		r.start = (r.start + mask) & ~mask;
		if ((r.last & mask) != mask) {
			if ((r.last & ~mask) == 0)
				continue;
			r.last = (r.last & ~mask) - 1;
		}
		if (r.last < r.start)
			continue;
		rc = dm_range_set_add(dst, r);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/** a without b. */
static int
difference(struct dm_range_set *dst, const struct dm_range_set *a, const struct dm_range_set *b)
{
	unsigned int i;
	int rc = dm_range_set_copy(dst, a);

	for (i = 0; i < b->n && rc == 0; i++)
		rc = dm_range_set_del(dst, b->r[i]);
	return rc;
}

/** The lowest live range that a set does not wholly contain. Magazines are empty. */
static bool
conflicts(const struct dm_iova_space *s, const struct dm_range_set *usable,
	struct dmamap_range *lowest)
{
	bool any = false;
	uint64_t i;

	for (i = 0; i <= s->live.mask; i++) {
		uint64_t word = s->live.word[i];
		struct dmamap_range r = {.start = dm_live_iova(word)};

		if ((word & DM_LIVE_ENTRY) == 0)
			continue;
		r.last = r.start + (dm_live_len(&s->live, i, word) - 1);
		if (dm_range_set_contains(usable, r) || (any && r.start > lowest->start))
			continue;
		any = true;
		*lowest = r;
	}
	return any;
}

static void
mark_all(struct dm_iova_space *s, const struct dm_range_set *set, bool free)
{
	unsigned int i;

	for (i = 0; i < set->n; i++)
		dm_free_tree_mark(&s->free, set->r[i].start >> PAGE_SHIFT,
			set->r[i].last >> PAGE_SHIFT, free);
}

/** The gate is shut, nothing conflicts, memory is there. */
static void
change_usable(struct dm_iova_space *s, const struct dm_range_set *gone,
	const struct dm_range_set *more, uint64_t page_sizes)
{
	unsigned int i;

	mark_all(s, gone, false);
	mark_all(s, more, true);
	s->usable_pages = 0;
	for (i = 0; i < s->usable.n; i++)
		s->usable_pages += (s->usable.r[i].last >> PAGE_SHIFT) -
			(s->usable.r[i].start >> PAGE_SHIFT) + 1;
	s->page_sizes = page_sizes != 0 ? page_sizes : DEFAULT_PAGE_SIZES;
	s->floor = i > 0 && s->usable.r[i - 1].last >= LOW_END ? LOW_END : 0;
	s->small = s->usable_pages <= SMALL_PAGES;
	s->tight = s->free.n_free < s->usable_pages / 4;
	set_caps(s);
}

int
dm_iova_set_usable(struct dm_iova_space *s, const struct dm_range_set *usable, uint64_t page_sizes,
	struct dmamap_range *conflict)
{
	struct dm_range_set fresh = {0}, gone = {0}, more = {0};
	struct dmamap_range lowest;
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = whole_pages(&fresh, usable);
	if (rc == 0)
		rc = difference(&gone, &s->usable, &fresh);
	if (rc == 0)
		rc = difference(&more, &fresh, &s->usable);
	if (rc < 0)
		goto out;

	dm_gate_shut(&s->gate);
	drain(s);
	if (conflicts(s, &fresh, &lowest)) {
		if (conflict != NULL)
			*conflict = lowest;
		rc = -EADDRINUSE;
	}
	if (rc == 0 && gone.n > 0)
		rc = unpad_all(s, &fresh);
	if (rc == 0)
		rc = dm_free_tree_reserve(
			&s->free, ((uint64_t)gone.n + more.n) * DM_FREE_TREE_MARK_NODES);
	if (rc == 0) {
		RTE_SWAP(s->usable, fresh);
		change_usable(s, &gone, &more, page_sizes);
	}
	dm_gate_open(&s->gate);
out:
	pthread_mutex_unlock(&s->lock);
	dm_range_set_clear(&fresh);
	dm_range_set_clear(&gone);
	dm_range_set_clear(&more);
	return rc;
}

/* Looking around. */

/** Takes and gives so far. */
static uint64_t
count_ops(const struct dm_iova_space *s)
{
	uint64_t ops = s->ops;
	unsigned int i;

	for (i = 0; i < DM_CACHE_THREADS; i++)
		if (s->gate.cache[i] != NULL)
			ops += __atomic_load_n(&s->gate.cache[i]->ops, __ATOMIC_RELAXED);
	return ops;
}

static int
compare_ranges(const void *a, const void *b)
{
	const struct dmamap_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/** Sort all live ranges, unless nothing happened since it was done last. */
static int
prepare_walk(struct dm_iova_space *s)
{
	struct dmamap_range *r;
	uint64_t i, n = 0;

	if (s->walk.r != NULL && s->walk.ops == count_ops(s))
		return 0;
	r = reallocarray(s->walk.r, s->live.n + 1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	s->walk.r = r;
	dm_gate_shut(&s->gate);
	for (i = 0; i <= s->live.mask; i++) {
		uint64_t word = s->live.word[i];

		if ((word & DM_LIVE_ENTRY) == 0 || (word & DM_LIVE_LIVE) == 0)
			continue;
		r[n].start = dm_live_iova(word);
		r[n].last = r[n].start + (dm_live_len(&s->live, i, word) - 1);
		n++;
	}
	s->walk.n = n;
	s->walk.ops = count_ops(s);
	dm_gate_open(&s->gate);
	qsort(r, n, sizeof(*r), compare_ranges);
	return 0;
}

int
dm_iova_next_live(const struct dm_iova_space *space, rte_iova_t from, struct dmamap_range *r)
{
	struct dm_iova_space *s = (struct dm_iova_space *)(uintptr_t)space;
	uint64_t lo = 0, hi;
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = prepare_walk(s);
	if (rc < 0)
		goto out;
	for (hi = s->walk.n; lo < hi;) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (s->walk.r[mid].start >= from)
			hi = mid;
		else
			lo = mid + 1;
	}
	rc = lo < s->walk.n ? 0 : -ENOENT;
	if (rc == 0)
		*r = s->walk.r[lo];
out:
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/** The sum of the set; a set of all 2^64 addresses counts as one less. */
static uint64_t
total_len(const struct dm_range_set *set)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < set->n; i++)
		sum += set->r[i].last - set->r[i].start + 1;
	return sum == 0 && set->n > 0 ? UINT64_MAX : sum;
}

void
dm_iova_stats(const struct dm_iova_space *space, struct dm_iova_stats *stats)
{
	struct dm_iova_space *s = (struct dm_iova_space *)(uintptr_t)space;
	uint64_t i, len, padded;

	*stats = (struct dm_iova_stats){0};
	pthread_mutex_lock(&s->lock);
	dm_gate_shut(&s->gate);
	for (i = 0; i <= s->live.mask; i++) {
		if ((s->live.word[i] & DM_LIVE_ENTRY) == 0)
			continue;
		len = dm_live_len(&s->live, i, s->live.word[i]);
		padded = dm_live_padded_len(&s->live, i, s->live.word[i]);
		if ((s->live.word[i] & DM_LIVE_LIVE) != 0) {
			stats->live_ranges++;
			stats->live_len += len;
			stats->padding_len += padded - len;
		} else {
			stats->cached_len += padded;
		}
	}
	stats->usable_len = total_len(&s->usable);
	dm_gate_open(&s->gate);
	pthread_mutex_unlock(&s->lock);
}
