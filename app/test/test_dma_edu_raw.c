/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * An edu device without its driver, and memory with known contents. See test_dma_edu_raw.h. Uses
 * the kernel's VFIO interface and three registers of edu.
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_io.h>

#include <edu_hw.h>

#include "test.h"
#include "test_dma_edu_raw.h"

static struct area areas[AREAS_MAX];
static unsigned int n_areas;

static bool
file_holds(const char *bdf, const char *file, unsigned long value)
{
	char path[PATH_MAX], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, file);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	if (fgets(text, sizeof(text), f) == NULL)
		text[0] = '\0';
	fclose(f);
	return strtoul(text, NULL, 0) == value;
}

const char *
driver_of(const char *bdf)
{
	static char target[PATH_MAX];
	char path[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", bdf);
	len = readlink(path, target, sizeof(target) - 1);
	target[len < 0 ? 0 : len] = '\0';
	return len < 0 ? "" : strrchr(target, '/') + 1;
}

/** Whether tests may use this device. */
static bool
is_ours(const char *bdf)
{
	const char *list = getenv("GANTRY_DEVICES");

	if (list != NULL && strstr(list, bdf) == NULL)
		return false;
	return strcmp(driver_of(bdf), "vfio-pci") == 0;
}

unsigned int
find_devices(uint16_t vendor, uint16_t device, char (*names)[DMAMAP_NAME_MAX], unsigned int max)
{
	struct dirent **entries;
	unsigned int n = 0;
	int i, n_entries = scandir("/sys/bus/pci/devices", &entries, NULL, alphasort);

	for (i = 0; i < n_entries; i++) {
		const char *bdf = entries[i]->d_name;

		if (n < max && bdf[0] != '.' && file_holds(bdf, "vendor", vendor) &&
			file_holds(bdf, "device", device) && is_ours(bdf))
			snprintf(names[n++], DMAMAP_NAME_MAX, "%.32s", bdf);
		free(entries[i]);
	}
	if (n_entries >= 0)
		free(entries);
	return n;
}

const char *
edu_raw_name(unsigned int n)
{
	static char names[EDU_RAW_MAX][DMAMAP_NAME_MAX];

	return n < find_devices(EDU_VENDOR_ID, EDU_DEVICE_ID, names, EDU_RAW_MAX) ? names[n] : NULL;
}

static int
set_bus_master(const struct edu_raw *e, bool on)
{
	const off_t at = e->cfg_off + PCI_COMMAND;
	uint16_t cmd;

	if (pread(e->fd, &cmd, sizeof(cmd), at) != sizeof(cmd))
		return -EIO;
	cmd |= PCI_COMMAND_MEMORY;
	cmd = on ? cmd | PCI_COMMAND_MASTER : cmd & ~PCI_COMMAND_MASTER;
	return pwrite(e->fd, &cmd, sizeof(cmd), at) == sizeof(cmd) ? 0 : -EIO;
}

/** Map BAR 0 and find the config space region. */
static int
map_bar(struct edu_raw *e)
{
	struct vfio_region_info bar = {.argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX};
	struct vfio_region_info cfg = {.argsz = sizeof(cfg), .index = VFIO_PCI_CONFIG_REGION_INDEX};
	void *va;

	if (ioctl(e->fd, VFIO_DEVICE_GET_REGION_INFO, &bar) < 0 ||
		ioctl(e->fd, VFIO_DEVICE_GET_REGION_INFO, &cfg) < 0)
		return -errno;
	e->cfg_off = cfg.offset;
	va = mmap(NULL, EDU_BAR_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, e->fd, bar.offset);
	if (va == MAP_FAILED)
		return -errno;
	e->bar = va;
	return 0;
}

int
edu_raw_start_file(struct edu_raw *e, int fd)
{
	int rc;

	e->fd = fd;
	rc = map_bar(e);
	if (rc < 0)
		return rc;
	/*
	 * A transfer that another process left running must finish before bus mastering is enabled.
	 */
	rc = edu_raw_wait(e);
	if (rc == 0)
		rc = set_bus_master(e, true);
	if (rc < 0)
		munmap((void *)(uintptr_t)e->bar, EDU_BAR_LEN);
	return rc;
}

void
edu_raw_stop(struct edu_raw *e)
{
	edu_raw_wait(e);
	set_bus_master(e, false);
	munmap((void *)(uintptr_t)e->bar, EDU_BAR_LEN);
}

int
edu_raw_start(struct edu_raw *e, struct dmamap_device *dma)
{
	int rc = edu_raw_start_file(e, dmamap_device_fd(dma));

	if (rc < 0)
		return rc;
	dmamap_device_hold(dma);
	e->dma = dma;
	return 0;
}

int
edu_raw_open(struct edu_raw *e, struct dmamap_container *c, unsigned int n)
{
	struct dmamap_device *dma;
	int rc;

	if (edu_raw_name(n) == NULL)
		return -ENODEV;
	rc = dmamap_container_attach(c, edu_raw_name(n), &dma);
	if (rc < 0)
		return rc;
	rc = edu_raw_start(e, dma);
	if (rc < 0)
		dmamap_container_detach(dma);
	return rc;
}

int
edu_raw_close(struct edu_raw *e)
{
	struct dmamap_device *dma = e->dma;

	if (dma == NULL)
		return 0;
	edu_raw_stop(e);
	dmamap_device_release(dma);
	e->dma = NULL;
	return dmamap_container_detach(dma);
}

void
edu_raw_begin(struct edu_raw *e, uint64_t iova, uint32_t off, uint32_t len, bool to_ram)
{
	rte_write64(to_ram ? EDU_BUF + off : iova, e->bar + EDU_DMA_SRC);
	rte_write64(to_ram ? iova : EDU_BUF + off, e->bar + EDU_DMA_DST);
	rte_write64(len, e->bar + EDU_DMA_COUNT);
	rte_write64(EDU_CMD_RUN | (to_ram ? EDU_CMD_TO_RAM : 0), e->bar + EDU_DMA_CMD);
}

int
edu_raw_wait(struct edu_raw *e)
{
	unsigned int i;

	for (i = 0; i < 5000; i++) {
		if ((rte_read64(e->bar + EDU_DMA_CMD) & EDU_CMD_RUN) == 0)
			return 0;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

int
edu_raw_read(struct edu_raw *e, uint64_t iova, uint32_t off, uint32_t len)
{
	edu_raw_begin(e, iova, off, len, false);
	return edu_raw_wait(e);
}

int
edu_raw_write(struct edu_raw *e, uint64_t iova, uint32_t off, uint32_t len)
{
	edu_raw_begin(e, iova, off, len, true);
	return edu_raw_wait(e);
}

/** The child's function, which never returns. It writes a byte to the pipe when a transfer runs. */
static void
make_traffic(unsigned int n, uint64_t iova, int started)
{
	const struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1};
	const struct dmamap_zone_conf zone_conf = {.len = 2 << 20, .page_size = 2 << 20};
	struct dmamap_container *c;
	struct dmamap_zone *z;
	struct edu_raw e = {0};
	struct area *r = area_make(4096);

	if (r == NULL || dmamap_container_create(&conf, &c) != 0 || edu_raw_open(&e, c, n) != 0 ||
		dmamap_zone_alloc(c, &zone_conf, &z) != 0 ||
		dmamap_map(c, r->va, r->len, DMAMAP_RW | DMAMAP_FIXED, &iova) != 0)
		return;
	edu_raw_read(&e, iova + 1000, 0, 1000);
	for (;;) {
		edu_raw_begin(&e, iova, 0, 1000, true);
		if (started >= 0 && write(started, "", 1) != 1)
			return;
		started = -1;
		edu_raw_wait(&e);
	}
}

pid_t
edu_raw_child(unsigned int n, uint64_t iova)
{
	int pipe_fd[2];
	pid_t pid;
	char byte;

	if (pipe(pipe_fd) < 0)
		return -1;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pipe_fd[0]);
		make_traffic(n, iova, pipe_fd[1]);
		_exit(1);
	}
	close(pipe_fd[1]);
	if (pid > 0 && read(pipe_fd[0], &byte, 1) != 1) {
		edu_raw_child_kill(pid);
		pid = -1;
	}
	close(pipe_fd[0]);
	return pid;
}

void
edu_raw_child_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct area *
area_adopt(void *va, size_t len)
{
	struct area *r = &areas[n_areas];
	uint32_t state = 0x9e3779b9u * (n_areas + 1);
	size_t i;

	if (n_areas == AREAS_MAX)
		return NULL;
	r->want = malloc(len);
	if (r->want == NULL)
		return NULL;
	r->va = va;
	r->len = len;
	r->own = false;
	/* Fill each area with different bytes, so that bytes of one are recognized in another. */
	for (i = 0; i < len; i++) {
		state = state * 1664525u + 1013904223u;
		r->want[i] = state >> 24;
	}
	memcpy(r->va, r->want, len);
	n_areas++;
	return r;
}

struct area *
area_make(size_t len)
{
	void *va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct area *r;

	if (va == MAP_FAILED)
		return NULL;
	r = area_adopt(va, len);
	if (r == NULL)
		munmap(va, len);
	else
		r->own = true;
	return r;
}

void
area_expect(struct area *r, size_t off, const void *bytes, size_t len)
{
	memcpy(r->want + off, bytes, len);
}

bool
areas_match(void)
{
	bool right = true;
	unsigned int i;
	size_t at;

	for (i = 0; i < n_areas; i++) {
		if (memcmp(areas[i].va, areas[i].want, areas[i].len) == 0)
			continue;
		for (at = 0; areas[i].va[at] == areas[i].want[at]; at++)
			;
		printf("  area %u of %zu bytes: byte %zu is %#x, not %#x\n", i, areas[i].len, at,
			areas[i].va[at], areas[i].want[at]);
		right = false;
	}
	return right;
}

void
areas_free(void)
{
	struct area *r;

	while (n_areas > 0) {
		r = &areas[--n_areas];
		free(r->want);
		if (r->own)
			munmap(r->va, r->len);
	}
}
