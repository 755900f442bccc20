/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 */

#ifndef BUS_VFIO_PCI_DRIVER_H
#define BUS_VFIO_PCI_DRIVER_H

/**
 * @file
 *
 * The vfio_pci bus as its drivers see it: PCI devices held by vfio-pci, each attached to a
 * container of libdmamap.
 *
 * A driver makes these calls from its probe to the end of its remove. As with every rte_device, one
 * thread a device at a time may call. They are for the control path: most make system calls and may
 * sleep. None waits for readers of translations. Errors are negative errno values.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_pci.h>
#include <rte_interrupts.h>
#include <rte_version.h>
#include <dev_driver.h>
#include <bus_driver.h>

#include <dmamap.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Standard BARs of a function (PCI Local Bus 3.0, 6.2.5.1). */
#define VFIO_PCI_MAX_BARS 6

/**
 * A BAR. Its MMIO is mapped, except for the pages of the MSI-X table. The kernel does not let a
 * process map those; an access to them raises SIGSEGV.
 */
struct vfio_pci_bar {
	volatile uint8_t *addr; /**< where it is mapped; NULL: I/O ports, or not mappable */
	uint64_t len; /**< bytes; 0: absent */
};

/** A part of a BAR: inclusive offsets in bytes. */
struct vfio_pci_area {
	uint64_t start; /**< offset of the first byte */
	uint64_t last; /**< offset of the last byte */
};

/** The most areas of a BAR that are mapped one by one. */
#define VFIO_PCI_BAR_AREAS 16
/** How another process maps a BAR: without pointers, so that it can be sent there. */
struct vfio_pci_bar_map {
	uint64_t len; /**< of the BAR, in bytes */
	uint64_t offset; /**< of the BAR in the device's file */
	int32_t prot; /**< of mmap(2) */
	uint32_t n_areas; /**< 1 to VFIO_PCI_BAR_AREAS */
	struct vfio_pci_area area[VFIO_PCI_BAR_AREAS]; /**< in whole pages */
};

/** A device on the bus. The bus owns it. */
struct vfio_pci_device {
	RTE_TAILQ_ENTRY(vfio_pci_device) next; /**< entry of the bus's list */
	struct rte_device device; /**< what the EAL knows it by */
	struct rte_pci_addr addr; /**< PCI address */
	struct rte_pci_id id; /**< vendor and device, of the function and its subsystem */
	char name[PCI_PRI_STR_SIZE + 1]; /**< "0000:01:00.0" */
	struct vfio_pci_driver *driver; /**< NULL until probed */
	struct dmamap_container *container; /**< where its rings and buffers are allocated */
	struct dmamap_device *dma; /**< its handle in the container */
	struct vfio_pci_bar bar[VFIO_PCI_MAX_BARS]; /**< its BARs */
	struct rte_intr_handle *intr_handle; /**< for rte_intr_*(), see vfio_pci_intr_enable() */
};

/** The struct vfio_pci_device of an rte_device that is on this bus. */
#define VFIO_PCI_DEVICE(ptr) container_of(ptr, struct vfio_pci_device, device)
/** The same for a const one. */
#define VFIO_PCI_DEVICE_CONST(ptr)                                                                 \
	((const struct vfio_pci_device *)((const char *)(ptr)-offsetof(                            \
		struct vfio_pci_device, device)))

/**
 * Start to drive a device. It was reset, its BARs are mapped, memory decoding is on, bus mastering
 * is off. Called in rte_eal_init() or rte_dev_probe().
 *
 * @return 0; negative errno: the bus closes the device; positive: not for this driver.
 */
typedef int (*vfio_pci_probe_t)(struct vfio_pci_driver *driver, struct vfio_pci_device *dev);
/**
 * Stop driving a device: unregister callbacks, free memory. Afterwards the bus disables interrupts
 * and bus mastering.
 *
 * @return 0; negative errno: the driver keeps the device.
 */
typedef int (*vfio_pci_remove_t)(struct vfio_pci_device *dev);
/**
 * The kernel requests a device (it is being unbound or unplugged). Called on the EAL's interrupt
 * thread before the application's rte_dev_event callbacks; an ethdev driver raises
 * RTE_ETH_EVENT_INTR_RMV here. The application removes the device.
 */
typedef void (*vfio_pci_remove_request_t)(struct vfio_pci_device *dev);
/**
 * The device reported an uncorrectable error (PCI Express Base 5.0, 6.2), and needs a reset. Called
 * on the EAL's interrupt thread; an ethdev driver raises RTE_ETH_EVENT_INTR_RESET here. Without
 * this operation the application gets RTE_DEV_EVENT_REMOVE: to remove the device and probe it again
 * resets it.
 */
typedef void (*vfio_pci_error_t)(struct vfio_pci_device *dev);
/**
 * The IOMMU blocked an access of the device. Writes into fault->detail what the driver knows: which
 * queue and descriptor have that address. Called on a thread of libdmamap, at most once a second,
 * while the device is driven: between the end of probe and the beginning of remove, which waits for
 * it. So it takes no lock that is held during a removal, and does not remove the device. A message
 * that it logs comes before that of the fault. An application listens by dmamap_fault_listen().
 */
typedef void (*vfio_pci_fault_t)(struct vfio_pci_device *dev, struct dmamap_fault *fault);
/**
 * Stop a device that the application has left running. Called in rte_eal_cleanup(), for every
 * device before any is removed. Afterwards remove has no reason to refuse.
 */
typedef void (*vfio_pci_stop_t)(struct vfio_pci_device *dev);

/** A driver of this bus. */
struct vfio_pci_driver {
	RTE_TAILQ_ENTRY(vfio_pci_driver) next; /**< entry of the bus's list */
	struct rte_driver driver; /**< what the EAL knows it by */
	const struct rte_pci_id *id_table; /**< ends with a vendor_id of 0 */
	vfio_pci_probe_t probe; /**< start to drive a device */
	vfio_pci_remove_t remove; /**< stop driving it */
	vfio_pci_remove_request_t remove_request; /**< optional */
	/**
	 * Optional: in a secondary process, use a device that the primary process has probed. The
	 * device has neither memory nor interrupts nor a container there (all NULL); its BARs come
	 * by vfio_pci_bar_import(). NULL: a secondary process refuses the device.
	 */
	vfio_pci_probe_t secondary_probe;
	vfio_pci_remove_t secondary_remove; /**< undo secondary_probe; not NULL if that is not */
	/**
	 * The keys that the driver reads from device.devargs->drv_str, ended by NULL; NULL: none.
	 * The bus refuses a device with a key that is neither its own nor listed here.
	 */
	const char *const *params;
	vfio_pci_error_t error; /**< optional */
	vfio_pci_fault_t fault; /**< optional */
	vfio_pci_stop_t stop; /**< optional, for a driver whose remove refuses a running device */
};

/**
 * Register a driver. Called by a constructor, see RTE_PMD_REGISTER_VFIO_PCI().
 *
 * @param driver  owned by the caller; valid until vfio_pci_unregister().
 */
void vfio_pci_register(struct vfio_pci_driver *driver);
/** Undo vfio_pci_register(). */
void vfio_pci_unregister(struct vfio_pci_driver *driver);

/* DPDK 25.07: RTE_PMD_EXPORT_NAME() numbers names no longer. */
#if RTE_VERSION < RTE_VERSION_NUM(25, 7, 0, 0)
#define VFIO_PCI_EXPORT_NAME_(nm) RTE_PMD_EXPORT_NAME(nm, __COUNTER__)
#else
#define VFIO_PCI_EXPORT_NAME_(nm) RTE_PMD_EXPORT_NAME(nm)
#endif

/** Register a driver when its object is loaded. See VFIO_PCI_PMD_INFO() for its ids. */
#define RTE_PMD_REGISTER_VFIO_PCI(nm, drv)                                                         \
	RTE_INIT(vfio_pci_init_##nm)                                                               \
	{                                                                                          \
		(drv).driver.name = RTE_STR(nm);                                                   \
		vfio_pci_register(&(drv));                                                         \
	}                                                                                          \
	VFIO_PCI_EXPORT_NAME_(nm)

/** An entry of an id table: a vendor's device, whatever its subsystem and class. */
#define VFIO_PCI_ID(vendor, dev)                                                                   \
	{                                                                                          \
		.class_id = RTE_CLASS_ANY_ID, .vendor_id = (vendor), .device_id = (dev),           \
		.subsystem_vendor_id = RTE_PCI_ANY_ID, .subsystem_device_id = RTE_PCI_ANY_ID,      \
	}

/**
 * Read len bytes of configuration space at offset off. Values are little-endian.
 *
 * @return 0; -EINVAL: beyond configuration space; -EIO, after one log line.
 */
int vfio_pci_cfg_read(const struct vfio_pci_device *dev, void *buf, size_t len, uint32_t off);
/** Write to configuration space. @see vfio_pci_cfg_read() */
int vfio_pci_cfg_write(
	const struct vfio_pci_device *dev, const void *buf, size_t len, uint32_t off);
/**
 * Read len bytes of a BAR at offset off by file access: for I/O port BARs and for pages that are
 * not mapped. One access of 1, 2 or 4 bytes, naturally aligned, reaches the device as such. The
 * kernel hides the contents of the MSI-X table.
 *
 * @return 0; -EINVAL: no such BAR, or beyond it; -EIO, after one log line.
 */
int vfio_pci_bar_read(
	const struct vfio_pci_device *dev, unsigned int bar, void *buf, size_t len, uint64_t off);
/** Write a BAR by file access. @see vfio_pci_bar_read() */
int vfio_pci_bar_write(const struct vfio_pci_device *dev, unsigned int bar, const void *buf,
	size_t len, uint64_t off);

/**
 * @name A BAR in a secondary process
 * The primary process describes a BAR, and the driver sends the description with the device's
 * descriptor (dmamap_device_fd(), as SCM_RIGHTS) to its part in the secondary process. That maps it
 * at any address. A reset takes the BAR away from all processes for a moment, so they do not use it
 * meanwhile; an access in D3hot or after a removal is handled as in the primary process.
 */
/**@{*/
/**
 * Primary process: how a BAR is mapped. Control path.
 *
 * @param map  set, if 0 is returned.
 * @return 0; -EINVAL: no such number; -ENOTSUP: the device has no such BAR, or it cannot be mapped;
 *   the kernel's error, after one log line.
 */
int vfio_pci_bar_describe(
	const struct vfio_pci_device *dev, unsigned int bar, struct vfio_pci_bar_map *map);
/**
 * Secondary process: map a BAR, and set dev->bar[bar]. Control path, one thread a device at a time.
 *
 * @param map  of the primary process.
 * @param fd  the device's descriptor; remains the caller's, who may close it afterwards: the
 * mapping keeps the device open until vfio_pci_bars_drop().
 * @return 0; -EINVAL; -EEXIST: it is mapped, or this is the primary process; -ENOMEM or the error
 * of mmap(2), after one log line.
 */
int vfio_pci_bar_import(
	struct vfio_pci_device *dev, unsigned int bar, const struct vfio_pci_bar_map *map, int fd);
/** Undo all vfio_pci_bar_import(): afterwards this process does not keep the device open. */
void vfio_pci_bars_drop(struct vfio_pci_device *dev);
/**@}*/

/**
 * Find a capability (PCI Local Bus 3.0, 6.7).
 *
 * @return its offset in bytes; 0: absent; -EIO: configuration space cannot be read; -ELOOP: the
 *   list has a cycle; -EBADMSG: a pointer leads into the header.
 */
int vfio_pci_find_capability(const struct vfio_pci_device *dev, uint8_t cap);

/**
 * Turn bus mastering on or off. A driver turns it on when the device starts, off when it stops.
 * While it is on, the device cannot be detached from its container. Does nothing if it is already
 * in that state.
 *
 * @return 0, or -EIO. When it is turned off, the device can be detached even after -EIO.
 */
int vfio_pci_bus_master(struct vfio_pci_device *dev, bool on);

/**
 * Reset the function (VFIO_DEVICE_RESET); if it has no reset of its own, the slot or bus that it is
 * on (VFIO_DEVICE_PCI_HOT_RESET), as long as no other function there is in use. Afterwards
 * registers are as after power-on, memory decoding is on, bus mastering is as before. Pages of BARs
 * that read as ones since a SIGBUS are mapped again, at the same addresses. Disable interrupts
 * first. Sleeps while the kernel waits for the device.
 *
 * @return 0; -ENOTSUP: it has no reset; -EBUSY, -EPERM: as dmamap_device_hot_reset(), another
 *   function would be reset too; the kernel's error.
 */
int vfio_pci_reset(struct vfio_pci_device *dev);

/**
 * Reset the slot or bus that the function is on, with all other functions there. For a driver of
 * all these functions, or after an agreement with their drivers: each other function must be
 * stopped (bus mastering off), no thread may use it meanwhile, and no device may be probed or
 * removed. Afterwards its driver sets its registers up again. Otherwise as vfio_pci_reset().
 *
 * @return as dmamap_device_hot_reset() with DMAMAP_HOT_RESET_OTHERS; or the error of a map.
 */
int vfio_pci_hot_reset(struct vfio_pci_device *dev);

/**
 * Put the function into D3hot, or back into D0 (PCI Bus Power Management 1.2). In D3hot it does no
 * DMA and an access to a BAR raises SIGBUS, after which the page reads as ones. Back in D0,
 * registers are as after a reset unless the device keeps them (No_Soft_Reset); BARs are at the same
 * addresses and memory decoding is on. Stop the device and disable interrupts first. Sleeps while
 * the kernel waits for the device.
 *
 * @return 0; -ENOTSUP: it has no power management capability; -EIO, -ELOOP, -EBADMSG as
 *   vfio_pci_find_capability(); the error of a map.
 */
int vfio_pci_power(struct vfio_pci_device *dev, bool on);

/** Kinds of interrupt. */
enum vfio_pci_intr { VFIO_PCI_INTR_INTX, VFIO_PCI_INTR_MSI, VFIO_PCI_INTR_MSIX };

/**
 * Get the number of vectors of a kind that the device has.
 *
 * @return the number, 0 if it has none; -EINVAL: unknown kind; the kernel's error.
 */
int vfio_pci_intr_vectors(const struct vfio_pci_device *dev, enum vfio_pci_intr kind);

/**
 * Route n vectors of a kind to eventfds that the bus creates and owns; one kind at a time.
 *
 * dev->intr_handle is set up for rte_intr_callback_register() on vector 0, and for ethdev Rx
 * interrupts (rte_intr_rx_ctl()) on the others: vector v is RTE_INTR_VEC_RXTX_OFFSET + v - 1 there.
 * With a single vector, both use it. rte_intr_enable() is not needed: it would do the same again
 * (for MSI with the first vector only). After an INTx, rte_intr_ack() unmasks it.
 *
 * @return 0; -EINVAL; -EBUSY: enabled already; -ENOTSUP: the device has fewer vectors; -ENOSPC: the
 *   host has fewer left; the kernel's error.
 */
int vfio_pci_intr_enable(struct vfio_pci_device *dev, enum vfio_pci_intr kind, unsigned int n);
/**
 * Enable further MSI-X vectors, so that there are n in all. Descriptors of the enabled ones stay.
 *
 * Where the kernel can add vectors (VFIO_IRQ_INFO_NORESIZE is not set; Linux 6.5 and a platform
 * whose MSI domain can, pci_msix_can_alloc_dyn()), the enabled ones stay enabled throughout.
 * Elsewhere all are disabled for a short time. An interrupt of that time is lost, so each of the
 * old vectors is signalled once afterwards, as if it had fired.
 *
 * A single vector serves the queues too, see vfio_pci_intr_enable(). So none of its interrupts may
 * be in use by rte_intr_rx_ctl() when others are added.
 *
 * @return 0, also if n are enabled already; -EINVAL: fewer than are enabled, or no MSI-X vector is
 *   enabled; -ENOTSUP: the device has fewer; -ENOSPC: the host has fewer left; the kernel's error.
 *   After an error all is as before; only if the old vectors cannot be enabled again (-EIO, logged)
 *   none is enabled in the kernel, until vfio_pci_intr_disable().
 */
int vfio_pci_intr_grow(struct vfio_pci_device *dev, unsigned int n);
/**
 * Undo vfio_pci_intr_enable(); does nothing if none is enabled. Unregister callbacks first: the
 * eventfds are closed, and the EAL's interrupt thread panics on a closed one.
 */
void vfio_pci_intr_disable(struct vfio_pci_device *dev);
/** The eventfd of a vector, owned by the bus; -1 if there is none. */
int vfio_pci_intr_fd(const struct vfio_pci_device *dev, unsigned int vector);

/**
 * @name What dpdk-pmdinfo.py reads
 * It looks for strings that begin with PMD_INFO_STRING= in .rodata; DPDK's own build generates
 * them. Here the compiler lays the string out, from a list of ids that the driver writes once:
 * @code
 * #define FOO_IDS(ID) ID(0x8086, 0x10d3) ID(0x8086, 0x10f6)
 * static const struct rte_pci_id foo_ids[] = VFIO_PCI_ID_TABLE(FOO_IDS);
 * VFIO_PCI_PMD_INFO(net_foo, FOO_IDS, "queues=<1-2>");
 * @endcode
 * Use it once in a source file. The ids are literals or names of macros, each pair once.
 */
/**@{*/
/** Initialiser of an id table. */
#define VFIO_PCI_ID_TABLE(ids)                                                                     \
	{                                                                                          \
		ids(VFIO_PCI_ID_ENTRY_){.vendor_id = 0},                                           \
	}
/** Export name, ids and parameters (a string literal without quotes in it, "" for none). */
#define VFIO_PCI_PMD_INFO(nm, ids, params)                                                         \
	struct vfio_pci_pmd_info {                                                                 \
		char head[sizeof(VFIO_PCI_PMD_INFO_HEAD_(nm, params)) - 1] VFIO_PCI_NONSTRING_;    \
		ids(VFIO_PCI_PMD_INFO_FIELD_) char tail[sizeof("]}")];                             \
	};                                                                                         \
	static const struct vfio_pci_pmd_info vfio_pci_pmd_info_##nm __rte_used = {                \
		.head = VFIO_PCI_PMD_INFO_HEAD_(nm, params),                                       \
		ids(VFIO_PCI_PMD_INFO_VALUE_).tail = "]}"}
/**@}*/

/* A char array without NUL. From version 15 on, gcc warns of others (-Wextra). */
#if defined(__has_attribute)
#if __has_attribute(nonstring)
#define VFIO_PCI_NONSTRING_ __attribute__((nonstring))
#endif
#endif
#ifndef VFIO_PCI_NONSTRING_
#define VFIO_PCI_NONSTRING_
#endif

/* How VFIO_PCI_PMD_INFO() works: one char array for each field, JSON numbers padded with blanks. */
#define VFIO_PCI_ID_ENTRY_(v, d) VFIO_PCI_ID(v, d),
#define VFIO_PCI_PMD_INFO_HEAD_(nm, params)                                                        \
	"PMD_INFO_STRING= {\"name\": \"" RTE_STR(nm) "\", \"params\": \"" params                   \
						     "\", \"kmod\": \"vfio-pci\", \"pci_ids\": ["
#define VFIO_PCI_PMD_INFO_FIELD_(v, d) char id_##v##_##d[26];
#define VFIO_PCI_PMD_INFO_VALUE_(v, d)                                                             \
	.id_##v##_##d = {offsetof(struct vfio_pci_pmd_info, id_##v##_##d) ==                       \
				sizeof(((struct vfio_pci_pmd_info *)0)->head)                      \
			? ' '                                                                      \
			: ',',                                                                     \
		'[', VFIO_PCI_DECIMAL_(v), ',', VFIO_PCI_DECIMAL_(d), ',',                         \
		VFIO_PCI_DECIMAL_(RTE_PCI_ANY_ID), ',', VFIO_PCI_DECIMAL_(RTE_PCI_ANY_ID), ']'},
#define VFIO_PCI_DIGIT_(n, unit) ((n) >= (unit) || (unit) == 1 ? '0' + (n) / (unit) % 10 : ' ')
#define VFIO_PCI_DECIMAL_(n)                                                                       \
	VFIO_PCI_DIGIT_(n, 10000), VFIO_PCI_DIGIT_(n, 1000), VFIO_PCI_DIGIT_(n, 100),              \
		VFIO_PCI_DIGIT_(n, 10), VFIO_PCI_DIGIT_(n, 1)

#ifdef __cplusplus
}
#endif

#endif /* BUS_VFIO_PCI_DRIVER_H */
