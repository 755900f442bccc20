/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of virtual containers on the mock kernel: what a program sees that goes beyond the
 * kernel's behaviour. The conformance suites test that they answer as the kernel does.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <rte_common.h>

#include "front_calls.h"
#include "test.h"

#define PAGE UINT64_C(4096)
#define PAGES 256
#define IOVA UINT64_C(0x10000000)
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static struct vfio_mock *mock;
static uint8_t *memory;
static char last_line[512];

/*
 * Groups 0 and 1 are behind one IOMMU, 2 is behind another of the same kind, 3 behind one that
 * translates 32 bits only. Group N has the device devN; group 0 also has twin.
 */
static int
machine(unsigned int linux_version)
{
	const struct vfio_mock_conf conf = {.linux_version = linux_version};
	static const int iommu_of[] = {0, 0, 1, 2};
	struct vfio_mock_iommu_conf iommu = {.enforces_coherency = true};
	char name[16];
	unsigned int i;

	TEST_ASSERT_SUCCESS(vfio_mock_create(&conf, &mock), "no mock");
	vfio_mock_add_iommu(mock, &iommu);
	vfio_mock_add_iommu(mock, &iommu);
	iommu.aperture = (struct dmamap_range){0, UINT32_MAX};
	vfio_mock_add_iommu(mock, &iommu);
	for (i = 0; i < RTE_DIM(iommu_of); i++) {
		const struct vfio_mock_resv msi = {{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI};
		const struct vfio_mock_group_conf group = {
			.iommu = iommu_of[i], .n_resv = 1, .resv = &msi};

		snprintf(name, sizeof(name), "dev%u", i);
		TEST_ASSERT_EQUAL(vfio_mock_add_group(mock, &group), (int)i, "group");
		TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, i, name, -1, "vfio-pci"), "device");
	}
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, 0, "twin", -1, "vfio-pci"), "device");
	return TEST_SUCCESS;
}

static void
keep_line(void *arg __rte_unused, enum dmamap_log_level level __rte_unused, const char *line)
{
	snprintf(last_line, sizeof(last_line), "%s", line);
}

static int
setup(void)
{
	memory = mmap(
		NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	last_line[0] = '\0';
	front_log_set(keep_line, NULL);
	return machine(VFIO_MOCK_LINUX(6, 12));
}

static void
teardown(void)
{
	front_calls_end();
	front_log_set(NULL, NULL);
	if (vfio_mock_destroy(mock) != 0)
		printf("  the mock is still in use\n");
	munmap(memory, PAGES * PAGE);
}

static int
begin(struct front_conf conf)
{
	return front_calls_begin(mock, conf);
}

/* Calls of the program */

static int
open_group(int number)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/vfio/%d", number);
	return front_calls_open(path);
}

static int
set_container(int g, int container)
{
	return front_calls_ioctl(g, VFIO_GROUP_SET_CONTAINER, (unsigned long)&container);
}

static int
open_device(int g, const char *name)
{
	return front_calls_ioctl(g, VFIO_GROUP_GET_DEVICE_FD, (unsigned long)name);
}

static int
map_at(int container, uint64_t iova, const void *va, uint64_t len)
{
	struct vfio_iommu_type1_dma_map map = {.argsz = sizeof(map),
		.flags = RW,
		.vaddr = (uintptr_t)va,
		.iova = iova,
		.size = len};

	return front_calls_ioctl(container, VFIO_IOMMU_MAP_DMA, (unsigned long)&map);
}

/** Map one page of `memory`; page 0 is at IOVA. */
static int
map_page(int container, unsigned int page)
{
	return map_at(container, IOVA + page * PAGE, memory + page * PAGE, PAGE);
}

/** @return unmapped bytes, or a negative errno */
static int64_t
unmap(int container, uint64_t iova, uint64_t len)
{
	struct vfio_iommu_type1_dma_unmap u = {.argsz = sizeof(u), .iova = iova, .size = len};
	int rc = front_calls_ioctl(container, VFIO_IOMMU_UNMAP_DMA, (unsigned long)&u);

	return rc < 0 ? rc : (int64_t)u.size;
}

/**
 * Open a container with groups 0 to n - 1 and set its type. @param g  out: descriptors of the
 * groups
 */
static int
open_container(int *g, unsigned int n, unsigned long type)
{
	int container = front_calls_open("/dev/vfio/vfio"), rc = container;
	unsigned int i;

	for (i = 0; i < n && rc >= 0; i++) {
		g[i] = open_group(i);
		rc = set_container(g[i], container);
		if (i == 0 && rc == 0)
			rc = front_calls_ioctl(container, VFIO_SET_IOMMU, type);
	}
	return rc < 0 ? rc : container;
}

/** Whether a device reaches a page of the memory at its IOVA, for reads and writes. */
static bool
reaches(const char *dev, unsigned int page)
{
	uint8_t *at = memory + page * PAGE, byte = 0;

	at[0] = page + 1;
	at[1] = 0;
	return vfio_mock_dma_read(mock, dev, IOVA + page * PAGE, &byte, 1) == 0 &&
		byte == (uint8_t)(page + 1) &&
		vfio_mock_dma_write(mock, dev, IOVA + page * PAGE + 1, &byte, 1) == 0 &&
		at[1] == byte;
}

static struct front_stats
stats(void)
{
	struct front_stats s;

	front_stats(&s);
	return s;
}

/* Cases */

static int
one_domain_adds_nothing(void)
{
	int container, g[1], d;

	TEST_ASSERT_SUCCESS(begin((struct front_conf){.backend = DMAMAP_BACKEND_TYPE1}), "begin");
	container = open_container(g, 1, VFIO_TYPE1_IOMMU);
	TEST_ASSERT(container >= 0, "%d", container);
	TEST_ASSERT_SUCCESS(map_page(container, 0), "map");
	d = open_device(g[0], "dev0");
	TEST_ASSERT(d >= 0, "device: %d", d);
	TEST_ASSERT(reaches("dev0", 0), "the device does not reach it");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_OPEN), 2u,
		"%" PRIu64 " files were opened, not 2", vfio_mock_calls(mock, VFIO_MOCK_OPEN));
	TEST_ASSERT_EQUAL(
		vfio_mock_calls(mock, VFIO_MOCK_SET_CONTAINER), 1u, "more than one SET_CONTAINER");
	TEST_ASSERT_EQUAL(
		vfio_mock_calls(mock, VFIO_MOCK_SET_IOMMU), 1u, "more than one SET_IOMMU");
	TEST_ASSERT_EQUAL(stats().n_domains, 1u, "%u domains", stats().n_domains);
	return TEST_SUCCESS;
}

static int
many_kernel_containers_are_one(void)
{
	static const char *const devs[] = {"dev0", "dev1", "dev2"};
	int container, g[3];
	unsigned int i;

	TEST_ASSERT_SUCCESS(
		begin((struct front_conf){.backend = DMAMAP_BACKEND_TYPE1, .isolate = true}),
		"begin");
	container = open_container(g, 2, VFIO_TYPE1_IOMMU);
	TEST_ASSERT(container >= 0, "%d", container);
	for (i = 0; i < 4; i++)
		TEST_ASSERT_SUCCESS(map_page(container, i), "map");
	g[2] = open_group(2);
	TEST_ASSERT_SUCCESS(set_container(g[2], container), "a late group");
	TEST_ASSERT_EQUAL(stats().n_domains, 3u, "%u domains", stats().n_domains);
	for (i = 0; i < 3; i++)
		TEST_ASSERT(open_device(g[i], devs[i]) >= 0, "%s", devs[i]);
	for (i = 0; i < 12; i++)
		TEST_ASSERT(reaches(devs[i % 3], i / 3), "%s does not reach page %u", devs[i % 3],
			i / 3);
	TEST_ASSERT_EQUAL(unmap(container, IOVA, 2 * PAGE), (int64_t)(2 * PAGE), "unmap");
	for (i = 0; i < 12; i++)
		TEST_ASSERT_EQUAL(
			reaches(devs[i % 3], i / 3), i / 3 >= 2, "%s, page %u", devs[i % 3], i / 3);
	return TEST_SUCCESS;
}

static int
a_hidden_one_is_the_container(void)
{
	int container, g[2], fd, hidden = -1;

	TEST_ASSERT_SUCCESS(
		begin((struct front_conf){.backend = DMAMAP_BACKEND_TYPE1, .isolate = true}),
		"begin");
	container = open_container(g, 2, VFIO_TYPE1v2_IOMMU);
	TEST_ASSERT(container >= 0, "%d", container);
	for (fd = front_next(0, INT32_MAX); fd >= 0; fd = front_next(fd + 1, INT32_MAX))
		if (front_kind(fd) == FRONT_HIDDEN)
			hidden = fd;
	TEST_ASSERT(hidden >= 0, "there is none");
	TEST_ASSERT_EQUAL(front_calls_close(hidden), -EBADF, "the program closed it");
	fd = hidden;
	TEST_ASSERT_SUCCESS(front_relocate(fd), "relocate");
	TEST_ASSERT_EQUAL(front_kind(fd), FRONT_NONE, "it has its number still");
	vfio_mock_close(mock, fd);
	for (hidden = front_next(0, INT32_MAX); front_kind(hidden) != FRONT_HIDDEN;)
		hidden = front_next(hidden + 1, INT32_MAX);
	TEST_ASSERT_SUCCESS(map_page(hidden, 0), "map by its number");
	TEST_ASSERT_EQUAL(map_page(container, 0), -EEXIST, "it is another container");
	TEST_ASSERT(open_device(g[0], "dev0") >= 0 && open_device(g[1], "dev1") >= 0, "devices");
	TEST_ASSERT(reaches("dev0", 0) && reaches("dev1", 0), "it is not mapped everywhere");
	return TEST_SUCCESS;
}

static int
a_hidden_one_can_be_lost(void)
{
	int container, g[2], hidden;

	TEST_ASSERT_SUCCESS(
		begin((struct front_conf){.backend = DMAMAP_BACKEND_TYPE1, .isolate = true}),
		"begin");
	container = open_container(g, 2, VFIO_TYPE1v2_IOMMU);
	TEST_ASSERT(container >= 0, "%d", container);
	for (hidden = front_next(0, INT32_MAX); front_kind(hidden) != FRONT_HIDDEN;)
		hidden = front_next(hidden + 1, INT32_MAX);
	/* As a program that closes all numbers by direct system calls. */
	front_forget(hidden);
	vfio_mock_close(mock, hidden);
	TEST_ASSERT_EQUAL(front_kind(hidden), FRONT_NONE, "it is known still");
	TEST_ASSERT(map_page(container, 0) < 0, "mapped in a domain that is out of reach");
	TEST_ASSERT_SUCCESS(front_calls_close(container), "close");
	return TEST_SUCCESS;
}

static int
pages_become_one_entry(void)
{
	int container, g[1];
	unsigned int i;

	TEST_ASSERT_SUCCESS(begin((struct front_conf){.coalesce = FRONT_COALESCE_START}), "begin");
	container = open_container(g, 1, VFIO_TYPE1_IOMMU);
	for (i = 0; i < PAGES; i++)
		TEST_ASSERT_SUCCESS(
			map_page(container, i % 2 == 0 ? i / 2 : PAGES - 1 - i / 2), "map %u", i);
	TEST_ASSERT_EQUAL(stats().n_maps, (uint64_t)PAGES, "maps");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_MAP), 0u,
		"the kernel was called before a device is open");
	TEST_ASSERT(open_device(g[0], "dev0") >= 0, "device");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_MAP), 1u, "%" PRIu64 " entries",
		vfio_mock_calls(mock, VFIO_MOCK_MAP));
	for (i = 0; i < PAGES; i++)
		TEST_ASSERT(reaches("dev0", i), "page %u", i);
	TEST_ASSERT_EQUAL(stats().n_entries, 1u, "entries");
	TEST_ASSERT_EQUAL(stats().saved, PAGES - 1u, "%" PRIu64 " calls saved", stats().saved);
	TEST_ASSERT_EQUAL(unmap(container, IOVA, PAGES * PAGE), (int64_t)(PAGES * PAGE), "unmap");
	TEST_ASSERT(stats().peak_maps == PAGES && stats().peak_entries == 1 && stats().n_maps == 0,
		"peaks");
	return TEST_SUCCESS;
}

static int
a_part_of_an_entry_is_unmapped(void)
{
	int container, g[1], d;
	unsigned int i;

	TEST_ASSERT_SUCCESS(begin((struct front_conf){.coalesce = FRONT_COALESCE_START}), "begin");
	container = open_container(g, 1, VFIO_TYPE1_IOMMU);
	for (i = 0; i < 8; i++)
		TEST_ASSERT_SUCCESS(map_page(container, i), "map %u", i);
	d = open_device(g[0], "dev0");
	TEST_ASSERT(d >= 0, "device: %d", d);
	TEST_ASSERT_EQUAL(unmap(container, IOVA + 3 * PAGE, PAGE), (int64_t)PAGE, "unmap one");
	for (i = 0; i < 8; i++)
		TEST_ASSERT(i == 3 || reaches("dev0", i), "page %u is out of reach", i);
	TEST_ASSERT_EQUAL(map_page(container, 3), -ENOSPC, "mapped into a hole");
	TEST_ASSERT_NOT_NULL(strstr(last_line, "--coalesce=off"), "%s", last_line);
	TEST_ASSERT_EQUAL(unmap(container, IOVA + 3 * PAGE, PAGE), 0, "unmap it again");
	/* No device is open: the entry is dissolved, and made again with the next open. */
	front_calls_close(d);
	TEST_ASSERT_SUCCESS(map_page(container, 3), "map into the hole");
	TEST_ASSERT_SUCCESS(map_page(container, 8), "map behind it");
	d = open_device(g[0], "dev0");
	for (i = 0; i < 9; i++)
		TEST_ASSERT(reaches("dev0", i), "page %u is out of reach", i);
	TEST_ASSERT_EQUAL(stats().n_entries, 1u, "%" PRIu64 " entries", stats().n_entries);
	TEST_ASSERT_EQUAL(unmap(container, IOVA, 9 * PAGE), (int64_t)(9 * PAGE), "unmap all");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0u, "memory stays pinned");
	return TEST_SUCCESS;
}

/** Returns the command register of dev0, 16 bits. */
static uint16_t *
command_of_dev0(void)
{
	const struct vfio_mock_device_conf conf = {
		.region[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = 256},
	};

	if (vfio_mock_describe_device(mock, "dev0", &conf) != 0)
		return NULL;
	return (uint16_t *)((uint8_t *)vfio_mock_region(
				    mock, "dev0", VFIO_PCI_CONFIG_REGION_INDEX) +
		4);
}

static int
later_maps_join_while_nothing_moves(void)
{
	int container, g[1];
	uint16_t *command;
	unsigned int i;

	command = command_of_dev0();
	TEST_ASSERT_NOT_NULL(command, "no configuration space");
	TEST_ASSERT_SUCCESS(begin((struct front_conf){.coalesce = FRONT_COALESCE_ALWAYS}), "begin");
	container = open_container(g, 1, VFIO_TYPE1_IOMMU);
	TEST_ASSERT(open_device(g[0], "dev0") >= 0, "device");
	for (i = 0; i < 64; i++) {
		TEST_ASSERT_SUCCESS(map_page(container, i), "map %u", i);
		TEST_ASSERT(reaches("dev0", i) && reaches("dev0", 0), "page %u is out of reach", i);
	}
	TEST_ASSERT_EQUAL(stats().n_entries, 1u, "%" PRIu64 " entries", stats().n_entries);
	TEST_ASSERT(stats().kernel_maps < 64 * 3, "%" PRIu64 " maps", stats().kernel_maps);
	/* The device may do DMA: existing entries are not changed any more. */
	*command = 4;
	for (i = 64; i < 72; i++)
		TEST_ASSERT_SUCCESS(map_page(container, i), "map %u", i);
	TEST_ASSERT_EQUAL(stats().n_entries, 9u, "%" PRIu64 " entries", stats().n_entries);
	for (i = 0; i < 72; i++)
		TEST_ASSERT(reaches("dev0", i), "page %u is out of reach", i);
	TEST_ASSERT_EQUAL(unmap(container, IOVA, 72 * PAGE), (int64_t)(72 * PAGE), "unmap");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0u, "memory stays pinned");
	return TEST_SUCCESS;
}

static int
other_memory_is_refused_aloud(void)
{
	struct front_refusal r;
	int container, g[1];

	TEST_ASSERT_SUCCESS(begin((struct front_conf){0}), "begin");
	container = open_container(g, 1, VFIO_TYPE1_IOMMU);
	TEST_ASSERT_SUCCESS(map_page(container, 0), "map");
	TEST_ASSERT_EQUAL(map_at(container, IOVA, memory + PAGE, PAGE), -EEXIST, "other memory");
	TEST_ASSERT_NOT_NULL(strstr(last_line, "overlaps a map of other memory"), "%s", last_line);
	TEST_ASSERT_EQUAL(map_at(container, IOVA, memory, PAGE), -EEXIST, "the same memory");
	TEST_ASSERT_NOT_NULL(strstr(last_line, "from the same memory"), "%s", last_line);
	TEST_ASSERT_EQUAL(map_at(container, 0xfee00000, memory, PAGE), -EINVAL, "MSI window");
	TEST_ASSERT_NOT_NULL(strstr(last_line, "group 0"), "%s", last_line);
	TEST_ASSERT_EQUAL(front_refusals(&r, 1), 1u, "no refusal is kept");
	TEST_ASSERT(r.number == 3 && r.err == EINVAL && strcmp(r.call, "VFIO_IOMMU_MAP_DMA") == 0,
		"%s", r.call);
	TEST_ASSERT_EQUAL(stats().refusals, 3u, "%" PRIu64 " refusals", stats().refusals);
	return TEST_SUCCESS;
}

static int
groups_leave_with_the_last_descriptor(void)
{
	int container, g[2], d, copy;

	TEST_ASSERT_SUCCESS(begin((struct front_conf){0}), "begin");
	container = open_container(g, 2, VFIO_TYPE1_IOMMU);
	TEST_ASSERT_SUCCESS(map_page(container, 0), "map");
	d = open_device(g[0], "dev0");
	TEST_ASSERT_SUCCESS(front_calls_close(g[1]), "close");
	TEST_ASSERT_EQUAL(stats().n_groups, 1u, "%u groups", stats().n_groups);
	copy = vfio_mock_kernel(mock)->dup(vfio_mock_kernel(mock)->arg, g[0]);
	TEST_ASSERT_SUCCESS(front_dup(g[0], copy), "dup");
	front_calls_close(g[0]);
	TEST_ASSERT(
		stats().n_groups == 1 && reaches("dev0", 0), "it left with one of two descriptors");
	front_calls_close(copy);
	TEST_ASSERT(
		stats().n_groups == 1 && reaches("dev0", 0), "it left, though a device is open");
	TEST_ASSERT_EQUAL(open_group(0), -EBUSY, "it can be opened");
	front_calls_close(d);
	TEST_ASSERT_EQUAL(stats().n_groups, 0u, "it is still there");
	TEST_ASSERT_EQUAL(map_page(container, 1), -EINVAL, "the container has a type still");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0u, "memory stays pinned");
	g[0] = open_group(0);
	TEST_ASSERT_SUCCESS(set_container(g[0], container), "the group comes back");
	TEST_ASSERT_SUCCESS(
		front_calls_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	TEST_ASSERT_SUCCESS(map_page(container, 0), "map");
	return TEST_SUCCESS;
}

static int
a_container_may_be_closed_first(void)
{
	int container, g[2], d;

	TEST_ASSERT_SUCCESS(
		begin((struct front_conf){.isolate = true, .backend = DMAMAP_BACKEND_TYPE1}),
		"begin");
	container = open_container(g, 2, VFIO_TYPE1_IOMMU);
	TEST_ASSERT_SUCCESS(map_page(container, 0), "map");
	d = open_device(g[1], "dev1");
	TEST_ASSERT_SUCCESS(front_calls_close(container), "close");
	TEST_ASSERT(reaches("dev1", 0), "the map went with the descriptor");
	TEST_ASSERT_EQUAL(
		front_calls_ioctl(container, VFIO_GET_API_VERSION, 0), -EBADF, "it is open");
	front_calls_close(d);
	front_calls_close(g[0]);
	front_calls_close(g[1]);
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0u, "memory stays pinned");
	TEST_ASSERT_EQUAL(stats().n_containers, 0u, "it is remembered");
	return TEST_SUCCESS;
}

static int
containers_are_apart(void)
{
	int a, b, g[2], d[2];

	TEST_ASSERT_SUCCESS(begin((struct front_conf){.coalesce = FRONT_COALESCE_START}), "begin");
	a = open_container(g, 1, VFIO_TYPE1_IOMMU);
	b = front_calls_open("/dev/vfio/vfio");
	g[1] = open_group(1);
	TEST_ASSERT_SUCCESS(set_container(g[1], b), "SET_CONTAINER");
	TEST_ASSERT_SUCCESS(front_calls_ioctl(b, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	TEST_ASSERT_SUCCESS(map_at(a, IOVA, memory, PAGE), "map");
	TEST_ASSERT_SUCCESS(map_at(b, IOVA, memory + PAGE, PAGE), "the same IOVA in the other");
	d[0] = open_device(g[0], "dev0");
	d[1] = open_device(g[1], "dev1");
	TEST_ASSERT(d[0] >= 0 && d[1] >= 0, "devices");
	memory[0] = 1;
	memory[PAGE] = 2;
	TEST_ASSERT(vfio_mock_dma_read(mock, "dev1", IOVA, last_line, 1) == 0 && last_line[0] == 2,
		"dev1");
	TEST_ASSERT(vfio_mock_dma_read(mock, "dev0", IOVA, last_line, 1) == 0 && last_line[0] == 1,
		"dev0");
	return TEST_SUCCESS;
}

static int
iommufd_pins_once(void)
{
	int container, g[3];

	TEST_ASSERT_SUCCESS(begin((struct front_conf){.backend = DMAMAP_BACKEND_IOMMUFD}), "begin");
	container = open_container(g, 3, VFIO_TYPE1_IOMMU);
	TEST_ASSERT(container >= 0, "%d", container);
	TEST_ASSERT_SUCCESS(map_at(container, IOVA, memory, 16 * PAGE), "map");
	TEST_ASSERT(open_device(g[0], "dev0") >= 0 && open_device(g[1], "dev1") >= 0 &&
			open_device(g[2], "dev2") >= 0,
		"devices");
	TEST_ASSERT(
		reaches("dev0", 3) && reaches("dev1", 3) && reaches("dev2", 3), "not everywhere");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 16 * PAGE, "%" PRIu64 " bytes locked",
		vfio_mock_locked(mock));
	return TEST_SUCCESS;
}

/** Answers of a container without a type; all are those of Linux 6.12. */
static int
untyped_answers(int container)
{
	static const struct {
		unsigned long extension;
		int answer;
	} wanted[] = {{VFIO_TYPE1_IOMMU, 1}, {VFIO_TYPE1v2_IOMMU, 1}, {VFIO_UNMAP_ALL, 1},
		{VFIO_NOIOMMU_IOMMU, 0}, {VFIO_DMA_CC_IOMMU, 0}, {VFIO_SPAPR_TCE_IOMMU, 0},
		{VFIO_UPDATE_VADDR, 0}};
	struct vfio_iommu_type1_info info = {.argsz = sizeof(info)};
	unsigned int i;

	TEST_ASSERT_EQUAL(front_calls_ioctl(container, VFIO_GET_API_VERSION, 0), VFIO_API_VERSION,
		"API version");
	for (i = 0; i < RTE_DIM(wanted); i++)
		TEST_ASSERT_EQUAL(
			front_calls_ioctl(container, VFIO_CHECK_EXTENSION, wanted[i].extension),
			wanted[i].answer, "extension %lu", wanted[i].extension);
	TEST_ASSERT_EQUAL(front_calls_ioctl(container, VFIO_IOMMU_GET_INFO, (unsigned long)&info),
		-EINVAL, "GET_INFO");
	TEST_ASSERT_EQUAL(map_page(container, 0), -EINVAL, "MAP_DMA");
	TEST_ASSERT_EQUAL(unmap(container, IOVA, PAGE), -EINVAL, "UNMAP_DMA");
	return TEST_SUCCESS;
}

static bool
is_in_container(int g)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};

	return front_calls_ioctl(g, VFIO_GROUP_GET_STATUS, (unsigned long)&status) == 0 &&
		(status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET) != 0;
}

static int
without_containers_an_iommufd_is_one(void)
{
	int container, again, g[3], d[3];
	unsigned int i;
	char name[8];

	TEST_ASSERT_SUCCESS(begin((struct front_conf){0}), "begin");
	front_calls_no_container();
	container = front_calls_open("/dev/vfio/vfio");
	TEST_ASSERT(untyped_answers(container) == TEST_SUCCESS, "without a group");
	TEST_ASSERT_EQUAL(front_calls_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), -EINVAL,
		"SET_IOMMU");
	for (i = 0; i < 3; i++) {
		g[i] = open_group(i);
		TEST_ASSERT(!is_in_container(g[i]), "group %u is in a container", i);
		TEST_ASSERT_SUCCESS(set_container(g[i], container), "group %u", i);
		TEST_ASSERT(is_in_container(g[i]), "group %u is in no container", i);
		TEST_ASSERT_EQUAL(set_container(g[i], container), -EINVAL, "twice");
	}
	TEST_ASSERT(untyped_answers(container) == TEST_SUCCESS, "with groups");
	TEST_ASSERT_EQUAL(open_device(g[0], "dev0"), -EINVAL, "a device before the type");
	TEST_ASSERT_EQUAL(front_calls_ioctl(container, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_IOMMU),
		-ENODEV, "another type");
	TEST_ASSERT_SUCCESS(
		front_calls_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU");
	TEST_ASSERT_EQUAL(front_calls_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), -EINVAL,
		"SET_IOMMU again");
	TEST_ASSERT_EQUAL(front_calls_ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU), 1,
		"coherency");
	for (i = 0; i < 4; i++)
		TEST_ASSERT_SUCCESS(map_page(container, i), "map");
	for (i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "dev%u", i);
		d[i] = open_device(g[i], name);
		TEST_ASSERT(
			d[i] >= 0 && reaches(name, 0) && reaches(name, 3), "%s: %d", name, d[i]);
	}
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 4 * PAGE, "pinned more than once");
	/* Another container has another address space. */
	again = front_calls_open("/dev/vfio/vfio");
	TEST_ASSERT_EQUAL(set_container(g[0], again), -EINVAL, "a group that is elsewhere");
	for (i = 0; i < 3; i++) {
		front_calls_close(d[i]);
		front_calls_close(g[i]);
		TEST_ASSERT_EQUAL(stats().n_groups, 2 - i, "%u groups", stats().n_groups);
	}
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0u, "memory stays pinned");
	TEST_ASSERT(untyped_answers(container) == TEST_SUCCESS, "after the last group");
	g[0] = open_group(0);
	TEST_ASSERT_SUCCESS(set_container(g[0], again), "the group, elsewhere");
	TEST_ASSERT_SUCCESS(
		front_calls_ioctl(again, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	TEST_ASSERT(map_page(again, 0) == 0 && open_device(g[0], "dev0") >= 0 && reaches("dev0", 0),
		"dev0");
	return TEST_SUCCESS;
}

static int
without_containers_groups_share(void)
{
	int container, g[2];

	TEST_ASSERT_SUCCESS(begin((struct front_conf){.isolate = true}), "begin");
	front_calls_no_container();
	container = open_container(g, 1, VFIO_TYPE1_IOMMU);
	TEST_ASSERT(container >= 0, "%d: %s", container, last_line);
	g[1] = open_group(1);
	TEST_ASSERT_EQUAL(set_container(g[1], container), -EOPNOTSUPP, "a domain of its own");
	TEST_ASSERT_NOT_NULL(
		strstr(last_line, "all groups of an iommufd share one"), "%s", last_line);
	TEST_ASSERT(
		map_page(container, 0) == 0 && open_device(g[0], "dev0") >= 0 && reaches("dev0", 0),
		"dev0");
	return TEST_SUCCESS;
}

static int
a_refused_type_leaves_all_as_it_was(void)
{
	int container, g[4];
	char *before, *after;
	bool same;

	TEST_ASSERT_SUCCESS(
		begin((struct front_conf){.backend = DMAMAP_BACKEND_TYPE1, .isolate = true}),
		"begin");
	container = front_calls_open("/dev/vfio/vfio");
	g[0] = open_group(0);
	g[1] = open_group(1);
	TEST_ASSERT(set_container(g[0], container) == 0 && set_container(g[1], container) == 0,
		"SET_CONTAINER");
	before = vfio_mock_dump(mock);
	vfio_mock_fail(mock, 1 << VFIO_MOCK_SET_IOMMU, 2, EPERM);
	TEST_ASSERT_EQUAL(front_calls_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), -EPERM,
		"SET_IOMMU");
	after = vfio_mock_dump(mock);
	same = strcmp(before, after) == 0;
	if (!same)
		printf("before:\n%safter:\n%s", before, after);
	free(before);
	free(after);
	TEST_ASSERT(same, "the kernel is not as before");
	TEST_ASSERT_SUCCESS(
		front_calls_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU again");
	return TEST_SUCCESS;
}

/** Arguments of ioctls that lie where no memory is, or of which a part does. */
static int
bad_pointers_are_errors(void)
{
	static const unsigned long calls[] = {
		VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA};
	const struct vfio_iommu_type1_dma_map map = {.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ,
		.vaddr = (uintptr_t)memory,
		.iova = IOVA,
		.size = PAGE};
	uint8_t *cut = memory + (PAGES - 1) * PAGE - 8;
	unsigned long bad[] = {0, 8, (unsigned long)cut};
	int container, g[2];
	unsigned int i, k;

	TEST_ASSERT_SUCCESS(begin((struct front_conf){.isolate = true}), "begin");
	container = open_container(g, 2, VFIO_TYPE1v2_IOMMU);
	memcpy(cut, &map, 8);
	TEST_ASSERT_SUCCESS(mprotect(cut + 8, PAGE, PROT_NONE), "mprotect");
	for (i = 0; i < RTE_DIM(bad); i++) {
		for (k = 0; k < RTE_DIM(calls); k++)
			TEST_ASSERT_EQUAL(front_calls_ioctl(container, calls[k], bad[i]), -EFAULT,
				"call %u, address 0x%lx", k, bad[i]);
	}
	TEST_ASSERT_SUCCESS(mprotect(cut + 8, PAGE, PROT_READ), "mprotect");
	TEST_ASSERT_SUCCESS(map_page(container, 0), "map");
	TEST_ASSERT_EQUAL(unmap(container, IOVA, PAGE), PAGE, "unmap");
	return TEST_SUCCESS;
}

/** Run in a child: containers belong to the parent. @return an exit status */
static int
as_a_child(int container, int g, bool pass)
{
	struct vfio_iommu_type1_info info = {.argsz = sizeof(info)};

	front_child();
	if (front_kind(container) != FRONT_FOREIGN || front_kind(g) != FRONT_NONE)
		return 1;
	if (front_calls_ioctl(container, VFIO_GET_API_VERSION, 0) != VFIO_API_VERSION)
		return 2;
	if (front_calls_ioctl(container, VFIO_IOMMU_GET_INFO, (unsigned long)&info) != 0)
		return 3;
	if (map_page(container, 1) != (pass ? 0 : -EPERM))
		return 4;
	if (!pass && strstr(last_line, "another process") == NULL)
		return 5;
	return front_calls_close(container) == 0 && front_kind(container) == FRONT_NONE ? 0 : 6;
}

static int
children_do_not_map_for_several_domains(void)
{
	int container, g[2], status;
	bool isolate;
	pid_t pid;

	for (isolate = false;; isolate = true) {
		TEST_ASSERT_SUCCESS(begin((struct front_conf){
					    .backend = DMAMAP_BACKEND_TYPE1, .isolate = isolate}),
			"begin");
		container = open_container(g, 2, VFIO_TYPE1_IOMMU);
		TEST_ASSERT_SUCCESS(map_page(container, 0), "map");
		pid = fork();
		if (pid == 0)
			_exit(as_a_child(container, g[0], !isolate));
		TEST_ASSERT(waitpid(pid, &status, 0) == pid && status == 0,
			"isolate %d: status 0x%x", isolate, status);
		TEST_ASSERT_SUCCESS(map_page(container, 2), "the parent maps on");
		if (isolate)
			return TEST_SUCCESS;
		front_calls_end();
	}
}

/* Every call fails in turn */

/** The calls of a program. Stops at the first failure, and closes all that it has opened. */
static int
whole_run(bool two)
{
	int container = -1, g[2] = {-1, -1}, d = -1, rc, i;

	rc = container = front_calls_open("/dev/vfio/vfio");
	for (i = 0; i < (two ? 2 : 1) && rc >= 0; i++) {
		rc = g[i] = open_group(i);
		rc = rc < 0 ? rc : set_container(g[i], container);
	}
	rc = rc < 0 ? rc : front_calls_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
	for (i = 0; i < 6 && rc >= 0; i++)
		rc = map_page(container, i < 4 ? i : i + 4);
	rc = rc < 0 ? rc : (d = open_device(g[0], "dev0"));
	rc = rc < 0 ? rc : map_page(container, 20);
	if (rc >= 0)
		rc = unmap(container, IOVA, 2 * PAGE) < 0 ? -EIO : 0;
	if (d >= 0)
		front_calls_close(d);
	for (i = 0; i < 2; i++)
		if (g[i] >= 0)
			front_calls_close(g[i]);
	if (container >= 0)
		front_calls_close(container);
	return rc < 0 ? rc : 0;
}

/** @return number of failure points; negative: something was left behind */
static int
sweep(struct front_conf conf, bool no_container, bool two)
{
	char *before = vfio_mock_dump(mock), *after;
	int n, rc, kind = 0;
	bool same = true;

	for (n = 1; n < 500 && same && kind >= 0; n++) {
		begin(conf);
		if (no_container)
			front_calls_no_container();
		vfio_mock_fail(mock, VFIO_MOCK_ANY, n, ENOMEM);
		rc = whole_run(two);
		kind = vfio_mock_failed(mock);
		vfio_mock_fail(mock, VFIO_MOCK_ANY, 0, 0);
		front_calls_end();
		after = vfio_mock_dump(mock);
		same = strcmp(before, after) == 0 && vfio_mock_locked(mock) == 0;
		if (!same)
			printf("  call %d (%s) failed, answer %d:\n%s", n,
				vfio_mock_call_name(kind), rc, after);
		free(after);
		/* Without a failure all calls must succeed. */
		same = same && (kind >= 0 || rc == 0);
	}
	free(before);
	return same ? n - 2 : -1;
}

static int
nothing_is_left_behind(void)
{
	static const struct {
		struct front_conf conf;
		bool no_container;
	} of[] = {
		{{.backend = DMAMAP_BACKEND_TYPE1}, false},
		{{.backend = DMAMAP_BACKEND_TYPE1, .isolate = true}, false},
		{{.backend = DMAMAP_BACKEND_TYPE1, .coalesce = FRONT_COALESCE_START}, false},
		{{.backend = DMAMAP_BACKEND_TYPE1, .coalesce = FRONT_COALESCE_ALWAYS}, false},
		{{.backend = DMAMAP_BACKEND_IOMMUFD}, false},
		{{.backend = DMAMAP_BACKEND_IOMMUFD, .coalesce = FRONT_COALESCE_START}, false},
		{{.backend = DMAMAP_BACKEND_AUTO}, true},
		{{.coalesce = FRONT_COALESCE_START}, true},
	};
	unsigned int i;
	int points;

	for (i = 0; i < 2 * RTE_DIM(of); i++) {
		points = sweep(of[i / 2].conf, of[i / 2].no_container, i % 2);
		TEST_ASSERT(points > 20 && points < 490, "configuration %u: %d points", i, points);
		printf("  configuration %u: %d points failed, differences 0\n", i, points);
	}
	return TEST_SUCCESS;
}

/* Threads */

struct worker {
	pthread_t thread;
	int container;
	unsigned int number;
	int rc;
};

#define ROUNDS 300

/** Map, check and unmap the thread's own pages. */
static void *
work(void *arg)
{
	struct worker *w = arg;
	unsigned int i, page;

	for (i = 0; i < ROUNDS && w->rc == 0; i++) {
		page = w->number * 32 + i % 32;
		w->rc = map_page(w->container, page);
		if (w->rc == 0 && unmap(w->container, IOVA + page * PAGE, PAGE) != (int64_t)PAGE)
			w->rc = -EIO;
	}
	return NULL;
}

/** Open and close a group of the container. */
static void *
come_and_go(void *arg)
{
	struct worker *w = arg;
	unsigned int i;
	int g, d;

	for (i = 0; i < ROUNDS && w->rc == 0; i++) {
		g = open_group(1);
		w->rc = g < 0 ? g : set_container(g, w->container);
		d = w->rc < 0 ? -1 : open_device(g, "dev1");
		if (d >= 0)
			front_calls_close(d);
		else if (w->rc == 0)
			w->rc = d;
		if (g >= 0)
			front_calls_close(g);
	}
	return NULL;
}

static int
threads_share_a_container(void)
{
	struct worker w[4];
	int g[1], container;
	unsigned int i;

	TEST_ASSERT_SUCCESS(begin((struct front_conf){.backend = DMAMAP_BACKEND_TYPE1,
				    .isolate = true,
				    .coalesce = FRONT_COALESCE_START}),
		"begin");
	container = open_container(g, 1, VFIO_TYPE1_IOMMU);
	for (i = 0; i < RTE_DIM(w); i++) {
		w[i] = (struct worker){.container = container, .number = i};
		TEST_ASSERT_SUCCESS(
			pthread_create(&w[i].thread, NULL, i == 0 ? come_and_go : work, &w[i]),
			"thread");
	}
	for (i = 0; i < RTE_DIM(w); i++)
		pthread_join(w[i].thread, NULL);
	for (i = 0; i < RTE_DIM(w); i++)
		TEST_ASSERT_SUCCESS(w[i].rc, "thread %u: %d: %s", i, w[i].rc, last_line);
	TEST_ASSERT_EQUAL(stats().n_maps, 0u, "maps are left");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"one domain: the program's own kernel container, and no other", one_domain_adds_nothing},
	{"several kernel containers are one to the program", many_kernel_containers_are_one},
	{"the program cannot close a hidden kernel container", a_hidden_one_is_the_container},
	{"closing a hidden one by a system call makes calls fail", a_hidden_one_can_be_lost},
	{"pages that are mapped before a device is open become one entry", pages_become_one_entry},
	{"a part of an entry is unmapped", a_part_of_an_entry_is_unmapped},
	{"later maps join while no device can do DMA", later_maps_join_while_nothing_moves},
	{"other memory at a mapped IOVA is refused with a line", other_memory_is_refused_aloud},
	{"groups leave with the last descriptor", groups_leave_with_the_last_descriptor},
	{"a container may be closed before its groups", a_container_may_be_closed_first},
	{"two containers in one process are apart", containers_are_apart},
	{"iommufd pins once for all IOMMUs", iommufd_pins_once},
	{"without kernel containers an iommufd is one", without_containers_an_iommufd_is_one},
	{"without kernel containers groups share a domain", without_containers_groups_share},
	{"a refused type leaves all as it was", a_refused_type_leaves_all_as_it_was},
	{"a bad pointer is -EFAULT, not a signal", bad_pointers_are_errors},
	{"children do not map for several domains", children_do_not_map_for_several_domains},
	{"nothing is left behind, whichever call fails", nothing_is_left_behind},
	{"threads share a container", threads_share_a_container},
};

REGISTER_TEST_SUITE(vfio_front) = {
	.name = "vfio_front",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
