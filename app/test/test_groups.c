/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Groups whose devices the caller opens itself (group_only), on the mock kernel: attached, moved,
 * merged and refused, by type1 and by iommufd.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>
#include <pthread.h>

#include "child.h"
#include "iommufd_abi.h"
#include "machine.h"
#include "test.h"

#define IOVA UINT64_C(0x40000000)
/** A number that is no group of the machine. */
#define UNKNOWN_GROUP 77

/** The backend of the running case. */
static enum dmamap_backend backend;

/** VFIO and iommufd of the mock, without type1 containers (CONFIG_VFIO_CONTAINER=n). */
static struct dmamap_kernel no_containers;
/** The last IOVA that the kernel reports as usable, even if the mock has more. */
static dmamap_iova_t admitted = UINT64_MAX;

static int
open_no_container(void *arg, const char *path, int flags)
{
	return strcmp(path, "/dev/vfio/vfio") == 0 ? -ENOENT
						   : vfio_mock_kernel(mock)->open(arg, path, flags);
}

static int
ioctl_admitting_less(void *arg, int fd, unsigned long request, uintptr_t param)
{
	int rc = vfio_mock_kernel(mock)->ioctl(arg, fd, request, param);
	struct abi_ioas_iova_ranges *cmd = (void *)param;
	struct abi_iova_range *r;

	if (rc < 0 || request != ABI_IOMMU_IOAS_IOVA_RANGES)
		return rc;
	r = (void *)(uintptr_t)cmd->allowed_iovas;
	while (cmd->num_iovas > 0 && r[cmd->num_iovas - 1].start > admitted)
		cmd->num_iovas--;
	if (cmd->num_iovas > 0)
		r[cmd->num_iovas - 1].last = RTE_MIN(r[cmd->num_iovas - 1].last, admitted);
	return rc;
}

/** The kernel of a case: for type1 the mock as it is, for iommufd without type1. */
static const struct dmamap_kernel *
kernel(void)
{
	if (backend == DMAMAP_BACKEND_TYPE1)
		return vfio_mock_kernel(mock);
	no_containers = *vfio_mock_kernel(mock);
	no_containers.open = open_no_container;
	no_containers.ioctl = ioctl_admitting_less;
	return &no_containers;
}

static int
make_container(enum dmamap_sharing sharing, bool as_linux, struct dmamap_container **out)
{
	const struct dmamap_container_conf conf = {
		.backend = backend, .sharing = sharing, .kernel = kernel(), .as_linux = as_linux};

	return dmamap_container_create(&conf, out);
}

/**
 * Make a machine of a Linux version, and a container c of the tested backend.
 * @param linux_version  0: the oldest that works, without character devices.
 */
static int
begin(unsigned int linux_version, enum dmamap_sharing sharing)
{
	const unsigned int oldest = backend == DMAMAP_BACKEND_IOMMUFD ? VFIO_MOCK_LINUX(6, 2) : 0;
	const struct vfio_mock_conf machine = {
		.linux_version = linux_version != 0 ? linux_version : oldest};

	admitted = UINT64_MAX;
	TEST_ASSERT_SUCCESS(machine_remake(&machine, DMAMAP_SHARE), "machine");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	return make_container(sharing, false, &c);
}

/** Check that no file is left open, and make the usual container again. */
static int
end(void)
{
	char *dump;

	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	dump = vfio_mock_dump(mock);
	TEST_ASSERT(strstr(dump, "file ") == NULL, "left open: %s", dump);
	free(dump);
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "pages stay pinned");
	return machine_make_container(DMAMAP_SHARE);
}

static int
open_group(int number)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/vfio/%d", number);
	return vfio_mock_open(mock, path);
}

/** Open a device as a caller does, by its own group descriptor. */
static int
open_device(int group_fd, const char *name)
{
	return vfio_mock_ioctl(mock, group_fd, VFIO_GROUP_GET_DEVICE_FD, (uintptr_t)name);
}

static uint32_t
group_flags(int group_fd)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};

	return vfio_mock_ioctl(mock, group_fd, VFIO_GROUP_GET_STATUS, (uintptr_t)&status) == 0
		? status.flags
		: 0;
}

static struct dmamap_attach_conf
conf_of(int group_fd, int number)
{
	return (struct dmamap_attach_conf){.group_fd = DMAMAP_GIVEN(group_fd),
		.group = DMAMAP_GIVEN(number),
		.group_only = true};
}

static int
attach(struct dmamap_container *to, int group_fd, int number, struct dmamap_device **d)
{
	const struct dmamap_attach_conf conf = conf_of(group_fd, number);

	return dmamap_container_attach_fds(to, &conf, d);
}

static int
map_at(dmamap_iova_t iova, char *va)
{
	return dmamap_map(c, va, MB2, DMAMAP_RW | DMAMAP_FIXED | DMAMAP_ALIAS, &iova);
}

static int
attaches_a_group(void)
{
	const struct dmamap_range page = {IOVA, IOVA + KB4 - 1};
	struct dmamap_device *d, *other;
	struct dmamap_fault fault;
	int fd, dev;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	fd = open_group(0);
	TEST_ASSERT_SUCCESS(map_at(IOVA, buf), "map");
	TEST_ASSERT_SUCCESS(attach(c, fd, 0, &d), "attach");
	TEST_ASSERT(strcmp(dmamap_device_name(d), "group-0") == 0, "%s", dmamap_device_name(d));
	/* A fault is of a device, which the kernel names. */
	TEST_ASSERT_SUCCESS(dmamap_fault_explain("nic0", page, 0, &fault), "a member's fault");
	TEST_ASSERT(strcmp(fault.device, "nic0") == 0, "%s", fault.device);
	TEST_ASSERT_EQUAL(dmamap_fault_explain("nic1", page, 0, &fault), -ENODEV, "another group");
	TEST_ASSERT_EQUAL(dmamap_device_fd(d), -1, "%d", dmamap_device_fd(d));
	TEST_ASSERT_EQUAL(dmamap_device_group(d), 0, "%d", dmamap_device_group(d));
	TEST_ASSERT_EQUAL(dmamap_device_node(d), -1, "%d", dmamap_device_node(d));
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_GET_DEVICE_FD), 0, "a device was opened");
	TEST_ASSERT_EQUAL(machine_info().n_domains, 1, "%u domains", machine_info().n_domains);
	TEST_ASSERT(
		group_flags(fd) & VFIO_GROUP_FLAGS_CONTAINER_SET, "the group is in no container");

	dev = open_device(fd, "nic0");
	TEST_ASSERT(dev >= 0, "GET_DEVICE_FD: %d", dev);
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA to what was mapped before");
	TEST_ASSERT_SUCCESS(map_at(2 * IOVA, buf), "map");
	TEST_ASSERT(machine_reaches("nic0", 2 * IOVA, buf, MB2), "DMA to what was mapped after");
	test_log_begin();
	TEST_ASSERT_EQUAL(attach(c, fd, 0, &other), -EALREADY, "twice");
	TEST_ASSERT(test_logged("group-0 is attached already"), "log");
	vfio_mock_close(mock, dev);

	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_EQUAL(group_flags(fd), VFIO_GROUP_FLAGS_VIABLE, "the group is still in use");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "pages stay pinned");
	TEST_ASSERT_SUCCESS(attach(c, fd, 0, &d), "again");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

/** By the name of a device: sysfs tells the group's number and the device's node. */
static int
a_device_may_name_the_group(void)
{
	struct dmamap_attach_conf conf = {.name = "twin1", .group_only = true};
	struct dmamap_device *d, *other;
	int fd, devs[2];

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	fd = open_group(2);
	conf.group_fd = DMAMAP_GIVEN(fd);
	TEST_ASSERT_SUCCESS(map_at(IOVA, buf), "map");
	TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &conf, &d), "attach");
	TEST_ASSERT_EQUAL(dmamap_device_group(d), 2, "%d", dmamap_device_group(d));
	conf.name = "twin0";
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_container_attach_fds(c, &conf, &other), -EALREADY, "twice");
	TEST_ASSERT(test_logged("twin0: its group 2 is attached already"), "log");
	devs[0] = open_device(fd, "twin0");
	devs[1] = open_device(fd, "twin1");
	TEST_ASSERT(devs[0] >= 0 && devs[1] >= 0, "%d %d", devs[0], devs[1]);
	TEST_ASSERT(machine_reaches("twin0", IOVA, buf, MB2), "DMA");
	vfio_mock_close(mock, devs[0]);
	TEST_ASSERT(machine_reaches("twin1", IOVA, buf, MB2), "DMA of the other");
	vfio_mock_close(mock, devs[1]);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

/**
 * A number that sysfs does not have. The reserved ranges are those that the kernel's ranges
 * exclude.
 */
static int
sysfs_need_not_know_the_group(void)
{
	struct dmamap_device *d;
	int fd;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	fd = open_group(0);
	test_log_begin();
	TEST_ASSERT_SUCCESS(attach(c, fd, UNKNOWN_GROUP, &d), "attach");
	TEST_ASSERT(test_logged("group-77: sysfs does not show its group 77 here"), "log");
	TEST_ASSERT_EQUAL(dmamap_device_group(d), UNKNOWN_GROUP, "%d", dmamap_device_group(d));
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

static int
refuses_what_does_not_go_together(void)
{
	struct dmamap_attach_conf conf;
	struct dmamap_device *d;
	int fd, container, rc;
	unsigned int i;

	TEST_ASSERT_SUCCESS(begin(VFIO_MOCK_LINUX(6, 12), DMAMAP_SHARE), "begin");
	fd = open_group(0);
	container = vfio_mock_open(mock, "/dev/vfio/vfio");
	{
		const struct {
			struct dmamap_attach_conf conf;
			int rc;
			const char *log;
		} cases[] = {
			{{.group = DMAMAP_GIVEN(0), .group_only = true}, -EINVAL,
				"group_only: hand in the file of the group "
				"(group_fd)"},
			{{.group_fd = DMAMAP_GIVEN(fd),
				 .cdev_fd = DMAMAP_GIVEN(fd),
				 .group = DMAMAP_GIVEN(0),
				 .group_only = true},
				-EINVAL, "and none of a device"},
			{{.group_fd = DMAMAP_GIVEN(fd),
				 .device_fd = DMAMAP_GIVEN(fd),
				 .group = DMAMAP_GIVEN(0),
				 .group_only = true},
				-EINVAL, "and none of a device"},
			{{.group_fd = DMAMAP_GIVEN(fd), .group_only = true}, -EINVAL,
				"unknown group: give its number"},
			{{.name = "nic0",
				 .group_fd = DMAMAP_GIVEN(fd),
				 .group = DMAMAP_GIVEN(1),
				 .group_only = true},
				-EINVAL, "nic0: its group is 0, not 1"},
			{{.group_fd = DMAMAP_GIVEN(container),
				 .group = DMAMAP_GIVEN(0),
				 .group_only = true},
				-ENODEV,
				"group-0: the file that was handed in (group_fd) is "
				"not a VFIO group"},
		};

		for (i = 0; i < RTE_DIM(cases); i++) {
			test_log_begin();
			rc = dmamap_container_attach_fds(c, &cases[i].conf, &d);
			TEST_ASSERT(test_logged(cases[i].log), "case %u", i);
			TEST_ASSERT_EQUAL(rc, cases[i].rc, "case %u: %d", i, rc);
		}
	}
	/* A group in another container cannot be attached. */
	TEST_ASSERT_SUCCESS(
		vfio_mock_ioctl(mock, fd, VFIO_GROUP_SET_CONTAINER, (uintptr_t)&container),
		"SET_CONTAINER");
	conf = conf_of(fd, 0);
	test_log_begin();
	rc = dmamap_container_attach_fds(c, &conf, &d);
	TEST_ASSERT(test_logged("is in another VFIO container"), "log");
	TEST_ASSERT_EQUAL(rc, backend == DMAMAP_BACKEND_TYPE1 ? -EINVAL : -EBUSY, "%d", rc);
	vfio_mock_close(mock, fd);
	vfio_mock_close(mock, container);
	return end();
}

/** A container into which the caller has put the group itself, by VFIO_GROUP_SET_CONTAINER. */
static int set_there = -1;

static int
ioctl_of_a_container_that_is_set(void *arg, int fd, unsigned long request, uintptr_t param)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};

	if (request == VFIO_GROUP_SET_CONTAINER &&
		vfio_mock_ioctl(mock, fd, VFIO_GROUP_GET_STATUS, (uintptr_t)&status) == 0 &&
		(status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET) && set_there >= 0)
		return 0;
	return vfio_mock_kernel(mock)->ioctl(arg, fd, request, param);
}

/**
 * A layer between library and kernel may report success if the group is in the container already.
 */
static int
a_group_may_be_there_already(void)
{
	const bool type1 = backend == DMAMAP_BACKEND_TYPE1;
	struct dmamap_container_conf conf = {.backend = backend};
	struct dmamap_kernel between;
	struct dmamap_device *d;
	int fd, dev;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	between = *vfio_mock_kernel(mock);
	between.ioctl = ioctl_of_a_container_that_is_set;
	conf.kernel = &between;
	set_there = vfio_mock_open(mock, type1 ? "/dev/vfio/vfio" : "/dev/iommu");
	conf.container_fd = (struct dmamap_given){set_there, type1};
	conf.iommu_fd = (struct dmamap_given){set_there, !type1};
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	fd = open_group(0);
	TEST_ASSERT_SUCCESS(map_at(IOVA, buf), "map");
	if (type1)
		TEST_ASSERT_SUCCESS(
			vfio_mock_ioctl(mock, fd, VFIO_GROUP_SET_CONTAINER, (uintptr_t)&set_there),
			"SET_CONTAINER");
	TEST_ASSERT_SUCCESS(attach(c, fd, 0, &d), "attach");
	dev = open_device(fd, "nic0");
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
	vfio_mock_close(mock, dev);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_EQUAL(group_flags(fd), VFIO_GROUP_FLAGS_VIABLE, "the group stays");
	vfio_mock_close(mock, set_there);
	set_there = -1;
	vfio_mock_close(mock, fd);
	return end();
}

static int
a_group_moves(void)
{
	struct dmamap_container *other;
	struct dmamap_device *d;
	char *before, *after;
	int fd, dev;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	TEST_ASSERT_SUCCESS(make_container(DMAMAP_SHARE, false, &other), "create");
	fd = open_group(0);
	TEST_ASSERT_SUCCESS(map_at(IOVA, buf), "map");
	TEST_ASSERT_SUCCESS(attach(c, fd, 0, &d), "attach");
	if (backend == DMAMAP_BACKEND_TYPE1) {
		/*
		 * The kernel does not release a group that has a device open. Everything is as
		 * before.
		 */
		dev = open_device(fd, "nic0");
		before = vfio_mock_dump(mock);
		test_log_begin();
		TEST_ASSERT_EQUAL(dmamap_device_move(d, other), -EBUSY, "with an open device");
		TEST_ASSERT(test_logged("close all files of its devices first"), "log");
		after = vfio_mock_dump(mock);
		TEST_ASSERT(strcmp(before, after) == 0, "%s became %s", before, after);
		free(before);
		free(after);
		TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
		vfio_mock_close(mock, dev);
	}
	TEST_ASSERT_SUCCESS(dmamap_device_move(d, other), "there");
	dev = open_device(fd, "nic0");
	TEST_ASSERT(!machine_reaches("nic0", IOVA, buf, MB2), "it still reaches the old one");
	vfio_mock_close(mock, dev);
	TEST_ASSERT_SUCCESS(dmamap_device_move(d, c), "back");
	dev = open_device(fd, "nic0");
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
	vfio_mock_close(mock, dev);
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

static int
containers_with_groups_merge(void)
{
	dmamap_iova_t iova = 2 * IOVA;
	struct dmamap_container *from;
	struct dmamap_device *d[2];
	int fd[2], dev[2], i;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	TEST_ASSERT_SUCCESS(make_container(DMAMAP_SHARE, false, &from), "create");
	for (i = 0; i < 2; i++) {
		fd[i] = open_group(i);
		TEST_ASSERT_SUCCESS(attach(i == 0 ? c : from, fd[i], i, &d[i]), "attach %d", i);
		dev[i] = open_device(fd[i], i == 0 ? "nic0" : "nic1");
		TEST_ASSERT(dev[i] >= 0, "%d", dev[i]);
	}
	TEST_ASSERT_SUCCESS(map_at(IOVA, buf), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_map(from, buf + MB2, MB2, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, from), "merge");
	for (i = 0; i < 2; i++) {
		const char *name = i == 0 ? "nic0" : "nic1";

		TEST_ASSERT(machine_reaches(name, IOVA, buf, MB2), "%s: DMA", name);
		TEST_ASSERT(machine_reaches(name, 2 * IOVA, buf + MB2, MB2), "%s: DMA", name);
		vfio_mock_close(mock, dev[i]);
		TEST_ASSERT_SUCCESS(dmamap_container_detach(d[i]), "detach");
		vfio_mock_close(mock, fd[i]);
	}
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(from), "destroy");
	return end();
}

/**
 * The caller should have closed its devices. A device that it left open reaches no memory any more.
 */
static int
detach_of_a_group_in_use(void)
{
	struct dmamap_device *d;
	int fd, dev;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	fd = open_group(0);
	TEST_ASSERT_SUCCESS(map_at(IOVA, buf), "map");
	TEST_ASSERT_SUCCESS(attach(c, fd, 0, &d), "attach");
	dev = open_device(fd, "nic0");
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
	test_log_begin();
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT(test_logged(backend == DMAMAP_BACKEND_TYPE1
				    ? "group 0 cannot leave its VFIO container now"
				    : "iommufd keeps IOAS"),
		"log");
	TEST_ASSERT(!machine_reaches("nic0", IOVA, buf, MB2), "DMA after the detach");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "pages stay pinned");
	vfio_mock_close(mock, dev);
	vfio_mock_close(mock, fd);
	return end();
}

/** Each call into the kernel fails once. Everything is as before, and no descriptor is left. */
static int
leaves_nothing_when_a_call_fails(void)
{
	const unsigned int least = 4;
	struct dmamap_device *d;
	char *before, *after;
	unsigned int nth;
	bool same;
	int fd, rc;

	for (nth = 1;; nth++) {
		TEST_ASSERT_SUCCESS(begin(VFIO_MOCK_LINUX(6, 12), DMAMAP_SHARE), "begin");
		TEST_ASSERT_SUCCESS(map_at(IOVA, buf), "map");
		fd = open_group(0);
		before = vfio_mock_dump(mock);
		vfio_mock_fail(mock, VFIO_MOCK_ANY & ~(1u << VFIO_MOCK_LOOKUP), nth, EIO);
		rc = attach(c, fd, 0, &d);
		after = vfio_mock_dump(mock);
		same = strcmp(before, after) == 0;
		if (rc == 0)
			TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
		else
			TEST_ASSERT(same, "call %u: %s became %s", nth, before, after);
		free(before);
		free(after);
		vfio_mock_close(mock, fd);
		rc = vfio_mock_failed(mock);
		vfio_mock_fail(mock, 0, 0, 0);
		TEST_ASSERT_SUCCESS(end(), "call %u", nth);
		if (rc < 0)
			break;
	}
	TEST_ASSERT(nth > least, "%u calls", nth);
	return TEST_SUCCESS;
}

static const struct {
	enum dmamap_reserved_type type;
	struct dmamap_range range;
} firmware[] = {
	{DMAMAP_RESERVED_RELAXABLE, {0x1000000, 0x10fffff}},
	{DMAMAP_RESERVED_DIRECT, {0x2000000, 0x20fffff}},
};

/** Add a group with a range for firmware, behind an IOMMU of its own. @return its number */
static int
add_firmware_group(const char *name)
{
	struct vfio_mock_group_conf group = {.iommu = vfio_mock_add_iommu(mock, NULL), .n_resv = 2};
	struct vfio_mock_resv resv[2];
	int i, number;

	for (i = 0; i < 2; i++)
		resv[i] = (struct vfio_mock_resv){firmware[i].range, firmware[i].type};
	group.resv = resv;
	number = vfio_mock_add_group(mock, &group);
	return vfio_mock_add_device(mock, number, name, 0, "vfio-pci") == 0 ? number : -1;
}

static int
usable_as_linux_says(void)
{
	const struct dmamap_range expected[] = {
		{0, 0x1ffffff}, {0x2100000, (UINT64_C(1) << 39) - 1}};
	struct dmamap_container_info info;
	dmamap_iova_t iova = 0, chosen[2];
	struct dmamap_device *d;
	int fd, dev, number;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	number = add_firmware_group("rmrr0");
	TEST_ASSERT(number >= 0, "group");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_SUCCESS(make_container(DMAMAP_SHARE, true, &c), "create");
	fd = open_group(number);
	/* Without a device page 0 is usable, too, but it is only mapped by FIXED, never chosen. */
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova), "page 0");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, 0, KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_LOW32, &chosen[0]), "low");
	TEST_ASSERT(chosen[0] != 0, "page 0 was chosen");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, KB4, 0, DMAMAP_ANYWHERE, &chosen[1]), "reserve");
	TEST_ASSERT(chosen[1] != 0, "page 0 was chosen");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, chosen[1], KB4), "release");
	TEST_ASSERT_SUCCESS(
		dmamap_iova_reserve(c, KB4, 0, (struct dmamap_range){0, KB4 - 1}, &chosen[1]),
		"page 0 by name");
	TEST_ASSERT_EQUAL(chosen[1], 0, "0x%" PRIx64, chosen[1]);
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, 0, KB4), "release");

	TEST_ASSERT_SUCCESS(attach(c, fd, number, &d), "attach");
	dev = open_device(fd, "rmrr0");
	TEST_ASSERT(dev >= 0, "%d", dev);
	TEST_ASSERT_SUCCESS(dmamap_container_refresh(c), "refresh");
	info = machine_info();
	TEST_ASSERT_EQUAL(info.n_ranges, 2, "%u ranges", info.n_ranges);
	TEST_ASSERT(memcmp(info.ranges, expected, sizeof(expected)) == 0,
		"ranges [0x%" PRIx64 ", 0x%" PRIx64 "]", info.ranges[0].start, info.ranges[0].last);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, chosen[0], KB4), "unmap");
	iova = 0;
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW | DMAMAP_FIXED, &iova), "IOVA 0");
	TEST_ASSERT(machine_reaches("rmrr0", 0, buf, MB2), "DMA at IOVA 0");
	TEST_ASSERT_EQUAL(dmamap_iova2va(c, 0), buf, "translation of IOVA 0");
	iova = firmware[0].range.start;
	TEST_ASSERT_SUCCESS(map_at(iova, buf + MB2), "relaxable range");
	TEST_ASSERT(machine_reaches("rmrr0", iova, buf + MB2, MB2), "DMA in the relaxable range");
	TEST_ASSERT_EQUAL(map_at(firmware[1].range.start, buf), -EADDRINUSE, "direct range");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, 0, MB2), "unmap at IOVA 0");
	vfio_mock_close(mock, dev);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

/** The IOAS that is the VFIO container of an iommufd; 0: there is none. */
static uint32_t
compat_ioas(int iommufd)
{
	struct abi_vfio_ioas get = {.size = sizeof(get), .op = ABI_VFIO_IOAS_GET};

	return vfio_mock_ioctl(mock, iommufd, ABI_IOMMU_VFIO_IOAS, (uintptr_t)&get) == 0
		? get.ioas_id
		: 0;
}

/** Make a container on the caller's iommufd. */
static int
begin_given(unsigned int linux_version, int *iommufd)
{
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_IOMMUFD};

	TEST_ASSERT_SUCCESS(begin(linux_version, DMAMAP_SHARE), "begin");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	*iommufd = vfio_mock_open(mock, "/dev/iommu");
	conf.iommu_fd = DMAMAP_GIVEN(*iommufd);
	conf.kernel = kernel();
	return dmamap_container_create(&conf, &c);
}

/**
 * Devices are opened while others attach. The compatibility IOAS, into which they go, does not
 * change.
 */
static int
groups_of_an_iommufd_share_one_domain(void)
{
	static const char *const names[] = {"nic0", "nic1", "odd0"};
	const int numbers[] = {0, 1, 4};
	struct dmamap_device *d[3];
	int fd[3], dev[3], iommufd, i;
	uint32_t id = 0;

	TEST_ASSERT_SUCCESS(begin_given(0, &iommufd), "begin");
	TEST_ASSERT_SUCCESS(map_at(IOVA, buf), "map");
	for (i = 0; i < 3; i++) {
		fd[i] = open_group(numbers[i]);
		TEST_ASSERT_SUCCESS(attach(c, fd[i], numbers[i], &d[i]), "attach %d", i);
		TEST_ASSERT(compat_ioas(iommufd) != 0 && (i == 0 || compat_ioas(iommufd) == id),
			"attach %d: IOAS %u", i, compat_ioas(iommufd));
		id = compat_ioas(iommufd);
		dev[i] = open_device(fd[i], names[i]);
		TEST_ASSERT(dev[i] >= 0, "%s: %d", names[i], dev[i]);
		TEST_ASSERT_SUCCESS(dmamap_container_refresh(c), "refresh");
		TEST_ASSERT_EQUAL(compat_ioas(iommufd), id, "IOAS %u", compat_ioas(iommufd));
	}
	TEST_ASSERT_EQUAL(machine_info().n_domains, 1, "%u domains", machine_info().n_domains);
	TEST_ASSERT_EQUAL(machine_info().n_groups, 3, "%u groups", machine_info().n_groups);
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), MB2, "pages are pinned %" PRIu64 " bytes",
		vfio_mock_locked(mock));
	for (i = 0; i < 3; i++)
		TEST_ASSERT(machine_reaches(names[i], IOVA, buf, MB2), "%s: DMA", names[i]);
	for (i = 0; i < 3; i++) {
		vfio_mock_close(mock, dev[i]);
		TEST_ASSERT_SUCCESS(dmamap_container_detach(d[i]), "detach");
		vfio_mock_close(mock, fd[i]);
		TEST_ASSERT_EQUAL(
			compat_ioas(iommufd), i < 2 ? id : 0, "IOAS %u", compat_ioas(iommufd));
	}
	vfio_mock_close(mock, iommufd);
	return end();
}

static int
groups_of_an_iommufd_are_not_isolated(void)
{
	struct dmamap_device *d, *second;
	int fd[2], dev, rc;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_ISOLATE), "begin");
	fd[0] = open_group(0);
	fd[1] = open_group(1);
	TEST_ASSERT_SUCCESS(map_at(IOVA, buf), "map");
	TEST_ASSERT_SUCCESS(attach(c, fd[0], 0, &d), "first");
	test_log_begin();
	rc = attach(c, fd[1], 1, &second);
	TEST_ASSERT(test_logged("group-1: its group 1 cannot have a domain of its own"), "log");
	TEST_ASSERT_EQUAL(rc, -ENOTSUP, "%d", rc);
	dev = open_device(fd[0], "nic0");
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
	vfio_mock_close(mock, dev);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(attach(c, fd[1], 1, &second), "alone");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(second), "detach");
	vfio_mock_close(mock, fd[0]);
	vfio_mock_close(mock, fd[1]);
	return end();
}

static int
groups_and_character_devices_do_not_mix(void)
{
	struct dmamap_device *d, *other;
	int fd, rc;

	TEST_ASSERT_SUCCESS(begin(VFIO_MOCK_LINUX(6, 12), DMAMAP_SHARE), "begin");
	fd = open_group(0);
	TEST_ASSERT_SUCCESS(attach(c, fd, 0, &d), "group");
	test_log_begin();
	rc = dmamap_container_attach(c, "nic1", &other);
	TEST_ASSERT(test_logged("nic1: by its character device, where groups are attached"), "log");
	TEST_ASSERT_EQUAL(rc, -EINVAL, "%d", rc);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_attach(c, "nic1", &d), "character device");
	test_log_begin();
	rc = attach(c, fd, 0, &other);
	TEST_ASSERT(test_logged("group-0: by its group (group_only), where devices are attached"),
		"log");
	TEST_ASSERT_EQUAL(rc, -EINVAL, "%d", rc);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(attach(c, fd, 0, &d), "group");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

static int
an_iommufd_of_somebody_else_is_left_alone(void)
{
	struct abi_vfio_ioas set = {.size = sizeof(set), .op = ABI_VFIO_IOAS_SET};
	struct abi_ioas_alloc alloc = {.size = sizeof(alloc)};
	struct dmamap_device *d;
	int fd, iommufd, rc;

	TEST_ASSERT_SUCCESS(begin_given(0, &iommufd), "begin");
	TEST_ASSERT_SUCCESS(
		vfio_mock_ioctl(mock, iommufd, ABI_IOMMU_IOAS_ALLOC, (uintptr_t)&alloc), "IOAS");
	set.ioas_id = alloc.out_ioas_id;
	TEST_ASSERT_SUCCESS(
		vfio_mock_ioctl(mock, iommufd, ABI_IOMMU_VFIO_IOAS, (uintptr_t)&set), "SET");
	fd = open_group(0);
	test_log_begin();
	rc = attach(c, fd, 0, &d);
	TEST_ASSERT(test_logged("is a VFIO container already (IOAS"), "log");
	TEST_ASSERT_EQUAL(rc, -EBUSY, "%d", rc);
	TEST_ASSERT_EQUAL(compat_ioas(iommufd), alloc.out_ioas_id, "it was taken away");
	TEST_ASSERT_EQUAL(group_flags(fd), VFIO_GROUP_FLAGS_VIABLE, "the group is in a container");
	vfio_mock_close(mock, fd);
	vfio_mock_close(mock, iommufd);
	return end();
}

/** If sysfs does not tell a group's reserved ranges, they are found when its device is opened. */
static int
a_conflict_comes_with_the_device(void)
{
	struct dmamap_device *d;
	int fd, dev;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	fd = open_group(4);
	test_log_begin();
	TEST_ASSERT_SUCCESS(attach(c, fd, UNKNOWN_GROUP, &d), "attach");
	test_log_end();
	TEST_ASSERT_SUCCESS(map_at(0x8000000, buf), "map");
	dev = open_device(fd, "odd0");
	TEST_ASSERT_EQUAL(dev, -EADDRINUSE, "%d", dev);
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, 0x8000000, MB2), "unmap");
	dev = open_device(fd, "odd0");
	TEST_ASSERT(dev >= 0, "%d", dev);
	TEST_ASSERT_SUCCESS(dmamap_container_refresh(c), "refresh");
	TEST_ASSERT_EQUAL(map_at(0x8000000, buf), -ERANGE, "where the kernel says no");
	vfio_mock_close(mock, dev);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

static dmamap_iova_t
last_usable(void)
{
	const struct dmamap_container_info info = machine_info();

	return info.ranges[info.n_ranges - 1].last;
}

static int
refresh_follows_the_kernel(void)
{
	const dmamap_iova_t narrow = UINT32_MAX;
	struct dmamap_container_info before, after;
	struct dmamap_device *d;
	int fd, dev, rc;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	TEST_ASSERT_EQUAL(dmamap_container_refresh(NULL), -EINVAL, "of nothing");
	before = machine_info();
	TEST_ASSERT_SUCCESS(dmamap_container_refresh(c), "without devices");
	after = machine_info();
	TEST_ASSERT(memcmp(&before, &after, sizeof(before)) == 0, "it changed something");
	fd = open_group(3);
	TEST_ASSERT_SUCCESS(attach(c, fd, 3, &d), "attach");
	if (backend == DMAMAP_BACKEND_IOMMUFD)
		TEST_ASSERT_EQUAL(last_usable(), UINT64_MAX, "0x%" PRIx64, last_usable());
	dev = open_device(fd, "narrow0");
	TEST_ASSERT(dev >= 0, "%d", dev);
	before = machine_info();
	vfio_mock_fail(mock, VFIO_MOCK_ANY, 1, EIO);
	test_log_begin();
	rc = dmamap_container_refresh(c);
	TEST_ASSERT(
		test_logged("domain 0: cannot read its IOVA ranges: Input/output error"), "log");
	TEST_ASSERT_EQUAL(rc, -EIO, "%d", rc);
	after = machine_info();
	TEST_ASSERT(memcmp(&before, &after, sizeof(before)) == 0, "a failure changed something");
	TEST_ASSERT_SUCCESS(dmamap_container_refresh(c), "refresh");
	TEST_ASSERT_EQUAL(last_usable(), narrow, "0x%" PRIx64, last_usable());
	vfio_mock_close(mock, dev);
	TEST_ASSERT_SUCCESS(dmamap_container_refresh(c), "refresh");
	TEST_ASSERT_EQUAL(last_usable(), backend == DMAMAP_BACKEND_IOMMUFD ? UINT64_MAX : narrow,
		"0x%" PRIx64, last_usable());
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

/** A mapping and a reservation that the kernel no longer reaches stay until they are released. */
static int
refresh_keeps_what_is_live(void)
{
	const dmamap_iova_t high = UINT64_C(1) << 40;
	struct dmamap_conflict conflicts[4];
	dmamap_iova_t reserved = 0, iova = high;
	struct dmamap_device *d, *second;
	int fd[2], rc;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	fd[0] = open_group(0);
	fd[1] = open_group(1);
	TEST_ASSERT_SUCCESS(attach(c, fd[0], 0, &d), "attach");
	TEST_ASSERT_SUCCESS(map_at(high, buf), "map");
	TEST_ASSERT_SUCCESS(dmamap_iova_reserve(c, MB2, MB2,
				    (struct dmamap_range){2 * high, 3 * high}, &reserved),
		"reserve");
	admitted = high - 1;
	test_log_begin();
	rc = dmamap_container_refresh(c);
	TEST_ASSERT(strstr(test_log_end(),
			    "refresh: the mapping [0x10000000000, 0x100001fffff] of "
			    "container"),
		"log");
	TEST_ASSERT_SUCCESS(rc, "%d", rc);
	TEST_ASSERT_EQUAL(
		dmamap_container_conflicts(c, conflicts, RTE_DIM(conflicts)), 2, "conflicts");
	TEST_ASSERT_EQUAL(
		conflicts[1].range.start, reserved, "0x%" PRIx64, conflicts[1].range.start);
	TEST_ASSERT_EQUAL(last_usable(), high - 1, "0x%" PRIx64, last_usable());
	TEST_ASSERT_EQUAL(dmamap_iova2va(c, high), buf, "translation");
	/* It does not block other devices. */
	TEST_ASSERT_SUCCESS(attach(c, fd[1], 1, &second), "attach beside it");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(second), "detach");

	TEST_ASSERT_SUCCESS(dmamap_unmap(c, high, MB2), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, reserved, MB2), "release");
	test_log_begin();
	rc = map_at(high, buf);
	TEST_ASSERT(test_logged("outside the aperture"), "log");
	TEST_ASSERT_EQUAL(rc, -ERANGE, "%d", rc);
	TEST_ASSERT_EQUAL(
		dmamap_iova_reserve(c, MB2, MB2, (struct dmamap_range){high, 4 * high}, &reserved),
		-ENOSPC, "where the kernel says no");
	admitted = UINT64_MAX;
	TEST_ASSERT_SUCCESS(dmamap_container_refresh(c), "refresh");
	TEST_ASSERT_EQUAL(dmamap_container_conflicts(c, NULL, 0), 0, "conflicts");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW | DMAMAP_FIXED, &iova), "map again");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, high, MB2), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd[0]);
	vfio_mock_close(mock, fd[1]);
	return end();
}

static bool stop;

static void *
map_and_unmap(void *arg)
{
	const dmamap_iova_t iova = IOVA + (uintptr_t)arg * MB2;
	char *va = buf + (uintptr_t)arg * MB2;
	int rc = 0;

	while (rc == 0 && !__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		rc = map_at(iova, va);
		if (rc == 0)
			rc = dmamap_unmap(c, iova, MB2);
	}
	return (void *)(intptr_t)rc;
}

static int
refresh_beside_maps(void)
{
	struct dmamap_container_info info;
	struct dmamap_device *d;
	pthread_t threads[2];
	void *result[2];
	int fd, rc = 0;
	uintptr_t i;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	fd = open_group(0);
	TEST_ASSERT_SUCCESS(attach(c, fd, 0, &d), "attach");
	info = machine_info();
	stop = false;
	for (i = 0; i < 2; i++)
		TEST_ASSERT_SUCCESS(
			pthread_create(&threads[i], NULL, map_and_unmap, (void *)i), "thread");
	for (i = 0; i < 2000 && rc == 0; i++)
		rc = dmamap_container_refresh(c);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], &result[i]);
	TEST_ASSERT_SUCCESS(rc, "refresh: %d", rc);
	TEST_ASSERT(result[0] == NULL && result[1] == NULL, "a map or unmap failed");
	TEST_ASSERT_EQUAL(machine_info().entries_left, info.entries_left, "entries are miscounted");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

static int
refresh_and_detach(const void *arg)
{
	struct dmamap_device *const *d = arg;

	TEST_ASSERT_EQUAL(dmamap_container_refresh(c), -ECHILD, "refresh");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(*d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	return 0;
}

/** Group and iommufd belong to the parent. */
static int
a_child_leaves_the_group_alone(void)
{
	struct dmamap_device *d;
	int fd, dev;

	TEST_ASSERT_SUCCESS(begin(0, DMAMAP_SHARE), "begin");
	fd = open_group(0);
	TEST_ASSERT_SUCCESS(map_at(IOVA, buf), "map");
	TEST_ASSERT_SUCCESS(attach(c, fd, 0, &d), "attach");
	TEST_ASSERT_SUCCESS(test_in_child(refresh_and_detach, &d), "child");
	dev = open_device(fd, "nic0");
	TEST_ASSERT(machine_reaches("nic0", IOVA, buf, MB2), "DMA");
	vfio_mock_close(mock, dev);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, fd);
	return end();
}

#define BY_TYPE1(function)                                                                         \
	static int function##_type1(void)                                                          \
	{                                                                                          \
		backend = DMAMAP_BACKEND_TYPE1;                                                    \
		return function();                                                                 \
	}
#define BY_IOMMUFD(function)                                                                       \
	static int function##_iommufd(void)                                                        \
	{                                                                                          \
		backend = DMAMAP_BACKEND_IOMMUFD;                                                  \
		return function();                                                                 \
	}
#define BY_BOTH(function) BY_TYPE1(function) BY_IOMMUFD(function)

BY_BOTH(attaches_a_group)
BY_BOTH(a_device_may_name_the_group)
BY_BOTH(sysfs_need_not_know_the_group)
BY_BOTH(refuses_what_does_not_go_together)
BY_BOTH(a_group_may_be_there_already)
BY_BOTH(a_group_moves)
BY_BOTH(containers_with_groups_merge)
BY_BOTH(detach_of_a_group_in_use)
BY_BOTH(leaves_nothing_when_a_call_fails)
BY_BOTH(a_child_leaves_the_group_alone)
BY_BOTH(usable_as_linux_says)
BY_BOTH(refresh_follows_the_kernel)
BY_BOTH(refresh_beside_maps)
BY_IOMMUFD(groups_of_an_iommufd_share_one_domain)
BY_IOMMUFD(groups_of_an_iommufd_are_not_isolated)
BY_IOMMUFD(groups_and_character_devices_do_not_mix)
BY_IOMMUFD(an_iommufd_of_somebody_else_is_left_alone)
BY_IOMMUFD(a_conflict_comes_with_the_device)
BY_IOMMUFD(refresh_keeps_what_is_live)

#define BOTH(text, function)                                                                       \
	{"type1: " text, function##_type1},                                                        \
	{                                                                                          \
		"iommufd: " text, function##_iommufd                                               \
	}

static const struct test_case cases[] = {
	BOTH("a group is attached, its devices are the caller's", attaches_a_group),
	BOTH("a device may name the group", a_device_may_name_the_group),
	BOTH("sysfs need not know the group", sysfs_need_not_know_the_group),
	BOTH("refuses what does not go together", refuses_what_does_not_go_together),
	BOTH("a group may be there already", a_group_may_be_there_already),
	BOTH("a group moves", a_group_moves),
	BOTH("containers with groups merge", containers_with_groups_merge),
	BOTH("a group in use is detached", detach_of_a_group_in_use),
	BOTH("leaves nothing when a call fails", leaves_nothing_when_a_call_fails),
	BOTH("a child leaves the group alone", a_child_leaves_the_group_alone),
	BOTH("IOVAs are usable as Linux says", usable_as_linux_says),
	BOTH("a refresh follows the kernel", refresh_follows_the_kernel),
	BOTH("a refresh runs beside maps", refresh_beside_maps),
	{"iommufd: all groups share one domain", groups_of_an_iommufd_share_one_domain_iommufd},
	{"iommufd: groups are not isolated", groups_of_an_iommufd_are_not_isolated_iommufd},
	{"iommufd: groups and character devices do not mix",
		groups_and_character_devices_do_not_mix_iommufd},
	{"iommufd: a foreign iommufd is left alone",
		an_iommufd_of_somebody_else_is_left_alone_iommufd},
	{"iommufd: a conflict comes with the device", a_conflict_comes_with_the_device_iommufd},
	{"iommufd: a refresh keeps what is live", refresh_keeps_what_is_live_iommufd},
};

REGISTER_TEST_SUITE(groups_suite) = {
	.name = "groups",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown,
};
