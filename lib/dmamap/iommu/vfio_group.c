/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Whose is a group? The files /dev/vfio/<n>, opened once and shared by the devices of a group.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_sysfs_dev.h"
#include "dm_vfio_group.h"

static int
explain_open(const struct dm_iommu_dev *dev, const char *path, int rc)
{
	switch (-rc) {
	case EBUSY:
		return DM_FAIL(EBUSY,
			"%s: its group %d is in use by another process or container:"
			" fuser -v %s says which",
			dev->name, dev->group, path);
	case EACCES:
	case EPERM:
		return DM_FAIL(-rc,
			"%s: no permission for %s: run as root, or give this user the"
			" file (chown, a udev rule)",
			dev->name, path);
	case ENOENT:
		return DM_FAIL(ENOENT,
			"%s: there is no %s: rebind the device to vfio-pci, or make"
			" /dev/vfio visible in this container",
			dev->name, path);
	default:
		return DM_FAIL(-rc, "%s: cannot open %s: %s", dev->name, path, strerror(-rc));
	}
}

/** Ask the kernel, who has the last word, whether the group can be had. */
static int
check_viable(const struct dm_iommu_dev *dev, int fd)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	int rc = dm_kernel_ioctl(fd, VFIO_GROUP_GET_STATUS, &status);

	if (rc < 0)
		return DM_FAIL(-rc, "%s: cannot read the status of group %d: %s", dev->name,
			dev->group, strerror(-rc));
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	/* A driver has come since the device was looked up; sysfs knows its name. */
	rc = dm_sysfs_check_viable(dev->name, dev->group);
	if (rc < 0)
		return rc;
	return DM_FAIL(EPERM,
		"%s: the kernel calls its group %d not viable: see"
		" /sys/kernel/iommu_groups/%d/devices",
		dev->name, dev->group, dev->group);
}

struct dm_vfio_group *
dm_vfio_group_find(const struct dm_vfio_group_list *list, const struct dm_iommu_dev *dev)
{
	struct dm_vfio_group *group;

	LIST_FOREACH(group, list, next)
		if (group->number == dev->group)
			return group;
	return NULL;
}

int
dm_vfio_group_get(struct dm_vfio_group_list *list, const struct dm_iommu_dev *dev, const char *path,
	struct dm_vfio_group **out)
{
	struct dm_vfio_group *group = dm_vfio_group_find(list, dev);
	char file[PATH_MAX];
	int rc;

	if (group != NULL) {
		group->users++;
		*out = group;
		return 0;
	}
	group = calloc(1, sizeof(*group));
	if (group == NULL)
		return DM_FAIL(ENOMEM, "%s: out of memory", dev->name);
	snprintf(file, sizeof(file), "%s%d", path, dev->group);
	group->fd = dm_kernel->open(file, O_RDWR);
	if (group->fd < 0) {
		rc = explain_open(dev, file, group->fd);
		goto free_group;
	}
	rc = check_viable(dev, group->fd);
	if (rc < 0)
		goto close_file;
	group->number = dev->group;
	group->container_fd = -1;
	group->users = 1;
	LIST_INSERT_HEAD(list, group, next);
	*out = group;
	return 0;

close_file:
	dm_kernel->close(group->fd);
free_group:
	free(group);
	return rc;
}

void
dm_vfio_group_put(struct dm_vfio_group *group)
{
	if (--group->users > 0)
		return;
	LIST_REMOVE(group, next);
	dm_kernel->close(group->fd);
	free(group);
}

int
dm_vfio_group_join(struct dm_vfio_group *group, int container_fd)
{
	int rc = dm_kernel_ioctl(group->fd, VFIO_GROUP_SET_CONTAINER, &container_fd);

	if (rc < 0)
		return rc;
	group->container_fd = container_fd;
	return 0;
}

void
dm_vfio_group_leave(struct dm_vfio_group *group)
{
	int rc = dm_kernel_ioctl_int(group->fd, VFIO_GROUP_UNSET_CONTAINER, 0);

	/* EBUSY: a copy of a device's file is open. Closing the group's file then does the rest,
	 * once that copy is closed as well. */
	if (rc < 0)
		DM_LOG(WARNING,
			"group %d cannot leave its VFIO container now: %s: a duplicate of"
			" the file of one of its devices is still open",
			group->number, strerror(-rc));
	group->container_fd = -1;
}

int
dm_vfio_group_open_device(const struct dm_vfio_group *group, const char *bdf, const char *vf_token)
{
	char name[DMAMAP_NAME_MAX + 2 * RTE_UUID_STRLEN];
	int fd;

	snprintf(name, sizeof(name), "%s%s%s", bdf, vf_token[0] != '\0' ? " vf_token=" : "",
		vf_token);
	fd = dm_kernel_ioctl(group->fd, VFIO_GROUP_GET_DEVICE_FD, name);
	if (fd >= 0 || fd == -EINVAL)
		return fd;
	if (fd == -EACCES)
		return DM_FAIL(EACCES,
			"%s: %s VF token: attach it as \"%s vf_token=UUID\" with the"
			" UUID that its physical function's driver has set",
			bdf, vf_token[0] != '\0' ? "wrong" : "it wants a", bdf);
	return DM_FAIL(-fd, "%s: VFIO does not open it: %s", bdf, strerror(-fd));
}
