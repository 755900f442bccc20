/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of attaching by descriptors that another process opened, in a process that may open
 * nothing. On the mock kernel, below a system call table whose open() refuses.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "child.h"
#include "dm_kernel.h"
#include "iommufd_abi.h"
#include "machine.h"
#include "test.h"

#define IOVA UINT64_C(0x40000000)
/** A number that is no group and no name of the machine. */
#define UNKNOWN_GROUP 77

/** The process's restricted kernel table, and the files that the broker opened for it. */
static struct dmamap_kernel pod;
static unsigned int opened; /**< files that the library tried to open itself */
static bool sysfs_masked;
static int container_fd, iommu_fd;
static unsigned int fetched;

static int
pod_open(void *arg __rte_unused, const char *path __rte_unused, int flags __rte_unused)
{
	opened++;
	return -EACCES;
}

static int
pod_list(void *arg, const char *path, int (*each)(void *ctx, const char *name), void *ctx)
{
	return sysfs_masked ? -ENOENT : vfio_mock_kernel(mock)->list(arg, path, each, ctx);
}

static int
pod_read_link(void *arg, const char *path, char *buf2, size_t size)
{
	return sysfs_masked ? -ENOENT : vfio_mock_kernel(mock)->read_link(arg, path, buf2, size);
}

static int
pod_read_file(void *arg, const char *path, char *buf2, size_t size)
{
	return sysfs_masked ? -ENOENT : vfio_mock_kernel(mock)->read_file(arg, path, buf2, size);
}

static int
broker_open(const char *path)
{
	return vfio_mock_open(mock, path);
}

static int
broker_group(int number)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/vfio/%d", number);
	return broker_open(path);
}

/** The container's open_container callback. */
static int
fetch_container(void *arg __rte_unused)
{
	fetched++;
	return broker_open("/dev/vfio/vfio");
}

static int
is_open(int fd)
{
	return vfio_mock_ioctl(mock, fd, VFIO_GET_API_VERSION, 0) != -EBADF;
}

/**
 * Make a machine of a Linux version, files of it, and a container c that has these files and may
 * open none.
 */
static int
begin(unsigned int linux_version, enum dmamap_backend backend, enum dmamap_sharing sharing,
	int (*open_container)(void *arg))
{
	const struct vfio_mock_conf machine = {.linux_version = linux_version};
	const struct vfio_mock_device_conf described = {.region[0] = {.size = KB4}};
	struct dmamap_container_conf conf = {.backend = backend,
		.sharing = sharing,
		.kernel = &pod,
		.open_container = open_container};

	TEST_ASSERT_SUCCESS(machine_remake(&machine, DMAMAP_SHARE), "machine");
	TEST_ASSERT_SUCCESS(vfio_mock_describe_device(mock, "nic0", &described), "describe");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	pod = *vfio_mock_kernel(mock);
	pod.open = pod_open;
	pod.list = pod_list;
	pod.read_link = pod_read_link;
	pod.read_file = pod_read_file;
	opened = fetched = 0;
	sysfs_masked = false;
	container_fd = iommu_fd = -1;
	if (backend == DMAMAP_BACKEND_IOMMUFD) {
		iommu_fd = broker_open("/dev/iommu");
		conf.iommu_fd = DMAMAP_GIVEN(iommu_fd);
	} else {
		container_fd = broker_open("/dev/vfio/vfio");
		conf.container_fd = DMAMAP_GIVEN(container_fd);
	}
	return dmamap_container_create(&conf, &c);
}

/** Check that the library opened no file and left none open. Close the broker's files. */
static int
end(void)
{
	char *dump;

	TEST_ASSERT_EQUAL(opened, 0, "the library opened %u files itself", opened);
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	if (container_fd >= 0)
		TEST_ASSERT_SUCCESS(vfio_mock_close(mock, container_fd), "the caller's was closed");
	if (iommu_fd >= 0)
		TEST_ASSERT_SUCCESS(vfio_mock_close(mock, iommu_fd), "the caller's was closed");
	dump = vfio_mock_dump(mock);
	TEST_ASSERT(strstr(dump, "file ") == NULL, "left open: %s", dump);
	free(dump);
	return machine_make_container(DMAMAP_SHARE);
}

static int
map_at_iova(void)
{
	rte_iova_t iova = IOVA;

	return dmamap_map(c, buf, MB2, DMAMAP_RW | DMAMAP_FIXED, &iova);
}

static int
type1_attaches_by_a_group(void)
{
	struct dmamap_device *d;
	struct dmamap_attach_conf conf = {.name = "nic0"};
	unsigned int i;
	int fd;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_BACKEND_AUTO, DMAMAP_SHARE, NULL), "begin");
	fd = broker_group(0);
	conf.group_fd = DMAMAP_GIVEN(fd);
	TEST_ASSERT_SUCCESS(map_at_iova(), "map");
	/* The caller's files can be used again, as the library never closes them. */
	for (i = 0; i < 2; i++) {
		TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &conf, &d), "attach %u", i);
		TEST_ASSERT_EQUAL(machine_info().backend, DMAMAP_BACKEND_TYPE1, "backend");
		TEST_ASSERT_EQUAL(dmamap_device_group(d), 0, "group %d", dmamap_device_group(d));
		TEST_ASSERT_EQUAL(dmamap_device_node(d), 0, "node %d", dmamap_device_node(d));
		TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
		TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
		TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "pages stay pinned");
	}
	/* The files are not needed after the call. */
	TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &conf, &d), "attach");
	TEST_ASSERT_SUCCESS(vfio_mock_close(mock, fd), "close");
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	return end();
}

static int
devices_of_a_group_share_its_file(void)
{
	struct dmamap_attach_conf conf = {.name = "twin0"};
	struct dmamap_device *a, *b;
	int fd;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_BACKEND_TYPE1, DMAMAP_SHARE, NULL), "begin");
	fd = broker_group(2);
	conf.group_fd = DMAMAP_GIVEN(fd);
	TEST_ASSERT_SUCCESS(map_at_iova(), "map");
	TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &conf, &a), "first");
	TEST_ASSERT_SUCCESS(
		dmamap_container_attach_fds(c, &(struct dmamap_attach_conf){.name = "twin1"}, &b),
		"second, without the file");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(a), "detach");
	TEST_ASSERT_SUCCESS(vfio_mock_close(mock, fd), "close");
	TEST_ASSERT(machine_reaches("twin1", IOVA, buf, MB2), "DMA");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(b), "detach");
	return end();
}

static int
further_domains_are_fetched(void)
{
	struct dmamap_attach_conf conf[2] = {{.name = "nic0"}, {.name = "odd0"}};
	struct dmamap_device *d[2];
	unsigned int can_fetch, i;
	int rc, fd[2];

	for (can_fetch = 0; can_fetch < 2; can_fetch++) {
		TEST_ASSERT_SUCCESS(begin(0, DMAMAP_BACKEND_TYPE1, DMAMAP_ISOLATE,
					    can_fetch ? fetch_container : NULL),
			"begin");
		for (i = 0; i < 2; i++) {
			fd[i] = broker_group(i == 0 ? 0 : 4);
			conf[i].group_fd = DMAMAP_GIVEN(fd[i]);
		}
		TEST_ASSERT_SUCCESS(map_at_iova(), "map");
		TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &conf[0], &d[0]), "first");
		test_log_begin();
		rc = dmamap_container_attach_fds(c, &conf[1], &d[1]);
		TEST_ASSERT(
			strstr(test_log_end(), "set open_container in the configuration") != NULL ||
				can_fetch,
			"log");
		TEST_ASSERT_EQUAL(rc, can_fetch ? 0 : -EACCES, "%d", rc);
		TEST_ASSERT_EQUAL(fetched, can_fetch, "%u", fetched);
		TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
		if (rc == 0) {
			TEST_ASSERT(machine_reaches("odd0", IOVA, buf, MB2), "DMA");
			TEST_ASSERT_SUCCESS(dmamap_container_detach(d[1]), "detach");
		}
		TEST_ASSERT_SUCCESS(dmamap_container_detach(d[0]), "detach");
		vfio_mock_close(mock, fd[0]);
		vfio_mock_close(mock, fd[1]);
		TEST_ASSERT_SUCCESS(end(), "end");
	}
	return TEST_SUCCESS;
}

/**
 * The broker has done all: group in the container, type, device. The library neither repeats nor
 * undoes it.
 */
static int
type1_attaches_by_a_device(void)
{
	struct dmamap_attach_conf conf = {.name = "nic0"};
	struct dmamap_device *d;
	unsigned int i;
	int fd, group;

	TEST_ASSERT_SUCCESS(
		begin(VFIO_MOCK_LINUX(6, 18), DMAMAP_BACKEND_TYPE1, DMAMAP_SHARE, NULL), "begin");
	group = broker_group(0);
	TEST_ASSERT_SUCCESS(
		vfio_mock_ioctl(mock, group, VFIO_GROUP_SET_CONTAINER, (uintptr_t)&container_fd),
		"SET_CONTAINER");
	TEST_ASSERT_SUCCESS(vfio_mock_ioctl(mock, container_fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
		"SET_IOMMU");
	fd = vfio_mock_ioctl(mock, group, VFIO_GROUP_GET_DEVICE_FD, (uintptr_t) "nic0");
	TEST_ASSERT(fd >= 0, "GET_DEVICE_FD: %d", fd);
	conf.device_fd = DMAMAP_GIVEN(fd);
	TEST_ASSERT_SUCCESS(map_at_iova(), "map");
	for (i = 0; i < 2; i++) {
		/* Since Linux 6.18 a device's file tells its name. */
		conf.name = i == 0 ? "nic0" : NULL;
		TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &conf, &d), "attach %u", i);
		TEST_ASSERT(
			strcmp(dmamap_device_name(d), "nic0") == 0, "%s", dmamap_device_name(d));
		TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
		TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
		TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "the domain is not empty");
	}
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_SET_CONTAINER), 1, "SET_CONTAINER");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_SET_IOMMU), 1, "SET_IOMMU");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_UNSET_CONTAINER), 0, "UNSET_CONTAINER");
	vfio_mock_close(mock, fd);
	vfio_mock_close(mock, group);
	return end();
}

static int
iommufd_attaches_by_a_character_device(void)
{
	const struct dmamap_container_conf two = {
		.kernel = &pod, .iommu_fd = DMAMAP_GIVEN(iommu_fd)};
	struct abi_vfio_ioas compat = {.size = sizeof(compat), .op = ABI_VFIO_IOAS_GET};
	struct abi_ioas_alloc alloc = {.size = sizeof(alloc)};
	struct dmamap_container_conf shared = two;
	struct dmamap_attach_conf conf = {0};
	struct dmamap_container *other;
	struct dmamap_device *d;
	int fd, rc;

	TEST_ASSERT_SUCCESS(
		begin(VFIO_MOCK_LINUX(6, 18), DMAMAP_BACKEND_IOMMUFD, DMAMAP_SHARE, NULL), "begin");
	/* The opener uses the iommufd as a VFIO container as well. */
	TEST_ASSERT_SUCCESS(
		vfio_mock_ioctl(mock, iommu_fd, ABI_IOMMU_IOAS_ALLOC, (uintptr_t)&alloc), "IOAS");
	compat.op = ABI_VFIO_IOAS_SET;
	compat.ioas_id = alloc.out_ioas_id;
	TEST_ASSERT_SUCCESS(
		vfio_mock_ioctl(mock, iommu_fd, ABI_IOMMU_VFIO_IOAS, (uintptr_t)&compat), "SET");
	fd = broker_open("/dev/vfio/devices/vfio0");
	TEST_ASSERT(fd >= 0, "%d", fd);
	conf.cdev_fd = DMAMAP_GIVEN(fd);
	TEST_ASSERT_SUCCESS(map_at_iova(), "map");
	TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &conf, &d), "attach");
	TEST_ASSERT(strcmp(dmamap_device_name(d), "nic0") == 0, "%s", dmamap_device_name(d));
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
	compat.op = ABI_VFIO_IOAS_GET;
	compat.ioas_id = 0;
	TEST_ASSERT_SUCCESS(
		vfio_mock_ioctl(mock, iommu_fd, ABI_IOMMU_VFIO_IOAS, (uintptr_t)&compat), "GET");
	TEST_ASSERT_EQUAL(
		compat.ioas_id, alloc.out_ioas_id, "the other's container was taken away");

	/*
	 * The device cannot move to another backend instance, as its file is bound for good. It
	 * stays where it was.
	 */
	shared.iommu_fd = DMAMAP_GIVEN(iommu_fd);
	TEST_ASSERT_SUCCESS(dmamap_container_create(&shared, &other), "create");
	test_log_begin();
	rc = dmamap_device_move(d, other);
	TEST_ASSERT(test_logged("is bound to the iommufd of another container until it is closed"),
		"log");
	TEST_ASSERT_EQUAL(rc, -EBUSY, "%d", rc);
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");

	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "pages stay pinned");
	test_log_begin();
	rc = dmamap_container_attach_fds(c, &conf, &d);
	TEST_ASSERT(test_logged("it was bound before (each opening binds once)"), "log");
	TEST_ASSERT_EQUAL(rc, -EBUSY, "%d", rc);
	vfio_mock_close(mock, fd);
	fd = broker_open("/dev/vfio/devices/vfio0");
	conf.cdev_fd = DMAMAP_GIVEN(fd);
	TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &conf, &d), "with a fresh file");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

/** A pod without /sys: the kernel's IOVA ranges exclude the MSI window all the same. */
static int
works_without_sysfs(void)
{
	struct dmamap_attach_conf conf = {.name = "nic0"};
	rte_iova_t msi = 0xfee00000;
	struct dmamap_device *d;
	int fd, rc;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_BACKEND_TYPE1, DMAMAP_SHARE, NULL), "begin");
	sysfs_masked = true;
	fd = broker_group(0);
	conf.group_fd = DMAMAP_GIVEN(fd);
	test_log_begin();
	rc = dmamap_container_attach_fds(c, &conf, &d);
	TEST_ASSERT(
		test_logged("nic0: sysfs does not show its group here: give its number"), "log");
	TEST_ASSERT_EQUAL(rc, -EINVAL, "%d", rc);
	conf.group = DMAMAP_GIVEN(UNKNOWN_GROUP);
	test_log_begin();
	rc = dmamap_container_attach_fds(c, &conf, &d);
	TEST_ASSERT(test_logged("nic0: sysfs does not show its group 77 here: reserved ranges are "
				"the gaps"),
		"log");
	TEST_ASSERT_SUCCESS(rc, "%d", rc);
	TEST_ASSERT_EQUAL(dmamap_device_group(d), UNKNOWN_GROUP, "%d", dmamap_device_group(d));
	TEST_ASSERT_EQUAL(dmamap_device_node(d), -1, "%d", dmamap_device_node(d));
	TEST_ASSERT_SUCCESS(map_at_iova(), "map");
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf + MB2, KB4, DMAMAP_RW | DMAMAP_FIXED, &msi), -ERANGE,
		"MSI window");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

static int
a_device_moves_with_its_files(void)
{
	struct dmamap_container_conf to = {.kernel = &pod};
	struct dmamap_attach_conf conf = {.name = "nic0"};
	struct dmamap_container *other;
	struct dmamap_device *d;
	int fd, second;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_BACKEND_TYPE1, DMAMAP_SHARE, NULL), "begin");
	second = broker_open("/dev/vfio/vfio");
	to.container_fd = DMAMAP_GIVEN(second);
	TEST_ASSERT_SUCCESS(dmamap_container_create(&to, &other), "create");
	fd = broker_group(0);
	conf.group_fd = DMAMAP_GIVEN(fd);
	TEST_ASSERT_SUCCESS(map_at_iova(), "map");
	TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &conf, &d), "attach");
	vfio_mock_close(mock, fd);
	TEST_ASSERT_SUCCESS(dmamap_device_move(d, other), "there");
	TEST_ASSERT(!machine_reaches("nic0", IOVA, buf, MB2), "it still reaches the old one");
	TEST_ASSERT_SUCCESS(dmamap_device_move(d, c), "back");
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	vfio_mock_close(mock, second);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	return end();
}

static int
refuses_what_contradicts_itself(void)
{
	struct dmamap_container_conf bad = {.kernel = &pod, .container_fd = DMAMAP_GIVEN(-1)};
	struct dmamap_container *other;
	struct dmamap_device *d;
	int group, cdev, rc;
	unsigned int i;

	TEST_ASSERT_SUCCESS(
		begin(VFIO_MOCK_LINUX(6, 18), DMAMAP_BACKEND_TYPE1, DMAMAP_SHARE, NULL), "begin");
	group = broker_group(0);
	cdev = broker_open("/dev/vfio/devices/vfio1");
	{
		const struct {
			struct dmamap_attach_conf conf;
			int rc;
			const char *log;
		} cases[] = {
			{{.name = "nic0", .group_fd = DMAMAP_GIVEN(-1)}, -EBADF,
				"group_fd: descriptor -1"},
			{{.name = "nic0", .group_fd = DMAMAP_GIVEN(12345)}, -EBADF,
				"hand in an open file"},
			{{.name = "nic0"}, -EINVAL, "the file of its group 0 was not handed in"},
			{{.group_fd = DMAMAP_GIVEN(group)}, -EINVAL,
				"unknown device: its files do not name it"},
			{{.name = "nic0",
				 .group_fd = DMAMAP_GIVEN(group),
				 .group = DMAMAP_GIVEN(5)},
				-EINVAL, "nic0: its group is 0, not 5"},
			{{.name = "nic0",
				 .group_fd = DMAMAP_GIVEN(group),
				 .group = DMAMAP_GIVEN(-1)},
				-EINVAL, "group numbers are not negative"},
			{{.name = "nic0", .group_fd = DMAMAP_GIVEN(container_fd)}, -ENODEV,
				"nic0: the file that was handed in (group_fd) is "
				"not a VFIO group"},
			{{.name = "nic0", .cdev_fd = DMAMAP_GIVEN(cdev)}, -EINVAL,
				"nic0: the file that was handed in belongs to "
				"another device, nic1"},
			{{.cdev_fd = DMAMAP_GIVEN(cdev)}, -EINVAL, "is for the iommufd backend"},
			{{.name = "nic1", .group_fd = DMAMAP_GIVEN(group)}, -ENODEV,
				"nic1: VFIO cannot open it"},
			{{.name = "nic0", .device_fd = DMAMAP_GIVEN(group)}, -ENODEV,
				"is not an open VFIO device"},
		};

		for (i = 0; i < RTE_DIM(cases); i++) {
			test_log_begin();
			rc = dmamap_container_attach_fds(c, &cases[i].conf, &d);
			TEST_ASSERT(test_logged(cases[i].log), "case %u", i);
			TEST_ASSERT_EQUAL(rc, cases[i].rc, "case %u: %d", i, rc);
		}
	}
	TEST_ASSERT_EQUAL(dmamap_container_create(&bad, &other), -EBADF, "container of no file");
	bad.container_fd = DMAMAP_GIVEN(group);
	TEST_ASSERT_SUCCESS(dmamap_container_create(&bad, &other), "create");
	test_log_begin();
	rc = dmamap_container_attach_fds(other,
		&(struct dmamap_attach_conf){.name = "nic0", .group_fd = DMAMAP_GIVEN(group)}, &d);
	TEST_ASSERT(test_logged("check that the file is a VFIO container"), "log");
	TEST_ASSERT_EQUAL(rc, -ENODEV, "%d", rc);
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	TEST_ASSERT(is_open(group) && is_open(cdev), "a file of the caller was closed");
	vfio_mock_close(mock, group);
	vfio_mock_close(mock, cdev);
	return end();
}

/** Each call into the kernel fails once. Everything is as before, and no descriptor is left. */
static int
leaves_nothing_when_a_call_fails(void)
{
	struct dmamap_attach_conf conf = {.name = "nic0"};
	const enum dmamap_backend backends[] = {DMAMAP_BACKEND_TYPE1, DMAMAP_BACKEND_IOMMUFD};
	struct dmamap_device *d;
	char *before, *after;
	unsigned int b, nth;
	int fd, rc;

	for (b = 0; b < RTE_DIM(backends); b++) {
		for (nth = 1;; nth++) {
			TEST_ASSERT_SUCCESS(
				begin(VFIO_MOCK_LINUX(6, 12), backends[b], DMAMAP_SHARE, NULL),
				"begin");
			TEST_ASSERT_SUCCESS(map_at_iova(), "map");
			fd = b == 0 ? broker_group(0) : broker_open("/dev/vfio/devices/vfio0");
			memset(&conf, 0, sizeof(conf));
			conf.name = "nic0";
			if (b == 0)
				conf.group_fd = DMAMAP_GIVEN(fd);
			else
				conf.cdev_fd = DMAMAP_GIVEN(fd);
			before = vfio_mock_dump(mock);
			vfio_mock_fail(mock, VFIO_MOCK_ANY & ~(1u << VFIO_MOCK_LOOKUP), nth, EIO);
			rc = dmamap_container_attach_fds(c, &conf, &d);
			vfio_mock_close(mock, fd);
			if (rc == 0)
				TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
			after = vfio_mock_dump(mock);
			TEST_ASSERT(strstr(after,
					    "device nic0: group 0, driver 'vfio-pci', open "
					    "0") != NULL,
				"call %u: %s was %s", nth, after, before);
			TEST_ASSERT_EQUAL(
				vfio_mock_locked(mock), 0, "call %u: pages are pinned", nth);
			free(before);
			free(after);
			rc = vfio_mock_failed(mock);
			vfio_mock_fail(mock, 0, 0, 0);
			TEST_ASSERT_SUCCESS(end(), "call %u", nth);
			if (rc < 0)
				break;
		}
		TEST_ASSERT(nth > 8, "%u calls", nth);
	}
	return TEST_SUCCESS;
}

static int
detach_and_destroy(const void *arg)
{
	const uint64_t before = vfio_mock_calls(mock, VFIO_MOCK_UNSET_CONTAINER);
	struct dmamap_device *const *d = arg;

	TEST_ASSERT_SUCCESS(dmamap_container_detach(*d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_EQUAL(
		vfio_mock_calls(mock, VFIO_MOCK_UNSET_CONTAINER), before, "UNSET_CONTAINER");
	return 0;
}

/** A forked child has copies of the descriptors, which refer to its parent's open files. */
static int
a_child_closes_its_duplicates(void)
{
	struct dmamap_attach_conf conf = {.name = "nic0"};
	struct dmamap_device *d;
	int fd;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_BACKEND_TYPE1, DMAMAP_SHARE, NULL), "begin");
	fd = broker_group(0);
	conf.group_fd = DMAMAP_GIVEN(fd);
	TEST_ASSERT_SUCCESS(map_at_iova(), "map");
	TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &conf, &d), "attach");
	TEST_ASSERT_SUCCESS(test_in_child(detach_and_destroy, &d), "child");
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

static int
noiommu_attaches_by_a_group(void)
{
	const struct vfio_mock_group_conf without = {.iommu = VFIO_MOCK_NOIOMMU};
	struct dmamap_attach_conf conf = {.name = "bare0"};
	struct dmamap_device *d;
	int fd, group, rc;
	char path[32];

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_BACKEND_NOIOMMU, DMAMAP_SHARE, NULL), "begin");
	group = vfio_mock_add_group(mock, &without);
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(mock, group, "bare0", 1, "vfio-pci"), "device");
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%d", group);
	fd = broker_open(path);
	conf.group_fd = DMAMAP_GIVEN(fd);
	TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &conf, &d), "attach");
	TEST_ASSERT_EQUAL(dmamap_device_node(d), 1, "%d", dmamap_device_node(d));
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	fd = broker_group(0);
	conf = (struct dmamap_attach_conf){.name = "nic0", .group_fd = DMAMAP_GIVEN(fd)};
	test_log_begin();
	rc = dmamap_container_attach_fds(c, &conf, &d);
	TEST_ASSERT(test_logged("nic0: it is behind an IOMMU"), "log");
	TEST_ASSERT_EQUAL(rc, -EINVAL, "%d", rc);
	vfio_mock_close(mock, fd);
	return end();
}

/** The calls of Linux that a pod makes: a duplicate is closed on exec, and fdinfo can be read. */
static int
linux_duplicates_and_reads_fdinfo(void)
{
	const struct dmamap_kernel *k = dm_kernel_of(NULL);
	int fd = open("/dev/null", O_RDWR), copy;
	char value[64];

	copy = dm_kernel_dup(k, fd);
	TEST_ASSERT(copy >= 0 && copy != fd, "%d", copy);
	TEST_ASSERT(fcntl(copy, F_GETFD) & FD_CLOEXEC, "it is inherited by programs");
	TEST_ASSERT_SUCCESS(dm_kernel_fdinfo(k, copy, "pos", value, sizeof(value)), "fdinfo");
	TEST_ASSERT(strcmp(value, "0") == 0, "\"%s\"", value);
	TEST_ASSERT_EQUAL(
		dm_kernel_fdinfo(k, copy, "po", value, sizeof(value)), -ENOENT, "half a key");
	TEST_ASSERT_EQUAL(dm_kernel_fdinfo(k, copy, "pos", value, 1), -ENAMETOOLONG, "no room");
	close(copy);
	close(fd);
	TEST_ASSERT_EQUAL(dm_kernel_dup(k, copy), -EBADF, "closed");
	TEST_ASSERT_EQUAL(
		dm_kernel_fdinfo(k, copy, "pos", value, sizeof(value)), -ENOENT, "closed");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"Linux duplicates files and tells of them", linux_duplicates_and_reads_fdinfo},
	{"type1 attaches by a group's file", type1_attaches_by_a_group},
	{"devices of a group share its file", devices_of_a_group_share_its_file},
	{"files for further domains are fetched", further_domains_are_fetched},
	{"type1 attaches by a device's file", type1_attaches_by_a_device},
	{"iommufd attaches by a character device's file", iommufd_attaches_by_a_character_device},
	{"noiommu attaches by a group's file", noiommu_attaches_by_a_group},
	{"a child closes its duplicates only", a_child_closes_its_duplicates},
	{"works without sysfs", works_without_sysfs},
	{"a device moves with its files", a_device_moves_with_its_files},
	{"refuses what contradicts itself", refuses_what_contradicts_itself},
	{"leaves nothing when a call fails", leaves_nothing_when_a_call_fails},
};

REGISTER_TEST_SUITE(fds_suite) = {
	.name = "fds",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown,
};
