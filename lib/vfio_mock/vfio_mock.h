/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 */

#ifndef VFIO_MOCK_H
#define VFIO_MOCK_H

/**
 * @file
 * Public interface of the mock kernel: a software model of VFIO, iommufd and sysfs, on a machine
 * with IOMMUs, groups and devices. Tests of libdmamap, vfio_front and drivers use it. They need no
 * hardware, no privileges and no /dev/vfio.
 *
 * Use: describe a machine; pass vfio_mock_kernel() as `kernel` of a container; choose one of the
 * shipped backends; attach devices by name.
 *
 * Invariants:
 * - Calls return what Linux returns, errno included. The suite `conformance` checks this, and the
 *   same suite runs on real kernels (doc/conformance.md).
 * - Devices do DMA through the page tables that the container filled, and fault where nothing is
 *   mapped.
 * - Results do not depend on time or chance: the same calls give the same results.
 *
 * Calls into the kernel are counted, and each can be made to fail.
 *
 * Threads: any thread may call any function. All calls serialise on one lock per machine. A map
 * faults its memory in before it takes that lock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dmamap.h"
#include "dmamap_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vfio_mock;

/** A kernel version as one number, for comparisons. */
#define VFIO_MOCK_LINUX(major, minor) ((unsigned int)(major) << 8 | (minor))

/** Configuration of a machine. All zeroes is a good default. */
struct vfio_mock_conf {
	/**
	 * Linux version to model, where versions differ, as VFIO_MOCK_LINUX(6, 1), which is also
	 * the meaning of 0. At least 5.15. iommufd exists from 6.2 on, device files (cdevs) from
	 * 6.6 on.
	 */
	unsigned int linux_version;
	/** Entries of one kernel container (`dma_entry_limit`); 0: Linux's default, 65,535. */
	unsigned int entry_limit;
	/**
	 * RLIMIT_MEMLOCK in bytes; 0: no limit, as with CAP_IPC_LOCK. Charged in base pages: once
	 * per kernel container, or once per IOMMU_IOAS_MAP, however often that is copied.
	 */
	uint64_t memlock;
	/** The kernel parameter of this name: accept IOMMUs without interrupt isolation. */
	bool allow_unsafe_interrupts;
	/** Every group gets its own page tables, as if behind its own IOMMU. */
	bool never_share;
	/**
	 * Maps neither check memory nor fault it in, so any address passes. Devices must then not
	 * do DMA to addresses that are not mapped in the process.
	 */
	bool no_memory;
};

/**
 * Configuration of an IOMMU. Zeroes: 39 bits; 4 KiB, 2 MiB and 1 GiB pages; isolated interrupts.
 */
struct vfio_mock_iommu_conf {
	struct dmamap_range aperture; /**< IOVAs that it can translate; {0, 0}: below 2^39 */
	uint64_t page_sizes; /**< bitmap; 0: 4 KiB, 2 MiB, 1 GiB */
	bool enforces_coherency; /**< can block no-snoop accesses (VFIO_DMA_CC_IOMMU) */
	bool no_msi_isolation; /**< no interrupt remapping: attach fails with EPERM */
};

/** A reserved range of a group. */
struct vfio_mock_resv {
	struct dmamap_range range;
	/** DMAMAP_RESERVED_MSI, _DIRECT, _RELAXABLE or _BUS. */
	enum dmamap_reserved_type type;
};

/** `iommu` of a group without an IOMMU (VFIO's noiommu mode). */
#define VFIO_MOCK_NOIOMMU (-1)

/** Configuration of a group. */
struct vfio_mock_group_conf {
	int iommu; /**< result of vfio_mock_add_iommu(), or VFIO_MOCK_NOIOMMU */
	/** The IOMMU cannot enforce coherency for this group, though it can for others. */
	bool no_snoop_control;
	unsigned int n_resv;
	const struct vfio_mock_resv *resv; /**< n_resv entries in any order; copied */
};

/**
 * Set the log stream of all machines in the process. Logged: misuse, and what is left open at
 * destroy. Any thread; a thread that is logging may still write to the former stream.
 * @param log  NULL: standard error, the default.
 */
void vfio_mock_set_log(FILE *log);

/** Create a machine without IOMMUs, groups and devices. @return 0, -EINVAL or -ENOMEM. */
int vfio_mock_create(const struct vfio_mock_conf *conf, struct vfio_mock **mock);

/**
 * Destroy a machine.
 * @return 0; -EBUSY: files are open or memory is pinned. The log names each, and the machine stays
 *   usable.
 */
int vfio_mock_destroy(struct vfio_mock *mock);

/** Add an IOMMU; conf may be NULL. @return its number, from 0; -EINVAL; -ENOMEM. */
int vfio_mock_add_iommu(struct vfio_mock *mock, const struct vfio_mock_iommu_conf *conf);

/** Add a group. @return its number, from 0; -EINVAL; -ENOMEM. */
int vfio_mock_add_group(struct vfio_mock *mock, const struct vfio_mock_group_conf *conf);

/**
 * Add a device to a group.
 *
 * @param group   result of vfio_mock_add_group().
 * @param name    unique in the machine, without blanks, shorter than DMAMAP_NAME_MAX; copied.
 * @param node    NUMA node, or -1.
 * @param driver  see vfio_mock_bind().
 * @return 0; -EINVAL; -EEXIST: the name is in use; -EBUSY: as vfio_mock_bind(); -ENOMEM.
 */
int vfio_mock_add_device(
	struct vfio_mock *mock, int group, const char *name, int node, const char *driver);

/** Remove a device from the machine. @return 0; -ENODEV; -EBUSY: it is open. */
int vfio_mock_remove_device(struct vfio_mock *mock, const char *name);

/**
 * Bind a device to a driver. A name that contains "vfio" passes the device to user space. NULL,
 * "pcieport", "pci-stub" and "fsl_mc_dprc" do no DMA and leave the group viable. Any other name is
 * a host driver that does DMA, which makes the whole group not viable.
 *
 * @return 0; -ENODEV: no such device; -EINVAL: the name is too long; -EBUSY: the device is open, or
 *   the name is that of a host driver and user space owns the group.
 */
int vfio_mock_bind(struct vfio_mock *mock, const char *name, const char *driver);

/** @name Devices with regions and interrupts, for tests of buses and drivers */
/**@{*/

#define VFIO_MOCK_REGIONS 9 /**< VFIO_PCI_NUM_REGIONS: 6 BARs, ROM, configuration space, VGA */
#define VFIO_MOCK_IRQS 5 /**< VFIO_PCI_NUM_IRQS: INTx, MSI, MSI-X, errors, requests */

/** A region, as VFIO_DEVICE_GET_REGION_INFO reports it. */
struct vfio_mock_region_conf {
	uint64_t size; /**< bytes; 0: no such region */
	bool mappable;
	bool read_only;
};

/** Regions and interrupts of a device. */
struct vfio_mock_device_conf {
	struct vfio_mock_region_conf region[VFIO_MOCK_REGIONS]; /**< by VFIO_PCI_..._REGION_INDEX */
	unsigned int irqs[VFIO_MOCK_IRQS]; /**< vectors, by VFIO_PCI_..._IRQ_INDEX */
	unsigned int msix_bar; /**< BAR with the MSI-X table, if the device has MSI-X vectors */
	bool no_reset; /**< VFIO_DEVICE_RESET does not work */
	/** MSI-X vectors can be added while others are enabled, as with Linux 6.5 on most machines
	 */
	bool dynamic_msix;
};

/**
 * Give a device zeroed regions and interrupts. Its files are then real descriptors of this process:
 * pread(2), pwrite(2) and mmap(2) work at the offsets that VFIO_DEVICE_GET_REGION_INFO reports.
 * ioctl and close still go through vfio_mock_kernel(). The ids of a PCI device in sysfs (vendor,
 * device, subsystem_vendor, subsystem_device, class) come from its configuration space.
 *
 * Regions are plain memory: a write has no side effect. Accesses that VFIO would refuse are not
 * refused, such as mmap of a region that is not mappable, or a write to a ROM.
 *
 * @return 0; -ENODEV; -EBUSY: the device is open; -EINVAL: a region is larger than 1 TiB, or an
 *   index has more than 2,048 vectors; -ENOMEM; -EMFILE.
 */
int vfio_mock_describe_device(
	struct vfio_mock *mock, const char *name, const struct vfio_mock_device_conf *conf);

/**
 * A region as the device sees it: shared with mappings of the device's file.
 * @return its first byte; NULL: no such device or region. Valid until the device is removed or
 *   described again.
 */
void *vfio_mock_region(struct vfio_mock *mock, const char *name, unsigned int index);

/**
 * Raise an interrupt of a device: signal the eventfd of the vector. INTx is then masked, as
 * vfio-pci does, until VFIO_DEVICE_SET_IRQS unmasks it.
 * @return 0; -ENODEV; -EINVAL: no such vector; -ENOENT: no eventfd is set; -EAGAIN: INTx is masked,
 *   and will be raised at the unmask.
 */
int vfio_mock_interrupt(
	struct vfio_mock *mock, const char *name, unsigned int index, unsigned int vector);

/**
 * Make a device a virtual function (SR-IOV) of another. Opening either then follows vfio-pci's
 * rules for VF tokens (drivers/vfio/pci/vfio_pci_core.c, vfio_pci_validate_vf_token()). Devices
 * that are neither accept any token.
 * @return 0; -ENODEV: no such device, or the same one twice.
 */
int vfio_mock_make_vf(struct vfio_mock *mock, const char *vf, const char *pf);

/** Number of resets of a device by VFIO_DEVICE_RESET so far. */
unsigned int vfio_mock_resets(struct vfio_mock *mock, const char *name);
/**
 * Number of resets of a device by VFIO_DEVICE_PCI_HOT_RESET so far, on its own file or on another
 * device's. Such a reset affects all devices with one PCI bus number; devices on bus 0 have none.
 */
unsigned int vfio_mock_hot_resets(struct vfio_mock *mock, const char *name);

/**@}*/

/** Set RLIMIT_MEMLOCK in bytes, from now on; 0: no limit. Memory that is locked stays locked. */
void vfio_mock_set_memlock(struct vfio_mock *mock, uint64_t memlock);

/** Set the entry limit of containers that get their type from now on; 0: Linux's default. */
void vfio_mock_set_entry_limit(struct vfio_mock *mock, unsigned int entry_limit);

/**
 * Let a device read memory.
 *
 * @param dev   name of the device.
 * @param iova  address that the device puts on the bus.
 * @param buf   buffer of at least len bytes.
 * @param len   bytes.
 * @return
 * - 0
 * - -ENODEV: no such device.
 * - -EFAULT: an address is not mapped for reading. A fault is recorded. Bytes before that address
 *   were transferred, as by hardware.
 */
int vfio_mock_dma_read(
	struct vfio_mock *mock, const char *dev, dmamap_iova_t iova, void *buf, size_t len);

/** Let a device write memory. @see vfio_mock_dma_read() */
int vfio_mock_dma_write(
	struct vfio_mock *mock, const char *dev, dmamap_iova_t iova, const void *buf, size_t len);

/** An access that the IOMMU blocked. */
struct vfio_mock_fault {
	char dev[DMAMAP_NAME_MAX];
	dmamap_iova_t iova; /**< first address that was blocked */
	bool write;
};

/**
 * Copy the latest faults, oldest first.
 *
 * @param out  at least n entries; may be NULL if n is 0.
 * @return number of faults since the machine was created; the latest 64 are kept.
 */
unsigned int vfio_mock_faults(struct vfio_mock *mock, struct vfio_mock_fault *out, unsigned int n);

/**
 * Write each further fault to a file, as a record of /dev/kmsg with the text of Linux 6.1 on VT-d.
 * The file must not block.
 * @param fd  kept by the caller, who stops the writes before he closes it; -1: stop.
 */
void vfio_mock_log_faults(struct vfio_mock *mock, int fd);

/** Calls into the kernel by kind, and below them internal calls to the IOMMU. */
enum vfio_mock_call {
	VFIO_MOCK_LOOKUP, /**< read of a file, a link or a directory of sysfs */
	VFIO_MOCK_OPEN, /**< open(2) of a VFIO file or of /dev/iommu */
	VFIO_MOCK_CHECK_EXTENSION, /**< VFIO_CHECK_EXTENSION, VFIO_GET_API_VERSION */
	VFIO_MOCK_GROUP_STATUS,
	VFIO_MOCK_SET_CONTAINER,
	VFIO_MOCK_UNSET_CONTAINER,
	VFIO_MOCK_SET_IOMMU,
	VFIO_MOCK_GET_DEVICE_FD,
	VFIO_MOCK_GET_INFO,
	VFIO_MOCK_MAP,
	VFIO_MOCK_UNMAP,
	VFIO_MOCK_DIRTY_PAGES,
	VFIO_MOCK_IOAS_ALLOC,
	VFIO_MOCK_IOMMU_DESTROY, /**< destroy of any iommufd object */
	VFIO_MOCK_IOVA_RANGES,
	VFIO_MOCK_ALLOW_IOVAS,
	VFIO_MOCK_IOAS_MAP,
	VFIO_MOCK_IOAS_COPY,
	VFIO_MOCK_IOAS_UNMAP,
	VFIO_MOCK_OPTION,
	VFIO_MOCK_VFIO_IOAS,
	VFIO_MOCK_BIND_IOMMUFD,
	VFIO_MOCK_ATTACH_PT,
	VFIO_MOCK_DETACH_PT,
	VFIO_MOCK_DEVICE, /**< ioctl on a device: regions, interrupts, reset */
	VFIO_MOCK_CLOSE, /**< cannot fail */
	VFIO_MOCK_IOMMU_ATTACH, /**< in the kernel: attach of a group to a domain */
	VFIO_MOCK_IOMMU_MAP, /**< in the kernel: map into one domain's page tables */
	VFIO_MOCK_IOMMU_UNMAP, /**< in the kernel: unmap from them; cannot fail */
	VFIO_MOCK_N_CALLS,
};

/** All calls from user space that can fail, for `kinds`. */
#define VFIO_MOCK_ANY ((UINT32_C(1) << VFIO_MOCK_CLOSE) - 1)

/** Name of a kind in capital letters, for messages; "?" for other numbers. */
const char *vfio_mock_call_name(enum vfio_mock_call kind);

/** Number of calls of a kind since the machine was created. */
uint64_t vfio_mock_calls(struct vfio_mock *mock, enum vfio_mock_call kind);

/**
 * Make the nth call from now fail, once, without any other effect.
 *
 * @param kinds  kinds to count: bits (1 << VFIO_MOCK_...), or VFIO_MOCK_ANY.
 * @param nth    1: the next one; 0: cancel an earlier request.
 * @param err    positive errno.
 */
void vfio_mock_fail(struct vfio_mock *mock, uint32_t kinds, uint64_t nth, int err);

/** Make every call of these kinds fail from now on; err 0 cancels. */
void vfio_mock_fail_all(struct vfio_mock *mock, uint32_t kinds, int err);

/** Kind of the call that vfio_mock_fail() made fail; -1: none yet. */
int vfio_mock_failed(struct vfio_mock *mock);

/**
 * Make the nth unmap from now unmap less than requested, and succeed. It stops before the map that
 * would exceed `most` bytes, and reports the bytes that it has unmapped.
 *
 * @param nth  1: the next one; 0: cancel an earlier request.
 */
void vfio_mock_short_unmap(struct vfio_mock *mock, uint64_t nth, uint64_t most);

/**
 * Pinned bytes, as charged to the process: once per kernel container, or once per IOMMU_IOAS_MAP.
 */
uint64_t vfio_mock_locked(struct vfio_mock *mock);

/**
 * State of the machine as text: open files, containers, domains, page tables, ranges, limits. Two
 * states are equal if and only if their texts are. Faults and counts of calls are not part of the
 * state.
 *
 * @return the text, to be freed with free(); NULL: out of memory.
 */
char *vfio_mock_dump(struct vfio_mock *mock);

/** @name The mock as a kernel */
/**@{*/

/**
 * Number of the first file. It is above all descriptors of this process, so the two cannot be
 * confused. Files of devices with regions are real descriptors: @see vfio_mock_describe_device()
 */
#define VFIO_MOCK_FIRST_FD 0x40000000

/**
 * System calls of the mock, for struct dmamap_container_conf. In its sysfs, devices whose name is a
 * PCI address are on the bus "pci", all others on "platform". To change answers, a test copies the
 * table, replaces members, and calls the original ones from there. A dup counts as VFIO_MOCK_OPEN.
 * From 6.18 on, fdinfo of a device's file names the device.
 */
const struct dmamap_kernel *vfio_mock_kernel(struct vfio_mock *mock);

/**
 * open(2) of "/dev/vfio/vfio", "/dev/vfio/<group>" or "/dev/vfio/noiommu-<group>". Where the
 * modelled Linux has them, also "/dev/iommu", the directory "/dev/vfio/devices/" and
 * "/dev/vfio/devices/vfio<n>".
 * @return the lowest free number from VFIO_MOCK_FIRST_FD on; -ENOENT, -EBUSY, -ENOMEM, ... as
 *   Linux.
 */
int vfio_mock_open(struct vfio_mock *mock, const char *path);

/** close(2). @return 0 or -EBADF. */
int vfio_mock_close(struct vfio_mock *mock, int fd);

/**
 * ioctl(2), with requests and structures of <linux/vfio.h> and <linux/iommufd.h>. Trusts the
 * caller's memory: never returns -EFAULT for it.
 * @return 0 or more, depending on the request; a negative errno.
 */
int vfio_mock_ioctl(struct vfio_mock *mock, int fd, unsigned long request, unsigned long arg);

/** Set the calling process from now on, for rules that depend on the process. Initially 0. */
void vfio_mock_set_process(struct vfio_mock *mock, unsigned int process);

/**@}*/

#ifdef __cplusplus
}
#endif

#endif /* VFIO_MOCK_H */
