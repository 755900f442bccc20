/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Resets of the slot or bus of a PCI device (VFIO_DEVICE_PCI_HOT_RESET).
 *
 * The kernel resets all functions there, and wants proof that the caller owns them: the files of
 * all their groups, or (character devices) one iommufd that all are bound to
 * (drivers/vfio/pci/vfio_pci_core.c, vfio_pci_dev_set_hot_reset()). A container has both for its
 * own devices only, so all affected devices must be its own.
 *
 * Invariant: no affected device but the one that the caller names does DMA. The topology lock is
 * held for writing throughout, so none is attached, detached or started meanwhile. Called by users.
 */

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include "dm_container.h"
#include "dm_kernel.h"
#include "dm_sysfs_dev.h"
#include "iommufd_abi.h"

/** How often to ask again if devices are plugged in between two calls. */
#define ASK_TIMES 8

/** A reset that is being prepared. */
struct hot_reset {
	struct dmamap_container *c;
	const struct dmamap_device *d;
	uint32_t flags; /**< of the caller */
	struct vfio_pci_hot_reset_info *info; /**< affected devices */
};

/** A copy of the affected device's name, in the form of sysfs. */
static void
affected_name(const struct hot_reset *r, uint32_t i, char name[DMAMAP_NAME_MAX])
{
	const struct vfio_pci_dependent_device *at = &r->info->devices[i];

	/* All are in one PCI domain. The kernel's field has 16 bits, which VMD controllers exceed.
	 */
	snprintf(name, DMAMAP_NAME_MAX, "%.*s:%02x:%02x.%x", (int)strcspn(r->d->name, ":"),
		r->d->name, at->bus, at->devfn >> 3, at->devfn & 7u);
}

/** Get the list of affected devices. */
static int
hot_reset_ask(struct hot_reset *r)
{
	uint32_t n = 0, len;
	unsigned int i;
	int rc = -ENOSPC;

	for (i = 0; i < ASK_TIMES && rc == -ENOSPC; i++) {
		len = offsetof(struct vfio_pci_hot_reset_info, devices) +
			n * sizeof(r->info->devices[0]);
		free(r->info);
		r->info = calloc(1, len);
		if (r->info == NULL)
			return -ENOMEM;
		r->info->argsz = len;
		rc = dm_kernel_ioctl(r->d->dev->iommu, r->d->dev->fd,
			VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, r->info);
		n = r->info->count;
	}
	/* ENODEV: on the root bus, or the bridge cannot. ENOTTY: no device of vfio-pci. */
	if (rc == -ENODEV || rc == -ENOTTY)
		return -EOPNOTSUPP;
	return rc < 0 ? DM_FAIL(-rc,
				"container %s: hot reset of %s: the kernel does not list the "
				"affected devices: %s",
				r->c->name, r->d->name, strerror(-rc))
		      : 0;
}

/**
 * The container's group of an affected device; NULL: none. Devices tell it, as the number in the
 * container may be the caller's own (struct dmamap_attach_conf).
 */
static const struct dm_group *
affected_group(const struct hot_reset *r, uint32_t i)
{
	const uint32_t id = r->info->devices[i].group_id;
	const struct dmamap_device *d;
	char name[DMAMAP_NAME_MAX];
	uint32_t k;

	for (k = 0; k < r->info->count; k++) {
		if (r->info->devices[k].group_id != id)
			continue;
		affected_name(r, k, name);
		d = dm_device_find(r->c, name);
		if (d != NULL)
			return d->group;
	}
	return dm_group_find(r->c, (int)id);
}

/** Whether the kernel sees the affected device as the caller's, as far as the list tells. */
static bool
affected_is_owned(const struct hot_reset *r, uint32_t i)
{
	if ((r->info->flags & ABI_VFIO_HOT_RESET_DEV_ID) != 0)
		return r->info->devices[i].group_id != ABI_VFIO_DEVID_NOT_OWNED;
	return affected_group(r, i) != NULL;
}

/** Log why the container cannot prove that an affected device is its own. */
static int
affected_fail(const struct hot_reset *r, const char *name)
{
	struct dm_sysfs_dev at = {.kernel = r->d->dev->iommu->kernel, .name = name};
	char driver[DMAMAP_NAME_MAX] = "";
	unsigned int mark = dm_log_mark();
	int rc = dm_sysfs_find(at.kernel, name, &at);

	if (rc == 0)
		rc = dm_kernel_link_name(at.kernel, driver, sizeof(driver), "%s/driver", at.dir);
	dm_log_forget(mark);
	if ((rc == 0 && strstr(driver, "vfio") == NULL) || rc == -ENOENT)
		return DM_FAIL(EPERM,
			"container %s: hot reset of %s resets %s too, held by %s%s: bind that to "
			"vfio-pci, and attach it here: gantry-bind vfio-pci %s",
			r->c->name, r->d->name, name, driver[0] != '\0' ? "driver " : "no driver",
			driver, name);
	return DM_FAIL(EPERM,
		"container %s: hot reset of %s resets %s too, which is not attached here: attach "
		"it to the same container",
		r->c->name, r->d->name, name);
}

/** Check an affected device other than the one to reset. */
static int
affected_check(const struct hot_reset *r, uint32_t i)
{
	const struct dmamap_device *other;
	char name[DMAMAP_NAME_MAX];

	affected_name(r, i, name);
	if (strcmp(name, r->d->name) == 0)
		return 0;
	other = dm_device_find(r->c, name);
	if (other != NULL && !affected_is_owned(r, i))
		return DM_FAIL(EPERM,
			"container %s: hot reset of %s resets %s too, which is bound to another "
			"iommufd since containers were merged: detach it, and attach it again",
			r->c->name, r->d->name, name);
	if (!affected_is_owned(r, i))
		return affected_fail(r, name);
	if (other == NULL)
		return 0;
	if (other->holds != 0)
		return DM_FAIL(EBUSY,
			"container %s: hot reset of %s resets %s too, which is running: stop it "
			"first",
			r->c->name, r->d->name, name);
	if ((r->flags & DMAMAP_HOT_RESET_OTHERS) == 0)
		return DM_FAIL(EBUSY,
			"container %s: hot reset of %s resets %s too, whose driver would not know: "
			"detach it, or permit it (DMAMAP_HOT_RESET_OTHERS)",
			r->c->name, r->d->name, name);
	return 0;
}

/** Enter the file of each affected device's group. The kernel permits one twice. */
static int
hot_reset_add_groups(const struct hot_reset *r, struct vfio_pci_hot_reset *request)
{
	const struct dm_iommu_dev *dev;
	uint32_t i;
	int fd;

	for (i = 0; i < r->info->count; i++) {
		dev = affected_group(r, i)->first->dev;
		fd = dev->iommu->ops->group_fd != NULL ? dev->iommu->ops->group_fd(dev) : -1;
		if (fd < 0)
			return DM_FAIL(EPERM,
				"container %s: hot reset of %s: the file of group %d was not "
				"passed in: attach %s with group_fd",
				r->c->name, r->d->name, dev->group, dev->name);
		request->group_fds[request->count++] = fd;
	}
	return 0;
}

/** What to do about an error of the reset itself. */
static const char *
hot_reset_remedy(int rc)
{
	switch (-rc) {
	case EBUSY:
	case EAGAIN:
		return ": a device is being accessed: try again";
	case ENOTTY: /* pci_bridge_wait_for_secondary_bus() */
		return ": the bus was reset, but its link or a device did not come back in time: "
		       "see the kernel's log";
	default:
		return "";
	}
}

/** The kernel refused: find the device that it does not regard as the caller's. */
static int
hot_reset_explain(const struct hot_reset *r, int rc)
{
	char name[DMAMAP_NAME_MAX], driver[DMAMAP_NAME_MAX];
	uint32_t i;

	for (i = 0; rc == -EINVAL && i < r->info->count; i++) {
		affected_name(r, i, name);
		if (dm_kernel_link_name(r->d->dev->iommu->kernel, driver, sizeof(driver),
			    "bus/pci/devices/%s/driver", name) < 0 ||
			strstr(driver, "vfio") == NULL)
			return affected_fail(r, name);
	}
	return DM_FAIL(-rc, "container %s: hot reset of %s: %s%s", r->c->name, r->d->name,
		strerror(-rc), hot_reset_remedy(rc));
}

static int
hot_reset_do(const struct hot_reset *r)
{
	const size_t len =
		offsetof(struct vfio_pci_hot_reset, group_fds) + r->info->count * sizeof(int32_t);
	struct vfio_pci_hot_reset *request = calloc(1, len);
	int rc = 0;

	if (request == NULL)
		return -ENOMEM;
	request->argsz = len;
	/* Without a group, all devices must be bound to the iommufd of this one (Linux 6.6). */
	if ((r->info->flags & ABI_VFIO_HOT_RESET_DEV_ID) == 0)
		rc = hot_reset_add_groups(r, request);
	if (rc == 0) {
		rc = dm_kernel_ioctl(
			r->d->dev->iommu, r->d->dev->fd, VFIO_DEVICE_PCI_HOT_RESET, request);
		if (rc < 0)
			rc = hot_reset_explain(r, rc);
	}
	free(request);
	return rc;
}

/** The topology lock is held for writing. */
static int
hot_reset_locked(struct hot_reset *r)
{
	uint32_t i;
	int rc = dm_process_check(r->c->process, r->c->name, "hot reset");

	if (rc < 0)
		return rc;
	if (r->d->dev->fd < 0)
		return DM_FAIL(EINVAL,
			"container %s: hot reset of %s: only its group is attached: reset it by "
			"its own file",
			r->c->name, r->d->name);
	rc = hot_reset_ask(r);
	for (i = 0; rc == 0 && i < r->info->count; i++)
		rc = affected_check(r, i);
	return rc < 0 ? rc : hot_reset_do(r);
}

int
dmamap_device_hot_reset(struct dmamap_device *d, uint32_t flags)
{
	const uint32_t known = DMAMAP_HOT_RESET_OTHERS | DMAMAP_HOT_RESET_TRY;
	struct hot_reset r = {.d = d, .flags = flags};
	unsigned int mark;
	int rc;

	if (d == NULL || (flags & ~known) != 0)
		return DM_FAIL(EINVAL, "hot reset: no device, or unknown flags 0x%x", flags);
	r.c = dm_owner_topo_write(&d->c);
	if (r.c == NULL)
		return DM_FAIL(ENODEV, "hot reset of %s: it is in no container", d->name);
	dm_log_defer();
	mark = dm_log_mark();
	rc = hot_reset_locked(&r);
	dm_owner_topo_unlock(r.c);
	if ((flags & DMAMAP_HOT_RESET_TRY) != 0)
		dm_log_forget(mark);
	dm_log_flush();
	free(r.info);
	return rc;
}
