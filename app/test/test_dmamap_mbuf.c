/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of mbuf pools in zones: each mbuf has the right IOVA, and everything is freed with the
 * pool. Containers without devices are enough, as they have IOVAs and translations without a
 * kernel.
 */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <dmamap.h>
#include <dmamap_mbuf.h>

#include "test.h"

#define N_MBUFS 511
#define ROOM RTE_MBUF_DEFAULT_BUF_SIZE

static struct dmamap_container *c, *other;

static int
setup(void)
{
	TEST_ASSERT_SUCCESS(
		dmamap_container_create(&(struct dmamap_container_conf){.name = "mbuf"}, &c),
		"container");
	TEST_ASSERT_SUCCESS(dmamap_container_create(
				    &(struct dmamap_container_conf){.name = "mbuf-other"}, &other),
		"container");
	return 0;
}

static void
teardown(void)
{
	dmamap_container_destroy(other);
	dmamap_container_destroy(c);
}

static uint64_t
mapped(const struct dmamap_container *which)
{
	struct dmamap_container_info info;

	return dmamap_container_info(which, &info) == 0 ? info.n_mappings : UINT64_MAX;
}

struct iova_check {
	const struct dmamap_container *c;
	unsigned int seen, wrong;
};

static void
check_mbuf(struct rte_mempool *mp, void *arg, void *obj, unsigned int index)
{
	struct iova_check *check = arg;
	struct rte_mbuf *m = obj;
	char *last = (char *)m->buf_addr + m->buf_len - 1;

	check->seen++;
	if (dmamap_va2iova(check->c, m->buf_addr) != rte_mbuf_iova_get(m) ||
		dmamap_va2iova(check->c, last) != rte_mbuf_iova_get(m) + m->buf_len - 1 ||
		dmamap_iova2va(check->c, rte_mbuf_iova_get(m)) != m->buf_addr)
		check->wrong++;
}

static int
test_iovas(void)
{
	struct iova_check check = {.c = c};
	struct rte_mempool *mp;

	mp = dmamap_pktmbuf_pool_create(c, "iovas", N_MBUFS, 32, 64, ROOM, SOCKET_ID_ANY);
	TEST_ASSERT_NOT_NULL(mp, "no pool: %s", rte_strerror(rte_errno));
	TEST_ASSERT_EQUAL(mp->size, N_MBUFS, "size");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(mp), N_MBUFS, "not full");
	TEST_ASSERT_EQUAL(rte_pktmbuf_data_room_size(mp), ROOM, "data room");
	TEST_ASSERT_EQUAL(rte_pktmbuf_priv_size(mp), 64, "private area");
	rte_mempool_obj_iter(mp, check_mbuf, &check);
	TEST_ASSERT_EQUAL(check.seen, N_MBUFS, "%u of the mbufs seen", check.seen);
	TEST_ASSERT_EQUAL(check.wrong, 0, "%u mbufs with a wrong IOVA", check.wrong);
	rte_mempool_free(mp);
	return TEST_SUCCESS;
}

static int
test_use(void)
{
	struct rte_mbuf *m[N_MBUFS + 1];
	struct rte_mempool *mp;
	unsigned int i;

	mp = dmamap_pktmbuf_pool_create(c, "use", N_MBUFS, 0, 0, ROOM, SOCKET_ID_ANY);
	TEST_ASSERT_NOT_NULL(mp, "no pool: %s", rte_strerror(rte_errno));
	for (i = 0; i < N_MBUFS; i++) {
		m[i] = rte_pktmbuf_alloc(mp);
		TEST_ASSERT_NOT_NULL(m[i], "mbuf %u", i);
		TEST_ASSERT_SUCCESS(rte_mbuf_check(m[i], 1, &(const char *){NULL}), "mbuf %u", i);
		TEST_ASSERT_NOT_NULL(rte_pktmbuf_append(m[i], ROOM - RTE_PKTMBUF_HEADROOM), "room");
		memset(rte_pktmbuf_mtod(m[i], void *), i, m[i]->data_len);
	}
	TEST_ASSERT_NULL(rte_pktmbuf_alloc(mp), "more mbufs than there are");
	for (i = 0; i < N_MBUFS; i++) {
		const uint8_t *data = rte_pktmbuf_mtod(m[i], uint8_t *);

		TEST_ASSERT(data[0] == (uint8_t)i && data[m[i]->data_len - 1] == (uint8_t)i,
			"mbuf %u was overwritten", i);
	}
	rte_pktmbuf_free_bulk(m, N_MBUFS);
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(mp), N_MBUFS, "not all came back");
	rte_mempool_free(mp);
	return TEST_SUCCESS;
}

static void
count_crossing(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	uintptr_t first = (uintptr_t)obj, last = first + mp->elt_size - 1;

	*(unsigned int *)arg += first >> 21 != last >> 21;
}

/*
 * The zone is filled to its end, with whole objects on each page, whatever page size the EAL
 * assumes.
 */
static int
test_density(void)
{
	unsigned int crossing;

	static const unsigned int sizes[] = {1, 2, 1000, 1720, 1722, 3000, 4095};
	struct rte_mempool *mp;
	unsigned int i;

	for (i = 0; i < RTE_DIM(sizes); i++) {
		mp = dmamap_pktmbuf_pool_create(c, "density", sizes[i], 0, 0, ROOM, SOCKET_ID_ANY);
		TEST_ASSERT_NOT_NULL(mp, "%u mbufs: %s", sizes[i], rte_strerror(rte_errno));
		TEST_ASSERT_EQUAL(
			mp->populated_size, sizes[i], "%u of %u", mp->populated_size, sizes[i]);
		TEST_ASSERT(!(mp->flags & (RTE_MEMPOOL_F_NO_IOVA_CONTIG | RTE_MEMPOOL_F_NON_IO)),
			"it does not say that it is for devices: %x", mp->flags);
		crossing = 0;
		rte_mempool_obj_iter(mp, count_crossing, &crossing);
		TEST_ASSERT_EQUAL(
			crossing, 0, "%u of %u mbufs lie on two pages", crossing, sizes[i]);
		rte_mempool_free(mp);
	}
	return TEST_SUCCESS;
}

static int
test_gone(void)
{
	struct rte_mempool *mp;
	unsigned int round;

	for (round = 0; round < 3; round++) {
		mp = dmamap_pktmbuf_pool_create(c, "gone", N_MBUFS, 32, 0, ROOM, SOCKET_ID_ANY);
		TEST_ASSERT_NOT_NULL(mp, "round %u: %s", round, rte_strerror(rte_errno));
		TEST_ASSERT_EQUAL(mapped(c), 1, "a pool is one mapping");
		rte_mempool_free(mp);
		TEST_ASSERT_EQUAL(mapped(c), 0, "the zone outlived its pool");
	}
	return TEST_SUCCESS;
}

static int
test_share(void)
{
	struct iova_check check = {.c = other};
	struct rte_mempool *mp, *before;

	/*
	 * Map something else first, so that the pool is not at the address where a new container
	 * would place it.
	 */
	before = dmamap_pktmbuf_pool_create(c, "before", 1, 0, 0, ROOM, SOCKET_ID_ANY);
	TEST_ASSERT_NOT_NULL(before, "no pool: %s", rte_strerror(rte_errno));
	mp = dmamap_pktmbuf_pool_create(c, "share", N_MBUFS, 32, 0, ROOM, SOCKET_ID_ANY);
	TEST_ASSERT_NOT_NULL(mp, "no pool: %s", rte_strerror(rte_errno));
	TEST_ASSERT_SUCCESS(dmamap_pktmbuf_pool_share(mp, other), "share");
	rte_mempool_obj_iter(mp, check_mbuf, &check);
	TEST_ASSERT_EQUAL(check.seen, N_MBUFS, "%u of the mbufs seen", check.seen);
	TEST_ASSERT_EQUAL(check.wrong, 0, "%u mbufs with a wrong IOVA", check.wrong);

	/* The first container's addresses are now used in the other one. */
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_pktmbuf_pool_share(mp, other), -EEXIST, "shared twice");
	TEST_ASSERT_NOT_NULL(strstr(test_log_end(), "pool share cannot be shared"), "no line");

	TEST_ASSERT_SUCCESS(dmamap_pktmbuf_pool_unshare(mp, other), "unshare");
	TEST_ASSERT_EQUAL(mapped(other), 0, "still mapped");
	TEST_ASSERT_EQUAL(dmamap_pktmbuf_pool_unshare(mp, other), -ENOENT, "unshared twice");
	TEST_ASSERT_EQUAL(mapped(c), 2, "its own container lost it");
	rte_mempool_free(before);
	rte_mempool_free(mp);
	return TEST_SUCCESS;
}

static int
test_refusals(void)
{
	static const struct {
		const char *name;
		uint16_t priv, room;
		unsigned int cache;
		int error;
	} cases[] = {
		{NULL, 0, ROOM, 0, EINVAL},
		{"refused", 1, ROOM, 0, EINVAL},
		{"refused", 0, RTE_PKTMBUF_HEADROOM - 1, 0, EINVAL},
		{"refused", 0, ROOM, N_MBUFS * 2, EINVAL},
		{"a name that is longer than any mempool can have", 0, ROOM, 0, ENAMETOOLONG},
		{"taken", 0, ROOM, 0, EEXIST},
	};
	struct rte_mempool *mp, *plain;
	unsigned int i;

	mp = dmamap_pktmbuf_pool_create(c, "taken", N_MBUFS, 0, 0, ROOM, SOCKET_ID_ANY);
	TEST_ASSERT_NOT_NULL(mp, "no pool: %s", rte_strerror(rte_errno));
	for (i = 0; i < RTE_DIM(cases); i++) {
		test_log_begin();
		TEST_ASSERT_NULL(
			dmamap_pktmbuf_pool_create(c, cases[i].name, N_MBUFS, cases[i].cache,
				cases[i].priv, cases[i].room, SOCKET_ID_ANY),
			"case %u", i);
		TEST_ASSERT_EQUAL(
			rte_errno, cases[i].error, "case %u: %s", i, rte_strerror(rte_errno));
		TEST_ASSERT_NOT_NULL(
			strstr(test_log_end(), "dmamap_mbuf: "), "case %u: no line", i);
		TEST_ASSERT_EQUAL(mapped(c), 1, "case %u left something behind", i);
	}
	TEST_ASSERT_NULL(
		dmamap_pktmbuf_pool_create(NULL, "none", N_MBUFS, 0, 0, ROOM, SOCKET_ID_ANY),
		"without a container");

	plain = rte_pktmbuf_pool_create("plain", N_MBUFS, 0, 0, ROOM, SOCKET_ID_ANY);
	TEST_ASSERT_NOT_NULL(plain, "plain pool");
	TEST_ASSERT_EQUAL(dmamap_pktmbuf_pool_share(plain, other), -EINVAL, "a plain pool shared");
	TEST_ASSERT_EQUAL(dmamap_pktmbuf_pool_unshare(plain, other), -EINVAL, "and unshared");
	TEST_ASSERT_EQUAL(dmamap_pktmbuf_pool_share(mp, NULL), -EINVAL, "shared with nobody");
	rte_mempool_free(plain);
	rte_mempool_free(mp);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"each mbuf carries the IOVA of its buffer", test_iovas},
	{"all buffers can be used and do not overlap", test_use},
	{"pages are filled with whole mbufs", test_density},
	{"the zone goes with the pool", test_gone},
	{"a pool is shared at the same IOVAs, or not at all", test_share},
	{"bad arguments are refused and leave nothing behind", test_refusals},
};

REGISTER_TEST_SUITE(dmamap_mbuf) = {
	.name = "dmamap_mbuf",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
