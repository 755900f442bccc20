/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which backend is below a container? Opening it when it is first needed.
 */

#ifndef DM_BACKEND_H
#define DM_BACKEND_H

#include "dm_container.h"

/** Open the backend that the container asks for, if it is not open yet. @return 0, or the backend's
 * error. */
int dm_backend_open(struct dmamap_container *c);
/** Close it again, before anything uses it: the next open chooses anew. */
void dm_backend_open_undo(struct dmamap_container *c);
/** Close it, if it is open. */
void dm_backend_close(struct dmamap_container *c);
/** Read the reserved ranges of this machine into c->host_resv. @return 0, or -ENOMEM. */
int dm_backend_host_reserved(struct dmamap_container *c);
/** Does the backend say where memory must be mapped, since it does not translate? */
bool dm_backend_places(const struct dmamap_container *c);
/**
 * Where the backend wants memory to be mapped, if it does not translate.
 * @return 1: at *iova; 0: anywhere; the backend's error.
 */
int dm_backend_place(
	const struct dmamap_container *c, const void *va, uint64_t len, rte_iova_t *iova);

#endif /* DM_BACKEND_H */
