/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of libdmamap's tracepoints: the trace that a DPDK program writes with --trace, read by
 * babeltrace2.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_trace.h>

#include "dmamap.h"
#include "machine.h"
#include "child.h"
#include "test.h"

#define MAP_AT UINT64_C(0x10000000)
#define OTHER UINT64_C(0x20000000)

/* What is in the trace, in this order: an event, and some of its fields. */
static const struct {
	const char *name;
	const char *fields;
} wanted[] = {
	{"attach", "device = \"nic0\", ns = "},
	{"kernel_map", "domain = 0x0, iova = 0x10000000, va = "},
	{"map", "iova = 0x10000000, va = "},
	{"map", "rc = -17"},
	{"kernel_unmap", "domain = 0x0, iova = 0x10000000, len = 0x1000, ns = "},
	{"unmap", "iova = 0x10000000, len = 0x1000, mappings = 0x1, rc = 0"},
	{"reserve", "iova = 0x20000000, len = 0x1000, rc = 0"},
	{"reserve", "iova = 0x20000000, len = 0x1000, rc = -28"},
	{"release", "iova = 0x20000000, len = 0x1000, rc = 0"},
	{"kernel_map", "len = 0x1000"},
	{"map", "len = 0x1000"},
	{"zone_alloc", "zone = \"rings\", iova = "},
	{"kernel_unmap", "len = 0x1000"},
	{"unmap", "len = 0x1000"},
	{"zone_free", "zone = \"rings\", rc = 0"},
	{"detach", "device = \"nic0\""},
};

static char folder[64];

/* @return the number of the call that came out otherwise; 0: none */
static int
use_it(void)
{
	struct dmamap_zone_conf conf = {.len = KB4, .page_size = KB4, .name = "rings"};
	const struct dmamap_range place = {OTHER, OTHER + KB4 - 1};
	rte_iova_t iova = MAP_AT;
	struct dmamap_device *nic = machine_attach("nic0");
	struct dmamap_zone *z;

	if (nic == NULL)
		return 9;
	if (dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova) != 0)
		return 1;
	if (dmamap_map(c, buf + KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova) != -EEXIST)
		return 2;
	if (dmamap_unmap(c, MAP_AT, KB4) != 0)
		return 3;
	if (dmamap_iova_reserve(c, KB4, 0, place, &iova) != 0)
		return 4;
	if (dmamap_iova_reserve(c, KB4, 0, place, &iova) != -ENOSPC)
		return 5;
	if (dmamap_iova_release(c, OTHER, KB4) != 0)
		return 6;
	if (dmamap_zone_alloc(c, &conf, &z) != 0 || dmamap_zone_free(z) != 0)
		return 7;
	return dmamap_container_detach(nic) != 0 ? 8 : 0;
}

/* In a child, so that the EAL is started for this test only. */
static int
use_it_traced(bool on)
{
	char prefix[64], trace_dir[96], command[256];
	char *argv[] = {"gantry-test", "--no-pci", "--no-huge", "-m", "64", "-l", "0",
		"--no-telemetry", "--log-level=error", prefix, trace_dir,
		on ? "--trace=lib.dmamap.*" : "--trace=lib.eal.*", NULL};
	int rc;

	snprintf(prefix, sizeof(prefix), "--file-prefix=gantry-test-%d", getpid());
	snprintf(trace_dir, sizeof(trace_dir), "--trace-dir=%s", folder);
	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0)
		return TEST_SKIPPED;
	rc = machine_setup() == 0 ? use_it() : 102;
	machine_teardown();
	if (rc == 0 && rte_trace_save() != 0)
		rc = 100;
	snprintf(command, sizeof(command), "rm -rf %s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	return system(command) == 0 ? rc : 101;
}

static int
make_trace(bool on)
{
	int status;
	pid_t pid;

	strcpy(folder, "/tmp/gantry-trace-XXXXXX");
	TEST_ASSERT_NOT_NULL(mkdtemp(folder), "mkdtemp");
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		test_child_exit(use_it_traced(on));
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status), "child");
	return WEXITSTATUS(status);
}

/* Read the trace of the child. @return 0; -ENOENT: nothing can read it; the caller closes *out */
static int
read_trace(FILE **out)
{
	char command[160];

	if (system("command -v babeltrace2 >/dev/null") != 0)
		return -ENOENT;
	snprintf(command, sizeof(command), "timeout 60 babeltrace2 %s/*", folder);
	*out = popen(command, "r");
	return *out != NULL ? 0 : -errno;
}

static void
drop_trace(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (system(command) != 0)
		printf("  %s is left\n", folder);
}

static int
check_events(FILE *trace, unsigned int n_wanted)
{
	char line[512], event[64];
	unsigned int n = 0;

	while (fgets(line, sizeof(line), trace) != NULL) {
		if (strstr(line, "lib.dmamap.") == NULL)
			continue;
		TEST_ASSERT(n < n_wanted, "one more: %s", line);
		snprintf(event, sizeof(event), "lib.dmamap.%s: ", wanted[n].name);
		TEST_ASSERT(strstr(line, event) != NULL && strstr(line, wanted[n].fields) != NULL,
			"%u, %s %s: %s", n, event, wanted[n].fields, line);
		TEST_ASSERT_NOT_NULL(strstr(line, "container = \"dmamap"), "%s", line);
		n++;
	}
	TEST_ASSERT_EQUAL(n, n_wanted, "%u of %u events", n, n_wanted);
	return TEST_SUCCESS;
}

static int
check_trace(bool on)
{
	int rc = make_trace(on);
	FILE *trace;

	if (rc == TEST_SKIPPED)
		return test_skip("the EAL does not start");
	TEST_ASSERT_SUCCESS(rc, "child: %d", rc);
	rc = read_trace(&trace);
	if (rc < 0)
		return test_skip("no babeltrace2: make deps");
	rc = check_events(trace, on ? RTE_DIM(wanted) : 0);
	TEST_ASSERT_SUCCESS(pclose(trace), "babeltrace2");
	drop_trace();
	return rc;
}

static int
the_trace_tells_of_each_call(void)
{
	return check_trace(true);
}

static int
nothing_is_traced_unasked(void)
{
	return check_trace(false);
}

static const struct test_case cases[] = {
	{"the trace tells of each call", the_trace_tells_of_each_call},
	{"nothing is traced unasked", nothing_is_traced_unasked},
};

REGISTER_TEST_SUITE(tracepoints) = {
	.name = "tracepoints", .kind = TEST_FAST, .cases = cases, .n_cases = RTE_DIM(cases)};
