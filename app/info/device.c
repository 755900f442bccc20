/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A PCI device: what sysfs tells of it, and, if it can be attached now, what its IOMMU domain has.
 * Implements part of info.h.
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"

int
info_address(const char *text, char address[INFO_ADDRESS_MAX])
{
	unsigned int domain = 0, bus, slot, function;
	int end = -1;

	if (text[strspn(text, "0123456789abcdefABCDEF:.")] != '\0')
		return -EINVAL;
	if (sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) != 4 ||
		end < 0) {
		domain = 0;
		end = -1;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) != 3 || end < 0)
			return -EINVAL;
	}
	if (text[end] != '\0' || slot > 0x1f || function > 7)
		return -EINVAL;
	snprintf(address, INFO_ADDRESS_MAX, "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return 0;
}

/** A network interface of the device that is up (IFF_UP, 1, of linux/if.h). */
static void
device_find_netdev(const struct info_host *h, struct info_device *dev)
{
	json_t *names = info_list(h, "/sys/bus/pci/devices/%s/net", dev->address), *name;
	uint64_t flags;
	size_t i;

	json_array_foreach(names, i, name)
		if (info_number(h, &flags, "/sys/bus/pci/devices/%s/net/%s/flags", dev->address,
			    json_string_value(name)) &&
			(flags & 1))
			snprintf(dev->netdev, sizeof(dev->netdev), "%s", json_string_value(name));
	json_decref(names);
}

static void
device_find_cdev(const struct info_host *h, struct info_device *dev)
{
	json_t *names = info_list(h, "/sys/bus/pci/devices/%s/vfio-dev", dev->address);

	if (json_array_size(names) > 0)
		snprintf(dev->cdev, sizeof(dev->cdev), "%s",
			json_string_value(json_array_get(names, 0)));
	json_decref(names);
}

int
info_device_find(const struct info_host *h, const char *address, struct info_device *dev)
{
	char group[INFO_NAME_MAX], name[INFO_NAME_MAX];
	uint64_t node;

	*dev = (struct info_device){.group = -1, .node = -1};
	snprintf(dev->address, sizeof(dev->address), "%s", address);
	if (!info_exists(h, "/sys/bus/pci/devices/%s", address))
		return -ENODEV;
	info_link(h, dev->driver, sizeof(dev->driver), "/sys/bus/pci/devices/%s/driver", address);
	/* As libdmamap: vfio-pci and its variants, such as mlx5_vfio_pci. */
	dev->is_vfio = strstr(dev->driver, "vfio") != NULL;
	if (info_link(h, group, sizeof(group), "/sys/bus/pci/devices/%s/iommu_group", address) &&
		isdigit((unsigned char)group[0]))
		dev->group = atoi(group);
	if (dev->group >= 0 &&
		info_line(h, name, sizeof(name), "/sys/kernel/iommu_groups/%d/name", dev->group) ==
			0)
		dev->noiommu = strcmp(name, "vfio-noiommu") == 0;
	if (info_number(h, &node, "/sys/bus/pci/devices/%s/numa_node", address))
		dev->node = (int)node;
	device_find_netdev(h, dev);
	device_find_cdev(h, dev);
	return 0;
}

static void
device_put_id(const struct info_host *h, const char *address, const char *id, json_t *facts)
{
	char line[64];

	if (info_line(h, line, sizeof(line), "/sys/bus/pci/devices/%s/%s", address, id) == 0)
		info_put(facts, id, "%s", line);
}

/** What only an attach can tell. A device that is not bound to VFIO is not touched. */
static void
device_put_domain(const struct info_host *h, const struct info_device *dev, json_t *facts)
{
	json_t *inner = info_put_object(facts, "domain");
	struct info_domain d;

	if (!dev->is_vfio) {
		info_put(inner, "unknown", "bind it to vfio-pci to see its domain");
		return;
	}
	if (info_domain_open(&d, h, dev->address,
		    dev->noiommu ? DMAMAP_BACKEND_NOIOMMU : DMAMAP_BACKEND_AUTO) < 0) {
		info_put(inner, "unknown", "%s", d.said);
		return;
	}
	info_domain_facts(&d, inner);
	info_domain_close(&d);
}

static void
device_put_facts(const struct info_host *h, const struct info_device *dev, json_t *facts)
{
	static const char *const ids[] = {"vendor", "device", "class"};
	char override[INFO_NAME_MAX];
	unsigned int i;

	info_put(facts, "address", "%s", dev->address);
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		device_put_id(h, dev->address, ids[i], facts);
	info_put(facts, "driver", "%s", dev->driver[0] != '\0' ? dev->driver : "none");
	if (info_line(h, override, sizeof(override), "/sys/bus/pci/devices/%s/driver_override",
		    dev->address) == 0 &&
		override[0] != '\0' && strcmp(override, "(null)") != 0)
		info_put(facts, "driver_override", "%s", override);
	if (dev->netdev[0] != '\0')
		info_put(facts, "interface_that_is_up", "%s", dev->netdev);
	if (dev->cdev[0] != '\0')
		info_put(facts, "device_file", "/dev/vfio/devices/%s", dev->cdev);
	if (dev->node >= 0)
		info_put_int(facts, "node", (uint64_t)dev->node);
	if (dev->noiommu)
		info_put(facts, "protection", "none: VFIO holds it without an IOMMU");
	info_device_iommu(h, dev->address, facts);
	if (dev->group >= 0)
		info_group_facts(h, dev->group, info_put_object(facts, "group"));
	else
		info_put(facts, "group", "none");
	device_put_domain(h, dev, facts);
}

int
info_device(const struct info_host *h, const char *name, json_t *facts)
{
	char address[INFO_ADDRESS_MAX];
	struct info_device dev;

	if (info_address(name, address) < 0)
		return info_fail(h, INFO_USAGE, "%s: not a PCI address such as 0000:01:00.0", name);
	if (info_device_find(h, address, &dev) < 0)
		return info_fail(
			h, INFO_FAILED, "%s: no such PCI device (lspci -D lists them)", address);
	device_put_facts(h, &dev, facts);
	return INFO_OK;
}
