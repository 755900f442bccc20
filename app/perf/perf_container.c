/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What do the public calls cost: translation, map and unmap, registration? Without the kernel's
 * part.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "dmamap.h"
#include "dmamap_model.h"
#include "perf.h"

#define K UINT64_C(1024)
#define PAGE (4 * K)
#define M (K * K)
#define G (K * M)
#define LIVE 100000u
#define AREA (64 * G)
#define ZONES 16u
#define ZONE_LEN (16 * M)
#define STRIDE 7919u /* a prime: buffers are visited in no order that a cache foresees */

/** A buffer and the IOVA at which it is mapped. */
struct buffer {
	void *va;
	size_t len;
	rte_iova_t iova;
	struct dmamap_registration *reg;
};

/** A container, its machine if it has one, and buffers in address space without memory. */
struct bed {
	struct dmamap_model *model;
	struct dmamap_device *dev;
	struct dmamap_container *c;
	char *area;
	struct buffer *buf;
	unsigned int n, next;
	struct perf_query *query;
};

/** A machine with one device behind an IOMMU of 48 bits, in which maps look at no memory. */
static int
make_machine(struct bed *b)
{
	static const struct dmamap_model_iommu_conf iommu = {
		.aperture = {0, (UINT64_C(1) << 48) - 1}};
	static const struct dmamap_model_conf conf = {.entry_limit = 1 << 20, .no_memory = true};
	struct dmamap_model_group_conf group = {0};
	int rc = dmamap_model_create(&conf, &b->model);

	if (rc < 0)
		return rc;
	group.iommu = dmamap_model_add_iommu(b->model, &iommu);
	rc = dmamap_model_add_group(b->model, &group);
	return rc < 0 ? rc : dmamap_model_add_device(b->model, rc, "dev0", -1, "vfio-pci");
}

static void
bed_fini(struct bed *b)
{
	if (b->dev != NULL)
		dmamap_container_detach(b->dev);
	if (b->c != NULL)
		dmamap_container_destroy(b->c);
	if (b->model != NULL)
		dmamap_model_destroy(b->model);
	if (b->area != NULL)
		munmap(b->area, AREA);
	free(b->buf);
	free(b->query);
}

/** @param attach  with a device, so that maps go into a domain; without, nothing is asked of any
 * kernel */
static int
bed_init(struct bed *b, unsigned int n, bool attach)
{
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_MODEL};
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
	conf.model = b->model;
	rc = dmamap_container_create(&conf, &b->c);
	if (rc == 0 && attach)
		rc = dmamap_container_attach(b->c, "dev0", &b->dev);
	if (rc == 0)
		dmamap_registration_limit(b->c, UINT64_MAX);
	return rc;
}

/** 40 % one page, 25 % to 64 KiB, the rest to 1 MiB: side by side but for a hole of one page. */
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

/** Register all, and use none: they stay mapped, idle. */
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

/** Do all buffers translate, both ways, first byte and last? */
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

/** Outside of the window: 4,096 buffers of 2 MiB, as an application's own hugepages are. */
static int
bench_outside(void)
{
	uint64_t x = 1;
	unsigned int i;
	struct bed b;
	int rc = bed_init(&b, 4096, true);

	for (i = 0; i < b.n && rc == 0; i++) {
		b.buf[i].va = (char *)RTE_PTR_ALIGN_CEIL(b.area, 2 * M) + 4 * M * i;
		b.buf[i].len = 2 * M;
	}
	if (rc == 0)
		rc = map_buffers(&b);
	for (i = 0; i < PERF_QUERIES && rc == 0; i++) {
		const struct buffer *f = &b.buf[(perf_random(&x) >> 20) % b.n];
		uint64_t offset = (perf_random(&x) >> 8) % f->len;

		b.query[i] = (struct perf_query){(uintptr_t)f->va + offset, f->iova + offset};
	}
	if (rc == 0)
		report_va2iova(&b, "container/va2iova mapping", NAN, NAN);
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

/** Part of a buffer, which is registered as a whole. */
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

/** A buffer goes, and comes back: mapped anew. */
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
bench_map_model(void)
{
	struct bed b;
	int rc = bed_init(&b, LIVE, true);

	place_buffers(&b);
	if (rc == 0)
		rc = map_buffers(&b);
	if (rc == 0)
		report_changes(&b, "container/unmap + map, model", map_round, 50000, NAN, NAN);
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

REGISTER_PERF(outside) = {
	.name = "container/va2iova-mapping",
	.what = "dmamap_va2iova() of 4,096 mappings of 2 MiB, random",
	.run = bench_outside,
};

REGISTER_PERF(map) = {
	.name = "container/map",
	.what = "dmamap_unmap() + dmamap_map(), 100,000 live, without a domain: the library's part",
	.run = bench_map,
};

REGISTER_PERF(map_model) = {
	.name = "container/map-model",
	.what = "the same with one domain of the software model, whose page tables are part of the time",
	.run = bench_map_model,
};

REGISTER_PERF(registration) = {
	.name = "container/register",
	.what = "dmamap_register() + dmamap_deregister(), 100,000 live: of what is registered, and anew",
	.run = bench_register,
};
