/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the iommufd backend on a real kernel that has it, with the devices that the runner
 * assigned.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_string_fns.h>

#include <dmamap.h>

#include "dm_iommu.h"
#include "test.h"
#include "test_dma_edu_raw.h"

#define OPS (&dm_iommu_iommufd_ops)
#define PAGE UINT64_C(4096)
#define PAGES 16
#define IOVA UINT64_C(0x10000000)
#define MSI UINT64_C(0xfee00000)

static struct dm_iommu *iommu;
static struct dm_iommu_domain *dom;
static struct dm_iommu_dev *devs[2];
static void *memory;

static int
find_devices_and_attach(const char *list)
{
	char names[2][DMAMAP_NAME_MAX] = {"", ""};

	TEST_ASSERT_EQUAL(sscanf(list, "%63s %63s", names[0], names[1]), 2, "\"%s\"", list);
	TEST_ASSERT_SUCCESS(OPS->open(NULL, &iommu), "open");
	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, names[0], &devs[0]), "%s", names[0]);
	TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, names[1], &devs[1]), "%s", names[1]);
	TEST_ASSERT_SUCCESS(OPS->attach(dom, devs[0]), "attach %s", names[0]);
	return TEST_SUCCESS;
}

static int
setup(void)
{
	const char *list = getenv("GANTRY_DEVICES");

	if (access("/dev/iommu", F_OK) < 0)
		return test_skip("no /dev/iommu: this kernel lacks IOMMUFD");
	if (list == NULL || list[0] == '\0')
		return test_skip("no devices are assigned (GANTRY_DEVICES)");
	memory = mmap(
		NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(memory != MAP_FAILED, "mmap");
	return find_devices_and_attach(list);
}

static void
teardown(void)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(devs); i++) {
		if (devs[i] == NULL)
			continue;
		if (devs[i]->fd >= 0)
			OPS->detach(dom, devs[i]);
		OPS->dev_put(devs[i]);
		devs[i] = NULL;
	}
	if (dom != NULL)
		OPS->domain_destroy(dom);
	if (iommu != NULL)
		OPS->close(iommu);
	if (memory != NULL)
		munmap(memory, PAGES * PAGE);
	dom = NULL;
	iommu = NULL;
	memory = NULL;
}

static int
map(rte_iova_t iova, uint64_t len)
{
	return OPS->map(dom, iova, memory, len, DMAMAP_RW);
}

static int
unmaps(rte_iova_t iova, uint64_t len, uint64_t want)
{
	uint64_t done = UINT64_MAX;
	int rc = OPS->unmap(dom, iova, len, &done);

	TEST_ASSERT_SUCCESS(rc, "unmap: %d", rc);
	TEST_ASSERT_EQUAL(done, want, "%#" PRIx64 " bytes unmapped", done);
	return TEST_SUCCESS;
}

static int
says_what_the_domain_can_do(void)
{
	struct dm_iommu_info info;
	unsigned int i;

	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	TEST_ASSERT(info.page_sizes & PAGE, "page sizes %#" PRIx64, info.page_sizes);
	TEST_ASSERT_EQUAL(info.entries_left, UINT64_MAX, "%" PRIu64 " entries", info.entries_left);
	TEST_ASSERT(info.n_ranges > 0, "no ranges");
	for (i = 0; i < info.n_ranges; i++) {
		printf("  range [%#" PRIx64 ", %#" PRIx64 "]\n", info.ranges[i].start,
			info.ranges[i].last);
		TEST_ASSERT(info.ranges[i].last < MSI || info.ranges[i].start > MSI,
			"the MSI window is usable");
	}
	printf("  page sizes %#" PRIx64 ", %scoherent\n", info.page_sizes,
		info.coherent ? "" : "not ");
	free(info.ranges);
	return TEST_SUCCESS;
}

static int
maps_and_unmaps_whole_maps_only(void)
{
	uint64_t done;

	TEST_ASSERT_SUCCESS(map(IOVA, 4 * PAGE), "map");
	TEST_ASSERT_EQUAL(map(IOVA + PAGE, PAGE), -EEXIST, "overlap");
	TEST_ASSERT_EQUAL(OPS->unmap(dom, IOVA, PAGE, &done), -ENOENT, "first page");
	TEST_ASSERT_EQUAL(done, 0, "done");
	TEST_ASSERT_SUCCESS(map(IOVA + 4 * PAGE, PAGE), "map");
	TEST_ASSERT_SUCCESS(unmaps(IOVA, 5 * PAGE, 5 * PAGE), "both");
	TEST_ASSERT_EQUAL(OPS->unmap(dom, IOVA, PAGE, &done), -ENOENT, "hole");
	TEST_ASSERT_EQUAL(map(MSI, PAGE), -EINVAL, "MSI window");
	return TEST_SUCCESS;
}

static int
names_the_device_that_is_in_use(void)
{
	struct dm_iommu_domain *other_dom;
	struct dm_iommu_dev *dev;
	struct dm_iommu *other;
	const char *log;
	int rc;

	TEST_ASSERT_SUCCESS(OPS->open(NULL, &other), "open");
	TEST_ASSERT_SUCCESS(OPS->dev_get(other, devs[0]->name, &dev), "dev_get");
	TEST_ASSERT_SUCCESS(OPS->domain_create(other, &other_dom), "domain_create");
	test_log_begin();
	rc = OPS->attach(other_dom, dev);
	log = test_log_end();
	OPS->domain_destroy(other_dom);
	OPS->dev_put(dev);
	OPS->close(other);
	TEST_ASSERT_EQUAL(rc, -EBUSY, "%d", rc);
	TEST_ASSERT(strstr(log, devs[0]->name) != NULL && strstr(log, "is in use") != NULL,
		"log: %s", log);
	return TEST_SUCCESS;
}

static int
is_empty_after_the_last_device(void)
{
	uint64_t done;

	TEST_ASSERT_SUCCESS(map(IOVA, PAGE), "map");
	TEST_ASSERT_SUCCESS(OPS->attach(dom, devs[1]), "attach %s", devs[1]->name);
	OPS->detach(dom, devs[0]);
	TEST_ASSERT_SUCCESS(map(IOVA + PAGE, PAGE), "map with one device left");
	OPS->detach(dom, devs[1]);
	TEST_ASSERT_EQUAL(OPS->unmap(dom, IOVA, PAGE, &done), -ENOENT, "a map is left");
	TEST_ASSERT_SUCCESS(OPS->attach(dom, devs[0]), "attach again");
	TEST_ASSERT_SUCCESS(map(IOVA, PAGE), "map again");
	return TEST_SUCCESS;
}

/** End to end: a container chooses iommufd by itself, and a device reads and writes through it. */
static int
a_device_reaches_a_zone(void)
{
	const struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_AUTO};
	const struct dmamap_zone_conf zone = {.len = 1 << 20, .flags = DMAMAP_LOW32};
	struct dmamap_container_info info;
	const char text[] = "through an IOAS";
	struct dmamap_container *c;
	struct dmamap_zone *z;
	struct edu_raw e = {0};
	char *va;

	if (edu_raw_name(0) == NULL)
		return test_skip("no edu device is assigned");
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &zone, &z), "zone");
	TEST_ASSERT_SUCCESS(edu_raw_open(&e, c, 0), "attach");
	TEST_ASSERT_SUCCESS(dmamap_container_info(c, &info), "info");
	TEST_ASSERT_EQUAL(info.backend, DMAMAP_BACKEND_IOMMUFD, "backend %d", info.backend);
	va = dmamap_zone_va(z);
	strcpy(va, text);
	TEST_ASSERT_SUCCESS(edu_raw_read(&e, dmamap_zone_iova(z), 0, 64), "read");
	TEST_ASSERT_SUCCESS(edu_raw_write(&e, dmamap_zone_iova(z) + PAGE, 0, 64), "write");
	TEST_ASSERT(strcmp(va + PAGE, text) == 0, "the device wrote \"%.64s\"", va + PAGE);
	TEST_ASSERT_SUCCESS(edu_raw_close(&e), "close");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"says what the domain can do", says_what_the_domain_can_do},
	{"maps, and unmaps whole maps only", maps_and_unmaps_whole_maps_only},
	{"names the device that is in use", names_the_device_that_is_in_use},
	{"is empty after the last device", is_empty_after_the_last_device},
	{"a device reaches a zone", a_device_reaches_a_zone},
};

REGISTER_TEST_SUITE(iommufd_vm) = {
	.name = "iommufd_vm",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
