/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the AF_XDP driver with other numbers of receive than of transmit queues, on veth pairs.
 * A queue of one direction only is a socket too; lib/veth_port.h has the pair and the frames.
 */

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <sys/socket.h>

#include <ethdev_driver.h>
#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "af_xdp.h"
#include "test.h"
#include "veth_port.h"

static const char *const two = "iface=near,queue_count=2";

static struct af_xdp_port *
private_data(void)
{
	return rte_eth_devices[veth.port].data->dev_private;
}

/* The kernel of near gets a frame that far sends on a queue. fd: a packet socket on near. */
static int
kernel_gets(int fd, uint16_t q, uint32_t number)
{
	uint64_t end = veth_deadline();
	uint8_t got[VETH_MAX_FRAME];
	ssize_t len = -1;

	TEST_ASSERT_SUCCESS(veth_peer_send_on(q, 200, number), "send on queue %u", q);
	while (len < 0 && rte_rdtsc() < end)
		len = recv(fd, got, sizeof(got), 0);
	TEST_ASSERT(len > 0 && veth_is_frame(got, len, 200, number),
		"queue %u: the kernel has not got its frame", q);
	return 0;
}

/* Frames cross on each queue that is configured. The kernel has those of queues that are not. */
static int
queues_carry(uint16_t n_rx, uint16_t n_tx, unsigned int rounds)
{
	int fd = veth_packet_socket("near", VETH_TYPE);
	unsigned int round;
	int rc = 0;
	uint16_t q;

	TEST_ASSERT(fd >= 0, "packet socket");
	for (round = 0; round < rounds && rc == 0; round++) {
		for (q = 0; q < n_tx && rc == 0; q++)
			rc = veth_port_sends(q, round * 8 + q);
		for (q = 0; q < 2 && rc == 0; q++)
			rc = q < n_rx ? veth_port_gets(q, round * 8 + 2 + q)
				      : kernel_gets(fd, q, round * 8 + 4 + q);
	}
	close(fd);
	return rc;
}

/* The counters of each queue, once so many rounds of queues_carry() have passed. */
static int
counters_are(uint16_t n_rx, uint16_t n_tx, uint64_t rounds)
{
	struct rte_eth_stats stats;
	const struct af_xdp_queue *q;
	unsigned int i;

	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT_EQUAL(stats.ipackets, n_rx * rounds, "%" PRIu64 " in", stats.ipackets);
	TEST_ASSERT_EQUAL(stats.opackets, n_tx * rounds, "%" PRIu64 " out", stats.opackets);
	TEST_ASSERT_EQUAL(stats.ibytes, 200 * n_rx * rounds, "%" PRIu64 " bytes", stats.ibytes);
	TEST_ASSERT_EQUAL(stats.obytes, 200 * n_tx * rounds, "%" PRIu64 " bytes", stats.obytes);
	TEST_ASSERT_EQUAL(stats.imissed + stats.ierrors + stats.oerrors + stats.rx_nombuf, 0,
		"%" PRIu64 " missed", stats.imissed);
	for (i = 0; i < private_data()->args.n_queues; i++) {
		q = &private_data()->queue[i];
		TEST_ASSERT_EQUAL(q->rx.packets, i < n_rx ? rounds : 0, "queue %u: %" PRIu64 " in",
			i, q->rx.packets);
		TEST_ASSERT_EQUAL(q->tx.packets, i < n_tx ? rounds : 0, "queue %u: %" PRIu64 " out",
			i, q->tx.packets);
	}
	return 0;
}

static int
other_numbers(const char *args, uint16_t n_rx, uint16_t n_tx)
{
	unsigned int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return test_skip("frames are steered by CPU, and there is only one");
	TEST_ASSERT_SUCCESS(veth_port_add(args, VETH_N_MBUFS), "port");
	TEST_ASSERT_SUCCESS(veth_port_configure(n_rx, n_tx, NULL), "configure");
	for (i = 1; i <= 3; i++) {
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start %u", i);
		if (queues_carry(n_rx, n_tx, 10) < 0 || counters_are(n_rx, n_tx, 10 * i) < 0 ||
			veth_stop_whole() < 0)
			return -1;
	}
	return 0;
}

static int
one_receives_and_two_transmit(void)
{
	return other_numbers(two, 1, 2);
}

static int
two_receive_and_one_transmits(void)
{
	return other_numbers(two, 2, 1);
}

static int
one_receives_and_none_transmits(void)
{
	return other_numbers("iface=near", 1, 0);
}

static int
a_umem_each(void)
{
	int rc = other_numbers("iface=near,queue_count=2,shared_umem=0", 1, 2);

	if (rc != 0)
		return rc;
	veth_port_drop();
	return other_numbers("iface=near,queue_count=2,shared_umem=0", 2, 1);
}

/* Busy polling and polls without wakeup make calls for rings that a queue may not have. */
static int
each_mode(void)
{
	static const char *const modes[] = {"iface=near,queue_count=2,busy_budget=64",
		"iface=near,queue_count=2,need_wakeup=0"};
	unsigned int i;
	int rc = 0;

	for (i = 0; i < 2 * RTE_DIM(modes) && rc == 0; i++) {
		rc = other_numbers(modes[i / 2], 1 + i % 2, 2 - i % 2);
		veth_port_drop();
	}
	return rc;
}

/* Generic XDP has all frames of a veth in queue 0. */
static int
generic_xdp(void)
{
	TEST_ASSERT_SUCCESS(
		veth_port_add("iface=near,queue_count=2,native=0", VETH_N_MBUFS), "port");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 2, NULL), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	if (veth_port_sends(1, 1) < 0 || veth_both_ways(60, 69) < 0)
		return -1;
	return veth_stop_whole();
}

/* A queue gains and loses directions, and its buffers follow. */
static int
reconfigured(void)
{
	static const uint16_t numbers[][2] = {{1, 2}, {2, 2}, {2, 1}, {1, 1}, {1, 2}, {2, 1}};
	unsigned int i;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return test_skip("frames are steered by CPU, and there is only one");
	TEST_ASSERT_SUCCESS(veth_port_add(two, VETH_N_MBUFS), "port");
	for (i = 0; i < RTE_DIM(numbers); i++) {
		TEST_ASSERT_SUCCESS(
			veth_port_configure(numbers[i][0], numbers[i][1], NULL), "configure %u", i);
		TEST_ASSERT_SUCCESS(rte_eth_stats_reset(veth.port), "reset");
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start %u", i);
		TEST_ASSERT_EQUAL(rte_mempool_avail_count(veth.pool),
			veth.pool->size - numbers[i][0] * VETH_N_DESC,
			"%u: only queues that receive hold mbufs: %u are free", i,
			rte_mempool_avail_count(veth.pool));
		if (queues_carry(numbers[i][0], numbers[i][1], 5) < 0 ||
			counters_are(numbers[i][0], numbers[i][1], 5) < 0 || veth_stop_whole() < 0)
			return -1;
	}
	return 0;
}

/* A netdev may have other numbers itself. */
static int
as_many_as_the_netdev(void)
{
	static const struct {
		const char *channels;
		uint16_t rx, tx;
	} netdevs[] = {
		{"1 tx 2", 1, 2},
		{"2 tx 1", 2, 1},
	};
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = {0};
	char command[128];
	unsigned int i;

	TEST_ASSERT_SUCCESS(veth_sh("ethtool -L far rx 2 tx 1"), "far");
	for (i = 0; i < RTE_DIM(netdevs); i++) {
		/* The kernel refuses while it still releases a queue of the port before. */
		snprintf(command, sizeof(command),
			"for i in $(seq 100); do ethtool -L near rx %s 2>/dev/null && exit;"
			" sleep 0.1; done; exit 1",
			netdevs[i].channels);
		TEST_ASSERT_SUCCESS(veth_sh(command), "%s", command);
		TEST_ASSERT_SUCCESS(veth_port_add(two, VETH_N_MBUFS), "port");
		TEST_ASSERT_SUCCESS(rte_eth_dev_info_get(veth.port, &info), "info");
		TEST_ASSERT_EQUAL(info.max_rx_queues, netdevs[i].rx, "%u", info.max_rx_queues);
		TEST_ASSERT_EQUAL(info.max_tx_queues, netdevs[i].tx, "%u", info.max_tx_queues);
		TEST_ASSERT_EQUAL(
			rte_eth_dev_configure(veth.port, 2, 2, &conf), -EINVAL, "configured");
		TEST_ASSERT_SUCCESS(
			veth_port_configure(netdevs[i].rx, netdevs[i].tx, NULL), "configure");
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
		if (veth_port_sends(0, 1) < 0 || veth_port_sends(netdevs[i].tx - 1, 2) < 0 ||
			veth_port_gets(0, 3) < 0 || veth_stop_whole() < 0)
			return -1;
		veth_port_drop();
	}
	return 0;
}

static int
refused(void)
{
	struct rte_eth_conf conf = {0};

	TEST_ASSERT_SUCCESS(veth_port_add(two, VETH_N_MBUFS), "port");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_configure(veth.port, 0, 1, &conf), -EINVAL, "no receiver");
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "no receive queue: transmit queues send from"), "message");
	TEST_ASSERT(rte_eth_dev_configure(veth.port, 1, 3, &conf) < 0, "three of two");
	/* A transmit queue beyond those that receive is missed at the start, too. */
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, NULL), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(veth.port, 1, 2, &conf), "configure");
	TEST_ASSERT_SUCCESS(
		rte_eth_rx_queue_setup(veth.port, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL, veth.pool),
		"queue");
	TEST_ASSERT_SUCCESS(
		rte_eth_tx_queue_setup(veth.port, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL), "queue");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(veth.port), -EINVAL, "started");
	TEST_ASSERT(test_logged("transmit queue 1 is not set up: call rte_eth_tx_queue_setup()"),
		"message");
	veth_port_drop();
	/* The first queue has to receive. */
	TEST_ASSERT_SUCCESS(veth_sh("ethtool -L far tx 1 && ethtool -L near rx 1 tx 2"), "queues");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_vdev_init(VETH_DEVICE, "iface=near,start_queue=1"), -EINVAL, "probe");
	TEST_ASSERT(test_logged("near has no receive queue 1, only 0 to 0: see ethtool -l near"),
		"message");
	return 0;
}

/* A second queue that cannot be opened leaves nothing of the first. */
static int
all_or_nothing(void)
{
	uint16_t port2;

	TEST_ASSERT_SUCCESS(veth_port_add(two, VETH_N_MBUFS), "port");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 2, NULL), "configure");
	TEST_ASSERT_SUCCESS(rte_vdev_init(VETH_DEVICE2, "iface=near,start_queue=1"), "rival");
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_port_by_name(VETH_DEVICE2, &port2), "rival's port");
	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(port2, 1, 0, &(struct rte_eth_conf){0}), "rival");
	TEST_ASSERT_SUCCESS(
		rte_eth_rx_queue_setup(port2, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL, veth.pool),
		"rival's queue");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(port2), "rival's start");
	TEST_ASSERT_EQUAL(rte_eth_dev_start(veth.port), -EBUSY, "started");
	TEST_ASSERT_EQUAL(
		rte_mempool_avail_count(veth.pool), veth.pool->size - VETH_N_DESC, "mbufs lost");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(port2), "rival's stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	return veth_port_sends(1, 1) < 0 || veth_port_gets(0, 2) < 0 ? -1 : veth_stop_whole();
}

static const struct test_case cases[] = {
	{"one queue receives and two transmit", one_receives_and_two_transmit},
	{"two queues receive and one transmits", two_receive_and_one_transmits},
	{"one queue receives and none transmits", one_receives_and_none_transmits},
	{"queues of one direction have a UMEM each", a_umem_each},
	{"queues of one direction carry frames in each mode", each_mode},
	{"one queue receives and two transmit in generic XDP", generic_xdp},
	{"a queue gains and loses directions", reconfigured},
	{"a port has as many queues as its netdev", as_many_as_the_netdev},
	{"numbers that cannot be are refused", refused},
	{"a start with a busy second queue leaves nothing", all_or_nothing},
};

REGISTER_TEST_SUITE(net_af_xdp_queues) = {
	.name = "net_af_xdp_queues",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = veth_setup,
	.teardown = veth_teardown,
	.needs_eal = true,
};
