/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the iommufd backend, on a mock kernel of which cases replace single answers.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_uuid.h>

#include "dm_iommu.h"
#include "iommufd_abi.h"
#include "odd_kernel.h"
#include "test.h"

#define OPS (&dm_iommu_iommufd_ops)
#define A "0000:01:00.0"
#define B "0000:02:00.0"
#define PAGE UINT64_C(4096)
#define UUID "2ab74924-c335-45f4-9b16-8569e5b08258"
/* Addresses without memory: this mock does not look at memory. */
#define VA ((char *)UINT64_C(0x7f0000000000))

static const struct vfio_mock_iommu_conf coherent = {.enforces_coherency = true};

static struct vfio_mock *mock;
static struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_IOMMUFD};
static struct dm_iommu *iommu;
static struct dm_iommu_domain *dom;

/** Two devices, each behind an IOMMU of its own. */
static int
make_mock(unsigned int version)
{
	const struct vfio_mock_conf machine = {.linux_version = version, .no_memory = true};
	struct vfio_mock_group_conf group = {0};
	static const char *const names[] = {A, B};
	unsigned int i;
	int id;

	TEST_ASSERT_SUCCESS(vfio_mock_create(&machine, &mock), "mock");
	for (i = 0; i < RTE_DIM(names); i++) {
		group.iommu = vfio_mock_add_iommu(mock, &coherent);
		id = vfio_mock_add_group(mock, &group);
		TEST_ASSERT_SUCCESS(
			vfio_mock_add_device(mock, id, names[i], -1, "vfio-pci"), "%s", names[i]);
	}
	odd_kernel_begin(mock);
	conf.kernel = &odd_kernel.table;
	return 0;
}

static int
setup_linux(unsigned int version)
{
	iommu = NULL;
	dom = NULL;
	TEST_ASSERT_SUCCESS(make_mock(version), "mock");
	TEST_ASSERT_SUCCESS(OPS->open(&conf, &iommu), "open");
	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	return TEST_SUCCESS;
}

static int
setup(void)
{
	return setup_linux(VFIO_MOCK_LINUX(6, 12));
}

static void
teardown(void)
{
	if (dom != NULL)
		OPS->domain_destroy(dom);
	if (iommu != NULL)
		OPS->close(iommu);
	if (vfio_mock_destroy(mock) < 0)
		printf("  something is left open in the mock\n");
}

static struct dm_iommu_dev *
attach(const char *name)
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
detach(struct dm_iommu_dev *dev)
{
	OPS->detach(dom, dev);
	OPS->dev_put(dev);
}

/** Whether the mock is unchanged. Frees the earlier dump. */
static bool
unchanged(char *before)
{
	char *after = vfio_mock_dump(mock);
	bool same = strcmp(before, after) == 0;

	if (!same)
		printf("  before:\n%s  after:\n%s", before, after);
	free(before);
	free(after);
	return same;
}

static int
logs_no_absence_if_another_backend_may_work(void)
{
	const struct dmamap_container_conf automatic = {
		.backend = DMAMAP_BACKEND_AUTO, .kernel = conf.kernel};
	struct dm_iommu *other;
	unsigned int nth;
	char *before;
	int rc;

	/* The folder of devices is looked up first, then /dev/iommu. */
	for (nth = 1; nth <= 2; nth++) {
		before = vfio_mock_dump(mock);
		vfio_mock_fail(mock, 1 << VFIO_MOCK_OPEN, nth, ENOENT);
		test_log_begin();
		rc = OPS->open(&automatic, &other);
		TEST_ASSERT(test_log_end()[0] == '\0', "it was not silent");
		TEST_ASSERT_EQUAL(rc, -ENOENT, "file %u: %d", nth, rc);
		TEST_ASSERT(unchanged(before), "file %u: something was left open", nth);
	}
	vfio_mock_fail(mock, 1 << VFIO_MOCK_OPEN, 1, ENOENT);
	test_log_begin();
	rc = OPS->open(&conf, &other);
	TEST_ASSERT(test_logged("there is no /dev/iommu"), "log");
	TEST_ASSERT_EQUAL(rc, -ENOENT, "%d", rc);
	TEST_ASSERT_SUCCESS(OPS->open(&automatic, &other), "open");
	OPS->close(other);
	return TEST_SUCCESS;
}

static int
attaches_devices_to_one_address_space(void)
{
	static char page[PAGE] __rte_aligned(PAGE);
	char *before = vfio_mock_dump(mock);
	struct dm_iommu_dev *a = attach(A), *b = attach(B);

	TEST_ASSERT(a != NULL && b != NULL, "attach");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_IOAS_ALLOC), 1, "IOAS");
	TEST_ASSERT_SUCCESS(OPS->map(dom, 0x1000, page, PAGE, DMAMAP_RW), "map");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_IOAS_MAP), 1, "calls");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_IOMMU_MAP), 2, "page tables");
	TEST_ASSERT_SUCCESS(vfio_mock_dma_write(mock, A, 0x1000, "x", 1), "DMA of the first");
	TEST_ASSERT_SUCCESS(vfio_mock_dma_write(mock, B, 0x1001, "y", 1), "DMA of the second");
	TEST_ASSERT(strcmp(page, "xy") == 0, "they wrote \"%.2s\"", page);
	detach(a);
	detach(b);
	TEST_ASSERT(unchanged(before), "something is left");
	return TEST_SUCCESS;
}

static int
is_empty_after_the_last_device(void)
{
	struct dm_iommu_dev *a = attach(A), *b = attach(B);
	uint64_t done;

	TEST_ASSERT(a != NULL && b != NULL, "attach");
	TEST_ASSERT_SUCCESS(OPS->map(dom, 0x1000, VA, PAGE, DMAMAP_READ), "map");
	detach(a);
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), PAGE, "the map is gone");
	detach(b);
	TEST_ASSERT_EQUAL(OPS->unmap(dom, 0x1000, PAGE, &done), -ENOENT, "the map is there");
	return TEST_SUCCESS;
}

static uint32_t map_flags;

static int
keep_map_flags(int fd, unsigned long request, uintptr_t param)
{
	if (request == ABI_IOMMU_IOAS_MAP)
		map_flags = ((const struct abi_ioas_map *)param)->flags;
	return odd_kernel_pass(fd, request, param);
}

static int
maps_and_reports_what_was_unmapped(void)
{
	uint64_t done;

	odd_kernel.ioctl = keep_map_flags;
	TEST_ASSERT_EQUAL(OPS->unmap(dom, 0x200000, 3 * PAGE, &done), -ENOENT, "hole");
	TEST_ASSERT_EQUAL(done, 0, "done after an error");
	TEST_ASSERT_SUCCESS(OPS->map(dom, 0x200000, VA, PAGE, DMAMAP_READ), "map");
	TEST_ASSERT_EQUAL(map_flags, ABI_IOAS_MAP_FIXED_IOVA | ABI_IOAS_MAP_READABLE, "flags");
	TEST_ASSERT_SUCCESS(OPS->map(dom, 0x201000, VA + PAGE, 2 * PAGE, DMAMAP_WRITE), "map");
	TEST_ASSERT_EQUAL(map_flags, ABI_IOAS_MAP_FIXED_IOVA | ABI_IOAS_MAP_WRITEABLE, "flags");
	TEST_ASSERT_EQUAL(OPS->map(dom, 0x201000, VA, PAGE, DMAMAP_RW), -EEXIST, "overlap");
	vfio_mock_short_unmap(mock, 1, PAGE);
	TEST_ASSERT_SUCCESS(OPS->unmap(dom, 0x200000, 3 * PAGE, &done), "unmap");
	TEST_ASSERT_EQUAL(done, PAGE, "a short unmap was not seen");
	TEST_ASSERT_SUCCESS(OPS->unmap(dom, 0x200000, 3 * PAGE, &done), "unmap");
	TEST_ASSERT_EQUAL(done, 2 * PAGE, "the rest");
	return TEST_SUCCESS;
}

static int
isolated_domains_share_what_is_pinned(void)
{
	const struct dmamap_container_conf isolate = {.backend = DMAMAP_BACKEND_IOMMUFD,
		.sharing = DMAMAP_ISOLATE,
		.kernel = conf.kernel};
	rte_iova_t early = 0x10000000, late = 0x20000000;
	struct dmamap_device *a, *b;
	struct dmamap_container *c;

	TEST_ASSERT_SUCCESS(dmamap_container_create(&isolate, &c), "create");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, A, &a), "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(c, VA, PAGE, DMAMAP_READ | DMAMAP_FIXED, &early), "map");
	TEST_ASSERT_EQUAL(
		vfio_mock_calls(mock, VFIO_MOCK_IOAS_COPY), 0, "there is nothing to share yet");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, B, &b), "attach");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_IOAS_COPY), 1, "the replay");
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, VA + PAGE, 3 * PAGE, DMAMAP_RW | DMAMAP_FIXED, &late), "map");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_IOMMU_MAP), 4, "two maps in two tables");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 4 * PAGE, "pages are pinned for each domain");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, late, 3 * PAGE), "unmap");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), PAGE, "pages stay pinned");
	/* After the first detach, pages that were shared stay pinned for the second. */
	TEST_ASSERT_SUCCESS(dmamap_container_detach(a), "detach");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), PAGE, "the second's are not pinned");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(b), "detach");
	return dmamap_container_destroy(c);
}

/** Put a device into a new group, behind a new IOMMU. */
static int
replace_device(const char *name, const struct vfio_mock_iommu_conf *iommu_conf,
	struct vfio_mock_group_conf group)
{
	TEST_ASSERT_SUCCESS(vfio_mock_remove_device(mock, name), "remove");
	group.iommu = vfio_mock_add_iommu(mock, iommu_conf);
	TEST_ASSERT_SUCCESS(
		vfio_mock_add_device(mock, vfio_mock_add_group(mock, &group), name, -1, "vfio-pci"),
		"add");
	return 0;
}

static int
an_address_space_in_the_way_of_a_device_is_named(void)
{
	static const struct vfio_mock_iommu_conf narrow = {.aperture = {0, 0xfffffff}};
	rte_iova_t iova = 0x10000000;
	struct dmamap_container_info info;
	struct dmamap_conflict conflict;
	struct dmamap_container *c;
	struct dmamap_device *a, *b;
	const char *log;
	char *before;
	int rc;

	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, A, &a), "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(c, VA, PAGE, DMAMAP_READ | DMAMAP_FIXED, &iova), "map");

	/*
	 * The kernel returns EADDRINUSE without a reason. A device whose IOMMU can translate the
	 * mapping gets its own page table.
	 */
	vfio_mock_fail(mock, 1 << VFIO_MOCK_ATTACH_PT, 1, EADDRINUSE);
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, B, &b), "attach");
	dmamap_container_info(c, &info);
	TEST_ASSERT_EQUAL(info.n_domains, 2, "%u domains", info.n_domains);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(b), "detach");

	TEST_ASSERT_SUCCESS(replace_device(B, &narrow, (struct vfio_mock_group_conf){0}), "narrow");
	before = vfio_mock_dump(mock);
	test_log_begin();
	rc = dmamap_container_attach(c, B, &b);
	log = test_log_end();
	TEST_ASSERT_EQUAL(rc, -EADDRINUSE, "%d", rc);
	TEST_ASSERT(strstr(log, "[0x10000000, 0x10000fff]") != NULL &&
			strstr(log, "[0x10000000, 0xffffffffffffffff] is out of reach") != NULL,
		"log: %s", log);
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, &conflict, 1), 1, "conflicts");
	TEST_ASSERT(conflict.va == VA && conflict.type == DMAMAP_RESERVED_APERTURE, "the conflict");
	TEST_ASSERT(unchanged(before), "the refused attach left something");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(a), "detach");
	return dmamap_container_destroy(c);
}

/* Answers about ranges */

/** Replacement for the answer of IOVA_RANGES. ranges[] is repeated, shifted, up to n. */
static struct {
	uint32_t n, grows;
	struct abi_iova_range ranges[2];
} odd;

static int
answer_oddly(int fd, unsigned long request, uintptr_t param)
{
	struct abi_ioas_iova_ranges *cmd = (void *)param;
	int rc = odd_kernel_pass(fd, request, param);
	struct abi_iova_range *to;
	uint32_t room, i;

	if (request != ABI_IOMMU_IOAS_IOVA_RANGES)
		return rc;
	/* The mock has reported its number of ranges; the caller's array has at least 16. */
	room = rc == -EMSGSIZE ? 0 : 16;
	to = (void *)(uintptr_t)cmd->allowed_iovas;
	odd.n += odd.grows;
	cmd->num_iovas = odd.n;
	for (i = 0; i < RTE_MIN(odd.n, RTE_MIN(room, 2u)); i++)
		to[i] = odd.ranges[i];
	return odd.n > room ? -EMSGSIZE : 0;
}

static int
refuses_a_malformed_answer(void)
{
	static const struct {
		const char *what;
		uint32_t n, grows;
		struct abi_iova_range ranges[2];
	} cases[] = {
		{"range that ends before it starts", 2, 0, {{0x2000, 0x1fff}, {0x3000, 0x3fff}}},
		{"ranges that overlap", 2, 0, {{0, 0x1fff}, {0x1fff, 0x3fff}}},
		{"ranges without end", 20, 100, {{0, 0}}},
		{"too many ranges", 100000, 0, {{0, 0}}},
	};
	struct dm_iommu_info info;
	unsigned int i;
	int rc;

	odd_kernel.ioctl = answer_oddly;
	for (i = 0; i < RTE_DIM(cases); i++) {
		odd.n = cases[i].n;
		odd.grows = cases[i].grows;
		memcpy(odd.ranges, cases[i].ranges, sizeof(odd.ranges));
		test_log_begin();
		rc = OPS->info(dom, &info);
		TEST_ASSERT(test_logged("IOMMU_IOAS_IOVA_RANGES: malformed"), "%s", cases[i].what);
		TEST_ASSERT_EQUAL(rc, -EPROTO, "%s: %d", cases[i].what, rc);
		TEST_ASSERT_NULL(info.ranges, "%s", cases[i].what);
	}
	return TEST_SUCCESS;
}

/** A device whose group reserves 39 ranges, so 40 ranges are left. */
static int
makes_room_for_many_ranges(void)
{
	struct vfio_mock_resv resv[39];
	struct vfio_mock_group_conf group = {.n_resv = RTE_DIM(resv), .resv = resv};
	struct dm_iommu_info info;
	struct dm_iommu_dev *dev;
	unsigned int i;

	for (i = 0; i < RTE_DIM(resv); i++)
		resv[i] = (struct vfio_mock_resv){
			{i * 0x10000 + 0x1000, i * 0x10000 + 0xffff}, DMAMAP_RESERVED_BUS};
	TEST_ASSERT_SUCCESS(replace_device(A, &coherent, group), "reserved ranges");
	dev = attach(A);
	TEST_ASSERT_NOT_NULL(dev, "attach");
	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	TEST_ASSERT_EQUAL(info.n_ranges, 40, "%u", info.n_ranges);
	TEST_ASSERT_EQUAL(info.ranges[39].start, 39 * 0x10000, "last range");
	TEST_ASSERT_EQUAL(info.ranges[39].last, (UINT64_C(1) << 39) - 1, "last range");
	TEST_ASSERT_EQUAL(info.page_sizes, ~UINT64_C(0xfff), "page sizes");
	TEST_ASSERT_EQUAL(info.entries_left, UINT64_MAX, "entries");
	TEST_ASSERT(info.coherent, "coherent");
	free(info.ranges);
	detach(dev);
	return TEST_SUCCESS;
}

static int
promises_no_less_than_a_page(void)
{
	struct dm_iommu_info info;

	/* For an IOAS without devices the kernel reports an alignment of one byte. */
	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	TEST_ASSERT_EQUAL(info.page_sizes, ~UINT64_C(0xfff), "page sizes");
	TEST_ASSERT_EQUAL(info.n_ranges, 1, "%u", info.n_ranges);
	TEST_ASSERT_EQUAL(info.ranges[0].last, UINT64_MAX, "last range");
	free(info.ranges);
	/* If the kernel does not report coherency, the domain counts as not coherent. */
	vfio_mock_fail(mock, 1 << VFIO_MOCK_VFIO_IOAS, 1, ENOENT);
	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	TEST_ASSERT(!info.coherent, "coherent");
	free(info.ranges);
	return TEST_SUCCESS;
}

static int
explains_what_the_kernel_refuses(void)
{
	static const struct {
		enum vfio_mock_call call;
		int err, rc;
		const char *log; /* NULL: the errno explains itself */
	} cases[] = {
		{VFIO_MOCK_BIND_IOMMUFD, EPERM, -EPERM,
			"/sys/module/iommufd/parameters/allow_unsafe_interrupts"},
		{VFIO_MOCK_BIND_IOMMUFD, EACCES, -EACCES, A ": wrong or missing VF token"},
		{VFIO_MOCK_BIND_IOMMUFD, EBUSY, -EBUSY,
			A ": it or its group 0 is in use by another process"},
		{VFIO_MOCK_BIND_IOMMUFD, EINVAL, -EBUSY,
			"fuser -v /dev/vfio/devices/vfio0 /dev/vfio/0"},
		{VFIO_MOCK_BIND_IOMMUFD, ENODEV, -ENODEV, A ": iommufd refuses it: No such device"},
		{VFIO_MOCK_ATTACH_PT, ENOMEM, -ENOMEM, A ": iommufd cannot attach it to IOAS 1"},
		{VFIO_MOCK_ATTACH_PT, EADDRINUSE, -EADDRINUSE, NULL},
		{VFIO_MOCK_ATTACH_PT, EINVAL, -EINVAL, NULL},
	};
	struct dm_iommu_dev *dev;
	unsigned int i;
	char *before;
	int rc;

	TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, A, &dev), "dev_get");
	for (i = 0; i < RTE_DIM(cases); i++) {
		before = vfio_mock_dump(mock);
		vfio_mock_fail(mock, 1 << cases[i].call, 1, cases[i].err);
		test_log_begin();
		rc = OPS->attach(dom, dev);
		if (cases[i].log != NULL)
			TEST_ASSERT(test_logged(cases[i].log), "case %u", i);
		else
			TEST_ASSERT(test_log_end()[0] == '\0', "case %u logs", i);
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "case %u: %d", i, rc);
		TEST_ASSERT(unchanged(before), "case %u leaves something", i);
		TEST_ASSERT_EQUAL(dev->fd, -1, "case %u left a device", i);
	}
	TEST_ASSERT_SUCCESS(OPS->attach(dom, dev), "retry");
	detach(dev);
	return TEST_SUCCESS;
}

static int
says_that_there_is_no_character_device(void)
{
	struct dm_iommu_dev *dev;
	int rc;

	/* Linux has iommufd since 6.2, and character devices since 6.6. */
	teardown();
	TEST_ASSERT_SUCCESS(setup_linux(VFIO_MOCK_LINUX(6, 2)), "setup");
	test_log_begin();
	rc = OPS->dev_get(iommu, A, &dev);
	TEST_ASSERT(test_logged(A ": VFIO created no character device for it"), "log");
	TEST_ASSERT_EQUAL(rc, -ENODEV, "%d", rc);
	return TEST_SUCCESS;
}

/* Tokens of virtual functions */

static rte_uuid_t token;

static int
keep_token(int fd, unsigned long request, uintptr_t param)
{
	const struct abi_vfio_bind_iommufd *cmd = (const void *)param;
	int rc = odd_kernel_pass(fd, request, param);

	if (request == ABI_VFIO_BIND_IOMMUFD && cmd->flags & ABI_VFIO_BIND_FLAG_TOKEN && rc == 0)
		memcpy(token, (const void *)(uintptr_t)cmd->token_uuid_ptr, sizeof(token));
	return rc;
}

/** Attach with a VF token on a Linux version; text returns the token that the kernel got. */
static int
attach_with_token(unsigned int version, char *text)
{
	struct dm_iommu_dev *dev;

	teardown();
	TEST_ASSERT_SUCCESS(setup_linux(version), "setup");
	memset(token, 0, sizeof(token));
	odd_kernel.ioctl = keep_token;
	dev = attach(A " vf_token=" UUID);
	TEST_ASSERT_NOT_NULL(dev, "attach");
	detach(dev);
	rte_uuid_unparse(token, text, RTE_UUID_STRLEN);
	return 0;
}

static int
passes_the_token_of_a_vf(void)
{
	char text[RTE_UUID_STRLEN];

	/* An older kernel has no token argument and needs none. */
	TEST_ASSERT_SUCCESS(attach_with_token(VFIO_MOCK_LINUX(6, 12), text), "6.12");
	TEST_ASSERT(rte_uuid_is_null(token), "%s", text);
	TEST_ASSERT_SUCCESS(attach_with_token(VFIO_MOCK_LINUX(6, 18), text), "6.18");
	TEST_ASSERT(strcmp(text, UUID) == 0, "%s", text);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"logs no absence if another backend may work",
		logs_no_absence_if_another_backend_may_work},
	{"attaches devices to one address space", attaches_devices_to_one_address_space},
	{"is empty after the last device", is_empty_after_the_last_device},
	{"maps, and reports what was unmapped", maps_and_reports_what_was_unmapped},
	{"isolated domains share what is pinned", isolated_domains_share_what_is_pinned},
	{"an address space in the way of a device is named",
		an_address_space_in_the_way_of_a_device_is_named},
	{"makes room for many ranges", makes_room_for_many_ranges},
	{"promises no less than a page", promises_no_less_than_a_page},
	{"refuses a malformed answer", refuses_a_malformed_answer},
	{"explains what the kernel refuses", explains_what_the_kernel_refuses},
	{"says that there is no character device", says_that_there_is_no_character_device},
	{"passes the token of a VF", passes_the_token_of_a_vf},
};

REGISTER_TEST_SUITE(iommufd) = {
	.name = "iommufd",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
