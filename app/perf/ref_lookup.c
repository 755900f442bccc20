/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Reference look-ups for the benchmarks. See ref_lookup.h.
 */

#include <errno.h>
#include <stdlib.h>

#include "ref_lookup.h"

struct ref_sorted *
ref_sorted_create(unsigned int n)
{
	struct ref_sorted *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->n = n;
	s->entry = calloc(n, sizeof(*s->entry));
	s->key = calloc(n, sizeof(*s->key));
	if (s->entry != NULL && s->key != NULL)
		return s;
	ref_sorted_destroy(s);
	return NULL;
}

void
ref_sorted_set(struct ref_sorted *s, unsigned int i, uint64_t key, uint64_t len, uint64_t val)
{
	s->entry[i] = (struct ref_entry){key, len, val};
}

static int
compare_entries(const void *a, const void *b)
{
	const struct ref_entry *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

void
ref_sorted_sort(struct ref_sorted *s)
{
	unsigned int i;

	qsort(s->entry, s->n, sizeof(*s->entry), compare_entries);
	for (i = 0; i < s->n; i++)
		s->key[i] = s->entry[i].key;
}

void
ref_sorted_destroy(struct ref_sorted *s)
{
	free(s->entry);
	free(s->key);
	free(s);
}

struct ref_two_level *
ref_two_level_create(void)
{
	return calloc(1, sizeof(struct ref_two_level));
}

int
ref_two_level_set(struct ref_two_level *t, uint64_t key, uint64_t val)
{
	uint64_t **gig = &t->gig[key >> 30];
	unsigned int i;

	if (*gig == NULL) {
		*gig = malloc(512 * sizeof(**gig));
		if (*gig == NULL)
			return -ENOMEM;
		for (i = 0; i < 512; i++)
			(*gig)[i] = UINT64_MAX;
	}
	(*gig)[(key >> 21) & 511] = val;
	return 0;
}

void
ref_two_level_destroy(struct ref_two_level *t)
{
	unsigned int i;

	if (t == NULL)
		return;
	for (i = 0; i < 1 << 18; i++)
		free(t->gig[i]);
	free(t);
}
