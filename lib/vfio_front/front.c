/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Calls on descriptors: finds the object of a descriptor and takes the locks of the call.
 * Implements front.h.
 *
 * Invariant: a call finds its object under front_tree, takes a reference to the container, takes
 * the container's `op`, and looks the object up again. The object may have gone in between.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front_broker.h"
#include "front_priv.h"

static bool started;

static void
tree_lock(void)
{
	pthread_mutex_lock(&front_tree);
}

static void
tree_unlock(void)
{
	pthread_mutex_unlock(&front_tree);
}

/**
 * From front_tree alone to the container's `op` and front_tree, in lock order. Takes a reference to
 * `c` for the caller.
 */
static void
container_enter(struct front_container *c)
{
	c->refs++;
	tree_unlock();
	pthread_mutex_lock(&c->op);
	tree_lock();
}

/** From `op` alone to no lock. Drops the reference of container_enter(). */
static void
container_leave(struct front_container *c)
{
	pthread_mutex_unlock(&c->op);
	tree_lock();
	front_container_put(c);
	tree_unlock();
}

int
front_init(const struct front_conf *conf)
{
	int rc = 0;

	if (conf == NULL || conf->backend > DMAMAP_BACKEND_IOMMUFD ||
		conf->coalesce > FRONT_COALESCE_ALWAYS)
		return -EINVAL;
	tree_lock();
	if (started) {
		rc = -EBUSY;
	} else {
		front_conf = *conf;
		front_below_init(conf->kernel);
		front_log_start();
		started = true;
	}
	tree_unlock();
	return rc;
}

/* Opening files */

static int
container_opened(int fd, bool is_iommufd)
{
	struct front_file *file = front_file_new(FRONT_CONTAINER, fd);
	struct front_container *c = file == NULL ? NULL : front_container_new(is_iommufd);

	if (c == NULL) {
		if (file != NULL && front_fd_remove(fd))
			front_file_free(file);
		return -ENOMEM;
	}
	file->c = c;
	c->file = file;
	return 0;
}

/**
 * Forget a known group of this number: its file was just opened, and the kernel opens a group's
 * file only once at a time. So the known group has left its container. Under front_tree.
 */
static void
group_forget(int number)
{
	struct front_group *g;
	struct front_container *c;

	while ((g = front_group_find(number)) != NULL && g->c != NULL) {
		c = g->c;
		container_enter(c);
		g = front_group_find(number);
		tree_unlock();
		if (g != NULL && g->c == c) {
			front_container_left(c, g);
			front_group_free(g);
		}
		container_leave(c);
		tree_lock();
	}
	if (g != NULL)
		front_group_drop(g);
}

static int
group_opened(int fd, int number)
{
	struct front_file *file;
	struct front_group *g;

	group_forget(number);
	file = front_file_new(FRONT_GROUP, fd);
	g = file == NULL ? NULL : front_group_new(number);
	if (g == NULL) {
		if (file != NULL && front_fd_remove(fd))
			front_file_free(file);
		return -ENOMEM;
	}
	file->g = g;
	g->file = file;
	return 0;
}

int
front_opened(int fd, enum front_kind kind, int group)
{
	int rc = -EINVAL;

	tree_lock();
	switch (kind) {
	case FRONT_CONTAINER:
	case FRONT_IOMMUFD:
		rc = container_opened(fd, kind == FRONT_IOMMUFD);
		break;
	case FRONT_GROUP:
		rc = group_opened(fd, group);
		break;
	case FRONT_FOREIGN:
		rc = front_file_new(kind, fd) == NULL ? -ENOMEM : 0;
		break;
	default:
		break;
	}
	tree_unlock();
	return rc;
}

int
front_dup(int from, int to)
{
	struct front_file *file;
	int rc = -EBADF;

	tree_lock();
	file = front_fd_get(from);
	if (file != NULL && file->kind != FRONT_HIDDEN)
		rc = front_fd_add(file, to);
	tree_unlock();
	return rc;
}

/* Closing files */

/**
 * Detach a file of the program from its object and free it, after its last descriptor was removed.
 * Under front_tree.
 */
static void
file_ended(struct front_file *file)
{
	if (file->kind == FRONT_CONTAINER) {
		file->c->file = NULL;
		front_container_put(file->c);
	} else if (file->kind == FRONT_GROUP) {
		file->g->file = NULL;
		if (file->g->c == NULL)
			front_group_drop(file->g);
	}
	front_file_free(file);
}

/** Container of a file, or of the file's group; NULL: none. Under front_tree. */
static struct front_container *
container_of_file(const struct front_file *file)
{
	if (file->kind == FRONT_CONTAINER)
		return file->c;
	return file->g != NULL ? file->g->c : NULL;
}

/**
 * Stop tracking a descriptor.
 * @param close_it  close it too; else the kernel replaces its file right after the return.
 * @return 0; a negative errno of close(2), after which the descriptor is not tracked either.
 */
static int
descriptor_end(int fd, bool close_it)
{
	struct front_container *c = NULL;
	struct front_group *device_of = NULL, *closed = NULL;
	struct front_file *file;
	int rc = 0;

	tree_lock();
	while ((file = front_fd_get(fd)) != NULL && container_of_file(file) != c) {
		if (c != NULL) {
			tree_unlock();
			container_leave(c);
			tree_lock();
			c = NULL;
			continue;
		}
		c = container_of_file(file);
		container_enter(c);
	}
	if (file != NULL && front_fd_remove(fd)) {
		device_of = file->kind == FRONT_DEVICE ? file->g : NULL;
		closed = file->kind == FRONT_GROUP && c != NULL ? file->g : NULL;
		/* Whoever hid a descriptor frees its file too. */
		if (file->kind != FRONT_HIDDEN)
			file_ended(file);
	}
	tree_unlock();
	if (closed != NULL && closed->n_devices > 0 && c->state == FRONT_TYPED &&
		c->backend == DMAMAP_BACKEND_IOMMUFD)
		front_anchor_keep(c, closed, fd);
	/* Close last: once the number is free, another thread may get it. */
	if (close_it)
		rc = front_below_close(fd);
	if (c == NULL)
		return rc;
	if (device_of != NULL)
		front_container_device_closed(c, device_of);
	front_container_settle(c);
	container_leave(c);
	return rc;
}

int
front_close(int fd)
{
	return front_kind(fd) == FRONT_HIDDEN ? -EBADF : descriptor_end(fd, true);
}

void
front_forget(int fd)
{
	descriptor_end(fd, false);
}

int
front_relocate(int fd)
{
	struct front_container *c;
	struct front_file *file;
	int rc = -EINVAL;

	tree_lock();
	file = front_fd_get(fd);
	if (file == NULL || file->kind != FRONT_HIDDEN) {
		tree_unlock();
		return rc;
	}
	c = file->c;
	/* A descriptor that was handed in is in no container. */
	if (c == NULL) {
		rc = front_hidden_move(file);
		tree_unlock();
		return rc;
	}
	container_enter(c);
	file = front_fd_get(fd);
	if (file != NULL && file->c == c)
		rc = front_hidden_move(file);
	tree_unlock();
	container_leave(c);
	return rc;
}

/* ioctls */

static int
foreign_ioctl(bool pass, int fd, unsigned long request, uintptr_t arg)
{
	if (!pass)
		switch ((uint32_t)request) {
		case VFIO_SET_IOMMU:
		case VFIO_IOMMU_MAP_DMA:
		case VFIO_IOMMU_UNMAP_DMA:
		case VFIO_IOMMU_DIRTY_PAGES:
			return front_refuse("an ioctl on a container", EPERM,
				"descriptor %d: container of another process, which alone knows all domains"
				" of it: map and unmap from that process",
				fd);
		default:
			break;
		}
	return front_below_ioctl(fd, request, arg);
}

/** Called with front_tree held; releases it. */
static int
container_ioctl(struct front_container *c, int fd, unsigned long request, uintptr_t arg)
{
	int rc;

	container_enter(c);
	tree_unlock();
	rc = front_container_ioctl(c, fd, request, arg);
	container_leave(c);
	return rc;
}

/** VFIO_GROUP_SET_CONTAINER with a virtual container. Called with front_tree held; releases it. */
static int
group_set_container(struct front_group *g, int fd, struct front_container *c)
{
	const struct front_file *file;
	int rc;

	container_enter(c);
	file = front_fd_get(fd);
	if (file == NULL || file->g != g)
		rc = -EBADF;
	else
		rc = g->c != NULL ? -EINVAL : 0;
	if (rc == 0) {
		g->c = c;
		c->refs++;
	}
	tree_unlock();
	if (rc == 0) {
		rc = front_container_add(c, g);
		if (rc < 0) {
			tree_lock();
			g->c = NULL;
			front_container_put(c);
			tree_unlock();
		}
	}
	container_leave(c);
	return rc;
}

/** VFIO_GROUP_UNSET_CONTAINER. Called with front_tree held; releases it. */
static int
group_unset_container(struct front_group *g, int fd)
{
	struct front_container *c = g->c;
	const struct front_file *file;
	int rc = -EINVAL;

	container_enter(c);
	file = front_fd_get(fd);
	if (file == NULL || file->g != g)
		rc = -EBADF;
	tree_unlock();
	if (rc == -EINVAL && g->c == c)
		rc = front_container_remove(c, g);
	container_leave(c);
	return rc;
}

/** Track the descriptor of a device. @return fd; -ENOMEM: the descriptor was closed. */
static int
device_opened(struct front_group *g, int fd)
{
	struct front_file *file;

	tree_lock();
	file = front_file_new(FRONT_DEVICE, fd);
	if (file != NULL)
		file->g = g;
	tree_unlock();
	if (file != NULL)
		return fd;
	front_below_close(fd);
	return -ENOMEM;
}

/** VFIO_GROUP_GET_DEVICE_FD. Called with front_tree held; releases it. */
static int
group_get_device(struct front_group *g, int fd, uintptr_t arg)
{
	struct front_container *c = g->c;
	const struct front_file *file;
	int rc = -EINVAL;

	container_enter(c);
	file = front_fd_get(fd);
	if (file != NULL && file->g == g && g->c == c)
		rc = 0;
	tree_unlock();
	rc = rc < 0 ? rc : front_container_device_begin(c, g);
	if (rc < 0) {
		container_leave(c);
		return rc;
	}
	/*
	 * Release `op`, because opening resets the device, which may take long. n_devices, which
	 * was raised above, keeps the group in the container.
	 */
	pthread_mutex_unlock(&c->op);
	rc = front_below_ioctl(fd, VFIO_GROUP_GET_DEVICE_FD, arg);
	if (rc >= 0)
		rc = device_opened(g, rc);
	pthread_mutex_lock(&c->op);
	rc = front_container_device_end(c, g, rc);
	container_leave(c);
	return rc;
}

/** Called with front_tree held; releases it. */
static int
group_ioctl(struct front_group *g, int fd, unsigned long request, uintptr_t arg)
{
	const struct front_file *container;
	struct vfio_group_status status;
	bool in_ours = g->c != NULL;
	int rc, number;

	switch ((uint32_t)request) {
	case VFIO_GROUP_SET_CONTAINER:
		container = front_user_read(&number, arg, sizeof(number)) < 0
			? NULL
			: front_fd_get(number);
		if (container != NULL && container->c != NULL)
			return group_set_container(g, fd, container->c);
		break;
	case VFIO_GROUP_UNSET_CONTAINER:
		if (g->c != NULL)
			return group_unset_container(g, fd);
		break;
	case VFIO_GROUP_GET_DEVICE_FD:
		if (g->c != NULL)
			return group_get_device(g, fd, arg);
		break;
	default:
		break;
	}
	tree_unlock();
	rc = front_below_ioctl(fd, request, arg);
	/*
	 * With an iommufd in place of a kernel container, the kernel sees the group only after
	 * VFIO_SET_IOMMU. So set the flag here.
	 */
	if (rc < 0 || !in_ours || (uint32_t)request != VFIO_GROUP_GET_STATUS)
		return rc;
	if (front_user_read(&status, arg, sizeof(status)) < 0)
		return -EFAULT;
	status.flags |= VFIO_GROUP_FLAGS_CONTAINER_SET;
	return front_user_write(arg, &status, sizeof(status));
}

int
front_ioctl(int fd, unsigned long request, uintptr_t arg)
{
	const struct front_file *file;
	bool pass;

	tree_lock();
	file = front_fd_get(fd);
	if (file != NULL && file->c != NULL)
		return container_ioctl(file->c, fd, request, arg);
	if (file != NULL && file->kind == FRONT_GROUP)
		return group_ioctl(file->g, fd, request, arg);
	pass = file == NULL || file->kind != FRONT_FOREIGN || file->pass;
	tree_unlock();
	return foreign_ioctl(pass, fd, request, arg);
}

/* Processes and statistics */

/**
 * Make a file foreign in a forked child. A container with one type1 domain and no deferred maps is
 * a plain kernel container, so its ioctls may pass.
 */
static void
file_disown(struct front_file *file, void *arg DM_UNUSED)
{
	const struct front_container *c = file->c;

	if (file->kind == FRONT_CONTAINER) {
		file->pass = c->state != FRONT_TYPED ||
			(c->backend == DMAMAP_BACKEND_TYPE1 && c->n_domains == 1 &&
				c->maps.n_deferred == 0);
		file->c = NULL;
		front_file_set_kind(file, FRONT_FOREIGN);
	} else if (file->kind != FRONT_FOREIGN) {
		if (file->kind == FRONT_HIDDEN)
			front_below_close(file->fds[0]);
		while (!front_fd_remove(file->fds[0]))
			;
		front_file_free(file);
	}
}

void
front_child(void)
{
	pthread_mutex_init(&front_tree, NULL);
	front_log_child();
	front_broker_child();
	front_fd_each(file_disown, NULL);
}

void
front_stats(struct front_stats *stats)
{
	struct dmamap_container_info info;
	struct front_container *c = NULL, *next;
	const struct front_group *g;

	*stats = (struct front_stats){
		.map_calls = front_counted(FRONT_MAP_CALLS),
		.unmap_calls = front_counted(FRONT_UNMAP_CALLS),
		.kernel_maps = front_counted(FRONT_KERNEL_MAPS),
		.kernel_unmaps = front_counted(FRONT_KERNEL_UNMAPS),
		.refusals = front_n_refusals(),
		.peak_maps = front_counted_peak(FRONT_MAPS_NOW),
		.peak_entries = front_counted_peak(FRONT_ENTRIES_NOW),
		.saved = DM_MAX((int64_t)front_counted(FRONT_SAVED), INT64_C(0)),
	};
	for (;;) {
		tree_lock();
		next = front_container_next(c);
		if (c != NULL)
			front_container_put(c);
		tree_unlock();
		c = next;
		if (c == NULL)
			return;
		pthread_mutex_lock(&c->op);
		stats->n_containers++;
		stats->n_devices += c->n_devices;
		stats->n_domains += c->n_domains;
		stats->n_maps += c->maps.n_maps;
		stats->n_entries += c->maps.n_runs + c->maps.n_sequences;
		TAILQ_FOREACH(g, &c->groups, in_c)
			stats->n_groups++;
		if (c->dma != NULL && dmamap_container_info(c->dma, &info) == 0) {
			stats->kernel_maps += info.map_calls;
			stats->kernel_unmaps += info.unmap_calls;
		}
		pthread_mutex_unlock(&c->op);
	}
}

/** Find a descriptor that is not hidden. */
static void
file_find_any(struct front_file *file, void *arg)
{
	if (file->kind != FRONT_HIDDEN)
		*(int *)arg = file->fds[0];
}

void
front_fini(void)
{
	int fd;

	for (;;) {
		fd = -1;
		tree_lock();
		front_fd_each(file_find_any, &fd);
		tree_unlock();
		if (fd < 0)
			break;
		front_close(fd);
	}
	front_broker_fini();
	front_log_stop();
	started = false;
}
