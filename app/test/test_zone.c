/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of zones: they grow and shrink in place, all or nothing, at an IOVA of the caller's
 * choice, shared or private. On the mock kernel.
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_container.h"
#include "dm_hugepage.h"
#include "machine.h"
#include "test.h"

static struct dmamap_zone *z;
static char *va;
static rte_iova_t iova;

/** Make a zone of 3 pages that may grow to 16 MiB, with nic0 attached. */
static int
make_zone(struct dmamap_device **d, size_t page_size)
{
	struct dmamap_zone_conf conf = {
		.len = 3 * page_size, .max_len = 8 * MB2, .page_size = page_size, .name = "rx"};

	*d = machine_attach("nic0");
	TEST_ASSERT_NOT_NULL(*d, "attach");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	va = dmamap_zone_va(z);
	iova = dmamap_zone_iova(z);
	return 0;
}

/** Whether the process can read a byte at an address. */
static bool
is_readable(const char *byte)
{
	int fd[2];
	bool yes;

	if (pipe(fd) < 0)
		return false;
	yes = write(fd[1], byte, 1) == 1;
	close(fd[0]);
	close(fd[1]);
	return yes;
}

/**
 * Whether the zone is at its address, has this length, and is reached by the device completely, and
 * no memory beyond it.
 */
static int
check_zone(size_t len)
{
	size_t at, page = dmamap_zone_page_size(z);
	struct dmamap_zone_info info;
	char byte;

	TEST_ASSERT(dmamap_zone_va(z) == va && dmamap_zone_iova(z) == iova, "it has moved");
	TEST_ASSERT_EQUAL(dmamap_zone_len(z), len, "%zu bytes", dmamap_zone_len(z));
	TEST_ASSERT_SUCCESS(dmamap_zone_info(z, &info), "info");
	TEST_ASSERT(info.len == len && info.max_len == 8 * MB2 && info.nodes[0].len == len, "info");
	for (at = 0; at < len; at += page) {
		TEST_ASSERT(machine_reaches("nic0", iova + at, va + at, page), "page at %zu", at);
		TEST_ASSERT_EQUAL(dmamap_va2iova(c, va + at + 5), iova + at + 5, "VA at %zu", at);
		TEST_ASSERT(dmamap_iova2va(c, iova + at + 5) == va + at + 5, "IOVA at %zu", at);
	}
	if (page == MB2)
		TEST_ASSERT(c->units[dmamap_unit_slot((uintptr_t)va + len - 1)] != 0,
			"not by its units");
	TEST_ASSERT(
		is_readable(va + len - 1) && !is_readable(va + len), "its memory ends elsewhere");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, va + len), RTE_BAD_IOVA, "beyond the end");
	TEST_ASSERT_NULL(dmamap_iova2va(c, iova + len), "beyond the end");
	TEST_ASSERT(vfio_mock_dma_read(mock, "nic0", iova + len, &byte, 1) < 0,
		"the device reaches further");
	return 0;
}

/** Free the zone, and check that nothing is left. */
static int
finish(struct dmamap_device *d)
{
	struct dmamap_container_info info;

	TEST_ASSERT_SUCCESS(dmamap_zone_free(z), "free");
	info = machine_info();
	TEST_ASSERT(info.n_mappings == 0 && info.reservation_len == 0 && info.mapped_len == 0,
		"something is left");
	return dmamap_container_detach(d);
}

static int
grow_and_shrink(size_t page)
{
	static const struct {
		size_t pages;
		int rc;
	} steps[] = {{3, 0}, {5, 0}, {6, 0}, {4, -EINVAL}, {5, 0}, {7, 0}, {8, 0}, {3, 0},
		{2, -EINVAL}, {8, 0}};
	struct dmamap_device *d;
	size_t len = 3 * page;
	unsigned int i;

	TEST_ASSERT_SUCCESS(make_zone(&d, page), "zone");
	strcpy(va + 100, "what is in it stays");
	for (i = 0; i < RTE_DIM(steps); i++) {
		TEST_ASSERT_EQUAL(
			dmamap_zone_resize(z, steps[i].pages * page), steps[i].rc, "step %u", i);
		len = steps[i].rc == 0 ? steps[i].pages * page : len;
		TEST_ASSERT_SUCCESS(check_zone(len), "step %u", i);
		TEST_ASSERT(strcmp(va + 100, "what is in it stays") == 0, "step %u", i);
	}
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 2, "mappings");
	return finish(d);
}

static int
it_grows_and_shrinks_in_place(void)
{
	return grow_and_shrink(KB4);
}

static int
it_does_so_with_hugepages(void)
{
	struct dm_hugepage_count count;

	if (dm_hugepage_count(MB2, -1, &count) < 0 || count.free < 16)
		return test_skip("fewer than 16 hugepages of 2 MiB are free");
	return grow_and_shrink(MB2);
}

static int
it_does_so_outside_the_window(void)
{
	struct dmamap_zone_conf conf = {.len = KB4,
		.max_len = 8 * MB2,
		.page_size = KB4,
		.name = "rx",
		.flags = DMAMAP_LOW32};
	struct dmamap_device *d = machine_attach("nic0");

	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	va = dmamap_zone_va(z);
	iova = dmamap_zone_iova(z);
	TEST_ASSERT(iova + 8 * MB2 - 1 <= UINT32_MAX, "at 0x%" PRIx64, iova);
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 8 * MB2), "grow");
	TEST_ASSERT_SUCCESS(check_zone(8 * MB2), "grown");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 1), "shrink");
	TEST_ASSERT_SUCCESS(check_zone(KB4), "shrunk");
	return finish(d);
}

static int
it_ends_at_its_limit(void)
{
	struct dmamap_zone_conf conf = {.len = 2 * KB4, .max_len = KB4, .page_size = KB4};
	struct dmamap_zone *fixed;
	struct dmamap_device *d;

	TEST_ASSERT_EQUAL(dmamap_zone_alloc(c, &conf, &fixed), -EINVAL, "max_len below len");
	conf.max_len = SIZE_MAX;
	TEST_ASSERT_EQUAL(dmamap_zone_alloc(c, &conf, &fixed), -EINVAL, "max_len beyond all");
	conf.max_len = 0;
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &fixed), "zone");
	TEST_ASSERT_EQUAL(dmamap_zone_resize(fixed, 3 * KB4), -ENOSPC, "no max_len");
	TEST_ASSERT_EQUAL(dmamap_zone_resize(fixed, KB4), -EINVAL, "below what it was made with");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(fixed, KB4 + 1), "no change");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(fixed), "free");

	TEST_ASSERT_SUCCESS(make_zone(&d, KB4), "zone");
	TEST_ASSERT_EQUAL(dmamap_zone_resize(z, 8 * MB2 + 1), -ENOSPC, "too much");
	TEST_ASSERT_EQUAL(dmamap_zone_resize(z, 0), -EINVAL, "nothing");
	TEST_ASSERT_EQUAL(dmamap_zone_resize(z, SIZE_MAX), -EINVAL, "all");
	TEST_ASSERT_EQUAL(dmamap_zone_resize(NULL, KB4), -EINVAL, "no zone");
	TEST_ASSERT_SUCCESS(check_zone(3 * KB4), "unchanged");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 8 * MB2), "all it may have");
	return finish(d);
}

static int
a_cut_names_the_borders(void)
{
	struct dmamap_device *d;
	const char *log;

	TEST_ASSERT_SUCCESS(make_zone(&d, KB4), "zone");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 6 * KB4), "grow");
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_zone_resize(z, 4 * KB4), -EINVAL, "cut");
	log = test_log_end();
	TEST_ASSERT_NOT_NULL(
		strstr(log,
			"zone rx: shrinking to 16384 bytes would cut it: 12288 or 24576 will do\n"),
		"%s", log);
	return finish(d);
}

static int
its_reserved_range_is_its_own(void)
{
	rte_iova_t at;
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(make_zone(&d, KB4), "zone");
	TEST_ASSERT_EQUAL(machine_info().reservation_len, 8 * MB2, "taken");
	at = iova + 4 * MB2;
	TEST_ASSERT_EQUAL(
		dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &at), -EEXIST, "map into it");
	TEST_ASSERT_EQUAL(dmamap_iova_release(c, iova, 8 * MB2), -EBUSY, "release it back");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, 3 * KB4), -EINVAL, "unmap it");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 4 * KB4), "grow");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova + 3 * KB4, KB4), -EINVAL, "unmap a growth");
	return finish(d);
}

static int
a_registration_keeps_what_it_uses(void)
{
	struct dmamap_registration *reg;
	struct dmamap_device *d;
	rte_iova_t at;

	TEST_ASSERT_SUCCESS(make_zone(&d, KB4), "zone");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 4 * KB4), "grow");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 5 * KB4), "grow");
	TEST_ASSERT_SUCCESS(dmamap_register(c, va + 4 * KB4, 10, DMAMAP_RW, &at, &reg), "register");
	TEST_ASSERT_EQUAL(at, iova + 4 * KB4, "at 0x%" PRIx64, at);
	TEST_ASSERT_EQUAL(dmamap_zone_resize(z, 3 * KB4), -EBUSY, "in use");
	TEST_ASSERT_SUCCESS(check_zone(5 * KB4), "unchanged");
	dmamap_deregister(reg);
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 3 * KB4), "idle");
	return finish(d);
}

/** Resize while the first call into the kernel fails. */
static int
resize_with_failure(size_t len)
{
	int rc;

	vfio_mock_fail(mock, VFIO_MOCK_ANY, 1, ENOMEM);
	rc = dmamap_zone_resize(z, len);
	vfio_mock_fail(mock, VFIO_MOCK_ANY, 0, 0);
	return rc;
}

static int
all_or_nothing(void)
{
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(make_zone(&d, KB4), "zone");
	TEST_ASSERT(resize_with_failure(5 * KB4) < 0, "grown");
	TEST_ASSERT_SUCCESS(check_zone(3 * KB4), "unchanged");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 5 * KB4), "grow");
	TEST_ASSERT(resize_with_failure(3 * KB4) < 0, "shrunk");
	TEST_ASSERT_SUCCESS(check_zone(5 * KB4), "unchanged");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 3 * KB4), "shrink");
	return finish(d);
}

static int
too_few_pages_change_nothing(void)
{
	struct dmamap_zone_conf conf = {.len = MB2, .page_size = MB2, .name = "rx"};
	struct dmamap_device *d;
	struct dm_hugepage_count count;

	if (dm_hugepage_count(MB2, -1, &count) < 0 || count.free < 4)
		return test_skip("fewer than 4 hugepages of 2 MiB are free");
	conf.max_len = (count.total + 2) * MB2;
	d = machine_attach("nic0");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	TEST_ASSERT_EQUAL(dmamap_zone_resize(z, conf.max_len), -ENOMEM, "grow");
	TEST_ASSERT_EQUAL(dmamap_zone_len(z), MB2, "len");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 2 * MB2), "grow by one");
	memset(dmamap_zone_va(z), 1, 2 * MB2);
	return finish(d);
}

static int
it_can_still_grow_after_a_merge(void)
{
	struct dmamap_container *from = c;
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(make_zone(&d, KB4), "zone");
	TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "container");
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, from), "merge");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(from), "destroy");
	TEST_ASSERT_EQUAL(machine_info().reservation_len, 8 * MB2, "taken");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 2 * MB2), "grow");
	TEST_ASSERT_SUCCESS(check_zone(2 * MB2), "grown");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 3 * KB4), "shrink");
	TEST_ASSERT_SUCCESS(check_zone(3 * KB4), "shrunk");
	return finish(d);
}

static int
it_goes_with_its_container(void)
{
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(make_zone(&d, KB4), "zone");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 2 * MB2), "grow");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 3 * MB2), "grow");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT(madvise(va, KB4, MADV_NORMAL) < 0 && errno == ENOMEM, "its addresses stay");
	return machine_make_container(DMAMAP_SHARE);
}

/** A device that is attached later reaches all of it. */
static int
a_late_device_reaches_all(void)
{
	struct dmamap_device *d, *late;

	TEST_ASSERT_SUCCESS(make_zone(&d, KB4), "zone");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 5 * KB4), "grow");
	late = machine_attach("odd0");
	TEST_ASSERT_NOT_NULL(late, "attach");
	TEST_ASSERT(machine_reaches("odd0", iova, va, 3 * KB4), "what it was made with");
	TEST_ASSERT(machine_reaches("odd0", iova + 3 * KB4, va + 3 * KB4, 2 * KB4), "the growth");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 6 * KB4), "grow");
	TEST_ASSERT(machine_reaches("odd0", iova + 5 * KB4, va + 5 * KB4, KB4), "the next");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(late), "detach");
	return finish(d);
}

/** Run a child that writes a byte. @return the signal that ended it; 0: none */
static int
touch_in_child(volatile char *byte)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		/* Sanitizers install a handler of their own. */
		signal(SIGSEGV, SIG_DFL);
		*byte = 0x77;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/** The device and the process share the bytes; a child cannot access them. */
static int
share_with_device_only(void)
{
	int page, signum;
	char byte;

	for (page = 0; page < 4; page++) {
		byte = 'a' + page;
		va[page * KB4] = 'x';
		TEST_ASSERT_SUCCESS(
			vfio_mock_dma_write(mock, "nic0", iova + page * KB4, &byte, 1), "DMA");
		signum = touch_in_child(va + page * KB4);
		TEST_ASSERT_EQUAL(signum, SIGSEGV, "page %d: signal %d", page, signum);
		TEST_ASSERT_EQUAL(va[page * KB4], 'a' + page,
			"page %d: the process sees something else", page);
		va[page * KB4] = 'A' + page;
		TEST_ASSERT_SUCCESS(
			vfio_mock_dma_read(mock, "nic0", iova + page * KB4, &byte, 1), "DMA");
		TEST_ASSERT_EQUAL(
			byte, 'A' + page, "page %d: the device sees something else", page);
	}
	return 0;
}

/** While children are forked and end. */
static int
a_child_does_not_inherit_it(void)
{
	struct dmamap_device *d;
	pid_t sleeper;
	int rc;

	TEST_ASSERT_SUCCESS(make_zone(&d, KB4), "zone");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 4 * KB4), "grow");
	fflush(stdout);
	sleeper = fork();
	if (sleeper == 0) {
		pause();
		_exit(0);
	}
	rc = share_with_device_only();
	kill(sleeper, SIGKILL);
	waitpid(sleeper, NULL, 0);
	TEST_ASSERT_SUCCESS(rc, "bytes");
	return finish(d);
}

/* Zones at an IOVA of the caller's choice */

static struct dmamap_zone_conf
fixed_conf(rte_iova_t at, size_t len)
{
	return (struct dmamap_zone_conf){
		.len = len, .page_size = KB4, .flags = DMAMAP_FIXED, .iova = at, .name = "fixed"};
}

static int
it_is_at_the_requested_iova(void)
{
	struct dmamap_zone_conf conf = fixed_conf(0x40000000, 3 * KB4);
	struct dmamap_device *d = machine_attach("nic0");

	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	TEST_ASSERT_EQUAL(dmamap_zone_iova(z), 0x40000000, "IOVA");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, dmamap_zone_va(z)), 0x40000000, "translation");
	TEST_ASSERT(machine_reaches("nic0", 0x40000000, dmamap_zone_va(z), 3 * KB4), "not reached");
	TEST_ASSERT_EQUAL(machine_info().reservation_len, 0, "a reservation beside the mapping");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(z), "free");
	/* The range is free again. */
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "again");
	return finish(d);
}

static int
an_impossible_iova_is_refused(void)
{
	static const struct {
		rte_iova_t iova;
		size_t len, max_len;
		const char *why;
	} bad[] = {
		{0xfee00000, KB4, 0, "the MSI window"},
		{0xfedff000, 2 * KB4, 0, "into the MSI window"},
		{0, KB4, 0, "page 0"},
		{UINT64_C(1) << 39, KB4, 0, "beyond the aperture"},
		{(UINT64_C(1) << 39) - KB4, 2 * KB4, 0, "across the end of the aperture"},
		{UINT64_MAX - KB4 + 1, 2 * KB4, 0, "wraps"},
		{0x100000, KB4, 0, "a mapping"},
		{0x100000 - KB4, KB4, 2 * KB4, "it would grow into a mapping"},
		{0x200000, KB4, 0, "a reservation"},
		{0x300800, KB4, 0, "no page begins there"},
	};
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t at = 0x100000;
	struct dmamap_zone_conf conf;
	unsigned int i;
	int rc;

	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &at), "map");
	TEST_ASSERT_SUCCESS(
		dmamap_iova_reserve(c, KB4, KB4, (struct dmamap_range){0x200000, 0x200fff}, &at),
		"reserve");
	for (i = 0; i < RTE_DIM(bad); i++) {
		conf = fixed_conf(bad[i].iova, bad[i].len);
		conf.max_len = bad[i].max_len;
		rc = dmamap_zone_alloc(c, &conf, &z);
		TEST_ASSERT(rc == -EEXIST || rc == -EINVAL, "%s: %d", bad[i].why, rc);
		TEST_ASSERT_EQUAL(
			machine_info().n_mappings, 1, "%s: something is left", bad[i].why);
		TEST_ASSERT_EQUAL(machine_info().reservation_len, KB4, "%s: a reservation is left",
			bad[i].why);
	}
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, 0x100000, KB4), "unmap");
	TEST_ASSERT_SUCCESS(dmamap_iova_release(c, 0x200000, KB4), "release");
	return dmamap_container_detach(d);
}

static int
it_grows_from_the_requested_iova(void)
{
	struct dmamap_zone_conf conf = fixed_conf(0x40000000, KB4);
	struct dmamap_device *d = machine_attach("nic0");
	rte_iova_t at = 0x40000000 + 2 * KB4;

	conf.max_len = 4 * KB4;
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &at), -EEXIST,
		"its IOVAs are its own");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 4 * KB4), "grow");
	TEST_ASSERT_EQUAL(dmamap_zone_iova(z), 0x40000000, "IOVA");
	TEST_ASSERT(machine_reaches(
			    "nic0", 0x40000000 + 3 * KB4, (char *)dmamap_zone_va(z) + 3 * KB4, KB4),
		"not reached");
	TEST_ASSERT_EQUAL(dmamap_zone_resize(z, 5 * KB4), -ENOSPC, "beyond its limit");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, KB4), "shrink");
	return finish(d);
}

static int
two_at_one_iova_are_not_merged(void)
{
	struct dmamap_zone_conf conf = fixed_conf(0x40000000, KB4);
	struct dmamap_container *into = c, *from;
	struct dmamap_device *d = machine_attach("nic0");
	struct dmamap_zone *other;

	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(into, &conf, &z), "zone");
	TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "container");
	from = c;
	c = into;
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(from, &conf, &other), "zone");
	TEST_ASSERT_EQUAL(dmamap_container_merge(into, from), -EADDRINUSE, "merge");
	TEST_ASSERT_EQUAL(dmamap_zone_iova(other), 0x40000000, "it has moved");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(other), "free");
	/* At another IOVA the merge succeeds, and the zone keeps its address. */
	conf.iova = 0x50000000;
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(from, &conf, &other), "zone");
	TEST_ASSERT_SUCCESS(dmamap_container_merge(into, from), "merge");
	TEST_ASSERT(machine_reaches("nic0", 0x50000000, dmamap_zone_va(other), KB4), "not reached");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(other), "free");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(from), "destroy");
	return finish(d);
}

/* Zones shared with another process */

static int
its_file_shows_its_memory(size_t page)
{
	struct dmamap_zone_conf conf = {
		.len = page, .max_len = 2 * page, .page_size = page, .shared = true};
	struct dmamap_device *d = machine_attach("nic0");
	uint64_t offset = 1;
	char *view;
	int fd;

	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	fd = dmamap_zone_fd(z, &offset);
	TEST_ASSERT(fd >= 0 && dmamap_zone_fd(z, NULL) == fd, "%d", fd);
	/* What another process does with the file. */
	view = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
	TEST_ASSERT(view != MAP_FAILED, "mmap: %s", strerror(errno));
	strcpy(dmamap_zone_va(z), "shared");
	TEST_ASSERT(strcmp(view, "shared") == 0, "another memory");
	TEST_ASSERT_SUCCESS(vfio_mock_dma_write(mock, "nic0", dmamap_zone_iova(z), "S", 1), "DMA");
	TEST_ASSERT_EQUAL(view[0], 'S', "the device writes elsewhere");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, 2 * page), "grow");
	TEST_ASSERT_EQUAL(dmamap_zone_fd(z, NULL), -ENOTSUP, "it has grown");
	TEST_ASSERT_SUCCESS(dmamap_zone_resize(z, page), "shrink");
	TEST_ASSERT_EQUAL(dmamap_zone_fd(z, NULL), fd, "one file again");
	TEST_ASSERT_SUCCESS(finish(d), "finish");
	/* The memory lives as long as it is mapped through the file. */
	TEST_ASSERT(strcmp(view, "Shared") == 0, "gone with the zone");
	munmap(view, page);
	return 0;
}

static int
a_shared_zone_has_a_file(void)
{
	struct dmamap_zone_conf conf = {.len = KB4, .page_size = KB4};
	struct dm_hugepage_count count;

	TEST_ASSERT_SUCCESS(its_file_shows_its_memory(KB4), "base pages");
	if (dm_hugepage_count(MB2, -1, &count) == 0 && count.free >= 4)
		TEST_ASSERT_SUCCESS(its_file_shows_its_memory(MB2), "hugepages");
	TEST_ASSERT_EQUAL(dmamap_zone_fd(NULL, NULL), -EINVAL, "no zone");
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(c, &conf, &z), "zone");
	TEST_ASSERT_EQUAL(dmamap_zone_fd(z, NULL), -ENOTSUP, "not made to be shared");
	return dmamap_zone_free(z);
}

static const struct test_case cases[] = {
	{"it is at the requested IOVA", it_is_at_the_requested_iova},
	{"an impossible IOVA is refused", an_impossible_iova_is_refused},
	{"it grows from the requested IOVA", it_grows_from_the_requested_iova},
	{"two at one IOVA are not merged", two_at_one_iova_are_not_merged},
	{"a shared zone has a file", a_shared_zone_has_a_file},
	{"it grows and shrinks in place", it_grows_and_shrinks_in_place},
	{"it does so with hugepages", it_does_so_with_hugepages},
	{"it does so outside the window", it_does_so_outside_the_window},
	{"it ends at its limit", it_ends_at_its_limit},
	{"a cut names the borders", a_cut_names_the_borders},
	{"its reserved range is its own", its_reserved_range_is_its_own},
	{"a registration keeps what it uses", a_registration_keeps_what_it_uses},
	{"all or nothing", all_or_nothing},
	{"too few pages change nothing", too_few_pages_change_nothing},
	{"it can still grow after a merge", it_can_still_grow_after_a_merge},
	{"it goes with its container", it_goes_with_its_container},
	{"a late device reaches all", a_late_device_reaches_all},
	{"a child does not inherit it", a_child_does_not_inherit_it},
};

REGISTER_TEST_SUITE(zone_suite) = {.name = "zone",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown};
