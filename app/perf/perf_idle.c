/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Benchmarks of the registration cache beside many idle, plain or aliased mappings.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_rcu_qsbr.h>

#include "perf.h"
#include "perf_bed.h"

#define STRIDE (2 * PERF_PAGE)
#define ENTRIES 65535u
#define MOST_REPEATS 1001

/** A container on a kernel whose maps cost nothing, with an armed cache. */
static int
idle_init(struct perf_bed *b, unsigned int entries, struct rte_rcu_qsbr *rcu)
{
	const struct perf_bed_conf conf = {.n_machine = 1,
		.n_attached = 1,
		.cost = PERF_KERNEL_FREE,
		.entry_limit = entries,
		.area_len = 4 * PERF_G,
		.rcu = rcu};
	int rc = perf_bed_init(b, &conf);

	return rc < 0 ? rc : dmamap_registration_cache(b->c, DMAMAP_CACHE_PROMISED, UINT64_MAX);
}

static uint64_t
register_one(struct perf_bed *b, uint64_t i)
{
	return perf_bed_idle(b, 1, i * STRIDE, PERF_PAGE, STRIDE) != 0;
}

/* A registration beyond the entries */

/** A reader that looks up translations all the time and reports its quiescent states. */
struct reader {
	struct rte_rcu_qsbr *rcu;
	bool stop;
};

static void *
reader_main(void *arg)
{
	struct reader *r = arg;

	perf_pin(perf_cpus() - 1);
	rte_rcu_qsbr_thread_register(r->rcu, 0);
	rte_rcu_qsbr_thread_online(r->rcu, 0);
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED))
		rte_rcu_qsbr_quiescent(r->rcu, 0);
	rte_rcu_qsbr_thread_offline(r->rcu, 0);
	rte_rcu_qsbr_thread_unregister(r->rcu, 0);
	return NULL;
}

/** Calls of the domain's unmap so far: they show how much was evicted. */
static uint64_t
unmap_calls(const struct perf_bed *b)
{
	struct dmamap_container_info info;

	dmamap_container_info(b->c, &info);
	return info.unmap_calls;
}

/** All entries are idle. Register one more, which is timed, then refill the evicted entries. */
static double
one_too_many(struct perf_bed *full, uint64_t *next, uint64_t *errors)
{
	struct dmamap_container_info info;
	uint64_t before = unmap_calls(full), start = perf_thread_ns();
	double ns;

	*errors += register_one(full, (*next)++);
	ns = perf_thread_ns() - start;
	*errors += unmap_calls(full) == before;
	for (;;) {
		dmamap_container_info(full->c, &info);
		if (info.entries_left == 0)
			return ns;
		*errors += register_one(full, (*next)++);
	}
}

static int
too_many_row(const char *name, struct rte_rcu_qsbr *rcu)
{
	static double figure[MOST_REPEATS], ours[MOST_REPEATS], theirs[MOST_REPEATS];
	struct perf_row row = PERF_ROW_INIT;
	struct perf_bed full, fits = {0};
	uint64_t next = ENTRIES, spare = ENTRIES, start;
	unsigned int i;
	int rc = idle_init(&full, ENTRIES, rcu);

	if (rc == 0)
		rc = idle_init(&fits, 2 * ENTRIES, rcu);
	if (rc == 0)
		rc = perf_bed_idle(&full, ENTRIES, 0, PERF_PAGE, STRIDE);
	if (rc == 0)
		rc = perf_bed_idle(&fits, ENTRIES, 0, PERF_PAGE, STRIDE);
	row.repeats = 10 * perf_repeats();
	row.repeats = RTE_MIN(row.repeats, (unsigned int)MOST_REPEATS);
	for (i = 0; i < row.repeats && rc == 0; i++) {
		ours[i] = one_too_many(&full, &next, &row.errors);
		start = perf_thread_ns();
		row.errors += register_one(&fits, spare++);
		theirs[i] = perf_thread_ns() - start;
		figure[i] = ours[i] / theirs[i];
	}
	if (rc == 0) {
		row.name = name;
		row.peer = "a registration that fits";
		row.better = PERF_AT_MOST;
		row.target = 10;
		row.stretch = 3;
		row.median = perf_median(ours, row.repeats);
		row.low = perf_quantile(ours, row.repeats, 0.25);
		row.high = perf_quantile(ours, row.repeats, 0.75);
		row.peer_median = perf_median(theirs, row.repeats);
		perf_figure(&row, figure, row.repeats);
		perf_report(&row);
	}
	perf_bed_fini(&full);
	perf_bed_fini(&fits);
	return rc;
}

static int
bench_too_many(void)
{
	struct reader r = {.rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, rte_rcu_qsbr_get_memsize(1))};
	pthread_t thread;
	int rc = too_many_row("registration/one too many", NULL);

	if (rc == 0)
		rc = r.rcu != NULL ? rte_rcu_qsbr_init(r.rcu, 1) : -ENOMEM;
	if (rc == 0)
		rc = -pthread_create(&thread, NULL, reader_main, &r);
	if (rc == 0) {
		rc = too_many_row("registration/one too many, readers", r.rcu);
		__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
	}
	free(r.rcu);
	return rc;
}

/* Invalidation among plain mappings */

enum { IDLE = 2000, PLAIN = 20000 };

/** The memory of idle registrations is spread evenly among that of plain mappings. */
static int
plain_init(struct perf_bed *b, bool plain)
{
	int rc = idle_init(b, 0, NULL);

	return rc < 0 || !plain ? rc : perf_bed_map(b, PLAIN, PERF_PAGE, PERF_PAGE, STRIDE);
}

static int
idle_again(struct perf_bed *b)
{
	return perf_bed_idle(b, IDLE, 0, PERF_PAGE, STRIDE * (PLAIN / IDLE));
}

static double
invalidate_once(struct perf_bed *b, uint64_t *errors)
{
	struct dmamap_container_info info;
	uint64_t before, start;
	double ns;

	*errors += idle_again(b) != 0;
	dmamap_container_info(b->c, &info);
	before = info.n_mappings;
	start = perf_thread_ns();
	*errors += dmamap_invalidate(b->c, b->area, PLAIN * STRIDE) != 0;
	ns = perf_thread_ns() - start;
	dmamap_container_info(b->c, &info);
	*errors += before - info.n_mappings != IDLE;
	return ns / IDLE;
}

static int
bench_invalidate(void)
{
	static double figure[MOST_REPEATS], ours[MOST_REPEATS], theirs[MOST_REPEATS];
	struct perf_row row = PERF_ROW_INIT;
	struct perf_bed among, alone = {0};
	unsigned int i;
	int rc = plain_init(&among, true);

	if (rc == 0)
		rc = plain_init(&alone, false);
	for (i = 0; i < perf_repeats() && rc == 0; i++) {
		ours[i] = invalidate_once(&among, &row.errors);
		theirs[i] = invalidate_once(&alone, &row.errors);
		figure[i] = ours[i] / theirs[i];
	}
	if (rc == 0) {
		row.name = "registration/invalidate, 20,000 plain";
		row.peer = "2,000 idle ones alone";
		row.better = PERF_AT_MOST;
		row.target = 5;
		row.stretch = 2;
		row.repeats = perf_repeats();
		row.median = perf_median(ours, row.repeats);
		row.peer_median = perf_median(theirs, row.repeats);
		perf_figure(&row, figure, row.repeats);
		perf_report(&row);
	}
	perf_bed_fini(&among);
	perf_bed_fini(&alone);
	return rc;
}

/* A miss beside idle registrations and aliases */

enum { BESIDE = 50000, ALIASES = 20000 };

struct miss {
	struct perf_bed bed;
	struct dmamap_registration *reg[ALIASES];
};

/**
 * Make aliases in use: two pages are mapped, and a registration covers both of them. So each
 * registers memory that is partly mapped already.
 */
static int
miss_init(struct miss *s, bool company)
{
	const uint64_t at = BESIDE * STRIDE;
	rte_iova_t iova;
	unsigned int i;
	int rc = idle_init(&s->bed, 0, NULL);

	if (rc < 0 || !company)
		return rc;
	rc = perf_bed_idle(&s->bed, BESIDE, 0, PERF_PAGE, STRIDE);
	if (rc == 0)
		rc = perf_bed_map(&s->bed, ALIASES, at, PERF_PAGE, 2 * STRIDE);
	for (i = 0; i < ALIASES && rc == 0; i++)
		rc = dmamap_register(s->bed.c, s->bed.area + at + i * 2 * STRIDE, 2 * PERF_PAGE,
			DMAMAP_RW, &iova, &s->reg[i]);
	return rc;
}

static void
miss_fini(struct miss *s)
{
	unsigned int i;

	for (i = 0; s != NULL && i < ALIASES; i++)
		dmamap_deregister(s->reg[i]);
	if (s != NULL)
		perf_bed_fini(&s->bed);
	free(s);
}

static uint64_t
round_miss(void *arg, uint64_t ops)
{
	struct miss *s = arg;
	char *va = s->bed.area + 3 * PERF_G;
	uint64_t errors = 0;

	while (ops-- > 0) {
		errors += perf_bed_idle(&s->bed, 1, 3 * PERF_G, PERF_PAGE, STRIDE) != 0;
		errors += dmamap_invalidate(s->bed.c, va, PERF_PAGE) != 0;
	}
	return errors;
}

static int
bench_miss(void)
{
	struct miss *beside = calloc(1, sizeof(*beside)), *alone = calloc(1, sizeof(*alone));
	struct perf_side a = {round_miss, alone, 20000}, b = {round_miss, beside, 20000};
	struct perf_row row = PERF_ROW_INIT;
	int rc = beside == NULL || alone == NULL ? -ENOMEM : miss_init(beside, true);

	if (rc == 0)
		rc = miss_init(alone, false);
	if (rc == 0) {
		row.name = "registration/a miss beside many";
		row.peer = "beside none";
		row.better = PERF_AT_MOST;
		row.target = 2;
		row.stretch = 1.2;
		/* The figure is the second side's time divided by the first side's. */
		perf_compare(&a, &b, &row);
		RTE_SWAP(row.median, row.peer_median);
		row.low = row.high = NAN;
		perf_report(&row);
	}
	miss_fini(beside);
	miss_fini(alone);
	return rc;
}

REGISTER_PERF(too_many) = {
	.name = "registration/too-many",
	.what = "a registration that evicts, of 65,535 idle ones, against one that fits; with readers too",
	.run = bench_too_many,
};

REGISTER_PERF(invalidate) = {
	.name = "registration/invalidate",
	.what = "invalidate of 2,000 idle ones among 20,000 plain mappings against 2,000 alone",
	.run = bench_invalidate,
};

REGISTER_PERF(miss) = {
	.name = "registration/miss",
	.what = "a miss beside 50,000 idle ones and 20,000 aliases in use against one beside none",
	.run = bench_miss,
};
