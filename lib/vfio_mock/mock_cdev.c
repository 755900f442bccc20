/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Character devices of the mock kernel, and binding and attaching devices to an iommufd. Called by
 * mock_kernel.c, and by mock_vfio.c for groups in an iommufd.
 *
 * Invariant: a device that is attached uses the page tables of its group, and so do all attached
 * devices of the group.
 */

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_abi.h"
#include "mock_priv.h"

int
mock_cdev_open(struct vfio_mock *m, const char *name)
{
	const char prefix[] = "vfio";
	struct mock_device *dev;
	char *end;
	long index;
	int fd;

	if (m->conf.linux_version < VFIO_MOCK_LINUX(6, 6))
		return -ENOENT;
	if (name[0] == '\0')
		return mock_file_new(m, (struct mock_file){.kind = MOCK_FOLDER});
	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return -ENOENT;
	index = strtol(name + strlen(prefix), &end, 10);
	TAILQ_FOREACH(dev, &m->devices, next)
		if (dev->index == index && dev->group->iommu != NULL && mock_is_vfio(dev))
			break;
	if (dev == NULL || *end != '\0' || end == name + strlen(prefix))
		return -ENOENT;
	fd = mock_file_new(m, (struct mock_file){.kind = MOCK_CDEV, .device = dev});
	if (fd >= 0)
		dev->open++;
	return fd;
}

/* Binding */

bool
mock_owned_elsewhere(const struct mock_group *group, const struct mock_ctx *ctx)
{
	const struct mock_device *dev;

	TAILQ_FOREACH(dev, &group->devices, in_group)
		if (dev->ctx != NULL && dev->ctx != ctx)
			return true;
	return false;
}

int
mock_device_bind(struct vfio_mock *m, struct mock_device *dev, struct mock_ctx *ctx)
{
	if (dev->group->iommu->conf.no_msi_isolation && !m->conf.allow_unsafe_interrupts)
		return -EPERM;
	if (mock_claimed(dev->group) || mock_owned_elsewhere(dev->group, ctx))
		return -EPERM;
	dev->id = mock_free_id(m, ctx);
	dev->ctx = ctx;
	ctx->refs++;
	return 0;
}

void
mock_device_unbind(struct vfio_mock *m, struct mock_device *dev)
{
	struct mock_ctx *ctx = dev->ctx;

	mock_device_detach(m, dev);
	mock_id_free(ctx, dev->id);
	dev->ctx = NULL;
	dev->id = 0;
	mock_ctx_put(m, ctx);
}

/* Attaching */

/**
 * Check that the reserved ranges of the device's group are free in an IOAS.
 * @return 0 or -EADDRINUSE.
 */
static int
device_check_reserved(const struct mock_device *dev, const struct mock_ioas *ioas)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < dev->group->n_resv && rc == 0; i++)
		if (dev->group->resv[i].type != DMAMAP_RESERVED_RELAXABLE)
			rc = mock_ioas_check_free(ioas, dev->group->resv[i].range);
	return rc;
}

/**
 * Check that page tables fit a group. Page tables that enforce coherency accept only groups for
 * which the IOMMU can.
 * @return 0 or -EINVAL.
 */
static int
domain_check_fits(
	const struct vfio_mock *m, const struct mock_group *group, const struct mock_domain *dom)
{
	bool coherent = group->iommu->conf.enforces_coherency && !group->no_snoop_control;

	return m->conf.never_share || dom->iommu != group->iommu || (dom->coherent && !coherent)
		? -EINVAL
		: 0;
}

/** Remove a group from its page tables. With the last group, the page tables go. */
static void
group_leave_domain(struct vfio_mock *m, struct mock_group *group)
{
	struct mock_domain *dom = group->domain;

	TAILQ_REMOVE(&dom->groups, group, in_domain);
	group->domain = NULL;
	if (TAILQ_EMPTY(&dom->groups))
		mock_ioas_remove_domain(m, dom);
}

static void
group_join_domain(struct mock_group *group, struct mock_domain *dom)
{
	TAILQ_INSERT_TAIL(&dom->groups, group, in_domain);
	group->domain = dom;
}

/**
 * First attach of a device, to existing page tables: the group is moved there, or is there already.
 */
static int
device_attach_domain(struct vfio_mock *m, struct mock_device *dev, struct mock_domain *dom)
{
	struct mock_group *group = dev->group;
	int rc;

	if (group->domain != NULL && group->domain != dom)
		return -EINVAL;
	rc = device_check_reserved(dev, dom->ioas);
	if (rc == 0 && group->domain == NULL) {
		rc = mock_call(m, VFIO_MOCK_IOMMU_ATTACH);
		if (rc == 0)
			rc = domain_check_fits(m, group, dom);
		if (rc == 0)
			group_join_domain(group, dom);
	}
	if (rc < 0)
		return rc;
	dev->attached = true;
	group->n_attached++;
	return 0;
}

/** First attach of a device, to new page tables of an IOAS. */
static int
device_attach_new_domain(struct vfio_mock *m, struct mock_device *dev, struct mock_ioas *ioas)
{
	struct mock_domain *dom;
	int rc;

	if (dev->group->domain != NULL)
		return -EINVAL;
	rc = device_check_reserved(dev, ioas);
	if (rc == 0)
		rc = mock_call(m, VFIO_MOCK_IOMMU_ATTACH);
	if (rc == 0)
		rc = mock_ioas_add_domain(m, ioas, dev->group, &dom);
	if (rc < 0)
		return rc;
	group_join_domain(dev->group, dom);
	dev->attached = true;
	dev->group->n_attached++;
	return 0;
}

/** Further attach of a device, to existing page tables: the group moves with all its devices. */
static int
device_move_domain(struct vfio_mock *m, struct mock_device *dev, struct mock_domain *dom)
{
	struct mock_group *group = dev->group;
	int rc = 0;

	if (group->domain == dom)
		return 0;
	if (group->domain->ioas != dom->ioas)
		rc = device_check_reserved(dev, dom->ioas);
	if (rc == 0)
		rc = mock_call(m, VFIO_MOCK_IOMMU_ATTACH);
	if (rc == 0)
		rc = domain_check_fits(m, group, dom);
	if (rc < 0)
		return rc;
	group_leave_domain(m, group);
	group_join_domain(group, dom);
	return 0;
}

/** Further attach of a device, to new page tables of an IOAS. */
static int
device_move_new_domain(struct vfio_mock *m, struct mock_device *dev, struct mock_ioas *ioas)
{
	struct mock_domain *dom;
	int rc = mock_ioas_add_domain(m, ioas, dev->group, &dom);

	if (rc < 0)
		return rc;
	rc = device_check_reserved(dev, ioas);
	if (rc == 0)
		rc = mock_call(m, VFIO_MOCK_IOMMU_ATTACH);
	if (rc < 0) {
		mock_ioas_remove_domain(m, dom);
		return rc;
	}
	group_leave_domain(m, dev->group);
	group_join_domain(dev->group, dom);
	return 0;
}

/** Attach to the first page tables of an IOAS that fit, or to new ones. */
static int
device_attach_ioas(struct vfio_mock *m, struct mock_device *dev, struct mock_ioas *ioas)
{
	struct mock_domain *dom;
	int rc;

	TAILQ_FOREACH(dom, &ioas->domains, next) {
		rc = dev->attached ? device_move_domain(m, dev, dom)
				   : device_attach_domain(m, dev, dom);
		if (rc != -EINVAL)
			return rc;
	}
	return dev->attached ? device_move_new_domain(m, dev, ioas)
			     : device_attach_new_domain(m, dev, ioas);
}

static struct mock_domain *
ctx_find_domain(struct mock_ctx *ctx, uint32_t id)
{
	struct mock_ioas *ioas;
	struct mock_domain *dom;

	TAILQ_FOREACH(ioas, &ctx->spaces, next)
		TAILQ_FOREACH(dom, &ioas->domains, next)
			if (dom->id == id)
				return dom;
	return NULL;
}

int
mock_device_attach(struct vfio_mock *m, struct mock_device *dev, uint32_t *id)
{
	struct mock_ioas *ioas = mock_ioas_find(dev->ctx, *id);
	struct mock_domain *dom = ctx_find_domain(dev->ctx, *id);
	int rc;

	if (ioas != NULL)
		rc = device_attach_ioas(m, dev, ioas);
	else if (dom != NULL)
		rc = dev->attached ? device_move_domain(m, dev, dom)
				   : device_attach_domain(m, dev, dom);
	else
		rc = mock_id_taken(m, dev->ctx, *id) ? -EINVAL : -ENOENT;
	if (rc == 0)
		*id = dev->group->domain->id;
	return rc;
}

void
mock_device_detach(struct vfio_mock *m, struct mock_device *dev)
{
	if (!dev->attached)
		return;
	dev->attached = false;
	if (--dev->group->n_attached == 0)
		group_leave_domain(m, dev->group);
}

/* ioctls */

/** The VF token of a bind as text; "" if there is none. */
static void
bind_token(const struct abi_vfio_bind_iommufd *cmd, char token[MOCK_TOKEN_LEN])
{
	const uint8_t *raw = (const uint8_t *)(uintptr_t)cmd->token_uuid_ptr;
	unsigned int i, at = 0;

	token[0] = '\0';
	if (!(cmd->flags & ABI_VFIO_BIND_FLAG_TOKEN))
		return;
	for (i = 0; i < 16; i++)
		at += snprintf(token + at, MOCK_TOKEN_LEN - at,
			i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", raw[i]);
}

static int
cdev_bind(struct vfio_mock *m, struct mock_file *file, struct abi_vfio_bind_iommufd *cmd)
{
	bool knows_token = m->conf.linux_version >= VFIO_MOCK_LINUX(6, 17);
	struct mock_device *dev = file->device;
	const struct mock_file *iommufd;
	char token[MOCK_TOKEN_LEN];
	int rc;

	if (cmd->argsz < offsetof(struct abi_vfio_bind_iommufd, token_uuid_ptr) ||
		(cmd->flags & ~(knows_token ? ABI_VFIO_BIND_FLAG_TOKEN : 0)) || cmd->iommufd < 0)
		return -EINVAL;
	if (dev->group->refs != 0)
		return -EBUSY;
	if (file->bound)
		return -EINVAL;
	iommufd = mock_file_get(m, cmd->iommufd);
	if (iommufd == NULL)
		return -EBADF;
	if (iommufd->kind != MOCK_IOMMUFD)
		return -EBADFD;
	if (dev->granted != 0)
		return -EINVAL;
	/* An older kernel checks tokens of groups only (vfio_group_ioctl_get_device_fd()). */
	if (knows_token) {
		bind_token(cmd, token);
		rc = mock_token_check(m, dev, token);
		if (rc < 0)
			return rc;
	}
	rc = mock_device_bind(m, dev, iommufd->ctx);
	if (rc < 0)
		return rc;
	cmd->out_devid = dev->id;
	file->bound = true;
	dev->granted++;
	dev->group->cdevs_bound++;
	return 0;
}

static int
cdev_attach(struct vfio_mock *m, const struct mock_file *file, struct abi_vfio_attach_pt *cmd)
{
	if (!file->bound || cmd->argsz < sizeof(*cmd) || cmd->flags != 0)
		return -EINVAL;
	return mock_device_attach(m, file->device, &cmd->pt_id);
}

static int
cdev_detach(struct vfio_mock *m, const struct mock_file *file, const struct abi_vfio_detach_pt *cmd)
{
	if (!file->bound || cmd->argsz < sizeof(*cmd) || cmd->flags != 0)
		return -EINVAL;
	mock_device_detach(m, file->device);
	return 0;
}

int
mock_cdev_ioctl(
	struct vfio_mock *m, struct mock_file *file, unsigned long request, unsigned long arg)
{
	int rc;

	switch (request) {
	case ABI_VFIO_BIND_IOMMUFD:
		rc = mock_call(m, VFIO_MOCK_BIND_IOMMUFD);
		return rc < 0 ? rc : cdev_bind(m, file, (void *)arg);
	case ABI_VFIO_ATTACH_PT:
		rc = mock_call(m, VFIO_MOCK_ATTACH_PT);
		return rc < 0 ? rc : cdev_attach(m, file, (void *)arg);
	case ABI_VFIO_DETACH_PT:
		rc = mock_call(m, VFIO_MOCK_DETACH_PT);
		return rc < 0 ? rc : cdev_detach(m, file, (void *)arg);
	default:
		return file->bound ? mock_device_ioctl(m, file, request, arg) : -EINVAL;
	}
}
