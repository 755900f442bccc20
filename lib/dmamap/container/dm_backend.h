/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The backend below a container. Invariant: it is opened when the first device is attached, and
 * changes under the topology lock (writer) only. Called by container.c, attach.c, map.c, linear.c,
 * pool.c and zone.c.
 */

#ifndef DM_BACKEND_H
#define DM_BACKEND_H

#include "dm_container.h"

/**
 * Duplicate the files of c->conf that were passed in, so that c owns them.
 * @return 0; -EBADF or -EMFILE (logged)
 */
int dm_backend_init(struct dmamap_container *c);
/** Close the duplicates. */
void dm_backend_fini(struct dmamap_container *c);
/**
 * Open the backend that the container is configured for, if it is not open yet.
 * @return 0; the error of the last backend tried; -ENOENT.
 */
int dm_backend_open(struct dmamap_container *c);
/** Close a backend that is not in use yet: the next open chooses again. */
void dm_backend_open_undo(struct dmamap_container *c);
/** Close the backend, and those that came with merges, if they are open. */
void dm_backend_close(struct dmamap_container *c);
/** Read the reserved ranges of this machine into c->host_resv. @return 0, or -ENOMEM. */
int dm_backend_host_reserved(struct dmamap_container *c);
/** Whether the backend dictates the IOVA of memory, since it does not translate. */
bool dm_backend_places(const struct dmamap_container *c);
/**
 * The IOVA that the backend dictates for memory, if it does not translate.
 * @return 1: *iova is set; 0: any IOVA will do; the backend's error.
 */
int dm_backend_place(
	const struct dmamap_container *c, const void *va, uint64_t len, dmamap_iova_t *iova);

#endif /* DM_BACKEND_H */
