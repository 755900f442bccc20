/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where do backends look devices up in tests? A sysfs in a folder of its own.
 */

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_sysfs.h"

char fake_sysfs[PATH_MAX];

/** Make the folders on the way to a path. */
static void
make_folders(char *path)
{
	char *slash;

	for (slash = strchr(path + strlen(fake_sysfs) + 1, '/'); slash != NULL;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
}

int
fake_sysfs_file(const char *name, const char *text)
{
	char path[PATH_MAX + 256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", fake_sysfs, name);
	make_folders(path);
	f = fopen(path, "w");
	if (f == NULL)
		return -errno;
	fputs(text, f);
	return fclose(f) == 0 ? 0 : -errno;
}

static int
link_file(const char *target, const char *name)
{
	char path[PATH_MAX + 256];

	snprintf(path, sizeof(path), "%s/%s", fake_sysfs, name);
	make_folders(path);
	return symlink(target, path) == 0 ? 0 : -errno;
}

int
fake_sysfs_device(const char *bdf, int group, const char *driver)
{
	char name[256], target[256];
	int rc;

	snprintf(name, sizeof(name), "bus/pci/devices/%s/numa_node", bdf);
	rc = fake_sysfs_file(name, "1\n");
	if (rc == 0 && driver != NULL) {
		snprintf(name, sizeof(name), "bus/pci/devices/%s/driver", bdf);
		snprintf(target, sizeof(target), "../../drivers/%s", driver);
		rc = link_file(target, name);
	}
	if (rc < 0 || group < 0)
		return rc;
	snprintf(name, sizeof(name), "bus/pci/devices/%s/iommu_group", bdf);
	snprintf(target, sizeof(target), "../../../../kernel/iommu_groups/%d", group);
	rc = link_file(target, name);
	if (rc < 0)
		return rc;
	snprintf(name, sizeof(name), "kernel/iommu_groups/%d/devices/%s", group, bdf);
	snprintf(target, sizeof(target), "../../../../bus/pci/devices/%s", bdf);
	return link_file(target, name);
}

int
fake_sysfs_cdev(const char *bdf, unsigned int number)
{
	char name[256];

	snprintf(name, sizeof(name), "bus/pci/devices/%s/vfio-dev/vfio%u/dev", bdf, number);
	return fake_sysfs_file(name, "511:0\n");
}

int
fake_sysfs_begin(void)
{
	strcpy(fake_sysfs, "/tmp/gantry-sysfs-XXXXXX");
	return mkdtemp(fake_sysfs) == NULL ? -errno : 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void
fake_sysfs_end(void)
{
	nftw(fake_sysfs, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
