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

/*
 * What a case says: the names and meanings of DPDK's rte_test.h, which Debian's libdpdk-dev leaves
 * out. A case ends where something does not hold; the message is printed with the place.
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
	bool needs_hugepages; /**< with memory that grows, in hugepages; so the suite runs alone */
	struct test_suite *next;
};

/** Print what did not hold, where, and the case's message. @see TEST_ASSERT() */
void test_failure(const char *file, int line, const char *cond, const char *fmt, ...)
	__rte_format_printf(4, 5);

/** Skip the running case; the reason is printed. @return TEST_SKIPPED */
int test_skip(const char *fmt, ...) __rte_format_printf(1, 2);

/** Seed for random histories: --seed N, or a new one each run. It is printed, and test_rand_max()
 * starts from it. */
uint64_t test_seed(void);

/** The next number of the history, below max (which is not 0). DPDK's own generator wants the EAL
 * from 24.11 on. */
uint32_t test_rand_max(uint32_t max);

/** Write a text into a file that is there, mostly one of the kernel's, in one go. @return 0;
 * -errno; -EFBIG: over 255 bytes. */
int test_write_file(const char *path, const char *fmt, ...) __rte_format_printf(2, 3);

/** How many descriptors this process has, to be compared: some are always among them. */
unsigned int test_open_files(void);

/** Record log lines from now on; test_log_end() gives them back (freed by the next begin). */
void test_log_begin(void);
/** @see test_log_begin() */
const char *test_log_end(void);
/** Was this text logged since test_log_begin(), in one line and with no other? If not, what was is
 * printed. */
bool test_logged(const char *text);

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
