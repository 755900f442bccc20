/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What do the parts of the bus share? One section for each file.
 */

#ifndef VFIO_PCI_PRIVATE_H
#define VFIO_PCI_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/vfio.h>

#include <rte_devargs.h>
#include <rte_log.h>

#include "bus_vfio_pci_driver.h"

/** The log type `bus.vfio_pci`. */
extern int vfio_pci_logtype;

/** Log one line; the newline is added. */
#define VFIO_PCI_LOG(level, fmt, ...)                                                              \
	rte_log(RTE_LOG_##level, vfio_pci_logtype, "vfio_pci: " fmt "\n", ##__VA_ARGS__)
/** Log an error line and yield the negative errno. */
#define VFIO_PCI_FAIL(err, fmt, ...)                                                               \
	({                                                                                         \
		const int err_ = (err); /* it may be errno */                                      \
		VFIO_PCI_LOG(ERR, fmt, ##__VA_ARGS__);                                             \
		-err_;                                                                             \
	})

struct vfio_pci_space;

/** A region of the device's file (VFIO_DEVICE_GET_REGION_INFO). */
struct vfio_pci_region {
	uint64_t offset; /**< in the device's file */
	uint64_t len; /**< bytes; 0: absent */
	uint32_t flags; /**< VFIO_REGION_INFO_FLAG_* */
};

/** A device with what only the bus knows of it. */
struct vfio_pci_inner {
	struct vfio_pci_device dev; /**< what drivers see */
	struct vfio_pci_space *space; /**< its container's record, NULL while closed */
	bool pci_blocked; /**< this bus blocked it on DPDK's pci bus */
	bool can_reset;
	bool master; /**< bus mastering is on, and the device held in its container */
	struct vfio_pci_region region[VFIO_PCI_NUM_REGIONS];
	enum vfio_pci_intr intr_kind; /**< if n_vectors is not 0 */
	unsigned int n_vectors; /**< enabled vectors */
	int *vector_fd; /**< their eventfds */
	struct rte_intr_handle *req_handle; /**< the kernel's wish to have the device back */
};

/** @see struct vfio_pci_inner */
static inline struct vfio_pci_inner *
vfio_pci_inner(const struct vfio_pci_device *dev)
{
	return RTE_PTR_SUB(dev, offsetof(struct vfio_pci_inner, dev));
}

/** The device's file. */
static inline int
vfio_pci_fd(const struct vfio_pci_device *dev)
{
	return dmamap_device_fd(dev->dma);
}

RTE_TAILQ_HEAD(vfio_pci_device_list, vfio_pci_device);
RTE_TAILQ_HEAD(vfio_pci_driver_list, vfio_pci_driver);

/** @name vfio_pci.c: the bus */
/**@{*/
/** The bus with its devices, ascending by address, and drivers, in order of registration. */
struct vfio_pci_bus {
	struct rte_bus bus;
	struct vfio_pci_device_list devices;
	struct vfio_pci_driver_list drivers;
};
extern struct vfio_pci_bus vfio_pci_bus;

/** Does a line of the driver's id table fit? */
bool vfio_pci_match(const struct vfio_pci_driver *driver, const struct rte_pci_id *id);
/**@}*/

/** @name vfio_pci_scan.c: the devices that the operator named */
/**@{*/
/** Where the kernel lists PCI devices; tests point it elsewhere. */
extern const char *vfio_pci_sysfs;

/** The scan operation of the bus. */
int vfio_pci_scan(void);
/**
 * Parse a device's name: an address, with the bus's name before it or (if bare) without.
 * @return 0, or -EINVAL; silent.
 */
int vfio_pci_parse_name(const char *name, bool bare, struct rte_pci_addr *addr);
/** Forget a device that is closed: out of the list, its devargs and the pci bus's block removed. */
void vfio_pci_forget(struct vfio_pci_device *dev);
/**
 * Keep DPDK's own pci bus, if it is there, from driving the device.
 * @return 0; -EBUSY: it drives the device already or was told to; silent.
 */
int vfio_pci_block_pci(struct vfio_pci_device *dev);
/**@}*/

/** @name vfio_pci_params.c: what the operator wants of a device */
/**@{*/
/** Room for any value that the bus takes. */
#define VFIO_PCI_VALUE_MAX 64

struct vfio_pci_params {
	char container[DMAMAP_NAME_MAX];
	enum dmamap_backend backend; /**< AUTO if nothing is said */
	int isolate; /**< 0, 1, or -1 if nothing is said */
	int eal_memory; /**< 0, 1, or -1 if nothing is said */
	char vf_token[37]; /**< a UUID, or "" */
	char driver[VFIO_PCI_VALUE_MAX]; /**< name of the only driver to try, or "" */
};

/**
 * Parse a device's arguments.
 * @param da   in the legacy syntax (args) or by layers (bus_str and drv_str).
 * @param driver_keys  keys that belong to the driver, ended by NULL; NULL: none.
 * @return 0, or -EINVAL after one line; *params is whole or as it was.
 */
int vfio_pci_params_parse(const struct rte_devargs *da, const char *const *driver_keys,
	struct vfio_pci_params *params);
/** The value of one of the bus's keys, unchecked, or ""; silent. */
void vfio_pci_params_peek(
	const struct rte_devargs *da, const char *key, char value[VFIO_PCI_VALUE_MAX]);
/** The devargs_parse operation of the bus. */
int vfio_pci_devargs_parse(struct rte_devargs *da);
/** The dev_iterate operation of the bus: keys `addr` and `container`. */
void *vfio_pci_dev_iterate(const void *start, const char *str, const struct rte_dev_iterator *it);
/**@}*/

/** @name vfio_pci_container.c: where a device lives */
/**@{*/
/**
 * Attach a device to the container that its parameters name, which is made if it is not there.
 * @return 0; -EINVAL: the container is there and other than wanted; or the error of the container.
 */
int vfio_pci_space_join(struct vfio_pci_inner *inner, const struct vfio_pci_params *params);
/** Detach a device, and unmap its wishes; the bus's own container goes with its last device. */
void vfio_pci_space_leave(struct vfio_pci_inner *inner);
/** The dma_map operation of the bus. */
int vfio_pci_dma_map(struct rte_device *device, void *addr, uint64_t iova, size_t len);
/** The dma_unmap operation of the bus. */
int vfio_pci_dma_unmap(struct rte_device *device, void *addr, uint64_t iova, size_t len);
/**@}*/

/** @name vfio_pci_mem.c: memory that the EAL owns */
/**@{*/
struct vfio_pci_mem;

/**
 * Map all memory that the EAL has and gets, at the IOVAs that it expects. All or nothing.
 * @param dev  for messages.
 * @return 0; -EINVAL: the EAL's kind of IOVAs is not the container's; -ERANGE: some memory is
 * beyond what the container reaches; or the error of a map.
 */
int vfio_pci_mem_join(
	struct dmamap_container *container, const char *dev, struct vfio_pci_mem **joined);
/** Undo vfio_pci_mem_join(). */
void vfio_pci_mem_leave(struct vfio_pci_mem *mem);
/** Is this memory of the EAL, mapped at this IOVA? */
bool vfio_pci_mem_has(const struct vfio_pci_mem *mem, const void *va, rte_iova_t iova, size_t len);
/**@}*/

/** @name vfio_pci_dev.c: a device's life */
/**@{*/
/** Attach, reset, map: everything that a driver expects to be done. All or nothing. */
int vfio_pci_open(struct vfio_pci_inner *inner, const struct vfio_pci_params *params);
/** Undo vfio_pci_open(); the device is quiet and reset afterwards. */
void vfio_pci_close(struct vfio_pci_inner *inner);
/**@}*/

/** @name vfio_pci_bar.c: a device's memory */
/**@{*/
/** A part of a BAR, inclusive. */
struct vfio_pci_area {
	uint64_t start, last;
};

/** What a BAR's mappable parts depend on. */
struct vfio_pci_bar_shape {
	uint64_t len; /**< of the BAR, not 0 */
	uint64_t page; /**< the system's page size */
	bool has_table; /**< the MSI-X table is in it */
	bool table_mappable; /**< the kernel would let the table be mapped */
	struct vfio_pci_area table;
	unsigned int n_sparse; /**< areas that the kernel lists; 0: no list, all of it */
	const struct vfio_pci_area *sparse;
};

/**
 * Work out which whole pages of a BAR are to be mapped.
 * @param out  ascending if the kernel's list is; room for max.
 * @return how many, at most max; 0: nothing can be mapped.
 */
unsigned int vfio_pci_bar_areas(
	const struct vfio_pci_bar_shape *shape, struct vfio_pci_area *out, unsigned int max);

/** Read where the regions are. */
int vfio_pci_regions_read(struct vfio_pci_inner *inner, unsigned int n_regions);
/** Map all BARs that can be. All or nothing. */
int vfio_pci_bars_map(struct vfio_pci_inner *inner);
/** Undo vfio_pci_bars_map(). */
void vfio_pci_bars_unmap(struct vfio_pci_inner *inner);
/** The sigbus_handler operation of the bus. */
int vfio_pci_sigbus(const void *addr);
/** Read from a region. @return 0, -EINVAL: beyond it; -EIO. */
int vfio_pci_region_read(const struct vfio_pci_inner *inner, unsigned int index, void *buf,
	size_t len, uint64_t off);
/** Write to a region. @see vfio_pci_region_read() */
int vfio_pci_region_write(const struct vfio_pci_inner *inner, unsigned int index, const void *buf,
	size_t len, uint64_t off);
/**@}*/

/** @name vfio_pci_cfg.c: a device's configuration space */
/**@{*/
/** Length of the part of configuration space that PCI has; capabilities are in it. */
#define VFIO_PCI_CFG_LEN 256
/** Find a capability in a copy of configuration space. @see vfio_pci_find_capability() */
int vfio_pci_cap_find(const uint8_t cfg[VFIO_PCI_CFG_LEN], uint8_t cap);
/** Change bits of the command register. */
int vfio_pci_command(const struct vfio_pci_device *dev, uint16_t clear, uint16_t set);
/** Where the MSI-X table is. @return 1: found; 0: there is none; negative errno. */
int vfio_pci_msix_table(
	const struct vfio_pci_device *dev, unsigned int *bar, struct vfio_pci_area *table);
/**@}*/

/** @name vfio_pci_intr.c: a device's interrupts */
/**@{*/
/** Hear when the kernel wants the device back. */
int vfio_pci_request_listen(struct vfio_pci_inner *inner);
/** Hear it no more. Afterwards no callback for it runs, but one that itself called this. */
void vfio_pci_request_ignore(struct vfio_pci_inner *inner);
/** Make dev.intr_handle, and listen. */
int vfio_pci_intr_open(struct vfio_pci_inner *inner);
/** Undo vfio_pci_intr_open(). */
void vfio_pci_intr_close(struct vfio_pci_inner *inner);
/** The hot_unplug_handler operation of the bus: tell driver and application. */
int vfio_pci_hot_unplug(struct rte_device *device);
/**@}*/

#endif /* VFIO_PCI_PRIVATE_H */
