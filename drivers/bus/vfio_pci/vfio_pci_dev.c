/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Opening and closing a device; reset, power and bus mastering.
 *
 * An open device is attached to a container, was reset, and its BARs are mapped. While bus
 * mastering is on, the device is held in its container, so its memory stays mapped. Called by
 * vfio_pci.c around a driver's probe and remove, and by drivers.
 */

#include <errno.h>
#include <string.h>

#include <linux/pci_regs.h>

#include <rte_byteorder.h>
#include <rte_errno.h>

#include "vfio_pci_private.h"

/* PCI Bus Power Management 1.2, 3.2.4: the field PowerState. */
#define PCI_PM_STATE_D0 0
#define PCI_PM_STATE_D3HOT 3

static int
device_info_read(struct vfio_pci_inner *inner, unsigned int *n_regions)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	int rc;

	rc = dmamap_device_ioctl(inner->dev.dma, VFIO_DEVICE_GET_INFO, &info);
	if (rc < 0)
		return VFIO_PCI_FAIL(
			-rc, "%s: VFIO_DEVICE_GET_INFO failed: %s", inner->dev.name, strerror(-rc));
	if ((info.flags & VFIO_DEVICE_FLAGS_PCI) == 0 ||
		info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX)
		return VFIO_PCI_FAIL(ENODEV, "%s: not a PCI device of VFIO: bind it to vfio-pci",
			inner->dev.name);
	inner->can_reset = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
	*n_regions = info.num_regions;
	return 0;
}

/**
 * Reset the function, or if it cannot be reset alone the slot or bus that it is on.
 * @param optional  the caller can do without a reset of the slot or bus: a failure is -ENOTSUP.
 * @return 0; -ENOTSUP: it has no reset; the kernel's error, which is logged unless can_reset is set
 */
static int
device_reset(const struct vfio_pci_device *dev, bool optional)
{
	int rc;

	if (vfio_pci_inner(dev)->can_reset)
		return dmamap_device_ioctl(dev->dma, VFIO_DEVICE_RESET, NULL);
	rc = dmamap_device_hot_reset(dev->dma, optional ? DMAMAP_HOT_RESET_TRY : 0);
	return rc < 0 && optional ? -ENOTSUP : rc;
}

static int
device_fail_reset(const struct vfio_pci_device *dev, int rc)
{
	return VFIO_PCI_FAIL(-rc, "%s: cannot be reset: %s", dev->name, rte_strerror(-rc));
}

/** Stop DMA that an earlier user left running, reset, then turn memory decoding on. */
static int
device_prepare(struct vfio_pci_inner *inner)
{
	struct vfio_pci_device *dev = &inner->dev;
	int rc;

	rc = vfio_pci_command(dev, PCI_COMMAND_MASTER, 0);
	if (rc < 0)
		return rc;
	rc = device_reset(dev, true);
	if (rc < 0 && rc != -ENOTSUP)
		return device_fail_reset(dev, rc);
	return vfio_pci_command(dev, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
}

int
vfio_pci_open(struct vfio_pci_inner *inner, const struct vfio_pci_params *params)
{
	unsigned int n_regions = 0;
	int rc;

	rc = vfio_pci_container_join(inner, params);
	if (rc < 0)
		return rc;
	rc = device_info_read(inner, &n_regions);
	if (rc < 0)
		goto leave;
	rc = vfio_pci_regions_read(inner, n_regions);
	if (rc < 0)
		goto leave;
	rc = device_prepare(inner);
	if (rc < 0)
		goto leave;
	rc = vfio_pci_bars_map(inner);
	if (rc < 0)
		goto quiet;
	rc = vfio_pci_intr_open(inner);
	if (rc < 0)
		goto unmap;
	rc = vfio_pci_events_listen(inner);
	if (rc < 0)
		goto close_intr;
	return 0;

close_intr:
	vfio_pci_intr_close(inner);
unmap:
	vfio_pci_bars_unmap(inner);
quiet:
	vfio_pci_command(&inner->dev, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY | PCI_COMMAND_IO, 0);
leave:
	vfio_pci_container_leave(inner);
	return rc;
}

void
vfio_pci_close(struct vfio_pci_inner *inner)
{
	struct vfio_pci_device *dev = &inner->dev;
	int rc;

	vfio_pci_events_ignore(inner);
	vfio_pci_intr_close(inner);
	vfio_pci_bus_master(dev, false);
	rc = device_reset(dev, true);
	/* -EAGAIN: the kernel is removing the device, has it locked, and resets it afterwards. */
	if (rc < 0 && rc != -ENOTSUP && rc != -EAGAIN)
		device_fail_reset(dev, rc);
	vfio_pci_bars_unmap(inner);
	vfio_pci_container_leave(inner);
}

int
vfio_pci_bus_master(struct vfio_pci_device *dev, bool on)
{
	struct vfio_pci_inner *inner = vfio_pci_inner(dev);
	int rc;

	if (inner->master == on)
		return 0;
	rc = vfio_pci_command(dev, PCI_COMMAND_MASTER, on ? PCI_COMMAND_MASTER : 0);
	/* A device that no longer answers is released all the same. */
	if (rc < 0 && on)
		return rc;
	if (on)
		dmamap_device_hold(dev->dma);
	else
		dmamap_device_release(dev->dma);
	inner->master = on;
	return rc;
}

int
vfio_pci_reset(struct vfio_pci_device *dev)
{
	int rc = device_reset(dev, false);

	if (rc < 0 && vfio_pci_inner(dev)->can_reset)
		return device_fail_reset(dev, rc);
	return rc < 0 ? rc : vfio_pci_bars_restore(vfio_pci_inner(dev));
}

int
vfio_pci_hot_reset(struct vfio_pci_device *dev)
{
	struct vfio_pci_device *other;
	int rc, result;

	result = dmamap_device_hot_reset(dev->dma, DMAMAP_HOT_RESET_OTHERS);
	if (result < 0)
		return result;
	/* All that were reset are in this container. */
	TAILQ_FOREACH(other, &vfio_pci_devices, next) {
		if (other->dma == NULL || other->container != dev->container)
			continue;
		rc = vfio_pci_bars_restore(vfio_pci_inner(other));
		result = result < 0 ? result : rc;
	}
	return result;
}

int
vfio_pci_power(struct vfio_pci_device *dev, bool on)
{
	const uint16_t state = on ? PCI_PM_STATE_D0 : PCI_PM_STATE_D3HOT;
	uint16_t raw;
	int cap, rc;

	cap = vfio_pci_find_capability(dev, PCI_CAP_ID_PM);
	if (cap <= 0)
		return cap < 0 ? cap : -ENOTSUP;
	rc = vfio_pci_cfg_read(dev, &raw, sizeof(raw), cap + PCI_PM_CTRL);
	if (rc < 0)
		return rc;
	raw = rte_cpu_to_le_16((rte_le_to_cpu_16(raw) & ~PCI_PM_CTRL_STATE_MASK) | state);
	/* The kernel waits as long as the device needs (vfio_pm_config_write()). */
	rc = vfio_pci_cfg_write(dev, &raw, sizeof(raw), cap + PCI_PM_CTRL);
	if (rc < 0 || !on)
		return rc;
	rc = vfio_pci_command(dev, 0, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	return rc < 0 ? rc : vfio_pci_bars_restore(vfio_pci_inner(dev));
}
