/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does the modelled kernel's VFIO answer? Files, groups, containers and the order of calls.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include <rte_common.h>
#include <rte_string_fns.h>

#include "model_priv.h"

/* Files */

int
mk_file_new(struct dmamap_model *m, struct mk_file file)
{
	struct mk_file *files;
	int fd;

	for (fd = 0; fd < m->n_files; fd++)
		if (m->files[fd].kind == MK_NONE)
			break;
	if (fd == m->n_files) {
		files = realloc(m->files, (m->n_files + 16) * sizeof(*files));
		if (files == NULL)
			return -ENOMEM;
		memset(&files[m->n_files], 0, 16 * sizeof(*files));
		m->files = files;
		m->n_files += 16;
	}
	m->files[fd] = file;
	return fd;
}

struct mk_file *
mk_file_get(struct dmamap_model *m, int fd)
{
	if (fd < 0 || fd >= m->n_files || m->files[fd].kind == MK_NONE)
		return NULL;
	return &m->files[fd];
}

static int
open_container(struct dmamap_model *m)
{
	struct mk_container *c = calloc(1, sizeof(*c));
	int fd;

	if (c == NULL)
		return -ENOMEM;
	TAILQ_INIT(&c->groups);
	TAILQ_INIT(&c->domains);
	c->refs = 1;
	fd = mk_file_new(m, (struct mk_file){.kind = MK_CONTAINER, .container = c});
	if (fd < 0) {
		free(c);
		return fd;
	}
	TAILQ_INSERT_TAIL(&m->containers, c, next);
	return fd;
}

/** A group has a file as long as a driver of VFIO holds one of its devices. */
static bool
has_file(struct dmamap_model *m, const struct mk_group *group)
{
	const struct mk_device *dev;

	TAILQ_FOREACH(dev, &m->devices, next)
		if (dev->group == group && mk_is_vfio(dev))
			return true;
	return false;
}

static int
open_group(struct dmamap_model *m, int id, bool noiommu)
{
	struct mk_group *group = mk_find_group(m, id);
	int fd;

	if (group == NULL || (group->iommu == NULL) != noiommu || !has_file(m, group))
		return -ENOENT;
	if (group->refs != 0 || group->cdevs_bound != 0)
		return -EBUSY;
	fd = mk_file_new(m, (struct mk_file){.kind = MK_GROUP, .group = group});
	if (fd >= 0)
		group->refs = 1;
	return fd;
}

static int
open_path(struct dmamap_model *m, const char *path)
{
	const char dir[] = "/dev/vfio/", devices[] = "devices/", noiommu[] = "noiommu-";
	bool unsafe;
	char *end;
	long id;

	if (strcmp(path, "/dev/iommu") == 0)
		return mk_iommufd_open(m);
	if (strncmp(path, dir, strlen(dir)) != 0)
		return -ENOENT;
	path += strlen(dir);
	if (strncmp(path, devices, strlen(devices)) == 0)
		return mk_cdev_open(m, path + strlen(devices));
	if (strcmp(path, "vfio") == 0)
		return open_container(m);
	unsafe = strncmp(path, noiommu, strlen(noiommu)) == 0;
	if (unsafe)
		path += strlen(noiommu);
	errno = 0;
	id = strtol(path, &end, 10);
	if (errno != 0 || end == path || *end != '\0' || id < 0 || id > INT32_MAX)
		return -ENOENT;
	return open_group(m, id, unsafe);
}

static void
container_put(struct dmamap_model *m, struct mk_container *c)
{
	if (--c->refs != 0)
		return;
	TAILQ_REMOVE(&m->containers, c, next);
	free(c);
}

/* Groups and containers */

static int
attach_group(struct dmamap_model *m, struct mk_container *c, struct mk_group *group)
{
	bool noiommu = group->iommu == NULL;
	int rc;

	if (!TAILQ_EMPTY(&c->groups) && c->noiommu != noiommu)
		return -EPERM;
	if (!noiommu && (mk_claimed(m, group) || mk_owned_elsewhere(m, group, NULL)))
		return -EPERM;
	if (c->type != 0 && !noiommu) {
		rc = mk_type1_attach(m, c, group);
		if (rc < 0)
			return rc;
	}
	c->noiommu = noiommu;
	c->refs++;
	group->container = c;
	TAILQ_INSERT_TAIL(&c->groups, group, in_container);
	return 0;
}

/** With the last group, the container loses its type and all maps. */
static void
detach_group(struct dmamap_model *m, struct mk_group *group)
{
	struct mk_container *c = group->container;

	if (group->domain != NULL)
		mk_type1_detach(m, c, group);
	TAILQ_REMOVE(&c->groups, group, in_container);
	group->container = NULL;
	if (TAILQ_EMPTY(&c->groups) && c->type != 0)
		mk_type1_release(m, c);
	container_put(m, c);
}

static void
leave_iommufd(struct dmamap_model *m, struct mk_group *group)
{
	mk_iommufd_put(m, group->ctx);
	group->ctx = NULL;
}

/** The group's file is closed when neither an fd nor an open device refers to it. */
static void
group_put(struct dmamap_model *m, struct mk_group *group)
{
	if (--group->refs != 0)
		return;
	if (group->container != NULL)
		detach_group(m, group);
	if (group->ctx != NULL)
		leave_iommufd(m, group);
}

static int
group_status(struct dmamap_model *m, const struct mk_group *group, struct vfio_group_status *status)
{
	if (status->argsz < sizeof(*status))
		return -EINVAL;
	status->flags = 0;
	if (group->container != NULL || group->ctx != NULL)
		status->flags = VFIO_GROUP_FLAGS_CONTAINER_SET | VFIO_GROUP_FLAGS_VIABLE;
	else if (!mk_claimed(m, group) && !mk_owned_elsewhere(m, group, NULL))
		status->flags = VFIO_GROUP_FLAGS_VIABLE;
	return 0;
}

/** An iommufd as a container: it gets an IOAS for that, unless it has one. Nothing else is looked
 * at yet. */
static int
set_iommufd(struct dmamap_model *m, struct mk_group *group, struct mk_ctx *ctx)
{
	struct mk_ioas *ioas;

	if (group->iommu == NULL)
		return -EINVAL;
	if (ctx->compat == NULL) {
		ioas = mk_ioas_new(ctx);
		if (ioas == NULL)
			return -ENOMEM;
		ioas->id = mk_free_id(m, ctx);
		TAILQ_INSERT_TAIL(&ctx->spaces, ioas, next);
		ctx->compat = ioas;
	}
	group->ctx = ctx;
	ctx->refs++;
	return 0;
}

static int
set_container(struct dmamap_model *m, struct mk_group *group, int fd)
{
	const struct mk_file *file;

	if (group->container != NULL || group->ctx != NULL)
		return -EINVAL;
	file = mk_file_get(m, fd);
	if (file == NULL)
		return -EBADF;
	if (file->kind == MK_IOMMUFD)
		return set_iommufd(m, group, file->ctx);
	if (file->kind != MK_CONTAINER)
		return m->conf.linux_version >= DMAMAP_MODEL_LINUX(6, 2) ? -EBADFD : -EINVAL;
	return attach_group(m, file->container, group);
}

static int
unset_container(struct dmamap_model *m, struct mk_group *group)
{
	if (group->ctx != NULL) {
		leave_iommufd(m, group);
		return 0;
	}
	if (group->container == NULL)
		return -EINVAL;
	if (group->devices_open != 0)
		return -EBUSY;
	detach_group(m, group);
	return 0;
}

/** Here is where a device that an iommufd's group opens is bound and attached. */
static int
open_in_iommufd(struct dmamap_model *m, struct mk_device *dev, struct mk_ctx *ctx)
{
	uint32_t id;
	int rc;

	if (dev->granted != 0)
		return 0;
	rc = mk_device_bind(m, dev, ctx);
	if (rc < 0)
		return rc;
	id = ctx->compat != NULL ? ctx->compat->id : 0;
	rc = ctx->compat != NULL ? mk_device_attach(m, dev, &id) : -ENODEV;
	if (rc < 0)
		mk_device_unbind(m, dev);
	return rc;
}

/** A device's file. One that a container's group opens holds its group. */
static int
open_device(struct dmamap_model *m, struct mk_group *group, struct mk_device *dev)
{
	bool in_iommufd = group->ctx != NULL;
	int fd;

	fd = mk_file_new(
		m, (struct mk_file){.kind = MK_DEVICE, .device = dev, .bound = in_iommufd});
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

static int
get_device_fd(struct dmamap_model *m, struct mk_group *group, const char *options)
{
	char name[DMAMAP_NAME_MAX];
	struct mk_device *dev;
	int fd, rc;

	/* "NAME vf_token=UUID": what follows the name is for the device's driver. */
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(options, " "), options);
	dev = mk_find_device(m, name);
	if (dev == NULL || dev->group != group || !mk_is_vfio(dev))
		return -ENODEV;
	if (group->ctx == NULL && (group->container == NULL || group->container->type == 0))
		return -EINVAL;
	if (group->ctx != NULL) {
		rc = open_in_iommufd(m, dev, group->ctx);
		if (rc < 0)
			return rc;
	}
	fd = open_device(m, group, dev);
	if (fd < 0 && group->ctx != NULL && dev->granted == 0)
		mk_device_unbind(m, dev);
	return fd;
}

static int
group_ioctl(
	struct dmamap_model *m, struct mk_group *group, unsigned long request, unsigned long arg)
{
	int rc;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		rc = mk_call(m, DMAMAP_MODEL_GROUP_STATUS);
		return rc < 0 ? rc : group_status(m, group, (void *)arg);
	case VFIO_GROUP_SET_CONTAINER:
		rc = mk_call(m, DMAMAP_MODEL_SET_CONTAINER);
		return rc < 0 ? rc : set_container(m, group, *(const int *)arg);
	case VFIO_GROUP_UNSET_CONTAINER:
		rc = mk_call(m, DMAMAP_MODEL_UNSET_CONTAINER);
		return rc < 0 ? rc : unset_container(m, group);
	case VFIO_GROUP_GET_DEVICE_FD:
		rc = mk_call(m, DMAMAP_MODEL_GET_DEVICE_FD);
		return rc < 0 ? rc : get_device_fd(m, group, (const char *)arg);
	default:
		return -ENOTTY;
	}
}

static int
set_iommu(struct dmamap_model *m, struct mk_container *c, unsigned long type)
{
	struct mk_group *group, *undo;
	int rc;

	if (TAILQ_EMPTY(&c->groups) || c->type != 0)
		return -EINVAL;
	if (c->noiommu) {
		c->type = type == VFIO_NOIOMMU_IOMMU ? type : 0;
		return c->type != 0 ? 0 : -ENODEV;
	}
	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
		return -ENODEV;
	mk_type1_open(m, c, type);
	TAILQ_FOREACH(group, &c->groups, in_container) {
		rc = mk_type1_attach(m, c, group);
		if (rc < 0)
			goto undo;
	}
	return 0;
undo:
	TAILQ_FOREACH(undo, &c->groups, in_container) {
		if (undo == group)
			break;
		mk_type1_detach(m, c, undo);
	}
	mk_type1_release(m, c);
	return rc;
}

static int
check_extension(const struct mk_container *c, unsigned long extension)
{
	if (extension == VFIO_NOIOMMU_IOMMU)
		return c->noiommu || c->type == 0;
	return c->noiommu ? 0 : mk_type1_extension(c, extension);
}

static int
container_ioctl(
	struct dmamap_model *m, struct mk_container *c, unsigned long request, unsigned long arg)
{
	int rc;

	switch (request) {
	case VFIO_GET_API_VERSION:
		rc = mk_call(m, DMAMAP_MODEL_CHECK_EXTENSION);
		return rc < 0 ? rc : VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		rc = mk_call(m, DMAMAP_MODEL_CHECK_EXTENSION);
		return rc < 0 ? rc : check_extension(c, arg);
	case VFIO_SET_IOMMU:
		rc = mk_call(m, DMAMAP_MODEL_SET_IOMMU);
		return rc < 0 ? rc : set_iommu(m, c, arg);
	default:
		if (c->type == 0)
			return -EINVAL;
		return c->noiommu ? -ENOTTY : mk_type1_ioctl(m, c, request, arg);
	}
}

/* The face */

int
dm_mk_open(struct dmamap_model *m, const char *path)
{
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = mk_call(m, DMAMAP_MODEL_OPEN);
	if (rc == 0)
		rc = open_path(m, path);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/** A file of a device: by its group, or its own. */
static void
close_device(struct dmamap_model *m, const struct mk_file *file)
{
	struct mk_device *dev = file->device;
	bool in_container = file->kind == MK_DEVICE && !file->bound;

	dev->open--;
	if (file->bound && file->kind == MK_CDEV)
		dev->group->cdevs_bound--;
	if (file->bound || in_container)
		dev->granted--;
	if (file->bound && dev->granted == 0)
		mk_device_unbind(m, dev);
	if (in_container) {
		dev->group->devices_open--;
		group_put(m, dev->group);
	}
}

static int
close_file(struct dmamap_model *m, int fd)
{
	struct mk_file *file = mk_file_get(m, fd);
	struct mk_file was;

	if (file == NULL)
		return -EBADF;
	was = *file;
	file->kind = MK_NONE;
	switch (was.kind) {
	case MK_CONTAINER:
		container_put(m, was.container);
		break;
	case MK_DEVICE:
	case MK_CDEV:
		close_device(m, &was);
		break;
	case MK_IOMMUFD:
		mk_iommufd_put(m, was.ctx);
		break;
	case MK_GROUP:
		group_put(m, was.group);
		break;
	default:
		break;
	}
	return 0;
}

int
dm_mk_close(struct dmamap_model *m, int fd)
{
	int rc;

	pthread_mutex_lock(&m->lock);
	mk_call(m, DMAMAP_MODEL_CLOSE);
	rc = close_file(m, fd);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int
dm_mk_ioctl(struct dmamap_model *m, int fd, unsigned long request, unsigned long arg)
{
	struct mk_file *file;
	int rc;

	pthread_mutex_lock(&m->lock);
	file = mk_file_get(m, fd);
	if (file == NULL)
		rc = -EBADF;
	else if (file->kind == MK_CONTAINER)
		rc = container_ioctl(m, file->container, request, arg);
	else if (file->kind == MK_GROUP)
		rc = group_ioctl(m, file->group, request, arg);
	else if (file->kind == MK_IOMMUFD)
		rc = mk_iommufd_ioctl(m, file->ctx, request, arg);
	else if (file->kind == MK_CDEV)
		rc = mk_cdev_ioctl(m, file, request, arg);
	else
		rc = -ENOTTY;
	pthread_mutex_unlock(&m->lock);
	return rc;
}

void
dm_mk_set_process(struct dmamap_model *m, unsigned int process)
{
	pthread_mutex_lock(&m->lock);
	m->process = process;
	pthread_mutex_unlock(&m->lock);
}

/* sysfs */

/** Which members make the group not viable, as a list for people. */
static void
list_spoilers(struct dmamap_model *m, const struct mk_group *group, char *text, size_t room)
{
	const struct mk_device *dev;
	size_t used = 0;

	text[0] = '\0';
	TAILQ_FOREACH(dev, &m->devices, next)
		if (dev->group == group && mk_spoils(dev) && used < room)
			used += snprintf(text + used, room - used, "%s%s (%s)",
				used == 0 ? "" : ", ", dev->name, dev->driver);
}

static int
resv_append(struct dmamap_model_resv **list, unsigned int *n, const struct mk_group *group)
{
	struct dmamap_model_resv *bigger;

	if (group->n_resv == 0)
		return 0;
	bigger = realloc(*list, (*n + group->n_resv) * sizeof(*bigger));
	if (bigger == NULL)
		return -ENOMEM;
	memcpy(bigger + *n, group->resv, group->n_resv * sizeof(*bigger));
	*list = bigger;
	*n += group->n_resv;
	return 0;
}

int
dm_mk_sysfs(struct dmamap_model *m, const char *name, struct dm_mk_sysfs *info)
{
	const struct mk_device *dev;
	int rc;

	*info = (struct dm_mk_sysfs){0};
	pthread_mutex_lock(&m->lock);
	rc = mk_call(m, DMAMAP_MODEL_LOOKUP);
	if (rc < 0)
		goto out;
	dev = mk_find_device(m, name);
	if (dev == NULL) {
		rc = -ENODEV;
		goto out;
	}
	strlcpy(info->name, dev->name, sizeof(info->name));
	strlcpy(info->driver, dev->driver, sizeof(info->driver));
	info->group = dev->group->id;
	info->node = dev->node;
	info->noiommu = dev->group->iommu == NULL;
	info->cdev = !info->noiommu && mk_is_vfio(dev) &&
			m->conf.linux_version >= DMAMAP_MODEL_LINUX(6, 6)
		? dev->index
		: -1;
	list_spoilers(m, dev->group, info->spoilers, sizeof(info->spoilers));
	rc = resv_append(&info->resv, &info->n_resv, dev->group);
out:
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static int
resv_order(const void *a, const void *b)
{
	const struct dmamap_model_resv *x = a, *y = b;

	if (x->range.start != y->range.start)
		return x->range.start < y->range.start ? -1 : 1;
	if (x->range.last != y->range.last)
		return x->range.last < y->range.last ? -1 : 1;
	return (int)x->type - (int)y->type;
}

int
dm_mk_host_reserved(struct dmamap_model *m, struct dmamap_model_resv **resv, unsigned int *n)
{
	const struct mk_group *group;
	unsigned int i, kept = 0;
	int rc;

	*resv = NULL;
	*n = 0;
	pthread_mutex_lock(&m->lock);
	rc = mk_call(m, DMAMAP_MODEL_LOOKUP);
	TAILQ_FOREACH(group, &m->groups, next)
		if (rc == 0)
			rc = resv_append(resv, n, group);
	pthread_mutex_unlock(&m->lock);
	if (rc < 0) {
		free(*resv);
		*resv = NULL;
		*n = 0;
		return rc;
	}
	if (*n == 0)
		return 0;
	qsort(*resv, *n, sizeof(**resv), resv_order);
	for (i = 1; i < *n; i++)
		if (resv_order(&(*resv)[kept], &(*resv)[i]) != 0)
			(*resv)[++kept] = (*resv)[i];
	*n = kept + 1;
	return 0;
}
