/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Does the IOVA allocator hand out what is usable and free, once, and take back only what it gave?
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_iova.h"
#include "dm_live.h"
#include "iova_model.h"
#include "test.h"

#define TOP UINT64_MAX
#define K4 UINT64_C(0x1000)
#define M2 UINT64_C(0x200000)
#define G1 UINT64_C(0x40000000)
#define LOW_END (UINT64_C(1) << 32)
#define SPAN(start, last) ((struct dmamap_range){(start), (last)})

static struct dm_iova_space *space;

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
take(uint64_t len, rte_iova_t *iova)
{
	return dm_iova_take(space, len, K4, 0, DMAMAP_ANYWHERE, iova);
}

static int
nothing_is_usable_at_first(void)
{
	struct dm_iova_stats st;
	struct dmamap_range r;
	rte_iova_t iova;

	TEST_ASSERT_EQUAL(take(K4, &iova), -ENOSPC, "took from nothing");
	TEST_ASSERT_EQUAL(dm_iova_take_fixed(space, 0, K4), -ERANGE, "fixed in nothing");
	TEST_ASSERT_EQUAL(dm_iova_give(space, 0, K4), -ENOENT, "gave to nothing");
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
		TEST_ASSERT_EQUAL(dm_iova_take(space, bad[i].len, bad[i].align, bad[i].phase,
					  bad[i].within, &iova),
			-EINVAL, "take %u", i);
	for (i = 0; i < RTE_DIM(bad_fixed); i++)
		TEST_ASSERT_EQUAL(dm_iova_take_fixed(space, bad_fixed[i].start, bad_fixed[i].last),
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
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, last_page, K4), "the last page");
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, 0, K4), "the first page");
	TEST_ASSERT_EQUAL(dm_iova_take_fixed(space, last_page, K4), -EEXIST, "twice");
	TEST_ASSERT_EQUAL(
		dm_iova_take(space, K4, K4, 0, SPAN(last_page, TOP), &iova), -ENOSPC, "full");
	TEST_ASSERT_EQUAL(dm_iova_take(space, K4, K4, 0, SPAN(0, K4 - 1), &iova), -ENOSPC, "full");
	TEST_ASSERT_SUCCESS(dm_iova_next_live(space, 0, &r), "first live");
	TEST_ASSERT(r.start == 0 && r.last == K4 - 1, "first live is elsewhere");
	TEST_ASSERT_SUCCESS(dm_iova_next_live(space, 1, &r), "next live");
	TEST_ASSERT(r.start == last_page && r.last == TOP, "last live is elsewhere");
	TEST_ASSERT_EQUAL(dm_iova_next_live(space, last_page + 1, &r), -ENOENT, "behind the last");
	TEST_ASSERT_SUCCESS(
		dm_iova_take(space, M2, K4, 0, SPAN(last_page - M2, TOP), &iova), "below");
	TEST_ASSERT_EQUAL(iova, last_page - M2, "not flush below the last page");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, last_page, K4), "give the last");
	TEST_ASSERT_SUCCESS(dm_iova_take(space, K4, K4, 0, SPAN(last_page, TOP), &iova), "again");
	TEST_ASSERT_EQUAL(iova, last_page, "the last page again");
	TEST_ASSERT_EQUAL(dm_iova_take(space, UINT64_C(1) << 63, UINT64_C(1) << 63, 0,
				  DMAMAP_ANYWHERE, &iova),
		-ENOSPC, "half of everything, twice occupied");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, 0, K4), "give the first");
	TEST_ASSERT_SUCCESS(dm_iova_take(space, UINT64_C(1) << 63, UINT64_C(1) << 63, 0,
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
	TEST_ASSERT_SUCCESS(take(K4, &iova), "the whole page");
	TEST_ASSERT_EQUAL(iova, K4, "another page");
	TEST_ASSERT_EQUAL(take(K4, &iova), -ENOSPC, "half a page");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, K4, K4), "give");
	TEST_ASSERT_SUCCESS(use_one(TOP - 100, TOP), "less than the last page");
	TEST_ASSERT_EQUAL(take(K4, &iova), -ENOSPC, "less than a page at the top");
	TEST_ASSERT_SUCCESS(use_one(5, 100), "less than the first page");
	TEST_ASSERT_EQUAL(take(K4, &iova), -ENOSPC, "less than a page at the bottom");
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

	/* A usable range whose ends are as crooked as they can be. */
	TEST_ASSERT_SUCCESS(use_one(3 * K4, (UINT64_C(1) << 39) + K4 - 1), "usable");
	for (i = 0; i < RTE_DIM(ask); i++) {
		TEST_ASSERT_SUCCESS(dm_iova_take(space, ask[i].len, ask[i].align, ask[i].phase,
					    DMAMAP_ANYWHERE, &iova[i]),
			"take %u", i);
		TEST_ASSERT_EQUAL(iova[i] % ask[i].align, ask[i].phase, "phase of %u", i);
	}
	for (i = 0; i < RTE_DIM(ask); i++) {
		TEST_ASSERT_SUCCESS(
			dm_iova_next_live(space, i == 0 ? 0 : prev.last + 1, &r), "live");
		TEST_ASSERT(i == 0 || r.start > prev.last, "overlap");
		prev = r;
	}
	for (i = 0; i < RTE_DIM(ask); i++)
		TEST_ASSERT_SUCCESS(dm_iova_give(space, iova[i], ask[i].len), "give %u", i);
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, 3 * K4, (UINT64_C(1) << 39) - 2 * K4),
		"all of it, after all was given");
	return TEST_SUCCESS;
}

static int
within_is_obeyed(void)
{
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(use_one(K4, (UINT64_C(1) << 40) - 1), "usable");
	TEST_ASSERT_SUCCESS(
		dm_iova_take(space, K4, K4, 0, SPAN(7 * K4 + 1, 9 * K4 - 1), &iova), "one");
	TEST_ASSERT_EQUAL(iova, 8 * K4, "the only whole page within");
	TEST_ASSERT_EQUAL(dm_iova_take(space, K4, K4, 0, SPAN(7 * K4 + 1, 9 * K4 - 1), &iova),
		-ENOSPC, "twice");
	TEST_ASSERT_EQUAL(
		dm_iova_take(space, K4, K4, 0, SPAN(0, K4 - 1), &iova), -ENOSPC, "reserved");
	TEST_ASSERT_EQUAL(dm_iova_take(space, K4, K4, 0, SPAN(UINT64_C(1) << 40, TOP), &iova),
		-ENOSPC, "beyond");
	TEST_ASSERT_EQUAL(dm_iova_take(space, 2 * K4, K4, 0, SPAN(0, 2 * K4 - 1), &iova), -ENOSPC,
		"partly reserved");
	TEST_ASSERT_SUCCESS(
		dm_iova_take(space, M2, M2, 0, SPAN(3 * M2, 4 * M2 - 1), &iova), "exact");
	TEST_ASSERT_EQUAL(iova, 3 * M2, "exact place");
	TEST_ASSERT_EQUAL(dm_iova_take(space, G1, G1, 0, SPAN(G1 + 1, 3 * G1 - 2), &iova), -ENOSPC,
		"no aligned GiB within");
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
			dm_iova_take(space, G1, G1, 0, DMAMAP_ANYWHERE, &iova), "wide %u", i);
	for (i = 0; i < 256; i++) {
		TEST_ASSERT_SUCCESS(
			dm_iova_take(space, M2, M2, 0, SPAN(0, low - 1), &iova), "low %u", i);
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
	TEST_ASSERT_EQUAL(dm_iova_take_fixed(space, 0, K4), -ERANGE, "reserved");
	TEST_ASSERT_EQUAL(dm_iova_take_fixed(space, 0, 2 * K4), -ERANGE, "partly reserved");
	TEST_ASSERT_EQUAL(dm_iova_take_fixed(space, 15 * K4, 2 * K4), -ERANGE, "beyond the range");
	TEST_ASSERT_EQUAL(dm_iova_take_fixed(space, 8 * K4, 32 * K4), -ERANGE, "across the hole");
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, 4 * K4, 4 * K4), "free");
	TEST_ASSERT_EQUAL(dm_iova_take_fixed(space, 4 * K4, 4 * K4), -EEXIST, "same");
	TEST_ASSERT_EQUAL(dm_iova_take_fixed(space, 7 * K4, K4), -EEXIST, "its last page");
	TEST_ASSERT_EQUAL(dm_iova_take_fixed(space, 3 * K4, 2 * K4), -EEXIST, "its first page");
	TEST_ASSERT_EQUAL(dm_iova_take_fixed(space, 2 * K4, 8 * K4), -EEXIST, "around it");
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, 8 * K4, 8 * K4), "adjacent above");
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, K4, 3 * K4), "adjacent below");
	TEST_ASSERT_SUCCESS(take(32 * K4, &iova), "what is left");
	TEST_ASSERT_EQUAL(iova, 32 * K4, "the second range");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, 4 * K4, 4 * K4), "give the fixed one");
	TEST_ASSERT_SUCCESS(take(4 * K4, &iova), "take it freely");
	TEST_ASSERT_EQUAL(iova, 4 * K4, "in its place");
	return TEST_SUCCESS;
}

/** What was given, and may be kept in a cache, is free for one who asks for that very place. */
static int
fixed_finds_what_was_given_back(void)
{
	rte_iova_t iova[64], at;
	unsigned int i;

	TEST_ASSERT_SUCCESS(use_one(0, (UINT64_C(1) << 40) - 1), "usable");
	for (i = 0; i < RTE_DIM(iova); i++)
		TEST_ASSERT_SUCCESS(take(4 * K4, &iova[i]), "take");
	for (i = 0; i < RTE_DIM(iova); i++)
		TEST_ASSERT_SUCCESS(dm_iova_give(space, iova[i], 4 * K4), "give");
	for (i = 0; i < RTE_DIM(iova); i++)
		TEST_ASSERT_SUCCESS(
			dm_iova_take_fixed(space, iova[i] + K4, K4), "inside what was given");
	TEST_ASSERT_SUCCESS(take(4 * K4, &at), "take after");
	for (i = 0; i < RTE_DIM(iova); i++)
		TEST_ASSERT_NOT_EQUAL(at, iova[i], "the same addresses twice");
	return TEST_SUCCESS;
}

static int
only_what_was_taken_is_taken_back(void)
{
	static const uint64_t lens[] = {
		K4, 2 * K4, 3 * K4, 100 * K4, M2, M2 + K4, 3 * M2, G1, 3 * G1 + K4};
	struct dm_iova_stats st;
	rte_iova_t iova;
	unsigned int i;

	TEST_ASSERT_SUCCESS(use_one(0, (UINT64_C(1) << 40) - 1), "usable");
	for (i = 0; i < RTE_DIM(lens); i++) {
		uint64_t len = lens[i];

		TEST_ASSERT_SUCCESS(take(len, &iova), "take");
		TEST_ASSERT_EQUAL(dm_iova_give(space, iova, len + K4), -EINVAL, "longer");
		TEST_ASSERT_EQUAL(dm_iova_give(space, iova, 2 * len), -EINVAL, "twice as long");
		TEST_ASSERT_EQUAL(dm_iova_give(space, iova, len - K4), -EINVAL, "shorter");
		TEST_ASSERT_EQUAL(dm_iova_give(space, iova, 0), -EINVAL, "nothing");
		TEST_ASSERT_EQUAL(dm_iova_give(space, iova, len - 1), -EINVAL, "a byte less");
		TEST_ASSERT_EQUAL(dm_iova_give(space, iova, TOP), -EINVAL, "everything");
		TEST_ASSERT_EQUAL(dm_iova_give(space, iova + 1, len), -ENOENT, "off by one");
		TEST_ASSERT_EQUAL(dm_iova_give(space, iova + K4, len), -ENOENT, "off by a page");
		TEST_ASSERT_EQUAL(
			dm_iova_give(space, iova ^ (UINT64_C(1) << 60), len), -ENOENT, "foreign");
		TEST_ASSERT_EQUAL(dm_iova_give(space, TOP, len), -ENOENT, "RTE_BAD_IOVA");
		dm_iova_stats(space, &st);
		TEST_ASSERT(st.live_ranges == 1 && st.live_len == len,
			"a refused give changed something");
		TEST_ASSERT_SUCCESS(dm_iova_give(space, iova, len), "right");
		TEST_ASSERT_EQUAL(dm_iova_give(space, iova, len), -ENOENT, "twice");
		TEST_ASSERT_EQUAL(dm_iova_give(space, iova, len + K4), -ENOENT, "twice and longer");
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
			TEST_ASSERT_SUCCESS(take(K4, &iova[i]), "page %u of round %u", i, round);
		TEST_ASSERT_EQUAL(take(K4, &at), -ENOSPC, "one more");
		TEST_ASSERT_SUCCESS(dm_iova_give(space, iova[round * 7], K4), "give one");
		TEST_ASSERT_SUCCESS(take(K4, &at), "the one");
		TEST_ASSERT_EQUAL(at, iova[round * 7], "another");
		for (i = 0; i < N; i += 2)
			TEST_ASSERT_SUCCESS(dm_iova_give(space, iova[i], K4), "give even");
		for (i = 1; i < N; i += 2)
			TEST_ASSERT_SUCCESS(dm_iova_give(space, iova[i], K4), "give odd");
		/* Everything at once: what lies in caches must come back and merge. */
		TEST_ASSERT_SUCCESS(take(N * K4, &at), "all");
		TEST_ASSERT_EQUAL(at, 5 * K4, "all starts elsewhere");
		TEST_ASSERT_SUCCESS(dm_iova_give(space, at, N * K4), "give all");
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
			TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, lead, head), "head");
			TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, head + len, tail), "tail");
			TEST_ASSERT_EQUAL(take(len + K4, &at), -ENOSPC, "too much for the hole");
			TEST_ASSERT_SUCCESS(take(len, &at), "hole of %" PRIu64 " pages", lens[i]);
			TEST_ASSERT_EQUAL(at, head, "elsewhere");
			TEST_ASSERT_SUCCESS(dm_iova_give(space, lead, head), "give head");
			TEST_ASSERT_SUCCESS(dm_iova_give(space, at, len), "give hole");
			TEST_ASSERT_SUCCESS(dm_iova_give(space, head + len, tail), "give tail");
		}
	}
	return TEST_SUCCESS;
}

/* Padding: what a range got because its class has that length. The space is large enough for it,
 * unless said otherwise. */

#define WIDE_LAST ((UINT64_C(1) << 47) - 1)

static uint64_t
padding(void)
{
	struct dm_iova_stats st;

	dm_iova_stats(space, &st);
	return st.padding_len;
}

/** Each length up to 4 GiB near which something changes. */
static uint64_t
next_interesting(uint64_t pages)
{
	if (pages < 1100)
		return pages + 1;
	return (pages & (pages - 1)) == 0 || ((pages - 1) & (pages - 2)) == 0 || pages % 2 == 0
		? pages + 1
		: pages + RTE_MAX(pages / 97, UINT64_C(1));
}

static int
padding_is_less_than_an_eighth(void)
{
	uint64_t pages, padded = 0;

	TEST_ASSERT_SUCCESS(use_one(0, WIDE_LAST), "usable");
	for (pages = 1; pages <= UINT64_C(1) << 20; pages = next_interesting(pages)) {
		uint64_t more;
		rte_iova_t iova;

		TEST_ASSERT_SUCCESS(take(pages * K4, &iova), "%" PRIu64 " pages", pages);
		more = padding() / K4;
		TEST_ASSERT(more * 8 < pages, "%" PRIu64 " pages behind %" PRIu64, more, pages);
		TEST_ASSERT(
			more == 0 || (pages > 32 && (pages & (pages - 1)) != 0), "%" PRIu64, pages);
		TEST_ASSERT_EQUAL(dm_iova_give(space, iova, (pages + more + (more == 0)) * K4),
			-EINVAL, "padded");
		TEST_ASSERT_SUCCESS(dm_iova_give(space, iova, pages * K4), "give");
		TEST_ASSERT_EQUAL(padding(), 0, "behind nothing");
		padded += more > 0;
	}
	TEST_ASSERT(padded > 1000, "only %" PRIu64 " lengths with padding", padded);
	return TEST_SUCCESS;
}

/** What the header says has none, has none. */
static int
where_space_is_scarce_nothing_is_padded(void)
{
	const struct dmamap_range low = {0, UINT32_MAX};
	const uint64_t len = 521 * K4;
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(use_one(0, (UINT64_C(1) << 39) - 1), "39 bit");
	TEST_ASSERT_SUCCESS(take(len, &iova), "39 bit");
	TEST_ASSERT_EQUAL(padding(), 0, "39 bit");
	TEST_ASSERT_SUCCESS(use_one(0, WIDE_LAST), "wide");
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, G1, len), "fixed");
	TEST_ASSERT_SUCCESS(dm_iova_take(space, len, K4, 0, low, &iova), "low");
	TEST_ASSERT(iova + len <= LOW_END, "not low");
	TEST_ASSERT_SUCCESS(dm_iova_take(space, len, M2, K4, DMAMAP_ANYWHERE, &iova), "phase");
	TEST_ASSERT_SUCCESS(dm_iova_take(space, len, G1, 0, DMAMAP_ANYWHERE, &iova), "alignment");
	TEST_ASSERT_EQUAL(padding(), 0, "special wishes");
	TEST_ASSERT_SUCCESS(
		dm_iova_take_fixed(space, UINT64_C(1) << 45, UINT64_C(3) << 45), "three quarters");
	TEST_ASSERT_SUCCESS(take(len, &iova), "nearly full");
	TEST_ASSERT_EQUAL(padding(), 0, "nearly full");
	return TEST_SUCCESS;
}

/** Take everything around [first, last]; both lie above 4 GiB. */
static int
fill_around(uint64_t first, uint64_t last)
{
	int rc = dm_iova_take_fixed(space, 0, first);

	return rc == 0 ? dm_iova_take_fixed(space, last + 1, WIDE_LAST - last) : rc;
}

static int
padding_is_in_nobodys_way(void)
{
	const uint64_t len = 1000 * K4;
	uint64_t end, pad;
	rte_iova_t iova, at;
	unsigned int i;

	TEST_ASSERT_SUCCESS(use_one(0, WIDE_LAST), "usable");
	TEST_ASSERT_SUCCESS(take(len, &iova), "take");
	end = iova + len;
	pad = padding();
	TEST_ASSERT_EQUAL(pad, 24 * K4, "1024 pages are a class, 896 the one below");
	TEST_ASSERT_SUCCESS(fill_around(iova, end + pad - 1), "around");
	for (i = 0; i < 24; i++) {
		TEST_ASSERT_SUCCESS(take(K4, &at), "page %u of the padding", i);
		TEST_ASSERT_EQUAL(at, end + i * K4, "elsewhere");
	}
	TEST_ASSERT_EQUAL(take(K4, &at), -ENOSPC, "full");
	TEST_ASSERT_EQUAL(padding(), 0, "full");
	TEST_ASSERT_EQUAL(
		dm_iova_give(space, iova, len + pad), -EINVAL, "with what was its padding");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, iova, len), "give");
	TEST_ASSERT_SUCCESS(take(len, &at), "again");
	TEST_ASSERT_EQUAL(at, iova, "another place");
	return TEST_SUCCESS;
}

static int
a_fixed_place_may_be_in_a_padding(void)
{
	const uint64_t len = 1000 * K4;
	struct dmamap_range r;
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(use_one(0, WIDE_LAST), "usable");
	/* It is the same padding where the range was another one before, without any. */
	TEST_ASSERT_SUCCESS(take(1024 * K4, &iova), "longest of the class");
	TEST_ASSERT_EQUAL(padding(), 0, "longest of the class");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, iova, 1024 * K4), "give it");
	TEST_ASSERT_SUCCESS(take(len, &iova), "take");
	TEST_ASSERT_EQUAL(padding(), 24 * K4, "padding");
	TEST_ASSERT_EQUAL(
		dm_iova_take_fixed(space, iova + len - K4, 2 * K4), -EEXIST, "its last page too");
	TEST_ASSERT_SUCCESS(
		dm_iova_take_fixed(space, iova + len + 5 * K4, 100 * K4), "from its padding on");
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, iova + len, 5 * K4), "what is left of it");
	TEST_ASSERT_SUCCESS(dm_iova_next_live(space, 0, &r), "live");
	TEST_ASSERT(r.start == iova && r.last == iova + len - 1, "another range");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, iova, len), "give");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, iova + len + 5 * K4, 100 * K4), "give fixed");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, iova + len, 5 * K4), "give the other");
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, 0, WIDE_LAST + 1), "an address was lost");
	return TEST_SUCCESS;
}

static int
a_padding_may_become_unusable(void)
{
	const uint64_t len = 1000 * K4;
	struct dmamap_range conflict;
	rte_iova_t iova, at;
	uint64_t last;

	TEST_ASSERT_SUCCESS(use_one(0, WIDE_LAST), "usable");
	TEST_ASSERT_SUCCESS(take(len, &iova), "take");
	last = iova + len - 1;
	TEST_ASSERT_EQUAL(padding(), 24 * K4, "padding");
	TEST_ASSERT_EQUAL(use((struct dmamap_range[]){{0, last - 1}}, 1, &conflict), -EADDRINUSE,
		"a byte too far");
	TEST_ASSERT(conflict.start == iova && conflict.last == last, "conflict");
	TEST_ASSERT_EQUAL(padding(), 24 * K4, "a refusal changed something");
	TEST_ASSERT_SUCCESS(use_one(iova, last + K4), "all but a page of its padding");
	TEST_ASSERT_SUCCESS(take(K4, &at), "that page");
	TEST_ASSERT_EQUAL(at, last + 1, "elsewhere");
	TEST_ASSERT_EQUAL(take(K4, &at), -ENOSPC, "full");
	TEST_ASSERT_SUCCESS(use_one(0, WIDE_LAST), "everything again");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, iova, len), "give");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, last + 1, K4), "give the page");
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, 0, WIDE_LAST + 1), "an address was lost");
	return TEST_SUCCESS;
}

/** Lengths of one class share magazines, and each life has its own length. */
static int
a_class_remembers_each_length(void)
{
	rte_iova_t iova[300];
	unsigned int i, round;

	TEST_ASSERT_SUCCESS(use_one(0, WIDE_LAST), "usable");
	for (round = 0; round < 5; round++) {
		for (i = 0; i < RTE_DIM(iova); i++)
			TEST_ASSERT_SUCCESS(
				take((961 + (i * 7 + round) % 64) * K4, &iova[i]), "take");
		for (i = 0; i < RTE_DIM(iova); i++) {
			uint64_t pages = 961 + (i * 7 + round) % 64;

			TEST_ASSERT_EQUAL(
				dm_iova_give(space, iova[i], (pages ^ 1) * K4), -EINVAL, "other");
			TEST_ASSERT_SUCCESS(dm_iova_give(space, iova[i], pages * K4), "give");
			TEST_ASSERT_EQUAL(
				dm_iova_give(space, iova[i], pages * K4), -ENOENT, "twice");
		}
	}
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, 0, WIDE_LAST + 1), "an address was lost");
	return TEST_SUCCESS;
}

static int
usable_grows_and_shrinks_while_ranges_live(void)
{
	struct dmamap_range conflict = {0};
	struct dm_iova_stats st;
	rte_iova_t iova;

	TEST_ASSERT_SUCCESS(use_one(0, 1024 * K4 - 1), "usable");
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, 100 * K4, 8 * K4), "low");
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, 900 * K4, 8 * K4), "high");

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
		dm_iova_take_fixed(space, 0, 4 * K4), "a refusal changed what is usable");

	TEST_ASSERT_SUCCESS(use((struct dmamap_range[]){{0, 4 * K4 - 1}, {100 * K4, 108 * K4 - 1},
					{900 * K4, 910 * K4 - 1}},
				    3, &conflict),
		"shrink to the live");
	TEST_ASSERT_SUCCESS(take(2 * K4, &iova), "what is left");
	TEST_ASSERT_EQUAL(iova, 908 * K4, "what is left");
	TEST_ASSERT_EQUAL(take(K4, &iova), -ENOSPC, "nothing is left");
	TEST_ASSERT_SUCCESS(dm_iova_give(space, 100 * K4, 8 * K4), "give the low one");
	TEST_ASSERT_SUCCESS(take(8 * K4, &iova), "take it again");
	TEST_ASSERT_EQUAL(iova, 100 * K4, "its place");

	TEST_ASSERT_SUCCESS(use_one(0, 2048 * K4 - 1), "grow");
	TEST_ASSERT_SUCCESS(take(1024 * K4, &iova), "in the new part");
	dm_iova_stats(space, &st);
	TEST_ASSERT_EQUAL(st.usable_len, 2048 * K4, "usable");
	TEST_ASSERT_EQUAL(st.live_len, (4 + 8 + 8 + 2 + 1024) * K4, "live");
	TEST_ASSERT_EQUAL(st.live_ranges, 5, "ranges");
	return TEST_SUCCESS;
}

static int
what_lies_in_caches_does_not_block_a_shrink(void)
{
	rte_iova_t iova[256];
	struct dmamap_range r;
	unsigned int i;

	TEST_ASSERT_SUCCESS(use_one(0, (UINT64_C(1) << 40) - 1), "usable");
	for (i = 0; i < RTE_DIM(iova); i++)
		TEST_ASSERT_SUCCESS(take((i % 4 + 1) * K4, &iova[i]), "take");
	for (i = 0; i < RTE_DIM(iova); i++)
		TEST_ASSERT_SUCCESS(dm_iova_give(space, iova[i], (i % 4 + 1) * K4), "give");
	TEST_ASSERT_SUCCESS(
		use_one(UINT64_C(1) << 41, (UINT64_C(1) << 41) + 300 * K4 - 1), "elsewhere");
	for (i = 0; i < 300; i++) {
		TEST_ASSERT_SUCCESS(take(K4, &iova[0]), "take");
		TEST_ASSERT(iova[0] >= UINT64_C(1) << 41,
			"a range from a cache is not usable any more");
	}
	TEST_ASSERT_EQUAL(take(K4, &iova[0]), -ENOSPC, "full");
	TEST_ASSERT_SUCCESS(dm_iova_next_live(space, 0, &r), "live");
	TEST_ASSERT_EQUAL(r.start, UINT64_C(1) << 41, "live");
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
		TEST_ASSERT_EQUAL(h.seen_padding, i >= 3, "scene %u: paddings", i);
	}
	return TEST_SUCCESS;
}

/* Threads. Each page has a byte that says whether somebody holds it. */

#define BOARD 256 /* ranges that threads hand to each other */
#define PAGES (1u << 19) /* of the usable range that the threads share */
#define BASE (UINT64_C(8) << 30)

static struct {
	uint64_t range[BOARD]; /* first page << 32 | pages; 0: none */
	uint8_t held[PAGES];
	uint64_t seed;
	uint64_t last; /* of what is usable from BASE on */
	unsigned int steps, running, orders;
	uint64_t wrong;
} shared;

static void
hold(uint64_t first, uint64_t n, int by)
{
	uint64_t wrong = first + n > PAGES, i;

	for (i = first; wrong == 0 && i < first + n; i++)
		wrong += __atomic_fetch_add(&shared.held[i], by, __ATOMIC_RELAXED) !=
			(by > 0 ? 0 : 1);
	if (wrong != 0)
		__atomic_fetch_add(&shared.wrong, wrong, __ATOMIC_RELAXED);
}

static uint64_t
next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/** Take a range, lay it on the board, give back what lay there, whoever took it. */
static void *
trader(void *arg)
{
	uint64_t x = shared.seed + (uintptr_t)arg * UINT64_C(0x9e3779b97f4a7c15) + 1;
	unsigned int i;

	for (i = 0; i < shared.steps; i++) {
		uint64_t w = next_random(&x), n = 1u << w % shared.orders, was, page = 0;
		rte_iova_t iova;

		if ((w >> 8) % 4 == 0)
			n += (w >> 16) % n;
		if (take(n * K4, &iova) == 0) {
			page = (iova - BASE) / K4;
			hold(page, n, 1);
			page = (page << 32) | n;
		} else if (shared.last > BASE + PAGES * K4) {
			hold(0, PAGES + 1, 0); /* there is room */
		}
		was = __atomic_exchange_n(&shared.range[(w >> 32) % BOARD], page, __ATOMIC_ACQ_REL);
		if (was == 0)
			continue;
		hold(was >> 32, was & UINT32_MAX, -1);
		if (dm_iova_give(space, BASE + (was >> 32) * K4, (was & UINT32_MAX) * K4) != 0)
			__atomic_fetch_add(&shared.wrong, 1, __ATOMIC_RELAXED);
	}
	__atomic_fetch_sub(&shared.running, 1, __ATOMIC_RELEASE);
	return NULL;
}

/** Everything that shuts others out of their caches, while they trade. */
static uint64_t
disturb(uint64_t x)
{
	const uint64_t page = (x >> 8) % PAGES >> (x >> 40) % 8; /* rather where ranges are */
	const struct dmamap_range narrow[] = {{BASE, shared.last}};
	const struct dmamap_range wide[] = {{BASE, shared.last}, {K4, G1}};
	const struct dmamap_range pierced[] = {
		{BASE, BASE + page * K4 - 1}, {BASE + (page + 1) * K4, shared.last}};
	struct dm_iova_stats st;
	struct dmamap_range r;
	uint64_t wrong = 0;
	int rc;

	switch (x % 8) {
	case 0:
		wrong += use(wide, 2, NULL) != 0;
		break;
	case 1:
		wrong += use(narrow, 1, NULL) != 0;
		break;
	case 2:
		dm_iova_stats(space, &st);
		wrong += st.live_ranges > BOARD + 3 || st.live_len > st.usable_len;
		break;
	case 3:
		rc = dm_iova_next_live(space, BASE, &r);
		wrong += rc == 0 ? r.start < BASE : rc != -ENOENT;
		break;
	case 4:
		rc = use(&pierced[page == 0], 2 - (page == 0), NULL);
		wrong += rc != 0 && rc != -EADDRINUSE;
		wrong += use(narrow, 1, NULL) != 0;
		break;
	default:
		rc = dm_iova_take_fixed(space, BASE + page * K4, K4);
		if (rc == 0) {
			hold(page, 1, 1);
			hold(page, 1, -1);
			rc = dm_iova_give(space, BASE + page * K4, K4);
		}
		wrong += rc != 0 && rc != -EEXIST;
		break;
	}
	return wrong;
}

/** Let threads trade ranges of below 2^orders pages, which lie in [BASE, last], but in practice in
 * its first PAGES. */
static int
trade(uint64_t last, unsigned int orders)
{
	enum { THREADS = 3 };
	pthread_t thread[THREADS];
	uint64_t x, disturbed = 0;
	struct dm_iova_stats st;
	unsigned int i, n;

	memset(&shared, 0, sizeof(shared));
	shared.seed = test_seed();
	shared.steps = 20000;
	shared.running = THREADS;
	shared.last = last;
	shared.orders = orders;
	x = shared.seed | 1;
	TEST_ASSERT_SUCCESS(use_one(BASE, last), "usable");
	for (n = 0; n < THREADS; n++)
		if (pthread_create(&thread[n], NULL, trader, (void *)(uintptr_t)n) != 0)
			break;
	for (i = n; i < THREADS; i++)
		__atomic_fetch_sub(&shared.running, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&shared.running, __ATOMIC_ACQUIRE) > 0) {
		disturbed += disturb(next_random(&x));
	}
	for (i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	TEST_ASSERT_EQUAL(n, THREADS, "threads do not start");
	TEST_ASSERT_EQUAL(shared.wrong, 0, "%" PRIu64 " wrong answers to traders", shared.wrong);
	TEST_ASSERT_EQUAL(disturbed, 0, "%" PRIu64 " wrong answers to the disturber", disturbed);
	for (i = 0; i < BOARD; i++)
		if (shared.range[i] != 0)
			TEST_ASSERT_SUCCESS(dm_iova_give(space, BASE + (shared.range[i] >> 32) * K4,
						    (shared.range[i] & UINT32_MAX) * K4),
				"give %u", i);
	dm_iova_stats(space, &st);
	TEST_ASSERT(st.live_ranges == 0 && st.live_len == 0, "something is left");
	TEST_ASSERT_SUCCESS(
		dm_iova_take_fixed(space, BASE, last - BASE + 1), "an address was lost");
	return TEST_SUCCESS;
}

static int
threads_never_share_an_address(void)
{
	return trade(BASE + PAGES * K4 - 1, 6);
}

static int
threads_never_share_an_address_with_padding(void)
{
	return trade(WIDE_LAST, 8);
}

#define ROUNDS 100
#define BATCH 512 /* long enough for the later thread, which is refused faster, to catch up */

static struct {
	pthread_barrier_t barrier;
	rte_iova_t iova[BATCH];
	unsigned int taken, succeeded, refused;
} twice;

static void *
give_at_once(void *arg)
{
	unsigned int i, k, succeeded = 0, refused = 0;

	for (i = 0; i < ROUNDS; i++) {
		uint64_t len = i % 2 != 0 ? K4 : 3 * K4; /* into a magazine, or past them */

		for (k = 0; arg != NULL && k < BATCH; k++)
			twice.taken += take(len, &twice.iova[k]) == 0;
		pthread_barrier_wait(&twice.barrier);
		for (k = 0; k < BATCH; k++) {
			int rc = dm_iova_give(space, twice.iova[k], len);

			succeeded += rc == 0;
			refused += rc == -ENOENT;
		}
		pthread_barrier_wait(&twice.barrier);
	}
	__atomic_fetch_add(&twice.succeeded, succeeded, __ATOMIC_RELAXED);
	__atomic_fetch_add(&twice.refused, refused, __ATOMIC_RELAXED);
	return NULL;
}

static int
of_two_who_give_the_same_one_succeeds(void)
{
	pthread_t other;

	memset(&twice, 0, sizeof(twice));
	TEST_ASSERT_SUCCESS(use_one(BASE, BASE + PAGES * K4 - 1), "usable");
	TEST_ASSERT_SUCCESS(pthread_barrier_init(&twice.barrier, NULL, 2), "barrier");
	TEST_ASSERT_SUCCESS(pthread_create(&other, NULL, give_at_once, NULL), "thread");
	give_at_once(&twice);
	pthread_join(other, NULL);
	pthread_barrier_destroy(&twice.barrier);
	TEST_ASSERT_EQUAL(twice.taken, ROUNDS * BATCH, "%u taken", twice.taken);
	TEST_ASSERT_EQUAL(twice.succeeded, ROUNDS * BATCH, "%u gives succeeded", twice.succeeded);
	TEST_ASSERT_EQUAL(twice.refused, ROUNDS * BATCH, "%u gives were refused", twice.refused);
	return TEST_SUCCESS;
}

/** What decides between two threads that have read the same word. */
static int
a_life_ends_once(void)
{
	const uint64_t key = dm_live_word(G1, M2 / K4, false, false);
	uint64_t i, home, word = 0, again = 0, next = 0;
	struct dm_live_table t;
	int result = TEST_FAILED;

	TEST_ASSERT_SUCCESS(dm_live_init(&t), "table");
	home = dm_live_home(&t, G1, dm_live_order(M2 / K4));
	i = dm_live_add(&t, key | DM_LIVE_LIVE, M2);
	if (dm_live_find(&t, home, key, &word) != i || dm_live_len(&t, i, word) != M2)
		goto out;
	if (!dm_live_end(&t, i, word) || dm_live_end(&t, i, word))
		goto out;
	if (dm_live_find(&t, home, key, &again) != i || (again & DM_LIVE_LIVE) != 0)
		goto out;
	dm_live_begin(&t, i, again, key);
	/* Who still remembers the first life cannot end the second. */
	if (dm_live_find(&t, home, key, &next) != i || (next & DM_LIVE_LIVE) == 0 ||
		dm_live_end(&t, i, word))
		goto out;
	if (!dm_live_end(&t, i, next))
		goto out;
	dm_live_remove(&t, i);
	if (dm_live_find(&t, home, key, &word) == DM_LIVE_NONE && t.n == 0 && t.n_used == 0)
		result = TEST_SUCCESS;
out:
	dm_live_fini(&t);
	return result;
}

/** More threads than there are caches, one after the other and at once: all can take and give. */
static void *
short_life(void *arg)
{
	rte_iova_t iova[8];
	unsigned int i, bad = 0;

	for (i = 0; i < RTE_DIM(iova); i++)
		bad += take(K4 << i % 3, &iova[i]) != 0;
	if (arg != NULL)
		pthread_barrier_wait(arg);
	for (i = 0; i < RTE_DIM(iova); i++)
		bad += dm_iova_give(space, iova[i], K4 << i % 3) != 0;
	return bad == 0 ? &shared : NULL;
}

static int
threads_come_and_go(void)
{
	enum { MANY = 140 };
	static pthread_t thread[MANY];
	pthread_barrier_t barrier;
	struct dm_iova_stats st;
	unsigned int i, good = 0;
	void *result;

	TEST_ASSERT_SUCCESS(use_one(BASE, BASE + PAGES * K4 - 1), "usable");
	for (i = 0; i < 300; i++) {
		TEST_ASSERT_SUCCESS(
			pthread_create(&thread[0], NULL, short_life, NULL), "thread %u", i);
		pthread_join(thread[0], &result);
		good += result != NULL;
	}
	TEST_ASSERT_EQUAL(good, 300, "%u of 300 threads in a row", good);
	TEST_ASSERT_SUCCESS(pthread_barrier_init(&barrier, NULL, MANY), "barrier");
	for (i = 0; i < MANY; i++)
		TEST_ASSERT_SUCCESS(
			pthread_create(&thread[i], NULL, short_life, &barrier), "thread %u", i);
	for (i = 0, good = 0; i < MANY; i++) {
		pthread_join(thread[i], &result);
		good += result != NULL;
	}
	pthread_barrier_destroy(&barrier);
	TEST_ASSERT_EQUAL(good, MANY, "%u of %u threads at once", good, MANY);
	dm_iova_stats(space, &st);
	TEST_ASSERT_EQUAL(st.live_ranges, 0, "something is live");
	TEST_ASSERT_SUCCESS(dm_iova_take_fixed(space, BASE, PAGES * K4), "an address was lost");
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
	{"fixed finds what was given back", fixed_finds_what_was_given_back},
	{"only what was taken is taken back", only_what_was_taken_is_taken_back},
	{"exhaustion and refill", exhaustion_and_refill},
	{"the last hole of any shape is found", last_hole_of_any_shape_is_found},
	{"a padding is less than an eighth", padding_is_less_than_an_eighth},
	{"where space is scarce nothing is padded", where_space_is_scarce_nothing_is_padded},
	{"a padding is in nobody's way", padding_is_in_nobodys_way},
	{"a fixed place may be in a padding", a_fixed_place_may_be_in_a_padding},
	{"a padding may become unusable", a_padding_may_become_unusable},
	{"a class remembers each length", a_class_remembers_each_length},
	{"usable grows and shrinks while ranges live", usable_grows_and_shrinks_while_ranges_live},
	{"what lies in caches does not block a shrink",
		what_lies_in_caches_does_not_block_a_shrink},
	{"a random history equals the model", a_random_history_equals_the_model},
	{"threads never share an address", threads_never_share_an_address},
	{"threads never share an address, with padding",
		threads_never_share_an_address_with_padding},
	{"of two who give the same, one succeeds", of_two_who_give_the_same_one_succeeds},
	{"a life ends once", a_life_ends_once},
	{"threads come and go", threads_come_and_go},
};

REGISTER_TEST_SUITE(iova) = {
	.name = "iova",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
