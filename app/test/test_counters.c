/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the counters of a container: each refusal is counted once, by its reason, each call is
 * timed once, and no count is lost when many threads count.
 */

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include <rte_common.h>

#include <dm_container.h>

#include "machine.h"
#include "test.h"

#define THREADS 4u
#define ROUNDS 200u
#define COUNTS 200000u

static uint64_t
refused(enum dm_op op, const char *reason)
{
	unsigned int i;

	for (i = 0; i < DM_REASONS; i++)
		if (strcmp(dm_reason_name(i), reason) == 0)
			return c->counters.refused[op][i];
	return UINT64_MAX;
}

/** Refusals of all kinds. */
static uint64_t
refused_all(void)
{
	uint64_t sum = 0;
	unsigned int op, i;

	for (op = 0; op < DM_OP_COUNT; op++)
		for (i = 0; i < DM_REASONS; i++)
			sum += c->counters.refused[op][i];
	return sum;
}

static uint64_t
timed(enum dm_timed what)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < DM_TIME_BUCKETS; i++)
		sum += c->counters.time[what].bucket[i];
	return sum;
}

static int
refusals_are_counted_by_reason(void)
{
	const struct dmamap_zone_conf conf = {.len = 0, .name = "empty"};
	const struct dmamap_sge sge = {.va = buf + 1, .len = KB4};
	dmamap_iova_t iova = 0x10000000, other = 0x10000000;
	struct dmamap_device *nic = machine_attach("nic0"), *dev;
	struct dmamap_registration *reg;
	struct dmamap_zone *zone;

	TEST_ASSERT_NOT_NULL(nic, "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW | DMAMAP_FIXED, &iova), "map");
	TEST_ASSERT_EQUAL(refused_all(), 0, "nothing was refused");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf + KB4, KB4, DMAMAP_RW | DMAMAP_FIXED, &other), -EEXIST,
		"map twice");
	TEST_ASSERT_EQUAL(dmamap_map_sg(c, &sge, 1, DMAMAP_RW, &other), -EINVAL, "odd list");
	TEST_ASSERT_EQUAL(dmamap_map(c, buf + 1, KB4, DMAMAP_RW, &other), -EINVAL, "odd address");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova + KB4, KB4), -ENOENT, "unmap");
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, 0), -EINVAL, "unmap of nothing");
	TEST_ASSERT_EQUAL(dmamap_container_attach(c, "nic0", &dev), -EALREADY, "attach twice");
	TEST_ASSERT_EQUAL(dmamap_container_attach(c, NULL, &dev), -EINVAL, "attach of nothing");
	TEST_ASSERT_EQUAL(
		dmamap_iova_reserve(c, MB2, 0, (struct dmamap_range){iova, iova + KB4 - 1}, &other),
		-ENOSPC, "reserve");
	TEST_ASSERT_EQUAL(dmamap_register(c, buf, KB4, 0, &other, &reg), -EINVAL, "register");
	TEST_ASSERT(dmamap_zone_alloc(c, &conf, &zone) < 0, "zone");
	TEST_ASSERT_EQUAL(dmamap_map(NULL, buf, KB4, DMAMAP_RW, &other), -EINVAL, "no container");

	TEST_ASSERT_EQUAL(refused(DM_OP_MAP, "EEXIST"), 1, "map twice");
	TEST_ASSERT_EQUAL(refused(DM_OP_MAP, "EINVAL"), 2, "odd address and list");
	TEST_ASSERT_EQUAL(refused(DM_OP_UNMAP, "ENOENT"), 1, "unmap");
	TEST_ASSERT_EQUAL(refused(DM_OP_UNMAP, "EINVAL"), 1, "unmap of nothing");
	TEST_ASSERT_EQUAL(refused(DM_OP_ATTACH, "EALREADY"), 1, "attach twice");
	TEST_ASSERT_EQUAL(refused(DM_OP_ATTACH, "EINVAL"), 1, "attach of nothing");
	TEST_ASSERT_EQUAL(refused(DM_OP_RESERVE, "ENOSPC"), 1, "reserve");
	TEST_ASSERT_EQUAL(refused(DM_OP_REGISTER, "EINVAL"), 1, "register");
	TEST_ASSERT_EQUAL(refused(DM_OP_ZONE, "EINVAL"), 1, "zone");
	TEST_ASSERT_EQUAL(refused_all(), 10, "each once");
	return dmamap_container_detach(nic);
}

static int
an_odd_errno_is_another_reason(void)
{
	dm_refused_count(&c->counters, DM_OP_MAP, -ETIMEDOUT);
	TEST_ASSERT_EQUAL(refused(DM_OP_MAP, "other"), 1, "other");
	TEST_ASSERT_EQUAL(refused_all(), 1, "once");
	return TEST_SUCCESS;
}

static int
refusals_of_the_kernel_are_counted(void)
{
	const struct dmamap_sge sge = {.va = buf + MB2, .len = KB4};
	struct dmamap_registration *reg;
	struct dmamap_device *nic = machine_attach("nic0");
	dmamap_iova_t iova, other;

	TEST_ASSERT_NOT_NULL(nic, "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &iova), "map");
	vfio_mock_fail(mock, UINT32_C(1) << VFIO_MOCK_MAP, 1, ENOMEM);
	TEST_ASSERT_EQUAL(dmamap_map(c, buf + MB2, KB4, DMAMAP_RW, &other), -ENOMEM, "map");
	vfio_mock_fail(mock, UINT32_C(1) << VFIO_MOCK_UNMAP, 1, EFAULT);
	TEST_ASSERT_EQUAL(dmamap_unmap(c, iova, KB4), -EFAULT, "unmap");
	vfio_mock_fail(mock, UINT32_C(1) << VFIO_MOCK_MAP, 1, ENOMEM);
	TEST_ASSERT_EQUAL(dmamap_map_sg(c, &sge, 1, DMAMAP_RW, &other), -ENOMEM, "list");
	TEST_ASSERT_EQUAL(refused(DM_OP_MAP, "ENOMEM"), 2, "map and list");
	vfio_mock_fail(mock, UINT32_C(1) << VFIO_MOCK_MAP, 1, ENOMEM);
	TEST_ASSERT_EQUAL(
		dmamap_register(c, buf + MB2, KB4, DMAMAP_RW, &other, &reg), -ENOMEM, "register");
	TEST_ASSERT_EQUAL(refused(DM_OP_REGISTER, "ENOMEM"), 1, "register");
	TEST_ASSERT_EQUAL(refused(DM_OP_UNMAP, "EFAULT"), 1, "unmap");
	TEST_ASSERT_EQUAL(refused_all(), 4, "each once");
	TEST_ASSERT_EQUAL(timed(DM_TIME_KERNEL_MAP), 4, "refused calls are timed too");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	return dmamap_container_detach(nic);
}

static int
each_call_is_timed_once(void)
{
	struct dmamap_device *nic, *odd;
	struct dmamap_container_info info;
	struct dmamap_registration *reg, *hit;
	struct timespec before, after;
	dmamap_iova_t iova, at;
	uint64_t ns, call;

	clock_gettime(CLOCK_MONOTONIC, &before);
	nic = machine_attach("nic0");
	odd = machine_attach("odd0");
	TEST_ASSERT(nic != NULL && odd != NULL, "attach");
	TEST_ASSERT_SUCCESS(dmamap_map(c, buf, KB4, DMAMAP_RW, &iova), "map");
	TEST_ASSERT_SUCCESS(dmamap_register(c, buf + MB2, KB4, DMAMAP_RW, &at, &reg), "miss");
	TEST_ASSERT_EQUAL(timed(DM_TIME_MAP), 2, "a miss maps");
	TEST_ASSERT_SUCCESS(dmamap_register(c, buf + MB2, KB4, DMAMAP_RW, &at, &hit), "hit");
	TEST_ASSERT_EQUAL(timed(DM_TIME_MAP), 2, "a hit does not");
	TEST_ASSERT_SUCCESS(dmamap_deregister(hit), "deregister");
	TEST_ASSERT_SUCCESS(dmamap_unmap(c, iova, KB4), "unmap");
	clock_gettime(CLOCK_MONOTONIC, &after);

	info = machine_info();
	TEST_ASSERT_EQUAL(timed(DM_TIME_ATTACH), 2, "attaches");
	TEST_ASSERT(timed(DM_TIME_KERNEL_ATTACH) >= 2, "attaches by the kernel");
	TEST_ASSERT_EQUAL(timed(DM_TIME_UNMAP), 1, "unmaps");
	TEST_ASSERT_EQUAL(timed(DM_TIME_KERNEL_MAP), info.map_calls, "maps by the kernel");
	TEST_ASSERT_EQUAL(timed(DM_TIME_KERNEL_UNMAP), info.unmap_calls, "unmaps by the kernel");
	TEST_ASSERT_EQUAL(info.map_calls, 2 * info.n_domains, "of each domain");

	ns = (after.tv_sec - before.tv_sec) * UINT64_C(1000000000) + after.tv_nsec - before.tv_nsec;
	call = c->counters.time[DM_TIME_MAP].sum_ns;
	TEST_ASSERT(c->counters.time[DM_TIME_KERNEL_MAP].sum_ns <= call && call > 0,
		"the kernel's part of a map: %lu of %lu ns",
		c->counters.time[DM_TIME_KERNEL_MAP].sum_ns, call);
	call += c->counters.time[DM_TIME_UNMAP].sum_ns + c->counters.time[DM_TIME_ATTACH].sum_ns;
	/* Two clocks. */
	TEST_ASSERT(call <= ns + ns / 20 + 1000, "%lu of %lu ns", call, ns);
	TEST_ASSERT_SUCCESS(dmamap_deregister(reg), "deregister");
	TEST_ASSERT_SUCCESS(dmamap_container_detach(odd), "detach");
	return dmamap_container_detach(nic);
}

static int
buckets_have_inclusive_ends(void)
{
	static const struct {
		uint64_t ns;
		unsigned int bucket;
	} of[] = {{0, 0}, {1, 0}, {256, 0}, {257, 1}, {512, 1}, {513, 2}, {1u << 20, 12},
		{(1u << 20) + 1, 13}, {UINT64_C(1) << 34, 26}, {(UINT64_C(1) << 34) + 1, 27},
		{UINT64_MAX, 27}};
	unsigned int i;

	for (i = 0; i < RTE_DIM(of); i++)
		TEST_ASSERT_EQUAL(dm_time_bucket(of[i].ns), of[i].bucket, "%lu ns", of[i].ns);
	return TEST_SUCCESS;
}

/** The clock tells what another clock tells. */
static int
a_pause_is_in_its_bucket(void)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	const uint64_t begin = dm_time_begin();
	uint64_t ns;

	nanosleep(&pause, NULL);
	dm_time_end(&c->counters, DM_TIME_ATTACH, begin);
	ns = c->counters.time[DM_TIME_ATTACH].sum_ns;
	TEST_ASSERT(ns >= 19000000 && ns < 2000000000, "%lu ns", ns);
	TEST_ASSERT_EQUAL(c->counters.time[DM_TIME_ATTACH].bucket[dm_time_bucket(ns)], 1, "once");
	/* Clocks of two CPUs may differ: an end before the begin is no time at all. */
	dm_time_end(&c->counters, DM_TIME_ATTACH, UINT64_MAX);
	TEST_ASSERT_EQUAL(c->counters.time[DM_TIME_ATTACH].sum_ns, ns, "the end was before");
	TEST_ASSERT_EQUAL(c->counters.time[DM_TIME_ATTACH].bucket[0], 1, "0 ns");
	return TEST_SUCCESS;
}

static void *
count_in_thread(void *arg)
{
	char *at = buf + (uintptr_t)arg * MB2 / 2;
	dmamap_iova_t iova;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		if (dmamap_map(c, at, KB4, DMAMAP_RW, &iova) < 0 || dmamap_unmap(c, iova, KB4) < 0)
			return "failed";
		/* Each of these logs a line. */
		if (i % 100 == 0 && dmamap_map(c, at, 1, DMAMAP_RW, &iova) != -EINVAL)
			return "not refused";
	}
	return NULL;
}

/** Nothing but counting, so that threads meet. */
static void *
only_count_in_thread(void *arg)
{
	unsigned int i;

	for (i = 0; i < COUNTS; i++) {
		dm_refused_count(&c->counters, DM_OP_ZONE, -EIO);
		dm_time_end(&c->counters, DM_TIME_ATTACH, UINT64_MAX);
	}
	return NULL;
}

static int
no_count_is_lost_without_locks(void)
{
	pthread_t thread[THREADS];
	unsigned int i;

	for (i = 0; i < THREADS; i++)
		TEST_ASSERT_SUCCESS(
			pthread_create(&thread[i], NULL, only_count_in_thread, NULL), "thread");
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	TEST_ASSERT_EQUAL(refused(DM_OP_ZONE, "EIO"), THREADS * COUNTS, "refusals");
	TEST_ASSERT_EQUAL(c->counters.time[DM_TIME_ATTACH].bucket[0], THREADS * COUNTS, "times");
	return TEST_SUCCESS;
}

static int
no_count_is_lost_among_threads(void)
{
	struct dmamap_device *nic = machine_attach("nic0");
	pthread_t thread[THREADS];
	void *failed, *any = NULL;
	unsigned int i;

	TEST_ASSERT_NOT_NULL(nic, "attach");
	for (i = 0; i < THREADS; i++)
		TEST_ASSERT_SUCCESS(
			pthread_create(&thread[i], NULL, count_in_thread, (void *)(uintptr_t)i),
			"thread");
	for (i = 0; i < THREADS; i++) {
		pthread_join(thread[i], &failed);
		any = failed != NULL ? failed : any;
	}
	TEST_ASSERT_NULL(any, "a thread");
	TEST_ASSERT_EQUAL(timed(DM_TIME_MAP), THREADS * ROUNDS, "maps");
	TEST_ASSERT_EQUAL(timed(DM_TIME_UNMAP), THREADS * ROUNDS, "unmaps");
	TEST_ASSERT_EQUAL(timed(DM_TIME_KERNEL_MAP), THREADS * ROUNDS, "by the kernel");
	TEST_ASSERT_EQUAL(refused(DM_OP_MAP, "EINVAL"), THREADS * (ROUNDS / 100), "refusals");
	return dmamap_container_detach(nic);
}

static const struct test_case cases[] = {
	{"refusals are counted by reason", refusals_are_counted_by_reason},
	{"an odd errno is another reason", an_odd_errno_is_another_reason},
	{"refusals of the kernel are counted", refusals_of_the_kernel_are_counted},
	{"each call is timed once", each_call_is_timed_once},
	{"buckets have inclusive ends", buckets_have_inclusive_ends},
	{"a pause is in its bucket", a_pause_is_in_its_bucket},
	{"no count is lost without locks", no_count_is_lost_without_locks},
	{"no count is lost among threads", no_count_is_lost_among_threads},
};

REGISTER_TEST_SUITE(counters) = {.name = "counters",
	.kind = TEST_FAST,
	.setup = machine_setup,
	.teardown = machine_teardown,
	.cases = cases,
	.n_cases = RTE_DIM(cases)};
