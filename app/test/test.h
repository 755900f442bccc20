/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How is a suite written? A table of cases, registered by name.
 */

#ifndef GANTRY_TEST_H
#define GANTRY_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_test.h>

#define TEST_ASSERT RTE_TEST_ASSERT
/* DPDK's do not put their arguments in parentheses. */
#define TEST_ASSERT_EQUAL(a, b, ...) RTE_TEST_ASSERT_EQUAL((a), (b), __VA_ARGS__)
#define TEST_ASSERT_NOT_EQUAL(a, b, ...) RTE_TEST_ASSERT_NOT_EQUAL((a), (b), __VA_ARGS__)
#define TEST_ASSERT_SUCCESS RTE_TEST_ASSERT_SUCCESS
#define TEST_ASSERT_FAIL RTE_TEST_ASSERT_FAIL
#define TEST_ASSERT_NULL RTE_TEST_ASSERT_NULL
#define TEST_ASSERT_NOT_NULL RTE_TEST_ASSERT_NOT_NULL

#define TEST_SUCCESS 0
#define TEST_FAILED (-1)
#define TEST_SKIPPED 77

/** Where a suite can run. */
enum test_kind {
	TEST_FAST, /**< on any host: no VFIO, no NIC */
	TEST_VM,   /**< needs real VFIO: the emulated machine, or a host with assigned devices */
};

/** One thing that must hold; its name says what. */
struct test_case {
	const char *name;
	int (*run)(void); /**< TEST_SUCCESS, TEST_FAILED or what test_skip() returns */
};

/** Cases that belong together. setup and teardown enclose each case; both may be NULL. */
struct test_suite {
	const char *name;
	enum test_kind kind;
	const struct test_case *cases;
	unsigned int n_cases;
	int (*setup)(void); /**< 0; what test_skip() returns skips the case */
	void (*teardown)(void);
	bool needs_eal; /**< main() starts the EAL before the suite runs */
	struct test_suite *next;
};

/** Skip the running case; the reason is printed. @return TEST_SKIPPED */
int test_skip(const char *fmt, ...) __rte_format_printf(1, 2);

/** Seed for random histories: --seed N, or a new one each run. It is printed. */
uint64_t test_seed(void);

/** Record log lines from now on; test_log_end() gives them back (freed by the next begin). */
void test_log_begin(void);
/** @see test_log_begin() */
const char *test_log_end(void);

/** Called by REGISTER_TEST_SUITE(). */
void test_suite_register(struct test_suite *suite);

#define REGISTER_TEST_SUITE(suite)                                                                 \
	static struct test_suite suite;                                                            \
	RTE_INIT(register_##suite)                                                                 \
	{                                                                                          \
		test_suite_register(&(suite));                                                     \
	}                                                                                          \
	static struct test_suite suite

#endif /* GANTRY_TEST_H */
