/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the edu driver's state machine: it does all transfers, in order, and reports each one
 * correctly. Its BAR is plain memory here, and the test acts as the device: one transfer for each
 * call of device_step().
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>

#include <edu_engine.h>
#include <edu_log.h>

#include "test.h"

#define RAM_LEN 0x10000
#define MASK_BITS 16 /* the device reaches exactly the RAM */

static struct edu_engine engine;
static uint8_t bar[0x100] __rte_aligned(8);
static uint8_t ram[RAM_LEN];
static uint8_t buffer[EDU_BUF_LEN];
static unsigned int n_steps;
static bool broken; /* the device got an invalid request */

static uint64_t *
reg(unsigned int off)
{
	return (uint64_t *)(uintptr_t)&bar[off];
}

/** Do the requested transfer, if there is one. @return whether there was one */
static bool
device_step(void)
{
	const uint64_t src = *reg(EDU_DMA_SRC), dst = *reg(EDU_DMA_DST), n = *reg(EDU_DMA_COUNT);
	const bool to_ram = (*reg(EDU_DMA_CMD) & EDU_CMD_TO_RAM) != 0;
	const uint64_t inside = to_ram ? src : dst, outside = to_ram ? dst : src;

	if ((*reg(EDU_DMA_CMD) & EDU_CMD_RUN) == 0)
		return false;
	n_steps++;
	*reg(EDU_DMA_CMD) &= ~EDU_CMD_RUN;
	if (inside < EDU_BUF || inside - EDU_BUF + n > EDU_BUF_LEN || outside + n > RAM_LEN) {
		broken = true;
		return true;
	}
	if (to_ram)
		memcpy(&ram[outside], &buffer[inside - EDU_BUF], n);
	else
		memcpy(&buffer[inside - EDU_BUF], &ram[outside], n);
	return true;
}

/** Poll until all submitted jobs are complete, with a limit of polls. */
static void
run_all(void)
{
	unsigned int i = 0;

	do {
		edu_engine_poll(&engine);
	} while (device_step() && i++ < 100);
}

static int
setup_engine(void)
{
	unsigned int i;

	memset(&engine, 0, sizeof(engine));
	memset(bar, 0, sizeof(bar));
	memset(buffer, 0, sizeof(buffer));
	for (i = 0; i < RAM_LEN; i++)
		ram[i] = i * 7 + (i >> 8);
	n_steps = 0;
	broken = false;
	engine.bar = bar;
	engine.dma_last = UINT64_MAX >> (64 - MASK_BITS);
	return edu_engine_setup(&engine, 8, RTE_DMA_DIR_MEM_TO_MEM, SOCKET_ID_ANY);
}

static void
teardown_engine(void)
{
	edu_engine_free(&engine);
}

static int
copies_every_length(void)
{
	static const uint32_t lens[] = {
		1, 2, 7, 64, 4031, EDU_CHUNK_LEN, 4033, 4095, 4096, 8064, 8065, 16384, 32768};
	static uint8_t before[RAM_LEN];
	unsigned int i;
	uint32_t len;

	for (i = 0; i < RTE_DIM(lens); i++) {
		len = lens[i];
		memset(&ram[RAM_LEN / 2], 0xee, RAM_LEN / 2);
		memcpy(before, ram, sizeof(ram));
		memcpy(&before[RAM_LEN - len], ram, len);
		n_steps = 0;
		TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 0, RAM_LEN - len, len), (int)i,
			"length %u refused", len);
		edu_engine_submit(&engine);
		run_all();
		TEST_ASSERT(!broken, "length %u: a transfer out of bounds", len);
		TEST_ASSERT_EQUAL(
			memcmp(before, ram, sizeof(ram)), 0, "length %u: wrong bytes", len);
		TEST_ASSERT_EQUAL(n_steps, 2 * ((len + EDU_CHUNK_LEN - 1) / EDU_CHUNK_LEN),
			"length %u: %u transfers", len, n_steps);
		TEST_ASSERT_EQUAL(
			edu_engine_reap(&engine, 8, NULL), 1, "length %u not reported", len);
	}
	return TEST_SUCCESS;
}

static int
device_directions_need_one_transfer(void)
{
	edu_engine_setup(&engine, 8, RTE_DMA_DIR_MEM_TO_DEV, SOCKET_ID_ANY);
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 100, 95, 4000), 0, "refused");
	edu_engine_submit(&engine);
	run_all();
	TEST_ASSERT_EQUAL(n_steps, 1, "%u transfers", n_steps);
	TEST_ASSERT(!broken, "a transfer out of bounds");
	TEST_ASSERT_EQUAL(memcmp(&buffer[95], &ram[100], 4000), 0, "wrong bytes in the device");
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 0, 95, 4001), -EINVAL, "beyond the buffer");
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 0, 4095, 1), -EINVAL, "behind the buffer");
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 0, UINT64_MAX, 2), -EINVAL, "offset wraps");

	edu_engine_setup(&engine, 8, RTE_DMA_DIR_DEV_TO_MEM, SOCKET_ID_ANY);
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 100, 0x8000, 50), 0, "refused");
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 101, 0x9000, 50), 1, "refused");
	edu_engine_submit(&engine);
	run_all();
	TEST_ASSERT_EQUAL(n_steps, 3, "%u transfers", n_steps);
	TEST_ASSERT_EQUAL(memcmp(&buffer[100], &ram[0x8000], 50), 0, "wrong bytes in memory");
	TEST_ASSERT_EQUAL(memcmp(&buffer[101], &ram[0x9000], 50), 0, "wrong bytes in memory");
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 4095, 0, 1), -EINVAL, "behind the buffer");
	return TEST_SUCCESS;
}

static int
what_cannot_be_done_is_refused(void)
{
	static const struct {
		const char *name;
		uint64_t src, dst;
		uint32_t len;
	} cases[] = {
		{"no length", 0, 0x8000, 0},
		{"source ends beyond the mask", RAM_LEN - 1, 0, 2},
		{"destination ends beyond the mask", 0, RAM_LEN - 1, 2},
		{"source beyond the mask", RAM_LEN, 0, 1},
		{"destination beyond the mask", 0, RAM_LEN, 1},
		{"source wraps", UINT64_MAX, 0, 2},
		{"destination wraps", 0, UINT64_MAX, 2},
		{"longer than the address space", 0, 0, UINT32_MAX},
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++)
		TEST_ASSERT_EQUAL(
			edu_engine_copy(&engine, cases[i].src, cases[i].dst, cases[i].len), -EINVAL,
			"%s: not refused", cases[i].name);
	TEST_ASSERT_EQUAL(edu_engine_capacity(&engine), 8, "a refused job takes room");
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, RAM_LEN - 1, RAM_LEN - 2, 1), 0,
		"the last byte is out of reach");
	return TEST_SUCCESS;
}

/** Jobs wait for their submit, run in order, and are reported once and in order. */
static int
jobs_run_in_order_and_only_once_submitted(void)
{
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 0, 0x8000, 16), 0, "number");
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 0x8000, 0x9000, 16), 1, "number");
	edu_engine_poll(&engine);
	TEST_ASSERT(!device_step(), "runs without a submit");
	TEST_ASSERT_EQUAL(engine.stats.submitted, 0, "counts as submitted");
	edu_engine_submit(&engine);
	TEST_ASSERT_EQUAL(
		engine.stats.submitted, 2, "%u submitted", (unsigned)engine.stats.submitted);
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 0x9000, 0xa000, 16), 2, "number");
	TEST_ASSERT(!edu_engine_idle(&engine), "idle with two jobs to do");
	run_all();
	TEST_ASSERT(edu_engine_idle(&engine), "not idle with nothing to do");
	TEST_ASSERT_EQUAL(memcmp(&ram[0x9000], &ram[0], 16), 0, "second job before the first");
	TEST_ASSERT_NOT_EQUAL(memcmp(&ram[0xa000], &ram[0], 16), 0, "third job was not submitted");
	TEST_ASSERT_EQUAL(edu_engine_reap(&engine, 1, NULL), 1, "one was asked for");
	TEST_ASSERT_EQUAL(engine.reported, 1, "reported");
	TEST_ASSERT_EQUAL(edu_engine_reap(&engine, 8, NULL), 1, "one was left");
	TEST_ASSERT_EQUAL(edu_engine_reap(&engine, 8, NULL), 0, "reported twice");
	TEST_ASSERT_EQUAL(engine.stats.completed, 2, "completed");
	TEST_ASSERT_EQUAL(engine.stats.errors, 0, "errors");
	return TEST_SUCCESS;
}

/** While a transfer runs, the registers are not written. */
static int
a_running_transfer_is_not_disturbed(void)
{
	uint8_t before[sizeof(bar)];
	unsigned int i;

	edu_engine_copy(&engine, 0, 0x8000, 16);
	edu_engine_submit(&engine);
	memcpy(before, bar, sizeof(bar));
	for (i = 0; i < 3; i++) {
		edu_engine_copy(&engine, 0x100 * i, 0x9000, 16);
		edu_engine_submit(&engine);
		edu_engine_poll(&engine);
	}
	TEST_ASSERT_EQUAL(memcmp(before, bar, sizeof(bar)), 0, "registers were written");
	TEST_ASSERT_EQUAL(edu_engine_reap(&engine, 8, NULL), 0, "reported too early");
	return TEST_SUCCESS;
}

static int
the_ring_fills_and_wraps(void)
{
	uint32_t round;
	unsigned int i, n;
	int idx;

	/*
	 * 70,000 jobs: job numbers and ring positions wrap at 2^16. A ring of 6 jobs has 8 slots;
	 * the limit is 6.
	 */
	edu_engine_setup(&engine, 6, RTE_DMA_DIR_MEM_TO_MEM, SOCKET_ID_ANY);
	for (round = 0; round < 70000; round += n) {
		n = 1 + round % 6;
		for (i = 0; i < n; i++) {
			idx = edu_engine_copy(&engine, i, 0x8000 + 8 * i, 1);
			TEST_ASSERT_EQUAL(idx, (int)((round + i) & UINT16_MAX), "number %d", idx);
		}
		TEST_ASSERT_EQUAL(edu_engine_capacity(&engine), 6 - n, "room for %u", 6 - n);
		if (n == 6)
			TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 0, 1, 1), -ENOSPC, "overfilled");
		edu_engine_submit(&engine);
		run_all();
		TEST_ASSERT_EQUAL(edu_engine_capacity(&engine), 6 - n, "free before reported");
		TEST_ASSERT_EQUAL(edu_engine_reap(&engine, 100, NULL), n, "reported");
	}
	TEST_ASSERT(!broken, "a transfer out of bounds");
	TEST_ASSERT_EQUAL(engine.stats.completed, round, "completed");
	return TEST_SUCCESS;
}

/**
 * A device that left the bus reads as all ones. The running job failed, the others were not tried,
 * and all are reported.
 */
static int
a_device_that_is_gone_fails_its_jobs(void)
{
	enum rte_dma_status_code status[8];
	unsigned int i;

	for (i = 0; i < 4; i++)
		edu_engine_copy(&engine, 0, 0x8000, 16);
	edu_engine_submit(&engine);
	device_step();
	edu_engine_poll(&engine);
	device_step();
	edu_engine_poll(&engine); /* the first job is complete, the second runs */
	memset(bar, 0xff, sizeof(bar));
	edu_engine_poll(&engine);
	TEST_ASSERT(edu_engine_idle(&engine), "jobs are stuck");
	TEST_ASSERT_EQUAL(edu_engine_reap(&engine, 8, NULL), 1, "the first succeeded");
	TEST_ASSERT(edu_engine_failed(&engine), "the failure is not seen");
	TEST_ASSERT_EQUAL(edu_engine_reap(&engine, 8, NULL), 0, "passed over the failed one");
	TEST_ASSERT_EQUAL(edu_engine_reap(&engine, 8, status), 3, "the failed ones");
	TEST_ASSERT_EQUAL(status[0], RTE_DMA_STATUS_BUS_ERROR, "the running one: %d", status[0]);
	TEST_ASSERT_EQUAL(status[1], RTE_DMA_STATUS_NOT_ATTEMPTED, "a waiting one: %d", status[1]);
	TEST_ASSERT_EQUAL(status[2], RTE_DMA_STATUS_NOT_ATTEMPTED, "a waiting one: %d", status[2]);
	TEST_ASSERT_EQUAL(engine.stats.completed, 4, "completed");
	TEST_ASSERT_EQUAL(engine.stats.errors, 3, "errors");
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 0, 1, 1), -EIO, "takes new jobs");
	TEST_ASSERT_EQUAL(edu_engine_quiesce(&engine), -EIO, "comes to rest");
	return TEST_SUCCESS;
}

/** Jobs that were enqueued before the device left and submitted afterwards are reported, too. */
static int
a_late_submit_to_a_gone_device_fails(void)
{
	enum rte_dma_status_code status[8];

	edu_engine_copy(&engine, 0, 0x8000, 16);
	edu_engine_submit(&engine);
	edu_engine_copy(&engine, 0, 0x8000, 16);
	memset(bar, 0xff, sizeof(bar));
	edu_engine_poll(&engine);
	edu_engine_submit(&engine);
	TEST_ASSERT_EQUAL(edu_engine_reap(&engine, 8, status), 2, "not both reported");
	TEST_ASSERT_EQUAL(status[1], RTE_DMA_STATUS_NOT_ATTEMPTED, "status %d", status[1]);
	TEST_ASSERT_EQUAL(bar[EDU_DMA_CMD], 0xff, "a transfer was started");
	return TEST_SUCCESS;
}

static int
a_reset_forgets_jobs_and_numbers(void)
{
	edu_engine_copy(&engine, 0, 0x8000, 16);
	edu_engine_submit(&engine);
	device_step();
	edu_engine_copy(&engine, 0, 0x8000, 16);
	TEST_ASSERT_EQUAL(edu_engine_quiesce(&engine), 0, "does not come to rest");
	edu_engine_reset(&engine);
	edu_engine_poll(&engine);
	TEST_ASSERT(!device_step(), "a forgotten job runs");
	TEST_ASSERT_EQUAL(edu_engine_capacity(&engine), 8, "capacity");
	TEST_ASSERT_EQUAL(edu_engine_copy(&engine, 0, 0x8000, 16), 0, "number");
	edu_engine_submit(&engine);
	run_all();
	TEST_ASSERT_EQUAL(memcmp(&ram[0x8000], &ram[0], 16), 0, "bytes of the first job after it");
	return TEST_SUCCESS;
}

static int
only_an_edu_device_is_accepted(void)
{
	*(uint32_t *)(uintptr_t)&bar[EDU_ID] = 0x010000ed;
	/*
	 * The real device inverts what is written to the liveness register; this memory does not.
	 */
	TEST_ASSERT_EQUAL(edu_engine_check(&engine), -ENODEV, "not alive");
	*(uint32_t *)(uintptr_t)&bar[EDU_ID] = 0x010000ee;
	TEST_ASSERT_EQUAL(edu_engine_check(&engine), -ENODEV, "another mark");
	return TEST_SUCCESS;
}

/* This log always changes errno. */
static int
a_log_line_does_not_change_the_error(void)
{
	int rc;

	test_log_begin();
	errno = EBUSY;
	rc = EDU_FAIL(errno, "in use: %s", strerror(errno));
	TEST_ASSERT_EQUAL(rc, -EBUSY, "it became %d", rc);
	TEST_ASSERT(test_logged("in use: Device or resource busy"), "message");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"copies of every length are exact", copies_every_length},
	{"to and from the device is one transfer", device_directions_need_one_transfer},
	{"what cannot be done is refused", what_cannot_be_done_is_refused},
	{"jobs run in order and only once submitted", jobs_run_in_order_and_only_once_submitted},
	{"a running transfer is not disturbed", a_running_transfer_is_not_disturbed},
	{"the ring fills and wraps", the_ring_fills_and_wraps},
	{"a device that is gone fails its jobs", a_device_that_is_gone_fails_its_jobs},
	{"a late submit to a gone device fails", a_late_submit_to_a_gone_device_fails},
	{"a reset forgets jobs and numbers", a_reset_forgets_jobs_and_numbers},
	{"only an edu device is accepted", only_an_edu_device_is_accepted},
	{"a log line does not change the error", a_log_line_does_not_change_the_error},
};

REGISTER_TEST_SUITE(dma_edu_engine) = {
	.name = "dma_edu_engine",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup_engine,
	.teardown = teardown_engine,
	.needs_eal = true,
};
