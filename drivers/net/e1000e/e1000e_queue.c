/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Queues: their memory, and the registers that describe them to hardware.
 *
 * All rings of a port lie in one zone of the device's container. A pool is accepted only if all its
 * buffers are mapped there at the IOVA that they carry. Secondary processes read queues at any
 * time, so the memory of a queue stays the same until the port is closed. Called by ethdev's queue
 * operations, by e1000e_ethdev.c at start and stop, and by e1000e_queue_run.c for single queues,
 * while no thread polls the queue.
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
 * The default of rx_free_thresh is a quarter of the ring, at most this. Large refills save writes
 * of the tail, each a transaction on the bus. But descriptors that wait for buffers are missing in
 * the ring.
 */
#define RX_HOLD_MAX 128
/* Buffers allocated at once: few enough for any lcore's mempool cache. */
#define RX_BULK 32

/* The default of tx_rs_thresh and tx_free_thresh, if the ring is large enough. */
#define TX_THRESH 32

/* Prefetch, host and write-back thresholds of a ring (10.2.5, 10.2.6). */
static uint32_t
dctl_thresholds(const struct rte_eth_thresh *t)
{
	return E1000E_DCTL_GRAN | E1000E_DCTL_PTHRESH(t->pthresh) |
		E1000E_DCTL_HTHRESH(t->hthresh) | E1000E_DCTL_WTHRESH(t->wthresh);
}

/* Each ring has a slot of the size of the largest ring in the port's zone. */
#define RING_LEN_MAX (E1000E_MAX_DESC * E1000E_DESC_LEN)
enum ring { RX_RING, TX_RING, RINGS };

/* Behind the rings: zeros, which hardware reads to pad short packets. */
#define ZEROS_AT (RINGS * E1000E_QUEUES * RING_LEN_MAX)

/*
 * Then the headers of packets that are segmented, for each transmit queue. No slot crosses a page.
 */
#define HEADERS_AT (ZEROS_AT + E1000E_TSO_SLOT)
#define HEADERS_LEN_MAX (E1000E_MAX_DESC / 2 * E1000E_TSO_SLOT)
_Static_assert(E1000E_MIN_TX_LEN <= E1000E_TSO_SLOT, "the zeros lie before the headers");
_Static_assert(E1000E_TSO_SLOT % E1000E_RING_ALIGN == 0, "the zone is aligned for both");

static int
rings_alloc(struct e1000e_port *port)
{
	const struct dmamap_zone_conf conf = {
		.len = HEADERS_AT + E1000E_QUEUES * HEADERS_LEN_MAX,
		.align = E1000E_TSO_SLOT,
		.dev = port->dev->dma,
		.name = "e1000e rings",
		.shared = true, /* secondary processes map it: e1000e_view.c */
	};
	int rc;

	if (port->rings != NULL)
		return 0;
	rc = dmamap_zone_alloc(port->dev->container, &conf, &port->rings);
	if (rc < 0) {
		E1000E_LOG(ERR, port->hw.name, "cannot allocate rings in container %s: %s",
			dmamap_container_name(port->dev->container), strerror(-rc));
		return rc;
	}
	memset(RTE_PTR_ADD(dmamap_zone_va(port->rings), ZEROS_AT), 0, E1000E_MIN_TX_LEN);
	e1000e_fault_watch(port);
	return 0;
}

/*
 * Memory of a receive queue, for the longest ring. Set up again, it is cleared under those who read
 * it: they see counters of 0. @return NULL: no memory
 */
static struct e1000e_rxq *
rxq_get(struct e1000e_port *port, uint16_t id, unsigned int node)
{
	struct e1000e_rxq *q = port->rxq[id];
	struct rte_mbuf **sw;

	if (q == NULL) {
		q = rte_zmalloc_socket("e1000e rxq", sizeof(*q), RTE_CACHE_LINE_SIZE, node);
		sw = rte_zmalloc_socket(
			"e1000e rxq sw", E1000E_MAX_DESC * sizeof(*sw), RTE_CACHE_LINE_SIZE, node);
		if (q == NULL || sw == NULL) {
			rte_free(q);
			rte_free(sw);
			return NULL;
		}
		port->rxq[id] = q;
	} else {
		sw = q->sw;
	}
	*q = (struct e1000e_rxq){.sw = sw};
	return q;
}

/* @see rxq_get() */
static struct e1000e_txq *
txq_get(struct e1000e_port *port, uint16_t id, unsigned int node)
{
	struct e1000e_txq *q = port->txq[id];
	struct rte_mbuf **sw;
	uint16_t *last;

	if (q == NULL) {
		q = rte_zmalloc_socket("e1000e txq", sizeof(*q), RTE_CACHE_LINE_SIZE, node);
		sw = rte_zmalloc_socket(
			"e1000e txq sw", E1000E_MAX_DESC * sizeof(*sw), RTE_CACHE_LINE_SIZE, node);
		last = rte_zmalloc_socket("e1000e txq last", E1000E_MAX_DESC * sizeof(*last),
			RTE_CACHE_LINE_SIZE, node);
		if (q == NULL || sw == NULL || last == NULL) {
			rte_free(q);
			rte_free(sw);
			rte_free(last);
			return NULL;
		}
		port->txq[id] = q;
	} else {
		sw = q->sw;
		last = q->last;
	}
	*q = (struct e1000e_txq){.sw = sw, .last = last};
	return q;
}

static void
queues_free(struct e1000e_port *port)
{
	unsigned int i;

	for (i = 0; i < E1000E_QUEUES; i++) {
		if (port->rxq[i] != NULL)
			rte_free(port->rxq[i]->sw);
		rte_free(port->rxq[i]);
		port->rxq[i] = NULL;
		if (port->txq[i] != NULL) {
			rte_free(port->txq[i]->last);
			rte_free(port->txq[i]->sw);
		}
		rte_free(port->txq[i]);
		port->txq[i] = NULL;
	}
}

void
e1000e_rings_free(struct e1000e_port *port)
{
	queues_free(port);
	if (port->rings == NULL)
		return;
	e1000e_fault_forget(port);
	dmamap_zone_free(port->rings);
	port->rings = NULL;
}

/* @return the slot of a ring, cleared, and its IOVA */
static void *
ring_get(const struct e1000e_port *port, enum ring kind, uint16_t id, rte_iova_t *iova)
{
	size_t at = (kind * E1000E_QUEUES + id) * (size_t)RING_LEN_MAX;
	void *va = RTE_PTR_ADD(dmamap_zone_va(port->rings), at);

	*iova = dmamap_zone_iova(port->rings) + at;
	memset(va, 0, RING_LEN_MAX);
	return va;
}

static int
ring_check_n_desc(const struct e1000e_port *port, const char *what, uint16_t n)
{
	if (n >= E1000E_MIN_DESC && n <= E1000E_MAX_DESC && n % E1000E_DESC_MULTIPLE == 0)
		return 0;
	return E1000E_FAIL(EINVAL, port->hw.name,
		"invalid %s of %u descriptors: expected %u to %u, a multiple of %u", what, n,
		E1000E_MIN_DESC, E1000E_MAX_DESC, E1000E_DESC_MULTIPLE);
}

/* A search for an mbuf whose buffer is not mapped at the IOVA that it carries. */
struct pool_check {
	const struct dmamap_container *container;
	const struct rte_mbuf *unmapped;
};

static void
pool_check_mbuf(struct rte_mempool *pool, void *arg, void *obj, unsigned int index)
{
	struct pool_check *check = arg;
	const struct rte_mbuf *m = obj;
	const char *buf = m->buf_addr;
	rte_iova_t iova = rte_mbuf_iova_get(m);

	if (check->unmapped != NULL)
		return;
	if (dmamap_va2iova(check->container, buf) != iova ||
		dmamap_va2iova(check->container, buf + m->buf_len - 1) != iova + m->buf_len - 1)
		check->unmapped = m;
}

static int
pool_check_mapped(const struct e1000e_port *port, struct rte_mempool *pool)
{
	struct pool_check check = {.container = port->dev->container};

	rte_mempool_obj_iter(pool, pool_check_mbuf, &check);
	if (check.unmapped == NULL)
		return 0;
	return E1000E_FAIL(EINVAL, port->hw.name,
		"pool %s is not in container %s: its buffer %p is not mapped at IOVA 0x%" PRIx64
		": create it with dmamap_pktmbuf_pool_create(), or in the EAL's memory (without"
		" eal_memory=0), or rte_dev_dma_map() its memory before",
		pool->name, dmamap_container_name(check.container), check.unmapped->buf_addr,
		rte_mbuf_iova_get(check.unmapped));
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
rx_rearm_data(uint16_t port_id)
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
rx_enabled_flags(uint64_t offloads)
{
	uint64_t flags = 0;

	if (offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM)
		flags |= RTE_MBUF_F_RX_IP_CKSUM_MASK;
	if (offloads & (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM))
		flags |= RTE_MBUF_F_RX_L4_CKSUM_MASK;
	if (offloads & RTE_ETH_RX_OFFLOAD_RSS_HASH)
		flags |= RTE_MBUF_F_RX_RSS_HASH;
	/* A stripped tag is always reported. */
	return flags | RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
}

static uint16_t
pool_buf_len(struct rte_mempool *pool)
{
	return rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
}

static int
rx_check_conf(const struct rte_eth_dev *eth, uint16_t n_desc, uint16_t free_thresh,
	struct rte_mempool *pool)
{
	const struct e1000e_port *port = eth->data->dev_private;
	int rc = ring_check_n_desc(port, "receive ring", n_desc);

	if (rc < 0)
		return rc;
	if (free_thresh >= n_desc / 2)
		return E1000E_FAIL(EINVAL, port->hw.name,
			"invalid rx_free_thresh %u: expected 1 to %u", free_thresh, n_desc / 2 - 1);
	/* RCTL has one buffer size for both queues, which is chosen at the start (10.2.5). */
	if (eth->data->dev_started && pool_buf_len(pool) < port->rx_buf_len)
		return E1000E_FAIL(EINVAL, port->hw.name,
			"pool %s has buffers of %u bytes, and the running port writes %u: use "
			"larger ones, or stop the port first",
			pool->name, pool_buf_len(pool), port->rx_buf_len);
	return pool_check_mapped(port, pool);
}

void
e1000e_rxq_edits_set(const struct rte_eth_dev *eth, struct e1000e_rxq *q)
{
	uint64_t rx = eth->data->dev_conf.rxmode.offloads;

	q->crc_len = rx & RTE_ETH_RX_OFFLOAD_KEEP_CRC ? RTE_ETHER_CRC_LEN : 0;
	/* With insertion alone CTRL.VME strips tags too (7.5): put them back. */
	q->put_tag = (eth->data->dev_conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_VLAN_INSERT) &&
		!(rx & RTE_ETH_RX_OFFLOAD_VLAN_STRIP);
}

int
e1000e_rx_queue_setup(struct rte_eth_dev *eth, uint16_t id, uint16_t n_desc, unsigned int node,
	const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t free_thresh =
		conf->rx_free_thresh != 0 ? conf->rx_free_thresh : RTE_MIN(n_desc / 4, RX_HOLD_MAX);
	struct e1000e_rxq *q;
	int rc = rx_check_conf(eth, n_desc, free_thresh, pool);

	if (rc == 0)
		rc = rings_alloc(port);
	if (rc < 0)
		return rc;
	e1000e_rx_queue_release(eth, id);

	q = rxq_get(port, id, node);
	if (q == NULL)
		return -ENOMEM;
	e1000e_bar[eth->data->port_id] = port->hw.regs;
	q->ring = ring_get(port, RX_RING, id, &q->iova);
	q->tail_reg = E1000E_RDT(id);
	q->port_id = eth->data->port_id;
	q->rearm = rx_rearm_data(eth->data->port_id);
	q->flags = rx_enabled_flags(conf->offloads | eth->data->dev_conf.rxmode.offloads);
	q->n_desc = n_desc;
	q->free_thresh = free_thresh;
	q->bulk = RTE_MIN(free_thresh, RX_BULK);
	q->pool = pool;
	q->data = eth->data;
	q->id = id;
	q->buf_len = pool_buf_len(pool);
	e1000e_rxq_edits_set(eth, q);
	q->conf = *conf;
	q->conf.rx_free_thresh = free_thresh;
	eth->data->rx_queues[id] = q;
	return 0;
}

void
e1000e_rxq_close(struct e1000e_rxq *q)
{
	uint16_t i;

	/* A burst on the stopped queue finds no descriptor that is done. */
	for (i = 0; i < q->n_desc; i++)
		q->ring[i].read.addr = q->ring[i].read.zero = 0;
	for (i = 0; i < q->n_desc; i++) {
		if (q->sw[i] == NULL)
			continue;
		/* The buffers of [refill, next) were received: the application owns them. */
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
	q->next = q->refill = q->hold = q->starved = 0;
}

void
e1000e_rx_queue_release(struct rte_eth_dev *eth, uint16_t id)
{
	struct e1000e_rxq *q = eth->data->rx_queues[id];

	if (q == NULL)
		return;
	e1000e_rxq_close(q);
	eth->data->rx_queues[id] = NULL;
}

/* @return the largest tx_rs_thresh, up to the default, that fits the ring and its other thresholds
 */
static uint16_t
tx_default_rs(uint16_t n_desc, uint16_t free_thresh, const struct rte_eth_txconf *conf)
{
	if (conf->tx_thresh.wthresh > 0 || free_thresh >= n_desc - 1)
		return 1;
	return RTE_MIN(RTE_MIN(TX_THRESH, n_desc / 4), n_desc - 1 - free_thresh);
}

static int
tx_check_conf(const struct e1000e_port *port, uint16_t n_desc, uint16_t rs, uint16_t free_thresh,
	const struct rte_eth_txconf *conf)
{
	int rc = ring_check_n_desc(port, "transmit ring", n_desc);

	if (rc < 0)
		return rc;
	/*
	 * A batch must end before the ring is full, with descriptors left for the largest packet.
	 */
	if (rs == 0 || rs > n_desc / 2 || free_thresh == 0 || free_thresh > n_desc - rs - 1)
		return E1000E_FAIL(EINVAL, port->hw.name,
			"invalid tx_rs_thresh %u and tx_free_thresh %u for %u descriptors: "
			"expected tx_rs_thresh up to %u, and a sum below the number of descriptors",
			rs, free_thresh, n_desc, n_desc / 2);
	if (rs > 1 && conf->tx_thresh.wthresh > 0)
		return E1000E_FAIL(EINVAL, port->hw.name,
			"tx_thresh.wthresh %u delays the write-backs that tx_rs_thresh %u waits "
			"for: one of them must be 0 or 1",
			conf->tx_thresh.wthresh, rs);
	return 0;
}

int
e1000e_tx_queue_setup(struct rte_eth_dev *eth, uint16_t id, uint16_t n_desc, unsigned int node,
	const struct rte_eth_txconf *conf)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t free_thresh =
		conf->tx_free_thresh != 0 ? conf->tx_free_thresh : RTE_MIN(TX_THRESH, n_desc / 4);
	uint16_t rs = conf->tx_rs_thresh != 0 ? conf->tx_rs_thresh
					      : tx_default_rs(n_desc, free_thresh, conf);
	struct e1000e_txq *q;
	int rc = tx_check_conf(port, n_desc, rs, free_thresh, conf);

	if (rc == 0)
		rc = rings_alloc(port);
	if (rc < 0)
		return rc;
	e1000e_tx_queue_release(eth, id);

	q = txq_get(port, id, node);
	if (q == NULL)
		return -ENOMEM;
	e1000e_bar[eth->data->port_id] = port->hw.regs;
	q->ring = ring_get(port, TX_RING, id, &q->iova);
	q->tail_reg = E1000E_TDT(id);
	q->port_id = eth->data->port_id;
	q->n_desc = n_desc;
	q->rs_thresh = rs;
	q->split = port->tx_split;
	q->free_thresh = free_thresh;
	q->max_need = RTE_MIN(n_desc - 1, E1000E_MAX_TX_SEGS + 1);
	q->zeros = dmamap_zone_iova(port->rings) + ZEROS_AT;
	q->headers = RTE_PTR_ADD(dmamap_zone_va(port->rings), HEADERS_AT + id * HEADERS_LEN_MAX);
	q->headers_iova = dmamap_zone_iova(port->rings) + HEADERS_AT + id * HEADERS_LEN_MAX;
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
	q->tail = q->clean = q->batch = q->in_batch = q->n_free = 0;
	q->ctx_key = 0;
}

void
e1000e_tx_queue_release(struct rte_eth_dev *eth, uint16_t id)
{
	struct e1000e_txq *q = eth->data->tx_queues[id];

	if (q == NULL)
		return;
	tx_drop_buffers(q);
	eth->data->tx_queues[id] = NULL;
}

uint16_t
e1000e_tx_max_segs(const struct rte_eth_dev *eth)
{
	uint16_t segs = E1000E_MAX_TX_SEGS, others, i;

	/* A descriptor is always empty, one is for the context, and one for copied headers. */
	others = eth->data->dev_conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO ? 3 : 2;
	for (i = 0; i < eth->data->nb_tx_queues; i++) {
		const struct e1000e_txq *q = eth->data->tx_queues[i];

		if (q != NULL)
			segs = RTE_MIN(segs, q->n_desc - others);
	}
	return segs;
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

int
e1000e_rxq_fill(const struct e1000e_port *port, struct e1000e_rxq *q)
{
	uint16_t i;

	if (rte_mempool_get_bulk(q->pool, (void **)q->sw, q->n_desc) < 0) {
		E1000E_LOG(ERR, port->hw.name,
			"pool %s has fewer than the %u mbufs of receive queue %u: make it larger",
			q->pool->name, q->n_desc, q->id);
		memset(q->sw, 0, q->n_desc * sizeof(*q->sw));
		return -ENOMEM;
	}
	for (i = 0; i < q->n_desc; i++) {
		q->ring[i].read.addr =
			rte_cpu_to_le_64(rte_mbuf_iova_get(q->sw[i]) + RTE_PKTMBUF_HEADROOM);
		q->ring[i].read.zero = 0;
	}
	q->next = q->refill = q->hold = q->starved = 0;
	return 0;
}

/* 4.6.5, for one queue. The tail is written when reception is enabled. */
void
e1000e_rxq_program(const struct e1000e_hw *hw, const struct e1000e_rxq *q)
{
	e1000e_write(hw, E1000E_RDBAL(q->id), (uint32_t)q->iova);
	e1000e_write(hw, E1000E_RDBAH(q->id), q->iova >> 32);
	e1000e_write(hw, E1000E_RDLEN(q->id), q->n_desc * E1000E_DESC_LEN);
	e1000e_write(hw, E1000E_RDH(q->id), 0);
	e1000e_write(hw, E1000E_RDT(q->id), 0);
	e1000e_write(hw, E1000E_RXDCTL(q->id), dctl_thresholds(&q->conf.rx_thresh));
}

/* 4.6.6, for one queue. */
void
e1000e_txq_program(const struct e1000e_hw *hw, struct e1000e_txq *q)
{
	e1000e_write(hw, E1000E_TDBAL(q->id), (uint32_t)q->iova);
	e1000e_write(hw, E1000E_TDBAH(q->id), q->iova >> 32);
	e1000e_write(hw, E1000E_TDLEN(q->id), q->n_desc * E1000E_DESC_LEN);
	e1000e_write(hw, E1000E_TDH(q->id), 0);
	e1000e_write(hw, E1000E_TDT(q->id), 0);
	e1000e_write(
		hw, E1000E_TXDCTL(q->id), dctl_thresholds(&q->conf.tx_thresh) | E1000E_TXDCTL_ONE);
	q->programmed = true;
}

void
e1000e_txq_open(const struct rte_eth_dev *eth, struct e1000e_txq *q)
{
	q->n_free = q->n_desc - 1;
	q->ctx_reuse = eth->data->nb_tx_queues == 1;
}

static bool
rx_is_deferred(const struct rte_eth_dev *eth, uint16_t id)
{
	const struct e1000e_rxq *q = eth->data->rx_queues[id];

	return q->conf.rx_deferred_start;
}

int
e1000e_queues_check(const struct rte_eth_dev *eth)
{
	const struct e1000e_port *port = eth->data->dev_private;
	uint16_t i;

	for (i = 0; i < eth->data->nb_rx_queues; i++)
		if (eth->data->rx_queues[i] == NULL)
			return E1000E_FAIL(EINVAL, port->hw.name,
				"receive queue %u is not set up: call rte_eth_rx_queue_setup()"
				" before the start",
				i);
	for (i = 0; i < eth->data->nb_tx_queues; i++)
		if (eth->data->tx_queues[i] == NULL)
			return E1000E_FAIL(EINVAL, port->hw.name,
				"transmit queue %u is not set up: call rte_eth_tx_queue_setup()"
				" before the start",
				i);
	for (i = 1; i < eth->data->nb_rx_queues; i++)
		if (rx_is_deferred(eth, 0) && !rx_is_deferred(eth, i))
			return E1000E_FAIL(EINVAL, port->hw.name,
				"receive queue 0 is deferred, and gets the frames without an RSS "
				"hash: defer receive queue %u too",
				i);
	return 0;
}

int
e1000e_queues_start(struct rte_eth_dev *eth)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t i;
	int rc;

	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		if (rx_is_deferred(eth, i))
			continue;
		rc = e1000e_rxq_fill(port, eth->data->rx_queues[i]);
		if (rc < 0) {
			e1000e_queues_stop(eth);
			return rc;
		}
	}
	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		if (rx_is_deferred(eth, i))
			continue;
		e1000e_rxq_program(&port->hw, eth->data->rx_queues[i]);
		eth->data->rx_queue_state[i] = RTE_ETH_QUEUE_STATE_STARTED;
	}
	for (i = 0; i < eth->data->nb_tx_queues; i++) {
		struct e1000e_txq *q = eth->data->tx_queues[i];

		e1000e_txq_program(&port->hw, q);
		if (q->conf.tx_deferred_start)
			continue;
		e1000e_txq_open(eth, q);
		eth->data->tx_queue_state[i] = RTE_ETH_QUEUE_STATE_STARTED;
	}
	return 0;
}

void
e1000e_queues_stop(struct rte_eth_dev *eth)
{
	uint16_t i;

	for (i = 0; i < eth->data->nb_rx_queues; i++) {
		if (eth->data->rx_queues[i] != NULL)
			e1000e_rxq_close(eth->data->rx_queues[i]);
		eth->data->rx_queue_state[i] = RTE_ETH_QUEUE_STATE_STOPPED;
	}
	for (i = 0; i < eth->data->nb_tx_queues; i++) {
		if (eth->data->tx_queues[i] != NULL)
			tx_drop_buffers(eth->data->tx_queues[i]);
		eth->data->tx_queue_state[i] = RTE_ETH_QUEUE_STATE_STOPPED;
	}
}
