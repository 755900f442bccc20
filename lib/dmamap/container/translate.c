/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Translation for users: the part that is not inline in dmamap.h. No lock, no system call, no
 * allocation. Called by users, as readers (struct dmamap_readers).
 */

#include "dm_container.h"

_Static_assert(offsetof(struct dmamap_container, units) == 0,
	"dmamap_va2iova() takes a container for its units");

dmamap_iova_t
dmamap_va2iova_outside(const struct dmamap_container *c, const void *va)
{
	return dm_xlate_lookup(c->va2iova, (uintptr_t)va);
}

dmamap_iova_t
dmamap_va2iova_run(const struct dmamap_container *c, const void *va, size_t *len)
{
	uint64_t run = *len;
	dmamap_iova_t iova = dm_xlate_lookup_run(c->va2iova, (uintptr_t)va, &run);

	*len = run;
	return iova;
}

void *
dmamap_iova2va(const struct dmamap_container *c, dmamap_iova_t iova)
{
	const uint64_t va = dm_xlate_lookup(c->iova2va, iova);

	return va == DM_XLATE_NONE ? NULL : (void *)(uintptr_t)va;
}
