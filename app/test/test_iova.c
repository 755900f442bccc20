/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the IOVA allocator: it reserves usable and free ranges only, each once, and releases
 * only what it reserved.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dm_iova.h"
#include "iova_model.h"
#include "test.h"

#define TOP UINT64_MAX
#define K4 UINT64_C(0x1000)
#define M2 UINT64_C(0x200000)
#define G1 UINT64_C(0x40000000)
#define SPAN(start, last) ((struct dmamap_range){(start), (last)})

static struct dm_iova_allocator *space;

static int
setup(void)
{
	return dm_iova_create(0, &space);
}

static void
teardown(void)
{
	dm_iova_destroy(space);
	space = NULL;
}

/** Make exactly these ranges usable. */
static int
use(const struct dmamap_range *r, unsigned int n, struct dmamap_range *conflict)
{
	struct dm_range_set s = {0};
	unsigned int i;
	int rc = 0;

	for (i = 0; i < n && rc == 0; i++)
		rc = dm_range_set_add(&s, r[i]);
	if (rc == 0)
		rc = dm_iova_set_usable(space, &s, 0, conflict);
	dm_range_set_clear(&s);
	return rc;
}

static int
use_one(uint64_t start, uint64_t last)
{
	return use(&SPAN(start, last), 1, NULL);
}

static int
reserve(uint64_t len, rte_iova_t *iova)
{
	return dm_iova_reserve(space, len, K4, 0, DMAMAP_ANYWHERE, iova);
}

static int
nothing_is_usable_at_first(void)
{
	struct dm_iova_stats st;
	struct dmamap_range r;
	rte_iova_t iova;

	TEST_ASSERT_EQUAL(reserve(K4, &iova), -ENOSPC, "reserved from nothing");
	TEST_ASSERT_EQUAL(dm_iova_reserve_fixed(space, 0, K4), -ERANGE, "fixed in nothing");
	TEST_ASSERT_EQUAL(dm_iova_release(space, 0, K4), -ENOENT, "gave to nothing");
	TEST_ASSERT_EQUAL(dm_iova_next_live(space, 0, &r), -ENOENT, "something is live");
	dm_iova_stats(space, &st);
	TEST_ASSERT(st.live_ranges == 0 && st.live_len == 0 && st.usable_len == 0, "counts");
	return TEST_SUCCESS;
}

static int
bad_arguments_are_refused(void)
{
	static const struct {
		uint64_t len, align, phase;
		struct dmamap_range within;
	} bad[] = {
		{0, K4, 0, {0, TOP}},
		{1, K4, 0, {0, TOP}},
		{K4 + 1, K4, 0, {0, TOP}},
		{K4, 0, 0, {0, TOP}},
		{K4, 1, 0, {0, TOP}},
		{K4, 2048, 0, {0, TOP}},
		{K4, 3 * K4, 0, {0, TOP}},
		{K4, K4, K4, {0, TOP}},
		{K4, M2, M2, {0, TOP}},
		{K4, M2, 100, {0, TOP}},
		{K4, K4, 0, {2, 1}},
		{TOP, K4, 0, {0, TOP}},
	};
	static const struct dmamap_range bad_fixed[] = {
		{1, K4},
		{0, 0},
		{0, 1},
		{K4, K4 + 1},
		{TOP - K4 + 1, 2 * K4},
		{0, TOP},
	};
	rte_iova_t iova;
	unsigned int i;

	TEST_ASSERT_SUCCESS(use_one(0, TOP), "usable");
	for (i = 0; i < RTE_DIM(bad); i++)
		TEST_ASSERT_EQUAL(dm_iova_reserve(space, bad[i].len, bad[i].align, bad[i].phase,
					  bad[i].within, &iova),
			-EINVAL, "reserve %u", i);
	for (i = 0; i < RTE_DIM(bad_fixed); i++)
		TEST_ASSERT_EQUAL(
			dm_iova_reserve_fixed(space, bad_fixed[i].start, bad_fixed[i].last),
			-EINVAL, "fixed %u", i);
	return TEST_SUCCESS;
}

static int
both_ends_of_the_space(void)
{
	const uint64_t last_page = TOP - K4 + 1;
	struct dm_iova_stats st;
	struct dmamap_range r;
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(use_one(0, TOP), "usable");
	dm_iova_stats(space, &st);
	TEST_ASSERT_EQUAL(st.usable_len, TOP, "2^64 bytes do not saturate");
	TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, last_page, K4), "the last page");
	TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, 0, K4), "the first page");
	TEST_ASSERT_EQUAL(dm_iova_reserve_fixed(space, last_page, K4), -EEXIST, "twice");
	TEST_ASSERT_EQUAL(
		dm_iova_reserve(space, K4, K4, 0, SPAN(last_page, TOP), &iova), -ENOSPC, "full");
	TEST_ASSERT_EQUAL(
		dm_iova_reserve(space, K4, K4, 0, SPAN(0, K4 - 1), &iova), -ENOSPC, "full");
	TEST_ASSERT_SUCCESS(dm_iova_next_live(space, 0, &r), "first live");
	TEST_ASSERT(r.start == 0 && r.last == K4 - 1, "first live is elsewhere");
	TEST_ASSERT_SUCCESS(dm_iova_next_live(space, 1, &r), "next live");
	TEST_ASSERT(r.start == last_page && r.last == TOP, "last live is elsewhere");
	TEST_ASSERT_EQUAL(dm_iova_next_live(space, last_page + 1, &r), -ENOENT, "behind the last");
	TEST_ASSERT_SUCCESS(
		dm_iova_reserve(space, M2, K4, 0, SPAN(last_page - M2, TOP), &iova), "below");
	TEST_ASSERT_EQUAL(iova, last_page - M2, "not flush below the last page");
	TEST_ASSERT_SUCCESS(dm_iova_release(space, last_page, K4), "release the last");
	TEST_ASSERT_SUCCESS(
		dm_iova_reserve(space, K4, K4, 0, SPAN(last_page, TOP), &iova), "again");
	TEST_ASSERT_EQUAL(iova, last_page, "the last page again");
	TEST_ASSERT_EQUAL(dm_iova_reserve(space, UINT64_C(1) << 63, UINT64_C(1) << 63, 0,
				  DMAMAP_ANYWHERE, &iova),
		-ENOSPC, "half of everything, twice occupied");
	TEST_ASSERT_SUCCESS(dm_iova_release(space, 0, K4), "release the first");
	TEST_ASSERT_SUCCESS(dm_iova_reserve(space, UINT64_C(1) << 63, UINT64_C(1) << 63, 0,
				    DMAMAP_ANYWHERE, &iova),
		"half of everything");
	TEST_ASSERT_EQUAL(iova, 0, "the lower half");
	return TEST_SUCCESS;
}

static int
parts_of_granules_are_not_usable(void)
{
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(use_one(1, 3 * K4 - 2), "usable");
	TEST_ASSERT_SUCCESS(reserve(K4, &iova), "the whole page");
	TEST_ASSERT_EQUAL(iova, K4, "another page");
	TEST_ASSERT_EQUAL(reserve(K4, &iova), -ENOSPC, "half a page");
	TEST_ASSERT_SUCCESS(dm_iova_release(space, K4, K4), "release");
	TEST_ASSERT_SUCCESS(use_one(TOP - 100, TOP), "less than the last page");
	TEST_ASSERT_EQUAL(reserve(K4, &iova), -ENOSPC, "less than a page at the top");
	TEST_ASSERT_SUCCESS(use_one(5, 100), "less than the first page");
	TEST_ASSERT_EQUAL(reserve(K4, &iova), -ENOSPC, "less than a page at the bottom");
	return TEST_SUCCESS;
}

static int
alignment_and_phase(void)
{
	static const struct {
		uint64_t len, align, phase;
	} ask[] = {
		{K4, K4, 0},
		{K4, M2, 0},
		{K4, M2, K4},
		{K4, M2, M2 - K4},
		{M2, M2, 0},
		{M2, M2, 5 * K4},
		{3 * M2 + K4, M2, M2 - K4},
		{G1, G1, 0},
		{K4, G1, G1 - K4},
		{G1 + M2, G1, M2},
		{5 * K4, 8 * K4, 3 * K4},
		{2 * G1, K4, 0},
		{K4, UINT64_C(1) << 38, 0},
		{K4, UINT64_C(1) << 38, K4},
	};
	struct dmamap_range prev = {1, 0}, r;
	rte_iova_t iova[RTE_DIM(ask)];
	unsigned int i;

	/* A usable range whose ends are aligned to one granule only. */
	TEST_ASSERT_SUCCESS(use_one(3 * K4, (UINT64_C(1) << 39) + K4 - 1), "usable");
	for (i = 0; i < RTE_DIM(ask); i++) {
		TEST_ASSERT_SUCCESS(dm_iova_reserve(space, ask[i].len, ask[i].align, ask[i].phase,
					    DMAMAP_ANYWHERE, &iova[i]),
			"reserve %u", i);
		TEST_ASSERT_EQUAL(iova[i] % ask[i].align, ask[i].phase, "phase of %u", i);
	}
	for (i = 0; i < RTE_DIM(ask); i++) {
		TEST_ASSERT_SUCCESS(
			dm_iova_next_live(space, i == 0 ? 0 : prev.last + 1, &r), "live");
		TEST_ASSERT(i == 0 || r.start > prev.last, "overlap");
		prev = r;
	}
	for (i = 0; i < RTE_DIM(ask); i++)
		TEST_ASSERT_SUCCESS(dm_iova_release(space, iova[i], ask[i].len), "release %u", i);
	TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, 3 * K4, (UINT64_C(1) << 39) - 2 * K4),
		"all of it, after all was released");
	return TEST_SUCCESS;
}

static int
within_is_obeyed(void)
{
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(use_one(K4, (UINT64_C(1) << 40) - 1), "usable");
	TEST_ASSERT_SUCCESS(
		dm_iova_reserve(space, K4, K4, 0, SPAN(7 * K4 + 1, 9 * K4 - 1), &iova), "one");
	TEST_ASSERT_EQUAL(iova, 8 * K4, "the only whole page within");
	TEST_ASSERT_EQUAL(dm_iova_reserve(space, K4, K4, 0, SPAN(7 * K4 + 1, 9 * K4 - 1), &iova),
		-ENOSPC, "twice");
	TEST_ASSERT_EQUAL(
		dm_iova_reserve(space, K4, K4, 0, SPAN(0, K4 - 1), &iova), -ENOSPC, "reserved");
	TEST_ASSERT_EQUAL(dm_iova_reserve(space, K4, K4, 0, SPAN(UINT64_C(1) << 40, TOP), &iova),
		-ENOSPC, "beyond");
	TEST_ASSERT_EQUAL(dm_iova_reserve(space, 2 * K4, K4, 0, SPAN(0, 2 * K4 - 1), &iova),
		-ENOSPC, "partly reserved");
	TEST_ASSERT_SUCCESS(
		dm_iova_reserve(space, M2, M2, 0, SPAN(3 * M2, 4 * M2 - 1), &iova), "exact");
	TEST_ASSERT_EQUAL(iova, 3 * M2, "exact place");
	TEST_ASSERT_EQUAL(dm_iova_reserve(space, G1, G1, 0, SPAN(G1 + 1, 3 * G1 - 2), &iova),
		-ENOSPC, "no aligned GiB within");
	return TEST_SUCCESS;
}

static int
low_addresses_remain_for_narrow_devices(void)
{
	const uint64_t low = UINT64_C(1) << 32;
	rte_iova_t iova;
	unsigned int i;

	TEST_ASSERT_SUCCESS(use_one(K4, (UINT64_C(1) << 39) - 1), "usable");
	for (i = 0; i < 300; i++)
		TEST_ASSERT_SUCCESS(
			dm_iova_reserve(space, G1, G1, 0, DMAMAP_ANYWHERE, &iova), "wide %u", i);
	for (i = 0; i < 256; i++) {
		TEST_ASSERT_SUCCESS(
			dm_iova_reserve(space, M2, M2, 0, SPAN(0, low - 1), &iova), "low %u", i);
		TEST_ASSERT(iova + M2 <= low, "not low");
	}
	return TEST_SUCCESS;
}

static int
fixed_places(void)
{
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(
		use((struct dmamap_range[]){{K4, 16 * K4 - 1}, {32 * K4, 64 * K4 - 1}}, 2, NULL),
		"usable");
	TEST_ASSERT_EQUAL(dm_iova_reserve_fixed(space, 0, K4), -ERANGE, "reserved");
	TEST_ASSERT_EQUAL(dm_iova_reserve_fixed(space, 0, 2 * K4), -ERANGE, "partly reserved");
	TEST_ASSERT_EQUAL(
		dm_iova_reserve_fixed(space, 15 * K4, 2 * K4), -ERANGE, "beyond the range");
	TEST_ASSERT_EQUAL(
		dm_iova_reserve_fixed(space, 8 * K4, 32 * K4), -ERANGE, "across the hole");
	TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, 4 * K4, 4 * K4), "free");
	TEST_ASSERT_EQUAL(dm_iova_reserve_fixed(space, 4 * K4, 4 * K4), -EEXIST, "same");
	TEST_ASSERT_EQUAL(dm_iova_reserve_fixed(space, 7 * K4, K4), -EEXIST, "its last page");
	TEST_ASSERT_EQUAL(dm_iova_reserve_fixed(space, 3 * K4, 2 * K4), -EEXIST, "its first page");
	TEST_ASSERT_EQUAL(dm_iova_reserve_fixed(space, 2 * K4, 8 * K4), -EEXIST, "around it");
	TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, 8 * K4, 8 * K4), "adjacent above");
	TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, K4, 3 * K4), "adjacent below");
	TEST_ASSERT_SUCCESS(reserve(32 * K4, &iova), "what is left");
	TEST_ASSERT_EQUAL(iova, 32 * K4, "the second range");
	TEST_ASSERT_SUCCESS(dm_iova_release(space, 4 * K4, 4 * K4), "release the fixed one");
	TEST_ASSERT_SUCCESS(reserve(4 * K4, &iova), "reserve it anywhere");
	TEST_ASSERT_EQUAL(iova, 4 * K4, "in its place");
	return TEST_SUCCESS;
}

/**
 * A range that was just released can be reserved again: the same range, a part, or a range across
 * its border.
 */
static int
fixed_finds_what_was_just_released(void)
{
	rte_iova_t iova[64], at;
	unsigned int i;

	TEST_ASSERT_SUCCESS(use_one(0, (UINT64_C(1) << 40) - 1), "usable");
	for (i = 0; i < RTE_DIM(iova); i++)
		TEST_ASSERT_SUCCESS(reserve(4 * K4, &iova[i]), "reserve");
	for (i = 0; i < RTE_DIM(iova); i++) {
		TEST_ASSERT_SUCCESS(dm_iova_release(space, iova[i], 4 * K4), "release");
		TEST_ASSERT_SUCCESS(
			dm_iova_reserve_fixed(space, iova[i], 4 * K4), "the same place");
	}
	for (i = 0; i < RTE_DIM(iova); i++)
		TEST_ASSERT_SUCCESS(dm_iova_release(space, iova[i], 4 * K4), "release");
	for (i = 0; i + 1 < RTE_DIM(iova); i += 2)
		TEST_ASSERT_SUCCESS(
			dm_iova_reserve_fixed(space, iova[i] + K4, 6 * K4), "across a border");
	TEST_ASSERT_SUCCESS(reserve(4 * K4, &at), "reserve after");
	for (i = 0; i < RTE_DIM(iova); i++)
		TEST_ASSERT_NOT_EQUAL(at, iova[i], "the same addresses twice");
	return TEST_SUCCESS;
}

/**
 * The tree has no nodes where nothing is usable. A release that extends over such a range is
 * refused all the same.
 */
static int
a_release_over_what_is_not_usable_is_refused(void)
{
	TEST_ASSERT_SUCCESS(
		use((struct dmamap_range[]){{0, 16 * K4 - 1}, {20 * K4, 64 * K4 - 1}}, 2, NULL),
		"usable");
	TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, 10 * K4, 6 * K4), "below the hole");
	TEST_ASSERT_EQUAL(dm_iova_release(space, 10 * K4, 10 * K4), -EINVAL, "up to what is free");
	TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, 20 * K4, 4 * K4), "above the hole");
	TEST_ASSERT_EQUAL(
		dm_iova_release(space, 10 * K4, 10 * K4), -EINVAL, "up to the next range");
	TEST_ASSERT_EQUAL(dm_iova_release(space, 10 * K4, 8 * K4), -EINVAL, "into the hole");
	TEST_ASSERT_EQUAL(dm_iova_release(space, 16 * K4, 4 * K4), -ENOENT, "the hole itself");
	TEST_ASSERT_SUCCESS(dm_iova_release(space, 10 * K4, 6 * K4), "as it is");
	return TEST_SUCCESS;
}

static int
only_reserved_ranges_are_released(void)
{
	static const uint64_t lens[] = {
		K4, 2 * K4, 3 * K4, 100 * K4, M2, M2 + K4, 3 * M2, G1, 3 * G1 + K4};
	struct dm_iova_stats st;
	rte_iova_t iova;
	unsigned int i;

	TEST_ASSERT_SUCCESS(use_one(0, (UINT64_C(1) << 40) - 1), "usable");
	for (i = 0; i < RTE_DIM(lens); i++) {
		uint64_t len = lens[i];

		TEST_ASSERT_SUCCESS(reserve(len, &iova), "reserve");
		TEST_ASSERT_EQUAL(dm_iova_release(space, iova, len + K4), -EINVAL, "longer");
		TEST_ASSERT_EQUAL(dm_iova_release(space, iova, 2 * len), -EINVAL, "twice as long");
		TEST_ASSERT_EQUAL(dm_iova_release(space, iova, len - K4), -EINVAL, "shorter");
		TEST_ASSERT_EQUAL(dm_iova_release(space, iova, 0), -EINVAL, "nothing");
		TEST_ASSERT_EQUAL(dm_iova_release(space, iova, len - 1), -EINVAL, "a byte less");
		TEST_ASSERT_EQUAL(dm_iova_release(space, iova, TOP), -EINVAL, "everything");
		TEST_ASSERT_EQUAL(dm_iova_release(space, iova + 1, len), -ENOENT, "off by one");
		TEST_ASSERT_EQUAL(dm_iova_release(space, iova + K4, len), -ENOENT, "off by a page");
		TEST_ASSERT_EQUAL(dm_iova_release(space, iova ^ (UINT64_C(1) << 60), len), -ENOENT,
			"foreign");
		TEST_ASSERT_EQUAL(dm_iova_release(space, TOP, len), -ENOENT, "RTE_BAD_IOVA");
		dm_iova_stats(space, &st);
		TEST_ASSERT(st.live_ranges == 1 && st.live_len == len,
			"a refused release changed something");
		TEST_ASSERT_SUCCESS(dm_iova_release(space, iova, len), "right");
		TEST_ASSERT_EQUAL(dm_iova_release(space, iova, len), -ENOENT, "twice");
		TEST_ASSERT_EQUAL(
			dm_iova_release(space, iova, len + K4), -ENOENT, "twice and longer");
		dm_iova_stats(space, &st);
		TEST_ASSERT(st.live_ranges == 0 && st.live_len == 0, "not empty");
	}
	return TEST_SUCCESS;
}

static int
exhaustion_and_refill(void)
{
	enum { N = 4096 };
	static rte_iova_t iova[N];
	unsigned int round, i;
	rte_iova_t at;

	TEST_ASSERT_SUCCESS(use_one(5 * K4, (5 + N) * K4 - 1), "usable");
	for (round = 0; round < 3; round++) {
		for (i = 0; i < N; i++)
			TEST_ASSERT_SUCCESS(reserve(K4, &iova[i]), "page %u of round %u", i, round);
		TEST_ASSERT_EQUAL(reserve(K4, &at), -ENOSPC, "one more");
		TEST_ASSERT_SUCCESS(dm_iova_release(space, iova[round * 7], K4), "release one");
		TEST_ASSERT_SUCCESS(reserve(K4, &at), "the one");
		TEST_ASSERT_EQUAL(at, iova[round * 7], "another");
		for (i = 0; i < N; i += 2)
			TEST_ASSERT_SUCCESS(dm_iova_release(space, iova[i], K4), "release even");
		for (i = 1; i < N; i += 2)
			TEST_ASSERT_SUCCESS(dm_iova_release(space, iova[i], K4), "release odd");
		/* Reserve everything at once: released neighbours must have merged. */
		TEST_ASSERT_SUCCESS(reserve(N * K4, &at), "all");
		TEST_ASSERT_EQUAL(at, 5 * K4, "all starts elsewhere");
		TEST_ASSERT_SUCCESS(dm_iova_release(space, at, N * K4), "release all");
	}
	return TEST_SUCCESS;
}

static int
last_hole_of_any_shape_is_found(void)
{
	static const uint64_t lens[] = {1, 2, 3, 5, 64, 65, 511, 512, 513, 4097, 262144, 300001};
	rte_iova_t lead, at;
	unsigned int i, k;

	TEST_ASSERT_SUCCESS(use_one(0, (UINT64_C(1) << 34) - 1), "usable");
	for (i = 0; i < RTE_DIM(lens); i++) {
		for (k = 0; k < RTE_DIM(lens); k++) {
			uint64_t head = lens[k] * K4, len = lens[i] * K4;
			uint64_t tail = (UINT64_C(1) << 34) - head - len;

			lead = 0;
			TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, lead, head), "head");
			TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, head + len, tail), "tail");
			TEST_ASSERT_EQUAL(reserve(len + K4, &at), -ENOSPC, "too much for the hole");
			TEST_ASSERT_SUCCESS(
				reserve(len, &at), "hole of %" PRIu64 " pages", lens[i]);
			TEST_ASSERT_EQUAL(at, head, "elsewhere");
			TEST_ASSERT_SUCCESS(dm_iova_release(space, lead, head), "release head");
			TEST_ASSERT_SUCCESS(dm_iova_release(space, at, len), "release hole");
			TEST_ASSERT_SUCCESS(
				dm_iova_release(space, head + len, tail), "release tail");
		}
	}
	return TEST_SUCCESS;
}

static int
usable_grows_and_shrinks_while_ranges_live(void)
{
	struct dmamap_range conflict = {0};
	struct dm_iova_stats st;
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(use_one(0, 1024 * K4 - 1), "usable");
	TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, 100 * K4, 8 * K4), "low");
	TEST_ASSERT_SUCCESS(dm_iova_reserve_fixed(space, 900 * K4, 8 * K4), "high");

	TEST_ASSERT_EQUAL(
		use((struct dmamap_range[]){{0, 107 * K4 - 1}, {900 * K4, TOP}}, 2, &conflict),
		-EADDRINUSE, "cut through the end of the low one");
	TEST_ASSERT(conflict.start == 100 * K4 && conflict.last == 108 * K4 - 1, "conflict");
	TEST_ASSERT_EQUAL(
		use((struct dmamap_range[]){{101 * K4, TOP}}, 1, &conflict), -EADDRINUSE, "start");
	TEST_ASSERT(conflict.start == 100 * K4, "conflict");
	TEST_ASSERT_EQUAL(
		use((struct dmamap_range[]){{0, 103 * K4 - 1}, {104 * K4, TOP}}, 2, &conflict),
		-EADDRINUSE, "hole in the middle");
	TEST_ASSERT(conflict.start == 100 * K4, "conflict");
	TEST_ASSERT_EQUAL(use(NULL, 0, &conflict), -EADDRINUSE, "nothing");
	TEST_ASSERT(conflict.start == 100 * K4, "the lowest conflict comes first");
	TEST_ASSERT_EQUAL(use_one(0, 907 * K4 - 1), -EADDRINUSE, "no conflict wanted");
	TEST_ASSERT_EQUAL(
		use((struct dmamap_range[]){{0, 904 * K4}}, 1, &conflict), -EADDRINUSE, "high");
	TEST_ASSERT(conflict.start == 900 * K4 && conflict.last == 908 * K4 - 1, "conflict");
	TEST_ASSERT_SUCCESS(
		dm_iova_reserve_fixed(space, 0, 4 * K4), "a refusal changed what is usable");

	TEST_ASSERT_SUCCESS(use((struct dmamap_range[]){{0, 4 * K4 - 1}, {100 * K4, 108 * K4 - 1},
					{900 * K4, 910 * K4 - 1}},
				    3, &conflict),
		"shrink to the live");
	TEST_ASSERT_SUCCESS(reserve(2 * K4, &iova), "what is left");
	TEST_ASSERT_EQUAL(iova, 908 * K4, "what is left");
	TEST_ASSERT_EQUAL(reserve(K4, &iova), -ENOSPC, "nothing is left");
	TEST_ASSERT_SUCCESS(dm_iova_release(space, 100 * K4, 8 * K4), "release the low one");
	TEST_ASSERT_SUCCESS(reserve(8 * K4, &iova), "reserve it again");
	TEST_ASSERT_EQUAL(iova, 100 * K4, "its place");

	TEST_ASSERT_SUCCESS(use_one(0, 2048 * K4 - 1), "grow");
	TEST_ASSERT_SUCCESS(reserve(1024 * K4, &iova), "in the new part");
	dm_iova_stats(space, &st);
	TEST_ASSERT_EQUAL(st.usable_len, 2048 * K4, "usable");
	TEST_ASSERT_EQUAL(st.live_len, (4 + 8 + 8 + 2 + 1024) * K4, "live");
	TEST_ASSERT_EQUAL(st.live_ranges, 5, "ranges");
	return TEST_SUCCESS;
}

static int
a_random_history_equals_the_model(void)
{
	struct iova_history h = {.seed = test_seed(), .steps = 60000};
	const char *steps = getenv("GANTRY_IOVA_STEPS");
	unsigned int i;

	if (steps != NULL)
		h.steps = strtoull(steps, NULL, 0);
	for (i = 0; i < IOVA_SCENES; i++) {
		h.scene = i;
		TEST_ASSERT_SUCCESS(iova_history_run(&h),
			"scene %u, seed %" PRIu64 ": step %" PRIu64 ": %s", i, h.seed, h.step,
			h.wrong);
	}
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"nothing is usable at first", nothing_is_usable_at_first},
	{"bad arguments are refused", bad_arguments_are_refused},
	{"both ends of the space", both_ends_of_the_space},
	{"parts of granules are not usable", parts_of_granules_are_not_usable},
	{"alignment and phase", alignment_and_phase},
	{"within is obeyed", within_is_obeyed},
	{"low addresses remain for narrow devices", low_addresses_remain_for_narrow_devices},
	{"fixed places", fixed_places},
	{"fixed finds what was just released", fixed_finds_what_was_just_released},
	{"a release over what is not usable is refused",
		a_release_over_what_is_not_usable_is_refused},
	{"only reserved ranges are released", only_reserved_ranges_are_released},
	{"exhaustion and refill", exhaustion_and_refill},
	{"the last hole of any shape is found", last_hole_of_any_shape_is_found},
	{"usable grows and shrinks while ranges live", usable_grows_and_shrinks_while_ranges_live},
	{"a random history equals the model", a_random_history_equals_the_model},
};

REGISTER_TEST_SUITE(iova) = {
	.name = "iova",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
