/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Nodes of VFIO files by their device numbers. See dm_vfio_node.h.
 *
 * The kernel names a VFIO file in sysfs, beside its device number. A pod has the nodes that its
 * runtime made, with names of the runtime's choice; the numbers are the kernel's.
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>

#include "dm_file.h"
#include "dm_vfio_node.h"
#include "dm_util.h"
#include "dmamap.h"

#define DEV "/dev"

/** Where the kernel lists files of a folder of /dev, longest first. */
static const struct {
	const char *folder;
	const char *class;
} places[] = {
	{"/dev/vfio/devices/", "vfio-dev"},
	{"/dev/vfio/", "vfio"},
	{"/dev/", "misc"},
};

/** Where nodes may be. */
static const char *const folders[] = {"/vfio", "/vfio/devices"};

/** The device number of a file. @return 0; -ENOENT: sysfs does not tell it */
static int
number_of(const char *sysfs, const char *path, dev_t *number)
{
	char file[PATH_MAX], line[32];
	unsigned int i, at_major, at_minor;
	const char *name = NULL;

	for (i = 0; i < DM_DIM(places) && name == NULL; i++)
		if (strncmp(path, places[i].folder, strlen(places[i].folder)) == 0)
			name = path + strlen(places[i].folder);
	if (name == NULL || name[0] == '\0' || strchr(name, '/') != NULL)
		return -ENOENT;
	/* The container is a device of class misc, in a folder of its own (VFIO_MINOR). */
	snprintf(file, sizeof(file), "%s/class/%s/%s/dev", sysfs,
		strcmp(path, "/dev/vfio/vfio") == 0 ? "misc" : places[i - 1].class, name);
	if (dm_file_line(file, line, sizeof(line)) < 0 ||
		sscanf(line, "%u:%u", &at_major, &at_minor) != 2)
		return -ENOENT;
	*number = makedev(at_major, at_minor);
	return 0;
}

/** Look through a folder. @return whether the node is there; then its path below DEV is in buf */
static bool
folder_has(const char *dev, const char *folder, dev_t number, char *buf, size_t size)
{
	char path[PATH_MAX];
	const struct dirent *e;
	bool found = false;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "%s%s", dev, folder);
	dir = opendir(path);
	if (dir == NULL)
		return false;
	while (!found && (e = readdir(dir)) != NULL)
		found = fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && S_ISCHR(st.st_mode) &&
			st.st_rdev == number &&
			snprintf(buf, size, DEV "%s/%s", folder, e->d_name) < (int)size;
	closedir(dir);
	return found;
}

int
dm_vfio_node_find(const char *sysfs, const char *dev, const char *path, char *buf, size_t size)
{
	char real[PATH_MAX];
	struct stat st;
	dev_t number;
	unsigned int i;
	int rc;

	if (strncmp(path, DEV "/", strlen(DEV "/")) != 0)
		return -EINVAL;
	if (snprintf(buf, size, "%s", path) >= (int)size)
		return -ENAMETOOLONG;
	snprintf(real, sizeof(real), "%s%s", dev, path + strlen(DEV));
	rc = stat(real, &st) < 0 ? -errno : 0;
	/* Without a number, or if this node cannot be judged, its name decides. */
	if (number_of(sysfs, path, &number) < 0 || (rc < 0 && rc != -ENOENT))
		return rc == -ENOENT ? rc : 0;
	if (rc == 0 && S_ISCHR(st.st_mode) && st.st_rdev == number)
		return 0;
	for (i = 0; i < DM_DIM(folders); i++)
		if (folder_has(dev, folders[i], number, buf, size))
			return 0;
	return -ENOENT;
}

int
dmamap_vfio_node(const char *path, char *buf, size_t size)
{
	return path == NULL || buf == NULL ? -EINVAL
					   : dm_vfio_node_find("/sys", DEV, path, buf, size);
}
