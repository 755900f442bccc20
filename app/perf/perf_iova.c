/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How fast is the IOVA allocator, how far does it fill a tight aperture, how does it grow?
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_lcore.h>

#include "dm_iova.h"
#include "perf.h"
#include "ref_treap.h"

#define PAGE DM_IOVA_GRANULE
#define LIVE 100000u
#define LENS 4096u /* a power of two, so many that an index fits below an IOVA */
#define NOTHING UINT64_MAX /* a live word: its take was refused */

/** Which allocator: ours, or the reference. */
struct subject {
	struct dm_iova_space *ours;
	struct ref_treap *ref;
};

static int
subject_take(const struct subject *s, uint64_t len, uint64_t align, rte_iova_t *iova)
{
	return s->ours != NULL ? dm_iova_take(s->ours, len, align, 0, DMAMAP_ANYWHERE, iova)
			       : ref_treap_take(s->ref, len, align, iova);
}

static int
subject_give(const struct subject *s, rte_iova_t iova, uint64_t len)
{
	return s->ours != NULL ? dm_iova_give(s->ours, iova, len)
			       : ref_treap_give(s->ref, iova, len);
}

static void
subject_destroy(struct subject *s)
{
	dm_iova_destroy(s->ours);
	ref_treap_destroy(s->ref);
}

/** A 48 bit aperture with 16 reserved holes in its lower part, where they are met all the time. */
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

/** The lengths of a workload. */
enum mix {
	MIX_4K, /* one page */
	MIX_POW2, /* powers of two from 4 KiB to 1 GiB, each as often: what zones and rings ask for
		   */
	MIX_PAGES, /* any number of pages from 1 to 1 GiB, spread evenly over the powers of two */
};

/** A workload on one allocator: live ranges, of which random ones are given back and taken anew. */
struct churn {
	struct subject s;
	struct dm_range_set usable;
	uint64_t lens[LENS];
	uint64_t *live; /* IOVA | index of its length: 8 bytes, to leave the caches to the
			   allocators */
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

/** As a mapper asks: page classes of the IOMMU where the length reaches them. */
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
take_one(struct churn *c, uint64_t *live)
{
	uint32_t i = c->next_len++ & (LENS - 1);
	rte_iova_t iova;

	if (likely(subject_take(&c->s, c->lens[i], align_of(c->lens[i]), &iova) == 0)) {
		*live = iova | i;
		return 0;
	}
	*live = NOTHING;
	c->refused++;
	return !c->may_fail;
}

static uint64_t
give_one(struct churn *c, uint64_t live)
{
	return live != NOTHING && subject_give(&c->s, live & ~(PAGE - 1), live_len(c, live)) != 0;
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
		errors += give_one(c, *live);
		errors += take_one(c, live);
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

/** Are the live ranges usable, aligned and disjoint? Sorts them. */
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

/** Highest address in use; after churn_check(). */
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
		rc = take_one(c, &c->live[i]) == 0 ? 0 : -ENOSPC;
	return rc;
}

static void
churn_fini(struct churn *c)
{
	subject_destroy(&c->s);
	dm_range_set_clear(&c->usable);
	free(c->live);
}

/** Points of the plot of tails; x is one in how many operations takes longer. */
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

/** The tail row that belongs to a throughput row; with the name of a line, that line of the plot
 * too. */
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
	.what = "take + give, powers of two from 4 KiB to 1 GiB, 100,000 live, 16 holes",
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

/* Tight: 39 bits, as on a small IOMMU, filled until a take is refused, then churned while full. */

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
	double filled; /* bytes, until the first refusal */
	double refused; /* of the churn after it */
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
		sum->errors += take_one(&c, &c.live[n]);
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

/* Two lcores on one space, each with its own live ranges. */

struct lcore {
	pthread_t thread;
	struct churn c; /* only lens, live and random are its own */
	unsigned int cpu;
	pthread_barrier_t *start;
	double ns; /* for each operation, of its own CPU time */
	uint64_t errors;
};

#define LCORE_OPS 400000

static void *
lcore_main(void *arg)
{
	struct lcore *l = arg;
	uint64_t start;
	uint32_t i;

	l->errors = perf_pin(l->cpu) < 0 || rte_thread_register() < 0;
	for (i = 0; i < l->c.n; i++)
		l->errors += take_one(&l->c, &l->c.live[i]);
	l->errors += churn_round(&l->c, LCORE_OPS);
	pthread_barrier_wait(l->start);
	start = perf_thread_ns();
	l->errors += churn_round(&l->c, LCORE_OPS);
	l->ns = (double)(perf_thread_ns() - start) / LCORE_OPS;
	pthread_barrier_wait(l->start);
	for (i = 0; i < l->c.n; i++)
		l->errors += give_one(&l->c, l->c.live[i]);
	rte_thread_unregister();
	return NULL;
}

/** @return operations per ns of n lcores together; 0: it did not work */
static double
lcores_run(struct lcore *lcores, unsigned int n)
{
	pthread_barrier_t start;
	double rate = 0;
	unsigned int i;

	if (pthread_barrier_init(&start, NULL, n) != 0)
		return 0;
	for (i = 0; i < n; i++) {
		lcores[i].cpu = i;
		lcores[i].start = &start;
		/* A thread that is missing would leave the others at the barrier. */
		if (pthread_create(&lcores[i].thread, NULL, lcore_main, &lcores[i]) != 0)
			abort();
	}
	for (i = 0; i < n; i++) {
		pthread_join(lcores[i].thread, NULL);
		rate += 1 / lcores[i].ns;
	}
	pthread_barrier_destroy(&start);
	return rate;
}

/** Two lcores, each with half of what lives: on one space, or each on its own. */
static int
lcores_init(struct lcore *l, bool own)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < 2 && rc == 0; i++) {
		if (i == 0 || own)
			rc = churn_init(&l[i].c, true, MIX_POW2, 0, wide_aperture);
		else
			l[i].c = l[0].c;
		free(i == 0 || own ? l[i].c.live : NULL);
		l[i].c.n = LIVE / 2;
		l[i].c.random = 88172645463325252 + i;
		l[i].c.next_len = i * LENS / 2;
		l[i].c.live = calloc(LIVE / 2, sizeof(*l[i].c.live));
		if (l[i].c.live == NULL)
			rc = -ENOMEM;
	}
	return rc;
}

static void
lcores_fini(struct lcore *l, bool own)
{
	if (own)
		churn_fini(&l[1].c);
	else
		free(l[1].c.live);
	churn_fini(&l[0].c);
}

/** What two lcores do against one; times of the repeats are what a take + give takes of its lcore's
 * time. */
struct lcores_result {
	double ratio[1001], single[1001], both[1001];
	uint64_t errors;
};

static void
lcores_repeat(struct lcore *l, struct lcores_result *r, unsigned int i)
{
	r->single[i] = 1 / lcores_run(l, 1);
	r->both[i] = 2 / lcores_run(l, 2);
	r->ratio[i] = 2 * r->single[i] / r->both[i];
	r->errors += l[0].errors + l[1].errors;
}

static void
lcores_report(const char *name, struct lcores_result *r, double target, double stretch)
{
	struct perf_row row = PERF_ROW_INIT;

	row.name = name;
	row.peer = "1 lcore";
	row.repeats = perf_repeats();
	row.median = perf_median(r->single, row.repeats);
	row.low = perf_quantile(r->single, row.repeats, 0.25);
	row.high = perf_quantile(r->single, row.repeats, 0.75);
	perf_figure(&row, r->ratio, row.repeats);
	row.target = target;
	row.stretch = stretch;
	row.errors = r->errors;
	perf_report(&row);
}

static int
bench_lcores(void)
{
	static struct lcores_result one, two;
	static struct lcore a[2], b[2];
	unsigned int i;
	int rc;

	if (perf_cpus() < 2)
		return -ENODEV;
	one.errors = two.errors = 0;
	memset(b, 0, sizeof(b));
	rc = lcores_init(a, false);
	if (rc == 0)
		rc = lcores_init(b, true);
	for (i = 0; i < perf_repeats() && rc == 0; i++) {
		lcores_repeat(a, &one, i);
		lcores_repeat(b, &two, i);
	}
	if (rc == 0) {
		lcores_report("iova/2-lcores", &one, 1.7, 1.95);
		/* What this machine can do when the lcores share nothing of ours. */
		lcores_report("iova/2-lcores, two spaces", &two, NAN, NAN);
		perf_report_point("iova/threads 1", "threads:take + give", 1, one.single,
			perf_repeats(), one.errors);
		perf_report_point("iova/threads 2", "threads:take + give", 2, one.both,
			perf_repeats(), one.errors);
	}
	lcores_fini(a, false);
	lcores_fini(b, true);
	return rc;
}

REGISTER_PERF(lcores) = {
	.name = "iova/2-lcores",
	.what = "take + give on 2 lcores against 1, mixed powers of two, 50,000 live each; on one space, on two",
	.run = bench_lcores,
};

/* Growth. */

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
	.what = "take + give, mixed powers of two, 10^3 to 10^6 live",
	.run = bench_growth,
};
