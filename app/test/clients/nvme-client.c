/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * An NVMe program on the kernel's VFIO ABI (linux/vfio.h), independent of Gantry. Each controller
 * has a type1 v1 container of its own. IOVAs are allocated from the ranges that
 * VFIO_IOMMU_GET_INFO reports once, so two controllers use the same IOVAs for different memory.
 * app/test/e2e/test_vfio_front_programs.py starts it alone and under gantry-run.
 *
 * usage: nvme-client DEVICE...       the first namespace of each is overwritten
 *
 * For all controllers at once: identify, write and read back 4 KiB and 32 KiB, a second of reads.
 * Then for each: exact unmaps, re-maps with I/O, and one unmap of everything. It prints what it
 * did. Exit status: 0; 1: a call failed or data is wrong, and a line says which.
 */

#include <endian.h>
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

#include "nvme_queue.h"

#define DEVICES_MAX 4
#define RANGES_MAX 16
#define IOVA_FIRST 0x10000UL
#define DATA_PAGES 8
#define DATA_LEN ((uint64_t)DATA_PAGES * NVME_PAGE)
#define RATE_MS 1000

/* Maps of a controller. */
enum { ADMIN_SQ, ADMIN_CQ, IO_SQ, IO_CQ, ADMIN_DATA, PRP_LIST, DATA_OUT, DATA_IN, N_MAPS };

struct iova_range {
	uint64_t start, last;
};

struct map {
	struct nvme_mem mem;
	uint64_t len;
	uint32_t flags;
};

struct drive {
	const char *name;
	int container, group, device;
	unsigned int n_ranges;
	struct iova_range ranges[RANGES_MAX];
	uint64_t next_iova;
	struct map maps[N_MAPS];
	struct nvme ctrl;
	uint64_t bar_len;
	uint64_t n_blocks;
	uint32_t block_size;
};

static int
fail(const struct drive *d, const char *what)
{
	printf("%s: %s: %s (%d)\n", d->name, what, strerror(errno), errno);
	return -1;
}

static int
wrong(const struct drive *d, const char *what)
{
	printf("%s: %s\n", d->name, what);
	return -1;
}

/* The result of an NVMe command. */
static int
nvme_result(const struct drive *d, const char *what, int rc)
{
	if (rc == 0)
		return 0;
	printf("%s: %s: %s, status %#x of the admin queue, %#x of the other\n", d->name, what,
		strerror(-rc), d->ctrl.admin.status, d->ctrl.io.status);
	return -1;
}

/* The container and its IOVAs. */

static int
open_group(struct drive *d)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", d->name);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return fail(d, "no IOMMU group");
	target[len] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(target, '/') + 1);
	d->group = open(path, O_RDWR | O_CLOEXEC);
	return d->group >= 0 ? 0 : fail(d, "open of the group");
}

/* The chain of capabilities begins at the offset that the kernel returned, and ends with 0. */
static int
read_ranges(struct drive *d, const uint8_t *info, uint32_t len, uint32_t offset)
{
	while (offset != 0 && offset + sizeof(struct vfio_info_cap_header) <= len) {
		const struct vfio_info_cap_header *cap = (const void *)(info + offset);
		const struct vfio_iommu_type1_info_cap_iova_range *ranges = (const void *)cap;

		if (cap->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
			for (uint32_t i = 0; i < ranges->nr_iovas && i < RANGES_MAX; i++) {
				d->ranges[d->n_ranges++] = (struct iova_range){
					ranges->iova_ranges[i].start, ranges->iova_ranges[i].end};
				printf("%s: IOVAs %#llx to %#llx\n", d->name,
					(unsigned long long)ranges->iova_ranges[i].start,
					(unsigned long long)ranges->iova_ranges[i].end);
			}
		}
		offset = cap->next;
	}
	return d->n_ranges > 0 ? 0 : wrong(d, "VFIO_IOMMU_GET_INFO tells no IOVA ranges");
}

/* Two calls: the first returns the size of the answer, the second gets the answer. */
static int
get_info(struct drive *d)
{
	struct vfio_iommu_type1_info head = {.argsz = sizeof(head)}, *info;
	int rc;

	if (ioctl(d->container, VFIO_IOMMU_GET_INFO, &head) != 0)
		return fail(d, "VFIO_IOMMU_GET_INFO");
	if (head.argsz <= sizeof(head))
		return wrong(d, "VFIO_IOMMU_GET_INFO has no capabilities");
	info = calloc(1, head.argsz);
	if (info == NULL)
		return fail(d, "calloc");
	info->argsz = head.argsz;
	if (ioctl(d->container, VFIO_IOMMU_GET_INFO, info) != 0)
		rc = fail(d, "VFIO_IOMMU_GET_INFO");
	else if ((info->flags & VFIO_IOMMU_INFO_PGSIZES) == 0 ||
		(info->iova_pgsizes & NVME_PAGE) == 0)
		rc = wrong(d, "the IOMMU has no pages of 4 KiB");
	else
		rc = read_ranges(d, (const uint8_t *)info, head.argsz, info->cap_offset);
	free(info);
	return rc;
}

/* Allocate the next IOVAs that lie in one range. */
static int
next_iova(struct drive *d, uint64_t len, uint64_t *iova)
{
	for (unsigned int i = 0; i < d->n_ranges; i++) {
		const struct iova_range *range = &d->ranges[i];
		uint64_t start = range->start > d->next_iova ? range->start : d->next_iova;

		if (start > range->last || range->last - start < len - 1)
			continue;
		*iova = start;
		d->next_iova = start + len;
		return 0;
	}
	errno = ENOSPC;
	return fail(d, "IOVAs");
}

static int
open_container(struct drive *d)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};

	d->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (d->container < 0)
		return fail(d, "open of /dev/vfio/vfio");
	if (ioctl(d->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
		ioctl(d->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU) != 1)
		return wrong(d, "there is no type1");
	if (open_group(d) != 0)
		return -1;
	if (ioctl(d->group, VFIO_GROUP_GET_STATUS, &status) != 0 ||
		(status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
		return fail(d, "VFIO_GROUP_GET_STATUS");
	if (ioctl(d->group, VFIO_GROUP_SET_CONTAINER, &d->container) != 0)
		return fail(d, "VFIO_GROUP_SET_CONTAINER");
	if (ioctl(d->container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) != 0)
		return fail(d, "VFIO_SET_IOMMU");
	return get_info(d);
}

static int
open_device(struct drive *d)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX};
	struct vfio_region_info bar = {.argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX};
	uint16_t command;
	void *va;

	d->device = ioctl(d->group, VFIO_GROUP_GET_DEVICE_FD, d->name);
	if (d->device < 0)
		return fail(d, "VFIO_GROUP_GET_DEVICE_FD");
	if (ioctl(d->device, VFIO_DEVICE_GET_REGION_INFO, &config) != 0 ||
		ioctl(d->device, VFIO_DEVICE_GET_REGION_INFO, &bar) != 0)
		return fail(d, "VFIO_DEVICE_GET_REGION_INFO");
	va = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, d->device, (off_t)bar.offset);
	if (va == MAP_FAILED)
		return fail(d, "mmap of BAR 0");
	if (pread(d->device, &command, 2, (off_t)config.offset + PCI_COMMAND) != 2)
		return fail(d, "read of config space");
	command |= PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;
	if (pwrite(d->device, &command, 2, (off_t)config.offset + PCI_COMMAND) != 2)
		return fail(d, "write of config space");
	d->ctrl.regs = va;
	d->bar_len = bar.size;
	return 0;
}

/* Maps */

static int
map(struct drive *d, const struct map *m)
{
	struct vfio_iommu_type1_dma_map arg = {.argsz = sizeof(arg),
		.flags = m->flags,
		.vaddr = (uintptr_t)m->mem.va,
		.iova = m->mem.iova,
		.size = m->len};

	return ioctl(d->container, VFIO_IOMMU_MAP_DMA, &arg) == 0 ? 0
								  : fail(d, "VFIO_IOMMU_MAP_DMA");
}

/* Unmap, and check the number of unmapped bytes that the kernel returns. */
static int
unmap(struct drive *d, uint32_t flags, uint64_t iova, uint64_t len, uint64_t unmapped)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = sizeof(arg), .flags = flags, .iova = iova, .size = len};

	if (ioctl(d->container, VFIO_IOMMU_UNMAP_DMA, &arg) != 0)
		return fail(d, "VFIO_IOMMU_UNMAP_DMA");
	if (arg.size == unmapped)
		return 0;
	printf("%s: VFIO_IOMMU_UNMAP_DMA of %#llx bytes at %#llx: %#llx unmapped, not %#llx\n",
		d->name, (unsigned long long)len, (unsigned long long)iova,
		(unsigned long long)arg.size, (unsigned long long)unmapped);
	return -1;
}

static int
make_maps(struct drive *d)
{
	d->next_iova = IOVA_FIRST;
	for (unsigned int i = 0; i < N_MAPS; i++) {
		struct map *m = &d->maps[i];

		m->len = i == DATA_OUT || i == DATA_IN ? DATA_LEN : NVME_PAGE;
		/* Buffers that the controller writes are mapped readable as well. */
		m->flags = VFIO_DMA_MAP_FLAG_READ;
		if (i != DATA_OUT && i != PRP_LIST)
			m->flags |= VFIO_DMA_MAP_FLAG_WRITE;
		m->mem.va = mmap(
			NULL, m->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (m->mem.va == MAP_FAILED)
			return fail(d, "mmap");
		if (next_iova(d, m->len, &m->mem.iova) != 0 || map(d, m) != 0)
			return -1;
	}
	return 0;
}

static int
map_again(struct drive *d)
{
	for (unsigned int i = 0; i < N_MAPS; i++)
		if (map(d, &d->maps[i]) != 0)
			return -1;
	return 0;
}

/* The controller */

static int
start(struct drive *d)
{
	if (nvme_result(d, "reset", nvme_disable(&d->ctrl)) != 0 ||
		nvme_result(d, "start",
			nvme_enable(&d->ctrl, d->maps[ADMIN_SQ].mem, d->maps[ADMIN_CQ].mem)) != 0)
		return -1;
	return nvme_result(d, "I/O queue",
		nvme_create_io_queue(&d->ctrl, d->maps[IO_SQ].mem, d->maps[IO_CQ].mem));
}

/* Figures 247 and 245 of the specification: model and serial number; size, format in use. */
static int
identify(struct drive *d)
{
	const struct nvme_mem *mem = &d->maps[ADMIN_DATA].mem;
	const uint8_t *data = mem->va;
	uint32_t format;

	if (nvme_result(d, "identify",
		    nvme_identify(&d->ctrl, NVME_IDENTIFY_CONTROLLER, 0, mem->iova)) != 0)
		return -1;
	printf("%s: controller %.20s\n", d->name, (const char *)data + 4);
	if (nvme_result(d, "identify namespace",
		    nvme_identify(&d->ctrl, NVME_IDENTIFY_NAMESPACE, 1, mem->iova)) != 0)
		return -1;
	memcpy(&d->n_blocks, data, sizeof(d->n_blocks));
	d->n_blocks = le64toh(d->n_blocks);
	memcpy(&format, data + 128 + 4 * (data[26] & 0xf), sizeof(format));
	d->block_size = 1U << ((le32toh(format) >> 16) & 0xff);
	if (d->block_size > NVME_PAGE || d->n_blocks < 2 * DATA_LEN / d->block_size)
		return wrong(d, "the first namespace is too small");
	return 0;
}

/* Section 4.3: one page needs no second entry, two need that of the second, more need a list. */
static int
transfer(struct drive *d, bool write, uint64_t lba, uint64_t len)
{
	uint64_t iova = d->maps[write ? DATA_OUT : DATA_IN].mem.iova, prp2 = 0;
	uint64_t *list = d->maps[PRP_LIST].mem.va;

	for (uint64_t done = NVME_PAGE; done < len; done += NVME_PAGE)
		list[done / NVME_PAGE - 1] = htole64(iova + done);
	if (len > NVME_PAGE)
		prp2 = d->maps[PRP_LIST].mem.iova;
	return nvme_transfer(&d->ctrl, write, lba, (uint32_t)(len / d->block_size), iova, prp2);
}

/* Write, read back and compare. Each drive has its own data at the same IOVAs. */
static int
write_and_read(struct drive *d, uint64_t lba, uint64_t len, unsigned int seed)
{
	uint8_t *out = d->maps[DATA_OUT].mem.va, *in = d->maps[DATA_IN].mem.va;

	for (uint64_t i = 0; i < len; i++)
		out[i] = (uint8_t)(seed * 151 + i * 7 + (i >> 8));
	memset(in, 0, DATA_LEN);
	if (nvme_result(d, "write", transfer(d, true, lba, len)) != 0 ||
		nvme_result(d, "read", transfer(d, false, lba, len)) != 0)
		return -1;
	if (memcmp(in, out, len) != 0)
		return wrong(d, "what was read is not what was written");
	for (uint64_t i = len; i < DATA_LEN; i++)
		if (in[i] != 0)
			return wrong(d, "memory beyond what was read was written");
	return 0;
}

static int
use(struct drive *d, unsigned int seed)
{
	if (write_and_read(d, 0, NVME_PAGE, seed) != 0 ||
		write_and_read(d, DATA_LEN / d->block_size, DATA_LEN, seed + 1) != 0)
		return -1;
	printf("%s: %u and %llu bytes written and read back\n", d->name, NVME_PAGE,
		(unsigned long long)DATA_LEN);
	return 0;
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int
rate(struct drive *d)
{
	uint64_t start = now_ms(), n = 0, took;

	do {
		if (nvme_result(d, "read", transfer(d, false, n % 2, NVME_PAGE)) != 0)
			return -1;
		n++;
		took = now_ms() - start;
	} while (took < RATE_MS);
	printf("%s: %llu reads/s\n", d->name, (unsigned long long)(n * 1000 / took));
	return 0;
}

/* Unmaps */

/*
 * v1 unmaps each map whose first address is in the range, as a whole. So a range that begins inside
 * a map unmaps nothing, and a range without maps unmaps nothing either.
 */
static int
unmap_each(struct drive *d)
{
	const struct map *data = &d->maps[DATA_OUT];

	if (unmap(d, 0, data->mem.iova + NVME_PAGE, NVME_PAGE, 0) != 0)
		return -1;
	for (unsigned int i = 0; i < N_MAPS; i++)
		if (unmap(d, 0, d->maps[i].mem.iova, d->maps[i].len, d->maps[i].len) != 0)
			return -1;
	if (unmap(d, 0, data->mem.iova, data->len, 0) != 0)
		return -1;
	printf("%s: %u exact unmaps\n", d->name, N_MAPS);
	return 0;
}

static int
unmap_all(struct drive *d)
{
	uint64_t sum = 0;

	if (ioctl(d->container, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL) != 1)
		return unmap_each(d);
	for (unsigned int i = 0; i < N_MAPS; i++)
		sum += d->maps[i].len;
	if (unmap(d, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, sum) != 0 ||
		unmap(d, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, 0) != 0)
		return -1;
	printf("%s: %llu bytes unmapped at once\n", d->name, (unsigned long long)sum);
	return 0;
}

/* Stop DMA before memory is unmapped or freed. */
static int
leave(struct drive *d, unsigned int seed)
{
	if (nvme_result(d, "stop", nvme_disable(&d->ctrl)) != 0 || unmap_each(d) != 0 ||
		map_again(d) != 0 || start(d) != 0 || use(d, seed) != 0 ||
		nvme_result(d, "stop", nvme_disable(&d->ctrl)) != 0 || unmap_all(d) != 0)
		return -1;
	/* Munmap the registers first: the mapping keeps the device open. */
	if (munmap((void *)(uintptr_t)d->ctrl.regs, d->bar_len) != 0)
		return fail(d, "munmap of BAR 0");
	if (close(d->device) != 0 || close(d->group) != 0 || close(d->container) != 0)
		return fail(d, "close");
	return 0;
}

static int
run(struct drive *drives, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (open_container(&drives[i]) != 0 || open_device(&drives[i]) != 0 ||
			make_maps(&drives[i]) != 0)
			return -1;
	for (i = 0; i < n; i++)
		if (start(&drives[i]) != 0 || identify(&drives[i]) != 0)
			return -1;
	for (i = 0; i < n; i++)
		if (use(&drives[i], i + 1) != 0 || rate(&drives[i]) != 0)
			return -1;
	for (i = 0; i < n; i++)
		if (leave(&drives[i], n + i) != 0)
			return -1;
	return 0;
}

int
main(int argc, char **argv)
{
	static struct drive drives[DEVICES_MAX];
	unsigned int n = (unsigned int)argc - 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2 || n > DEVICES_MAX) {
		printf("usage: nvme-client DEVICE...\n");
		return 1;
	}
	for (unsigned int i = 0; i < n; i++)
		drives[i].name = argv[i + 1];
	return run(drives, n) == 0 ? 0 : 1;
}
