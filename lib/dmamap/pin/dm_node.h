/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * NUMA nodes of memory: check, place, count. A machine without NUMA is one node, number 0.
 *
 * A seccomp filter, for example of a pod, may forbid the NUMA system calls. Placement then has no
 * effect, which is harmless only on a machine with one node. Called by plan.c and populate.c. No
 * state and no lock; any thread may call.
 */

#ifndef DM_NODE_H
#define DM_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "dmamap.h"

/**
 * Bytes by node: the first n entries of `of`, ascending by node. Node -1 collects unknown bytes.
 */
struct dm_node_lens {
	unsigned int n;
	struct dmamap_node_len of[DMAMAP_NODES_MAX];
};

/**
 * Check whether memory can come from a node.
 * @param node  -1: any, always valid.
 * @param what  the object, for the message.
 * @return 0; -ENODEV, logged: no such node, or the process may not use it.
 */
int dm_node_check(int node, const char *what);

/** The NUMA node of the CPU that the caller runs on; 0 if unknown. */
int dm_node_local(void);

/**
 * Set the memory policy of a range whose pages are not touched yet (mbind(2)).
 * @param len   bytes.
 * @param node  for STRICT, PREFERRED and LOCAL; -1: nothing is done, unless INTERLEAVE.
 * @return 0; -ENOMEM; the negative errno of mbind(2); -EPERM also if libnuma reports that a machine
 *   with several nodes has no NUMA, which a seccomp filter causes.
 */
int dm_node_place(void *va, size_t len, enum dmamap_placement placement, int node);

/**
 * Decide what a failure of dm_node_place() means. A refusal (EPERM, EACCES, ENOSYS) does not matter
 * with one node. With several, it is fatal for STRICT, and a warning otherwise.
 *
 * @param err    its errno, positive.
 * @param nodes  number of nodes with memory, from dm_node_memory_nodes().
 * @param what   the object, for the message.
 * @return 0: go on; -EPERM: refused, and STRICT; else -err. Errors are logged.
 */
int dm_node_refused(
	int err, enum dmamap_placement placement, int node, unsigned int nodes, const char *what);

/**
 * Count the NUMA nodes with memory. Read from sysfs, which works under seccomp filters too.
 * @param only  out: the node, if there is exactly one; else -1. May be NULL.
 * @return at least 1.
 */
unsigned int dm_node_memory_nodes(int *only);

/**
 * Add the nodes of the populated pages of a range to *lens (move_pages(2)). Pages whose node is
 * unknown are added to node -1.
 * @param len  bytes, a multiple of page_size.
 */
void dm_node_count(void *va, size_t len, size_t page_size, struct dm_node_lens *lens);

/** Add len bytes to the count of a node. When the array is full, the bytes are added to node -1. */
void dm_node_add(struct dm_node_lens *lens, int node, uint64_t len);

/** The node of a count with a single entry; -1: several nodes, or unknown. */
int dm_node_only(const struct dm_node_lens *lens);

/**
 * Whether the bytes are where the placement asked for them. Interleaved memory may deviate by one
 * page on each node.
 */
bool dm_node_as_asked(const struct dm_node_lens *lens, enum dmamap_placement placement, int node,
	size_t page_size);

/** Buffer size for dm_node_lens_str(). */
#define DM_NODE_STR_MAX 160

/** Format a count for log messages: "6 MiB on node 0, 2 MiB on node 1". @return buf */
const char *dm_node_lens_str(const struct dm_node_lens *lens, char buf[DM_NODE_STR_MAX]);

#endif /* DM_NODE_H */
