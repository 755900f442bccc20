/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * VFIO groups attached to an iommufd that acts as a VFIO container (the kernel's compatibility
 * mode). One IOAS is set as that container (IOMMU_VFIO_IOAS). The kernel attaches a device to it
 * when a user opens the device.
 *
 * Invariant: while a group is attached, one IOAS is set as that container and is not replaced.
 * Called by the iommufd backend, which serialises the calls.
 */

#ifndef DM_COMPAT_GROUP_H
#define DM_COMPAT_GROUP_H

#include "dm_ioas.h"
#include "dm_iommu.h"
#include "dm_vfio_group.h"

/** The groups of one iommufd. All zeroes: none. */
struct dm_compat_groups {
	struct dm_vfio_groups open;
	unsigned int n;
	struct dm_ioas *ioas; /**< the IOAS they are attached to; NULL: none */
};

/**
 * Attach the group of a device whose files were handed in (group_only) to an IOAS.
 * @param groups  of the iommufd of ioas.
 * @param given   its files; used during the call only.
 * @return 0; -ENOTSUP: the groups are attached to another IOAS of this iommufd, or the kernel has
 *   no compatibility mode; -EBUSY: the group is in another container, or the iommufd is in use as
 *   one; -ECHILD: forked process, unlogged; as dm_vfio_group_get(). Logged.
 */
int dm_compat_group_attach(struct dm_compat_groups *groups, struct dm_ioas *ioas,
	const struct dm_iommu_dev *dev, const struct dm_iommu_given *given);
/**
 * Detach the group. A device of it that is still open remains attached to the IOAS in the kernel
 * (drivers/vfio/group.c, vfio_group_ioctl_unset_container()).
 */
void dm_compat_group_detach(struct dm_compat_groups *groups, const struct dm_iommu_dev *dev);

#endif /* DM_COMPAT_GROUP_H */
