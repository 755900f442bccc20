/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The least program on libdmamap: map memory, translate in both directions, unmap. With a device,
 * also what a driver does: a pool of descriptors, and a scatter list that is mapped for the device.
 */

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#include <dmamap.h>

#define LEN (64 * 1024)

/** A descriptor, as many devices define it. */
struct descriptor {
	uint64_t addr;
	uint64_t len;
	uint64_t unused[6];
};

/** Map a scatter list for the device, and write a descriptor for each segment. */
static int
segments_map(struct dmamap_device *d, struct dmamap_pool *pool, char *va)
{
	const struct dmamap_sge list[] = {{va, 100}, {va + 100, 4000}, {va + LEN / 2, 1000}};
	struct dmamap_segment seg[3];
	struct dmamap_stream s[3];
	struct descriptor *desc;
	dmamap_iova_t at;
	int i, n;

	n = dmamap_stream_map_sg(d, list, 3, DMAMAP_TO_DEVICE, s, seg, 3);
	for (i = 0; i < n; i++) {
		if (dmamap_pool_get(pool, (void **)&desc, &at) < 0)
			return -1;
		desc->addr = seg[i].iova;
		desc->len = seg[i].len;
		printf("descriptor at IOVA 0x%" PRIx64 ": %zu bytes at IOVA 0x%" PRIx64 "\n", at,
			seg[i].len, seg[i].iova);
		/* Here a driver rings the doorbell, and waits for completion. */
		if (dmamap_pool_put(pool, desc) < 0)
			return -1;
	}
	return n < 0 ? n : dmamap_stream_unmap_sg(s, 3);
}

/**
 * The argument is a device ("0000:01:00.0"), if any. It can reach the memory while it is mapped.
 */
int
main(int argc, char **argv)
{
	void *va = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct dmamap_pool_conf descriptors = {
		.name = "descriptors", .obj_size = sizeof(struct descriptor)};
	struct dmamap_device *d = NULL;
	struct dmamap_container *c;
	struct dmamap_pool *pool;
	dmamap_iova_t iova;

	if (va == MAP_FAILED || dmamap_container_create(NULL, &c) < 0)
		return 1;
	if (argc > 1 && dmamap_container_attach(c, argv[1], &d) < 0)
		return 1;
	if (dmamap_map(c, va, LEN, DMAMAP_RW, &iova) < 0)
		return 1;
	printf("%p is at IOVA 0x%" PRIx64 "\n", va, iova);
	if (dmamap_va2iova(c, va) != iova || dmamap_iova2va(c, iova) != va)
		return 1;
	if (dmamap_pool_create(c, &descriptors, &pool) < 0 ||
		(d != NULL && segments_map(d, pool, va) < 0) || dmamap_pool_destroy(pool) < 0)
		return 1;
	if (dmamap_unmap(c, iova, LEN) < 0 || dmamap_container_detach(d) < 0)
		return 1;
	return dmamap_container_destroy(c) < 0;
}
