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

	/* Grow when more than three eighths are in use, so that a rebuild is not soon followed by
	 * another. */
	while ((old->n + more) * 8 > (UINT64_C(3) << bits))
		bits++;
	rc = init(t, bits);
	for (i = 0; rc == 0 && i <= old->mask; i++) {
		uint64_t w = old->word[i];

		if ((w & DM_LIVE_ENTRY) == 0)
			continue;
		dm_live_add(t, w, dm_live_len(old, i, w));
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
dm_live_add(struct dm_live_table *t, uint64_t word, uint64_t len)
{
	uint64_t i = dm_live_home(t, dm_live_iova(word), dm_live_order(len >> 12)), was;

	while (((was = peek(t, i)) & DM_LIVE_ENTRY) != 0)
		i = (i + 1) & t->mask;
	if (dm_live_kind(word) == DM_LIVE_KIND_OTHER)
		__atomic_store_n(&t->len[i], len, __ATOMIC_RELAXED);
	__atomic_store_n(&t->word[i], word, __ATOMIC_RELEASE);
	t->n++;
	t->n_used += was == 0;
	return i;
}

void
dm_live_unpad(struct dm_live_table *t, uint64_t i, uint64_t word)
{
	uint64_t keep = DM_LIVE_ENTRY | DM_LIVE_LIVE | DM_LIVE_LIFE_MASK;

	__atomic_store_n(&t->len[i], dm_live_len(t, i, word), __ATOMIC_RELAXED);
	__atomic_store_n(&t->word[i],
		dm_live_iova(word) | DM_LIVE_KIND_OTHER << DM_LIVE_KIND_SHIFT | (word & keep),
		__ATOMIC_RELEASE);
}

/** The range of an order that starts at iova. */
static uint64_t
find_of_order(const struct dm_live_table *t, uint64_t iova, unsigned int order, uint64_t *word)
{
	uint64_t i = dm_live_home(t, iova, order), w;

	for (; (w = __atomic_load_n(&t->word[i], __ATOMIC_ACQUIRE)) != 0; i = (i + 1) & t->mask) {
		if ((w & DM_LIVE_ENTRY) == 0 || dm_live_iova(w) != iova)
			continue;
		*word = w;
		return i;
	}
	return DM_LIVE_NONE;
}

uint64_t
dm_live_find_start(const struct dm_live_table *t, uint64_t iova, uint64_t pages, uint64_t *word)
{
	uint64_t i = find_of_order(t, iova, dm_live_order(pages), word);
	unsigned int order;

	for (order = 0; i == DM_LIVE_NONE && order <= DM_LIVE_LAST_ORDER; order++)
		i = find_of_order(t, iova, order, word);
	return i;
}

uint64_t
dm_live_find_padded(const struct dm_live_table *t, uint64_t page, uint64_t *word)
{
	unsigned int order;

	for (order = DM_LIVE_SHORT_ORDER + 1; order <= DM_LIVE_MAX_ORDER; order++) {
		uint64_t start = page >> order << order,
			 i = find_of_order(t, start << 12, order, word);

		if (i != DM_LIVE_NONE && dm_live_kind(*word) != DM_LIVE_KIND_OTHER &&
			start + (dm_live_padded_len(t, i, *word) >> 12) > page)
			return i;
	}
	return DM_LIVE_NONE;
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
