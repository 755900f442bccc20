/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does one live with VFIO's containers and groups? What the backends type1 and noiommu have in
 * common.
 */

#ifndef DM_VFIO_H
#define DM_VFIO_H

#include <rte_uuid.h>

#include "dm_iommu.h"
#include "dm_vfio_group.h"

/** In what such backends differ. */
struct dm_vfio_kind {
	const struct dm_iommu_ops *ops;
	enum dmamap_backend backend;
	unsigned long type; /**< for VFIO_SET_IOMMU: VFIO_TYPE1v2_IOMMU, ... */
	const char *group_path; /**< DM_VFIO_GROUP_PATH or DM_VFIO_GROUP_PATH_NOIOMMU */
	const char *if_absent; /**< what to say if VFIO does not have the type */
};

/** A backend that is open. */
struct dm_vfio {
	struct dm_iommu iommu;
	const struct dm_vfio_kind *kind;
	struct dm_vfio_group_list groups;
};

/** A device. */
struct dm_vfio_dev {
	struct dm_iommu_dev dev;
	char vf_token[RTE_UUID_STRLEN]; /**< or "" */
};

/** One kernel container. Its IOMMU type is set as long as it has a group. */
struct dm_vfio_domain {
	struct dm_iommu_domain dom;
	int fd;
	unsigned int n_groups;
};

#define DM_VFIO(ptr) container_of(ptr, struct dm_vfio, iommu)
#define DM_VFIO_DEV(ptr) container_of(ptr, struct dm_vfio_dev, dev)
#define DM_VFIO_DOMAIN(ptr) container_of(ptr, struct dm_vfio_domain, dom)

/** @name Operations of a backend, as in struct dm_iommu_ops */
/**@{*/
/** Open; checks that VFIO has the kind's type. */
int dm_vfio_open(const struct dm_vfio_kind *kind, struct dm_iommu **iommu);
void dm_vfio_close(struct dm_iommu *iommu);
/**
 * Look a device up.
 * @param init  fills in all but the back pointer, as dm_sysfs_dev_init() does.
 */
int dm_vfio_dev_get(struct dm_iommu *iommu, const char *name,
	int (*init)(struct dm_iommu_dev *dev, const char *bdf), struct dm_iommu_dev **dev);
void dm_vfio_dev_put(struct dm_iommu_dev *dev);
int dm_vfio_domain_create(struct dm_iommu *iommu, struct dm_iommu_domain **dom);
void dm_vfio_domain_destroy(struct dm_iommu_domain *dom);
int dm_vfio_attach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev);
void dm_vfio_detach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev);
/**@}*/

#endif /* DM_VFIO_H */
