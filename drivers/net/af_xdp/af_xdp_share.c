/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The primary process hands the queues of a started port to secondary processes, and takes them
 * back before it closes the sockets.
 *
 * A state names the open queues; their sockets come with it. The last one is kept for processes
 * that come later. Called by af_xdp_ethdev.c at start, stop and close, and by the EAL's thread that
 * answers secondary processes.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "af_xdp.h"

#ifndef SOL_XDP
#define SOL_XDP 283
#endif

/* Guards the secondary processes of all ports, and what they were told. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct gantry_share_state
state_of(struct af_xdp_port *port)
{
	struct gantry_share_state state = {.msg = &port->share_msg.head,
		.len = sizeof(port->share_msg),
		.n_fds = port->share_msg.n_queues};
	unsigned int i;

	for (i = 0; i < state.n_fds; i++)
		state.fd[i] = port->queue[i].rx.fd;
	return state;
}

/* Tell all processes a state, and wait for their answers. */
static void
share_state(struct af_xdp_port *port, struct af_xdp_share_msg msg)
{
	char name[sizeof("net_gantry_af_xdp: ") + RTE_ETH_NAME_MAX_LEN];
	struct gantry_share_state state;

	snprintf(name, sizeof(name), "net_gantry_af_xdp: %s", port->name);
	pthread_mutex_lock(&lock);
	port->share_msg = msg;
	state = state_of(port);
	gantry_share_tell(&port->share, &state, af_xdp_logtype, name);
	if (msg.head.closed)
		gantry_share_end(&port->share);
	pthread_mutex_unlock(&lock);
}

int
af_xdp_share_attach(struct rte_eth_dev *eth, int fd)
{
	struct af_xdp_port *port = eth->data->dev_private;
	struct gantry_share_state state;
	int rc;

	pthread_mutex_lock(&lock);
	state = state_of(port);
	rc = gantry_share_add(&port->share, &state, fd);
	pthread_mutex_unlock(&lock);
	return rc;
}

/* Describe a ring's mapping: libxdp maps from the socket's offset to the end of the entries. */
static void
ring_describe(struct af_xdp_map *map, const void *ring, size_t len, uint64_t desc, uint64_t offset)
{
	map->addr = (char *)(uintptr_t)ring - desc;
	map->len = desc + len;
	map->offset = offset;
}

static int
queue_describe(struct af_xdp_queue *q)
{
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);

	if (getsockopt(q->rx.fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len) < 0)
		return -errno;
	memset(q->map, 0, sizeof(q->map));
	if (q->has_rx)
		ring_describe(&q->map[0], q->rx.rx.ring, q->rx.rx.size * sizeof(struct xdp_desc),
			off.rx.desc, XDP_PGOFF_RX_RING);
	if (q->has_tx)
		ring_describe(&q->map[1], q->tx.tx.ring, q->tx.tx.size * sizeof(struct xdp_desc),
			off.tx.desc, XDP_PGOFF_TX_RING);
	ring_describe(&q->map[2], q->rx.fill.ring, q->rx.fill.size * sizeof(uint64_t), off.fr.desc,
		XDP_UMEM_PGOFF_FILL_RING);
	ring_describe(&q->map[3], q->tx.comp.ring, q->tx.comp.size * sizeof(uint64_t), off.cr.desc,
		XDP_UMEM_PGOFF_COMPLETION_RING);
	return 0;
}

void
af_xdp_share_start(struct af_xdp_port *port)
{
	uint16_t i;
	int rc;

	for (i = 0; i < port->n_started; i++) {
		rc = queue_describe(&port->queue[i]);
		if (rc < 0) {
			AF_XDP_LOG(WARNING, port->name,
				"queue %u cannot be shared with secondary processes: %s",
				port->queue[i].id, strerror(-rc));
			return;
		}
	}
	share_state(port, (struct af_xdp_share_msg){.n_queues = port->n_started});
}

void
af_xdp_share_stop(struct af_xdp_port *port)
{
	share_state(port, (struct af_xdp_share_msg){0});
}

void
af_xdp_share_close(struct af_xdp_port *port)
{
	share_state(port, (struct af_xdp_share_msg){.head.closed = true});
}
