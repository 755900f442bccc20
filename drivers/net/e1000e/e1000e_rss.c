/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Receive-side scaling: types, key and table. Operations of ethdev; called by e1000e_ethdev.c.
 */

#include <errno.h>
#include <string.h>

#include "e1000e.h"

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

/* ethdev compares the length of a key, and of room for one, with hash_key_size since 23.11. */
static int
rss_check_key(const struct e1000e_port *port, const struct rte_eth_rss_conf *conf)
{
	if (conf->rss_key == NULL || conf->rss_key_len == E1000E_RSSRK_LEN)
		return 0;
	return E1000E_FAIL(EINVAL, port->hw.name, "invalid rss_key_len %u: expected %u",
		conf->rss_key_len, E1000E_RSSRK_LEN);
}

void
e1000e_rss_init(struct e1000e_port *port)
{
	memcpy(port->rss_key, rss_default_key, sizeof(port->rss_key));
}

void
e1000e_rss_apply(const struct rte_eth_dev *eth)
{
	const struct e1000e_port *port = eth->data->dev_private;
	uint8_t reta[E1000E_RETA_ENTRIES];
	unsigned int i;

	for (i = 0; i < E1000E_RETA_ENTRIES; i++)
		reta[i] = eth->data->rx_queue_state[port->reta[i]] == RTE_ETH_QUEUE_STATE_STARTED
			? port->reta[i]
			: 0;
	e1000e_hw_rss_write(&port->hw, port->rss_key, reta, port->rss_hf);
}

int
e1000e_rss_configure(struct rte_eth_dev *eth)
{
	const struct rte_eth_conf *conf = &eth->data->dev_conf;
	const struct rte_eth_rss_conf *rss = &conf->rx_adv_conf.rss_conf;
	struct e1000e_port *port = eth->data->dev_private;
	unsigned int i;
	int rc;

	if (conf->rxmode.mq_mode != RTE_ETH_MQ_RX_NONE && conf->rxmode.mq_mode != RTE_ETH_MQ_RX_RSS)
		return E1000E_FAIL(EINVAL, port->hw.name,
			"unsupported mq_mode: RSS is the only multi-queue mode");
	rc = rss_check_key(port, rss);
	if (rc < 0)
		return rc;
	port->rss_hf = 0;
	if (conf->rxmode.mq_mode == RTE_ETH_MQ_RX_NONE || eth->data->nb_rx_queues == 0)
		return 0;
	port->rss_hf = rss->rss_hf & E1000E_RSS_TYPES;
	if (rss->rss_key != NULL)
		memcpy(port->rss_key, rss->rss_key, sizeof(port->rss_key));
	for (i = 0; i < E1000E_RETA_ENTRIES; i++)
		port->reta[i] = i % eth->data->nb_rx_queues;
	return 0;
}

int
e1000e_rss_hash_update(struct rte_eth_dev *eth, struct rte_eth_rss_conf *conf)
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
	e1000e_rss_apply(eth);
	return 0;
}

int
e1000e_rss_hash_conf_get(struct rte_eth_dev *eth, struct rte_eth_rss_conf *conf)
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

int
e1000e_reta_update(struct rte_eth_dev *eth, struct rte_eth_rss_reta_entry64 *reta, uint16_t size)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t i;

	if (size != E1000E_RETA_ENTRIES)
		return -EINVAL;
	for (i = 0; i < size; i++)
		if (reta[i / RTE_ETH_RETA_GROUP_SIZE].mask & RTE_BIT64(i % RTE_ETH_RETA_GROUP_SIZE))
			port->reta[i] =
				reta[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	e1000e_rss_apply(eth);
	return 0;
}

int
e1000e_reta_query(struct rte_eth_dev *eth, struct rte_eth_rss_reta_entry64 *reta, uint16_t size)
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
