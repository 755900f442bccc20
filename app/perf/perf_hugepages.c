/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Benchmarks of the public calls on mappings of 2 MiB: FIXED maps, and look-ups against a two-level
 * map.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_common.h>

#include "perf.h"
#include "perf_bed.h"
#include "ref_lookup.h"

#define HUGEPAGE (2 * PERF_M)
#define MOST 65536u
#define FIXED_START (8 * PERF_G)
#define OPS 100000u

static const unsigned int sizes[] = {64, 4096, MOST};

/** Mappings of 2 MiB, one in each 4 MiB of memory. Of 2 * n IOVA places, n are free. */
struct grid {
	struct perf_bed bed;
	unsigned int n;
	rte_iova_t *iova; /**< 2 * n places: those of the n mappings, then n free ones */
	uint64_t random;
};

static unsigned int
grid_pick(struct grid *g)
{
	return (perf_random(&g->random) >> 32) * g->n >> 32;
}

static void *
grid_va(const struct grid *g, unsigned int i)
{
	return g->bed.area + 2 * HUGEPAGE * i;
}

static void
grid_fini(struct grid *g)
{
	perf_bed_fini(&g->bed);
	free(g->iova);
}

/** Without a device, so no kernel is called and only the library's part is measured. */
static int
grid_init(struct grid *g, unsigned int n, bool fixed)
{
	const struct perf_bed_conf conf = {.n_machine = 1, .area_len = 2 * HUGEPAGE * n};
	unsigned int i;
	int rc;

	*g = (struct grid){.n = n, .random = UINT64_C(88172645463325252)};
	g->iova = calloc(2 * n, sizeof(g->iova[0]));
	rc = perf_bed_init(&g->bed, &conf);
	if (rc == 0 && g->iova == NULL)
		rc = -ENOMEM;
	for (i = 0; i < 2 * n && rc == 0; i++) {
		g->iova[i] = FIXED_START + i * HUGEPAGE;
		if (i < n)
			rc = dmamap_map(g->bed.c, grid_va(g, i), HUGEPAGE,
				DMAMAP_RW | (fixed ? DMAMAP_FIXED : 0), &g->iova[i]);
	}
	return rc;
}

/** Check that each mapping translates both ways. @return wrong answers */
static uint64_t
grid_check(const struct grid *g)
{
	uint64_t errors = 0;
	unsigned int i;

	for (i = 0; i < g->n; i++) {
		errors += dmamap_va2iova(g->bed.c, grid_va(g, i)) != g->iova[i];
		errors += dmamap_iova2va(g->bed.c, g->iova[i]) != grid_va(g, i);
	}
	return errors;
}

/** Unmap a random mapping and map it again at an IOVA of the container's choice. */
static uint64_t
round_any(void *arg, uint64_t ops)
{
	struct grid *g = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		unsigned int i = grid_pick(g);

		errors += dmamap_unmap(g->bed.c, g->iova[i], HUGEPAGE) != 0;
		errors +=
			dmamap_map(g->bed.c, grid_va(g, i), HUGEPAGE, DMAMAP_RW, &g->iova[i]) != 0;
	}
	return errors;
}

/** Unmap a random mapping and map it again at the same IOVA, FIXED. */
static uint64_t
round_same(void *arg, uint64_t ops)
{
	struct grid *g = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		unsigned int i = grid_pick(g);

		errors += dmamap_unmap(g->bed.c, g->iova[i], HUGEPAGE) != 0;
		errors += dmamap_map(g->bed.c, grid_va(g, i), HUGEPAGE, DMAMAP_RW | DMAMAP_FIXED,
				  &g->iova[i]) != 0;
	}
	return errors;
}

/** Unmap a random mapping and map it, FIXED, at a place that has been free for a while. */
static uint64_t
round_elsewhere(void *arg, uint64_t ops)
{
	struct grid *g = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		unsigned int i = grid_pick(g), place = g->n + grid_pick(g);

		errors += dmamap_unmap(g->bed.c, g->iova[i], HUGEPAGE) != 0;
		RTE_SWAP(g->iova[i], g->iova[place]);
		errors += dmamap_map(g->bed.c, grid_va(g, i), HUGEPAGE, DMAMAP_RW | DMAMAP_FIXED,
				  &g->iova[i]) != 0;
	}
	return errors;
}

/** One row: FIXED in one container against automatic placement in another. */
static int
fixed_row(const char *what, perf_round_t fixed, unsigned int n)
{
	struct perf_row row = PERF_ROW_INIT;
	struct grid a, b = {0};
	struct perf_side any = {round_any, &a, OPS}, at = {fixed, &b, OPS};
	char name[64];
	int rc = grid_init(&a, n, false);

	if (rc == 0)
		rc = grid_init(&b, n, true);
	if (rc == 0) {
		snprintf(name, sizeof(name), "container/fixed %s, %u live", what, n);
		row.name = name;
		row.peer = "a map at an address of our choice";
		row.better = PERF_AT_MOST;
		row.target = 1.5;
		row.stretch = 1;
		/* The figure is the second side's time divided by the first side's. */
		perf_compare(&any, &at, &row);
		RTE_SWAP(row.median, row.peer_median);
		row.low = row.high = NAN;
		row.errors += grid_check(&a) + grid_check(&b);
		perf_report(&row);
	}
	grid_fini(&a);
	grid_fini(&b);
	return rc;
}

static int
bench_fixed(void)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < RTE_DIM(sizes) && rc == 0; i++) {
		rc = fixed_row("just unmapped", round_same, sizes[i]);
		if (rc == 0)
			rc = fixed_row("elsewhere", round_elsewhere, sizes[i]);
	}
	return rc;
}

static uint64_t
va2iova(const struct dmamap_container *c, uint64_t va)
{
	return dmamap_va2iova(c, (const void *)(uintptr_t)va);
}

/** Not inlined, as the look-up of such a table in a library is a function call. */
static __rte_noinline uint64_t
two_level(const struct ref_two_level *t, uint64_t va)
{
	return ref_two_level_lookup(t, va);
}

PERF_ROUND_OF_LOOK_UPS(public_round, va2iova)
PERF_ROUND_OF_LOOK_UPS(two_level_round, two_level)

static int
look_up_row(unsigned int n)
{
	struct perf_query *query = calloc(PERF_QUERIES, sizeof(*query));
	struct ref_two_level *t = ref_two_level_create();
	struct perf_row row = PERF_ROW_INIT;
	struct perf_look_ups o, r;
	struct perf_side a = {public_round, &o, 1000000}, b = {two_level_round, &r, 1000000};
	struct grid g;
	char name[64];
	unsigned int i;
	int rc = grid_init(&g, n, false);

	if (rc == 0 && (query == NULL || t == NULL))
		rc = -ENOMEM;
	for (i = 0; i < n && rc == 0; i++)
		rc = ref_two_level_set(t, (uintptr_t)grid_va(&g, i), g.iova[i]);
	for (i = 0; i < PERF_QUERIES && rc == 0; i++) {
		unsigned int k = grid_pick(&g);
		uint64_t offset = (perf_random(&g.random) >> 8) % HUGEPAGE;

		query[i].key = (uintptr_t)grid_va(&g, k) + offset;
		query[i].want = g.iova[k] + offset;
	}
	if (rc == 0) {
		o = (struct perf_look_ups){g.bed.c, query};
		r = (struct perf_look_ups){t, query};
		snprintf(name, sizeof(name), "container/va2iova, %u of 2 MiB", n);
		row.name = name;
		row.peer = "two-level map of 2 MiB pages";
		row.target = 1;
		row.stretch = 1.5;
		perf_compare(&a, &b, &row);
		perf_report(&row);
	}
	grid_fini(&g);
	ref_two_level_destroy(t);
	free(query);
	return rc;
}

static int
bench_look_up(void)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < RTE_DIM(sizes) && rc == 0; i++)
		rc = look_up_row(sizes[i]);
	return rc;
}

REGISTER_PERF(fixed_maps) = {
	.name = "container/fixed",
	.what = "FIXED map + unmap of 2 MiB against a map at an address of our choice",
	.run = bench_fixed,
};

REGISTER_PERF(look_up) = {
	.name = "container/va2iova-2m",
	.what = "dmamap_va2iova() of 64 to 65,536 mappings of 2 MiB against a two-level map",
	.run = bench_look_up,
};
