/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Model of the IOVA allocator: a sorted list of live ranges, searched linearly. See iova_model.h.
 */

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <rte_common.h>

#include "dm_iova.h"
#include "iova_model.h"

#define PAGE DM_IOVA_GRANULE
#define MAX_LIVE 1500
#define MAX_USABLE 20

struct model {
	struct iova_history *h;
	struct dm_iova_allocator *alloc;
	struct dmamap_range live[MAX_LIVE]; /* sorted */
	unsigned int n;
	uint64_t live_len;
	struct dm_range_set usable; /* whole granules only */
	struct dmamap_range released; /* the range that was released last */
	uint64_t random;
	uint64_t at; /* next byte of the script */
	unsigned int max_order; /* largest length, as a power of two in pages */
	uint64_t limit; /* last address of the scene */
	bool fill; /* reserve more often than release */
};

#define WRONG(m, text) ((m)->h->wrong = (text), -1)

static uint64_t
choose(struct model *m)
{
	uint64_t w = 0;
	unsigned int i;

	if (m->h->script == NULL) {
		/* splitmix64 */
		w = (m->random += UINT64_C(0x9e3779b97f4a7c15));
		w = (w ^ (w >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		w = (w ^ (w >> 27)) * UINT64_C(0x94d049bb133111eb);
		return w ^ (w >> 31);
	}
	for (i = 0; i < 5 && m->at < m->h->script_len; i++)
		w = w << 8 | m->h->script[m->at++];
	return w;
}

/** The first live range that ends at or after x. */
static unsigned int
model_find(const struct model *m, uint64_t x)
{
	unsigned int lo = 0, hi = m->n;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (m->live[mid].last >= x)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static bool
any_live(const struct model *m, struct dmamap_range r)
{
	unsigned int i = model_find(m, r.start);

	return i < m->n && m->live[i].start <= r.last;
}

static void
model_insert(struct model *m, struct dmamap_range r)
{
	unsigned int i = model_find(m, r.start);

	memmove(&m->live[i + 1], &m->live[i], (m->n - i) * sizeof(m->live[0]));
	m->live[i] = r;
	m->n++;
	m->live_len += r.last - r.start + 1;
}

/** Whether a range of that length and alignment is free. */
static bool
has_hole(const struct model *m, uint64_t len, uint64_t align, uint64_t phase,
	struct dmamap_range within)
{
	unsigned int u, i;

	for (u = 0; u < m->usable.n; u++) {
		uint64_t at = RTE_MAX(m->usable.r[u].start, within.start);
		uint64_t last = RTE_MIN(m->usable.r[u].last, within.last);

		for (i = model_find(m, at);; i++) {
			uint64_t y = (at & ~(align - 1)) | phase;

			if (y < at && (y += align) < align)
				break;
			if (y > last || last - y < len - 1)
				break;
			if (i == m->n || m->live[i].start > y + len - 1)
				return true;
			if (m->live[i].last >= last)
				break;
			at = RTE_MAX(at, m->live[i].last + 1);
		}
	}
	return false;
}

static uint64_t
some_len(struct model *m)
{
	uint64_t w = choose(m);
	unsigned int order = w % (m->max_order + 1);
	uint64_t pages = UINT64_C(1) << order;

	if ((w >> 8) % 2 != 0)
		pages += (w >> 16) % pages;
	return pages * PAGE;
}

static int
step_reserve(struct model *m)
{
	uint64_t len = some_len(m), w = choose(m), align = PAGE, phase = 0;
	struct dmamap_range within = DMAMAP_ANYWHERE, r;
	rte_iova_t iova;
	int rc;

	if (m->n == MAX_LIVE)
		return 0;
	if (w % 4 == 1)
		align = PAGE << (w >> 8) % 10;
	else if (w % 4 == 2)
		align = RTE_MIN(len & -len, PAGE << 18);
	if ((w >> 16) % 4 == 0)
		phase = (w >> 20) % (align / PAGE) * PAGE;
	if ((w >> 18) % 8 == 0) {
		within.start = choose(m) % m->limit;
		within.last =
			within.start + RTE_MIN(m->limit - within.start, choose(m) % (16 * len));
	} else if ((w >> 18) % 8 == 1) {
		within.last = UINT32_MAX;
	}

	rc = dm_iova_reserve(m->alloc, len, align, phase, within, &iova);
	if (rc == -ENOSPC)
		return has_hole(m, len, align, phase, within)
			? WRONG(m, "refused, but there is room")
			: 0;
	if (rc != 0)
		return WRONG(m, "reserve returned neither 0 nor -ENOSPC");
	r = (struct dmamap_range){iova, iova + len - 1};
	if (r.last < r.start)
		return WRONG(m, "the range wraps");
	if (iova % align != phase)
		return WRONG(m, "wrong phase");
	if (r.start < within.start || r.last > within.last)
		return WRONG(m, "not within");
	if (!dm_range_set_contains(&m->usable, r))
		return WRONG(m, "not usable");
	if (any_live(m, r))
		return WRONG(m, "reserved twice");
	model_insert(m, r);
	return 0;
}

static int
step_fixed(struct model *m)
{
	struct dmamap_range r;
	uint64_t len = some_len(m);
	bool live, usable;
	int rc;

	if (m->n == MAX_LIVE)
		return 0;
	r.start = choose(m) % m->limit & ~(PAGE - 1);
	if (m->n > 0 && choose(m) % 4 == 0) /* adjacent to a live range */
		r.start = m->live[choose(m) % m->n].last + 1;
	else if (choose(m) % 2 == 0) /* in the range that was just released, or across its end */
		r.start = m->released.start +
			choose(m) % 8 * ((m->released.last - m->released.start) / 8) / PAGE * PAGE;
	if (choose(m) % 4 == 0)
		len = m->released.last - m->released.start + 1;
	if (r.start > UINT64_MAX - len)
		return 0;
	r.last = r.start + len - 1;
	live = any_live(m, r);
	usable = dm_range_set_contains(&m->usable, r);
	rc = dm_iova_reserve_fixed(m->alloc, r.start, len);
	if (rc == 0) {
		if (live || !usable)
			return WRONG(m, "fixed reserve of what is live or not usable");
		model_insert(m, r);
		return 0;
	}
	if (rc == -EEXIST)
		return live ? 0 : WRONG(m, "EEXIST, but nothing is live there");
	if (rc == -ERANGE)
		return usable ? WRONG(m, "ERANGE, but all of it is usable") : 0;
	return WRONG(m, "fixed reserve returned something else");
}

static int
step_release(struct model *m)
{
	struct dmamap_range r;
	unsigned int i;

	if (m->n == 0)
		return 0;
	i = choose(m) % m->n;
	r = m->live[i];
	if (dm_iova_release(m->alloc, r.start, r.last - r.start + 1) != 0)
		return WRONG(m, "a live range was not released");
	m->n--;
	m->released = r;
	m->live_len -= r.last - r.start + 1;
	memmove(&m->live[i], &m->live[i + 1], (m->n - i) * sizeof(m->live[0]));
	if (choose(m) % 8 == 0 &&
		dm_iova_release(m->alloc, r.start, r.last - r.start + 1) != -ENOENT)
		return WRONG(m, "released twice");
	return 0;
}

static int
step_bad_release(struct model *m)
{
	uint64_t at = choose(m) % m->limit & ~(PAGE - 1), len = some_len(m);
	unsigned int i = model_find(m, at);
	int rc, want = -ENOENT;

	if (choose(m) % 2 == 0 && m->n > 0) {
		i = choose(m) % m->n;
		at = m->live[i].start;
	}
	if (i < m->n && m->live[i].start == at)
		want = -EINVAL;
	if (want == -EINVAL && m->live[i].last - at + 1 == len)
		return 0;
	rc = dm_iova_release(m->alloc, at, len);
	return rc == want ? 0 : WRONG(m, "a wrong release was not refused as it should");
}

static int
step_look(struct model *m)
{
	uint64_t from = choose(m) % m->limit;
	unsigned int i = model_find(m, from);
	struct dm_iova_stats st;
	struct dmamap_range r;

	if (i < m->n && m->live[i].start < from)
		i++;
	if (i == m->n) {
		if (dm_iova_next_live(m->alloc, from, &r) != -ENOENT)
			return WRONG(m, "something is live that is not");
	} else if (dm_iova_next_live(m->alloc, from, &r) != 0 || r.start != m->live[i].start ||
		r.last != m->live[i].last) {
		return WRONG(m, "another range is live next");
	}
	dm_iova_stats(m->alloc, &st);
	if (st.live_ranges != m->n || st.live_len != m->live_len)
		return WRONG(m, "miscounted");
	return 0;
}

/** Add a range to the usable ones, or remove one. */
static int
step_usable(struct model *m)
{
	struct dmamap_range r, conflict = {0};
	struct dm_range_set fresh = {0};
	const struct dmamap_range *want = NULL;
	uint64_t len = some_len(m);
	unsigned int i;
	int rc = 0;

	r.start = choose(m) % m->limit & ~(PAGE - 1);
	r.last = r.start + RTE_MIN(len - 1, m->limit - r.start);
	if (dm_range_set_copy(&fresh, &m->usable) < 0)
		return WRONG(m, "no memory");
	if (fresh.n < MAX_USABLE && choose(m) % 2 == 0)
		dm_range_set_del(&fresh, r);
	else
		dm_range_set_add(&fresh, r);
	for (i = 0; i < m->n && want == NULL; i++)
		if (!dm_range_set_contains(&fresh, m->live[i]))
			want = &m->live[i];

	rc = dm_iova_set_usable(m->alloc, &fresh, 0, &conflict);
	if (rc == 0) {
		RTE_SWAP(fresh, m->usable);
		rc = want == NULL ? 0 : WRONG(m, "usable ranges shrank below a live range");
	} else if (rc != -EADDRINUSE) {
		rc = WRONG(m, "set_usable returned something else");
	} else if (want == NULL) {
		rc = WRONG(m, "set_usable saw a conflict where there is none");
	} else if (conflict.start != want->start || conflict.last != want->last) {
		rc = WRONG(m, "set_usable named another range");
	} else {
		rc = 0;
	}
	dm_range_set_clear(&fresh);
	return rc;
}

static int
one_step(struct model *m)
{
	unsigned int kind = choose(m) % 1024;

	/* The space alternately fills up and empties. */
	if (choose(m) % 512 == 0)
		m->fill = !m->fill;
	if (kind < 32)
		return step_bad_release(m);
	if (kind < 40)
		return step_look(m);
	if (kind < 44)
		return step_usable(m);
	if (kind < 256)
		return step_fixed(m);
	return kind % 8 < (m->fill ? 5 : 3) ? step_reserve(m) : step_release(m);
}

/** Release everything. Then each usable range can be reserved as one range. */
static int
nothing_is_lost(struct model *m)
{
	struct dm_iova_stats st;
	unsigned int i;

	while (m->n > 0) {
		struct dmamap_range r = m->live[--m->n];

		if (dm_iova_release(m->alloc, r.start, r.last - r.start + 1) != 0)
			return WRONG(m, "a live range was not released at the end");
	}
	dm_iova_stats(m->alloc, &st);
	if (st.live_ranges != 0 || st.live_len != 0)
		return WRONG(m, "something is live at the end");
	for (i = 0; i < m->usable.n; i++) {
		struct dmamap_range r = m->usable.r[i];
		/* A length of 2^64 bytes has no representation: leave out a page. */
		uint64_t len = r.start == 0 && r.last == UINT64_MAX ? -PAGE : r.last - r.start + 1;

		if (dm_iova_reserve_fixed(m->alloc, r.start, len) != 0)
			return WRONG(m, "an address was lost");
		if (dm_iova_release(m->alloc, r.start, len) != 0)
			return WRONG(m, "release of a whole usable range");
	}
	return 0;
}

static int
make_usable(struct model *m)
{
	static const struct {
		unsigned int order, max_order, holes, hole_order;
	} scenes[IOVA_SCENES] = {
		{8, 4, 3, 2}, /* 1 MiB, full all the time */
		{18, 11, 8, 6}, /* 1 GiB, ranges up to 16 MiB */
		{27, 18, 16, 12}, /* 39 bit, ranges up to 2 GiB, as on a small IOMMU */
		{52, 30, 16, 28}, /* all 64 bits */
		{28, 21, 4,
			12}, /* 1 TiB, ranges up to 16 GiB: blocks first, runs when it gets full */
	};
	unsigned int i;

	m->max_order = scenes[m->h->scene].max_order;
	m->limit = scenes[m->h->scene].order == 52 ? UINT64_MAX
						   : (PAGE << scenes[m->h->scene].order) - 1;
	if (dm_range_set_add(&m->usable, (struct dmamap_range){0, m->limit}) < 0)
		return WRONG(m, "no memory");
	for (i = 0; i < scenes[m->h->scene].holes; i++) {
		uint64_t at = choose(m) % m->limit & ~(PAGE - 1);
		uint64_t len = (1 + choose(m) % (1u << scenes[m->h->scene].hole_order)) * PAGE;

		if (dm_range_set_del(&m->usable,
			    (struct dmamap_range){at, at + RTE_MIN(len - 1, UINT64_MAX - at)}) < 0)
			return WRONG(m, "no memory");
	}
	return dm_iova_set_usable(m->alloc, &m->usable, 0, NULL) == 0 ? 0 : WRONG(m, "set_usable");
}

int
iova_history_run(struct iova_history *h)
{
	static struct model m; /* too large for a stack */
	int rc;

	m = (struct model){.h = h, .random = h->seed, .fill = true, .released = {0, PAGE - 1}};
	h->step = 0;
	if (dm_iova_create(0, &m.alloc) != 0)
		return WRONG(&m, "no memory");
	rc = make_usable(&m);
	for (; rc == 0 && h->step < h->steps; h->step++) {
		rc = one_step(&m);
		if (rc != 0 || (h->script != NULL && m.at == h->script_len))
			break;
	}
	if (rc == 0)
		rc = nothing_is_lost(&m);
	dm_range_set_clear(&m.usable);
	dm_iova_destroy(m.alloc);
	return rc;
}
