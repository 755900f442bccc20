/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Maps: into every domain of a container, or none.
 *
 * Three steps: reserve (bookkeeping lock), map in every domain (topology lock for reading only),
 * publish (bookkeeping lock). Idle registrations are reclaimed through c->reclaim, as evict.c is
 * above this file. Called by users, attach.c, merge.c, zone.c, registration.c and sg.c.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm_backend.h"
#include "dm_mapping.h"
#include "dm_util.h"

#define KNOWN_FLAGS (DMAMAP_RW | DMAMAP_FIXED | DMAMAP_LOW32 | DMAMAP_ALIAS)
/** Idle registrations that the first attempt reclaims; each further attempt doubles it. */
#define RECLAIM_FIRST 32u

int
dm_map_check_args(const struct dmamap_container *c, const void *va, uint64_t len, uint32_t flags,
	const dmamap_iova_t *iova)
{
	uint64_t sys_page = sysconf(_SC_PAGESIZE);

	if (c == NULL || va == NULL || iova == NULL)
		return DM_FAIL(EINVAL, "map: container, memory or IOVA pointer is NULL");
	if ((flags & ~KNOWN_FLAGS) != 0 || (flags & DMAMAP_RW) == 0)
		return DM_FAIL(EINVAL,
			"container %s: map of %p: flags 0x%x: set DMAMAP_READ, DMAMAP_WRITE or "
			"both, and no unknown flags",
			c->name, va, flags);
	if (len == 0 || len % sys_page != 0 || (uintptr_t)va % sys_page != 0)
		return DM_FAIL(EINVAL,
			"container %s: map of %p, 0x%" PRIx64 " bytes: address and "
			"length must be multiples of the page size, 0x%" PRIx64,
			c->name, va, len, sys_page);
	if ((uintptr_t)va + len < (uintptr_t)va)
		return DM_FAIL(EINVAL, "container %s: map of %p, 0x%" PRIx64 " bytes wraps around",
			c->name, va, len);
	return 0;
}

/** Set the fields that look-ups read without a lock, also while a mapping is reused. */
static void
mapping_describe(struct dmamap_container *c, struct dm_mapping *m, struct dmamap_range range,
	struct dmamap_range vas, const struct dm_map_req *req)
{
	__atomic_store_n(&m->range.start, range.start, __ATOMIC_RELAXED);
	__atomic_store_n(&m->range.last, range.last, __ATOMIC_RELAXED);
	__atomic_store_n(&m->vas.start, vas.start, __ATOMIC_RELAXED);
	__atomic_store_n(&m->vas.last, vas.last, __ATOMIC_RELAXED);
	__atomic_store_n(&m->c, c, __ATOMIC_RELAXED);
	__atomic_store_n(&m->flags, req->flags & ~(DMAMAP_FIXED | DMAMAP_LOW32), __ATOMIC_RELAXED);
	__atomic_store_n(&m->cache, req->registered ? c->cache : NULL, __ATOMIC_RELAXED);
}

/** Reserve one mapping: its IOVAs (unless they are reserved already), its entry in the index. */
static int
map_reserve_one(struct dmamap_container *c, const struct dm_map_req *req,
	const struct dmamap_sge *sge, dmamap_iova_t iova, bool reserved, struct dm_work_list *list,
	struct dm_want *want)
{
	const struct dmamap_range r = dm_range(iova, sge->len);
	struct dm_mapping *m;
	bool owns = true;
	int rc = 0;

	m = dm_mapping_new(c);
	if (m == NULL)
		return -ENOMEM;
	if (!reserved)
		rc = dm_place_fixed(c, req, r, &owns, want);
	if (rc < 0)
		goto free_mapping;
	mapping_describe(c, m, r, dm_range((uintptr_t)sge->va, sge->len), req);
	m->state = DM_MAPPING;
	m->copies = 0;
	m->owns_iova = owns;
	__atomic_store_n(&m->stale, false, __ATOMIC_RELAXED);
	m->recent = false;
	m->once = req->once;
	m->watched = false;
	m->zone = req->zone;
	rc = dm_index_add(c, m);
	if (rc < 0)
		goto release;
	TAILQ_INSERT_TAIL(list, m, work);
	TAILQ_INSERT_TAIL(&c->inflight, m, inflight);
	return 0;

release:
	if (owns && !reserved)
		dm_iova_release(c->iova_space, r.start, sge->len);
free_mapping:
	dm_mapping_free(c, m);
	return rc;
}

/** Undo map_reserve_one() for all of a list. */
static void
map_unreserve(struct dmamap_container *c, struct dm_work_list *list, bool quarantine)
{
	struct dm_mapping *m;

	while ((m = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, m, work);
		TAILQ_REMOVE(&c->inflight, m, inflight);
		dm_index_del(c, m);
		dm_mapping_release_iovas(c, m, quarantine);
		dm_mapping_free(c, m);
	}
	dm_book_changed(c);
}

/** Check and reserve, before the first kernel call. Bookkeeping is held. */
static int
map_reserve(struct dmamap_container *c, const struct dm_map_req *req, struct dm_work_list *list,
	struct dm_want *want)
{
	dmamap_iova_t iova, at;
	unsigned int i;
	bool reserved = false;
	int rc;

	rc = dm_process_check(c->process, c->name, "map");
	if (rc < 0)
		return rc;
	/* A merge moved the zone to another container: the caller retries there. */
	if (req->zone != NULL && !dm_owner_is(&req->zone->c, c))
		return -ESTALE;
	if (c->closed)
		return DM_FAIL(ESHUTDOWN, "container %s: map: it is being destroyed", c->name);
	for (i = 0; i < req->n && rc == 0 && !(req->flags & DMAMAP_ALIAS); i++)
		rc = dm_place_check_memory(
			c, dm_range((uintptr_t)req->sge[i].va, req->sge[i].len), want);
	if (rc == 0)
		rc = dm_domains_budget(c, req->n);
	if (rc == 0)
		rc = dm_place(c, req, &iova, &reserved);
	if (rc < 0)
		return rc;
	/* One range was found for all. Each mapping owns its part, as it may be unmapped alone. */
	if (reserved && req->n > 1) {
		dm_iova_release(c->iova_space, iova, req->len);
		reserved = false;
	}
	for (i = 0, at = iova; i < req->n; i++) {
		rc = map_reserve_one(c, req, &req->sge[i], at, reserved, list, want);
		if (rc < 0) {
			if (reserved)
				dm_iova_release(c->iova_space, iova, req->len);
			map_unreserve(c, list, false);
			return rc;
		}
		at += req->sge[i].len;
	}
	dm_domains_entries(c, req->n);
	return 0;
}

/**
 * Unmap the mappings of a list that come before `end` from every domain. *quarantine: a domain
 * refused.
 */
static void
kernel_unmap(struct dmamap_container *c, const struct dm_work_list *list,
	const struct dm_mapping *end, bool *quarantine)
{
	const struct dm_mapping *m;
	bool lost;

	for (m = TAILQ_FIRST(list); m != end; m = TAILQ_NEXT(m, work))
		if (dm_domains_unmap(c, m->range, m, m, &lost) < 0)
			*quarantine = true;
}

/**
 * Map all of a list in every domain, or none. *quarantine: an undo failed. Under topology (reader).
 */
static int
kernel_map(struct dmamap_container *c, const struct dm_work_list *list, bool *quarantine)
{
	const struct dm_mapping *m;
	int rc;

	*quarantine = false;
	TAILQ_FOREACH(m, list, work) {
		rc = dm_domains_map(c, m, quarantine);
		if (rc < 0) {
			kernel_unmap(c, list, m, quarantine);
			return rc;
		}
	}
	return 0;
}

/** Make all of a list visible to readers, or none. Bookkeeping is held. */
static int
map_publish(struct dmamap_container *c, struct dm_work_list *list)
{
	struct dm_mapping *m;
	int rc = 0;

	TAILQ_FOREACH(m, list, work) {
		rc = dm_mapping_publish(c, m);
		if (rc < 0)
			break;
	}
	if (rc < 0) {
		while ((m = TAILQ_PREV(m, dm_work_list, work)) != NULL)
			dm_mapping_withdraw(c, m);
		return rc;
	}
	while ((m = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, m, work);
		TAILQ_REMOVE(&c->inflight, m, inflight);
		TAILQ_INSERT_TAIL(&c->mappings, m, next);
		m->state = DM_LIVE;
		c->n_mappings++;
		dm_mapping_count(c, m, dm_range_len(m->range));
		if (m->cache != NULL) {
			TAILQ_INSERT_TAIL(&m->cache->all, m, clock);
			m->cache->n++;
			if (m->flags & DMAMAP_ALIAS)
				dm_alias_add(c, m);
		}
		/* From here on, look-ups without a lock may use it. */
		__atomic_store_n(&m->use, m->cache != NULL ? 1 : 0, __ATOMIC_RELEASE);
	}
	dm_book_changed(c);
	return 0;
}

_Static_assert(sizeof(struct dmamap_sge) == sizeof(struct iovec) &&
		offsetof(struct dmamap_sge, len) == offsetof(struct iovec, iov_len),
	"an entry is an iovec");

/**
 * If the backend does not translate, check that each entry is mapped at its physical address.
 */
static int
map_place_identity(const struct dmamap_container *c, struct dm_map_req *req)
{
	dmamap_iova_t first = 0, iova, at = 0;
	unsigned int i;
	int rc;

	for (i = 0; i < req->n; i++) {
		rc = dm_backend_place(c, req->sge[i].va, req->sge[i].len, &iova);
		if (rc <= 0)
			return rc;
		if (i == 0)
			first = at = (req->flags & DMAMAP_FIXED) ? req->iova : iova;
		if (iova != at)
			return DM_FAIL(EINVAL,
				"container %s: map of %p at IOVA 0x%" PRIx64 ": no IOMMU "
				"translates, so it can only be at its physical address, 0x%" PRIx64,
				c->name, req->sge[i].va, at, iova);
		at += req->sge[i].len;
	}
	req->flags |= DMAMAP_FIXED;
	req->iova = first;
	return 0;
}

static int
map_check_memlock(const struct dmamap_container *c, uint64_t len)
{
	return dm_pin_memlock_check(len * dm_domains_charges(c), c->name);
}

/** Check that a request's memory may be locked, once for each domain that pins it. */
static int
map_check_sge(const struct dmamap_container *c, const struct dm_map_req *req)
{
	return dm_pin_memlock_check_sge(
		(const struct iovec *)req->sge, req->n, dm_domains_charges(c), c->name);
}

/**
 * Watch the memory of registered mappings. After they are in the index and before they are pinned:
 * a change from now on makes them stale. Memory that cannot be watched is not cached.
 */
static void
map_watch(struct dmamap_container *c, const struct dm_work_list *list)
{
	struct dm_mapping *m;

	TAILQ_FOREACH(m, list, work) {
		if (m->cache == NULL || m->once ||
			__atomic_load_n(&m->cache->mode, __ATOMIC_RELAXED) != DMAMAP_CACHE_WATCHED)
			continue;
		__atomic_store_n(&m->watched,
			dm_watch_add(&m->watch, m->vas.start, m->vas.last) == 0, __ATOMIC_RELAXED);
		m->once = !m->watched;
	}
}

uint64_t
dm_mappings_chargeable(const struct dmamap_container *c)
{
	struct iovec *all = calloc(c->n_mappings + 1, sizeof(all[0]));
	const struct dm_mapping *m;
	uint64_t len = c->mapped_len;
	unsigned int n = 0;

	if (all == NULL)
		return len;
	TAILQ_FOREACH(m, &c->mappings, next)
		all[n++] = (struct iovec){dm_mapping_va(m), dm_range_len(m->range)};
	len = dm_pin_memlock_chargeable_sge(all, n);
	free(all);
	return len;
}

static int
map_once(struct dmamap_container *c, struct dm_map_req req, dmamap_iova_t *iova,
	struct dm_mapping **first, struct dm_want *want)
{
	struct dm_work_list list = TAILQ_HEAD_INITIALIZER(list);
	bool quarantine = false;
	struct dm_mapping *m;
	int rc;

	dm_topo_read(c);
	rc = c->conf.as_linux ? 0 : map_check_sge(c, &req);
	if (rc == 0)
		rc = map_place_identity(c, &req);
	if (rc < 0)
		goto unlock;
	dm_book_lock(c);
	rc = map_reserve(c, &req, &list, want);
	dm_book_unlock(c);
	if (rc < 0)
		goto unlock;
	*iova = TAILQ_FIRST(&list)->range.start;
	if (first != NULL)
		*first = TAILQ_FIRST(&list);

	map_watch(c, &list);
	rc = kernel_map(c, &list, &quarantine);
	/* The kernel has refused: the check logs the reason. */
	if (rc == -ENOMEM && c->conf.as_linux)
		map_check_sge(c, &req);
	if (rc < 0)
		goto unreserve;
	dm_book_lock(c);
	rc = map_publish(c, &list);
	dm_book_unlock(c);
	if (rc == 0)
		goto unlock;
	kernel_unmap(c, &list, NULL, &quarantine);
unreserve:
	TAILQ_FOREACH(m, &list, work)
		dm_mapping_unwatch(m);
	dm_book_lock(c);
	dm_domains_entries(c, -(int64_t)req.n);
	map_unreserve(c, &list, quarantine);
	dm_book_unlock(c);
unlock:
	dm_topo_unlock(c);
	return rc;
}

/**
 * After a reclaim found nothing: has another thread evicted or used the conflicting registration
 * meanwhile? Waits for an eviction in progress.
 */
static bool
map_conflict_is_gone(struct dmamap_container *c, const struct dm_want *want)
{
	const struct dm_mapping *m;
	bool changed;

	dm_book_lock(c);
	if (want->what == DM_WANT_VAS)
		m = dm_mapping_find_va(c, want->range);
	else
		m = dm_mapping_find(c, want->range);
	changed = m == NULL || !dm_mapping_is_idle(m);
	/* Memory of a dying mapping can be mapped at once; its IOVAs are not free yet. */
	if (m != NULL && dm_mapping_is_being_evicted(m))
		dm_book_wait(c);
	dm_book_unlock(c);
	return changed;
}

/** Reclaim idle registrations after a failure. @return whether another attempt may succeed */
static bool
map_reclaim(struct dmamap_container *c, const struct dm_map_req *req, int rc, uint64_t *entries,
	struct dm_want *want)
{
	if (rc == -ENOSPC || rc == -ENOMEM) {
		*want = (struct dm_want){.what = DM_WANT_ANY,
			.entries = *entries,
			.len = rc == -ENOMEM ? req->len : 0};
		*entries *= 2;
	} else if (rc != -EAGAIN) {
		return false;
	}
	return c->reclaim(c, want) > 0 || (rc == -EAGAIN && map_conflict_is_gone(c, want));
}

int
dm_map(struct dmamap_container *c, const struct dm_map_req *req, dmamap_iova_t *iova,
	struct dm_mapping **first)
{
	uint64_t entries = DM_MAX(req->n, RECLAIM_FIRST);
	struct dm_want want;
	unsigned int mark;
	uint64_t begin;
	int rc;

	dm_assert_unlocked();
	begin = dm_time_begin();
	/* Nothing is logged of an attempt if a later one succeeds. */
	dm_log_defer();
	mark = dm_log_mark();
	for (;;) {
		rc = map_once(c, *req, iova, first, &want);
		if (!map_reclaim(c, req, rc, &entries, &want))
			break;
		dm_log_forget(mark);
	}
	if (rc == -EAGAIN)
		rc = DM_FAIL(EEXIST,
			"container %s: map: " DM_RANGE_FMT " overlaps an idle registration, which "
			"the kernel refused to unmap",
			c->name, DM_RANGE_ARG(want.range));
	dm_log_flush();
	dm_trace_map(c->name, rc == 0 ? *iova : req->iova, req->sge[0].va, req->len, req->flags,
		dm_time_end(&c->counters, DM_TIME_MAP, begin), rc);
	return rc;
}

int
dmamap_map(struct dmamap_container *c, void *va, size_t len, uint32_t flags, dmamap_iova_t *iova)
{
	const struct dmamap_sge sge = {.va = va, .len = len};
	struct dm_map_req req = {.sge = &sge, .n = 1, .len = len, .flags = flags};
	dmamap_iova_t at;
	int rc;

	rc = dm_map_check_args(c, va, len, flags, iova);
	if (rc < 0)
		return dm_refused(c, DM_OP_MAP, rc);
	req.iova = *iova;
	rc = dm_map(c, &req, &at, NULL);
	if (rc == 0)
		*iova = at;
	return dm_refused(c, DM_OP_MAP, rc);
}

int
dmamap_map_check(struct dmamap_container *c, size_t len, unsigned int n)
{
	int rc;

	if (c == NULL)
		return DM_FAIL(EINVAL, "map: no container given");
	dm_topo_read(c);
	dm_book_lock(c);
	rc = dm_domains_budget(c, n);
	dm_book_unlock(c);
	if (rc == 0)
		rc = map_check_memlock(c, len);
	dm_topo_unlock(c);
	return rc;
}
