/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of lock-free readers: what translations return in other threads while mappings come and
 * go. On the mock kernel.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include <rte_rcu_qsbr.h>

#include "dm_container.h"
#include "machine.h"
#include "test.h"

/* A reader that translates addresses which a writer maps and unmaps. */
struct reader {
	struct rte_rcu_qsbr *rcu;
	unsigned int id;
	bool stop;
	uint64_t seen, wrong;
};

static void *
read_all_the_time(void *arg)
{
	struct reader *r = arg;
	rte_iova_t iova;

	rte_rcu_qsbr_thread_online(r->rcu, r->id);
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		iova = dmamap_va2iova(c, buf + KB4);
		if (iova != RTE_BAD_IOVA) {
			r->seen++;
			r->wrong += iova % MB2 != KB4;
		}
		rte_rcu_qsbr_quiescent(r->rcu, r->id);
	}
	rte_rcu_qsbr_thread_offline(r->rcu, r->id);
	return NULL;
}

static int
readers_see_a_mapping_whole_or_none(void)
{
	struct dmamap_container_conf conf = {
		.name = "rcu", .backend = DMAMAP_BACKEND_TYPE1, .kernel = vfio_mock_kernel(mock)};
	size_t size = rte_rcu_qsbr_get_memsize(2);
	struct rte_rcu_qsbr *rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	struct reader r = {.rcu = rcu};
	struct dmamap_device *d;
	rte_iova_t iova = 0;
	pthread_t thread;
	unsigned int i;

	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_init(rcu, 2), "rcu");
	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_thread_register(rcu, 0), "register");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	conf.rcu = rcu;
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	d = machine_attach("nic0");
	TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, read_all_the_time, &r), "thread");
	for (i = 0; i < 500 || (__atomic_load_n(&r.seen, __ATOMIC_RELAXED) == 0 && i < 10000000);
		i++) {
		TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW, &iova), "map");
		TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, MB2), "unmap");
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	TEST_ASSERT_EQUAL(r.wrong, 0, "%" PRIu64 " wrong answers", r.wrong);
	TEST_ASSERT(r.seen > 0, "the reader never saw the mapping");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	free(rcu);
	return machine_make_container(DMAMAP_SHARE);
}

/* An unmap in its own thread, and the order that its client callback saw. */
struct late_unmap {
	rte_iova_t iova;
	bool reader_done; /**< set by the reader before it reports its quiescent state */
	bool in_order; /**< whether it was set when the unmap called the clients */
	int rc;
};

static void
note_order(void *arg, struct dmamap_range range)
{
	struct late_unmap *u = arg;

	u->in_order = __atomic_load_n(&u->reader_done, __ATOMIC_ACQUIRE);
}

static void *
unmap_late(void *arg)
{
	struct late_unmap *u = arg;

	u->rc = dmamap_unmap(c, u->iova, MB2);
	return NULL;
}

static int
nothing_is_unmapped_before_readers_are_quiescent(void)
{
	struct dmamap_container_conf conf = {
		.backend = DMAMAP_BACKEND_TYPE1, .kernel = vfio_mock_kernel(mock)};
	struct rte_rcu_qsbr *rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, rte_rcu_qsbr_get_memsize(1));
	struct late_unmap u = {0};
	struct dmamap_client_conf client_conf = {.unmap = note_order, .arg = &u};
	struct dmamap_client *client;
	pthread_t thread;

	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_init(rcu, 1), "rcu");
	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_thread_register(rcu, 0), "register");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	conf.rcu = rcu;
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "create");
	TEST_ASSERT_SUCCESS(dmamap_client_attach(c, &client_conf, &client), "client");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, MB2, DMAMAP_RW, &u.iova), "map");

	rte_rcu_qsbr_thread_online(rcu, 0);
	TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, unmap_late, &u), "thread");
	while (dmamap_va2iova(c, buf) != RTE_BAD_IOVA)
		;
	__atomic_store_n(&u.reader_done, true, __ATOMIC_RELEASE);
	/* Go offline, as the unmap may begin to wait only after a quiescent state was reported. */
	rte_rcu_qsbr_thread_offline(rcu, 0);
	pthread_join(thread, NULL);

	TEST_ASSERT_SUCCESS(u.rc, "unmap");
	TEST_ASSERT(u.in_order, "the unmap went on while a reader could hold the address");
	dmamap_client_detach(client);
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	free(rcu);
	return machine_make_container(DMAMAP_SHARE);
}

/** A reader that reports quiescent states until the mappings are withdrawn, and none afterwards. */
struct holdout {
	struct rte_rcu_qsbr *rcu;
	pthread_t thread;
	bool stop;
};

static void *
hold_out(void *arg)
{
	struct holdout *h = arg;

	while (!__atomic_load_n(&h->stop, __ATOMIC_ACQUIRE))
		rte_rcu_qsbr_quiescent(h->rcu, 0);
	return NULL;
}

static void
stop_being_quiescent(void *arg, struct dmamap_range range)
{
	struct holdout *h = arg;

	__atomic_store_n(&h->stop, true, __ATOMIC_RELEASE);
	pthread_join(h->thread, NULL);
}

/**
 * An unmap is undone, but without memory for the translation's nodes. The memory then counts as not
 * mapped.
 */
static int
an_undone_unmap_may_lose_its_translation(void)
{
	struct dmamap_container_conf conf = {
		.name = "rcu", .backend = DMAMAP_BACKEND_TYPE1, .kernel = vfio_mock_kernel(mock)};
	struct holdout h = {.rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, rte_rcu_qsbr_get_memsize(1))};
	struct dmamap_client_conf client_conf = {.unmap = stop_being_quiescent, .arg = &h};
	struct dmamap_client *client;
	rte_iova_t first = 0, second = 0;
	struct dmamap_device *d;

	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_init(h.rcu, 1), "rcu");
	TEST_ASSERT_SUCCESS(rte_rcu_qsbr_thread_register(h.rcu, 0), "register");
	rte_rcu_qsbr_thread_online(h.rcu, 0);
	conf.rcu = h.rcu;
	TEST_ASSERT_SUCCESS(dmamap_container_create(&conf, &c), "container");
	d = machine_attach("nic0");
	TEST_ASSERT_SUCCESS(dmamap_client_attach(c, &client_conf, &client), "client");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &first), "map");
	TEST_ASSERT_SUCCESS(pthread_create(&h.thread, NULL, hold_out, &h), "thread");
	dm_xlate_limit(c->va2iova, dm_xlate_memory(c->va2iova));
	vfio_mock_fail(mock, 1u << VFIO_MOCK_UNMAP, 1, EINVAL);
	TEST_ASSERT_EQUAL(dmamap_unmap(c, first, KB4), -EINVAL, "unmap");
	dm_xlate_limit(c->va2iova, UINT64_MAX);
	dmamap_client_detach(client);
	rte_rcu_qsbr_thread_offline(h.rcu, 0);

	TEST_ASSERT(machine_reaches("nic0", first, buf, KB4), "not mapped any more");
	TEST_ASSERT_EQUAL(
		dmamap_va2iova(c, buf), RTE_BAD_IOVA, "there was memory: the case is void");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &second), "map again");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, first, KB4), "unmap the first");
	TEST_ASSERT_EQUAL(dmamap_va2iova(c, buf), second, "the second is lost");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, second, KB4), "unmap the second");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(d), "detach");
	TEST_ASSERT_SUCCESS(dmamap_container_destroy(c), "destroy");
	free(h.rcu);
	return machine_make_container(DMAMAP_SHARE);
}

static const struct test_case cases[] = {
	{"readers see a mapping whole, or none", readers_see_a_mapping_whole_or_none},
	{"nothing is unmapped before readers are quiescent",
		nothing_is_unmapped_before_readers_are_quiescent},
	{"an undone unmap may lose its translation", an_undone_unmap_may_lose_its_translation},
};

REGISTER_TEST_SUITE(container_rcu) = {
	.name = "container_rcu",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = machine_setup,
	.teardown = machine_teardown,
};
