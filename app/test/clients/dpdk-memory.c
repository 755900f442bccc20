/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A DPDK program whose memory grows and shrinks while it has a NIC, with DPDK linked in statically.
 * It allocates and frees from DPDK's heap, which maps and unmaps hugepages as it needs them, and
 * maps memory of its own for the NIC. app/test/e2e/test_vfio_front_programs.py compares what it
 * prints.
 *
 * usage: dpdk-memory EAL-OPTIONS
 */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#define HUGEPAGE (2UL << 20)
#define BLOCKS 8
#define ROUNDS 3

/* One block for each hugepage and some more, so that the heap has to grow for each block. */
static int
grow_and_shrink(void)
{
	void *blocks[BLOCKS];

	for (unsigned int i = 0; i < BLOCKS; i++) {
		blocks[i] = rte_malloc(NULL, HUGEPAGE + 4096, HUGEPAGE);
		if (blocks[i] == NULL) {
			printf("no memory for block %u\n", i);
			return -1;
		}
		memset(blocks[i], (int)i, HUGEPAGE);
	}
	for (unsigned int i = 0; i < BLOCKS; i++)
		rte_free(blocks[i]);
	return 0;
}

/* Print the results of calls on external memory. The test compares them with and without Gantry. */
static int
map_own_memory(uint16_t port)
{
	struct rte_eth_dev_info info;
	void *va = mmap(NULL, HUGEPAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	int rc;

	if (va == MAP_FAILED || rte_eth_dev_info_get(port, &info) != 0 ||
		rte_extmem_register(va, HUGEPAGE, NULL, 0, HUGEPAGE) != 0)
		return -1;
	rc = rte_dev_dma_map(info.device, va, 0x40000000, HUGEPAGE);
	printf("map: %d\n", rc);
	rc = rte_dev_dma_map(info.device, va, 0x40000000, HUGEPAGE);
	printf("the same map again: %d\n", rc);
	rc = rte_dev_dma_unmap(info.device, va, 0x40000000, HUGEPAGE);
	printf("unmap: %d\n", rc);
	rc = rte_dev_dma_unmap(info.device, va, 0x40000000, HUGEPAGE);
	printf("unmap again: %d\n", rc);
	return rte_extmem_unregister(va, HUGEPAGE);
}

int
main(int argc, char **argv)
{
	if (rte_eal_init(argc, argv) < 0) {
		printf("rte_eal_init: %s\n", rte_strerror(rte_errno));
		return 1;
	}
	if (rte_eth_dev_count_avail() == 0) {
		printf("no port\n");
		return 1;
	}
	for (unsigned int i = 0; i < ROUNDS; i++)
		if (grow_and_shrink() != 0)
			return 1;
	printf("%u rounds of %u blocks\n", ROUNDS, BLOCKS);
	if (map_own_memory(0) != 0)
		return 1;
	printf("cleanup: %d\n", rte_eal_cleanup());
	return 0;
}
