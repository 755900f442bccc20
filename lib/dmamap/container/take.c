/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How are IOVAs taken without a mapping? For windows that are filled later.
 */

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "dm_container.h"

int
dmamap_iova_take(struct dmamap_container *c, size_t len, size_t align, struct dmamap_range within,
	rte_iova_t *iova)
{
	struct dm_taken *t;
	int rc;

	if (align == 0)
		align = DM_IOVA_GRANULE;
	if (c == NULL || iova == NULL || len == 0 || len % DM_IOVA_GRANULE != 0 ||
		!rte_is_power_of_2(align) || within.last < within.start)
		return DM_FAIL(EINVAL,
			"take of 0x%zx bytes, aligned to 0x%zx: length and alignment "
			"must be multiples of 4096, the alignment a power of two, the range not "
			"empty",
			len, align);
	t = malloc(sizeof(*t));
	if (t == NULL)
		return -ENOMEM;

	t->zone = NULL;
	dm_lock(c);
	within.last = RTE_MIN(within.last, c->mask_last);
	rc = -ENOSPC;
	if (within.last >= within.start)
		rc = dm_iova_take(
			c->space, len, RTE_MAX(align, DM_IOVA_GRANULE), 0, within, &t->range.start);
	if (rc < 0)
		goto unlock;
	t->range = dm_range(t->range.start, len);
	if (tsearch(t, &c->taken, dm_range_cmp) == NULL) {
		dm_iova_give(c->space, t->range.start, len);
		rc = -ENOMEM;
		goto unlock;
	}
	c->taken_len += len;
	*iova = t->range.start;
	t = NULL;
unlock:
	dm_unlock(c);
	free(t);
	if (rc < 0)
		DM_LOG(ERR,
			"container %s: no IOVA range of 0x%zx bytes, aligned to 0x%zx, can be "
			"taken in " DM_RANGE_FMT ": %s",
			c->name, len, align, DM_RANGE_ARG(within), strerror(-rc));
	return rc;
}

static int
give_locked(struct dmamap_container *c, struct dmamap_range r)
{
	struct dm_taken *t = dm_taken_find(c, r);
	const struct dm_mapping *m;
	struct dmamap_range fenced;

	if (t == NULL || t->range.start != r.start)
		return DM_FAIL(ENOENT,
			"container %s: give of " DM_RANGE_FMT
			": no range that was taken starts there",
			c->name, DM_RANGE_ARG(r));
	if (t->range.last != r.last)
		return DM_FAIL(EINVAL,
			"container %s: give of " DM_RANGE_FMT ": " DM_RANGE_FMT " was taken",
			c->name, DM_RANGE_ARG(r), DM_RANGE_ARG(t->range));
	if (t->zone != NULL)
		return DM_FAIL(EBUSY,
			"container %s: give of " DM_RANGE_FMT ": zone %s may grow into it: use"
			" dmamap_zone_free()",
			c->name, DM_RANGE_ARG(r), t->zone->name);
	m = dm_mapping_find(c, r);
	if (m != NULL)
		return DM_FAIL(EBUSY,
			"container %s: give of " DM_RANGE_FMT ": " DM_RANGE_FMT
			" is mapped in it: unmap that first",
			c->name, DM_RANGE_ARG(r), DM_RANGE_ARG(m->range));
	tdelete(t, &c->taken, dm_range_cmp);
	free(t);
	c->taken_len -= dm_range_len(r);
	/* A range with a fenced part stays live in the allocator, so nobody gets it again. */
	if (!dm_range_set_overlaps(&c->fenced, r, &fenced))
		return dm_iova_give(c->space, r.start, dm_range_len(r));
	return 0;
}

int
dmamap_iova_give(struct dmamap_container *c, rte_iova_t iova, size_t len)
{
	int rc;

	if (c == NULL || len == 0 || iova + (len - 1) < iova)
		return DM_FAIL(EINVAL,
			"give of IOVA 0x%" PRIx64 ", 0x%zx bytes: no container, no "
			"length, or it wraps around",
			iova, len);
	dm_lock(c);
	rc = give_locked(c, dm_range(iova, len));
	dm_unlock(c);
	return rc;
}
