/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Device files that the application opened and handed in. See dm_given.h.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dm_given.h"
#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_sysfs_dev.h"

/** The fdinfo key that names a VFIO device (Documentation/filesystems/proc.rst, Linux 6.18). */
#define SYSPATH "vfio-device-syspath"

int
dm_given_dup(const struct dmamap_kernel *k, struct dmamap_given fd, const char *what, int *copy)
{
	int rc;

	*copy = -1;
	if (!fd.given)
		return 0;
	rc = fd.value < 0 ? -EBADF : dm_kernel_dup(k, fd.value);
	if (rc < 0)
		return DM_FAIL(-rc,
			"%s: descriptor %d cannot be duplicated: %s: hand in an open"
			" file",
			what, fd.value, strerror(-rc));
	*copy = rc;
	return 0;
}

int
dm_given_open(const struct dmamap_kernel *k, const struct dmamap_attach_conf *conf,
	struct dm_iommu_given *given)
{
	int rc;

	*given = (struct dm_iommu_given){-1, -1, -1, -1, NULL, conf->group_only};
	if (conf->group.given && conf->group.value < 0)
		return DM_FAIL(EINVAL, "attach: group %d: group numbers are not negative",
			conf->group.value);
	if (conf->group.given)
		given->group = conf->group.value;
	rc = dm_given_dup(k, conf->group_fd, "attach: group_fd", &given->group_fd);
	if (rc == 0)
		rc = dm_given_dup(k, conf->device_fd, "attach: device_fd", &given->device_fd);
	if (rc == 0)
		rc = dm_given_dup(k, conf->cdev_fd, "attach: cdev_fd", &given->cdev_fd);
	if (rc < 0)
		dm_given_close(k, given);
	return rc;
}

void
dm_given_close(const struct dmamap_kernel *k, struct dm_iommu_given *given)
{
	if (given->group_fd >= 0)
		dm_kernel_close(k, given->group_fd);
	if (given->device_fd >= 0)
		dm_kernel_close(k, given->device_fd);
	if (given->cdev_fd >= 0)
		dm_kernel_close(k, given->cdev_fd);
	given->group_fd = given->device_fd = given->cdev_fd = -1;
}

int
dm_given_check(const struct dm_iommu_given *given, const char *said)
{
	if (!given->group_only)
		return 0;
	if (given->group_fd < 0 || given->device_fd >= 0 || given->cdev_fd >= 0)
		return DM_FAIL(EINVAL,
			"attach: group_only: hand in the file of the group (group_fd), and"
			" none of a device");
	if (said == NULL && given->group < 0)
		return DM_FAIL(EINVAL,
			"attach: group_only: unknown group: give its number (group), or the"
			" name of one of its devices");
	return 0;
}

/** The name of a device from a file's fdinfo. @return 0; negative: not available */
static int
given_read_name(const struct dmamap_kernel *k, int fd, char *name, size_t size)
{
	char path[512];
	const char *slash;
	int rc = fd < 0 ? -ENOENT : dm_kernel_fdinfo(k, fd, SYSPATH, path, sizeof(path));

	if (rc < 0)
		return rc;
	slash = strrchr(path, '/');
	slash = slash != NULL ? slash + 1 : path;
	return (size_t)snprintf(name, size, "%s", slash) < size && slash[0] != '\0' ? 0 : -ENOENT;
}

int
dm_given_name(const struct dmamap_kernel *k, const struct dm_iommu_given *given, const char *said,
	char *spec, size_t size)
{
	char name[DMAMAP_NAME_MAX];
	struct dm_dev_name parsed;
	int rc = given_read_name(k, given->device_fd, name, sizeof(name));

	if (rc < 0)
		rc = given_read_name(k, given->cdev_fd, name, sizeof(name));
	if (said == NULL && given->group_only) {
		snprintf(spec, size, "group-%d", given->group);
		return 0;
	}
	if (said == NULL && rc < 0)
		return DM_FAIL(EINVAL,
			"attach: unknown device: its files do not name it (fdinfo does"
			" since Linux 6.18): give its name");
	if (said == NULL)
		said = name;
	if ((size_t)snprintf(spec, size, "%s", said) >= size)
		return DM_FAIL(EINVAL, "attach: name too long: %s", said);
	if (rc < 0 || said == name)
		return 0;
	rc = dm_dev_name_parse(said, &parsed);
	if (rc == 0 && strcmp(parsed.name, name) != 0)
		return DM_FAIL(EINVAL,
			"%s: the file that was handed in belongs to another device, %s",
			parsed.name, name);
	return rc;
}
