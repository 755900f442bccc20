/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of faults on a real kernel: a device goes where it must not, the IOMMU blocks it, the
 * kernel logs it, and the library tells whose memory it was. Also shows which words this kernel's
 * IOMMU driver uses.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#include "test.h"
#include "test_dma_edu_raw.h"

#define KB4 ((size_t)4096)

static struct dmamap_container *c;
static struct edu_raw edu;
static struct dmamap_fault_listener *listening;

/** What the listener was told; the fault is read after `calls` was. */
static struct {
	unsigned int calls; /* atomic */
	uint64_t faults;
	struct dmamap_fault last;
} told;

static void
listener(struct dmamap_fault *fault, void *arg)
{
	RTE_SET_USED(arg);
	told.last = *fault;
	told.faults += fault->count;
	__atomic_add_fetch(&told.calls, 1, __ATOMIC_RELEASE);
}

static int
setup(void)
{
	const struct dmamap_fault_conf conf = {.fault = listener};
	int rc;

	if (edu_raw_name(0) == NULL)
		return test_skip("no edu device is bound to vfio-pci");
	memset(&told, 0, sizeof(told));
	rc = dmamap_container_create(NULL, &c);
	if (rc == 0)
		rc = edu_raw_open(&edu, c, 0);
	/* It cuts off the other bits. */
	if (rc == 0)
		rc = dmamap_device_dma_mask(edu.dma, 28);
	if (rc == 0)
		rc = dmamap_fault_listen(&conf, &listening);
	return rc;
}

static void
teardown(void)
{
	dmamap_fault_unlisten(listening);
	listening = NULL;
	edu_raw_close(&edu);
	dmamap_container_destroy(c);
}

/**
 * The device writes to an address until its fault is told, for up to 30 s: Linux logs ten faults in
 * five seconds and leaves out the others.
 */
static bool
writes_and_is_blocked(dmamap_iova_t iova)
{
	const unsigned int before = __atomic_load_n(&told.calls, __ATOMIC_ACQUIRE);
	unsigned int i;

	for (i = 0; i < 3000; i++) {
		if (i % 200 == 0)
			edu_raw_write(&edu, iova, 0, 64);
		if (__atomic_load_n(&told.calls, __ATOMIC_ACQUIRE) != before)
			return true;
		usleep(10000);
	}
	printf("  no fault at 0x%lx was told\n", (unsigned long)iova);
	return false;
}

static bool
is_of_edu(dmamap_iova_t iova)
{
	const struct dmamap_fault *f = &told.last;

	printf("  %s\n", f->text);
	return strcmp(f->device, edu_raw_name(0)) == 0 && f->iovas.start <= iova &&
		f->iovas.last >= iova && f->access != DMAMAP_READ;
}

static int
a_freed_zone_is_named(void)
{
	const struct dmamap_zone_conf conf = {.len = 4 * KB4, .page_size = KB4, .name = "rx rings"};
	struct dmamap_zone *zone;
	dmamap_iova_t iova;

	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &zone), "zone");
	iova = dmamap_zone_iova(zone) + KB4;
	TEST_ASSERT_SUCCESS(edu_raw_write(&edu, iova, 0, 64), "a write that is permitted");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(zone), "free");
	TEST_ASSERT_EQUAL(told.calls, 0u, "a fault before: %s", told.last.text);
	TEST_ASSERT(writes_and_is_blocked(iova), "use after the free");
	TEST_ASSERT(is_of_edu(iova), "whose");
	TEST_ASSERT_EQUAL(told.last.kind, DMAMAP_FAULT_PAST, "kind %d", told.last.kind);
	TEST_ASSERT(strcmp(told.last.name, "zone rx rings") == 0, "%s", told.last.name);
	TEST_ASSERT(
		told.last.ago_ns < 60ull * 1000000000, "%lu ns", (unsigned long)told.last.ago_ns);
	TEST_ASSERT_EQUAL(told.last.thread, (uint32_t)gettid(), "thread %u", told.last.thread);
	return TEST_SUCCESS;
}

static int
memory_that_is_only_to_be_read_is_named(void)
{
	struct area *area = area_make(KB4);
	dmamap_iova_t iova;
	int rc;

	TEST_ASSERT_NOT_NULL(area, "area");
	TEST_ASSERT_SUCCESS(dmamap_map(c, area->va, KB4, DMAMAP_READ, &iova), "map");
	rc = writes_and_is_blocked(iova + 128) && is_of_edu(iova + 128) ? 0 : -1;
	TEST_ASSERT(areas_match(), "the device wrote");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	areas_free();
	TEST_ASSERT_SUCCESS(rc, "the fault");
	TEST_ASSERT_EQUAL(told.last.kind, DMAMAP_FAULT_DENIED, "kind %d", told.last.kind);
	TEST_ASSERT(strcmp(told.last.name, "mapping") == 0, "%s", told.last.name);
	return TEST_SUCCESS;
}

static int
a_wrong_address_is_beside_its_neighbour(void)
{
	struct area *area = area_make(KB4);
	dmamap_iova_t iova;
	int rc;

	TEST_ASSERT_NOT_NULL(area, "area");
	TEST_ASSERT_SUCCESS(dmamap_map(c, area->va, KB4, DMAMAP_RW, &iova), "map");
	rc = writes_and_is_blocked(iova + 2 * KB4) && is_of_edu(iova + 2 * KB4) ? 0 : -1;
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	areas_free();
	TEST_ASSERT_SUCCESS(rc, "the fault");
	TEST_ASSERT_EQUAL(told.last.kind, DMAMAP_FAULT_BESIDE, "kind %d", told.last.kind);
	TEST_ASSERT_EQUAL(told.last.distance, KB4 + 1, "0x%lx", (unsigned long)told.last.distance);
	return TEST_SUCCESS;
}

static int
a_storm_has_few_lines(void)
{
	struct dmamap_fault_counts before, after;
	unsigned int i;

	dmamap_fault_counts(&before);
	for (i = 0; i < 60; i++)
		edu_raw_write(&edu, 0x8123000 + i * KB4, 0, 16);
	/* The rest of the storm is told with the last listener. */
	sleep(1);
	dmamap_fault_unlisten(listening);
	listening = NULL;
	dmamap_fault_counts(&after);
	printf("  60 faults: %lu in the log, %lu lines, %lu left out by the kernel so far\n",
		(unsigned long)(after.faults - before.faults),
		(unsigned long)(after.lines - before.lines),
		(unsigned long)(after.suppressed - before.suppressed));
	/* Linux logs ten in five seconds, those of the cases before among them. */
	TEST_ASSERT(
		after.faults - before.faults >= 1 && after.faults - before.faults <= 60, "faults");
	TEST_ASSERT(after.lines - before.lines <= 20, "lines");
	TEST_ASSERT_EQUAL(told.faults, after.faults - before.faults, "the listener: %lu",
		(unsigned long)told.faults);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"a freed zone is named", a_freed_zone_is_named},
	{"memory that is only to be read is named", memory_that_is_only_to_be_read_is_named},
	{"a wrong address is beside its neighbour", a_wrong_address_is_beside_its_neighbour},
	{"a storm has few lines", a_storm_has_few_lines},
};

REGISTER_TEST_SUITE(faults_vm) = {.name = "faults_vm",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown};
