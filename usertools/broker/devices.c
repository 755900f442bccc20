/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Files of a device, found in sysfs, and opening them. Implements part of broker.h.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker.h"

/** Size of "0000:01:00.0" with its terminating zero; domains have up to eight digits. */
#define ADDRESS_SIZE 20

/** Add a file, unless it is in the list. @return 0; an exit status. */
static int
file_add(struct broker *b, enum broker_kind kind, const char *dir, const char *name)
{
	struct broker_file file = {.kind = kind}, *more;
	int len = snprintf(file.path, sizeof(file.path), "%s%s", dir, name);

	if (len >= (int)sizeof(file.path))
		return broker_fail(BROKER_FAILED, "%s%s: name too long", dir, name);
	if (broker_file_find(b, file.path) != NULL)
		return 0;
	more = reallocarray(b->files, b->n_files + 1, sizeof(*more));
	if (more == NULL)
		return broker_fail(BROKER_FAILED, "out of memory");
	b->files = more;
	b->files[b->n_files++] = file;
	return 0;
}

/** Path of a file on this host: below --dev. */
static void
file_host_path(const struct broker *b, const struct broker_file *file, char host_path[PATH_MAX])
{
	snprintf(host_path, PATH_MAX, "%s%s", b->dev, file->path + strlen("/dev"));
}

static bool
file_exists(const struct broker *b, const struct broker_file *file)
{
	char host_path[PATH_MAX];
	struct stat st;

	file_host_path(b, file, host_path);
	return lstat(host_path, &st) == 0 && S_ISCHR(st.st_mode);
}

/** Parse a PCI address. Only digits and separators reach a path. @return 0; -EINVAL. */
static int
address_parse(const char *name, char address[ADDRESS_SIZE])
{
	unsigned int domain = 0, bus, slot, function;
	int end = -1;

	if (strspn(name, "0123456789abcdefABCDEF:.") != strlen(name))
		return -EINVAL;
	if (sscanf(name, "%8x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &end) != 4 ||
		end < 0) {
		domain = 0;
		end = -1;
		if (sscanf(name, "%2x:%2x.%1x%n", &bus, &slot, &function, &end) != 3 || end < 0)
			return -EINVAL;
	}
	if (name[end] != '\0' || slot > 0x1f || function > 7)
		return -EINVAL;
	snprintf(address, ADDRESS_SIZE, "%04x:%02x:%02x.%x", domain, bus, slot, function);
	return 0;
}

/** Read a file of one line. "": it does not exist. */
static void
line_read(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");

	line[0] = '\0';
	if (f == NULL)
		return;
	if (fgets(line, (int)size, f) != NULL)
		line[strcspn(line, "\n")] = '\0';
	fclose(f);
}

/**
 * Add the group file. The last part of the link /sys/bus/pci/devices/ADDRESS/iommu_group is the
 * group number.
 */
static int
group_add(struct broker *b, const char *device, const char *address)
{
	char path[PATH_MAX], target[PATH_MAX], text[32];
	const char *name;
	ssize_t len;

	snprintf(path, sizeof(path), "%s/iommu_group", device);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return broker_fail(
			BROKER_FAILED, "%s: in no IOMMU group: turn the IOMMU on", address);
	target[len] = '\0';
	name = strrchr(target, '/');
	name = name == NULL ? target : name + 1;
	if (*name == '\0' || strspn(name, "0123456789") != strlen(name))
		return broker_fail(
			BROKER_FAILED, "%s: '%s' is not an IOMMU group", address, target);
	snprintf(path, sizeof(path), "%s/iommu_group/name", device);
	line_read(path, text, sizeof(text));
	if (strcmp(text, "vfio-noiommu") == 0)
		return broker_fail(BROKER_FAILED,
			"%s: bound without an IOMMU (noiommu): not served, because its DMA reaches all"
			" memory: turn the IOMMU on",
			address);
	return file_add(b, BROKER_GROUP, "/dev/vfio/", name);
}

/** Add the device file: /sys/bus/pci/devices/ADDRESS/vfio-dev/vfioN, from Linux 6.2 on. */
static int
cdev_add(struct broker *b, const char *device)
{
	char path[PATH_MAX];
	const struct dirent *e;
	int rc = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/vfio-dev", device);
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while (rc == 0 && (e = readdir(dir)) != NULL)
		if (strncmp(e->d_name, "vfio", 4) == 0 && e->d_name[4] != '\0' &&
			strspn(e->d_name + 4, "0123456789") == strlen(e->d_name + 4))
			rc = file_add(b, BROKER_CDEV, "/dev/vfio/devices/", e->d_name);
	closedir(dir);
	return rc;
}

int
broker_device_add(struct broker *b, const char *name)
{
	const unsigned int first = b->n_files;
	char device[PATH_MAX / 2], address[ADDRESS_SIZE];
	unsigned int i;
	int rc;

	if (address_parse(name, address) < 0)
		return broker_fail(
			BROKER_FAILED, "%s: not a PCI address such as 0000:01:00.0", name);
	snprintf(device, sizeof(device), "%s/bus/pci/devices/%s", b->sysfs, address);
	if (access(device, F_OK) < 0)
		return broker_fail(BROKER_FAILED, "%s: no such device in %s", address, b->sysfs);
	rc = group_add(b, device, address);
	if (rc == 0)
		rc = cdev_add(b, device);
	if (rc != 0)
		return rc;
	/* A device whose group is in the list already adds nothing. */
	if (first == b->n_files)
		return 0;
	for (i = first; i < b->n_files; i++)
		if (file_exists(b, &b->files[i]))
			return 0;
	return broker_fail(BROKER_FAILED,
		"%s: there is no %s in %s: bind it to vfio-pci with gantry-bind", address,
		b->files[first].path + strlen("/dev/"), b->dev);
}

int
broker_common_add(struct broker *b)
{
	int rc = file_add(b, BROKER_CONTAINER, "/dev/vfio/", "vfio");

	return rc != 0 ? rc : file_add(b, BROKER_IOMMUFD, "/dev/", "iommu");
}

const struct broker_file *
broker_file_find(const struct broker *b, const char *path)
{
	unsigned int i;

	for (i = 0; i < b->n_files; i++)
		if (strcmp(b->files[i].path, path) == 0)
			return &b->files[i];
	return NULL;
}

int
broker_file_open(const struct broker *b, const struct broker_file *file)
{
	char host_path[PATH_MAX];
	struct stat st;
	int fd;

	/*
	 * Open only character devices: a symbolic link is not followed, and open(2) of a FIFO would
	 * block.
	 */
	if (!file_exists(b, file)) {
		file_host_path(b, file, host_path);
		return lstat(host_path, &st) == 0 ? -ENODEV : -errno;
	}
	file_host_path(b, file, host_path);
	fd = open(host_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}
