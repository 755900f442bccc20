/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which containers are there? Making, finding, describing and destroying them.
 */

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_backend.h"

static TAILQ_HEAD(, dmamap_container) containers = TAILQ_HEAD_INITIALIZER(containers);
static pthread_mutex_t containers_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int next_number;
static unsigned int next_window;

static struct dmamap_container *
find_by_name(const char *name)
{
	struct dmamap_container *c;

	TAILQ_FOREACH(c, &containers, next)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static int
check_conf(const struct dmamap_container_conf *conf)
{
	if (conf->name != NULL && (conf->name[0] == '\0' || strlen(conf->name) >= DMAMAP_NAME_MAX))
		return DM_FAIL(EINVAL, "container name \"%s\": must have 1 to %d characters",
			conf->name, DMAMAP_NAME_MAX - 1);
	if ((unsigned int)conf->backend > DMAMAP_BACKEND_MODEL ||
		(unsigned int)conf->sharing > DMAMAP_ISOLATE)
		return DM_FAIL(EINVAL, "container: backend %d or sharing %d is none that is known",
			conf->backend, conf->sharing);
	if ((conf->backend == DMAMAP_BACKEND_MODEL) != (conf->model != NULL))
		return DM_FAIL(
			EINVAL, "container: the model backend goes with a model, and only it");
	return 0;
}

/** Enter a container in the list, under a name that no other has. */
static int
registry_add(struct dmamap_container *c, const char *name)
{
	int rc = 0;

	pthread_mutex_lock(&containers_lock);
	if (name != NULL)
		snprintf(c->name, sizeof(c->name), "%s", name);
	else
		do
			snprintf(c->name, sizeof(c->name), "dmamap%u", next_number++);
		while (find_by_name(c->name) != NULL);
	if (find_by_name(c->name) != NULL)
		rc = DM_FAIL(EEXIST, "container %s: the name is taken", c->name);
	else
		TAILQ_INSERT_TAIL(&containers, c, next);
	pthread_mutex_unlock(&containers_lock);
	return rc;
}

static int
make_tables(struct dmamap_container *c)
{
	int rc;

	rc = dm_iova_create(c->page_sizes, &c->space);
	if (rc == 0)
		rc = dm_xlate_create(c->conf.rcu, &c->va2iova);
	if (rc == 0)
		rc = dm_xlate_create(c->conf.rcu, &c->iova2va);
	if (rc == 0)
		rc = dm_xlate_create(NULL, &c->iova2mapping);
	if (rc == 0)
		rc = dm_backend_host_reserved(c);
	if (rc == 0)
		rc = dm_usable_ranges(c, &c->usable);
	if (rc == 0)
		rc = dm_iova_set_usable(c->space, &c->usable, c->page_sizes, NULL);
	return rc;
}

static void
free_tables(struct dmamap_container *c)
{
	free(c->host_resv);
	dm_conflicts_clear(c);
	dm_window_destroy(c->window);
	dm_range_set_clear(&c->usable);
	dm_range_set_clear(&c->fenced);
	dm_xlate_destroy(c->iova2mapping);
	dm_xlate_destroy(c->iova2va);
	dm_xlate_destroy(c->va2iova);
	if (c->space != NULL)
		dm_iova_destroy(c->space);
}

int
dmamap_container_create(const struct dmamap_container_conf *conf, struct dmamap_container **out)
{
	static const struct dmamap_container_conf defaults;
	struct dmamap_container *c;
	int rc;

	if (out == NULL)
		return -EINVAL;
	if (conf == NULL)
		conf = &defaults;
	rc = check_conf(conf);
	if (rc < 0)
		return rc;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	TAILQ_INIT(&c->domains);
	TAILQ_INIT(&c->devices);
	TAILQ_INIT(&c->mappings);
	TAILQ_INIT(&c->idle);
	TAILQ_INIT(&c->aliases);
	c->idle_limit = DM_IDLE_LIMIT;
	LIST_INIT(&c->zones);
	LIST_INIT(&c->clients);
	LIST_INIT(&c->merged);
	c->conf = *conf;
	c->conf.name = c->name;
	c->backend = conf->backend;
	c->mask_last = UINT64_MAX;
	dm_window_none(&c->shown);
	c->window_iova = DM_WINDOW_MAX *
		(1 + __atomic_fetch_add(&next_window, 1, __ATOMIC_RELAXED) % DM_WINDOW_PLACES);
	/* Until a device says otherwise: the system's page and those hugepages that every IOMMU
	 * knows. */
	c->page_sizes = sysconf(_SC_PAGESIZE) | (UINT64_C(1) << 21) | (UINT64_C(1) << 30);

	rc = make_tables(c);
	if (rc == 0)
		rc = registry_add(c, conf->name);
	if (rc < 0) {
		free_tables(c);
		pthread_mutex_destroy(&c->lock);
		free(c);
		return rc;
	}
	*out = c;
	return 0;
}

int
dmamap_container_destroy(struct dmamap_container *c)
{
	struct dm_mapping *m;
	struct dm_taken *t;

	if (c == NULL)
		return 0;
	dm_lock(c);
	if (!TAILQ_EMPTY(&c->devices) || !LIST_EMPTY(&c->clients)) {
		const char *who = TAILQ_EMPTY(&c->devices) ? LIST_FIRST(&c->clients)->name
							   : TAILQ_FIRST(&c->devices)->dev->name;

		dm_unlock(c);
		return DM_FAIL(
			EBUSY, "container %s: %s is still attached: detach it first", c->name, who);
	}
	dm_unlock(c);
	pthread_mutex_lock(&containers_lock);
	TAILQ_REMOVE(&containers, c, next);
	pthread_mutex_unlock(&containers_lock);

	dm_zones_drop(c);
	while ((m = TAILQ_FIRST(&c->mappings)) != NULL)
		dm_mapping_drop(c, m);
	while (c->taken != NULL) {
		t = *(struct dm_taken **)c->taken;
		tdelete(t, &c->taken, dm_range_cmp);
		free(t);
	}
	dm_backend_close(c);
	free_tables(c);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return 0;
}

const char *
dmamap_container_name(const struct dmamap_container *c)
{
	return c->name;
}

struct dmamap_container *
dmamap_container_by_name(const char *name)
{
	struct dmamap_container *c;

	pthread_mutex_lock(&containers_lock);
	c = name != NULL ? find_by_name(name) : NULL;
	pthread_mutex_unlock(&containers_lock);
	return c;
}

int
dm_containers_walk(int (*fn)(struct dmamap_container *c, void *arg), void *arg)
{
	struct dmamap_container *c;
	int rc = 0;

	pthread_mutex_lock(&containers_lock);
	TAILQ_FOREACH(c, &containers, next) {
		dm_lock(c);
		rc = fn(c, arg);
		dm_unlock(c);
		if (rc != 0)
			break;
	}
	pthread_mutex_unlock(&containers_lock);
	return rc;
}

static bool
has_device(const struct dmamap_container *c, const char *name)
{
	const struct dmamap_client *client;
	const struct dmamap_device *d;
	bool found = false;

	dm_lock(c);
	TAILQ_FOREACH(d, &c->devices, next)
		found = found || strcmp(d->dev->name, name) == 0;
	LIST_FOREACH(client, &c->clients, next)
		found = found || strcmp(client->name, name) == 0;
	dm_unlock(c);
	return found;
}

struct dmamap_container *
dmamap_container_by_device(const char *dev)
{
	struct dmamap_container *c;

	pthread_mutex_lock(&containers_lock);
	TAILQ_FOREACH(c, &containers, next)
		if (dev != NULL && has_device(c, dev))
			break;
	pthread_mutex_unlock(&containers_lock);
	return c;
}

int
dmamap_domain_by_device(const struct dmamap_container *c, const char *dev)
{
	const struct dmamap_device *d;
	int id = -ENODEV;

	if (c == NULL || dev == NULL)
		return -EINVAL;
	dm_lock(c);
	TAILQ_FOREACH(d, &c->devices, next)
		if (strcmp(d->dev->name, dev) == 0)
			id = d->domain->dom->id;
	dm_unlock(c);
	return id;
}

int
dmamap_domain_by_rid(const struct dmamap_container *c, uint16_t segment, uint16_t requester_id)
{
	char name[DMAMAP_NAME_MAX];

	snprintf(name, sizeof(name), "%04x:%02x:%02x.%x", segment, requester_id >> 8,
		requester_id >> 3 & 0x1f, requester_id & 7);
	return dmamap_domain_by_device(c, name);
}

static void
count_devices(const struct dmamap_container *c, struct dmamap_container_info *info)
{
	const struct dmamap_device *d, *e;

	TAILQ_FOREACH(d, &c->devices, next) {
		info->n_devices++;
		for (e = TAILQ_FIRST(&c->devices); e->dev->group != d->dev->group;)
			e = TAILQ_NEXT(e, next);
		info->n_groups += e == d;
	}
}

int
dmamap_container_info(const struct dmamap_container *c, struct dmamap_container_info *info)
{
	const struct dm_domain *d;

	if (c == NULL || info == NULL)
		return -EINVAL;
	memset(info, 0, sizeof(*info));
	dm_lock(c);
	info->backend = c->backend;
	info->n_domains = dm_domains_count(c);
	count_devices(c, info);
	info->page_sizes = c->page_sizes;
	info->n_mappings = c->n_mappings;
	info->mapped_len = c->mapped_len;
	info->taken_len = c->taken_len;
	info->fenced_len = c->fenced_len;
	info->map_calls = c->map_calls;
	info->unmap_calls = c->unmap_calls;
	info->entries_left = UINT64_MAX;
	info->coherent = info->n_domains > 0;
	TAILQ_FOREACH(d, &c->domains, next) {
		info->entries_left = RTE_MIN(info->entries_left, d->info.entries_left);
		info->coherent = info->coherent && d->info.coherent;
	}
	info->n_ranges = c->usable.n;
	memcpy(info->ranges, c->usable.r,
		RTE_MIN(c->usable.n, RTE_DIM(info->ranges)) * sizeof(info->ranges[0]));
	dm_unlock(c);
	return 0;
}
