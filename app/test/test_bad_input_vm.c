/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of refusals that need a real device: each mistake returns its errno, logs one line and
 * leaves nothing behind.
 * Cases that a machine cannot provoke are skipped there. The profiles shared-group and noiommu
 * have what the default one lacks.
 */

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>

#include <edu_hw.h>

#include "test.h"
#include "test_bad_input.h"
#include "test_dma_edu_raw.h"

#define PAGE 4096
#define HUGEPAGE (2 << 20)
#define HUGEPAGES "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static struct dmamap_container *container;
static struct dmamap_device *device; /* device that a case attached; detached by teardown */
static struct edu_raw edu;
static uint8_t *memory;
static char bdf[32]; /* device of the running case */
static char spoiler[32]; /* a device in its group that a host driver holds */

static const struct dmamap_container_conf container_conf = {
	.name = "bad", .backend = DMAMAP_BACKEND_TYPE1};

static int
setup(void)
{
	memory = mmap(NULL, HUGEPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || dmamap_container_create(&container_conf, &container) != 0)
		return TEST_FAILED;
	return 0;
}

static void
teardown(void)
{
	edu_raw_close(&edu);
	if (device != NULL)
		dmamap_container_detach(device);
	device = NULL;
	if (container != NULL)
		dmamap_container_destroy(container);
	container = NULL;
	if (memory != MAP_FAILED)
		munmap(memory, HUGEPAGE);
	areas_free();
}

static int
attach(struct dmamap_container *c)
{
	return dmamap_container_attach(c, bdf, &device);
}

static int
attach_edu(void)
{
	if (edu_raw_name(0) == NULL)
		return test_skip("no edu device (1234:11e8) is bound to vfio-pci");
	snprintf(bdf, sizeof(bdf), "%s", edu_raw_name(0));
	TEST_ASSERT_SUCCESS(attach(container), "attach");
	return 0;
}

#define ATTACH_EDU()                                                                               \
	do {                                                                                       \
		int rc_ = attach_edu();                                                            \
		if (rc_ != 0)                                                                      \
			return rc_;                                                                \
	} while (0)

static int
expect_refused(const struct wrong_call *wrong)
{
	return is_refused(container, wrong) ? TEST_SUCCESS : TEST_FAILED;
}

/**
 * Find a PCI device in an IOMMU group whose driver satisfies the predicate; its address goes to
 * bdf.
 */
static bool
find_device(bool (*pleases)(const char *driver))
{
	struct dirent **entries;
	char path[PATH_MAX];
	bool found = false;
	int i, n = scandir("/sys/bus/pci/devices", &entries, NULL, alphasort);

	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group",
			entries[i]->d_name);
		if (!found && entries[i]->d_name[0] != '.' && access(path, F_OK) == 0 &&
			pleases(driver_of(entries[i]->d_name))) {
			snprintf(bdf, sizeof(bdf), "%.31s", entries[i]->d_name);
			found = true;
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return found;
}

static bool
is_none(const char *driver)
{
	return driver[0] == '\0';
}

static bool
is_the_hosts(const char *driver)
{
	return driver[0] != '\0' && strcmp(driver, "vfio-pci") != 0 &&
		strcmp(driver, "pcieport") != 0;
}

static bool
is_vfio(const char *driver)
{
	return strcmp(driver, "vfio-pci") == 0;
}

static int
no_such_device(void)
{
	const struct wrong_call wrong = {
		"no such device", attach, -ENODEV, {"0000:7f:1f.7", "no such", "lspci"}};

	snprintf(bdf, sizeof(bdf), "0000:7f:1f.7");
	return expect_refused(&wrong);
}

static int
no_address(void)
{
	static const char *const names[] = {
		"", "../eth0", "0000:01:00.0 token=1", "0000:01:00.0 vf_token=1"};
	struct wrong_call wrong = {"no address", attach, -EINVAL, {NULL}};
	unsigned int i;

	for (i = 0; i < RTE_DIM(names); i++) {
		snprintf(bdf, sizeof(bdf), "%s", names[i]);
		wrong.says[0] = i > 1 ? "token" : "not a device name";
		if (!is_refused(container, &wrong))
			return TEST_FAILED;
	}
	return TEST_SUCCESS;
}

static int
held_by_a_driver_of_the_host(void)
{
	struct wrong_call wrong = {"held by the host", attach, -EBUSY, {NULL}};
	char command[96];

	if (!find_device(is_the_hosts))
		return test_skip("no device with a group is held by a driver of the host");
	snprintf(command, sizeof(command), "gantry-bind vfio-pci %s", bdf);
	wrong.says[0] = bdf;
	wrong.says[1] = driver_of(bdf);
	wrong.says[2] = command;
	return expect_refused(&wrong);
}

static int
held_by_no_driver(void)
{
	struct wrong_call wrong = {"held by none", attach, -EBUSY, {NULL}};
	char command[96];

	if (!find_device(is_none))
		return test_skip("every device with a group has a driver");
	snprintf(command, sizeof(command), "gantry-bind vfio-pci %s", bdf);
	wrong.says[0] = bdf;
	wrong.says[1] = "no driver";
	wrong.says[2] = command;
	return expect_refused(&wrong);
}

/** Find a member of bdf's group that a host driver holds. @return false: none. */
static bool
find_spoiler(void)
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group/devices", bdf);
	dir = opendir(path);
	while (dir != NULL && !found && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && is_the_hosts(driver_of(entry->d_name))) {
			snprintf(spoiler, sizeof(spoiler), "%.31s", entry->d_name);
			found = true;
		}
	if (dir != NULL)
		closedir(dir);
	return found;
}

static bool
is_vfio_with_a_spoiler(const char *driver)
{
	return is_vfio(driver) && find_spoiler();
}

static int
group_not_viable(void)
{
	struct wrong_call wrong = {"group not viable", attach, -EPERM, {NULL}};
	char driver[64];
	DIR *dir = opendir("/sys/bus/pci/devices");
	struct dirent *entry;
	bool found = false;

	while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
		snprintf(bdf, sizeof(bdf), "%.31s", entry->d_name);
		found = bdf[0] != '.' && is_vfio_with_a_spoiler(driver_of(bdf));
	}
	if (dir != NULL)
		closedir(dir);
	if (!found)
		return test_skip("no group has both a device on vfio-pci and one of the host "
				 "(profile shared-group has)");
	snprintf(driver, sizeof(driver), "%s", driver_of(spoiler));
	wrong.says[0] = bdf;
	wrong.says[1] = spoiler;
	wrong.says[2] = driver;
	wrong.says[3] = "not viable";
	return expect_refused(&wrong);
}

static int
group_busy(void)
{
	struct wrong_call wrong = {"group busy", attach, -EBUSY, {bdf, "in use", "/dev/vfio/"}};
	pid_t pid;
	int rc;

	if (edu_raw_name(0) == NULL)
		return test_skip("no edu device (1234:11e8) is bound to vfio-pci");
	snprintf(bdf, sizeof(bdf), "%s", edu_raw_name(0));
	pid = edu_raw_child(0, 0x100000);
	TEST_ASSERT(pid > 0, "the other process does not get it");
	rc = expect_refused(&wrong);
	edu_raw_child_kill(pid);
	TEST_ASSERT_SUCCESS(rc, "while another process has it");
	TEST_ASSERT_SUCCESS(attach(container), "although the other process is gone");
	return TEST_SUCCESS;
}

static int
attached_twice(void)
{
	const struct dmamap_container_conf conf = {
		.name = "other", .backend = DMAMAP_BACKEND_TYPE1};
	const struct wrong_call again = {"again", attach, -EALREADY, {bdf, "already"}};
	const struct wrong_call elsewhere = {"elsewhere", attach, -EBUSY, {bdf, "in use"}};
	struct dmamap_device *mine;
	struct dmamap_container *other;
	bool right;

	ATTACH_EDU();
	mine = device;
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &other), "create");
	right = is_refused(container, &again);
	right = is_refused(other, &elsewhere) && right;
	device = mine;
	dmamap_container_destroy(other);
	return right ? TEST_SUCCESS : TEST_FAILED;
}

static int
no_iommu(void)
{
	struct wrong_call wrong = {"no IOMMU", attach, -ENODEV, {bdf, "IOMMU", "intel_iommu=on"}};
	DIR *dir = opendir("/sys/kernel/iommu_groups");
	unsigned int n = 0;

	for (; dir != NULL && readdir(dir) != NULL; n++)
		;
	if (dir != NULL)
		closedir(dir);
	if (n > 2)
		return test_skip("this machine has an IOMMU (profile noiommu has none)");
	snprintf(bdf, sizeof(bdf), "0000:00:00.0"); /* the host bridge, which every PC has */
	return expect_refused(&wrong);
}

static uint64_t wanted_iova;

static int
map_there(struct dmamap_container *c)
{
	rte_iova_t iova = wanted_iova;

	return dmamap_map(c, memory, PAGE, DMAMAP_RW | DMAMAP_FIXED, &iova);
}

/** An attached device: its group owns the range. Without a device, the machine does. */
static int
in_a_reserved_range(void)
{
	struct dmamap_reserved all[64];
	struct wrong_call wrong = {"reserved", map_there, -EADDRINUSE, {NULL}};
	char range[64];
	int i, n, seen = 0;

	ATTACH_EDU();
	n = dmamap_reserved(container, all, RTE_DIM(all));
	TEST_ASSERT(n > 0 && n <= (int)RTE_DIM(all), "%d reserved ranges", n);
	for (i = 0; i < n; i++) {
		if (all[i].type != DMAMAP_RESERVED_MSI)
			continue;
		seen++;
		snprintf(range, sizeof(range), "[0x%" PRIx64 ", 0x%" PRIx64 "]", all[i].range.start,
			all[i].range.last);
		wrong.says[0] = range;
		wrong.says[1] = "MSI window";
		wrong.says[2] = all[i].owner;
		wanted_iova = all[i].range.start;
		TEST_ASSERT(is_refused(container, &wrong), "its first page");
		wanted_iova = all[i].range.last - PAGE + 1;
		TEST_ASSERT(is_refused(container, &wrong), "its last page");
		TEST_ASSERT(strstr(all[i].owner, bdf) != NULL, "its owner is \"%s\"", all[i].owner);
	}
	TEST_ASSERT(seen > 0, "the group has no MSI window");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(device), "detach");
	device = NULL;
	wrong.says[2] = NULL;
	TEST_ASSERT(is_refused(container, &wrong), "without a device");
	return TEST_SUCCESS;
}

static int
beyond_the_aperture(void)
{
	const struct wrong_call wrong = {"beyond", map_there, -ERANGE, {"aperture", "domain"}};
	struct dmamap_container_info info;

	ATTACH_EDU();
	TEST_ASSERT_SUCCESS(dmamap_container_info(container, &info), "info");
	TEST_ASSERT(info.n_ranges > 0 && info.n_ranges <= RTE_DIM(info.ranges), "ranges");
	wanted_iova = info.ranges[info.n_ranges - 1].last + 1;
	if (wanted_iova == 0)
		return test_skip("this IOMMU translates all addresses");
	TEST_ASSERT(is_refused(container, &wrong), "the first page beyond");
	wanted_iova -= PAGE;
	TEST_ASSERT_SUCCESS(map_there(container), "the last page within");
	return TEST_SUCCESS;
}

static int
detach_call(struct dmamap_container *c)
{
	RTE_SET_USED(c);
	return dmamap_container_detach(device);
}

static int
in_use(void)
{
	const struct wrong_call detach = {"detach", detach_call, -EBUSY, {bdf, "stop"}};
	const struct wrong_call destroy = {
		"destroy", dmamap_container_destroy, -EBUSY, {"bad", bdf, "detach"}};
	bool right;

	ATTACH_EDU();
	dmamap_device_hold(device);
	dmamap_device_hold(device);
	right = is_refused(container, &detach);
	dmamap_device_release(device);
	right = is_refused(container, &detach) && right; /* it was held twice */
	dmamap_device_release(device);
	right = is_refused(container, &destroy) && right;
	TEST_ASSERT(right, "see above");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(device), "not held any more");
	device = NULL;
	return TEST_SUCCESS;
}

/**
 * Run a part of a test in a child, so that dropped privileges and limits do not affect other cases.
 */
static int
in_a_child(int (*run)(void))
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		/* The parent's container does not work in this process. */
		dmamap_container_destroy(container);
		status = dmamap_container_create(&container_conf, &container) == 0 ? run()
										   : TEST_FAILED;
		fflush(NULL);
		_exit(status == TEST_SUCCESS ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return TEST_FAILED;
	return status == 0 ? TEST_SUCCESS : TEST_FAILED;
}

static int
drop_ipc_lock(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) != 0)
		return -errno;
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	data[0].permitted &= ~(1u << CAP_IPC_LOCK);
	return syscall(SYS_capset, &head, data) == 0 ? 0 : -errno;
}

static int
map_2_mib(struct dmamap_container *c)
{
	rte_iova_t iova;

	return dmamap_map(c, memory, HUGEPAGE, DMAMAP_RW, &iova);
}

static int
zone_of_2_mib(struct dmamap_container *c)
{
	const struct dmamap_zone_conf conf = {
		.len = HUGEPAGE, .page_size = HUGEPAGE, .name = "rings"};
	struct dmamap_zone *z;

	return dmamap_zone_alloc(c, &conf, &z);
}

/** 1 MiB may be locked; hugepages are charged like other pages. */
static int
with_a_low_limit(void)
{
	const struct rlimit limit = {1 << 20, 1 << 20};
	const struct wrong_call map = {"map", map_2_mib, -ENOMEM,
		{"RLIMIT_MEMLOCK of 2048 KiB", "is 1024 KiB", "ulimit -l 2048"}};
	const struct wrong_call zone = {"zone", zone_of_2_mib, -ENOMEM, {"2048 KiB", "ulimit -l"}};
	rte_iova_t iova;
	bool right;

	TEST_ASSERT_SUCCESS(setrlimit(RLIMIT_MEMLOCK, &limit), "setrlimit");
	TEST_ASSERT_SUCCESS(drop_ipc_lock(), "capset");
	TEST_ASSERT_SUCCESS(attach_edu(), "attach");
	right = is_refused(container, &map);
	right = is_refused(container, &zone) && right;
	TEST_ASSERT(right, "see above");
	TEST_ASSERT_SUCCESS(
		dmamap_map(container, memory, 1 << 19, DMAMAP_RW, &iova), "what is allowed");
	/* Once mapped, it is charged. */
	TEST_ASSERT_EQUAL(
		dmamap_map(container, memory + (1 << 19), (1 << 19) + PAGE, DMAMAP_RW, &iova),
		-ENOMEM, "a page more than is allowed");
	TEST_ASSERT_SUCCESS(dmamap_map(container, memory + (1 << 19), 1 << 18, DMAMAP_RW, &iova),
		"more of what is allowed");
	return TEST_SUCCESS;
}

static int
memlock_too_low(void)
{
	if (edu_raw_name(0) == NULL)
		return test_skip("no edu device (1234:11e8) is bound to vfio-pci");
	return in_a_child(with_a_low_limit);
}

/** Maps from before the first device are charged when it is attached. */
static int
with_a_low_limit_at_attach(void)
{
	const struct rlimit limit = {1 << 20, 1 << 20};
	const struct wrong_call wrong = {"attach", attach, -ENOMEM, {"RLIMIT_MEMLOCK of 2048 KiB"}};

	snprintf(bdf, sizeof(bdf), "%s", edu_raw_name(0));
	TEST_ASSERT_SUCCESS(map_2_mib(container), "map without a device");
	TEST_ASSERT_SUCCESS(setrlimit(RLIMIT_MEMLOCK, &limit), "setrlimit");
	TEST_ASSERT_SUCCESS(drop_ipc_lock(), "capset");
	return expect_refused(&wrong);
}

static int
memlock_too_low_for_a_replay(void)
{
	if (edu_raw_name(0) == NULL)
		return test_skip("no edu device (1234:11e8) is bound to vfio-pci");
	return in_a_child(with_a_low_limit_at_attach);
}

static long
read_count(const char *path)
{
	FILE *f = fopen(path, "r");
	long n = -1;

	if (f != NULL && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f != NULL)
		fclose(f);
	return n;
}

static int
no_hugepages(void)
{
	const struct wrong_call wrong = {"no hugepages", zone_of_2_mib, -ENOMEM,
		{"rings", "needs 1 pages of 2 MiB", "0 are free", "nr_hugepages"}};
	const long n = read_count(HUGEPAGES "nr_hugepages");
	const char *runner = getenv("GANTRY_RUNNER");
	int rc;

	if (runner == NULL || strncmp(runner, "vm:", 3) != 0)
		return test_skip("this is no emulated machine: its hugepages are left alone");
	ATTACH_EDU();
	TEST_ASSERT(n > 0 && test_write_file(HUGEPAGES "nr_hugepages", "0") == 0,
		"cannot take them away");
	rc = expect_refused(&wrong);
	TEST_ASSERT_SUCCESS(
		test_write_file(HUGEPAGES "nr_hugepages", "%ld", n), "cannot give them back");
	TEST_ASSERT_SUCCESS(rc, "see above");
	TEST_ASSERT_SUCCESS(zone_of_2_mib(container), "with hugepages");
	return TEST_SUCCESS;
}

/**
 * Kill a process while its device writes. Its pages, group and IOVAs are free afterwards, and a new
 * start behaves like the first.
 */
static int
killed_in_mid_traffic(void)
{
	const long before = read_count(HUGEPAGES "free_hugepages");
	rte_iova_t iova = 0x4000000;
	struct area *r;
	unsigned int i;
	pid_t pid;

	if (edu_raw_name(0) == NULL)
		return test_skip("no edu device (1234:11e8) is bound to vfio-pci");
	r = area_make(2 * PAGE);
	TEST_ASSERT_NOT_NULL(r, "no memory");
	TEST_ASSERT_SUCCESS(
		dmamap_map(container, r->va, r->len, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	for (i = 0; i < 3; i++) {
		pid = edu_raw_child(0, iova);
		TEST_ASSERT(pid > 0, "start %u of the other process", i);
		TEST_ASSERT_EQUAL(
			read_count(HUGEPAGES "free_hugepages"), before - 1, "it has no zone");
		edu_raw_child_kill(pid);
		TEST_ASSERT_EQUAL(
			read_count(HUGEPAGES "free_hugepages"), before, "hugepages are lost");
		TEST_ASSERT_SUCCESS(edu_raw_open(&edu, container, 0), "new start %u", i);
		TEST_ASSERT(areas_match(), "the killed process's transfer arrived here");
		TEST_ASSERT_SUCCESS(edu_raw_read(&edu, iova, 0, 64), "read");
		TEST_ASSERT_SUCCESS(edu_raw_write(&edu, iova + PAGE + 64 * i, 0, 64), "write");
		area_expect(r, PAGE + 64 * i, r->va, 64);
		TEST_ASSERT(areas_match(), "after new start %u", i);
		TEST_ASSERT_SUCCESS(edu_raw_close(&edu), "detach");
	}
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"no such device", no_such_device},
	{"no address", no_address},
	{"held by a driver of the host", held_by_a_driver_of_the_host},
	{"held by no driver", held_by_no_driver},
	{"group not viable", group_not_viable},
	{"group busy", group_busy},
	{"attached twice", attached_twice},
	{"no IOMMU", no_iommu},
	{"in a reserved range", in_a_reserved_range},
	{"beyond the aperture", beyond_the_aperture},
	{"detach and destroy while in use", in_use},
	{"RLIMIT_MEMLOCK too low", memlock_too_low},
	{"RLIMIT_MEMLOCK too low for a replay", memlock_too_low_for_a_replay},
	{"no hugepages", no_hugepages},
	{"killed in mid-traffic", killed_in_mid_traffic},
};

REGISTER_TEST_SUITE(bad_input_vm) = {
	.name = "bad_input_vm",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
