/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the translation tables: they answer as a list of mappings does, at every page class
 * border, also during changes.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_common.h>
#include <rte_rcu_qsbr.h>

#include "dm_port.h"
#include "dm_xlate.h"
#include "test.h"

#define K UINT64_C(1024)
#define PAGE (4 * K)
#define M (K * K)
#define G (K * M)
#define T (K * G)

/** A mapping in the slow model. */
struct span {
	uint64_t key, val, len;
};

static uint64_t rng;

/** An RCU variable as the readers of a table. @return valid until the next call; NULL for NULL */
static const struct dmamap_readers *
rcu_readers(struct rte_rcu_qsbr *rcu)
{
	static struct dmamap_readers readers;

	return rcu != NULL && dm_port_rcu_readers(rcu, &readers) == 0 ? &readers : NULL;
}

static struct rte_rcu_qsbr *
rcu_new(void)
{
	size_t size = rte_rcu_qsbr_get_memsize(4);
	struct rte_rcu_qsbr *rcu =
		aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN_CEIL(size, RTE_CACHE_LINE_SIZE));

	if (rcu != NULL && rte_rcu_qsbr_init(rcu, 4) == 0)
		return rcu;
	free(rcu);
	return NULL;
}

static uint64_t
run(const struct dm_xlate *x, uint64_t key, uint64_t len)
{
	dm_xlate_lookup_run(x, key, &len);
	return len;
}

/** Mappings around every border of every page class, and at both ends of the space. */
static const struct span borders[] = {
	{0, 7 * T, PAGE},
	{0, UINT64_C(0x7fff00000000), G},
	{2 * M - PAGE, 5 * M, 2 * PAGE},
	{2 * M, 11 * PAGE, 2 * M},
	{2 * M - PAGE, G, 4 * M},
	{G - PAGE, 3 * G, 2 * PAGE},
	{G, 7 * PAGE, G},
	{G - 2 * M, 9 * G, 4 * M},
	{G - PAGE, 9 * G, 3 * G + 5 * PAGE},
	{3 * G + 6 * M + PAGE, 0, 2 * G + 3 * PAGE},
	{512 * G - PAGE, 4 * G, G + 2 * PAGE},
	{256 * T - PAGE, 4 * G, 2 * PAGE},
	{256 * T - G, 4 * G, 2 * G},
	{256 * T, 5 * PAGE, 256 * T},
	{255 * T, 3 * T, 258 * T},
	{(UINT64_C(1) << 57) - PAGE, 8 * G, PAGE},
	{UINT64_MAX - PAGE + 1, 3 * PAGE, PAGE},
	{UINT64_MAX - G + 1, 3 * PAGE, G},
	{UINT64_MAX - 3 * G - 5 * PAGE + 1, G, 3 * G + 5 * PAGE},
	{UINT64_MAX - 512 * T + 1, 0, 512 * T},
	{PAGE, UINT64_MAX - G + 1, PAGE},
};

static int
check_alone(struct dm_xlate *x, const struct span *s)
{
	uint64_t last = s->key + s->len - 1, after = last + 1;

	TEST_ASSERT_EQUAL(dm_xlate_lookup(x, s->key), s->val, "first byte");
	TEST_ASSERT_EQUAL(dm_xlate_lookup(x, last), s->val + s->len - 1, "last byte");
	TEST_ASSERT_EQUAL(
		dm_xlate_lookup(x, s->key + s->len / 2 + 5), s->val + s->len / 2 + 5, "middle");
	if (s->key != 0)
		TEST_ASSERT_EQUAL(dm_xlate_lookup(x, s->key - 1), DM_XLATE_NONE, "byte before");
	if (after != 0)
		TEST_ASSERT_EQUAL(dm_xlate_lookup(x, after), DM_XLATE_NONE, "byte after");
	TEST_ASSERT_EQUAL(run(x, s->key, s->len), s->len, "run of the whole");
	TEST_ASSERT_EQUAL(run(x, s->key, UINT64_MAX), s->len, "run asked for everything");
	TEST_ASSERT_EQUAL(run(x, s->key + 1, s->len), s->len - 1, "run from the second byte");
	TEST_ASSERT_EQUAL(run(x, last, 2), 1, "run of the last byte");
	TEST_ASSERT_EQUAL(run(x, s->key, 1), 1, "run of one byte");
	TEST_ASSERT_EQUAL(run(x, s->key, 0), 0, "run of no byte");
	if (after != 0)
		TEST_ASSERT_EQUAL(run(x, after, 1), 0, "run of what is not there");
	return TEST_SUCCESS;
}

static int
each_border_translates(void)
{
	struct dm_xlate *x;
	unsigned int i;

	TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
	for (i = 0; i < RTE_DIM(borders); i++) {
		const struct span *s = &borders[i];

		TEST_ASSERT_SUCCESS(dm_xlate_insert(x, s->key, s->val, s->len), "insert %u", i);
		if (check_alone(x, s) != TEST_SUCCESS) {
			printf("  border %u\n", i);
			return TEST_FAILED;
		}
		TEST_ASSERT_EQUAL(dm_xlate_insert(x, s->key, 0, PAGE), -EEXIST, "first page again");
		TEST_ASSERT_EQUAL(dm_xlate_insert(x, s->key + s->len - PAGE, 0, PAGE), -EEXIST,
			"last page again");
		dm_xlate_remove(x, s->key, s->len);
		TEST_ASSERT_EQUAL(dm_xlate_lookup(x, s->key), DM_XLATE_NONE, "first, removed");
		TEST_ASSERT_EQUAL(
			dm_xlate_lookup(x, s->key + s->len - 1), DM_XLATE_NONE, "last, removed");
	}
	dm_xlate_destroy(x);
	return TEST_SUCCESS;
}

static int
bad_ranges_are_refused(void)
{
	static const struct span bad[] = {
		{0, 0, 0},
		{1, 0, PAGE},
		{0, 1, PAGE},
		{0, 0, PAGE + 1},
		{0, 0, 1},
		{UINT64_MAX - PAGE + 1, 0, 2 * PAGE},
		{0, UINT64_MAX - PAGE + 1, 2 * PAGE},
		{PAGE, 0, UINT64_MAX - PAGE + 1 + PAGE},
	};
	struct dm_xlate *x;
	unsigned int i;

	TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
	for (i = 0; i < RTE_DIM(bad); i++)
		TEST_ASSERT_EQUAL(dm_xlate_insert(x, bad[i].key, bad[i].val, bad[i].len), -EINVAL,
			"bad range %u", i);
	TEST_ASSERT_EQUAL(dm_xlate_lookup(x, 0), DM_XLATE_NONE, "nothing came of it");
	dm_xlate_destroy(x);
	return TEST_SUCCESS;
}

static int
an_overlap_changes_nothing(void)
{
	/* One page, in the middle of the range that is then requested for every class. */
	const uint64_t at = 5 * G + 7 * 2 * M + 9 * PAGE;
	static const uint64_t around[] = {PAGE, 3 * PAGE, 2 * M, 3 * M, G, 2 * G, 3 * T};
	struct dm_xlate *x;
	uint64_t key, len, memory;
	unsigned int i;

	TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
	TEST_ASSERT_SUCCESS(dm_xlate_insert(x, at, 3 * G, PAGE), "insert");
	memory = dm_xlate_memory(x);
	for (i = 0; i < RTE_DIM(around); i++) {
		len = RTE_ALIGN_FLOOR(around[i], PAGE);
		key = len > at ? 0 : at - RTE_ALIGN_FLOOR(len / 2, PAGE);
		TEST_ASSERT_EQUAL(dm_xlate_insert(x, key, 0, len), -EEXIST, "around %u", i);
		TEST_ASSERT_EQUAL(dm_xlate_lookup(x, at), 3 * G, "still there %u", i);
		TEST_ASSERT_EQUAL(dm_xlate_lookup(x, at - 1), DM_XLATE_NONE, "before %u", i);
		TEST_ASSERT_EQUAL(dm_xlate_lookup(x, at + PAGE), DM_XLATE_NONE, "after %u", i);
		TEST_ASSERT_EQUAL(dm_xlate_memory(x), memory, "memory %u", i);
	}
	dm_xlate_destroy(x);
	return TEST_SUCCESS;
}

static int
a_run_ends_where_the_value_jumps(void)
{
	struct dm_xlate *x;

	TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
	/* Three adjacent mappings; the values of the first two are contiguous, too. */
	TEST_ASSERT_SUCCESS(dm_xlate_insert(x, G - 3 * PAGE, 8 * G, 7 * PAGE), "first");
	TEST_ASSERT_SUCCESS(dm_xlate_insert(x, G + 4 * PAGE, 8 * G + 7 * PAGE, 4 * M), "second");
	TEST_ASSERT_SUCCESS(dm_xlate_insert(x, G + 4 * PAGE + 4 * M, 0, 3 * PAGE), "third");
	TEST_ASSERT_EQUAL(run(x, G - 3 * PAGE, T), 7 * PAGE + 4 * M, "across");
	TEST_ASSERT_EQUAL(run(x, G - PAGE - 1, 2), 2, "two bytes");
	TEST_ASSERT_EQUAL(run(x, G + 4 * M, T), 4 * PAGE, "rest of the second");
	TEST_ASSERT_EQUAL(run(x, G + 4 * M + 4 * PAGE, T), 3 * PAGE, "third");
	dm_xlate_remove(x, G + 4 * PAGE, 4 * M);
	TEST_ASSERT_EQUAL(run(x, G - 3 * PAGE, T), 7 * PAGE, "the second is gone");
	TEST_ASSERT_EQUAL(run(x, G + 4 * PAGE, T), 0, "nothing there");
	dm_xlate_destroy(x);
	return TEST_SUCCESS;
}

/** Insert with a growing memory limit: each refusal changes nothing; at last it succeeds. */
static int
sweep_memory(struct dm_xlate *x, const struct span *s)
{
	uint64_t before = dm_xlate_memory(x), extra, refused = 0;
	int rc;

	for (extra = 0; extra < 64 * K; extra += 64) {
		dm_xlate_limit(x, before + extra);
		rc = dm_xlate_insert(x, s->key, s->val, s->len);
		if (rc == 0)
			break;
		refused++;
		TEST_ASSERT_EQUAL(rc, -ENOMEM, "refused");
		TEST_ASSERT_EQUAL(dm_xlate_lookup(x, s->key), DM_XLATE_NONE, "first");
		TEST_ASSERT_EQUAL(dm_xlate_lookup(x, s->key + s->len - 1), DM_XLATE_NONE, "last");
		TEST_ASSERT_EQUAL(dm_xlate_lookup(x, s->key + s->len / 2), DM_XLATE_NONE, "middle");
	}
	TEST_ASSERT_EQUAL(rc, 0, "enough memory at last");
	TEST_ASSERT(refused > 0, "a new place takes memory");
	dm_xlate_limit(x, UINT64_MAX);
	if (check_alone(x, s) != TEST_SUCCESS)
		return TEST_FAILED;
	dm_xlate_remove(x, s->key, s->len);
	return TEST_SUCCESS;
}

static int
no_memory_changes_nothing(void)
{
	static const struct span spans[] = {
		{PAGE, 0, PAGE},
		{9 * G + 2 * M - PAGE, 0, 2 * PAGE},
		{20 * G - PAGE, 0, 2 * PAGE},
		{30 * G + 3 * PAGE, 0, 5 * G},
		{256 * T - PAGE, 0, 2 * PAGE},
		{600 * T + PAGE, 0, 900 * T},
		{UINT64_MAX - 5 * PAGE + 1, 0, 5 * PAGE},
	};
	struct dm_xlate *x;
	unsigned int i;

	for (i = 0; i < RTE_DIM(spans); i++) {
		TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
		if (sweep_memory(x, &spans[i]) != TEST_SUCCESS) {
			printf("  span %u\n", i);
			return TEST_FAILED;
		}
		dm_xlate_destroy(x);
	}
	return TEST_SUCCESS;
}

/** Check a node in which some slots hold mappings. */
static int
check_slots(const struct dm_xlate *x, uint64_t base, uint64_t size, const bool *live)
{
	unsigned int i, end;

	for (i = 0; i < 512; i++) {
		uint64_t key = base + i * size, last = key + size - 1;
		uint64_t val = live[i] ? (i + 1) * T : DM_XLATE_NONE;

		TEST_ASSERT_EQUAL(dm_xlate_lookup(x, key), val, "slot %u", i);
		TEST_ASSERT_EQUAL(dm_xlate_lookup(x, last), (live[i] ? val + size - 1 : val),
			"slot %u's end", i);
		TEST_ASSERT_EQUAL(run(x, key, T), (live[i] ? size : 0), "slot %u's run", i);
	}
	end = live[511] ? 1 : 0;
	TEST_ASSERT_EQUAL(run(x, base + 512 * size - 1, 2), end, "the end");
	return TEST_SUCCESS;
}

/**
 * From 0 to 512 mappings below one slot and back, in random order: the node takes all its shapes.
 */
static int
fill_and_empty(struct dm_xlate *x, uint64_t base, uint64_t size)
{
	bool live[512] = {false};
	unsigned int n, i, step = 1 + 2 * (rng % 256);

	for (n = 0; n < 1024; n++) {
		i = (n * step + 77) % 512;
		if (n < 512)
			TEST_ASSERT_SUCCESS(
				dm_xlate_insert(x, base + i * size, (i + 1) * T, size), "insert");
		else
			dm_xlate_remove(x, base + i * size, size);
		live[i] = n < 512;
		if ((n < 32 || n % 20 == 0 || n > 1000) &&
			check_slots(x, base, size, live) != TEST_SUCCESS) {
			printf("  after %u changes\n", n);
			return TEST_FAILED;
		}
		TEST_ASSERT_EQUAL(dm_xlate_insert(x, base + i * size, 0, size),
			(n < 512 ? -EEXIST : 0), "what is live is known");
		if (n >= 512)
			dm_xlate_remove(x, base + i * size, size);
	}
	return TEST_SUCCESS;
}

static int
a_node_takes_all_its_shapes(void)
{
	struct dm_xlate *x;
	unsigned int i;
	int rc = TEST_SUCCESS;

	rng = test_seed() | 1;
	TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
	for (i = 0; i < 3 && rc == TEST_SUCCESS; i++) {
		rng += 12345;
		rc = fill_and_empty(x, 6 * G + 4 * M, PAGE) || fill_and_empty(x, 9 * G, 2 * M);
	}
	dm_xlate_destroy(x);
	return rc;
}

/** Repeating the same work at moving places must not use more and more memory. */
static int
churn_stays_within(struct rte_rcu_qsbr *rcu, unsigned int places)
{
	struct dm_xlate *x;
	uint64_t peak = 0;
	unsigned int i;

	TEST_ASSERT_SUCCESS(dm_xlate_create(rcu_readers(rcu), &x), "create");
	for (i = 0; i < 4000; i++) {
		uint64_t key = (i % places) * 3 * G + (i % 31) * PAGE;

		TEST_ASSERT_SUCCESS(
			dm_xlate_insert(x, key, i * 2 * M, 5 * M + PAGE * (i % 7)), "insert");
		dm_xlate_remove(x, key, 5 * M + PAGE * (i % 7));
		if (i == 400)
			peak = dm_xlate_memory(x);
		if (i > 400)
			TEST_ASSERT(dm_xlate_memory(x) <= peak, "%" PRIu64 " bytes after %u rounds",
				dm_xlate_memory(x), i);
	}
	dm_xlate_destroy(x);
	return TEST_SUCCESS;
}

static int
churn_takes_no_more_memory(void)
{
	struct rte_rcu_qsbr *rcu = rcu_new();
	int rc;

	TEST_ASSERT_NOT_NULL(rcu, "rcu");
	rc = churn_stays_within(rcu, 100);
	free(rcu);
	return rc == TEST_SUCCESS ? churn_stays_within(NULL, 100) : rc;
}

/** Empty slots of a full node are used by one mapping over several slots. */
static int
wide_in_full_node(struct dm_xlate *x, uint64_t base, uint64_t size)
{
	bool live[512] = {false};
	unsigned int i;

	for (i = 0; i < 512; i++) {
		TEST_ASSERT_SUCCESS(
			dm_xlate_insert(x, base + i * size, (i + 1) * T, size), "insert");
		live[i] = true;
	}
	for (i = 100; i < 110; i++) {
		dm_xlate_remove(x, base + i * size, size);
		live[i] = false;
	}
	TEST_ASSERT_SUCCESS(dm_xlate_insert(x, base + 101 * size, 3 * G, 8 * size), "wide");
	TEST_ASSERT_EQUAL(run(x, base + 101 * size, T), 8 * size, "wide run");
	TEST_ASSERT_EQUAL(dm_xlate_lookup(x, base + 108 * size), 3 * G + 7 * size, "wide end");
	dm_xlate_remove(x, base + 101 * size, 8 * size);
	return check_slots(x, base, size, live);
}

static int
a_full_node_takes_a_wide_mapping(void)
{
	struct dm_xlate *x;
	int rc;

	TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
	rc = wide_in_full_node(x, 6 * G + 4 * M, PAGE) || wide_in_full_node(x, 9 * G, 2 * M);
	dm_xlate_destroy(x);
	return rc;
}

/**
 * Mappings that straddle page classes, more and more of them in one GiB, so that it needs other
 * nodes.
 */
static int
a_crowded_gig_keeps_its_mappings(void)
{
	const uint64_t len = 4 * M + 3 * PAGE, step = 20 * M, base = 11 * G + PAGE;
	struct dm_xlate *x;
	uint64_t memory = 0;
	unsigned int i, j, round;

	TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 40; i++) {
			TEST_ASSERT_SUCCESS(
				dm_xlate_insert(x, base + i * step, (i + 1) * T, len), "insert");
			for (j = 0; j < 40; j++) {
				uint64_t key = base + j * step, is = j <= i ? len : 0;

				TEST_ASSERT_EQUAL(run(x, key, T), is, "run %u of %u", j, i);
				TEST_ASSERT_EQUAL(run(x, key + len, T), 0, "behind %u of %u", j, i);
				TEST_ASSERT_EQUAL(
					dm_xlate_insert(x, key - PAGE, 0, PAGE), 0, "hole");
				dm_xlate_remove(x, key - PAGE, PAGE);
			}
		}
		for (i = 0; i < 40; i++)
			dm_xlate_remove(x, base + i * step, len);
		TEST_ASSERT_EQUAL(x->low[11], 0, "nothing is left of it");
		if (round == 1)
			memory = dm_xlate_memory(x);
	}
	TEST_ASSERT_EQUAL(dm_xlate_memory(x), memory, "memory is used again");
	dm_xlate_destroy(x);
	return TEST_SUCCESS;
}

/**
 * Two mappings are removed. A longer one that starts like the first replaces both, and no part of
 * them translates.
 */
static int
a_longer_mapping_covers_what_was_there(void)
{
	static const uint64_t second[] = {PAGE, 3 * PAGE, 400 * PAGE};
	struct dm_xlate *x;
	unsigned int i, crowd;

	for (crowd = 0; crowd <= 20; crowd += 20) {
		TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
		for (i = 0; i < crowd; i++)
			TEST_ASSERT_SUCCESS(
				dm_xlate_insert(x, 900 * M + i * 2 * M, G, PAGE), "crowd");
		TEST_ASSERT_SUCCESS(dm_xlate_insert(x, 6 * M + 500 * PAGE, G, PAGE), "neighbour");
		for (i = 0; i < RTE_DIM(second); i++) {
			uint64_t key = 6 * M, next = key + second[i];

			TEST_ASSERT_SUCCESS(dm_xlate_insert(x, key, T, PAGE), "first");
			TEST_ASSERT_SUCCESS(dm_xlate_insert(x, next, 2 * T, PAGE), "second");
			dm_xlate_remove(x, key, PAGE);
			TEST_ASSERT_EQUAL(dm_xlate_insert(x, key, 3 * T, second[i] + PAGE), -EEXIST,
				"second is there");
			dm_xlate_remove(x, next, PAGE);
			TEST_ASSERT_SUCCESS(
				dm_xlate_insert(x, key, 3 * T, second[i] + PAGE), "longer");
			TEST_ASSERT_EQUAL(run(x, key, G), second[i] + PAGE, "all of it");
			TEST_ASSERT_EQUAL(
				dm_xlate_lookup(x, next), 3 * T + second[i], "over the second");
			dm_xlate_remove(x, key, second[i] + PAGE);
			TEST_ASSERT_EQUAL(dm_xlate_lookup(x, next), DM_XLATE_NONE, "gone");
		}
		dm_xlate_destroy(x);
	}
	return TEST_SUCCESS;
}

/** Change one place so often that memory of removed nodes is used again. */
static int
churn_place(struct dm_xlate *x, uint64_t key, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		TEST_ASSERT_SUCCESS(
			dm_xlate_insert(x, key + i % 500 * PAGE, 77 * T, 2 * PAGE), "insert");
		dm_xlate_remove(x, key + i % 500 * PAGE, 2 * PAGE);
	}
	return TEST_SUCCESS;
}

/**
 * A mapping is replaced by a shorter one in its middle: the pages that it leaves out do not
 * translate.
 */
static int
a_shorter_mapping_leaves_the_rest(void)
{
	static const unsigned int entries[] = {1, 5, 11, 16, 60};
	const uint64_t len = 8 * PAGE;
	struct span s;
	struct dm_xlate *x;
	unsigned int i, j;

	for (i = 0; i < RTE_DIM(entries); i++) {
		TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
		/* Mappings elsewhere in the GiB, so that it has a node for each 2 MiB. */
		for (j = 0; j < 20; j++)
			TEST_ASSERT_SUCCESS(
				dm_xlate_insert(x, (100 + 2 * j) * M, G, PAGE), "elsewhere");
		for (j = 0; j < entries[i]; j++)
			TEST_ASSERT_SUCCESS(
				dm_xlate_insert(x, 2 * M + j * len, T + 2 * j * len, len),
				"entry %u", j);
		TEST_ASSERT_SUCCESS(dm_xlate_insert(x, 4 * M - PAGE, G, PAGE), "one that stays");
		for (j = 0; j < entries[i]; j++) {
			dm_xlate_remove(x, 2 * M + j * len, len);
			s = (struct span){2 * M + j * len + 2 * PAGE, 3 * T + j * len, 3 * PAGE};
			TEST_ASSERT_SUCCESS(
				dm_xlate_insert(x, s.key, s.val, s.len), "shorter %u", j);
			TEST_ASSERT_SUCCESS(
				check_alone(x, &s), "of %u entries, number %u", entries[i], j);
		}
		dm_xlate_destroy(x);
	}
	return TEST_SUCCESS;
}

/** A place that was used once and is empty keeps no node. */
static int
empty_nodes_are_freed(void)
{
	struct dm_xlate *x;
	unsigned int i;

	TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
	for (i = 0; i < 512; i++)
		TEST_ASSERT_SUCCESS(
			dm_xlate_insert(x, i * 2 * M, G, 2 * M), "a table of 2 MiB pages");
	dm_xlate_limit(x, dm_xlate_memory(x) + 128 * K);
	for (i = 0; i < 5 * 512; i++) {
		const uint64_t key = i % 512 * 2 * M;

		dm_xlate_remove(x, key, 2 * M);
		TEST_ASSERT_SUCCESS(dm_xlate_insert(x, key + PAGE, T, PAGE), "a page, %u", i);
		dm_xlate_remove(x, key + PAGE, PAGE);
		TEST_ASSERT_SUCCESS(dm_xlate_insert(x, key, G, 2 * M), "whole again, %u", i);
	}
	dm_xlate_destroy(x);
	return TEST_SUCCESS;
}

/**
 * A reader that stopped between its first and its second load returns a correct answer when it
 * continues.
 */
static int
a_late_reader_gets_a_correct_answer(void)
{
	static const uint64_t neighbours[] = {1, 3, 20, 450};
	struct dm_xlate *x;
	uint64_t key = 5 * G + 9 * PAGE, word, epoch;
	unsigned int i, j;

	for (i = 0; i < RTE_DIM(neighbours); i++) {
		TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
		for (j = 0; j < neighbours[i]; j++)
			TEST_ASSERT_SUCCESS(
				dm_xlate_insert(x, 5 * G + j * 2 * M + 9 * PAGE, (j + 1) * T, PAGE),
				"insert");
		epoch = dm_xlate_epoch(x);
		word = x->low[5];
		for (j = 0; j < neighbours[i]; j++)
			dm_xlate_remove(x, 5 * G + j * 2 * M + 9 * PAGE, PAGE);
		if (churn_place(x, 40 * G, 30000) != TEST_SUCCESS)
			return TEST_FAILED;
		TEST_ASSERT(dm_xlate_epoch(x) != epoch, "memory was used again");
		TEST_ASSERT_EQUAL(
			dm_xlate_lookup_below(x, key, word, epoch), DM_XLATE_NONE, "gone");
		TEST_ASSERT_SUCCESS(dm_xlate_insert(x, key, 99 * T, PAGE), "insert");
		TEST_ASSERT_EQUAL(
			dm_xlate_lookup_below(x, key, word, epoch), 99 * T, "the new one");
		dm_xlate_destroy(x);
	}
	return TEST_SUCCESS;
}

static int
memory_waits_for_readers(void)
{
	struct rte_rcu_qsbr *rcu = rcu_new();
	struct dm_xlate *x;
	uint64_t epoch, memory;

	TEST_ASSERT_NOT_NULL(rcu, "rcu");
	rte_rcu_qsbr_thread_register(rcu, 0);
	rte_rcu_qsbr_thread_online(rcu, 0);
	TEST_ASSERT_SUCCESS(dm_xlate_create(rcu_readers(rcu), &x), "create");
	epoch = dm_xlate_epoch(x);
	if (churn_place(x, 5 * G, 5000) != TEST_SUCCESS)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(dm_xlate_epoch(x), epoch, "a reader may be inside");
	rte_rcu_qsbr_thread_offline(rcu, 0);
	rte_rcu_qsbr_thread_unregister(rcu, 0);
	if (churn_place(x, 5 * G, 5000) != TEST_SUCCESS)
		return TEST_FAILED;
	TEST_ASSERT(dm_xlate_epoch(x) != epoch, "no reader is inside any more");
	memory = dm_xlate_memory(x);
	if (churn_place(x, 5 * G, 5000) != TEST_SUCCESS)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(dm_xlate_memory(x), memory, "so no more memory is taken");
	dm_xlate_destroy(x);
	free(rcu);
	return TEST_SUCCESS;
}

/* Random histories, compared with a list */

#define MODEL_MAX 400

struct model {
	struct span span[MODEL_MAX];
	unsigned int n;
};

static uint64_t
rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * UINT64_C(0x2545f4914f6cdd1d) >> 11;
}

static const struct span *
model_find(const struct model *m, uint64_t key)
{
	unsigned int i;

	for (i = 0; i < m->n; i++)
		if (key >= m->span[i].key && key - m->span[i].key < m->span[i].len)
			return &m->span[i];
	return NULL;
}

static bool
model_overlaps(const struct model *m, const struct span *s)
{
	unsigned int i;

	for (i = 0; i < m->n; i++)
		if (s->key <= m->span[i].key + m->span[i].len - 1 &&
			m->span[i].key <= s->key + s->len - 1)
			return true;
	return false;
}

static uint64_t
model_run(const struct model *m, uint64_t key, uint64_t len)
{
	const struct span *s = model_find(m, key);
	uint64_t run_len = 0, delta = s == NULL ? 0 : s->val - s->key, rest;

	while (s != NULL && s->val - s->key == delta && run_len < len) {
		rest = s->len - (key - s->key);
		run_len += RTE_MIN(rest, len - run_len);
		key += rest;
		s = key == 0 ? NULL : model_find(m, key);
	}
	return run_len;
}

/** Keys that were removed lately, and the number of places with mappings. */
static uint64_t recent[8];
static unsigned int n_places;

/** A random place near one of the borders of the space, so that mappings are adjacent. */
static uint64_t
random_key(void)
{
	static const uint64_t base[] = {0, G, 512 * G - G, UINT64_C(0x7f0000000000), 256 * T - G,
		UINT64_C(1) << 56, UINT64_MAX - 3 * G + 1};
	static const uint64_t step[] = {PAGE, PAGE, 64 * K, 2 * M, 2 * M, G};
	uint64_t unit = step[rnd() % RTE_DIM(step)];
	uint64_t within = unit == PAGE ? RTE_BIT64(14 + rnd() % 10) : unit < G ? G : 3 * G;

	/* Often the key of a removed mapping. */
	if (rnd() % 4 == 0)
		return recent[rnd() % RTE_DIM(recent)];
	return base[rnd() % n_places] + rnd() % (within / unit) * unit;
}

static uint64_t
random_len(void)
{
	static const uint64_t unit[] = {PAGE, PAGE, PAGE, 64 * K, 2 * M, 2 * M, G};

	return unit[rnd() % RTE_DIM(unit)] * (1 + rnd() % 4) + (rnd() % 4 == 0 ? PAGE : 0);
}

static struct span
random_span(void)
{
	struct span s = {.key = random_key(), .len = random_len()};

	if (s.len - 1 > UINT64_MAX - s.key)
		s.len = UINT64_MAX - s.key + 1;
	/* Few different deltas, so that neighbours are often contiguous in value. */
	s.val = rnd() % 4 == 0 ? rnd() % (64 * K) * PAGE : s.key + (rnd() % 3 + 1) * T;
	if (s.len - 1 > UINT64_MAX - s.val)
		s.val = 0;
	return s;
}

static bool
model_first(const struct model *m, uint64_t key, uint64_t last, uint64_t *found)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < m->n; i++) {
		uint64_t at = RTE_MAX(key, m->span[i].key);

		if (at > last || at - m->span[i].key >= m->span[i].len || (any && at >= *found))
			continue;
		*found = at;
		any = true;
	}
	return any;
}

static int
check_first(const struct dm_xlate *x, const struct model *m, uint64_t key)
{
	uint64_t len = random_len() * (rnd() % 3 + 1),
		 last = len - 1 > UINT64_MAX - key ? UINT64_MAX : key + len - 1;
	uint64_t found = 0, expect = 0;
	bool any = model_first(m, key, last, &expect);

	TEST_ASSERT_EQUAL(dm_xlate_first(x, key, last, &found), any,
		"in [%#" PRIx64 ", %#" PRIx64 "]", key, last);
	TEST_ASSERT(!any || found == expect,
		"first in [%#" PRIx64 ", %#" PRIx64 "]: %#" PRIx64 ", not %#" PRIx64, key, last,
		found, expect);
	return TEST_SUCCESS;
}

static int
check_key(const struct dm_xlate *x, const struct model *m, uint64_t key)
{
	const struct span *s = model_find(m, key);
	uint64_t want = s == NULL ? DM_XLATE_NONE : s->val + (key - s->key);
	uint64_t len = random_len() * (rnd() % 3 + 1), expect = model_run(m, key, len), asked = len;

	TEST_ASSERT_EQUAL(dm_xlate_lookup(x, key), want,
		"key %#" PRIx64 ": %#" PRIx64 ", not %#" PRIx64, key, dm_xlate_lookup(x, key),
		want);
	TEST_ASSERT_EQUAL(dm_xlate_lookup_run(x, key, &len), want, "run from %#" PRIx64, key);
	TEST_ASSERT_EQUAL(len, expect,
		"run from %#" PRIx64 " of %#" PRIx64 ": %#" PRIx64 ", not %#" PRIx64, key, asked,
		len, expect);
	return check_first(x, m, key);
}

static int
random_step(struct dm_xlate *x, struct model *m, unsigned int full)
{
	struct span s = random_span();
	unsigned int i;

	if (m->n > 0 && (m->n == full || rnd() % 2 == 0)) {
		i = rnd() % m->n;
		s = m->span[i];
		dm_xlate_remove(x, s.key, s.len);
		m->span[i] = m->span[--m->n];
		recent[rnd() % RTE_DIM(recent)] = s.key;
	} else if (model_overlaps(m, &s)) {
		TEST_ASSERT_EQUAL(dm_xlate_insert(x, s.key, s.val, s.len), -EEXIST, "overlap");
	} else {
		TEST_ASSERT_SUCCESS(dm_xlate_insert(x, s.key, s.val, s.len), "insert");
		m->span[m->n++] = s;
	}
	return check_key(x, m, s.key) || check_key(x, m, s.key + s.len - 1) ||
		check_key(x, m, s.key - 1) || check_key(x, m, s.key + s.len) ||
		check_key(x, m, random_key() + rnd() % PAGE);
}

static int
random_history(struct rte_rcu_qsbr *rcu, unsigned int steps)
{
	struct model *m = calloc(1, sizeof(*m));
	struct dm_xlate *x = NULL;
	unsigned int i, full = 0;
	int rc = TEST_SUCCESS;

	if (m == NULL || dm_xlate_create(rcu_readers(rcu), &x) != 0)
		rc = TEST_FAILED;
	for (i = 0; i < steps && rc == TEST_SUCCESS; i++) {
		/* From sparse to crowded and back. */
		if (i % 1000 == 0) {
			full = i / 1000 % 2 == 0 ? 10 + rnd() % 40 : MODEL_MAX;
			n_places = 1 + rnd() % 7;
		}
		while (m->n > full) {
			m->n--;
			dm_xlate_remove(x, m->span[m->n].key, m->span[m->n].len);
		}
		rc = random_step(x, m, full);
	}
	if (rc != TEST_SUCCESS)
		printf("  at step %u\n", i);
	dm_xlate_destroy(x);
	free(m);
	return rc;
}

static int
random_histories_match_a_list(void)
{
	struct rte_rcu_qsbr *rcu = rcu_new();
	int rc;

	TEST_ASSERT_NOT_NULL(rcu, "rcu");
	rng = test_seed() | 1;
	rc = random_history(NULL, 20000);
	if (rc == TEST_SUCCESS)
		rc = random_history(rcu, 20000);
	free(rcu);
	return rc;
}

/**
 * Adjacent ranges, of one page to some GiB: each key has its own object, and the keys next to them
 * have none.
 */
static int
a_table_of_objects_finds_them(void)
{
	static const uint64_t len[] = {PAGE, 3 * PAGE, 2 * M, 5 * M + PAGE, G, 3 * G + 7 * PAGE};
	void *object[64];
	struct dm_xlate *x;
	uint64_t key = 5 * PAGE;
	unsigned int i;

	TEST_ASSERT_SUCCESS(dm_xlate_create(NULL, &x), "create");
	for (i = 0; i < RTE_DIM(object); i++, key += len[(i - 1) % RTE_DIM(len)]) {
		object[i] = malloc(1);
		TEST_ASSERT_SUCCESS(
			dm_xlate_insert_object(x, key, len[i % RTE_DIM(len)], object[i]), "insert");
		TEST_ASSERT_EQUAL(
			dm_xlate_insert_object(x, key, PAGE, object[i]), -EEXIST, "overlap");
	}
	TEST_ASSERT_NULL(dm_xlate_object(x, 5 * PAGE - 1), "before");
	TEST_ASSERT_NULL(dm_xlate_object(x, key), "behind");
	for (i = 0, key = 5 * PAGE; i < RTE_DIM(object); i++, key += len[(i - 1) % RTE_DIM(len)]) {
		TEST_ASSERT(dm_xlate_object(x, key) == object[i], "object %u, its first key", i);
		TEST_ASSERT(dm_xlate_object(x, key + len[i % RTE_DIM(len)] - 1) == object[i],
			"its last key");
		dm_xlate_remove(x, key, len[i % RTE_DIM(len)]);
		TEST_ASSERT_NULL(dm_xlate_object(x, key), "removed");
		free(object[i]);
	}
	TEST_ASSERT_EQUAL(dm_xlate_insert_object(x, PAGE, PAGE, (void *)(uintptr_t)0x1008), -EINVAL,
		"alignment");
	TEST_ASSERT_EQUAL(dm_xlate_insert_object(x, PAGE, PAGE, (void *)(UINTPTR_MAX - 15)),
		-EINVAL, "too high");
	TEST_ASSERT_SUCCESS(
		dm_xlate_insert_object(x, UINT64_MAX - PAGE + 1, PAGE, x), "the last page");
	TEST_ASSERT(dm_xlate_object(x, UINT64_MAX) == x, "the last key");
	dm_xlate_destroy(x);
	return TEST_SUCCESS;
}

/* Readers beside a writer */

/**
 * Mappings that the writer inserts and removes. Overlapping ones are never mapped at the same time.
 */
static struct span rivals[17 + 512] = {
	{0, 1 * T, G},
	{0, 2 * T, 2 * M},
	{PAGE, 3 * T, PAGE},
	{2 * M - PAGE, 4 * T, 2 * PAGE},
	{G - PAGE, 5 * T, 2 * PAGE},
	{G, 6 * T, G},
	{G + 2 * M, 7 * T, 4 * M},
	{G + 3 * PAGE, 8 * T, 5 * M},
	{2 * G - 2 * M, 9 * T, 4 * M},
	{2 * G, 10 * T, PAGE},
	{3 * PAGE, 11 * T, PAGE},
	{5 * PAGE, 12 * T, 9 * PAGE},
	{G + 9 * M, 13 * T, PAGE},
	{2 * G + 7 * PAGE, 14 * T, 600 * PAGE},
	{7 * PAGE, 15 * T, 3 * PAGE},
	{4 * PAGE, 16 * T, 20 * PAGE},
	{256 * T - PAGE, 17 * T, 2 * PAGE},
};

#define FIRST_PAGE_RIVAL 17u

/** Many adjacent pages, so that nodes of every shape exist. */
static void
make_page_rivals(void)
{
	unsigned int i;

	for (i = FIRST_PAGE_RIVAL; i < RTE_DIM(rivals); i++)
		rivals[i] =
			(struct span){3 * G + (i - FIRST_PAGE_RIVAL) * PAGE, (20 + i) * T, PAGE};
}

struct race {
	struct dm_xlate *x;
	struct rte_rcu_qsbr *rcu;
	bool stop;
};

struct racer {
	struct race *race;
	unsigned int id;
	uint64_t seen, wrong;
};

static bool
possible(uint64_t key, uint64_t val)
{
	unsigned int i;

	if (val == DM_XLATE_NONE)
		return true;
	for (i = 0; i < RTE_DIM(rivals); i++)
		if (key >= rivals[i].key && key - rivals[i].key < rivals[i].len &&
			val == rivals[i].val + (key - rivals[i].key))
			return true;
	return false;
}

static void *
race_reader(void *arg)
{
	struct racer *r = arg;
	struct race *race = r->race;
	uint64_t state = r->id + 1, key, val;

	if (race->rcu != NULL) {
		rte_rcu_qsbr_thread_register(race->rcu, r->id);
		rte_rcu_qsbr_thread_online(race->rcu, r->id);
	}
	while (!__atomic_load_n(&race->stop, __ATOMIC_RELAXED)) {
		const struct span *s;

		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		s = &rivals[(state >> 40) %
			(state >> 63 != 0 ? FIRST_PAGE_RIVAL : RTE_DIM(rivals))];
		key = s->key + (state >> 20) % s->len;
		val = dm_xlate_lookup(race->x, key);
		if (val != DM_XLATE_NONE)
			__atomic_store_n(&r->seen, r->seen + 1, __ATOMIC_RELAXED);
		r->wrong += !possible(key, val);
		if (race->rcu != NULL && state >> 60 == 0)
			rte_rcu_qsbr_quiescent(race->rcu, r->id);
	}
	if (race->rcu != NULL) {
		rte_rcu_qsbr_thread_offline(race->rcu, r->id);
		rte_rcu_qsbr_thread_unregister(race->rcu, r->id);
	}
	return NULL;
}

static int
race_writer(struct dm_xlate *x, unsigned int steps)
{
	bool live[RTE_DIM(rivals)] = {false};
	unsigned int i, j, step;
	int rc, want;

	for (step = 0; step < steps; step++) {
		i = rnd() % 2 != 0 ? rnd() % FIRST_PAGE_RIVAL : rnd() % RTE_DIM(rivals);
		/* The pages in waves: nearly all, then nearly none. */
		if (i >= FIRST_PAGE_RIVAL && live[i] == (step / 4000 % 2 == 0))
			continue;
		if (live[i]) {
			dm_xlate_remove(x, rivals[i].key, rivals[i].len);
			live[i] = false;
			continue;
		}
		want = 0;
		for (j = 0; j < RTE_DIM(rivals); j++)
			if (live[j] && rivals[i].key < rivals[j].key + rivals[j].len &&
				rivals[j].key < rivals[i].key + rivals[i].len)
				want = -EEXIST;
		rc = dm_xlate_insert(x, rivals[i].key, rivals[i].val, rivals[i].len);
		TEST_ASSERT_EQUAL(rc, want, "insert of rival %u", i);
		live[i] = rc == 0;
	}
	return TEST_SUCCESS;
}

static int
race_once(struct rte_rcu_qsbr *rcu, unsigned int steps)
{
	struct race race = {.rcu = rcu};
	struct racer r[2] = {{.race = &race, .id = 0}, {.race = &race, .id = 1}};
	pthread_t thread[2];
	unsigned int i;
	int rc;

	make_page_rivals();
	TEST_ASSERT_SUCCESS(dm_xlate_create(rcu_readers(rcu), &race.x), "create");
	for (i = 0; i < RTE_DIM(r); i++)
		TEST_ASSERT_SUCCESS(pthread_create(&thread[i], NULL, race_reader, &r[i]), "thread");
	/*
	 * On a busy host a reader may start late. The writer waits until each reader has made a
	 * look-up.
	 */
	rc = dm_xlate_insert(race.x, rivals[0].key, rivals[0].val, rivals[0].len);
	for (i = 0; i < RTE_DIM(r) && rc == 0; i++)
		while (__atomic_load_n(&r[i].seen, __ATOMIC_RELAXED) == 0)
			sched_yield();
	dm_xlate_remove(race.x, rivals[0].key, rivals[0].len);
	if (rc == 0)
		rc = race_writer(race.x, steps);
	__atomic_store_n(&race.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < RTE_DIM(r); i++)
		pthread_join(thread[i], NULL);
	dm_xlate_destroy(race.x);
	TEST_ASSERT_SUCCESS(rc, "writer");
	TEST_ASSERT_EQUAL(r[0].wrong + r[1].wrong, 0, "%" PRIu64 " answers were of no mapping",
		r[0].wrong + r[1].wrong);
	return TEST_SUCCESS;
}

static int
readers_see_old_new_or_none(void)
{
	struct rte_rcu_qsbr *rcu = rcu_new();
	int rc;

	TEST_ASSERT_NOT_NULL(rcu, "rcu");
	rng = test_seed() | 1;
	rc = race_once(rcu, 30000);
	if (rc == TEST_SUCCESS)
		rc = race_once(NULL, 30000);
	free(rcu);
	return rc;
}

static const struct test_case cases[] = {
	{"each border of each page class translates", each_border_translates},
	{"bad ranges are refused", bad_ranges_are_refused},
	{"an overlap is refused and changes nothing", an_overlap_changes_nothing},
	{"a run ends where the value jumps", a_run_ends_where_the_value_jumps},
	{"no memory is an error and changes nothing", no_memory_changes_nothing},
	{"a node takes all its shapes", a_node_takes_all_its_shapes},
	{"a full node takes a wide mapping", a_full_node_takes_a_wide_mapping},
	{"a crowded GiB keeps its mappings", a_crowded_gig_keeps_its_mappings},
	{"a longer mapping covers what was there", a_longer_mapping_covers_what_was_there},
	{"a shorter mapping leaves the rest", a_shorter_mapping_leaves_the_rest},
	{"empty nodes are freed", empty_nodes_are_freed},
	{"a late reader gets a correct answer", a_late_reader_gets_a_correct_answer},
	{"memory waits for readers", memory_waits_for_readers},
	{"churn takes no more memory", churn_takes_no_more_memory},
	{"a table of objects finds them", a_table_of_objects_finds_them},
	{"random histories match a list", random_histories_match_a_list},
	{"readers beside a writer see old, new or none", readers_see_old_new_or_none},
};

REGISTER_TEST_SUITE(xlate_suite) = {
	.name = "xlate", .kind = TEST_FAST, .cases = cases, .n_cases = RTE_DIM(cases)};
