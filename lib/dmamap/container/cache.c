/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The registration cache of a container: how it is armed, and what happens when memory is unmapped.
 *
 * With a watched cache, the watcher reports memory that the process has unmapped, moved or
 * discarded. Invariant: every mapping of such memory is stale from then on. Idle ones are unmapped.
 * One in use serves no new user and is unmapped with its last user. Called by users, container.c
 * and merge.c; by the watcher through dm_watch_listener.
 */

#include <errno.h>
#include <stdlib.h>

#include "dm_container.h"
#include "dm_util.h"

static bool
alias_mark_stale(const struct dm_mapping *m, const void *arg)
{
	__atomic_store_n(&((struct dm_mapping *)(uintptr_t)m)->stale, true, __ATOMIC_SEQ_CST);
	return false;
}

/** Memory was unmapped or replaced: mark all mappings of it as stale. Bookkeeping is held. */
static void
registrations_mark_stale(struct dmamap_container *c, struct dmamap_range vas)
{
	struct dmamap_range rest = vas;
	struct dm_mapping *m;
	uint64_t last;

	TAILQ_FOREACH(m, &c->inflight, inflight)
		if (m->cache != NULL && dm_range_overlap(m->vas, vas))
			__atomic_store_n(&m->stale, true, __ATOMIC_SEQ_CST);
	dm_alias_find(c, vas, alias_mark_stale, NULL);
	while ((m = dm_mapping_find_va(c, rest)) != NULL) {
		last = m->vas.last;
		if (m->cache != NULL) {
			__atomic_store_n(&m->stale, true, __ATOMIC_SEQ_CST);
			/*
			 * It is in use, for memory that no longer exists. Translations must show
			 * what is mapped there next.
			 */
			if (!dm_mapping_is_idle(m))
				dm_mapping_demote(c, m);
		}
		if (last >= rest.last)
			break;
		rest.start = last + 1;
	}
}

/** dm_watch_listener.gone: called by the watcher. */
static void
registration_gone(void *arg, uint64_t start, uint64_t last)
{
	const struct dm_want want = {.what = DM_WANT_VAS, .range = {start, last}};
	struct dmamap_container *c = arg;

	dm_book_lock(c);
	registrations_mark_stale(c, want.range);
	dm_book_unlock(c);
	dm_registrations_reclaim(c, &want);
}

/** Guards c->listening and c->listener. Outermost: taken while no other lock is held. */
static pthread_mutex_t listen_lock = PTHREAD_MUTEX_INITIALIZER;

static int
cache_check_open(const struct dmamap_container *c)
{
	int rc = 0;

	dm_book_lock(c);
	if (c->closed)
		rc = DM_FAIL(ESHUTDOWN, "container %s: registration cache: it is being destroyed",
			c->name);
	dm_book_unlock(c);
	return rc;
}

int
dm_registrations_listen(struct dmamap_container *c)
{
	int rc;

	dm_assert_unlocked();
	pthread_mutex_lock(&listen_lock);
	/* A container that is destroyed stops listening under this lock, and must not restart. */
	rc = cache_check_open(c);
	if (!c->listening && rc == 0)
		rc = dm_watch_start();
	if (!c->listening && rc == 0) {
		c->listener.gone = registration_gone;
		c->listener.arg = c;
		dm_watch_listen(&c->listener);
		__atomic_store_n(&c->listening, true, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&listen_lock);
	return rc;
}

bool
dm_registrations_listening(const struct dmamap_container *c)
{
	return __atomic_load_n(&c->listening, __ATOMIC_ACQUIRE);
}

void
dm_registrations_unlisten(struct dmamap_container *c)
{
	struct dm_mapping *m;

	pthread_mutex_lock(&listen_lock);
	if (!c->listening)
		goto unlock;
	dm_watch_unlisten(&c->listener);
	/* The container is being destroyed: no other thread uses it. */
	TAILQ_FOREACH(m, &c->mappings, next)
		dm_mapping_unwatch(m);
	dm_watch_stop();
	__atomic_store_n(&c->listening, false, __ATOMIC_RELEASE);
unlock:
	pthread_mutex_unlock(&listen_lock);
}

int
dmamap_registration_cache(struct dmamap_container *c, enum dmamap_cache_mode mode, uint64_t limit)
{
	struct dm_cache *cache;
	bool changed;
	int rc;

	if (c == NULL || (unsigned int)mode > DMAMAP_CACHE_PROMISED)
		return DM_FAIL(
			EINVAL, "registration cache: no container, or unknown mode %d", mode);
	if (mode == DMAMAP_CACHE_OFF)
		limit = 0;
	rc = mode == DMAMAP_CACHE_WATCHED ? dm_registrations_listen(c) : cache_check_open(c);
	if (rc < 0)
		return rc;
	/* Under topology: a merge checks whether memory is watched, then moves the caches. */
	dm_topo_read(c);
	dm_book_lock(c);
	changed = mode != c->cache_mode;
	__atomic_store_n(&c->cache_mode, mode, __ATOMIC_RELAXED);
	LIST_FOREACH(cache, &c->caches, next) {
		__atomic_store_n(&cache->mode, mode, __ATOMIC_RELAXED);
		__atomic_store_n(&cache->limit, limit, __ATOMIC_RELAXED);
	}
	dm_book_unlock(c);
	dm_topo_unlock(c);
	/* Registrations that were kept in another mode are not trusted in this one. */
	if (limit == 0 || changed)
		dm_registrations_flush_all(c, true);
	else
		dm_registrations_shrink(c);
	return 0;
}

struct dm_cache *
dm_cache_new(struct dmamap_container *c)
{
	struct dm_cache *cache = calloc(1, sizeof(*cache));

	if (cache == NULL)
		return NULL;
	TAILQ_INIT(&cache->all);
	cache->c = c;
	cache->mode = DMAMAP_CACHE_OFF;
	return cache;
}

int
dm_registrations_init(struct dmamap_container *c)
{
	struct dm_cache *cache = dm_cache_new(c);

	if (cache == NULL)
		return -ENOMEM;
	LIST_INSERT_HEAD(&c->caches, cache, next);
	c->cache = cache;
	c->reclaim = dm_registrations_reclaim;
	return 0;
}

void
dm_registrations_fini(struct dmamap_container *c)
{
	struct dm_cache *cache;

	while ((cache = LIST_FIRST(&c->caches)) != NULL) {
		LIST_REMOVE(cache, next);
		free(cache);
	}
	c->cache = NULL;
}
