/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The watcher: a userfaultfd, the thread that reads it, and delivery to listeners. See dm_watch.h.
 *
 *   kernel -> reader thread -> ring -> worker, or any thread that drains -> gone()
 *
 * A thread in munmap(2) is blocked until the reader has read its event, and it may hold any lock of
 * the program. So the reader takes no lock, allocates nothing, logs nothing and never waits for a
 * consumer. If the ring is full it raises `overflow`, which stands for any event.
 *
 * Memory is registered for write-protect faults, but nothing is ever write-protected, so the kernel
 * reports events only. UFFD_USER_MODE_ONLY is enough for that: no privilege is needed, and
 * vm.unprivileged_userfaultfd may be 0.
 *
 * Lock order: `lifecycle_lock` (start, stop) > `delivery_lock` (listeners, the ring's consumer end)
 * > locks that gone() takes > the lock of watch_ranges.c.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dm_log.h"
#include "dm_thread.h"
#include "dm_util.h"
#include "dm_watch.h"
#include "dm_watch_ranges.h"

/* Names that the oldest supported headers lack. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1 /* Linux 5.11 */
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12) /* Linux 5.19 */
#endif

/** Ring slots, of 24 bytes; a power of two. */
#define RING_SIZE 4096u
/** Events in one read(2). */
#define READ_MAX 16

enum change {
	CHANGE_EMPTIED, /**< pages were discarded, still registered */
	CHANGE_UNMAPPED, /**< no longer registered */
	CHANGE_ARRIVED, /**< mremap moved registered memory here */
};

struct event {
	uint64_t start, last;
	enum change change;
};

uint32_t dm_watch_units DM_CACHE_ALIGNED;

static pthread_mutex_t lifecycle_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t delivery_lock = PTHREAD_MUTEX_INITIALIZER;
static struct dm_watch_listener *listeners; /* under `delivery_lock` */
static __thread bool delivering; /* this thread is in gone() */

/* Under `lifecycle_lock`. The descriptors do not change while there are users. */
static unsigned int users;
static pthread_t reader, worker;
static int uffd = -1, quit_fd = -1, wake_fd = -1;
static bool quitting; /* atomic: the worker must end */

/* Set once, in the child of a process with a watcher: it has neither threads nor registrations. */
static bool orphan;

/*
 * The ring. Written by the reader: head, reads_*. Written under `delivery_lock`: tail. All atomic.
 */
static struct event ring[RING_SIZE];
static uint32_t ring_head DM_CACHE_ALIGNED;
static uint32_t reads_begun, reads_done;
static uint32_t ring_tail DM_CACHE_ALIGNED;
static bool overflow; /* atomic; holds a unit while it is set */

static void
unit_add(void)
{
	__atomic_fetch_add(&dm_watch_units, 1, __ATOMIC_SEQ_CST);
}

static void
unit_remove(void)
{
	__atomic_fetch_sub(&dm_watch_units, 1, __ATOMIC_SEQ_CST);
}

/** Report that any memory may have changed. Reader only. */
static void
ring_overflow(void)
{
	unit_add();
	if (__atomic_exchange_n(&overflow, true, __ATOMIC_ACQ_REL))
		unit_remove();
}

static void
ring_push(uint64_t start, uint64_t last, enum change change)
{
	uint32_t head = ring_head;

	if (head - __atomic_load_n(&ring_tail, __ATOMIC_ACQUIRE) == RING_SIZE) {
		ring_overflow();
		return;
	}
	unit_add();
	ring[head % RING_SIZE] = (struct event){start, last, change};
	__atomic_store_n(&ring_head, head + 1, __ATOMIC_RELEASE);
}

static void
ring_push_message(const struct uffd_msg *msg)
{
	switch (msg->event) {
	case UFFD_EVENT_UNMAP:
		ring_push(msg->arg.remove.start, msg->arg.remove.end - 1, CHANGE_UNMAPPED);
		break;
	case UFFD_EVENT_REMOVE:
		ring_push(msg->arg.remove.start, msg->arg.remove.end - 1, CHANGE_EMPTIED);
		break;
	case UFFD_EVENT_REMAP:
		ring_push(msg->arg.remap.from, msg->arg.remap.from + msg->arg.remap.len - 1,
			CHANGE_UNMAPPED);
		ring_push(msg->arg.remap.to, msg->arg.remap.to + msg->arg.remap.len - 1,
			CHANGE_ARRIVED);
		break;
	default:
		/* Faults are reported for write-protected pages only, and there are none. */
		ring_overflow();
	}
}

/**
 * Read the pending events.
 *
 * The unit and reads_begun come before read(2), which unblocks the threads that caused the events.
 * reads_done and the removal of the unit come after all events are in the ring.
 * @return whether the worker has something to do
 */
static bool
uffd_read_events(void)
{
	struct uffd_msg msg[READ_MAX];
	ssize_t n, i;

	unit_add();
	__atomic_store_n(&reads_begun, reads_begun + 1, __ATOMIC_SEQ_CST);
	n = read(uffd, msg, sizeof(msg));
	for (i = 0; i < n / (ssize_t)sizeof(msg[0]); i++)
		ring_push_message(&msg[i]);
	__atomic_store_n(&reads_done, reads_begun, __ATOMIC_RELEASE);
	unit_remove();
	return i > 0;
}

static void *
reader_main(void *arg DM_UNUSED)
{
	struct pollfd fds[] = {{.fd = uffd, .events = POLLIN}, {.fd = quit_fd, .events = POLLIN}};
	const uint64_t one = 1;

	dm_thread_use_all_cpus();
	for (;;) {
		if (poll(fds, DM_DIM(fds), -1) < 0)
			continue;
		/*
		 * write(2) fails only if 2^64 - 2 wake-ups are pending; the worker is awake then.
		 */
		if (fds[0].revents != 0 && uffd_read_events() &&
			write(wake_fd, &one, sizeof(one)) < 0)
			continue;
		if (fds[1].revents != 0)
			return NULL;
	}
}

/** Update the tree of ranges and call all listeners. Under `delivery_lock`. */
static void
event_deliver(const struct event *event)
{
	struct dm_watch_listener *l;

	if (event->change == CHANGE_UNMAPPED)
		dm_watch_ranges_unmapped(event->start, event->last);
	else if (event->change == CHANGE_ARRIVED)
		dm_watch_ranges_moved(uffd, event->start, event->last);
	delivering = true;
	for (l = listeners; l != NULL; l = l->next)
		l->gone(l->arg, event->start, event->last);
	delivering = false;
}

/** Deliver what is in the ring now; a later call delivers later events. Under `delivery_lock`. */
static void
event_deliver_all(void)
{
	const struct event everything = {0, UINT64_MAX, CHANGE_EMPTIED};
	uint32_t head = __atomic_load_n(&ring_head, __ATOMIC_ACQUIRE), tail = ring_tail;

	while (tail != head) {
		event_deliver(&ring[tail++ % RING_SIZE]);
		__atomic_store_n(&ring_tail, tail, __ATOMIC_RELEASE);
		unit_remove();
	}
	/*
	 * Clear the flag before delivery: events that did not fit came before it was set, so none
	 * is missed.
	 */
	if (__atomic_exchange_n(&overflow, false, __ATOMIC_ACQ_REL)) {
		event_deliver(&everything);
		unit_remove();
	}
}

void
dm_watch_drain(void)
{
	const uint32_t begun = __atomic_load_n(&reads_begun, __ATOMIC_SEQ_CST);

	if (delivering || !dm_watch_pending() || __atomic_load_n(&orphan, __ATOMIC_RELAXED))
		return;
	/*
	 * A read that has begun may have unblocked its thread already. The reader never blocks, so
	 * this wait is short.
	 */
	while ((int32_t)(__atomic_load_n(&reads_done, __ATOMIC_ACQUIRE) - begun) < 0)
		sched_yield();
	pthread_mutex_lock(&delivery_lock);
	event_deliver_all();
	pthread_mutex_unlock(&delivery_lock);
}

static void *
worker_main(void *arg DM_UNUSED)
{
	uint64_t n;

	dm_thread_use_all_cpus();
	while (!__atomic_load_n(&quitting, __ATOMIC_ACQUIRE)) {
		if (read(wake_fd, &n, sizeof(n)) == sizeof(n))
			dm_watch_drain();
	}
	return NULL;
}

bool
dm_watch_changing(void)
{
	/* With a length of 0, UFFDIO_COPY returns EINVAL at once unless a change is in progress. */
	struct uffdio_copy copy = {.len = 0};

	return ioctl(uffd, UFFDIO_COPY, &copy) < 0 && errno == EAGAIN;
}

/** Open a userfaultfd with the given features. @return fd or a negative errno */
static int
uffd_open_with(uint64_t features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	int fd, rc;

	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api) < 0) {
		rc = errno == EINVAL ? -ENOTSUP : -errno;
		close(fd);
		return rc;
	}
	return fd;
}

/** Open the userfaultfd of the watcher. @return fd; or a negative errno, logged */
static int
uffd_open(void)
{
	const uint64_t events = UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP |
		UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_PAGEFAULT_FLAG_WP;
	int fd = uffd_open_with(events | UFFD_FEATURE_WP_HUGETLBFS_SHMEM);

	if (fd == -ENOTSUP)
		fd = uffd_open_with(events);
	if (fd >= 0)
		return fd;
	switch (fd) {
	case -ENOSYS:
		return DM_FAIL(ENOSYS,
			"watcher: userfaultfd(2) is missing: the kernel has no "
			"CONFIG_USERFAULTFD, or a seccomp profile hides it: allow "
			"it there");
	case -EPERM:
		return DM_FAIL(EPERM,
			"watcher: userfaultfd(2) is refused: a seccomp profile forbids "
			"it, or Linux is older than 5.11: allow it there, or run "
			"sysctl vm.unprivileged_userfaultfd=1");
	case -ENOTSUP:
		return DM_FAIL(ENOTSUP,
			"watcher: userfaultfd has no events or no write-protect mode: "
			"the kernel is too old: use Linux 5.7 (x86-64) or 6.10 (arm64)");
	default:
		return DM_FAIL(-fd, "watcher: userfaultfd(2): %s", strerror(-fd));
	}
}

static int
eventfd_open(int *fd, int flags)
{
	int err;

	*fd = eventfd(0, EFD_CLOEXEC | flags);
	if (*fd >= 0)
		return 0;
	err = errno;
	return DM_FAIL(err, "watcher: eventfd: %s", strerror(err));
}

static void
watcher_close_fds(void)
{
	int *fds[] = {&uffd, &quit_fd, &wake_fd};
	unsigned int i;

	for (i = 0; i < DM_DIM(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/**
 * fork(2) handler, in the child. Its memory is not registered (no UFFD_FEATURE_EVENT_FORK), but its
 * copy of the descriptor would reach the parent's memory and outlive the parent's close(2).
 * Inherited cache entries are never fresh again. Threads that the child lacks may hold the locks,
 * so none is taken from now on.
 */
static void
watcher_fork_child(void)
{
	if (users == 0 && uffd < 0)
		return;
	__atomic_store_n(&orphan, true, __ATOMIC_RELAXED);
	__atomic_store_n(&dm_watch_units, 1, __ATOMIC_SEQ_CST);
	watcher_close_fds();
}

static void
watcher_register_fork(void)
{
	pthread_atfork(NULL, NULL, watcher_fork_child);
}

/** Start a thread of the watcher. @return 0; a negative errno, logged */
static int
thread_start(pthread_t *thread, void *(*run)(void *), const char *name)
{
	const int rc = dm_thread_start(thread, run, name);

	return rc == 0 ? 0 : DM_FAIL(-rc, "watcher: thread %s: %s", name, strerror(-rc));
}

static void
eventfd_signal(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		DM_LOG(ERR, "watcher: eventfd: %s", strerror(errno));
}

static void
reader_stop(void)
{
	eventfd_signal(quit_fd);
	pthread_join(reader, NULL);
}

static int
watcher_start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int rc;

	pthread_once(&once, watcher_register_fork);
	dm_watch_ranges_init();
	uffd = uffd_open();
	if (uffd < 0)
		return uffd;
	rc = eventfd_open(&quit_fd, 0);
	if (rc == 0)
		rc = eventfd_open(&wake_fd, 0);
	if (rc < 0)
		goto close;
	quitting = false;
	rc = thread_start(&reader, reader_main, "dm-watch-read");
	if (rc < 0)
		goto close;
	rc = thread_start(&worker, worker_main, "dm-watch-work");
	if (rc < 0)
		goto end;
	return 0;
end:
	reader_stop();
close:
	watcher_close_fds();
	return rc;
}

int
dm_watch_start(void)
{
	int rc = 0;

	if (__atomic_load_n(&orphan, __ATOMIC_RELAXED))
		return DM_FAIL(ENOTSUP,
			"watcher: this process was forked from one with a watcher: "
			"fork before the first container, or exec");
	pthread_mutex_lock(&lifecycle_lock);
	if (users == 0)
		rc = watcher_start();
	if (rc == 0)
		users++;
	pthread_mutex_unlock(&lifecycle_lock);
	return rc;
}

/**
 * Stop the watcher. Memory is unregistered before the reader ends, or munmap(2) would block
 * forever.
 */
static void
watcher_stop(void)
{
	dm_watch_ranges_clear(uffd);
	__atomic_store_n(&quitting, true, __ATOMIC_RELEASE);
	eventfd_signal(wake_fd);
	pthread_join(worker, NULL);
	reader_stop();
	dm_watch_drain();
	watcher_close_fds();
}

void
dm_watch_stop(void)
{
	if (__atomic_load_n(&orphan, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&lifecycle_lock);
	if (--users == 0)
		watcher_stop();
	pthread_mutex_unlock(&lifecycle_lock);
}

int
dm_watch_add(struct dm_watch_range *range, uint64_t start, uint64_t last)
{
	if (__atomic_load_n(&orphan, __ATOMIC_RELAXED))
		return -ENOTSUP;
	return dm_watch_ranges_add(uffd, range, start, last);
}

void
dm_watch_del(struct dm_watch_range *range)
{
	if (!__atomic_load_n(&orphan, __ATOMIC_RELAXED))
		dm_watch_ranges_del(uffd, range);
}

void
dm_watch_listen(struct dm_watch_listener *listener)
{
	if (__atomic_load_n(&orphan, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&delivery_lock);
	listener->next = listeners;
	listeners = listener;
	pthread_mutex_unlock(&delivery_lock);
}

void
dm_watch_unlisten(struct dm_watch_listener *listener)
{
	struct dm_watch_listener **l;

	if (__atomic_load_n(&orphan, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&delivery_lock);
	for (l = &listeners; *l != NULL; l = &(*l)->next)
		if (*l == listener) {
			*l = listener->next;
			break;
		}
	pthread_mutex_unlock(&delivery_lock);
}
