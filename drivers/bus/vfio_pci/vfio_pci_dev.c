/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does a device come to life, and how does it end? Open, reset, bus mastering, close.
 */

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/pci_regs.h>

#include <rte_errno.h>

#include "vfio_pci_private.h"

static int
device_info(struct vfio_pci_inner *inner, unsigned int *n_regions)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};

	if (ioctl(vfio_pci_fd(&inner->dev), VFIO_DEVICE_GET_INFO, &info) < 0)
		return VFIO_PCI_FAIL(errno, "%s: VFIO does not describe it: %s", inner->dev.name,
			strerror(errno));
	if ((info.flags & VFIO_DEVICE_FLAGS_PCI) == 0 ||
		info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX)
		return VFIO_PCI_FAIL(
			ENODEV, "%s: VFIO does not have it as a PCI device", inner->dev.name);
	inner->can_reset = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
	*n_regions = info.num_regions;
	return 0;
}

/** VFIO_DEVICE_RESET; silent. */
static int
reset(const struct vfio_pci_device *dev)
{
	if (!vfio_pci_inner(dev)->can_reset)
		return -ENOTSUP;
	return ioctl(vfio_pci_fd(dev), VFIO_DEVICE_RESET) < 0 ? -errno : 0;
}

/** Quiet and reset, whatever somebody else left running; then memory decoding on. */
static int
make_ready(struct vfio_pci_inner *inner)
{
	struct vfio_pci_device *dev = &inner->dev;
	int rc;

	rc = vfio_pci_command(dev, PCI_COMMAND_MASTER, 0);
	if (rc < 0)
		return rc;
	rc = vfio_pci_reset(dev);
	if (rc < 0 && rc != -ENOTSUP)
		return rc;
	return vfio_pci_command(dev, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
}

int
vfio_pci_open(struct vfio_pci_inner *inner, const struct vfio_pci_params *params)
{
	unsigned int n_regions = 0;
	int rc;

	rc = vfio_pci_space_join(inner, params);
	if (rc < 0)
		return rc;
	rc = device_info(inner, &n_regions);
	if (rc < 0)
		goto leave;
	rc = vfio_pci_regions_read(inner, n_regions);
	if (rc < 0)
		goto leave;
	rc = make_ready(inner);
	if (rc < 0)
		goto leave;
	rc = vfio_pci_bars_map(inner);
	if (rc < 0)
		goto quiet;
	rc = vfio_pci_intr_open(inner);
	if (rc < 0)
		goto unmap;
	return 0;

unmap:
	vfio_pci_bars_unmap(inner);
quiet:
	vfio_pci_command(&inner->dev, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY | PCI_COMMAND_IO, 0);
leave:
	vfio_pci_space_leave(inner);
	return rc;
}

void
vfio_pci_close(struct vfio_pci_inner *inner)
{
	struct vfio_pci_device *dev = &inner->dev;
	int rc;

	vfio_pci_intr_close(inner);
	vfio_pci_bus_master(dev, false);
	rc = reset(dev);
	/* A kernel that is taking the device away has it locked, and resets it afterwards. */
	if (rc < 0 && rc != -ENOTSUP && rc != -EAGAIN)
		VFIO_PCI_LOG(ERR, "%s: cannot be reset: %s", dev->name, rte_strerror(-rc));
	vfio_pci_bars_unmap(inner);
	vfio_pci_space_leave(inner);
}

int
vfio_pci_bus_master(struct vfio_pci_device *dev, bool on)
{
	struct vfio_pci_inner *inner = vfio_pci_inner(dev);
	int rc;

	if (inner->master == on)
		return 0;
	rc = vfio_pci_command(dev, PCI_COMMAND_MASTER, on ? PCI_COMMAND_MASTER : 0);
	/* A device that cannot be reached any more is not held either. */
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
	int rc = reset(dev);

	if (rc < 0 && rc != -ENOTSUP)
		VFIO_PCI_LOG(ERR, "%s: cannot be reset: %s", dev->name, rte_strerror(-rc));
	return rc;
}
