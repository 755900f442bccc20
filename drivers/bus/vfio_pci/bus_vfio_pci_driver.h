/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 */

#ifndef BUS_VFIO_PCI_DRIVER_H
#define BUS_VFIO_PCI_DRIVER_H

/**
 * @file
 * The vfio_pci bus as its drivers see it: PCI devices held by vfio-pci, each attached to a
 * container of libdmamap. Control path only; one thread a device at a time, as with every
 * rte_device.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_pci.h>
#include <rte_interrupts.h>
#include <dev_driver.h>
#include <bus_driver.h>

#include <dmamap.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Standard BARs of a function (PCI Local Bus 3.0, 6.2.5.1). */
#define VFIO_PCI_MAX_BARS 6

/**
 * A BAR. MMIO is mapped but for the pages of the MSI-X table, which the kernel keeps to itself;
 * touching those raises SIGSEGV.
 */
struct vfio_pci_bar {
	volatile uint8_t *addr; /**< where it is mapped; NULL: of I/O ports, or not mappable */
	uint64_t len; /**< bytes; 0: absent */
};

/** A device on the bus. Owned by the bus. */
struct vfio_pci_device {
	RTE_TAILQ_ENTRY(vfio_pci_device) next;
	struct rte_device device;
	struct rte_pci_addr addr;
	struct rte_pci_id id;
	char name[PCI_PRI_STR_SIZE + 1]; /**< "0000:01:00.0" */
	struct vfio_pci_driver *driver; /**< NULL until probed */
	struct dmamap_container *container; /**< what its rings and buffers come from */
	struct dmamap_device *dma; /**< its place in the container */
	struct vfio_pci_bar bar[VFIO_PCI_MAX_BARS];
	struct rte_intr_handle *intr_handle; /**< for rte_intr_*(), see vfio_pci_intr_enable() */
};

/** The bus's view of an rte_device that is on this bus. */
#define VFIO_PCI_DEVICE(ptr) container_of(ptr, struct vfio_pci_device, device)
/** The same of one that must not be changed. */
#define VFIO_PCI_DEVICE_CONST(ptr)                                                                 \
	((const struct vfio_pci_device *)((const char *)(ptr)-offsetof(                            \
		struct vfio_pci_device, device)))

/**
 * Take charge of a device. It was reset, its BARs are mapped, memory decoding is on, bus mastering
 * is off. Called from rte_eal_init() or rte_dev_probe().
 * @return 0; negative errno: the bus undoes everything; positive: not for this driver.
 */
typedef int (*vfio_pci_probe_t)(struct vfio_pci_driver *driver, struct vfio_pci_device *dev);
/**
 * Let a device go: callbacks unregistered, memory given back. The bus turns off what is left:
 * interrupts, bus mastering.
 * @return 0, or negative errno (it stays).
 */
typedef int (*vfio_pci_remove_t)(struct vfio_pci_device *dev);
/**
 * The kernel wants a device back (it is being unbound or unplugged). Called on the EAL's interrupt
 * thread before the application's rte_dev_event callbacks; an ethdev driver passes on
 * RTE_ETH_EVENT_INTR_RMV here. Who removes the device is the application.
 */
typedef void (*vfio_pci_remove_request_t)(struct vfio_pci_device *dev);

/** A driver of this bus. */
struct vfio_pci_driver {
	RTE_TAILQ_ENTRY(vfio_pci_driver) next;
	struct rte_driver driver;
	const struct rte_pci_id *id_table; /**< ends with a vendor_id of 0 */
	vfio_pci_probe_t probe;
	vfio_pci_remove_t remove;
	vfio_pci_remove_request_t remove_request; /**< optional */
	/**
	 * Optional: in a secondary process, take part in what the primary process has made of the
	 * device. There it has neither memory nor interrupts nor a container (all NULL). Without it
	 * the device is refused there.
	 */
	vfio_pci_probe_t secondary_probe;
	vfio_pci_remove_t secondary_remove; /**< undo secondary_probe; not NULL if that is not */
	/**
	 * The keys that the driver reads from device.devargs->drv_str, ended by NULL; NULL: none.
	 * The bus refuses a device with keys that are neither its own nor here.
	 */
	const char *const *params;
};

/** Register a driver; from a constructor, see RTE_PMD_REGISTER_VFIO_PCI(). */
void vfio_pci_register(struct vfio_pci_driver *driver);
/** Undo vfio_pci_register(). */
void vfio_pci_unregister(struct vfio_pci_driver *driver);

/** Register a driver when its object is loaded. See VFIO_PCI_PMD_INFO() for its ids. */
#define RTE_PMD_REGISTER_VFIO_PCI(nm, drv)                                                         \
	RTE_INIT(vfio_pci_init_##nm)                                                               \
	{                                                                                          \
		(drv).driver.name = RTE_STR(nm);                                                   \
		vfio_pci_register(&(drv));                                                         \
	}                                                                                          \
	RTE_PMD_EXPORT_NAME(nm, __COUNTER__)

/** An entry of an id table: a vendor's device, whatever its subsystem and class. */
#define VFIO_PCI_ID(vendor, dev)                                                                   \
	{                                                                                          \
		.class_id = RTE_CLASS_ANY_ID, .vendor_id = (vendor), .device_id = (dev),           \
		.subsystem_vendor_id = RTE_PCI_ANY_ID, .subsystem_device_id = RTE_PCI_ANY_ID,      \
	}

/**
 * Read from config space.
 * @return 0, or -EINVAL (beyond config space), -EIO.
 */
int vfio_pci_cfg_read(const struct vfio_pci_device *dev, void *buf, size_t len, uint32_t off);
/** Write to config space. @see vfio_pci_cfg_read() */
int vfio_pci_cfg_write(
	const struct vfio_pci_device *dev, const void *buf, size_t len, uint32_t off);
/**
 * Read a BAR by file access: for I/O port BARs and for pages that are not mapped. One access of 1,
 * 2 or 4 bytes, naturally aligned, reaches the device as such; what the MSI-X table holds is not
 * shown.
 * @return 0; -EINVAL: no such BAR, or beyond it; -EIO.
 */
int vfio_pci_bar_read(
	const struct vfio_pci_device *dev, unsigned int bar, void *buf, size_t len, uint64_t off);
/** Write a BAR by file access. @see vfio_pci_bar_read() */
int vfio_pci_bar_write(const struct vfio_pci_device *dev, unsigned int bar, const void *buf,
	size_t len, uint64_t off);

/**
 * Find a capability (PCI Local Bus 3.0, 6.7).
 * @return its offset; 0: absent; -EIO: config space cannot be read; -ELOOP: the list runs in a
 * circle; -EBADMSG: it leads out of where capabilities are.
 */
int vfio_pci_find_capability(const struct vfio_pci_device *dev, uint8_t cap);

/**
 * Let the device master the bus, or not. A driver turns it on when the device starts, off when it
 * stops. While it is on, the device cannot be detached from its container. Turning on what is on
 * does nothing.
 * @return 0, or -EIO.
 */
int vfio_pci_bus_master(struct vfio_pci_device *dev, bool on);

/**
 * Reset the function (VFIO_DEVICE_RESET): registers are as after power-on, memory decoding is on,
 * bus mastering as it was. Interrupts should be disabled first.
 * @return 0; -ENOTSUP: it has no reset; the kernel's error.
 */
int vfio_pci_reset(struct vfio_pci_device *dev);

/** Kinds of interrupt. */
enum vfio_pci_intr { VFIO_PCI_INTR_INTX, VFIO_PCI_INTR_MSI, VFIO_PCI_INTR_MSIX };

/** How many vectors of a kind the device has; 0: none. Negative errno. */
int vfio_pci_intr_vectors(const struct vfio_pci_device *dev, enum vfio_pci_intr kind);

/**
 * Route n vectors of a kind to eventfds that the bus makes; one kind at a time. dev->intr_handle is
 * set up so that rte_intr_callback_register() works on vector 0, and ethdev Rx interrupts
 * (rte_intr_rx_ctl()) on the others: vector v is RTE_INTR_VEC_RXTX_OFFSET + v - 1 there. With a
 * single vector, both use it. There is no need for rte_intr_enable(), which would do the same
 * again (but for MSI: the first vector only); after an INTx, rte_intr_ack() unmasks it.
 * @return 0; -EINVAL; -EBUSY: enabled already; -ENOTSUP: the device has fewer; -ENOSPC: the host
 * has; the kernel's error.
 */
int vfio_pci_intr_enable(struct vfio_pci_device *dev, enum vfio_pci_intr kind, unsigned int n);
/**
 * Undo vfio_pci_intr_enable(); nothing happens if none is enabled. Callbacks must have been
 * unregistered: the eventfds are closed, and the EAL's interrupt thread panics on a closed one.
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
 * Once in a source file; the ids are literals or names of macros, each pair once.
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
		char head[sizeof(VFIO_PCI_PMD_INFO_HEAD_(nm, params)) - 1];                        \
		ids(VFIO_PCI_PMD_INFO_FIELD_) char tail[sizeof("]}")];                             \
	};                                                                                         \
	static const struct vfio_pci_pmd_info vfio_pci_pmd_info_##nm __rte_used = {                \
		.head = VFIO_PCI_PMD_INFO_HEAD_(nm, params),                                       \
		ids(VFIO_PCI_PMD_INFO_VALUE_).tail = "]}"}
/**@}*/

/* How VFIO_PCI_PMD_INFO() does it: one char array a field, JSON numbers padded with blanks. */
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
