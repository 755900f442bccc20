/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of one container over two sets of page tables, on a machine with two IOMMUs: what devices
 * behind each of them reach, and what the kernel's tracepoints report.
 */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dmamap.h>

#include "iommu_trace.h"
#include "test.h"
#include "test_dma_edu_raw.h"

#define PAGE 4096
#define IOVA_A UINT64_C(0x4000000) /* below 2^28, so that any edu device reaches it */
#define IOVA_B UINT64_C(0x6000000)

static const struct dmamap_range ours = {IOVA_A, IOVA_B + 16 * PAGE - 1};
static struct dmamap_container *c;
static struct edu_raw edu[2];
static unsigned int behind[2]; /* numbers of two edu devices behind different IOMMUs */

/** The name of the IOMMU in front of a device. */
static void
iommu_of(unsigned int n, char name[NAME_MAX + 1])
{
	char path[128], target[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu", edu_raw_name(n));
	len = readlink(path, target, sizeof(target) - 1);
	target[len > 0 ? len : 0] = '\0';
	snprintf(name, NAME_MAX + 1, "%.*s", NAME_MAX, len > 0 ? strrchr(target, '/') + 1 : "");
}

static int
setup(void)
{
	const struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1};
	char first[NAME_MAX + 1], other[NAME_MAX + 1];
	unsigned int n;

	if (edu_raw_name(0) == NULL)
		return test_skip("no edu device (1234:11e8) is bound to vfio-pci");
	iommu_of(0, first);
	for (n = 1; edu_raw_name(n) != NULL; n++) {
		iommu_of(n, other);
		if (strcmp(first, other) != 0)
			break;
	}
	if (edu_raw_name(n) == NULL)
		return test_skip(
			"all edu devices here are behind one IOMMU (profile arm64-smmuv3 has two)");
	behind[1] = n;
	if (iommu_trace_start() < 0)
		return test_skip("no iommu tracepoints in /sys/kernel/tracing");
	return dmamap_container_create(&conf, &c);
}

static void
teardown(void)
{
	iommu_trace_stop();
	edu_raw_close(&edu[0]);
	edu_raw_close(&edu[1]);
	if (c != NULL)
		dmamap_container_destroy(c);
	c = NULL;
	areas_free();
}

static int
map_at(const struct area *r, rte_iova_t iova)
{
	return dmamap_map(c, r->va, r->len, DMAMAP_RW | DMAMAP_FIXED, &iova);
}

/** Map and unmap events of the kernel for our IOVAs, since the last call. */
static struct iommu_trace
kernel_did(void)
{
	struct iommu_trace trace;

	iommu_trace_read(ours, &trace);
	iommu_trace_start();
	return trace;
}

static struct dmamap_container_info
info(void)
{
	struct dmamap_container_info now;

	dmamap_container_info(c, &now);
	return now;
}

/** A device reads bytes of A, and writes them to B. */
static int
carry(unsigned int n, struct area *a, struct area *b, size_t off)
{
	TEST_ASSERT_SUCCESS(
		edu_raw_read(&edu[n], IOVA_A + off, 0, 64), "the device's read does not end");
	TEST_ASSERT_SUCCESS(
		edu_raw_write(&edu[n], IOVA_B + off, 0, 64), "the device's write does not end");
	area_expect(b, off, a->va + off, 64);
	TEST_ASSERT(areas_match(), "what device %u moved", n);
	return 0;
}

static int
one_address_space_in_two_tables(void)
{
	struct area *a = area_make(PAGE), *b = area_make(PAGE);
	struct dmamap_container_info before, after;
	struct iommu_trace did;

	TEST_ASSERT(a != NULL && b != NULL, "no memory");
	TEST_ASSERT_SUCCESS(map_at(a, IOVA_A), "map before any device");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[0], c, behind[0]), "attach the first");
	did = kernel_did();
	TEST_ASSERT(did.maps == 1 && did.mapped == PAGE, "the first: %u maps", did.maps);
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[1], c, behind[1]), "attach the second");
	before = info();
	did = kernel_did();
	printf("  attach of the second: the kernel maps %u time(s), Gantry has %u domain(s)\n",
		did.maps, before.n_domains);
	TEST_ASSERT(did.maps == 1 && did.mapped == PAGE, "no replay: %u maps", did.maps);

	TEST_ASSERT_SUCCESS(map_at(b, IOVA_B), "map");
	after = info();
	did = kernel_did();
	printf("  a map: the kernel maps %u time(s), Gantry calls it %" PRIu64 " time(s)\n",
		did.maps, after.map_calls - before.map_calls);
	TEST_ASSERT(
		did.maps == 2 && did.mapped == 2 * PAGE, "not in both tables: %u maps", did.maps);
	TEST_ASSERT_EQUAL(
		after.map_calls - before.map_calls, after.n_domains, "a call for each domain");
	TEST_ASSERT_SUCCESS(carry(0, a, b, 0), "the first");
	TEST_ASSERT_SUCCESS(carry(1, a, b, 128), "the second");

	TEST_ASSERT_SUCCESS(dmamap_unmap(c, IOVA_B, PAGE), "unmap");
	did = kernel_did();
	TEST_ASSERT(did.unmapped == 2 * PAGE, "%" PRIu64 " bytes unmapped", did.unmapped);
	TEST_ASSERT_SUCCESS(edu_raw_write(&edu[0], IOVA_B, 0, 64), "the first");
	TEST_ASSERT_SUCCESS(edu_raw_write(&edu[1], IOVA_B, 0, 64), "the second");
	TEST_ASSERT(areas_match(), "written after the unmap");
	return TEST_SUCCESS;
}

static int
each_may_leave_first(void)
{
	struct area *a = area_make(PAGE), *b = area_make(PAGE);
	struct iommu_trace did;
	unsigned int leaves;

	TEST_ASSERT(a != NULL && b != NULL, "no memory");
	TEST_ASSERT_SUCCESS(map_at(a, IOVA_A), "map");
	TEST_ASSERT_SUCCESS(map_at(b, IOVA_B), "map");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[0], c, behind[0]), "attach");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[1], c, behind[1]), "attach");
	for (leaves = 0; leaves < 2; leaves++) {
		TEST_ASSERT_SUCCESS(edu_raw_close(&edu[leaves]), "detach");
		TEST_ASSERT_SUCCESS(carry(1 - leaves, a, b, 256 + 128 * leaves), "alone");
		kernel_did();
		TEST_ASSERT_SUCCESS(edu_raw_open(&edu[leaves], c, behind[leaves]), "attach again");
		did = kernel_did();
		TEST_ASSERT_EQUAL(
			did.mapped, UINT64_C(2) * PAGE, "replayed %" PRIu64 " bytes", did.mapped);
		TEST_ASSERT_SUCCESS(carry(leaves, a, b, 512 + 128 * leaves), "back");
	}
	TEST_ASSERT_SUCCESS(edu_raw_close(&edu[0]), "detach");
	TEST_ASSERT_SUCCESS(edu_raw_close(&edu[1]), "detach");
	return TEST_SUCCESS;
}

/** Memory that the kernel charges to this process as locked, in KiB. */
static uint64_t
locked_kib(void)
{
	FILE *in = fopen("/proc/self/status", "r");
	char line[128];
	uint64_t kib = 0;

	while (in != NULL && fgets(line, sizeof(line), in) != NULL)
		if (sscanf(line, "VmLck: %" SCNu64, &kib) == 1)
			break;
	if (in != NULL)
		fclose(in);
	return kib;
}

static int
nothing_is_left_after_all(void)
{
	struct area *a = area_make(PAGE), *b = area_make(PAGE);
	uint64_t locked = locked_kib();
	struct iommu_trace did;

	TEST_ASSERT(a != NULL && b != NULL, "no memory");
	TEST_ASSERT_SUCCESS(map_at(a, IOVA_A), "map");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[0], c, behind[0]), "attach");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[1], c, behind[1]), "attach");
	TEST_ASSERT_SUCCESS(map_at(b, IOVA_B), "map");
	TEST_ASSERT_EQUAL(locked_kib() - locked, UINT64_C(2) * PAGE / 1024,
		"two tables, but one charge: %" PRIu64 " KiB", locked_kib() - locked);
	TEST_ASSERT_SUCCESS(edu_raw_close(&edu[0]), "detach");
	TEST_ASSERT_SUCCESS(edu_raw_close(&edu[1]), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	c = NULL;
	did = kernel_did();
	printf("  in all: %u maps of %" PRIu64 " bytes, %u unmaps of %" PRIu64 " bytes\n", did.maps,
		did.mapped, did.unmaps, did.unmapped);
	TEST_ASSERT_EQUAL(did.mapped, UINT64_C(4) * PAGE, "%" PRIu64 " bytes mapped", did.mapped);
	/*
	 * The first domain's tables are freed as a whole, without unmap events. The kernel unmaps
	 * each map only from the last domain.
	 */
	TEST_ASSERT_EQUAL(
		did.unmapped, UINT64_C(2) * PAGE, "%" PRIu64 " bytes unmapped", did.unmapped);
	TEST_ASSERT_EQUAL(
		locked_kib(), locked, "%" PRIu64 " KiB stay locked", locked_kib() - locked);
	return TEST_SUCCESS;
}

static rte_iova_t
last_usable(void)
{
	struct dmamap_container_info now = info();

	return now.n_ranges > 0 ? now.ranges[now.n_ranges - 1].last : 0;
}

/**
 * Attach each device alone, to find which IOMMU has the larger aperture and where the other's ends.
 */
static int
find_apertures(unsigned int *wide, rte_iova_t *far, rte_iova_t *near)
{
	rte_iova_t last[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		TEST_ASSERT_SUCCESS(edu_raw_open(&edu[i], c, behind[i]), "attach");
		last[i] = last_usable();
		TEST_ASSERT_SUCCESS(edu_raw_close(&edu[i]), "detach");
	}
	if (last[0] == last[1])
		return test_skip(
			"both IOMMUs translate as much (profile arm64-smmuv3-stage2: they do not)");
	*wide = last[0] > last[1] ? 0 : 1;
	*far = last[*wide];
	*near = last[1 - *wide];
	return 0;
}

static int
the_ranges_shrink_and_come_back(void)
{
	rte_iova_t far, near;
	unsigned int wide;
	int rc = find_apertures(&wide, &far, &near);

	if (rc != 0)
		return rc;
	TEST_ASSERT_SUCCESS(
		edu_raw_open(&edu[wide], c, behind[wide]), "attach the one that reaches far");
	TEST_ASSERT_EQUAL(last_usable(), far, "%#" PRIx64, last_usable());
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[1 - wide], c, behind[1 - wide]), "attach the other");
	printf("  usable to %#" PRIx64 ", with the other %#" PRIx64 ", in %u domain(s)\n", far,
		last_usable(), info().n_domains);
	TEST_ASSERT_EQUAL(last_usable(), near, "%#" PRIx64, last_usable());
	TEST_ASSERT_SUCCESS(edu_raw_close(&edu[1 - wide]), "detach it");
	TEST_ASSERT_EQUAL(last_usable(), far, "%#" PRIx64, last_usable());
	return TEST_SUCCESS;
}

static int
a_map_beyond_refuses_the_attach_and_is_named(void)
{
	struct area *a = area_make(PAGE), *b = area_make(PAGE), *high = area_make(PAGE);
	unsigned int wide, narrow;
	char want[64];
	rte_iova_t far, near, iova;
	struct dmamap_container_info before, after;
	const char *log;
	int rc = find_apertures(&wide, &far, &near);

	if (rc != 0)
		return rc;
	narrow = 1 - wide;
	iova = near + 1 + 16 * PAGE;
	TEST_ASSERT(a != NULL && b != NULL && high != NULL, "no memory");
	TEST_ASSERT_SUCCESS(
		edu_raw_open(&edu[wide], c, behind[wide]), "attach the one that reaches far");
	TEST_ASSERT_SUCCESS(map_at(a, IOVA_A), "map");
	TEST_ASSERT_SUCCESS(map_at(b, IOVA_B), "map");
	TEST_ASSERT_SUCCESS(map_at(high, iova), "map beyond");
	before = info();
	kernel_did();

	test_log_begin();
	rc = edu_raw_open(&edu[narrow], c, behind[narrow]);
	log = test_log_end();
	printf("  %s", log);
	TEST_ASSERT_EQUAL(rc, -EADDRINUSE, "attach over a map beyond: %d", rc);
	snprintf(want, sizeof(want), "%#" PRIx64, iova);
	TEST_ASSERT(strstr(log, want) != NULL && strstr(log, edu_raw_name(behind[narrow])) != NULL,
		"log: %s", log);
	after = info();
	TEST_ASSERT(before.n_domains == after.n_domains && before.n_groups == after.n_groups &&
			before.mapped_len == after.mapped_len &&
			before.entries_left == after.entries_left &&
			before.n_ranges == after.n_ranges && last_usable() == far,
		"the container is not as before");
	TEST_ASSERT_EQUAL(kernel_did().unmaps, 0u, "the kernel lost a map");
	TEST_ASSERT_SUCCESS(carry(wide, a, b, 0), "the first");

	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, PAGE), "unmap what is beyond");
	TEST_ASSERT_SUCCESS(edu_raw_open(&edu[narrow], c, behind[narrow]), "attach again");
	TEST_ASSERT_SUCCESS(carry(narrow, a, b, 128), "the second");
	test_log_begin();
	rc = map_at(high, iova);
	test_log_end();
	TEST_ASSERT_EQUAL(rc, -ERANGE, "map beyond, with both: %d", rc);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"one address space in two tables", one_address_space_in_two_tables},
	{"each may leave first", each_may_leave_first},
	{"nothing is left after all", nothing_is_left_after_all},
	{"the ranges shrink and come back", the_ranges_shrink_and_come_back},
	{"a map beyond refuses the attach and is named",
		a_map_beyond_refuses_the_attach_and_is_named},
};

REGISTER_TEST_SUITE(two_iommus) = {
	.name = "two_iommus",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
