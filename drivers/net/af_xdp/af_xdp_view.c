/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A port in a secondary process, which sends and receives on the primary's sockets.
 *
 * The state of a queue is in memory that both processes share, and the rings are mapped at the
 * primary's addresses. Descriptors are private: ethdev's table has a struct af_xdp_view_queue for
 * each queue here. The primary hands the sockets over a connection (af_xdp_share.c), whose messages
 * the EAL's interrupt thread handles. The connection ends with the primary. Called by
 * af_xdp_ethdev.c at probe, close and remove.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/membarrier.h>

#include <rte_cycles.h>
#include <rte_interrupts.h>
#include <rte_memory.h>
#include <rte_string_fns.h>

#include "af_xdp.h"

#define QUIESCE_TRY_US 20

/** Private to the process: eth->process_private. */
struct af_xdp_view {
	struct rte_eth_dev *eth; /**< NULL: detached within the callback */
	char name[RTE_ETH_NAME_MAX_LEN]; /**< of the port; the primary clears its own at close */
	uint16_t port_id;
	struct rte_intr_handle *intr; /**< on fd */
	int fd; /**< the connection; a copy of quiet_fd once that has ended */
	int quiet_fd; /**< an eventfd without an event */
	int rc; /**< of the queues that came since the last START or STOP */
	bool gone; /**< the primary has ended, or closed the port; atomic */
	void *data[AF_XDP_MAX_QUEUES]; /**< what ethdev's table has for each queue */
	struct af_xdp_view_queue queue[AF_XDP_MAX_QUEUES];
};

static int
membarrier(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0) < 0 ? -errno : 0;
}

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
	membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	for (i = 0; i < AF_XDP_MAX_QUEUES; i++) {
		struct af_xdp_view_queue *v = &view->queue[i];

		if (v->fd < 0)
			continue;
		while (__atomic_load_n(&v->in_rx, __ATOMIC_ACQUIRE) ||
			__atomic_load_n(&v->in_tx, __ATOMIC_ACQUIRE))
			rte_delay_us_sleep(QUIESCE_TRY_US);
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
		return AF_XDP_FAIL(ENOTSUP, view->name,
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
		AF_XDP_LOG(ERR, view->name,
			"queue %u: the addresses of the primary's rings are taken in this process:"
			" start it again, with random addresses (kernel.randomize_va_space=2)",
			q->id);
	else
		AF_XDP_LOG(ERR, view->name, "queue %u: its rings cannot be mapped: %s%s", q->id,
			strerror(-rc),
			rc == -EINVAL ? ": secondary processes need Linux 6.4 or newer" : "");
	return rc;
}

/* Map a queue. Its bursts do nothing until queues_open(). Closes fd on failure. */
static void
queue_add(struct af_xdp_view *view, unsigned int i, int fd)
{
	struct af_xdp_port *port = view->eth->data->dev_private;
	int rc = -EINVAL;

	if (view->rc == 0 && fd >= 0 && i < port->args.n_queues && view->queue[i].fd < 0)
		rc = queue_map(view, &port->queue[i], fd);
	if (rc < 0) {
		if (view->rc == 0)
			view->rc = rc;
		if (fd >= 0)
			close(fd);
		return;
	}
	view->queue[i].q = &port->queue[i];
	view->queue[i].scatter = port->scatter;
	memcpy(view->queue[i].map, port->queue[i].map, sizeof(view->queue[i].map));
	view->queue[i].fd = fd;
}

/* Let the bursts use the queues, or none of them if one could not be mapped. */
static void
queues_open(struct af_xdp_view *view)
{
	unsigned int i;

	if (view->rc < 0) {
		queues_close(view);
		return;
	}
	for (i = 0; i < AF_XDP_MAX_QUEUES; i++)
		if (view->queue[i].fd >= 0)
			__atomic_store_n(&view->queue[i].open, 1, __ATOMIC_RELEASE);
}

/* The primary does not use the port any more. Its event may detach the port. */
static void
view_end(struct af_xdp_view *view, const char *why)
{
	queues_close(view);
	__atomic_store_n(&view->gone, true, __ATOMIC_RELAXED);
	/* Without an end of file, which would be reported again and again. */
	dup3(view->quiet_fd, view->fd, O_CLOEXEC);
	AF_XDP_LOG(ERR, view->name, "%s: port %u sends and receives nothing any more: close it",
		why, view->port_id);
	rte_eth_dev_callback_process(view->eth, RTE_ETH_EVENT_INTR_RMV, NULL);
}

static void
view_answer(struct af_xdp_view *view, uint32_t seq)
{
	const struct af_xdp_share_msg msg = {
		.type = AF_XDP_SHARE_DONE, .seq = seq, .value = view->rc};

	send(view->fd, &msg, sizeof(msg), MSG_DONTWAIT | MSG_NOSIGNAL);
	view->rc = 0;
}

/* @return true after a message that says the whole state, and at the end of the connection */
static bool
view_handle(struct af_xdp_view *view, const struct af_xdp_share_msg *msg, int fd)
{
	switch (msg->type) {
	case AF_XDP_SHARE_QUEUE:
		queue_add(view, msg->value, fd);
		return false;
	case AF_XDP_SHARE_START:
		queues_open(view);
		view_answer(view, msg->seq);
		return true;
	case AF_XDP_SHARE_STOP:
		queues_close(view);
		view_answer(view, msg->seq);
		return true;
	default:
		view_end(view, "the primary process has closed the port");
		return true;
	}
}

/*
 * Receive and handle one message. @return 0: it says a part of the state; 1: the state is known;
 * -EAGAIN: there is none; -EPIPE: the connection has ended
 */
static int
view_receive(struct af_xdp_view *view)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct af_xdp_share_msg msg;
	struct iovec iov = {.iov_base = &msg, .iov_len = sizeof(msg)};
	struct msghdr head = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf)};
	const struct cmsghdr *cmsg;
	ssize_t len;
	int fd = -1;

	len = recvmsg(view->fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (len != sizeof(msg))
		return -EPIPE;
	cmsg = CMSG_FIRSTHDR(&head);
	if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return view_handle(view, &msg, fd);
}

/* On the EAL's interrupt thread. */
static void
view_cb(void *arg)
{
	struct af_xdp_view *view = arg;
	int rc = 0;

	while (view->eth != NULL && !view->gone && rc >= 0)
		rc = view_receive(view);
	if (rc == -EPIPE)
		view_end(view, "the primary process has ended");
}

/* Receive messages until the state of the port is known. */
static int
view_receive_state(struct af_xdp_view *view)
{
	struct pollfd pollfd = {.fd = view->fd, .events = POLLIN};
	int rc;

	do {
		if (poll(&pollfd, 1, GANTRY_SECONDARY_TIMEOUT_S * 1000) == 0)
			return -ETIMEDOUT;
		rc = view_receive(view);
	} while (rc == 0 || rc == -EAGAIN);
	return RTE_MIN(rc, 0);
}

/* Connect with the primary, which tells the state of the port. */
static int
view_connect(struct af_xdp_view *view)
{
	int fds[2], rc;

	view->quiet_fd = eventfd(0, EFD_CLOEXEC);
	if (view->quiet_fd < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	view->fd = fds[0];
	rc = gantry_secondary_ask(&af_xdp_secondary, view->eth, fds[1]);
	close(fds[1]);
	return rc < 0 ? rc : view_receive_state(view);
}

static int
view_watch(struct af_xdp_view *view)
{
	view->intr = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (view->intr == NULL)
		return -ENOMEM;
	rte_intr_fd_set(view->intr, view->fd);
	rte_intr_type_set(view->intr, RTE_INTR_HANDLE_EXT);
	return rte_intr_callback_register(view->intr, view_cb, view);
}

static void
view_free(struct rte_intr_handle *handle, void *arg)
{
	struct af_xdp_view *view = arg;

	queues_close(view);
	rte_intr_instance_free(view->intr);
	if (view->fd >= 0)
		close(view->fd);
	if (view->quiet_fd >= 0)
		close(view->quiet_fd);
	free(view);
}

static struct af_xdp_view *
view_alloc(struct rte_eth_dev *eth)
{
	struct af_xdp_view *view = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*view));
	unsigned int i;

	if (view == NULL)
		return NULL;
	*view = (struct af_xdp_view){
		.eth = eth, .port_id = eth->data->port_id, .fd = -1, .quiet_fd = -1};
	rte_strscpy(view->name, eth->data->name, sizeof(view->name));
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
	struct rte_eth_dev *eth = view->eth;
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
	struct af_xdp_view *view = view_alloc(eth);
	int rc;

	if (view == NULL)
		return -ENOMEM;
	rc = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
	if (rc == 0)
		rc = view_connect(view);
	if (rc == 0)
		rc = view_watch(view);
	if (rc < 0) {
		AF_XDP_LOG(WARNING, eth->data->name,
			"the primary process does not hand over the queues, so the port sends and"
			" receives nothing here: %s",
			strerror(-rc));
		view_free(view->intr, view);
		return rc;
	}
	eth->process_private = view;
	view_set_bursts(view);
	return 0;
}

void
af_xdp_view_detach(struct rte_eth_dev *eth)
{
	struct af_xdp_view *view = eth->process_private;

	if (view == NULL)
		return;
	eth->process_private = NULL;
	/* The port may be closed by an event, so within view_cb(). @see af_xdp_netdev_unwatch() */
	if (rte_thread_is_intr() &&
		rte_intr_callback_unregister_pending(view->intr, view_cb, view, view_free) > 0) {
		view->eth = NULL;
		return;
	}
	rte_intr_callback_unregister_sync(view->intr, view_cb, view);
	view_free(view->intr, view);
}

bool
af_xdp_view_gone(const struct rte_eth_dev *eth)
{
	const struct af_xdp_view *view = eth->process_private;

	return view != NULL && __atomic_load_n(&view->gone, __ATOMIC_RELAXED);
}
