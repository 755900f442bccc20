/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does the EAL see the bus? Drivers, probing and removal, and the table of operations.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_version.h>

#include "vfio_pci_private.h"

RTE_LOG_REGISTER(vfio_pci_logtype, bus.vfio_pci, NOTICE);

void
vfio_pci_register(struct vfio_pci_driver *driver)
{
	TAILQ_INSERT_TAIL(&vfio_pci_bus.drivers, driver, next);
}

void
vfio_pci_unregister(struct vfio_pci_driver *driver)
{
	TAILQ_REMOVE(&vfio_pci_bus.drivers, driver, next);
}

static bool
id_fits(uint32_t wanted, uint32_t any, uint32_t is)
{
	return wanted == any || wanted == is;
}

bool
vfio_pci_match(const struct vfio_pci_driver *driver, const struct rte_pci_id *id)
{
	const struct rte_pci_id *row;

	for (row = driver->id_table; row->vendor_id != 0; row++)
		if (id_fits(row->vendor_id, RTE_PCI_ANY_ID, id->vendor_id) &&
			id_fits(row->device_id, RTE_PCI_ANY_ID, id->device_id) &&
			id_fits(row->subsystem_vendor_id, RTE_PCI_ANY_ID,
				id->subsystem_vendor_id) &&
			id_fits(row->subsystem_device_id, RTE_PCI_ANY_ID,
				id->subsystem_device_id) &&
			id_fits(row->class_id, RTE_CLASS_ANY_ID, id->class_id))
			return true;
	return false;
}

static bool
is_primary(void)
{
	return rte_eal_process_type() == RTE_PROC_PRIMARY;
}

/** In a secondary process: what the primary one has opened is not opened again. @see probe_driver()
 */
static int
probe_secondary(struct vfio_pci_driver *driver, struct vfio_pci_device *dev)
{
	int rc;

	if (driver->secondary_probe == NULL)
		return VFIO_PCI_FAIL(ENOTSUP,
			"%s: driver %s has it in the primary process only; leave it out here",
			dev->name, driver->driver.name);
	rc = driver->secondary_probe(driver, dev);
	if (rc < 0)
		return VFIO_PCI_FAIL(-rc, "%s: driver %s does not share it with this process: %s",
			dev->name, driver->driver.name, rte_strerror(-rc));
	if (rc == 0) {
		dev->driver = driver;
		dev->device.driver = &driver->driver;
	}
	return rc;
}

/** Offer a device to one driver that fits. 0: taken; positive: not for it; negative errno. */
static int
probe_driver(struct vfio_pci_driver *driver, struct vfio_pci_inner *inner)
{
	struct vfio_pci_device *dev = &inner->dev;
	struct vfio_pci_params params;
	int rc;

	rc = vfio_pci_params_parse(dev->device.devargs, driver->params, &params);
	if (rc < 0)
		return rc;
	if (!is_primary())
		return probe_secondary(driver, dev);
	rc = vfio_pci_open(inner, &params);
	if (rc < 0)
		return rc;

	dev->driver = driver;
	rc = driver->probe(driver, dev);
	if (rc == 0) {
		dev->device.driver = &driver->driver;
		VFIO_PCI_LOG(INFO, "%s: driver %s, container %s", dev->name, driver->driver.name,
			params.container);
		return 0;
	}
	if (rc < 0)
		VFIO_PCI_LOG(ERR, "%s: driver %s refuses the device: %s", dev->name,
			driver->driver.name, rte_strerror(-rc));
	dev->driver = NULL;
	vfio_pci_close(inner);
	return rc;
}

/** Find a driver for a device. 0; positive: there is none; negative errno. */
static int
probe_device(struct vfio_pci_device *dev)
{
	struct vfio_pci_driver *driver;
	char only[VFIO_PCI_VALUE_MAX];
	int rc;

	if (vfio_pci_block_pci(dev) < 0)
		return VFIO_PCI_FAIL(EBUSY,
			"%s: belongs to DPDK's own pci bus too; name it on one bus only",
			dev->name);

	vfio_pci_params_peek(dev->device.devargs, "driver", only);
	TAILQ_FOREACH(driver, &vfio_pci_bus.drivers, next) {
		if (!vfio_pci_match(driver, &dev->id))
			continue;
		if (only[0] != '\0' && strcmp(only, driver->driver.name) != 0)
			continue;
		rc = probe_driver(driver, vfio_pci_inner(dev));
		if (rc <= 0)
			return rc;
	}
	VFIO_PCI_LOG(ERR, "%s: no driver%s%s for %04x:%04x; load one with -d", dev->name,
		only[0] != '\0' ? " " : "", only, dev->id.vendor_id, dev->id.device_id);
	return 1;
}

static int
bus_plug(struct rte_device *device)
{
	if (rte_dev_is_probed(device))
		return -EEXIST;
	return probe_device(VFIO_PCI_DEVICE(device));
}

/** Every device on the list was named by the operator, so each that fails is a failure. */
static int
bus_probe(void)
{
	struct vfio_pci_device *dev;
	int rc = 0;

	TAILQ_FOREACH(dev, &vfio_pci_bus.devices, next)
		if (!rte_dev_is_probed(&dev->device) && probe_device(dev) != 0)
			rc = -1;
	return rc;
}

/** Take a device from its driver and close it. */
static int
release_device(struct vfio_pci_device *dev)
{
	int rc = 0;

	if (dev->driver == NULL)
		return 0;
	if (!is_primary()) {
		rc = dev->driver->secondary_remove(dev);
		if (rc == 0)
			dev->driver = NULL;
		return rc;
	}
	/* The driver is not to be told of a removal while it goes. */
	vfio_pci_request_ignore(vfio_pci_inner(dev));
	if (dev->driver->remove != NULL)
		rc = dev->driver->remove(dev);
	if (rc < 0) {
		vfio_pci_request_listen(vfio_pci_inner(dev));
		return VFIO_PCI_FAIL(-rc, "%s: driver %s does not let go: %s", dev->name,
			dev->driver->driver.name, rte_strerror(-rc));
	}
	dev->driver = NULL;
	dev->device.driver = NULL;
	vfio_pci_close(vfio_pci_inner(dev));
	return 0;
}

static int
bus_unplug(struct rte_device *device)
{
	struct vfio_pci_device *dev = VFIO_PCI_DEVICE(device);
	int rc;

	rc = release_device(dev);
	if (rc < 0)
		return rc;
	vfio_pci_forget(dev);
	return 0;
}

static int
bus_cleanup(void)
{
	struct vfio_pci_device *dev, *tmp;
	int rc = 0;

	RTE_TAILQ_FOREACH_SAFE(dev, &vfio_pci_bus.devices, next, tmp) {
		if (release_device(dev) < 0)
			rc = -1;
		else
			vfio_pci_forget(dev);
	}
	return rc;
}

static struct rte_device *
bus_find_device(const struct rte_device *start, rte_dev_cmp_t cmp, const void *data)
{
	struct vfio_pci_device *dev;

	dev = start == NULL ? TAILQ_FIRST(&vfio_pci_bus.devices)
			    : TAILQ_NEXT(VFIO_PCI_DEVICE_CONST(start), next);
	for (; dev != NULL; dev = TAILQ_NEXT(dev, next))
		if (cmp(&dev->device, data) == 0)
			return &dev->device;
	return NULL;
}

/**
 * Names need the bus's own before the address. Who took bare addresses too would take them from
 * DPDK's pci bus, or lose them to it, by the order in which the two were loaded.
 */
static int
bus_parse(const char *name, void *addr)
{
	struct rte_pci_addr parsed;
	int rc;

	rc = vfio_pci_parse_name(name, false, &parsed);
	if (rc == 0 && addr != NULL)
		*(struct rte_pci_addr *)addr = parsed;
	return rc;
}

/** Only a device without an IOMMU needs physical addresses. */
static enum rte_iova_mode
bus_iommu_class(void)
{
	struct vfio_pci_device *dev;
	char backend[VFIO_PCI_VALUE_MAX];
	bool physical = false;

	if (TAILQ_EMPTY(&vfio_pci_bus.devices))
		return RTE_IOVA_DC;
	TAILQ_FOREACH(dev, &vfio_pci_bus.devices, next) {
		vfio_pci_params_peek(dev->device.devargs, "backend", backend);
		if (strcmp(backend, "noiommu") == 0)
			physical = true;
	}
	return physical ? RTE_IOVA_PA : RTE_IOVA_VA;
}

struct vfio_pci_bus vfio_pci_bus = {
	.bus =
		{
			.scan = vfio_pci_scan,
			.probe = bus_probe,
			.cleanup = bus_cleanup,
			.find_device = bus_find_device,
			.plug = bus_plug,
			.unplug = bus_unplug,
			.parse = bus_parse,
			.devargs_parse = vfio_pci_devargs_parse,
			.dma_map = vfio_pci_dma_map,
			.dma_unmap = vfio_pci_dma_unmap,
			.get_iommu_class = bus_iommu_class,
			.dev_iterate = vfio_pci_dev_iterate,
			.hot_unplug_handler = vfio_pci_hot_unplug,
			.sigbus_handler = vfio_pci_sigbus,
		},
	.devices = TAILQ_HEAD_INITIALIZER(vfio_pci_bus.devices),
	.drivers = TAILQ_HEAD_INITIALIZER(vfio_pci_bus.drivers),
};

/** What the EAL and this file share has another layout in other versions; in updates of one
 * (22.11.x) it has not. */
RTE_INIT_PRIO(vfio_pci_register_bus, BUS)
{
	char built[32];

	snprintf(built, sizeof(built), "DPDK %d.%02d.", RTE_VER_YEAR, RTE_VER_MONTH);
	if (strncmp(rte_version(), built, strlen(built)) != 0) {
		VFIO_PCI_LOG(ERR,
			"this plugin was built for DPDK %d.%02d and is not used by %s; load one that was "
			"built for that",
			RTE_VER_YEAR, RTE_VER_MONTH, rte_version());
		return;
	}
	vfio_pci_bus.bus.name = "vfio_pci";
	rte_bus_register(&vfio_pci_bus.bus);
}
