/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * sysfs of the mock kernel: the files, links and directories about devices and groups that user
 * space drivers read. Called by mock_kernel.c.
 *
 * Invariant: content is generated at each access, so it shows the current state.
 *
 *     bus/<pci|platform>/devices/<name>/{driver,iommu_group,numa_node,vfio-dev/}
 *     bus/pci/devices/<name>/{vendor,device,subsystem_vendor,subsystem_device,class}
 *     kernel/iommu_groups/<n>/{name,reserved_regions,devices/<name>/driver}
 *
 * The ids (vendor, ...) exist only for devices with configuration space.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "dm_util.h"
#include "mock_priv.h"

#define PARTS_MAX 8

/** Kind of the file, link or directory of a path. */
enum node_kind {
	NODE_NONE,
	NODE_BUSES,
	NODE_DEVICE,
	NODE_DRIVER,
	NODE_DEVICE_GROUP,
	NODE_NUMA,
	NODE_CDEVS,
	NODE_GROUPS,
	NODE_MEMBERS,
	NODE_GROUP_NAME,
	NODE_RESERVED,
	NODE_ID,
};

/** A file with a number from configuration space (drivers/pci/pci-sysfs.c). */
struct id {
	const char *file;
	unsigned int at, len; /**< bytes; little-endian */
};

static const struct id ids[] = {
	{"vendor", PCI_VENDOR_ID, 2},
	{"device", PCI_DEVICE_ID, 2},
	{"subsystem_vendor", PCI_SUBSYSTEM_VENDOR_ID, 2},
	{"subsystem_device", PCI_SUBSYSTEM_ID, 2},
	{"class", PCI_CLASS_PROG, 3},
};

struct node {
	enum node_kind kind;
	const struct mock_device *dev;
	const struct mock_group *group;
	const struct id *id; /**< only NODE_ID */
};

/** Entries of a directory. */
struct names {
	char (*v)[DMAMAP_NAME_MAX];
	unsigned int n, cap;
};

/* Look-up */

/** Bus of a device: "pci" if its name is a PCI address, else "platform". */
static const char *
device_bus(const struct mock_device *dev)
{
	unsigned int domain, bus, slot, function;
	int end = 0;

	if (sscanf(dev->name, "%x:%x:%x.%x%n", &domain, &bus, &slot, &function, &end) == 4 &&
		dev->name[end] == '\0')
		return "pci";
	return "platform";
}

/**
 * Whether a device has a group in sysfs. VFIO creates a group without an IOMMU while it holds the
 * device.
 */
static bool
device_has_group(const struct mock_device *dev)
{
	return dev->group->iommu != NULL || mock_is_vfio(dev);
}

static bool
group_exists(const struct mock_group *group)
{
	const struct mock_device *dev;

	TAILQ_FOREACH(dev, &group->devices, in_group)
		if (device_has_group(dev))
			return true;
	return false;
}

/** Id file of this name; NULL: no such file, or the device has no configuration space. */
static const struct id *
id_find(const struct mock_device *dev, const char *file)
{
	unsigned int i;

	if (strcmp(device_bus(dev), "pci") != 0 || dev->vdev == NULL ||
		mock_vdev_region(dev->vdev, VFIO_PCI_CONFIG_REGION_INDEX) == NULL)
		return NULL;
	for (i = 0; i < DM_DIM(ids); i++)
		if (strcmp(ids[i].file, file) == 0)
			return &ids[i];
	return NULL;
}

/** Kind of an entry in the directory of a device. */
static enum node_kind
device_part(const struct mock_device *dev, const char *part)
{
	if (strcmp(part, "driver") == 0)
		return dev->driver[0] != '\0' ? NODE_DRIVER : NODE_NONE;
	if (strcmp(part, "iommu_group") == 0)
		return device_has_group(dev) ? NODE_DEVICE_GROUP : NODE_NONE;
	if (strcmp(part, "numa_node") == 0)
		return NODE_NUMA;
	if (strcmp(part, "vfio-dev") == 0)
		return mock_cdev_number(dev) >= 0 ? NODE_CDEVS : NODE_NONE;
	return NODE_NONE;
}

/** Resolve bus/... */
static struct node
bus_node(struct vfio_mock *m, char **part, unsigned int n)
{
	struct node node = {0};

	if (n == 1)
		return (struct node){.kind = NODE_BUSES};
	if (n < 4 || n > 5 || strcmp(part[2], "devices") != 0)
		return node;
	node.dev = mock_find_device(m, part[3]);
	if (node.dev == NULL || strcmp(part[1], device_bus(node.dev)) != 0)
		return (struct node){0};
	node.group = node.dev->group;
	node.kind = n == 4 ? NODE_DEVICE : device_part(node.dev, part[4]);
	node.id = n == 5 ? id_find(node.dev, part[4]) : NULL;
	if (node.id != NULL)
		node.kind = NODE_ID;
	return node;
}

/** Resolve kernel/iommu_groups/... */
static struct node
group_node(struct vfio_mock *m, char **part, unsigned int n)
{
	struct node node = {0};
	char *end;
	long id;

	if (n == 2)
		return (struct node){.kind = NODE_GROUPS};
	id = strtol(part[2], &end, 10);
	if (*end != '\0' || n < 4)
		return node;
	node.group = mock_find_group(m, id);
	if (node.group == NULL || !group_exists(node.group))
		return (struct node){0};
	if (n == 4 && strcmp(part[3], "name") == 0)
		node.kind = node.group->iommu == NULL ? NODE_GROUP_NAME : NODE_NONE;
	else if (n == 4 && strcmp(part[3], "reserved_regions") == 0)
		node.kind = NODE_RESERVED;
	else if (n == 4 && strcmp(part[3], "devices") == 0)
		node.kind = NODE_MEMBERS;
	if (n != 6 || strcmp(part[3], "devices") != 0)
		return node;
	node.dev = mock_find_device(m, part[4]);
	if (node.dev != NULL && node.dev->group == node.group)
		node.kind = device_part(node.dev, part[5]);
	return node;
}

static struct node
node_find(struct vfio_mock *m, const char *path)
{
	char copy[512], *part[PARTS_MAX], *rest = copy, *p;
	unsigned int n = 0;

	if (strncmp(path, MOCK_SYSFS "/", strlen(MOCK_SYSFS "/")) != 0 ||
		dm_strlcpy(copy, path + strlen(MOCK_SYSFS "/"), sizeof(copy)) >= sizeof(copy))
		return (struct node){0};
	while (n < PARTS_MAX && (p = strsep(&rest, "/")) != NULL)
		if (*p != '\0')
			part[n++] = p;
	if (rest != NULL)
		return (struct node){0};
	if (n >= 1 && strcmp(part[0], "bus") == 0)
		return bus_node(m, part, n);
	if (n >= 2 && strcmp(part[0], "kernel") == 0 && strcmp(part[1], "iommu_groups") == 0)
		return group_node(m, part, n);
	return (struct node){0};
}

/* Files */

/** Format of iommu_group_show_resv_regions() (drivers/iommu/iommu.c). */
static int
print_reserved(const struct mock_group *group, char *buf, size_t size)
{
	static const char *const words[] = {[DMAMAP_RESERVED_MSI] = "msi",
		[DMAMAP_RESERVED_DIRECT] = "direct",
		[DMAMAP_RESERVED_RELAXABLE] = "direct-relaxable",
		[DMAMAP_RESERVED_BUS] = "reserved"};
	size_t len = 0;
	unsigned int i;

	buf[0] = '\0';
	for (i = 0; i < group->n_resv && len < size; i++)
		len += snprintf(buf + len, size - len, "0x%016" PRIx64 " 0x%016" PRIx64 " %s\n",
			group->resv[i].range.start, group->resv[i].range.last,
			words[group->resv[i].type]);
	return len < size ? (int)len : -EFBIG;
}

static int
print_text(char *buf, size_t size, const char *text)
{
	return dm_strlcpy(buf, text, size) < size ? (int)strlen(text) : -EFBIG;
}

static int
print_id(const struct node *node, char *buf, size_t size)
{
	const uint8_t *cfg = mock_vdev_region(node->dev->vdev, VFIO_PCI_CONFIG_REGION_INDEX);
	unsigned int i, value = 0;
	char line[16];

	for (i = node->id->len; i-- > 0;)
		value = value << 8 | cfg[node->id->at + i];
	snprintf(line, sizeof(line), "0x%0*x\n", 2 * (int)node->id->len, value);
	return print_text(buf, size, line);
}

int
mock_sysfs_read(struct vfio_mock *m, const char *path, char *buf, size_t size)
{
	const struct node node = node_find(m, path);
	char line[32];

	switch (node.kind) {
	case NODE_NUMA:
		snprintf(line, sizeof(line), "%d\n", node.dev->node);
		return print_text(buf, size, line);
	case NODE_GROUP_NAME:
		return print_text(buf, size, "vfio-noiommu\n");
	case NODE_ID:
		return print_id(&node, buf, size);
	case NODE_RESERVED:
		return print_reserved(node.group, buf, size);
	default:
		return node.kind == NODE_NONE ? -ENOENT : -EISDIR;
	}
}

int
mock_sysfs_link(struct vfio_mock *m, const char *path, char *buf, size_t size)
{
	const struct node node = node_find(m, path);
	int len;

	if (node.kind == NODE_DRIVER)
		len = snprintf(buf, size, "../../../../bus/%s/drivers/%s", device_bus(node.dev),
			node.dev->driver);
	else if (node.kind == NODE_DEVICE_GROUP)
		len = snprintf(buf, size, "../../../../kernel/iommu_groups/%d", node.group->id);
	else
		return node.kind == NODE_NONE ? -ENOENT : -EINVAL;
	return (size_t)len < size ? len : -ENAMETOOLONG;
}

/* Directories */

static int
names_add(struct names *names, const char *name)
{
	char(*more)[DMAMAP_NAME_MAX];

	if (names->n == names->cap) {
		names->cap = names->cap == 0 ? 16 : names->cap * 2;
		more = realloc(names->v, names->cap * sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		names->v = more;
	}
	dm_strlcpy(names->v[names->n++], name, sizeof(names->v[0]));
	return 0;
}

/** Add the devices of a group. */
static int
names_add_members(const struct mock_group *group, struct names *names)
{
	const struct mock_device *dev;
	int rc = 0;

	TAILQ_FOREACH(dev, &group->devices, in_group)
		if (rc == 0)
			rc = names_add(names, dev->name);
	return rc;
}

static int
names_add_groups(struct vfio_mock *m, struct names *names)
{
	const struct mock_group *group;
	char number[16];
	int rc = 0;

	TAILQ_FOREACH(group, &m->groups, next) {
		if (rc < 0 || (group->iommu == NULL && !group_exists(group)))
			continue;
		snprintf(number, sizeof(number), "%d", group->id);
		rc = names_add(names, number);
	}
	return rc;
}

int
mock_sysfs_list(
	struct vfio_mock *m, const char *path, char (**out)[DMAMAP_NAME_MAX], unsigned int *n)
{
	const struct node node = node_find(m, path);
	struct names names = {0};
	char number[16];
	int rc = 0;

	switch (node.kind) {
	case NODE_BUSES:
		rc = names_add(&names, "pci");
		rc = rc == 0 ? names_add(&names, "platform") : rc;
		break;
	case NODE_DEVICE:
		rc = names_add(&names, "numa_node");
		break;
	case NODE_CDEVS:
		snprintf(number, sizeof(number), "vfio%d", node.dev->index);
		rc = names_add(&names, number);
		break;
	case NODE_GROUPS:
		rc = names_add_groups(m, &names);
		break;
	case NODE_MEMBERS:
		rc = names_add_members(node.group, &names);
		break;
	default:
		return node.kind == NODE_NONE ? -ENOENT : -ENOTDIR;
	}
	if (rc < 0)
		free(names.v);
	else
		*out = names.v;
	*n = names.n;
	return rc;
}
