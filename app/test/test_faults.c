/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of faults: a device of the mock goes where it must not, the mock logs it as Linux does, and
 * the library tells whose the address is or was.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>

#include "child.h"
#include "machine.h"
#include "test.h"

static struct dmamap_device *nic;
static int log_pipe[2];
static struct dmamap_fault_listener *listening; /* stopped after a failed case */

/** What a listener was told. */
static struct {
	uint64_t faults; /**< atomic; the other is written before it is raised */
	struct dmamap_fault last;
} told;

static int
setup(void)
{
	int rc = machine_setup();

	if (rc != 0)
		return rc;
	nic = machine_attach("nic0");
	memset(&told, 0, sizeof(told));
	/* Packet mode: each read(2) gives one record, as of /dev/kmsg. */
	if (nic == NULL || pipe2(log_pipe, O_DIRECT | O_NONBLOCK | O_CLOEXEC) < 0)
		return -1;
	vfio_mock_log_faults(mock, log_pipe[1]);
	return 0;
}

static void
teardown(void)
{
	dmamap_fault_unlisten(listening);
	listening = NULL;
	vfio_mock_log_faults(mock, -1);
	close(log_pipe[0]);
	close(log_pipe[1]);
	dmamap_container_detach(nic);
	machine_teardown();
}

/** The fault of an access that the device has just tried. */
static struct dmamap_fault
explain(dmamap_iova_t iova, uint32_t access)
{
	struct dmamap_fault f = {0};
	char byte = 0;
	int rc = access == DMAMAP_WRITE ? vfio_mock_dma_write(mock, "nic0", iova, &byte, 1)
					: vfio_mock_dma_read(mock, "nic0", iova, &byte, 1);

	if (rc != -EFAULT && access != 0)
		printf("the device was not blocked at 0x%lx: %d\n", (unsigned long)iova, rc);
	if (dmamap_fault_explain("nic0", (struct dmamap_range){iova, iova}, access, &f) < 0)
		snprintf(f.text, sizeof(f.text), "no explanation");
	return f;
}

static bool
says(const struct dmamap_fault *f, const char *text)
{
	if (strstr(f->text, text) != NULL)
		return true;
	printf("\"%s\" does not say \"%s\"\n", f->text, text);
	return false;
}

static void *
unmap_by_thread(void *arg)
{
	pthread_setname_np(pthread_self(), "some-worker");
	return (void *)(intptr_t)dmamap_unmap(c, *(dmamap_iova_t *)arg, 2 * KB4);
}

static int
a_detach_is_remembered(void)
{
	struct dmamap_fault f = {0};
	char byte = 0;

	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	nic = NULL;
	usleep(20000);
	TEST_ASSERT_EQUAL(
		vfio_mock_dma_write(mock, "nic0", 0x10000000, &byte, 1), -EFAULT, "not blocked");
	TEST_ASSERT_SUCCESS(
		dmamap_fault_explain(
			"nic0", (struct dmamap_range){0x10000000, 0x10000000}, DMAMAP_WRITE, &f),
		"explain");
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_DETACHED, "%d: %s", f.kind, f.text);
	TEST_ASSERT(f.ago_ns > 0 && f.thread != 0, "%lu, %u", f.ago_ns, f.thread);
	TEST_ASSERT(strcmp(f.container, dmamap_container_name(c)) == 0, "%s", f.container);
	TEST_ASSERT(
		says(&f, ": the device was detached ") && says(&f, " ms ago by thread "), "text");
	/* One that never was, and one that is back. */
	TEST_ASSERT_EQUAL(
		dmamap_fault_explain("nic7", (struct dmamap_range){0, 0}, DMAMAP_WRITE, &f),
		-ENODEV, "another one");
	nic = machine_attach("nic0");
	TEST_ASSERT_NOT_NULL(nic, "attach");
	f = explain(0x10000000, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_UNKNOWN, "%d: %s", f.kind, f.text);
	return TEST_SUCCESS;
}

static int
an_unmap_is_remembered(void)
{
	dmamap_iova_t iova;
	struct dmamap_fault f;
	pthread_t thread;
	void *rc;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, 2 * KB4, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, unmap_by_thread, &iova), "thread");
	TEST_ASSERT_SUCCESS(pthread_join(thread, &rc), "join");
	TEST_ASSERT_NULL(rc, "unmap");
	usleep(50000);
	f = explain(iova + KB4 + 8, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_PAST, "%d: %s", f.kind, f.text);
	TEST_ASSERT(f.range.start == iova && f.range.last == iova + 2 * KB4 - 1, "range");
	TEST_ASSERT(strcmp(f.name, "mapping") == 0, "%s", f.name);
	TEST_ASSERT(strcmp(f.thread_name, "some-worker") == 0, "%s", f.thread_name);
	TEST_ASSERT(f.ago_ns >= 40000000 && f.ago_ns < 60ull * 1000000000, "%lu ns",
		(unsigned long)f.ago_ns);
	TEST_ASSERT(says(&f, "device nic0: the IOMMU blocked a write to IOVA 0x"), "device");
	TEST_ASSERT(says(&f, "it was mapping [0x"), "owner");
	TEST_ASSERT(says(&f, " ms ago by thread some-worker ("), "thread");
	/* What is not of it: the byte behind. */
	f = explain(iova + 2 * KB4, DMAMAP_READ);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_UNKNOWN, "%d: %s", f.kind, f.text);
	TEST_ASSERT(says(&f, "a read of IOVA"), "access");
	TEST_ASSERT(says(&f, "nothing is or was mapped there"), "unknown");
	return TEST_SUCCESS;
}

static int
zones_are_remembered_by_name(void)
{
	struct dmamap_zone_conf conf = {.len = 3 * KB4, .page_size = KB4, .name = "rx rings"};
	dmamap_iova_t first, second;
	struct dmamap_fault f;
	struct dmamap_zone *z;
	unsigned int i;

	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	first = dmamap_zone_iova(z);
	TEST_ASSERT_SUCCESS(dmamap_zone_free(z), "free");
	f = explain(first, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_PAST, "%d: %s", f.kind, f.text);
	TEST_ASSERT(strcmp(f.name, "zone rx rings") == 0, "%s", f.name);
	/* The latest owner counts, and the latest names are kept. */
	conf.name = "tx rings";
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	second = dmamap_zone_iova(z);
	TEST_ASSERT_SUCCESS(dmamap_zone_free(z), "free");
	f = explain(second, DMAMAP_WRITE);
	TEST_ASSERT(strcmp(f.name, "zone tx rings") == 0, "%s", f.name);
	for (i = 0; i < 300; i++) {
		char name[16];

		snprintf(name, sizeof(name), "n%u", i);
		conf.name = name;
		conf.len = i == 0 ? 64 * KB4 : KB4;
		TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone %u", i);
		if (i == 0)
			first = dmamap_zone_iova(z) + 63 * KB4;
		else
			second = dmamap_zone_iova(z);
		TEST_ASSERT_SUCCESS(dmamap_zone_free(z), "free %u", i);
	}
	f = explain(second, DMAMAP_READ);
	TEST_ASSERT(strcmp(f.name, "zone n299") == 0, "%s", f.name);
	f = explain(first, DMAMAP_READ);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_PAST, "%d: %s", f.kind, f.text);
	TEST_ASSERT(strcmp(f.name, "zone") == 0, "%s", f.name);
	return TEST_SUCCESS;
}

static int
registrations_are_remembered(void)
{
	struct dmamap_registration *reg;
	dmamap_iova_t iova;
	struct dmamap_fault f;

	TEST_ASSERT_SUCCESS(dmamap_register(c, buf, KB4, DMAMAP_RW, &iova, &reg), "register");
	TEST_ASSERT_SUCCESS(dmamap_deregister(reg), "deregister");
	dmamap_invalidate(c, buf, KB4);
	f = explain(iova, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_PAST, "%d: %s", f.kind, f.text);
	TEST_ASSERT(strcmp(f.name, "registration") == 0, "%s", f.name);
	return TEST_SUCCESS;
}

static int
what_is_there_now_is_told(void)
{
	dmamap_iova_t iova;
	struct dmamap_fault f;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_READ, &iova), "map");
	f = explain(iova + 4, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_DENIED, "%d: %s", f.kind, f.text);
	TEST_ASSERT(says(&f, "it is mapping ["), "owner");
	TEST_ASSERT(says(&f, "which is not mapped for writing"), "advice");
	/* The device came before the map. */
	f = explain(iova, 0);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_LIVE, "%d: %s", f.kind, f.text);
	TEST_ASSERT(says(&f, "an access to IOVA"), "access");
	/* Overruns: behind, before, too far. */
	f = explain(iova + KB4 + 99, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_BESIDE, "%d: %s", f.kind, f.text);
	TEST_ASSERT_EQUAL(f.distance, 100, "%lu", (unsigned long)f.distance);
	TEST_ASSERT(says(&f, "0x64 bytes behind mapping ["), "behind");
	f = explain(iova - 1, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_BESIDE, "%d: %s", f.kind, f.text);
	TEST_ASSERT_EQUAL(f.distance, 1, "%lu", (unsigned long)f.distance);
	TEST_ASSERT(says(&f, "0x1 bytes before mapping ["), "before");
	f = explain(iova + KB4 + 65536, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_UNKNOWN, "%d: %s", f.kind, f.text);
	/* The last owner of an address goes before its neighbours. */
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	f = explain(iova, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_PAST, "%d: %s", f.kind, f.text);
	return TEST_SUCCESS;
}

static int
reserved_addresses_are_told(void)
{
	dmamap_iova_t iova;
	struct dmamap_fault f;

	f = explain(0xfee00000, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_RESERVED, "%d: %s", f.kind, f.text);
	TEST_ASSERT(says(&f, "it is reserved: MSI window of group 0 (nic0) [0xfee00000, "), "MSI");
	f = explain(UINT64_MAX - 5, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_RESERVED, "%d: %s", f.kind, f.text);
	TEST_ASSERT_SUCCESS(
		dmamap_iova_reserve(c, MB2, 0, (struct dmamap_range){0, UINT64_MAX}, &iova),
		"reserve");
	f = explain(iova, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_RESERVED, "%d: %s", f.kind, f.text);
	TEST_ASSERT(says(&f, "it is reserved: reservation ["), "reservation");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, iova, MB2), "release");
	return TEST_SUCCESS;
}

static int
bad_questions_are_refused(void)
{
	const struct dmamap_range page = {0x1000, 0x1fff}, none = {1, 0};
	struct dmamap_fault f;

	TEST_ASSERT_EQUAL(dmamap_fault_explain(NULL, page, 0, &f), -EINVAL, "no device");
	TEST_ASSERT_EQUAL(dmamap_fault_explain("nic0", none, 0, &f), -EINVAL, "no address");
	TEST_ASSERT_EQUAL(dmamap_fault_explain("nic0", page, DMAMAP_RW, &f), -EINVAL, "access");
	TEST_ASSERT_EQUAL(dmamap_fault_explain("nic0", page, 0, NULL), -EINVAL, "no result");
	TEST_ASSERT_EQUAL(dmamap_fault_explain("nic1", page, 0, &f), -ENODEV, "not attached");
	TEST_ASSERT_EQUAL(dmamap_fault_explain("", page, 0, &f), -ENODEV, "no name");
	TEST_ASSERT_EQUAL(dmamap_fault_listen(NULL, NULL), -EINVAL, "no listener");
	dmamap_fault_unlisten(NULL);
	return TEST_SUCCESS;
}

static int
a_merge_keeps_the_past(void)
{
	struct dmamap_container *other;
	dmamap_iova_t mine, theirs;
	struct dmamap_fault f;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &mine), "map");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, mine, KB4), "unmap");
	TEST_ASSERT_SUCCESS(
		dmamap_container_create(
			&(struct dmamap_container_conf){.kernel = vfio_mock_kernel(mock)}, &other),
		"container");
	theirs = 0x123450000;
	TEST_ASSERT_SUCCESS(
		dmamap_map(other, buf + MB2, KB4, DMAMAP_RW | DMAMAP_FIXED, &theirs), "map");
	TEST_ASSERT_SUCCESS(dmamap_unmap(other, theirs, KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, other), "merge");
	f = explain(theirs, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_PAST, "theirs: %s", f.text);
	f = explain(mine, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_PAST, "mine: %s", f.text);
	dmamap_container_put(other);
	return TEST_SUCCESS;
}

static int
the_past_is_bounded(void)
{
	const dmamap_iova_t base = UINT64_C(0x200000000);
	dmamap_iova_t iova;
	struct dmamap_fault f;
	unsigned int i;

	/* With a page between them, or they would be one entry. */
	for (i = 0; i < 4097; i++) {
		iova = base + 2 * i * KB4;
		TEST_ASSERT_SUCCESS(
			dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova), "map %u", i);
		TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap %u", i);
	}
	f = explain(base, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_UNKNOWN, "the first: %s", f.text);
	f = explain(base + 2 * KB4, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_PAST, "the second: %s", f.text);
	f = explain(iova, DMAMAP_WRITE);
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_PAST, "the last: %s", f.text);
	return TEST_SUCCESS;
}

static void
listener(struct dmamap_fault *fault, void *arg)
{
	told.last = *fault;
	if (fault->detail[0] == '\0')
		snprintf(fault->detail, sizeof(fault->detail), "%s", (const char *)arg);
	__atomic_add_fetch(&told.faults, fault->count, __ATOMIC_RELEASE);
}

static struct dmamap_fault_listener *
listen_to(const char *detail)
{
	struct dmamap_fault_conf conf = {
		.fault = listener, .arg = (void *)(uintptr_t)detail, .log_fd = log_pipe[0]};
	struct dmamap_fault_listener *l = NULL;

	if (dmamap_fault_listen(&conf, &l) == 0)
		listening = l;
	return l;
}

/** Wait up to 20 s until so many faults have been told. */
static bool
wait_for_faults(uint64_t n)
{
	unsigned int i;

	for (i = 0; i < 4000 && __atomic_load_n(&told.faults, __ATOMIC_ACQUIRE) < n; i++)
		usleep(5000);
	return __atomic_load_n(&told.faults, __ATOMIC_ACQUIRE) == n;
}

/** Wait for room in the log, which is short. */
static void
wait_for_room(void)
{
	struct pollfd room = {.fd = log_pipe[1], .events = POLLOUT};

	poll(&room, 1, 20000);
}

/** A device writes where it is blocked. */
static void
blocked(const char *dev, dmamap_iova_t iova)
{
	char byte = 0;

	wait_for_room();
	vfio_mock_dma_write(mock, dev, iova, &byte, 1);
}

/** Threads of this process that watch. */
static unsigned int
watch_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned int n = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char path[300], name[32] = "";
		FILE *in;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		in = fopen(path, "re");
		if (in == NULL)
			continue;
		if (fgets(name, sizeof(name), in) != NULL)
			n += strcmp(name, "dm-faults\n") == 0;
		fclose(in);
	}
	if (dir != NULL)
		closedir(dir);
	return n;
}

/** Whether none watches. A thread that was joined may be in the list for a moment. */
static bool
nobody_watches(void)
{
	unsigned int i;

	for (i = 0; i < 2000 && watch_threads() != 0; i++)
		usleep(5000);
	return watch_threads() == 0;
}

static int
a_fault_is_told_counted_and_logged(void)
{
	struct dmamap_fault_counts before, after;
	struct dmamap_fault recent[20], f;
	struct dmamap_container_info info;
	struct dmamap_fault_listener *l;
	dmamap_iova_t iova;
	unsigned int n;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	dmamap_fault_counts(&before);
	test_log_begin();
	l = listen_to("rx queue 3, descriptor 17");
	TEST_ASSERT_NOT_NULL(l, "listen");
	/* A device of somebody else, and one of ours. */
	blocked("nic1", iova);
	blocked("nic0", iova + 100);
	TEST_ASSERT(wait_for_faults(1), "%lu faults", (unsigned long)told.faults);
	dmamap_fault_unlisten(l);
	dmamap_fault_counts(&after);
	TEST_ASSERT(test_logged("rx queue 3, descriptor 17"), "log");
	f = told.last;
	TEST_ASSERT_EQUAL(f.kind, DMAMAP_FAULT_PAST, "%s", f.text);
	TEST_ASSERT(
		strcmp(f.device, "nic0") == 0 && strcmp(f.container, dmamap_container_name(c)) == 0,
		"%s in %s", f.device, f.container);
	TEST_ASSERT(f.iovas.start == iova && f.iovas.last == iova + KB4 - 1, "VT-d tells a page");
	TEST_ASSERT(says(&f, "(PTE Write access is not set)"), "reason");
	TEST_ASSERT(says(&f, "a write to the page at IOVA"), "access");
	TEST_ASSERT_EQUAL(after.faults - before.faults, 1, "faults");
	TEST_ASSERT_EQUAL(after.lines - before.lines, 1, "lines");
	dmamap_container_info(c, &info);
	TEST_ASSERT_EQUAL(info.faults, 1, "%lu", (unsigned long)info.faults);
	n = dmamap_faults(recent, RTE_DIM(recent));
	TEST_ASSERT(n >= 1 && n <= 16, "%u", n);
	TEST_ASSERT(says(&recent[n - 1], "; rx queue 3, descriptor 17"), "recent");
	TEST_ASSERT_EQUAL(dmamap_faults(recent, 1), 1, "one");
	TEST_ASSERT(says(&recent[0], "; rx queue 3, descriptor 17"), "the latest one");
	return TEST_SUCCESS;
}

static int
a_storm_is_counted(void)
{
	struct dmamap_fault_counts before, after;
	struct dmamap_fault_listener *l = listen_to("");
	unsigned int i;

	TEST_ASSERT_NOT_NULL(l, "listen");
	dmamap_fault_counts(&before);
	for (i = 0; i < 2000; i++)
		blocked("nic0", 0x5000 + i % 7 * KB4);
	wait_for_room();
	TEST_ASSERT_EQUAL(write(log_pipe[1], "4,1,2,-;dmar_fault: 812 callbacks suppressed\n", 45),
		45, "write");
	TEST_ASSERT(wait_for_faults(2000), "%lu faults", (unsigned long)told.faults);
	dmamap_fault_unlisten(l);
	dmamap_fault_counts(&after);
	TEST_ASSERT_EQUAL(after.faults - before.faults, 2000, "faults");
	TEST_ASSERT_EQUAL(after.suppressed - before.suppressed, 812, "suppressed");
	/* One line a second, and the storm took less than a second to some seconds. */
	TEST_ASSERT(after.lines - before.lines >= 2 && after.lines - before.lines <= 20,
		"%lu lines", (unsigned long)(after.lines - before.lines));
	TEST_ASSERT(says(&told.last, " faults of this device since the last line"), "count");
	return TEST_SUCCESS;
}

/** Wait up to 20 s until the watch has read so many. What is not read at the end is lost. */
static bool
wait_until_read(const struct dmamap_fault_counts *before, uint64_t n)
{
	struct dmamap_fault_counts now;
	unsigned int i;

	for (i = 0; i < 4000; i++) {
		dmamap_fault_counts(&now);
		if (now.faults - before->faults >= n)
			break;
		usleep(5000);
	}
	return now.faults - before->faults == n;
}

static int
what_waits_is_told_at_the_end(void)
{
	struct dmamap_fault_counts before, after;
	struct dmamap_fault_listener *l = listen_to("");
	unsigned int i;

	TEST_ASSERT_NOT_NULL(l, "listen");
	dmamap_fault_counts(&before);
	for (i = 0; i < 5; i++)
		blocked("nic0", 0x5000);
	TEST_ASSERT(wait_until_read(&before, 5), "not read");
	dmamap_fault_unlisten(l);
	dmamap_fault_counts(&after);
	TEST_ASSERT_EQUAL(after.faults - before.faults, 5, "faults");
	/* Two, unless this machine takes seconds for it. */
	TEST_ASSERT(after.lines - before.lines >= 2 && after.lines - before.lines <= 5, "%lu lines",
		(unsigned long)(after.lines - before.lines));
	TEST_ASSERT_EQUAL(told.faults, 5, "the listener: %lu", (unsigned long)told.faults);
	return TEST_SUCCESS;
}

static int
the_last_listener_ends_the_thread(void)
{
	const unsigned int files = test_open_files();
	struct dmamap_fault_listener *first, *second;

	TEST_ASSERT(nobody_watches(), "before");
	first = listen_to("first");
	second = listen_to("second");
	TEST_ASSERT(first != NULL && second != NULL, "listen");
	TEST_ASSERT_EQUAL(watch_threads(), 1, "with two");
	blocked("nic0", 0x5000);
	TEST_ASSERT(wait_for_faults(2), "both are told: %lu", (unsigned long)told.faults);
	TEST_ASSERT(strcmp(told.last.detail, "first") == 0, "the order: %s", told.last.detail);
	dmamap_fault_unlisten(first);
	TEST_ASSERT_EQUAL(watch_threads(), 1, "with one");
	dmamap_fault_unlisten(second);
	TEST_ASSERT(nobody_watches(), "without");
	TEST_ASSERT_EQUAL(test_open_files(), files, "files");
	return TEST_SUCCESS;
}

static int
a_log_that_ends_does_no_harm(void)
{
	struct dmamap_fault_conf conf = {.fault = listener};
	struct dmamap_fault_listener *l;
	int ends[2];

	TEST_ASSERT_SUCCESS(pipe2(ends, O_CLOEXEC), "pipe");
	conf.log_fd = ends[0];
	TEST_ASSERT_SUCCESS(dmamap_fault_listen(&conf, &l), "listen");
	close(ends[1]);
	usleep(20000);
	dmamap_fault_unlisten(l);
	close(ends[0]);
	TEST_ASSERT_EQUAL(dmamap_fault_listen(&conf, &l), -EBADF, "a closed file");
	TEST_ASSERT(nobody_watches(), "no thread is left");
	return TEST_SUCCESS;
}

/** Exit status: 0 is right. */
static int
in_a_child(struct dmamap_fault_listener *l)
{
	struct dmamap_fault_listener *own;
	struct dmamap_fault f;

	dmamap_fault_unlisten(l);
	if (dmamap_fault_listen(NULL, &own) != -ENOTSUP)
		return 1;
	return dmamap_faults(&f, 1) == 0 ? 0 : 2;
}

static int
a_forked_child_does_not_watch(void)
{
	struct dmamap_fault_listener *l = listen_to("");
	int status = -1;
	pid_t pid;

	TEST_ASSERT_NOT_NULL(l, "listen");
	pid = fork();
	if (pid == 0)
		test_child_exit(in_a_child(l));
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid, "child");
	TEST_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x", status);
	blocked("nic0", 0x5000);
	TEST_ASSERT(wait_for_faults(1), "the parent still watches");
	dmamap_fault_unlisten(l);
	return TEST_SUCCESS;
}

static bool company_ends;

static void *
company_maps(void *arg)
{
	char *own = arg;
	dmamap_iova_t iova;
	intptr_t errors = 0;

	while (!__atomic_load_n(&company_ends, __ATOMIC_RELAXED)) {
		errors += dmamap_map(c, own, KB4, DMAMAP_RW, &iova) != 0;
		errors += dmamap_unmap(c, iova, KB4) != 0;
	}
	return (void *)errors;
}

static void *
company_explains(void *arg)
{
	struct dmamap_fault f;
	intptr_t errors = 0;
	dmamap_iova_t at;

	while (!__atomic_load_n(&company_ends, __ATOMIC_RELAXED))
		for (at = KB4; at < 64 * KB4; at += KB4)
			errors += dmamap_fault_explain(
					  "nic0", (struct dmamap_range){at, at}, 0, &f) != 0;
	RTE_SET_USED(arg);
	return (void *)errors;
}

static int
faults_come_while_others_work(void)
{
	struct dmamap_fault_listener *l = listen_to("");
	struct dmamap_fault_listener *short_lived;
	struct dmamap_fault_counts before;
	pthread_t threads[4];
	unsigned int i;
	void *errors;

	TEST_ASSERT_NOT_NULL(l, "listen");
	dmamap_fault_counts(&before);
	company_ends = false;
	for (i = 0; i < 3; i++)
		TEST_ASSERT_SUCCESS(
			pthread_create(&threads[i], NULL, company_maps, buf + i * MB2), "thread");
	TEST_ASSERT_SUCCESS(pthread_create(&threads[3], NULL, company_explains, NULL), "thread");
	for (i = 0; i < 40; i++) {
		blocked("nic0", KB4 * (1 + i % 64));
		TEST_ASSERT_SUCCESS(dmamap_fault_listen(NULL, &short_lived), "listen");
		usleep(2000);
		dmamap_fault_unlisten(short_lived);
	}
	__atomic_store_n(&company_ends, true, __ATOMIC_RELAXED);
	for (i = 0; i < RTE_DIM(threads); i++) {
		pthread_join(threads[i], &errors);
		TEST_ASSERT_NULL(errors, "thread %u: %ld errors", i, (long)(intptr_t)errors);
	}
	TEST_ASSERT(wait_until_read(&before, 40), "not read");
	dmamap_fault_unlisten(l);
	TEST_ASSERT(told.faults == 40, "%lu", (unsigned long)told.faults);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"an unmap is remembered", an_unmap_is_remembered},
	{"a detach is remembered", a_detach_is_remembered},
	{"zones are remembered by name", zones_are_remembered_by_name},
	{"registrations are remembered", registrations_are_remembered},
	{"what is there now is told", what_is_there_now_is_told},
	{"reserved addresses are told", reserved_addresses_are_told},
	{"bad questions are refused", bad_questions_are_refused},
	{"a merge keeps the past", a_merge_keeps_the_past},
	{"the past is bounded", the_past_is_bounded},
	{"a fault is told, counted and logged", a_fault_is_told_counted_and_logged},
	{"a storm is counted", a_storm_is_counted},
	{"what waits is told at the end", what_waits_is_told_at_the_end},
	{"the last listener ends the thread", the_last_listener_ends_the_thread},
	{"a log that ends does no harm", a_log_that_ends_does_no_harm},
	{"a forked child does not watch", a_forked_child_does_not_watch},
	{"faults come while others work", faults_come_while_others_work},
};

REGISTER_TEST_SUITE(faults) = {.name = "faults",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown};
