/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * VFIO groups, the files /dev/vfio/<n>. See dm_vfio_group.h.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_parse.h"
#include "dm_sysfs_dev.h"
#include "dm_vfio_group.h"

static int
group_explain_open(const struct dm_iommu_dev *dev, const char *path, int rc)
{
	switch (-rc) {
	case EBUSY:
		return DM_FAIL(EBUSY,
			"%s: its group %d is in use by another process or container: see"
			" fuser -v %s",
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

/** Check with the kernel that the group is viable. */
static int
group_check_viable(const struct dm_iommu_dev *dev, int fd, const struct dm_iommu_given *given)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	int rc = dm_kernel_ioctl(dev->iommu, fd, VFIO_GROUP_GET_STATUS, &status);

	if (given != NULL && (rc == -EINVAL || rc == -ENOTTY))
		return DM_FAIL(ENODEV,
			"%s: the file that was handed in (group_fd) is not a VFIO group: %s",
			dev->name, strerror(-rc));
	if (rc < 0)
		return DM_FAIL(-rc, "%s: cannot read the status of group %d: %s", dev->name,
			dev->group, strerror(-rc));
	/* With group_only, its owner may have put the group into the right container already. */
	if (given != NULL && !given->group_only && (status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET))
		return DM_FAIL(EBUSY,
			"%s: its group %d is in a VFIO container already: take it"
			" out, or hand in"
			" the file of the device (device_fd) and that"
			" container",
			dev->name, dev->group);
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	return dm_sysfs_fail_unviable(dev->iommu->kernel, dev->name, dev->group);
}

static int
group_cmp(const void *a, const void *b)
{
	const struct dm_vfio_group *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

struct dm_vfio_group *
dm_vfio_group_find(const struct dm_vfio_groups *all, const struct dm_iommu_dev *dev)
{
	const struct dm_vfio_group key = {.number = dev->group};
	struct dm_vfio_group *const *node = tfind(&key, &all->by_number, group_cmp);

	return node != NULL ? *node : NULL;
}

/** Open the file of a device's group. @return a file descriptor; a negative errno, logged */
static int
group_open(const struct dm_iommu_dev *dev, const char *path)
{
	char file[PATH_MAX];
	int fd;

	snprintf(file, sizeof(file), "%s%d", path, dev->group);
	fd = dm_kernel_open(dev->iommu->kernel, file, O_RDWR);
	return fd < 0 ? group_explain_open(dev, file, fd) : fd;
}

/**
 * Duplicate a group file that was handed in. @return also -1, unlogged: a device file was handed in
 * instead
 */
static int
group_use_given(const struct dm_iommu_dev *dev, const struct dm_iommu_given *given)
{
	int fd;

	if (given->device_fd >= 0)
		return -1;
	fd = dm_kernel_dup(dev->iommu->kernel, given->group_fd);
	return fd < 0 ? DM_FAIL(-fd,
				"%s: the file of its group cannot be duplicated:"
				" %s",
				dev->name, strerror(-fd))
		      : fd;
}

int
dm_vfio_group_get(struct dm_vfio_groups *all, const struct dm_iommu_dev *dev, const char *path,
	const struct dm_iommu_given *given, struct dm_vfio_group **out)
{
	struct dm_vfio_group *group = dm_vfio_group_find(all, dev);
	int rc;

	if (group != NULL) {
		group->users++;
		*out = group;
		return 0;
	}
	group = calloc(1, sizeof(*group));
	if (group == NULL)
		return DM_FAIL(ENOMEM, "%s: out of memory", dev->name);
	group->iommu = dev->iommu;
	group->adopted = given != NULL && given->device_fd >= 0;
	group->fd = given != NULL ? group_use_given(dev, given) : group_open(dev, path);
	if (group->fd < 0 && !group->adopted) {
		rc = group->fd;
		goto free_group;
	}
	rc = group->adopted ? 0 : group_check_viable(dev, group->fd, given);
	if (rc < 0)
		goto close_file;
	group->number = dev->group;
	group->container_fd = -1;
	group->users = 1;
	group->all = all;
	if (tsearch(group, &all->by_number, group_cmp) == NULL) {
		rc = DM_FAIL(ENOMEM, "%s: out of memory", dev->name);
		goto close_file;
	}
	*out = group;
	return 0;

close_file:
	if (group->fd >= 0)
		dm_kernel_close(group->iommu->kernel, group->fd);
free_group:
	free(group);
	return rc;
}

void
dm_vfio_group_put(struct dm_vfio_group *group)
{
	if (--group->users > 0)
		return;
	tdelete(group, &group->all->by_number, group_cmp);
	if (group->fd >= 0)
		dm_kernel_close(group->iommu->kernel, group->fd);
	free(group);
}

int
dm_vfio_group_join(struct dm_vfio_group *group, int container_fd)
{
	int rc = dm_kernel_ioctl(group->iommu, group->fd, VFIO_GROUP_SET_CONTAINER, &container_fd);

	if (rc < 0)
		return rc;
	group->container_fd = container_fd;
	return 0;
}

int
dm_vfio_group_try_leave(struct dm_vfio_group *group)
{
	int rc = dm_kernel_ioctl_int(group->iommu, group->fd, VFIO_GROUP_UNSET_CONTAINER, 0);

	if (rc < 0)
		return DM_FAIL(-rc,
			"group %d cannot leave its VFIO container: %s: close all files of its"
			" devices first",
			group->number, strerror(-rc));
	group->has_left = true;
	return 0;
}

bool
dm_vfio_group_leave(struct dm_vfio_group *group)
{
	int rc = group->has_left
		? 0
		: dm_kernel_ioctl_int(group->iommu, group->fd, VFIO_GROUP_UNSET_CONTAINER, 0);

	/*
	 * EBUSY: a duplicate of a device's file is open. Once it and the group's file are closed,
	 * the kernel removes the group.
	 */
	if (rc < 0 && rc != -ECHILD)
		DM_LOG(WARNING,
			"group %d cannot leave its VFIO container now: %s: a duplicate of"
			" the file of one of its devices is still open",
			group->number, strerror(-rc));
	group->container_fd = -1;
	group->has_left = false;
	return rc != -EBUSY;
}

int
dm_vfio_group_open_device(const struct dm_vfio_group *group, const char *bdf, const char *vf_token)
{
	char name[DMAMAP_NAME_MAX + 2 * DM_UUID_STRLEN];
	int fd;

	snprintf(name, sizeof(name), "%s%s%s", bdf, vf_token[0] != '\0' ? " vf_token=" : "",
		vf_token);
	fd = dm_kernel_ioctl(group->iommu, group->fd, VFIO_GROUP_GET_DEVICE_FD, name);
	if (fd >= 0 || fd == -EINVAL)
		return fd;
	if (fd == -EACCES)
		return DM_FAIL(EACCES,
			"%s: %s VF token: attach it as \"%s vf_token=UUID\" with the"
			" UUID that its physical function's driver has set",
			bdf, vf_token[0] != '\0' ? "wrong" : "missing", bdf);
	return DM_FAIL(-fd, "%s: VFIO cannot open it: %s", bdf, strerror(-fd));
}
