/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The primary process's devices, for secondary processes that cannot name them: dpdk-dumpcap has no
 * option for devices.
 *
 * The names are in a memzone, which is shared memory. Only the primary process writes it, and lists
 * only devices whose driver has a part for secondary processes. Called by vfio_pci.c at probe and
 * removal.
 */

#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_dev.h>
#include <rte_memzone.h>
#include <rte_string_fns.h>

#include "vfio_pci_private.h"

#define ZONE_NAME "gantry_vfio_pci"
#define SLOTS 128

/** The contents of the memzone. */
struct shared_names {
	char name[SLOTS][PCI_PRI_STR_SIZE + 1]; /**< "": a free slot */
};

static struct shared_names *
shared_names_get(void)
{
	const struct rte_memzone *zone = rte_memzone_lookup(ZONE_NAME);

	return zone != NULL ? zone->addr : NULL;
}

static struct shared_names *
shared_names_make(void)
{
	const struct rte_memzone *zone;

	zone = rte_memzone_reserve(ZONE_NAME, sizeof(struct shared_names), SOCKET_ID_ANY, 0);
	if (zone == NULL)
		return NULL;
	memset(zone->addr, 0, sizeof(struct shared_names));
	return zone->addr;
}

void
vfio_pci_shared_add(const struct vfio_pci_device *dev)
{
	struct shared_names *names = shared_names_get();
	unsigned int i;

	if (dev->driver->secondary_probe == NULL)
		return;
	if (names == NULL)
		names = shared_names_make();
	for (i = 0; names != NULL && i < SLOTS; i++)
		if (names->name[i][0] == '\0') {
			strlcpy(names->name[i], dev->name, sizeof(names->name[i]));
			return;
		}
	VFIO_PCI_LOG(
		WARNING, "%s: secondary processes have to name it to see it: no memory", dev->name);
}

void
vfio_pci_shared_remove(const struct vfio_pci_device *dev)
{
	struct shared_names *names = shared_names_get();
	unsigned int i;

	for (i = 0; names != NULL && i < SLOTS; i++)
		if (strcmp(names->name[i], dev->name) == 0)
			names->name[i][0] = '\0';
}

void
vfio_pci_shared_name_all(void)
{
	const struct shared_names *names = shared_names_get();
	char text[sizeof("vfio_pci:") + sizeof(names->name[0])];
	unsigned int i;

	for (i = 0; names != NULL && i < SLOTS; i++) {
		if (names->name[i][0] == '\0')
			continue;
		snprintf(
			text, sizeof(text), "vfio_pci:%.*s", (int)PCI_PRI_STR_SIZE, names->name[i]);
		if (rte_devargs_add(RTE_DEVTYPE_ALLOWED, text) < 0)
			VFIO_PCI_LOG(ERR, "%s: cannot be named: no memory", text);
	}
}
