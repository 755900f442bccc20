/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Creation and destruction of a container. Called by users, and by registry.c with the last
 * reference.
 *
 * Invariant: a container is destroyed only when it has no devices, clients or pools. Zones in the
 * making and unmaps in progress end first.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm_backend.h"
#include "dm_bounce.h"
#include "dm_history.h"
#include "dm_port.h"
#include "dm_util.h"

/** Place of the next container's linear map, modulo DM_LINEAR_PLACES. Atomic. */
static unsigned int next_place;

static int
container_check_conf(const struct dmamap_container_conf *conf)
{
	if (conf->name != NULL && (conf->name[0] == '\0' || strlen(conf->name) >= DMAMAP_NAME_MAX))
		return DM_FAIL(EINVAL, "container name \"%s\": must have 1 to %d characters",
			conf->name, DMAMAP_NAME_MAX - 1);
	if ((unsigned int)conf->backend > DMAMAP_BACKEND_NOIOMMU ||
		(unsigned int)conf->sharing > DMAMAP_ISOLATE)
		return DM_FAIL(EINVAL, "container: unknown backend %d or sharing %d", conf->backend,
			conf->sharing);
	if ((conf->readers.start == NULL) != (conf->readers.done == NULL) ||
		(conf->readers.start != NULL && conf->rcu != NULL))
		return DM_FAIL(
			EINVAL, "container: readers need both start and done, and exclude rcu");
	return 0;
}

/** Convert conf->rcu into reader callbacks. */
static int
container_resolve_readers(struct dmamap_container_conf *conf)
{
	int rc = conf->rcu == NULL ? 0 : dm_port_rcu_readers(conf->rcu, &conf->readers);

	return rc == 0 ? 0
		       : DM_FAIL(-rc,
				 "container: rcu needs a libdmamap with the EAL (-Deal=enabled); "
				 "use readers instead");
}

static int
container_make_tables(struct dmamap_container *c)
{
	int rc;

	rc = dm_iova_create(dm_align_page_sizes(c->page_sizes), &c->iova_space);
	if (rc == 0)
		rc = dm_units_create(&c->units);
	if (rc == 0)
		rc = dm_xlate_create(&c->conf.readers, &c->va2iova);
	if (rc == 0)
		rc = dm_xlate_create(&c->conf.readers, &c->iova2va);
	if (rc == 0)
		rc = dm_xlate_create(NULL, &c->index);
	if (rc == 0)
		rc = dm_alias_init(c);
	if (rc == 0)
		rc = dm_history_init(c);
	if (rc == 0)
		rc = dm_registrations_init(c);
	if (rc == 0)
		rc = dm_backend_host_reserved(c);
	if (rc == 0)
		rc = dm_usable_ranges(c, &c->usable);
	if (rc == 0)
		rc = dm_iova_set_usable(
			c->iova_space, &c->usable, dm_align_page_sizes(c->page_sizes), NULL);
	return rc;
}

static void
container_free_tables(struct dmamap_container *c)
{
	free(c->host_resv);
	dm_conflicts_clear(c);
	dm_linear_destroy(c->linear);
	dm_range_set_clear(&c->usable);
	dm_range_set_clear(&c->beyond);
	dm_range_set_clear(&c->quarantined);
	dm_registrations_fini(c);
	free(c->aliases.buckets);
	dm_history_fini(c);
	dm_xlate_destroy(c->index);
	dm_xlate_destroy(c->iova2va);
	dm_xlate_destroy(c->va2iova);
	dm_units_destroy(c->units);
	if (c->iova_space != NULL)
		dm_iova_destroy(c->iova_space);
	dm_mapping_retire(c);
}

static void
container_init_locks(struct dmamap_container *c)
{
	pthread_rwlockattr_t attr;
	pthread_mutexattr_t book;

	pthread_rwlockattr_init(&attr);
	/* Prefer writers: otherwise an attach could wait for ever while others map and unmap. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&c->topo, &attr);
	pthread_rwlockattr_destroy(&attr);
	/*
	 * Held for less time than it takes to sleep and to be woken, so a thread that finds it
	 * locked spins for a while before it sleeps.
	 */
	pthread_mutexattr_init(&book);
	pthread_mutexattr_settype(&book, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&c->book, &book);
	pthread_mutexattr_destroy(&book);
	pthread_cond_init(&c->changed, NULL);
}

static void
container_free(struct dmamap_container *c)
{
	container_free_tables(c);
	dm_backend_fini(c);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->book);
	pthread_rwlock_destroy(&c->topo);
	free(c);
}

/** Undo all mappings and reservations. No device is attached, and nothing can be added. */
static void
container_empty(struct dmamap_container *c)
{
	struct dm_reservation *r;
	struct dm_mapping *m;

	dm_registrations_unlisten(c);
	dm_bounces_fini(c);
	dm_zones_drop(c);
	dm_topo_write(c);
	dm_book_lock(c);
	while ((m = TAILQ_FIRST(&c->mappings)) != NULL)
		dm_mapping_drop(c, m);
	while (c->reservations != NULL) {
		r = *(struct dm_reservation **)c->reservations;
		dm_reservation_remove(c, r, true);
		free(r);
	}
	dm_book_unlock(c);
	dm_backend_close(c);
	dm_topo_unlock(c);
}

/**
 * Block additions, and wait for operations in progress.
 * @return 0, or -EBUSY: a device, client or pool is attached (logged)
 */
static int
container_close(struct dmamap_container *c)
{
	const struct dmamap_zone *z;
	const char *who = NULL;

	dm_topo_write(c);
	dm_book_lock(c);
	if (!TAILQ_EMPTY(&c->devices))
		who = TAILQ_FIRST(&c->devices)->name;
	else if (!LIST_EMPTY(&c->clients))
		who = LIST_FIRST(&c->clients)->name;
	LIST_FOREACH(z, &c->zones, next)
		if (who == NULL && z->holds_ref)
			who = z->name;
	c->closed = who == NULL;
	dm_book_changed(c);
	if (who != NULL)
		DM_LOG(ERR,
			"container %s: cannot destroy: device, client or pool %s is still "
			"attached: detach or destroy it first",
			c->name, who);
	dm_book_unlock(c);
	dm_topo_unlock(c);
	if (who != NULL)
		return -EBUSY;
	dm_book_lock(c);
	while (c->n_unmaps > 0 || c->n_making > 0)
		dm_book_wait(c);
	dm_book_unlock(c);
	return 0;
}

/** The last reference is gone. Devices and clients hold one each, so none is attached. */
static void
container_teardown(struct dmamap_container *c)
{
	/* Releasing zones gets and puts references, so the count must not reach 0 again. */
	c->refs = 1;
	if (!c->closed && container_close(c) == 0)
		container_empty(c);
	container_free(c);
}

int
dmamap_container_create_sized(
	const struct dmamap_container_conf *given, size_t size, struct dmamap_container **out)
{
	struct dmamap_container_conf conf = {0};
	struct dmamap_container *c;
	int rc;

	if (out == NULL)
		return -EINVAL;
	if (given != NULL)
		memcpy(&conf, given, DM_MIN(size, sizeof(conf)));
	rc = container_check_conf(&conf);
	if (rc == 0)
		rc = container_resolve_readers(&conf);
	if (rc < 0)
		return rc;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	container_init_locks(c);
	TAILQ_INIT(&c->domains);
	TAILQ_INIT(&c->devices);
	TAILQ_INIT(&c->mappings);
	TAILQ_INIT(&c->inflight);
	TAILQ_INIT(&c->free_mappings);
	c->refs = 1;
	c->process = dm_process_id();
	c->teardown = container_teardown;
	c->conf = conf;
	c->conf.name = c->name;
	c->backend = conf.backend;
	c->mask_last = UINT64_MAX;
	c->linear_iova = DM_LINEAR_MAX *
		(1 + __atomic_fetch_add(&next_place, 1, __ATOMIC_RELAXED) % DM_LINEAR_PLACES);
	/* Until a device is attached: the system's page, and hugepages that every IOMMU maps. */
	c->page_sizes = sysconf(_SC_PAGESIZE) | (UINT64_C(1) << 21) | (UINT64_C(1) << 30);

	rc = dm_backend_init(c);
	if (rc == 0)
		rc = container_make_tables(c);
	if (rc == 0)
		rc = dm_registry_add(c, conf.name);
	if (rc < 0) {
		container_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

int
dmamap_container_destroy(struct dmamap_container *c)
{
	int rc;

	if (c == NULL)
		return 0;
	rc = container_close(c);
	if (rc < 0)
		return rc;
	dm_registry_remove(c);
	container_empty(c);
	dmamap_container_put(c);
	return 0;
}

const char *
dmamap_container_name(const struct dmamap_container *c)
{
	return c->name;
}
