/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Files that gantry-info reads, all below one root, and VFIO's files, opened through the kernel
 * table. A file that cannot be read is one that tells nothing. Implements part of info.h.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "info.h"

int
info_fail(const struct info_host *h, int status, const char *fmt, ...)
{
	va_list ap;

	fprintf(h->err, "%s: ", h->program != NULL ? h->program : "gantry-info");
	va_start(ap, fmt);
	vfprintf(h->err, fmt, ap);
	va_end(ap);
	fputc('\n', h->err);
	return status;
}

static const char *
path_make(const struct info_host *h, char *path, const char *fmt, va_list ap)
{
	int at = snprintf(path, PATH_MAX, "%s", h->root);

	/* A path that does not fit is cut, and then leads nowhere. */
	if (at >= 0 && at < PATH_MAX)
		vsnprintf(path + at, PATH_MAX - at, fmt, ap);
	return path;
}

/** Make a path of the arguments after the last named one. */
#define PATH_OF(h, path, fmt)                                                                      \
	do {                                                                                       \
		va_list ap_;                                                                       \
                                                                                                   \
		va_start(ap_, fmt);                                                                \
		path_make(h, path, fmt, ap_);                                                      \
		va_end(ap_);                                                                       \
	} while (0)

const char *
info_path(const struct info_host *h, char *path, const char *fmt, ...)
{
	PATH_OF(h, path, fmt);
	return path;
}

static int
line_read(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	int rc = 0;

	line[0] = '\0';
	if (f == NULL)
		return -errno;
	errno = 0;
	if (fgets(line, (int)size, f) != NULL)
		line[strcspn(line, "\n")] = '\0';
	else if (ferror(f))
		rc = errno != 0 ? -errno : -EIO;
	fclose(f);
	return rc;
}

int
info_line(const struct info_host *h, char *line, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX];

	PATH_OF(h, path, fmt);
	return line_read(path, line, size);
}

bool
info_number(const struct info_host *h, uint64_t *number, const char *fmt, ...)
{
	char path[PATH_MAX], line[64], *end;

	PATH_OF(h, path, fmt);
	*number = 0;
	if (line_read(path, line, sizeof(line)) < 0 || line[0] == '-')
		return false;
	errno = 0;
	*number = strtoull(line, &end, strncmp(line, "0x", 2) == 0 ? 16 : 10);
	return end != line && errno == 0;
}

bool
info_link(const struct info_host *h, char *name, size_t size, const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *slash;
	ssize_t len;

	PATH_OF(h, path, fmt);
	name[0] = '\0';
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = '\0';
	slash = strrchr(target, '/');
	snprintf(name, size, "%s", slash != NULL ? slash + 1 : target);
	return true;
}

bool
info_exists(const struct info_host *h, const char *fmt, ...)
{
	char path[PATH_MAX];

	PATH_OF(h, path, fmt);
	return access(path, F_OK) == 0;
}

static int
name_is_shown(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

json_t *
info_list(const struct info_host *h, const char *fmt, ...)
{
	json_t *names = json_array();
	struct dirent **entries;
	char path[PATH_MAX];
	int i, n;

	PATH_OF(h, path, fmt);
	n = scandir(path, &entries, name_is_shown, versionsort);
	for (i = 0; i < n; i++) {
		info_add(names, entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return names;
}

bool
info_each_line(const struct info_host *h, bool (*each)(void *arg, char *line), void *arg,
	const char *fmt, ...)
{
	char path[PATH_MAX], *line = NULL;
	bool found = false;
	size_t size = 0;
	FILE *f;

	PATH_OF(h, path, fmt);
	f = fopen(path, "re");
	while (f != NULL && !found && getline(&line, &size, f) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		found = each(arg, line);
	}
	free(line);
	if (f != NULL)
		fclose(f);
	return found;
}

/* VFIO's files */

int
info_open(const struct info_host *h, const char *path)
{
	char host_path[PATH_MAX];
	int fd;

	if (h->kernel != NULL && h->kernel->open != NULL)
		return h->kernel->open(h->kernel->arg, path, O_RDWR);
	fd = open(info_path(h, host_path, "%s", path), O_RDWR | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

const char *
info_node(const struct info_host *h, char *node, const char *fmt, ...)
{
	char name[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	/* Nodes of another root, or of a table, have the kernel's names. */
	if (h->root[0] != '\0' || h->kernel != NULL ||
		dmamap_vfio_node(name, node, INFO_NAME_MAX) < 0)
		snprintf(node, INFO_NAME_MAX, "%.*s", INFO_NAME_MAX - 1, name);
	return node;
}

int
info_ioctl(const struct info_host *h, int fd, unsigned long request, void *arg)
{
	int rc;

	if (h->kernel != NULL && h->kernel->ioctl != NULL)
		return h->kernel->ioctl(h->kernel->arg, fd, request, (uintptr_t)arg);
	rc = ioctl(fd, request, arg);
	return rc < 0 ? -errno : rc;
}

void
info_close(const struct info_host *h, int fd)
{
	if (h->kernel != NULL && h->kernel->close != NULL)
		h->kernel->close(h->kernel->arg, fd);
	else
		close(fd);
}
