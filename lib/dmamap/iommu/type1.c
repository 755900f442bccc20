/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Who may reach memory, where VFIO has containers and groups? Backend type1, version 2 only.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include <rte_common.h>

#include "dm_iommu.h"
#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_sysfs_dev.h"
#include "dm_type1_info.h"
#include "dm_vfio_group.h"

#define CONTAINER_FILE "/dev/vfio/vfio"

struct type1 {
	struct dm_iommu iommu;
	struct dm_vfio_group_list groups;
};

struct type1_dev {
	struct dm_iommu_dev dev;
	char vf_token[RTE_UUID_STRLEN];
};

/** One kernel container. Its IOMMU type is set as long as it has a group. */
struct type1_domain {
	struct dm_iommu_domain dom;
	int fd;
	unsigned int n_groups;
};

#define TYPE1(ptr) container_of(ptr, struct type1, iommu)
#define TYPE1_DEV(ptr) container_of(ptr, struct type1_dev, dev)
#define TYPE1_DOMAIN(ptr) container_of(ptr, struct type1_domain, dom)

static int
open_container(void)
{
	int fd = dm_kernel->open(CONTAINER_FILE, O_RDWR);

	switch (-fd) {
	case ENOENT:
	case ENODEV: /* the file is there, its module is not */
		return DM_FAIL(ENOENT, "there is no " CONTAINER_FILE ": load the driver: modprobe"
			" vfio-pci");
	case EACCES:
	case EPERM:
		return DM_FAIL(-fd, "no permission for " CONTAINER_FILE ": run as root, or give this"
			" user the file (chmod, a udev rule)");
	default:
		if (fd < 0)
			return DM_FAIL(-fd, "cannot open " CONTAINER_FILE ": %s", strerror(-fd));
		return fd;
	}
}

static int
check_api(int fd)
{
	int version = dm_kernel_ioctl_int(fd, VFIO_GET_API_VERSION, 0);

	if (version != VFIO_API_VERSION)
		return DM_FAIL(ENODEV, CONTAINER_FILE ": VFIO API version %d, not %d", version,
			VFIO_API_VERSION);
	if (dm_kernel_ioctl_int(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0)
		return DM_FAIL(ENODEV, CONTAINER_FILE ": this kernel's VFIO has no type1 version 2:"
			" modprobe vfio_iommu_type1");
	return 0;
}

static int
type1_open(const struct dmamap_container_conf *conf, struct dm_iommu **iommu)
{
	struct type1 *t;
	int fd = open_container(), rc;

	if (fd < 0)
		return fd;
	rc = check_api(fd);
	dm_kernel->close(fd);
	if (rc < 0)
		return rc;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->iommu.ops = &dm_iommu_type1_ops;
	t->iommu.kind = DMAMAP_BACKEND_TYPE1;
	LIST_INIT(&t->groups);
	*iommu = &t->iommu;
	return 0;
}

static void
type1_close(struct dm_iommu *iommu)
{
	free(TYPE1(iommu));
}

static int
type1_host_reserved(const struct dmamap_container_conf *conf, struct dm_iommu_resv **resv,
	unsigned int *n)
{
	return dm_sysfs_host_reserved(resv, n);
}

static int
type1_dev_get(struct dm_iommu *iommu, const char *name, struct dm_iommu_dev **dev)
{
	struct dm_dev_name parsed;
	struct type1_dev *d;
	int rc = dm_dev_name_parse(name, &parsed);

	if (rc < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	rc = dm_sysfs_dev_init(&d->dev, parsed.bdf);
	if (rc < 0) {
		free(d);
		return rc;
	}
	d->dev.iommu = iommu;
	memcpy(d->vf_token, parsed.vf_token, sizeof(d->vf_token));
	*dev = &d->dev;
	return 0;
}

static void
type1_dev_put(struct dm_iommu_dev *dev)
{
	dm_sysfs_dev_fini(dev);
	free(TYPE1_DEV(dev));
}

static int
type1_domain_create(struct dm_iommu *iommu, struct dm_iommu_domain **dom)
{
	struct type1_domain *d;
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

static void
type1_domain_destroy(struct dm_iommu_domain *dom)
{
	struct type1_domain *d = TYPE1_DOMAIN(dom);

	dm_kernel->close(d->fd);
	free(d);
}

static int
explain_refusal(const struct dm_iommu_dev *dev, int rc)
{
	/* The group was found viable, so this is what the kernel cannot mean but by it:
	 * drivers/vfio/vfio_iommu_type1.c, vfio_iommu_type1_attach_group(). */
	if (rc == -EPERM)
		return dm_dev_fail_unsafe_interrupts(dev->name, "vfio_iommu_type1");
	return rc;
}

/** Put a group into a domain, and set the IOMMU type if it is the first one there. */
static int
join(struct type1_domain *d, struct dm_vfio_group *group, const struct dm_iommu_dev *dev)
{
	int rc;

	if (group->container_fd == d->fd)
		return 0;
	if (group->container_fd >= 0)
		return -EINVAL;
	rc = dm_vfio_group_join(group, d->fd);
	if (rc < 0)
		return explain_refusal(dev, rc);
	if (d->n_groups == 0) {
		rc = dm_kernel_ioctl_int(d->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
		if (rc < 0) {
			dm_vfio_group_leave(group);
			return explain_refusal(dev, rc);
		}
	}
	d->n_groups++;
	return 0;
}

/** Give a device's group back; the last device takes it out of its domain. */
static void
put_group(struct type1_domain *d, struct dm_vfio_group *group)
{
	if (group->users == 1 && group->container_fd == d->fd) {
		dm_vfio_group_leave(group);
		d->n_groups--;
	}
	dm_vfio_group_put(group);
}

static int
type1_attach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct type1_domain *d = TYPE1_DOMAIN(dom);
	struct type1 *t = TYPE1(dom->iommu);
	struct dm_vfio_group *group;
	int rc;

	rc = dm_vfio_group_get(&t->groups, dev, DM_VFIO_GROUP_PATH, &group);
	if (rc < 0)
		return rc;
	rc = join(d, group, dev);
	if (rc < 0)
		goto put;
	rc = dm_vfio_group_open_device(group, dev->name, TYPE1_DEV(dev)->vf_token);
	if (rc < 0)
		goto put;
	dev->fd = rc;
	return 0;

put:
	put_group(d, group);
	return rc;
}

static void
type1_detach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct dm_vfio_group *group = dm_vfio_group_find(&TYPE1(dom->iommu)->groups, dev);

	dm_kernel->close(dev->fd);
	dev->fd = -1;
	put_group(TYPE1_DOMAIN(dom), group);
}

static int
type1_info(struct dm_iommu_domain *dom, struct dm_iommu_info *info)
{
	int fd = TYPE1_DOMAIN(dom)->fd;
	int rc = dm_type1_info(fd, info);

	if (rc == 0)
		info->coherent = dm_kernel_ioctl_int(fd, VFIO_CHECK_EXTENSION,
			VFIO_DMA_CC_IOMMU) > 0;
	return rc;
}

static int
type1_map(struct dm_iommu_domain *dom, rte_iova_t iova, void *va, uint64_t len, uint32_t prot)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = (prot & DMAMAP_READ ? VFIO_DMA_MAP_FLAG_READ : 0) |
			(prot & DMAMAP_WRITE ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)va,
		.iova = iova,
		.size = len,
	};

	return dm_kernel_ioctl(TYPE1_DOMAIN(dom)->fd, VFIO_IOMMU_MAP_DMA, &map);
}

static int
type1_unmap(struct dm_iommu_domain *dom, rte_iova_t iova, uint64_t len, uint64_t *done)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = len,
	};
	int rc = dm_kernel_ioctl(TYPE1_DOMAIN(dom)->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);

	*done = rc < 0 ? 0 : unmap.size;
	return rc;
}

const struct dm_iommu_ops dm_iommu_type1_ops = {
	.name = "type1",
	.open = type1_open,
	.close = type1_close,
	.host_reserved = type1_host_reserved,
	.dev_get = type1_dev_get,
	.dev_put = type1_dev_put,
	.domain_create = type1_domain_create,
	.domain_destroy = type1_domain_destroy,
	.attach = type1_attach,
	.detach = type1_detach,
	.info = type1_info,
	.map = type1_map,
	.unmap = type1_unmap,
};
