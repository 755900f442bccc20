/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The test core of the preload library. See probe.h. Descriptors are kept in a table of kinds, one
 * byte each. Kernel calls go through the C library, so the interposed functions are re-entered
 * from inside.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "preload_file.h"
#include "front_broker.h"
#include "front_faults.h"
#include "front_serve.h"
#include "probe.h"

#define PUBLIC __attribute__((visibility("default")))
#define FDS 4096
/** Lowest number for hidden descriptors that are moved away. */
#define HIDDEN_FROM 200

static unsigned char kinds[FDS];
static struct probe_counts counts;
static struct front_conf start_conf;

#define COUNT(what) __atomic_fetch_add(&counts.what, 1, __ATOMIC_RELAXED)

static void
kind_set(int fd, enum front_kind kind)
{
	__atomic_store_n(&kinds[fd], kind, __ATOMIC_RELAXED);
}

/* Calls of the test */

PUBLIC struct probe_counts
probe_counts(void)
{
	return counts;
}

PUBLIC int
probe_kind(int fd)
{
	return (int)front_kind(fd);
}

PUBLIC void
probe_hide(int fd)
{
	kind_set(fd, FRONT_HIDDEN);
}

PUBLIC struct front_conf
probe_conf(void)
{
	return start_conf;
}

/* Replacement of preload_file.c */

const char preload_container_file[] = PROBE_NO_CONTAINER;
const char preload_iommufd_file[] = "/dev/random";

enum front_kind
preload_file_kind(dev_t rdev, const char *sysfs, int *group)
{
	errno = EDOM;
	*group = rdev == makedev(1, 7) ? 7 : -1;
	return rdev == makedev(1, 5) ? FRONT_CONTAINER : *group == 7 ? FRONT_GROUP : FRONT_NONE;
}

/* Replacement of the mapper */

int
dmamap_vfio_node(const char *path, char *buf, size_t size)
{
	if (strcmp(path, PROBE_RENAMED) != 0)
		return -ENOENT;
	strncpy(buf, PROBE_NODE, size);
	return 0;
}

/* Replacement of the core */

int
front_init(const struct front_conf *conf)
{
	start_conf = *conf;
	return COUNT(inits) == 0 ? 0 : -EBUSY;
}

bool
front_broker_serves(const char *path, int err)
{
	return err == ENOENT &&
		(strcmp(path, PROBE_ELSEWHERE) == 0 || strcmp(path, PROBE_REFUSED) == 0);
}

int
front_broker_open(const char *path, int flags)
{
	int fd = strcmp(path, PROBE_REFUSED) == 0 ? -EXDEV : open("/dev/zero", flags);

	errno = EDOM;
	return fd;
}

enum front_kind
front_kind(int fd)
{
	return fd < 0 || fd >= FDS ? FRONT_NONE : __atomic_load_n(&kinds[fd], __ATOMIC_RELAXED);
}

int
front_next(int first, int last)
{
	for (; first <= last && first < FDS; first++)
		if (front_kind(first) != FRONT_NONE)
			return first;
	return -1;
}

int
front_opened(int fd, enum front_kind kind, int group)
{
	COUNT(opened);
	if (fd >= FDS)
		return -ENOMEM;
	kind_set(fd, kind);
	errno = EDOM;
	return 0;
}

int
front_dup(int from, int to)
{
	COUNT(dups);
	kind_set(to, front_kind(from));
	errno = EDOM;
	return 0;
}

/** Calls from inside the core reach the kernel's file, and the library does not track them. */
static int
call_libc(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), other = open("/dev/zero", O_RDONLY);
	int rc = copy < 0 || other < 0 || front_kind(copy) != FRONT_NONE ||
		front_kind(other) != FRONT_NONE;

	rc |= ioctl(fd, PROBE_ECHO, 1) != -1 || errno != ENOTTY;
	rc |= dup2(fd, copy) != copy || front_kind(copy) != FRONT_NONE;
	return rc | close(copy) | close(other);
}

int
front_ioctl(int fd, unsigned long request, uintptr_t arg)
{
	int made;

	COUNT(ioctls);
	errno = EDOM;
	switch ((uint32_t)request) {
	case PROBE_ECHO:
		return (int)arg;
	case PROBE_FAIL:
		return -EXDEV;
	case PROBE_LIBC:
		return call_libc(fd);
	case VFIO_GROUP_GET_DEVICE_FD:
		made = open((const char *)arg, O_RDWR | O_CLOEXEC);
		if (made < 0)
			return -errno;
		kind_set(made, FRONT_DEVICE);
		return made;
	default:
		return -ENOTTY;
	}
}

int
front_close(int fd)
{
	COUNT(closes);
	if (front_kind(fd) == FRONT_HIDDEN)
		return -EBADF;
	kind_set(fd, FRONT_NONE);
	return close(fd) < 0 ? -errno : 0;
}

void
front_forget(int fd)
{
	COUNT(forgets);
	kind_set(fd, FRONT_NONE);
	errno = EDOM;
}

int
front_relocate(int fd)
{
	int to;

	COUNT(relocations);
	if (front_kind(fd) != FRONT_HIDDEN)
		return -EINVAL;
	to = fcntl(fd, F_DUPFD_CLOEXEC, HIDDEN_FROM);
	if (to < 0)
		return -errno;
	kind_set(to, FRONT_HIDDEN);
	kind_set(fd, FRONT_NONE);
	return 0;
}

void
front_child(void)
{
	int fd;

	COUNT(children);
	for (fd = 0; fd < FDS; fd++)
		if (front_kind(fd) == FRONT_CONTAINER)
			kind_set(fd, FRONT_FOREIGN);
}

void
front_stats(struct front_stats *stats)
{
	int fd;

	memset(stats, 0, sizeof(*stats));
	for (fd = 0; fd < FDS; fd++) {
		stats->n_containers += front_kind(fd) == FRONT_CONTAINER;
		stats->n_groups += front_kind(fd) == FRONT_GROUP;
		stats->n_devices += front_kind(fd) == FRONT_DEVICE;
	}
	stats->n_domains = stats->n_containers;
	stats->map_calls = counts.ioctls;
	stats->refusals = 1;
}

unsigned int
front_refusals(struct front_refusal *out, unsigned int n)
{
	*out = (struct front_refusal){
		.number = 1, .call = "PROBE_FAIL", .err = EXDEV, .why = "a probe"};
	return 1;
}

void
front_log_set(dmamap_log_fn fn, void *arg)
{
	fn(arg, DMAMAP_LOG_WARNING, "the probe writes a line");
}

int
front_faults_start(void)
{
	return -ENOSYS;
}

int
front_serve_start(void)
{
	return -ENOSYS;
}

void
front_serve_stop(void)
{
}
