/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The bus as the EAL sees it: drivers, probe and removal, and the table of operations.
 *
 * The top layer: no other file of the bus calls it. The EAL calls the operations, one at a time.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_version.h>

#include "vfio_pci_private.h"

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
id_matches(uint32_t wanted, uint32_t any, uint32_t is)
{
	return wanted == any || wanted == is;
}

bool
vfio_pci_match(const struct vfio_pci_driver *driver, const struct rte_pci_id *id)
{
	const struct rte_pci_id *row;

	for (row = driver->id_table; row->vendor_id != 0; row++)
		if (id_matches(row->vendor_id, RTE_PCI_ANY_ID, id->vendor_id) &&
			id_matches(row->device_id, RTE_PCI_ANY_ID, id->device_id) &&
			id_matches(row->subsystem_vendor_id, RTE_PCI_ANY_ID,
				id->subsystem_vendor_id) &&
			id_matches(row->subsystem_device_id, RTE_PCI_ANY_ID,
				id->subsystem_device_id) &&
			id_matches(row->class_id, RTE_CLASS_ANY_ID, id->class_id))
			return true;
	return false;
}

static bool
process_is_primary(void)
{
	return rte_eal_process_type() == RTE_PROC_PRIMARY;
}

/** In a secondary process: the primary one has opened the device. @see device_probe_driver() */
static int
device_probe_secondary(struct vfio_pci_driver *driver, struct vfio_pci_device *dev)
{
	int rc;

	if (driver->secondary_probe == NULL)
		return VFIO_PCI_FAIL(ENOTSUP,
			"%s: driver %s supports the primary process only; "
			"leave the device out here",
			dev->name, driver->driver.name);
	rc = driver->secondary_probe(driver, dev);
	if (rc < 0)
		return VFIO_PCI_FAIL(-rc, "%s: secondary probe by driver %s failed: %s", dev->name,
			driver->driver.name, rte_strerror(-rc));
	if (rc == 0) {
		dev->driver = driver;
		dev->device.driver = &driver->driver;
	}
	return rc;
}

/** Offer a device to one driver. 0: accepted; positive: not for this driver; negative errno. */
static int
device_probe_driver(struct vfio_pci_driver *driver, struct vfio_pci_inner *inner)
{
	struct vfio_pci_device *dev = &inner->dev;
	struct vfio_pci_params params;
	int rc;

	rc = vfio_pci_params_parse(dev->device.devargs, driver->params, &params);
	if (rc < 0)
		return rc;
	if (!process_is_primary())
		return device_probe_secondary(driver, dev);
	rc = vfio_pci_open(inner, &params);
	if (rc < 0)
		return rc;

	dev->driver = driver;
	rc = driver->probe(driver, dev);
	if (rc == 0) {
		dev->device.driver = &driver->driver;
		vfio_pci_faults_watch(inner);
		VFIO_PCI_LOG(INFO, "%s: driver %s, container %s", dev->name, driver->driver.name,
			params.container);
		return 0;
	}
	if (rc < 0)
		VFIO_PCI_LOG(ERR, "%s: probe by driver %s failed: %s", dev->name,
			driver->driver.name, rte_strerror(-rc));
	dev->driver = NULL;
	vfio_pci_close(inner);
	return rc;
}

/** Find a driver for a device. 0: found; positive: there is none; negative errno. */
static int
device_probe_any(struct vfio_pci_device *dev)
{
	struct vfio_pci_driver *driver;
	char only[VFIO_PCI_VALUE_MAX];
	int rc;

	vfio_pci_params_peek(dev->device.devargs, "driver", only);
	TAILQ_FOREACH(driver, &vfio_pci_bus.drivers, next) {
		if (!vfio_pci_match(driver, &dev->id))
			continue;
		if (only[0] != '\0' && strcmp(only, driver->driver.name) != 0)
			continue;
		rc = device_probe_driver(driver, vfio_pci_inner(dev));
		if (rc <= 0)
			return rc;
	}
	VFIO_PCI_LOG(ERR, "%s: no driver%s%s for %04x:%04x; load one with -d", dev->name,
		only[0] != '\0' ? " " : "", only, dev->id.vendor_id, dev->id.device_id);
	return 1;
}

/** @see device_probe_any() */
static int
device_probe(struct vfio_pci_device *dev)
{
	int rc;

	if (vfio_pci_block_pci(dev) < 0)
		return VFIO_PCI_FAIL(EBUSY,
			"%s: claimed by DPDK's own pci bus as well: name it on one bus only",
			dev->name);
	rc = vfio_pci_devargs_keep(vfio_pci_inner(dev));
	if (rc < 0)
		return rc;
	rc = device_probe_any(dev);
	if (rc != 0)
		vfio_pci_devargs_forget(vfio_pci_inner(dev));
	else if (process_is_primary())
		vfio_pci_shared_add(dev);
	return rc;
}

static int
bus_plug(struct rte_device *device)
{
	if (rte_dev_is_probed(device))
		return -EEXIST;
	return device_probe(VFIO_PCI_DEVICE(device));
}

/**
 * The operator named every device on the list, so one that is not probed fails the call. A
 * secondary process for which he named none uses those of the primary one. Their names are in
 * shared memory, which the EAL attaches after the scan.
 */
static int
bus_probe(void)
{
	struct vfio_pci_device *dev;
	int rc = 0;

	if (!process_is_primary() && rte_devargs_next(vfio_pci_bus.bus.name, NULL) == NULL) {
		vfio_pci_shared_name_all();
		vfio_pci_scan(&vfio_pci_bus.bus);
	}
	TAILQ_FOREACH(dev, &vfio_pci_devices, next)
		if (!rte_dev_is_probed(&dev->device) && device_probe(dev) != 0)
			rc = -1;
	return rc;
}

/** Remove a device from its driver and close it. */
static int
device_release(struct vfio_pci_device *dev)
{
	int rc = 0;

	if (dev->driver == NULL)
		return 0;
	if (!process_is_primary()) {
		rc = dev->driver->secondary_remove(dev);
		if (rc == 0)
			dev->driver = NULL;
		return rc;
	}
	/*
	 * Stop the kernel's events first: they would call a driver that is being removed.
	 */
	vfio_pci_events_ignore(vfio_pci_inner(dev));
	vfio_pci_faults_forget(vfio_pci_inner(dev));
	if (dev->driver->remove != NULL)
		rc = dev->driver->remove(dev);
	if (rc < 0) {
		vfio_pci_events_listen(vfio_pci_inner(dev));
		vfio_pci_faults_watch(vfio_pci_inner(dev));
		return VFIO_PCI_FAIL(-rc, "%s: removal by driver %s failed: %s", dev->name,
			dev->driver->driver.name, rte_strerror(-rc));
	}
	dev->driver = NULL;
	dev->device.driver = NULL;
	vfio_pci_shared_remove(dev);
	vfio_pci_close(vfio_pci_inner(dev));
	return 0;
}

static int
bus_unplug(struct rte_device *device)
{
	struct vfio_pci_device *dev = VFIO_PCI_DEVICE(device);
	int rc;

	rc = device_release(dev);
	if (rc < 0)
		return rc;
	vfio_pci_device_remove(dev);
	return 0;
}

/** Stop a device that the application has left running. */
static void
device_stop(struct vfio_pci_device *dev)
{
	if (process_is_primary() && dev->driver != NULL && dev->driver->stop != NULL)
		dev->driver->stop(dev);
}

/** Stop the DMA of a device that its driver does not release. */
static void
device_abandon(struct vfio_pci_device *dev)
{
	if (!process_is_primary())
		return;
	vfio_pci_bus_master(dev, false);
	VFIO_PCI_LOG(
		WARNING, "%s: its driver keeps it, so it is only cut off from memory", dev->name);
}

/**
 * The EAL unmaps its memory next, so no device does DMA afterwards. All stop before any is removed:
 * buffers of one can be in the rings of another.
 */
static int
bus_cleanup(void)
{
	struct vfio_pci_device *dev, *tmp;
	int rc = 0;

	TAILQ_FOREACH(dev, &vfio_pci_devices, next)
		device_stop(dev);
	RTE_TAILQ_FOREACH_SAFE(dev, &vfio_pci_devices, next, tmp) {
		if (device_release(dev) == 0) {
			vfio_pci_device_remove(dev);
			continue;
		}
		device_abandon(dev);
		rc = -1;
	}
	return rc;
}

/**
 * Require the bus's name before the address. A bare address would go to this bus or to DPDK's pci
 * bus, depending on the order in which the two were loaded.
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

	if (TAILQ_EMPTY(&vfio_pci_devices))
		return RTE_IOVA_DC;
	TAILQ_FOREACH(dev, &vfio_pci_devices, next) {
		vfio_pci_params_peek(dev->device.devargs, "backend", backend);
		if (strcmp(backend, "noiommu") == 0)
			physical = true;
	}
	return physical ? RTE_IOVA_PA : RTE_IOVA_VA;
}

static int
bus_scan(void)
{
	return vfio_pci_scan(&vfio_pci_bus.bus);
}

/** Called in the EAL's SIGBUS handler. 0: handled; 1: not an address of this bus; -1: failed. */
static int
bus_sigbus(const void *addr)
{
	struct vfio_pci_device *dev;
	int rc = 1;

	vfio_pci_list_lock();
	TAILQ_FOREACH(dev, &vfio_pci_devices, next) {
		rc = vfio_pci_bars_sigbus(dev, addr);
		if (rc <= 0)
			break;
	}
	vfio_pci_list_unlock();
	return rc;
}

struct vfio_pci_bus vfio_pci_bus = {
	.bus =
		{
			.scan = bus_scan,
			.probe = bus_probe,
			.cleanup = bus_cleanup,
			.find_device = vfio_pci_find_device,
			.plug = bus_plug,
			.unplug = bus_unplug,
			.parse = bus_parse,
			.devargs_parse = vfio_pci_devargs_parse,
			.dma_map = vfio_pci_dma_map,
			.dma_unmap = vfio_pci_dma_unmap,
			.get_iommu_class = bus_iommu_class,
			.dev_iterate = vfio_pci_dev_iterate,
			.hot_unplug_handler = vfio_pci_hot_unplug,
			.sigbus_handler = bus_sigbus,
		},
	.drivers = TAILQ_HEAD_INITIALIZER(vfio_pci_bus.drivers),
};

/**
 * Register the bus, with the DPDK release only that this file was built for. struct rte_bus differs
 * between releases, but not between the updates of one (22.11.x).
 */
RTE_INIT_PRIO(vfio_pci_register_bus, BUS)
{
	char built[32];

	snprintf(built, sizeof(built), "DPDK %d.%02d.", RTE_VER_YEAR, RTE_VER_MONTH);
	if (strncmp(rte_version(), built, strlen(built)) != 0) {
		VFIO_PCI_LOG(ERR,
			"this plugin was built for DPDK %d.%02d and is not used by %s; "
			"load one that was built for that",
			RTE_VER_YEAR, RTE_VER_MONTH, rte_version());
		return;
	}
	vfio_pci_bus.bus.name = "vfio_pci";
	rte_bus_register(&vfio_pci_bus.bus);
}
