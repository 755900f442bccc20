/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Benchmarks of kernel calls for each operation, and of the cost of an attach with mappings. The
 * mock kernel counts the calls.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_common.h>

#include "dm_container.h"
#include "vfio_mock.h"
#include "perf.h"

#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)
#define HUGEPAGE (2 * M)
#define PAGE UINT64_C(4096)
#define LIVE 10000u
#define DOMAINS 3u
#define DEVICES_EACH 2u

/** Groups with some devices each, and a container in which each group has a domain. */
struct bed {
	struct vfio_mock *mock;
	struct dmamap_container *c;
	struct dmamap_device *dev[DOMAINS * DEVICES_EACH];
	unsigned int n_dev;
};

/** The name of a device; valid until the next call. */
static const char *
device_name(unsigned int i)
{
	static char name[16];

	snprintf(name, sizeof(name), "dev%u", i);
	return name;
}

static int
bed_init(struct bed *b)
{
	static const struct vfio_mock_conf machine = {.entry_limit = 1 << 20, .no_memory = true};
	static const struct vfio_mock_iommu_conf wide = {.aperture = {0, (UINT64_C(1) << 48) - 1}};
	struct dmamap_container_conf conf = {
		.backend = DMAMAP_BACKEND_TYPE1, .sharing = DMAMAP_ISOLATE};
	struct vfio_mock_group_conf group = {0};
	unsigned int i;
	int rc;

	*b = (struct bed){0};
	rc = vfio_mock_create(&machine, &b->mock);
	for (i = 0; i < DOMAINS * DEVICES_EACH && rc >= 0; i++) {
		int in = i / DEVICES_EACH;

		if (i % DEVICES_EACH == 0) {
			group.iommu = vfio_mock_add_iommu(b->mock, &wide);
			in = vfio_mock_add_group(b->mock, &group);
		}
		rc = in < 0 ? in
			    : vfio_mock_add_device(b->mock, in, device_name(i), -1, "vfio-pci");
	}
	conf.kernel = vfio_mock_kernel(b->mock);
	return rc < 0 ? rc : dmamap_container_create(&conf, &b->c);
}

static void
bed_fini(struct bed *b)
{
	while (b->n_dev > 0)
		dmamap_container_detach(b->dev[--b->n_dev]);
	if (b->c != NULL)
		dmamap_container_destroy(b->c);
	if (b->mock != NULL)
		vfio_mock_destroy(b->mock);
}

/** Attach the next device. */
static int
bed_attach(struct bed *b)
{
	int rc = dmamap_container_attach(b->c, device_name(b->n_dev), &b->dev[b->n_dev]);

	b->n_dev += rc == 0;
	return rc;
}

static void
report_calls(const char *name, uint64_t calls, const char *peer, double peer_calls, double target,
	bool exactly)
{
	struct perf_row row = PERF_ROW_INIT;

	row.name = name;
	row.peer = peer;
	row.unit = "calls";
	row.figure = calls;
	row.target = target;
	row.better = PERF_AT_MOST;
	row.repeats = 1;
	row.errors = exactly && calls != target;
	perf_report(&row);
	if (!isnan(peer_calls))
		printf("%34s %s: %.0f calls\n", "", peer, peer_calls);
}

/** Several devices in each domain: the number of kernel calls grows with domains only. */
static int
bench_three(void)
{
	uint64_t before, maps, unmaps;
	rte_iova_t iova = 0;
	struct bed b;
	int rc = bed_init(&b);

	while (rc == 0 && b.n_dev < DOMAINS * DEVICES_EACH)
		rc = bed_attach(&b);
	if (rc == 0) {
		before = vfio_mock_calls(b.mock, VFIO_MOCK_MAP);
		rc = dmamap_map(b.c, (void *)(uintptr_t)G, HUGEPAGE, DMAMAP_RW, &iova);
		maps = vfio_mock_calls(b.mock, VFIO_MOCK_MAP) - before;
	}
	if (rc == 0) {
		before = vfio_mock_calls(b.mock, VFIO_MOCK_UNMAP);
		rc = dmamap_unmap(b.c, iova, HUGEPAGE);
		unmaps = vfio_mock_calls(b.mock, VFIO_MOCK_UNMAP) - before;
		report_calls("domains/3: map calls", maps, "one a device", DOMAINS * DEVICES_EACH,
			DOMAINS, true);
		report_calls("domains/3: unmap calls", unmaps, "one a device",
			DOMAINS * DEVICES_EACH, DOMAINS, true);
	}
	bed_fini(&b);
	return rc;
}

/**
 * Map hugepages of 2 MiB in one run, or in 8 runs with holes between. Each needs as many calls as
 * it has runs.
 */
static int
map_runs(const char *name, unsigned int runs)
{
	const uint64_t len = 8 * G / runs;
	unsigned int i;
	struct bed b;
	void *area;
	int rc;

	area = mmap(NULL, 16 * G, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return -ENOMEM;
	rc = bed_init(&b);
	if (rc == 0)
		rc = bed_attach(&b);
	for (i = 0; i < runs && rc == 0; i++) {
		rte_iova_t iova = 0;
		char *va = RTE_PTR_ALIGN_CEIL(area, G);

		rc = dmamap_map(b.c, va + i * (len + HUGEPAGE), len, DMAMAP_RW, &iova);
	}
	if (rc == 0)
		report_calls(name, vfio_mock_calls(b.mock, VFIO_MOCK_MAP), "one a hugepage",
			8.0 * G / HUGEPAGE, runs, true);
	bed_fini(&b);
	munmap(area, 16 * G);
	return rc;
}

static int
bench_hugepages(void)
{
	int rc = map_runs("domains/8 GiB, 1 run: map calls", 1);

	return rc < 0 ? rc : map_runs("domains/8 GiB, 8 runs: map calls", 8);
}

/**
 * Time of a replay's map calls alone. They go into the domain of another container, which is as new
 * as the domain of the replay. @return ns
 */
static double
sum_of_map_calls(const struct dmamap_container *c, struct dmamap_container *other, uint64_t *errors)
{
	struct dm_domain *d = TAILQ_FIRST(&other->domains);
	const struct dm_iommu_ops *ops = d->dom->iommu->ops;
	const struct dm_mapping *m;
	uint64_t start = perf_thread_ns(), done;
	double ns;

	TAILQ_FOREACH(m, &c->mappings, next)
		*errors += ops->map(d->dom, m->range.start, dm_mapping_va(m),
				   dm_range_len(m->range), m->flags & DMAMAP_RW) != 0;
	ns = perf_thread_ns() - start;
	/* In reverse order, which costs the mock least. */
	TAILQ_FOREACH_REVERSE(m, &c->mappings, dm_mapping_list, next)
		*errors += ops->unmap(d->dom, m->range.start, dm_range_len(m->range), &done) != 0;
	return ns;
}

/**
 * Attach the first device of the second group, and detach it. For comparison, the same into a
 * container without mappings, followed by the map calls alone.
 */
static int
replay_once(struct bed *b, struct dmamap_container *other, double *attach_ns, double *calls_ns,
	uint64_t *errors)
{
	struct dmamap_device *dev;
	uint64_t start;
	int rc;

	start = perf_thread_ns();
	rc = dmamap_container_attach(b->c, device_name(DEVICES_EACH), &dev);
	if (rc < 0)
		return rc;
	*attach_ns = perf_thread_ns() - start;
	dmamap_container_detach(dev);
	rc = dmamap_container_attach(other, device_name(DEVICES_EACH), &dev);
	if (rc < 0)
		return rc;
	*calls_ns = sum_of_map_calls(b->c, other, errors);
	return dmamap_container_detach(dev);
}

static int
bench_replay(void)
{
	const unsigned int n = perf_repeats();
	double *ratio = calloc(2 * n, sizeof(*ratio)), *ns = ratio + n, calls;
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1};
	struct perf_row row = PERF_ROW_INIT;
	struct dmamap_container *other = NULL;
	struct bed b;
	unsigned int i;
	int rc = bed_init(&b);

	conf.kernel = vfio_mock_kernel(b.mock);
	if (rc == 0)
		rc = ratio != NULL ? dmamap_container_create(&conf, &other) : -ENOMEM;
	if (rc == 0)
		rc = bed_attach(&b);
	for (i = 0; i < LIVE && rc == 0; i++) {
		rte_iova_t iova = 0;

		rc = dmamap_map(b.c, (void *)(uintptr_t)(G + 2 * PAGE * i), PAGE, DMAMAP_RW, &iova);
	}
	if (rc == 0)
		rc = replay_once(&b, other, &ns[0], &calls, &row.errors);
	for (i = 0; i < n && rc == 0; i++) {
		rc = replay_once(&b, other, &ns[i], &calls, &row.errors);
		ratio[i] = ns[i] / calls;
		ns[i] /= LIVE;
	}
	if (rc == 0) {
		row.name = "domains/attach, 10,000 live";
		row.peer = "the sum of its map calls";
		row.target = 1.1;
		row.stretch = 1.03;
		row.better = PERF_AT_MOST;
		row.repeats = n;
		row.median = perf_median(ns, n);
		row.low = perf_quantile(ns, n, 0.25);
		row.high = perf_quantile(ns, n, 0.75);
		perf_figure(&row, ratio, n);
		perf_report(&row);
	}
	dmamap_container_destroy(other);
	bed_fini(&b);
	free(ratio);
	return rc;
}

REGISTER_PERF(three) = {
	.name = "domains/3",
	.what = "calls into the kernel for a map and an unmap with 3 domains and 6 devices",
	.run = bench_three,
};

REGISTER_PERF(hugepages) = {
	.name = "domains/8gib",
	.what = "map calls for 8 GiB of hugepages, in one run and in 8",
	.run = bench_hugepages,
};

REGISTER_PERF(replay) = {
	.name = "domains/attach",
	.what = "attach of a second domain with 10,000 live mappings: ns a mapping, against its map calls",
	.run = bench_replay,
};
