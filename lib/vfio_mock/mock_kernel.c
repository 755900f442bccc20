/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * System calls of the mock kernel: resolves paths and descriptors, and calls the file that
 * implements the object.
 *
 * Invariant: system calls take the lock here. The functions of mock_priv.h run with it held;
 * callbacks and mock_fault_in() run without it. Callers: libdmamap and vfio_front through
 * vfio_mock_kernel(), and tests.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include "iommufd_abi.h"
#include "mock_priv.h"

static int
kernel_open_path(struct vfio_mock *m, const char *path)
{
	const char dir[] = "/dev/vfio/", devices[] = "devices/", noiommu[] = "noiommu-";
	bool unsafe;
	char *end;
	long id;

	if (strcmp(path, "/dev/iommu") == 0)
		return mock_ctx_open(m);
	if (strncmp(path, dir, strlen(dir)) != 0)
		return -ENOENT;
	path += strlen(dir);
	if (strncmp(path, devices, strlen(devices)) == 0)
		return mock_cdev_open(m, path + strlen(devices));
	if (strcmp(path, "vfio") == 0)
		return mock_open_container(m);
	unsafe = strncmp(path, noiommu, strlen(noiommu)) == 0;
	if (unsafe)
		path += strlen(noiommu);
	errno = 0;
	id = strtol(path, &end, 10);
	if (errno != 0 || end == path || *end != '\0' || id < 0 || id > INT32_MAX)
		return -ENOENT;
	return mock_open_group(m, id, unsafe);
}

int
vfio_mock_open(struct vfio_mock *m, const char *path)
{
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = mock_call(m, VFIO_MOCK_OPEN);
	if (rc == 0)
		rc = kernel_open_path(m, path);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static int
kernel_close_file(struct vfio_mock *m, int fd)
{
	struct mock_file was;
	int rc = mock_file_close(m, fd, &was);

	if (rc < 0)
		return rc;
	switch (was.kind) {
	case MOCK_CONTAINER:
		mock_container_put(m, was.container);
		break;
	case MOCK_DEVICE:
	case MOCK_CDEV:
		mock_close_device(m, &was);
		break;
	case MOCK_IOMMUFD:
		mock_ctx_put(m, was.ctx);
		break;
	case MOCK_GROUP:
		mock_group_put(m, was.group);
		break;
	default:
		break;
	}
	return 0;
}

int
vfio_mock_close(struct vfio_mock *m, int fd)
{
	int rc;

	pthread_mutex_lock(&m->lock);
	mock_call(m, VFIO_MOCK_CLOSE);
	rc = kernel_close_file(m, fd);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/* Faulting memory in */

/** Memory that a call maps. */
struct mapped_memory {
	uint64_t va, len;
	bool writable;
};

/** Whether an ioctl maps memory. @param mem  out: that memory. */
static bool
ioctl_maps_memory(const struct mock_file *file, unsigned long request, unsigned long arg,
	struct mapped_memory *mem)
{
	const struct vfio_iommu_type1_dma_map *dma = (const void *)arg;
	const struct abi_ioas_map *map = (const void *)arg;

	if (file->kind == MOCK_CONTAINER && request == VFIO_IOMMU_MAP_DMA)
		*mem = (struct mapped_memory){
			dma->vaddr, dma->size, dma->flags & VFIO_DMA_MAP_FLAG_WRITE};
	else if (file->kind == MOCK_IOMMUFD && request == ABI_IOMMU_IOAS_MAP)
		*mem = (struct mapped_memory){
			map->user_va, map->length, map->flags & ABI_IOAS_MAP_WRITEABLE};
	else
		return false;
	return true;
}

/**
 * Fault the memory of a map in before the lock is taken, because Linux pins without the locks of
 * other calls. Only if the map will probably succeed: a map that fails must not touch memory.
 */
static void
map_fault_in_early(struct vfio_mock *m, int fd, unsigned long request, unsigned long arg,
	struct mapped_memory *mem)
{
	const struct mock_file *file;
	bool wanted;

	*mem = (struct mapped_memory){0};
	if (m->conf.no_memory || (request != VFIO_IOMMU_MAP_DMA && request != ABI_IOMMU_IOAS_MAP))
		return;
	pthread_mutex_lock(&m->lock);
	file = mock_file_get(m, fd);
	wanted = file != NULL && ioctl_maps_memory(file, request, arg, mem) && m->fail_nth == 0 &&
		mem->len != 0 && !mock_wraps(mem->va, mem->len + MOCK_PAGE) &&
		mock_may_charge(m, mem->len / MOCK_PAGE);
	pthread_mutex_unlock(&m->lock);
	if (!wanted || mock_fault_in(mem->va, mem->len, mem->writable) < 0)
		*mem = (struct mapped_memory){0};
}

static int
kernel_file_ioctl(struct vfio_mock *m, int fd, unsigned long request, unsigned long arg)
{
	struct mock_file *file = mock_file_get(m, fd);

	if (file == NULL)
		return -EBADF;
	switch (file->kind) {
	case MOCK_CONTAINER:
		return mock_container_ioctl(m, file->container, request, arg);
	case MOCK_GROUP:
		return mock_group_ioctl(m, file->group, request, arg);
	case MOCK_IOMMUFD:
		return mock_iommufd_ioctl(m, file->ctx, request, arg);
	case MOCK_CDEV:
		return mock_cdev_ioctl(m, file, request, arg);
	case MOCK_DEVICE:
		return mock_device_ioctl(m, file, request, arg);
	default:
		return -ENOTTY;
	}
}

int
vfio_mock_ioctl(struct vfio_mock *m, int fd, unsigned long request, unsigned long arg)
{
	struct mapped_memory mem;
	int rc;

	map_fault_in_early(m, fd, request, arg, &mem);
	pthread_mutex_lock(&m->lock);
	m->present_va = mem.va;
	m->present_len = mem.len;
	m->present_writable = mem.writable;
	rc = kernel_file_ioctl(m, fd, request, arg);
	m->present_len = 0;
	pthread_mutex_unlock(&m->lock);
	return rc;
}

void
vfio_mock_set_process(struct vfio_mock *m, unsigned int process)
{
	pthread_mutex_lock(&m->lock);
	m->process = process;
	pthread_mutex_unlock(&m->lock);
}

/* Table of system calls */

static int
kernel_open(void *arg, const char *path, int flags)
{
	return vfio_mock_open(arg, path);
}

static int
kernel_ioctl(void *arg, int fd, unsigned long request, uintptr_t param)
{
	return vfio_mock_ioctl(arg, fd, request, param);
}

static int
kernel_close(void *arg, int fd)
{
	return vfio_mock_close(arg, fd);
}

static int
kernel_read_file(void *arg, const char *path, char *buf, size_t size)
{
	struct vfio_mock *m = arg;
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = mock_call(m, VFIO_MOCK_LOOKUP);
	if (rc == 0)
		rc = mock_sysfs_read(m, path, buf, size);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static int
kernel_read_link(void *arg, const char *path, char *buf, size_t size)
{
	struct vfio_mock *m = arg;
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = mock_call(m, VFIO_MOCK_LOOKUP);
	if (rc == 0)
		rc = mock_sysfs_link(m, path, buf, size);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/** Calls `each` without the lock, because it may look up further files. */
static int
kernel_list(void *arg, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	char(*names)[DMAMAP_NAME_MAX] = NULL;
	struct vfio_mock *m = arg;
	unsigned int n = 0, i;
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = mock_call(m, VFIO_MOCK_LOOKUP);
	if (rc == 0)
		rc = mock_sysfs_list(m, path, &names, &n);
	pthread_mutex_unlock(&m->lock);
	if (rc < 0)
		return rc;
	for (i = 0; rc == 0 && i < n; i++)
		rc = each(ctx, names[i]);
	free(names);
	return rc;
}

static int
kernel_dup(void *arg, int fd)
{
	struct vfio_mock *m = arg;
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = mock_call(m, VFIO_MOCK_OPEN);
	if (rc == 0)
		rc = mock_file_dup(m, fd);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/** Format of vfio_device_show_fdinfo() (drivers/vfio/vfio_main.c), from Linux 6.18 on. */
static int
kernel_read_fdinfo(void *arg, int fd, char *buf, size_t size)
{
	struct vfio_mock *m = arg;
	const struct mock_file *file;
	int len = -ENOENT;

	pthread_mutex_lock(&m->lock);
	file = mock_file_get(m, fd);
	if (file != NULL) {
		len = snprintf(buf, size, "pos:\t0\nflags:\t02000002\n");
		if ((file->kind == MOCK_DEVICE || file->kind == MOCK_CDEV) &&
			m->conf.linux_version >= VFIO_MOCK_LINUX(6, 18))
			len += snprintf(buf + len, size - len,
				"vfio-device-syspath: /sys/devices/pci0000:00/%s\n",
				file->device->name);
	}
	pthread_mutex_unlock(&m->lock);
	return len;
}

const struct dmamap_kernel *
vfio_mock_kernel(struct vfio_mock *m)
{
	pthread_mutex_lock(&m->lock);
	if (m->kernel.arg == NULL)
		m->kernel = (struct dmamap_kernel){
			.arg = m,
			.sysfs = MOCK_SYSFS,
			.open = kernel_open,
			.ioctl = kernel_ioctl,
			.close = kernel_close,
			.read_file = kernel_read_file,
			.read_link = kernel_read_link,
			.list = kernel_list,
			.dup = kernel_dup,
			.read_fdinfo = kernel_read_fdinfo,
		};
	pthread_mutex_unlock(&m->lock);
	return &m->kernel;
}
