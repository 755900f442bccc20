/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the units table: a unit that translates lies whole in one mapping; all others have no
 * entry.
 */

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>

#include "dm_container.h"
#include "machine.h"
#include "test.h"

#define U (UINT64_C(1) << DMAMAP_UNIT_SHIFT)
#define G (UINT64_C(1) << 30)
/** Distance of two units that share a slot. */
#define APART (DMAMAP_UNIT_SLOTS * U)
#define TOP (UINT64_C(1) << 48)
#define NONE DMAMAP_BAD_IOVA

static uint64_t *units;

static int
setup(void)
{
	return dm_units_create(&units);
}

static void
teardown(void)
{
	dm_units_destroy(units);
	units = NULL;
}

static uint64_t
look_up(uint64_t va)
{
	uint64_t iova;

	return dmamap_unit_find(units, va, &iova) ? iova : NONE;
}

static int
an_empty_table_has_no_addresses(void)
{
	uint64_t va;

	for (va = 0; va < TOP; va += APART / 2)
		TEST_ASSERT_EQUAL(look_up(va), NONE, "0x%" PRIx64, va);
	for (va = 1; va != 0; va <<= 1) {
		TEST_ASSERT_EQUAL(look_up(va), NONE, "0x%" PRIx64, va);
		TEST_ASSERT_EQUAL(look_up(-va), NONE, "0x%" PRIx64, -va);
		TEST_ASSERT_EQUAL(look_up(va - 1), NONE, "0x%" PRIx64, va - 1);
	}
	return TEST_SUCCESS;
}

static int
whole_units_translate(void)
{
	static const struct {
		uint64_t va, len, iova;
		uint64_t first, n; /**< units that translate */
	} cases[] = {
		{7 * U, U, 0, 7, 1},
		{7 * U, U - 4096, G, 7, 0},
		{7 * U + 4096, 2 * U, G, 8, 1},
		{7 * U + 4096, 2 * U - 8192, G + 8192, 8, 0},
		{7 * U - 4096, 2 * U + 8192, TOP - 3 * U, 7, 2},
		{0, 3 * U, U + 4096, 0, 3},
		{TOP - 2 * U, 2 * U, 4096, TOP / U - 2, 2},
		{TOP - U, 2 * U, G, TOP / U - 1, 0},
		{UINT64_MAX - U + 1, U, G, UINT64_MAX / U, 0},
		{UINT64_MAX - 2 * U + 4097, 2 * U - 4096, G, UINT64_MAX / U - 1, 0},
		{7 * U, U, TOP - 4096, 7, 0},
		{7 * U, U, UINT64_MAX - U + 1, 7, 0},
		{TOP / 2, U, TOP - U, TOP / 2 / U, 1},
	};
	uint64_t at, end;
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		dm_units_add(units, cases[i].va, cases[i].iova, cases[i].len);
		end = (cases[i].first + cases[i].n) * U;
		for (at = cases[i].first * U; at != end; at += U) {
			TEST_ASSERT_EQUAL(
				look_up(at), at - cases[i].va + cases[i].iova, "%u: first", i);
			TEST_ASSERT_EQUAL(look_up(at + U - 1),
				at - cases[i].va + cases[i].iova + U - 1, "%u: last", i);
		}
		TEST_ASSERT_EQUAL(look_up(end), NONE, "%u: behind", i);
		TEST_ASSERT_EQUAL(look_up(cases[i].first * U - 1), NONE, "%u: before", i);
		dm_units_del(units, cases[i].va, cases[i].iova, cases[i].len);
		for (at = 0; at < DMAMAP_UNIT_SLOTS; at++)
			TEST_ASSERT_EQUAL(units[at], 0, "%u: a word is left", i);
	}
	return TEST_SUCCESS;
}

static int
units_of_one_slot_are_told_apart(void)
{
	const uint64_t first = 3 * APART + 5 * U, second = first + 2 * APART;
	uint64_t va;

	dm_units_add(units, first, G, U);
	for (va = first % APART; va < 2 * TOP; va += APART)
		TEST_ASSERT_EQUAL(look_up(va), va == first ? G : NONE, "0x%" PRIx64, va);
	/* The first one keeps the slot. */
	dm_units_add(units, second, 2 * G, U);
	TEST_ASSERT_EQUAL(look_up(first), G, "replaced");
	TEST_ASSERT_EQUAL(look_up(second), NONE, "both");
	dm_units_del(units, second, 2 * G, U);
	TEST_ASSERT_EQUAL(look_up(first), G, "lost with the other one");
	dm_units_del(units, first, G, U);
	dm_units_add(units, second, 2 * G, U);
	TEST_ASSERT_EQUAL(look_up(second), 2 * G, "its turn");
	return TEST_SUCCESS;
}

static int
a_range_longer_than_the_table_wraps(void)
{
	dm_units_add(units, U, 0, APART + 7 * U);
	TEST_ASSERT_EQUAL(look_up(U), 0, "the first unit");
	TEST_ASSERT_EQUAL(look_up(APART), APART - U, "the last that fits");
	TEST_ASSERT_EQUAL(look_up(APART + U), NONE, "the first that does not");
	dm_units_del(units, U, 0, APART + 7 * U);
	TEST_ASSERT_EQUAL(look_up(U), NONE, "left");
	TEST_ASSERT_EQUAL(look_up(APART), NONE, "left");
	return TEST_SUCCESS;
}

/** A reader of units that are added and removed, at one of two IOVAs. */
struct race {
	bool stop;
	uint64_t seen, wrong;
};

enum { RACED = 4 };

static void *
race_reader(void *arg)
{
	struct race *r = arg;
	uint64_t i, iova;

	for (i = 0; !__atomic_load_n(&r->stop, __ATOMIC_RELAXED); i++) {
		const uint64_t va = G + i % RACED * U + i % U;

		iova = look_up(va);
		if (iova == NONE)
			continue;
		r->wrong += iova != va + G && iova != va - 4096;
		__atomic_store_n(&r->seen, r->seen + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int
a_reader_sees_one_translation_or_none(void)
{
	struct race r = {0};
	pthread_t thread;
	unsigned int i;

	TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, race_reader, &r), "thread");
	dm_units_add(units, G, 2 * G, RACED * U);
	while (__atomic_load_n(&r.seen, __ATOMIC_RELAXED) == 0)
		sched_yield();
	for (i = 0; i < 200000; i++) {
		dm_units_del(units, G, i % 2 == 0 ? 2 * G : G - 4096, RACED * U);
		dm_units_add(units, G, i % 2 == 0 ? G - 4096 : 2 * G, RACED * U);
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	TEST_ASSERT_EQUAL(r.wrong, 0, "%" PRIu64 " of %" PRIu64, r.wrong, r.seen);
	return TEST_SUCCESS;
}

/**
 * Mappings of made-up memory. The container's answers do not depend on which units share a slot.
 */
static int
a_container_translates_with_and_without_units(void)
{
	static const struct vfio_mock_conf conf = {.no_memory = true};
	static const uint64_t vas[] = {
		U, 3 * APART + U, 4 * APART + U, 3 * APART + 9 * U + 4096, 0x7000 * G + 4096};
	rte_iova_t iova[RTE_DIM(vas)];
	unsigned int i, j;

	TEST_ASSERT_SUCCESS(machine_setup(), "machine");
	TEST_ASSERT_SUCCESS(machine_remake(&conf, DMAMAP_SHARE), "container");
	for (j = 0; j < 2; j++) {
		for (i = 0; i < RTE_DIM(vas); i++)
			TEST_ASSERT_SUCCESS(dmamap_map(c, (void *)(uintptr_t)vas[i], 3 * U,
						    DMAMAP_RW, &iova[i]),
				"map %u", i);
		for (i = 0; i < RTE_DIM(vas); i++) {
			const char *va = (const char *)(uintptr_t)vas[i];

			TEST_ASSERT_EQUAL(dmamap_va2iova(c, va), iova[i], "%u: first", i);
			TEST_ASSERT_EQUAL(dmamap_va2iova(c, va + U), iova[i] + U, "%u: middle", i);
			TEST_ASSERT_EQUAL(dmamap_va2iova(c, va + 3 * U - 1), iova[i] + 3 * U - 1,
				"%u: last", i);
			TEST_ASSERT_EQUAL(dmamap_va2iova(c, va - 1), NONE, "%u: before", i);
			TEST_ASSERT_EQUAL(dmamap_va2iova(c, va + 3 * U), NONE, "%u: behind", i);
		}
		for (i = 0; i < RTE_DIM(vas); i++) {
			TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova[i], 3 * U), "unmap %u", i);
			TEST_ASSERT_EQUAL(dmamap_va2iova(c, (const char *)(uintptr_t)vas[i] + U),
				NONE, "%u: unmapped", i);
		}
	}
	machine_teardown();
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"an empty table has no addresses", an_empty_table_has_no_addresses},
	{"whole units translate", whole_units_translate},
	{"units of one slot are told apart", units_of_one_slot_are_told_apart},
	{"a range longer than the table wraps", a_range_longer_than_the_table_wraps},
	{"a reader sees one translation or none", a_reader_sees_one_translation_or_none},
	{"a container translates with and without units",
		a_container_translates_with_and_without_units},
};

REGISTER_TEST_SUITE(units_suite) = {.name = "units",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown};
