/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the 82574L driver on real VFIO: it moves frames unchanged, filters and counts them. Two
 * assigned NICs share one wire: what one sends, the other receives. That a frame was filtered is
 * shown by a later one that arrives.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_thash.h>
#include <rte_udp.h>
#include <ethdev_driver.h>

#include <bus_vfio_pci_driver.h>
#include <dmamap.h>
#include <dmamap_mbuf.h>

#include "peek.h"
#include "test.h"

#define N_MBUFS 2047
#define N_DESC 128
#define TEST_TYPE 0x88B5 /* IEEE 802: an EtherType for experiments */
#define MAX_BURST 64
#define IDLE_TRIES 5000 /* milliseconds without a frame, after which none is expected */
#define BIG_MTU 9004 /* frames of 9018 bytes */

static char devices[2][32];
static uint16_t port[2];
static struct rte_ether_addr mac[2];
static struct rte_mempool *pool;
static struct rte_eth_conf conf; /* for the next start() */
static uint16_t mtu;
static uint16_t n_queues;

static const struct rte_ether_addr foreign_mac = {{0x02, 0, 0, 0, 0, 0x99}};
static const struct rte_ether_addr group = {{0x01, 0, 0x5e, 0x11, 0x22, 0x33}};
static const struct rte_ether_addr everybody = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/* Whether the device is an 82574L. */
static bool
is_82574l(const char *name)
{
	unsigned int vendor = 0, device = 0;
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/uevent", name);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	while (fgets(path, sizeof(path), file) != NULL)
		if (sscanf(path, "PCI_ID=%x:%x", &vendor, &device) == 2)
			break;
	fclose(file);
	return vendor == 0x8086 && device == 0x10d3;
}

static unsigned int
find_devices(void)
{
	const char *list = getenv("GANTRY_DEVICES");
	char name[32];
	unsigned int n = 0;
	int used;

	for (; list != NULL && n < 2 && sscanf(list, "%31s%n", name, &used) == 1; list += used)
		if (is_82574l(name))
			snprintf(devices[n++], sizeof(devices[0]), "%s", name);
	return n;
}

static int
plug(unsigned int i)
{
	TEST_ASSERT_SUCCESS(rte_eal_hotplug_add("vfio_pci", devices[i], "container=net"), "plug %s",
		devices[i]);
	TEST_ASSERT_SUCCESS(
		rte_eth_dev_get_port_by_name(devices[i], &port[i]), "port of %s", devices[i]);
	return rte_eth_macaddr_get(port[i], &mac[i]);
}

static int
start_one(unsigned int i)
{
	struct rte_eth_dev_info info;
	uint16_t q;

	TEST_ASSERT_SUCCESS(rte_eth_dev_info_get(port[i], &info), "info");
	TEST_ASSERT_SUCCESS(
		rte_eth_dev_configure(port[i], n_queues, n_queues, &conf), "configure %u", i);
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_mtu(port[i], mtu), "MTU %u", mtu);
	for (q = 0; q < n_queues; q++) {
		TEST_ASSERT_SUCCESS(
			rte_eth_rx_queue_setup(port[i], q, N_DESC, SOCKET_ID_ANY, NULL, pool),
			"Rx queue");
		TEST_ASSERT_SUCCESS(rte_eth_tx_queue_setup(port[i], q, N_DESC, SOCKET_ID_ANY, NULL),
			"Tx queue");
	}
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(port[i]), "start %u", i);
	return 0;
}

static void
drain(unsigned int i)
{
	struct rte_mbuf *m[MAX_BURST];
	uint16_t n, q;

	for (q = 0; q < n_queues; q++)
		while ((n = rte_eth_rx_burst(port[i], q, m, MAX_BURST)) > 0)
			rte_pktmbuf_free_bulk(m, n);
}

/* Start both ports, wait for the link, and drop earlier frames. */
static int
start(void)
{
	struct rte_eth_link link;
	unsigned int i, ms;

	for (i = 0; i < 2; i++)
		if (start_one(i) != 0)
			return TEST_FAILED;
	for (i = 0; i < 2; i++) {
		/* With link interrupts rte_eth_link_get() does not wait for a negotiation. */
		ms = 0;
		do {
			TEST_ASSERT_SUCCESS(rte_eth_link_get(port[i], &link), "link");
		} while (link.link_status == RTE_ETH_LINK_DOWN && ms++ < IDLE_TRIES &&
			usleep(1000) == 0);
		TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_UP, "port %u has no link", i);
		TEST_ASSERT_SUCCESS(rte_eth_stats_reset(port[i]), "reset");
		drain(i);
	}
	return 0;
}

static void
stop(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (rte_eth_devices[port[i]].data->dev_started)
			rte_eth_dev_stop(port[i]);
}

static int
setup(void)
{
	if (find_devices() < 2)
		return test_skip("two 82574L on one wire are wanted in GANTRY_DEVICES");
	memset(&conf, 0, sizeof(conf));
	mtu = RTE_ETHER_MTU;
	n_queues = 1;
	if (plug(0) != 0 || plug(1) != 0)
		return TEST_FAILED;
	pool = dmamap_pktmbuf_pool_create(peek(dmamap_container_by_device(devices[0])), "net",
		N_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	TEST_ASSERT_NOT_NULL(pool, "pool: %s", rte_strerror(rte_errno));
	return 0;
}

static void
teardown(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (rte_eth_dev_get_port_by_name(devices[i], &port[i]) != 0)
			continue;
		if (rte_eth_devices[port[i]].data->dev_started)
			rte_eth_dev_stop(port[i]);
		rte_eth_dev_close(port[i]);
	}
	if (pool != NULL && rte_mempool_avail_count(pool) != pool->size)
		printf("  %u mbufs did not come back\n",
			pool->size - rte_mempool_avail_count(pool));
	rte_mempool_free(pool);
	pool = NULL;
	for (i = 0; i < 2; i++)
		rte_eal_hotplug_remove("vfio_pci", devices[i]);
}

/* Stop the ports and check that all mbufs are back in the pool. */
static int
check_all_back(void)
{
	stop();
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(pool), pool->size, "%u mbufs are missing",
		pool->size - rte_mempool_avail_count(pool));
	return TEST_SUCCESS;
}

static uint8_t
pattern(uint32_t seed, uint32_t at)
{
	return (seed * 2654435761u + at * 40503u) >> 11;
}

/* Make a frame of len bytes, in segments of at most seg bytes. */
static struct rte_mbuf *
make_frame(unsigned int from, const struct rte_ether_addr *to, uint32_t len, uint32_t seg,
	uint32_t seed)
{
	struct rte_mbuf *first = rte_pktmbuf_alloc(pool), *m = first;
	struct rte_ether_hdr *eth;
	uint32_t at = 0, n, i;
	uint8_t *data;

	while (m != NULL) {
		n = RTE_MIN(len - at, RTE_MIN(seg, (uint32_t)rte_pktmbuf_tailroom(m)));
		data = (uint8_t *)rte_pktmbuf_append(m, n);
		for (i = 0; i < n; i++)
			data[i] = pattern(seed, at + i);
		at += n;
		if (m != first && rte_pktmbuf_chain(first, m) != 0)
			break;
		if (at == len) {
			eth = rte_pktmbuf_mtod(first, struct rte_ether_hdr *);
			rte_ether_addr_copy(to, &eth->dst_addr);
			rte_ether_addr_copy(&mac[from], &eth->src_addr);
			eth->ether_type = rte_cpu_to_be_16(TEST_TYPE);
			return first;
		}
		m = rte_pktmbuf_alloc(pool);
	}
	rte_pktmbuf_free(first);
	return NULL;
}

/* Whether it is the frame that make_frame() made, padded to 60 bytes. */
static int
check_frame(const struct rte_mbuf *m, unsigned int from, const struct rte_ether_addr *to,
	uint32_t len, uint32_t seed)
{
	static uint8_t flat[16384];
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)flat;
	const uint8_t *data;
	uint32_t i;

	TEST_ASSERT_EQUAL(m->pkt_len, RTE_MAX(len, 60u), "%u bytes, not %u", m->pkt_len, len);
	TEST_ASSERT_SUCCESS(rte_mbuf_check(m, 1, &(const char *){NULL}), "a broken mbuf");
	data = rte_pktmbuf_read(m, 0, m->pkt_len, flat);
	TEST_ASSERT_NOT_NULL(data, "unreadable");
	if (data != flat)
		memcpy(flat, data, m->pkt_len);
	TEST_ASSERT(rte_is_same_ether_addr(&eth->dst_addr, to) &&
			rte_is_same_ether_addr(&eth->src_addr, &mac[from]) &&
			eth->ether_type == rte_cpu_to_be_16(TEST_TYPE),
		"another header");
	for (i = sizeof(*eth); i < len; i++)
		TEST_ASSERT_EQUAL(flat[i], pattern(seed, i), "byte %u of %u", i, len);
	for (; i < m->pkt_len; i++)
		TEST_ASSERT_EQUAL(flat[i], 0, "padding, byte %u", i);
	return 0;
}

/* Send one mbuf. Afterwards it belongs to the driver, or the case has failed. */
static int
send_one(unsigned int from, struct rte_mbuf *m)
{
	TEST_ASSERT_NOT_NULL(m, "no mbuf");
	TEST_ASSERT_EQUAL(rte_eth_tx_prepare(port[from], 0, &m, 1), 1, "not sendable: %s",
		rte_strerror(rte_errno));
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(port[from], 0, &m, 1), 1, "not sent");
	return 0;
}

/* Receive n frames from a queue. @return the number received */
static unsigned int
receive(unsigned int at, uint16_t queue, struct rte_mbuf **m, unsigned int n)
{
	unsigned int got = 0, idle = 0;
	uint16_t now;

	while (got < n && idle++ < IDLE_TRIES) {
		now = rte_eth_rx_burst(
			port[at], queue, m + got, RTE_MIN(n - got, (unsigned int)MAX_BURST));
		got += now;
		if (now > 0)
			idle = 0;
		else
			usleep(1000);
	}
	return got;
}

/* Send a frame and check that it arrives unchanged. */
static int
cross(unsigned int from, uint32_t len, uint32_t seg, uint32_t seed)
{
	unsigned int to = 1 - from;
	struct rte_mbuf *m;
	int rc;

	if (send_one(from, make_frame(from, &mac[to], len, seg, seed)) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(
		receive(to, 0, &m, 1), 1, "%u bytes in segments of %u did not arrive", len, seg);
	rc = check_frame(m, from, &mac[to], len, seed);
	rte_pktmbuf_free(m);
	return rc;
}

static int
test_link(void)
{
	struct rte_eth_link link;
	unsigned int i;

	if (start() != 0)
		return TEST_FAILED;
	for (i = 0; i < 2; i++) {
		TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(port[i], &link), "link");
		TEST_ASSERT_EQUAL(link.link_speed, RTE_ETH_SPEED_NUM_1G, "speed");
		TEST_ASSERT_EQUAL(link.link_duplex, RTE_ETH_LINK_FULL_DUPLEX, "duplex");
		TEST_ASSERT(rte_is_valid_assigned_ether_addr(&mac[i]), "MAC address");
		TEST_ASSERT_EQUAL(rte_eth_dev_is_removed(port[i]), 0, "removed");
	}
	stop();
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(port[0], &link), "link");
	return check_all_back();
}

static int
test_lengths(void)
{
	static const uint32_t edges[] = {60, 61, 63, 64, 65, 127, 128, 1513, 1514, 1515, 1518, 2047,
		2048, 2049, 4095, 4096, 4097, 6144, 8191, 8192, 9014, 9017, 9018};
	uint32_t len, i;

	mtu = BIG_MTU;
	if (start() != 0)
		return TEST_FAILED;
	for (i = 0; i < RTE_DIM(edges); i++)
		if (cross(0, edges[i], UINT16_MAX, i) != 0 ||
			cross(1, edges[i], UINT16_MAX, i) != 0)
			return TEST_FAILED;
	for (len = 60; len <= 9018; len += 29)
		if (cross(len & 1, len, UINT16_MAX, len) != 0)
			return TEST_FAILED;
	return check_all_back();
}

static int
test_chains(void)
{
	static const struct {
		uint32_t len, seg;
	} cases[] = {{60, 14}, {60, 15}, {61, 30}, {1514, 100}, {1514, 1513}, {1514, 26},
		{2049, 2048}, {9018, 300}, {9018, 1999}, {9018, 151}};
	struct rte_mbuf *m, *empty;
	unsigned int i;

	mtu = BIG_MTU;
	if (start() != 0)
		return TEST_FAILED;
	for (i = 0; i < RTE_DIM(cases); i++)
		if (cross(i & 1, cases[i].len, cases[i].seg, i) != 0)
			return TEST_FAILED;

	/* Empty segments, in the middle and at the end. */
	m = make_frame(0, &mac[1], 500, UINT16_MAX, 7);
	empty = rte_pktmbuf_alloc(pool);
	TEST_ASSERT(m != NULL && empty != NULL && rte_pktmbuf_chain(m, empty) == 0, "chain");
	if (send_one(0, m) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "lost with an empty segment");
	TEST_ASSERT_SUCCESS(check_frame(m, 0, &mac[1], 500, 7), "changed by an empty segment");
	rte_pktmbuf_free(m);

	/* An empty segment at the head, as rte_pktmbuf_adj() leaves it. */
	m = make_frame(0, &mac[1], 500, UINT16_MAX, 8);
	empty = rte_pktmbuf_alloc(pool);
	TEST_ASSERT(m != NULL && empty != NULL && rte_pktmbuf_chain(empty, m) == 0, "chain");
	if (send_one(0, empty) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "lost with an empty head");
	TEST_ASSERT_SUCCESS(check_frame(m, 0, &mac[1], 500, 8), "changed by an empty head");
	rte_pktmbuf_free(m);
	return check_all_back();
}

/* With the FCS kept, lengths and counters are without it. */
static int
test_keep_crc(void)
{
	static const uint32_t lens[] = {60, 1500, 1514, 2043, 2044, 2045, 2048, 4093, 9018};
	struct rte_eth_burst_mode mode;
	struct rte_eth_stats stats;
	uint64_t bytes = 0;
	unsigned int i;

	mtu = BIG_MTU;
	conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_KEEP_CRC;
	if (start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_rx_burst_mode_get(port[1], 0, &mode), "mode");
	TEST_ASSERT_EQUAL(strcmp(mode.info, "Scalar Scattered Edited"), 0, "%s", mode.info);
	for (i = 0; i < RTE_DIM(lens); i++) {
		if (cross(0, lens[i], 1000, i) != 0)
			return TEST_FAILED;
		bytes += lens[i];
	}
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(port[1], &stats), "stats");
	TEST_ASSERT_EQUAL(stats.ibytes, bytes, "%" PRIu64 " bytes", stats.ibytes);
	TEST_ASSERT_EQUAL(stats.ierrors, 0, "errors");
	return check_all_back();
}

static int
test_short(void)
{
	struct rte_eth_stats stats;
	struct rte_mbuf *m[2];
	uint32_t len;

	if (start() != 0)
		return TEST_FAILED;
	if (cross(0, 59, UINT16_MAX, 1) != 0 || cross(1, 42, UINT16_MAX, 2) != 0)
		return TEST_FAILED;
	for (len = RTE_ETHER_HDR_LEN; len <= 18; len++)
		if (cross(len & 1, len, UINT16_MAX, len) != 0 || cross(len & 1, len, 14, len) != 0)
			return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_stats_reset(port[0]), "reset");
	m[0] = make_frame(0, &mac[1], 60, UINT16_MAX, 1);
	TEST_ASSERT(m[0] != NULL && rte_pktmbuf_trim(m[0], 60 - 13) == 0, "13 bytes");
	m[1] = make_frame(0, &mac[1], 60, UINT16_MAX, 2);
	TEST_ASSERT_EQUAL(rte_eth_tx_prepare(port[0], 0, m, 1), 0, "13 bytes, accepted");
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(port[0], 0, m, 2), 2, "the queue is stuck");
	TEST_ASSERT_EQUAL(receive(1, 0, m, 1), 1, "lost");
	rte_pktmbuf_free(m[0]);
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(port[0], &stats), "stats");
	TEST_ASSERT(stats.opackets == 1 && stats.oerrors == 1,
		"%" PRIu64 " sent, %" PRIu64 " errors", stats.opackets, stats.oerrors);
	return check_all_back();
}

static int
test_big_buffers(void)
{
	struct rte_mempool *small = pool;
	struct rte_mbuf *m;
	int rc;

	pool = dmamap_pktmbuf_pool_create(peek(dmamap_container_by_device(devices[0])), "big", 511,
		0, 0, 10240 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	TEST_ASSERT_NOT_NULL(pool, "pool: %s", rte_strerror(rte_errno));
	mtu = BIG_MTU;
	rc = start();
	if (rc == 0)
		rc = send_one(0, make_frame(0, &mac[1], 9018, UINT16_MAX, 5));
	if (rc == 0 && receive(1, 0, &m, 1) == 1) {
		rc = check_frame(m, 0, &mac[1], 9018, 5);
		if (m->nb_segs != 1)
			rc = TEST_FAILED;
		rte_pktmbuf_free(m);
	} else {
		rc = TEST_FAILED;
	}
	if (check_all_back() != 0)
		rc = TEST_FAILED;
	rte_eth_dev_close(port[0]);
	rte_eth_dev_close(port[1]);
	rte_mempool_free(pool);
	pool = small;
	return rc;
}

/* More frames than the rings hold: none is lost, and none is out of order. */
static int
test_many(void)
{
	struct rte_mbuf *out[32], *in[32];
	unsigned int round, i, j, sent;

	if (start() != 0)
		return TEST_FAILED;
	for (round = 0; round < 200; round++) {
		for (i = 0; i < RTE_DIM(out); i++) {
			out[i] = make_frame(0, &mac[1], 60 + (round * 7 + i) % 1400,
				i % 5 == 0 ? 40 : UINT16_MAX, round * 32 + i);
			TEST_ASSERT_NOT_NULL(out[i], "round %u: no mbufs left", round);
		}
		/*
		 * These have more segments than the ring has descriptors: some are accepted only
		 * when others are sent.
		 */
		for (sent = 0, i = 0; sent < RTE_DIM(out) && i < IDLE_TRIES; i++)
			sent += rte_eth_tx_burst(port[0], 0, out + sent, RTE_DIM(out) - sent);
		TEST_ASSERT_EQUAL(sent, RTE_DIM(out), "round %u: %u sent", round, sent);
		TEST_ASSERT_EQUAL(receive(1, 0, in, sent), sent, "round %u: frames lost", round);
		for (j = 0; j < sent; j++) {
			TEST_ASSERT_SUCCESS(check_frame(in[j], 0, &mac[1],
						    60 + (round * 7 + j) % 1400, round * 32 + j),
				"round %u, frame %u", round, j);
			rte_pktmbuf_free(in[j]);
		}
	}
	return check_all_back();
}

static uint64_t
xstat(unsigned int i, const char *name)
{
	uint64_t id, value;

	if (rte_eth_xstats_get_id_by_name(port[i], name, &id) != 0 ||
		rte_eth_xstats_get_by_id(port[i], &id, &value, 1) != 1)
		return UINT64_MAX;
	return value;
}

static int
test_counts(void)
{
	struct rte_eth_stats a, b;
	struct rte_mbuf *m[10];
	uint64_t bytes = 0;
	unsigned int i;

	if (start() != 0)
		return TEST_FAILED;
	rte_eth_xstats_reset(port[0]);
	rte_eth_xstats_reset(port[1]);
	for (i = 0; i < RTE_DIM(m); i++) {
		if (send_one(0,
			    make_frame(0, i < 3 ? &everybody : &mac[1], 64 + 100 * i, 50 + 60 * i,
				    i)) != 0)
			return TEST_FAILED;
		bytes += 64 + 100 * i;
	}
	TEST_ASSERT_EQUAL(receive(1, 0, m, RTE_DIM(m)), RTE_DIM(m), "frames lost");
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));

	TEST_ASSERT_SUCCESS(rte_eth_stats_get(port[0], &a), "stats");
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(port[1], &b), "stats");
	TEST_ASSERT_EQUAL(a.opackets, RTE_DIM(m), "%" PRIu64 " sent", a.opackets);
	TEST_ASSERT_EQUAL(a.obytes, bytes, "%" PRIu64 " bytes sent", a.obytes);
	TEST_ASSERT_EQUAL(b.ipackets, RTE_DIM(m), "%" PRIu64 " received", b.ipackets);
	TEST_ASSERT_EQUAL(b.ibytes, bytes, "%" PRIu64 " bytes received", b.ibytes);
	TEST_ASSERT_EQUAL(xstat(1, "rx_q0_packets"), RTE_DIM(m), "queue");
	TEST_ASSERT_EQUAL(xstat(0, "tx_q0_bytes"), bytes, "bytes of the queue");
	TEST_ASSERT(a.ipackets == 0 && b.opackets == 0, "counted where nothing was");
	TEST_ASSERT(
		a.oerrors == 0 && b.ierrors == 0 && b.imissed == 0 && b.rx_nombuf == 0, "errors");
	TEST_ASSERT_EQUAL(xstat(0, "tx_hw_good_packets"), RTE_DIM(m), "chip: sent");
	TEST_ASSERT_EQUAL(xstat(1, "rx_hw_good_packets"), RTE_DIM(m), "chip: received");
	TEST_ASSERT_EQUAL(xstat(1, "rx_broadcast_packets"), 3, "chip: broadcasts");
	TEST_ASSERT_EQUAL(xstat(1, "rx_hw_good_octets"), bytes + 4 * RTE_DIM(m), "chip: octets");

	TEST_ASSERT_SUCCESS(rte_eth_stats_reset(port[1]), "reset");
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(port[1], &b), "stats");
	TEST_ASSERT(b.ipackets == 0 && b.ibytes == 0, "not reset");
	TEST_ASSERT_EQUAL(xstat(1, "rx_hw_good_packets"), 0, "chip: not reset");
	return check_all_back();
}

/* Frames that are too long count as errors. A reset of xstats resets the basic ones, too. */
static int
test_error_counts(void)
{
	struct rte_eth_stats stats;
	struct rte_mbuf *m;
	unsigned int i;

	if (start() != 0)
		return TEST_FAILED;
	for (i = 0; i < 4; i++)
		if (send_one(0, make_frame(0, &mac[1], i < 3 ? 1600 : 100, 800, i)) != 0)
			return TEST_FAILED;
	TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "lost");
	TEST_ASSERT_SUCCESS(check_frame(m, 0, &mac[1], 100, 3), "not the short one");
	rte_pktmbuf_free(m);
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(port[1], &stats), "stats");
	TEST_ASSERT(stats.ipackets == 1 && stats.ierrors == 3 && stats.imissed == 0,
		"%" PRIu64 " received, %" PRIu64 " errors, %" PRIu64 " missed", stats.ipackets,
		stats.ierrors, stats.imissed);
	TEST_ASSERT_EQUAL(xstat(1, "rx_oversize_packets"), 3, "chip: too long");
	TEST_ASSERT_EQUAL(xstat(1, "rx_good_packets"), 1, "good");

	TEST_ASSERT_SUCCESS(rte_eth_xstats_reset(port[1]), "reset");
	TEST_ASSERT_EQUAL(xstat(1, "rx_good_packets"), 0, "good: not reset");
	TEST_ASSERT_EQUAL(xstat(1, "rx_oversize_packets"), 0, "chip: not reset");
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(port[1], &stats), "stats");
	TEST_ASSERT(stats.ipackets == 0 && stats.ierrors == 0, "basic: not reset");
	return check_all_back();
}

/*
 * Whether port 1 accepts a frame to this address. A frame to its own address follows and must
 * arrive.
 */
static int
is_taken(const struct rte_ether_addr *to, bool *taken)
{
	struct rte_mbuf *m[2];
	unsigned int n;

	if (send_one(0, make_frame(0, to, 100, UINT16_MAX, 1)) != 0 ||
		send_one(0, make_frame(0, &mac[1], 200, UINT16_MAX, 2)) != 0)
		return TEST_FAILED;
	for (n = 0; n < 2; n++) {
		TEST_ASSERT_EQUAL(receive(1, 0, &m[n], 1), 1, "the frame to itself was lost");
		if (m[n]->pkt_len == 200)
			break;
	}
	*taken = n == 1;
	rte_pktmbuf_free_bulk(m, n + 1);
	return 0;
}

static int
test_filters(void)
{
	struct rte_ether_addr own = {{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}},
			      more = {{0x02, 1, 2, 3, 4, 5}};
	struct rte_ether_addr list[1] = {group};
	struct rte_ether_addr factory = mac[1];
	bool taken;

#define EXPECT(address, wanted, why)                                                               \
	do {                                                                                       \
		TEST_ASSERT_SUCCESS(is_taken(address, &taken), "%s", why);                         \
		TEST_ASSERT_EQUAL(taken, wanted, "%s", why);                                       \
	} while (0)

	if (start() != 0)
		return TEST_FAILED;
	EXPECT(&everybody, true, "broadcast");
	EXPECT(&foreign_mac, false, "a foreign address");
	EXPECT(&group, false, "a group's");

	rte_eth_promiscuous_enable(port[1]);
	EXPECT(&foreign_mac, true, "promiscuous: a foreign address");
	EXPECT(&group, true, "promiscuous: a group's");
	rte_eth_promiscuous_disable(port[1]);
	EXPECT(&foreign_mac, false, "no longer promiscuous: a foreign address");
	EXPECT(&group, false, "no longer promiscuous: a group's");

	rte_eth_allmulticast_enable(port[1]);
	EXPECT(&group, true, "all multicast: a group's");
	EXPECT(&foreign_mac, false, "all multicast: a foreign address");
	rte_eth_promiscuous_enable(port[1]);
	rte_eth_promiscuous_disable(port[1]);
	EXPECT(&group, true, "still all multicast: a group's");
	rte_eth_allmulticast_disable(port[1]);
	EXPECT(&group, false, "no longer all multicast: a group's");

	TEST_ASSERT_SUCCESS(rte_eth_dev_set_mc_addr_list(port[1], list, 1), "list");
	EXPECT(&group, true, "listed: a group's");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_mc_addr_list(port[1], NULL, 0), "list");
	EXPECT(&group, false, "no longer listed: a group's");

	TEST_ASSERT_SUCCESS(rte_eth_dev_mac_addr_add(port[1], &more, 0), "add");
	EXPECT(&more, true, "an added address");
	TEST_ASSERT_SUCCESS(rte_eth_dev_mac_addr_remove(port[1], &more), "remove");
	EXPECT(&more, false, "a removed address");

	TEST_ASSERT_SUCCESS(rte_eth_dev_default_mac_addr_set(port[1], &own), "set");
	mac[1] = own;
	EXPECT(&factory, false, "the address before");
	EXPECT(&own, true, "the new address");
	TEST_ASSERT_SUCCESS(rte_eth_dev_default_mac_addr_set(port[1], &factory), "set back");
	mac[1] = factory;

	/* Filters from before a stop are valid after the next start. */
	TEST_ASSERT_SUCCESS(rte_eth_dev_mac_addr_add(port[1], &more, 0), "add");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_mc_addr_list(port[1], list, 1), "list");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(port[1]), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(port[1]), "start");
	EXPECT(&more, true, "after a new start: the added address");
	EXPECT(&group, true, "after a new start: the listed group");
	EXPECT(&foreign_mac, false, "after a new start: a foreign address");
#undef EXPECT
	return check_all_back();
}

/*
 * Ethernet, IPv4 and TCP or UDP. The checksums are right except for the bits in ip_wrong and
 * l4_wrong.
 */
static struct rte_mbuf *
make_packet(bool tcp, uint32_t payload, uint16_t ip_wrong, uint16_t l4_wrong, uint16_t src_port)
{
	uint32_t l4_len = tcp ? sizeof(struct rte_tcp_hdr) : sizeof(struct rte_udp_hdr), i;
	uint32_t len =
		sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + l4_len + payload;
	struct rte_mbuf *m = make_frame(0, &mac[1], len, UINT16_MAX, 9);
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;
	struct rte_tcp_hdr *t;
	struct rte_udp_hdr *u;

	if (m == NULL)
		return NULL;
	eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	ip = (struct rte_ipv4_hdr *)(eth + 1);
	*ip = (struct rte_ipv4_hdr){.version_ihl = 0x45,
		.time_to_live = 64,
		.total_length = rte_cpu_to_be_16(len - sizeof(*eth)),
		.next_proto_id = tcp ? IPPROTO_TCP : IPPROTO_UDP,
		.src_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 1)),
		.dst_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 2))};
	t = (struct rte_tcp_hdr *)(ip + 1);
	u = (struct rte_udp_hdr *)(ip + 1);
	for (i = 0; i < l4_len; i++)
		((uint8_t *)t)[i] = 0;
	t->src_port = rte_cpu_to_be_16(src_port);
	t->dst_port = rte_cpu_to_be_16(80);
	if (tcp) {
		t->data_off = 0x50;
		t->cksum = rte_ipv4_udptcp_cksum(ip, t) ^ l4_wrong;
	} else {
		u->dgram_len = rte_cpu_to_be_16(l4_len + payload);
		u->dgram_cksum = rte_ipv4_udptcp_cksum(ip, u) ^ l4_wrong;
	}
	ip->hdr_checksum = rte_ipv4_cksum(ip) ^ ip_wrong;
	m->l2_len = sizeof(*eth);
	m->l3_len = sizeof(*ip);
	m->l4_len = l4_len;
	return m;
}

static int
test_rx_checksums(void)
{
	static const struct {
		bool tcp;
		uint16_t ip_wrong, l4_wrong;
		uint64_t flags;
	} cases[] = {
		{true, 0, 0, RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD},
		{false, 0, 0, RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD},
		{true, 0, 0x0100, RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_BAD},
		{false, 0, 0x0100, RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_BAD},
		{true, 0x0100, 0, RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_GOOD},
		{true, 0x0100, 0x0001, RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_BAD},
	};
	const uint64_t mask = RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK;
	struct rte_mbuf *m;
	unsigned int i;

	conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM;
	if (start() != 0)
		return TEST_FAILED;
	for (i = 0; i < RTE_DIM(cases); i++) {
		if (send_one(0,
			    make_packet(cases[i].tcp, 100 + i, cases[i].ip_wrong, cases[i].l4_wrong,
				    1000)) != 0)
			return TEST_FAILED;
		TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "case %u: lost", i);
		TEST_ASSERT_EQUAL((m->ol_flags & mask), cases[i].flags, "case %u: flags %" PRIx64,
			i, m->ol_flags);
		TEST_ASSERT_EQUAL(m->packet_type,
			(RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN |
				(cases[i].tcp ? RTE_PTYPE_L4_TCP : RTE_PTYPE_L4_UDP)),
			"case %u: type %x", i, m->packet_type);
		rte_pktmbuf_free(m);
	}
	/* A frame without IP has no checksum flags. */
	if (send_one(0, make_frame(0, &mac[1], 100, UINT16_MAX, 1)) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "lost");
	TEST_ASSERT_EQUAL((m->ol_flags & mask), 0, "flags %" PRIx64, m->ol_flags);
	TEST_ASSERT_EQUAL(m->packet_type, RTE_PTYPE_L2_ETHER, "type %x", m->packet_type);
	rte_pktmbuf_free(m);

	/* Without the offload no checksum flags are set. */
	stop();
	conf.rxmode.offloads = 0;
	if (start() != 0 || send_one(0, make_packet(true, 64, 0x0100, 0, 1000)) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "lost");
	TEST_ASSERT_EQUAL((m->ol_flags & mask), 0, "unasked: flags %" PRIx64, m->ol_flags);
	rte_pktmbuf_free(m);
	return check_all_back();
}

static int
test_tx_checksums(void)
{
	static const struct {
		bool tcp;
		uint64_t flags;
		bool ip_mended, l4_mended;
	} cases[] = {
		{true, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM, true,
			true},
		{false, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM, true,
			true},
		{true, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM, true, false},
		{true, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM, false, true},
		{false, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM, false, true},
		{false, 0, false, false},
	};
	struct rte_ipv4_hdr *ip;
	struct rte_mbuf *m;
	unsigned int i;

	conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
		RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	if (start() != 0)
		return TEST_FAILED;
	/* Twice: the second time some contexts are loaded already. */
	for (i = 0; i < 2 * RTE_DIM(cases); i++) {
		unsigned int k = i / 2;

		m = make_packet(cases[k].tcp, 101, 0x0100, 0x0100, 1000);
		TEST_ASSERT_NOT_NULL(m, "no mbuf");
		m->ol_flags = cases[k].flags;
		if (send_one(0, m) != 0)
			return TEST_FAILED;
		TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "case %u: lost", k);
		ip = rte_pktmbuf_mtod_offset(
			m, struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
		TEST_ASSERT_EQUAL((rte_ipv4_udptcp_cksum_verify(ip, ip + 1) == 0),
			cases[k].l4_mended, "case %u: L4", k);
		TEST_ASSERT_EQUAL((rte_raw_cksum(ip, sizeof(*ip)) == 0xFFFF), cases[k].ip_mended,
			"case %u: IP", k);
		rte_pktmbuf_free(m);
	}

	/* Unsupported offloads are refused by tx_prepare(). */
	m = make_packet(true, 10, 0, 0, 1);
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_SEG;
	m->tso_segsz = 500;
	TEST_ASSERT_EQUAL(rte_eth_tx_prepare(port[0], 0, &m, 1), 0, "segmentation was accepted");
	TEST_ASSERT_EQUAL(rte_errno, ENOTSUP, "errno %d", rte_errno);
	rte_pktmbuf_free(m);
	return check_all_back();
}

/* A TCP packet to be segmented, of mbufs of at most 1,000 bytes. */
static struct rte_mbuf *
make_tso_packet(bool ipv6, uint32_t payload, uint16_t mss, uint32_t seed)
{
	const uint32_t l3_len = ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	const uint32_t hdr_len = RTE_ETHER_HDR_LEN + l3_len + sizeof(struct rte_tcp_hdr);
	struct rte_mbuf *m = make_frame(0, &mac[1], hdr_len + payload, 1000, seed);
	struct rte_tcp_hdr *tcp;
	uint8_t *l3;

	if (m == NULL)
		return NULL;
	l3 = rte_pktmbuf_mtod_offset(m, uint8_t *, RTE_ETHER_HDR_LEN);
	memset(l3, 0, hdr_len - RTE_ETHER_HDR_LEN);
	l3[-2] = ipv6 ? 0x86 : 0x08;
	l3[-1] = ipv6 ? 0xDD : 0x00;
	if (ipv6)
		*(struct rte_ipv6_hdr *)l3 =
			(struct rte_ipv6_hdr){.vtc_flow = rte_cpu_to_be_32(0x60000000),
				.payload_len = rte_cpu_to_be_16(sizeof(*tcp) + payload),
				.proto = IPPROTO_TCP,
				.hop_limits = 64};
	else
		*(struct rte_ipv4_hdr *)l3 = (struct rte_ipv4_hdr){.version_ihl = 0x45,
			.total_length = rte_cpu_to_be_16(l3_len + sizeof(*tcp) + payload),
			.packet_id = rte_cpu_to_be_16(0xFFFE),
			.time_to_live = 64,
			.next_proto_id = IPPROTO_TCP,
			.src_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 1)),
			.dst_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 2))};
	tcp = (struct rte_tcp_hdr *)(l3 + l3_len);
	*tcp = (struct rte_tcp_hdr){.src_port = rte_cpu_to_be_16(1000),
		.dst_port = rte_cpu_to_be_16(80),
		.sent_seq = rte_cpu_to_be_32(seed),
		.data_off = 0x50,
		.tcp_flags = RTE_TCP_ACK_FLAG};
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = l3_len;
	m->l4_len = sizeof(*tcp);
	m->tso_segsz = mss;
	m->ol_flags = RTE_MBUF_F_TX_TCP_SEG |
		(ipv6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
	return m;
}

/* Frame k of such a packet carries n bytes of its payload from `at` on. */
static int
check_segment(
	const struct rte_mbuf *m, bool ipv6, unsigned int k, uint32_t at, uint32_t n, uint32_t seed)
{
	const uint32_t l3_len = ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	const uint32_t hdr_len = RTE_ETHER_HDR_LEN + l3_len + sizeof(struct rte_tcp_hdr);
	const uint8_t *bytes = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct rte_ipv4_hdr *ip4 = (const void *)(bytes + RTE_ETHER_HDR_LEN);
	const struct rte_ipv6_hdr *ip6 = (const void *)(bytes + RTE_ETHER_HDR_LEN);
	const struct rte_tcp_hdr *tcp = (const void *)(bytes + RTE_ETHER_HDR_LEN + l3_len);
	uint32_t i;

	TEST_ASSERT_EQUAL(
		m->pkt_len, RTE_MAX(hdr_len + n, 60u), "frame %u: %u bytes", k, m->pkt_len);
	if (ipv6) {
		TEST_ASSERT_EQUAL(rte_be_to_cpu_16(ip6->payload_len), sizeof(*tcp) + n,
			"frame %u: length in IPv6", k);
		TEST_ASSERT_SUCCESS(rte_ipv6_udptcp_cksum_verify(ip6, tcp), "frame %u: TCP", k);
	} else {
		TEST_ASSERT_EQUAL(rte_be_to_cpu_16(ip4->total_length), l3_len + sizeof(*tcp) + n,
			"frame %u: length in IPv4", k);
		TEST_ASSERT_EQUAL(rte_be_to_cpu_16(ip4->packet_id), (uint16_t)(0xFFFE + k),
			"frame %u: identification", k);
		TEST_ASSERT_EQUAL(
			rte_raw_cksum(ip4, l3_len), 0xFFFF, "frame %u: checksum of IPv4", k);
		TEST_ASSERT_SUCCESS(rte_ipv4_udptcp_cksum_verify(ip4, tcp), "frame %u: TCP", k);
	}
	TEST_ASSERT_EQUAL(rte_be_to_cpu_32(tcp->sent_seq), seed + at, "frame %u: sequence", k);
	for (i = 0; i < n; i++)
		TEST_ASSERT_EQUAL(bytes[hdr_len + i], pattern(seed, hdr_len + at + i),
			"frame %u: byte %u", k, i);
	return 0;
}

static int
test_segmentation(void)
{
	static const struct {
		uint32_t payload;
		uint16_t mss;
	} packets[] = {{3000, 1440}, {1, 1440}, {30000, 1440}, {2000, 100}};
	const struct rte_ipv4_hdr *ip;
	uint32_t at, n, seed;
	unsigned int i, k;
	struct rte_mbuf *m;
	bool cut, ipv6;

	conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
		RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (start() != 0 || send_one(0, make_tso_packet(false, 3000, 1440, 1)) != 0)
		return TEST_FAILED;
	/* QEMU 7.2 makes fragments of IP where the chip makes segments of TCP; 10.0 does not. */
	TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "lost");
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, RTE_ETHER_HDR_LEN);
	cut = ip->fragment_offset & rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG);
	rte_pktmbuf_free(m);
	while (receive(1, 0, &m, 1) == 1)
		rte_pktmbuf_free(m);
	if (cut)
		return check_all_back() != 0
			? TEST_FAILED
			: test_skip("this QEMU cuts TCP packets into fragments of IP");
	for (i = 0; i < 2 * RTE_DIM(packets); i++) {
		ipv6 = i % 2;
		seed = 100 + i;
		if (send_one(0,
			    make_tso_packet(
				    ipv6, packets[i / 2].payload, packets[i / 2].mss, seed)) != 0)
			return TEST_FAILED;
		for (at = 0, k = 0; at < packets[i / 2].payload; at += n, k++) {
			n = RTE_MIN(packets[i / 2].payload - at, (uint32_t)packets[i / 2].mss);
			TEST_ASSERT_EQUAL(
				receive(1, 0, &m, 1), 1, "packet %u: %u bytes came", i, at);
			if (check_segment(m, ipv6, k, at, n, seed) != 0)
				return TEST_FAILED;
			rte_pktmbuf_free(m);
		}
	}
	return check_all_back();
}

static int
test_impossible(void)
{
	struct rte_eth_stats stats;
	struct rte_mbuf *m[3];

	if (start() != 0)
		return TEST_FAILED;
	m[0] = make_frame(0, &mac[1], 9231, UINT16_MAX, 1); /* longer than the chip's maximum */
	m[1] = make_frame(0, &mac[1], 1400, 14, 2); /* a hundred segments */
	m[2] = make_frame(0, &mac[1], 300, UINT16_MAX, 3);
	TEST_ASSERT_EQUAL(rte_eth_tx_prepare(port[0], 0, m, 1), 0, "too long, accepted");
	TEST_ASSERT_EQUAL(
		rte_eth_tx_prepare(port[0], 0, m + 1, 1), 0, "too many segments, accepted");
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(port[0], 0, m, 3), 3, "the queue is stuck");
	TEST_ASSERT_EQUAL(receive(1, 0, m, 1), 1, "the good one was lost");
	TEST_ASSERT_SUCCESS(check_frame(m[0], 0, &mac[1], 300, 3), "the good one was changed");
	rte_pktmbuf_free(m[0]);
	TEST_ASSERT_SUCCESS(rte_eth_stats_get(port[0], &stats), "stats");
	TEST_ASSERT_EQUAL(stats.oerrors, 2, "%" PRIu64 " errors", stats.oerrors);
	TEST_ASSERT_EQUAL(stats.opackets, 1, "%" PRIu64 " sent", stats.opackets);
	return check_all_back();
}

static int
test_vlan(void)
{
	struct rte_vlan_hdr *tag;
	struct rte_mbuf *m;
	unsigned int i;

	/*
	 * Insertion alone, which turns on stripping in the chip: the receiver shows the frame as on
	 * the wire, until it is asked to strip.
	 */
	conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	if (start() != 0)
		return TEST_FAILED;
	for (i = 0; i < 4; i++) {
		if (i == 2)
			TEST_ASSERT_SUCCESS(
				rte_eth_dev_set_vlan_offload(port[1], RTE_ETH_VLAN_STRIP_OFFLOAD),
				"strip");
		m = make_frame(0, &mac[1], 200, UINT16_MAX, 1);
		TEST_ASSERT_NOT_NULL(m, "no mbuf");
		if (i % 2 == 0) {
			m->ol_flags = RTE_MBUF_F_TX_VLAN;
			m->vlan_tci = 0x2123;
		}
		if (send_one(0, m) != 0)
			return TEST_FAILED;
		TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "insertion alone: lost");
		TEST_ASSERT_EQUAL(m->pkt_len, i == 0 ? 204u : 200u, "%u: %u bytes", i, m->pkt_len);
		TEST_ASSERT_EQUAL(
			!(m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED), i != 2, "%u: flags", i);
		tag = rte_pktmbuf_mtod_offset(m, struct rte_vlan_hdr *, 2 * RTE_ETHER_ADDR_LEN + 2);
		if (i == 0)
			TEST_ASSERT(tag->vlan_tci == rte_cpu_to_be_16(0x2123) &&
					tag->eth_proto == rte_cpu_to_be_16(TEST_TYPE) &&
					tag[-1].eth_proto == rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN),
				"tag");
		else
			TEST_ASSERT_SUCCESS(check_frame(m, 0, &mac[1], 200, 1), "%u: changed", i);
		rte_pktmbuf_free(m);
	}
	stop();
	conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
	if (start() != 0)
		return TEST_FAILED;
	m = make_frame(0, &mac[1], 200, UINT16_MAX, 1);
	m->ol_flags = RTE_MBUF_F_TX_VLAN;
	m->vlan_tci = 0x2123;
	if (send_one(0, m) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "lost");
	TEST_ASSERT(m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED && m->ol_flags & RTE_MBUF_F_RX_VLAN,
		"not stripped");
	TEST_ASSERT_EQUAL(m->vlan_tci, 0x2123, "tag %x", m->vlan_tci);
	TEST_ASSERT_SUCCESS(check_frame(m, 0, &mac[1], 200, 1), "changed");
	rte_pktmbuf_free(m);
	stop();

	/* Only the sender has VLAN offloads, so the receiver shows the frame as on the wire. */
	if (start_one(0) != 0)
		return TEST_FAILED;
	memset(&conf, 0, sizeof(conf));
	if (start_one(1) != 0)
		return TEST_FAILED;
	m = make_frame(0, &mac[1], 200, UINT16_MAX, 1);
	m->ol_flags = RTE_MBUF_F_TX_VLAN;
	m->vlan_tci = 0x2123;
	if (send_one(0, m) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "lost");
	TEST_ASSERT_EQUAL(m->pkt_len, 204, "%u bytes", m->pkt_len);
	TEST_ASSERT(!(m->ol_flags & RTE_MBUF_F_RX_VLAN), "flags");
	tag = rte_pktmbuf_mtod_offset(m, struct rte_vlan_hdr *, 2 * RTE_ETHER_ADDR_LEN + 2);
	TEST_ASSERT_EQUAL(tag->vlan_tci, rte_cpu_to_be_16(0x2123), "tag");
	rte_pktmbuf_free(m);
	return check_all_back();
}

static int
test_vlan_filter(void)
{
	struct rte_mbuf *m;
	struct rte_vlan_hdr *tag;
	unsigned int i, n = 0;

	conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_VLAN_FILTER;
	if (start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_vlan_filter(port[1], 100, 1), "filter");
	/* Tags in the frame data: 99, 100, 101; then a frame without a tag. */
	for (i = 99; i <= 102; i++) {
		m = make_frame(0, &mac[1], 200 + i, UINT16_MAX, 1);
		if (i < 102) {
			tag = rte_pktmbuf_mtod_offset(
				m, struct rte_vlan_hdr *, 2 * RTE_ETHER_ADDR_LEN + 2);
			tag[-1].eth_proto = rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN);
			tag->vlan_tci = rte_cpu_to_be_16(i);
			tag->eth_proto = rte_cpu_to_be_16(TEST_TYPE);
		}
		if (send_one(0, m) != 0)
			return TEST_FAILED;
	}
	do {
		TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "the last was lost");
		TEST_ASSERT(
			m->pkt_len == 300 || m->pkt_len == 302, "VLAN %u passed", m->pkt_len - 200);
		n += m->pkt_len;
		rte_pktmbuf_free(m);
	} while (n < 602);
	TEST_ASSERT_EQUAL(n, 602, "VLAN 100 was lost");
	return check_all_back();
}

static int
test_rss(void)
{
	static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
		0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
		0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac,
		0x01, 0xfa};
	unsigned int i, n[2] = {0, 0}, queue;
	union rte_thash_tuple tuple;
	struct rte_ipv4_hdr *ip;
	struct rte_tcp_hdr *tcp;
	struct rte_mbuf *m;
	uint32_t hash;

	n_queues = 2;
	conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_RSS_HASH | RTE_ETH_RX_OFFLOAD_CHECKSUM;
	conf.rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP;
	if (start() != 0)
		return TEST_FAILED;
	for (i = 0; i < 64; i++) {
		if (send_one(0, make_packet(true, 50, 0, 0, 2000 + i)) != 0)
			return TEST_FAILED;
		tuple.v4 = (struct rte_ipv4_tuple){.src_addr = RTE_IPV4(10, 0, 0, 1),
			.dst_addr = RTE_IPV4(10, 0, 0, 2),
			.sport = 2000 + i,
			.dport = 80};
		hash = rte_softrss((uint32_t *)&tuple, RTE_THASH_V4_L4_LEN, key);
		queue = (hash & 127) % 2; /* the default redirection table */
		TEST_ASSERT_EQUAL(
			receive(1, queue, &m, 1), 1, "flow %u is not in queue %u", i, queue);
		ip = rte_pktmbuf_mtod_offset(
			m, struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
		tcp = (struct rte_tcp_hdr *)(ip + 1);
		TEST_ASSERT_EQUAL(rte_be_to_cpu_16(tcp->src_port), 2000 + i, "another flow");
		TEST_ASSERT(m->ol_flags & RTE_MBUF_F_RX_RSS_HASH, "no hash");
		TEST_ASSERT_EQUAL(
			m->hash.rss, hash, "flow %u: hash %x, not %x", i, m->hash.rss, hash);
		TEST_ASSERT(
			(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD,
			"no checksum flags beside the hash");
		rte_pktmbuf_free(m);
		n[queue]++;
	}
	TEST_ASSERT(n[0] > 0 && n[1] > 0, "one queue got all");

	/* The second transmit queue works, too. */
	m = make_frame(0, &mac[1], 77, UINT16_MAX, 3);
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(port[0], 1, &m, 1), 1, "not sent");
	TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "lost");
	TEST_ASSERT_SUCCESS(check_frame(m, 0, &mac[1], 77, 3), "changed");
	rte_pktmbuf_free(m);
	return check_all_back();
}

/* Send TCP packets of 64 flows. @return how many of them each queue of port 1 got */
static int
send_flows(unsigned int *n)
{
	struct rte_mbuf *m;
	unsigned int i, q;

	for (i = 0; i < 64; i++)
		if (send_one(0, make_packet(true, 50, 0, 0, 2000 + i)) != 0)
			return TEST_FAILED;
	/* Packets are received in order: after the last one there are no others. */
	for (i = 0, n[0] = n[1] = 0; n[0] + n[1] < 64 && i < IDLE_TRIES; i++) {
		for (q = 0; q < 2; q++)
			while (rte_eth_rx_burst(port[1], q, &m, 1) == 1) {
				n[q]++;
				rte_pktmbuf_free(m);
			}
		usleep(1000);
	}
	TEST_ASSERT_EQUAL(n[0] + n[1], 64, "%u and %u packets", n[0], n[1]);
	return 0;
}

/* A queue stops, is set up again with another ring, and starts, while the other one is in use. */
static int
test_queue_run(void)
{
	unsigned int n[2], round;

	n_queues = 2;
	conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf.rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP;
	if (start() != 0)
		return TEST_FAILED;
	for (round = 0; round < 4; round++) {
		if (send_flows(n) != 0)
			return TEST_FAILED;
		TEST_ASSERT(n[0] > 0 && n[1] > 0, "round %u: one queue got all", round);
		TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(port[1], 1), "stop");
		if (send_flows(n) != 0)
			return TEST_FAILED;
		TEST_ASSERT_EQUAL(n[1], 0, "round %u: a stopped queue receives", round);
		TEST_ASSERT_SUCCESS(rte_eth_rx_queue_setup(port[1], 1, round % 2 == 0 ? 32 : 256,
					    SOCKET_ID_ANY, NULL, pool),
			"set-up");
		/* The same for a transmit queue, beside packets of the other one. */
		TEST_ASSERT_EQUAL(
			rte_eth_tx_burst(port[0], 1,
				&(struct rte_mbuf *){make_frame(0, &mac[1], 77, 40, 3)}, 1),
			1, "not sent");
		TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_stop(port[0], 1), "stop");
		TEST_ASSERT_SUCCESS(rte_eth_tx_queue_setup(port[0], 1, round % 2 == 0 ? 32 : 256,
					    SOCKET_ID_ANY, NULL),
			"set-up");
		TEST_ASSERT_SUCCESS(rte_eth_dev_tx_queue_start(port[0], 1), "start");
		TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(port[1], 1), "start");
		drain(1);
	}
	/* Without queue 0, nothing is received; what QEMU holds back comes after its start. */
	TEST_ASSERT_EQUAL(rte_eth_dev_rx_queue_stop(port[1], 0), -EBUSY, "queue 0 first");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(port[1], 1), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_stop(port[1], 0), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_rx_queue_start(port[1], 0), "start");
	if (cross(0, 100, UINT16_MAX, 1) != 0)
		return TEST_FAILED;
	return check_all_back();
}

/* Free sent packets, with some patience. @return how many, at most n */
static unsigned int
cleanup(unsigned int i, unsigned int n)
{
	unsigned int freed = 0, idle = 0;
	int now;

	while (freed < n && idle++ < IDLE_TRIES) {
		now = rte_eth_tx_done_cleanup(port[i], 0, n - freed);
		if (now < 0)
			break;
		freed += now;
		if (now == 0)
			usleep(1000);
	}
	return freed;
}

/* Few packets are sent and no more: their mbufs come back on request, as many as asked for. */
static int
test_cleanup(void)
{
	unsigned int i, n;
	struct rte_mbuf *m[43];

	if (start() != 0)
		return TEST_FAILED;
	for (n = 1; n <= 3; n++) {
		for (i = 0; i < n; i++)
			if (send_one(0, make_frame(0, &mac[1], 100, 60, i)) != 0)
				return TEST_FAILED;
		TEST_ASSERT_EQUAL(receive(1, 0, m, n), n, "lost");
		rte_pktmbuf_free_bulk(m, n);
		TEST_ASSERT_EQUAL(cleanup(0, n), n, "%u packets", n);
		TEST_ASSERT_EQUAL(rte_eth_tx_done_cleanup(port[0], 0, 0), 0, "more than sent");
	}
	for (i = 0; i < RTE_DIM(m); i++)
		if (send_one(0, make_frame(0, &mac[1], 100, 60, i)) != 0)
			return TEST_FAILED;
	TEST_ASSERT_EQUAL(receive(1, 0, m, RTE_DIM(m)), RTE_DIM(m), "lost");
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
	for (i = 0; i < RTE_DIM(m); i++)
		TEST_ASSERT_EQUAL(rte_eth_tx_done_cleanup(port[0], 0, 1), 1, "packet %u", i);
	TEST_ASSERT_EQUAL(rte_eth_tx_done_cleanup(port[0], 0, 0), 0, "more than sent");
	/* What asks for a report is no frame. */
	TEST_ASSERT_EQUAL(xstat(0, "tx_hw_good_packets"), 6 + RTE_DIM(m), "chip: sent");
	TEST_ASSERT_EQUAL(rte_eth_rx_queue_count(port[1], 0), 0, "another frame came");
	return check_all_back();
}

/* A packet of two owners, as bonding sends it to all its members. */
static int
test_two_owners(void)
{
	struct rte_mbuf *m, *in;
	unsigned int i;
	int rc;

	if (start() != 0)
		return TEST_FAILED;
	m = make_frame(0, &everybody, 300, 100, 5);
	TEST_ASSERT_NOT_NULL(m, "no mbuf");
	rte_pktmbuf_refcnt_update(m, 1);
	for (i = 0; i < 2; i++) {
		if (send_one(i, m) != 0)
			return TEST_FAILED;
		TEST_ASSERT_EQUAL(receive(1 - i, 0, &in, 1), 1, "port %u: lost", i);
		rc = check_frame(in, 0, &everybody, 300, 5);
		rte_pktmbuf_free(in);
		TEST_ASSERT_SUCCESS(rc, "port %u: changed", i);
	}
	return check_all_back();
}

/* Each ring size that dev_info names takes the default thresholds. */
static int
test_ring_sizes(void)
{
	struct rte_eth_dev_info info;
	uint16_t n;

	TEST_ASSERT_SUCCESS(rte_eth_dev_info_get(port[0], &info), "info");
	TEST_ASSERT_EQUAL(
		info.tx_desc_lim.nb_seg_max, 60, "%u segments", info.tx_desc_lim.nb_seg_max);
	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(port[0], 1, 1, &conf), "configure");
	for (n = info.tx_desc_lim.nb_min; n <= 136; n += info.tx_desc_lim.nb_align) {
		TEST_ASSERT_SUCCESS(rte_eth_tx_queue_setup(port[0], 0, n, SOCKET_ID_ANY, NULL),
			"Tx ring of %u", n);
		TEST_ASSERT_SUCCESS(
			rte_eth_rx_queue_setup(port[0], 0, n, SOCKET_ID_ANY, NULL, pool),
			"Rx ring of %u", n);
		TEST_ASSERT_SUCCESS(rte_eth_dev_info_get(port[0], &info), "info");
		TEST_ASSERT_EQUAL(info.tx_desc_lim.nb_seg_max, RTE_MIN(60, n - 2),
			"ring of %u: %u segments", n, info.tx_desc_lim.nb_seg_max);
	}
	TEST_ASSERT_SUCCESS(
		rte_eth_tx_queue_setup(port[0], 0, info.tx_desc_lim.nb_max, SOCKET_ID_ANY, NULL),
		"the largest Tx ring");
	return TEST_SUCCESS;
}

static int
test_descriptors(void)
{
	struct rte_mbuf *m[8];
	unsigned int i, idle = 0;

	if (start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(
		rte_eth_rx_descriptor_status(port[1], 0, 0), RTE_ETH_RX_DESC_AVAIL, "first");
	TEST_ASSERT_EQUAL(rte_eth_rx_descriptor_status(port[1], 0, N_DESC - 1),
		RTE_ETH_RX_DESC_UNAVAIL, "the last is not hardware's");
	TEST_ASSERT_EQUAL(rte_eth_rx_descriptor_status(port[1], 0, N_DESC), -EINVAL, "beyond");
	TEST_ASSERT_EQUAL(
		rte_eth_tx_descriptor_status(port[0], 0, 0), RTE_ETH_TX_DESC_DONE, "free");
	TEST_ASSERT_EQUAL(rte_eth_rx_queue_count(port[1], 0), 0, "nothing came");
	for (i = 0; i < RTE_DIM(m); i++)
		if (send_one(0, make_frame(0, &mac[1], 100 + i, UINT16_MAX, i)) != 0)
			return TEST_FAILED;
	while (rte_eth_rx_queue_count(port[1], 0) < (int)RTE_DIM(m) && idle++ < IDLE_TRIES)
		usleep(1000);
	TEST_ASSERT_EQUAL(rte_eth_rx_queue_count(port[1], 0), RTE_DIM(m), "count");
	TEST_ASSERT_EQUAL(rte_eth_rx_descriptor_status(port[1], 0, RTE_DIM(m) - 1),
		RTE_ETH_RX_DESC_DONE, "the last that came");
	TEST_ASSERT_EQUAL(rte_eth_rx_descriptor_status(port[1], 0, RTE_DIM(m)),
		RTE_ETH_RX_DESC_AVAIL, "the next");
	/* Eight descriptors of a batch of 32: no report was requested yet. */
	TEST_ASSERT_EQUAL(rte_eth_tx_descriptor_status(port[0], 0, N_DESC - 1),
		RTE_ETH_TX_DESC_FULL, "the last that was sent");
	TEST_ASSERT_EQUAL(receive(1, 0, m, RTE_DIM(m)), RTE_DIM(m), "lost");
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));

	TEST_ASSERT_EQUAL(cleanup(0, RTE_DIM(m)), RTE_DIM(m), "packets cleaned");
	for (i = 0; i < 32; i++)
		if (send_one(0, make_frame(0, &mac[1], 100 + i, UINT16_MAX, i)) != 0)
			return TEST_FAILED;
	for (idle = 0; idle < IDLE_TRIES &&
		rte_eth_tx_descriptor_status(port[0], 0, N_DESC - 1) != RTE_ETH_TX_DESC_DONE;
		idle++)
		usleep(1000);
	TEST_ASSERT_EQUAL(rte_eth_tx_done_cleanup(port[0], 0, 0), 32, "packets cleaned");
	return check_all_back();
}

static int
test_restart_in_traffic(void)
{
	struct rte_mbuf *m;
	unsigned int round, i;

	if (start() != 0)
		return TEST_FAILED;
	for (round = 0; round < 5; round++) {
		/* Frames in both directions, none of them received. */
		for (i = 0; i < 40; i++)
			if (send_one(i & 1,
				    make_frame(i & 1, &mac[1 - (i & 1)], 60 + i * 9,
					    i % 3 == 0 ? 33 : UINT16_MAX, i)) != 0)
				return TEST_FAILED;
		TEST_ASSERT_SUCCESS(rte_eth_dev_stop(port[1]), "stop");
		for (i = 0; i < 10; i++)
			if (send_one(0, make_frame(0, &mac[1], 500, UINT16_MAX, i)) != 0)
				return TEST_FAILED;
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(port[1]), "start");
		/*
		 * Frames that were sent while the port was down may arrive first, as the wire keeps
		 * the order.
		 */
		if (send_one(0, make_frame(0, &mac[1], 1111, UINT16_MAX, round)) != 0)
			return TEST_FAILED;
		do {
			TEST_ASSERT_EQUAL(
				receive(1, 0, &m, 1), 1, "round %u: nothing comes any more", round);
			i = m->pkt_len;
			if (i == 1111)
				TEST_ASSERT_SUCCESS(
					check_frame(m, 0, &mac[1], 1111, round), "changed");
			rte_pktmbuf_free(m);
		} while (i != 1111);
		drain(0);
		if (cross(1, 1200, UINT16_MAX, round) != 0)
			return TEST_FAILED;
	}
	return check_all_back();
}

#define FOREIGN_MBUFS 255

static int
test_foreign_pool(void)
{
	const uint16_t room = RTE_MBUF_DEFAULT_BUF_SIZE;
	struct rte_pktmbuf_extmem mem = {.elt_size = room, .buf_len = (size_t)FOREIGN_MBUFS * room};
	struct rte_mempool *foreign;
	const char *log;
	int rc;

	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(port[0], 1, 1, &conf), "configure");
	mem.buf_ptr = aligned_alloc(4096, RTE_ALIGN_CEIL(mem.buf_len, 4096));
	mem.buf_iova = (uintptr_t)mem.buf_ptr;
	TEST_ASSERT_NOT_NULL(mem.buf_ptr, "memory");
	foreign = rte_pktmbuf_pool_create_extbuf(
		"foreign", FOREIGN_MBUFS, 0, 0, room, SOCKET_ID_ANY, &mem, 1);
	TEST_ASSERT_NOT_NULL(foreign, "pool");
	test_log_begin();
	rc = rte_eth_rx_queue_setup(port[0], 0, N_DESC, SOCKET_ID_ANY, NULL, foreign);
	log = test_log_end();
	TEST_ASSERT_EQUAL(rc, -EINVAL, "%d", rc);
	TEST_ASSERT(strstr(log, "pool foreign is not in container net") != NULL &&
			strstr(log, "dmamap_pktmbuf_pool_create()") != NULL,
		"the log says: %s", log);
	rte_mempool_free(foreign);
	free(mem.buf_ptr);
	TEST_ASSERT_SUCCESS(rte_eth_rx_queue_setup(port[0], 0, N_DESC, SOCKET_ID_ANY, NULL, pool),
		"its own pool");
	return TEST_SUCCESS;
}

/* A pool as in a program that does not know containers. */
static int
test_eal_pool(void)
{
	struct rte_mempool *ours = pool;
	int rc = TEST_FAILED;
	uint32_t i;

	pool = rte_pktmbuf_pool_create(
		"eal", N_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (pool != NULL && start() == 0)
		for (i = 0, rc = 0; i < 20 && rc == 0; i++)
			rc = cross(i % 2, 60, UINT16_MAX, i);
	if (rc == 0)
		rc = check_all_back();
	else
		stop();
	for (i = 0; i < 2; i++)
		rte_eth_dev_close(port[i]);
	rte_mempool_free(pool);
	pool = ours;
	return rc;
}

static int
test_bad_queues(void)
{
	struct rte_eth_dev_info info;
	struct rte_eth_rxconf rx;
	struct rte_eth_txconf tx;
	uint64_t before, after;
	struct dmamap_container_info cinfo;

	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(port[0], 1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_dev_info_get(port[0], &info), "info");
	dmamap_container_info(peek(dmamap_container_by_device(devices[0])), &cinfo);
	before = cinfo.n_mappings;
	rx = info.default_rxconf;
	rx.rx_free_thresh = N_DESC;
	TEST_ASSERT_EQUAL(rte_eth_rx_queue_setup(port[0], 0, N_DESC, SOCKET_ID_ANY, &rx, pool),
		-EINVAL, "rx_free_thresh");
	TEST_ASSERT_EQUAL(rte_eth_rx_queue_setup(port[0], 0, N_DESC + 1, SOCKET_ID_ANY, NULL, pool),
		-EINVAL, "no multiple of 8");
	tx = info.default_txconf;
	tx.tx_rs_thresh = N_DESC;
	TEST_ASSERT_EQUAL(rte_eth_tx_queue_setup(port[0], 0, N_DESC, SOCKET_ID_ANY, &tx), -EINVAL,
		"tx_rs_thresh");
	tx = info.default_txconf;
	tx.tx_thresh.wthresh = 4;
	tx.tx_rs_thresh = 32;
	TEST_ASSERT_EQUAL(rte_eth_tx_queue_setup(port[0], 0, N_DESC, SOCKET_ID_ANY, &tx), -EINVAL,
		"wthresh with rs_thresh");
	tx = info.default_txconf;
	tx.tx_free_thresh = N_DESC;
	TEST_ASSERT_EQUAL(rte_eth_tx_queue_setup(port[0], 0, N_DESC, SOCKET_ID_ANY, &tx), -EINVAL,
		"tx_free_thresh");
	dmamap_container_info(peek(dmamap_container_by_device(devices[0])), &cinfo);
	after = cinfo.n_mappings;
	TEST_ASSERT_EQUAL(before, after, "rings were left behind");
	return TEST_SUCCESS;
}

/* A queue whose new settings are refused is no longer set up. */
static int
test_start_without_queues(void)
{
	const struct rte_eth_rxconf bad = {.rx_free_thresh = 5000};
	const char *log;

	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(port[1], 1, 1, &conf), "configure");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(port[1]), -EINVAL, "started without queues");
	log = test_log_end();
	TEST_ASSERT(strstr(log, "receive queue 0 is not set up") != NULL, "the log says: %s", log);
	if (start_one(1) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(port[1]), "stop");
	TEST_ASSERT_EQUAL(rte_eth_rx_queue_setup(port[1], 0, N_DESC, SOCKET_ID_ANY, &bad, pool),
		-EINVAL, "bad settings");
	TEST_ASSERT_EQUAL(rte_eth_dev_start(port[1]), -EINVAL, "started without a queue");
	if (start() != 0 || cross(0, 100, UINT16_MAX, 1) != 0)
		return TEST_FAILED;
	return check_all_back();
}

static int
test_detach_running(void)
{
	const char *log;
	int rc;

	if (start() != 0)
		return TEST_FAILED;
	test_log_begin();
	rc = rte_eal_hotplug_remove("vfio_pci", devices[1]);
	log = test_log_end();
	TEST_ASSERT_EQUAL(rc, -EBUSY, "%d", rc);
	TEST_ASSERT(strstr(log, "is running: stop it before its device is removed") != NULL,
		"the log says: %s", log);
	if (cross(0, 300, UINT16_MAX, 1) != 0 || cross(1, 300, UINT16_MAX, 1) != 0)
		return TEST_FAILED;

	/* A stopped port can be removed and plugged in again. */
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(port[1]), "stop");
	TEST_ASSERT_SUCCESS(rte_eal_hotplug_remove("vfio_pci", devices[1]), "remove");
	TEST_ASSERT(
		rte_eth_dev_get_port_by_name(devices[1], &port[1]) != 0, "the port is still there");
	if (plug(1) != 0 || start_one(1) != 0)
		return TEST_FAILED;
	drain(1);
	if (cross(0, 400, UINT16_MAX, 2) != 0 || cross(1, 400, UINT16_MAX, 2) != 0)
		return TEST_FAILED;
	return check_all_back();
}

static volatile int link_events;

static int
on_link(uint16_t id, enum rte_eth_event_type type, void *arg, void *ret)
{
	link_events++;
	return 0;
}

static volatile int stop_result = 1;

static int
stop_on_link(uint16_t id, enum rte_eth_event_type type, void *arg, void *ret)
{
	stop_result = rte_eth_dev_stop(id);
	return 0;
}

#define LINK_TRIES 5

/*
 * Let the PHY negotiate again: MDIC (10.2.2), PHY 1, register 0, enable and restart auto-
 * negotiation.
 */
static void
renegotiate(unsigned int i)
{
	struct rte_eth_dev_info info;
	const struct vfio_pci_device *dev;

	if (rte_eth_dev_info_get(port[i], &info) != 0)
		return;
	dev = VFIO_PCI_DEVICE_CONST(info.device);
	*(volatile uint32_t *)(dev->bar[0].addr + 0x20) = UINT32_C(1) << 26 | 1 << 21 | 0x1340;
}

static int
test_link_interrupt(void)
{
	struct rte_eth_link link;
	unsigned int idle = 0, tries = 0;

	conf.intr_conf.lsc = 1;
	link_events = 0;
	if (start_one(1) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(
		rte_eth_dev_callback_register(port[1], RTE_ETH_EVENT_INTR_LSC, on_link, NULL),
		"callback");
	/*
	 * The link goes down while the port is stopped. It comes up half a second later, with an
	 * interrupt. If the machine takes longer than that to start the port, try again.
	 */
	do {
		TEST_ASSERT_SUCCESS(rte_eth_dev_stop(port[1]), "stop");
		link_events = 0;
		renegotiate(1);
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(port[1]), "start");
		TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(port[1], &link), "link");
	} while (link.link_status == RTE_ETH_LINK_UP && ++tries < LINK_TRIES);
	if (link.link_status == RTE_ETH_LINK_UP) {
		rte_eth_dev_callback_unregister(port[1], RTE_ETH_EVENT_INTR_LSC, on_link, NULL);
		return test_skip(
			"a reset brings the link up at once here, as QEMU 11 does and QEMU 7.2 does not");
	}
	while (link_events == 0 && idle++ < IDLE_TRIES)
		usleep(1000);
	TEST_ASSERT_EQUAL(link_events, 1, "%d events", link_events);
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(port[1], &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_UP, "the link is still down");
	rte_eth_dev_callback_unregister(port[1], RTE_ETH_EVENT_INTR_LSC, on_link, NULL);
	return check_all_back();
}

/* Number of interrupts of a device's vector 0, on all CPUs. */
static unsigned long
count_interrupts(const char *device)
{
	char line[1024], vector[64], *at, *end;
	unsigned long sum = 0, n;
	FILE *file = fopen("/proc/interrupts", "r");

	if (file == NULL)
		return 0;
	snprintf(vector, sizeof(vector), "vfio-msix[0](%s)", device);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strstr(line, vector) == NULL)
			continue;
		for (at = strchr(line, ':') + 1, n = strtoul(at, &end, 10); end != at;
			n = strtoul(at, &end, 10)) {
			sum += n;
			at = end;
		}
	}
	fclose(file);
	return sum;
}

/* Wait for an interrupt of a device after the first `before` ones. */
static bool
interrupts_again(const char *device, unsigned long before)
{
	unsigned int idle = 0;

	while (count_interrupts(device) == before && idle++ < IDLE_TRIES)
		usleep(1000);
	return count_interrupts(device) > before;
}

/*
 * A ring overrun interrupts, although that cause was not requested. After it is handled it is
 * quiet, and a link change interrupts as before.
 */
static int
test_overrun(void)
{
	unsigned long before, after;
	unsigned int i;

	conf.intr_conf.lsc = 1;
	n_queues = 2; /* QEMU reports an overrun only if another ring has buffers */
	if (start() != 0)
		return TEST_FAILED;
	before = count_interrupts(devices[1]);
	for (i = 0; i < N_DESC + 20; i++)
		if (send_one(0, make_frame(0, &mac[1], 100, UINT16_MAX, i)) != 0)
			return TEST_FAILED;
	TEST_ASSERT(interrupts_again(devices[1], before), "no interrupt");
	usleep(100000);
	before = count_interrupts(devices[1]);
	usleep(200000);
	after = count_interrupts(devices[1]);
	TEST_ASSERT(after - before <= 2, "%lu interrupts without a frame", after - before);
	renegotiate(1);
	TEST_ASSERT(interrupts_again(devices[1], after),
		"after an overrun a link change does not interrupt");
	for (i = 0; i < 3; i++) {
		drain(1);
		usleep(20000);
	}
	if (cross(0, 300, UINT16_MAX, 1) != 0)
		return TEST_FAILED;
	return check_all_back();
}

/**
 * Consume events that were pending when the queue was masked. A sent message is not recalled, and
 * QEMU 7.2 sends a vector once more at the end of the throttling time (500 us at most). No frame
 * comes meanwhile, so events end.
 */
static bool
quiet_events(void)
{
	struct rte_epoll_event event[4];
	unsigned int i;

	for (i = 0; i < 10; i++)
		if (rte_epoll_wait(RTE_EPOLL_PER_THREAD, event, RTE_DIM(event), 20) == 0)
			return true;
	printf("masked, without a frame, and events do not end\n");
	return false;
}

static int
test_rx_interrupts(void)
{
	struct rte_epoll_event event[4];
	struct rte_mbuf *m;
	unsigned int round;
	uint16_t q;
	int n;

	n_queues = 2;
	conf.intr_conf.rxq = 1;
	if (start() != 0)
		return TEST_FAILED;
	for (q = 0; q < 2; q++)
		TEST_ASSERT_SUCCESS(rte_eth_dev_rx_intr_ctl_q(port[1], q, RTE_EPOLL_PER_THREAD,
					    RTE_INTR_EVENT_ADD, (void *)(uintptr_t)(q + 1)),
			"add");
	for (round = 0; round < 3; round++) {
		TEST_ASSERT_SUCCESS(rte_eth_dev_rx_intr_enable(port[1], 0), "enable");
		if (send_one(0, make_frame(0, &mac[1], 99, UINT16_MAX, round)) != 0)
			return TEST_FAILED;
		n = rte_epoll_wait(RTE_EPOLL_PER_THREAD, event, RTE_DIM(event), 5000);
		TEST_ASSERT_EQUAL(n, 1, "round %u: %d events", round, n);
		TEST_ASSERT_EQUAL((uintptr_t)event[0].epdata.data, 1, "of another queue");
		TEST_ASSERT_SUCCESS(rte_eth_dev_rx_intr_disable(port[1], 0), "disable");
		TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "round %u: no frame", round);
		rte_pktmbuf_free(m);
		if (!quiet_events())
			return TEST_FAILED;
		/* Masked: a frame arrives without an event until the interrupt is enabled again. */
		if (send_one(0, make_frame(0, &mac[1], 99, UINT16_MAX, round)) != 0)
			return TEST_FAILED;
		TEST_ASSERT_EQUAL(receive(1, 0, &m, 1), 1, "round %u: no second frame", round);
		rte_pktmbuf_free(m);
		TEST_ASSERT_EQUAL(rte_epoll_wait(RTE_EPOLL_PER_THREAD, event, RTE_DIM(event), 20),
			0, "round %u: masked, and there is an event", round);
		TEST_ASSERT_SUCCESS(rte_eth_dev_rx_intr_enable(port[1], 0), "enable");
		n = rte_epoll_wait(RTE_EPOLL_PER_THREAD, event, RTE_DIM(event), 5000);
		TEST_ASSERT_EQUAL(n, 1, "round %u: what came while it was masked is lost", round);
	}
	for (q = 0; q < 2; q++)
		rte_eth_dev_rx_intr_ctl_q(
			port[1], q, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_DEL, NULL);
	return check_all_back();
}

static int
test_reset(void)
{
	if (start() != 0 || cross(0, 100, UINT16_MAX, 1) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_reset(port[1]), "reset");
	if (start_one(1) != 0)
		return TEST_FAILED;
	drain(1);
	if (cross(0, 100, UINT16_MAX, 1) != 0 || cross(1, 100, UINT16_MAX, 1) != 0)
		return TEST_FAILED;
	return check_all_back();
}

/* A callback that stops its port returns, and the port starts again. */
static int
test_stop_in_callback(void)
{
	struct rte_eth_link link;
	unsigned int i = 0;

	conf.intr_conf.lsc = 1;
	if (start_one(0) != 0 || start_one(1) != 0)
		return TEST_FAILED;
	/* As above: the link comes up after the start, with an interrupt. */
	do {
		TEST_ASSERT_SUCCESS(rte_eth_dev_stop(port[0]), "stop");
		renegotiate(0);
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(port[0]), "start");
		TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(port[0], &link), "link");
	} while (link.link_status == RTE_ETH_LINK_UP && ++i < LINK_TRIES);
	if (link.link_status == RTE_ETH_LINK_UP)
		return test_skip("a reset brings the link up at once here");
	TEST_ASSERT_SUCCESS(
		rte_eth_dev_callback_register(port[0], RTE_ETH_EVENT_INTR_LSC, stop_on_link, NULL),
		"register");
	for (i = 0; i < 5000 && stop_result > 0; i++)
		usleep(1000);
	TEST_ASSERT_EQUAL(stop_result, 0, "the callback does not return: %d", stop_result);
	rte_eth_dev_callback_unregister(port[0], RTE_ETH_EVENT_INTR_LSC, stop_on_link, NULL);
	conf.intr_conf.lsc = 0;
	if (start_one(0) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_link_get(port[0], &link), "link");
	drain(0);
	if (cross(0, 100, UINT16_MAX, 1) != 0 || cross(1, 100, UINT16_MAX, 2) != 0)
		return TEST_FAILED;
	return check_all_back();
}

/* What emulation shows of the control path: speeds, power of the PHY, flow control and NVM. */
static int
test_control(void)
{
	struct rte_dev_eeprom_info nvm = {.length = RTE_ETHER_ADDR_LEN};
	struct rte_ether_addr in_nvm;
	struct rte_eth_fc_conf fc;
	struct rte_eth_link link;
	unsigned int i;

	conf.link_speeds = RTE_ETH_LINK_SPEED_FIXED | RTE_ETH_LINK_SPEED_100M;
	if (start() != 0 || cross(0, 100, UINT16_MAX, 1) != 0 || cross(1, 100, UINT16_MAX, 2) != 0)
		return TEST_FAILED;
	for (i = 0; i < 2; i++) {
		TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(port[i], &link), "link");
		TEST_ASSERT(link.link_speed == RTE_ETH_SPEED_NUM_100M &&
				link.link_autoneg == RTE_ETH_LINK_FIXED,
			"port %u: %u Mb/s", i, link.link_speed);
	}
	stop();
	conf.link_speeds = RTE_ETH_LINK_SPEED_1G;
	if (start() != 0 || cross(0, 100, UINT16_MAX, 3) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_get(port[0], &fc), "get");
	fc.mode = RTE_ETH_FC_NONE;
	TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_set(port[0], &fc), "set");
	TEST_ASSERT_SUCCESS(rte_eth_link_get(port[0], &link), "link");
	TEST_ASSERT(link.link_status == RTE_ETH_LINK_UP && link.link_speed == 1000, "no link");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_link_down(port[1]), "down");
	TEST_ASSERT_SUCCESS(rte_eth_link_get(port[1], &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_DOWN, "it is up");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_link_up(port[1]), "up");
	TEST_ASSERT_SUCCESS(rte_eth_link_get(port[1], &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_UP, "it is down");
	if (cross(0, 100, UINT16_MAX, 4) != 0 || cross(1, 100, UINT16_MAX, 5) != 0)
		return TEST_FAILED;
	TEST_ASSERT(rte_eth_dev_get_eeprom_length(port[0]) >= 128, "NVM");
	nvm.data = &in_nvm;
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_eeprom(port[0], &nvm), "NVM");
	TEST_ASSERT(rte_is_same_ether_addr(&in_nvm, &mac[0]), "another address in the NVM");
	TEST_ASSERT_SUCCESS(rte_eth_led_on(port[0]), "LED");
	TEST_ASSERT_SUCCESS(rte_eth_led_off(port[0]), "LED");
	return check_all_back();
}

static const struct test_case cases[] = {
	{"the link is up, and the MAC address is the NVM's", test_link},
	{"frames of 60 to 9018 bytes arrive bit by bit, both ways", test_lengths},
	{"chained mbufs arrive bit by bit", test_chains},
	{"the FCS is kept, and is no part of the frame", test_keep_crc},
	{"short frames are padded, runts dropped and counted", test_short},
	{"a large frame fits a large buffer", test_big_buffers},
	{"many frames arrive, in order", test_many},
	{"what is counted is what was sent", test_counts},
	{"frames that are too long count as errors", test_error_counts},
	{"filters take what they must and nothing else", test_filters},
	{"receive checksums are judged right", test_rx_checksums},
	{"transmit checksums are computed where asked", test_tx_checksums},
	{"TCP packets are segmented", test_segmentation},
	{"what cannot be sent is dropped and counted", test_impossible},
	{"VLAN tags are inserted and stripped, each alone, too", test_vlan},
	{"VLANs are filtered", test_vlan_filter},
	{"RSS spreads flows by the hash that it reports", test_rss},
	{"queues stop, are set up again and start while others are in use", test_queue_run},
	{"descriptors tell their state", test_descriptors},
	{"a cleanup frees what was sent, and no more than asked", test_cleanup},
	{"a packet of two owners leaves whole from both ports", test_two_owners},
	{"each size of ring takes the default thresholds", test_ring_sizes},
	{"a port stops and starts in traffic", test_restart_in_traffic},
	{"a reset port works again", test_reset},
	{"a foreign pool is refused with a line", test_foreign_pool},
	{"a pool of the EAL's serves as well", test_eal_pool},
	{"bad queue settings are refused and leave nothing", test_bad_queues},
	{"a start without queues is refused", test_start_without_queues},
	{"a running port's device stays", test_detach_running},
	{"a link change interrupts", test_link_interrupt},
	{"a link callback may stop its port", test_stop_in_callback},
	{"speeds, flow control, power of the PHY and NVM are controlled", test_control},
	{"an overrun interrupts, and does not hide a link change", test_overrun},
	{"receive queues interrupt, one by one", test_rx_interrupts},
};

REGISTER_TEST_SUITE(net_e1000e) = {
	.name = "net_e1000e",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
