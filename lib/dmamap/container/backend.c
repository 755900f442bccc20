/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The table of backends, in the order in which AUTO tries them, and the backend of a container.
 *
 * A backend is opened with the first attach, under the topology lock for writing. See dm_backend.h.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm_backend.h"
#include "dm_given.h"
#include "dm_kernel.h"
#include "dm_util.h"

/** AUTO tries those that are `automatic`, in this order; the others must be configured. */
static const struct {
	enum dmamap_backend kind;
	const struct dm_iommu_ops *ops;
	bool automatic;
} backends[] = {
	{DMAMAP_BACKEND_IOMMUFD, &dm_iommu_iommufd_ops, true},
	{DMAMAP_BACKEND_TYPE1, &dm_iommu_type1_ops, true},
	{DMAMAP_BACKEND_NOIOMMU, &dm_iommu_noiommu_ops, false},
};

/** Whether the container's configuration allows backend i. */
static bool
backend_is_candidate(const struct dmamap_container *c, unsigned int i)
{
	if (c->conf.backend != DMAMAP_BACKEND_AUTO)
		return c->conf.backend == backends[i].kind;
	/* The kind of the files that were passed in determines the backend. */
	if (c->conf.iommu_fd.given)
		return backends[i].kind == DMAMAP_BACKEND_IOMMUFD;
	if (c->conf.container_fd.given || c->conf.open_container != NULL)
		return backends[i].kind == DMAMAP_BACKEND_TYPE1;
	return backends[i].automatic;
}

int
dm_backend_init(struct dmamap_container *c)
{
	const struct dmamap_kernel *k = dm_kernel_of(&c->conf);
	struct dmamap_given *fds[] = {&c->conf.container_fd, &c->conf.iommu_fd};
	const struct dmamap_given asked[] = {c->conf.container_fd, c->conf.iommu_fd};
	static const char *const names[] = {"container_fd", "iommu_fd"};
	unsigned int i;
	int rc;

	fds[0]->given = fds[1]->given = false;
	for (i = 0; i < DM_DIM(fds); i++) {
		rc = dm_given_dup(k, asked[i], names[i], &fds[i]->value);
		if (rc < 0)
			return rc;
		fds[i]->given = asked[i].given;
	}
	return 0;
}

void
dm_backend_fini(struct dmamap_container *c)
{
	if (c->conf.container_fd.given)
		dm_kernel_close(dm_kernel_of(&c->conf), c->conf.container_fd.value);
	if (c->conf.iommu_fd.given)
		dm_kernel_close(dm_kernel_of(&c->conf), c->conf.iommu_fd.value);
}

/** Record which backend is open, under bookkeeping, as queries read it. */
static void
backend_publish(struct dmamap_container *c, enum dmamap_backend kind)
{
	dm_book_lock(c);
	__atomic_store_n(&c->backend, kind, __ATOMIC_RELAXED);
	dm_book_unlock(c);
}

int
dm_backend_open(struct dmamap_container *c)
{
	int rc = -ENOENT;
	unsigned int i;

	if (c->iommu != NULL)
		return 0;
	for (i = 0; i < DM_DIM(backends); i++) {
		if (!backend_is_candidate(c, i))
			continue;
		rc = backends[i].ops->open(&c->conf, &c->iommu);
		if (rc == 0) {
			backend_publish(c, backends[i].kind);
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
	backend_publish(c, c->conf.backend);
}

void
dm_backend_close(struct dmamap_container *c)
{
	struct dm_merged *m;

	while ((m = LIST_FIRST(&c->merged)) != NULL) {
		LIST_REMOVE(m, next);
		if (m->iommu != NULL)
			m->iommu->ops->close(m->iommu);
		dm_linear_destroy(m->linear);
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

	for (i = 0; i < DM_DIM(backends); i++)
		if (backend_is_candidate(c, i) && backends[i].ops->host_reserved != NULL)
			return backends[i].ops->host_reserved(
				&c->conf, &c->host_resv, &c->n_host_resv);
	return 0;
}

/** The operations that dictate the IOVA of memory; NULL: the backend translates. */
static const struct dm_iommu_ops *
backend_placing_ops(const struct dmamap_container *c)
{
	unsigned int i;

	for (i = 0; i < DM_DIM(backends); i++)
		if (backend_is_candidate(c, i) && backends[i].ops->iova_of != NULL)
			return backends[i].ops;
	return NULL;
}

bool
dm_backend_places(const struct dmamap_container *c)
{
	return backend_placing_ops(c) != NULL;
}

int
dm_backend_place(
	const struct dmamap_container *c, const void *va, uint64_t len, dmamap_iova_t *iova)
{
	const struct dm_iommu_ops *ops = backend_placing_ops(c);
	int rc;

	if (ops == NULL)
		return 0;
	rc = ops->iova_of(va, len, iova);
	return rc < 0 ? rc : 1;
}
