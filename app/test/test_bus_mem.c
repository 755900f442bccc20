/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Do devices reach the EAL's memory, wherever it is and whenever it comes? On the software model,
 * with an EAL whose heap grows.
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

#include <dmamap_model.h>

#include "test.h"
#include "vfio_pci_private.h"

#define MB2 ((size_t)2 << 20)
#define NIC "nic"
#define NIC2 "nic2"
/* More than a heap has left, in whole pages and with the heap's own words. */
#define GROWTH (4 * MB2 - 4096)

static struct dmamap_model *machine;
static struct dmamap_container *box;
static struct dmamap_device *nic;
static struct vfio_pci_mem *mem;

/** A machine with a NIC behind an IOMMU that translates up to `last`, attached to a container. */
static int
make_machine(rte_iova_t last, unsigned int entry_limit)
{
	const struct dmamap_model_conf conf = {.entry_limit = entry_limit};
	const struct dmamap_model_iommu_conf iommu = {.aperture = {0, last}};
	struct dmamap_model_group_conf group = {0};
	struct dmamap_container_conf cconf = {.name = "box", .backend = DMAMAP_BACKEND_MODEL};

	if (dmamap_model_create(&conf, &machine) < 0)
		return -1;
	group.iommu = dmamap_model_add_iommu(machine, &iommu);
	if (dmamap_model_add_device(
		    machine, dmamap_model_add_group(machine, &group), NIC2, -1, "vfio-pci") < 0)
		return -1;
	cconf.model = machine;
	if (dmamap_model_add_device(
		    machine, dmamap_model_add_group(machine, &group), NIC, -1, "vfio-pci") < 0 ||
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
		dmamap_model_destroy(machine);
	mem = NULL;
	nic = NULL;
	box = NULL;
	machine = NULL;
}

static int
setup(void)
{
	/* Wide, since an EAL below a sanitizer has its memory high up. */
	return make_machine((UINT64_C(1) << 48) - 1, 0);
}

static struct dmamap_container_info
info(void)
{
	struct dmamap_container_info i = {0};

	dmamap_container_info(box, &i);
	return i;
}

/** Does the NIC reach it at its own address, both ways? */
static bool
reaches(char *va, size_t len)
{
	static const char sent[] = "by the device";
	char got[sizeof(sent)] = "";

	memset(va, 0, len);
	return dmamap_model_dma_write(machine, NIC, (uintptr_t)va, sent, sizeof(sent)) == 0 &&
		strcmp(va, sent) == 0 &&
		dmamap_model_dma_read(
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

/** Bytes of the EAL's that are mapped where it expects them; 0: some are not. */
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
what_is_there_is_mapped(void)
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
	TEST_ASSERT(info().n_mappings == 0 && info().taken_len == 0, "something was left");
	rte_memzone_free(zone);
	rte_free(small);
	return TEST_SUCCESS;
}

static int
what_comes_later_is_one_mapping_and_stays(void)
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
nobody_else_gets_the_eals_addresses(void)
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
	TEST_ASSERT_EQUAL(dmamap_iova_take(box, 4096, 0, all, &iova), -ENOSPC,
		"IOVA 0x%" PRIx64 " of the EAL's memory is given out", iova);
	vfio_pci_mem_leave(mem);
	mem = NULL;
	TEST_ASSERT_SUCCESS(dmamap_iova_take(box, 4096, 0, all, &iova), "not given back");

	test_log_begin();
	TEST_ASSERT_EQUAL(vfio_pci_mem_join(box, NIC, &mem), -EEXIST, "taken IOVAs do not matter");
	TEST_ASSERT_NOT_NULL(strstr(test_log_end(), "where the EAL's memory belongs"), "no line");
	TEST_ASSERT_EQUAL(info().n_mappings, 0u, "something was left");
	TEST_ASSERT_SUCCESS(dmamap_iova_give(box, iova, 4096), "something else was given back");
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
	TEST_ASSERT(info().n_mappings == 0 && info().taken_len == 0, "something was left");
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
what_the_kernel_refuses_is_not_forgotten(void)
{
	const size_t more = heap_len() + GROWTH;
	char *first, *second;
	const char *log;

	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
	dmamap_model_fail_all(machine, 1u << DMAMAP_MODEL_MAP, ENOMEM);
	test_log_begin();
	first = rte_malloc(NULL, more, 0);
	log = test_log_end();
	/* The EAL asks nobody once it has the memory. */
	TEST_ASSERT_NOT_NULL(first, "no memory");
	TEST_ASSERT_NOT_NULL(strstr(log, "devices cannot reach the EAL's new memory"), "%s", log);
	TEST_ASSERT(!reaches(first, GROWTH), "what is not mapped is reached");

	test_log_begin();
	second = rte_malloc(NULL, more + heap_len(), 0);
	log = test_log_end();
	TEST_ASSERT_NULL(second, "more memory is had");
	TEST_ASSERT_NOT_NULL(strstr(log, "no more memory before all that it has"), "%s", log);

	dmamap_model_fail_all(machine, 1u << DMAMAP_MODEL_MAP, 0);
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
	dmamap_model_fail(machine, 1u << DMAMAP_MODEL_MAP, 1, ENOMEM);
	TEST_ASSERT_EQUAL(vfio_pci_mem_join(box, NIC, &mem), -ENOMEM, "join");
	TEST_ASSERT(info().n_mappings == 0 && info().taken_len == 0, "something was left");
	TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "it cannot be had again");
	rte_free(small);
	return TEST_SUCCESS;
}

static int
memory_of_others_comes_and_goes(void)
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

/** Give a heap of others two megabytes from `va` on, which devices are to find at `iova`. @return
 * What was logged. */
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
memory_of_others_that_no_device_reaches_vetoes_nothing(void)
{
	static const rte_iova_t near = UINT64_C(0x500000000000), far = UINT64_C(1) << 52;
	char *area = mmap(NULL, 3 * MB2, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	char *va = RTE_PTR_ALIGN_CEIL(area, MB2), *large;
	unsigned int i;
	const char *log;

	TEST_ASSERT(area != MAP_FAILED, "no memory");
	/* Once it is out of reach for ever, once only for now. */
	for (i = 0; i < 2; i++) {
		TEST_ASSERT_SUCCESS(vfio_pci_mem_join(box, NIC, &mem), "join");
		if (i == 1)
			dmamap_model_fail(machine, 1u << DMAMAP_MODEL_MAP, 1, ENOMEM);
		log = add_others(va, i == 0 ? far : near);
		TEST_ASSERT_NOT_NULL(
			strstr(log, "devices cannot reach the EAL's new memory"), "%s", log);
		TEST_ASSERT_EQUAL(dmamap_va2iova(box, va), RTE_BAD_IOVA, "it is mapped");

		/* When it is tried again, it is in vain once more. */
		if (i == 1)
			dmamap_model_fail(machine, 1u << DMAMAP_MODEL_MAP, 1, ENOMEM);
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
two_containers_both_follow(void)
{
	struct dmamap_container_conf conf = {
		.name = "other", .backend = DMAMAP_BACKEND_MODEL, .model = machine};
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
	{"what is there is mapped", what_is_there_is_mapped},
	{"what comes later is one mapping and stays", what_comes_later_is_one_mapping_and_stays},
	{"nobody else gets the EAL's addresses", nobody_else_gets_the_eals_addresses},
	{"memory beyond the aperture is refused with advice",
		memory_beyond_the_aperture_is_refused_with_advice},
	{"growth out of the devices' reach is vetoed", growth_out_of_the_devices_reach_is_vetoed},
	{"growth without an entry left is vetoed", growth_without_an_entry_left_is_vetoed},
	{"what the kernel refuses is not forgotten", what_the_kernel_refuses_is_not_forgotten},
	{"a join that fails leaves nothing", a_join_that_fails_leaves_nothing},
	{"memory of others comes and goes", memory_of_others_comes_and_goes},
	{"memory of others that no device reaches vetoes nothing",
		memory_of_others_that_no_device_reaches_vetoes_nothing},
	{"two containers both follow", two_containers_both_follow},
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
