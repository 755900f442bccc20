/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of memory for zones under limits: memory control groups, seccomp profiles, and resource
 * limits of the process. The process is never killed, and the log line names a remedy.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>

#include <rte_common.h>

#include "child.h"
#include "dm_cgroup.h"
#include "dm_fault_in.h"
#include "dm_hugepage.h"
#include "dm_node.h"
#include "dm_pin.h"
#include "dm_va.h"
#include "pages.h"
#include "test.h"

#define MB ((size_t)1 << 20)
/** Memory limit of a case's control group. Sanitizers need some of it. */
#define GROUP_LIMIT (128 * MB)
/** Exit status of a child: the case cannot run here. */
#define CANNOT 77

static struct dm_pin_conf
base_pages(size_t len)
{
	return (struct dm_pin_conf){.len = len,
		.page_size = sysconf(_SC_PAGESIZE),
		.node = -1,
		.name = "zone rx",
		.threads = 1};
}

/** Memory control groups as they are mounted here, below the test's own group. */
struct group {
	bool v2;
	char dir[PATH_MAX / 2]; /**< the parent, which has the limit */
	char leaf[PATH_MAX / 2 + 8]; /**< its child, which has the process */
};

/** Find the memory controller: a mount of version 1, else of version 2. */
static int
find_groups(struct group *g)
{
	char line[4096], mount[1024], type[64], options[1024], own[1024] = "", controllers[256],
							       path[1024];
	FILE *f = fopen("/proc/self/mounts", "re");
	bool found = false;

	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "%*s %1023s %63s %1023s", mount, type, options) == 3 &&
			strcmp(type, "cgroup") == 0 && strstr(options, ",memory") != NULL;
	g->v2 = !found;
	if (f != NULL)
		rewind(f);
	while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
		found = sscanf(line, "%*s %1023s %63s", mount, type) == 2 &&
			strcmp(type, "cgroup2") == 0;
	if (f != NULL)
		fclose(f);
	f = fopen("/proc/self/cgroup", "re");
	while (f != NULL && !g->v2 && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%*u:%255[^:]:%1023s", controllers, path) == 2 &&
			strstr(controllers, "memory") != NULL)
			strcpy(own, path);
	if (f != NULL)
		fclose(f);
	/* Below the root of version 2: a group with processes cannot have children with limits. */
	snprintf(g->dir, sizeof(g->dir), "%.800s%.1000s/gantry-test-%d", mount,
		strcmp(own, "/") == 0 ? "" : own, getpid());
	snprintf(g->leaf, sizeof(g->leaf), "%s/leaf", g->dir);
	return found ? 0 : -ENOENT;
}

static int
put(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return test_write_file(path, "%s", text);
}

/** Make both groups, with the limit in the parent. */
static int
make_groups(struct group *g)
{
	char limit[32], root[sizeof(g->dir)];

	if (find_groups(g) < 0)
		return -ENOENT;
	/* Enables limits for the children of the root; usually they are enabled already. */
	if (g->v2)
		put(dirname(strcpy(root, g->dir)), "cgroup.subtree_control", "+memory");
	if (mkdir(g->dir, 0755) < 0)
		return -ENOENT;
	snprintf(limit, sizeof(limit), "%zu", GROUP_LIMIT);
	if (put(g->dir, g->v2 ? "memory.max" : "memory.limit_in_bytes", limit) == 0 &&
		(!g->v2 || put(g->dir, "cgroup.subtree_control", "+memory") == 0) &&
		mkdir(g->leaf, 0755) == 0)
		return 0;
	rmdir(g->dir);
	return -ENOENT;
}

static void
remove_groups(const struct group *g)
{
	unsigned int i;

	/* A process that has ended may stay in its group for a moment. */
	for (i = 0; i < 100 && rmdir(g->leaf) < 0 && errno == EBUSY; i++)
		usleep(10000);
	if (rmdir(g->dir) < 0)
		printf("  %s stays behind\n", g->dir);
}

/**
 * Fill the group's page cache with a file's pages. @return 0; CANNOT: this file system is in memory
 */
static int
fill_page_cache(size_t len)
{
	char path[] = "/var/tmp/gantry-test-XXXXXX", *buf = calloc(1, MB);
	int fd = mkstemp(path), rc = 0;
	struct statfs fs;
	size_t at;

	if (fd < 0 || buf == NULL || fstatfs(fd, &fs) < 0 || fs.f_type == TMPFS_MAGIC ||
		(unsigned long)fs.f_type == RAMFS_MAGIC)
		rc = CANNOT;
	if (fd >= 0)
		unlink(path);
	for (at = 0; rc == 0 && at < len; at += MB)
		if (write(fd, buf, MB) != (ssize_t)MB)
			rc = CANNOT;
	if (rc == 0 && fsync(fd) < 0)
		rc = CANNOT;
	free(buf);
	/* Stays open: the pages of a deleted and closed file would be freed. */
	return rc;
}

/**
 * Another zone uses the memory that was left at the time of the plan: populating reads the limits
 * again.
 */
static int
populate_an_old_plan(const char *says)
{
	const struct dm_pin_conf conf = base_pages(GROUP_LIMIT / 2);
	struct dm_pin *old, *other;
	const char *log;
	int rc;

	if (dm_pin_plan(&conf, &old) < 0 || pages_alloc(&conf, NULL, &other) != 0)
		return 20;
	usleep(100000);
	test_log_begin();
	rc = dm_pin_populate(old, NULL, NULL);
	log = test_log_end();
	if (rc != -ENOMEM || strstr(log, says) == NULL) {
		printf("  %d: %s\n", rc, log);
		return 21;
	}
	dm_pin_free(old);
	dm_pin_free(other);
	return 0;
}

/** Run in a group whose parent has a limit. */
static int
alloc_in_group(const void *arg)
{
	const struct group *g = arg;
	struct dm_pin_conf conf = base_pages(2 * GROUP_LIMIT), fallback = conf;
	struct dm_cgroup_limit before, after, high;
	char self[16], says[PATH_MAX];
	struct dm_pin *pin;

	snprintf(self, sizeof(self), "%d", getpid());
	if (put(g->leaf, "cgroup.procs", self) < 0)
		return CANNOT;
	snprintf(says, sizeof(says), " of %zu KiB left: raise %s/%s\n", GROUP_LIMIT >> 10, g->dir,
		g->v2 ? "memory.max" : "memory.limit_in_bytes");
	if (pages_alloc(&conf, says, &pin) != -ENOMEM)
		return 2;
	fallback.page_size = pages_empty_size();
	for (fallback.allow = DMAMAP_ALLOW_TRANSPARENT;
		fallback.page_size != 0 && fallback.allow <= DMAMAP_ALLOW_BASE; fallback.allow *= 2)
		if (fallback.allow & (DMAMAP_ALLOW_TRANSPARENT | DMAMAP_ALLOW_BASE) &&
			pages_alloc(&fallback,
				fallback.allow == DMAMAP_ALLOW_BASE ? says : "transparent",
				&pin) != -ENOMEM)
			return 3;
	if (populate_an_old_plan(says) != 0)
		return 8;
	/* An allocation that fits succeeds, and is charged. */
	conf.len = GROUP_LIMIT / 2;
	if (pages_alloc(&conf, NULL, &pin) != 0)
		return 4;
	conf.len = GROUP_LIMIT * 5 / 8;
	if (pages_alloc(&conf, says, &pin) != -ENOMEM)
		return 5;
	dm_cgroup_memory("", UINT64_MAX, &before, &high);
	if (fill_page_cache(GROUP_LIMIT / 4) == CANNOT)
		return 0;
	dm_cgroup_memory("", UINT64_MAX, &after, &high);
	printf("  page cache of %zu MiB: %" PRIu64 " KiB were left, now %" PRIu64 " KiB\n",
		GROUP_LIMIT / 4 / MB, before.left >> 10, after.left >> 10);
	if (after.left + 8 * MB < before.left)
		return 6;
	/* All of it can be allocated, though the kernel must drop page cache for it. */
	conf.len = before.left - 16 * MB;
	return pages_alloc(&conf, NULL, &pin) == 0 ? 0 : 7;
}

static int
a_memory_control_group_refuses_before_it_kills(void)
{
	struct group g;
	int rc;

	if (make_groups(&g) < 0)
		return test_skip("no leave to make a memory control group");
	rc = test_in_child(alloc_in_group, &g);
	remove_groups(&g);
	if (rc == CANNOT)
		return test_skip("no leave to enter a memory control group");
	TEST_ASSERT_EQUAL(rc, 0, "step %d; -1: it was killed", rc);
	return TEST_SUCCESS;
}

/** As seccomp profiles of containers do without CAP_SYS_NICE. */
static int
refuse_numa(void)
{
	static const int calls[] = {
		SYS_mbind, SYS_set_mempolicy, SYS_get_mempolicy, SYS_move_pages, SYS_migrate_pages};

	return test_refuse_calls(calls, RTE_DIM(calls), EPERM);
}

/** Make this process see two nodes with memory. */
static int
fake_two_nodes(void)
{
	char path[] = "/tmp/gantry-test-XXXXXX";
	int fd = mkstemp(path), rc;

	if (fd < 0)
		return -errno;
	rc = write(fd, "0-1\n", 4) == 4 && unshare(CLONE_NEWNS) == 0 &&
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			mount(path, "/sys/devices/system/node/has_memory", NULL, MS_BIND, NULL) == 0
		? 0
		: -EPERM;
	close(fd);
	unlink(path);
	return rc;
}

/**
 * Zones of all placements, in pages of all kinds, where mbind(2) is refused. arg: number of nodes
 * that seem to exist
 */
static int
place_without_leave(const void *arg)
{
	static const char *const wanted[] = {"strictly on NUMA node 0", "preferably on NUMA node 0",
		"interleaved", "locally on NUMA node "};
	const unsigned int nodes = *(const unsigned int *)arg;
	const size_t sizes[] = {sysconf(_SC_PAGESIZE), dm_hugepage_smallest()};
	char says[128];
	unsigned int i, placement;
	struct dm_pin *pin;
	int rc;

	if (dm_hugepage_available(sizes[1], -1) < 8 || (nodes > 1 && fake_two_nodes() < 0) ||
		refuse_numa() < 0)
		return CANNOT;
	for (i = 0; i < 2; i++)
		for (placement = DMAMAP_PLACE_STRICT; placement <= DMAMAP_PLACE_LOCAL;
			placement++) {
			const struct dm_pin_conf conf = {.len = sizes[i],
				.page_size = sizes[i],
				.node = 0,
				.placement = placement,
				.name = "zone rx"};

			if (nodes == 1)
				says[0] = '\0';
			else if (placement == DMAMAP_PLACE_STRICT)
				snprintf(says, sizeof(says),
					"zone rx: cannot place memory %s: this process may "
					"not call"
					" mbind(2): allow it in the seccomp profile",
					wanted[placement]);
			else
				snprintf(says, sizeof(says),
					"zone rx: memory comes from any NUMA node, not %s",
					wanted[placement]);
			rc = pages_alloc(&conf, nodes == 1 ? NULL : says, &pin);
			if (rc != (nodes > 1 && placement == DMAMAP_PLACE_STRICT ? -EPERM : 0))
				return (int)(2 + 10 * i + placement);
			if (rc == 0 &&
				(pin->as_asked != (nodes == 1) ||
					pin->node != (nodes == 1 ? 0 : -1)))
				return (int)(100 + 10 * i + placement);
			dm_pin_free(pin);
		}
	return 0;
}

static int
check_without_leave(unsigned int nodes)
{
	int rc = test_in_child(place_without_leave, &nodes);

	if (rc == CANNOT)
		return test_skip("no seccomp, no mounts, or no hugepages");
	TEST_ASSERT_EQUAL(rc, 0, "step %d", rc);
	return TEST_SUCCESS;
}

static int
a_profile_without_mbind_is_no_harm_on_one_node(void)
{
	if (dm_node_memory_nodes(NULL) > 1)
		return test_skip("this machine has several NUMA nodes");
	return check_without_leave(1);
}

static int
a_profile_without_mbind_refuses_strict_on_two_nodes(void)
{
	if (geteuid() != 0)
		return test_skip("only root can mount");
	return check_without_leave(2);
}

static int
what_a_refusal_of_mbind_means(void)
{
	const struct {
		int err;
		enum dmamap_placement placement;
		unsigned int nodes;
		int rc;
		const char *says;
	} cases[] = {
		{EPERM, DMAMAP_PLACE_STRICT, 1, 0, ""},
		{ENOSYS, DMAMAP_PLACE_STRICT, 2, -EPERM,
			"z: cannot place memory strictly on NUMA node 3: "},
		{EACCES, DMAMAP_PLACE_PREFERRED, 2, 0,
			"z: memory comes from any NUMA node, not preferably on "
			"NUMA node 3: "},
		{EPERM, DMAMAP_PLACE_INTERLEAVE, 4, 0,
			"z: memory comes from any NUMA node, not interleaved: "},
		{EPERM, DMAMAP_PLACE_LOCAL, 1, 0, ""},
		/* An error other than a refusal. */
		{ENOMEM, DMAMAP_PLACE_PREFERRED, 2, -ENOMEM,
			"z: cannot place memory preferably on NUMA node 3: "
			"mbind: "},
		{EINVAL, DMAMAP_PLACE_STRICT, 1, -EINVAL,
			"z: cannot place memory strictly on NUMA node 3: mbind: "},
	};
	const char *log;
	unsigned int i;
	int rc;

	for (i = 0; i < RTE_DIM(cases); i++) {
		test_log_begin();
		rc = dm_node_refused(cases[i].err, cases[i].placement, 3, cases[i].nodes, "z");
		log = test_log_end();
		TEST_ASSERT_EQUAL(rc, cases[i].rc, "case %u: %d", i, rc);
		TEST_ASSERT(cases[i].says[0] == '\0' ? log[0] == '\0'
						     : strstr(log, cases[i].says) != NULL,
			"case %u: %s", i, log);
	}
	return TEST_SUCCESS;
}

/**
 * With a growing number of free descriptors: refused with a line, until there are enough to read
 * the limits.
 */
static int
alloc_with_few_files(const void *arg)
{
	struct dm_pin_conf conf = {.len = dm_hugepage_smallest(),
		.page_size = dm_hugepage_smallest(),
		.node = -1,
		.name = "zone rx",
		.want_fd = *(const bool *)arg};
	struct rlimit limit = {.rlim_max = 1024};
	struct dm_pin *pin;
	const char *log;
	int spare, rc;

	if (dm_hugepage_available(conf.page_size, -1) < 2)
		return CANNOT;
	for (spare = STDERR_FILENO + 1; spare < 1024; spare++)
		close(spare);
	for (spare = 0; spare < 8; spare++) {
		limit.rlim_cur = STDERR_FILENO + 1 + spare;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			return CANNOT;
		test_log_begin();
		rc = dm_pin_alloc(&conf, &pin);
		log = test_log_end();
		if (rc == 0)
			break;
		if (rc != -EMFILE || strstr(log, "zone rx: cannot ") == NULL ||
			strstr(log, "RLIMIT_NOFILE of ") == NULL ||
			strstr(log, ": ulimit -n ") == NULL) {
			printf("  %d files to spare: %d, %s\n", spare, rc, log);
			return 100;
		}
	}
	printf("  works with %d descriptors to spare\n", spare);
	return rc == 0 && spare == 3 ? 0 : 101;
}

static int
too_few_descriptors_are_reported(void)
{
	bool want_fd;
	int rc, i;

	for (i = 0; i < 2; i++) {
		want_fd = i > 0;
		rc = test_in_child(alloc_with_few_files, &want_fd);
		if (rc == CANNOT)
			return test_skip("no hugepages, or no leave to lower the limit");
		TEST_ASSERT_EQUAL(rc, 0, "%d", rc);
	}
	return TEST_SUCCESS;
}

/** Pages of the size in arg, with 64 MiB of address space left below RLIMIT_AS. */
static int
alloc_in_little_space(const void *arg)
{
	const size_t page_size = *(const size_t *)arg;
	struct dm_pin_conf conf = {
		.len = 256 * MB, .page_size = page_size, .node = -1, .name = "zone rx"};
	struct dm_pin *pin;
	struct rlimit limit = {0};
	FILE *f = fopen("/proc/self/statm", "re");
	long pages;

	if (f == NULL || fscanf(f, "%ld", &pages) != 1 || fclose(f) != 0)
		return CANNOT;
	limit.rlim_cur = limit.rlim_max = (size_t)pages * sysconf(_SC_PAGESIZE) + 64 * MB;
	if (setrlimit(RLIMIT_AS, &limit) < 0)
		return CANNOT;
	return pages_alloc(&conf, "RLIMIT_AS of ", &pin) == -ENOMEM ? 0 : 2;
}

static int
too_little_address_space_is_reported(void)
{
	const size_t base = sysconf(_SC_PAGESIZE);
	int rc;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return test_skip("sanitizers need much address space themselves");
#endif
	rc = test_in_child(alloc_in_little_space, &base);
	if (rc == CANNOT)
		return test_skip("no leave to lower the limit");
	TEST_ASSERT_EQUAL(rc, 0, "step %d", rc);
	return TEST_SUCCESS;
}

/** With enough address space, base pages may still exceed RLIMIT_DATA. */
static int
alloc_with_little_data(const void *arg)
{
	const struct dm_pin_conf conf = base_pages(64 * MB);
	const struct rlimit limit = {16 * MB, 16 * MB};
	void *at = dm_va_reserve(NULL, 64 * MB);
	struct dm_pin *pin;
	const char *log;
	int rc;

	RTE_SET_USED(arg);
	if (at == NULL || dm_pin_plan(&conf, &pin) < 0 || setrlimit(RLIMIT_DATA, &limit) < 0)
		return CANNOT;
	test_log_begin();
	rc = dm_pin_populate(pin, at, NULL);
	log = test_log_end();
	if (rc != -ENOMEM ||
		strstr(log,
			"zone rx: cannot map 67108864 bytes: RLIMIT_DATA of 16 "
			"MiB is reached") == NULL) {
		printf("  %d: %s\n", rc, log);
		return 2;
	}
	return test_range_access(at, 64 * MB) == 1 ? 0 : 3;
}

static int
too_little_rlimit_data_is_reported(void)
{
	int rc;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return test_skip("sanitizers need much memory themselves");
#endif
	rc = test_in_child(alloc_with_little_data, NULL);
	if (rc == CANNOT)
		return test_skip("no leave to lower the limit");
	TEST_ASSERT_EQUAL(rc, 0, "step %d", rc);
	return TEST_SUCCESS;
}

/** ftruncate() beyond RLIMIT_FSIZE would send a signal that ends the process. */
static int
alloc_with_small_files(const void *arg)
{
	struct dm_pin_conf conf = base_pages(2 * MB);
	const struct rlimit limit = {MB, MB};
	struct dm_pin *pin;

	RTE_SET_USED(arg);
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return CANNOT;
	conf.want_fd = true;
	if (pages_alloc(&conf,
		    "zone rx: a file of 2097152 bytes is larger than RLIMIT_FSIZE of "
		    "1048576: ",
		    &pin) != -EFBIG)
		return 2;
	conf.want_fd = false;
	return pages_alloc(&conf, NULL, &pin) == 0 ? 0 : 3;
}

static int
too_small_rlimit_fsize_is_reported(void)
{
	int rc = test_in_child(alloc_with_small_files, NULL);

	if (rc == CANNOT)
		return test_skip("no leave to lower the limit");
	TEST_ASSERT_EQUAL(rc, 0, "step %d; -1: it was killed", rc);
	return TEST_SUCCESS;
}

static void
ignore(int number)
{
	RTE_SET_USED(number);
}

/** A timer sends a signal every 100 us. Its handler is installed without SA_RESTART. */
static int
signals_of_the_program_end_nothing(void)
{
	const struct sigaction action = {.sa_handler = ignore};
	int (*const ways[])(void *, size_t, size_t) = {dm_fault_in, dm_fault_in_by_read};
	const size_t len = 64 * MB, page = sysconf(_SC_PAGESIZE);
	struct itimerspec every = {{0, 100000}, {0, 100000}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct sigaction old;
	struct dm_pin_conf conf = base_pages(len);
	struct dm_pin *pin = NULL;
	int rc = 0, allocated;
	unsigned int i;
	timer_t timer;
	void *va;

	TEST_ASSERT_SUCCESS(timer_create(CLOCK_MONOTONIC, &event, &timer), "timer");
	sigaction(SIGUSR1, &action, &old);
	timer_settime(timer, 0, &every, NULL);
	for (i = 0; i < RTE_DIM(ways) && rc == 0; i++) {
		va = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		rc = va == MAP_FAILED ? -errno : ways[i](va, len, page);
		munmap(va, len);
	}
	conf.want_fd = true;
	allocated = dm_pin_alloc(&conf, &pin);
	timer_delete(timer);
	sigaction(SIGUSR1, &old, NULL);
	dm_pin_free(pin);
	TEST_ASSERT_EQUAL(rc, 0, "way %u: %d", i, rc);
	TEST_ASSERT_EQUAL(allocated, 0, "alloc: %d", allocated);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"a memory control group refuses before it kills",
		a_memory_control_group_refuses_before_it_kills},
	{"a profile without mbind is no harm on one node",
		a_profile_without_mbind_is_no_harm_on_one_node},
	{"a profile without mbind refuses strict on two nodes",
		a_profile_without_mbind_refuses_strict_on_two_nodes},
	{"what a refusal of mbind means", what_a_refusal_of_mbind_means},
	{"too few descriptors are reported", too_few_descriptors_are_reported},
	{"too little address space is reported", too_little_address_space_is_reported},
	{"too little RLIMIT_DATA is reported", too_little_rlimit_data_is_reported},
	{"too small RLIMIT_FSIZE is reported", too_small_rlimit_fsize_is_reported},
	{"signals of the program end nothing", signals_of_the_program_end_nothing},
};

REGISTER_TEST_SUITE(pin_refused) = {
	.name = "pin_refused", .kind = TEST_FAST, .cases = cases, .n_cases = RTE_DIM(cases)};
