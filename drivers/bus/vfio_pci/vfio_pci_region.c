/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The regions of a device's VFIO file: their layout, the kernel's description of them, and access
 * by pread() and pwrite().
 *
 * No access leaves its region. Called by vfio_pci_dev.c, vfio_pci_cfg.c and vfio_pci_bar.c.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#include "vfio_pci_private.h"

struct vfio_region_info *
vfio_pci_region_info(const struct vfio_pci_inner *inner, unsigned int index)
{
	struct vfio_region_info probe = {.argsz = sizeof(probe), .index = index}, *info;

	if (dmamap_device_ioctl(inner->dev.dma, VFIO_DEVICE_GET_REGION_INFO, &probe) < 0)
		return NULL;
	info = calloc(1, RTE_MAX(probe.argsz, (uint32_t)sizeof(*info)));
	if (info == NULL)
		return NULL;
	info->argsz = RTE_MAX(probe.argsz, (uint32_t)sizeof(*info));
	info->index = index;
	if (dmamap_device_ioctl(inner->dev.dma, VFIO_DEVICE_GET_REGION_INFO, info) < 0) {
		free(info);
		return NULL;
	}
	return info;
}

const void *
vfio_pci_region_cap(const struct vfio_region_info *info, uint16_t id, size_t len)
{
	const struct vfio_info_cap_header *cap;
	uint32_t at, before = 0;

	if ((info->flags & VFIO_REGION_INFO_FLAG_CAPS) == 0)
		return NULL;
	for (at = info->cap_offset; at > before; before = at, at = cap->next) {
		if (at > info->argsz - sizeof(*cap) || info->argsz < sizeof(*cap))
			return NULL;
		cap = RTE_PTR_ADD(info, at);
		if (cap->id == id)
			return len <= info->argsz - at ? cap : NULL;
	}
	return NULL;
}

int
vfio_pci_regions_read(struct vfio_pci_inner *inner, unsigned int n_regions)
{
	unsigned int i;
	int rc;

	for (i = 0; i < RTE_MIN(n_regions, RTE_DIM(inner->region)); i++) {
		struct vfio_region_info info = {.argsz = sizeof(info), .index = i};

		inner->region[i] = (struct vfio_pci_region){0};
		rc = dmamap_device_ioctl(inner->dev.dma, VFIO_DEVICE_GET_REGION_INFO, &info);
		if (rc < 0) {
			/* Some regions exist for some devices only, VGA for example. */
			if (i > VFIO_PCI_BAR5_REGION_INDEX && i != VFIO_PCI_CONFIG_REGION_INDEX)
				continue;
			return VFIO_PCI_FAIL(-rc,
				"%s: VFIO_DEVICE_GET_REGION_INFO failed for region %u: %s",
				inner->dev.name, i, strerror(-rc));
		}
		inner->region[i] = (struct vfio_pci_region){
			.offset = info.offset, .len = info.size, .flags = info.flags};
	}
	return 0;
}

static bool
region_contains(const struct vfio_pci_region *region, size_t len, uint64_t off)
{
	return len <= region->len && off <= region->len - len;
}

int
vfio_pci_region_read(
	const struct vfio_pci_inner *inner, unsigned int index, void *buf, size_t len, uint64_t off)
{
	const struct vfio_pci_region *region = &inner->region[index];

	if (!region_contains(region, len, off))
		return -EINVAL;
	if (pread(vfio_pci_fd(&inner->dev), buf, len, region->offset + off) != (ssize_t)len)
		return VFIO_PCI_FAIL(EIO,
			"%s: region %u cannot be read at 0x%" PRIx64
			": check that the device is still there",
			inner->dev.name, index, off);
	return 0;
}

int
vfio_pci_region_write(const struct vfio_pci_inner *inner, unsigned int index, const void *buf,
	size_t len, uint64_t off)
{
	const struct vfio_pci_region *region = &inner->region[index];

	if (!region_contains(region, len, off))
		return -EINVAL;
	if (pwrite(vfio_pci_fd(&inner->dev), buf, len, region->offset + off) != (ssize_t)len)
		return VFIO_PCI_FAIL(EIO,
			"%s: region %u cannot be written at 0x%" PRIx64
			": check that the device is still there",
			inner->dev.name, index, off);
	return 0;
}
