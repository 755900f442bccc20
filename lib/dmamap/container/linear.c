/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Creation of a container's linear map, with the first zone that goes there. A container has one
 * linear map at most. Called by zone.c.
 */

#include <stdlib.h>

#include "dm_backend.h"
#include "dm_util.h"

void
dm_linear_make(struct dmamap_container *c)
{
	struct dm_linear *l = NULL;
	bool wanted;

	dm_assert_unlocked();
	dm_book_lock(c);
	wanted = c->linear == NULL && !c->no_linear;
	dm_book_unlock(c);
	if (!wanted || dm_backend_places(c))
		return;
	if (dm_linear_create(DM_LINEAR_MAX, c->linear_iova, &l) < 0)
		DM_LOG(INFO,
			"container %s: no address space for a linear map: zones translate by table",
			c->name);
	dm_topo_read(c);
	dm_book_lock(c);
	if (l == NULL) {
		c->no_linear = true;
	} else if (c->linear == NULL && !c->no_linear) {
		c->linear = l;
		l = NULL;
	}
	dm_book_unlock(c);
	dm_topo_unlock(c);
	/* Another thread has created one meanwhile; NULL is allowed. */
	dm_linear_destroy(l);
}
