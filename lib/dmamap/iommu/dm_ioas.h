/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is one IOVA address space of iommufd? An IOAS: made, described, mapped into, emptied.
 */

#ifndef DM_IOAS_H
#define DM_IOAS_H

#include "dm_iommu.h"

/** All take the file descriptor of /dev/iommu, and return 0 or the kernel's errno, negated. */

int dm_ioas_create(int iommufd, uint32_t *id);
/** Unmaps what is left. No device is attached. */
void dm_ioas_destroy(int iommufd, uint32_t id);

/**
 * Usable ranges, page sizes, coherency. iommufd tells the smallest page only, so all powers of two
 * from there up are reported.
 * @param info  ranges is malloc()ed, the caller frees.
 * @return also -EPROTO: the answer makes no sense (logged); -ENOMEM.
 */
int dm_ioas_info(int iommufd, uint32_t id, struct dm_iommu_info *info);

int dm_ioas_map(
	int iommufd, uint32_t id, rte_iova_t iova, const void *va, uint64_t len, uint32_t prot);
/** Map what IOAS `from` has mapped at the same IOVA; its pages are shared, not pinned anew. */
int dm_ioas_copy(
	int iommufd, uint32_t id, uint32_t from, rte_iova_t iova, uint64_t len, uint32_t prot);
/** @param done  bytes unmapped. A hole is -ENOENT here. */
int dm_ioas_unmap(int iommufd, uint32_t id, rte_iova_t iova, uint64_t len, uint64_t *done);
/** Unmap everything. */
void dm_ioas_clear(int iommufd, uint32_t id);

#endif /* DM_IOAS_H */
