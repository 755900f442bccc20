/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * On which NUMA node? Check, bind and look up; machines without NUMA are one node, number 0.
 */

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <stdbool.h>

#include <rte_common.h>

#include "dm_log.h"
#include "dm_node.h"

/** Pages asked about in one system call. */
#define BATCH 256

static bool
have_numa(void)
{
	return numa_available() >= 0;
}

int
dm_node_check(int node, const char *what)
{
	if (node < 0)
		return 0;
	if (!have_numa())
		return node == 0 ? 0 : DM_FAIL(ENODEV, "%s: no NUMA node %d: this machine has one"
			" node, 0", what, node);
	if (node > numa_max_node() || !numa_bitmask_isbitset(numa_nodes_ptr, node))
		return DM_FAIL(ENODEV, "%s: no NUMA node %d: the last one is %d", what, node,
			numa_max_node());
	if (!numa_bitmask_isbitset(numa_all_nodes_ptr, node))
		return DM_FAIL(ENODEV, "%s: this process may not use memory of NUMA node %d:"
			" see cpuset.mems of its cgroup", what, node);
	return 0;
}

int
dm_node_bind(void *va, size_t len, int node)
{
	struct bitmask *mask;
	long rc;

	if (node < 0 || !have_numa())
		return 0;
	mask = numa_allocate_nodemask();
	if (mask == NULL)
		return -ENOMEM;
	numa_bitmask_setbit(mask, node);
	rc = mbind(va, len, MPOL_BIND, mask->maskp, mask->size + 1, 0);
	rc = rc < 0 ? -errno : 0;
	numa_bitmask_free(mask);
	return (int)rc;
}

/** The node of up to BATCH pages, or -1. */
static int
batch_node(void *va, size_t page_size, unsigned int n)
{
	void *pages[BATCH];
	int status[BATCH];
	unsigned int i;

	for (i = 0; i < n; i++)
		pages[i] = RTE_PTR_ADD(va, i * page_size);
	if (numa_move_pages(0, n, pages, NULL, status, 0) < 0)
		return -1;
	for (i = 1; i < n; i++)
		if (status[i] != status[0])
			return -1;
	return status[0] < 0 ? -1 : status[0];
}

int
dm_node_of(void *va, size_t len, size_t page_size)
{
	size_t left = len / page_size;
	int node = -1, found;

	if (!have_numa())
		return 0;
	for (; left > 0; left -= RTE_MIN(left, (size_t)BATCH)) {
		found = batch_node(va, page_size, RTE_MIN(left, (size_t)BATCH));
		if (found < 0 || (node >= 0 && found != node))
			return -1;
		node = found;
		va = RTE_PTR_ADD(va, BATCH * page_size);
	}
	return node;
}
