/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Does a zone grow and shrink where it is, all or not at all, and is it this process's alone?
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

/** A zone of 3 pages that may grow to 16 MiB, with nic0 attached. */
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

/** Can the process read a byte there? */
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

/** Is the zone where it was, as long as said, and reached by the device from end to end, but no
 * further? */
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
		TEST_ASSERT_EQUAL(dm_window_va2iova(&c->shown, (uintptr_t)va + len - 1),
			iova + len - 1, "not by the window");
	TEST_ASSERT(
		is_readable(va + len - 1) && !is_readable(va + len), "its memory ends elsewhere");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, va + len), RTE_BAD_IOVA, "beyond the end");
	TEST_ASSERT_NULL(dmamap_iova2va(c, iova + len), "beyond the end");
	TEST_ASSERT(dmamap_model_dma_read(model, "nic0", iova + len, &byte, 1) < 0,
		"the device reaches further");
	return 0;
}

/** Free it; nothing may be left. */
static int
finish(struct dmamap_device *d)
{
	struct dmamap_container_info info;

	TEST_ASSERT_SUCCESS(dmamap_zone_free(z), "free");
	info = machine_info();
	TEST_ASSERT(info.n_mappings == 0 && info.taken_len == 0 && info.mapped_len == 0,
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
its_room_is_its_own(void)
{
	rte_iova_t at;
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(make_zone(&d, KB4), "zone");
	TEST_ASSERT_EQUAL(machine_info().taken_len, 8 * MB2, "taken");
	at = iova + 4 * MB2;
	TEST_ASSERT_EQUAL(
		dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &at), -EEXIST, "map into it");
	TEST_ASSERT_EQUAL(dmamap_iova_give(c, iova, 8 * MB2), -EBUSY, "give it back");
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

	dmamap_model_fail(model, DMAMAP_MODEL_ANY, 1, ENOMEM);
	rc = dmamap_zone_resize(z, len);
	dmamap_model_fail(model, DMAMAP_MODEL_ANY, 0, 0);
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
	TEST_ASSERT_EQUAL(machine_info().taken_len, 8 * MB2, "taken");
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

/** A newcomer gets all of it. */
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

/** A child that touches a byte. @return the signal that ended it; 0: none */
static int
touch_in_child(volatile char *byte)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		/* Sanitizers have a handler of their own. */
		signal(SIGSEGV, SIG_DFL);
		*byte = 0x77;
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/** Do the device and the process see the same bytes, and no child any? */
static int
share_with_device_only(void)
{
	int page, signum;
	char byte;

	for (page = 0; page < 4; page++) {
		byte = 'a' + page;
		va[page * KB4] = 'x';
		TEST_ASSERT_SUCCESS(
			dmamap_model_dma_write(model, "nic0", iova + page * KB4, &byte, 1), "DMA");
		signum = touch_in_child(va + page * KB4);
		TEST_ASSERT_EQUAL(signum, SIGSEGV, "page %d: signal %d", page, signum);
		TEST_ASSERT_EQUAL(va[page * KB4], 'a' + page,
			"page %d: the process sees something else", page);
		va[page * KB4] = 'A' + page;
		TEST_ASSERT_SUCCESS(
			dmamap_model_dma_read(model, "nic0", iova + page * KB4, &byte, 1), "DMA");
		TEST_ASSERT_EQUAL(
			byte, 'A' + page, "page %d: the device sees something else", page);
	}
	return 0;
}

/** While children come and go. */
static int
a_child_has_no_part_in_it(void)
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

static const struct test_case cases[] = {
	{"it grows and shrinks in place", it_grows_and_shrinks_in_place},
	{"it does so with hugepages", it_does_so_with_hugepages},
	{"it does so outside the window", it_does_so_outside_the_window},
	{"it ends at its limit", it_ends_at_its_limit},
	{"a cut names the borders", a_cut_names_the_borders},
	{"its room is its own", its_room_is_its_own},
	{"a registration keeps what it uses", a_registration_keeps_what_it_uses},
	{"all or nothing", all_or_nothing},
	{"too few pages change nothing", too_few_pages_change_nothing},
	{"it can still grow after a merge", it_can_still_grow_after_a_merge},
	{"it goes with its container", it_goes_with_its_container},
	{"a late device reaches all", a_late_device_reaches_all},
	{"a child has no part in it", a_child_has_no_part_in_it},
};

REGISTER_TEST_SUITE(zone_suite) = {.name = "zone",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown};
