/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * VFIO containers and groups of the mock kernel, and device files opened through a group (Linux,
 * drivers/vfio/group.c, container.c). Checks the order of calls. Called by mock_kernel.c.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include "mock_priv.h"

int
mock_open_container(struct vfio_mock *m)
{
	struct mock_container *c = calloc(1, sizeof(*c));
	int fd;

	if (c == NULL)
		return -ENOMEM;
	TAILQ_INIT(&c->groups);
	TAILQ_INIT(&c->domains);
	c->refs = 1;
	fd = mock_file_new(m, (struct mock_file){.kind = MOCK_CONTAINER, .container = c});
	if (fd < 0) {
		free(c);
		return fd;
	}
	TAILQ_INSERT_TAIL(&m->containers, c, next);
	return fd;
}

/** Whether the group has a file: a VFIO driver holds one of its devices. */
static bool
group_has_file(const struct mock_group *group)
{
	const struct mock_device *dev;

	TAILQ_FOREACH(dev, &group->devices, in_group)
		if (mock_is_vfio(dev))
			return true;
	return false;
}

int
mock_open_group(struct vfio_mock *m, int id, bool noiommu)
{
	struct mock_group *group = mock_find_group(m, id);
	int fd;

	if (group == NULL || (group->iommu == NULL) != noiommu || !group_has_file(group))
		return -ENOENT;
	if (group->refs != 0 || group->cdevs_bound != 0)
		return -EBUSY;
	fd = mock_file_new(m, (struct mock_file){.kind = MOCK_GROUP, .group = group});
	if (fd >= 0)
		group->refs = 1;
	return fd;
}

void
mock_container_put(struct vfio_mock *m, struct mock_container *c)
{
	if (--c->refs != 0)
		return;
	TAILQ_REMOVE(&m->containers, c, next);
	free(c);
}

/* Groups and containers */

static int
group_attach(struct vfio_mock *m, struct mock_container *c, struct mock_group *group)
{
	bool noiommu = group->iommu == NULL;
	int rc;

	if (!TAILQ_EMPTY(&c->groups) && c->noiommu != noiommu)
		return -EPERM;
	if (!noiommu && (mock_claimed(group) || mock_owned_elsewhere(group, NULL)))
		return -EPERM;
	if (c->type != 0 && !noiommu) {
		rc = mock_type1_attach(m, c, group);
		if (rc < 0)
			return rc;
	}
	c->noiommu = noiommu;
	c->refs++;
	group->container = c;
	TAILQ_INSERT_TAIL(&c->groups, group, in_container);
	return 0;
}

/** Detach a group. With the last one, the container loses its type and all maps. */
static void
group_detach(struct vfio_mock *m, struct mock_group *group)
{
	struct mock_container *c = group->container;

	if (group->domain != NULL)
		mock_type1_detach(m, c, group);
	TAILQ_REMOVE(&c->groups, group, in_container);
	group->container = NULL;
	if (TAILQ_EMPTY(&c->groups) && c->type != 0)
		mock_type1_release(m, c);
	mock_container_put(m, c);
}

static void
group_leave_iommufd(struct vfio_mock *m, struct mock_group *group)
{
	mock_ctx_put(m, group->ctx);
	group->ctx = NULL;
}

void
mock_group_put(struct vfio_mock *m, struct mock_group *group)
{
	if (--group->refs != 0)
		return;
	if (group->container != NULL)
		group_detach(m, group);
	if (group->ctx != NULL)
		group_leave_iommufd(m, group);
}

static int
group_status(struct vfio_mock *m, const struct mock_group *group, struct vfio_group_status *status)
{
	if (status->argsz < sizeof(*status))
		return -EINVAL;
	status->flags = 0;
	if (group->container != NULL || group->ctx != NULL)
		status->flags = VFIO_GROUP_FLAGS_CONTAINER_SET | VFIO_GROUP_FLAGS_VIABLE;
	else if (!mock_claimed(group) && !mock_owned_elsewhere(group, NULL))
		status->flags = VFIO_GROUP_FLAGS_VIABLE;
	return 0;
}

/**
 * VFIO_GROUP_SET_CONTAINER with an iommufd. Creates the compatibility IOAS if there is none.
 * Nothing else is checked yet.
 */
static int
group_set_iommufd(struct vfio_mock *m, struct mock_group *group, struct mock_ctx *ctx)
{
	struct mock_ioas *ioas;

	if (group->iommu == NULL)
		return -EINVAL;
	if (ctx->compat == NULL) {
		ioas = mock_ioas_new(ctx);
		if (ioas == NULL)
			return -ENOMEM;
		ioas->id = mock_free_id(m, ctx);
		TAILQ_INSERT_TAIL(&ctx->spaces, ioas, next);
		ctx->compat = ioas;
	}
	group->ctx = ctx;
	ctx->refs++;
	return 0;
}

static int
group_set_container(struct vfio_mock *m, struct mock_group *group, int fd)
{
	const struct mock_file *file;

	if (group->container != NULL || group->ctx != NULL)
		return -EINVAL;
	file = mock_file_get(m, fd);
	if (file == NULL)
		return -EBADF;
	if (file->kind == MOCK_IOMMUFD)
		return group_set_iommufd(m, group, file->ctx);
	if (file->kind != MOCK_CONTAINER)
		return m->conf.linux_version >= VFIO_MOCK_LINUX(6, 2) ? -EBADFD : -EINVAL;
	return group_attach(m, file->container, group);
}

static int
group_unset_container(struct vfio_mock *m, struct mock_group *group)
{
	if (group->ctx != NULL) {
		group_leave_iommufd(m, group);
		return 0;
	}
	if (group->container == NULL)
		return -EINVAL;
	if (group->devices_open != 0)
		return -EBUSY;
	group_detach(m, group);
	return 0;
}

/** Bind and attach a device that a group in an iommufd opens. */
static int
device_open_in_iommufd(struct vfio_mock *m, struct mock_device *dev, struct mock_ctx *ctx)
{
	uint32_t id;
	int rc;

	if (dev->granted != 0)
		return 0;
	rc = mock_device_bind(m, dev, ctx);
	if (rc < 0)
		return rc;
	id = ctx->compat != NULL ? ctx->compat->id : 0;
	rc = ctx->compat != NULL ? mock_device_attach(m, dev, &id) : -ENODEV;
	if (rc < 0)
		mock_device_unbind(m, dev);
	return rc;
}

/**
 * Create a file for a device. If the group is in a container, the file holds a reference to the
 * group.
 */
static int
device_open(struct vfio_mock *m, struct mock_group *group, struct mock_device *dev)
{
	bool in_iommufd = group->ctx != NULL;
	int fd;

	fd = mock_file_new(
		m, (struct mock_file){.kind = MOCK_DEVICE, .device = dev, .bound = in_iommufd});
	if (fd < 0)
		return fd;
	dev->open++;
	dev->granted++;
	if (!in_iommufd) {
		group->devices_open++;
		group->refs++;
	}
	return fd;
}

/** The VF token in a device's options, "NAME vf_token=UUID"; "" if there is none. */
static const char *
options_token(const char *options)
{
	const char *token = strstr(options, " vf_token=");

	return token != NULL ? token + strlen(" vf_token=") : "";
}

static int
group_get_device_fd(struct vfio_mock *m, struct mock_group *group, const char *options)
{
	char name[DMAMAP_NAME_MAX];
	struct mock_device *dev;
	int fd, rc;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(options, " "), options);
	dev = mock_find_device(m, name);
	if (dev == NULL || dev->group != group || !mock_is_vfio(dev))
		return -ENODEV;
	if (group->ctx == NULL && (group->container == NULL || group->container->type == 0))
		return -EINVAL;
	rc = mock_token_check(m, dev, options_token(options));
	if (rc < 0)
		return rc;
	if (group->ctx != NULL) {
		rc = device_open_in_iommufd(m, dev, group->ctx);
		if (rc < 0)
			return rc;
	}
	fd = device_open(m, group, dev);
	if (fd < 0 && group->ctx != NULL && dev->granted == 0)
		mock_device_unbind(m, dev);
	return fd;
}

int
mock_group_ioctl(
	struct vfio_mock *m, struct mock_group *group, unsigned long request, unsigned long arg)
{
	int rc;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		rc = mock_call(m, VFIO_MOCK_GROUP_STATUS);
		return rc < 0 ? rc : group_status(m, group, (void *)arg);
	case VFIO_GROUP_SET_CONTAINER:
		rc = mock_call(m, VFIO_MOCK_SET_CONTAINER);
		return rc < 0 ? rc : group_set_container(m, group, *(const int *)arg);
	case VFIO_GROUP_UNSET_CONTAINER:
		rc = mock_call(m, VFIO_MOCK_UNSET_CONTAINER);
		return rc < 0 ? rc : group_unset_container(m, group);
	case VFIO_GROUP_GET_DEVICE_FD:
		rc = mock_call(m, VFIO_MOCK_GET_DEVICE_FD);
		return rc < 0 ? rc : group_get_device_fd(m, group, (const char *)arg);
	default:
		return -ENOTTY;
	}
}

static int
container_set_iommu(struct vfio_mock *m, struct mock_container *c, unsigned long type)
{
	struct mock_group *group, *undo;
	int rc;

	if (TAILQ_EMPTY(&c->groups) || c->type != 0)
		return -EINVAL;
	if (c->noiommu) {
		c->type = type == VFIO_NOIOMMU_IOMMU ? type : 0;
		return c->type != 0 ? 0 : -ENODEV;
	}
	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
		return -ENODEV;
	mock_type1_open(m, c, type);
	TAILQ_FOREACH(group, &c->groups, in_container) {
		rc = mock_type1_attach(m, c, group);
		if (rc < 0)
			goto undo;
	}
	return 0;
undo:
	TAILQ_FOREACH(undo, &c->groups, in_container) {
		if (undo == group)
			break;
		mock_type1_detach(m, c, undo);
	}
	mock_type1_release(m, c);
	return rc;
}

static int
container_check_extension(const struct mock_container *c, unsigned long extension)
{
	if (extension == VFIO_NOIOMMU_IOMMU)
		return c->noiommu || c->type == 0;
	return c->noiommu ? 0 : mock_type1_extension(c, extension);
}

int
mock_container_ioctl(
	struct vfio_mock *m, struct mock_container *c, unsigned long request, unsigned long arg)
{
	int rc;

	switch (request) {
	case VFIO_GET_API_VERSION:
		rc = mock_call(m, VFIO_MOCK_CHECK_EXTENSION);
		return rc < 0 ? rc : VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		rc = mock_call(m, VFIO_MOCK_CHECK_EXTENSION);
		return rc < 0 ? rc : container_check_extension(c, arg);
	case VFIO_SET_IOMMU:
		rc = mock_call(m, VFIO_MOCK_SET_IOMMU);
		return rc < 0 ? rc : container_set_iommu(m, c, arg);
	default:
		if (c->type == 0)
			return -EINVAL;
		return c->noiommu ? -ENOTTY : mock_type1_ioctl(m, c, request, arg);
	}
}

void
mock_close_device(struct vfio_mock *m, const struct mock_file *file)
{
	struct mock_device *dev = file->device;
	bool in_container = file->kind == MOCK_DEVICE && !file->bound;

	dev->open--;
	if (dev->open == 0 && dev->vdev != NULL)
		mock_vdev_disable_irqs(dev->vdev);
	if (file->bound && file->kind == MOCK_CDEV)
		dev->group->cdevs_bound--;
	if (file->bound || in_container)
		dev->granted--;
	if (file->bound && dev->granted == 0)
		mock_device_unbind(m, dev);
	if (in_container) {
		dev->group->devices_open--;
		mock_group_put(m, dev->group);
	}
}
