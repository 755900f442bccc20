/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A mapping in the tables of its container: allocation, publication, withdrawal, release.
 *
 * Each function is one step of a mapping's life cycle. map.c and unmap.c call them in order and
 * hold the locks. See dm_mapping.h. Called by map.c, unmap.c, merge.c, zone.c, container.c
 * and the files of registrations.
 */

#include <errno.h>
#include <stdlib.h>

#include "dm_mapping.h"
#include "dm_util.h"

/**
 * Chunks of destroyed containers. They are reused and never freed. A look-up without a lock may
 * still read a mapping that a merge moved to a container that was destroyed since.
 */
static struct dm_mapping_chunk *retired;
static pthread_mutex_t retired_lock = PTHREAD_MUTEX_INITIALIZER;

static struct dm_mapping_chunk *
chunk_get(void)
{
	struct dm_mapping_chunk *chunk;

	pthread_mutex_lock(&retired_lock);
	chunk = retired;
	if (chunk != NULL)
		retired = chunk->next;
	pthread_mutex_unlock(&retired_lock);
	return chunk != NULL ? chunk : calloc(1, sizeof(*chunk));
}

void
dm_mapping_retire(struct dmamap_container *c)
{
	struct dm_mapping_chunk *chunk;

	pthread_mutex_lock(&retired_lock);
	while ((chunk = c->chunks) != NULL) {
		c->chunks = chunk->next;
		chunk->next = retired;
		retired = chunk;
	}
	pthread_mutex_unlock(&retired_lock);
}

struct dm_mapping *
dm_mapping_new(struct dmamap_container *c)
{
	struct dm_mapping *m = TAILQ_FIRST(&c->free_mappings);
	struct dm_mapping_chunk *chunk;
	unsigned int i;

	if (m == NULL) {
		chunk = chunk_get();
		if (chunk == NULL)
			return NULL;
		chunk->next = c->chunks;
		c->chunks = chunk;
		for (i = 0; i < DM_DIM(chunk->m); i++) {
			__atomic_store_n(&chunk->m[i].use, DM_USE_CLOSED, __ATOMIC_RELAXED);
			TAILQ_INSERT_TAIL(&c->free_mappings, &chunk->m[i], work);
		}
		m = TAILQ_FIRST(&c->free_mappings);
	}
	TAILQ_REMOVE(&c->free_mappings, m, work);
	return m;
}

void
dm_mapping_free(struct dmamap_container *c, struct dm_mapping *m)
{
	m->state = DM_FREE;
	TAILQ_INSERT_HEAD(&c->free_mappings, m, work);
}

void
dm_quarantine(struct dmamap_container *c, struct dmamap_range r)
{
	dm_assert_book(c);
	if (dm_range_set_contains(&c->quarantined, r))
		return;
	DM_LOG(ERR,
		"container %s: " DM_RANGE_FMT " is in quarantine: a domain may still translate "
		"it, so it is not allocated again",
		c->name, DM_RANGE_ARG(r));
	c->quarantined_len += dm_range_len(r);
	/* The allocator keeps the range as live. The set is for maps into a reservation. */
	if (dm_range_set_add(&c->quarantined, r) < 0)
		DM_LOG(ERR,
			"container %s: cannot record the quarantine of " DM_RANGE_FMT
			": out of memory",
			c->name, DM_RANGE_ARG(r));
}

void
dm_mapping_release_iovas(struct dmamap_container *c, const struct dm_mapping *m, bool quarantine)
{
	if (quarantine)
		dm_quarantine(c, m->range);
	else if (m->owns_iova && !dm_range_set_overlaps(&c->quarantined, m->range, NULL) &&
		dm_iova_release(c->iova_space, m->range.start, dm_range_len(m->range)) == 0)
		dm_usable_shed(c, m->range);
}

int
dm_mapping_publish(struct dmamap_container *c, const struct dm_mapping *m)
{
	uint64_t len = dm_range_len(m->range);
	int rc;

	rc = dm_xlate_insert(c->iova2va, m->range.start, m->vas.start, len);
	if (rc < 0 || (m->flags & DMAMAP_ALIAS))
		return rc;
	rc = dm_xlate_insert(c->va2iova, m->vas.start, m->range.start, len);
	if (rc < 0)
		dm_xlate_remove(c->iova2va, m->range.start, len);
	else
		dm_units_add(c->units, m->vas.start, m->range.start, len);
	return rc;
}

/** Stop translating the mapping's memory. */
static void
mapping_hide_va(struct dmamap_container *c, const struct dm_mapping *m)
{
	const uint64_t len = dm_range_len(m->vas);

	dm_units_del(c->units, m->vas.start, m->range.start, len);
	dm_xlate_remove(c->va2iova, m->vas.start, len);
}

void
dm_mapping_withdraw(struct dmamap_container *c, const struct dm_mapping *m)
{
	uint64_t len = dm_range_len(m->range);

	if (!(m->flags & DMAMAP_ALIAS))
		mapping_hide_va(c, m);
	dm_xlate_remove(c->iova2va, m->range.start, len);
}

int
dm_index_add(struct dmamap_container *c, struct dm_mapping *m)
{
	return dm_xlate_insert_object(c->index, m->range.start, dm_range_len(m->range), m);
}

void
dm_index_del(struct dmamap_container *c, const struct dm_mapping *m)
{
	dm_xlate_remove(c->index, m->range.start, dm_range_len(m->range));
}

void
dm_mapping_open(struct dm_mapping *m)
{
	if (m->cache != NULL)
		dm_cache_count_idle(m->cache, m, true);
	__atomic_store_n(&m->use, 0, __ATOMIC_RELEASE);
}

void
dm_mapping_count(struct dmamap_container *c, const struct dm_mapping *m, uint64_t len)
{
	c->mapped_len += len;
	if (m->zone != NULL || (m->flags & DMAMAP_ALIAS))
		return;
	if (m->cache != NULL)
		c->registered_len += len;
	else
		c->plain_len += len;
}

static void
mapping_make_alias(struct dmamap_container *c, struct dm_mapping *m)
{
	dm_mapping_count(c, m, -dm_range_len(m->range));
	__atomic_store_n(&m->flags, m->flags | DMAMAP_ALIAS, __ATOMIC_RELAXED);
	dm_mapping_count(c, m, dm_range_len(m->range));
	if (m->cache != NULL)
		dm_alias_add(c, m);
}

void
dm_mapping_condemn(struct dmamap_container *c, struct dm_mapping *m, struct dm_work_list *list)
{
	dm_mapping_withdraw(c, m);
	m->state = DM_DYING;
	TAILQ_INSERT_TAIL(list, m, work);
}

void
dm_mapping_revive(struct dmamap_container *c, struct dm_mapping *m)
{
	m->state = DM_LIVE;
	/* Rarely fails: the nodes of the tables from which it was withdrawn still exist. */
	if (dm_mapping_publish(c, m) == 0)
		return;
	DM_LOG(ERR,
		"container %s: " DM_RANGE_FMT " stays mapped but is not translated: out of "
		"memory, or its memory was mapped meanwhile",
		c->name, DM_RANGE_ARG(m->range));
	if (m->flags & DMAMAP_ALIAS)
		return;
	/* Its memory may be mapped a second time by now, so it becomes an alias. */
	mapping_make_alias(c, m);
}

void
dm_mapping_demote(struct dmamap_container *c, struct dm_mapping *m)
{
	if (m->flags & DMAMAP_ALIAS)
		return;
	mapping_hide_va(c, m);
	mapping_make_alias(c, m);
}

void
dm_mapping_unwatch(struct dm_mapping *m)
{
	dm_assert_may_sleep();
	if (!m->watched)
		return;
	dm_watch_del(&m->watch);
	__atomic_store_n(&m->watched, false, __ATOMIC_RELAXED);
	/* If it stays mapped, changes of its memory are no longer reported. */
	__atomic_store_n(&m->stale, true, __ATOMIC_SEQ_CST);
}

void
dm_mapping_forget(struct dmamap_container *c, struct dm_mapping *m, bool quarantine)
{
	dm_index_del(c, m);
	TAILQ_REMOVE(&c->mappings, m, next);
	if (m->cache != NULL) {
		TAILQ_REMOVE(&m->cache->all, m, clock);
		m->cache->n--;
		if (m->flags & DMAMAP_ALIAS)
			dm_alias_del(c, m);
	}
	c->n_mappings--;
	dm_mapping_count(c, m, -dm_range_len(m->range));
	dm_mapping_release_iovas(c, m, quarantine);
	dm_mapping_free(c, m);
}

void
dm_mapping_drop(struct dmamap_container *c, struct dm_mapping *m)
{
	dm_mapping_withdraw(c, m);
	__atomic_store_n(&m->use, DM_USE_CLOSED, __ATOMIC_RELAXED);
	dm_mapping_forget(c, m, false);
}

int
dm_mapping_adopt(struct dmamap_container *c, struct dm_mapping *m)
{
	int rc = 0;

	if (m->owns_iova)
		rc = dm_iova_reserve_fixed(c->iova_space, m->range.start, dm_range_len(m->range));
	if (rc < 0)
		return rc;
	rc = dm_index_add(c, m);
	if (rc < 0)
		goto release;
	rc = dm_mapping_publish(c, m);
	if (rc < 0)
		goto del;
	return 0;

del:
	dm_index_del(c, m);
release:
	if (m->owns_iova)
		dm_iova_release(c->iova_space, m->range.start, dm_range_len(m->range));
	return rc;
}

void
dm_mapping_disown(struct dmamap_container *c, struct dm_mapping *m)
{
	dm_mapping_withdraw(c, m);
	dm_index_del(c, m);
	dm_mapping_release_iovas(c, m, false);
}
