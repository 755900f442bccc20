/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of memory for zones, allocated in one step: placement, length, limits, and nothing left
 * behind.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_fault_in.h"
#include "dm_hugefile.h"
#include "dm_hugepage.h"
#include "dm_pin.h"
#include "child.h"
#include "test.h"

/** Hugepages that a case uses at most. */
#define PAGES 4
/**
 * Other processes use hugepages, too. A leak shows in each of these attempts; their use does not.
 */
#define ATTEMPTS 20

static size_t huge; /* the smallest hugepage size that is available */

static int
setup(void)
{
	struct dm_hugepage_count count;

	huge = dm_hugepage_smallest();
	if (huge == 0)
		return test_skip("this kernel has no hugepages");
	if (dm_hugepage_count(huge, -1, &count) < 0 || count.free < PAGES)
		return test_skip("fewer than %u hugepages of %zu KiB are free", PAGES, huge >> 10);
	return TEST_SUCCESS;
}

static uint64_t
free_pages(void)
{
	struct dm_hugepage_count count = {0};

	dm_hugepage_count(huge, -1, &count);
	return count.free;
}

static int
is_zero(const struct dm_pin *pin)
{
	const uint64_t *word = pin->va;
	size_t i;

	for (i = 0; i < pin->len / sizeof(*word); i++)
		if (word[i] != 0)
			return 0;
	return 1;
}

static int
gives_zeroed_pages_on_the_node(void)
{
	const struct dm_pin_conf conf = {
		.len = 2 * huge - 100, .page_size = huge, .node = 0, .name = "zone a"};
	struct dm_pin *pin;

	TEST_ASSERT_SUCCESS(dm_pin_alloc(&conf, &pin), "alloc");
	TEST_ASSERT_EQUAL(pin->len, 2 * huge, "len %zu", pin->len);
	TEST_ASSERT_EQUAL(pin->page_size, huge, "page size %zu", pin->page_size);
	TEST_ASSERT_EQUAL(pin->node, 0, "node %d", pin->node);
	TEST_ASSERT_EQUAL((uintptr_t)pin->va % huge, 0, "alignment of %p", pin->va);
	TEST_ASSERT(is_zero(pin), "memory is not zero");
	memset(pin->va, 0xa5, pin->len);
	dm_pin_free(pin);
	return TEST_SUCCESS;
}

static int
aligns_beyond_a_page(void)
{
	struct dm_pin_conf conf = {.len = huge, .page_size = huge, .node = -1, .name = "zone a"};
	struct dm_pin *pin[2];

	/* Two, since one could be aligned by chance. */
	conf.align = 32 * huge;
	TEST_ASSERT_SUCCESS(dm_pin_alloc(&conf, &pin[0]), "alloc");
	TEST_ASSERT_SUCCESS(dm_pin_alloc(&conf, &pin[1]), "alloc");
	TEST_ASSERT_EQUAL((uintptr_t)pin[0]->va % conf.align, 0, "%p", pin[0]->va);
	TEST_ASSERT_EQUAL((uintptr_t)pin[1]->va % conf.align, 0, "%p", pin[1]->va);
	dm_pin_free(pin[0]);
	dm_pin_free(pin[1]);
	return TEST_SUCCESS;
}

/** Lengths that fit no hugepage size without waste: the smallest hugepages are used. */
static int
chooses_hugepages_by_itself(void)
{
	const size_t lens[] = {1, huge + huge / 2, 2 * huge};
	unsigned int i;

	for (i = 0; i < RTE_DIM(lens); i++) {
		const struct dm_pin_conf conf = {.len = lens[i], .node = -1, .name = "zone a"};
		struct dm_pin *pin;

		TEST_ASSERT_SUCCESS(dm_pin_alloc(&conf, &pin), "alloc of %zu", lens[i]);
		TEST_ASSERT_EQUAL(pin->page_size, huge, "page size %zu", pin->page_size);
		TEST_ASSERT_EQUAL(pin->len, RTE_ALIGN_CEIL(lens[i], huge), "len %zu", pin->len);
		dm_pin_free(pin);
	}
	return TEST_SUCCESS;
}

static int
gives_base_pages_when_asked(void)
{
	const size_t base = sysconf(_SC_PAGESIZE);
	const struct dm_pin_conf conf = {
		.len = 3 * base, .align = 1 << 20, .page_size = base, .node = 0, .name = "zone a"};
	struct dm_pin *pin;
	unsigned char here[3] = {0};

	TEST_ASSERT_SUCCESS(dm_pin_alloc(&conf, &pin), "alloc");
	TEST_ASSERT_EQUAL(pin->page_size, base, "page size %zu", pin->page_size);
	TEST_ASSERT_EQUAL(pin->len, 3 * base, "len %zu", pin->len);
	TEST_ASSERT_EQUAL(pin->node, 0, "node %d", pin->node);
	TEST_ASSERT_EQUAL((uintptr_t)pin->va % conf.align, 0, "%p", pin->va);
	TEST_ASSERT_SUCCESS(mincore(pin->va, pin->len, here), "mincore");
	TEST_ASSERT(here[0] && here[1] && here[2], "a page was not faulted in");
	dm_pin_free(pin);
	return TEST_SUCCESS;
}

static int
says_how_to_get_more_pages(void)
{
	struct dm_pin_conf conf = {.page_size = huge, .node = 0, .name = "zone rx_pool"};
	struct dm_hugepage_count count;
	char needed[64], command[128];
	struct dm_pin *pin = NULL;
	const char *log;
	int rc;

	TEST_ASSERT_SUCCESS(dm_hugepage_count(huge, 0, &count), "count");
	conf.len = (count.total + 1) * huge;
	test_log_begin();
	rc = dm_pin_alloc(&conf, &pin);
	log = test_log_end();
	if (rc == 0) {
		dm_pin_free(pin);
		return test_skip("this machine over-commits hugepages");
	}
	TEST_ASSERT_EQUAL(rc, -ENOMEM, "rc %d", rc);
	TEST_ASSERT_NULL(pin, "a failed call wrote its result");
	snprintf(needed, sizeof(needed), "zone rx_pool: needs %" PRIu64 " pages of ",
		count.total + 1);
	TEST_ASSERT_NOT_NULL(strstr(log, needed), "log: %s", log);
	TEST_ASSERT_NOT_NULL(strstr(log, " on node 0, "), "log: %s", log);
	snprintf(command, sizeof(command), "hugepages-%zukB/nr_hugepages\n", huge >> 10);
	TEST_ASSERT_NOT_NULL(strstr(log, command), "log: %s", log);
	TEST_ASSERT_NOT_NULL(strstr(log, ": echo "), "log: %s", log);
	TEST_ASSERT(strchr(log, '\n')[1] == '\0', "more than one line: %s", log);
	return TEST_SUCCESS;
}

static int
refuses_what_makes_no_sense(void)
{
	const size_t base = sysconf(_SC_PAGESIZE);
	const struct {
		const char *what;
		struct dm_pin_conf conf;
		int rc;
	} cases[] = {
		{"no length", {.node = -1, .name = "z"}, -EINVAL},
		{"length that wraps", {.len = SIZE_MAX - 1, .node = -1, .name = "z"}, -EINVAL},
		{"odd alignment", {.len = huge, .align = 3 << 20, .node = -1, .name = "z"},
			-EINVAL},
		{"alignment that wraps",
			{.len = huge, .align = (SIZE_MAX >> 1) + 1, .node = -1, .name = "z"},
			-EINVAL},
		{"odd page size", {.len = huge, .page_size = 3 << 20, .node = -1, .name = "z"},
			-EINVAL},
		{"no name", {.len = huge, .node = -1}, -EINVAL},
		{"node below -1", {.len = huge, .node = -2, .name = "z"}, -EINVAL},
		{"unknown placement", {.len = huge, .node = -1, .placement = 4, .name = "z"},
			-EINVAL},
		{"unknown fallback", {.len = huge, .node = -1, .allow = DMAMAP_READ, .name = "z"},
			-EINVAL},
		{"node that is not there", {.len = huge, .node = 1000, .name = "z"}, -ENODEV},
		{"preferred node that is not there",
			{.len = huge,
				.node = 1000,
				.placement = DMAMAP_PLACE_PREFERRED,
				.name = "z"},
			-ENODEV},
		{"pages that are not there",
			{.len = huge, .page_size = 1024, .node = -1, .name = "z"}, -ENOENT},
		{"pages beyond all",
			{.len = huge, .page_size = (size_t)1 << 50, .node = -1, .name = "z"},
			-ENOENT},
		{"base pages beyond all",
			{.len = (size_t)1 << 46, .page_size = base, .node = -1, .name = "z"},
			-ENOMEM},
		{"base pages beyond the node",
			{.len = (size_t)1 << 46, .page_size = base, .node = 0, .name = "z"},
			-ENOMEM},
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		struct dm_pin *pin = NULL;
		int rc = dm_pin_alloc(&cases[i].conf, &pin);

		TEST_ASSERT_EQUAL(rc, cases[i].rc, "%s: %d", cases[i].what, rc);
		TEST_ASSERT_NULL(pin, "%s: result written", cases[i].what);
	}
	return TEST_SUCCESS;
}

static int
gives_pages_back(void)
{
	const struct dm_pin_conf conf = {
		.len = PAGES * huge, .align = 8 * huge, .page_size = huge, .node = -1, .name = "z"};
	struct dm_pin *pin;
	uint64_t before;
	unsigned int i;

	for (i = 0; i < ATTEMPTS; i++) {
		before = free_pages();
		TEST_ASSERT_SUCCESS(dm_pin_alloc(&conf, &pin), "alloc");
		dm_pin_free(pin);
		if (free_pages() == before)
			return TEST_SUCCESS;
	}
	return TEST_FAILED;
}

/** A child allocates pages, reports it, and is killed. */
static int
kill_a_child_with_pages(void)
{
	const struct dm_pin_conf conf = {
		.len = PAGES * huge, .page_size = huge, .node = -1, .name = "z"};
	struct dm_pin *pin;
	int ready[2], rc;
	char byte = 1;
	pid_t pid;

	TEST_ASSERT_SUCCESS(pipe(ready), "pipe");
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork");
	if (pid == 0) {
		byte = dm_pin_alloc(&conf, &pin) == 0;
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	rc = read(ready[0], &byte, 1) == 1 && byte == 1;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	TEST_ASSERT(rc, "the child got no memory");
	return TEST_SUCCESS;
}

static int
gives_pages_back_after_a_kill(void)
{
	uint64_t before;
	unsigned int i;

	for (i = 0; i < ATTEMPTS; i++) {
		before = free_pages();
		TEST_ASSERT_SUCCESS(kill_a_child_with_pages(), "child");
		if (free_pages() == before)
			return TEST_SUCCESS;
	}
	return TEST_FAILED;
}

/** Whether the shared memory is not mapped here. Sanitizers may map other memory at its address. */
static int
is_absent(const void *arg)
{
	const struct dm_pin *pin = arg;
	const uint64_t va = (uintptr_t)pin->va;
	FILE *f = fopen("/proc/self/maps", "re");
	uint64_t from, to;
	char line[512], perms[8];
	int absent = f != NULL;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, perms) == 3 &&
			from < va + pin->len && to > va && perms[3] == 's')
			absent = 0;
	if (f != NULL)
		fclose(f);
	return absent;
}

static int
is_not_in_a_fork(void)
{
	const struct dm_pin_conf conf = {.len = huge, .page_size = huge, .node = -1, .name = "z"};
	struct dm_pin *pin;
	int absent;

	TEST_ASSERT_SUCCESS(dm_pin_alloc(&conf, &pin), "alloc");
	TEST_ASSERT(!is_absent(pin), "absent in its own process");
	absent = test_in_child(is_absent, pin);
	dm_pin_free(pin);
	TEST_ASSERT_EQUAL(absent, 1, "a child sees the memory");
	return TEST_SUCCESS;
}

/** A page beyond the end of its file is not available: an access would raise SIGBUS. */
static int
reports_a_page_that_cannot_be_had(void)
{
	int (*const ways[])(void *, size_t, size_t) = {dm_fault_in, dm_fault_in_by_read};
	unsigned int i;

	for (i = 0; i < RTE_DIM(ways); i++) {
		int fd = dm_hugepage_file(huge, "z"), rc[2];
		void *va;

		TEST_ASSERT(fd >= 0, "file: %d", fd);
		TEST_ASSERT_SUCCESS(ftruncate(fd, huge), "ftruncate");
		va = mmap(
			NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
		TEST_ASSERT(va != MAP_FAILED, "mmap");
		/* The writable mapping extended the file. */
		TEST_ASSERT_SUCCESS(ftruncate(fd, huge), "ftruncate");
		rc[0] = ways[i](va, huge, huge);
		rc[1] = ways[i](va, 2 * huge, huge);
		munmap(va, 2 * huge);
		close(fd);
		TEST_ASSERT_EQUAL(rc[0], 0, "way %u: %d", i, rc[0]);
		TEST_ASSERT_EQUAL(rc[1], -ENOSPC, "way %u: %d", i, rc[1]);
	}
	return TEST_SUCCESS;
}

static int
is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	int empty = d != NULL;

	while (d != NULL && (e = readdir(d)) != NULL)
		empty &= e->d_name[0] == '.';
	if (d != NULL)
		closedir(d);
	return empty;
}

/**
 * In a mount namespace of its own: mount a hugetlbfs, use a file on it, and check that nothing is
 * left. 2: not possible here.
 */
static int
use_a_mount(const void *arg)
{
	const char *dir = arg;
	char options[32], left[64];
	void *va;
	int fd, rc;

	snprintf(options, sizeof(options), "pagesize=%zuK", huge >> 10);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("none", dir, "hugetlbfs", 0, options) < 0)
		return 2;
	/* A file of a process that cannot exist: its number is above the maximum. */
	snprintf(left, sizeof(left), "%s/gantry-2147483647-1-0", dir);
	fd = open(left, O_CREAT | O_RDWR, 0600);
	close(fd);
	if (fd < 0 || is_empty(dir))
		return 7;
	fd = dm_hugefile_open(huge);
	if (fd < 0 || ftruncate(fd, huge) < 0)
		return 3;
	va = mmap(NULL, huge, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	rc = va == MAP_FAILED ? 4 : dm_fault_in(va, huge, huge) < 0 ? 5 : 0;
	close(fd);
	return rc != 0 || is_empty(dir) ? rc : 6;
}

static int
falls_back_to_a_mounted_hugetlbfs(void)
{
	char dir[] = "/tmp/gantry-test-XXXXXX";
	int rc;

	TEST_ASSERT_NOT_NULL(mkdtemp(dir), "mkdtemp");
	rc = test_in_child(use_a_mount, dir);
	rmdir(dir);
	if (rc == 2)
		return test_skip("no permission to mount a hugetlbfs");
	TEST_ASSERT_EQUAL(rc, 0, "step %d failed", rc);
	return TEST_SUCCESS;
}

#define LIMIT (UINT64_C(1) << 20)

/** As user nobody, with a limit of 1 MiB of which 16 KiB are used. @return the step that failed */
static int
check_limits(const void *arg)
{
	const struct rlimit limit = {LIMIT, LIMIT};
	static char locked[32768];
	const char *log;
	int rc;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || setgroups(0, NULL) < 0 || setgid(65534) < 0 ||
		setuid(65534) < 0)
		return 2;
	if (dm_pin_memlock_check(LIMIT, "zone a") != 0)
		return 3;
	/* The system call itself: address sanitizers turn mlock() into a no-op. */
	if (syscall(SYS_mlock, RTE_ALIGN_CEIL((uintptr_t)locked, 4096), 16384) < 0)
		return 4;
	if (dm_pin_memlock_check(LIMIT - 16384, "zone a") != 0)
		return 5;
	test_log_begin();
	rc = dm_pin_memlock_check(LIMIT, "zone a");
	log = test_log_end();
	if (rc != -ENOMEM)
		return 6;
	if (strstr(log,
		    "zone a: locking 1024 KiB needs RLIMIT_MEMLOCK of 1040 KiB, it is 1024 KiB"
		    " (16 KiB in use): ulimit -l 1040") == NULL)
		return 7;
	return dm_pin_memlock_check(UINT64_MAX, "zone a") == -ENOMEM ? 0 : 8;
}

/** Find an area of this process by its name in /proc/self/maps. */
static struct iovec
area(const char *name)
{
	FILE *f = fopen("/proc/self/maps", "re");
	uint64_t from = 0, to = 0;
	char line[512], path[64];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %63s", &from, &to,
			    path) == 3 &&
			strcmp(path, name) == 0)
			break;
		from = 0;
		to = 0;
	}
	if (f != NULL)
		fclose(f);
	return (struct iovec){(void *)(uintptr_t)from, to - from};
}

static void *
map_anon(size_t len)
{
	return mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/**
 * As user nobody, with a limit of 1 KiB: device memory is accepted. The vDSO's data is VM_PFNMAP.
 */
static int
check_device_memory(const void *arg)
{
	const struct rlimit limit = {1024, 1024};
	const struct iovec *vvar = arg;
	const size_t page = sysconf(_SC_PAGESIZE);
	struct iovec sge[3] = {{map_anon(page), page}, *vvar, {map_anon(page), page}};
	int fd = memfd_create("file", MFD_CLOEXEC);
	char says[64];

	if (ftruncate(fd, (off_t)page) < 0)
		return 2;
	sge[2].iov_base = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || setgroups(0, NULL) < 0 || setgid(65534) < 0 ||
		setuid(65534) < 0)
		return 3;
	if (dm_pin_memlock_chargeable(vvar->iov_base, vvar->iov_len) != 0)
		return 4;
	if (dm_pin_memlock_check_range(vvar->iov_base, vvar->iov_len, 3, "bar") != 0)
		return 5;
	if (dm_pin_memlock_check_range(sge[0].iov_base, page, 1, "memory") != -ENOMEM)
		return 6;
	if (dm_pin_memlock_check_range(sge[2].iov_base, page, 1, "file") != -ENOMEM)
		return 7;
	if (dm_pin_memlock_chargeable_sge(sge, 3) != 2 * page)
		return 8;
	if (dm_pin_memlock_check_sge(sge, 3, 1, "all") != -ENOMEM)
		return 9;
	/* Half of the device memory, and an address without a mapping. */
	if (dm_pin_memlock_chargeable(vvar->iov_base, vvar->iov_len / 2) != 0 ||
		dm_pin_memlock_chargeable(NULL, page) != page)
		return 10;
	test_log_begin();
	dm_pin_memlock_check_sge(sge, 3, 2, "all");
	snprintf(says, sizeof(says), "all: locking %zu KiB needs", 4 * page >> 10);
	return strstr(test_log_end(), says) != NULL ? 0 : 11;
}

static int
device_memory_is_not_counted_as_locked(void)
{
	struct iovec vvar = area("[vvar]");
	int rc;

	if (geteuid() != 0)
		return test_skip("only root can become nobody");
	if (vvar.iov_len == 0)
		return test_skip("no area is known to be device memory");
	rc = test_in_child(check_device_memory, &vvar);
	TEST_ASSERT_EQUAL(rc, 0, "step %d failed", rc);
	return TEST_SUCCESS;
}

static int
knows_the_limit_on_locked_memory(void)
{
	int rc;

	if (geteuid() != 0)
		return test_skip("only root can become nobody");
	rc = test_in_child(check_limits, NULL);
	TEST_ASSERT_EQUAL(rc, 0, "step %d failed", rc);
	return TEST_SUCCESS;
}

/** Root with CAP_IPC_LOCK may lock more than its limit. */
static int
lock_as_root(const void *arg)
{
	const struct rlimit limit = {LIMIT, LIMIT};

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return 2;
	return dm_pin_memlock_check(2 * LIMIT, "zone a") != 0;
}

static int
sees_that_a_capability_lifts_the_limit(void)
{
	if (geteuid() != 0)
		return test_skip("only root has CAP_IPC_LOCK");
	TEST_ASSERT_EQUAL(test_in_child(lock_as_root, NULL), 0, "refused");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"gives zeroed pages on the node", gives_zeroed_pages_on_the_node},
	{"aligns beyond a page", aligns_beyond_a_page},
	{"chooses hugepages by itself", chooses_hugepages_by_itself},
	{"gives base pages when asked", gives_base_pages_when_asked},
	{"says how to get more pages", says_how_to_get_more_pages},
	{"refuses what makes no sense", refuses_what_makes_no_sense},
	{"gives pages back", gives_pages_back},
	{"gives pages back after a kill", gives_pages_back_after_a_kill},
	{"is not in a fork", is_not_in_a_fork},
	{"reports a page that cannot be had", reports_a_page_that_cannot_be_had},
	{"falls back to a mounted hugetlbfs", falls_back_to_a_mounted_hugetlbfs},
	{"knows the limit on locked memory", knows_the_limit_on_locked_memory},
	{"device memory is not counted as locked", device_memory_is_not_counted_as_locked},
	{"sees that a capability lifts the limit", sees_that_a_capability_lifts_the_limit},
};

REGISTER_TEST_SUITE(pin) = {
	.name = "pin",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
};
