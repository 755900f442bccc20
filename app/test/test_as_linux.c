/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of containers with as_linux: a FIXED alias that Linux accepts is accepted. On the mock
 * kernel, by type1 and by iommufd.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "child.h"
#include "machine.h"
#include "test.h"

#define IOVA UINT64_C(0x40000000)
/** An address without memory; this mock does not look at memory. */
#define NOWHERE UINT64_C(0x100000000000)
/**
 * Linux before this version does not unmap the last page of 64 bits (fact 18 of
 * doc/conformance.md).
 */
#define LINUX VFIO_MOCK_LINUX(6, 18)

/** The backend of the running case. */
static enum dmamap_backend backend;

/**
 * The usual machine as another Linux version, with an IOMMU of 64 bits added (wide0), and a
 * container c.
 */
static int
begin(bool no_memory, bool as_linux)
{
	const struct vfio_mock_iommu_conf wide = {.aperture = {0, UINT64_MAX}};
	const struct vfio_mock_conf machine = {.linux_version = LINUX, .no_memory = no_memory};
	struct dmamap_container_conf conf = {.backend = backend, .as_linux = as_linux};
	struct vfio_mock_group_conf group = {0};

	TEST_ASSERT_SUCCESS(machine_remake(&machine, DMAMAP_SHARE), "machine");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	group.iommu = vfio_mock_add_iommu(mock, &wide);
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, vfio_mock_add_group(mock, &group), "wide0",
				    0, "vfio-pci"),
		"device");
	conf.kernel = vfio_mock_kernel(mock);
	return dmamap_container_create(&conf, &c);
}

static int
end(struct dmamap_device *d)
{
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "pages stay pinned");
	return machine_make_container(DMAMAP_SHARE);
}

static int
map_by(uint32_t flags, dmamap_iova_t iova, void *va, size_t len)
{
	return dmamap_map(c, va, len, flags | DMAMAP_FIXED | DMAMAP_ALIAS, &iova);
}

static int
map(dmamap_iova_t iova, void *va, size_t len)
{
	return map_by(DMAMAP_RW, iova, va, len);
}

static int
a_mapped_iova_is_refused(void)
{
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(begin(false, true), "begin");
	d = machine_attach("nic0");
	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_SUCCESS(map(IOVA, buf, MB2), "map");
	test_log_begin();
	TEST_ASSERT_EQUAL(map(IOVA, buf + MB2, MB2), -EEXIST, "other memory");
	TEST_ASSERT(test_logged("overlaps the mapping [0x40000000, 0x401fffff]"), "log");
	test_log_begin();
	TEST_ASSERT_EQUAL(map(IOVA, buf, MB2), -EEXIST, "the same memory");
	TEST_ASSERT_EQUAL(map(IOVA + MB2 - KB4, buf, MB2), -EEXIST, "over its end");
	test_log_end();
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA goes elsewhere");
	TEST_ASSERT_SUCCESS(map(IOVA + MB2, buf, MB2), "the same memory beside it");
	TEST_ASSERT(machine_reaches("nic0", IOVA + MB2, buf, MB2), "DMA");
	return end(d);
}

/** One call unmaps whole mappings, but no parts and no holes. Each call is one kernel call. */
static int
several_mappings_are_unmapped_at_once(void)
{
	const enum vfio_mock_call call =
		backend == DMAMAP_BACKEND_TYPE1 ? VFIO_MOCK_UNMAP : VFIO_MOCK_IOAS_UNMAP;
	struct dmamap_device *d;
	uint64_t calls;
	unsigned int i;

	TEST_ASSERT_SUCCESS(begin(false, true), "begin");
	d = machine_attach("nic0");
	TEST_ASSERT_NOT_NULL(d, "attach");
	for (i = 0; i < 4; i++)
		TEST_ASSERT_SUCCESS(map(i * MB2, buf + (3 - i) * MB2, MB2), "map %u", i);
	calls = vfio_mock_calls(mock, call);
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_unmap(c, 0, 2 * MB2 + KB4), -EINVAL, "a part");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, KB4, MB2), -EINVAL, "from inside");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, 0, 5 * MB2), -ENOENT, "beyond the end");
	test_log_end();
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, call), calls, "the kernel was asked");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, MB2, 3 * MB2), "three");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, call), calls + 1, "calls");
	TEST_ASSERT(machine_reaches("nic0", 0, buf + 3 * MB2, MB2), "the first is gone");
	TEST_ASSERT(!machine_reaches("nic0", MB2, buf + 2 * MB2, MB2), "the second is not");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, 0, MB2), "the first");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "mappings");
	return end(d);
}

/** Mapped without a device, then replayed: page 0, aliases, read-only maps. */
static int
maps_come_before_the_device(void)
{
	struct dmamap_device *d;
	char byte = 1;

	TEST_ASSERT_SUCCESS(begin(false, true), "begin");
	TEST_ASSERT_SUCCESS(map(0, buf, MB2), "page 0");
	TEST_ASSERT_SUCCESS(map(IOVA, buf, MB2), "alias");
	TEST_ASSERT_SUCCESS(map_by(DMAMAP_READ, 2 * IOVA, buf + MB2, KB4), "read only");
	TEST_ASSERT_SUCCESS(map(3 * IOVA, buf, KB4), "one that goes");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, 3 * IOVA, KB4), "unmap");
	d = machine_attach("nic0");
	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT(machine_reaches("nic0", 0, buf, MB2), "page 0");
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "alias");
	TEST_ASSERT_SUCCESS(vfio_mock_dma_read(mock, "nic0", 2 * IOVA, &byte, 1), "read only");
	TEST_ASSERT_EQUAL(
		vfio_mock_dma_write(mock, "nic0", 2 * IOVA, &byte, 1), -EFAULT, "written");
	TEST_ASSERT_EQUAL(
		vfio_mock_dma_read(mock, "nic0", 3 * IOVA, &byte, 1), -EFAULT, "it is there");
	return end(d);
}

/** The kernel decides about memory that the process may only read. */
static int
access_is_for_the_kernel_to_judge(void)
{
	char *read_only, *absent, byte = 1;
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(begin(false, true), "begin");
	read_only = mmap(NULL, KB4, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	absent = mmap(NULL, KB4, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(read_only != MAP_FAILED && absent != MAP_FAILED, "memory");
	d = machine_attach("nic0");
	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_SUCCESS(map_by(DMAMAP_READ, IOVA, read_only, KB4), "to read what can be read");
	TEST_ASSERT_SUCCESS(vfio_mock_dma_read(mock, "nic0", IOVA, &byte, 1), "DMA");
	TEST_ASSERT_SUCCESS(map_by(DMAMAP_WRITE, 2 * IOVA, buf, KB4), "to write only");
	byte = 7;
	TEST_ASSERT_SUCCESS(vfio_mock_dma_write(mock, "nic0", 2 * IOVA, &byte, 1), "DMA");
	TEST_ASSERT_EQUAL(buf[0], 7, "written");
	test_log_begin();
	TEST_ASSERT_EQUAL(
		map(3 * IOVA, read_only, KB4), -EFAULT, "to write what cannot be written");
	TEST_ASSERT_EQUAL(map(3 * IOVA, absent, KB4), -EFAULT, "what is not there");
	test_log_end();
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 2, "mappings");
	TEST_ASSERT_SUCCESS(map(3 * IOVA, buf, KB4), "the IOVAs are free again");
	munmap(read_only, KB4);
	munmap(absent, KB4);
	return end(d);
}

/**
 * A BAR has no pages: type1 maps it, iommufd returns EFAULT. The library neither touches nor checks
 * the memory before the kernel call.
 */
static int
memory_is_not_touched(void)
{
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(begin(true, true), "begin");
	d = machine_attach("nic0");
	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_SUCCESS(map(IOVA, (void *)NOWHERE, MB2), "by a kernel that takes it");
	vfio_mock_fail(mock, 1u << VFIO_MOCK_MAP | 1u << VFIO_MOCK_IOAS_MAP, 1, EFAULT);
	test_log_begin();
	TEST_ASSERT_EQUAL(map(2 * IOVA, (void *)NOWHERE, MB2), -EFAULT, "by one that does not");
	TEST_ASSERT(test_logged(backend == DMAMAP_BACKEND_IOMMUFD
				    ? "type1 maps BARs, iommufd does not\n"
				    : "allows the access\n"),
		"log");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 1, "mappings");
	TEST_ASSERT_SUCCESS(map(2 * IOVA, (void *)NOWHERE, MB2), "the IOVAs are free again");
	return end(d);
}

/** Up to the aperture's end, at the end of 64 bits, too. */
static int
lengths_and_addresses_reach_the_end(void)
{
	const dmamap_iova_t last_page = UINT64_MAX - (KB4 - 1);
	const uint64_t aperture = UINT64_C(1) << 39;
	struct dmamap_device *d;
	char *const va = (void *)NOWHERE;

	TEST_ASSERT_SUCCESS(begin(true, true), "begin");
	d = machine_attach("narrow0");
	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_SUCCESS(map(0, va, UINT64_C(1) << 32), "all of 32 bits");
	TEST_ASSERT_EQUAL(dmamap_iova2va(c, UINT32_MAX), va + UINT32_MAX, "the last byte");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, 0, UINT64_C(1) << 32), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");

	TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "container");
	TEST_ASSERT_SUCCESS(begin(true, true), "begin");
	d = machine_attach("odd0");
	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_SUCCESS(map(0x8100000, va, aperture - 0x8100000), "all above the hole");
	TEST_ASSERT_SUCCESS(map(0, va, 0x8000000), "all below");
	TEST_ASSERT_EQUAL(
		dmamap_iova2va(c, aperture - 1), va + (aperture - 0x8100000 - 1), "the last byte");
	TEST_ASSERT_NULL(dmamap_iova2va(c, aperture), "beyond");
	test_log_begin();
	TEST_ASSERT_EQUAL(map(aperture, va, KB4), -ERANGE, "beyond");
	test_log_end();
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, 0x8100000, aperture - 0x8100000), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, 0, 0x8000000), "unmap");

	d = machine_attach("wide0");
	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_SUCCESS(map(last_page, va, KB4), "the last page");
	TEST_ASSERT_EQUAL(dmamap_iova2va(c, UINT64_MAX), va + KB4 - 1, "the last byte");
	TEST_ASSERT_SUCCESS(map(UINT64_C(1) << 63, va, UINT64_C(1) << 46), "2^46 bytes");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, UINT64_C(1) << 63, UINT64_C(1) << 46), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, last_page, KB4), "unmap");
	test_log_begin();
	TEST_ASSERT_EQUAL(map(last_page, va, 2 * KB4), -EINVAL, "around the end");
	test_log_end();
	return end(d);
}

/** iommufd does not count entries; type1 refuses maps beyond its limit. */
static int
seventy_thousand_mappings(void)
{
	const unsigned int wanted = 70000;
	const unsigned int most = backend == DMAMAP_BACKEND_TYPE1 ? 65535 : wanted;
	struct dmamap_device *d, *second;
	unsigned int i;
	int rc = 0;

	TEST_ASSERT_SUCCESS(begin(true, true), "begin");
	d = machine_attach("nic0");
	TEST_ASSERT_NOT_NULL(d, "attach");
	/* No two maps can be joined: every second page, all of the same memory. */
	test_log_begin();
	for (i = 0; i < wanted && rc == 0; i++)
		rc = map(IOVA + 2 * i * KB4, (void *)NOWHERE, KB4);
	test_log_end();
	TEST_ASSERT_EQUAL(rc, most < wanted ? -ENOSPC : 0, "%d", rc);
	TEST_ASSERT_EQUAL(
		machine_info().n_mappings, most, "%" PRIu64 " mappings", machine_info().n_mappings);
	TEST_ASSERT_EQUAL(machine_info().entries_left, most < wanted ? 0 : UINT64_MAX, "entries");
	second = machine_attach("odd0");
	TEST_ASSERT_NOT_NULL(second, "a second IOMMU");
	TEST_ASSERT_SUCCESS(dmamap_container_refresh(c), "refresh");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(second), "detach");
	for (i = 0; i < most && rc != -EIO; i++)
		TEST_ASSERT_SUCCESS(dmamap_unmap(c, IOVA + 2 * i * KB4, KB4), "unmap %u", i);
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "mappings");
	return end(d);
}

/** In a child with a small RLIMIT_MEMLOCK and no privilege. */
static int
map_beyond_the_limit(const void *arg __rte_unused)
{
	struct dmamap_device *d;
	dmamap_iova_t iova;
	unsigned int as_linux;
	int rc;

	if (machine_limit_memory(16 * KB4) < 0)
		return test_skip("RLIMIT_MEMLOCK cannot be lowered");
	for (as_linux = 0; as_linux < 2; as_linux++) {
		TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "container");
		TEST_ASSERT_SUCCESS(begin(false, as_linux), "begin");
		TEST_ASSERT_SUCCESS(map(0x10000000, buf, KB4), "map before the device");
		d = machine_attach("nic0");
		TEST_ASSERT_NOT_NULL(d, "attach");
		iova = IOVA;
		/* The mock kernel charges no memory, so it accepts what the limit would refuse. */
		test_log_begin();
		rc = dmamap_map(c, buf + MB2, MB2, DMAMAP_RW | DMAMAP_FIXED, &iova);
		TEST_ASSERT(strstr(test_log_end(), "RLIMIT_MEMLOCK") != NULL || as_linux, "log");
		TEST_ASSERT_EQUAL(rc, as_linux ? 0 : -ENOMEM, "%d", rc);
		if (as_linux) {
			/* If the kernel refuses, the line names a possible cause. */
			vfio_mock_fail(
				mock, 1u << VFIO_MOCK_MAP | 1u << VFIO_MOCK_IOAS_MAP, 1, ENOMEM);
			test_log_begin();
			TEST_ASSERT_EQUAL(map(2 * IOVA, buf + MB2, MB2), -ENOMEM, "refused");
			TEST_ASSERT(
				strstr(test_log_end(), "needs RLIMIT_MEMLOCK of") != NULL, "log");
			TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
			d = machine_attach("nic0");
			TEST_ASSERT_NOT_NULL(d, "replay beyond the limit");
		}
		TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
		TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	}
	return TEST_SUCCESS;
}

static int
locked_memory_is_for_the_kernel_to_count(void)
{
	return test_in_child(map_beyond_the_limit, NULL);
}

#define BY_BOTH(function)                                                                          \
	static int function##_type1(void)                                                          \
	{                                                                                          \
		backend = DMAMAP_BACKEND_TYPE1;                                                    \
		return function();                                                                 \
	}                                                                                          \
	static int function##_iommufd(void)                                                        \
	{                                                                                          \
		backend = DMAMAP_BACKEND_IOMMUFD;                                                  \
		return function();                                                                 \
	}

BY_BOTH(a_mapped_iova_is_refused)
BY_BOTH(several_mappings_are_unmapped_at_once)
BY_BOTH(maps_come_before_the_device)
BY_BOTH(access_is_for_the_kernel_to_judge)
BY_BOTH(memory_is_not_touched)
BY_BOTH(lengths_and_addresses_reach_the_end)
BY_BOTH(seventy_thousand_mappings)
BY_BOTH(locked_memory_is_for_the_kernel_to_count)

#define BOTH(text, function)                                                                       \
	{"type1: " text, function##_type1},                                                        \
	{                                                                                          \
		"iommufd: " text, function##_iommufd                                               \
	}

static const struct test_case cases[] = {
	BOTH("a mapped IOVA is refused", a_mapped_iova_is_refused),
	BOTH("several mappings are unmapped at once", several_mappings_are_unmapped_at_once),
	BOTH("maps come before the device", maps_come_before_the_device),
	BOTH("access is for the kernel to judge", access_is_for_the_kernel_to_judge),
	BOTH("memory is not touched", memory_is_not_touched),
	BOTH("lengths and addresses reach the end", lengths_and_addresses_reach_the_end),
	BOTH("70,000 mappings", seventy_thousand_mappings),
	BOTH("locked memory is for the kernel to count", locked_memory_is_for_the_kernel_to_count),
};

REGISTER_TEST_SUITE(as_linux_suite) = {
	.name = "as_linux",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown,
};
