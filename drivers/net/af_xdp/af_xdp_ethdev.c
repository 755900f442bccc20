/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The ethdev port on a netdev of the kernel: probe and remove, start and stop, addresses and link.
 * The table of operations and the registration come last.
 *
 * The top layer: no other file calls it. The port restores what it changed in its netdev when it is
 * closed. Called by ethdev and the vdev bus, one thread a port at a time.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_interrupts.h>
#include <rte_malloc.h>
#include <rte_string_fns.h>
#include <ethdev_vdev.h>

#include "af_xdp.h"

#define DRIVER_NAME "net_gantry_af_xdp"
#define DEFAULT_THRESH 32
#define DEFAULT_DESC 1024

#define TX_OFFLOADS (RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE)

static int
dev_configure(struct rte_eth_dev *eth)
{
	const struct rte_eth_conf *conf = &eth->data->dev_conf;
	struct af_xdp_port *port = eth->data->dev_private;
	int rc = 0;

	if (eth->data->nb_rx_queues == 0)
		return AF_XDP_FAIL(EINVAL, port->name,
			"no receive queue: transmit queues send from the pool of receive queue 0:"
			" configure at least one");
	if (conf->rxmode.mq_mode != RTE_ETH_MQ_RX_NONE && conf->rxmode.mq_mode != RTE_ETH_MQ_RX_RSS)
		return AF_XDP_FAIL(EINVAL, port->name,
			"unsupported mq_mode: use RTE_ETH_MQ_RX_NONE or RTE_ETH_MQ_RX_RSS;"
			" the netdev spreads frames over queues (ethtool -X)");
	/*
	 * ethdev's default MTU cannot be told from a request for 1,500, so the netdev keeps its MTU
	 * then, unless af_xdp_mtu_fit() finds that its frames do not fit into the buffers.
	 */
	if (conf->rxmode.mtu != RTE_ETHER_MTU)
		rc = af_xdp_mtu_change(eth, conf->rxmode.mtu);
	if (rc == 0)
		rc = af_xdp_netdev_mtu_get(port, &eth->data->mtu);
	if (rc == 0)
		port->scatter = conf->rxmode.offloads & RTE_ETH_RX_OFFLOAD_SCATTER;
	return rc;
}

static int
rx_queue_setup(struct rte_eth_dev *eth, uint16_t id, uint16_t n_desc, unsigned int node,
	const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	struct af_xdp_port *port = eth->data->dev_private;
	struct af_xdp_queue *q = &port->queue[id];
	uint16_t thresh = conf->rx_free_thresh != 0 ? conf->rx_free_thresh : DEFAULT_THRESH;
	int rc;

	if (conf->rx_deferred_start)
		return AF_XDP_FAIL(ENOTSUP, port->name,
			"queues start with the port: leave rx_deferred_start out");
	if (thresh > RTE_MIN(DEFAULT_THRESH * 2, n_desc / 2))
		return AF_XDP_FAIL(EINVAL, port->name,
			"invalid rx_free_thresh %u: expected at most %u with %u descriptors",
			thresh, RTE_MIN(DEFAULT_THRESH * 2, n_desc / 2), n_desc);
	rc = af_xdp_mtu_fit(eth, pool);
	if (rc == 0)
		rc = af_xdp_pool_check(port, pool, eth->data->mtu);
	if (rc < 0)
		return rc;
	q->rx.pool = pool;
	q->rx.n_desc = n_desc;
	q->rx.conf = *conf;
	q->rx.fill_thresh = thresh;
	eth->data->rx_queues[id] = &q->rx;
	return 0;
}

static int
tx_queue_setup(struct rte_eth_dev *eth, uint16_t id, uint16_t n_desc, unsigned int node,
	const struct rte_eth_txconf *conf)
{
	struct af_xdp_port *port = eth->data->dev_private;
	struct af_xdp_queue *q = &port->queue[id];
	uint64_t offloads = conf->offloads | eth->data->dev_conf.txmode.offloads;

	if (conf->tx_deferred_start)
		return AF_XDP_FAIL(ENOTSUP, port->name,
			"queues start with the port: leave tx_deferred_start out");
	q->tx.n_desc = n_desc;
	q->tx.conf = *conf;
	q->tx.free_thresh = conf->tx_free_thresh != 0 ? conf->tx_free_thresh : DEFAULT_THRESH;
	q->tx.fast_free = offloads & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	eth->data->tx_queues[id] = &q->tx;
	return 0;
}

static void
rxq_info_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_rxq_info *info)
{
	const struct af_xdp_rxq *rxq = eth->data->rx_queues[id];

	info->mp = rxq->pool;
	info->conf = rxq->conf;
	info->nb_desc = rxq->n_desc;
}

static void
txq_info_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_txq_info *info)
{
	const struct af_xdp_txq *txq = eth->data->tx_queues[id];

	info->conf = txq->conf;
	info->nb_desc = txq->n_desc;
}

static int
burst_mode_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_burst_mode *mode)
{
	rte_strscpy(mode->info, "Scalar", sizeof(mode->info));
	return 0;
}

static int
link_update(struct rte_eth_dev *eth, int wait)
{
	const struct af_xdp_port *port = eth->data->dev_private;
	struct rte_eth_link link = {.link_autoneg = RTE_ETH_LINK_AUTONEG};

	if (eth->data->dev_started && !af_xdp_gone(port))
		af_xdp_netdev_link(port, &link);
	return rte_eth_linkstatus_set(eth, &link);
}

static int
netdev_set_up(struct rte_eth_dev *eth, bool up)
{
	struct af_xdp_port *port = eth->data->dev_private;
	int rc = af_xdp_netdev_up(port, up);

	if (rc < 0)
		AF_XDP_LOG(ERR, port->name, "%s cannot be set %s: %s%s", port->args.iface,
			up ? "up" : "down", strerror(-rc),
			rc == -EPERM && up ? ": set it up before (ip link set DEV up), or run with"
					     " CAP_NET_ADMIN"
					   : "");
	return rc;
}

static int
set_link_up(struct rte_eth_dev *eth)
{
	return RTE_MIN(netdev_set_up(eth, true), 0);
}

static int
set_link_down(struct rte_eth_dev *eth)
{
	return RTE_MIN(netdev_set_up(eth, false), 0);
}

/* The rearm data of all received mbufs of a port, except for data_off. */
static uint64_t
rx_rearm_data(uint16_t port_id)
{
	struct rte_mbuf m = {.nb_segs = 1, .port = port_id};

	rte_mbuf_refcnt_set(&m, 1);
	return *(uint64_t *)&m.rearm_data;
}

/* Use the sockets as receive interrupts: epoll can wait for them. The type tells that each queue
 * has one (rte_intr_cap_multiple()). With an efd_counter_size of 0 the EAL reads nothing from them.
 */
static int
intr_start(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;
	uint16_t i, n = eth->data->nb_rx_queues;
	struct rte_intr_handle *intr;

	if (!eth->data->dev_conf.intr_conf.rxq)
		return 0;
	intr = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (intr == NULL)
		return -ENOMEM;
	if (rte_intr_type_set(intr, RTE_INTR_HANDLE_VDEV) < 0 ||
		rte_intr_efd_counter_size_set(intr, 0) < 0 ||
		rte_intr_vec_list_alloc(intr, "af_xdp", n) < 0 ||
		rte_intr_nb_efd_set(intr, n) < 0 || rte_intr_max_intr_set(intr, n + 1) < 0)
		goto fail;
	for (i = 0; i < n; i++)
		if (rte_intr_vec_list_index_set(intr, i, RTE_INTR_VEC_RXTX_OFFSET + i) < 0 ||
			rte_intr_efds_index_set(intr, i, port->queue[i].rx.fd) < 0)
			goto fail;
	port->rxq_intr = intr;
	eth->intr_handle = intr;
	return 0;

fail:
	AF_XDP_LOG(ERR, port->name,
		"%u receive queues are too many for interrupts: leave intr_conf.rxq"
		" out",
		n);
	rte_intr_vec_list_free(intr);
	rte_intr_instance_free(intr);
	return -ENOMEM;
}

static void
intr_stop(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;

	if (port->rxq_intr == NULL)
		return;
	rte_intr_free_epoll_fd(port->rxq_intr);
	rte_intr_vec_list_free(port->rxq_intr);
	rte_intr_instance_free(port->rxq_intr);
	port->rxq_intr = NULL;
	eth->intr_handle = NULL;
}

/* No arming is needed: a socket is level-triggered, so no frame is missed. */
static int
rx_queue_intr_enable(struct rte_eth_dev *eth, uint16_t id)
{
	const struct af_xdp_port *port = eth->data->dev_private;

	return port->rxq_intr == NULL ? -ENOTSUP : 0;
}

/* Undo queues_connect() for the first n queues. */
static void
queues_disconnect(struct af_xdp_port *port, uint16_t n)
{
	uint16_t i;

	for (i = 0; i < n; i++)
		if (port->queue[i].has_rx)
			af_xdp_prog_del(port, &port->queue[i]);
}

/* The frames of queues that do not receive stay with the kernel. */
static int
queues_connect(struct af_xdp_port *port)
{
	uint16_t i;
	int rc = 0;

	for (i = 0; i < port->n_started && rc == 0; i++)
		if (port->queue[i].has_rx)
			rc = af_xdp_prog_add(port, &port->queue[i]);
	if (rc < 0)
		queues_disconnect(port, i - 1);
	return rc;
}

/* Report the state of the queues: testpmd, for one, polls only started queues. */
static void
queues_set_state(struct rte_eth_dev *eth, uint8_t state)
{
	uint16_t i;

	for (i = 0; i < eth->data->nb_rx_queues; i++)
		eth->data->rx_queue_state[i] = state;
	for (i = 0; i < eth->data->nb_tx_queues; i++)
		eth->data->tx_queue_state[i] = state;
}

/* Check that each queue is set up, with buffers for the MTU. */
static int
queues_check(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;
	uint16_t i;
	int rc;

	/* ethdev clears the entry of a queue before it is set up again, also if that is refused. */
	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		if (eth->data->rx_queues[i] == NULL)
			return AF_XDP_FAIL(EINVAL, port->name,
				"receive queue %u is not set up: call rte_eth_rx_queue_setup()", i);
		rc = af_xdp_pool_check(port, port->queue[i].rx.pool, eth->data->mtu);
		if (rc < 0)
			return rc;
		port->queue[i].rx.rearm = rx_rearm_data(eth->data->port_id);
	}
	for (i = 0; i < eth->data->nb_tx_queues; i++)
		if (eth->data->tx_queues[i] == NULL)
			return AF_XDP_FAIL(EINVAL, port->name,
				"transmit queue %u is not set up: call rte_eth_tx_queue_setup()",
				i);
	return 0;
}

static int
dev_start(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;
	int rc;

	if (af_xdp_gone(port))
		return AF_XDP_FAIL(ENODEV, port->name, "netdev %s was removed: close the port",
			port->args.iface);
	rc = queues_check(eth);
	if (rc < 0)
		return rc;
	af_xdp_mac_follow(eth);
	af_xdp_kind_get(port->ifindex, &port->kind);
	/* Before the netdev is up, because a NIC resets its link at such a change. */
	af_xdp_vlan_keep(port);
	rc = netdev_set_up(eth, true);
	if (rc < 0)
		goto restore_vlan;
	port->saved.up = rc > 0;
	rc = af_xdp_queues_open(port);
	if (rc < 0)
		goto set_down;
	rc = af_xdp_prog_get(port);
	if (rc < 0)
		goto close_queues;
	rc = queues_connect(port);
	if (rc < 0)
		goto put_prog;
	rc = intr_start(eth);
	if (rc < 0)
		goto disconnect;
	eth->rx_pkt_burst = port->scatter ? af_xdp_rx_burst_sg : af_xdp_rx_burst;
	eth->tx_pkt_burst = port->scatter ? af_xdp_tx_burst_sg : af_xdp_tx_burst;
	queues_set_state(eth, RTE_ETH_QUEUE_STATE_STARTED);
	eth->data->dev_started = 1; /* for link_update() */
	link_update(eth, 0);
	af_xdp_share_start(port);
	return 0;

disconnect:
	queues_disconnect(port, port->n_started);
put_prog:
	af_xdp_prog_put(port);
close_queues:
	af_xdp_queues_close(port);
set_down:
	if (port->saved.up)
		af_xdp_netdev_up(port, false);
	port->saved.up = false;
restore_vlan:
	af_xdp_vlan_restore(port);
	return rc;
}

static int
dev_stop(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;

	af_xdp_share_stop(port);
	intr_stop(eth);
	queues_disconnect(port, port->n_started);
	af_xdp_prog_put(port);
	af_xdp_queues_close(port);
	if (port->saved.up)
		af_xdp_netdev_up(port, false);
	port->saved.up = false;
	af_xdp_vlan_restore(port);
	queues_set_state(eth, RTE_ETH_QUEUE_STATE_STOPPED);
	eth->data->dev_started = 0;
	link_update(eth, 0);
	return 0;
}

static int
dev_close(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return 0;
	gantry_secondary_withdraw(&af_xdp_secondary, eth);
	if (eth->data->dev_started)
		dev_stop(eth);
	af_xdp_share_close(port);
	af_xdp_netdev_unwatch(port);
	af_xdp_settings_restore(port);
	if (port->control_fd >= 0)
		close(port->control_fd);
	port->control_fd = -1;
	af_xdp_map_close(port);
	rte_free(port->mc);
	port->mc = NULL;
	rte_free(port->queue);
	port->queue = NULL;
	return 0;
}

static int
is_removed(struct rte_eth_dev *eth)
{
	const struct af_xdp_port *port = eth->data->dev_private;

	return af_xdp_gone(port);
}

static int
dev_infos_get(struct rte_eth_dev *eth, struct rte_eth_dev_info *info)
{
	const struct af_xdp_port *port = eth->data->dev_private;
	const struct rte_eth_desc_lim lim = {
		.nb_max = AF_XDP_MAX_DESC,
		.nb_min = AF_XDP_MIN_DESC,
		.nb_align = AF_XDP_MIN_DESC,
		.nb_seg_max = UINT8_MAX,
		.nb_mtu_seg_max = UINT8_MAX,
	};

	info->if_index = port->ifindex;
	info->min_rx_bufsize = AF_XDP_MIN_CHUNK - RTE_PKTMBUF_HEADROOM;
	info->max_rx_pktlen = port->can_scatter ? AF_XDP_MAX_FRAME_SG : AF_XDP_MAX_FRAME;
	info->min_mtu = RTE_ETHER_MIN_MTU;
	info->max_mtu = info->max_rx_pktlen - AF_XDP_OVERHEAD;
	info->rx_offload_capa = port->can_scatter ? RTE_ETH_RX_OFFLOAD_SCATTER : 0;
	info->max_rx_queues = port->max_rx;
	info->max_tx_queues = port->max_tx;
	info->max_mac_addrs = AF_XDP_MAX_MACS;
	info->tx_offload_capa = TX_OFFLOADS;
	info->rx_desc_lim = lim;
	info->tx_desc_lim = lim;
	info->default_rxconf.rx_free_thresh = DEFAULT_THRESH;
	info->default_txconf.tx_free_thresh = DEFAULT_THRESH;
	info->default_rxportconf = (struct rte_eth_dev_portconf){32, DEFAULT_DESC, 1};
	info->default_txportconf = (struct rte_eth_dev_portconf){32, DEFAULT_DESC, 1};
	return 0;
}

GANTRY_ETH_STATS_GET(stats_get, af_xdp_stats_get)

static const struct eth_dev_ops ops = {
	.dev_configure = dev_configure,
	.dev_start = dev_start,
	.dev_stop = dev_stop,
	.dev_close = dev_close,
	.dev_set_link_up = set_link_up,
	.dev_set_link_down = set_link_down,
	.is_removed = is_removed,
	.link_update = link_update,
	.promiscuous_enable = af_xdp_promiscuous_enable,
	.promiscuous_disable = af_xdp_promiscuous_disable,
	.allmulticast_enable = af_xdp_allmulticast_enable,
	.allmulticast_disable = af_xdp_allmulticast_disable,
	.mac_addr_add = af_xdp_mac_addr_add,
	.mac_addr_remove = af_xdp_mac_addr_remove,
	.mac_addr_set = af_xdp_mac_addr_set,
	.set_mc_addr_list = af_xdp_set_mc_addr_list,
	.mtu_set = af_xdp_mtu_set,
	.stats_get = stats_get,
	.stats_reset = af_xdp_stats_reset,
	.xstats_get = af_xdp_xstats_get,
	.xstats_get_names = af_xdp_xstats_get_names,
	.xstats_reset = af_xdp_stats_reset,
	.dev_infos_get = dev_infos_get,
	.rxq_info_get = rxq_info_get,
	.txq_info_get = txq_info_get,
	.rx_queue_setup = rx_queue_setup,
	.rx_burst_mode_get = burst_mode_get,
	.tx_burst_mode_get = burst_mode_get,
	.get_monitor_addr = af_xdp_get_monitor_addr,
	.rx_queue_intr_enable = rx_queue_intr_enable,
	.rx_queue_intr_disable = rx_queue_intr_enable,
	.tx_queue_setup = tx_queue_setup,
	.tx_done_cleanup = af_xdp_tx_done_cleanup,
};

/* Operations of a secondary process: those that do not need the netdev. */
static int
secondary_close(struct rte_eth_dev *eth)
{
	gantry_view_detach(eth);
	return 0;
}

static int
secondary_is_removed(struct rte_eth_dev *eth)
{
	return gantry_view_gone(eth);
}

static int
secondary_link_update(struct rte_eth_dev *eth, int wait)
{
	return 0; /* the primary process writes the link's state */
}

static const struct eth_dev_ops secondary_ops = {
	.dev_close = secondary_close,
	.is_removed = secondary_is_removed,
	.link_update = secondary_link_update,
	.stats_get = stats_get,
	.stats_reset = af_xdp_stats_reset,
	.xstats_get = af_xdp_xstats_get,
	.xstats_get_names = af_xdp_xstats_get_names,
	.xstats_reset = af_xdp_stats_reset,
	.dev_infos_get = dev_infos_get,
	.rxq_info_get = rxq_info_get,
	.txq_info_get = txq_info_get,
};

/*
 * Check that the netdev has the queues that the parameters name. One of either direction suffices,
 * as for bind(2) (xsk_reg_pool_at_qid(), net/xdp/xsk.c of Linux), but the first one must receive.
 */
static int
netdev_check_queues(struct af_xdp_port *port)
{
	unsigned int first = port->args.start_queue, n = port->args.n_queues, rx, tx;

	port->max_rx = port->max_tx = n;
	if (af_xdp_netdev_queues(port, &rx, &tx) < 0)
		return 0;
	if (first >= rx)
		return AF_XDP_FAIL(EINVAL, port->name,
			"%s has no receive queue %u, only 0 to %u: see ethtool -l %s",
			port->args.iface, first, rx - 1, port->args.iface);
	if (first + n > RTE_MAX(rx, tx))
		return AF_XDP_FAIL(EINVAL, port->name,
			"%s has no queue %u, only 0 to %u: see ethtool -l %s", port->args.iface,
			first + n - 1, RTE_MAX(rx, tx) - 1, port->args.iface);
	port->max_rx = RTE_MIN(n, rx - first);
	port->max_tx = RTE_MIN(n, tx - RTE_MIN(tx, first));
	return 0;
}

/* Check that the netdev exists and has what the parameters name. */
static int
netdev_find(struct af_xdp_port *port)
{
	struct rte_ether_addr mac;
	int rc;

	port->ifindex = if_nametoindex(port->args.iface);
	if (port->ifindex == 0)
		return AF_XDP_FAIL(ENODEV, port->name,
			"there is no netdev %s in this network namespace: see ip link",
			port->args.iface);
	rc = af_xdp_netdev_mac_get(port, &mac);
	if (rc < 0) {
		AF_XDP_LOG(ERR, port->name, "%s is not an Ethernet device", port->args.iface);
		return rc;
	}
	return netdev_check_queues(port);
}

/*
 * Check at probe that the kernel has AF_XDP and permits its use, rather than at start, and whether
 * it has frames in several buffers, which only an XDP program made for them lets through.
 */
static int
kernel_check(struct af_xdp_port *port)
{
	/* Without a netdev: xsk_bind() checks the flags first (net/xdp/xsk.c of Linux). */
	const struct sockaddr_xdp nowhere = {.sxdp_family = AF_XDP, .sxdp_flags = XDP_USE_SG};
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		port->can_scatter = !af_xdp_args_foreign(&port->args) &&
			bind(fd, (const struct sockaddr *)&nowhere, sizeof(nowhere)) < 0 &&
			errno == ENODEV;
		close(fd);
		return 0;
	}
	if (errno == EAFNOSUPPORT)
		return AF_XDP_FAIL(errno, port->name,
			"this kernel has no AF_XDP: it needs CONFIG_XDP_SOCKETS");
	return AF_XDP_FAIL(errno, port->name, "cannot create an AF_XDP socket: %s%s",
		strerror(errno), errno == EPERM ? ": run as root, or with CAP_NET_RAW" : "");
}

static void
queues_init(struct af_xdp_port *port)
{
	uint16_t i;

	for (i = 0; i < port->args.n_queues; i++) {
		struct af_xdp_queue *q = &port->queue[i];

		q->id = port->args.start_queue + i;
		q->rx.q = q;
	}
}

static int
port_init(struct rte_eth_dev *eth)
{
	struct af_xdp_port *port = eth->data->dev_private;
	int rc;

	rc = kernel_check(port);
	if (rc < 0)
		return rc;
	/* Without a protocol the socket receives nothing; it is for ioctls and memberships. */
	port->control_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (port->control_fd < 0)
		return AF_XDP_FAIL(errno, port->name,
			"cannot create a packet socket (CONFIG_PACKET): %s", strerror(errno));
	rc = netdev_find(port);
	if (rc == 0)
		rc = af_xdp_map_open(port);
	if (rc < 0)
		return rc;
	port->queue = rte_zmalloc(
		"af_xdp queues", port->args.n_queues * sizeof(*port->queue), RTE_CACHE_LINE_SIZE);
	eth->data->mac_addrs = rte_zmalloc("af_xdp mac", AF_XDP_MAX_MACS * RTE_ETHER_ADDR_LEN, 0);
	if (port->queue == NULL || eth->data->mac_addrs == NULL)
		return -ENOMEM;
	queues_init(port);
	rc = af_xdp_netdev_mac_get(port, &eth->data->mac_addrs[0]);
	if (rc == 0)
		rc = af_xdp_netdev_mtu_get(port, &eth->data->mtu);
	if (rc == 0)
		rc = af_xdp_netdev_watch(port);
	if (rc < 0)
		return rc;

	eth->dev_ops = &ops;
	eth->rx_pkt_burst = af_xdp_rx_burst;
	eth->tx_pkt_burst = af_xdp_tx_burst;
	eth->rx_queue_count = af_xdp_rx_queue_count;
	eth->rx_descriptor_status = af_xdp_rx_descriptor_status;
	eth->tx_descriptor_status = af_xdp_tx_descriptor_status;
	eth->data->dev_flags |=
		RTE_ETH_DEV_INTR_LSC | RTE_ETH_DEV_INTR_RMV | RTE_ETH_DEV_AUTOFILL_QUEUE_XSTATS;
	return 0;
}

/* In a secondary process: use a port that the primary process has probed. */
static int
secondary_probe(struct rte_vdev_device *dev)
{
	const char *name = rte_vdev_device_name(dev);
	struct rte_eth_dev *eth = rte_eth_dev_attach_secondary(name);

	if (eth == NULL)
		return AF_XDP_FAIL(ENODEV, name, "the primary process has no such port");
	eth->device = &dev->device;
	eth->dev_ops = &secondary_ops;
	gantry_eth_secondary_init(eth);
	rte_eth_dev_probing_finish(eth);
	/* Counters can be read without a connection. */
	af_xdp_view_attach(eth);
	return 0;
}

static int
af_xdp_probe(struct rte_vdev_device *dev)
{
	const char *name = rte_vdev_device_name(dev);
	struct af_xdp_args args;
	struct af_xdp_port *port;
	struct rte_eth_dev *eth;
	int rc;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return secondary_probe(dev);
	rc = af_xdp_args_parse(name, rte_vdev_device_args(dev), &args);
	if (rc < 0)
		return rc;
	rc = af_xdp_container_join(name, args.container);
	if (rc < 0)
		return rc;
	if (dev->device.numa_node == SOCKET_ID_ANY)
		dev->device.numa_node = af_xdp_numa_node(args.iface);
	eth = rte_eth_vdev_allocate(dev, sizeof(*port));
	if (eth == NULL) {
		AF_XDP_LOG(ERR, name, "no memory for a port, or too many ports");
		af_xdp_container_leave(name);
		return -ENOMEM;
	}
	port = eth->data->dev_private;
	port->args = args;
	port->name = name;
	port->eth = eth;
	port->control_fd = port->map_fd = -1;
	rc = port_init(eth);
	if (rc < 0) {
		dev_close(eth);
		rte_eth_dev_release_port(eth);
		af_xdp_container_leave(name);
		return rc;
	}
	rte_eth_dev_probing_finish(eth);
	gantry_secondary_serve(&af_xdp_secondary, eth);
	return 0;
}

static int
af_xdp_remove(struct rte_vdev_device *dev)
{
	struct rte_eth_dev *eth = rte_eth_dev_allocated(rte_vdev_device_name(dev));
	int rc = 0;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
		if (eth == NULL)
			return 0;
		gantry_view_detach(eth);
		return rte_eth_dev_release_port(eth);
	}
	/* An application may have closed the port already. */
	if (eth != NULL) {
		dev_close(eth);
		rc = rte_eth_dev_release_port(eth);
	}
	af_xdp_container_leave(rte_vdev_device_name(dev));
	return rc;
}

static struct rte_vdev_driver driver = {
	.probe = af_xdp_probe,
	.remove = af_xdp_remove,
};

/* What dpdk-pmdinfo.py reads. */
static const char pmd_info[] __rte_used = "PMD_INFO_STRING= {\"name\": \"" DRIVER_NAME
					  "\", \"params\": \"" AF_XDP_PARAMS "\", \"pci_ids\": []}";

RTE_PMD_REGISTER_VDEV(net_gantry_af_xdp, driver);
RTE_PMD_REGISTER_PARAM_STRING(net_gantry_af_xdp, AF_XDP_PARAMS);
