/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Frames that the netdev accepts: promiscuous mode, all multicast, further addresses. Each is a
 * membership of the control socket, which ends with the socket.
 *
 * The kernel counts memberships (packet(7)), and ethdev applies them again at each start. So the
 * port remembers what it has joined, and joins or leaves on a change only. Operations of ethdev.
 */

#include <string.h>
#include <linux/if_packet.h>

#include <rte_malloc.h>

#include "af_xdp.h"

_Static_assert(AF_XDP_MAX_MACS <= 32, "port->joined.macs has a bit for each address");

/* Join or leave a membership. @return 0, or a negative errno after one log line */
static int
member_change(const struct af_xdp_port *port, bool join, unsigned short type,
	const struct rte_ether_addr *mac, const char *what)
{
	int rc = af_xdp_netdev_member(port, join, type, mac);

	/* The kernel drops the memberships of a netdev with the netdev. */
	if (rc < 0 && !join && af_xdp_gone(port))
		return 0;
	if (rc < 0)
		AF_XDP_LOG(ERR, port->name, "cannot %s %s on %s: %s", join ? "enable" : "disable",
			what, port->args.iface, strerror(-rc));
	return rc;
}

/* Join or leave unless *joined says that it was done. */
static int
mode_set(const struct af_xdp_port *port, bool *joined, bool join, unsigned short type,
	const char *what)
{
	int rc;

	if (*joined == join)
		return 0;
	rc = member_change(port, join, type, NULL, what);
	if (rc == 0)
		*joined = join;
	return rc;
}

int
af_xdp_promiscuous_enable(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;

	return mode_set(
		port, &port->joined.promiscuous, true, PACKET_MR_PROMISC, "promiscuous mode");
}

int
af_xdp_promiscuous_disable(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;

	return mode_set(
		port, &port->joined.promiscuous, false, PACKET_MR_PROMISC, "promiscuous mode");
}

int
af_xdp_allmulticast_enable(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;

	return mode_set(
		port, &port->joined.allmulticast, true, PACKET_MR_ALLMULTI, "all multicast");
}

int
af_xdp_allmulticast_disable(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;

	return mode_set(
		port, &port->joined.allmulticast, false, PACKET_MR_ALLMULTI, "all multicast");
}

int
af_xdp_mac_addr_add(
	struct rte_eth_dev *eth, struct rte_ether_addr *mac, uint32_t index, uint32_t vmdq)
{
	struct af_xdp_port *port = eth->data->dev_private;
	int rc;

	if (port->joined.macs & RTE_BIT32(index))
		return 0;
	rc = member_change(port, true, PACKET_MR_UNICAST, mac, "a further MAC address");
	if (rc == 0)
		port->joined.macs |= RTE_BIT32(index);
	return rc;
}

void
af_xdp_mac_addr_remove(struct rte_eth_dev *eth, uint32_t index)
{
	struct af_xdp_port *port = eth->data->dev_private;

	if ((port->joined.macs & RTE_BIT32(index)) &&
		member_change(port, false, PACKET_MR_UNICAST, &eth->data->mac_addrs[index],
			"a further MAC address") == 0)
		port->joined.macs &= ~RTE_BIT32(index);
}

int
af_xdp_set_mc_addr_list(struct rte_eth_dev *eth, struct rte_ether_addr *list, uint32_t n)
{
	struct af_xdp_port *port = eth->data->dev_private;
	struct rte_ether_addr *keep = NULL;
	uint32_t i;
	int rc;

	if (n > 0) {
		keep = rte_malloc("af_xdp multicast", n * sizeof(*keep), 0);
		if (keep == NULL)
			return -ENOMEM;
		memcpy(keep, list, n * sizeof(*keep));
	}
	/*
	 * Join the new addresses before leaving the old ones, so frames to addresses in both lists
	 * are not missed.
	 */
	for (i = 0; i < n; i++) {
		rc = member_change(
			port, true, PACKET_MR_MULTICAST, &keep[i], "a multicast address");
		if (rc < 0)
			goto leave;
	}
	for (i = 0; i < port->n_mc; i++)
		member_change(
			port, false, PACKET_MR_MULTICAST, &port->mc[i], "a multicast address");
	rte_free(port->mc);
	port->mc = keep;
	port->n_mc = n;
	return 0;

leave:
	while (i > 0)
		member_change(port, false, PACKET_MR_MULTICAST, &keep[--i], "a multicast address");
	rte_free(keep);
	return rc;
}
