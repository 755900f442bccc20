/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Transmit bursts, and the state of transmit descriptors.
 *
 * Fast path: no lock, no system call, no register read, no allocation. One write of the tail serves
 * many packets, and so does one write-back (RS). Called by ethdev, by one thread at a time for each
 * queue.
 *
 * What an ordinary packet does not need is out of line (__rte_noinline): inlined, it costs the
 * burst's loop registers.
 */

#include <errno.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_mempool.h>
#include <rte_net.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "e1000e.h"
#include "e1000e_tx.h"

/* mbufs that are freed to their pool in one go */
#define FREE_BULK 64

/* A key for the checksum offload: l2_len in bits 6:0, l3_len in 15:7, then flags. */
#define KEY_L3_SHIFT 7
#define KEY_IP RTE_BIT32(16)
#define KEY_TCP RTE_BIT32(17)
#define KEY_UDP RTE_BIT32(18)
#define KEY_IPV4 RTE_BIT32(19)
/* The key of all packets that are segmented; e1000e_tso.c writes their contexts. */
#define KEY_TSO RTE_BIT32(20)

/* A cleanup waits so long for the report that it requested, in steps of 1 us. */
#define REPORT_WAIT_US 10

#define TX_UNSUPPORTED                                                                             \
	(RTE_MBUF_F_TX_OFFLOAD_MASK &                                                              \
		~(RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IPV4 |            \
			RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_VLAN | RTE_MBUF_F_TX_TCP_SEG))

static __rte_always_inline uint32_t
tx_ctx_key(const struct rte_mbuf *m)
{
	uint64_t flags = m->ol_flags, l4 = flags & RTE_MBUF_F_TX_L4_MASK;
	uint32_t key;

	if (!(flags & (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG)) &&
		l4 != RTE_MBUF_F_TX_TCP_CKSUM && l4 != RTE_MBUF_F_TX_UDP_CKSUM)
		return 0;
	if (flags & RTE_MBUF_F_TX_TCP_SEG)
		return KEY_TSO;
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

/*
 * @return true if the offsets of a context descriptor, of eight bits, reach the L4 checksum; false
 * if the packet is segmented, too
 */
static inline bool
tx_key_fits(uint32_t key)
{
	uint32_t l4 = (key & 0x7F) + ((key >> KEY_L3_SHIFT) & 0x1FF);

	if (key & KEY_TSO)
		return false;
	if (key & KEY_TCP)
		return l4 + offsetof(struct rte_tcp_hdr, cksum) <= UINT8_MAX;
	return !(key & KEY_UDP) || l4 + offsetof(struct rte_udp_hdr, dgram_cksum) <= UINT8_MAX;
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

/* @return the number of descriptors of the oldest batch if it is done; 0: it is not */
static inline uint16_t
tx_batch_done(const struct e1000e_txq *q)
{
	uint16_t last;

	if (q->clean == q->batch)
		return 0;
	last = q->last[q->clean];
	if (!(rte_le_to_cpu_32(q->ring[last].data.status) & E1000E_TXD_DD))
		return 0;
	return last >= q->clean ? last - q->clean + 1 : q->n_desc - q->clean + last + 1;
}

/* Free the buffers of the oldest n descriptors, which are done. */
static inline void
tx_clean(struct e1000e_txq *q, uint16_t n)
{
	uint16_t first_part = RTE_MIN(n, q->n_desc - q->clean);

	tx_free_range(q, q->clean, first_part);
	if (n > first_part)
		tx_free_range(q, 0, n - first_part);
	q->clean = q->clean + n >= q->n_desc ? q->clean + n - q->n_desc : q->clean + n;
	q->n_free += n;
}

/* Free the oldest batch if it is done. @return its number of descriptors; 0: not done. */
static __rte_noinline uint16_t
tx_clean_batch(struct e1000e_txq *q)
{
	uint16_t n = tx_batch_done(q);

	if (n > 0)
		tx_clean(q, n);
	return n;
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
	q->ctx_key = q->ctx_reuse ? key : 0;
	return tx_put_ctx(q, q->tail, &ctx);
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
static __rte_noinline uint16_t
tx_splits(const struct e1000e_txq *q, const struct rte_mbuf *m)
{
	uint32_t n = 0;

	for (; m != NULL; m = m->next)
		if (m->data_len > 0)
			n += ((rte_mbuf_data_iova(m) & (q->split - 1)) + m->data_len - 1) /
				q->split;
	return RTE_MIN(n, (uint32_t)E1000E_MAX_DESC);
}

/*
 * Write the descriptors of all segments with bytes, of which there is one. @return the last
 * descriptor
 */
static __rte_noinline uint16_t
tx_put_chain(struct e1000e_txq *q, uint16_t at, struct rte_mbuf *m, uint32_t cmd, uint32_t status)
{
	uint16_t last = at;
	struct rte_mbuf *next;

	for (; m != NULL; m = next) {
		next = m->next;
		/*
		 * Other owners may read the chain, so the last one takes it apart, in
		 * rte_pktmbuf_prefree_seg(). With fast free there are none, and
		 * tx_free_fast() does not look into mbufs.
		 */
		if (q->fast_free) {
			m->next = NULL;
			m->nb_segs = 1;
		}
		if (unlikely(m->data_len == 0)) {
			rte_pktmbuf_free_seg(m);
			continue;
		}
		last = tx_put_split(q, at, m, cmd, status);
		at = tx_next(q, last);
	}
	return last;
}

/* Append zeros to a packet, from the port's own memory. @return the last descriptor */
static uint16_t
tx_put_padding(struct e1000e_txq *q, uint16_t last, uint32_t len, uint32_t cmd, uint32_t status)
{
	uint16_t at = tx_next(q, last);

	tx_put_desc(q, at, q->zeros, len, cmd, status);
	q->sw[at] = NULL;
	return at;
}

/*
 * End the incomplete batch with a descriptor that transfers nothing, so that hardware reports its
 * packets. One descriptor is free. Legacy format: of length zero, between packets, with EOP; if RS
 * is set hardware writes DD (7.2).
 */
static __rte_noinline void
tx_put_report(struct e1000e_txq *q)
{
	uint16_t at = q->tail;

	tx_put_desc(q, at, 0, 0, E1000E_TXD_EOP, 0);
	q->sw[at] = NULL;
	q->tail = tx_next(q, at);
	q->n_free--;
	tx_close_batch(q, at);
}

/* Move the tail behind a packet, whose last descriptor is `at`. */
static inline void
tx_end_packet(struct e1000e_txq *q, uint16_t at)
{
	uint16_t used = at >= q->tail ? at - q->tail + 1 : q->n_desc - q->tail + at + 1;

	q->tail = tx_next(q, at);
	q->n_free -= used;
	q->in_batch += used;
	if (q->in_batch >= q->rs_thresh)
		tx_close_batch(q, at);
}

/* As tx_put_packet(), for a packet that the chip segments. */
static __rte_noinline void
tx_put_tso(struct e1000e_txq *q, struct rte_mbuf *m)
{
	uint16_t at = e1000e_tso_put(q, m);

	q->ring[at].data.cmd |= rte_cpu_to_le_32(E1000E_TXD_EOP);
	tx_end_packet(q, at);
}

/* Write a packet's descriptors, after their number was checked. */
static inline void
tx_put_packet(struct e1000e_txq *q, struct rte_mbuf *m, uint32_t key)
{
	uint32_t cmd = tx_data_cmd(m), status = tx_data_status(m);
	uint32_t len = m->pkt_len;
	uint16_t at = q->tail;

	if (key != 0) {
		at = tx_put_context(q, key);
		status |= key & KEY_IP ? E1000E_TXD_IXSM : 0;
		status |= key & (KEY_TCP | KEY_UDP) ? E1000E_TXD_TXSM : 0;
	}
	if (likely(m->nb_segs == 1 && q->split == 0 && len >= E1000E_MIN_TX_LEN)) {
		tx_put_segment(q, at, m, cmd | E1000E_TXD_EOP, status);
	} else {
		at = tx_put_chain(q, at, m, cmd, status);
		if (unlikely(len < E1000E_MIN_TX_LEN))
			at = tx_put_padding(q, at, E1000E_MIN_TX_LEN - len, cmd, status);
		q->ring[at].data.cmd |= rte_cpu_to_le_32(E1000E_TXD_EOP);
	}
	tx_end_packet(q, at);
}

/*
 * @param loaded  the key that needs no context descriptor.
 * @return the number of descriptors for a packet's segments and context
 */
static inline uint32_t
tx_need(const struct e1000e_txq *q, const struct rte_mbuf *m, uint32_t key, uint32_t loaded)
{
	uint32_t need = m->nb_segs;

	if (key != 0 && key != loaded)
		need += likely(tx_key_fits(key)) ? 1 : E1000E_NEED_NEVER;
	if (unlikely(q->split != 0))
		need += tx_splits(q, m);
	return need;
}

/* @return true if a packet is out of the ordinary, and tx_need_odd() has to be asked */
static inline bool
tx_is_odd(const struct e1000e_txq *q, const struct rte_mbuf *m, uint32_t need)
{
	return need > q->max_need || m->data_len == 0 ||
		m->pkt_len - E1000E_MIN_TX_LEN > E1000E_MAX_TX_LEN_TAGGED - E1000E_MIN_TX_LEN;
}

static bool
tx_has_bytes(const struct rte_mbuf *m)
{
	while (m != NULL && m->data_len == 0)
		m = m->next;
	return m != NULL;
}

/* @return the number of descriptors for such a packet; E1000E_NEED_NEVER: the chip cannot send it
 */
static __rte_noinline uint32_t
tx_need_odd(const struct e1000e_txq *q, const struct rte_mbuf *m, uint32_t need)
{
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
		return e1000e_tso_need(q, m);
	if (m->nb_segs > E1000E_MAX_TX_SEGS || m->pkt_len < RTE_ETHER_HDR_LEN ||
		m->pkt_len > tx_max_len(m) || !tx_has_bytes(m))
		return E1000E_NEED_NEVER;
	if (m->pkt_len < E1000E_MIN_TX_LEN)
		need++;
	return need < q->n_desc ? need : E1000E_NEED_NEVER;
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
		uint32_t need = tx_need(q, m, key, q->ctx_key);

		if (i + 1 < n)
			rte_prefetch0(pkts[i + 1]);
		if (unlikely(tx_is_odd(q, m, need))) {
			need = tx_need_odd(q, m, need);
			if (need >= E1000E_NEED_NEVER) {
				/* Consume the packet: the caller would only retry it. */
				dropped++;
				rte_pktmbuf_free(m);
				continue;
			}
		}
		while (unlikely(need > q->n_free) && tx_clean_batch(q) > 0)
			;
		if (unlikely(need > q->n_free)) {
			/*
			 * Without a batch under way, no report would ever free a descriptor. A
			 * stopped queue has no packets.
			 */
			if (q->clean == q->batch && q->in_batch > 0)
				tx_put_report(q);
			break;
		}
		bytes += m->pkt_len;
		if (unlikely(key & KEY_TSO))
			tx_put_tso(q, m);
		else
			tx_put_packet(q, m, key);
	}
	if (q->tail != tail)
		rte_write32(q->tail, e1000e_bar[q->port_id] + q->tail_reg);
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
		/* Packets of other bursts may come between: count the context. */
		uint32_t need = tx_need(q, m, tx_ctx_key(m), 0);

		if (tx_is_odd(q, m, need) && tx_need_odd(q, m, need) >= E1000E_NEED_NEVER) {
			rte_errno = EINVAL;
			break;
		}
		if (m->ol_flags & TX_UNSUPPORTED ||
			(m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_SCTP_CKSUM) {
			rte_errno = ENOTSUP;
			break;
		}
		/* A burst copies the headers of such a packet, and edits the copy. */
		if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
			continue;
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

/* Free up to max packets of batches that are done. @return how many */
static uint32_t
tx_free_packets(struct e1000e_txq *q, uint32_t max)
{
	uint16_t n, in_batch, at, last;
	uint32_t packets = 0, cmd;

	while (packets < max && (in_batch = tx_batch_done(q)) > 0) {
		last = q->last[q->clean];
		at = q->clean;
		for (n = 0; n < in_batch && packets < max; n++, at = tx_next(q, at)) {
			cmd = rte_le_to_cpu_32(q->ring[at].data.cmd);
			packets += (cmd & E1000E_TXD_DTYP_DATA) && (cmd & E1000E_TXD_EOP);
		}
		tx_clean(q, n);
		if (n < in_batch)
			q->last[q->clean] = last; /* what is left is a batch of its own */
	}
	return packets;
}

int
e1000e_tx_done_cleanup(void *queue, uint32_t n)
{
	uint32_t max = n == 0 ? INT32_MAX : RTE_MIN(n, (uint32_t)INT32_MAX), packets;
	struct e1000e_txq *q = queue;
	unsigned int i;
	uint16_t at;

	packets = tx_free_packets(q, max);
	if (packets == max || q->in_batch == 0 || q->n_free == 0)
		return packets;
	/* Packets of the incomplete batch may have been sent, too: have hardware report them. */
	at = q->tail;
	tx_put_report(q);
	rte_write32(q->tail, e1000e_bar[q->port_id] + q->tail_reg);
	for (i = 0; i < REPORT_WAIT_US; i++) {
		if (rte_le_to_cpu_32(q->ring[at].data.status) & E1000E_TXD_DD)
			break;
		rte_delay_us_block(1);
	}
	return packets + tx_free_packets(q, max - packets);
}
