/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The interface between container/ and its backends: a table of operations, and the objects that
 * they work on. One backend implements it for each kernel interface: type1, iommufd, noiommu.
 *
 * Invariant: a call that fails has changed nothing, unless said otherwise.
 */

#ifndef DM_IOMMU_H
#define DM_IOMMU_H

#include <stdbool.h>
#include <stdint.h>

#include "dmamap.h"

struct dm_iommu_ops;

/**
 * An open backend. Each backend embeds it as the first member of its own structure.
 *
 * Threads: map(), copy(), unmap() and iova_of() may run in several threads at once, on one domain
 * or on several. The container that opened the backend serialises all other calls on its objects,
 * among themselves and against map(), copy() and unmap().
 */
struct dm_iommu {
	const struct dm_iommu_ops *ops;
	enum dmamap_backend kind;
	const struct dmamap_kernel *kernel; /**< kernel that it was opened on; never NULL */
	uint64_t process; /**< creator (dm_process.h): no other process makes calls on its files */
};

/** A reserved range of a group, as the platform reports it. */
struct dm_iommu_resv {
	struct dmamap_range range;
	enum dmamap_reserved_type type;
};

/**
 * Files of a device that were handed in, as duplicates. Owned by the container's device, which
 * outlives the backends' objects that use it. -1: none.
 */
struct dm_iommu_given {
	int group_fd, device_fd, cdev_fd;
	int group; /**< group number from the caller */
	/** Backend whose iommufd cdev_fd is bound to for good, or NULL */
	const struct dm_iommu *bound;
	bool group_only; /**< only the group is attached; the caller opens its devices */
};

/** A device. Backends embed it. All fields but fd are constant after dev_get() and dev_adopt(). */
struct dm_iommu_dev {
	struct dm_iommu *iommu;
	char name[DMAMAP_NAME_MAX]; /**< "0000:01:00.0", or a name on another bus */
	int group; /**< group number, not negative */
	int node; /**< NUMA node, or -1 */
	int fd; /**< open device file while attached to a domain; -1 otherwise, and if group_only */
	unsigned int n_resv;
	struct dm_iommu_resv *resv; /**< ascending by start; owned by this object */
};

/** One set of IOMMU page tables. Backends embed it. */
struct dm_iommu_domain {
	struct dm_iommu *iommu;
	unsigned int id; /**< set by the container, for messages */
};

/** Current properties of a domain; they change with each attach and detach. */
struct dm_iommu_info {
	/** Bitmap of bytes; 0: the IOMMUs have no page size in common, so nothing can be mapped */
	uint64_t page_sizes;
	/** Map calls that the kernel will still accept; UINT64_MAX: no known limit */
	uint64_t entries_left;
	bool coherent; /**< cache coherency is enforced */
	unsigned int n_ranges;
	struct dmamap_range *ranges; /**< usable, ascending, disjoint; the caller frees */
};

/**
 * Operations of a backend.
 *
 * Every call returns 0 or a negative errno, and has changed nothing when it fails, unless said
 * otherwise. A backend logs one line if it knows more than the errno tells, and nothing otherwise.
 * For example: which process holds the device, which member makes the group not viable.
 *
 * In a process that was forked from the one that opened the backend, the only system call made on a
 * file is close(2). unmap() succeeds and reports the whole length. detach(), domain_destroy(),
 * dev_put() and close() free memory and close this process's descriptors. All other calls return
 * -ECHILD, unlogged. So the parent's IOMMU is not touched, and the child can free its bookkeeping.
 */
struct dm_iommu_ops {
	const char *name; /**< "type1" */

	/**
	 * Open the backend on the kernel of conf.
	 * @param conf   NULL: defaults.
	 * @param iommu  out: to be closed by close().
	 * @return 0; -ENODEV, -ENOENT: the machine or kernel does not support it; -EACCES, -EPERM:
	 *   no permission; -ENOMEM.
	 */
	int (*open)(const struct dmamap_container_conf *conf, struct dm_iommu **iommu);
	/** Close the backend. All its devices and domains have been freed. */
	void (*close)(struct dm_iommu *iommu);

	/**
	 * Reserved ranges of all groups of this machine, for a container without devices. Called
	 * without open(). Logs nothing: a machine without groups has no reserved ranges. Optional.
	 * @param resv  out: malloc()ed, the caller frees.
	 */
	int (*host_reserved)(const struct dmamap_container_conf *conf, struct dm_iommu_resv **resv,
		unsigned int *n);

	/**
	 * Where memory must be mapped, for a backend that does not translate. Optional: without it,
	 * anywhere. Called without open() as well.
	 * @param va    start, a multiple of the page size.
	 * @param len   bytes.
	 * @param iova  out.
	 * @return 0; -EINVAL: the memory cannot be mapped as one range; -EFAULT; -EPERM. Logged.
	 */
	int (*iova_of)(const void *va, uint64_t len, dmamap_iova_t *iova);

	/**
	 * Look up a device, and check everything that is known before a file is opened: the device
	 * exists, has a group and is bound to a VFIO driver.
	 * @param name  as passed to dmamap_container_attach(), with options.
	 * @param dev   out: to be freed by dev_put().
	 * @return 0; -ENODEV: no such device, or no group; -EBUSY: bound to another driver or to
	 *   none. Logged.
	 */
	int (*dev_get)(struct dm_iommu *iommu, const char *name, struct dm_iommu_dev **dev);
	/**
	 * dev_get() for a device whose files were handed in. Opens no file. An open VFIO file
	 * proves that the driver is right, and sysfs may not show the device.
	 * @param given  stays valid until dev_put().
	 * @return as dev_get(); -EINVAL: a file that this backend needs is missing, or no group is
	 *   known. Logged.
	 */
	int (*dev_adopt)(struct dm_iommu *iommu, const char *name, struct dm_iommu_given *given,
		struct dm_iommu_dev **dev);
	/** Free a device. It must not be attached. */
	void (*dev_put)(struct dm_iommu_dev *dev);

	/** Create a domain without groups. Nothing can be mapped before the first attach. */
	int (*domain_create)(struct dm_iommu *iommu, struct dm_iommu_domain **dom);
	/** Free a domain. No device may be attached. */
	void (*domain_destroy)(struct dm_iommu_domain *dom);

	/**
	 * Attach a device to a domain: its group, if the device is the first of it, and its file,
	 * unless only the group is wanted (group_only). The container makes sure that all devices
	 * of one group are attached to one domain.
	 * @return 0; -EBUSY: the group is open elsewhere; -EPERM: it is not viable; -EINVAL: the
	 *   domain is incompatible, another may do; -EADDRINUSE: the domain is incompatible because
	 *   of its mappings; else the kernel's errno. Errors are logged, except -EINVAL and
	 *   -EADDRINUSE, which the container explains.
	 */
	int (*attach)(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev);
	/**
	 * Detach a device. With the last device of the last group, all mappings of the domain are
	 * removed. Cannot fail.
	 */
	void (*detach)(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev);
	/**
	 * Detach the group of a group_only device before the device moves. This is the first half
	 * of detach(), which must follow a success. Optional: without it, the kernel cannot tell
	 * whether a group can leave.
	 * @return 0; -EBUSY: a device of the group is open. Logged.
	 */
	int (*group_leave)(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev);

	/**
	 * The open file of the group of an attached device, which the backend keeps. Optional:
	 * without it, devices are opened without their groups.
	 * @return -1: it has none, since others have put the group into a container.
	 */
	int (*group_fd)(const struct dm_iommu_dev *dev);

	/**
	 * Read the properties of a domain from the kernel. At least one device must be attached.
	 * @param info  out: the caller frees info->ranges.
	 */
	int (*info)(struct dm_iommu_domain *dom, struct dm_iommu_info *info);

	/**
	 * Map [iova, iova + len - 1] to the memory at va.
	 * @param prot  DMAMAP_READ | DMAMAP_WRITE
	 * @return 0, or the kernel's errno.
	 */
	int (*map)(struct dm_iommu_domain *dom, dmamap_iova_t iova, void *va, uint64_t len,
		uint32_t prot);
	/**
	 * Map, as map() does, what another domain of the same backend instance maps at this IOVA.
	 * The pinned pages are shared and charged once. Optional: without it, each domain pins and
	 * is charged for itself.
	 */
	int (*copy)(struct dm_iommu_domain *dom, struct dm_iommu_domain *from, dmamap_iova_t iova,
		uint64_t len, uint32_t prot);
	/**
	 * Unmap whole mappings.
	 * @param done  out: bytes that the kernel reports as unmapped; the caller compares them
	 *   with len.
	 */
	int (*unmap)(struct dm_iommu_domain *dom, dmamap_iova_t iova, uint64_t len, uint64_t *done);
};

extern const struct dm_iommu_ops dm_iommu_type1_ops;
extern const struct dm_iommu_ops dm_iommu_iommufd_ops;
extern const struct dm_iommu_ops dm_iommu_noiommu_ops;

#endif /* DM_IOMMU_H */
