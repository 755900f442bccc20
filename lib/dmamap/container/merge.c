/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A merge: two containers become one, in all domains of both or not at all. Called by users.
 *
 * Both containers are frozen first: no unmap is in progress, and none begins before the merge is
 * over. So every mapping is LIVE. Then both topology locks are taken for writing. Steps that can
 * fail come first and are undone on failure: enter the tables of `into`, replay both ways. The
 * steps that move lists and owners cannot fail.
 */

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "dm_bounce.h"
#include "dm_history.h"
#include "dm_util.h"

/** Attempts of a merge; a retry evicts registrations that became idle meanwhile. */
#define MERGE_ATTEMPTS 8u

/** Memory that a merge allocates before it begins. */
struct merge {
	struct dmamap_container *into, *from;
	struct dm_merged *merged;
	struct dm_cache *cache; /**< an empty one, for `from` */
};

/** Block new unmaps, and wait for those in progress. Under no lock. */
static void
container_freeze(struct dmamap_container *c)
{
	dm_book_lock(c);
	while (c->frozen)
		dm_book_wait(c);
	c->frozen = true;
	while (c->n_unmaps > 0)
		dm_book_wait(c);
	dm_book_unlock(c);
}

static void
container_thaw(struct dmamap_container *c)
{
	dm_book_lock(c);
	c->frozen = false;
	dm_book_changed(c);
	dm_book_unlock(c);
}

static uint64_t
container_min_entries(const struct dmamap_container *c)
{
	const struct dm_domain *d;
	uint64_t least = UINT64_MAX;

	TAILQ_FOREACH(d, &c->domains, next)
		least = DM_MIN(least, d->info.entries_left);
	return least;
}

/** Check that the domains of each may lock what the other has mapped. */
static int
merge_check_memlock(const struct dmamap_container *into, const struct dmamap_container *from)
{
	const unsigned int by_into = dm_domains_charges(into), by_from = dm_domains_charges(from);
	unsigned int mark;
	int rc;

	if (into->conf.as_linux)
		return 0;
	dm_log_defer();
	mark = dm_log_mark();
	rc = dm_pin_memlock_check(
		from->mapped_len * by_into + into->mapped_len * by_from, into->name);
	/* Memory that the kernel does not charge is looked up only if the plain sum is too much. */
	if (rc < 0) {
		dm_log_forget(mark);
		rc = dm_pin_memlock_check(dm_mappings_chargeable(from) * by_into +
				dm_mappings_chargeable(into) * by_from,
			into->name);
	}
	dm_log_flush();
	return rc;
}

/** Check that each has map entries and lockable memory for the mappings of the other. */
static int
merge_check_limits(const struct dmamap_container *into, const struct dmamap_container *from)
{
	if (container_min_entries(into) < from->n_mappings ||
		container_min_entries(from) < into->n_mappings)
		return DM_FAIL(ENOSPC,
			"container %s: cannot merge %s: %" PRIu64 " and %" PRIu64 " mappings "
			"need as many entries in the other's domains, which have %" PRIu64
			" and %" PRIu64 " left: map fewer, longer runs",
			into->name, from->name, from->n_mappings, into->n_mappings,
			container_min_entries(into), container_min_entries(from));
	return merge_check_memlock(into, from);
}

/** Whether both use the same backend, or c can use the other's. */
static bool
merge_backend_fits(const struct dmamap_container *c, const struct dmamap_container *other)
{
	if (c->backend == other->backend)
		return true;
	/* AUTO has not chosen yet: the other's backend is used for both. */
	return c->iommu == NULL && c->conf.backend == DMAMAP_BACKEND_AUTO &&
		other->backend != DMAMAP_BACKEND_NOIOMMU;
}

/** Check that `from` has no clients: they remember IOVAs of this container only. */
static int
merge_check_clients(const struct dmamap_container *into, const struct dmamap_container *from)
{
	const struct dmamap_client *client;
	int rc = 0;

	dm_book_lock(from);
	client = LIST_FIRST(&from->clients);
	if (client != NULL)
		rc = DM_FAIL(EBUSY,
			"container %s: cannot merge %s: its client %s is attached: detach it first",
			into->name, from->name, client->name);
	dm_book_unlock(from);
	return rc;
}

static int
merge_check(struct dmamap_container *into, struct dmamap_container *from)
{
	int rc;

	dm_conflicts_clear(into);
	if (dm_process_check(into->process, into->name, "merge") < 0 ||
		dm_process_check(from->process, from->name, "merge") < 0)
		return -ECHILD;
	/* A cache was armed since merge_run(): memory is watched, and `into` does not listen. */
	if (dm_registrations_listening(from) && !dm_registrations_listening(into))
		return -EAGAIN;
	if (into->closed || from->closed)
		return DM_FAIL(ESHUTDOWN, "container %s: cannot merge %s: one is being destroyed",
			into->name, from->name);
	if ((!merge_backend_fits(into, from) && !merge_backend_fits(from, into)) ||
		into->conf.kernel != from->conf.kernel)
		return DM_FAIL(EINVAL, "container %s: cannot merge %s: it has another backend",
			into->name, from->name);
	rc = merge_check_clients(into, from);
	if (rc < 0)
		return rc;
	dm_conflicts_of_merge(into, from);
	rc = dm_conflicts_report(into, "merge", from->name, "release one first");
	return rc < 0 ? rc : merge_check_limits(into, from);
}

/** Quarantine a range: a domain of c keeps a mapping there that is not one of c's. */
static void
container_quarantine(struct dmamap_container *c, struct dmamap_range r)
{
	int rc;

	dm_book_lock(c);
	dm_quarantine(c, r);
	rc = dm_iova_reserve_fixed(c->iova_space, r.start, dm_range_len(r));
	/*
	 * -EEXIST: already live as a mapping, which disown() leaves so, or as a reservation.
	 * -ERANGE: never handed out.
	 */
	if (rc < 0 && rc != -EEXIST && rc != -ERANGE)
		DM_LOG(ERR,
			"container %s: cannot record the quarantine of " DM_RANGE_FMT
			": out of memory",
			c->name, DM_RANGE_ARG(r));
	dm_book_unlock(c);
}

/** Unmap the first n mappings of `of` from a domain of another container. */
static void
domain_unreplay(struct dmamap_container *c, struct dm_domain *d, const struct dmamap_container *of,
	uint64_t n)
{
	const struct dm_mapping *m;
	uint64_t done;

	TAILQ_FOREACH(m, &of->mappings, next) {
		if (n-- == 0)
			return;
		if (dm_domain_unmap_call(c, d, m->range, &done) < 0 ||
			done != dm_range_len(m->range)) {
			DM_LOG(ERR,
				"container %s: domain %u still maps " DM_RANGE_FMT
				" of container %s",
				c->name, d->dom->id, DM_RANGE_ARG(m->range), of->name);
			container_quarantine(c, m->range);
		} else {
			dm_domain_count_entries(d, -1);
		}
	}
}

/** Map the mappings of `of` into all domains of c, or into none. */
static int
container_replay(struct dmamap_container *c, const struct dmamap_container *of)
{
	const struct dm_mapping *m;
	struct dm_domain *d;
	uint64_t n;
	int rc = 0;

	TAILQ_FOREACH(d, &c->domains, next) {
		n = 0;
		TAILQ_FOREACH(m, &of->mappings, next) {
			rc = dm_domain_map(c, d, m);
			if (rc < 0)
				goto undo;
			dm_domain_count_entries(d, 1);
			n++;
		}
	}
	return 0;

undo:
	domain_unreplay(c, d, of, n);
	while ((d = TAILQ_PREV(d, dm_domain_list, next)) != NULL)
		domain_unreplay(c, d, of, of->n_mappings);
	return rc;
}

static void
container_unreplay(struct dmamap_container *c, const struct dmamap_container *of)
{
	struct dm_domain *d;

	TAILQ_FOREACH(d, &c->domains, next)
		domain_unreplay(c, d, of, of->n_mappings);
}

/** Remove mappings from the tables of a container. */
static void
mappings_disown(struct dmamap_container *c, const struct dm_mapping_list *list)
{
	struct dm_mapping *m;

	dm_book_lock(c);
	TAILQ_FOREACH(m, list, next)
		dm_mapping_disown(c, m);
	dm_book_unlock(c);
}

/** Add the mappings of `from` to the tables of `into`, all or none. */
static int
merge_adopt_mappings(struct dmamap_container *into, struct dmamap_container *from)
{
	struct dm_mapping *m;
	int rc = 0;

	dm_book_lock(into);
	TAILQ_FOREACH(m, &from->mappings, next) {
		rc = dm_mapping_adopt(into, m);
		if (rc < 0)
			break;
	}
	if (rc < 0)
		while ((m = TAILQ_PREV(m, dm_mapping_list, next)) != NULL)
			dm_mapping_disown(into, m);
	dm_book_unlock(into);
	return rc;
}

/** The reservations of a container, as an array. */
struct reservation_list {
	struct dm_reservation **r;
	unsigned int n, cap;
};

static void
reservation_list_add(const void *node, VISIT which, void *arg)
{
	struct reservation_list *l = arg;

	if (which != postorder && which != leaf)
		return;
	if (l->n < l->cap)
		l->r[l->n] = *(struct dm_reservation *const *)node;
	l->n++;
}

/** Remove the first n reservations of a list from a container. */
static void
reservations_leave(struct dmamap_container *c, const struct reservation_list *l, unsigned int n)
{
	while (n-- > 0)
		dm_reservation_remove(c, l->r[n], true);
}

static int
reservations_enter(struct dmamap_container *c, const struct reservation_list *l)
{
	struct dmamap_range range;
	unsigned int i;
	int rc;

	for (i = 0; i < l->n; i++) {
		range = l->r[i]->range;
		rc = dm_iova_reserve_fixed(c->iova_space, range.start, dm_range_len(range));
		if (rc == 0) {
			rc = dm_reservation_enter(c, l->r[i]);
			if (rc < 0)
				dm_iova_release(c->iova_space, range.start, dm_range_len(range));
		}
		if (rc < 0) {
			reservations_leave(c, l, i);
			return rc;
		}
	}
	return 0;
}

/** Move the reservations, all or none. */
static int
merge_adopt_reservations(struct dmamap_container *into, struct dmamap_container *from)
{
	struct reservation_list l = {0};
	int rc;

	twalk_r(from->reservations, reservation_list_add, &l);
	if (l.n == 0)
		return 0;
	l.r = calloc(l.n, sizeof(l.r[0]));
	if (l.r == NULL)
		return -ENOMEM;
	l.cap = l.n;
	l.n = 0;
	twalk_r(from->reservations, reservation_list_add, &l);
	dm_book_lock_both(into, from);
	rc = reservations_enter(into, &l);
	if (rc == 0)
		reservations_leave(from, &l, l.n);
	dm_book_unlock_both(into, from);
	free(l.r);
	return rc;
}

/** Remove the devices before `end`, and their groups, from the trees of a container. */
static void
devices_leave_trees(struct dmamap_container *c, const struct dmamap_container *of,
	const struct dmamap_device *end)
{
	struct dmamap_device *d;

	for (d = TAILQ_FIRST(&of->devices); d != end; d = TAILQ_NEXT(d, next)) {
		tdelete(d, &c->devices_by_name, dm_device_cmp);
		if (d->group->first == d)
			tdelete(d->group, &c->groups, dm_group_cmp);
	}
}

/**
 * Add devices and groups of `from` to the trees of `into`, all or none. merge_move_devices() moves
 * lists and counts later.
 */
static int
merge_adopt_devices(struct dmamap_container *into, struct dmamap_container *from)
{
	struct dmamap_device *d;

	dm_book_lock(into);
	TAILQ_FOREACH(d, &from->devices, next) {
		if (tsearch(d, &into->devices_by_name, dm_device_cmp) == NULL)
			break;
		if (d->group->first == d &&
			tsearch(d->group, &into->groups, dm_group_cmp) == NULL) {
			tdelete(d, &into->devices_by_name, dm_device_cmp);
			break;
		}
	}
	if (d != NULL)
		devices_leave_trees(into, from, d);
	dm_book_unlock(into);
	return d == NULL ? 0 : -ENOMEM;
}

/** Move the quarantine: the domains that may translate these ranges move too. */
static void
merge_move_quarantine(struct dmamap_container *into, struct dmamap_container *from)
{
	struct dmamap_range r, live;
	unsigned int i;

	for (i = 0; i < from->quarantined.n; i++) {
		r = from->quarantined.r[i];
		container_quarantine(into, r);
		dm_book_lock(from);
		while (dm_iova_next_live(from->iova_space, r.start, &live) == 0 &&
			live.last <= r.last)
			if (dm_iova_release(from->iova_space, live.start, dm_range_len(live)) < 0)
				break;
		dm_book_unlock(from);
	}
	dm_book_lock(from);
	dm_range_set_clear(&from->quarantined);
	from->quarantined_len = 0;
	dm_book_unlock(from);
}

/** Move the caches with their mappings; `from` gets an empty one. */
static void
merge_move_caches(struct merge *g)
{
	struct dmamap_container *into = g->into, *from = g->from;
	struct dm_cache *cache;
	struct dm_mapping *m;

	g->cache->limit = from->cache->limit;
	g->cache->mode = from->cache->mode;
	while ((cache = LIST_FIRST(&from->caches)) != NULL) {
		LIST_REMOVE(cache, next);
		LIST_INSERT_HEAD(&into->caches, cache, next);
		dm_owner_set(&cache->c, into);
		TAILQ_FOREACH(m, &cache->all, clock)
			if (m->flags & DMAMAP_ALIAS) {
				dm_alias_del(from, m);
				dm_alias_add(into, m);
			}
	}
	LIST_INSERT_HEAD(&from->caches, g->cache, next);
	__atomic_store_n(&from->cache, g->cache, __ATOMIC_RELEASE);
	g->cache = NULL;
}

/** Move the mappings, and the chunks that they and free mappings lie in. */
static void
merge_move_mappings(struct dmamap_container *into, struct dmamap_container *from)
{
	struct dm_mapping_chunk **end = &into->chunks;
	struct dm_mapping *m;

	TAILQ_FOREACH(m, &from->mappings, next)
		dm_owner_set(&m->c, into);
	TAILQ_CONCAT(&into->mappings, &from->mappings, next);
	TAILQ_CONCAT(&into->free_mappings, &from->free_mappings, work);
	while (*end != NULL)
		end = &(*end)->next;
	*end = from->chunks;
	from->chunks = NULL;
	into->n_mappings += from->n_mappings;
	into->mapped_len += from->mapped_len;
	into->plain_len += from->plain_len;
	into->registered_len += from->registered_len;
	from->n_mappings = from->mapped_len = from->plain_len = from->registered_len = 0;
}

static void
merge_move_devices(struct dmamap_container *into, struct dmamap_container *from)
{
	struct dmamap_device *d;
	struct dm_domain *dom;

	devices_leave_trees(from, from, NULL);
	TAILQ_FOREACH(d, &from->devices, next) {
		/*
		 * Move the device's reference. The caller holds one of `from`, so this is not the
		 * last.
		 */
		dmamap_container_get(into);
		dm_owner_set(&d->c, into);
		dmamap_container_put(from);
	}
	TAILQ_CONCAT(&into->devices, &from->devices, next);
	TAILQ_FOREACH(dom, &from->domains, next)
		dom->dom->id = into->next_domain_id++;
	TAILQ_CONCAT(&into->domains, &from->domains, next);
	into->n_domains += from->n_domains;
	into->n_devices += from->n_devices;
	into->n_groups += from->n_groups;
	from->n_domains = from->n_devices = from->n_groups = 0;
	__atomic_store_n(
		&into->mask_last, DM_MIN(dm_mask_last(into), dm_mask_last(from)), __ATOMIC_RELAXED);
	__atomic_store_n(&from->mask_last, UINT64_MAX, __ATOMIC_RELAXED);
}

static void
merge_move_zones(
	struct dmamap_container *into, struct dmamap_container *from, struct dm_merged *merged)
{
	struct dmamap_zone *z;

	while ((z = LIST_FIRST(&from->zones)) != NULL) {
		LIST_REMOVE(z, next);
		if (z->holds_ref)
			dmamap_container_get(into);
		dm_owner_set(&z->c, into);
		LIST_INSERT_HEAD(&into->zones, z, next);
		/* The caller holds a reference to `from`, so this is not the last. */
		if (z->holds_ref)
			dmamap_container_put(from);
	}
	dm_bounces_move(into, from);
	into->n_making += from->n_making;
	from->n_making = 0;
	merged->linear = from->linear;
	from->linear = NULL;
	from->no_linear = true;
}

/** Move lists, counts and owners. Cannot fail. */
static void
merge_hand_over(struct merge *g)
{
	struct dmamap_container *into = g->into, *from = g->from;

	mappings_disown(from, &from->mappings);
	merge_move_quarantine(into, from);
	dm_book_lock_both(into, from);
	merge_move_caches(g);
	merge_move_mappings(into, from);
	merge_move_zones(into, from, g->merged);
	merge_move_devices(into, from);
	dm_history_merge(into, from);
	if (into->iommu == NULL && from->iommu != NULL) {
		into->iommu = from->iommu;
		__atomic_store_n(&into->backend, from->backend, __ATOMIC_RELAXED);
	} else {
		g->merged->iommu = from->iommu;
	}
	from->iommu = NULL;
	__atomic_store_n(&from->backend, from->conf.backend, __ATOMIC_RELAXED);
	LIST_INSERT_HEAD(&into->merged, g->merged, next);
	g->merged = NULL;
	dm_book_unlock_both(into, from);
}

static int
merge_locked(struct merge *g)
{
	struct dmamap_container *into = g->into, *from = g->from;
	int rc;

	rc = merge_check(into, from);
	if (rc < 0)
		return rc;
	rc = merge_adopt_mappings(into, from);
	if (rc < 0)
		return rc;
	rc = container_replay(into, from);
	if (rc < 0)
		goto disown;
	rc = container_replay(from, into);
	if (rc < 0)
		goto unreplay_into;
	rc = merge_adopt_devices(into, from);
	if (rc < 0)
		goto unreplay_from;
	rc = merge_adopt_reservations(into, from);
	if (rc < 0)
		goto devices_leave;
	merge_hand_over(g);
	return 0;

devices_leave:
	dm_book_lock(into);
	devices_leave_trees(into, from, NULL);
	dm_book_unlock(into);
unreplay_from:
	container_unreplay(from, into);
unreplay_into:
	container_unreplay(into, from);
disown:
	mappings_disown(into, &from->mappings);
	return rc;
}

/** Evict idle registrations, so that a merge does not fail because of them. @return how many */
static uint64_t
merge_flush(const struct merge *g)
{
	return dm_registrations_flush(g->from) + dm_registrations_flush(g->into);
}

static int
merge_run(struct merge *g)
{
	int rc;

	/* Memory of `from` may be watched: `into` must listen before it gets the mappings. */
	if (dm_registrations_listening(g->from)) {
		rc = dm_registrations_listen(g->into);
		if (rc < 0)
			return rc;
	}
	/* In the order of addresses, as the locks. */
	container_freeze(DM_MIN(g->into, g->from));
	container_freeze(DM_MAX(g->into, g->from));
	dm_topo_write_both(g->into, g->from);
	rc = merge_locked(g);
	/* What both hold was checked against what both translate: only memory can run out here. */
	if (rc == 0 && dm_refresh(g->into, NULL) < 0)
		DM_LOG(WARNING,
			"container %s: usable IOVA ranges could not be narrowed after the merge: "
			"call dmamap_container_refresh()",
			g->into->name);
	dm_topo_unlock_both(g->into, g->from);
	container_thaw(g->into);
	container_thaw(g->from);
	return rc;
}

/** Retry after registrations that became idle before the freeze. */
static int
merge_retry(struct merge *g)
{
	unsigned int mark, attempt = 0;
	int rc;

	dm_log_defer();
	mark = dm_log_mark();
	merge_flush(g);
	for (;;) {
		rc = merge_run(g);
		if (rc == -EAGAIN)
			continue;
		if ((rc != -EADDRINUSE && rc != -EEXIST && rc != -ENOSPC && rc != -ENOMEM) ||
			++attempt == MERGE_ATTEMPTS || merge_flush(g) == 0)
			break;
		dm_log_forget(mark);
	}
	dm_log_flush();
	return rc;
}

int
dmamap_container_merge(struct dmamap_container *into, struct dmamap_container *from)
{
	struct merge g = {.into = into, .from = from};
	int rc = -ENOMEM;

	if (into == NULL || from == NULL || into == from)
		return DM_FAIL(EINVAL, "merge: two different containers are needed");
	g.merged = calloc(1, sizeof(*g.merged));
	g.cache = dm_cache_new(from);
	if (g.merged != NULL && g.cache != NULL)
		rc = merge_retry(&g);
	free(g.merged);
	free(g.cache);
	return rc;
}
