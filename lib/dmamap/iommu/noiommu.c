/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Backend noiommu: no IOMMU translates or protects, so IOVAs are physical addresses. Called by
 * container/ through dm_iommu_noiommu_ops.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "dm_iommu.h"
#include "dm_log.h"
#include "dm_phys.h"
#include "dm_process.h"
#include "dm_sysfs_dev.h"
#include "dm_util.h"
#include "dm_vfio.h"

static const struct dm_vfio_kind kind = {
	.ops = &dm_iommu_noiommu_ops,
	.backend = DMAMAP_BACKEND_NOIOMMU,
	.type = VFIO_NOIOMMU_IOMMU,
	.group_path = DM_VFIO_GROUP_PATH_NOIOMMU,
	.if_absent = "VFIO's noiommu mode is off, or this kernel lacks it (Debian's"
		     " kernels do): echo 1 >"
		     " /sys/module/vfio/parameters/enable_unsafe_noiommu_mode, then bind"
		     " the device",
};

static int
noiommu_open(const struct dmamap_container_conf *conf, struct dm_iommu **iommu)
{
	return dm_vfio_open(&kind, conf, iommu);
}

/**
 * Fill in a device that is not behind an IOMMU. VFIO creates its group when its driver binds it.
 */
static int
noiommu_dev_init(struct dm_iommu_dev *dev, const struct dm_sysfs_dev *at)
{
	int rc = dm_sysfs_check_driver(at);

	if (rc == 0)
		rc = dm_sysfs_find_group(at, &dev->group);
	if (rc == 0)
		rc = dm_sysfs_group_is_noiommu(at, dev->group);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return DM_FAIL(EINVAL,
			"%s: it is behind an IOMMU: use another backend than noiommu", at->name);
	dm_strlcpy(dev->name, at->name, sizeof(dev->name));
	dev->node = dm_sysfs_node(at);
	dev->fd = -1;
	return 0;
}

static int
noiommu_dev_get(struct dm_iommu *iommu, const char *name, struct dm_iommu_dev **dev)
{
	return dm_vfio_dev_get(iommu, name, noiommu_dev_init, dev);
}

static int
noiommu_dev_adopt(struct dm_iommu *iommu, const char *name, struct dm_iommu_given *given,
	struct dm_iommu_dev **dev)
{
	return dm_vfio_dev_adopt(iommu, name, given, true, dev);
}

static int
noiommu_attach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	int rc = dm_vfio_attach(dom, dev);

	if (rc == 0)
		DM_LOG(WARNING,
			"%s: not behind an IOMMU: it can read and write all of this"
			" machine's memory, whatever is mapped, and nothing pins the memory"
			" that it uses: do not offline or migrate memory meanwhile",
			dev->name);
	return rc;
}

static int
noiommu_info(struct dm_iommu_domain *dom, struct dm_iommu_info *info)
{
	if (!dm_process_is(dom->iommu->process))
		return -ECHILD;
	*info = (struct dm_iommu_info){
		.page_sizes = ~((uint64_t)sysconf(_SC_PAGESIZE) - 1),
		.entries_left = UINT64_MAX,
		.n_ranges = 1,
		.ranges = malloc(sizeof(*info->ranges)),
	};
	if (info->ranges == NULL)
		return -ENOMEM;
	info->ranges[0] = (struct dmamap_range){0, UINT64_MAX};
	return 0;
}

/**
 * Map nothing, but check that the memory is still at the physical address that the device will use.
 */
static int
noiommu_map(struct dm_iommu_domain *dom, dmamap_iova_t iova, void *va, uint64_t len, uint32_t prot)
{
	uint64_t phys;
	int rc;

	if (!dm_process_is(dom->iommu->process))
		return -ECHILD;
	rc = dm_phys_of(va, len, &phys);
	if (rc == 0 && phys != iova)
		return DM_FAIL(EFAULT,
			"the memory at %p is at physical address 0x%" PRIx64 ", not 0x%" PRIx64
			", and there is no IOMMU that could translate",
			va, phys, iova);
	return rc;
}

static int
noiommu_unmap(struct dm_iommu_domain *dom, dmamap_iova_t iova, uint64_t len, uint64_t *done)
{
	*done = len;
	return 0;
}

const struct dm_iommu_ops dm_iommu_noiommu_ops = {
	.name = "noiommu",
	.open = noiommu_open,
	.close = dm_vfio_close,
	.iova_of = dm_phys_of,
	.dev_get = noiommu_dev_get,
	.dev_adopt = noiommu_dev_adopt,
	.dev_put = dm_vfio_dev_put,
	.domain_create = dm_vfio_domain_create,
	.domain_destroy = dm_vfio_domain_destroy,
	.attach = noiommu_attach,
	.detach = dm_vfio_detach,
	.group_leave = dm_vfio_group_leave_first,
	.group_fd = dm_vfio_group_fd,
	.info = noiommu_info,
	.map = noiommu_map,
	.unmap = noiommu_unmap,
};
