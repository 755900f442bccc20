/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Properties of a type1 container, from VFIO_IOMMU_GET_INFO. The answer is checked, since it may be
 * malformed. Called by the type1 backend.
 */

#ifndef DM_TYPE1_INFO_H
#define DM_TYPE1_INFO_H

#include "dm_iommu.h"

/**
 * Read the properties of a kernel container whose IOMMU type is set, except coherency.
 *
 * Defaults for what the kernel does not report: the system's page size, IOVAs below 2^39 (before
 * Linux 5.4), no limit of entries (before 5.11).
 *
 * @param info  out: the caller frees info->ranges. All zero on error.
 * @return 0; -EPROTO: the answer is malformed (logged); -ENOMEM; else the kernel's errno.
 */
int dm_type1_info(const struct dm_iommu *iommu, int container_fd, struct dm_iommu_info *info);

#endif /* DM_TYPE1_INFO_H */
