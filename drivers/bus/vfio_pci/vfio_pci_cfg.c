/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A device's configuration space: access, capabilities, the command register.
 *
 * The walk of a broken capability list ends with an error, never in an endless loop. Called by
 * vfio_pci_dev.c and vfio_pci_bar.c when a device is opened and closed, and by drivers.
 */

#include <errno.h>
#include <string.h>

#include <linux/pci_regs.h>

#include <rte_byteorder.h>

#include "vfio_pci_private.h"

int
vfio_pci_cfg_read(const struct vfio_pci_device *dev, void *buf, size_t len, uint32_t off)
{
	return vfio_pci_region_read(
		vfio_pci_inner(dev), VFIO_PCI_CONFIG_REGION_INDEX, buf, len, off);
}

int
vfio_pci_cfg_write(const struct vfio_pci_device *dev, const void *buf, size_t len, uint32_t off)
{
	return vfio_pci_region_write(
		vfio_pci_inner(dev), VFIO_PCI_CONFIG_REGION_INDEX, buf, len, off);
}

int
vfio_pci_cap_find(const uint8_t cfg[VFIO_PCI_CFG_LEN], uint8_t cap)
{
	bool seen[VFIO_PCI_CFG_LEN] = {false};
	uint16_t status;
	unsigned int at;

	memcpy(&status, &cfg[PCI_STATUS], sizeof(status));
	if ((rte_le_to_cpu_16(status) & PCI_STATUS_CAP_LIST) == 0)
		return 0;
	/* PCI Local Bus 3.0, 6.7: the two lowest bits of a pointer are reserved. */
	for (at = cfg[PCI_CAPABILITY_LIST] & ~3u; at != 0; at = cfg[at + PCI_CAP_LIST_NEXT] & ~3u) {
		if (at < PCI_STD_HEADER_SIZEOF)
			return -EBADMSG;
		if (seen[at])
			return -ELOOP;
		seen[at] = true;
		if (cfg[at + PCI_CAP_LIST_ID] == cap)
			return at;
	}
	return 0;
}

int
vfio_pci_find_capability(const struct vfio_pci_device *dev, uint8_t cap)
{
	uint8_t cfg[VFIO_PCI_CFG_LEN];
	int rc;

	rc = vfio_pci_cfg_read(dev, cfg, sizeof(cfg), 0);
	return rc < 0 ? rc : vfio_pci_cap_find(cfg, cap);
}

int
vfio_pci_command(const struct vfio_pci_device *dev, uint16_t clear, uint16_t set)
{
	uint16_t raw, was, is;
	int rc;

	rc = vfio_pci_cfg_read(dev, &raw, sizeof(raw), PCI_COMMAND);
	if (rc < 0)
		return rc;
	was = rte_le_to_cpu_16(raw);
	is = (was & ~clear) | set;
	if (is == was)
		return 0;
	raw = rte_cpu_to_le_16(is);
	return vfio_pci_cfg_write(dev, &raw, sizeof(raw), PCI_COMMAND);
}

int
vfio_pci_msix_table(
	const struct vfio_pci_device *dev, unsigned int *bar, struct vfio_pci_area *table)
{
	uint16_t flags;
	uint32_t where;
	int cap, rc;

	cap = vfio_pci_find_capability(dev, PCI_CAP_ID_MSIX);
	if (cap <= 0)
		return cap;
	rc = vfio_pci_cfg_read(dev, &flags, sizeof(flags), cap + PCI_MSIX_FLAGS);
	if (rc == 0)
		rc = vfio_pci_cfg_read(dev, &where, sizeof(where), cap + PCI_MSIX_TABLE);
	if (rc < 0)
		return rc;
	where = rte_le_to_cpu_32(where);
	*bar = where & PCI_MSIX_TABLE_BIR;
	table->start = where & PCI_MSIX_TABLE_OFFSET;
	table->last = table->start - 1 +
		PCI_MSIX_ENTRY_SIZE *
			((rte_le_to_cpu_16(flags) & PCI_MSIX_FLAGS_QSIZE) + UINT64_C(1));
	return 1;
}
