/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Benchmarks of the library's part of public calls: translation, map and unmap, registration.
 * The kernel's part is left out, but for one row on the mock kernel.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <rte_common.h>

#include "dmamap.h"
#include "vfio_mock.h"
#include "perf.h"

#define K UINT64_C(1024)
#define PAGE (4 * K)
#define M (K * K)
#define G (K * M)
#define LIVE 100000u
#define AREA (64 * G)
#define ZONES 16u
#define ZONE_LEN (16 * M)
/** A prime, so buffers are visited in an order that the CPU caches cannot predict. */
#define STRIDE 7919u

/** A buffer and the IOVA at which it is mapped. */
struct buffer {
	void *va;
	size_t len;
	rte_iova_t iova;
	struct dmamap_registration *reg;
};

/** A container, its machine (if any), and buffers in address space without memory. */
struct bed {
	struct vfio_mock *mock;
	struct dmamap_device *dev;
	struct dmamap_container *c;
	char *area;
	struct buffer *buf;
	unsigned int n, next;
	struct perf_query *query;
};

/** A machine with one device behind an IOMMU of 48 bits. Its maps do not look at memory. */
static int
make_machine(struct bed *b)
{
	static const struct vfio_mock_iommu_conf iommu = {.aperture = {0, (UINT64_C(1) << 48) - 1}};
	static const struct vfio_mock_conf conf = {.entry_limit = 1 << 20, .no_memory = true};
	struct vfio_mock_group_conf group = {0};
	int rc = vfio_mock_create(&conf, &b->mock);

	if (rc < 0)
		return rc;
	group.iommu = vfio_mock_add_iommu(b->mock, &iommu);
	rc = vfio_mock_add_group(b->mock, &group);
	return rc < 0 ? rc : vfio_mock_add_device(b->mock, rc, "dev0", -1, "vfio-pci");
}

static void
bed_fini(struct bed *b)
{
	if (b->dev != NULL)
		dmamap_container_detach(b->dev);
	if (b->c != NULL)
		dmamap_container_destroy(b->c);
	if (b->mock != NULL)
		vfio_mock_destroy(b->mock);
	if (b->area != NULL)
		munmap(b->area, AREA);
	free(b->buf);
	free(b->query);
}

/** @param attach  true: with a device, so that maps go into a domain; false: no kernel is called */
static int
bed_init(struct bed *b, unsigned int n, bool attach)
{
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1};
	void *area;
	int rc;

	*b = (struct bed){.n = n,
		.buf = calloc(n, sizeof(*b->buf)),
		.query = calloc(PERF_QUERIES, sizeof(*b->query))};
	area = mmap(NULL, AREA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	b->area = area != MAP_FAILED ? area : NULL;
	if (b->buf == NULL || b->query == NULL || b->area == NULL)
		return -ENOMEM;
	rc = make_machine(b);
	if (rc < 0)
		return rc;
	conf.kernel = vfio_mock_kernel(b->mock);
	rc = dmamap_container_create(&conf, &b->c);
	if (rc == 0 && attach)
		rc = dmamap_container_attach(b->c, "dev0", &b->dev);
	if (rc == 0)
		dmamap_registration_cache(b->c, DMAMAP_CACHE_PROMISED, UINT64_MAX);
	return rc;
}

/**
 * 40 % one page, 25 % up to 64 KiB, the rest up to 1 MiB. A hole of one page is between two
 * buffers.
 */
static void
place_buffers(struct bed *b)
{
	uint64_t x = UINT64_C(0x9e3779b97f4a7c15), at = 0, dice;
	unsigned int i;

	for (i = 0; i < b->n; i++) {
		dice = perf_random(&x) % 100;
		b->buf[i].va = b->area + at;
		b->buf[i].len = dice < 40 ? PAGE
			: dice < 65       ? PAGE * (2 + perf_random(&x) % 15)
					  : 128 * K << perf_random(&x) % 4;
		at += b->buf[i].len + PAGE;
	}
}

static int
map_buffers(struct bed *b)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < b->n && rc == 0; i++)
		rc = dmamap_map(b->c, b->buf[i].va, b->buf[i].len, DMAMAP_RW, &b->buf[i].iova);
	return rc;
}

/** Register and deregister all: they stay mapped, idle. */
static int
register_buffers(struct bed *b)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < b->n && rc == 0; i++)
		rc = dmamap_register(b->c, b->buf[i].va, b->buf[i].len, DMAMAP_RW, &b->buf[i].iova,
			&b->buf[i].reg);
	for (i = 0; i < b->n && rc == 0; i++)
		dmamap_deregister(b->buf[i].reg);
	return rc;
}

/** Check that all buffers translate, both ways, first and last byte. @return wrong answers */
static uint64_t
check_buffers(const void *bed)
{
	const struct bed *b = bed;
	uint64_t errors = 0;
	unsigned int i;

	for (i = 0; i < b->n; i++) {
		const struct buffer *f = &b->buf[i];
		char *last = (char *)f->va + f->len - 1;

		errors += dmamap_va2iova(b->c, f->va) != f->iova;
		errors += dmamap_va2iova(b->c, last) != f->iova + f->len - 1;
		errors += dmamap_iova2va(b->c, f->iova + f->len - 1) != last;
	}
	return errors;
}

static struct buffer *
next_buffer(struct bed *b)
{
	b->next = (b->next + STRIDE) % b->n;
	return &b->buf[b->next];
}

/* Translation. */

static uint64_t
va2iova(const struct dmamap_container *c, uint64_t va)
{
	return dmamap_va2iova(c, (const void *)(uintptr_t)va);
}

PERF_ROUND_OF_LOOK_UPS(public_round, va2iova)

static void
report_va2iova(struct bed *b, const char *name, double target, double stretch)
{
	struct perf_row row = PERF_ROW_INIT;
	struct perf_look_ups l = {b->c, b->query};
	struct perf_side ours = {public_round, &l, 1000000},
			 same = {perf_identity_round, &l, 1000000};

	row.name = name;
	row.peer = "the VA itself";
	row.unit = "ns";
	row.target = target;
	row.stretch = stretch;
	row.better = PERF_AT_MOST;
	row.difference = true;
	perf_compare(&ours, &same, &row);
	perf_report(&row);
}

static int
bench_zone(void)
{
	struct dmamap_zone_conf conf = {.len = ZONE_LEN, .page_size = PAGE};
	struct dmamap_zone *zone[ZONES];
	uint64_t x = 1;
	unsigned int i;
	struct bed b;
	int rc = bed_init(&b, 1, true);

	for (i = 0; i < ZONES && rc == 0; i++)
		rc = dmamap_zone_alloc(b.c, &conf, &zone[i]);
	for (i = 0; i < PERF_QUERIES && rc == 0; i++) {
		struct dmamap_zone *z = zone[perf_random(&x) % ZONES];
		uint64_t offset = (perf_random(&x) >> 8) % ZONE_LEN;

		b.query[i].key = (uintptr_t)dmamap_zone_va(z) + offset;
		b.query[i].want = dmamap_zone_iova(z) + offset;
	}
	if (rc == 0)
		report_va2iova(&b, "container/va2iova zone", 1, 0.3);
	bed_fini(&b);
	return rc;
}

/* Map and unmap; registration. */

static uint64_t
map_round(void *arg, uint64_t ops)
{
	struct bed *b = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		struct buffer *f = next_buffer(b);

		errors += dmamap_unmap(b->c, f->iova, f->len) != 0;
		errors += dmamap_map(b->c, f->va, f->len, DMAMAP_RW, &f->iova) != 0;
	}
	return errors;
}

/** Register part of a buffer, which is registered as a whole: a hit. */
static uint64_t
hit_round(void *arg, uint64_t ops)
{
	struct bed *b = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		const struct buffer *f = next_buffer(b);
		struct dmamap_registration *reg;
		rte_iova_t iova;

		if (dmamap_register(b->c, (char *)f->va + 64, 1500, DMAMAP_RW, &iova, &reg) < 0) {
			errors++;
			continue;
		}
		errors += iova != f->iova + 64;
		dmamap_deregister(reg);
	}
	return errors;
}

/** Invalidate a buffer and register it again: a miss. */
static uint64_t
miss_round(void *arg, uint64_t ops)
{
	struct bed *b = arg;
	uint64_t errors = 0;

	while (ops-- > 0) {
		struct buffer *f = next_buffer(b);

		errors += dmamap_invalidate(b->c, f->va, f->len) != 0;
		if (dmamap_register(b->c, f->va, f->len, DMAMAP_RW, &f->iova, &f->reg) < 0)
			return errors + 1;
		dmamap_deregister(f->reg);
	}
	return errors;
}

static void
report_changes(struct bed *b, const char *name, perf_round_t round, uint64_t ops, double target,
	double stretch)
{
	struct perf_side side = {round, b, ops};

	perf_report_time(name, &side, check_buffers, target, stretch);
}

static int
bench_map(void)
{
	struct bed b;
	int rc = bed_init(&b, LIVE, false);

	place_buffers(&b);
	if (rc == 0)
		rc = map_buffers(&b);
	if (rc == 0)
		report_changes(&b, "container/unmap + map", map_round, 50000, 1000, 400);
	bed_fini(&b);
	return rc;
}

static int
bench_map_mock(void)
{
	struct bed b;
	int rc = bed_init(&b, LIVE, true);

	place_buffers(&b);
	if (rc == 0)
		rc = map_buffers(&b);
	if (rc == 0)
		report_changes(&b, "container/unmap + map, mock", map_round, 50000, NAN, NAN);
	bed_fini(&b);
	return rc;
}

static int
bench_register(void)
{
	struct bed b;
	int rc = bed_init(&b, LIVE, false);

	place_buffers(&b);
	if (rc == 0)
		rc = register_buffers(&b);
	if (rc == 0) {
		report_changes(&b, "container/register, a hit", hit_round, 100000, 1000, 400);
		report_changes(&b, "container/register, anew", miss_round, 50000, 1000, 400);
	}
	bed_fini(&b);
	return rc;
}

REGISTER_PERF(zone) = {
	.name = "container/va2iova-zone",
	.what = "dmamap_va2iova() inside a container's zones",
	.run = bench_zone,
};

REGISTER_PERF(map) = {
	.name = "container/map",
	.what = "dmamap_unmap() + dmamap_map(), 100,000 live, without a domain: the library's part",
	.run = bench_map,
};

REGISTER_PERF(map_mock) = {
	.name = "container/map-mock",
	.what = "the same with one domain of the mock kernel, whose page tables are part of the time",
	.run = bench_map_mock,
};

REGISTER_PERF(registration) = {
	.name = "container/register",
	.what = "dmamap_register() + dmamap_deregister(), 100,000 live: hits and misses",
	.run = bench_register,
};
