/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of VFIO files that were handed in, and of a client whose broker misbehaves. Character
 * devices that every kernel has stand in for VFIO's, as the files themselves are not used. The
 * broker itself is tested by e2e/test_broker.py.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_common.h>

#include "broker_wire.h"
#include "child.h"
#include "front.h"
#include "front_broker.h"
#include "test.h"

#define CONTAINER "/dev/vfio/vfio"
#define GROUP "/dev/vfio/4012"
#define GROUP_NUMBER 4012

static char said[512];
static unsigned int files_before;

static void
keep_line(void *arg __rte_unused, enum dmamap_log_level level __rte_unused, const char *line)
{
	snprintf(said, sizeof(said), "%s", line);
	errno = EDOM;
}

static int
setup(void)
{
	const struct front_conf conf = {0};

	unsetenv(BROKER_FDS_ENV);
	unsetenv(BROKER_SOCKET_ENV);
	said[0] = '\0';
	front_log_set(keep_line, NULL);
	files_before = test_open_files();
	return front_init(&conf);
}

static void
teardown(void)
{
	front_fini();
	front_log_set(NULL, NULL);
	unsetenv(BROKER_FDS_ENV);
	unsetenv(BROKER_SOCKET_ENV);
}

/** Hand files over as devices; paths end with NULL. */
static int
hand_in(const char *device, const char *const *paths)
{
	char list[512] = "";
	int fd;

	for (; *paths != NULL; paths++) {
		fd = open(device, O_RDWR);
		TEST_ASSERT(fd >= 0, "%s", device);
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%d=%s",
			list[0] != '\0' ? "," : "", fd, *paths);
	}
	TEST_ASSERT_SUCCESS(setenv(BROKER_FDS_ENV, list, 1), "setenv");
	return TEST_SUCCESS;
}

static bool
is_device(int fd, unsigned int device_major, unsigned int device_minor)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
		st.st_rdev == makedev(device_major, device_minor);
}

/** The lowest free descriptor, which the next open(2) returns. */
static int
lowest_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static int
test_serves(void)
{
	TEST_ASSERT(!front_broker_serves(CONTAINER, ENOENT), "nothing is set");
	TEST_ASSERT_EQUAL(front_broker_open(CONTAINER, O_RDWR), -ENOENT, "nothing is set");
	setenv(BROKER_SOCKET_ENV, "/none", 1);
	TEST_ASSERT(front_broker_serves(CONTAINER, ENOENT) && front_broker_serves(GROUP, EACCES) &&
			front_broker_serves("/dev/iommu", EPERM) &&
			front_broker_serves(GROUP, EBUSY) &&
			front_broker_serves("/dev/vfio/devices/vfio0", ENOENT),
		"files of VFIO");
	TEST_ASSERT(!front_broker_serves(CONTAINER, EMFILE) && !front_broker_serves(NULL, EFAULT),
		"errno");
	TEST_ASSERT(!front_broker_serves("/dev/vfi", ENOENT) &&
			!front_broker_serves("/dev/iommu2", ENOENT) &&
			!front_broker_serves("dev/vfio/vfio", ENOENT),
		"other files");
	TEST_ASSERT_EQUAL(front_broker_open("/etc/passwd", O_RDWR), -ENOENT, "another file");
	TEST_ASSERT_SUCCESS(said[0], "%s", said);
	return TEST_SUCCESS;
}

static int
test_containers(void)
{
	static const char *const paths[] = {CONTAINER, GROUP, CONTAINER, "/dev/iommu", NULL};
	int low = lowest_fd(), first, second, hidden;

	if (hand_in("/dev/zero", paths) < 0)
		return TEST_FAILED;
	first = front_broker_open(CONTAINER, O_RDWR);
	TEST_ASSERT_EQUAL(first, low, "the lowest number, as what was handed in moved away");
	TEST_ASSERT(is_device(first, 1, 5), "the device");
	TEST_ASSERT_EQUAL(fcntl(first, F_GETFD), 0, "open after an exec, as the program wants it");
	second = front_broker_open(CONTAINER, O_RDWR | O_CLOEXEC);
	TEST_ASSERT_EQUAL(second, low + 1, "another one");
	TEST_ASSERT_EQUAL(fcntl(second, F_GETFD), FD_CLOEXEC, "closed on exec");
	TEST_ASSERT_SUCCESS(said[0], "%s", said);
	TEST_ASSERT_EQUAL(front_broker_open(CONTAINER, O_RDWR), -EMFILE, "there were two");
	TEST_ASSERT(strstr(said, CONTAINER) != NULL && strstr(said, "hand in another one") != NULL,
		"%s", said);
	hidden = front_next(0, 1 << 20);
	TEST_ASSERT(hidden > low + 10 && front_kind(hidden) == FRONT_HIDDEN &&
			fcntl(hidden, F_GETFD) == FD_CLOEXEC,
		"the rest is hidden: %d", hidden);
	TEST_ASSERT_EQUAL(front_close(hidden), -EBADF, "and not the program's to close");
	TEST_ASSERT_SUCCESS(front_relocate(hidden), "but to move away");
	TEST_ASSERT_EQUAL(front_kind(hidden), FRONT_NONE, "moved");
	close(hidden);
	close(first);
	close(second);
	first = front_broker_open("/dev/iommu", O_RDWR);
	TEST_ASSERT(is_device(first, 1, 5), "all are where they are looked for");
	close(first);
	/* Only the group is open. */
	TEST_ASSERT_EQUAL(test_open_files(), files_before + 1, "descriptors");
	front_broker_fini();
	TEST_ASSERT_EQUAL(test_open_files(), files_before, "descriptors");
	return TEST_SUCCESS;
}

static int
test_groups(void)
{
	static const char *const paths[] = {GROUP, NULL};
	int fd, copy, again;

	if (hand_in("/dev/full", paths) < 0)
		return TEST_FAILED;
	fd = front_broker_open(GROUP, O_RDWR);
	TEST_ASSERT(is_device(fd, 1, 7), "the device");
	TEST_ASSERT_SUCCESS(front_opened(fd, FRONT_GROUP, GROUP_NUMBER), "looked after");
	TEST_ASSERT_EQUAL(front_broker_open(GROUP, O_RDWR), -EBUSY, "as the kernel says");
	copy = dup(fd);
	TEST_ASSERT_SUCCESS(front_dup(fd, copy), "dup");
	TEST_ASSERT_SUCCESS(front_close(fd), "close");
	TEST_ASSERT_EQUAL(front_broker_open(GROUP, O_RDWR), -EBUSY, "a duplicate is open");
	TEST_ASSERT_SUCCESS(front_close(copy), "close");
	TEST_ASSERT_SUCCESS(said[0], "%s", said);
	again = front_broker_open(GROUP, O_RDWR);
	TEST_ASSERT(is_device(again, 1, 7), "it can be opened again");
	close(again);
	TEST_ASSERT_EQUAL(front_broker_open("/dev/vfio/4013", O_RDWR), -ENOENT, "another group");
	TEST_ASSERT_SUCCESS(said[0], "%s", said);
	return TEST_SUCCESS;
}

static int
in_child(const void *arg __rte_unused)
{
	int fd = front_next(0, 1 << 20);

	front_child();
	if (front_kind(fd) != FRONT_NONE || fcntl(fd, F_GETFD) >= 0)
		return 1;
	return front_broker_open(CONTAINER, O_RDWR) == -EMFILE &&
			front_broker_open(GROUP, O_RDWR) == -EMFILE
		? 0
		: 2;
}

static int
test_child(void)
{
	static const char *const paths[] = {CONTAINER, CONTAINER, GROUP, NULL};
	int fd;

	if (hand_in("/dev/zero", paths) < 0)
		return TEST_FAILED;
	fd = front_broker_open(CONTAINER, O_RDWR);
	TEST_ASSERT(fd >= 0, "open");
	close(fd);
	TEST_ASSERT_SUCCESS(test_in_child(in_child, NULL), "a child has none");
	fd = front_broker_open(CONTAINER, O_RDWR);
	TEST_ASSERT(fd >= 0, "its parent still has");
	close(fd);
	return TEST_SUCCESS;
}

static int
test_bad_lists(void)
{
	static const struct {
		const char *list, *says;
	} cases[] = {
		{"x", "'x'"},
		{"3", "'3'"},
		{"=" CONTAINER, "'="},
		{"-1=" CONTAINER, "'-1="},
		{"0=/etc/passwd", "'0=/etc"},
		{"99999999999=" CONTAINER, "'9999"},
		{"987=" CONTAINER, "descriptor 987"},
		{"0=/dev/vfio/x12345678901234567890123456789012345678901234567890123456789",
			"'0=/dev/vfio/x"},
	};
	char list[64];
	unsigned int i;
	int fd, file;

	for (i = 0; i < RTE_DIM(cases); i++) {
		front_broker_fini();
		said[0] = '\0';
		setenv(BROKER_FDS_ENV, cases[i].list, 1);
		TEST_ASSERT_EQUAL(
			front_broker_open(CONTAINER, O_RDWR), -ENOENT, "%s", cases[i].list);
		TEST_ASSERT(
			strstr(said, cases[i].says) != NULL, "'%s' says: %s", cases[i].list, said);
	}
	/* An entry that is no device is ignored, and those after it are used. */
	front_broker_fini();
	fd = open("/dev/zero", O_RDWR);
	file = open("/proc/self/status", O_RDONLY);
	snprintf(list, sizeof(list), "%d=" CONTAINER ",%d=" CONTAINER, file, fd);
	setenv(BROKER_FDS_ENV, list, 1);
	fd = front_broker_open(CONTAINER, O_RDWR);
	TEST_ASSERT(is_device(fd, 1, 5), "the one that is good");
	TEST_ASSERT(fcntl(file, F_GETFD) >= 0, "the other is as it was");
	close(file);
	close(fd);
	return TEST_SUCCESS;
}

/* A broker that misbehaves */

/** Data that the broker sends in place of a reply. */
struct answer {
	const void *data;
	size_t len;
	unsigned int n_fds;
	int wanted; /**< the client's result */
};

struct bad_broker {
	const struct answer *answer;
	int listen;
	char path[64];
};

static void *
bad_broker_run(void *arg)
{
	const struct bad_broker *b = arg;
	struct broker_request request;
	union {
		char bytes[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {
		.iov_base = (void *)(uintptr_t)b->answer->data, .iov_len = b->answer->len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	const int fds[4] = {0, 0, 0, 0};
	int fd = accept(b->listen, NULL, NULL);

	if (recv(fd, &request, sizeof(request), 0) != sizeof(request) ||
		strcmp(request.path, GROUP) != 0)
		printf("  no request came\n");
	if (b->answer->n_fds > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(b->answer->n_fds * sizeof(int));
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(b->answer->n_fds * sizeof(int))};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, b->answer->n_fds * sizeof(int));
	}
	if (b->answer->data != NULL)
		sendmsg(fd, &msg, MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static int
ask_bad_broker(const struct answer *answer)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct bad_broker b = {.answer = answer};
	pthread_t thread;
	int fd;

	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/gantry-test-broker.%d", (int)getpid());
	b.listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	unlink(at.sun_path);
	if (bind(b.listen, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(b.listen, 1) < 0 ||
		pthread_create(&thread, NULL, bad_broker_run, &b) != 0)
		return 1;
	front_broker_fini();
	setenv(BROKER_SOCKET_ENV, at.sun_path, 1);
	fd = front_broker_open(GROUP, O_RDWR);
	pthread_join(thread, NULL);
	unlink(at.sun_path);
	close(b.listen);
	return fd;
}

static int
test_bad_broker(void)
{
	static const struct broker_reply ok = {0}, denied = {.err = EACCES},
					 absent = {.err = ENOENT}, negative = {.err = -EACCES};
	static const char long_reply[16];
	static const struct answer answers[] = {
		{&denied, sizeof(denied), 0, -EACCES},
		{&absent, sizeof(absent), 0, -ENOENT},
		{&ok, sizeof(ok), 0, -EPROTO},
		{&ok, sizeof(ok), 2, -EPROTO},
		{&ok, sizeof(ok), 4, -EPROTO},
		{&negative, sizeof(negative), 0, -EPROTO},
		{&ok, 2, 0, -EPROTO},
		{long_reply, sizeof(long_reply), 0, -EPROTO},
		{NULL, 0, 0, -ECONNRESET},
		/* A descriptor comes that the reply does not mention. */
		{&denied, sizeof(denied), 1, -EPROTO},
		{long_reply, sizeof(long_reply), 1, -EPROTO},
		{&ok, 2, 1, -EPROTO},
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(answers); i++) {
		said[0] = '\0';
		TEST_ASSERT_EQUAL(ask_bad_broker(&answers[i]), answers[i].wanted, "answer %u", i);
		TEST_ASSERT(answers[i].wanted == -ENOENT
				? strstr(said, "no broker") != NULL || said[0] == '\0'
				: strstr(said, GROUP ": broker at") != NULL,
			"answer %u says: %s", i, said);
		TEST_ASSERT_EQUAL(test_open_files(), files_before, "answer %u: descriptors", i);
	}
	return TEST_SUCCESS;
}

static int
test_no_broker(void)
{
	char path[200];

	setenv(BROKER_SOCKET_ENV, "/none/broker", 1);
	TEST_ASSERT_EQUAL(front_broker_open(CONTAINER, O_RDWR), -ENOENT, "no socket");
	TEST_ASSERT(strstr(said, "no broker socket at /none/broker") != NULL, "%s", said);
	front_broker_fini();
	setenv(BROKER_SOCKET_ENV, "/dev/null", 1);
	TEST_ASSERT_EQUAL(front_broker_open(CONTAINER, O_RDWR), -ECONNREFUSED, "no socket, a file");
	TEST_ASSERT(strstr(said, "it is running") != NULL, "%s", said);
	front_broker_fini();
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	setenv(BROKER_SOCKET_ENV, path, 1);
	TEST_ASSERT_EQUAL(front_broker_open(CONTAINER, O_RDWR), -ENOENT, "a name too long");
	TEST_ASSERT(strstr(said, "no broker is used") != NULL, "%s", said);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"only files of VFIO come from elsewhere, and only if something is set", test_serves},
	{"a container that was handed in serves one open", test_containers},
	{"a group that was handed in serves many opens, one after the other", test_groups},
	{"what was handed in is the parent's after a fork", test_child},
	{"a list that is wrong is said in a line", test_bad_lists},
	{"a broker that errs is said in a line, and no descriptor is left", test_bad_broker},
	{"a broker that is not there is said in a line", test_no_broker},
};

REGISTER_TEST_SUITE(front_broker_suite) = {
	.name = "front_broker",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
