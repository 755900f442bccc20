/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which frames the port receives: addresses, modes and VLANs; and the switch for VLAN tags.
 *
 * Invariant: RCTL is written only while the port runs; e1000e_ethdev.c calls
 * e1000e_filters_apply() when it starts. Operations of ethdev; called by e1000e_ethdev.c.
 */

#include <errno.h>
#include <string.h>

#include <rte_malloc.h>

#include "e1000e.h"

/* @return the bits of RCTL for the port's receive filters (7.1.1) */
static uint32_t
filters_rctl_bits(const struct rte_eth_dev_data *data)
{
	uint32_t bits = E1000E_RCTL_BAM;

	if (data->promiscuous)
		return bits | E1000E_RCTL_UPE | E1000E_RCTL_MPE;
	if (data->all_multicast)
		bits |= E1000E_RCTL_MPE;
	if (data->dev_conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_VLAN_FILTER)
		bits |= E1000E_RCTL_VFE;
	return bits;
}

/* Write the filters of a running port. Those of a stopped port are written when it starts. */
int
e1000e_filters_apply(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;

	if (port->rctl & E1000E_RCTL_EN)
		e1000e_write(&port->hw, E1000E_RCTL,
			port->rctl | filters_rctl_bits(eth->data) |
				(port->fc.mac_ctrl_frame_fwd ? E1000E_RCTL_PMCF : 0));
	return 0;
}

/*
 * CTRL.VME turns on stripping and insertion (7.5). With insertion alone, receive queues put tags
 * back.
 */
void
e1000e_vlan_apply(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	bool strip = eth->data->dev_conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
	bool insert = eth->data->dev_conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	uint16_t i;

	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		struct e1000e_rxq *q = eth->data->rx_queues[i];

		if (q != NULL)
			e1000e_rxq_edits_set(eth, q);
	}
	e1000e_hw_vlan_strip(&port->hw, strip || insert);
}

/* e1000e_filters_apply() reads the modes in eth->data, which ethdev sets only after the call. */
static int
filters_set_mode(struct rte_eth_dev *eth, bool promiscuous, bool all_multicast)
{
	eth->data->promiscuous = promiscuous;
	eth->data->all_multicast = all_multicast;
	return e1000e_filters_apply(eth);
}

int
e1000e_promiscuous_enable(struct rte_eth_dev *eth)
{
	return filters_set_mode(eth, true, eth->data->all_multicast);
}

int
e1000e_promiscuous_disable(struct rte_eth_dev *eth)
{
	return filters_set_mode(eth, false, eth->data->all_multicast);
}

int
e1000e_allmulticast_enable(struct rte_eth_dev *eth)
{
	return filters_set_mode(eth, eth->data->promiscuous, true);
}

int
e1000e_allmulticast_disable(struct rte_eth_dev *eth)
{
	return filters_set_mode(eth, eth->data->promiscuous, false);
}

int
e1000e_mac_addr_add(
	struct rte_eth_dev *eth, struct rte_ether_addr *mac, uint32_t index, uint32_t pool)
{
	const struct e1000e_port *port = eth->data->dev_private;

	if (index >= E1000E_RAR_ENTRIES)
		return -EINVAL;
	e1000e_hw_mac_write(&port->hw, index, mac);
	return 0;
}

void
e1000e_mac_addr_remove(struct rte_eth_dev *eth, uint32_t index)
{
	const struct e1000e_port *port = eth->data->dev_private;

	if (index < E1000E_RAR_ENTRIES)
		e1000e_hw_mac_clear(&port->hw, index);
}

int
e1000e_mac_addr_set(struct rte_eth_dev *eth, struct rte_ether_addr *mac)
{
	return e1000e_mac_addr_add(eth, mac, 0, 0);
}

int
e1000e_set_mc_addr_list(struct rte_eth_dev *eth, struct rte_ether_addr *list, uint32_t n)
{
	struct e1000e_port *port = eth->data->dev_private;
	struct rte_ether_addr *copy = NULL;

	if (n > 0) {
		copy = rte_malloc("e1000e multicast", n * sizeof(*copy), 0);
		if (copy == NULL)
			return -ENOMEM;
		memcpy(copy, list, n * sizeof(*copy));
	}
	rte_free(port->mc);
	port->mc = copy;
	port->n_mc = n;
	e1000e_hw_mc_write(&port->hw, copy, n);
	return 0;
}

int
e1000e_vlan_filter_set(struct rte_eth_dev *eth, uint16_t vlan, int on)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint32_t *word = &port->vfta[vlan / 32];

	*word = on ? *word | RTE_BIT32(vlan % 32) : *word & ~RTE_BIT32(vlan % 32);
	e1000e_write(&port->hw, E1000E_VFTA(vlan / 32), *word);
	return 0;
}

int
e1000e_vlan_offload_set(struct rte_eth_dev *eth, int mask)
{
	const struct rte_eth_conf *conf = &eth->data->dev_conf;
	const struct e1000e_port *port = eth->data->dev_private;
	bool strip = conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
	bool insert = conf->txmode.offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT;

	if (mask & RTE_ETH_VLAN_STRIP_MASK) {
		if (eth->data->dev_started && insert && !strip &&
			eth->rx_pkt_burst != e1000e_rx_burst_edited)
			return E1000E_FAIL(EBUSY, port->hw.name,
				"to disable VLAN stripping beside insertion needs another receive"
				" function: stop the port first");
		e1000e_vlan_apply(eth);
	}
	if (mask & RTE_ETH_VLAN_FILTER_MASK)
		e1000e_filters_apply(eth);
	return 0;
}
