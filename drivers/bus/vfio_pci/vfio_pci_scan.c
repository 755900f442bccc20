/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which devices are on the bus? Those that the operator named and the kernel knows, and no other.
 */

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_memory.h>
#include <rte_string_fns.h>

#include "vfio_pci_private.h"

#define BUS_PREFIX "vfio_pci:"

const char *vfio_pci_sysfs = "/sys/bus/pci/devices";

int
vfio_pci_parse_name(const char *name, bool bare, struct rte_pci_addr *addr)
{
	if (strncmp(name, BUS_PREFIX, strlen(BUS_PREFIX)) == 0)
		name += strlen(BUS_PREFIX);
	else if (!bare)
		return -EINVAL;
	/* A sign or blanks would pass the library's strtoul(). */
	if (name[strspn(name, "0123456789abcdefABCDEF:.")] != '\0')
		return -EINVAL;
	if (rte_pci_addr_parse(name, addr) < 0)
		return -EINVAL;
	/* PCI Local Bus 3.0, 3.2.2.3.4: 32 devices a bus, 8 functions a device. */
	return addr->devid < 32 && addr->function < 8 ? 0 : -EINVAL;
}

/** Read one number of a device's folder; def if the file is not there. */
static int
read_number(const char *name, const char *file, long def, long *value)
{
	char path[PATH_MAX], text[32], *end;
	FILE *f;
	int rc = -EIO;

	snprintf(path, sizeof(path), "%s/%s/%s", vfio_pci_sysfs, name, file);
	f = fopen(path, "r");
	if (f == NULL) {
		*value = def;
		return errno == ENOENT && def != LONG_MIN ? 0 : -errno;
	}
	if (fgets(text, sizeof(text), f) != NULL) {
		errno = 0;
		*value = strtol(text, &end, 0);
		if (errno == 0 && end != text && (*end == '\n' || *end == '\0'))
			rc = 0;
	}
	fclose(f);
	return rc;
}

static int
read_ids(struct vfio_pci_device *dev)
{
	long vendor, device, sub_vendor, sub_device, class_id, node;
	const char *name = dev->name;

	if (read_number(name, "vendor", LONG_MIN, &vendor) < 0 ||
		read_number(name, "device", LONG_MIN, &device) < 0 ||
		read_number(name, "subsystem_vendor", 0, &sub_vendor) < 0 ||
		read_number(name, "subsystem_device", 0, &sub_device) < 0 ||
		read_number(name, "class", LONG_MIN, &class_id) < 0 ||
		read_number(name, "numa_node", -1, &node) < 0)
		return VFIO_PCI_FAIL(
			EIO, "%s: its ids in %s/%s cannot be read", name, vfio_pci_sysfs, name);
	dev->id = (struct rte_pci_id){
		.vendor_id = vendor,
		.device_id = device,
		.subsystem_vendor_id = sub_vendor,
		.subsystem_device_id = sub_device,
		.class_id = class_id & RTE_CLASS_ANY_ID,
	};
	dev->device.numa_node = node < 0 ? SOCKET_ID_ANY : (int)node;
	return 0;
}

static bool
kernel_knows(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", vfio_pci_sysfs, name);
	return access(path, F_OK) == 0;
}

static struct vfio_pci_device *
find_address(const struct rte_pci_addr *addr)
{
	struct vfio_pci_device *dev;

	TAILQ_FOREACH(dev, &vfio_pci_bus.devices, next)
		if (rte_pci_addr_cmp(&dev->addr, addr) == 0)
			return dev;
	return NULL;
}

static void
insert_sorted(struct vfio_pci_device *dev)
{
	struct vfio_pci_device *after;

	TAILQ_FOREACH(after, &vfio_pci_bus.devices, next)
		if (rte_pci_addr_cmp(&dev->addr, &after->addr) < 0) {
			TAILQ_INSERT_BEFORE(after, dev, next);
			return;
		}
	TAILQ_INSERT_TAIL(&vfio_pci_bus.devices, dev, next);
}

static void
free_device(struct vfio_pci_device *dev)
{
	/* The EAL declares it const; asprintf() made it. */
	free((void *)(uintptr_t)dev->device.bus_info);
	free(vfio_pci_inner(dev));
}

static void unblock_pci(struct vfio_pci_device *dev);

/** Take a closed device off the bus. */
static void
drop_device(struct vfio_pci_device *dev)
{
	TAILQ_REMOVE(&vfio_pci_bus.devices, dev, next);
	unblock_pci(dev);
	free_device(dev);
}

static int
add_device(const struct rte_pci_addr *addr, struct rte_devargs *da)
{
	struct vfio_pci_inner *inner;
	struct vfio_pci_device *dev;
	char *info = NULL;
	int rc;

	inner = calloc(1, sizeof(*inner));
	if (inner == NULL)
		return VFIO_PCI_FAIL(ENOMEM, "%s: out of memory", da->name);
	dev = &inner->dev;
	dev->addr = *addr;
	rte_pci_device_name(addr, dev->name, sizeof(dev->name));
	dev->device.name = dev->name;
	dev->device.bus = &vfio_pci_bus.bus;
	dev->device.devargs = da;

	rc = read_ids(dev);
	if (rc < 0)
		goto fail;
	if (asprintf(&info, "vendor_id=%" PRIx16 ", device_id=%" PRIx16, dev->id.vendor_id,
		    dev->id.device_id) < 0) {
		rc = VFIO_PCI_FAIL(ENOMEM, "%s: out of memory", da->name);
		goto fail;
	}
	dev->device.bus_info = info;
	insert_sorted(dev);
	/* If it is too late for that, the device is refused when it is probed. */
	vfio_pci_block_pci(dev);
	return 0;

fail:
	free(inner);
	return rc;
}

/** The devargs of a bus for an address, or NULL. */
static struct rte_devargs *
find_devargs(const char *bus, const struct rte_pci_addr *addr, const struct rte_devargs *but)
{
	struct rte_pci_addr theirs;
	struct rte_devargs *da;

	RTE_EAL_DEVARGS_FOREACH(bus, da) {
		if (da != but && vfio_pci_parse_name(da->name, true, &theirs) == 0 &&
			rte_pci_addr_cmp(&theirs, addr) == 0)
			return da;
	}
	return NULL;
}

/**
 * The EAL knows devargs by their text, devices by their names. Text that says the same in another
 * way (with the bus's name before the address, without the domain) becomes the device's name here,
 * and what was there before under that name goes.
 */
static void
make_canonical(struct rte_devargs *da, const struct rte_pci_addr *addr)
{
	struct rte_devargs *old;
	char name[RTE_DEV_NAME_MAX_LEN];

	rte_pci_device_name(addr, name, sizeof(name));
	if (strcmp(name, da->name) == 0)
		return;
	old = find_devargs(vfio_pci_bus.bus.name, addr, da);
	if (old != NULL)
		rte_devargs_remove(old);
	strlcpy(da->name, name, sizeof(da->name));
}

static int
scan_one(struct rte_devargs *da)
{
	struct vfio_pci_device *dev;
	struct rte_pci_addr addr;
	char name[RTE_DEV_NAME_MAX_LEN];
	bool fresh;

	if (vfio_pci_parse_name(da->name, true, &addr) < 0)
		return VFIO_PCI_FAIL(
			EINVAL, "a device without an address is named; say addr=0000:01:00.0");
	rte_pci_device_name(&addr, name, sizeof(name));
	fresh = strcmp(name, da->name) != 0 || da->bus_str != NULL;
	make_canonical(da, &addr);
	dev = find_address(&addr);
	if (dev != NULL)
		dev->device.devargs = da;

	if (kernel_knows(name))
		return dev != NULL ? 0 : add_device(&addr, da);
	if (dev != NULL && !rte_dev_is_probed(&dev->device))
		drop_device(dev);
	if (dev == NULL && fresh)
		VFIO_PCI_LOG(ERR, "%s: no such device; `lspci -D` lists what there is", name);
	return -ENODEV;
}

/**
 * What fails here has had its line and is not on the bus. It is no failure of the scan, which is
 * run again for each device that is plugged in later.
 */
int
vfio_pci_scan(void)
{
	struct rte_devargs *da;

	RTE_EAL_DEVARGS_FOREACH(vfio_pci_bus.bus.name, da) {
		if (da->policy != RTE_DEV_ALLOWED)
			continue;
		scan_one(da);
	}
	return 0;
}

static int
name_cmp(const struct rte_device *device, const void *name)
{
	return strcmp(device->name, name);
}

/**
 * The pci bus, which may have scanned already, looks at its device's devargs when it probes; so
 * they are set there too. An operator's own block stands for ours.
 */
int
vfio_pci_block_pci(struct vfio_pci_device *dev)
{
	struct rte_bus *pci = rte_bus_find_by_name("pci");
	struct rte_device *theirs;
	struct rte_devargs *da;
	char text[RTE_DEV_NAME_MAX_LEN];

	if (pci == NULL)
		return 0;
	theirs = pci->find_device(NULL, name_cmp, dev->name);
	if (theirs != NULL && rte_dev_is_probed(theirs))
		return -EBUSY;
	da = find_devargs("pci", &dev->addr, NULL);
	if (da == NULL) {
		snprintf(text, sizeof(text), "pci:%s", dev->name);
		if (rte_devargs_add(RTE_DEVTYPE_BLOCKED, text) < 0)
			return -EBUSY;
		da = find_devargs("pci", &dev->addr, NULL);
		vfio_pci_inner(dev)->pci_blocked = true;
	}
	if (da == NULL || da->policy != RTE_DEV_BLOCKED)
		return -EBUSY;
	if (theirs != NULL)
		theirs->devargs = da;
	return 0;
}

/** Undo vfio_pci_block_pci(), unless the block was the operator's. */
static void
unblock_pci(struct vfio_pci_device *dev)
{
	struct rte_bus *pci = rte_bus_find_by_name("pci");
	struct rte_device *theirs;
	struct rte_devargs *da;

	if (pci == NULL || !vfio_pci_inner(dev)->pci_blocked)
		return;
	da = find_devargs("pci", &dev->addr, NULL);
	if (da == NULL || da->policy != RTE_DEV_BLOCKED)
		return;
	theirs = pci->find_device(NULL, name_cmp, dev->name);
	if (theirs != NULL && theirs->devargs == da)
		theirs->devargs = NULL;
	rte_devargs_remove(da);
	vfio_pci_inner(dev)->pci_blocked = false;
}

void
vfio_pci_forget(struct vfio_pci_device *dev)
{
	struct rte_devargs *da = dev->device.devargs;

	drop_device(dev);
	rte_devargs_remove(da);
}
