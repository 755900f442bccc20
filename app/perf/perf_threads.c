/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Benchmarks of public calls by two threads at once: map and unmap, hits, a hit beside a long map.
 *
 * Calls may sleep in a lock, and time asleep is no CPU time. So time on the wall counts, less the
 * time that a thread was ready to run and had no CPU (/proc/thread-self/schedstat).
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <rte_common.h>

#include "perf.h"
#include "perf_bed.h"

#define STRIDE (2 * PERF_PAGE)
#define LIVE 100000u
#define PRIME 7919u

/** Work of one thread. */
struct worker {
	struct perf_bed *bed;
	perf_round_t round;
	pthread_barrier_t *start;
	unsigned int cpu;
	unsigned int first, n; /**< its own buffers */
	unsigned int next;
	uint64_t ops, errors;
	double busy_ns, cpu_ns; /**< total of all operations */
} __rte_cache_aligned;

/** Wall-clock time, less the time that the calling thread waited for a CPU. */
static uint64_t
busy_ns(void)
{
	unsigned long long delay = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "re");
	struct timespec ts;

	if (f != NULL && fscanf(f, "%*u %llu", &delay) != 1)
		delay = 0;
	if (f != NULL)
		fclose(f);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec - delay;
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t busy, cpu;

	perf_pin(w->cpu);
	pthread_barrier_wait(w->start);
	busy = busy_ns();
	cpu = perf_thread_ns();
	w->errors = w->round(w, w->ops);
	w->cpu_ns = perf_thread_ns() - cpu;
	w->busy_ns = busy_ns() - busy;
	return NULL;
}

/** Operations per microsecond of n threads together. */
struct rate {
	double busy, cpu;
};

static int
workers_run(struct perf_bed *bed, perf_round_t round, unsigned int live, uint64_t ops,
	unsigned int n, struct rate *rate, uint64_t *errors)
{
	struct worker w[2];
	pthread_barrier_t start;
	pthread_t thread[2];
	unsigned int i;

	*rate = (struct rate){0};
	pthread_barrier_init(&start, NULL, n);
	for (i = 0; i < n; i++) {
		w[i] = (struct worker){.bed = bed,
			.round = round,
			.start = &start,
			.cpu = i,
			.first = i * (live / 2),
			.n = live / 2,
			.ops = ops};
		if (pthread_create(&thread[i], NULL, worker_main, &w[i]) != 0)
			exit(EXIT_FAILURE); /* the other threads would wait at the barrier for good
					     */
	}
	for (i = 0; i < n; i++) {
		pthread_join(thread[i], NULL);
		*errors += w[i].errors;
		rate->busy += 1000 * ops / w[i].busy_ns;
		rate->cpu += 1000 * ops / w[i].cpu_ns;
	}
	pthread_barrier_destroy(&start);
	return 0;
}

/** Measure two threads against one, alternately. */
static int
two_against_one(struct perf_bed *bed, const char *name, perf_round_t round, unsigned int live,
	uint64_t ops, double target, double stretch)
{
	const unsigned int n = perf_repeats();
	double *figure = calloc(3 * n, sizeof(*figure)), *other = figure + n, *ns = other + n;
	struct perf_row row = PERF_ROW_INIT;
	struct rate one, two;
	unsigned int i;

	if (figure == NULL || perf_cpus() < 2) {
		free(figure);
		return -ENODEV;
	}
	for (i = 0; i < n; i++) {
		workers_run(bed, round, live, ops, 1, &one, &row.errors);
		workers_run(bed, round, live, ops, 2, &two, &row.errors);
		figure[i] = two.busy / one.busy;
		other[i] = two.cpu / one.cpu;
		ns[i] = 1000 / one.cpu;
	}
	row.name = name;
	row.peer = "one thread";
	row.target = target;
	row.stretch = stretch;
	row.repeats = n;
	row.median = perf_median(ns, n);
	row.low = perf_quantile(ns, n, 0.25);
	row.high = perf_quantile(ns, n, 0.75);
	perf_figure(&row, figure, n);
	perf_report(&row);
	printf("%34s by CPU time alone: %.2fx\n", "", perf_median(other, n));
	free(figure);
	return 0;
}

static void *
worker_va(struct worker *w)
{
	w->next = (w->next + PRIME) % w->n;
	return w->bed->area + (w->first + w->next) * STRIDE;
}

/** Map and unmap. At most one mapping of the thread exists at a time. */
static uint64_t
round_map(void *arg, uint64_t ops)
{
	struct worker *w = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		rte_iova_t iova;

		errors += dmamap_map(w->bed->c, worker_va(w), PERF_PAGE, DMAMAP_RW, &iova) != 0;
		errors += dmamap_unmap(w->bed->c, iova, PERF_PAGE) != 0;
	}
	return errors;
}

/** Register part of memory that is idle or in use. */
static uint64_t
round_hit(void *arg, uint64_t ops)
{
	struct worker *w = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		char *va = (char *)worker_va(w) + 64;
		struct dmamap_registration *reg;
		rte_iova_t iova;

		if (dmamap_register(w->bed->c, va, 1500, DMAMAP_RW, &iova, &reg) != 0)
			return errors + 1;
		errors += iova != dmamap_va2iova(w->bed->c, va);
		errors += dmamap_deregister(reg) != 0;
	}
	return errors;
}

/* Upper bound of what two threads can do on this machine: work that shares nothing */

/**
 * Arithmetic in registers, with enough independent chains to fill a core. Hyperthreads share it.
 */
static uint64_t
round_arithmetic(void *arg, uint64_t ops)
{
	enum { CHAINS = 8 }; /* independent chains */
	const struct worker *w = arg;
	uint64_t x[CHAINS], all = 0;
	unsigned int i;

	for (i = 0; i < CHAINS; i++)
		x[i] = w->first + i + 1;
	while (ops-- > 0)
		for (i = 0; i < CHAINS; i++)
			perf_random(&x[i]);
	for (i = 0; i < CHAINS; i++)
		all |= x[i];
	return all == 0;
}

/** Read 1 MiB, line by line, that no other thread touches: half of the L2 cache. */
static uint64_t
round_private(void *arg, uint64_t ops)
{
	enum { LINES = (1 << 20) / RTE_CACHE_LINE_SIZE };
	const struct worker *w = arg;
	char *mem = aligned_alloc(RTE_CACHE_LINE_SIZE, LINES * RTE_CACHE_LINE_SIZE);
	uint32_t at = 0, *next;
	unsigned int i;

	if (mem == NULL)
		return 1;
	/* An odd step visits all lines. */
	for (i = 0; i < LINES; i++) {
		next = (uint32_t *)(void *)(mem + i * RTE_CACHE_LINE_SIZE);
		*next = (i + PRIME + 2 * w->first) % LINES * RTE_CACHE_LINE_SIZE;
	}
	while (ops-- > 0)
		at = *(const uint32_t *)(const void *)(mem + at);
	free(mem);
	return at >= LINES * RTE_CACHE_LINE_SIZE;
}

static int
bench_control(void)
{
	int rc = two_against_one(
		NULL, "threads/control, arithmetic", round_arithmetic, 2, 4000000, NAN, NAN);

	return rc < 0 ? rc
		      : two_against_one(NULL, "threads/control, 1 MiB each", round_private, 2,
				3000000, NAN, NAN);
}

static int
bench_map(void)
{
	static const struct {
		const char *name;
		unsigned int devices;
		enum perf_kernel cost;
	} variant[] = {{"threads/map + unmap, no devices", 0, PERF_KERNEL_FREE},
		{"threads/map + unmap, mock", 1, PERF_KERNEL_MOCK},
		{"threads/map + unmap, 2 us each", 1, PERF_KERNEL_BUSY}};
	unsigned int i;
	int rc = 0;

	for (i = 0; i < RTE_DIM(variant) && rc == 0; i++) {
		const struct perf_bed_conf conf = {.n_machine = 1,
			.n_attached = variant[i].devices,
			.cost = variant[i].cost,
			.area_len = 1000 * STRIDE};
		struct perf_bed b;

		rc = perf_bed_init(&b, &conf);
		if (rc == 0)
			rc = two_against_one(
				&b, variant[i].name, round_map, 1000, 30000, 1.7, 1.95);
		perf_bed_fini(&b);
	}
	return rc;
}

static int
hits_init(struct perf_bed *b, enum perf_kernel cost, enum dmamap_cache_mode mode, unsigned int live)
{
	const struct perf_bed_conf conf = {.n_machine = 1,
		.n_attached = 1,
		.cost = cost,
		.area_len = LIVE * STRIDE + 2 * PERF_SLOW_LEN};
	int rc = perf_bed_init(b, &conf);

	if (rc == 0)
		rc = dmamap_registration_cache(b->c, mode, UINT64_MAX);
	return rc < 0 ? rc : perf_bed_idle(b, live, 0, PERF_PAGE, STRIDE);
}

static int
bench_hit(void)
{
	struct perf_bed b;
	int rc = hits_init(&b, PERF_KERNEL_FREE, DMAMAP_CACHE_PROMISED, LIVE);

	if (rc == 0)
		rc = two_against_one(
			&b, "threads/register, a hit", round_hit, LIVE, 200000, 1.9, 1.98);
	perf_bed_fini(&b);
	return rc;
}

/* A hit while another thread makes a long map */

struct mapper {
	struct perf_bed *bed;
	bool stop;
	unsigned int maps;
	uint64_t errors;
};

/** Map 4 GiB in a loop; the kernel sleeps in each map. */
static void *
mapper_main(void *arg)
{
	struct mapper *m = arg;
	char *va = m->bed->area + RTE_ALIGN_CEIL((uint64_t)LIVE * STRIDE, PERF_G);

	perf_pin(perf_cpus() - 1);
	while (!__atomic_load_n(&m->stop, __ATOMIC_RELAXED)) {
		rte_iova_t iova;

		m->errors += dmamap_map(m->bed->c, va, PERF_SLOW_LEN, DMAMAP_RW, &iova) != 0;
		m->errors += dmamap_unmap(m->bed->c, iova, PERF_SLOW_LEN) != 0;
		__atomic_add_fetch(&m->maps, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/** Report p99.9 and median of hits. */
static int
hit_tail(struct perf_bed *b, double *p99_9, double *median, uint64_t *errors)
{
	struct worker w = {.bed = b, .n = LIVE};
	struct perf_tail tail;
	unsigned int i;
	int rc = perf_tail_init(&tail, 100000);

	for (i = 0; i < 100000 && rc == 0; i++) {
		uint64_t t0 = rte_rdtsc_precise();

		*errors += round_hit(&w, 1);
		perf_tail_add(&tail, rte_rdtsc_precise() - t0);
	}
	if (rc == 0) {
		*p99_9 = perf_tail_ns(&tail, 0.999);
		*median = perf_tail_ns(&tail, 0.5);
	}
	perf_tail_fini(&tail);
	return rc;
}

static int
beside_once(struct perf_bed *b, double *p99_9, double *median, uint64_t *errors, unsigned int *maps)
{
	struct mapper m = {.bed = b};
	pthread_t thread;
	int rc;

	if (pthread_create(&thread, NULL, mapper_main, &m) != 0)
		return -EAGAIN;
	rc = hit_tail(b, p99_9, median, errors);
	__atomic_store_n(&m.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	*errors += m.errors;
	*maps += m.maps;
	return rc;
}

static int
bench_beside(void)
{
	enum { MOST = 1001 };
	static double figure[MOST], ours[MOST], alone[MOST];
	struct perf_row row = PERF_ROW_INIT;
	unsigned int i, maps = 0;
	double median, unused;
	struct perf_bed b;
	int rc = hits_init(&b, PERF_KERNEL_SLOW, DMAMAP_CACHE_PROMISED, LIVE);

	for (i = 0; i < perf_repeats() && rc == 0; i++) {
		rc = hit_tail(&b, &alone[i], &unused, &row.errors);
		if (rc == 0)
			rc = beside_once(&b, &ours[i], &median, &row.errors, &maps);
		figure[i] = ours[i] / alone[i];
	}
	if (rc == 0) {
		row.name = "threads/hit beside a map, p99.9";
		row.peer = "p99.9 of a hit alone";
		row.better = PERF_AT_MOST;
		row.target = 2;
		row.stretch = 1.2;
		row.repeats = perf_repeats();
		row.median = median;
		row.p99_9 = perf_median(ours, row.repeats);
		row.peer_median = perf_median(alone, row.repeats);
		row.errors += maps == 0;
		perf_figure(&row, figure, row.repeats);
		perf_report(&row);
		printf("%34s %u maps of 4 GiB meanwhile\n", "", maps);
	}
	perf_bed_fini(&b);
	return rc;
}

/* Cost of a watched cache */

static int
bench_watched(void)
{
	struct worker wa = {.n = 1000}, wp = {.n = 1000};
	struct perf_side watched = {round_hit, &wa, 100000}, promised = {round_hit, &wp, 100000};
	struct perf_row row = PERF_ROW_INIT;
	struct perf_bed a, p = {0};
	int rc = hits_init(&a, PERF_KERNEL_FREE, DMAMAP_CACHE_WATCHED, 1000);

	if (rc == 0)
		rc = hits_init(&p, PERF_KERNEL_FREE, DMAMAP_CACHE_PROMISED, 1000);
	if (rc == 0) {
		wa.bed = &a;
		wp.bed = &p;
		row.name = "registration/watched hit";
		row.peer = "a promised hit";
		row.unit = "ns";
		row.difference = true;
		row.better = PERF_AT_MOST;
		perf_compare(&watched, &promised, &row);
		perf_report(&row);
	}
	perf_bed_fini(&a);
	perf_bed_fini(&p);
	return rc;
}

REGISTER_PERF(threads_control) = {
	.name = "threads/control",
	.what = "two threads that share nothing against one: what this machine scales to",
	.run = bench_control,
};

REGISTER_PERF(threads_map) = {
	.name = "threads/map",
	.what = "dmamap_map() + dmamap_unmap() by two threads against one",
	.run = bench_map,
};

REGISTER_PERF(threads_hit) = {
	.name = "threads/hit",
	.what = "dmamap_register() + dmamap_deregister(), hits, by two threads against one, 100,000 live",
	.run = bench_hit,
};

REGISTER_PERF(threads_beside) = {
	.name = "threads/beside",
	.what = "p99.9 of a hit while another thread maps 4 GiB, and the kernel takes long",
	.run = bench_beside,
};

REGISTER_PERF(watched) = {
	.name = "registration/watched",
	.what = "a hit of a watched registration against a promised one",
	.run = bench_watched,
};
