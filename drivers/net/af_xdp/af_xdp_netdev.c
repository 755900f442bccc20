/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Settings and state of the netdev: addresses, MTU, link and queues by ioctl (netdevice(7),
 * ethtool), promiscuous mode by membership (packet(7)), changes by rtnetlink(7).
 *
 * The netdev is identified by its index, so a change of its name does no harm. Called by
 * af_xdp_ethdev.c and af_xdp_queue.c; link messages come on the EAL's interrupt thread.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <rte_interrupts.h>
#include <rte_string_fns.h>

#include "af_xdp.h"

/**
 * Link messages of a port. Outlives the port if one of its events closes the port.
 */
struct af_xdp_watch {
	struct rte_intr_handle *intr;
	int fd; /**< rtnetlink socket */
	struct af_xdp_port *port; /**< NULL: closed */
};

/* Works in any thread: the control socket belongs to the network namespace of the netdev. */
static int
netdev_current_name(const struct af_xdp_port *port, struct ifreq *ifr)
{
	ifr->ifr_ifindex = port->ifindex;
	return ioctl(port->control_fd, SIOCGIFNAME, ifr) < 0 ? -errno : 0;
}

const char *
af_xdp_netdev_name(const struct af_xdp_port *port, char buf[IFNAMSIZ])
{
	struct ifreq ifr = {0};

	rte_strscpy(buf, netdev_current_name(port, &ifr) < 0 ? port->args.iface : ifr.ifr_name,
		IFNAMSIZ);
	return buf;
}

/* Make an ioctl on the netdev under its current name. */
static int
netdev_ioctl(const struct af_xdp_port *port, unsigned long request, struct ifreq *ifr)
{
	struct ifreq named = {0};
	int rc = netdev_current_name(port, &named);

	if (rc < 0)
		return rc;
	memcpy(ifr->ifr_name, named.ifr_name, sizeof(ifr->ifr_name));
	return ioctl(port->control_fd, request, ifr) < 0 ? -errno : 0;
}

int
af_xdp_netdev_mac_get(const struct af_xdp_port *port, struct rte_ether_addr *mac)
{
	struct ifreq ifr = {0};
	int rc = netdev_ioctl(port, SIOCGIFHWADDR, &ifr);

	if (rc < 0)
		return rc;
	if (ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return -ENOTSUP;
	memcpy(mac, ifr.ifr_hwaddr.sa_data, sizeof(*mac));
	return 0;
}

int
af_xdp_netdev_mac_set(const struct af_xdp_port *port, const struct rte_ether_addr *mac)
{
	struct ifreq ifr = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};

	memcpy(ifr.ifr_hwaddr.sa_data, mac, sizeof(*mac));
	return netdev_ioctl(port, SIOCSIFHWADDR, &ifr);
}

int
af_xdp_netdev_mtu_get(const struct af_xdp_port *port, uint16_t *mtu)
{
	struct ifreq ifr = {0};
	int rc = netdev_ioctl(port, SIOCGIFMTU, &ifr);

	if (rc == 0)
		*mtu = RTE_MIN(ifr.ifr_mtu, UINT16_MAX);
	return rc;
}

int
af_xdp_netdev_mtu_set(const struct af_xdp_port *port, uint16_t mtu)
{
	struct ifreq ifr = {.ifr_mtu = mtu};

	return netdev_ioctl(port, SIOCSIFMTU, &ifr);
}

int
af_xdp_netdev_up(const struct af_xdp_port *port, bool up)
{
	struct ifreq ifr = {0};
	int rc = netdev_ioctl(port, SIOCGIFFLAGS, &ifr);

	if (rc < 0)
		return rc;
	if (!(ifr.ifr_flags & IFF_UP) == !up)
		return 0;
	ifr.ifr_flags ^= IFF_UP;
	rc = netdev_ioctl(port, SIOCSIFFLAGS, &ifr);
	return rc < 0 ? rc : 1;
}

/*
 * ETHTOOL_GSET has only 32 bits for the speeds that a link supports, but the full range for its
 * current speed.
 */
void
af_xdp_netdev_link(const struct af_xdp_port *port, struct rte_eth_link *link)
{
	struct ethtool_cmd cmd = {.cmd = ETHTOOL_GSET};
	struct ifreq ifr = {0};

	*link = (struct rte_eth_link){.link_speed = RTE_ETH_SPEED_NUM_UNKNOWN,
		.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
		.link_autoneg = RTE_ETH_LINK_AUTONEG};
	if (netdev_ioctl(port, SIOCGIFFLAGS, &ifr) == 0 && ifr.ifr_flags & IFF_UP &&
		ifr.ifr_flags & IFF_RUNNING)
		link->link_status = RTE_ETH_LINK_UP;
	ifr.ifr_data = (char *)&cmd;
	if (netdev_ioctl(port, SIOCETHTOOL, &ifr) < 0)
		return;
	if (ethtool_cmd_speed(&cmd) != (uint32_t)SPEED_UNKNOWN)
		link->link_speed = ethtool_cmd_speed(&cmd);
	if (cmd.duplex == DUPLEX_HALF)
		link->link_duplex = RTE_ETH_LINK_HALF_DUPLEX;
	if (cmd.autoneg == AUTONEG_DISABLE)
		link->link_autoneg = RTE_ETH_LINK_FIXED;
}

int
af_xdp_netdev_queues(const struct af_xdp_port *port, unsigned int *rx, unsigned int *tx)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq ifr = {.ifr_data = (char *)&ch};
	int rc = netdev_ioctl(port, SIOCETHTOOL, &ifr);

	if (rc < 0)
		return rc;
	*rx = ch.combined_count + ch.rx_count;
	*tx = ch.combined_count + ch.tx_count;
	return 0;
}

int
af_xdp_netdev_member(const struct af_xdp_port *port, bool join, unsigned short type,
	const struct rte_ether_addr *mac)
{
	struct packet_mreq mreq = {.mr_ifindex = port->ifindex, .mr_type = type};

	if (mac != NULL) {
		mreq.mr_alen = sizeof(*mac);
		memcpy(mreq.mr_address, mac, sizeof(*mac));
	}
	return setsockopt(port->control_fd, SOL_PACKET,
		       join ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP, &mreq,
		       sizeof(mreq)) < 0
		? -errno
		: 0;
}

static void
netdev_removed(struct af_xdp_port *port)
{
	struct rte_eth_link down = {.link_autoneg = RTE_ETH_LINK_AUTONEG};

	if (__atomic_exchange_n(&port->gone, 1, __ATOMIC_RELAXED))
		return;
	AF_XDP_LOG(ERR, port->name, "netdev %s was removed: stop and close port %u",
		port->args.iface, port->eth->data->port_id);
	rte_eth_linkstatus_set(port->eth, &down);
	rte_eth_dev_callback_process(port->eth, RTE_ETH_EVENT_INTR_RMV, NULL);
}

static void
netdev_changed(struct af_xdp_port *port)
{
	struct rte_eth_link link;

	if (!port->eth->data->dev_started)
		return;
	af_xdp_netdev_link(port, &link);
	if (rte_eth_linkstatus_set(port->eth, &link) == 0 &&
		port->eth->data->dev_conf.intr_conf.lsc)
		rte_eth_dev_callback_process(port->eth, RTE_ETH_EVENT_INTR_LSC, NULL);
}

static void
link_msgs_handle(struct af_xdp_watch *watch, struct nlmsghdr *msg, int len)
{
	const struct ifinfomsg *info;

	/* The event of a message may close the port. */
	for (; watch->port != NULL && NLMSG_OK(msg, (unsigned int)len);
		msg = NLMSG_NEXT(msg, len)) {
		if (msg->nlmsg_type != RTM_DELLINK && msg->nlmsg_type != RTM_NEWLINK)
			continue;
		info = NLMSG_DATA(msg);
		/* A bridge sends messages about its ports under its own address family. */
		if (info->ifi_index != watch->port->ifindex || info->ifi_family != AF_UNSPEC)
			continue;
		if (msg->nlmsg_type == RTM_DELLINK)
			netdev_removed(watch->port);
		else
			netdev_changed(watch->port);
	}
}

static void
link_msgs_cb(void *arg)
{
	struct af_xdp_watch *watch = arg;
	union {
		struct nlmsghdr head;
		char data[8192];
	} buf;
	struct ifreq ifr;
	ssize_t len;

	while (watch->port != NULL) {
		len = recv(watch->fd, &buf, sizeof(buf), MSG_DONTWAIT);
		if (len > 0)
			link_msgs_handle(watch, &buf.head, len);
		else if (len == 0 || (errno != ENOBUFS && errno != EINTR))
			return;
		/* Messages were lost: check the netdev itself. */
		else if (errno == ENOBUFS && netdev_current_name(watch->port, &ifr) < 0)
			netdev_removed(watch->port);
	}
}

static void
watch_free(struct rte_intr_handle *handle, void *arg)
{
	struct af_xdp_watch *watch = arg;

	rte_intr_instance_free(watch->intr);
	close(watch->fd);
	free(watch);
}

int
af_xdp_netdev_watch(struct af_xdp_port *port)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	struct af_xdp_watch *watch = calloc(1, sizeof(*watch));
	int rc;

	if (watch == NULL)
		return -ENOMEM;
	watch->port = port;
	watch->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (watch->fd < 0) {
		rc = -errno;
		goto free_watch;
	}
	if (bind(watch->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		goto close_fd;
	}
	watch->intr = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (watch->intr == NULL) {
		rc = -ENOMEM;
		goto close_fd;
	}
	rte_intr_fd_set(watch->intr, watch->fd);
	rte_intr_type_set(watch->intr, RTE_INTR_HANDLE_EXT);
	rc = rte_intr_callback_register(watch->intr, link_msgs_cb, watch);
	if (rc < 0)
		goto free_intr;
	port->watch = watch;
	return 0;

free_intr:
	rte_intr_instance_free(watch->intr);
close_fd:
	close(watch->fd);
free_watch:
	free(watch);
	return rc;
}

void
af_xdp_netdev_unwatch(struct af_xdp_port *port)
{
	struct af_xdp_watch *watch = port->watch;

	if (watch == NULL)
		return;
	port->watch = NULL;
	/*
	 * An event's callback that closes the port runs within link_msgs_cb(), for which
	 * unregister_sync() would wait for ever. The EAL calls watch_free() when it has returned.
	 */
	if (rte_thread_is_intr() &&
		rte_intr_callback_unregister_pending(watch->intr, link_msgs_cb, watch, watch_free) >
			0) {
		watch->port = NULL;
		return;
	}
	rte_intr_callback_unregister_sync(watch->intr, link_msgs_cb, watch);
	watch_free(watch->intr, watch);
}
