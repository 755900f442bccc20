/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does the modelled kernel's type1 driver answer? Attach, map, unmap, info, dirty pages.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "model_priv.h"

#define DEFAULT_ENTRIES 65535

/* Domains */

static void
update_page_sizes(struct mk_container *c)
{
	const struct mk_domain *dom;

	c->page_sizes = UINT64_MAX;
	TAILQ_FOREACH(dom, &c->domains, next)
		c->page_sizes &= dom->iommu->conf.page_sizes;
	/* An IOMMU with smaller pages than the system's is asked for the system's at least. */
	if (c->page_sizes & (MK_PAGE - 1))
		c->page_sizes = (c->page_sizes & ~(MK_PAGE - 1)) | MK_PAGE;
}

static void
domain_free(struct mk_domain *dom)
{
	mk_table_free(&dom->table);
	free(dom);
}

/** Page tables of its own for a group, with everything in them that the container maps. */
static int
domain_new(struct dmamap_model *m, struct mk_container *c, struct mk_group *group, bool coherent,
	struct mk_domain **out)
{
	struct mk_domain *dom = calloc(1, sizeof(*dom));
	size_t i;
	int rc = 0;

	if (dom == NULL)
		return -ENOMEM;
	TAILQ_INIT(&dom->groups);
	dom->iommu = group->iommu;
	dom->coherent = coherent;
	for (i = 0; i < c->maps.n && rc == 0; i++)
		rc = mk_domain_map(m, dom, c->maps.v[i]);
	if (rc < 0) {
		domain_free(dom);
		return rc;
	}
	*out = dom;
	return 0;
}

static struct mk_domain *
domain_for(const struct dmamap_model *m, struct mk_container *c, const struct mk_group *group,
	bool coherent)
{
	struct mk_domain *dom;

	if (m->conf.never_share)
		return NULL;
	TAILQ_FOREACH(dom, &c->domains, next)
		if (dom->iommu == group->iommu && dom->coherent == coherent)
			return dom;
	return NULL;
}

/** Does a map lie outside of the aperture, or is the aperture disjoint from the ranges so far? */
static bool
aperture_conflicts(const struct mk_container *c, struct dmamap_range aperture)
{
	const struct mk_ranges *ranges = &c->ranges;
	struct dmamap_range below, above;

	if (ranges->n == 0)
		return false;
	if (aperture.start > ranges->v[ranges->n - 1].last || aperture.last < ranges->v[0].start)
		return true;
	below = (struct dmamap_range){ranges->v[0].start, aperture.start - 1};
	if (aperture.start > below.start && mk_table_find(&c->maps, below) != NULL)
		return true;
	above = (struct dmamap_range){aperture.last + 1, ranges->v[ranges->n - 1].last};
	return aperture.last < above.last && mk_table_find(&c->maps, above) != NULL;
}

static bool
reserved_conflicts(const struct mk_container *c, const struct mk_group *group)
{
	unsigned int i;

	for (i = 0; i < group->n_resv; i++)
		if (group->resv[i].type != DMAMAP_RESERVED_RELAXABLE &&
			mk_table_find(&c->maps, group->resv[i].range) != NULL)
			return true;
	return false;
}

/** The checks of an attach, in Linux's order. @return 0: *ranges are those to come. */
static int
attach_check(struct dmamap_model *m, struct mk_container *c, const struct mk_group *group,
	struct mk_ranges *ranges)
{
	struct dmamap_range aperture = group->iommu->conf.aperture;
	int rc;

	if (c->va_invalid != 0)
		return m->conf.linux_version >= DMAMAP_MODEL_LINUX(6, 2) ? -EBUSY : -EINVAL;
	if (aperture_conflicts(c, aperture) || reserved_conflicts(c, group))
		return -EINVAL;
	rc = mk_ranges_copy(ranges, &c->ranges);
	if (rc < 0)
		return rc;
	mk_ranges_clip(ranges, aperture);
	rc = mk_ranges_exclude_reserved(ranges, group);
	if (rc == 0 && group->iommu->conf.no_msi_isolation && !m->conf.allow_unsafe_interrupts)
		rc = -EPERM;
	return rc;
}

int
mk_type1_attach(struct dmamap_model *m, struct mk_container *c, struct mk_group *group)
{
	bool coherent = group->iommu->conf.enforces_coherency && !group->no_snoop_control;
	struct mk_ranges ranges = {0};
	struct mk_domain *dom;
	int rc;

	rc = mk_call(m, DMAMAP_MODEL_IOMMU_ATTACH);
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
		update_page_sizes(c);
	}
	TAILQ_INSERT_TAIL(&dom->groups, group, in_domain);
	group->domain = dom;
	mk_ranges_replace(&c->ranges, &ranges);
out:
	free(ranges.v);
	return rc;
}

static void
map_destroy(struct dmamap_model *m, struct mk_container *c, struct mk_map *map)
{
	struct mk_domain *dom;

	TAILQ_FOREACH(dom, &c->domains, next)
		mk_domain_unmap(m, dom, map);
	mk_table_del(&c->maps, map);
	c->entries_left++;
	if (map->va_invalid)
		c->va_invalid--;
	m->locked -= map->charged;
	free(map);
}

static void
unmap_everything(struct dmamap_model *m, struct mk_container *c)
{
	while (c->maps.n > 0)
		map_destroy(m, c, c->maps.v[c->maps.n - 1]);
}

/** What the groups that are left allow. Without memory, the narrower ranges stay in force. */
static void
refresh_ranges(struct mk_container *c)
{
	struct mk_ranges ranges = {0}, none = {0};
	struct mk_domain *dom;
	struct mk_group *group;

	if (mk_ranges_copy(&ranges, &none) < 0)
		return;
	TAILQ_FOREACH(dom, &c->domains, next)
		mk_ranges_clip(&ranges, dom->iommu->conf.aperture);
	TAILQ_FOREACH(dom, &c->domains, next)
		TAILQ_FOREACH(group, &dom->groups, in_domain)
			if (mk_ranges_exclude_reserved(&ranges, group) < 0)
				goto out;
	mk_ranges_replace(&c->ranges, &ranges);
out:
	free(ranges.v);
}

void
mk_type1_detach(struct dmamap_model *m, struct mk_container *c, struct mk_group *group)
{
	struct mk_domain *dom = group->domain;

	TAILQ_REMOVE(&dom->groups, group, in_domain);
	group->domain = NULL;
	if (TAILQ_EMPTY(&dom->groups)) {
		if (TAILQ_FIRST(&c->domains) == dom && TAILQ_NEXT(dom, next) == NULL)
			unmap_everything(m, c);
		TAILQ_REMOVE(&c->domains, dom, next);
		domain_free(dom);
		update_page_sizes(c);
	}
	refresh_ranges(c);
}

void
mk_type1_open(struct dmamap_model *m, struct mk_container *c, unsigned long type)
{
	c->type = type;
	c->entries_left = m->conf.entry_limit != 0 ? m->conf.entry_limit : DEFAULT_ENTRIES;
	c->page_sizes = UINT64_MAX & ~(MK_PAGE - 1);
}

void
mk_type1_release(struct dmamap_model *m, struct mk_container *c)
{
	unmap_everything(m, c);
	mk_table_free(&c->maps);
	free(c->ranges.v);
	c->ranges = (struct mk_ranges){0};
	c->type = 0;
	c->page_sizes = 0;
	c->entries_left = 0;
	c->dirty_tracking = false;
}

/* VFIO_IOMMU_MAP_DMA */

/** Fault the pages in and charge them, as pinning does. @return 0, -ENOMEM or -EFAULT. */
static int
pin(struct dmamap_model *m, struct mk_map *map)
{
	uint64_t len = map->iova.last - map->iova.start + 1;
	int rc = mk_charge(m, len / MK_PAGE);

	if (rc < 0)
		return rc;
	map->charged = len / MK_PAGE;
	return mk_populate(m, map->va, len, map->prot);
}

/** A map that passed all checks, into all domains or none. */
static int
map_new(struct dmamap_model *m, struct mk_container *c, struct dmamap_range iova, uint64_t va,
	uint32_t prot)
{
	struct mk_map *map = calloc(1, sizeof(*map));
	struct mk_domain *dom;
	int rc;

	if (map == NULL)
		return -ENOMEM;
	*map = (struct mk_map){.iova = iova, .va = va, .prot = prot, .process = m->process};
	rc = mk_table_add(&c->maps, map);
	if (rc < 0) {
		free(map);
		return rc;
	}
	c->entries_left--;
	rc = pin(m, map);
	if (rc < 0)
		goto undo;
	TAILQ_FOREACH(dom, &c->domains, next) {
		rc = mk_domain_map(m, dom, map);
		if (rc < 0)
			goto undo;
	}
	return 0;
undo:
	map_destroy(m, c, map);
	return rc;
}

static int
update_va(struct mk_container *c, struct mk_map *map, const struct vfio_iommu_type1_dma_map *arg)
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

/** Linux's answer to a range that wraps round: another errno from 6.18 on. */
static int
wrap_error(const struct dmamap_model *m)
{
	return m->conf.linux_version >= DMAMAP_MODEL_LINUX(6, 18) ? -EOVERFLOW : -EINVAL;
}

static int
do_map(struct dmamap_model *m, struct mk_container *c, const struct vfio_iommu_type1_dma_map *arg)
{
	const uint32_t access = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	bool set_va = arg->flags & VFIO_DMA_MAP_FLAG_VADDR;
	struct dmamap_range iova = {arg->iova, arg->iova + arg->size - 1};
	struct mk_map *there;
	uint32_t prot = 0;

	if (arg->argsz < sizeof(*arg) || arg->flags & ~(access | VFIO_DMA_MAP_FLAG_VADDR))
		return -EINVAL;
	if (set_va == !!(arg->flags & access))
		return -EINVAL;
	if (arg->size == 0 ||
		(arg->size | arg->iova | arg->vaddr) & (mk_smallest_page(c->page_sizes) - 1))
		return -EINVAL;
	if (mk_wraps(arg->iova, arg->size) || mk_wraps(arg->vaddr, arg->size))
		return wrap_error(m);

	there = mk_table_find(&c->maps, iova);
	if (set_va)
		return update_va(c, there, arg);
	if (there != NULL)
		return -EEXIST;
	if (c->entries_left == 0)
		return -ENOSPC;
	if (!mk_ranges_contain(&c->ranges, iova))
		return -EINVAL;
	if (arg->flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= DMAMAP_READ;
	if (arg->flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= DMAMAP_WRITE;
	return map_new(m, c, iova, arg->vaddr, prot);
}

/* VFIO_IOMMU_UNMAP_DMA */

/** VFIO_DMA_UNMAP_FLAG_VADDR: addresses become invalid, of all maps in the range or of none. */
static int
invalidate_va(struct mk_container *c, struct dmamap_range r, uint64_t *done)
{
	size_t first = mk_table_from(&c->maps, r.start), i;
	struct mk_map *map;

	for (i = first; i < c->maps.n && c->maps.v[i]->iova.start <= r.last; i++)
		if (c->maps.v[i]->va_invalid)
			return -EINVAL;
	for (i = first; i < c->maps.n && c->maps.v[i]->iova.start <= r.last; i++) {
		map = c->maps.v[i];
		map->va_invalid = true;
		c->va_invalid++;
		*done += map->iova.last - map->iova.start + 1;
	}
	return 0;
}

/** May this map still go, by what a test wished for? */
static bool
short_unmap_stops(const struct dmamap_model *m, bool shortened, uint64_t done, uint64_t len)
{
	return shortened && done + len > m->short_most;
}

static uint64_t
remove_maps(struct dmamap_model *m, struct mk_container *c, struct dmamap_range r)
{
	bool shortened = mk_short_unmap(m);
	bool by_process = m->conf.linux_version < DMAMAP_MODEL_LINUX(6, 1);
	bool misses_top = m->conf.linux_version < DMAMAP_MODEL_LINUX(6, 18);
	uint64_t done = 0;
	size_t at;

	while ((at = mk_table_from(&c->maps, r.start)) < c->maps.n) {
		struct mk_map *map = c->maps.v[at];
		uint64_t len = map->iova.last - map->iova.start + 1;

		if (map->iova.start > r.last)
			break;
		if (c->type == VFIO_TYPE1_IOMMU && r.start > map->iova.start)
			break;
		if (by_process && map->process != m->process)
			break;
		/* Older kernels compute with one past the last address, which is 0 here. */
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
unmap_range(struct dmamap_model *m, struct mk_container *c,
	const struct vfio_iommu_type1_dma_unmap *arg, struct dmamap_range *r)
{
	uint64_t page = mk_smallest_page(c->page_sizes);

	if (arg->iova & (page - 1))
		return -EINVAL;
	if (arg->flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		*r = DMAMAP_ANYWHERE;
		return arg->iova != 0 || arg->size != 0 ? -EINVAL : 0;
	}
	if (arg->size == 0 || arg->size & (page - 1))
		return -EINVAL;
	if (mk_wraps(arg->iova, arg->size))
		return wrap_error(m);
	*r = (struct dmamap_range){arg->iova, arg->iova + arg->size - 1};
	return c->type == VFIO_TYPE1v2_IOMMU && mk_bisects(&c->maps, *r) ? -EINVAL : 0;
}

static int
do_unmap(struct dmamap_model *m, struct mk_container *c, struct vfio_iommu_type1_dma_unmap *arg)
{
	const uint32_t known = VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR;
	struct dmamap_range r;
	uint64_t done = 0;
	int rc;

	if (arg->argsz < sizeof(*arg) || arg->flags & ~known)
		return -EINVAL;
	rc = unmap_range(m, c, arg, &r);
	if (rc < 0)
		return rc;
	if (arg->flags & VFIO_DMA_UNMAP_FLAG_VADDR)
		rc = invalidate_va(c, r, &done);
	else
		done = remove_maps(m, c, r);
	if (rc == 0)
		arg->size = done;
	return rc;
}

/* VFIO_IOMMU_DIRTY_PAGES */

/** Every page that a device may have written counts as dirty, as it does without hardware's help.
 */
static void
report_dirty(const struct mk_container *c, struct dmamap_range r, uint64_t page,
	struct vfio_bitmap *bitmap)
{
	uint64_t *bits = (uint64_t *)(uintptr_t)bitmap->data;
	uint64_t at = r.start, i;

	for (i = 0; i <= (r.last - r.start) / page; i++, at += page)
		if (mk_table_find(&c->maps, (struct dmamap_range){at, at}) != NULL)
			bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static int
get_dirty(const struct mk_container *c, struct vfio_iommu_type1_dirty_bitmap *arg)
{
	struct vfio_iommu_type1_dirty_bitmap_get *get = (void *)arg->data;
	uint64_t page = mk_smallest_page(c->page_sizes);
	struct dmamap_range r;

	if (arg->argsz < sizeof(*arg) + sizeof(*get) || mk_wraps(get->iova, get->size))
		return -EINVAL;
	r = (struct dmamap_range){get->iova, get->iova + get->size - 1};
	if (get->bitmap.pgsize != page || get->iova & (page - 1) || get->size == 0 ||
		get->size & (page - 1) || get->bitmap.size < (get->size / page + 7) / 8)
		return -EINVAL;
	if (!c->dirty_tracking || mk_bisects(&c->maps, r))
		return -EINVAL;
	report_dirty(c, r, page, &get->bitmap);
	return 0;
}

static int
do_dirty(struct mk_container *c, struct vfio_iommu_type1_dirty_bitmap *arg)
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
		return get_dirty(c, arg);
	default:
		return -EINVAL;
	}
}

/* Calls */

int
mk_type1_extension(const struct mk_container *c, unsigned long extension)
{
	const struct mk_domain *dom;

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
mk_type1_ioctl(
	struct dmamap_model *m, struct mk_container *c, unsigned long request, unsigned long arg)
{
	void *p = (void *)arg;
	int rc;

	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		rc = mk_call(m, DMAMAP_MODEL_GET_INFO);
		if (rc < 0)
			return rc;
		return mk_answer_info(p, c->page_sizes, &c->ranges, c->entries_left,
			c->type == VFIO_TYPE1v2_IOMMU ? mk_smallest_page(c->page_sizes) : 0);
	case VFIO_IOMMU_MAP_DMA:
		rc = mk_call(m, DMAMAP_MODEL_MAP);
		return rc < 0 ? rc : do_map(m, c, p);
	case VFIO_IOMMU_UNMAP_DMA:
		rc = mk_call(m, DMAMAP_MODEL_UNMAP);
		return rc < 0 ? rc : do_unmap(m, c, p);
	case VFIO_IOMMU_DIRTY_PAGES:
		rc = mk_call(m, DMAMAP_MODEL_DIRTY_PAGES);
		return rc < 0 ? rc : do_dirty(c, p);
	default:
		return -ENOTTY;
	}
}
