/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Receive bursts, and the state of receive descriptors.
 *
 * Fast path: no lock, no system call, no register read, and no allocation except mbufs from the
 * pool. One write of the tail serves many descriptors. Called by ethdev, by one thread at a time
 * for each queue.
 */

#include <errno.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>

#include "e1000e.h"

static __rte_always_inline uint64_t
rx_ol_flags(uint32_t status, uint32_t mrq)
{
	/* Index: L4 checked, IP checked, L4 error, IP error. Unchecked is 0, "unknown". */
	static const uint64_t checksum[16] = {
		[0x1] = RTE_MBUF_F_RX_L4_CKSUM_GOOD,
		[0x2] = RTE_MBUF_F_RX_IP_CKSUM_GOOD,
		[0x3] = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD,
		[0x5] = RTE_MBUF_F_RX_L4_CKSUM_BAD,
		[0x6] = RTE_MBUF_F_RX_IP_CKSUM_GOOD,
		[0x7] = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_BAD,
		[0x9] = RTE_MBUF_F_RX_L4_CKSUM_GOOD,
		[0xA] = RTE_MBUF_F_RX_IP_CKSUM_BAD,
		[0xB] = RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_GOOD,
		[0xD] = RTE_MBUF_F_RX_L4_CKSUM_BAD,
		[0xE] = RTE_MBUF_F_RX_IP_CKSUM_BAD,
		[0xF] = RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_BAD,
	};
	uint64_t flags = checksum[((status >> 5) & 0x3) | ((status >> 27) & 0xC)];

	if (status & E1000E_RXD_VP)
		flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	if (mrq & E1000E_RXD_RSS_TYPE)
		flags |= RTE_MBUF_F_RX_RSS_HASH;
	return flags;
}

uint64_t
e1000e_rx_flags(uint32_t status, uint32_t mrq)
{
	return rx_ol_flags(status, mrq);
}

/* Entries for each combination of UDPCS and L4CS, whose values tell TCP from UDP. */
#define SAME_L4(type, ptype)                                                                       \
	[type] = (ptype), [0x10 + (type)] = (ptype), [0x20 + (type)] = (ptype),                    \
	[0x30 + (type)] = (ptype)
#define EACH_L4(type, ptype)                                                                       \
	[type] = (ptype), [0x10 + (type)] = (ptype), [0x20 + (type)] = (ptype) | RTE_PTYPE_L4_TCP, \
	[0x30 + (type)] = (ptype) | RTE_PTYPE_L4_UDP

static __rte_always_inline uint32_t
rx_ptype(uint32_t status)
{
	/* Index: packet type that the chip parsed (7.1.4) in bits 3:0, then UDPCS, L4CS. */
	static const uint32_t l3_l4[64] = {
		SAME_L4(0x1, RTE_PTYPE_L3_IPV4_EXT_UNKNOWN),
		EACH_L4(0x2, RTE_PTYPE_L3_IPV4_EXT_UNKNOWN),
		SAME_L4(0x3,
			RTE_PTYPE_L3_IPV4_EXT_UNKNOWN | RTE_PTYPE_TUNNEL_IP |
				RTE_PTYPE_INNER_L3_IPV6_EXT_UNKNOWN),
		SAME_L4(0x4,
			RTE_PTYPE_L3_IPV4_EXT_UNKNOWN | RTE_PTYPE_TUNNEL_IP |
				RTE_PTYPE_INNER_L3_IPV6_EXT_UNKNOWN),
		SAME_L4(0x5, RTE_PTYPE_L3_IPV6_EXT_UNKNOWN),
		EACH_L4(0x6, RTE_PTYPE_L3_IPV6_EXT_UNKNOWN),
	};

	return RTE_PTYPE_L2_ETHER |
		l3_l4[((status >> E1000E_RXD_PKT_TYPE_SHIFT) & 0xF) |
			(status & (E1000E_RXD_UDPCS | E1000E_RXD_L4CS))];
}

uint32_t
e1000e_rx_ptype(uint32_t status)
{
	return rx_ptype(status);
}

/* Refill consumed descriptors: a bulk of them, or up to the end of the ring. */
static bool
rx_refill_run(struct e1000e_rxq *q)
{
	uint16_t at = q->refill, n = RTE_MIN(q->bulk, q->n_desc - at), i;
	struct rte_mbuf **sw = q->sw + at;

	if (unlikely(rte_mempool_get_bulk(q->pool, (void **)sw, n) < 0)) {
		/* Each descriptor counts once, however often it is tried again. */
		q->data->rx_mbuf_alloc_failed += q->hold - q->starved;
		q->starved = q->hold;
		return false;
	}
	for (i = 0; i < n; i++) {
		q->ring[at + i].read.addr =
			rte_cpu_to_le_64(rte_mbuf_iova_get(sw[i]) + RTE_PKTMBUF_HEADROOM);
		q->ring[at + i].read.zero = 0;
	}
	at += n;
	q->refill = at == q->n_desc ? 0 : at;
	q->hold -= n;
	if (unlikely(q->starved > 0))
		q->starved -= RTE_MIN(q->starved, n);
	return true;
}

/* Refill, then write the tail once. */
static void
rx_refill(struct e1000e_rxq *q)
{
	uint16_t before = q->refill;

	while (q->hold >= q->bulk && rx_refill_run(q))
		;
	/*
	 * The tail is the last descriptor with a buffer. rte_write32() orders it after the
	 * descriptors.
	 */
	if (q->refill != before)
		rte_write32((q->refill == 0 ? q->n_desc : q->refill) - 1,
			e1000e_bar[q->port_id] + q->tail_reg);
}

static inline void
rx_fill_mbuf(const struct e1000e_rxq *q, struct rte_mbuf *m, const union e1000e_rx_desc *d,
	uint32_t status)
{
	m->ol_flags = rx_ol_flags(status, rte_le_to_cpu_32(d->wb.mrq)) & q->flags;
	m->packet_type = rx_ptype(status);
	m->hash.rss = rte_le_to_cpu_32(d->wb.rss);
	m->vlan_tci = rte_le_to_cpu_16(d->wb.vlan);
}

static inline void
rx_rearm(const struct e1000e_rxq *q, struct rte_mbuf *m)
{
	*(uint64_t *)&m->rearm_data = q->rearm;
}

/* Consume the next descriptor if it is done: copy it, and return its mbuf. */
static inline struct rte_mbuf *
rx_next_done(struct e1000e_rxq *q, union e1000e_rx_desc *d, uint32_t *status)
{
	volatile union e1000e_rx_desc *at = &q->ring[q->next];
	struct rte_mbuf *m;

	*status = rte_le_to_cpu_32(at->wb.status);
	if (!(*status & E1000E_RXD_DD))
		return NULL;
	/* Load barrier: hardware writes the status last, so read the rest after it. */
	rte_io_rmb();
	d->wb.mrq = at->wb.mrq;
	d->wb.rss = at->wb.rss;
	d->wb.len = at->wb.len;
	d->wb.vlan = at->wb.vlan;

	m = q->sw[q->next];
	if (++q->next == q->n_desc)
		q->next = 0;
	q->hold++;
	rte_prefetch0(q->sw[q->next]);
	rx_rearm(q, m);
	m->data_len = rte_le_to_cpu_16(d->wb.len);
	return m;
}

static inline void
rx_done(struct e1000e_rxq *q, uint16_t packets, uint64_t bytes)
{
	q->packets += packets;
	q->bytes += bytes;
	if (q->hold >= q->free_thresh)
		rx_refill(q);
}

uint16_t
e1000e_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct e1000e_rxq *q = queue;
	union e1000e_rx_desc d;
	uint64_t bytes = 0;
	struct rte_mbuf *m;
	uint32_t status;
	uint16_t i;

	for (i = 0; i < n; i++) {
		m = rx_next_done(q, &d, &status);
		if (m == NULL)
			break;
		m->pkt_len = m->data_len;
		rx_fill_mbuf(q, m, &d, status);
		bytes += m->pkt_len;
		rte_prefetch0(rte_pktmbuf_mtod(m, void *));
		pkts[i] = m;
	}
	rx_done(q, i, bytes);
	return i;
}

/*
 * Cut the FCS off a frame, whose last segment is the one after `before`. The FCS stays in the
 * buffer behind the data, as in other drivers; if the last segment has nothing else, it is freed.
 */
static void
rx_cut_fcs(struct rte_mbuf *first, struct rte_mbuf *before, struct rte_mbuf *last, uint16_t len)
{
	first->pkt_len -= len;
	if (last->data_len > len) {
		last->data_len -= len;
		return;
	}
	before->data_len -= len - last->data_len;
	before->next = NULL;
	first->nb_segs--;
	rte_pktmbuf_free_seg(last);
}

/* Put the tag of vlan_tci, which hardware took off, back behind the addresses. */
static void
rx_put_tag(struct rte_mbuf *m)
{
	const rte_be16_t tag[] = {
		rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(m->vlan_tci)};
	uint8_t *old = rte_pktmbuf_mtod(m, uint8_t *), *frame = old - RTE_VLAN_HLEN;

	_Static_assert(RTE_PKTMBUF_HEADROOM >= RTE_VLAN_HLEN, "headroom for a tag");
	memmove(frame, old, 2 * RTE_ETHER_ADDR_LEN);
	memcpy(frame + 2 * RTE_ETHER_ADDR_LEN, tag, sizeof(tag));
	m->data_off -= RTE_VLAN_HLEN;
	m->data_len += RTE_VLAN_HLEN;
	m->pkt_len += RTE_VLAN_HLEN;
	m->ol_flags &= ~(RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
}

static __rte_always_inline uint16_t
rx_burst_scattered(struct e1000e_rxq *q, struct rte_mbuf **pkts, uint16_t n, const bool edit)
{
	struct rte_mbuf *m, *before = NULL;
	union e1000e_rx_desc d;
	uint64_t bytes = 0;
	uint16_t done = 0;
	uint32_t status;

	while (done < n) {
		m = rx_next_done(q, &d, &status);
		if (m == NULL)
			break;
		if (q->first == NULL) {
			q->first = m;
			m->pkt_len = m->data_len;
		} else {
			q->last->next = m;
			q->first->pkt_len += m->data_len;
			q->first->nb_segs++;
		}
		if (edit)
			before = q->last;
		q->last = m;
		if (!(status & E1000E_RXD_EOP))
			continue;
		rx_fill_mbuf(q, q->first, &d, status);
		if (edit && q->crc_len > 0)
			rx_cut_fcs(q->first, before, m, q->crc_len);
		if (edit && q->put_tag && status & E1000E_RXD_VP)
			rx_put_tag(q->first);
		bytes += q->first->pkt_len;
		rte_prefetch0(rte_pktmbuf_mtod(q->first, void *));
		pkts[done++] = q->first;
		q->first = NULL;
	}
	rx_done(q, done, bytes);
	return done;
}

/* As e1000e_rx_burst(), for frames that may be larger than a buffer. */
uint16_t
e1000e_rx_burst_scattered(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	return rx_burst_scattered(queue, pkts, n, false);
}

uint16_t
e1000e_rx_burst_edited(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	return rx_burst_scattered(queue, pkts, n, true);
}

gantry_eth_count_t
e1000e_rx_queue_count(void *queue)
{
	const struct e1000e_rxq *q = queue;
	uint16_t at = q->next, n = 0;

	/* The scan ends: the descriptor at the tail is never done. */
	while (rte_le_to_cpu_32(q->ring[at].wb.status) & E1000E_RXD_DD && n < q->n_desc - q->hold) {
		n++;
		if (++at == q->n_desc)
			at = 0;
	}
	return n;
}

int
e1000e_rx_descriptor_status(void *queue, uint16_t offset)
{
	const struct e1000e_rxq *q = queue;
	uint32_t at = q->next + offset;

	if (offset >= q->n_desc)
		return -EINVAL;
	/* The one at the tail and those without a buffer do not belong to hardware. */
	if (offset >= q->n_desc - 1 - q->hold)
		return RTE_ETH_RX_DESC_UNAVAIL;
	if (at >= q->n_desc)
		at -= q->n_desc;
	return rte_le_to_cpu_32(q->ring[at].wb.status) & E1000E_RXD_DD ? RTE_ETH_RX_DESC_DONE
								       : RTE_ETH_RX_DESC_AVAIL;
}
