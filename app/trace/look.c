/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tells a difference from a race: a range counts only if it differs in each of TRACE_LOOKS looks.
 * Called by audit.c.
 *
 * A look reads the containers, then the kernel, then the containers again. A range that was
 * unmapped and mapped again in between differs in one look. A program that does so all the time
 * with the same ranges needs several to be told from one that is wrong.
 */

#include "trace.h"

struct one {
	struct trace_differences differences;
	size_t containers, domains, entries;
	bool torn;
};

static void
one_count(struct one *o, const struct trace_belief *b, const struct trace_truth *t)
{
	size_t i;

	o->containers = b->n;
	o->domains = t->n;
	for (i = 0; i < t->n; i++) {
		o->entries += t->v[i].n_entries;
		o->torn |= t->v[i].torn;
	}
}

static int
look_once(const struct trace_sides *sides, struct one *o)
{
	struct trace_belief before = {0}, after = {0};
	struct trace_truth truth = {0};
	int rc;

	*o = (struct one){0};
	rc = sides->belief(sides->arg, &before);
	if (rc < 0)
		return rc;
	rc = sides->truth(sides->arg, &truth);
	if (rc == 0)
		rc = sides->belief(sides->arg, &after);
	if (rc == 0) {
		one_count(o, &after, &truth);
		rc = trace_compare(&before, &truth, &after, &o->differences);
	}
	trace_belief_free(&before);
	trace_belief_free(&after);
	trace_truth_free(&truth);
	return rc;
}

/** Keep of what was found so far what this look sees too. Frees both. */
static int
differences_keep(struct trace_differences *found, struct trace_differences *seen)
{
	struct trace_differences both;
	int rc = trace_differences_both(found, seen, &both);

	trace_differences_free(seen);
	trace_differences_free(found);
	*found = both;
	return rc;
}

int
trace_look(const struct trace_sides *sides, struct trace_found *found)
{
	unsigned int looks;
	struct one o;
	int rc = look_once(sides, &o);

	*found = (struct trace_found){.differences = o.differences};
	for (looks = 1; rc == 0 && found->differences.n > 0 && looks < TRACE_LOOKS; looks++) {
		sides->pause(sides->arg);
		rc = look_once(sides, &o);
		if (rc == 0)
			rc = differences_keep(&found->differences, &o.differences);
	}
	found->containers = o.containers;
	found->domains = o.domains;
	found->entries = o.entries;
	found->torn = o.torn;
	if (rc < 0)
		trace_found_free(found);
	return rc;
}

void
trace_found_free(struct trace_found *found)
{
	trace_differences_free(&found->differences);
}
