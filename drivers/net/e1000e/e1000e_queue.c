/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is a queue made of, and how does hardware learn of it? Rings come from the device's
 * container, and buffers must be of memory that the container knows.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_mempool.h>

#include <bus_vfio_pci_driver.h>
#include <dmamap.h>

#include "e1000e.h"

/*
 * Of a receive ring a quarter, but no more than this, waits for new buffers before the tail moves,
 * if the application leaves it to us: each write of the tail is a transaction on the bus, and what
 * waits is missing in the ring.
 */
#define RX_HOLD_MAX 128
/* Buffers taken from the pool at once: few enough for any lcore's cache of mbufs. */
#define RX_BULK 32

/* Prefetch, host and write-back thresholds of a ring (10.2.5, 10.2.6). */
static uint32_t
thresholds(const struct rte_eth_thresh *t)
{
	return E1000E_DCTL_GRAN | E1000E_DCTL_PTHRESH(t->pthresh) |
		E1000E_DCTL_HTHRESH(t->hthresh) | E1000E_DCTL_WTHRESH(t->wthresh);
}

/* Each ring has its place in the port's zone, as large as the largest ring. */
#define RING_ROOM (E1000E_MAX_DESC * E1000E_DESC_LEN)
enum ring { RX_RING, TX_RING, RINGS };

static int
rings_alloc(struct e1000e_port *port)
{
	const struct dmamap_zone_conf conf = {
		.len = RINGS * E1000E_QUEUES * RING_ROOM,
		.align = E1000E_RING_ALIGN,
		.dev = port->dev->dma,
		.name = "e1000e rings",
	};
	int rc;

	if (port->rings != NULL)
		return 0;
	rc = dmamap_zone_alloc(port->dev->container, &conf, &port->rings);
	if (rc < 0)
		E1000E_LOG(ERR, port->hw.name, "no memory for rings in container %s: %s",
			dmamap_container_name(port->dev->container), strerror(-rc));
	return rc;
}

void
e1000e_rings_free(struct e1000e_port *port)
{
	if (port->rings != NULL)
		dmamap_zone_free(port->rings);
	port->rings = NULL;
}

/* A ring's place, cleared, and its IOVA. */
static void *
ring_place(const struct e1000e_port *port, enum ring kind, uint16_t id, rte_iova_t *iova)
{
	size_t at = (kind * E1000E_QUEUES + id) * (size_t)RING_ROOM;
	void *va = RTE_PTR_ADD(dmamap_zone_va(port->rings), at);

	*iova = dmamap_zone_iova(port->rings) + at;
	memset(va, 0, RING_ROOM);
	return va;
}

static int
check_n_desc(const struct e1000e_port *port, const char *what, uint16_t n)
{
	if (n >= E1000E_MIN_DESC && n <= E1000E_MAX_DESC && n % E1000E_DESC_MULTIPLE == 0)
		return 0;
	E1000E_LOG(ERR, port->hw.name,
		"a %s of %u descriptors cannot be: from %u to %u, a multiple of %u", what, n,
		E1000E_MIN_DESC, E1000E_MAX_DESC, E1000E_DESC_MULTIPLE);
	return -EINVAL;
}

/* An mbuf whose buffer the device cannot reach at the IOVA that it carries. */
struct pool_check {
	const struct dmamap_container *container;
	const struct rte_mbuf *stranger;
};

static void
check_mbuf(struct rte_mempool *pool, void *arg, void *obj, unsigned int index)
{
	struct pool_check *check = arg;
	const struct rte_mbuf *m = obj;
	const char *buf = m->buf_addr;
	rte_iova_t iova = rte_mbuf_iova_get(m);

	if (check->stranger != NULL)
		return;
	if (dmamap_va2iova(check->container, buf) != iova ||
		dmamap_va2iova(check->container, buf + m->buf_len - 1) != iova + m->buf_len - 1)
		check->stranger = m;
}

static int
check_pool(const struct e1000e_port *port, struct rte_mempool *pool)
{
	struct pool_check check = {.container = port->dev->container};

	rte_mempool_obj_iter(pool, check_mbuf, &check);
	if (check.stranger == NULL)
		return 0;
	E1000E_LOG(ERR, port->hw.name,
		"pool %s is not in container %s: no device reaches its buffer %p at"
		" IOVA 0x%" PRIx64
		"; make it with dmamap_pktmbuf_pool_create(), of memory of the EAL's (without"
		" eal_memory=0), or rte_dev_dma_map() its memory before",
		pool->name, dmamap_container_name(check.container), check.stranger->buf_addr,
		rte_mbuf_iova_get(check.stranger));
	return -EINVAL;
}

uint32_t
e1000e_rctl_bufsize(uint32_t buf_len, uint32_t *len)
{
	uint32_t kib = RTE_MIN(buf_len / 1024, (uint32_t)E1000E_RCTL_FLXBUF_MAX);

	if (kib > 0) {
		*len = kib * 1024;
		return E1000E_RCTL_FLXBUF(kib);
	}
	*len = buf_len >= 512 ? 512 : 256;
	return buf_len >= 512 ? E1000E_RCTL_BSIZE_512 : E1000E_RCTL_BSIZE_256;
}

static uint64_t
rearm_data(uint16_t port_id)
{
	struct rte_mbuf m = {
		.data_off = RTE_PKTMBUF_HEADROOM,
		.nb_segs = 1,
		.port = port_id,
	};

	rte_mbuf_refcnt_set(&m, 1);
	return *(const uint64_t *)&m.rearm_data;
}

static uint64_t
wanted_flags(uint64_t offloads)
{
	uint64_t flags = 0;

	if (offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM)
		flags |= RTE_MBUF_F_RX_IP_CKSUM_MASK;
	if (offloads & (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM))
		flags |= RTE_MBUF_F_RX_L4_CKSUM_MASK;
	if (offloads & RTE_ETH_RX_OFFLOAD_RSS_HASH)
		flags |= RTE_MBUF_F_RX_RSS_HASH;
	/* A tag that was taken off is always told of. */
	return flags | RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
}

static int
check_rx_conf(const struct e1000e_port *port, uint16_t n_desc, uint16_t free_thresh,
	const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	int rc = check_n_desc(port, "receive ring", n_desc);

	if (rc < 0)
		return rc;
	if (conf->rx_deferred_start) {
		E1000E_LOG(ERR, port->hw.name,
			"the chip starts all receive queues at once: no deferred"
			" start");
		return -EINVAL;
	}
	if (free_thresh >= n_desc / 2) {
		E1000E_LOG(ERR, port->hw.name, "rx_free_thresh %u makes no sense: from 1 to %u",
			free_thresh, n_desc / 2 - 1);
		return -EINVAL;
	}
	return check_pool(port, pool);
}

int
e1000e_rx_queue_setup(struct rte_eth_dev *eth, uint16_t id, uint16_t n_desc, unsigned int node,
	const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t free_thresh =
		conf->rx_free_thresh != 0 ? conf->rx_free_thresh : RTE_MIN(n_desc / 4, RX_HOLD_MAX);
	struct e1000e_rxq *q;
	int rc = check_rx_conf(port, n_desc, free_thresh, conf, pool);

	if (rc == 0)
		rc = rings_alloc(port);
	if (rc < 0)
		return rc;
	e1000e_rx_queue_release(eth, id);

	q = rte_zmalloc_socket("e1000e rxq", sizeof(*q), RTE_CACHE_LINE_SIZE, node);
	if (q == NULL)
		return -ENOMEM;
	q->sw = rte_zmalloc_socket(
		"e1000e rxq sw", n_desc * sizeof(*q->sw), RTE_CACHE_LINE_SIZE, node);
	if (q->sw == NULL) {
		rte_free(q);
		return -ENOMEM;
	}
	q->ring = ring_place(port, RX_RING, id, &q->iova);
	q->tail_reg = port->hw.regs + E1000E_RDT(id);
	q->rearm = rearm_data(eth->data->port_id);
	q->flags = wanted_flags(conf->offloads | eth->data->dev_conf.rxmode.offloads);
	q->n_desc = n_desc;
	q->free_thresh = free_thresh;
	q->bulk = RTE_MIN(free_thresh, RX_BULK);
	q->pool = pool;
	q->data = eth->data;
	q->id = id;
	q->buf_len = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
	q->conf = *conf;
	q->conf.rx_free_thresh = free_thresh;
	eth->data->rx_queues[id] = q;
	return 0;
}

static void
rx_drop_buffers(struct e1000e_rxq *q)
{
	uint16_t i;

	for (i = 0; i < q->n_desc; i++) {
		if (q->sw[i] == NULL)
			continue;
		/* Those that the application has are not ours: [refill, next) was consumed. */
		if (q->hold > 0 &&
			(uint16_t)(i >= q->refill ? i - q->refill : i + q->n_desc - q->refill) <
				q->hold) {
			q->sw[i] = NULL;
			continue;
		}
		rte_mempool_put(q->pool, q->sw[i]);
		q->sw[i] = NULL;
	}
	if (q->first != NULL)
		rte_pktmbuf_free(q->first);
	q->first = NULL;
	q->next = q->refill = q->hold = 0;
}

void
e1000e_rx_queue_release(struct rte_eth_dev *eth, uint16_t id)
{
	struct e1000e_rxq *q = eth->data->rx_queues[id];

	if (q == NULL)
		return;
	rx_drop_buffers(q);
	rte_free(q->sw);
	rte_free(q);
	eth->data->rx_queues[id] = NULL;
}

static int
check_tx_conf(const struct e1000e_port *port, uint16_t n_desc, uint16_t rs, uint16_t free_thresh,
	const struct rte_eth_txconf *conf)
{
	int rc = check_n_desc(port, "transmit ring", n_desc);

	if (rc < 0)
		return rc;
	if (conf->tx_deferred_start) {
		E1000E_LOG(ERR, port->hw.name,
			"the chip starts all transmit queues at once: no deferred"
			" start");
		return -EINVAL;
	}
	/* A batch must close before the ring is full, and leave room for the largest packet. */
	if (rs == 0 || rs > n_desc / 2 || free_thresh == 0 || free_thresh > n_desc - rs - 1) {
		E1000E_LOG(ERR, port->hw.name,
			"tx_rs_thresh %u and tx_free_thresh %u do not fit %u"
			" descriptors: at most %u, and at most the rest",
			rs, free_thresh, n_desc, n_desc / 2);
		return -EINVAL;
	}
	if (rs > 1 && conf->tx_thresh.wthresh > 0) {
		E1000E_LOG(ERR, port->hw.name,
			"tx_thresh.wthresh %u delays the reports that tx_rs_thresh"
			" %u waits for; one of them must be 0 or 1",
			conf->tx_thresh.wthresh, rs);
		return -EINVAL;
	}
	return 0;
}

int
e1000e_tx_queue_setup(struct rte_eth_dev *eth, uint16_t id, uint16_t n_desc, unsigned int node,
	const struct rte_eth_txconf *conf)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t rs = conf->tx_rs_thresh != 0 ? conf->tx_rs_thresh : RTE_MIN(32, n_desc / 4);
	uint16_t free_thresh =
		conf->tx_free_thresh != 0 ? conf->tx_free_thresh : RTE_MIN(32, n_desc / 4);
	struct e1000e_txq *q;
	int rc = check_tx_conf(port, n_desc, rs, free_thresh, conf);

	if (rc == 0)
		rc = rings_alloc(port);
	if (rc < 0)
		return rc;
	e1000e_tx_queue_release(eth, id);

	q = rte_zmalloc_socket("e1000e txq", sizeof(*q), RTE_CACHE_LINE_SIZE, node);
	if (q == NULL)
		return -ENOMEM;
	q->sw = rte_zmalloc_socket(
		"e1000e txq sw", n_desc * sizeof(*q->sw), RTE_CACHE_LINE_SIZE, node);
	q->last = rte_zmalloc_socket(
		"e1000e txq last", n_desc * sizeof(*q->last), RTE_CACHE_LINE_SIZE, node);
	if (q->sw == NULL || q->last == NULL) {
		rte_free(q->last);
		rte_free(q->sw);
		rte_free(q);
		return -ENOMEM;
	}
	q->ring = ring_place(port, TX_RING, id, &q->iova);
	q->tail_reg = port->hw.regs + E1000E_TDT(id);
	q->n_desc = n_desc;
	q->n_free = n_desc - 1;
	q->rs_thresh = rs;
	q->split = port->tx_split;
	q->free_thresh = free_thresh;
	q->max_need = RTE_MIN(n_desc - rs, E1000E_MAX_TX_SEGS + 1);
	q->fast_free = (conf->offloads | eth->data->dev_conf.txmode.offloads) &
		RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	q->id = id;
	q->conf = *conf;
	q->conf.tx_rs_thresh = rs;
	q->conf.tx_free_thresh = free_thresh;
	eth->data->tx_queues[id] = q;
	return 0;
}

static void
tx_drop_buffers(struct e1000e_txq *q)
{
	uint16_t i;

	for (i = 0; i < q->n_desc; i++) {
		if (q->sw[i] != NULL)
			rte_pktmbuf_free_seg(q->sw[i]);
		q->sw[i] = NULL;
	}
	q->tail = q->clean = q->batch = q->in_batch = 0;
	q->n_free = q->n_desc - 1;
	q->ctx_key = 0;
}

void
e1000e_tx_queue_release(struct rte_eth_dev *eth, uint16_t id)
{
	struct e1000e_txq *q = eth->data->tx_queues[id];

	if (q == NULL)
		return;
	tx_drop_buffers(q);
	rte_free(q->last);
	rte_free(q->sw);
	rte_free(q);
	eth->data->tx_queues[id] = NULL;
}

void
e1000e_rxq_info_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_rxq_info *info)
{
	const struct e1000e_rxq *q = eth->data->rx_queues[id];
	uint32_t len;

	info->mp = q->pool;
	info->conf = q->conf;
	info->scattered_rx = eth->data->scattered_rx;
	info->nb_desc = q->n_desc;
	e1000e_rctl_bufsize(q->buf_len, &len);
	info->rx_buf_size = len;
}

void
e1000e_txq_info_get(struct rte_eth_dev *eth, uint16_t id, struct rte_eth_txq_info *info)
{
	const struct e1000e_txq *q = eth->data->tx_queues[id];

	info->conf = q->conf;
	info->nb_desc = q->n_desc;
}

/* Buffers for all descriptors; hardware gets all but one of them when the queue is enabled. */
static int
rx_fill(struct e1000e_port *port, struct e1000e_rxq *q)
{
	uint16_t i;

	if (rte_mempool_get_bulk(q->pool, (void **)q->sw, q->n_desc) < 0) {
		E1000E_LOG(ERR, port->hw.name,
			"pool %s has no %u mbufs left for receive queue %u; make"
			" it larger",
			q->pool->name, q->n_desc, q->id);
		memset(q->sw, 0, q->n_desc * sizeof(*q->sw));
		return -ENOMEM;
	}
	for (i = 0; i < q->n_desc; i++) {
		q->ring[i].read.addr =
			rte_cpu_to_le_64(rte_mbuf_iova_get(q->sw[i]) + RTE_PKTMBUF_HEADROOM);
		q->ring[i].read.zero = 0;
	}
	q->next = q->refill = q->hold = 0;
	return 0;
}

/* 4.6.5, for one queue: base, length, head; the tail follows once reception is enabled. */
static void
rx_program(const struct e1000e_hw *hw, const struct e1000e_rxq *q)
{
	e1000e_write(hw, E1000E_RDBAL(q->id), (uint32_t)q->iova);
	e1000e_write(hw, E1000E_RDBAH(q->id), q->iova >> 32);
	e1000e_write(hw, E1000E_RDLEN(q->id), q->n_desc * E1000E_DESC_LEN);
	e1000e_write(hw, E1000E_RDH(q->id), 0);
	e1000e_write(hw, E1000E_RDT(q->id), 0);
	e1000e_write(hw, E1000E_RXDCTL(q->id), thresholds(&q->conf.rx_thresh));
}

/* 4.6.6, for one queue. */
static void
tx_program(const struct e1000e_hw *hw, const struct e1000e_txq *q)
{
	e1000e_write(hw, E1000E_TDBAL(q->id), (uint32_t)q->iova);
	e1000e_write(hw, E1000E_TDBAH(q->id), q->iova >> 32);
	e1000e_write(hw, E1000E_TDLEN(q->id), q->n_desc * E1000E_DESC_LEN);
	e1000e_write(hw, E1000E_TDH(q->id), 0);
	e1000e_write(hw, E1000E_TDT(q->id), 0);
	e1000e_write(hw, E1000E_TXDCTL(q->id), thresholds(&q->conf.tx_thresh) | E1000E_TXDCTL_ONE);
	e1000e_write(hw, E1000E_TARC(q->id), E1000E_TARC_COUNT(3) | E1000E_TARC_EN);
}

int
e1000e_queues_start(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t i;
	int rc;

	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		rc = rx_fill(port, eth->data->rx_queues[i]);
		if (rc < 0) {
			e1000e_queues_stop(eth);
			return rc;
		}
	}
	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		rx_program(&port->hw, eth->data->rx_queues[i]);
		eth->data->rx_queue_state[i] = RTE_ETH_QUEUE_STATE_STARTED;
	}
	for (i = 0; i < eth->data->nb_tx_queues; i++) {
		tx_program(&port->hw, eth->data->tx_queues[i]);
		eth->data->tx_queue_state[i] = RTE_ETH_QUEUE_STATE_STARTED;
	}
	return 0;
}

void
e1000e_queues_stop(struct rte_eth_dev *eth)
{
	uint16_t i;

	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		rx_drop_buffers(eth->data->rx_queues[i]);
		eth->data->rx_queue_state[i] = RTE_ETH_QUEUE_STATE_STOPPED;
	}
	for (i = 0; i < eth->data->nb_tx_queues; i++) {
		tx_drop_buffers(eth->data->tx_queues[i]);
		eth->data->tx_queue_state[i] = RTE_ETH_QUEUE_STATE_STOPPED;
	}
}
