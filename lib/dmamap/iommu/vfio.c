/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * VFIO containers and groups: the common part of the backends type1 and noiommu. See dm_vfio.h.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include "dm_given.h"
#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_process.h"
#include "dm_vfio.h"

#define CONTAINER_FILE "/dev/vfio/vfio"

static int
container_open(const struct dmamap_kernel *k)
{
	int fd = dm_kernel_open(k, CONTAINER_FILE, O_RDWR);

	switch (-fd) {
	case ENOENT:
	case ENODEV: /* the file exists, but its module is not loaded */
		return DM_FAIL(ENOENT,
			"there is no " CONTAINER_FILE ": load the driver: modprobe"
			" vfio-pci");
	case EACCES:
	case EPERM:
		return DM_FAIL(-fd,
			"no permission for " CONTAINER_FILE ": run as root, or give"
			" this"
			" user the file (chmod, a udev rule)");
	default:
		if (fd < 0)
			return DM_FAIL(-fd, "cannot open " CONTAINER_FILE ": %s", strerror(-fd));
		return fd;
	}
}

/**
 * Get a file for one more kernel container.
 * @param given  out: it is the one that was handed in.
 * @return a file descriptor; a negative errno, logged
 */
static int
container_next(struct dm_vfio *v, bool *given)
{
	const struct dmamap_kernel *k = v->iommu.kernel;
	int fd;

	*given = v->container_fd >= 0 && !v->container_used;
	if (*given) {
		fd = dm_kernel_dup(k, v->container_fd);
		return fd < 0 ? DM_FAIL(-fd,
					CONTAINER_FILE ": the file that was handed in cannot"
						       " be"
						       " duplicated: %s",
					strerror(-fd))
			      : fd;
	}
	if (v->open_container != NULL) {
		fd = v->open_container(v->open_arg);
		return fd < 0
			? DM_FAIL(-fd,
				  CONTAINER_FILE ": open_container of the configuration failed: %s",
				  strerror(-fd))
			: fd;
	}
	if (v->container_fd >= 0)
		return DM_FAIL(EACCES,
			CONTAINER_FILE
			": another one is needed for devices that cannot share page tables,"
			" and only one was handed in: set open_container in the"
			" configuration");
	return container_open(k);
}

static int
container_check_api(const struct dm_iommu *iommu, int fd, const struct dm_vfio_kind *kind)
{
	int version = dm_kernel_ioctl_int(iommu, fd, VFIO_GET_API_VERSION, 0);

	if (version < 0)
		return DM_FAIL(version == -ENOTTY ? ENODEV : -version,
			CONTAINER_FILE
			": VFIO_GET_API_VERSION failed: %s: check that the file is a VFIO"
			" container",
			strerror(-version));
	if (version != VFIO_API_VERSION)
		return DM_FAIL(ENODEV, CONTAINER_FILE ": VFIO API version %d, not %d", version,
			VFIO_API_VERSION);
	if (dm_kernel_ioctl_int(iommu, fd, VFIO_CHECK_EXTENSION, kind->type) <= 0)
		return DM_FAIL(ENODEV, CONTAINER_FILE ": %s", kind->if_absent);
	return 0;
}

/** Store the kernel container that was handed in, or else the first one from container_open(). */
static int
vfio_set_given(struct dm_vfio *v, const struct dmamap_container_conf *conf)
{
	int rc;

	v->container_fd = -1;
	if (conf == NULL)
		return 0;
	v->open_container = conf->open_container;
	v->open_arg = conf->open_arg;
	rc = dm_given_dup(v->iommu.kernel, conf->container_fd, CONTAINER_FILE, &v->container_fd);
	if (rc < 0 || v->container_fd >= 0 || v->open_container == NULL)
		return rc;
	rc = v->open_container(v->open_arg);
	if (rc < 0)
		return DM_FAIL(-rc,
			CONTAINER_FILE ": open_container of the configuration failed: %s",
			strerror(-rc));
	v->container_fd = rc;
	return 0;
}

int
dm_vfio_open(const struct dm_vfio_kind *kind, const struct dmamap_container_conf *conf,
	struct dm_iommu **iommu)
{
	struct dm_vfio *v = calloc(1, sizeof(*v));
	bool given;
	int fd, rc;

	if (v == NULL)
		return -ENOMEM;
	v->iommu.ops = kind->ops;
	v->iommu.kind = kind->backend;
	v->iommu.kernel = dm_kernel_of(conf);
	v->iommu.process = dm_process_id();
	v->kind = kind;
	rc = vfio_set_given(v, conf);
	if (rc < 0)
		goto close;
	fd = container_next(v, &given);
	rc = fd < 0 ? fd : container_check_api(&v->iommu, fd, kind);
	if (fd >= 0)
		dm_kernel_close(v->iommu.kernel, fd);
	if (rc < 0)
		goto close;
	*iommu = &v->iommu;
	return 0;

close:
	dm_vfio_close(&v->iommu);
	return rc;
}

void
dm_vfio_close(struct dm_iommu *iommu)
{
	struct dm_vfio *v = DM_VFIO(iommu);

	if (v->container_fd >= 0)
		dm_kernel_close(iommu->kernel, v->container_fd);
	free(v);
}

int
dm_vfio_dev_get(struct dm_iommu *iommu, const char *name,
	int (*init)(struct dm_iommu_dev *dev, const struct dm_sysfs_dev *at),
	struct dm_iommu_dev **dev)
{
	struct dm_dev_name parsed;
	struct dm_sysfs_dev at;
	struct dm_vfio_dev *d;
	int rc = dm_dev_name_parse(name, &parsed);

	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->dev.iommu = iommu;
	rc = dm_sysfs_find(iommu->kernel, parsed.name, &at);
	if (rc == 0)
		rc = init(&d->dev, &at);
	if (rc < 0) {
		free(d);
		return rc;
	}
	memcpy(d->vf_token, parsed.vf_token, sizeof(d->vf_token));
	*dev = &d->dev;
	return 0;
}

int
dm_vfio_dev_adopt(struct dm_iommu *iommu, const char *name, struct dm_iommu_given *given,
	bool noiommu, struct dm_iommu_dev **dev)
{
	struct dm_dev_name parsed;
	struct dm_vfio_dev *d;
	int rc = dm_dev_name_parse(name, &parsed);

	if (rc < 0)
		return rc;
	if (given->cdev_fd >= 0)
		return DM_FAIL(EINVAL,
			"%s: a character device (cdev_fd) is for the iommufd"
			" backend: hand in the"
			" file of its group (group_fd)",
			parsed.name);
	if (given->device_fd >= 0 && DM_VFIO(iommu)->container_fd < 0)
		return DM_FAIL(EINVAL,
			"%s: device_fd goes with the container that its group is in:"
			" hand that in"
			" too (container_fd of the configuration)",
			parsed.name);
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	d->dev.iommu = iommu;
	d->given = given;
	rc = dm_sysfs_dev_adopt(&d->dev, parsed.name, given, noiommu);
	if (rc == 0 && given->group_fd < 0 && given->device_fd < 0 &&
		dm_vfio_group_find(&DM_VFIO(iommu)->groups, &d->dev) == NULL)
		rc = DM_FAIL(EINVAL,
			"%s: the file of its group %d was not handed in, and no"
			" attached device"
			" has it: give group_fd",
			parsed.name, d->dev.group);
	if (rc < 0) {
		dm_vfio_dev_put(&d->dev);
		return rc;
	}
	memcpy(d->vf_token, parsed.vf_token, sizeof(d->vf_token));
	*dev = &d->dev;
	return 0;
}

void
dm_vfio_dev_put(struct dm_iommu_dev *dev)
{
	dm_sysfs_dev_fini(dev);
	free(DM_VFIO_DEV(dev));
}

int
dm_vfio_domain_create(struct dm_iommu *iommu, struct dm_iommu_domain **dom)
{
	struct dm_vfio *v = DM_VFIO(iommu);
	struct dm_vfio_domain *d;
	bool given;
	int fd;

	if (!dm_process_is(iommu->process))
		return -ECHILD;
	fd = container_next(v, &given);
	if (fd < 0)
		return fd;
	d = calloc(1, sizeof(*d));
	if (d == NULL) {
		dm_kernel_close(iommu->kernel, fd);
		return -ENOMEM;
	}
	d->dom.iommu = iommu;
	d->fd = fd;
	d->is_given = given;
	v->container_used |= given;
	*dom = &d->dom;
	return 0;
}

void
dm_vfio_domain_destroy(struct dm_iommu_domain *dom)
{
	struct dm_vfio_domain *d = DM_VFIO_DOMAIN(dom);

	dm_kernel_close(dom->iommu->kernel, d->fd);
	if (d->is_given)
		DM_VFIO(dom->iommu)->container_used = false;
	free(d);
}

static int
domain_explain_join(const struct dm_vfio_kind *kind, const struct dm_iommu_dev *dev, int rc)
{
	if (rc == -EINVAL || rc == -ECHILD)
		return rc;
	if (rc != -EPERM)
		return DM_FAIL(-rc, "%s: VFIO refuses its group %d: %s", dev->name, dev->group,
			strerror(-rc));
	if (kind->backend == DMAMAP_BACKEND_NOIOMMU)
		return DM_FAIL(EPERM, "%s: without an IOMMU it takes CAP_SYS_RAWIO: run as root",
			dev->name);
	/*
	 * The group was found viable, so EPERM has one cause left: drivers/vfio/vfio_iommu_type1.c,
	 * vfio_iommu_type1_attach_group().
	 */
	return dm_dev_fail_unsafe_interrupts(dev->name, "vfio_iommu_type1");
}

/** Record a group that others have put into the kernel container that was handed in. */
static int
domain_join_adopted(struct dm_vfio_domain *d, struct dm_vfio_group *group)
{
	if (!d->is_given)
		return -EINVAL;
	group->container_fd = d->fd;
	d->has_adopted = true;
	d->n_groups++;
	return 0;
}

/**
 * Unmap everything from a kernel container that keeps a group, because others have put it there or
 * hold a device of it open. A domain without devices must be empty. In two halves, since type1
 * rejects a length of 2^64.
 */
static void
domain_clear_adopted(struct dm_vfio_domain *d)
{
	struct vfio_iommu_type1_dma_unmap unmap;
	unsigned int half;

	for (half = 0; half < 2; half++) {
		unmap = (struct vfio_iommu_type1_dma_unmap){.argsz = sizeof(unmap),
			.iova = half == 0 ? 0 : UINT64_C(1) << 63,
			.size = UINT64_C(1) << 63};
		dm_kernel_ioctl(d->dom.iommu, d->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);
	}
	d->has_adopted = false;
}

/** Put a group into a domain, and set the IOMMU type if it is the first one. */
static int
domain_join(struct dm_vfio_domain *d, struct dm_vfio_group *group, const struct dm_iommu_dev *dev)
{
	const struct dm_vfio_kind *kind = DM_VFIO(d->dom.iommu)->kind;
	int rc;

	if (group->container_fd == d->fd)
		return 0;
	if (group->container_fd >= 0)
		return -EINVAL;
	if (group->adopted)
		return domain_join_adopted(d, group);
	rc = dm_vfio_group_join(group, d->fd);
	if (rc < 0)
		return domain_explain_join(kind, dev, rc);
	if (d->n_groups == 0) {
		rc = dm_kernel_ioctl_int(d->dom.iommu, d->fd, VFIO_SET_IOMMU, kind->type);
		if (rc < 0) {
			dm_vfio_group_leave(group);
			return domain_explain_join(kind, dev, rc);
		}
	}
	d->n_groups++;
	return 0;
}

/** Drop a device's reference to its group; with the last device the group leaves its domain. */
static void
domain_put_group(struct dm_vfio_domain *d, struct dm_vfio_group *group)
{
	if (group->users == 1 && group->container_fd == d->fd) {
		if (group->adopted)
			group->container_fd = -1;
		else if (!dm_vfio_group_leave(group))
			d->has_adopted = true;
		if (--d->n_groups == 0 && d->has_adopted)
			domain_clear_adopted(d);
	}
	dm_vfio_group_put(group);
}

/**
 * Duplicate a device file that was handed in. @return a file descriptor; a negative errno, logged
 */
static int
device_use_given(const struct dm_iommu_dev *dev, int device_fd)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	int rc = dm_kernel_ioctl(dev->iommu, device_fd, VFIO_DEVICE_GET_INFO, &info);

	if (rc < 0)
		return DM_FAIL(ENODEV,
			"%s: the file that was handed in (device_fd) is not an open VFIO"
			" device: %s",
			dev->name, strerror(-rc));
	rc = dm_kernel_dup(dev->iommu->kernel, device_fd);
	return rc < 0 ? DM_FAIL(-rc,
				"%s: its file cannot be duplicated:"
				" %s",
				dev->name, strerror(-rc))
		      : rc;
}

/** Open a device's file, unless the caller does (group_only). @return 0 or a negative errno */
static int
device_open(const struct dm_vfio_group *group, struct dm_iommu_dev *dev)
{
	const struct dm_vfio_dev *vdev = DM_VFIO_DEV(dev);
	int rc;

	if (vdev->given != NULL && vdev->given->group_only)
		return 0;
	rc = vdev->given != NULL && vdev->given->device_fd >= 0
		? device_use_given(dev, vdev->given->device_fd)
		: dm_vfio_group_open_device(group, dev->name, vdev->vf_token);
	if (rc < 0)
		return rc;
	dev->fd = rc;
	return 0;
}

int
dm_vfio_attach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct dm_vfio_domain *d = DM_VFIO_DOMAIN(dom);
	struct dm_vfio *v = DM_VFIO(dom->iommu);
	struct dm_vfio_dev *vdev = DM_VFIO_DEV(dev);
	struct dm_vfio_group *group;
	int rc;

	if (!dm_process_is(dom->iommu->process))
		return -ECHILD;
	rc = dm_vfio_group_get(&v->groups, dev, v->kind->group_path, vdev->given, &group);
	if (rc < 0)
		return rc;
	rc = domain_join(d, group, dev);
	if (rc < 0)
		goto put;
	rc = device_open(group, dev);
	if (rc < 0)
		goto put;
	return 0;

put:
	domain_put_group(d, group);
	return rc;
}

void
dm_vfio_detach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct dm_vfio_group *group = dm_vfio_group_find(&DM_VFIO(dom->iommu)->groups, dev);

	if (dev->fd >= 0)
		dm_kernel_close(dom->iommu->kernel, dev->fd);
	dev->fd = -1;
	domain_put_group(DM_VFIO_DOMAIN(dom), group);
}

int
dm_vfio_group_leave_first(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	return dm_vfio_group_try_leave(dm_vfio_group_find(&DM_VFIO(dom->iommu)->groups, dev));
}

int
dm_vfio_group_fd(const struct dm_iommu_dev *dev)
{
	return dm_vfio_group_find(&DM_VFIO(dev->iommu)->groups, dev)->fd;
}
