/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal interface of the bus: a device with the bus's own data, and the functions of each file.
 *
 * The files form layers, and each calls only files below it (devtools/check-layers checks it). The
 * sections stand in that order, the lowest first. Unless a description says otherwise, functions
 * run on the control path, on one thread a device at a time. They return 0 or a negative errno.
 */

#ifndef VFIO_PCI_PRIVATE_H
#define VFIO_PCI_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <linux/vfio.h>

#include <rte_devargs.h>

#include "bus_vfio_pci_driver.h"
#include "vfio_pci_log.h"

struct vfio_pci_container;

/** A region of the device's VFIO file (VFIO_DEVICE_GET_REGION_INFO). */
struct vfio_pci_region {
	uint64_t offset; /**< in the device's file */
	uint64_t len; /**< bytes; 0: absent */
	uint32_t flags; /**< VFIO_REGION_INFO_FLAG_* */
};

/** What the kernel reports of a device beside its interrupts. */
enum vfio_pci_event {
	VFIO_PCI_EVENT_REQUEST, /**< the device is to be released */
	VFIO_PCI_EVENT_ERROR, /**< an uncorrectable error (PCI Express AER) */
	VFIO_PCI_N_EVENTS
};

/** A device with the data that only the bus uses. */
struct vfio_pci_inner {
	struct vfio_pci_device dev; /**< what drivers see */
	struct vfio_pci_container *container; /**< the record of its container; NULL while closed */
	struct rte_devargs probe_args; /**< arguments of its probe; no data: not probed */
	bool pci_blocked; /**< this bus blocked it on DPDK's pci bus */
	bool can_reset;
	bool bars_replaced; /**< pages of BARs read as ones; atomic */
	bool master; /**< bus mastering is on, and the device is held in its container */
	struct vfio_pci_region region[VFIO_PCI_NUM_REGIONS];
	enum vfio_pci_intr intr_kind; /**< valid if n_vectors is not 0 */
	unsigned int n_vectors; /**< enabled vectors */
	int *vector_fd; /**< their eventfds */
	struct rte_intr_handle *event[VFIO_PCI_N_EVENTS]; /**< NULL: not listened to */
	LIST_ENTRY(vfio_pci_inner) watched; /**< if its driver has a fault operation */
};

/** @see struct vfio_pci_inner */
static inline struct vfio_pci_inner *
vfio_pci_inner(const struct vfio_pci_device *dev)
{
	return RTE_PTR_SUB(dev, offsetof(struct vfio_pci_inner, dev));
}

/** The device's VFIO file. */
static inline int
vfio_pci_fd(const struct vfio_pci_device *dev)
{
	return dmamap_device_fd(dev->dma);
}

RTE_TAILQ_HEAD(vfio_pci_device_list, vfio_pci_device);
RTE_TAILQ_HEAD(vfio_pci_driver_list, vfio_pci_driver);

/** @name vfio_pci_params.c: a device's name and arguments */
/**@{*/
/** Bytes of the longest value that the bus accepts, with its NUL. */
#define VFIO_PCI_VALUE_MAX 64

/** A device's arguments. */
struct vfio_pci_params {
	char container[DMAMAP_NAME_MAX];
	enum dmamap_backend backend; /**< AUTO if not given */
	int isolate; /**< 0, 1, or -1 if not given */
	int eal_memory; /**< 0, 1, or -1 if not given */
	char vf_token[37]; /**< a UUID, or "" */
	char driver[VFIO_PCI_VALUE_MAX]; /**< name of the only driver to try, or "" */
};

/**
 * Parse a device's name: a PCI address, with the bus's name before it or (if bare) without.
 * @return 0, or -EINVAL; logs nothing.
 */
int vfio_pci_parse_name(const char *name, bool bare, struct rte_pci_addr *addr);
/**
 * Parse a device's arguments.
 * @param da   in the legacy syntax (args) or the layered one (bus_str and drv_str).
 * @param driver_keys  keys that belong to the driver, ended by NULL; NULL: none.
 * @return 0, or -EINVAL after one log line; then *params is unchanged.
 */
int vfio_pci_params_parse(const struct rte_devargs *da, const char *const *driver_keys,
	struct vfio_pci_params *params);
/** The value of one of the bus's keys, unchecked, or ""; logs nothing. */
void vfio_pci_params_peek(
	const struct rte_devargs *da, const char *key, char value[VFIO_PCI_VALUE_MAX]);
/** The devargs_parse operation of the bus. */
int vfio_pci_devargs_parse(struct rte_devargs *da);
/**@}*/

/** @name vfio_pci_devargs.c: the arguments of a probed device */
/**@{*/
/** Remember the arguments that a device is probed with. @return 0, or -ENOMEM, logged */
int vfio_pci_devargs_keep(struct vfio_pci_inner *inner);
/** Put remembered arguments back if the EAL has replaced them, with one log line. */
void vfio_pci_devargs_restore(struct vfio_pci_inner *inner);
/** Undo vfio_pci_devargs_keep(); does nothing without it. */
void vfio_pci_devargs_forget(struct vfio_pci_inner *inner);
/**@}*/

/** @name vfio_pci_shared.c: the primary process's devices, for secondary processes */
/**@{*/
/** Primary process: let secondary processes find a probed device, if its driver has a part there.
 */
void vfio_pci_shared_add(const struct vfio_pci_device *dev);
/** Undo vfio_pci_shared_add(); does nothing without it. */
void vfio_pci_shared_remove(const struct vfio_pci_device *dev);
/** Secondary process: name each such device to the EAL, as an operator does with -a. */
void vfio_pci_shared_name_all(void);
/**@}*/

/** @name vfio_pci_fault.c: faults of devices, to their drivers */
/**@{*/
/** Primary process: have faults of a probed device explained; with one log line if they cannot. */
void vfio_pci_faults_watch(struct vfio_pci_inner *inner);
/** Undo vfio_pci_faults_watch(), with the device's driver still set. Waits for that driver's call.
 */
void vfio_pci_faults_forget(struct vfio_pci_inner *inner);
/**@}*/

/** @name vfio_pci_list.c: the devices on the bus */
/**@{*/
/** All devices on the bus, ascending by address. */
extern struct vfio_pci_device_list vfio_pci_devices;

/** The device with an address, or NULL. */
struct vfio_pci_device *vfio_pci_list_find(const struct rte_pci_addr *addr);
/** Add a device whose address is not on the list. */
void vfio_pci_list_insert(struct vfio_pci_device *dev);
/** Take a device off the list. */
void vfio_pci_list_remove(struct vfio_pci_device *dev);
/**
 * Keep the list and the places of BARs as they are, for the SIGBUS handler. Async-signal-safe. The
 * holder touches no BAR.
 */
void vfio_pci_list_lock(void);
/** Undo vfio_pci_list_lock(). */
void vfio_pci_list_unlock(void);
/** The find_device operation of the bus. */
struct rte_device *vfio_pci_find_device(
	const struct rte_device *start, rte_dev_cmp_t cmp, const void *data);
/** The dev_iterate operation of the bus: keys `addr` and `container`. */
void *vfio_pci_dev_iterate(const void *start, const char *str, const struct rte_dev_iterator *it);
/**@}*/

/** @name vfio_pci_scan.c: from the operator's arguments to devices on the list */
/**@{*/
/** How the scan reads sysfs. Members as in struct dmamap_kernel. */
struct vfio_pci_sysfs {
	const char *sysfs; /**< the mount point */
	void *arg; /**< passed to read_file */
	/** Read a small file whole. @return its length; -ENOENT; -EFBIG; another negative errno. */
	int (*read_file)(void *arg, const char *path, char *buf, size_t size);
};
/**
 * The sysfs of Linux. A test points it to a folder of its own or to the mock kernel, before it
 * scans.
 */
extern struct vfio_pci_sysfs vfio_pci_sysfs;

/** Add the devices that the operator named on this bus, and that the kernel has. @return 0 */
int vfio_pci_scan(struct rte_bus *bus);
/** Remove a closed device from the list, with its devargs and its block on the pci bus; free it. */
void vfio_pci_device_remove(struct vfio_pci_device *dev);
/**
 * Keep DPDK's own pci bus, if it is loaded, from driving the device.
 *
 * @return 0; -EBUSY: that bus drives it already, or its devargs allow it. Logs nothing.
 */
int vfio_pci_block_pci(struct vfio_pci_device *dev);
/**@}*/

/** @name vfio_pci_mem.c: the EAL's memory in a container */
/**@{*/
struct vfio_pci_mem;

/**
 * Map all memory of the EAL, present and future, at the IOVAs that the EAL expects. All or nothing.
 * Takes the EAL's memory lock for reading.
 *
 * @param dev  a device's name, for messages.
 * @param joined  freed by vfio_pci_mem_leave().
 * @return 0; -EINVAL: the EAL's IOVA mode does not fit the container; -ERANGE: some memory is
 *   outside of the container's aperture; or the error of a map.
 */
int vfio_pci_mem_join(
	struct dmamap_container *container, const char *dev, struct vfio_pci_mem **joined);
/** Undo vfio_pci_mem_join(). */
void vfio_pci_mem_leave(struct vfio_pci_mem *mem);
/**
 * @return true if [va, va + len) is memory of the EAL that is mapped at this IOVA. Takes the EAL's
 *   memory lock for reading.
 */
bool vfio_pci_mem_has(const struct vfio_pci_mem *mem, const void *va, rte_iova_t iova, size_t len);
/**@}*/

/** @name vfio_pci_container.c: a device's container */
/**@{*/
/**
 * Attach a device to the container that its parameters name. Create the container if there is none.
 *
 * @return 0; -EINVAL: the container exists with other properties; or the container's error.
 */
int vfio_pci_container_join(struct vfio_pci_inner *inner, const struct vfio_pci_params *params);
/**
 * Detach a device, and undo its vfio_pci_dma_map() calls. A container that the bus created is
 * destroyed with its last device.
 */
void vfio_pci_container_leave(struct vfio_pci_inner *inner);
/** The dma_map operation of the bus. @return 0, or -1 and rte_errno */
int vfio_pci_dma_map(struct rte_device *device, void *addr, uint64_t iova, size_t len);
/** The dma_unmap operation of the bus. @return 0, or -1 and rte_errno */
int vfio_pci_dma_unmap(struct rte_device *device, void *addr, uint64_t iova, size_t len);
/**@}*/

/** @name vfio_pci_region.c: access to a device's VFIO file */
/**@{*/
/** Read offset, length and flags of the first n_regions regions into inner->region. */
int vfio_pci_regions_read(struct vfio_pci_inner *inner, unsigned int n_regions);
/**
 * Get a region's description from the kernel, with the capabilities that follow.
 *
 * @return freed by the caller with free(); NULL: the kernel does not describe it, or no memory.
 */
struct vfio_region_info *vfio_pci_region_info(
	const struct vfio_pci_inner *inner, unsigned int index);
/**
 * Find a capability in a description that vfio_pci_region_info() returned.
 *
 * @return a pointer into info, to at least len bytes; NULL: absent, or the chain is broken.
 */
const void *vfio_pci_region_cap(const struct vfio_region_info *info, uint16_t id, size_t len);
/** Read from a region. @return 0; -EINVAL: beyond its end; -EIO, after one log line. */
int vfio_pci_region_read(const struct vfio_pci_inner *inner, unsigned int index, void *buf,
	size_t len, uint64_t off);
/** Write to a region. @see vfio_pci_region_read() */
int vfio_pci_region_write(const struct vfio_pci_inner *inner, unsigned int index, const void *buf,
	size_t len, uint64_t off);
/**@}*/

/** @name vfio_pci_cfg.c: configuration space */
/**@{*/
/** Bytes of the configuration space that PCI Local Bus 3.0 defines; the capabilities are in it. */
#define VFIO_PCI_CFG_LEN 256

/** Find a capability in a copy of configuration space. @see vfio_pci_find_capability() */
int vfio_pci_cap_find(const uint8_t cfg[VFIO_PCI_CFG_LEN], uint8_t cap);
/** Clear and set bits of the command register (PCI Local Bus 3.0, 6.2.2). */
int vfio_pci_command(const struct vfio_pci_device *dev, uint16_t clear, uint16_t set);
/** Find the MSI-X table (PCI Local Bus 3.0, 6.8.2). @return 1: found; 0: absent; negative errno */
int vfio_pci_msix_table(
	const struct vfio_pci_device *dev, unsigned int *bar, struct vfio_pci_area *table);
/**@}*/

/** @name vfio_pci_bar.c: BARs in this process's memory */
/**@{*/
/** What determines the mappable parts of a BAR. */
struct vfio_pci_bar_shape {
	uint64_t len; /**< of the BAR, not 0 */
	uint64_t page; /**< the system's page size */
	bool has_table; /**< the MSI-X table is in it */
	bool table_mappable; /**< the kernel lets the table be mapped */
	struct vfio_pci_area table;
	unsigned int n_sparse; /**< areas that the kernel lists; 0: no list, all of it */
	const struct vfio_pci_area *sparse;
};

/**
 * Get the areas of a BAR to map, in whole pages.
 *
 * @param out  max entries, ascending if the kernel's list is.
 * @return how many, at most max; 0: nothing can be mapped.
 */
unsigned int vfio_pci_bar_areas(
	const struct vfio_pci_bar_shape *shape, struct vfio_pci_area *out, unsigned int max);
/** Map all BARs that can be mapped, and fill in dev.bar. All or nothing. */
int vfio_pci_bars_map(struct vfio_pci_inner *inner);
/**
 * Map what vfio_pci_bars_sigbus() has replaced again, after the device has come back. BARs stay
 * where they are.
 */
int vfio_pci_bars_restore(struct vfio_pci_inner *inner);
/** Undo vfio_pci_bars_map(). */
void vfio_pci_bars_unmap(struct vfio_pci_inner *inner);
/**
 * Handle a SIGBUS. If the address is in a BAR of this device, replace the page by one that reads as
 * all ones. Async-signal-safe. The caller holds the list's lock.
 *
 * @return 0: replaced; 1: the address is in none of its BARs; -1: the page could not be replaced.
 */
int vfio_pci_bars_sigbus(struct vfio_pci_device *dev, const void *addr);
/**@}*/

/** @name vfio_pci_intr.c: interrupts */
/**@{*/
/**
 * Route n vectors of an index (VFIO_PCI_..._IRQ_INDEX) to eventfds; n = 0 disables all. Logs
 * nothing.
 *
 * @return 0; -ENOSPC: the host has fewer vectors left; -ENOMEM; the kernel's error.
 */
int vfio_pci_irqs_set(
	const struct vfio_pci_device *dev, uint32_t index, const int *event_fds, unsigned int n);
/** Make dev.intr_handle. */
int vfio_pci_intr_open(struct vfio_pci_inner *inner);
/** Undo vfio_pci_intr_open(). */
void vfio_pci_intr_close(struct vfio_pci_inner *inner);
/**@}*/

/** @name vfio_pci_event.c: what the kernel reports: requests to release a device, and errors */
/**@{*/
/**
 * Listen for the kernel's events. Each goes to the driver first, then to the application. All or
 * nothing; logs one line.
 */
int vfio_pci_events_listen(struct vfio_pci_inner *inner);
/**
 * Undo vfio_pci_events_listen(); does nothing without it. Afterwards no callback for the device
 * runs, except one that itself called this. On another thread than the EAL's interrupt thread it
 * waits for a callback that runs.
 */
void vfio_pci_events_ignore(struct vfio_pci_inner *inner);
/**
 * The hot_unplug_handler operation of the bus: notify the driver, then the application. Runs on the
 * EAL's interrupt thread. The callbacks may remove the device.
 */
int vfio_pci_hot_unplug(struct rte_device *device);
/**@}*/

/** @name vfio_pci_dev.c: open and close */
/**@{*/
/**
 * Attach the device to its container, reset it, map its BARs, make its interrupt handle. All or
 * nothing.
 */
int vfio_pci_open(struct vfio_pci_inner *inner, const struct vfio_pci_params *params);
/** Undo vfio_pci_open(). The device is reset and does no DMA afterwards. */
void vfio_pci_close(struct vfio_pci_inner *inner);
/**@}*/

/** @name vfio_pci.c: the bus, as the EAL sees it */
/**@{*/
/** The bus with its drivers, in order of registration. */
struct vfio_pci_bus {
	struct rte_bus bus;
	struct vfio_pci_driver_list drivers;
};
extern struct vfio_pci_bus vfio_pci_bus;

/** @return true if an entry of the driver's id table matches */
bool vfio_pci_match(const struct vfio_pci_driver *driver, const struct rte_pci_id *id);
/**@}*/

#endif /* VFIO_PCI_PRIVATE_H */
