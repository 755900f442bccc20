/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Who may reach memory? What the container asks of a backend: a table of operations.
 */

#ifndef DM_IOMMU_H
#define DM_IOMMU_H

#include <stdbool.h>
#include <stdint.h>

#include "dmamap.h"

struct dm_iommu_ops;

/**
 * A backend that is open. Each backend embeds it as the first member of its own structure.
 * All calls on objects of one backend instance are serialised by the container that opened it.
 */
struct dm_iommu {
	const struct dm_iommu_ops *ops;
	enum dmamap_backend kind;
};

/** A reserved range of a group, as the platform reports it. */
struct dm_iommu_resv {
	struct dmamap_range range;
	enum dmamap_reserved_type type;
};

/** A device that was looked up. Backends embed it. Fixed after dev_get() but for fd. */
struct dm_iommu_dev {
	struct dm_iommu *iommu;
	char name[DMAMAP_NAME_MAX]; /**< "0000:01:00.0" */
	int group; /**< group number, not negative */
	int node; /**< NUMA node, or -1 */
	int fd; /**< the device's file while attached to a domain, else -1 */
	unsigned int n_resv;
	struct dm_iommu_resv *resv; /**< ascending by start; owned by the device */
};

/** One set of page tables. Backends embed it. */
struct dm_iommu_domain {
	struct dm_iommu *iommu;
	unsigned int id; /**< set by the container, for messages */
};

/** What a domain is able to do now; changes with each attach and detach. */
struct dm_iommu_info {
	uint64_t page_sizes; /**< bitmap, not 0 */
	uint64_t entries_left; /**< map calls it still takes; UINT64_MAX: no limit known */
	bool coherent; /**< enforces cache coherency */
	unsigned int n_ranges;
	struct dmamap_range
		*ranges; /**< usable, ascending, disjoint; malloc()ed, the caller frees */
};

/**
 * What a backend does. Every call returns 0 or a negative errno, and has changed nothing when it
 * fails, unless said otherwise. A backend logs one line when it can say more than the errno does
 * (who holds the device, which member spoils the group), and none else.
 */
struct dm_iommu_ops {
	const char *name; /**< "type1" */

	/**
	 * Open the backend.
	 * @return 0; -ENODEV, -ENOENT: this machine or kernel does not have it; -EACCES, -EPERM: no
	 * permission.
	 */
	int (*open)(const struct dmamap_container_conf *conf, struct dm_iommu **iommu);
	/** Close it; nothing of it is left. */
	void (*close)(struct dm_iommu *iommu);

	/**
	 * Reserved ranges that any group of this machine has, for a container without devices;
	 * *resv is malloc()ed, the caller frees. Called without open(), and silent: a machine
	 * without groups has none.
	 */
	int (*host_reserved)(const struct dmamap_container_conf *conf, struct dm_iommu_resv **resv,
		unsigned int *n);

	/**
	 * Where memory must be mapped, for a backend that does not translate. Optional: without it,
	 * anywhere. Called without open() as well.
	 * @return 0; -EINVAL: this memory cannot be mapped as one; -EFAULT; -EPERM. Logged.
	 */
	int (*iova_of)(const void *va, uint64_t len, rte_iova_t *iova);

	/**
	 * Look a device up and check everything that can be known before anything is opened: that
	 * it exists, has a group, is bound to a VFIO driver, and that its group is viable.
	 * @param name  what the user of dmamap_container_attach() passed, with options.
	 * @return 0; -ENODEV: no such device, or no group; -EBUSY: held by another driver or by
	 * none; -EPERM: group not viable.
	 */
	int (*dev_get)(struct dm_iommu *iommu, const char *name, struct dm_iommu_dev **dev);
	/** Forget it; it is attached to nothing. */
	void (*dev_put)(struct dm_iommu_dev *dev);

	/** Make a domain without groups. Nothing can be mapped before the first attach. */
	int (*domain_create)(struct dm_iommu *iommu, struct dm_iommu_domain **dom);
	/** Destroy a domain; no device is attached. */
	void (*domain_destroy)(struct dm_iommu_domain *dom);

	/**
	 * Put a device (and its group, if it is the first of it) into a domain, and open its file.
	 * The container makes sure that all devices of one group go to one domain.
	 * @return 0; -EBUSY: the group is open elsewhere; -EINVAL: this domain cannot take it,
	 * another may; -EADDRINUSE: nor can this one, because of what is mapped in it; else as the
	 * kernel says. The backend logs the line for every error but these two, of which only the
	 * container knows what they mean.
	 */
	int (*attach)(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev);
	/** Take a device out; with the last device of the last group, all mappings of the domain
	 * are gone. Cannot fail. */
	void (*detach)(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev);

	/** Read the domain's properties from the kernel. At least one device is attached. */
	int (*info)(struct dm_iommu_domain *dom, struct dm_iommu_info *info);

	/** Map; prot is of DMAMAP_READ | DMAMAP_WRITE. Errors as the kernel's. */
	int (*map)(struct dm_iommu_domain *dom, rte_iova_t iova, void *va, uint64_t len,
		uint32_t prot);
	/**
	 * Map, as map(), what another domain of the same backend instance has mapped at this IOVA,
	 * sharing its pinned pages: they are charged once. Optional: without it, each domain pins
	 * and is charged for itself.
	 */
	int (*copy)(struct dm_iommu_domain *dom, struct dm_iommu_domain *from, rte_iova_t iova,
		uint64_t len, uint32_t prot);
	/** Unmap whole mappings. *done: bytes that the kernel says it unmapped, to be compared by
	 * the caller. */
	int (*unmap)(struct dm_iommu_domain *dom, rte_iova_t iova, uint64_t len, uint64_t *done);
};

extern const struct dm_iommu_ops dm_iommu_type1_ops;
extern const struct dm_iommu_ops dm_iommu_iommufd_ops;
extern const struct dm_iommu_ops dm_iommu_noiommu_ops;
extern const struct dm_iommu_ops dm_iommu_model_ops;

#endif /* DM_IOMMU_H */
