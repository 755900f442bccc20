/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is the least that a user of libdmamap writes? Map, translate both ways, unmap.
 */

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#include <dmamap.h>

#define LEN (64 * 1024)

/** With a device ("0000:01:00.0") as argument, the device can reach the memory in between. */
int
main(int argc, char **argv)
{
	void *va = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct dmamap_container *c;
	struct dmamap_device *d = NULL;
	rte_iova_t iova;

	if (va == MAP_FAILED || dmamap_container_create(NULL, &c) < 0)
		return 1;
	if (argc > 1 && dmamap_container_attach(c, argv[1], &d) < 0)
		return 1;
	if (dmamap_map(c, va, LEN, DMAMAP_RW, &iova) < 0)
		return 1;
	printf("%p is at IOVA 0x%" PRIx64 "\n", va, iova);
	if (dmamap_va2iova(c, va) != iova || dmamap_iova2va(c, iova) != va)
		return 1;
	if (dmamap_unmap(c, iova, LEN) < 0 || dmamap_container_detach(d) < 0)
		return 1;
	return dmamap_container_destroy(c) < 0;
}
