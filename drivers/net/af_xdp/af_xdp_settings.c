/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Settings of the netdev that the port changes: MTU and MAC address, restored at close.
 *
 * A setting is saved when the port changes it, and restored only if it is still what the port set:
 * a later change by the operator stays. Called by af_xdp_ethdev.c.
 */

#include <string.h>

#include "af_xdp.h"

int
af_xdp_pool_check(const struct af_xdp_port *port, struct rte_mempool *pool, uint16_t mtu)
{
	uint32_t need = mtu + AF_XDP_OVERHEAD;

	if (rte_pktmbuf_data_room_size(pool) < AF_XDP_MIN_CHUNK)
		return AF_XDP_FAIL(EINVAL, port->name,
			"the buffers of pool %s have %u bytes: the kernel needs at least %u",
			pool->name, rte_pktmbuf_data_room_size(pool), AF_XDP_MIN_CHUNK);
	if (need > af_xdp_pool_max_frame(pool) && !port->scatter)
		return AF_XDP_FAIL(EINVAL, port->name,
			"a frame of %u bytes (MTU %u) does not fit into a buffer of pool"
			" %s, which holds %u: lower the MTU, or make buffers of %u bytes%s",
			need, mtu, pool->name, af_xdp_pool_max_frame(pool), need + AF_XDP_HEADROOM,
			port->can_scatter ? ", or set RTE_ETH_RX_OFFLOAD_SCATTER" : "");
	return 0;
}

int
af_xdp_mtu_change(struct rte_eth_dev *eth, uint16_t mtu)
{
	struct af_xdp_port *port = eth->data->dev_private;
	struct af_xdp_saved *saved = &port->saved;
	uint16_t now;
	int rc;

	rc = af_xdp_netdev_mtu_get(port, &now);
	if (rc == 0 && now != mtu)
		rc = af_xdp_netdev_mtu_set(port, mtu);
	if (rc < 0) {
		AF_XDP_LOG(ERR, port->name, "cannot set the MTU of %s to %u: %s", port->args.iface,
			mtu, strerror(-rc));
		return rc;
	}
	if (now == mtu)
		return 0;
	if (!saved->mtu || now != saved->new_mtu)
		saved->old_mtu = now;
	saved->mtu = true;
	saved->new_mtu = mtu;
	return 0;
}

int
af_xdp_mtu_set(struct rte_eth_dev *eth, uint16_t mtu)
{
	const struct af_xdp_port *port = eth->data->dev_private;
	uint16_t i;
	int rc;

	/* ethdev clears the entry of a queue that is not set up. */
	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		if (eth->data->rx_queues[i] == NULL)
			continue;
		rc = af_xdp_pool_check(port, port->queue[i].rx.pool, mtu);
		if (rc < 0)
			return rc;
	}
	return af_xdp_mtu_change(eth, mtu);
}

int
af_xdp_mtu_fit(struct rte_eth_dev *eth, struct rte_mempool *pool)
{
	const struct af_xdp_port *port = eth->data->dev_private;
	int rc;

	if (port->scatter || eth->data->dev_conf.rxmode.mtu != RTE_ETHER_MTU ||
		eth->data->mtu <= RTE_ETHER_MTU ||
		eth->data->mtu + (uint32_t)AF_XDP_OVERHEAD <= af_xdp_pool_max_frame(pool))
		return 0;
	rc = af_xdp_mtu_change(eth, RTE_ETHER_MTU);
	if (rc < 0)
		return rc;
	AF_XDP_LOG(NOTICE, port->name,
		"the MTU of %s is set to %u, because frames of its MTU of %u do not fit into a"
		" buffer of pool %s",
		port->args.iface, RTE_ETHER_MTU, eth->data->mtu, pool->name);
	eth->data->mtu = RTE_ETHER_MTU;
	return 0;
}

int
af_xdp_mac_addr_set(struct rte_eth_dev *eth, struct rte_ether_addr *mac)
{
	struct af_xdp_port *port = eth->data->dev_private;
	struct af_xdp_saved *saved = &port->saved;
	struct rte_ether_addr now;
	int rc;

	rc = af_xdp_netdev_mac_get(port, &now);
	if (rc == 0 && !rte_is_same_ether_addr(&now, mac))
		rc = af_xdp_netdev_mac_set(port, mac);
	if (rc < 0) {
		AF_XDP_LOG(ERR, port->name, "cannot set the MAC address of %s: %s",
			port->args.iface, strerror(-rc));
		return rc;
	}
	if (rte_is_same_ether_addr(&now, mac))
		return 0;
	if (!saved->mac || !rte_is_same_ether_addr(&now, &saved->new_mac))
		saved->old_mac = now;
	saved->mac = true;
	saved->new_mac = *mac;
	return 0;
}

void
af_xdp_mac_follow(struct rte_eth_dev *eth)
{
	const struct af_xdp_port *port = eth->data->dev_private;
	struct rte_ether_addr now;

	if (!port->saved.mac && af_xdp_netdev_mac_get(port, &now) == 0)
		eth->data->mac_addrs[0] = now;
}

void
af_xdp_settings_restore(struct af_xdp_port *port)
{
	struct af_xdp_saved *saved = &port->saved;
	struct rte_ether_addr mac;
	uint16_t mtu;

	if (af_xdp_gone(port))
		return;
	if (saved->mtu && af_xdp_netdev_mtu_get(port, &mtu) == 0 && mtu == saved->new_mtu)
		af_xdp_netdev_mtu_set(port, saved->old_mtu);
	if (saved->mac && af_xdp_netdev_mac_get(port, &mac) == 0 &&
		rte_is_same_ether_addr(&mac, &saved->new_mac))
		af_xdp_netdev_mac_set(port, &saved->old_mac);
	*saved = (struct af_xdp_saved){0};
}
