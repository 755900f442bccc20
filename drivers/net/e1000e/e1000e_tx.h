/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Descriptors of a transmit ring, as e1000e_tx.c and e1000e_tso.c write them: for the fast path, so
 * everything is inline.
 *
 * Whoever writes a data descriptor also sets q->sw of it: to the mbuf that it owns, or NULL.
 */

#ifndef E1000E_TX_H
#define E1000E_TX_H

#include "e1000e.h"

/** The number of descriptors of a packet that the chip cannot send. */
#define E1000E_NEED_NEVER RTE_BIT32(20)

/** Bytes of the longest frame; the chip adds the FCS, and the tag if it inserts one. */
#define E1000E_MAX_TX_LEN (E1000E_MAX_FRAME - RTE_ETHER_CRC_LEN)
#define E1000E_MAX_TX_LEN_TAGGED (E1000E_MAX_TX_LEN - RTE_VLAN_HLEN)

/** @return the bytes of the longest frame with this packet's offloads */
static inline uint32_t
tx_max_len(const struct rte_mbuf *m)
{
	return m->ol_flags & RTE_MBUF_F_TX_VLAN ? E1000E_MAX_TX_LEN_TAGGED : E1000E_MAX_TX_LEN;
}

static inline uint16_t
tx_next(const struct e1000e_txq *q, uint16_t at)
{
	return ++at == q->n_desc ? 0 : at;
}

/** @return the commands of a packet's data descriptors */
static inline uint32_t
tx_data_cmd(const struct rte_mbuf *m)
{
	return E1000E_TXD_DEXT | E1000E_TXD_DTYP_DATA | E1000E_TXD_IFCS |
		(m->ol_flags & RTE_MBUF_F_TX_VLAN ? E1000E_TXD_VLE : 0);
}

/** @return their status word: the tag that the chip inserts */
static inline uint32_t
tx_data_status(const struct rte_mbuf *m)
{
	return m->ol_flags & RTE_MBUF_F_TX_VLAN ? E1000E_TXD_VLAN(m->vlan_tci) : 0;
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

/** Write a context descriptor. @return the next descriptor */
static inline uint16_t
tx_put_ctx(struct e1000e_txq *q, uint16_t at, const union e1000e_tx_desc *ctx)
{
	q->ring[at].data.addr = ctx->data.addr;
	q->ring[at].data.cmd = ctx->data.cmd;
	q->ring[at].data.status = ctx->data.status;
	q->sw[at] = NULL;
	return tx_next(q, at);
}

#endif /* E1000E_TX_H */
