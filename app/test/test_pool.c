/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of pools of small coherent objects: placement, number of kernel calls, and concurrent use.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_hugepage.h"
#include "machine.h"
#include "quiet.h"
#include "test.h"

#define MANY 3000u

static struct dmamap_pool *pool;
static struct dmamap_device *nic;
static void *va[MANY];
static rte_iova_t iova[MANY];

static struct dmamap_pool_info
info_of(struct dmamap_pool *p)
{
	struct dmamap_pool_info info = {0};

	dmamap_pool_info(p, &info);
	return info;
}

static int
make(const struct dmamap_pool_conf *conf)
{
	nic = machine_attach("nic0");
	TEST_ASSERT_NOT_NULL(nic, "attach");
	TEST_ASSERT_SUCCESS(dmamap_pool_create(c, conf, &pool), "pool");
	return 0;
}

static int
get_all(unsigned int n)
{
	unsigned int i;
	int rc;

	for (i = 0; i < n; i++) {
		rc = dmamap_pool_get(pool, &va[i], &iova[i]);
		TEST_ASSERT_SUCCESS(rc, "get %u: %d", i, rc);
	}
	return 0;
}

static int
put_all(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		TEST_ASSERT_SUCCESS(dmamap_pool_put(pool, va[i]), "put %u", i);
	return 0;
}

/** Destroy the pool, and check that nothing is left. */
static int
finish(void)
{
	struct dmamap_container_info info;

	TEST_ASSERT_SUCCESS(dmamap_pool_destroy(pool), "destroy");
	info = machine_info();
	TEST_ASSERT(info.n_mappings == 0 && info.mapped_len == 0 && info.reservation_len == 0,
		"something is left");
	TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "memory is pinned");
	return dmamap_container_detach(nic);
}

static int
by_va(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;

	return x < y ? -1 : x > y;
}

/**
 * MANY objects of a pool: aligned, within their boundary, disjoint, zero, and reached by the
 * device.
 */
static int
check_kind(const struct dmamap_pool_conf *conf)
{
	const size_t align = conf->align != 0 ? conf->align : 1, size = conf->obj_size;
	unsigned int i;
	size_t k;

	TEST_ASSERT_SUCCESS(make(conf), "make");
	TEST_ASSERT_SUCCESS(get_all(MANY), "get");
	for (i = 0; i < MANY; i++) {
		TEST_ASSERT(iova[i] % align == 0 && (uintptr_t)va[i] % align == 0,
			"object %u: alignment", i);
		TEST_ASSERT_EQUAL(dmamap_va2iova(c, va[i]), iova[i], "object %u: IOVA", i);
		TEST_ASSERT_EQUAL(dmamap_va2iova(c, (char *)va[i] + size - 1), iova[i] + size - 1,
			"object %u: end", i);
		if (conf->boundary != 0)
			TEST_ASSERT(
				iova[i] / conf->boundary == (iova[i] + size - 1) / conf->boundary &&
					(uintptr_t)va[i] / conf->boundary ==
						((uintptr_t)va[i] + size - 1) / conf->boundary,
				"object %u crosses a boundary", i);
		for (k = 0; k < size; k++)
			TEST_ASSERT_EQUAL(((char *)va[i])[k], 0, "object %u: byte %zu", i, k);
		TEST_ASSERT(machine_reaches("nic0", iova[i], va[i], size),
			"object %u is not reached", i);
		memset(va[i], 0xff, size);
	}
	qsort(va, MANY, sizeof(va[0]), by_va);
	for (i = 1; i < MANY; i++)
		TEST_ASSERT((char *)va[i - 1] + size <= (char *)va[i], "object %u overlaps", i);
	TEST_ASSERT_EQUAL(info_of(pool).n_out, MANY, "out");
	TEST_ASSERT_SUCCESS(put_all(MANY), "put");
	return finish();
}

static int
objects_lie_where_they_were_asked_to(void)
{
	static const struct dmamap_pool_conf kinds[] = {
		{.obj_size = 64},
		{.obj_size = 16, .align = 16},
		{.obj_size = 1},
		{.obj_size = 4096, .align = 4096, .boundary = 4096},
		{.obj_size = 24, .align = 8, .boundary = 64},
		{.obj_size = 3000, .boundary = 4096},
		{.obj_size = 100, .align = 256, .boundary = 128},
		{.obj_size = 1500, .boundary = 65536, .flags = DMAMAP_LOW32},
		{.obj_size = 192, .boundary = UINT64_C(1) << 32},
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(kinds); i++)
		TEST_ASSERT_SUCCESS(check_kind(&kinds[i]), "kind %u", i);
	return 0;
}

static int
nonsense_is_refused(void)
{
	static const struct dmamap_pool_conf bad[] = {
		{.obj_size = 0},
		{.obj_size = SIZE_MAX},
		{.obj_size = 8, .align = 3},
		{.obj_size = 8, .align = SIZE_MAX / 2 + 1},
		{.obj_size = 8, .boundary = 4},
		{.obj_size = 8, .boundary = 24},
		{.obj_size = 8, .flags = DMAMAP_FIXED},
		{.obj_size = 8, .initial = 9, .max = 8},
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(bad); i++)
		TEST_ASSERT_EQUAL(dmamap_pool_create(c, &bad[i], &pool), -EINVAL, "%u", i);
	TEST_ASSERT_EQUAL(dmamap_pool_create(NULL, &bad[0], &pool), -EINVAL, "no container");
	TEST_ASSERT_EQUAL(dmamap_pool_create(c, NULL, &pool), -EINVAL, "no conf");
	TEST_ASSERT_EQUAL(dmamap_pool_get(NULL, &va[0], &iova[0]), -EINVAL, "get");
	TEST_ASSERT_EQUAL(dmamap_pool_put(NULL, buf), -EINVAL, "put");
	TEST_ASSERT_SUCCESS(dmamap_pool_destroy(NULL), "destroy");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "mappings");
	return 0;
}

static int
an_entry_is_a_zone_and_not_an_object(void)
{
	const struct dmamap_pool_conf conf = {.obj_size = 4096, .align = 4096};
	struct dmamap_pool_info info;

	TEST_ASSERT_SUCCESS(make(&conf), "make");
	TEST_ASSERT_SUCCESS(get_all(MANY), "get");
	info = info_of(pool);
	TEST_ASSERT(info.n_zones <= 9, "%u zones of %u objects", info.n_zones, MANY);
	TEST_ASSERT_EQUAL(machine_info().n_mappings, info.n_zones, "mappings");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_MAP), info.n_zones, "map calls");
	TEST_ASSERT_EQUAL(info.len, info.n_objs * 4096, "bytes");
	TEST_ASSERT_SUCCESS(put_all(MANY), "put");
	/* Zones are not freed by put, and free objects are used again. */
	TEST_ASSERT_SUCCESS(get_all(MANY), "get again");
	TEST_ASSERT_EQUAL(vfio_mock_calls(mock, VFIO_MOCK_MAP), info.n_zones, "map calls");
	TEST_ASSERT_SUCCESS(put_all(MANY), "put");
	return finish();
}

static int
get_and_put(void)
{
	unsigned int i, round;

	for (round = 0; round < 10; round++) {
		for (i = 0; i < 100; i++)
			if (dmamap_pool_get(pool, &va[i], &iova[i]) < 0)
				return -2;
		for (i = 0; i < 100; i++)
			if (dmamap_pool_put(pool, va[i]) < 0)
				return -3;
	}
	return 0;
}

static int
grow(void)
{
	return dmamap_pool_get(pool, &va[0], &iova[0]);
}

static int
no_system_call_while_one_is_free(void)
{
	const struct dmamap_pool_conf conf = {.obj_size = 64, .initial = 100, .zero = true};

	if (QUIET_CANNOT_TELL)
		return test_skip("a sanitizer makes system calls");
	TEST_ASSERT_SUCCESS(make(&conf), "make");
	TEST_ASSERT_SUCCESS(quiet_run(get_and_put), "a system call");
	TEST_ASSERT_SUCCESS(finish(), "finish");
	/*
	 * Cross-check: growing a pool makes a system call. The thread is ended while it holds the
	 * pool's lock.
	 */
	TEST_ASSERT_SUCCESS(make(&conf), "make");
	TEST_ASSERT_SUCCESS(get_all(info_of(pool).n_objs), "all");
	TEST_ASSERT_EQUAL(quiet_run(grow), -1, "it grew without a system call");
	/* That lock must not be used again, so container and machine are leaked. */
	return 0;
}

static int
it_ends_at_its_limit(void)
{
	const struct dmamap_pool_conf conf = {
		.obj_size = 64, .initial = 3, .max = 2000, .zero = true};
	const char *said;
	int rc;

	TEST_ASSERT_SUCCESS(make(&conf), "make");
	TEST_ASSERT_SUCCESS(get_all(2000), "get");
	test_log_begin();
	rc = dmamap_pool_get(pool, &va[2000], &iova[2000]);
	said = test_log_end();
	TEST_ASSERT_EQUAL(rc, -ENOSPC, "one more: %d", rc);
	TEST_ASSERT_EQUAL(said[0], '\0', "a driver that polls would fill the log: %s", said);
	TEST_ASSERT_EQUAL(info_of(pool).n_objs, 2000, "objects");
	memset(va[77], 1, 64);
	TEST_ASSERT_SUCCESS(dmamap_pool_put(pool, va[77]), "put");
	TEST_ASSERT_SUCCESS(dmamap_pool_get(pool, &va[77], &iova[77]), "get");
	TEST_ASSERT(((char *)va[77])[0] == 0 && ((char *)va[77])[63] == 0, "not zeroed");
	TEST_ASSERT_SUCCESS(put_all(2000), "put");
	return finish();
}

static int
a_put_of_no_object_is_refused(void)
{
	/* Two objects in each block of 4096, with a gap after them. */
	const struct dmamap_pool_conf conf = {.obj_size = 1500, .boundary = 4096, .name = "gaps"};
	char *block;
	void *last;
	rte_iova_t at;

	TEST_ASSERT_SUCCESS(make(&conf), "make");
	TEST_ASSERT_SUCCESS(get_all(10), "get");
	block = RTE_PTR_ALIGN_FLOOR(va[0], 4096);
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_pool_put(pool, (char *)va[0] + 1), -EINVAL, "inside an object");
	TEST_ASSERT(test_logged("no object of this pool begins there"), "log");
	TEST_ASSERT_EQUAL(dmamap_pool_put(pool, block + 2 * 1536), -EINVAL, "in a gap");
	TEST_ASSERT_EQUAL(dmamap_pool_put(pool, buf), -EINVAL, "outside");
	TEST_ASSERT_EQUAL(dmamap_pool_put(pool, NULL), -EINVAL, "null");
	TEST_ASSERT_EQUAL(dmamap_pool_put(pool, block - 1), -EINVAL, "before");
	TEST_ASSERT_SUCCESS(dmamap_pool_put(pool, va[3]), "put");
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_pool_put(pool, va[3]), -EINVAL, "twice");
	TEST_ASSERT(test_logged("it is not in use: put each object once"), "log");
	TEST_ASSERT_EQUAL(info_of(pool).n_out, 9, "out");
	/* A double put would let two users get the same object. */
	TEST_ASSERT_SUCCESS(dmamap_pool_get(pool, &va[3], &iova[3]), "get");
	TEST_ASSERT_SUCCESS(dmamap_pool_get(pool, &last, &at), "get");
	TEST_ASSERT(va[3] != last, "one object, two users");
	TEST_ASSERT_SUCCESS(dmamap_pool_put(pool, last), "put");
	TEST_ASSERT_SUCCESS(put_all(10), "put");
	return finish();
}

static int
objects_keep_the_pool_the_pool_keeps_its_container(void)
{
	const struct dmamap_pool_conf conf = {.obj_size = 64, .name = "rings"};

	TEST_ASSERT_SUCCESS(make(&conf), "make");
	TEST_ASSERT_SUCCESS(get_all(3), "get");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(nic), "detach");
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_pool_destroy(pool), -EBUSY, "destroy");
	TEST_ASSERT(test_logged("pool rings: 3 of 1024 objects are in use"), "log");
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_container_destroy(c), -EBUSY, "container");
	TEST_ASSERT(test_logged("rings is still attached"), "log");
	TEST_ASSERT_SUCCESS(put_all(3), "put");
	TEST_ASSERT_EQUAL(dmamap_container_destroy(c), -EBUSY, "container");
	/* The caller's reference is dropped; the pool's is the last one. */
	dmamap_container_get(c);
	dmamap_container_put(c);
	TEST_ASSERT_SUCCESS(dmamap_pool_destroy(pool), "destroy");
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "mappings");
	return 0;
}

static int
a_pool_outlives_its_makers_reference(void)
{
	const struct dmamap_pool_conf conf = {.obj_size = 64};
	const char *name = "short-lived";
	struct dmamap_container_conf made = {.name = name};
	struct dmamap_container *other;

	TEST_ASSERT_SUCCESS(dmamap_container_create(&made, &other), "container");
	TEST_ASSERT_SUCCESS(dmamap_pool_create(other, &conf, &pool), "pool");
	dmamap_container_put(other);
	TEST_ASSERT_SUCCESS(get_all(MANY), "it grows");
	TEST_ASSERT_EQUAL(
		dmamap_va2iova(other, va[MANY - 1]), iova[MANY - 1], "its container is there");
	TEST_ASSERT_SUCCESS(put_all(MANY), "put");
	TEST_ASSERT_SUCCESS(dmamap_pool_destroy(pool), "destroy");
	TEST_ASSERT_NULL(dmamap_container_by_name(name), "the container stays");
	return 0;
}

static int
a_registration_keeps_its_zone(void)
{
	const struct dmamap_pool_conf conf = {.obj_size = 4096, .initial = 16};
	struct dmamap_registration *reg;
	rte_iova_t at;

	TEST_ASSERT_SUCCESS(make(&conf), "make");
	TEST_ASSERT_SUCCESS(get_all(100), "get");
	/* va[0] is in the first zone, so destroy frees the other zones before it fails. */
	TEST_ASSERT_SUCCESS(dmamap_register(c, va[0], 64, DMAMAP_RW, &at, &reg), "register");
	TEST_ASSERT_EQUAL(at, iova[0], "it is mapped already");
	TEST_ASSERT_SUCCESS(put_all(100), "put");
	TEST_ASSERT_EQUAL(dmamap_pool_destroy(pool), -EBUSY, "destroy");
	TEST_ASSERT_EQUAL(info_of(pool).n_zones, 1, "zones");
	TEST_ASSERT_SUCCESS(get_all(MANY), "what is left works on");
	TEST_ASSERT(machine_reaches("nic0", iova[MANY - 1], va[MANY - 1], 4096), "not reached");
	TEST_ASSERT_SUCCESS(put_all(MANY), "put");
	TEST_ASSERT_SUCCESS(dmamap_deregister(reg), "deregister");
	return finish();
}

/**
 * Each call into the kernel fails once. A pool that cannot be made or cannot grow leaves nothing
 * behind.
 */
static int
all_or_nothing(void)
{
	const struct dmamap_pool_conf conf = {.obj_size = 512, .initial = 10};
	unsigned int nth, n, failed = 0;
	int rc;

	nic = machine_attach("nic0");
	for (nth = 1;; nth++) {
		vfio_mock_fail(mock, VFIO_MOCK_ANY, nth, ENOMEM);
		rc = dmamap_pool_create(c, &conf, &pool);
		if (rc < 0) {
			failed++;
			TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "call %u: mappings", nth);
			TEST_ASSERT_EQUAL(vfio_mock_locked(mock), 0, "call %u: pinned", nth);
			continue;
		}
		n = info_of(pool).n_objs;
		TEST_ASSERT_SUCCESS(get_all(n), "get");
		rc = dmamap_pool_get(pool, &va[n], &iova[n]);
		vfio_mock_fail(mock, VFIO_MOCK_ANY, 0, 0);
		if (rc < 0) {
			failed++;
			TEST_ASSERT_EQUAL(info_of(pool).n_zones, 1, "call %u: zones", nth);
			TEST_ASSERT_EQUAL(machine_info().n_mappings, 1, "call %u: mappings", nth);
			TEST_ASSERT_SUCCESS(dmamap_pool_get(pool, &va[n], &iova[n]), "the next");
		}
		TEST_ASSERT_SUCCESS(put_all(n + 1), "put");
		TEST_ASSERT_SUCCESS(dmamap_pool_destroy(pool), "destroy");
		if (rc == 0)
			break;
	}
	TEST_ASSERT(failed >= 2, "%u points failed", failed);
	TEST_ASSERT_EQUAL(machine_info().n_mappings, 0, "mappings");
	return dmamap_container_detach(nic);
}

static int
a_merge_moves_the_pool(void)
{
	const struct dmamap_pool_conf conf = {.obj_size = 4096, .name = "along"};
	struct dmamap_container *from = c;

	TEST_ASSERT_SUCCESS(make(&conf), "make");
	TEST_ASSERT_SUCCESS(get_all(10), "get");
	TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "container");
	TEST_ASSERT_SUCCESS(dmamap_container_merge(c, from), "merge");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(from), "destroy");
	TEST_ASSERT(machine_reaches("nic0", iova[9], va[9], 4096), "not reached");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, va[9]), iova[9], "moved");
	TEST_ASSERT_SUCCESS(put_all(10), "put");
	/* New zones are in the device's present container. */
	TEST_ASSERT_SUCCESS(get_all(MANY), "get");
	TEST_ASSERT(machine_reaches("nic0", iova[MANY - 1], va[MANY - 1], 4096), "not reached");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, va[MANY - 1]), iova[MANY - 1], "elsewhere");
	TEST_ASSERT_SUCCESS(put_all(MANY), "put");
	return finish();
}

static int
large_pages_of_an_iommu_are_filled(void)
{
	const struct dmamap_pool_conf conf = {.obj_size = 100};
	struct dmamap_device *coarse = machine_attach("coarse0");

	TEST_ASSERT_NOT_NULL(coarse, "attach");
	TEST_ASSERT_SUCCESS(dmamap_pool_create(c, &conf, &pool), "pool");
	TEST_ASSERT_SUCCESS(get_all(MANY), "get");
	TEST_ASSERT(machine_reaches("coarse0", iova[MANY - 1], va[MANY - 1], 100), "not reached");
	TEST_ASSERT_EQUAL(info_of(pool).len % 65536, 0, "bytes");
	TEST_ASSERT_SUCCESS(put_all(MANY), "put");
	TEST_ASSERT_SUCCESS(dmamap_pool_destroy(pool), "destroy");
	return dmamap_container_detach(coarse);
}

/* Threads */

#define THREADS 4u
#define ROUNDS 3000u
#define HELD 32u

struct worker {
	pthread_t thread;
	unsigned int id;
	int rc;
};

/**
 * Check that each object has one user at a time. Plain accesses, so the thread sanitizer sees
 * races.
 */
static void *
churn(void *arg)
{
	struct worker *w = arg;
	uint64_t *held[HELD] = {0}, mine = 0x1000 + w->id;
	unsigned int i, k, seed = w->id + 1;
	rte_iova_t at;
	void *obj;

	for (i = 0; i < ROUNDS && w->rc == 0; i++) {
		seed = seed * 1103515245 + 12345;
		k = (seed >> 16) % HELD;
		if (held[k] != NULL) {
			if (*held[k] != mine)
				w->rc = -1;
			if (dmamap_pool_put(pool, held[k]) < 0)
				w->rc = -2;
			held[k] = NULL;
			continue;
		}
		if (dmamap_pool_get(pool, &obj, &at) < 0) {
			w->rc = -3;
			break;
		}
		held[k] = obj;
		*held[k] = mine;
	}
	for (k = 0; k < HELD; k++)
		if (held[k] != NULL && dmamap_pool_put(pool, held[k]) < 0)
			w->rc = -4;
	return NULL;
}

static int
run_workers(void *(*run)(void *))
{
	struct worker w[THREADS];
	unsigned int i;
	int rc = 0;

	for (i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.id = i};
		TEST_ASSERT_SUCCESS(pthread_create(&w[i].thread, NULL, run, &w[i]), "thread");
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		rc = w[i].rc != 0 ? w[i].rc : rc;
	}
	return rc;
}

static int
threads_get_objects_of_their_own(void)
{
	/* Few objects at first, so that threads grow the pool concurrently. */
	const struct dmamap_pool_conf conf = {.obj_size = 4096, .initial = 1};
	unsigned int round;

	for (round = 0; round < 5; round++) {
		TEST_ASSERT_SUCCESS(make(&conf), "make");
		TEST_ASSERT_SUCCESS(run_workers(churn), "round %u", round);
		TEST_ASSERT_EQUAL(info_of(pool).n_out, 0, "out");
		TEST_ASSERT_SUCCESS(finish(), "finish");
	}
	return 0;
}

static void *
merger(void *arg)
{
	struct dmamap_container *from = arg;

	return (void *)(intptr_t)dmamap_container_merge(c, from);
}

/** Objects that are allocated during a merge of their container are reached by the device. */
static int
a_merge_may_come_at_any_time(void)
{
	const struct dmamap_pool_conf conf = {.obj_size = 4096};
	struct dmamap_container *from;
	unsigned int round, i;
	pthread_t thread;
	void *rc;

	for (round = 0; round < 20; round++) {
		from = c;
		TEST_ASSERT_SUCCESS(make(&conf), "make");
		TEST_ASSERT_SUCCESS(machine_make_container(DMAMAP_SHARE), "container");
		TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, merger, from), "thread");
		TEST_ASSERT_SUCCESS(get_all(300), "get");
		pthread_join(thread, &rc);
		TEST_ASSERT_NULL(rc, "merge: %" PRIdPTR, (intptr_t)rc);
		for (i = 0; i < 300; i++)
			TEST_ASSERT(machine_reaches("nic0", iova[i], va[i], 4096),
				"round %u: object %u", round, i);
		TEST_ASSERT_SUCCESS(put_all(300), "put");
		TEST_ASSERT_SUCCESS(dmamap_container_destroy(from), "destroy");
		TEST_ASSERT_SUCCESS(finish(), "finish");
	}
	return 0;
}

/* Without an IOMMU */

static int
hugepages_serve_without_an_iommu(void)
{
	struct dmamap_container_conf made = {.backend = DMAMAP_BACKEND_NOIOMMU};
	struct dmamap_pool_conf conf = {.obj_size = 4096, .align = 4096, .boundary = 4096};
	struct dmamap_container *without;
	struct dm_hugepage_count count;
	unsigned int i;

	if (geteuid() != 0)
		return test_skip("only root may know physical addresses");
	if (dm_hugepage_count(MB2, -1, &count) < 0 || count.free < 4)
		return test_skip("fewer than 4 hugepages of 2 MiB are free");
	TEST_ASSERT_SUCCESS(dmamap_container_create(&made, &without), "container");
	TEST_ASSERT_SUCCESS(dmamap_pool_create(without, &conf, &pool), "pool");
	TEST_ASSERT_SUCCESS(get_all(600), "get");
	for (i = 0; i < 600; i++)
		TEST_ASSERT_EQUAL(dmamap_va2iova(without, va[i]), iova[i], "object %u", i);
	TEST_ASSERT_EQUAL(
		info_of(pool).n_zones, 2, "a zone is a hugepage: %u", info_of(pool).n_zones);
	TEST_ASSERT_SUCCESS(put_all(600), "put");
	TEST_ASSERT_SUCCESS(dmamap_pool_destroy(pool), "destroy");
	return dmamap_container_destroy(without);
}

static const struct test_case cases[] = {
	{"objects lie where they were asked to", objects_lie_where_they_were_asked_to},
	{"nonsense is refused", nonsense_is_refused},
	{"an entry is a zone and not an object", an_entry_is_a_zone_and_not_an_object},
	{"no system call while one is free", no_system_call_while_one_is_free},
	{"it ends at its limit", it_ends_at_its_limit},
	{"a put of no object is refused", a_put_of_no_object_is_refused},
	{"objects keep the pool, the pool keeps its container",
		objects_keep_the_pool_the_pool_keeps_its_container},
	{"a pool outlives its maker's reference", a_pool_outlives_its_makers_reference},
	{"a registration keeps its zone", a_registration_keeps_its_zone},
	{"all or nothing", all_or_nothing},
	{"a merge moves the pool", a_merge_moves_the_pool},
	{"large pages of an IOMMU are filled", large_pages_of_an_iommu_are_filled},
	{"threads get objects of their own", threads_get_objects_of_their_own},
	{"a merge may come at any time", a_merge_may_come_at_any_time},
	{"hugepages serve without an IOMMU", hugepages_serve_without_an_iommu},
};

REGISTER_TEST_SUITE(pool_suite) = {
	.name = "pool",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown,
};
