/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of single queues of the 82574L driver: start, stop and set-up while the port runs. A queue
 * is told by the byte that its frames consist of. After each case the model of the chip must have
 * seen no broken rule.
 */

#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "e1000e_chip.h"
#include "e1000e_nic.h"
#include "e1000e_regs.h"
#include "test.h"

#define FRAME_LEN 60

/* Receive n frames of one value, all of them from one queue. */
static int
poll_frames(uint16_t q, unsigned int n, uint8_t value)
{
	struct rte_mbuf *m[8];
	unsigned int i, got = rte_eth_rx_burst(nic_port, q, m, RTE_DIM(m));

	TEST_ASSERT_EQUAL(got, n, "queue %u: %u frames, not %u", q, got, n);
	for (i = 0; i < got; i++) {
		TEST_ASSERT_EQUAL(m[i]->pkt_len, FRAME_LEN, "%u bytes", m[i]->pkt_len);
		TEST_ASSERT_EQUAL(*rte_pktmbuf_mtod(m[i], uint8_t *), value, "another frame");
		rte_pktmbuf_free(m[i]);
	}
	return 0;
}

/* Send n frames on a queue. */
static int
send_frames(uint16_t q, unsigned int n)
{
	struct rte_mbuf *m;
	uint16_t sent;

	for (; n > 0; n--) {
		m = rte_pktmbuf_alloc(nic_pool);
		TEST_ASSERT_NOT_NULL(m, "no mbuf");
		memset(rte_pktmbuf_append(m, FRAME_LEN), 0x5A, FRAME_LEN);
		sent = rte_eth_tx_burst(nic_port, q, &m, 1);
		if (sent == 0)
			rte_pktmbuf_free(m);
		TEST_ASSERT_EQUAL(sent, 1, "queue %u takes nothing", q);
	}
	return 0;
}

static int
is_queue_state(bool rx, uint16_t q, uint8_t state)
{
	struct rte_eth_rxq_info rx_info;
	struct rte_eth_txq_info tx_info;

	if (rx) {
		TEST_ASSERT_SUCCESS(rte_eth_rx_queue_info_get(nic_port, q, &rx_info), "info");
		TEST_ASSERT_EQUAL(rx_info.queue_state, state, "Rx %u: %u", q, rx_info.queue_state);
	} else {
		TEST_ASSERT_SUCCESS(rte_eth_tx_queue_info_get(nic_port, q, &tx_info), "info");
		TEST_ASSERT_EQUAL(tx_info.queue_state, state, "Tx %u: %u", q, tx_info.queue_state);
	}
	return 0;
}

static int
a_receive_queue_stops_beside_another(void)
{
	struct rte_eth_rss_reta_entry64 reta[2] = {{.mask = UINT64_MAX}, {.mask = UINT64_MAX}};
	struct rte_eth_stats stats;
	unsigned int before;

	if (nic_start_two() != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(chip_receive(0, FRAME_LEN, 10), 0, "queue");
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 11), 1, "queue");
	before = rte_mempool_avail_count(nic_pool);
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(nic_port, 1), "stop");
	if (is_queue_state(true, 1, RTE_ETH_QUEUE_STATE_STOPPED) != 0 ||
		is_queue_state(true, 0, RTE_ETH_QUEUE_STATE_STARTED) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(nic_pool), before + NIC_DESC, "%u came back",
		rte_mempool_avail_count(nic_pool) - before);
	TEST_ASSERT_EQUAL(nic_reg(E1000E_RDLEN(1)), 0u, "the chip has its ring");
	/* The frame that nobody polled is gone; queue 0 has its own, and those for queue 1. */
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 10), 0, "not redirected");
	if (poll_frames(0, 2, 10) != 0 || poll_frames(1, 0, 0) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_rss_reta_query(nic_port, reta, 128), "query");
	TEST_ASSERT_EQUAL(reta[0].reta[1], 1u, "the table of the application changed");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rss_reta_update(nic_port, reta, 128), "update");
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 10), 0, "an update undoes it");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(nic_port, 1), "start");
	if (is_queue_state(true, 1, RTE_ETH_QUEUE_STATE_STARTED) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 11), 1, "queue");
	TEST_ASSERT_EQUAL(chip_receive(0, FRAME_LEN, 10), 0, "queue");
	if (poll_frames(0, 2, 10) != 0 || poll_frames(1, 1, 11) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(nic_port, &stats), "stats");
	TEST_ASSERT_EQUAL(stats.ipackets, 5u, "a frame that was dropped is counted");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(nic_pool), NIC_MBUFS, "mbufs are lost");
	return nic_no_fault();
}

static int
receive_queue_0_stops_last_and_starts_first(void)
{
	if (nic_start_two() != 0)
		return TEST_FAILED;
	chip_record();
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_rx_queue_stop(nic_port, 0), -EBUSY, "stopped first");
	TEST_ASSERT(test_logged("stop receive queue 1 before it"), "line");
	TEST_ASSERT_EQUAL(chip_find(0, E1000E_RCTL, 0, 0), -1, "it changed the chip");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(nic_port, 1), "stop 1");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(nic_port, 0), "stop 0");
	TEST_ASSERT_EQUAL(
		rte_mempool_avail_count(nic_pool), NIC_MBUFS, "mbufs are left in the rings");
	TEST_ASSERT_EQUAL(chip_receive(0, FRAME_LEN, 10), -1, "it still receives");
	TEST_ASSERT_SUCCESS(rte_eth_promiscuous_enable(nic_port), "promiscuous");
	TEST_ASSERT_EQUAL(chip_receive(0, FRAME_LEN, 10), -1, "a filter starts reception");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_rx_queue_start(nic_port, 1), -EBUSY, "started first");
	TEST_ASSERT(test_logged("start it before receive queue 1"), "line");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(nic_pool), NIC_MBUFS, "it has mbufs");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(nic_port, 0), "start 0");
	TEST_ASSERT((nic_reg(E1000E_RCTL) & E1000E_RCTL_UPE) != 0, "the filter is lost");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(nic_port, 1), "start 1");
	TEST_ASSERT_EQUAL(chip_receive(0, FRAME_LEN, 10), 0, "queue");
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 11), 1, "queue");
	if (poll_frames(0, 1, 10) != 0 || poll_frames(1, 1, 11) != 0)
		return TEST_FAILED;
	return nic_no_fault();
}

static int
a_start_without_mbufs_changes_nothing(void)
{
	struct rte_mbuf *all[NIC_MBUFS];
	unsigned int n;

	if (nic_start_two() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(nic_port, 1), "stop");
	n = rte_mempool_avail_count(nic_pool);
	TEST_ASSERT_SUCCESS(rte_pktmbuf_alloc_bulk(nic_pool, all, n), "take all");
	chip_record();
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_rx_queue_start(nic_port, 1), -ENOMEM, "started");
	TEST_ASSERT(test_logged("make it larger"), "line");
	TEST_ASSERT_EQUAL(chip_find(0, E1000E_RCTL, 0, 0), -1, "it changed the chip");
	rte_pktmbuf_free_bulk(all, n);
	if (is_queue_state(true, 1, RTE_ETH_QUEUE_STATE_STOPPED) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 10), 0, "queue");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(nic_port, 1), "start");
	return poll_frames(0, 1, 10) != 0 ? TEST_FAILED : nic_no_fault();
}

static int
deferred_queues_wait_for_their_start(void)
{
	const struct rte_eth_rxconf rx = {.rx_deferred_start = 1};
	const struct rte_eth_txconf tx = {.tx_deferred_start = 1};
	struct rte_mbuf *m;

	nic_conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	nic_conf.rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_IPV4;
	nic_n_queues = 2;
	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	if (nic_configure() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_rx_queue_setup(nic_port, 0, NIC_DESC, 0, &rx, nic_pool), "Rx");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(nic_port), -EINVAL, "queue 0 alone");
	TEST_ASSERT(test_logged("defer receive queue 1 too"), "line");
	TEST_ASSERT_SUCCESS(rte_eth_rx_queue_setup(nic_port, 1, NIC_DESC, 0, &rx, nic_pool), "Rx");
	TEST_ASSERT_SUCCESS(rte_eth_tx_queue_setup(nic_port, 1, 64, 0, &tx), "Tx");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	if (is_queue_state(true, 0, RTE_ETH_QUEUE_STATE_STOPPED) != 0 ||
		is_queue_state(true, 1, RTE_ETH_QUEUE_STATE_STOPPED) != 0 ||
		is_queue_state(false, 0, RTE_ETH_QUEUE_STATE_STARTED) != 0 ||
		is_queue_state(false, 1, RTE_ETH_QUEUE_STATE_STOPPED) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(
		rte_mempool_avail_count(nic_pool), NIC_MBUFS, "a deferred queue has mbufs");
	TEST_ASSERT_EQUAL(chip_receive(0, FRAME_LEN, 10), -1, "it receives");
	m = rte_pktmbuf_alloc(nic_pool);
	TEST_ASSERT(m != NULL && rte_pktmbuf_append(m, FRAME_LEN) != NULL, "no mbuf");
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(nic_port, 1, &m, 1), 0, "a deferred queue sends");
	rte_pktmbuf_free(m);
	TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_start(nic_port, 1), "start");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(nic_port, 0), "start");
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 10), 0, "queue");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(nic_port, 1), "start");
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 11), 1, "queue");
	if (poll_frames(0, 1, 10) != 0 || poll_frames(1, 1, 11) != 0 || send_frames(0, 2) != 0 ||
		send_frames(1, 2) != 0)
		return TEST_FAILED;
	/* A restart defers them again. */
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	if (is_queue_state(true, 0, RTE_ETH_QUEUE_STATE_STOPPED) != 0 ||
		is_queue_state(false, 1, RTE_ETH_QUEUE_STATE_STOPPED) != 0)
		return TEST_FAILED;
	return nic_no_fault();
}

static int
a_transmit_queue_sends_what_it_has_before_it_stops(void)
{
	struct rte_mbuf *m;
	unsigned int round, before;

	nic_n_queues = 2;
	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	before = rte_mempool_avail_count(nic_pool);
	chip_record();
	for (round = 0; round < 60; round++) {
		/* Few enough that no report was asked for, then more. */
		if (send_frames(1, round % 2 == 0 ? 5 : 40) != 0)
			return TEST_FAILED;
		TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_stop(nic_port, 1), "stop");
		if (is_queue_state(false, 1, RTE_ETH_QUEUE_STATE_STOPPED) != 0)
			return TEST_FAILED;
		TEST_ASSERT_EQUAL(nic_reg(E1000E_TDH(1)), nic_reg(E1000E_TDT(1)), "not sent");
		TEST_ASSERT_EQUAL(rte_mempool_avail_count(nic_pool), before, "round %u: %u mbufs",
			round, before - rte_mempool_avail_count(nic_pool));
		m = rte_pktmbuf_alloc(nic_pool);
		TEST_ASSERT(m != NULL && rte_pktmbuf_append(m, FRAME_LEN) != NULL, "no mbuf");
		TEST_ASSERT_EQUAL(rte_eth_tx_burst(nic_port, 1, &m, 1), 0, "a stopped queue sends");
		rte_pktmbuf_free(m);
		TEST_ASSERT_EQUAL(nic_reg(E1000E_TDH(1)), nic_reg(E1000E_TDT(1)), "the tail moved");
		if (send_frames(0, 1) != 0)
			return TEST_FAILED;
		before--;
		if (round % 20 == 19)
			before += (unsigned int)rte_eth_tx_done_cleanup(nic_port, 0, 0);
		TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_start(nic_port, 1), "start");
	}
	TEST_ASSERT_EQUAL(chip_find(0, E1000E_TDH(1), 0, 0), -1, "its head was written");
	return nic_no_fault();
}

static int
a_transmit_queue_that_cannot_send_goes_on(void)
{
	unsigned int before;

	if (nic_probe_and_start() != 0 || send_frames(0, 3) != 0)
		return TEST_FAILED;
	before = rte_mempool_avail_count(nic_pool);
	chip_stall(true);
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_tx_queue_stop(nic_port, 0), -EBUSY, "stopped");
	TEST_ASSERT(test_logged("check the link, or stop the port"), "line");
	if (is_queue_state(false, 0, RTE_ETH_QUEUE_STATE_STARTED) != 0 || send_frames(0, 1) != 0)
		return TEST_FAILED;
	chip_stall(false);
	TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_stop(nic_port, 0), "stop");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(nic_pool), before + 3, "mbufs are left");
	return nic_no_fault();
}

static int
a_stopped_queue_is_set_up_again(void)
{
	struct rte_mempool *other = rte_pktmbuf_pool_create("other", 255, 0, 0, 4096, 0);
	const struct rte_eth_txconf one = {.tx_rs_thresh = 1};
	struct rte_eth_rxq_info info;
	struct rte_eth_dev_info dev;
	int rc = TEST_FAILED;

	TEST_ASSERT_NOT_NULL(other, "pool");
	if (nic_start_two() != 0 || send_frames(0, 3) != 0 || send_frames(1, 3) != 0)
		goto out;
	TEST_ASSERT_SUCCESS(rte_eth_dev_info_get(nic_port, &dev), "info");
	TEST_ASSERT((dev.dev_capa & RTE_ETH_DEV_CAPA_RUNTIME_RX_QUEUE_SETUP) &&
			(dev.dev_capa & RTE_ETH_DEV_CAPA_RUNTIME_TX_QUEUE_SETUP),
		"capabilities");
	TEST_ASSERT_EQUAL(
		rte_eth_rx_queue_setup(nic_port, 1, 32, 0, NULL, other), -EBUSY, "running");
	TEST_ASSERT_EQUAL(rte_eth_tx_queue_setup(nic_port, 1, 32, 0, NULL), -EBUSY, "running");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(nic_port, 1), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_stop(nic_port, 1), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_rx_queue_setup(nic_port, 1, 128, 0, NULL, other), "Rx");
	TEST_ASSERT_SUCCESS(rte_eth_tx_queue_setup(nic_port, 1, 32, 0, &one), "Tx");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(nic_port, 1), "start");
	TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_start(nic_port, 1), "start");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_RDLEN(1)), 128u * 16, "Rx ring");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_TDLEN(1)), 32u * 16, "Tx ring");
	TEST_ASSERT((nic_reg(E1000E_TCTL) & E1000E_TCTL_EN) != 0, "transmission is off");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(other), 255u - 128, "mbufs of the other pool");
	TEST_ASSERT_SUCCESS(rte_eth_rx_queue_info_get(nic_port, 1, &info), "info");
	TEST_ASSERT(info.nb_desc == 128 && info.mp == other, "info");
	TEST_ASSERT_EQUAL(chip_receive(0, FRAME_LEN, 10), 0, "queue");
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 11), 1, "queue");
	if (poll_frames(0, 1, 10) != 0 || poll_frames(1, 1, 11) != 0 || send_frames(0, 3) != 0 ||
		send_frames(1, 20) != 0)
		goto out;
	TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_stop(nic_port, 1), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(nic_port, 1), "stop");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(other), 255u, "mbufs of the other pool");
	rc = nic_no_fault();
out:
	rte_eth_dev_stop(nic_port);
	rte_eth_dev_close(nic_port);
	rte_mempool_free(other);
	return rc;
}

/* ethdev releases a queue before the driver looks at its new settings. */
static int
a_queue_whose_new_set_up_is_refused_is_left_out(void)
{
	struct rte_mempool *small = rte_pktmbuf_pool_create("small", 255, 0, 0, 1024 + 128, 0);

	TEST_ASSERT_NOT_NULL(small, "pool");
	if (nic_start_two() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(nic_port, 1), "stop");
	test_log_begin();
	TEST_ASSERT_EQUAL(
		rte_eth_rx_queue_setup(nic_port, 1, 64, 0, NULL, small), -EINVAL, "small");
	TEST_ASSERT(test_logged("the running port writes 2048: use larger ones"), "line");
	rte_mempool_free(small);
	TEST_ASSERT_EQUAL(rte_eth_dev_rx_queue_start(nic_port, 1), -EINVAL, "started");
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 10), 0, "queue");
	TEST_ASSERT_SUCCESS(rte_eth_promiscuous_enable(nic_port), "promiscuous");
	TEST_ASSERT_SUCCESS(
		rte_eth_dev_set_vlan_offload(nic_port, RTE_ETH_VLAN_STRIP_OFFLOAD), "strip");
	if (poll_frames(0, 1, 10) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(
		rte_eth_rx_queue_setup(nic_port, 1, NIC_DESC, 0, NULL, nic_pool), "set up");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(nic_port, 1), "start");
	TEST_ASSERT_EQUAL(chip_receive(1, FRAME_LEN, 11), 1, "queue");
	if (poll_frames(1, 1, 11) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_stop(nic_port, 0), "stop");
	TEST_ASSERT_EQUAL(rte_eth_tx_queue_setup(nic_port, 0, 32, 0,
				  &(struct rte_eth_txconf){.tx_free_thresh = 32}),
		-EINVAL, "threshold");
	TEST_ASSERT_EQUAL(rte_eth_dev_tx_queue_start(nic_port, 0), -EINVAL, "started");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_EQUAL(rte_eth_dev_start(nic_port), -EINVAL, "a port without a queue");
	return nic_no_fault();
}

static const struct test_case cases[] = {
	{"a receive queue stops beside another", a_receive_queue_stops_beside_another},
	{"receive queue 0 stops last and starts first",
		receive_queue_0_stops_last_and_starts_first},
	{"a start without mbufs changes nothing", a_start_without_mbufs_changes_nothing},
	{"deferred queues wait for their start", deferred_queues_wait_for_their_start},
	{"a transmit queue sends what it has before it stops",
		a_transmit_queue_sends_what_it_has_before_it_stops},
	{"a transmit queue that cannot send goes on", a_transmit_queue_that_cannot_send_goes_on},
	{"a stopped queue is set up again", a_stopped_queue_is_set_up_again},
	{"a queue whose new set-up is refused is left out",
		a_queue_whose_new_set_up_is_refused_is_left_out},
};

REGISTER_TEST_SUITE(net_e1000e_queues) = {
	.name = "net_e1000e_queues",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = nic_setup,
	.teardown = nic_teardown,
	.needs_eal = true,
};
