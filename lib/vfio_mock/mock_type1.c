/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The type1 driver of the mock kernel: attach, map, unmap, info, dirty pages (Linux,
 * drivers/vfio/vfio_iommu_type1.c). Called by mock_vfio.c.
 *
 * Invariant: every domain of a container holds all maps of the container.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include "mock_priv.h"

#define DEFAULT_ENTRIES 65535

/* Domains */

static void
container_update_page_sizes(struct mock_container *c)
{
	const struct mock_domain *dom;

	c->page_sizes = UINT64_MAX;
	TAILQ_FOREACH(dom, &c->domains, next)
		c->page_sizes &= dom->iommu->conf.page_sizes;
	/*
	 * Pages smaller than the system's are rounded up to the system's
	 * (vfio_update_pgsize_bitmap()).
	 */
	if (c->page_sizes & (MOCK_PAGE - 1))
		c->page_sizes = (c->page_sizes & ~(MOCK_PAGE - 1)) | MOCK_PAGE;
}

static void
domain_free(struct mock_domain *dom)
{
	mock_table_free(&dom->table);
	free(dom);
}

/** Create page tables for a group, filled with all maps of the container. All or nothing. */
static int
domain_new(struct vfio_mock *m, struct mock_container *c, struct mock_group *group, bool coherent,
	struct mock_domain **out)
{
	struct mock_domain *dom = calloc(1, sizeof(*dom));
	struct mock_map *map;
	int rc = 0;

	if (dom == NULL)
		return -ENOMEM;
	TAILQ_INIT(&dom->groups);
	dom->iommu = group->iommu;
	dom->coherent = coherent;
	MOCK_TABLE_FOREACH(map, &c->maps)
		if (rc == 0)
			rc = mock_domain_map(m, dom, map);
	if (rc < 0) {
		domain_free(dom);
		return rc;
	}
	*out = dom;
	return 0;
}

/** Domain that a group can join, or NULL. */
static struct mock_domain *
domain_for(const struct vfio_mock *m, struct mock_container *c, const struct mock_group *group,
	bool coherent)
{
	struct mock_domain *dom;

	if (m->conf.never_share)
		return NULL;
	TAILQ_FOREACH(dom, &c->domains, next)
		if (dom->iommu == group->iommu && dom->coherent == coherent)
			return dom;
	return NULL;
}

/** Whether a map lies outside the aperture, or the aperture overlaps none of the usable ranges. */
static bool
container_aperture_conflicts(const struct mock_container *c, struct dmamap_range aperture)
{
	const struct mock_ranges *ranges = &c->ranges;
	struct dmamap_range below, above;

	if (ranges->n == 0)
		return false;
	if (aperture.start > ranges->v[ranges->n - 1].last || aperture.last < ranges->v[0].start)
		return true;
	below = (struct dmamap_range){ranges->v[0].start, aperture.start - 1};
	if (aperture.start > below.start && mock_table_find(&c->maps, below) != NULL)
		return true;
	above = (struct dmamap_range){aperture.last + 1, ranges->v[ranges->n - 1].last};
	return aperture.last < above.last && mock_table_find(&c->maps, above) != NULL;
}

static bool
container_reserved_conflicts(const struct mock_container *c, const struct mock_group *group)
{
	unsigned int i;

	for (i = 0; i < group->n_resv; i++)
		if (group->resv[i].type != DMAMAP_RESERVED_RELAXABLE &&
			mock_table_find(&c->maps, group->resv[i].range) != NULL)
			return true;
	return false;
}

/** Check an attach, in the order of Linux. @param ranges  out: usable ranges after the attach. */
static int
attach_check(struct vfio_mock *m, struct mock_container *c, const struct mock_group *group,
	struct mock_ranges *ranges)
{
	struct dmamap_range aperture = group->iommu->conf.aperture;
	int rc;

	if (c->va_invalid != 0)
		return m->conf.linux_version >= VFIO_MOCK_LINUX(6, 2) ? -EBUSY : -EINVAL;
	if (container_aperture_conflicts(c, aperture) || container_reserved_conflicts(c, group))
		return -EINVAL;
	rc = mock_ranges_copy(ranges, &c->ranges);
	if (rc < 0)
		return rc;
	mock_ranges_clip(ranges, aperture);
	rc = mock_ranges_exclude_reserved(ranges, group);
	if (rc == 0 && group->iommu->conf.no_msi_isolation && !m->conf.allow_unsafe_interrupts)
		rc = -EPERM;
	return rc;
}

int
mock_type1_attach(struct vfio_mock *m, struct mock_container *c, struct mock_group *group)
{
	bool coherent = group->iommu->conf.enforces_coherency && !group->no_snoop_control;
	struct mock_ranges ranges = {0};
	struct mock_domain *dom;
	int rc;

	rc = mock_call(m, VFIO_MOCK_IOMMU_ATTACH);
	if (rc < 0)
		return rc;
	rc = attach_check(m, c, group, &ranges);
	if (rc < 0)
		goto out;
	dom = domain_for(m, c, group, coherent);
	if (dom == NULL) {
		rc = domain_new(m, c, group, coherent, &dom);
		if (rc < 0)
			goto out;
		TAILQ_INSERT_TAIL(&c->domains, dom, next);
		container_update_page_sizes(c);
	}
	TAILQ_INSERT_TAIL(&dom->groups, group, in_domain);
	group->domain = dom;
	mock_ranges_replace(&c->ranges, &ranges);
out:
	free(ranges.v);
	return rc;
}

static void
map_destroy(struct vfio_mock *m, struct mock_container *c, struct mock_map *map)
{
	struct mock_domain *dom;

	TAILQ_FOREACH(dom, &c->domains, next)
		mock_domain_unmap(m, dom, map);
	mock_table_del(&c->maps, map);
	c->entries_left++;
	if (map->va_invalid)
		c->va_invalid--;
	m->locked -= map->charged;
	free(map);
}

static void
container_unmap_all(struct vfio_mock *m, struct mock_container *c)
{
	struct mock_map *map;

	while ((map = mock_table_from(&c->maps, 0)) != NULL)
		map_destroy(m, c, map);
}

/**
 * Recompute the usable ranges from the remaining groups. Without memory, the narrower ranges stay.
 */
static void
container_refresh_ranges(struct mock_container *c)
{
	struct mock_ranges ranges = {0}, none = {0};
	struct mock_domain *dom;
	struct mock_group *group;

	if (mock_ranges_copy(&ranges, &none) < 0)
		return;
	TAILQ_FOREACH(dom, &c->domains, next)
		mock_ranges_clip(&ranges, dom->iommu->conf.aperture);
	TAILQ_FOREACH(dom, &c->domains, next)
		TAILQ_FOREACH(group, &dom->groups, in_domain)
			if (mock_ranges_exclude_reserved(&ranges, group) < 0)
				goto out;
	mock_ranges_replace(&c->ranges, &ranges);
out:
	free(ranges.v);
}

/**
 * Whether a group that stays reserves the same ranges as one that leaves. The caller compares only
 * the first group that stays.
 */
static bool
group_reserves_same(const struct mock_group *stays, const struct mock_group *group)
{
	unsigned int i;

	if (stays->n_resv != group->n_resv)
		return group->n_resv == 0;
	for (i = 0; i < group->n_resv; i++)
		if (stays->resv[i].type != group->resv[i].type ||
			stays->resv[i].range.start != group->resv[i].range.start ||
			stays->resv[i].range.last != group->resv[i].range.last)
			return false;
	return true;
}

void
mock_type1_detach(struct vfio_mock *m, struct mock_container *c, struct mock_group *group)
{
	struct mock_domain *dom = group->domain;

	TAILQ_REMOVE(&dom->groups, group, in_domain);
	group->domain = NULL;
	if (!TAILQ_EMPTY(&dom->groups) && group_reserves_same(TAILQ_FIRST(&dom->groups), group))
		return;
	if (TAILQ_EMPTY(&dom->groups)) {
		if (TAILQ_FIRST(&c->domains) == dom && TAILQ_NEXT(dom, next) == NULL)
			container_unmap_all(m, c);
		TAILQ_REMOVE(&c->domains, dom, next);
		domain_free(dom);
		container_update_page_sizes(c);
	}
	container_refresh_ranges(c);
}

void
mock_type1_open(struct vfio_mock *m, struct mock_container *c, unsigned long type)
{
	c->type = type;
	c->entries_left = m->conf.entry_limit != 0 ? m->conf.entry_limit : DEFAULT_ENTRIES;
	c->page_sizes = UINT64_MAX & ~(MOCK_PAGE - 1);
}

void
mock_type1_release(struct vfio_mock *m, struct mock_container *c)
{
	container_unmap_all(m, c);
	mock_table_free(&c->maps);
	free(c->ranges.v);
	c->ranges = (struct mock_ranges){0};
	c->type = 0;
	c->page_sizes = 0;
	c->entries_left = 0;
	c->dirty_tracking = false;
}

/* VFIO_IOMMU_MAP_DMA */

/** Fault pages in and charge them, as pinning does. @return 0, -ENOMEM or -EFAULT. */
static int
map_pin(struct vfio_mock *m, struct mock_map *map)
{
	uint64_t len = map->iova.last - map->iova.start + 1;
	int rc = mock_charge(m, len / MOCK_PAGE);

	if (rc < 0)
		return rc;
	map->charged = len / MOCK_PAGE;
	return mock_populate(m, map->va, len, map->prot);
}

/** Create a map that passed all checks, in all domains or none. */
static int
map_new(struct vfio_mock *m, struct mock_container *c, struct dmamap_range iova, uint64_t va,
	uint32_t prot)
{
	struct mock_map *map = calloc(1, sizeof(*map));
	struct mock_domain *dom;
	int rc;

	if (map == NULL)
		return -ENOMEM;
	*map = (struct mock_map){.iova = iova, .va = va, .prot = prot, .process = m->process};
	rc = mock_table_add(&c->maps, map);
	if (rc < 0) {
		free(map);
		return rc;
	}
	c->entries_left--;
	rc = map_pin(m, map);
	if (rc < 0)
		goto undo;
	TAILQ_FOREACH(dom, &c->domains, next) {
		rc = mock_domain_map(m, dom, map);
		if (rc < 0)
			goto undo;
	}
	return 0;
undo:
	map_destroy(m, c, map);
	return rc;
}

static int
map_update_va(
	struct mock_container *c, struct mock_map *map, const struct vfio_iommu_type1_dma_map *arg)
{
	if (map == NULL)
		return -ENOENT;
	if (!map->va_invalid || map->iova.start != arg->iova ||
		map->iova.last - map->iova.start != arg->size - 1)
		return -EINVAL;
	map->va = arg->vaddr;
	map->va_invalid = false;
	c->va_invalid--;
	return 0;
}

/** errno for a range that wraps around; it changed in Linux 6.18. */
static int
wrap_error(const struct vfio_mock *m)
{
	return m->conf.linux_version >= VFIO_MOCK_LINUX(6, 18) ? -EOVERFLOW : -EINVAL;
}

static int
type1_map(struct vfio_mock *m, struct mock_container *c, const struct vfio_iommu_type1_dma_map *arg)
{
	const uint32_t access = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	bool set_va = arg->flags & VFIO_DMA_MAP_FLAG_VADDR;
	struct dmamap_range iova = {arg->iova, arg->iova + arg->size - 1};
	struct mock_map *there;
	uint32_t prot = 0;

	if (arg->argsz < sizeof(*arg) || arg->flags & ~(access | VFIO_DMA_MAP_FLAG_VADDR))
		return -EINVAL;
	if (set_va == !!(arg->flags & access))
		return -EINVAL;
	if (arg->size == 0 ||
		(arg->size | arg->iova | arg->vaddr) & (mock_smallest_page(c->page_sizes) - 1))
		return -EINVAL;
	if (mock_wraps(arg->iova, arg->size) || mock_wraps(arg->vaddr, arg->size))
		return wrap_error(m);

	there = mock_table_find(&c->maps, iova);
	if (set_va)
		return map_update_va(c, there, arg);
	if (there != NULL)
		return -EEXIST;
	if (c->entries_left == 0)
		return -ENOSPC;
	if (!mock_ranges_contain(&c->ranges, iova))
		return -EINVAL;
	if (arg->flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= DMAMAP_READ;
	if (arg->flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= DMAMAP_WRITE;
	return map_new(m, c, iova, arg->vaddr, prot);
}

/* VFIO_IOMMU_UNMAP_DMA */

/** VFIO_DMA_UNMAP_FLAG_VADDR: invalidate the addresses of all maps in the range, or of none. */
static int
maps_invalidate_va(struct mock_container *c, struct dmamap_range r, uint64_t *done)
{
	struct mock_map *first = mock_table_find(&c->maps, r), *map;

	for (map = first; map != NULL && map->iova.start <= r.last;
		map = mock_table_next(&c->maps, map))
		if (map->va_invalid)
			return -EINVAL;
	for (map = first; map != NULL && map->iova.start <= r.last;
		map = mock_table_next(&c->maps, map)) {
		map->va_invalid = true;
		c->va_invalid++;
		*done += map->iova.last - map->iova.start + 1;
	}
	return 0;
}

/** Whether an unmap that a test made fall short stops before this map. */
static bool
short_unmap_stops(const struct vfio_mock *m, bool shortened, uint64_t done, uint64_t len)
{
	return shortened && done + len > m->short_most;
}

static uint64_t
maps_remove(struct vfio_mock *m, struct mock_container *c, struct dmamap_range r)
{
	bool shortened = mock_short_unmap(m);
	bool by_process = m->conf.linux_version < VFIO_MOCK_LINUX(6, 1);
	bool misses_top = m->conf.linux_version < VFIO_MOCK_LINUX(6, 18);
	uint64_t done = 0;
	struct mock_map *map;

	while ((map = mock_table_find(&c->maps, r)) != NULL) {
		uint64_t len = map->iova.last - map->iova.start + 1;

		if (c->type == VFIO_TYPE1_IOMMU && r.start > map->iova.start)
			break;
		if (by_process && map->process != m->process)
			break;
		/* Older kernels compute with the address after the last one, which is 0 here. */
		if (misses_top && map->iova.last == UINT64_MAX)
			break;
		if (short_unmap_stops(m, shortened, done, len))
			break;
		done += len;
		map_destroy(m, c, map);
	}
	return done;
}

static int
unmap_check_range(struct vfio_mock *m, struct mock_container *c,
	const struct vfio_iommu_type1_dma_unmap *arg, struct dmamap_range *r)
{
	uint64_t page = mock_smallest_page(c->page_sizes);

	if (arg->iova & (page - 1))
		return -EINVAL;
	if (arg->flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		*r = DMAMAP_ANYWHERE;
		return arg->iova != 0 || arg->size != 0 ? -EINVAL : 0;
	}
	if (arg->size == 0 || arg->size & (page - 1))
		return -EINVAL;
	if (mock_wraps(arg->iova, arg->size))
		return wrap_error(m);
	*r = (struct dmamap_range){arg->iova, arg->iova + arg->size - 1};
	return c->type == VFIO_TYPE1v2_IOMMU && mock_bisects(&c->maps, *r) ? -EINVAL : 0;
}

static int
type1_unmap(struct vfio_mock *m, struct mock_container *c, struct vfio_iommu_type1_dma_unmap *arg)
{
	const uint32_t known = VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR;
	struct dmamap_range r;
	uint64_t done = 0;
	int rc;

	if (arg->argsz < sizeof(*arg) || arg->flags & ~known)
		return -EINVAL;
	rc = unmap_check_range(m, c, arg, &r);
	if (rc < 0)
		return rc;
	if (arg->flags & VFIO_DMA_UNMAP_FLAG_VADDR)
		rc = maps_invalidate_va(c, r, &done);
	else
		done = maps_remove(m, c, r);
	if (rc == 0)
		arg->size = done;
	return rc;
}

/* VFIO_IOMMU_DIRTY_PAGES */

/** Report all mapped pages as dirty, as Linux does without hardware support. */
static void
dirty_report(const struct mock_container *c, struct dmamap_range r, uint64_t page,
	struct vfio_bitmap *bitmap)
{
	uint64_t *bits = (uint64_t *)(uintptr_t)bitmap->data;
	uint64_t at = r.start, i;

	for (i = 0; i <= (r.last - r.start) / page; i++, at += page)
		if (mock_table_find(&c->maps, (struct dmamap_range){at, at}) != NULL)
			bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static int
dirty_get_bitmap(const struct mock_container *c, struct vfio_iommu_type1_dirty_bitmap *arg)
{
	struct vfio_iommu_type1_dirty_bitmap_get *get = (void *)arg->data;
	uint64_t page = mock_smallest_page(c->page_sizes);
	struct dmamap_range r;

	if (arg->argsz < sizeof(*arg) + sizeof(*get) || mock_wraps(get->iova, get->size))
		return -EINVAL;
	r = (struct dmamap_range){get->iova, get->iova + get->size - 1};
	if (get->bitmap.pgsize != page || get->iova & (page - 1) || get->size == 0 ||
		get->size & (page - 1) || get->bitmap.size < (get->size / page + 7) / 8)
		return -EINVAL;
	if (!c->dirty_tracking || mock_bisects(&c->maps, r))
		return -EINVAL;
	dirty_report(c, r, page, &get->bitmap);
	return 0;
}

static int
type1_dirty_pages(struct mock_container *c, struct vfio_iommu_type1_dirty_bitmap *arg)
{
	if (c->type != VFIO_TYPE1v2_IOMMU)
		return -EACCES;
	if (arg->argsz < sizeof(*arg))
		return -EINVAL;
	switch (arg->flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
		c->dirty_tracking = true;
		return 0;
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		c->dirty_tracking = false;
		return 0;
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		return dirty_get_bitmap(c, arg);
	default:
		return -EINVAL;
	}
}

/* ioctls */

int
mock_type1_extension(const struct mock_container *c, unsigned long extension)
{
	const struct mock_domain *dom;

	switch (extension) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
	case VFIO_UPDATE_VADDR:
		return 1;
	case VFIO_DMA_CC_IOMMU:
		if (c == NULL || c->type == 0)
			return 0;
		TAILQ_FOREACH(dom, &c->domains, next)
			if (!dom->coherent)
				return 0;
		return 1;
	default:
		return 0;
	}
}

int
mock_type1_ioctl(
	struct vfio_mock *m, struct mock_container *c, unsigned long request, unsigned long arg)
{
	void *p = (void *)arg;
	int rc;

	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		rc = mock_call(m, VFIO_MOCK_GET_INFO);
		if (rc < 0)
			return rc;
		return mock_answer_info(p, c->page_sizes, &c->ranges, c->entries_left,
			c->type == VFIO_TYPE1v2_IOMMU ? mock_smallest_page(c->page_sizes) : 0);
	case VFIO_IOMMU_MAP_DMA:
		rc = mock_call(m, VFIO_MOCK_MAP);
		return rc < 0 ? rc : type1_map(m, c, p);
	case VFIO_IOMMU_UNMAP_DMA:
		rc = mock_call(m, VFIO_MOCK_UNMAP);
		return rc < 0 ? rc : type1_unmap(m, c, p);
	case VFIO_IOMMU_DIRTY_PAGES:
		rc = mock_call(m, VFIO_MOCK_DIRTY_PAGES);
		return rc < 0 ? rc : type1_dirty_pages(c, p);
	default:
		return -ENOTTY;
	}
}
