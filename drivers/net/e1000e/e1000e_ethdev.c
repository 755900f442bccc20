/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The ethdev port: probe and remove, start and stop, filters and interrupt vectors. The table of
 * operations and the registration come last.
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

static const uint8_t rss_default_key[E1000E_RSSRK_LEN] = {
	0x6d,
	0x5a,
	0x56,
	0xda,
	0x25,
	0x5b,
	0x0e,
	0xc2,
	0x41,
	0x67,
	0x25,
	0x3d,
	0x43,
	0xa3,
	0x8f,
	0xb0,
	0xd0,
	0xca,
	0x2b,
	0xcb,
	0xae,
	0x7b,
	0x30,
	0xb4,
	0x77,
	0xcb,
	0x2d,
	0xa3,
	0x80,
	0x30,
	0xf2,
	0x0c,
	0x6a,
	0x42,
	0xb7,
	0x3b,
	0xbe,
	0xac,
	0x01,
	0xfa,
};

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
static int
filters_apply(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;

	if (port->rctl & E1000E_RCTL_EN)
		e1000e_write(&port->hw, E1000E_RCTL,
			port->rctl | filters_rctl_bits(eth->data) |
				(port->fc.mac_ctrl_frame_fwd ? E1000E_RCTL_PMCF : 0));
	return 0;
}

/* ethdev compares the length of a key, and of room for one, with hash_key_size since 23.11. */
static int
rss_check_key(const struct e1000e_port *port, const struct rte_eth_rss_conf *conf)
{
	if (conf->rss_key == NULL || conf->rss_key_len == E1000E_RSSRK_LEN)
		return 0;
	return E1000E_FAIL(EINVAL, port->hw.name, "invalid rss_key_len %u: expected %u",
		conf->rss_key_len, E1000E_RSSRK_LEN);
}

static int
dev_configure(struct rte_eth_dev *eth)
{
	const struct rte_eth_conf *conf = &eth->data->dev_conf;
	struct e1000e_port *port = eth->data->dev_private;
	unsigned int i;
	int rc;

	if (conf->rxmode.mq_mode != RTE_ETH_MQ_RX_NONE && conf->rxmode.mq_mode != RTE_ETH_MQ_RX_RSS)
		return E1000E_FAIL(EINVAL, port->hw.name,
			"unsupported mq_mode: RSS is the only multi-queue mode");
	rc = rss_check_key(port, &conf->rx_adv_conf.rss_conf);
	if (rc == 0)
		rc = e1000e_link_configure(port, conf->link_speeds);
	if (rc < 0)
		return rc;
	port->rss_hf = 0;
	if (conf->rxmode.mq_mode == RTE_ETH_MQ_RX_RSS && eth->data->nb_rx_queues > 0) {
		port->rss_hf = conf->rx_adv_conf.rss_conf.rss_hf & E1000E_RSS_TYPES;
		if (conf->rx_adv_conf.rss_conf.rss_key != NULL)
			memcpy(port->rss_key, conf->rx_adv_conf.rss_conf.rss_key,
				sizeof(port->rss_key));
		for (i = 0; i < E1000E_RETA_ENTRIES; i++)
			port->reta[i] = i % eth->data->nb_rx_queues;
	}
	return 0;
}

/*
 * CTRL.VME turns on stripping and insertion (7.5). With insertion alone, receive queues put tags
 * back.
 */
static void
vlan_apply(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	bool strip = eth->data->dev_conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
	bool insert = eth->data->dev_conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
	uint16_t i;

	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		struct e1000e_rxq *q = eth->data->rx_queues[i];

		if (q != NULL)
			q->put_tag = insert && !strip;
	}
	e1000e_hw_vlan_strip(&port->hw, strip || insert);
}

/* 4.6.5: choose how frames are stored in buffers, and the receive function accordingly. */
static uint32_t
rx_choose_mode(struct rte_eth_dev *eth)
{
	bool keep_crc = eth->data->dev_conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_KEEP_CRC;
	uint32_t min_len = UINT32_MAX, hw_len, rctl = keep_crc ? 0 : E1000E_RCTL_SECRC, max_frame;
	bool edit = keep_crc;
	uint16_t i;

	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		struct e1000e_rxq *q = eth->data->rx_queues[i];

		q->crc_len = keep_crc ? RTE_ETHER_CRC_LEN : 0;
		edit = edit || q->put_tag;
		min_len = RTE_MIN(min_len, (uint32_t)q->buf_len);
	}
	rctl |= e1000e_rctl_bufsize(min_len, &hw_len);
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
	vlan_apply(eth);

	/* 7.1.4, 7.1.10, 7.1.11 */
	e1000e_write(&port->hw, E1000E_RFCTL,
		E1000E_RFCTL_EXSTEN | E1000E_RFCTL_ISCSI_DIS | E1000E_RFCTL_NFSW_DIS |
			E1000E_RFCTL_NFSR_DIS | E1000E_RFCTL_ACK_DIS);
	if (offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM)
		rxcsum |= E1000E_RXCSUM_IPOFLD;
	if (offloads & (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM))
		rxcsum |= E1000E_RXCSUM_TUOFLD;
	e1000e_write(&port->hw, E1000E_RXCSUM, rxcsum | E1000E_RXCSUM_PCSD);
	e1000e_hw_rss_write(&port->hw, port->rss_key, port->reta, port->rss_hf);
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
	e1000e_hw_tx_arbitrate(&port->hw, eth->data->nb_tx_queues);
	rc = intr_start(eth);
	if (rc < 0)
		goto stop_queues;
	rc = vfio_pci_bus_master(port->dev, true);
	if (rc < 0)
		goto stop_intr;

	tx_regs_init(&port->hw); /* 4.6.6 */
	port->rctl = rctl | E1000E_RCTL_EN;
	filters_apply(eth);
	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		const struct e1000e_rxq *q = eth->data->rx_queues[i];

		e1000e_write(&port->hw, E1000E_RDT(i), q->n_desc - 1);
	}
	e1000e_link_update(eth, 0);
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
	if (eth->data->dev_started)
		dev_stop(eth);
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

/* filters_apply() reads the modes in eth->data, which ethdev sets only after the call. */
static int
filters_set_mode(struct rte_eth_dev *eth, bool promiscuous, bool all_multicast)
{
	eth->data->promiscuous = promiscuous;
	eth->data->all_multicast = all_multicast;
	return filters_apply(eth);
}

static int
promiscuous_enable(struct rte_eth_dev *eth)
{
	return filters_set_mode(eth, true, eth->data->all_multicast);
}

static int
promiscuous_disable(struct rte_eth_dev *eth)
{
	return filters_set_mode(eth, false, eth->data->all_multicast);
}

static int
allmulticast_enable(struct rte_eth_dev *eth)
{
	return filters_set_mode(eth, eth->data->promiscuous, true);
}

static int
allmulticast_disable(struct rte_eth_dev *eth)
{
	return filters_set_mode(eth, eth->data->promiscuous, false);
}

static int
mac_addr_add(struct rte_eth_dev *eth, struct rte_ether_addr *mac, uint32_t index, uint32_t pool)
{
	const struct e1000e_port *port = eth->data->dev_private;

	if (index >= E1000E_RAR_ENTRIES)
		return -EINVAL;
	e1000e_hw_mac_write(&port->hw, index, mac);
	return 0;
}

static void
mac_addr_remove(struct rte_eth_dev *eth, uint32_t index)
{
	const struct e1000e_port *port = eth->data->dev_private;

	if (index < E1000E_RAR_ENTRIES)
		e1000e_hw_mac_clear(&port->hw, index);
}

static int
mac_addr_set(struct rte_eth_dev *eth, struct rte_ether_addr *mac)
{
	return mac_addr_add(eth, mac, 0, 0);
}

static int
set_mc_addr_list(struct rte_eth_dev *eth, struct rte_ether_addr *list, uint32_t n)
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
	return filters_apply(eth);
}

static int
vlan_filter_set(struct rte_eth_dev *eth, uint16_t vlan, int on)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint32_t *word = &port->vfta[vlan / 32];

	*word = on ? *word | RTE_BIT32(vlan % 32) : *word & ~RTE_BIT32(vlan % 32);
	e1000e_write(&port->hw, E1000E_VFTA(vlan / 32), *word);
	return 0;
}

static int
vlan_offload_set(struct rte_eth_dev *eth, int mask)
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
		vlan_apply(eth);
	}
	if (mask & RTE_ETH_VLAN_FILTER_MASK)
		filters_apply(eth);
	return 0;
}

static int
flow_ctrl_set(struct rte_eth_dev *eth, struct rte_eth_fc_conf *conf)
{
	int rc = e1000e_flow_ctrl_set(eth, conf);

	return rc < 0 ? rc : filters_apply(eth); /* RCTL.PMCF */
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

static int
rss_hash_update(struct rte_eth_dev *eth, struct rte_eth_rss_conf *conf)
{
	struct e1000e_port *port = eth->data->dev_private;
	int rc = rss_check_key(port, conf);

	if (rc < 0)
		return rc;
	/* RSS is enabled at configuration only: queue 1 must have buffers. */
	if (port->rss_hf == 0 && conf->rss_hf != 0)
		return -EINVAL;
	port->rss_hf = conf->rss_hf & E1000E_RSS_TYPES;
	if (conf->rss_key != NULL)
		memcpy(port->rss_key, conf->rss_key, sizeof(port->rss_key));
	e1000e_hw_rss_write(&port->hw, port->rss_key, port->reta, port->rss_hf);
	return 0;
}

static int
rss_hash_conf_get(struct rte_eth_dev *eth, struct rte_eth_rss_conf *conf)
{
	const struct e1000e_port *port = eth->data->dev_private;

	if (conf->rss_key != NULL && conf->rss_key_len < E1000E_RSSRK_LEN)
		return E1000E_FAIL(EINVAL, port->hw.name,
			"invalid rss_key_len %u: a key has %u bytes", conf->rss_key_len,
			E1000E_RSSRK_LEN);
	conf->rss_hf = port->rss_hf;
	conf->rss_key_len = sizeof(port->rss_key);
	if (conf->rss_key != NULL)
		memcpy(conf->rss_key, port->rss_key, sizeof(port->rss_key));
	return 0;
}

static int
reta_update(struct rte_eth_dev *eth, struct rte_eth_rss_reta_entry64 *reta, uint16_t size)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t i;

	if (size != E1000E_RETA_ENTRIES)
		return -EINVAL;
	for (i = 0; i < size; i++)
		if (reta[i / RTE_ETH_RETA_GROUP_SIZE].mask & RTE_BIT64(i % RTE_ETH_RETA_GROUP_SIZE))
			port->reta[i] =
				reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	e1000e_hw_rss_write(&port->hw, port->rss_key, port->reta, port->rss_hf);
	return 0;
}

static int
reta_query(struct rte_eth_dev *eth, struct rte_eth_rss_reta_entry64 *reta, uint16_t size)
{
	const struct e1000e_port *port = eth->data->dev_private;
	uint16_t i;

	if (size != E1000E_RETA_ENTRIES)
		return -EINVAL;
	for (i = 0; i < size; i++)
		if (reta[i / RTE_ETH_RETA_GROUP_SIZE].mask & RTE_BIT64(i % RTE_ETH_RETA_GROUP_SIZE))
			reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] =
				port->reta[i];
	return 0;
}

static const uint32_t *
supported_ptypes(struct rte_eth_dev *eth)
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

static int
rx_burst_mode_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_burst_mode *mode)
{
	RTE_SET_USED(id);
	snprintf(mode->info, sizeof(mode->info), "%s",
		eth->rx_pkt_burst == e1000e_rx_burst_edited              ? "Scalar Scattered Edited"
			: eth->rx_pkt_burst == e1000e_rx_burst_scattered ? "Scalar Scattered"
									 : "Scalar");
	return 0;
}

static int
tx_burst_mode_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_burst_mode *mode)
{
	const struct e1000e_txq *q = eth->data->tx_queues[id];

	snprintf(
		mode->info, sizeof(mode->info), "%s", q->fast_free ? "Scalar Fast Free" : "Scalar");
	return 0;
}

static int
fw_version_get(struct rte_eth_dev *eth, char *text, size_t len)
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

GANTRY_ETH_PTYPES_GET(ptypes_get, supported_ptypes)
GANTRY_ETH_STATS_GET(stats_get, e1000e_stats_get)

static int
dev_infos_get(struct rte_eth_dev *eth, struct rte_eth_dev_info *info)
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
	.promiscuous_enable = promiscuous_enable,
	.promiscuous_disable = promiscuous_disable,
	.allmulticast_enable = allmulticast_enable,
	.allmulticast_disable = allmulticast_disable,
	.mac_addr_add = mac_addr_add,
	.mac_addr_remove = mac_addr_remove,
	.mac_addr_set = mac_addr_set,
	.set_mc_addr_list = set_mc_addr_list,
	.mtu_set = mtu_set,
	.stats_get = stats_get,
	.stats_reset = e1000e_stats_reset,
	.xstats_get = e1000e_xstats_get,
	.xstats_reset = e1000e_stats_reset,
	.xstats_get_names = e1000e_xstats_get_names,
	.dev_infos_get = dev_infos_get,
	.rxq_info_get = e1000e_rxq_info_get,
	.txq_info_get = e1000e_txq_info_get,
	.rx_burst_mode_get = rx_burst_mode_get,
	.tx_burst_mode_get = tx_burst_mode_get,
	.fw_version_get = fw_version_get,
	.dev_supported_ptypes_get = ptypes_get,
	.vlan_filter_set = vlan_filter_set,
	.vlan_offload_set = vlan_offload_set,
	.rx_queue_setup = e1000e_rx_queue_setup,
	.rx_queue_release = e1000e_rx_queue_release,
	.rx_queue_intr_enable = rx_queue_intr_enable,
	.rx_queue_intr_disable = rx_queue_intr_disable,
	.tx_queue_setup = e1000e_tx_queue_setup,
	.tx_queue_release = e1000e_tx_queue_release,
	.tx_done_cleanup = e1000e_tx_done_cleanup,
	.rss_hash_update = rss_hash_update,
	.rss_hash_conf_get = rss_hash_conf_get,
	.reta_update = reta_update,
	.reta_query = reta_query,
};

/* Operations of a secondary process: those that need neither registers nor rings. */
static int
secondary_link_update(struct rte_eth_dev *eth, int wait)
{
	RTE_SET_USED(eth);
	RTE_SET_USED(wait);
	return 0;
}

static const struct eth_dev_ops secondary_ops = {
	.link_update = secondary_link_update,
	.stats_get = stats_get,
	.stats_reset = e1000e_stats_reset,
	.xstats_get = e1000e_xstats_get,
	.xstats_reset = e1000e_stats_reset,
	.xstats_get_names = e1000e_xstats_get_names,
	.dev_infos_get = dev_infos_get,
	.rxq_info_get = e1000e_rxq_info_get,
	.txq_info_get = e1000e_txq_info_get,
	.dev_supported_ptypes_get = ptypes_get,
	.rss_hash_conf_get = rss_hash_conf_get,
	.reta_query = reta_query,
};

/* Refresh a port for a secondary process, which may name a port of another driver. */
static int
port_refresh(struct rte_eth_dev *eth)
{
	return eth->dev_ops == &e1000e_ops ? e1000e_stats_refresh(eth) : -ENODEV;
}

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
	memcpy(port->rss_key, rss_default_key, sizeof(port->rss_key));

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
		e1000e_secondary_serve(dev->name, port_refresh);
	return rc;
}

static int
secondary_init(struct rte_eth_dev *eth, void *arg)
{
	RTE_SET_USED(arg);
	eth->dev_ops = &secondary_ops;
	eth->rx_pkt_burst = rte_eth_pkt_burst_dummy;
	eth->tx_pkt_burst = rte_eth_pkt_burst_dummy;
	return 0;
}

static int
secondary_probe(struct vfio_pci_driver *driver, struct vfio_pci_device *dev)
{
	return rte_eth_dev_create(&dev->device, dev->name, 0, NULL, NULL, secondary_init, NULL);
}

static int
secondary_remove(struct vfio_pci_device *dev)
{
	struct rte_eth_dev *eth = rte_eth_dev_allocated(dev->name);

	return eth != NULL ? rte_eth_dev_release_port(eth) : 0;
}

static int
e1000e_remove(struct vfio_pci_device *dev)
{
	struct rte_eth_dev *eth = rte_eth_dev_allocated(dev->name);

	/* The application may have closed the port. */
	if (eth == NULL) {
		e1000e_secondary_done();
		return 0;
	}
	if (eth->data->dev_started && !is_removed(eth))
		return E1000E_FAIL(EBUSY, dev->name,
			"port %u is running: stop it before its device is removed",
			eth->data->port_id);
	dev_close(eth);
	e1000e_secondary_done();
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
	.stop = e1000e_stop,
};

RTE_PMD_REGISTER_VFIO_PCI(net_gantry_e1000e, driver);
VFIO_PCI_PMD_INFO(net_gantry_e1000e, E1000E_IDS, "tx_split=<4096-1073741824>");
