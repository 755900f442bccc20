/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the parsers of UUIDs and PCI addresses, and of the helpers of dm_util.h: by tables, and
 * by comparison with DPDK's parsers on random texts.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_pci.h>
#include <rte_uuid.h>

#include "dm_parse.h"
#include "dm_util.h"
#include "test.h"

#define ROUNDS 200000

static int
normalizes_pci_addresses(void)
{
	static const struct {
		const char *text, *name; /* NULL: not a PCI address */
	} table[] = {
		{"0000:01:00.0", "0000:01:00.0"},
		{"01:00.0", "0000:01:00.0"},
		{"1:2.3", "0000:01:02.3"},
		{"0000:AB:1F.7", "0000:ab:1f.7"},
		{"10000:01:00.0", "10000:01:00.0"},
		{"ffffffff:ff:1f.7", "ffffffff:ff:1f.7"},
		{"100000000:01:00.0", NULL},
		{"0000:100:00.0", NULL},
		{"0000:01:20.0", NULL},
		{"0000:01:00.8", NULL},
		{"0000:01:00", NULL},
		{"0000:01:00.0 ", NULL},
		{" 0000:01:00.0", NULL},
		{"-1:01:00.0", NULL},
		{"0x0:01:00.0", NULL},
		{":01:00.0", NULL},
		{"0000:01:00.", NULL},
		{"01.00.0", NULL},
		{"virtio-mmio.0", NULL},
		{"", NULL},
	};
	unsigned int i;
	char name[32];
	int rc;

	for (i = 0; i < RTE_DIM(table); i++) {
		snprintf(name, sizeof(name), "%s", table[i].text);
		rc = dm_pci_name_normalize(name, sizeof(name));
		TEST_ASSERT_EQUAL(
			rc, table[i].name != NULL ? 0 : -EINVAL, "\"%s\": %d", table[i].text, rc);
		TEST_ASSERT_EQUAL(strcmp(name, rc == 0 ? table[i].name : table[i].text), 0,
			"\"%s\": %s", table[i].text, name);
	}
	return TEST_SUCCESS;
}

static int
leaves_a_name_that_would_not_fit(void)
{
	char name[12] = "1:2.3";

	TEST_ASSERT_EQUAL(dm_pci_name_normalize(name, sizeof(name)), -ENAMETOOLONG, "12 bytes");
	TEST_ASSERT_EQUAL(strcmp(name, "1:2.3"), 0, "%s", name);
	return TEST_SUCCESS;
}

/** Change up to three characters of a text. */
static void
mutate(char *text, size_t len)
{
	static const char chars[] = "0123456789abcdefABCDEFgG:.- x";
	unsigned int i, n = test_rand_max(4);

	for (i = 0; i < n; i++)
		text[test_rand_max(len)] = chars[test_rand_max(sizeof(chars))];
}

static int
parses_uuids_as_dpdk_does(void)
{
	static const char good[] = "0123abcd-4567-89AB-cdef-0123456789ab";
	char text[sizeof(good) + 2];
	unsigned int i, parsed = 0;
	rte_uuid_t theirs;
	dm_uuid_t ours;
	int rc;

	test_seed();
	for (i = 0; i < ROUNDS; i++) {
		memset(text, 0, sizeof(text));
		memcpy(text, good, sizeof(good));
		mutate(text, sizeof(good));
		rc = dm_uuid_parse(text, ours);
		TEST_ASSERT_EQUAL(
			rc == 0, rte_uuid_parse(text, theirs) == 0, "\"%s\": %d", text, rc);
		TEST_ASSERT(rc == 0 || rc == -EINVAL, "\"%s\": %d", text, rc);
		if (rc == 0)
			TEST_ASSERT_EQUAL(memcmp(ours, theirs, sizeof(ours)), 0, "\"%s\"", text);
		parsed += rc == 0;
	}
	TEST_ASSERT(parsed > ROUNDS / 10 && parsed < ROUNDS, "%u parsed", parsed);
	return TEST_SUCCESS;
}

/** DPDK accepts some invalid texts. A text that we accept must mean the same to DPDK. */
static int
parses_pci_addresses_as_dpdk_does(void)
{
	static const char good[] = "0000:ab:1f.7";
	char name[32], theirs[32], text[sizeof(good)];
	unsigned int i, parsed = 0;
	struct rte_pci_addr addr;

	test_seed();
	for (i = 0; i < ROUNDS; i++) {
		memcpy(text, good, sizeof(good));
		mutate(text, sizeof(good) - 1);
		strcpy(name, text);
		if (dm_pci_name_normalize(name, sizeof(name)) < 0)
			continue;
		parsed++;
		TEST_ASSERT_SUCCESS(rte_pci_addr_parse(text, &addr), "\"%s\"", text);
		rte_pci_device_name(&addr, theirs, sizeof(theirs));
		TEST_ASSERT_EQUAL(strcmp(name, theirs), 0, "\"%s\": %s, %s", text, name, theirs);
	}
	TEST_ASSERT(parsed > ROUNDS / 10 && parsed < ROUNDS, "%u parsed", parsed);
	return TEST_SUCCESS;
}

static int
helpers_are_right_at_their_limits(void)
{
	int n = 3, calls = 0;
	char text[4];

	TEST_ASSERT_EQUAL(DM_MIN(DM_MIN(5, 4), DM_MAX(6, 7)), 4, "nested");
	TEST_ASSERT_EQUAL(DM_MAX(calls++, n), 3, "max");
	TEST_ASSERT_EQUAL(calls, 1, "evaluated %d times", calls);
	TEST_ASSERT_EQUAL(DM_ALIGN_CEIL(UINT64_MAX, 4096), 0, "ceil wraps");
	TEST_ASSERT_EQUAL(DM_ALIGN_CEIL((uint64_t)4096, 4096), 4096, "ceil");
	TEST_ASSERT_EQUAL(DM_ALIGN_FLOOR(UINT64_MAX, 4096), UINT64_MAX - 4095, "floor");
	TEST_ASSERT(dm_is_power_of_2(1) && dm_is_power_of_2(UINT64_C(1) << 63), "powers");
	TEST_ASSERT(!dm_is_power_of_2(0) && !dm_is_power_of_2(UINT64_MAX), "no powers");
	TEST_ASSERT_EQUAL(dm_align_power_of_2(1), 1, "1");
	TEST_ASSERT_EQUAL(dm_align_power_of_2(3), 4, "3");
	TEST_ASSERT_EQUAL(dm_align_power_of_2(UINT64_C(1) << 63), UINT64_C(1) << 63, "2^63");
	TEST_ASSERT_EQUAL(dm_strlcpy(text, "abcdef", sizeof(text)), 6, "cut");
	TEST_ASSERT_EQUAL(strcmp(text, "abc"), 0, "%s", text);
	TEST_ASSERT_EQUAL(dm_strlcpy(NULL, "abcdef", 0), 6, "no buffer");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"normalizes PCI addresses", normalizes_pci_addresses},
	{"leaves a name that would not fit", leaves_a_name_that_would_not_fit},
	{"parses UUIDs as DPDK does", parses_uuids_as_dpdk_does},
	{"parses PCI addresses as DPDK does", parses_pci_addresses_as_dpdk_does},
	{"helpers are right at their limits", helpers_are_right_at_their_limits},
};

REGISTER_TEST_SUITE(parse_suite) = {
	.name = "parse",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
};
