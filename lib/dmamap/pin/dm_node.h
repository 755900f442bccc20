/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * On which NUMA node? Check, place and look up; machines without NUMA are one node, number 0.
 */

#ifndef DM_NODE_H
#define DM_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "dmamap.h"

/** Where bytes are: the first n of `of`, ascending by node. */
struct dm_node_lens {
	unsigned int n;
	struct dmamap_node_len of[DMAMAP_NODES_MAX];
};

/**
 * May memory come from this node?
 * @param node  -1: any, always fine.
 * @param what  the object, for the message.
 * @return 0; -ENODEV, logged: no such node, or none that this process may use.
 */
int dm_node_check(int node, const char *what);

/** The node of the CPU that the caller runs on. */
int dm_node_local(void);

/**
 * Say where the pages of a range that was not touched yet are to come from.
 * @param node  for STRICT, PREFERRED and LOCAL; -1: nothing is done.
 * @return 0, or the errno of mbind(2), negated.
 */
int dm_node_place(void *va, size_t len, enum dmamap_placement placement, int node);

/** Find out where the pages of a range are, which are there already. Adds to *lens. */
void dm_node_count(void *va, size_t len, size_t page_size, struct dm_node_lens *lens);

/** Add bytes of a node to a count. */
void dm_node_add(struct dm_node_lens *lens, int node, uint64_t len);

/** The only node in a count; -1: there are several, or none is known. */
int dm_node_only(const struct dm_node_lens *lens);

/** Are the bytes where the placement wants them? Interleaved ones: to a page on each node. */
bool dm_node_as_asked(const struct dm_node_lens *lens, enum dmamap_placement placement, int node,
	size_t page_size);

/** Room for dm_node_lens_str(). */
#define DM_NODE_STR_MAX 160

/** Write a count for people: "6 MiB on node 0, 2 MiB on node 1". @return buf */
const char *dm_node_lens_str(const struct dm_node_lens *lens, char buf[DM_NODE_STR_MAX]);

#endif /* DM_NODE_H */
