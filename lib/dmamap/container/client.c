/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Software devices (clients): copies to and from memory through a container's mappings, and a
 * callback before a mapping is removed.
 *
 * Callbacks and copies run under no lock. Invariant: an unmap waits for copies in progress, and a
 * detach waits for callbacks in progress. Called by users; dm_clients_unmap() by unmap.c.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_container.h"
#include "dm_util.h"

int
dmamap_client_attach(struct dmamap_container *c, const struct dmamap_client_conf *conf,
	struct dmamap_client **out)
{
	struct dmamap_client *client;
	int rc = 0;

	if (c == NULL || conf == NULL || out == NULL)
		return DM_FAIL(
			EINVAL, "client: container, configuration or result pointer is NULL");
	rc = dm_process_check(c->process, c->name, "client");
	if (rc < 0)
		return rc;
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return -ENOMEM;
	client->c = c;
	client->unmap = conf->unmap;
	client->arg = conf->arg;
	snprintf(client->name, sizeof(client->name), "%s",
		conf->name != NULL ? conf->name : "client");
	/* Under topology: a merge checks that there is no client, and none may come after. */
	dm_topo_read(c);
	dm_book_lock(c);
	if (c->closed)
		rc = DM_FAIL(ESHUTDOWN, "container %s: client %s: it is being destroyed", c->name,
			client->name);
	else
		LIST_INSERT_HEAD(&c->clients, client, next);
	dm_book_unlock(c);
	dm_topo_unlock(c);
	if (rc < 0) {
		free(client);
		return rc;
	}
	dmamap_container_get(c);
	*out = client;
	return 0;
}

void
dmamap_client_detach(struct dmamap_client *client)
{
	struct dmamap_container *c;

	if (client == NULL)
		return;
	c = client->c;
	dm_book_lock(c);
	while (client->calls > 0)
		dm_book_wait(c);
	LIST_REMOVE(client, next);
	dm_book_unlock(c);
	free(client);
	dmamap_container_put(c);
}

void
dm_clients_unmap(struct dmamap_container *c, struct dmamap_range r)
{
	struct dmamap_client *client;

	dm_assert_unlocked();
	dm_book_lock(c);
	/* A client with a callback in progress stays in the list, so iteration can continue. */
	LIST_FOREACH(client, &c->clients, next) {
		if (client->unmap == NULL)
			continue;
		client->calls++;
		dm_book_unlock(c);
		client->unmap(client->arg, r);
		dm_book_lock(c);
		client->calls--;
		dm_book_changed(c);
	}
	dm_book_unlock(c);
}

/**
 * Check that all of r is mapped with this permission. If so, none of it is unmapped until
 * copies_end().
 */
static bool
copies_begin(struct dmamap_container *c, struct dmamap_range r, uint32_t prot)
{
	dmamap_iova_t at = r.start;
	struct dm_mapping *m;

	for (;;) {
		m = dm_mapping_at(c, at);
		if (m == NULL || m->state != DM_LIVE || !(m->flags & prot))
			break;
		m->copies++;
		if (m->range.last >= r.last)
			return true;
		at = m->range.last + 1;
	}
	while (at > r.start) {
		m = dm_mapping_at(c, at - 1);
		m->copies--;
		at = m->range.start;
	}
	dm_book_changed(c);
	return false;
}

static void
copies_end(struct dmamap_container *c, struct dmamap_range r)
{
	dmamap_iova_t at = r.start;
	struct dm_mapping *m;

	for (;; at = m->range.last + 1) {
		m = dm_mapping_at(c, at);
		m->copies--;
		if (m->range.last >= r.last)
			break;
	}
	dm_book_changed(c);
}

/** Copy between buf and what is mapped at iova. prot: READ copies to buf, WRITE from it. */
static int
client_transfer(
	struct dmamap_client *client, dmamap_iova_t iova, char *buf, size_t len, uint32_t prot)
{
	const struct dmamap_range r = dm_range(iova, len);
	struct dmamap_container *c;
	const struct dm_mapping *m;
	size_t part;
	bool may;
	char *va;

	if (client == NULL || buf == NULL || len == 0 || iova + (len - 1) < iova)
		return -EINVAL;
	c = client->c;
	dm_book_lock(c);
	may = copies_begin(c, r, prot);
	dm_book_unlock(c);
	if (!may)
		return -EFAULT;
	/* The index is read without a lock: entries in r cannot change until copies_end(). */
	while (len > 0) {
		m = dm_mapping_at(c, iova);
		part = DM_MIN(len - 1, m->range.last - iova) + 1;
		va = (char *)dm_mapping_va(m) + (iova - m->range.start);
		memcpy(prot == DMAMAP_READ ? buf : va, prot == DMAMAP_READ ? va : buf, part);
		buf += part;
		iova += part;
		len -= part;
	}
	dm_book_lock(c);
	copies_end(c, r);
	dm_book_unlock(c);
	return 0;
}

int
dmamap_client_read(struct dmamap_client *client, dmamap_iova_t iova, void *dst, size_t len)
{
	return client_transfer(client, iova, dst, len, DMAMAP_READ);
}

int
dmamap_client_write(struct dmamap_client *client, dmamap_iova_t iova, const void *src, size_t len)
{
	return client_transfer(client, iova, (char *)(uintptr_t)src, len, DMAMAP_WRITE);
}
