/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A client of the kernel's VFIO ABI (linux/vfio.h), independent of Gantry: one container, type1
 * v2, QEMU's edu DMA engines. It makes the calls that other programs make, and checks memory after
 * each DMA. app/test/e2e/test_vfio_front.py starts it alone and under gantry-run.
 *
 * usage: vfio-client maps N DEVICE       N pages, each mapped by a call of its own, no two adjacent
 *        vfio-client twice DEVICE        a second map of other memory at an IOVA that is mapped
 *        vfio-client devices DEVICE...   several devices in one container
 *        vfio-client late DEVICE DEVICE  the second joins after memory was mapped
 *        vfio-client stale DEVICE        the device writes to a page after its unmap
 *
 * It prints what it did. Exit status: 0; 1: a call failed or memory is wrong, and a line says
 * which.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
/* Below 4 GiB, which is all that the engines can address, and clear of x86's interrupt window. */
#define IOVA_BASE 0x10000000UL
#define DEVICES_MAX 8

/* QEMU docs/specs/edu.rst: registers of the DMA engine, and the address of its buffer. */
#define EDU_SRC 0x80
#define EDU_DST 0x88
#define EDU_COUNT 0x90
#define EDU_CMD 0x98
#define EDU_CMD_START 1UL
#define EDU_CMD_TO_RAM 2UL
#define EDU_BUFFER 0x40000UL
/* QEMU 7.2 aborts on a transfer of the whole buffer. */
#define EDU_LEN 2048UL
#define EDU_WAIT_MS 10000

struct client {
	int container;
	unsigned int n_devices;
	int devices[DEVICES_MAX];
	volatile uint8_t *bars[DEVICES_MAX];
};

static int
fail(const char *what, const char *name)
{
	printf("%s: %s: %s (%d)\n", name, what, strerror(errno), errno);
	return -1;
}

/* Open a device's group. The group's number is the last part of the link iommu_group. */
static int
open_group(const char *device)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", device);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return fail("no IOMMU group", device);
	target[len] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(target, '/') + 1);
	return open(path, O_RDWR | O_CLOEXEC);
}

/* Map the engine's registers and enable bus mastering. */
static int
start_device(struct client *c, const char *name, int fd)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX};
	struct vfio_region_info bar = {.argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX};
	uint16_t command;
	void *va;

	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &config) != 0 ||
		ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &bar) != 0)
		return fail("VFIO_DEVICE_GET_REGION_INFO", name);
	va = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)bar.offset);
	if (va == MAP_FAILED)
		return fail("mmap of BAR 0", name);
	if (pread(fd, &command, 2, (off_t)config.offset + PCI_COMMAND) != 2)
		return fail("read of config space", name);
	command |= PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;
	if (pwrite(fd, &command, 2, (off_t)config.offset + PCI_COMMAND) != 2)
		return fail("write of config space", name);
	c->devices[c->n_devices] = fd;
	c->bars[c->n_devices++] = va;
	return 0;
}

/*
 * Put a device's group into the container. The group's descriptor stays open until the process
 * ends.
 */
static int
attach(struct client *c, const char *name)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	int group, fd;

	group = open_group(name);
	if (group < 0)
		return fail("open of the group", name);
	if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) != 0 ||
		(status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
		return fail("VFIO_GROUP_GET_STATUS", name);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &c->container) != 0)
		return fail("VFIO_GROUP_SET_CONTAINER", name);
	if (c->n_devices == 0 && ioctl(c->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) != 0)
		return fail("VFIO_SET_IOMMU", name);
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (fd < 0)
		return fail("VFIO_GROUP_GET_DEVICE_FD", name);
	return start_device(c, name, fd);
}

static int
open_container(struct client *c)
{
	c->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (c->container < 0)
		return fail("open", "/dev/vfio/vfio");
	if (ioctl(c->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
		ioctl(c->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1)
		return fail("VFIO_CHECK_EXTENSION", "/dev/vfio/vfio");
	return 0;
}

static int
map(struct client *c, void *va, uint64_t iova, uint64_t len)
{
	struct vfio_iommu_type1_dma_map arg = {.argsz = sizeof(arg),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)va,
		.iova = iova,
		.size = len};

	return ioctl(c->container, VFIO_IOMMU_MAP_DMA, &arg);
}

/* Unmap, and check that the kernel unmapped as much as the caller expects. */
static int
unmap(struct client *c, uint64_t iova, uint64_t len)
{
	struct vfio_iommu_type1_dma_unmap arg = {.argsz = sizeof(arg), .iova = iova, .size = len};

	if (ioctl(c->container, VFIO_IOMMU_UNMAP_DMA, &arg) != 0)
		return -1;
	errno = arg.size == len ? 0 : ERANGE;
	return errno == 0 ? 0 : -1;
}

static int
transfer(volatile uint8_t *bar, uint64_t from, uint64_t to, uint64_t flags)
{
	const struct timespec ms = {.tv_nsec = 1000000};

	*(volatile uint64_t *)(bar + EDU_SRC) = from;
	*(volatile uint64_t *)(bar + EDU_DST) = to;
	*(volatile uint64_t *)(bar + EDU_COUNT) = EDU_LEN;
	*(volatile uint64_t *)(bar + EDU_CMD) = EDU_CMD_START | flags;
	for (int i = 0; i < EDU_WAIT_MS; i++) {
		if ((*(volatile uint64_t *)(bar + EDU_CMD) & EDU_CMD_START) == 0)
			return 0;
		nanosleep(&ms, NULL);
	}
	errno = ETIMEDOUT;
	return -1;
}

/*
 * The device reads EDU_LEN bytes at one IOVA and writes them at another. The caller checks memory.
 */
static int
copy(struct client *c, unsigned int device, uint64_t from, uint64_t to)
{
	if (transfer(c->bars[device], from, EDU_BUFFER, 0) != 0 ||
		transfer(c->bars[device], EDU_BUFFER, to, EDU_CMD_TO_RAM) != 0)
		return fail("the engine does not end", "edu");
	return 0;
}

static void
fill(uint8_t *page, unsigned int seed)
{
	for (unsigned int i = 0; i < PAGE; i++)
		page[i] = (uint8_t)(seed * 151 + i * 7 + (i >> 8));
}

static uint8_t *
pages(uint64_t n)
{
	void *va = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return va == MAP_FAILED ? NULL : va;
}

static int
check(const uint8_t *is, const uint8_t *wanted, const char *what)
{
	if (memcmp(is, wanted, EDU_LEN) == 0)
		return 0;
	printf("%s: memory is not what the device was to write\n", what);
	return -1;
}

static uint64_t
iova_of(uint64_t page)
{
	return IOVA_BASE + page * 2 * PAGE;
}

static int
unmap_all(struct client *c, uint64_t n)
{
	char name[64];

	for (uint64_t i = 0; i < n; i++) {
		if (unmap(c, iova_of(i), PAGE) != 0) {
			snprintf(name, sizeof(name), "page %llu", (unsigned long long)i);
			return fail("VFIO_IOMMU_UNMAP_DMA", name);
		}
	}
	return 0;
}

static int
many_maps(struct client *c, uint64_t n)
{
	uint8_t *va = pages(n);
	char name[64];

	if (va == NULL)
		return fail("mmap", "memory");
	for (uint64_t i = 0; i < n; i++) {
		if (map(c, va + i * PAGE, iova_of(i), PAGE) != 0) {
			snprintf(name, sizeof(name), "after %llu maps", (unsigned long long)i);
			return fail("VFIO_IOMMU_MAP_DMA", name);
		}
	}
	/* Copy the first page to the last, and the last to the middle. */
	fill(va, 1);
	if (copy(c, 0, iova_of(0), iova_of(n - 1)) != 0 ||
		copy(c, 0, iova_of(n - 1), iova_of(n / 2)) != 0 ||
		check(va + (n - 1) * PAGE, va, "the last page") != 0 ||
		check(va + n / 2 * PAGE, va, "the page in the middle") != 0 || unmap_all(c, n) != 0)
		return -1;
	printf("%llu maps, as many unmaps\n", (unsigned long long)n);
	return 0;
}

static int
map_twice(struct client *c)
{
	uint8_t *va = pages(3), *same = va + PAGE, *to = va + 2 * PAGE;
	int rc;

	if (va == NULL)
		return fail("mmap", "memory");
	fill(va, 1);
	fill(same, 2);
	if (map(c, va, iova_of(0), PAGE) != 0 || map(c, to, iova_of(1), PAGE) != 0)
		return fail("VFIO_IOMMU_MAP_DMA", "memory");
	rc = map(c, same, iova_of(0), PAGE);
	printf("a second map of other memory: %s\n", rc == 0 ? "success" : strerror(errno));
	if (rc == 0 || errno != EEXIST)
		return -1;
	if (copy(c, 0, iova_of(0), iova_of(1)) != 0 || check(to, va, "the first map") != 0)
		return -1;
	return unmap_all(c, 2);
}

/* Each device copies on its own, from and to pages that are mapped now. */
static int
devices_copy(struct client *c)
{
	uint8_t *va = pages(2);

	if (va == NULL)
		return fail("mmap", "memory");
	if (map(c, va, iova_of(0), PAGE) != 0 || map(c, va + PAGE, iova_of(1), PAGE) != 0)
		return fail("VFIO_IOMMU_MAP_DMA", "memory");
	for (unsigned int i = 0; i < c->n_devices; i++) {
		fill(va, i + 1);
		if (copy(c, i, iova_of(0), iova_of(1)) != 0 ||
			check(va + PAGE, va, "a device's copy") != 0)
			return -1;
	}
	printf("%u devices copied\n", c->n_devices);
	return unmap_all(c, 2);
}

/* A device that joins late reaches what was mapped before. */
static int
joins_late(struct client *c, const char *late)
{
	uint8_t *va = pages(2);

	if (va == NULL)
		return fail("mmap", "memory");
	fill(va, 1);
	if (map(c, va, iova_of(0), PAGE) != 0 || map(c, va + PAGE, iova_of(1), PAGE) != 0)
		return fail("VFIO_IOMMU_MAP_DMA", "memory");
	if (attach(c, late) != 0 || copy(c, 1, iova_of(0), iova_of(1)) != 0 ||
		check(va + PAGE, va, "the late device's copy") != 0)
		return -1;
	printf("the late device copied\n");
	return unmap_all(c, 2);
}

/* The IOMMU blocks the write; the memory, which is still the client's, stays as it is. */
static int
uses_after_unmap(struct client *c)
{
	uint8_t *va = pages(1), *before = pages(1);

	if (va == NULL || before == NULL)
		return fail("mmap", "memory");
	fill(va, 1);
	memcpy(before, va, PAGE);
	if (map(c, va, iova_of(0), PAGE) != 0 || unmap(c, iova_of(0), PAGE) != 0)
		return fail("VFIO_IOMMU_MAP_DMA", "memory");
	if (transfer(c->bars[0], EDU_BUFFER, iova_of(0), EDU_CMD_TO_RAM) != 0)
		return fail("the engine does not end", "edu");
	/* For who reads the kernel's log. */
	sleep(2);
	printf("a page after its unmap: %s\n",
		memcmp(va, before, PAGE) == 0 ? "untouched" : "changed");
	return memcmp(va, before, PAGE) == 0 ? 0 : -1;
}

static int
run(struct client *c, int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "maps") == 0)
		return attach(c, argv[3]) != 0 ? -1 : many_maps(c, strtoull(argv[2], NULL, 10));
	if (argc == 3 && strcmp(argv[1], "stale") == 0)
		return attach(c, argv[2]) != 0 ? -1 : uses_after_unmap(c);
	if (argc == 3 && strcmp(argv[1], "twice") == 0)
		return attach(c, argv[2]) != 0 ? -1 : map_twice(c);
	if (argc == 4 && strcmp(argv[1], "late") == 0)
		return attach(c, argv[2]) != 0 ? -1 : joins_late(c, argv[3]);
	if (argc >= 3 && argc - 2 <= DEVICES_MAX && strcmp(argv[1], "devices") == 0) {
		for (int i = 2; i < argc; i++)
			if (attach(c, argv[i]) != 0)
				return -1;
		return devices_copy(c);
	}
	printf("usage: vfio-client maps N DEVICE | twice DEVICE | late DEVICE DEVICE | devices "
	       "DEVICE...\n");
	return -1;
}

int
main(int argc, char **argv)
{
	struct client c = {.container = -1};

	setvbuf(stdout, NULL, _IOLBF, 0);
	return open_container(&c) == 0 && run(&c, argc, argv) == 0 ? 0 : 1;
}
