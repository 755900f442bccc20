/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does an IOVA address space of the modelled iommufd do? Maps that share pages, and page
 * tables kept equal.
 */

#include <errno.h>
#include <stdlib.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "model_priv.h"

/* Pages: memory that was mapped once, and copied since */

static uint64_t
area_len(const struct mk_map *area)
{
	return area->iova.last - area->iova.start + 1;
}

/** How many pages do maps in page tables hold, each counted once? */
static uint64_t
pages_held(const struct mk_pages *pages)
{
	uint64_t held = 0, next = 0, first, end;
	const struct mk_map *area;

	TAILQ_FOREACH(area, &pages->areas, in_pages) {
		if (!area->filled)
			continue;
		first = RTE_MAX(area->va / MK_PAGE, next);
		end = (area->va + area_len(area) - 1) / MK_PAGE + 1;
		if (end > first)
			held += end - first;
		next = RTE_MAX(next, end);
	}
	return held;
}

/** Charge what is held now. @return 0 or -ENOMEM. */
static int
pages_charge(struct dmamap_model *m, struct mk_pages *pages)
{
	uint64_t held = pages_held(pages);
	int rc;

	if (held > pages->charged) {
		rc = mk_charge(m, held - pages->charged);
		if (rc < 0)
			return rc;
	} else {
		m->locked -= pages->charged - held;
	}
	pages->charged = held;
	return 0;
}

static void
pages_put(struct mk_pages *pages)
{
	if (--pages->refs == 0)
		free(pages);
}

/** Memory that a call names. @return 0; -EINVAL; -EOVERFLOW; -ENOMEM. */
static int
pages_new(uint64_t va, uint64_t len, bool writable, struct mk_pages **out)
{
	struct mk_pages *pages;

	if (len == 0 || len > UINT64_MAX - MK_PAGE)
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

static struct mk_map *
area_new(struct dmamap_model *m, struct mk_pages *pages, struct dmamap_range iova, uint64_t va,
	uint32_t prot)
{
	struct mk_map *area = calloc(1, sizeof(*area)), *at;

	if (area == NULL)
		return NULL;
	*area = (struct mk_map){
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
area_free(struct mk_map *area)
{
	TAILQ_REMOVE(&area->pages->areas, area, in_pages);
	pages_put(area->pages);
	free(area);
}

/** Pin an area's memory. @return 0; -ENOMEM: over the limit; -EFAULT: it is not there. */
static int
area_pin(struct dmamap_model *m, struct mk_map *area)
{
	int rc;

	area->filled = true;
	rc = pages_charge(m, area->pages);
	if (rc == 0)
		rc = mk_populate(m, area->va, area_len(area), area->prot);
	if (rc < 0) {
		area->filled = false;
		pages_charge(m, area->pages);
	}
	return rc;
}

static void
area_unpin(struct dmamap_model *m, struct mk_map *area)
{
	area->filled = false;
	pages_charge(m, area->pages);
}

/** Out of all page tables. */
static void
area_unfill(struct dmamap_model *m, struct mk_ioas *ioas, struct mk_map *area)
{
	struct mk_domain *dom;

	if (!area->filled)
		return;
	TAILQ_FOREACH(dom, &ioas->domains, next)
		mk_domain_unmap(m, dom, area);
	area_unpin(m, area);
}

/** Into all page tables or none. Without any, nothing is pinned. */
static int
area_fill(struct dmamap_model *m, struct mk_ioas *ioas, struct mk_map *area)
{
	struct mk_domain *dom;
	int rc;

	if (TAILQ_EMPTY(&ioas->domains))
		return 0;
	rc = area_pin(m, area);
	if (rc < 0)
		return rc;
	TAILQ_FOREACH(dom, &ioas->domains, next) {
		rc = mk_domain_map(m, dom, area);
		if (rc < 0) {
			area_unfill(m, ioas, area);
			return rc;
		}
	}
	return 0;
}

static void
area_destroy(struct dmamap_model *m, struct mk_ioas *ioas, struct mk_map *area)
{
	area_unfill(m, ioas, area);
	mk_table_del(&ioas->areas, area);
	area_free(area);
}

/* What is usable */

struct mk_ioas *
mk_ioas_new(struct mk_ctx *ctx)
{
	struct mk_ioas *ioas = calloc(1, sizeof(*ioas));

	if (ioas == NULL)
		return NULL;
	TAILQ_INIT(&ioas->domains);
	ioas->ctx = ctx;
	return ioas;
}

void
mk_ioas_free(struct dmamap_model *m, struct mk_ioas *ioas)
{
	while (ioas->areas.n > 0)
		area_destroy(m, ioas, ioas->areas.v[ioas->areas.n - 1]);
	mk_table_free(&ioas->areas);
	free(ioas->allowed.v);
	free(ioas);
}

/** Is this range reserved by a device that is attached, and not relaxable? */
static bool
reserves(const struct mk_device *dev, const struct mk_ioas *ioas, unsigned int i)
{
	return dev->attached && dev->group->domain != NULL && dev->group->domain->ioas == ioas &&
		i < dev->group->n_resv && dev->group->resv[i].type != DMAMAP_RESERVED_RELAXABLE;
}

static int
exclude_aperture(struct mk_ranges *out, struct dmamap_range aperture)
{
	int rc = 0;

	if (aperture.start != 0)
		rc = mk_ranges_exclude(out, (struct dmamap_range){0, aperture.start - 1});
	if (rc == 0 && aperture.last != UINT64_MAX)
		rc = mk_ranges_exclude(out, (struct dmamap_range){aperture.last + 1, UINT64_MAX});
	return rc;
}

int
mk_ioas_usable(struct dmamap_model *m, const struct mk_ioas *ioas, struct mk_ranges *out)
{
	const struct mk_ranges none = {0};
	const struct mk_domain *dom;
	const struct mk_device *dev;
	unsigned int i;
	int rc;

	rc = mk_ranges_copy(out, &none);
	if (rc < 0)
		return rc;
	mk_ranges_clip(out, DMAMAP_ANYWHERE);
	TAILQ_FOREACH(dom, &ioas->domains, next)
		if (rc == 0)
			rc = exclude_aperture(out, dom->iommu->conf.aperture);
	TAILQ_FOREACH(dev, &m->devices, next)
		for (i = 0; i < dev->group->n_resv && rc == 0; i++)
			if (reserves(dev, ioas, i))
				rc = mk_ranges_exclude(out, dev->group->resv[i].range);
	if (rc < 0)
		free(out->v);
	return rc;
}

uint64_t
mk_ioas_alignment(const struct mk_ioas *ioas)
{
	uint64_t alignment = ioas->base_pages ? MK_PAGE : 1;
	const struct mk_domain *dom;

	TAILQ_FOREACH(dom, &ioas->domains, next)
		alignment = RTE_MAX(alignment, mk_smallest_page(dom->iommu->conf.page_sizes));
	return alignment;
}

static bool
ranges_overlap(const struct mk_ranges *ranges, struct dmamap_range r)
{
	size_t i;

	for (i = 0; i < ranges->n; i++)
		if (ranges->v[i].start <= r.last && r.start <= ranges->v[i].last)
			return true;
	return false;
}

int
mk_ioas_check_free(const struct mk_ioas *ioas, struct dmamap_range r)
{
	return mk_table_find(&ioas->areas, r) != NULL || ranges_overlap(&ioas->allowed, r)
		? -EADDRINUSE
		: 0;
}

/* Mapping */

/** Where automatic maps may lie: usable, allowed, free. The first page and the last are never
 * given. */
static int
free_ranges(struct dmamap_model *m, const struct mk_ioas *ioas, struct mk_ranges *out)
{
	struct dmamap_range hole = {MK_PAGE, UINT64_MAX - MK_PAGE};
	size_t i;
	int rc = mk_ioas_usable(m, ioas, out);

	if (rc < 0)
		return rc;
	rc = exclude_aperture(out, hole);
	for (i = 0; i < ioas->allowed.n && rc == 0; i++) {
		hole.last = ioas->allowed.v[i].start - 1;
		if (ioas->allowed.v[i].start > hole.start)
			rc = mk_ranges_exclude(out, hole);
		hole.start = ioas->allowed.v[i].last + 1;
	}
	hole.last = UINT64_MAX;
	if (ioas->allowed.n > 0 && hole.start != 0 && rc == 0)
		rc = mk_ranges_exclude(out, hole);
	for (i = 0; i < ioas->areas.n && rc == 0; i++)
		rc = mk_ranges_exclude(out, ioas->areas.v[i]->iova);
	if (rc < 0)
		free(out->v);
	return rc;
}

/** The first place of that length and alignment (io_pagetable.c, iopt_alloc_iova()). */
static int
choose_iova(struct dmamap_model *m, const struct mk_ioas *ioas, uint64_t va, uint64_t len,
	rte_iova_t *iova)
{
	uint64_t alignment, start = 0;
	struct mk_ranges room;
	size_t i;
	int rc;

	if (len >= UINT64_MAX / 2)
		return -EOVERFLOW;
	alignment = RTE_MIN(rte_align64pow2(len), UINT64_C(1) << 21);
	if (va != 0)
		alignment = RTE_MIN(alignment, va & -va);
	if (alignment < mk_ioas_alignment(ioas))
		return -EINVAL;
	rc = free_ranges(m, ioas, &room);
	if (rc < 0)
		return rc;
	for (i = 0; i < room.n; i++) {
		start = RTE_ALIGN_CEIL(room.v[i].start, alignment) | va % MK_PAGE;
		if (start >= room.v[i].start && start < room.v[i].last &&
			room.v[i].last - start >= len - 1)
			break;
	}
	*iova = start;
	rc = i == room.n ? -ENOSPC : 0;
	free(room.v);
	return rc;
}

static int
check_iova(struct dmamap_model *m, const struct mk_ioas *ioas, rte_iova_t iova, uint64_t len)
{
	struct dmamap_range r = {iova, iova + len - 1};
	struct mk_ranges usable;
	bool inside;
	int rc;

	if (iova & (mk_ioas_alignment(ioas) - 1))
		return -EINVAL;
	if (mk_wraps(iova, len))
		return -EOVERFLOW;
	rc = mk_ioas_usable(m, ioas, &usable);
	if (rc < 0)
		return rc;
	inside = mk_ranges_contain(&usable, r);
	free(usable.v);
	if (!inside)
		return -EINVAL;
	return mk_table_find(&ioas->areas, r) != NULL ? -EEXIST : 0;
}

/** Where does a map of memory at va go? */
static int
place(struct dmamap_model *m, const struct mk_ioas *ioas, uint64_t va,
	struct mk_ioas_request *request)
{
	uint64_t alignment = mk_ioas_alignment(ioas);

	if (request->len == 0 || request->len & (alignment - 1))
		return -EINVAL;
	if (!request->fixed)
		return choose_iova(m, ioas, va, request->len, &request->iova);
	return check_iova(m, ioas, request->iova, request->len);
}

/** One area, at a place that was checked. */
static int
insert(struct dmamap_model *m, struct mk_ioas *ioas, struct mk_pages *pages, uint64_t va,
	struct dmamap_range iova, uint32_t prot)
{
	struct mk_map *area;
	int rc;

	if ((prot & DMAMAP_WRITE) && !pages->writable)
		return -EPERM;
	if (va & (mk_ioas_alignment(ioas) - 1))
		return -EINVAL;
	area = area_new(m, pages, iova, va, prot);
	if (area == NULL)
		return -ENOMEM;
	rc = mk_table_add(&ioas->areas, area);
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
mk_ioas_map(
	struct dmamap_model *m, struct mk_ioas *ioas, uint64_t va, struct mk_ioas_request *request)
{
	struct mk_pages *pages;
	int rc;

	rc = pages_new(va, request->len, request->prot & DMAMAP_WRITE, &pages);
	if (rc < 0)
		return rc;
	rc = place(m, ioas, va, request);
	if (rc == 0)
		rc = insert(m, ioas, pages, va,
			(struct dmamap_range){request->iova, request->iova + request->len - 1},
			request->prot);
	pages_put(pages);
	return rc;
}

/** What of the source is at iova, up to len bytes. @return its length; 0: a hole. */
static uint64_t
piece_at(const struct mk_ioas *from, rte_iova_t iova, uint64_t len, struct mk_pages **pages,
	uint64_t *va)
{
	const struct mk_map *area = mk_table_find(&from->areas, (struct dmamap_range){iova, iova});

	if (area == NULL)
		return 0;
	*pages = area->pages;
	*va = area->va + (iova - area->iova.start);
	return RTE_MIN(len, area->iova.last - iova + 1);
}

static int
check_source(const struct mk_ioas *from, rte_iova_t iova, uint64_t len, uint64_t *va)
{
	uint64_t at, piece, ignored;
	struct mk_pages *pages;

	if (len == 0)
		return -EINVAL;
	if (mk_wraps(iova, len))
		return -EOVERFLOW;
	for (at = 0; at < len; at += piece) {
		piece = piece_at(from, iova + at, len - at, &pages, at == 0 ? va : &ignored);
		if (piece == 0)
			return -ENOENT;
	}
	return 0;
}

/** Take out what was put in just now. */
static void
destroy_range(struct dmamap_model *m, struct mk_ioas *ioas, struct dmamap_range r)
{
	struct mk_map *area;

	while ((area = mk_table_find(&ioas->areas, r)) != NULL)
		area_destroy(m, ioas, area);
}

int
mk_ioas_copy(struct dmamap_model *m, struct mk_ioas *to, const struct mk_ioas *from,
	rte_iova_t from_iova, struct mk_ioas_request *request)
{
	uint64_t at, piece = 0, va = 0;
	struct mk_pages *pages = NULL;
	struct dmamap_range r;
	int rc;

	rc = check_source(from, from_iova, request->len, &va);
	if (rc == 0)
		rc = place(m, to, va, request);
	for (at = 0; rc == 0 && at < request->len; at += piece) {
		piece = piece_at(from, from_iova + at, request->len - at, &pages, &va);
		r = (struct dmamap_range){request->iova + at, request->iova + at + piece - 1};
		rc = insert(m, to, pages, va, r, request->prot);
	}
	if (rc < 0 && at > piece) /* the last piece is not there */
		destroy_range(m, to,
			(struct dmamap_range){request->iova, request->iova + at - piece - 1});
	return rc;
}

int
mk_ioas_unmap(struct dmamap_model *m, struct mk_ioas *ioas, struct dmamap_range r, uint64_t *done)
{
	bool shortened = mk_short_unmap(m);
	struct mk_map *area;

	*done = 0;
	while ((area = mk_table_find(&ioas->areas, r)) != NULL) {
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

/* Cutting, for v1 of VFIO's containers */

/** Add a right half where the left one is. */
static int
add_right(struct mk_ioas *ioas, struct mk_map *right)
{
	struct mk_domain *dom;
	int rc = mk_table_add(&ioas->areas, right);

	TAILQ_FOREACH(dom, &ioas->domains, next)
		if (rc == 0)
			rc = mk_table_add(&dom->table, right);
	if (rc == 0)
		return 0;
	TAILQ_FOREACH(dom, &ioas->domains, next)
		mk_table_del(&dom->table, right);
	mk_table_del(&ioas->areas, right);
	return rc;
}

int
mk_ioas_cut(struct mk_ioas *ioas, rte_iova_t last)
{
	struct mk_map *area = mk_table_find(&ioas->areas, (struct dmamap_range){last, last}),
		      *right;
	int rc;

	if (area == NULL || last == area->iova.start || last == area->iova.last)
		return 0;
	if ((last + 1) & (mk_ioas_alignment(ioas) - 1))
		return -EINVAL;
	right = calloc(1, sizeof(*right));
	if (right == NULL)
		return -ENOMEM;
	*right = *area;
	right->iova.start = last + 1;
	right->va += right->iova.start - area->iova.start;
	area->iova.last = last;
	rc = add_right(ioas, right);
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
mk_ioas_set_base_pages(struct mk_ioas *ioas, bool yes)
{
	size_t i;

	if (yes && !ioas->base_pages) {
		if (!TAILQ_EMPTY(&ioas->domains) && ioas->areas.n != 0)
			return -EINVAL;
		for (i = 0; i < ioas->areas.n; i++)
			if ((ioas->areas.v[i]->iova.start | ioas->areas.v[i]->va |
				    area_len(ioas->areas.v[i])) &
				(MK_PAGE - 1))
				return -EADDRINUSE;
	}
	ioas->base_pages = yes;
	return 0;
}

/* Page tables */

/** Do all maps lie on pages of this size? */
static int
check_alignment(const struct mk_ioas *ioas, uint64_t page)
{
	size_t i;

	for (i = 0; i < ioas->areas.n; i++)
		if ((ioas->areas.v[i]->iova.start | area_len(ioas->areas.v[i]) |
			    ioas->areas.v[i]->va % MK_PAGE) &
			(page - 1))
			return -EADDRINUSE;
	return 0;
}

static int
check_aperture(const struct mk_ioas *ioas, struct dmamap_range aperture)
{
	int rc = 0;

	if (aperture.start != 0)
		rc = mk_ioas_check_free(ioas, (struct dmamap_range){0, aperture.start - 1});
	if (rc == 0 && aperture.last != UINT64_MAX)
		rc = mk_ioas_check_free(ioas, (struct dmamap_range){aperture.last + 1, UINT64_MAX});
	return rc;
}

/** All maps into one more domain. The first one pins them. */
static int
fill_domain(struct dmamap_model *m, struct mk_ioas *ioas, struct mk_domain *dom)
{
	bool first = TAILQ_EMPTY(&ioas->domains);
	struct mk_map *area;
	size_t i;
	int rc = 0;

	for (i = 0; i < ioas->areas.n; i++) {
		area = ioas->areas.v[i];
		rc = first ? area_pin(m, area) : 0;
		if (rc < 0)
			break;
		rc = mk_domain_map(m, dom, area);
		if (rc < 0) {
			if (first)
				area_unpin(m, area);
			break;
		}
	}
	while (rc < 0 && i-- > 0) {
		mk_domain_unmap(m, dom, ioas->areas.v[i]);
		if (first)
			area_unpin(m, ioas->areas.v[i]);
	}
	return rc;
}

int
mk_ioas_add_domain(struct dmamap_model *m, struct mk_ioas *ioas, const struct mk_group *group,
	struct mk_domain **out)
{
	uint64_t page = mk_smallest_page(group->iommu->conf.page_sizes);
	struct mk_domain *dom;
	int rc;

	if (page > MK_PAGE)
		return -EINVAL;
	rc = page > mk_ioas_alignment(ioas) ? check_alignment(ioas, page) : 0;
	if (rc == 0)
		rc = check_aperture(ioas, group->iommu->conf.aperture);
	if (rc < 0)
		return rc;
	dom = calloc(1, sizeof(*dom));
	if (dom == NULL)
		return -ENOMEM;
	TAILQ_INIT(&dom->groups);
	dom->iommu = group->iommu;
	dom->coherent = group->iommu->conf.enforces_coherency && !group->no_snoop_control;
	dom->ioas = ioas;
	dom->id = mk_free_id(m, ioas->ctx);
	rc = fill_domain(m, ioas, dom);
	if (rc < 0) {
		mk_table_free(&dom->table);
		free(dom);
		return rc;
	}
	TAILQ_INSERT_TAIL(&ioas->domains, dom, next);
	*out = dom;
	return 0;
}

void
mk_ioas_remove_domain(struct dmamap_model *m, struct mk_domain *dom)
{
	struct mk_ioas *ioas = dom->ioas;
	size_t i;

	TAILQ_REMOVE(&ioas->domains, dom, next);
	for (i = 0; i < ioas->areas.n; i++) {
		mk_domain_unmap(m, dom, ioas->areas.v[i]);
		if (TAILQ_EMPTY(&ioas->domains))
			area_unpin(m, ioas->areas.v[i]);
	}
	mk_table_free(&dom->table);
	free(dom);
}
