/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the status socket of a process that uses VFIO, and of what it writes, on the mock
 * kernel. e2e/test_broker.py tests that Python reads it as JSON, with a real program.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <rte_common.h>

#include "child.h"
#include "front_calls.h"
#include "front_json.h"
#include "front_serve.h"
#include "test.h"

#define PAGE UINT64_C(4096)
#define IOVA UINT64_C(0x10000000)

static struct vfio_mock *mock;
static char dir[] = "/tmp/gantry-serve.XXXXXX";
static uint8_t *memory;
static char told[1 << 17];

static int
setup(void)
{
	const struct vfio_mock_conf conf = {.linux_version = VFIO_MOCK_LINUX(6, 12)};
	const struct vfio_mock_iommu_conf iommu = {.enforces_coherency = true};
	const struct vfio_mock_group_conf group = {.iommu = 0};

	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	if (mkdtemp(dir) == NULL || setenv("XDG_RUNTIME_DIR", dir, 1) < 0)
		return -errno;
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT_SUCCESS(vfio_mock_create(&conf, &mock), "no mock");
	vfio_mock_add_iommu(mock, &iommu);
	TEST_ASSERT_EQUAL(vfio_mock_add_group(mock, &group), 0, "group");
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, 0, "dev0", -1, "vfio-pci"), "device");
	return front_calls_begin(mock, (struct front_conf){.backend = DMAMAP_BACKEND_TYPE1});
}

static void
teardown(void)
{
	front_serve_stop();
	front_calls_end();
	vfio_mock_destroy(mock);
	munmap(memory, PAGE);
	rmdir(dir);
	unsetenv("XDG_RUNTIME_DIR");
}

/** Connect to the socket. @return a descriptor, or a negative errno. */
static int
connect_to(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	close(fd);
	return -errno;
}

/** Read the whole status text. @return its length, or a negative errno. */
static int
read_all(int fd)
{
	size_t len = 0;
	ssize_t got;

	if (fd < 0)
		return fd;
	while (len < sizeof(told) - 1 && (got = read(fd, told + len, sizeof(told) - 1 - len)) > 0)
		len += (size_t)got;
	told[len] = '\0';
	close(fd);
	return (int)len;
}

static int
ask(void)
{
	char path[128];

	return front_serve_path(path, sizeof(path)) == 0 ? -ENOENT : read_all(connect_to(path));
}

/** A container with one map, and a second map at the same place, which is refused. */
static int
map_twice(void)
{
	struct vfio_iommu_type1_dma_map map = {.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ,
		.vaddr = (uintptr_t)memory,
		.iova = IOVA,
		.size = PAGE};
	int c = front_calls_open("/dev/vfio/vfio"), g = front_calls_open("/dev/vfio/0");

	TEST_ASSERT(c >= 0 && g >= 0, "open");
	TEST_ASSERT_SUCCESS(front_calls_ioctl(g, VFIO_GROUP_SET_CONTAINER, (uintptr_t)&c), "group");
	TEST_ASSERT_SUCCESS(front_calls_ioctl(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "type");
	TEST_ASSERT_SUCCESS(front_calls_ioctl(c, VFIO_IOMMU_MAP_DMA, (uintptr_t)&map), "map");
	TEST_ASSERT_EQUAL(
		front_calls_ioctl(c, VFIO_IOMMU_MAP_DMA, (uintptr_t)&map), -EEXIST, "twice");
	return TEST_SUCCESS;
}

static int
test_tells(void)
{
	static const char *const has[] = {"{\"program\":\"", "\"spaces\":[{\"name\":\"",
		"\"backend\":\"type1\",\"domains\":1,\"parts\":[{\"start\":\"0x0\",\"last\":\"0x",
		",\"kind\":\"mapping\",\"mappings\":1}",
		"\"backend\":\"type1\",\"isolate\":false,"
		"\"coalesce\":\"off\",\"stats\":{\"containers\":1,\"groups\":1,\"devices\":"
		"0,\"domains\":1,"
		"\"maps\":1,\"entries\":1,\"map_calls\":2,\"unmap_calls\":0,",
		"\"refusals\":1},\"spaces\":[{",
		"],\"refusals\":[{"
		"\"number\":1,\"call\":\"VFIO_IOMMU_MAP_DMA\",\"error\":\"EEXIST\",\"why\":"
		"\""};
	char path[128];
	struct stat st;
	unsigned int i;

	TEST_ASSERT_EQUAL(front_serve_path(path, sizeof(path)), 0, "nothing before it began");
	TEST_ASSERT_SUCCESS(front_serve_start(), "start");
	TEST_ASSERT_EQUAL(front_serve_start(), -EALREADY, "twice");
	TEST_ASSERT(map_twice() == TEST_SUCCESS, "a program");
	TEST_ASSERT(ask() > 0, "an answer");
	for (i = 0; i < RTE_DIM(has); i++)
		TEST_ASSERT_NOT_NULL(strstr(told, has[i]), "%s\n in %s", has[i], told);
	TEST_ASSERT_SUCCESS(strcmp(told + strlen(told) - 4, "}]}\n"), "whole: %s", told);
	front_serve_path(path, sizeof(path));
	TEST_ASSERT(strncmp(path, dir, strlen(dir)) == 0 && stat(path, &st) == 0 &&
			(st.st_mode & 07777) == 0600,
		"%s", path);
	front_serve_stop();
	TEST_ASSERT(access(path, F_OK) < 0, "the socket is gone");
	TEST_ASSERT_SUCCESS(front_serve_start(), "again");
	TEST_ASSERT(ask() > 0, "an answer");
	return TEST_SUCCESS;
}

static int
test_places(void)
{
	char path[128], file[160];
	int fd;

	TEST_ASSERT_SUCCESS(front_serve_start(), "start");
	front_serve_path(path, sizeof(path));
	front_serve_stop();
	/* A file that is no socket of a dead process is not removed; the next folder is used. */
	fd = creat(path, 0600);
	TEST_ASSERT(fd >= 0, "a file");
	close(fd);
	TEST_ASSERT_SUCCESS(front_serve_start(), "start");
	front_serve_path(file, sizeof(file));
	TEST_ASSERT(strcmp(file, path) != 0 && ask() > 0, "elsewhere: %s", file);
	front_serve_stop();
	TEST_ASSERT(access(path, F_OK) == 0, "the file is there");
	unlink(path);
	setenv("XDG_RUNTIME_DIR", "relative", 1);
	TEST_ASSERT_SUCCESS(front_serve_start(), "start");
	front_serve_path(file, sizeof(file));
	TEST_ASSERT(file[0] == '/' && strcmp(file, path) != 0 && ask() > 0, "elsewhere: %s", file);
	front_serve_stop();
	setenv("XDG_RUNTIME_DIR", dir, 1);
	return TEST_SUCCESS;
}

static int
test_stale(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char path[128];

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/gantry-vfio.%d", dir, (int)getpid());
	TEST_ASSERT_SUCCESS(bind(fd, (struct sockaddr *)&at, sizeof(at)), "bind");
	close(fd);
	TEST_ASSERT_SUCCESS(front_serve_start(), "start");
	front_serve_path(path, sizeof(path));
	TEST_ASSERT(
		strcmp(path, at.sun_path) == 0 && ask() > 0, "a stale one is replaced: %s", path);
	return TEST_SUCCESS;
}

static int
in_child(const void *arg)
{
	char path[128];

	front_child();
	if (front_serve_path(path, sizeof(path)) != 0)
		return 1;
	front_serve_stop();
	if (access(arg, F_OK) < 0)
		return 2;
#ifdef __SANITIZE_THREAD__
	/* The thread sanitizer allows no thread in a child of a multithreaded process. */
	return 0;
#else
	/* A child may start a socket of its own. */
	if (front_serve_start() != 0 || front_serve_path(path, sizeof(path)) == 0 || ask() <= 0)
		return 3;
	front_serve_stop();
	return access(path, F_OK) < 0 ? 0 : 4;
#endif
}

static int
test_child(void)
{
	char path[128];

	TEST_ASSERT_SUCCESS(front_serve_start(), "start");
	front_serve_path(path, sizeof(path));
	TEST_ASSERT_SUCCESS(test_in_child(in_child, path), "a child leaves its parent's alone");
	TEST_ASSERT(ask() > 0, "the parent answers");
	return TEST_SUCCESS;
}

static int
test_silent_reader(void)
{
	char path[128];
	int fd, i, files = test_open_files();

	TEST_ASSERT_SUCCESS(front_serve_start(), "start");
	front_serve_path(path, sizeof(path));
	for (i = 0; i < 3; i++) {
		fd = connect_to(path);
		TEST_ASSERT(fd >= 0, "connect");
		close(fd);
	}
	fd = connect_to(path);
	TEST_ASSERT(ask() > 0, "who does not read is in nobody's way");
	close(fd);
	front_serve_stop();
	TEST_ASSERT_EQUAL((int)test_open_files(), files, "descriptors");
	return TEST_SUCCESS;
}

/* Concurrency */

static bool company_ends;

static void *
company_maps(void *arg __rte_unused)
{
	struct vfio_iommu_type1_dma_map map = {.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ,
		.vaddr = (uintptr_t)memory,
		.iova = IOVA,
		.size = PAGE};
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .iova = IOVA, .size = PAGE};
	int c = front_calls_open("/dev/vfio/vfio"), g = front_calls_open("/dev/vfio/0");

	front_calls_ioctl(g, VFIO_GROUP_SET_CONTAINER, (uintptr_t)&c);
	front_calls_ioctl(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	while (!__atomic_load_n(&company_ends, __ATOMIC_RELAXED)) {
		front_calls_ioctl(c, VFIO_IOMMU_MAP_DMA, (uintptr_t)&map);
		front_calls_ioctl(c, VFIO_IOMMU_MAP_DMA, (uintptr_t)&map);
		unmap.size = PAGE;
		front_calls_ioctl(c, VFIO_IOMMU_UNMAP_DMA, (uintptr_t)&unmap);
	}
	return NULL;
}

static int
test_company(void)
{
	pthread_t thread;
	int i, rc = TEST_SUCCESS;

	company_ends = false;
	TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, company_maps, NULL), "thread");
	for (i = 0; i < 20 && rc == TEST_SUCCESS; i++) {
		if (front_serve_start() != 0 || ask() <= 0 ||
			strcmp(told + strlen(told) - 3, "]}\n") != 0)
			rc = TEST_FAILED;
		front_serve_stop();
	}
	__atomic_store_n(&company_ends, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	TEST_ASSERT_SUCCESS(rc, "told: %s", told);
	return TEST_SUCCESS;
}

/* JSON */

static int
test_texts(void)
{
	static const struct {
		const char *text, *json;
	} cases[] = {
		{"", "\"\""},
		{"a\"b\\c/", "\"a\\\"b\\\\c/\""},
		{"\n\t\x01\x1f\x7f", "\"\\u000a\\u0009\\u0001\\u001f\x7f\""},
		{"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80",
			"\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\""},
		/*
		 * UTF-8 that is cut off, a lone continuation, an overlong form, half of a surrogate
		 * pair, above U+10FFFF.
		 */
		{"\xc3", "\"\\ufffd\""},
		{"\xe2\x82", "\"\\ufffd\\ufffd\""},
		{"\x80z", "\"\\ufffdz\""},
		{"\xc0\x80", "\"\\ufffd\\ufffd\""},
		{"\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\""},
		{"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
		{"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
		{"\xff", "\"\\ufffd\""},
		{"\xf0\x8f\xbf\xbf", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
	};
	struct front_json json;
	char wanted[128];
	int fds[2];
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		TEST_ASSERT_SUCCESS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair");
		front_json_begin(&json, fds[0]);
		front_json_open(&json, NULL, '[');
		front_json_text(&json, NULL, cases[i].text);
		front_json_number(&json, NULL, UINT64_MAX);
		front_json_bool(&json, NULL, true);
		front_json_open(&json, NULL, '{');
		front_json_close(&json, '}');
		front_json_close(&json, ']');
		TEST_ASSERT(front_json_end(&json), "sent");
		close(fds[0]);
		read_all(fds[1]);
		snprintf(wanted, sizeof(wanted), "[%s,18446744073709551615,true,{}]\n",
			cases[i].json);
		TEST_ASSERT_SUCCESS(strcmp(told, wanted), "%u: %s", i, told);
	}
	return TEST_SUCCESS;
}

static int
test_long(void)
{
	static char text[9001];
	struct front_json json;
	int fds[2];

	memset(text, '\x02', sizeof(text) - 1);
	TEST_ASSERT_SUCCESS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair");
	front_json_begin(&json, fds[0]);
	front_json_text(&json, NULL, text);
	TEST_ASSERT(front_json_end(&json), "sent");
	close(fds[0]);
	TEST_ASSERT_EQUAL(read_all(fds[1]), (int)(sizeof(text) - 1) * 6 + 3, "all of it");
	/* The client hung up. */
	TEST_ASSERT_SUCCESS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair");
	close(fds[1]);
	front_json_begin(&json, fds[0]);
	front_json_text(&json, NULL, text);
	TEST_ASSERT(!front_json_end(&json), "said, without a signal");
	close(fds[0]);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"the status has the state and the refusals", test_tells},
	{"existing files stay, and the next folder is used", test_places},
	{"a socket of a dead process is replaced", test_stale},
	{"a child neither answers nor removes its parent's socket", test_child},
	{"a silent client blocks no other", test_silent_reader},
	{"status is served while threads map, across restarts", test_company},
	{"any text is JSON", test_texts},
	{"long texts are sent whole, a closed client is a failure", test_long},
};

REGISTER_TEST_SUITE(front_serve_suite) = {
	.name = "front_serve",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
