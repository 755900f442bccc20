/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests that devices reach the EAL's memory, including memory that is added later. On the mock
 * kernel, with an EAL whose heap grows.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <rte_memzone.h>

#include <vfio_mock.h>

#include "test.h"
#include "vfio_pci_private.h"

#define MB2 ((size_t)2 << 20)
#define NIC "nic"
#define NIC2 "nic2"
/* More than the heap has left, in whole pages and including the heap's own headers. */
#define GROWTH (4 * MB2 - 4096)

static struct vfio_mock *machine;
static struct dmamap_container *box;
static struct dmamap_device *nic;
static struct vfio_pci_mem *mem;

/** A machine with a NIC behind an IOMMU that translates up to `last`, attached to a container. */
static int
make_machine(rte_iova_t last, unsigned int entry_limit)
{
	const struct vfio_mock_conf conf = {.entry_limit = entry_limit};
	const struct vfio_mock_iommu_conf iommu = {.aperture = {0, last}};
	struct vfio_mock_group_conf group = {0};
	struct dmamap_container_conf cconf = {.name = "box", .backend = DMAMAP_BACKEND_TYPE1};

	if (vfio_mock_create(&conf, &machine) < 0)
		return -1;
	group.iommu = vfio_mock_add_iommu(machine, &iommu);
	if (vfio_mock_add_device(
		    machine, vfio_mock_add_group(machine, &group), NIC2, -1, "vfio-pci") < 0)
		return -1;
	cconf.kernel = vfio_mock_kernel(machine);
	if (vfio_mock_add_device(
		    machine, vfio_mock_add_group(machine, &group), NIC, -1, "vfio-pci") < 0 ||
		dmamap_container_create(&cconf, &box) < 0)
		return -1;
	return dmamap_container_attach(box, NIC, &nic);
}

static void
drop_machine(void)
{
	if (mem != NULL)
		vfio_pci_mem_leave(mem);
	if (nic != NULL)
		dmamap_container_detach(nic);
	if (box != NULL)
		dmamap_container_destroy(box);
	if (machine != NULL)
		vfio_mock_destroy(machine);
	mem = NULL;
	nic = NULL;
	box = NULL;
	machine = NULL;
}

static int
setup(void)
{
	/* 48 bits or more, since an EAL under a sanitizer has its memory at high addresses. */
	return make_machine((UINT64_C(1) << 48) - 1, 0);
}

static struct dmamap_container_info
info(void)
{
	struct dmamap_container_info i = {0};

	dmamap_container_info(box, &i);
	return i;
}

/** Whether the NIC reaches memory at IOVA = VA, for reads and writes. */
static bool
reaches(char *va, size_t len)
{
	static const char sent[] = "by the device";
	char got[sizeof(sent)] = "";

	memset(va, 0, len);
	return vfio_mock_dma_write(machine, NIC, (uintptr_t)va, sent, sizeof(sent)) == 0 &&
		strcmp(va, sent) == 0 &&
		vfio_mock_dma_read(
			machine, NIC, (uintptr_t)va + len - sizeof(got), got, sizeof(got)) == 0;
}

static int
compare_page(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	uint64_t *len = arg;
	const char *last = RTE_PTR_ADD(ms->addr, ms->len - 1);

	if (msl->external || dmamap_va2iova(box, ms->addr) != ms->iova ||
		dmamap_va2iova(box, last) != ms->iova + ms->len - 1)
		return 1;
	*len += ms->len;
	return 0;
}

/** Bytes of the EAL's memory, all mapped at IOVA = VA; 0: some are not. */
static uint64_t
all_mapped(void)
{
	uint64_t len = 0;

	return rte_memseg_walk(compare_page, &len) == 0 ? len : 0;
}

static size_t
heap_len(void)
{
	struct rte_malloc_socket_stats stats = {0};

	rte_malloc_get_socket_stats(rte_socket_id(), &stats);
	return stats.heap_totalsz_bytes;
}

static int
existing_memory_is_mapped(void)
{
	const struct rte_memzone *zone;
	char *small = rte_malloc(NULL, 64, 0);

	zone = rte_memzone_reserve("bus_mem", 3 * MB2, SOCKET_ID_ANY, 0);
	TEST_ASSERT(small != NULL && zone != NULL, "no memory");
	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
	TEST_ASSERT_EQUAL(all_mapped(), info().mapped_len, "not all is mapped, or more");
	TEST_ASSERT(info().n_mappings < info().mapped_len / MB2,
		"%" PRIu64 " mappings for %" PRIu64 " bytes", info().n_mappings, info().mapped_len);
	TEST_ASSERT(reaches(small, 64) && reaches(zone->addr, zone->len), "out of reach");
	TEST_ASSERT_EQUAL(zone->iova, (uintptr_t)zone->addr, "the EAL expects another IOVA");

	TEST_ASSERT(
		vfio_pci_mem_has(mem, zone->addr, zone->iova, zone->len), "not said to be there");
	TEST_ASSERT(!vfio_pci_mem_has(mem, zone->addr, zone->iova + MB2, MB2), "at another IOVA");
	TEST_ASSERT(!vfio_pci_mem_has(mem, zone->addr, zone->iova, (size_t)1 << 40), "too long");
	vfio_pci_mem_leave(mem);
	mem = NULL;
	TEST_ASSERT(info().n_mappings == 0 && info().reservation_len == 0, "something was left");
	rte_memzone_free(zone);
	rte_free(small);
	return TEST_SUCCESS;
}

static int
added_memory_is_one_mapping_and_stays(void)
{
	uint64_t n_before;
	size_t grown;
	char *large;

	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
	n_before = info().n_mappings;
	large = rte_malloc(NULL, heap_len() + GROWTH, 0);
	TEST_ASSERT_NOT_NULL(large, "the heap does not grow");
	TEST_ASSERT_EQUAL(info().n_mappings, n_before + 1, "%" PRIu64 " mappings after %" PRIu64,
		info().n_mappings, n_before);
	TEST_ASSERT(reaches(large, GROWTH), "out of reach");

	grown = heap_len();
	rte_free(large);
	TEST_ASSERT_EQUAL(heap_len(), grown, "the heap shrank below a device");
	TEST_ASSERT_EQUAL(all_mapped(), info().mapped_len, "not all is mapped");
	large = rte_malloc(NULL, GROWTH, 0);
	TEST_ASSERT_EQUAL(heap_len(), grown, "what was free is not used again");

	vfio_pci_mem_leave(mem);
	mem = NULL;
	rte_free(large);
	TEST_ASSERT(heap_len() < grown, "the heap does not shrink without devices");
	TEST_ASSERT_EQUAL(info().mapped_len, 0u, "something was left");
	return TEST_SUCCESS;
}

static int
the_eals_addresses_are_reserved_for_it(void)
{
	const struct rte_memzone *zone = rte_memzone_reserve("bus_mem", 64, SOCKET_ID_ANY, 0);
	const struct rte_memseg_list *msl;
	struct dmamap_range all;
	rte_iova_t iova;

	TEST_ASSERT_NOT_NULL(zone, "no memory");
	msl = rte_mem_virt2memseg_list(zone->addr);
	all = (struct dmamap_range){
		(uintptr_t)msl->base_va, (uintptr_t)msl->base_va + msl->len - 1};
	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
	TEST_ASSERT_EQUAL(dmamap_iova_reserve(box, 4096, 0, all, &iova), -ENOSPC,
		"IOVA 0x%" PRIx64 " of the EAL's memory is given out", iova);
	vfio_pci_mem_leave(mem);
	mem = NULL;
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(box, 4096, 0, all, &iova), "not given back");

	test_log_begin();
	TEST_ASSERT_EQUAL(vfio_pci_mem_join(box, NIC, &mem), -EEXIST, "taken IOVAs do not matter");
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "IOVAs of the EAL's memory are in use"), "no line");
	TEST_ASSERT_EQUAL(info().n_mappings, 0u, "something was left");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(box, iova, 4096), "something else was given back");
	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "nor do they when given back");
	rte_memzone_free(zone);
	return TEST_SUCCESS;
}

static int
memory_beyond_the_aperture_is_refused_with_advice(void)
{
	char *small = rte_malloc(NULL, 64, 0);
	const char *log;

	TEST_ASSERT_NOT_NULL(small, "no memory");
	drop_machine();
	TEST_ASSERT_SUCCESS(make_machine(UINT32_MAX, 0), "machine");
	test_log_begin();
	TEST_ASSERT_EQUAL(
		vfio_pci_mem_join(box, NIC, &mem), -ERANGE, "memory above 4 GiB is mapped");
	log = test_log_end();
	TEST_ASSERT_NOT_NULL(
		strstr(log, "--base-virtaddr=0x40000000, or give eal_memory=0"), "%s", log);
	TEST_ASSERT_NULL(strchr(strchr(log, '\n') + 1, '\n'), "more than a line: %s", log);
	TEST_ASSERT(info().n_mappings == 0 && info().reservation_len == 0, "something was left");
	rte_free(small);
	return TEST_SUCCESS;
}

static int
growth_out_of_the_devices_reach_is_vetoed(void)
{
	char *small = rte_malloc(NULL, 64, 0), *large;
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(small);
	const size_t before = heap_len();
	const char *log;

	TEST_ASSERT_NOT_NULL(small, "no memory");
	drop_machine();
	TEST_ASSERT_SUCCESS(make_machine((uintptr_t)msl->base_va + 32 * MB2 - 1, 0), "machine");
	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
	test_log_begin();
	large = rte_malloc(NULL, before + GROWTH, 0);
	log = test_log_end();
	TEST_ASSERT_NULL(large, "the heap grew");
	TEST_ASSERT_NOT_NULL(strstr(log, "where devices cannot reach it"), "%s", log);
	TEST_ASSERT_EQUAL(heap_len(), before, "the heap changed");
	rte_free(small);
	return TEST_SUCCESS;
}

static int
growth_without_an_entry_left_is_vetoed(void)
{
	char *small = rte_malloc(NULL, 64, 0), *large;
	const size_t before = heap_len();
	uint64_t entries;
	const char *log;

	TEST_ASSERT_NOT_NULL(small, "no memory");
	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
	entries = info().n_mappings;
	drop_machine();
	TEST_ASSERT_SUCCESS(make_machine((UINT64_C(1) << 48) - 1, entries), "machine");
	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
	test_log_begin();
	large = rte_malloc(NULL, before + GROWTH, 0);
	log = test_log_end();
	TEST_ASSERT_NULL(large, "the heap grew");
	TEST_ASSERT_NOT_NULL(strstr(log, "needs 1 map entries"), "%s", log);
	TEST_ASSERT_EQUAL(heap_len(), before, "the heap changed");
	TEST_ASSERT_EQUAL(all_mapped(), info().mapped_len, "not all is mapped");
	rte_free(small);
	return TEST_SUCCESS;
}

static int
memory_that_the_kernel_refused_is_retried(void)
{
	const size_t more = heap_len() + GROWTH;
	char *first, *second;
	const char *log;

	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
	vfio_mock_fail_all(machine, 1u << VFIO_MOCK_MAP, ENOMEM);
	test_log_begin();
	first = rte_malloc(NULL, more, 0);
	log = test_log_end();
	/* The EAL does not ask for consent here: it has got the memory already. */
	TEST_ASSERT_NOT_NULL(first, "no memory");
	TEST_ASSERT_NOT_NULL(strstr(log, "devices cannot reach the EAL's new memory"), "%s", log);
	TEST_ASSERT(!reaches(first, GROWTH), "what is not mapped is reached");

	test_log_begin();
	second = rte_malloc(NULL, more + heap_len(), 0);
	log = test_log_end();
	TEST_ASSERT_NULL(second, "more memory is had");
	TEST_ASSERT_NOT_NULL(
		strstr(log, "no more memory: some of its memory is not mapped"), "%s", log);

	vfio_mock_fail_all(machine, 1u << VFIO_MOCK_MAP, 0);
	second = rte_malloc(NULL, heap_len() + GROWTH, 0);
	TEST_ASSERT_NOT_NULL(second, "no memory once the kernel maps again");
	TEST_ASSERT(reaches(first, GROWTH) && reaches(second, GROWTH), "out of reach");
	TEST_ASSERT_EQUAL(all_mapped(), info().mapped_len, "not all is mapped");
	rte_free(first);
	rte_free(second);
	return TEST_SUCCESS;
}

static int
a_join_that_fails_leaves_nothing(void)
{
	char *small = rte_malloc(NULL, 64, 0);

	TEST_ASSERT_NOT_NULL(small, "no memory");
	vfio_mock_fail(machine, 1u << VFIO_MOCK_MAP, 1, ENOMEM);
	TEST_ASSERT_EQUAL(vfio_pci_mem_join(box, NIC, &mem), -ENOMEM, "join");
	TEST_ASSERT(info().n_mappings == 0 && info().reservation_len == 0, "something was left");
	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "it cannot be had again");
	rte_free(small);
	return TEST_SUCCESS;
}

static int
external_memory_is_mapped_and_unmapped(void)
{
	char *area = mmap(NULL, 3 * MB2, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	char *va = RTE_PTR_ALIGN_CEIL(area, MB2);
	rte_iova_t iova = UINT64_C(0x500000000000);
	uint64_t n_before;

	TEST_ASSERT(area != MAP_FAILED, "no memory");
	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
	n_before = info().n_mappings;
	TEST_ASSERT_SUCCESS(rte_malloc_heap_create("others"), "heap");
	TEST_ASSERT_SUCCESS(rte_malloc_heap_memory_add("others", va, MB2, &iova, 1, MB2), "add");
	TEST_ASSERT_EQUAL(dmamap_va2iova(box, va + 4096), iova + 4096, "not at the IOVA given");
	TEST_ASSERT_SUCCESS(rte_malloc_heap_memory_remove("others", va, MB2), "remove");
	TEST_ASSERT_EQUAL(dmamap_va2iova(box, va), RTE_BAD_IOVA, "still mapped");
	TEST_ASSERT_EQUAL(info().n_mappings, n_before, "other mappings came or went");
	TEST_ASSERT_SUCCESS(rte_malloc_heap_destroy("others"), "destroy");
	munmap(area, 3 * MB2);
	return TEST_SUCCESS;
}

/** Add 2 MiB from `va` on to an external heap, with `iova` as their IOVA. @return the log */
static const char *
add_others(char *va, rte_iova_t iova)
{
	int rc;

	test_log_begin();
	rc = rte_malloc_heap_create("others") < 0
		? -1
		: rte_malloc_heap_memory_add("others", va, MB2, &iova, 1, MB2);
	return rc < 0 ? "it was not added" : test_log_end();
}

static int
external_memory_out_of_reach_vetoes_nothing(void)
{
	static const rte_iova_t near = UINT64_C(0x500000000000), far = UINT64_C(1) << 52;
	char *area = mmap(NULL, 3 * MB2, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	char *va = RTE_PTR_ALIGN_CEIL(area, MB2), *large;
	unsigned int i;
	const char *log;

	TEST_ASSERT(area != MAP_FAILED, "no memory");
	/* Once permanently out of reach, once only for now. */
	for (i = 0; i < 2; i++) {
		TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
		if (i == 1)
			vfio_mock_fail(machine, 1u << VFIO_MOCK_MAP, 1, ENOMEM);
		log = add_others(va, i == 0 ? far : near);
		TEST_ASSERT_NOT_NULL(
			strstr(log, "devices cannot reach the EAL's new memory"), "%s", log);
		TEST_ASSERT_EQUAL(dmamap_va2iova(box, va), RTE_BAD_IOVA, "it is mapped");

		/* The retry fails again. */
		if (i == 1)
			vfio_mock_fail(machine, 1u << VFIO_MOCK_MAP, 1, ENOMEM);
		test_log_begin();
		large = rte_malloc(NULL, heap_len() + GROWTH, 0);
		log = test_log_end();
		TEST_ASSERT_NOT_NULL(
			large, "case %u: the EAL's own heap does not grow: %s", i, log);
		TEST_ASSERT(reaches(large, GROWTH), "out of reach");
		TEST_ASSERT(
			i == 1 || log[0] == '\0', "tried again, though in vain for ever: %s", log);
		TEST_ASSERT_EQUAL(dmamap_va2iova(box, va), i == 0 ? RTE_BAD_IOVA : near,
			"case %u: not tried again, or mapped elsewhere", i);
		TEST_ASSERT_SUCCESS(rte_malloc_heap_memory_remove("others", va, MB2), "remove");
		TEST_ASSERT_SUCCESS(rte_malloc_heap_destroy("others"), "destroy");
		TEST_ASSERT_EQUAL(all_mapped(), info().mapped_len, "not all is mapped, or more");
		/* Without devices the heap shrinks again. */
		vfio_pci_mem_leave(mem);
		mem = NULL;
		rte_free(large);
	}
	munmap(area, 3 * MB2);
	return TEST_SUCCESS;
}

static int
two_containers_map_the_eals_memory(void)
{
	struct dmamap_container_conf conf = {.name = "other",
		.backend = DMAMAP_BACKEND_TYPE1,
		.kernel = vfio_mock_kernel(machine)};
	struct dmamap_container *other;
	struct dmamap_device *nic2;
	struct vfio_pci_mem *theirs;
	char *large;

	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &other), "create");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(other, NIC2, &nic2), "attach");
	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(other, NIC, &theirs), "the other's join");
	large = rte_malloc(NULL, heap_len() + GROWTH, 0);
	TEST_ASSERT_EQUAL(dmamap_va2iova(box, large), (uintptr_t)large, "first");
	TEST_ASSERT_EQUAL(dmamap_va2iova(other, large), (uintptr_t)large, "second");
	vfio_pci_mem_leave(theirs);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic2), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	TEST_ASSERT(reaches(large, GROWTH), "the first lost it with the second");
	rte_free(large);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"existing memory is mapped", existing_memory_is_mapped},
	{"added memory is one mapping and stays", added_memory_is_one_mapping_and_stays},
	{"the EAL's addresses are reserved for it", the_eals_addresses_are_reserved_for_it},
	{"memory beyond the aperture is refused with advice",
		memory_beyond_the_aperture_is_refused_with_advice},
	{"growth out of the devices' reach is vetoed", growth_out_of_the_devices_reach_is_vetoed},
	{"growth without an entry left is vetoed", growth_without_an_entry_left_is_vetoed},
	{"memory that the kernel refused is retried", memory_that_the_kernel_refused_is_retried},
	{"a join that fails leaves nothing", a_join_that_fails_leaves_nothing},
	{"external memory is mapped and unmapped", external_memory_is_mapped_and_unmapped},
	{"external memory out of reach vetoes nothing",
		external_memory_out_of_reach_vetoes_nothing},
	{"two containers map the EAL's memory", two_containers_map_the_eals_memory},
};

REGISTER_TEST_SUITE(bus_mem) = {
	.name = "bus_mem",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = drop_machine,
	.needs_eal = true,
	.needs_hugepages = true,
};
