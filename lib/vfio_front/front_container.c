/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A virtual container: its groups, its IOMMU type, and its ioctls. Called by front.c under `op` of
 * the container.
 *
 * States:
 * - Without a type, groups are in the kernel container that the program holds, and that container
 *   answers. If the program holds an iommufd, the groups are not in it yet. This file then
 *   answers as a kernel container would.
 * - VFIO_SET_IOMMU creates a dmamap_container. Its first domain is the program's kernel container.
 *   Groups are attached one by one; libdmamap opens another domain for a group that does not fit.
 *   On iommufd all groups leave the program's kernel container, which is unused from then on.
 * - When the last group leaves, the type and all maps go, as in Linux (fact 5 of
 *   doc/conformance.md).
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front_priv.h"

#define CONTAINER_FILE "/dev/vfio/vfio"

/** Size of struct vfio_iommu_type1_info in the first kernels that had VFIO_IOMMU_GET_INFO. */
#define INFO_MIN offsetof(struct vfio_iommu_type1_info, cap_offset)

/** Maximum number of ranges in an answer. */
#define RANGES DM_DIM(((struct dmamap_container_info *)NULL)->ranges)

/**
 * Layout of the answer to VFIO_IOMMU_GET_INFO: the structure, then two capabilities, aligned to 8
 * bytes.
 */
#define AVAIL_AT sizeof(struct vfio_iommu_type1_info)
#define RANGES_AT (AVAIL_AT + DM_ALIGN_CEIL(sizeof(struct vfio_iommu_type1_info_dma_avail), 8))
#define INFO_MAX                                                                                   \
	(RANGES_AT + sizeof(struct vfio_iommu_type1_info_cap_iova_range) +                         \
		RANGES * sizeof(struct vfio_iova_range))

struct front_conf front_conf;
static LIST_HEAD(, front_container) containers = LIST_HEAD_INITIALIZER(containers);

struct front_container *
front_container_new(bool is_iommufd)
{
	struct front_container *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->token = front_token_new(c, NULL);
	if (c->token < 0) {
		free(c);
		return NULL;
	}
	c->refs = 1;
	c->is_iommufd = is_iommufd;
	pthread_mutex_init(&c->op, NULL);
	TAILQ_INIT(&c->groups);
	front_maps_init(&c->maps, NULL, false);
	LIST_INSERT_HEAD(&containers, c, next);
	return c;
}

void
front_container_put(struct front_container *c)
{
	if (--c->refs > 0)
		return;
	front_token_free(c->token);
	LIST_REMOVE(c, next);
	pthread_mutex_destroy(&c->op);
	free(c);
}

struct front_container *
front_container_next(struct front_container *c)
{
	c = c == NULL ? LIST_FIRST(&containers) : LIST_NEXT(c, next);
	if (c != NULL)
		c->refs++;
	return c;
}

/** ioctl(2) on the program's own kernel container. */
static int
container_kernel_ioctl(const struct front_container *c, unsigned long request, uintptr_t arg)
{
	struct front_group *none;
	int fd = front_token_fd(c->token, &none);

	return fd < 0 ? fd : front_below_ioctl(fd, request, arg);
}

/* Groups */

/** Callback of libdmamap: open another kernel container. @param arg  the virtual container. */
static int
container_open_hidden(void *arg)
{
	return front_hidden_open(arg, CONTAINER_FILE);
}

static void
domains_count(struct front_container *c)
{
	struct dmamap_container_info info;

	c->n_domains = dmamap_container_info(c->dma, &info) == 0 ? info.n_domains : 0;
}

static void
group_detach(struct front_container *c, struct front_group *g)
{
	front_anchor_close(g);
	if (g->dev == NULL)
		return;
	front_current = c;
	dmamap_container_detach(g->dev);
	front_current = NULL;
	g->dev = NULL;
	domains_count(c);
}

/**
 * Keep a device of the group open on iommufd. The kernel checks a group's IOMMU only when a device
 * is opened; type1 does at attach. With the anchor, a group is refused at the same call as with
 * type1, and the ranges are those of all groups.
 */
static int
group_anchor(struct front_container *c, struct front_group *g)
{
	struct dmamap_container_info info;
	int rc = front_anchor_open(c, g);

	if (rc == -ENODEV || rc == -EACCES || rc == -EBUSY) {
		front_log(DMAMAP_LOG_NOTICE,
			"group %d: no device of it can be opened yet: IOVA ranges and maps are"
			" checked when one is opened",
			g->number);
		return 0;
	}
	if (rc < 0) {
		front_reason_set(
			"group %d: iommufd cannot attach it, or it cannot reach a mapped IOVA: %s",
			g->number, strerror(-rc));
		return rc;
	}
	rc = dmamap_container_refresh(c->dma);
	if (rc == 0 && dmamap_container_info(c->dma, &info) == 0 && info.n_ranges == 0) {
		front_reason_set(
			"group %d: no IOVA range is left that all devices can use", g->number);
		rc = -EINVAL;
	}
	return rc;
}

/**
 * Attach a group to the dmamap_container.
 * @return 0; the errno that the kernel would return. The reason is set, nothing is logged.
 */
static int
group_attach(struct front_container *c, struct front_group *g)
{
	struct dmamap_attach_conf conf = {
		.group_fd = DMAMAP_GIVEN(g->token),
		.group = DMAMAP_GIVEN(g->number >= 0 ? g->number : g->token),
		.group_only = true,
	};
	int rc;

	front_reason_clear();
	front_current = c;
	rc = dmamap_container_attach_fds(c->dma, &conf, &g->dev);
	front_current = NULL;
	if (rc < 0)
		g->dev = NULL;
	if (rc == 0 && c->backend == DMAMAP_BACKEND_IOMMUFD) {
		rc = group_anchor(c, g);
		if (rc < 0)
			group_detach(c, g);
	}
	domains_count(c);
	return rc == -EADDRINUSE || rc == -ENOENT ? -EINVAL : rc;
}

/** Whether iommufd pins what is mapped now only later: it pins while a device is open. */
static bool
container_pins_late(const struct front_container *c)
{
	const struct front_group *g;

	if (c->backend != DMAMAP_BACKEND_IOMMUFD || c->n_devices > 0)
		return false;
	TAILQ_FOREACH(g, &c->groups, in_c)
		if (g->anchor != NULL)
			return false;
	return true;
}

static enum dmamap_backend
backend_choose(const struct front_container *c)
{
	if (c->is_iommufd)
		return DMAMAP_BACKEND_IOMMUFD;
	if (front_conf.backend != DMAMAP_BACKEND_AUTO)
		return front_conf.backend;
	return container_kernel_ioctl(c, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) > 0
		? DMAMAP_BACKEND_TYPE1
		: DMAMAP_BACKEND_IOMMUFD;
}

static int
dma_create(struct front_container *c)
{
	struct dmamap_container_conf conf = {
		.backend = c->backend = backend_choose(c),
		.sharing = front_conf.isolate ? DMAMAP_ISOLATE : DMAMAP_SHARE,
		.kernel = &front_table,
		.as_linux = true,
	};
	int rc;

	if (c->is_iommufd)
		conf.iommu_fd = DMAMAP_GIVEN(c->token);
	if (c->backend == DMAMAP_BACKEND_TYPE1) {
		conf.container_fd = DMAMAP_GIVEN(c->token);
		conf.open_container = container_open_hidden;
		conf.open_arg = c;
	}
	rc = dmamap_container_create(&conf, &c->dma);
	if (rc == 0)
		front_maps_init(&c->maps, c->dma, front_conf.coalesce != FRONT_COALESCE_OFF);
	return rc;
}

/** Destroy the dmamap_container with its maps. All groups must be detached. */
static void
dma_destroy(struct front_container *c)
{
	struct dmamap_container_info info;

	if (dmamap_container_info(c->dma, &info) == 0) {
		front_count(FRONT_KERNEL_MAPS, info.map_calls);
		front_count(FRONT_KERNEL_UNMAPS, info.unmap_calls);
	}
	front_maps_clear(&c->maps);
	front_current = c;
	dmamap_container_put(c->dma);
	front_current = NULL;
	c->dma = NULL;
	c->n_domains = 0;
	c->state = FRONT_NEW;
}

/** After a failed VFIO_SET_IOMMU: put all groups back into the program's own kernel container. */
static void
groups_return(struct front_container *c)
{
	struct front_group *g;

	TAILQ_FOREACH(g, &c->groups, in_c)
		group_detach(c, g);
	dma_destroy(c);
	TAILQ_FOREACH(g, &c->groups, in_c)
		if (!c->is_iommufd && front_group_join(g, c->token) < 0)
			front_log(DMAMAP_LOG_WARNING,
				"group %d: cannot be put back into its kernel container:"
				" close it and open it again",
				g->number);
}

/** VFIO_SET_IOMMU. */
static int
container_set_type(struct front_container *c, uintptr_t type)
{
	struct front_group *g;
	int rc;

	front_container_settle(c);
	/* Let the kernel answer invalid calls and types other than type1. */
	if (c->state != FRONT_NEW || TAILQ_EMPTY(&c->groups) ||
		(type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)) {
		if (c->is_iommufd)
			return front_refuse("VFIO_SET_IOMMU",
				c->state != FRONT_NEW || TAILQ_EMPTY(&c->groups) ? EINVAL : ENODEV,
				"type %ju: only type1 is supported, set once, with a group in the container",
				(uintmax_t)type);
		rc = container_kernel_ioctl(c, VFIO_SET_IOMMU, type);
		if (rc == 0 && c->state == FRONT_NEW)
			c->state = FRONT_PASS;
		return rc;
	}
	front_reason_clear();
	rc = dma_create(c);
	if (rc < 0)
		return front_refuse("VFIO_SET_IOMMU", -rc, NULL);
	/*
	 * Take all groups but the first out: VFIO_SET_IOMMU would attach every group in the kernel
	 * container at once.
	 */
	for (g = TAILQ_NEXT(TAILQ_FIRST(&c->groups), in_c); g != NULL && rc == 0;
		g = TAILQ_NEXT(g, in_c))
		rc = front_group_leave(g);
	for (g = TAILQ_FIRST(&c->groups); g != NULL && rc == 0; g = TAILQ_NEXT(g, in_c))
		rc = group_attach(c, g);
	if (rc < 0) {
		front_refuse("VFIO_SET_IOMMU", -rc, NULL);
		groups_return(c);
		return rc;
	}
	c->state = FRONT_TYPED;
	c->v2 = type == VFIO_TYPE1v2_IOMMU;
	return 0;
}

/**
 * Check a group for which the kernel cannot answer. An iommufd gets a group only with
 * VFIO_SET_IOMMU, and checks it only when a device is opened. Refuse what a kernel container
 * refuses.
 */
static int
group_check(const struct front_group *g)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	struct front_group *same;
	int fd = front_token_fd(g->token, &same);
	int rc = fd < 0 ? fd : front_below_ioctl(fd, VFIO_GROUP_GET_STATUS, (uintptr_t)&status);

	if (rc < 0)
		return rc;
	if (status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET)
		return front_refuse("VFIO_GROUP_SET_CONTAINER", EINVAL,
			"group %d is in another container", g->number);
	if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
		return front_refuse("VFIO_GROUP_SET_CONTAINER", EPERM,
			"group %d is not viable: one of its devices has a driver other than VFIO's:"
			" bind all of them to vfio-pci",
			g->number);
	return 0;
}

int
front_container_add(struct front_container *c, struct front_group *g)
{
	int rc = 0;

	front_container_settle(c);
	if (c->state == FRONT_TYPED) {
		rc = front_maps_flush(&c->maps);
		if (rc < 0)
			return rc;
		rc = group_attach(c, g);
		if (rc < 0)
			return front_refuse("VFIO_GROUP_SET_CONTAINER", -rc, NULL);
	} else {
		rc = c->is_iommufd ? group_check(g) : front_group_join(g, c->token);
		if (rc < 0)
			return rc;
	}
	TAILQ_INSERT_TAIL(&c->groups, g, in_c);
	return 0;
}

int
front_container_remove(struct front_container *c, struct front_group *g)
{
	bool had_anchor;
	int rc;

	/* Devices that are open in other processes are checked by the kernel, below. */
	if (g->n_devices > 0)
		return front_refuse("VFIO_GROUP_UNSET_CONTAINER", EBUSY,
			"group %d: %u of its devices are open: close them first", g->number,
			g->n_devices);
	had_anchor = g->anchor != NULL;
	front_anchor_close(g);
	rc = front_group_leave(g);
	if (rc < 0) {
		if (had_anchor)
			front_anchor_open(c, g);
		return rc;
	}
	front_container_left(c, g);
	return 0;
}

void
front_container_left(struct front_container *c, struct front_group *g)
{
	g->in = FRONT_NOWHERE;
	group_detach(c, g);
	TAILQ_REMOVE(&c->groups, g, in_c);
	pthread_mutex_lock(&front_tree);
	g->c = NULL;
	front_container_put(c);
	pthread_mutex_unlock(&front_tree);
	if (TAILQ_EMPTY(&c->groups) && c->state == FRONT_TYPED)
		dma_destroy(c);
	else if (TAILQ_EMPTY(&c->groups))
		c->state = FRONT_NEW;
}

void
front_container_settle(struct front_container *c)
{
	struct front_group *g, *next;
	bool closed;

	for (g = TAILQ_FIRST(&c->groups); g != NULL; g = next) {
		next = TAILQ_NEXT(g, in_c);
		pthread_mutex_lock(&front_tree);
		closed = g->file == NULL;
		pthread_mutex_unlock(&front_tree);
		if (!closed || g->n_devices > 0)
			continue;
		front_anchor_close(g);
		if (front_group_is_open(g))
			continue;
		front_container_left(c, g);
		front_group_free(g);
	}
}

/* Devices */

int
front_container_device_begin(struct front_container *c, struct front_group *g)
{
	int rc = 0;

	if (c->state == FRONT_TYPED)
		rc = front_maps_flush(&c->maps);
	else if (c->state == FRONT_NEW)
		rc = -EINVAL;
	if (rc < 0)
		return rc;
	c->n_devices++;
	g->n_devices++;
	return 0;
}

int
front_container_device_end(struct front_container *c, struct front_group *g, int rc)
{
	if (rc < 0) {
		front_container_device_closed(c, g);
		return rc;
	}
	/*
	 * The program's device keeps the group in the IOAS from now on. With the anchor closed, the
	 * last close of the device resets it.
	 */
	front_anchor_close(g);
	if (c->state == FRONT_TYPED && c->backend == DMAMAP_BACKEND_IOMMUFD)
		dmamap_container_refresh(c->dma);
	return rc;
}

void
front_container_device_closed(struct front_container *c, struct front_group *g)
{
	c->n_devices--;
	g->n_devices--;
}

/* Answers of a container */

/**
 * VFIO_CHECK_EXTENSION, of a container with a type, or of an iommufd that stands in for a
 * container.
 */
static int
container_check_extension(const struct front_container *c, uintptr_t extension)
{
	struct dmamap_container_info info;

	switch (extension) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return 1;
	case VFIO_DMA_CC_IOMMU:
		if (c->dma == NULL)
			return 0;
		dmamap_container_info(c->dma, &info);
		return info.coherent;
	default:
		return 0;
	}
}

/** Add the capability of usable IOVA ranges to an answer. @return the offset of its end */
static size_t
info_add_ranges(const struct dmamap_container_info *info, uint8_t *answer)
{
	struct vfio_iommu_type1_info_cap_iova_range *cap = (void *)(answer + RANGES_AT);
	const uint32_t n = DM_MIN((size_t)info->n_ranges, RANGES);
	uint32_t i;

	cap->header = (struct vfio_info_cap_header){VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, 0};
	cap->nr_iovas = n;
	for (i = 0; i < n; i++)
		cap->iova_ranges[i] =
			(struct vfio_iova_range){info->ranges[i].start, info->ranges[i].last};
	return RANGES_AT + sizeof(*cap) + n * sizeof(cap->iova_ranges[0]);
}

/** Add the capability of available entries to an answer. */
static void
info_add_avail(
	const struct front_container *c, const struct dmamap_container_info *info, uint8_t *answer)
{
	struct vfio_iommu_type1_info_dma_avail *cap = (void *)(answer + AVAIL_AT);
	const uint64_t left =
		info->entries_left - DM_MIN(info->entries_left, (uint64_t)c->maps.n_sequences);

	cap->header = (struct vfio_info_cap_header){VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1, RANGES_AT};
	cap->avail = DM_MIN(left, (uint64_t)UINT32_MAX);
}

/** VFIO_IOMMU_GET_INFO, as vfio_iommu_type1_get_info() in drivers/vfio/vfio_iommu_type1.c. */
static int
container_get_info(const struct front_container *c, uintptr_t arg)
{
	_Alignas(8) uint8_t answer[INFO_MAX] = {0};
	struct vfio_iommu_type1_info *info_out = (void *)answer;
	struct dmamap_container_info info;
	uint8_t asked[INFO_MIN];
	uint32_t argsz;
	size_t len;

	if (front_user_read(asked, arg, sizeof(asked)) < 0)
		return -EFAULT;
	memcpy(&argsz, asked, sizeof(argsz));
	if (argsz < INFO_MIN)
		return -EINVAL;
	dmamap_container_info(c->dma, &info);
	len = info_add_ranges(&info, answer);
	info_add_avail(c, &info, answer);
	info_out->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info_out->iova_pgsizes = info.page_sizes;
	info_out->argsz = DM_MAX(argsz, (uint32_t)len);
	info_out->cap_offset = argsz >= len ? AVAIL_AT : 0;
	return front_user_write(
		arg, answer, argsz >= len ? len : DM_MIN((size_t)argsz, sizeof(*info_out)));
}

static int
container_map(struct front_container *c, uintptr_t arg)
{
	enum front_use use = FRONT_UNUSED;
	struct vfio_iommu_type1_dma_map map;

	if (front_user_read(&map, arg, sizeof(map)) < 0)
		return -EFAULT;
	if (c->n_devices > 0)
		use = front_conf.coalesce == FRONT_COALESCE_ALWAYS && !front_may_dma(c)
			? FRONT_IDLE
			: FRONT_RUNNING;
	c->maps.pins_late = container_pins_late(c);
	return front_maps_map(&c->maps, &map, use);
}

static int
container_unmap(struct front_container *c, uintptr_t arg)
{
	struct vfio_iommu_type1_dma_unmap unmap;
	int rc;

	if (front_user_read(&unmap, arg, sizeof(unmap)) < 0)
		return -EFAULT;
	rc = front_maps_unmap(&c->maps, &unmap, c->v2, c->n_devices > 0);
	return rc < 0 ? rc : front_user_write(arg, &unmap, sizeof(unmap));
}

static int
container_typed_ioctl(struct front_container *c, int fd, unsigned long request, uintptr_t arg)
{
	switch ((uint32_t)request) {
	case VFIO_CHECK_EXTENSION:
		return container_check_extension(c, arg);
	case VFIO_IOMMU_GET_INFO:
		return container_get_info(c, arg);
	case VFIO_IOMMU_MAP_DMA:
		front_count(FRONT_MAP_CALLS, 1);
		return container_map(c, arg);
	case VFIO_IOMMU_UNMAP_DMA:
		front_count(FRONT_UNMAP_CALLS, 1);
		return container_unmap(c, arg);
	case VFIO_IOMMU_DIRTY_PAGES:
		return front_refuse("VFIO_IOMMU_DIRTY_PAGES", c->v2 ? ENOTTY : EACCES,
			"dirty page tracking is not supported, as VFIO_IOMMU_GET_INFO reports");
	default:
		return c->is_iommufd ? -ENOTTY : front_below_ioctl(fd, request, arg);
	}
}

int
front_container_ioctl(struct front_container *c, int fd, unsigned long request, uintptr_t arg)
{
	if ((uint32_t)request == VFIO_SET_IOMMU)
		return container_set_type(c, arg);
	if ((uint32_t)request == VFIO_GET_API_VERSION)
		return c->is_iommufd ? VFIO_API_VERSION : front_below_ioctl(fd, request, arg);
	front_container_settle(c);
	if (c->state == FRONT_TYPED)
		return container_typed_ioctl(c, fd, request, arg);
	/*
	 * Answer as a kernel container without a type. An iommufd's compatibility ioctls would
	 * create an IOAS.
	 */
	if (c->is_iommufd)
		return (uint32_t)request == VFIO_CHECK_EXTENSION ? container_check_extension(c, arg)
								 : -EINVAL;
	/* Answer what holds once the type is set: vfio_front does not support VFIO_UPDATE_VADDR. */
	if ((uint32_t)request == VFIO_CHECK_EXTENSION && arg == VFIO_UPDATE_VADDR &&
		c->state == FRONT_NEW)
		return 0;
	return front_below_ioctl(fd, request, arg);
}
