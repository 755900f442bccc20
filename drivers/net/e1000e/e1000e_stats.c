/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Counters. The queues count packets and bytes, without the FCS; the chip counts everything else
 * (10.2.7).
 *
 * Reading a register clears it, so every read is added to port->stats, under its lock. Called by
 * ethdev's statistics operations, and by e1000e_ethdev.c at start and stop.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_eal.h>

#include "e1000e.h"

/* A counter of the chip. A wide one has its high half at reg + 4; reading that clears both. */
struct counter {
	const char *name;
	uint16_t reg;
	bool wide;
	/* the basic statistic that includes it */
	enum { COUNT_ONLY, COUNT_MISSED, COUNT_RX_ERROR, COUNT_TX_ERROR } part_of;
};

static const struct counter counters[] = {
	{"rx_crc_errors", 0x4000, false, COUNT_RX_ERROR},
	{"rx_alignment_errors", 0x4004, false, COUNT_RX_ERROR},
	{"rx_phy_errors", 0x400C, false, COUNT_RX_ERROR},
	{"rx_missed_packets", 0x4010, false, COUNT_MISSED},
	{"tx_single_collision_packets", 0x4014, false, COUNT_ONLY},
	{"tx_excessive_collision_packets", 0x4018, false, COUNT_TX_ERROR},
	{"tx_multiple_collision_packets", 0x401C, false, COUNT_ONLY},
	{"tx_late_collisions", 0x4020, false, COUNT_TX_ERROR},
	{"tx_total_collisions", 0x4028, false, COUNT_ONLY},
	{"tx_deferred_packets", 0x4030, false, COUNT_ONLY},
	{"tx_no_carrier_sense_packets", 0x4034, false, COUNT_ONLY},
	{"rx_carrier_ext_errors", 0x403C, false, COUNT_RX_ERROR},
	/* counts those of 0x40A4 to 0x40B0 again */
	{"rx_length_errors", 0x4040, false, COUNT_ONLY},
	{"rx_xon_packets", 0x4048, false, COUNT_ONLY},
	{"tx_xon_packets", 0x404C, false, COUNT_ONLY},
	{"rx_xoff_packets", 0x4050, false, COUNT_ONLY},
	{"tx_xoff_packets", 0x4054, false, COUNT_ONLY},
	{"rx_flow_control_unsupported_packets", 0x4058, false, COUNT_ONLY},
	{"rx_size_64_packets", 0x405C, false, COUNT_ONLY},
	{"rx_size_65_to_127_packets", 0x4060, false, COUNT_ONLY},
	{"rx_size_128_to_255_packets", 0x4064, false, COUNT_ONLY},
	{"rx_size_256_to_511_packets", 0x4068, false, COUNT_ONLY},
	{"rx_size_512_to_1023_packets", 0x406C, false, COUNT_ONLY},
	{"rx_size_1024_to_max_packets", 0x4070, false, COUNT_ONLY},
	{"rx_hw_good_packets", 0x4074, false, COUNT_ONLY},
	{"rx_broadcast_packets", 0x4078, false, COUNT_ONLY},
	{"rx_multicast_packets", 0x407C, false, COUNT_ONLY},
	{"tx_hw_good_packets", 0x4080, false, COUNT_ONLY},
	{"rx_hw_good_octets", 0x4088, true, COUNT_ONLY},
	{"tx_hw_good_octets", 0x4090, true, COUNT_ONLY},
	{"rx_no_buffer_events", 0x40A0, false, COUNT_ONLY},
	{"rx_undersize_packets", 0x40A4, false, COUNT_RX_ERROR},
	{"rx_fragment_packets", 0x40A8, false, COUNT_RX_ERROR},
	{"rx_oversize_packets", 0x40AC, false, COUNT_RX_ERROR},
	/* have a bad CRC, so rx_crc_errors counts them, too */
	{"rx_jabber_packets", 0x40B0, false, COUNT_ONLY},
	{"rx_total_octets", 0x40C0, true, COUNT_ONLY},
	{"tx_total_octets", 0x40C8, true, COUNT_ONLY},
	{"rx_total_packets", 0x40D0, false, COUNT_ONLY},
	{"tx_total_packets", 0x40D4, false, COUNT_ONLY},
	{"tx_size_64_packets", 0x40D8, false, COUNT_ONLY},
	{"tx_size_65_to_127_packets", 0x40DC, false, COUNT_ONLY},
	{"tx_size_128_to_255_packets", 0x40E0, false, COUNT_ONLY},
	{"tx_size_256_to_511_packets", 0x40E4, false, COUNT_ONLY},
	{"tx_size_512_to_1023_packets", 0x40E8, false, COUNT_ONLY},
	{"tx_size_1024_to_max_packets", 0x40EC, false, COUNT_ONLY},
	{"tx_multicast_packets", 0x40F0, false, COUNT_ONLY},
	{"tx_broadcast_packets", 0x40F4, false, COUNT_ONLY},
	/* packets that were segmented, and those whose segmentation failed */
	{"tx_tso_packets", 0x40F8, false, COUNT_ONLY},
	{"tx_tso_errors", 0x40FC, false, COUNT_ONLY},
	{"interrupts", 0x4100, false, COUNT_ONLY},
};
_Static_assert(RTE_DIM(counters) == E1000E_N_COUNTERS, "one sum for each counter");

static void
counters_read(const struct e1000e_hw *hw, struct e1000e_stats *stats)
{
	unsigned int i;
	uint64_t value;

	if (e1000e_hw_gone(hw))
		return;
	for (i = 0; i < RTE_DIM(counters); i++) {
		value = e1000e_read(hw, counters[i].reg);
		if (counters[i].wide)
			value |= (uint64_t)e1000e_read(hw, counters[i].reg + 4) << 32;
		stats->count[i] += value;
	}
}

struct gantry_secondary e1000e_secondary = {
	.name = "net_gantry_e1000e",
	.logtype = &e1000e_logtype,
	.refresh = e1000e_stats_refresh,
	.attach = e1000e_share_attach,
};

int
e1000e_stats_refresh(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return gantry_secondary_refresh(&e1000e_secondary, eth);
	/* The EAL's thread that answers secondary processes may read at the same time. */
	rte_spinlock_lock(&port->stats_lock);
	counters_read(&port->hw, &port->stats);
	rte_spinlock_unlock(&port->stats_lock);
	return 0;
}

/* Add the counters of the queues, for each queue and for the port. */
static void
stats_add_queues(const struct rte_eth_dev_data *data, struct rte_eth_stats *stats,
	struct eth_queue_stats *queues)
{
	uint16_t i;

	for (i = 0; i < data->nb_rx_queues; i++) {
		const struct e1000e_rxq *q = data->rx_queues[i];

		if (q == NULL)
			continue;
		gantry_eth_queue_rx(queues, i, q->packets, q->bytes);
		stats->ipackets += q->packets;
		stats->ibytes += q->bytes;
	}
	for (i = 0; i < data->nb_tx_queues; i++) {
		const struct e1000e_txq *q = data->tx_queues[i];

		if (q == NULL)
			continue;
		gantry_eth_queue_tx(queues, i, q->packets, q->bytes);
		stats->opackets += q->packets;
		stats->obytes += q->bytes;
		stats->oerrors += q->errors;
	}
}

int
e1000e_stats_get(
	struct rte_eth_dev *eth, struct rte_eth_stats *stats, struct eth_queue_stats *queues)
{
	struct e1000e_port *port = eth->data->dev_private;
	unsigned int i;
	int rc;

	rc = e1000e_stats_refresh(eth);
	if (rc < 0)
		return rc;
	stats_add_queues(eth->data, stats, queues);
	for (i = 0; i < RTE_DIM(counters); i++) {
		switch (counters[i].part_of) {
		case COUNT_MISSED:
			stats->imissed += port->stats.count[i];
			break;
		case COUNT_RX_ERROR:
			stats->ierrors += port->stats.count[i];
			break;
		case COUNT_TX_ERROR:
			stats->oerrors += port->stats.count[i];
			break;
		default:
			break;
		}
	}
	stats->rx_nombuf = eth->data->rx_mbuf_alloc_failed;
	return 0;
}

int
e1000e_stats_reset(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t i;
	int rc;

	rc = e1000e_stats_refresh(eth); /* clears the chip's counters */
	if (rc < 0)
		return rc;
	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		struct e1000e_rxq *q = eth->data->rx_queues[i];

		if (q != NULL)
			q->packets = q->bytes = 0;
	}
	for (i = 0; i < eth->data->nb_tx_queues; i++) {
		struct e1000e_txq *q = eth->data->tx_queues[i];

		if (q != NULL)
			q->packets = q->bytes = q->errors = 0;
	}
	eth->data->rx_mbuf_alloc_failed = 0;
	rte_spinlock_lock(&port->stats_lock);
	memset(&port->stats, 0, sizeof(port->stats));
	rte_spinlock_unlock(&port->stats_lock);
	return 0;
}

int
e1000e_xstats_get_names(struct rte_eth_dev *eth, struct rte_eth_xstat_name *names, unsigned int n)
{
	unsigned int i;

	if (names != NULL)
		for (i = 0; i < RTE_MIN(n, RTE_DIM(counters)); i++)
			snprintf(names[i].name, sizeof(names[i].name), "%s", counters[i].name);
	return RTE_DIM(counters);
}

int
e1000e_xstats_get(struct rte_eth_dev *eth, struct rte_eth_xstat *xstats, unsigned int n)
{
	const struct e1000e_port *port = eth->data->dev_private;
	unsigned int i;
	int rc;

	if (xstats == NULL || n < RTE_DIM(counters))
		return RTE_DIM(counters);
	rc = e1000e_stats_refresh(eth);
	if (rc < 0)
		return rc;
	for (i = 0; i < RTE_DIM(counters); i++) {
		xstats[i].id = i;
		xstats[i].value = port->stats.count[i];
	}
	return RTE_DIM(counters);
}
