/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the AF_XDP driver with frames in several buffers (RTE_ETH_RX_OFFLOAD_SCATTER): an MTU of
 * 9,000 with buffers of 2 KiB, on veth pairs. lib/veth_port.h has the pair and the frames.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <linux/if_xdp.h>
#include <sys/syscall.h>

#include <ethdev_driver.h>
#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "af_xdp.h"
#include "child.h"
#include "test.h"
#include "veth_port.h"

#define MTU 9000
#define LONGEST (MTU + RTE_ETHER_HDR_LEN)
#define BUFFER (RTE_MBUF_DEFAULT_BUF_SIZE - AF_XDP_HEADROOM) /* bytes of a frame in a buffer */

static const struct rte_eth_conf jumbo = {
	.rxmode = {.mtu = MTU, .offloads = RTE_ETH_RX_OFFLOAD_SCATTER},
	.txmode = {.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS},
};

/* @return 0: the port runs; what test_skip() returns: this kernel is too old */
static int
start_jumbo(const char *args, unsigned int n_mbufs, uint16_t n_tx, const struct rte_eth_conf *conf)
{
	struct rte_eth_dev_info info;

	TEST_ASSERT_SUCCESS(veth_sh("ip link set far mtu 9000"), "MTU of far");
	TEST_ASSERT_SUCCESS(veth_port_add(args, n_mbufs), "port");
	TEST_ASSERT_SUCCESS(rte_eth_dev_info_get(veth.port, &info), "info");
	if ((info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER) == 0)
		return test_skip("frames in several buffers need Linux 6.6");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, n_tx, conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	return 0;
}

static uint64_t
copies(void)
{
	const struct af_xdp_port *p = rte_eth_devices[veth.port].data->dev_private;

	return p->queue[0].tx.copies;
}

/* Make a frame in mbufs of seg bytes at the most. @return NULL: not enough mbufs */
static struct rte_mbuf *
make_chain(struct rte_mempool *mp, unsigned int len, uint32_t number, unsigned int seg)
{
	struct rte_mbuf *head = NULL, *m;
	uint8_t frame[VETH_MAX_FRAME];
	unsigned int done, part;

	veth_make_frame(frame, len, number);
	for (done = 0; done < len; done += part) {
		m = rte_pktmbuf_alloc(mp);
		part = RTE_MIN(seg, len - done);
		if (m == NULL) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		memcpy(rte_pktmbuf_append(m, part), frame + done, part);
		if (head == NULL)
			head = m;
		else
			rte_pktmbuf_chain(head, m);
	}
	return head;
}

/* The mbuf has this frame, in no more buffers than needed, and is a valid chain. */
static int
chain_is(const struct rte_mbuf *m, unsigned int len, uint32_t number)
{
	unsigned int sum = 0, segs = 0, want = RTE_MAX(1U, (len + BUFFER - 1) / BUFFER);
	uint8_t frame[VETH_MAX_FRAME];
	const struct rte_mbuf *s;
	const char *why;

	TEST_ASSERT_EQUAL(m->pkt_len, len, "%u bytes instead of %u", m->pkt_len, len);
	for (s = m; s != NULL; s = s->next, segs++)
		sum += s->data_len;
	TEST_ASSERT(sum == len && segs == m->nb_segs && segs == want,
		"%u bytes in %u buffers of %u, wanted %u", sum, segs, m->nb_segs, want);
	TEST_ASSERT_SUCCESS(rte_mbuf_check(m, 1, &why), "%s", why);
	TEST_ASSERT(m->port == veth.port, "port");
	TEST_ASSERT(veth_is_frame(rte_pktmbuf_read(m, 0, len, frame), len, len, number),
		"content of %u bytes", len);
	return 0;
}

static int
far_gets(unsigned int len, uint32_t number)
{
	uint8_t got[VETH_MAX_FRAME];
	ssize_t n = veth_peer_receive(got, sizeof(got));

	TEST_ASSERT(n >= 0 && veth_is_frame(got, n, len, number), "frame %u: %u bytes, %zd came",
		number, len, n);
	return 0;
}

static int
port_gets(unsigned int len, uint32_t number)
{
	struct rte_mbuf *m;
	uint16_t q;
	int rc;

	m = veth_port_receive(&q);
	TEST_ASSERT_NOT_NULL(m, "frame of %u bytes did not come", len);
	rc = chain_is(m, len, number);
	rte_pktmbuf_free(m);
	return rc;
}

/* Lengths around each border of a buffer. */
static const unsigned int lengths[] = {14, 60, 1514, BUFFER - 1, BUFFER, BUFFER + 1, 2 * BUFFER - 1,
	2 * BUFFER, 2 * BUFFER + 1, 4 * BUFFER, 4 * BUFFER + 1, LONGEST - 1, LONGEST};

static int
cross_all_lengths(void)
{
	struct rte_mbuf *m;
	unsigned int i;

	for (i = 0; i < RTE_DIM(lengths); i++) {
		TEST_ASSERT_SUCCESS(veth_peer_send(lengths[i], i), "send %u", lengths[i]);
		if (port_gets(lengths[i], i) < 0)
			return -1;
		m = make_chain(veth.pool, lengths[i], i + 100, BUFFER);
		TEST_ASSERT_NOT_NULL(m, "no mbufs");
		TEST_ASSERT_EQUAL(rte_eth_tx_burst(veth.port, 0, &m, 1), 1, "transmit");
		if (far_gets(lengths[i], i + 100) < 0)
			return -1;
	}
	return 0;
}

static int
jumbo_frames_cross(const char *args)
{
	int rc = start_jumbo(args, VETH_N_MBUFS, 1, &jumbo);
	unsigned int i, round;
	struct rte_eth_stats stats;
	uint64_t bytes = 0;

	if (rc != 0)
		return rc;
	for (i = 0; i < RTE_DIM(lengths); i++)
		bytes += lengths[i];
	TEST_ASSERT_SUCCESS(veth_sh("ip link show near | grep -q 'mtu 9000 '"), "MTU");
	for (round = 1; round <= 3; round++) {
		if (cross_all_lengths() < 0)
			return -1;
		TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
		TEST_ASSERT_EQUAL(
			stats.ipackets, round * RTE_DIM(lengths), "%" PRIu64 " in", stats.ipackets);
		TEST_ASSERT_EQUAL(stats.opackets, round * RTE_DIM(lengths), "%" PRIu64 " out",
			stats.opackets);
		TEST_ASSERT_EQUAL(stats.ibytes, round * bytes, "%" PRIu64 " bytes", stats.ibytes);
		TEST_ASSERT_EQUAL(stats.obytes, round * bytes, "%" PRIu64 " bytes", stats.obytes);
		TEST_ASSERT(stats.imissed + stats.ierrors + stats.oerrors == 0, "errors");
		TEST_ASSERT_EQUAL(copies(), 0, "%" PRIu64 " frames were copied", copies());
		if (veth_stop_whole() < 0)
			return -1;
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start again");
	}
	return veth_stop_whole();
}

static int
in_native_xdp(void)
{
	return jumbo_frames_cross("iface=near");
}

static int
in_generic_xdp(void)
{
	return jumbo_frames_cross("iface=near,native=0");
}

static int
with_steering(void)
{
	return jumbo_frames_cross("iface=near,steer=0x88b5,need_wakeup=0");
}

static void
check_plain(struct rte_mempool *mp, void *bad, void *obj, unsigned int index)
{
	const struct rte_mbuf *m = obj;

	*(unsigned int *)bad += m->next != NULL || m->nb_segs != 1 || rte_mbuf_refcnt_read(m) != 1;
}

/* A fast free puts mbufs back as they are, so they must not be chained any more. */
static int
fast_free(void)
{
	struct rte_eth_conf conf = jumbo;
	unsigned int bad = 0, i;
	int rc;

	conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	rc = start_jumbo("iface=near", VETH_N_MBUFS, 1, &conf);
	if (rc != 0)
		return rc;
	for (i = 0; i < 20; i++)
		if (cross_all_lengths() < 0)
			return -1;
	if (veth_stop_whole() < 0)
		return -1;
	rte_mempool_obj_iter(veth.pool, check_plain, &bad);
	TEST_ASSERT_EQUAL(bad, 0, "%u mbufs are still chained", bad);
	return 0;
}

static int
all_is_sent(struct rte_mbuf **m, unsigned int n)
{
	uint64_t end = veth_deadline();
	unsigned int sent = 0;

	while (sent < n && rte_rdtsc() < end)
		sent += rte_eth_tx_burst(veth.port, 0, m + sent, n - sent);
	TEST_ASSERT_EQUAL(sent, n, "%u of %u sent", sent, n);
	return 0;
}

/* The kernel is given whole frames, also at the end of the ring: 256 entries are no multiple of 5.
 */
static int
beyond_the_ring(void)
{
	int rc = start_jumbo("iface=near", VETH_N_MBUFS, 1, &jumbo);
	struct rte_mbuf *m[300];
	struct rte_eth_stats stats;
	unsigned int i, round;
	uint64_t sent;

	if (rc != 0)
		return rc;
	for (round = 0; round < 3; round++) {
		for (i = 0; i < RTE_DIM(m); i++) {
			m[i] = make_chain(veth.pool, i % 7 == 0 ? 60 : LONGEST - i, i, BUFFER);
			TEST_ASSERT_NOT_NULL(m[i], "no mbufs for frame %u", i);
		}
		/* So many buffers do not fit, and what is not taken is still the caller's. */
		sent = rte_eth_tx_burst(veth.port, 0, m, RTE_DIM(m));
		TEST_ASSERT(sent > 0 && sent < RTE_DIM(m), "%" PRIu64 " at once", sent);
		if (all_is_sent(m + sent, RTE_DIM(m) - sent) < 0)
			return -1;
		for (i = 0; i < RTE_DIM(m); i++)
			if (far_gets(i % 7 == 0 ? 60 : LONGEST - i, i) < 0)
				return -1;
	}
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT_EQUAL(stats.opackets, 3 * RTE_DIM(m), "%" PRIu64 " out", stats.opackets);
	TEST_ASSERT_EQUAL(copies(), 0, "%" PRIu64 " copies", copies());
	return veth_stop_whole();
}

/* What the kernel cannot take as it is, is copied; what it cannot take at all, is counted. */
static int
strange_chains(void)
{
	struct rte_mempool *other =
		rte_pktmbuf_pool_create("other", 63, 0, 0, VETH_MAX_FRAME, SOCKET_ID_ANY);
	int rc = start_jumbo("iface=near", VETH_N_MBUFS, 1, &jumbo);
	struct rte_eth_stats stats;
	struct rte_mbuf *m[5], *empty;
	unsigned int i;

	if (rc != 0)
		goto end;
	rc = -1;
	/* Of another pool in one buffer, in too many buffers, with an empty one, and one sent
	 * twice. */
	m[0] = veth_make_mbuf(other, LONGEST, 0);
	m[1] = make_chain(veth.pool, LONGEST, 1, 700);
	m[2] = make_chain(veth.pool, 2 * BUFFER, 2, BUFFER);
	empty = rte_pktmbuf_alloc(veth.pool);
	empty->next = m[2]->next;
	m[2]->next = empty;
	m[2]->nb_segs++;
	m[3] = make_chain(veth.pool, LONGEST, 3, BUFFER);
	m[4] = m[3];
	for (empty = m[3]; empty != NULL; empty = empty->next)
		rte_mbuf_refcnt_update(empty, 1);
	if (all_is_sent(m, 5) < 0 || far_gets(LONGEST, 0) < 0 || far_gets(LONGEST, 1) < 0 ||
		far_gets(2 * BUFFER, 2) < 0 || far_gets(LONGEST, 3) < 0 || far_gets(LONGEST, 3) < 0)
		goto end;
	TEST_ASSERT_EQUAL(copies(), 3, "%" PRIu64 " copies", copies());
	/* Too short; and longer than what is offered. */
	m[0] = make_chain(veth.pool, 60, 0, 60);
	rte_pktmbuf_trim(m[0], 47);
	m[1] = NULL;
	for (i = 0; i < 9; i++) {
		empty = rte_pktmbuf_alloc(veth.pool);
		rte_pktmbuf_append(empty, 2000);
		if (m[1] == NULL)
			m[1] = empty;
		else
			rte_pktmbuf_chain(m[1], empty);
	}
	if (all_is_sent(m, 2) < 0)
		goto end;
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT_EQUAL(stats.opackets, 5, "%" PRIu64 " out", stats.opackets);
	TEST_ASSERT_EQUAL(stats.oerrors, 2, "%" PRIu64 " errors", stats.oerrors);
	rc = veth_stop_whole();
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(other), 63, "mbufs of the other pool lost");
end:
	rte_mempool_free(other);
	return rc;
}

/* A ring that runs over loses whole frames, and counts them. */
static int
receive_ring_overflows(void)
{
	int rc = start_jumbo("iface=near", VETH_N_MBUFS, 1, &jumbo);
	unsigned int i, n = 0, last = 0, number;
	struct rte_eth_stats stats;
	struct rte_mbuf *m;
	uint8_t head[64];

	if (rc != 0)
		return rc;
	for (i = 0; i < 200; i++)
		TEST_ASSERT_SUCCESS(veth_peer_send(LONGEST - i, i), "send");
	while (rte_eth_rx_burst(veth.port, 0, &m, 1) == 1) {
		number = LONGEST - m->pkt_len;
		TEST_ASSERT(n == 0 || number > last, "frame %u after %u", number, last);
		last = number;
		TEST_ASSERT_NOT_NULL(rte_pktmbuf_read(m, 0, sizeof(head), head), "head");
		rc = chain_is(m, LONGEST - number, number);
		rte_pktmbuf_free(m);
		if (rc < 0)
			return -1;
		n++;
	}
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(veth.port, &stats), "stats");
	TEST_ASSERT(n > 0 && n < 200, "%u of 200 came", n);
	TEST_ASSERT_EQUAL(n + stats.imissed, 200, "%u came, %" PRIu64 " missed", n, stats.imissed);
	TEST_ASSERT_EQUAL(stats.ipackets, n, "%" PRIu64 " in", stats.ipackets);
	TEST_ASSERT_SUCCESS(veth_peer_send(LONGEST, 1000), "send");
	return port_gets(LONGEST, 1000) < 0 ? -1 : veth_stop_whole();
}

/* Frames that are in the ring at the stop, in part read. */
static int
stopped_with_frames_in_the_ring(void)
{
	int rc = start_jumbo("iface=near", VETH_N_MBUFS, 1, &jumbo);
	unsigned int i;

	if (rc != 0)
		return rc;
	for (i = 0; i < 20; i++)
		TEST_ASSERT_SUCCESS(veth_peer_send(LONGEST, i), "send");
	for (i = 0; i < 3; i++)
		if (port_gets(LONGEST, i) < 0)
			return -1;
	return veth_stop_whole();
}

/*
 * The kernel may show the buffers of a frame one after the other. The ring's index is set back to
 * play that.
 */
static int
a_frame_comes_in_parts(void)
{
	int rc = start_jumbo("iface=near", VETH_N_MBUFS, 1, &jumbo);
	const struct af_xdp_port *p;
	uint64_t end = veth_deadline();
	struct rte_mbuf *m[4];
	uint32_t *producer, all;
	unsigned int part;

	if (rc != 0)
		return rc;
	p = rte_eth_devices[veth.port].data->dev_private;
	producer = p->queue[0].rx.rx.producer;
	TEST_ASSERT_SUCCESS(veth_peer_send(60, 1), "send");
	TEST_ASSERT_SUCCESS(veth_peer_send(LONGEST, 2), "send");
	while (rte_eth_rx_queue_count(veth.port, 0) < 6 && rte_rdtsc() < end)
		sched_yield();
	all = *producer;
	for (part = 1; part <= 4; part++) {
		*producer = all - part;
		TEST_ASSERT_EQUAL(rte_eth_rx_burst(veth.port, 0, m, RTE_DIM(m)), part == 1,
			"frames with %u buffers missing", part);
	}
	*producer = all;
	TEST_ASSERT_SUCCESS(chain_is(m[0], 60, 1), "first");
	rte_pktmbuf_free(m[0]);
	return port_gets(LONGEST, 2) < 0 ? -1 : veth_stop_whole();
}

/* A socket without a receive side shares the UMEM, and with it the kernel's setting. */
static int
on_a_second_queue(void)
{
	int rc = start_jumbo("iface=near,queue_count=2", VETH_N_MBUFS, 2, &jumbo);
	struct rte_mbuf *m;

	if (rc != 0)
		return rc;
	m = make_chain(veth.pool, LONGEST, 5, BUFFER);
	TEST_ASSERT_NOT_NULL(m, "no mbufs");
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(veth.port, 1, &m, 1), 1, "transmit");
	if (far_gets(LONGEST, 5) < 0)
		return -1;
	return veth_stop_whole();
}

/* A netdev has one program, which takes frames in several buffers or does not. */
static int
beside_a_port_without(void)
{
	int rc = start_jumbo("iface=near", VETH_N_MBUFS, 1, &jumbo);
	struct rte_eth_conf conf = {.rxmode.mtu = 1400};
	uint16_t port2;

	if (rc != 0)
		return rc;
	TEST_ASSERT_SUCCESS(rte_vdev_init(VETH_DEVICE2, "iface=near,start_queue=1"), "device");
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_port_by_name(VETH_DEVICE2, &port2), "port");
	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(port2, 1, 0, &conf), "configure");
	TEST_ASSERT_SUCCESS(
		rte_eth_rx_queue_setup(port2, 0, VETH_N_DESC, SOCKET_ID_ANY, NULL, veth.pool),
		"queue");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(port2), -EBUSY, "started");
	TEST_ASSERT_NOT_NULL(
		strstr(test_log_end(), "or another RTE_ETH_RX_OFFLOAD_SCATTER"), "message");
	return veth_stop_whole();
}

/* The offload goes and returns with a configuration. */
static int
configured_without(void)
{
	int rc = start_jumbo("iface=near", VETH_N_MBUFS, 1, &jumbo);
	struct rte_eth_conf conf = {.rxmode.mtu = 1400};

	if (rc != 0)
		return rc;
	if (veth_stop_whole() < 0)
		return -1;
	TEST_ASSERT_SUCCESS(veth_sh("ip link set far mtu 1500"), "MTU of far");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	if (veth_both_ways(1300, 1310) < 0)
		return -1;
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_set_mtu(veth.port, MTU), -EINVAL, "MTU");
	TEST_ASSERT(test_logged("or set RTE_ETH_RX_OFFLOAD_SCATTER"), "message");
	if (veth_stop_whole() < 0)
		return -1;
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, &jumbo), "configure");
	TEST_ASSERT_SUCCESS(veth_sh("ip link set far mtu 9000"), "MTU of far");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	return cross_all_lengths() < 0 ? -1 : veth_stop_whole();
}

/*
 * Run a thread as on a kernel before 6.6: a seccomp(2) filter refuses bind(2) of an address as long
 * as AF_XDP's, which the probe makes.
 */
static void *
probe_without_sg(void *result)
{
	if (test_refuse_call_with(__NR_bind, 2, sizeof(struct sockaddr_xdp), EINVAL) == 0)
		*(int *)result = veth_port_add("iface=near", VETH_N_MBUFS);
	return NULL;
}

static int
a_kernel_without(void)
{
	struct rte_eth_dev_info info;
	pthread_t thread;
	int rc = 1;

	TEST_ASSERT_SUCCESS(pthread_create(&thread, NULL, probe_without_sg, &rc), "thread");
	pthread_join(thread, NULL);
	if (rc == 1)
		return test_skip("this kernel has no seccomp filters");
	TEST_ASSERT_SUCCESS(rc, "probe: %d", rc);
	TEST_ASSERT_SUCCESS(rte_eth_dev_info_get(veth.port, &info), "info");
	TEST_ASSERT_EQUAL(info.rx_offload_capa, 0, "offers %" PRIx64, info.rx_offload_capa);
	TEST_ASSERT_EQUAL(info.max_rx_pktlen, AF_XDP_MAX_FRAME, "%u bytes", info.max_rx_pktlen);
	TEST_ASSERT_EQUAL(veth_port_configure(1, 1, &jumbo), -EINVAL, "configured");
	TEST_ASSERT_SUCCESS(veth_port_configure(1, 1, NULL), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(veth.port), "start");
	return veth_both_ways(1400, 1410) < 0 ? -1 : veth_stop_whole();
}

static const struct test_case cases[] = {
	{"frames of 9,000 bytes cross both ways in native XDP", in_native_xdp},
	{"frames of 9,000 bytes cross both ways in generic XDP", in_generic_xdp},
	{"frames of 9,000 bytes are steered, and sent without wakeups", with_steering},
	{"a fast free leaves no chained mbuf", fast_free},
	{"bursts beyond the ring are sent frame by frame", beyond_the_ring},
	{"chains that the kernel does not take are copied", strange_chains},
	{"a receive ring that overflows loses whole frames", receive_ring_overflows},
	{"a stop with frames in the ring loses no mbuf", stopped_with_frames_in_the_ring},
	{"a frame of which a part has come stays in the ring", a_frame_comes_in_parts},
	{"a queue that only transmits sends chains", on_a_second_queue},
	{"a port beside one without the offload is refused", beside_a_port_without},
	{"a port is configured without the offload, and with it again", configured_without},
	{"a kernel without it does not offer it", a_kernel_without},
};

REGISTER_TEST_SUITE(net_af_xdp_sg) = {
	.name = "net_af_xdp_sg",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = veth_setup,
	.teardown = veth_teardown,
	.needs_eal = true,
};
