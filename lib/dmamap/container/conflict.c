/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is in the way? Everything that makes an attach or a merge impossible: found, remembered and
 * told.
 */

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dm_container.h"

/** IOVAs that a container has given out: to a mapping, or without one. */
struct held {
	struct dmamap_range range;
	const struct dm_mapping *m; /**< NULL: taken without a mapping */
};

/** One pass over all that a container holds. */
struct pass {
	struct dmamap_container *c; /**< which remembers the conflicts */
	const struct dmamap_container *of; /**< whose it is */
	void (*check)(struct pass *p, const struct held *h);
	const struct dm_iommu_dev *dev;
	const struct dm_domain *d;
	const struct dmamap_container *other;
	const struct held *now; /**< what is being checked */
};

void
dm_conflicts_clear(struct dmamap_container *c)
{
	free(c->conflicts.v);
	c->conflicts = (struct dm_conflicts){0};
}

bool
dm_conflicts_any(const struct dmamap_container *c)
{
	return c->conflicts.n > 0 || c->conflicts.lost;
}

static void
name_mapping(const struct dm_mapping *m, char *name)
{
	if (m == NULL)
		snprintf(name, DMAMAP_NAME_MAX, "taken range");
	else if (m->zone != NULL)
		snprintf(name, DMAMAP_NAME_MAX, "zone %.50s", m->zone->name);
	else
		snprintf(name, DMAMAP_NAME_MAX, m->registered ? "registration" : "mapping");
}

/** Remember a conflict of what is being checked. */
static void
add(struct pass *p, struct dmamap_conflict *conflict)
{
	struct dm_conflicts *all = &p->c->conflicts;
	const struct held *h = p->now;
	struct dmamap_conflict *grown;

	if (all->n == all->cap) {
		grown = reallocarray(all->v, RTE_MAX(8u, all->cap * 2), sizeof(*grown));
		if (grown == NULL) {
			all->lost = true;
			return;
		}
		all->v = grown;
		all->cap = RTE_MAX(8u, all->cap * 2);
	}
	conflict->range = h->range;
	conflict->va = h->m != NULL ? dm_mapping_va(h->m) : NULL;
	name_mapping(h->m, conflict->name);
	snprintf(conflict->container, sizeof(conflict->container), "%s", p->of->name);
	all->v[all->n++] = *conflict;
}

static void
add_reserved(struct pass *p, const struct dmamap_reserved *r)
{
	struct dmamap_conflict conflict = {
		.kind = DMAMAP_CONFLICT_RESERVED, .with = r->range, .type = r->type};

	snprintf(conflict.owner, sizeof(conflict.owner), "%s", r->owner);
	add(p, &conflict);
}

static void
check_taken(const void *node, VISIT which, void *arg)
{
	const struct dm_taken *t = *(struct dm_taken *const *)node;
	struct pass *p = arg;

	if (which != postorder && which != leaf)
		return;
	p->now = &(struct held){.range = t->range};
	p->check(p, p->now);
}

static void
run(struct pass *p)
{
	const struct dm_mapping *m;

	TAILQ_FOREACH(m, &p->of->mappings, next) {
		p->now = &(struct held){.range = m->range, .m = m};
		p->check(p, p->now);
	}
	twalk_r(p->of->taken, check_taken, p);
}

static void
against_dev(struct pass *p, const struct held *h)
{
	const struct dm_iommu_resv *resv = p->dev->resv;
	struct dmamap_reserved r;
	unsigned int i;

	for (i = 0; i < p->dev->n_resv; i++)
		if (resv[i].type != DMAMAP_RESERVED_RELAXABLE &&
			dm_range_overlap(resv[i].range, h->range)) {
			dm_reserved_of_dev(p->dev, &resv[i], &r);
			add_reserved(p, &r);
		}
}

/** Does c hold anything in ranges that are reserved for a device's group? */
static bool
any_in_reserved(const struct dmamap_container *c, const struct dm_iommu_dev *dev)
{
	unsigned int i;

	for (i = 0; i < dev->n_resv; i++)
		if (dev->resv[i].type != DMAMAP_RESERVED_RELAXABLE &&
			(dm_mapping_find(c, dev->resv[i].range) != NULL ||
				dm_taken_find(c, dev->resv[i].range) != NULL))
			return true;
	return false;
}

void
dm_conflicts_of_dev(struct dmamap_container *c, const struct dm_iommu_dev *dev)
{
	struct pass p = {.c = c, .of = c, .check = against_dev, .dev = dev};

	/* There are few reserved ranges, and can be very many mappings: those are listed only if
	 * there is something to list. */
	if (any_in_reserved(c, dev))
		run(&p);
}

/** Is a part of a domain's hole reserved by the device's group, which says more about it? */
static bool
is_of_dev(const struct dm_iommu_dev *dev, struct dmamap_range part)
{
	unsigned int i;

	for (i = 0; i < dev->n_resv; i++)
		if (dm_range_inside(part, dev->resv[i].range))
			return true;
	return false;
}

static bool
visit_hole(const struct dmamap_reserved *r, void *arg)
{
	struct pass *p = arg;
	struct dmamap_range part = {RTE_MAX(r->range.start, p->now->range.start),
		RTE_MIN(r->range.last, p->now->range.last)};

	if (part.start <= part.last && !is_of_dev(p->dev, part))
		add_reserved(p, r);
	return true;
}

/** Only what is mapped has to suit the pages; taken IOVAs can be mapped in part. */
static void
check_page_size(struct pass *p, const struct held *h)
{
	const uint64_t page = p->d->info.page_sizes & -p->d->info.page_sizes;
	struct dmamap_conflict conflict;

	if (h->m == NULL || ((h->range.start | dm_range_len(h->range)) & (page - 1)) == 0)
		return;
	conflict = (struct dmamap_conflict){.kind = DMAMAP_CONFLICT_PAGE_SIZE, .page_size = page};
	snprintf(conflict.owner, sizeof(conflict.owner), "domain %u", p->d->dom->id);
	add(p, &conflict);
}

/** Does a domain translate all of this range? */
static bool
translates(const struct dm_domain *d, struct dmamap_range r)
{
	unsigned int i;

	for (i = 0; i < d->info.n_ranges; i++)
		if (dm_range_inside(r, d->info.ranges[i]))
			return true;
	return false;
}

static void
against_domain(struct pass *p, const struct held *h)
{
	/* An attach asks this of every mapping: only one that is in the way needs to hear about
	 * holes. */
	if (!translates(p->d, h->range))
		dm_reserved_visit_holes(p->d, visit_hole, p);
	check_page_size(p, h);
}

bool
dm_info_covers(const struct dm_iommu_info *wide, const struct dm_iommu_info *narrow)
{
	unsigned int i, j;

	if ((wide->page_sizes & -wide->page_sizes) > (narrow->page_sizes & -narrow->page_sizes))
		return false;
	for (i = 0; i < narrow->n_ranges; i++) {
		for (j = 0; j < wide->n_ranges; j++)
			if (dm_range_inside(narrow->ranges[i], wide->ranges[j]))
				break;
		if (j == wide->n_ranges)
			return false;
	}
	return true;
}

/** Does d translate all that one of the container's domains does? What c holds fits that one, so it
 * fits d. */
static bool
covers_another(const struct dmamap_container *c, const struct dm_domain *d)
{
	const struct dm_domain *other;

	TAILQ_FOREACH(other, &c->domains, next)
		if (other != d && dm_info_covers(&d->info, &other->info))
			return true;
	return false;
}

void
dm_conflicts_of_domain(
	struct dmamap_container *c, const struct dm_domain *d, const struct dm_iommu_dev *dev)
{
	struct pass p = {.c = c, .of = c, .check = against_domain, .d = d, .dev = dev};

	if (!covers_another(c, d))
		run(&p);
}

static bool
visit_reserved(const struct dmamap_reserved *r, void *arg)
{
	struct pass *p = arg;

	if (r->type != DMAMAP_RESERVED_RELAXABLE && dm_range_overlap(r->range, p->now->range))
		add_reserved(p, r);
	return true;
}

/** Against what the other container's devices cannot reach, or not by these pages. */
static void
against_reach(struct pass *p, const struct held *h)
{
	struct dmamap_conflict conflict;
	unsigned int i;

	dm_reserved_visit(p->other, visit_reserved, p);
	for (i = 0; i < p->other->fenced.n; i++) {
		conflict = (struct dmamap_conflict){
			.kind = DMAMAP_CONFLICT_FENCED, .with = p->other->fenced.r[i]};
		if (dm_range_overlap(conflict.with, h->range))
			add(p, &conflict);
	}
	TAILQ_FOREACH(p->d, &p->other->domains, next)
		check_page_size(p, h);
}

static void
add_other(struct pass *p, enum dmamap_conflict_kind kind, struct dmamap_range with,
	const struct dm_mapping *m)
{
	struct dmamap_conflict conflict = {.kind = kind, .with = with};

	name_mapping(m, conflict.owner);
	add(p, &conflict);
}

/** Against each mapping of the other container that overlaps r. */
static void
against_mappings(struct pass *p, struct dmamap_range r)
{
	const struct dm_mapping *m;

	while ((m = dm_mapping_find(p->other, r)) != NULL) {
		add_other(p, DMAMAP_CONFLICT_IOVA, m->range, m);
		if (m->range.last >= r.last)
			return;
		r.start = m->range.last + 1;
	}
}

/** The same for ranges that it has taken: what is found first is any of them. */
static void
against_taken(struct pass *p, struct dmamap_range r)
{
	const struct dm_taken *t;

	while ((t = dm_taken_find(p->other, r)) != NULL) {
		if (t->range.start > r.start)
			against_taken(p, (struct dmamap_range){r.start, t->range.start - 1});
		add_other(p, DMAMAP_CONFLICT_IOVA, t->range, NULL);
		if (t->range.last >= r.last)
			return;
		r.start = t->range.last + 1;
	}
}

/** The same for memory that is mapped in both. */
static void
against_memory(struct pass *p, struct dmamap_range vas)
{
	const struct dm_mapping *m;

	while ((m = dm_mapping_find_va(p->other, vas)) != NULL) {
		add_other(p, DMAMAP_CONFLICT_MEMORY, m->range, m);
		if (m->vas.last >= vas.last)
			return;
		vas.start = m->vas.last + 1;
	}
}

static void
against_other(struct pass *p, const struct held *h)
{
	against_mappings(p, h->range);
	against_taken(p, h->range);
	against_reach(p, h);
	if (h->m != NULL && !(h->m->flags & DMAMAP_ALIAS))
		against_memory(p, h->m->vas);
}

void
dm_conflicts_of_merge(struct dmamap_container *into, const struct dmamap_container *from)
{
	struct pass p = {.c = into, .of = from, .check = against_other, .other = into};
	struct pass back = {.c = into, .of = into, .check = against_reach, .other = from};

	run(&p);
	/* What overlaps does so both ways, and is known by now. */
	run(&back);
}

void
dm_conflicts_live(struct dmamap_container *c, struct dmamap_range live)
{
	struct held h = {.range = live, .m = dm_mapping_find(c, live)};
	struct pass p = {.c = c, .of = c, .other = c, .now = &h};

	dm_reserved_visit(c, visit_reserved, &p);
}

/** Put a conflict into words. */
static void
describe(const struct dmamap_conflict *k, char *text, size_t size)
{
	int n = snprintf(text, size, "the %s " DM_RANGE_FMT " of container %s ", k->name,
		DM_RANGE_ARG(k->range), k->container);

	text += n;
	size -= n;
	switch (k->kind) {
	case DMAMAP_CONFLICT_PAGE_SIZE:
		snprintf(text, size, "is no multiple of the page size of %s, 0x%" PRIx64, k->owner,
			k->page_size);
		break;
	case DMAMAP_CONFLICT_IOVA:
		snprintf(text, size, "overlaps the %s " DM_RANGE_FMT, k->owner,
			DM_RANGE_ARG(k->with));
		break;
	case DMAMAP_CONFLICT_MEMORY:
		snprintf(text, size,
			"is of memory that is mapped in both, there as the %s " DM_RANGE_FMT,
			k->owner, DM_RANGE_ARG(k->with));
		break;
	case DMAMAP_CONFLICT_FENCED:
		snprintf(text, size,
			"lies in " DM_RANGE_FMT ", fenced off there after a failed unmap",
			DM_RANGE_ARG(k->with));
		break;
	case DMAMAP_CONFLICT_RESERVED:
		if (k->type == DMAMAP_RESERVED_APERTURE)
			snprintf(text, size,
				"is outside what %s translates: " DM_RANGE_FMT " is out of reach",
				k->owner, DM_RANGE_ARG(k->with));
		else
			snprintf(text, size, "lies in " DM_RANGE_FMT " (%s), reserved by %s",
				DM_RANGE_ARG(k->with), dm_reserved_type_name(k->type), k->owner);
	}
}

int
dm_conflicts_report(
	const struct dmamap_container *c, const char *what, const char *whom, const char *advice)
{
	const struct dm_conflicts *all = &c->conflicts;
	char text[512], count[64] = "";
	unsigned int i;

	if (all->n == 0)
		return all->lost ? -ENOMEM : 0;
	if (all->n > 1)
		snprintf(count, sizeof(count), " (the first of %u conflicts)", all->n);
	describe(&all->v[0], text, sizeof(text));
	DM_LOG(ERR, "container %s: cannot %s %s: %s: %s%s", c->name, what, whom, text, advice,
		count);
	for (i = 1; i < RTE_MIN(all->n, DMAMAP_CONFLICTS_LOGGED); i++) {
		describe(&all->v[i], text, sizeof(text));
		DM_LOG(ERR, "container %s: cannot %s %s: and %s", c->name, what, whom, text);
	}
	return all->v[0].kind == DMAMAP_CONFLICT_MEMORY ? -EEXIST : -EADDRINUSE;
}

int
dmamap_container_conflicts(
	const struct dmamap_container *c, struct dmamap_conflict *out, unsigned int n)
{
	int rc;

	if (c == NULL || (out == NULL && n > 0))
		return -EINVAL;
	dm_lock(c);
	rc = c->conflicts.lost ? -ENOMEM : (int)c->conflicts.n;
	if (n > 0 && c->conflicts.n > 0)
		memcpy(out, c->conflicts.v, RTE_MIN(n, c->conflicts.n) * sizeof(*out));
	dm_unlock(c);
	return rc;
}
