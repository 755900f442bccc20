/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Does the model work as a backend, and as an instrument? What of it is the kernel's is judged by
 * the suite `conformance`.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_iommu.h"
#include "dmamap_model.h"
#include "test.h"

#define PAGE 4096
#define IOVA UINT64_C(0x100000)
#define MSI                                                                                        \
	{                                                                                          \
		{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI                                      \
	}
#define RMRR                                                                                       \
	{                                                                                          \
		{0x7000000, 0x70fffff}, DMAMAP_RESERVED_DIRECT                                     \
	}

static struct dmamap_model *model;
static struct dm_iommu *iommu;
static struct dm_iommu_domain *dom;
static uint8_t *memory;

/** Two IOMMUs: groups 0 and 1 (two devices) behind the first, 2 behind the second, 3 not viable. */
static int
setup(void)
{
	const struct dmamap_model_resv msi[] = {MSI}, rmrr[] = {MSI, RMRR};
	const struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_MODEL};
	struct dmamap_container_conf with_model = conf;

	TEST_ASSERT_SUCCESS(dmamap_model_create(NULL, &model), "create");
	TEST_ASSERT_EQUAL(dmamap_model_add_iommu(model, NULL), 0, "IOMMU 0");
	TEST_ASSERT_EQUAL(
		dmamap_model_add_iommu(model,
			&(struct dmamap_model_iommu_conf){.aperture = {0x10000, 0xffffffff},
				.page_sizes = 1 << 21 | 1 << 14,
				.enforces_coherency = true}),
		1, "IOMMU 1");
	TEST_ASSERT_EQUAL(dmamap_model_add_group(model,
				  &(struct dmamap_model_group_conf){0, false, RTE_DIM(msi), msi}),
		0, "group 0");
	TEST_ASSERT_EQUAL(dmamap_model_add_group(model,
				  &(struct dmamap_model_group_conf){0, false, RTE_DIM(rmrr), rmrr}),
		1, "group 1");
	TEST_ASSERT_EQUAL(dmamap_model_add_group(model,
				  &(struct dmamap_model_group_conf){1, false, RTE_DIM(msi), msi}),
		2, "group 2");
	TEST_ASSERT_EQUAL(
		dmamap_model_add_group(model, &(struct dmamap_model_group_conf){0, false, 0, NULL}),
		3, "group 3");
	TEST_ASSERT_SUCCESS(dmamap_model_add_device(model, 0, "nic0", 0, "vfio-pci"), "nic0");
	TEST_ASSERT_SUCCESS(dmamap_model_add_device(model, 1, "nic1", -1, "vfio-pci"), "nic1");
	TEST_ASSERT_SUCCESS(dmamap_model_add_device(model, 1, "nic1b", 1, "vfio-pci"), "nic1b");
	TEST_ASSERT_SUCCESS(dmamap_model_add_device(model, 2, "far", 1, "vfio-pci"), "far");
	TEST_ASSERT_SUCCESS(dmamap_model_add_device(model, 3, "mixed", 1, "vfio-pci"), "mixed");
	TEST_ASSERT_SUCCESS(dmamap_model_add_device(model, 3, "host", 1, "ahci"), "host");

	memory = aligned_alloc(16 * PAGE, 16 * PAGE);
	TEST_ASSERT_NOT_NULL(memory, "memory");
	with_model.model = model;
	TEST_ASSERT_SUCCESS(dm_iommu_model_ops.open(&with_model, &iommu), "open");
	TEST_ASSERT_SUCCESS(iommu->ops->domain_create(iommu, &dom), "domain");
	return TEST_SUCCESS;
}

static void
teardown(void)
{
	if (dom != NULL)
		iommu->ops->domain_destroy(dom);
	if (iommu != NULL)
		iommu->ops->close(iommu);
	if (dmamap_model_destroy(model) != 0)
		printf("the model is still in use\n");
	free(memory);
	dom = NULL;
	iommu = NULL;
	model = NULL;
	memory = NULL;
}

/** Look up and attach. */
static int
join(struct dm_iommu_domain *to, const char *name, struct dm_iommu_dev **dev)
{
	int rc = iommu->ops->dev_get(iommu, name, dev);

	if (rc < 0)
		return rc;
	rc = iommu->ops->attach(to, *dev);
	if (rc < 0)
		iommu->ops->dev_put(*dev);
	return rc;
}

static void
leave(struct dm_iommu_domain *from, struct dm_iommu_dev *dev)
{
	iommu->ops->detach(from, dev);
	iommu->ops->dev_put(dev);
}

static int
map(uint64_t iova, unsigned int page, unsigned int pages, uint32_t prot)
{
	return iommu->ops->map(dom, iova, memory + page * PAGE, (uint64_t)pages * PAGE, prot);
}

static int
lookup_says_what_sysfs_says(void)
{
	const struct {
		const char *name;
		int rc;
	} cases[] = {{"none", -ENODEV}, {"host", -EBUSY}, {"mixed", -EPERM}};
	struct dm_iommu_dev *dev;
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++)
		TEST_ASSERT_EQUAL(iommu->ops->dev_get(iommu, cases[i].name, &dev), cases[i].rc,
			"%s", cases[i].name);
	TEST_ASSERT_SUCCESS(iommu->ops->dev_get(iommu, "nic1 vf_token=x", &dev), "nic1");
	TEST_ASSERT_EQUAL(strcmp(dev->name, "nic1"), 0, "name %s", dev->name);
	TEST_ASSERT_EQUAL(dev->group, 1, "group");
	TEST_ASSERT_EQUAL(dev->node, -1, "node");
	TEST_ASSERT_EQUAL(dev->fd, -1, "fd");
	TEST_ASSERT_EQUAL(dev->n_resv, 2, "reserved ranges");
	TEST_ASSERT_EQUAL(dev->resv[0].range.start, 0x7000000, "ascending");
	TEST_ASSERT_EQUAL(dev->resv[0].type, DMAMAP_RESERVED_DIRECT, "type");
	iommu->ops->dev_put(dev);
	return TEST_SUCCESS;
}

static int
unbound_and_unviable_are_named(void)
{
	struct dm_iommu_dev *dev;
	const char *text;

	test_log_begin();
	TEST_ASSERT_EQUAL(iommu->ops->dev_get(iommu, "mixed", &dev), -EPERM, "not viable");
	text = test_log_end();
	TEST_ASSERT(strstr(text, "host (ahci)") != NULL, "the culprit is not named: %s", text);
	TEST_ASSERT_SUCCESS(dmamap_model_bind(model, "nic0", NULL), "unbind");
	TEST_ASSERT_EQUAL(iommu->ops->dev_get(iommu, "nic0", &dev), -EBUSY, "unbound");
	TEST_ASSERT_SUCCESS(dmamap_model_bind(model, "host", "pci-stub"), "bind");
	TEST_ASSERT_SUCCESS(iommu->ops->dev_get(iommu, "mixed", &dev), "viable now");
	iommu->ops->dev_put(dev);
	return TEST_SUCCESS;
}

static int
host_reserved_is_the_union(void)
{
	const struct dmamap_container_conf conf = {.model = model};
	struct dm_iommu_resv *resv;
	unsigned int n;

	TEST_ASSERT_SUCCESS(dm_iommu_model_ops.host_reserved(&conf, &resv, &n), "host_reserved");
	TEST_ASSERT_EQUAL(n, 2, "%u ranges", n);
	TEST_ASSERT_EQUAL(resv[0].range.start, 0x7000000, "RMRR");
	TEST_ASSERT_EQUAL(resv[1].range.start, 0xfee00000, "MSI");
	free(resv);
	return TEST_SUCCESS;
}

static int
dma_goes_through_the_tables(void)
{
	struct dm_iommu_dev *dev;
	struct dmamap_model_fault fault;
	uint8_t buf[2 * PAGE];
	uint64_t done = 0;

	TEST_ASSERT_SUCCESS(join(dom, "nic0", &dev), "attach");
	memset(memory, 0x11, 2 * PAGE);
	memset(memory + 2 * PAGE, 0x22, PAGE);
	TEST_ASSERT_SUCCESS(map(IOVA, 2, 1, DMAMAP_READ), "map");
	TEST_ASSERT_SUCCESS(map(IOVA + PAGE, 0, 2, DMAMAP_RW), "map");

	TEST_ASSERT_SUCCESS(dmamap_model_dma_read(model, "nic0", IOVA, buf, sizeof(buf)), "read");
	TEST_ASSERT(buf[0] == 0x22 && buf[PAGE - 1] == 0x22 && buf[PAGE] == 0x11, "wrong memory");
	memset(buf, 0x33, sizeof(buf));
	TEST_ASSERT_EQUAL(dmamap_model_dma_write(model, "nic0", IOVA, buf, 8), -EFAULT,
		"a read-only map was written");
	TEST_ASSERT_EQUAL(memory[2 * PAGE], 0x22, "memory changed");
	TEST_ASSERT_EQUAL(dmamap_model_dma_write(model, "nic0", IOVA + 3 * PAGE - 4, buf, 8),
		-EFAULT, "beyond the map");
	TEST_ASSERT_EQUAL(memory[2 * PAGE - 1], 0x33, "bytes before the fault go through");
	TEST_ASSERT_EQUAL(dmamap_model_faults(model, &fault, 1), 2, "faults");
	TEST_ASSERT(fault.iova == IOVA + 3 * PAGE && fault.write && !strcmp(fault.dev, "nic0"),
		"fault record");

	TEST_ASSERT_EQUAL(dmamap_model_dma_read(model, "nic1", IOVA, buf, 8), -EFAULT,
		"a device outside of the domain reached it");
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, IOVA, PAGE, &done), "unmap");
	TEST_ASSERT_EQUAL(done, PAGE, "done");
	TEST_ASSERT_EQUAL(dmamap_model_dma_read(model, "nic0", IOVA, buf, 8), -EFAULT,
		"an unmapped page was read");
	leave(dom, dev);
	TEST_ASSERT_EQUAL(dmamap_model_dma_read(model, "nic0", IOVA + PAGE, buf, 8), -EFAULT,
		"a detached device reads");
	TEST_ASSERT_EQUAL(dmamap_model_dma_read(model, "none", IOVA, buf, 8), -ENODEV, "no device");
	return TEST_SUCCESS;
}

static int
second_iommu_gets_its_own_tables(void)
{
	struct dm_iommu_dev *near, *far;
	struct dm_iommu_info info;
	uint64_t before, done;
	uint8_t byte;

	TEST_ASSERT_SUCCESS(join(dom, "nic0", &near), "attach");
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 4, DMAMAP_RW), "map");
	TEST_ASSERT_EQUAL(dmamap_model_calls(model, DMAMAP_MODEL_IOMMU_MAP), 1, "one domain");
	TEST_ASSERT_SUCCESS(map(IOVA + 16 * PAGE, 4, 1, DMAMAP_RW), "map");
	TEST_ASSERT_EQUAL(join(dom, "far", &far), -EINVAL, "a small map fits larger pages");
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, IOVA + 16 * PAGE, PAGE, &done), "unmap");
	before = dmamap_model_calls(model, DMAMAP_MODEL_IOMMU_MAP);
	TEST_ASSERT_SUCCESS(join(dom, "far", &far), "attach");
	TEST_ASSERT_EQUAL(dmamap_model_calls(model, DMAMAP_MODEL_IOMMU_MAP), before + 1, "replay");
	memory[7] = 0x77;
	TEST_ASSERT_SUCCESS(dmamap_model_dma_read(model, "far", IOVA + 7, &byte, 1), "read");
	TEST_ASSERT_EQUAL(byte, 0x77, "byte");
	TEST_ASSERT_SUCCESS(iommu->ops->info(dom, &info), "info");
	TEST_ASSERT_EQUAL(info.page_sizes, 1 << 21, "page sizes %#lx", info.page_sizes);
	TEST_ASSERT_EQUAL(info.coherent, false, "coherent");
	TEST_ASSERT_EQUAL(info.entries_left, 65534, "entries left");
	TEST_ASSERT_EQUAL(info.n_ranges, 2, "ranges");
	TEST_ASSERT_EQUAL(info.ranges[0].start, 0x10000, "aperture");
	TEST_ASSERT_EQUAL(info.ranges[0].last, 0xfedfffff, "MSI window");
	TEST_ASSERT_EQUAL(info.ranges[1].last, 0xffffffff, "aperture");
	free(info.ranges);
	leave(dom, near);
	TEST_ASSERT_SUCCESS(iommu->ops->info(dom, &info), "info");
	TEST_ASSERT_EQUAL(info.coherent, true, "coherent again");
	free(info.ranges);
	leave(dom, far);
	return TEST_SUCCESS;
}

static int
group_of_two_is_joined_once(void)
{
	struct dm_iommu_dev *a, *b;

	TEST_ASSERT_SUCCESS(join(dom, "nic1", &a), "attach");
	TEST_ASSERT_SUCCESS(join(dom, "nic1b", &b), "attach");
	TEST_ASSERT_EQUAL(dmamap_model_calls(model, DMAMAP_MODEL_SET_CONTAINER), 1, "once");
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 1, DMAMAP_RW), "map");
	leave(dom, a);
	TEST_ASSERT_SUCCESS(dmamap_model_dma_write(model, "nic1b", IOVA, "x", 1), "still there");
	leave(dom, b);
	TEST_ASSERT_EQUAL(dmamap_model_locked(model), 0, "the last device left, maps stayed");
	return TEST_SUCCESS;
}

static int
group_busy_elsewhere(void)
{
	struct dm_iommu_domain *other;
	struct dm_iommu_dev *dev, *again;

	TEST_ASSERT_SUCCESS(iommu->ops->domain_create(iommu, &other), "domain");
	TEST_ASSERT_SUCCESS(join(dom, "nic1", &dev), "attach");
	TEST_ASSERT_EQUAL(join(other, "nic1b", &again), -EBUSY, "open elsewhere");
	leave(dom, dev);
	iommu->ops->domain_destroy(other);
	return TEST_SUCCESS;
}

static int
memory_is_charged_for_each_container(void)
{
	struct dm_iommu_domain *other;
	struct dm_iommu_dev *a, *b;

	TEST_ASSERT_SUCCESS(iommu->ops->domain_create(iommu, &other), "domain");
	TEST_ASSERT_SUCCESS(join(dom, "nic0", &a), "attach");
	TEST_ASSERT_SUCCESS(join(other, "nic1", &b), "attach");
	dmamap_model_set_memlock(model, 6 * PAGE + 1);
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 4, DMAMAP_RW), "map");
	TEST_ASSERT_EQUAL(dmamap_model_locked(model), 4 * PAGE, "locked");
	TEST_ASSERT_EQUAL(iommu->ops->map(other, IOVA, memory, 4 * PAGE, DMAMAP_RW), -ENOMEM,
		"the same memory again");
	TEST_ASSERT_SUCCESS(iommu->ops->map(other, IOVA, memory, 2 * PAGE, DMAMAP_RW), "map");
	TEST_ASSERT_EQUAL(dmamap_model_locked(model), 6 * PAGE, "locked");
	leave(dom, a);
	leave(other, b);
	TEST_ASSERT_EQUAL(dmamap_model_locked(model), 0, "locked");
	iommu->ops->domain_destroy(other);
	return TEST_SUCCESS;
}

/** Attach, map, info, unmap, detach, as one operation for the sweep below. */
static int
whole_life(void)
{
	struct dm_iommu_info info;
	struct dm_iommu_dev *dev;
	uint64_t done;
	int rc = join(dom, "nic0", &dev);

	if (rc < 0)
		return rc;
	rc = map(IOVA, 0, 4, DMAMAP_RW);
	if (rc == 0) {
		rc = iommu->ops->info(dom, &info);
		if (rc == 0)
			free(info.ranges);
	}
	if (rc == 0)
		rc = iommu->ops->unmap(dom, IOVA, 4 * PAGE, &done);
	leave(dom, dev);
	return rc;
}

static int
every_call_can_fail_and_leaves_nothing(void)
{
	char *before = dmamap_model_dump(model), *after;
	unsigned int nth;
	int rc;

	TEST_ASSERT_NOT_NULL(before, "dump");
	for (nth = 1; nth < 100; nth++) {
		dmamap_model_fail(model, DMAMAP_MODEL_ANY, nth, ENOSPC);
		rc = whole_life();
		after = dmamap_model_dump(model);
		TEST_ASSERT_NOT_NULL(after, "dump");
		if (strcmp(before, after) != 0)
			printf("%s differs from %s", after, before);
		TEST_ASSERT_EQUAL(strcmp(before, after), 0, "call %u left something", nth);
		free(after);
		if (dmamap_model_failed(model) < 0)
			break;
		TEST_ASSERT_EQUAL(rc, -ENOSPC, "call %u (%s)", nth,
			dmamap_model_call_name(dmamap_model_failed(model)));
	}
	free(before);
	dmamap_model_fail(model, 0, 0, 0);
	TEST_ASSERT_SUCCESS(rc, "without a failure");
	/* lookup, open, status, container, type, device, map, extension, info twice, unmap */
	TEST_ASSERT_EQUAL(nth, 12, "%u calls", nth - 1);
	return TEST_SUCCESS;
}

static int
failures_by_kind(void)
{
	struct dm_iommu_dev *dev;
	uint64_t done;

	TEST_ASSERT_SUCCESS(join(dom, "nic0", &dev), "attach");
	dmamap_model_fail(model, 1 << DMAMAP_MODEL_UNMAP, 2, EIO);
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 1, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(map(IOVA + PAGE, 1, 1, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, IOVA, PAGE, &done), "first unmap");
	TEST_ASSERT_EQUAL(iommu->ops->unmap(dom, IOVA + PAGE, PAGE, &done), -EIO, "second unmap");
	TEST_ASSERT_EQUAL(dmamap_model_failed(model), DMAMAP_MODEL_UNMAP, "kind");
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, IOVA + PAGE, PAGE, &done), "third unmap");
	TEST_ASSERT_EQUAL(done, PAGE, "the failed unmap did something");

	dmamap_model_fail_all(model, 1 << DMAMAP_MODEL_MAP, ENOMEM);
	TEST_ASSERT_EQUAL(map(IOVA, 0, 1, DMAMAP_RW), -ENOMEM, "always");
	TEST_ASSERT_EQUAL(map(IOVA, 0, 1, DMAMAP_RW), -ENOMEM, "always");
	dmamap_model_fail_all(model, DMAMAP_MODEL_ANY, 0);
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 1, DMAMAP_RW), "no more");
	leave(dom, dev);
	return TEST_SUCCESS;
}

static int
unmap_can_be_short(void)
{
	struct dm_iommu_dev *dev;
	uint64_t done;

	TEST_ASSERT_SUCCESS(join(dom, "nic0", &dev), "attach");
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 1, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(map(IOVA + PAGE, 1, 2, DMAMAP_RW), "map");
	dmamap_model_short_unmap(model, 1, 2 * PAGE);
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, IOVA, 3 * PAGE, &done), "unmap");
	TEST_ASSERT_EQUAL(done, PAGE, "first map only");
	TEST_ASSERT_EQUAL(dmamap_model_locked(model), 2 * PAGE, "the rest stays pinned");
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, IOVA, 3 * PAGE, &done), "unmap");
	TEST_ASSERT_EQUAL(done, 2 * PAGE, "the rest");
	leave(dom, dev);
	return TEST_SUCCESS;
}

static int
dump_tells_states_apart(void)
{
	struct dm_iommu_dev *dev;
	char *a, *b, *c;

	TEST_ASSERT_SUCCESS(join(dom, "nic0", &dev), "attach");
	a = dmamap_model_dump(model);
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 1, DMAMAP_READ), "map");
	b = dmamap_model_dump(model);
	iommu->ops->unmap(dom, IOVA, PAGE, &(uint64_t){0});
	c = dmamap_model_dump(model);
	TEST_ASSERT_EQUAL(strcmp(a, c), 0, "the same state, other texts");
	TEST_ASSERT_NOT_EQUAL(strcmp(a, b), 0, "other states, the same text");
	free(a);
	free(b);
	free(c);
	leave(dom, dev);
	return TEST_SUCCESS;
}

static int
destroy_reports_what_is_open(void)
{
	struct dm_iommu_dev *dev;
	const char *text;

	TEST_ASSERT_SUCCESS(join(dom, "nic0", &dev), "attach");
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 1, DMAMAP_READ), "map");
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_model_destroy(model), -EBUSY, "destroyed under a container");
	text = test_log_end();
	TEST_ASSERT(
		strstr(text, "device nic0") && strstr(text, "group 0") && strstr(text, "1 maps"),
		"not told what is open: %s", text);
	leave(dom, dev);
	return TEST_SUCCESS;
}

static int
open_devices_cannot_go(void)
{
	struct dm_iommu_dev *dev;

	TEST_ASSERT_SUCCESS(join(dom, "nic1", &dev), "attach");
	TEST_ASSERT_EQUAL(dmamap_model_remove_device(model, "nic1"), -EBUSY, "open");
	TEST_ASSERT_EQUAL(dmamap_model_bind(model, "nic1", "e1000e"), -EBUSY, "open");
	TEST_ASSERT_EQUAL(dmamap_model_bind(model, "nic1b", "e1000e"), -EBUSY, "group owned");
	leave(dom, dev);
	TEST_ASSERT_SUCCESS(dmamap_model_remove_device(model, "nic1"), "closed");
	TEST_ASSERT_EQUAL(dmamap_model_remove_device(model, "nic1"), -ENODEV, "gone");
	return TEST_SUCCESS;
}

static int
bad_descriptions_are_refused(void)
{
	const struct dmamap_model_resv backwards[] = {{{2, 1}, DMAMAP_RESERVED_BUS}};

	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_model_add_iommu(
				  model, &(struct dmamap_model_iommu_conf){.aperture = {2, 1}}),
		-EINVAL, "aperture");
	TEST_ASSERT_EQUAL(
		dmamap_model_add_group(model, &(struct dmamap_model_group_conf){9, false, 0, NULL}),
		-EINVAL, "no IOMMU");
	TEST_ASSERT_EQUAL(dmamap_model_add_group(
				  model, &(struct dmamap_model_group_conf){0, false, 1, backwards}),
		-EINVAL, "reserved");
	TEST_ASSERT_EQUAL(dmamap_model_add_device(model, 9, "x", 0, NULL), -EINVAL, "no group");
	TEST_ASSERT_EQUAL(dmamap_model_add_device(model, 0, "a b", 0, NULL), -EINVAL, "blank");
	TEST_ASSERT_EQUAL(dmamap_model_add_device(model, 0, "nic0", 0, NULL), -EEXIST, "twice");
	test_log_end();
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"a look-up says what sysfs says", lookup_says_what_sysfs_says},
	{"unbound devices and spoilt groups are named", unbound_and_unviable_are_named},
	{"the host's reserved ranges are the union of its groups'", host_reserved_is_the_union},
	{"DMA goes through the page tables and faults outside", dma_goes_through_the_tables},
	{"a second IOMMU gets page tables of its own", second_iommu_gets_its_own_tables},
	{"a group of two devices is joined once", group_of_two_is_joined_once},
	{"a group that is open elsewhere is busy", group_busy_elsewhere},
	{"memory is charged once for each kernel container", memory_is_charged_for_each_container},
	{"every call can fail and leaves nothing", every_call_can_fail_and_leaves_nothing},
	{"failures by kind of call", failures_by_kind},
	{"an unmap can be short", unmap_can_be_short},
	{"the dump tells states apart", dump_tells_states_apart},
	{"destroying a model in use names what is open", destroy_reports_what_is_open},
	{"open devices cannot be removed or bound", open_devices_cannot_go},
	{"bad descriptions are refused", bad_descriptions_are_refused},
};

REGISTER_TEST_SUITE(model_suite) = {
	.name = "model",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
