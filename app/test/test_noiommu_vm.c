/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the noiommu backend on a machine without an IOMMU: an edu device reaches the memory
 * that is mapped for it.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#include <dmamap.h>

#include "dm_phys.h"
#include "test.h"
#include "test_dma_edu_raw.h"

#define EDU "0000:00:10.0"
#define MODE "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"

static int
put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	int rc;

	if (f == NULL)
		return -errno;
	fputs(text, f);
	rc = ferror(f);
	return fclose(f) != 0 || rc ? -EIO : 0;
}

static int
setup(void)
{
	if (access("/sys/kernel/iommu_groups/0", F_OK) == 0 &&
		access("/sys/kernel/iommu_groups/0/name", F_OK) < 0)
		return test_skip("this machine has an IOMMU (profile noiommu has none)");
	if (access(MODE, F_OK) < 0)
		return test_skip("this kernel has no noiommu mode, or no VFIO");
	if (access("/sys/bus/pci/devices/" EDU, F_OK) < 0)
		return test_skip("there is no " EDU);
	TEST_ASSERT_SUCCESS(put(MODE, "1"), "mode");
	TEST_ASSERT_SUCCESS(
		put("/sys/bus/pci/devices/" EDU "/driver_override", "vfio-pci"), "driver_override");
	put("/sys/bus/pci/drivers_probe", EDU);
	TEST_ASSERT(strcmp(driver_of(EDU), "vfio-pci") == 0, "held by \"%s\"", driver_of(EDU));
	/* The runner assigned no device; the edu device is found by its driver. */
	unsetenv("GANTRY_DEVICES");
	return TEST_SUCCESS;
}

static void
teardown(void)
{
	put("/sys/bus/pci/drivers/vfio-pci/unbind", EDU);
	put("/sys/bus/pci/devices/" EDU "/driver_override", "\n");
	put(MODE, "0");
}

static int
a_device_reads_and_writes_the_zone(void)
{
	const struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_NOIOMMU};
	const struct dmamap_zone_conf zone = {.len = 1 << 20, .name = "zone a"};
	const char *log, text[] = "no IOMMU was asked";
	struct dmamap_container *c;
	struct dmamap_zone *z;
	struct edu_raw e;
	uint64_t phys;
	char *va;

	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	test_log_begin();
	TEST_ASSERT_SUCCESS(edu_raw_open(&e, c, 0), "attach");
	log = test_log_end();
	TEST_ASSERT_NOT_NULL(
		strstr(log, "it can read and write all of this machine's memory"), "log: %s", log);
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &zone, &z), "zone");
	va = dmamap_zone_va(z);
	TEST_ASSERT_SUCCESS(dm_phys_of(va, dmamap_zone_len(z), &phys), "phys");
	TEST_ASSERT_EQUAL(dmamap_zone_iova(z), phys, "IOVA %#" PRIx64, dmamap_zone_iova(z));

	strcpy(va, text);
	TEST_ASSERT_SUCCESS(edu_raw_read(&e, phys, 0, 64), "read");
	TEST_ASSERT_SUCCESS(edu_raw_write(&e, phys + 4096, 0, 64), "write");
	TEST_ASSERT(strcmp(va + 4096, text) == 0, "the device wrote \"%.64s\"", va + 4096);
	TEST_ASSERT_EQUAL(va[4096 - 1], 0, "a byte before");

	TEST_ASSERT_SUCCESS(dmamap_zone_free(z), "zone_free");
	TEST_ASSERT_SUCCESS(edu_raw_close(&e), "close");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	return TEST_SUCCESS;
}

static int
others_do_not_take_it(void)
{
	static const enum dmamap_backend backends[] = {DMAMAP_BACKEND_AUTO, DMAMAP_BACKEND_TYPE1};
	struct dmamap_container *c;
	struct dmamap_device *d;
	const char *log;
	unsigned int i;
	int rc;

	for (i = 0; i < RTE_DIM(backends); i++) {
		const struct dmamap_container_conf conf = {.backend = backends[i]};

		TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
		test_log_begin();
		rc = dmamap_container_attach(c, EDU, &d);
		log = test_log_end();
		dmamap_container_destroy(c);
		TEST_ASSERT_EQUAL(rc, -ENODEV, "backend %u: %d", i, rc);
		TEST_ASSERT_NOT_NULL(
			strstr(log, "use a container with DMAMAP_BACKEND_NOIOMMU"), "log: %s", log);
	}
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"a device reads and writes the zone", a_device_reads_and_writes_the_zone},
	{"other backends do not take it", others_do_not_take_it},
};

REGISTER_TEST_SUITE(noiommu_vm) = {
	.name = "noiommu_vm",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
