/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does a container use the modelled kernel? The backend's operations, by the kernel's ioctls.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <linux/vfio.h>

#include <rte_bitops.h>
#include <rte_common.h>
#include <rte_string_fns.h>

#include "dm_iommu.h"
#include "dm_log.h"
#include "model_kernel.h"

struct model_iommu {
	struct dm_iommu base;
	struct dmamap_model *m;
};

struct model_dev {
	struct dm_iommu_dev base;
	char options[256]; /**< what GET_DEVICE_FD wants: the name, and a token perhaps */
	int file; /**< of the model, while attached; base.fd stays -1 */
};

/** A group that is in a domain. */
struct model_group {
	TAILQ_ENTRY(model_group) next;
	int id;
	int file;
	unsigned int devices;
};

struct model_domain {
	struct dm_iommu_domain base;
	int file; /**< the kernel container */
	TAILQ_HEAD(, model_group) groups;
};

static struct dmamap_model *
model_of(struct dm_iommu *iommu)
{
	return container_of(iommu, struct model_iommu, base)->m;
}

static int
model_open(const struct dmamap_container_conf *conf, struct dm_iommu **iommu)
{
	struct model_iommu *mi;
	int file, rc;

	if (conf->model == NULL)
		return DM_FAIL(ENODEV, "the model backend needs a model: see dmamap_model.h");
	file = dm_mk_open(conf->model, "/dev/vfio/vfio");
	if (file < 0)
		return DM_FAIL(-file, "the model opens no container: %s", strerror(-file));
	rc = dm_mk_ioctl(conf->model, file, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU);
	dm_mk_close(conf->model, file);
	if (rc <= 0)
		return DM_FAIL(rc < 0 ? -rc : ENODEV, "the model has no type1 v2");
	mi = calloc(1, sizeof(*mi));
	if (mi == NULL)
		return -ENOMEM;
	mi->base.ops = &dm_iommu_model_ops;
	mi->base.kind = DMAMAP_BACKEND_MODEL;
	mi->m = conf->model;
	*iommu = &mi->base;
	return 0;
}

static void
model_close(struct dm_iommu *iommu)
{
	free(container_of(iommu, struct model_iommu, base));
}

/* Looking up */

/** Ranges as the model has them become ranges as the container wants them. */
static int
convert_resv(const struct dmamap_model_resv *from, unsigned int n, struct dm_iommu_resv **to)
{
	unsigned int i;

	*to = NULL;
	if (n == 0)
		return 0;
	*to = calloc(n, sizeof(**to));
	if (*to == NULL)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		(*to)[i] = (struct dm_iommu_resv){.range = from[i].range, .type = from[i].type};
	return 0;
}

static int
model_host_reserved(
	const struct dmamap_container_conf *conf, struct dm_iommu_resv **resv, unsigned int *n)
{
	struct dmamap_model_resv *all;
	int rc;

	if (conf->model == NULL)
		return DM_FAIL(EINVAL, "the model backend needs a model: see dmamap_model.h");
	rc = dm_mk_host_reserved(conf->model, &all, n);
	if (rc < 0)
		return rc;
	rc = convert_resv(all, *n, resv);
	free(all);
	return rc;
}

/** What can be said of a device before anything is opened. */
static int
check_device(const struct dm_mk_sysfs *info)
{
	if (info->noiommu)
		return DM_FAIL(ENODEV, "%s: no IOMMU is in charge of it", info->name);
	if (info->driver[0] == '\0')
		return DM_FAIL(EBUSY, "%s: bound to no driver; bind it to vfio-pci", info->name);
	if (strncmp(info->driver, "vfio", strlen("vfio")) != 0)
		return DM_FAIL(EBUSY, "%s: held by driver %s; bind it to vfio-pci", info->name,
			info->driver);
	if (info->spoilers[0] != '\0')
		return DM_FAIL(EPERM, "%s: its group %d is not viable: %s; unbind these too",
			info->name, info->group, info->spoilers);
	return 0;
}

static int
model_dev_get(struct dm_iommu *iommu, const char *name, struct dm_iommu_dev **dev)
{
	struct dm_mk_sysfs info = {0};
	char bare[DMAMAP_NAME_MAX];
	struct model_dev *md;
	int rc;

	md = calloc(1, sizeof(*md));
	if (md == NULL)
		return -ENOMEM;
	snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(name, " "), name);
	rc = dm_mk_sysfs(model_of(iommu), bare, &info);
	if (rc == -ENODEV)
		rc = DM_FAIL(ENODEV, "%s: the model has no such device", bare);
	else if (rc < 0)
		rc = DM_FAIL(-rc, "%s: the model cannot look it up: %s", bare, strerror(-rc));
	if (rc == 0)
		rc = check_device(&info);
	if (rc == 0 && strlcpy(md->options, name, sizeof(md->options)) >= sizeof(md->options))
		rc = DM_FAIL(EINVAL, "%s: options too long", bare);
	if (rc == 0)
		rc = convert_resv(info.resv, info.n_resv, &md->base.resv);
	free(info.resv);
	if (rc < 0) {
		free(md);
		return rc;
	}
	strlcpy(md->base.name, bare, sizeof(md->base.name));
	md->base.iommu = iommu;
	md->base.group = info.group;
	md->base.node = info.node;
	md->base.fd = -1;
	md->base.n_resv = info.n_resv;
	md->file = -1;
	*dev = &md->base;
	return 0;
}

static void
model_dev_put(struct dm_iommu_dev *dev)
{
	struct model_dev *md = container_of(dev, struct model_dev, base);

	free(md->base.resv);
	free(md);
}

/* Domains */

static int
model_domain_create(struct dm_iommu *iommu, struct dm_iommu_domain **dom)
{
	struct model_domain *md = calloc(1, sizeof(*md));

	if (md == NULL)
		return -ENOMEM;
	TAILQ_INIT(&md->groups);
	md->base.iommu = iommu;
	md->file = dm_mk_open(model_of(iommu), "/dev/vfio/vfio");
	if (md->file < 0) {
		int rc = md->file;

		free(md);
		return rc;
	}
	*dom = &md->base;
	return 0;
}

static void
model_domain_destroy(struct dm_iommu_domain *dom)
{
	struct model_domain *md = container_of(dom, struct model_domain, base);

	dm_mk_close(model_of(dom->iommu), md->file);
	free(md);
}

static int
check_viable(struct dmamap_model *m, const struct model_group *group)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	int rc = dm_mk_ioctl(m, group->file, VFIO_GROUP_GET_STATUS, (unsigned long)&status);

	if (rc < 0)
		return rc;
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return DM_FAIL(EPERM, "group %d is not viable", group->id);
	return 0;
}

static void
group_leave(struct model_domain *dom, struct model_group *group)
{
	TAILQ_REMOVE(&dom->groups, group, next);
	/* Closing the file takes the group out of the kernel container too. */
	dm_mk_close(model_of(dom->base.iommu), group->file);
	free(group);
}

/** Open a group and put it into the domain; the first one gives the container its type. */
static int
group_join(struct model_domain *dom, int id, struct model_group **out)
{
	struct dmamap_model *m = model_of(dom->base.iommu);
	bool first = TAILQ_EMPTY(&dom->groups);
	struct model_group *group = calloc(1, sizeof(*group));
	char path[32];
	int rc;

	if (group == NULL)
		return -ENOMEM;
	group->id = id;
	snprintf(path, sizeof(path), "/dev/vfio/%d", id);
	rc = group->file = dm_mk_open(m, path);
	if (rc < 0) {
		free(group);
		return rc;
	}
	TAILQ_INSERT_TAIL(&dom->groups, group, next);
	rc = check_viable(m, group);
	if (rc == 0)
		rc = dm_mk_ioctl(
			m, group->file, VFIO_GROUP_SET_CONTAINER, (unsigned long)&dom->file);
	if (rc == 0 && first)
		rc = dm_mk_ioctl(m, dom->file, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	if (rc < 0) {
		group_leave(dom, group);
		return rc;
	}
	*out = group;
	return 0;
}

static struct model_group *
group_of(struct model_domain *dom, int id)
{
	struct model_group *group;

	TAILQ_FOREACH(group, &dom->groups, next)
		if (group->id == id)
			return group;
	return NULL;
}

static int
fail_attach(const struct dm_iommu_dev *dev, int rc)
{
	if (rc == -EINVAL)
		return rc;
	return DM_FAIL(-rc, "%s: the model does not take its group %d: %s", dev->name, dev->group,
		strerror(-rc));
}

static int
model_attach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct model_domain *md = container_of(dom, struct model_domain, base);
	struct model_dev *mdev = container_of(dev, struct model_dev, base);
	struct model_group *group = group_of(md, dev->group);
	int rc;

	if (group == NULL) {
		rc = group_join(md, dev->group, &group);
		if (rc < 0)
			return fail_attach(dev, rc);
	}
	rc = dm_mk_ioctl(model_of(dom->iommu), group->file, VFIO_GROUP_GET_DEVICE_FD,
		(unsigned long)mdev->options);
	if (rc < 0) {
		if (group->devices == 0)
			group_leave(md, group);
		return fail_attach(dev, rc);
	}
	mdev->file = rc;
	group->devices++;
	return 0;
}

static void
model_detach(struct dm_iommu_domain *dom, struct dm_iommu_dev *dev)
{
	struct model_domain *md = container_of(dom, struct model_domain, base);
	struct model_dev *mdev = container_of(dev, struct model_dev, base);
	struct model_group *group = group_of(md, dev->group);

	dm_mk_close(model_of(dom->iommu), mdev->file);
	mdev->file = -1;
	if (--group->devices == 0)
		group_leave(md, group);
}

/* Information */

/** Ask until the answer has room. *info is malloc()ed. */
static int
get_info(struct dmamap_model *m, int file, struct vfio_iommu_type1_info **info)
{
	uint32_t room = sizeof(**info);
	int rc;

	for (;;) {
		*info = calloc(1, room);
		if (*info == NULL)
			return -ENOMEM;
		(*info)->argsz = room;
		rc = dm_mk_ioctl(m, file, VFIO_IOMMU_GET_INFO, (unsigned long)*info);
		if (rc == 0 && (*info)->argsz <= room)
			return 0;
		room = (*info)->argsz;
		free(*info);
		if (rc < 0)
			return rc;
	}
}

static int
copy_ranges(const struct vfio_iommu_type1_info_cap_iova_range *cap, struct dm_iommu_info *info)
{
	uint32_t i;

	info->ranges = calloc(RTE_MAX(cap->nr_iovas, 1u), sizeof(*info->ranges));
	if (info->ranges == NULL)
		return -ENOMEM;
	info->n_ranges = cap->nr_iovas;
	for (i = 0; i < cap->nr_iovas; i++)
		info->ranges[i] =
			(struct dmamap_range){cap->iova_ranges[i].start, cap->iova_ranges[i].end};
	return 0;
}

static int
read_caps(const struct vfio_iommu_type1_info *raw, struct dm_iommu_info *info)
{
	const struct vfio_info_cap_header *cap;
	uint32_t at = raw->cap_offset;
	int rc;

	for (; at != 0; at = cap->next) {
		cap = RTE_PTR_ADD(raw, at);
		if (cap->id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
			info->entries_left =
				((const struct vfio_iommu_type1_info_dma_avail *)cap)->avail;
		} else if (cap->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
			rc = copy_ranges((const void *)cap, info);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int
model_info(struct dm_iommu_domain *dom, struct dm_iommu_info *info)
{
	struct model_domain *md = container_of(dom, struct model_domain, base);
	struct dmamap_model *m = model_of(dom->iommu);
	struct vfio_iommu_type1_info *raw;
	int coherent, rc;

	coherent = dm_mk_ioctl(m, md->file, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU);
	if (coherent < 0)
		return coherent;
	rc = get_info(m, md->file, &raw);
	if (rc < 0)
		return rc;
	*info = (struct dm_iommu_info){.page_sizes = raw->iova_pgsizes,
		.entries_left = UINT64_MAX,
		.coherent = coherent != 0};
	rc = read_caps(raw, info);
	free(raw);
	return rc;
}

/* Mapping */

static int
model_map(struct dm_iommu_domain *dom, rte_iova_t iova, void *va, uint64_t len, uint32_t prot)
{
	struct model_domain *md = container_of(dom, struct model_domain, base);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .vaddr = (uintptr_t)va, .iova = iova, .size = len};

	if (prot & DMAMAP_READ)
		map.flags |= VFIO_DMA_MAP_FLAG_READ;
	if (prot & DMAMAP_WRITE)
		map.flags |= VFIO_DMA_MAP_FLAG_WRITE;
	return dm_mk_ioctl(model_of(dom->iommu), md->file, VFIO_IOMMU_MAP_DMA, (unsigned long)&map);
}

static int
model_unmap(struct dm_iommu_domain *dom, rte_iova_t iova, uint64_t len, uint64_t *done)
{
	struct model_domain *md = container_of(dom, struct model_domain, base);
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = iova, .size = len};
	int rc = dm_mk_ioctl(
		model_of(dom->iommu), md->file, VFIO_IOMMU_UNMAP_DMA, (unsigned long)&unmap);

	if (rc == 0)
		*done = unmap.size;
	return rc;
}

const struct dm_iommu_ops dm_iommu_model_ops = {
	.name = "model",
	.open = model_open,
	.close = model_close,
	.host_reserved = model_host_reserved,
	.dev_get = model_dev_get,
	.dev_put = model_dev_put,
	.domain_create = model_domain_create,
	.domain_destroy = model_domain_destroy,
	.attach = model_attach,
	.detach = model_detach,
	.info = model_info,
	.map = model_map,
	.unmap = model_unmap,
};
