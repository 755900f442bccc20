/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of files on a hugetlbfs: files of a killed process are removed, files of a running process
 * stay.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>

#include "child.h"
#include "dm_hugefile.h"
#include "dm_hugepage.h"
#include "test.h"

static char dir[] = "/tmp/gantry-test-XXXXXX";

static int
setup(void)
{
	strcpy(&dir[sizeof(dir) - 7], "XXXXXX");
	TEST_ASSERT_NOT_NULL(mkdtemp(dir), "mkdtemp");
	return 0;
}

static void
teardown(void)
{
	char command[sizeof(dir) + 16];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		printf("  %s stays behind\n", dir);
}

static unsigned int
n_files(void)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	unsigned int n = 0;

	while (d != NULL && (e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	if (d != NULL)
		closedir(d);
	return n;
}

static bool
exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/** Start a child that makes a named file and keeps running. */
static pid_t
start_owner(char path[PATH_MAX])
{
	int ready[2];
	pid_t pid;

	if (pipe(ready) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		if (dm_hugefile_create(dir, path, PATH_MAX) >= 0 &&
			write(ready[1], path, PATH_MAX) == PATH_MAX)
			pause();
		_exit(1);
	}
	close(ready[1]);
	if (read(ready[0], path, PATH_MAX) != PATH_MAX)
		path[0] = '\0';
	close(ready[0]);
	return pid;
}

static void
end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int
only_files_of_dead_processes_are_removed(void)
{
	char dead[PATH_MAX] = "", living[PATH_MAX] = "";
	pid_t killed = start_owner(dead), lives = start_owner(living);

	end(killed);
	TEST_ASSERT(exists(dead) && exists(living), "no files");
	TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 1, "removed");
	TEST_ASSERT(!exists(dead), "the dead one's stays");
	TEST_ASSERT(exists(living), "the living one's is gone");
	TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 0, "removed again");
	end(lives);
	TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 1, "removed");
	TEST_ASSERT_EQUAL(n_files(), 0, "left");
	return TEST_SUCCESS;
}

/** Make a file with a name. @return a file descriptor */
static int
make(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
}

/** This process's number now belongs to another process than the file's maker. */
static int
a_reused_process_number_protects_no_file(void)
{
	char name[64];

	snprintf(name, sizeof(name), "gantry-%d-1-0", getpid());
	close(make(name));
	TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 1, "removed");
	TEST_ASSERT_EQUAL(n_files(), 0, "left");
	return TEST_SUCCESS;
}

/** A process of another PID namespace: its number does not exist here, but it holds the lock. */
static int
a_lock_protects_files_of_other_pid_namespaces(void)
{
	int fd = make("gantry-2147483647-77-0");

	TEST_ASSERT_SUCCESS(flock(fd, LOCK_EX), "flock");
	TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 0, "removed");
	close(fd);
	TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 1, "removed");
	return TEST_SUCCESS;
}

/** The state between a file's creation and its locking. */
static int
a_running_process_needs_no_lock(void)
{
	char path[PATH_MAX];
	int fd = dm_hugefile_create(dir, path, sizeof(path));

	TEST_ASSERT(fd >= 0, "create: %d", fd);
	close(fd);
	TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 0, "removed");
	TEST_ASSERT(exists(path), "gone");
	return TEST_SUCCESS;
}

static int
a_named_file_is_unlinked_at_once(void)
{
	int fd = dm_hugefile_open_named(dir);

	TEST_ASSERT(fd >= 0, "open: %d", fd);
	TEST_ASSERT_EQUAL(n_files(), 0, "files");
	TEST_ASSERT_SUCCESS(ftruncate(fd, 1), "it is a file");
	close(fd);
	TEST_ASSERT(dm_hugefile_open_named("/nowhere/at/all") < 0, "no folder");
	return TEST_SUCCESS;
}

static int
other_files_stay(void)
{
	static const char *const names[] = {"rtemap_0", "gantry", "gantry-1",
		"gantry-2147483647-1-0.bak", "gantry-2147483647-1", "gantry--5-1-0",
		"my-gantry-2147483647-1-0"};
	unsigned int i;

	for (i = 0; i < RTE_DIM(names); i++)
		close(make(names[i]));
	TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 0, "removed");
	TEST_ASSERT_EQUAL(n_files(), RTE_DIM(names), "left");
	TEST_ASSERT_EQUAL(dm_hugefile_sweep("/nowhere/at/all"), 0, "no folder");
	return TEST_SUCCESS;
}

/** A child's loop until it is killed: open files, one after the other. */
static void
open_for_ever(void)
{
	for (;;) {
		int fd = dm_hugefile_open_in(dir);

		if (fd < 0)
			_exit(1);
		close(fd);
	}
}

/** The child is killed at a random moment. O_TMPFILE works here, so no file remains. */
static int
a_kill_leaves_no_file(void)
{
	unsigned int i;
	pid_t pid;

	for (i = 0; i < 20; i++) {
		pid = fork();
		if (pid == 0)
			open_for_ever();
		TEST_ASSERT(pid > 0, "fork");
		sched_yield();
		kill(pid, SIGKILL);
		TEST_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid, "waitpid");
		TEST_ASSERT_EQUAL(n_files(), 0, "left after kill %u", i);
	}
	return TEST_SUCCESS;
}

/**
 * The same with named files: a sweep removes them all, and never removes a running process's file.
 */
static int
a_sweep_removes_what_a_kill_leaves(void)
{
	char path[PATH_MAX], mine[PATH_MAX];
	int fd = dm_hugefile_create(dir, mine, sizeof(mine));
	unsigned int i;
	pid_t pid;

	TEST_ASSERT(fd >= 0, "create: %d", fd);
	for (i = 0; i < 20; i++) {
		pid = start_owner(path);
		TEST_ASSERT(pid > 0, "fork");
		TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 0, "a living one's");
		end(pid);
		TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 1, "removed");
	}
	TEST_ASSERT(exists(mine), "mine is gone");
	close(fd);
	return TEST_SUCCESS;
}

/** A process that may open no more files gets that error, and not "no hugetlbfs". */
static int
open_without_descriptors(const void *arg)
{
	const struct rlimit limit = {.rlim_cur = STDERR_FILENO + 1, .rlim_max = 1024};
	int fd;

	RTE_SET_USED(arg);
	for (fd = STDERR_FILENO + 1; fd < 1024; fd++)
		close(fd);
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 2;
	if (dm_hugefile_open_in(dir) != -EMFILE || dm_hugefile_open_named(dir) != -EMFILE)
		return 3;
	if (dm_hugefile_open(2 << 20) != -EMFILE)
		return 4;
	return dm_hugepage_file(2 << 20, "z") == -EMFILE ? 0 : 5;
}

static int
too_few_descriptors_are_reported_as_such(void)
{
	int rc = test_in_child(open_without_descriptors, NULL);

	TEST_ASSERT_EQUAL(rc, 0, "step %d", rc);
	TEST_ASSERT_EQUAL(n_files(), 0, "files");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"only files of dead processes are removed", only_files_of_dead_processes_are_removed},
	{"a reused process number protects no file", a_reused_process_number_protects_no_file},
	{"a lock protects files of other PID namespaces",
		a_lock_protects_files_of_other_pid_namespaces},
	{"a running process needs no lock", a_running_process_needs_no_lock},
	{"a named file is unlinked at once", a_named_file_is_unlinked_at_once},
	{"other files stay", other_files_stay},
	{"too few descriptors are reported as such", too_few_descriptors_are_reported_as_such},
	{"a kill leaves no file", a_kill_leaves_no_file},
	{"a sweep removes what a kill leaves", a_sweep_removes_what_a_kill_leaves},
};

REGISTER_TEST_SUITE(hugefile) = {.name = "hugefile",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown};
