/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Handles of registrations. A handle is an opaque value. Invariant: each value is handed out once,
 * so a second release is detected. Any thread. Called by registration.c.
 */

#ifndef DM_HANDLE_H
#define DM_HANDLE_H

struct dm_mapping;
struct dmamap_registration;

/**
 * Make a handle for a mapping. Any thread; takes a lock only when the table of handles grows.
 * @return NULL: out of memory
 */
struct dmamap_registration *dm_handle_new(struct dm_mapping *m);
/**
 * Release a handle. Any thread, no lock.
 * @return its mapping; NULL: not a handle, or released before
 */
struct dm_mapping *dm_handle_release(struct dmamap_registration *handle);

#endif /* DM_HANDLE_H */
