/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * libFuzzer target: additions to and removals from a range set, compared with a bitmap.
 */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dm_range_set.h"

#define MODEL 256 /* addresses: the upper half lies at the top of the address space */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t
address(unsigned int i)
{
	return i < MODEL / 2 ? i : UINT64_MAX - (MODEL - 1 - i);
}

static void
require(bool right)
{
	if (!right)
		abort();
}

/** The set's ranges are the maximal runs of the model, in order, and no run is missing. */
static void
compare(const struct dm_range_set *s, const bool *model)
{
	unsigned int i, k = 0;

	for (i = 0; i < MODEL; i++) {
		if (!model[i])
			continue;
		require(k < s->n && s->r[k].start == address(i));
		while (i + 1 < MODEL && model[i + 1] && address(i + 1) == address(i) + 1)
			i++;
		require(s->r[k++].last == address(i));
	}
	require(k == s->n);
}

/** One call. Its three bytes choose the operation, and addresses in one half. */
static void
step(struct dm_range_set *s, bool *model, const uint8_t *b)
{
	unsigned int half = b[0] & 1 ? MODEL / 2 : 0, at = half + b[1] % (MODEL / 2);
	unsigned int last = half + b[2] % (MODEL / 2), i;
	struct dmamap_range r = {address(at), address(last)};
	bool add = b[0] & 2, all = at <= last, any = false;

	for (i = at; i <= last; i++) {
		all &= model[i];
		any |= model[i];
	}
	require(dm_range_set_contains(s, r) == all);
	require(dm_range_set_overlaps(s, r, NULL) == any);
	require((add ? dm_range_set_add(s, r) : dm_range_set_del(s, r)) == (at <= last ? 0 : -22));
	for (i = at; i <= last; i++)
		model[i] = add;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_range_set s = {0}, copy = {0};
	bool model[MODEL] = {false};

	for (; size >= 3; data += 3, size -= 3) {
		step(&s, model, data);
		compare(&s, model);
	}
	require(dm_range_set_copy(&copy, &s) == 0);
	require(dm_range_set_intersect(&copy, &s) == 0);
	compare(&copy, model);
	dm_range_set_clear(&copy);
	dm_range_set_clear(&s);
	return 0;
}
