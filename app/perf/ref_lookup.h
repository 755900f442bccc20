/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Reference look-ups that the benchmarks compare the translation with: a sorted array and a two-
 * level table. They are as fast as we could make them, so that the comparison is fair.
 * Called by perf_xlate.c and perf_hugepages.c.
 */

#ifndef GANTRY_REF_LOOKUP_H
#define GANTRY_REF_LOOKUP_H

#include <stdint.h>

/** A mapping. */
struct ref_entry {
	uint64_t key, len, val;
};

/** A sorted array of mappings with binary search. */
struct ref_sorted {
	unsigned int n;
	struct ref_entry *entry;
	uint64_t *key; /**< values are apart from keys, so that a search touches keys only */
};

/** Allocate n mappings. @return NULL: no memory */
struct ref_sorted *ref_sorted_create(unsigned int n);
/** Set mapping i. */
void ref_sorted_set(struct ref_sorted *s, unsigned int i, uint64_t key, uint64_t len, uint64_t val);
/** Sort the array after all mappings are set. Call it before the first look-up. */
void ref_sorted_sort(struct ref_sorted *s);
/**
 * Look up without a branch that depends on a key: the fastest variant that we measured.
 * @return the value or UINT64_MAX
 */
static inline uint64_t
ref_sorted_lookup(const struct ref_sorted *s, uint64_t key)
{
	const uint64_t *at = s->key;
	unsigned int n = s->n, half;
	const struct ref_entry *e;

	while (n > 1) {
		half = n / 2;
		at += (at[half] <= key) * half;
		n -= half;
	}
	e = &s->entry[at - s->key];
	return key - e->key < e->len ? e->val + (key - e->key) : UINT64_MAX;
}
/** Free it. */
void ref_sorted_destroy(struct ref_sorted *s);

/** A two-level table of 2 MiB pages below 2^48: 2^18 pointers, 512 translations below each. */
struct ref_two_level {
	uint64_t *gig[1 << 18];
};

/** @return NULL: no memory */
struct ref_two_level *ref_two_level_create(void);
/** Make a page of 2 MiB translate. @return 0 or -ENOMEM */
int ref_two_level_set(struct ref_two_level *t, uint64_t key, uint64_t val);
/** Look a key up. @return the value or UINT64_MAX */
static inline uint64_t
ref_two_level_lookup(const struct ref_two_level *t, uint64_t key)
{
	const uint64_t *gig;
	uint64_t val;

	if (key >> 48 != 0)
		return UINT64_MAX;
	gig = t->gig[key >> 30];
	if (gig == NULL)
		return UINT64_MAX;
	val = gig[(key >> 21) & 511];
	return val == UINT64_MAX ? val : val + (key & ((1u << 21) - 1));
}
/** Free it; NULL is accepted. */
void ref_two_level_destroy(struct ref_two_level *t);

#endif /* GANTRY_REF_LOOKUP_H */
