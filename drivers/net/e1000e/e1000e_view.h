/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Queues as a secondary process has them, private to that process, and the operations on them. They
 * do nothing while a queue is not open. One thread at a time for each queue, over all processes;
 * e1000e_view_tx_prepare() may be another one's.
 */

#ifndef E1000E_VIEW_H
#define E1000E_VIEW_H

#include "e1000e.h"

/** A receive queue. */
struct e1000e_view_rxq {
	struct e1000e_rxq *q; /**< shared with the primary; used only while it is open */
	eth_rx_burst_t burst; /**< the port's */
	uint32_t open; /**< rings and BAR are mapped, and the queue is started; atomic */
	uint32_t busy; /**< an operation runs; atomic */
} __rte_cache_aligned;

/** A transmit queue. */
struct e1000e_view_txq {
	struct e1000e_txq *q; /**< @see struct e1000e_view_rxq */
	uint32_t open;
	uint32_t busy;
	uint32_t preparing; /**< e1000e_view_tx_prepare() runs; atomic */
} __rte_cache_aligned;

/** @name e1000e_view_rxtx.c */
/**@{*/
uint16_t e1000e_view_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
gantry_eth_count_t e1000e_view_rx_queue_count(void *queue);
int e1000e_view_rx_descriptor_status(void *queue, uint16_t offset);
uint16_t e1000e_view_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n);
/** Passes all packets while the queue is not open: a burst then takes none. */
uint16_t e1000e_view_tx_prepare(void *queue, struct rte_mbuf **pkts, uint16_t n);
int e1000e_view_tx_descriptor_status(void *queue, uint16_t offset);
int e1000e_view_tx_done_cleanup(void *queue, uint32_t n);
/**@}*/

#endif /* E1000E_VIEW_H */
