/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Sets of IOVAs as disjoint inclusive ranges, ascending, which may end at 2^64 - 1. Called by
 * truth.c, belief.c and compare.c.
 */

#include <errno.h>
#include <stdlib.h>

#include "trace.h"

int
trace_ranges_add(struct trace_ranges *set, uint64_t start, uint64_t last)
{
	struct trace_range *end = set->n > 0 ? &set->v[set->n - 1] : NULL, *grown;
	size_t cap;

	if (end != NULL && (end->last == UINT64_MAX || start <= end->last + 1)) {
		if (last > end->last)
			end->last = last;
		return 0;
	}
	if (set->n == set->cap) {
		cap = set->cap > 0 ? set->cap * 2 : 16;
		grown = reallocarray(set->v, cap, sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		set->v = grown;
		set->cap = cap;
	}
	set->v[set->n++] = (struct trace_range){start, last};
	return 0;
}

void
trace_ranges_free(struct trace_ranges *set)
{
	free(set->v);
	*set = (struct trace_ranges){0};
}

static uint64_t
min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t
max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

int
trace_ranges_and(
	const struct trace_ranges *a, const struct trace_ranges *b, struct trace_ranges *out)
{
	size_t i = 0, j = 0;
	uint64_t start, last;
	int rc = 0;

	while (rc == 0 && i < a->n && j < b->n) {
		start = max(a->v[i].start, b->v[j].start);
		last = min(a->v[i].last, b->v[j].last);
		if (start <= last)
			rc = trace_ranges_add(out, start, last);
		if (a->v[i].last < b->v[j].last)
			i++;
		else
			j++;
	}
	return rc;
}

int
trace_ranges_or(
	const struct trace_ranges *a, const struct trace_ranges *b, struct trace_ranges *out)
{
	size_t i = 0, j = 0;
	const struct trace_range *next;
	int rc = 0;

	while (rc == 0 && (i < a->n || j < b->n)) {
		if (j == b->n || (i < a->n && a->v[i].start <= b->v[j].start))
			next = &a->v[i++];
		else
			next = &b->v[j++];
		rc = trace_ranges_add(out, next->start, next->last);
	}
	return rc;
}

int
trace_ranges_minus(
	const struct trace_ranges *a, const struct trace_ranges *b, struct trace_ranges *out)
{
	size_t i, j = 0;
	uint64_t start;
	int rc = 0;

	for (i = 0; rc == 0 && i < a->n; i++) {
		start = a->v[i].start;
		while (j < b->n && b->v[j].last < start)
			j++;
		/* Ranges of b inside this one; the last of them may reach into the next one. */
		for (; rc == 0 && j < b->n && b->v[j].start <= a->v[i].last; j++) {
			if (b->v[j].start > start)
				rc = trace_ranges_add(out, start, b->v[j].start - 1);
			if (b->v[j].last >= a->v[i].last)
				break;
			start = b->v[j].last + 1;
		}
		if (rc == 0 && (j == b->n || b->v[j].start > a->v[i].last))
			rc = trace_ranges_add(out, start, a->v[i].last);
	}
	return rc;
}

uint64_t
trace_ranges_overlap(const struct trace_ranges *a, const struct trace_ranges *b)
{
	size_t i = 0, j = 0;
	uint64_t start, last, sum = 0;

	while (i < a->n && j < b->n) {
		start = max(a->v[i].start, b->v[j].start);
		last = min(a->v[i].last, b->v[j].last);
		if (start <= last &&
			(last - start == UINT64_MAX ||
				__builtin_add_overflow(sum, last - start + 1, &sum)))
			return UINT64_MAX;
		if (a->v[i].last < b->v[j].last)
			i++;
		else
			j++;
	}
	return sum;
}
