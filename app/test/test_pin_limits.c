/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of memory limits as read from /proc and /sys, of fallbacks, and of threads that fault
 * pages in.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <numa.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_anon.h"
#include "dm_cgroup.h"
#include "dm_hugepage.h"
#include "dm_pin.h"
#include "dm_prefault.h"
#include "test.h"

#define MB2 ((size_t)2 << 20)
#define PIECE DM_PREFAULT_CHUNK

/** A file of procfs or sysfs with its contents in a case. */
struct file {
	const char *path, *text;
};

static size_t base; /* bytes of a base page */

static int
setup(void)
{
	base = sysconf(_SC_PAGESIZE);
	return TEST_SUCCESS;
}

static char root[] = "/tmp/gantry-root-XXXXXX";

static void
remove_root(void)
{
	char command[sizeof(root) + 16];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	if (system(command) != 0)
		printf("  %s stays behind\n", root);
	strcpy(&root[sizeof(root) - 7], "XXXXXX");
}

/** Write files below a new root folder, with their folders. */
static int
make_root(const struct file *files, unsigned int n)
{
	char path[256], *slash;
	unsigned int i;
	FILE *f;

	TEST_ASSERT_NOT_NULL(mkdtemp(root), "mkdtemp");
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s%s", root, files[i].path);
		for (slash = strchr(&path[5], '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
			*slash = '\0';
			mkdir(path, 0700);
			*slash = '/';
		}
		f = fopen(path, "we");
		TEST_ASSERT_NOT_NULL(f, "%s", path);
		fputs(files[i].text, f);
		fclose(f);
	}
	return 0;
}

/**
 * Check the bytes that are left for pages of a size, and the file of the tightest limit (below the
 * root).
 */
static int
check_cgroup(const struct file *files, unsigned int n, size_t page_size, uint64_t left,
	const char *where)
{
	struct dm_cgroup_limit room;

	TEST_ASSERT_SUCCESS(make_root(files, n), "root");
	dm_cgroup_hugetlb(root, page_size, &room);
	remove_root();
	TEST_ASSERT_EQUAL(room.left, left, "%" PRIu64 " bytes are left", room.left);
	TEST_ASSERT(strcmp(where, room.file[0] != '\0' ? &room.file[sizeof(root) - 1] : "") == 0,
		"%s", room.file);
	return TEST_SUCCESS;
}

#define V2_MOUNT "30 20 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define G "/sys/fs/cgroup/hugetlb/"

static int
the_tightest_limit_of_cgroup_2_counts(void)
{
	const struct file files[] = {
		{"/proc/self/mountinfo", "21 20 0:20 / /proc rw - proc proc rw\n" V2_MOUNT},
		{"/proc/self/cgroup", "0::/a/b\n"},
		{"/sys/fs/cgroup/a/b/hugetlb.2MB.max", "max\n"},
		{"/sys/fs/cgroup/a/b/hugetlb.2MB.current", "0\n"},
		{"/sys/fs/cgroup/a/b/hugetlb.2MB.rsvd.max", "83886080\n"},
		{"/sys/fs/cgroup/a/b/hugetlb.2MB.rsvd.current", "2097152\n"},
		{"/sys/fs/cgroup/a/hugetlb.2MB.max", "20971520\n"},
		{"/sys/fs/cgroup/a/hugetlb.2MB.current", "4194304\n"},
		{"/sys/fs/cgroup/a/b/hugetlb.1GB.max", "0\n"},
		{"/sys/fs/cgroup/a/b/hugetlb.1GB.current", "0\n"},
	};

	TEST_ASSERT_SUCCESS(check_cgroup(files, RTE_DIM(files), MB2, 16 << 20,
				    "/sys/fs/cgroup/a/hugetlb.2MB.max"),
		"above");
	TEST_ASSERT_SUCCESS(
		check_cgroup(files, 6, MB2, 78 << 20, "/sys/fs/cgroup/a/b/hugetlb.2MB.rsvd.max"),
		"reserved");
	TEST_ASSERT_SUCCESS(check_cgroup(files, RTE_DIM(files), 1 << 30, 0,
				    "/sys/fs/cgroup/a/b/hugetlb.1GB.max"),
		"1 GiB");
	return check_cgroup(files, 4, MB2, UINT64_MAX, "");
}

static int
the_tightest_limit_of_cgroup_1_counts(void)
{
	const struct file files[] = {
		{"/proc/self/mountinfo",
			V2_MOUNT
			"31 20 0:28 /box /sys/fs/cgroup/hugetlb rw - cgroup cgroup rw,hugetlb\n"},
		{"/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:hugetlb:/box/in\n0::/\n"},
		{G "in/hugetlb.2MB.limit_in_bytes", "9223372036854771712\n"},
		{G "in/hugetlb.2MB.usage_in_bytes", "0\n"},
		{G "in/hugetlb.2MB.rsvd.limit_in_bytes", "9223372036854771712\n"},
		{G "in/hugetlb.2MB.rsvd.usage_in_bytes", "0\n"},
		{G "hugetlb.2MB.limit_in_bytes", "4194304\n"},
		{G "hugetlb.2MB.usage_in_bytes", "8388608\n"},
	};

	/*
	 * The mount shows the group /box and those below it. A limit that is below the current use
	 * leaves nothing.
	 */
	return check_cgroup(files, RTE_DIM(files), MB2, 0, G "hugetlb.2MB.limit_in_bytes");
}

static int
no_cgroup_is_no_limit(void)
{
	const struct file files[] = {
		{"/proc/self/mountinfo", "21 20 0:20 / /proc rw - proc proc rw\nno line\n\n"},
		{"/proc/self/cgroup", "4:hugetlb:/\n"},
	};

	TEST_ASSERT_SUCCESS(check_cgroup(files, RTE_DIM(files), MB2, UINT64_MAX, ""), "no mount");
	TEST_ASSERT_SUCCESS(check_cgroup(files, 1, MB2, UINT64_MAX, ""), "no group");
	return check_cgroup(files, 0, MB2, UINT64_MAX, "");
}

/**
 * Check the bytes that memory limits leave, the file of the tightest, and what memory.high leaves.
 */
static int
check_memory(const struct file *files, unsigned int n, uint64_t left, const char *where,
	uint64_t high_left)
{
	struct dm_cgroup_limit hard, high;

	TEST_ASSERT_SUCCESS(make_root(files, n), "root");
	dm_cgroup_memory(root, UINT64_MAX, &hard, &high);
	remove_root();
	TEST_ASSERT_EQUAL(hard.left, left, "%" PRIu64 " bytes are left", hard.left);
	TEST_ASSERT(strcmp(where, hard.file[0] != '\0' ? &hard.file[sizeof(root) - 1] : "") == 0,
		"%s", hard.file);
	TEST_ASSERT_EQUAL(high.left, high_left, "%" PRIu64 " bytes below high", high.left);
	return TEST_SUCCESS;
}

static int
memory_limits_of_cgroup_2_count(void)
{
	const struct file files[] = {
		{"/proc/self/mountinfo", V2_MOUNT},
		{"/proc/self/cgroup", "0::/a/b\n"},
		{"/sys/fs/cgroup/a/b/memory.max", "max\n"},
		{"/sys/fs/cgroup/a/b/memory.current", "40000000\n"},
		{"/sys/fs/cgroup/a/b/memory.high", "50000000\n"},
		{"/sys/fs/cgroup/a/b/memory.stat",
			"anon 20000000\nfile 15000000\nshmem 9000000\n"
			"active_file 2000000\ninactive_file 4000000\nunevictable 9000000\n"},
		{"/sys/fs/cgroup/a/memory.max", "100000000\n"},
		{"/sys/fs/cgroup/a/memory.current", "90000000\n"},
		{"/sys/fs/cgroup/a/memory.high", "max\n"},
	};

	/* shmem is not page cache that can be dropped. The limit is the parent's. */
	TEST_ASSERT_SUCCESS(check_memory(files, RTE_DIM(files), 10000000,
				    "/sys/fs/cgroup/a/memory.max", 16000000),
		"parent");
	return check_memory(files, 6, UINT64_MAX, "", 16000000);
}

#define M "/sys/fs/cgroup/memory/"

static int
memory_limits_of_cgroup_1_count(void)
{
	const struct file files[] = {
		{"/proc/self/mountinfo",
			V2_MOUNT
			"31 20 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"},
		{"/proc/self/cgroup", "5:hugetlb:/x\n4:cpu,memory:/box/in\n0::/\n"},
		{M "box/in/memory.limit_in_bytes", "50000000\n"},
		{M "box/in/memory.usage_in_bytes", "45000000\n"},
		{M "box/in/memory.stat",
			"active_file 1\ninactive_file 1\ntotal_active_file 10000000\n"
			"total_inactive_file 5000000\nhierarchical_memory_limit 48000000\n"},
		/* The maximum value on a kernel with pages of 64 KiB means no limit. */
		{M "box/memory.limit_in_bytes", "9223372036854710272\n"},
		{M "box/memory.usage_in_bytes", "45000000\n"},
		{M "memory.limit_in_bytes", "46000000\n"},
		{M "memory.usage_in_bytes", "45000000\n"},
		{M "memory.stat", "total_inactive_file 2000000\n"},
	};

	TEST_ASSERT_SUCCESS(
		check_memory(files, RTE_DIM(files), 3000000, M "memory.limit_in_bytes", UINT64_MAX),
		"above");
	/* The limit of a group that the mount does not show is in memory.stat. */
	TEST_ASSERT_SUCCESS(
		check_memory(files, 7, 18000000, M "box/in/memory.stat", UINT64_MAX), "not shown");
	TEST_ASSERT_SUCCESS(
		check_memory(files, 4, 5000000, M "box/in/memory.limit_in_bytes", UINT64_MAX),
		"no page cache");
	return check_memory(files, 2, UINT64_MAX, "", UINT64_MAX);
}

#define OVERCOMMIT "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages"

/** Allocate all free pages and two more, which the kernel may make as surplus pages. */
static int
alloc_beyond_the_pool(uint64_t *over)
{
	struct dm_hugepage_count count;
	struct dm_pin_conf conf = {.page_size = MB2, .node = -1, .name = "z"};
	struct dm_pin *pin = NULL;
	int rc;

	TEST_ASSERT_SUCCESS(dm_hugepage_count(MB2, -1, &count), "count");
	*over = count.surplus;
	conf.len = (count.free - count.reserved + 2) * MB2;
	rc = dm_pin_alloc(&conf, &pin);
	if (rc == 0)
		dm_pin_free(pin);
	return rc;
}

static int
pages_beyond_the_pool_are_counted(void)
{
	struct dm_hugepage_count count;
	uint64_t over;
	int rc[2];

	if (dm_hugepage_count(MB2, -1, &count) < 0 || count.surplus != 0 ||
		test_write_file(OVERCOMMIT, "0") < 0)
		return test_skip("no leave to say how many surplus hugepages there may be");
	rc[0] = alloc_beyond_the_pool(&over);
	/* More than two, as other processes may take some meanwhile. */
	test_write_file(OVERCOMMIT, "64");
	rc[1] = alloc_beyond_the_pool(&over);
	test_write_file(OVERCOMMIT, "0");
	TEST_ASSERT_EQUAL(rc[0], -ENOMEM, "without: %d", rc[0]);
	TEST_ASSERT_EQUAL(over, 64, "%" PRIu64 " surplus pages", over);
	TEST_ASSERT_EQUAL(rc[1], 0, "with: %d", rc[1]);
	return TEST_SUCCESS;
}

/** Allocate 6 MiB of pages of a size, with fallbacks. @return the log */
static const char *
fall_back(uint32_t allow, size_t page_size, struct dm_pin **pin, int *rc)
{
	struct dm_pin_conf conf = {.len = 3 * MB2,
		.page_size = page_size,
		.node = 0,
		.allow = allow,
		.name = "zone rx"};

	*pin = NULL;
	test_log_begin();
	*rc = dm_pin_alloc(&conf, pin);
	return test_log_end();
}

/** A hugepage size with neither free nor surplus pages; 0: there is none. */
static size_t
empty_size(void)
{
	size_t sizes[DM_HUGEPAGE_SIZES_MAX];
	struct dm_hugepage_count count;
	unsigned int n;

	for (n = dm_hugepage_sizes(sizes); n > 0; n--)
		if (dm_hugepage_count(sizes[n - 1], -1, &count) == 0 &&
			count.free + count.surplus == 0)
			return sizes[n - 1];
	return 0;
}

static bool
is_one_line(const char *log)
{
	return strchr(log, '\n') != NULL && strchr(log, '\n')[1] == '\0';
}

static int
transparent_hugepages_serve_if_allowed(void)
{
	size_t size = empty_size();
	struct dm_pin *pin;
	const char *log;
	int rc;

	if (size == 0 || dm_anon_transparent_size() != MB2)
		return test_skip("no transparent hugepages, or no size of hugepages without any");
	log = fall_back(DMAMAP_ALLOW_TRANSPARENT, size, &pin, &rc);
	if (rc == -ENOMEM)
		return test_skip("the kernel has no transparent hugepages to give now");
	TEST_ASSERT_SUCCESS(rc, "rc %d, %s", rc, log);
	TEST_ASSERT_EQUAL(pin->kind, DMAMAP_PAGES_TRANSPARENT, "kind %d", pin->kind);
	TEST_ASSERT_EQUAL(pin->page_size, MB2, "page size %zu", pin->page_size);
	TEST_ASSERT_EQUAL(pin->len, 3 * MB2, "len %zu", pin->len);
	TEST_ASSERT_EQUAL((uintptr_t)pin->va % MB2, 0, "at %p", pin->va);
	TEST_ASSERT(pin->locked, "not locked");
	TEST_ASSERT_EQUAL(pin->node, 0, "node %d", pin->node);
	TEST_ASSERT_NOT_NULL(
		strstr(log, "using transparent hugepages of 2 MiB instead\n"), "%s", log);
	TEST_ASSERT_NOT_NULL(strstr(log, "zone rx: needs "), "%s", log);
	TEST_ASSERT(is_one_line(log), "%s", log);
	dm_pin_free(pin);
	return TEST_SUCCESS;
}

/** Bytes that this process has locked. */
static uint64_t
locked_len(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	uint64_t kib = 0;
	char line[256];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		sscanf(line, "VmLck: %" SCNu64, &kib);
	if (f != NULL)
		fclose(f);
	return kib << 10;
}

static int
locked_base_pages_serve_if_allowed(void)
{
	size_t size = empty_size();
	uint64_t locked = locked_len();
	char says[64], str[DM_HUGEPAGE_STR_MAX];
	struct dm_pin *pin;
	const char *log;
	int rc;

	if (size == 0)
		return test_skip("no size of hugepages without any");
	log = fall_back(DMAMAP_ALLOW_BASE, size, &pin, &rc);
	TEST_ASSERT_SUCCESS(rc, "rc %d, %s", rc, log);
	TEST_ASSERT_EQUAL(pin->kind, DMAMAP_PAGES_BASE, "kind %d", pin->kind);
	TEST_ASSERT_EQUAL(
		pin->page_size, (size_t)sysconf(_SC_PAGESIZE), "page size %zu", pin->page_size);
	TEST_ASSERT_EQUAL(
		locked_len(), locked + pin->len, "%" PRIu64 " bytes are locked", locked_len());
	snprintf(says, sizeof(says), "using locked base pages of %s instead\n",
		dm_hugepage_size_str(base, str));
	TEST_ASSERT_NOT_NULL(strstr(log, says), "%s", log);
	TEST_ASSERT(is_one_line(log), "%s", log);
	dm_pin_free(pin);
	TEST_ASSERT_EQUAL(locked_len(), locked, "%" PRIu64 " bytes stay locked", locked_len());
	return TEST_SUCCESS;
}

static int
no_fallback_without_permission(void)
{
	size_t size = empty_size();
	struct dm_pin *pin;
	const char *log;
	int rc;

	if (size == 0)
		return test_skip("no size of hugepages without any");
	log = fall_back(0, size, &pin, &rc);
	TEST_ASSERT_EQUAL(rc, -ENOMEM, "rc %d", rc);
	TEST_ASSERT_NULL(pin, "memory all the same");
	TEST_ASSERT(is_one_line(log), "%s", log);
	log = fall_back(DMAMAP_ALLOW_BASE | DMAMAP_ALLOW_TRANSPARENT, base, &pin, &rc);
	TEST_ASSERT_SUCCESS(rc, "base pages were asked for: %d", rc);
	TEST_ASSERT(!pin->locked && log[0] == '\0', "asked for, and a fallback: %s", log);
	dm_pin_free(pin);
	return TEST_SUCCESS;
}

static int
a_size_that_is_not_there_may_fall_back(void)
{
	struct dm_pin_conf conf = {.len = base,
		.page_size = (size_t)1 << 50,
		.node = -1,
		.name = "z",
		.allow = DMAMAP_ALLOW_BASE};
	struct dm_pin *pin;
	const char *log;

	test_log_begin();
	TEST_ASSERT_SUCCESS(dm_pin_alloc(&conf, &pin), "alloc");
	log = test_log_end();
	TEST_ASSERT_NOT_NULL(strstr(log, "no pages of 1024 TiB"), "%s", log);
	TEST_ASSERT_NOT_NULL(strstr(log, "using locked base pages"), "%s", log);
	dm_pin_free(pin);
	return TEST_SUCCESS;
}

/** Calls of a progress callback. */
struct seen {
	uint64_t last, stop_at;
	unsigned int calls;
	bool backwards;
};

static int
see(void *arg, uint64_t done, uint64_t len)
{
	struct seen *s = arg;

	s->backwards |= done < s->last || done > len;
	s->last = done;
	s->calls++;
	return done >= s->stop_at;
}

/** Whether every page of a range is present. */
static bool
is_there(void *va, size_t len)
{
	unsigned char *here = malloc(len / base);
	bool all = here != NULL && mincore(va, len, here) == 0;
	size_t i;

	for (i = 0; all && i < len / base; i++)
		all = here[i] & 1;
	free(here);
	return all;
}

static int
threads_back_every_page_once(void)
{
	const size_t len = 5 * PIECE - 3 * base;
	struct dm_prefault_conf conf = {.node = 0, .progress = see, .what = "z"};
	struct seen seen;
	unsigned int n;
	void *va;

	for (n = 1; n <= 4; n++) {
		seen = (struct seen){.stop_at = UINT64_MAX};
		conf.arg = &seen;
		conf.threads = n;
		TEST_ASSERT_EQUAL(dm_prefault_threads(len, base, &conf), n, "threads");
		va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		TEST_ASSERT(va != MAP_FAILED, "mmap");
		TEST_ASSERT_SUCCESS(dm_prefault(va, len, base, &conf), "%u threads", n);
		TEST_ASSERT(is_there(va, len), "%u threads: a page is missing", n);
		munmap(va, len);
		TEST_ASSERT(!seen.backwards && seen.last == len, "%u threads: up to %" PRIu64, n,
			seen.last);
		TEST_ASSERT(n > 1 || seen.calls == 5, "%u calls", seen.calls);
	}
	return TEST_SUCCESS;
}

static int
threads_go_by_length_and_cpus(void)
{
	const struct dm_prefault_conf by_itself = {.node = -1},
				      many = {.threads = 1000, .node = -1};
	const int started_with =
		numa_available() >= 0 ? numa_num_task_cpus() : (int)sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int cpus = RTE_MIN(started_with, DM_PREFAULT_THREADS), n;

	cpu_set_t before, one;

	TEST_ASSERT_EQUAL(dm_prefault_threads(base, base, &by_itself), 1, "a page");
	TEST_ASSERT_EQUAL(
		dm_prefault_threads(2 * DM_PREFAULT_SHARE - base, base, &by_itself), 1, "a share");
	TEST_ASSERT_EQUAL(dm_prefault_threads(2 * DM_PREFAULT_SHARE, base, &by_itself),
		RTE_MIN(2u, cpus), "two");
	TEST_ASSERT_EQUAL(dm_prefault_threads((size_t)1 << 40, base, &by_itself), cpus, "1 TiB");
	/* As the EAL does for its main thread. */
	TEST_ASSERT_SUCCESS(sched_getaffinity(0, sizeof(before), &before), "affinity");
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	TEST_ASSERT_SUCCESS(sched_setaffinity(0, sizeof(one), &one), "bind");
	n = dm_prefault_threads((size_t)1 << 40, base, &by_itself);
	sched_setaffinity(0, sizeof(before), &before);
	TEST_ASSERT_EQUAL(n, cpus, "1 TiB, the caller bound to a CPU");
	TEST_ASSERT_EQUAL(
		dm_prefault_threads((size_t)1 << 40, base, &many), DM_PREFAULT_THREADS, "cap");
	TEST_ASSERT_EQUAL(dm_prefault_threads((size_t)2 << 30, 1 << 30, &many), 2, "a page each");
	TEST_ASSERT_EQUAL(dm_prefault_threads(
				  (size_t)1 << 40, base, &(struct dm_prefault_conf){.threads = 1}),
		1, "one");
	return TEST_SUCCESS;
}

static int
a_page_that_cannot_be_had_ends_it(void)
{
	const size_t len = 4 * PIECE;
	struct seen seen;
	struct dm_prefault_conf conf = {.node = -1, .progress = see, .arg = &seen, .what = "z"};
	unsigned int n;
	char *va;
	int rc;

	for (n = 1; n <= 3; n++) {
		seen = (struct seen){.stop_at = UINT64_MAX};
		conf.threads = n;
		va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		TEST_ASSERT(va != MAP_FAILED, "mmap");
		/* A hole in the middle has no page. */
		munmap(va + 2 * PIECE, base);
		rc = dm_prefault(va, len, base, &conf);
		munmap(va, len);
		TEST_ASSERT_EQUAL(rc, -ENOSPC, "%u threads: %d", n, rc);
		TEST_ASSERT(seen.last < len, "done, it says");
	}
	return TEST_SUCCESS;
}

static int
the_caller_can_give_up(void)
{
	struct seen seen = {.stop_at = PIECE};
	const struct dm_pin_conf conf = {.len = 4 * PIECE,
		.page_size = base,
		.node = -1,
		.name = "zone rx",
		.threads = 1,
		.progress = see,
		.progress_arg = &seen};
	struct dm_pin *pin = NULL;
	const char *log;
	int rc;

	test_log_begin();
	rc = dm_pin_alloc(&conf, &pin);
	log = test_log_end();
	TEST_ASSERT_EQUAL(rc, -ECANCELED, "rc %d", rc);
	TEST_ASSERT_NULL(pin, "memory all the same");
	TEST_ASSERT_EQUAL(seen.calls, 1, "%u calls", seen.calls);
	TEST_ASSERT_NOT_NULL(
		strstr(log, "zone rx: canceled by its progress callback\n"), "%s", log);
	TEST_ASSERT(is_one_line(log), "%s", log);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"the tightest limit of cgroup 2 counts", the_tightest_limit_of_cgroup_2_counts},
	{"the tightest limit of cgroup 1 counts", the_tightest_limit_of_cgroup_1_counts},
	{"memory limits of cgroup 2 count", memory_limits_of_cgroup_2_count},
	{"memory limits of cgroup 1 count", memory_limits_of_cgroup_1_count},
	{"no cgroup is no limit", no_cgroup_is_no_limit},
	{"pages beyond the pool are counted", pages_beyond_the_pool_are_counted},
	{"transparent hugepages serve if allowed", transparent_hugepages_serve_if_allowed},
	{"locked base pages serve if allowed", locked_base_pages_serve_if_allowed},
	{"no fallback without permission", no_fallback_without_permission},
	{"a size that is not there may fall back", a_size_that_is_not_there_may_fall_back},
	{"threads back every page once", threads_back_every_page_once},
	{"threads go by length and CPUs", threads_go_by_length_and_cpus},
	{"a page that cannot be had ends it", a_page_that_cannot_be_had_ends_it},
	{"the caller can give up", the_caller_can_give_up},
};

REGISTER_TEST_SUITE(pin_limits) = {.name = "pin_limits",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup};
