/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A port in a secondary process, which sends and receives on the primary's sockets.
 *
 * The state of a queue is in memory that both processes share, and the rings are mapped at the
 * primary's addresses. Descriptors are private: ethdev's table has a struct af_xdp_view_queue for
 * each queue here. States come with the sockets (af_xdp_share.c), on the EAL's interrupt thread.
 * Called by af_xdp_ethdev.c at probe.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_memory.h>

#include "af_xdp.h"

struct af_xdp_view {
	struct gantry_view base;
	void *data[AF_XDP_MAX_QUEUES]; /**< what ethdev's table has for each queue */
	struct af_xdp_view_queue queue[AF_XDP_MAX_QUEUES];
};

static void
ring_unmap(const struct af_xdp_map *map)
{
	if (map->len > 0)
		munmap(map->addr, map->len);
}

/* Close the queues: afterwards no burst uses them. */
static void
queues_close(struct af_xdp_view *view)
{
	unsigned int i, j;

	for (i = 0; i < AF_XDP_MAX_QUEUES; i++)
		__atomic_store_n(&view->queue[i].open, 0, __ATOMIC_RELAXED);
	/* A burst that has not seen `open` change has set its mark before. */
	gantry_view_barrier();
	for (i = 0; i < AF_XDP_MAX_QUEUES; i++) {
		struct af_xdp_view_queue *v = &view->queue[i];

		if (v->fd < 0)
			continue;
		gantry_view_wait_while(&v->in_rx);
		gantry_view_wait_while(&v->in_tx);
		for (j = 0; j < AF_XDP_N_RINGS; j++)
			ring_unmap(&v->map[j]);
		close(v->fd);
		v->fd = -1;
	}
}

/* Map a ring at the primary's address. @return 0; -EEXIST: it is taken; negative errno */
static int
ring_map(const struct af_xdp_map *map, int fd)
{
	void *at;

	if (map->len == 0)
		return 0;
	at = mmap(map->addr, map->len, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, fd, map->offset);
	return at == MAP_FAILED ? -errno : 0;
}

/* @return whether secondary processes have this memory: the EAL's own, in one piece */
static bool
memory_is_shared(const char *base, size_t len)
{
	const struct rte_memseg_list *list = rte_mem_virt2memseg_list(base);

	return list != NULL && !list->external && rte_mem_virt2memseg_list(base + len - 1) == list;
}

static int
queue_map(const struct af_xdp_view *view, const struct af_xdp_queue *q, int fd)
{
	unsigned int i;
	int rc = 0;

	if (!memory_is_shared(q->umem->base, q->umem->len))
		return AF_XDP_FAIL(ENOTSUP, view->base.name,
			"this process has no part in the memory of pool %s: create it with"
			" rte_pktmbuf_pool_create()",
			q->umem->pool->name);
	for (i = 0; i < AF_XDP_N_RINGS && rc == 0; i++)
		rc = ring_map(&q->map[i], fd);
	if (rc == 0)
		return 0;
	while (--i > 0)
		ring_unmap(&q->map[i - 1]);
	if (rc == -EEXIST)
		AF_XDP_LOG(ERR, view->base.name,
			"queue %u: the addresses of the primary's rings are taken in this process:"
			" start it again, with random addresses (kernel.randomize_va_space=2)",
			q->id);
	else
		AF_XDP_LOG(ERR, view->base.name, "queue %u: its rings cannot be mapped: %s%s",
			q->id, strerror(-rc),
			rc == -EINVAL ? ": secondary processes need Linux 6.4 or newer" : "");
	return rc;
}

/* Map a queue, and take its socket over. Its bursts do nothing until it is open. */
static int
queue_add(struct af_xdp_view *view, unsigned int i, int *fd)
{
	struct af_xdp_port *port = view->base.eth->data->dev_private;
	struct af_xdp_view_queue *v = &view->queue[i];
	int rc;

	if (*fd < 0)
		return AF_XDP_FAIL(EMFILE, view->base.name,
			"queue %u: this process cannot have its socket: too many files are open:"
			" raise ulimit -n",
			port->queue[i].id);
	rc = queue_map(view, &port->queue[i], *fd);
	if (rc < 0)
		return rc;
	v->q = &port->queue[i];
	v->scatter = port->scatter;
	memcpy(v->map, port->queue[i].map, sizeof(v->map));
	v->fd = *fd;
	*fd = -1;
	return 0;
}

/* All queues of a state, or none. */
static int
view_follow(struct gantry_view *base, const struct gantry_share_head *head, int *fds)
{
	const struct af_xdp_share_msg *msg = (const struct af_xdp_share_msg *)head;
	struct af_xdp_view *view = (struct af_xdp_view *)base;
	unsigned int i;
	int rc = 0;

	queues_close(view);
	for (i = 0; i < msg->n_queues && rc == 0; i++)
		rc = queue_add(view, i, &fds[i]);
	if (rc < 0) {
		queues_close(view);
		return rc;
	}
	for (i = 0; i < msg->n_queues; i++)
		__atomic_store_n(&view->queue[i].open, 1, __ATOMIC_RELEASE);
	return 0;
}

static void
view_drop(struct gantry_view *base)
{
	queues_close((struct af_xdp_view *)base);
}

static const struct gantry_view_ops view_ops = {
	.secondary = &af_xdp_secondary,
	.msg_len = sizeof(struct af_xdp_share_msg),
	.follow = view_follow,
	.drop = view_drop,
};

static struct af_xdp_view *
view_alloc(void)
{
	struct af_xdp_view *view = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*view));
	unsigned int i;

	if (view == NULL)
		return NULL;
	*view = (struct af_xdp_view){0};
	for (i = 0; i < AF_XDP_MAX_QUEUES; i++) {
		view->queue[i].fd = -1;
		view->data[i] = &view->queue[i];
	}
	return view;
}

/* Give ethdev's bursts the queues of this process instead of those in shared memory. */
static void
view_set_bursts(struct af_xdp_view *view)
{
	struct rte_eth_dev *eth = view->base.eth;
	struct rte_eth_fp_ops *fast = &rte_eth_fp_ops[eth->data->port_id];

	fast->rxq.data = view->data;
	fast->txq.data = view->data;
	eth->rx_pkt_burst = af_xdp_view_rx_burst;
	eth->tx_pkt_burst = af_xdp_view_tx_burst;
	__atomic_store_n(&fast->rx_pkt_burst, af_xdp_view_rx_burst, __ATOMIC_RELEASE);
	__atomic_store_n(&fast->tx_pkt_burst, af_xdp_view_tx_burst, __ATOMIC_RELEASE);
}

int
af_xdp_view_attach(struct rte_eth_dev *eth)
{
	struct af_xdp_view *view = view_alloc();
	int rc;

	if (view == NULL)
		return AF_XDP_FAIL(ENOMEM, eth->data->name, "out of memory");
	rc = gantry_view_attach(&view->base, eth, &view_ops);
	if (rc == 0)
		view_set_bursts(view);
	return rc;
}
