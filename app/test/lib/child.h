/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Test code that runs in a child process, where it may change limits, system call filters and
 * control groups without affecting the test program. Used by suites that need a restricted
 * process.
 */

#ifndef GANTRY_TEST_CHILD_H
#define GANTRY_TEST_CHILD_H

#include <stddef.h>
#include <stdint.h>

/**
 * Run a function in a forked child, and wait for it. Its memory is a copy.
 * @return the function's result, 0 to 255; -1: a signal ended the child, or fork(2) failed.
 */
int test_in_child(int (*run)(const void *arg), const void *arg);

/** _exit(2), after the output and, in a build that measures coverage, the counts are written. */
void test_child_exit(int status) __attribute__((noreturn));

/**
 * Make system calls fail, as a seccomp profile of a container does. It cannot be undone, so call it
 * in a child.
 * @param calls  numbers of system calls, n of them
 * @param err  errno of these calls; 0: the process is killed.
 * @return 0, or a negative errno.
 */
int test_refuse_calls(const int *calls, unsigned int n, int err);

/** As test_refuse_calls(), for one call with this value in the low half of an argument, from 0. */
int test_refuse_call_with(int call, unsigned int arg, uint32_t value, int err);
/**
 * As test_refuse_calls(), for mmap(2) with this protection and with flags that contain all of
 * these.
 */
int test_refuse_mmap(int prot, int flags, int err);

/**
 * Access of a range, from /proc/self/maps: 1: exactly this range is mapped without access; 3:
 * exactly this range is mapped for reading and writing; 0: otherwise; -1: a part of it is not
 * mapped.
 */
int test_range_access(const void *va, size_t len);

#endif /* GANTRY_TEST_CHILD_H */
