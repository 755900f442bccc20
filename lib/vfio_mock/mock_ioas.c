/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * An IOAS of the mock kernel: areas (its maps), the memory that they pin, and its page tables.
 * Called by the files of iommufd: mock_ctx.c, mock_cdev.c, mock_compat.c, mock_iommufd.c.
 *
 * Invariants: every set of page tables of an IOAS holds the same areas. A page is charged once per
 * struct mock_pages, however many areas map it.
 */

#include <errno.h>
#include <stdlib.h>

#include "dm_util.h"
#include "mock_priv.h"

/* Memory of a map, shared with copies of the map */

static uint64_t
area_len(const struct mock_map *area)
{
	return area->iova.last - area->iova.start + 1;
}

/** Number of pages that are pinned by areas in page tables, each counted once. */
static uint64_t
pages_held(const struct mock_pages *pages)
{
	uint64_t held = 0, next = 0, first, end;
	const struct mock_map *area;

	TAILQ_FOREACH(area, &pages->areas, in_pages) {
		if (!area->filled)
			continue;
		first = DM_MAX(area->va / MOCK_PAGE, next);
		end = (area->va + area_len(area) - 1) / MOCK_PAGE + 1;
		if (end > first)
			held += end - first;
		next = DM_MAX(next, end);
	}
	return held;
}

/** Adjust the charge to the pages that are pinned now. @return 0 or -ENOMEM. */
static int
pages_charge(struct vfio_mock *m, struct mock_pages *pages)
{
	uint64_t held = pages_held(pages);
	int rc;

	if (held > pages->charged) {
		rc = mock_charge(m, held - pages->charged);
		if (rc < 0)
			return rc;
	} else {
		m->locked -= pages->charged - held;
	}
	pages->charged = held;
	return 0;
}

static void
pages_put(struct mock_pages *pages)
{
	if (--pages->refs == 0)
		free(pages);
}

/** Create the memory object of a map. @return 0; -EINVAL; -EOVERFLOW; -ENOMEM. */
static int
pages_new(uint64_t va, uint64_t len, bool writable, struct mock_pages **out)
{
	struct mock_pages *pages;

	if (len == 0 || len > UINT64_MAX - MOCK_PAGE)
		return -EINVAL;
	if (va + len < va)
		return -EOVERFLOW;
	pages = calloc(1, sizeof(*pages));
	if (pages == NULL)
		return -ENOMEM;
	pages->refs = 1;
	pages->va = va;
	pages->len = len;
	pages->writable = writable;
	TAILQ_INIT(&pages->areas);
	*out = pages;
	return 0;
}

/* Areas: the maps of an IOAS */

static struct mock_map *
area_new(struct vfio_mock *m, struct mock_pages *pages, struct dmamap_range iova, uint64_t va,
	uint32_t prot)
{
	struct mock_map *area = calloc(1, sizeof(*area)), *at;

	if (area == NULL)
		return NULL;
	*area = (struct mock_map){
		.iova = iova, .va = va, .prot = prot, .process = m->process, .pages = pages};
	pages->refs++;
	TAILQ_FOREACH(at, &pages->areas, in_pages)
		if (at->va > va)
			break;
	if (at != NULL)
		TAILQ_INSERT_BEFORE(at, area, in_pages);
	else
		TAILQ_INSERT_TAIL(&pages->areas, area, in_pages);
	return area;
}

static void
area_free(struct mock_map *area)
{
	TAILQ_REMOVE(&area->pages->areas, area, in_pages);
	pages_put(area->pages);
	free(area);
}

/** Pin an area's memory. @return 0; -ENOMEM: over the limit; -EFAULT: no memory there. */
static int
area_pin(struct vfio_mock *m, struct mock_map *area)
{
	int rc;

	area->filled = true;
	rc = pages_charge(m, area->pages);
	if (rc == 0)
		rc = mock_populate(m, area->va, area_len(area), area->prot);
	if (rc < 0) {
		area->filled = false;
		pages_charge(m, area->pages);
	}
	return rc;
}

static void
area_unpin(struct vfio_mock *m, struct mock_map *area)
{
	area->filled = false;
	pages_charge(m, area->pages);
}

/** Remove an area from all page tables, and unpin it. */
static void
area_unfill(struct vfio_mock *m, struct mock_ioas *ioas, struct mock_map *area)
{
	struct mock_domain *dom;

	if (!area->filled)
		return;
	TAILQ_FOREACH(dom, &ioas->domains, next)
		mock_domain_unmap(m, dom, area);
	area_unpin(m, area);
}

/** Add an area to all page tables, or to none. Without page tables, nothing is pinned. */
static int
area_fill(struct vfio_mock *m, struct mock_ioas *ioas, struct mock_map *area)
{
	struct mock_domain *dom;
	int rc;

	if (TAILQ_EMPTY(&ioas->domains))
		return 0;
	rc = area_pin(m, area);
	if (rc < 0)
		return rc;
	TAILQ_FOREACH(dom, &ioas->domains, next) {
		rc = mock_domain_map(m, dom, area);
		if (rc < 0) {
			area_unfill(m, ioas, area);
			return rc;
		}
	}
	return 0;
}

static void
area_destroy(struct vfio_mock *m, struct mock_ioas *ioas, struct mock_map *area)
{
	area_unfill(m, ioas, area);
	mock_table_del(&ioas->areas, area);
	area_free(area);
}

/* Usable ranges */

struct mock_ioas *
mock_ioas_new(struct mock_ctx *ctx)
{
	struct mock_ioas *ioas = calloc(1, sizeof(*ioas));

	if (ioas == NULL)
		return NULL;
	TAILQ_INIT(&ioas->domains);
	ioas->ctx = ctx;
	return ioas;
}

void
mock_ioas_free(struct vfio_mock *m, struct mock_ioas *ioas)
{
	struct mock_map *area;

	while ((area = mock_table_from(&ioas->areas, 0)) != NULL)
		area_destroy(m, ioas, area);
	mock_table_free(&ioas->areas);
	free(ioas->allowed.v);
	free(ioas);
}

/**
 * Whether reserved range i of a device applies to an IOAS: the device is attached to it, and the
 * range is not relaxable.
 */
static bool
device_reserves(const struct mock_device *dev, const struct mock_ioas *ioas, unsigned int i)
{
	return dev->attached && dev->group->domain != NULL && dev->group->domain->ioas == ioas &&
		i < dev->group->n_resv && dev->group->resv[i].type != DMAMAP_RESERVED_RELAXABLE;
}

/** Remove all addresses outside an aperture. @return 0 or -ENOMEM. */
static int
ranges_clip_to(struct mock_ranges *out, struct dmamap_range aperture)
{
	int rc = 0;

	if (aperture.start != 0)
		rc = mock_ranges_exclude(out, (struct dmamap_range){0, aperture.start - 1});
	if (rc == 0 && aperture.last != UINT64_MAX)
		rc = mock_ranges_exclude(out, (struct dmamap_range){aperture.last + 1, UINT64_MAX});
	return rc;
}

int
mock_ioas_usable(struct vfio_mock *m, const struct mock_ioas *ioas, struct mock_ranges *out)
{
	const struct mock_ranges none = {0};
	const struct mock_domain *dom;
	const struct mock_device *dev;
	unsigned int i;
	int rc;

	rc = mock_ranges_copy(out, &none);
	if (rc < 0)
		return rc;
	mock_ranges_clip(out, DMAMAP_ANYWHERE);
	TAILQ_FOREACH(dom, &ioas->domains, next)
		if (rc == 0)
			rc = ranges_clip_to(out, dom->iommu->conf.aperture);
	TAILQ_FOREACH(dev, &m->devices, next)
		for (i = 0; i < dev->group->n_resv && rc == 0; i++)
			if (device_reserves(dev, ioas, i))
				rc = mock_ranges_exclude(out, dev->group->resv[i].range);
	if (rc < 0)
		free(out->v);
	return rc;
}

uint64_t
mock_ioas_alignment(const struct mock_ioas *ioas)
{
	uint64_t alignment = ioas->base_pages ? MOCK_PAGE : 1;
	const struct mock_domain *dom;

	TAILQ_FOREACH(dom, &ioas->domains, next)
		alignment = DM_MAX(alignment, mock_smallest_page(dom->iommu->conf.page_sizes));
	return alignment;
}

static bool
ranges_overlap(const struct mock_ranges *ranges, struct dmamap_range r)
{
	size_t i;

	for (i = 0; i < ranges->n; i++)
		if (ranges->v[i].start <= r.last && r.start <= ranges->v[i].last)
			return true;
	return false;
}

int
mock_ioas_check_free(const struct mock_ioas *ioas, struct dmamap_range r)
{
	return mock_table_find(&ioas->areas, r) != NULL || ranges_overlap(&ioas->allowed, r)
		? -EADDRINUSE
		: 0;
}

/* Mapping */

/**
 * Ranges where automatic maps may lie: usable, allowed and not mapped. Excludes the first and the
 * last page.
 */
static int
ioas_unmapped_ranges(struct vfio_mock *m, const struct mock_ioas *ioas, struct mock_ranges *out)
{
	struct dmamap_range hole = {MOCK_PAGE, UINT64_MAX - MOCK_PAGE};
	const struct mock_map *area;
	size_t i;
	int rc = mock_ioas_usable(m, ioas, out);

	if (rc < 0)
		return rc;
	rc = ranges_clip_to(out, hole);
	for (i = 0; i < ioas->allowed.n && rc == 0; i++) {
		hole.last = ioas->allowed.v[i].start - 1;
		if (ioas->allowed.v[i].start > hole.start)
			rc = mock_ranges_exclude(out, hole);
		hole.start = ioas->allowed.v[i].last + 1;
	}
	hole.last = UINT64_MAX;
	if (ioas->allowed.n > 0 && hole.start != 0 && rc == 0)
		rc = mock_ranges_exclude(out, hole);
	MOCK_TABLE_FOREACH(area, &ioas->areas)
		if (rc == 0)
			rc = mock_ranges_exclude(out, area->iova);
	if (rc < 0)
		free(out->v);
	return rc;
}

/**
 * Find the first free range of this length and alignment (drivers/iommu/iommufd/io_pagetable.c,
 * iopt_alloc_iova()).
 */
static int
ioas_choose_iova(struct vfio_mock *m, const struct mock_ioas *ioas, uint64_t va, uint64_t len,
	dmamap_iova_t *iova)
{
	uint64_t alignment, start = 0;
	struct mock_ranges gaps;
	size_t i;
	int rc;

	if (len >= UINT64_MAX / 2)
		return -EOVERFLOW;
	alignment = DM_MIN(dm_align_power_of_2(len), UINT64_C(1) << 21);
	if (va != 0)
		alignment = DM_MIN(alignment, va & -va);
	if (alignment < mock_ioas_alignment(ioas))
		return -EINVAL;
	rc = ioas_unmapped_ranges(m, ioas, &gaps);
	if (rc < 0)
		return rc;
	for (i = 0; i < gaps.n; i++) {
		start = DM_ALIGN_CEIL(gaps.v[i].start, alignment) | va % MOCK_PAGE;
		if (start >= gaps.v[i].start && start < gaps.v[i].last &&
			gaps.v[i].last - start >= len - 1)
			break;
	}
	*iova = start;
	rc = i == gaps.n ? -ENOSPC : 0;
	free(gaps.v);
	return rc;
}

/** Check that a fixed IOVA is aligned, usable and free. */
static int
ioas_check_iova(struct vfio_mock *m, const struct mock_ioas *ioas, dmamap_iova_t iova, uint64_t len)
{
	struct dmamap_range r = {iova, iova + len - 1};
	struct mock_ranges usable;
	bool inside;
	int rc;

	if (iova & (mock_ioas_alignment(ioas) - 1))
		return -EINVAL;
	if (mock_wraps(iova, len))
		return -EOVERFLOW;
	rc = mock_ioas_usable(m, ioas, &usable);
	if (rc < 0)
		return rc;
	inside = mock_ranges_contain(&usable, r);
	free(usable.v);
	if (!inside)
		return -EINVAL;
	return mock_table_find(&ioas->areas, r) != NULL ? -EEXIST : 0;
}

/** Choose or check the IOVA of a map of memory at va. */
static int
ioas_resolve_iova(struct vfio_mock *m, const struct mock_ioas *ioas, uint64_t va,
	struct mock_ioas_request *request)
{
	uint64_t alignment = mock_ioas_alignment(ioas);

	if (request->len == 0 || request->len & (alignment - 1))
		return -EINVAL;
	if (!request->fixed)
		return ioas_choose_iova(m, ioas, va, request->len, &request->iova);
	return ioas_check_iova(m, ioas, request->iova, request->len);
}

/** Add an area at an IOVA that was checked. All or nothing. */
static int
area_insert(struct vfio_mock *m, struct mock_ioas *ioas, struct mock_pages *pages, uint64_t va,
	struct dmamap_range iova, uint32_t prot)
{
	struct mock_map *area;
	int rc;

	if ((prot & DMAMAP_WRITE) && !pages->writable)
		return -EPERM;
	if (va & (mock_ioas_alignment(ioas) - 1))
		return -EINVAL;
	area = area_new(m, pages, iova, va, prot);
	if (area == NULL)
		return -ENOMEM;
	rc = mock_table_add(&ioas->areas, area);
	if (rc < 0) {
		area_free(area);
		return rc;
	}
	rc = area_fill(m, ioas, area);
	if (rc < 0)
		area_destroy(m, ioas, area);
	return rc;
}

int
mock_ioas_map(
	struct vfio_mock *m, struct mock_ioas *ioas, uint64_t va, struct mock_ioas_request *request)
{
	struct mock_pages *pages;
	int rc;

	rc = pages_new(va, request->len, request->prot & DMAMAP_WRITE, &pages);
	if (rc < 0)
		return rc;
	rc = ioas_resolve_iova(m, ioas, va, request);
	if (rc == 0)
		rc = area_insert(m, ioas, pages, va,
			(struct dmamap_range){request->iova, request->iova + request->len - 1},
			request->prot);
	pages_put(pages);
	return rc;
}

/**
 * Memory that the source maps at iova, at most len bytes.
 * @return its length; 0: nothing is mapped there.
 */
static uint64_t
ioas_memory_at(const struct mock_ioas *from, dmamap_iova_t iova, uint64_t len,
	struct mock_pages **pages, uint64_t *va)
{
	const struct dmamap_range r = {iova, iova};
	const struct mock_map *area = mock_table_find(&from->areas, r);

	if (area == NULL)
		return 0;
	*pages = area->pages;
	*va = area->va + (iova - area->iova.start);
	return DM_MIN(len, area->iova.last - iova + 1);
}

/** Check that the source maps the whole range. @param va  out: address of its first byte. */
static int
ioas_check_source(const struct mock_ioas *from, dmamap_iova_t iova, uint64_t len, uint64_t *va)
{
	uint64_t at, chunk, ignored;
	struct mock_pages *pages;

	if (len == 0)
		return -EINVAL;
	if (mock_wraps(iova, len))
		return -EOVERFLOW;
	for (at = 0; at < len; at += chunk) {
		chunk = ioas_memory_at(from, iova + at, len - at, &pages, at == 0 ? va : &ignored);
		if (chunk == 0)
			return -ENOENT;
	}
	return 0;
}

/** Destroy all areas in a range, to undo a copy. */
static void
ioas_destroy_range(struct vfio_mock *m, struct mock_ioas *ioas, struct dmamap_range r)
{
	struct mock_map *area;

	while ((area = mock_table_find(&ioas->areas, r)) != NULL)
		area_destroy(m, ioas, area);
}

int
mock_ioas_copy(struct vfio_mock *m, struct mock_ioas *to, const struct mock_ioas *from,
	dmamap_iova_t from_iova, struct mock_ioas_request *request)
{
	uint64_t at, chunk = 0, va = 0;
	struct mock_pages *pages = NULL;
	struct dmamap_range r;
	int rc;

	rc = ioas_check_source(from, from_iova, request->len, &va);
	if (rc == 0)
		rc = ioas_resolve_iova(m, to, va, request);
	for (at = 0; rc == 0 && at < request->len; at += chunk) {
		chunk = ioas_memory_at(from, from_iova + at, request->len - at, &pages, &va);
		r = (struct dmamap_range){request->iova + at, request->iova + at + chunk - 1};
		rc = area_insert(m, to, pages, va, r, request->prot);
	}
	if (rc < 0 && at > chunk) /* The last area was not added. */
		ioas_destroy_range(m, to,
			(struct dmamap_range){request->iova, request->iova + at - chunk - 1});
	return rc;
}

int
mock_ioas_unmap(struct vfio_mock *m, struct mock_ioas *ioas, struct dmamap_range r, uint64_t *done)
{
	bool shortened = mock_short_unmap(m);
	struct mock_map *area;

	*done = 0;
	while ((area = mock_table_find(&ioas->areas, r)) != NULL) {
		uint64_t len = area_len(area);

		if (area->iova.start < r.start || area->iova.last > r.last)
			return -ENOENT;
		if (shortened && *done + len > m->short_most)
			break;
		area_destroy(m, ioas, area);
		*done += len;
	}
	return 0;
}

/* Splitting, for type1 v1 ioctls */

/** Add the right half of an area next to the left one, in the IOAS and in all page tables. */
static int
area_add_right(struct mock_ioas *ioas, struct mock_map *right)
{
	struct mock_domain *dom;
	int rc = mock_table_add(&ioas->areas, right);

	TAILQ_FOREACH(dom, &ioas->domains, next)
		if (rc == 0)
			rc = mock_table_add(&dom->table, right);
	if (rc == 0)
		return 0;
	TAILQ_FOREACH(dom, &ioas->domains, next)
		mock_table_del(&dom->table, right);
	mock_table_del(&ioas->areas, right);
	return rc;
}

int
mock_ioas_cut(struct mock_ioas *ioas, dmamap_iova_t last)
{
	const struct dmamap_range r = {last, last};
	struct mock_map *area = mock_table_find(&ioas->areas, r), *right;
	int rc;

	if (area == NULL || last == area->iova.start || last == area->iova.last)
		return 0;
	if ((last + 1) & (mock_ioas_alignment(ioas) - 1))
		return -EINVAL;
	right = calloc(1, sizeof(*right));
	if (right == NULL)
		return -ENOMEM;
	*right = *area;
	right->iova.start = last + 1;
	right->va += right->iova.start - area->iova.start;
	area->iova.last = last;
	rc = area_add_right(ioas, right);
	if (rc < 0) {
		area->iova.last = right->iova.last;
		free(right);
		return rc;
	}
	right->pages->refs++;
	TAILQ_INSERT_AFTER(&right->pages->areas, area, right, in_pages);
	return 0;
}

int
mock_ioas_set_base_pages(struct mock_ioas *ioas, bool yes)
{
	const struct mock_map *area;

	if (yes && !ioas->base_pages) {
		if (!TAILQ_EMPTY(&ioas->domains) && ioas->areas.n != 0)
			return -EINVAL;
		MOCK_TABLE_FOREACH(area, &ioas->areas)
			if ((area->iova.start | area->va | area_len(area)) & (MOCK_PAGE - 1))
				return -EADDRINUSE;
	}
	ioas->base_pages = yes;
	return 0;
}

/* Page tables */

/** Check that all maps are aligned to pages of this size. */
static int
ioas_check_alignment(const struct mock_ioas *ioas, uint64_t page)
{
	const struct mock_map *area;

	MOCK_TABLE_FOREACH(area, &ioas->areas)
		if ((area->iova.start | area_len(area) | area->va % MOCK_PAGE) & (page - 1))
			return -EADDRINUSE;
	return 0;
}

/** Check that no map and no allowed range lies outside an aperture. */
static int
ioas_check_aperture(const struct mock_ioas *ioas, struct dmamap_range aperture)
{
	int rc = 0;

	if (aperture.start != 0)
		rc = mock_ioas_check_free(ioas, (struct dmamap_range){0, aperture.start - 1});
	if (rc == 0 && aperture.last != UINT64_MAX)
		rc = mock_ioas_check_free(
			ioas, (struct dmamap_range){aperture.last + 1, UINT64_MAX});
	return rc;
}

/** Add an area to further page tables. The first page tables of the IOAS pin it. */
static int
domain_fill_area(struct vfio_mock *m, struct mock_domain *dom, struct mock_map *area, bool first)
{
	int rc = first ? area_pin(m, area) : 0;

	if (rc < 0)
		return rc;
	rc = mock_domain_map(m, dom, area);
	if (rc < 0 && first)
		area_unpin(m, area);
	return rc;
}

/** Add all areas to further page tables, or none. */
static int
domain_fill(struct vfio_mock *m, struct mock_ioas *ioas, struct mock_domain *dom)
{
	bool first = TAILQ_EMPTY(&ioas->domains);
	struct mock_map *area, *undo;
	int rc = 0;

	MOCK_TABLE_FOREACH(area, &ioas->areas) {
		rc = domain_fill_area(m, dom, area, first);
		if (rc < 0)
			break;
	}
	if (rc == 0)
		return 0;
	MOCK_TABLE_FOREACH(undo, &ioas->areas) {
		if (undo == area)
			break;
		mock_domain_unmap(m, dom, undo);
		if (first)
			area_unpin(m, undo);
	}
	return rc;
}

int
mock_ioas_add_domain(struct vfio_mock *m, struct mock_ioas *ioas, const struct mock_group *group,
	struct mock_domain **out)
{
	uint64_t page = mock_smallest_page(group->iommu->conf.page_sizes);
	struct mock_domain *dom;
	int rc;

	if (page > MOCK_PAGE)
		return -EINVAL;
	rc = page > mock_ioas_alignment(ioas) ? ioas_check_alignment(ioas, page) : 0;
	if (rc == 0)
		rc = ioas_check_aperture(ioas, group->iommu->conf.aperture);
	if (rc < 0)
		return rc;
	dom = calloc(1, sizeof(*dom));
	if (dom == NULL)
		return -ENOMEM;
	TAILQ_INIT(&dom->groups);
	dom->iommu = group->iommu;
	dom->coherent = group->iommu->conf.enforces_coherency && !group->no_snoop_control;
	dom->ioas = ioas;
	dom->id = mock_free_id(m, ioas->ctx);
	rc = domain_fill(m, ioas, dom);
	if (rc < 0) {
		mock_table_free(&dom->table);
		free(dom);
		return rc;
	}
	TAILQ_INSERT_TAIL(&ioas->domains, dom, next);
	*out = dom;
	return 0;
}

void
mock_ioas_remove_domain(struct vfio_mock *m, struct mock_domain *dom)
{
	struct mock_ioas *ioas = dom->ioas;
	struct mock_map *area;

	TAILQ_REMOVE(&ioas->domains, dom, next);
	MOCK_TABLE_FOREACH(area, &ioas->areas) {
		mock_domain_unmap(m, dom, area);
		if (TAILQ_EMPTY(&ioas->domains))
			area_unpin(m, area);
	}
	mock_id_free(ioas->ctx, dom->id);
	mock_table_free(&dom->table);
	free(dom);
}
