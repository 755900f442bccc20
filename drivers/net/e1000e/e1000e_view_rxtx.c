/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The fast path of a secondary process: that of the primary, on queues that the primary can take
 * away at any time.
 *
 * No lock, no system call. An operation marks its queue busy before it looks whether the queue is
 * open, and whoever closes the queue waits for the mark afterwards. Only the compiler is kept from
 * changing that order; the thread that closes the queue makes the processor keep it, by
 * membarrier(2). Called by ethdev.
 */

#include "e1000e.h"
#include "e1000e_view.h"

static inline bool
view_enter(const uint32_t *open, uint32_t *busy)
{
	__atomic_store_n(busy, 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return likely(__atomic_load_n(open, __ATOMIC_ACQUIRE));
}

static inline void
view_leave(uint32_t *busy)
{
	__atomic_store_n(busy, 0, __ATOMIC_RELEASE);
}

uint16_t
e1000e_view_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct e1000e_view_rxq *v = queue;

	n = view_enter(&v->open, &v->busy) ? v->burst(v->q, pkts, n) : 0;
	view_leave(&v->busy);
	return n;
}

gantry_eth_count_t
e1000e_view_rx_queue_count(void *queue)
{
	struct e1000e_view_rxq *v = queue;
	gantry_eth_count_t n;

	n = view_enter(&v->open, &v->busy) ? e1000e_rx_queue_count(v->q) : 0;
	view_leave(&v->busy);
	return n;
}

int
e1000e_view_rx_descriptor_status(void *queue, uint16_t offset)
{
	struct e1000e_view_rxq *v = queue;
	int status;

	status = view_enter(&v->open, &v->busy) ? e1000e_rx_descriptor_status(v->q, offset)
						: RTE_ETH_RX_DESC_UNAVAIL;
	view_leave(&v->busy);
	return status;
}

uint16_t
e1000e_view_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct e1000e_view_txq *v = queue;

	n = view_enter(&v->open, &v->busy) ? e1000e_tx_burst(v->q, pkts, n) : 0;
	view_leave(&v->busy);
	return n;
}

uint16_t
e1000e_view_tx_prepare(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct e1000e_view_txq *v = queue;

	if (view_enter(&v->open, &v->preparing))
		n = e1000e_tx_prepare(v->q, pkts, n);
	view_leave(&v->preparing);
	return n;
}

int
e1000e_view_tx_descriptor_status(void *queue, uint16_t offset)
{
	struct e1000e_view_txq *v = queue;
	int status;

	status = view_enter(&v->open, &v->busy) ? e1000e_tx_descriptor_status(v->q, offset)
						: RTE_ETH_TX_DESC_UNAVAIL;
	view_leave(&v->busy);
	return status;
}

int
e1000e_view_tx_done_cleanup(void *queue, uint32_t n)
{
	struct e1000e_view_txq *v = queue;
	int freed;

	freed = view_enter(&v->open, &v->busy) ? e1000e_tx_done_cleanup(v->q, n) : 0;
	view_leave(&v->busy);
	return freed;
}
