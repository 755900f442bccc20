/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Placement: choose the IOVA of a mapping, or check a fixed one and report what is in its way.
 * Under the bookkeeping lock. Called by map.c. See dm_mapping.h.
 */

#include <errno.h>
#include <string.h>

#include "dm_mapping.h"
#include "dm_util.h"

int
dm_place_check_memory(
	const struct dmamap_container *c, struct dmamap_range vas, struct dm_want *want)
{
	const struct dm_mapping *m = dm_mapping_find_va(c, vas);

	if (m == NULL)
		m = dm_mapping_inflight_va(c, vas);
	if (m == NULL)
		return 0;
	if (dm_mapping_is_idle(m)) {
		*want = (struct dm_want){.what = DM_WANT_VAS, .range = vas};
		return -EAGAIN;
	}
	return DM_FAIL(EEXIST,
		"container %s: map of memory " DM_RANGE_FMT ": " DM_RANGE_FMT
		" is mapped at IOVA 0x%" PRIx64 " already: use that, or DMAMAP_ALIAS",
		c->name, DM_RANGE_ARG(vas), DM_RANGE_ARG(m->vas), m->range.start);
}

/** The largest page size, up to 1 GiB, with an aligned page inside len bytes of memory at va. */
static uint64_t
place_best_page(uint64_t page_sizes, uint64_t va, uint64_t len)
{
	uint64_t bits = dm_align_page_sizes(page_sizes), page, first;

	while (bits != 0) {
		page = UINT64_C(1) << (63 - __builtin_clzll(bits));
		first = (va + page - 1) & ~(page - 1);
		if (len >= page && first >= va && first - va <= len - page)
			return page;
		bits &= ~page;
	}
	return page_sizes & -page_sizes;
}

bool
dm_mapping_is_being_evicted(const struct dm_mapping *m)
{
	return m->cache != NULL && m->state == DM_DYING &&
		__atomic_load_n(&m->cache->mode, __ATOMIC_RELAXED) != DMAMAP_CACHE_OFF;
}

/** Log why a fixed IOVA is not available. @return the error; -EAGAIN: reclaim *want and retry */
static int
place_fixed_refused(const struct dmamap_container *c, struct dmamap_range r, struct dm_want *want)
{
	const struct dm_reservation *resv = dm_reservation_find(c, r);
	const struct dm_mapping *other = dm_mapping_find(c, r);
	struct dmamap_reserved hit;
	struct dmamap_range q;

	if (!dm_range_set_contains(&c->usable, r) && dm_reserved_hit(c, r, &hit)) {
		DM_LOG(ERR,
			"container %s: map at " DM_RANGE_FMT " touches " DM_RANGE_FMT
			" (%s), reserved by %s: choose another IOVA",
			c->name, DM_RANGE_ARG(r), DM_RANGE_ARG(hit.range),
			dm_reserved_type_name(hit.type), hit.owner);
		return hit.type == DMAMAP_RESERVED_APERTURE ? -ERANGE : -EADDRINUSE;
	}
	if (other != NULL && (dm_mapping_is_idle(other) || dm_mapping_is_being_evicted(other))) {
		*want = (struct dm_want){.what = DM_WANT_IOVAS, .range = r};
		return -EAGAIN;
	}
	if (other != NULL)
		return DM_FAIL(EEXIST,
			"container %s: map at " DM_RANGE_FMT " overlaps the mapping " DM_RANGE_FMT
			": unmap that first",
			c->name, DM_RANGE_ARG(r), DM_RANGE_ARG(other->range));
	if (dm_range_set_overlaps(&c->quarantined, r, &q))
		return DM_FAIL(EEXIST,
			"container %s: map at " DM_RANGE_FMT " touches " DM_RANGE_FMT
			", in quarantine after a failed unmap: choose another IOVA",
			c->name, DM_RANGE_ARG(r), DM_RANGE_ARG(q));
	if (resv != NULL && resv->zone != NULL)
		return DM_FAIL(EEXIST,
			"container %s: map at " DM_RANGE_FMT " touches " DM_RANGE_FMT
			", reserved for zone %s: choose another IOVA",
			c->name, DM_RANGE_ARG(r), DM_RANGE_ARG(resv->range), resv->zone->name);
	if (resv != NULL)
		return DM_FAIL(EEXIST,
			"container %s: map at " DM_RANGE_FMT " reaches beyond the "
			"reservation " DM_RANGE_FMT,
			c->name, DM_RANGE_ARG(r), DM_RANGE_ARG(resv->range));
	return -EEXIST;
}

int
dm_place_fixed(struct dmamap_container *c, const struct dm_map_req *req, struct dmamap_range r,
	bool *owns, struct dm_want *want)
{
	const struct dm_reservation *resv;
	int rc = -EEXIST;

	*owns = true;
	if (req->zone == NULL || req->zone->resv == NULL)
		rc = dm_iova_reserve_fixed(c->iova_space, r.start, dm_range_len(r));
	if (rc == 0 || rc == -ENOMEM)
		return rc;
	/* Out of range, or live: in a reservation that the caller may map into, or in conflict. */
	resv = dm_reservation_find(c, r);
	if (resv != NULL && resv->zone == req->zone && dm_range_inside(r, resv->range) &&
		dm_mapping_find(c, r) == NULL && !dm_range_set_overlaps(&c->quarantined, r, NULL)) {
		*owns = false;
		return 0;
	}
	return place_fixed_refused(c, r, want);
}

/** Reserve IOVAs for all of a request, with the largest alignment that is available. */
static int
place_choose(struct dmamap_container *c, const struct dm_map_req *req, dmamap_iova_t *iova)
{
	const uint64_t va = (uintptr_t)req->sge[0].va, min_page = dm_min_page(c);
	/* Skip page 0, also where it is usable: a null pointer that a device uses must fault. */
	struct dmamap_range within = {c->conf.as_linux ? DM_IOVA_GRANULE : 0, dm_mask_last(c)};
	const uint64_t least = DM_MAX(req->align, min_page);
	uint64_t align, smaller;
	int rc;

	if (req->flags & DMAMAP_LOW32)
		within.last = DM_MIN(within.last, (dmamap_iova_t)UINT32_MAX);
	/* IOVA and VA must be equal modulo a page size for the IOMMU to use that size. */
	align = DM_MAX(least, place_best_page(c->page_sizes, va, req->len));
	for (;;) {
		rc = dm_iova_reserve(
			c->iova_space, req->len, align, va & (align - 1), within, iova);
		if (rc != -ENOSPC || align <= least)
			break;
		smaller = c->page_sizes & (align - 1);
		align = smaller != 0 ? UINT64_C(1) << (63 - __builtin_clzll(smaller)) : least;
		align = DM_MAX(align, least);
	}
	if (rc < 0)
		return DM_FAIL(-rc,
			"container %s: no IOVA range of 0x%" PRIx64 " bytes, aligned to "
			"0x%" PRIx64 ", is free in " DM_RANGE_FMT ": %s",
			c->name, req->len, align, DM_RANGE_ARG(within), strerror(-rc));
	return 0;
}

int
dm_place(struct dmamap_container *c, const struct dm_map_req *req, dmamap_iova_t *iova,
	bool *reserved)
{
	const uint64_t min_page = dm_min_page(c);
	unsigned int i;

	*reserved = false;
	for (i = 0; i < req->n; i++)
		if (req->sge[i].len % min_page != 0 || (uintptr_t)req->sge[i].va % min_page != 0)
			return DM_FAIL(EINVAL,
				"container %s: map of %p, 0x%zx bytes: address and "
				"length must be multiples of the IOMMU's page size, 0x%" PRIx64,
				c->name, req->sge[i].va, req->sge[i].len, min_page);
	if (!(req->flags & DMAMAP_FIXED)) {
		int rc = place_choose(c, req, iova);

		*reserved = rc == 0;
		return rc;
	}
	*iova = req->iova;
	if (*iova % min_page != 0 || *iova + req->len - 1 < *iova)
		return DM_FAIL(EINVAL,
			"container %s: map at IOVA 0x%" PRIx64 ", 0x%" PRIx64
			" bytes: no multiple of the IOMMU's page size, 0x%" PRIx64
			", or wraps around",
			c->name, *iova, req->len, min_page);
	return 0;
}
