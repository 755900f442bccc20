/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * On which NUMA node? Check, place and look up; machines without NUMA are one node, number 0.
 */

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "dm_hugepage.h"
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
		return node == 0 ? 0
				 : DM_FAIL(ENODEV,
					   "%s: no NUMA node %d: this machine has one"
					   " node, 0",
					   what, node);
	if (node > numa_max_node() || !numa_bitmask_isbitset(numa_nodes_ptr, node))
		return DM_FAIL(ENODEV, "%s: no NUMA node %d: the last one is %d", what, node,
			numa_max_node());
	if (!numa_bitmask_isbitset(numa_all_nodes_ptr, node))
		return DM_FAIL(ENODEV,
			"%s: this process may not use memory of NUMA node %d:"
			" see cpuset.mems of its cgroup",
			what, node);
	return 0;
}

int
dm_node_local(void)
{
	int cpu = sched_getcpu(), node = -1;

	if (have_numa() && cpu >= 0)
		node = numa_node_of_cpu(cpu);
	return RTE_MAX(node, 0);
}

int
dm_node_place(void *va, size_t len, enum dmamap_placement placement, int node)
{
	struct bitmask *mask;
	int mode = MPOL_BIND;
	long rc;

	if (!have_numa() || (node < 0 && placement != DMAMAP_PLACE_INTERLEAVE))
		return 0;
	mask = numa_allocate_nodemask();
	if (mask == NULL)
		return -ENOMEM;
	if (placement == DMAMAP_PLACE_INTERLEAVE) {
		mode = MPOL_INTERLEAVE;
		copy_bitmask_to_bitmask(numa_all_nodes_ptr, mask);
	} else {
		if (placement != DMAMAP_PLACE_STRICT)
			mode = MPOL_PREFERRED;
		numa_bitmask_setbit(mask, node);
	}
	rc = mbind(va, len, mode, mask->maskp, mask->size + 1, 0);
	rc = rc < 0 ? -errno : 0;
	numa_bitmask_free(mask);
	return (int)rc;
}

void
dm_node_add(struct dm_node_lens *lens, int node, uint64_t len)
{
	unsigned int at = 0;

	while (at < lens->n && lens->of[at].node < node)
		at++;
	if (at < lens->n && lens->of[at].node == node) {
		lens->of[at].len += len;
		return;
	}
	/* The last place is for all that find none, which begins the list: -1 is below every node.
	 */
	if (lens->n >= DMAMAP_NODES_MAX - 1 && node >= 0) {
		dm_node_add(lens, -1, len);
		return;
	}
	memmove(&lens->of[at + 1], &lens->of[at], (lens->n - at) * sizeof(lens->of[0]));
	lens->of[at] = (struct dmamap_node_len){node, len};
	lens->n++;
}

void
dm_node_count(void *va, size_t len, size_t page_size, struct dm_node_lens *lens)
{
	void *pages[BATCH];
	int status[BATCH];
	size_t at = 0;
	unsigned int i, n;

	if (!have_numa()) {
		dm_node_add(lens, 0, len);
		return;
	}
	while (at < len) {
		n = RTE_MIN((len - at) / page_size, (size_t)BATCH);
		for (i = 0; i < n; i++, at += page_size)
			pages[i] = RTE_PTR_ADD(va, at);
		if (numa_move_pages(0, n, pages, NULL, status, 0) < 0)
			for (i = 0; i < n; i++)
				status[i] = -1;
		for (i = 0; i < n; i++)
			dm_node_add(lens, RTE_MAX(status[i], -1), page_size);
	}
}

int
dm_node_only(const struct dm_node_lens *lens)
{
	return lens->n == 1 ? lens->of[0].node : -1;
}

/** Does each node that the process may use hold its part, to a page? */
static bool
is_interleaved(const struct dm_node_lens *lens, size_t page_size)
{
	unsigned int nodes = numa_bitmask_weight(numa_all_nodes_ptr), i;
	uint64_t pages = 0, low, n;

	for (i = 0; i < lens->n; i++)
		pages += lens->of[i].len / page_size;
	low = pages / nodes;
	for (i = 0; i < lens->n; i++) {
		n = lens->of[i].len / page_size;
		if (lens->of[i].node < 0 || n > low + 1 || n + 1 < low)
			return false;
	}
	/* Nodes without a single page are not in the list. */
	return low <= 1 || lens->n == nodes;
}

bool
dm_node_as_asked(const struct dm_node_lens *lens, enum dmamap_placement placement, int node,
	size_t page_size)
{
	if (!have_numa())
		return true;
	if (placement == DMAMAP_PLACE_INTERLEAVE)
		return is_interleaved(lens, page_size);
	return node < 0 || dm_node_only(lens) == node;
}

const char *
dm_node_lens_str(const struct dm_node_lens *lens, char buf[DM_NODE_STR_MAX])
{
	char len[DM_HUGEPAGE_STR_MAX];
	size_t used = 0;
	unsigned int i;

	buf[0] = '\0';
	for (i = 0; i < lens->n && used < DM_NODE_STR_MAX; i++)
		used += snprintf(&buf[used], DM_NODE_STR_MAX - used, "%s%s on node %d",
			i > 0 ? ", " : "", dm_hugepage_size_str(lens->of[i].len, len),
			lens->of[i].node);
	return buf;
}
