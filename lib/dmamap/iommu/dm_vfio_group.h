/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Whose is a group? The files /dev/vfio/<n>, opened once and shared by the devices of a group.
 */

#ifndef DM_VFIO_GROUP_H
#define DM_VFIO_GROUP_H

#include <sys/queue.h>

#include "dm_iommu.h"

/** Paths of group files, for dm_vfio_group_get(). */
#define DM_VFIO_GROUP_PATH "/dev/vfio/"
#define DM_VFIO_GROUP_PATH_NOIOMMU "/dev/vfio/noiommu-"

/** A group that is open. */
struct dm_vfio_group {
	LIST_ENTRY(dm_vfio_group) next;
	int number;
	int fd;
	int container_fd; /**< the kernel container it is in, or -1 */
	unsigned int users; /**< devices that hold it open */
};

/** The groups that one backend instance has open. */
LIST_HEAD(dm_vfio_group_list, dm_vfio_group);

/**
 * Get the group of a device: the one that is open, or open it and check that it is viable.
 * @param path  what comes before the group's number.
 * @return 0; -EBUSY: open elsewhere; -EPERM: not viable; -EACCES; -ENOENT; -ENOMEM. Logged.
 */
int dm_vfio_group_get(struct dm_vfio_group_list *list, const struct dm_iommu_dev *dev,
	const char *path, struct dm_vfio_group **group);
/** Give it back; its file is closed with the last user. It must have left its container by then. */
void dm_vfio_group_put(struct dm_vfio_group *group);
/** The open group of a device, or NULL. */
struct dm_vfio_group *dm_vfio_group_find(
	const struct dm_vfio_group_list *list, const struct dm_iommu_dev *dev);

/** Put a group into a kernel container (VFIO_GROUP_SET_CONTAINER). @return as the kernel says */
int dm_vfio_group_join(struct dm_vfio_group *group, int container_fd);
/** Take it out; no device of it is open. */
void dm_vfio_group_leave(struct dm_vfio_group *group);

/**
 * Open a device of a group that is in a container whose IOMMU type is set.
 * @param vf_token  UUID, or "".
 * @return the device's file descriptor; -EACCES: wrong VF token; else as the kernel says. Logged.
 */
int dm_vfio_group_open_device(
	const struct dm_vfio_group *group, const char *bdf, const char *vf_token);

#endif /* DM_VFIO_GROUP_H */
