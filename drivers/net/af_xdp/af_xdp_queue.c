/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Queues: a queue is a socket of the kernel (Documentation/networking/af_xdp.rst), whose UMEM is
 * the memory of the queue's mbuf pool.
 *
 * A frame that the kernel stores is an mbuf. An mbuf that is sent is not copied before the kernel
 * has it. Called by af_xdp_ethdev.c at start and stop, while no thread polls the queues.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "af_xdp.h"

#ifndef SO_PREFER_BUSY_POLL /* Linux 5.11, include/uapi/asm-generic/socket.h */
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif
/*
 * Linux 6.17, include/uapi/linux/if_xdp.h: frames that one call sends in copy mode. Older kernels
 * send 32.
 */
#define OPT_MAX_TX_SKB_BUDGET 9

#define BUSY_POLL_US 20
/* Bytes that the kernel charges to a socket for a frame in copy mode, at the most. */
#define SKB_TRUESIZE 4096

/*
 * The kernel releases the queue of a closed socket later: after the last frame that it sent is
 * freed and an RCU grace period, from a worker (xsk_destruct(), xp_put_pool()). That takes
 * milliseconds, or seconds on a machine with far more work than processors. A queue that was just
 * ours is worth a longer wait than one that another program may hold for good.
 */
#define RELEASE_WAIT_S 2
#define OWN_RELEASE_WAIT_S 15
#define RELEASE_TRY_US 5000
/* How long a stopping port waits for a netdev that sends slowly, such as one without a link. */
#define DRAIN_WAIT_S 2
#define DRAIN_TRY_US 500

uint32_t
af_xdp_pool_max_frame(struct rte_mempool *pool)
{
	uint16_t chunk = RTE_MIN(rte_pktmbuf_data_room_size(pool), AF_XDP_MAX_CHUNK);

	return chunk > AF_XDP_HEADROOM ? chunk - AF_XDP_HEADROOM : 0;
}

/* Get the pages that hold all memory chunks of a pool. */
static void
pool_span(const struct rte_mempool *pool, char **base, size_t *len)
{
	uintptr_t start = UINTPTR_MAX, end = 0, page = sysconf(_SC_PAGESIZE);
	const struct rte_mempool_memhdr *chunk;

	STAILQ_FOREACH(chunk, &pool->mem_list, next) {
		start = RTE_MIN(start, (uintptr_t)chunk->addr);
		end = RTE_MAX(end, (uintptr_t)chunk->addr + chunk->len);
	}
	start = RTE_ALIGN_FLOOR(start, page);
	*base = (char *)start;
	*len = RTE_ALIGN_CEIL(end, page) - start;
}

static void
umem_describe(struct af_xdp_umem *u, struct rte_mempool *pool)
{
	*u = (struct af_xdp_umem){
		.pool = pool,
		.mbuf_len = sizeof(struct rte_mbuf) + rte_pktmbuf_priv_size(pool),
		.chunk_len = RTE_MIN(rte_pktmbuf_data_room_size(pool), AF_XDP_MAX_CHUNK),
	};
	pool_span(pool, &u->base, &u->len);
}

static int
queue_alloc_tables(struct af_xdp_queue *q)
{
	size_t n = (q->umem->len >> AF_XDP_CHUNK_SHIFT) + 1;

	q->rx.posted =
		rte_zmalloc("af_xdp rx chunks", n * sizeof(*q->rx.posted), RTE_CACHE_LINE_SIZE);
	q->tx.posted =
		rte_zmalloc("af_xdp tx chunks", n * sizeof(*q->tx.posted), RTE_CACHE_LINE_SIZE);
	return q->rx.posted == NULL || q->tx.posted == NULL ? -ENOMEM : 0;
}

/* Free an mbuf that the kernel still had when its socket was closed. */
static void
queue_reclaim_mbuf(struct rte_mempool *pool, void *queue, void *obj, unsigned int index)
{
	struct af_xdp_queue *q = queue;
	struct rte_mbuf *m = obj;
	size_t i = ((char *)m + q->rx.mbuf_len - q->rx.base) >> AF_XDP_CHUNK_SHIFT;

	if (q->rx.posted[i])
		rte_mempool_put(pool, m);
	q->rx.posted[i] = 0;
	for (; q->tx.posted[i] > 0; q->tx.posted[i]--)
		rte_pktmbuf_free_seg(m);
}

static void
queue_free_tables(struct af_xdp_queue *q)
{
	if (q->rx.posted != NULL && q->tx.posted != NULL)
		rte_mempool_obj_iter(q->rx.pool, queue_reclaim_mbuf, q);
	rte_free(q->rx.posted);
	rte_free(q->tx.posted);
	q->rx.posted = NULL;
	q->tx.posted = NULL;
	q->tx.n_posted = 0;
}

/* Copy the description of the UMEM to both directions of a queue. */
static void
queue_set_umem(struct af_xdp_queue *q)
{
	q->rx.base = q->tx.base = q->umem->base;
	q->rx.mbuf_len = q->tx.mbuf_len = q->umem->mbuf_len;
	q->tx.chunk_len = q->umem->chunk_len;
	q->rx.pool = q->tx.pool = q->umem->pool;
}

static uint32_t
ring_size(uint16_t n_desc)
{
	return rte_align32pow2(n_desc);
}

/* Register the queue's own UMEM with the kernel, and fill the fill ring if the queue receives. */
static int
queue_register_umem(struct af_xdp_queue *q)
{
	struct xsk_umem_config conf = {
		.fill_size = ring_size(q->rx.n_desc),
		.comp_size = ring_size(q->tx.n_desc),
		.frame_size = q->own.chunk_len,
		.flags = XDP_UMEM_UNALIGNED_CHUNK_FLAG,
	};
	int rc;

	rc = xsk_umem__create(
		&q->own.umem, q->own.base, q->own.len, &q->rx.fill, &q->tx.comp, &conf);
	if (rc < 0 || !q->has_rx)
		return rc;
	rc = af_xdp_fill(&q->rx, q->rx.n_desc);
	if (rc < 0) {
		xsk_umem__delete(q->own.umem);
		q->own.umem = NULL;
		return -ENOMEM;
	}
	return 0;
}

static bool
queue_is_zero_copy(const struct af_xdp_queue *q)
{
	struct xdp_options got = {0};
	socklen_t len = sizeof(got);

	return getsockopt(xsk_socket__fd(q->xsk), SOL_XDP, XDP_OPTIONS, &got, &len) == 0 &&
		got.flags & XDP_OPTIONS_ZEROCOPY;
}

/*
 * The fill ring is filled before bind(2) with the queue's own UMEM, after it with another's. A
 * queue that only transmits needs buffers with zero-copy: its netdev then has no others for the
 * frames that it passes to the kernel.
 */
static bool
queue_fills_later(const struct af_xdp_queue *q)
{
	return q->has_rx ? q->umem != &q->own : queue_is_zero_copy(q);
}

/*
 * Try once to open the socket. @return 0; -EBUSY: another socket is bound to the queue; another
 * error
 */
static int
queue_try_open(struct af_xdp_port *port, struct af_xdp_queue *q)
{
	struct xsk_socket_config conf = {
		.rx_size = ring_size(q->rx.n_desc),
		.tx_size = ring_size(q->tx.n_desc),
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = port->args.need_wakeup ? XDP_USE_NEED_WAKEUP : 0,
	};
	bool own = q->umem == &q->own;
	char name[IFNAMSIZ];
	int rc;

	if (port->scatter)
		conf.bind_flags |= XDP_USE_SG;
	if (port->args.zero_copy != AF_XDP_AUTO)
		conf.bind_flags |= port->args.zero_copy == AF_XDP_YES ? XDP_ZEROCOPY : XDP_COPY;
	/* libxdp sets only what it needs, but its inline functions keep state in other members. */
	memset(&q->rx.rx, 0, sizeof(q->rx.rx));
	memset(&q->rx.fill, 0, sizeof(q->rx.fill));
	memset(&q->tx.tx, 0, sizeof(q->tx.tx));
	memset(&q->tx.comp, 0, sizeof(q->tx.comp));
	rc = queue_alloc_tables(q);
	if (rc == 0 && own)
		rc = queue_register_umem(q);
	if (rc < 0)
		goto fail;
	rc = xsk_socket__create_shared(&q->xsk, af_xdp_netdev_name(port, name), q->id,
		q->umem->umem, q->has_rx ? &q->rx.rx : NULL, q->has_tx ? &q->tx.tx : NULL,
		&q->rx.fill, &q->tx.comp, &conf);
	if (rc == 0 && queue_fills_later(q) && af_xdp_fill(&q->rx, q->rx.n_desc) < 0) {
		xsk_socket__delete(q->xsk);
		rc = -ENOMEM;
	}
	if (rc == 0) {
		q->umem->n_users++;
		return 0;
	}
	q->xsk = NULL;
	if (own)
		xsk_umem__delete(q->own.umem);
	q->own.umem = NULL;
fail:
	queue_free_tables(q);
	return rc;
}

/* Log why a queue cannot be opened, and the remedy. */
static void
queue_log_open_error(const struct af_xdp_port *port, const struct af_xdp_queue *q, int rc)
{
	const char *iface = port->args.iface, *name = port->name;

	switch (-rc) {
	case EAFNOSUPPORT:
		AF_XDP_LOG(ERR, name, "this kernel has no AF_XDP: it needs CONFIG_XDP_SOCKETS");
		break;
	case EPERM:
	case EACCES:
		AF_XDP_LOG(ERR, name,
			"no permission for an AF_XDP socket: run as root, or with CAP_NET_RAW");
		break;
	case EBUSY:
		AF_XDP_LOG(ERR, name,
			"queue %u of %s is held by another AF_XDP socket: end the program"
			" that holds it, or choose others with start_queue=",
			q->id, iface);
		break;
	case EOPNOTSUPP:
		AF_XDP_LOG(ERR, name,
			"the driver of %s does not support zero-copy%s: leave zero_copy=1 out",
			iface, port->scatter ? " of frames in several buffers" : "");
		break;
	case EINVAL:
		AF_XDP_LOG(ERR, name, "%s has no queue %u for this mode: see ethtool -l %s", iface,
			q->id, iface);
		break;
	case ENOBUFS:
		AF_XDP_LOG(ERR, name,
			"%zu bytes of pool %s exceed RLIMIT_MEMLOCK: raise it"
			" (ulimit -l), or run with CAP_IPC_LOCK",
			q->own.len, q->own.pool->name);
		break;
	case EFAULT:
		AF_XDP_LOG(ERR, name,
			"the memory of pool %s is not contiguous: create it with"
			" dmamap_pktmbuf_pool_create()",
			q->own.pool->name);
		break;
	case ENOMEM:
		AF_XDP_LOG(ERR, name,
			"queue %u needs %u mbufs, pool %s has %u free, or the kernel"
			" has no memory: make the pool larger",
			q->id, q->rx.n_desc, q->own.pool->name,
			rte_mempool_avail_count(q->own.pool));
		break;
	default:
		AF_XDP_LOG(ERR, name, "queue %u of %s cannot be opened: %s", q->id, iface,
			strerror(-rc));
	}
}

/* Request busy polling. @return false: off, or the kernel refuses it */
static bool
queue_set_busy_poll(const struct af_xdp_port *port, const struct af_xdp_queue *q)
{
	int yes = 1, us = BUSY_POLL_US, budget = port->args.busy_budget;

	if (budget == 0)
		return false;
	if (setsockopt(q->rx.fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &yes, sizeof(yes)) == 0 &&
		setsockopt(q->rx.fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us)) == 0 &&
		setsockopt(q->rx.fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof(budget)) == 0)
		return true;
	AF_XDP_LOG(NOTICE, port->name, "queue %u: the kernel refuses busy polling: %s", q->id,
		strerror(errno));
	return false;
}

/* Set options that make a socket faster. Kernels that lack one work without it. */
static void
queue_set_options(struct af_xdp_port *port, struct af_xdp_queue *q)
{
	int sndbuf = ring_size(q->tx.n_desc) * SKB_TRUESIZE, budget = ring_size(q->tx.n_desc);

	q->rx.busy_poll = queue_set_busy_poll(port, q);
	q->tx.need_wakeup = port->args.need_wakeup;
	/* Let all frames of the ring be under way at once. */
	setsockopt(q->tx.fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf));
	setsockopt(q->tx.fd, SOL_XDP, OPT_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
	q->zero_copy = queue_is_zero_copy(q);
	if (!q->zero_copy && port->args.zero_copy == AF_XDP_AUTO && q == port->queue)
		AF_XDP_LOG(NOTICE, port->name,
			"the driver of %s does not support zero-copy here%s, so the kernel"
			" copies each frame",
			port->args.iface, port->scatter ? ", with RTE_ETH_RX_OFFLOAD_SCATTER" : "");
}

/* @return the UMEM of an earlier queue with the same pool, or the queue's own */
static struct af_xdp_umem *
queue_choose_umem(struct af_xdp_port *port, struct af_xdp_queue *q)
{
	struct af_xdp_queue *other;

	if (port->args.shared_umem)
		for (other = port->queue; other < q; other++)
			if (other->own.umem != NULL && other->own.pool == q->rx.pool)
				return &other->own;
	return &q->own;
}

/* @return the time until which the kernel may still release a busy queue, in cycles of the timer */
static uint64_t
queue_release_deadline(const struct af_xdp_queue *q)
{
	uint64_t deadline = rte_get_timer_cycles() + RELEASE_WAIT_S * rte_get_timer_hz();

	if (q->closed_at != 0)
		deadline =
			RTE_MAX(deadline, q->closed_at + OWN_RELEASE_WAIT_S * rte_get_timer_hz());
	return deadline;
}

/*
 * @return whether an error may pass: another socket is bound to the queue, or the memory that our
 * last one locked is still charged (xdp_umem_release_deferred() does both in a worker).
 */
static bool
queue_may_be_released(const struct af_xdp_queue *q, int rc)
{
	return rc == -EBUSY || (rc == -ENOBUFS && q->closed_at != 0);
}

/* Choose the directions of a queue, and describe what the one that is missing must have. */
static void
queue_set_directions(struct af_xdp_port *port, struct af_xdp_queue *q)
{
	const struct rte_eth_dev_data *data = port->eth->data;
	uint16_t i = q - port->queue;

	q->has_rx = i < data->nb_rx_queues;
	q->has_tx = i < data->nb_tx_queues;
	if (!q->has_rx) {
		q->rx.pool = port->queue[0].rx.pool;
		q->rx.n_desc = port->queue[0].rx.n_desc;
	}
	if (!q->has_tx)
		q->tx.n_desc = AF_XDP_MIN_DESC;
}

static int
queue_open(struct af_xdp_port *port, struct af_xdp_queue *q)
{
	uint64_t deadline = queue_release_deadline(q);
	int rc;

	queue_set_directions(port, q);
	umem_describe(&q->own, q->rx.pool);
	q->umem = queue_choose_umem(port, q);
	queue_set_umem(q);
	while (queue_may_be_released(q, rc = queue_try_open(port, q)) &&
		rte_get_timer_cycles() < deadline)
		rte_delay_us_sleep(RELEASE_TRY_US);
	if (rc < 0) {
		if (!af_xdp_gone(port))
			queue_log_open_error(port, q, rc);
		return rc;
	}
	q->rx.fd = q->tx.fd = xsk_socket__fd(q->xsk);
	q->rx.to_fill = q->rx.missing = 0;
	queue_set_options(port, q);
	return 0;
}

static void
queue_close(struct af_xdp_queue *q)
{
	af_xdp_stats_save(q);
	xsk_socket__delete(q->xsk);
	q->xsk = NULL;
	q->closed_at = rte_get_timer_cycles();
	if (--q->umem->n_users == 0) {
		xsk_umem__delete(q->umem->umem);
		q->umem->umem = NULL;
	}
}

/* Try once to bind an unused socket to the queue. @return -EBUSY while another is bound to it */
static int
queue_probe(const struct af_xdp_port *port, const struct af_xdp_queue *q, void *page)
{
	struct xsk_umem_config umem_conf = {
		.fill_size = 1, .comp_size = 1, .frame_size = AF_XDP_MIN_CHUNK};
	struct xsk_socket_config conf = {.rx_size = 1,
		.bind_flags = XDP_COPY,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD};
	struct xsk_ring_prod fill;
	struct xsk_ring_cons comp, rx;
	struct xsk_socket *xsk;
	struct xsk_umem *umem;
	char name[IFNAMSIZ];
	int rc;

	rc = xsk_umem__create(&umem, page, sysconf(_SC_PAGESIZE), &fill, &comp, &umem_conf);
	if (rc < 0)
		return rc;
	rc = xsk_socket__create(
		&xsk, af_xdp_netdev_name(port, name), q->id, umem, &rx, NULL, &conf);
	if (rc == 0)
		xsk_socket__delete(xsk);
	xsk_umem__delete(umem);
	return rc;
}

/*
 * Wait until the kernel has released the queue. Until then a driver with zero-copy may write into
 * the buffers, even though the socket is closed, so they must not be freed.
 */
static void
queue_wait_released(const struct af_xdp_port *port, const struct af_xdp_queue *q)
{
	uint64_t deadline = queue_release_deadline(q);
	size_t len = sysconf(_SC_PAGESIZE);
	void *page;

	page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return;
	while (!af_xdp_gone(port) && queue_probe(port, q, page) == -EBUSY &&
		rte_get_timer_cycles() < deadline)
		rte_delay_us_sleep(RELEASE_TRY_US);
	munmap(page, len);
}

/* @return buffers of frames that the kernel has taken and not given back */
static uint32_t
queue_reap_in_flight(struct af_xdp_queue *q)
{
	af_xdp_reap(&q->tx);
	return q->tx.n_posted - af_xdp_tx_unsent(&q->tx);
}

/*
 * Wait until the netdev has sent the frames that it was given. In copy mode a packet refers to the
 * buffer itself if the netdev is one of IFF_TX_SKB_NO_LINEAR, such as virtio-net
 * (xsk_build_skb_zerocopy()), so a buffer that is freed too early changes a frame.
 */
static void
queue_drain(const struct af_xdp_port *port, struct af_xdp_queue *q, uint64_t deadline)
{
	uint32_t n;

	while ((n = queue_reap_in_flight(q)) > 0 && !af_xdp_gone(port)) {
		if (rte_get_timer_cycles() >= deadline) {
			AF_XDP_LOG(WARNING, port->name,
				"queue %u: %s has not sent %u buffers within %u s: the port stops,"
				" and their frames may leave damaged",
				q->id, port->args.iface, n, DRAIN_WAIT_S);
			return;
		}
		rte_delay_us_sleep(DRAIN_TRY_US);
	}
}

void
af_xdp_queues_close(struct af_xdp_port *port)
{
	uint64_t deadline = rte_get_timer_cycles() + DRAIN_WAIT_S * rte_get_timer_hz();
	uint16_t i;

	for (i = 0; i < port->n_started; i++)
		if (!port->queue[i].zero_copy)
			queue_drain(port, &port->queue[i], deadline);
	/* Last to first: a queue whose UMEM others share comes before them. */
	for (i = port->n_started; i > 0; i--)
		queue_close(&port->queue[i - 1]);
	for (i = 0; i < port->n_started; i++) {
		if (port->queue[i].zero_copy)
			queue_wait_released(port, &port->queue[i]);
		queue_free_tables(&port->queue[i]);
	}
	port->n_started = 0;
}

int
af_xdp_queues_open(struct af_xdp_port *port)
{
	uint16_t n = RTE_MAX(port->eth->data->nb_rx_queues, port->eth->data->nb_tx_queues);
	int rc;

	for (port->n_started = 0; port->n_started < n; port->n_started++) {
		rc = queue_open(port, &port->queue[port->n_started]);
		if (rc < 0) {
			af_xdp_queues_close(port);
			return rc;
		}
	}
	return 0;
}
