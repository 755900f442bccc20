/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Compares what the kernel has mapped with what containers believe. Called by look.c.
 *
 * Which addresses are mapped is compared, not which entries: the kernel may hold one mapping where
 * a container has several, or the reverse. What changed while the kernel was read is not compared:
 *
 * - sure: believed mapped before and after;
 * - maybe: believed mapped before or after, or in quarantine.
 *
 * The kernel may map what is in maybe, and has to map what is in sure.
 *
 * Neither side names the other's domain. So a domain goes to the container with which it has most
 * addresses in common, and then to any container that has fewer domains than it says.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

/** A container, seen before and after. */
struct side {
	const struct trace_container *c; /**< where its parts come from */
	struct trace_ranges sure, maybe;
	unsigned int expected; /**< domains that it has for sure */
	unsigned int allowed; /**< domains that it may have */
	unsigned int assigned; /**< domains that were found */
};

struct compare {
	struct side *sides;
	size_t n;
	const struct trace_truth *truth;
	size_t *of; /**< side of each domain; n: none */
	struct trace_differences *out;
};

static const struct trace_container *
container_find(const struct trace_belief *b, const char *name)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (strcmp(b->v[i].name, name) == 0)
			return &b->v[i];
	return NULL;
}

/** b = b or a */
static int
ranges_join(struct trace_ranges *b, const struct trace_ranges *a)
{
	struct trace_ranges sum = {0};
	int rc = trace_ranges_or(a, b, &sum);

	trace_ranges_free(b);
	*b = sum;
	return rc;
}

/** @param after  NULL: it is there at one of the two times only */
static int
side_fill(struct side *s, const struct trace_container *before, const struct trace_container *after)
{
	int rc = ranges_join(&s->maybe, &before->mapped);

	s->c = before;
	s->allowed = before->domains;
	if (rc == 0)
		rc = ranges_join(&s->maybe, &before->unsure);
	if (rc < 0 || after == NULL)
		return rc;
	s->expected = before->domains < after->domains ? before->domains : after->domains;
	s->allowed = before->domains > after->domains ? before->domains : after->domains;
	rc = ranges_join(&s->maybe, &after->mapped);
	if (rc == 0)
		rc = ranges_join(&s->maybe, &after->unsure);
	return rc == 0 ? trace_ranges_and(&before->mapped, &after->mapped, &s->sure) : rc;
}

static int
sides_fill(struct compare *cmp, const struct trace_belief *before, const struct trace_belief *after)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < before->n && rc == 0; i++)
		rc = side_fill(&cmp->sides[cmp->n++], &before->v[i],
			container_find(after, before->v[i].name));
	for (i = 0; i < after->n && rc == 0; i++)
		if (container_find(before, after->v[i].name) == NULL)
			rc = side_fill(&cmp->sides[cmp->n++], &after->v[i], NULL);
	return rc;
}

/** Find the best pair of a domain without a container and a container that lacks one. */
static bool
pair_find(const struct compare *cmp, bool common, size_t *domain, size_t *side)
{
	uint64_t overlap, best = 0;
	bool found = false;
	size_t d, s;

	for (d = 0; d < cmp->truth->n; d++)
		for (s = 0; s < cmp->n && cmp->of[d] == cmp->n; s++) {
			if (cmp->sides[s].assigned >= cmp->sides[s].allowed)
				continue;
			overlap = trace_ranges_overlap(
				&cmp->truth->v[d].mapped, &cmp->sides[s].maybe);
			if (common ? overlap > best : !found) {
				best = overlap;
				*domain = d;
				*side = s;
				found = true;
			}
		}
	return found;
}

static void
domains_assign(struct compare *cmp)
{
	size_t d = 0, s = 0;
	int common;

	for (d = 0; d < cmp->truth->n; d++)
		cmp->of[d] = cmp->n;
	for (common = 1; common >= 0; common--)
		while (pair_find(cmp, common, &d, &s)) {
			cmp->of[d] = s;
			cmp->sides[s].assigned++;
		}
}

/* Differences */

static int
difference_add(struct trace_differences *out, const struct trace_difference *d)
{
	struct trace_difference *grown;
	size_t cap;

	if (out->n == out->cap) {
		cap = out->cap > 0 ? out->cap * 2 : 16;
		grown = reallocarray(out->v, cap, sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		out->v = grown;
		out->cap = cap;
	}
	out->v[out->n++] = *d;
	return 0;
}

static void
difference_begin(struct trace_difference *d, enum trace_difference_kind kind,
	const struct trace_domain *domain, const struct side *side)
{
	*d = (struct trace_difference){
		.kind = kind, .identity = domain != NULL ? domain->identity : 0};
	if (domain != NULL)
		trace_domain_name(domain, d->domain);
	if (side != NULL)
		memcpy(d->container, side->c->name, sizeof(d->container));
}

/** One difference for each entry of the kernel in these ranges; entries in a row are one. */
static int
unknown_add(struct compare *cmp, const struct trace_domain *domain, const struct side *side,
	const struct trace_ranges *unknown)
{
	struct trace_difference d;
	const struct trace_entry *e;
	size_t i, j = 0;
	int rc = 0;

	difference_begin(&d, TRACE_UNKNOWN_HERE, domain, side);
	for (i = 0; i < unknown->n && rc == 0; i++) {
		d.range = unknown->v[i];
		while (j < domain->n_entries && domain->entries[j].range.last < d.range.start)
			j++;
		e = j < domain->n_entries ? &domain->entries[j] : NULL;
		d.vaddr = e != NULL && e->vaddr != 0 ? e->vaddr + (d.range.start - e->range.start)
						     : 0;
		d.prot = e != NULL ? e->prot : 0;
		rc = difference_add(cmp->out, &d);
	}
	return rc;
}

/** One difference for each part of the container in these ranges. */
static int
lost_add(struct compare *cmp, const struct trace_domain *domain, const struct side *side,
	const struct trace_ranges *lost)
{
	const struct trace_part *p;
	struct trace_difference d;
	size_t i = 0, j = 0;
	int rc = 0;

	difference_begin(&d, TRACE_LOST, domain, side);
	while (rc == 0 && i < lost->n && j < side->c->n_parts) {
		p = &side->c->parts[j];
		d.range.start =
			p->range.start > lost->v[i].start ? p->range.start : lost->v[i].start;
		d.range.last = p->range.last < lost->v[i].last ? p->range.last : lost->v[i].last;
		if (d.range.start <= d.range.last) {
			memcpy(d.what, p->kind, sizeof(d.what));
			memcpy(d.name, p->name, sizeof(d.name));
			memcpy(d.owner, p->owner, sizeof(d.owner));
			rc = difference_add(cmp->out, &d);
		}
		if (p->range.last < lost->v[i].last)
			j++;
		else
			i++;
	}
	return rc;
}

static int
domain_compare(struct compare *cmp, size_t at)
{
	const struct trace_domain *domain = &cmp->truth->v[at];
	const struct side *side = cmp->of[at] < cmp->n ? &cmp->sides[cmp->of[at]] : NULL;
	struct trace_ranges unknown = {0}, lost = {0};
	const struct trace_ranges nothing = {0};
	int rc;

	rc = trace_ranges_minus(&domain->mapped, side != NULL ? &side->maybe : &nothing, &unknown);
	if (rc == 0)
		rc = unknown_add(cmp, domain, side, &unknown);
	if (rc == 0 && side != NULL) {
		rc = trace_ranges_minus(&side->sure, &domain->mapped, &lost);
		if (rc == 0)
			rc = lost_add(cmp, domain, side, &lost);
	}
	trace_ranges_free(&unknown);
	trace_ranges_free(&lost);
	return rc;
}

int
trace_compare(const struct trace_belief *before, const struct trace_truth *truth,
	const struct trace_belief *after, struct trace_differences *out)
{
	struct compare cmp = {.truth = truth, .out = out};
	int rc = 0;
	size_t i;

	*out = (struct trace_differences){0};
	cmp.sides = calloc(before->n + after->n + 1, sizeof(cmp.sides[0]));
	cmp.of = calloc(truth->n + 1, sizeof(cmp.of[0]));
	rc = cmp.sides != NULL && cmp.of != NULL ? sides_fill(&cmp, before, after) : -ENOMEM;
	if (rc == 0)
		domains_assign(&cmp);
	for (i = 0; i < truth->n && rc == 0; i++)
		rc = domain_compare(&cmp, i);
	for (i = 0; i < cmp.n && rc == 0; i++)
		if (cmp.sides[i].assigned < cmp.sides[i].expected)
			rc = lost_add(&cmp, NULL, &cmp.sides[i], &cmp.sides[i].sure);
	for (i = 0; i < cmp.n; i++) {
		trace_ranges_free(&cmp.sides[i].sure);
		trace_ranges_free(&cmp.sides[i].maybe);
	}
	free(cmp.sides);
	free(cmp.of);
	if (rc < 0)
		trace_differences_free(out);
	return rc;
}

/* Two looks */

/** Order: kind, domain, container, address. */
static int
group_compare(const struct trace_difference *a, const struct trace_difference *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->identity != b->identity)
		return a->identity < b->identity ? -1 : 1;
	return strcmp(a->container, b->container);
}

static int
difference_compare(const void *first, const void *second)
{
	const struct trace_difference *a = first, *b = second;
	int rc = group_compare(a, b);

	return rc != 0                            ? rc
		: a->range.start < b->range.start ? -1
						  : a->range.start > b->range.start;
}

static int
both_walk(const struct trace_differences *a, const struct trace_differences *b,
	struct trace_differences *out)
{
	struct trace_difference d;
	size_t i = 0, j = 0;
	int rc = 0, order;

	while (rc == 0 && i < a->n && j < b->n) {
		order = group_compare(&a->v[i], &b->v[j]);
		d = a->v[i];
		if (order == 0 && b->v[j].range.start > d.range.start) {
			d.vaddr += d.vaddr != 0 ? b->v[j].range.start - d.range.start : 0;
			d.range.start = b->v[j].range.start;
		}
		if (order == 0 && b->v[j].range.last < d.range.last)
			d.range.last = b->v[j].range.last;
		if (order == 0 && d.range.start <= d.range.last)
			rc = difference_add(out, &d);
		if (order < 0 || (order == 0 && a->v[i].range.last < b->v[j].range.last))
			i++;
		else
			j++;
	}
	return rc;
}

int
trace_differences_both(const struct trace_differences *a, const struct trace_differences *b,
	struct trace_differences *out)
{
	int rc;

	*out = (struct trace_differences){0};
	if (a->n == 0 || b->n == 0)
		return 0;
	qsort(a->v, a->n, sizeof(a->v[0]), difference_compare);
	qsort(b->v, b->n, sizeof(b->v[0]), difference_compare);
	rc = both_walk(a, b, out);
	if (rc < 0)
		trace_differences_free(out);
	return rc;
}

void
trace_differences_free(struct trace_differences *d)
{
	free(d->v);
	*d = (struct trace_differences){0};
}
