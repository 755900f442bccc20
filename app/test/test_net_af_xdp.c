/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the AF_XDP driver as an Ethernet port, on veth pairs of this machine's kernel.
 * lib/veth_port.h has the pair and the frames.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <pthread.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <bpf/bpf.h>
#include <rte_alarm.h>
#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_epoll.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_mbuf.h>
#include <rte_power_intrinsics.h>

#include <dmamap.h>

#include "af_xdp.h"
#include "child.h"
#include "peek.h"
#include "test.h"
#include "veth_port.h"

#define BURST 32

/* Events of the port, and their callbacks. ethdev keeps a callback for the next port of this
 * number. */
static struct {
	enum rte_eth_event_type type;
	rte_eth_dev_cb_fn fn;
} called_on[4];
static unsigned int n_called_on;

/* Call a function on an event of the port, until the end of the case. */
static void
call_on(enum rte_eth_event_type type, rte_eth_dev_cb_fn fn, unsigned int *count)
{
	rte_eth_dev_callback_register(veth.port, type, fn, count);
	called_on[n_called_on].type = type;
	called_on[n_called_on++].fn = fn;
}

static void
drop_callbacks(void)
{
	for (; n_called_on > 0; n_called_on--)
		while (rte_eth_dev_callback_unregister(RTE_ETH_ALL, called_on[n_called_on - 1].type,
			       called_on[n_called_on - 1].fn, (void *)-1) == -EAGAIN)
			sched_yield();
}

static void
teardown(void)
{
	drop_callbacks();
	veth_teardown();
}

static int
frames_of_all_sizes(void)
{
	struct rte_eth_stats stats;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	if (veth_both_ways(14, 1514) < 0)
		return -1;
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT_EQUAL(stats.ipackets, 1501, "%" PRIu64 " packets in", stats.ipackets);
	TEST_ASSERT_EQUAL(stats.opackets, 1501, "%" PRIu64 " packets out", stats.opackets);
	TEST_ASSERT_EQUAL(stats.ibytes, 1501 * 764, "%" PRIu64 " bytes in", stats.ibytes);
	TEST_ASSERT_EQUAL(stats.obytes, 1501 * 764, "%" PRIu64 " bytes out", stats.obytes);
	TEST_ASSERT(stats.imissed + stats.ierrors + stats.oerrors + stats.rx_nombuf == 0, "errors");
	return veth_stop_whole();
}

/* Other configurations of the queues carry the same frames. */
static int
frames_in_each_mode(void)
{
	static const char *const modes[] = {"iface=near,native=0", "iface=near,busy_budget=64",
		"iface=near,need_wakeup=0", "iface=near,zero_copy=0", "iface=near,start_queue=1"};
	unsigned int i;

	for (i = 0; i < RTE_DIM(modes); i++) {
		TEST_ASSERT_SUCCESS(veth_port_start(modes[i], 1), "%s", modes[i]);
		if (i == 4) /* frames go to the queue of the CPU's number */
			veth_sh("ip link set far down; ip link set far up");
		if (i < 4 && veth_both_ways(1400, 1450) < 0)
			return -1;
		if (veth_stop_whole() < 0)
			return -1;
		veth_port_drop();
	}
	return 0;
}

static int
buffers_lie_in_the_zone(void)
{
	struct dmamap_container *c;
	struct dmamap_container_info info;
	struct rte_mbuf *m;
	uint16_t q;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near,container=mine", 1), "start");
	c = peek(dmamap_container_by_name("mine"));
	TEST_ASSERT(c != NULL && c == peek(dmamap_container_by_device(VETH_DEVICE)), "container");
	TEST_ASSERT_SUCCESS(dmamap_container_info(c, &info), "info");
	TEST_ASSERT_EQUAL(info.n_mappings, 1, "%" PRIu64 " mappings", info.n_mappings);
	TEST_ASSERT_SUCCESS(veth_peer_send(100, 1), "send");
	m = veth_port_receive(&q);
	TEST_ASSERT_NOT_NULL(m, "did not come");
	TEST_ASSERT(m->pool == veth.pool, "of another pool");
	TEST_ASSERT_EQUAL(
		dmamap_va2iova(c, rte_pktmbuf_mtod(m, void *)), rte_pktmbuf_iova(m), "IOVA");
	TEST_ASSERT_EQUAL(m->data_off, AF_XDP_HEADROOM, "headroom %u", m->data_off);
	rte_pktmbuf_free(m);
	if (veth_stop_whole() < 0)
		return -1;
	veth_port_drop();
	TEST_ASSERT_NULL(peek(dmamap_container_by_name("mine")), "the container is left behind");
	return 0;
}

/* Frames arrive on the queue on which the peer sends them, and leave on the requested queue. */
static int
multi_queue(const char *args, unsigned int umems)
{
	const struct af_xdp_port *p;
	cpu_set_t before, one;
	struct rte_mbuf *m;
	uint16_t q, got, i;
	unsigned int seen = 0;

	TEST_ASSERT_SUCCESS(veth_port_start(args, 2), "start");
	p = rte_eth_devices[veth.port].data->dev_private;
	for (q = 0; q < 2; q++)
		seen += p->queue[q].own.umem != NULL;
	TEST_ASSERT_EQUAL(seen, umems, "%u UMEMs", seen);
	sched_getaffinity(0, sizeof(before), &before);
	for (i = 0; i < 100; i++)
		for (q = 0; q < 2; q++) {
			CPU_ZERO(&one);
			CPU_SET(q, &one);
			if (sched_setaffinity(0, sizeof(one), &one) < 0)
				return test_skip("CPU %u is not ours", q);
			TEST_ASSERT_SUCCESS(veth_peer_send(200, i), "send");
			m = veth_port_receive(&got);
			TEST_ASSERT_NOT_NULL(m, "did not come");
			TEST_ASSERT_EQUAL(got, q, "came to queue %u instead of %u", got, q);
			TEST_ASSERT(veth_is_frame(rte_pktmbuf_mtod(m, void *), m->pkt_len, 200, i),
				"content");
			/* Receive on one port, send on the other: both use the same memory. */
			TEST_ASSERT_EQUAL(rte_eth_tx_burst(veth.port, !q, &m, 1), 1, "transmit");
			uint8_t back[AF_XDP_MAX_CHUNK];
			ssize_t len = veth_peer_receive(back, sizeof(back));

			TEST_ASSERT(len > 0 && veth_is_frame(back, len, 200, i), "content sent");
		}
	sched_setaffinity(0, sizeof(before), &before);
	return veth_stop_whole();
}

static int
two_queues_share_a_umem(void)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return test_skip("frames are steered by CPU, and there is only one");
	return multi_queue("iface=near,queue_count=2", 1);
}

static int
two_queues_have_a_umem_each(void)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return test_skip("frames are steered by CPU, and there is only one");
	return multi_queue("iface=near,queue_count=2,shared_umem=0", 2);
}

/** Send 600 frames and hold all mbufs of the pool. Frames that come then are lost and counted. */
static int
flood(struct rte_mbuf **held, unsigned int *n)
{
	unsigned int i;

	for (i = 0; i < 600; i++) {
		TEST_ASSERT_SUCCESS(veth_peer_send(60, i), "send");
		*n += rte_eth_rx_burst(veth.port, 0, &held[*n], 1);
	}
	return TEST_SUCCESS;
}

static int
an_exhausted_pool_recovers(void)
{
	struct rte_mbuf *held[2 * VETH_N_DESC];
	struct rte_eth_conf conf = {0};
	struct rte_eth_stats stats;
	unsigned int n = 0;
	uint16_t q;

	TEST_ASSERT_SUCCESS(veth_port_add("iface=near", 511), "port");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	TEST_ASSERT_SUCCESS(flood(held, &n), "flood");
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT(n > VETH_N_DESC && n <= 511, "%u of 511 mbufs came", n);
	TEST_ASSERT_EQUAL(n + stats.imissed, 600, "%u came, %" PRIu64 " missed", n, stats.imissed);
	TEST_ASSERT(stats.rx_nombuf > 0, "want of mbufs is not counted");
	rte_pktmbuf_free_bulk(held, n);
	rte_eth_rx_burst(veth.port, 0, held, 1);
	TEST_ASSERT_SUCCESS(veth_peer_send(60, 1000), "send");
	held[0] = veth_port_receive(&q);
	TEST_ASSERT(held[0] != NULL &&
			veth_is_frame(
				rte_pktmbuf_mtod(held[0], void *), held[0]->pkt_len, 60, 1000),
		"does not go on");
	rte_pktmbuf_free(held[0]);
	return veth_stop_whole();
}

static int
what_was_lost_stays_counted_over_restarts(void)
{
	struct rte_mbuf *held[2 * VETH_N_DESC];
	struct rte_eth_conf conf = {0};
	struct rte_eth_stats stats;
	unsigned int n = 0, round;

	TEST_ASSERT_SUCCESS(veth_port_add("iface=near", 511), "port");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	TEST_ASSERT_SUCCESS(flood(held, &n), "flood");
	rte_pktmbuf_free_bulk(held, n);
	TEST_ASSERT(n < 600, "nothing was lost");
	for (round = 0; round < 2; round++) {
		TEST_ASSERT_SUCCESS(rte_eth_dev_stop(veth.port), "stop %u", round);
		TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
		TEST_ASSERT_EQUAL(stats.imissed, 600 - n, "%" PRIu64 " missed after stop %u",
			stats.imissed, round);
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start %u", round);
		TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
		TEST_ASSERT_EQUAL(stats.imissed, 600 - n, "%" PRIu64 " missed after start %u",
			stats.imissed, round);
	}
	return veth_stop_whole();
}

static int
a_pool_too_small_is_refused(void)
{
	struct rte_eth_conf conf = {0};

	TEST_ASSERT_SUCCESS(veth_port_add("iface=near", VETH_N_DESC - 1), "port");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, &conf), "configure");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(veth.port), -ENOMEM, "started");
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "needs 256 mbufs, pool af_xdp has 255 free"), "message");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(veth.pool), VETH_N_DESC - 1, "mbufs lost");
	return 0;
}

/* Frames outside of the UMEM are copied; invalid frames are dropped and counted. */
static int
strange_mbufs_are_sent(void)
{
	struct rte_mempool *other = rte_pktmbuf_pool_create("other", 63, 0, 0, 4096, SOCKET_ID_ANY);
	uint8_t got[AF_XDP_MAX_CHUNK], frame[1200];
	struct rte_eth_stats stats;
	struct rte_mbuf *m[5];
	unsigned int i;

	TEST_ASSERT_NOT_NULL(other, "pool");
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	/* An mbuf of another pool. */
	m[0] = veth_make_mbuf(other, 1000, 0);
	/* An mbuf of three segments. */
	veth_make_frame(frame, sizeof(frame), 1);
	m[1] = rte_pktmbuf_alloc(veth.pool);
	memcpy(rte_pktmbuf_append(m[1], 20), frame, 20);
	for (i = 0; i < 2; i++) {
		struct rte_mbuf *tail = rte_pktmbuf_alloc(veth.pool);

		memcpy(rte_pktmbuf_append(tail, 590), frame + 20 + i * 590, 590);
		rte_pktmbuf_chain(m[1], tail);
	}
	/* An mbuf with external data, and the same mbuf twice. */
	m[2] = veth_make_mbuf(veth.pool, 300, 2);
	m[3] = rte_pktmbuf_clone(m[2], veth.pool);
	m[4] = m[2];
	rte_mbuf_refcnt_update(m[2], 1);
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(veth.port, 0, m, 5), 5, "transmit");
	static const struct {
		unsigned int len, number;
	} wanted[] = {{1000, 0}, {1200, 1}, {300, 2}, {300, 2}, {300, 2}};

	for (i = 0; i < RTE_DIM(wanted); i++) {
		ssize_t len = veth_peer_receive(got, sizeof(got));

		TEST_ASSERT(len > 0 && veth_is_frame(got, len, wanted[i].len, wanted[i].number),
			"frame %u of %zd bytes", i, len);
	}
	/* Too short, empty, too long. */
	m[0] = veth_make_mbuf(veth.pool, 60, 0);
	rte_pktmbuf_trim(m[0], 47);
	m[1] = rte_pktmbuf_alloc(veth.pool);
	m[2] = veth_make_mbuf(other, 3900, 0);
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(veth.port, 0, m, 3), 3, "transmit");
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT_EQUAL(stats.opackets, 5, "%" PRIu64 " packets out", stats.opackets);
	TEST_ASSERT_EQUAL(stats.oerrors, 3, "%" PRIu64 " errors out", stats.oerrors);
	if (veth_stop_whole() < 0)
		return -1;
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(other), 63, "mbufs of the other pool lost");
	rte_mempool_free(other);
	return 0;
}

/* More than fits in a ring. Nothing is lost if the port reports how many it took. */
static int
bursts_beyond_the_ring(void)
{
	struct rte_mbuf *m[4 * VETH_N_DESC];
	uint8_t got[AF_XDP_MAX_CHUNK];
	unsigned int i, sent = 0;
	uint64_t end = veth_deadline();
	ssize_t len;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	for (i = 0; i < RTE_DIM(m); i++)
		m[i] = veth_make_mbuf(veth.pool, 60 + i, i);
	while (sent < RTE_DIM(m) && rte_rdtsc() < end)
		sent += rte_eth_tx_burst(veth.port, 0, m + sent, RTE_DIM(m) - sent);
	TEST_ASSERT_EQUAL(sent, RTE_DIM(m), "%u sent", sent);
	for (i = 0; i < RTE_DIM(m); i++) {
		len = veth_peer_receive(got, sizeof(got));
		TEST_ASSERT(len > 0 && veth_is_frame(got, len, 60 + i, i), "frame %u", i);
	}
	return veth_stop_whole();
}

/* Bursts that are no multiple of a refill: the fill ring never runs empty. */
static int
bursts_of_any_size(void)
{
	struct rte_mbuf *m[48];
	struct rte_eth_stats stats;
	unsigned int round, i, n, got;
	uint64_t end = veth_deadline();

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	for (round = 0; round < 40; round++) {
		for (i = 0; i < VETH_N_DESC / 2; i++)
			TEST_ASSERT_SUCCESS(veth_peer_send(60 + i, i), "send");
		for (got = 0; got < VETH_N_DESC / 2 && rte_rdtsc() < end; got += n) {
			n = rte_eth_rx_burst(veth.port, 0, m, 1 + (round * 7 + got) % RTE_DIM(m));
			for (i = 0; i < n; i++)
				TEST_ASSERT(veth_is_frame(rte_pktmbuf_mtod(m[i], void *),
						    m[i]->pkt_len, 60 + got + i, got + i),
					"round %u, frame %u", round, got + i);
			rte_pktmbuf_free_bulk(m, n);
		}
		TEST_ASSERT_EQUAL(got, VETH_N_DESC / 2, "round %u: %u came", round, got);
	}
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT_EQUAL(stats.imissed, 0, "%" PRIu64 " missed", stats.imissed);
	return veth_stop_whole();
}

static int
start_again(void)
{
	struct rte_eth_stats stats;
	unsigned int i;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	for (i = 0; i < 5; i++) {
		if (veth_both_ways(60, 69) < 0 || veth_stop_whole() < 0)
			return -1;
		TEST_ASSERT_EQUAL(
			veth_sh("ip link show near | grep -q xdp"), -1, "a program is left");
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start again");
	}
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT_EQUAL(stats.ipackets, 50, "%" PRIu64 " packets in", stats.ipackets);
	TEST_ASSERT_SUCCESS(rte_eth_stats_reset(veth.port), "reset");
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT_EQUAL(stats.ipackets, 0, "%" PRIu64 " packets after the reset", stats.ipackets);
	return veth_stop_whole();
}

static int
on_event(uint16_t id, enum rte_eth_event_type type, void *arg, void *ret)
{
	__atomic_add_fetch((unsigned int *)arg, 1, __ATOMIC_RELEASE);
	return 0;
}

static bool
comes_true(const unsigned int *n)
{
	uint64_t end = veth_deadline();

	while (__atomic_load_n(n, __ATOMIC_ACQUIRE) == 0 && rte_rdtsc() < end)
		sched_yield();
	return __atomic_load_n(n, __ATOMIC_ACQUIRE) > 0;
}

static int
a_netdev_that_vanishes(void)
{
	struct rte_mbuf *m[BURST];
	struct rte_eth_link link;
	unsigned int events = 0, i;
	uint64_t end = veth_deadline();
	uint16_t sent;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	call_on(RTE_ETH_EVENT_INTR_RMV, on_event, &events);
	if (veth_both_ways(60, 69) < 0)
		return -1;
	test_log_begin();
	TEST_ASSERT_SUCCESS(veth_sh("ip link del far"), "delete");
	while (!comes_true(&events) && rte_rdtsc() < end)
		;
	TEST_ASSERT_EQUAL(events, 1, "%u events", events);
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "netdev near was removed: stop and close port"), "message");
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(veth.port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_DOWN, "link is up");
	TEST_ASSERT_EQUAL(rte_eth_dev_is_removed(veth.port), 1, "not removed");
	/* Receive and transmit calls keep working without effect, and do not crash. */
	for (i = 0; i < 100; i++) {
		TEST_ASSERT_EQUAL(rte_eth_rx_burst(veth.port, 0, m, BURST), 0, "receives");
		m[0] = veth_make_mbuf(veth.pool, 60, i);
		TEST_ASSERT_NOT_NULL(m[0], "no mbuf");
		sent = rte_eth_tx_burst(veth.port, 0, m, 1);
		if (sent == 0)
			rte_pktmbuf_free(m[0]);
	}
	if (veth_stop_whole() < 0)
		return -1;
	test_log_begin();
	/* ethdev returns this error for a removed device, whatever the driver returned. */
	TEST_ASSERT_EQUAL(rte_eth_dev_start(veth.port), -EIO, "started without a netdev");
	TEST_ASSERT_NOT_NULL(strstr(test_log_end(), "was removed"), "message");
	TEST_ASSERT_SUCCESS(rte_eth_dev_close(veth.port), "close");
	return 0;
}

/* Probe a second port, with a queue and a pool of its own or the first one's. */
static int
add_second(const char *args, struct rte_mempool *mbufs, uint16_t *port2)
{
	struct rte_eth_conf conf = {0};

	TEST_ASSERT_NOT_NULL(mbufs, "pool");
	TEST_ASSERT_SUCCESS(rte_vdev_init(VETH_DEVICE2, args), "second device");
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_port_by_name(VETH_DEVICE2, port2), "second port");
	rte_eth_dev_configure(*port2, 1, 1, &conf);
	rte_eth_rx_queue_setup(*port2, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL, mbufs);
	rte_eth_tx_queue_setup(*port2, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL);
	return 0;
}

/*
 * The kernel sees sockets, not programs: another port of ours on the same queue stands for another
 * program.
 */
static int
add_rival(uint16_t *port2, struct rte_mempool **pool2)
{
	*pool2 = rte_pktmbuf_pool_create(
		"second", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	return add_second("iface=near", *pool2, port2);
}

static int
remove_rival(uint16_t port2, struct rte_mempool *pool2)
{
	rte_eth_dev_stop(port2);
	rte_eth_dev_close(port2);
	rte_mempool_free(pool2);
	return rte_vdev_uninit(VETH_DEVICE2);
}

static int
a_queue_that_another_holds(void)
{
	struct rte_mempool *pool2;
	uint16_t port2;
	int rc;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	if (add_rival(&port2, &pool2) != 0)
		return -1;
	test_log_begin();
	rc = rte_eth_dev_start(port2);
	TEST_ASSERT_EQUAL(rc, -EBUSY, "%d", rc);
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "queue 0 of near is held by another AF_XDP socket"),
		"message");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(pool2), 1023, "mbufs lost");
	if (veth_both_ways(60, 69) < 0) /* the first port is unaffected */
		return -1;
	if (veth_stop_whole() < 0)
		return -1;
	/* The queue can be used as soon as it is free. */
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(port2), "not free");
	return remove_rival(port2, pool2);
}

#define LATE_S 4 /* longer than a port waits for a queue that was never its own */

static void *
stop_late(void *arg)
{
	sleep(LATE_S);
	return (void *)(intptr_t)rte_eth_dev_stop(*(uint16_t *)arg);
}

/*
 * On a busy machine the kernel takes seconds to release the queue of a closed socket. A port that
 * starts again waits for it.
 */
static int
a_queue_that_is_released_late(void)
{
	struct rte_mempool *pool2;
	pthread_t thread;
	uint16_t port2;
	void *stopped;
	int rc;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	if (veth_stop_whole() < 0 || add_rival(&port2, &pool2) != 0)
		return -1;
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(port2), "second port");
	TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, stop_late, &port2), "thread");
	rc = rte_eth_dev_start(veth.port);
	pthread_join(thread, &stopped);
	TEST_ASSERT(stopped == NULL, "stop");
	TEST_ASSERT_SUCCESS(rc, "it did not wait: %d", rc);
	/* The other port may have set the netdev down when it closed. */
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_link_up(veth.port), "up");
	if (veth_both_ways(60, 69) < 0 || veth_stop_whole() < 0)
		return -1;
	return remove_rival(port2, pool2);
}

static int
two_ports_on_one_netdev(void)
{
	uint16_t port2;
	int rc;

	TEST_ASSERT_SUCCESS(veth_sh("ip link set dev near down"), "down");
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	if (add_second("iface=near,start_queue=1", veth.pool, &port2) != 0)
		return -1;
	rc = rte_eth_dev_start(port2);
	TEST_ASSERT_SUCCESS(rc, "second port: %d", rc);
	/*
	 * The XDP program stays until no port needs it. So does the netdev's state, which the first
	 * port set up.
	 */
	rte_eth_dev_stop(port2);
	TEST_ASSERT_SUCCESS(veth_sh("ip link show near | grep -q xdp"), "no program any more");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(port2), "the second again");
	rte_eth_dev_stop(veth.port);
	TEST_ASSERT_SUCCESS(
		veth_sh("ip link show near up | grep -q xdp"), "down, or no program any more");
	rte_eth_dev_stop(port2);
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(veth.pool), veth.pool->size, "mbufs lost");
	TEST_ASSERT_EQUAL(veth_sh("ip link show near | grep -q xdp"), -1, "a program is left");
	TEST_ASSERT_EQUAL(
		veth_sh("ip link show near up | grep -q near"), -1, "up, as it was not before");
	rte_eth_dev_close(port2);
	return rte_vdev_uninit(VETH_DEVICE2);
}

static int
a_program_of_another(void)
{
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int prog = bpf_prog_load(BPF_PROG_TYPE_XDP, "theirs", "BSD", pass, RTE_DIM(pass), NULL);
	const char *said;

	TEST_ASSERT(prog >= 0, "program: %s", strerror(-prog));
	TEST_ASSERT_SUCCESS(bpf_xdp_attach(if_nametoindex("near"), prog, 0, NULL), "attach");
	test_log_begin();
	TEST_ASSERT_EQUAL(veth_port_start("iface=near", 1), -EBUSY, "started");
	said = test_log_end();
	TEST_ASSERT_NOT_NULL(
		strstr(said, "near has an XDP program already, \"theirs\""), "%s", said);
	TEST_ASSERT_NOT_NULL(strstr(said, "ip link set dev near xdp off"), "%s", said);
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(veth.pool), VETH_N_MBUFS, "mbufs lost");
	TEST_ASSERT_SUCCESS(veth_sh("ip link show near | grep -q xdp"), "theirs is gone");
	TEST_ASSERT_SUCCESS(veth_sh("ip link set dev near xdp off"), "off");
	close(prog);
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	return veth_stop_whole();
}

/* Run a thread without AF_XDP: a seccomp(2) filter makes its calls fail. */
static void *
without_af_xdp(void *result)
{
	if (test_refuse_call_with(__NR_socket, 0, AF_XDP, EAFNOSUPPORT) == 0)
		*(int *)result = rte_vdev_init(VETH_DEVICE, "iface=near");
	return NULL;
}

static int
a_kernel_without_af_xdp(void)
{
	pthread_t thread;
	int rc = 1;

	test_log_begin();
	TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, without_af_xdp, &rc), "thread");
	pthread_join(thread, NULL);
	if (rc == 1)
		return test_skip("this kernel has no seccomp filters");
	TEST_ASSERT_EQUAL(rc, -EAFNOSUPPORT, "probe: %d", rc);
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "this kernel has no AF_XDP: it needs CONFIG_XDP_SOCKETS"),
		"message");
	TEST_ASSERT(rte_eth_dev_get_port_by_name(VETH_DEVICE, &veth.port) < 0, "a port is left");
	TEST_ASSERT_NULL(peek(dmamap_container_by_name("af_xdp")), "a container is left");
	return 0;
}

/* Unsupported requests are refused at configuration, with a line that gives the reason. */
static int
wrong_parameters(void)
{
	static const struct {
		const char *args, *said;
	} bad[] = {
		{"", "no netdev given: add iface="},
		{"iface=nowhere", "there is no netdev nowhere in this network namespace"},
		{"iface=lo", "lo is not an Ethernet device"},
		{"iface=aninterfacewithalongname", "expected the name of a netdev"},
		{"iface=near,iface=far", "the argument \"iface\" is given twice"},
		{"iface=near,speed=1", "unknown argument \"speed\": known are iface"},
		{"iface=near,queue_count=0", "expected a number from 1 to 64"},
		{"iface=near,queue_count=-1", "expected a number from 1 to 64"},
		{"iface=near,queue_count=2x", "expected a number from 1 to 64"},
		{"iface=near,queue_count=3", "near has no queue 2, only 0 to 1"},
		{"iface=near,start_queue=1,queue_count=2", "near has no queue 2"},
		{"iface=near,zero_copy=maybe", "invalid argument zero_copy=maybe: expected 0 or 1"},
		{"iface=near,native=0,zero_copy=1", "zero_copy=1 needs the driver's XDP"},
		{"iface=near,busy_budget=70000", "expected a number from 0 to 65535"},
		{"iface=near,steer=gopher", "expected arp, ipv4"},
		{"iface=near,steer=arp:3", "expected no port after a protocol without ports"},
		{"iface=near,steer=udp:0", "expected a number from 1 to 65535"},
		{"iface=near,steer=0x11", "expected arp, ipv4"},
		{"iface=near,container=", "expected the name of a container"},
	};
	const char *said;
	unsigned int i;

	for (i = 0; i < RTE_DIM(bad); i++) {
		test_log_begin();
		TEST_ASSERT(rte_vdev_init(VETH_DEVICE, bad[i].args) < 0, "%s", bad[i].args);
		said = test_log_end();
		TEST_ASSERT_NOT_NULL(strstr(said, bad[i].said), "%s: %s", bad[i].args, said);
		TEST_ASSERT(rte_eth_dev_get_port_by_name(VETH_DEVICE, &veth.port) < 0,
			"a port is left");
		TEST_ASSERT_NULL(peek(dmamap_container_by_name("af_xdp")), "a container is left");
	}
	return 0;
}

static int
zero_copy_that_is_not_there(void)
{
	const char *said;

	test_log_begin();
	TEST_ASSERT_EQUAL(veth_port_start("iface=near,zero_copy=1", 1), -EOPNOTSUPP, "started");
	said = test_log_end();
	TEST_ASSERT_NOT_NULL(
		strstr(said,
			"the driver of near does not support zero-copy: leave zero_copy=1 out"),
		"%s", said);
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(veth.pool), VETH_N_MBUFS, "mbufs lost");
	veth_port_drop();
	test_log_begin();
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	said = test_log_end();
	TEST_ASSERT_NOT_NULL(strstr(said, "so the kernel copies each frame"), "%s", said);
	return veth_stop_whole();
}

static int
wrong_configurations(void)
{
	struct rte_eth_rxconf rxconf = {.rx_deferred_start = 1};
	struct rte_eth_conf conf = {0};
	struct rte_mempool *small;

	TEST_ASSERT_SUCCESS(veth_port_add("iface=near,queue_count=2", VETH_N_MBUFS), "port");
	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(veth.port, 1, 1, &conf), "configure");
	test_log_begin();
	TEST_ASSERT(rte_eth_rx_queue_setup(
			    veth.port, 0, VETH_N_DESC, SOCKET_ID_ANY, &rxconf, veth.pool) < 0,
		"deferred start");
	/* From 25.03 on ethdev refuses before it asks the driver. */
	TEST_ASSERT_NOT_NULL(strstr(test_log_end(),
				     RTE_VERSION < RTE_VERSION_NUM(25, 3, 0, 0)
					     ? "leave rx_deferred_start out"
					     : "does not support Rx queue start"),
		"message");
	conf.rxmode.mtu = 1900;
	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(veth.port, 1, 1, &conf), "configure");
	test_log_begin();
	TEST_ASSERT(rte_eth_rx_queue_setup(
			    veth.port, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL, veth.pool) < 0,
		"frames that do not fit");
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "(MTU 1900) does not fit into a buffer"), "message");
	small = rte_pktmbuf_pool_create("small", 63, 0, 0, 2040, SOCKET_ID_ANY);
	conf.rxmode.mtu = 1400;
	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(veth.port, 1, 1, &conf), "configure");
	TEST_ASSERT(
		rte_eth_rx_queue_setup(veth.port, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL, small) < 0,
		"small");
	rte_mempool_free(small);
	return 0;
}

/* A frame for the steering rules, and its expected queue. */
struct steered {
	const char *name;
	bool mine;
	unsigned int len;
	uint8_t head[90];
};

#define MACS 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7
#define IPV4(proto, frag)                                                                          \
	0x45, 0, 0, 40, 0, 0, (frag) >> 8, (frag)&0xff, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2
#define IPV6_ADDR 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
#define IPV6(next) 0x60, 0, 0, 0, 0, 40, next, 64, IPV6_ADDR, IPV6_ADDR
#define PORTS(to) 0x30, 0x39, (to) >> 8, (to)&0xff, 0, 8, 0, 0

static const struct steered steered[] = {
	{"ARP", true, 60, {MACS, 8, 6}},
	{"UDP to 4789", true, 60, {MACS, 8, 0, IPV4(17, 0), PORTS(4789)}},
	{"UDP to 53", false, 60, {MACS, 8, 0, IPV4(17, 0), PORTS(53)}},
	{"UDP from 4789", false, 60, {MACS, 8, 0, IPV4(17, 0), 0x12, 0xb5, 0, 53}},
	{"TCP to 4789", false, 60, {MACS, 8, 0, IPV4(6, 0), PORTS(4789)}},
	{"ICMP", true, 60, {MACS, 8, 0, IPV4(1, 0), 8, 0}},
	{"first fragment of UDP to 4789", true, 60, {MACS, 8, 0, IPV4(17, 0x2000), PORTS(4789)}},
	{"later fragment", false, 60, {MACS, 8, 0, IPV4(17, 0x2010), PORTS(4789)}},
	{"options before UDP to 4789", true, 64,
		{MACS, 8, 0, 0x46, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1,
			1, 1, 1, PORTS(4789)}},
	{"UDP to 4789 behind two tags", true, 68,
		{MACS, 0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0, IPV4(17, 0), PORTS(4789)}},
	{"IPv6 UDP to 4789", true, 70, {MACS, 0x86, 0xdd, IPV6(17), PORTS(4789)}},
	{"IPv6 UDP to 4790", false, 70, {MACS, 0x86, 0xdd, IPV6(17), PORTS(4790)}},
	{"IPv6 UDP to 4789 behind options", true, 80,
		{MACS, 0x86, 0xdd, IPV6(0), 17, 0, 1, 4, 0, 0, 0, 0, PORTS(4789)}},
	{"IPv6 later fragment", false, 80,
		{MACS, 0x86, 0xdd, IPV6(44), 17, 0, 0, 8, 0, 0, 0, 1, PORTS(4789)}},
	{"IPv6 first fragment", true, 80,
		{MACS, 0x86, 0xdd, IPV6(44), 17, 0, 0, 1, 0, 0, 0, 1, PORTS(4789)}},
	{"another ether type", true, 60, {MACS, 0x88, 0xf7}},
	{"a frame cut short in IPv4", false, 20, {MACS, 8, 0, 0x45}},
	{"a frame cut short before the ports", false, 36, {MACS, 8, 0, IPV4(17, 0), 0x30}},
	{"test frames", false, 60, {MACS, 0x88, 0xb5}},
};

static int
frames_are_steered(void)
{
	uint8_t got[AF_XDP_MAX_CHUNK];
	struct rte_mbuf *m = NULL;
	int kernel, i;
	uint64_t end;
	ssize_t len;
	bool mine;

	TEST_ASSERT_SUCCESS(
		veth_port_start("iface=near,steer=arp+udp:4789+icmp+0x88f7", 1), "start");
	kernel = veth_packet_socket("near", ETH_P_ALL);
	TEST_ASSERT(kernel >= 0, "packet socket");
	for (i = 0; i < (int)RTE_DIM(steered); i++) {
		TEST_ASSERT_EQUAL(send(veth.peer, steered[i].head, steered[i].len, 0),
			steered[i].len, "send %s", steered[i].name);
		len = -1;
		for (end = veth_deadline(), mine = false; !mine && len < 0 && rte_rdtsc() < end;) {
			mine = rte_eth_rx_burst(veth.port, 0, &m, 1) == 1;
			len = recv(kernel, got, sizeof(got), 0);
		}
		TEST_ASSERT(mine || len >= 0, "%s came nowhere", steered[i].name);
		TEST_ASSERT_EQUAL(mine, steered[i].mine, "%s came to the %s", steered[i].name,
			mine ? "port" : "kernel");
		if (mine) {
			TEST_ASSERT_EQUAL(memcmp(rte_pktmbuf_mtod(m, void *), steered[i].head,
						  steered[i].len),
				0, "%s changed", steered[i].name);
			rte_pktmbuf_free(m);
		}
	}
	close(kernel);
	return veth_stop_whole();
}

static int
the_netdev_follows_the_port(void)
{
	struct rte_ether_addr mac = {{2, 0, 0, 1, 2, 3}}, group = {{1, 0, 0x5e, 1, 2, 3}};
	struct rte_eth_link link;
	uint16_t mtu;

	TEST_ASSERT_SUCCESS(veth_sh("ip link set near address 02:00:00:00:00:42"), "address");
	TEST_ASSERT_EQUAL(veth_sh("ip link show near | grep -q '[<,]UP[,>]'"), -1, "up before");
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	TEST_ASSERT_SUCCESS(veth_sh("ip link show near | grep -q '[<,]UP[,>]'"), "not up");
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(veth.port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_UP, "link");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_mtu(veth.port, 1400), "MTU");
	TEST_ASSERT_SUCCESS(veth_sh("ip link show near | grep -q 'mtu 1400 '"), "MTU");
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_mtu(veth.port, &mtu), "MTU");
	TEST_ASSERT_EQUAL(mtu, 1400, "MTU %u", mtu);
	TEST_ASSERT(rte_eth_dev_set_mtu(veth.port, 9000) < 0, "MTU 9000");
	TEST_ASSERT_SUCCESS(rte_eth_promiscuous_enable(veth.port), "promiscuous");
	TEST_ASSERT_SUCCESS(
		veth_sh("ip -d link show near | grep -q 'promiscuity 1'"), "promiscuous");
	TEST_ASSERT_SUCCESS(rte_eth_promiscuous_disable(veth.port), "promiscuous");
	TEST_ASSERT_SUCCESS(
		veth_sh("ip -d link show near | grep -q 'promiscuity 0'"), "promiscuous");
	TEST_ASSERT_SUCCESS(rte_eth_promiscuous_enable(veth.port), "promiscuous");
	TEST_ASSERT_SUCCESS(rte_eth_allmulticast_enable(veth.port), "all multicast");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_mc_addr_list(veth.port, &group, 1), "multicast");
	TEST_ASSERT_SUCCESS(veth_sh("ip maddr show near | grep -q 01:00:5e:01:02:03"), "multicast");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_mc_addr_list(veth.port, NULL, 0), "multicast");
	TEST_ASSERT_EQUAL(
		veth_sh("ip maddr show near | grep -q 01:00:5e:01:02:03"), -1, "multicast");
	TEST_ASSERT_SUCCESS(rte_eth_dev_default_mac_addr_set(veth.port, &mac), "address");
	TEST_ASSERT_SUCCESS(veth_sh("ip link show near | grep -q 02:00:00:01:02:03"), "address");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_link_down(veth.port), "down");
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(veth.port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_DOWN, "link is up");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_link_up(veth.port), "up");
	if (veth_stop_whole() < 0)
		return -1;
	TEST_ASSERT_EQUAL(veth_sh("ip link show near | grep -q '[<,]UP[,>]'"), -1, "up after");
	TEST_ASSERT_SUCCESS(rte_eth_dev_close(veth.port), "close");
	TEST_ASSERT_SUCCESS(veth_sh("ip -d link show near | grep -q 'mtu 1500 .*'"), "MTU is left");
	TEST_ASSERT_SUCCESS(
		veth_sh("ip link show near | grep -q 02:00:00:00:00:42"), "address is left");
	TEST_ASSERT_SUCCESS(
		veth_sh("ip -d link show near | grep -q 'promiscuity 0'"), "promiscuous is left");
	return 0;
}

/* The kernel reports the link a moment after the start. Until then it does not change for ethdev.
 */
static bool
link_comes_up(void)
{
	uint64_t end = veth_deadline();
	struct rte_eth_link link;

	do
		if (rte_eth_link_get_nowait(veth.port, &link) == 0 &&
			link.link_status == RTE_ETH_LINK_UP)
			return true;
	while (rte_rdtsc() < end);
	return false;
}

/* Count events that come while the link is down; one of the link that came up can be late. */
static int
on_link_down(uint16_t id, enum rte_eth_event_type type, void *arg, void *ret)
{
	struct rte_eth_link link;

	if (rte_eth_link_get_nowait(id, &link) == 0 && link.link_status == RTE_ETH_LINK_DOWN)
		on_event(id, type, arg, ret);
	return 0;
}

static int
link_changes_are_told(void)
{
	struct rte_eth_conf conf = {.intr_conf.lsc = 1};
	unsigned int events = 0;

	TEST_ASSERT_SUCCESS(veth_port_add("iface=near", VETH_N_MBUFS), "port");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	TEST_ASSERT(link_comes_up(), "link");
	call_on(RTE_ETH_EVENT_INTR_LSC, on_link_down, &events);
	TEST_ASSERT_SUCCESS(veth_sh("ip link set far down"), "down");
	TEST_ASSERT(comes_true(&events), "no event");
	return veth_stop_whole();
}

static int
a_queue_can_be_waited_for(void)
{
	struct rte_eth_conf conf = {.intr_conf.rxq = 1};
	struct rte_epoll_event event;
	struct rte_mbuf *m;
	uint16_t q;

	TEST_ASSERT_SUCCESS(veth_port_add("iface=near", VETH_N_MBUFS), "port");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_intr_ctl_q(
				    veth.port, 0, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD, NULL),
		"add");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_intr_enable(veth.port, 0), "enable");
	TEST_ASSERT_EQUAL(
		rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, 0), 0, "woken by nothing");
	TEST_ASSERT_SUCCESS(veth_peer_send(60, 1), "send");
	TEST_ASSERT_EQUAL(rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, VETH_PATIENCE_S * 1000),
		1, "not woken");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_intr_disable(veth.port, 0), "disable");
	m = veth_port_receive(&q);
	TEST_ASSERT_NOT_NULL(m, "nothing there");
	rte_pktmbuf_free(m);
	rte_eth_dev_rx_intr_ctl_q(veth.port, 0, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_DEL, NULL);
	return veth_stop_whole();
}

/* eventdev's adapter reads this of the handle; where it is false, one queue has to wake all. */
static int
each_queue_has_an_interrupt_of_its_own(void)
{
	struct rte_eth_conf conf = {.intr_conf.rxq = 1};
	int fd[2];

	TEST_ASSERT_SUCCESS(veth_port_add("iface=near,queue_count=2", VETH_N_MBUFS), "port");
	TEST_ASSERT_SUCCESS(veth_port_configure(2, 2, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	TEST_ASSERT(rte_intr_cap_multiple(rte_eth_devices[veth.port].intr_handle),
		"the handle tells of one interrupt for all queues");
	fd[0] = rte_eth_dev_rx_intr_ctl_q_get_fd(veth.port, 0);
	fd[1] = rte_eth_dev_rx_intr_ctl_q_get_fd(veth.port, 1);
	TEST_ASSERT(fd[0] >= 0 && fd[1] >= 0 && fd[0] != fd[1], "%d and %d", fd[0], fd[1]);
	return veth_stop_whole();
}

static int
all_counters_have_names(void)
{
	struct rte_eth_xstat_name names[64];
	struct rte_eth_xstat values[64];
	uint64_t id, value;
	int n, i;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near,queue_count=2", 2), "start");
	n = rte_eth_xstats_get_names(veth.port, names, RTE_DIM(names));
	TEST_ASSERT(n > 18 && n <= (int)RTE_DIM(names), "%d names", n);
	TEST_ASSERT_EQUAL(rte_eth_xstats_get(veth.port, values, RTE_DIM(values)), n, "values");
	for (i = 0; i < n; i++)
		TEST_ASSERT_EQUAL(values[i].id, (uint64_t)i, "number of %s", names[i].name);
	if (veth_both_ways(60, 60) < 0)
		return -1;
	TEST_ASSERT_SUCCESS(rte_eth_xstats_get_id_by_name(veth.port, "tx_q1_copies", &id), "name");
	TEST_ASSERT_EQUAL(rte_eth_xstats_get_by_id(veth.port, &id, &value, 1), 1, "by id");
	TEST_ASSERT_EQUAL(value, 0, "copies");
	return veth_stop_whole();
}

/* The sum of a counter over both queues. */
static uint64_t
sum_of_queues(const char *pattern)
{
	uint64_t id, value, sum = 0;
	char name[RTE_ETH_XSTATS_NAME_SIZE];
	unsigned int q;

	for (q = 0; q < 2; q++) {
		snprintf(name, sizeof(name), pattern, q);
		if (rte_eth_xstats_get_id_by_name(veth.port, name, &id) == 0 &&
			rte_eth_xstats_get_by_id(veth.port, &id, &value, 1) == 1)
			sum += value;
	}
	return sum;
}

/* DPDK has them from stats_get(), in a structure of their own since 25.11. */
static int
queues_add_up_to_the_port(void)
{
	struct rte_eth_stats stats;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near,queue_count=2", 2), "start");
	if (veth_both_ways(60, 70) < 0)
		return -1;
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT(stats.ipackets > 0 && stats.opackets > 0, "nothing is counted");
	TEST_ASSERT_EQUAL(sum_of_queues("rx_q%u_packets"), stats.ipackets, "received");
	TEST_ASSERT_EQUAL(sum_of_queues("rx_q%u_bytes"), stats.ibytes, "bytes received");
	TEST_ASSERT_EQUAL(sum_of_queues("tx_q%u_packets"), stats.opackets, "sent");
	TEST_ASSERT_EQUAL(sum_of_queues("tx_q%u_bytes"), stats.obytes, "bytes sent");
	return veth_stop_whole();
}

/* Copy mode needs a system call to send, and none to receive. */
static int
receiving_makes_no_system_calls(void)
{
	const struct af_xdp_port *p;
	struct rte_mbuf *m;
	unsigned int i;
	uint16_t q;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	p = rte_eth_devices[veth.port].data->dev_private;
	for (i = 0; i < 1000; i++) {
		TEST_ASSERT_SUCCESS(veth_peer_send(60, i), "send");
		m = veth_port_receive(&q);
		TEST_ASSERT_NOT_NULL(m, "did not come");
		rte_pktmbuf_free(m);
	}
	TEST_ASSERT_EQUAL(p->queue[0].rx.calls, 0, "%" PRIu64 " calls", p->queue[0].rx.calls);
	return veth_stop_whole();
}

static int
restart(void)
{
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(veth.port), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	return 0;
}

/*
 * ethdev applies promiscuous mode and addresses again at each start, and the kernel counts
 * memberships.
 */
static int
memberships_end_after_restarts(void)
{
	struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 0x77}};
	const char *fdb = "bridge fdb show dev near | grep -q 02:00:00:00:00:77";
	unsigned int i;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	TEST_ASSERT_SUCCESS(rte_eth_promiscuous_enable(veth.port), "promiscuous");
	TEST_ASSERT_SUCCESS(rte_eth_allmulticast_enable(veth.port), "all multicast");
	TEST_ASSERT_SUCCESS(rte_eth_dev_mac_addr_add(veth.port, &mac, 0), "address");
	for (i = 0; i < 2; i++)
		if (restart() < 0)
			return -1;
	TEST_ASSERT_SUCCESS(
		veth_sh("ip -d link show near | grep -q 'allmulti 1'"), "not multicast");
	TEST_ASSERT_SUCCESS(veth_sh(fdb), "the address is lost");
	TEST_ASSERT_SUCCESS(rte_eth_dev_mac_addr_remove(veth.port, &mac), "address");
	TEST_ASSERT_EQUAL(veth_sh(fdb), -1, "the address is left");
	TEST_ASSERT_SUCCESS(veth_sh("ip -d link show near | grep -q 'promiscuity 1'"), "it is off");
	TEST_ASSERT_SUCCESS(rte_eth_promiscuous_disable(veth.port), "promiscuous");
	TEST_ASSERT_SUCCESS(veth_sh("ip -d link show near | grep -q 'promiscuity 0'"), "still on");
	TEST_ASSERT_SUCCESS(rte_eth_allmulticast_disable(veth.port), "all multicast");
	TEST_ASSERT_SUCCESS(
		veth_sh("ip -d link show near | grep -q 'allmulti 0'"), "still multicast");
	/* They can be joined again. */
	TEST_ASSERT_SUCCESS(rte_eth_promiscuous_enable(veth.port), "promiscuous");
	TEST_ASSERT_SUCCESS(
		veth_sh("ip -d link show near | grep -q 'promiscuity 1'"), "not on again");
	TEST_ASSERT_SUCCESS(rte_eth_dev_mac_addr_add(veth.port, &mac, 0), "address");
	TEST_ASSERT_SUCCESS(veth_sh(fdb), "the address is not joined again");
	return veth_stop_whole();
}

/* The operator's settings made while the port exists are neither undone nor overwritten. */
static int
settings_of_the_operator_stay(void)
{
	struct rte_ether_addr mac = {{2, 0, 0, 1, 2, 3}}, now;
	struct rte_eth_conf conf = {0};

	/* Changed between probe and start. */
	TEST_ASSERT_SUCCESS(veth_port_add("iface=near", VETH_N_MBUFS), "port");
	TEST_ASSERT_SUCCESS(veth_sh("ip link set near address 02:00:00:00:00:98"), "address");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	TEST_ASSERT_SUCCESS(
		veth_sh("ip link show near | grep -q 02:00:00:00:00:98"), "undone by start");
	TEST_ASSERT_SUCCESS(rte_eth_macaddr_get(veth.port, &now), "address");
	TEST_ASSERT_EQUAL(now.addr_bytes[5], 0x98, "the port reports its former address");
	/* Changed while it runs. */
	TEST_ASSERT_SUCCESS(veth_sh("ip link set near address 02:00:00:00:00:99"), "address");
	if (veth_stop_whole() < 0)
		return -1;
	veth_port_drop();
	TEST_ASSERT_SUCCESS(
		veth_sh("ip link show near | grep -q 02:00:00:00:00:99"), "undone by close");
	/* Changed after the port had changed it. */
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	TEST_ASSERT_SUCCESS(rte_eth_dev_default_mac_addr_set(veth.port, &mac), "address");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_mtu(veth.port, 1400), "MTU");
	if (restart() < 0)
		return -1;
	TEST_ASSERT_SUCCESS(
		veth_sh("ip link show near | grep -q 02:00:00:01:02:03"), "address is lost");
	TEST_ASSERT_SUCCESS(
		veth_sh("ip link set near address 02:00:00:00:00:9a mtu 1450"), "settings");
	if (veth_stop_whole() < 0)
		return -1;
	veth_port_drop();
	TEST_ASSERT_SUCCESS(
		veth_sh("ip link show near | grep -q 02:00:00:00:00:9a"), "address undone");
	TEST_ASSERT_SUCCESS(veth_sh("ip link show near | grep -q 'mtu 1450 '"), "MTU undone");
	return 0;
}

static int
an_mtu_beyond_the_buffers_is_refused(void)
{
	uint16_t mtu;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_set_mtu(veth.port, 3000), -EINVAL, "MTU while it runs");
	TEST_ASSERT(test_logged("(MTU 3000) does not fit into a buffer of pool"), "message");
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_mtu(veth.port, &mtu), "MTU");
	TEST_ASSERT_EQUAL(mtu, 1500, "MTU %u", mtu);
	TEST_ASSERT_SUCCESS(veth_sh("ip link show near | grep -q 'mtu 1500 '"), "MTU");
	if (veth_stop_whole() < 0)
		return -1;
	TEST_ASSERT_EQUAL(rte_eth_dev_set_mtu(veth.port, 3000), -EINVAL, "MTU of a stopped port");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "it cannot be started again");
	return veth_stop_whole();
}

/* ethdev's default MTU, on a netdev whose frames are larger than the buffers. */
static int
the_default_mtu_is_set_if_the_buffers_need_it(void)
{
	uint16_t mtu;

	TEST_ASSERT_SUCCESS(veth_sh("ip link set near mtu 9000"), "MTU");
	test_log_begin();
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	TEST_ASSERT_NOT_NULL(strstr(test_log_end(), "the MTU of near is set to 1500"), "message");
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_mtu(veth.port, &mtu), "MTU");
	TEST_ASSERT_EQUAL(mtu, 1500, "MTU %u", mtu);
	TEST_ASSERT_SUCCESS(veth_sh("ip link show near | grep -q 'mtu 1500 '"), "MTU");
	if (veth_both_ways(1500, 1514) < 0 || veth_stop_whole() < 0)
		return -1;
	veth_port_drop();
	TEST_ASSERT_SUCCESS(veth_sh("ip link show near | grep -q 'mtu 9000 '"), "not restored");
	/* A netdev whose frames fit keeps its MTU. */
	TEST_ASSERT_SUCCESS(veth_sh("ip link set near mtu 1600"), "MTU");
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_mtu(veth.port, &mtu), "MTU");
	TEST_ASSERT_EQUAL(mtu, 1600, "MTU %u", mtu);
	return veth_stop_whole();
}

static int
a_start_without_queues_is_refused(void)
{
	struct rte_eth_rxconf wrong = {.rx_free_thresh = 5000};
	struct rte_eth_txconf late = {.tx_deferred_start = 1};
	struct rte_eth_conf conf = {0};

	TEST_ASSERT_SUCCESS(veth_port_add("iface=near", VETH_N_MBUFS), "port");
	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(veth.port, 1, 1, &conf), "configure");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(veth.port), -EINVAL, "started without queues");
	TEST_ASSERT(test_logged("receive queue 0 is not set up: call rte_eth_rx_queue_setup()"),
		"message");
	TEST_ASSERT_SUCCESS(
		rte_eth_rx_queue_setup(veth.port, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL, veth.pool),
		"queue");
	test_log_begin();
	TEST_ASSERT_EQUAL(
		rte_eth_dev_start(veth.port), -EINVAL, "started without a transmit queue");
	TEST_ASSERT(test_logged("transmit queue 0 is not set up: call rte_eth_tx_queue_setup()"),
		"message");
	TEST_ASSERT_SUCCESS(
		rte_eth_tx_queue_setup(veth.port, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL), "queue");
	/* ethdev has released the former queue when the driver refuses a new one. */
	TEST_ASSERT_EQUAL(
		rte_eth_rx_queue_setup(veth.port, 0, VETH_N_DESC, SOCKET_ID_ANY, &wrong, veth.pool),
		-EINVAL, "rx_free_thresh");
	TEST_ASSERT_EQUAL(rte_eth_dev_start(veth.port), -EINVAL, "started with a refused queue");
	TEST_ASSERT_SUCCESS(
		rte_eth_rx_queue_setup(veth.port, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL, veth.pool),
		"queue");
	TEST_ASSERT_EQUAL(rte_eth_tx_queue_setup(veth.port, 0, VETH_N_DESC, SOCKET_ID_ANY, &late),
		-ENOTSUP, "deferred start");
	/* From 25.03 on ethdev refuses this itself, and keeps the queue. */
	if (rte_eth_devices[veth.port].data->tx_queues[0] == NULL)
		TEST_ASSERT_EQUAL(
			rte_eth_dev_start(veth.port), -EINVAL, "started with a refused queue");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(veth.pool), VETH_N_MBUFS, "mbufs lost");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	return veth_both_ways(60, 69) < 0 ? -1 : veth_stop_whole();
}

/* rx_nombuf counts buffers, not polls. */
static int
missing_buffers_are_counted_once(void)
{
	struct rte_mbuf *held[2 * VETH_N_DESC];
	struct rte_eth_conf conf = {0};
	struct rte_eth_stats stats;
	unsigned int n = 0, i;

	TEST_ASSERT_SUCCESS(veth_port_add("iface=near", 511), "port");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	TEST_ASSERT_SUCCESS(flood(held, &n), "flood");
	for (i = 0; i < 10000; i++)
		TEST_ASSERT_EQUAL(rte_eth_rx_burst(veth.port, 0, held + n, 1), 0, "one more");
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT(stats.rx_nombuf > 0 && stats.rx_nombuf <= VETH_N_DESC,
		"%" PRIu64 " buffers of %u missing", stats.rx_nombuf, VETH_N_DESC);
	rte_pktmbuf_free_bulk(held, n);
	/* A second famine is counted too. */
	i = stats.rx_nombuf;
	rte_eth_rx_burst(veth.port, 0, held, 1);
	n = 0;
	TEST_ASSERT_SUCCESS(flood(held, &n), "flood");
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT(stats.rx_nombuf > i && stats.rx_nombuf <= i + VETH_N_DESC,
		"%" PRIu64 " after %u", stats.rx_nombuf, i);
	rte_pktmbuf_free_bulk(held, n);
	TEST_ASSERT_SUCCESS(rte_eth_stats_reset(veth.port), "reset");
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT_EQUAL(stats.rx_nombuf, 0, "after the reset");
	return veth_stop_whole();
}

/*
 * With zero-copy the kernel takes frames by itself, and clears the flag. A cleared flag in copy
 * mode, where only a call sends, shows whether an empty poll heeds it.
 */
static int
an_empty_poll_calls_only_if_wanted(void)
{
	const struct af_xdp_queue *q;
	struct rte_mbuf *m;
	uint8_t got[64];
	unsigned int i;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	q = &((const struct af_xdp_port *)rte_eth_devices[veth.port].data->dev_private)->queue[0];
	*q->tx.tx.flags = 0;
	m = veth_make_mbuf(veth.pool, 60, 1);
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(veth.port, 0, &m, 1), 1, "transmit");
	for (i = 0; i < 100; i++)
		TEST_ASSERT_EQUAL(rte_eth_rx_burst(veth.port, 0, &m, 1), 0, "receives");
	TEST_ASSERT_EQUAL(q->rx.calls, 0, "%" PRIu64 " calls", q->rx.calls);
	*q->tx.tx.flags = XDP_RING_NEED_WAKEUP;
	TEST_ASSERT_EQUAL(rte_eth_rx_burst(veth.port, 0, &m, 1), 0, "receives");
	TEST_ASSERT_EQUAL(q->rx.calls, 1, "%" PRIu64 " calls", q->rx.calls);
	TEST_ASSERT(veth_peer_receive(got, sizeof(got)) == 60 && veth_is_frame(got, 60, 60, 1),
		"not sent");
	return veth_stop_whole();
}

/* A queue discipline below a macvlan holds sent frames, as the queue of a slow NIC does. */
static int
a_stop_waits_for_frames_on_their_way(void)
{
	uint8_t got[1000];
	struct rte_mbuf *m[4];
	unsigned int i;

	TEST_ASSERT_SUCCESS(veth_sh("ip link set near up"), "up");
	if (veth_sh("tc qdisc add dev near root tbf rate 16kbit burst 2000 latency 100s 2>/dev/null &&"
		    " ip link add slow link near type macvlan 2>/dev/null") < 0)
		return test_skip("this kernel has no macvlan or no tbf");
	TEST_ASSERT_SUCCESS(veth_port_start("iface=slow", 1), "start");
	for (i = 0; i < RTE_DIM(m); i++)
		m[i] = veth_make_mbuf(veth.pool, sizeof(got), i);
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(veth.port, 0, m, RTE_DIM(m)), RTE_DIM(m), "transmit");
	if (veth_stop_whole() < 0)
		return -1;
	for (i = 0; i < RTE_DIM(m); i++)
		TEST_ASSERT(recv(veth.peer, got, sizeof(got), 0) == (ssize_t)sizeof(got) &&
				veth_is_frame(got, sizeof(got), sizeof(got), i),
			"frame %u was on its way after the stop", i);
	return 0;
}

static void
on_alarm(void *arg)
{
	__atomic_add_fetch((unsigned int *)arg, 1, __ATOMIC_RELEASE);
}

static int
on_removal_close(uint16_t id, enum rte_eth_event_type type, void *arg, void *ret)
{
	if (rte_eth_dev_stop(id) == 0 && rte_eth_dev_close(id) == 0)
		__atomic_add_fetch((unsigned int *)arg, 1, __ATOMIC_RELEASE);
	return 0;
}

static int
on_removal_remove(uint16_t id, enum rte_eth_event_type type, void *arg, void *ret)
{
	if (rte_eth_dev_stop(id) < 0)
		return 0;
	/* Its memory goes with the container's last device. */
	rte_mempool_free(veth.pool);
	veth.pool = NULL;
	if (rte_dev_remove(rte_eth_devices[id].device) == 0)
		__atomic_add_fetch((unsigned int *)arg, 1, __ATOMIC_RELEASE);
	return 0;
}

/* The EAL has one interrupt thread: it must not wait for itself. */
static int
goes_within_the_event(rte_eth_dev_cb_fn on_removal)
{
	unsigned int files, gone = 0, alarms = 0;

	rte_eal_alarm_set(1, on_alarm, &alarms); /* the EAL opens its timer */
	TEST_ASSERT(comes_true(&alarms), "no alarm");
	files = test_open_files();
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	call_on(RTE_ETH_EVENT_INTR_RMV, on_removal, &gone);
	TEST_ASSERT_SUCCESS(veth_sh("ip link del far"), "delete");
	TEST_ASSERT(comes_true(&gone), "the callback does not return");
	TEST_ASSERT(rte_eth_dev_get_port_by_name(VETH_DEVICE, &veth.port) < 0, "the port is left");
	alarms = 0;
	rte_eal_alarm_set(1, on_alarm, &alarms);
	TEST_ASSERT(comes_true(&alarms), "the interrupt thread hangs");
	veth_port_drop();
	TEST_ASSERT_EQUAL(test_open_files(), files, "%u files open before, %u after", files,
		test_open_files());
	return 0;
}

static int
a_port_closes_within_its_removal_event(void)
{
	return goes_within_the_event(on_removal_close);
}

static int
a_device_goes_within_its_removal_event(void)
{
	return goes_within_the_event(on_removal_remove);
}

static int
a_port_closes_within_a_link_event(void)
{
	struct rte_eth_conf conf = {.intr_conf.lsc = 1};
	unsigned int gone = 0, alarms = 0;

	TEST_ASSERT_SUCCESS(veth_port_add("iface=near", VETH_N_MBUFS), "port");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	TEST_ASSERT(link_comes_up(), "link");
	call_on(RTE_ETH_EVENT_INTR_LSC, on_removal_close, &gone);
	/* More messages follow the one whose event closes the port. */
	TEST_ASSERT_SUCCESS(
		veth_sh("ip link set far down; ip link set far up; ip link del far"), "far");
	TEST_ASSERT(comes_true(&gone), "the callback does not return");
	rte_eal_alarm_set(1, on_alarm, &alarms);
	TEST_ASSERT(comes_true(&alarms), "the interrupt thread hangs");
	return 0;
}

/* @return 1: this feature of a netdev is on, as ethtool(8) shows it; 0: off */
static int
feature_is_on(const char *iface, const char *feature)
{
	char command[128];

	snprintf(command, sizeof(command), "ethtool -k %s | grep -q '^%s: on'", iface, feature);
	return veth_sh(command) == 0;
}

static int
tags_stay_in_frames(void)
{
	const char *lose = "frames of VLANs on far, the other end of near, lose their tags:"
			   " ethtool -K far txvlan off";
	uint16_t port2;
	int rc;

	test_log_begin();
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	TEST_ASSERT_NOT_NULL(strstr(test_log_end(), lose), "no line says so");
	TEST_ASSERT(!feature_is_on("near", "rx-vlan-offload"), "near takes tags off");
	TEST_ASSERT(!feature_is_on("near", "rx-vlan-stag-hw-parse"), "near takes S-tags off");
	/* With two ports the last one restores it. */
	if (add_second("iface=near,start_queue=1", veth.pool, &port2) != 0)
		return -1;
	rc = rte_eth_dev_start(port2);
	TEST_ASSERT_SUCCESS(rc, "second port: %d", rc);
	if (rte_eth_dev_stop(veth.port) < 0)
		return -1;
	TEST_ASSERT(!feature_is_on("near", "rx-vlan-offload"), "near takes tags off");
	rte_eth_dev_stop(port2);
	TEST_ASSERT(feature_is_on("near", "rx-vlan-offload"), "not restored");
	TEST_ASSERT(feature_is_on("near", "rx-vlan-stag-hw-parse"), "not restored");
	rte_eth_dev_close(port2);
	TEST_ASSERT_SUCCESS(rte_vdev_uninit(VETH_DEVICE2), "second device");
	TEST_ASSERT_SUCCESS(veth_sh("ethtool -K near rxvlan off rx-vlan-stag-hw-parse off &&"
				    " ethtool -K far txvlan off tx-vlan-stag-hw-insert off"),
		"ethtool");
	test_log_begin();
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	TEST_ASSERT_NULL(strstr(test_log_end(), "VLAN"), "a line without a reason");
	if (veth_stop_whole() < 0)
		return -1;
	TEST_ASSERT(!feature_is_on("near", "rx-vlan-offload"), "on, as it was not before");
	return 0;
}

static int
a_peer_out_of_sight_is_told(void)
{
	const char *said;

	if (veth_sh("ip netns add gantry-test-tags") < 0)
		return test_skip("no named network namespaces");
	veth_sh("ip link set far netns gantry-test-tags");
	test_log_begin();
	veth_port_start("iface=near", 1);
	said = test_log_end();
	veth_sh("ip netns del gantry-test-tags");
	TEST_ASSERT_NOT_NULL(
		strstr(said, "the other end of near is in another network namespace"), "%s", said);
	return 0;
}

/* A VLAN netdev at the far end, whose tags the driver of a veth would keep in the metadata. */
static int
tagged_frames_arrive_with_tags(void)
{
	static const uint8_t tag[] = {0x81, 0, 0, 100, VETH_TYPE >> 8, VETH_TYPE & 0xff};
	uint8_t frame[60];
	struct rte_mbuf *m;
	uint16_t q;
	int fd;

	if (veth_sh("ip link add link far name far.100 type vlan id 100 2>/dev/null") < 0)
		return test_skip("this kernel has no VLAN netdevs");
	TEST_ASSERT_SUCCESS(veth_sh("ip link set far.100 up &&"
				    " ethtool -K far txvlan off tx-vlan-stag-hw-insert off"),
		"VLAN");
	/* The stack chooses the queue. */
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near,queue_count=2", 2), "start");
	/* Its carrier follows a moment after that of the pair. */
	TEST_ASSERT_SUCCESS(veth_sh("for i in $(seq 100); do"
				    " ip link show far.100 | grep -q '[<,]LOWER_UP[,>]' && exit;"
				    " sleep 0.1; done; exit 1"),
		"carrier");
	fd = veth_packet_socket("far.100", VETH_TYPE);
	TEST_ASSERT(fd >= 0, "packet socket");
	veth_make_frame(frame, sizeof(frame), 1);
	TEST_ASSERT_EQUAL(send(fd, frame, sizeof(frame), 0), (ssize_t)sizeof(frame), "send");
	m = veth_port_receive(&q);
	close(fd);
	TEST_ASSERT_NOT_NULL(m, "it does not come");
	TEST_ASSERT_EQUAL(m->pkt_len, sizeof(frame) + 4, "%u bytes", m->pkt_len);
	TEST_ASSERT_EQUAL(memcmp(rte_pktmbuf_mtod_offset(m, void *, 12), tag, sizeof(tag)), 0,
		"the tag is lost");
	rte_pktmbuf_free(m);
	return veth_stop_whole();
}

static int
tags_lost_below_are_told(void)
{
	const char *said;

	TEST_ASSERT_SUCCESS(veth_sh("ip link set near up"), "up");
	if (veth_sh("ip link add upper link near type macvlan 2>/dev/null") < 0)
		return test_skip("this kernel has no macvlan");
	test_log_begin();
	TEST_ASSERT_SUCCESS(veth_port_start("iface=upper", 1), "start");
	said = test_log_end();
	TEST_ASSERT_NOT_NULL(strstr(said, "VLAN tags are lost on upper, a macvlan"), "%s", said);
	return veth_both_ways(60, 69) < 0 ? -1 : veth_stop_whole();
}

/* Native XDP of a bond runs on its members, so no frame would reach a socket of the bond. */
static int
frames_come_on_a_bond(void)
{
	int rc;

	if (veth_sh("ip link add bond7 type bond mode active-backup 2>/dev/null") < 0)
		return test_skip("this kernel has no bonding");
	TEST_ASSERT_SUCCESS(veth_sh("ip link set near master bond7"), "member");
	test_log_begin();
	rc = veth_port_start("iface=bond7,native=1", 1);
	TEST_ASSERT_EQUAL(rc, -EOPNOTSUPP, "native: %d", rc);
	TEST_ASSERT_NOT_NULL(strstr(test_log_end(),
				     "does not support XDP sockets on a bond: leave native=1 out"),
		"message");
	veth_port_drop();
	TEST_ASSERT_SUCCESS(veth_port_start("iface=bond7", 1), "start");
	rc = veth_both_ways(60, 69) < 0 ? -1 : veth_stop_whole();
	veth_port_drop();
	veth_sh("ip link del bond7");
	return rc;
}

static int
the_numa_node_is_that_of_the_device(void)
{
	TEST_ASSERT_SUCCESS(
		veth_sh("rm -rf /tmp/gantry-test-numa && mkdir -p /tmp/gantry-test-numa/bus/pci/devices/0000:01:00.0"
			" /tmp/gantry-test-numa/bus/pci/devices/0000:02:00.0 &&"
			" echo 3 >/tmp/gantry-test-numa/bus/pci/devices/0000:01:00.0/numa_node &&"
			" echo -1 >/tmp/gantry-test-numa/bus/pci/devices/0000:02:00.0/numa_node"),
		"files");
	TEST_ASSERT_EQUAL(af_xdp_pci_numa_node("/tmp/gantry-test-numa", "0000:01:00.0"), 3, "node");
	TEST_ASSERT_EQUAL(af_xdp_pci_numa_node("/tmp/gantry-test-numa", "0000:02:00.0"),
		SOCKET_ID_ANY, "no node");
	TEST_ASSERT_EQUAL(af_xdp_pci_numa_node("/tmp/gantry-test-numa", "0000:03:00.0"),
		SOCKET_ID_ANY, "no device");
	TEST_ASSERT_EQUAL(
		af_xdp_pci_numa_node("/tmp/gantry-test-numa", ""), SOCKET_ID_ANY, "no PCI device");
	veth_sh("rm -r /tmp/gantry-test-numa");
	/* A veth has no device. */
	TEST_ASSERT_EQUAL(af_xdp_numa_node("near"), SOCKET_ID_ANY, "node of a veth");
	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	TEST_ASSERT_EQUAL(rte_eth_dev_socket_id(veth.port), SOCKET_ID_ANY, "node of the port");
	return veth_stop_whole();
}

/* A lcore may sleep until the kernel writes the monitored address (librte_power). */
static int
a_queue_can_be_monitored(void)
{
	struct rte_power_monitor_cond cond = {0};
	struct rte_eth_burst_mode mode;
	uint64_t end = veth_deadline();
	struct rte_mbuf *m;
	uint32_t before;
	uint16_t q;

	TEST_ASSERT_SUCCESS(veth_port_start("iface=near", 1), "start");
	TEST_ASSERT_EQUAL(rte_eth_rx_burst(veth.port, 0, &m, 1), 0, "receives");
	TEST_ASSERT_SUCCESS(rte_eth_get_monitor_addr(veth.port, 0, &cond), "no address");
	TEST_ASSERT_EQUAL(cond.size, 4, "%u bytes", cond.size);
	before = *(volatile uint32_t *)cond.addr;
	TEST_ASSERT_EQUAL(cond.fn(before, cond.opaque), 0, "must not sleep, though it is empty");
	TEST_ASSERT_SUCCESS(veth_peer_send(60, 1), "send");
	while (*(volatile uint32_t *)cond.addr == before && rte_rdtsc() < end)
		sched_yield();
	TEST_ASSERT_EQUAL(
		cond.fn(*(volatile uint32_t *)cond.addr, cond.opaque), -1, "sleeps on a frame");
	m = veth_port_receive(&q);
	TEST_ASSERT_NOT_NULL(m, "did not come");
	rte_pktmbuf_free(m);
	/* A frame that came before the address was asked for. */
	TEST_ASSERT_SUCCESS(veth_peer_send(60, 1), "send");
	while (rte_eth_rx_queue_count(veth.port, 0) == 0 && rte_rdtsc() < end)
		sched_yield();
	TEST_ASSERT_SUCCESS(rte_eth_get_monitor_addr(veth.port, 0, &cond), "no address");
	TEST_ASSERT_EQUAL(
		cond.fn(*(volatile uint32_t *)cond.addr, cond.opaque), -1, "sleeps on a frame");
	TEST_ASSERT_SUCCESS(rte_eth_rx_burst_mode_get(veth.port, 0, &mode), "mode");
	TEST_ASSERT_EQUAL(strcmp(mode.info, "Scalar"), 0, "%s", mode.info);
	TEST_ASSERT_SUCCESS(rte_eth_tx_burst_mode_get(veth.port, 0, &mode), "mode");
	TEST_ASSERT_EQUAL(strcmp(mode.info, "Scalar"), 0, "%s", mode.info);
	return veth_stop_whole();
}

static const struct test_case cases[] = {
	{"frames of all sizes cross both ways, exact", frames_of_all_sizes},
	{"frames cross in each mode", frames_in_each_mode},
	{"buffers lie in the zone", buffers_lie_in_the_zone},
	{"two queues share a UMEM", two_queues_share_a_umem},
	{"two queues have a UMEM each", two_queues_have_a_umem_each},
	{"two ports on one netdev share its program", two_ports_on_one_netdev},
	{"an exhausted pool recovers", an_exhausted_pool_recovers},
	{"what was lost stays counted over restarts", what_was_lost_stays_counted_over_restarts},
	{"a pool too small is refused", a_pool_too_small_is_refused},
	{"mbufs outside the UMEM are sent too", strange_mbufs_are_sent},
	{"bursts beyond the ring are sent", bursts_beyond_the_ring},
	{"bursts of any size come", bursts_of_any_size},
	{"a port starts again and again", start_again},
	{"receiving makes no system calls", receiving_makes_no_system_calls},
	{"frames are steered", frames_are_steered},
	{"the netdev follows the port, and is put back", the_netdev_follows_the_port},
	{"link changes are told", link_changes_are_told},
	{"a queue can be waited for", a_queue_can_be_waited_for},
	{"each queue has an interrupt of its own", each_queue_has_an_interrupt_of_its_own},
	{"a queue can be monitored", a_queue_can_be_monitored},
	{"all counters have names", all_counters_have_names},
	{"the counters of the queues add up to those of the port", queues_add_up_to_the_port},
	{"a netdev that vanishes", a_netdev_that_vanishes},
	{"memberships end when switched off after restarts", memberships_end_after_restarts},
	{"settings of the operator stay", settings_of_the_operator_stay},
	{"an MTU beyond the buffers is refused", an_mtu_beyond_the_buffers_is_refused},
	{"the default MTU is set if the buffers need it",
		the_default_mtu_is_set_if_the_buffers_need_it},
	{"a start without queues is refused", a_start_without_queues_is_refused},
	{"missing buffers are counted once", missing_buffers_are_counted_once},
	{"an empty poll calls the kernel only if it wants that",
		an_empty_poll_calls_only_if_wanted},
	{"a stop waits for frames on their way", a_stop_waits_for_frames_on_their_way},
	{"a port closes within its removal event", a_port_closes_within_its_removal_event},
	{"a device goes within its removal event", a_device_goes_within_its_removal_event},
	{"a port closes within a link event", a_port_closes_within_a_link_event},
	{"tags of VLANs stay in frames", tags_stay_in_frames},
	{"a veth's other end out of sight is told", a_peer_out_of_sight_is_told},
	{"tagged frames arrive with their tags", tagged_frames_arrive_with_tags},
	{"tags that are lost below are told", tags_lost_below_are_told},
	{"frames come on a bond", frames_come_on_a_bond},
	{"the NUMA node is that of the device", the_numa_node_is_that_of_the_device},
	{"a queue that another socket holds", a_queue_that_another_holds},
	{"a queue that is released late", a_queue_that_is_released_late},
	{"a netdev with another XDP program", a_program_of_another},
	{"a kernel without AF_XDP", a_kernel_without_af_xdp},
	{"zero-copy that is not there", zero_copy_that_is_not_there},
	{"wrong parameters", wrong_parameters},
	{"wrong configurations", wrong_configurations},
};

REGISTER_TEST_SUITE(net_af_xdp) = {
	.name = "net_af_xdp",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = veth_setup,
	.teardown = teardown,
	.needs_eal = true,
};
