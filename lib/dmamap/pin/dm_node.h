/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * On which NUMA node? Check, bind and look up; machines without NUMA are one node, number 0.
 */

#ifndef DM_NODE_H
#define DM_NODE_H

#include <stddef.h>

/**
 * May memory come from this node?
 * @param node  -1: any, always fine.
 * @param what  the object, for the message.
 * @return 0; -ENODEV, logged: no such node, or none that this process may use.
 */
int dm_node_check(int node, const char *what);

/**
 * Bind a range that was not touched yet to a node, strictly. node -1: nothing is done.
 * @return 0, or the errno of mbind(2), negated.
 */
int dm_node_bind(void *va, size_t len, int node);

/**
 * The node that holds all pages of a range, which are there already.
 * @return a node, or -1: they are on several, or the kernel does not say.
 */
int dm_node_of(void *va, size_t len, size_t page_size);

#endif /* DM_NODE_H */
