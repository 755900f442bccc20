/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which ranges are out, and how long is each? Open addressing, at most half full.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dm_live.h"

#define MIN_BITS 9
#define HUGE_BYTES (UINT64_C(2) << 20)

/** Memory with anything in it, on huge pages where it is worth it: the table is hit at random. */
static void *
memory(size_t len)
{
	size_t align = len >= HUGE_BYTES ? HUGE_BYTES : RTE_CACHE_LINE_SIZE;
	void *p = aligned_alloc(align, len);

	if (p != NULL && len >= HUGE_BYTES)
		madvise(p, len, MADV_HUGEPAGE); /* a wish; nothing depends on it */
	return p;
}

static int
init(struct dm_live_table *t, unsigned int bits)
{
	size_t n = (size_t)1 << bits;

	*t = (struct dm_live_table){.mask = n - 1, .shift = 64 - (bits - 3)};
	t->word = memory(n * sizeof(*t->word));
	t->len = memory(n * sizeof(*t->len)); /* read only where it was written */
	if (t->word == NULL || t->len == NULL) {
		dm_live_fini(t);
		return -ENOMEM;
	}
	memset(t->word, 0, n * sizeof(*t->word));
	return 0;
}

int
dm_live_init(struct dm_live_table *t)
{
	return init(t, MIN_BITS);
}

void
dm_live_fini(struct dm_live_table *t)
{
	free(t->word);
	free(t->len);
	*t = (struct dm_live_table){0};
}

bool
dm_live_is_full(const struct dm_live_table *t, uint64_t more)
{
	/* Half for the entries, an eighth more for graves. */
	return t->n + more > (t->mask + 1) / 2 || t->n_used + more > (t->mask + 1) / 8 * 5;
}

int
dm_live_rebuild(struct dm_live_table *t, const struct dm_live_table *old, uint64_t more)
{
	unsigned int bits = MIN_BITS;
	uint64_t i;
	int rc;

	/* Grow when more than three eighths are in use, so that a rebuild is not soon followed by another. */
	while ((old->n + more) * 8 > (UINT64_C(3) << bits))
		bits++;
	rc = init(t, bits);
	for (i = 0; rc == 0 && i <= old->mask; i++) {
		uint64_t w = old->word[i], at;

		if ((w & DM_LIVE_ENTRY) == 0)
			continue;
		at = dm_live_add(t, w & DM_LIVE_IOVA_MASK, dm_live_len(old, i, w), true);
		t->word[at] = w;
	}
	return rc;
}

/** Word i, while others may change its live bit. */
static uint64_t
peek(const struct dm_live_table *t, uint64_t i)
{
	return __atomic_load_n(&t->word[i], __ATOMIC_RELAXED);
}

uint64_t
dm_live_add(struct dm_live_table *t, uint64_t iova, uint64_t len, bool live)
{
	uint64_t i = dm_live_home(t, iova), word = dm_live_word(iova, len, live), was;

	while (((was = peek(t, i)) & DM_LIVE_ENTRY) != 0)
		i = (i + 1) & t->mask;
	if (dm_live_class_of(word) == DM_LIVE_CLASS_OTHER)
		__atomic_store_n(&t->len[i], len, __ATOMIC_RELAXED);
	__atomic_store_n(&t->word[i], word, __ATOMIC_RELEASE);
	t->n++;
	t->n_used += was == 0;
	return i;
}

void
dm_live_remove(struct dm_live_table *t, uint64_t i)
{
	uint64_t word = DM_LIVE_GRAVE;

	t->n--;
	/* No search needs to pass a grave behind which nothing is. */
	if (peek(t, (i + 1) & t->mask) == 0)
		word = 0;
	__atomic_store_n(&t->word[i], word, __ATOMIC_RELEASE);
	while (word == 0) {
		t->n_used--;
		i = (i - 1) & t->mask;
		if (peek(t, i) != DM_LIVE_GRAVE)
			break;
		__atomic_store_n(&t->word[i], 0, __ATOMIC_RELEASE);
	}
}
