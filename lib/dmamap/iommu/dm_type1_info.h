/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What can a type1 container do? VFIO_IOMMU_GET_INFO, whose answer is taken for possibly malformed.
 */

#ifndef DM_TYPE1_INFO_H
#define DM_TYPE1_INFO_H

#include "dm_iommu.h"

/**
 * Ask a kernel container with an IOMMU type for its properties, all but coherency.
 *
 * What the kernel does not report is assumed: page size of the system, IOVAs below 2^39 (before
 * Linux 5.4), no limit of entries (before 5.11).
 *
 * @param info  ranges is malloc()ed, the caller frees.
 * @return 0; -EPROTO: the answer is malformed (logged); -ENOMEM; as the kernel says.
 */
int dm_type1_info(int container_fd, struct dm_iommu_info *info);

#endif /* DM_TYPE1_INFO_H */
