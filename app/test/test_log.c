/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of libdmamap's log: a failure returns its own errno, whatever logging does to errno.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_log.h>

#include "dm_log.h"
#include "test.h"

/** A log that changes errno, as any log that writes to a file may. */
static ssize_t
write_and_set_errno(void *cookie, const char *buf, size_t size)
{
	errno = *(const int *)cookie;
	return size;
}

static int
fail_with_errno(int err)
{
	errno = err;
	return DM_FAIL(errno, "it failed: %s", strerror(errno));
}

static int
keeps_errno_over_the_log(int to)
{
	FILE *log = fopencookie(&to, "w", (cookie_io_functions_t){.write = write_and_set_errno});
	int rc;

	TEST_ASSERT_NOT_NULL(log, "fopencookie");
	setvbuf(log, NULL, _IONBF, 0);
	rte_openlog_stream(log);
	rc = fail_with_errno(ENOSPC);
	rte_openlog_stream(NULL);
	fclose(log);
	TEST_ASSERT_EQUAL(rc, -ENOSPC, "%d", rc);
	TEST_ASSERT_EQUAL(errno, to, "the log did not change errno, so this shows nothing");
	return TEST_SUCCESS;
}

static int
returns_the_errno_from_before_the_log(void)
{
	int rc = keeps_errno_over_the_log(0);

	return rc == TEST_SUCCESS ? keeps_errno_over_the_log(ENOTTY) : rc;
}

static int
evaluates_the_errno_once(void)
{
	int n = EIO, rc;

	test_log_begin();
	rc = DM_FAIL(n++, "it failed");
	TEST_ASSERT(test_logged("dmamap: it failed"), "log");
	TEST_ASSERT_EQUAL(rc, -EIO, "%d", rc);
	TEST_ASSERT_EQUAL(n, EIO + 1, "evaluated %d times", n - EIO);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"returns the errno from before the log", returns_the_errno_from_before_the_log},
	{"evaluates the errno once", evaluates_the_errno_once},
};

REGISTER_TEST_SUITE(log_suite) = {
	.name = "log",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
};
