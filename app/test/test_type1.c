/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Is the type1 backend right about the kernel? On a fake kernel that answers oddly.
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
#include "fake_vfio.h"
#include "test.h"

#define OPS (&dm_iommu_type1_ops)
#define NIC "0000:01:00.0" /* group 5, alone with its bridge */
#define TWIN_A "0000:02:00.0" /* group 6 */
#define TWIN_B "0000:02:00.1" /* group 6 */
#define UUID "2ab74924-c335-45f4-9b16-8569e5b08258"

static struct dm_iommu *iommu;

static int
setup(void)
{
	int rc = fake_vfio_begin();

	rc = rc < 0 ? rc : fake_sysfs_device(NIC, 5, "vfio-pci");
	rc = rc < 0 ? rc : fake_sysfs_device("0000:00:02.0", 5, "pcieport");
	rc = rc < 0 ? rc : fake_sysfs_device(TWIN_A, 6, "vfio-pci");
	rc = rc < 0 ? rc : fake_sysfs_device(TWIN_B, 6, "mlx5_vfio_pci");
	rc = rc < 0 ? rc
		    : fake_sysfs_file("kernel/iommu_groups/5/reserved_regions",
			      "0x00000000fee00000 0x00000000feefffff msi\n"
			      "0x000000007d800000 0x000000007fffffff direct-relaxable\n"
			      "0x0000000000ff0000 0x0000000000ffffff direct\n"
			      "0x000000fd00000000 0x000000ffffffffff reserved\n");
	rc = rc < 0 ? rc
		    : fake_sysfs_file("kernel/iommu_groups/6/reserved_regions",
			      "0x00000000fee00000 0x00000000feefffff msi\n"
			      "0xffffffffffff0000 0xffffffffffffffff reserved\n");
	iommu = NULL;
	if (rc == 0)
		rc = OPS->open(NULL, &iommu);
	return rc < 0 ? TEST_FAILED : TEST_SUCCESS;
}

static void
teardown(void)
{
	if (iommu != NULL)
		OPS->close(iommu);
	fake_vfio_end();
}

static int
reads_names(void)
{
	const struct {
		const char *text, *bdf, *token;
	} good[] = {
		{NIC, NIC, ""},
		{"01:00.0", NIC, ""},
		{"10000:e1:00.7", "10000:e1:00.7", ""},
		{NIC " vf_token=" UUID, NIC, UUID},
	};
	const char *const bad[] = {"", "eth0", "0000:01:00", "0000:01:00.x", NIC " vf_token=12",
		NIC " iommu=1", NIC " vf_token=" UUID "0",
		"0000:01:00.00000000000000000000000000000000000000000000000000000000000000000"};
	struct dm_dev_name name;
	unsigned int i;

	for (i = 0; i < RTE_DIM(good); i++) {
		TEST_ASSERT_SUCCESS(dm_dev_name_parse(good[i].text, &name), "%s", good[i].text);
		TEST_ASSERT(strcmp(name.bdf, good[i].bdf) == 0, "%s: %s", good[i].text, name.bdf);
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
	TEST_ASSERT_EQUAL(dev->group, 5, "%d", dev->group);
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

	TEST_ASSERT_SUCCESS(OPS->host_reserved(NULL, &resv, &n), "host_reserved");
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
		{"0000:09:00.0", -ENODEV, "0000:09:00.0: no such PCI device"},
		{"0000:03:00.0", -ENODEV, "0000:03:00.0: no IOMMU is in charge of it"},
		{"0000:04:00.0", -EBUSY,
			"0000:04:00.0: held by driver e1000e; bind it: "
			"usertools/gantry-bind vfio-pci 0000:04:00.0"},
		{"0000:04:00.1", -EBUSY,
			"0000:04:00.1: held by no driver; bind it: "
			"usertools/gantry-bind vfio-pci 0000:04:00.1"},
		{"0000:04:00.2", -EPERM,
			"0000:04:00.2: its group 7 is not viable, since drivers of "
			"this host hold other members: 0000:04:00.0 (e1000e); bind"},
		{"0000:06:00.0", -ENODEV, "VFIO holds it in noiommu mode"},
	};
	struct dm_iommu_dev *dev;
	unsigned int i;
	int rc;

	fake_sysfs_device("0000:03:00.0", -1, NULL);
	fake_sysfs_device("0000:04:00.0", 7, "e1000e");
	fake_sysfs_device("0000:04:00.1", 7, NULL);
	fake_sysfs_device("0000:04:00.2", 7, "vfio-pci");
	fake_sysfs_device("0000:06:00.0", 8, "vfio-pci");
	fake_sysfs_file("kernel/iommu_groups/8/name", "vfio-noiommu\n");
	for (i = 0; i < RTE_DIM(cases); i++) {
		test_log_begin();
		rc = OPS->dev_get(iommu, cases[i].name, &dev);
		TEST_ASSERT(test_logged(cases[i].log), "%s", cases[i].name);
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "%s: %d", cases[i].name, rc);
	}
	return TEST_SUCCESS;
}

static int
says_that_the_iommu_is_off(void)
{
	struct dm_iommu_dev *dev;
	int rc;

	fake_vfio_end();
	TEST_ASSERT_SUCCESS(fake_vfio_begin(), "begin");
	fake_sysfs_device(NIC, -1, NULL);
	test_log_begin();
	rc = OPS->dev_get(iommu, NIC, &dev);
	TEST_ASSERT(test_logged("intel_iommu=on"), "log");
	TEST_ASSERT_EQUAL(rc, -ENODEV, "%d", rc);
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
		fake_vfio.no_file = cases[i].no_file_errno != 0 ? "/dev/vfio/vfio" : NULL;
		fake_vfio.no_file_errno = cases[i].no_file_errno;
		fake_vfio.version = cases[i].version;
		fake_vfio.no_type1v2 = cases[i].no_type1v2;
		test_log_begin();
		rc = OPS->open(NULL, &other);
		TEST_ASSERT(test_logged(cases[i].log), "case %u", i);
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "case %u: %d", i, rc);
		TEST_ASSERT_EQUAL(fake_vfio.open_files, 0, "case %u left a file open", i);
	}
	return TEST_SUCCESS;
}

/** Look up and attach, or NULL. */
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
	/* A container, two groups, three devices. */
	TEST_ASSERT_EQUAL(fake_vfio.open_files, 6, "%u files", fake_vfio.open_files);
	TEST_ASSERT_EQUAL(fake_vfio.set_iommu_calls, 1, "%u", fake_vfio.set_iommu_calls);
	TEST_ASSERT(a->fd >= 0 && a->fd != b->fd, "files of devices");
	detach(dom, a);
	TEST_ASSERT_EQUAL(fake_vfio.open_files, 5, "%u files", fake_vfio.open_files);
	detach(dom, b);
	TEST_ASSERT_EQUAL(fake_vfio.open_files, 3, "%u files", fake_vfio.open_files);
	detach(dom, nic);
	TEST_ASSERT_EQUAL(fake_vfio.open_files, 1, "%u files", fake_vfio.open_files);

	/* With the last group, the kernel has forgotten the type. */
	nic = attach(dom, NIC);
	TEST_ASSERT_NOT_NULL(nic, "attach again");
	TEST_ASSERT_EQUAL(fake_vfio.set_iommu_calls, 2, "%u", fake_vfio.set_iommu_calls);
	detach(dom, nic);
	OPS->domain_destroy(dom);
	TEST_ASSERT_EQUAL(fake_vfio.open_files, 0, "%u files", fake_vfio.open_files);
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

	TEST_ASSERT_SUCCESS(OPS->open(NULL, &other), "open");
	TEST_ASSERT_SUCCESS(OPS->domain_create(other, &other_dom), "domain_create");
	TEST_ASSERT_SUCCESS(OPS->dev_get(other, TWIN_B, &b), "dev_get");
	test_log_begin();
	rc = OPS->attach(other_dom, b);
	TEST_ASSERT(test_logged(TWIN_B ": its group 6 is in use by another process or container: "
				       "fuser -v /dev/vfio/6"),
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
		{0, 0, EACCES, false, -EACCES, NIC ": it wants a VF token: attach it as"},
		{0, 0, ENODEV, false, -ENODEV, NIC ": VFIO does not open it"},
		{0, 0, 0, true, -EPERM, NIC ": the kernel calls its group 5 not viable"},
	};
	struct dm_iommu_domain *dom;
	struct dm_iommu_dev *dev;
	unsigned int i;
	int rc;

	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, NIC, &dev), "dev_get");
	for (i = 0; i < RTE_DIM(cases); i++) {
		fake_vfio.set_container_errno = cases[i].set_container;
		fake_vfio.set_iommu_errno = cases[i].set_iommu;
		fake_vfio.get_device_errno = cases[i].get_device;
		fake_vfio.not_viable = cases[i].not_viable;
		test_log_begin();
		rc = OPS->attach(dom, dev);
		TEST_ASSERT(test_logged(cases[i].log), "case %u", i);
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "case %u: %d", i, rc);
		TEST_ASSERT_EQUAL(fake_vfio.open_files, 1, "case %u left a file open", i);
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
	TEST_ASSERT(strcmp(fake_vfio.device_name, NIC " vf_token=" UUID) == 0, "%s",
		fake_vfio.device_name);
	TEST_ASSERT(strcmp(dev->name, NIC) == 0, "%s", dev->name);
	detach(dom, dev);
	OPS->domain_destroy(dom);
	return TEST_SUCCESS;
}

/** Attach with each call failing in turn: nothing stays behind, and a retry succeeds. */
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
		fake_vfio.calls = 0;
		fake_vfio.fail_at = n;
		fake_vfio.fail_errno = EIO;
		test_log_begin();
		rc = OPS->attach(dom, dev);
		test_log_end();
		fake_vfio.fail_at = 0;
		if (rc == 0)
			break;
		TEST_ASSERT_EQUAL(rc, -EIO, "call %u: %d", n, rc);
		TEST_ASSERT_EQUAL(fake_vfio.open_files, 1, "call %u left a file open", n);
		TEST_ASSERT_EQUAL(dev->fd, -1, "call %u left a device", n);
		TEST_ASSERT_SUCCESS(OPS->attach(dom, dev), "retry after call %u", n);
		OPS->detach(dom, dev);
		OPS->domain_destroy(dom);
		TEST_ASSERT_EQUAL(fake_vfio.open_files, 0, "call %u", n);
	}
	/* Open the group, its status, SET_CONTAINER, SET_IOMMU, GET_DEVICE_FD. */
	TEST_ASSERT_EQUAL(n, 6, "%u calls", n);
	OPS->detach(dom, dev);
	OPS->dev_put(dev);
	OPS->domain_destroy(dom);
	return TEST_SUCCESS;
}

/* Answers of VFIO_IOMMU_GET_INFO. */

#define HEAD sizeof(struct vfio_iommu_type1_info)

static void
put(uint32_t at, const void *part, size_t len)
{
	memcpy(fake_vfio.answer + at, part, len);
}

static void
put_head(uint32_t argsz, uint32_t flags, uint32_t cap_offset)
{
	const struct vfio_iommu_type1_info head = {.argsz = argsz,
		.flags = flags,
		.iova_pgsizes = 0x40201000,
		.cap_offset = cap_offset};

	memset(fake_vfio.answer, 0, sizeof(fake_vfio.answer));
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
/* The entries first and the ranges behind them: no order of capabilities is promised. */
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
	fake_vfio.coherent = true;
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
	TEST_ASSERT(!info.coherent, "coherent");
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
	/* Neither is one that is looked for. */
	fake_vfio.answer[AT_ENTRIES] = fake_vfio.answer[AT_RANGES] = 99;
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
	fake_vfio.answer_len = WHOLE;
	fake_vfio.argsz_grows = 64;
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
		fake_vfio.argsz_grows = 0;
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
	TEST_ASSERT_EQUAL(fake_vfio.map_flags, VFIO_DMA_MAP_FLAG_READ, "flags");
	TEST_ASSERT_EQUAL(fake_vfio.map_iova, 0x200000, "iova");
	TEST_ASSERT_EQUAL(fake_vfio.map_len, 0x3000, "len");
	TEST_ASSERT_EQUAL(fake_vfio.map_vaddr, (uintptr_t)va, "va");
	TEST_ASSERT_SUCCESS(OPS->map(info_dom, 0, va, 0x1000, DMAMAP_RW), "map");
	TEST_ASSERT_EQUAL(
		fake_vfio.map_flags, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE, "flags");

	TEST_ASSERT_SUCCESS(OPS->unmap(info_dom, 0x200000, 0x3000, &done), "unmap");
	TEST_ASSERT_EQUAL(done, 0x3000, "done");
	fake_vfio.unmap_short = 0x1000;
	TEST_ASSERT_SUCCESS(OPS->unmap(info_dom, 0x200000, 0x3000, &done), "unmap");
	TEST_ASSERT_EQUAL(done, 0x2000, "a short unmap was not seen");
	fake_vfio.fail_at = fake_vfio.calls + 1;
	fake_vfio.fail_errno = EINVAL;
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
	{"says that the IOMMU is off", says_that_the_iommu_is_off},
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
