/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A DPDK program that holds memory on the mock kernel and does what its standard input says, line
 * by line. e2e/test_info_serve.py looks at it with gantry-info. It takes the arguments of the EAL.
 *
 *   zone OWNER KIB    allocate a zone; the owner may hold any character but a blank
 *   map KIB           map memory
 *   refuse            make calls that are refused: map, twice, and reserve
 *   fill N            make N mappings of 4 KiB that do not touch
 *
 * It answers each with a line: "ok", or the negative errno.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_eal.h>

#include <dmamap.h>
#include <vfio_mock.h>

#define PAGE ((size_t)4096)

static struct dmamap_container *container;

/** Two IOMMUs with two devices and one, and an MSI window. */
static int
machine_make(void)
{
	static const struct vfio_mock_resv msi = {{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI};
	static const char *const names[] = {"0000:01:00.0", "0000:01:00.1", "0000:81:00.0"};
	struct dmamap_container_conf conf = {
		.backend = DMAMAP_BACKEND_TYPE1, .sharing = DMAMAP_ISOLATE, .name = "default"};
	struct vfio_mock_group_conf group = {.n_resv = 1, .resv = &msi};
	struct dmamap_device *device;
	struct vfio_mock *mock;
	unsigned int i;
	int rc, both = -1;

	rc = vfio_mock_create(NULL, &mock);
	if (rc < 0)
		return rc;
	for (i = 0; i < 3; i++) {
		if (i != 1) {
			group.iommu = vfio_mock_add_iommu(mock, NULL);
			both = vfio_mock_add_group(mock, &group);
		}
		vfio_mock_add_device(mock, both, names[i], 0, "vfio-pci");
	}
	conf.kernel = vfio_mock_kernel(mock);
	rc = dmamap_container_create(&conf, &container);
	for (i = 0; i < 3 && rc == 0; i++)
		rc = dmamap_container_attach(container, names[i], &device);
	return rc;
}

static int
zone_make(const char *owner, size_t len)
{
	static unsigned int number;
	char name[16];
	const struct dmamap_zone_conf conf = {
		.len = len, .page_size = PAGE, .name = name, .owner = owner};
	struct dmamap_zone *zone;

	snprintf(name, sizeof(name), "zone%u", number++);
	return dmamap_zone_alloc(container, &conf, &zone);
}

static int
memory_map(size_t len)
{
	void *va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	dmamap_iova_t iova;

	return va == MAP_FAILED ? -1 : dmamap_map(container, va, len, DMAMAP_RW, &iova);
}

static int
refuse(void)
{
	static char page[PAGE] __attribute__((aligned(4096)));
	const struct dmamap_range nowhere = {0xfee00000, 0xfeefffff};
	dmamap_iova_t iova;

	dmamap_map(container, page, 1, DMAMAP_RW, &iova);
	dmamap_map(container, page, 1, DMAMAP_RW, &iova);
	return dmamap_iova_reserve(container, PAGE, 0, nowhere, &iova) < 0 ? 0 : -1;
}

static int
fill(unsigned int n)
{
	char *va = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	dmamap_iova_t iova;
	unsigned int i;
	int rc = 0;

	for (i = 0; i < n && rc == 0 && va != MAP_FAILED; i++) {
		iova = (UINT64_C(2) << 32) + i * 2 * PAGE;
		rc = dmamap_map(container, va + i * PAGE, PAGE, DMAMAP_RW | DMAMAP_FIXED, &iova);
	}
	return rc;
}

static int
line_do(const char *line)
{
	unsigned int n = 0;
	char owner[64];

	if (sscanf(line, "zone %63s %u", owner, &n) == 2)
		return zone_make(owner, n * (size_t)1024);
	if (sscanf(line, "map %u", &n) == 1)
		return memory_map(n * (size_t)1024);
	if (sscanf(line, "fill %u", &n) == 1)
		return fill(n);
	return strcmp(line, "refuse\n") == 0 ? refuse() : -22;
}

int
main(int argc, char **argv)
{
	char line[256];
	int rc;

	if (rte_eal_init(argc, argv) < 0)
		return 77;
	rc = machine_make();
	for (;;) {
		if (rc == 0)
			puts("ok");
		else
			printf("%d\n", rc);
		fflush(stdout);
		if (fgets(line, sizeof(line), stdin) == NULL)
			break;
		rc = line_do(line);
	}
	/* The process ends with what it holds. */
	rte_eal_cleanup();
	return 0;
}
