/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Eviction: close and unmap idle registrations, a batch at a time, with one wait for readers.
 *
 * Invariant: an idle mapping is closed by one compare-and-swap of `use` from 0, so an eviction and
 * a hit cannot both succeed. Called by registration.c, cache.c, attach.c, device.c and merge.c; by
 * files below through c->reclaim.
 */

#include <errno.h>
#include <stdlib.h>

#include "dm_container.h"
#include "dm_util.h"

uint64_t
dm_cache_excess(const struct dm_cache *cache)
{
	const uint64_t idle = __atomic_load_n(&cache->idle_len, __ATOMIC_RELAXED);
	const uint64_t limit = __atomic_load_n(&cache->limit, __ATOMIC_RELAXED);

	return idle > limit ? idle - limit : 0;
}

/** Close and condemn a mapping if it is idle. @return whether it was */
static bool
evict_mapping(struct dmamap_container *c, struct dm_mapping *m, struct dm_work_list *list)
{
	uint32_t none = 0;

	if (m->cache == NULL || m->state != DM_LIVE ||
		!__atomic_compare_exchange_n(
			&m->use, &none, DM_USE_CLOSED, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return false;
	dm_cache_count_idle(m->cache, m, false);
	dm_mapping_condemn(c, m, list);
	return true;
}

/** Second chance (CLOCK): walk until enough is condemned, at most two rounds. */
static uint64_t
evict_any(struct dmamap_container *c, struct dm_cache *cache, const struct dm_want *want,
	uint64_t n, uint64_t *len, struct dm_work_list *list)
{
	uint64_t steps = 2 * (uint64_t)cache->n;
	struct dm_mapping *m;

	while (steps-- > 0 && (n < want->entries || *len < want->len)) {
		m = TAILQ_FIRST(&cache->all);
		if (m == NULL)
			break;
		TAILQ_REMOVE(&cache->all, m, clock);
		TAILQ_INSERT_TAIL(&cache->all, m, clock);
		if (__atomic_exchange_n(&m->recent, false, __ATOMIC_RELAXED) &&
			!__atomic_load_n(&m->stale, __ATOMIC_RELAXED))
			continue;
		if (evict_mapping(c, m, list)) {
			*len += dm_range_len(m->range);
			n++;
		}
		if (steps % 64 == 0) {
			dm_book_unlock(c);
			dm_book_lock(c);
		}
	}
	return n;
}

struct evict_alias {
	struct dmamap_container *c;
	struct dm_work_list *list;
};

static bool
evict_alias(const struct dm_mapping *m, const void *arg)
{
	const struct evict_alias *e = arg;

	return evict_mapping(e->c, (struct dm_mapping *)(uintptr_t)m, e->list);
}

/** Whether a mapping is in use. Bookkeeping is held. */
static bool
mapping_is_in_use(const struct dm_mapping *m)
{
	return m->state == DM_LIVE &&
		(__atomic_load_n(&m->use, __ATOMIC_RELAXED) & ~DM_USE_CLOSED) > 0;
}

static bool
alias_in_use(const struct dm_mapping *m, const void *arg)
{
	return mapping_is_in_use(m);
}

/**
 * Walk all mappings that overlap memory, except aliases, in order of addresses, each once.
 * @param idle  out: the idle ones; the caller empties the list before it releases bookkeeping.
 * @param busy  NULL; or out: one is in use, which ends the walk.
 */
static void
evict_find_idle(const struct dmamap_container *c, struct dmamap_range vas,
	struct dm_work_list *idle, bool *busy)
{
	struct dm_mapping *m;

	while ((m = dm_mapping_find_va(c, vas)) != NULL) {
		if (busy != NULL && mapping_is_in_use(m)) {
			*busy = true;
			return;
		}
		if (dm_mapping_is_idle(m))
			TAILQ_INSERT_TAIL(idle, m, work);
		if (m->vas.last >= vas.last)
			return;
		vas.start = m->vas.last + 1;
	}
}

/** Condemn what evict_find_idle() found if it is still idle, and idle aliases. @return how many */
static uint64_t
evict_found(struct dmamap_container *c, struct dmamap_range vas, struct dm_work_list *idle,
	struct dm_work_list *list)
{
	const struct evict_alias e = {c, list};
	struct dm_mapping *m;
	uint64_t n = 0;

	while ((m = TAILQ_FIRST(idle)) != NULL) {
		TAILQ_REMOVE(idle, m, work);
		n += evict_mapping(c, m, list);
	}
	while (dm_alias_find(c, vas, evict_alias, &e) != NULL)
		n++;
	return n;
}

/** Condemn all idle mappings that overlap memory. @return how many */
static uint64_t
evict_vas(struct dmamap_container *c, struct dmamap_range vas, struct dm_work_list *list)
{
	struct dm_work_list idle = TAILQ_HEAD_INITIALIZER(idle);

	evict_find_idle(c, vas, &idle, NULL);
	return evict_found(c, vas, &idle, list);
}

/**
 * The same, all or nothing.
 * @return how many; -EBUSY: one is in use, and nothing was condemned
 */
static int64_t
evict_vas_unused(struct dmamap_container *c, struct dmamap_range vas, struct dm_work_list *list)
{
	struct dm_work_list idle = TAILQ_HEAD_INITIALIZER(idle);
	bool busy = dm_alias_find(c, vas, alias_in_use, NULL) != NULL;

	if (!busy)
		evict_find_idle(c, vas, &idle, &busy);
	return busy ? -EBUSY : (int64_t)evict_found(c, vas, &idle, list);
}

static uint64_t
evict_iovas(struct dmamap_container *c, struct dmamap_range r, struct dm_work_list *list)
{
	struct dm_mapping *m;
	uint64_t n = 0;
	dmamap_iova_t last;

	while ((m = dm_mapping_find(c, r)) != NULL) {
		last = m->range.last;
		n += evict_mapping(c, m, list);
		if (last >= r.last)
			break;
		r.start = last + 1;
	}
	return n;
}

static int
mapping_cmp_iova(const void *a, const void *b)
{
	const struct dm_mapping *x = *(struct dm_mapping *const *)a,
				*y = *(struct dm_mapping *const *)b;

	return x->range.start < y->range.start ? -1 : x->range.start > y->range.start;
}

/** Sort a list by IOVA, so that one call unmaps adjacent mappings. */
static void
evict_sort(struct dm_work_list *list, uint64_t n)
{
	struct dm_mapping **all = n > 1 ? calloc(n, sizeof(all[0])) : NULL, *m;
	uint64_t i = 0;

	if (all == NULL)
		return; /* out of memory: unmap each by its own call */
	while ((m = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, m, work);
		all[i++] = m;
	}
	qsort(all, i, sizeof(all[0]), mapping_cmp_iova);
	for (n = i, i = 0; i < n; i++)
		TAILQ_INSERT_TAIL(list, all[i], work);
	free(all);
}

/** Whether there may be idle registrations, now or soon. Bookkeeping is held. */
static bool
evict_may_be_idle(const struct dmamap_container *c)
{
	const struct dm_cache *cache;

	LIST_FOREACH(cache, &c->caches, next)
		if (__atomic_load_n(&cache->mode, __ATOMIC_RELAXED) != DMAMAP_CACHE_OFF ||
			__atomic_load_n(&cache->idle_len, __ATOMIC_RELAXED) != 0)
			return true;
	return false;
}

uint64_t
dm_registrations_reclaim(struct dmamap_container *c, const struct dm_want *want)
{
	struct dm_work_list list = TAILQ_HEAD_INITIALIZER(list);
	struct dm_cache *cache;
	uint64_t n = 0, len = 0;
	int rc = 0;

	dm_book_lock(c);
	if (!evict_may_be_idle(c) || dm_unmap_begin(c) < 0) {
		dm_book_unlock(c);
		return 0;
	}
	if (want->what == DM_WANT_VAS)
		n = evict_vas(c, want->range, &list);
	else if (want->what == DM_WANT_IOVAS)
		n = evict_iovas(c, want->range, &list);
	else
		LIST_FOREACH(cache, &c->caches, next)
			n = evict_any(c, cache, want, n, &len, &list);
	dm_book_unlock(c);
	if (n > 0) {
		evict_sort(&list, n);
		rc = dm_mappings_unmap(c, &list);
	}
	dm_book_lock(c);
	dm_unmap_end(c);
	dm_book_unlock(c);
	return rc < 0 && rc != -EIO ? 0 : n;
}

void
dm_registrations_shrink(struct dmamap_container *c)
{
	struct dm_want want = {.what = DM_WANT_ANY, .entries = 1};
	const struct dm_cache *cache;

	do {
		want.len = 0;
		dm_book_lock(c);
		LIST_FOREACH(cache, &c->caches, next)
			want.len += dm_cache_excess(cache);
		dm_book_unlock(c);
	} while (want.len > 0 && dm_registrations_reclaim(c, &want) > 0);
}

uint64_t
dm_registrations_flush_all(struct dmamap_container *c, bool anyway)
{
	const struct dm_want all = {.what = DM_WANT_ANY, .entries = UINT64_MAX, .len = UINT64_MAX};
	uint64_t n = dm_registrations_reclaim(c, &all);

	dm_book_lock(c);
	while (c->n_unmaps > 0 && (anyway || evict_may_be_idle(c))) {
		n++;
		dm_book_wait(c);
	}
	dm_book_unlock(c);
	return n;
}

uint64_t
dm_registrations_flush(struct dmamap_container *c)
{
	return dm_registrations_flush_all(c, false);
}

int
dmamap_invalidate(struct dmamap_container *c, const void *va, size_t len)
{
	struct dm_work_list list = TAILQ_HEAD_INITIALIZER(list);
	struct dmamap_range vas;
	int64_t n;
	int rc;

	if (c == NULL || len == 0 || (uintptr_t)va + (len - 1) < (uintptr_t)va)
		return DM_FAIL(EINVAL,
			"invalidate of %p, 0x%zx bytes: no container, no length, or it "
			"wraps around",
			va, len);
	vas = dm_range((uintptr_t)va, len);
	dm_book_lock(c);
	rc = dm_unmap_begin(c);
	if (rc < 0)
		goto unlock;
	n = evict_vas_unused(c, vas, &list);
	if (n < 0)
		rc = DM_FAIL(EBUSY,
			"container %s: invalidate of %p, 0x%zx bytes: a registration "
			"is in use there: dmamap_deregister() first",
			c->name, va, len);
	if (n > 0) {
		dm_book_unlock(c);
		evict_sort(&list, n);
		rc = dm_mappings_unmap(c, &list);
		dm_book_lock(c);
	}
	dm_unmap_end(c);
unlock:
	dm_book_unlock(c);
	return rc;
}
