/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of refusals that need no device: each mistake returns its errno, logs one line and leaves
 * nothing behind.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>

#include "test.h"
#include "test_bad_input.h"

#define PAGE 4096
#define MAPPED UINT64_C(0x10000000) /* the fixture's mapping of four pages */
#define TAKEN UINT64_C(0x20000000) /* the fixture's reservation of four pages */
#define N_PAGES 4
#define LEN (N_PAGES * PAGE)

static struct dmamap_container *container;
static struct dmamap_zone *zone;
static uint8_t *memory; /* twice LEN, of which the first half is mapped */

bool
is_refused(struct dmamap_container *c, const struct wrong_call *wrong)
{
	struct dmamap_container_info before, after;
	const char *log, *line_end;
	bool right = true;
	unsigned int i;
	int rc;

	dmamap_container_info(c, &before);
	test_log_begin();
	rc = wrong->call(c);
	log = test_log_end();
	dmamap_container_info(c, &after);

	if (rc != wrong->rc) {
		printf("  %s: returns %d (%s), not %d (%s)\n", wrong->name, rc, strerror(-rc),
			wrong->rc, strerror(-wrong->rc));
		right = false;
	}
	line_end = strchr(log, '\n');
	if (line_end == NULL || line_end[1] != '\0') {
		printf("  %s: is not one line of log\n", wrong->name);
		right = false;
	}
	for (i = 0; i < SAYS_MAX && wrong->says[i] != NULL; i++)
		if (strstr(log, wrong->says[i]) == NULL) {
			printf("  %s: does not say \"%s\"\n", wrong->name, wrong->says[i]);
			right = false;
		}
	after.map_calls = before.map_calls; /* calls that were made and undone may be counted */
	after.unmap_calls = before.unmap_calls;
	if (memcmp(&before, &after, sizeof(before)) != 0) {
		printf("  %s: the container is not as it was\n", wrong->name);
		right = false;
	}
	if (!right)
		printf("  %s: the log was: %s\n", wrong->name, log);
	return right;
}

static int
setup(void)
{
	const struct dmamap_container_conf conf = {.name = "bad", .backend = DMAMAP_BACKEND_TYPE1};
	const struct dmamap_zone_conf zone_conf = {.len = PAGE, .page_size = PAGE, .name = "rings"};
	const struct dmamap_range at = {TAKEN, TAKEN + LEN - 1};
	rte_iova_t iova = MAPPED;

	memory = mmap(NULL, 2 * LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || dmamap_container_create(&conf, &container) != 0)
		return TEST_FAILED;
	if (dmamap_map(container, memory, LEN, DMAMAP_RW | DMAMAP_FIXED, &iova) != 0 ||
		dmamap_iova_reserve(container, LEN, 0, at, &iova) != 0 ||
		dmamap_zone_alloc(container, &zone_conf, &zone) != 0)
		return TEST_FAILED;
	return 0;
}

static void
teardown(void)
{
	if (container != NULL)
		dmamap_container_destroy(container);
	if (memory != MAP_FAILED)
		munmap(memory, 2 * LEN);
	container = NULL;
}

static int
map_fixed(struct dmamap_container *c, size_t off, size_t len, rte_iova_t iova)
{
	return dmamap_map(c, memory + LEN + off, len, DMAMAP_RW | DMAMAP_FIXED, &iova);
}

static int
map_page_0(struct dmamap_container *c)
{
	return map_fixed(c, 0, PAGE, 0);
}

static int
map_beyond_the_aperture(struct dmamap_container *c)
{
	return map_fixed(c, 0, PAGE, UINT64_C(1) << 39);
}

static int
map_across_the_aperture(struct dmamap_container *c)
{
	return map_fixed(c, 0, 2 * PAGE, (UINT64_C(1) << 39) - PAGE);
}

static int
map_the_last_page(struct dmamap_container *c)
{
	return map_fixed(c, 0, PAGE, UINT64_MAX - PAGE + 1);
}

static int
map_around_the_end(struct dmamap_container *c)
{
	return map_fixed(c, 0, 2 * PAGE, UINT64_MAX - PAGE + 1);
}

static int
map_over_the_beginning(struct dmamap_container *c)
{
	return map_fixed(c, 0, 2 * PAGE, MAPPED - PAGE);
}

static int
map_over_the_end(struct dmamap_container *c)
{
	return map_fixed(c, 0, 2 * PAGE, MAPPED + LEN - PAGE);
}

static int
map_inside(struct dmamap_container *c)
{
	return map_fixed(c, 0, PAGE, MAPPED + PAGE);
}

static int
map_partly_into_reserved(struct dmamap_container *c)
{
	return map_fixed(c, 0, 2 * PAGE, TAKEN - PAGE);
}

static int
map_memory_twice(struct dmamap_container *c)
{
	rte_iova_t iova;

	return dmamap_map(c, memory + PAGE, PAGE, DMAMAP_RW, &iova);
}

static int
map_part_of_a_page(struct dmamap_container *c)
{
	return map_fixed(c, 0, PAGE + 1, 0x30000000);
}

static int
map_no_length(struct dmamap_container *c)
{
	return map_fixed(c, 0, 0, 0x30000000);
}

static int
map_unaligned_memory(struct dmamap_container *c)
{
	return map_fixed(c, 64, PAGE, 0x30000000);
}

static int
map_at_an_unaligned_iova(struct dmamap_container *c)
{
	return map_fixed(c, 0, PAGE, 0x30000800);
}

static int
map_without_access(struct dmamap_container *c)
{
	rte_iova_t iova;

	return dmamap_map(c, memory + LEN, PAGE, DMAMAP_LOW32, &iova);
}

static int
map_with_unknown_flags(struct dmamap_container *c)
{
	rte_iova_t iova;

	return dmamap_map(c, memory + LEN, PAGE, DMAMAP_RW | UINT32_C(0x80000000), &iova);
}

static int
unmap_the_first_half(struct dmamap_container *c)
{
	return dmamap_unmap(c, MAPPED, LEN / 2);
}

static int
unmap_the_second_half(struct dmamap_container *c)
{
	return dmamap_unmap(c, MAPPED + LEN / 2, LEN / 2);
}

static int
unmap_too_much(struct dmamap_container *c)
{
	return dmamap_unmap(c, MAPPED, LEN + PAGE);
}

static int
unmap_nothing_there(struct dmamap_container *c)
{
	return dmamap_unmap(c, 0x40000000, PAGE);
}

static int
unmap_a_zone(struct dmamap_container *c)
{
	return dmamap_unmap(c, dmamap_zone_iova(zone), dmamap_zone_len(zone));
}

static int
unmap_around_the_end(struct dmamap_container *c)
{
	return dmamap_unmap(c, UINT64_MAX - PAGE + 1, 2 * PAGE);
}

static int
release_half(struct dmamap_container *c)
{
	return dmamap_iova_release(c, TAKEN, LEN / 2);
}

static int
release_what_was_not_reserved(struct dmamap_container *c)
{
	return dmamap_iova_release(c, 0x40000000, PAGE);
}

static int
reserve_without_length(struct dmamap_container *c)
{
	rte_iova_t iova;

	return dmamap_iova_reserve(c, 0, 0, DMAMAP_ANYWHERE, &iova);
}

static int
reserve_where_nothing_is_free(struct dmamap_container *c)
{
	const struct dmamap_range there = {MAPPED, MAPPED + LEN - 1};
	rte_iova_t iova;

	return dmamap_iova_reserve(c, PAGE, 0, there, &iova);
}

static int
make_a_namesake(struct dmamap_container *c)
{
	const struct dmamap_container_conf conf = {.name = dmamap_container_name(c)};
	struct dmamap_container *other;

	return dmamap_container_create(&conf, &other);
}

static int
addresses_and_ranges(void)
{
	static const struct wrong_call wrong[] = {
		{"page 0", map_page_0, -EADDRINUSE, {"[0x0, 0xfff]", "page 0", "gantry"}},
		{"beyond the aperture", map_beyond_the_aperture, -ERANGE,
			{"0x8000000000", "aperture"}},
		{"across the aperture", map_across_the_aperture, -ERANGE,
			{"0x7ffffff000", "aperture"}},
		{"the last page", map_the_last_page, -ERANGE, {"0xfffffffffffff000", "aperture"}},
		{"around the end", map_around_the_end, -EINVAL, {"0xfffffffffffff000", "wraps"}},
		{"over the beginning", map_over_the_beginning, -EEXIST,
			{"[0xffff000, 0x10000fff]", "[0x10000000, 0x10003fff]", "unmap"}},
		{"over the end", map_over_the_end, -EEXIST,
			{"[0x10003000, 0x10004fff]", "[0x10000000, 0x10003fff]"}},
		{"inside", map_inside, -EEXIST,
			{"[0x10001000, 0x10001fff]", "[0x10000000, 0x10003fff]"}},
		{"partly into a reservation", map_partly_into_reserved, -EEXIST,
			{"[0x1ffff000, 0x20000fff]", "[0x20000000, 0x20003fff]", "reservation"}},
		{"memory twice", map_memory_twice, -EEXIST, {"IOVA 0x10000000", "DMAMAP_ALIAS"}},
		{"reserve where nothing is free", reserve_where_nothing_is_free, -ENOSPC,
			{"[0x10000000, 0x10003fff]"}},
	};
	bool right = true;
	unsigned int i;

	for (i = 0; i < RTE_DIM(wrong); i++)
		right = is_refused(container, &wrong[i]) && right;
	return right ? TEST_SUCCESS : TEST_FAILED;
}

static int
lengths_and_flags(void)
{
	static const struct wrong_call wrong[] = {
		{"part of a page", map_part_of_a_page, -EINVAL, {"0x1001", "0x1000", "multiple"}},
		{"no length", map_no_length, -EINVAL, {"multiple"}},
		{"unaligned memory", map_unaligned_memory, -EINVAL, {"040,", "0x1000", "multiple"}},
		{"unaligned IOVA", map_at_an_unaligned_iova, -EINVAL, {"0x30000800", "0x1000"}},
		{"no access", map_without_access, -EINVAL, {"0x8", "DMAMAP_READ", "DMAMAP_WRITE"}},
		{"unknown flags", map_with_unknown_flags, -EINVAL, {"0x80000003"}},
		{"reserve without length", reserve_without_length, -EINVAL, {"4096"}},
		{"a name that is in use", make_a_namesake, -EEXIST, {"bad", "in use"}},
	};
	bool right = true;
	unsigned int i;

	for (i = 0; i < RTE_DIM(wrong); i++)
		right = is_refused(container, &wrong[i]) && right;
	return right ? TEST_SUCCESS : TEST_FAILED;
}

static int
halves_are_not_unmapped(void)
{
	static const struct wrong_call wrong[] = {
		{"the first half", unmap_the_first_half, -EINVAL,
			{"[0x10000000, 0x10001fff]", "[0x10000000, 0x10003fff]", "whole"}},
		{"the second half", unmap_the_second_half, -EINVAL,
			{"[0x10002000, 0x10003fff]", "[0x10000000, 0x10003fff]"}},
		{"more than is mapped", unmap_too_much, -ENOENT, {"0x10004000"}},
		{"nothing there", unmap_nothing_there, -ENOENT, {"0x40000000"}},
		{"around the end", unmap_around_the_end, -EINVAL, {"wraps"}},
		{"a zone", unmap_a_zone, -EINVAL, {"rings", "dmamap_zone_free"}},
		{"release half", release_half, -EINVAL, {"[0x20000000, 0x20003fff]"}},
		{"release what was not reserved", release_what_was_not_reserved, -ENOENT,
			{"0x40000000"}},
	};
	bool right = true;
	unsigned int i;

	for (i = 0; i < RTE_DIM(wrong); i++)
		right = is_refused(container, &wrong[i]) && right;
	TEST_ASSERT(right, "see above");
	TEST_ASSERT_EQUAL(dmamap_va2iova(container, memory + PAGE), MAPPED + PAGE, "translation");
	TEST_ASSERT_SUCCESS(
		dmamap_unmap(container, MAPPED, LEN), "the whole is not unmapped, either");
	return TEST_SUCCESS;
}

/** A tebibyte is more than the hugepages of any machine that runs this test. */
static int
zone_of_a_tebibyte(struct dmamap_container *c)
{
	const struct dmamap_zone_conf conf = {
		.len = UINT64_C(1) << 40, .page_size = 2 << 20, .name = "pool"};
	struct dmamap_zone *z;

	return dmamap_zone_alloc(c, &conf, &z);
}

static int
zone_on_no_node(struct dmamap_container *c)
{
	const struct dmamap_zone_conf conf = {
		.len = PAGE, .on_node = true, .node = 999, .name = "pool"};
	struct dmamap_zone *z;

	return dmamap_zone_alloc(c, &conf, &z);
}

static int
zone_of_odd_pages(struct dmamap_container *c)
{
	const struct dmamap_zone_conf conf = {.len = PAGE, .page_size = 16 << 10, .name = "pool"};
	struct dmamap_zone *z;

	return dmamap_zone_alloc(c, &conf, &z);
}

static int
zone_without_length(struct dmamap_container *c)
{
	const struct dmamap_zone_conf conf = {.name = "pool"};
	struct dmamap_zone *z;

	return dmamap_zone_alloc(c, &conf, &z);
}

static int
memory_that_is_not_there(void)
{
	static const struct wrong_call wrong[] = {
		{"too few hugepages", zone_of_a_tebibyte, -ENOMEM,
			{"pool", "needs 524288 pages", "free", "nr_hugepages"}},
		{"no such node", zone_on_no_node, -ENODEV, {"pool", "999"}},
		{"no such page size", zone_of_odd_pages, -ENOENT,
			{"pool", "16 KiB", "/sys/kernel/mm/hugepages"}},
		{"no length", zone_without_length, -EINVAL, {"pool", "length 0"}},
	};
	bool right = true;
	unsigned int i;

	if (access("/sys/kernel/mm/hugepages/hugepages-2048kB", F_OK) != 0)
		return test_skip("this system has no 2 MiB pages");
	for (i = 0; i < RTE_DIM(wrong); i++)
		right = is_refused(container, &wrong[i]) && right;
	return right ? TEST_SUCCESS : TEST_FAILED;
}

static int
attach_something(struct dmamap_container *c)
{
	struct dmamap_device *d;

	return dmamap_container_attach(c, "0000:00:1f.7", &d);
}

static int
without_vfio_an_attach_says_so(void)
{
	static const struct wrong_call wrong = {
		"no /dev/vfio", attach_something, -ENOENT, {"/dev/vfio/vfio", "modprobe vfio-pci"}};

	if (access("/dev/vfio/vfio", F_OK) == 0)
		return test_skip("this machine has /dev/vfio/vfio");
	return is_refused(container, &wrong) ? TEST_SUCCESS : TEST_FAILED;
}

static const struct test_case cases[] = {
	{"addresses and ranges", addresses_and_ranges},
	{"lengths and flags", lengths_and_flags},
	{"halves are not unmapped", halves_are_not_unmapped},
	{"memory that is not there", memory_that_is_not_there},
	{"without /dev/vfio, an attach says so", without_vfio_an_attach_says_so},
};

REGISTER_TEST_SUITE(bad_input) = {
	.name = "bad_input",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
