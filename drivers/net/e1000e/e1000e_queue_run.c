/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Start and stop of single queues while the port runs.
 *
 * The chip cannot stop one queue: RXDCTL and TXDCTL have no enable bit (10.2.5, 10.2.6), and
 * software may write the head of a ring only while RCTL.EN or TCTL.EN is clear. So a receive queue
 * is first left out of the redirection table, and a transmit queue is left to run empty. Then its
 * ring is exchanged while the whole direction pauses, for a few register writes.
 *
 * Frames without an RSS hash always go to receive queue 0 (7.1.11). Without buffers there, they
 * would block those of queue 1 in the packet buffer. Invariant: if receive queue 0 is stopped, all
 * are, and RCTL.EN is clear. Operations of ethdev, while no thread polls the queue.
 */

#include <errno.h>

#include <rte_cycles.h>

#include "e1000e.h"

/* A frame that is on its way to a ring arrives within this time, as in e1000e_hw_quiesce(). */
#define RX_SETTLE_US 1000
#define RX_SETTLE_STEP_US 50
#define RX_BURST 32

/*
 * Longer than a frame of 9 KB takes at 10 Mb/s, and than a pause frame stops 1 Gb/s. A step is one
 * system timer tick at least.
 */
#define TX_STALL_US 100000
#define TX_STEP_US 50

static bool
rx_is_started(const struct rte_eth_dev *eth, uint16_t id)
{
	return eth->data->rx_queue_state[id] == RTE_ETH_QUEUE_STATE_STARTED;
}

/* Exchange the ring of a receive queue; reception of the others pauses meanwhile. */
static void
rx_exchange_ring(struct rte_eth_dev *eth, uint16_t id)
{
	struct e1000e_port *port = eth->data->dev_private;
	const struct e1000e_rxq *q = eth->data->rx_queues[id];
	const struct e1000e_hw *hw = &port->hw;

	e1000e_write(hw, E1000E_RCTL, e1000e_read(hw, E1000E_RCTL) & ~E1000E_RCTL_EN);
	e1000e_read(hw, E1000E_STATUS); /* flushes the write */
	if (rx_is_started(eth, id)) {
		e1000e_rxq_program(hw, q);
	} else {
		e1000e_write(hw, E1000E_RDLEN(id), 0);
		e1000e_write(hw, E1000E_RDH(id), 0);
		e1000e_write(hw, E1000E_RDT(id), 0);
	}
	if (!rx_is_started(eth, 0)) {
		port->rctl &= ~E1000E_RCTL_EN;
		return;
	}
	port->rctl |= E1000E_RCTL_EN;
	e1000e_filters_apply(eth);
	if (rx_is_started(eth, id))
		e1000e_write(hw, E1000E_RDT(id), q->n_desc - 1);
}

/* Drop frames until none can be on its way. They were not delivered, so they are not counted. */
static void
rx_discard(struct e1000e_rxq *q)
{
	const uint64_t packets = q->packets, bytes = q->bytes;
	struct rte_mbuf *m[RX_BURST];
	unsigned int us;
	uint16_t n;

	for (us = 0; us < RX_SETTLE_US; us += RX_SETTLE_STEP_US) {
		/* Refills the ring as well: a frame may wait for a descriptor. */
		while ((n = e1000e_rx_burst_edited(q, m, RX_BURST)) > 0)
			rte_pktmbuf_free_bulk(m, n);
		rte_delay_us_block(RX_SETTLE_STEP_US);
	}
	q->packets = packets;
	q->bytes = bytes;
}

int
e1000e_rx_queue_start(struct rte_eth_dev *eth, uint16_t id)
{
	const struct e1000e_port *port = eth->data->dev_private;
	int rc;

	if (id != 0 && !rx_is_started(eth, 0))
		return E1000E_FAIL(EBUSY, port->hw.name,
			"receive queue 0 is stopped, and gets the frames without an RSS hash: "
			"start it before receive queue %u",
			id);
	rc = e1000e_rxq_fill(port, eth->data->rx_queues[id]);
	if (rc < 0)
		return rc;
	eth->data->rx_queue_state[id] = RTE_ETH_QUEUE_STATE_STARTED;
	rx_exchange_ring(eth, id);
	e1000e_rss_apply(eth);
	e1000e_share_queues(eth);
	return 0;
}

int
e1000e_rx_queue_stop(struct rte_eth_dev *eth, uint16_t id)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t i;

	for (i = 1; id == 0 && i < eth->data->nb_rx_queues; i++)
		if (rx_is_started(eth, i))
			return E1000E_FAIL(EBUSY, port->hw.name,
				"receive queue 0 gets the frames without an RSS hash: stop "
				"receive queue %u before it",
				i);
	eth->data->rx_queue_state[id] = RTE_ETH_QUEUE_STATE_STOPPED;
	e1000e_share_queues(eth);
	e1000e_rss_apply(eth);
	if (id == 0)
		e1000e_write(&port->hw, E1000E_RCTL,
			e1000e_read(&port->hw, E1000E_RCTL) & ~E1000E_RCTL_EN);
	e1000e_read(&port->hw, E1000E_STATUS); /* flushes the writes */
	rx_discard(eth->data->rx_queues[id]);
	rx_exchange_ring(eth, id);
	e1000e_rxq_close(eth->data->rx_queues[id]);
	return 0;
}

/* Exchange the ring of an empty transmit queue; the others pause after the packet under way. */
static void
tx_exchange_ring(const struct e1000e_hw *hw, struct e1000e_txq *q)
{
	uint32_t tctl = e1000e_read(hw, E1000E_TCTL);

	e1000e_write(hw, E1000E_TCTL, tctl & ~E1000E_TCTL_EN);
	e1000e_read(hw, E1000E_STATUS); /* flushes the write */
	e1000e_txq_program(hw, q);
	e1000e_write(hw, E1000E_TCTL, tctl);
}

/* Stop or start a transmit queue for secondary processes. */
static void
tx_share(const struct rte_eth_dev *eth, uint16_t id, uint8_t state)
{
	eth->data->tx_queue_state[id] = state;
	e1000e_share_queues(eth);
}

int
e1000e_tx_queue_start(struct rte_eth_dev *eth, uint16_t id)
{
	const struct e1000e_port *port = eth->data->dev_private;
	struct e1000e_txq *q = eth->data->tx_queues[id];

	/* A queue that was stopped goes on where it stopped: its head stays as it is. */
	if (!q->programmed)
		tx_exchange_ring(&port->hw, q);
	e1000e_txq_open(eth, q);
	tx_share(eth, id, RTE_ETH_QUEUE_STATE_STARTED);
	return 0;
}

/* Whether hardware has sent everything, and reported it. */
static bool
tx_is_empty(const struct e1000e_hw *hw, const struct e1000e_txq *q)
{
	return q->n_free == q->n_desc - 1 && e1000e_read(hw, E1000E_TDH(q->id)) == q->tail;
}

int
e1000e_tx_queue_stop(struct rte_eth_dev *eth, uint16_t id)
{
	const struct e1000e_port *port = eth->data->dev_private;
	struct e1000e_txq *q = eth->data->tx_queues[id];
	unsigned int stalled = 0;
	uint32_t head = 0, now;

	tx_share(eth, id, RTE_ETH_QUEUE_STATE_STOPPED);
	while (!tx_is_empty(&port->hw, q)) {
		now = e1000e_read(&port->hw, E1000E_TDH(id));
		if (e1000e_tx_done_cleanup(q, 0) > 0 || now != head)
			stalled = 0;
		else if ((stalled += TX_STEP_US) > TX_STALL_US) {
			tx_share(eth, id, RTE_ETH_QUEUE_STATE_STARTED);
			return E1000E_FAIL(EBUSY, port->hw.name,
				"transmit queue %u has packets that the chip does not send: "
				"check the link, or stop the port",
				id);
		}
		head = now;
		rte_delay_us_sleep(TX_STEP_US);
	}
	q->n_free = 0;
	return 0;
}
