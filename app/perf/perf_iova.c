/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Benchmarks of the IOVA allocator: time, FIXED against automatic placement, how far a tight
 * aperture fills, growth.
 * Each run checks at its end that live ranges are usable, aligned and disjoint.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dm_iova.h"
#include "perf.h"
#include "ref_treap.h"

#define PAGE DM_IOVA_GRANULE
#define LIVE 100000u
#define LENS 4096u /* a power of two, so large that an index fits into the low bits of an IOVA */
#define NOTHING UINT64_MAX /* value of a live word whose reservation was refused */

/** Allocator under measurement: ours or the reference. */
struct subject {
	struct dm_iova_allocator *ours;
	struct ref_treap *ref;
};

static int
subject_reserve(const struct subject *s, uint64_t len, uint64_t align, rte_iova_t *iova)
{
	return s->ours != NULL ? dm_iova_reserve(s->ours, len, align, 0, DMAMAP_ANYWHERE, iova)
			       : ref_treap_reserve(s->ref, len, align, iova);
}

static int
subject_release(const struct subject *s, rte_iova_t iova, uint64_t len)
{
	return s->ours != NULL ? dm_iova_release(s->ours, iova, len)
			       : ref_treap_release(s->ref, iova, len);
}

static void
subject_destroy(struct subject *s)
{
	dm_iova_destroy(s->ours);
	ref_treap_destroy(s->ref);
}

/**
 * A 48 bit aperture with 16 reserved holes in its lower part, where allocations meet them all the
 * time.
 */
static int
wide_aperture(struct dm_range_set *usable)
{
	unsigned int i;
	int rc = dm_range_set_add(usable, (struct dmamap_range){PAGE, (UINT64_C(1) << 48) - 1});

	for (i = 0; i < 16 && rc == 0; i++) {
		uint64_t at =
			(UINT64_C(3) << 30) + i * (UINT64_C(21) << 30) + i * UINT64_C(0x123000);

		rc = dm_range_set_del(usable, (struct dmamap_range){at, at + (64u << 20) - 1});
	}
	return rc;
}

static int
subject_create(struct subject *s, const struct dm_range_set *usable, bool ours)
{
	int rc;

	*s = (struct subject){0};
	if (!ours) {
		s->ref = ref_treap_create(usable);
		return s->ref != NULL ? 0 : -ENOMEM;
	}
	rc = dm_iova_create(0, &s->ours);
	if (rc == 0)
		rc = dm_iova_set_usable(s->ours, usable, 0, NULL);
	return rc;
}

/** Distribution of lengths in a workload. */
enum mix {
	MIX_4K, /* one page */
	MIX_POW2, /* powers of two from 4 KiB to 1 GiB, equally frequent (zones, rings) */
	MIX_PAGES, /* any number of pages from 1 to 1 GiB, spread evenly over the powers of two */
};

/** A workload on one allocator: random live ranges are released, and new ones reserved. */
struct churn {
	struct subject s;
	struct dm_range_set usable;
	uint64_t lens[LENS];
	uint64_t *live; /* IOVA | index of its length: 8 bytes, so that the CPU caches are left to
			   the allocators */
	uint32_t n;
	uint64_t random;
	unsigned int next_len;
	struct perf_tail *tail;
	bool may_fail;
	uint64_t refused;
};

static void
make_lens(struct churn *c, enum mix mix)
{
	uint64_t x = UINT64_C(0x243f6a8885a308d3);
	unsigned int i;

	for (i = 0; i < LENS; i++) {
		uint64_t pages = UINT64_C(1) << perf_random(&x) % 19;

		if (mix == MIX_PAGES && pages > 1)
			pages -= perf_random(&x) % (pages / 2);
		c->lens[i] = mix == MIX_4K ? PAGE : pages * PAGE;
	}
}

/**
 * The alignment that a mapper requests: page classes of the IOMMU where the length reaches them.
 */
static uint64_t
align_of(uint64_t len)
{
	return len >= (1u << 30) ? 1u << 30 : len >= (2u << 20) ? 2u << 20 : PAGE;
}

static uint64_t
live_len(const struct churn *c, uint64_t live)
{
	return c->lens[live & (LENS - 1)];
}

static uint64_t
reserve_one(struct churn *c, uint64_t *live)
{
	uint32_t i = c->next_len++ & (LENS - 1);
	rte_iova_t iova;

	if (likely(subject_reserve(&c->s, c->lens[i], align_of(c->lens[i]), &iova) == 0)) {
		*live = iova | i;
		return 0;
	}
	*live = NOTHING;
	c->refused++;
	return !c->may_fail;
}

static uint64_t
release_one(struct churn *c, uint64_t live)
{
	return live != NOTHING &&
		subject_release(&c->s, live & ~(PAGE - 1), live_len(c, live)) != 0;
}

static uint64_t
churn_round(void *arg, uint64_t ops)
{
	struct churn *c = arg;
	uint64_t errors = 0, t0 = 0;

	while (ops-- > 0) {
		uint64_t *live = &c->live[(perf_random(&c->random) >> 32) * c->n >> 32];

		if (c->tail != NULL)
			t0 = rte_rdtsc_precise();
		errors += release_one(c, *live);
		errors += reserve_one(c, live);
		if (c->tail != NULL)
			perf_tail_add(c->tail, rte_rdtsc_precise() - t0);
	}
	return errors;
}

static int
compare_live(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/** Check that the live ranges are usable, aligned and disjoint. Sorts them. @return errors */
static uint64_t
churn_check(struct churn *c)
{
	uint64_t errors = 0, last = 0;
	unsigned int i;

	qsort(c->live, c->n, sizeof(*c->live), compare_live);
	for (i = 0; i < c->n && c->live[i] != NOTHING; i++) {
		uint64_t iova = c->live[i] & ~(PAGE - 1), len = live_len(c, c->live[i]);
		struct dmamap_range r = {iova, iova + len - 1};

		errors += !dm_range_set_contains(&c->usable, r) || iova % align_of(len) != 0;
		errors += i > 0 && r.start <= last;
		last = r.last;
	}
	return errors;
}

/** Highest address in use. Call churn_check() first. */
static uint64_t
churn_top(const struct churn *c)
{
	return c->live[c->n - 1] + live_len(c, c->live[c->n - 1]);
}

static int
churn_init(struct churn *c, bool ours, enum mix mix, uint32_t n,
	int (*aperture)(struct dm_range_set *))
{
	uint32_t i;
	int rc;

	*c = (struct churn){.n = n, .random = 88172645463325252};
	make_lens(c, mix);
	c->live = calloc(n, sizeof(*c->live));
	rc = c->live != NULL ? aperture(&c->usable) : -ENOMEM;
	if (rc == 0)
		rc = subject_create(&c->s, &c->usable, ours);
	for (i = 0; i < n && rc == 0; i++)
		rc = reserve_one(c, &c->live[i]) == 0 ? 0 : -ENOSPC;
	return rc;
}

static void
churn_fini(struct churn *c)
{
	subject_destroy(&c->s);
	dm_range_set_clear(&c->usable);
	free(c->live);
}

/** Points of the tail plot; x: one of x operations takes longer. */
static void
report_quantiles(struct perf_tail *tail, const char *name, const char *line)
{
	static const struct {
		const char *name;
		double q, x;
	} points[] = {{"p50", 0.5, 2}, {"p90", 0.9, 10}, {"p99", 0.99, 100}, {"p99.9", 0.999, 1000},
		{"p99.99", 0.9999, 10000}};
	char full[64], series[64];
	unsigned int i;

	for (i = 0; i < RTE_DIM(points); i++) {
		struct perf_row row = PERF_ROW_INIT;

		snprintf(full, sizeof(full), "%s tail %s", name, points[i].name);
		snprintf(series, sizeof(series), "iova/tail:%s", line);
		row.name = full;
		row.series = series;
		row.x = points[i].x;
		row.repeats = 1;
		row.median = perf_tail_ns(tail, points[i].q);
		perf_report(&row);
	}
}

/**
 * Report the tail row of a throughput row. If a line is named, report that line of the plot, too.
 */
static int
report_tail(struct churn *c, const char *name, const char *tail_name, const char *line)
{
	struct perf_row row = PERF_ROW_INIT;
	struct perf_tail tail;
	int rc = perf_tail_init(&tail, 2000000);

	if (rc < 0)
		return rc;
	c->tail = &tail;
	row.errors = churn_round(c, tail.cap);
	c->tail = NULL;
	row.name = tail_name;
	row.peer = "its own median";
	row.repeats = 1;
	row.target = 50;
	row.stretch = 20;
	row.better = PERF_AT_MOST;
	row.p99_9 = perf_tail_ns(&tail, 0.999);
	row.median = row.peer_median = perf_tail_ns(&tail, 0.5);
	row.figure = row.p99_9 / row.median;
	perf_report(&row);
	if (line != NULL)
		report_quantiles(&tail, name, line);
	perf_tail_fini(&tail);
	return 0;
}

static int
compare_churn(const char *name, const char *tail_name, const char *line, enum mix mix,
	double target, double stretch)
{
	struct perf_row row = PERF_ROW_INIT;
	static struct churn a, b;
	struct perf_side sa = {churn_round, &a, 200000}, sb = {churn_round, &b, 200000};
	int rc = churn_init(&a, true, mix, LIVE, wide_aperture);

	if (rc == 0)
		rc = churn_init(&b, false, mix, LIVE, wide_aperture);
	else
		b = (struct churn){0};
	if (rc < 0)
		goto out;
	row.name = name;
	row.peer = "treap, first fit";
	row.target = target;
	row.stretch = stretch;
	perf_compare(&sa, &sb, &row);
	row.errors += churn_check(&a) + churn_check(&b);
	perf_report(&row);
	printf("%34s highest address in use: %.2f TiB, treap %.2f TiB\n", "",
		churn_top(&a) / 1099511627776.0, churn_top(&b) / 1099511627776.0);
	rc = report_tail(&a, name, tail_name, line);
out:
	churn_fini(&a);
	churn_fini(&b);
	return rc;
}

static int
bench_mixed(void)
{
	return compare_churn(
		"iova/mixed", "iova/mixed p99.9", "mixed 4 KiB to 1 GiB", MIX_POW2, 5, 16);
}

static int
bench_pages(void)
{
	return compare_churn("iova/mixed-any-pages", "iova/mixed-any-pages p99.9",
		"any number of pages", MIX_PAGES, 5, 16);
}

static int
bench_4k(void)
{
	return compare_churn("iova/4k", "iova/4k p99.9", "4 KiB only", MIX_4K, 5, 9);
}

REGISTER_PERF(mixed) = {
	.name = "iova/mixed",
	.what = "reserve + release, powers of two from 4 KiB to 1 GiB, 100,000 live, 16 holes",
	.run = bench_mixed,
};

REGISTER_PERF(pages) = {
	.name = "iova/mixed-any-pages",
	.what = "the same, any number of pages up to 1 GiB",
	.run = bench_pages,
};

REGISTER_PERF(only_4k) = {
	.name = "iova/4k",
	.what = "the same, 4 KiB only",
	.run = bench_4k,
};

/*
 * Tight: 39 bits, as on a small IOMMU, filled until a reservation is refused, then churned while
 * full.
 */

static int
tight_aperture(struct dm_range_set *usable)
{
	unsigned int i;
	int rc = dm_range_set_add(usable, (struct dmamap_range){PAGE, (UINT64_C(1) << 39) - 1});

	for (i = 0; i < 16 && rc == 0; i++) {
		uint64_t at =
			(UINT64_C(3) << 30) + i * (UINT64_C(31) << 30) + i * UINT64_C(0x123000);

		rc = dm_range_set_del(usable, (struct dmamap_range){at, at + (64u << 20) - 1});
	}
	return rc;
}

struct tight {
	double filled; /* bytes reserved at the first refusal */
	double refused; /* refusals during the churn after it */
	uint64_t errors;
};

/** Fill, count, churn, count, with one seed. */
static int
tight_run(bool ours, enum mix mix, uint64_t seed, struct tight *sum)
{
	enum { MOST = 65536, CHURN = 20000 };
	struct churn c;
	uint32_t n;
	int rc = churn_init(&c, ours, mix, 0, tight_aperture);

	free(c.live);
	c.live = calloc(MOST, sizeof(*c.live));
	if (rc < 0 || c.live == NULL)
		goto out;
	c.may_fail = true;
	c.random = seed;
	c.next_len = seed % LENS;
	for (n = 0; n < MOST && c.refused == 0; n++) {
		sum->errors += reserve_one(&c, &c.live[n]);
		sum->filled += c.live[n] != NOTHING ? live_len(&c, c.live[n]) : 0;
	}
	c.n = n;
	c.refused = 0;
	sum->errors += churn_round(&c, CHURN);
	sum->refused += c.refused;
	sum->errors += churn_check(&c);
out:
	churn_fini(&c);
	return rc;
}

static int
tight_rows(const char *fill_name, const char *churn_name, enum mix mix)
{
	struct perf_row fill = PERF_ROW_INIT, churn = PERF_ROW_INIT;
	struct tight a = {0}, b = {0};
	unsigned int i;
	int rc = 0;

	for (i = 0; i < perf_repeats() && rc == 0; i++) {
		rc = tight_run(true, mix, i * 7919 + 1, &a);
		if (rc == 0)
			rc = tight_run(false, mix, i * 7919 + 1, &b);
	}
	if (rc < 0)
		return rc;
	fill.name = fill_name;
	fill.peer = churn.peer = "treap, first fit";
	fill.figure = a.filled / b.filled;
	fill.target = churn.target = 1;
	fill.repeats = churn.repeats = perf_repeats();
	fill.errors = churn.errors = a.errors + b.errors;
	perf_report(&fill);
	churn.name = churn_name;
	churn.figure = a.refused / b.refused;
	churn.better = PERF_AT_MOST;
	perf_report(&churn);
	printf("%34s filled to %.2f GiB of 511, treap %.2f; refused %.0f, treap %.0f\n", "",
		a.filled / perf_repeats() / 1073741824, b.filled / perf_repeats() / 1073741824,
		a.refused, b.refused);
	return 0;
}

static int
bench_tight(void)
{
	int rc = tight_rows(
		"iova/tight filled, powers of two", "iova/tight refusals, powers of two", MIX_POW2);

	return rc < 0 ? rc
		      : tight_rows("iova/tight filled, any pages", "iova/tight refusals, any pages",
				MIX_PAGES);
}

REGISTER_PERF(tight) = {
	.name = "iova/tight",
	.what = "39 bit aperture: how full until the first refusal, how many refusals then",
	.run = bench_tight,
};

/* FIXED: the placement that a bus uses for the EAL's memory, and that every VFIO client uses. */

#define HUGEPAGE (UINT64_C(2) << 20)
#define GRID_START (UINT64_C(64) << 30)

/** Ranges of 2 MiB on a grid of twice as many places. The first n places are live. */
struct grid {
	struct dm_iova_allocator *space;
	uint64_t *place;
	uint32_t n;
	uint64_t random;
};

static uint32_t
grid_pick(struct grid *g)
{
	return (perf_random(&g->random) >> 32) * g->n >> 32;
}

/** Release a random range; reserve another at an address of the allocator's choice. */
static uint64_t
grid_any(void *arg, uint64_t ops)
{
	struct grid *g = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		uint64_t *live = &g->place[grid_pick(g)];

		errors += dm_iova_release(g->space, *live, HUGEPAGE) != 0;
		errors += dm_iova_reserve(g->space, HUGEPAGE, HUGEPAGE, 0, DMAMAP_ANYWHERE, live) !=
			0;
	}
	return errors;
}

/** Release a random range and reserve it again, FIXED: a place that was just released. */
static uint64_t
grid_same(void *arg, uint64_t ops)
{
	struct grid *g = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		uint64_t at = g->place[grid_pick(g)];

		errors += dm_iova_release(g->space, at, HUGEPAGE) != 0;
		errors += dm_iova_reserve_fixed(g->space, at, HUGEPAGE) != 0;
	}
	return errors;
}

/** Reserve a range, FIXED, that has been free for a while; release a random one. */
static uint64_t
grid_other(void *arg, uint64_t ops)
{
	struct grid *g = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		uint64_t *free = &g->place[g->n + grid_pick(g)], *live = &g->place[grid_pick(g)];

		errors += dm_iova_reserve_fixed(g->space, *free, HUGEPAGE) != 0;
		errors += dm_iova_release(g->space, *live, HUGEPAGE) != 0;
		RTE_SWAP(*free, *live);
	}
	return errors;
}

static int
grid_init(struct grid *g, uint32_t n)
{
	struct dm_range_set usable = {0};
	uint32_t i;
	int rc;

	*g = (struct grid){.n = n, .random = 88172645463325252};
	g->place = calloc(2 * n, sizeof(*g->place));
	rc = g->place != NULL ? 0 : -ENOMEM;
	if (rc == 0)
		rc = dm_range_set_add(
			&usable, (struct dmamap_range){GRID_START, (UINT64_C(1) << 48) - 1});
	if (rc == 0)
		rc = dm_iova_create(0, &g->space);
	if (rc == 0)
		rc = dm_iova_set_usable(g->space, &usable, 0, NULL);
	dm_range_set_clear(&usable);
	for (i = 0; i < 2 * n && rc == 0; i++)
		g->place[i] = GRID_START + i * HUGEPAGE;
	for (i = 0; i < n && rc == 0; i++)
		rc = dm_iova_reserve_fixed(g->space, g->place[i], HUGEPAGE);
	return rc;
}

static void
grid_fini(struct grid *g)
{
	dm_iova_destroy(g->space);
	free(g->place);
}

/** One row: FIXED on one allocator against automatic placement on another. */
static int
fixed_row(const char *what, perf_round_t fixed, uint32_t n)
{
	struct perf_row row = PERF_ROW_INIT;
	struct grid a, b;
	struct perf_side any = {grid_any, &a, 200000}, at = {fixed, &b, 200000};
	char name[64];
	int rc = grid_init(&a, n);

	if (rc == 0)
		rc = grid_init(&b, n);
	else
		b = (struct grid){0};
	if (rc == 0) {
		snprintf(name, sizeof(name), "iova/fixed %s, %u live", what, n);
		row.name = name;
		row.peer = "an address of our choice";
		row.better = PERF_AT_MOST;
		row.target = 1.5;
		row.stretch = 1;
		/* The figure is the second side's time divided by the first side's. */
		perf_compare(&any, &at, &row);
		RTE_SWAP(row.median, row.peer_median);
		row.low = row.high = NAN;
		perf_report(&row);
	}
	grid_fini(&a);
	grid_fini(&b);
	return rc;
}

static int
bench_fixed(void)
{
	static const uint32_t live[] = {64, 4096, 65536};
	unsigned int i;
	int rc = 0;

	for (i = 0; i < RTE_DIM(live) && rc == 0; i++) {
		rc = fixed_row("just released", grid_same, live[i]);
		if (rc == 0)
			rc = fixed_row("elsewhere", grid_other, live[i]);
	}
	return rc;
}

REGISTER_PERF(fixed) = {
	.name = "iova/fixed",
	.what = "FIXED reserve + release of 2 MiB against reserve + release at an address of our choice",
	.run = bench_fixed,
};

/* Growth with the number of live ranges */

static int
growth_point(uint32_t n, double *ours)
{
	static const char *const lines[] = {"iova/growth:treap, first fit", "iova/growth:Gantry"};
	struct perf_row row = PERF_ROW_INIT;
	char name[64];
	unsigned int side;
	int rc = 0;

	for (side = 0; side < 2 && rc == 0; side++) {
		struct churn c;
		struct perf_side s = {churn_round, &c, 200000};

		row = (struct perf_row)PERF_ROW_INIT;
		rc = churn_init(&c, side, MIX_POW2, n, wide_aperture);
		if (rc == 0) {
			perf_compare(&s, NULL, &row);
			row.errors += churn_check(&c);
			snprintf(name, sizeof(name), "iova/growth %u live%s", n,
				side ? "" : ", treap");
			row.name = name;
			row.series = lines[side];
			row.x = n;
			perf_report(&row);
			*ours = row.median;
		}
		churn_fini(&c);
	}
	return rc;
}

static int
bench_growth(void)
{
	struct perf_row row = PERF_ROW_INIT;
	double at[4];
	uint32_t n = 1000;
	unsigned int i;
	int rc = 0;

	for (i = 0; i < RTE_DIM(at) && rc == 0; i++, n *= 10)
		rc = growth_point(n, &at[i]);
	if (rc < 0)
		return rc;
	row.name = "iova/growth 10^6 over 10^3";
	row.peer = "flat";
	row.repeats = perf_repeats();
	row.median = at[3];
	row.peer_median = at[0];
	row.figure = at[3] / at[0];
	row.better = PERF_AT_MOST;
	perf_report(&row);
	return 0;
}

REGISTER_PERF(growth) = {
	.name = "iova/growth",
	.what = "reserve + release, mixed powers of two, 10^3 to 10^6 live",
	.run = bench_growth,
};
