/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the 82574L driver's rings and descriptors. Plain memory stands for the registers. A few
 * lines here act as the chip, which reads and writes rings by IOVA.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_random.h>

#include <bus_vfio_pci_driver.h>
#include <dmamap.h>
#include <dmamap_mbuf.h>
#include <e1000e.h>

#include "test.h"

#define N_MBUFS 1023
#define N_DESC 256
#define ROUNDS 4000
#define ROOM (RTE_PKTMBUF_HEADROOM + 256) /* small buffers, so frames need several */

static struct dmamap_container *c;
static struct rte_mempool *pool;
static uint32_t regs[0x20000 / 4];
static struct vfio_pci_device dev;
static struct e1000e_port port;
static struct rte_eth_dev_data data;
static struct rte_eth_dev eth;
static void *rxqs[E1000E_QUEUES], *txqs[E1000E_QUEUES];

static uint32_t
reg(uint32_t offset)
{
	return regs[offset / 4];
}

static int
setup(void)
{
	TEST_ASSERT_SUCCESS(
		dmamap_container_create(&(struct dmamap_container_conf){.name = "rings"}, &c),
		"container");
	pool = dmamap_pktmbuf_pool_create(c, "rings", N_MBUFS, 0, 0, ROOM, SOCKET_ID_ANY);
	TEST_ASSERT_NOT_NULL(pool, "pool");
	memset(regs, 0, sizeof(regs));
	memset(&port, 0, sizeof(port));
	memset(&data, 0, sizeof(data));
	memset(&dev, 0, sizeof(dev));
	dev.container = c;
	port.dev = &dev;
	port.hw = (struct e1000e_hw){.regs = (volatile uint8_t *)regs, .name = "fake"};
	data.dev_private = &port;
	data.rx_queues = rxqs;
	data.tx_queues = txqs;
	data.nb_rx_queues = data.nb_tx_queues = 1;
	data.port_id = 7;
	eth.data = &data;
	return 0;
}

static void
teardown(void)
{
	if (rxqs[0] != NULL)
		e1000e_rx_queue_release(&eth, 0);
	if (txqs[0] != NULL)
		e1000e_tx_queue_release(&eth, 0);
	e1000e_rings_free(&port);
	rte_mempool_free(pool);
	dmamap_container_destroy(c);
}

static int
make_queues(uint16_t rx_free_thresh, uint16_t tx_rs_thresh)
{
	const struct rte_eth_rxconf rx = {.rx_free_thresh = rx_free_thresh};
	const struct rte_eth_txconf tx = {.tx_rs_thresh = tx_rs_thresh, .tx_free_thresh = 16};

	TEST_ASSERT_SUCCESS(e1000e_rx_queue_setup(&eth, 0, N_DESC, 0, &rx, pool), "Rx queue");
	TEST_ASSERT_SUCCESS(e1000e_tx_queue_setup(&eth, 0, N_DESC, 0, &tx), "Tx queue");
	TEST_ASSERT_SUCCESS(e1000e_queues_start(&eth), "start");
	regs[E1000E_RDT(0) / 4] = N_DESC - 1; /* as dev_start() does at its end */
	return 0;
}

static int
all_back(void)
{
	e1000e_queues_stop(&eth);
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(pool), N_MBUFS, "%u mbufs are missing",
		N_MBUFS - rte_mempool_avail_count(pool));
	return TEST_SUCCESS;
}

static uint8_t
pattern(uint32_t seed, uint32_t at)
{
	return (seed * 2654435761u + at * 40503u) >> 11;
}

/* The chip receives a frame. @return false: there are too few descriptors. */
static bool
chip_receive(uint32_t len, uint32_t seed, uint32_t room)
{
	union e1000e_rx_desc *ring =
		dmamap_iova2va(c, reg(E1000E_RDBAL(0)) | (uint64_t)reg(E1000E_RDBAH(0)) << 32);
	uint32_t n_desc = reg(E1000E_RDLEN(0)) / 16, head = reg(E1000E_RDH(0)), at = 0, n, i;
	uint32_t free_desc = (reg(E1000E_RDT(0)) + n_desc - head) % n_desc;
	uint8_t *buf;

	if (free_desc * room < len)
		return false;
	while (at < len) {
		buf = dmamap_iova2va(c, ring[head].read.addr);
		n = RTE_MIN(room, len - at);
		for (i = 0; i < n; i++)
			buf[i] = pattern(seed, at + i);
		at += n;
		ring[head].wb.mrq = 0;
		ring[head].wb.rss = seed;
		ring[head].wb.len = n;
		ring[head].wb.vlan = 0;
		ring[head].wb.status = E1000E_RXD_DD | (at == len ? E1000E_RXD_EOP : 0);
		head = (head + 1) % n_desc;
	}
	regs[E1000E_RDH(0) / 4] = head;
	return true;
}

static int
is_frame(const struct rte_mbuf *m, uint32_t len, uint32_t seed)
{
	uint32_t at = 0, i;

	TEST_ASSERT_EQUAL(m->pkt_len, len, "%u bytes, not %u", m->pkt_len, len);
	TEST_ASSERT_SUCCESS(rte_mbuf_check(m, 1, &(const char *){NULL}), "a broken mbuf");
	TEST_ASSERT_EQUAL(m->port, 7, "port");
	for (; m != NULL; m = m->next)
		for (i = 0; i < m->data_len; i++, at++)
			TEST_ASSERT_EQUAL(rte_pktmbuf_mtod(m, uint8_t *)[i], pattern(seed, at),
				"byte %u", at);
	return 0;
}

/*
 * A random sequence on a ring: the chip receives frames, and the application takes them and holds
 * some for a while.
 */
static int
receive_history(uint16_t free_thresh, bool scattered)
{
	struct rte_mbuf *held[64] = {NULL}, *m[40];
	uint32_t in = 0, out = 0, lens[256], max = scattered ? 1000 : 256, i, n, slot;
	const struct e1000e_rxq *q;
	unsigned int round;

	rte_srand(test_seed());
	if (make_queues(free_thresh, 16) != 0)
		return TEST_FAILED;
	q = rxqs[0];
	for (round = 0; round < ROUNDS; round++) {
		for (n = rte_rand_max(12); n > 0; n--) {
			lens[in % 256] = 60 + rte_rand_max(max - 59);
			if (in - out >= 256 || !chip_receive(lens[in % 256], in, 256))
				break;
			in++;
		}
		if (!scattered)
			TEST_ASSERT_EQUAL(e1000e_rx_queue_count(rxqs[0]), in - out, "count");
		n = rte_rand_max(RTE_DIM(m) + 1);
		n = scattered ? e1000e_rx_burst_scattered(rxqs[0], m, n)
			      : e1000e_rx_burst(rxqs[0], m, n);
		for (i = 0; i < n; i++, out++) {
			TEST_ASSERT(out != in, "a frame that was not sent");
			TEST_ASSERT_SUCCESS(is_frame(m[i], lens[out % 256], out), "frame %u", out);
			slot = rte_rand_max(RTE_DIM(held));
			rte_pktmbuf_free(held[slot]);
			held[slot] = m[i];
		}
		TEST_ASSERT(q->hold < N_DESC, "hold");
	}
	TEST_ASSERT(out > ROUNDS / 2, "only %u frames came through", out);
	TEST_ASSERT_EQUAL(q->packets, out, "counted");
	for (i = 0; i < RTE_DIM(held); i++)
		rte_pktmbuf_free(held[i]);
	return all_back();
}

static int
test_receive(void)
{
	return receive_history(16, false);
}

static int
test_receive_each(void)
{
	return receive_history(1, false);
}

static int
test_receive_odd(void)
{
	return receive_history(23, true);
}

static int
test_receive_held(void)
{
	return receive_history(100, true);
}

static int
test_receive_scattered(void)
{
	return receive_history(16, true);
}

/*
 * Default threshold: a quarter of the ring, at most 128, waits for buffers before the tail moves.
 */
static int
test_refill_by_default(void)
{
	struct rte_eth_rxq_info info;
	struct rte_mbuf *m[N_DESC];
	unsigned int i, n;

	if (make_queues(0, 16) != 0)
		return TEST_FAILED;
	e1000e_rxq_info_get(&eth, 0, &info);
	TEST_ASSERT_EQUAL(info.conf.rx_free_thresh, N_DESC / 4, "rx_free_thresh %u",
		info.conf.rx_free_thresh);
	for (i = 0; i < N_DESC / 4; i++) {
		TEST_ASSERT_EQUAL(
			reg(E1000E_RDT(0)), N_DESC - 1, "the tail moved for %u frames", i);
		TEST_ASSERT(chip_receive(100, i, 256), "no room");
		n = e1000e_rx_burst(rxqs[0], m, N_DESC);
		TEST_ASSERT_EQUAL(n, 1, "%u frames", n);
		TEST_ASSERT_SUCCESS(is_frame(m[0], 100, i), "frame %u", i);
		rte_pktmbuf_free(m[0]);
	}
	TEST_ASSERT_EQUAL(
		reg(E1000E_RDT(0)), N_DESC / 4 - 1, "the tail is at %u", reg(E1000E_RDT(0)));
	return all_back();
}

static int
test_no_buffers(void)
{
	struct rte_mbuf *all[N_MBUFS], *m[N_DESC];
	unsigned int taken, n = 0, i, seed = 0;

	if (make_queues(16, 16) != 0)
		return TEST_FAILED;
	taken = rte_mempool_avail_count(pool);
	TEST_ASSERT_SUCCESS(rte_pktmbuf_alloc_bulk(pool, all, taken), "take all");
	while (chip_receive(100, seed, 256))
		seed++;
	TEST_ASSERT_EQUAL(seed, N_DESC - 1, "the chip had %u buffers", seed);
	while (n < seed && (i = e1000e_rx_burst(rxqs[0], m + n, 10)) > 0)
		n += i;
	TEST_ASSERT_EQUAL(n, seed, "%u came", n);
	TEST_ASSERT_EQUAL(e1000e_rx_burst(rxqs[0], m, 10), 0, "a frame came twice");
	TEST_ASSERT(data.rx_mbuf_alloc_failed > 0, "not counted");
	TEST_ASSERT_EQUAL(chip_receive(100, 1, 256), false, "the chip was given a used buffer");
	rte_pktmbuf_free_bulk(m, n);
	rte_pktmbuf_free_bulk(all, taken);

	/* With mbufs in the pool again, the next poll refills the ring. */
	TEST_ASSERT_EQUAL(e1000e_rx_burst(rxqs[0], m, 10), 0, "nothing was sent");
	TEST_ASSERT_EQUAL(chip_receive(100, 99, 256), true, "the ring is dead");
	TEST_ASSERT_EQUAL(e1000e_rx_burst(rxqs[0], m, 10), 1, "lost");
	TEST_ASSERT_SUCCESS(is_frame(m[0], 100, 99), "changed");
	rte_pktmbuf_free(m[0]);
	return all_back();
}

/* A port stops while the application holds frames, and a part of another frame is in the ring. */
static int
test_stop_in_between(void)
{
	union e1000e_rx_desc *ring;
	struct rte_mbuf *m[8];
	unsigned int i;

	if (make_queues(16, 16) != 0)
		return TEST_FAILED;
	for (i = 0; i < 5; i++)
		TEST_ASSERT(chip_receive(100, i, 256), "no room");
	TEST_ASSERT(chip_receive(600, 5, 256), "no room");
	ring = dmamap_iova2va(c, reg(E1000E_RDBAL(0)) | (uint64_t)reg(E1000E_RDBAH(0)) << 32);
	ring[7].wb.status = 0; /* the third segment of the last frame is not complete */
	TEST_ASSERT_EQUAL(e1000e_rx_burst_scattered(rxqs[0], m, RTE_DIM(m)), 5, "frames");
	e1000e_queues_stop(&eth);
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(pool), N_MBUFS - 5, "%u mbufs are back",
		rte_mempool_avail_count(pool));
	for (i = 0; i < 5; i++)
		TEST_ASSERT_SUCCESS(is_frame(m[i], 100, i), "frame %u", i);
	rte_pktmbuf_free_bulk(m, 5);
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(pool), N_MBUFS, "not all are back");
	return TEST_SUCCESS;
}

static int
test_rx_status(void)
{
	unsigned int i;

	if (make_queues(16, 16) != 0)
		return TEST_FAILED;
	for (i = 0; i < 5; i++)
		TEST_ASSERT(chip_receive(100, i, 256), "no room");
	for (i = 0; i < N_DESC; i++)
		TEST_ASSERT_EQUAL(e1000e_rx_descriptor_status(rxqs[0], i),
			(i < 5                           ? RTE_ETH_RX_DESC_DONE
					: i < N_DESC - 1 ? RTE_ETH_RX_DESC_AVAIL
							 : RTE_ETH_RX_DESC_UNAVAIL),
			"%u", i);
	TEST_ASSERT_EQUAL(e1000e_rx_descriptor_status(rxqs[0], N_DESC), -EINVAL, "beyond");
	return all_back();
}

/* What the chip has sent: numbers of frames, reports and descriptors, and errors. */
static struct {
	uint32_t n, reports, descs;
	uint32_t bytes_wrong, empty,
		across; /**< descriptors that cross a boundary of port.tx_split */
} sent;

/* The chip sends up to n descriptors of those up to the tail. Frame i is pattern(i, ...). */
static void
chip_transmit(uint32_t n)
{
	union e1000e_tx_desc *ring =
		dmamap_iova2va(c, reg(E1000E_TDBAL(0)) | (uint64_t)reg(E1000E_TDBAH(0)) << 32);
	uint32_t n_desc = reg(E1000E_TDLEN(0)) / 16, head = reg(E1000E_TDH(0)), cmd, i;
	static uint32_t at;
	const uint8_t *buf;

	for (; n > 0 && head != reg(E1000E_TDT(0)); n--, sent.descs++) {
		cmd = ring[head].data.cmd;
		if (cmd & E1000E_TXD_DTYP_DATA) {
			buf = dmamap_iova2va(c, ring[head].data.addr);
			sent.empty += (cmd & 0xFFFF) == 0; /* QEMU drops such a frame */
			if (port.tx_split != 0 && (cmd & 0xFFFF) != 0)
				sent.across += ring[head].data.addr / port.tx_split !=
					(ring[head].data.addr + (cmd & 0xFFFF) - 1) / port.tx_split;
			for (i = 0; i < (cmd & 0xFFFF); i++, at++)
				sent.bytes_wrong += buf[i] != pattern(sent.n, at);
			if (cmd & E1000E_TXD_EOP) {
				at = 0;
				sent.n++;
			}
		}
		if (cmd & E1000E_TXD_RS) {
			ring[head].data.status |= E1000E_TXD_DD;
			sent.reports++;
		}
		head = (head + 1) % n_desc;
	}
	regs[E1000E_TDH(0) / 4] = head;
}

static struct rte_mbuf *
make_chain(uint32_t seed, unsigned int n_segs)
{
	struct rte_mbuf *first = NULL, *m;
	uint32_t at = 0, len, i;

	while (n_segs-- > 0) {
		m = rte_pktmbuf_alloc(pool);
		if (m == NULL) {
			rte_pktmbuf_free(first);
			return NULL;
		}
		/* The first segment has data; others may be empty. */
		len = first == NULL ? 60 : rte_rand_max(50);
		for (i = 0; i < len; i++, at++)
			*(uint8_t *)rte_pktmbuf_append(m, 1) = pattern(seed, at);
		if (first == NULL)
			first = m;
		else if (rte_pktmbuf_chain(first, m) != 0)
			return NULL;
	}
	return first;
}

static int
transmit_history(uint16_t rs_thresh, bool fast_free)
{
	uint32_t accepted = 0, i, n, refused = 0;
	struct rte_mbuf *m[16];
	unsigned int round;
	uint16_t taken;

	rte_srand(test_seed());
	data.dev_conf.txmode.offloads = fast_free ? RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE : 0;
	if (make_queues(16, rs_thresh) != 0)
		return TEST_FAILED;
	memset(&sent, 0, sizeof(sent));
	for (round = 0; round < ROUNDS; round++) {
		n = rte_rand_max(RTE_DIM(m));
		for (i = 0; i < n; i++) {
			m[i] = make_chain(
				accepted + i, rte_rand_max(4) > 0 ? 1 : 1 + rte_rand_max(12));
			TEST_ASSERT_NOT_NULL(m[i], "round %u: the pool is empty", round);
			/*
			 * Some packets request a checksum; a context descriptor precedes them
			 * unless it is already loaded.
			 */
			if (rte_rand_max(4) == 0) {
				m[i]->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
				m[i]->l2_len = 14;
				m[i]->l3_len = 20 + 4 * rte_rand_max(2);
			}
		}
		taken = e1000e_tx_burst(txqs[0], m, n);
		accepted += taken;
		rte_pktmbuf_free_bulk(m + taken, n - taken);
		refused += n - taken;
		chip_transmit(rte_rand_max(40));
	}
	chip_transmit(N_DESC);
	TEST_ASSERT_EQUAL(sent.n, accepted, "%u of %u frames", sent.n, accepted);
	TEST_ASSERT_EQUAL(sent.bytes_wrong, 0, "%u wrong bytes", sent.bytes_wrong);
	TEST_ASSERT_EQUAL(sent.empty, 0, "%u empty descriptors", sent.empty);
	TEST_ASSERT_EQUAL(sent.across, 0, "%u descriptors cross a border", sent.across);
	TEST_ASSERT(accepted > ROUNDS && refused > 0, "%u accepted, %u refused: not much of a test",
		accepted, refused);
	TEST_ASSERT(sent.reports <= sent.descs / rs_thresh, "%u reports for %u descriptors",
		sent.reports, sent.descs);
	return all_back();
}

static int
test_transmit(void)
{
	return transmit_history(16, false);
}

static int
test_transmit_fast(void)
{
	return transmit_history(16, true);
}

static int
test_transmit_each(void)
{
	return transmit_history(1, true);
}

/* Every frame is split, since its first segment of 60 bytes begins after a headroom of 128. */
static int
test_transmit_split(void)
{
	int rc;

	port.tx_split = 32;
	rc = transmit_history(8, false);
	port.tx_split = 0;
	return rc;
}

static int
test_transmit_late(void)
{
	return transmit_history(32, false);
}

/* An mbuf with another reference is not freed after its transmission. */
static int
test_shared(void)
{
	struct rte_mbuf *m[32];
	unsigned int i;

	if (make_queues(16, 16) != 0)
		return TEST_FAILED;
	memset(&sent, 0, sizeof(sent));
	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = make_chain(i, 1);
		rte_mbuf_refcnt_update(m[i], 1);
	}
	TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], m, RTE_DIM(m)), RTE_DIM(m), "sent");
	chip_transmit(N_DESC);
	TEST_ASSERT_EQUAL(e1000e_tx_done_cleanup(txqs[0], 0), RTE_DIM(m), "cleaned");
	for (i = 0; i < RTE_DIM(m); i++) {
		TEST_ASSERT_EQUAL(rte_mbuf_refcnt_read(m[i]), 1, "refcnt of %u", i);
		rte_pktmbuf_free(m[i]);
	}
	return all_back();
}

/*
 * One context descriptor serves consecutive packets with the same offloads. Descriptors are
 * reclaimed on demand.
 */
static int
test_thrift(void)
{
	struct rte_mbuf *m[44];
	unsigned int i;

	if (make_queues(16, 4) != 0)
		return TEST_FAILED;
	memset(&sent, 0, sizeof(sent));
	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = make_chain(i, 1);
		m[i]->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
		m[i]->l2_len = 14;
		m[i]->l3_len = i < 20 ? 20 : 24;
	}
	TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], m, RTE_DIM(m)), RTE_DIM(m), "sent");
	chip_transmit(N_DESC);
	TEST_ASSERT_EQUAL(sent.descs, RTE_DIM(m) + 2, "%u descriptors", sent.descs);

	/* 17 are free: more than tx_free_thresh, and fewer than this packet needs. */
	m[0] = make_chain(sent.n, 30);
	TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], m, 1), 1, "there was room for it");
	chip_transmit(N_DESC);
	TEST_ASSERT(sent.n == RTE_DIM(m) + 1 && sent.bytes_wrong == 0, "not sent right");
	return all_back();
}

static int
test_tx_status(void)
{
	struct rte_mbuf *m;
	unsigned int i;

	if (make_queues(16, 4) != 0)
		return TEST_FAILED;
	for (i = 0; i < 10; i++) {
		m = make_chain(i, 1);
		TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], &m, 1), 1, "sent");
	}
	chip_transmit(6);
	/*
	 * Descriptors 0 to 9 are used; 0 to 3 are reported, 4 to 7 not yet, 8 and 9 are no whole
	 * batch. The tail is 10.
	 */
	for (i = 0; i < N_DESC; i++) {
		unsigned int at = (10 + i) % N_DESC;

		TEST_ASSERT_EQUAL(e1000e_tx_descriptor_status(txqs[0], i),
			(at >= 4 && at < 10 ? RTE_ETH_TX_DESC_FULL : RTE_ETH_TX_DESC_DONE), "%u",
			at);
	}
	TEST_ASSERT_EQUAL(e1000e_tx_done_cleanup(txqs[0], 0), 4, "cleaned");
	return all_back();
}

static int
test_flags(void)
{
	uint32_t bits, status;
	uint64_t flags, want;

	for (bits = 0; bits < 128; bits++) {
		status = E1000E_RXD_DD | E1000E_RXD_EOP;
		status |= bits & 1 ? E1000E_RXD_IPCS : 0;
		status |= bits & 2 ? E1000E_RXD_L4CS : 0;
		status |= bits & 4 ? E1000E_RXD_IPE : 0;
		status |= bits & 8 ? E1000E_RXD_L4E : 0;
		status |= bits & 16 ? E1000E_RXD_VP : 0;
		status |= bits & 64 ? E1000E_RXD_UDPCS : 0;
		want = bits & 1
			? (bits & 4 ? RTE_MBUF_F_RX_IP_CKSUM_BAD : RTE_MBUF_F_RX_IP_CKSUM_GOOD)
			: 0;
		want |= bits & 2
			? (bits & 8 ? RTE_MBUF_F_RX_L4_CKSUM_BAD : RTE_MBUF_F_RX_L4_CKSUM_GOOD)
			: 0;
		want |= bits & 16 ? RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED : 0;
		want |= bits & 32 ? RTE_MBUF_F_RX_RSS_HASH : 0;
		flags = e1000e_rx_flags(status, bits & 32 ? 1 : 0);
		TEST_ASSERT_EQUAL(flags, want, "status %x: %" PRIx64, status, flags);
	}
	return TEST_SUCCESS;
}

static int
test_ptypes(void)
{
	static const struct {
		uint32_t status, ptype;
	} types[] = {
		{0 << 16, RTE_PTYPE_L2_ETHER},
		{1 << 16, RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN},
		{2 << 16, RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN},
		{2 << 16 | 0x20,
			RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN | RTE_PTYPE_L4_TCP},
		{2 << 16 | 0x30,
			RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4_EXT_UNKNOWN | RTE_PTYPE_L4_UDP},
		{5 << 16, RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6_EXT_UNKNOWN},
		{6 << 16 | 0x20,
			RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6_EXT_UNKNOWN | RTE_PTYPE_L4_TCP},
		{15 << 16, RTE_PTYPE_L2_ETHER},
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(types); i++)
		TEST_ASSERT_EQUAL(e1000e_rx_ptype(types[i].status), types[i].ptype, "%u: %x", i,
			e1000e_rx_ptype(types[i].status));
	return TEST_SUCCESS;
}

static int
test_context(void)
{
	/*
	 * Bytes in the order in which the chip reads them: IPCSS, IPCSO, IPCSE, TUCSS, TUCSO,
	 * TUCSE, PAYLEN and command, the rest.
	 */
	static const struct {
		uint64_t flags;
		uint16_t l2, l3;
		uint8_t bytes[16];
	} contexts[] = {
		{RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM, 14, 20,
			{14, 24, 33, 0, 34, 50, 0, 0, 0, 0, 0, 0x23}},
		{RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM, 18, 24,
			{18, 28, 41, 0, 42, 48, 0, 0, 0, 0, 0, 0x22}},
		{RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_CKSUM, 14, 40,
			{0, 0, 0, 0, 54, 70, 0, 0, 0, 0, 0, 0x21}},
	};
	union e1000e_tx_desc desc;
	struct rte_mbuf m;
	unsigned int i;

	for (i = 0; i < RTE_DIM(contexts); i++) {
		memset(&m, 0, sizeof(m));
		m.ol_flags = contexts[i].flags;
		m.l2_len = contexts[i].l2;
		m.l3_len = contexts[i].l3;
		e1000e_tx_ctx_fill(e1000e_tx_ctx_key(&m), &desc);
		TEST_ASSERT_EQUAL(
			memcmp(&desc, contexts[i].bytes, sizeof(desc)), 0, "context %u", i);
	}
	m.ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_VLAN;
	TEST_ASSERT_EQUAL(e1000e_tx_ctx_key(&m), 0, "a context for nothing");
	return TEST_SUCCESS;
}

static int
test_buffer_sizes(void)
{
	static const struct {
		uint32_t room, rctl, len;
	} sizes[] = {{256, 0x00030000, 256}, {511, 0x00030000, 256}, {512, 0x00020000, 512},
		{1023, 0x00020000, 512}, {1024, UINT32_C(1) << 27, 1024},
		{2048, UINT32_C(2) << 27, 2048}, {3071, UINT32_C(2) << 27, 2048},
		{10240, UINT32_C(10) << 27, 10240}, {65000, UINT32_C(15) << 27, 15360}};
	uint32_t len, rctl;
	unsigned int i;

	for (i = 0; i < RTE_DIM(sizes); i++) {
		rctl = e1000e_rctl_bufsize(sizes[i].room, &len);
		TEST_ASSERT_EQUAL(rctl, sizes[i].rctl, "%u: RCTL %x", sizes[i].room, rctl);
		TEST_ASSERT_EQUAL(len, sizes[i].len, "%u: %u bytes", sizes[i].room, len);
	}
	return TEST_SUCCESS;
}

static int
test_filter_registers(void)
{
	const struct rte_ether_addr unicast = {{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}};
	const struct rte_ether_addr groups[] = {
		{{0x01, 0, 0x5e, 0, 0, 0x01}}, {{0x33, 0x33, 0, 0, 0xab, 0xcd}}};
	unsigned int i, n = 0;

	e1000e_hw_mac_write(&port.hw, 3, &unicast);
	TEST_ASSERT_EQUAL(reg(0x5400 + 24), 0x12005452, "RAL %x", reg(0x5400 + 24));
	TEST_ASSERT_EQUAL(reg(0x5404 + 24), 0x80005634, "RAH %x", reg(0x5404 + 24));
	e1000e_hw_mac_clear(&port.hw, 3);
	TEST_ASSERT_EQUAL(reg(0x5404 + 24), 0, "still valid");

	TEST_ASSERT_EQUAL(e1000e_mta_bit(&groups[0]), 0x010, "%x", e1000e_mta_bit(&groups[0]));
	TEST_ASSERT_EQUAL(e1000e_mta_bit(&groups[1]), 0xcda, "%x", e1000e_mta_bit(&groups[1]));
	e1000e_hw_mc_write(&port.hw, groups, 2);
	for (i = 0; i < E1000E_MTA_WORDS; i++)
		n += __builtin_popcount(reg(0x5200 + 4 * i));
	TEST_ASSERT_EQUAL(n, 2, "%u bits", n);
	TEST_ASSERT(
		reg(0x5200 + 0) == 1u << 16 && reg(0x5200 + 4 * 0x66) == 1u << 26, "other bits");
	return TEST_SUCCESS;
}

/* This log always changes errno. */
static int
a_log_line_does_not_change_the_error(void)
{
	int rc;

	test_log_begin();
	errno = EBUSY;
	rc = E1000E_FAIL(errno, "test", "in use: %s", strerror(errno));
	TEST_ASSERT_EQUAL(rc, -EBUSY, "it became %d", rc);
	TEST_ASSERT(test_logged("in use: Device or resource busy"), "message");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"received frames come in order and unchanged", test_receive},
	{"the same, with each buffer refilled at once", test_receive_each},
	{"the same, in bursts that do not divide the ring", test_receive_odd},
	{"the same, with many waiting for buffers", test_receive_held},
	{"scattered frames are put together", test_receive_scattered},
	{"the tail moves for a quarter of the ring", test_refill_by_default},
	{"a ring without buffers recovers", test_no_buffers},
	{"a stop leaves the application's mbufs alone", test_stop_in_between},
	{"receive descriptors tell their state", test_rx_status},
	{"sent frames leave in order and unchanged", test_transmit},
	{"the same, when all mbufs are of one pool", test_transmit_fast},
	{"the same, with a report for each", test_transmit_each},
	{"the same, with few reports", test_transmit_late},
	{"the same, cut at borders", test_transmit_split},
	{"shared mbufs are not freed", test_shared},
	{"contexts are shared, descriptors reclaimed on demand", test_thrift},
	{"transmit descriptors tell their state", test_tx_status},
	{"status bits become flags", test_flags},
	{"packet types are told", test_ptypes},
	{"context descriptors say where checksums are", test_context},
	{"the buffer size is what fits", test_buffer_sizes},
	{"filters are written as the data sheet says", test_filter_registers},
	{"a log line does not change the error", a_log_line_does_not_change_the_error},
};

REGISTER_TEST_SUITE(net_e1000e_rings) = {
	.name = "net_e1000e_rings",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
