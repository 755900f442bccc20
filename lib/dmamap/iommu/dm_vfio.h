/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * VFIO containers and groups: the common part of the backends type1 and noiommu.
 *
 * Invariant: a domain is one kernel container, whose IOMMU type is set while it has a group. Called
 * by type1.c and noiommu.c, most of it through struct dm_iommu_ops, whose rules for threads apply.
 */

#ifndef DM_VFIO_H
#define DM_VFIO_H

#include "dm_iommu.h"
#include "dm_parse.h"
#include "dm_sysfs_dev.h"
#include "dm_util.h"
#include "dm_vfio_group.h"

/** Differences between such backends. */
struct dm_vfio_kind {
	const struct dm_iommu_ops *ops;
	enum dmamap_backend backend;
	unsigned long type; /**< for VFIO_SET_IOMMU: VFIO_TYPE1v2_IOMMU, ... */
	const char *group_path; /**< DM_VFIO_GROUP_PATH or DM_VFIO_GROUP_PATH_NOIOMMU */
	const char *if_absent; /**< log message if VFIO does not support the type */
};

/** An open backend. */
struct dm_vfio {
	struct dm_iommu iommu;
	const struct dm_vfio_kind *kind;
	struct dm_vfio_groups groups;
	int container_fd; /**< duplicate of a kernel container that was handed in, or -1 */
	bool container_used; /**< a domain uses it */
	int (*open_container)(void *arg); /**< as in struct dmamap_container_conf, or NULL */
	void *open_arg;
};

/** A device. */
struct dm_vfio_dev {
	struct dm_iommu_dev dev;
	char vf_token[DM_UUID_STRLEN]; /**< UUID, or "" */
	struct dm_iommu_given *given; /**< files that were handed in, or NULL */
};

/** A domain: one kernel container. Its IOMMU type is set while it has a group. */
struct dm_vfio_domain {
	struct dm_iommu_domain dom;
	int fd;
	unsigned int n_groups;
	bool is_given; /**< it is the kernel container that was handed in */
	/** It keeps a group that this process cannot remove: put there, or held open, by others */
	bool has_adopted;
};

#define DM_VFIO(ptr) DM_CONTAINER_OF(ptr, struct dm_vfio, iommu)
#define DM_VFIO_DEV(ptr) DM_CONTAINER_OF(ptr, struct dm_vfio_dev, dev)
#define DM_VFIO_DOMAIN(ptr) DM_CONTAINER_OF(ptr, struct dm_vfio_domain, dom)

/** @name Operations of a backend, as in struct dm_iommu_ops */
/**@{*/
/** Open the backend; checks that VFIO supports the type of `kind`. */
int dm_vfio_open(const struct dm_vfio_kind *kind, const struct dmamap_container_conf *conf,
	struct dm_iommu **iommu);
/** Close the backend and its duplicate of the container that was handed in. */
void dm_vfio_close(struct dm_iommu *iommu);
/**
 * Look up a device.
 * @param init  fills in everything but the back pointer, as dm_sysfs_dev_init() does.
 */
int dm_vfio_dev_get(struct dm_iommu *iommu, const char *name,
	int (*init)(struct dm_iommu_dev *dev, const struct dm_sysfs_dev *at),
	struct dm_iommu_dev **dev);
/**
 * Create a device from files that were handed in.
 * @param noiommu  whether the backend is for devices without an IOMMU.
 */
int dm_vfio_dev_adopt(struct dm_iommu *iommu, const char *name, struct dm_iommu_given *given,
	bool noiommu, struct dm_iommu_dev **dev);
void dm_vfio_dev_put(struct dm_iommu_dev *dev);
int dm_vfio_domain_create(struct dm_iommu *iommu, struct dm_iommu_domain **dom);
void dm_vfio_domain_destroy(struct dm_iommu_domain *dom);
/** Attach a device; sets the IOMMU type with the first group of the domain. */
int dm_vfio_attach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev);
void dm_vfio_detach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev);
/** The operation group_leave(). */
int dm_vfio_group_leave_first(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev);
/** The operation group_fd(). */
int dm_vfio_group_fd(const struct dm_iommu_dev *dev);
/**@}*/

#endif /* DM_VFIO_H */
