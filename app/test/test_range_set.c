/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of range sets: a set holds exactly the addresses that were added and not removed.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dm_range_set.h"
#include "test.h"

#define TOP UINT64_MAX
#define MAX_R 8

/** One step of a table case. */
struct step {
	char op; /* '+' add, '-' del, 0 end */
	struct dmamap_range r;
	int rc;
};

/** Steps on an empty set, and the resulting ranges. */
struct table {
	const char *name;
	struct step steps[6];
	struct dmamap_range want[MAX_R];
	unsigned int n;
};

static const struct table tables[] = {
	{"empty", {{0}}, {{0}}, 0},
	{"one address, zero", {{'+', {0, 0}, 0}}, {{0, 0}}, 1},
	{"one address, the last", {{'+', {TOP, TOP}, 0}}, {{TOP, TOP}}, 1},
	{"everything", {{'+', {0, TOP}, 0}}, {{0, TOP}}, 1},
	{"both ends do not touch", {{'+', {0, 0}, 0}, {'+', {TOP, TOP}, 0}}, {{0, 0}, {TOP, TOP}},
		2},
	{"inverted range is refused", {{'+', {5, 4}, -EINVAL}, {'-', {5, 4}, -EINVAL}}, {{0}}, 0},
	{"inverted at the top", {{'+', {TOP, 0}, -EINVAL}}, {{0}}, 0},
	{"sorted", {{'+', {20, 29}, 0}, {'+', {0, 9}, 0}}, {{0, 9}, {20, 29}}, 2},
	{"adjacent below merges", {{'+', {10, 19}, 0}, {'+', {0, 9}, 0}}, {{0, 19}}, 1},
	{"adjacent above merges", {{'+', {0, 9}, 0}, {'+', {10, 19}, 0}}, {{0, 19}}, 1},
	{"gap of one stays", {{'+', {0, 9}, 0}, {'+', {11, 19}, 0}}, {{0, 9}, {11, 19}}, 2},
	{"overlap merges", {{'+', {0, 9}, 0}, {'+', {5, 14}, 0}}, {{0, 14}}, 1},
	{"inside changes nothing", {{'+', {0, 9}, 0}, {'+', {3, 4}, 0}}, {{0, 9}}, 1},
	{"bridge merges three", {{'+', {0, 9}, 0}, {'+', {20, 29}, 0}, {'+', {10, 19}, 0}},
		{{0, 29}}, 1},
	{"cover swallows all",
		{{'+', {4, 5}, 0}, {'+', {8, 9}, 0}, {'+', {12, 13}, 0}, {'+', {2, 20}, 0}},
		{{2, 20}}, 1},
	{"merge at the top", {{'+', {TOP, TOP}, 0}, {'+', {TOP - 4, TOP - 1}, 0}}, {{TOP - 4, TOP}},
		1},
	{"split", {{'+', {0, 9}, 0}, {'-', {4, 5}, 0}}, {{0, 3}, {6, 9}}, 2},
	{"cut below", {{'+', {10, 19}, 0}, {'-', {0, 12}, 0}}, {{13, 19}}, 1},
	{"cut above", {{'+', {10, 19}, 0}, {'-', {15, 99}, 0}}, {{10, 14}}, 1},
	{"remove exactly", {{'+', {10, 19}, 0}, {'-', {10, 19}, 0}}, {{0}}, 0},
	{"remove outside", {{'+', {10, 19}, 0}, {'-', {0, 9}, 0}, {'-', {20, TOP}, 0}}, {{10, 19}},
		1},
	{"remove across three",
		{{'+', {0, 9}, 0}, {'+', {20, 29}, 0}, {'+', {40, 49}, 0}, {'-', {5, 44}, 0}},
		{{0, 4}, {45, 49}}, 2},
	{"cut the ends of everything", {{'+', {0, TOP}, 0}, {'-', {0, 0}, 0}, {'-', {TOP, TOP}, 0}},
		{{1, TOP - 1}}, 1},
	{"remove everything", {{'+', {7, 7}, 0}, {'+', {TOP, TOP}, 0}, {'-', {0, TOP}, 0}}, {{0}},
		0},
};

static int
expect(const struct dm_range_set *s, const struct dmamap_range *want, unsigned int n,
	const char *name)
{
	unsigned int i;

	TEST_ASSERT_EQUAL(s->n, n, "%s: %u ranges instead of %u", name, s->n, n);
	for (i = 0; i < n; i++)
		TEST_ASSERT(s->r[i].start == want[i].start && s->r[i].last == want[i].last,
			"%s: range %u is [0x%" PRIx64 ", 0x%" PRIx64 "]", name, i, s->r[i].start,
			s->r[i].last);
	return TEST_SUCCESS;
}

static int
adds_and_removes(void)
{
	unsigned int i, k;
	int rc, result = TEST_SUCCESS;

	for (i = 0; i < RTE_DIM(tables) && result == TEST_SUCCESS; i++) {
		const struct table *t = &tables[i];
		struct dm_range_set s = {0};

		for (k = 0; k < RTE_DIM(t->steps) && t->steps[k].op != 0; k++) {
			rc = t->steps[k].op == '+' ? dm_range_set_add(&s, t->steps[k].r)
						   : dm_range_set_del(&s, t->steps[k].r);
			if (rc != t->steps[k].rc) {
				printf("%s: step %u returned %d\n", t->name, k, rc);
				result = TEST_FAILED;
			}
		}
		if (result == TEST_SUCCESS)
			result = expect(&s, t->want, t->n, t->name);
		dm_range_set_clear(&s);
	}
	return result;
}

static int
build(struct dm_range_set *s, const struct dmamap_range *r, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		TEST_ASSERT_SUCCESS(dm_range_set_add(s, r[i]), "add");
	return TEST_SUCCESS;
}

static int
questions_about_a_set(void)
{
	static const struct dmamap_range have[] = {{0, 9}, {20, 29}, {TOP - 9, TOP}};
	static const struct {
		struct dmamap_range r;
		bool contains, overlaps;
		unsigned int hit;
	} ask[] = {
		{{0, 0}, true, true, 0},
		{{0, 9}, true, true, 0},
		{{9, 9}, true, true, 0},
		{{0, 10}, false, true, 0},
		{{10, 19}, false, false, 0},
		{{10, 20}, false, true, 1},
		{{5, 25}, false, true, 0},
		{{29, TOP}, false, true, 1},
		{{30, TOP - 10}, false, false, 0},
		{{TOP, TOP}, true, true, 2},
		{{TOP - 9, TOP}, true, true, 2},
		{{TOP - 10, TOP}, false, true, 2},
		{{0, TOP}, false, true, 0},
		{{9, 0}, false, false, 0},
	};
	struct dm_range_set s = {0};
	struct dmamap_range hit;
	int result = build(&s, have, RTE_DIM(have));
	unsigned int i;

	for (i = 0; i < RTE_DIM(ask) && result == TEST_SUCCESS; i++) {
		bool overlaps = dm_range_set_overlaps(&s, ask[i].r, &hit);

		if (dm_range_set_contains(&s, ask[i].r) != ask[i].contains ||
			overlaps != ask[i].overlaps ||
			(overlaps && hit.start != have[ask[i].hit].start) ||
			dm_range_set_overlaps(&s, ask[i].r, NULL) != overlaps) {
			printf("question %u answered wrongly\n", i);
			result = TEST_FAILED;
		}
	}
	dm_range_set_clear(&s);
	TEST_ASSERT(s.r == NULL && s.n == 0 && s.cap == 0, "cleared set is not empty");
	TEST_ASSERT(
		!dm_range_set_contains(&s, (struct dmamap_range){0, 0}), "empty set contains 0");
	TEST_ASSERT(
		!dm_range_set_overlaps(&s, (struct dmamap_range){0, TOP}, NULL), "empty overlaps");
	return result;
}

static int
intersection(void)
{
	static const struct dmamap_range a[] = {{0, 9}, {20, 39}, {50, 50}, {60, TOP}};
	static const struct dmamap_range b[] = {{5, 24}, {26, 30}, {39, 49}, {51, 59}, {TOP, TOP}};
	static const struct dmamap_range want[] = {
		{5, 9}, {20, 24}, {26, 30}, {39, 39}, {TOP, TOP}};
	struct dm_range_set sa = {0}, sb = {0}, empty = {0};
	int result = TEST_FAILED;

	if (build(&sa, a, RTE_DIM(a)) < 0 || build(&sb, b, RTE_DIM(b)) < 0)
		goto out;
	if (dm_range_set_intersect(&sa, &sb) != 0 ||
		expect(&sa, want, RTE_DIM(want), "a and b") < 0)
		goto out;
	if (expect(&sb, b, RTE_DIM(b), "b untouched") < 0)
		goto out;
	if (dm_range_set_intersect(&sa, &sa) != 0 ||
		expect(&sa, want, RTE_DIM(want), "a and a") < 0)
		goto out;
	if (dm_range_set_intersect(&sa, &empty) != 0 || expect(&sa, NULL, 0, "a and nothing") < 0)
		goto out;
	result = TEST_SUCCESS;
out:
	dm_range_set_clear(&sa);
	dm_range_set_clear(&sb);
	return result;
}

static int
copies_are_independent(void)
{
	static const struct dmamap_range a[] = {{0, 9}, {20, 29}};
	struct dm_range_set src = {0}, dst = {0};
	int result = TEST_FAILED;

	if (build(&src, a, RTE_DIM(a)) < 0 || build(&dst, &a[1], 1) < 0)
		goto out;
	if (dm_range_set_copy(&dst, &src) != 0 || expect(&dst, a, RTE_DIM(a), "copy") < 0)
		goto out;
	if (dm_range_set_copy(&dst, &dst) != 0 || expect(&dst, a, RTE_DIM(a), "copy of itself") < 0)
		goto out;
	if (dm_range_set_del(&src, (struct dmamap_range){0, TOP}) != 0)
		goto out;
	if (expect(&dst, a, RTE_DIM(a), "copy after the source changed") < 0)
		goto out;
	if (dm_range_set_copy(&dst, &src) != 0 || expect(&dst, NULL, 0, "copy of nothing") < 0)
		goto out;
	result = TEST_SUCCESS;
out:
	dm_range_set_clear(&src);
	dm_range_set_clear(&dst);
	return result;
}

#define MODEL 192 /* addresses of the bitmap model, at the bottom or the top of the space */

static uint64_t
next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/** The set equals the model, address by address, and is normalized. */
static int
same_as_model(const struct dm_range_set *s, const bool *model, uint64_t base)
{
	unsigned int i, k = 0;

	for (i = 0; i < MODEL; i++) {
		if (!model[i])
			continue;
		TEST_ASSERT(k < s->n && s->r[k].start == base + i, "range %u starts elsewhere", k);
		while (i + 1 < MODEL && model[i + 1])
			i++;
		TEST_ASSERT(s->r[k].last == base + i, "range %u ends elsewhere", k);
		k++;
	}
	TEST_ASSERT_EQUAL(k, s->n, "%u ranges instead of %u", s->n, k);
	return TEST_SUCCESS;
}

static int
random_history(uint64_t seed, uint64_t base)
{
	struct dm_range_set s = {0};
	bool model[MODEL] = {false};
	uint64_t x = seed | 1;
	unsigned int i, k;
	int result = TEST_SUCCESS;

	for (i = 0; i < 20000 && result == TEST_SUCCESS; i++) {
		uint64_t word = next_random(&x);
		unsigned int at = word % MODEL, len = 1 + (word >> 16) % (MODEL - at);
		bool add = (word >> 32) & 1, all = true, any = false;
		struct dmamap_range r;

		if ((word >> 33) % 4 != 0)
			len = RTE_MIN(len, 1 + (word >> 40) % 8);
		r = (struct dmamap_range){base + at, base + at + len - 1};
		for (k = at; k < at + len; k++) {
			all &= model[k];
			any |= model[k];
		}
		if (dm_range_set_contains(&s, r) != all ||
			dm_range_set_overlaps(&s, r, NULL) != any ||
			(add ? dm_range_set_add(&s, r) : dm_range_set_del(&s, r)) != 0) {
			printf("step %u differs\n", i);
			result = TEST_FAILED;
			break;
		}
		memset(&model[at], add, len);
		result = same_as_model(&s, model, base);
	}
	dm_range_set_clear(&s);
	return result;
}

static int
random_history_is_the_bitmap(void)
{
	uint64_t seed = test_seed();

	TEST_ASSERT_SUCCESS(random_history(seed, 0), "at the bottom");
	TEST_ASSERT_SUCCESS(random_history(seed, TOP - MODEL + 1), "at the top");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"adding and removing, ends included", adds_and_removes},
	{"contains and overlaps", questions_about_a_set},
	{"intersection keeps what both hold", intersection},
	{"copies are independent", copies_are_independent},
	{"a random history equals a bitmap", random_history_is_the_bitmap},
};

REGISTER_TEST_SUITE(range_set) = {
	.name = "range_set",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
};
