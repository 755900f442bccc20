/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The primary process hands the queues of a started port to secondary processes, and takes them
 * back before it stops the port or a queue.
 *
 * A state is what secondary processes need to poll: which queues are started, how BAR 0 is mapped,
 * and where the rings lie; the files of both come with it. The last one is kept for processes that
 * come later. Called by e1000e_ethdev.c and e1000e_queue_run.c, and by the EAL's thread that
 * answers secondary processes.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <bus_vfio_pci_driver.h>
#include <dmamap.h>

#include "e1000e.h"

/* Guards the secondary processes of all ports, and what they were told. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct gantry_share_state
state_of(struct e1000e_port *port)
{
	struct gantry_share_state state = {
		.msg = &port->share_msg.head, .len = sizeof(port->share_msg)};

	if (port->share_msg.running) {
		state.fd[E1000E_SHARE_DEVICE] = dmamap_device_fd(port->dev->dma);
		state.fd[E1000E_SHARE_RINGS] = dmamap_zone_fd(port->rings, NULL);
		state.n_fds = 2;
	}
	return state;
}

static void
share_tell(struct e1000e_port *port)
{
	const struct gantry_share_state state = state_of(port);
	char name[sizeof("net_gantry_e1000e: ") + RTE_DEV_NAME_MAX_LEN];

	snprintf(name, sizeof(name), "net_gantry_e1000e: %s", port->hw.name);
	gantry_share_tell(&port->share, &state, e1000e_logtype, name);
}

static enum e1000e_share_rx
share_rx_of(const struct rte_eth_dev *eth)
{
	if (eth->rx_pkt_burst == e1000e_rx_burst_edited)
		return E1000E_SHARE_RX_EDITED;
	return eth->rx_pkt_burst == e1000e_rx_burst_scattered ? E1000E_SHARE_RX_SCATTERED
							      : E1000E_SHARE_RX_PLAIN;
}

/* @return the started queues, a bit each */
static uint32_t
started(const uint8_t *states, unsigned int n)
{
	uint32_t bits = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		if (states[i] == RTE_ETH_QUEUE_STATE_STARTED)
			bits |= RTE_BIT32(i);
	return bits;
}

static void
share_set_queues(const struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;

	port->share_msg.rx_open = started(eth->data->rx_queue_state, eth->data->nb_rx_queues);
	port->share_msg.tx_open = started(eth->data->tx_queue_state, eth->data->nb_tx_queues);
}

int
e1000e_share_attach(struct rte_eth_dev *eth, int fd)
{
	struct e1000e_port *port = eth->data->dev_private;
	struct gantry_share_state state;
	int rc;

	pthread_mutex_lock(&lock);
	state = state_of(port);
	rc = gantry_share_add(&port->share, &state, fd);
	pthread_mutex_unlock(&lock);
	return rc;
}

void
e1000e_share_start(const struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	struct e1000e_share_msg msg = {.running = true, .rx = share_rx_of(eth)};
	int rc;

	if (port->rings == NULL)
		return;
	rc = vfio_pci_bar_describe(port->dev, 0, &msg.bar);
	if (rc == 0)
		rc = dmamap_zone_fd(port->rings, &msg.rings_at);
	if (rc < 0) {
		E1000E_LOG(WARNING, port->hw.name,
			"its queues cannot be shared with secondary processes: %s", strerror(-rc));
		return;
	}
	msg.rings = dmamap_zone_va(port->rings);
	msg.rings_len = dmamap_zone_len(port->rings);
	pthread_mutex_lock(&lock);
	port->share_msg = msg;
	share_set_queues(eth);
	share_tell(port);
	pthread_mutex_unlock(&lock);
}

void
e1000e_share_queues(const struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;

	pthread_mutex_lock(&lock);
	if (port->share_msg.running) {
		share_set_queues(eth);
		share_tell(port);
	}
	pthread_mutex_unlock(&lock);
}

void
e1000e_share_stop(struct e1000e_port *port)
{
	pthread_mutex_lock(&lock);
	if (port->share_msg.running) {
		port->share_msg = (struct e1000e_share_msg){.running = false};
		share_tell(port);
	}
	pthread_mutex_unlock(&lock);
}

void
e1000e_share_close(struct e1000e_port *port)
{
	pthread_mutex_lock(&lock);
	port->share_msg = (struct e1000e_share_msg){.head.closed = true};
	share_tell(port);
	gantry_share_end(&port->share);
	pthread_mutex_unlock(&lock);
}
