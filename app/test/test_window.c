/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Does the zones' window translate what is published in it, and nothing else?
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm_window.h"
#include "test.h"

#define U DM_WINDOW_UNIT
#define G (UINT64_C(1) << 30)
#define IOVA (UINT64_C(7) << 32)

static struct dm_window *w;
static struct dmamap_window map;

static int
setup(void)
{
	memset(&map, 0, sizeof(map));
	dm_window_none(&map);
	TEST_ASSERT_EQUAL(dm_window_va2iova(&map, (uintptr_t)&map), DM_XLATE_NONE, "no window yet");
	TEST_ASSERT_SUCCESS(dm_window_create(4 * G, &map, &w), "create");
	dm_window_place(w, IOVA);
	return TEST_SUCCESS;
}

static void
teardown(void)
{
	dm_window_destroy(w);
	w = NULL;
}

static uint64_t
offset_of(const void *va)
{
	return (uintptr_t)va - w->start;
}

static int
bad_lengths_are_refused(void)
{
	struct dm_window *other;
	void *va;

	TEST_ASSERT_EQUAL(dm_window_create(0, &map, &other), -EINVAL, "no length");
	TEST_ASSERT_EQUAL(dm_window_create(G + U, &map, &other), -EINVAL, "half a GiB");
	TEST_ASSERT_EQUAL(dm_window_create(DM_WINDOW_MAX + G, &map, &other), -EINVAL, "too long");
	TEST_ASSERT_EQUAL(w->start % G, 0, "aligned");
	TEST_ASSERT_EQUAL(dm_window_take(w, 0, U, &va), -EINVAL, "no length");
	TEST_ASSERT_EQUAL(dm_window_take(w, U + 4096, U, &va), -EINVAL, "no unit");
	TEST_ASSERT_EQUAL(dm_window_take(w, U, 3 * U, &va), -EINVAL, "no power of two");
	TEST_ASSERT_EQUAL(
		dm_window_take(w, U, 2 * G, &va), -EINVAL, "beyond the window's own alignment");
	TEST_ASSERT_EQUAL(dm_window_take(w, 5 * G, U, &va), -ENOSPC, "longer than the window");
	return TEST_SUCCESS;
}

static int
only_what_is_published_translates(void)
{
	void *va;
	uint64_t first, last;

	TEST_ASSERT_SUCCESS(dm_window_take(w, 5 * U, U, &va), "take");
	first = (uintptr_t)va;
	last = first + 5 * U - 1;
	TEST_ASSERT_EQUAL(dm_window_va2iova(&map, first), DM_XLATE_NONE, "not yet");
	dm_window_publish(w, (void *)(uintptr_t)(first + U), 4 * U);
	TEST_ASSERT_EQUAL(dm_window_va2iova(&map, first + U - 1), DM_XLATE_NONE, "before");
	TEST_ASSERT_EQUAL(dm_window_va2iova(&map, first + U), IOVA + offset_of(va) + U, "first");
	TEST_ASSERT_EQUAL(dm_window_va2iova(&map, last), IOVA + offset_of(va) + 5 * U - 1, "last");
	TEST_ASSERT_EQUAL(dm_window_va2iova(&map, last + 1), DM_XLATE_NONE, "behind");
	TEST_ASSERT_EQUAL(dm_window_iova2va(&map, dm_window_va2iova(&map, last)), last, "and back");
	TEST_ASSERT_EQUAL(dm_window_iova2va(&map, IOVA + offset_of(va) + U - 1), DM_XLATE_NONE,
		"IOVA before");
	TEST_ASSERT_EQUAL(dm_window_iova2va(&map, IOVA + offset_of(va) + 5 * U), DM_XLATE_NONE,
		"IOVA behind");
	TEST_ASSERT_EQUAL(dm_window_va2iova(&map, w->start - 1), DM_XLATE_NONE, "below the window");
	TEST_ASSERT_EQUAL(
		dm_window_va2iova(&map, w->start + w->len), DM_XLATE_NONE, "above the window");
	TEST_ASSERT_EQUAL(
		dm_window_iova2va(&map, IOVA - 1), DM_XLATE_NONE, "IOVA below the window");
	TEST_ASSERT_EQUAL(dm_window_va2iova(&map, UINT64_MAX), DM_XLATE_NONE, "the end of all");
	TEST_ASSERT_EQUAL(dm_window_give(w, va, 5 * U), -EINVAL, "still published");
	dm_window_withdraw(w, (void *)(uintptr_t)(first + U), 4 * U);
	TEST_ASSERT_EQUAL(dm_window_va2iova(&map, first + U), DM_XLATE_NONE, "withdrawn");
	TEST_ASSERT_SUCCESS(dm_window_give(w, va, 5 * U), "give");
	TEST_ASSERT_EQUAL(dm_window_give(w, va, 5 * U), -EINVAL, "not twice");
	return TEST_SUCCESS;
}

static int
it_is_filled_to_the_last_unit(void)
{
	void *va[2048], *big, *hole;
	unsigned int i;

	TEST_ASSERT_SUCCESS(dm_window_take(w, U, U, &va[0]), "one");
	TEST_ASSERT_SUCCESS(dm_window_take(w, G, G, &big), "one GiB");
	TEST_ASSERT_EQUAL(offset_of(big), G, "aligned, though the unit after the first was free");
	TEST_ASSERT_SUCCESS(dm_window_give(w, big, G), "give");
	for (i = 1; i < 2048; i++)
		TEST_ASSERT_SUCCESS(dm_window_take(w, U, 0 + U, &va[i]), "unit %u", i);
	TEST_ASSERT_EQUAL(dm_window_take(w, U, U, &hole), -ENOSPC, "full");
	TEST_ASSERT_SUCCESS(dm_window_give(w, va[700], U), "give");
	TEST_ASSERT_SUCCESS(dm_window_give(w, va[701], U), "give");
	TEST_ASSERT_EQUAL(dm_window_take(w, 3 * U, U, &hole), -ENOSPC, "two are not three");
	TEST_ASSERT_SUCCESS(dm_window_take(w, 2 * U, U, &hole), "two");
	TEST_ASSERT(hole == va[700], "in the hole");
	return TEST_SUCCESS;
}

static int
a_hidden_window_answers_nothing(void)
{
	void *va;
	uint64_t iova;

	TEST_ASSERT_SUCCESS(dm_window_take(w, 2 * U, U, &va), "take");
	dm_window_publish(w, va, 2 * U);
	iova = dm_window_va2iova(&map, (uintptr_t)va + U);
	TEST_ASSERT_EQUAL(iova, IOVA + offset_of(va) + U, "seen");
	dm_window_hide(w);
	TEST_ASSERT_EQUAL(dm_window_va2iova(&map, (uintptr_t)va + U), DM_XLATE_NONE, "hidden");
	TEST_ASSERT_EQUAL(dm_window_iova2va(&map, iova), DM_XLATE_NONE, "the other way");
	TEST_ASSERT_SUCCESS(dm_window_give(w, va, 2 * U), "its books go on");
	return TEST_SUCCESS;
}

static int
no_window_has_no_addresses(void)
{
	struct dmamap_window *none = calloc(1, sizeof(*none));
	uint64_t va;

	TEST_ASSERT(none != NULL, "memory");
	dm_window_none(none);
	/* The numbers of the first units are what a map of zeroes is made of. */
	for (va = 0; va < UINT64_C(1) << 57; va = va == 0 ? 1 : va << 1) {
		TEST_ASSERT_EQUAL(dm_window_va2iova(none, va), DM_XLATE_NONE, "0x%" PRIx64, va);
		TEST_ASSERT_EQUAL(
			dm_window_iova2va(none, va), DM_XLATE_NONE, "IOVA 0x%" PRIx64, va);
	}
	TEST_ASSERT_EQUAL(dm_window_va2iova(none, UINT64_MAX), DM_XLATE_NONE, "the end of all");
	free(none);
	return TEST_SUCCESS;
}

static int
addresses_far_away_are_told_apart(void)
{
	const uint64_t apart = DMAMAP_WINDOW_UNITS * DM_WINDOW_UNIT;
	uint64_t far;
	void *va;

	TEST_ASSERT_SUCCESS(dm_window_take(w, U, U, &va), "take");
	dm_window_publish(w, va, U);
	for (far = (uintptr_t)va % apart; far < UINT64_C(1) << 47; far += apart)
		TEST_ASSERT_EQUAL(dm_window_va2iova(&map, far),
			far == (uintptr_t)va ? IOVA + offset_of(va) : DM_XLATE_NONE, "0x%" PRIx64,
			far);
	return TEST_SUCCESS;
}

/** Can the kernel read a byte there? */
static bool
readable(const void *va)
{
	int fd[2];
	bool yes;

	if (pipe(fd) < 0)
		return false;
	yes = write(fd[1], va, 1) == 1;
	close(fd[0]);
	close(fd[1]);
	return yes;
}

static int
memory_lives_only_in_what_is_taken(void)
{
	void *va;

	TEST_ASSERT_SUCCESS(dm_window_take(w, U, U, &va), "take");
	TEST_ASSERT(!readable(va), "reserved only");
	TEST_ASSERT(mmap(va, U, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			    0) == va,
		"map");
	TEST_ASSERT(readable(va), "there");
	TEST_ASSERT_SUCCESS(dm_window_give(w, va, U), "give");
	TEST_ASSERT(!readable(va), "gone");
	TEST_ASSERT_EQUAL(
		dm_window_give(w, (uint8_t *)va + w->len, U), -EINVAL, "not the window's");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"bad lengths are refused", bad_lengths_are_refused},
	{"only what is published translates", only_what_is_published_translates},
	{"a hidden window answers nothing", a_hidden_window_answers_nothing},
	{"no window has no addresses", no_window_has_no_addresses},
	{"addresses far away are told apart", addresses_far_away_are_told_apart},
	{"it is filled to the last unit", it_is_filled_to_the_last_unit},
	{"memory lives only in what is taken", memory_lives_only_in_what_is_taken},
};

REGISTER_TEST_SUITE(window_suite) = {.name = "window",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown};
