/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How is something done in every domain, or in none? Fan-out, and the way back.
 */

#include <errno.h>
#include <string.h>

#include "dm_container.h"

int
dm_domains_budget(const struct dmamap_container *c, uint64_t n)
{
	const struct dm_domain *d;

	TAILQ_FOREACH(d, &c->domains, next)
		if (d->info.entries_left < n)
			return DM_FAIL(ENOSPC,
				"container %s: needs %" PRIu64
				" map entries, domain %u has %" PRIu64
				" left: map fewer, longer runs",
				c->name, n, d->dom->id, d->info.entries_left);
	return 0;
}

unsigned int
dm_domains_count(const struct dmamap_container *c)
{
	const struct dm_domain *d;
	unsigned int n = 0;

	TAILQ_FOREACH(d, &c->domains, next)
		n++;
	return n;
}

/**
 * A domain that has every mapping that d is about to get, and whose pinned pages d can share; NULL:
 * none. Domains get mappings in the order of the list, and the latest joins last.
 */
static const struct dm_domain *
sharer(const struct dmamap_container *c, const struct dm_domain *d)
{
	const struct dm_domain *other;

	if (d->dom->iommu->ops->copy == NULL)
		return NULL;
	TAILQ_FOREACH(other, &c->domains, next) {
		if (other == d)
			return NULL;
		if (other->dom->iommu == d->dom->iommu)
			return other;
	}
	return NULL;
}

bool
dm_domain_charges(const struct dmamap_container *c, const struct dm_domain *d)
{
	return sharer(c, d) == NULL;
}

unsigned int
dm_domains_charges(const struct dmamap_container *c)
{
	const struct dm_domain *d;
	unsigned int n = 0;

	TAILQ_FOREACH(d, &c->domains, next)
		n += dm_domain_charges(c, d);
	return n;
}

static void
entries_add(struct dm_domain *d, int64_t n)
{
	if (d->info.entries_left != UINT64_MAX)
		d->info.entries_left += n;
}

int
dm_domain_map(struct dmamap_container *c, struct dm_domain *d, const struct dm_mapping *m)
{
	const struct dm_iommu_ops *ops = d->dom->iommu->ops;
	const struct dm_domain *from = sharer(c, d);
	uint64_t len = dm_range_len(m->range);
	uint32_t prot = m->flags & DMAMAP_RW;
	int rc;

	c->map_calls++;
	if (from != NULL)
		rc = ops->copy(d->dom, from->dom, m->range.start, len, prot);
	else
		rc = ops->map(d->dom, m->range.start, dm_mapping_va(m), len, prot);
	if (rc == 0)
		entries_add(d, -1);
	else
		DM_LOG(ERR, "container %s: domain %u refuses to map %p at " DM_RANGE_FMT ": %s",
			c->name, d->dom->id, dm_mapping_va(m), DM_RANGE_ARG(m->range),
			strerror(-rc));
	return rc;
}

/**
 * Unmap r, n mappings, from one domain.
 * @return 0; the kernel's error, with nothing unmapped; -EIO: another size was unmapped than asked
 * for.
 */
static int
domain_unmap(struct dmamap_container *c, struct dm_domain *d, struct dmamap_range r, uint64_t n)
{
	uint64_t done = 0;
	int rc;

	c->unmap_calls++;
	rc = d->dom->iommu->ops->unmap(d->dom, r.start, dm_range_len(r), &done);
	if (rc == 0 && done == dm_range_len(r)) {
		entries_add(d, n);
		return 0;
	}
	if (rc < 0 && done == 0) {
		DM_LOG(ERR, "container %s: domain %u refuses to unmap " DM_RANGE_FMT ": %s",
			c->name, d->dom->id, DM_RANGE_ARG(r), strerror(-rc));
		return rc == -EIO ? -EFAULT : rc;
	}
	return DM_FAIL(EIO,
		"container %s: domain %u unmapped 0x%" PRIx64 " bytes of " DM_RANGE_FMT
		": the IOVAs are fenced off",
		c->name, d->dom->id, done, DM_RANGE_ARG(r));
}

int
dm_domains_map(struct dmamap_container *c, const struct dm_mapping *m, bool *fence)
{
	struct dm_domain *d;
	int rc;

	*fence = false;
	TAILQ_FOREACH(d, &c->domains, next) {
		rc = dm_domain_map(c, d, m);
		if (rc < 0)
			goto undo;
	}
	return 0;

undo:
	while ((d = TAILQ_PREV(d, dm_domain_list, next)) != NULL)
		if (domain_unmap(c, d, m->range, 1) < 0)
			*fence = true;
	return rc;
}

/** Put the mappings that make up r back into one domain. */
static int
domain_remap(struct dmamap_container *c, struct dm_domain *d, struct dmamap_range r)
{
	rte_iova_t at = r.start;
	const struct dm_mapping *m;
	int rc;

	for (;;) {
		m = dm_mapping_at(c, at);
		rc = dm_domain_map(c, d, m);
		if (rc < 0 || m->range.last == r.last)
			return rc;
		at = m->range.last + 1;
	}
}

int
dm_domains_unmap(struct dmamap_container *c, struct dmamap_range r, uint64_t n, bool *fence)
{
	struct dm_domain *d, *back;
	int rc = 0;

	*fence = false;
	TAILQ_FOREACH_REVERSE(d, &c->domains, dm_domain_list, next) {
		rc = domain_unmap(c, d, r, n);
		if (rc < 0)
			break;
	}
	if (d == NULL)
		return 0;

	*fence = rc == -EIO;
	for (back = TAILQ_NEXT(d, next); back != NULL && !*fence; back = TAILQ_NEXT(back, next))
		if (domain_remap(c, back, r) < 0)
			*fence = true;
	if (!*fence)
		return rc;

	/* The mapping is lost somewhere: let it be nowhere, as far as the kernel goes along. */
	TAILQ_FOREACH(d, &c->domains, next) {
		uint64_t done;

		c->unmap_calls++;
		if (d->dom->iommu->ops->unmap(d->dom, r.start, dm_range_len(r), &done) == 0)
			entries_add(d, done == dm_range_len(r) ? (int64_t)n : 0);
	}
	return -EIO;
}
