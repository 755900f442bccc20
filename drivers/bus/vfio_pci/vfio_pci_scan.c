/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The scan: it lists exactly the devices that the operator named and that the kernel has.
 *
 * A device on the list is blocked on DPDK's own pci bus. Called by the EAL at start and before each
 * hotplug, and by vfio_pci.c when a device is removed.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_memory.h>
#include <rte_string_fns.h>

#include "vfio_pci_private.h"

/** @see struct vfio_pci_sysfs.read_file */
static int
linux_read_file(void *arg, const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	ssize_t len;

	RTE_SET_USED(arg);
	if (fd < 0)
		return -errno;
	len = read(fd, buf, size);
	rc = len < 0 ? -errno : (size_t)len == size ? -EFBIG : (int)len;
	close(fd);
	buf[rc < 0 ? 0 : rc] = '\0';
	return rc;
}

struct vfio_pci_sysfs vfio_pci_sysfs = {.sysfs = "/sys", .read_file = linux_read_file};

/** Read a small file in a device's folder. @return 0, or a negative errno. */
static int
sysfs_read(const char *name, const char *file, char *text, size_t size)
{
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/%s", vfio_pci_sysfs.sysfs, name, file);
	rc = vfio_pci_sysfs.read_file(vfio_pci_sysfs.arg, path, text, size);
	return rc < 0 ? rc : 0;
}

/** Read a number from a file in a device's folder; def if there is no such file. */
static int
sysfs_read_number(const char *name, const char *file, long def, long *value)
{
	char text[32], *end;
	int rc;

	rc = sysfs_read(name, file, text, sizeof(text));
	if (rc < 0) {
		*value = def;
		return rc == -ENOENT && def != LONG_MIN ? 0 : rc;
	}
	errno = 0;
	*value = strtol(text, &end, 0);
	return errno == 0 && end != text && (*end == '\n' || *end == '\0') ? 0 : -EIO;
}

static int
device_read_ids(struct vfio_pci_device *dev)
{
	long vendor, device, sub_vendor, sub_device, class_id, node;
	const char *name = dev->name;

	if (sysfs_read_number(name, "vendor", LONG_MIN, &vendor) < 0 ||
		sysfs_read_number(name, "device", LONG_MIN, &device) < 0 ||
		sysfs_read_number(name, "subsystem_vendor", 0, &sub_vendor) < 0 ||
		sysfs_read_number(name, "subsystem_device", 0, &sub_device) < 0 ||
		sysfs_read_number(name, "class", LONG_MIN, &class_id) < 0 ||
		sysfs_read_number(name, "numa_node", -1, &node) < 0)
		return VFIO_PCI_FAIL(EIO, "%s: its ids in %s/bus/pci/devices/%s cannot be read",
			name, vfio_pci_sysfs.sysfs, name);
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
sysfs_has_device(const char *name)
{
	char text[32];

	/* Every PCI function has this file (Linux, drivers/pci/pci-sysfs.c). */
	return sysfs_read(name, "vendor", text, sizeof(text)) != -ENOENT;
}

/** @return the devargs of a bus for an address, other than but; NULL: none */
static struct rte_devargs *
devargs_find(const char *bus, const struct rte_pci_addr *addr, const struct rte_devargs *but)
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
 * Set the name of devargs to the device's. The EAL looks devargs up by the text that the operator
 * wrote, which may have the bus's name before the address, or no domain. Older devargs of that name
 * are removed.
 */
static void
devargs_make_canonical(struct rte_devargs *da, const char *bus, const struct rte_pci_addr *addr)
{
	struct rte_devargs *old;
	char name[RTE_DEV_NAME_MAX_LEN];

	rte_pci_device_name(addr, name, sizeof(name));
	if (strcmp(name, da->name) == 0)
		return;
	old = devargs_find(bus, addr, da);
	if (old != NULL)
		rte_devargs_remove(old);
	strlcpy(da->name, name, sizeof(da->name));
}

static int
device_name_cmp(const struct rte_device *device, const void *name)
{
	return strcmp(device->name, name);
}

/**
 * The pci bus reads its device's devargs when it probes. It may have scanned already, so they are
 * set in its device too. A block that the operator set (-b) is left as it is.
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
	theirs = pci->find_device(NULL, device_name_cmp, dev->name);
	if (theirs != NULL && rte_dev_is_probed(theirs))
		return -EBUSY;
	da = devargs_find("pci", &dev->addr, NULL);
	if (da == NULL) {
		snprintf(text, sizeof(text), "pci:%s", dev->name);
		if (rte_devargs_add(RTE_DEVTYPE_BLOCKED, text) < 0)
			return -EBUSY;
		da = devargs_find("pci", &dev->addr, NULL);
		vfio_pci_inner(dev)->pci_blocked = true;
	}
	if (da == NULL || da->policy != RTE_DEV_BLOCKED)
		return -EBUSY;
	if (theirs != NULL)
		theirs->devargs = da;
	return 0;
}

/** Undo vfio_pci_block_pci(). A block that the operator set stays. */
static void
device_unblock_pci(struct vfio_pci_device *dev)
{
	struct rte_bus *pci = rte_bus_find_by_name("pci");
	struct rte_device *theirs;
	struct rte_devargs *da;

	if (pci == NULL || !vfio_pci_inner(dev)->pci_blocked)
		return;
	da = devargs_find("pci", &dev->addr, NULL);
	if (da == NULL || da->policy != RTE_DEV_BLOCKED)
		return;
	theirs = pci->find_device(NULL, device_name_cmp, dev->name);
	if (theirs != NULL && theirs->devargs == da)
		theirs->devargs = NULL;
	rte_devargs_remove(da);
	vfio_pci_inner(dev)->pci_blocked = false;
}

static void
device_free(struct vfio_pci_device *dev)
{
	/* The EAL declares it const; asprintf() made it. */
	free((void *)(uintptr_t)dev->device.bus_info);
	vfio_pci_devargs_forget(vfio_pci_inner(dev));
	free(vfio_pci_inner(dev));
}

/** Take a closed device off the list and free it. */
static void
device_drop(struct vfio_pci_device *dev)
{
	vfio_pci_list_remove(dev);
	device_unblock_pci(dev);
	device_free(dev);
}

void
vfio_pci_device_remove(struct vfio_pci_device *dev)
{
	struct rte_devargs *da = dev->device.devargs;

	device_drop(dev);
	rte_devargs_remove(da);
}

static int
device_add(struct rte_bus *bus, const struct rte_pci_addr *addr, struct rte_devargs *da)
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
	dev->device.bus = bus;
	dev->device.devargs = da;

	rc = device_read_ids(dev);
	if (rc < 0)
		goto fail;
	if (asprintf(&info, "vendor_id=%" PRIx16 ", device_id=%" PRIx16, dev->id.vendor_id,
		    dev->id.device_id) < 0) {
		rc = VFIO_PCI_FAIL(ENOMEM, "%s: out of memory", da->name);
		goto fail;
	}
	dev->device.bus_info = info;
	vfio_pci_list_insert(dev);
	/* If the pci bus drives it already, the device is refused when it is probed. */
	vfio_pci_block_pci(dev);
	return 0;

fail:
	free(inner);
	return rc;
}

static int
devargs_scan(struct rte_bus *bus, struct rte_devargs *da)
{
	struct vfio_pci_device *dev;
	struct rte_pci_addr addr;
	char name[RTE_DEV_NAME_MAX_LEN];
	bool fresh;

	if (vfio_pci_parse_name(da->name, true, &addr) < 0)
		return VFIO_PCI_FAIL(
			EINVAL, "a device has no address: add one such as addr=0000:01:00.0");
	rte_pci_device_name(&addr, name, sizeof(name));
	fresh = strcmp(name, da->name) != 0 || da->bus_str != NULL;
	devargs_make_canonical(da, bus->name, &addr);
	dev = vfio_pci_list_find(&addr);
	if (dev != NULL) {
		dev->device.devargs = da;
		vfio_pci_devargs_restore(vfio_pci_inner(dev));
	}

	if (sysfs_has_device(name))
		return dev != NULL ? 0 : device_add(bus, &addr, da);
	if (dev != NULL && !rte_dev_is_probed(&dev->device))
		device_drop(dev);
	if (dev == NULL && fresh)
		VFIO_PCI_LOG(ERR, "%s: no such device: see lspci -D", name);
	return -ENODEV;
}

/**
 * A device that fails is not put on the list, after one log line. The scan succeeds all the same,
 * because it runs again for each device that is plugged in later.
 */
int
vfio_pci_scan(struct rte_bus *bus)
{
	struct rte_devargs *da;

	RTE_EAL_DEVARGS_FOREACH(bus->name, da) {
		if (da->policy != RTE_DEV_ALLOWED)
			continue;
		devargs_scan(bus, da);
	}
	return 0;
}
