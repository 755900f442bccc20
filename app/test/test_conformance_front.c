/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Virtual containers (lib/vfio_front) as a kernel under the conformance suites, on the mock kernel.
 * Called by test_conformance.c.
 */

#include <stdio.h>

#include "conformance.h"
#include "front_calls.h"
#include "test.h"

static struct kernel front;

/** Reasons of refusals go to the mapper's log. */
static void
to_stderr(void *arg __rte_unused, enum dmamap_log_level level __rte_unused, const char *line)
{
	fprintf(stderr, "%s\n", line);
}

static int
begin(int (*mock)(const struct kernel **kernel), struct front_conf conf,
	const struct kernel **kernel)
{
	TEST_ASSERT_SUCCESS(mock(kernel), "no mock");
	TEST_ASSERT_SUCCESS(front_calls_begin(conformance_mock(), conf), "no front");
	front_log_set(to_stderr, NULL);
	front = **kernel;
	front.name = "front";
	front.open = front_calls_open;
	front.close = front_calls_close;
	front.ioctl = front_calls_ioctl;
	front.ioctl_elsewhere = NULL;
	front.defers = conf.coalesce != FRONT_COALESCE_OFF;
	front.unlimited = conf.backend == DMAMAP_BACKEND_IOMMUFD;
	front.charges_domains = conf.isolate;
	front.no_container = false;
	*kernel = &front;
	return TEST_SUCCESS;
}

int
conformance_front_type1(const struct kernel **kernel)
{
	return begin(
		conformance_mock_6_1, (struct front_conf){.backend = DMAMAP_BACKEND_TYPE1}, kernel);
}

int
conformance_front_isolated(const struct kernel **kernel)
{
	return begin(conformance_mock_6_1,
		(struct front_conf){.backend = DMAMAP_BACKEND_TYPE1, .isolate = true}, kernel);
}

int
conformance_front_coalescing(const struct kernel **kernel)
{
	return begin(conformance_mock_6_12, (struct front_conf){.coalesce = FRONT_COALESCE_START},
		kernel);
}

int
conformance_front_iommufd(const struct kernel **kernel)
{
	return begin(conformance_mock_6_12, (struct front_conf){.backend = DMAMAP_BACKEND_IOMMUFD},
		kernel);
}

int
conformance_front_no_container(const struct kernel **kernel)
{
	int rc = conformance_front_iommufd(kernel);

	if (rc == TEST_SUCCESS)
		front_calls_no_container();
	front.no_container = true;
	return rc;
}

void
conformance_front_end(void)
{
	front_calls_end();
	front_log_set(NULL, NULL);
	conformance_mock_end();
}
