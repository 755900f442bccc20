/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Conflicts: find, record and report everything that prevents an attach or a merge.
 *
 * Invariant: all conflicts are recorded, not only the first, so that the user can resolve them
 * at once. Under the topology lock for writing. Called by attach.c, merge.c, refresh.c, container.c
 * and users.
 */

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_container.h"
#include "dm_util.h"

/** A live range of IOVAs: a mapping or a reservation. */
struct held {
	struct dmamap_range range;
	const struct dm_mapping *m; /**< NULL: a reservation */
};

/** One pass over all mappings and reservations of a container. */
struct pass {
	struct dmamap_container *c; /**< records the conflicts */
	const struct dmamap_container *of; /**< whose mappings and reservations */
	void (*check)(struct pass *p, const struct held *h);
	const struct dm_iommu_dev *dev;
	const struct dm_domain *d;
	const struct dmamap_container *other;
	const struct held *now; /**< the range being checked */
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

/** Record a conflict of the range being checked. */
static void
conflict_add(struct pass *p, struct dmamap_conflict *conflict)
{
	struct dm_conflicts *all = &p->c->conflicts;
	const struct held *h = p->now;
	struct dmamap_conflict *grown;

	if (all->n == all->cap) {
		grown = reallocarray(all->v, DM_MAX(8u, all->cap * 2), sizeof(*grown));
		if (grown == NULL) {
			all->lost = true;
			return;
		}
		all->v = grown;
		all->cap = DM_MAX(8u, all->cap * 2);
	}
	conflict->range = h->range;
	conflict->va = h->m != NULL ? dm_mapping_va(h->m) : NULL;
	dm_mapping_title(h->m, conflict->name);
	snprintf(conflict->container, sizeof(conflict->container), "%s", p->of->name);
	all->v[all->n++] = *conflict;
}

static void
conflict_add_reserved(struct pass *p, const struct dmamap_reserved *r)
{
	struct dmamap_conflict conflict = {
		.kind = DMAMAP_CONFLICT_RESERVED, .with = r->range, .type = r->type};

	snprintf(conflict.owner, sizeof(conflict.owner), "%s", r->owner);
	conflict_add(p, &conflict);
}

static void
pass_visit_reservation(const void *node, VISIT which, void *arg)
{
	const struct dm_reservation *t = *(struct dm_reservation *const *)node;
	struct pass *p = arg;

	if (which != postorder && which != leaf)
		return;
	p->now = &(struct held){.range = t->range};
	p->check(p, p->now);
}

static void
pass_run(struct pass *p)
{
	const struct dm_mapping *m;

	TAILQ_FOREACH(m, &p->of->mappings, next) {
		p->now = &(struct held){.range = m->range, .m = m};
		p->check(p, p->now);
	}
	twalk_r(p->of->reservations, pass_visit_reservation, p);
}

static void
pass_check_dev(struct pass *p, const struct held *h)
{
	const struct dm_iommu_resv *resv = p->dev->resv;
	struct dmamap_reserved r;
	unsigned int i;

	for (i = 0; i < p->dev->n_resv; i++)
		if (resv[i].type != DMAMAP_RESERVED_RELAXABLE &&
			dm_range_overlap(resv[i].range, h->range)) {
			dm_reserved_of_dev(p->dev, &resv[i], &r);
			conflict_add_reserved(p, &r);
		}
}

/** Whether c holds anything in ranges that are reserved for a device's group. */
static bool
conflicts_with_dev(const struct dmamap_container *c, const struct dm_iommu_dev *dev)
{
	unsigned int i;

	for (i = 0; i < dev->n_resv; i++)
		if (dev->resv[i].type != DMAMAP_RESERVED_RELAXABLE &&
			(dm_mapping_find(c, dev->resv[i].range) != NULL ||
				dm_reservation_find(c, dev->resv[i].range) != NULL))
			return true;
	return false;
}

void
dm_conflicts_of_dev(struct dmamap_container *c, const struct dm_iommu_dev *dev)
{
	struct pass p = {.c = c, .of = c, .check = pass_check_dev, .dev = dev};

	/*
	 * There are few reserved ranges and there can be very many mappings. So the pass over
	 * mappings is made only if there is a conflict.
	 */
	if (conflicts_with_dev(c, dev))
		pass_run(&p);
}

/** Whether part of a domain's hole is reserved by the device's group, for a better message. */
static bool
dev_reserves(const struct dm_iommu_dev *dev, struct dmamap_range part)
{
	unsigned int i;

	for (i = 0; i < dev->n_resv; i++)
		if (dm_range_inside(part, dev->resv[i].range))
			return true;
	return false;
}

static bool
conflict_visit_hole(const struct dmamap_reserved *r, void *arg)
{
	struct pass *p = arg;
	struct dmamap_range part = {DM_MAX(r->range.start, p->now->range.start),
		DM_MIN(r->range.last, p->now->range.last)};

	if (part.start <= part.last && !dev_reserves(p->dev, part))
		conflict_add_reserved(p, r);
	return true;
}

/** Check the page size. Mappings only: a reservation can be mapped in part. */
static void
pass_check_page_size(struct pass *p, const struct held *h)
{
	const uint64_t page = p->d->info.page_sizes & -p->d->info.page_sizes;
	struct dmamap_conflict conflict;

	if (h->m == NULL || ((h->range.start | dm_range_len(h->range)) & (page - 1)) == 0)
		return;
	conflict = (struct dmamap_conflict){.kind = DMAMAP_CONFLICT_PAGE_SIZE, .page_size = page};
	snprintf(conflict.owner, sizeof(conflict.owner), "domain %u", p->d->dom->id);
	conflict_add(p, &conflict);
}

/** Whether a domain translates all of this range. */
static bool
domain_translates(const struct dm_domain *d, struct dmamap_range r)
{
	unsigned int i;

	for (i = 0; i < d->info.n_ranges; i++)
		if (dm_range_inside(r, d->info.ranges[i]))
			return true;
	return false;
}

static void
pass_check_domain(struct pass *p, const struct held *h)
{
	/* Holes are visited for conflicting ranges only: an attach checks every mapping. */
	if (!domain_translates(p->d, h->range))
		dm_reserved_visit_holes(p->d, conflict_visit_hole, p);
	pass_check_page_size(p, h);
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

/**
 * Whether d translates all that another domain of the container does. What c holds fits that one,
 * so it fits d too.
 */
static bool
domain_covers_another(const struct dmamap_container *c, const struct dm_domain *d)
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
	struct pass p = {.c = c, .of = c, .check = pass_check_domain, .d = d, .dev = dev};

	if (!domain_covers_another(c, d))
		pass_run(&p);
}

static bool
conflict_visit_reserved(const struct dmamap_reserved *r, void *arg)
{
	struct pass *p = arg;

	if (r->type != DMAMAP_RESERVED_RELAXABLE && dm_range_overlap(r->range, p->now->range))
		conflict_add_reserved(p, r);
	return true;
}

/** Check against the ranges and page sizes that the other container's devices can reach. */
static void
pass_check_reach(struct pass *p, const struct held *h)
{
	struct dmamap_conflict conflict;
	unsigned int i;

	/* Owners are searched for conflicting ranges only: there can be very many devices. */
	if (!dm_range_set_contains(&p->other->usable, h->range))
		dm_reserved_visit(p->other, conflict_visit_reserved, p);
	for (i = 0; i < p->other->quarantined.n; i++) {
		conflict = (struct dmamap_conflict){
			.kind = DMAMAP_CONFLICT_QUARANTINED, .with = p->other->quarantined.r[i]};
		if (dm_range_overlap(conflict.with, h->range))
			conflict_add(p, &conflict);
	}
	TAILQ_FOREACH(p->d, &p->other->domains, next)
		pass_check_page_size(p, h);
}

static void
conflict_add_other(struct pass *p, enum dmamap_conflict_kind kind, struct dmamap_range with,
	const struct dm_mapping *m)
{
	struct dmamap_conflict conflict = {.kind = kind, .with = with};

	dm_mapping_title(m, conflict.owner);
	conflict_add(p, &conflict);
}

/** Check against each mapping of the other container that overlaps r. */
static void
pass_check_mappings(struct pass *p, struct dmamap_range r)
{
	const struct dm_mapping *m;

	while ((m = dm_mapping_find(p->other, r)) != NULL) {
		conflict_add_other(p, DMAMAP_CONFLICT_IOVA, m->range, m);
		if (m->range.last >= r.last)
			return;
		r.start = m->range.last + 1;
	}
}

/** Check against its reservations. The tree returns any overlapping one, so split around it. */
static void
pass_check_reservations(struct pass *p, struct dmamap_range r)
{
	const struct dm_reservation *t;

	while ((t = dm_reservation_find(p->other, r)) != NULL) {
		if (t->range.start > r.start)
			pass_check_reservations(
				p, (struct dmamap_range){r.start, t->range.start - 1});
		conflict_add_other(p, DMAMAP_CONFLICT_IOVA, t->range, NULL);
		if (t->range.last >= r.last)
			return;
		r.start = t->range.last + 1;
	}
}

/** Check against memory that is mapped in both. */
static void
pass_check_memory(struct pass *p, struct dmamap_range vas)
{
	const struct dm_mapping *m;

	while ((m = dm_mapping_find_va(p->other, vas)) != NULL) {
		conflict_add_other(p, DMAMAP_CONFLICT_MEMORY, m->range, m);
		if (m->vas.last >= vas.last)
			return;
		vas.start = m->vas.last + 1;
	}
}

static void
pass_check_other(struct pass *p, const struct held *h)
{
	pass_check_mappings(p, h->range);
	pass_check_reservations(p, h->range);
	pass_check_reach(p, h);
	if (h->m != NULL && !(dm_mapping_flags(h->m) & DMAMAP_ALIAS))
		pass_check_memory(p, h->m->vas);
}

void
dm_conflicts_of_merge(struct dmamap_container *into, const struct dmamap_container *from)
{
	struct pass p = {.c = into, .of = from, .check = pass_check_other, .other = into};
	struct pass back = {.c = into, .of = into, .check = pass_check_reach, .other = from};

	pass_run(&p);
	/* Overlaps are symmetric and were found by the first pass; this one checks reach only. */
	pass_run(&back);
}

/** Check against what is usable now. Quarantine is ignored: it has another cause. */
static void
pass_check_own_reach(struct pass *p, const struct held *h)
{
	if (!dm_range_set_contains(&p->of->usable, h->range))
		dm_reserved_visit(p->of, conflict_visit_reserved, p);
	TAILQ_FOREACH(p->d, &p->of->domains, next)
		pass_check_page_size(p, h);
}

void
dm_conflicts_of_reach(struct dmamap_container *c)
{
	struct pass p = {.c = c, .of = c, .check = pass_check_own_reach};

	pass_run(&p);
}

void
dm_conflicts_live(struct dmamap_container *c, struct dmamap_range live)
{
	struct held h = {.range = live, .m = dm_mapping_find(c, live)};
	struct pass p = {.c = c, .of = c, .other = c, .now = &h};

	dm_reserved_visit(c, conflict_visit_reserved, &p);
}

/** Format a conflict for a message. */
static void
conflict_describe(const struct dmamap_conflict *k, char *text, size_t size)
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
			"maps memory that both containers map, in the other as the %s " DM_RANGE_FMT,
			k->owner, DM_RANGE_ARG(k->with));
		break;
	case DMAMAP_CONFLICT_QUARANTINED:
		snprintf(text, size,
			"lies in " DM_RANGE_FMT ", in quarantine there after a failed unmap",
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
	conflict_describe(&all->v[0], text, sizeof(text));
	DM_LOG(ERR, "container %s: cannot %s %s: %s: %s%s", c->name, what, whom, text, advice,
		count);
	for (i = 1; i < DM_MIN(all->n, DMAMAP_CONFLICTS_LOGGED); i++) {
		conflict_describe(&all->v[i], text, sizeof(text));
		DM_LOG(ERR, "container %s: cannot %s %s: and %s", c->name, what, whom, text);
	}
	return all->v[0].kind == DMAMAP_CONFLICT_MEMORY ? -EEXIST : -EADDRINUSE;
}

void
dm_conflicts_note(const struct dmamap_container *c, const char *what)
{
	const struct dm_conflicts *all = &c->conflicts;
	char text[512];
	unsigned int i;

	if (all->n > DMAMAP_CONFLICTS_LOGGED)
		DM_LOG(WARNING, "container %s: %s: %u conflicts, the first are:", c->name, what,
			all->n);
	for (i = 0; i < DM_MIN(all->n, DMAMAP_CONFLICTS_LOGGED); i++) {
		conflict_describe(&all->v[i], text, sizeof(text));
		DM_LOG(WARNING,
			"container %s: %s: %s: devices no longer reach it: unmap or release it",
			c->name, what, text);
	}
}

int
dmamap_container_conflicts(
	const struct dmamap_container *c, struct dmamap_conflict *out, unsigned int n)
{
	int rc;

	if (c == NULL || (out == NULL && n > 0))
		return -EINVAL;
	dm_topo_read(c);
	rc = c->conflicts.lost ? -ENOMEM : (int)c->conflicts.n;
	if (n > 0 && c->conflicts.n > 0)
		memcpy(out, c->conflicts.v, DM_MIN(n, c->conflicts.n) * sizeof(*out));
	dm_topo_unlock(c);
	return rc;
}
