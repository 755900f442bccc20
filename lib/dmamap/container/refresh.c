/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Refresh: read what each domain translates, and compute what all have in common.
 *
 * Invariant: usable is what every domain translates. What is live beyond that, since a domain
 * narrowed, stays with its owner until it is released, and is never handed out again (c->beyond).
 * All under the topology lock for writing. Called by users, attach.c and merge.c.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "dm_container.h"
#include "dm_util.h"

int
dm_domain_read(struct dmamap_container *c, struct dm_domain *d, struct dm_info_change *change)
{
	struct dm_iommu_info info = {0};
	struct dmamap_range *old;
	int rc;

	rc = d->dom->iommu->ops->info(d->dom, &info);
	if (rc < 0)
		return DM_FAIL(-rc, "container %s: domain %u: cannot read its IOVA ranges: %s",
			c->name, d->dom->id, strerror(-rc));
	if (info.page_sizes == 0) {
		free(info.ranges);
		return d->n_devices > 0 ? -EINVAL
					: DM_FAIL(EINVAL,
						  "container %s: domain %u has no "
						  "page size: its IOMMU cannot be used",
						  c->name, d->dom->id);
	}
	if (change != NULL)
		*change = (struct dm_info_change){
			.narrower = !dm_info_covers(&info, &d->info),
			.wider = !dm_info_covers(&d->info, &info) ||
				info.page_sizes != d->info.page_sizes,
		};
	old = d->info.ranges;
	dm_book_lock(c);
	d->info = info;
	dm_book_unlock(c);
	free(old);
	return 0;
}

static bool
usable_is_equal(const struct dm_range_set *a, const struct dm_range_set *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->r, b->r, a->n * sizeof(a->r[0])) == 0);
}

/** Compute what is usable now. */
static int
usable_compute(const struct dmamap_container *c, const struct dmamap_device *joined,
	struct dm_range_set *usable)
{
	int rc;

	/* One more device can only narrow what the others have in common. */
	if (joined == NULL || c->n_devices == 1)
		return dm_usable_ranges(c, usable);
	rc = dm_range_set_copy(usable, &c->usable);
	return rc < 0 ? rc : dm_usable_narrow(usable, joined->dev, joined->domain);
}

/**
 * The page sizes that all domains have in common, as a kernel container reports them. If there is
 * none: the largest of their smallest pages. Each domain maps whole multiples of its own smallest
 * page (as in Linux, iopt_calculate_iova_alignment()).
 */
static uint64_t
domains_page_sizes(const struct dmamap_container *c)
{
	uint64_t common = UINT64_MAX, least = 0;
	const struct dm_domain *d;

	TAILQ_FOREACH(d, &c->domains, next) {
		common &= d->info.page_sizes;
		least = DM_MAX(least, d->info.page_sizes & -d->info.page_sizes);
	}
	return common != 0 ? common : least;
}

/** Set what is usable, after the allocator. *usable gets the previous set. */
static void
usable_commit(struct dmamap_container *c, struct dm_range_set *usable, uint64_t page_sizes)
{
	dm_book_lock(c);
	DM_SWAP(c->usable, *usable);
	__atomic_store_n(&c->page_sizes, page_sizes, __ATOMIC_RELAXED);
	dm_book_unlock(c);
}

int
dm_refresh(struct dmamap_container *c, const struct dmamap_device *joined)
{
	uint64_t page_sizes;
	struct dm_range_set usable = {0};
	struct dmamap_range conflict;
	int rc;

	if (TAILQ_EMPTY(&c->domains))
		return 0;
	page_sizes = joined != NULL && c->n_devices > 1
		? c->page_sizes & joined->domain->info.page_sizes
		: 0;
	if (page_sizes == 0)
		page_sizes = domains_page_sizes(c);
	rc = usable_compute(c, joined, &usable);
	/* If nothing changed, skip the allocator: it would walk all live ranges. */
	if (rc == 0 && (page_sizes != c->page_sizes || !usable_is_equal(&usable, &c->usable)))
		rc = dm_usable_set(c, &usable, page_sizes, &conflict);
	if (rc == -EADDRINUSE)
		dm_conflicts_live(c, conflict);
	if (rc == 0)
		usable_commit(c, &usable, page_sizes);
	dm_range_set_clear(&usable);
	return rc;
}

/** Read the info of all domains, or change nothing. */
static int
domains_read(struct dmamap_container *c)
{
	struct dm_iommu_info *info = calloc(c->n_domains + 1, sizeof(info[0]));
	struct dm_domain *d;
	unsigned int n = 0;
	int rc = 0;

	if (info == NULL)
		return -ENOMEM;
	TAILQ_FOREACH(d, &c->domains, next) {
		rc = d->dom->iommu->ops->info(d->dom, &info[n]);
		if (rc < 0)
			break;
		n++;
		/* The caller opened a device whose IOMMU has no page size in common. */
		if (info[n - 1].page_sizes == 0) {
			rc = -EINVAL;
			break;
		}
	}
	if (rc < 0)
		DM_LOG(ERR, "container %s: domain %u: cannot read its IOVA ranges: %s", c->name,
			d->dom->id, strerror(-rc));
	else
		n = 0;
	if (rc == 0) {
		dm_book_lock(c);
		TAILQ_FOREACH(d, &c->domains, next) {
			DM_SWAP(d->info, info[n]);
			n++;
		}
		dm_book_unlock(c);
	}
	while (n-- > 0)
		free(info[n].ranges);
	free(info);
	return rc;
}

static int
refresh_locked(struct dmamap_container *c)
{
	struct dm_range_set usable = {0};
	uint64_t page_sizes;
	int rc;

	rc = dm_process_check(c->process, c->name, "refresh");
	if (rc < 0 || TAILQ_EMPTY(&c->domains))
		return rc;
	dm_conflicts_clear(c);
	rc = domains_read(c);
	if (rc < 0)
		return rc;
	page_sizes = domains_page_sizes(c);
	rc = dm_usable_ranges(c, &usable);
	if (rc == 0)
		rc = dm_usable_force(c, &usable, page_sizes);
	if (rc == 0) {
		usable_commit(c, &usable, page_sizes);
		dm_conflicts_of_reach(c);
		dm_conflicts_note(c, "refresh");
	}
	dm_range_set_clear(&usable);
	return rc;
}

int
dmamap_container_refresh(struct dmamap_container *c)
{
	int rc;

	if (c == NULL)
		return DM_FAIL(EINVAL, "refresh: no container given");
	dm_topo_write(c);
	rc = refresh_locked(c);
	dm_topo_unlock(c);
	return rc;
}
