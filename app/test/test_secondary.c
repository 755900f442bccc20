/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests what the primary process answers to secondary ones (drivers/common/gantry_secondary.c), on
 * ports without a device.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "gantry_secondary.h"
#include "test.h"

#define NAME "net_played"
#define PORT "net_played0"
#define REFRESH_US 100000

static int logtype;
static unsigned int n_refreshed;
static uint32_t in_refresh; /* atomic */
static int attached_fd; /* of the last attach_keep() */

static int
refresh_slowly(struct rte_eth_dev *eth)
{
	n_refreshed++;
	__atomic_store_n(&in_refresh, 1, __ATOMIC_SEQ_CST);
	rte_delay_us_sleep(REFRESH_US);
	__atomic_store_n(&in_refresh, 0, __ATOMIC_SEQ_CST);
	return 0;
}

static int
attach_keep(struct rte_eth_dev *eth, int fd)
{
	attached_fd = fd;
	return 0;
}

static int
attach_refuse(struct rte_eth_dev *eth, int fd)
{
	return -EBUSY;
}

/* A served port. */
static struct rte_eth_dev *
port_serve(struct gantry_secondary *s)
{
	struct rte_eth_dev *eth = rte_eth_dev_allocate(PORT);

	n_refreshed = 0;
	if (eth != NULL)
		gantry_secondary_serve(s, eth);
	return eth;
}

static void
port_close(struct gantry_secondary *s, struct rte_eth_dev *eth)
{
	gantry_secondary_withdraw(s, eth);
	rte_eth_dev_release_port(eth);
}

static void *
answer_thread(void *arg)
{
	return (void *)(intptr_t)gantry_secondary_answer(NAME, PORT, -1);
}

static int
a_withdrawn_port_is_not_touched(void)
{
	struct gantry_secondary s = {.name = NAME, .logtype = &logtype, .refresh = refresh_slowly};
	struct rte_eth_dev *eth = port_serve(&s);
	uint32_t still_in;
	pthread_t thread;
	void *rc;

	TEST_ASSERT_NOT_NULL(eth, "port");
	TEST_ASSERT_EQUAL(pthread_create(&thread, NULL, answer_thread, NULL), 0, "thread");
	while (!__atomic_load_n(&in_refresh, __ATOMIC_SEQ_CST))
		rte_delay_us_sleep(100);
	gantry_secondary_withdraw(&s, eth);
	still_in = __atomic_load_n(&in_refresh, __ATOMIC_SEQ_CST);
	pthread_join(thread, &rc);
	port_close(&s, eth);
	TEST_ASSERT_EQUAL(still_in, 0, "the port is closed while its counters are read");
	TEST_ASSERT_EQUAL((intptr_t)rc, 0, "answer");
	return TEST_SUCCESS;
}

static int
only_served_ports_are_answered_for(void)
{
	struct gantry_secondary s = {.name = NAME, .logtype = &logtype, .refresh = refresh_slowly};
	struct rte_eth_dev *eth = port_serve(&s);
	int other_driver, other_port, served, closed;

	TEST_ASSERT_NOT_NULL(eth, "port");
	other_driver = gantry_secondary_answer("net_other", PORT, -1);
	other_port = gantry_secondary_answer(NAME, "net_played1", -1);
	served = gantry_secondary_answer(NAME, PORT, -1);
	gantry_secondary_withdraw(&s, eth);
	closed = gantry_secondary_answer(NAME, PORT, -1);
	port_close(&s, eth);
	TEST_ASSERT_EQUAL(other_driver, -ENODEV, "%d", other_driver);
	TEST_ASSERT_EQUAL(other_port, -ENODEV, "%d", other_port);
	TEST_ASSERT_EQUAL(served, 0, "%d", served);
	TEST_ASSERT_EQUAL(closed, -ENODEV, "%d", closed);
	TEST_ASSERT_EQUAL(n_refreshed, 1, "%u", n_refreshed);
	return TEST_SUCCESS;
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Answer a request with a descriptor. @return the answer; *open: whether the descriptor still is */
static int
answer_with_fd(int (*attach)(struct rte_eth_dev *eth, int fd), bool *open)
{
	struct gantry_secondary s = {
		.name = NAME, .logtype = &logtype, .refresh = refresh_slowly, .attach = attach};
	struct rte_eth_dev *eth = port_serve(&s);
	int rc, fd = dup(STDIN_FILENO);

	rc = gantry_secondary_answer(NAME, PORT, fd);
	*open = is_open(fd);
	if (*open)
		close(fd);
	port_close(&s, eth);
	return rc;
}

static int
a_descriptor_is_taken_over_or_closed(void)
{
	bool open;
	int rc;

	rc = answer_with_fd(attach_keep, &open);
	TEST_ASSERT(rc == 0 && open, "taken over: %d", rc);
	rc = answer_with_fd(attach_refuse, &open);
	TEST_ASSERT(rc == -EBUSY && !open, "refused: %d", rc);
	rc = answer_with_fd(NULL, &open);
	TEST_ASSERT(rc == -ENOTSUP && !open, "no attach(): %d", rc);
	TEST_ASSERT_EQUAL(n_refreshed, 0, "counters were refreshed instead");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"a port that was withdrawn is not touched", a_withdrawn_port_is_not_touched},
	{"only served ports are answered for", only_served_ports_are_answered_for},
	{"a descriptor is taken over or closed", a_descriptor_is_taken_over_or_closed},
};

REGISTER_TEST_SUITE(secondary_suite) = {
	.name = "secondary",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.needs_eal = true,
};
