/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the linear map: address space for zones, each part reserved once, at an IOVA that is VA
 * plus a constant.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm_linear.h"
#include "dm_va.h"
#include "test.h"

#define U DM_LINEAR_UNIT
#define G (UINT64_C(1) << 30)
#define IOVA (UINT64_C(7) << 32)

static struct dm_linear *w;

static int
setup(void)
{
	TEST_ASSERT_SUCCESS(dm_linear_create(4 * G, IOVA, &w), "create");
	return TEST_SUCCESS;
}

static void
teardown(void)
{
	dm_linear_destroy(w);
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
	struct dm_linear *other;
	void *va;

	TEST_ASSERT_EQUAL(dm_linear_create(0, IOVA, &other), -EINVAL, "no length");
	TEST_ASSERT_EQUAL(dm_linear_create(G + U, IOVA, &other), -EINVAL, "half a GiB");
	TEST_ASSERT_EQUAL(dm_linear_create(DM_LINEAR_MAX + G, IOVA, &other), -EINVAL, "too long");
	TEST_ASSERT_EQUAL(w->start % G, 0, "aligned");
	TEST_ASSERT_EQUAL(dm_linear_reserve(w, 0, U, &va), -EINVAL, "no length");
	TEST_ASSERT_EQUAL(dm_linear_reserve(w, U + 4096, U, &va), -EINVAL, "no unit");
	TEST_ASSERT_EQUAL(dm_linear_reserve(w, U, 3 * U, &va), -EINVAL, "no power of two");
	TEST_ASSERT_EQUAL(dm_linear_reserve(w, U, 2 * G, &va), -EINVAL, "beyond its own alignment");
	TEST_ASSERT_EQUAL(dm_linear_reserve(w, 5 * G, U, &va), -ENOSPC, "longer than all of it");
	return TEST_SUCCESS;
}

static int
what_is_reserved_is_released_once(void)
{
	void *va;

	TEST_ASSERT_SUCCESS(dm_linear_reserve(w, 5 * U, U, &va), "reserve");
	TEST_ASSERT((uintptr_t)va >= w->start && offset_of(va) <= w->len - 5 * U, "outside");
	TEST_ASSERT_EQUAL((uintptr_t)va + w->delta, IOVA + offset_of(va), "its IOVA");
	TEST_ASSERT_EQUAL(dm_linear_release(w, va, 6 * U), -EINVAL, "more than was reserved");
	TEST_ASSERT_SUCCESS(dm_linear_release(w, va, 5 * U), "release");
	TEST_ASSERT_EQUAL(dm_linear_release(w, va, 5 * U), -EINVAL, "not twice");
	return TEST_SUCCESS;
}

static int
it_is_filled_to_the_last_unit(void)
{
	void *va[2048], *big, *hole;
	unsigned int i;

	TEST_ASSERT_SUCCESS(dm_linear_reserve(w, U, U, &va[0]), "one");
	TEST_ASSERT_SUCCESS(dm_linear_reserve(w, G, G, &big), "one GiB");
	TEST_ASSERT_EQUAL(offset_of(big), G, "aligned, though the unit after the first was free");
	TEST_ASSERT_SUCCESS(dm_linear_release(w, big, G), "release");
	for (i = 1; i < 2048; i++)
		TEST_ASSERT_SUCCESS(dm_linear_reserve(w, U, 0 + U, &va[i]), "unit %u", i);
	TEST_ASSERT_EQUAL(dm_linear_reserve(w, U, U, &hole), -ENOSPC, "full");
	TEST_ASSERT_SUCCESS(dm_linear_release(w, va[700], U), "release");
	TEST_ASSERT_SUCCESS(dm_linear_release(w, va[701], U), "release");
	TEST_ASSERT_EQUAL(dm_linear_reserve(w, 3 * U, U, &hole), -ENOSPC, "two are not three");
	TEST_ASSERT_SUCCESS(dm_linear_reserve(w, 2 * U, U, &hole), "two");
	TEST_ASSERT(hole == va[700], "in the hole");
	return TEST_SUCCESS;
}

/** Whether the kernel can read a byte at an address. */
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
memory_exists_only_in_reserved_parts(void)
{
	void *va;

	TEST_ASSERT_SUCCESS(dm_linear_reserve(w, U, U, &va), "reserve");
	TEST_ASSERT(!readable(va), "reserved only");
	TEST_ASSERT(mmap(va, U, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			    0) == va,
		"map");
	TEST_ASSERT(readable(va), "there");
	TEST_ASSERT(dm_va_reserve(va, U) == va, "without access again");
	TEST_ASSERT_SUCCESS(dm_linear_release(w, va, U), "release");
	TEST_ASSERT(!readable(va), "gone");
	TEST_ASSERT_EQUAL(dm_linear_release(w, (uint8_t *)va + w->len, U), -EINVAL, "outside");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"bad lengths are refused", bad_lengths_are_refused},
	{"what is reserved is released once", what_is_reserved_is_released_once},
	{"it is filled to the last unit", it_is_filled_to_the_last_unit},
	{"memory exists only in reserved parts", memory_exists_only_in_reserved_parts},
};

REGISTER_TEST_SUITE(linear_suite) = {.name = "linear",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown};
