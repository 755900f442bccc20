/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Finds the node of a VFIO file where a container runtime has given it another name. Used by
 * kernel.c and tests; others call dmamap_vfio_node().
 */

#ifndef DM_VFIO_NODE_H
#define DM_VFIO_NODE_H

#include <stddef.h>

/**
 * dmamap_vfio_node() with other folders.
 * @param sysfs  where sysfs is mounted.
 * @param dev    the folder in place of /dev. `path` begins with /dev, and so does buf afterwards.
 */
int dm_vfio_node_find(const char *sysfs, const char *dev, const char *path, char *buf, size_t size);

#endif /* DM_VFIO_NODE_H */
