/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The mock kernel under the conformance suites. Its machine has a device for every property that a
 * fact needs. Called through conformance.h.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_string_fns.h>

#include "conformance.h"
#include "vfio_mock.h"
#include "test.h"

#define TERA (UINT64_C(1) << 40)
#define MSI                                                                                        \
	{                                                                                          \
		{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI                                      \
	}

static struct vfio_mock *mock;

static const struct vfio_mock_iommu_conf iommus[] = {
	{.enforces_coherency = true},
	{.enforces_coherency = true}, /* another IOMMU with the same properties as the first */
	{.enforces_coherency = true, .aperture = {0, 0xffffffff}},
	{.enforces_coherency = true, .aperture = {TERA, 2 * TERA - 1}},
	{.enforces_coherency = true, .no_msi_isolation = true},
	{.enforces_coherency = true, .page_sizes = 1 << 21 | 1 << 16},
	{.enforces_coherency = true, .aperture = {0, UINT64_MAX}},
	{.enforces_coherency = true, .aperture = {0x100000, (UINT64_C(1) << 39) - 1}},
};

static const struct vfio_mock_resv msi[] = {MSI};
static const struct vfio_mock_resv direct[] = {
	MSI, {{0x50000000, 0x500fffff}, DMAMAP_RESERVED_DIRECT}};
static const struct vfio_mock_resv relaxable[] = {
	MSI, {{0x60000000, 0x600fffff}, DMAMAP_RESERVED_RELAXABLE}};
static const struct vfio_mock_resv everything[] = {{{0, UINT64_MAX}, DMAMAP_RESERVED_BUS}};

/** One device for each group. The last groups are special: their devices make an attach fail. */
static const struct {
	const char *device;
	const char *driver;
	struct vfio_mock_group_conf group;
} groups[] = {
	{"plain", "vfio-pci", {0, false, RTE_DIM(msi), msi}},
	{"second", "vfio-pci", {0, false, RTE_DIM(msi), msi}},
	{"other", "vfio-pci", {1, false, RTE_DIM(msi), msi}},
	{"direct", "vfio-pci", {0, false, RTE_DIM(direct), direct}},
	{"relaxable", "vfio-pci", {0, false, RTE_DIM(relaxable), relaxable}},
	{"reserved", "vfio-pci", {0, false, RTE_DIM(everything), everything}},
	{"narrow", "vfio-pci", {2, false, RTE_DIM(msi), msi}},
	{"disjoint", "vfio-pci", {3, false, RTE_DIM(msi), msi}},
	{"unsafe", "vfio-pci", {4, false, RTE_DIM(msi), msi}},
	{"big", "vfio-pci", {5, false, RTE_DIM(msi), msi}},
	{"incoherent", "vfio-pci", {0, true, RTE_DIM(msi), msi}},
	{"late", "vfio-pci", {7, false, RTE_DIM(msi), msi}},
	{"top", "vfio-pci", {6, false, RTE_DIM(msi), msi}},
	{"noiommu", "vfio-pci", {VFIO_MOCK_NOIOMMU, false, 0, NULL}},
	{"unviable", "vfio-pci", {0, false, RTE_DIM(msi), msi}},
};

/** It shares the group of the first. */
static const char twin[] = "twin";

static int
mock_open(const char *path)
{
	return vfio_mock_open(mock, path);
}

static int
mock_close(int fd)
{
	return vfio_mock_close(mock, fd);
}

static int
mock_ioctl(int fd, unsigned long request, unsigned long arg)
{
	return vfio_mock_ioctl(mock, fd, request, arg);
}

static int
keep_cdev(void *ctx, const char *name)
{
	struct place *place = ctx;

	strlcpy(place->cdev, name, sizeof(place->cdev));
	return 1;
}

static int
mock_device(unsigned int i, struct place *place)
{
	const char *name = i == RTE_DIM(groups) ? twin : groups[i % RTE_DIM(groups)].device;
	const struct dmamap_kernel *k = vfio_mock_kernel(mock);
	unsigned int r;
	char path[128];

	if (i > RTE_DIM(groups))
		return -ENOENT;
	i %= RTE_DIM(groups);
	*place = (struct place){
		.group = i, .noiommu = groups[i].group.iommu < 0, .n_resv = groups[i].group.n_resv};
	strlcpy(place->name, name, sizeof(place->name));
	snprintf(path, sizeof(path), "%s/bus/platform/devices/%s/vfio-dev", k->sysfs, name);
	k->list(k->arg, path, keep_cdev, place);
	snprintf(place->iommu, sizeof(place->iommu), "%d", groups[i].group.iommu);
	for (r = 0; r < place->n_resv; r++) {
		place->resv[r].range = groups[i].group.resv[r].range;
		place->resv[r].type = groups[i].group.resv[r].type;
	}
	return 0;
}

static uint64_t
mock_locked(void)
{
	return vfio_mock_locked(mock);
}

static int
mock_limit_memory(uint64_t bytes, bool capable)
{
	vfio_mock_set_memlock(mock, capable ? 0 : bytes);
	return 0;
}

static int
mock_limit_entries(unsigned int n)
{
	vfio_mock_set_entry_limit(mock, n);
	return 0;
}

static int
mock_ioctl_elsewhere(int fd, unsigned long request, void *arg, size_t len)
{
	int rc;

	vfio_mock_set_process(mock, 1);
	rc = vfio_mock_ioctl(mock, fd, request, (unsigned long)arg);
	vfio_mock_set_process(mock, 0);
	return rc;
}

static int64_t
mock_map_events(void)
{
	return vfio_mock_calls(mock, VFIO_MOCK_IOMMU_MAP);
}

static void
mock_fail_map_event(unsigned int nth, int err)
{
	vfio_mock_fail(mock, 1 << VFIO_MOCK_IOMMU_MAP, nth, err);
}

static const struct kernel kernel_mock = {
	.name = "mock",
	.open = mock_open,
	.close = mock_close,
	.ioctl = mock_ioctl,
	.device = mock_device,
	.locked = mock_locked,
	.pinned = mock_locked,
	.limit_memory = mock_limit_memory,
	.limit_entries = mock_limit_entries,
	.ioctl_elsewhere = mock_ioctl_elsewhere,
	.map_events = mock_map_events,
	.fail_map_event = mock_fail_map_event,
};

static int
describe(void)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < RTE_DIM(iommus) && rc >= 0; i++)
		rc = vfio_mock_add_iommu(mock, &iommus[i]);
	for (i = 0; i < RTE_DIM(groups) && rc >= 0; i++) {
		rc = vfio_mock_add_group(mock, &groups[i].group);
		if (rc >= 0)
			rc = vfio_mock_add_device(mock, rc, groups[i].device, -1, groups[i].driver);
	}
	if (rc >= 0) /* the last group's other member belongs to a host driver */
		rc = vfio_mock_add_device(mock, RTE_DIM(groups) - 1, "host", -1, "ahci");
	if (rc >= 0)
		rc = vfio_mock_add_device(mock, 0, twin, -1, "vfio-pci");
	return rc;
}

static int
begin(unsigned int version, const struct kernel **kernel)
{
	const struct vfio_mock_conf conf = {.linux_version = version};

	TEST_ASSERT_SUCCESS(vfio_mock_create(&conf, &mock), "no mock");
	TEST_ASSERT(describe() >= 0, "the mock refuses its description");
	*kernel = &kernel_mock;
	return TEST_SUCCESS;
}

int
conformance_mock_5_15(const struct kernel **kernel)
{
	return begin(VFIO_MOCK_LINUX(5, 15), kernel);
}

int
conformance_mock_6_1(const struct kernel **kernel)
{
	return begin(VFIO_MOCK_LINUX(6, 1), kernel);
}

int
conformance_mock_6_12(const struct kernel **kernel)
{
	return begin(VFIO_MOCK_LINUX(6, 12), kernel);
}

int
conformance_mock_6_18(const struct kernel **kernel)
{
	return begin(VFIO_MOCK_LINUX(6, 18), kernel);
}

struct vfio_mock *
conformance_mock(void)
{
	return mock;
}

void
conformance_mock_end(void)
{
	if (vfio_mock_destroy(mock) != 0)
		printf("the mock is still in use\n");
	mock = NULL;
}
