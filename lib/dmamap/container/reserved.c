/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Reserved ranges of groups and domains, with their owners, and the usable ranges that remain.
 * Under the topology lock. Called by place.c, mapping.c, reserve.c, refresh.c, conflict.c,
 * container.c and users.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_container.h"
#include "dm_util.h"

/** Reserved for all devices, as drivers use IOVA 0 for "no address". */
static const struct dm_iommu_resv page0 = {{0, 4095}, DMAMAP_RESERVED_PAGE0};

const char *
dm_reserved_type_name(enum dmamap_reserved_type type)
{
	static const char *const names[] = {
		[DMAMAP_RESERVED_PAGE0] = "page 0",
		[DMAMAP_RESERVED_MSI] = "MSI window",
		[DMAMAP_RESERVED_DIRECT] = "direct mapping for firmware",
		[DMAMAP_RESERVED_RELAXABLE] = "relaxable direct mapping",
		[DMAMAP_RESERVED_BUS] = "platform's reserved range",
		[DMAMAP_RESERVED_APERTURE] = "outside the aperture",
	};

	return (unsigned int)type < DM_DIM(names) ? names[type] : "reserved";
}

static void
reserved_fill(struct dmamap_reserved *out, const struct dm_iommu_resv *resv, const char *owner)
{
	out->range = resv->range;
	out->type = resv->type;
	snprintf(out->owner, sizeof(out->owner), "%s", owner);
}

void
dm_reserved_of_dev(const struct dm_iommu_dev *dev, const struct dm_iommu_resv *resv,
	struct dmamap_reserved *out)
{
	char owner[DMAMAP_NAME_MAX];

	snprintf(owner, sizeof(owner), "group %d (%.40s)", dev->group, dev->name);
	reserved_fill(out, resv, owner);
}

bool
dm_reserved_visit_holes(const struct dm_domain *d, dm_reserved_visit_t visit, void *arg)
{
	struct dmamap_reserved r = {.type = DMAMAP_RESERVED_APERTURE};
	dmamap_iova_t from = 0;
	unsigned int i;

	snprintf(r.owner, sizeof(r.owner), "domain %u", d->dom->id);
	for (i = 0; i < d->info.n_ranges; i++) {
		if (d->info.ranges[i].start > from) {
			r.range = (struct dmamap_range){from, d->info.ranges[i].start - 1};
			if (!visit(&r, arg))
				return false;
		}
		if (d->info.ranges[i].last == UINT64_MAX)
			return true;
		from = d->info.ranges[i].last + 1;
	}
	r.range = (struct dmamap_range){from, UINT64_MAX};
	return visit(&r, arg);
}

static bool
reserved_visit_devices(const struct dmamap_container *c, dm_reserved_visit_t visit, void *arg)
{
	const struct dmamap_device *dev;
	struct dmamap_reserved r;
	unsigned int i;

	TAILQ_FOREACH(dev, &c->devices, next) {
		/* Visit the ranges of each group once. */
		if (dev->group->first != dev)
			continue;
		for (i = 0; i < dev->dev->n_resv; i++) {
			dm_reserved_of_dev(dev->dev, &dev->dev->resv[i], &r);
			if (!visit(&r, arg))
				return false;
		}
	}
	return true;
}

bool
dm_reserved_visit(const struct dmamap_container *c, dm_reserved_visit_t visit, void *arg)
{
	struct dm_iommu_resv beyond = {
		{DM_PROVISIONAL_LAST + 1, UINT64_MAX}, DMAMAP_RESERVED_APERTURE};
	struct dmamap_reserved r;
	const struct dm_domain *d;
	unsigned int i;

	reserved_fill(&r, &page0, "gantry");
	if (!c->conf.as_linux && !visit(&r, arg))
		return false;
	if (!reserved_visit_devices(c, visit, arg))
		return false;
	TAILQ_FOREACH(d, &c->domains, next)
		if (!dm_reserved_visit_holes(d, visit, arg))
			return false;
	if (!TAILQ_EMPTY(&c->domains))
		return true;

	for (i = 0; i < c->n_host_resv; i++) {
		reserved_fill(&r, &c->host_resv[i], "this host");
		if (!visit(&r, arg))
			return false;
	}
	/* What was usable with the last device remains so. */
	if (c->usable.n > 0)
		beyond.range.start = c->usable.r[c->usable.n - 1].last + 1;
	if (beyond.range.start == 0)
		return true;
	reserved_fill(&r, &beyond, "gantry, until a device is attached");
	return visit(&r, arg);
}

struct hit_arg {
	struct dmamap_range range;
	struct dmamap_reserved *hit;
};

static bool
reserved_visit_hit(const struct dmamap_reserved *r, void *arg)
{
	struct hit_arg *a = arg;

	if (r->type == DMAMAP_RESERVED_RELAXABLE || !dm_range_overlap(r->range, a->range))
		return true;
	*a->hit = *r;
	return false;
}

bool
dm_reserved_hit(
	const struct dmamap_container *c, struct dmamap_range r, struct dmamap_reserved *hit)
{
	struct hit_arg arg = {r, hit};

	return !dm_reserved_visit(c, reserved_visit_hit, &arg);
}

/** Remove what a device's group reserves. @return 0 or -ENOMEM */
static int
usable_del_reserved(struct dm_range_set *set, const struct dm_iommu_dev *dev)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < dev->n_resv && rc == 0; i++)
		if (dev->resv[i].type != DMAMAP_RESERVED_RELAXABLE)
			rc = dm_range_set_del(set, dev->resv[i].range);
	return rc;
}

/** Remove what a domain does not translate. @return 0 or -ENOMEM */
static int
usable_keep_translated(struct dm_range_set *set, const struct dm_domain *d)
{
	struct dm_range_set translated = {0};
	unsigned int i;
	int rc = 0;

	for (i = 0; i < d->info.n_ranges && rc == 0; i++)
		rc = dm_range_set_add(&translated, d->info.ranges[i]);
	if (rc == 0)
		rc = dm_range_set_intersect(set, &translated);
	dm_range_set_clear(&translated);
	return rc;
}

int
dm_usable_narrow(
	struct dm_range_set *set, const struct dm_iommu_dev *dev, const struct dm_domain *d)
{
	int rc = usable_del_reserved(set, dev);

	return rc < 0 ? rc : usable_keep_translated(set, d);
}

struct usable_arg {
	struct dm_range_set *set;
	int rc;
};

static bool
usable_visit(const struct dmamap_reserved *r, void *arg)
{
	struct usable_arg *a = arg;

	if (r->type != DMAMAP_RESERVED_RELAXABLE)
		a->rc = dm_range_set_del(a->set, r->range);
	return a->rc == 0;
}

/** What all devices and domains have in common. Formats no owners: there can be many groups. */
static int
usable_by_all(const struct dmamap_container *c, struct dm_range_set *set)
{
	const struct dmamap_device *dev;
	const struct dm_domain *d;
	int rc = c->conf.as_linux ? 0 : dm_range_set_del(set, page0.range);

	TAILQ_FOREACH(dev, &c->devices, next)
		if (rc == 0 && dev->group->first == dev)
			rc = usable_del_reserved(set, dev->dev);
	TAILQ_FOREACH(d, &c->domains, next)
		if (rc == 0)
			rc = usable_keep_translated(set, d);
	return rc;
}

int
dm_usable_ranges(const struct dmamap_container *c, struct dm_range_set *out)
{
	struct dm_range_set set = {0};
	struct usable_arg arg = {&set, 0};
	int rc = dm_range_set_add(&set, DMAMAP_ANYWHERE);

	if (rc == 0 && !TAILQ_EMPTY(&c->domains)) {
		rc = usable_by_all(c, &set);
	} else if (rc == 0) {
		dm_reserved_visit(c, usable_visit, &arg);
		rc = arg.rc;
	}
	if (rc < 0) {
		dm_range_set_clear(&set);
		return rc;
	}
	dm_range_set_clear(out);
	*out = set;
	return 0;
}

/** The union of what is usable and what is beyond. @return 0, or -ENOMEM */
static int
usable_with_beyond(const struct dm_range_set *usable, const struct dm_range_set *beyond,
	struct dm_range_set *all)
{
	unsigned int i;
	int rc = dm_range_set_copy(all, usable);

	for (i = 0; i < beyond->n && rc == 0; i++)
		rc = dm_range_set_add(all, beyond->r[i]);
	return rc;
}

int
dm_usable_set(struct dmamap_container *c, const struct dm_range_set *usable, uint64_t page_sizes,
	struct dmamap_range *conflict)
{
	struct dm_range_set all = {0};
	int rc = usable_with_beyond(usable, &c->beyond, &all);

	if (rc == 0)
		rc = dm_iova_set_usable(
			c->iova_space, &all, dm_align_page_sizes(page_sizes), conflict);
	dm_range_set_clear(&all);
	return rc;
}

int
dm_usable_force(struct dmamap_container *c, const struct dm_range_set *usable, uint64_t page_sizes)
{
	struct dm_range_set beyond = {0};
	struct dmamap_range live = {0};
	dmamap_iova_t from = 0;
	int rc = 0;

	while (rc == 0 && dm_iova_next_live(c->iova_space, from, &live) == 0) {
		if (!dm_range_set_contains(usable, live))
			rc = dm_range_set_add(&beyond, live);
		if (live.last == UINT64_MAX)
			break;
		from = live.last + 1;
	}
	DM_SWAP(c->beyond, beyond);
	if (rc == 0)
		rc = dm_usable_set(c, usable, page_sizes, NULL);
	if (rc < 0)
		DM_SWAP(c->beyond, beyond);
	dm_range_set_clear(&beyond);
	return rc;
}

void
dm_usable_shed(struct dmamap_container *c, struct dmamap_range r)
{
	dm_assert_book(c);
	if (!dm_range_set_overlaps(&c->beyond, r, NULL))
		return;
	/* Without memory the range stays available; the kernel then refuses maps there. */
	if (dm_range_set_del(&c->beyond, r) < 0 ||
		dm_usable_set(c, &c->usable, c->page_sizes, NULL) < 0)
		DM_LOG(WARNING,
			"container %s: cannot withdraw " DM_RANGE_FMT ", which is no longer "
			"usable: out of memory",
			c->name, DM_RANGE_ARG(r));
}

struct list_arg {
	struct dmamap_reserved *all;
	unsigned int n, cap;
	int rc;
};

static bool
reserved_visit_list(const struct dmamap_reserved *r, void *arg)
{
	struct list_arg *a = arg;
	struct dmamap_reserved *grown;

	if (a->n == a->cap) {
		a->cap = DM_MAX(16u, a->cap * 2);
		grown = reallocarray(a->all, a->cap, sizeof(*grown));
		if (grown == NULL) {
			a->rc = -ENOMEM;
			return false;
		}
		a->all = grown;
	}
	a->all[a->n++] = *r;
	return true;
}

static int
reserved_cmp_start(const void *a, const void *b)
{
	const struct dmamap_reserved *x = a, *y = b;

	return x->range.start < y->range.start ? -1 : x->range.start > y->range.start;
}

int
dmamap_reserved(const struct dmamap_container *c, struct dmamap_reserved *out, unsigned int n)
{
	struct list_arg arg = {0};
	int rc;

	if (c == NULL || (out == NULL && n > 0))
		return -EINVAL;
	dm_topo_read(c);
	dm_reserved_visit(c, reserved_visit_list, &arg);
	dm_topo_unlock(c);

	rc = arg.rc;
	if (rc == 0) {
		if (arg.n > 0)
			qsort(arg.all, arg.n, sizeof(*arg.all), reserved_cmp_start);
		if (n > 0)
			memcpy(out, arg.all, DM_MIN(n, arg.n) * sizeof(*out));
		rc = arg.n;
	}
	free(arg.all);
	return rc;
}
