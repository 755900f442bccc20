/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Benchmarks of how the cost of public calls grows with devices and mappings.
 */

#include <errno.h>

#include <rte_common.h>

#include "perf.h"
#include "perf_bed.h"

#define DEVICES 1000u
#define MAPPINGS 65535u
#define STRIDE (2 * PERF_PAGE)
#define FIXED_AT (PERF_G * 256)

static const uint64_t area_len = (MAPPINGS + 8) * STRIDE;

/** A large container and a small one. */
struct pair {
	struct perf_bed large, small;
};

static int
bed_init(struct perf_bed *b, unsigned int attached, unsigned int mappings)
{
	const struct perf_bed_conf conf = {.n_machine = DEVICES,
		.n_attached = attached,
		.cost = PERF_KERNEL_FREE,
		.area_len = area_len};
	int rc = perf_bed_init(b, &conf);

	return rc < 0 ? rc : perf_bed_map(b, mappings, 0, PERF_PAGE, STRIDE);
}

static int
pair_init(struct pair *p, unsigned int devices, unsigned int mappings, unsigned int few_devices,
	unsigned int few_mappings)
{
	int rc;

	*p = (struct pair){0};
	rc = bed_init(&p->large, devices, mappings);
	return rc < 0 ? rc : bed_init(&p->small, few_devices, few_mappings);
}

static void
pair_fini(struct pair *p)
{
	perf_bed_fini(&p->large);
	perf_bed_fini(&p->small);
}

/** The figure is the large container's time divided by the small one's. */
static void
pair_report(struct pair *p, const char *name, const char *peer, perf_round_t round, uint64_t ops)
{
	struct perf_side small = {round, &p->small, ops}, large = {round, &p->large, ops};
	struct perf_row row = PERF_ROW_INIT;

	row.name = name;
	row.peer = peer;
	row.better = PERF_AT_MOST;
	row.target = 2;
	row.stretch = 1.2;
	perf_compare(&small, &large, &row);
	RTE_SWAP(row.median, row.peer_median);
	row.low = row.high = NAN;
	perf_report(&row);
}

static uint64_t
round_fixed(void *arg, uint64_t ops)
{
	struct perf_bed *b = arg;
	char *va = b->area + MAPPINGS * STRIDE;
	uint64_t errors = 0;

	while (ops-- > 0) {
		rte_iova_t iova = FIXED_AT;

		errors += dmamap_map(b->c, va, PERF_PAGE, DMAMAP_RW | DMAMAP_FIXED, &iova) != 0;
		errors += dmamap_unmap(b->c, FIXED_AT, PERF_PAGE) != 0;
	}
	return errors;
}

static uint64_t
round_info(void *arg, uint64_t ops)
{
	const struct perf_bed *b = arg;
	struct dmamap_container_info info;
	uint64_t errors = 0;

	while (ops-- > 0) {
		errors += dmamap_container_info(b->c, &info) != 0;
		errors += info.n_devices != b->n_dev;
	}
	return errors;
}

static uint64_t
round_attach(void *arg, uint64_t ops)
{
	struct perf_bed *b = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		if (perf_bed_attach(b) != 0)
			return errors + 1;
		errors += perf_bed_detach(b) != 0;
	}
	return errors;
}

static int
bench_size(void)
{
	static const char peer[] = "1 device, 1,000 mappings";
	struct pair p;
	int rc = pair_init(&p, DEVICES, MAPPINGS, 1, 1000);

	if (rc == 0) {
		pair_report(&p, "scale/fixed map + unmap", peer, round_fixed, 20000);
		pair_report(&p, "scale/info", peer, round_info, 20000);
	}
	pair_fini(&p);
	return rc;
}

static int
bench_attach(void)
{
	struct pair p;
	int rc = pair_init(&p, DEVICES - 1, 100, 9, 100);

	if (rc == 0)
		pair_report(&p, "scale/attach + detach, the 1,000th", "the 10th", round_attach, 20);
	pair_fini(&p);
	return rc;
}

/** Merge a container with 2,000 mappings and their device into one with 800 devices, once. */
static int
merge_once(double *seconds, uint64_t *errors)
{
	enum { MERGED_DEVICES = 800, MERGED_MAPPINGS = 2000 };
	const struct perf_bed_conf conf = {.n_machine = MERGED_DEVICES + 1,
		.n_attached = MERGED_DEVICES,
		.area_len = area_len};
	struct dmamap_container_conf cc = {.backend = DMAMAP_BACKEND_TYPE1};
	struct dmamap_device *other = NULL;
	struct dmamap_container *from = NULL;
	struct dmamap_container_info info;
	struct perf_bed b;
	uint64_t start;
	unsigned int i;
	int rc = perf_bed_init(&b, &conf);

	cc.kernel = &b.kernel;
	if (rc == 0)
		rc = dmamap_container_create(&cc, &from);
	if (rc == 0)
		rc = dmamap_container_attach(from, "dev800", &other);
	for (i = 0; i < MERGED_MAPPINGS && rc == 0; i++) {
		rte_iova_t iova;

		rc = dmamap_map(from, b.area + i * STRIDE, PERF_PAGE, DMAMAP_RW, &iova);
	}
	if (rc == 0) {
		start = perf_thread_ns();
		rc = dmamap_container_merge(b.c, from);
		*seconds = (perf_thread_ns() - start) * 1e-9;
	}
	if (rc == 0) {
		dmamap_container_info(b.c, &info);
		*errors +=
			info.n_mappings != MERGED_MAPPINGS || info.n_devices != MERGED_DEVICES + 1;
	}
	if (other != NULL)
		dmamap_container_detach(other);
	dmamap_container_put(from);
	perf_bed_fini(&b);
	return rc;
}

static int
bench_merge(void)
{
	enum { REPEATS = 5 }; /* few rounds: the set-up takes longer than the merge */
	struct perf_row row = PERF_ROW_INIT;
	double seconds[REPEATS];
	unsigned int i;
	int rc = 0;

	for (i = 0; i < REPEATS && rc == 0; i++)
		rc = merge_once(&seconds[i], &row.errors);
	if (rc < 0)
		return rc;
	row.name = "scale/merge, 2,000 mappings";
	row.unit = "s";
	row.better = PERF_AT_MOST;
	row.target = 0.5;
	row.stretch = 0.1;
	row.repeats = REPEATS;
	perf_figure(&row, seconds, REPEATS);
	perf_report(&row);
	return 0;
}

REGISTER_PERF(scale_size) = {
	.name = "scale/size",
	.what = "FIXED map and info, 1,000 devices and 65,535 mappings against 1 and 1,000",
	.run = bench_size,
};

REGISTER_PERF(scale_attach) = {
	.name = "scale/attach",
	.what = "attach + detach of the 1,000th device against the 10th",
	.run = bench_attach,
};

REGISTER_PERF(scale_merge) = {
	.name = "scale/merge",
	.what = "merge of 2,000 mappings into a container with 800 devices",
	.run = bench_merge,
};
