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

#include <rte_errno.h>
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
	memset(&eth, 0, sizeof(eth));
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
	unsigned int i;

	for (i = 0; i < E1000E_QUEUES; i++) {
		if (rxqs[i] != NULL)
			e1000e_rx_queue_release(&eth, i);
		if (txqs[i] != NULL)
			e1000e_tx_queue_release(&eth, i);
	}
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

/* Mbufs in a pool have no successor and one segment (rte_mbuf_raw_alloc()). */
static void
check_raw(struct rte_mempool *of, void *arg, void *obj, unsigned int index)
{
	const struct rte_mbuf *m = obj;

	*(unsigned int *)arg += m->next != NULL || m->nb_segs != 1;
}

static int
all_back(void)
{
	unsigned int chained = 0;

	e1000e_queues_stop(&eth);
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(pool), N_MBUFS, "%u mbufs are missing",
		N_MBUFS - rte_mempool_avail_count(pool));
	rte_mempool_obj_iter(pool, check_raw, &chained);
	TEST_ASSERT_EQUAL(chained, 0, "%u mbufs in the pool are chained", chained);
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
			TEST_ASSERT_EQUAL(
				(uint32_t)e1000e_rx_queue_count(rxqs[0]), in - out, "count");
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

/* The function that edits frames, with nothing to edit. */
static int
test_receive_edited(void)
{
	struct rte_mbuf *m;

	if (make_queues(16, 16) != 0)
		return TEST_FAILED;
	for (unsigned int i = 0; i < 600; i++) {
		TEST_ASSERT(chip_receive(60 + i, i, 256), "no room");
		TEST_ASSERT_EQUAL(e1000e_rx_burst_edited(rxqs[0], &m, 1), 1, "lost");
		TEST_ASSERT_SUCCESS(is_frame(m, 60 + i, i), "frame %u", i);
		rte_pktmbuf_free(m);
	}
	return all_back();
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
	/* A buffer that cannot be had counts once, however often the ring is polled. */
	for (i = 0; i < 1000; i++)
		TEST_ASSERT_EQUAL(e1000e_rx_burst(rxqs[0], m, 10), 0, "a frame came twice");
	TEST_ASSERT_EQUAL(data.rx_mbuf_alloc_failed, seed, "%" PRIu64 " of %u counted",
		data.rx_mbuf_alloc_failed, seed);
	TEST_ASSERT_EQUAL(chip_receive(100, 1, 256), false, "the chip was given a used buffer");
	rte_pktmbuf_free_bulk(m, n);
	rte_pktmbuf_free_bulk(all, taken);

	/* With mbufs in the pool again, the next poll refills the ring. */
	TEST_ASSERT_EQUAL(e1000e_rx_burst(rxqs[0], m, 10), 0, "nothing was sent");
	TEST_ASSERT_EQUAL(chip_receive(100, 99, 256), true, "the ring is dead");
	TEST_ASSERT_EQUAL(e1000e_rx_burst(rxqs[0], m, 10), 1, "lost");
	TEST_ASSERT_SUCCESS(is_frame(m[0], 100, 99), "changed");
	rte_pktmbuf_free(m[0]);

	/* A second time they count again. */
	taken = rte_mempool_avail_count(pool);
	TEST_ASSERT_SUCCESS(rte_pktmbuf_alloc_bulk(pool, all, taken), "take all");
	for (i = 0; i < 32; i++)
		TEST_ASSERT(chip_receive(100, i, 256), "no room");
	for (n = 0; n < 32;)
		n += e1000e_rx_burst(rxqs[0], m + n, 10);
	e1000e_rx_burst(rxqs[0], m + n, 10);
	TEST_ASSERT(data.rx_mbuf_alloc_failed >= seed + 32 &&
			data.rx_mbuf_alloc_failed <= seed + 32 + 16,
		"%" PRIu64 " counted", data.rx_mbuf_alloc_failed);
	rte_pktmbuf_free_bulk(m, n);
	rte_pktmbuf_free_bulk(all, taken);
	return all_back();
}

/* With FCS, which can lie in the last buffers of a frame, or alone in one. */
static int
test_keep_crc(void)
{
	static const uint32_t lens[] = {
		60, 251, 252, 253, 255, 256, 257, 260, 507, 508, 509, 510, 511, 512, 513, 1000};
	struct rte_mbuf *m[4];
	unsigned int i, n;

	if (make_queues(1, 16) != 0)
		return TEST_FAILED;
	((struct e1000e_rxq *)rxqs[0])->crc_len = RTE_ETHER_CRC_LEN;
	for (i = 0; i < RTE_DIM(lens); i++) {
		TEST_ASSERT(chip_receive(lens[i] + RTE_ETHER_CRC_LEN, i, 256), "no room");
		n = e1000e_rx_burst_edited(rxqs[0], m, RTE_DIM(m));
		TEST_ASSERT_EQUAL(n, 1, "%u bytes: %u frames", lens[i], n);
		TEST_ASSERT_SUCCESS(is_frame(m[0], lens[i], i), "%u bytes", lens[i]);
		TEST_ASSERT_EQUAL(m[0]->nb_segs, (lens[i] + 255) / 256, "%u bytes: %u segments",
			lens[i], m[0]->nb_segs);
		/* In one buffer, the FCS stands behind the data. */
		if (lens[i] + RTE_ETHER_CRC_LEN <= 256)
			for (n = lens[i]; n < lens[i] + RTE_ETHER_CRC_LEN; n++)
				TEST_ASSERT_EQUAL(*rte_pktmbuf_mtod_offset(m[0], uint8_t *, n),
					pattern(i, n), "%u bytes: no FCS", lens[i]);
		rte_pktmbuf_free(m[0]);
	}
	TEST_ASSERT_EQUAL(e1000e_rx_burst_edited(rxqs[0], m, RTE_DIM(m)), 0, "one more");
	return all_back();
}

/* Write the tag that the chip took off into the last descriptor of a frame. */
static void
chip_cut_tag(uint16_t tci)
{
	union e1000e_rx_desc *ring =
		dmamap_iova2va(c, reg(E1000E_RDBAL(0)) | (uint64_t)reg(E1000E_RDBAH(0)) << 32);
	uint32_t last = (reg(E1000E_RDH(0)) + N_DESC - 1) % N_DESC;

	ring[last].wb.vlan = tci;
	ring[last].wb.status |= E1000E_RXD_VP;
}

/* A tag that the chip took off, but nobody asked it to, is put back into the frame. */
static int
test_put_tags_back(void)
{
	static const uint32_t lens[] = {60, 256, 300, 600};
	static const uint8_t tag[] = {0x81, 0x00, 0x21, 0x23};
	const uint64_t flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	uint8_t flat[1024], want;
	struct rte_mbuf *m[2];
	const uint8_t *bytes;
	unsigned int i, k;

	if (make_queues(1, 16) != 0)
		return TEST_FAILED;
	((struct e1000e_rxq *)rxqs[0])->put_tag = true;
	for (i = 0; i < RTE_DIM(lens); i++) {
		TEST_ASSERT(chip_receive(lens[i], i, 256), "no room");
		chip_cut_tag(0x2123);
		TEST_ASSERT(chip_receive(100, 99, 256), "no room");
		TEST_ASSERT_EQUAL(e1000e_rx_burst_edited(rxqs[0], m, 2), 2, "frames");
		TEST_ASSERT_EQUAL(
			m[0]->pkt_len, lens[i] + 4, "%u bytes: %u", lens[i], m[0]->pkt_len);
		TEST_ASSERT_SUCCESS(
			rte_mbuf_check(m[0], 1, &(const char *){NULL}), "a broken mbuf");
		TEST_ASSERT_EQUAL(m[0]->ol_flags & flags, 0, "flags");
		bytes = rte_pktmbuf_read(m[0], 0, m[0]->pkt_len, flat);
		for (k = 0; k < lens[i] + 4; k++) {
			want = k < 12 ? pattern(i, k) : k < 16 ? tag[k - 12] : pattern(i, k - 4);
			TEST_ASSERT_EQUAL(bytes[k], want, "%u bytes: byte %u", lens[i], k);
		}
		TEST_ASSERT_SUCCESS(is_frame(m[1], 100, 99), "the one without a tag");
		rte_pktmbuf_free_bulk(m, 2);
	}
	/* Stripping is asked for. */
	((struct e1000e_rxq *)rxqs[0])->put_tag = false;
	TEST_ASSERT(chip_receive(100, 1, 256), "no room");
	chip_cut_tag(0x2123);
	TEST_ASSERT_EQUAL(e1000e_rx_burst_edited(rxqs[0], m, 2), 1, "frames");
	TEST_ASSERT_SUCCESS(is_frame(m[0], 100, 1), "changed");
	TEST_ASSERT_EQUAL(m[0]->ol_flags & flags, flags, "flags");
	TEST_ASSERT_EQUAL(m[0]->vlan_tci, 0x2123, "tag %x", m[0]->vlan_tci);
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

#define N_RECORDS 64
#define CHIP_MIN_LEN 17u /* bytes given to the chip that it can pad (TCTL.PSP, 10.2.6) */

/* What the chip has sent: numbers of frames, reports and descriptors, and errors. */
static struct {
	uint32_t n, reports, descs, nulls;
	uint32_t bytes_wrong, empty, short_frames,
		across; /**< descriptors that cross a boundary of port.tx_split */
	uint32_t len[N_RECORDS]; /**< bytes given for each of the first frames */
	uint8_t tucss[N_RECORDS]; /**< the loaded context's, if the frame wants an L4 checksum */
	uint32_t data_len; /**< expected bytes of a frame, followed by zeros; 0: all */
	union e1000e_tx_desc context; /**< one for both queues (7.2.6) */
} sent;

/* A data descriptor. @return the bytes of its frame up to now; 0: the frame is complete */
static uint32_t
chip_transmit_data(const union e1000e_tx_desc *desc, uint32_t at)
{
	uint32_t len = desc->data.cmd & 0xFFFF, i;
	const uint8_t *buf = dmamap_iova2va(c, desc->data.addr);

	sent.empty += len == 0; /* QEMU drops such a frame */
	if (port.tx_split != 0 && len != 0)
		sent.across += desc->data.addr / port.tx_split !=
			(desc->data.addr + len - 1) / port.tx_split;
	for (i = 0; i < len; i++, at++)
		sent.bytes_wrong += buf[i] !=
			(sent.data_len != 0 && at >= sent.data_len ? 0 : pattern(sent.n, at));
	if (!(desc->data.cmd & E1000E_TXD_EOP))
		return at;
	sent.short_frames += at < CHIP_MIN_LEN;
	if (sent.n < N_RECORDS) {
		sent.len[sent.n] = at;
		sent.tucss[sent.n] =
			desc->data.status & E1000E_TXD_TXSM ? sent.context.ctx.tucss : 0;
	}
	sent.n++;
	return 0;
}

/* The chip sends up to n descriptors of queue q up to the tail. Frame i is pattern(i, ...). */
static void
chip_transmit_queue(unsigned int q, uint32_t n)
{
	union e1000e_tx_desc *ring =
		dmamap_iova2va(c, reg(E1000E_TDBAL(q)) | (uint64_t)reg(E1000E_TDBAH(q)) << 32);
	uint32_t n_desc = reg(E1000E_TDLEN(q)) / 16, head = reg(E1000E_TDH(q)), cmd;
	static uint32_t at[E1000E_QUEUES];

	for (; n > 0 && head != reg(E1000E_TDT(q)); n--, sent.descs++) {
		cmd = ring[head].data.cmd;
		if (!(cmd & E1000E_TXD_DEXT))
			sent.nulls += at[q] == 0 && (cmd & 0xFFFF) == 0 && cmd & E1000E_TXD_EOP;
		else if (cmd & E1000E_TXD_DTYP_DATA)
			at[q] = chip_transmit_data(&ring[head], at[q]);
		else
			sent.context = ring[head];
		if (cmd & E1000E_TXD_RS) {
			ring[head].data.status |= E1000E_TXD_DD;
			sent.reports++;
		}
		head = (head + 1) % n_desc;
	}
	regs[E1000E_TDH(q) / 4] = head;
}

static void
chip_transmit(uint32_t n)
{
	chip_transmit_queue(0, n);
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

/* A frame of n_segs segments of these lengths. Its bytes are pattern(seed, ...). */
static struct rte_mbuf *
make_segments(uint32_t seed, const uint16_t *lens, unsigned int n_segs)
{
	struct rte_mbuf *first = NULL, *m;
	uint32_t at = 0, i;
	uint8_t *bytes;

	for (; n_segs > 0; n_segs--, lens++) {
		m = rte_pktmbuf_alloc(pool);
		if (m == NULL)
			return NULL;
		bytes = (uint8_t *)rte_pktmbuf_append(m, *lens);
		for (i = 0; i < *lens; i++, at++)
			bytes[i] = pattern(seed, at);
		if (first == NULL)
			first = m;
		else if (rte_pktmbuf_chain(first, m) != 0)
			return NULL;
	}
	return first;
}

static int
make_tx_queues(uint16_t n_queues, uint16_t n_desc, const struct rte_eth_txconf *conf)
{
	uint16_t q;

	data.nb_rx_queues = 0;
	data.nb_tx_queues = n_queues;
	for (q = 0; q < n_queues; q++)
		TEST_ASSERT_SUCCESS(e1000e_tx_queue_setup(&eth, q, n_desc, 0, conf),
			"queue %u of %u descriptors", q, n_desc);
	TEST_ASSERT_SUCCESS(e1000e_queues_start(&eth), "start");
	memset(&sent, 0, sizeof(sent));
	return 0;
}

/*
 * Two owners send the same packet on two queues, as bonding does to broadcast: it is whole for
 * both, and its mbufs come back after the last.
 */
static int
test_shared_chain(void)
{
	static const uint16_t lens[] = {100, 90, 0, 80};
	struct rte_mbuf *m, *segs[RTE_DIM(lens)], *at;
	unsigned int i, q;

	if (make_tx_queues(2, N_DESC, &(struct rte_eth_txconf){.tx_rs_thresh = 1}) != 0)
		return TEST_FAILED;
	m = make_segments(0, lens, RTE_DIM(lens));
	TEST_ASSERT_NOT_NULL(m, "no mbufs");
	for (at = m, i = 0; at != NULL; at = at->next, i++)
		segs[i] = at;
	rte_pktmbuf_refcnt_update(m, 2); /* for queue 1, and for this case */
	for (q = 0; q < 2; q++) {
		TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[q], &m, 1), 1, "queue %u", q);
		TEST_ASSERT_EQUAL(
			m->nb_segs, RTE_DIM(lens), "queue %u: %u segments", q, m->nb_segs);
		TEST_ASSERT_EQUAL(m->pkt_len, 270, "queue %u: %u bytes", q, m->pkt_len);
		for (at = m, i = 0; i < RTE_DIM(lens); at = at->next, i++)
			TEST_ASSERT(at == segs[i], "queue %u: the chain ends at %u", q, i);
		chip_transmit_queue(q, N_DESC);
		TEST_ASSERT_EQUAL(sent.n, 1, "queue %u: %u frames", q, sent.n);
		TEST_ASSERT_EQUAL(sent.len[0], 270, "queue %u: sent %u bytes", q, sent.len[0]);
		TEST_ASSERT_EQUAL(sent.bytes_wrong, 0, "queue %u: wrong bytes", q);
		sent.n = 0;
		TEST_ASSERT_EQUAL(e1000e_tx_done_cleanup(txqs[q], 0), 1, "queue %u: clean", q);
	}
	TEST_ASSERT_EQUAL(
		rte_mempool_avail_count(pool), N_MBUFS - RTE_DIM(lens), "freed under their owner");
	for (i = 0; i < RTE_DIM(lens); i++)
		TEST_ASSERT_EQUAL(rte_mbuf_refcnt_read(segs[i]), 1, "refcnt of %u", i);
	rte_pktmbuf_free(m);
	return all_back();
}

static int
test_empty_segments(void)
{
	static const struct {
		uint16_t n, lens[5], bytes;
	} chains[] = {{2, {0, 100}, 100}, {3, {0, 0, 100}, 100}, {3, {60, 0, 40}, 100},
		{3, {60, 40, 0}, 100}, {5, {0, 60, 0, 40, 0}, 100}, {2, {100, 0}, 100}};
	struct rte_mbuf *m;
	unsigned int i;

	if (make_tx_queues(1, N_DESC, &(struct rte_eth_txconf){.tx_rs_thresh = 1}) != 0)
		return TEST_FAILED;
	for (i = 0; i < RTE_DIM(chains); i++) {
		m = make_segments(i, chains[i].lens, chains[i].n);
		TEST_ASSERT_NOT_NULL(m, "no mbufs");
		/* Offloads are those of the first mbuf, though it is empty. */
		m->ol_flags = RTE_MBUF_F_TX_VLAN;
		m->vlan_tci = i;
		TEST_ASSERT_EQUAL(e1000e_tx_prepare(txqs[0], &m, 1), 1, "chain %u: refused", i);
		TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], &m, 1), 1, "chain %u", i);
		chip_transmit(N_DESC);
		TEST_ASSERT_EQUAL(sent.n, i + 1, "chain %u was dropped", i);
		TEST_ASSERT_EQUAL(
			sent.len[i], chains[i].bytes, "chain %u: %u bytes", i, sent.len[i]);
		TEST_ASSERT(sent.empty == 0 && sent.bytes_wrong == 0, "chain %u", i);
	}
	TEST_ASSERT_EQUAL(((struct e1000e_txq *)txqs[0])->errors, 0, "errors");

	/* Without a byte it cannot be sent, whatever its length claims. */
	for (i = 0; i < 2; i++) {
		m = make_segments(0, (const uint16_t[]){0, 0}, i + 1);
		TEST_ASSERT_NOT_NULL(m, "no mbufs");
		m->pkt_len = 100;
		TEST_ASSERT_EQUAL(e1000e_tx_prepare(txqs[0], &m, 1), 0, "accepted");
		TEST_ASSERT_EQUAL(rte_errno, EINVAL, "errno %d", rte_errno);
		TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], &m, 1), 1, "not consumed");
	}
	chip_transmit(N_DESC);
	TEST_ASSERT_EQUAL(sent.n, RTE_DIM(chains), "sent without a byte");
	TEST_ASSERT_EQUAL(((struct e1000e_txq *)txqs[0])->errors, 2, "errors");
	return all_back();
}

/* Fill all bytes of an mbuf's buffer beyond its data. */
static void
fill_beyond(struct rte_mbuf *m, uint8_t value)
{
	memset(rte_pktmbuf_mtod_offset(m, void *, m->data_len), value, rte_pktmbuf_tailroom(m));
}

static int
send_short(uint16_t len, bool clone, unsigned int n_segs)
{
	const uint16_t lens[] = {n_segs == 1 ? len : len - 1, 1};
	struct rte_mbuf *m = make_segments(sent.n, lens, n_segs), *direct, *last;
	uint32_t n = sent.n, i;

	TEST_ASSERT_NOT_NULL(m, "no mbufs");
	last = rte_pktmbuf_lastseg(m);
	fill_beyond(last, 0xEE);
	rte_pktmbuf_refcnt_update(m, 1);
	direct = m;
	if (clone)
		m = rte_pktmbuf_clone(direct, pool);
	TEST_ASSERT_NOT_NULL(m, "no clone");
	sent.data_len = len;
	TEST_ASSERT_EQUAL(e1000e_tx_prepare(txqs[0], &m, 1), 1, "%u bytes: refused", len);
	TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], &m, 1), 1, "%u bytes", len);
	chip_transmit(N_DESC);
	TEST_ASSERT_EQUAL(sent.n, n + 1, "%u bytes: not sent", len);
	TEST_ASSERT_EQUAL(sent.len[n], RTE_MAX((uint32_t)len, CHIP_MIN_LEN), "%u bytes: given %u",
		len, sent.len[n]);
	TEST_ASSERT_EQUAL(sent.bytes_wrong, 0, "%u bytes: others were sent", len);
	for (i = 0; i < rte_pktmbuf_tailroom(last); i++)
		TEST_ASSERT_EQUAL(*rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len + i),
			0xEE, "%u bytes: byte %u beyond was written", len, i);
	TEST_ASSERT_EQUAL(
		direct->pkt_len, len, "%u bytes: the mbuf has %u now", len, direct->pkt_len);
	e1000e_tx_done_cleanup(txqs[0], 0);
	rte_pktmbuf_free(direct);
	if (clone)
		rte_pktmbuf_free(direct);
	return 0;
}

/* The chip pads frames of 17 bytes and more; the driver adds what is missing to shorter ones. */
static int
test_short_frames(void)
{
	struct rte_mbuf *m;
	unsigned int len;

	if (make_tx_queues(1, N_DESC, &(struct rte_eth_txconf){.tx_rs_thresh = 1}) != 0)
		return TEST_FAILED;
	for (len = RTE_ETHER_HDR_LEN; len <= 18; len++)
		if (send_short(len, false, 1) != 0 || send_short(len, true, 1) != 0 ||
			send_short(len, false, 2) != 0 || send_short(len, true, 2) != 0)
			return TEST_FAILED;
	TEST_ASSERT_EQUAL(sent.short_frames, 0, "%u frames hang the chip", sent.short_frames);
	TEST_ASSERT_EQUAL(((struct e1000e_txq *)txqs[0])->errors, 0, "errors");

	/* Less than a header is no frame. */
	sent.n = 0;
	for (len = 0; len < RTE_ETHER_HDR_LEN; len++) {
		m = make_segments(0, (const uint16_t[]){len}, 1);
		TEST_ASSERT_NOT_NULL(m, "no mbufs");
		TEST_ASSERT_EQUAL(e1000e_tx_prepare(txqs[0], &m, 1), 0, "%u bytes: accepted", len);
		TEST_ASSERT_EQUAL(rte_errno, EINVAL, "errno %d", rte_errno);
		TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], &m, 1), 1, "%u bytes: held up", len);
		chip_transmit(N_DESC);
		TEST_ASSERT_EQUAL(sent.n, 0, "%u bytes: sent", len);
		TEST_ASSERT_EQUAL(((struct e1000e_txq *)txqs[0])->errors, len + 1,
			"%u bytes: uncounted", len);
	}
	return all_back();
}

/* The chip's longest frame is 9,234 bytes with FCS, and with the tag that it inserts. */
static int
test_long_frames(void)
{
	static const struct {
		uint64_t flags;
		uint32_t len;
		bool sent;
	} frames[] = {{0, 9230, true}, {0, 9231, false}, {RTE_MBUF_F_TX_VLAN, 9226, true},
		{RTE_MBUF_F_TX_VLAN, 9227, false}, {RTE_MBUF_F_TX_VLAN, 9230, false}};
	uint16_t lens[37];
	struct rte_mbuf *m;
	unsigned int i, n = 0, segs;

	if (make_tx_queues(1, N_DESC, &(struct rte_eth_txconf){.tx_rs_thresh = 1}) != 0)
		return TEST_FAILED;
	for (i = 0; i < RTE_DIM(frames); i++) {
		for (segs = 0; segs * 256 < frames[i].len; segs++)
			lens[segs] = RTE_MIN(256u, frames[i].len - segs * 256);
		m = make_segments(n, lens, segs);
		TEST_ASSERT_NOT_NULL(m, "no mbufs");
		m->ol_flags = frames[i].flags;
		TEST_ASSERT_EQUAL(e1000e_tx_prepare(txqs[0], &m, 1), frames[i].sent, "frame %u", i);
		TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], &m, 1), 1, "frame %u", i);
		chip_transmit(N_DESC);
		n += frames[i].sent;
		TEST_ASSERT_EQUAL(sent.n, n, "frame %u: %u sent, not %u", i, sent.n, n);
	}
	TEST_ASSERT_EQUAL(sent.bytes_wrong, 0, "wrong bytes");
	TEST_ASSERT_EQUAL(((struct e1000e_txq *)txqs[0])->errors, RTE_DIM(frames) - n, "errors");
	return all_back();
}

/* Offsets in a context descriptor have eight bits. */
static int
test_far_headers(void)
{
	static const struct {
		uint64_t flags;
		uint16_t l2, l3;
		bool sent;
	} packets[] = {
		{RTE_MBUF_F_TX_TCP_CKSUM, 14, 225, true}, /* the checksum is at 255 */
		{RTE_MBUF_F_TX_TCP_CKSUM, 14, 226, false},
		{RTE_MBUF_F_TX_UDP_CKSUM, 18, 231, true},
		{RTE_MBUF_F_TX_UDP_CKSUM, 18, 232, false},
		{RTE_MBUF_F_TX_UDP_CKSUM, 18, 300, false},
		{RTE_MBUF_F_TX_TCP_CKSUM, 127, 511, false},
	};
	unsigned int i, again, n = 0, errors = 0;
	struct rte_mbuf *m;
	uint16_t prepared;

	if (make_tx_queues(1, N_DESC, &(struct rte_eth_txconf){.tx_rs_thresh = 1}) != 0)
		return TEST_FAILED;
	for (i = 0; i < RTE_DIM(packets); i++) {
		for (again = 0; again < 2;
			again++) { /* a second time: would the context be loaded */
			m = make_segments(n, (const uint16_t[]){256, 256}, 2);
			TEST_ASSERT_NOT_NULL(m, "no mbufs");
			m->ol_flags = packets[i].flags | RTE_MBUF_F_TX_IPV6;
			m->l2_len = packets[i].l2;
			m->l3_len = packets[i].l3;
			if (!packets[i].sent) {
				prepared = e1000e_tx_prepare(txqs[0], &m, 1);
				TEST_ASSERT_EQUAL(prepared, 0, "packet %u: accepted", i);
				TEST_ASSERT_EQUAL(rte_errno, EINVAL, "errno %d", rte_errno);
				errors++;
			}
			TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], &m, 1), 1, "packet %u", i);
			chip_transmit(N_DESC);
			n += packets[i].sent;
			TEST_ASSERT_EQUAL(sent.n, n, "packet %u: %u sent, not %u", i, sent.n, n);
			if (packets[i].sent)
				TEST_ASSERT_EQUAL(sent.tucss[n - 1], packets[i].l2 + packets[i].l3,
					"packet %u: L4 at %u", i, sent.tucss[n - 1]);
		}
	}
	TEST_ASSERT_EQUAL(((struct e1000e_txq *)txqs[0])->errors, errors, "errors");
	/* The IP header checksum alone needs no offset of L4. */
	m = make_segments(n, (const uint16_t[]){256, 256}, 2);
	TEST_ASSERT_NOT_NULL(m, "no mbufs");
	m->ol_flags = RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
	m->l2_len = 127;
	m->l3_len = 200;
	TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], &m, 1), 1, "burst");
	chip_transmit(N_DESC);
	TEST_ASSERT_EQUAL(sent.n, n + 1, "the IP header checksum was refused");
	return all_back();
}

/* The chip has one context for both queues, so with two each packet brings its own. */
static int
test_contexts_of_two_queues(void)
{
	unsigned int i, q, at;
	struct rte_mbuf *m;

	if (make_tx_queues(2, N_DESC, &(struct rte_eth_txconf){.tx_rs_thresh = 1}) != 0)
		return TEST_FAILED;
	for (i = 0; i < 12; i++) {
		q = i % 3 == 1; /* queue 0 twice in a row, too */
		at = q == 0 ? 34 : 58;
		m = make_segments(i, (const uint16_t[]){100}, 1);
		TEST_ASSERT_NOT_NULL(m, "no mbufs");
		m->l2_len = q == 0 ? 14 : 18;
		m->l3_len = at - m->l2_len;
		m->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM |
			(q == 0 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
		TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[q], &m, 1), 1, "packet %u", i);
		chip_transmit_queue(q, N_DESC);
		TEST_ASSERT_EQUAL(sent.tucss[i], at, "packet %u on queue %u: L4 at %u, not %u", i,
			q, sent.tucss[i], at);
	}
	TEST_ASSERT_EQUAL(sent.n, 12, "%u frames", sent.n);
	return all_back();
}

/* All that was sent comes back on request, and no more than asked for. */
static int
test_cleanup(void)
{
	unsigned int i, n, free_cnt, before = rte_mempool_avail_count(pool);
	struct rte_mbuf *m[43];

	if (make_tx_queues(1, N_DESC, &(struct rte_eth_txconf){.tx_rs_thresh = 32}) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(e1000e_tx_done_cleanup(txqs[0], 0), 0, "nothing was sent");
	TEST_ASSERT_EQUAL(reg(E1000E_TDT(0)), 0, "nothing to report, and the tail moved");
	for (n = 1; n <= 3; n++) {
		for (i = 0; i < n; i++)
			m[i] = make_segments(sent.n + i, (const uint16_t[]){60, 40}, 1 + i % 2);
		TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], m, n), n, "burst");
		chip_transmit(N_DESC);
		/* Asked, the chip reports; here it takes its time. */
		TEST_ASSERT_EQUAL(e1000e_tx_done_cleanup(txqs[0], 0), 0, "not reported yet");
		chip_transmit(N_DESC);
		TEST_ASSERT_EQUAL(sent.nulls, n, "%u requests for a report", sent.nulls);
		TEST_ASSERT_EQUAL(e1000e_tx_descriptor_status(txqs[0], N_DESC - 2),
			RTE_ETH_TX_DESC_DONE, "status");
		TEST_ASSERT_EQUAL(e1000e_tx_done_cleanup(txqs[0], 0), (int)n, "%u sent", n);
		TEST_ASSERT_EQUAL(rte_mempool_avail_count(pool), before, "%u sent, mbufs", n);
	}
	TEST_ASSERT_EQUAL(sent.n, 6, "%u frames", sent.n);

	for (free_cnt = 1; free_cnt < 60; free_cnt += 7) {
		for (i = 0; i < RTE_DIM(m); i++)
			m[i] = make_segments(sent.n + i, (const uint16_t[]){60, 40}, 1 + i % 2);
		TEST_ASSERT_EQUAL(e1000e_tx_burst(txqs[0], m, RTE_DIM(m)), RTE_DIM(m), "burst");
		chip_transmit(N_DESC);
		e1000e_tx_done_cleanup(txqs[0], 1); /* done: 1 of 43 */
		TEST_ASSERT_EQUAL(rte_mempool_avail_count(pool), before - 63, "1 of 43: %u back",
			rte_mempool_avail_count(pool));
		for (i = 1; i < RTE_DIM(m); i += n) {
			n = e1000e_tx_done_cleanup(txqs[0], free_cnt);
			chip_transmit(N_DESC);
			TEST_ASSERT(n <= free_cnt, "%u of at most %u", n, free_cnt);
			if (n == 0)
				n = e1000e_tx_done_cleanup(txqs[0], free_cnt);
			TEST_ASSERT(n > 0 && n <= free_cnt, "%u of at most %u", n, free_cnt);
		}
		TEST_ASSERT_EQUAL(i, RTE_DIM(m), "%u of 43 counted", i);
		TEST_ASSERT_EQUAL(rte_mempool_avail_count(pool), before, "mbufs");
	}
	TEST_ASSERT_EQUAL(sent.bytes_wrong, 0, "wrong bytes");
	return all_back();
}

/* A packet of as many segments as allowed and a context is sendable, one of more is not. */
static int
check_prepare(uint16_t segs)
{
	struct e1000e_txq *q = txqs[0];
	uint16_t lens[E1000E_MAX_TX_SEGS + 1], more;
	struct rte_mbuf *m;
	unsigned int i;

	for (i = 0; i < RTE_DIM(lens); i++)
		lens[i] = i == 0 ? 60 : 20;
	for (more = 0; more < 2; more++) {
		m = make_segments(0, lens, segs + more);
		TEST_ASSERT_NOT_NULL(m, "no mbufs");
		m->ol_flags = RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
		m->l2_len = 14;
		m->l3_len = 20;
		q->ctx_key = e1000e_tx_ctx_key(m);
		TEST_ASSERT_EQUAL(e1000e_tx_prepare(q, &m, 1), more == 0, "%u segments, %u allowed",
			segs + more, segs);
		q->ctx_key = 0;
		rte_pktmbuf_free(m);
	}
	return 0;
}

/* Each size of ring works with default thresholds, and for packets of any allowed length. */
static int
test_small_rings(void)
{
	uint16_t lens[E1000E_MAX_TX_SEGS], n_desc, segs;
	struct rte_mbuf *m, *single;
	unsigned int i, tries;

	for (i = 0; i < RTE_DIM(lens); i++)
		lens[i] = 20;
	for (n_desc = E1000E_MIN_DESC; n_desc <= 136; n_desc += E1000E_DESC_MULTIPLE) {
		if (make_tx_queues(1, n_desc, &(struct rte_eth_txconf){0}) != 0)
			return TEST_FAILED;
		segs = e1000e_tx_max_segs(&eth);
		if (check_prepare(segs) != 0)
			return TEST_FAILED;
		TEST_ASSERT_EQUAL(segs, RTE_MIN(E1000E_MAX_TX_SEGS, n_desc - 2),
			"%u descriptors, %u segments", n_desc, segs);
		for (i = 0; i < 40; i++) {
			/* One packet leaves a batch incomplete; the next may want the whole ring.
			 */
			single = make_segments(2 * i, (const uint16_t[]){60}, 1);
			m = make_segments(2 * i + 1, lens, i % 2 ? segs : 1);
			TEST_ASSERT(m != NULL && single != NULL, "no mbufs");
			m->ol_flags = RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
			m->l2_len = 14;
			m->l3_len = 20 + i;
			for (tries = 0; tries < 4; tries++, chip_transmit(n_desc))
				if (e1000e_tx_burst(txqs[0], &single, 1) == 1)
					break;
			TEST_ASSERT(tries < 4, "%u descriptors, packet %u: stuck", n_desc, i);
			for (tries = 0; tries < 4; tries++, chip_transmit(n_desc))
				if (e1000e_tx_burst(txqs[0], &m, 1) == 1)
					break;
			TEST_ASSERT(tries < 4, "%u descriptors, packet %u: stuck", n_desc, i);
		}
		chip_transmit(n_desc);
		TEST_ASSERT_EQUAL(sent.n, 80, "%u descriptors: %u frames", n_desc, sent.n);
		TEST_ASSERT_EQUAL(sent.bytes_wrong, 0, "%u descriptors: wrong bytes", n_desc);
		TEST_ASSERT_EQUAL(((struct e1000e_txq *)txqs[0])->errors, 0, "errors");
		if (all_back() != 0)
			return TEST_FAILED;
	}
	return TEST_SUCCESS;
}

/* Thresholds that are left to the driver fit the ring and those that are given. */
static int
test_default_thresholds(void)
{
	static const struct {
		uint16_t n_desc;
		struct rte_eth_txconf conf;
		int rc;
	} confs[] = {
		{32, {.tx_free_thresh = 30}, 0},
		{32, {.tx_rs_thresh = 16}, 0},
		{40, {.tx_free_thresh = 32}, 0},
		{256, {.tx_thresh.wthresh = 4}, 0},
		{256, {.tx_thresh.wthresh = 4, .tx_rs_thresh = 32}, -EINVAL},
		{32, {.tx_rs_thresh = 17}, -EINVAL},
		{32, {.tx_free_thresh = 31}, -EINVAL},
		{32, {.tx_free_thresh = 32}, -EINVAL},
	};
	unsigned int i;
	int rc;

	for (i = 0; i < RTE_DIM(confs); i++) {
		rc = e1000e_tx_queue_setup(&eth, 0, confs[i].n_desc, 0, &confs[i].conf);
		TEST_ASSERT_EQUAL(rc, confs[i].rc, "%u: %d", i, rc);
	}
	return TEST_SUCCESS;
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

static int
start_refused(const char *line)
{
	static const uint32_t untouched[RTE_DIM(regs)];
	int rc;

	memset(regs, 0, sizeof(regs));
	test_log_begin();
	rc = e1000e_ops.dev_start(&eth);
	TEST_ASSERT_EQUAL(rc, -EINVAL, "%d", rc);
	TEST_ASSERT(test_logged(line), "message");
	TEST_ASSERT_EQUAL(memcmp(regs, untouched, sizeof(regs)), 0, "registers were written");
	return 0;
}

static int
test_start_without_queues(void)
{
	const struct rte_eth_rxconf bad = {.rx_free_thresh = 5000};

	if (start_refused("receive queue 0 is not set up: call rte_eth_rx_queue_setup()") != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(
		e1000e_rx_queue_setup(&eth, 0, N_DESC, 0, &(struct rte_eth_rxconf){0}, pool),
		"Rx queue");
	if (start_refused("transmit queue 0 is not set up: call rte_eth_tx_queue_setup()") != 0)
		return TEST_FAILED;
	data.nb_rx_queues = 2;
	if (start_refused("receive queue 1 is not set up") != 0)
		return TEST_FAILED;
	data.nb_rx_queues = 1;
	TEST_ASSERT_SUCCESS(
		e1000e_tx_queue_setup(&eth, 0, N_DESC, 0, &(struct rte_eth_txconf){0}), "Tx queue");
	/* ethdev releases a queue before the driver refuses its new settings. */
	e1000e_rx_queue_release(&eth, 0);
	TEST_ASSERT_EQUAL(e1000e_rx_queue_setup(&eth, 0, N_DESC, 0, &bad, pool), -EINVAL, "bad");
	return start_refused("receive queue 0 is not set up");
}

/* Counters of the chip that are part of ierrors, with those that count the same packets again. */
static int
test_receive_errors(void)
{
	static const struct {
		const char *name;
		uint32_t reg;
		bool error;
	} counted[] = {{"CRCERRS", 0x4000, true}, {"ALGNERRC", 0x4004, true},
		{"RXERRC", 0x400C, true}, {"CEXTERR", 0x403C, true}, {"RUC", 0x40A4, true},
		{"RFC", 0x40A8, true}, {"ROC", 0x40AC, true}, {"RLEC", 0x4040, false},
		{"RJC", 0x40B0, false}, {"RNBC", 0x40A0, false}};
	struct rte_eth_stats stats;
	uint64_t before = 0;
	unsigned int i;

	for (i = 0; i < RTE_DIM(counted); i++) {
		memset(&stats, 0, sizeof(stats));
		regs[counted[i].reg / 4] = 3;
		TEST_ASSERT_SUCCESS(gantry_eth_stats_get(&e1000e_ops, &eth, &stats), "stats");
		regs[counted[i].reg / 4] = 0;
		TEST_ASSERT_EQUAL(stats.ierrors - before, counted[i].error ? 3u : 0u,
			"%s: %" PRIu64 " errors", counted[i].name, stats.ierrors - before);
		TEST_ASSERT_EQUAL(stats.imissed, 0, "missed");
		before = stats.ierrors;
	}
	return TEST_SUCCESS;
}

/* ethdev shows basic statistics as xstats, too, and a reset of either resets both. */
static int
test_reset_statistics(void)
{
	int (*const resets[])(struct rte_eth_dev *) = {
		e1000e_ops.stats_reset, e1000e_ops.xstats_reset};
	static const struct rte_eth_stats zero;
	struct rte_eth_xstat xstats[E1000E_N_COUNTERS];
	struct rte_eth_stats stats;
	unsigned int i, k;

	if (make_queues(16, 16) != 0)
		return TEST_FAILED;
	for (i = 0; i < RTE_DIM(resets); i++) {
		((struct e1000e_rxq *)rxqs[0])->packets = ((struct e1000e_rxq *)rxqs[0])->bytes = 2;
		((struct e1000e_txq *)txqs[0])->packets = ((struct e1000e_txq *)txqs[0])->bytes = 3;
		((struct e1000e_txq *)txqs[0])->errors = 4;
		data.rx_mbuf_alloc_failed = 5;
		regs[0x4010 / 4] = 6; /* missed packets */
		TEST_ASSERT_SUCCESS(resets[i](&eth), "reset %u", i);
		regs[0x4010 / 4] = 0;
		memset(&stats, 0, sizeof(stats));
		TEST_ASSERT_SUCCESS(gantry_eth_stats_get(&e1000e_ops, &eth, &stats), "stats");
		TEST_ASSERT_EQUAL(memcmp(&stats, &zero, sizeof(zero)), 0, "reset %u", i);
		TEST_ASSERT_EQUAL(e1000e_ops.xstats_get(&eth, xstats, RTE_DIM(xstats)),
			(int)RTE_DIM(xstats), "xstats");
		for (k = 0; k < RTE_DIM(xstats); k++)
			TEST_ASSERT_EQUAL(xstats[k].value, 0, "reset %u: xstat %u", i, k);
	}
	return all_back();
}

static int
test_rss_key_length(void)
{
	uint8_t key[E1000E_RSSRK_LEN + 8], was[E1000E_RSSRK_LEN];
	struct rte_eth_rss_conf rss = {.rss_key = key, .rss_hf = RTE_ETH_RSS_IPV4}, got;
	static const uint8_t bad[] = {0, 8, 16, 39, 41};
	unsigned int i;

	memset(key, 0xAA, sizeof(key));
	data.dev_conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	rss.rss_key_len = E1000E_RSSRK_LEN;
	data.dev_conf.rx_adv_conf.rss_conf = rss;
	TEST_ASSERT_SUCCESS(e1000e_ops.dev_configure(&eth), "40 bytes");
	TEST_ASSERT_EQUAL(memcmp(port.rss_key, key, E1000E_RSSRK_LEN), 0, "another key");
	memset(key, 0x55, sizeof(key));
	TEST_ASSERT_SUCCESS(e1000e_ops.rss_hash_update(&eth, &rss), "40 bytes");
	memcpy(was, port.rss_key, sizeof(was));
	TEST_ASSERT_EQUAL(was[39], 0x55, "not updated");

	memset(key, 0xAA, sizeof(key));
	rss.rss_hf = RTE_ETH_RSS_IPV6;
	for (i = 0; i < RTE_DIM(bad); i++) {
		rss.rss_key_len = bad[i];
		data.dev_conf.rx_adv_conf.rss_conf = rss;
		test_log_begin();
		TEST_ASSERT_EQUAL(e1000e_ops.dev_configure(&eth), -EINVAL, "configure: %u", bad[i]);
		TEST_ASSERT(test_logged("expected 40"), "message");
		TEST_ASSERT_EQUAL(
			e1000e_ops.rss_hash_update(&eth, &rss), -EINVAL, "update: %u", bad[i]);
		TEST_ASSERT_EQUAL(memcmp(port.rss_key, was, sizeof(was)), 0, "%u: changed", bad[i]);
		TEST_ASSERT_EQUAL(port.rss_hf, RTE_ETH_RSS_IPV4, "%u: types changed", bad[i]);
		if (bad[i] > E1000E_RSSRK_LEN)
			continue;
		got = rss;
		TEST_ASSERT_EQUAL(
			e1000e_ops.rss_hash_conf_get(&eth, &got), -EINVAL, "get: %u", bad[i]);
		TEST_ASSERT_EQUAL(key[0], 0xAA, "%u: written", bad[i]);
	}
	/* A larger buffer is none too many; without one the types are told. */
	got = rss;
	got.rss_key_len = sizeof(key);
	TEST_ASSERT_SUCCESS(e1000e_ops.rss_hash_conf_get(&eth, &got), "get");
	TEST_ASSERT_EQUAL(got.rss_key_len, E1000E_RSSRK_LEN, "%u bytes", got.rss_key_len);
	TEST_ASSERT_EQUAL(memcmp(key, was, sizeof(was)), 0, "another key");
	TEST_ASSERT_EQUAL(key[E1000E_RSSRK_LEN], 0xAA, "written beyond");
	got = (struct rte_eth_rss_conf){0};
	TEST_ASSERT_SUCCESS(e1000e_ops.rss_hash_conf_get(&eth, &got), "get");
	TEST_ASSERT_EQUAL(got.rss_hf, RTE_ETH_RSS_IPV4, "types");
	rss = (struct rte_eth_rss_conf){.rss_hf = RTE_ETH_RSS_IPV6};
	TEST_ASSERT_SUCCESS(e1000e_ops.rss_hash_update(&eth, &rss), "types only");
	TEST_ASSERT_EQUAL(memcmp(port.rss_key, was, sizeof(was)), 0, "changed");
	return TEST_SUCCESS;
}

static int
test_burst_modes(void)
{
	struct rte_eth_burst_mode mode;

	if (make_queues(16, 16) != 0)
		return TEST_FAILED;
	eth.rx_pkt_burst = e1000e_rx_burst;
	TEST_ASSERT_SUCCESS(e1000e_ops.rx_burst_mode_get(&eth, 0, &mode), "Rx");
	TEST_ASSERT_EQUAL(strcmp(mode.info, "Scalar"), 0, "%s", mode.info);
	eth.rx_pkt_burst = e1000e_rx_burst_scattered;
	TEST_ASSERT_SUCCESS(e1000e_ops.rx_burst_mode_get(&eth, 0, &mode), "Rx");
	TEST_ASSERT_EQUAL(strcmp(mode.info, "Scalar Scattered"), 0, "%s", mode.info);
	eth.rx_pkt_burst = e1000e_rx_burst_edited;
	TEST_ASSERT_SUCCESS(e1000e_ops.rx_burst_mode_get(&eth, 0, &mode), "Rx");
	TEST_ASSERT_EQUAL(strcmp(mode.info, "Scalar Scattered Edited"), 0, "%s", mode.info);
	TEST_ASSERT_SUCCESS(e1000e_ops.tx_burst_mode_get(&eth, 0, &mode), "Tx");
	TEST_ASSERT_EQUAL(strcmp(mode.info, "Scalar"), 0, "%s", mode.info);
	((struct e1000e_txq *)txqs[0])->fast_free = true;
	TEST_ASSERT_SUCCESS(e1000e_ops.tx_burst_mode_get(&eth, 0, &mode), "Tx");
	TEST_ASSERT_EQUAL(strcmp(mode.info, "Scalar Fast Free"), 0, "%s", mode.info);
	return all_back();
}

/* CTRL.VME turns on insertion and stripping. Stripping can be switched while insertion is on. */
static int
test_vlan_switch(void)
{
	data.dev_conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	TEST_ASSERT_SUCCESS(e1000e_ops.dev_configure(&eth), "insertion alone");
	if (make_queues(16, 16) != 0)
		return TEST_FAILED;
	eth.rx_pkt_burst = e1000e_rx_burst_edited;
	data.dev_started = 1;
	TEST_ASSERT_SUCCESS(e1000e_ops.vlan_offload_set(&eth, RTE_ETH_VLAN_STRIP_MASK), "off");
	TEST_ASSERT(reg(E1000E_CTRL) & E1000E_CTRL_VME, "off: insertion is off");
	TEST_ASSERT(((struct e1000e_rxq *)rxqs[0])->put_tag, "off: tags are lost");
	data.dev_conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
	TEST_ASSERT_SUCCESS(e1000e_ops.vlan_offload_set(&eth, RTE_ETH_VLAN_STRIP_MASK), "on");
	TEST_ASSERT(reg(E1000E_CTRL) & E1000E_CTRL_VME, "on: insertion is off");
	TEST_ASSERT(!((struct e1000e_rxq *)rxqs[0])->put_tag, "on: tags are put back");

	/* A port that was started with stripping has a function that puts no tags back. */
	eth.rx_pkt_burst = e1000e_rx_burst;
	data.dev_conf.rxmode.offloads = 0;
	test_log_begin();
	TEST_ASSERT_EQUAL(
		e1000e_ops.vlan_offload_set(&eth, RTE_ETH_VLAN_STRIP_MASK), -EBUSY, "running");
	TEST_ASSERT(test_logged("stop the port first"), "message");
	TEST_ASSERT(reg(E1000E_CTRL) & E1000E_CTRL_VME, "refused, and changed");
	data.dev_started = 0;
	TEST_ASSERT_SUCCESS(e1000e_ops.vlan_offload_set(&eth, RTE_ETH_VLAN_STRIP_MASK), "stopped");

	/* Without insertion the chip itself is switched. */
	data.dev_started = 1;
	data.dev_conf.txmode.offloads = 0;
	TEST_ASSERT_SUCCESS(e1000e_ops.vlan_offload_set(&eth, RTE_ETH_VLAN_STRIP_MASK), "off");
	TEST_ASSERT(!(reg(E1000E_CTRL) & E1000E_CTRL_VME), "still on");
	TEST_ASSERT(!((struct e1000e_rxq *)rxqs[0])->put_tag, "there is nothing to put back");
	return all_back();
}

/* The chip names TCP and UDP only where it checks their checksums (7.1.4). */
static int
test_supported_ptypes(void)
{
	static const struct {
		uint64_t offloads;
		bool l4;
	} confs[] = {{0, false}, {RTE_ETH_RX_OFFLOAD_IPV4_CKSUM, false},
		{RTE_ETH_RX_OFFLOAD_TCP_CKSUM, true}, {RTE_ETH_RX_OFFLOAD_UDP_CKSUM, true},
		{RTE_ETH_RX_OFFLOAD_CHECKSUM, true}};
	const uint32_t *ptypes;
	unsigned int i, l3, l4;

	for (i = 0; i < RTE_DIM(confs); i++) {
		data.dev_conf.rxmode.offloads = confs[i].offloads;
		l3 = l4 = 0;
		for (ptypes = gantry_eth_ptypes_get(&e1000e_ops, &eth);
			*ptypes != RTE_PTYPE_UNKNOWN; ptypes++) {
			l3 += (*ptypes & RTE_PTYPE_L3_MASK) != 0;
			l4 += (*ptypes & RTE_PTYPE_L4_MASK) != 0;
		}
		TEST_ASSERT_EQUAL(l3, 2, "%u: %u types of L3", i, l3);
		TEST_ASSERT_EQUAL(l4, confs[i].l4 ? 2u : 0u, "%u: %u types of L4", i, l4);
	}
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
	{"the same, by the function that edits frames", test_receive_edited},
	{"the FCS is kept, behind the frame", test_keep_crc},
	{"tags are put back where stripping is off", test_put_tags_back},
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
	{"a packet of two owners stays whole for both", test_shared_chain},
	{"empty segments are skipped wherever they stand", test_empty_segments},
	{"frames below 17 bytes are padded, below 14 dropped", test_short_frames},
	{"frames beyond the longest are dropped, tag included", test_long_frames},
	{"headers beyond byte 255 are refused", test_far_headers},
	{"two queues share no context", test_contexts_of_two_queues},
	{"a cleanup frees what was sent, and no more than asked", test_cleanup},
	{"small rings take default thresholds and long chains", test_small_rings},
	{"default thresholds fit those that are given", test_default_thresholds},
	{"status bits become flags", test_flags},
	{"packet types are told", test_ptypes},
	{"context descriptors say where checksums are", test_context},
	{"the buffer size is what fits", test_buffer_sizes},
	{"filters are written as the data sheet says", test_filter_registers},
	{"a start without queues is refused", test_start_without_queues},
	{"receive errors are counted, each once", test_receive_errors},
	{"a reset of statistics resets all of them", test_reset_statistics},
	{"an RSS key of another length is refused", test_rss_key_length},
	{"burst modes are told", test_burst_modes},
	{"VLAN stripping is switched beside insertion", test_vlan_switch},
	{"the packet types that are named are those that come", test_supported_ptypes},
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
