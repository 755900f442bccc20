/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 */

#ifndef BUS_VFIO_PCI_DRIVER_H
#define BUS_VFIO_PCI_DRIVER_H

/**
 * @file
 * The vfio_pci bus as its drivers see it: PCI devices held by vfio-pci, each attached to a container
 * of libdmamap. Control path only; one thread a device at a time, as with every rte_device.
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

/** A BAR. MMIO is mapped around the MSI-X table, which the kernel keeps to itself. */
struct vfio_pci_bar {
	volatile uint8_t *addr; /**< where it is mapped; NULL: an I/O port BAR, or absent */
	uint64_t len;		/**< bytes; 0: absent */
};

/** A device on the bus. Owned by the bus. */
struct vfio_pci_device {
	RTE_TAILQ_ENTRY(vfio_pci_device) next;
	struct rte_device device;
	struct rte_pci_addr addr;
	struct rte_pci_id id;
	char name[PCI_PRI_STR_SIZE + 1];      /**< "0000:01:00.0" */
	struct vfio_pci_driver *driver;	      /**< NULL until probed */
	struct dmamap_container *container;   /**< what its rings and buffers come from */
	struct dmamap_device *dma;	      /**< its place in the container */
	struct vfio_pci_bar bar[VFIO_PCI_MAX_BARS];
	struct rte_intr_handle *intr_handle;  /**< for rte_intr_*(), type VFIO MSI or MSI-X once enabled */
};

#define VFIO_PCI_DEVICE(ptr) container_of(ptr, struct vfio_pci_device, device)

/**
 * Take charge of a device. It was reset, its BARs are mapped, memory decoding is on, bus mastering is off.
 * @return 0; negative errno: the bus undoes everything; positive: not for this driver.
 */
typedef int (*vfio_pci_probe_t)(struct vfio_pci_driver *driver, struct vfio_pci_device *dev);
/** Let a device go. @return 0, or negative errno (it stays). */
typedef int (*vfio_pci_remove_t)(struct vfio_pci_device *dev);

/** A driver of this bus. */
struct vfio_pci_driver {
	RTE_TAILQ_ENTRY(vfio_pci_driver) next;
	struct rte_driver driver;
	const struct rte_pci_id *id_table; /**< ends with a vendor_id of 0 */
	vfio_pci_probe_t probe;
	vfio_pci_remove_t remove;
};

/** Register a driver; from a constructor, see RTE_PMD_REGISTER_VFIO_PCI(). */
void vfio_pci_register(struct vfio_pci_driver *driver);
/** Undo vfio_pci_register(). */
void vfio_pci_unregister(struct vfio_pci_driver *driver);

/** Register a driver when its object is loaded. The id table is exported for dpdk-pmdinfo. */
#define RTE_PMD_REGISTER_VFIO_PCI(nm, drv)                                                         \
	RTE_INIT(vfio_pci_init_##nm)                                                               \
	{                                                                                          \
		(drv).driver.name = RTE_STR(nm);                                                   \
		vfio_pci_register(&(drv));                                                         \
	}                                                                                          \
	RTE_PMD_EXPORT_NAME(nm, __COUNTER__)

/**
 * Read from config space.
 * @return 0, or -EINVAL (beyond config space), -EIO.
 */
int vfio_pci_cfg_read(const struct vfio_pci_device *dev, void *buf, size_t len, uint32_t off);
/** Write to config space. @see vfio_pci_cfg_read() */
int vfio_pci_cfg_write(const struct vfio_pci_device *dev, const void *buf, size_t len, uint32_t off);
/** Read (write) a BAR by file access: for I/O port BARs and for pages that are not mapped. */
int vfio_pci_bar_read(const struct vfio_pci_device *dev, unsigned int bar, void *buf, size_t len,
	uint64_t off);
/** @see vfio_pci_bar_read() */
int vfio_pci_bar_write(const struct vfio_pci_device *dev, unsigned int bar, const void *buf,
	size_t len, uint64_t off);

/** Find a capability (PCI Local Bus 3.0, 6.7). @return its offset; 0: absent; negative errno. */
int vfio_pci_find_capability(const struct vfio_pci_device *dev, uint8_t cap);

/**
 * Let the device master the bus, or not. A driver turns it on when the device starts, off when it stops. While it is on the device cannot be
 * detached from its container.
 */
int vfio_pci_bus_master(struct vfio_pci_device *dev, bool on);

/** Reset the function (VFIO_DEVICE_RESET). @return 0; -ENOTSUP: it has no reset. */
int vfio_pci_reset(struct vfio_pci_device *dev);

/** Kinds of interrupt. */
enum vfio_pci_intr { VFIO_PCI_INTR_INTX, VFIO_PCI_INTR_MSI, VFIO_PCI_INTR_MSIX };

/** How many vectors of a kind the device has; 0: none. Negative errno. */
int vfio_pci_intr_vectors(const struct vfio_pci_device *dev, enum vfio_pci_intr kind);

/**
 * Route n vectors of a kind to eventfds that the bus makes; one kind at a time. dev->intr_handle is set up so that
 * rte_intr_callback_register() works on vector 0, and ethdev Rx interrupts work on the others.
 * @return 0; -EINVAL; -ENOTSUP: the device has fewer; the kernel's error.
 */
int vfio_pci_intr_enable(struct vfio_pci_device *dev, enum vfio_pci_intr kind, unsigned int n);
/** Undo vfio_pci_intr_enable(); nothing happens if none is enabled. */
void vfio_pci_intr_disable(struct vfio_pci_device *dev);
/** The eventfd of a vector, owned by the bus; -1 if there is none. */
int vfio_pci_intr_fd(const struct vfio_pci_device *dev, unsigned int vector);

#ifdef __cplusplus
}
#endif

#endif /* BUS_VFIO_PCI_DRIVER_H */
