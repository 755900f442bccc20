/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The IOVA allocator of one address space: placement of reservations, and changes of what is
 * usable.
 *
 * Invariant: a page is usable if and only if it lies in `usable`, and the page tree
 * (dm_page_tree.h) agrees. The page tree holds all state of addresses. The set of usable ranges
 * has two uses: to name the cause of a refusal, and to compute what a change adds and removes.
 *
 * Called by container/ through dm_iova.h, under the container's bookkeeping lock.
 */

#include <errno.h>
#include <stdlib.h>

#include "dm_iova.h"
#include "dm_page_tree.h"
#include "dm_util.h"

#define PAGE_SHIFT 12
/* First page above 4 GiB; pages below are kept for devices with a 32-bit DMA mask */
#define LOW_END (UINT64_C(1) << (32 - PAGE_SHIFT))
#define SMALL_PAGES (UINT64_C(1) << (39 - PAGE_SHIFT))
#define DEFAULT_PAGE_SIZES (UINT64_C(1) << 12 | UINT64_C(1) << 21 | UINT64_C(1) << 30)

struct dm_iova_allocator {
	struct dm_page_tree tree;
	struct dm_range_set usable; /* whole pages only */
	uint64_t usable_pages;
	uint64_t page_sizes;
	/* First page for reservations without a limit: LOW_END, or 0 if nothing above is usable */
	uint64_t floor;
	uint64_t live_ranges;
};

/* Placement. Lengths and addresses below are in pages. */

/** A reservation request: n pages in [lo, hi], with first % align == phase. */
struct iova_request {
	uint64_t n, align, phase;
	uint64_t lo, hi;
};

/** Order of the smallest power of two that is at least n. n is not 0. */
static inline unsigned int
order_of(uint64_t n)
{
	return n > 1 ? 64 - __builtin_clzll(n - 1) : 0;
}

/** Pages in the largest IOMMU page that n pages fill; 1 if there is none. */
static uint64_t
iova_page_class(const struct dm_iova_allocator *s, uint64_t n)
{
	unsigned int order = 63 - __builtin_clzll(n);
	uint64_t fit = s->page_sizes >> PAGE_SHIFT & (UINT64_MAX >> (63 - order));

	return fit != 0 ? UINT64_C(1) << (63 - __builtin_clzll(fit)) : 1;
}

/**
 * The lowest run that fits, aligned to an IOMMU page if possible. Densest packing, but the search
 * may walk many nodes.
 */
static uint64_t
iova_find_run(
	const struct dm_iova_allocator *s, const struct iova_request *req, uint64_t lo, uint64_t hi)
{
	uint64_t class = iova_page_class(s, req->n), at = DM_PAGE_NONE;

	if (req->phase == 0 && class > req->align)
		at = dm_page_tree_run(&s->tree, req->n, class, 0, lo, hi);
	if (at == DM_PAGE_NONE)
		at = dm_page_tree_run(&s->tree, req->n, req->align, req->phase, lo, hi);
	return at;
}

/** Find a place in [lo, hi]: the lowest aligned block that fits, else the lowest run that fits. */
static uint64_t
iova_find_in(const struct dm_iova_allocator *s, const struct iova_request *req, bool packed,
	uint64_t lo, uint64_t hi)
{
	/*
	 * A run that is aligned to its own length is a block, so a second search would find
	 * nothing.
	 */
	bool is_block = req->align == req->n && req->phase == 0;
	uint64_t at;

	if (is_block || !packed) {
		unsigned int order = order_of(DM_MAX(req->align, req->phase + req->n));

		at = dm_page_tree_block(&s->tree, order, lo, hi);
		if (at != DM_PAGE_NONE)
			return at + req->phase;
	}
	return is_block ? DM_PAGE_NONE : iova_find_run(s, req, lo, hi);
}

/** Find a place above 4 GiB, else below, else across the border. */
static uint64_t
iova_find(const struct dm_iova_allocator *s, const struct iova_request *req)
{
	bool tight = s->tree.n_free < s->usable_pages / 4;
	bool packed = tight || s->usable_pages <= SMALL_PAGES;
	uint64_t floor = tight ? 0 : s->floor, at = DM_PAGE_NONE;

	if (req->hi >= floor)
		at = iova_find_in(s, req, packed, DM_MAX(req->lo, floor), req->hi);
	if (DM_UNLIKELY(at == DM_PAGE_NONE) && req->lo < floor) {
		at = iova_find_in(s, req, packed, req->lo, DM_MIN(req->hi, floor - 1));
		if (at == DM_PAGE_NONE && req->hi >= floor)
			at = iova_find_in(s, req, packed, req->lo, req->hi);
	}
	return at;
}

static int
iova_reserve_pages(struct dm_iova_allocator *s, const struct iova_request *req, dmamap_iova_t *iova)
{
	uint64_t at;
	int rc = dm_page_tree_prepare(&s->tree, DM_PAGE_MARK_NODES);

	if (rc < 0)
		return rc;
	at = iova_find(s, req);
	if (at == DM_PAGE_NONE || !dm_page_tree_reserve(&s->tree, at, at + (req->n - 1)))
		return -ENOSPC;
	s->live_ranges++;
	*iova = at << PAGE_SHIFT;
	return 0;
}

int
dm_iova_reserve(struct dm_iova_allocator *s, uint64_t len, uint64_t align, uint64_t phase,
	struct dmamap_range within, dmamap_iova_t *iova)
{
	struct iova_request req;

	if (((len | align | phase) & (DM_IOVA_GRANULE - 1)) != 0 || len == 0 || align == 0 ||
		(align & (align - 1)) != 0 || phase >= align || within.last < within.start)
		return -EINVAL;

	req = (struct iova_request){
		.n = len >> PAGE_SHIFT,
		.align = align >> PAGE_SHIFT,
		.phase = phase >> PAGE_SHIFT,
		.lo = (within.start >> PAGE_SHIFT) + ((within.start & (DM_IOVA_GRANULE - 1)) != 0),
		.hi = within.last >> PAGE_SHIFT,
	};
	/* A last page that is only partly inside `within` does not count. */
	if ((within.last & (DM_IOVA_GRANULE - 1)) != DM_IOVA_GRANULE - 1) {
		if (req.hi == 0)
			return -ENOSPC;
		req.hi--;
	}
	return iova_reserve_pages(s, &req, iova);
}

int
dm_iova_reserve_fixed(struct dm_iova_allocator *s, dmamap_iova_t iova, uint64_t len)
{
	struct dmamap_range r = {iova, iova + (len - 1)};
	uint64_t first = iova >> PAGE_SHIFT, last = r.last >> PAGE_SHIFT;
	int rc;

	if (len == 0 || ((len | iova) & (DM_IOVA_GRANULE - 1)) != 0 || r.last < r.start)
		return -EINVAL;
	rc = dm_page_tree_prepare(&s->tree, DM_PAGE_MARK_NODES);
	if (rc < 0)
		return rc;
	if (!dm_page_tree_reserve(&s->tree, first, last))
		return dm_range_set_contains(&s->usable, r) ? -EEXIST : -ERANGE;
	s->live_ranges++;
	return 0;
}

int
dm_iova_release(struct dm_iova_allocator *s, dmamap_iova_t iova, uint64_t len)
{
	uint64_t n = len >> PAGE_SHIFT;
	int rc;

	if ((iova & (DM_IOVA_GRANULE - 1)) != 0)
		return -ENOENT;
	/*
	 * No live range has such a length. An impossible length makes the tree choose between
	 * -ENOENT and -EINVAL.
	 */
	if ((len & (DM_IOVA_GRANULE - 1)) != 0 || len == 0)
		n = DM_PAGE_LAST + 1;
	rc = dm_page_tree_release(&s->tree, iova >> PAGE_SHIFT, n);
	if (rc == 0)
		s->live_ranges--;
	return rc;
}

void
dm_iova_prefetch(const struct dm_iova_allocator *s, dmamap_iova_t iova, uint64_t len)
{
	dm_page_tree_prefetch(&s->tree, iova >> PAGE_SHIFT, (iova + (len - 1)) >> PAGE_SHIFT);
}

int
dm_iova_create(uint64_t page_sizes, struct dm_iova_allocator **out)
{
	struct dm_iova_allocator *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->page_sizes = page_sizes != 0 ? page_sizes : DEFAULT_PAGE_SIZES;
	if (dm_page_tree_init(&s->tree, &s->usable) < 0) {
		free(s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

void
dm_iova_destroy(struct dm_iova_allocator *s)
{
	if (s == NULL)
		return;
	dm_range_set_clear(&s->usable);
	dm_page_tree_fini(&s->tree);
	free(s);
}

/* Usable ranges. */

/** Add the whole pages of src to dst. @return 0 or -ENOMEM */
static int
set_add_whole_pages(struct dm_range_set *dst, const struct dm_range_set *src)
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

/** dst = a without b. @return 0 or -ENOMEM */
static int
set_difference(struct dm_range_set *dst, const struct dm_range_set *a, const struct dm_range_set *b)
{
	unsigned int i;
	int rc = dm_range_set_copy(dst, a);

	for (i = 0; i < b->n && rc == 0; i++)
		rc = dm_range_set_del(dst, b->r[i]);
	return rc;
}

static bool
iova_all_free(const struct dm_iova_allocator *s, const struct dm_range_set *set)
{
	unsigned int i;

	for (i = 0; i < set->n; i++)
		if (!dm_page_tree_is_free(
			    &s->tree, set->r[i].start >> PAGE_SHIFT, set->r[i].last >> PAGE_SHIFT))
			return false;
	return true;
}

/** The lowest live range that is not wholly in the set. The caller knows that there is one. */
static struct dmamap_range
iova_lowest_conflict(const struct dm_iova_allocator *s, const struct dm_range_set *usable)
{
	struct dmamap_range r = {0};
	uint64_t from = 0;

	while (dm_iova_next_live(s, from, &r) == 0 && dm_range_set_contains(usable, r))
		from = r.last + 1;
	return r;
}

static void
iova_mark_all(struct dm_iova_allocator *s, const struct dm_range_set *set, bool free)
{
	unsigned int i;

	for (i = 0; i < set->n; i++)
		dm_page_tree_mark(&s->tree, set->r[i].start >> PAGE_SHIFT,
			set->r[i].last >> PAGE_SHIFT, free);
}

/**
 * Switch to the usable ranges in s->usable. Cannot fail: all pages of `gone` are free, and the
 * caller has prepared enough nodes.
 */
static void
iova_change_usable(struct dm_iova_allocator *s, const struct dm_range_set *gone,
	const struct dm_range_set *more, uint64_t page_sizes)
{
	uint64_t last = s->usable.n > 0 ? s->usable.r[s->usable.n - 1].last >> PAGE_SHIFT : 0;
	unsigned int i;

	dm_page_tree_cover(&s->tree, last);
	iova_mark_all(s, gone, false);
	iova_mark_all(s, more, true);
	s->usable_pages = 0;
	for (i = 0; i < s->usable.n; i++)
		s->usable_pages += (s->usable.r[i].last >> PAGE_SHIFT) -
			(s->usable.r[i].start >> PAGE_SHIFT) + 1;
	s->page_sizes = page_sizes != 0 ? page_sizes : DEFAULT_PAGE_SIZES;
	s->floor = last >= LOW_END ? LOW_END : 0;
}

int
dm_iova_set_usable(struct dm_iova_allocator *s, const struct dm_range_set *usable,
	uint64_t page_sizes, struct dmamap_range *conflict)
{
	struct dm_range_set fresh = {0}, gone = {0}, more = {0};
	int rc;

	rc = set_add_whole_pages(&fresh, usable);
	if (rc == 0)
		rc = set_difference(&gone, &s->usable, &fresh);
	if (rc == 0)
		rc = set_difference(&more, &fresh, &s->usable);
	if (rc < 0)
		goto out;
	if (!iova_all_free(s, &gone)) {
		if (conflict != NULL)
			*conflict = iova_lowest_conflict(s, &fresh);
		rc = -EADDRINUSE;
		goto out;
	}
	rc = dm_page_tree_prepare(
		&s->tree, DM_PAGE_COVER_NODES + ((uint64_t)gone.n + more.n) * DM_PAGE_MARK_NODES);
	if (rc == 0) {
		DM_SWAP(s->usable, fresh);
		iova_change_usable(s, &gone, &more, page_sizes);
	}
out:
	dm_range_set_clear(&fresh);
	dm_range_set_clear(&gone);
	dm_range_set_clear(&more);
	return rc;
}

/* Queries. */

int
dm_iova_next_live(const struct dm_iova_allocator *s, dmamap_iova_t from, struct dmamap_range *r)
{
	uint64_t page = (from >> PAGE_SHIFT) + ((from & (DM_IOVA_GRANULE - 1)) != 0), first, last;

	if (!dm_page_tree_next_live(&s->tree, page, &first, &last))
		return -ENOENT;
	r->start = first << PAGE_SHIFT;
	r->last = (last << PAGE_SHIFT) + (DM_IOVA_GRANULE - 1);
	return 0;
}

void
dm_iova_stats(const struct dm_iova_allocator *s, struct dm_iova_stats *stats)
{
	unsigned int i;

	*stats = (struct dm_iova_stats){
		.live_ranges = s->live_ranges,
		.live_len = (s->usable_pages - s->tree.n_free) << PAGE_SHIFT,
	};
	for (i = 0; i < s->usable.n; i++)
		stats->usable_len += s->usable.r[i].last - s->usable.r[i].start + 1;
	/* 2^64 bytes wrap to 0; report the largest number instead. */
	if (stats->usable_len == 0 && s->usable.n > 0)
		stats->usable_len = UINT64_MAX;
}
