/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do devices change their address space? Two containers become one; a device moves between two.
 */

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dm_container.h"

/** Lock two containers; always in the same order, so that two threads do not wait for each other.
 */
static void
lock_both(struct dmamap_container *a, struct dmamap_container *b)
{
	dm_lock(a < b ? a : b);
	dm_lock(a < b ? b : a);
}

static void
unlock_both(struct dmamap_container *a, struct dmamap_container *b)
{
	dm_unlock(a);
	dm_unlock(b);
}

/** Has each room for the mappings of the other? */
static int
check_room(const struct dmamap_container *into, const struct dmamap_container *from)
{
	int rc = dm_domains_budget(into, from->n_mappings);

	if (rc == 0)
		rc = dm_domains_budget(from, into->n_mappings);
	if (rc == 0)
		rc = dm_pin_memlock_check(from->mapped_len * dm_domains_charges(into) +
				into->mapped_len * dm_domains_charges(from),
			into->name);
	return rc;
}

static int
check_both(struct dmamap_container *into, struct dmamap_container *from)
{
	int rc;

	dm_conflicts_clear(into);
	if (into->backend != from->backend || into->conf.model != from->conf.model)
		return DM_FAIL(EINVAL, "container %s: cannot merge %s: another backend", into->name,
			from->name);
	if (!LIST_EMPTY(&from->clients))
		return DM_FAIL(EBUSY, "container %s: cannot merge %s: its client %s is attached",
			into->name, from->name, LIST_FIRST(&from->clients)->name);
	dm_registrations_trim(from, 0);
	dm_conflicts_of_merge(into, from);
	rc = dm_conflicts_report(into, "merge", from->name, "give one back first");
	return rc < 0 ? rc : check_room(into, from);
}

/** Let nobody have a range again: a domain of c keeps a mapping there that is none of c's. */
static void
fence(struct dmamap_container *c, struct dmamap_range r)
{
	int rc;

	if (dm_range_set_contains(&c->fenced, r))
		return;
	c->fenced_len += dm_range_len(r);
	rc = dm_range_set_add(&c->fenced, r);
	if (rc == 0)
		rc = dm_iova_take_fixed(c->space, r.start, dm_range_len(r));
	/*
	 * Live already: it was taken for the mapping, and disown() leaves it so, or the user has
	 * taken it. Out of range: nobody is given it.
	 */
	if (rc < 0 && rc != -EEXIST && rc != -ERANGE)
		DM_LOG(ERR,
			"container %s: no memory to remember that " DM_RANGE_FMT " is fenced off",
			c->name, DM_RANGE_ARG(r));
}

/** Unmap the first n mappings of `of` from a domain of another container. */
static void
unreplay(struct dmamap_container *c, struct dm_domain *d, const struct dmamap_container *of,
	uint64_t n)
{
	const struct dm_mapping *m;
	uint64_t done;

	TAILQ_FOREACH(m, &of->mappings, next) {
		if (n-- == 0)
			return;
		c->unmap_calls++;
		if (d->dom->iommu->ops->unmap(
			    d->dom, m->range.start, dm_range_len(m->range), &done) < 0 ||
			done != dm_range_len(m->range)) {
			DM_LOG(ERR,
				"container %s: domain %u keeps " DM_RANGE_FMT
				" of container %s: the IOVAs are fenced off",
				c->name, d->dom->id, DM_RANGE_ARG(m->range), of->name);
			fence(c, m->range);
		} else if (d->info.entries_left != UINT64_MAX) {
			d->info.entries_left++;
		}
	}
}

/** Put the mappings of `of` into all domains of c, or into none. */
static int
replay_across(struct dmamap_container *c, const struct dmamap_container *of)
{
	const struct dm_mapping *m;
	struct dm_domain *d;
	uint64_t n;
	int rc = 0;

	TAILQ_FOREACH(d, &c->domains, next) {
		n = 0;
		TAILQ_FOREACH(m, &of->mappings, next) {
			rc = dm_domain_map(c, d, m);
			if (rc < 0)
				goto undo;
			n++;
		}
	}
	return 0;

undo:
	unreplay(c, d, of, n);
	while ((d = TAILQ_PREV(d, dm_domain_list, next)) != NULL)
		unreplay(c, d, of, of->n_mappings);
	return rc;
}

static void
unreplay_all(struct dmamap_container *c, const struct dmamap_container *of)
{
	struct dm_domain *d;

	TAILQ_FOREACH(d, &c->domains, next)
		unreplay(c, d, of, of->n_mappings);
}

/** Take the IOVAs of a mapping, enter it in the trees of `into` and publish it there. */
static int
adopt(struct dmamap_container *into, struct dm_mapping *m)
{
	int rc = 0;

	if (m->owns_iova)
		rc = dm_iova_take_fixed(into->space, m->range.start, dm_range_len(m->range));
	if (rc < 0)
		return rc;
	rc = dm_index_add(into, m);
	if (rc < 0)
		goto give;
	rc = dm_publish(into, m);
	if (rc < 0)
		goto forget;
	return 0;

forget:
	dm_index_del(into, m);
give:
	if (m->owns_iova)
		dm_iova_give(into->space, m->range.start, dm_range_len(m->range));
	return rc;
}

static void
disown(struct dmamap_container *from, struct dm_mapping *m)
{
	dm_withdraw(from, m);
	dm_index_del(from, m);
	if (m->owns_iova && !dm_range_set_overlaps(&from->fenced, m->range, NULL))
		dm_iova_give(from->space, m->range.start, dm_range_len(m->range));
}

static void
disown_all(struct dmamap_container *from, const struct dm_mapping_list *list)
{
	struct dm_mapping *m;

	TAILQ_FOREACH(m, list, next)
		disown(from, m);
}

static int
adopt_mappings(struct dmamap_container *into, struct dmamap_container *from)
{
	struct dm_mapping *m;
	int rc = 0;

	TAILQ_FOREACH(m, &from->mappings, next) {
		rc = adopt(into, m);
		if (rc < 0)
			break;
	}
	if (rc == 0)
		return 0;
	while ((m = TAILQ_PREV(m, dm_mapping_list, next)) != NULL)
		disown(into, m);
	return rc;
}

/** The taken ranges of a container, as an array. */
struct taken_list {
	struct dm_taken **t;
	unsigned int n, cap;
};

static void
list_taken(const void *node, VISIT which, void *arg)
{
	struct taken_list *l = arg;

	if (which != postorder && which != leaf)
		return;
	if (l->n < l->cap)
		l->t[l->n] = *(struct dm_taken *const *)node;
	l->n++;
}

/** Take the first n ranges of a list out of a container again. */
static void
untake(struct dmamap_container *c, const struct taken_list *l, unsigned int n)
{
	while (n-- > 0) {
		tdelete(l->t[n], &c->taken, dm_range_cmp);
		dm_iova_give(c->space, l->t[n]->range.start, dm_range_len(l->t[n]->range));
		c->taken_len -= dm_range_len(l->t[n]->range);
	}
}

static int
retake(struct dmamap_container *c, const struct taken_list *l)
{
	unsigned int i;
	int rc;

	for (i = 0; i < l->n; i++) {
		rc = dm_iova_take_fixed(
			c->space, l->t[i]->range.start, dm_range_len(l->t[i]->range));
		if (rc == 0 && tsearch(l->t[i], &c->taken, dm_range_cmp) == NULL) {
			dm_iova_give(c->space, l->t[i]->range.start, dm_range_len(l->t[i]->range));
			rc = -ENOMEM;
		}
		if (rc < 0) {
			untake(c, l, i);
			return rc;
		}
		c->taken_len += dm_range_len(l->t[i]->range);
	}
	return 0;
}

/** Move the taken ranges, all or none. */
static int
adopt_taken(struct dmamap_container *into, struct dmamap_container *from)
{
	struct taken_list l = {0};
	int rc;

	twalk_r(from->taken, list_taken, &l);
	if (l.n == 0)
		return 0;
	l.t = calloc(l.n, sizeof(l.t[0]));
	if (l.t == NULL)
		return -ENOMEM;
	l.cap = l.n;
	l.n = 0;
	twalk_r(from->taken, list_taken, &l);
	rc = retake(into, &l);
	if (rc == 0)
		untake(from, &l, l.n);
	free(l.t);
	return rc;
}

/** The domains that keep what was fenced off change hands, so the fences do too. */
static void
move_fences(struct dmamap_container *into, struct dmamap_container *from)
{
	struct dmamap_range r, live;
	unsigned int i;

	for (i = 0; i < from->fenced.n; i++) {
		r = from->fenced.r[i];
		fence(into, r);
		while (dm_iova_next_live(from->space, r.start, &live) == 0 && live.last <= r.last)
			if (dm_iova_give(from->space, live.start, dm_range_len(live)) < 0)
				break;
	}
	dm_range_set_clear(&from->fenced);
	from->fenced_len = 0;
}

/** Nothing can fail any more: hand over lists and counts. */
static void
hand_over(struct dmamap_container *into, struct dmamap_container *from, struct dm_merged *merged)
{
	struct dmamap_device *dev;
	struct dm_mapping *m;
	struct dmamap_zone *z;
	struct dm_domain *d;

	disown_all(from, &from->mappings);
	move_fences(into, from);
	TAILQ_FOREACH(m, &from->mappings, next)
		m->c = into;
	TAILQ_CONCAT(&into->aliases, &from->aliases, idle);
	TAILQ_CONCAT(&into->mappings, &from->mappings, next);
	TAILQ_FOREACH(d, &from->domains, next)
		d->dom->id = into->next_domain_id++;
	TAILQ_CONCAT(&into->domains, &from->domains, next);
	TAILQ_FOREACH(dev, &from->devices, next)
		dev->c = into;
	TAILQ_CONCAT(&into->devices, &from->devices, next);
	while ((z = LIST_FIRST(&from->zones)) != NULL) {
		LIST_REMOVE(z, next);
		z->c = into;
		LIST_INSERT_HEAD(&into->zones, z, next);
	}
	into->n_mappings += from->n_mappings;
	into->mapped_len += from->mapped_len;
	into->mask_last = RTE_MIN(into->mask_last, from->mask_last);
	from->n_mappings = from->mapped_len = 0;
	from->mask_last = UINT64_MAX;
	merged->iommu = from->iommu;
	from->iommu = NULL;
	/* Readers may be inside the window still: its zones are there yet, at the IOVAs it says. */
	if (from->window != NULL)
		dm_window_hide(from->window);
	merged->window = from->window;
	from->window = NULL;
	from->no_window = true;
	LIST_INSERT_HEAD(&into->merged, merged, next);
}

static int
merge_locked(struct dmamap_container *into, struct dmamap_container *from, struct dm_merged *merged)
{
	int rc;

	rc = check_both(into, from);
	if (rc < 0)
		return rc;
	rc = adopt_mappings(into, from);
	if (rc < 0)
		return rc;
	rc = replay_across(into, from);
	if (rc < 0)
		goto disown;
	rc = replay_across(from, into);
	if (rc < 0)
		goto unreplay_into;
	rc = adopt_taken(into, from);
	if (rc < 0)
		goto unreplay_from;
	hand_over(into, from, merged);
	return 0;

unreplay_from:
	unreplay_all(from, into);
unreplay_into:
	unreplay_all(into, from);
disown:
	disown_all(into, &from->mappings);
	return rc;
}

int
dmamap_container_merge(struct dmamap_container *into, struct dmamap_container *from)
{
	struct dm_merged *merged;
	int rc;

	if (into == NULL || from == NULL || into == from)
		return DM_FAIL(EINVAL, "merge: two different containers are needed");
	merged = calloc(1, sizeof(*merged));
	if (merged == NULL)
		return -ENOMEM;
	lock_both(into, from);
	rc = merge_locked(into, from, merged);
	if (rc == 0)
		merged = NULL;
	/* What both had is checked to fit what both translate, so only memory can be short here. */
	if (rc == 0 && dm_refresh(into) < 0)
		DM_LOG(WARNING, "container %s: ranges are not narrowed after the merge",
			into->name);
	unlock_both(into, from);
	free(merged);
	return rc;
}

static int
check_movable(const struct dmamap_device *d, const struct dmamap_container *to)
{
	const struct dmamap_device *other;

	if (d->c == to)
		return DM_FAIL(EINVAL, "container %s: %s is there already", to->name, d->dev->name);
	if (__atomic_load_n(&d->holds, __ATOMIC_ACQUIRE) != 0)
		return DM_FAIL(EBUSY,
			"container %s: cannot move %s while it is running: stop it "
			"first",
			d->c->name, d->dev->name);
	TAILQ_FOREACH(other, &d->c->devices, next)
		if (other != d && other->dev->group == d->dev->group)
			return DM_FAIL(EBUSY,
				"container %s: cannot move %s away from %s, which is in "
				"the same group",
				d->c->name, d->dev->name, other->dev->name);
	return 0;
}

int
dmamap_device_move(struct dmamap_device *d, struct dmamap_container *to)
{
	struct dmamap_container *from;
	int rc, back;

	if (d == NULL || to == NULL || d->c == NULL)
		return DM_FAIL(EINVAL, "move: no device or no container to move it to");
	from = d->c;
	if (from != to)
		lock_both(from, to);
	rc = check_movable(d, to);
	if (rc < 0)
		goto unlock;
	dm_detach_locked(d);
	rc = dm_attach_locked(to, d);
	if (rc == 0)
		goto unlock;
	back = dm_attach_locked(from, d);
	if (back < 0) {
		rc = DM_FAIL(ENODEV,
			"container %s: %s could be moved neither to %s nor back (%s): it "
			"is lost, detach it",
			from->name, d->spec, to->name, strerror(-back));
		d->c = NULL;
	}
unlock:
	if (from != to)
		unlock_both(from, to);
	return rc;
}
