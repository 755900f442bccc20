/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The containers of this process: their list, their names and their reference counts.
 *
 * Invariant: a container in the list has at least one reference. Called by users and the
 * files above this one.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_container.h"

/* Both are guarded by the list lock. */
static TAILQ_HEAD(, dmamap_container) containers = TAILQ_HEAD_INITIALIZER(containers);
static unsigned int next_number;

static struct dmamap_container *
registry_find(const char *name)
{
	struct dmamap_container *c;

	TAILQ_FOREACH(c, &containers, next)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

int
dm_registry_add(struct dmamap_container *c, const char *name)
{
	int rc = 0;

	dm_list_lock();
	if (name != NULL)
		snprintf(c->name, sizeof(c->name), "%s", name);
	else
		do
			snprintf(c->name, sizeof(c->name), "dmamap%u", next_number++);
		while (registry_find(c->name) != NULL);
	if (registry_find(c->name) != NULL)
		rc = -EEXIST;
	else
		TAILQ_INSERT_TAIL(&containers, c, next);
	dm_list_unlock();
	return rc == 0 ? 0 : DM_FAIL(EEXIST, "container %s: the name is in use", c->name);
}

void
dm_registry_remove(struct dmamap_container *c)
{
	dm_list_lock();
	TAILQ_REMOVE(&containers, c, next);
	c->next.tqe_prev = NULL;
	dm_list_unlock();
}

struct dmamap_container *
dmamap_container_get(struct dmamap_container *c)
{
	if (c != NULL)
		__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void
dmamap_container_put(struct dmamap_container *c)
{
	unsigned int refs;

	if (c == NULL)
		return;
	refs = __atomic_load_n(&c->refs, __ATOMIC_RELAXED);
	while (refs > 1)
		if (__atomic_compare_exchange_n(
			    &c->refs, &refs, refs - 1, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return;
	/* Look-ups hold the list lock, so they find no container whose count is 0. */
	dm_list_lock();
	refs = __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL);
	if (refs == 0 && c->next.tqe_prev != NULL)
		TAILQ_REMOVE(&containers, c, next);
	dm_list_unlock();
	if (refs == 0)
		c->teardown(c);
}

struct dmamap_container *
dmamap_container_by_name(const char *name)
{
	struct dmamap_container *c;

	if (name == NULL)
		return NULL;
	dm_list_lock();
	c = dmamap_container_get(registry_find(name));
	dm_list_unlock();
	return c;
}

int
dm_containers_walk(int (*fn)(struct dmamap_container *c, void *arg), void *arg)
{
	struct dmamap_container **all = NULL, *c;
	unsigned int n = 0, i = 0;
	int rc = 0;

	dm_list_lock();
	TAILQ_FOREACH(c, &containers, next)
		n++;
	if (n > 0)
		all = calloc(n, sizeof(all[0]));
	if (all != NULL)
		TAILQ_FOREACH(c, &containers, next)
			all[i++] = dmamap_container_get(c);
	dm_list_unlock();
	if (n > 0 && all == NULL)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		if (rc == 0)
			rc = fn(all[i], arg);
		dmamap_container_put(all[i]);
	}
	free(all);
	return rc;
}

struct by_device {
	const char *name;
	struct dmamap_container *found;
};

static int
registry_check_device(struct dmamap_container *c, void *arg)
{
	const struct dmamap_client *client;
	struct by_device *by = arg;
	bool found;

	dm_book_lock(c);
	found = dm_device_find(c, by->name) != NULL;
	LIST_FOREACH(client, &c->clients, next)
		found = found || strcmp(client->name, by->name) == 0;
	dm_book_unlock(c);
	if (found)
		by->found = dmamap_container_get(c);
	return found;
}

struct dmamap_container *
dmamap_container_by_device(const char *dev)
{
	struct by_device by = {dev, NULL};

	if (dev != NULL)
		dm_containers_walk(registry_check_device, &by);
	return by.found;
}
