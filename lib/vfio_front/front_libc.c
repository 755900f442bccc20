/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Interposed functions of the C library in libgantry_vfio.so: those that create, use and close
 * descriptors. The program is the caller.
 *
 * Each function calls the C library's own, and the core (front.h) for tracked descriptors. For
 * other descriptors the cost is one table look-up, front_kind(), and one fstat(2) per open.
 *
 * Invariants:
 * - Before the first VFIO file is opened, nothing happens: no lock, no allocation, no descriptor,
 *   no handler of fork(2).
 * - The core runs with `inside` set: calls from it and from libdmamap reach the kernel unchanged.
 * - The core runs only in the process that owns the tracked descriptors. A child of vfork(2) or
 *   posix_spawn(3) shares the parent's memory but has its own descriptors, so the core ignores it.
 *   So it does for a child of a bare clone(2). A child of fork(2) has a copy of the table, in which
 *   containers are foreign.
 */

#include "preload_real.h"

#include <ctype.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <linux/vfio.h>

#include "dmamap.h"
#include "front.h"
#include "front_broker.h"
#include "front_faults.h"
#include "front_serve.h"
#include "preload_file.h"
#include "preload_log.h"
#include "preload_options.h"
#include "preload_report.h"

#define PUBLIC __attribute__((visibility("default")))

static struct preload_options options;
static pthread_once_t start_once = PTHREAD_ONCE_INIT;
/** Process whose descriptors the core tracks; 0: no VFIO file was opened yet. Atomic. */
static pid_t owner;
/** This process opened the first VFIO file; it is not a child of the one that did. */
static bool is_first;
/** This thread runs the core. The TLS model makes a read independent of the dynamic linker. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

/* Entering and leaving the core */

/** Thread state saved on entry to the core. */
struct entry {
	int err;
	int cancel;
};

/**
 * Disables cancellation, because the core holds locks across functions that are cancellation
 * points.
 */
static struct entry
core_enter(void)
{
	struct entry at = {.err = errno};

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &at.cancel);
	inside = true;
	return at;
}

static void
core_leave(struct entry at)
{
	inside = false;
	pthread_setcancelstate(at.cancel, NULL);
	errno = at.err;
}

/** Convert a result of the core into that of a system call. */
static int
core_result(int rc)
{
	if (rc >= 0)
		return rc;
	errno = -rc;
	return -1;
}

static void
preload_fork_child(void)
{
	__atomic_store_n(&owner, getpid(), __ATOMIC_RELAXED);
	is_first = false;
	front_child();
}

/** Start the core, at the first VFIO file. */
static void
preload_start(void)
{
	char bad[64];
	const char *text = secure_getenv(PRELOAD_OPTIONS_ENV);
	int rc = preload_options_parse(text, &options, bad, sizeof(bad));

	preload_log_open(options.log);
	if (rc < 0)
		preload_log_line(PRELOAD_OPTIONS_ENV
			": unknown option '%s': all options are ignored:"
			" start the program with gantry-run",
			bad);
	front_log_set(preload_log_message, NULL);
	rc = front_init(&options.conf);
	if (rc < 0) {
		preload_log_line(PRELOAD_OPTIONS_ENV
			": options are not usable here: the defaults are used: %s",
			strerror(-rc));
		front_init(&(struct front_conf){0});
	}
	pthread_atfork(NULL, NULL, preload_fork_child);
	is_first = true;
	__atomic_store_n(&owner, getpid(), __ATOMIC_RELEASE);
	if (options.status)
		front_serve_start();
	if (options.faults)
		front_faults_start();
}

/** Whether this process has opened VFIO files. One load. */
static bool
preload_is_active(void)
{
	return __atomic_load_n(&owner, __ATOMIC_RELAXED) != 0;
}

/** Whether the core handles calls of this thread. Called for tracked descriptors only. */
static bool
core_is_on(void)
{
	return !inside && __atomic_load_n(&owner, __ATOMIC_RELAXED) == getpid();
}

static bool
fd_is_tracked(int fd)
{
	return PRELOAD_UNLIKELY(front_kind(fd) != FRONT_NONE);
}

/**
 * The kernel has just returned this number as new. If it is tracked, the program closed it by a
 * bare system call: stop tracking it.
 */
static void
fd_forget_stale(int fd)
{
	if (fd >= 0 && fd_is_tracked(fd) && core_is_on()) {
		struct entry at = core_enter();

		front_forget(fd);
		core_leave(at);
	}
}

/* Opening */

/**
 * Kind of an open file. Uses the raw system call: the kernel's struct stat and the C library's are
 * the same on 64-bit systems.
 */
static enum front_kind
file_kind(int fd, int *group)
{
	struct stat st;

	if (syscall(SYS_fstat, fd, &st) != 0 || !S_ISCHR(st.st_mode))
		return FRONT_NONE;
	return preload_file_kind(st.st_rdev, "/sys", group);
}

static void
fd_track(int fd, enum front_kind kind, int group)
{
	struct entry at;

	pthread_once(&start_once, preload_start);
	if (!core_is_on())
		return;
	at = core_enter();
	/* On -ENOMEM the descriptor stays untracked and behaves as the kernel's own. */
	front_opened(fd, kind, group);
	core_leave(at);
}

/**
 * After a failed open of a VFIO file: try the descriptors handed in and the broker.
 * @return a descriptor; -1 with errno set.
 */
static int
open_handed_in(const char *path, int flags)
{
	int err = errno, fd;
	struct entry at;

	pthread_once(&start_once, preload_start);
	errno = err;
	if (!core_is_on())
		return -1;
	at = core_enter();
	fd = front_broker_open(path, flags);
	core_leave(at);
	return fd == -ENOENT ? -1 : core_result(fd);
}

/**
 * Log once why a group cannot be opened on a kernel with VFIO device files only (CONFIG_VFIO_GROUP
 * off). Such a kernel has the class vfio-dev and not the class vfio.
 */
static void
explain_no_group(const char *path)
{
	static const char groups[] = "/dev/vfio/";
	static bool said;

	if (strncmp(path, groups, strlen(groups)) != 0 ||
		!isdigit((unsigned char)path[strlen(groups)]) ||
		access("/sys/class/vfio-dev", F_OK) != 0 || access("/sys/class/vfio", F_OK) == 0 ||
		__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		return;
	pthread_once(&start_once, preload_start);
	preload_log_line(
		"%s: no such group: this kernel has VFIO device files only: use a kernel with"
		" CONFIG_VFIO_GROUP, or run a program that uses iommufd itself, without"
		" gantry-run",
		path);
}

/**
 * Log why the container cannot be opened: the program is restricted to type1, and the kernel has
 * only iommufd.
 */
static void
explain_no_type1(void)
{
	if (access(preload_iommufd_file, F_OK) == 0)
		preload_log_line(
			"%s: this kernel has no containers (CONFIG_VFIO_CONTAINER), so no type1, but"
			" has iommufd: start the program with --backend=auto",
			preload_container_file);
}

/**
 * An open by the program has failed. If the kernel has no containers (CONFIG_VFIO_CONTAINER off)
 * but has iommufd, open /dev/iommu in its place. The core then answers as a container would.
 */
static int
open_failed(const char *path, int flags)
{
	int err = errno, fd;

	/* Only for these errors: with EFAULT `path` must not be read. */
	if (err != ENOENT && err != ENODEV && err != ENXIO)
		return -1;
	if (strcmp(path, preload_container_file) != 0) {
		explain_no_group(path);
		errno = err;
		return -1;
	}
	pthread_once(&start_once, preload_start);
	if (options.conf.backend == DMAMAP_BACKEND_TYPE1) {
		explain_no_type1();
		errno = err;
		return -1;
	}
	errno = err;
	fd = preload_real_open(PRELOAD_REAL(open), preload_iommufd_file, flags & ~O_CREAT, 0);
	if (fd < 0 && front_broker_serves(preload_iommufd_file, errno))
		fd = open_handed_in(preload_iommufd_file, flags);
	errno = err;
	if (fd >= 0)
		fd_track(fd, FRONT_IOMMUFD, -1);
	return fd;
}

/**
 * The program has opened a VFIO file, or there was none of that name. In a pod its node can have
 * another name, and this name can be another file's.
 * @return the descriptor for the program; -1 with errno set.
 */
static int
open_by_number(int fd, const char *path, int flags)
{
	char node[PATH_MAX];
	struct entry at = core_enter();
	int rc = dmamap_vfio_node(path, node, sizeof(node));

	core_leave(at);
	if ((rc < 0 && rc != -ENOENT) || (rc == 0 && strcmp(path, node) == 0))
		return fd;
	if (fd >= 0)
		syscall(SYS_close, fd);
	if (rc < 0)
		return core_result(rc);
	return preload_real_open(PRELOAD_REAL(open), node, flags & ~O_CREAT, 0);
}

static bool
path_is_vfio(const char *path)
{
	static const char folder[] = "/dev/vfio/";

	return strncmp(path, folder, strlen(folder)) == 0;
}

/**
 * An open by the program has returned.
 * @return the descriptor for the program; -1 with errno set.
 */
static int
open_returned(int fd, const char *path, int flags)
{
	int err, group;
	enum front_kind kind;

	/* The core tracks its own files itself: skip the fstat(2). */
	if (inside)
		return fd;
	/* With another error `path` may not be readable. */
	if ((fd >= 0 || errno == ENOENT) && PRELOAD_UNLIKELY(path_is_vfio(path)))
		fd = open_by_number(fd, path, flags);
	if (PRELOAD_UNLIKELY(fd < 0) && front_broker_serves(path, errno))
		fd = open_handed_in(path, flags);
	if (PRELOAD_UNLIKELY(fd < 0))
		return open_failed(path, flags);
	err = errno;
	fd_forget_stale(fd);
	/*
	 * None of these is a device: directories, O_PATH, O_TMPFILE, and files that were just
	 * created.
	 */
	if ((flags & (O_PATH | O_DIRECTORY)) != 0 ||
		(flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return fd;
	kind = file_kind(fd, &group);
	if (PRELOAD_UNLIKELY(kind != FRONT_NONE))
		fd_track(fd, kind, group);
	errno = err;
	return fd;
}

/** open() has a mode argument only with these flags. */
static bool
flags_have_mode(int flags)
{
	return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

#define MODE_OF(flags, mode)                                                                       \
	do {                                                                                       \
		va_list ap;                                                                        \
		va_start(ap, flags);                                                               \
		mode = flags_have_mode(flags) ? va_arg(ap, mode_t) : 0;                            \
		va_end(ap);                                                                        \
	} while (0)

PUBLIC int
open(const char *path, int flags, ...)
{
	mode_t mode;

	MODE_OF(flags, mode);
	return open_returned(preload_real_open(PRELOAD_REAL(open), path, flags, mode), path, flags);
}

PUBLIC int
open64(const char *path, int flags, ...)
{
	mode_t mode;

	MODE_OF(flags, mode);
	return open_returned(
		preload_real_open(PRELOAD_REAL(open64), path, flags, mode), path, flags);
}

PUBLIC int
openat(int dir, const char *path, int flags, ...)
{
	mode_t mode;

	MODE_OF(flags, mode);
	return open_returned(
		preload_real_openat(PRELOAD_REAL(openat), dir, path, flags, mode), path, flags);
}

PUBLIC int
openat64(int dir, const char *path, int flags, ...)
{
	mode_t mode;

	MODE_OF(flags, mode);
	return open_returned(
		preload_real_openat(PRELOAD_REAL(openat64), dir, path, flags, mode), path, flags);
}

/* The _FORTIFY_SOURCE variants have no mode. The C library aborts if the flags need one. */

PUBLIC int
__open_2(const char *path, int flags)
{
	__typeof__(__open_2) *f = PRELOAD_REAL(__open_2);

	return open_returned(
		f != NULL ? f(path, flags) : preload_real_open(NULL, path, flags, 0), path, flags);
}

PUBLIC int
__open64_2(const char *path, int flags)
{
	__typeof__(__open64_2) *f = PRELOAD_REAL(__open64_2);

	return open_returned(
		f != NULL ? f(path, flags) : preload_real_open(NULL, path, flags, 0), path, flags);
}

PUBLIC int
__openat_2(int dir, const char *path, int flags)
{
	__typeof__(__openat_2) *f = PRELOAD_REAL(__openat_2);

	return open_returned(
		f != NULL ? f(dir, path, flags) : preload_real_openat(NULL, dir, path, flags, 0),
		path, flags);
}

PUBLIC int
__openat64_2(int dir, const char *path, int flags)
{
	__typeof__(__openat64_2) *f = PRELOAD_REAL(__openat64_2);

	return open_returned(
		f != NULL ? f(dir, path, flags) : preload_real_openat(NULL, dir, path, flags, 0),
		path, flags);
}

#define CREAT_FLAGS (O_CREAT | O_WRONLY | O_TRUNC)

PUBLIC int
creat(const char *path, mode_t mode)
{
	__typeof__(creat) *f = PRELOAD_REAL(creat);

	return open_returned(
		f != NULL ? f(path, mode) : preload_real_open(NULL, path, CREAT_FLAGS, mode), path,
		CREAT_FLAGS);
}

PUBLIC int
creat64(const char *path, mode_t mode)
{
	__typeof__(creat64) *f = PRELOAD_REAL(creat64);

	return open_returned(
		f != NULL ? f(path, mode) : preload_real_open(NULL, path, CREAT_FLAGS, mode), path,
		CREAT_FLAGS);
}

/* Receiving descriptors */

/**
 * Track containers among the descriptors that came with a message: they belong to another process.
 */
static void
fds_received(struct msghdr *msg)
{
	int err = errno, fd, group;
	struct cmsghdr *c;
	size_t at;

	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (at = 0; at + sizeof(fd) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(fd)) {
			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			fd_forget_stale(fd);
			if (file_kind(fd, &group) == FRONT_CONTAINER)
				fd_track(fd, FRONT_FOREIGN, -1);
		}
	}
	errno = err;
}

static bool
msg_has_control(const struct msghdr *msg)
{
	return PRELOAD_UNLIKELY(msg->msg_controllen >= CMSG_LEN(sizeof(int))) &&
		msg->msg_control != NULL && !inside;
}

PUBLIC ssize_t
recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t rc = preload_real_recvmsg(fd, msg, flags);

	if (rc >= 0 && msg_has_control(msg))
		fds_received(msg);
	return rc;
}

PUBLIC int
recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *timeout)
{
	int rc = preload_real_recvmmsg(fd, msgs, n, flags, timeout), i;

	for (i = 0; i < rc; i++)
		if (msg_has_control(&msgs[i].msg_hdr))
			fds_received(&msgs[i].msg_hdr);
	return rc;
}

/* ioctl */

/** ioctl(2) on a tracked descriptor. */
static int
core_ioctl(int fd, unsigned long request, void *arg)
{
	struct entry at;
	int rc;

	if (!core_is_on())
		return preload_real_ioctl(fd, request, arg);
	at = core_enter();
	rc = front_ioctl(fd, request, (uintptr_t)arg);
	if (rc >= 0 && options.report && (uint32_t)request == VFIO_GROUP_GET_DEVICE_FD)
		preload_report_sample();
	core_leave(at);
	return core_result(rc);
}

/**
 * Track an unknown descriptor on which the program makes a VFIO request: inherited through exec(2),
 * or received by a way that is not interposed. A container without a type and a group in no
 * container are tracked as if opened here. A container with a type is foreign, because another
 * program image or process knows its domains.
 */
static void
fd_adopt(int fd)
{
	struct vfio_iommu_type1_info info = {.argsz = sizeof(info)};
	struct vfio_group_status status = {.argsz = sizeof(status)};
	int err = errno, group;

	switch (file_kind(fd, &group)) {
	case FRONT_CONTAINER:
		fd_track(fd,
			preload_real_ioctl(fd, VFIO_IOMMU_GET_INFO, &info) == 0 ? FRONT_FOREIGN
										: FRONT_CONTAINER,
			-1);
		break;
	case FRONT_GROUP:
		if (preload_real_ioctl(fd, VFIO_GROUP_GET_STATUS, &status) < 0 ||
			(status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET) == 0)
			fd_track(fd, FRONT_GROUP, group);
		break;
	default:
		break;
	}
	errno = err;
}

PUBLIC int
ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fd_is_tracked(fd))
		return core_ioctl(fd, request, arg);
	if (PRELOAD_UNLIKELY(_IOC_TYPE((uint32_t)request) == VFIO_TYPE) && !inside)
		fd_adopt(fd);
	return fd_is_tracked(fd) ? core_ioctl(fd, request, arg)
				 : preload_real_ioctl(fd, request, arg);
}

/* Closing */

static int
core_close(int fd)
{
	struct entry at;
	int rc;

	if (!core_is_on())
		return preload_real_close(fd);
	at = core_enter();
	if (options.report)
		preload_report_sample();
	rc = front_close(fd);
	core_leave(at);
	return core_result(rc);
}

PUBLIC int
close(int fd)
{
	return fd_is_tracked(fd) ? core_close(fd) : preload_real_close(fd);
}

/**
 * Close all untracked descriptors from `first` to `last`, then the tracked ones. Hidden ones stay
 * open.
 * @return 0; -1 with errno set.
 */
static int
close_between(unsigned int first, unsigned int last)
{
	const int top = last > INT_MAX ? INT_MAX : (int)last;
	unsigned int from = first;
	int fd, rc = 0;

	for (fd = front_next((int)first, top); fd >= 0 && rc == 0;
		fd = fd < top ? front_next(fd + 1, top) : -1) {
		if ((unsigned int)fd > from)
			rc = preload_real_close_range(from, fd - 1, 0);
		from = (unsigned int)fd + 1;
	}
	if (rc == 0 && from <= last)
		rc = preload_real_close_range(from, last, 0);
	if (rc != 0)
		return rc;
	for (fd = front_next((int)first, top); fd >= 0;
		fd = fd < top ? front_next(fd + 1, top) : -1)
		core_close(fd);
	return 0;
}

/**
 * Whether close_range() closes descriptors of this process. With CLOSE_RANGE_CLOEXEC or
 * CLOSE_RANGE_UNSHARE it does not: hidden ones have FD_CLOEXEC already, or the table becomes the
 * thread's own.
 */
static bool
is_plain_close_range(unsigned int first, unsigned int last, int flags)
{
	return preload_is_active() && flags == 0 && first <= last && first <= INT_MAX &&
		core_is_on();
}

PUBLIC int
close_range(unsigned int first, unsigned int last, int flags)
{
	int err = errno, rc;

	if (!is_plain_close_range(first, last, flags))
		return preload_real_close_range(first, last, flags);
	rc = close_between(first, last);
	if (rc == 0)
		errno = err;
	return rc;
}

PUBLIC void
closefrom(int low)
{
	int err = errno, fd;

	low = low < 0 ? 0 : low;
	if (!is_plain_close_range(low, UINT_MAX, 0)) {
		preload_real_closefrom(low);
		return;
	}
	/* One by one without close_range(2): Linux before 5.9. */
	if (close_between(low, UINT_MAX) != 0)
		for (fd = low; fd < (int)sysconf(_SC_OPEN_MAX); fd++)
			close(fd);
	errno = err;
}

/* Duplicating */

/** A call has returned a duplicate at a new number. @return to */
static int
dup_returned(int from, int to)
{
	struct entry at;

	if (to < 0)
		return to;
	fd_forget_stale(to);
	if (!fd_is_tracked(from) || !core_is_on())
		return to;
	at = core_enter();
	front_dup(from, to);
	core_leave(at);
	return to;
}

/** Prepare a tracked number for another file. @return 0; -1 with errno set. */
static int
fd_vacate(int from, int to)
{
	struct entry at;
	int rc = 0;

	/*
	 * A bad `from` is the only error that dup2(2) could still return after `to` is dropped:
	 * check it first.
	 */
	if (preload_real_fcntl(PRELOAD_REAL(fcntl), from, F_GETFD, 0) < 0)
		return -1;
	at = core_enter();
	if (front_kind(to) == FRONT_HIDDEN)
		rc = front_relocate(to);
	else
		front_forget(to);
	/* Another thread closed it meanwhile. */
	if (front_kind(to) == FRONT_NONE)
		rc = 0;
	core_leave(at);
	return core_result(rc);
}

/** dup2(2) and dup3(2), if `from` or `to` is tracked. */
static int
core_dup_onto(int from, int to, int flags)
{
	int rc;

	if (!core_is_on())
		return preload_real_dup3(from, to, flags);
	if (fd_is_tracked(to) && fd_vacate(from, to) < 0)
		return -1;
	rc = preload_real_dup3(from, to, flags);
	return rc < 0 ? rc : dup_returned(from, to);
}

PUBLIC int
dup(int fd)
{
	return dup_returned(fd, preload_real_dup(fd));
}

PUBLIC int
dup2(int from, int to)
{
	if (from == to || (!fd_is_tracked(from) && !fd_is_tracked(to)))
		return preload_real_dup2(from, to);
	return core_dup_onto(from, to, 0);
}

PUBLIC int
dup3(int from, int to, int flags)
{
	if (from == to || (flags & ~O_CLOEXEC) != 0 || (!fd_is_tracked(from) && !fd_is_tracked(to)))
		return preload_real_dup3(from, to, flags);
	return core_dup_onto(from, to, flags);
}

static int
fcntl_returned(int fd, int cmd, int rc)
{
	return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC ? dup_returned(fd, rc) : rc;
}

PUBLIC int
fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	return fcntl_returned(fd, cmd, preload_real_fcntl(PRELOAD_REAL(fcntl), fd, cmd, arg));
}

PUBLIC int
fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	return fcntl_returned(fd, cmd, preload_real_fcntl(PRELOAD_REAL(fcntl64), fd, cmd, arg));
}

/* End of the process */

/** Only in the process that opened VFIO files, not in a child of it. */
__attribute__((destructor)) static void
preload_finish(void)
{
	struct entry at;

	if (!preload_is_active() || !is_first || !core_is_on())
		return;
	at = core_enter();
	if (options.status)
		front_serve_stop();
	if (options.report)
		preload_report_print();
	core_leave(at);
}
