/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Fixture of suites that run the vfio_pci bus on the mock kernel: a machine with PCI devices, a
 * container on it, and a driver that only records its calls. There is one machine at a time, in
 * global variables.
 */

#ifndef GANTRY_TEST_BUS_MACHINE_H
#define GANTRY_TEST_BUS_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include <dmamap.h>
#include <vfio_mock.h>

#include "vfio_pci_private.h"

#define BUS_BOX "box" /* the container */
#define BUS_CAP_AT 0x40 /* offset of the first capability in configuration space */
#define BUS_TABLE_AT 4096 /* offset of the MSI-X table in its BAR */

/** A device of the machine. */
struct bus_device {
	const char *name; /**< PCI address; NULL ends an array */
	const struct vfio_mock_device_conf *conf;
	uint16_t vendor, device;
	bool in_last_group; /**< in the group of the device before it; otherwise in one of its own
			     */
};

extern struct vfio_mock *machine;
extern struct dmamap_container *box; /**< on the machine */
/** What the driver below got from its probe; NULL: it drives none. The latest, if several. */
extern struct vfio_pci_device *toy;
extern int toy_remove_result; /**< of the driver's remove operation */
/** Called after each ioctl of the container on the machine that succeeded; NULL: nothing is. */
extern void (*bus_machine_hook)(unsigned long request);

/**
 * Make the machine: one IOMMU of 48 bits, since the EAL's memory is mapped at IOVA = VA; devices,
 * bound to vfio-pci; a container. The bus looks devices up there.
 * @param linux_version  as in struct vfio_mock_conf.
 */
int bus_machine_make(
	unsigned int linux_version, enum dmamap_backend backend, const struct bus_device *devices);
/** Destroy container and machine. */
void bus_machine_drop(void);
/** Begin a case: register a driver, and make the machine. */
int bus_machine_setup(struct vfio_pci_driver *driver, enum dmamap_backend backend,
	const struct bus_device *devices);
/**
 * End a case: remove devices without a driver, unregister the driver, drop the machine. A device
 * that a failed case left with its driver needs the machine, so both stay.
 */
void bus_machine_teardown(struct vfio_pci_driver *driver);

/** Probe and remove operations of a driver that only records its calls, in toy. */
int toy_probe(struct vfio_pci_driver *driver, struct vfio_pci_device *dev);
int toy_remove(struct vfio_pci_device *dev);

/** Configuration space of a device. */
uint8_t *config_of(const char *name);
/** Its command register. */
uint16_t command_of(const char *name);
/** Store a little-endian value. */
void put16(uint8_t *at, uint16_t value);
/**
 * Fill in the configuration space of a device that was described again: ids, and the MSI-X
 * capability if it has vectors. Bus mastering is on, as after a program that was killed.
 */
void config_fill(const struct bus_device *device);

/** @return NULL: the device is not on the bus */
struct vfio_pci_device *on_bus(const char *name);
/** Probe a device by the bus, into the container. */
int plug(const char *name, const char *args);
int unplug(const char *name);
extern const char *plug_log; /**< what the last plug() logged */
/** Wait until another thread has raised a counter to n. @return whether it is n exactly */
bool wait_for(const unsigned int *counter, unsigned int n);

#endif /* GANTRY_TEST_BUS_MACHINE_H */
