/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Parts that type1 and iommufd share in the mock kernel: usable ranges, page tables, locked memory,
 * and the answer to VFIO_IOMMU_GET_INFO.
 */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dm_util.h"
#include "mock_priv.h"

bool
mock_bisects(const struct mock_table *maps, struct dmamap_range r)
{
	const struct mock_map *map;

	map = mock_table_find(maps, (struct dmamap_range){r.start, r.start});
	if (map != NULL && map->iova.start != r.start)
		return true;
	map = mock_table_find(maps, (struct dmamap_range){r.last, r.last});
	return map != NULL && map->iova.last != r.last;
}

/* Usable ranges (iova_list in vfio_iommu_type1.c) */

int
mock_ranges_copy(struct mock_ranges *dst, const struct mock_ranges *src)
{
	/* One spare slot, so that the copy can be split once. */
	dst->v = calloc(src->n + 1, sizeof(*dst->v));
	if (dst->v == NULL)
		return -ENOMEM;
	dst->n = src->n;
	if (src->n != 0)
		memcpy(dst->v, src->v, src->n * sizeof(*dst->v));
	return 0;
}

void
mock_ranges_clip(struct mock_ranges *ranges, struct dmamap_range r)
{
	size_t i, n = 0;

	if (ranges->n == 0) {
		ranges->v[0] = r;
		ranges->n = 1;
		return;
	}
	for (i = 0; i < ranges->n; i++) {
		struct dmamap_range was = ranges->v[i];

		if (was.last < r.start || was.start > r.last)
			continue;
		ranges->v[n++] =
			(struct dmamap_range){DM_MAX(was.start, r.start), DM_MIN(was.last, r.last)};
	}
	ranges->n = n;
}

int
mock_ranges_exclude(struct mock_ranges *ranges, struct dmamap_range r)
{
	struct dmamap_range *v = calloc(ranges->n + 1, sizeof(*v));
	size_t i, n = 0;

	if (v == NULL)
		return -ENOMEM;
	for (i = 0; i < ranges->n; i++) {
		struct dmamap_range was = ranges->v[i];

		if (was.last < r.start || was.start > r.last) {
			v[n++] = was;
			continue;
		}
		if (was.start < r.start)
			v[n++] = (struct dmamap_range){was.start, r.start - 1};
		if (was.last > r.last)
			v[n++] = (struct dmamap_range){r.last + 1, was.last};
	}
	free(ranges->v);
	ranges->v = v;
	ranges->n = n;
	return 0;
}

int
mock_ranges_exclude_reserved(struct mock_ranges *ranges, const struct mock_group *group)
{
	unsigned int i;
	int rc;

	for (i = 0; i < group->n_resv; i++) {
		if (group->resv[i].type == DMAMAP_RESERVED_RELAXABLE)
			continue;
		rc = mock_ranges_exclude(ranges, group->resv[i].range);
		if (rc < 0)
			return rc;
	}
	return ranges->n == 0 ? -EINVAL : 0;
}

bool
mock_ranges_contain(const struct mock_ranges *ranges, struct dmamap_range r)
{
	size_t i;

	for (i = 0; i < ranges->n; i++)
		if (r.start >= ranges->v[i].start && r.last <= ranges->v[i].last)
			return true;
	return false;
}

void
mock_ranges_replace(struct mock_ranges *ranges, struct mock_ranges *with)
{
	free(ranges->v);
	*ranges = *with;
	*with = (struct mock_ranges){0};
}

/* Page tables */

uint64_t
mock_smallest_page(uint64_t page_sizes)
{
	return page_sizes & -page_sizes;
}

int
mock_domain_map(struct vfio_mock *m, struct mock_domain *dom, struct mock_map *map)
{
	uint64_t page = mock_smallest_page(dom->iommu->conf.page_sizes);
	int rc = mock_call(m, VFIO_MOCK_IOMMU_MAP);

	if (rc < 0)
		return rc;
	if ((map->iova.start | (map->iova.last + 1) | map->va) & (page - 1))
		return -EINVAL;
	return mock_table_add(&dom->table, map);
}

void
mock_domain_unmap(struct vfio_mock *m, struct mock_domain *dom, const struct mock_map *map)
{
	mock_call(m, VFIO_MOCK_IOMMU_UNMAP);
	mock_table_del(&dom->table, map);
}

/* Locked memory */

bool
mock_may_charge(const struct vfio_mock *m, uint64_t pages)
{
	uint64_t most = m->conf.memlock / MOCK_PAGE;

	return m->conf.memlock == 0 || pages <= most - DM_MIN(m->locked, most);
}

int
mock_charge(struct vfio_mock *m, uint64_t pages)
{
	if (!mock_may_charge(m, pages))
		return -ENOMEM;
	m->locked += pages;
	return 0;
}

int
mock_fault_in(uint64_t va, uint64_t len, bool writable)
{
	int advice = writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	uint64_t start = DM_ALIGN_FLOOR(va, MOCK_PAGE);

	len = DM_ALIGN_CEIL(va + len, MOCK_PAGE) - start;
	return madvise((void *)(uintptr_t)start, len, advice) < 0 ? -EFAULT : 0;
}

int
mock_populate(const struct vfio_mock *m, uint64_t va, uint64_t len, uint32_t prot)
{
	bool writable = prot & DMAMAP_WRITE;

	if (m->conf.no_memory ||
		(va >= m->present_va && len <= m->present_len &&
			va - m->present_va <= m->present_len - len &&
			writable == m->present_writable))
		return 0;
	return mock_fault_in(va, len, writable);
}

bool
mock_wraps(uint64_t start, uint64_t size)
{
	return start + size - 1 < start;
}

bool
mock_short_unmap(struct vfio_mock *m)
{
	return m->short_nth != 0 && --m->short_nth == 0;
}

/* VFIO_IOMMU_GET_INFO */

/** Append a capability. @param at  in/out: offset of the end, from the start of the information. */
static void *
info_add_cap(
	uint8_t *buf, uint32_t *at, uint16_t id, size_t len, struct vfio_info_cap_header **previous)
{
	struct vfio_info_cap_header *cap = (void *)(buf + *at);

	cap->id = id;
	cap->version = 1;
	cap->next = 0;
	if (*previous != NULL)
		(*previous)->next = *at;
	*previous = cap;
	*at += DM_ALIGN_CEIL(len, sizeof(uint64_t));
	return cap;
}

int
mock_answer_info(struct vfio_iommu_type1_info *arg, uint64_t page_sizes,
	const struct mock_ranges *ranges, uint32_t entries, uint64_t migration_page)
{
	const size_t ranges_len = sizeof(struct vfio_iommu_type1_info_cap_iova_range) +
		ranges->n * sizeof(struct vfio_iova_range);
	const size_t most = DM_ALIGN_CEIL(sizeof(*arg), sizeof(uint64_t)) + ranges_len +
		sizeof(struct vfio_iommu_type1_info_cap_migration) +
		sizeof(struct vfio_iommu_type1_info_dma_avail) + 3 * sizeof(uint64_t);
	struct vfio_iommu_type1_info_cap_iova_range *iova;
	struct vfio_iommu_type1_info_cap_migration *migration;
	struct vfio_iommu_type1_info_dma_avail *avail;
	struct vfio_info_cap_header *previous = NULL;
	uint32_t at = DM_ALIGN_CEIL(sizeof(*arg), sizeof(uint64_t)), first = at, argsz = arg->argsz;
	uint8_t *buf;
	size_t i;

	if (argsz < offsetof(struct vfio_iommu_type1_info, cap_offset))
		return -EINVAL;
	buf = calloc(1, most);
	if (buf == NULL)
		return -ENOMEM;
	if (migration_page != 0) {
		migration = info_add_cap(buf, &at, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
			sizeof(*migration), &previous);
		migration->pgsize_bitmap = migration_page;
		migration->max_dirty_bitmap_size = UINT64_C(256) << 20;
	}
	avail = info_add_cap(buf, &at, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, sizeof(*avail), &previous);
	avail->avail = entries;
	iova = info_add_cap(buf, &at, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, ranges_len, &previous);
	iova->nr_iovas = ranges->n;
	for (i = 0; i < ranges->n; i++) {
		iova->iova_ranges[i].start = ranges->v[i].start;
		iova->iova_ranges[i].end = ranges->v[i].last;
	}

	arg->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	arg->iova_pgsizes = page_sizes;
	if (argsz >= offsetof(struct vfio_iommu_type1_info, cap_offset) + sizeof(arg->cap_offset))
		arg->cap_offset = argsz < at ? 0 : first;
	if (argsz < at)
		arg->argsz = at;
	else
		memcpy((uint8_t *)arg + first, buf + first, at - first);
	free(buf);
	return 0;
}
