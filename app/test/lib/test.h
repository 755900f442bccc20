/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Interface of a test suite: a table of cases, registered by name, and assertions. Implemented by
 * main.c; included by every test_*.c. Cases run one after the other in the main thread.
 */

#ifndef GANTRY_TEST_H
#define GANTRY_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>

/*
 * Assertions with the names and meanings of DPDK's rte_test.h, which Debian's libdpdk-dev lacks. A
 * case ends at the first one that fails; place and message are printed.
 */
#define TEST_ASSERT(cond, ...)                                                                     \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			test_failure(__FILE__, __LINE__, #cond, __VA_ARGS__);                      \
			return TEST_FAILED;                                                        \
		}                                                                                  \
	} while (0)
#define TEST_ASSERT_EQUAL(a, b, ...) TEST_ASSERT((a) == (b), __VA_ARGS__)
#define TEST_ASSERT_NOT_EQUAL(a, b, ...) TEST_ASSERT((a) != (b), __VA_ARGS__)
#define TEST_ASSERT_SUCCESS(val, ...) TEST_ASSERT((val) == 0, __VA_ARGS__)
#define TEST_ASSERT_FAIL(val, ...) TEST_ASSERT((val) != 0, __VA_ARGS__)
#define TEST_ASSERT_NULL(val, ...) TEST_ASSERT((val) == NULL, __VA_ARGS__)
#define TEST_ASSERT_NOT_NULL(val, ...) TEST_ASSERT((val) != NULL, __VA_ARGS__)

#define TEST_SUCCESS 0
#define TEST_FAILED (-1)
#define TEST_SKIPPED 77

/** Where a suite can run. */
enum test_kind {
	TEST_FAST, /**< on any host: no VFIO, no NIC */
	TEST_VM, /**< needs real VFIO: the emulated machine, or a host with assigned devices */
};

/** One property that must hold; its name is the sentence that says so. */
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
	int (*setup)(void); /**< 0, or the result of test_skip(), which skips the case */
	void (*teardown)(void);
	bool needs_eal; /**< main() starts the EAL before the suite runs */
	bool needs_hugepages; /**< EAL with memory that grows, in hugepages. The EAL starts once, so
				 the suite needs its own process. */
	struct test_suite *next;
};

/** Print a failed condition, its place and the case's message. @see TEST_ASSERT() */
void test_failure(const char *file, int line, const char *cond, const char *fmt, ...)
	__rte_format_printf(4, 5);

/** Skip the running case and print the reason. @return TEST_SKIPPED */
int test_skip(const char *fmt, ...) __rte_format_printf(1, 2);

/**
 * Seed of random sequences: --seed N, or a new one each run. It is printed. test_rand_max() starts
 * from it.
 */
uint64_t test_seed(void);

/**
 * The next random number, below max (max must not be 0). DPDK's own generator needs a started EAL
 * since 24.11.
 */
uint32_t test_rand_max(uint32_t max);

/**
 * Write a text by one write(2) into an existing file, mostly one of sysfs or procfs.
 * @return 0; -errno; -EFBIG: over 255 bytes.
 */
int test_write_file(const char *path, const char *fmt, ...) __rte_format_printf(2, 3);

/**
 * Number of open descriptors of this process, for comparison. Some are always open. Epoll instances
 * do not count: when interrupts are added or removed, the EAL's interrupt thread closes its own and
 * makes another, at any time later.
 */
unsigned int test_open_files(void);

/**
 * Number of threads of this process, for comparison. A thread that was joined may be counted for a
 * moment.
 */
unsigned int test_threads(void);

/**
 * Record log lines from now on. test_log_end() returns them; the next begin frees them. Until then
 * each logged line sets errno to 0.
 */
void test_log_begin(void);
/** @see test_log_begin() */
const char *test_log_end(void);
/**
 * Whether one line with this text, and no other line, was logged since test_log_begin(). If not,
 * prints the log.
 */
bool test_logged(const char *text);

/** Internal: called by REGISTER_TEST_SUITE() before main(). */
void test_suite_register(struct test_suite *suite);

#define REGISTER_TEST_SUITE(suite)                                                                 \
	static struct test_suite suite;                                                            \
	RTE_INIT(register_##suite)                                                                 \
	{                                                                                          \
		test_suite_register(&(suite));                                                     \
	}                                                                                          \
	static struct test_suite suite

#endif /* GANTRY_TEST_H */
