/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The linear map: a region of address space for zones in which IOVA = VA + constant.
 *
 * The region is reserved without access, aligned to 1 GiB. The caller reserves a part for a zone,
 * maps memory there (MAP_FIXED) and maps it for devices at that IOVA. Invariant: reserved parts
 * never overlap.
 *
 *   create zone   dm_linear_reserve() -> memory at va, mapped at va + delta
 *   destroy zone  unmapped, memory replaced by PROT_NONE -> dm_linear_release()
 *
 * This file does not translate addresses: see dm_units.h and dm_xlate.h. Not thread-safe: the
 * caller serialises all calls. Called by container/linear.c, reserve.c and zones.
 */

#ifndef DM_LINEAR_H
#define DM_LINEAR_H

#include <stdbool.h>
#include <stdint.h>

/** Granule in bytes of reservations. */
#define DM_LINEAR_UNIT (UINT64_C(2) << 20)
/** Length and alignment of a linear map are multiples of this, in bytes. */
#define DM_LINEAR_ALIGN (UINT64_C(1) << 30)
/** Maximum length of a linear map in bytes. */
#define DM_LINEAR_MAX (UINT64_C(64) << 30)

/** A linear map. */
struct dm_linear {
	uint64_t delta; /**< IOVA minus VA */
	uint64_t start; /**< first VA */
	uint64_t len; /**< bytes */
	uint64_t process; /**< creator; its forks do not inherit the address space (dm_process.h) */
	uint8_t *reserved; /**< 1 for each unit that is reserved, else 0 */
};

/**
 * Reserve address space for a linear map. It uses no memory, is left out of core dumps and is not
 * inherited by forks.
 * @param len   bytes, a multiple of DM_LINEAR_ALIGN, not 0, at most DM_LINEAR_MAX.
 * @param iova  first IOVA.
 * @param l     out: the linear map, which the caller owns; unchanged on error.
 * @return 0; -EINVAL; -ENOMEM: no memory, or no address space of that length (RLIMIT_AS, or
 *   mlockall() with a limit).
 */
int dm_linear_create(uint64_t len, uint64_t iova, struct dm_linear **l);

/**
 * Free the linear map: release its address space and all memory that is mapped in it. NULL is
 * allowed.
 */
void dm_linear_destroy(struct dm_linear *l);

/**
 * Reserve a part: the lowest that is free. Cost: linear in the units of the map.
 * @param len    bytes, a multiple of DM_LINEAR_UNIT, not 0.
 * @param align  bytes, a power of two up to DM_LINEAR_ALIGN; less than DM_LINEAR_UNIT means
 *   DM_LINEAR_UNIT. VA and IOVA are both aligned to it if delta is.
 * @param va     out: first address; unchanged on error.
 * @return 0; -EINVAL; -ENOSPC
 */
int dm_linear_reserve(struct dm_linear *l, uint64_t len, uint64_t align, void **va);

/**
 * Release a part. The caller has unmapped the memory, and left the address space without access.
 * @param len  bytes; any whole units that are reserved.
 * @return 0; -EINVAL: not all of it is reserved.
 */
int dm_linear_release(struct dm_linear *l, const void *va, uint64_t len);

#endif /* DM_LINEAR_H */
