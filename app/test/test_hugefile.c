/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Does what a killed process has left go at the next start, and what a living one has stay?
 */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_hugefile.h"
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

/** A child that makes a file with a name and stays. */
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
only_what_the_dead_have_left_goes(void)
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

/** The number of this process now belongs to another one than that which made the file. */
static int
a_number_used_again_protects_nothing(void)
{
	char name[64];

	snprintf(name, sizeof(name), "gantry-%d-1-0", getpid());
	close(make(name));
	TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 1, "removed");
	TEST_ASSERT_EQUAL(n_files(), 0, "left");
	return TEST_SUCCESS;
}

/** A process of another PID namespace: no such number here, but it holds the lock. */
static int
a_lock_protects_who_cannot_be_seen(void)
{
	int fd = make("gantry-2147483647-77-0");

	TEST_ASSERT_SUCCESS(flock(fd, LOCK_EX), "flock");
	TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 0, "removed");
	close(fd);
	TEST_ASSERT_EQUAL(dm_hugefile_sweep(dir), 1, "removed");
	return TEST_SUCCESS;
}

/** As between its making and its locking. */
static int
a_living_process_needs_no_lock(void)
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
a_name_lasts_a_moment(void)
{
	int fd = dm_hugefile_open_named(dir);

	TEST_ASSERT(fd >= 0, "open: %d", fd);
	TEST_ASSERT_EQUAL(n_files(), 0, "files");
	TEST_ASSERT_SUCCESS(ftruncate(fd, 4096), "it is a file");
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

/** What a child does until it is killed: open files, one after the other. */
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

/** Killed wherever it is at the moment. Here O_TMPFILE works, so there is nothing to remove either.
 */
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

/** The same with names: nothing is left after a sweep, which never takes those of the living. */
static int
a_kill_leaves_nothing_that_stays(void)
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

static const struct test_case cases[] = {
	{"only what the dead have left goes", only_what_the_dead_have_left_goes},
	{"a number used again protects nothing", a_number_used_again_protects_nothing},
	{"a lock protects who cannot be seen", a_lock_protects_who_cannot_be_seen},
	{"a living process needs no lock", a_living_process_needs_no_lock},
	{"a name lasts a moment", a_name_lasts_a_moment},
	{"other files stay", other_files_stay},
	{"a kill leaves no file", a_kill_leaves_no_file},
	{"a kill leaves nothing that stays", a_kill_leaves_nothing_that_stays},
};

REGISTER_TEST_SUITE(hugefile) = {.name = "hugefile",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown};
