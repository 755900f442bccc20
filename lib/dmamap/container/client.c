/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does a device without hardware take part? Access through the mappings, and word before they
 * go.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dm_container.h"

int
dmamap_client_attach(struct dmamap_container *c, const struct dmamap_client_conf *conf,
	struct dmamap_client **out)
{
	struct dmamap_client *client;

	if (c == NULL || conf == NULL || out == NULL)
		return DM_FAIL(EINVAL, "client: no container, description or place for the result");
	client = calloc(1, sizeof(*client));
	if (client == NULL)
		return -ENOMEM;
	client->c = c;
	client->unmap = conf->unmap;
	client->arg = conf->arg;
	snprintf(client->name, sizeof(client->name), "%s",
		conf->name != NULL ? conf->name : "client");
	dm_lock(c);
	LIST_INSERT_HEAD(&c->clients, client, next);
	dm_unlock(c);
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
	dm_lock(c);
	LIST_REMOVE(client, next);
	dm_unlock(c);
	free(client);
}

void
dm_clients_unmap(struct dmamap_container *c, struct dmamap_range r)
{
	struct dmamap_client *client;

	LIST_FOREACH(client, &c->clients, next)
		if (client->unmap != NULL)
			client->unmap(client->arg, r);
}

/** Is all of r mapped with this permission? */
static bool
permitted(const struct dmamap_container *c, struct dmamap_range r, uint32_t prot)
{
	rte_iova_t at = r.start;
	const struct dm_mapping *m;

	for (;;) {
		m = dm_mapping_at(c, at);
		if (m == NULL || !(m->flags & prot))
			return false;
		if (m->range.last >= r.last)
			return true;
		at = m->range.last + 1;
	}
}

/** Copy between buf and what is mapped at iova; prot says which way. */
static int
transfer(struct dmamap_client *client, rte_iova_t iova, char *buf, size_t len, uint32_t prot)
{
	const struct dm_mapping *m;
	size_t part;
	char *va;
	int rc = 0;

	if (client == NULL || buf == NULL || len == 0 || iova + (len - 1) < iova)
		return -EINVAL;
	/* The lock keeps the mappings, and so the memory, until the copy is done. */
	dm_lock(client->c);
	if (!permitted(client->c, dm_range(iova, len), prot))
		rc = -EFAULT;
	while (rc == 0 && len > 0) {
		m = dm_mapping_at(client->c, iova);
		part = RTE_MIN(len - 1, m->range.last - iova) + 1;
		va = (char *)dm_mapping_va(m) + (iova - m->range.start);
		memcpy(prot == DMAMAP_READ ? buf : va, prot == DMAMAP_READ ? va : buf, part);
		buf += part;
		iova += part;
		len -= part;
	}
	dm_unlock(client->c);
	return rc;
}

int
dmamap_client_read(struct dmamap_client *client, rte_iova_t iova, void *dst, size_t len)
{
	return transfer(client, iova, dst, len, DMAMAP_READ);
}

int
dmamap_client_write(struct dmamap_client *client, rte_iova_t iova, const void *src, size_t len)
{
	return transfer(client, iova, (char *)(uintptr_t)src, len, DMAMAP_WRITE);
}
