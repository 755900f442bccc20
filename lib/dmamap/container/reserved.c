/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Whose is this range? Reserved ranges of groups and domains, and what they leave.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dm_container.h"

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

	return (unsigned int)type < RTE_DIM(names) ? names[type] : "reserved";
}

static void
fill(struct dmamap_reserved *out, const struct dm_iommu_resv *resv, const char *owner)
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
	fill(out, resv, owner);
}

/** Has a device before d the same group? Its ranges were visited then. */
static bool
group_seen(const struct dmamap_container *c, const struct dmamap_device *d)
{
	const struct dmamap_device *e;

	TAILQ_FOREACH(e, &c->devices, next) {
		if (e == d)
			return false;
		if (e->dev->group == d->dev->group)
			return true;
	}
	return false;
}

bool
dm_reserved_visit_holes(const struct dm_domain *d, dm_reserved_visit_t visit, void *arg)
{
	struct dmamap_reserved r = {.type = DMAMAP_RESERVED_APERTURE};
	rte_iova_t from = 0;
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
visit_devices(const struct dmamap_container *c, dm_reserved_visit_t visit, void *arg)
{
	const struct dmamap_device *dev;
	struct dmamap_reserved r;
	unsigned int i;

	TAILQ_FOREACH(dev, &c->devices, next) {
		if (group_seen(c, dev))
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
	static const struct dm_iommu_resv page0 = {{0, 4095}, DMAMAP_RESERVED_PAGE0};
	static const struct dm_iommu_resv beyond = {
		{DM_PROVISIONAL_LAST + 1, UINT64_MAX}, DMAMAP_RESERVED_APERTURE};
	struct dmamap_reserved r;
	const struct dm_domain *d;
	unsigned int i;

	fill(&r, &page0, "gantry");
	if (!visit(&r, arg) || !visit_devices(c, visit, arg))
		return false;
	TAILQ_FOREACH(d, &c->domains, next)
		if (!dm_reserved_visit_holes(d, visit, arg))
			return false;
	if (!TAILQ_EMPTY(&c->domains))
		return true;

	for (i = 0; i < c->n_host_resv; i++) {
		fill(&r, &c->host_resv[i], "this host");
		if (!visit(&r, arg))
			return false;
	}
	fill(&r, &beyond, "gantry, until a device is attached");
	return visit(&r, arg);
}

struct hit_arg {
	struct dmamap_range range;
	struct dmamap_reserved *hit;
};

static bool
visit_hit(const struct dmamap_reserved *r, void *arg)
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

	return !dm_reserved_visit(c, visit_hit, &arg);
}

struct usable_arg {
	struct dm_range_set set;
	int rc;
};

static bool
visit_usable(const struct dmamap_reserved *r, void *arg)
{
	struct usable_arg *a = arg;

	if (r->type != DMAMAP_RESERVED_RELAXABLE)
		a->rc = dm_range_set_del(&a->set, r->range);
	return a->rc == 0;
}

int
dm_usable_ranges(const struct dmamap_container *c, struct dm_range_set *out)
{
	struct usable_arg arg = {{0}, 0};

	arg.rc = dm_range_set_add(&arg.set, DMAMAP_ANYWHERE);
	if (arg.rc < 0 || !dm_reserved_visit(c, visit_usable, &arg)) {
		dm_range_set_clear(&arg.set);
		return arg.rc;
	}
	dm_range_set_clear(out);
	*out = arg.set;
	return 0;
}

struct list_arg {
	struct dmamap_reserved *all;
	unsigned int n, cap;
	int rc;
};

static bool
visit_list(const struct dmamap_reserved *r, void *arg)
{
	struct list_arg *a = arg;
	struct dmamap_reserved *grown;

	if (a->n == a->cap) {
		a->cap = RTE_MAX(16u, a->cap * 2);
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
by_start(const void *a, const void *b)
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
	dm_lock(c);
	dm_reserved_visit(c, visit_list, &arg);
	dm_unlock(c);

	rc = arg.rc;
	if (rc == 0) {
		qsort(arg.all, arg.n, sizeof(*arg.all), by_start);
		if (n > 0)
			memcpy(out, arg.all, RTE_MIN(n, arg.n) * sizeof(*out));
		rc = arg.n;
	}
	free(arg.all);
	return rc;
}
