/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where is room for memory that is still to come? Address space without access.
 */

#ifndef DM_SPACE_H
#define DM_SPACE_H

#include <stddef.h>

/** Reserve address space: at `at`, over what is mapped there, or anywhere if NULL. @return NULL:
 * none can be had */
void *dm_space_reserve(void *at, size_t len);

/**
 * Reserve address space anywhere, aligned: the caller's, to be given back by munmap(2).
 * @param align  power of two, a multiple of the base page size; len + align must not wrap around.
 * @return NULL: none can be had.
 */
void *dm_space_reserve_aligned(size_t len, size_t align);

#endif /* DM_SPACE_H */
