/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the preload library's own decisions: options in the environment, and which device
 * numbers are VFIO files.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "preload_file.h"
#include "preload_options.h"
#include "test.h"

/* Options */

static int
test_options(void)
{
	struct preload_options o;
	char bad[32];

	TEST_ASSERT_SUCCESS(preload_options_parse(NULL, &o, bad, sizeof(bad)), "none");
	TEST_ASSERT(o.conf.backend == DMAMAP_BACKEND_AUTO &&
			o.conf.coalesce == FRONT_COALESCE_OFF && !o.conf.isolate && !o.report &&
			!o.status && !o.faults && o.log[0] == '\0',
		"defaults");
	TEST_ASSERT_SUCCESS(preload_options_parse("", &o, bad, sizeof(bad)), "empty");
	TEST_ASSERT_SUCCESS(preload_options_parse("backend=iommufd,isolate,coalesce=always,report,"
						  "faults,status,log=/tmp/a,b=c",
				    &o, bad, sizeof(bad)),
		"all");
	TEST_ASSERT(o.conf.backend == DMAMAP_BACKEND_IOMMUFD && o.conf.isolate && o.report &&
			o.status && o.faults && o.conf.coalesce == FRONT_COALESCE_ALWAYS,
		"all are set");
	TEST_ASSERT_SUCCESS(strcmp(o.log, "/tmp/a,b=c"), "the log's name has all that follows");
	TEST_ASSERT_SUCCESS(preload_options_parse("coalesce=start", &o, bad, sizeof(bad)), "one");
	TEST_ASSERT(
		o.conf.coalesce == FRONT_COALESCE_START && !o.conf.isolate, "nothing is left over");
	return TEST_SUCCESS;
}

static int
test_bad_options(void)
{
	static const struct {
		const char *text, *bad;
	} cases[] = {
		{"isolate,backend=noiommu", "backend=noiommu"},
		{"backend", "backend"},
		{"backend=,isolate", "backend="},
		{"backend=type11", "backend=type11"},
		{"report=1", "report=1"},
		{"isolated", "isolated"},
		{",report", ""},
		{"coalesce=of", "coalesce=of"},
		{"report,log=", "log="},
		{" report", " report"},
	};
	char long_name[PATH_MAX + 8] = "log=", bad[32];
	struct preload_options o;
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		TEST_ASSERT_EQUAL(preload_options_parse(cases[i].text, &o, bad, sizeof(bad)),
			-EINVAL, "'%s' is refused", cases[i].text);
		TEST_ASSERT_SUCCESS(strcmp(bad, cases[i].bad), "'%s', not '%s' is wrong in '%s'",
			bad, cases[i].bad, cases[i].text);
		TEST_ASSERT(
			!o.conf.isolate && !o.report, "'%s': nothing of it holds", cases[i].text);
	}
	memset(long_name + 4, 'x', PATH_MAX);
	TEST_ASSERT_EQUAL(
		preload_options_parse(long_name, &o, bad, sizeof(bad)), -EINVAL, "too long");
	TEST_ASSERT_EQUAL(strlen(bad), sizeof(bad) - 1, "the item is cut");
	return TEST_SUCCESS;
}

/* Files */

static char sysfs[] = "/tmp/gantry-sysfs.XXXXXX";

static int
link_make(unsigned int number_major, unsigned int number_minor, const char *target)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/dev/char/%u:%u", sysfs, number_major, number_minor);
	return symlink(target, path);
}

static int
sysfs_make(void)
{
	char path[128];
	int rc;

	strcpy(sysfs + strlen(sysfs) - 6, "XXXXXX");
	if (mkdtemp(sysfs) == NULL)
		return -errno;
	snprintf(path, sizeof(path), "%s/dev", sysfs);
	rc = mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/dev/char", sysfs);
	return rc | mkdir(path, 0700);
}

static void
sysfs_remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", sysfs);
	if (system(command) != 0)
		perror(command);
}

static int
test_file_kinds(void)
{
	static const struct {
		unsigned int major, minor;
		const char *target;
		enum front_kind kind;
		int group;
	} cases[] = {
		{1, 3, NULL, FRONT_NONE, -1},
		{10, 196, NULL, FRONT_CONTAINER, -1},
		{10, 197, NULL, FRONT_NONE, -1},
		{245, 0, "../../devices/virtual/vfio/0", FRONT_GROUP, 0},
		{245, 1, "../../devices/virtual/vfio/1234", FRONT_GROUP, 1234},
		{511, 7, "../../devices/virtual/vfio/7", FRONT_GROUP, 7},
		/*
		 * Groups without an IOMMU, single devices, others, and links that the kernel never
		 * makes.
		 */
		{245, 2, "../../devices/virtual/vfio/noiommu-2", FRONT_NONE, -1},
		{244, 0, "../../devices/pci0000:00/0000:00:02.0/vfio-dev/vfio0", FRONT_NONE, -1},
		{246, 0, "../../devices/pci0000:00/0000:00:02.0/rtc/rtc0", FRONT_NONE, -1},
		{247, 0, "../../devices/virtual/vfio/7x", FRONT_NONE, -1},
		{247, 1, "../../devices/virtual/vfio/99999999999", FRONT_NONE, -1},
		{247, 2, "../../devices/virtual/vfio/", FRONT_NONE, -1},
		{248, 0, NULL, FRONT_NONE, -1},
		/*
		 * A major number that is statically assigned belongs to another driver, so sysfs is
		 * not read.
		 */
		{233, 0, "../../devices/virtual/vfio/5", FRONT_NONE, -1},
	};
	unsigned int i;
	int group;

	for (i = 0; i < RTE_DIM(cases); i++) {
		if (cases[i].target != NULL)
			TEST_ASSERT_SUCCESS(
				link_make(cases[i].major, cases[i].minor, cases[i].target), "%u:%u",
				cases[i].major, cases[i].minor);
		TEST_ASSERT_EQUAL(
			preload_file_kind(makedev(cases[i].major, cases[i].minor), sysfs, &group),
			cases[i].kind, "kind of %u:%u", cases[i].major, cases[i].minor);
		TEST_ASSERT_EQUAL(
			group, cases[i].group, "group of %u:%u", cases[i].major, cases[i].minor);
	}
	return TEST_SUCCESS;
}

static const struct test_case option_cases[] = {
	{"options say how a process wants it", test_options},
	{"an unknown option invalidates all options", test_bad_options},
};

static const struct test_case file_cases[] = {
	{"containers and groups are known by their device numbers", test_file_kinds},
};

REGISTER_TEST_SUITE(option_suite) = {
	.name = "preload_options",
	.kind = TEST_FAST,
	.cases = option_cases,
	.n_cases = RTE_DIM(option_cases),
};

REGISTER_TEST_SUITE(file_suite) = {
	.name = "preload_file",
	.kind = TEST_FAST,
	.cases = file_cases,
	.n_cases = RTE_DIM(file_cases),
	.setup = sysfs_make,
	.teardown = sysfs_remove,
};
