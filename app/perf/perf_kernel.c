/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Benchmarks on a real kernel: the map of a large memory, beside DPDK's own VFIO functions.
 *
 * Both sides map the same hugepages, each for a device of its own. The pages are there before, so
 * the times are those of pinning and of page tables. DPDK has no call for a page range whose IOVAs
 * it may choose: like its memory code, the peer maps page by page.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/vfio.h>

#include <rte_common.h>
#include <rte_vfio.h>

#include "dmamap.h"
#include "perf.h"
#include "perf_bed.h"

#define HUGEPAGE (2 * PERF_M)
#define MOST (8 * PERF_G)
#define LEAST PERF_G
/** Where DPDK's side maps: above the MSI window. */
#define THEIR_IOVA (8 * PERF_G)
#define SYSFS_DEVICES "/sys/bus/pci/devices/"

/** Memory, and a container of each side with one device in it. */
struct both {
	char *va;
	uint64_t len;
	struct dmamap_container *c;
	struct dmamap_device *ours; /**< our device, in c; NULL: none */
	rte_iova_t iova;
	int container; /**< DPDK's container handle; -1: none */
	int device; /**< file of DPDK's device; -1: none */
	char name[64]; /**< name of DPDK's device */
	uint64_t map_calls; /**< map calls that we made into the kernel */
};

/** Map as many hugepages as are free, up to 8 GiB. @return 0; -ENOMEM: less than 1 GiB */
static int
memory_map(struct both *b)
{
	for (b->len = MOST; b->len >= LEAST; b->len /= 2) {
		b->va = mmap(NULL, b->len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
		if (b->va != MAP_FAILED)
			return 0;
	}
	b->va = NULL;
	return -ENOMEM;
}

static int
ours_open(struct both *b, const char *device, enum dmamap_backend backend)
{
	const struct dmamap_container_conf conf = {.name = "perf", .backend = backend};
	int rc = dmamap_container_create(&conf, &b->c);

	return rc < 0 ? rc : dmamap_container_attach(b->c, device, &b->ours);
}

static int
theirs_open(struct both *b, const char *device)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	int group;

	snprintf(b->name, sizeof(b->name), "%s", device);
	b->container = rte_vfio_container_create();
	if (b->container < 0 || rte_vfio_get_group_num(SYSFS_DEVICES, device, &group) <= 0 ||
		rte_vfio_container_group_bind(b->container, group) < 0 ||
		rte_vfio_setup_device(SYSFS_DEVICES, device, &b->device, &info) != 0) {
		fprintf(stderr, "gantry-perf: DPDK cannot open %s by VFIO\n", device);
		return -ENODEV;
	}
	return 0;
}

static void
both_close(struct both *b)
{
	if (b->device >= 0)
		rte_vfio_release_device(SYSFS_DEVICES, b->name, b->device);
	if (b->container >= 0)
		rte_vfio_container_destroy(b->container);
	if (b->ours != NULL)
		dmamap_container_detach(b->ours);
	if (b->c != NULL)
		dmamap_container_destroy(b->c);
	if (b->va != NULL)
		munmap(b->va, b->len);
}

/** Map all and unmap it. @return ns of the map; *errors counts wrong results */
static double
ours_once(struct both *b, uint64_t *errors)
{
	struct dmamap_container_info before, after;
	uint64_t start, ns;

	*errors += dmamap_container_info(b->c, &before) != 0;
	start = perf_thread_ns();
	*errors += dmamap_map(b->c, b->va, b->len, DMAMAP_RW, &b->iova) != 0;
	ns = perf_thread_ns() - start;
	*errors += dmamap_container_info(b->c, &after) != 0;
	b->map_calls = after.map_calls - before.map_calls;
	*errors += dmamap_va2iova(b->c, b->va + b->len - 1) != b->iova + b->len - 1;
	*errors += dmamap_unmap(b->c, b->iova, b->len) != 0;
	return ns;
}

static double
theirs_once(struct both *b, uint64_t *errors)
{
	uint64_t start = perf_thread_ns(), offset, ns;

	for (offset = 0; offset < b->len; offset += HUGEPAGE)
		*errors += rte_vfio_container_dma_map(b->container, (uintptr_t)b->va + offset,
				   THEIR_IOVA + offset, HUGEPAGE) != 0;
	ns = perf_thread_ns() - start;
	*errors += rte_vfio_container_dma_unmap(
			   b->container, (uintptr_t)b->va, THEIR_IOVA, b->len) != 0;
	return ns;
}

static void
both_measure(struct both *b, const char *backend)
{
	static double ours[PERF_MAX_REPEATS], theirs[PERF_MAX_REPEATS], ratio[PERF_MAX_REPEATS];
	const unsigned int n = perf_repeats();
	struct perf_row row = PERF_ROW_INIT;
	char name[64], peer[64];
	unsigned int i;

	ours_once(b, &row.errors);
	theirs_once(b, &row.errors);
	for (i = 0; i < n; i++) {
		ours[i] = ours_once(b, &row.errors);
		theirs[i] = theirs_once(b, &row.errors);
		ratio[i] = theirs[i] / ours[i];
	}
	snprintf(name, sizeof(name), "kernel/%s, %" PRIu64 " GiB, %" PRIu64 " calls", backend,
		b->len / PERF_G, b->map_calls);
	snprintf(peer, sizeof(peer), "DPDK's type1, %" PRIu64 " calls", b->len / HUGEPAGE);
	row.name = name;
	row.peer = peer;
	row.target = strcmp(backend, "iommufd") == 0 ? 4 : 2.5;
	row.stretch = strcmp(backend, "iommufd") == 0 ? 6 : 4;
	row.repeats = n;
	row.median = perf_median(ours, n);
	row.low = perf_quantile(ours, n, 0.25);
	row.high = perf_quantile(ours, n, 0.75);
	row.peer_median = perf_median(theirs, n);
	perf_figure(&row, ratio, n);
	perf_report(&row);
}

/** Measure one backend, if the kernel has it. */
static int
measure_backend(const char *ours, const char *theirs, enum dmamap_backend backend, const char *name)
{
	struct both b = {.container = -1, .device = -1};
	int rc = memory_map(&b);

	if (rc < 0) {
		printf("kernel/%-27s not measured: needs 1 GiB in free hugepages of 2 MiB\n", name);
		return 0;
	}
	rc = theirs_open(&b, theirs);
	if (rc == 0)
		rc = ours_open(&b, ours, backend);
	if (rc == 0)
		both_measure(&b, name);
	both_close(&b);
	return rc;
}

static int
bench_kernel(void)
{
	const char *list = getenv("GANTRY_DEVICES");
	char *copy = strdup(list != NULL ? list : ""), *rest, *first, *second;
	int rc = 0;

	if (copy == NULL)
		return -ENOMEM;
	first = strtok_r(copy, " ,", &rest);
	second = strtok_r(NULL, " ,", &rest);
	if (second == NULL) {
		printf("%-34s not measured: needs two devices with vfio-pci in groups of their "
		       "own, named in GANTRY_DEVICES\n",
			"kernel/map");
		goto out;
	}
	rc = measure_backend(first, second, DMAMAP_BACKEND_TYPE1, "type1");
	if (rc == 0 && access("/dev/iommu", F_OK) == 0)
		rc = measure_backend(first, second, DMAMAP_BACKEND_IOMMUFD, "iommufd");
out:
	free(copy);
	return rc;
}

REGISTER_PERF(kernel_map) = {
	.name = "kernel/map",
	.what = "map of 8 GiB of hugepages on a real kernel against DPDK's, page by page",
	.run = bench_kernel,
};
