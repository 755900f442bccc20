/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the mock kernel: below a shipped backend, and as an instrument of tests. The suite
 * `conformance` compares it with Linux.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/userfaultfd.h>
#include <linux/vfio.h>

#include "dm_iommu.h"
#include "vfio_mock.h"
#include "test.h"

#define PAGE 4096
#define UUID "2ab74924-c335-45f4-9b16-8569e5b08258"
#define IOVA UINT64_C(0x100000)
#define MSI                                                                                        \
	{                                                                                          \
		{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI                                      \
	}
#define RMRR                                                                                       \
	{                                                                                          \
		{0x7000000, 0x70fffff}, DMAMAP_RESERVED_DIRECT                                     \
	}

static struct vfio_mock *mock;
static struct dm_iommu *iommu;
static struct dm_iommu_domain *dom;
static uint8_t *memory;

/** Two IOMMUs: groups 0 and 1 (two devices) behind the first, 2 behind the second, 3 not viable. */
static int
setup(void)
{
	const struct vfio_mock_resv msi[] = {MSI}, rmrr[] = {MSI, RMRR};
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1};

	TEST_ASSERT_SUCCESS(vfio_mock_create(NULL, &mock), "create");
	TEST_ASSERT_EQUAL(vfio_mock_add_iommu(mock, NULL), 0, "IOMMU 0");
	TEST_ASSERT_EQUAL(vfio_mock_add_iommu(mock,
				  &(struct vfio_mock_iommu_conf){.aperture = {0x10000, 0xffffffff},
					  .page_sizes = 1 << 21 | 1 << 14,
					  .enforces_coherency = true}),
		1, "IOMMU 1");
	TEST_ASSERT_EQUAL(vfio_mock_add_group(mock,
				  &(struct vfio_mock_group_conf){0, false, RTE_DIM(msi), msi}),
		0, "group 0");
	TEST_ASSERT_EQUAL(vfio_mock_add_group(mock,
				  &(struct vfio_mock_group_conf){0, false, RTE_DIM(rmrr), rmrr}),
		1, "group 1");
	TEST_ASSERT_EQUAL(vfio_mock_add_group(mock,
				  &(struct vfio_mock_group_conf){1, false, RTE_DIM(msi), msi}),
		2, "group 2");
	TEST_ASSERT_EQUAL(
		vfio_mock_add_group(mock, &(struct vfio_mock_group_conf){0, false, 0, NULL}), 3,
		"group 3");
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, 0, "nic0", 0, "vfio-pci"), "nic0");
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, 1, "nic1", -1, "vfio-pci"), "nic1");
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, 1, "nic1b", 1, "vfio-pci"), "nic1b");
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, 2, "far", 1, "vfio-pci"), "far");
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, 3, "mixed", 1, "vfio-pci"), "mixed");
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, 3, "host", 1, "ahci"), "host");

	memory = aligned_alloc(16 * PAGE, 16 * PAGE);
	TEST_ASSERT_NOT_NULL(memory, "memory");
	conf.kernel = vfio_mock_kernel(mock);
	TEST_ASSERT_SUCCESS(dm_iommu_type1_ops.open(&conf, &iommu), "open");
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
	if (vfio_mock_destroy(mock) != 0)
		printf("the mock is still in use\n");
	free(memory);
	dom = NULL;
	iommu = NULL;
	mock = NULL;
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
	} cases[] = {{"none", -ENODEV}, {"host", -EBUSY}};
	struct dm_iommu_dev *dev;
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++)
		TEST_ASSERT_EQUAL(iommu->ops->dev_get(iommu, cases[i].name, &dev), cases[i].rc,
			"%s", cases[i].name);
	TEST_ASSERT_SUCCESS(iommu->ops->dev_get(iommu, "nic1 vf_token=" UUID, &dev), "nic1");
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
	struct dm_iommu_domain *d;
	struct dm_iommu_dev *dev;
	const char *text;
	int rc;

	TEST_ASSERT_SUCCESS(iommu->ops->domain_create(iommu, &d), "domain_create");
	TEST_ASSERT_SUCCESS(iommu->ops->dev_get(iommu, "mixed", &dev), "dev_get");
	test_log_begin();
	rc = iommu->ops->attach(d, dev);
	text = test_log_end();
	iommu->ops->dev_put(dev);
	iommu->ops->domain_destroy(d);
	TEST_ASSERT_EQUAL(rc, -EPERM, "not viable: %d", rc);
	TEST_ASSERT(strstr(text, "host (ahci)") != NULL, "the culprit is not named: %s", text);
	TEST_ASSERT_SUCCESS(vfio_mock_bind(mock, "nic0", NULL), "unbind");
	TEST_ASSERT_EQUAL(iommu->ops->dev_get(iommu, "nic0", &dev), -EBUSY, "unbound");
	TEST_ASSERT_SUCCESS(vfio_mock_bind(mock, "host", "pci-stub"), "bind");
	TEST_ASSERT_SUCCESS(iommu->ops->dev_get(iommu, "mixed", &dev), "viable now");
	iommu->ops->dev_put(dev);
	return TEST_SUCCESS;
}

static int
host_reserved_is_the_union(void)
{
	const struct dmamap_container_conf conf = {.kernel = vfio_mock_kernel(mock)};
	struct dm_iommu_resv *resv;
	unsigned int n;

	TEST_ASSERT_SUCCESS(dm_iommu_type1_ops.host_reserved(&conf, &resv, &n), "host_reserved");
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
	struct vfio_mock_fault fault;
	uint8_t buf[2 * PAGE];
	uint64_t done = 0;

	TEST_ASSERT_SUCCESS(join(dom, "nic0", &dev), "attach");
	memset(memory, 0x11, 2 * PAGE);
	memset(memory + 2 * PAGE, 0x22, PAGE);
	TEST_ASSERT_SUCCESS(map(IOVA, 2, 1, DMAMAP_READ), "map");
	TEST_ASSERT_SUCCESS(map(IOVA + PAGE, 0, 2, DMAMAP_RW), "map");

	TEST_ASSERT_SUCCESS(vfio_mock_dma_read(mock, "nic0", IOVA, buf, sizeof(buf)), "read");
	TEST_ASSERT(buf[0] == 0x22 && buf[PAGE - 1] == 0x22 && buf[PAGE] == 0x11, "wrong memory");
	memset(buf, 0x33, sizeof(buf));
	TEST_ASSERT_EQUAL(vfio_mock_dma_write(mock, "nic0", IOVA, buf, 8), -EFAULT,
		"a read-only map was written");
	TEST_ASSERT_EQUAL(memory[2 * PAGE], 0x22, "memory changed");
	TEST_ASSERT_EQUAL(vfio_mock_dma_write(mock, "nic0", IOVA + 3 * PAGE - 4, buf, 8), -EFAULT,
		"beyond the map");
	TEST_ASSERT_EQUAL(memory[2 * PAGE - 1], 0x33, "bytes before the fault go through");
	TEST_ASSERT_EQUAL(vfio_mock_faults(mock, &fault, 1), 2, "faults");
	TEST_ASSERT(fault.iova == IOVA + 3 * PAGE && fault.write && !strcmp(fault.dev, "nic0"),
		"fault record");

	TEST_ASSERT_EQUAL(vfio_mock_dma_read(mock, "nic1", IOVA, buf, 8), -EFAULT,
		"a device outside of the domain reached it");
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, IOVA, PAGE, &done), "unmap");
	TEST_ASSERT_EQUAL(done, PAGE, "done");
	TEST_ASSERT_EQUAL(vfio_mock_dma_read(mock, "nic0", IOVA, buf, 8), -EFAULT,
		"an unmapped page was read");
	leave(dom, dev);
	TEST_ASSERT_EQUAL(vfio_mock_dma_read(mock, "nic0", IOVA + PAGE, buf, 8), -EFAULT,
		"a detached device reads");
	TEST_ASSERT_EQUAL(vfio_mock_dma_read(mock, "none", IOVA, buf, 8), -ENODEV, "no device");
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
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_IOMMU_MAP), 1, "one domain");
	TEST_ASSERT_SUCCESS(map(IOVA + 16 * PAGE, 4, 1, DMAMAP_RW), "map");
	TEST_ASSERT_EQUAL(join(dom, "far", &far), -EINVAL, "a small map fits larger pages");
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, IOVA + 16 * PAGE, PAGE, &done), "unmap");
	before = vfio_mock_calls(mock, VFIO_MOCK_IOMMU_MAP);
	TEST_ASSERT_SUCCESS(join(dom, "far", &far), "attach");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_IOMMU_MAP), before + 1, "replay");
	memory[7] = 0x77;
	TEST_ASSERT_SUCCESS(vfio_mock_dma_read(mock, "far", IOVA + 7, &byte, 1), "read");
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
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_SET_CONTAINER), 1, "once");
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 1, DMAMAP_RW), "map");
	leave(dom, a);
	TEST_ASSERT_SUCCESS(vfio_mock_dma_write(mock, "nic1b", IOVA, "x", 1), "still there");
	leave(dom, b);
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "the last device left, maps stayed");
	return TEST_SUCCESS;
}

static int
group_busy_elsewhere(void)
{
	const struct dmamap_container_conf conf = {.kernel = vfio_mock_kernel(mock)};
	struct dm_iommu_dev *dev, *again;
	struct dm_iommu *other;
	struct dm_iommu_domain *other_dom;

	TEST_ASSERT_SUCCESS(dm_iommu_type1_ops.open(&conf, &other), "open");
	TEST_ASSERT_SUCCESS(other->ops->domain_create(other, &other_dom), "domain");
	TEST_ASSERT_SUCCESS(join(dom, "nic1", &dev), "attach");
	TEST_ASSERT_SUCCESS(other->ops->dev_get(other, "nic1b", &again), "look-up");
	TEST_ASSERT_EQUAL(other->ops->attach(other_dom, again), -EBUSY, "open elsewhere");
	leave(dom, dev);
	TEST_ASSERT_SUCCESS(other->ops->attach(other_dom, again), "free");
	other->ops->detach(other_dom, again);
	other->ops->dev_put(again);
	other->ops->domain_destroy(other_dom);
	other->ops->close(other);
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
	vfio_mock_set_memlock(mock, 6 * PAGE + 1);
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 4, DMAMAP_RW), "map");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 4 * PAGE, "locked");
	TEST_ASSERT_EQUAL(iommu->ops->map(other, IOVA, memory, 4 * PAGE, DMAMAP_RW), -ENOMEM,
		"the same memory again");
	TEST_ASSERT_SUCCESS(iommu->ops->map(other, IOVA, memory, 2 * PAGE, DMAMAP_RW), "map");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 6 * PAGE, "locked");
	leave(dom, a);
	leave(other, b);
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "locked");
	iommu->ops->domain_destroy(other);
	return TEST_SUCCESS;
}

/** Attach, map, info, unmap and detach, as one operation for the sweep below. */
static int
whole_run(void)
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
	char *before = vfio_mock_dump(mock), *after;
	unsigned int nth, absorbed = 0;
	int rc;

	TEST_ASSERT_NOT_NULL(before, "dump");
	for (nth = 1; nth < 100; nth++) {
		vfio_mock_fail(mock, VFIO_MOCK_ANY, nth, ENOSPC);
		rc = whole_run();
		after = vfio_mock_dump(mock);
		TEST_ASSERT_NOT_NULL(after, "dump");
		if (strcmp(before, after) != 0)
			printf("%s differs from %s", after, before);
		TEST_ASSERT_EQUAL(strcmp(before, after), 0, "call %u left something", nth);
		free(after);
		if (vfio_mock_failed(mock) < 0)
			break;
		TEST_ASSERT(rc == 0 || rc == -ENOSPC, "call %u (%s): %d", nth,
			vfio_mock_call_name(vfio_mock_failed(mock)), rc);
		absorbed += rc == 0;
	}
	free(before);
	vfio_mock_fail(mock, 0, 0, 0);
	TEST_ASSERT_SUCCESS(rc, "without a failure");
	/*
	 * Calls: sysfs 10 times (the device on PCI, buses, the device, its group, the group's name,
	 * the driver, members, a member's driver, ranges, the node), open, status, container, type,
	 * device, map, information twice, coherency, unmap, out of the container.
	 */
	TEST_ASSERT_EQUAL(nth, 22, "%u calls", nth - 1);
	/*
	 * Failures that are absorbed: the node (a device may lack it), coherency, leaving the
	 * container (a close does it), and the members and drivers, which are read for a message
	 * only.
	 */
	TEST_ASSERT_EQUAL(absorbed, 5, "%u absorbed", absorbed);
	return TEST_SUCCESS;
}

static int
failures_by_kind(void)
{
	struct dm_iommu_dev *dev;
	uint64_t done;

	TEST_ASSERT_SUCCESS(join(dom, "nic0", &dev), "attach");
	vfio_mock_fail(mock, 1 << VFIO_MOCK_UNMAP, 2, EIO);
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 1, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(map(IOVA + PAGE, 1, 1, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, IOVA, PAGE, &done), "first unmap");
	TEST_ASSERT_EQUAL(iommu->ops->unmap(dom, IOVA + PAGE, PAGE, &done), -EIO, "second unmap");
	TEST_ASSERT_EQUAL(vfio_mock_failed(mock), VFIO_MOCK_UNMAP, "kind");
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, IOVA + PAGE, PAGE, &done), "third unmap");
	TEST_ASSERT_EQUAL(done, PAGE, "the failed unmap did something");

	vfio_mock_fail_all(mock, 1 << VFIO_MOCK_MAP, ENOMEM);
	TEST_ASSERT_EQUAL(map(IOVA, 0, 1, DMAMAP_RW), -ENOMEM, "always");
	TEST_ASSERT_EQUAL(map(IOVA, 0, 1, DMAMAP_RW), -ENOMEM, "always");
	vfio_mock_fail_all(mock, VFIO_MOCK_ANY, 0);
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
	vfio_mock_short_unmap(mock, 1, 2 * PAGE);
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, IOVA, 3 * PAGE, &done), "unmap");
	TEST_ASSERT_EQUAL(done, PAGE, "first map only");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 2 * PAGE, "the rest stays pinned");
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
	a = vfio_mock_dump(mock);
	TEST_ASSERT_SUCCESS(map(IOVA, 0, 1, DMAMAP_READ), "map");
	b = vfio_mock_dump(mock);
	iommu->ops->unmap(dom, IOVA, PAGE, &(uint64_t){0});
	c = vfio_mock_dump(mock);
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
	TEST_ASSERT_EQUAL(vfio_mock_destroy(mock), -EBUSY, "destroyed under a container");
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
	TEST_ASSERT_EQUAL(vfio_mock_remove_device(mock, "nic1"), -EBUSY, "open");
	TEST_ASSERT_EQUAL(vfio_mock_bind(mock, "nic1", "e1000e"), -EBUSY, "open");
	TEST_ASSERT_EQUAL(vfio_mock_bind(mock, "nic1b", "e1000e"), -EBUSY, "group owned");
	leave(dom, dev);
	TEST_ASSERT_SUCCESS(vfio_mock_remove_device(mock, "nic1"), "closed");
	TEST_ASSERT_EQUAL(vfio_mock_remove_device(mock, "nic1"), -ENODEV, "gone");
	return TEST_SUCCESS;
}

static int
bad_descriptions_are_refused(void)
{
	const struct vfio_mock_resv backwards[] = {{{2, 1}, DMAMAP_RESERVED_BUS}};

	test_log_begin();
	TEST_ASSERT_EQUAL(
		vfio_mock_add_iommu(mock, &(struct vfio_mock_iommu_conf){.aperture = {2, 1}}),
		-EINVAL, "aperture");
	TEST_ASSERT_EQUAL(
		vfio_mock_add_group(mock, &(struct vfio_mock_group_conf){9, false, 0, NULL}),
		-EINVAL, "no IOMMU");
	TEST_ASSERT_EQUAL(
		vfio_mock_add_group(mock, &(struct vfio_mock_group_conf){0, false, 1, backwards}),
		-EINVAL, "reserved");
	TEST_ASSERT_EQUAL(vfio_mock_add_device(mock, 9, "x", 0, NULL), -EINVAL, "no group");
	TEST_ASSERT_EQUAL(vfio_mock_add_device(mock, 0, "a b", 0, NULL), -EINVAL, "blank");
	TEST_ASSERT_EQUAL(vfio_mock_add_device(mock, 0, "nic0", 0, NULL), -EEXIST, "twice");
	test_log_end();
	return TEST_SUCCESS;
}

/* Its sysfs */

static int
count_names(void *ctx, const char *name)
{
	unsigned int *n = ctx;

	(*n)++;
	return 0;
}

static int
sysfs_follows_the_machine(void)
{
	const struct dmamap_kernel *k = vfio_mock_kernel(mock);
	const struct vfio_mock_group_conf without = {.iommu = VFIO_MOCK_NOIOMMU};
	uint64_t before = vfio_mock_calls(mock, VFIO_MOCK_LOOKUP);
	unsigned int n = 0;
	char text[256];

	TEST_ASSERT(k->read_link(k->arg, "/sys/bus/platform/devices/nic1/driver", text,
			    sizeof(text)) > 0,
		"driver");
	TEST_ASSERT(strcmp(strrchr(text, '/'), "/vfio-pci") == 0, "%s", text);
	TEST_ASSERT(k->read_link(k->arg, "/sys/kernel/iommu_groups/3/devices/host/driver", text,
			    sizeof(text)) > 0,
		"the driver of a member");
	TEST_ASSERT(strcmp(strrchr(text, '/'), "/ahci") == 0, "%s", text);
	TEST_ASSERT_EQUAL(k->read_link(k->arg, "/sys/bus/platform/devices/nic1/driver", text, 8),
		-ENAMETOOLONG, "a short buffer");
	TEST_ASSERT_SUCCESS(vfio_mock_bind(mock, "nic1", NULL), "unbind");
	TEST_ASSERT_EQUAL(
		k->read_link(k->arg, "/sys/bus/platform/devices/nic1/driver", text, sizeof(text)),
		-ENOENT, "no driver");
	TEST_ASSERT_EQUAL(
		k->list(k->arg, "/sys/kernel/iommu_groups/1/devices", count_names, &n), 0, "list");
	TEST_ASSERT_EQUAL(n, 2, "%u members", n);
	TEST_ASSERT_EQUAL(k->read_file(k->arg, "/sys/kernel/iommu_groups/0/reserved_regions", text,
				  sizeof(text)),
		(int)strlen("0x00000000fee00000 0x00000000feefffff msi\n"), "%s", text);
	TEST_ASSERT_EQUAL(
		k->read_file(k->arg, "/sys/kernel/iommu_groups/0/reserved_regions", text, 8),
		-EFBIG, "a short buffer");
	TEST_ASSERT_EQUAL(k->list(k->arg, "/sys/bus/pci/devices/nic1", count_names, &n), -ENOENT,
		"another bus");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_LOOKUP), before + 8, "calls");

	/* VFIO makes a virtual group while it holds a device without an IOMMU. */
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, vfio_mock_add_group(mock, &without),
				    "0000:01:00.0", -1, NULL),
		"device");
	TEST_ASSERT_EQUAL(k->read_link(k->arg, "/sys/bus/pci/devices/0000:01:00.0/iommu_group",
				  text, sizeof(text)),
		-ENOENT, "a group");
	TEST_ASSERT_SUCCESS(vfio_mock_bind(mock, "0000:01:00.0", "vfio-pci"), "bind");
	TEST_ASSERT(k->read_link(k->arg, "/sys/bus/pci/devices/0000:01:00.0/iommu_group", text,
			    sizeof(text)) > 0,
		"no group");
	TEST_ASSERT(
		k->read_file(k->arg, "/sys/kernel/iommu_groups/4/name", text, sizeof(text)) > 0 &&
			strcmp(text, "vfio-noiommu\n") == 0,
		"%s", text);
	return TEST_SUCCESS;
}

static int
files_cannot_be_taken_for_descriptors(void)
{
	int first = vfio_mock_open(mock, "/dev/vfio/vfio"), second, again;

	TEST_ASSERT(first >= VFIO_MOCK_FIRST_FD, "%d", first);
	TEST_ASSERT(fcntl(first, F_GETFD) < 0 && errno == EBADF, "it is a descriptor");
	TEST_ASSERT_EQUAL(vfio_mock_close(mock, 0), -EBADF, "a descriptor is a file");
	second = vfio_mock_open(mock, "/dev/vfio/vfio");
	TEST_ASSERT_SUCCESS(vfio_mock_close(mock, first), "close");
	again = vfio_mock_open(mock, "/dev/vfio/vfio");
	TEST_ASSERT_EQUAL(again, first, "not the lowest free number");
	TEST_ASSERT_SUCCESS(vfio_mock_close(mock, again), "close");
	return vfio_mock_close(mock, second);
}

static int
a_thousand_devices_are_attached_in_no_time(void)
{
	const struct vfio_mock_group_conf group = {0};
	struct dm_iommu_dev *dev[1000];
	struct timespec from, to;
	unsigned int i;
	char name[32];
	double took;

	for (i = 0; i < RTE_DIM(dev); i++) {
		snprintf(name, sizeof(name), "dev%u", i);
		TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, vfio_mock_add_group(mock, &group),
					    name, -1, "vfio-pci"),
			"%s", name);
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (i = 0; i < RTE_DIM(dev); i++) {
		snprintf(name, sizeof(name), "dev%u", i);
		TEST_ASSERT_SUCCESS(join(dom, name, &dev[i]), "%s", name);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	for (i = 0; i < RTE_DIM(dev); i++)
		leave(dom, dev[i]);
	took = (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) * 1e-9;
	printf("  1,000 devices in %.3f s\n", took);
	/*
	 * A sanitizer or a busy machine may take ten times as long, but quadratic cost exceeds this
	 * limit.
	 */
	TEST_ASSERT(took < 2, "%.3f s", took);
	return TEST_SUCCESS;
}

/* Devices with regions and interrupts */

static const struct vfio_mock_device_conf nic = {
	.region =
		{
			[VFIO_PCI_BAR0_REGION_INDEX] = {.size = 4 * PAGE, .mappable = true},
			[VFIO_PCI_BAR2_REGION_INDEX] = {.size = 32},
			[VFIO_PCI_ROM_REGION_INDEX] = {.size = 2 * PAGE, .read_only = true},
			[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = 256},
		},
	.irqs = {[VFIO_PCI_INTX_IRQ_INDEX] = 1, [VFIO_PCI_MSIX_IRQ_INDEX] = 3},
	.msix_bar = VFIO_PCI_BAR0_REGION_INDEX,
};

/** Call an ioctl on a device of the mock. */
static int
device_ioctl(const struct dm_iommu_dev *dev, unsigned long request, void *arg)
{
	return vfio_mock_ioctl(mock, dev->fd, request, (unsigned long)arg);
}

static int
check_device_info(const struct dm_iommu_dev *dev)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	struct vfio_region_info region = {
		.argsz = sizeof(region), .index = VFIO_PCI_CONFIG_REGION_INDEX};
	struct vfio_irq_info irq = {.argsz = sizeof(irq), .index = VFIO_PCI_MSIX_IRQ_INDEX};

	TEST_ASSERT_SUCCESS(device_ioctl(dev, VFIO_DEVICE_GET_INFO, &info), "information");
	TEST_ASSERT_EQUAL(info.flags, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET, "flags");
	TEST_ASSERT_EQUAL(info.num_regions, VFIO_PCI_NUM_REGIONS, "regions");
	TEST_ASSERT_SUCCESS(device_ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &region), "region");
	TEST_ASSERT_EQUAL(region.size, 256, "size");
	TEST_ASSERT_EQUAL(
		region.flags, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE, "flags");
	region.index = VFIO_PCI_ROM_REGION_INDEX;
	TEST_ASSERT_SUCCESS(device_ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &region), "region");
	TEST_ASSERT_EQUAL(region.flags, VFIO_REGION_INFO_FLAG_READ, "flags");
	region.index = VFIO_PCI_VGA_REGION_INDEX;
	TEST_ASSERT_EQUAL(device_ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &region), -EINVAL, "VGA");
	TEST_ASSERT_SUCCESS(device_ioctl(dev, VFIO_DEVICE_GET_IRQ_INFO, &irq), "interrupts");
	TEST_ASSERT_EQUAL(irq.count, 3, "vectors");
	TEST_ASSERT_EQUAL(vfio_mock_resets(mock, "nic0"), 0, "resets");
	TEST_ASSERT_SUCCESS(device_ioctl(dev, VFIO_DEVICE_RESET, NULL), "reset");
	TEST_ASSERT_EQUAL(vfio_mock_resets(mock, "nic0"), 1, "resets");
	info.argsz = 4;
	TEST_ASSERT_EQUAL(device_ioctl(dev, VFIO_DEVICE_GET_INFO, &info), -EINVAL, "argsz");
	return 0;
}

/** The region contains the MSI-X table, so it has a capability, and the answer is longer. */
static int
check_mapping(const struct dm_iommu_dev *dev)
{
	struct {
		struct vfio_region_info info;
		struct vfio_info_cap_header cap;
	} region = {.info = {.argsz = sizeof(region.info)}};
	volatile uint32_t *ours, *its = vfio_mock_region(mock, "nic0", 0);
	uint32_t word = 0x12345678;

	TEST_ASSERT_NOT_NULL(its, "the device's side");
	TEST_ASSERT_NULL(vfio_mock_region(mock, "nic0", VFIO_PCI_BAR1_REGION_INDEX), "no region");
	TEST_ASSERT_SUCCESS(device_ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &region), "region");
	TEST_ASSERT_EQUAL(region.info.argsz, sizeof(region), "room");
	TEST_ASSERT_SUCCESS(device_ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &region), "region");
	TEST_ASSERT_EQUAL(region.info.cap_offset, sizeof(region.info), "capability");
	TEST_ASSERT_EQUAL(region.cap.id, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, "capability");
	ours = mmap(NULL, region.info.size, PROT_READ | PROT_WRITE, MAP_SHARED, dev->fd,
		region.info.offset);
	TEST_ASSERT(ours != MAP_FAILED, "mmap: %s", strerror(errno));
	ours[1] = 0xcafe;
	TEST_ASSERT_EQUAL(its[1], 0xcafe, "the device does not see what its driver wrote");
	its[2] = 0xbeef;
	TEST_ASSERT_EQUAL(ours[2], 0xbeef, "the driver does not see what the device wrote");
	TEST_ASSERT_EQUAL(pwrite(dev->fd, &word, sizeof(word), region.info.offset + 12),
		sizeof(word), "pwrite");
	TEST_ASSERT_EQUAL(its[3], word, "the device does not see what was written");
	munmap((void *)(uintptr_t)ours, region.info.size);
	return 0;
}

/** VFIO_DEVICE_SET_IRQS with up to 4 eventfds. */
static int
set_irqs(const struct dm_iommu_dev *dev, uint32_t index, uint32_t flags, const int *fds,
	unsigned int n)
{
	_Alignas(struct vfio_irq_set) uint8_t buf[sizeof(struct vfio_irq_set) + 4 * sizeof(*fds)];
	struct vfio_irq_set *set = (void *)buf;

	*set = (struct vfio_irq_set){
		.argsz = sizeof(buf), .flags = flags, .index = index, .count = n};
	if (fds != NULL)
		memcpy(set->data, fds, n * sizeof(*fds));
	return device_ioctl(dev, VFIO_DEVICE_SET_IRQS, set);
}

#define ROUTE (VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD)
#define NONE (VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE)
#define UNMASK (VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE)

/** How often an eventfd was signalled. */
static uint64_t
signals(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static int
check_msix(const struct dm_iommu_dev *dev, const int *fds)
{
	const uint32_t msix = VFIO_PCI_MSIX_IRQ_INDEX;

	TEST_ASSERT_EQUAL(vfio_mock_interrupt(mock, "nic0", msix, 1), -ENOENT, "nobody listens");
	TEST_ASSERT_EQUAL(set_irqs(dev, msix, ROUTE, fds, 4), -EINVAL, "more vectors than it has");
	TEST_ASSERT_SUCCESS(set_irqs(dev, msix, ROUTE, fds, 3), "route");
	TEST_ASSERT_EQUAL(set_irqs(dev, VFIO_PCI_INTX_IRQ_INDEX, ROUTE, fds, 1), -EINVAL,
		"two kinds at once");
	TEST_ASSERT_SUCCESS(vfio_mock_interrupt(mock, "nic0", msix, 1), "interrupt");
	TEST_ASSERT_SUCCESS(vfio_mock_interrupt(mock, "nic0", msix, 1), "interrupt");
	TEST_ASSERT_EQUAL(signals(fds[0]), 0, "another vector");
	TEST_ASSERT_EQUAL(signals(fds[1]), 2, "the vector");
	TEST_ASSERT_EQUAL(vfio_mock_interrupt(mock, "nic0", msix, 3), -EINVAL, "no such vector");
	TEST_ASSERT_SUCCESS(set_irqs(dev, msix, NONE, NULL, 0), "none");
	TEST_ASSERT_EQUAL(vfio_mock_interrupt(mock, "nic0", msix, 1), -ENOENT, "nobody listens");
	return 0;
}

static int
check_intx(const struct dm_iommu_dev *dev, int fd)
{
	const uint32_t intx = VFIO_PCI_INTX_IRQ_INDEX;

	TEST_ASSERT_SUCCESS(set_irqs(dev, intx, ROUTE, &fd, 1), "route");
	TEST_ASSERT_SUCCESS(vfio_mock_interrupt(mock, "nic0", intx, 0), "interrupt");
	TEST_ASSERT_EQUAL(vfio_mock_interrupt(mock, "nic0", intx, 0), -EAGAIN, "it is not masked");
	TEST_ASSERT_EQUAL(signals(fd), 1, "signals");
	TEST_ASSERT_SUCCESS(set_irqs(dev, intx, UNMASK, NULL, 1), "unmask");
	TEST_ASSERT_EQUAL(signals(fd), 1, "the pending one is lost");
	/* The interrupt stays enabled: closing the device disables it. */
	return 0;
}

/** On the open backend. */
static int
check_device(void)
{
	unsigned int before = test_open_files(), i;
	struct dm_iommu_dev *dev;
	int fds[4], rc;

	TEST_ASSERT_SUCCESS(vfio_mock_describe_device(mock, "nic0", &nic), "describe");
	TEST_ASSERT_SUCCESS(join(dom, "nic0", &dev), "attach");
	TEST_ASSERT(dev->fd >= 0 && fcntl(dev->fd, F_GETFD) == FD_CLOEXEC, "no descriptor");
	TEST_ASSERT_EQUAL(vfio_mock_describe_device(mock, "nic0", &nic), -EBUSY, "it is open");
	for (i = 0; i < RTE_DIM(fds); i++)
		fds[i] = eventfd(0, EFD_NONBLOCK);
	rc = check_device_info(dev);
	rc = rc == 0 ? check_mapping(dev) : rc;
	rc = rc == 0 ? check_msix(dev, fds) : rc;
	rc = rc == 0 ? check_intx(dev, fds[3]) : rc;
	for (i = 0; i < RTE_DIM(fds); i++)
		close(fds[i]);
	leave(dom, dev);
	TEST_ASSERT_SUCCESS(rc, "the device");
	TEST_ASSERT_EQUAL(vfio_mock_interrupt(mock, "nic0", VFIO_PCI_INTX_IRQ_INDEX, 0), -ENOENT,
		"it is closed, and somebody listens");
	TEST_ASSERT_EQUAL(test_open_files(), before + 1, "descriptors are left, beside its memory");
	return TEST_SUCCESS;
}

static int
a_group_opens_a_device_with_regions(void)
{
	return check_device();
}

static int
a_character_device_has_the_same_regions(void)
{
	const struct vfio_mock_conf linux_6_12 = {.linux_version = VFIO_MOCK_LINUX(6, 12)};
	const struct vfio_mock_group_conf group = {0};
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_IOMMUFD};

	teardown();
	TEST_ASSERT_SUCCESS(vfio_mock_create(&linux_6_12, &mock), "create");
	vfio_mock_add_iommu(mock, NULL);
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, vfio_mock_add_group(mock, &group), "nic0",
				    -1, "vfio-pci"),
		"nic0");
	conf.kernel = vfio_mock_kernel(mock);
	TEST_ASSERT_SUCCESS(dm_iommu_iommufd_ops.open(&conf, &iommu), "open");
	TEST_ASSERT_SUCCESS(iommu->ops->domain_create(iommu, &dom), "domain");
	return check_device();
}

/* Many maps */

#define SLOTS 4096
#define STEPS 100000

/**
 * A random sequence of maps and unmaps of single pages. Every second page of the space is a slot.
 */
static int
random_history(bool *there)
{
	unsigned int i, slot, live = 0;
	uint64_t iova, done;
	int rc;

	for (i = 0; i < STEPS; i++) {
		slot = test_rand_max(SLOTS);
		iova = IOVA + slot * 2 * PAGE;
		/*
		 * First the number of maps grows, then it shrinks, so that chunks of the tables are
		 * split and joined.
		 */
		if (test_rand_max(100) < (i < STEPS / 2 ? 70u : 30u)) {
			rc = iommu->ops->map(dom, iova, memory, PAGE, DMAMAP_RW);
			TEST_ASSERT_EQUAL(rc, there[slot] ? -EEXIST : 0, "step %u: %d", i, rc);
			live += !there[slot];
			there[slot] = true;
		} else {
			TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, iova, PAGE, &done), "unmap");
			TEST_ASSERT_EQUAL(done, there[slot] ? PAGE : 0, "step %u", i);
			live -= there[slot];
			there[slot] = false;
		}
	}
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), (uint64_t)live * PAGE, "pages");
	for (slot = 0; slot < SLOTS; slot++)
		TEST_ASSERT_EQUAL(vfio_mock_dma_write(mock, "nic0", IOVA + slot * 2 * PAGE, "x", 1),
			there[slot] ? 0 : -EFAULT, "slot %u", slot);
	TEST_ASSERT_SUCCESS(iommu->ops->unmap(dom, 0, IOVA + SLOTS * 2 * PAGE, &done), "all");
	TEST_ASSERT_EQUAL(done, (uint64_t)live * PAGE, "all");
	return TEST_SUCCESS;
}

static int
tables_hold_any_number_of_maps(void)
{
	bool *there = calloc(SLOTS, sizeof(*there));
	struct dm_iommu_dev *dev;
	int rc;

	TEST_ASSERT_NOT_NULL(there, "memory");
	test_seed();
	TEST_ASSERT_SUCCESS(join(dom, "nic0", &dev), "attach");
	rc = random_history(there);
	leave(dom, dev);
	free(there);
	return rc;
}

/* Threads */

static void *
map_one_page(void *arg)
{
	*(int *)arg = map(IOVA, 0, 1, DMAMAP_RW);
	return NULL;
}

static void *
ask_mock(void *arg)
{
	*(uint64_t *)arg = vfio_mock_calls(mock, VFIO_MOCK_OPEN);
	return NULL;
}

/**
 * Make page faults of the memory's first page wait for an answer.
 * @return the file; -1: not allowed here.
 */
static int
catch_faults(void)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {
		.range = {(uintptr_t)memory, PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};

	if (fd < 0)
		return -1;
	if (ioctl(fd, UFFDIO_API, &api) < 0 || madvise(memory, PAGE, MADV_DONTNEED) < 0 ||
		ioctl(fd, UFFDIO_REGISTER, &reg) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
a_map_waits_for_memory_without_the_lock(void)
{
	struct uffdio_zeropage zero = {.range = {(uintptr_t)memory, PAGE}};
	struct timespec until;
	struct dm_iommu_dev *dev;
	pthread_t mapper, other;
	struct uffd_msg msg;
	int fd, rc = -1, answered;
	uint64_t opened;

	TEST_ASSERT_SUCCESS(join(dom, "nic0", &dev), "attach");
	fd = catch_faults();
	if (fd < 0) {
		leave(dom, dev);
		return test_skip("page faults cannot be caught: %s", strerror(errno));
	}
	TEST_ASSERT_SUCCESS(pthread_create(&mapper, NULL, map_one_page, &rc), "thread");
	TEST_ASSERT_EQUAL(read(fd, &msg, sizeof(msg)), sizeof(msg), "no fault");
	/* The map is in progress now. Other calls do not wait for it. */
	TEST_ASSERT_SUCCESS(pthread_create(&other, NULL, ask_mock, &opened), "thread");
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	answered = pthread_timedjoin_np(other, NULL, &until);
	TEST_ASSERT_SUCCESS(ioctl(fd, UFFDIO_ZEROPAGE, &zero), "answer");
	pthread_join(mapper, NULL);
	if (answered != 0)
		pthread_join(other, NULL);
	close(fd);
	TEST_ASSERT_SUCCESS(answered, "a call waits until another's memory is there");
	TEST_ASSERT_SUCCESS(rc, "map");
	leave(dom, dev);
	return TEST_SUCCESS;
}

#define MAPPERS 4
#define ROUNDS 2000

static void *
map_and_unmap(void *arg)
{
	rte_iova_t iova = IOVA + *(const unsigned int *)arg * 16 * PAGE;
	uint64_t done;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++)
		if (iommu->ops->map(dom, iova, memory, 4 * PAGE, DMAMAP_RW) < 0 ||
			iommu->ops->unmap(dom, iova, 4 * PAGE, &done) < 0 || done != 4 * PAGE)
			return arg;
	return NULL;
}

static int
threads_map_on_one_domain_at_once(void)
{
	unsigned int which[MAPPERS], i;
	pthread_t thread[MAPPERS];
	struct dm_iommu_dev *dev;
	void *failed = NULL, *rc;

	TEST_ASSERT_SUCCESS(join(dom, "nic0", &dev), "attach");
	for (i = 0; i < MAPPERS; i++) {
		which[i] = i;
		TEST_ASSERT_SUCCESS(
			pthread_create(&thread[i], NULL, map_and_unmap, &which[i]), "thread");
	}
	for (i = 0; i < MAPPERS; i++) {
		pthread_join(thread[i], &rc);
		failed = failed != NULL ? failed : rc;
	}
	TEST_ASSERT_NULL(failed, "a map or an unmap failed");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_MAP), MAPPERS * ROUNDS, "calls");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "pinned");
	leave(dom, dev);
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
	{"destroying a mock in use names what is open", destroy_reports_what_is_open},
	{"open devices cannot be removed or bound", open_devices_cannot_go},
	{"bad descriptions are refused", bad_descriptions_are_refused},
	{"sysfs follows the machine", sysfs_follows_the_machine},
	{"files cannot be taken for descriptors", files_cannot_be_taken_for_descriptors},
	{"a thousand devices are attached in no time", a_thousand_devices_are_attached_in_no_time},
	{"a group opens a device with regions", a_group_opens_a_device_with_regions},
	{"a character device has the same regions", a_character_device_has_the_same_regions},
	{"tables hold any number of maps", tables_hold_any_number_of_maps},
	{"a map waits for memory without the lock", a_map_waits_for_memory_without_the_lock},
	{"threads map on one domain at once", threads_map_on_one_domain_at_once},
};

REGISTER_TEST_SUITE(vfio_mock_suite) = {
	.name = "vfio_mock",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
