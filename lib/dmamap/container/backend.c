/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which backend is below a container? The list of those there are, in the order AUTO tries them.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dm_backend.h"

/** AUTO goes through this list; a backend that is not `automatic` must be asked for. */
static const struct {
	enum dmamap_backend kind;
	const struct dm_iommu_ops *ops;
	bool automatic;
} backends[] = {
	{DMAMAP_BACKEND_IOMMUFD, &dm_iommu_iommufd_ops, true},
	{DMAMAP_BACKEND_TYPE1, &dm_iommu_type1_ops, true},
	{DMAMAP_BACKEND_NOIOMMU, &dm_iommu_noiommu_ops, false},
	{DMAMAP_BACKEND_MODEL, &dm_iommu_model_ops, false},
};

/** Is backend i one that the container asks for? */
static bool
is_candidate(const struct dmamap_container *c, unsigned int i)
{
	return c->conf.backend == backends[i].kind ||
		(c->conf.backend == DMAMAP_BACKEND_AUTO && backends[i].automatic);
}

int
dm_backend_open(struct dmamap_container *c)
{
	int rc = -ENOENT;
	unsigned int i;

	if (c->iommu != NULL)
		return 0;
	for (i = 0; i < RTE_DIM(backends); i++) {
		if (!is_candidate(c, i))
			continue;
		rc = backends[i].ops->open(&c->conf, &c->iommu);
		if (rc == 0) {
			c->backend = backends[i].kind;
			return 0;
		}
	}
	return rc;
}

void
dm_backend_open_undo(struct dmamap_container *c)
{
	c->iommu->ops->close(c->iommu);
	c->iommu = NULL;
	c->backend = c->conf.backend;
}

void
dm_backend_close(struct dmamap_container *c)
{
	struct dm_merged *m;

	while ((m = LIST_FIRST(&c->merged)) != NULL) {
		LIST_REMOVE(m, next);
		if (m->iommu != NULL)
			m->iommu->ops->close(m->iommu);
		dm_window_destroy(m->window);
		free(m);
	}
	if (c->iommu != NULL)
		c->iommu->ops->close(c->iommu);
	c->iommu = NULL;
}

int
dm_backend_host_reserved(struct dmamap_container *c)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(backends); i++)
		if (is_candidate(c, i) && backends[i].ops->host_reserved != NULL)
			return backends[i].ops->host_reserved(
				&c->conf, &c->host_resv, &c->n_host_resv);
	return 0;
}

/** What says where memory must be mapped; NULL: nothing does. */
static const struct dm_iommu_ops *
placing_ops(const struct dmamap_container *c)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(backends); i++)
		if (is_candidate(c, i) && backends[i].ops->iova_of != NULL)
			return backends[i].ops;
	return NULL;
}

bool
dm_backend_places(const struct dmamap_container *c)
{
	return placing_ops(c) != NULL;
}

int
dm_backend_place(const struct dmamap_container *c, const void *va, uint64_t len, rte_iova_t *iova)
{
	const struct dm_iommu_ops *ops = placing_ops(c);
	int rc;

	if (ops == NULL)
		return 0;
	rc = ops->iova_of(va, len, iova);
	return rc < 0 ? rc : 1;
}
