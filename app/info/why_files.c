/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Checks of `why` on the files that a program has to open: whether they exist, and why the kernel
 * refuses them. See why.h.
 *
 * Each file is opened once, by why_files(), and closed at once. The errno says which check fails.
 */

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "why.h"

/** Names of the files that the backend opens. */
static void
files_name(struct why *w)
{
	const bool iommufd = w->backend == DMAMAP_BACKEND_IOMMUFD;

	info_node(w->host, w->files[0], "%s", iommufd ? "/dev/iommu" : "/dev/vfio/vfio");
	if (iommufd)
		info_node(w->host, w->files[1], "/dev/vfio/devices/%.200s", w->dev.cdev);
	else
		info_node(w->host, w->files[1], "/dev/vfio/%s%d", w->dev.noiommu ? "noiommu-" : "",
			w->dev.group);
}

/** The file whose opening failed with one of two errors. @return NULL: none */
static const char *
file_refused(const struct why *w, int err, int other)
{
	unsigned int i;

	for (i = 0; i < WHY_FILES; i++)
		if (w->opened[i] == -err || w->opened[i] == -other)
			return w->files[i];
	return NULL;
}

/** The kernel lacks a part of VFIO, or this process does not see the host's /dev. */
static bool
file_is_absent(struct why *w, const char *path)
{
	const bool container = strcmp(path, "/dev/vfio/vfio") == 0;

	if (w->backend == DMAMAP_BACKEND_IOMMUFD) {
		why_command(w, "gantry-info why %s --backend=type1", w->dev.address);
		return why_fails(
			w, "there is no %s: this kernel lacks iommufd, or its device files", path);
	}
	if (container && info_module_find(w->host, "vfio_iommu_type1") == INFO_MODULE_ON_DISK) {
		why_command(w, "modprobe vfio_iommu_type1");
		return why_fails(w, "there is no %s: the module is not loaded", path);
	}
	if (w->dev.cdev[0] != '\0') {
		why_command(w, "gantry-info why %s --backend=iommufd", w->dev.address);
		return why_fails(w, "there is no %s: this kernel lacks VFIO's %s", path,
			container ? "containers (CONFIG_VFIO_CONTAINER)"
				  : "groups (CONFIG_VFIO_GROUP)");
	}
	why_command(w, "gantry-bind none %s && gantry-bind vfio-pci %s", w->dev.address,
		w->dev.address);
	why_note(w, "in a pod or container: make %s and %s visible there, or use gantry-broker",
		w->files[0], w->files[1]);
	return why_fails(w, "there is no %s, though the device is bound", path);
}

bool
why_files(struct why *w)
{
	const char *absent;
	unsigned int i;
	int fd;

	files_name(w);
	if (w->backend == DMAMAP_BACKEND_IOMMUFD && w->dev.cdev[0] == '\0') {
		why_command(w, "gantry-info why %s --backend=type1", w->dev.address);
		return why_fails(w,
			"VFIO made no device file for it: this kernel lacks"
			" CONFIG_VFIO_DEVICE_CDEV");
	}
	for (i = 0; i < WHY_FILES; i++) {
		fd = info_open(w->host, w->files[i]);
		w->opened[i] = fd < 0 ? fd : 0;
		if (fd >= 0)
			info_close(w->host, fd);
	}
	absent = file_refused(w, ENOENT, ENXIO);
	if (absent != NULL)
		return file_is_absent(w, absent);
	return why_passes(w, "%s, %s", w->files[0], w->files[1]);
}

/** Names of a file's owner and group, as numbers if nobody has them. */
static void
owner_names(const struct stat *st, char *owner, char *group, size_t size)
{
	const struct passwd *user = getpwuid(st->st_uid);
	const struct group *members = getgrgid(st->st_gid);

	if (user != NULL)
		snprintf(owner, size, "%s", user->pw_name);
	else
		snprintf(owner, size, "%u", st->st_uid);
	if (members != NULL)
		snprintf(group, size, "%s", members->gr_name);
	else
		snprintf(group, size, "%u", st->st_gid);
}

bool
why_permission(struct why *w)
{
	char path[PATH_MAX], owner[INFO_NAME_MAX] = "?", group[INFO_NAME_MAX] = "?";
	char name[INFO_NAME_MAX], group_quoted[INFO_TEXT_MAX];
	char name_quoted[INFO_TEXT_MAX];
	const char *file = file_refused(w, EACCES, EACCES);
	const struct passwd *user = getpwuid(geteuid());
	struct stat st = {0};

	if (file == NULL)
		return why_passes(w, "this user may open them");
	/* The next getpwuid(3) writes over it. */
	snprintf(name, sizeof(name), "%s", user != NULL ? user->pw_name : "USER");
	if (stat(info_path(w->host, path, "%s", file), &st) == 0)
		owner_names(&st, owner, group, sizeof(owner));
	if (st.st_gid != 0 && (st.st_mode & 060) == 060) {
		why_command(w, "usermod --append --groups %.300s %.300s",
			info_quote(group_quoted, group), info_quote(name_quoted, name));
		why_note(w, "log in again to be in the group");
	} else {
		why_command(w, "chown %.300s %s", info_quote(name_quoted, name), file);
		why_note(w,
			"this lasts until the device is bound again: the udev rule 70-gantry.rules"
			" gives the files to the group gantry for good");
	}
	return why_fails(w, "user %s may not open %s, which is of %s:%s with mode %04o", name, file,
		owner, group, st.st_mode & 07777u);
}

/** The last part of a control group's path, if it is a service of systemd; else NULL. */
static const char *
service_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *dot;

	slash = slash != NULL ? slash + 1 : path;
	dot = strrchr(slash, '.');
	return dot != NULL && (strcmp(dot, ".service") == 0 || strcmp(dot, ".scope") == 0) ? slash
											   : NULL;
}

/** How to allow a file in the control group of this process. */
static void
cgroup_command(struct why *w, const char *file)
{
	char path[INFO_TEXT_MAX], host_path[PATH_MAX], word[INFO_TEXT_MAX];
	char quoted[INFO_TEXT_MAX];
	const char *service;
	struct stat st = {0};

	stat(info_path(w->host, host_path, "%s", file), &st);
	if (info_cgroup(w->host, "devices", path, sizeof(path)) && strcmp(path, "/") != 0) {
		snprintf(word, sizeof(word), "/sys/fs/cgroup/devices%.512s/devices.allow", path);
		why_command(w, "echo 'c %u:%u rw' >%.900s", major(st.st_rdev), minor(st.st_rdev),
			info_quote(quoted, word));
		return;
	}
	service = info_cgroup(w->host, NULL, path, sizeof(path)) ? service_of(path) : NULL;
	if (service != NULL)
		why_command(w, "systemctl set-property %.600s DeviceAllow='%s rw'",
			info_quote(quoted, service), file);
	else
		why_command(w, "start the container with --device=%s --device=%s", w->files[0],
			w->files[1]);
}

bool
why_cgroup(struct why *w)
{
	const char *file = file_refused(w, EPERM, EPERM);
	char path[INFO_TEXT_MAX];

	if (file == NULL)
		return why_passes(w, "allows them");
	if (w->dev.noiommu) {
		why_command(w, "sudo gantry-info why %s --backend=noiommu", w->dev.address);
		return why_fails(w, "%s takes CAP_SYS_RAWIO, because there is no IOMMU", file);
	}
	if (!info_cgroup(w->host, "devices", path, sizeof(path)) || strcmp(path, "/") == 0)
		info_cgroup(w->host, NULL, path, sizeof(path));
	cgroup_command(w, file);
	return why_fails(w, "the control group %s does not allow %s (EPERM)",
		path[0] != '\0' ? path : "of this process", file);
}

bool
why_held(struct why *w, const char *const *files, unsigned int n)
{
	char text[INFO_TEXT_MAX];
	unsigned int i;
	int pid;

	for (i = 0; i < n; i++) {
		if (info_holders(w->host, files[i], text, &pid) == 0)
			continue;
		why_command(w, "kill %d", pid);
		return why_fails(w, "in use: process %.900s has %s open", text, files[i]);
	}
	why_command(w, "fuser -v %s", files[0]);
	return why_fails(
		w, "in use by another process, which this user cannot see: %s is busy", files[0]);
}

bool
why_busy(struct why *w)
{
	const char *file = file_refused(w, EBUSY, EBUSY);
	unsigned int i;

	if (file != NULL)
		return why_held(w, &file, 1);
	for (i = 0; i < WHY_FILES; i++) {
		if (w->opened[i] == 0)
			continue;
		why_command(w, "dmesg | tail");
		return why_fails(
			w, "%s cannot be opened: %s", w->files[i], strerror(-w->opened[i]));
	}
	return why_passes(w, "no other process has its group");
}
