/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Checks of `why` that need sysfs only: the device, its IOMMU, its driver, its group. See why.h.
 */

#include <errno.h>
#include <string.h>

#include "why.h"

bool
why_device(struct why *w)
{
	char address[INFO_ADDRESS_MAX];

	memcpy(address, w->dev.address, sizeof(address));
	if (info_device_find(w->host, address, &w->dev) == 0)
		return why_passes(w, "%s is in sysfs", address);
	why_command(w, "lspci -D");
	return why_fails(w, "there is no such PCI device");
}

/** VFIO's own mode without an IOMMU, where the kernel has it. */
static void
note_noiommu(struct why *w)
{
	if (info_exists(w->host, "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"))
		why_note(w,
			"only for programs that may reach all memory: echo 1"
			" >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode, bind the device"
			" again, and use the backend noiommu");
}

bool
why_iommu(struct why *w)
{
	json_t *groups = info_list(w->host, "/sys/kernel/iommu_groups");
	const size_t n = json_array_size(groups);
	char reason[INFO_TEXT_MAX];

	json_decref(groups);
	if (w->dev.noiommu && w->want->backend != DMAMAP_BACKEND_NOIOMMU) {
		why_command(w, "gantry-info why %s --backend=noiommu", w->dev.address);
		return why_fails(w,
			"VFIO holds it without an IOMMU: its DMA reaches all memory, so only the"
			" backend noiommu takes it");
	}
	if (w->dev.group >= 0)
		return why_passes(w, "group %d%s", w->dev.group,
			w->dev.noiommu ? ", without an IOMMU: its DMA reaches all memory" : "");
	note_noiommu(w);
	if (n == 0) {
		info_iommu_off(w->host, reason, w->command);
		return why_fails(w, "no IOMMU is on: %s", reason);
	}
	why_command(w, "gantry-bind status");
	return why_fails(w,
		"no IOMMU is in front of it, though %zu groups of other devices have one: put it"
		" into another slot, or choose a device with a group",
		n);
}

bool
why_module(struct why *w)
{
	enum info_module state = info_module_find(w->host, "vfio-pci");
	char release[INFO_NAME_MAX];

	if (w->dev.is_vfio)
		return why_passes(w, "%s is loaded", w->dev.driver);
	if (state == INFO_MODULE_LOADED || state == INFO_MODULE_ON_DISK)
		return why_passes(w, "vfio-pci: %s", info_module_text(state));
	info_release(w->host, release, sizeof(release));
	if (state == INFO_MODULE_NO_FOLDER && !info_exists(w->host, "/lib/modules/%s", release)) {
		why_command(w, "apt-get install --reinstall linux-image-%s", release);
		why_note(w, "if a newer kernel has been installed since the last boot: reboot");
		return why_fails(w,
			"the running kernel %s has no vfio-pci, and /lib/modules has no folder for"
			" it",
			release);
	}
	why_command(w, "apt-get install --reinstall linux-image-%s", release);
	why_note(w,
		"kernels for virtual machines (linux-image-cloud-*) lack VFIO: install"
		" linux-image-amd64 instead, and reboot");
	return why_fails(w,
		"the running kernel %s has no vfio-pci: neither loaded nor in"
		" /lib/modules/%s",
		release, release);
}

/** The kernel interface: as asked, else iommufd if the device has a file for it, else type1. */
static enum dmamap_backend
backend_choose(const struct why *w)
{
	if (w->want->backend != DMAMAP_BACKEND_AUTO)
		return w->want->backend;
	return w->dev.cdev[0] != '\0' && info_exists(w->host, "/dev/iommu") ? DMAMAP_BACKEND_IOMMUFD
									    : DMAMAP_BACKEND_TYPE1;
}

bool
why_driver(struct why *w)
{
	const struct info_device *dev = &w->dev;
	char class[16], netdev[INFO_TEXT_MAX];

	if (dev->is_vfio) {
		w->backend = backend_choose(w);
		return why_passes(w, "bound to %s", dev->driver);
	}
	if (dev->netdev[0] != '\0') {
		why_command(w, "ip link set %.300s down && gantry-bind vfio-pci %s",
			info_quote(netdev, dev->netdev), dev->address);
		return why_fails(w,
			"driver %s holds it, and its network interface %s is up: this machine may"
			" be reached over it",
			dev->driver, dev->netdev);
	}
	/* vfio_pci_core_register_device() takes devices with a header of type 0 only. */
	if (info_line(w->host, class, sizeof(class), "/sys/bus/pci/devices/%s/class",
		    dev->address) == 0 &&
		strncmp(class, "0x0604", 6) == 0) {
		why_command(w, "gantry-bind status");
		return why_fails(
			w, "it is a PCI bridge, which VFIO does not take: choose a device");
	}
	why_command(w, "gantry-bind vfio-pci %s", dev->address);
	if (dev->driver[0] == '\0')
		return why_fails(w, "no driver holds it: it is not bound to vfio-pci");
	return why_fails(w, "driver %s holds it: it is not bound to vfio-pci", dev->driver);
}

bool
why_group(struct why *w)
{
	char text[INFO_TEXT_MAX], addresses[INFO_TEXT_MAX];
	unsigned int n = info_group_suspects(w->host, w->dev.group, text, addresses);
	int rc = info_group_viable(w->host, w->dev.group, w->dev.noiommu);

	/* Who may not ask the kernel goes by the names of the drivers. */
	if (rc > 0 || (rc < 0 && n == 0))
		return why_passes(w, "group %d is viable%s%s", w->dev.group,
			rc > 0 ? "" : ", by the names of its drivers",
			n > 0 ? ", though drivers of the host hold members" : "");
	if (n == 0) {
		why_command(w, "gantry-info group %d", w->dev.group);
		return why_fails(w, "the kernel says that group %d is not viable", w->dev.group);
	}
	why_command(w, "gantry-bind vfio-pci %s", addresses);
	why_note(w, "members that no program needs: gantry-bind none %s", addresses);
	return why_fails(w,
		"its group %d is not viable: drivers of the host hold other members: %s",
		w->dev.group, text);
}
