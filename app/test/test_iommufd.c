/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Is the iommufd backend right about the kernel? On a fake kernel that answers oddly.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_uuid.h>

#include "dm_iommu.h"
#include "fake_vfio.h"
#include "iommufd_abi.h"
#include "test.h"

#define OPS (&dm_iommu_iommufd_ops)
#define A "0000:01:00.0"
#define B "0000:02:00.0"
#define UUID "2ab74924-c335-45f4-9b16-8569e5b08258"

static struct dm_iommu *iommu;
static struct dm_iommu_domain *dom;

static int
setup(void)
{
	int rc = fake_vfio_begin();

	rc = rc < 0 ? rc : fake_sysfs_device(A, 5, "vfio-pci");
	rc = rc < 0 ? rc : fake_sysfs_device(B, 6, "vfio-pci");
	rc = rc < 0 ? rc : fake_sysfs_cdev(A, 0);
	rc = rc < 0 ? rc : fake_sysfs_cdev(B, 1);
	fake_vfio.iova_alignment = 4096;
	iommu = NULL;
	dom = NULL;
	rc = rc < 0 ? rc : OPS->open(NULL, &iommu);
	rc = rc < 0 ? rc : OPS->domain_create(iommu, &dom);
	return rc < 0 ? TEST_FAILED : TEST_SUCCESS;
}

static void
teardown(void)
{
	if (dom != NULL)
		OPS->domain_destroy(dom);
	if (iommu != NULL)
		OPS->close(iommu);
	fake_vfio_end();
}

static int
logged(const char *text)
{
	const char *log = test_log_end(), *end = strchr(log, '\n');

	if (strstr(log, text) != NULL && end != NULL && end[1] == '\0')
		return 1;
	fprintf(stderr, "wanted \"%s\", logged \"%s\"\n", text, log);
	return 0;
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

static int
is_silent_about_its_absence_when_another_may_do(void)
{
	const struct dmamap_container_conf automatic = {.backend = DMAMAP_BACKEND_AUTO};
	const struct dmamap_container_conf asked_for = {.backend = DMAMAP_BACKEND_IOMMUFD};
	const char *const files[] = {"/dev/vfio/devices/", "/dev/iommu"};
	struct dm_iommu *other;
	unsigned int i;
	int rc;

	for (i = 0; i < RTE_DIM(files); i++) {
		fake_vfio.no_file = files[i];
		fake_vfio.no_file_errno = ENOENT;
		test_log_begin();
		rc = OPS->open(&automatic, &other);
		TEST_ASSERT(test_log_end()[0] == '\0', "it was not silent");
		TEST_ASSERT_EQUAL(rc, -ENOENT, "%s: %d", files[i], rc);
		/* There is /dev/iommu of the setup. */
		TEST_ASSERT_EQUAL(fake_vfio.open_files, 1, "%s: file left open", files[i]);
	}
	test_log_begin();
	rc = OPS->open(&asked_for, &other);
	TEST_ASSERT(logged("there is no /dev/iommu"), "log");
	TEST_ASSERT_EQUAL(rc, -ENOENT, "%d", rc);
	fake_vfio.no_file = NULL;
	TEST_ASSERT_SUCCESS(OPS->open(&automatic, &other), "open");
	OPS->close(other);
	return TEST_SUCCESS;
}

static int
attaches_devices_to_one_address_space(void)
{
	struct dm_iommu_dev *a = attach(A), *b = attach(B);

	TEST_ASSERT(a != NULL && b != NULL, "attach");
	/* /dev/iommu and two devices. */
	TEST_ASSERT_EQUAL(fake_vfio.open_files, 3, "%u files", fake_vfio.open_files);
	TEST_ASSERT_EQUAL(fake_vfio.ioas_alive, 1, "%u IOAS", fake_vfio.ioas_alive);
	detach(a);
	detach(b);
	OPS->domain_destroy(dom);
	dom = NULL;
	TEST_ASSERT_EQUAL(fake_vfio.ioas_alive, 0, "%u IOAS", fake_vfio.ioas_alive);
	TEST_ASSERT_EQUAL(fake_vfio.open_files, 1, "%u files", fake_vfio.open_files);
	return TEST_SUCCESS;
}

static int
is_empty_after_the_last_device(void)
{
	struct dm_iommu_dev *a = attach(A), *b = attach(B);
	char *va = (char *)UINT64_C(0x7f0000000000);

	TEST_ASSERT(a != NULL && b != NULL, "attach");
	TEST_ASSERT_SUCCESS(OPS->map(dom, 0x1000, va, 0x1000, DMAMAP_READ), "map");
	detach(a);
	TEST_ASSERT_EQUAL(fake_vfio.maps_alive, 1, "%u maps", fake_vfio.maps_alive);
	detach(b);
	TEST_ASSERT_EQUAL(fake_vfio.maps_alive, 0, "%u maps", fake_vfio.maps_alive);
	return TEST_SUCCESS;
}

static int
maps_and_reports_what_was_unmapped(void)
{
	char *va = (char *)UINT64_C(0x7f0000000000);
	uint64_t done;

	TEST_ASSERT_EQUAL(OPS->unmap(dom, 0x200000, 0x3000, &done), -ENOENT, "hole");
	TEST_ASSERT_EQUAL(done, 0, "done after an error");
	TEST_ASSERT_SUCCESS(OPS->map(dom, 0x200000, va, 0x3000, DMAMAP_READ), "map");
	TEST_ASSERT_EQUAL(fake_vfio.map_flags, ABI_IOAS_MAP_FIXED_IOVA | ABI_IOAS_MAP_READABLE,
		"flags");
	TEST_ASSERT_EQUAL(fake_vfio.map_iova, 0x200000, "iova");
	TEST_ASSERT_EQUAL(fake_vfio.map_len, 0x3000, "len");
	TEST_ASSERT_EQUAL(fake_vfio.map_vaddr, (uintptr_t)va, "va");
	TEST_ASSERT_SUCCESS(OPS->map(dom, 0, va, 0x1000, DMAMAP_WRITE), "map");
	TEST_ASSERT_EQUAL(fake_vfio.map_flags, ABI_IOAS_MAP_FIXED_IOVA | ABI_IOAS_MAP_WRITEABLE,
		"flags");
	fake_vfio.unmap_short = 0x1000;
	TEST_ASSERT_SUCCESS(OPS->unmap(dom, 0x200000, 0x3000, &done), "unmap");
	TEST_ASSERT_EQUAL(done, 0x2000, "a short unmap was not seen");
	return TEST_SUCCESS;
}

static int
isolated_domains_share_what_is_pinned(void)
{
	const struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_IOMMUFD,
		.sharing = DMAMAP_ISOLATE};
	char *va = (char *)UINT64_C(0x7f0000000000);
	rte_iova_t early = 0x10000000, late = 0x20000000;
	struct dmamap_device *a, *b;
	struct dmamap_container *c;

	fake_vfio.n_ranges = 1;
	fake_vfio.ranges[0] = (struct fake_range){0, UINT64_C(0x7fffffffff)};
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, A, &a), "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(c, va, 0x1000, DMAMAP_READ | DMAMAP_FIXED, &early), "map");
	TEST_ASSERT_EQUAL(fake_vfio.copies, 0, "there is nothing to share yet");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, B, &b), "attach");
	TEST_ASSERT_EQUAL(fake_vfio.copies, 1, "a replay pins anew");
	TEST_ASSERT_EQUAL(fake_vfio.map_flags, ABI_IOAS_MAP_FIXED_IOVA | ABI_IOAS_MAP_READABLE, "flags");
	TEST_ASSERT(fake_vfio.map_iova == early && fake_vfio.copied_from == early &&
		fake_vfio.map_len == 0x1000, "what is copied where");
	TEST_ASSERT_SUCCESS(dmamap_map(c, va + 0x1000, 0x3000, DMAMAP_RW | DMAMAP_FIXED, &late), "map");
	TEST_ASSERT_EQUAL(fake_vfio.copies, 2, "a map pins for each domain");
	TEST_ASSERT(fake_vfio.map_iova == late && fake_vfio.copied_from == late &&
		fake_vfio.map_len == 0x3000, "what is copied where");
	TEST_ASSERT_EQUAL(fake_vfio.maps_alive, 4, "%u maps", fake_vfio.maps_alive);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, late, 0x3000), "unmap");
	/* The first leaves: what the second shared with it stays. */
	TEST_ASSERT_SUCCESS(dmamap_container_detach(a), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(b), "detach");
	return dmamap_container_destroy(c);
}

static int
an_address_space_in_the_way_of_a_device_is_named(void)
{
	const struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_IOMMUFD};
	char *va = (char *)UINT64_C(0x7f0000000000);
	rte_iova_t iova = 0x10000000;
	struct dmamap_container_info info;
	struct dmamap_conflict conflict;
	struct dmamap_container *c;
	struct dmamap_device *a, *b;
	const char *log;
	int rc;

	fake_vfio.n_ranges = 1;
	fake_vfio.ranges[0] = (struct fake_range){0, UINT64_C(0x7fffffffff)};
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, A, &a), "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(c, va, 0x1000, DMAMAP_READ | DMAMAP_FIXED, &iova), "map");

	/* The kernel says no more than EADDRINUSE. A device that translates it all the same gets an address space of its own. */
	fake_vfio.conflict_ioas = 1; /* the container's first */
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, B, &b), "attach");
	dmamap_container_info(c, &info);
	TEST_ASSERT_EQUAL(info.n_domains, 2, "%u domains", info.n_domains);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(b), "detach");

	fake_vfio.ranges[0].last = 0xfffffff;
	test_log_begin();
	rc = dmamap_container_attach(c, B, &b);
	log = test_log_end();
	TEST_ASSERT_EQUAL(rc, -EADDRINUSE, "%d", rc);
	TEST_ASSERT(strstr(log, "[0x10000000, 0x10000fff]") != NULL &&
		strstr(log, "[0x10000000, 0xffffffffffffffff] is out of reach") != NULL, "log: %s", log);
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, &conflict, 1), 1, "conflicts");
	TEST_ASSERT(conflict.va == va && conflict.type == DMAMAP_RESERVED_APERTURE, "the conflict");
	TEST_ASSERT_EQUAL(fake_vfio.ioas_alive, 2, "%u IOAS", fake_vfio.ioas_alive);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(a), "detach");
	return dmamap_container_destroy(c);
}

static int
makes_room_for_many_ranges(void)
{
	struct dm_iommu_info info;
	unsigned int i;

	fake_vfio.n_ranges = 40;
	for (i = 0; i < 40; i++)
		fake_vfio.ranges[i] = (struct fake_range){i * 0x10000, i * 0x10000 + 0xfff};
	fake_vfio.ranges[39].last = UINT64_MAX;
	fake_vfio.coherent = true;
	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	TEST_ASSERT_EQUAL(info.n_ranges, 40, "%u", info.n_ranges);
	TEST_ASSERT_EQUAL(info.ranges[39].start, 39 * 0x10000, "last range");
	TEST_ASSERT_EQUAL(info.ranges[39].last, UINT64_MAX, "last range");
	TEST_ASSERT_EQUAL(info.page_sizes, ~UINT64_C(0xfff), "page sizes");
	TEST_ASSERT_EQUAL(info.entries_left, UINT64_MAX, "entries");
	TEST_ASSERT(info.coherent, "coherent");
	free(info.ranges);

	/* An alignment below a page is no promise that less than a page can be mapped. */
	fake_vfio.iova_alignment = 1;
	fake_vfio.coherent = false;
	TEST_ASSERT_SUCCESS(OPS->info(dom, &info), "info");
	TEST_ASSERT_EQUAL(info.page_sizes, ~UINT64_C(0xfff), "page sizes");
	TEST_ASSERT(!info.coherent, "coherent");
	free(info.ranges);
	return TEST_SUCCESS;
}

static int
refuses_a_malformed_answer(void)
{
	static const struct {
		const char *what;
		uint32_t n, grows;
		struct fake_range ranges[2];
	} cases[] = {
		{"range that ends before it starts", 2, 0, {{0x2000, 0x1fff}, {0x3000, 0x3fff}}},
		{"ranges that overlap", 2, 0, {{0, 0x1fff}, {0x1fff, 0x3fff}}},
		{"ranges without end", 20, 100, {{0, 0}}},
		{"too many ranges", 100000, 0, {{0, 0}}},
	};
	struct dm_iommu_info info;
	unsigned int i;
	int rc;

	for (i = 0; i < RTE_DIM(cases); i++) {
		fake_vfio.n_ranges = cases[i].n;
		fake_vfio.n_ranges_grows = cases[i].grows;
		memcpy(fake_vfio.ranges, cases[i].ranges, sizeof(cases[i].ranges));
		test_log_begin();
		rc = OPS->info(dom, &info);
		TEST_ASSERT(logged("IOMMU_IOAS_IOVA_RANGES: malformed"), "%s", cases[i].what);
		TEST_ASSERT_EQUAL(rc, -EPROTO, "%s: %d", cases[i].what, rc);
		TEST_ASSERT_NULL(info.ranges, "%s", cases[i].what);
	}
	return TEST_SUCCESS;
}

static int
explains_what_the_kernel_refuses(void)
{
	static const struct {
		int bind, attach, rc;
		const char *log; /* NULL: nothing to add to the errno */
	} cases[] = {
		{EPERM, 0, -EPERM, "/sys/module/iommufd/parameters/allow_unsafe_interrupts"},
		{EACCES, 0, -EACCES, A ": wrong or missing VF token"},
		{EBUSY, 0, -EBUSY, A ": it or its group 5 is in use by another process"},
		{EINVAL, 0, -EBUSY, "fuser -v /dev/vfio/devices/vfio0 /dev/vfio/5"},
		{ENODEV, 0, -ENODEV, A ": iommufd does not take it: No such device"},
		{0, ENOMEM, -ENOMEM, A ": iommufd does not attach it to IOAS 1"},
		{0, EADDRINUSE, -EADDRINUSE, NULL},
		{0, EINVAL, -EINVAL, NULL},
	};
	struct dm_iommu_dev *dev;
	unsigned int i;
	int rc;

	TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, A, &dev), "dev_get");
	for (i = 0; i < RTE_DIM(cases); i++) {
		fake_vfio.bind_errno = cases[i].bind;
		fake_vfio.attach_errno = cases[i].attach;
		test_log_begin();
		rc = OPS->attach(dom, dev);
		if (cases[i].log != NULL)
			TEST_ASSERT(logged(cases[i].log), "case %u", i);
		else
			TEST_ASSERT(test_log_end()[0] == '\0', "case %u logs", i);
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "case %u: %d", i, rc);
		TEST_ASSERT_EQUAL(fake_vfio.open_files, 1, "case %u left a file open", i);
		TEST_ASSERT_EQUAL(dev->fd, -1, "case %u left a device", i);
	}
	fake_vfio.attach_errno = 0;
	TEST_ASSERT_SUCCESS(OPS->attach(dom, dev), "retry");
	detach(dev);
	return TEST_SUCCESS;
}

static int
says_that_there_is_no_character_device(void)
{
	struct dm_iommu_dev *dev;
	int rc;

	fake_sysfs_device("0000:03:00.0", 7, "vfio-pci");
	test_log_begin();
	rc = OPS->dev_get(iommu, "0000:03:00.0", &dev);
	TEST_ASSERT(logged("0000:03:00.0: VFIO made no character device for it"), "log");
	TEST_ASSERT_EQUAL(rc, -ENODEV, "%d", rc);
	return TEST_SUCCESS;
}

static int
passes_the_token_of_a_vf(void)
{
	struct dm_iommu_dev *dev;
	char text[RTE_UUID_STRLEN];

	/* An older kernel knows no token, and wants none. */
	dev = attach(A " vf_token=" UUID);
	TEST_ASSERT_NOT_NULL(dev, "attach");
	detach(dev);
	fake_vfio.knows_token = true;
	dev = attach(A " vf_token=" UUID);
	TEST_ASSERT_NOT_NULL(dev, "attach");
	rte_uuid_unparse(fake_vfio.token, text, sizeof(text));
	TEST_ASSERT(strcmp(text, UUID) == 0, "%s", text);
	detach(dev);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"is silent about its absence when another may do",
		is_silent_about_its_absence_when_another_may_do},
	{"attaches devices to one address space", attaches_devices_to_one_address_space},
	{"is empty after the last device", is_empty_after_the_last_device},
	{"maps, and reports what was unmapped", maps_and_reports_what_was_unmapped},
	{"isolated domains share what is pinned", isolated_domains_share_what_is_pinned},
	{"an address space in the way of a device is named",
		an_address_space_in_the_way_of_a_device_is_named},
	{"makes room for many ranges", makes_room_for_many_ranges},
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
