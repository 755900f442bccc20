/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * VFIO groups, the files /dev/vfio/<n>: opened once, shared by the devices of a group.
 *
 * Invariant: a backend instance has at most one open file for each group, since the kernel allows
 * one opener. Called by vfio.c and compat_group.c, which serialise all calls on one set of groups.
 */

#ifndef DM_VFIO_GROUP_H
#define DM_VFIO_GROUP_H

#include "dm_iommu.h"

/** Paths of group files, for dm_vfio_group_get(). */
#define DM_VFIO_GROUP_PATH "/dev/vfio/"
#define DM_VFIO_GROUP_PATH_NOIOMMU "/dev/vfio/noiommu-"

/** The open groups of one backend instance. All zeroes: none. */
struct dm_vfio_groups {
	void *by_number; /**< tsearch(3) tree; a container may have thousands */
};

/** An open group. */
struct dm_vfio_group {
	struct dm_vfio_groups *all; /**< the set that it belongs to */
	const struct dm_iommu *iommu; /**< backend that opened it */
	int number;
	int fd;
	int container_fd; /**< kernel container that it is in, or -1 */
	unsigned int users; /**< attached devices */
	bool adopted; /**< others have put it into the container that was handed in; fd may be -1 */
	bool has_left; /**< left by dm_vfio_group_try_leave(); container_fd tells where it was */
};

/**
 * Get the group of a device: the one that is open, or open it and check that it is viable.
 * @param path   prefix of the group's number.
 * @param given  files that were handed in, or NULL. If not NULL, no
 *   file is opened by number.
 * @param group  out: a reference, to be dropped by dm_vfio_group_put().
 * @return 0; -EBUSY: open elsewhere; -EPERM: not viable; -EACCES; -ENOENT; -ENOMEM. Logged.
 */
int dm_vfio_group_get(struct dm_vfio_groups *all, const struct dm_iommu_dev *dev, const char *path,
	const struct dm_iommu_given *given, struct dm_vfio_group **group);
/**
 * Drop a reference; the last one closes the file. The group must have left its container by then.
 */
void dm_vfio_group_put(struct dm_vfio_group *group);
/** The open group of a device, or NULL; no reference is taken. Cost: logarithmic. */
struct dm_vfio_group *dm_vfio_group_find(
	const struct dm_vfio_groups *all, const struct dm_iommu_dev *dev);

/**
 * Put a group into a kernel container (VFIO_GROUP_SET_CONTAINER). @return 0 or the kernel's errno
 */
int dm_vfio_group_join(struct dm_vfio_group *group, int container_fd);
/**
 * Remove a group from its kernel container. No device of it should be open.
 * @return false: a device is open, so the group stays in the container for now. Logged.
 */
bool dm_vfio_group_leave(struct dm_vfio_group *group);
/**
 * Remove a group from its kernel container if possible; dm_vfio_group_leave() must follow a
 * success.
 * @return 0; -EBUSY: a device is open; else the kernel's errno. Logged.
 */
int dm_vfio_group_try_leave(struct dm_vfio_group *group);

/**
 * Open a device of a group that is in a container whose IOMMU type is set.
 * @param vf_token  UUID, or "".
 * @return a file descriptor, which the caller closes; -EACCES: wrong VF token; -EINVAL, unlogged;
 *   else the kernel's errno. Logged.
 */
int dm_vfio_group_open_device(
	const struct dm_vfio_group *group, const char *bdf, const char *vf_token);

#endif /* DM_VFIO_GROUP_H */
