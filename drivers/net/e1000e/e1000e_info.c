/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What the port tells of itself: limits, offloads, packet types, burst modes, version of the NVM.
 * Operations of ethdev.
 */

#include <stdio.h>

#include "e1000e.h"

const uint32_t *
e1000e_supported_ptypes(struct rte_eth_dev *eth)
{
	/* 7.1.4: the chip tells TCP from UDP where it checks their checksums. */
	static const uint32_t with_l4[] = {RTE_PTYPE_L2_ETHER, RTE_PTYPE_L3_IPV4_EXT_UNKNOWN,
		RTE_PTYPE_L3_IPV6_EXT_UNKNOWN, RTE_PTYPE_TUNNEL_IP,
		RTE_PTYPE_INNER_L3_IPV6_EXT_UNKNOWN, RTE_PTYPE_L4_TCP, RTE_PTYPE_L4_UDP,
		RTE_PTYPE_UNKNOWN};
	static const uint32_t without_l4[] = {RTE_PTYPE_L2_ETHER, RTE_PTYPE_L3_IPV4_EXT_UNKNOWN,
		RTE_PTYPE_L3_IPV6_EXT_UNKNOWN, RTE_PTYPE_TUNNEL_IP,
		RTE_PTYPE_INNER_L3_IPV6_EXT_UNKNOWN, RTE_PTYPE_UNKNOWN};

	return eth->data->dev_conf.rxmode.offloads &
			(RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)
		? with_l4
		: without_l4;
}

int
e1000e_rx_burst_mode_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_burst_mode *mode)
{
	RTE_SET_USED(id);
	snprintf(mode->info, sizeof(mode->info), "%s",
		eth->rx_pkt_burst == e1000e_rx_burst_edited              ? "Scalar Scattered Edited"
			: eth->rx_pkt_burst == e1000e_rx_burst_scattered ? "Scalar Scattered"
									 : "Scalar");
	return 0;
}

int
e1000e_tx_burst_mode_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_burst_mode *mode)
{
	const struct e1000e_txq *q = eth->data->tx_queues[id];

	snprintf(
		mode->info, sizeof(mode->info), "%s", q->fast_free ? "Scalar Fast Free" : "Scalar");
	return 0;
}

int
e1000e_fw_version_get(struct rte_eth_dev *eth, char *text, size_t len)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t word;
	int rc;

	rc = e1000e_nvm_read(&port->hw, E1000E_NVM_VERSION, 1, &word);
	if (rc < 0)
		return rc;
	rc = snprintf(text, len, "%u.%u.%u", word >> 12, (word >> 4) & 0xFF, word & 0xF);
	return (size_t)rc >= len ? rc + 1 : 0;
}

int
e1000e_dev_infos_get(struct rte_eth_dev *eth, struct rte_eth_dev_info *info)
{
	const struct rte_eth_desc_lim lim = {
		.nb_max = E1000E_MAX_DESC,
		.nb_min = E1000E_MIN_DESC,
		.nb_align = E1000E_DESC_MULTIPLE,
		.nb_seg_max = E1000E_MAX_TX_SEGS,
		.nb_mtu_seg_max = E1000E_MAX_TX_SEGS,
	};

	info->min_rx_bufsize = 256;
	info->max_rx_pktlen = E1000E_MAX_FRAME;
	info->min_mtu = RTE_ETHER_MIN_MTU;
	info->max_mtu = E1000E_MAX_MTU;
	info->max_rx_queues = E1000E_QUEUES;
	info->max_tx_queues = E1000E_QUEUES;
	info->max_mac_addrs = E1000E_RAR_ENTRIES;
	info->rx_offload_capa = E1000E_RX_OFFLOADS;
	info->tx_offload_capa = E1000E_TX_OFFLOADS;
	info->reta_size = E1000E_RETA_ENTRIES;
	info->hash_key_size = E1000E_RSSRK_LEN;
	info->flow_type_rss_offloads = E1000E_RSS_TYPES;
	info->rx_desc_lim = lim;
	info->tx_desc_lim = lim;
	info->tx_desc_lim.nb_seg_max = info->tx_desc_lim.nb_mtu_seg_max = e1000e_tx_max_segs(eth);
	info->speed_capa = E1000E_SPEEDS;
	info->dev_capa |=
		RTE_ETH_DEV_CAPA_RUNTIME_RX_QUEUE_SETUP | RTE_ETH_DEV_CAPA_RUNTIME_TX_QUEUE_SETUP;
	info->default_rxconf = (struct rte_eth_rxconf){
		.rx_thresh = {.pthresh = 8, .hthresh = 8, .wthresh = 0},
	};
	info->default_txconf = (struct rte_eth_txconf){
		/* tx_free_thresh and tx_rs_thresh of 0: what fits the ring. */
		.tx_thresh = {.pthresh = 31, .hthresh = 1, .wthresh = 0},
	};
	info->default_rxportconf.burst_size = 32;
	info->default_txportconf.burst_size = 32;
	info->default_rxportconf.nb_queues = 1;
	info->default_txportconf.nb_queues = 1;
	info->default_rxportconf.ring_size = 512;
	info->default_txportconf.ring_size = 512;
	return 0;
}
