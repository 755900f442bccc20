/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Counters. The driver counts frames and bytes; the kernel counts what was lost, for each socket.
 *
 * Counts of the kernel are cumulative over the sockets of a queue: q->past holds those of closed
 * ones. Called by ethdev's statistics operations, and by af_xdp_queue.c when a socket is closed.
 */

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <rte_common.h>
#include <rte_eal.h>

#include "af_xdp.h"

#ifndef SOL_XDP
#define SOL_XDP 283
#endif

/* In the order of struct xdp_statistics (include/uapi/linux/if_xdp.h). */
enum {
	RX_DROPPED,
	RX_INVALID_DESCS,
	TX_INVALID_DESCS,
	RX_RING_FULL,
	FILL_RING_EMPTY,
	TX_RING_EMPTY,
};
_Static_assert(sizeof(struct xdp_statistics) == sizeof(struct af_xdp_kstats),
	"struct xdp_statistics has changed");

/*
 * The extended statistics of a queue: a counter of the kernel, or at an offset in struct
 * af_xdp_queue.
 */
static const struct {
	const char *name;
	int kernel; /* index, or -1 */
	size_t offset;
} counters[] = {
	{"rx_q%u_dropped", RX_DROPPED, 0},
	{"rx_q%u_ring_full", RX_RING_FULL, 0},
	{"rx_q%u_fill_ring_empty", FILL_RING_EMPTY, 0},
	{"rx_q%u_invalid_descs", RX_INVALID_DESCS, 0},
	{"rx_q%u_system_calls", -1, offsetof(struct af_xdp_queue, rx.calls)},
	{"tx_q%u_invalid_descs", TX_INVALID_DESCS, 0},
	{"tx_q%u_ring_empty", TX_RING_EMPTY, 0},
	{"tx_q%u_system_calls", -1, offsetof(struct af_xdp_queue, tx.calls)},
	{"tx_q%u_copies", -1, offsetof(struct af_xdp_queue, tx.copies)},
};

static void
kstats_read(const struct af_xdp_queue *q, struct af_xdp_kstats *k)
{
	socklen_t len = sizeof(*k);

	/* A socket is open in the primary process only. */
	if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
		*k = q->now;
		return;
	}
	/* A kernel before 5.9 writes only the first three. */
	memset(k, 0, sizeof(*k));
	if (q->xsk != NULL)
		getsockopt(q->rx.fd, SOL_XDP, XDP_STATISTICS, k, &len);
}

static void
kstats_total(const struct af_xdp_queue *q, struct af_xdp_kstats *k)
{
	unsigned int i;

	kstats_read(q, k);
	for (i = 0; i < AF_XDP_N_KSTATS; i++)
		k->count[i] += q->past.count[i];
}

void
af_xdp_stats_save(struct af_xdp_queue *q)
{
	struct af_xdp_kstats k;

	kstats_total(q, &k);
	q->past = k;
}

/* Publish the kernel's counters for secondary processes. Primary process only. */
static int
kstats_publish(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;
	unsigned int i;

	for (i = 0; i < port->args.n_queues; i++)
		kstats_read(&port->queue[i], &port->queue[i].now);
	return 0;
}

struct gantry_secondary af_xdp_secondary = {
	.name = "net_gantry_af_xdp",
	.logtype = &af_xdp_logtype,
	.refresh = kstats_publish,
	.attach = af_xdp_share_attach,
};

/* In a secondary process: have the primary publish the kernel's counters. */
static int
kstats_refresh(const struct rte_eth_dev *eth)
{
	return rte_eal_process_type() == RTE_PROC_PRIMARY
		? 0
		: gantry_secondary_refresh(&af_xdp_secondary, eth);
}

int
af_xdp_stats_get(
	struct rte_eth_dev *eth, struct rte_eth_stats *stats, struct eth_queue_stats *queues)
{
	const struct af_xdp_port *port = eth->data->dev_private;
	struct af_xdp_kstats k;
	unsigned int i;
	int rc = kstats_refresh(eth);

	if (rc < 0)
		return rc;
	for (i = 0; i < port->args.n_queues; i++) {
		const struct af_xdp_queue *q = &port->queue[i];

		kstats_total(q, &k);
		stats->ipackets += q->rx.packets;
		stats->ibytes += q->rx.bytes;
		stats->opackets += q->tx.packets;
		stats->obytes += q->tx.bytes;
		stats->oerrors += q->tx.errors + k.count[TX_INVALID_DESCS];
		stats->imissed += k.count[RX_DROPPED] + k.count[RX_RING_FULL];
		stats->rx_nombuf += q->rx.no_mbuf;
		gantry_eth_queue_rx(queues, i, q->rx.packets, q->rx.bytes);
		gantry_eth_queue_tx(queues, i, q->tx.packets, q->tx.bytes);
	}
	return 0;
}

int
af_xdp_stats_reset(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;
	unsigned int i, j;
	int rc = kstats_refresh(eth);

	if (rc < 0)
		return rc;
	for (i = 0; i < port->args.n_queues; i++) {
		struct af_xdp_queue *q = &port->queue[i];

		q->rx.packets = q->rx.bytes = q->rx.calls = q->rx.no_mbuf = 0;
		q->tx.packets = q->tx.bytes = q->tx.calls = q->tx.copies = q->tx.errors = 0;
		/*
		 * The kernel's counters cannot be reset: subtract their current values from now on.
		 */
		kstats_read(q, &q->past);
		for (j = 0; j < AF_XDP_N_KSTATS; j++)
			q->past.count[j] = -q->past.count[j];
	}
	return 0;
}

int
af_xdp_xstats_get_names(struct rte_eth_dev *eth, struct rte_eth_xstat_name *names, unsigned int n)
{
	const struct af_xdp_port *port = eth->data->dev_private;
	unsigned int i, all = port->args.n_queues * RTE_DIM(counters);

	for (i = 0; names != NULL && n >= all && i < all; i++)
		snprintf(names[i].name, sizeof(names[i].name), counters[i % RTE_DIM(counters)].name,
			i / (unsigned int)RTE_DIM(counters));
	return all;
}

int
af_xdp_xstats_get(struct rte_eth_dev *eth, struct rte_eth_xstat *xstats, unsigned int n)
{
	const struct af_xdp_port *port = eth->data->dev_private;
	unsigned int i, j, all = port->args.n_queues * RTE_DIM(counters);
	struct af_xdp_kstats k;
	int rc;

	if (xstats == NULL || n < all)
		return all;
	rc = kstats_refresh(eth);
	if (rc < 0)
		return rc;
	for (i = 0; i < port->args.n_queues; i++) {
		const struct af_xdp_queue *q = &port->queue[i];

		kstats_total(q, &k);
		for (j = 0; j < RTE_DIM(counters); j++, xstats++) {
			xstats->id = i * RTE_DIM(counters) + j;
			xstats->value = counters[j].kernel >= 0
				? k.count[counters[j].kernel]
				: *(const uint64_t *)RTE_PTR_ADD(q, counters[j].offset);
		}
	}
	return all;
}
