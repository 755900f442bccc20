/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The state of a port, for secondary processes. See gantry_share.h.
 *
 * A process that is on the list was told the last state. Called by the drivers of drivers/net.
 */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_log.h>

#include "gantry_share.h"

/** A secondary process. */
struct gantry_peer {
	LIST_ENTRY(gantry_peer) next;
	int fd; /**< its connection */
};

static void
peer_free(struct gantry_peer *peer)
{
	LIST_REMOVE(peer, next);
	close(peer->fd);
	free(peer);
}

static pid_t
peer_pid(const struct gantry_peer *peer)
{
	struct ucred cred = {0};
	socklen_t len = sizeof(cred);

	getsockopt(peer->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	return cred.pid;
}

static int
peer_send(const struct gantry_peer *peer, const struct gantry_share_state *state)
{
	union {
		char buf[CMSG_SPACE(sizeof(state->fd))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = state->msg, .iov_len = state->len};
	struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;

	if (state->n_fds > 0) {
		head.msg_control = control.buf;
		head.msg_controllen = CMSG_SPACE(state->n_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&head);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(state->n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), state->fd, state->n_fds * sizeof(int));
	}
	return sendmsg(peer->fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/*
 * Wait for the answer to the last state. @return what it says, 0 or a negative errno; -ETIMEDOUT;
 * -EPIPE: the process has ended
 */
static int
peer_wait(const struct gantry_peer *peer, uint32_t seq)
{
	uint64_t now, hz = rte_get_timer_hz();
	uint64_t deadline = rte_get_timer_cycles() + GANTRY_SHARE_WAIT_S * hz;
	struct pollfd pollfd = {.fd = peer->fd, .events = POLLIN};
	struct gantry_share_answer answer;
	ssize_t len;

	while ((now = rte_get_timer_cycles()) < deadline) {
		if (poll(&pollfd, 1, (deadline - now) * 1000 / hz + 1) <= 0)
			continue;
		len = recv(peer->fd, &answer, sizeof(answer), MSG_DONTWAIT);
		if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
			return -EPIPE;
		/* The answer to an earlier state may come first. */
		if (len == sizeof(answer) && answer.seq == seq)
			return answer.rc;
	}
	return -ETIMEDOUT;
}

int
gantry_share_add(struct gantry_share *share, const struct gantry_share_state *state, int fd)
{
	struct gantry_peer *peer = calloc(1, sizeof(*peer));
	int rc;

	if (peer == NULL)
		return -ENOMEM;
	peer->fd = fd;
	state->msg->seq = share->seq;
	rc = peer_send(peer, state);
	if (rc < 0)
		free(peer);
	else
		LIST_INSERT_HEAD(&share->peers, peer, next);
	return rc;
}

void
gantry_share_tell(struct gantry_share *share, const struct gantry_share_state *state, int logtype,
	const char *name)
{
	struct gantry_peer *peer, *next;
	int rc;

	state->msg->seq = ++share->seq;
	for (peer = LIST_FIRST(&share->peers); peer != NULL; peer = next) {
		next = LIST_NEXT(peer, next);
		if (peer_send(peer, state) < 0)
			peer_free(peer);
	}
	for (peer = LIST_FIRST(&share->peers); peer != NULL; peer = next) {
		next = LIST_NEXT(peer, next);
		rc = peer_wait(peer, share->seq);
		if (rc == -ETIMEDOUT)
			rte_log(RTE_LOG_WARNING, logtype,
				"%s: secondary process %d does not answer within %u s: it may hold"
				" the queues: end it\n",
				name, peer_pid(peer), GANTRY_SHARE_WAIT_S);
		else if (rc < 0 && rc != -EPIPE)
			rte_log(RTE_LOG_WARNING, logtype,
				"%s: secondary process %d cannot use the queues, see its log: %s\n",
				name, peer_pid(peer), strerror(-rc));
		if (rc == -ETIMEDOUT || rc == -EPIPE)
			peer_free(peer);
	}
}

void
gantry_share_end(struct gantry_share *share)
{
	while (!LIST_EMPTY(&share->peers))
		peer_free(LIST_FIRST(&share->peers));
}
