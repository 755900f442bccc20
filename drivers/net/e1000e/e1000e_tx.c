/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Transmit bursts, and the state of transmit descriptors.
 *
 * Fast path: no lock, no system call, no register read, no allocation. One write of the tail serves
 * many packets, and so does one write-back (RS). Called by ethdev, by one thread at a time for each
 * queue.
 */

#include <errno.h>

#include <rte_ip.h>
#include <rte_mempool.h>
#include <rte_net.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "e1000e.h"

/* mbufs that are freed to their pool in one go */
#define FREE_BULK 64

/* A key for the checksum offload: l2_len in bits 6:0, l3_len in 15:7, then flags. */
#define KEY_L3_SHIFT 7
#define KEY_IP RTE_BIT32(16)
#define KEY_TCP RTE_BIT32(17)
#define KEY_UDP RTE_BIT32(18)
#define KEY_IPV4 RTE_BIT32(19)

#define TX_UNSUPPORTED                                                                             \
	(RTE_MBUF_F_TX_OFFLOAD_MASK &                                                              \
		~(RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IPV4 |            \
			RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_VLAN))

static __rte_always_inline uint32_t
tx_ctx_key(const struct rte_mbuf *m)
{
	uint64_t flags = m->ol_flags, l4 = flags & RTE_MBUF_F_TX_L4_MASK;
	uint32_t key;

	if (!(flags & RTE_MBUF_F_TX_IP_CKSUM) && l4 != RTE_MBUF_F_TX_TCP_CKSUM &&
		l4 != RTE_MBUF_F_TX_UDP_CKSUM)
		return 0;
	key = m->l2_len | (uint32_t)m->l3_len << KEY_L3_SHIFT;
	if (flags & RTE_MBUF_F_TX_IP_CKSUM)
		key |= KEY_IP;
	if (flags & (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM))
		key |= KEY_IPV4;
	if (l4 == RTE_MBUF_F_TX_TCP_CKSUM)
		key |= KEY_TCP;
	else if (l4 == RTE_MBUF_F_TX_UDP_CKSUM)
		key |= KEY_UDP;
	return key;
}

uint32_t
e1000e_tx_ctx_key(const struct rte_mbuf *m)
{
	return tx_ctx_key(m);
}

void
e1000e_tx_ctx_fill(uint32_t key, union e1000e_tx_desc *desc)
{
	uint32_t l2 = key & 0x7F, l3 = (key >> KEY_L3_SHIFT) & 0x1FF;
	uint32_t cmd = E1000E_TXD_DEXT;

	*desc = (union e1000e_tx_desc){0};
	if (key & KEY_IPV4) {
		cmd |= E1000E_TXD_CTX_IPV4;
		desc->ctx.ipcss = l2;
		desc->ctx.ipcso = l2 + offsetof(struct rte_ipv4_hdr, hdr_checksum);
		desc->ctx.ipcse = rte_cpu_to_le_16(l2 + l3 - 1);
	}
	if (key & KEY_TCP)
		cmd |= E1000E_TXD_CTX_TCP;
	desc->ctx.tucss = l2 + l3;
	desc->ctx.tucso = l2 + l3 +
		(key & KEY_TCP ? offsetof(struct rte_tcp_hdr, cksum)
			       : offsetof(struct rte_udp_hdr, dgram_cksum));
	desc->ctx.cmd = rte_cpu_to_le_32(cmd);
}

/* Free the buffers of descriptors [at, at + n), which does not wrap. All are of one pool. */
static void
tx_free_fast(struct rte_mbuf **sw, uint16_t n)
{
	struct rte_mbuf *bulk[FREE_BULK];
	unsigned int i, n_bulk = 0;

	for (i = 0; i < n; i++) {
		if (sw[i] == NULL)
			continue;
		bulk[n_bulk++] = sw[i];
		sw[i] = NULL;
		if (n_bulk == FREE_BULK) {
			rte_mempool_put_bulk(bulk[0]->pool, (void **)bulk, n_bulk);
			n_bulk = 0;
		}
	}
	if (n_bulk > 0)
		rte_mempool_put_bulk(bulk[0]->pool, (void **)bulk, n_bulk);
}

/* As tx_free_fast(), for any mbufs: shared, indirect, of several pools. */
static void
tx_free_any(struct rte_mbuf **sw, uint16_t n)
{
	struct rte_mbuf *bulk[FREE_BULK], *m;
	unsigned int i, n_bulk = 0;

	for (i = 0; i < n; i++) {
		m = sw[i];
		if (m == NULL)
			continue;
		sw[i] = NULL;
		m = rte_pktmbuf_prefree_seg(m);
		if (m == NULL)
			continue;
		if (n_bulk == FREE_BULK || (n_bulk > 0 && bulk[0]->pool != m->pool)) {
			rte_mempool_put_bulk(bulk[0]->pool, (void **)bulk, n_bulk);
			n_bulk = 0;
		}
		bulk[n_bulk++] = m;
	}
	if (n_bulk > 0)
		rte_mempool_put_bulk(bulk[0]->pool, (void **)bulk, n_bulk);
}

static void
tx_free_range(const struct e1000e_txq *q, uint16_t at, uint16_t n)
{
	if (q->fast_free)
		tx_free_fast(q->sw + at, n);
	else
		tx_free_any(q->sw + at, n);
}

/* Free the oldest batch if it is done. @return its number of descriptors; 0: not done. */
static uint16_t
tx_clean_batch(struct e1000e_txq *q)
{
	uint16_t last, n, first_part;

	if (q->clean == q->batch)
		return 0;
	last = q->last[q->clean];
	if (!(rte_le_to_cpu_32(q->ring[last].data.status) & E1000E_TXD_DD))
		return 0;

	n = last >= q->clean ? last - q->clean + 1 : q->n_desc - q->clean + last + 1;
	first_part = RTE_MIN(n, q->n_desc - q->clean);
	tx_free_range(q, q->clean, first_part);
	if (n > first_part)
		tx_free_range(q, 0, n - first_part);
	q->clean = last + 1 == q->n_desc ? 0 : last + 1;
	q->n_free += n;
	return n;
}

static inline uint16_t
tx_next(const struct e1000e_txq *q, uint16_t at)
{
	return ++at == q->n_desc ? 0 : at;
}

/* End the batch with descriptor `at`: hardware reports this one. */
static inline void
tx_close_batch(struct e1000e_txq *q, uint16_t at)
{
	q->ring[at].data.cmd |= rte_cpu_to_le_32(E1000E_TXD_RS);
	q->last[q->batch] = at;
	q->batch = tx_next(q, at);
	q->in_batch = 0;
}

/* Write a context descriptor unless the last one has this key. @return the next descriptor. */
static inline uint16_t
tx_put_context(struct e1000e_txq *q, uint32_t key)
{
	union e1000e_tx_desc ctx;

	if (key == q->ctx_key)
		return q->tail;
	e1000e_tx_ctx_fill(key, &ctx);
	q->ring[q->tail].data.addr = ctx.data.addr;
	q->ring[q->tail].data.cmd = ctx.data.cmd;
	q->ring[q->tail].data.status = ctx.data.status;
	q->sw[q->tail] = NULL;
	q->ctx_key = key;
	return tx_next(q, q->tail);
}

static inline void
tx_put_desc(struct e1000e_txq *q, uint16_t at, rte_iova_t iova, uint32_t len, uint32_t cmd,
	uint32_t status)
{
	volatile union e1000e_tx_desc *d = &q->ring[at];

	d->data.addr = rte_cpu_to_le_64(iova);
	d->data.cmd = rte_cpu_to_le_32(cmd | len);
	d->data.status = rte_cpu_to_le_32(status);
}

static inline void
tx_put_segment(struct e1000e_txq *q, uint16_t at, struct rte_mbuf *m, uint32_t cmd, uint32_t status)
{
	tx_put_desc(q, at, rte_mbuf_data_iova(m), m->data_len, cmd, status);
	q->sw[at] = m;
}

/*
 * Write a segment, split at multiples of q->split. Its last descriptor owns the mbuf. @return the
 * last descriptor
 */
static uint16_t
tx_put_split(struct e1000e_txq *q, uint16_t at, struct rte_mbuf *m, uint32_t cmd, uint32_t status)
{
	rte_iova_t iova = rte_mbuf_data_iova(m);
	uint32_t left = m->data_len, len;

	while (q->split != 0 && (len = q->split - (iova & (q->split - 1))) < left) {
		tx_put_desc(q, at, iova, len, cmd, status);
		q->sw[at] = NULL;
		at = tx_next(q, at);
		iova += len;
		left -= len;
	}
	tx_put_desc(q, at, iova, left, cmd, status);
	q->sw[at] = m;
	return at;
}

/* @return how many descriptors a packet needs beyond its segments, because segments are split */
static uint16_t
tx_splits(const struct e1000e_txq *q, const struct rte_mbuf *m)
{
	uint32_t n = 0;

	for (; m != NULL; m = m->next)
		if (m->data_len > 0)
			n += ((rte_mbuf_data_iova(m) & (q->split - 1)) + m->data_len - 1) /
				q->split;
	return RTE_MIN(n, (uint32_t)E1000E_MAX_DESC);
}

/* Write the descriptors of all segments. @return the last descriptor */
static uint16_t
tx_put_chain(struct e1000e_txq *q, uint16_t at, struct rte_mbuf *m, uint32_t cmd, uint32_t status)
{
	struct rte_mbuf *next = m->next;

	at = tx_put_split(q, at, m, cmd, status);
	/* Segments are freed one by one, and mbufs in a pool are not chained. */
	m->next = NULL;
	m->nb_segs = 1;
	for (m = next; m != NULL; m = next) {
		next = m->next;
		m->next = NULL;
		m->nb_segs = 1;
		if (unlikely(m->data_len == 0)) {
			rte_pktmbuf_free_seg(m);
			continue;
		}
		at = tx_put_split(q, tx_next(q, at), m, cmd, status);
	}
	return at;
}

/* Write a packet's descriptors, after their number was checked. */
static inline void
tx_put_packet(struct e1000e_txq *q, struct rte_mbuf *m, uint32_t key)
{
	uint32_t cmd = E1000E_TXD_DEXT | E1000E_TXD_DTYP_DATA | E1000E_TXD_IFCS, status = 0;
	uint16_t at = q->tail, used;

	if (m->ol_flags & RTE_MBUF_F_TX_VLAN) {
		cmd |= E1000E_TXD_VLE;
		status |= E1000E_TXD_VLAN(m->vlan_tci);
	}
	if (key != 0) {
		at = tx_put_context(q, key);
		status |= key & KEY_IP ? E1000E_TXD_IXSM : 0;
		status |= key & (KEY_TCP | KEY_UDP) ? E1000E_TXD_TXSM : 0;
	}
	if (likely(m->nb_segs == 1 && q->split == 0)) {
		tx_put_segment(q, at, m, cmd | E1000E_TXD_EOP, status);
	} else {
		at = tx_put_chain(q, at, m, cmd, status);
		q->ring[at].data.cmd |= rte_cpu_to_le_32(E1000E_TXD_EOP);
	}

	used = at >= q->tail ? at - q->tail + 1 : q->n_desc - q->tail + at + 1;
	q->tail = tx_next(q, at);
	q->n_free -= used;
	q->in_batch += used;
	if (q->in_batch >= q->rs_thresh)
		tx_close_batch(q, at);
}

/* @return true if the chip can never send this packet */
static inline bool
tx_unsendable(const struct e1000e_txq *q, const struct rte_mbuf *m, uint16_t need)
{
	return need > q->max_need || m->data_len == 0 ||
		m->pkt_len > E1000E_MAX_FRAME - RTE_ETHER_CRC_LEN;
}

uint16_t
e1000e_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct e1000e_txq *q = queue;
	uint16_t i, dropped = 0, tail = q->tail;
	uint64_t bytes = 0;

	if (q->n_free < q->free_thresh)
		while (tx_clean_batch(q) > 0)
			;
	for (i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];
		uint32_t key = tx_ctx_key(m);
		uint16_t need = m->nb_segs + (key != 0 && key != q->ctx_key);

		if (unlikely(q->split != 0))
			need += tx_splits(q, m);
		if (i + 1 < n)
			rte_prefetch0(pkts[i + 1]);
		if (unlikely(tx_unsendable(q, m, need))) {
			/* Consume the packet: the caller would only retry it. */
			dropped++;
			rte_pktmbuf_free(m);
			continue;
		}
		while (unlikely(need > q->n_free) && tx_clean_batch(q) > 0)
			;
		if (unlikely(need > q->n_free))
			break;
		bytes += m->pkt_len;
		tx_put_packet(q, m, key);
	}
	if (q->tail != tail)
		rte_write32(q->tail, q->tail_reg);
	q->packets += i - dropped;
	q->bytes += bytes;
	q->errors += dropped;
	return i;
}

uint16_t
e1000e_tx_prepare(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	const struct e1000e_txq *q = queue;
	uint16_t i;
	int rc;

	for (i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];

		if (tx_unsendable(q, m, m->nb_segs + 1 + (q->split != 0 ? tx_splits(q, m) : 0))) {
			rte_errno = EINVAL;
			break;
		}
		if (m->ol_flags & TX_UNSUPPORTED ||
			(m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_SCTP_CKSUM) {
			rte_errno = ENOTSUP;
			break;
		}
		/* The chip adds to the sum of the pseudo header, which software writes. */
		rc = rte_net_intel_cksum_prepare(m);
		if (rc != 0) {
			rte_errno = -rc;
			break;
		}
	}
	return i;
}

int
e1000e_tx_descriptor_status(void *queue, uint16_t offset)
{
	const struct e1000e_txq *q = queue;
	uint32_t used = q->n_desc - 1 - q->n_free, at = q->tail + offset, from_clean, seen = 0;
	uint16_t batch = q->clean, last;

	if (offset >= q->n_desc)
		return -EINVAL;
	at = at >= q->n_desc ? at - q->n_desc : at;
	from_clean = at >= q->clean ? at - q->clean : at + q->n_desc - q->clean;
	if (from_clean >= used)
		return RTE_ETH_TX_DESC_DONE;
	/* In use: find its batch. */
	while (batch != q->batch) {
		last = q->last[batch];
		seen += last >= batch ? last - batch + 1 : q->n_desc - batch + last + 1;
		if (from_clean < seen)
			return rte_le_to_cpu_32(q->ring[last].data.status) & E1000E_TXD_DD
				? RTE_ETH_TX_DESC_DONE
				: RTE_ETH_TX_DESC_FULL;
		batch = tx_next(q, last);
	}
	return RTE_ETH_TX_DESC_FULL;
}

int
e1000e_tx_done_cleanup(void *queue, uint32_t n)
{
	struct e1000e_txq *q = queue;
	uint32_t packets = 0, cmd;
	uint16_t at, freed;

	do {
		at = q->clean;
		freed = tx_clean_batch(q);
		for (; at != q->clean; at = tx_next(q, at)) {
			cmd = rte_le_to_cpu_32(q->ring[at].data.cmd);
			packets += (cmd & E1000E_TXD_DTYP_DATA) && (cmd & E1000E_TXD_EOP);
		}
	} while (freed > 0 && (n == 0 || packets < n));
	return packets;
}
