/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Resets of a PCI bus: VFIO_DEVICE_GET_PCI_HOT_RESET_INFO and VFIO_DEVICE_PCI_HOT_RESET, with the
 * checks and errors of Linux (drivers/vfio/pci/vfio_pci_core.c). Called by mock_device.c.
 *
 * A reset affects all devices with the bus number of the one that is reset. Bus 0 is the root bus,
 * which has no bridge above it that could reset it.
 */

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include <linux/vfio.h>

#include "iommufd_abi.h"
#include "mock_priv.h"

/** Where a device is on the PCI bus. */
struct place {
	unsigned int segment, bus, slot, function;
};

/** @return false: the name is no PCI address */
static bool
place_of(const struct mock_device *dev, struct place *p)
{
	return sscanf(dev->name, "%x:%x:%x.%x", &p->segment, &p->bus, &p->slot, &p->function) == 4;
}

/** The next device, after `dev` or (NULL) from the first on, that a reset of that bus affects. */
static struct mock_device *
affected_next(struct vfio_mock *m, struct mock_device *dev, const struct place *bus)
{
	struct place p;

	dev = dev == NULL ? TAILQ_FIRST(&m->devices) : TAILQ_NEXT(dev, next);
	for (; dev != NULL; dev = TAILQ_NEXT(dev, next))
		if (place_of(dev, &p) && p.segment == bus->segment && p.bus == bus->bus)
			return dev;
	return NULL;
}

/** vfio_iommufd_get_dev_id(), as the answer has it. */
static uint32_t
affected_id(const struct mock_device *dev, const struct mock_ctx *ctx)
{
	const struct mock_device *other;

	if (!mock_is_vfio(dev))
		return ABI_VFIO_DEVID_NOT_OWNED;
	if (dev->ctx == ctx)
		return dev->id;
	TAILQ_FOREACH(other, &dev->group->devices, in_group)
		if (other->ctx == ctx)
			return ABI_VFIO_DEVID_OWNED;
	return ABI_VFIO_DEVID_NOT_OWNED;
}

static int
hot_reset_info(struct vfio_mock *m, const struct mock_file *file, const struct place *bus,
	struct vfio_pci_hot_reset_info *info)
{
	const size_t min = offsetof(struct vfio_pci_hot_reset_info, devices);
	const bool by_id = file->kind == MOCK_CDEV;
	struct mock_device *dev = NULL;
	struct place p;
	size_t capacity;

	if (info->argsz < min)
		return -EINVAL;
	if (bus->bus == 0)
		return -ENODEV;
	capacity = (info->argsz - min) / sizeof(info->devices[0]);
	info->flags = by_id ? ABI_VFIO_HOT_RESET_DEV_ID | ABI_VFIO_HOT_RESET_DEV_ID_OWNED : 0;
	info->count = 0;
	while ((dev = affected_next(m, dev, bus)) != NULL) {
		if (info->count++ >= capacity)
			continue;
		place_of(dev, &p);
		info->devices[info->count - 1] = (struct vfio_pci_dependent_device){
			.group_id = by_id ? affected_id(dev, file->device->ctx)
					  : (uint32_t)dev->group->id,
			.segment = p.segment,
			.bus = p.bus,
			.devfn = p.slot << 3 | p.function};
		if (by_id && info->devices[info->count - 1].group_id == ABI_VFIO_DEVID_NOT_OWNED)
			info->flags &= ~ABI_VFIO_HOT_RESET_DEV_ID_OWNED;
	}
	return info->count > capacity ? -ENOSPC : 0;
}

/** Whether a group's file is among the descriptors. */
static bool
group_is_given(
	struct vfio_mock *m, const struct mock_group *group, const struct vfio_pci_hot_reset *reset)
{
	uint32_t i;

	for (i = 0; i < reset->count; i++)
		if (mock_file_get(m, reset->group_fds[i])->group == group)
			return true;
	return false;
}

/** Check the descriptors of groups. */
static int
groups_check(struct vfio_mock *m, const struct place *bus, const struct vfio_pci_hot_reset *reset)
{
	struct mock_device *dev = NULL;
	const struct mock_file *file;
	uint32_t i, n = 0;

	while ((dev = affected_next(m, dev, bus)) != NULL)
		n++;
	if (reset->count > n)
		return -EINVAL;
	for (i = 0; i < reset->count; i++) {
		file = mock_file_get(m, reset->group_fds[i]);
		if (file == NULL || file->kind != MOCK_GROUP)
			return file == NULL ? -EBADF : -EINVAL;
	}
	return 0;
}

static int
hot_reset(struct vfio_mock *m, const struct mock_file *file, const struct place *bus,
	const struct vfio_pci_hot_reset *reset)
{
	const bool is_cdev = file->kind == MOCK_CDEV;
	struct mock_device *dev = NULL;
	int rc;

	if (reset->argsz < offsetof(struct vfio_pci_hot_reset, group_fds) || reset->flags != 0 ||
		(reset->count != 0) == is_cdev)
		return -EINVAL;
	if (bus->bus == 0)
		return -ENODEV;
	rc = groups_check(m, bus, reset);
	if (rc < 0)
		return rc;
	/* vfio_pci_dev_set_resettable(), then whether each device belongs to the caller. */
	while ((dev = affected_next(m, dev, bus)) != NULL)
		if (!mock_is_vfio(dev) ||
			(is_cdev ? affected_id(dev, file->device->ctx) == ABI_VFIO_DEVID_NOT_OWNED
				 : !group_is_given(m, dev->group, reset)))
			return -EINVAL;
	while ((dev = affected_next(m, dev, bus)) != NULL)
		if (dev->vdev != NULL)
			mock_vdev_hot_reset(dev->vdev);
	return 0;
}

int
mock_hot_reset_ioctl(
	struct vfio_mock *m, const struct mock_file *file, unsigned long request, unsigned long arg)
{
	struct place bus;

	/* vfio-pci alone has these requests, so a device of another bus does not know them. */
	if (!place_of(file->device, &bus))
		return -ENOTTY;
	return request == VFIO_DEVICE_PCI_HOT_RESET ? hot_reset(m, file, &bus, (const void *)arg)
						    : hot_reset_info(m, file, &bus, (void *)arg);
}
