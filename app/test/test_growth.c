/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of libdmamap with very many devices, mappings, registrations and aliases: results, and
 * numbers of kernel calls. No case depends on a clock; the benchmarks measure times. Also where
 * large memory finds IOVAs.
 *
 * This mock kernel does not look at memory, so most addresses are made up.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "machine.h"
#include "odd_kernel.h"
#include "test.h"

#define GIB (UINT64_C(1) << 30)
/** Addresses without memory: page i of block k. No two pages are adjacent. */
#define PAGE_AT(k, i) ((void *)(uintptr_t)((UINT64_C(1) << 40) * (k) + (uint64_t)(i)*2 * KB4))

static struct vfio_mock *many;

/**
 * Make a machine with n devices, each alone in its group behind one IOMMU, and a container c on it.
 */
static int
make_many(const struct vfio_mock_conf *conf, const struct vfio_mock_iommu_conf *iommu,
	unsigned int n, enum dmamap_backend backend)
{
	struct dmamap_container_conf cc = {.backend = backend};
	struct vfio_mock_group_conf group = {0};
	unsigned int i;
	char name[16];

	TEST_ASSERT_SUCCESS(vfio_mock_create(conf, &many), "mock");
	group.iommu = vfio_mock_add_iommu(many, iommu);
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "dev%u", i);
		TEST_ASSERT_SUCCESS(vfio_mock_add_device(many, vfio_mock_add_group(many, &group),
					    name, -1, "vfio-pci"),
			"device");
	}
	cc.kernel = vfio_mock_kernel(many);
	return dmamap_container_create(&cc, &c);
}

static int
make_usual(unsigned int n)
{
	static const struct vfio_mock_conf conf = {.no_memory = true};

	return make_many(&conf, NULL, n, DMAMAP_BACKEND_TYPE1);
}

static int
setup(void)
{
	/* Quadratic cost exceeds this time; SIGALRM then ends the case. */
	alarm(240);
	c = NULL;
	many = NULL;
	return 0;
}

static void
teardown(void)
{
	alarm(0);
	dmamap_container_destroy(c);
	if (many != NULL)
		vfio_mock_destroy(many);
	c = NULL;
}

static int
attach_many(
	struct dmamap_container *to, unsigned int first, unsigned int n, struct dmamap_device **d)
{
	unsigned int i;
	char name[16];

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "dev%u", first + i);
		TEST_ASSERT_SUCCESS(dmamap_container_attach(to, name, &d[first + i]), "%s", name);
	}
	return 0;
}

static int
detach_many(struct dmamap_device **d, unsigned int n)
{
	while (n-- > 0)
		TEST_ASSERT_SUCCESS(dmamap_container_detach(d[n]), "detach %u", n);
	return 0;
}

static uint64_t
kernel_calls(void)
{
	uint64_t n = 0;
	int kind;

	for (kind = 0; kind < VFIO_MOCK_CLOSE; kind++)
		n += vfio_mock_calls(many, kind);
	return n;
}

static struct dmamap_device *devices[1000];

/**
 * 1,000 devices: attach, FIXED map, map and container_info cost the same kernel calls as with few.
 */
static int
cost_does_not_grow_with_a_thousand_devices(void)
{
	struct dmamap_container_info info;
	uint64_t early, late, before;
	rte_iova_t iova;
	unsigned int i;

	TEST_ASSERT_SUCCESS(make_usual(1000), "machine");
	TEST_ASSERT_SUCCESS(attach_many(c, 0, 100, devices), "attach");
	before = kernel_calls();
	TEST_ASSERT_SUCCESS(attach_many(c, 100, 100, devices), "attach");
	early = kernel_calls() - before;
	TEST_ASSERT_SUCCESS(attach_many(c, 200, 700, devices), "attach");
	before = kernel_calls();
	TEST_ASSERT_SUCCESS(attach_many(c, 900, 100, devices), "attach");
	late = kernel_calls() - before;
	TEST_ASSERT_EQUAL(late, early,
		"100 attaches cost %" PRIu64 " calls among 100, %" PRIu64 " among 900", early,
		late);
	info = machine_info();
	TEST_ASSERT(info.n_devices == 1000 && info.n_groups == 1000 && info.n_domains == 1,
		"%u devices, %u groups, %u domains", info.n_devices, info.n_groups, info.n_domains);
	before = kernel_calls();
	for (i = 0; i < 100; i++) {
		iova = (UINT64_C(1) << 38) + i * KB4;
		TEST_ASSERT_SUCCESS(
			dmamap_map(c, PAGE_AT(1, i), KB4, DMAMAP_RW | DMAMAP_FIXED, &iova),
			"FIXED");
		TEST_ASSERT_EQUAL(iova, (UINT64_C(1) << 38) + i * KB4, "elsewhere");
	}
	for (; i < 200; i++)
		TEST_ASSERT_SUCCESS(dmamap_map(c, PAGE_AT(1, i), KB4, DMAMAP_RW, &iova), "map");
	for (i = 0; i < 10000; i++)
		info = machine_info();
	TEST_ASSERT_EQUAL(kernel_calls() - before, 200, "%" PRIu64 " calls for 200 maps",
		kernel_calls() - before);
	TEST_ASSERT_EQUAL(info.n_mappings, 200, "mappings");
	TEST_ASSERT_EQUAL(dmamap_domain_by_device(c, "dev999"), 0, "by device");
	return detach_many(devices, 1000);
}

/** 65,535 mappings, then -ENOSPC. One call unmaps all of them. */
static int
all_entries_can_be_mapped(void)
{
	struct dmamap_container_info info;
	rte_iova_t iova, first = 0x1000000;
	unsigned int i;
	uint64_t before;

	TEST_ASSERT_SUCCESS(make_usual(1), "machine");
	TEST_ASSERT_SUCCESS(attach_many(c, 0, 1, devices), "attach");
	for (i = 0; i < 65535; i++) {
		iova = first + i * KB4;
		TEST_ASSERT_SUCCESS(
			dmamap_map(c, PAGE_AT(1, i), KB4, DMAMAP_RW | DMAMAP_FIXED, &iova),
			"map %u", i);
	}
	info = machine_info();
	TEST_ASSERT(info.n_mappings == 65535 && info.entries_left == 0 && info.map_calls == 65535,
		"%" PRIu64 " mappings, %" PRIu64 " entries left", info.n_mappings,
		info.entries_left);
	iova = 0;
	TEST_ASSERT_EQUAL(dmamap_map(c, PAGE_AT(2, 0), KB4, DMAMAP_RW, &iova), -ENOSPC, "one more");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, PAGE_AT(1, 65534)), first + 65534 * KB4, "translation");
	before = machine_info().unmap_calls;
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, first, 65535 * KB4), "unmap");
	TEST_ASSERT_EQUAL(machine_info().unmap_calls - before, 1, "unmap calls");
	TEST_ASSERT_EQUAL(machine_info().entries_left, 65535, "entries left");
	return detach_many(devices, 1);
}

static int
touch(void *va, size_t len, uint32_t flags, rte_iova_t *iova)
{
	struct dmamap_registration *r;
	int rc = dmamap_register(c, va, len, flags, iova, &r);

	return rc == 0 ? dmamap_deregister(r) : rc;
}

static int
make_promised(unsigned int n)
{
	TEST_ASSERT_SUCCESS(make_usual(n), "machine");
	TEST_ASSERT_SUCCESS(attach_many(c, 0, n, devices), "attach");
	return dmamap_registration_cache(c, DMAMAP_CACHE_PROMISED, UINT64_C(1) << 40);
}

/** 65,535 idle registrations and no entry left: one more registration succeeds, and most stay. */
static int
one_registration_too_many_evicts_a_few(void)
{
	uint64_t before, left;
	rte_iova_t iova;
	unsigned int i;

	TEST_ASSERT_SUCCESS(make_promised(1), "container");
	for (i = 0; i < 65535; i++)
		TEST_ASSERT_SUCCESS(touch(PAGE_AT(1, i), KB4, DMAMAP_RW, &iova), "register %u", i);
	TEST_ASSERT_EQUAL(machine_info().entries_left, 0, "entries left");
	before = machine_info().unmap_calls;
	TEST_ASSERT_SUCCESS(touch(PAGE_AT(1, 65535), KB4, DMAMAP_RW, &iova), "one more");
	left = machine_info().n_mappings;
	TEST_ASSERT(left > 65000, "only %" PRIu64 " are left", left);
	TEST_ASSERT(machine_info().unmap_calls - before <= 64, "%" PRIu64 " unmap calls",
		machine_info().unmap_calls - before);
	return detach_many(devices, 1);
}

/** 20,000 aliases in use. Each is at another IOVA, and is found again. */
static int
twenty_thousand_aliases_are_in_use(void)
{
	enum { N = 20000 };
	static struct dmamap_registration *r[N];
	struct dmamap_registration *base;
	rte_iova_t iova, x;
	unsigned int i;
	uint64_t before;

	TEST_ASSERT_SUCCESS(make_usual(1), "machine");
	TEST_ASSERT_SUCCESS(attach_many(c, 0, 1, devices), "attach");
	TEST_ASSERT_SUCCESS(dmamap_register(c, PAGE_AT(1, 0), GIB, DMAMAP_READ, &x, &base), "base");
	for (i = 0; i < N; i++)
		TEST_ASSERT_SUCCESS(
			dmamap_register(c, PAGE_AT(1, i), KB4, DMAMAP_WRITE, &iova, &r[i]),
			"alias %u", i);
	before = machine_info().map_calls;
	TEST_ASSERT_EQUAL(before, N + 1, "map calls");
	for (i = 0; i < N; i += 7)
		TEST_ASSERT_SUCCESS(touch(PAGE_AT(1, i), 64, DMAMAP_WRITE, &iova), "again");
	TEST_ASSERT_EQUAL(machine_info().map_calls, before, "an alias in use was not found");
	for (i = 0; i < N; i++)
		TEST_ASSERT_SUCCESS(dmamap_deregister(r[i]), "deregister");
	TEST_ASSERT_SUCCESS(dmamap_deregister(base), "deregister");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "mappings");
	return detach_many(devices, 1);
}

/** Misses beside 50,000 idle registrations, without and with an idle alias among them. */
static int
a_miss_beside_fifty_thousand_idle_costs_one_map(void)
{
	struct dmamap_registration *base, *alias;
	rte_iova_t iova;
	unsigned int i;
	uint64_t before;

	TEST_ASSERT_SUCCESS(make_promised(1), "container");
	for (i = 0; i < 50000; i++)
		TEST_ASSERT_SUCCESS(touch(PAGE_AT(1, i), KB4, DMAMAP_RW, &iova), "register %u", i);
	before = kernel_calls();
	for (i = 0; i < 200; i++)
		TEST_ASSERT_SUCCESS(touch(PAGE_AT(2, i), KB4, DMAMAP_RW, &iova), "miss");
	TEST_ASSERT_EQUAL(kernel_calls() - before, 200, "calls of 200 misses");
	TEST_ASSERT_SUCCESS(
		dmamap_register(c, PAGE_AT(3, 0), 2 * KB4, DMAMAP_READ, &iova, &base), "base");
	TEST_ASSERT_SUCCESS(
		dmamap_register(c, PAGE_AT(3, 0), KB4, DMAMAP_WRITE, &iova, &alias), "alias");
	TEST_ASSERT_SUCCESS(dmamap_deregister(alias), "deregister");
	before = kernel_calls();
	for (i = 200; i < 400; i++)
		TEST_ASSERT_SUCCESS(touch(PAGE_AT(2, i), KB4, DMAMAP_RW, &iova), "miss");
	for (i = 0; i < 50000; i++)
		TEST_ASSERT_SUCCESS(touch(PAGE_AT(1, i), KB4, DMAMAP_RW, &iova), "hit");
	TEST_ASSERT_EQUAL(kernel_calls() - before, 200, "calls of 200 misses and 50,000 hits");
	TEST_ASSERT_SUCCESS(dmamap_deregister(base), "deregister");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 50000 + 400 + 2, "mappings");
	return detach_many(devices, 1);
}

/** Invalidate 2,000 idle registrations beside 20,000 plain mappings. */
static int
an_invalidation_leaves_plain_mappings(void)
{
	enum { N = 20000, IDLE = 2000 };
	struct dmamap_container_info info;
	rte_iova_t iova;
	unsigned int i;
	uint64_t before;

	TEST_ASSERT_SUCCESS(make_promised(1), "container");
	for (i = 0; i < N; i++)
		TEST_ASSERT_SUCCESS(dmamap_map(c, PAGE_AT(1, i), KB4, DMAMAP_RW, &iova), "map");
	for (i = 0; i < IDLE; i++)
		TEST_ASSERT_SUCCESS(touch(PAGE_AT(2, i), KB4, DMAMAP_RW, &iova), "register");
	before = machine_info().unmap_calls;
	TEST_ASSERT_SUCCESS(dmamap_invalidate(c, PAGE_AT(1, 0), UINT64_C(2) << 40), "invalidate");
	info = machine_info();
	TEST_ASSERT_EQUAL(info.n_mappings, N, "mappings");
	/* One call unmaps neighbours in IOVAs. */
	TEST_ASSERT(info.unmap_calls - before <= IDLE / 10, "%" PRIu64 " unmap calls",
		info.unmap_calls - before);
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, PAGE_AT(2, IDLE - 1)), RTE_BAD_IOVA, "still there");
	return detach_many(devices, 1);
}

/** Merge a container with 2,000 mappings into one with 800 devices. */
static int
a_merge_costs_a_map_for_each_mapping_and_domain(void)
{
	enum { D = 800, M = 2000 };
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1};
	struct dmamap_container *from;
	rte_iova_t iova;
	unsigned int i;
	uint64_t before;

	TEST_ASSERT_SUCCESS(make_usual(D + 1), "machine");
	conf.kernel = vfio_mock_kernel(many);
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &from), "create");
	TEST_ASSERT_SUCCESS(attach_many(c, 0, D, devices), "attach");
	TEST_ASSERT_SUCCESS(attach_many(from, D, 1, devices), "attach");
	for (i = 0; i < M; i++)
		TEST_ASSERT_SUCCESS(dmamap_map(from, PAGE_AT(1, i), KB4, DMAMAP_RW, &iova), "map");
	before = kernel_calls();
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, from), "merge");
	TEST_ASSERT_EQUAL(kernel_calls() - before, M, "%" PRIu64 " calls", kernel_calls() - before);
	TEST_ASSERT_EQUAL(machine_info().n_devices, D + 1, "devices");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, M, "mappings");
	TEST_ASSERT_EQUAL(machine_info().n_domains, 2, "domains");
	TEST_ASSERT_EQUAL(dmamap_domain_by_device(c, "dev800"), 1, "the device that came");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(from), "destroy");
	return detach_many(devices, D + 1);
}

/** 256 neighbours of 1 MiB that share pages are not pinned repeatedly. */
static int
neighbours_are_not_pinned_repeatedly(void)
{
	enum { N = 256 };
	const size_t stride = (1 << 20) + 16;
	char *base = (char *)PAGE_AT(1, 0) + 16;
	uint64_t pinned = 0, before, mapped;
	rte_iova_t iova;
	unsigned int i;

	TEST_ASSERT_SUCCESS(make_promised(1), "container");
	for (i = 0; i < N; i++) {
		before = machine_info().map_calls;
		mapped = machine_info().mapped_len;
		TEST_ASSERT_SUCCESS(
			touch(base + i * stride, stride - 16, DMAMAP_RW, &iova), "register");
		/* Newly mapped bytes: at least what was added, at most what is mapped. */
		if (machine_info().map_calls != before)
			pinned += machine_info().mapped_len > mapped
				? machine_info().mapped_len - mapped + 2 * stride
				: machine_info().mapped_len;
	}
	TEST_ASSERT(pinned <= 8 * N * stride, "%" PRIu64 " MiB pinned for %d MiB", pinned >> 20, N);
	return detach_many(devices, 1);
}

/* Placement of large memory */

/** LOW32 maps of 3.5 GiB, of 3.5 GiB FIXED, and of 1.5 GiB twice; buffers of 40 GiB. */
static int
large_memory_finds_a_place_without_its_alignment(void)
{
	static const struct vfio_mock_conf conf = {
		.no_memory = true, .linux_version = VFIO_MOCK_LINUX(6, 6)};
	char *const odd = (char *)(uintptr_t)(0x100000000000 + 0x3ff00000);
	const uint64_t len = 3 * GIB + GIB / 2;
	struct dmamap_container_info info;
	rte_iova_t iova = 0;
	unsigned int i;
	int rc = 0;

	TEST_ASSERT_SUCCESS(make_many(&conf, NULL, 1, DMAMAP_BACKEND_TYPE1), "machine");
	TEST_ASSERT_SUCCESS(attach_many(c, 0, 1, devices), "attach");
	info = machine_info();
	TEST_ASSERT((info.page_sizes & GIB) != 0 && info.backend == DMAMAP_BACKEND_TYPE1 &&
			info.ranges[info.n_ranges - 1].last == (UINT64_C(1) << 39) - 1,
		"page sizes 0x%" PRIx64, info.page_sizes);
	TEST_ASSERT_SUCCESS(
		dmamap_map(c, odd, len, DMAMAP_RW | DMAMAP_LOW32, &iova), "LOW32 3.5 GiB");
	TEST_ASSERT(iova + len - 1 <= UINT32_MAX, "0x%" PRIx64, iova);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, len), "unmap");
	iova = KB4;
	TEST_ASSERT_SUCCESS(dmamap_map(c, odd, len, DMAMAP_RW | DMAMAP_FIXED, &iova), "FIXED");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, len), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_map(c, (char *)(uintptr_t)(0x100000000000 + 0x39000000),
				    GIB + GIB / 2, DMAMAP_RW | DMAMAP_LOW32, &iova),
		"LOW32 1.5 GiB");
	TEST_ASSERT_SUCCESS(dmamap_map(c, (char *)(uintptr_t)(0x110000000000 + 0x13000000),
				    GIB + GIB / 2, DMAMAP_RW | DMAMAP_LOW32, &iova),
		"LOW32 another 1.5 GiB");
	for (i = 0; i < 20 && rc == 0; i++)
		rc = dmamap_map(c, (char *)(uintptr_t)(0x200000000000 + i * (40 * GIB + MB2)),
			40 * GIB, DMAMAP_RW, &iova);
	TEST_ASSERT(rc == -ENOSPC && i - 1 == 12, "%u buffers of 40 GiB fit, then %d", i - 1, rc);
	return detach_many(devices, 1);
}

/** Page sizes of all powers of two: 12 buffers fit; one buffer of 400 GiB, also FIXED at 8 GiB. */
static int
alignment_does_not_cause_enospc(void)
{
	static const struct vfio_mock_conf conf = {.no_memory = true};
	static const struct vfio_mock_iommu_conf iommu = {
		.aperture = {0, 512 * GIB - 1}, .page_sizes = ~UINT64_C(0xfff)};
	char *const beyond = (char *)(uintptr_t)(0x200000000000 + 120 * GIB);
	rte_iova_t iova = 0;
	unsigned int i;
	int rc = 0;

	TEST_ASSERT_SUCCESS(make_many(&conf, &iommu, 1, DMAMAP_BACKEND_TYPE1), "machine");
	TEST_ASSERT_SUCCESS(attach_many(c, 0, 1, devices), "attach");
	TEST_ASSERT_EQUAL(machine_info().page_sizes, ~UINT64_C(0xfff), "page sizes");
	for (i = 0; i < 20 && rc == 0; i++)
		rc = dmamap_map(c, (char *)(uintptr_t)(0x200000000000 + i * (40 * GIB + MB2)),
			40 * GIB, DMAMAP_RW, &iova);
	TEST_ASSERT(rc == -ENOSPC && i - 1 == 12, "%u buffers of 40 GiB fit, then %d", i - 1, rc);
	TEST_ASSERT_SUCCESS(detach_many(devices, 1), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_SUCCESS(vfio_mock_destroy(many), "mock");

	TEST_ASSERT_SUCCESS(make_many(&conf, &iommu, 1, DMAMAP_BACKEND_TYPE1), "machine");
	TEST_ASSERT_SUCCESS(attach_many(c, 0, 1, devices), "attach");
	iova = 0;
	TEST_ASSERT_SUCCESS(dmamap_map(c, beyond, 400 * GIB, DMAMAP_RW, &iova), "400 GiB");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 400 * GIB), "unmap");
	iova = 8 * GIB;
	TEST_ASSERT_SUCCESS(dmamap_map(c, beyond, 400 * GIB, DMAMAP_RW | DMAMAP_FIXED, &iova),
		"FIXED at 8 GiB");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, 400 * GIB), "unmap");
	return detach_many(devices, 1);
}

/** A device with a PCI segment of five digits is found by its requester ID. */
static int
a_segment_may_have_five_digits(void)
{
	static const struct vfio_mock_group_conf group = {0};
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(make_usual(0), "machine");
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(many, vfio_mock_add_group(many, &group),
				    "10000:01:00.0", -1, "vfio-pci"),
		"device");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, "10000:01:00.0", &d), "attach");
	TEST_ASSERT_EQUAL(dmamap_domain_by_rid(c, 0x10000, 1 << 8), 0, "by requester ID");
	TEST_ASSERT_EQUAL(dmamap_domain_by_rid(c, 0, 1 << 8), -ENODEV, "in segment 0");
	return dmamap_container_detach(d);
}

/** For a caller with a smaller structure nothing is written beyond it. */
static int
a_smaller_structure_is_not_overrun(void)
{
	struct {
		struct dmamap_container_info info;
		char guard[64];
	} small;
	unsigned int i;

	TEST_ASSERT_SUCCESS(make_usual(1), "machine");
	for (i = 0; i < sizeof(small); i++)
		((char *)&small)[i] = 0x5a;
	TEST_ASSERT_SUCCESS(dmamap_container_info_sized(c, &small.info, 8), "info");
	for (i = 8; i < sizeof(small); i++)
		TEST_ASSERT_EQUAL(((char *)&small)[i], 0x5a, "byte %u was written", i);
	TEST_ASSERT_SUCCESS(dmamap_container_info_sized(c, &small.info, sizeof(small)),
		"info for a newer caller");
	TEST_ASSERT_EQUAL(small.guard[0], 0, "what the library does not know is not zero");
	return 0;
}

/** As Linux before 5.4, which does not report usable IOVAs. */
static int
ioctl_without_ranges(int fd, unsigned long request, uintptr_t param)
{
	struct vfio_iommu_type1_info *info = (struct vfio_iommu_type1_info *)param;
	int rc = odd_kernel_pass(fd, request, param);

	if (rc == 0 && request == VFIO_IOMMU_GET_INFO)
		info->flags &= ~VFIO_IOMMU_INFO_CAPS;
	return rc;
}

/** Whether a page can be mapped at this IOVA. */
static bool
is_usable(rte_iova_t iova)
{
	if (dmamap_map(c, PAGE_AT(1, 0), KB4, DMAMAP_RW | DMAMAP_FIXED, &iova) < 0)
		return false;
	return dmamap_unmap(c, iova, KB4) == 0;
}

/**
 * dev0 and dev1 reserve the window, dev2 the odd range, dev3 nothing. They are detached one by one.
 */
static int
check_widened(const struct dmamap_kernel *kernel)
{
	const rte_iova_t window = 0xfee00000, odd = 0x8000000;
	struct dmamap_container_conf cc = {.backend = DMAMAP_BACKEND_TYPE1, .kernel = kernel};
	struct dmamap_device *d[4];

	TEST_ASSERT_SUCCESS(dmamap_container_create(&cc, &c), "container");
	TEST_ASSERT_SUCCESS(attach_many(c, 0, RTE_DIM(d), d), "attach");
	test_log_begin();
	TEST_ASSERT(!is_usable(window) && !is_usable(odd), "with all");
	dmamap_container_detach(d[1]);
	TEST_ASSERT(!is_usable(window), "dev0 reserves as dev1 did");
	dmamap_container_detach(d[2]);
	TEST_ASSERT(is_usable(odd), "only dev2 reserved it");
	TEST_ASSERT(!is_usable(window), "dev0 reserves it");
	dmamap_container_detach(d[0]);
	TEST_ASSERT(is_usable(window), "dev3 reserves nothing");
	test_log_end();
	dmamap_container_detach(d[3]);
	dmamap_container_destroy(c);
	c = NULL;
	return TEST_SUCCESS;
}

static int
ranges_are_usable_once_no_group_reserves_them(void)
{
	static const struct vfio_mock_resv msi = {{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI},
					   odd = {{0x8000000, 0x80fffff}, DMAMAP_RESERVED_BUS};
	const struct vfio_mock_resv *reserves[] = {&msi, &msi, &odd, NULL};
	static const struct vfio_mock_conf conf = {.no_memory = true};
	struct vfio_mock_group_conf group = {0};
	unsigned int i;
	char name[16];

	TEST_ASSERT_SUCCESS(vfio_mock_create(&conf, &many), "mock");
	group.iommu = vfio_mock_add_iommu(many, NULL);
	for (i = 0; i < RTE_DIM(reserves); i++) {
		group.resv = reserves[i];
		group.n_resv = reserves[i] != NULL;
		snprintf(name, sizeof(name), "dev%u", i);
		TEST_ASSERT_SUCCESS(vfio_mock_add_device(many, vfio_mock_add_group(many, &group),
					    name, -1, "vfio-pci"),
			"device");
	}
	TEST_ASSERT_SUCCESS(check_widened(vfio_mock_kernel(many)), "a kernel that tells ranges");
	odd_kernel_begin(many);
	odd_kernel.ioctl = ioctl_without_ranges;
	TEST_ASSERT_SUCCESS(check_widened(&odd_kernel.table), "a kernel that does not");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"cost does not grow with a thousand devices", cost_does_not_grow_with_a_thousand_devices},
	{"ranges are usable once no group reserves them",
		ranges_are_usable_once_no_group_reserves_them},
	{"all entries can be mapped", all_entries_can_be_mapped},
	{"one registration too many evicts a few", one_registration_too_many_evicts_a_few},
	{"twenty thousand aliases are in use", twenty_thousand_aliases_are_in_use},
	{"a miss beside fifty thousand idle costs one map",
		a_miss_beside_fifty_thousand_idle_costs_one_map},
	{"an invalidation leaves plain mappings", an_invalidation_leaves_plain_mappings},
	{"a merge costs a map for each mapping and domain",
		a_merge_costs_a_map_for_each_mapping_and_domain},
	{"neighbours are not pinned repeatedly", neighbours_are_not_pinned_repeatedly},
	{"large memory finds a place without its alignment",
		large_memory_finds_a_place_without_its_alignment},
	{"alignment does not cause ENOSPC", alignment_does_not_cause_enospc},
	{"a segment may have five digits", a_segment_may_have_five_digits},
	{"a smaller structure is not overrun", a_smaller_structure_is_not_overrun},
};

REGISTER_TEST_SUITE(growth) = {
	.name = "growth",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
