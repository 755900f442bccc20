/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of gantry-trace that need no kernel: names and members of ioctls, histograms, the command
 * line. test_trace.c tests the audit.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "test.h"
#include "trace.h"

/* ioctls */

static int
ioctls_have_their_names(void)
{
	static const struct {
		uint32_t request;
		const char *name;
	} cases[] = {
		{0x3b64, "VFIO_GET_API_VERSION"},
		{0x3b66, "VFIO_SET_IOMMU"},
		{0x3b68, "VFIO_GROUP_SET_CONTAINER"},
		{0x3b70, "VFIO_IOMMU_GET_INFO"},
		{0x3b71, "VFIO_IOMMU_MAP_DMA"},
		{0x3b72, "VFIO_IOMMU_UNMAP_DMA"},
		{0x3b70 | TRACE_WIRE_DEVICE, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO"},
		{0x3b71 | TRACE_WIRE_DEVICE, "VFIO_DEVICE_PCI_HOT_RESET"},
		{0x3b75 | TRACE_WIRE_DEVICE, "VFIO_DEVICE_FEATURE"},
		{0x3b6b | TRACE_WIRE_DEVICE, "VFIO_DEVICE_GET_INFO"},
		{0x3b76 | TRACE_WIRE_DEVICE, "VFIO_DEVICE_BIND_IOMMUFD"},
		{0x3b78, "VFIO_DEVICE_DETACH_IOMMUFD_PT"},
		{0x3b79, "ioctl 0x3b79"},
		{0x3b63, "ioctl 0x3b63"},
		{0x3b7f, "ioctl 0x3b7f"},
		{0x3b80, "IOMMU_DESTROY"},
		{0x3b81, "IOMMU_IOAS_ALLOC"},
		{0x3b85, "IOMMU_IOAS_MAP"},
		{0x3b86, "IOMMU_IOAS_UNMAP"},
		{0x3b88, "IOMMU_VFIO_IOAS"},
		{0x3b92, "IOMMU_IOAS_CHANGE_PROCESS"},
		{0x3b93, "ioctl 0x3b93"},
		{0, "ioctl 0x0"},
		{0x7fffffff, "ioctl 0x7fffffff"},
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++)
		TEST_ASSERT_SUCCESS(strcmp(trace_ioctl_name(cases[i].request), cases[i].name),
			"0x%x: %s", cases[i].request, trace_ioctl_name(cases[i].request));
	return TEST_SUCCESS;
}

static int
events_have_their_members(void)
{
	static const struct {
		struct trace_wire_event e;
		uint64_t words[6];
		const char *text;
	} cases[] = {
		{{.kind = TRACE_WIRE_IOCTL,
			 .tgid = 7,
			 .tid = 8,
			 .request = 0x3b71,
			 .time = 1500000000,
			 .fd = 3,
			 .latency = 1234,
			 .has_bytes = 1},
			{32 | 3ULL << 32, 0x7f0000000000, 0x1000, 0x2000},
			"1.500000 8 VFIO_IOMMU_MAP_DMA, descriptor 3, iova 0x1000, length 0x2000, memory "
			"0x7f0000000000, result 0, latency_ns 1234"},
		{{.kind = TRACE_WIRE_IOCTL,
			 .tgid = 7,
			 .tid = 7,
			 .request = 0x3b72,
			 .fd = 3,
			 .has_bytes = 1,
			 .result = -22},
			{24, 0xfffffffffffff000, 0x1000},
			"0.000000 7 VFIO_IOMMU_UNMAP_DMA, descriptor 3, iova 0xfffffffffffff000, length 0x1000, "
			"result -22, error EINVAL, latency_ns 0"},
		{{.kind = TRACE_WIRE_IOCTL,
			 .tgid = 7,
			 .tid = 7,
			 .request = 0x3b85,
			 .fd = 9,
			 .has_bytes = 1},
			{40, 5, 0x6000, 0x1000, 0x8000},
			"0.000000 7 IOMMU_IOAS_MAP, descriptor 9, ioas 5, iova 0x8000, length 0x1000, memory "
			"0x6000, result 0, latency_ns 0"},
		{{.kind = TRACE_WIRE_IOCTL,
			 .tgid = 7,
			 .tid = 7,
			 .request = 0x3b86,
			 .fd = 9,
			 .has_bytes = 1},
			{24 | 5ULL << 32, 0x8000, 0x1000},
			"0.000000 7 IOMMU_IOAS_UNMAP, descriptor 9, ioas 5, iova 0x8000, length 0x1000, result "
			"0, latency_ns 0"},
		/* bytes that were not read, and a device's reset with the number of a map */
		{{.kind = TRACE_WIRE_IOCTL, .tgid = 7, .tid = 7, .request = 0x3b71, .fd = 3},
			{1, 2, 3, 4},
			"0.000000 7 VFIO_IOMMU_MAP_DMA, descriptor 3, result 0, latency_ns 0"},
		{{.kind = TRACE_WIRE_IOCTL,
			 .tgid = 7,
			 .tid = 7,
			 .request = 0x3b71 | TRACE_WIRE_DEVICE,
			 .fd = 3,
			 .has_bytes = 1},
			{1, 2, 3, 4},
			"0.000000 7 VFIO_DEVICE_PCI_HOT_RESET, descriptor 3, result 0, latency_ns 0"},
		{{.kind = TRACE_WIRE_IOMMU_MAP, .tgid = 7, .tid = 7}, {0x1000, 0x2000},
			"0.000000 7 iommu map, iova 0x1000, length 0x2000"},
		{{.kind = TRACE_WIRE_FAULT}, {0x1000, 1, 0x313030303a6963},
			"0.000000 fault, device ci:0001, iova 0x1000, flags 1"},
	};
	struct trace_wire_event e;
	char text[512];
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		e = cases[i].e;
		memcpy(e.bytes, cases[i].words, sizeof(cases[i].words));
		trace_event_text(&e, text, sizeof(text));
		TEST_ASSERT_SUCCESS(strcmp(text, cases[i].text), "case %u: %s", i, text);
	}
	trace_event_text(&e, text, 12);
	TEST_ASSERT(strlen(text) < 12, "it is cut: %s", text);
	return TEST_SUCCESS;
}

static int
histograms_tell_their_shares(void)
{
	struct trace_wire_histogram h = {.calls = 100, .failed = 1, .sum = 100000},
				    few = {.calls = 3};
	char *text = NULL;
	json_t *json;
	size_t len;
	FILE *out;

	h.buckets[3] = 50;
	h.buckets[10] = 49;
	h.buckets[39] = 1;
	TEST_ASSERT_EQUAL(trace_histogram_at(&h, 50), 15u, "half");
	TEST_ASSERT_EQUAL(trace_histogram_at(&h, 51), 2047u, "more than half");
	TEST_ASSERT_EQUAL(trace_histogram_at(&h, 99), 2047u, "99 %%");
	few.buckets[2] = 2;
	few.buckets[5] = 1;
	TEST_ASSERT_EQUAL(trace_histogram_at(&few, 99), 63u, "rounded up");
	TEST_ASSERT_EQUAL(trace_histogram_at(&h, 100), (2ULL << 39) - 1, "all");
	TEST_ASSERT_EQUAL(
		trace_histogram_at(&(struct trace_wire_histogram){0}, 99), 0u, "no calls");
	out = open_memstream(&text, &len);
	trace_histogram_print(out, 0x3b71, &h);
	fclose(out);
	TEST_ASSERT_NOT_NULL(
		strstr(text,
			"VFIO_IOMMU_MAP_DMA: 100 calls, 1 failed, mean 1.0 us, 99 % within 2.0 us\n"),
		"%s", text);
	TEST_ASSERT_NOT_NULL(
		strstr(text,
			"from       8 ns         50 ########################################\n"),
		"%s", text);
	free(text);
	json = trace_histogram_json(0x3b71, &h);
	TEST_ASSERT(json_array_size(json_object_get(json, "buckets")) == 3 &&
			json_integer_value(json_object_get(json, "calls")) == 100,
		"JSON");
	json_decref(json);
	return TEST_SUCCESS;
}

/* The command line */

static struct trace_options got;
static char got_pid[32], got_command[32];
static int got_what;

static int
keep(const struct trace_options *o, int what, int status)
{
	got = *o;
	got_what = what;
	snprintf(got_pid, sizeof(got_pid), "%s", o->pid != NULL ? o->pid : "");
	snprintf(got_command, sizeof(got_command), "%s", o->command != NULL ? o->command[0] : "");
	return status;
}

static int
keep_audit(const struct info_host *h, const struct trace_options *o)
{
	return keep(o, 1, TRACE_DIFFERENT);
}

static int
keep_follow(const struct info_host *h, const struct trace_options *o)
{
	return keep(o, 2, TRACE_SAME);
}

#define WORDS_MAX 8

static int
run(const char *const *words, char **out, char **err)
{
	static const struct trace_commands commands = {keep_audit, keep_follow};
	struct info_host h = {.root = "", .program = "gantry-trace"};
	char copy[WORDS_MAX + 1][64] = {"gantry-trace"}, *argv[WORDS_MAX + 2] = {copy[0]};
	size_t len;
	int argc, rc;

	for (argc = 1; words[argc - 1] != NULL; argc++) {
		snprintf(copy[argc], sizeof(copy[0]), "%s", words[argc - 1]);
		argv[argc] = copy[argc];
	}
	got_what = 0;
	h.out = open_memstream(out, &len);
	h.err = open_memstream(err, &len);
	rc = trace_run(&h, &commands, argc, argv);
	fclose(h.out);
	fclose(h.err);
	return rc;
}

static int
options_reach_their_command(void)
{
	static const struct {
		const char *words[WORDS_MAX];
		int what;
		const char *pid, *command;
		bool json, children;
		unsigned int watch, seconds;
	} cases[] = {
		{{"42"}, 2, "42", "", false, false, 0, 0},
		{{"--json", "--children", "--seconds=5", "42"}, 2, "42", "", true, true, 0, 5},
		{{"--", "audit", "--json"}, 2, "", "audit", false, false, 0, 0},
		{{"--json", "--", "ls"}, 2, "", "ls", true, false, 0, 0},
		{{"audit", "42"}, 1, "42", "", false, false, 0, 0},
		{{"audit", "--json", "42"}, 1, "42", "", true, false, 0, 0},
		{{"audit", "42", "--json", "--watch"}, 1, "42", "", true, false, 1, 0},
		{{"--json", "--watch=7", "audit", "42"}, 1, "42", "", true, false, 7, 0},
	};
	char *out, *err;
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		TEST_ASSERT_EQUAL(run(cases[i].words, &out, &err),
			cases[i].what == 1 ? TRACE_DIFFERENT : TRACE_SAME, "case %u: %s", i, err);
		TEST_ASSERT(got_what == cases[i].what && strcmp(got_pid, cases[i].pid) == 0 &&
				strcmp(got_command, cases[i].command) == 0 &&
				got.json == cases[i].json && got.children == cases[i].children &&
				got.watch == cases[i].watch && got.seconds == cases[i].seconds,
			"case %u: %s %s", i, got_pid, got_command);
		free(out);
		free(err);
	}
	return TEST_SUCCESS;
}

static int
bad_input_is_one_line(void)
{
	static const struct {
		const char *words[WORDS_MAX], *says;
	} cases[] = {
		{{NULL}, "wants a process ID"},
		{{"--json"}, "wants a process ID"},
		{{"--"}, "wants a process ID"},
		{{"1", "2"}, "2: wants one argument"},
		{{"1", "--json"}, "wants one argument"},
		{{"--nonsense", "1"}, "--nonsense: unknown option"},
		{{"-x", "1"}, "unknown option"},
		{{"--seconds"}, "lacks its value"},
		{{"--seconds=0", "1"}, "--seconds=0: not a number"},
		{{"--seconds=-1", "1"}, "--seconds=-1: not a number"},
		{{"--seconds=99999", "1"}, "not a number of seconds, 1 to 86400"},
		{{"--watch=1x", "audit", "1"}, "--watch=1x"},
		{{"--watch=", "audit", "1"}, "--watch="},
		{{"--watch", "1"}, "--watch is for audit"},
		{{"audit"}, "audit: wants one argument"},
		{{"audit", "1", "2"}, "audit: wants one argument"},
		{{"audit", "--seconds=1", "1"}, "are for following"},
		{{"--children", "audit", "1"}, "are for following"},
		{{"audit", "--nonsense", "1"}, "unknown option"},
	};
	const char *newline;
	char *out, *err;
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		TEST_ASSERT_EQUAL(
			run(cases[i].words, &out, &err), TRACE_CANNOT, "case %u: %s", i, err);
		newline = strchr(err, '\n');
		TEST_ASSERT(strstr(err, cases[i].says) != NULL && newline != NULL &&
				newline[1] == '\0' && strncmp(err, "gantry-trace: ", 14) == 0,
			"case %u: %s", i, err);
		TEST_ASSERT(out[0] == '\0' && got_what == 0, "case %u: %s", i, out);
		free(out);
		free(err);
	}
	return TEST_SUCCESS;
}

static int
help_and_version(void)
{
	char *out, *err;

	TEST_ASSERT_SUCCESS(run((const char *const[]){"--help", NULL}, &out, &err), "help");
	TEST_ASSERT(strncmp(out, "usage: gantry-trace ", 20) == 0 && err[0] == '\0', "%s", out);
	free(out);
	free(err);
	TEST_ASSERT_SUCCESS(
		run((const char *const[]){"audit", "--version", NULL}, &out, &err), "version");
	TEST_ASSERT(strncmp(out, "gantry-trace ", 13) == 0 && got_what == 0, "%s", out);
	free(out);
	free(err);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"ioctls have their names", ioctls_have_their_names},
	{"events have their members", events_have_their_members},
	{"histograms tell their shares", histograms_tell_their_shares},
	{"options reach their command", options_reach_their_command},
	{"bad input is one line", bad_input_is_one_line},
	{"help and version", help_and_version},
};

REGISTER_TEST_SUITE(trace_calls) = {
	.name = "trace_calls",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
};
