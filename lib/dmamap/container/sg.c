/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do scattered pieces get one IOVA range? As mappings side by side, all or none.
 */

#include <errno.h>
#include <string.h>

#include "dm_container.h"

/** How many pieces from the first on follow each other in memory, and how long they are together.
 */
static unsigned int
run_of(const struct dmamap_piece *pieces, unsigned int n, uint64_t *len)
{
	unsigned int i;

	*len = pieces[0].len;
	for (i = 1; i < n; i++) {
		if ((char *)pieces[i - 1].va + pieces[i - 1].len != pieces[i].va)
			break;
		*len += pieces[i].len;
	}
	return i;
}

static int
check_pieces(const struct dmamap_container *c, const struct dmamap_piece *pieces, unsigned int n,
	uint32_t flags, const rte_iova_t *iova, uint64_t *total)
{
	unsigned int i;
	int rc;

	if (pieces == NULL || n == 0)
		return DM_FAIL(EINVAL, "map of a scatter list: it is empty");
	*total = 0;
	for (i = 0; i < n; i++) {
		rc = dm_map_check_args(c, pieces[i].va, pieces[i].len, flags, iova);
		if (rc < 0)
			return rc;
		if (__builtin_add_overflow(*total, pieces[i].len, total))
			return DM_FAIL(EINVAL,
				"container %s: a scatter list of more than 2^64 "
				"bytes",
				c->name);
	}
	return 0;
}

/** Find room for all of it. Nobody else gets it meanwhile: the container is locked, and FIXED maps
 * follow. */
static int
find_room(struct dmamap_container *c, uint64_t total, uint64_t va, uint32_t flags, rte_iova_t *iova)
{
	struct dmamap_range within = {0, c->mask_last};
	uint64_t bits = c->page_sizes, align = dm_min_page(c), page;
	int rc;

	if (flags & DMAMAP_LOW32)
		within.last = RTE_MIN(within.last, (rte_iova_t)UINT32_MAX);
	for (; bits != 0; bits &= bits - 1) {
		page = bits & -bits;
		if (page <= total)
			align = page;
	}
	rc = dm_iova_take(c->space, total, align, va & (align - 1), within, iova);
	if (rc < 0)
		return DM_FAIL(-rc,
			"container %s: no IOVA range of 0x%" PRIx64 " bytes is free for a "
			"scatter list: %s",
			c->name, total, strerror(-rc));
	return dm_iova_give(c->space, *iova, total);
}

static int
map_runs(struct dmamap_container *c, const struct dmamap_piece *pieces, unsigned int n,
	uint32_t flags, rte_iova_t iova)
{
	rte_iova_t at = iova;
	unsigned int i = 0;
	uint64_t len;
	int rc;

	while (i < n) {
		unsigned int count = run_of(&pieces[i], n - i, &len);

		rc = dm_map_locked(c, pieces[i].va, len, 0, flags | DMAMAP_FIXED, &at, NULL);
		if (rc < 0)
			goto undo;
		at += len;
		i += count;
	}
	return 0;

undo:
	if (at != iova)
		dm_unmap_or_fence(c, dm_range(iova, at - iova));
	return rc;
}

/** Everything that can be known before the first domain is asked: entries and lockable memory for
 * all of it. */
static int
check_room(const struct dmamap_container *c, const struct dmamap_piece *pieces, unsigned int n,
	uint64_t total)
{
	unsigned int i = 0, runs = 0;
	uint64_t len;
	int rc;

	for (; i < n; runs++)
		i += run_of(&pieces[i], n - i, &len);
	rc = dm_domains_budget(c, runs);
	return rc < 0 ? rc : dm_pin_memlock_check(total * dm_domains_charges(c), c->name);
}

static int
map_locked(struct dmamap_container *c, const struct dmamap_piece *pieces, unsigned int n,
	uint64_t total, uint32_t flags, rte_iova_t *iova)
{
	rte_iova_t at = *iova;
	int rc = check_room(c, pieces, n, total);

	if (rc == 0 && !(flags & DMAMAP_FIXED))
		rc = find_room(c, total, (uintptr_t)pieces[0].va, flags, &at);
	if (rc == 0)
		rc = map_runs(c, pieces, n, flags, at);
	if (rc == 0)
		*iova = at;
	return rc;
}

int
dmamap_map_sg(struct dmamap_container *c, const struct dmamap_piece *pieces, unsigned int n,
	uint32_t flags, rte_iova_t *iova)
{
	uint64_t total;
	int rc;

	rc = check_pieces(c, pieces, n, flags, iova, &total);
	if (rc < 0)
		return rc;
	dm_lock(c);
	rc = map_locked(c, pieces, n, total, flags, iova);
	if ((rc == -ENOSPC || rc == -ENOMEM) && dm_registrations_trim(c, 0))
		rc = map_locked(c, pieces, n, total, flags, iova);
	dm_unlock(c);
	return rc;
}
