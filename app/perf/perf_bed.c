/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The set-up of benchmarks that use public calls only. See perf_bed.h.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include <linux/vfio.h>

#include <rte_common.h>

#include "perf.h"
#include "perf_bed.h"

#define SLOW_MS 20

static void
stay_busy(void)
{
	const uint64_t end = perf_thread_ns() + PERF_BUSY_NS;

	while (perf_thread_ns() < end)
		;
}

static int
kernel_ioctl(void *arg, int fd, unsigned long request, uintptr_t param)
{
	struct perf_bed *b = arg;
	const struct timespec slow = {.tv_nsec = SLOW_MS * 1000000L};

	if (b->cost == PERF_KERNEL_MOCK ||
		(request != VFIO_IOMMU_MAP_DMA && request != VFIO_IOMMU_UNMAP_DMA))
		return vfio_mock_ioctl(b->mock, fd, request, param);
	if (request == VFIO_IOMMU_MAP_DMA && b->cost == PERF_KERNEL_SLOW &&
		((const struct vfio_iommu_type1_dma_map *)param)->size >= PERF_SLOW_LEN)
		nanosleep(&slow, NULL);
	if (b->cost == PERF_KERNEL_BUSY)
		stay_busy();
	/* The unmap's size field stays as requested, which reports that everything was unmapped. */
	return 0;
}

static int
kernel_open(void *arg, const char *path, int flags)
{
	struct perf_bed *b = arg;
	const struct dmamap_kernel *mock = vfio_mock_kernel(b->mock);

	return mock->open(mock->arg, path, flags);
}

static int
kernel_close(void *arg, int fd)
{
	return vfio_mock_close(((struct perf_bed *)arg)->mock, fd);
}

static int
kernel_read_file(void *arg, const char *path, char *buf, size_t size)
{
	const struct dmamap_kernel *mock = vfio_mock_kernel(((struct perf_bed *)arg)->mock);

	return mock->read_file(mock->arg, path, buf, size);
}

static int
kernel_read_link(void *arg, const char *path, char *buf, size_t size)
{
	const struct dmamap_kernel *mock = vfio_mock_kernel(((struct perf_bed *)arg)->mock);

	return mock->read_link(mock->arg, path, buf, size);
}

static int
kernel_list(void *arg, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	const struct dmamap_kernel *mock = vfio_mock_kernel(((struct perf_bed *)arg)->mock);

	return mock->list(mock->arg, path, each, ctx);
}

static int
machine_init(struct perf_bed *b, const struct perf_bed_conf *conf)
{
	static const struct vfio_mock_iommu_conf iommu = {.aperture = {0, (UINT64_C(1) << 48) - 1}};
	const struct vfio_mock_conf machine = {.no_memory = true,
		.entry_limit = conf->entry_limit != 0 ? conf->entry_limit : 1 << 20};
	/* The MSI window of x86, reserved in every group. */
	static const struct vfio_mock_resv msi = {{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI};
	struct vfio_mock_group_conf group = {.resv = &msi, .n_resv = 1};
	char name[DMAMAP_NAME_MAX];
	unsigned int i;
	int rc = vfio_mock_create(&machine, &b->mock);

	if (rc < 0)
		return rc;
	group.iommu = vfio_mock_add_iommu(b->mock, &iommu);
	for (i = 0; i < conf->n_machine && rc >= 0; i++) {
		snprintf(name, sizeof(name), "dev%u", i);
		rc = vfio_mock_add_group(b->mock, &group);
		if (rc >= 0)
			rc = vfio_mock_add_device(b->mock, rc, name, -1, "vfio-pci");
	}
	b->n_machine = conf->n_machine;
	b->cost = conf->cost;
	b->kernel = *vfio_mock_kernel(b->mock);
	b->kernel.arg = b;
	b->kernel.open = kernel_open;
	b->kernel.ioctl = kernel_ioctl;
	b->kernel.close = kernel_close;
	b->kernel.read_file = kernel_read_file;
	b->kernel.read_link = kernel_read_link;
	b->kernel.list = kernel_list;
	return rc < 0 ? rc : 0;
}

static int
area_init(struct perf_bed *b, uint64_t len)
{
	b->area_len = len + PERF_G;
	b->area_base = mmap(
		NULL, b->area_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (b->area_base == MAP_FAILED) {
		b->area_base = NULL;
		return -ENOMEM;
	}
	b->area = RTE_PTR_ALIGN_CEIL(b->area_base, PERF_G);
	return 0;
}

int
perf_bed_init(struct perf_bed *b, const struct perf_bed_conf *conf)
{
	struct dmamap_container_conf cc = {.backend = DMAMAP_BACKEND_TYPE1, .rcu = conf->rcu};
	int rc;

	*b = (struct perf_bed){.dev = calloc(conf->n_machine + 1, sizeof(b->dev[0]))};
	rc = b->dev != NULL ? machine_init(b, conf) : -ENOMEM;
	if (rc == 0)
		rc = area_init(b, conf->area_len);
	cc.kernel = &b->kernel;
	if (rc == 0)
		rc = dmamap_container_create(&cc, &b->c);
	while (rc == 0 && b->n_dev < conf->n_attached)
		rc = perf_bed_attach(b);
	return rc;
}

void
perf_bed_fini(struct perf_bed *b)
{
	while (b->n_dev > 0)
		dmamap_container_detach(b->dev[--b->n_dev]);
	if (b->c != NULL)
		dmamap_container_destroy(b->c);
	if (b->mock != NULL)
		vfio_mock_destroy(b->mock);
	if (b->area_base != NULL)
		munmap(b->area_base, b->area_len);
	free(b->dev);
	*b = (struct perf_bed){0};
}

int
perf_bed_attach(struct perf_bed *b)
{
	char name[DMAMAP_NAME_MAX];
	int rc;

	snprintf(name, sizeof(name), "dev%u", b->n_dev);
	rc = dmamap_container_attach(b->c, name, &b->dev[b->n_dev]);
	b->n_dev += rc == 0;
	return rc;
}

int
perf_bed_detach(struct perf_bed *b)
{
	int rc = dmamap_container_detach(b->dev[b->n_dev - 1]);

	b->n_dev -= rc == 0;
	return rc;
}

int
perf_bed_map(struct perf_bed *b, unsigned int n, uint64_t at, uint64_t len, uint64_t stride)
{
	rte_iova_t iova;
	unsigned int i;
	int rc = 0;

	for (i = 0; i < n && rc == 0; i++)
		rc = dmamap_map(b->c, b->area + at + i * stride, len, DMAMAP_RW, &iova);
	return rc;
}

int
perf_bed_idle(struct perf_bed *b, unsigned int n, uint64_t at, uint64_t len, uint64_t stride)
{
	struct dmamap_registration *reg;
	rte_iova_t iova;
	unsigned int i;
	int rc = 0;

	for (i = 0; i < n && rc == 0; i++) {
		rc = dmamap_register(b->c, b->area + at + i * stride, len, DMAMAP_RW, &iova, &reg);
		if (rc == 0)
			rc = dmamap_deregister(reg);
	}
	return rc;
}
