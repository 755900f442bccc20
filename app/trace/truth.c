/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Domains of the kernel with their entries, however they were read. Called by kernel.c and by
 * tests.
 */

#include <errno.h>
#include <stdlib.h>

#include "trace.h"

int
trace_domain_add(struct trace_domain *d, const struct trace_wire_entry *e)
{
	const size_t n = d->n_entries;
	struct trace_entry *grown;

	if (e->last < e->start || (n > 0 && e->start <= d->entries[n - 1].range.last))
		return -EBADMSG;
	/* The array has room up to the next power of two. */
	if ((n & (n - 1)) == 0) {
		grown = reallocarray(d->entries, n > 0 ? n * 2 : 1, sizeof(*grown));
		if (grown == NULL)
			return -ENOMEM;
		d->entries = grown;
	}
	d->entries[n] = (struct trace_entry){{e->start, e->last}, e->vaddr, e->prot, 0};
	d->n_entries++;
	return trace_ranges_add(&d->mapped, e->start, e->last);
}

void
trace_truth_free(struct trace_truth *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		free(t->v[i].entries);
		trace_ranges_free(&t->v[i].mapped);
	}
	free(t->v);
	*t = (struct trace_truth){0};
}

const char *
trace_domain_name(const struct trace_domain *d, char name[TRACE_NAME_MAX])
{
	if (d->kind == TRACE_WIRE_TYPE1)
		snprintf(name, TRACE_NAME_MAX, "type1 container of descriptor %u", d->fd);
	else
		snprintf(name, TRACE_NAME_MAX, "IOAS %u of descriptor %u", d->id, d->fd);
	return name;
}
