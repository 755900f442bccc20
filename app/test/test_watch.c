/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the watcher of application memory: every change is reported before a look-up can miss
 * it.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/memfd.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_watch.h"
#include "test.h"

#define KB64 ((size_t)64 << 10)
#define MB2 ((size_t)2 << 20)
#define MAX_GONE 256

/** Calls that a listener got. */
struct record {
	pthread_mutex_t lock;
	struct {
		uint64_t start, last;
	} gone[MAX_GONE];
	unsigned int n, inside, overlaps, everything;
	bool hold; /**< atomic: gone() waits while it is set */
};

static struct record record;

static void
record_gone(void *arg, uint64_t start, uint64_t last)
{
	struct record *r = arg;

	if (__atomic_fetch_add(&r->inside, 1, __ATOMIC_SEQ_CST) != 0)
		__atomic_fetch_add(&r->overlaps, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&r->hold, __ATOMIC_ACQUIRE))
		sched_yield();
	pthread_mutex_lock(&r->lock);
	if (start == 0 && last == UINT64_MAX)
		r->everything++;
	r->gone[r->n % MAX_GONE].start = start;
	r->gone[r->n++ % MAX_GONE].last = last;
	pthread_mutex_unlock(&r->lock);
	__atomic_fetch_sub(&r->inside, 1, __ATOMIC_SEQ_CST);
}

static struct dm_watch_listener listener = {.gone = record_gone, .arg = &record};

static void
forget(void)
{
	pthread_mutex_lock(&record.lock);
	record.n = record.everything = 0;
	pthread_mutex_unlock(&record.lock);
}

/** Whether nothing was reported since forget(). */
static bool
nothing_is_gone(void)
{
	bool nothing;

	pthread_mutex_lock(&record.lock);
	nothing = record.n == 0;
	pthread_mutex_unlock(&record.lock);
	return nothing;
}

/** Whether one event named all of [va, va + len). */
static bool
is_gone(const void *va, size_t len)
{
	bool found = false;
	unsigned int i;

	pthread_mutex_lock(&record.lock);
	for (i = 0; i < RTE_MIN(record.n, (unsigned int)MAX_GONE); i++)
		found |= record.gone[i].start <= (uintptr_t)va &&
			record.gone[i].last >= (uintptr_t)va + len - 1;
	pthread_mutex_unlock(&record.lock);
	return found;
}

static int
setup(void)
{
	int rc;

	/* A case that blocks is ended by SIGALRM, as a failure. */
	alarm(120);
	memset(&record, 0, sizeof(record));
	pthread_mutex_init(&record.lock, NULL);
	rc = dm_watch_start();
	if (rc == -ENOTSUP || rc == -ENOSYS || rc == -EPERM)
		return test_skip("no userfaultfd events here: %s", strerror(-rc));
	if (rc == 0)
		dm_watch_listen(&listener);
	return rc;
}

static void
teardown(void)
{
	dm_watch_unlisten(&listener);
	dm_watch_stop();
	alarm(0);
}

static void *
map(void *at, size_t len)
{
	void *va = mmap(at, len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | (at != NULL ? MAP_FIXED_NOREPLACE : 0), -1, 0);

	if (va == MAP_FAILED)
		return NULL;
	memset(va, 1, len);
	return va;
}

/**
 * A free address far from those that mmap(2) chooses. After a munmap(2) there, no other thread's
 * mmap(2) gets it, so it can be mapped again.
 */
static void *
apart(size_t len)
{
	char *near = map(NULL, len), *va = NULL;
	unsigned int i;

	for (i = 1; va == NULL && i < 64; i++)
		va = map(near - ((size_t)i << 36), len);
	munmap(near, len);
	if (va != NULL)
		munmap(va, len);
	return va;
}

static int
watch(struct dm_watch_range *range, const void *va, size_t len)
{
	return dm_watch_add(range, (uintptr_t)va, (uintptr_t)va + len - 1);
}

/**
 * Bit map of the pages from va on that the kernel watches, at most 64: flag "uw" of
 * /proc/self/smaps.
 */
static uint64_t
watched_pages(const void *va, unsigned int n)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	uint64_t start = 0, end = 0, watched = 0, from, to;
	char line[512];
	unsigned int i;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "VmFlags:", 8) != 0) {
			if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2) {
				start = from;
				end = to;
			}
			continue;
		}
		for (i = 0; i < n && strstr(line, " uw") != NULL; i++)
			if ((uintptr_t)va + i * 4096 >= start && (uintptr_t)va + i * 4096 < end)
				watched |= UINT64_C(1) << i;
		if (start > (uintptr_t)va + n * 4096)
			break;
	}
	if (f != NULL)
		fclose(f);
	return watched;
}

static bool
is_watched(const void *va)
{
	return watched_pages(va, 1) == 1;
}

/** Operations of an application on memory. */
enum act { UNMAP, MAP_OVER, DONTNEED, FREE, REMOVE, SHRINK, N_ACTS };

static int
act_on(enum act act, void *va, size_t len, int flags, int fd)
{
	switch (act) {
	case UNMAP:
		return munmap(va, len);
	case MAP_OVER:
		return mmap(va, len, PROT_NONE, flags | MAP_FIXED | MAP_NORESERVE, fd, 0) == va
			? 0
			: -1;
	case DONTNEED:
		return madvise(va, len, MADV_DONTNEED);
	case FREE:
		return madvise(va, len, MADV_FREE);
	case REMOVE:
		return madvise(va, len, MADV_REMOVE);
	case SHRINK:
		return mremap(va, 2 * len, len, 0) == va ? 0 : -1;
	default:
		return -1;
	}
}

/**
 * After any operation on a part of watched memory, the thread finds an event pending or delivered.
 * Once drained, the event names exactly that part.
 */
static int
check_act(enum act act, int flags, int fd, size_t page)
{
	const size_t len = 8 * page;
	static struct dm_watch_range range;
	bool seen;
	char *va, *part;

	va = apart(len + MB2);
	va = (char *)RTE_ALIGN_CEIL((uintptr_t)va, MB2);
	va = mmap(va, len, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd,
		0);
	TEST_ASSERT(va != MAP_FAILED, "mmap: %s", strerror(errno));
	part = act == SHRINK ? va + 4 * page : va + 2 * page;
	TEST_ASSERT_SUCCESS(watch(&range, va, len), "add");
	TEST_ASSERT(is_watched(va) && is_watched(va + len - 1), "watched");
	forget();
	TEST_ASSERT_SUCCESS(act_on(act, act == SHRINK ? va : part, 4 * page, flags, fd),
		"act %d: %s", act, strerror(errno));
	seen = dm_watch_pending() || is_gone(part, 4 * page);
	TEST_ASSERT(seen, "act %d returned before it was known", act);
	TEST_ASSERT(!dm_watch_changing(), "a change under way after act %d", act);
	dm_watch_drain();
	TEST_ASSERT(is_gone(part, 4 * page), "act %d was not reported", act);
	TEST_ASSERT(!is_gone(va, page), "act %d: more than that was reported", act);
	TEST_ASSERT(is_watched(va), "the rest is no longer watched after act %d", act);
	dm_watch_del(&range);
	TEST_ASSERT(!is_watched(va), "still watched after del");
	munmap(va, len);
	return TEST_SUCCESS;
}

static int
changes_of_anonymous_memory_are_known_when_the_call_returns(void)
{
	const enum act acts[] = {UNMAP, MAP_OVER, DONTNEED, FREE, SHRINK};
	unsigned int i, round;

	for (round = 0; round < 50; round++)
		for (i = 0; i < RTE_DIM(acts); i++)
			if (check_act(acts[i], MAP_PRIVATE | MAP_ANONYMOUS, -1, 4096) != 0)
				return TEST_FAILED;
	return TEST_SUCCESS;
}

/** For shared memory of base pages or hugepages whose pages were never touched. */
static int
check_memfd(unsigned int memfd_flags, size_t page, const enum act *acts, unsigned int n)
{
	int fd = memfd_create("watch", MFD_CLOEXEC | memfd_flags), rc = TEST_SUCCESS;
	static struct dm_watch_range range;
	unsigned int i;
	void *va;

	if (fd < 0)
		return test_skip("memfd_create: %s", strerror(errno));
	TEST_ASSERT_SUCCESS(ftruncate(fd, (off_t)(8 * page)), "ftruncate");
	va = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	TEST_ASSERT(va != MAP_FAILED, "mmap: %s", strerror(errno));
	if (watch(&range, va, page) == -ENOTSUP) {
		munmap(va, page);
		close(fd);
		return test_skip("Linux 5.19 is needed");
	}
	dm_watch_del(&range);
	munmap(va, page);
	for (i = 0; i < n && rc == TEST_SUCCESS; i++)
		rc = check_act(acts[i], MAP_SHARED, fd, page);
	close(fd);
	return rc;
}

static int
changes_of_shared_memory_are_known_when_the_call_returns(void)
{
	const enum act acts[] = {UNMAP, MAP_OVER, DONTNEED, REMOVE, SHRINK};

	return check_memfd(0, 4096, acts, RTE_DIM(acts));
}

static int
changes_of_hugepages_are_known_when_the_call_returns(void)
{
	const enum act acts[] = {UNMAP, MAP_OVER, REMOVE};

	return check_memfd(MFD_HUGETLB | MFD_HUGE_2MB, MB2, acts, RTE_DIM(acts));
}

static int
a_part_of_a_hugepage_is_watched_with_all_of_it(void)
{
	int fd = memfd_create("watch", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB), rc;
	static struct dm_watch_range range;
	char *va;

	if (fd < 0)
		return test_skip("memfd_create: %s", strerror(errno));
	va = mmap(NULL, 2 * MB2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	TEST_ASSERT(va != MAP_FAILED, "mmap: %s", strerror(errno));
	rc = watch(&range, va + KB64, KB64);
	if (rc == -ENOTSUP)
		return test_skip("Linux 5.19 is needed");
	TEST_ASSERT_SUCCESS(rc, "add");
	TEST_ASSERT_EQUAL(range.start, (uintptr_t)va, "start");
	TEST_ASSERT_EQUAL(range.last, (uintptr_t)va + MB2 - 1, "last");
	TEST_ASSERT(!is_watched(va + MB2), "the next one is watched");
	TEST_ASSERT_SUCCESS(munmap(va, 2 * MB2), "munmap");
	dm_watch_drain();
	TEST_ASSERT(is_gone(va, MB2), "not reported");
	dm_watch_del(&range);
	close(fd);
	return TEST_SUCCESS;
}

static int
memory_that_moves_is_gone_from_both_places(void)
{
	char *va = map(apart(KB64), KB64), *to = map(apart(2 * KB64), 2 * KB64), *now;
	static struct dm_watch_range range;

	TEST_ASSERT(va != NULL && to != NULL, "map");
	TEST_ASSERT_SUCCESS(watch(&range, va, KB64), "add");
	now = mremap(va, KB64, KB64, MREMAP_MAYMOVE | MREMAP_FIXED, to + KB64);
	TEST_ASSERT(now == to + KB64, "mremap: %s", strerror(errno));
	TEST_ASSERT(dm_watch_pending() || (is_gone(va, KB64) && is_gone(now, KB64)), "not known");
	dm_watch_drain();
	TEST_ASSERT(is_gone(va, KB64), "from");
	TEST_ASSERT(is_gone(now, KB64), "to");
	/* The new place is not watched, so its munmap(2) does not wait for the reader. */
	TEST_ASSERT(!is_watched(now), "the new place is watched");
	dm_watch_del(&range);
	munmap(to, 2 * KB64);
	return TEST_SUCCESS;
}

static int
new_memory_is_watched_from_the_next_add_on(void)
{
	static struct dm_watch_range old, range;
	void *va = map(apart(KB64), KB64);
	unsigned int i;

	TEST_ASSERT_NOT_NULL(va, "map");
	for (i = 0; i < 100; i++) {
		TEST_ASSERT_SUCCESS(watch(&old, va, KB64), "add");
		forget();
		munmap(va, KB64);
		TEST_ASSERT(map(va, KB64) == va, "the same place");
		TEST_ASSERT(dm_watch_pending() || is_gone(va, KB64), "not known");
		dm_watch_drain();
		TEST_ASSERT(is_gone(va, KB64), "not reported");
		forget();
		madvise(va, KB64, MADV_DONTNEED);
		dm_watch_drain();
		TEST_ASSERT(!is_gone(va, KB64), "reported, and not added");
		TEST_ASSERT_SUCCESS(watch(&range, va, KB64), "add again");
		/* The old range neither keeps nor ends the watch of new memory. */
		dm_watch_del(&range);
		/* Not in each round: smaps takes long in a sanitizer build. */
		TEST_ASSERT(i % 20 != 0 || !is_watched(va), "for a range that is gone");
		TEST_ASSERT_SUCCESS(watch(&range, va, KB64), "add again");
		dm_watch_del(&old);
		madvise(va, KB64, MADV_DONTNEED);
		TEST_ASSERT(dm_watch_pending() || is_gone(va, KB64), "not known");
		dm_watch_drain();
		TEST_ASSERT(is_gone(va, KB64), "not reported");
		dm_watch_del(&range);
	}
	munmap(va, KB64);
	return TEST_SUCCESS;
}

#define MODEL_PAGES 24
#define MODEL_RANGES 12

/** The kernel's registrations are the union of the ranges, in any sequence. */
static int
memory_is_watched_while_a_range_covers_it(void)
{
	static struct dm_watch_range range[MODEL_RANGES];
	bool live[MODEL_RANGES] = {false};
	unsigned int first[MODEL_RANGES] = {0}, last[MODEL_RANGES] = {0}, step, i, p;
	char *va = map(NULL, MODEL_PAGES * 4096);
	uint64_t covered;

	for (step = 0; step < 150; step++) {
		i = test_rand_max(MODEL_RANGES);
		if (live[i]) {
			dm_watch_del(&range[i]);
		} else {
			first[i] = test_rand_max(MODEL_PAGES);
			last[i] = first[i] + test_rand_max(RTE_MIN(6u, MODEL_PAGES - first[i]));
			TEST_ASSERT_SUCCESS(watch(&range[i], va + first[i] * 4096 + 7,
						    (last[i] - first[i]) * 4096 + 9),
				"add");
		}
		live[i] = !live[i];
		covered = 0;
		for (i = 0; i < MODEL_RANGES; i++)
			for (p = first[i]; live[i] && p <= last[i]; p++)
				covered |= UINT64_C(1) << p;
		TEST_ASSERT_EQUAL(watched_pages(va, MODEL_PAGES), covered, "step %u", step);
	}
	for (i = 0; i < MODEL_RANGES; i++)
		if (live[i])
			dm_watch_del(&range[i]);
	TEST_ASSERT_EQUAL(dm_watch_pending(), false, "adds and deletes are no events");
	munmap(va, MODEL_PAGES * 4096);
	return TEST_SUCCESS;
}

#ifdef __SANITIZE_ADDRESS__
#define OWN_MALLOC false
#elif defined(__SANITIZE_THREAD__)
#define OWN_MALLOC false
#else
#define OWN_MALLOC true
#endif

static void *
trim_heap(void *arg)
{
	static struct dm_watch_range range;
	char *block[16];
	unsigned int i;
	bool *ok = arg;

	for (i = 0; i < RTE_DIM(block); i++) {
		block[i] = malloc(KB64);
		memset(block[i], 1, KB64);
	}
	i = RTE_DIM(block) / 2;
	if (watch(&range, block[i], KB64) != 0)
		return NULL;
	forget();
	for (i = RTE_DIM(block); i-- > 0;)
		free(block[i]);
	/* Up to 5 KiB at the block's ends may share a page with memory that is not trimmed. */
	i = RTE_DIM(block) / 2;
	*ok = dm_watch_pending() || is_gone(block[i] + 4096, KB64 - 8192);
	dm_watch_drain();
	*ok = *ok && is_gone(block[i] + 4096, KB64 - 8192);
	dm_watch_del(&range);
	return NULL;
}

static int
a_heap_that_free_trims_is_known(void)
{
	pthread_t thread;
	bool ok = false;

	if (!OWN_MALLOC)
		return test_skip("the sanitizer has an allocator of its own");
	TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, trim_heap, &ok), "thread");
	pthread_join(thread, NULL);
	TEST_ASSERT(ok, "64 KiB of a thread's arena, freed and trimmed, were not reported");
	return TEST_SUCCESS;
}

static int
what_cannot_be_watched_is_refused(void)
{
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffdio_api api = {.api = UFFD_API};
	char path[] = "/var/tmp/gantry-watch-XXXXXX";
	static struct dm_watch_range range;
	int fd = mkstemp(path);
	char *file, *va = map(apart(3 * KB64), 3 * KB64);

	TEST_ASSERT(fd >= 0 && ftruncate(fd, KB64) == 0, "%s", path);
	unlink(path);
	file = mmap(NULL, KB64, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	TEST_ASSERT(file != MAP_FAILED, "mmap");
	TEST_ASSERT_EQUAL(watch(&range, file, KB64), -ENOTSUP, "a file");
	TEST_ASSERT_EQUAL(watch(&range, file, 1), -ENOTSUP, "a byte of a file");
	munmap(file, KB64);
	close(fd);

	TEST_ASSERT_EQUAL(dm_watch_add(&range, 4096, 0), -EINVAL, "start > last");
	TEST_ASSERT_EQUAL(dm_watch_add(&range, 0, UINT64_MAX), -EINVAL, "everything");
	TEST_ASSERT_EQUAL(dm_watch_add(&range, UINT64_MAX, UINT64_MAX), -EINVAL, "the top");
	munmap(va + KB64, KB64);
	TEST_ASSERT_EQUAL(watch(&range, va + KB64, KB64), -EFAULT, "a hole");

	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
	TEST_ASSERT(fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0, "userfaultfd");
	reg.range.start = (uintptr_t)va;
	reg.range.len = KB64;
	TEST_ASSERT_SUCCESS(ioctl(fd, UFFDIO_REGISTER, &reg), "register");
	TEST_ASSERT_EQUAL(watch(&range, va, 1), -EBUSY, "another userfaultfd's");
	close(fd);
	TEST_ASSERT_SUCCESS(watch(&range, va, 1), "its own again");
	dm_watch_del(&range);
	munmap(va, 3 * KB64);
	return TEST_SUCCESS;
}

/**
 * More events than fit in the ring while a listener sleeps: no thread waits, and everything becomes
 * stale.
 */
static int
a_full_ring_makes_everything_stale(void)
{
	const unsigned int pages = 6000;
	static struct dm_watch_range range, other;
	char *va = map(NULL, pages * 4096), *va2 = map(NULL, KB64);
	unsigned int i;

	TEST_ASSERT_SUCCESS(watch(&range, va, pages * 4096), "add");
	TEST_ASSERT_SUCCESS(watch(&other, va2, KB64), "add");
	__atomic_store_n(&record.hold, true, __ATOMIC_RELEASE);
	for (i = 0; i < pages; i++)
		TEST_ASSERT_SUCCESS(munmap(va + i * 4096, 4096), "munmap");
	TEST_ASSERT(dm_watch_pending(), "pending");
	__atomic_store_n(&record.hold, false, __ATOMIC_RELEASE);
	dm_watch_drain();
	TEST_ASSERT(record.everything == 1, "told %u times that everything is stale",
		record.everything);
	TEST_ASSERT(!dm_watch_pending(), "%u units are left", dm_watch_units);
	/* Afterwards it works as before. */
	forget();
	munmap(va2, KB64);
	dm_watch_drain();
	TEST_ASSERT(record.everything == 0 && is_gone(va2, KB64), "after the overflow");
	dm_watch_del(&range);
	dm_watch_del(&other);
	TEST_ASSERT_EQUAL(record.overlaps, 0, "gone() was called by two threads at a time");
	return TEST_SUCCESS;
}

/** gone() takes record.lock; the thread that unmaps holds it. */
static int
munmap_under_the_lock_that_gone_takes_returns(void)
{
	static struct dm_watch_range range;
	unsigned int i;
	char *va;

	for (i = 0; i < 500; i++) {
		va = map(NULL, KB64);
		TEST_ASSERT_SUCCESS(watch(&range, va, KB64), "add");
		pthread_mutex_lock(&record.lock);
		munmap(va, KB64 / 2);
		/* The worker waits for the lock now. The reader has to continue all the same. */
		usleep(i % 50 == 0 ? 2000 : 0);
		munmap(va + KB64 / 2, KB64 / 2);
		pthread_mutex_unlock(&record.lock);
		dm_watch_del(&range);
	}
	dm_watch_drain();
	TEST_ASSERT(is_gone(va, KB64 / 2), "not reported");
	return TEST_SUCCESS;
}

/** No thread drains, so the worker delivers the event. */
static int
the_worker_delivers_what_nobody_drains(void)
{
	static struct dm_watch_range range;
	char *va = map(NULL, KB64);
	unsigned int i;

	TEST_ASSERT_SUCCESS(watch(&range, va, KB64), "add");
	munmap(va, KB64);
	for (i = 0; i < 10000 && dm_watch_pending(); i++)
		usleep(1000);
	TEST_ASSERT(!dm_watch_pending() && is_gone(va, KB64), "not delivered");
	dm_watch_del(&range);
	return TEST_SUCCESS;
}

/** gone() may do what a cache does: free, unmap, delete, and even drain. */
static void
busy_gone(void *arg, uint64_t start, uint64_t last __rte_unused)
{
	struct dm_watch_range *range = arg, inner;
	char *va = map(NULL, KB64);

	if (start != range->start) {
		munmap(va, KB64);
		return;
	}
	dm_watch_del(range);
	free(memset(malloc(KB64), 1, KB64));
	if (watch(&inner, va, KB64) == 0) {
		munmap(va, KB64);
		dm_watch_drain();
		dm_watch_del(&inner);
	}
	range->start = 0;
}

static int
gone_may_free_unmap_and_delete(void)
{
	static struct dm_watch_range range;
	static struct dm_watch_listener busy = {.gone = busy_gone, .arg = &range};
	char *va = map(NULL, KB64);

	TEST_ASSERT_SUCCESS(watch(&range, va, KB64), "add");
	dm_watch_listen(&busy);
	munmap(va, KB64);
	dm_watch_drain();
	dm_watch_unlisten(&busy);
	TEST_ASSERT_EQUAL(range.start, 0, "not called");
	dm_watch_drain();
	/* After unlisten gone() is not called any more. */
	range.start = 1;
	va = map(NULL, KB64);
	TEST_ASSERT_SUCCESS(watch(&range, va, KB64), "add");
	munmap(va, KB64);
	dm_watch_drain();
	TEST_ASSERT_NOT_EQUAL(range.start, 0, "called");
	dm_watch_del(&range);
	return TEST_SUCCESS;
}

/** One thread unmaps; another thread's mmap gets the addresses before munmap(2) has returned. */
struct steal {
	char *va;
	unsigned int round, done; /**< atomic */
	unsigned int known, missed, early;
	bool end;
};

static void *
steal_addresses(void *arg)
{
	struct steal *s = arg;
	unsigned int round;
	bool pending, changing;
	void *got;

	for (round = 1;; round++) {
		while (__atomic_load_n(&s->round, __ATOMIC_ACQUIRE) != round)
			if (__atomic_load_n(&s->end, __ATOMIC_ACQUIRE))
				return NULL;
		do
			got = mmap(s->va, KB64, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		while (got == MAP_FAILED);
		pending = dm_watch_pending();
		changing = dm_watch_changing();
		if (changing || dm_watch_pending() || is_gone(s->va, KB64))
			s->known++;
		else
			s->missed++;
		s->early += changing && !pending;
		__atomic_store_n(&s->done, round, __ATOMIC_RELEASE);
	}
}

static int
an_address_that_another_thread_gets_early_is_not_fresh(void)
{
	struct steal s = {.va = map(apart(KB64), KB64)};
	static struct dm_watch_range range;
	unsigned int round;
	pthread_t thread;

	TEST_ASSERT_NOT_NULL(s.va, "map");
	TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, steal_addresses, &s), "thread");
	for (round = 1; round <= 1000; round++) {
		TEST_ASSERT_SUCCESS(watch(&range, s.va, KB64), "add");
		forget();
		__atomic_store_n(&s.round, round, __ATOMIC_RELEASE);
		munmap(s.va, KB64);
		while (__atomic_load_n(&s.done, __ATOMIC_ACQUIRE) != round)
			sched_yield();
		dm_watch_drain();
		dm_watch_del(&range);
	}
	__atomic_store_n(&s.end, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	munmap(s.va, KB64);
	printf("  %u of %u got the addresses before the event was read\n", s.early, round - 1);
	TEST_ASSERT_EQUAL(s.missed, 0, "%u of %u looked fresh", s.missed, s.missed + s.known);
	return TEST_SUCCESS;
}

/** A cache of four entries for each thread. An entry is valid until gone() names it. */
#define CACHE_THREADS 4
#define CACHE_SLOTS 4
struct slot {
	char *va;
	struct dm_watch_range range;
	bool valid; /**< atomic */
};

static struct slot slots[CACHE_THREADS][CACHE_SLOTS];

static void
cache_gone(void *arg __rte_unused, uint64_t start, uint64_t last)
{
	unsigned int i;
	struct slot *s;

	for (i = 0; i < CACHE_THREADS * CACHE_SLOTS; i++) {
		s = &slots[i / CACHE_SLOTS][i % CACHE_SLOTS];
		if ((uintptr_t)s->va <= last && (uintptr_t)s->va + KB64 - 1 >= start)
			__atomic_store_n(&s->valid, false, __ATOMIC_SEQ_CST);
	}
}

/** Replace a slot's memory. @return whether it succeeded */
static bool
change_slot(const struct slot *s, unsigned int how)
{
	void *moved;

	switch (how) {
	case 0:
		return madvise(s->va, KB64, MADV_DONTNEED) == 0;
	case 1:
		return mmap(s->va, KB64, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == s->va;
	default:
		/* With this flag the fifth argument counts even without MREMAP_FIXED, as a hint. */
		moved = mremap(s->va, KB64, KB64, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
		return moved != MAP_FAILED && munmap(moved, KB64) == 0;
	}
}

/** Change a slot's memory and look it up as a cache does. @return the number of stale hits */
static unsigned int
use_slot(struct slot *s, unsigned int how)
{
	unsigned int stale = 0;

	if (watch(&s->range, s->va, KB64) != 0)
		return 1;
	__atomic_store_n(&s->valid, true, __ATOMIC_SEQ_CST);
	if (!change_slot(s, how))
		stale++;
	/* A hit: the entry is valid, nothing is pending, and the entry is still valid. */
	else if (__atomic_load_n(&s->valid, __ATOMIC_SEQ_CST) && dm_watch_fresh() &&
		__atomic_load_n(&s->valid, __ATOMIC_SEQ_CST))
		stale++;
	dm_watch_drain();
	if (__atomic_load_n(&s->valid, __ATOMIC_SEQ_CST))
		stale++;
	dm_watch_del(&s->range);
	return stale;
}

static void *
use_cache(void *arg)
{
	struct slot *own = arg;
	unsigned int i;
	uintptr_t stale = 0;

	for (i = 0; i < 1500; i++)
		stale += use_slot(&own[i % CACHE_SLOTS], i % 3);
	return (void *)stale;
}

static int
four_threads_never_get_a_stale_hit(void)
{
	static struct dm_watch_listener cache = {.gone = cache_gone};
	pthread_t thread[CACHE_THREADS];
	uintptr_t n = 0;
	unsigned int i, j;
	void *stale;

	for (i = 0; i < CACHE_THREADS; i++)
		for (j = 0; j < CACHE_SLOTS; j++)
			slots[i][j].va = map(NULL, KB64);
	dm_watch_listen(&cache);
	for (i = 0; i < CACHE_THREADS; i++)
		TEST_ASSERT_SUCCESS(
			pthread_create(&thread[i], NULL, use_cache, slots[i]), "thread");
	for (i = 0; i < CACHE_THREADS; i++) {
		pthread_join(thread[i], &stale);
		n += (uintptr_t)stale;
	}
	dm_watch_unlisten(&cache);
	TEST_ASSERT_EQUAL(n, 0, "%" PRIuPTR " stale hits", n);
	for (i = 0; i < CACHE_THREADS; i++)
		for (j = 0; j < CACHE_SLOTS; j++)
			munmap(slots[i][j].va, KB64);
	TEST_ASSERT_EQUAL(record.overlaps, 0, "gone() was called by two threads at a time");
	return TEST_SUCCESS;
}

/** The kernel counts a joined thread for a moment. Wait until n threads are left. */
static bool
has_threads(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < 5000 && test_threads() > n; i++)
		usleep(1000);
	return test_threads() == n;
}

/** Runs without the suite's own watcher. */
static int
users_are_counted_and_nothing_is_left(void)
{
	unsigned int files, threads, i;
	static struct dm_watch_range range;
	char *va = map(NULL, KB64);

	threads = test_threads() - 2;
	teardown();
	TEST_ASSERT(has_threads(threads), "threads of the suite's own");
	files = test_open_files();
	for (i = 0; i < 50; i++) {
		TEST_ASSERT_SUCCESS(dm_watch_start(), "first");
		TEST_ASSERT_SUCCESS(dm_watch_start(), "second");
		TEST_ASSERT(has_threads(threads + 2), "two threads");
		TEST_ASSERT_EQUAL(test_open_files(), files + 3, "three descriptors");
		TEST_ASSERT_SUCCESS(watch(&range, va, KB64), "add");
		dm_watch_stop();
		TEST_ASSERT(is_watched(va), "a user is left");
		TEST_ASSERT(has_threads(threads + 2), "two threads");
		dm_watch_stop();
		TEST_ASSERT(has_threads(threads), "threads");
		TEST_ASSERT_EQUAL(test_open_files(), files, "descriptors");
		TEST_ASSERT(!is_watched(va), "still watched");
	}
	munmap(va, KB64);
	return setup();
}

/** Run a function in a child. @return its result, or -1 */
static int
in_child(int (*run)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int rc = run();

		fflush(stdout);
		_exit(rc);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static char *shared_va;
static unsigned int parent_files;

static int
child_of_a_watcher(void)
{
	static struct dm_watch_range range;

	TEST_ASSERT_EQUAL(test_open_files(), parent_files - 3, "it keeps the parent's descriptors");
	TEST_ASSERT(dm_watch_pending() && !dm_watch_fresh(), "what it inherited is not fresh");
	TEST_ASSERT(!is_watched(shared_va), "watched in the child");
	TEST_ASSERT_EQUAL(watch(&range, shared_va, KB64), -ENOTSUP, "add");
	test_log_begin();
	TEST_ASSERT_EQUAL(dm_watch_start(), -ENOTSUP, "start");
	TEST_ASSERT(test_logged("forked"), "the line");
	dm_watch_drain();
	dm_watch_unlisten(&listener);
	dm_watch_stop();
	return munmap(shared_va, KB64) == 0 ? 0 : 1;
}

static int
a_forked_child_does_not_disturb_its_parent(void)
{
	static struct dm_watch_range range;

	shared_va = map(NULL, KB64);
	TEST_ASSERT_SUCCESS(watch(&range, shared_va, KB64), "add");
	parent_files = test_open_files();
	TEST_ASSERT_SUCCESS(in_child(child_of_a_watcher), "child");
	TEST_ASSERT(is_watched(shared_va), "no longer watched in the parent");
	TEST_ASSERT(!dm_watch_pending() && nothing_is_gone(), "events of the child");
	munmap(shared_va, KB64);
	dm_watch_drain();
	TEST_ASSERT(is_gone(shared_va, KB64), "not reported");
	dm_watch_del(&range);
	return TEST_SUCCESS;
}

/** A child that runs no fork handlers keeps a copy of the descriptor. */
static int
munmap_does_not_wait_for_a_watcher_that_stopped(void)
{
	static struct dm_watch_range range;
	char *va = map(NULL, KB64);
	pid_t pid;

	TEST_ASSERT_SUCCESS(watch(&range, va, KB64), "add");
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		for (;;)
			syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
	TEST_ASSERT(pid > 0, "clone");
	teardown();
	alarm(120);
	munmap(va, KB64);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return setup();
}

static int
watch_once(void)
{
	static struct dm_watch_range range;
	char *va;

	TEST_ASSERT_SUCCESS(setup(), "start");
	va = map(NULL, KB64);
	TEST_ASSERT_SUCCESS(watch(&range, va, KB64), "add");
	munmap(va, KB64);
	dm_watch_drain();
	TEST_ASSERT(is_gone(va, KB64), "not reported");
	dm_watch_del(&range);
	teardown();
	return TEST_SUCCESS;
}

static int
watch_as_nobody(void)
{
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 1;
	return watch_once();
}

/**
 * With vm.unprivileged_userfaultfd=0 ordinary users may watch user-mode faults only, which is
 * enough.
 */
static int
an_ordinary_user_may_watch(void)
{
	int rc;

	if (getuid() != 0)
		return TEST_SUCCESS;
	teardown();
	rc = in_child(watch_as_nobody);
	if (setup() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rc, "as user 65534");
	return TEST_SUCCESS;
}

static int refused_with;

/** Make userfaultfd(2) fail from now on. */
static int
refuse_userfaultfd(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)refused_with),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = RTE_DIM(filter), .filter = filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

static int
start_refused(void)
{
	unsigned int files = test_open_files();

	TEST_ASSERT_SUCCESS(refuse_userfaultfd(), "seccomp");
	test_log_begin();
	TEST_ASSERT_EQUAL(dm_watch_start(), -refused_with, "start");
	TEST_ASSERT(test_logged("watcher: userfaultfd(2)"), "the line");
	TEST_ASSERT_EQUAL(test_open_files(), files, "descriptors");
	TEST_ASSERT(!dm_watch_pending(), "pending");
	return TEST_SUCCESS;
}

static int
a_refusal_is_one_line(void)
{
	const int errors[] = {EPERM, ENOSYS, EMFILE};
	unsigned int i;
	int rc = 0;

	teardown();
	for (i = 0; i < RTE_DIM(errors) && rc == 0; i++) {
		refused_with = errors[i];
		rc = in_child(start_refused);
	}
	if (setup() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rc, "errno %d", refused_with);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"changes of anonymous memory are known when the call returns",
		changes_of_anonymous_memory_are_known_when_the_call_returns},
	{"changes of shared memory are known when the call returns",
		changes_of_shared_memory_are_known_when_the_call_returns},
	{"changes of hugepages are known when the call returns",
		changes_of_hugepages_are_known_when_the_call_returns},
	{"a part of a hugepage is watched with all of it",
		a_part_of_a_hugepage_is_watched_with_all_of_it},
	{"memory that moves is gone from both places", memory_that_moves_is_gone_from_both_places},
	{"new memory is watched from the next add on", new_memory_is_watched_from_the_next_add_on},
	{"memory is watched while a range covers it", memory_is_watched_while_a_range_covers_it},
	{"a heap that free trims is known", a_heap_that_free_trims_is_known},
	{"what cannot be watched is refused", what_cannot_be_watched_is_refused},
	{"a full ring makes everything stale", a_full_ring_makes_everything_stale},
	{"munmap under the lock that gone takes returns",
		munmap_under_the_lock_that_gone_takes_returns},
	{"the worker delivers what nobody drains", the_worker_delivers_what_nobody_drains},
	{"gone may free, unmap and delete", gone_may_free_unmap_and_delete},
	{"an address that another thread gets early is not fresh",
		an_address_that_another_thread_gets_early_is_not_fresh},
	{"four threads never get a stale hit", four_threads_never_get_a_stale_hit},
	{"users are counted and nothing is left", users_are_counted_and_nothing_is_left},
	{"a forked child does not disturb its parent", a_forked_child_does_not_disturb_its_parent},
	{"munmap does not wait for a watcher that stopped",
		munmap_does_not_wait_for_a_watcher_that_stopped},
	{"an ordinary user may watch", an_ordinary_user_may_watch},
	{"a refusal is one line", a_refusal_is_one_line},
};

REGISTER_TEST_SUITE(watch_suite) = {
	.name = "watch",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
