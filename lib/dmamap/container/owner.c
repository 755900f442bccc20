/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The owner of an object, which a merge or a move may change at any time. A caller gets a reference
 * to the owner, locks that container and checks the owner again. Called by the functions that are
 * passed a device, zone, client or mapping.
 */

#include "dm_container.h"

struct dmamap_container *
dm_owner_get(struct dmamap_container *const *owner)
{
	struct dmamap_container *c;

	dm_list_lock();
	c = *owner;
	if (c != NULL)
		__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	dm_list_unlock();
	return c;
}

bool
dm_owner_is(struct dmamap_container *const *owner, const struct dmamap_container *c)
{
	return __atomic_load_n(owner, __ATOMIC_RELAXED) == c;
}

void
dm_owner_set(struct dmamap_container **owner, struct dmamap_container *c)
{
	dm_list_lock();
	__atomic_store_n(owner, c, __ATOMIC_RELAXED);
	dm_list_unlock();
}

struct dmamap_container *
dm_owner_lock(struct dmamap_container *const *owner)
{
	struct dmamap_container *c;

	while ((c = dm_owner_get(owner)) != NULL) {
		dm_book_lock(c);
		if (dm_owner_is(owner, c))
			return c;
		dm_owner_unlock(c);
	}
	return NULL;
}

void
dm_owner_unlock(struct dmamap_container *c)
{
	dm_book_unlock(c);
	dmamap_container_put(c);
}

static struct dmamap_container *
owner_topo(struct dmamap_container *const *owner, bool write)
{
	struct dmamap_container *c;

	while ((c = dm_owner_get(owner)) != NULL) {
		if (write)
			dm_topo_write(c);
		else
			dm_topo_read(c);
		if (dm_owner_is(owner, c))
			return c;
		dm_owner_topo_unlock(c);
	}
	return NULL;
}

struct dmamap_container *
dm_owner_topo_write(struct dmamap_container *const *owner)
{
	return owner_topo(owner, true);
}

struct dmamap_container *
dm_owner_topo_read(struct dmamap_container *const *owner)
{
	return owner_topo(owner, false);
}

void
dm_owner_topo_unlock(struct dmamap_container *c)
{
	dm_topo_unlock(c);
	dmamap_container_put(c);
}
