/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests that a device reaches exactly the memory that is mapped for it, byte for byte. An edu
 * device reads and writes at chosen IOVAs. After each transfer every byte of all test memory is
 * compared with its expected value.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <dmamap.h>
#include <edu_hw.h>

#include "test.h"
#include "test_dma_edu_raw.h"

#define PAGE 4096
#define IOVA_A UINT64_C(0x4000000) /* below 2^28, so that any edu device reaches it */
#define IOVA_B UINT64_C(0x6000000)

static struct dmamap_container *containers[EDU_RAW_MAX];
static unsigned int n_containers;
static struct edu_raw edu[EDU_RAW_MAX];

static int
setup(void)
{
	if (edu_raw_name(0) == NULL)
		return test_skip("no edu device (1234:11e8) is bound to vfio-pci");
	return 0;
}

static void
teardown(void)
{
	unsigned int i;

	for (i = 0; i < EDU_RAW_MAX; i++)
		edu_raw_close(&edu[i]);
	while (n_containers > 0)
		dmamap_container_destroy(containers[--n_containers]);
	areas_free();
}

static struct dmamap_container *
make_container(enum dmamap_sharing sharing)
{
	const struct dmamap_container_conf conf = {
		.backend = DMAMAP_BACKEND_TYPE1, .sharing = sharing};
	struct dmamap_container *c = NULL;

	if (n_containers < EDU_RAW_MAX && dmamap_container_create(&conf, &c) == 0)
		containers[n_containers++] = c;
	return c;
}

static int
map_at(struct dmamap_container *c, const struct area *r, size_t off, size_t len, rte_iova_t iova,
	uint32_t flags)
{
	return dmamap_map(c, r->va + off, len, flags | DMAMAP_FIXED, &iova);
}

/**
 * Make a container with the first edu device, and two areas of two pages: A is read, B is written.
 */
static int
begin(struct dmamap_container **c, struct area **a, struct area **b)
{
	*c = make_container(DMAMAP_SHARE);
	*a = area_make(2 * PAGE);
	*b = area_make(2 * PAGE);
	TEST_ASSERT(*c != NULL && *a != NULL && *b != NULL, "no container, or no memory");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[0], *c, 0), "the edu device does not open");
	TEST_ASSERT_SUCCESS(map_at(*c, *a, 0, 2 * PAGE, IOVA_A, DMAMAP_READ), "map A");
	TEST_ASSERT_SUCCESS(map_at(*c, *b, 0, 2 * PAGE, IOVA_B, DMAMAP_RW), "map B");
	return 0;
}

/** Let a device read bytes of an area at one IOVA, and write them at another. */
static int
carry(struct edu_raw *e, uint64_t from, uint64_t to, uint32_t len)
{
	TEST_ASSERT_SUCCESS(edu_raw_read(e, from, 0, len), "the device's read does not end");
	TEST_ASSERT_SUCCESS(edu_raw_write(e, to, 0, len), "the device's write does not end");
	return 0;
}

#define BEGIN(c, a, b)                                                                             \
	do {                                                                                       \
		int rc_ = begin(c, a, b);                                                          \
		if (rc_ != 0)                                                                      \
			return rc_;                                                                \
	} while (0)
#define CARRY(e, from, to, len)                                                                    \
	do {                                                                                       \
		if (carry(e, from, to, len) != 0)                                                  \
			return TEST_FAILED;                                                        \
	} while (0)

static int
reads_at_a_arrive_at_b(void)
{
	static const struct {
		uint32_t from, to, len;
	} moves[] = {
		{0, 0, 1},
		{1, 7, 1},
		{0, 0, 3},
		{5, 2, 8},
		{63, 64, 65},
		{100, 4000, 1000},
		{0, 1, 4095},
		{4095, 0, 2},
		{4097, 4097, 4095},
	};
	struct dmamap_container *c;
	struct area *a, *b;
	unsigned int i;

	BEGIN(&c, &a, &b);
	for (i = 0; i < RTE_DIM(moves); i++) {
		CARRY(&edu[0], IOVA_A + moves[i].from, IOVA_B + moves[i].to, moves[i].len);
		area_expect(b, moves[i].to, a->va + moves[i].from, moves[i].len);
		TEST_ASSERT(areas_match(), "%u bytes from %u to %u", moves[i].len, moves[i].from,
			moves[i].to);
	}
	return TEST_SUCCESS;
}

static int
a_read_only_mapping_is_not_written(void)
{
	struct dmamap_container *c;
	struct area *a, *b;

	BEGIN(&c, &a, &b);
	CARRY(&edu[0], IOVA_B, IOVA_A, 64);
	TEST_ASSERT(areas_match(), "written through a mapping that only allows reads");
	/* The same device may still read the same page. */
	CARRY(&edu[0], IOVA_A, IOVA_B, 64);
	area_expect(b, 0, a->va, 64);
	TEST_ASSERT(areas_match(), "cannot be read any more");
	return TEST_SUCCESS;
}

/**
 * Whether the device can also read it depends on the platform. Linux's VT-d driver sets bit 0 in
 * every entry: it means "present" in one table format, "readable" in the other (intel/iommu.c,
 * __domain_mapping()).
 */
static int
a_write_only_mapping_is_written(void)
{
	struct dmamap_container *c;
	struct area *a, *b, *x;

	BEGIN(&c, &a, &b);
	x = area_make(PAGE);
	TEST_ASSERT_NOT_NULL(x, "no memory");
	TEST_ASSERT_SUCCESS(map_at(c, x, 0, PAGE, IOVA_B + 2 * PAGE, DMAMAP_WRITE), "map");
	CARRY(&edu[0], IOVA_A, IOVA_B + 2 * PAGE + 8, 64);
	area_expect(x, 8, a->va, 64);
	TEST_ASSERT(areas_match(), "not written");
	return TEST_SUCCESS;
}

static int
an_unmapped_iova_is_neither_read_nor_written(void)
{
	struct dmamap_container *c;
	struct area *a, *b, *never;

	BEGIN(&c, &a, &b);
	never = area_make(PAGE); /* memory of the process that is in no container */
	TEST_ASSERT_NOT_NULL(never, "no memory");
	CARRY(&edu[0], IOVA_A, IOVA_B + 2 * PAGE, 64);
	TEST_ASSERT(areas_match(), "a write behind the last mapping arrived somewhere");
	CARRY(&edu[0], IOVA_A, IOVA_A - PAGE, 64);
	TEST_ASSERT(areas_match(), "a write before the first mapping arrived somewhere");
	/* Neither the process's address nor 0 is an IOVA that reaches memory. */
	CARRY(&edu[0], IOVA_A, (uintptr_t)never->va, 64);
	CARRY(&edu[0], IOVA_A, 0, 64);
	TEST_ASSERT(areas_match(), "a write to an address that was never mapped arrived somewhere");
	CARRY(&edu[0], IOVA_A - PAGE, IOVA_B, 64);
	TEST_ASSERT(memcmp(b->va, a->va, 64) != 0, "the device read its old bytes");
	return TEST_SUCCESS;
}

/**
 * If a transfer crosses the end of a mapping, the adjacent memory of the process is not reached.
 */
static int
mappings_end_where_they_end(void)
{
	struct dmamap_container *c;
	struct area *a, *b, *middle;

	BEGIN(&c, &a, &b);
	middle = area_make(3 * PAGE);
	TEST_ASSERT_NOT_NULL(middle, "no memory");
	TEST_ASSERT_SUCCESS(map_at(c, middle, PAGE, PAGE, IOVA_A + 16 * PAGE, DMAMAP_RW), "map");
	CARRY(&edu[0], IOVA_A, IOVA_A + 17 * PAGE - 100, 200);
	area_expect(middle, 2 * PAGE - 100, a->va, 100);
	TEST_ASSERT(areas_match(), "over the end");
	CARRY(&edu[0], IOVA_A, IOVA_A + 16 * PAGE - 100, 200);
	/*
	 * Bytes inside the mapping may or may not be written after an earlier fault of the
	 * transfer.
	 */
	area_expect(middle, PAGE, middle->va + PAGE, 100);
	TEST_ASSERT(areas_match(), "over the beginning");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, IOVA_A + 16 * PAGE, PAGE), "unmap");
	return TEST_SUCCESS;
}

static int
after_an_unmap_nothing_arrives(void)
{
	struct dmamap_container *c;
	struct area *a, *b, *other;

	BEGIN(&c, &a, &b);
	other = area_make(2 * PAGE);
	TEST_ASSERT_NOT_NULL(other, "no memory");
	/* Once while mapped, so that the IOMMU caches the translation. */
	CARRY(&edu[0], IOVA_A, IOVA_B, 64);
	area_expect(b, 0, a->va, 64);
	TEST_ASSERT(areas_match(), "while mapped");

	TEST_ASSERT_SUCCESS(dmamap_unmap(c, IOVA_B, 2 * PAGE), "unmap");
	CARRY(&edu[0], IOVA_A + 64, IOVA_B, 64);
	TEST_ASSERT(areas_match(), "written after the unmap");

	TEST_ASSERT_SUCCESS(
		map_at(c, other, 0, 2 * PAGE, IOVA_B, DMAMAP_RW), "map other memory there");
	CARRY(&edu[0], IOVA_A + 128, IOVA_B + PAGE, 64);
	area_expect(other, PAGE, a->va + 128, 64);
	TEST_ASSERT(areas_match(), "the IOVA must mean the other memory and only that");
	return TEST_SUCCESS;
}

/** Two IOVAs for the same memory, with different permissions. */
static int
an_alias_reaches_the_same_memory(void)
{
	const rte_iova_t alias = IOVA_B + 64 * PAGE;
	struct dmamap_container *c;
	struct area *a, *b;

	BEGIN(&c, &a, &b);
	TEST_ASSERT_SUCCESS(map_at(c, a, 0, 2 * PAGE, alias, DMAMAP_RW | DMAMAP_ALIAS), "alias");
	CARRY(&edu[0], IOVA_B, IOVA_A, 64);
	TEST_ASSERT(areas_match(), "the first mapping became writable");
	CARRY(&edu[0], IOVA_B, alias + PAGE, 64);
	area_expect(a, PAGE, b->va, 64);
	TEST_ASSERT(areas_match(), "through the alias");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, alias, 2 * PAGE), "unmap the alias");
	CARRY(&edu[0], IOVA_A + PAGE, IOVA_B + PAGE, 64);
	area_expect(b, PAGE, a->va + PAGE, 64);
	TEST_ASSERT(areas_match(), "the first mapping went with the alias");
	return TEST_SUCCESS;
}

static int
a_zone_is_reached_from_end_to_end(void)
{
	const struct dmamap_zone_conf conf = {
		.len = 2 << 20, .page_size = 2 << 20, .flags = DMAMAP_LOW32};
	struct dmamap_container *c;
	struct dmamap_zone *z;
	struct area *a, *b, *zone;
	rte_iova_t iova;

	BEGIN(&c, &a, &b);
	if (dmamap_device_dma_mask(edu[0].dma, 28) != 0 || dmamap_zone_alloc(c, &conf, &z) != 0)
		return TEST_FAILED;
	iova = dmamap_zone_iova(z);
	zone = area_adopt(dmamap_zone_va(z), dmamap_zone_len(z));
	TEST_ASSERT_NOT_NULL(zone, "no memory");
	CARRY(&edu[0], IOVA_A, iova, 64);
	area_expect(zone, 0, a->va, 64);
	CARRY(&edu[0], IOVA_A, iova + zone->len - 64, 64);
	area_expect(zone, zone->len - 64, a->va, 64);
	TEST_ASSERT(areas_match(), "first and last bytes");
	CARRY(&edu[0], iova + zone->len / 2 - 100, IOVA_B, 200);
	area_expect(b, 0, zone->va + zone->len / 2 - 100, 200);
	CARRY(&edu[0], IOVA_A + 64, iova + zone->len, 64);
	TEST_ASSERT(areas_match(), "the middle, and behind the end");
	return TEST_SUCCESS;
}

/** One IOVA, two containers, two devices: each device reaches its container's memory. */
static int
containers_do_not_mix(void)
{
	struct dmamap_container *one = make_container(DMAMAP_SHARE);
	struct dmamap_container *two = make_container(DMAMAP_SHARE);
	struct area *a = area_make(2 * PAGE), *b = area_make(2 * PAGE);

	if (edu_raw_name(1) == NULL)
		return test_skip("there is only one edu device");
	TEST_ASSERT(one != NULL && two != NULL && a != NULL && b != NULL, "no container or memory");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[0], one, 0), "open");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[1], two, 1), "open");
	TEST_ASSERT_SUCCESS(map_at(one, a, 0, 2 * PAGE, IOVA_A, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(map_at(two, b, 0, 2 * PAGE, IOVA_A, DMAMAP_RW), "map");

	CARRY(&edu[0], IOVA_A, IOVA_A + PAGE, 64);
	area_expect(a, PAGE, a->va, 64);
	TEST_ASSERT(areas_match(), "the first device");
	CARRY(&edu[1], IOVA_A, IOVA_A + PAGE, 64);
	area_expect(b, PAGE, b->va, 64);
	TEST_ASSERT(areas_match(), "the second device");

	/* Unmapped in one container, it stays mapped in the other. */
	TEST_ASSERT_SUCCESS(edu_raw_read(&edu[0], IOVA_A + 1024, 0, 64), "read");
	TEST_ASSERT_SUCCESS(dmamap_unmap(one, IOVA_A, 2 * PAGE), "unmap");
	TEST_ASSERT_SUCCESS(edu_raw_write(&edu[0], IOVA_A, 0, 64), "write");
	TEST_ASSERT(areas_match(), "the first device after its unmap");
	CARRY(&edu[1], IOVA_A + PAGE, IOVA_A + 200, 64);
	area_expect(b, 200, b->va + PAGE, 64);
	TEST_ASSERT(areas_match(), "the second device after the first one's unmap");
	return TEST_SUCCESS;
}

/**
 * A device that is detached and attached elsewhere sees the new address space and nothing of the
 * old.
 */
static int
a_device_that_moves_sees_only_its_new_container(void)
{
	struct dmamap_container *old, *new = make_container(DMAMAP_SHARE);
	struct area *a, *b, *x = area_make(2 * PAGE);

	TEST_ASSERT(new != NULL &&x != NULL, "no container or memory");
	BEGIN(&old, &a, &b);
	TEST_ASSERT_SUCCESS(map_at(new, x, 0, 2 * PAGE, IOVA_B, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(edu_raw_close(&edu[0]), "detach");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[0], new, 0), "attach");
	CARRY(&edu[0], IOVA_B, IOVA_B + PAGE, 64);
	area_expect(x, PAGE, x->va, 64);
	TEST_ASSERT(areas_match(), "through an IOVA that both containers map");
	CARRY(&edu[0], IOVA_A, IOVA_B, 64);
	TEST_ASSERT(memcmp(x->va, a->va, 64) != 0, "reads what only the old one maps");
	area_expect(x, 0, x->va, 64);

	/* Back again: the old container kept its mappings, and gets new page tables. */
	TEST_ASSERT_SUCCESS(edu_raw_close(&edu[0]), "detach");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[0], old, 0), "attach");
	CARRY(&edu[0], IOVA_A, IOVA_B, 64);
	area_expect(b, 0, a->va, 64);
	TEST_ASSERT(areas_match(), "back in its old container");
	return TEST_SUCCESS;
}

static int
expect_domains(struct dmamap_container *c, unsigned int domains, unsigned int devices)
{
	struct dmamap_container_info info;

	TEST_ASSERT_SUCCESS(dmamap_container_info(c, &info), "info");
	TEST_ASSERT_EQUAL(info.n_domains, domains, "%u domains, not %u", info.n_domains, domains);
	TEST_ASSERT_EQUAL(info.n_devices, devices, "%u devices, not %u", info.n_devices, devices);
	return 0;
}

/** What two devices of one container must see, in a common domain or in two domains. */
static int
two_devices(enum dmamap_sharing sharing, unsigned int domains)
{
	struct dmamap_container *c = make_container(sharing);
	struct area *a = area_make(2 * PAGE), *b = area_make(2 * PAGE), *late = area_make(2 * PAGE);
	unsigned int i;

	if (edu_raw_name(1) == NULL)
		return test_skip("there is only one edu device");
	TEST_ASSERT(c != NULL && a != NULL && b != NULL && late != NULL, "no container or memory");
	/* Map A before any device, B between the two, and the last after both. */
	TEST_ASSERT_SUCCESS(
		map_at(c, a, 0, 2 * PAGE, IOVA_A, DMAMAP_READ), "map before any device");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[0], c, 0), "open");
	TEST_ASSERT_SUCCESS(map_at(c, b, 0, 2 * PAGE, IOVA_B, DMAMAP_RW), "map with one device");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[1], c, 1), "open");
	TEST_ASSERT_SUCCESS(map_at(c, late, 0, 2 * PAGE, IOVA_B + 16 * PAGE, DMAMAP_RW),
		"map with both devices");
	TEST_ASSERT_SUCCESS(expect_domains(c, domains, 2), "domains");

	for (i = 0; i < 2; i++) {
		CARRY(&edu[i], IOVA_A + 64 * i, IOVA_B + 128 * i, 64);
		area_expect(b, 128 * i, a->va + 64 * i, 64);
		CARRY(&edu[i], IOVA_B + PAGE, IOVA_B + 17 * PAGE + 64 * i, 64);
		area_expect(late, PAGE + 64 * i, b->va + PAGE, 64);
		CARRY(&edu[i], IOVA_B + PAGE, IOVA_A, 64); /* which is read-only */
		TEST_ASSERT(areas_match(), "device %u of %u domains", i, domains);
	}
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, IOVA_B, 2 * PAGE), "unmap");
	for (i = 0; i < 2; i++)
		CARRY(&edu[i], IOVA_A + 1024, IOVA_B, 64);
	TEST_ASSERT(areas_match(), "written after the unmap, of %u domains", domains);

	/* Detach the first device; the mappings stay for the second. */
	TEST_ASSERT_SUCCESS(edu_raw_close(&edu[0]), "detach");
	TEST_ASSERT_SUCCESS(expect_domains(c, 1, 1), "domains");
	CARRY(&edu[1], IOVA_A + 2048, IOVA_B + 16 * PAGE, 64);
	area_expect(late, 0, a->va + 2048, 64);
	TEST_ASSERT(areas_match(), "after the first device has left");
	return TEST_SUCCESS;
}

static int
two_devices_share_one_domain(void)
{
	return two_devices(DMAMAP_SHARE, 1);
}

static int
two_domains_of_one_container_see_the_same(void)
{
	return two_devices(DMAMAP_ISOLATE, 2);
}

/** Reserve IOVA ranges until none is free. @return how many; *last: the highest reserved IOVA */
static unsigned int
reserve_all(struct dmamap_container *c, size_t len, struct dmamap_range within, rte_iova_t *last)
{
	unsigned int n = 0;
	rte_iova_t iova;

	*last = 0;
	test_log_begin(); /* the last one must fail */
	while (n < 4096 && dmamap_iova_reserve(c, len, 0, within, &iova) == 0) {
		*last = RTE_MAX(*last, iova + len - 1);
		n++;
	}
	test_log_end();
	return n;
}

/** While a device with a mask of 28 bits is attached, no higher IOVA is allocated. */
static int
a_device_mask_bounds_all_iovas(void)
{
	const size_t len = 16 << 20;
	struct dmamap_container *c;
	struct area *a, *b;
	rte_iova_t last, iova;
	unsigned int n;

	BEGIN(&c, &a, &b);
	TEST_ASSERT_EQUAL(dmamap_device_dma_mask(edu[0].dma, 11), -EINVAL, "11 bits");
	TEST_ASSERT_EQUAL(dmamap_device_dma_mask(edu[0].dma, 65), -EINVAL, "65 bits");
	TEST_ASSERT_SUCCESS(dmamap_device_dma_mask(edu[0].dma, 28), "28 bits");
	n = reserve_all(c, len, DMAMAP_ANYWHERE, &last);
	TEST_ASSERT(n > 0 && n <= 16, "%u times 16 MiB below 256 MiB", n);
	TEST_ASSERT(last < UINT64_C(1) << 28, "an IOVA beyond the mask: %#" PRIx64, last);

	TEST_ASSERT_SUCCESS(edu_raw_close(&edu[0]), "detach");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, len, 0, DMAMAP_ANYWHERE, &iova),
		"the mask outlives its device");
	return TEST_SUCCESS;
}

static int
low32_stays_below_4_gib(void)
{
	const struct dmamap_range low = {0, UINT32_MAX};
	struct dmamap_container *c;
	struct area *a, *b, *x;
	rte_iova_t last, iova = 0;
	size_t len;

	BEGIN(&c, &a, &b);
	x = area_make(PAGE);
	TEST_ASSERT_NOT_NULL(x, "no memory");
	TEST_ASSERT_SUCCESS(dmamap_map(c, x->va, PAGE, DMAMAP_RW | DMAMAP_LOW32, &iova), "map");
	TEST_ASSERT(iova <= UINT32_MAX - PAGE, "not low: %#" PRIx64, iova);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, PAGE), "unmap");
	for (len = 1 << 30; len >= PAGE; len /= 2)
		reserve_all(c, len, low, &last);
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_map(c, x->va, PAGE, DMAMAP_RW | DMAMAP_LOW32, &iova), -ENOSPC,
		"mapped although nothing low is free");
	test_log_end();
	TEST_ASSERT_SUCCESS(dmamap_map(c, x->va, PAGE, DMAMAP_RW, &iova), "nor anywhere else");
	TEST_ASSERT(iova > UINT32_MAX, "low after all: %#" PRIx64, iova);
	return TEST_SUCCESS;
}

/**
 * A device that truncates addresses writes to the wrong place. If the container knows its mask,
 * everything is mapped where the device can reach it.
 */
static int
a_narrow_device_reaches_what_is_mapped_for_it(void)
{
	const rte_iova_t low = 0x100000, high = low + (UINT64_C(1) << 28);
	struct dmamap_container *c = make_container(DMAMAP_SHARE);
	struct area *a = area_make(PAGE), *x = area_make(PAGE), *y = area_make(PAGE);
	rte_iova_t iova;
	unsigned int i;

	TEST_ASSERT(c != NULL && a != NULL && x != NULL && y != NULL, "no container or memory");
	TEST_ASSERT_SUCCESS(map_at(c, a, 0, PAGE, IOVA_A, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(map_at(c, x, 0, PAGE, low, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(map_at(c, y, 0, PAGE, high, DMAMAP_RW), "map");
	for (i = 0; edu_raw_name(i) != NULL; i++) {
		TEST_ASSERT_SUCCESS(edu_raw_open(&edu[i], c, i), "open");
		CARRY(&edu[i], IOVA_A + 64 * i, high, 64);
		if (memcmp(x->va, a->va + 64 * i, 64) == 0)
			break; /* the device truncated the address */
		area_expect(y, 0, a->va + 64 * i, 64);
		TEST_ASSERT(areas_match(), "device %u wrote neither high nor low", i);
	}
	if (edu_raw_name(i) == NULL)
		return test_skip("all edu devices reach beyond 28 bits");
	area_expect(x, 0, x->va, 64);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, high, PAGE), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_device_dma_mask(edu[i].dma, 28), "mask");
	TEST_ASSERT_SUCCESS(dmamap_map(c, y->va, PAGE, DMAMAP_RW, &iova), "map");
	CARRY(&edu[i], IOVA_A, iova, 64);
	area_expect(y, 0, a->va, 64);
	TEST_ASSERT(areas_match(), "not reached at %#" PRIx64, iova);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"what the device reads at A arrives at B", reads_at_a_arrive_at_b},
	{"a read-only mapping is not written", a_read_only_mapping_is_not_written},
	{"a write-only mapping is written", a_write_only_mapping_is_written},
	{"an unmapped IOVA is neither read nor written",
		an_unmapped_iova_is_neither_read_nor_written},
	{"mappings end where they end", mappings_end_where_they_end},
	{"after an unmap nothing arrives, and other memory may take the IOVA",
		after_an_unmap_nothing_arrives},
	{"an alias reaches the same memory with rights of its own",
		an_alias_reaches_the_same_memory},
	{"a zone is reached from end to end", a_zone_is_reached_from_end_to_end},
	{"one IOVA in two containers is two pieces of memory", containers_do_not_mix},
	{"a device that moves sees only its new container",
		a_device_that_moves_sees_only_its_new_container},
	{"two devices share one domain", two_devices_share_one_domain},
	{"two domains of one container see the same", two_domains_of_one_container_see_the_same},
	{"a device's mask bounds all IOVAs", a_device_mask_bounds_all_iovas},
	{"LOW32 stays below 4 GiB", low32_stays_below_4_gib},
	{"a narrow device reaches what is mapped for it",
		a_narrow_device_reaches_what_is_mapped_for_it},
};

REGISTER_TEST_SUITE(dma_exact) = {
	.name = "dma_exact",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
