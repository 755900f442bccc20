/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Backend type1 (version 2 only): a domain is a kernel container of VFIO. Called by container/
 * through dm_iommu_type1_ops.
 */

#include <errno.h>

#include <linux/vfio.h>

#include "dm_iommu.h"
#include "dm_kernel.h"
#include "dm_sysfs_dev.h"
#include "dm_type1_info.h"
#include "dm_vfio.h"

static const struct dm_vfio_kind kind = {
	.ops = &dm_iommu_type1_ops,
	.backend = DMAMAP_BACKEND_TYPE1,
	.type = VFIO_TYPE1v2_IOMMU,
	.group_path = DM_VFIO_GROUP_PATH,
	.if_absent = "this kernel's VFIO has no type1 version 2: modprobe vfio_iommu_type1",
};

static int
type1_open(const struct dmamap_container_conf *conf, struct dm_iommu **iommu)
{
	return dm_vfio_open(&kind, conf, iommu);
}

static int
type1_host_reserved(
	const struct dmamap_container_conf *conf, struct dm_iommu_resv **resv, unsigned int *n)
{
	return dm_sysfs_host_reserved(dm_kernel_of(conf), resv, n);
}

static int
type1_dev_get(struct dm_iommu *iommu, const char *name, struct dm_iommu_dev **dev)
{
	return dm_vfio_dev_get(iommu, name, dm_sysfs_dev_init, dev);
}

static int
type1_dev_adopt(struct dm_iommu *iommu, const char *name, struct dm_iommu_given *given,
	struct dm_iommu_dev **dev)
{
	return dm_vfio_dev_adopt(iommu, name, given, false, dev);
}

static int
type1_info(struct dm_iommu_domain *dom, struct dm_iommu_info *info)
{
	int fd = DM_VFIO_DOMAIN(dom)->fd;
	int rc = dm_type1_info(dom->iommu, fd, info);

	if (rc == 0)
		info->coherent = dm_kernel_ioctl_int(dom->iommu, fd, VFIO_CHECK_EXTENSION,
					 VFIO_DMA_CC_IOMMU) > 0;
	return rc;
}

static int
type1_map(struct dm_iommu_domain *dom, dmamap_iova_t iova, void *va, uint64_t len, uint32_t prot)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = (prot & DMAMAP_READ ? VFIO_DMA_MAP_FLAG_READ : 0) |
			(prot & DMAMAP_WRITE ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)va,
		.iova = iova,
		.size = len,
	};

	return dm_kernel_ioctl(dom->iommu, DM_VFIO_DOMAIN(dom)->fd, VFIO_IOMMU_MAP_DMA, &map);
}

static int
type1_unmap(struct dm_iommu_domain *dom, dmamap_iova_t iova, uint64_t len, uint64_t *done)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = len,
	};
	int rc = dm_kernel_ioctl(dom->iommu, DM_VFIO_DOMAIN(dom)->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);

	/* A forked process has nothing mapped in the parent's IOMMU. */
	if (rc == -ECHILD) {
		*done = len;
		return 0;
	}
	*done = rc < 0 ? 0 : unmap.size;
	return rc;
}

const struct dm_iommu_ops dm_iommu_type1_ops = {
	.name = "type1",
	.open = type1_open,
	.close = dm_vfio_close,
	.host_reserved = type1_host_reserved,
	.dev_get = type1_dev_get,
	.dev_adopt = type1_dev_adopt,
	.dev_put = dm_vfio_dev_put,
	.domain_create = dm_vfio_domain_create,
	.domain_destroy = dm_vfio_domain_destroy,
	.attach = dm_vfio_attach,
	.detach = dm_vfio_detach,
	.group_leave = dm_vfio_group_leave_first,
	.group_fd = dm_vfio_group_fd,
	.info = type1_info,
	.map = type1_map,
	.unmap = type1_unmap,
};
