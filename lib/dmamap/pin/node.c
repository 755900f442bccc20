/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * NUMA nodes of memory, from libnuma and sysfs. See dm_node.h.
 */

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_file.h"
#include "dm_hugepage.h"
#include "dm_log.h"
#include "dm_node.h"
#include "dm_util.h"

/** Pages in one move_pages(2) call. */
#define BATCH 256

#define SYSFS_NODES "/sys/devices/system/node/"

/**
 * Whether the kernel has NUMA, according to libnuma. If a seccomp filter forbids get_mempolicy(2),
 * libnuma up to 2.0.18 returns yes, and later versions no.
 */
static bool
have_numa(void)
{
	return numa_available() >= 0;
}

/**
 * Count the nodes of a list like "0-1,4" (Linux, bitmap_print_to_pagebuf()).
 * @param first  out: the first node of the list.
 * @param has    in/out: set if `node` is in the list.
 */
static unsigned int
node_list_count(const char *list, int node, int *first, bool *has)
{
	unsigned int n = 0;
	long from, to;
	char *end;

	for (;;) {
		from = strtol(list, &end, 10);
		if (end == list)
			return n;
		to = *end == '-' ? strtol(end + 1, &end, 10) : from;
		if (n == 0)
			*first = (int)from;
		if (to >= from)
			n += to - from + 1;
		*has |= node >= from && node <= to;
		if (*end != ',')
			return n;
		list = end + 1;
	}
}

/** Count the nodes with memory. A kernel without NUMA has no list; it has node 0. */
static unsigned int
node_memory_count(int node, int *first, bool *has)
{
	char list[256];
	unsigned int n = 0;

	*has = false;
	if (dm_file_line(SYSFS_NODES "has_memory", list, sizeof(list)) == 0)
		n = node_list_count(list, node, first, has);
	if (n > 0)
		return n;
	*first = 0;
	*has = node == 0;
	return 1;
}

unsigned int
dm_node_memory_nodes(int *only)
{
	unsigned int n;
	int first;
	bool has;

	n = node_memory_count(-1, &first, &has);
	if (only != NULL)
		*only = n == 1 ? first : -1;
	return n;
}

/** dm_node_check() without libnuma. */
static int
node_check_sysfs(int node, const char *what)
{
	unsigned int n;
	int first;
	bool has;

	n = node_memory_count(node, &first, &has);
	if (has)
		return 0;
	if (n == 1)
		return DM_FAIL(ENODEV, "%s: no NUMA node %d: this machine has one node, %d", what,
			node, first);
	return DM_FAIL(
		ENODEV, "%s: no memory on NUMA node %d: see " SYSFS_NODES "has_memory", what, node);
}

int
dm_node_check(int node, const char *what)
{
	if (node < 0)
		return 0;
	if (!have_numa())
		return node_check_sysfs(node, what);
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
	return DM_MAX(node, 0);
}

int
dm_node_place(void *va, size_t len, enum dmamap_placement placement, int node)
{
	struct bitmask *mask;
	int mode = MPOL_BIND;
	long rc;

	if (node < 0 && placement != DMAMAP_PLACE_INTERLEAVE)
		return 0;
	if (!have_numa())
		return dm_node_memory_nodes(NULL) > 1 ? -EPERM : 0;
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

int
dm_node_refused(
	int err, enum dmamap_placement placement, int node, unsigned int nodes, const char *what)
{
	static const char *const wanted[] = {"strictly", "preferably", "interleaved", "locally"};
	const bool refused = err == EPERM || err == EACCES || err == ENOSYS;
	char where[32] = "";

	if (placement != DMAMAP_PLACE_INTERLEAVE)
		snprintf(where, sizeof(where), " on NUMA node %d", node);
	if (!refused)
		return DM_FAIL(err, "%s: cannot place memory %s%s: mbind: %s", what,
			wanted[placement], where, strerror(err));
	if (nodes == 1)
		return 0;
	if (placement == DMAMAP_PLACE_STRICT)
		return DM_FAIL(EPERM,
			"%s: cannot place memory %s%s: this process may not call mbind(2): "
			"allow it in the"
			" seccomp profile of the container, give it CAP_SYS_NICE, or ask "
			"for another placement",
			what, wanted[placement], where);
	DM_LOG(WARNING,
		"%s: memory comes from any NUMA node, not %s%s: this process may not call "
		"mbind(2): allow it in"
		" the seccomp profile of the container, or give it CAP_SYS_NICE",
		what, wanted[placement], where);
	return 0;
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
	/* The last slot is kept for node -1, which sorts first and collects all further nodes. */
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
	int only;

	/* With a single node no system call is needed, which a seccomp filter might forbid. */
	if (dm_node_memory_nodes(&only) == 1 || !have_numa()) {
		dm_node_add(lens, only, len);
		return;
	}
	while (at < len) {
		n = DM_MIN((len - at) / page_size, (size_t)BATCH);
		for (i = 0; i < n; i++, at += page_size)
			pages[i] = DM_PTR_ADD(va, at);
		if (numa_move_pages(0, n, pages, NULL, status, 0) < 0)
			for (i = 0; i < n; i++)
				status[i] = -1;
		for (i = 0; i < n; i++)
			dm_node_add(lens, DM_MAX(status[i], -1), page_size);
	}
}

int
dm_node_only(const struct dm_node_lens *lens)
{
	return lens->n == 1 ? lens->of[0].node : -1;
}

/** Whether each node that the process may use holds its share, to within a page. */
static bool
lens_are_interleaved(const struct dm_node_lens *lens, size_t page_size)
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
	/* Nodes without a page are not in the list. */
	return low <= 1 || lens->n == nodes;
}

bool
dm_node_as_asked(const struct dm_node_lens *lens, enum dmamap_placement placement, int node,
	size_t page_size)
{
	if (node < 0 && placement != DMAMAP_PLACE_INTERLEAVE)
		return true;
	if (dm_node_memory_nodes(NULL) == 1)
		return true;
	if (placement == DMAMAP_PLACE_INTERLEAVE)
		return lens_are_interleaved(lens, page_size);
	return dm_node_only(lens) == node;
}

const char *
dm_node_lens_str(const struct dm_node_lens *lens, char buf[DM_NODE_STR_MAX])
{
	char len[DM_HUGEPAGE_STR_MAX], where[32];
	size_t used = 0;
	unsigned int i;

	buf[0] = '\0';
	for (i = 0; i < lens->n && used < DM_NODE_STR_MAX; i++) {
		if (lens->of[i].node >= 0)
			snprintf(where, sizeof(where), "on node %d", lens->of[i].node);
		used += snprintf(&buf[used], DM_NODE_STR_MAX - used, "%s%s %s", i > 0 ? ", " : "",
			dm_hugepage_size_str(lens->of[i].len, len),
			lens->of[i].node >= 0 ? where : "elsewhere");
	}
	return buf;
}
