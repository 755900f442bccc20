/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the type1 backend on real VFIO, with the devices that the runner assigned.
 */

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_string_fns.h>

#include "dm_iommu.h"
#include "test.h"

#define OPS (&dm_iommu_type1_ops)
#define PAGE UINT64_C(4096)
#define PAGES 16
#define IOVA UINT64_C(0x10000000)

/** The runner's devices that are alone in their groups or the first of them. */
static struct dm_iommu_dev *devs[8];
static unsigned int n_devs;
/** A device whose group is not viable, and its refusal's log. */
static char unviable[DMAMAP_NAME_MAX], unviable_log[512];

static struct dm_iommu *iommu;
static struct dm_iommu_domain *dom;
static void *memory;
static unsigned int files_before;

static void
find_device(const char *name)
{
	struct dm_iommu_dev *dev;
	const char *log;
	unsigned int i;
	int rc;

	test_log_begin();
	rc = OPS->dev_get(iommu, name, &dev);
	if (rc == 0) {
		/* The kernel reports at attach whether the group is viable. */
		rc = OPS->attach(dom, dev);
		if (rc == 0)
			OPS->detach(dom, dev);
		else
			OPS->dev_put(dev);
	}
	log = test_log_end();
	if (rc == -EPERM) {
		rte_strlcpy(unviable, name, sizeof(unviable));
		rte_strlcpy(unviable_log, log, sizeof(unviable_log));
	}
	if (rc < 0)
		return;
	for (i = 0; i < n_devs; i++)
		if (devs[i]->group == dev->group)
			break;
	if (i == n_devs && n_devs < RTE_DIM(devs))
		devs[n_devs++] = dev;
	else
		OPS->dev_put(dev);
}

static int
setup(void)
{
	const char *list = getenv("GANTRY_DEVICES");
	char *copy, *rest, *name;

	if (list == NULL || list[0] == '\0')
		return test_skip("no devices are assigned (GANTRY_DEVICES)");
	if (access("/dev/vfio/vfio", F_OK) < 0)
		return test_skip("no /dev/vfio/vfio");
	n_devs = 0;
	files_before = test_open_files();
	TEST_ASSERT_SUCCESS(OPS->open(NULL, &iommu), "open");
	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	copy = rest = strdup(list);
	while ((name = strsep(&rest, " ")) != NULL)
		if (name[0] != '\0')
			find_device(name);
	free(copy);
	TEST_ASSERT(n_devs >= 2, "%u usable devices in \"%s\"", n_devs, list);
	memory = mmap(
		NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(memory != MAP_FAILED, "mmap");
	TEST_ASSERT_SUCCESS(OPS->attach(dom, devs[0]), "attach %s", devs[0]->name);
	return TEST_SUCCESS;
}

static void
teardown(void)
{
	unsigned int i;

	if (dom != NULL) {
		for (i = 0; i < n_devs; i++)
			if (devs[i]->fd >= 0)
				OPS->detach(dom, devs[i]);
		OPS->domain_destroy(dom);
		munmap(memory, PAGES * PAGE);
	}
	for (i = 0; i < n_devs; i++)
		OPS->dev_put(devs[i]);
	if (iommu != NULL)
		OPS->close(iommu);
	n_devs = 0;
	dom = NULL;
	iommu = NULL;
}

static int
map(rte_iova_t iova, uint64_t len)
{
	return OPS->map(dom, iova, memory, len, DMAMAP_RW);
}

/** Unmap must succeed and return this size. */
static int
unmaps(rte_iova_t iova, uint64_t len, uint64_t want)
{
	uint64_t done = UINT64_MAX;
	int rc = OPS->unmap(dom, iova, len, &done);

	TEST_ASSERT_SUCCESS(rc, "unmap: %d", rc);
	TEST_ASSERT_EQUAL(done, want, "%#" PRIx64 " bytes unmapped", done);
	return TEST_SUCCESS;
}

static const struct dm_iommu_resv *
msi_of(const struct dm_iommu_dev *dev)
{
	unsigned int i;

	for (i = 0; i < dev->n_resv; i++)
		if (dev->resv[i].type == DMAMAP_RESERVED_MSI)
			return &dev->resv[i];
	return NULL;
}

static int
says_what_the_domain_can_do(void)
{
	const struct dm_iommu_resv *msi = msi_of(devs[0]);
	struct dm_iommu_info info;
	unsigned int i;

	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	TEST_ASSERT(info.page_sizes & PAGE, "page sizes %#" PRIx64, info.page_sizes);
	TEST_ASSERT_EQUAL(info.entries_left, 65535, "%" PRIu64 " entries", info.entries_left);
	TEST_ASSERT(info.n_ranges > 0, "no ranges");
	for (i = 0; i < info.n_ranges; i++) {
		printf("  range [%#" PRIx64 ", %#" PRIx64 "]\n", info.ranges[i].start,
			info.ranges[i].last);
		TEST_ASSERT(msi == NULL || info.ranges[i].last < msi->range.start ||
				info.ranges[i].start > msi->range.last,
			"the MSI window is usable");
	}
	printf("  page sizes %#" PRIx64 ", %scoherent\n", info.page_sizes,
		info.coherent ? "" : "not ");
	free(info.ranges);
	return TEST_SUCCESS;
}

static int
takes_an_entry_for_each_map(void)
{
	struct dm_iommu_info info;

	TEST_ASSERT_SUCCESS(map(IOVA, PAGE), "map");
	TEST_ASSERT_SUCCESS(map(IOVA + PAGE, 8 * PAGE), "map");
	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	free(info.ranges);
	TEST_ASSERT_EQUAL(info.entries_left, 65533, "%" PRIu64, info.entries_left);
	/* Several whole maps at once return the sum of their sizes. */
	TEST_ASSERT_SUCCESS(unmaps(IOVA, 9 * PAGE, 9 * PAGE), "both");
	return TEST_SUCCESS;
}

static int
unmaps_a_hole_as_nothing(void)
{
	TEST_ASSERT_SUCCESS(unmaps(IOVA, PAGES * PAGE, 0), "hole");
	TEST_ASSERT_SUCCESS(map(IOVA, PAGE), "map");
	TEST_ASSERT_SUCCESS(unmaps(IOVA, 4 * PAGE, PAGE), "map with a hole behind it");
	return TEST_SUCCESS;
}

static int
does_not_split_a_map(void)
{
	uint64_t done;

	TEST_ASSERT_SUCCESS(map(IOVA, 4 * PAGE), "map");
	TEST_ASSERT_EQUAL(OPS->unmap(dom, IOVA, PAGE, &done), -EINVAL, "first page");
	TEST_ASSERT_EQUAL(OPS->unmap(dom, IOVA + PAGE, 3 * PAGE, &done), -EINVAL, "last pages");
	TEST_ASSERT_EQUAL(OPS->unmap(dom, IOVA + PAGE, PAGE, &done), -EINVAL, "inside");
	TEST_ASSERT_SUCCESS(unmaps(IOVA, 4 * PAGE, 4 * PAGE), "whole, unchanged until now");
	return TEST_SUCCESS;
}

static int
refuses_what_cannot_be_mapped(void)
{
	const struct dm_iommu_resv *msi = msi_of(devs[0]);
	struct dm_iommu_info info;
	rte_iova_t last;

	if (msi != NULL)
		TEST_ASSERT_EQUAL(map(msi->range.start, PAGE), -EINVAL, "MSI window");
	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	last = info.ranges[info.n_ranges - 1].last;
	free(info.ranges);
	if (last != UINT64_MAX)
		TEST_ASSERT_EQUAL(map(last + 1, PAGE), -EINVAL, "beyond the aperture");
	TEST_ASSERT_SUCCESS(map(last - PAGE + 1, PAGE), "last page of the aperture");
	TEST_ASSERT_EQUAL(map(IOVA, 100), -EINVAL, "no page multiple");
	TEST_ASSERT_EQUAL(map(IOVA, 0), -EINVAL, "nothing");
	TEST_ASSERT_EQUAL(OPS->map(dom, IOVA, memory, PAGE, 0), -EINVAL, "no access");
	TEST_ASSERT_SUCCESS(map(IOVA, 2 * PAGE), "map");
	TEST_ASSERT_EQUAL(map(IOVA + PAGE, 2 * PAGE), -EEXIST, "overlap");
	TEST_ASSERT_SUCCESS(munmap(RTE_PTR_ADD(memory, PAGE), PAGE), "munmap");
	TEST_ASSERT_EQUAL(map(IOVA + 2 * PAGE, 2 * PAGE), -EFAULT, "no memory there");
	return TEST_SUCCESS;
}

static int
names_the_group_that_is_in_use(void)
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
	TEST_ASSERT(strstr(log, devs[0]->name) != NULL &&
			strstr(log, "is in use by another process or container") != NULL,
		"log: %s", log);
	return TEST_SUCCESS;
}

static int
shares_maps_between_groups(void)
{
	TEST_ASSERT_SUCCESS(map(IOVA, PAGE), "map");
	TEST_ASSERT_SUCCESS(OPS->attach(dom, devs[1]), "attach %s", devs[1]->name);
	TEST_ASSERT(devs[1]->fd >= 0, "no file");
	OPS->detach(dom, devs[0]);
	TEST_ASSERT_EQUAL(devs[0]->fd, -1, "file left open");
	TEST_ASSERT_SUCCESS(unmaps(IOVA, PAGE, PAGE), "the map outlives the first group");
	return TEST_SUCCESS;
}

static int
forgets_maps_with_the_last_group(void)
{
	TEST_ASSERT_SUCCESS(map(IOVA, PAGE), "map");
	OPS->detach(dom, devs[0]);
	TEST_ASSERT_EQUAL(map(IOVA + PAGE, PAGE), -EINVAL, "map without a group");
	TEST_ASSERT_SUCCESS(OPS->attach(dom, devs[0]), "attach again");
	TEST_ASSERT_SUCCESS(unmaps(IOVA, PAGE, 0), "the map is gone");
	return TEST_SUCCESS;
}

static int
leaves_no_file_open(void)
{
	teardown();
	TEST_ASSERT_EQUAL(test_open_files(), files_before, "%u files, %u before", test_open_files(),
		files_before);
	return TEST_SUCCESS;
}

/** The first device that a driver of the guest holds and that is in a group. */
static int
find_held(const char *driver, char *bdf, size_t size)
{
	char path[512];
	const struct dirent *e;
	DIR *dir;
	int rc = -ENOENT;

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s", driver);
	dir = opendir(path);
	while (rc < 0 && dir != NULL && (e = readdir(dir)) != NULL)
		if (strchr(e->d_name, ':') != NULL) {
			rte_strlcpy(bdf, e->d_name, size);
			rc = 0;
		}
	if (dir != NULL)
		closedir(dir);
	return rc;
}

static int
says_who_holds_a_device(void)
{
	char bdf[NAME_MAX + 1], want[2 * NAME_MAX + 128];
	struct dm_iommu_dev *dev;
	const char *log;
	int rc;

	if (find_held("e1000e", bdf, sizeof(bdf)) < 0)
		return test_skip("no device is held by e1000e");
	test_log_begin();
	rc = OPS->dev_get(iommu, bdf, &dev);
	log = test_log_end();
	TEST_ASSERT_EQUAL(rc, -EBUSY, "%d", rc);
	snprintf(want, sizeof(want),
		"%s: held by driver e1000e; bind it: gantry-bind"
		" vfio-pci %s\n",
		bdf, bdf);
	TEST_ASSERT_NOT_NULL(strstr(log, want), "log: %s", log);
	return TEST_SUCCESS;
}

static int
names_the_driver_that_makes_a_group_not_viable(void)
{
	if (unviable[0] == '\0')
		return test_skip("every group of this machine is viable");
	TEST_ASSERT(strstr(unviable_log, unviable) != NULL &&
			strstr(unviable_log, "is not viable") != NULL &&
			strstr(unviable_log, "(e1000e)") != NULL,
		"log: %s", unviable_log);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"says what the domain can do", says_what_the_domain_can_do},
	{"takes an entry for each map", takes_an_entry_for_each_map},
	{"unmaps a hole as nothing", unmaps_a_hole_as_nothing},
	{"does not split a map", does_not_split_a_map},
	{"refuses what cannot be mapped", refuses_what_cannot_be_mapped},
	{"names the group that is in use", names_the_group_that_is_in_use},
	{"shares maps between groups", shares_maps_between_groups},
	{"forgets maps with the last group", forgets_maps_with_the_last_group},
	{"leaves no file open", leaves_no_file_open},
	{"says who holds a device", says_who_holds_a_device},
	{"names the driver that makes a group not viable",
		names_the_driver_that_makes_a_group_not_viable},
};

REGISTER_TEST_SUITE(type1_vm) = {
	.name = "type1_vm",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
