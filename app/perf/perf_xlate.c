/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Benchmarks of the translation tables: look-ups in both directions, registration, readers beside
 * a writer, memory use, growth.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_memory.h>

#include "dm_xlate.h"
#include "perf.h"
#include "ref_lookup.h"

#define K UINT64_C(1024)
#define PAGE (4 * K)
#define M (K * K)
#define G (K * M)
#define LIVE 100000u

/** One mapping. */
struct map {
	uint64_t va, iova, len;
};

/** Mappings, and both tables that hold them. */
struct world {
	struct map *map;
	unsigned int n;
	struct dm_xlate *va2iova, *iova2va;
	struct perf_query *va_query, *iova_query;
};

/* Mappings of a benchmark */

/** Distribution of mapping lengths. */
enum mix {
	MIX_2M, /* all 2 MiB, adjacent, like an EAL's hugepages */
	MIX_POW2, /* powers of two from 4 KiB to 1 GiB, equally frequent (zones, rings) */
	MIX_SMALL, /* 40 % one page, 25 % to 64 KiB, 20 % to 1 MiB, 14 % to 64 MiB, 1 % 1 GiB */
};

static uint64_t
mix_len(enum mix mix, uint64_t *x)
{
	uint64_t dice;

	switch (mix) {
	case MIX_2M:
		return 2 * M;
	case MIX_POW2:
		return PAGE << perf_random(x) % 19;
	case MIX_SMALL:
		dice = perf_random(x) % 100;
		return dice < 40    ? PAGE
			: dice < 65 ? PAGE * (2 + perf_random(x) % 15)
			: dice < 85 ? 128 * K << perf_random(x) % 4
			: dice < 99 ? 2 * M << perf_random(x) % 6
				    : G;
	}
	return 0;
}

static uint64_t
mix_align(uint64_t len)
{
	return len >= G ? G : len >= 2 * M ? 2 * M : PAGE;
}

static void
shuffle(unsigned int *v, unsigned int n, uint64_t *x)
{
	unsigned int i, j, t;

	for (i = n; i > 1; i--) {
		j = perf_random(x) % i;
		t = v[i - 1];
		v[i - 1] = v[j];
		v[j] = t;
	}
}

/**
 * Place mappings in random order, aligned to page classes. One in four is followed by a hole of
 * some pages.
 */
static void
world_place(struct map *map, const unsigned int *order, unsigned int n, enum mix mix, uint64_t at,
	bool va, uint64_t *x)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct map *m = &map[order[i]];

		at = RTE_ALIGN_CEIL(at, mix_align(m->len));
		*(va ? &m->va : &m->iova) = at;
		at += m->len;
		if (mix != MIX_2M && perf_random(x) % 4 == 0)
			at += PAGE * (1 + perf_random(x) % 16);
	}
}

static void
make_queries(struct world *w, uint64_t *x)
{
	unsigned int i;

	for (i = 0; i < PERF_QUERIES; i++) {
		const struct map *m = &w->map[(perf_random(x) >> 20) % w->n];
		uint64_t offset = (perf_random(x) >> 8) % m->len;

		w->va_query[i] = (struct perf_query){m->va + offset, m->iova + offset};
		w->iova_query[i] = (struct perf_query){m->iova + offset, m->va + offset};
	}
}

static void
world_fini(struct world *w)
{
	dm_xlate_destroy(w->va2iova);
	dm_xlate_destroy(w->iova2va);
	free(w->map);
	free(w->va_query);
	free(w->iova_query);
}

static int
world_insert(struct world *w, const struct map *m)
{
	int rc = dm_xlate_insert(w->va2iova, m->va, m->iova, m->len);

	if (rc < 0)
		return rc;
	rc = dm_xlate_insert(w->iova2va, m->iova, m->va, m->len);
	if (rc < 0)
		dm_xlate_remove(w->va2iova, m->va, m->len);
	return rc;
}

static void
world_remove(struct world *w, const struct map *m)
{
	dm_xlate_remove(w->va2iova, m->va, m->len);
	dm_xlate_remove(w->iova2va, m->iova, m->len);
}

static int
world_init(struct world *w, enum mix mix, unsigned int n)
{
	uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
	unsigned int i, *order = malloc(n * sizeof(*order));
	int rc;

	*w = (struct world){.n = n,
		.map = calloc(n, sizeof(*w->map)),
		.va_query = calloc(PERF_QUERIES, sizeof(struct perf_query)),
		.iova_query = calloc(PERF_QUERIES, sizeof(struct perf_query))};
	rc = order == NULL || w->map == NULL || w->va_query == NULL || w->iova_query == NULL
		? -ENOMEM
		: 0;
	for (i = 0; i < n && rc == 0; i++) {
		order[i] = i;
		w->map[i].len = mix_len(mix, &x);
	}
	if (rc == 0)
		rc = dm_xlate_create(NULL, &w->va2iova);
	if (rc == 0)
		rc = dm_xlate_create(NULL, &w->iova2va);
	if (rc == 0) {
		world_place(w->map, order, n, mix, UINT64_C(0x7f0000000000) - 32 * K * G, true, &x);
		shuffle(order, n, &x);
		world_place(w->map, order, n, mix, M, false, &x);
		shuffle(order, n, &x);
		make_queries(w, &x);
	}
	/* Shuffled, so the order is neither that of VAs nor that of IOVAs. */
	for (i = 0; i < n && rc == 0; i++)
		rc = world_insert(w, &w->map[order[i]]);
	free(order);
	return rc;
}

/* Rounds of look-ups. */

PERF_ROUND_OF_LOOK_UPS(ours_round, dm_xlate_lookup)
PERF_ROUND_OF_LOOK_UPS(sorted_round, ref_sorted_lookup)
PERF_ROUND_OF_LOOK_UPS(two_level_round, ref_two_level_lookup)

/**
 * DPDK's own look-up in PA mode, which reads /proc/self/pagemap. The pages are the queries' own.
 */
static uint64_t
virt2phy_round(void *arg, uint64_t ops)
{
	const struct perf_look_ups *t = arg;
	uint64_t i, errors = 0;

	for (i = 0; i < ops; i++)
		errors += rte_mem_virt2iova(&t->query[i & (PERF_QUERIES - 1)]) == RTE_BAD_IOVA;
	return errors;
}

static struct ref_sorted *
sorted_of(const struct world *w, bool va)
{
	struct ref_sorted *s = ref_sorted_create(w->n);
	unsigned int i;

	for (i = 0; i < w->n && s != NULL; i++)
		ref_sorted_set(s, i, va ? w->map[i].va : w->map[i].iova, w->map[i].len,
			va ? w->map[i].iova : w->map[i].va);
	if (s != NULL)
		ref_sorted_sort(s);
	return s;
}

static int
against_sorted(const char *name, const struct world *w, double target, double stretch)
{
	struct perf_row row = PERF_ROW_INIT;
	struct ref_sorted *sorted = sorted_of(w, true);
	struct perf_look_ups o = {w->va2iova, w->va_query}, t = {sorted, w->va_query};
	struct perf_side a = {ours_round, &o, 1000000}, b = {sorted_round, &t, 1000000};

	if (sorted == NULL)
		return -ENOMEM;
	row.name = name;
	row.peer = "sorted array, binary search";
	row.target = target;
	row.stretch = stretch;
	perf_compare(&a, &b, &row);
	perf_report(&row);
	ref_sorted_destroy(sorted);
	return 0;
}

/** IOVA to VA, compared with VA to IOVA. */
static void
report_parity(const char *name, const struct world *w)
{
	struct perf_row row = PERF_ROW_INIT;
	struct perf_look_ups o = {w->iova2va, w->iova_query}, p = {w->va2iova, w->va_query};
	struct perf_side a = {ours_round, &o, 1000000}, b = {ours_round, &p, 1000000};

	row.name = name;
	row.peer = "VA to IOVA";
	row.target = 0.9;
	perf_compare(&a, &b, &row);
	perf_report(&row);
}

static void
report_memory(const char *name, const struct world *w)
{
	struct perf_row row = PERF_ROW_INIT;

	row.name = name;
	row.unit = "MiB";
	row.figure = (dm_xlate_memory(w->va2iova) + dm_xlate_memory(w->iova2va)) / (double)M;
	row.target = 20;
	row.stretch = 12;
	row.better = PERF_AT_MOST;
	row.repeats = 1;
	perf_report(&row);
	printf("%34s VA to IOVA %.1f MiB, IOVA to VA %.1f MiB\n", "",
		dm_xlate_memory(w->va2iova) / (double)M, dm_xlate_memory(w->iova2va) / (double)M);
}

static int
bench_2m(void)
{
	struct perf_row row = PERF_ROW_INIT;
	struct world w;
	struct perf_look_ups o, t;
	struct perf_side a = {ours_round, &o, 1000000}, b = {two_level_round, &t, 1000000};
	struct perf_side slow = {virt2phy_round, &t, 2000};
	struct ref_two_level *two_level = NULL;
	unsigned int i;
	int rc = world_init(&w, MIX_2M, 4096);

	if (rc == 0)
		rc = against_sorted("xlate/2m", &w, 8, 12);
	if (rc == 0)
		two_level = ref_two_level_create();
	if (two_level == NULL) {
		rc = rc < 0 ? rc : -ENOMEM;
		goto out;
	}
	for (i = 0; i < w.n && rc == 0; i++)
		rc = ref_two_level_set(two_level, w.map[i].va, w.map[i].iova);
	o = (struct perf_look_ups){w.va2iova, w.va_query};
	t = (struct perf_look_ups){two_level, w.va_query};
	row.name = "xlate/2m two-level";
	row.peer = "two-level map of 2 MiB pages";
	perf_compare(&a, &b, &row);
	perf_report(&row);

	row = (struct perf_row)PERF_ROW_INIT;
	row.name = "xlate/2m virt2iova";
	row.peer = "rte_mem_virt2iova, PA mode";
	row.target = 1000;
	if (rte_eal_iova_mode() == RTE_IOVA_PA && rte_mem_virt2iova(w.va_query) != RTE_BAD_IOVA) {
		perf_compare(&a, &slow, &row);
		perf_report(&row);
	} else {
		printf("%-34s not measured: needs --physical (root, hugepages)\n", row.name);
	}
	report_parity("xlate/2m IOVA to VA", &w);
out:
	ref_two_level_destroy(two_level);
	world_fini(&w);
	return rc;
}

static int
bench_mix(enum mix mix, const char *name, const char *parity_name, const char *memory_name)
{
	struct world w;
	int rc = world_init(&w, mix, LIVE);

	if (rc == 0)
		rc = against_sorted(name, &w, 3, 4);
	if (rc == 0) {
		report_parity(parity_name, &w);
		report_memory(memory_name, &w);
	}
	world_fini(&w);
	return rc;
}

static int
bench_mixed(void)
{
	return bench_mix(MIX_POW2, "xlate/mixed", "xlate/mixed IOVA to VA", "xlate/mixed memory");
}

static int
bench_small(void)
{
	return bench_mix(MIX_SMALL, "xlate/mixed-small", "xlate/mixed-small IOVA to VA",
		"xlate/mixed-small memory");
}

/* Registration in the tables */

struct registration {
	struct world *w;
	unsigned int stride; /**< distance to the next buffer; 0: always the same buffer */
	unsigned int next;
};

/** Unregister one of the live mappings and register it again. */
static uint64_t
register_round(void *arg, uint64_t ops)
{
	struct registration *r = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		const struct map *m = &r->w->map[r->next];

		world_remove(r->w, m);
		errors += world_insert(r->w, m) != 0;
		r->next = (r->next + r->stride) % r->w->n;
	}
	return errors;
}

/** Insert and remove mappings of one to 16 pages in new places among those that stay. */
static uint64_t
place_round(void *arg, uint64_t ops)
{
	struct registration *r = arg;
	uint64_t errors = 0, x = r->next + 1;

	while (ops-- > 0) {
		const struct map *m = &r->w->map[(perf_random(&x) >> 20) % r->w->n];
		struct map new;
		int rc;

		/* Use the hole that may follow a mapping. */
		new = (struct map){m->va + m->len, m->iova + m->len, PAGE};
		rc = world_insert(r->w, &new);
		errors += rc != 0 && rc != -EEXIST;
		if (rc == 0)
			world_remove(r->w, &new);
	}
	r->next = x;
	return errors;
}

static void
report_register(const char *name, struct registration *r, perf_round_t round)
{
	struct perf_side side = {round, r, 100000};

	perf_report_time(name, &side, NULL, 1000, 400);
}

static int
bench_register(void)
{
	struct world w;
	struct registration r = {.w = &w};
	int rc = world_init(&w, MIX_SMALL, LIVE);

	if (rc == 0) {
		report_register("xlate/register same", &r, register_round);
		r.stride = 7919;
		report_register("xlate/register any", &r, register_round);
		report_register("xlate/register new-place", &r, place_round);
	}
	world_fini(&w);
	return rc;
}

/* Readers beside a writer */

struct reader {
	struct perf_look_ups look_ups;
	unsigned int cpu;
	uint64_t ops, errors;
	double ns; /**< CPU time of the thread for a look-up */
};

struct writer {
	struct world *w;
	unsigned int cpu;
	bool stop;
	uint64_t changes;
};

static void *
reader_main(void *arg)
{
	struct reader *r = arg;
	uint64_t start;

	perf_pin(r->cpu);
	start = perf_thread_ns();
	r->errors = ours_round(&r->look_ups, r->ops);
	r->ns = (double)(perf_thread_ns() - start) / r->ops;
	return NULL;
}

/** Insert and remove mappings at full speed beside those that are looked up, which stay. */
static void *
writer_main(void *arg)
{
	struct writer *wr = arg;
	struct registration r = {.w = wr->w, .next = 1};

	perf_pin(wr->cpu);
	while (!__atomic_load_n(&wr->stop, __ATOMIC_RELAXED)) {
		place_round(&r, 100);
		wr->changes += 100;
	}
	return NULL;
}

/** Look-ups per microsecond of all readers together. */
static double
readers_rate(struct world *w, unsigned int n, uint64_t *errors)
{
	struct reader r[2] = {0};
	pthread_t thread[2];
	double rate = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		r[i] = (struct reader){{w->va2iova, w->va_query}, i, 1000000, 0, 0};
		if (pthread_create(&thread[i], NULL, reader_main, &r[i]) != 0)
			return NAN;
	}
	for (i = 0; i < n; i++) {
		pthread_join(thread[i], NULL);
		rate += 1000 / r[i].ns;
		*errors += r[i].errors;
	}
	return rate;
}

static int
bench_readers(void)
{
	struct perf_row row = PERF_ROW_INIT;
	unsigned int i, repeats = perf_repeats();
	double *ratio = calloc(3 * repeats, sizeof(*ratio)), *ns = ratio + repeats,
	       *ns2 = ns + repeats;
	double one, two;
	struct world w;
	struct writer wr = {.w = &w, .cpu = perf_cpus() - 1};
	pthread_t thread;
	int rc = world_init(&w, MIX_SMALL, LIVE);

	if (rc < 0 || perf_cpus() < 2 || ratio == NULL) {
		rc = rc < 0 ? rc : -ENODEV;
		goto out;
	}
	if (pthread_create(&thread, NULL, writer_main, &wr) != 0) {
		rc = -EAGAIN;
		goto out;
	}
	for (i = 0; i < repeats; i++) {
		one = readers_rate(&w, 1, &row.errors);
		two = readers_rate(&w, 2, &row.errors);
		ratio[i] = two / one;
		ns[i] = 1000 / one;
		ns2[i] = 2 * 1000 / two;
	}
	__atomic_store_n(&wr.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	row.name = "xlate/readers";
	row.peer = "one reader, a writer beside";
	perf_figure(&row, ratio, repeats);
	row.target = 1.8;
	row.stretch = 1.95;
	row.median = perf_median(ns, repeats);
	row.low = perf_quantile(ns, repeats, 0.25);
	row.high = perf_quantile(ns, repeats, 0.75);
	row.repeats = repeats;
	perf_report(&row);
	printf("%34s %" PRIu64 " changes meanwhile; times are of each reader's own CPU time\n", "",
		wr.changes);
	/* CPU time that a look-up takes of its reader. */
	perf_report_point(
		"xlate/threads 1", "threads:look-up, a writer beside", 1, ns, repeats, row.errors);
	perf_report_point(
		"xlate/threads 2", "threads:look-up, a writer beside", 2, ns2, repeats, row.errors);
out:
	free(ratio);
	world_fini(&w);
	return rc;
}

/** Cost against the number of live mappings: it should stay flat. */
static int
bench_growth(void)
{
	static const unsigned int live[] = {1000, 10000, 100000, 1000000};
	char name[2][64];
	unsigned int i;
	int rc = 0;

	for (i = 0; i < RTE_DIM(live) && rc == 0; i++) {
		struct perf_row row = PERF_ROW_INIT;
		struct world w;
		struct perf_look_ups o;
		struct registration r = {.w = &w, .stride = 7919};
		struct perf_side look = {ours_round, &o, 1000000},
				 change = {register_round, &r, 50000};

		rc = world_init(&w, MIX_SMALL, live[i]);
		if (rc == 0) {
			snprintf(name[0], sizeof(name[0]), "xlate/growth look-up %u", live[i]);
			o = (struct perf_look_ups){w.va2iova, w.va_query};
			row.name = name[0];
			row.series = "xlate/growth:look-up";
			row.x = live[i];
			perf_compare(&look, NULL, &row);
			perf_report(&row);
			row = (struct perf_row)PERF_ROW_INIT;
			snprintf(name[1], sizeof(name[1]), "xlate/growth register %u", live[i]);
			row.name = name[1];
			row.series = "xlate/growth:remove + insert";
			row.x = live[i];
			perf_compare(&change, NULL, &row);
			perf_report(&row);
		}
		world_fini(&w);
	}
	return rc;
}

REGISTER_PERF(hugepages) = {
	.name = "xlate/2m",
	.what = "VA to IOVA, 4,096 mappings of 2 MiB, random",
	.run = bench_2m,
};

REGISTER_PERF(mixed) = {
	.name = "xlate/mixed",
	.what = "VA to IOVA and back, 100,000 mappings, powers of two from 4 KiB to 1 GiB, random; memory",
	.run = bench_mixed,
};

REGISTER_PERF(small) = {
	.name = "xlate/mixed-small",
	.what = "the same, mostly small mappings",
	.run = bench_small,
};

REGISTER_PERF(registration) = {
	.name = "xlate/register",
	.what = "register + unregister, both directions, 100,000 live",
	.run = bench_register,
};

REGISTER_PERF(readers) = {
	.name = "xlate/readers",
	.what = "two readers against one, a writer running",
	.run = bench_readers,
};

REGISTER_PERF(growth) = {
	.name = "xlate/growth",
	.what = "look-up and registration with 10^3 to 10^6 live",
	.run = bench_growth,
};
