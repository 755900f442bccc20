/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Calls into the kernel below vfio_front, and the table of system calls that libdmamap is given.
 *
 * libdmamap knows files by tokens. A token stands for a container or a group of the program,
 * whichever of its descriptors is open. Or it stands for a file that libdmamap opened itself: a
 * further kernel container, or an iommufd.
 *
 * Invariants:
 * - Files that libdmamap opens are hidden: FD_CLOEXEC, and at high numbers that the program does
 *   not get.
 * - Linux is called by syscall(2). In a program, the C library's open, ioctl and close are the
 *   interposed ones.
 *
 * Callers: front.c, front_container.c, and libdmamap through front_table.
 */

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "front_broker.h"
#include "front_priv.h"

/**
 * Numbers of tokens: above all descriptors of Linux, and disjoint from those of the mock kernel.
 */
#define TOKEN_FIRST 0x20000000
#define TOKEN_LAST 0x2fffffff

#define GROUP_DIR "/dev/vfio/"

/** Object of a token: exactly one member is set; none: the token is free. */
struct token {
	struct front_container *c;
	struct front_group *g;
	struct front_file *hidden;
};

__thread struct front_container *front_current;
struct dmamap_kernel front_table;

static const struct dmamap_kernel *below;
static struct token *tokens;
static unsigned int n_tokens;

static int
linux_open(void *arg DM_UNUSED, const char *path, int flags)
{
	int fd = syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0), err = errno;

	if (fd < 0 && front_broker_serves(path, err)) {
		fd = front_broker_open(path, flags | O_CLOEXEC);
		err = fd == -ENOENT ? err : -fd;
	}
	return fd < 0 ? -err : fd;
}

static int
linux_ioctl(void *arg DM_UNUSED, int fd, unsigned long request, uintptr_t param)
{
	int rc = syscall(SYS_ioctl, fd, request, param);

	return rc < 0 ? -errno : rc;
}

static int
linux_close(void *arg DM_UNUSED, int fd)
{
	return syscall(SYS_close, fd) < 0 ? -errno : 0;
}

static int
linux_dup(void *arg DM_UNUSED, int fd)
{
	int rc = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);

	return rc < 0 ? -errno : rc;
}

static const struct dmamap_kernel linux_kernel = {
	.open = linux_open,
	.ioctl = linux_ioctl,
	.close = linux_close,
	.dup = linux_dup,
};

int
front_below_ioctl(int fd, unsigned long request, uintptr_t arg)
{
	return below->ioctl(below->arg, fd, request, arg);
}

int
front_below_open(const char *path, int flags)
{
	return below->open(below->arg, path, flags);
}

int
front_below_close(int fd)
{
	return below->close(below->arg, fd);
}

/* Tokens */

static bool
token_is_free(const struct token *t)
{
	return t->c == NULL && t->g == NULL && t->hidden == NULL;
}

static int
token_make(struct token token)
{
	struct token *more;
	unsigned int i;

	for (i = 0; i < n_tokens && !token_is_free(&tokens[i]); i++)
		;
	if (i == n_tokens) {
		more = realloc(tokens, (n_tokens + 16) * sizeof(*tokens));
		if (more == NULL)
			return -ENOMEM;
		memset(&more[n_tokens], 0, 16 * sizeof(*tokens));
		tokens = more;
		n_tokens += 16;
	}
	tokens[i] = token;
	return TOKEN_FIRST + i;
}

int
front_token_new(struct front_container *c, struct front_group *g)
{
	return token_make((struct token){.c = c, .g = g});
}

void
front_token_free(int token)
{
	tokens[token - TOKEN_FIRST] = (struct token){0};
}

static bool
is_token(int fd)
{
	return fd >= TOKEN_FIRST && fd <= TOKEN_LAST;
}

int
front_token_fd(int fd, struct front_group **g)
{
	const struct front_file *file;
	struct token t;

	*g = NULL;
	if (!is_token(fd))
		return fd;
	pthread_mutex_lock(&front_tree);
	t = tokens[fd - TOKEN_FIRST];
	file = t.c != NULL ? t.c->file : t.g != NULL ? t.g->file : t.hidden;
	fd = file != NULL && file->n_fds > 0 ? file->fds[0] : -EBADF;
	pthread_mutex_unlock(&front_tree);
	*g = t.g;
	return fd;
}

/* Hidden files */

/** Move a descriptor of Linux to a high number. The mock kernel's numbers are high already. */
static int
fd_move_up(int fd)
{
	return below == &linux_kernel ? front_fd_raise(fd) : fd;
}

/** Hide a descriptor. @return NULL: out of memory, and the descriptor was closed. */
static struct front_file *
hidden_new(struct front_container *c, int fd)
{
	struct front_file *file;

	fd = fd_move_up(fd);
	pthread_mutex_lock(&front_tree);
	file = front_file_new(FRONT_HIDDEN, fd);
	if (file != NULL)
		file->c = c;
	pthread_mutex_unlock(&front_tree);
	if (file == NULL)
		front_below_close(fd);
	return file;
}

/**
 * Remove and free a hidden file. Under front_tree.
 * @return its descriptor, for the caller to close; -EBADF: the program closed it.
 */
static int
hidden_forget(struct front_file *file)
{
	const int fd = file->n_fds > 0 ? file->fds[0] : -EBADF;

	if (fd >= 0)
		front_fd_remove(fd);
	front_file_free(file);
	return fd;
}

int
front_hidden_open(struct front_container *c, const char *path)
{
	struct front_file *file;
	int fd = front_below_open(path, O_RDWR), token;

	if (fd < 0)
		return fd;
	file = hidden_new(c, fd);
	if (file == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&front_tree);
	token = token_make((struct token){.hidden = file});
	fd = token < 0 ? hidden_forget(file) : -1;
	pthread_mutex_unlock(&front_tree);
	if (fd >= 0)
		front_below_close(fd);
	return token;
}

int
front_hidden_move(struct front_file *file)
{
	int from = file->fds[0], to = below->dup(below->arg, from), rc;

	if (to < 0)
		return to;
	to = fd_move_up(to);
	rc = front_fd_add(file, to);
	if (rc < 0) {
		front_below_close(to);
		return rc;
	}
	front_fd_remove(from);
	return 0;
}

/* Groups */

int
front_group_leave(struct front_group *g)
{
	struct front_group *same;
	int fd = front_token_fd(g->token, &same), rc;

	if (g->in == FRONT_NOWHERE)
		return 0;
	rc = fd < 0 ? fd : front_below_ioctl(fd, VFIO_GROUP_UNSET_CONTAINER, 0);
	if (rc == 0)
		g->in = FRONT_NOWHERE;
	return rc;
}

int
front_group_join(struct front_group *g, int container)
{
	struct front_group *none;
	int fd = front_token_fd(g->token, &none), to = front_token_fd(container, &none), rc;

	if (g->in == container)
		return 0;
	if (fd < 0 || to < 0)
		return -EBADF;
	rc = front_group_leave(g);
	if (rc == 0)
		rc = front_below_ioctl(fd, VFIO_GROUP_SET_CONTAINER, (uintptr_t)&to);
	if (rc == 0)
		g->in = container;
	return rc;
}

struct anchor {
	struct front_group *g;
	int rc;
};

/** Try to open one device. @return not 0: stop here. */
static int
anchor_try(void *ctx, const char *name)
{
	struct anchor *a = ctx;
	struct front_group *g;
	int fd = front_token_fd(a->g->token, &g);

	a->rc = front_below_ioctl(fd, VFIO_GROUP_GET_DEVICE_FD, (uintptr_t)name);
	/* -ENODEV: the device has another driver. -EACCES: it needs a VF token (vfio-pci). */
	return a->rc != -ENODEV && a->rc != -EACCES;
}

/**
 * Call `each` for each entry of a directory until it returns other than 0. Same contract as `list`
 * of struct dmamap_kernel.
 */
static int
folder_each(const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	const struct dirent *entry;
	int rc = 0;
	DIR *dir;

	if (below->list != NULL)
		return below->list(below->arg, path, each, ctx);
	dir = opendir(path);
	if (dir == NULL)
		return -errno;
	while (rc == 0 && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			rc = each(ctx, entry->d_name);
	closedir(dir);
	return rc;
}

int
front_anchor_open(struct front_container *c, struct front_group *g)
{
	struct anchor a = {g, -ENODEV};
	char path[128];

	if (g->number < 0)
		return -ENODEV;
	snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%d/devices",
		below->sysfs != NULL ? below->sysfs : "/sys", g->number);
	folder_each(path, anchor_try, &a);
	if (a.rc < 0)
		return a.rc;
	g->anchor = hidden_new(c, a.rc);
	return g->anchor != NULL ? 0 : -ENOMEM;
}

void
front_anchor_keep(struct front_container *c, struct front_group *g, int fd)
{
	int copy = below->dup(below->arg, fd);

	if (copy >= 0)
		g->anchor = hidden_new(c, copy);
	if (g->anchor == NULL)
		front_log(DMAMAP_LOG_WARNING,
			"group %d: its last device cannot be held open: %s: another process may open "
			"the group until a device of it is open again: raise the limit of open files",
			g->number, strerror(copy < 0 ? -copy : ENOMEM));
}

void
front_anchor_close(struct front_group *g)
{
	int fd;

	if (g->anchor == NULL)
		return;
	pthread_mutex_lock(&front_tree);
	fd = hidden_forget(g->anchor);
	g->anchor = NULL;
	pthread_mutex_unlock(&front_tree);
	if (fd >= 0)
		front_below_close(fd);
}

struct dma_search {
	const struct front_container *c;
	bool any;
};

/** Check whether a file is a device of the container that may do DMA. Any failure counts as yes. */
static void
device_may_dma(struct front_file *file, void *arg)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX};
	struct vfio_device_info info = {.argsz = sizeof(info)};
	struct dma_search *m = arg;
	uint16_t command;
	int fd;

	if (file->kind != FRONT_DEVICE || file->g->c != m->c)
		return;
	fd = file->fds[0];
	m->any = m->any || front_below_ioctl(fd, VFIO_DEVICE_GET_INFO, (uintptr_t)&info) < 0 ||
		(info.flags & VFIO_DEVICE_FLAGS_PCI) == 0 ||
		front_below_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, (uintptr_t)&config) < 0 ||
		pread(fd, &command, sizeof(command), config.offset + PCI_COMMAND) !=
			sizeof(command) ||
		(le16toh(command) & PCI_COMMAND_MASTER) != 0;
}

bool
front_may_dma(const struct front_container *c)
{
	struct dma_search m = {.c = c};

	pthread_mutex_lock(&front_tree);
	front_fd_each(device_may_dma, &m);
	pthread_mutex_unlock(&front_tree);
	return m.any;
}

bool
front_group_is_open(const struct front_group *g)
{
	char path[sizeof(GROUP_DIR) + 12];
	int fd;

	if (g->number < 0)
		return false;
	snprintf(path, sizeof(path), GROUP_DIR "%d", g->number);
	fd = front_below_open(path, O_RDWR);
	if (fd >= 0)
		front_below_close(fd);
	return fd == -EBUSY;
}

/* System call table for libdmamap */

static int
table_open(void *arg DM_UNUSED, const char *path, int flags DM_UNUSED)
{
	return front_hidden_open(front_current, path);
}

static int
table_ioctl(void *arg DM_UNUSED, int fd, unsigned long request, uintptr_t param)
{
	struct front_group *g;
	int real = front_token_fd(fd, &g);

	if (g != NULL && request == VFIO_GROUP_SET_CONTAINER)
		return front_group_join(g, *(const int *)param);
	if (g != NULL && request == VFIO_GROUP_UNSET_CONTAINER)
		return front_group_leave(g);
	return real < 0 ? real : front_below_ioctl(real, request, param);
}

static int
table_close(void *arg DM_UNUSED, int fd)
{
	struct front_file *file;
	int real = -1;

	if (!is_token(fd))
		return front_below_close(fd);
	pthread_mutex_lock(&front_tree);
	file = tokens[fd - TOKEN_FIRST].hidden;
	if (file != NULL) {
		real = hidden_forget(file);
		front_token_free(fd);
	}
	pthread_mutex_unlock(&front_tree);
	return real < 0 ? 0 : front_below_close(real);
}

static int
table_dup(void *arg DM_UNUSED, int fd)
{
	return is_token(fd) ? fd : below->dup(below->arg, fd);
}

void
front_below_init(const struct dmamap_kernel *kernel)
{
	below = kernel != NULL ? kernel : &linux_kernel;
	front_table = *below;
	front_table.open = table_open;
	front_table.ioctl = table_ioctl;
	front_table.close = table_close;
	front_table.dup = table_dup;
}
