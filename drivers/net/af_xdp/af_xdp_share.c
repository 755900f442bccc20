/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The primary process hands the queues of a started port to secondary processes, and takes them
 * back before it closes the sockets.
 *
 * A secondary process has a connection for each port (af_xdp_view.c). The sockets go over it as
 * SCM_RIGHTS. A process that ends closes its connection, which is noticed at the next start, stop
 * or connection. Called by af_xdp_ethdev.c at start, stop and close, and by the EAL's thread that
 * answers secondary processes.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "af_xdp.h"

#ifndef SOL_XDP
#define SOL_XDP 283
#endif

#define ANSWER_WAIT_S 2

/** A secondary process, in the list of a port. */
struct af_xdp_peer {
	LIST_ENTRY(af_xdp_peer) next;
	int fd; /**< its connection */
};

/* Guards the peers of all ports, and what they were told. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void
peer_free(struct af_xdp_peer *peer)
{
	LIST_REMOVE(peer, next);
	close(peer->fd);
	free(peer);
}

static pid_t
peer_pid(const struct af_xdp_peer *peer)
{
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);

	getsockopt(peer->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	return cred.pid;
}

/* Send a message, with a descriptor unless fd is negative. @return 0; negative errno */
static int
peer_send(const struct af_xdp_peer *peer, const struct af_xdp_share_msg *msg, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(fd))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = sizeof(*msg)};
	struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		head.msg_control = control.buf;
		head.msg_controllen = sizeof(control.buf);
		cmsg = CMSG_FIRSTHDR(&head);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	return sendmsg(peer->fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Tell a process the state of a port: its queues, or that it has none. */
static int
peer_tell(const struct af_xdp_port *port, const struct af_xdp_peer *peer)
{
	struct af_xdp_share_msg msg = {.type = AF_XDP_SHARE_QUEUE, .seq = port->share_seq};
	int rc = 0;

	for (; port->shared && msg.value < port->n_started && rc == 0; msg.value++)
		rc = peer_send(peer, &msg, port->queue[msg.value].rx.fd);
	msg.type = port->shared ? AF_XDP_SHARE_START : AF_XDP_SHARE_STOP;
	return rc < 0 ? rc : peer_send(peer, &msg, -1);
}

/*
 * Wait for the answer to the last state. @return its value, 0 or a negative errno; -ETIMEDOUT;
 * -EPIPE: the process has ended
 */
static int
peer_wait(const struct af_xdp_port *port, const struct af_xdp_peer *peer)
{
	uint64_t now, hz = rte_get_timer_hz();
	uint64_t deadline = rte_get_timer_cycles() + ANSWER_WAIT_S * hz;
	struct pollfd pollfd = {.fd = peer->fd, .events = POLLIN};
	struct af_xdp_share_msg msg;
	ssize_t len;

	while ((now = rte_get_timer_cycles()) < deadline) {
		if (poll(&pollfd, 1, (deadline - now) * 1000 / hz + 1) <= 0)
			continue;
		len = recv(peer->fd, &msg, sizeof(msg), MSG_DONTWAIT);
		if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
			return -EPIPE;
		/* The answer to an earlier state may come first. */
		if (len == sizeof(msg) && msg.seq == port->share_seq)
			return msg.value;
	}
	return -ETIMEDOUT;
}

/* Tell all processes the state of a port, and wait for their answers. */
static void
share_state(struct af_xdp_port *port, bool shared)
{
	struct af_xdp_peer *peer, *next;
	int rc;

	pthread_mutex_lock(&lock);
	port->shared = shared;
	port->share_seq++;
	for (peer = LIST_FIRST(&port->peers); peer != NULL; peer = next) {
		next = LIST_NEXT(peer, next);
		if (peer_tell(port, peer) < 0)
			peer_free(peer);
	}
	for (peer = LIST_FIRST(&port->peers); peer != NULL; peer = next) {
		next = LIST_NEXT(peer, next);
		rc = peer_wait(port, peer);
		if (rc == -ETIMEDOUT)
			AF_XDP_LOG(WARNING, port->name,
				"secondary process %d does not answer within %u s: it may hold the"
				" queues: end it",
				peer_pid(peer), ANSWER_WAIT_S);
		else if (rc < 0 && rc != -EPIPE)
			AF_XDP_LOG(WARNING, port->name,
				"secondary process %d cannot use the queues, see its log: %s",
				peer_pid(peer), strerror(-rc));
		if (rc == -ETIMEDOUT || rc == -EPIPE)
			peer_free(peer);
	}
	pthread_mutex_unlock(&lock);
}

int
af_xdp_share_attach(struct rte_eth_dev *eth, int fd)
{
	struct af_xdp_port *port = eth->data->dev_private;
	struct af_xdp_peer *peer = calloc(1, sizeof(*peer));
	int rc;

	if (peer == NULL)
		return -ENOMEM;
	peer->fd = fd;
	pthread_mutex_lock(&lock);
	rc = peer_tell(port, peer);
	if (rc == 0)
		LIST_INSERT_HEAD(&port->peers, peer, next);
	pthread_mutex_unlock(&lock);
	if (rc < 0)
		free(peer);
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
	share_state(port, true);
}

void
af_xdp_share_stop(struct af_xdp_port *port)
{
	share_state(port, false);
}

void
af_xdp_share_close(struct af_xdp_port *port)
{
	const struct af_xdp_share_msg msg = {.type = AF_XDP_SHARE_CLOSE};
	struct af_xdp_peer *peer;

	pthread_mutex_lock(&lock);
	while ((peer = LIST_FIRST(&port->peers)) != NULL) {
		peer_send(peer, &msg, -1);
		peer_free(peer);
	}
	pthread_mutex_unlock(&lock);
}
