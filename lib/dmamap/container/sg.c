/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Maps of scatter lists: all entries into one contiguous range of IOVAs, or none. Called by users.
 */

#include <errno.h>
#include <stdlib.h>

#include "dm_container.h"

unsigned int
dm_sge_run(const struct dmamap_sge *sge, unsigned int n, uint64_t *len)
{
	unsigned int i;

	*len = sge[0].len;
	for (i = 1; i < n; i++) {
		if ((char *)sge[i - 1].va + sge[i - 1].len != sge[i].va)
			break;
		*len += sge[i].len;
	}
	return i;
}

static int
sge_check(const struct dmamap_container *c, const struct dmamap_sge *sge, unsigned int n,
	uint32_t flags, const dmamap_iova_t *iova, uint64_t *total)
{
	unsigned int i;
	int rc;

	if (sge == NULL || n == 0)
		return DM_FAIL(EINVAL, "map of a scatter list: it is empty");
	*total = 0;
	for (i = 0; i < n; i++) {
		rc = dm_map_check_args(c, sge[i].va, sge[i].len, flags, iova);
		if (rc < 0)
			return rc;
		if (__builtin_add_overflow(*total, sge[i].len, total))
			return DM_FAIL(EINVAL,
				"container %s: a scatter list of more than 2^64 "
				"bytes",
				c->name);
	}
	return 0;
}

/** Join entries that are adjacent in memory. @return the number of runs */
static unsigned int
sge_join(const struct dmamap_sge *sge, unsigned int n, struct dmamap_sge *runs)
{
	unsigned int i = 0, n_runs = 0;
	uint64_t len;

	for (; i < n; n_runs++) {
		runs[n_runs].va = sge[i].va;
		i += dm_sge_run(&sge[i], n - i, &len);
		runs[n_runs].len = len;
	}
	return n_runs;
}

int
dmamap_map_sg(struct dmamap_container *c, const struct dmamap_sge *sge, unsigned int n,
	uint32_t flags, dmamap_iova_t *iova)
{
	struct dm_map_req req = {.flags = flags};
	struct dmamap_sge *runs;
	dmamap_iova_t at;
	int rc;

	rc = sge_check(c, sge, n, flags, iova, &req.len);
	if (rc < 0)
		return dm_refused(c, DM_OP_MAP, rc);
	runs = calloc(n, sizeof(runs[0]));
	if (runs == NULL)
		return dm_refused(c, DM_OP_MAP, -ENOMEM);
	req.sge = runs;
	req.n = sge_join(sge, n, runs);
	req.iova = *iova;
	rc = dm_map(c, &req, &at, NULL);
	if (rc == 0)
		*iova = at;
	free(runs);
	return dm_refused(c, DM_OP_MAP, rc);
}
