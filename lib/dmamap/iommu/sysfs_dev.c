/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Devices in sysfs: location, driver, group, other members of the group. See dm_sysfs_dev.h.
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_parse.h"
#include "dm_sysfs_dev.h"
#include "dm_util.h"

#define VF_TOKEN "vf_token="

/** Whether text can be a device name on any bus. Names become parts of paths. */
static bool
dev_name_is_valid(const char *text)
{
	return text[0] != '\0' && text[0] != '.' && strchr(text, '/') == NULL;
}

int
dm_dev_name_parse(const char *text, struct dm_dev_name *name)
{
	size_t len = strcspn(text, " ");
	const char *option = text + len + strspn(text + len, " ");
	dm_uuid_t uuid;

	if (len >= sizeof(name->name))
		return DM_FAIL(EINVAL, "%.*s...: device name too long", DMAMAP_NAME_MAX, text);
	dm_strlcpy(name->name, text, len + 1);
	if (!dev_name_is_valid(name->name))
		return DM_FAIL(EINVAL, "\"%s\": not a device name (like 0000:01:00.0)", name->name);
	/* A name that is no PCI address stays as it is: another bus. */
	dm_pci_name_normalize(name->name, sizeof(name->name));

	name->vf_token[0] = '\0';
	if (*option == '\0')
		return 0;
	if (strncmp(option, VF_TOKEN, strlen(VF_TOKEN)) != 0)
		return DM_FAIL(EINVAL, "%s: unknown option \"%s\" (there is one: vf_token=UUID)",
			name->name, option);
	option += strlen(VF_TOKEN);
	if (dm_uuid_parse(option, uuid) != 0)
		return DM_FAIL(EINVAL, "%s: vf_token is not a UUID: \"%s\"", name->name, option);
	dm_strlcpy(name->vf_token, option, sizeof(name->vf_token));
	return 0;
}

int
dm_sysfs_fail(const struct dm_sysfs_dev *at, const char *what, int rc)
{
	return DM_FAIL(-rc, "%s: cannot look up %s in sysfs: %s", at->name, what, strerror(-rc));
}

/* Location. */

/** Whether the device is on this bus. @return 1 or 0; or a negative errno */
static int
dev_on_bus(void *ctx, const char *bus)
{
	struct dm_sysfs_dev *dev = ctx;
	int rc, len = snprintf(dev->dir, sizeof(dev->dir), "bus/%s/devices/%s", bus, dev->name);

	if (len < 0 || (size_t)len >= sizeof(dev->dir))
		return 0;
	rc = dm_kernel_check_dir(dev->kernel, "%s", dev->dir);
	return rc == -ENOENT ? 0 : rc < 0 ? rc : 1;
}

/** dev_on_bus() for all buses but PCI, which was searched first. */
static int
dev_on_other_bus(void *ctx, const char *bus)
{
	return strcmp(bus, "pci") == 0 ? 0 : dev_on_bus(ctx, bus);
}

/** Find the directory of a device. @return 1: found; 0, -ENOENT: no such device; else an error */
static int
dev_find_dir(const struct dmamap_kernel *k, const char *name, struct dm_sysfs_dev *dev)
{
	int rc;

	*dev = (struct dm_sysfs_dev){.kernel = k, .name = name};
	rc = dev_on_bus(dev, "pci");
	if (rc == 0)
		rc = dm_kernel_list(k, dev_on_other_bus, dev, "bus");
	return rc;
}

int
dm_sysfs_find(const struct dmamap_kernel *k, const char *name, struct dm_sysfs_dev *dev)
{
	int rc = dev_find_dir(k, name, dev);

	if (rc > 0)
		return 0;
	if (rc < 0 && rc != -ENOENT)
		return dm_sysfs_fail(dev, "the device", rc);
	return DM_FAIL(ENODEV, "%s: no such device on any bus (lspci -D lists those of PCI)", name);
}

/* Driver. */

int
dm_sysfs_check_driver(const struct dm_sysfs_dev *at)
{
	char driver[NAME_MAX + 1];
	int rc = dm_kernel_link_name(at->kernel, driver, sizeof(driver), "%s/driver", at->dir);

	if (rc < 0 && rc != -ENOENT)
		return dm_sysfs_fail(at, "its driver", rc);
	/* vfio-pci and its variants for certain devices: mlx5_vfio_pci, hisi_acc_vfio_pci, ... */
	if (strstr(driver, "vfio") != NULL)
		return 0;
	return DM_FAIL(EBUSY, "%s: held by %s%s; bind it: gantry-bind vfio-pci %s", at->name,
		driver[0] != '\0' ? "driver " : "no driver", driver, at->name);
}

/* Group. */

/** Whether no IOMMU is active on this machine. */
static bool
iommu_is_off(const struct dmamap_kernel *k)
{
	return dm_kernel_list(k, dm_kernel_stop, NULL, "kernel/iommu_groups") <= 0;
}

/** The group that a device's link refers to. @return 0; -ENOENT: none; else the kernel's errno */
static int
dev_read_group(const struct dm_sysfs_dev *at, int *group)
{
	char name[16], *end;
	long number;
	int rc = dm_kernel_link_name(at->kernel, name, sizeof(name), "%s/iommu_group", at->dir);

	if (rc < 0)
		return rc;
	number = strtol(name, &end, 10);
	if (end == name || *end != '\0' || number < 0 || number > INT_MAX)
		return -ENOENT;
	*group = (int)number;
	return 0;
}

int
dm_sysfs_find_group(const struct dm_sysfs_dev *at, int *group)
{
	int rc = dev_read_group(at, group);

	if (rc == 0)
		return 0;
	if (rc != -ENOENT)
		return dm_sysfs_fail(at, "its group", rc);
	if (iommu_is_off(at->kernel))
		return DM_FAIL(ENODEV,
			"%s: no IOMMU is on: switch it on in the firmware (VT-d,"
			" AMD-Vi, SMMU) and boot Linux with intel_iommu=on (Intel), without"
			" amd_iommu=off (AMD) or iommu=off",
			at->name);
	return DM_FAIL(ENODEV,
		"%s: not behind an IOMMU (it has no iommu_group), unlike other"
		" devices of this machine",
		at->name);
}

int
dm_sysfs_group_is_noiommu(const struct dm_sysfs_dev *at, int group)
{
	char name[64];
	int rc = dm_kernel_line(
		at->kernel, name, sizeof(name), "kernel/iommu_groups/%d/name", group);

	if (rc == -ENOENT || rc == -EFBIG)
		return 0;
	if (rc < 0)
		return dm_sysfs_fail(at, "the name of its group", rc);
	return strcmp(name, "vfio-noiommu") == 0;
}

/**
 * Drivers known to keep a group viable although they hold one of its members. A hint for messages
 * only: since Linux 5.19 these are the drivers marked driver_managed_dma, before that a list of
 * names (drivers/vfio/vfio.c, vfio_dev_viable()). "": no driver.
 */
static bool
driver_is_harmless(const char *driver)
{
	return driver[0] == '\0' || strstr(driver, "vfio") != NULL ||
		strcmp(driver, "pci-stub") == 0 || strcmp(driver, "pcieport") == 0;
}

/** Members that may make a group not viable: "0000:01:00.1 (e1000e), ...". "": none. */
struct suspects {
	const struct dmamap_kernel *kernel;
	int group;
	char *text;
	size_t size, len;
};

/** Add a member if its driver may matter. A member whose driver cannot be read is left out. */
static int
group_add_suspect(void *ctx, const char *member)
{
	struct suspects *s = ctx;
	char driver[NAME_MAX + 1];
	int rc = dm_kernel_link_name(s->kernel, driver, sizeof(driver),
		"kernel/iommu_groups/%d/devices/%s/driver", s->group, member);

	if (rc == 0 && !driver_is_harmless(driver) && s->len < s->size)
		s->len += snprintf(s->text + s->len, s->size - s->len, "%s%s (%s)",
			s->len > 0 ? ", " : "", member, driver);
	return 0;
}

bool
dm_sysfs_suspects(const struct dmamap_kernel *k, int group, char *text, size_t size)
{
	struct suspects s = {.kernel = k, .group = group, .text = text, .size = size};

	text[0] = '\0';
	dm_kernel_list(k, group_add_suspect, &s, "kernel/iommu_groups/%d/devices", group);
	return text[0] != '\0';
}

bool
dm_sysfs_names_dev(const char *dev, const char *name)
{
	const char *colon = strchr(name, ':');

	if (strcmp(name, dev) == 0)
		return true;
	return strlen(dev) == strlen("00:00.0") && colon != NULL && strcmp(colon + 1, dev) == 0;
}

/** A search for a member of a group. */
struct member {
	const char *dev;
	char *name;
};

/** @return 1: found */
static int
group_match(void *ctx, const char *name)
{
	const struct member *m = ctx;

	if (!dm_sysfs_names_dev(m->dev, name) || strlen(name) >= DMAMAP_NAME_MAX)
		return 0;
	dm_strlcpy(m->name, name, DMAMAP_NAME_MAX);
	return 1;
}

bool
dm_sysfs_group_has(
	const struct dmamap_kernel *k, int group, const char *dev, char name[DMAMAP_NAME_MAX])
{
	struct member m = {dev, name};

	return dm_kernel_list(k, group_match, &m, "kernel/iommu_groups/%d/devices", group) == 1;
}

int
dm_sysfs_fail_unviable(const struct dmamap_kernel *k, const char *name, int group)
{
	char text[512];

	if (dm_sysfs_suspects(k, group, text, sizeof(text)))
		return DM_FAIL(EPERM,
			"%s: its group %d is not viable, since drivers of this host"
			" hold other members: %s; bind those to vfio-pci as well, or to no driver",
			name, group, text);
	return DM_FAIL(EPERM,
		"%s: its group %d is not viable: see"
		" /sys/kernel/iommu_groups/%d/devices",
		name, group, group);
}

/** Log such members; the kernel decides at attach whether they matter. */
static void
group_log_suspects(const struct dm_sysfs_dev *at, int group)
{
	char text[512];

	if (dm_sysfs_suspects(at->kernel, group, text, sizeof(text)))
		DM_LOG(INFO,
			"%s: drivers of this host hold other members of its group %d: %s: the"
			" kernel decides whether it can be attached",
			at->name, group, text);
}

/* All together. */

int
dm_sysfs_node(const struct dm_sysfs_dev *at)
{
	char line[32], *end;
	long node;

	if (dm_kernel_line(at->kernel, line, sizeof(line), "%s/numa_node", at->dir) < 0)
		return -1;
	node = strtol(line, &end, 10);
	return end == line || node < 0 || node > INT_MAX ? -1 : (int)node;
}

int
dm_sysfs_dev_init(struct dm_iommu_dev *dev, const struct dm_sysfs_dev *at)
{
	int rc = dm_sysfs_find_group(at, &dev->group);

	if (rc == 0)
		rc = dm_sysfs_group_is_noiommu(at, dev->group);
	if (rc > 0)
		return DM_FAIL(ENODEV,
			"%s: not behind an IOMMU, VFIO holds it in noiommu mode: use a"
			" container with DMAMAP_BACKEND_NOIOMMU",
			at->name);
	if (rc == 0)
		rc = dm_sysfs_check_driver(at);
	if (rc < 0)
		return rc;
	group_log_suspects(at, dev->group);
	rc = dm_sysfs_group_reserved(at->kernel, dev->group, &dev->resv, &dev->n_resv);
	if (rc < 0)
		return dm_sysfs_fail(at, "the reserved ranges of its group", rc);
	dm_strlcpy(dev->name, at->name, sizeof(dev->name));
	dev->node = dm_sysfs_node(at);
	dev->fd = -1;
	return 0;
}

/** Check that the group is of the kind that the backend needs: with or without an IOMMU. */
static int
adopt_check_group(const struct dm_sysfs_dev *at, int group, bool noiommu)
{
	int rc = dm_sysfs_group_is_noiommu(at, group);

	if (rc < 0 || (rc > 0) == noiommu)
		return rc < 0 ? rc : 0;
	return noiommu
		? DM_FAIL(EINVAL, "%s: it is behind an IOMMU: use another backend than noiommu",
			  at->name)
		: DM_FAIL(ENODEV,
			  "%s: not behind an IOMMU, VFIO holds it in noiommu mode: use a"
			  " container with DMAMAP_BACKEND_NOIOMMU",
			  at->name);
}

/** The group of a device: from sysfs, else from the caller. */
static int
adopt_group(
	const struct dm_sysfs_dev *at, bool shown, const struct dm_iommu_given *given, int *group)
{
	int rc = shown ? dev_read_group(at, group) : -ENOENT;

	if (rc < 0 && rc != -ENOENT)
		return dm_sysfs_fail(at, "its group", rc);
	if (rc == 0 && given->group >= 0 && given->group != *group)
		return DM_FAIL(EINVAL,
			"%s: its group is %d, not"
			" %d",
			at->name, *group, given->group);
	if (rc == 0)
		return 0;
	if (given->group < 0)
		return DM_FAIL(EINVAL,
			"%s: sysfs does not show its group here: give its number (group),"
			" or make /sys visible to this process",
			at->name);
	*group = given->group;
	return 0;
}

int
dm_sysfs_dev_adopt(struct dm_iommu_dev *dev, const char *name, const struct dm_iommu_given *given,
	bool noiommu)
{
	const struct dmamap_kernel *k = dev->iommu->kernel;
	struct dm_sysfs_dev at;
	bool shown = dev_find_dir(k, name, &at) > 0;
	int rc;

	rc = adopt_group(&at, shown, given, &dev->group);
	if (rc < 0)
		return rc;
	/*
	 * A group without a directory is masked or renamed here, so nothing is read of it. With
	 * group_only, the number from the caller is trusted.
	 */
	shown = (shown || given->group_only) &&
		dm_kernel_check_dir(k, "kernel/iommu_groups/%d/devices", dev->group) == 0;
	if (shown) {
		rc = adopt_check_group(&at, dev->group, noiommu);
		if (rc < 0)
			return rc;
	}
	if (shown && !noiommu) {
		rc = dm_sysfs_group_reserved(k, dev->group, &dev->resv, &dev->n_resv);
		if (rc < 0)
			return dm_sysfs_fail(&at, "the reserved ranges of its group", rc);
	}
	if (!shown)
		DM_LOG(NOTICE,
			"%s: sysfs does not show its group %d here: reserved ranges are the"
			" gaps between the kernel's IOVA ranges",
			name, dev->group);
	dm_strlcpy(dev->name, name, sizeof(dev->name));
	dev->node = at.dir[0] != '\0' ? dm_sysfs_node(&at) : -1;
	dev->fd = -1;
	return 0;
}

void
dm_sysfs_dev_fini(struct dm_iommu_dev *dev)
{
	free(dev->resv);
	dev->resv = NULL;
	dev->n_resv = 0;
}

int
dm_dev_fail_unsafe_interrupts(const char *name, const char *module)
{
	return DM_FAIL(EPERM,
		"%s: this platform does not isolate its interrupts: switch on"
		" interrupt"
		" remapping in the firmware or, if every device can be trusted: echo 1 >"
		" /sys/module/%s/parameters/allow_unsafe_interrupts",
		name, module);
}
