/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which model is put to the test? A machine that has every property that a fact is about.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_string_fns.h>

#include "conformance.h"
#include "dmamap_model.h"
#include "model_kernel.h"
#include "test.h"

#define TERA (UINT64_C(1) << 40)
#define MSI                                                                                        \
	{                                                                                          \
		{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI                                      \
	}

static struct dmamap_model *model;

static const struct dmamap_model_iommu_conf iommus[] = {
	{.enforces_coherency = true},
	{.enforces_coherency = true}, /* like the first, but another */
	{.enforces_coherency = true, .aperture = {0, 0xffffffff}},
	{.enforces_coherency = true, .aperture = {TERA, 2 * TERA - 1}},
	{.enforces_coherency = true, .no_msi_isolation = true},
	{.enforces_coherency = true, .page_sizes = 1 << 21 | 1 << 16},
	{.enforces_coherency = true, .aperture = {0, UINT64_MAX}},
	{.enforces_coherency = true, .aperture = {0x100000, (UINT64_C(1) << 39) - 1}},
};

static const struct dmamap_model_resv msi[] = {MSI};
static const struct dmamap_model_resv direct[] = {
	MSI, {{0x50000000, 0x500fffff}, DMAMAP_RESERVED_DIRECT}};
static const struct dmamap_model_resv relaxable[] = {
	MSI, {{0x60000000, 0x600fffff}, DMAMAP_RESERVED_RELAXABLE}};
static const struct dmamap_model_resv everything[] = {{{0, UINT64_MAX}, DMAMAP_RESERVED_BUS}};

/** One device for each group; those at the end spoil it. */
static const struct {
	const char *device;
	const char *driver;
	struct dmamap_model_group_conf group;
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
	{"noiommu", "vfio-pci", {DMAMAP_MODEL_NOIOMMU, false, 0, NULL}},
	{"unviable", "vfio-pci", {0, false, RTE_DIM(msi), msi}},
};

/** It shares the group of the first. */
static const char twin[] = "twin";

static int
model_open(const char *path)
{
	return dm_mk_open(model, path);
}

static int
model_close(int fd)
{
	return dm_mk_close(model, fd);
}

static int
model_ioctl(int fd, unsigned long request, unsigned long arg)
{
	return dm_mk_ioctl(model, fd, request, arg);
}

static int
model_device(unsigned int i, struct place *place)
{
	const char *name = i == RTE_DIM(groups) ? twin : groups[i % RTE_DIM(groups)].device;
	struct dm_mk_sysfs info;
	unsigned int r;

	if (i > RTE_DIM(groups) || dm_mk_sysfs(model, name, &info) < 0)
		return -ENOENT;
	free(info.resv);
	i %= RTE_DIM(groups);
	*place = (struct place){
		.group = i, .noiommu = groups[i].group.iommu < 0, .n_resv = groups[i].group.n_resv};
	strlcpy(place->name, name, sizeof(place->name));
	if (info.cdev >= 0)
		snprintf(place->cdev, sizeof(place->cdev), "vfio%d", info.cdev);
	snprintf(place->iommu, sizeof(place->iommu), "%d", groups[i].group.iommu);
	for (r = 0; r < place->n_resv; r++) {
		place->resv[r].range = groups[i].group.resv[r].range;
		place->resv[r].type = groups[i].group.resv[r].type;
	}
	return 0;
}

static uint64_t
model_locked(void)
{
	return dmamap_model_locked(model);
}

static int
model_limit_memory(uint64_t bytes, bool capable)
{
	dmamap_model_set_memlock(model, capable ? 0 : bytes);
	return 0;
}

static int
model_limit_entries(unsigned int n)
{
	dmamap_model_set_entry_limit(model, n);
	return 0;
}

static int
model_ioctl_elsewhere(int fd, unsigned long request, void *arg, size_t len)
{
	int rc;

	dm_mk_set_process(model, 1);
	rc = dm_mk_ioctl(model, fd, request, (unsigned long)arg);
	dm_mk_set_process(model, 0);
	return rc;
}

static int64_t
model_map_events(void)
{
	return dmamap_model_calls(model, DMAMAP_MODEL_IOMMU_MAP);
}

static void
model_fail_map_event(unsigned int nth, int err)
{
	dmamap_model_fail(model, 1 << DMAMAP_MODEL_IOMMU_MAP, nth, err);
}

static const struct kernel kernel_model = {
	.name = "model",
	.open = model_open,
	.close = model_close,
	.ioctl = model_ioctl,
	.device = model_device,
	.locked = model_locked,
	.pinned = model_locked,
	.limit_memory = model_limit_memory,
	.limit_entries = model_limit_entries,
	.ioctl_elsewhere = model_ioctl_elsewhere,
	.map_events = model_map_events,
	.fail_map_event = model_fail_map_event,
};

static int
describe(void)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < RTE_DIM(iommus) && rc >= 0; i++)
		rc = dmamap_model_add_iommu(model, &iommus[i]);
	for (i = 0; i < RTE_DIM(groups) && rc >= 0; i++) {
		rc = dmamap_model_add_group(model, &groups[i].group);
		if (rc >= 0)
			rc = dmamap_model_add_device(
				model, rc, groups[i].device, -1, groups[i].driver);
	}
	if (rc >= 0) /* the last group's other member belongs to the host */
		rc = dmamap_model_add_device(model, RTE_DIM(groups) - 1, "host", -1, "ahci");
	if (rc >= 0)
		rc = dmamap_model_add_device(model, 0, twin, -1, "vfio-pci");
	return rc;
}

static int
begin(unsigned int version, const struct kernel **kernel)
{
	const struct dmamap_model_conf conf = {.linux_version = version};

	TEST_ASSERT_SUCCESS(dmamap_model_create(&conf, &model), "no model");
	TEST_ASSERT(describe() >= 0, "the model refuses its description");
	*kernel = &kernel_model;
	return TEST_SUCCESS;
}

int
conformance_model_5_15(const struct kernel **kernel)
{
	return begin(DMAMAP_MODEL_LINUX(5, 15), kernel);
}

int
conformance_model_6_1(const struct kernel **kernel)
{
	return begin(DMAMAP_MODEL_LINUX(6, 1), kernel);
}

int
conformance_model_6_12(const struct kernel **kernel)
{
	return begin(DMAMAP_MODEL_LINUX(6, 12), kernel);
}

int
conformance_model_6_18(const struct kernel **kernel)
{
	return begin(DMAMAP_MODEL_LINUX(6, 18), kernel);
}

void
conformance_model_end(void)
{
	if (dmamap_model_destroy(model) != 0)
		printf("the model is still in use\n");
	model = NULL;
}
