/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A table of maps of the mock kernel, ordered by IOVA. Used for containers, IOASes and page tables.
 *
 * Pointers are stored in chunks of at most MOCK_CHUNK, and chunks in an array. So a change costs
 * the same with 10 maps as with 100,000. First addresses are stored beside the pointers, so a
 * search does not read maps.
 *
 * Invariant: no chunk is empty. Maps are ascending and disjoint, within a chunk and over all
 * chunks. The first address of a map does not change while it is in a table.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mock_priv.h"

/** Maps in a chunk. */
#define MOCK_CHUNK 256

struct mock_chunk {
	size_t n;
	dmamap_iova_t start[MOCK_CHUNK];
	struct mock_map *v[MOCK_CHUNK];
};

/** Number of addresses that are not above iova, in an ascending array of n. */
static size_t
starts_up_to(const dmamap_iova_t *start, size_t n, dmamap_iova_t iova)
{
	size_t low = 0, mid;

	while (low < n) {
		mid = low + (n - low) / 2;
		if (start[mid] <= iova)
			low = mid + 1;
		else
			n = mid;
	}
	return low;
}

/**
 * Index of the chunk that holds, or would hold, a map that starts at iova. There is at least one
 * chunk.
 */
static size_t
chunk_find(const struct mock_table *table, dmamap_iova_t iova)
{
	size_t n = starts_up_to(table->first, table->n_chunks, iova);

	return n == 0 ? 0 : n - 1;
}

struct mock_map *
mock_table_from(const struct mock_table *table, dmamap_iova_t iova)
{
	const struct mock_chunk *chunk;
	size_t at, i;

	if (table->n == 0)
		return NULL;
	at = chunk_find(table, iova);
	chunk = table->chunks[at];
	i = starts_up_to(chunk->start, chunk->n, iova);
	if (i > 0 && chunk->v[i - 1]->iova.last >= iova)
		return chunk->v[i - 1];
	if (i < chunk->n)
		return chunk->v[i];
	return at + 1 < table->n_chunks ? table->chunks[at + 1]->v[0] : NULL;
}

struct mock_map *
mock_table_next(const struct mock_table *table, const struct mock_map *map)
{
	return map->iova.last == UINT64_MAX ? NULL : mock_table_from(table, map->iova.last + 1);
}

struct mock_map *
mock_table_find(const struct mock_table *table, struct dmamap_range r)
{
	struct mock_map *map = mock_table_from(table, r.start);

	return map != NULL && map->iova.start <= r.last ? map : NULL;
}

/* Chunks */

/** Grow the arrays for one more chunk. @return 0 or -ENOMEM. */
static int
table_grow(struct mock_table *table)
{
	size_t cap = table->cap == 0 ? 4 : table->cap * 2;
	struct mock_chunk **chunks;
	dmamap_iova_t *first;

	if (table->n_chunks < table->cap)
		return 0;
	chunks = realloc(table->chunks, cap * sizeof(*chunks));
	if (chunks == NULL)
		return -ENOMEM;
	table->chunks = chunks;
	first = realloc(table->first, cap * sizeof(*first));
	if (first == NULL)
		return -ENOMEM;
	table->first = first;
	table->cap = cap;
	return 0;
}

/** Insert an empty chunk at an index; the caller fills it. @return NULL: out of memory. */
static struct mock_chunk *
chunk_insert(struct mock_table *table, size_t at)
{
	struct mock_chunk *chunk = malloc(sizeof(*chunk));
	size_t behind = table->n_chunks - at;

	if (chunk == NULL || table_grow(table) < 0) {
		free(chunk);
		return NULL;
	}
	memmove(&table->chunks[at + 1], &table->chunks[at], behind * sizeof(*table->chunks));
	memmove(&table->first[at + 1], &table->first[at], behind * sizeof(*table->first));
	table->chunks[at] = chunk;
	table->n_chunks++;
	chunk->n = 0;
	return chunk;
}

static void
chunk_remove(struct mock_table *table, size_t at)
{
	size_t behind = --table->n_chunks - at;

	free(table->chunks[at]);
	memmove(&table->chunks[at], &table->chunks[at + 1], behind * sizeof(*table->chunks));
	memmove(&table->first[at], &table->first[at + 1], behind * sizeof(*table->first));
}

/** Append n maps of one chunk, from index i on, to another. */
static void
chunk_append(struct mock_chunk *to, const struct mock_chunk *from, size_t i, size_t n)
{
	memcpy(&to->v[to->n], &from->v[i], n * sizeof(to->v[0]));
	memcpy(&to->start[to->n], &from->start[i], n * sizeof(to->start[0]));
	to->n += n;
}

/** Move the upper half of a full chunk to a new one behind it. @return 0 or -ENOMEM. */
static int
chunk_split(struct mock_table *table, size_t at)
{
	struct mock_chunk *upper = chunk_insert(table, at + 1), *lower = table->chunks[at];

	if (upper == NULL)
		return -ENOMEM;
	chunk_append(upper, lower, MOCK_CHUNK / 2, MOCK_CHUNK / 2);
	lower->n = MOCK_CHUNK / 2;
	table->first[at + 1] = upper->start[0];
	return 0;
}

/** Merge a chunk with the next one if both are small, so that removals do not leave many chunks. */
static void
chunk_join_next(struct mock_table *table, size_t at)
{
	if (at + 1 >= table->n_chunks ||
		table->chunks[at]->n + table->chunks[at + 1]->n > MOCK_CHUNK / 2)
		return;
	chunk_append(table->chunks[at], table->chunks[at + 1], 0, table->chunks[at + 1]->n);
	chunk_remove(table, at + 1);
}

/* Changes */

/** Chunk for a map that starts at iova, with a free slot. @return its index, or -ENOMEM. */
static ssize_t
chunk_with_slot(struct mock_table *table, dmamap_iova_t iova)
{
	size_t at;

	if (table->n_chunks == 0)
		return chunk_insert(table, 0) == NULL ? -ENOMEM : 0;
	at = chunk_find(table, iova);
	if (table->chunks[at]->n < MOCK_CHUNK)
		return at;
	if (chunk_split(table, at) < 0)
		return -ENOMEM;
	return chunk_find(table, iova);
}

int
mock_table_add(struct mock_table *table, struct mock_map *map)
{
	ssize_t at = chunk_with_slot(table, map->iova.start);
	struct mock_chunk *chunk;
	size_t i;

	if (at < 0)
		return (int)at;
	chunk = table->chunks[at];
	i = starts_up_to(chunk->start, chunk->n, map->iova.start);
	memmove(&chunk->v[i + 1], &chunk->v[i], (chunk->n - i) * sizeof(chunk->v[0]));
	memmove(&chunk->start[i + 1], &chunk->start[i], (chunk->n - i) * sizeof(chunk->start[0]));
	chunk->v[i] = map;
	chunk->start[i] = map->iova.start;
	chunk->n++;
	table->first[at] = chunk->start[0];
	table->n++;
	return 0;
}

void
mock_table_del(struct mock_table *table, const struct mock_map *map)
{
	struct mock_chunk *chunk;
	size_t at, i, behind;

	if (table->n == 0)
		return;
	at = chunk_find(table, map->iova.start);
	chunk = table->chunks[at];
	i = starts_up_to(chunk->start, chunk->n, map->iova.start);
	if (i == 0 || chunk->v[i - 1] != map)
		return;
	chunk->n--;
	table->n--;
	behind = chunk->n + 1 - i;
	memmove(&chunk->v[i - 1], &chunk->v[i], behind * sizeof(chunk->v[0]));
	memmove(&chunk->start[i - 1], &chunk->start[i], behind * sizeof(chunk->start[0]));
	if (chunk->n == 0) {
		chunk_remove(table, at);
		return;
	}
	table->first[at] = chunk->start[0];
	chunk_join_next(table, at);
	if (at > 0)
		chunk_join_next(table, at - 1);
}

void
mock_table_free(struct mock_table *table)
{
	while (table->n_chunks > 0)
		free(table->chunks[--table->n_chunks]);
	free(table->chunks);
	free(table->first);
	*table = (struct mock_table){0};
}
