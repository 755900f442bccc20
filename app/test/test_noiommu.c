/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the noiommu backend: memory and physical addresses are real here, VFIO is the mock
 * kernel's.
 */

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <rte_common.h>

#include <dmamap.h>

#include "dm_hugepage.h"
#include "dm_iommu.h"
#include "dm_phys.h"
#include "dm_pin.h"
#include "odd_kernel.h"
#include "test.h"

#define OPS (&dm_iommu_noiommu_ops)
#define NIC "0000:01:00.0"
#define BEHIND "0000:02:00.0" /* a device behind an IOMMU */
#define PAGE UINT64_C(4096)

static struct dm_iommu *iommu;
static struct vfio_mock *mock;
static struct dmamap_container_conf noiommu = {.backend = DMAMAP_BACKEND_NOIOMMU};
static struct dm_pin *pin;
static uint64_t phys;

/** NIC has no IOMMU; the other device has one. */
static int
make_mock(void)
{
	struct vfio_mock_group_conf without = {.iommu = VFIO_MOCK_NOIOMMU}, with = {0};

	TEST_ASSERT_SUCCESS(vfio_mock_create(NULL, &mock), "mock");
	with.iommu = vfio_mock_add_iommu(mock, NULL);
	TEST_ASSERT_SUCCESS(
		vfio_mock_add_device(mock, vfio_mock_add_group(mock, &without), NIC, 1, "vfio-pci"),
		"device");
	TEST_ASSERT_SUCCESS(
		vfio_mock_add_device(mock, vfio_mock_add_group(mock, &with), BEHIND, 1, "vfio-pci"),
		"device");
	odd_kernel_begin(mock);
	noiommu.kernel = &odd_kernel.table;
	return 0;
}

static int
setup(void)
{
	const struct dm_pin_conf conf = {.len = 1, .node = -1, .name = "test"};
	int rc;

	if (geteuid() != 0)
		return test_skip("only root may know physical addresses");
	iommu = NULL;
	pin = NULL;
	rc = make_mock();
	if (rc < 0 || OPS->open(&noiommu, &iommu) < 0)
		return TEST_FAILED;
	if (dm_pin_alloc(&conf, &pin) < 0)
		return test_skip("no hugepage is free");
	return dm_phys_of(pin->va, pin->len, &phys) < 0 ? TEST_FAILED : TEST_SUCCESS;
}

static void
teardown(void)
{
	dm_pin_free(pin);
	if (iommu != NULL)
		OPS->close(iommu);
	if (mock != NULL && vfio_mock_destroy(mock) < 0)
		printf("  something is left open in the mock\n");
	mock = NULL;
}

static int
knows_where_a_hugepage_is(void)
{
	uint64_t inside;

	TEST_ASSERT(phys != 0 && phys % pin->page_size == 0, "%#" PRIx64, phys);
	TEST_ASSERT_SUCCESS(
		dm_phys_of(RTE_PTR_ADD(pin->va, 5 * PAGE), 2 * PAGE, &inside), "inside");
	TEST_ASSERT_EQUAL(inside, phys + 5 * PAGE, "%#" PRIx64, inside);
	return TEST_SUCCESS;
}

static int
refuses_memory_in_no_hugepage(void)
{
	void *va = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	uint64_t where;
	int rc;

	TEST_ASSERT(va != MAP_FAILED, "mmap");
	test_log_begin();
	rc = dm_phys_of(va, PAGE, &where);
	TEST_ASSERT(test_logged("is not in a hugepage: compaction and swapping move base pages"),
		"log");
	munmap(va, 4 * PAGE);
	TEST_ASSERT_EQUAL(rc, -EINVAL, "%d", rc);
	return TEST_SUCCESS;
}

/**
 * Map two pages of one file, the second before the first. So at most one of the two orders is
 * physically contiguous.
 */
static int
refuses_memory_that_is_scattered(void)
{
	const size_t page = pin->page_size;
	int fd = dm_hugepage_file(page, "test"), rc[2];
	uint64_t where;
	char *va, *room;

	TEST_ASSERT(fd >= 0 && ftruncate(fd, 2 * page) == 0, "file");
	room = mmap(NULL, 5 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	TEST_ASSERT(room != MAP_FAILED, "mmap");
	va = RTE_PTR_ALIGN_CEIL(room, page);
	if (mmap(va, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return test_skip("fewer than two further hugepages are free");
	TEST_ASSERT(mmap(va + 2 * page, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			    0) != MAP_FAILED,
		"mmap");
	memset(va, 1, 3 * page);
	test_log_begin();
	rc[0] = dm_phys_of(va, 2 * page, &where); /* page 0, page 1 */
	rc[1] = dm_phys_of(va + page, 2 * page, &where); /* page 1, page 0 */
	munmap(room, 5 * page);
	close(fd);
	TEST_ASSERT(strstr(test_log_end(),
			    "is not physically contiguous with the page before it") != NULL,
		"log");
	TEST_ASSERT(rc[0] == -EINVAL || rc[1] == -EINVAL, "%d, %d", rc[0], rc[1]);
	return TEST_SUCCESS;
}

static int
refuses_memory_that_is_not_there(void)
{
	void *va = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t where;
	int rc = dm_phys_of(va, PAGE, &where);

	munmap(va, PAGE);
	TEST_ASSERT_EQUAL(rc, -EFAULT, "%d", rc);
	return TEST_SUCCESS;
}

static int
says_that_addresses_are_hidden(void)
{
	uint64_t where;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (pid == 0) {
		void *va = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		status = dm_phys_of(va, PAGE, &where);
		/* pagemap itself may be unreadable for other users, too. */
		_exit(status == -EPERM || status == -EACCES ? 0 : 3);
	}
	TEST_ASSERT(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "child");
	TEST_ASSERT_EQUAL(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
	return TEST_SUCCESS;
}

static int
warns_at_each_attach(void)
{
	struct dm_iommu_domain *dom;
	struct dm_iommu_dev *dev;
	unsigned int i;
	int rc;

	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	TEST_ASSERT_SUCCESS(OPS->dev_get(iommu, NIC, &dev), "dev_get");
	TEST_ASSERT_EQUAL(dev->group, 0, "%d", dev->group);
	for (i = 0; i < 2; i++) {
		test_log_begin();
		rc = OPS->attach(dom, dev);
		TEST_ASSERT(test_logged(NIC ": not behind an IOMMU: it can read and write all"),
			"attach %u", i);
		TEST_ASSERT_SUCCESS(rc, "attach %u: %d", i, rc);
		TEST_ASSERT_EQUAL(odd_kernel.open_files, 3, "%u", odd_kernel.open_files);
		OPS->detach(dom, dev);
	}
	TEST_ASSERT_EQUAL(odd_kernel.open_files, 1, "%u", odd_kernel.open_files);
	vfio_mock_fail_all(mock, 1u << VFIO_MOCK_SET_IOMMU, EPERM);
	test_log_begin();
	rc = OPS->attach(dom, dev);
	TEST_ASSERT(test_logged(NIC ": without an IOMMU it takes CAP_SYS_RAWIO"), "log");
	TEST_ASSERT_EQUAL(rc, -EPERM, "%d", rc);
	OPS->dev_put(dev);
	OPS->domain_destroy(dom);
	return TEST_SUCCESS;
}

static int
leaves_devices_alone_that_have_an_iommu(void)
{
	struct dm_iommu_dev *dev;
	int rc;

	test_log_begin();
	rc = OPS->dev_get(iommu, BEHIND, &dev);
	TEST_ASSERT(test_logged(BEHIND ": it is behind an IOMMU"), "log");
	TEST_ASSERT_EQUAL(rc, -EINVAL, "%d", rc);
	return TEST_SUCCESS;
}

/** As a kernel without CONFIG_VFIO_NOIOMMU, or with the mode off. */
static int
deny_noiommu(int fd, unsigned long request, uintptr_t param)
{
	if (request == VFIO_CHECK_EXTENSION && param == VFIO_NOIOMMU_IOMMU)
		return 0;
	return odd_kernel_pass(fd, request, param);
}

static int
says_how_to_switch_the_mode_on(void)
{
	struct dm_iommu *other;
	int rc;

	odd_kernel.ioctl = deny_noiommu;
	test_log_begin();
	rc = OPS->open(&noiommu, &other);
	TEST_ASSERT(test_logged("echo 1 > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode"),
		"log");
	TEST_ASSERT_EQUAL(rc, -ENODEV, "%d", rc);
	return TEST_SUCCESS;
}

static int
maps_nowhere_but_at_the_physical_address(void)
{
	struct dm_iommu_domain *dom;
	uint64_t done;

	TEST_ASSERT_SUCCESS(OPS->domain_create(iommu, &dom), "domain_create");
	TEST_ASSERT_SUCCESS(OPS->map(dom, phys, pin->va, pin->len, DMAMAP_RW), "map");
	TEST_ASSERT_SUCCESS(OPS->unmap(dom, phys, pin->len, &done), "unmap");
	TEST_ASSERT_EQUAL(done, pin->len, "%" PRIu64, done);
	TEST_ASSERT_EQUAL(
		OPS->map(dom, phys + PAGE, pin->va, pin->len, DMAMAP_RW), -EFAULT, "map elsewhere");
	OPS->domain_destroy(dom);
	return TEST_SUCCESS;
}

static int
gives_a_container_physical_addresses(void)
{
	const struct dmamap_zone_conf zone = {.len = 1};
	rte_iova_t iova = phys + pin->len;
	struct dmamap_zone *z;
	uint64_t where;
	struct dmamap_container *c;
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(dmamap_container_create(&noiommu, &c), "create");
	TEST_ASSERT_EQUAL(dmamap_map(c, pin->va, pin->len, DMAMAP_RW | DMAMAP_FIXED, &iova),
		-EINVAL, "map at another address");
	TEST_ASSERT_SUCCESS(dmamap_map(c, pin->va, pin->len, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_EQUAL(iova, phys, "%#" PRIx64, iova);
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, RTE_PTR_ADD(pin->va, 100)), phys + 100, "va2iova");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &zone, &z), "zone");
	TEST_ASSERT_SUCCESS(dm_phys_of(dmamap_zone_va(z), dmamap_zone_len(z), &where), "phys");
	TEST_ASSERT_EQUAL(dmamap_zone_iova(z), where, "zone at %#" PRIx64, dmamap_zone_iova(z));
	/* The replay maps them at the same addresses. */
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, NIC, &d), "attach");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, pin->len), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_EQUAL(odd_kernel.open_files, 0, "%u", odd_kernel.open_files);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"knows where a hugepage is", knows_where_a_hugepage_is},
	{"refuses memory that is in no hugepage", refuses_memory_in_no_hugepage},
	{"refuses memory that is scattered", refuses_memory_that_is_scattered},
	{"refuses memory that is not there", refuses_memory_that_is_not_there},
	{"says that addresses are hidden", says_that_addresses_are_hidden},
	{"warns at each attach", warns_at_each_attach},
	{"leaves devices alone that have an IOMMU", leaves_devices_alone_that_have_an_iommu},
	{"says how to switch the mode on", says_how_to_switch_the_mode_on},
	{"maps nowhere but at the physical address", maps_nowhere_but_at_the_physical_address},
	{"gives a container physical addresses", gives_a_container_physical_addresses},
};

REGISTER_TEST_SUITE(noiommu_suite) = {
	.name = "noiommu",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
