/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does sysfs say about a device? Its existence, driver, group, its group's other members.
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_pci.h>
#include <rte_string_fns.h>

#include "dm_file.h"
#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_sysfs_dev.h"

#define VF_TOKEN "vf_token="

int
dm_dev_name_parse(const char *text, struct dm_dev_name *name)
{
	char bdf[DMAMAP_NAME_MAX];
	size_t len = strcspn(text, " ");
	const char *option = text + len + strspn(text + len, " ");
	struct rte_pci_addr addr;
	rte_uuid_t uuid;

	if (len >= sizeof(bdf))
		return DM_FAIL(EINVAL, "%.*s...: no PCI address", DMAMAP_NAME_MAX, text);
	rte_strlcpy(bdf, text, len + 1);
	if (rte_pci_addr_parse(bdf, &addr) != 0)
		return DM_FAIL(EINVAL, "%s: no PCI address (like 0000:01:00.0)", bdf);
	rte_pci_device_name(&addr, name->bdf, sizeof(name->bdf));

	name->vf_token[0] = '\0';
	if (*option == '\0')
		return 0;
	if (strncmp(option, VF_TOKEN, strlen(VF_TOKEN)) != 0)
		return DM_FAIL(EINVAL, "%s: unknown option \"%s\" (there is one: vf_token=UUID)",
			name->bdf, option);
	option += strlen(VF_TOKEN);
	if (rte_uuid_parse(option, uuid) != 0)
		return DM_FAIL(EINVAL, "%s: vf_token is no UUID: \"%s\"", name->bdf, option);
	rte_strlcpy(name->vf_token, option, sizeof(name->vf_token));
	return 0;
}

int
dm_sysfs_check_exists(const char *bdf)
{
	char path[PATH_MAX];

	dm_kernel_sysfs(path, sizeof(path), "bus/pci/devices/%s", bdf);
	if (access(path, F_OK) < 0)
		return DM_FAIL(
			ENODEV, "%s: no such PCI device (lspci -D lists those there are)", bdf);
	return 0;
}

int
dm_sysfs_check_driver(const char *bdf)
{
	char path[PATH_MAX], driver[NAME_MAX + 1];

	dm_kernel_sysfs(path, sizeof(path), "bus/pci/devices/%s/driver", bdf);
	dm_file_link_name(path, driver, sizeof(driver));
	/* vfio-pci, and its variants for certain devices: mlx5_vfio_pci, hisi_acc_vfio_pci, ... */
	if (strstr(driver, "vfio") != NULL)
		return 0;
	return DM_FAIL(EBUSY, "%s: held by %s%s; bind it: usertools/gantry-bind vfio-pci %s", bdf,
		driver[0] != '\0' ? "driver " : "no driver", driver, bdf);
}

/** Is no IOMMU at all at work on this machine? */
static bool
iommu_is_off(void)
{
	char path[PATH_MAX];
	const struct dirent *e;
	bool empty = true;
	DIR *dir;

	dm_kernel_sysfs(path, sizeof(path), "kernel/iommu_groups");
	dir = opendir(path);
	if (dir == NULL)
		return true;
	while (empty && (e = readdir(dir)) != NULL)
		empty = e->d_name[0] == '.';
	closedir(dir);
	return empty;
}

int
dm_sysfs_find_group(const char *bdf, int *group)
{
	char path[PATH_MAX], name[16], *end;
	long number;

	dm_kernel_sysfs(path, sizeof(path), "bus/pci/devices/%s/iommu_group", bdf);
	if (dm_file_link_name(path, name, sizeof(name)) == 0) {
		number = strtol(name, &end, 10);
		if (end != name && *end == '\0' && number >= 0 && number <= INT_MAX) {
			*group = (int)number;
			return 0;
		}
	}
	if (iommu_is_off())
		return DM_FAIL(ENODEV,
			"%s: no IOMMU is on: switch it on in the firmware (VT-d,"
			" AMD-Vi, SMMU) and boot Linux with intel_iommu=on (Intel), without"
			" amd_iommu=off (AMD) or iommu=off",
			bdf);
	return DM_FAIL(ENODEV,
		"%s: no IOMMU is in charge of it (it has no iommu_group), only of"
		" other devices of this machine",
		bdf);
}

/** Would VFIO let a group go to a user in spite of this driver of a member? "": no driver. */
static bool
is_harmless(const char *driver)
{
	/* Drivers that do no DMA for the host: drivers/vfio/vfio.c, vfio_dev_viable(); since Linux
	 * 5.19 those marked driver_managed_dma. */
	return driver[0] == '\0' || strstr(driver, "vfio") != NULL ||
		strcmp(driver, "pci-stub") == 0 || strcmp(driver, "pcieport") == 0;
}

/** List the members of a group that spoil it: "0000:01:00.1 (e1000e), ...". "": none. */
static void
list_spoilers(const char *members, char *list, size_t size)
{
	char path[PATH_MAX], driver[NAME_MAX + 1];
	const struct dirent *e;
	DIR *dir = opendir(members);
	size_t at = 0;

	list[0] = '\0';
	while (dir != NULL && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.' ||
			snprintf(path, sizeof(path), "%s/%s/driver", members, e->d_name) >=
				(int)sizeof(path))
			continue;
		dm_file_link_name(path, driver, sizeof(driver));
		if (!is_harmless(driver) && at < size)
			at += snprintf(list + at, size - at, "%s%s (%s)", at > 0 ? ", " : "",
				e->d_name, driver);
	}
	if (dir != NULL)
		closedir(dir);
}

int
dm_sysfs_check_viable(const char *bdf, int group)
{
	char path[PATH_MAX], spoilers[512];

	dm_kernel_sysfs(path, sizeof(path), "kernel/iommu_groups/%d/devices", group);
	list_spoilers(path, spoilers, sizeof(spoilers));
	if (spoilers[0] == '\0')
		return 0;
	return DM_FAIL(EPERM,
		"%s: its group %d is not viable, since drivers of this host hold"
		" other members: %s; bind those to vfio-pci as well, or to no driver",
		bdf, group, spoilers);
}

bool
dm_sysfs_group_is_noiommu(int group)
{
	char path[PATH_MAX], name[32];

	dm_kernel_sysfs(path, sizeof(path), "kernel/iommu_groups/%d/name", group);
	return dm_file_line(path, name, sizeof(name)) == 0 && strcmp(name, "vfio-noiommu") == 0;
}

int
dm_sysfs_node(const char *bdf)
{
	char path[PATH_MAX];
	int64_t node;

	dm_kernel_sysfs(path, sizeof(path), "bus/pci/devices/%s/numa_node", bdf);
	if (dm_file_number(path, &node) < 0 || node < 0 || node > INT_MAX)
		return -1;
	return (int)node;
}

int
dm_sysfs_dev_init(struct dm_iommu_dev *dev, const char *bdf)
{
	int rc = dm_sysfs_check_exists(bdf);

	if (rc == 0)
		rc = dm_sysfs_find_group(bdf, &dev->group);
	if (rc < 0)
		return rc;
	if (dm_sysfs_group_is_noiommu(dev->group))
		return DM_FAIL(ENODEV,
			"%s: no IOMMU is in charge of it, VFIO holds it in noiommu"
			" mode: only a container with DMAMAP_BACKEND_NOIOMMU takes it",
			bdf);
	rc = dm_sysfs_check_driver(bdf);
	if (rc == 0)
		rc = dm_sysfs_check_viable(bdf, dev->group);
	if (rc == 0)
		rc = dm_sysfs_group_reserved(dev->group, &dev->resv, &dev->n_resv);
	if (rc < 0)
		return rc;
	rte_strlcpy(dev->name, bdf, sizeof(dev->name));
	dev->node = dm_sysfs_node(bdf);
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
dm_dev_fail_unsafe_interrupts(const char *bdf, const char *module)
{
	return DM_FAIL(EPERM,
		"%s: this platform does not isolate its interrupts: switch on interrupt"
		" remapping in the firmware or, if every device can be trusted: echo 1 >"
		" /sys/module/%s/parameters/allow_unsafe_interrupts",
		bdf, module);
}
