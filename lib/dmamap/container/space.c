/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is where in a container's IOVA space. Called by users and telemetry.c.
 *
 * Layers, the lowest first: what every domain translates, reserved ranges, quarantine,
 * reservations, mappings. Each is a list of disjoint parts in ascending order, and a higher layer
 * hides a lower one. The lists are copies, made under the container's locks; the user's function is
 * called under none.
 */

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_container.h"
#include "dm_util.h"

/** Mappings that are copied in one hold of the bookkeeping lock. */
#define BATCH 64u

/** Parts in ascending order. */
struct layer {
	struct dmamap_space *v;
	size_t n, cap;
	bool lost; /**< out of memory */
};

static void
layer_free(struct layer *l)
{
	free(l->v);
	*l = (struct layer){0};
}

/** Whether b goes on where a ends, and differs in its memory only. */
static bool
part_continues(const struct dmamap_space *a, const struct dmamap_space *b)
{
	return a->range.last != UINT64_MAX && a->range.last + 1 == b->range.start &&
		a->kind == b->kind && a->flags == b->flags && a->page_size == b->page_size &&
		a->node == b->node && a->type == b->type && strcmp(a->name, b->name) == 0 &&
		strcmp(a->owner, b->owner) == 0;
}

/** Append a part, whatever lies there. @see layer_tidy() */
static void
layer_append(struct layer *l, const struct dmamap_space *part)
{
	const size_t cap = DM_MAX((size_t)64, l->cap * 2);
	struct dmamap_space *grown;

	if (l->n == l->cap) {
		grown = reallocarray(l->v, cap, sizeof(*grown));
		if (grown == NULL) {
			l->lost = true;
			return;
		}
		l->v = grown;
		l->cap = cap;
	}
	l->v[l->n++] = *part;
}

/** Append a part, or join it to the last one. What lies below the end of that is cut off. */
static void
layer_add(struct layer *l, struct dmamap_space part)
{
	struct dmamap_space *last = l->n > 0 ? &l->v[l->n - 1] : NULL;

	if (last != NULL && part.range.start <= last->range.last) {
		if (part.range.last <= last->range.last)
			return;
		part.range.start = last->range.last + 1;
	}
	if (last == NULL || !part_continues(last, &part)) {
		layer_append(l, &part);
		return;
	}
	last->range.last = part.range.last;
	last->n += part.n;
}

static void
layer_add_range(struct layer *l, enum dmamap_space_kind kind, struct dmamap_range r)
{
	layer_add(l, (struct dmamap_space){.range = r, .kind = kind, .node = -1});
}

/** The usable ranges, and what lies between them. Under topology. */
static void
collect_usable(struct layer *l, const struct dmamap_container *c)
{
	uint64_t at = 0;
	size_t i;

	for (i = 0; i < c->usable.n; i++) {
		if (c->usable.r[i].start > at)
			layer_add_range(l, DMAMAP_SPACE_OUTSIDE,
				(struct dmamap_range){at, c->usable.r[i].start - 1});
		layer_add_range(l, DMAMAP_SPACE_FREE, c->usable.r[i]);
		at = c->usable.r[i].last + 1;
		if (at == 0)
			return;
	}
	layer_add_range(l, DMAMAP_SPACE_OUTSIDE, (struct dmamap_range){at, UINT64_MAX});
}

static int
part_cmp(const void *a, const void *b)
{
	const struct dmamap_space *x = a, *y = b;

	return x->range.start < y->range.start ? -1 : x->range.start > y->range.start;
}

/** Sort a list in which parts may overlap, and cut off what others hide. */
static void
layer_tidy(struct layer *l)
{
	struct layer tidy = {.lost = l->lost};
	size_t i;

	if (l->n > 0)
		qsort(l->v, l->n, sizeof(*l->v), part_cmp);
	for (i = 0; i < l->n; i++)
		layer_add(&tidy, l->v[i]);
	layer_free(l);
	*l = tidy;
}

/** Holes of domains are what collect_usable() calls outside. */
static bool
collect_one_reserved(const struct dmamap_reserved *r, void *arg)
{
	struct dmamap_space part = {
		.range = r->range, .kind = DMAMAP_SPACE_RESERVED, .type = r->type, .node = -1};

	if (r->type == DMAMAP_RESERVED_APERTURE || r->type == DMAMAP_RESERVED_RELAXABLE)
		return true;
	dm_strlcpy(part.owner, r->owner, sizeof(part.owner));
	layer_append(arg, &part);
	return true;
}

static void
collect_one_reservation(const void *node, VISIT which, void *arg)
{
	const struct dm_reservation *t = *(struct dm_reservation *const *)node;
	struct dmamap_space part = {
		.range = t->range, .kind = DMAMAP_SPACE_RESERVATION, .node = -1};

	if (which != postorder && which != leaf)
		return;
	if (t->zone != NULL)
		dm_strlcpy(part.name, t->zone->name, sizeof(part.name));
	layer_append(arg, &part);
}

static struct dmamap_space
part_of_mapping(const struct dm_mapping *m)
{
	struct dmamap_space part = {.range = m->range,
		.flags = m->flags & (DMAMAP_RW | DMAMAP_ALIAS),
		.node = -1,
		.n = 1};
	struct dmamap_zone_info info;

	if (m->zone == NULL) {
		part.kind = m->cache != NULL ? DMAMAP_SPACE_REGISTRATION : DMAMAP_SPACE_MAPPING;
		return part;
	}
	part.kind = DMAMAP_SPACE_ZONE;
	dm_zone_describe(m->zone, &info);
	part.page_size = info.page_size;
	part.node = info.n_nodes == 1 ? info.nodes[0].node : -1;
	dm_strlcpy(part.name, info.name, sizeof(part.name));
	dm_strlcpy(part.owner, info.owner, sizeof(part.owner));
	return part;
}

/** Copy a batch of mappings from *at on, and move *at. Bookkeeping is held. @return false: the end
 */
static bool
collect_batch(struct layer *l, const struct dmamap_container *c, uint64_t *at)
{
	const struct dm_mapping *m;
	unsigned int i;

	for (i = 0; i < BATCH; i++) {
		m = dm_mapping_find(c, (struct dmamap_range){*at, UINT64_MAX});
		if (m == NULL)
			return false;
		/* A zone that is still being made has no description yet. */
		if (m->state != DM_MAPPING && (m->zone == NULL || m->zone->ready))
			layer_add(l, part_of_mapping(m));
		if (m->range.last == UINT64_MAX)
			return false;
		*at = m->range.last + 1;
	}
	return true;
}

/** Lay one layer over another. Frees both. */
static struct layer
layer_over(struct layer *bottom, struct layer *top)
{
	struct layer out = {.lost = bottom->lost || top->lost};
	size_t i, t = 0;

	for (i = 0; i < bottom->n; i++) {
		struct dmamap_space part = bottom->v[i];
		const uint64_t last = part.range.last;

		for (; t < top->n && top->v[t].range.start <= last; t++) {
			if (top->v[t].range.start > part.range.start) {
				part.range.last = top->v[t].range.start - 1;
				layer_add(&out, part);
			}
			layer_add(&out, top->v[t]);
			/* The rest of this part, if any, is behind that. */
			part.range.last = last;
			if (top->v[t].range.last >= last)
				break;
			part.range.start = top->v[t].range.last + 1;
		}
		if (t < top->n && top->v[t].range.start <= last)
			continue; /* it covers the rest, and may cover the next part too */
		layer_add(&out, part);
	}
	layer_free(bottom);
	layer_free(top);
	return out;
}

/**
 * Copy mappings from an address on, up to about so many parts, and everything else.
 * @param last  out: the parts that begin up to there are whole
 * @return the parts from the lowest to the highest
 */
static struct layer
space_collect(const struct dmamap_container *c, uint64_t from, size_t parts, uint64_t *last)
{
	struct layer all = {0}, reserved = {0}, reservations = {0}, quarantine = {0}, mapped = {0};
	uint64_t at = from;
	bool more;
	size_t i;

	dm_topo_read(c);
	dm_reserved_visit(c, collect_one_reserved, &reserved);
	dm_book_lock(c);
	collect_usable(&all, c);
	for (i = 0; i < c->quarantined.n; i++)
		layer_add_range(&quarantine, DMAMAP_SPACE_QUARANTINE, c->quarantined.r[i]);
	twalk_r(c->reservations, collect_one_reservation, &reservations);
	for (;;) {
		more = collect_batch(&mapped, c, &at);
		dm_book_unlock(c);
		if (!more || mapped.n > parts)
			break;
		dm_book_lock(c);
	}
	dm_topo_unlock(c);
	/* The next mapping may continue the last part. */
	*last = more ? mapped.v[mapped.n - 1].range.start - 1 : UINT64_MAX;
	layer_tidy(&reserved);
	layer_tidy(&reservations);
	all = layer_over(&all, &reserved);
	all = layer_over(&all, &quarantine);
	all = layer_over(&all, &reservations);
	return layer_over(&all, &mapped);
}

/** Call a function for the parts that begin in a range of addresses. Frees the layer. */
static int
layer_walk(struct layer all, uint64_t from, uint64_t last,
	int (*fn)(const struct dmamap_space *part, void *arg), void *arg)
{
	int rc = all.lost ? -ENOMEM : 0;
	size_t i;

	for (i = 0; i < all.n && rc == 0 && all.v[i].range.start <= last; i++) {
		if (all.v[i].range.last < from)
			continue;
		all.v[i].range.start = DM_MAX(all.v[i].range.start, from);
		rc = fn(&all.v[i], arg);
	}
	layer_free(&all);
	return rc;
}

int
dm_space_walk_some(const struct dmamap_container *c, dmamap_iova_t from, size_t parts,
	int (*fn)(const struct dmamap_space *part, void *arg), void *arg)
{
	uint64_t last;
	const struct layer some = space_collect(c, from, parts, &last);

	return layer_walk(some, from, last, fn, arg);
}

int
dmamap_space_walk(const struct dmamap_container *c, dmamap_iova_t from,
	int (*fn)(const struct dmamap_space *part, void *arg), void *arg)
{
	uint64_t last;

	if (c == NULL || fn == NULL)
		return -EINVAL;
	return layer_walk(space_collect(c, 0, SIZE_MAX, &last), from, UINT64_MAX, fn, arg);
}
