/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Differences of ethdev's driver interface between the DPDK versions that Gantry is built with
 * (22.11 to 25.11). Drivers have one form of each function. This header makes operations of the
 * installed version from them. Included by the drivers of drivers/net, and by tests that call
 * operations directly. Not installed.
 */

#ifndef GANTRY_ETHDEV_H
#define GANTRY_ETHDEV_H

#include <stddef.h>
#include <stdint.h>

#include <rte_version.h>
#include <ethdev_driver.h>

/*
 * DPDK 25.11: the counters of queues left struct rte_eth_stats for struct eth_queue_stats, which
 * stats_get() has as a third argument. It is NULL if the caller does not want them. Before that,
 * struct rte_eth_stats has members of the same names.
 */
#if RTE_VERSION < RTE_VERSION_NUM(25, 11, 0, 0)
#define eth_queue_stats rte_eth_stats
#define GANTRY_ETH_STATS_GET(op, function)                                                         \
	static int op(struct rte_eth_dev *eth, struct rte_eth_stats *stats)                        \
	{                                                                                          \
		return function(eth, stats, stats);                                                \
	}
#define GANTRY_ETH_STATS_ARGS(eth, stats) eth, stats
#else
#define GANTRY_ETH_STATS_GET(op, function)                                                         \
	static int op(struct rte_eth_dev *eth, struct rte_eth_stats *stats,                        \
		struct eth_queue_stats *queues)                                                    \
	{                                                                                          \
		return function(eth, stats, queues);                                               \
	}
#define GANTRY_ETH_STATS_ARGS(eth, stats) eth, stats, NULL
#endif

/** Call stats_get() of a driver, for the port alone. */
static inline int
gantry_eth_stats_get(
	const struct eth_dev_ops *ops, struct rte_eth_dev *eth, struct rte_eth_stats *stats)
{
	return ops->stats_get(GANTRY_ETH_STATS_ARGS(eth, stats));
}

/** Set what queue i received. Does nothing without queues, or if ethdev has no counter for i. */
static inline void
gantry_eth_queue_rx(
	struct eth_queue_stats *queues, unsigned int i, uint64_t packets, uint64_t bytes)
{
	if (queues == NULL || i >= RTE_ETHDEV_QUEUE_STAT_CNTRS)
		return;
	queues->q_ipackets[i] = packets;
	queues->q_ibytes[i] = bytes;
}

/** Set what queue i sent. @see gantry_eth_queue_rx() */
static inline void
gantry_eth_queue_tx(
	struct eth_queue_stats *queues, unsigned int i, uint64_t packets, uint64_t bytes)
{
	if (queues == NULL || i >= RTE_ETHDEV_QUEUE_STAT_CNTRS)
		return;
	queues->q_opackets[i] = packets;
	queues->q_obytes[i] = bytes;
}

/* DPDK 25.11: rx_queue_count() returns int, so that it can return a negative errno. */
#if RTE_VERSION < RTE_VERSION_NUM(25, 11, 0, 0)
typedef uint32_t gantry_eth_count_t;
#else
typedef int gantry_eth_count_t;
#endif

/**
 * Give the port of a secondary process operations of the fast path that do nothing. Since
 * DPDK 25.11 ethdev calls all of them without checking whether the driver has them, and provides
 * such ones in the primary process only (rte_eth_dev_allocate()).
 */
static inline void
gantry_eth_secondary_init(struct rte_eth_dev *eth)
{
	eth->rx_pkt_burst = rte_eth_pkt_burst_dummy;
	eth->tx_pkt_burst = rte_eth_pkt_burst_dummy;
#if RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0)
	eth->tx_pkt_prepare = rte_eth_tx_pkt_prepare_dummy;
	eth->rx_queue_count = rte_eth_queue_count_dummy;
	eth->tx_queue_count = rte_eth_queue_count_dummy;
	eth->rx_descriptor_status = rte_eth_descriptor_status_dummy;
	eth->tx_descriptor_status = rte_eth_descriptor_status_dummy;
	eth->recycle_tx_mbufs_reuse = rte_eth_recycle_tx_mbufs_reuse_dummy;
	eth->recycle_rx_descriptors_refill = rte_eth_recycle_rx_descriptors_refill_dummy;
#endif
}

/*
 * DPDK 24.03: dev_supported_ptypes_get() also stores the number of types. The list ends with
 * RTE_PTYPE_UNKNOWN in all versions; the number does not include that.
 */
#if RTE_VERSION < RTE_VERSION_NUM(24, 3, 0, 0)
#define GANTRY_ETH_PTYPES_GET(op, function)                                                        \
	static const uint32_t *op(struct rte_eth_dev *eth)                                         \
	{                                                                                          \
		return function(eth);                                                              \
	}
#define GANTRY_ETH_PTYPES_ARGS(eth, n) eth
#else
#define GANTRY_ETH_PTYPES_GET(op, function)                                                        \
	static const uint32_t *op(struct rte_eth_dev *eth, size_t *n)                              \
	{                                                                                          \
		const uint32_t *types = function(eth);                                             \
                                                                                                   \
		for (*n = 0; types[*n] != RTE_PTYPE_UNKNOWN; ++*n)                                 \
			;                                                                          \
		return types;                                                                      \
	}
#define GANTRY_ETH_PTYPES_ARGS(eth, n) eth, n
#endif

/** Call dev_supported_ptypes_get() of a driver. The list ends with RTE_PTYPE_UNKNOWN. */
static inline const uint32_t *
gantry_eth_ptypes_get(const struct eth_dev_ops *ops, struct rte_eth_dev *eth)
{
	size_t n = 0;

	RTE_SET_USED(n);
	return ops->dev_supported_ptypes_get(GANTRY_ETH_PTYPES_ARGS(eth, &n));
}

#endif /* GANTRY_ETHDEV_H */
