/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the type1 backend, on a mock kernel of which cases replace single answers.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <rte_common.h>

#include "dm_iommu.h"
#include "dm_sysfs_dev.h"
#include "odd_kernel.h"
#include "test.h"

#define OPS (&dm_iommu_type1_ops)
#define NIC "0000:01:00.0" /* group 0, alone with its bridge */
#define TWIN_A "0000:02:00.0" /* group 1 */
#define TWIN_B "0000:02:00.1" /* group 1 */
#define UUID "2ab74924-c335-45f4-9b16-8569e5b08258"

#define MSI                                                                                        \
	{                                                                                          \
		{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI                                      \
	}
/** Maximum length of an answer of VFIO_IOMMU_GET_INFO. */
#define ANSWER_MAX 4096

static struct dm_iommu *iommu;
static struct vfio_mock *mock;
static struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1};

/** Replaced answers of the kernel, and recorded requests. A field of 0: as the mock does. */
static struct {
	int version; /**< answer of VFIO_GET_API_VERSION */
	bool no_type1v2;
	bool not_viable;
	bool answers; /**< GET_INFO returns `answer` */
	uint8_t answer[ANSWER_MAX]; /**< the answer, including the kernel's argsz */
	uint32_t answer_len;
	uint32_t argsz_grows; /**< each call reports that so many more bytes are needed */

	char device_name[128]; /**< the last name of a GET_DEVICE_FD */
	struct vfio_iommu_type1_dma_map map;
} odd;

/** As Linux: a small argsz is no error; the answer then has no capabilities. */
static int
get_info(uint32_t *argsz)
{
	uint32_t room = *argsz, said;
	const uint32_t no_caps = 0;

	odd.answer_len += odd.argsz_grows;
	memcpy(argsz, odd.answer, RTE_MIN(room, (uint32_t)ANSWER_MAX));
	said = odd.argsz_grows > 0 ? odd.answer_len : *argsz;
	*argsz = said;
	if (room < said)
		memcpy(RTE_PTR_ADD(argsz, offsetof(struct vfio_iommu_type1_info, cap_offset)),
			&no_caps, sizeof(no_caps));
	return 0;
}

static int
odd_ioctl(int fd, unsigned long request, uintptr_t param)
{
	int rc;

	if (request == VFIO_IOMMU_GET_INFO && odd.answers)
		return get_info((uint32_t *)param);
	if (request == VFIO_GROUP_GET_DEVICE_FD)
		snprintf(odd.device_name, sizeof(odd.device_name), "%s", (const char *)param);
	if (request == VFIO_IOMMU_MAP_DMA)
		odd.map = *(const struct vfio_iommu_type1_dma_map *)param;
	rc = odd_kernel_pass(fd, request, param);
	if (request == VFIO_GET_API_VERSION && rc >= 0)
		return odd.version;
	if (request == VFIO_CHECK_EXTENSION && param == VFIO_TYPE1v2_IOMMU && odd.no_type1v2)
		return 0;
	if (request == VFIO_GROUP_GET_STATUS && odd.not_viable)
		((struct vfio_group_status *)param)->flags = 0;
	return rc;
}

static int
add_device(int group, const char *name, const char *driver)
{
	return vfio_mock_add_device(mock, group, name, 1, driver);
}

/** Group 0 has NIC and a bridge, group 1 the twins. */
static int
add_devices(void)
{
	static const struct vfio_mock_resv of_nic[] = {MSI,
		{{0x7d800000, 0x7fffffff}, DMAMAP_RESERVED_RELAXABLE},
		{{0xff0000, 0xffffff}, DMAMAP_RESERVED_DIRECT},
		{{0xfd00000000, 0xffffffffff}, DMAMAP_RESERVED_BUS}};
	static const struct vfio_mock_resv of_twins[] = {
		MSI, {{0xffffffffffff0000, UINT64_MAX}, DMAMAP_RESERVED_BUS}};
	struct vfio_mock_group_conf nic = {.n_resv = RTE_DIM(of_nic), .resv = of_nic};
	struct vfio_mock_group_conf twins = {.n_resv = RTE_DIM(of_twins), .resv = of_twins};
	static const struct vfio_mock_iommu_conf coherent = {.enforces_coherency = true};

	nic.iommu = twins.iommu = vfio_mock_add_iommu(mock, &coherent);
	TEST_ASSERT_EQUAL(vfio_mock_add_group(mock, &nic), 0, "group");
	TEST_ASSERT_EQUAL(vfio_mock_add_group(mock, &twins), 1, "group");
	TEST_ASSERT_SUCCESS(add_device(0, NIC, "vfio-pci"), "device");
	TEST_ASSERT_SUCCESS(add_device(0, "0000:00:02.0", "pcieport"), "device");
	TEST_ASSERT_SUCCESS(add_device(1, TWIN_A, "vfio-pci"), "device");
	TEST_ASSERT_SUCCESS(add_device(1, TWIN_B, "mlx5_vfio_pci"), "device");
	return 0;
}

static int
begin(void)
{
	const struct vfio_mock_conf machine = {.no_memory = true};

	memset(&odd, 0, sizeof(odd));
	TEST_ASSERT_SUCCESS(vfio_mock_create(&machine, &mock), "mock");
	odd_kernel_begin(mock);
	odd_kernel.ioctl = odd_ioctl;
	conf.kernel = &odd_kernel.table;
	return 0;
}

static int
setup(void)
{
	iommu = NULL;
	TEST_ASSERT_SUCCESS(begin(), "begin");
	TEST_ASSERT_SUCCESS(add_devices(), "devices");
	TEST_ASSERT_SUCCESS(OPS->open(&conf, &iommu), "open");
	return TEST_SUCCESS;
}

static void
teardown(void)
{
	if (iommu != NULL)
		OPS->close(iommu);
	if (vfio_mock_destroy(mock) < 0)
		printf("  something is left open in the mock\n");
}

static int
reads_names(void)
{
	const struct {
		const char *text, *name, *token;
	} good[] = {
		{NIC, NIC, ""},
		{"01:00.0", NIC, ""},
		{"10000:e1:00.7", "10000:e1:00.7", ""},
		{NIC " vf_token=" UUID, NIC, UUID},
		/* Devices of other buses: platform devices, mediated devices. */
		{"fd000000.dma", "fd000000.dma", ""},
		{UUID, UUID, ""},
		{"eth0", "eth0", ""},
	};
	const char *const bad[] = {"", ".", "..", "../" NIC, "a/b", NIC " vf_token=12",
		NIC " iommu=1", NIC " vf_token=" UUID "0",
		"0000:01:00.00000000000000000000000000000000000000000000000000000000000000000"};
	struct dm_dev_name name;
	unsigned int i;

	for (i = 0; i < RTE_DIM(good); i++) {
		TEST_ASSERT_SUCCESS(dm_dev_name_parse(good[i].text, &name), "%s", good[i].text);
		TEST_ASSERT(
			strcmp(name.name, good[i].name) == 0, "%s: %s", good[i].text, name.name);
		TEST_ASSERT(strcmp(name.vf_token, good[i].token) == 0, "%s: %s", good[i].text,
			name.vf_token);
	}
	for (i = 0; i < RTE_DIM(bad); i++)
		TEST_ASSERT_EQUAL(dm_dev_name_parse(bad[i], &name), -EINVAL, "%s", bad[i]);
	return TEST_SUCCESS;
}

static int
looks_a_device_up(void)
{
	static const struct dm_iommu_resv want[] = {
		{{0xff0000, 0xffffff}, DMAMAP_RESERVED_DIRECT},
		{{0x7d800000, 0x7fffffff}, DMAMAP_RESERVED_RELAXABLE},
		{{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI},
		{{0xfd00000000, 0xffffffffff}, DMAMAP_RESERVED_BUS},
	};
	struct dm_iommu_dev *dev;
	unsigned int i;

	TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, "01:00.0", &dev), "dev_get");
	TEST_ASSERT(strcmp(dev->name, NIC) == 0, "%s", dev->name);
	TEST_ASSERT_EQUAL(dev->group, 0, "%d", dev->group);
	TEST_ASSERT_EQUAL(dev->node, 1, "%d", dev->node);
	TEST_ASSERT_EQUAL(dev->fd, -1, "%d", dev->fd);
	TEST_ASSERT_EQUAL(dev->n_resv, RTE_DIM(want), "%u", dev->n_resv);
	for (i = 0; i < RTE_DIM(want); i++)
		TEST_ASSERT(dev->resv[i].range.start == want[i].range.start &&
				dev->resv[i].range.last == want[i].range.last &&
				dev->resv[i].type == want[i].type,
			"range %u", i);
	OPS->dev_put(dev);
	return TEST_SUCCESS;
}

static int
lists_reserved_ranges_of_all_groups_once(void)
{
	struct dm_iommu_resv *resv;
	unsigned int n;

	TEST_ASSERT_SUCCESS(OPS->host_reserved(&conf, &resv, &n), "host_reserved");
	TEST_ASSERT_EQUAL(n, 5, "%u", n);
	TEST_ASSERT_EQUAL(resv[0].range.start, 0xff0000, "not sorted");
	TEST_ASSERT_EQUAL(resv[4].range.last, UINT64_MAX, "not sorted");
	free(resv);
	return TEST_SUCCESS;
}

static int
says_why_a_device_cannot_be_had(void)
{
	static const struct {
		const char *name;
		int rc;
		const char *log;
	} cases[] = {
		{"0000:09:00.0", -ENODEV, "0000:09:00.0: no such device on any bus"},
		{"eth0", -ENODEV, "eth0: no such device on any bus"},
		{"0000:03:00.0", -ENODEV, "0000:03:00.0: not behind an IOMMU"},
		{"0000:04:00.0", -EBUSY,
			"0000:04:00.0: held by driver e1000e; bind it: "
			"gantry-bind vfio-pci 0000:04:00.0"},
		{"0000:04:00.1", -EBUSY,
			"0000:04:00.1: held by no driver; bind it: "
			"gantry-bind vfio-pci 0000:04:00.1"},
		{"0000:06:00.0", -ENODEV, "VFIO holds it in noiommu mode"},
	};
	const struct vfio_mock_group_conf without = {.iommu = VFIO_MOCK_NOIOMMU}, with = {0};
	struct dm_iommu_dev *dev;
	unsigned int i;
	int rc;

	TEST_ASSERT_EQUAL(vfio_mock_add_group(mock, &without), 2, "group");
	TEST_ASSERT_EQUAL(vfio_mock_add_group(mock, &with), 3, "group");
	add_device(2, "0000:03:00.0", NULL);
	add_device(3, "0000:04:00.0", "e1000e");
	add_device(3, "0000:04:00.1", NULL);
	add_device(3, "0000:04:00.2", "vfio-pci");
	add_device(vfio_mock_add_group(mock, &without), "0000:06:00.0", "vfio-pci");
	for (i = 0; i < RTE_DIM(cases); i++) {
		test_log_begin();
		rc = OPS->dev_get(iommu, cases[i].name, &dev);
		TEST_ASSERT(test_logged(cases[i].log), "%s", cases[i].name);
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "%s: %d", cases[i].name, rc);
	}
	return TEST_SUCCESS;
}

/**
 * Only the kernel knows which drivers do no DMA for the host (driver_managed_dma). A group member
 * with a driver that is unknown here does not block an attach. It is named only if the kernel
 * refuses.
 */
static int
lets_the_kernel_decide_whether_a_group_is_viable(void)
{
	static const struct {
		const char *driver;
		int rc;
	} others[] = {{"e1000e", -EPERM}, {"fsl_mc_dprc", 0}, {"pcieport", 0}, {NULL, 0}};
	const struct vfio_mock_group_conf with = {0};
	int group = vfio_mock_add_group(mock, &with), rc;
	struct dm_iommu_domain *dom;
	struct dm_iommu_dev *dev;
	unsigned int i;

	add_device(group, "0000:04:00.0", NULL);
	add_device(group, "0000:04:00.2", "vfio-pci");
	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	for (i = 0; i < RTE_DIM(others); i++) {
		TEST_ASSERT_SUCCESS(vfio_mock_bind(mock, "0000:04:00.0", others[i].driver), "bind");
		TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, "0000:04:00.2", &dev), "dev_get %u", i);
		test_log_begin();
		rc = OPS->attach(dom, dev);
		TEST_ASSERT(rc == 0
				? test_log_end()[0] == '\0'
				: test_logged(
					  "0000:04:00.2: its group 2 is not viable, since drivers of this host "
					  "hold other members: 0000:04:00.0 (e1000e); bind"),
			"log %u", i);
		TEST_ASSERT_EQUAL(rc, others[i].rc, "driver %u: %d", i, rc);
		if (rc == 0)
			OPS->detach(dom, dev);
		OPS->dev_put(dev);
	}
	OPS->domain_destroy(dom);
	return TEST_SUCCESS;
}

static int
says_that_the_iommu_is_off(void)
{
	const struct vfio_mock_group_conf without = {.iommu = VFIO_MOCK_NOIOMMU};
	struct dm_iommu_dev *dev;
	int rc;

	teardown();
	iommu = NULL;
	TEST_ASSERT_SUCCESS(begin(), "begin");
	add_device(vfio_mock_add_group(mock, &without), NIC, NULL);
	TEST_ASSERT_SUCCESS(OPS->open(&conf, &iommu), "open");
	test_log_begin();
	rc = OPS->dev_get(iommu, NIC, &dev);
	TEST_ASSERT(test_logged("intel_iommu=on"), "log");
	TEST_ASSERT_EQUAL(rc, -ENODEV, "%d", rc);
	return TEST_SUCCESS;
}

/**
 * Look a device up while the nth access to sysfs fails.
 * @return the look-up's result; 1: there were fewer accesses.
 */
static int
look_up_with_failure(const char *name, unsigned int nth, int err)
{
	struct dm_iommu_dev *dev;
	int rc, failed;

	vfio_mock_fail(mock, 1u << VFIO_MOCK_LOOKUP, nth, err);
	rc = OPS->dev_get(iommu, name, &dev);
	failed = vfio_mock_failed(mock);
	vfio_mock_fail(mock, 0, 0, 0);
	if (rc == 0)
		OPS->dev_put(dev);
	return failed < 0 ? 1 : rc;
}

/**
 * A sysfs that cannot be read does not count as a missing device, nor as a group without other
 * members.
 */
static int
names_a_lookup_that_fails(void)
{
	const char *log;
	unsigned int nth;
	int rc;

	for (nth = 1;; nth++) {
		test_log_begin();
		rc = look_up_with_failure(NIC, nth, EIO);
		log = test_log_end();
		if (rc == 1)
			break;
		/* The NUMA node is the one attribute that a device may lack. */
		if (rc == 0)
			continue;
		TEST_ASSERT(
			strstr(log, NIC ": cannot look up ") != NULL, "access %u: %s", nth, log);
		TEST_ASSERT_EQUAL(rc, -EIO, "access %u: %d", nth, rc);
	}
	/*
	 * Accesses: the device, its group, the group's name, the driver, members, the drivers of
	 * two, ranges, the node.
	 */
	TEST_ASSERT_EQUAL(nth, 10, "%u accesses", nth - 1);
	return TEST_SUCCESS;
}

static int
finds_devices_of_other_buses(void)
{
	static const char *const names[] = {"fd000000.dma", UUID, "0000:01:00"};
	struct dm_iommu_dev *dev;
	unsigned int i;

	for (i = 0; i < RTE_DIM(names); i++) {
		TEST_ASSERT_SUCCESS(add_device(1, names[i], "vfio-platform"), "device");
		TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, names[i], &dev), "%s", names[i]);
		TEST_ASSERT(strcmp(dev->name, names[i]) == 0, "%s", dev->name);
		TEST_ASSERT_EQUAL(dev->group, 1, "%d", dev->group);
		TEST_ASSERT_EQUAL(dev->node, 1, "%d", dev->node);
		OPS->dev_put(dev);
	}
	return TEST_SUCCESS;
}

static int
says_what_is_missing_when_opened(void)
{
	static const struct {
		int no_file_errno, version;
		bool no_type1v2;
		int rc;
		const char *log;
	} cases[] = {
		{ENOENT, 0, false, -ENOENT,
			"there is no /dev/vfio/vfio: load the driver: modprobe"},
		{ENODEV, 0, false, -ENOENT,
			"there is no /dev/vfio/vfio: load the driver: modprobe"},
		{EACCES, 0, false, -EACCES, "no permission for /dev/vfio/vfio"},
		{EMFILE, 0, false, -EMFILE, "cannot open /dev/vfio/vfio: Too many"},
		{0, 1, false, -ENODEV, "VFIO API version 1"},
		{0, 0, true, -ENODEV, "no type1 version 2"},
	};
	struct dm_iommu *other;
	unsigned int i;
	int rc;

	for (i = 0; i < RTE_DIM(cases); i++) {
		odd_kernel.no_file = cases[i].no_file_errno != 0 ? "/dev/vfio/vfio" : NULL;
		odd_kernel.no_file_errno = cases[i].no_file_errno;
		odd.version = cases[i].version;
		odd.no_type1v2 = cases[i].no_type1v2;
		test_log_begin();
		rc = OPS->open(&conf, &other);
		TEST_ASSERT(test_logged(cases[i].log), "case %u", i);
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "case %u: %d", i, rc);
		TEST_ASSERT_EQUAL(odd_kernel.open_files, 0, "case %u left a file open", i);
	}
	return TEST_SUCCESS;
}

/** Look up and attach. @return NULL: failed */
static struct dm_iommu_dev *
attach(struct dm_iommu_domain *dom, const char *name)
{
	struct dm_iommu_dev *dev;

	if (OPS->dev_get(iommu, name, &dev) < 0)
		return NULL;
	if (OPS->attach(dom, dev) == 0)
		return dev;
	OPS->dev_put(dev);
	return NULL;
}

static void
detach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	OPS->detach(dom, dev);
	OPS->dev_put(dev);
}

static int
shares_a_group_between_its_devices(void)
{
	struct dm_iommu_dev *a, *b, *nic;
	struct dm_iommu_domain *dom;

	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	a = attach(dom, TWIN_A);
	b = attach(dom, TWIN_B);
	nic = attach(dom, NIC);
	TEST_ASSERT(a != NULL && b != NULL && nic != NULL, "attach");
	/* Open files: a container, two groups, three devices. */
	TEST_ASSERT_EQUAL(odd_kernel.open_files, 6, "%u files", odd_kernel.open_files);
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_SET_IOMMU), 1, "calls");
	TEST_ASSERT(a->fd >= 0 && a->fd != b->fd, "files of devices");
	detach(dom, a);
	TEST_ASSERT_EQUAL(odd_kernel.open_files, 5, "%u files", odd_kernel.open_files);
	detach(dom, b);
	TEST_ASSERT_EQUAL(odd_kernel.open_files, 3, "%u files", odd_kernel.open_files);
	detach(dom, nic);
	TEST_ASSERT_EQUAL(odd_kernel.open_files, 1, "%u files", odd_kernel.open_files);

	/* The kernel dropped the container's type with the last group. */
	nic = attach(dom, NIC);
	TEST_ASSERT_NOT_NULL(nic, "attach again");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_SET_IOMMU), 2, "calls");
	detach(dom, nic);
	OPS->domain_destroy(dom);
	TEST_ASSERT_EQUAL(odd_kernel.open_files, 0, "%u files", odd_kernel.open_files);
	return TEST_SUCCESS;
}

static int
names_the_group_that_is_in_use(void)
{
	struct dm_iommu_domain *dom, *other_dom;
	struct dm_iommu_dev *a, *b;
	struct dm_iommu *other;
	int rc;

	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	a = attach(dom, TWIN_A);
	TEST_ASSERT_NOT_NULL(a, "attach");

	TEST_ASSERT_SUCCESS(OPS->open(&conf, &other), "open");
	TEST_ASSERT_SUCCESS(OPS->domain_create(other, &other_dom), "domain_create");
	TEST_ASSERT_SUCCESS(OPS->dev_get(other, TWIN_B, &b), "dev_get");
	test_log_begin();
	rc = OPS->attach(other_dom, b);
	TEST_ASSERT(test_logged(TWIN_B ": its group 1 is in use by another process or container: "
				       "see fuser -v /dev/vfio/1"),
		"log");
	TEST_ASSERT_EQUAL(rc, -EBUSY, "%d", rc);

	detach(dom, a);
	TEST_ASSERT_SUCCESS(OPS->attach(other_dom, b), "attach once it is free");
	detach(other_dom, b);
	OPS->domain_destroy(dom);
	OPS->domain_destroy(other_dom);
	OPS->close(other);
	return TEST_SUCCESS;
}

static int
explains_what_the_kernel_refuses(void)
{
	static const struct {
		int set_container, set_iommu, get_device;
		bool not_viable;
		int rc;
		const char *log;
	} cases[] = {
		{0, EPERM, 0, false, -EPERM, "interrupt remapping"},
		{EPERM, 0, 0, false, -EPERM, "allow_unsafe_interrupts"},
		{0, 0, EACCES, false, -EACCES, NIC ": missing VF token: attach it as"},
		{0, 0, ENODEV, false, -ENODEV, NIC ": VFIO cannot open it"},
		{0, 0, 0, true, -EPERM, NIC ": its group 0 is not viable: see"},
	};
	struct dm_iommu_domain *dom;
	struct dm_iommu_dev *dev;
	unsigned int i;
	int rc;

	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, NIC, &dev), "dev_get");
	for (i = 0; i < RTE_DIM(cases); i++) {
		vfio_mock_fail_all(mock, 1u << VFIO_MOCK_SET_CONTAINER, cases[i].set_container);
		vfio_mock_fail_all(mock, 1u << VFIO_MOCK_SET_IOMMU, cases[i].set_iommu);
		vfio_mock_fail_all(mock, 1u << VFIO_MOCK_GET_DEVICE_FD, cases[i].get_device);
		odd.not_viable = cases[i].not_viable;
		test_log_begin();
		rc = OPS->attach(dom, dev);
		TEST_ASSERT(test_logged(cases[i].log), "case %u", i);
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "case %u: %d", i, rc);
		TEST_ASSERT_EQUAL(odd_kernel.open_files, 1, "case %u left a file open", i);
	}
	OPS->dev_put(dev);
	OPS->domain_destroy(dom);
	return TEST_SUCCESS;
}

static int
passes_the_token_of_a_vf(void)
{
	struct dm_iommu_domain *dom;
	struct dm_iommu_dev *dev;

	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	dev = attach(dom, "01:00.0 vf_token=" UUID);
	TEST_ASSERT_NOT_NULL(dev, "attach");
	TEST_ASSERT(strcmp(odd.device_name, NIC " vf_token=" UUID) == 0, "%s", odd.device_name);
	TEST_ASSERT(strcmp(dev->name, NIC) == 0, "%s", dev->name);
	detach(dom, dev);
	OPS->domain_destroy(dom);
	return TEST_SUCCESS;
}

/** Attach with each call failing in turn: nothing is left behind, and a retry succeeds. */
static int
undoes_a_failed_attach(void)
{
	struct dm_iommu_domain *dom;
	struct dm_iommu_dev *dev;
	unsigned int n;
	int rc;

	TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, NIC, &dev), "dev_get");
	for (n = 1;; n++) {
		TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
		vfio_mock_fail(mock, VFIO_MOCK_ANY, n, EIO);
		test_log_begin();
		rc = OPS->attach(dom, dev);
		test_log_end();
		vfio_mock_fail(mock, 0, 0, 0);
		if (rc == 0)
			break;
		TEST_ASSERT_EQUAL(rc, -EIO, "call %u: %d", n, rc);
		TEST_ASSERT_EQUAL(odd_kernel.open_files, 1, "call %u left a file open", n);
		TEST_ASSERT_EQUAL(dev->fd, -1, "call %u left a device", n);
		TEST_ASSERT_SUCCESS(OPS->attach(dom, dev), "retry after call %u", n);
		OPS->detach(dom, dev);
		OPS->domain_destroy(dom);
		TEST_ASSERT_EQUAL(odd_kernel.open_files, 0, "call %u", n);
	}
	/* Calls: open of the group, its status, SET_CONTAINER, SET_IOMMU, GET_DEVICE_FD. */
	TEST_ASSERT_EQUAL(n, 6, "%u calls", n);
	OPS->detach(dom, dev);
	OPS->dev_put(dev);
	OPS->domain_destroy(dom);
	return TEST_SUCCESS;
}

/* Answers of VFIO_IOMMU_GET_INFO */

#define HEAD sizeof(struct vfio_iommu_type1_info)

static void
put(uint32_t at, const void *part, size_t len)
{
	memcpy(odd.answer + at, part, len);
}

static void
put_head(uint32_t argsz, uint32_t flags, uint32_t cap_offset)
{
	const struct vfio_iommu_type1_info head = {.argsz = argsz,
		.flags = flags,
		.iova_pgsizes = 0x40201000,
		.cap_offset = cap_offset};

	odd.answers = true;
	memset(odd.answer, 0, sizeof(odd.answer));
	put(0, &head, sizeof(head));
}

static void
put_ranges(uint32_t at, uint32_t next, uint32_t nr, const struct vfio_iova_range *ranges,
	unsigned int n)
{
	const struct vfio_iommu_type1_info_cap_iova_range cap = {
		{VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, next}, nr, 0};

	put(at, &cap, sizeof(cap));
	put(at + sizeof(cap), ranges, n * sizeof(*ranges));
}

static void
put_entries(uint32_t at, uint32_t next, uint32_t avail)
{
	const struct vfio_iommu_type1_info_dma_avail cap = {
		{VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1, next}, avail};

	put(at, &cap, sizeof(cap));
}

#define BOTH (VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS)
/* Entries first, then ranges: the order of capabilities is not defined. */
#define AT_ENTRIES HEAD
#define AT_RANGES (HEAD + sizeof(struct vfio_iommu_type1_info_dma_avail))
#define WHOLE                                                                                      \
	(AT_RANGES + sizeof(struct vfio_iommu_type1_info_cap_iova_range) +                         \
		2 * sizeof(struct vfio_iova_range))

static const struct vfio_iova_range two[] = {{0, 0xfedfffff}, {0xfef00000, 0xffffffffffffffff}};

static void
put_sound(void)
{
	put_head(WHOLE, BOTH, AT_ENTRIES);
	put_entries(AT_ENTRIES, AT_RANGES, 65530);
	put_ranges(AT_RANGES, 0, 2, two, 2);
}

static struct dm_iommu_domain *info_dom;
static struct dm_iommu_dev *info_dev;

static int
begin_info(void)
{
	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &info_dom), "domain_create");
	info_dev = attach(info_dom, NIC);
	TEST_ASSERT_NOT_NULL(info_dev, "attach");
	return TEST_SUCCESS;
}

static void
end_info(void)
{
	detach(info_dom, info_dev);
	OPS->domain_destroy(info_dom);
}

static int
reads_what_a_domain_can_do(void)
{
	struct dm_iommu_info info;

	TEST_ASSERT_SUCCESS(begin_info(), "begin");
	put_sound();
	TEST_ASSERT_SUCCESS(OPS->info(info_dom, &info), "info");
	TEST_ASSERT_EQUAL(info.page_sizes, 0x40201000, "page sizes");
	TEST_ASSERT_EQUAL(info.entries_left, 65530, "entries");
	TEST_ASSERT(info.coherent, "coherent");
	TEST_ASSERT_EQUAL(info.n_ranges, 2, "%u ranges", info.n_ranges);
	TEST_ASSERT_EQUAL(info.ranges[0].last, 0xfedfffff, "range 0");
	TEST_ASSERT_EQUAL(info.ranges[1].start, 0xfef00000, "range 1");
	TEST_ASSERT_EQUAL(info.ranges[1].last, UINT64_MAX, "range 1");
	free(info.ranges);
	end_info();
	return TEST_SUCCESS;
}

static int
assumes_what_an_old_kernel_does_not_say(void)
{
	struct dm_iommu_info info;

	TEST_ASSERT_SUCCESS(begin_info(), "begin");
	put_head(HEAD, 0, 0);
	TEST_ASSERT_SUCCESS(OPS->info(info_dom, &info), "info");
	TEST_ASSERT_EQUAL(info.page_sizes, (uint64_t)sysconf(_SC_PAGESIZE), "page sizes");
	TEST_ASSERT_EQUAL(info.entries_left, UINT64_MAX, "entries");
	TEST_ASSERT_EQUAL(info.n_ranges, 1, "%u ranges", info.n_ranges);
	TEST_ASSERT_EQUAL(info.ranges[0].last, (UINT64_C(1) << 39) - 1, "range 0");
	free(info.ranges);
	end_info();
	return TEST_SUCCESS;
}

static void
far_first(void)
{
	put_head(WHOLE, BOTH, WHOLE - 4);
}

static void
inside_head(void)
{
	put_head(WHOLE, BOTH, 8);
}

static void
far_next(void)
{
	put_sound();
	put_entries(AT_ENTRIES, 0xfffffff0, 1);
}

static void
circle(void)
{
	put_sound();
	put_entries(AT_ENTRIES, AT_ENTRIES, 1);
}

static void
circle_of_two(void)
{
	put_sound();
	put_entries(AT_ENTRIES, AT_RANGES, 1);
	put_ranges(AT_RANGES, AT_ENTRIES, 2, two, 2);
	/* Capability ids that are ignored. */
	odd.answer[AT_ENTRIES] = odd.answer[AT_RANGES] = 99;
}

static void
too_many_ranges(void)
{
	put_sound();
	put_ranges(AT_RANGES, 0, 3, two, 2);
}

static void
very_many_ranges(void)
{
	put_sound();
	put_ranges(AT_RANGES, 0, UINT32_MAX, two, 2);
}

static void
backward_range(void)
{
	const struct vfio_iova_range bad[] = {{0x2000, 0x1fff}, {0x3000, 0x3fff}};

	put_sound();
	put_ranges(AT_RANGES, 0, 2, bad, 2);
}

static void
overlapping_ranges(void)
{
	const struct vfio_iova_range bad[] = {{0, 0x1fff}, {0x1fff, 0x3fff}};

	put_sound();
	put_ranges(AT_RANGES, 0, 2, bad, 2);
}

static void
cut_entries(void)
{
	put_sound();
	put_head(HEAD + sizeof(struct vfio_info_cap_header), BOTH, AT_ENTRIES);
	put_entries(AT_ENTRIES, 0, 1);
}

static void
tiny_argsz(void)
{
	put_head(4, BOTH, 0);
}

static void
huge_argsz(void)
{
	put_head(UINT32_MAX, BOTH, 0);
}

static void
growing_argsz(void)
{
	put_sound();
	odd.answer_len = WHOLE;
	odd.argsz_grows = 64;
}

static int
refuses_a_malformed_answer(void)
{
	static const struct {
		const char *what;
		void (*put)(void);
	} cases[] = {
		{"first capability outside", far_first},
		{"first capability inside the head", inside_head},
		{"next capability outside", far_next},
		{"capability that follows itself", circle},
		{"circle of two", circle_of_two},
		{"one range too many", too_many_ranges},
		{"very many ranges", very_many_ranges},
		{"range that ends before it starts", backward_range},
		{"ranges that overlap", overlapping_ranges},
		{"count of entries cut off", cut_entries},
		{"tiny argsz", tiny_argsz},
		{"huge argsz", huge_argsz},
		{"argsz that grows without end", growing_argsz},
	};
	struct dm_iommu_info info;
	unsigned int i;
	int rc;

	TEST_ASSERT_SUCCESS(begin_info(), "begin");
	for (i = 0; i < RTE_DIM(cases); i++) {
		odd.argsz_grows = 0;
		cases[i].put();
		test_log_begin();
		rc = OPS->info(info_dom, &info);
		TEST_ASSERT(
			test_logged("VFIO_IOMMU_GET_INFO: malformed answer"), "%s", cases[i].what);
		TEST_ASSERT_EQUAL(rc, -EPROTO, "%s: %d", cases[i].what, rc);
		TEST_ASSERT_NULL(info.ranges, "%s", cases[i].what);
	}
	end_info();
	return TEST_SUCCESS;
}

static int
maps_and_reports_what_was_unmapped(void)
{
	char *va = (char *)UINT64_C(0x7f0000000000);
	uint64_t done;

	TEST_ASSERT_SUCCESS(begin_info(), "begin");
	TEST_ASSERT_SUCCESS(OPS->map(info_dom, 0x200000, va, 0x3000, DMAMAP_READ), "map");
	TEST_ASSERT_EQUAL(odd.map.flags, VFIO_DMA_MAP_FLAG_READ, "flags");
	TEST_ASSERT_EQUAL(odd.map.iova, 0x200000, "iova");
	TEST_ASSERT_EQUAL(odd.map.size, 0x3000, "len");
	TEST_ASSERT_EQUAL(odd.map.vaddr, (uintptr_t)va, "va");
	TEST_ASSERT_SUCCESS(OPS->map(info_dom, 0, va, 0x1000, DMAMAP_RW), "map");
	TEST_ASSERT_EQUAL(odd.map.flags, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE, "flags");

	TEST_ASSERT_SUCCESS(OPS->unmap(info_dom, 0x200000, 0x3000, &done), "unmap");
	TEST_ASSERT_EQUAL(done, 0x3000, "done");
	TEST_ASSERT_SUCCESS(OPS->map(info_dom, 0x200000, va, 0x2000, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(OPS->map(info_dom, 0x202000, va, 0x1000, DMAMAP_RW), "map");
	vfio_mock_short_unmap(mock, 1, 0x2000);
	TEST_ASSERT_SUCCESS(OPS->unmap(info_dom, 0x200000, 0x3000, &done), "unmap");
	TEST_ASSERT_EQUAL(done, 0x2000, "a short unmap was not seen");
	vfio_mock_fail(mock, 1u << VFIO_MOCK_UNMAP, 1, EINVAL);
	TEST_ASSERT_EQUAL(OPS->unmap(info_dom, 0x200000, 0x3000, &done), -EINVAL, "unmap");
	TEST_ASSERT_EQUAL(done, 0, "done after an error");
	end_info();
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"reads names", reads_names},
	{"looks a device up", looks_a_device_up},
	{"lists reserved ranges of all groups once", lists_reserved_ranges_of_all_groups_once},
	{"says why a device cannot be had", says_why_a_device_cannot_be_had},
	{"lets the kernel decide whether a group is viable",
		lets_the_kernel_decide_whether_a_group_is_viable},
	{"says that the IOMMU is off", says_that_the_iommu_is_off},
	{"names a look-up that fails", names_a_lookup_that_fails},
	{"finds devices of other buses", finds_devices_of_other_buses},
	{"says what is missing when opened", says_what_is_missing_when_opened},
	{"shares a group between its devices", shares_a_group_between_its_devices},
	{"names the group that is in use", names_the_group_that_is_in_use},
	{"explains what the kernel refuses", explains_what_the_kernel_refuses},
	{"passes the token of a VF", passes_the_token_of_a_vf},
	{"undoes a failed attach", undoes_a_failed_attach},
	{"reads what a domain can do", reads_what_a_domain_can_do},
	{"assumes what an old kernel does not say", assumes_what_an_old_kernel_does_not_say},
	{"refuses a malformed answer", refuses_a_malformed_answer},
	{"maps, and reports what was unmapped", maps_and_reports_what_was_unmapped},
};

REGISTER_TEST_SUITE(type1) = {
	.name = "type1",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
