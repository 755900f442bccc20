/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * TCP segmentation: the checks and descriptors of packets that the chip cuts into frames (7.3).
 *
 * The chip wants headers that an application has no reason to write: lengths of zero, and the sum
 * of a pseudo header without a length. So the driver copies the headers into memory of its own and
 * edits the copy. The packet's bytes are never written, and may be shared with others.
 *
 * Invariant: the bytes that descriptors give to the chip are exactly those that the context
 * announces, or it would wait for more. A context serves one packet only: the chip has one for both
 * queues.
 *
 * Part of the fast path; called by e1000e_tx.c.
 */

#include <netinet/in.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_tcp.h>

#include "e1000e.h"
#include "e1000e_tx.h"

/*
 * Bytes behind the headers in the buffer that has them. The 82571 to 82573 cannot do with a buffer
 * of nothing but headers, and Linux (e1000_xmit_frame()) lets none of their relatives see one.
 */
#define TSO_PULL 4
_Static_assert(E1000E_TSO_MAX_HDR + TSO_PULL <= E1000E_TSO_SLOT, "a slot has both");

static inline uint32_t
tso_hdr_len(const struct rte_mbuf *m)
{
	return m->l2_len + m->l3_len + m->l4_len;
}

/* @return the number of bytes that are copied */
static inline uint32_t
tso_copy_len(const struct rte_mbuf *m)
{
	return RTE_MIN(tso_hdr_len(m) + TSO_PULL, m->pkt_len);
}

/* @return true if the lengths of the headers and of the segments are in the chip's range */
static bool
tso_lengths_fit(const struct rte_mbuf *m)
{
	uint64_t ip = m->ol_flags & (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6);
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
	uint32_t hdr_len = tso_hdr_len(m);

	if (ip != RTE_MBUF_F_TX_IPV4 && ip != RTE_MBUF_F_TX_IPV6)
		return false;
	/* The flag for segmentation implies the one for the checksum. */
	if (l4 != 0 && l4 != RTE_MBUF_F_TX_TCP_CKSUM)
		return false;
	if (m->l2_len < RTE_ETHER_HDR_LEN || m->l4_len < sizeof(struct rte_tcp_hdr) ||
		m->l3_len < (ip == RTE_MBUF_F_TX_IPV4 ? sizeof(struct rte_ipv4_hdr)
						      : sizeof(struct rte_ipv6_hdr)))
		return false;
	return hdr_len <= E1000E_TSO_MAX_HDR && m->pkt_len > hdr_len &&
		m->pkt_len - hdr_len <= E1000E_TSO_MAX_PAYLEN &&
		m->tso_segsz >= E1000E_TSO_MIN_MSS && hdr_len + m->tso_segsz <= tx_max_len(m);
}

/* @return how many of the bytes at iova the next descriptor has */
static inline uint32_t
tso_desc_len(const struct e1000e_txq *q, rte_iova_t iova, uint32_t left)
{
	uint32_t len = RTE_MIN(left, (uint32_t)E1000E_MAX_TXD_LEN);

	if (q->split != 0)
		len = RTE_MIN(len, q->split - (uint32_t)(iova & (q->split - 1)));
	return len;
}

/* @return the number of descriptors for the bytes at iova */
static uint32_t
tso_descs(const struct e1000e_txq *q, rte_iova_t iova, uint32_t left)
{
	uint32_t n = 0, len;

	for (; left > 0; n++, iova += len, left -= len)
		len = tso_desc_len(q, iova, left);
	return n;
}

uint32_t
e1000e_tso_need(const struct e1000e_txq *q, const struct rte_mbuf *m)
{
	uint32_t need = 2, bytes = 0, total = m->pkt_len, skip;

	if (m->nb_segs > E1000E_MAX_TX_SEGS || !tso_lengths_fit(m))
		return E1000E_NEED_NEVER;
	skip = tso_copy_len(m);
	for (; m != NULL; m = m->next) {
		bytes += m->data_len;
		if (skip >= m->data_len) {
			skip -= m->data_len;
			continue;
		}
		need += tso_descs(q, rte_mbuf_data_iova(m) + skip, m->data_len - skip);
		skip = 0;
	}
	/* With fewer bytes than announced the chip would take the next packet for the rest. */
	return bytes == total && need < q->n_desc ? need : E1000E_NEED_NEVER;
}

/* The context (7.2): where headers and checksums are, and how to cut. */
static void
tso_fill_context(const struct rte_mbuf *m, union e1000e_tx_desc *desc)
{
	uint32_t l4 = m->l2_len + m->l3_len, hdr_len = tso_hdr_len(m);
	uint32_t cmd = E1000E_TXD_DEXT | E1000E_TXD_TSE | E1000E_TXD_CTX_TCP;

	*desc = (union e1000e_tx_desc){0};
	/* For IPv6, too: the chip computes the length of the packet from IPCSS. */
	desc->ctx.ipcss = m->l2_len;
	desc->ctx.ipcso = m->l2_len + offsetof(struct rte_ipv4_hdr, hdr_checksum);
	if (m->ol_flags & RTE_MBUF_F_TX_IPV4) {
		cmd |= E1000E_TXD_CTX_IPV4;
		desc->ctx.ipcse = rte_cpu_to_le_16(l4 - 1);
	}
	desc->ctx.tucss = l4;
	desc->ctx.tucso = l4 + offsetof(struct rte_tcp_hdr, cksum);
	desc->ctx.hdr_len = hdr_len;
	desc->ctx.mss = rte_cpu_to_le_16(m->tso_segsz);
	desc->ctx.cmd = rte_cpu_to_le_32(cmd | (m->pkt_len - hdr_len));
}

/*
 * Write what the chip expects into a copy of the headers (7.3; Linux, e1000_tso()): lengths and the
 * checksum of IP are zero, TCP has the sum of the pseudo header without a length.
 */
static void
tso_edit_headers(const struct rte_mbuf *m, uint8_t *hdr)
{
	uint8_t *l3 = hdr + m->l2_len, *l4 = l3 + m->l3_len;
	struct rte_ipv4_hdr ip4;
	struct rte_ipv6_hdr ip6;
	rte_be16_t sum;

	if (m->ol_flags & RTE_MBUF_F_TX_IPV4) {
		memcpy(&ip4, l3, sizeof(ip4));
		ip4.total_length = ip4.hdr_checksum = 0;
		sum = rte_ipv4_phdr_cksum(&ip4, RTE_MBUF_F_TX_TCP_SEG);
		memcpy(l3, &ip4, sizeof(ip4));
	} else {
		memcpy(&ip6, l3, sizeof(ip6));
		ip6.payload_len = 0;
		memcpy(l3, &ip6, sizeof(ip6));
		/* With extension headers it names the first of them. */
		ip6.proto = IPPROTO_TCP;
		sum = rte_ipv6_phdr_cksum(&ip6, RTE_MBUF_F_TX_TCP_SEG);
	}
	memcpy(l4 + offsetof(struct rte_tcp_hdr, cksum), &sum, sizeof(sum));
}

/* Copy the headers, and a few bytes behind them. @return where the copy is for the chip */
static rte_iova_t
tso_copy_headers(const struct e1000e_txq *q, uint16_t at, const struct rte_mbuf *m)
{
	uint32_t slot = at / 2 * E1000E_TSO_SLOT, len = tso_copy_len(m);
	uint8_t *copy = q->headers + slot;
	const void *bytes;

	bytes = rte_pktmbuf_read(m, 0, len, copy);
	if (bytes != copy)
		memcpy(copy, bytes, len);
	tso_edit_headers(m, copy);
	return q->headers_iova + slot;
}

/* Count the frames that a packet becomes; the burst counts it as one. */
static void
tso_count(struct e1000e_txq *q, const struct rte_mbuf *m)
{
	uint32_t hdr_len = tso_hdr_len(m), more = (m->pkt_len - hdr_len - 1) / m->tso_segsz;

	q->packets += more;
	q->bytes += (uint64_t)more * hdr_len;
}

/* Write a segment without its first bytes. @return the last descriptor, which owns the mbuf */
static uint16_t
tso_put_segment(struct e1000e_txq *q, uint16_t at, struct rte_mbuf *m, uint32_t skip, uint32_t cmd,
	uint32_t status)
{
	rte_iova_t iova = rte_mbuf_data_iova(m) + skip;
	uint32_t left = m->data_len - skip, len;

	while ((len = tso_desc_len(q, iova, left)) < left) {
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

uint16_t
e1000e_tso_put(struct e1000e_txq *q, struct rte_mbuf *m)
{
	uint32_t cmd = tx_data_cmd(m) | E1000E_TXD_TSE;
	uint32_t status = tx_data_status(m) | E1000E_TXD_TXSM, skip = tso_copy_len(m);
	union e1000e_tx_desc ctx;
	struct rte_mbuf *next;
	uint16_t last;

	if (m->ol_flags & RTE_MBUF_F_TX_IPV4)
		status |= E1000E_TXD_IXSM;
	tso_count(q, m);
	tso_fill_context(m, &ctx);
	last = tx_put_ctx(q, q->tail, &ctx);
	q->ctx_key = 0; /* the chip forgets the context for checksums */
	tx_put_desc(q, last, tso_copy_headers(q, last, m), skip, cmd, status);
	q->sw[last] = NULL;
	for (; m != NULL; m = next) {
		next = m->next;
		/* See tx_put_chain(). */
		if (q->fast_free) {
			m->next = NULL;
			m->nb_segs = 1;
		}
		if (m->data_len <= skip) {
			skip -= m->data_len;
			rte_pktmbuf_free_seg(m); /* empty, or copied */
			continue;
		}
		last = tso_put_segment(q, tx_next(q, last), m, skip, cmd, status);
		skip = 0;
	}
	return last;
}
