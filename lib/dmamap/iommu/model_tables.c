/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What do the address spaces of the modelled kernel consist of? Maps, usable ranges, page tables,
 * pinned memory.
 */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_common.h>

#include "model_priv.h"

/* Tables of maps */

size_t
mk_table_from(const struct mk_table *table, rte_iova_t iova)
{
	size_t low = 0, high = table->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (table->v[mid]->iova.last < iova)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct mk_map *
mk_table_find(const struct mk_table *table, struct dmamap_range r)
{
	size_t at = mk_table_from(table, r.start);

	return at < table->n && table->v[at]->iova.start <= r.last ? table->v[at] : NULL;
}

int
mk_table_add(struct mk_table *table, struct mk_map *map)
{
	size_t at = mk_table_from(table, map->iova.start);

	if (table->n == table->cap) {
		size_t cap = table->cap == 0 ? 16 : table->cap * 2;
		struct mk_map **v = realloc(table->v, cap * sizeof(*v));

		if (v == NULL)
			return -ENOMEM;
		table->v = v;
		table->cap = cap;
	}
	memmove(&table->v[at + 1], &table->v[at], (table->n - at) * sizeof(*table->v));
	table->v[at] = map;
	table->n++;
	return 0;
}

void
mk_table_del(struct mk_table *table, const struct mk_map *map)
{
	size_t at = mk_table_from(table, map->iova.start);

	if (at == table->n || table->v[at] != map)
		return;
	table->n--;
	memmove(&table->v[at], &table->v[at + 1], (table->n - at) * sizeof(*table->v));
}

void
mk_table_free(struct mk_table *table)
{
	free(table->v);
	*table = (struct mk_table){0};
}

bool
mk_bisects(const struct mk_table *maps, struct dmamap_range r)
{
	const struct mk_map *map;

	map = mk_table_find(maps, (struct dmamap_range){r.start, r.start});
	if (map != NULL && map->iova.start != r.start)
		return true;
	map = mk_table_find(maps, (struct dmamap_range){r.last, r.last});
	return map != NULL && map->iova.last != r.last;
}

/* Usable ranges: the kernel's iova_list */

int
mk_ranges_copy(struct mk_ranges *dst, const struct mk_ranges *src)
{
	/* One more than there are, so that the copy can be split once. */
	dst->v = calloc(src->n + 1, sizeof(*dst->v));
	if (dst->v == NULL)
		return -ENOMEM;
	dst->n = src->n;
	if (src->n != 0)
		memcpy(dst->v, src->v, src->n * sizeof(*dst->v));
	return 0;
}

/** Keep what lies in r. An empty list means "nothing known yet", and becomes r. */
void
mk_ranges_clip(struct mk_ranges *ranges, struct dmamap_range r)
{
	size_t i, kept = 0;

	if (ranges->n == 0) {
		ranges->v[0] = r;
		ranges->n = 1;
		return;
	}
	for (i = 0; i < ranges->n; i++) {
		struct dmamap_range was = ranges->v[i];

		if (was.last < r.start || was.start > r.last)
			continue;
		ranges->v[kept++] = (struct dmamap_range){
			RTE_MAX(was.start, r.start), RTE_MIN(was.last, r.last)};
	}
	ranges->n = kept;
}

/** Take r out, which may split one range. */
int
mk_ranges_exclude(struct mk_ranges *ranges, struct dmamap_range r)
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
mk_ranges_exclude_reserved(struct mk_ranges *ranges, const struct mk_group *group)
{
	unsigned int i;
	int rc;

	for (i = 0; i < group->n_resv; i++) {
		if (group->resv[i].type == DMAMAP_RESERVED_RELAXABLE)
			continue;
		rc = mk_ranges_exclude(ranges, group->resv[i].range);
		if (rc < 0)
			return rc;
	}
	return ranges->n == 0 ? -EINVAL : 0;
}

bool
mk_ranges_contain(const struct mk_ranges *ranges, struct dmamap_range r)
{
	size_t i;

	for (i = 0; i < ranges->n; i++)
		if (r.start >= ranges->v[i].start && r.last <= ranges->v[i].last)
			return true;
	return false;
}

void
mk_ranges_replace(struct mk_ranges *ranges, struct mk_ranges *with)
{
	free(ranges->v);
	*ranges = *with;
	*with = (struct mk_ranges){0};
}

/* Page tables */

uint64_t
mk_smallest_page(uint64_t page_sizes)
{
	return page_sizes & -page_sizes;
}

int
mk_domain_map(struct dmamap_model *m, struct mk_domain *dom, struct mk_map *map)
{
	uint64_t page = mk_smallest_page(dom->iommu->conf.page_sizes);
	int rc = mk_call(m, DMAMAP_MODEL_IOMMU_MAP);

	if (rc < 0)
		return rc;
	if ((map->iova.start | (map->iova.last + 1) | map->va) & (page - 1))
		return -EINVAL;
	return mk_table_add(&dom->table, map);
}

void
mk_domain_unmap(struct dmamap_model *m, struct mk_domain *dom, const struct mk_map *map)
{
	mk_call(m, DMAMAP_MODEL_IOMMU_UNMAP);
	mk_table_del(&dom->table, map);
}

/* Memory */

int
mk_charge(struct dmamap_model *m, uint64_t pages)
{
	uint64_t most = m->conf.memlock / MK_PAGE;

	if (m->conf.memlock != 0 && pages > most - RTE_MIN(m->locked, most))
		return -ENOMEM;
	m->locked += pages;
	return 0;
}

int
mk_populate(const struct dmamap_model *m, uint64_t va, uint64_t len, uint32_t prot)
{
	int advice = prot & DMAMAP_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	uint64_t start = RTE_ALIGN_FLOOR(va, MK_PAGE);

	if (m->conf.no_memory)
		return 0;
	len = RTE_ALIGN_CEIL(va + len, MK_PAGE) - start;
	return madvise((void *)(uintptr_t)start, len, advice) < 0 ? -EFAULT : 0;
}

bool
mk_wraps(uint64_t start, uint64_t size)
{
	return start + size - 1 < start;
}

bool
mk_short_unmap(struct dmamap_model *m)
{
	return m->short_nth != 0 && --m->short_nth == 0;
}

/* VFIO_IOMMU_GET_INFO */

/** Append one capability; `at` is its offset from the start of the information. */
static void *
add_cap(uint8_t *buf, uint32_t *at, uint16_t id, size_t len, struct vfio_info_cap_header **previous)
{
	struct vfio_info_cap_header *cap = (void *)(buf + *at);

	cap->id = id;
	cap->version = 1;
	cap->next = 0;
	if (*previous != NULL)
		(*previous)->next = *at;
	*previous = cap;
	*at += RTE_ALIGN(len, sizeof(uint64_t));
	return cap;
}

int
mk_answer_info(struct vfio_iommu_type1_info *arg, uint64_t page_sizes,
	const struct mk_ranges *ranges, uint32_t entries, uint64_t migration_page)
{
	const size_t ranges_len = sizeof(struct vfio_iommu_type1_info_cap_iova_range) +
		ranges->n * sizeof(struct vfio_iova_range);
	const size_t most = RTE_ALIGN(sizeof(*arg), sizeof(uint64_t)) + ranges_len +
		sizeof(struct vfio_iommu_type1_info_cap_migration) +
		sizeof(struct vfio_iommu_type1_info_dma_avail) + 3 * sizeof(uint64_t);
	struct vfio_iommu_type1_info_cap_iova_range *iova;
	struct vfio_iommu_type1_info_cap_migration *migration;
	struct vfio_iommu_type1_info_dma_avail *avail;
	struct vfio_info_cap_header *previous = NULL;
	uint32_t at = RTE_ALIGN(sizeof(*arg), sizeof(uint64_t)), first = at, room = arg->argsz;
	uint8_t *buf;
	size_t i;

	if (room < offsetof(struct vfio_iommu_type1_info, cap_offset))
		return -EINVAL;
	buf = calloc(1, most);
	if (buf == NULL)
		return -ENOMEM;
	if (migration_page != 0) {
		migration = add_cap(buf, &at, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
			sizeof(*migration), &previous);
		migration->pgsize_bitmap = migration_page;
		migration->max_dirty_bitmap_size = UINT64_C(256) << 20;
	}
	avail = add_cap(buf, &at, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, sizeof(*avail), &previous);
	avail->avail = entries;
	iova = add_cap(buf, &at, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, ranges_len, &previous);
	iova->nr_iovas = ranges->n;
	for (i = 0; i < ranges->n; i++) {
		iova->iova_ranges[i].start = ranges->v[i].start;
		iova->iova_ranges[i].end = ranges->v[i].last;
	}

	arg->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	arg->iova_pgsizes = page_sizes;
	if (room >= offsetof(struct vfio_iommu_type1_info, cap_offset) + sizeof(arg->cap_offset))
		arg->cap_offset = room < at ? 0 : first;
	if (room < at)
		arg->argsz = at;
	else
		memcpy((uint8_t *)arg + first, buf + first, at - first);
	free(buf);
	return 0;
}
