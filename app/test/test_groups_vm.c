/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Groups whose devices the caller opens itself (group_only), on a real kernel: an edu device,
 * opened by its group's file as other programs do, reaches what the container maps.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <dmamap.h>

#include "test.h"
#include "test_dma_edu_raw.h"

#define PAGE ((size_t)4096)
#define IOVA UINT64_C(0x10000000)
#define LEN 1000

static enum dmamap_backend backend;
static struct dmamap_container *box;
static struct area *from, *to;

static int
setup(void)
{
	if (edu_raw_name(0) == NULL)
		return test_skip("no edu device is bound to vfio-pci");
	from = area_make(PAGE);
	to = area_make(PAGE);
	TEST_ASSERT(from != NULL && to != NULL, "memory");
	return TEST_SUCCESS;
}

static void
teardown(void)
{
	if (box != NULL && dmamap_container_destroy(box) == 0)
		box = NULL;
	if (box == NULL)
		areas_free();
}

/** The number of the edu device's group; -1: it has none. */
static int
group_number(void)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", edu_raw_name(0));
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return -1;
	target[len] = '\0';
	return atoi(strrchr(target, '/') + 1);
}

static int
group_open(int number)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/%d", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int
map(dmamap_iova_t iova, const struct area *r)
{
	return dmamap_map(box, r->va, r->len, DMAMAP_RW | DMAMAP_FIXED | DMAMAP_ALIAS, &iova);
}

static dmamap_iova_t
last_usable(void)
{
	struct dmamap_container_info info;

	dmamap_container_info(box, &info);
	return info.n_ranges > 0 ? info.ranges[info.n_ranges - 1].last : 0;
}

/** The device reads one area, at IOVA 0, and writes another. */
static int
check_dma(struct edu_raw *e)
{
	TEST_ASSERT_SUCCESS(edu_raw_read(e, 0, 0, LEN), "read");
	TEST_ASSERT_SUCCESS(edu_raw_write(e, IOVA + 8, 0, LEN), "write");
	area_expect(to, 8, from->va, LEN);
	TEST_ASSERT(areas_match(), "DMA went elsewhere");
	return TEST_SUCCESS;
}

static int
attach(int fd, int number, struct dmamap_device **d)
{
	const struct dmamap_attach_conf conf = {
		.group_fd = DMAMAP_GIVEN(fd), .group = DMAMAP_GIVEN(number), .group_only = true};

	return dmamap_container_attach_fds(box, &conf, d);
}

static int
devices_are_the_callers(void)
{
	const struct dmamap_container_conf conf = {.backend = backend, .as_linux = true};
	const int number = group_number();
	struct dmamap_device *d;
	struct edu_raw e = {0};
	int fd, dev;

	if (backend == DMAMAP_BACKEND_IOMMUFD && access("/dev/iommu", F_OK) < 0)
		return test_skip("no /dev/iommu: this kernel lacks IOMMUFD");
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &box), "create");
	fd = group_open(number);
	TEST_ASSERT(fd >= 0, "/dev/vfio/%d: %d", number, fd);
	TEST_ASSERT_SUCCESS(map(0, from), "map at IOVA 0, before the group");
	TEST_ASSERT_SUCCESS(attach(fd, number, &d), "attach");
	TEST_ASSERT_EQUAL(dmamap_device_fd(d), -1, "%d", dmamap_device_fd(d));
	TEST_ASSERT_SUCCESS(map(IOVA, to), "map");
	if (backend == DMAMAP_BACKEND_IOMMUFD)
		TEST_ASSERT_EQUAL(last_usable(), UINT64_MAX, "0x%" PRIx64, last_usable());
	dev = ioctl(fd, VFIO_GROUP_GET_DEVICE_FD, edu_raw_name(0));
	TEST_ASSERT(dev >= 0, "GET_DEVICE_FD: errno %d", errno);
	TEST_ASSERT_SUCCESS(dmamap_container_refresh(box), "refresh");
	if (backend == DMAMAP_BACKEND_IOMMUFD)
		TEST_ASSERT(last_usable() < UINT64_MAX, "0x%" PRIx64, last_usable());
	TEST_ASSERT_SUCCESS(edu_raw_start_file(&e, dev), "edu");
	TEST_ASSERT_SUCCESS(check_dma(&e), "DMA");
	edu_raw_stop(&e);

	/* A device that is opened again reaches the same memory. */
	close(dev);
	dev = ioctl(fd, VFIO_GROUP_GET_DEVICE_FD, edu_raw_name(0));
	TEST_ASSERT(dev >= 0, "GET_DEVICE_FD: errno %d", errno);
	TEST_ASSERT_SUCCESS(edu_raw_start_file(&e, dev), "edu");
	TEST_ASSERT_SUCCESS(check_dma(&e), "DMA");
	edu_raw_stop(&e);
	close(dev);
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	dev = ioctl(fd, VFIO_GROUP_GET_DEVICE_FD, edu_raw_name(0));
	TEST_ASSERT(dev < 0 && errno == EINVAL, "the group is still in a container: %d", dev);
	TEST_ASSERT_SUCCESS(attach(fd, number, &d), "attach again");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	close(fd);
	fd = group_open(number);
	TEST_ASSERT(fd >= 0, "the group is still open: %d", fd);
	close(fd);
	return TEST_SUCCESS;
}

static int
a_group_in_use_does_not_move(void)
{
	const struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1};
	const int number = group_number();
	struct dmamap_container *other;
	struct dmamap_device *d;
	struct edu_raw e = {0};
	int fd, dev, rc;

	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &box), "create");
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &other), "create");
	fd = group_open(number);
	TEST_ASSERT(fd >= 0, "/dev/vfio/%d: %d", number, fd);
	TEST_ASSERT_SUCCESS(map(2 * IOVA, from), "map");
	TEST_ASSERT_SUCCESS(map(IOVA, to), "map");
	TEST_ASSERT_SUCCESS(attach(fd, number, &d), "attach");
	dev = ioctl(fd, VFIO_GROUP_GET_DEVICE_FD, edu_raw_name(0));
	TEST_ASSERT(dev >= 0, "GET_DEVICE_FD: errno %d", errno);
	test_log_begin();
	rc = dmamap_device_move(d, other);
	TEST_ASSERT(test_logged("close all files of its devices first"), "log");
	TEST_ASSERT_EQUAL(rc, -EBUSY, "%d", rc);
	TEST_ASSERT_SUCCESS(edu_raw_start_file(&e, dev), "edu");
	TEST_ASSERT_SUCCESS(edu_raw_read(&e, 2 * IOVA, 0, LEN), "read");
	TEST_ASSERT_SUCCESS(edu_raw_write(&e, IOVA, 0, LEN), "write");
	area_expect(to, 0, from->va, LEN);
	TEST_ASSERT(areas_match(), "DMA went elsewhere");
	edu_raw_stop(&e);
	close(dev);
	TEST_ASSERT_SUCCESS(dmamap_device_move(d, other), "move");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(other), "destroy");
	close(fd);
	return TEST_SUCCESS;
}

static int
by_type1(void)
{
	backend = DMAMAP_BACKEND_TYPE1;
	return devices_are_the_callers();
}

static int
by_iommufd(void)
{
	backend = DMAMAP_BACKEND_IOMMUFD;
	return devices_are_the_callers();
}

static const struct test_case cases[] = {
	{"type1: devices of a group are the caller's", by_type1},
	{"iommufd: devices of a group are the caller's", by_iommufd},
	{"type1: a group with an open device does not move", a_group_in_use_does_not_move},
};

REGISTER_TEST_SUITE(groups_vm_suite) = {
	.name = "groups_vm",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
