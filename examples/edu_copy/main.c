/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A whole driver on libdmamap: the edu device of QEMU copies bytes by DMA. The code of
 * doc/guide_write_a_driver.md, which explains it step by step; the two are compared by a test.
 * An error ends the process, with which the kernel takes back all that it holds.
 *
 * usage: edu-copy 0000:00:10.0
 */

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <dmamap.h>

/* Registers of edu (QEMU, docs/specs/edu). */
#define EDU_SRC 0x80
#define EDU_DST 0x88
#define EDU_COUNT 0x90
#define EDU_CMD 0x98
#define EDU_RUN 1
#define EDU_TO_RAM 2
#define EDU_BUFFER 0x40000 /* its own memory, 4 KiB */
#define LEN 2048

struct edu {
	struct dmamap_container *container;
	struct dmamap_device *dev;
	struct dmamap_zone *zone;
	void *regs;
	size_t regs_len;
};

/** Turn bus mastering on or off: whether the device may do DMA. */
static int
edu_master(struct edu *edu, int on)
{
	struct vfio_region_info cfg = {.argsz = sizeof(cfg), .index = VFIO_PCI_CONFIG_REGION_INDEX};
	int fd = dmamap_device_fd(edu->dev);
	uint16_t cmd;

	if (dmamap_device_ioctl(edu->dev, VFIO_DEVICE_GET_REGION_INFO, &cfg) < 0 ||
		pread(fd, &cmd, sizeof(cmd), cfg.offset + PCI_COMMAND) != sizeof(cmd))
		return -1;
	cmd = on ? cmd | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER : cmd & ~PCI_COMMAND_MASTER;
	return pwrite(fd, &cmd, sizeof(cmd), cfg.offset + PCI_COMMAND) == sizeof(cmd) ? 0 : -1;
}

/** Attach the device, map its registers and get memory that it reaches. */
static int
edu_open(struct edu *edu, const char *name)
{
	struct dmamap_zone_conf conf = {.name = "edu", .len = 2 * LEN, .page_size = 4096};
	struct vfio_region_info bar = {.argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX};

	if (dmamap_container_create(NULL, &edu->container) < 0 ||
		dmamap_container_attach(edu->container, name, &edu->dev) < 0 ||
		dmamap_device_dma_mask(edu->dev, 28) < 0 ||
		dmamap_zone_alloc(edu->container, &conf, &edu->zone) < 0 ||
		dmamap_device_ioctl(edu->dev, VFIO_DEVICE_GET_REGION_INFO, &bar) < 0)
		return -1;
	edu->regs_len = bar.size;
	edu->regs = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED,
		dmamap_device_fd(edu->dev), bar.offset);
	return edu->regs == MAP_FAILED ? -1 : edu_master(edu, 1);
}

/** Move LEN bytes between memory and the device's buffer. @return 0, -1: it does not end. */
static int
edu_transfer(struct edu *edu, uint64_t src, uint64_t dst, uint64_t flags)
{
	volatile uint64_t *reg = edu->regs;
	int ms;

	reg[EDU_SRC / 8] = src;
	reg[EDU_DST / 8] = dst;
	reg[EDU_COUNT / 8] = LEN;
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* the bytes before the command */
	reg[EDU_CMD / 8] = EDU_RUN | flags;
	for (ms = 0; ms < 10000; ms++) {
		if ((reg[EDU_CMD / 8] & EDU_RUN) == 0) {
			__atomic_thread_fence(__ATOMIC_SEQ_CST); /* the end before the bytes */
			return 0;
		}
		usleep(1000);
	}
	return -1;
}

int
main(int argc, char **argv)
{
	struct edu edu = {0};
	dmamap_iova_t iova;
	int differ, i;
	char *va;

	if (argc != 2 || edu_open(&edu, argv[1]) < 0)
		return 1;
	va = dmamap_zone_va(edu.zone);
	iova = dmamap_zone_iova(edu.zone);
	for (i = 0; i < LEN; i++)
		va[i] = (char)(i * 7 + 1);
	if (edu_transfer(&edu, iova, EDU_BUFFER, 0) < 0 ||
		edu_transfer(&edu, EDU_BUFFER, iova + LEN, EDU_TO_RAM) < 0)
		return 1;
	differ = memcmp(va, va + LEN, LEN);
	printf("%d bytes from IOVA 0x%jx to 0x%jx: %s\n", LEN, (uintmax_t)iova,
		(uintmax_t)iova + LEN, differ == 0 ? "equal" : "DIFFERENT");
	if (edu_master(&edu, 0) < 0 || munmap(edu.regs, edu.regs_len) < 0 ||
		dmamap_zone_free(edu.zone) < 0 || dmamap_container_detach(edu.dev) < 0)
		return 1;
	return dmamap_container_destroy(edu.container) < 0 || differ != 0;
}
