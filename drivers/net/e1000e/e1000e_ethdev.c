/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The ethdev port: probe and remove, start and stop, interrupt vectors. The table of operations and
 * the registration come last.
 *
 * The top layer: no other file calls it. Called by ethdev and the bus, one thread a port at a time;
 * interrupts come on the EAL's interrupt thread.
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_devargs.h>
#include <rte_interrupts.h>
#include <rte_kvargs.h>
#include <rte_malloc.h>

#include <bus_vfio_pci_driver.h>
#include <dmamap.h>

#include "e1000e.h"

#define DRIVER_NAME "net_gantry_e1000e"

/* MSI-X vectors: link and errors, then one a receive queue. */
#define VECTOR_OTHER 0
#define VECTOR_RXQ(q) (RTE_INTR_VEC_RXTX_OFFSET + (q))

/* Longer than a moderation interval, which is 50 us on the chip and 128 us in QEMU. */
#define INTR_IDLE_US 2000

#define ARG_TX_SPLIT "tx_split"
#define TX_SPLIT_MIN 4096UL
#define TX_SPLIT_MAX (1UL << 30)

static int
dev_configure(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	int rc;

	rc = e1000e_link_configure(
		port, eth->data->dev_conf.link_speeds, eth->data->dev_conf.txmode.offloads);
	return rc < 0 ? rc : e1000e_rss_configure(eth);
}

/* 4.6.5: choose how frames are stored in buffers, and the receive function accordingly. */
static uint32_t
rx_choose_mode(struct rte_eth_dev *eth)
{
	bool keep_crc = eth->data->dev_conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_KEEP_CRC;
	struct e1000e_port *port = eth->data->dev_private;
	uint32_t min_len = UINT32_MAX, hw_len, rctl = keep_crc ? 0 : E1000E_RCTL_SECRC, max_frame;
	bool edit = keep_crc;
	uint16_t i;

	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		struct e1000e_rxq *q = eth->data->rx_queues[i];

		e1000e_rxq_edits_set(eth, q);
		edit = edit || q->put_tag;
		min_len = RTE_MIN(min_len, (uint32_t)q->buf_len);
	}
	rctl |= e1000e_rctl_bufsize(min_len, &hw_len);
	port->rx_buf_len = hw_len;
	if (eth->data->mtu + E1000E_OVERHEAD > E1000E_MAX_FRAME_NO_LPE) {
		/* With LPE the chip accepts frames of any length. */
		rctl |= E1000E_RCTL_LPE;
		max_frame = UINT16_MAX;
	} else {
		max_frame = E1000E_MAX_FRAME_NO_LPE;
	}
	eth->data->scattered_rx = hw_len < max_frame;
	if (edit)
		eth->rx_pkt_burst = e1000e_rx_burst_edited;
	else if (eth->data->scattered_rx)
		eth->rx_pkt_burst = e1000e_rx_burst_scattered;
	else
		eth->rx_pkt_burst = e1000e_rx_burst;
	return rctl;
}

static void
rx_regs_init(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint64_t offloads = eth->data->dev_conf.rxmode.offloads;
	uint32_t rxcsum = 0;
	unsigned int i;

	for (i = 1; i < E1000E_RAR_ENTRIES; i++)
		e1000e_hw_mac_clear(&port->hw, i);
	e1000e_hw_mac_write(&port->hw, 0, &eth->data->mac_addrs[0]);
	e1000e_hw_mc_write(&port->hw, port->mc, port->n_mc);
	for (i = 0; i < E1000E_VFTA_WORDS; i++)
		e1000e_write(&port->hw, E1000E_VFTA(i), port->vfta[i]);
	e1000e_vlan_apply(eth);

	/* 7.1.4, 7.1.10 */
	e1000e_write(&port->hw, E1000E_RFCTL,
		E1000E_RFCTL_EXSTEN | E1000E_RFCTL_ISCSI_DIS | E1000E_RFCTL_NFSW_DIS |
			E1000E_RFCTL_NFSR_DIS | E1000E_RFCTL_ACK_DIS);
	if (offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM)
		rxcsum |= E1000E_RXCSUM_IPOFLD;
	if (offloads & (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM))
		rxcsum |= E1000E_RXCSUM_TUOFLD;
	e1000e_write(&port->hw, E1000E_RXCSUM, rxcsum | E1000E_RXCSUM_PCSD);
}

/* 4.6.6: inter-packet gap and collision distances, the data sheet's values for copper. */
static void
tx_regs_init(const struct e1000e_hw *hw)
{
	e1000e_write(
		hw, E1000E_TIPG, E1000E_TIPG_IPGT(8) | E1000E_TIPG_IPGR1(8) | E1000E_TIPG_IPGR2(6));
	e1000e_write(hw, E1000E_TCTL,
		E1000E_TCTL_EN | E1000E_TCTL_PSP | E1000E_TCTL_CT(0x0F) | E1000E_TCTL_COLD(0x3F) |
			E1000E_TCTL_MULR);
}

/* Assign MSI-X vectors to the receive queues, in the list that ethdev reads. */
static int
intr_assign_vectors(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t q;

	if (rte_intr_vec_list_alloc(eth->intr_handle, DRIVER_NAME, eth->data->nb_rx_queues) < 0)
		return -ENOMEM;
	for (q = 0; q < eth->data->nb_rx_queues; q++)
		rte_intr_vec_list_index_set(eth->intr_handle, q, VECTOR_RXQ(q));
	port->intr_rxq = true;
	return 0;
}

static void
intr_stop(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;

	if (!port->intr_on)
		return;
	port->intr_on = false;
	/* The callback unmasks its causes until it is unregistered. */
	e1000e_intr_unregister(eth);
	e1000e_write(&port->hw, E1000E_IMC, UINT32_MAX);
	e1000e_write(&port->hw, E1000E_IVAR, 0);
	if (port->intr_rxq)
		rte_intr_vec_list_free(eth->intr_handle);
	port->intr_rxq = false;
	/*
	 * QEMU 7.2 aborts if MSI-X is off when a moderation interval ends (its
	 * e1000e_intrmgr_on_msix_throttling_timer()). A sleep lets QEMU's main loop run. It also
	 * lets the interrupt thread, if it is on its way there, enter the application's callback:
	 * ethdev reads eth->data just before that.
	 */
	rte_delay_us_sleep(INTR_IDLE_US);
	vfio_pci_intr_disable(port->dev);
}

/* 7.4.2: MSI-X with a vector for each enabled cause. */
static int
intr_start(struct rte_eth_dev *eth)
{
	const struct rte_eth_intr_conf *conf = &eth->data->dev_conf.intr_conf;
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t n_rxq = conf->rxq ? eth->data->nb_rx_queues : 0, q;
	uint32_t ivar = E1000E_IVAR_OTHER(VECTOR_OTHER), eiac = 0;
	int rc;

	if (!conf->lsc && !conf->rxq)
		return 0;
	rc = vfio_pci_intr_enable(port->dev, VFIO_PCI_INTR_MSIX, 1 + n_rxq);
	if (rc < 0) {
		E1000E_LOG(ERR, port->hw.name, "cannot enable %u MSI-X vectors: %s", 1 + n_rxq,
			strerror(-rc));
		return rc;
	}
	rc = e1000e_intr_register(eth);
	if (rc < 0)
		goto disable;
	if (n_rxq > 0) {
		rc = intr_assign_vectors(eth);
		if (rc < 0)
			goto unregister;
	}
	for (q = 0; q < n_rxq; q++) {
		ivar |= E1000E_IVAR_RXQ(q, VECTOR_RXQ(q));
		eiac |= E1000E_INTR_RXQ(q);
	}
	/* A receive vector clears its own cause and is masked until rx_queue_intr_enable(). */
	e1000e_write(&port->hw, E1000E_EIAC, eiac);
	e1000e_write(&port->hw, E1000E_IVAR, ivar);
	e1000e_write(&port->hw, E1000E_CTRL_EXT,
		e1000e_read(&port->hw, E1000E_CTRL_EXT) | E1000E_CTRL_EXT_PBA_CLR);
	if (conf->lsc)
		e1000e_write(&port->hw, E1000E_IMS, E1000E_INTR_LSC | E1000E_INTR_OTHER);
	port->intr_on = true;
	return 0;

unregister:
	e1000e_intr_unregister(eth);
disable:
	vfio_pci_intr_disable(port->dev);
	return rc;
}

/* The steps of 4.6, in its order. */
static int
dev_start(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint32_t rctl;
	uint16_t i;
	int rc;

	rc = e1000e_queues_check(eth);
	if (rc < 0)
		return rc;
	rc = e1000e_hw_reset(&port->hw); /* 4.6.1, 4.6.2 */
	if (rc < 0)
		return rc;
	e1000e_hw_own(&port->hw, true);
	rc = e1000e_link_start(port); /* 4.6.3 */
	if (rc < 0)
		goto disown;
	e1000e_stats_refresh(eth); /* 4.6.4: clears registers, keeps sums */
	rx_regs_init(eth); /* 4.6.5 */
	rctl = rx_choose_mode(eth);
	rc = e1000e_queues_start(eth); /* 4.6.5, 4.6.6: the rings */
	if (rc < 0)
		goto stop_link;
	e1000e_rss_apply(eth); /* 7.1.11: knows which queues start */
	e1000e_hw_tx_arbitrate(&port->hw, eth->data->nb_tx_queues);
	rc = intr_start(eth);
	if (rc < 0)
		goto stop_queues;
	rc = vfio_pci_bus_master(port->dev, true);
	if (rc < 0)
		goto stop_intr;

	tx_regs_init(&port->hw); /* 4.6.6 */
	port->rctl = rctl;
	if (eth->data->nb_rx_queues == 0 ||
		eth->data->rx_queue_state[0] == RTE_ETH_QUEUE_STATE_STARTED)
		port->rctl |= E1000E_RCTL_EN;
	e1000e_filters_apply(eth);
	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		const struct e1000e_rxq *q = eth->data->rx_queues[i];

		if (eth->data->rx_queue_state[i] == RTE_ETH_QUEUE_STATE_STARTED)
			e1000e_write(&port->hw, E1000E_RDT(i), q->n_desc - 1);
	}
	e1000e_link_update(eth, 0);
	e1000e_share_start(eth);
	return 0;

stop_intr:
	intr_stop(eth);
stop_queues:
	e1000e_queues_stop(eth);
stop_link:
	e1000e_link_stop(port);
disown:
	e1000e_hw_own(&port->hw, false);
	return rc;
}

static int
dev_stop(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	struct rte_eth_link down = {
		.link_autoneg = port->link.forced ? RTE_ETH_LINK_FIXED : RTE_ETH_LINK_AUTONEG};

	/* Secondary processes stop first: they use registers and rings. */
	e1000e_share_stop(port);
	e1000e_stats_refresh(eth);
	port->rctl = 0;
	e1000e_hw_quiesce(&port->hw);
	vfio_pci_bus_master(port->dev, false);
	intr_stop(eth);
	e1000e_link_stop(port);
	e1000e_hw_own(&port->hw, false);
	/* DMA has stopped, so software owns the buffers again. */
	e1000e_queues_stop(eth);
	rte_eth_linkstatus_set(eth, &down);
	eth->data->dev_started = 0;
	return 0;
}

static int
dev_close(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t i;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return 0;
	gantry_secondary_withdraw(&e1000e_secondary, eth);
	if (eth->data->dev_started)
		dev_stop(eth);
	e1000e_share_close(port);
	for (i = 0; i < eth->data->nb_rx_queues; i++)
		e1000e_rx_queue_release(eth, i);
	for (i = 0; i < eth->data->nb_tx_queues; i++)
		e1000e_tx_queue_release(eth, i);
	e1000e_write(&port->hw, E1000E_LEDCTL, port->led_default);
	e1000e_rings_free(port);
	rte_free(port->mc);
	port->mc = NULL;
	port->n_mc = 0;
	return 0;
}

static int
dev_reset(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	int rc = vfio_pci_reset(port->dev);

	/* Without a function-level reset, use the chip's own. */
	if (rc < 0 && rc != -ENOTSUP)
		return rc;
	return e1000e_hw_reset(&port->hw);
}

static int
is_removed(struct rte_eth_dev *eth)
{
	const struct e1000e_port *port = eth->data->dev_private;

	return e1000e_hw_gone(&port->hw);
}

static int
mtu_set(struct rte_eth_dev *eth, uint16_t mtu)
{
	struct e1000e_port *port = eth->data->dev_private;
	bool lpe = mtu + E1000E_OVERHEAD > E1000E_MAX_FRAME_NO_LPE;

	if (!eth->data->dev_started)
		return 0;
	if (lpe && !eth->data->scattered_rx && !(port->rctl & E1000E_RCTL_LPE))
		return E1000E_FAIL(EBUSY, port->hw.name,
			"an MTU of %u needs another receive function: stop the port first", mtu);
	port->rctl = lpe ? port->rctl | E1000E_RCTL_LPE : port->rctl & ~E1000E_RCTL_LPE;
	e1000e_fc_write(port, mtu);
	return e1000e_filters_apply(eth);
}

static int
flow_ctrl_set(struct rte_eth_dev *eth, struct rte_eth_fc_conf *conf)
{
	int rc = e1000e_flow_ctrl_set(eth, conf);

	return rc < 0 ? rc : e1000e_filters_apply(eth); /* RCTL.PMCF */
}

static int
rx_queue_intr_enable(struct rte_eth_dev *eth, uint16_t id)
{
	const struct e1000e_port *port = eth->data->dev_private;

	if (!port->intr_rxq)
		return -ENOTSUP;
	/* A packet that arrived while the vector was masked is pending, and interrupts at once. */
	e1000e_write(&port->hw, E1000E_IMS, E1000E_INTR_RXQ(id));
	return 0;
}

static int
rx_queue_intr_disable(struct rte_eth_dev *eth, uint16_t id)
{
	const struct e1000e_port *port = eth->data->dev_private;

	if (!port->intr_rxq)
		return -ENOTSUP;
	e1000e_write(&port->hw, E1000E_IMC, E1000E_INTR_RXQ(id));
	return 0;
}

GANTRY_ETH_PTYPES_GET(ptypes_get, e1000e_supported_ptypes)
GANTRY_ETH_STATS_GET(stats_get, e1000e_stats_get)

const struct eth_dev_ops e1000e_ops = {
	.dev_configure = dev_configure,
	.dev_start = dev_start,
	.dev_stop = dev_stop,
	.dev_close = dev_close,
	.dev_reset = dev_reset,
	.is_removed = is_removed,
	.link_update = e1000e_link_update,
	.dev_set_link_up = e1000e_set_link_up,
	.dev_set_link_down = e1000e_set_link_down,
	.flow_ctrl_get = e1000e_flow_ctrl_get,
	.flow_ctrl_set = flow_ctrl_set,
	.dev_led_on = e1000e_led_on,
	.dev_led_off = e1000e_led_off,
	.get_reg = e1000e_get_reg,
	.get_eeprom_length = e1000e_get_eeprom_length,
	.get_eeprom = e1000e_get_eeprom,
	.set_eeprom = e1000e_set_eeprom,
	.promiscuous_enable = e1000e_promiscuous_enable,
	.promiscuous_disable = e1000e_promiscuous_disable,
	.allmulticast_enable = e1000e_allmulticast_enable,
	.allmulticast_disable = e1000e_allmulticast_disable,
	.mac_addr_add = e1000e_mac_addr_add,
	.mac_addr_remove = e1000e_mac_addr_remove,
	.mac_addr_set = e1000e_mac_addr_set,
	.set_mc_addr_list = e1000e_set_mc_addr_list,
	.mtu_set = mtu_set,
	.stats_get = stats_get,
	.stats_reset = e1000e_stats_reset,
	.xstats_get = e1000e_xstats_get,
	.xstats_reset = e1000e_stats_reset,
	.xstats_get_names = e1000e_xstats_get_names,
	.dev_infos_get = e1000e_dev_infos_get,
	.rxq_info_get = e1000e_rxq_info_get,
	.txq_info_get = e1000e_txq_info_get,
	.rx_burst_mode_get = e1000e_rx_burst_mode_get,
	.tx_burst_mode_get = e1000e_tx_burst_mode_get,
	.fw_version_get = e1000e_fw_version_get,
	.dev_supported_ptypes_get = ptypes_get,
	.vlan_filter_set = e1000e_vlan_filter_set,
	.vlan_offload_set = e1000e_vlan_offload_set,
	.rx_queue_setup = e1000e_rx_queue_setup,
	.rx_queue_release = e1000e_rx_queue_release,
	.rx_queue_start = e1000e_rx_queue_start,
	.rx_queue_stop = e1000e_rx_queue_stop,
	.rx_queue_intr_enable = rx_queue_intr_enable,
	.rx_queue_intr_disable = rx_queue_intr_disable,
	.tx_queue_setup = e1000e_tx_queue_setup,
	.tx_queue_release = e1000e_tx_queue_release,
	.tx_queue_start = e1000e_tx_queue_start,
	.tx_queue_stop = e1000e_tx_queue_stop,
	.tx_done_cleanup = e1000e_tx_done_cleanup,
	.rss_hash_update = e1000e_rss_hash_update,
	.rss_hash_conf_get = e1000e_rss_hash_conf_get,
	.reta_update = e1000e_reta_update,
	.reta_query = e1000e_reta_query,
};

/* Operations of a secondary process: those that need no registers. */
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
	RTE_SET_USED(eth);
	RTE_SET_USED(wait);
	return 0;
}

static const struct eth_dev_ops secondary_ops = {
	.dev_close = secondary_close,
	.is_removed = secondary_is_removed,
	.tx_done_cleanup = e1000e_view_done_cleanup,
	.link_update = secondary_link_update,
	.stats_get = stats_get,
	.stats_reset = e1000e_stats_reset,
	.xstats_get = e1000e_xstats_get,
	.xstats_reset = e1000e_stats_reset,
	.xstats_get_names = e1000e_xstats_get_names,
	.dev_infos_get = e1000e_dev_infos_get,
	.rxq_info_get = e1000e_rxq_info_get,
	.txq_info_get = e1000e_txq_info_get,
	.dev_supported_ptypes_get = ptypes_get,
	.rss_hash_conf_get = e1000e_rss_hash_conf_get,
	.reta_query = e1000e_reta_query,
};

static int
args_parse_split(const char *key, const char *value, void *arg)
{
	unsigned long split;
	char *end;

	RTE_SET_USED(key);
	errno = 0;
	split = value != NULL && isdigit((unsigned char)value[0]) ? strtoul(value, &end, 0) : 0;
	if (errno != 0 || split < TX_SPLIT_MIN || split > TX_SPLIT_MAX || *end != '\0' ||
		!rte_is_power_of_2(split))
		return -1;
	*(uint32_t *)arg = split;
	return 0;
}

static int
args_parse(const struct vfio_pci_device *dev, struct e1000e_port *port)
{
	const struct rte_devargs *devargs = dev->device.devargs;
	struct rte_kvargs *kvlist;
	int rc;

	if (devargs == NULL || devargs->drv_str == NULL || devargs->drv_str[0] == '\0')
		return 0;
	kvlist = rte_kvargs_parse(devargs->drv_str, NULL);
	if (kvlist == NULL)
		return -ENOMEM; /* the bus has checked its form */
	rc = rte_kvargs_process(kvlist, ARG_TX_SPLIT, args_parse_split, &port->tx_split);
	if (rc < 0)
		E1000E_LOG(ERR, dev->name,
			"invalid argument " ARG_TX_SPLIT
			"=%s: expected a power of two from %lu to %lu",
			rte_kvargs_get(kvlist, ARG_TX_SPLIT), TX_SPLIT_MIN, TX_SPLIT_MAX);
	rte_kvargs_free(kvlist);
	return rc < 0 ? -EINVAL : 0;
}

static int
port_init(struct rte_eth_dev *eth, void *arg)
{
	struct e1000e_port *port = eth->data->dev_private;
	struct vfio_pci_device *dev = arg;
	int rc;

	if (dev->bar[0].addr == NULL || dev->bar[0].len < 0x20000)
		return E1000E_FAIL(
			ENODEV, dev->name, "BAR 0 is not mapped: its registers cannot be accessed");
	port->hw = (struct e1000e_hw){.regs = dev->bar[0].addr, .name = dev->name};
	port->dev = dev;
	port->data = eth->data;
	rte_spinlock_init(&port->stats_lock);
	e1000e_rss_init(port);

	rc = args_parse(dev, port);
	if (rc < 0)
		return rc;
	rc = dmamap_device_dma_mask(dev->dma, 64);
	if (rc < 0)
		return rc;
	rc = e1000e_hw_reset(&port->hw);
	if (rc < 0)
		return rc;

	eth->data->mac_addrs =
		rte_zmalloc("e1000e mac", E1000E_RAR_ENTRIES * RTE_ETHER_ADDR_LEN, 0);
	if (eth->data->mac_addrs == NULL)
		return -ENOMEM;
	rc = e1000e_hw_mac_read(&port->hw, &eth->data->mac_addrs[0]);
	if (rc < 0) {
		E1000E_LOG(ERR, dev->name, "the NVM holds no valid MAC address");
		return rc; /* ethdev frees mac_addrs with the port */
	}
	e1000e_link_init(port);

	eth->dev_ops = &e1000e_ops;
	eth->rx_pkt_burst = e1000e_rx_burst;
	eth->tx_pkt_burst = e1000e_tx_burst;
	eth->tx_pkt_prepare = e1000e_tx_prepare;
	eth->rx_queue_count = e1000e_rx_queue_count;
	eth->rx_descriptor_status = e1000e_rx_descriptor_status;
	eth->tx_descriptor_status = e1000e_tx_descriptor_status;
	eth->intr_handle = dev->intr_handle;
	eth->data->numa_node = dev->device.numa_node;
	eth->data->dev_flags |=
		RTE_ETH_DEV_INTR_LSC | RTE_ETH_DEV_INTR_RMV | RTE_ETH_DEV_AUTOFILL_QUEUE_XSTATS;
	return 0;
}

static int
e1000e_probe(struct vfio_pci_driver *driver, struct vfio_pci_device *dev)
{
	int rc = rte_eth_dev_create(
		&dev->device, dev->name, sizeof(struct e1000e_port), NULL, NULL, port_init, dev);

	if (rc == 0)
		gantry_secondary_serve(&e1000e_secondary, rte_eth_dev_allocated(dev->name));
	return rc;
}

static int
secondary_init(struct rte_eth_dev *eth, void *arg)
{
	RTE_SET_USED(arg);
	eth->dev_ops = &secondary_ops;
	gantry_eth_secondary_init(eth);
	return 0;
}

static int
secondary_probe(struct vfio_pci_driver *driver, struct vfio_pci_device *dev)
{
	int rc = rte_eth_dev_create(&dev->device, dev->name, 0, NULL, NULL, secondary_init, NULL);

	/* Counters can be read without a connection. */
	if (rc == 0)
		e1000e_view_attach(rte_eth_dev_allocated(dev->name));
	return rc;
}

static int
secondary_remove(struct vfio_pci_device *dev)
{
	struct rte_eth_dev *eth = rte_eth_dev_allocated(dev->name);

	if (eth == NULL)
		return 0;
	gantry_view_detach(eth);
	return rte_eth_dev_release_port(eth);
}

static int
e1000e_remove(struct vfio_pci_device *dev)
{
	struct rte_eth_dev *eth = rte_eth_dev_allocated(dev->name);

	/* The application may have closed the port. */
	if (eth == NULL)
		return 0;
	if (eth->data->dev_started && !is_removed(eth))
		return E1000E_FAIL(EBUSY, dev->name,
			"port %u is running: stop it before its device is removed",
			eth->data->port_id);
	dev_close(eth);
	return rte_eth_dev_release_port(eth);
}

static void
e1000e_remove_request(struct vfio_pci_device *dev)
{
	struct rte_eth_dev *eth = rte_eth_dev_allocated(dev->name);

	if (eth != NULL)
		rte_eth_dev_callback_process(eth, RTE_ETH_EVENT_INTR_RMV, NULL);
}

/* rte_eth_dev_reset() resets the function, and the application sets the port up again. */
static void
e1000e_error(struct vfio_pci_device *dev)
{
	struct rte_eth_dev *eth = rte_eth_dev_allocated(dev->name);

	if (eth != NULL)
		rte_eth_dev_callback_process(eth, RTE_ETH_EVENT_INTR_RESET, NULL);
}

/* ethdev's call also makes the bursts of lcores that still poll harmless. */
static void
e1000e_stop(struct vfio_pci_device *dev)
{
	const struct rte_eth_dev *eth = rte_eth_dev_allocated(dev->name);

	if (eth != NULL && eth->data->dev_started)
		rte_eth_dev_stop(eth->data->port_id);
}

/* The 82574L. */
#define E1000E_IDS(ID) ID(0x8086, 0x10d3)

static const struct rte_pci_id ids[] = VFIO_PCI_ID_TABLE(E1000E_IDS);

static const char *const params[] = {ARG_TX_SPLIT, NULL};

static struct vfio_pci_driver driver = {
	.id_table = ids,
	.params = params,
	.probe = e1000e_probe,
	.remove = e1000e_remove,
	.secondary_probe = secondary_probe,
	.secondary_remove = secondary_remove,
	.remove_request = e1000e_remove_request,
	.error = e1000e_error,
	.fault = e1000e_fault,
	.stop = e1000e_stop,
};

RTE_PMD_REGISTER_VFIO_PCI(net_gantry_e1000e, driver);
VFIO_PCI_PMD_INFO(net_gantry_e1000e, E1000E_IDS, "tx_split=<4096-1073741824>");
