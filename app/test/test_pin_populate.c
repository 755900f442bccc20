/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of memory for zones in two steps: a plan that touches no memory, and pages populated in a
 * reservation of the caller, which stays reserved after any failure.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_common.h>

#include "child.h"
#include "dm_anon.h"
#include "dm_hugepage.h"
#include "dm_pin.h"
#include "dm_va.h"
#include "pages.h"
#include "test.h"

/** Hugepages that a case uses at most. */
#define PAGES 8
#define RESERVED 1
#define OPEN 3
/** Other processes use hugepages, too. */
#define ATTEMPTS 20

static size_t huge, base;

static int
setup(void)
{
	struct dm_hugepage_count count;

	base = sysconf(_SC_PAGESIZE);
	huge = dm_hugepage_smallest();
	if (huge == 0 || dm_hugepage_count(huge, -1, &count) < 0 || count.free < PAGES)
		return test_skip("fewer than %u hugepages are free", PAGES);
	return TEST_SUCCESS;
}

static uint64_t
free_pages(void)
{
	struct dm_hugepage_count count = {0};

	dm_hugepage_count(huge, -1, &count);
	return count.free - RTE_MIN(count.free, count.reserved);
}

/** Mapped address space, in pages. */
static long
mapped_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long n = 0;

	if (f != NULL && fscanf(f, "%ld", &n) != 1)
		n = 0;
	if (f != NULL)
		fclose(f);
	return n;
}

static bool
is_zero(const void *va, size_t len)
{
	const uint64_t *word = va;
	size_t i;

	for (i = 0; i < len / sizeof(*word); i++)
		if (word[i] != 0)
			return false;
	return true;
}

static int
a_plan_touches_nothing(void)
{
	const struct dm_pin_conf conf = {.len = 3 * huge - 1,
		.page_size = huge,
		.node = 0,
		.name = "z",
		.at = &huge,
		.align = 8 * huge};
	struct dm_pin *pin;
	uint64_t pages;
	unsigned int i;
	long mapped;

	for (i = 0; i < ATTEMPTS; i++) {
		pages = free_pages();
		mapped = mapped_pages();
		TEST_ASSERT_SUCCESS(dm_pin_plan(&conf, &pin), "plan");
		TEST_ASSERT(
			pin->len == 3 * huge && pin->align == 8 * huge && pin->page_size == huge,
			"len %zu", pin->len);
		TEST_ASSERT(pin->va == NULL && pin->kind == DMAMAP_PAGES_HUGETLB, "it has memory");
		TEST_ASSERT_EQUAL(dm_pin_fd(pin, NULL), -ENOTSUP, "it has a file");
		if (mapped_pages() == mapped && free_pages() == pages)
			i = ATTEMPTS;
		dm_pin_free(pin);
	}
	TEST_ASSERT(i > ATTEMPTS, "memory was used each time");
	return TEST_SUCCESS;
}

/**
 * Populate the middle of a reservation: only these pages are there. After the release the
 * reservation is whole.
 */
static int
populate_in_the_middle(size_t page_size, uint32_t allow, enum dmamap_page_kind kind)
{
	const struct dm_pin_conf conf = {
		.len = 2 * huge, .page_size = page_size, .node = -1, .name = "z", .allow = allow};
	uint8_t *space = dm_va_reserve_aligned(6 * huge, huge), *at = space + 2 * huge;
	struct dm_pin *pin;
	unsigned int i;

	TEST_ASSERT_NOT_NULL(space, "no address space");
	for (i = 0; i < 2; i++) {
		TEST_ASSERT_SUCCESS(dm_pin_plan(&conf, &pin), "plan");
		TEST_ASSERT_EQUAL(pin->len, 2 * huge, "len %zu", pin->len);
		TEST_ASSERT_SUCCESS(dm_pin_populate(pin, at, NULL), "populate");
		TEST_ASSERT(
			pin->va == at && pin->kind == kind, "at %p, kind %d", pin->va, pin->kind);
		TEST_ASSERT_EQUAL(dm_pin_populate(pin, at, NULL), -EINVAL, "populated twice");
		TEST_ASSERT_EQUAL(test_range_access(space, 2 * huge), RESERVED, "below");
		TEST_ASSERT_EQUAL(test_range_access(at, 2 * huge), OPEN, "there");
		TEST_ASSERT_EQUAL(test_range_access(at + 2 * huge, 2 * huge), RESERVED, "above");
		TEST_ASSERT(is_zero(at, 2 * huge), "contents of before, round %u", i);
		memset(at, 0xa5, 2 * huge);
		dm_pin_free(pin);
		TEST_ASSERT_EQUAL(test_range_access(space, 6 * huge), RESERVED, "freed");
	}
	munmap(space, 6 * huge);
	return TEST_SUCCESS;
}

static int
pages_lie_where_the_caller_wants_them(void)
{
	TEST_ASSERT_SUCCESS(populate_in_the_middle(huge, 0, DMAMAP_PAGES_HUGETLB), "hugepages");
	TEST_ASSERT_SUCCESS(populate_in_the_middle(base, 0, DMAMAP_PAGES_BASE), "base pages");
	if (pages_empty_size() != 0)
		TEST_ASSERT_SUCCESS(populate_in_the_middle(pages_empty_size(), DMAMAP_ALLOW_BASE,
					    DMAMAP_PAGES_BASE),
			"locked");
	if (pages_empty_size() != 0 && dm_anon_transparent_size() == huge)
		TEST_ASSERT_SUCCESS(populate_in_the_middle(pages_empty_size(),
					    DMAMAP_ALLOW_TRANSPARENT, DMAMAP_PAGES_TRANSPARENT),
			"transparent");
	return TEST_SUCCESS;
}

static int
an_address_off_the_alignment_is_refused(void)
{
	const struct dm_pin_conf conf = {
		.len = huge, .page_size = huge, .node = -1, .name = "z", .align = 2 * huge};
	uint8_t *space = dm_va_reserve_aligned(4 * huge, 2 * huge);
	struct dm_pin *pin;

	TEST_ASSERT_NOT_NULL(space, "no address space");
	TEST_ASSERT_SUCCESS(dm_pin_plan(&conf, &pin), "plan");
	TEST_ASSERT_EQUAL(dm_pin_populate(pin, space + huge, NULL), -EINVAL, "off the alignment");
	TEST_ASSERT_EQUAL(test_range_access(space, 4 * huge), RESERVED, "touched");
	TEST_ASSERT_SUCCESS(dm_pin_populate(pin, space + 2 * huge, NULL), "on it");
	dm_pin_free(pin);
	TEST_ASSERT_EQUAL(dm_pin_populate(NULL, space, NULL), -EINVAL, "no plan");
	munmap(space, 4 * huge);
	return TEST_SUCCESS;
}

static int
stop(void *arg, uint64_t done, uint64_t len)
{
	RTE_SET_USED(arg);
	RTE_SET_USED(done);
	RTE_SET_USED(len);
	return 1;
}

/** The caller cancels at the first progress report. */
static int
a_failure_leaves_the_reservation_and_the_plan(void)
{
	const struct dm_pin_fill give_up = {.progress = stop};
	const size_t sizes[] = {huge, base};
	uint8_t *space = dm_va_reserve_aligned(4 * huge, huge);
	unsigned int i;

	TEST_ASSERT_NOT_NULL(space, "no address space");
	for (i = 0; i < RTE_DIM(sizes); i++) {
		const struct dm_pin_conf conf = {.len = 2 * huge,
			.page_size = sizes[i],
			.node = -1,
			.name = "z",
			.want_fd = i == 0};
		unsigned int files = test_open_files();
		struct dm_pin *pin;

		TEST_ASSERT_SUCCESS(dm_pin_plan(&conf, &pin), "plan");
		TEST_ASSERT_EQUAL(
			dm_pin_populate(pin, space + huge, &give_up), -ECANCELED, "given up");
		TEST_ASSERT_EQUAL(test_range_access(space, 4 * huge), RESERVED, "reservation");
		TEST_ASSERT_NULL(pin->va, "it has memory");
		TEST_ASSERT_EQUAL(test_open_files(), files, "a file stays open");
		/* Populate elsewhere afterwards. */
		TEST_ASSERT_SUCCESS(dm_pin_populate(pin, space, NULL), "again");
		TEST_ASSERT(is_zero(space, 2 * huge), "contents");
		TEST_ASSERT_EQUAL(test_range_access(space, 2 * huge), OPEN, "there");
		dm_pin_free(pin);
		TEST_ASSERT_EQUAL(test_open_files(), files, "a file stays open");
		TEST_ASSERT_EQUAL(test_range_access(space, 4 * huge), RESERVED, "reservation");
	}
	munmap(space, 4 * huge);
	return TEST_SUCCESS;
}

/** Allocate all hugepages but one from the pool. @return NULL: another process took some */
static struct dm_pin *
drain_pool(void)
{
	struct dm_pin_conf conf = {.page_size = huge, .node = -1, .name = "drain"};
	struct dm_pin *pin = NULL;

	conf.len = (free_pages() - 1) * huge;
	return dm_pin_alloc(&conf, &pin) == 0 ? pin : NULL;
}

/**
 * Populate a plan whose pages were allocated by others in between. @return the result; 77: another
 * process released some meanwhile
 */
static int
populate_after_others(struct dm_pin *pin, void *at)
{
	struct dm_pin *drain = drain_pool();
	int rc = dm_pin_populate(pin, at, NULL);

	dm_pin_free(drain);
	return rc == 0 && (drain == NULL || pin->kind == DMAMAP_PAGES_HUGETLB) ? 77 : rc;
}

/** If the planned pages are gone, an allowed fallback is used, with the same number of bytes. */
static int
a_fallback_fits_the_reservation(void)
{
	const struct dm_pin_conf conf = {.len = 2 * huge - base,
		.page_size = huge,
		.node = -1,
		.name = "zone rx",
		.allow = DMAMAP_ALLOW_BASE};
	uint8_t *space = dm_va_reserve_aligned(2 * huge, huge);
	struct dm_hugepage_count count;
	struct dm_pin *pin = NULL;
	const char *log = "";
	int rc = 77, i;

	TEST_ASSERT_NOT_NULL(space, "no address space");
	if (dm_hugepage_count(huge, -1, &count) < 0 || count.surplus != 0)
		return test_skip("this machine over-commits hugepages");
	for (i = 0; i < ATTEMPTS && rc == 77; i++) {
		dm_pin_free(pin);
		TEST_ASSERT_SUCCESS(dm_pin_plan(&conf, &pin), "plan");
		TEST_ASSERT_EQUAL(pin->len, 2 * huge, "len %zu", pin->len);
		test_log_begin();
		rc = populate_after_others(pin, space);
		log = test_log_end();
	}
	TEST_ASSERT_SUCCESS(rc, "rc %d: %s", rc, log);
	TEST_ASSERT(pin->va == space && pin->len == 2 * huge, "%zu bytes", pin->len);
	TEST_ASSERT(pin->kind == DMAMAP_PAGES_BASE && pin->locked, "kind %d", pin->kind);
	TEST_ASSERT_NOT_NULL(strstr(log, "zone rx: needs 2 pages of "), "%s", log);
	TEST_ASSERT_NOT_NULL(strstr(log, "; using locked base pages of "), "%s", log);
	TEST_ASSERT(strchr(log, '\n')[1] == '\0', "more than one line: %s", log);
	TEST_ASSERT(is_zero(space, pin->len), "contents");
	dm_pin_free(pin);
	TEST_ASSERT_EQUAL(test_range_access(space, 2 * huge), RESERVED, "reservation");
	munmap(space, 2 * huge);
	return TEST_SUCCESS;
}

/**
 * Up to Linux 6.11 an mmap(2) that fails for lack of hugepages may have removed the reservation. So
 * it must not be tried: it would kill this child. 77: another process took pages.
 */
static int
populate_from_an_empty_pool(const void *arg)
{
	const struct dm_pin_conf conf = {
		.len = 2 * huge, .page_size = huge, .node = -1, .name = "zone rx"};
	uint8_t *space = dm_va_reserve_aligned(2 * huge, huge);
	struct dm_pin *pin;

	RTE_SET_USED(arg);
	if (space == NULL || dm_pin_plan(&conf, &pin) < 0)
		return 2;
	if (drain_pool() == NULL)
		return 77;
	if (test_refuse_mmap(PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, 0) < 0)
		return 78;
	if (dm_pin_populate(pin, space, NULL) != -ENOMEM)
		return 3;
	if (test_range_access(space, 2 * huge) != RESERVED)
		return 4;
	dm_pin_free(pin);
	return test_range_access(space, 2 * huge) == RESERVED ? 0 : 5;
}

static int
too_few_pages_are_seen_before_the_reservation_is_touched(void)
{
	struct dm_hugepage_count count;
	int rc = -1, i;

	if (dm_hugepage_count(huge, -1, &count) < 0 || count.surplus != 0)
		return test_skip("this machine over-commits hugepages");
	/* Other processes may release pages meanwhile, but a fault shows in each attempt. */
	for (i = 0; i < ATTEMPTS && rc != 0 && rc != 78; i++)
		rc = test_in_child(populate_from_an_empty_pool, NULL);
	if (rc == 77 || rc == 78)
		return test_skip("%s", rc == 77 ? "others use the hugepages" : "no seccomp");
	TEST_ASSERT_EQUAL(rc, 0, "step %d; -1: it was killed for calling mmap()", rc);
	return TEST_SUCCESS;
}

/** The kernel refuses to map a file over the reservation, and has not removed the reservation. */
static int
populate_without_mmap(const void *arg)
{
	const struct dm_pin_conf conf = {
		.len = 2 * huge, .page_size = huge, .node = -1, .name = "zone rx"};
	uint8_t *space = dm_va_reserve_aligned(2 * huge, huge);
	struct dm_pin *pin;

	RTE_SET_USED(arg);
	if (space == NULL || dm_pin_plan(&conf, &pin) < 0)
		return 2;
	if (test_refuse_mmap(PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, ENOMEM) < 0)
		return 77;
	test_log_begin();
	if (dm_pin_populate(pin, space, NULL) != -ENOMEM)
		return 3;
	if (strstr(test_log_end(), "zone rx: cannot map ") == NULL)
		return 4;
	return test_range_access(space, 2 * huge) == RESERVED ? 0 : 5;
}

static int
a_refused_mmap_leaves_the_reservation(void)
{
	int rc = test_in_child(populate_without_mmap, NULL);

	if (rc == 77)
		return test_skip("no seccomp");
	TEST_ASSERT_EQUAL(rc, 0, "step %d", rc);
	return TEST_SUCCESS;
}

/**
 * If the kernel cannot make a reservation again, as at the limit of mapped areas, the pages are
 * released all the same.
 */
static int
free_without_mmap(const void *arg)
{
	const size_t *page_size = arg;
	const struct dm_pin_conf conf = {.len = 2 * huge,
		.page_size = *page_size,
		.node = -1,
		.name = "zone rx",
		.allow = DMAMAP_ALLOW_BASE};
	uint8_t *space = dm_va_reserve_aligned(2 * huge, huge);
	unsigned char here[2];
	struct dm_pin *pin;
	uint64_t pages;
	int i;

	if (space == NULL || dm_pin_plan(&conf, &pin) < 0 || dm_pin_populate(pin, space, NULL) < 0)
		return 2;
	if (test_refuse_mmap(PROT_NONE, MAP_FIXED | MAP_ANONYMOUS, ENOMEM) < 0)
		return 77;
	test_log_begin();
	pages = free_pages();
	dm_pin_free(pin);
	if (strstr(test_log_end(), "its pages are released, but access to ") == NULL)
		return 3;
	/* Other processes use hugepages, too. */
	for (i = 0; *page_size == huge && free_pages() < pages + 2 && i < ATTEMPTS; i++)
		usleep(1000);
	if (i == ATTEMPTS)
		return 4;
	if (*page_size != huge &&
		(mincore(space, 2 * base, here) < 0 || (here[0] & 1) || (here[1] & 1)))
		return 5;
	return test_range_access(space, 2 * huge) == OPEN ? 0 : 6;
}

static int
pages_are_released_even_if_the_address_is_not(void)
{
	const size_t sizes[] = {huge, base, pages_empty_size()};
	unsigned int i, k;
	int rc;

	for (i = 0; i < RTE_DIM(sizes) && sizes[i] != 0; i++) {
		rc = -1;
		for (k = 0; k < ATTEMPTS && rc != 0 && rc != 77; k++)
			rc = test_in_child(free_without_mmap, &sizes[i]);
		if (rc == 77)
			return test_skip("no seccomp");
		TEST_ASSERT_EQUAL(rc, 0, "pages of %zu: step %d", sizes[i], rc);
	}
	return TEST_SUCCESS;
}

#define INTRUDERS 2
#define ROUNDS 1000

/** Threads that call mmap() while populating succeeds and fails. */
struct intruder {
	uint8_t *space;
	size_t len;
	bool stop; /* atomic */
	unsigned int inside; /* atomic: how often they got addresses inside the reservation */
};

static void *
intrude(void *arg)
{
	struct intruder *in = arg;
	uint8_t *va;

	while (!__atomic_load_n(&in->stop, __ATOMIC_RELAXED)) {
		va = mmap(in->space, base, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (va == MAP_FAILED)
			continue;
		if (va >= in->space && va < in->space + in->len)
			__atomic_fetch_add(&in->inside, 1, __ATOMIC_RELAXED);
		munmap(va, base);
	}
	return NULL;
}

static int
no_other_mapping_lands_in_the_reservation(void)
{
	const struct dm_pin_fill give_up = {.progress = stop, .threads = 1}, go = {.threads = 1};
	struct intruder in = {.len = 2 * huge};
	pthread_t thread[INTRUDERS];
	const struct dm_pin_fill *fill;
	unsigned int i, failed = 0;
	struct dm_pin *pin;

	in.space = dm_va_reserve_aligned(in.len, huge);
	TEST_ASSERT_NOT_NULL(in.space, "no address space");
	for (i = 0; i < INTRUDERS; i++)
		TEST_ASSERT_SUCCESS(pthread_create(&thread[i], NULL, intrude, &in), "thread");
	for (i = 0; i < ROUNDS && failed == 0; i++) {
		const bool is_huge = i % 10 < 2;
		const struct dm_pin_conf conf = {.len = is_huge ? 2 * huge : 2 * base,
			.page_size = is_huge ? huge : base,
			.node = -1,
			.name = "z"};

		if (dm_pin_plan(&conf, &pin) < 0)
			break;
		fill = i % 2 ? &give_up : &go;
		failed += dm_pin_populate(pin, in.space, fill) != (i % 2 ? -ECANCELED : 0);
		dm_pin_free(pin);
	}
	failed += i < ROUNDS;
	__atomic_store_n(&in.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < INTRUDERS; i++)
		pthread_join(thread[i], NULL);
	TEST_ASSERT_EQUAL(failed, 0, "a call failed");
	TEST_ASSERT_EQUAL(in.inside, 0, "%u mappings of another thread", in.inside);
	munmap(in.space, in.len);
	return TEST_SUCCESS;
}

/** Threads with pins of their own, adjacent in one reservation. */
struct worker {
	uint8_t *at;
	unsigned int number;
	int rc;
};

static void *
work(void *arg)
{
	struct worker *w = arg;
	size_t transparent = dm_anon_transparent_size() == huge ? pages_empty_size() : 0;
	unsigned int i;

	for (i = 0; i < 30 && w->rc == 0; i++) {
		struct dm_pin_conf conf = {
			.len = huge, .page_size = i % 2 ? huge : base, .node = -1, .name = "z"};
		struct dm_pin *pin;

		/*
		 * Two of the threads have neighbouring areas that the kernel merges with theirs. A
		 * small machine may have no contiguous large page left: then base pages are used.
		 */
		if (w->number < 2 && transparent != 0) {
			conf.page_size = transparent;
			conf.allow = DMAMAP_ALLOW_TRANSPARENT | DMAMAP_ALLOW_BASE;
		}
		w->rc = dm_pin_plan(&conf, &pin);
		if (w->rc < 0)
			break;
		w->rc = dm_pin_populate(pin, w->at, NULL);
		if (w->rc == 0 && !is_zero(w->at, huge))
			w->rc = 1;
		if (w->rc == 0)
			memset(w->at, (int)w->number, huge);
		if (w->rc == 0 && pin->page_size == huge && pin->kind == DMAMAP_PAGES_BASE)
			w->rc = 2;
		dm_pin_free(pin);
	}
	return NULL;
}

static int
threads_populate_side_by_side(void)
{
	uint8_t *space = dm_va_reserve_aligned(4 * huge, huge);
	struct worker w[4];
	pthread_t thread[4];
	unsigned int i;

	TEST_ASSERT_NOT_NULL(space, "no address space");
	for (i = 0; i < RTE_DIM(w); i++) {
		w[i] = (struct worker){.at = space + i * huge, .number = i};
		TEST_ASSERT_SUCCESS(pthread_create(&thread[i], NULL, work, &w[i]), "thread");
	}
	for (i = 0; i < RTE_DIM(w); i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < RTE_DIM(w); i++)
		TEST_ASSERT_EQUAL(w[i].rc, 0, "thread %u: %d", i, w[i].rc);
	TEST_ASSERT_EQUAL(test_range_access(space, 4 * huge), RESERVED, "reservation");
	munmap(space, 4 * huge);
	return TEST_SUCCESS;
}

/** What another process does with the file: it reads the contents and writes an answer. */
static int
share(const void *arg)
{
	const struct dm_pin *pin = arg;
	uint64_t offset = 1;
	int fd = dm_pin_fd(pin, &offset);
	uint32_t *va = mmap(NULL, pin->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	if (va == MAP_FAILED)
		return 2;
	if (va[pin->len / sizeof(*va) - 1] != 0x12345678)
		return 3;
	va[0] = 0x9abcdef0;
	/* Truncation would cause a SIGBUS in the other process. */
	return ftruncate(fd, 0) < 0 && errno == EPERM ? 0 : 4;
}

static int
a_file_shares_the_memory(void)
{
	const size_t sizes[] = {huge, base};
	unsigned int i;

	for (i = 0; i < RTE_DIM(sizes); i++) {
		struct dm_pin_conf conf = {.len = 2 * huge,
			.page_size = sizes[i],
			.node = 0,
			.name = "z",
			.want_fd = true};
		unsigned int files = test_open_files();
		struct dm_pin *pin;
		uint32_t *word;
		int rc;

		TEST_ASSERT_SUCCESS(dm_pin_alloc(&conf, &pin), "alloc");
		TEST_ASSERT(pin->node == 0 && pin->page_size == sizes[i], "node %d", pin->node);
		TEST_ASSERT((fcntl(dm_pin_fd(pin, NULL), F_GETFD) & FD_CLOEXEC) != 0,
			"it survives an exec");
		word = pin->va;
		word[pin->len / sizeof(*word) - 1] = 0x12345678;
		rc = test_in_child(share, pin);
		TEST_ASSERT_EQUAL(rc, 0, "pages of %zu: step %d", sizes[i], rc);
		TEST_ASSERT_EQUAL(word[0], 0x9abcdef0, "nothing came back");
		dm_pin_free(pin);
		conf.want_fd = false;
		TEST_ASSERT_SUCCESS(dm_pin_alloc(&conf, &pin), "alloc");
		TEST_ASSERT_EQUAL(dm_pin_fd(pin, NULL), -ENOTSUP, "not asked for");
		TEST_ASSERT_EQUAL(test_open_files(), files, "a file stays open");
		dm_pin_free(pin);
	}
	return TEST_SUCCESS;
}

/** Transparent hugepages and private base pages have no file, so they are not used. */
static int
a_file_rules_transparent_hugepages_out(void)
{
	struct dm_pin_conf conf = {.len = huge,
		.page_size = pages_empty_size(),
		.node = -1,
		.name = "z",
		.want_fd = true,
		.allow = DMAMAP_ALLOW_TRANSPARENT};
	struct dm_pin *pin;

	if (conf.page_size == 0)
		return test_skip("no size of hugepages without any");
	TEST_ASSERT_EQUAL(dm_pin_plan(&conf, &pin), -ENOMEM, "transparent only");
	conf.allow |= DMAMAP_ALLOW_BASE;
	TEST_ASSERT_SUCCESS(dm_pin_alloc(&conf, &pin), "base pages");
	TEST_ASSERT(pin->kind == DMAMAP_PAGES_BASE && pin->locked && dm_pin_fd(pin, NULL) >= 0,
		"kind %d", pin->kind);
	dm_pin_free(pin);
	return TEST_SUCCESS;
}

/** As a zone grows: adjacent to the existing pages, with the same page size. */
static int
pages_like_existing_ones_are_added_after_them(void)
{
	uint8_t *space = dm_va_reserve_aligned(4 * huge, huge);
	struct dm_pin_conf conf = {.len = huge, .page_size = huge, .node = -1, .name = "z"};
	struct dm_pin *first, *second;

	TEST_ASSERT_NOT_NULL(space, "no address space");
	TEST_ASSERT_SUCCESS(dm_pin_plan(&conf, &first), "plan");
	TEST_ASSERT_SUCCESS(dm_pin_populate(first, space, NULL), "populate");
	conf = (struct dm_pin_conf){
		.len = base, .node = -1, .name = "z", .like = first, .allow = DMAMAP_ALLOW_BASE};
	TEST_ASSERT_SUCCESS(dm_pin_plan(&conf, &second), "plan");
	TEST_ASSERT(second->len == huge && second->kind == first->kind, "len %zu", second->len);
	TEST_ASSERT_SUCCESS(dm_pin_populate(second, space + huge, NULL), "populate");
	dm_pin_free(first);
	TEST_ASSERT_EQUAL(test_range_access(space, huge), RESERVED, "first");
	TEST_ASSERT_EQUAL(test_range_access(space + huge, huge), OPEN, "second");
	dm_pin_free(second);
	TEST_ASSERT_EQUAL(test_range_access(space, 4 * huge), RESERVED, "reservation");
	munmap(space, 4 * huge);
	return TEST_SUCCESS;
}

/** Whether the kernel reports single pages (PAGEMAP_SCAN, Linux 6.7). */
static bool
has_pagemap_scan(void)
{
	struct utsname name;
	unsigned int major, minor;

	return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
		(major > 6 || (major == 6 && minor >= 7));
}

/** The kernel merges areas. A neighbour without pages must not make these pages count as small. */
static int
transparent_hugepages_are_told_from_their_neighbours(void)
{
	const struct dm_pin_conf conf = {.len = huge,
		.page_size = pages_empty_size(),
		.node = -1,
		.name = "z",
		.allow = DMAMAP_ALLOW_TRANSPARENT};
	uint8_t *space = dm_va_reserve_aligned(2 * huge, huge);
	struct dm_pin *pin;
	int rc;

	TEST_ASSERT_NOT_NULL(space, "no address space");
	if (conf.page_size == 0 || dm_anon_transparent_size() != huge || !has_pagemap_scan())
		return test_skip("no transparent hugepages, or an old kernel");
	/* Prepare the neighbour as populating does, but without pages. */
	TEST_ASSERT_SUCCESS(mprotect(space + huge, huge, PROT_READ | PROT_WRITE), "mprotect");
	madvise(space + huge, huge, MADV_DODUMP);
	madvise(space + huge, huge, MADV_HUGEPAGE);
	TEST_ASSERT_SUCCESS(dm_pin_plan(&conf, &pin), "plan");
	rc = dm_pin_populate(pin, space, NULL);
	TEST_ASSERT_SUCCESS(rc, "populate: %d", rc);
	TEST_ASSERT_EQUAL(pin->kind, DMAMAP_PAGES_TRANSPARENT, "kind %d", pin->kind);
	dm_pin_free(pin);
	munmap(space, 2 * huge);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"a plan touches nothing", a_plan_touches_nothing},
	{"pages lie where the caller wants them", pages_lie_where_the_caller_wants_them},
	{"an address off the alignment is refused", an_address_off_the_alignment_is_refused},
	{"a failure leaves the reservation and the plan",
		a_failure_leaves_the_reservation_and_the_plan},
	{"a fallback fits the reservation", a_fallback_fits_the_reservation},
	{"too few pages are seen before the reservation is touched",
		too_few_pages_are_seen_before_the_reservation_is_touched},
	{"a refused mmap leaves the reservation", a_refused_mmap_leaves_the_reservation},
	{"pages are released even if the address is not",
		pages_are_released_even_if_the_address_is_not},
	{"no other mapping lands in the reservation", no_other_mapping_lands_in_the_reservation},
	{"threads populate side by side", threads_populate_side_by_side},
	{"transparent hugepages are told from their neighbours",
		transparent_hugepages_are_told_from_their_neighbours},
	{"a file shares the memory", a_file_shares_the_memory},
	{"a file rules transparent hugepages out", a_file_rules_transparent_hugepages_out},
	{"pages like existing ones are added after them",
		pages_like_existing_ones_are_added_after_them},
};

REGISTER_TEST_SUITE(pin_populate) = {.name = "pin_populate",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup};
