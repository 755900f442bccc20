/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does one live with VFIO's containers and groups? What the backends type1 and noiommu have in
 * common.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include <rte_common.h>

#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_sysfs_dev.h"
#include "dm_vfio.h"

#define CONTAINER_FILE "/dev/vfio/vfio"

static int
open_container(void)
{
	int fd = dm_kernel->open(CONTAINER_FILE, O_RDWR);

	switch (-fd) {
	case ENOENT:
	case ENODEV: /* the file is there, its module is not */
		return DM_FAIL(ENOENT,
			"there is no " CONTAINER_FILE ": load the driver: modprobe"
			" vfio-pci");
	case EACCES:
	case EPERM:
		return DM_FAIL(-fd,
			"no permission for " CONTAINER_FILE ": run as root, or give this"
			" user the file (chmod, a udev rule)");
	default:
		if (fd < 0)
			return DM_FAIL(-fd, "cannot open " CONTAINER_FILE ": %s", strerror(-fd));
		return fd;
	}
}

static int
check_api(int fd, const struct dm_vfio_kind *kind)
{
	int version = dm_kernel_ioctl_int(fd, VFIO_GET_API_VERSION, 0);

	if (version != VFIO_API_VERSION)
		return DM_FAIL(ENODEV, CONTAINER_FILE ": VFIO API version %d, not %d", version,
			VFIO_API_VERSION);
	if (dm_kernel_ioctl_int(fd, VFIO_CHECK_EXTENSION, kind->type) <= 0)
		return DM_FAIL(ENODEV, CONTAINER_FILE ": %s", kind->if_absent);
	return 0;
}

int
dm_vfio_open(const struct dm_vfio_kind *kind, struct dm_iommu **iommu)
{
	struct dm_vfio *v;
	int fd = open_container(), rc;

	if (fd < 0)
		return fd;
	rc = check_api(fd, kind);
	dm_kernel->close(fd);
	if (rc < 0)
		return rc;
	v = calloc(1, sizeof(*v));
	if (v == NULL)
		return -ENOMEM;
	v->iommu.ops = kind->ops;
	v->iommu.kind = kind->backend;
	v->kind = kind;
	LIST_INIT(&v->groups);
	*iommu = &v->iommu;
	return 0;
}

void
dm_vfio_close(struct dm_iommu *iommu)
{
	free(DM_VFIO(iommu));
}

int
dm_vfio_dev_get(struct dm_iommu *iommu, const char *name,
	int (*init)(struct dm_iommu_dev *dev, const char *bdf), struct dm_iommu_dev **dev)
{
	struct dm_dev_name parsed;
	struct dm_vfio_dev *d;
	int rc = dm_dev_name_parse(name, &parsed);

	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	rc = init(&d->dev, parsed.bdf);
	if (rc < 0) {
		free(d);
		return rc;
	}
	d->dev.iommu = iommu;
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
	struct dm_vfio_domain *d;
	int fd = open_container();

	if (fd < 0)
		return fd;
	d = calloc(1, sizeof(*d));
	if (d == NULL) {
		dm_kernel->close(fd);
		return -ENOMEM;
	}
	d->dom.iommu = iommu;
	d->fd = fd;
	*dom = &d->dom;
	return 0;
}

void
dm_vfio_domain_destroy(struct dm_iommu_domain *dom)
{
	struct dm_vfio_domain *d = DM_VFIO_DOMAIN(dom);

	dm_kernel->close(d->fd);
	free(d);
}

static int
explain_refusal(const struct dm_vfio_kind *kind, const struct dm_iommu_dev *dev, int rc)
{
	if (rc == -EINVAL)
		return rc;
	if (rc != -EPERM)
		return DM_FAIL(-rc, "%s: VFIO does not take its group %d: %s", dev->name,
			dev->group, strerror(-rc));
	if (kind->backend == DMAMAP_BACKEND_NOIOMMU)
		return DM_FAIL(EPERM, "%s: without an IOMMU it takes CAP_SYS_RAWIO: run as root",
			dev->name);
	/* The group was found viable, so this is what the kernel cannot mean but by it:
	 * drivers/vfio/vfio_iommu_type1.c, vfio_iommu_type1_attach_group(). */
	return dm_dev_fail_unsafe_interrupts(dev->name, "vfio_iommu_type1");
}

/** Put a group into a domain, and set the IOMMU type if it is the first one there. */
static int
join(struct dm_vfio_domain *d, struct dm_vfio_group *group, const struct dm_iommu_dev *dev)
{
	const struct dm_vfio_kind *kind = DM_VFIO(d->dom.iommu)->kind;
	int rc;

	if (group->container_fd == d->fd)
		return 0;
	if (group->container_fd >= 0)
		return -EINVAL;
	rc = dm_vfio_group_join(group, d->fd);
	if (rc < 0)
		return explain_refusal(kind, dev, rc);
	if (d->n_groups == 0) {
		rc = dm_kernel_ioctl_int(d->fd, VFIO_SET_IOMMU, kind->type);
		if (rc < 0) {
			dm_vfio_group_leave(group);
			return explain_refusal(kind, dev, rc);
		}
	}
	d->n_groups++;
	return 0;
}

/** Give a device's group back; the last device takes it out of its domain. */
static void
put_group(struct dm_vfio_domain *d, struct dm_vfio_group *group)
{
	if (group->users == 1 && group->container_fd == d->fd) {
		dm_vfio_group_leave(group);
		d->n_groups--;
	}
	dm_vfio_group_put(group);
}

int
dm_vfio_attach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct dm_vfio_domain *d = DM_VFIO_DOMAIN(dom);
	struct dm_vfio *v = DM_VFIO(dom->iommu);
	struct dm_vfio_group *group;
	int rc;

	rc = dm_vfio_group_get(&v->groups, dev, v->kind->group_path, &group);
	if (rc < 0)
		return rc;
	rc = join(d, group, dev);
	if (rc < 0)
		goto put;
	rc = dm_vfio_group_open_device(group, dev->name, DM_VFIO_DEV(dev)->vf_token);
	if (rc < 0)
		goto put;
	dev->fd = rc;
	return 0;

put:
	put_group(d, group);
	return rc;
}

void
dm_vfio_detach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct dm_vfio_group *group = dm_vfio_group_find(&DM_VFIO(dom->iommu)->groups, dev);

	dm_kernel->close(dev->fd);
	dev->fd = -1;
	put_group(DM_VFIO_DOMAIN(dom), group);
}
