/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does sysfs say about a device? All that can be known before anything is opened.
 */

#ifndef DM_SYSFS_DEV_H
#define DM_SYSFS_DEV_H

#include <stdbool.h>

#include <rte_uuid.h>

#include "dm_iommu.h"

/** What a user wrote to name a device. */
struct dm_dev_name {
	char bdf[DMAMAP_NAME_MAX]; /**< with its domain: "0000:01:00.0" */
	char vf_token[RTE_UUID_STRLEN]; /**< a UUID, or "" */
};

/**
 * Read a device's name: a PCI address, with or without its domain, perhaps followed by
 * " vf_token=UUID".
 * @return 0, or -EINVAL, logged.
 */
int dm_dev_name_parse(const char *text, struct dm_dev_name *name);

/**
 * Fill in a device that an IOMMU is in charge of: name, group, node, reserved ranges. Checks that
 * it exists, that it has a group of an IOMMU, that it is bound to a VFIO driver and that its group
 * is viable, and logs one line if not.
 *
 * @return 0; -ENODEV: no such device, or no IOMMU; -EBUSY: not bound to a VFIO driver; -EPERM:
 *   another member of its group is held by a driver of this host; -ENOMEM.
 */
int dm_sysfs_dev_init(struct dm_iommu_dev *dev, const char *bdf);
/** Undo dm_sysfs_dev_init(). */
void dm_sysfs_dev_fini(struct dm_iommu_dev *dev);

/** @name The steps of dm_sysfs_dev_init(). Each logs what it refuses. */
/**@{*/
/** @return 0, or -ENODEV */
int dm_sysfs_check_exists(const char *bdf);
/** @return 0, or -EBUSY */
int dm_sysfs_check_driver(const char *bdf);
/** @return 0; -ENODEV: it has none */
int dm_sysfs_find_group(const char *bdf, int *group);
/** @return 0, or -EPERM. Bridges do not spoil a group, nor do devices without driver. */
int dm_sysfs_check_viable(const char *bdf, int group);
/**@}*/

/** Is this a group that VFIO made up for a device without an IOMMU? */
bool dm_sysfs_group_is_noiommu(int group);

/** The NUMA node of a device, or -1. */
int dm_sysfs_node(const char *bdf);

/**
 * Reserved ranges of a group, ascending by start.
 * @param resv  malloc()ed, the caller frees; NULL if there are none.
 * @return 0; -ENOMEM. A group that reports none has none.
 */
int dm_sysfs_group_reserved(int group, struct dm_iommu_resv **resv, unsigned int *n);

/** The same over all groups of this machine, each range once. */
int dm_sysfs_host_reserved(struct dm_iommu_resv **resv, unsigned int *n);

/**
 * Say that a device may not be used since its platform does not isolate interrupts.
 * @param module  whose parameter allow_unsafe_interrupts lifts that.
 * @return -EPERM
 */
int dm_dev_fail_unsafe_interrupts(const char *bdf, const char *module);

#endif /* DM_SYSFS_DEV_H */
