/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * System calls of the backends: Linux, or the table that replaces individual calls. See
 * dm_kernel.h.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dm_kernel.h"
#include "dm_vfio_node.h"
#include "dm_process.h"

/**
 * A sysfs file has at most one page (Documentation/filesystems/sysfs.rst), and a page at most 64
 * KiB.
 */
#define TEXT_FIRST 4096
#define TEXT_MAX (64 * 1024 + 1)

/* Linux. */

static int
linux_open(void *arg, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int
linux_ioctl(void *arg, int fd, unsigned long request, uintptr_t param)
{
	int rc = ioctl(fd, request, param);

	return rc < 0 ? -errno : rc;
}

static int
linux_close(void *arg, int fd)
{
	return close(fd) < 0 ? -errno : 0;
}

static int
linux_read_file(void *arg, const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	size_t len = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, buf + len, size - len)) > 0)
		len += got;
	rc = got < 0 ? -errno : len == size ? -EFBIG : (int)len;
	close(fd);
	buf[rc < 0 ? 0 : rc] = '\0';
	return rc;
}

static int
linux_read_link(void *arg, const char *path, char *buf, size_t size)
{
	ssize_t len = readlink(path, buf, size);

	if (len < 0)
		return -errno;
	if ((size_t)len == size)
		return -ENAMETOOLONG;
	buf[len] = '\0';
	return (int)len;
}

static int
linux_list(void *arg, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	int rc = 0;

	if (dir == NULL)
		return -errno;
	while (rc == 0 && (e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = each(ctx, e->d_name);
	closedir(dir);
	return rc;
}

static int
linux_dup(void *arg, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

static int
linux_read_fdinfo(void *arg, int fd, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return linux_read_file(arg, path, buf, size);
}

/* The table. */

const struct dmamap_kernel *
dm_kernel_of(const struct dmamap_container_conf *conf)
{
	static const struct dmamap_kernel linux_kernel;

	return conf != NULL && conf->kernel != NULL ? conf->kernel : &linux_kernel;
}

int
dm_kernel_open(const struct dmamap_kernel *k, const char *path, int flags)
{
	char node[PATH_MAX];
	int rc;

	if (k->open != NULL)
		return k->open(k->arg, path, flags);
	rc = dm_vfio_node_find(
		k->sysfs != NULL ? k->sysfs : "/sys", "/dev", path, node, sizeof(node));
	/* Its name is another file's. If it is nobody's, a preload library may still open it. */
	if (rc == -ENOENT && access(path, F_OK) == 0)
		return rc;
	return linux_open(k->arg, rc < 0 ? path : node, flags);
}

int
dm_kernel_close(const struct dmamap_kernel *k, int fd)
{
	return (k->close != NULL ? k->close : linux_close)(k->arg, fd);
}

int
dm_kernel_dup(const struct dmamap_kernel *k, int fd)
{
	return (k->dup != NULL ? k->dup : linux_dup)(k->arg, fd);
}

int
dm_kernel_fdinfo(const struct dmamap_kernel *k, int fd, const char *key, char *buf, size_t size)
{
	char text[TEXT_FIRST], *rest = text, *line;
	size_t len = strlen(key);
	int rc;

	rc = (k->read_fdinfo != NULL ? k->read_fdinfo : linux_read_fdinfo)(
		k->arg, fd, text, sizeof(text));
	if (rc < 0)
		return rc;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, key, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, " \t");
		if (strlen(line) >= size)
			return -ENAMETOOLONG;
		strcpy(buf, line);
		return 0;
	}
	return -ENOENT;
}

int
dm_kernel_ioctl_int(const struct dm_iommu *iommu, int fd, unsigned long request, unsigned long arg)
{
	const struct dmamap_kernel *k = iommu->kernel;

	if (!dm_process_is(iommu->process))
		return -ECHILD;
	return (k->ioctl != NULL ? k->ioctl : linux_ioctl)(k->arg, fd, request, arg);
}

int
dm_kernel_ioctl(const struct dm_iommu *iommu, int fd, unsigned long request, void *arg)
{
	return dm_kernel_ioctl_int(iommu, fd, request, (uintptr_t)arg);
}

/* sysfs. */

/** Build the path of a file in sysfs. @return 0 or -ENAMETOOLONG */
static int
sysfs_path(const struct dmamap_kernel *k, char *path, size_t size, const char *fmt, va_list ap)
{
	int at = snprintf(path, size, "%s/", k->sysfs != NULL ? k->sysfs : "/sys"), len;

	if (at < 0 || (size_t)at >= size)
		return -ENAMETOOLONG;
	len = vsnprintf(path + at, size - at, fmt, ap);
	return len < 0 || (size_t)len >= size - at ? -ENAMETOOLONG : 0;
}

static int
kernel_read_file(const struct dmamap_kernel *k, const char *path, char *buf, size_t size)
{
	return (k->read_file != NULL ? k->read_file : linux_read_file)(k->arg, path, buf, size);
}

static int
kernel_list(const struct dmamap_kernel *k, const char *path,
	int (*each)(void *ctx, const char *name), void *ctx)
{
	return (k->list != NULL ? k->list : linux_list)(k->arg, path, each, ctx);
}

int
dm_kernel_line(const struct dmamap_kernel *k, char *buf, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int rc;

	buf[0] = '\0';
	va_start(ap, fmt);
	rc = sysfs_path(k, path, sizeof(path), fmt, ap);
	va_end(ap);
	if (rc == 0)
		rc = kernel_read_file(k, path, buf, size);
	if (rc < 0)
		return rc;
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

int
dm_kernel_text(const struct dmamap_kernel *k, char **text, const char *fmt, ...)
{
	char path[PATH_MAX], *more;
	size_t size;
	va_list ap;
	int rc;

	*text = NULL;
	va_start(ap, fmt);
	rc = sysfs_path(k, path, sizeof(path), fmt, ap);
	va_end(ap);
	if (rc < 0)
		return rc;
	rc = -EFBIG;
	for (size = TEXT_FIRST; rc == -EFBIG && size < TEXT_MAX * 2; size *= 2) {
		more = realloc(*text, size);
		if (more == NULL) {
			rc = -ENOMEM;
			break;
		}
		*text = more;
		rc = kernel_read_file(k, path, more, size);
	}
	if (rc < 0) {
		free(*text);
		*text = NULL;
		return rc;
	}
	return 0;
}

int
dm_kernel_link_name(const struct dmamap_kernel *k, char *buf, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *slash, *name;
	va_list ap;
	int rc;

	buf[0] = '\0';
	va_start(ap, fmt);
	rc = sysfs_path(k, path, sizeof(path), fmt, ap);
	va_end(ap);
	if (rc == 0)
		rc = (k->read_link != NULL ? k->read_link : linux_read_link)(
			k->arg, path, target, sizeof(target));
	if (rc < 0)
		return rc;
	slash = strrchr(target, '/');
	name = slash != NULL ? slash + 1 : target;
	if (strlen(name) >= size)
		return -ENAMETOOLONG;
	strcpy(buf, name);
	return 0;
}

int
dm_kernel_list(const struct dmamap_kernel *k, int (*each)(void *ctx, const char *name), void *ctx,
	const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = sysfs_path(k, path, sizeof(path), fmt, ap);
	va_end(ap);
	return rc < 0 ? rc : kernel_list(k, path, each, ctx);
}

int
dm_kernel_stop(void *ctx, const char *name)
{
	return 1;
}

int
dm_kernel_check_dir(const struct dmamap_kernel *k, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = sysfs_path(k, path, sizeof(path), fmt, ap);
	va_end(ap);
	if (rc == 0)
		rc = kernel_list(k, path, dm_kernel_stop, NULL);
	return rc < 0 ? rc : 0;
}
