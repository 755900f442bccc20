/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do the modelled kernel's devices and iommufd meet? Character devices, binding, attaching.
 */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_abi.h"
#include "model_priv.h"

int
mk_cdev_open(struct dmamap_model *m, const char *name)
{
	const char prefix[] = "vfio";
	struct mk_device *dev;
	char *end;
	long index;
	int fd;

	if (m->conf.linux_version < DMAMAP_MODEL_LINUX(6, 6))
		return -ENOENT;
	if (name[0] == '\0')
		return mk_file_new(m, (struct mk_file){.kind = MK_FOLDER});
	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return -ENOENT;
	index = strtol(name + strlen(prefix), &end, 10);
	TAILQ_FOREACH(dev, &m->devices, next)
		if (dev->index == index && dev->group->iommu != NULL && mk_is_vfio(dev))
			break;
	if (dev == NULL || *end != '\0' || end == name + strlen(prefix))
		return -ENOENT;
	fd = mk_file_new(m, (struct mk_file){.kind = MK_CDEV, .device = dev});
	if (fd >= 0)
		dev->open++;
	return fd;
}

/* Binding */

bool
mk_owned_elsewhere(struct dmamap_model *m, const struct mk_group *group, const struct mk_ctx *ctx)
{
	const struct mk_device *dev;

	TAILQ_FOREACH(dev, &m->devices, next)
		if (dev->group == group && dev->ctx != NULL && dev->ctx != ctx)
			return true;
	return false;
}

int
mk_device_bind(struct dmamap_model *m, struct mk_device *dev, struct mk_ctx *ctx)
{
	if (dev->group->iommu->conf.no_msi_isolation && !m->conf.allow_unsafe_interrupts)
		return -EPERM;
	if (mk_claimed(m, dev->group) || mk_owned_elsewhere(m, dev->group, ctx))
		return -EPERM;
	dev->id = mk_free_id(m, ctx);
	dev->ctx = ctx;
	ctx->refs++;
	return 0;
}

void
mk_device_unbind(struct dmamap_model *m, struct mk_device *dev)
{
	struct mk_ctx *ctx = dev->ctx;

	mk_device_detach(m, dev);
	dev->ctx = NULL;
	dev->id = 0;
	mk_iommufd_put(m, ctx);
}

/* Attaching */

/** Is what the device's group reserves free in an IOAS? */
static int
check_reserved(const struct mk_device *dev, const struct mk_ioas *ioas)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < dev->group->n_resv && rc == 0; i++)
		if (dev->group->resv[i].type != DMAMAP_RESERVED_RELAXABLE)
			rc = mk_ioas_check_free(ioas, dev->group->resv[i].range);
	return rc;
}

/** Does an IOMMU take its group into these page tables? Those that enforce coherency want all to.
 */
static int
check_fits(const struct dmamap_model *m, const struct mk_group *group, const struct mk_domain *dom)
{
	bool coherent = group->iommu->conf.enforces_coherency && !group->no_snoop_control;

	return m->conf.never_share || dom->iommu != group->iommu || (dom->coherent && !coherent)
		? -EINVAL
		: 0;
}

/** Take a group out of its page tables, which go if they were its alone. */
static void
leave_domain(struct dmamap_model *m, struct mk_group *group)
{
	struct mk_domain *dom = group->domain;

	TAILQ_REMOVE(&dom->groups, group, in_domain);
	group->domain = NULL;
	if (TAILQ_EMPTY(&dom->groups))
		mk_ioas_remove_domain(m, dom);
}

static void
join_domain(struct mk_group *group, struct mk_domain *dom)
{
	TAILQ_INSERT_TAIL(&dom->groups, group, in_domain);
	group->domain = dom;
}

/** A first attach to page tables: the group goes there, or is there. */
static int
attach_domain(struct dmamap_model *m, struct mk_device *dev, struct mk_domain *dom)
{
	struct mk_group *group = dev->group;
	int rc;

	if (group->domain != NULL && group->domain != dom)
		return -EINVAL;
	rc = check_reserved(dev, dom->ioas);
	if (rc == 0 && group->domain == NULL) {
		rc = mk_call(m, DMAMAP_MODEL_IOMMU_ATTACH);
		if (rc == 0)
			rc = check_fits(m, group, dom);
		if (rc == 0)
			join_domain(group, dom);
	}
	if (rc < 0)
		return rc;
	dev->attached = true;
	group->n_attached++;
	return 0;
}

static int
attach_new_domain(struct dmamap_model *m, struct mk_device *dev, struct mk_ioas *ioas)
{
	struct mk_domain *dom;
	int rc;

	if (dev->group->domain != NULL)
		return -EINVAL;
	rc = check_reserved(dev, ioas);
	if (rc == 0)
		rc = mk_call(m, DMAMAP_MODEL_IOMMU_ATTACH);
	if (rc == 0)
		rc = mk_ioas_add_domain(m, ioas, dev->group, &dom);
	if (rc < 0)
		return rc;
	join_domain(dev->group, dom);
	dev->attached = true;
	dev->group->n_attached++;
	return 0;
}

/** A further attach: the group moves, with all its devices. */
static int
move_domain(struct dmamap_model *m, struct mk_device *dev, struct mk_domain *dom)
{
	struct mk_group *group = dev->group;
	int rc = 0;

	if (group->domain == dom)
		return 0;
	if (group->domain->ioas != dom->ioas)
		rc = check_reserved(dev, dom->ioas);
	if (rc == 0)
		rc = mk_call(m, DMAMAP_MODEL_IOMMU_ATTACH);
	if (rc == 0)
		rc = check_fits(m, group, dom);
	if (rc < 0)
		return rc;
	leave_domain(m, group);
	join_domain(group, dom);
	return 0;
}

static int
move_new_domain(struct dmamap_model *m, struct mk_device *dev, struct mk_ioas *ioas)
{
	struct mk_domain *dom;
	int rc = mk_ioas_add_domain(m, ioas, dev->group, &dom);

	if (rc < 0)
		return rc;
	rc = check_reserved(dev, ioas);
	if (rc == 0)
		rc = mk_call(m, DMAMAP_MODEL_IOMMU_ATTACH);
	if (rc < 0) {
		mk_ioas_remove_domain(m, dom);
		return rc;
	}
	leave_domain(m, dev->group);
	join_domain(dev->group, dom);
	return 0;
}

/** The first page table that takes the device, or a new one. */
static int
attach_ioas(struct dmamap_model *m, struct mk_device *dev, struct mk_ioas *ioas)
{
	struct mk_domain *dom;
	int rc;

	TAILQ_FOREACH(dom, &ioas->domains, next) {
		rc = dev->attached ? move_domain(m, dev, dom) : attach_domain(m, dev, dom);
		if (rc != -EINVAL)
			return rc;
	}
	return dev->attached ? move_new_domain(m, dev, ioas) : attach_new_domain(m, dev, ioas);
}

static struct mk_domain *
find_domain(struct mk_ctx *ctx, uint32_t id)
{
	struct mk_ioas *ioas;
	struct mk_domain *dom;

	TAILQ_FOREACH(ioas, &ctx->spaces, next)
		TAILQ_FOREACH(dom, &ioas->domains, next)
			if (dom->id == id)
				return dom;
	return NULL;
}

int
mk_device_attach(struct dmamap_model *m, struct mk_device *dev, uint32_t *id)
{
	struct mk_ioas *ioas = mk_ioas_find(dev->ctx, *id);
	struct mk_domain *dom = find_domain(dev->ctx, *id);
	int rc;

	if (ioas != NULL)
		rc = attach_ioas(m, dev, ioas);
	else if (dom != NULL)
		rc = dev->attached ? move_domain(m, dev, dom) : attach_domain(m, dev, dom);
	else
		rc = mk_id_taken(m, dev->ctx, *id) ? -EINVAL : -ENOENT;
	if (rc == 0)
		*id = dev->group->domain->id;
	return rc;
}

void
mk_device_detach(struct dmamap_model *m, struct mk_device *dev)
{
	if (!dev->attached)
		return;
	dev->attached = false;
	if (--dev->group->n_attached == 0)
		leave_domain(m, dev->group);
}

/* Calls */

static int
bind_cdev(struct dmamap_model *m, struct mk_file *file, struct abi_vfio_bind_iommufd *cmd)
{
	bool knows_token = m->conf.linux_version >= DMAMAP_MODEL_LINUX(6, 17);
	struct mk_device *dev = file->device;
	const struct mk_file *iommufd;
	int rc;

	if (cmd->argsz < offsetof(struct abi_vfio_bind_iommufd, token_uuid_ptr) ||
		(cmd->flags & ~(knows_token ? ABI_VFIO_BIND_FLAG_TOKEN : 0)) || cmd->iommufd < 0)
		return -EINVAL;
	if (dev->group->refs != 0)
		return -EBUSY;
	if (file->bound)
		return -EINVAL;
	iommufd = mk_file_get(m, cmd->iommufd);
	if (iommufd == NULL)
		return -EBADF;
	if (iommufd->kind != MK_IOMMUFD)
		return -EBADFD;
	if (dev->granted != 0)
		return -EINVAL;
	rc = mk_device_bind(m, dev, iommufd->ctx);
	if (rc < 0)
		return rc;
	cmd->out_devid = dev->id;
	file->bound = true;
	dev->granted++;
	dev->group->cdevs_bound++;
	return 0;
}

static int
attach_cdev(struct dmamap_model *m, const struct mk_file *file, struct abi_vfio_attach_pt *cmd)
{
	if (!file->bound || cmd->argsz < sizeof(*cmd) || cmd->flags != 0)
		return -EINVAL;
	return mk_device_attach(m, file->device, &cmd->pt_id);
}

static int
detach_cdev(
	struct dmamap_model *m, const struct mk_file *file, const struct abi_vfio_detach_pt *cmd)
{
	if (!file->bound || cmd->argsz < sizeof(*cmd) || cmd->flags != 0)
		return -EINVAL;
	mk_device_detach(m, file->device);
	return 0;
}

int
mk_cdev_ioctl(
	struct dmamap_model *m, struct mk_file *file, unsigned long request, unsigned long arg)
{
	int rc;

	switch (request) {
	case ABI_VFIO_BIND_IOMMUFD:
		rc = mk_call(m, DMAMAP_MODEL_BIND_IOMMUFD);
		return rc < 0 ? rc : bind_cdev(m, file, (void *)arg);
	case ABI_VFIO_ATTACH_PT:
		rc = mk_call(m, DMAMAP_MODEL_ATTACH_PT);
		return rc < 0 ? rc : attach_cdev(m, file, (void *)arg);
	case ABI_VFIO_DETACH_PT:
		rc = mk_call(m, DMAMAP_MODEL_DETACH_PT);
		return rc < 0 ? rc : detach_cdev(m, file, (void *)arg);
	default:
		return file->bound ? -ENOTTY : -EINVAL;
	}
}
