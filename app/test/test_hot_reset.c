/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of resets of a PCI slot or bus on the mock kernel: dmamap_device_hot_reset() by type1 and
 * by iommufd, the answers of the mock itself, and programs on virtual containers.
 */

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include <dmamap.h>

#include "front_calls.h"
#include "iommufd_abi.h"
#include "test.h"

/* Two functions on one bus, each in a group of its own. */
#define FN0 "0000:0a:00.0"
#define FN1 "0000:0a:00.1"
/* Two functions of one group. */
#define TWIN0 "0000:0b:00.0"
#define TWIN1 "0000:0b:00.1"
/* A function beside one that the host drives. */
#define GUEST "0000:0c:00.0"
#define HOST "0000:0c:00.1"
/* A device alone on its bus, one on the root bus, and one of another kind of bus. */
#define ALONE "0000:0d:00.0"
#define ROOT "0000:00:05.0"
#define NO_PCI "platform0"

static const struct {
	const char *name, *driver;
	bool in_last_group;
} devices[] = {
	{FN0, "vfio-pci", false},
	{FN1, "vfio-pci", false},
	{TWIN0, "vfio-pci", false},
	{TWIN1, "vfio-pci", true},
	{GUEST, "vfio-pci", false},
	{HOST, "e1000e", false},
	{ALONE, "vfio-pci", false},
	{ROOT, "vfio-pci", false},
	{NO_PCI, "vfio-platform", false},
};

static struct vfio_mock *mock;
static enum dmamap_backend backend;
static struct dmamap_container *c;
static const char *logged; /* by the last hot_reset() */

/** A machine with these devices, group numbers ascending; FN1 is behind an IOMMU of its own. */
static int
machine_begin(unsigned int linux_version)
{
	const struct vfio_mock_device_conf regions = {
		.region = {[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = 256}}, .no_reset = true};
	const struct vfio_mock_conf conf = {.linux_version = linux_version};
	struct vfio_mock_group_conf group = {0};
	int iommu[2], number = -1;
	unsigned int i;

	TEST_ASSERT_SUCCESS(vfio_mock_create(&conf, &mock), "machine");
	iommu[0] = vfio_mock_add_iommu(mock, NULL);
	iommu[1] = vfio_mock_add_iommu(mock, NULL);
	for (i = 0; i < RTE_DIM(devices); i++) {
		group.iommu = iommu[strcmp(devices[i].name, FN1) == 0];
		if (!devices[i].in_last_group)
			number = vfio_mock_add_group(mock, &group);
		TEST_ASSERT_SUCCESS(
			vfio_mock_add_device(mock, number, devices[i].name, -1, devices[i].driver),
			"%s", devices[i].name);
		TEST_ASSERT_SUCCESS(vfio_mock_describe_device(mock, devices[i].name, &regions),
			"%s", devices[i].name);
	}
	return 0;
}

static int
container_make(struct dmamap_container **out)
{
	const struct dmamap_container_conf conf = {
		.backend = backend, .sharing = DMAMAP_ISOLATE, .kernel = vfio_mock_kernel(mock)};

	return dmamap_container_create(&conf, out);
}

static int
begin(enum dmamap_backend tested)
{
	backend = tested;
	TEST_ASSERT_SUCCESS(
		machine_begin(tested == DMAMAP_BACKEND_IOMMUFD ? VFIO_MOCK_LINUX(6, 12) : 0),
		"machine");
	return container_make(&c);
}

static int
end(void)
{
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_SUCCESS(vfio_mock_destroy(mock), "something is open");
	return 0;
}

/** Attach a device. @return NULL: it failed */
static struct dmamap_device *
attach(struct dmamap_container *to, const char *name)
{
	struct dmamap_device *d = NULL;

	return dmamap_container_attach(to, name, &d) == 0 ? d : NULL;
}

/** dmamap_device_hot_reset(). Its log is recorded. */
static int
hot_reset(struct dmamap_device *d, uint32_t flags)
{
	int rc;

	test_log_begin();
	rc = dmamap_device_hot_reset(d, flags);
	logged = test_log_end();
	return rc;
}

/** Whether the last hot_reset() logged one line, and that has this text. */
static bool
one_line(const char *text)
{
	const char *end = strchr(logged, '\n');

	if (strstr(logged, text) != NULL && end != NULL && end[1] == '\0')
		return true;
	printf("  wanted \"%s\", logged \"%s\"\n", text, logged);
	return false;
}

/** Whether devices were reset that often. */
static bool
resets_are(const char *one, const char *other, unsigned int n)
{
	const unsigned int a = vfio_mock_hot_resets(mock, one),
			   b = other != NULL ? vfio_mock_hot_resets(mock, other) : n;

	if (a != n || b != n)
		printf("  %s was reset %u times, %s %u times, not %u\n", one, a, other, b, n);
	return a == n && b == n;
}

/** Run a case with each backend. */
static int
with_each_backend(int (*run)(void))
{
	static const enum dmamap_backend all[] = {DMAMAP_BACKEND_TYPE1, DMAMAP_BACKEND_IOMMUFD};
	unsigned int i;

	for (i = 0; i < RTE_DIM(all); i++) {
		TEST_ASSERT_SUCCESS(begin(all[i]), "machine");
		TEST_ASSERT_SUCCESS(run(), "backend %u", i);
		TEST_ASSERT_SUCCESS(end(), "backend %u", i);
	}
	return TEST_SUCCESS;
}

/* Cases */

static int
run_alone(void)
{
	struct dmamap_device *d = attach(c, ALONE);

	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_SUCCESS(hot_reset(d, 0), "reset");
	TEST_ASSERT(resets_are(ALONE, NULL, 1), "resets");
	/* Whoever resets a running device knows it. */
	dmamap_device_hold(d);
	TEST_ASSERT_SUCCESS(hot_reset(d, 0), "while it runs");
	dmamap_device_release(d);
	TEST_ASSERT(resets_are(ALONE, NULL, 2), "resets");
	TEST_ASSERT_EQUAL(hot_reset(d, 1u << 31), -EINVAL, "an unknown flag");
	TEST_ASSERT_EQUAL(hot_reset(NULL, 0), -EINVAL, "no device");
	return dmamap_container_detach(d);
}

static int
a_device_alone_is_reset(void)
{
	return with_each_backend(run_alone);
}

static int
run_twins(void)
{
	struct dmamap_device *d = attach(c, TWIN0), *twin;

	TEST_ASSERT_NOT_NULL(d, "attach");
	/* Nobody else can open the twin, so it is the container's. */
	TEST_ASSERT_SUCCESS(hot_reset(d, 0), "reset");
	TEST_ASSERT(resets_are(TWIN0, TWIN1, 1), "resets");

	twin = attach(c, TWIN1);
	TEST_ASSERT_NOT_NULL(twin, "attach");
	TEST_ASSERT_EQUAL(hot_reset(d, 0), -EBUSY, "the twin's driver would not know");
	TEST_ASSERT(one_line("resets " TWIN1 " too, whose driver would not know"), "line");
	TEST_ASSERT_EQUAL(hot_reset(d, DMAMAP_HOT_RESET_TRY), -EBUSY, "quietly");
	TEST_ASSERT(logged[0] == '\0', "it logs %s", logged);
	TEST_ASSERT(resets_are(TWIN0, TWIN1, 1), "it was reset");
	TEST_ASSERT_SUCCESS(hot_reset(d, DMAMAP_HOT_RESET_OTHERS), "with the twin");
	TEST_ASSERT(resets_are(TWIN0, TWIN1, 2), "resets");

	dmamap_device_hold(twin);
	TEST_ASSERT_EQUAL(hot_reset(d, DMAMAP_HOT_RESET_OTHERS), -EBUSY, "a running twin");
	TEST_ASSERT(one_line("resets " TWIN1 " too, which is running: stop it"), "line");
	TEST_ASSERT(resets_are(TWIN0, TWIN1, 2), "it was reset");
	dmamap_device_release(twin);

	/* The rest of a group can be unbound without making it not viable. */
	TEST_ASSERT_SUCCESS(dmamap_container_detach(twin), "detach");
	TEST_ASSERT_SUCCESS(vfio_mock_bind(mock, TWIN1, NULL), "unbind");
	TEST_ASSERT_EQUAL(hot_reset(d, 0), -EPERM, "a device without a driver");
	TEST_ASSERT(one_line("resets " TWIN1 " too, held by no driver: bind that"), "line");
	TEST_ASSERT(resets_are(TWIN0, TWIN1, 2), "it was reset");
	return dmamap_container_detach(d);
}

static int
devices_of_one_group_are_reset_together(void)
{
	return with_each_backend(run_twins);
}

static int
run_groups(void)
{
	struct dmamap_device *d = attach(c, FN0), *other;

	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_EQUAL(hot_reset(d, DMAMAP_HOT_RESET_OTHERS), -EPERM, "it is not attached");
	TEST_ASSERT(one_line("resets " FN1 " too, which is not attached here: attach it to the "
			     "same container"),
		"line");
	TEST_ASSERT(resets_are(FN0, FN1, 0), "it was reset");

	/* It has a domain of its own: a second kernel container, or a second IOAS. */
	other = attach(c, FN1);
	TEST_ASSERT_NOT_NULL(other, "attach");
	TEST_ASSERT_NOT_EQUAL(
		dmamap_domain_by_device(c, FN0), dmamap_domain_by_device(c, FN1), "one domain");
	TEST_ASSERT_EQUAL(hot_reset(d, 0), -EBUSY, "its driver would not know");
	TEST_ASSERT_SUCCESS(hot_reset(d, DMAMAP_HOT_RESET_OTHERS), "both");
	TEST_ASSERT_SUCCESS(hot_reset(other, DMAMAP_HOT_RESET_OTHERS), "by the other");
	TEST_ASSERT(resets_are(FN0, FN1, 2), "resets");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(other), "detach");
	return dmamap_container_detach(d);
}

static int
a_group_must_be_in_the_container(void)
{
	return with_each_backend(run_groups);
}

static int
run_containers(void)
{
	struct dmamap_device *d = attach(c, FN0), *other;
	struct dmamap_container *c2;
	int rc;

	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_SUCCESS(container_make(&c2), "container");
	other = attach(c2, FN1);
	TEST_ASSERT_NOT_NULL(other, "attach");
	TEST_ASSERT_EQUAL(
		hot_reset(d, DMAMAP_HOT_RESET_OTHERS), -EPERM, "it is another container's");
	TEST_ASSERT(one_line(FN1 " too, which is not attached here"), "line");

	/* A merge keeps both backend instances, and the kernel wants one iommufd. */
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, c2), "merge");
	rc = hot_reset(d, DMAMAP_HOT_RESET_OTHERS);
	if (backend == DMAMAP_BACKEND_IOMMUFD) {
		TEST_ASSERT_EQUAL(rc, -EPERM, "two iommufds: %d", rc);
		TEST_ASSERT(one_line(FN1 " too, which is bound to another iommufd"), "line");
		TEST_ASSERT(resets_are(FN0, FN1, 0), "it was reset");
	} else {
		TEST_ASSERT_SUCCESS(rc, "after a merge: %d", rc);
		TEST_ASSERT(resets_are(FN0, FN1, 1), "resets");
	}
	TEST_ASSERT_SUCCESS(dmamap_container_detach(other), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c2), "destroy");
	return dmamap_container_detach(d);
}

static int
a_device_of_another_container_is_not_reset(void)
{
	return with_each_backend(run_containers);
}

static int
run_host(void)
{
	struct dmamap_device *d = attach(c, GUEST);

	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_EQUAL(hot_reset(d, DMAMAP_HOT_RESET_OTHERS), -EPERM, "the host drives it");
	TEST_ASSERT(one_line("resets " HOST " too, held by driver e1000e: bind that to vfio-pci"),
		"line");
	TEST_ASSERT(resets_are(GUEST, HOST, 0), "it was reset");
	return dmamap_container_detach(d);
}

static int
a_device_of_the_host_is_not_reset(void)
{
	return with_each_backend(run_host);
}

static int
run_impossible(void)
{
	static const char *const names[] = {ROOT, NO_PCI};
	struct dmamap_device *d;
	unsigned int i;

	for (i = 0; i < RTE_DIM(names); i++) {
		d = attach(c, names[i]);
		TEST_ASSERT_NOT_NULL(d, "attach %s", names[i]);
		TEST_ASSERT_EQUAL(hot_reset(d, 0), -EOPNOTSUPP, "%s", names[i]);
		TEST_ASSERT(logged[0] == '\0', "it logs %s", logged);
		TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	}
	return 0;
}

static int
where_nothing_can_reset_is_no_line(void)
{
	return with_each_backend(run_impossible);
}

static int
run_failures(void)
{
	struct dmamap_device *d = attach(c, FN0), *other = attach(c, FN1);
	char *before = vfio_mock_dump(mock), *now;
	unsigned int n;
	int rc, failed;

	TEST_ASSERT(d != NULL && other != NULL, "attach");
	for (n = 1;; n++) {
		vfio_mock_fail(mock, UINT32_C(1) << VFIO_MOCK_DEVICE, n, EIO);
		rc = hot_reset(d, DMAMAP_HOT_RESET_OTHERS);
		failed = vfio_mock_failed(mock);
		vfio_mock_fail(mock, 0, 0, 0);
		if (failed < 0)
			break;
		TEST_ASSERT_EQUAL(rc, -EIO, "call %u: %d", n, rc);
		TEST_ASSERT(one_line("hot reset of " FN0), "call %u: line", n);
		TEST_ASSERT(resets_are(FN0, FN1, 0), "call %u", n);
		now = vfio_mock_dump(mock);
		TEST_ASSERT_SUCCESS(strcmp(before, now), "call %u leaves %s", n, now);
		free(now);
	}
	free(before);
	/* The list twice: how many, and which. Then the reset. */
	TEST_ASSERT(rc == 0 && n == 4, "%u calls, result %d", n, rc);
	vfio_mock_fail(mock, UINT32_C(1) << VFIO_MOCK_DEVICE, 3, ENOTTY);
	TEST_ASSERT_EQUAL(hot_reset(d, DMAMAP_HOT_RESET_OTHERS), -ENOTTY, "no link");
	TEST_ASSERT(one_line("the bus was reset, but its link or a device did not"), "line");
	vfio_mock_fail(mock, UINT32_C(1) << VFIO_MOCK_DEVICE, 3, EAGAIN);
	TEST_ASSERT_EQUAL(hot_reset(d, DMAMAP_HOT_RESET_OTHERS), -EAGAIN, "in use");
	TEST_ASSERT(one_line("a device is being accessed: try again"), "line");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(other), "detach");
	return dmamap_container_detach(d);
}

static int
each_call_of_a_reset_may_fail(void)
{
	return with_each_backend(run_failures);
}

/* Files that were passed in */

static int
a_group_without_its_file_cannot_be_proven(void)
{
	struct dmamap_container_conf conf = {.backend = DMAMAP_BACKEND_TYPE1};
	struct dmamap_attach_conf with = {.name = ALONE};
	struct dmamap_container *mine;
	struct dmamap_device *d;
	int container, group, fd;

	TEST_ASSERT_SUCCESS(begin(DMAMAP_BACKEND_TYPE1), "machine");
	container = vfio_mock_open(mock, "/dev/vfio/vfio");
	group = vfio_mock_open(mock, "/dev/vfio/5");
	conf.kernel = vfio_mock_kernel(mock);
	conf.container_fd = DMAMAP_GIVEN(container);
	TEST_ASSERT_SUCCESS(
		vfio_mock_ioctl(mock, group, VFIO_GROUP_SET_CONTAINER, (unsigned long)&container),
		"group");
	TEST_ASSERT_SUCCESS(
		vfio_mock_ioctl(mock, container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "type");
	fd = vfio_mock_ioctl(mock, group, VFIO_GROUP_GET_DEVICE_FD, (unsigned long)ALONE);
	with.device_fd = DMAMAP_GIVEN(fd);
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &mine), "container");
	TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(mine, &with, &d), "attach");
	TEST_ASSERT_EQUAL(hot_reset(d, 0), -EPERM, "without the group's file");
	TEST_ASSERT(one_line("the file of group 5 was not passed in"), "line");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(mine), "destroy");
	vfio_mock_close(mock, fd);
	vfio_mock_close(mock, group);
	vfio_mock_close(mock, container);

	/* Only the group: its owner opens the device and resets it. */
	with = (struct dmamap_attach_conf){.name = ALONE, .group_only = true};
	with.group_fd = DMAMAP_GIVEN(vfio_mock_open(mock, "/dev/vfio/5"));
	TEST_ASSERT_SUCCESS(dmamap_container_attach_fds(c, &with, &d), "attach");
	TEST_ASSERT_EQUAL(hot_reset(d, 0), -EINVAL, "without a device's file");
	TEST_ASSERT(one_line("only its group is attached"), "line");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	vfio_mock_close(mock, with.group_fd.value);
	return end();
}

/* The mock */

/** A request to reset, with two descriptors. */
union request {
	struct vfio_pci_hot_reset reset;
	uint8_t bytes[offsetof(struct vfio_pci_hot_reset, group_fds) + 2 * sizeof(int32_t)];
};

static int
request(int fd, uint32_t argsz, uint32_t flags, uint32_t count, int fd0, int fd1)
{
	union request r = {.reset = {.argsz = argsz, .flags = flags, .count = count}};
	const int32_t fds[] = {fd0, fd1};

	memcpy(r.bytes + offsetof(struct vfio_pci_hot_reset, group_fds), fds, sizeof(fds));
	return vfio_mock_ioctl(mock, fd, VFIO_DEVICE_PCI_HOT_RESET, (unsigned long)&r);
}

/** An answer with two devices. */
union answer {
	struct vfio_pci_hot_reset_info info;
	struct {
		uint32_t argsz, flags, count;
		struct vfio_pci_dependent_device device[2];
	} of;
};

static int
check_answers(int fd)
{
	union answer a = {.of.argsz = 8};
	const unsigned long arg = (unsigned long)&a;

	TEST_ASSERT_EQUAL(vfio_mock_ioctl(mock, fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, arg),
		-EINVAL, "argsz");
	a.of.argsz = sizeof(a.of) - sizeof(a.of.device[0]);
	TEST_ASSERT_EQUAL(vfio_mock_ioctl(mock, fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, arg),
		-ENOSPC, "room for one");
	TEST_ASSERT_EQUAL(a.of.count, 2u, "it counts %u", a.of.count);
	a.of.argsz = sizeof(a.of);
	TEST_ASSERT_SUCCESS(
		vfio_mock_ioctl(mock, fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, arg), "list");
	TEST_ASSERT(a.of.flags == 0 && a.of.count == 2, "flags 0x%x", a.of.flags);
	TEST_ASSERT(a.of.device[0].group_id == 0 && a.of.device[1].group_id == 1, "groups");
	TEST_ASSERT(a.of.device[1].segment == 0 && a.of.device[1].bus == 0xa &&
			a.of.device[1].devfn == 1,
		"address");
	return 0;
}

static int
the_mock_answers_as_vfio_pci(void)
{
	const uint32_t len = sizeof(union request);
	int container, group[2], fd, i;

	TEST_ASSERT_SUCCESS(begin(DMAMAP_BACKEND_TYPE1), "machine");
	container = vfio_mock_open(mock, "/dev/vfio/vfio");
	for (i = 0; i < 2; i++) {
		group[i] = vfio_mock_open(mock, i == 0 ? "/dev/vfio/0" : "/dev/vfio/1");
		TEST_ASSERT_SUCCESS(vfio_mock_ioctl(mock, group[i], VFIO_GROUP_SET_CONTAINER,
					    (unsigned long)&container),
			"group %d", i);
	}
	TEST_ASSERT_SUCCESS(
		vfio_mock_ioctl(mock, container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "type");
	fd = vfio_mock_ioctl(mock, group[0], VFIO_GROUP_GET_DEVICE_FD, (unsigned long)FN0);
	TEST_ASSERT(fd >= 0, "device: %d", fd);
	TEST_ASSERT_SUCCESS(check_answers(fd), "list");

	TEST_ASSERT_EQUAL(request(fd, 8, 0, 2, group[0], group[1]), -EINVAL, "argsz");
	TEST_ASSERT_EQUAL(request(fd, len, 1, 2, group[0], group[1]), -EINVAL, "flags");
	TEST_ASSERT_EQUAL(request(fd, len, 0, 0, -1, -1), -EINVAL, "no group");
	TEST_ASSERT_EQUAL(request(fd, len, 0, 3, group[0], group[1]), -EINVAL, "too many");
	TEST_ASSERT_EQUAL(request(fd, len, 0, 1, group[0], -1), -EINVAL, "too few");
	TEST_ASSERT_EQUAL(request(fd, len, 0, 2, group[0], -1), -EBADF, "not open");
	TEST_ASSERT_EQUAL(request(fd, len, 0, 2, group[0], container), -EINVAL, "no group's file");
	TEST_ASSERT(resets_are(FN0, FN1, 0), "it was reset");
	TEST_ASSERT_SUCCESS(request(fd, len, 0, 2, group[0], group[1]), "reset");
	TEST_ASSERT(resets_are(FN0, FN1, 1), "resets");
	vfio_mock_close(mock, fd);
	vfio_mock_close(mock, group[0]);
	vfio_mock_close(mock, group[1]);
	vfio_mock_close(mock, container);
	return end();
}

static int
the_mock_knows_owners_of_character_devices(void)
{
	struct dmamap_device *d;
	union answer a = {.of.argsz = sizeof(a.of)};

	TEST_ASSERT_SUCCESS(begin(DMAMAP_BACKEND_IOMMUFD), "machine");
	d = attach(c, TWIN0);
	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_SUCCESS(dmamap_device_ioctl(d, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &a), "list");
	TEST_ASSERT_EQUAL(a.of.flags, ABI_VFIO_HOT_RESET_DEV_ID | ABI_VFIO_HOT_RESET_DEV_ID_OWNED,
		"flags 0x%x", a.of.flags);
	TEST_ASSERT(a.of.device[0].group_id != ABI_VFIO_DEVID_OWNED &&
			a.of.device[0].group_id != ABI_VFIO_DEVID_NOT_OWNED,
		"its ID is %u", a.of.device[0].group_id);
	TEST_ASSERT_EQUAL(a.of.device[1].group_id, ABI_VFIO_DEVID_OWNED, "the twin");
	TEST_ASSERT_EQUAL(request(dmamap_device_fd(d), sizeof(union request), 0, 1, 0, 0), -EINVAL,
		"with groups");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");

	d = attach(c, FN0);
	TEST_ASSERT_NOT_NULL(d, "attach");
	TEST_ASSERT_SUCCESS(dmamap_device_ioctl(d, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &a), "list");
	TEST_ASSERT_EQUAL(a.of.flags, ABI_VFIO_HOT_RESET_DEV_ID, "flags 0x%x", a.of.flags);
	TEST_ASSERT_EQUAL(a.of.device[1].group_id, ABI_VFIO_DEVID_NOT_OWNED, "not attached");
	TEST_ASSERT_EQUAL(request(dmamap_device_fd(d), sizeof(union request), 0, 0, 0, 0), -EINVAL,
		"another owner");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	return end();
}

/* Virtual containers */

static int
open_in(int container, int *group, const char *path, const char *name)
{
	int rc;

	*group = front_calls_open(path);
	rc = front_calls_ioctl(*group, VFIO_GROUP_SET_CONTAINER, (unsigned long)&container);
	if (rc == 0)
		rc = front_calls_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	/* The second group joins a container that has its type. */
	if (rc < 0 && rc != -EINVAL && rc != -EBUSY)
		return rc;
	return front_calls_ioctl(*group, VFIO_GROUP_GET_DEVICE_FD, (unsigned long)name);
}

/** A program with two groups in one container, one of them in a hidden kernel container. */
static int
a_program_resets_groups_of_hidden_containers(void)
{
	union request r = {.reset = {.argsz = sizeof(r), .count = 2}};
	int container, group[2], fd[2];

	TEST_ASSERT_SUCCESS(machine_begin(0), "machine");
	TEST_ASSERT_SUCCESS(
		front_calls_begin(mock,
			(struct front_conf){.backend = DMAMAP_BACKEND_TYPE1, .isolate = true}),
		"front");
	container = front_calls_open("/dev/vfio/vfio");
	fd[0] = open_in(container, &group[0], "/dev/vfio/0", FN0);
	fd[1] = open_in(container, &group[1], "/dev/vfio/1", FN1);
	TEST_ASSERT(fd[0] >= 0 && fd[1] >= 0, "devices: %d, %d", fd[0], fd[1]);
	memcpy(r.bytes + offsetof(struct vfio_pci_hot_reset, group_fds), group, sizeof(group));
	TEST_ASSERT_SUCCESS(
		front_calls_ioctl(fd[0], VFIO_DEVICE_PCI_HOT_RESET, (unsigned long)&r), "reset");
	TEST_ASSERT(resets_are(FN0, FN1, 1), "resets");
	front_calls_end();
	return vfio_mock_destroy(mock);
}

static const struct test_case cases[] = {
	{"a device alone is reset", a_device_alone_is_reset},
	{"devices of one group are reset together", devices_of_one_group_are_reset_together},
	{"a group must be in the container", a_group_must_be_in_the_container},
	{"a device of another container is not reset", a_device_of_another_container_is_not_reset},
	{"a device of the host is not reset", a_device_of_the_host_is_not_reset},
	{"where nothing can reset is no line", where_nothing_can_reset_is_no_line},
	{"each call of a reset may fail", each_call_of_a_reset_may_fail},
	{"a group without its file cannot be proven", a_group_without_its_file_cannot_be_proven},
	{"the mock answers as vfio-pci", the_mock_answers_as_vfio_pci},
	{"the mock knows owners of character devices", the_mock_knows_owners_of_character_devices},
	{"a program resets groups of hidden containers",
		a_program_resets_groups_of_hidden_containers},
};

REGISTER_TEST_SUITE(hot_reset_suite) = {
	.name = "hot_reset",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
};
