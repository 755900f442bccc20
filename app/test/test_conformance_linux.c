/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The running Linux as a kernel under the conformance suites: its system calls, sysfs and tracefs.
 * Called through conformance.h.
 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include <rte_string_fns.h>

#include "conformance.h"
#include "iommu_trace.h"
#include "test.h"

#define ENTRY_LIMIT "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"
/* Only in the kernel that devtools/vm/kernel-build makes; see config/vm/kernel-alter.h. */
#define NEVER_SHARE "/sys/module/vfio_iommu_type1/parameters/never_share"
#define ALTER "/sys/module/iommu/parameters/alter"
#define FAIL_MAP "/sys/module/iommu/parameters/fail_map"

static int
linux_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int
linux_close(int fd)
{
	return close(fd) < 0 ? -errno : 0;
}

static int
linux_ioctl(int fd, unsigned long request, unsigned long arg)
{
	int rc = ioctl(fd, request, arg);

	return rc < 0 ? -errno : rc;
}

/* Devices */

/** The last part of the target of a sysfs link. */
static bool
link_name(const char *path, char *name, size_t room)
{
	char target[512];
	ssize_t len = readlink(path, target, sizeof(target) - 1);

	if (len < 0)
		return false;
	target[len] = '\0';
	strlcpy(name, basename(target), room);
	return true;
}

/** Whether the first line of a file contains the text. */
static bool
file_has(const char *path, const char *text)
{
	char line[1024];
	FILE *in = fopen(path, "r");
	bool has;

	if (in == NULL)
		return false;
	has = fgets(line, sizeof(line), in) != NULL && strstr(line, text) != NULL;
	fclose(in);
	return has;
}

/** Name of the IOMMU in front of a device, by sysfs. */
static void
read_iommu(struct place *place)
{
	char path[256], name[41]; /* length of a name such as smmu3.0x0000000009050000 */

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu", place->name);
	if (!link_name(path, name, sizeof(name)))
		return;
	if (file_has(NEVER_SHARE, "Y"))
		snprintf(place->iommu, sizeof(place->iommu), "%.40s of %d", name, place->group);
	else
		snprintf(place->iommu, sizeof(place->iommu), "%.40s%s", name,
			file_has(ALTER, place->name) ? " altered" : "");
}

static void
read_reserved(struct place *place)
{
	char path[128], type[64];
	struct dmamap_range r;
	FILE *in;

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%d/reserved_regions", place->group);
	in = fopen(path, "r");
	if (in == NULL)
		return;
	while (place->n_resv < PLACE_RESV &&
		fscanf(in, "%" SCNx64 " %" SCNx64 " %63s", &r.start, &r.last, type) == 3) {
		struct dmamap_reserved *resv = &place->resv[place->n_resv++];

		resv->range = r;
		resv->type = strcmp(type, "direct-relaxable") == 0 ? DMAMAP_RESERVED_RELAXABLE
			: strcmp(type, "direct") == 0              ? DMAMAP_RESERVED_DIRECT
			: strcmp(type, "msi") == 0                 ? DMAMAP_RESERVED_MSI
								   : DMAMAP_RESERVED_BUS;
	}
	fclose(in);
}

static void
find_cdev(struct place *place)
{
	char path[256];
	glob_t found;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev/vfio*", place->name);
	if (glob(path, 0, NULL, &found) != 0)
		return;
	strlcpy(place->cdev, basename(found.gl_pathv[0]), sizeof(place->cdev));
	globfree(&found);
}

static int
describe(const char *name, struct place *place)
{
	char path[256], group[32];

	*place = (struct place){0};
	strlcpy(place->name, name, sizeof(place->name));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", name);
	if (!link_name(path, group, sizeof(group)))
		return -ENOENT;
	place->group = atoi(group);
	read_iommu(place);
	read_reserved(place);
	find_cdev(place);
	return 0;
}

static int
describe_noiommu(unsigned int i, struct place *place)
{
	glob_t found;
	int rc = -ENOENT;

	if (glob("/dev/vfio/noiommu-*", 0, NULL, &found) == 0) {
		if (i < found.gl_pathc) {
			*place = (struct place){.noiommu = true,
				.group = atoi(strrchr(found.gl_pathv[i], '-') + 1)};
			rc = 0;
		}
		globfree(&found);
	}
	return rc;
}

/** The i-th of the devices that the runner names, followed by those in noiommu mode. */
static int
linux_device(unsigned int i, struct place *place)
{
	const char *list = getenv("GANTRY_DEVICES");
	char text[1024], *word, *rest = text;

	strlcpy(text, list != NULL ? list : "", sizeof(text));
	while ((word = strsep(&rest, " ,\n")) != NULL)
		if (word[0] != '\0' && i-- == 0)
			return describe(word, place);
	return describe_noiommu(i, place);
}

/* Limits */

/** The value of a KiB line of /proc/self/status, in bytes. */
static uint64_t
status_bytes(const char *format)
{
	char line[256];
	uint64_t kib = 0;
	FILE *in = fopen("/proc/self/status", "r");

	if (in == NULL)
		return 0;
	while (fgets(line, sizeof(line), in) != NULL)
		if (sscanf(line, format, &kib) == 1)
			break;
	fclose(in);
	return kib * 1024;
}

static uint64_t
linux_locked(void)
{
	return status_bytes("VmLck: %" SCNu64);
}

static uint64_t
linux_pinned(void)
{
	return status_bytes("VmPin: %" SCNu64);
}

/** Make CAP_IPC_LOCK effective, or keep it permitted only. */
static int
set_capable(bool capable)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	if (capable)
		data[0].effective |= data[0].permitted & 1u << CAP_IPC_LOCK;
	else
		data[0].effective &= ~(1u << CAP_IPC_LOCK);
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static int
linux_limit_memory(uint64_t bytes, bool capable)
{
	static struct rlimit at_start;
	static bool known;
	struct rlimit limit;

	if (!known && getrlimit(RLIMIT_MEMLOCK, &at_start) < 0)
		return -ENOTSUP;
	known = true;
	limit = at_start;
	if (bytes != 0)
		limit.rlim_cur = bytes;
	if (limit.rlim_cur > limit.rlim_max || setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return -ENOTSUP;
	return set_capable(capable) < 0 ? -ENOTSUP : 0;
}

static int
linux_limit_entries(unsigned int n)
{
	return test_write_file(ENTRY_LIMIT, "%u", n != 0 ? n : 65535) < 0 ? -ENOTSUP : 0;
}

/* Another process */

static int
linux_ioctl_elsewhere(int fd, unsigned long request, void *arg, size_t len)
{
	struct {
		int rc;
		uint8_t arg[256];
	} * shared;
	int status, rc = -ENOTSUP;
	pid_t child;

	shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || len > sizeof(shared->arg))
		return -ENOTSUP;
	memcpy(shared->arg, arg, len);
	child = fork();
	if (child == 0) {
		shared->rc = linux_ioctl(fd, request, (unsigned long)shared->arg);
		_exit(0);
	}
	if (child > 0 && waitpid(child, &status, 0) == child && status == 0) {
		rc = shared->rc;
		memcpy(arg, shared->arg, len);
	}
	munmap(shared, sizeof(*shared));
	return rc;
}

/* The kernel's trace events */

static bool tracing;

/** Map events of all IOMMUs since the case began; -1: the kernel does not trace them. */
static int64_t
linux_map_events(void)
{
	struct iommu_trace trace;

	if (!tracing)
		return -1;
	iommu_trace_read(DMAMAP_ANYWHERE, &trace);
	return trace.maps;
}

static void
linux_fail_map_event(unsigned int nth, int err)
{
	test_write_file(FAIL_MAP, "%u", err == ENOMEM ? nth : 0);
}

static struct kernel kernel_linux = {
	.name = "Linux",
	.open = linux_open,
	.close = linux_close,
	.ioctl = linux_ioctl,
	.device = linux_device,
	.locked = linux_locked,
	.pinned = linux_pinned,
	.limit_memory = linux_limit_memory,
	.limit_entries = linux_limit_entries,
	.ioctl_elsewhere = linux_ioctl_elsewhere,
	.map_events = linux_map_events,
};

/**
 * Under gantry-run the suite runs on a virtual container. GANTRY_FRONT names its kind: "type1",
 * "isolated" or "iommufd". Such a kernel differs from Linux in these properties.
 */
static int
read_front(void)
{
	const char *front = getenv("GANTRY_FRONT");

	if (front == NULL)
		return TEST_SUCCESS;
	TEST_ASSERT(strcmp(front, "type1") == 0 || strcmp(front, "isolated") == 0 ||
			strcmp(front, "iommufd") == 0,
		"GANTRY_FRONT=%s", front);
	kernel_linux.ioctl_elsewhere = NULL;
	kernel_linux.charges_domains = strcmp(front, "isolated") == 0;
	kernel_linux.unlimited = strcmp(front, "iommufd") == 0;
	kernel_linux.charges_user = kernel_linux.unlimited;
	return TEST_SUCCESS;
}

int
conformance_linux(const struct kernel **kernel)
{
	static bool told;
	struct place place;
	struct utsname name;
	int fd;

	/*
	 * Do not use access(2): under gantry-run /dev/vfio/vfio may work although the kernel has
	 * none.
	 */
	fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return test_skip("/dev/vfio/vfio: %s", strerror(errno));
	close(fd);
	if (linux_device(0, &place) < 0)
		return test_skip("GANTRY_DEVICES names no device with a group");
	if (!told && uname(&name) == 0)
		printf("  kernel Linux %s %s, IOMMU %s\n", name.release, name.machine, place.iommu);
	told = true;
	if (read_front() != TEST_SUCCESS)
		return TEST_FAILED;
	tracing = iommu_trace_start() == 0;
	/* Failures that the previous case injected and did not use are cancelled. */
	if (test_write_file(FAIL_MAP, "0") == 0)
		kernel_linux.fail_map_event = linux_fail_map_event;
	*kernel = &kernel_linux;
	return TEST_SUCCESS;
}
