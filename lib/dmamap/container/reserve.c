/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Reservations: IOVAs without a mapping, for a user or for a zone.
 *
 * Invariant: the IOVAs of a reservation are live in the allocator, so they are not handed out
 * again. They are also in the tree c->reservations, which attach and merge check. Called by users,
 * zone.c, container.c and merge.c.
 */

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "dm_container.h"
#include "dm_util.h"

int
dm_reservation_enter(struct dmamap_container *c, struct dm_reservation *r)
{
	dm_assert_book(c);
	if (tsearch(r, &c->reservations, dm_range_cmp) == NULL)
		return -ENOMEM;
	c->reservation_len += dm_range_len(r->range);
	return 0;
}

void
dm_reservation_remove(struct dmamap_container *c, struct dm_reservation *r, bool release)
{
	dm_assert_book(c);
	tdelete(r, &c->reservations, dm_range_cmp);
	c->reservation_len -= dm_range_len(r->range);
	/* A range that is partly in quarantine stays live in the allocator, so it is not reused. */
	if (release && !dm_range_set_overlaps(&c->quarantined, r->range, NULL) &&
		dm_iova_release(c->iova_space, r->range.start, dm_range_len(r->range)) == 0)
		dm_usable_shed(c, r->range);
}

/** Record a reservation for IOVAs that the allocator has just handed out. */
static int
reserve_enter(struct dmamap_container *c, const struct dm_reserve_req *req, dmamap_iova_t iova,
	struct dm_reservation *r)
{
	int rc;

	r->range = dm_range(iova, req->len);
	r->zone = req->zone;
	rc = dm_reservation_enter(c, r);
	if (rc == 0)
		return 0;
	dm_iova_release(c->iova_space, iova, req->len);
	if (req->linear != NULL)
		dm_linear_release(*req->linear, req->va, req->len);
	return rc;
}

/** Reserve in the linear map, if there is one with free addresses whose IOVAs are free too. */
static bool
reserve_linear(struct dmamap_container *c, struct dm_reserve_req *req, dmamap_iova_t *iova)
{
	struct dm_linear *l = c->linear;

	*req->linear = NULL;
	if (l == NULL || dm_linear_reserve(l, req->len, req->align, &req->va) < 0)
		return false;
	*iova = (uintptr_t)req->va + l->delta;
	if (*iova + (req->len - 1) <= req->within.last &&
		dm_iova_reserve_fixed(c->iova_space, *iova, req->len) == 0) {
		*req->linear = l;
		return true;
	}
	dm_linear_release(l, req->va, req->len);
	return false;
}

/** Choose IOVAs. Where page 0 is usable, it is the last choice for users, and never for zones. */
static int
reserve_choose(struct dmamap_container *c, const struct dm_reserve_req *req, dmamap_iova_t *iova)
{
	struct dmamap_range within = req->within;
	int rc = -ENOSPC;

	if (within.last < within.start)
		return -ENOSPC;
	if (c->conf.as_linux)
		within.start = DM_MAX(within.start, DM_IOVA_GRANULE);
	if (within.start <= within.last)
		rc = dm_iova_reserve(c->iova_space, req->len, req->align, req->phase, within, iova);
	if (rc != -ENOSPC || within.start == req->within.start || req->zone != NULL)
		return rc;
	return dm_iova_reserve(c->iova_space, req->len, req->align, req->phase, req->within, iova);
}

static int
reserve_locked(struct dmamap_container *c, struct dm_reserve_req *req, struct dm_reservation *r)
{
	dmamap_iova_t iova;
	int rc = 0;

	/* A merge moved the zone to another container: the caller retries there. */
	if (req->zone != NULL && !dm_owner_is(&req->zone->c, c))
		return -ESTALE;
	if (c->closed)
		return -ESHUTDOWN;
	if (req->linear != NULL)
		return reserve_linear(c, req, &iova) ? reserve_enter(c, req, iova, r) : -ENOSPC;
	rc = reserve_choose(c, req, &iova);
	return rc < 0 ? rc : reserve_enter(c, req, iova, r);
}

static int
reserve_once(struct dmamap_container *c, struct dm_reserve_req req, struct dm_reservation *r,
	struct dm_reserve_req *out)
{
	int rc;

	dm_topo_read(c);
	req.within.last = DM_MIN(req.within.last, dm_mask_last(c));
	dm_book_lock(c);
	rc = reserve_locked(c, &req, r);
	dm_book_unlock(c);
	dm_topo_unlock(c);
	out->va = req.va;
	return rc;
}

int
dm_reservation_make(
	struct dmamap_container *c, struct dm_reserve_req *req, struct dm_reservation **out)
{
	struct dm_want want = {.what = DM_WANT_ANY, .entries = 1, .len = req->len};
	struct dm_reservation *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	for (;; want.entries *= 2) {
		rc = reserve_once(c, *req, r, req);
		/* The linear map is optional, so nothing is evicted for it. */
		if (rc != -ENOSPC || req->linear != NULL || c->reclaim(c, &want) == 0)
			break;
	}
	if (rc == 0)
		*out = r;
	else
		free(r);
	return rc;
}

int
dmamap_iova_reserve(struct dmamap_container *c, size_t len, size_t align,
	struct dmamap_range within, dmamap_iova_t *iova)
{
	struct dm_reserve_req req = {.len = len, .align = align, .within = within};
	struct dm_reservation *r;
	int rc;

	if (align == 0)
		align = DM_IOVA_GRANULE;
	if (c == NULL || iova == NULL || len == 0 || len % DM_IOVA_GRANULE != 0 ||
		!dm_is_power_of_2(align) || within.last < within.start)
		return dm_refused(c, DM_OP_RESERVE,
			DM_FAIL(EINVAL,
				"reservation of 0x%zx bytes, aligned to 0x%zx: length and "
				"alignment must be multiples of 4096, the alignment a power of "
				"two, the range not empty",
				len, align));
	req.align = DM_MAX(align, DM_IOVA_GRANULE);
	rc = dm_process_check(c->process, c->name, "reserve");
	if (rc < 0)
		return dm_refused(c, DM_OP_RESERVE, rc);
	rc = dm_reservation_make(c, &req, &r);
	dm_trace_reserve(c->name, rc == 0 ? r->range.start : within.start, len, rc);
	if (rc < 0)
		return dm_refused(c, DM_OP_RESERVE,
			DM_FAIL(-rc,
				"container %s: no IOVA range of 0x%zx bytes, aligned to 0x%zx, can "
				"be reserved in " DM_RANGE_FMT ": %s",
				c->name, len, align, DM_RANGE_ARG(within), strerror(-rc)));
	*iova = r->range.start;
	return 0;
}

/** Remove the user's reservation of exactly this range. */
static int
reservation_release_locked(
	struct dmamap_container *c, struct dmamap_range range, struct dm_reservation **out)
{
	struct dm_reservation *r = dm_reservation_find(c, range);
	const struct dm_mapping *m;

	if (r == NULL || r->range.start != range.start)
		return DM_FAIL(ENOENT,
			"container %s: release of " DM_RANGE_FMT ": no reservation starts there",
			c->name, DM_RANGE_ARG(range));
	if (r->range.last != range.last)
		return DM_FAIL(EINVAL,
			"container %s: release of " DM_RANGE_FMT
			": the reservation is " DM_RANGE_FMT,
			c->name, DM_RANGE_ARG(range), DM_RANGE_ARG(r->range));
	if (r->zone != NULL)
		return DM_FAIL(EBUSY,
			"container %s: release of " DM_RANGE_FMT ": it belongs to zone %s: use "
			"dmamap_zone_free()",
			c->name, DM_RANGE_ARG(range), r->zone->name);
	m = dm_mapping_find(c, range);
	if (m != NULL)
		return DM_FAIL(EBUSY,
			"container %s: release of " DM_RANGE_FMT ": " DM_RANGE_FMT
			" is mapped in it: unmap that first",
			c->name, DM_RANGE_ARG(range), DM_RANGE_ARG(m->range));
	dm_reservation_remove(c, r, true);
	*out = r;
	return 0;
}

int
dmamap_iova_release(struct dmamap_container *c, dmamap_iova_t iova, size_t len)
{
	struct dm_reservation *r = NULL;
	int rc;

	if (c == NULL || len == 0 || iova + (len - 1) < iova)
		return DM_FAIL(EINVAL,
			"release of IOVA 0x%" PRIx64 ", 0x%zx bytes: no container, no "
			"length, or it wraps around",
			iova, len);
	dm_topo_read(c);
	dm_book_lock(c);
	rc = reservation_release_locked(c, dm_range(iova, len), &r);
	dm_book_unlock(c);
	dm_topo_unlock(c);
	dm_trace_release(c->name, iova, len, rc);
	free(r);
	return rc;
}
