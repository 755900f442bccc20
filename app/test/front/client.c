/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Test program for the preload library, with the probe (probe.h) in place of the core. It checks
 * that its calls of the C library reach the kernel, and that the core is told of each VFIO
 * descriptor.
 */

/* Without this line open() would be compiled as open64(). Both are tested. */
#undef _FILE_OFFSET_BITS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/close_range.h>
#include <linux/vfio.h>

#include "probe.h"

#define CONTAINER "/dev/zero"
#define GROUP "/dev/full"
#define OTHER "/dev/null"

/** A case ends at the first condition that does not hold. */
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			printf("  %s:%d: (%s) does not hold, errno %d\n", __FILE__, __LINE__,      \
				#cond, errno);                                                     \
			return false;                                                              \
		}                                                                                  \
	} while (0)

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

/** Calls that the core got since `from`. */
static struct probe_counts
calls_since(struct probe_counts from)
{
	struct probe_counts now = probe_counts();

	now.inits -= from.inits;
	now.opened -= from.opened;
	now.dups -= from.dups;
	now.ioctls -= from.ioctls;
	now.closes -= from.closes;
	now.forgets -= from.forgets;
	now.relocations -= from.relocations;
	now.children -= from.children;
	return now;
}

/** By a direct system call, which the library does not see. */
static bool
is_open(int fd)
{
	return syscall(SYS_fcntl, fd, F_GETFD) >= 0;
}

/** Check that a descriptor has that kind and can be closed. */
static bool
opens_as(int fd, enum front_kind kind)
{
	CHECK(fd >= 0);
	CHECK(probe_kind(fd) == (int)kind);
	CHECK(close(fd) == 0);
	CHECK(probe_kind(fd) == FRONT_NONE);
	CHECK(!is_open(fd));
	return true;
}

/* Must be the first case: the core is not started yet. */
static bool
test_not_started(void)
{
	const struct probe_counts none = {0};
	struct probe_counts counts;
	int fd = open(OTHER, O_RDWR), copy = dup(fd);

	CHECK(fd >= 0 && copy >= 0);
	CHECK(ioctl(fd, PROBE_ECHO, 1) == -1 && errno == ENOTTY);
	CHECK(fcntl(fd, F_GETFL) >= 0);
	CHECK(close(fd) == 0 && close(copy) == 0);
	CHECK(close_range(1000, 1010, 0) == 0);
	counts = probe_counts();
	CHECK(memcmp(&counts, &none, sizeof(counts)) == 0);
	return true;
}

static bool
test_open_variants(void)
{
	CHECK(opens_as(open(CONTAINER, O_RDWR), FRONT_CONTAINER));
	CHECK(opens_as(open64(CONTAINER, O_RDWR), FRONT_CONTAINER));
	CHECK(opens_as(openat(AT_FDCWD, CONTAINER, O_RDWR), FRONT_CONTAINER));
	CHECK(opens_as(openat64(AT_FDCWD, CONTAINER, O_RDONLY), FRONT_CONTAINER));
	CHECK(opens_as(__open_2(CONTAINER, O_RDWR), FRONT_CONTAINER));
	CHECK(opens_as(__open64_2(GROUP, O_RDWR), FRONT_GROUP));
	CHECK(opens_as(__openat_2(AT_FDCWD, GROUP, O_RDWR), FRONT_GROUP));
	CHECK(opens_as(__openat64_2(AT_FDCWD, GROUP, O_RDWR | O_CLOEXEC), FRONT_GROUP));
	CHECK(opens_as(creat(CONTAINER, 0600), FRONT_CONTAINER));
	CHECK(opens_as(creat64(CONTAINER, 0600), FRONT_CONTAINER));
	CHECK(probe_counts().inits == 1);
	return true;
}

static bool
test_other_names(void)
{
	char dir[] = "/tmp/front-client.XXXXXX", name[64];
	int fd;

	CHECK(mkdtemp(dir) != NULL);
	snprintf(name, sizeof(name), "%s/link", dir);
	CHECK(symlink(CONTAINER, name) == 0);
	CHECK(opens_as(open(name, O_RDWR), FRONT_CONTAINER));
	unlink(name);
	fd = open(CONTAINER, O_RDWR);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	CHECK(opens_as(open(name, O_RDWR), FRONT_CONTAINER));
	CHECK(close(fd) == 0);
	/* Only the file decides: a name like that of VFIO does not. */
	snprintf(name, sizeof(name), "%s/vfio", dir);
	CHECK(opens_as(open(name, O_RDWR | O_CREAT | O_EXCL, 0600), FRONT_NONE));
	CHECK(unlink(name) == 0 && rmdir(dir) == 0);
	return true;
}

/**
 * A path that the program may not open still works if the core has a descriptor for it (broker).
 */
static bool
test_open_elsewhere(void)
{
	int fd;

	CHECK(opens_as(open(PROBE_ELSEWHERE, O_RDWR), FRONT_CONTAINER));
	CHECK(opens_as(open64(PROBE_ELSEWHERE, O_RDWR), FRONT_CONTAINER));
	CHECK(opens_as(openat(AT_FDCWD, PROBE_ELSEWHERE, O_RDWR), FRONT_CONTAINER));
	CHECK(opens_as(__open64_2(PROBE_ELSEWHERE, O_RDWR), FRONT_CONTAINER));
	fd = open64(PROBE_ELSEWHERE, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && close(fd) == 0);
	errno = 0;
	CHECK(open(PROBE_REFUSED, O_RDWR) == -1 && errno == EXDEV);
	errno = 0;
	CHECK(open("/dev/vfio/none", O_RDWR) == -1 && errno == ENOENT);
	return true;
}

/** The kernel's name of a group leads to its node. */
static bool
test_renamed(void)
{
	int fd;

	CHECK(opens_as(open(PROBE_RENAMED, O_RDWR), FRONT_GROUP));
	CHECK(opens_as(openat64(AT_FDCWD, PROBE_RENAMED, O_RDWR), FRONT_GROUP));
	fd = open64(PROBE_RENAMED, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && close(fd) == 0);
	return true;
}

static bool
test_open_others(void)
{
	struct stat st;
	int fd;

	umask(0);
	CHECK(opens_as(open("/", O_RDONLY | O_DIRECTORY), FRONT_NONE));
	CHECK(opens_as(open(CONTAINER, O_PATH), FRONT_NONE));
	CHECK(opens_as(open(OTHER, O_RDWR), FRONT_NONE));
	/* The mode argument is passed on. */
	fd = open("/tmp", O_RDWR | O_TMPFILE, 0640);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0640);
	CHECK(opens_as(fd, FRONT_NONE));
	errno = 0;
	CHECK(open("/tmp/front-client/none", O_RDWR) == -1 && errno == ENOENT);
	CHECK(openat(-2, "none", O_RDWR) == -1 && errno == EBADF);
	return true;
}

static bool
test_iommufd_instead(void)
{
	int fd;

	CHECK(opens_as(open(PROBE_NO_CONTAINER, O_RDWR), FRONT_IOMMUFD));
	CHECK(opens_as(openat64(AT_FDCWD, PROBE_NO_CONTAINER, O_RDWR), FRONT_IOMMUFD));
	CHECK(opens_as(open("/dev/random", O_RDWR), FRONT_NONE));
	fd = open(PROBE_NO_CONTAINER, O_RDWR | O_CLOEXEC);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && ioctl(fd, PROBE_ECHO, 4) == 4);
	CHECK(close(fd) == 0);
	CHECK(open(PROBE_NO_CONTAINER "/", O_RDWR) == -1 && errno == ENOENT);
	CHECK(open((const char *)1, O_RDWR) == -1 && errno == EFAULT);
	return true;
}

static bool
test_errno(void)
{
	int fd, copy;

	errno = ERANGE;
	fd = open(CONTAINER, O_RDWR);
	CHECK(fd >= 0 && errno == ERANGE);
	CHECK(ioctl(fd, PROBE_ECHO, 5) == 5 && errno == ERANGE);
	copy = dup(fd);
	CHECK(copy >= 0 && errno == ERANGE);
	CHECK(dup2(fd, copy) == copy && errno == ERANGE);
	CHECK(close(copy) == 0 && errno == ERANGE);
	CHECK(close_range(fd, fd, 0) == 0 && errno == ERANGE);
	fd = open(OTHER, O_RDWR);
	CHECK(fd >= 0 && errno == ERANGE);
	CHECK(close(fd) == 0 && errno == ERANGE);
	CHECK(close(fd) == -1 && errno == EBADF);
	CHECK(ioctl(-1, PROBE_ECHO, 0) == -1 && errno == EBADF);
	return true;
}

static bool
test_ioctl(void)
{
	int fd = open(CONTAINER, O_RDWR), group = open(GROUP, O_RDWR), device;

	CHECK(ioctl(fd, PROBE_ECHO, 42) == 42);
	/* Some programs sign-extend the request from an int. */
	CHECK(ioctl(fd, PROBE_ECHO | 0xffffffff00000000ul, 43) == 43);
	CHECK(ioctl(fd, PROBE_FAIL, 0) == -1 && errno == EXDEV);
	CHECK(ioctl(fd, PROBE_LIBC, 0) == 0);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, OTHER);
	CHECK(device >= 0 && probe_kind(device) == FRONT_DEVICE);
	CHECK(opens_as(device, FRONT_DEVICE));
	CHECK(opens_as(group, FRONT_GROUP));
	CHECK(opens_as(fd, FRONT_CONTAINER));
	return true;
}

static bool
test_dup(void)
{
	int fd = open(CONTAINER, O_RDWR);

	CHECK(opens_as(dup(fd), FRONT_CONTAINER));
	CHECK(opens_as(fcntl(fd, F_DUPFD, 50), FRONT_CONTAINER));
	CHECK(opens_as(fcntl(fd, F_DUPFD_CLOEXEC, 50), FRONT_CONTAINER));
	CHECK(opens_as(fcntl64(fd, F_DUPFD_CLOEXEC, 50), FRONT_CONTAINER));
	CHECK(opens_as(dup2(fd, 60), FRONT_CONTAINER));
	CHECK(dup3(fd, 61, O_CLOEXEC) == 61 && fcntl(61, F_GETFD) == FD_CLOEXEC);
	CHECK(opens_as(61, FRONT_CONTAINER));
	CHECK(opens_as(fd, FRONT_CONTAINER));
	return true;
}

static bool
test_dup_onto(void)
{
	int fd = open(CONTAINER, O_RDWR), group = open(GROUP, O_RDWR), other = open(OTHER, O_RDWR);

	CHECK(dup2(other, group) == group && probe_kind(group) == FRONT_NONE);
	CHECK(dup2(fd, group) == group && probe_kind(group) == FRONT_CONTAINER);
	/* A failed call changes nothing. */
	CHECK(dup2(999, fd) == -1 && errno == EBADF);
	CHECK(dup3(other, fd, 0x1) == -1 && errno == EINVAL);
	CHECK(dup3(fd, fd, 0) == -1 && errno == EINVAL);
	CHECK(dup2(fd, fd) == fd);
	CHECK(probe_kind(fd) == FRONT_CONTAINER);
	CHECK(opens_as(group, FRONT_CONTAINER));
	CHECK(opens_as(other, FRONT_NONE));
	CHECK(opens_as(fd, FRONT_CONTAINER));
	return true;
}

/**
 * A hidden descriptor does not belong to the program. The program can neither close it nor notice
 * that its number is used.
 */
static bool
test_hidden(void)
{
	int fd = open(OTHER, O_RDWR), other = open(OTHER, O_RDWR), moved = -1, i;

	probe_hide(fd);
	CHECK(close(fd) == -1 && errno == EBADF && is_open(fd));
	CHECK(close_range(fd, fd, 0) == 0 && is_open(fd));
	CHECK(dup2(other, fd) == fd && probe_kind(fd) == FRONT_NONE);
	for (i = 0; i < 1000; i++)
		moved = probe_kind(i) == FRONT_HIDDEN ? i : moved;
	CHECK(moved >= 0 && is_open(moved));
	closefrom(fd);
	CHECK(!is_open(fd) && !is_open(other) && is_open(moved));
	syscall(SYS_close, moved);
	return true;
}

static bool
test_close_range(void)
{
	struct probe_counts before;
	int i;

	for (i = 300; i <= 305; i++)
		CHECK(fcntl(open(i % 2 == 0 ? CONTAINER : OTHER, O_RDWR), F_DUPFD, i) == i);
	before = probe_counts();
	CHECK(close_range(300, 304, CLOSE_RANGE_CLOEXEC) == 0 &&
		probe_kind(300) == FRONT_CONTAINER);
	CHECK(close_range(304, 300, 0) == -1 && errno == EINVAL);
	CHECK(calls_since(before).closes == 0);
	CHECK(close_range(301, 304, 0) == 0);
	CHECK(is_open(300) && !is_open(301) && !is_open(302) && !is_open(304) && is_open(305));
	CHECK(calls_since(before).closes == 2);
	CHECK(probe_kind(300) == FRONT_CONTAINER && probe_kind(302) == FRONT_NONE);
	closefrom(3);
	CHECK(!is_open(300) && !is_open(305) && probe_kind(300) == FRONT_NONE);
	CHECK(is_open(0) && is_open(1) && is_open(2));
	return true;
}

/**
 * The library does not see a close by a direct system call. A reused number gets its new kind all
 * the same.
 */
static bool
test_number_used_again(void)
{
	int fd = open(CONTAINER, O_RDWR), again;

	syscall(SYS_close, fd);
	again = open(OTHER, O_RDWR);
	CHECK(again == fd);
	CHECK(opens_as(again, FRONT_NONE));
	fd = open(GROUP, O_RDWR);
	syscall(SYS_close, fd);
	CHECK(dup(0) == fd);
	CHECK(opens_as(fd, FRONT_NONE));
	return true;
}

/* Messages */

static bool
send_fds(int to, const int *fds, unsigned int n)
{
	char byte = 'x', control[CMSG_SPACE(4 * sizeof(int))] = "";
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	return sendmsg(to, &msg, 0) == 1;
}

/* By direct system calls, as if another program had opened them before exec(2). */
static bool
test_inherited(void)
{
	int container = syscall(SYS_openat, AT_FDCWD, CONTAINER, O_RDWR);
	int group = syscall(SYS_openat, AT_FDCWD, GROUP, O_RDWR);
	int other = syscall(SYS_openat, AT_FDCWD, OTHER, O_RDWR);
	struct probe_counts before = probe_counts();

	CHECK(probe_kind(container) == FRONT_NONE && probe_kind(group) == FRONT_NONE);
	CHECK(ioctl(container, FIONREAD, &(int){0}) == -1 && probe_kind(container) == FRONT_NONE);
	ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU);
	ioctl(group, VFIO_GROUP_GET_STATUS, NULL);
	ioctl(other, VFIO_GET_API_VERSION);
	CHECK(probe_kind(container) == FRONT_CONTAINER && probe_kind(group) == FRONT_GROUP);
	CHECK(probe_kind(other) == FRONT_NONE);
	CHECK(calls_since(before).opened == 2 && calls_since(before).ioctls == 2);
	CHECK(close(container) == 0 && close(group) == 0 && close(other) == 0);
	return true;
}

static bool
test_received(void)
{
	char byte, control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct mmsghdr msg = {.msg_hdr = {.msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control)}};
	int pair[2], fds[3] = {open(OTHER, O_RDWR), open(GROUP, O_RDWR), open(CONTAINER, O_RDWR)};
	int got[3], i;

	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	CHECK(send_fds(pair[0], fds, 3) && send_fds(pair[0], fds, 3));
	errno = ERANGE;
	CHECK(recvmsg(pair[1], &msg.msg_hdr, MSG_CMSG_CLOEXEC) == 1 && errno == ERANGE);
	memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&msg.msg_hdr)), sizeof(got));
	CHECK(opens_as(got[0], FRONT_NONE));
	CHECK(opens_as(got[1], FRONT_NONE));
	CHECK(opens_as(got[2], FRONT_FOREIGN));
	msg.msg_hdr.msg_controllen = sizeof(control);
	CHECK(recvmmsg(pair[1], &msg, 1, 0, NULL) == 1);
	memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&msg.msg_hdr)), sizeof(got));
	CHECK(probe_kind(got[2]) == FRONT_FOREIGN);
	for (i = 0; i < 3; i++)
		CHECK(close(got[i]) == 0 && close(fds[i]) == 0);
	CHECK(write(pair[0], "y", 1) == 1 && recvmsg(pair[1], &msg.msg_hdr, 0) == 1);
	CHECK(close(pair[0]) == 0 && close(pair[1]) == 0);
	return true;
}

/* Processes */

/** @return the child's exit status; -1: a signal ended it */
static int
status_of(pid_t child)
{
	int status = -1;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool
test_fork(void)
{
	int fd = open(CONTAINER, O_RDWR), mine;
	pid_t child = fork();

	if (child == 0) {
		if (probe_counts().children != 1 || probe_kind(fd) != FRONT_FOREIGN)
			_exit(1);
		mine = open(CONTAINER, O_RDWR);
		if (probe_kind(mine) != FRONT_CONTAINER || ioctl(mine, PROBE_ECHO, 3) != 3)
			_exit(2);
		_exit(close(fd) == 0 && probe_kind(fd) == FRONT_NONE ? 0 : 3);
	}
	CHECK(status_of(child) == 0);
	CHECK(probe_kind(fd) == FRONT_CONTAINER && probe_counts().children == 0);
	CHECK(opens_as(fd, FRONT_CONTAINER));
	return true;
}

#ifdef __SANITIZE_THREAD__
#define SHARED_MEMORY_CHILD fork /* the thread sanitizer replaces vfork() by fork() */
#else
#define SHARED_MEMORY_CHILD vfork
#endif

/** A vfork child shares our memory. What it closes is closed in the child only. */
static bool
test_vfork(void)
{
	struct probe_counts before = probe_counts();
	int fd = open(CONTAINER, O_RDWR);
	volatile int rc = -1;
	pid_t child;

	child = SHARED_MEMORY_CHILD();
	if (child == 0) {
		rc = close(fd) == 0 && !is_open(fd) && dup2(0, fd) == fd &&
				close_range(3, ~0u, 0) == 0
			? 0
			: 1;
		_exit(rc);
	}
	CHECK(status_of(child) == 0);
	CHECK(is_open(fd) && probe_kind(fd) == FRONT_CONTAINER);
	CHECK(calls_since(before).closes == 0 && calls_since(before).forgets == 0);
	CHECK(opens_as(fd, FRONT_CONTAINER));
	return true;
}

static bool
test_spawn(void)
{
	char *const args[] = {"sh", "-c", "exec 5>&-; test ! -e /proc/self/fd/5", NULL};
	char *const env[] = {NULL};
	posix_spawn_file_actions_t actions;
	int fd = fcntl(open(CONTAINER, O_RDWR | O_CLOEXEC), F_DUPFD, 5);
	pid_t child;

	CHECK(posix_spawn_file_actions_init(&actions) == 0);
	CHECK(posix_spawn_file_actions_addclose(&actions, fd) == 0);
	CHECK(posix_spawn(&child, "/bin/sh", &actions, NULL, args, env) == 0);
	CHECK(status_of(child) == 0);
	posix_spawn_file_actions_destroy(&actions);
	CHECK(probe_kind(fd) == FRONT_CONTAINER);
	closefrom(3);
	return true;
}

/* Threads */

#define THREADS 4
#define ROUNDS 3000

static void *
thread_main(void *arg)
{
	uintptr_t bad = 0;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		int want = i % 3 == 0 ? FRONT_CONTAINER : i % 3 == 1 ? FRONT_GROUP : FRONT_NONE;
		int fd = open(i % 3 == 0 ? CONTAINER : i % 3 == 1 ? GROUP : OTHER, O_RDWR);
		int copy = i % 2 == 0 ? dup(fd) : fcntl(fd, F_DUPFD_CLOEXEC, 0);

		bad += probe_kind(fd) != want || probe_kind(copy) != want;
		bad += ioctl(fd, PROBE_ECHO, i) != (want == FRONT_NONE ? -1 : i);
		bad += close(fd) != 0 || close(copy) != 0;
	}
	return (void *)bad;
}

static bool
test_threads(void)
{
	pthread_t threads[THREADS];
	void *bad;
	int i;

	for (i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, thread_main, NULL) == 0);
	for (i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], &bad) == 0 && bad == NULL);
	return true;
}

static const struct {
	const char *name;
	bool (*run)(void);
} cases[] = {
	{"nothing is started by files that are not of VFIO", test_not_started},
	{"each way to open a file of VFIO is seen", test_open_variants},
	{"a file is known under any name", test_other_names},
	{"a group's node may have another name", test_renamed},
	{"other files are opened as they are, with their mode", test_open_others},
	{"a file that cannot be opened comes from the broker", test_open_elsewhere},
	{"iommufd takes the place of a container that the kernel lacks", test_iommufd_instead},
	{"errno is touched by failures only", test_errno},
	{"ioctls reach the core, and the kernel from there", test_ioctl},
	{"each way to duplicate a descriptor is seen", test_dup},
	{"a number that gets another file is forgotten", test_dup_onto},
	{"a number that was closed unseen is new", test_number_used_again},
	{"a file that was opened before exec is known by its first request", test_inherited},
	{"a received container is of another process", test_received},
	{"a child of fork has its own table", test_fork},
	{"a child of vfork leaves its parent's table alone", test_vfork},
	{"a spawned program leaves its parent's table alone", test_spawn},
	{"threads open, duplicate and close at the same time", test_threads},
	{"hidden descriptors stay open, and their numbers are free", test_hidden},
	{"tracked numbers of a range are closed one by one", test_close_range},
};

int
main(void)
{
	unsigned int i, failed = 0, n = sizeof(cases) / sizeof(cases[0]);
	bool ok;

	/* Line buffering, set before the test opens descriptors. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < n; i++) {
		ok = cases[i].run();
		failed += !ok;
		printf("%s front_libc: %s\n", ok ? "ok     " : "FAILED ", cases[i].name);
	}
	printf("%u passed, %u failed, 0 skipped\n", n - failed, failed);
	return failed > 0;
}
