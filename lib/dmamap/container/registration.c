/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Registrations: counted uses of application memory.
 *
 * A mapping's `use` counts its registrations. A hit finds a mapping by translation and raises `use`
 * unless it is closed; that takes no lock, and keeps the mapping from being unmapped. A registered
 * mapping with `use` 0 is idle, and evict.c may close and unmap it at any time. Invariant: a closed
 * mapping gets no new user. Called by users and stream.c.
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "dm_container.h"
#include "dm_handle.h"
#include "dm_util.h"

/** Attempts of a registration while other threads map and unmap the same memory. */
#define ATTEMPTS 64u

/** A buffer to register. */
struct wanted {
	struct dmamap_range vas;
	uint32_t flags;
	dmamap_iova_t last; /**< last IOVA that every device reaches */
	bool fresh; /**< do not use an idle mapping: its memory may have been replaced */
};

/**
 * Whether a mapping can serve a request. No lock: the fields may be read at any time, and are fixed
 * (or atomic) while the mapping is in use.
 */
static bool
mapping_serves(const struct dm_mapping *m, const struct wanted *w)
{
	const uint64_t start = __atomic_load_n(&m->vas.start, __ATOMIC_RELAXED);
	const uint32_t flags = __atomic_load_n(&m->flags, __ATOMIC_RELAXED);

	return w->vas.start >= start &&
		w->vas.last <= __atomic_load_n(&m->vas.last, __ATOMIC_RELAXED) &&
		(w->flags & DMAMAP_RW & ~flags) == 0 &&
		__atomic_load_n(&m->range.start, __ATOMIC_RELAXED) + (w->vas.last - start) <=
		w->last &&
		!__atomic_load_n(&m->stale, __ATOMIC_RELAXED);
}

/** Add a user, unless the mapping is closed (or idle, with `fresh`). @return true: added */
static bool
mapping_use(struct dm_mapping *m, bool fresh)
{
	uint32_t use = __atomic_load_n(&m->use, __ATOMIC_RELAXED);
	struct dm_cache *cache;

	do {
		if ((use & DM_USE_CLOSED) != 0 ||
			(use == 0 && fresh && __atomic_load_n(&m->cache, __ATOMIC_RELAXED) != NULL))
			return false;
	} while (!__atomic_compare_exchange_n(
		&m->use, &use, use + 1, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	cache = m->cache;
	if (cache != NULL && use == 0) {
		dm_cache_count_idle(cache, m, false);
		__atomic_store_n(&m->recent, true, __ATOMIC_RELAXED);
	}
	return true;
}

/** Whether a mapping stays mapped when it becomes idle. */
static bool
mapping_stays(const struct dm_mapping *m)
{
	const struct dm_cache *cache = m->cache;
	const enum dmamap_cache_mode mode = __atomic_load_n(&cache->mode, __ATOMIC_RELAXED);

	/* A mapping made before the cache was armed is not watched. */
	if (mode == DMAMAP_CACHE_OFF ||
		(mode == DMAMAP_CACHE_WATCHED && !__atomic_load_n(&m->watched, __ATOMIC_RELAXED)))
		return false;
	return !m->once && !__atomic_load_n(&m->stale, __ATOMIC_SEQ_CST) &&
		dm_range_len(m->range) <= __atomic_load_n(&cache->limit, __ATOMIC_RELAXED);
}

/** Unmap a mapping that the caller has closed. */
static int
mapping_unmap(struct dm_mapping *m)
{
	struct dm_work_list list = TAILQ_HEAD_INITIALIZER(list);
	struct dmamap_container *c;
	int rc;

	for (;;) {
		c = dm_owner_lock(&m->c);
		rc = dm_unmap_begin(c);
		/* dm_unmap_begin() may wait for a merge, which moves the mapping. */
		if (dm_owner_is(&m->c, c))
			break;
		if (rc == 0)
			dm_unmap_end(c);
		dm_owner_unlock(c);
	}
	if (rc < 0) {
		/* The container is being destroyed, and the mapping with it. */
		dm_owner_unlock(c);
		return 0;
	}
	dm_mapping_condemn(c, m, &list);
	dm_book_unlock(c);
	rc = dm_mappings_unmap(c, &list);
	dm_book_lock(c);
	dm_unmap_end(c);
	dm_owner_unlock(c);
	return rc;
}

/** Remove a user. The last one leaves the mapping idle, or unmaps it. */
static int
mapping_unuse(struct dm_mapping *m)
{
	struct dm_cache *const cache = m->cache;
	uint32_t use = __atomic_load_n(&m->use, __ATOMIC_RELAXED), to;

	for (;;) {
		to = use - 1;
		if (to == 0 && cache != NULL) {
			if (mapping_stays(m))
				dm_cache_count_idle(cache, m, true);
			else
				to = DM_USE_CLOSED;
		}
		/* Unless it was closed, the mapping may be gone after this. */
		if (__atomic_compare_exchange_n(
			    &m->use, &use, to, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			break;
		if (to == 0 && cache != NULL)
			dm_cache_count_idle(cache, m, false);
	}
	if (to == DM_USE_CLOSED)
		return mapping_unmap(m);
	if (to == 0 && cache != NULL && dm_cache_excess(cache) > 0) {
		struct dmamap_container *c = dm_owner_get(&cache->c);

		dm_registrations_shrink(c);
		dmamap_container_put(c);
	}
	return 0;
}

/**
 * Whether a mapping that is now in use still maps the memory at its address. Without a watcher, the
 * application guarantees it. With one, this is a system call (see dm_watch_changing()).
 */
static bool
mapping_fresh(const struct dm_mapping *m)
{
	const struct dm_cache *cache = m->cache;

	return cache == NULL ||
		__atomic_load_n(&cache->mode, __ATOMIC_RELAXED) != DMAMAP_CACHE_WATCHED ||
		(dm_watch_fresh() && !__atomic_load_n(&m->stale, __ATOMIC_SEQ_CST));
}

/**
 * The fast path: find a mapping by translation, and add a user. No lock. @return NULL: none serves
 */
static struct dm_mapping *
registration_hit(const struct dmamap_container *c, const struct wanted *w)
{
	const uint64_t iova = dm_xlate_lookup(c->va2iova, w->vas.start);
	struct dm_mapping *m;

	if (iova == DM_XLATE_NONE)
		return NULL;
	m = dm_xlate_object(c->index, iova);
	if (m == NULL || !mapping_serves(m, w) || !mapping_use(m, w->fresh))
		return NULL;
	/* It may have become another mapping before it was in use. From now on it is fixed. */
	if (DM_LIKELY(mapping_serves(m, w) && dm_owner_is(&m->c, c)))
		return m;
	mapping_unuse(m);
	return NULL;
}

static bool
alias_serves(const struct dm_mapping *m, const void *arg)
{
	return m->state == DM_LIVE && mapping_serves(m, arg) &&
		mapping_use((struct dm_mapping *)(uintptr_t)m, ((const struct wanted *)arg)->fresh);
}

/** The mapping to make for a buffer. */
struct plan {
	struct dmamap_range vas; /**< whole pages */
	struct dmamap_range narrow; /**< the smallest range that will do */
	uint32_t flags;
	bool wait; /**< another thread is mapping this memory */
	bool evict; /**< evict idle mappings that overlap `narrow` first: `vas` covers them */
};

/** The pages that hold a buffer. */
static struct dmamap_range
registration_pages(const struct dmamap_container *c, const struct wanted *w)
{
	const uint64_t page = DM_MAX(dm_min_page(c), (uint64_t)sysconf(_SC_PAGESIZE));

	return (struct dmamap_range){w->vas.start & ~(page - 1), w->vas.last | (page - 1)};
}

/** Plan the mapping by what overlaps the buffer. Bookkeeping is held. */
static void
registration_plan(const struct dmamap_container *c, const struct wanted *w, struct plan *p)
{
	struct dmamap_range rest, all;
	const struct dm_mapping *m;
	uint32_t joined = 0;
	bool busy = false;

	p->narrow = registration_pages(c, w);
	p->vas = all = rest = p->narrow;
	p->flags = w->flags;
	p->evict = false;
	m = dm_mapping_inflight_va(c, p->narrow);
	p->wait = m != NULL && m->cache != NULL;
	while ((m = dm_mapping_find_va(c, rest)) != NULL) {
		if (dm_mapping_is_idle(m)) {
			p->evict = true;
			joined |= m->flags & DMAMAP_RW;
			all.start = DM_MIN(all.start, m->vas.start);
			all.last = DM_MAX(all.last, m->vas.last);
		} else {
			busy = true;
		}
		if (m->vas.last >= rest.last)
			break;
		rest.start = m->vas.last + 1;
	}
	/*
	 * One mapping replaces idle neighbours, with the permissions of all. Exceptions: it would
	 * pin much more than the buffer, or part of it is in use. Then the buffer is mapped as an
	 * alias.
	 */
	if (p->evict && !busy && dm_range_len(all) / 2 <= dm_range_len(p->narrow)) {
		/*
		 * An event may be reported before the kernel frees pages. So a watched mapping
		 * covers the pages of the buffer only.
		 */
		if (__atomic_load_n(&c->cache_mode, __ATOMIC_RELAXED) != DMAMAP_CACHE_WATCHED)
			p->vas = all;
		p->flags |= joined;
		return;
	}
	if (p->evict || busy)
		p->flags |= DMAMAP_ALIAS;
	p->evict = false;
}

static int
plan_map(struct dmamap_container *c, const struct plan *p, struct dmamap_range vas, bool once,
	struct dm_mapping **m)
{
	const struct dmamap_sge sge = {
		.va = (void *)(uintptr_t)vas.start, .len = dm_range_len(vas)};
	const struct dm_map_req req = {.sge = &sge,
		.n = 1,
		.len = sge.len,
		.flags = p->flags,
		.registered = true,
		.once = once};
	dmamap_iova_t iova;

	return dm_map(c, &req, &iova, m);
}

/** Evict as planned, and map. @return 0; -EAGAIN: the plan is out of date; the error of the map */
static int
plan_execute(struct dmamap_container *c, const struct plan *p, bool once, struct dm_mapping **m)
{
	const struct dm_want want = {.what = DM_WANT_VAS, .range = p->narrow};
	unsigned int mark;
	int rc;

	if (p->evict && c->reclaim(c, &want) == 0)
		return -EAGAIN;
	dm_log_defer();
	mark = dm_log_mark();
	rc = plan_map(c, p, p->vas, once, m);
	/* Memory of an idle neighbour may be unmapped by now: map the buffer alone. */
	if (rc < 0 && rc != -EEXIST && dm_range_len(p->vas) > dm_range_len(p->narrow)) {
		dm_log_forget(mark);
		rc = plan_map(c, p, p->narrow, once, m);
	}
	if (rc == -EEXIST) {
		dm_log_forget(mark);
		rc = -EAGAIN;
	}
	dm_log_flush();
	return rc;
}

/**
 * Look again, under the bookkeeping lock. If nothing serves: plan a mapping, and wait for another
 * thread that is mapping this memory.
 */
static struct dm_mapping *
registration_look(struct dmamap_container *c, const struct wanted *w, struct plan *p)
{
	struct dm_mapping *m;

	dm_book_lock(c);
	m = registration_hit(c, w);
	if (m == NULL)
		m = dm_alias_find(c, w->vas, alias_serves, w);
	if (m == NULL)
		registration_plan(c, w, p);
	if (m == NULL && p->wait)
		dm_book_wait(c);
	dm_book_unlock(c);
	return m;
}

static int
registration_miss(
	struct dmamap_container *c, const struct wanted *w, bool once, struct dm_mapping **m)
{
	unsigned int attempt;
	struct plan p = {0};
	int rc;

	for (attempt = 0; attempt < ATTEMPTS; attempt++) {
		if (__atomic_load_n(&c->cache_mode, __ATOMIC_RELAXED) == DMAMAP_CACHE_WATCHED)
			dm_watch_drain();
		*m = registration_look(c, w, &p);
		if (*m != NULL && mapping_fresh(*m))
			return 0;
		if (*m != NULL) {
			mapping_unuse(*m);
			continue;
		}
		if (p.wait)
			continue;
		rc = plan_execute(c, &p, once, m);
		if (rc != -EAGAIN)
			return rc;
	}
	/*
	 * Other threads unmap memory all the time, so no existing mapping can be trusted: map the
	 * buffer as an alias.
	 */
	p.vas = p.narrow = registration_pages(c, w);
	p.flags = w->flags | DMAMAP_ALIAS;
	return plan_map(c, &p, p.vas, true, m);
}

int
dm_register(struct dmamap_container *c, void *va, size_t len, uint32_t flags, bool streaming,
	dmamap_iova_t *iova, struct dmamap_registration **reg)
{
	const bool watched =
		__atomic_load_n(&c->cache_mode, __ATOMIC_RELAXED) == DMAMAP_CACHE_WATCHED;
	const struct wanted w = {.vas = dm_range((uintptr_t)va, len),
		.flags = flags,
		.fresh = streaming && !watched,
		.last = (flags & DMAMAP_LOW32) ? DM_MIN(dm_mask_last(c), (dmamap_iova_t)UINT32_MAX)
					       : dm_mask_last(c)};
	struct dmamap_registration *handle;
	struct dm_mapping *m;
	int rc;

	rc = dm_process_check(c->process, c->name, "register");
	if (rc < 0)
		return dm_refused(c, DM_OP_REGISTER, rc);
	m = registration_hit(c, &w);
	if (m != NULL && DM_UNLIKELY(!mapping_fresh(m))) {
		mapping_unuse(m);
		m = NULL;
	}
	if (DM_UNLIKELY(m == NULL)) {
		rc = registration_miss(c, &w, w.fresh, &m);
		if (rc < 0)
			return dm_refused(c, DM_OP_REGISTER, rc);
	}
	handle = dm_handle_new(m);
	if (handle == NULL) {
		mapping_unuse(m);
		return dm_refused(c, DM_OP_REGISTER, -ENOMEM);
	}
	*iova = m->range.start + (w.vas.start - m->vas.start);
	*reg = handle;
	return 0;
}

int
dmamap_register(struct dmamap_container *c, void *va, size_t len, uint32_t flags,
	dmamap_iova_t *iova, struct dmamap_registration **reg)
{
	const uint64_t start = (uintptr_t)va;

	if (c == NULL || va == NULL || iova == NULL || reg == NULL || len == 0 ||
		start + (len - 1) < start || (flags & DMAMAP_RW) == 0 ||
		(flags & ~(DMAMAP_RW | DMAMAP_LOW32)) != 0)
		return dm_refused(c, DM_OP_REGISTER,
			DM_FAIL(EINVAL,
				"register of %p, 0x%zx bytes, flags 0x%x: no container, memory, "
				"length or access, or unknown flags",
				va, len, flags));
	return dm_register(c, va, len, flags, false, iova, reg);
}

int
dmamap_deregister(struct dmamap_registration *reg)
{
	struct dm_mapping *m;

	if (reg == NULL)
		return 0;
	m = dm_handle_release(reg);
	if (m == NULL)
		return DM_FAIL(EINVAL,
			"deregister of %p: no registration, or released before: release "
			"each once",
			(void *)reg);
	return mapping_unuse(m);
}
