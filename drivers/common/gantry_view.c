/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A port in a secondary process. See gantry_view.h. Called by the drivers of drivers/net.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/membarrier.h>

#include <rte_cycles.h>
#include <rte_interrupts.h>
#include <rte_log.h>
#include <rte_string_fns.h>

#include "gantry_view.h"

#define QUIESCE_TRY_US 20

#define VIEW_LOG(level, view, fmt, ...)                                                            \
	rte_log(RTE_LOG_##level, *(view)->ops->secondary->logtype, "%s: %s: " fmt "\n",            \
		(view)->ops->secondary->name, (view)->name, ##__VA_ARGS__)

static int
membarrier(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0) < 0 ? -errno : 0;
}

int
gantry_view_barrier(void)
{
	return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

void
gantry_view_wait_while(const uint32_t *busy)
{
	while (__atomic_load_n(busy, __ATOMIC_ACQUIRE))
		rte_delay_us_sleep(QUIESCE_TRY_US);
}

/* The primary does not use the port any more. Its event may detach the port. */
static void
view_end(struct gantry_view *view, const char *why)
{
	view->ops->drop(view);
	__atomic_store_n(&view->gone, true, __ATOMIC_RELAXED);
	/* Without an end of file, which would be reported again and again. */
	dup3(view->quiet_fd, view->fd, O_CLOEXEC);
	VIEW_LOG(ERR, view, "%s: port %u sends and receives nothing any more: close it", why,
		view->port_id);
	rte_eth_dev_callback_process(view->eth, RTE_ETH_EVENT_INTR_RMV, NULL);
}

static void
view_follow(struct gantry_view *view, const struct gantry_share_head *msg, int *fds)
{
	const struct gantry_share_answer answer = {
		.seq = msg->seq, .rc = view->ops->follow(view, msg, fds)};

	send(view->fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (msg->closed)
		view_end(view, "the primary process has closed the port");
}

/*
 * Receive and handle one message. @return 0: done; -EAGAIN: there is none; -EPIPE: the connection
 * has ended
 */
static int
view_receive(struct gantry_view *view)
{
	union {
		char buf[CMSG_SPACE(GANTRY_SHARE_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	union {
		struct gantry_share_head head;
		char buf[GANTRY_SHARE_MSG_MAX];
	} msg;
	struct iovec iov = {.iov_base = &msg, .iov_len = sizeof(msg)};
	struct msghdr head = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf)};
	int fds[GANTRY_SHARE_FDS];
	const struct cmsghdr *cmsg;
	unsigned int i;
	ssize_t len;

	for (i = 0; i < RTE_DIM(fds); i++)
		fds[i] = -1;
	len = recvmsg(view->fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	cmsg = len > 0 ? CMSG_FIRSTHDR(&head) : NULL;
	if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(cmsg), RTE_MIN(cmsg->cmsg_len - CMSG_LEN(0), sizeof(fds)));
	if (len == (ssize_t)view->ops->msg_len)
		view_follow(view, &msg.head, fds);
	for (i = 0; i < RTE_DIM(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return len == (ssize_t)view->ops->msg_len ? 0 : -EPIPE;
}

/* On the EAL's interrupt thread. */
static void
view_cb(void *arg)
{
	struct gantry_view *view = arg;
	int rc = 0;

	while (view->eth != NULL && !view->gone && rc == 0)
		rc = view_receive(view);
	if (rc == -EPIPE)
		view_end(view, "the primary process has ended");
}

void
gantry_view_handle(struct gantry_view *view)
{
	view_cb(view);
}

/* Receive the first state. */
static int
view_receive_state(struct gantry_view *view)
{
	struct pollfd pollfd = {.fd = view->fd, .events = POLLIN};
	int rc;

	do {
		if (poll(&pollfd, 1, GANTRY_SECONDARY_TIMEOUT_S * 1000) == 0)
			return -ETIMEDOUT;
		rc = view_receive(view);
	} while (rc == -EAGAIN);
	return rc;
}

static int
view_watch(struct gantry_view *view)
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
	struct gantry_view *view = arg;

	rte_intr_instance_free(view->intr);
	if (view->fd >= 0)
		close(view->fd);
	if (view->quiet_fd >= 0)
		close(view->quiet_fd);
	free(view);
}

int
gantry_view_start(struct gantry_view *view, struct rte_eth_dev *eth,
	const struct gantry_view_ops *ops, int fd)
{
	int rc;

	view->ops = ops;
	view->eth = eth;
	view->port_id = eth->data->port_id;
	view->intr = NULL;
	view->gone = false;
	view->fd = fd;
	view->quiet_fd = eventfd(0, EFD_CLOEXEC);
	rte_strscpy(view->name, eth->data->name, sizeof(view->name));
	rc = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
	if (rc == 0 && view->quiet_fd < 0)
		rc = -EMFILE;
	if (rc == 0)
		rc = view_receive_state(view);
	if (rc == 0)
		rc = view_watch(view);
	if (rc < 0) {
		ops->drop(view);
		view_free(view->intr, view);
		return rc;
	}
	eth->process_private = view;
	return 0;
}

int
gantry_view_attach(
	struct gantry_view *view, struct rte_eth_dev *eth, const struct gantry_view_ops *ops)
{
	const struct gantry_secondary *s = ops->secondary;
	int fds[2], rc = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		rc = -errno;
	if (rc == 0) {
		rc = gantry_secondary_ask(s, eth, fds[1]);
		close(fds[1]);
		if (rc < 0)
			close(fds[0]);
	}
	if (rc < 0)
		free(view);
	else
		rc = gantry_view_start(view, eth, ops, fds[0]);
	if (rc < 0)
		rte_log(RTE_LOG_WARNING, *s->logtype,
			"%s: %s: the primary process does not hand over the queues, so the port"
			" sends and receives nothing here: %s\n",
			s->name, eth->data->name, strerror(-rc));
	return rc;
}

void
gantry_view_detach(struct rte_eth_dev *eth)
{
	struct gantry_view *view = eth->process_private;

	if (view == NULL)
		return;
	eth->process_private = NULL;
	/*
	 * The port may be closed by an event, so within view_cb(). Otherwise that may still run
	 * until it is unregistered.
	 */
	if (rte_thread_is_intr() &&
		rte_intr_callback_unregister_pending(view->intr, view_cb, view, view_free) > 0) {
		view->ops->drop(view);
		view->eth = NULL;
		return;
	}
	rte_intr_callback_unregister_sync(view->intr, view_cb, view);
	view->ops->drop(view);
	view_free(view->intr, view);
}

bool
gantry_view_gone(const struct rte_eth_dev *eth)
{
	const struct gantry_view *view = eth->process_private;

	return view != NULL && __atomic_load_n(&view->gone, __ATOMIC_RELAXED);
}
