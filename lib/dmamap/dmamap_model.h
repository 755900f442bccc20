/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 */

#ifndef DMAMAP_MODEL_H
#define DMAMAP_MODEL_H

/**
 * @file
 * A machine in software: IOMMUs, groups, devices, and the kernel's VFIO on top of them, for tests
 * of drivers and of libdmamap itself without hardware, without privileges and without /dev/vfio.
 *
 * Describe a machine, pass it as `model` to dmamap_container_create() with DMAMAP_BACKEND_MODEL,
 * and attach its devices by name. The model answers as Linux does, to the errno; the suite
 * `conformance` holds it to that, and the same suite runs on real kernels (doc/conformance.md).
 * Devices do DMA through the page tables that the container made, and fault where nothing is
 * mapped. Calls into the kernel are counted, and any one of them can be made to fail.
 *
 * All functions may be called by any thread; they serialise on the model's own lock. Nothing in the
 * model depends on time or chance: the same calls give the same answers.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dmamap.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A kernel version as one number, to be compared. */
#define DMAMAP_MODEL_LINUX(major, minor) ((unsigned int)(major) << 8 | (minor))

/** What holds for the machine as a whole. All zeroes is a good default. */
struct dmamap_model_conf {
	/**
	 * The Linux to be, where versions differ: DMAMAP_MODEL_LINUX(6, 1), which 0 means too.
	 * From 5.15 on. There is iommufd from 6.2 on, and devices have files of their own from 6.6
	 * on.
	 */
	unsigned int linux_version;
	/** Maps that one kernel container takes (`dma_entry_limit`); 0: Linux's default, 65,535. */
	unsigned int entry_limit;
	/**
	 * RLIMIT_MEMLOCK in bytes, charged in base pages and once for each kernel container, or for
	 * each map of an iommufd however often it is copied. 0: the process has CAP_IPC_LOCK, so
	 * there is no limit.
	 */
	uint64_t memlock;
	/** The kernel's parameter of that name: IOMMUs without interrupt isolation are accepted. */
	bool allow_unsafe_interrupts;
	/** Every group gets page tables of its own, as if behind an IOMMU of its own. */
	bool never_share;
	/**
	 * Memory is neither looked at nor faulted in by maps, so that any address passes. Devices
	 * must not do DMA to addresses that are not there.
	 */
	bool no_memory;
};

/** An IOMMU. Zeroes: 39 bits, 4 KiB + 2 MiB + 1 GiB, interrupts isolated. */
struct dmamap_model_iommu_conf {
	struct dmamap_range aperture; /**< what it can translate; {0, 0}: below 2^39 */
	uint64_t page_sizes; /**< bitmap; 0: 4 KiB, 2 MiB, 1 GiB */
	bool enforces_coherency; /**< can refuse no-snoop accesses (VFIO_DMA_CC_IOMMU) */
	bool no_msi_isolation; /**< cannot remap interrupts: the kernel refuses with EPERM */
};

/** A reserved range of a group. */
struct dmamap_model_resv {
	struct dmamap_range range;
	/** DMAMAP_RESERVED_MSI, _DIRECT, _RELAXABLE or _BUS. */
	enum dmamap_reserved_type type;
};

/** The `iommu` of a group that no IOMMU is in charge of (VFIO's noiommu mode). */
#define DMAMAP_MODEL_NOIOMMU (-1)

/** A group. */
struct dmamap_model_group_conf {
	int iommu; /**< what dmamap_model_add_iommu() returned, or DMAMAP_MODEL_NOIOMMU */
	/** The IOMMU does not enforce coherency for this group, though it can for others. */
	bool no_snoop_control;
	unsigned int n_resv;
	const struct dmamap_model_resv *resv; /**< n_resv entries, copied; any order */
};

/** A machine without IOMMUs, groups and devices. @return 0, -EINVAL or -ENOMEM. */
int dmamap_model_create(const struct dmamap_model_conf *conf, struct dmamap_model **model);

/**
 * Destroy a machine.
 * @return 0; -EBUSY: files in it are open or memory in it is pinned; the log names each, and the
 *   model lives on.
 */
int dmamap_model_destroy(struct dmamap_model *model);

/** Add an IOMMU; conf may be NULL. @return its number, counting from 0; -EINVAL; -ENOMEM. */
int dmamap_model_add_iommu(struct dmamap_model *model, const struct dmamap_model_iommu_conf *conf);

/** Add a group. @return its number, counting from 0; -EINVAL; -ENOMEM. */
int dmamap_model_add_group(struct dmamap_model *model, const struct dmamap_model_group_conf *conf);

/**
 * Add a device to a group.
 *
 * @param group   what dmamap_model_add_group() returned.
 * @param name    unique in the machine, without blanks, shorter than DMAMAP_NAME_MAX; copied.
 * @param node    NUMA node, or -1.
 * @param driver  see dmamap_model_bind().
 * @return 0; -EINVAL; -EEXIST: the name is taken; -EBUSY: as dmamap_model_bind(); -ENOMEM.
 */
int dmamap_model_add_device(
	struct dmamap_model *model, int group, const char *name, int node, const char *driver);

/** Take a device out of the machine. @return 0; -ENODEV; -EBUSY: it is open. */
int dmamap_model_remove_device(struct dmamap_model *model, const char *name);

/**
 * Bind a device to a driver. "vfio-pci" gives it to user space; NULL, "pcieport" and "pci-stub"
 * do no DMA and harm nobody; any other name is a driver of the host that does DMA, which makes the
 * whole group not viable.
 *
 * @return 0; -ENODEV: no such device; -EINVAL: the name is too long; -EBUSY: the device is open, or
 *   a driver of the host was asked for while user space owns the group.
 */
int dmamap_model_bind(struct dmamap_model *model, const char *name, const char *driver);

/** Change RLIMIT_MEMLOCK from now on, in bytes; 0: no limit. What is locked stays. */
void dmamap_model_set_memlock(struct dmamap_model *model, uint64_t memlock);

/** Change the limit of entries of containers that get their type from now on; 0: Linux's default.
 */
void dmamap_model_set_entry_limit(struct dmamap_model *model, unsigned int entry_limit);

/**
 * A device reads memory.
 *
 * @param dev   the device's name.
 * @param iova  the address that it puts on the bus.
 * @param buf   room for len bytes.
 * @return
 *   - 0
 *   - -ENODEV: no such device.
 *   - -EFAULT: nothing readable is mapped at some address; it is recorded as a fault. Bytes before
 * it were transferred, as they are by hardware.
 */
int dmamap_model_dma_read(
	struct dmamap_model *model, const char *dev, rte_iova_t iova, void *buf, size_t len);

/** A device writes memory. @see dmamap_model_dma_read() */
int dmamap_model_dma_write(
	struct dmamap_model *model, const char *dev, rte_iova_t iova, const void *buf, size_t len);

/** An access that the IOMMU refused. */
struct dmamap_model_fault {
	char dev[DMAMAP_NAME_MAX];
	rte_iova_t iova; /**< first address that was refused */
	bool write;
};

/**
 * List the latest faults, oldest first.
 *
 * @param out  room for n entries; may be NULL if n is 0.
 * @return how many there have been since the machine was made; the latest 64 are remembered.
 */
unsigned int dmamap_model_faults(
	struct dmamap_model *model, struct dmamap_model_fault *out, unsigned int n);

/** Calls into the kernel by kind, and below them what the kernel asks of an IOMMU. */
enum dmamap_model_call {
	DMAMAP_MODEL_LOOKUP, /**< a device is looked up in sysfs */
	DMAMAP_MODEL_OPEN, /**< open(2) of a file of VFIO or iommufd */
	DMAMAP_MODEL_CHECK_EXTENSION, /**< VFIO_CHECK_EXTENSION, VFIO_GET_API_VERSION */
	DMAMAP_MODEL_GROUP_STATUS,
	DMAMAP_MODEL_SET_CONTAINER,
	DMAMAP_MODEL_UNSET_CONTAINER,
	DMAMAP_MODEL_SET_IOMMU,
	DMAMAP_MODEL_GET_DEVICE_FD,
	DMAMAP_MODEL_GET_INFO,
	DMAMAP_MODEL_MAP,
	DMAMAP_MODEL_UNMAP,
	DMAMAP_MODEL_DIRTY_PAGES,
	DMAMAP_MODEL_IOAS_ALLOC,
	DMAMAP_MODEL_IOMMU_DESTROY, /**< of any object of an iommufd */
	DMAMAP_MODEL_IOVA_RANGES,
	DMAMAP_MODEL_ALLOW_IOVAS,
	DMAMAP_MODEL_IOAS_MAP,
	DMAMAP_MODEL_IOAS_COPY,
	DMAMAP_MODEL_IOAS_UNMAP,
	DMAMAP_MODEL_OPTION,
	DMAMAP_MODEL_VFIO_IOAS,
	DMAMAP_MODEL_BIND_IOMMUFD,
	DMAMAP_MODEL_ATTACH_PT,
	DMAMAP_MODEL_DETACH_PT,
	DMAMAP_MODEL_CLOSE, /**< cannot fail */
	DMAMAP_MODEL_IOMMU_ATTACH, /**< inside the kernel: a group into a domain */
	DMAMAP_MODEL_IOMMU_MAP, /**< inside the kernel: into one domain's page tables */
	DMAMAP_MODEL_IOMMU_UNMAP, /**< the same, out of them; cannot fail */
	DMAMAP_MODEL_N_CALLS,
};

/** Every kind of call of user space that can fail: the `kinds` of a caller who does not care. */
#define DMAMAP_MODEL_ANY ((UINT32_C(1) << DMAMAP_MODEL_CLOSE) - 1)

/** A kind's name in capital letters, for messages; "?" for another number. */
const char *dmamap_model_call_name(enum dmamap_model_call kind);

/** How many calls of a kind there have been since the machine was made. */
uint64_t dmamap_model_calls(struct dmamap_model *model, enum dmamap_model_call kind);

/**
 * Make the nth call from now fail, once, without any other effect.
 *
 * @param kinds  which kinds to count: bits (1 << DMAMAP_MODEL_...); DMAMAP_MODEL_ANY.
 * @param nth    1 for the next one; 0 takes an earlier wish back.
 * @param err    the errno, positive.
 */
void dmamap_model_fail(struct dmamap_model *model, uint32_t kinds, uint64_t nth, int err);

/** Make every call of these kinds fail from now on; err 0 takes it back. */
void dmamap_model_fail_all(struct dmamap_model *model, uint32_t kinds, int err);

/** What the wish of dmamap_model_fail() came to: the kind of call that failed, or -1 (none yet). */
int dmamap_model_failed(struct dmamap_model *model);

/**
 * Make the nth unmap from now do less than it was asked to and succeed: it stops before the map
 * with which it would exceed `most` bytes, and says how many bytes it has unmapped.
 *
 * @param nth  1 for the next one; 0 takes an earlier wish back.
 */
void dmamap_model_short_unmap(struct dmamap_model *model, uint64_t nth, uint64_t most);

/** Bytes that are pinned, as charged to the process: once for each kernel container, or map of an
 * iommufd. */
uint64_t dmamap_model_locked(struct dmamap_model *model);

/**
 * The machine's whole state as text: open files, containers, domains, page tables, ranges, limits.
 * Two states are the same if and only if their texts are. Faults and counts of calls are history,
 * not state.
 *
 * @return the text, to be given to free(); NULL: out of memory.
 */
char *dmamap_model_dump(struct dmamap_model *model);

#ifdef __cplusplus
}
#endif

#endif /* DMAMAP_MODEL_H */
