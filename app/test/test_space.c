/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the walk of an IOVA space: every kind of part, no gaps, nothing twice, and the sums that
 * the container itself tells.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include <dm_container.h>

#include "machine.h"
#include "test.h"

#define PARTS_MAX 512
#define BASE UINT64_C(0x200000000)

/** What a walk has found. */
struct found {
	struct dmamap_space part[PARTS_MAX];
	unsigned int n;
	bool gap; /**< a part does not begin where the last one ended */
};

static struct found found;

static int
collect(const struct dmamap_space *part, void *arg)
{
	struct found *f = arg;

	if (f->n > 0)
		f->gap = f->gap || part->range.start != f->part[f->n - 1].range.last + 1;
	f->gap = f->gap || part->range.last < part->range.start;
	if (f->n < PARTS_MAX)
		f->part[f->n] = *part;
	f->n++;
	return 0;
}

/** Walk all of it. @return whether it is whole */
static bool
walk(void)
{
	memset(&found, 0, sizeof(found));
	if (dmamap_space_walk(c, 0, collect, &found) != 0 || found.n == 0 || found.n > PARTS_MAX)
		return false;
	return !found.gap && found.part[0].range.start == 0 &&
		found.part[found.n - 1].range.last == UINT64_MAX;
}

static const struct dmamap_space *
part_at(dmamap_iova_t iova)
{
	unsigned int i;

	for (i = 0; i < found.n; i++)
		if (found.part[i].range.start <= iova && iova <= found.part[i].range.last)
			return &found.part[i];
	return NULL;
}

static uint64_t
bytes_of(enum dmamap_space_kind kind)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < found.n; i++)
		if (found.part[i].kind == kind)
			sum += found.part[i].range.last - found.part[i].range.start + 1;
	return sum;
}

static int
map_at(dmamap_iova_t iova, size_t at, size_t len, uint32_t flags)
{
	return dmamap_map(c, buf + at, len, flags | DMAMAP_FIXED, &iova);
}

static int
every_kind_is_found(void)
{
	const struct dmamap_zone_conf conf = {
		.len = 3 * KB4, .page_size = KB4, .name = "rings", .owner = "me"};
	struct dmamap_device *nic = machine_attach("nic0");
	struct dmamap_registration *reg;
	const struct dmamap_space *part;
	dmamap_iova_t reserved, registered;
	struct dmamap_container_info info;
	struct dmamap_zone *zone;

	TEST_ASSERT_NOT_NULL(nic, "attach");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &zone), "zone");
	TEST_ASSERT_SUCCESS(map_at(BASE, 0, KB4, DMAMAP_READ), "map");
	TEST_ASSERT_SUCCESS(map_at(BASE + KB4, KB4, KB4, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_register(c, buf + MB2, KB4, DMAMAP_RW, &registered, &reg), "register");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, MB2, 0,
				    (struct dmamap_range){BASE * 2, BASE * 3}, &reserved),
		"reserve");
	/* A mapping in the reservation hides a part of it. */
	TEST_ASSERT_SUCCESS(map_at(reserved + KB4, 2 * KB4, KB4, DMAMAP_WRITE), "map");
	TEST_ASSERT(walk(), "%u parts%s", found.n, found.gap ? ", with a gap" : "");

	part = part_at(0);
	TEST_ASSERT(part->kind == DMAMAP_SPACE_RESERVED && part->type == DMAMAP_RESERVED_PAGE0 &&
			strcmp(part->owner, "gantry") == 0,
		"page 0: %d", part->kind);
	part = part_at(0xfee00000);
	TEST_ASSERT(part->kind == DMAMAP_SPACE_RESERVED && part->type == DMAMAP_RESERVED_MSI &&
			part->range.start == 0xfee00000 && part->range.last == 0xfeefffff &&
			strcmp(part->owner, "group 0 (nic0)") == 0,
		"the MSI window: %d of %s", part->kind, part->owner);
	part = part_at(UINT64_MAX);
	TEST_ASSERT(part->kind == DMAMAP_SPACE_OUTSIDE, "beyond the aperture: %d", part->kind);
	part = part_at(dmamap_zone_iova(zone) + KB4);
	TEST_ASSERT(part->kind == DMAMAP_SPACE_ZONE && strcmp(part->name, "rings") == 0 &&
			strcmp(part->owner, "me") == 0 && part->page_size == KB4 &&
			part->flags == DMAMAP_RW && part->node >= 0,
		"the zone: %d, %s", part->kind, part->name);
	part = part_at(BASE);
	TEST_ASSERT(part->kind == DMAMAP_SPACE_MAPPING && part->flags == DMAMAP_READ &&
			part->range.last == BASE + KB4 - 1 && part->n == 1,
		"a mapping: %d", part->kind);
	part = part_at(BASE + KB4);
	TEST_ASSERT(part->kind == DMAMAP_SPACE_MAPPING && part->flags == DMAMAP_RW, "another: %d",
		part->kind);
	part = part_at(registered);
	TEST_ASSERT(part->kind == DMAMAP_SPACE_REGISTRATION, "a registration: %d", part->kind);
	part = part_at(reserved);
	TEST_ASSERT(part->kind == DMAMAP_SPACE_RESERVATION &&
			part->range.last == reserved + KB4 - 1 && part->name[0] == '\0',
		"a reservation: %d", part->kind);
	part = part_at(reserved + KB4);
	TEST_ASSERT(part->kind == DMAMAP_SPACE_MAPPING && part->flags == DMAMAP_WRITE,
		"in the reservation: %d", part->kind);
	part = part_at(reserved + 2 * KB4);
	TEST_ASSERT(
		part->kind == DMAMAP_SPACE_RESERVATION && part->range.last == reserved + MB2 - 1,
		"behind it: %d", part->kind);
	part = part_at(BASE + 16 * MB2);
	TEST_ASSERT(part->kind == DMAMAP_SPACE_FREE, "free: %d", part->kind);

	dmamap_container_info(c, &info);
	TEST_ASSERT_EQUAL(bytes_of(DMAMAP_SPACE_ZONE) + bytes_of(DMAMAP_SPACE_MAPPING) +
			bytes_of(DMAMAP_SPACE_REGISTRATION),
		info.mapped_len, "mapped bytes");
	TEST_ASSERT_EQUAL(bytes_of(DMAMAP_SPACE_RESERVATION) + KB4, info.reservation_len,
		"reserved bytes: %lu", (unsigned long)info.reservation_len);
	TEST_ASSERT_EQUAL(bytes_of(DMAMAP_SPACE_QUARANTINE), 0, "quarantine");

	TEST_ASSERT_SUCCESS(dmamap_unmap(c, reserved + KB4, KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, reserved, MB2), "release");
	TEST_ASSERT_SUCCESS(dmamap_deregister(reg), "deregister");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, BASE, 2 * KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(zone), "free");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	return TEST_SUCCESS;
}

static int
equal_neighbours_are_one_part(void)
{
	const struct dmamap_space *part;
	unsigned int i;

	for (i = 0; i < 200; i++)
		TEST_ASSERT_SUCCESS(
			map_at(BASE + i * KB4, (i * 7 % 200) * KB4, KB4, DMAMAP_RW), "map %u", i);
	TEST_ASSERT(walk(), "%u parts", found.n);
	part = part_at(BASE);
	TEST_ASSERT(part->n == 200 && part->range.last == BASE + 200 * KB4 - 1, "%lu mappings",
		(unsigned long)part->n);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, BASE + 100 * KB4, KB4), "unmap");
	TEST_ASSERT(walk(), "%u parts", found.n);
	TEST_ASSERT_EQUAL(part_at(BASE)->n, 100, "%lu mappings", (unsigned long)part_at(BASE)->n);
	TEST_ASSERT_EQUAL(part_at(BASE + 100 * KB4)->kind, DMAMAP_SPACE_FREE, "the hole");
	TEST_ASSERT_EQUAL(part_at(BASE + 101 * KB4)->n, 99, "%lu mappings",
		(unsigned long)part_at(BASE + 101 * KB4)->n);
	return TEST_SUCCESS;
}

static int
quarantine_is_found(void)
{
	struct dmamap_device *nic = machine_attach("nic0");

	TEST_ASSERT_NOT_NULL(nic, "attach");
	TEST_ASSERT_SUCCESS(map_at(BASE, 0, KB4, DMAMAP_RW), "map");
	/* The kernel unmaps less than it was asked for. */
	vfio_mock_short_unmap(mock, 1, 0);
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_unmap(c, BASE, KB4), -EIO, "unmap");
	test_log_end();
	TEST_ASSERT(walk(), "%u parts", found.n);
	TEST_ASSERT_EQUAL(part_at(BASE)->kind, DMAMAP_SPACE_QUARANTINE, "%d", part_at(BASE)->kind);
	TEST_ASSERT_EQUAL(
		machine_info().quarantined_len, bytes_of(DMAMAP_SPACE_QUARANTINE), "bytes");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	return TEST_SUCCESS;
}

static int
stop_at_the_third(const struct dmamap_space *part, void *arg)
{
	RTE_SET_USED(part);
	return ++*(unsigned int *)arg == 3 ? 42 : 0;
}

static int
a_walk_begins_and_ends_where_it_is_told(void)
{
	unsigned int n = 0;

	TEST_ASSERT_SUCCESS(map_at(BASE, 0, 2 * KB4, DMAMAP_RW), "map");
	memset(&found, 0, sizeof(found));
	TEST_ASSERT_SUCCESS(dmamap_space_walk(c, BASE + KB4, collect, &found), "walk");
	TEST_ASSERT(found.part[0].range.start == BASE + KB4 &&
			found.part[0].kind == DMAMAP_SPACE_MAPPING && !found.gap,
		"from the middle of a mapping");
	TEST_ASSERT_EQUAL(dmamap_space_walk(c, 0, stop_at_the_third, &n), 42, "stop");
	TEST_ASSERT_EQUAL(n, 3u, "%u calls", n);
	memset(&found, 0, sizeof(found));
	TEST_ASSERT_SUCCESS(dmamap_space_walk(c, UINT64_MAX, collect, &found), "the last byte");
	TEST_ASSERT_EQUAL(found.n, 1u, "%u parts", found.n);
	TEST_ASSERT_EQUAL(dmamap_space_walk(NULL, 0, collect, &found), -EINVAL, "no container");
	TEST_ASSERT_EQUAL(dmamap_space_walk(c, 0, NULL, NULL), -EINVAL, "no function");
	return TEST_SUCCESS;
}

/** A page of three parts. */
struct page {
	unsigned int n;
	uint64_t next; /**< 0: that was the end */
};

static int
collect_page(const struct dmamap_space *part, void *arg)
{
	struct page *page = arg;

	if (page->n++ < 3)
		return collect(part, &found);
	page->next = part->range.start;
	return 1;
}

static int
pages_are_the_whole(void)
{
	static struct found whole;
	struct dmamap_device *nic = machine_attach("nic0");
	struct dmamap_range anywhere = {0, UINT64_MAX};
	const struct dmamap_zone_conf conf = {.len = 3 * KB4, .page_size = KB4, .name = "rings"};
	struct page page = {.next = 0};
	dmamap_iova_t reserved;
	struct dmamap_zone *zone;
	unsigned int i;

	TEST_ASSERT_NOT_NULL(nic, "attach");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &zone), "zone");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, MB2, 0, anywhere, &reserved), "reserve");
	TEST_ASSERT_SUCCESS(map_at(reserved + KB4, 300 * KB4, KB4, DMAMAP_RW), "map");
	/* Neighbours of more than a batch, and mappings apart. */
	for (i = 0; i < 200; i++)
		TEST_ASSERT_SUCCESS(
			map_at(BASE + (i < 150 ? i : 2 * i) * KB4, i * KB4, KB4, DMAMAP_RW), "map");
	TEST_ASSERT(walk(), "%u parts", found.n);
	whole = found;
	memset(&found, 0, sizeof(found));
	do {
		page.n = 0;
		i = found.n;
		TEST_ASSERT(dm_space_walk_some(c, page.next, 4, collect_page, &page) >= 0, "page");
		TEST_ASSERT(page.n == 4 || found.part[found.n - 1].range.last == UINT64_MAX,
			"a page of %u parts", page.n);
	} while (page.n == 4 && found.n > i);
	TEST_ASSERT(found.n == whole.n && !found.gap, "%u and %u parts", found.n, whole.n);
	for (i = 0; i < found.n; i++)
		TEST_ASSERT(found.part[i].range.start == whole.part[i].range.start &&
				found.part[i].range.last == whole.part[i].range.last &&
				found.part[i].kind == whole.part[i].kind &&
				found.part[i].n == whole.part[i].n,
			"part %u: 0x%lx, 0x%lx", i, found.part[i].range.start,
			whole.part[i].range.start);
	TEST_ASSERT_SUCCESS(dmamap_zone_free(zone), "free");
	return dmamap_container_detach(nic);
}

static bool ends;

static void *
maps_and_unmaps(void *arg)
{
	dmamap_iova_t iova;
	intptr_t errors = 0;

	while (!__atomic_load_n(&ends, __ATOMIC_RELAXED)) {
		errors += dmamap_map(c, arg, KB4, DMAMAP_RW, &iova) != 0;
		errors += dmamap_unmap(c, iova, KB4) != 0;
	}
	return (void *)errors;
}

static int
a_walk_beside_maps_has_no_gap(void)
{
	pthread_t threads[2];
	unsigned int i;
	void *errors;
	bool whole = true;

	ends = false;
	for (i = 0; i < 150; i++)
		TEST_ASSERT_SUCCESS(map_at(BASE + 2 * i * KB4, i * KB4, KB4, DMAMAP_RW), "map");
	for (i = 0; i < RTE_DIM(threads); i++)
		TEST_ASSERT_SUCCESS(
			pthread_create(&threads[i], NULL, maps_and_unmaps, buf + (i + 1) * MB2),
			"thread");
	for (i = 0; i < 100 && whole; i++)
		whole = walk() && part_at(BASE + 298 * KB4)->kind == DMAMAP_SPACE_MAPPING;
	__atomic_store_n(&ends, true, __ATOMIC_RELAXED);
	for (i = 0; i < RTE_DIM(threads); i++) {
		pthread_join(threads[i], &errors);
		TEST_ASSERT_NULL(errors, "errors of thread %u", i);
	}
	TEST_ASSERT(whole, "%u parts%s", found.n, found.gap ? ", with a gap" : "");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"every kind is found", every_kind_is_found},
	{"equal neighbours are one part", equal_neighbours_are_one_part},
	{"quarantine is found", quarantine_is_found},
	{"a walk begins and ends where it is told", a_walk_begins_and_ends_where_it_is_told},
	{"pages are the whole", pages_are_the_whole},
	{"a walk beside maps has no gap", a_walk_beside_maps_has_no_gap},
};

REGISTER_TEST_SUITE(space) = {.name = "space",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown};
