/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * libFuzzer target: insertions into and removals from the translation, compared with a list of
 * mappings.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <rte_common.h>

#include "dm_xlate.h"

#define PAGE DM_XLATE_GRANULE
#define G (UINT64_C(1) << 30)
#define LIVE_MAX 600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct span {
	uint64_t key, val, len;
};

struct input {
	const uint8_t *at, *end;
};

static struct span live[LIVE_MAX];
static unsigned int n_live;
static uint64_t removed; /* key of the mapping that was removed last */

static uint64_t
input_read(struct input *in, unsigned int bytes)
{
	uint64_t v = 0;

	while (bytes-- > 0)
		v = v << 8 | (in->at < in->end ? *in->at++ : 0);
	return v;
}

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static const struct span *
live_find(uint64_t key)
{
	unsigned int i;

	for (i = 0; i < n_live; i++)
		if (key - live[i].key < live[i].len)
			return &live[i];
	return NULL;
}

static bool
live_overlaps(const struct span *s)
{
	unsigned int i;

	for (i = 0; i < n_live; i++)
		if (s->key <= live[i].key + live[i].len - 1 && live[i].key <= s->key + s->len - 1)
			return true;
	return false;
}

static void
check_first(const struct dm_xlate *x, uint64_t key, uint64_t last)
{
	uint64_t found = 0, expect = 0;
	bool any = false;
	unsigned int i;

	for (i = 0; i < n_live; i++) {
		uint64_t at = RTE_MAX(key, live[i].key);

		if (at > last || at - live[i].key >= live[i].len || (any && at >= expect))
			continue;
		expect = at;
		any = true;
	}
	must(dm_xlate_first(x, key, last, &found) == any && (!any || found == expect));
}

static void
check(const struct dm_xlate *x, uint64_t key, uint64_t want_len)
{
	const struct span *s = live_find(key), *next = s;
	uint64_t val = s == NULL ? DM_XLATE_NONE : s->val + (key - s->key), len = want_len, run = 0;

	must(dm_xlate_lookup(x, key) == val);
	while (next != NULL && next->val - next->key == s->val - s->key && run < len) {
		run = next->key + next->len - key;
		next = next->key + next->len == 0 ? NULL : live_find(next->key + next->len);
	}
	must(dm_xlate_lookup_run(x, key, &len) == val);
	must(len == RTE_MIN(run, want_len));
	check_first(x, key, want_len - 1 > UINT64_MAX - key ? UINT64_MAX : key + want_len - 1);
}

static struct span
input_read_span(struct input *in)
{
	static const uint64_t base[] = {0, G, 511 * G, UINT64_C(1) << 47, (UINT64_C(1) << 48) - G,
		UINT64_C(1) << 56, UINT64_MAX - 2 * G + 1, 0};
	static const uint64_t unit[] = {PAGE, PAGE, 2 * PAGE, 64 * PAGE, 512 * PAGE, G, 512 * G, 1};
	uint64_t how = input_read(in, 2);
	struct span s;

	/* Keys are often those of removed mappings, or close together. */
	s.key = (how >> 14) == 0 ? removed
				 : base[how & 7] +
			(input_read(in, 2) & ((how >> 13 & 1) != 0 ? 0x1f : 0x7ff)) *
				unit[how >> 3 & 7];
	s.len = ((input_read(in, 1) & ((how >> 12 & 1) != 0 ? 3 : 0xff)) + 1) * unit[how >> 6 & 7];
	s.val = (how >> 9 & 1) != 0 ? input_read(in, 2) * PAGE : s.key + (how >> 10 & 3) * 2 * G;
	return s;
}

static bool
valid(const struct span *s)
{
	return s->len != 0 && (s->key | s->val | s->len) % PAGE == 0 &&
		s->len - 1 <= UINT64_MAX - s->key && s->len - 1 <= UINT64_MAX - s->val;
}

static void
live_insert(struct dm_xlate *x, struct input *in, bool scarce)
{
	struct span s = input_read_span(in);
	int want = !valid(&s) ? -EINVAL : live_overlaps(&s) ? -EEXIST : 0, rc;

	if (n_live == LIVE_MAX)
		return;
	if (scarce)
		dm_xlate_limit(x, dm_xlate_memory(x) + input_read(in, 1) * 64);
	rc = dm_xlate_insert(x, s.key, s.val, s.len);
	dm_xlate_limit(x, UINT64_MAX);
	must(rc == want || (rc == -ENOMEM && want == 0 && scarce));
	if (rc == 0)
		live[n_live++] = s;
	check(x, s.key, s.len);
	check(x, s.key + s.len - 1, 2 * PAGE);
	check(x, s.key - 1, 2);
	check(x, s.key + s.len, PAGE);
}

static void delete (struct dm_xlate *x, struct input *in)
{
	struct span s;
	unsigned int i;

	if (n_live == 0)
		return;
	i = input_read(in, 2) % n_live;
	s = live[i];
	dm_xlate_remove(x, s.key, s.len);
	live[i] = live[--n_live];
	removed = s.key;
	check(x, s.key, s.len);
	check(x, s.key + s.len - 1, 1);
	check(x, s.key - 1, 2 * PAGE);
	check(x, s.key + s.len, PAGE);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	struct dm_xlate *x;
	uint64_t op;

	n_live = 0;
	removed = 0;
	if (dm_xlate_create(NULL, &x) != 0)
		return 0;
	while (in.at < in.end) {
		op = input_read(&in, 1);
		if (op % 8 < 5)
			live_insert(x, &in, op % 8 == 4);
		else if (op % 8 < 7)
			delete (x, &in);
		else
			check(x, input_read(&in, 8), input_read(&in, 4));
	}
	/* Each remaining mapping is found, and is not found after its removal. */
	while (n_live > 0) {
		check(x, live[n_live - 1].key, UINT64_MAX);
		n_live--;
		dm_xlate_remove(x, live[n_live].key, live[n_live].len);
		check(x, live[n_live].key, 1);
	}
	dm_xlate_destroy(x);
	return 0;
}
