/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Unmaps: whole mappings, from every domain of a container, or none.
 *
 * Four steps:
 * 1. condemn: hide the mapping from translations (bookkeeping lock);
 * 2. wait for readers, clients and copies (no lock);
 * 3. unmap in every domain (topology lock for reading);
 * 4. release (bookkeeping lock).
 *
 * Called by users, zone.c, registration.c and evict.c.
 */

#include <errno.h>
#include <sched.h>

#include "dm_history.h"
#include "dm_mapping.h"
#include "dm_util.h"

/** Mappings that are processed in one hold of the bookkeeping lock, where there can be many. */
#define BATCH 64u

int
dm_unmap_begin(struct dmamap_container *c)
{
	while (c->frozen && !c->closed)
		dm_book_wait(c);
	if (c->closed)
		return -ESHUTDOWN;
	c->n_unmaps++;
	return 0;
}

void
dm_unmap_end(struct dmamap_container *c)
{
	c->n_unmaps--;
	dm_book_changed(c);
}

static void
unmap_wait_for_readers(const struct dmamap_container *c)
{
	const struct dmamap_readers *readers = &c->conf.readers;
	uint64_t token;

	dm_assert_unlocked();
	/* A forked child has none of its parent's reader threads, so the wait would never end. */
	if (readers->start == NULL || !dm_process_is(c->process))
		return;
	token = readers->start(readers->arg);
	/* Leave the CPU to the readers. */
	while (!readers->done(readers->arg, token))
		sched_yield();
}

/** The last mapping of the run that begins with m: adjacent in the list and in IOVAs. */
static struct dm_mapping *
run_end(struct dm_mapping *m, uint64_t *n)
{
	struct dm_mapping *next;

	for (*n = 1; (next = TAILQ_NEXT(m, work)) != NULL; (*n)++, m = next)
		if (m->range.last == UINT64_MAX || next->range.start != m->range.last + 1 ||
			next->zone != m->zone)
			break;
	return m;
}

static void
unmap_wait_for_copies(struct dmamap_container *c, const struct dm_work_list *list)
{
	const struct dm_mapping *m;

	dm_book_lock(c);
	TAILQ_FOREACH(m, list, work)
		while (m->copies > 0)
			dm_book_wait(c);
	dm_book_unlock(c);
}

/** Complete the unmap of a run of n mappings: release them, or revive them if not `gone`. */
static void
run_settle(struct dmamap_container *c, struct dm_work_list *list, struct dm_mapping *last,
	uint64_t n, bool gone, bool quarantine, struct dm_past_by by)
{
	struct dm_mapping *m;
	unsigned int i = 0;
	bool more;

	dm_book_lock(c);
	if (gone && !quarantine)
		dm_domains_entries(c, -(int64_t)n);
	do {
		m = TAILQ_FIRST(list);
		more = m != last;
		TAILQ_REMOVE(list, m, work);
		if (gone) {
			dm_history_add(c, m, by);
			dm_mapping_forget(c, m, quarantine);
		} else {
			dm_mapping_revive(c, m);
			dm_mapping_open(m);
		}
		if (more && ++i % BATCH == 0) {
			dm_book_unlock(c);
			dm_book_lock(c);
		}
	} while (more);
	dm_book_changed(c);
	dm_book_unlock(c);
}

int
dm_mappings_unmap(struct dmamap_container *c, struct dm_work_list *list)
{
	struct dm_mapping *m, *last;
	struct dmamap_range r;
	struct dm_past_by by;
	const uint64_t begin = dm_time_begin();
	bool quarantine;
	int rc, ret = 0;
	uint64_t n;

	unmap_wait_for_readers(c);
	for (m = TAILQ_FIRST(list); m != NULL; m = TAILQ_NEXT(last, work)) {
		last = run_end(m, &n);
		dm_clients_unmap(c, (struct dmamap_range){m->range.start, last->range.last});
	}
	unmap_wait_for_copies(c, list);
	TAILQ_FOREACH(m, list, work)
		dm_mapping_unwatch(m);
	by = dm_history_now();
	dm_topo_read(c);
	while ((m = TAILQ_FIRST(list)) != NULL) {
		last = run_end(m, &n);
		r = (struct dmamap_range){m->range.start, last->range.last};
		rc = dm_domains_unmap(c, r, m, last, &quarantine);
		dm_trace_unmap(c->name, r, n, rc);
		run_settle(c, list, last, n, rc == 0 || quarantine, quarantine, by);
		if (ret == 0)
			ret = rc;
	}
	dm_topo_unlock(c);
	dm_time_end(&c->counters, DM_TIME_UNMAP, begin);
	return dm_refused(c, DM_OP_UNMAP, ret);
}

/** Close a mapping to look-ups if it has no users. @return 0, or -EBUSY (logged) */
static int
mapping_close(const struct dmamap_container *c, struct dm_mapping *m)
{
	uint32_t none = 0;

	if (__atomic_compare_exchange_n(
		    &m->use, &none, DM_USE_CLOSED, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return 0;
	return DM_FAIL(EBUSY,
		"container %s: unmap of " DM_RANGE_FMT ": %u registrations "
		"are in use there: dmamap_deregister() first",
		c->name, DM_RANGE_ARG(m->range), none & ~DM_USE_CLOSED);
}

/** Check that the caller owns m: zones unmap their own, evictions registrations. Close it. */
static int
unmap_check_owner(
	const struct dmamap_container *c, struct dm_mapping *m, const struct dmamap_zone *zone)
{
	if (m->zone == zone && (m->cache == NULL || !dm_mapping_is_idle(m)))
		return mapping_close(c, m);
	if (m->zone != NULL)
		return DM_FAIL(EINVAL,
			"container %s: unmap of " DM_RANGE_FMT
			": it belongs to zone %s: use dmamap_zone_free()",
			c->name, DM_RANGE_ARG(m->range), m->zone->name);
	return DM_FAIL(EINVAL,
		"container %s: unmap of " DM_RANGE_FMT ": it is a registration: use "
		"dmamap_invalidate()",
		c->name, DM_RANGE_ARG(m->range));
}

/** Check that a mapping is the next whole part of r, and that the caller owns it; close it. */
static int
unmap_check_next(const struct dmamap_container *c, struct dmamap_range r, dmamap_iova_t at,
	struct dm_mapping *m, const struct dmamap_zone *zone)
{
	if (m == NULL || m->state != DM_LIVE)
		return DM_FAIL(ENOENT,
			"container %s: unmap of " DM_RANGE_FMT ": nothing is mapped at 0x%" PRIx64,
			c->name, DM_RANGE_ARG(r), at);
	if (m->range.start != at || m->range.last > r.last)
		return DM_FAIL(EINVAL,
			"container %s: unmap of " DM_RANGE_FMT
			" would cut the mapping " DM_RANGE_FMT ": unmap whole mappings",
			c->name, DM_RANGE_ARG(r), DM_RANGE_ARG(m->range));
	return unmap_check_owner(c, m, zone);
}

/** Revive and reopen all of a list. */
static void
unmap_revive_all(struct dmamap_container *c, struct dm_work_list *list)
{
	struct dm_mapping *m;

	while ((m = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, m, work);
		dm_mapping_revive(c, m);
		dm_mapping_open(m);
	}
}

/**
 * The mapping at the start of a range that is about to be unmapped; NULL: none. With very many
 * mappings, what an unmap reads is in no CPU cache: prefetch it in parallel.
 */
static struct dm_mapping *
mapping_to_unmap(const struct dmamap_container *c, struct dmamap_range r)
{
	struct dm_mapping *m;

	dm_xlate_prefetch(c->iova2va, r.start);
	dm_iova_prefetch(c->iova_space, r.start, dm_range_len(r));
	m = dm_mapping_at(c, r.start);
	if (m == NULL)
		return NULL;
	dm_xlate_prefetch(c->va2iova, m->vas.start);
	__builtin_prefetch(TAILQ_NEXT(m, next));
	__builtin_prefetch(m->next.tqe_prev);
	return m;
}

/**
 * Condemn the whole mappings that make up r, or none. Bookkeeping is held, and released in between
 * if there are many.
 */
static int
unmap_condemn_range(struct dmamap_container *c, struct dmamap_range r,
	const struct dmamap_zone *zone, struct dm_work_list *list)
{
	struct dm_mapping *m = mapping_to_unmap(c, r);
	dmamap_iova_t at = r.start;
	unsigned int i = 0;
	int rc;

	for (;; m = dm_mapping_at(c, at)) {
		rc = unmap_check_next(c, r, at, m, zone);
		if (rc < 0) {
			unmap_revive_all(c, list);
			return rc;
		}
		at = m->range.last + 1;
		dm_mapping_condemn(c, m, list);
		if (m->range.last == r.last)
			return 0;
		if (++i % BATCH == 0) {
			dm_book_unlock(c);
			dm_book_lock(c);
		}
	}
}

int
dm_unmap_range(struct dmamap_container *c, struct dmamap_range r, const struct dmamap_zone *zone)
{
	struct dm_work_list list = TAILQ_HEAD_INITIALIZER(list);
	int rc;

	dm_book_lock(c);
	rc = dm_unmap_begin(c);
	if (rc < 0) {
		/* A merge may have moved the zone before this container was destroyed. */
		if (zone != NULL && !dm_owner_is(&zone->c, c))
			rc = -ESTALE;
		goto unlock;
	}
	/* A merge may have moved the zone before this container was locked. */
	rc = zone == NULL || dm_owner_is(&zone->c, c) ? unmap_condemn_range(c, r, zone, &list)
						      : -ESTALE;
	if (rc != -ESTALE)
		dm_refused(c, DM_OP_UNMAP, rc);
	if (rc == 0) {
		dm_book_unlock(c);
		rc = dm_mappings_unmap(c, &list);
		dm_book_lock(c);
	}
	dm_unmap_end(c);
unlock:
	dm_book_unlock(c);
	return rc;
}

int
dmamap_unmap(struct dmamap_container *c, dmamap_iova_t iova, size_t len)
{
	if (c == NULL || len == 0 || iova + (len - 1) < iova)
		return dm_refused(c, DM_OP_UNMAP,
			DM_FAIL(EINVAL,
				"unmap at IOVA 0x%" PRIx64 ", 0x%zx bytes: no container, no "
				"length, or it wraps around",
				iova, len));
	return dm_unmap_range(c, dm_range(iova, len), NULL);
}
