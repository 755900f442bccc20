/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Operations on every domain of a container: all domains or none, with undo.
 *
 * Kernel calls that map and unmap are made here, under the topology lock and no other. Called by
 * map.c, unmap.c, attach.c and merge.c.
 */

#include <errno.h>
#include <inttypes.h>
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

void
dm_domain_count_entries(struct dm_domain *d, int64_t n)
{
	if (d->info.entries_left != UINT64_MAX)
		__atomic_store_n(&d->info.entries_left, d->info.entries_left - n, __ATOMIC_RELAXED);
}

void
dm_domains_entries(struct dmamap_container *c, int64_t n)
{
	struct dm_domain *d;

	TAILQ_FOREACH(d, &c->domains, next)
		dm_domain_count_entries(d, n);
}

/**
 * A domain that already has every mapping that d is about to get, and whose pinned pages d can
 * share; NULL: none. Domains get mappings in list order, and a new domain joins at the tail.
 */
static const struct dm_domain *
domain_sharer(const struct dmamap_container *c, const struct dm_domain *d)
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
	return domain_sharer(c, d) == NULL;
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

/** The remedy for a refused map, as the end of its message. */
static const char *
domain_map_remedy(const struct dm_iommu *iommu, int rc)
{
	if (rc != -EFAULT)
		return "";
	return iommu->kind == DMAMAP_BACKEND_IOMMUFD
		? ": no memory at this address allows the access; type1 maps BARs, iommufd does not"
		: ": no memory at this address allows the access";
}

int
dm_domain_map(struct dmamap_container *c, struct dm_domain *d, const struct dm_mapping *m)
{
	const struct dm_iommu_ops *ops = d->dom->iommu->ops;
	const struct dm_domain *from = domain_sharer(c, d);
	uint64_t len = dm_range_len(m->range);
	uint32_t prot = dm_mapping_flags(m) & DMAMAP_RW;
	uint64_t begin;
	int rc;

	dm_assert_may_sleep();
	__atomic_add_fetch(&c->map_calls, 1, __ATOMIC_RELAXED);
	begin = dm_time_begin();
	if (from != NULL)
		rc = ops->copy(d->dom, from->dom, m->range.start, len, prot);
	else
		rc = ops->map(d->dom, m->range.start, dm_mapping_va(m), len, prot);
	dm_trace_kernel_map(c->name, d->dom->id, m->range.start, dm_mapping_va(m), len,
		dm_time_end(&c->counters, DM_TIME_KERNEL_MAP, begin), rc);
	if (rc < 0)
		DM_LOG(ERR, "container %s: domain %u refuses to map %p at " DM_RANGE_FMT ": %s%s",
			c->name, d->dom->id, dm_mapping_va(m), DM_RANGE_ARG(m->range),
			strerror(-rc), domain_map_remedy(d->dom->iommu, rc));
	return rc;
}

int
dm_domain_unmap_call(
	struct dmamap_container *c, struct dm_domain *d, struct dmamap_range r, uint64_t *done)
{
	uint64_t begin;
	int rc;

	__atomic_add_fetch(&c->unmap_calls, 1, __ATOMIC_RELAXED);
	begin = dm_time_begin();
	rc = d->dom->iommu->ops->unmap(d->dom, r.start, dm_range_len(r), done);
	dm_trace_kernel_unmap(
		c->name, d->dom->id, r, dm_time_end(&c->counters, DM_TIME_KERNEL_UNMAP, begin), rc);
	return rc;
}

/**
 * Unmap r, which consists of whole mappings, from one domain.
 * @return 0; the kernel's error: nothing was unmapped; -EIO: another size than requested was
 * unmapped.
 */
static int
domain_unmap(struct dmamap_container *c, struct dm_domain *d, struct dmamap_range r)
{
	uint64_t done = 0;
	int rc;

	dm_assert_may_sleep();
	rc = dm_domain_unmap_call(c, d, r, &done);
	if (rc == 0 && done == dm_range_len(r))
		return 0;
	if (rc < 0 && done == 0) {
		DM_LOG(ERR, "container %s: domain %u refuses to unmap " DM_RANGE_FMT ": %s",
			c->name, d->dom->id, DM_RANGE_ARG(r), strerror(-rc));
		return rc == -EIO ? -EFAULT : rc;
	}
	return DM_FAIL(EIO,
		"container %s: domain %u unmapped 0x%" PRIx64 " bytes of " DM_RANGE_FMT
		": the IOVAs go into quarantine",
		c->name, d->dom->id, done, DM_RANGE_ARG(r));
}

int
dm_domains_map(struct dmamap_container *c, const struct dm_mapping *m, bool *quarantine)
{
	struct dm_domain *d;
	int rc;

	*quarantine = false;
	TAILQ_FOREACH(d, &c->domains, next) {
		rc = dm_domain_map(c, d, m);
		if (rc < 0)
			goto undo;
	}
	return 0;

undo:
	while ((d = TAILQ_PREV(d, dm_domain_list, next)) != NULL)
		if (domain_unmap(c, d, m->range) < 0)
			*quarantine = true;
	return rc;
}

/** Map mappings that are adjacent in `work` into one domain again. */
static int
domain_remap(struct dmamap_container *c, struct dm_domain *d, const struct dm_mapping *first,
	const struct dm_mapping *last)
{
	const struct dm_mapping *m;
	int rc;

	for (m = first;; m = TAILQ_NEXT(m, work)) {
		rc = dm_domain_map(c, d, m);
		if (rc < 0 || m == last)
			return rc;
	}
}

int
dm_domains_unmap(struct dmamap_container *c, struct dmamap_range r, const struct dm_mapping *first,
	const struct dm_mapping *last, bool *quarantine)
{
	struct dm_domain *d, *back;
	uint64_t done;
	int rc = 0;

	*quarantine = false;
	TAILQ_FOREACH_REVERSE(d, &c->domains, dm_domain_list, next) {
		rc = domain_unmap(c, d, r);
		if (rc < 0)
			break;
	}
	if (d == NULL)
		return 0;

	*quarantine = rc == -EIO;
	for (back = TAILQ_NEXT(d, next); back != NULL && !*quarantine;
		back = TAILQ_NEXT(back, next))
		if (domain_remap(c, back, first, last) < 0)
			*quarantine = true;
	if (!*quarantine)
		return rc;

	/* One domain has lost the mapping: unmap it from the others too, best effort. */
	TAILQ_FOREACH(d, &c->domains, next)
		dm_domain_unmap_call(c, d, r, &done);
	return -EIO;
}
