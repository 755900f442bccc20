/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The fast path: receive and transmit bursts over four rings shared with the kernel
 * (Documentation/networking/af_xdp.rst). Ring entries are offsets of mbufs' buffers in the UMEM.
 *
 * No lock; a system call only where the kernel needs one, unless need_wakeup=0 or busy polling is
 * set. Called by ethdev, by one thread at a time for each queue.
 */

#include <errno.h>
#include <sys/socket.h>

#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_power_intrinsics.h>
#include <rte_prefetch.h>

#include "af_xdp.h"

/* mbufs moved between a ring and a pool in one go. */
#define BATCH 64
/* How many frames ahead the mbuf of a received frame is prefetched. */
#define AHEAD 4
/* Most system calls in a burst, as long as the kernel takes some frames each time. */
#define MAX_KICKS 16

static inline struct rte_mbuf *
chunk_to_mbuf(char *base, uint64_t off, uint32_t mbuf_len)
{
	return (struct rte_mbuf *)(base + off - mbuf_len);
}

static int
rx_fill_batch(struct af_xdp_rxq *rxq, uint16_t n)
{
	struct rte_mbuf *m[BATCH];
	uint32_t at;
	uint64_t off;
	uint16_t i;

	if (rte_mempool_get_bulk(rxq->pool, (void **)m, n) < 0)
		return -ENOENT;
	if (unlikely(xsk_ring_prod__reserve(&rxq->fill, n, &at) == 0)) {
		rte_mempool_put_bulk(rxq->pool, (void **)m, n);
		return -ENOSPC;
	}
	for (i = 0; i < n; i++) {
		off = (char *)m[i] + rxq->mbuf_len - rxq->base;
		rxq->posted[off >> AF_XDP_CHUNK_SHIFT] = 1;
		*xsk_ring_prod__fill_addr(&rxq->fill, at + i) = off;
	}
	xsk_ring_prod__submit(&rxq->fill, n);
	return 0;
}

int
af_xdp_fill(struct af_xdp_rxq *rxq, uint16_t n)
{
	uint16_t step;
	int rc;

	for (; n > 0; n -= step) {
		step = RTE_MIN(n, BATCH);
		rc = rx_fill_batch(rxq, step);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Count each missing buffer once, however often it is polled for. */
static __rte_noinline void
rx_count_missing(struct af_xdp_rxq *rxq)
{
	rxq->no_mbuf += rxq->to_fill - rxq->missing;
	rxq->missing = rxq->to_fill;
}

/* Refill the fill ring once fill_thresh buffers are missing. */
static inline void
rx_refill(struct af_xdp_rxq *rxq)
{
	while (rxq->to_fill >= rxq->fill_thresh) {
		if (unlikely(rx_fill_batch(rxq, rxq->fill_thresh) < 0)) {
			rx_count_missing(rxq);
			return;
		}
		rxq->to_fill -= rxq->fill_thresh;
		if (unlikely(rxq->missing > 0))
			rxq->missing -= RTE_MIN(rxq->missing, rxq->fill_thresh);
	}
}

/* @return true if the kernel sends only when it is called */
static inline bool
tx_wants_call(const struct af_xdp_txq *txq)
{
	return !txq->need_wakeup || xsk_ring_prod__needs_wakeup(&txq->tx);
}

/* On an empty receive ring: have the kernel process the rings, if it needs a call for that. */
static __rte_noinline void
rx_idle(struct af_xdp_rxq *rxq, int fd)
{
	struct af_xdp_txq *txq = &rxq->q->tx;

	if (rxq->busy_poll || xsk_ring_prod__needs_wakeup(&rxq->fill)) {
		recv(fd, NULL, 0, MSG_DONTWAIT);
		rxq->calls++;
	}
	/*
	 * Retry frames that a full queue of the netdev refused, even if the application sends no
	 * more. With zero-copy the kernel takes them without a call, and clears the ring's flag.
	 */
	if (unlikely(af_xdp_tx_unsent(txq) > 0) && tx_wants_call(txq)) {
		send(fd, NULL, 0, MSG_DONTWAIT);
		rxq->calls++;
	}
}

/*
 * Consume up to n entries of a ring. @return how many. Reads the shared index again before it
 * returns fewer than n: full bursts are cheaper for what follows.
 */
static inline uint32_t
ring_peek(struct xsk_ring_cons *ring, uint32_t n, uint32_t *at)
{
	uint32_t there = ring->cached_prod - ring->cached_cons;

	if (there < n) {
		ring->cached_prod = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
		there = ring->cached_prod - ring->cached_cons;
	}
	*at = ring->cached_cons;
	n = RTE_MIN(n, there);
	ring->cached_cons += n;
	return n;
}

/* Take the mbuf of an entry of the receive ring over from the kernel. */
static inline struct rte_mbuf *
rx_pop(struct af_xdp_rxq *rxq, uint32_t at)
{
	const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&rxq->rx, at + AHEAD);
	struct rte_mbuf *m;
	uint64_t off;

	rte_prefetch0(rxq->base + xsk_umem__extract_addr(desc->addr) - rxq->mbuf_len);
	desc = xsk_ring_cons__rx_desc(&rxq->rx, at);
	off = xsk_umem__extract_addr(desc->addr);
	rxq->posted[off >> AF_XDP_CHUNK_SHIFT] = 0;
	m = chunk_to_mbuf(rxq->base, off, rxq->mbuf_len);
	*(uint64_t *)&m->rearm_data = rxq->rearm;
	m->data_off = xsk_umem__extract_offset(desc->addr);
	m->ol_flags = 0;
	m->packet_type = 0;
	m->pkt_len = desc->len;
	m->data_len = desc->len;
	m->vlan_tci = 0;
	return m;
}

/* Give n_descs entries of the receive ring back, which held n frames. */
static inline void
rx_finish(struct af_xdp_rxq *rxq, uint32_t n_descs, uint16_t n, uint64_t bytes)
{
	xsk_ring_cons__release(&rxq->rx, n_descs);
	rxq->packets += n;
	rxq->bytes += bytes;
	rxq->to_fill += n_descs;
	rx_refill(rxq);
}

/* A burst, with the calling process's descriptor of the socket. */
static __rte_always_inline uint16_t
rx_burst(struct af_xdp_rxq *rxq, int fd, struct rte_mbuf **pkts, uint16_t n)
{
	uint64_t bytes = 0;
	uint32_t at;
	uint16_t i;

	n = ring_peek(&rxq->rx, n, &at);
	if (n == 0) {
		rx_refill(rxq);
		rx_idle(rxq, fd);
		return 0;
	}
	for (i = 0; i < n; i++) {
		pkts[i] = rx_pop(rxq, at + i);
		bytes += pkts[i]->pkt_len;
	}
	rx_finish(rxq, n, n, bytes);
	return n;
}

/* @return how many of n entries are the first frame; 0: its last buffer is not among them */
static inline uint32_t
rx_frame_descs(const struct af_xdp_rxq *rxq, uint32_t at, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if ((xsk_ring_cons__rx_desc(&rxq->rx, at + i)->options & XDP_PKT_CONTD) == 0)
			return i + 1;
	return 0;
}

/* Chain the n mbufs of a frame. */
static inline struct rte_mbuf *
rx_pop_chain(struct af_xdp_rxq *rxq, uint32_t at, uint32_t n)
{
	struct rte_mbuf *head = rx_pop(rxq, at), *last = head;
	uint32_t i;

	for (i = 1; i < n; i++) {
		last->next = rx_pop(rxq, at + i);
		last = last->next;
		head->pkt_len += last->data_len;
	}
	head->nb_segs = n;
	return head;
}

/* A frame whose last buffer is not in the ring stays there as a whole. */
static inline uint16_t
rx_burst_sg(struct af_xdp_rxq *rxq, int fd, struct rte_mbuf **pkts, uint16_t n)
{
	uint32_t at, there, len, used = 0;
	uint64_t bytes = 0;
	uint16_t i;

	there = ring_peek(&rxq->rx, rxq->rx.size, &at);
	for (i = 0; i < n; i++) {
		len = rx_frame_descs(rxq, at + used, there - used);
		if (len == 0)
			break;
		pkts[i] = rx_pop_chain(rxq, at + used, len);
		bytes += pkts[i]->pkt_len;
		used += len;
	}
	rxq->rx.cached_cons = at + used;
	if (i == 0) {
		rx_refill(rxq);
		rx_idle(rxq, fd);
		return 0;
	}
	rx_finish(rxq, used, i, bytes);
	return i;
}

uint16_t
af_xdp_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct af_xdp_rxq *rxq = queue;

	return rx_burst(rxq, rxq->fd, pkts, n);
}

uint16_t
af_xdp_rx_burst_sg(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct af_xdp_rxq *rxq = queue;

	return rx_burst_sg(rxq, rxq->fd, pkts, n);
}

uint32_t
af_xdp_reap(struct af_xdp_txq *txq)
{
	struct rte_mbuf *m, *free[BATCH];
	uint32_t at, i, n, n_free, total = 0;
	uint64_t off;

	while ((n = ring_peek(&txq->comp, BATCH, &at)) > 0) {
		for (i = 0, n_free = 0; i < n; i++) {
			off = xsk_umem__extract_addr(*xsk_ring_cons__comp_addr(&txq->comp, at + i));
			txq->posted[off >> AF_XDP_CHUNK_SHIFT]--;
			m = chunk_to_mbuf(txq->base, off, txq->mbuf_len);
			if (!txq->fast_free)
				m = rte_pktmbuf_prefree_seg(m);
			if (likely(m != NULL))
				free[n_free++] = m;
		}
		xsk_ring_cons__release(&txq->comp, n);
		rte_mempool_put_bulk(txq->pool, (void **)free, n_free);
		total += n;
	}
	txq->n_posted -= total;
	return total;
}

/*
 * Have the kernel send what is in the ring. In copy mode this call is what sends. It takes a
 * limited number of frames and returns EAGAIN if there are more. It stops when the completion ring
 * or the queue of the netdev is full.
 */
static inline void
tx_kick(struct af_xdp_txq *txq, int fd)
{
	uint32_t left, before = UINT32_MAX;
	unsigned int i;

	for (i = 0; i < MAX_KICKS; i++) {
		if (!tx_wants_call(txq))
			return;
		txq->calls++;
		if (likely(send(fd, NULL, 0, MSG_DONTWAIT) >= 0))
			return;
		if (errno != EAGAIN && errno != EBUSY && errno != EINTR && errno != ENOBUFS)
			return;
		left = af_xdp_tx_unsent(txq);
		if (left == 0 || (left >= before && af_xdp_reap(txq) == 0))
			return;
		before = left;
	}
}

/*
 * Copy a frame that does not lie in the UMEM as a whole into an mbuf that does. @return NULL: no
 * mbuf is free
 */
static __rte_noinline struct rte_mbuf *
tx_copy(struct af_xdp_txq *txq, const struct rte_mbuf *m)
{
	struct rte_mbuf *c = rte_pktmbuf_alloc(txq->pool);
	const void *data;
	char *to;

	if (c == NULL)
		return NULL;
	c->data_off = RTE_MIN(c->data_off, (uint16_t)(txq->chunk_len - m->pkt_len));
	to = rte_pktmbuf_append(c, m->pkt_len);
	if (to == NULL) {
		rte_pktmbuf_free(c);
		return NULL;
	}
	data = rte_pktmbuf_read(m, 0, m->pkt_len, to);
	if (data != to)
		rte_memcpy(to, data, m->pkt_len);
	txq->copies++;
	return c;
}

static inline bool
tx_sendable(const struct af_xdp_txq *txq, const struct rte_mbuf *m)
{
	return m->pkt_len >= RTE_ETHER_HDR_LEN && m->pkt_len <= txq->chunk_len;
}

static inline bool
tx_in_umem(const struct af_xdp_txq *txq, const struct rte_mbuf *m)
{
	return likely(m->pool == txq->pool && m->nb_segs == 1 && RTE_MBUF_DIRECT(m));
}

/* options: XDP_PKT_CONTD, or 0 */
static inline void
tx_post(struct af_xdp_txq *txq, uint32_t at, const struct rte_mbuf *m, uint32_t options)
{
	struct xdp_desc *desc = xsk_ring_prod__tx_desc(&txq->tx, at);
	uint64_t off = (char *)m->buf_addr - txq->base;

	txq->posted[off >> AF_XDP_CHUNK_SHIFT]++;
	desc->addr = off | (uint64_t)m->data_off << XSK_UNALIGNED_BUF_OFFSET_SHIFT;
	desc->len = m->data_len;
	desc->options = options;
}

/* @return how many of n entries of the ring are free */
static inline uint32_t
tx_reserve(struct af_xdp_txq *txq, int fd, uint32_t n)
{
	uint32_t n_slots;

	if (txq->n_posted >= txq->free_thresh)
		af_xdp_reap(txq);
	n_slots = xsk_prod_nb_free(&txq->tx, n);
	if (unlikely(n_slots < n)) {
		tx_kick(txq, fd);
		af_xdp_reap(txq);
		n_slots = xsk_prod_nb_free(&txq->tx, n);
	}
	return RTE_MIN(n_slots, n);
}

/* Have the kernel send the next n_descs entries of the ring, which hold n frames. */
static inline void
tx_submit(struct af_xdp_txq *txq, int fd, uint32_t n_descs, uint32_t n, uint64_t bytes)
{
	txq->tx.cached_prod += n_descs;
	xsk_ring_prod__submit(&txq->tx, n_descs);
	txq->n_posted += n_descs;
	txq->packets += n;
	txq->bytes += bytes;
	tx_kick(txq, fd);
}

/* @see rx_burst() */
static __rte_always_inline uint16_t
tx_burst(struct af_xdp_txq *txq, int fd, struct rte_mbuf **pkts, uint16_t n)
{
	uint32_t n_slots = tx_reserve(txq, fd, n), at = txq->tx.cached_prod, posted = 0;
	struct rte_mbuf *m, *c;
	uint64_t bytes = 0;
	uint16_t i;

	for (i = 0; i < n && posted < n_slots; i++) {
		m = pkts[i];
		if (unlikely(!tx_sendable(txq, m))) {
			txq->errors++;
			rte_pktmbuf_free(m);
			continue;
		}
		if (unlikely(!tx_in_umem(txq, m))) {
			c = tx_copy(txq, m);
			if (c == NULL)
				break;
			rte_pktmbuf_free(m);
			m = c;
		}
		bytes += m->data_len;
		tx_post(txq, at + posted++, m, 0);
	}
	if (posted > 0)
		tx_submit(txq, fd, posted, posted, bytes);
	return i;
}

/* @return true if the kernel takes the mbufs of a frame as they are */
static inline bool
tx_chain_in_umem(const struct af_xdp_txq *txq, const struct rte_mbuf *m)
{
	if (m->nb_segs > AF_XDP_MAX_TX_SEGS)
		return false;
	for (; m != NULL; m = m->next)
		/* An empty buffer is an invalid descriptor (xp_unaligned_validate_desc()). */
		if (m->pool != txq->pool || !RTE_MBUF_DIRECT(m) || m->data_len == 0 ||
			m->data_len > txq->chunk_len)
			return false;
	return true;
}

/* @return bytes of a frame that a buffer takes in a copy */
static inline uint32_t
tx_copy_room(const struct af_xdp_txq *txq)
{
	return txq->chunk_len - RTE_PKTMBUF_HEADROOM;
}

/* @return entries of the ring that a frame needs, by itself or as a copy; 0: it cannot be sent */
static inline uint32_t
tx_chain_segs(const struct af_xdp_txq *txq, const struct rte_mbuf *m, bool in_umem)
{
	if (unlikely(m->pkt_len < RTE_ETHER_HDR_LEN ||
		    m->pkt_len > tx_copy_room(txq) * AF_XDP_MAX_TX_SEGS))
		return 0;
	return in_umem ? m->nb_segs
		       : RTE_ALIGN_MUL_CEIL(m->pkt_len, tx_copy_room(txq)) / tx_copy_room(txq);
}

/* Copy a frame into as few mbufs of the pool as hold it. @return NULL: they are not free */
static __rte_noinline struct rte_mbuf *
tx_copy_chain(struct af_xdp_txq *txq, const struct rte_mbuf *m)
{
	struct rte_mbuf *head = NULL, *c;
	uint32_t len, done;
	const void *data;
	char *to;

	for (done = 0; done < m->pkt_len; done += len) {
		c = rte_pktmbuf_alloc(txq->pool);
		if (c == NULL) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		len = RTE_MIN(m->pkt_len - done, tx_copy_room(txq));
		to = rte_pktmbuf_append(c, len);
		data = rte_pktmbuf_read(m, done, len, to);
		if (data != to)
			rte_memcpy(to, data, len);
		if (head == NULL)
			head = c;
		else
			rte_pktmbuf_chain(head, c);
	}
	txq->copies++;
	return head;
}

/* Post the mbufs of a frame. Each is completed, and freed, by itself. */
static inline void
tx_post_chain(struct af_xdp_txq *txq, uint32_t at, struct rte_mbuf *m)
{
	struct rte_mbuf *next;

	for (; m != NULL; m = next) {
		next = m->next;
		tx_post(txq, at++, m, next != NULL ? XDP_PKT_CONTD : 0);
		/* Unlike rte_pktmbuf_prefree_seg(), a fast free does not reset these. */
		if (txq->fast_free) {
			m->next = NULL;
			m->nb_segs = 1;
		}
	}
}

/* @return entries of the ring for n frames, and for a copy of the first one */
static inline uint32_t
tx_count_segs(struct rte_mbuf **pkts, uint16_t n)
{
	uint32_t total = AF_XDP_MAX_TX_SEGS;
	uint16_t i;

	for (i = 0; i < n; i++)
		total += pkts[i]->nb_segs;
	return total;
}

/* A frame whose buffers do not all fit into the ring stays with the caller. */
static inline uint16_t
tx_burst_sg(struct af_xdp_txq *txq, int fd, struct rte_mbuf **pkts, uint16_t n)
{
	uint32_t left = tx_reserve(txq, fd, tx_count_segs(pkts, n)), at = txq->tx.cached_prod;
	uint32_t segs, frames = 0;
	struct rte_mbuf *m, *c;
	uint64_t bytes = 0;
	bool in_umem;
	uint16_t i;

	for (i = 0; i < n; i++) {
		m = pkts[i];
		in_umem = tx_chain_in_umem(txq, m);
		segs = tx_chain_segs(txq, m, in_umem);
		if (unlikely(segs == 0)) {
			txq->errors++;
			rte_pktmbuf_free(m);
			continue;
		}
		if (unlikely(segs > left))
			break;
		if (unlikely(!in_umem)) {
			c = tx_copy_chain(txq, m);
			if (c == NULL)
				break;
			rte_pktmbuf_free(m);
			m = c;
		}
		bytes += m->pkt_len;
		frames++;
		tx_post_chain(txq, at, m);
		at += segs;
		left -= segs;
	}
	if (frames > 0)
		tx_submit(txq, fd, at - txq->tx.cached_prod, frames, bytes);
	return i;
}

uint16_t
af_xdp_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct af_xdp_txq *txq = queue;

	return tx_burst(txq, txq->fd, pkts, n);
}

uint16_t
af_xdp_tx_burst_sg(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct af_xdp_txq *txq = queue;

	return tx_burst_sg(txq, txq->fd, pkts, n);
}

/*
 * Bursts of a secondary process. `busy` is set before `open` is read. The compiler keeps this
 * order; the thread that closes the queue makes the processor keep it, by membarrier(2).
 */
static inline bool
view_enter(const struct af_xdp_view_queue *v, uint32_t *busy)
{
	__atomic_store_n(busy, 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return likely(__atomic_load_n(&v->open, __ATOMIC_ACQUIRE));
}

static inline void
view_leave(uint32_t *busy)
{
	__atomic_store_n(busy, 0, __ATOMIC_RELEASE);
}

static inline uint16_t
view_rx(const struct af_xdp_view_queue *v, struct rte_mbuf **pkts, uint16_t n)
{
	return v->scatter ? rx_burst_sg(&v->q->rx, v->fd, pkts, n)
			  : rx_burst(&v->q->rx, v->fd, pkts, n);
}

uint16_t
af_xdp_view_rx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct af_xdp_view_queue *v = queue;

	n = view_enter(v, &v->in_rx) ? view_rx(v, pkts, n) : 0;
	view_leave(&v->in_rx);
	return n;
}

static inline uint16_t
view_tx(const struct af_xdp_view_queue *v, struct rte_mbuf **pkts, uint16_t n)
{
	return v->scatter ? tx_burst_sg(&v->q->tx, v->fd, pkts, n)
			  : tx_burst(&v->q->tx, v->fd, pkts, n);
}

uint16_t
af_xdp_view_tx_burst(void *queue, struct rte_mbuf **pkts, uint16_t n)
{
	struct af_xdp_view_queue *v = queue;

	n = view_enter(v, &v->in_tx) ? view_tx(v, pkts, n) : 0;
	view_leave(&v->in_tx);
	return n;
}

gantry_eth_count_t
af_xdp_rx_queue_count(void *queue)
{
	const struct af_xdp_rxq *rxq = queue;

	return __atomic_load_n(rxq->rx.producer, __ATOMIC_RELAXED) -
		__atomic_load_n(rxq->rx.consumer, __ATOMIC_RELAXED);
}

int
af_xdp_rx_descriptor_status(void *queue, uint16_t offset)
{
	struct af_xdp_rxq *rxq = queue;

	if (offset >= rxq->n_desc)
		return -EINVAL;
	if (offset < (uint32_t)af_xdp_rx_queue_count(queue))
		return RTE_ETH_RX_DESC_DONE;
	return offset < rxq->n_desc - rxq->to_fill ? RTE_ETH_RX_DESC_AVAIL
						   : RTE_ETH_RX_DESC_UNAVAIL;
}

int
af_xdp_tx_descriptor_status(void *queue, uint16_t offset)
{
	struct af_xdp_txq *txq = queue;

	if (offset >= txq->n_desc)
		return -EINVAL;
	return offset < af_xdp_tx_unsent(txq) ? RTE_ETH_TX_DESC_FULL : RTE_ETH_TX_DESC_DONE;
}

int
af_xdp_tx_done_cleanup(void *queue, uint32_t n)
{
	/* Frees all that is done, whatever n is: mbufs that are sent are of no use here. */
	return af_xdp_reap(queue);
}

/* @return -1: the kernel has stored frames since the last poll, so do not sleep; 0 */
static int
rx_monitor_cb(const uint64_t value, const uint64_t opaque[RTE_POWER_MONITOR_OPAQUE_SZ])
{
	return value == opaque[0] ? 0 : -1;
}

int
af_xdp_get_monitor_addr(void *queue, struct rte_power_monitor_cond *cond)
{
	const struct af_xdp_rxq *rxq = queue;

	cond->addr = rxq->rx.producer;
	cond->size = sizeof(*rxq->rx.producer);
	/* Frames that were not received yet make a difference, also those that came before. */
	cond->opaque[0] = rxq->rx.cached_cons;
	cond->fn = rx_monitor_cb;
	return 0;
}
