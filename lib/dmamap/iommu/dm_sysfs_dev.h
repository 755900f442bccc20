/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Devices in sysfs: name, driver, group, reserved ranges, NUMA node. Everything that is known
 * before a file is opened. Called by the backends from dev_get(), dev_adopt() and host_reserved().
 * No state; any thread may call.
 */

#ifndef DM_SYSFS_DEV_H
#define DM_SYSFS_DEV_H

#include <stdbool.h>

#include "dm_iommu.h"
#include "dm_parse.h"
#include "dmamap_kernel.h"

/** A device name as given by a user, parsed. */
struct dm_dev_name {
	char name[DMAMAP_NAME_MAX]; /**< a PCI address with its domain, or a name on another bus */
	char vf_token[DM_UUID_STRLEN]; /**< a UUID, or "" */
};

/**
 * Parse a device's name, optionally followed by " vf_token=UUID". A PCI address may lack its
 * domain. Any other name is taken as a device of another bus.
 * @return 0, or -EINVAL, logged.
 */
int dm_dev_name_parse(const char *text, struct dm_dev_name *name);

/** The location of a device in sysfs. */
struct dm_sysfs_dev {
	const struct dmamap_kernel *kernel;
	const char *name;
	char dir[512]; /**< "bus/pci/devices/0000:01:00.0" */
};

/**
 * Find a device: on the PCI bus first, then on all others.
 * @param name  must live as long as dev.
 * @return 0; -ENODEV: no such device; else the kernel's errno. Logged.
 */
int dm_sysfs_find(const struct dmamap_kernel *k, const char *name, struct dm_sysfs_dev *dev);

/**
 * Fill in a device behind an IOMMU: name, group, node, reserved ranges. Checks that it has a group
 * of an IOMMU and is bound to a VFIO driver. Whether the group is viable is known only at attach.
 *
 * @return 0; -ENODEV: no IOMMU; -EBUSY: not bound to a VFIO driver; -ENOMEM; else the kernel's
 *   errno. Logged.
 */
int dm_sysfs_dev_init(struct dm_iommu_dev *dev, const struct dm_sysfs_dev *at);
/**
 * dm_sysfs_dev_init() for a device whose files were handed in. Drivers are not checked, since an
 * open file proves that VFIO has the device. If sysfs does not show the device, the group is taken
 * from the caller, and no reserved ranges and no node are known. That is logged.
 *
 * @param noiommu  whether the backend is for devices without an IOMMU.
 * @return 0; -EINVAL: no group is known, the caller names another group than sysfs, or the device
 *   is behind an IOMMU although noiommu is set; -ENODEV: it is not behind one; -ENOMEM; else the
 *   kernel's errno. Logged.
 */
int dm_sysfs_dev_adopt(struct dm_iommu_dev *dev, const char *name,
	const struct dm_iommu_given *given, bool noiommu);
/** Free what dm_sysfs_dev_init() or dm_sysfs_dev_adopt() has allocated. */
void dm_sysfs_dev_fini(struct dm_iommu_dev *dev);

/** @name Steps of dm_sysfs_dev_init(). Each logs its errors. */
/**@{*/
/** Check that the device is bound to a VFIO driver. @return 0; -EBUSY; else the kernel's errno */
int dm_sysfs_check_driver(const struct dm_sysfs_dev *at);
/** Find the group number of a device. @return 0; -ENODEV: it has none; else the kernel's errno */
int dm_sysfs_find_group(const struct dm_sysfs_dev *at, int *group);
/**
 * Whether VFIO created this group for a device without an IOMMU. @return 1 or 0; negative: the
 * kernel's errno
 */
int dm_sysfs_group_is_noiommu(const struct dm_sysfs_dev *at, int group);
/**@}*/

/**
 * List the members of a group whose drivers may make it not viable. A hint for messages: only the
 * kernel knows which drivers do no DMA for the host.
 * @param text  out: "0000:01:00.1 (e1000e), ...", truncated to size.
 * @return whether there is one
 */
bool dm_sysfs_suspects(const struct dmamap_kernel *k, int group, char *text, size_t size);
/**
 * Whether a device is a member of a group.
 * @param dev   its name; a PCI address may lack the segment, and then any segment fits.
 * @param name  out, if it is: its whole name.
 */
bool dm_sysfs_group_has(
	const struct dmamap_kernel *k, int group, const char *dev, char name[DMAMAP_NAME_MAX]);
/** Whether a name is that of a device, or a PCI address without the segment of one. */
bool dm_sysfs_names_dev(const char *dev, const char *name);
/** Log that a group is not viable, and which members may be the cause. @return -EPERM */
int dm_sysfs_fail_unviable(const struct dmamap_kernel *k, const char *name, int group);

/** The NUMA node of a device; -1: none, or unknown. */
int dm_sysfs_node(const struct dm_sysfs_dev *at);

/**
 * Read the reserved ranges of a group, ascending by start.
 * @param resv  out: malloc()ed, the caller frees; NULL if there are none.
 * @return 0, also for a group without a list; -ENOMEM; else the kernel's errno. Not logged.
 */
int dm_sysfs_group_reserved(
	const struct dmamap_kernel *k, int group, struct dm_iommu_resv **resv, unsigned int *n);

/** Reserved ranges of all groups of this machine, each range once. @return 0; -ENOMEM */
int dm_sysfs_host_reserved(
	const struct dmamap_kernel *k, struct dm_iommu_resv **resv, unsigned int *n);

/** Log that a look-up in sysfs failed. @return rc */
int dm_sysfs_fail(const struct dm_sysfs_dev *at, const char *what, int rc);

/**
 * Log that a device cannot be used, because its platform does not isolate interrupts.
 * @param module  the kernel module whose parameter allow_unsafe_interrupts permits it.
 * @return -EPERM
 */
int dm_dev_fail_unsafe_interrupts(const char *name, const char *module);

#endif /* DM_SYSFS_DEV_H */
