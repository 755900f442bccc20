/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A port in a secondary process, which sends and receives on the primary's queues.
 *
 * The queues are in memory of the EAL, which both processes share. The rings are mapped at the
 * primary's address, and BAR 0 anywhere (e1000e_bar), from the port's start to its stop. Ethdev's
 * table has a struct e1000e_view_rxq or e1000e_view_txq for each queue here, whose `open` says
 * whether bursts may use it. States come over a connection (e1000e_share.c), on the EAL's interrupt
 * thread; the connection ends with the primary. Called by e1000e_ethdev.c at probe, close and
 * remove.
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
#include <rte_mempool.h>
#include <rte_string_fns.h>

#include <bus_vfio_pci_driver.h>

#include "e1000e.h"
#include "e1000e_view.h"

#define QUIESCE_TRY_US 20

/** Private to the process: eth->process_private. */
struct e1000e_view {
	struct rte_eth_dev *eth; /**< NULL: detached within the callback */
	struct vfio_pci_device *dev;
	char name[RTE_ETH_NAME_MAX_LEN]; /**< of the port; the primary clears its own at close */
	uint16_t port_id;
	struct rte_intr_handle *intr; /**< on fd */
	int fd; /**< the connection; a copy of quiet_fd once that has ended */
	int quiet_fd; /**< an eventfd without an event */
	bool gone; /**< the primary has ended, or closed the port; atomic */
	void *rings; /**< as mapped; NULL: neither they nor the BAR is */
	size_t rings_len;
	void *rx_data[E1000E_QUEUES]; /**< what ethdev's table has for each queue */
	void *tx_data[E1000E_QUEUES];
	struct e1000e_view_rxq rxq[E1000E_QUEUES];
	struct e1000e_view_txq txq[E1000E_QUEUES];
};

static int
membarrier(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0) < 0 ? -errno : 0;
}

static void
wait_while(const uint32_t *busy)
{
	while (__atomic_load_n(busy, __ATOMIC_ACQUIRE))
		rte_delay_us_sleep(QUIESCE_TRY_US);
}

/* Close the queues that are not among these: afterwards nothing here uses them. */
static void
queues_close(struct e1000e_view *view, uint32_t rx_open, uint32_t tx_open)
{
	unsigned int i;

	for (i = 0; i < E1000E_QUEUES; i++) {
		if (!(rx_open & RTE_BIT32(i)))
			__atomic_store_n(&view->rxq[i].open, 0, __ATOMIC_RELAXED);
		if (!(tx_open & RTE_BIT32(i)))
			__atomic_store_n(&view->txq[i].open, 0, __ATOMIC_RELAXED);
	}
	/* A burst that has not seen `open` change has set its mark before. */
	membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	for (i = 0; i < E1000E_QUEUES; i++) {
		if (!(rx_open & RTE_BIT32(i)))
			wait_while(&view->rxq[i].busy);
		if (!(tx_open & RTE_BIT32(i))) {
			wait_while(&view->txq[i].busy);
			wait_while(&view->txq[i].preparing);
		}
	}
}

static void
view_unmap(struct e1000e_view *view)
{
	if (view->rings == NULL)
		return;
	e1000e_bar[view->port_id] = NULL;
	vfio_pci_bars_drop(view->dev);
	munmap(view->rings, view->rings_len);
	view->rings = NULL;
}

/* Map BAR and rings. All or nothing; logged. */
static int
view_map(struct e1000e_view *view, const struct e1000e_share_msg *msg, const int *fds)
{
	void *at;
	int rc;

	if (fds[E1000E_SHARE_DEVICE] < 0 || fds[E1000E_SHARE_RINGS] < 0)
		return E1000E_FAIL(EMFILE, view->name,
			"this process cannot have the files of device and rings: too many are"
			" open: raise ulimit -n");
	rc = vfio_pci_bar_import(view->dev, 0, &msg->bar, fds[E1000E_SHARE_DEVICE]);
	if (rc < 0)
		return rc;
	at = mmap(msg->rings, msg->rings_len, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_FIXED_NOREPLACE, fds[E1000E_SHARE_RINGS], msg->rings_at);
	rc = at == MAP_FAILED ? -errno : 0;
	if (rc == -EEXIST)
		E1000E_LOG(ERR, view->name,
			"the addresses of the primary's rings are taken in this process: start it"
			" again, with random addresses (kernel.randomize_va_space=2)");
	else if (rc < 0)
		E1000E_LOG(ERR, view->name, "its rings cannot be mapped: %s", strerror(-rc));
	if (rc < 0) {
		vfio_pci_bars_drop(view->dev);
		return rc;
	}
	view->rings = msg->rings;
	view->rings_len = msg->rings_len;
	e1000e_bar[view->port_id] = view->dev->bar[0].addr;
	return 0;
}

/* Look whether secondary processes have a pool's memory: the EAL's own. */
static void
chunk_check(struct rte_mempool *pool, void *arg, struct rte_mempool_memhdr *chunk, unsigned int i)
{
	const struct rte_memseg_list *list = rte_mem_virt2memseg_list(chunk->addr);

	if (list == NULL || list->external)
		*(bool *)arg = false;
}

static bool
pool_is_shared(struct rte_mempool *pool)
{
	bool shared = true;

	rte_mempool_mem_iter(pool, chunk_check, &shared);
	return shared;
}

static eth_rx_burst_t
rx_burst_of(enum e1000e_share_rx rx)
{
	switch (rx) {
	case E1000E_SHARE_RX_EDITED:
		return e1000e_rx_burst_edited;
	case E1000E_SHARE_RX_SCATTERED:
		return e1000e_rx_burst_scattered;
	default:
		return e1000e_rx_burst;
	}
}

static int
rxq_open(struct e1000e_view *view, unsigned int i, enum e1000e_share_rx rx)
{
	struct e1000e_view_rxq *v = &view->rxq[i];

	if (v->open)
		return 0;
	v->q = view->eth->data->rx_queues[i];
	v->burst = rx_burst_of(rx);
	if (!pool_is_shared(v->q->pool))
		return E1000E_FAIL(ENOTSUP, view->name,
			"receive queue %u: this process has no part in the memory of pool %s:"
			" create it with rte_pktmbuf_pool_create()",
			i, v->q->pool->name);
	__atomic_store_n(&v->open, 1, __ATOMIC_RELEASE);
	return 0;
}

static void
txq_open(struct e1000e_view *view, unsigned int i)
{
	struct e1000e_view_txq *v = &view->txq[i];

	if (v->open)
		return;
	v->q = view->eth->data->tx_queues[i];
	__atomic_store_n(&v->open, 1, __ATOMIC_RELEASE);
}

/* Do as a state says. @return 0; negative errno, logged: some queue is not open */
static int
view_follow(struct e1000e_view *view, const struct e1000e_share_msg *msg, const int *fds)
{
	unsigned int i;
	int rc = 0, one;

	queues_close(view, msg->rx_open, msg->tx_open);
	if (!msg->running) {
		view_unmap(view);
		return 0;
	}
	if (view->rings == NULL)
		rc = view_map(view, msg, fds);
	if (rc < 0)
		return rc;
	for (i = 0; i < E1000E_QUEUES; i++) {
		one = msg->rx_open & RTE_BIT32(i) ? rxq_open(view, i, msg->rx) : 0;
		rc = rc < 0 ? rc : one;
		if (msg->tx_open & RTE_BIT32(i))
			txq_open(view, i);
	}
	return rc;
}

/* The primary does not use the port any more. Its event may detach the port. */
static void
view_end(struct e1000e_view *view, const char *why)
{
	queues_close(view, 0, 0);
	view_unmap(view);
	__atomic_store_n(&view->gone, true, __ATOMIC_RELAXED);
	/* Without an end of file, which would be reported again and again. */
	dup3(view->quiet_fd, view->fd, O_CLOEXEC);
	E1000E_LOG(ERR, view->name, "%s: port %u sends and receives nothing any more: close it",
		why, view->port_id);
	rte_eth_dev_callback_process(view->eth, RTE_ETH_EVENT_INTR_RMV, NULL);
}

/* @return -EPIPE: the primary has ended */
static int
view_handle(struct e1000e_view *view, const struct e1000e_share_msg *msg, const int *fds)
{
	const struct gantry_share_answer answer = {
		.seq = msg->head.seq, .rc = view_follow(view, msg, fds)};

	send(view->fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (msg->closed)
		view_end(view, "the primary process has closed the port");
	return 0;
}

/*
 * Receive and handle one message. @return 0: done; -EAGAIN: there is none; -EPIPE: the connection
 * has ended
 */
static int
view_receive(struct e1000e_view *view)
{
	union {
		char buf[CMSG_SPACE(GANTRY_SHARE_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct e1000e_share_msg msg;
	struct iovec iov = {.iov_base = &msg, .iov_len = sizeof(msg)};
	struct msghdr head = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf)};
	int fds[GANTRY_SHARE_FDS] = {-1, -1}, rc = 0;
	const struct cmsghdr *cmsg;
	unsigned int i;
	ssize_t len;

	len = recvmsg(view->fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	cmsg = len > 0 ? CMSG_FIRSTHDR(&head) : NULL;
	if (cmsg != NULL && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(cmsg), RTE_MIN(cmsg->cmsg_len - CMSG_LEN(0), sizeof(fds)));
	if (len == sizeof(msg))
		rc = view_handle(view, &msg, fds);
	else
		rc = -EPIPE;
	/* The mappings keep the files. */
	for (i = 0; i < GANTRY_SHARE_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return rc;
}

/* On the EAL's interrupt thread. */
static void
view_cb(void *arg)
{
	struct e1000e_view *view = arg;
	int rc = 0;

	while (view->eth != NULL && !view->gone && rc == 0)
		rc = view_receive(view);
	if (rc == -EPIPE)
		view_end(view, "the primary process has ended");
}

void
e1000e_view_handle(struct rte_eth_dev *eth)
{
	view_cb(eth->process_private);
}

/* Receive the first state. */
static int
view_receive_state(struct e1000e_view *view)
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
view_watch(struct e1000e_view *view)
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
	struct e1000e_view *view = arg;

	rte_intr_instance_free(view->intr);
	if (view->fd >= 0)
		close(view->fd);
	if (view->quiet_fd >= 0)
		close(view->quiet_fd);
	free(view);
}

/* Stop polling. The device may be freed afterwards. */
static void
view_release(struct e1000e_view *view)
{
	queues_close(view, 0, 0);
	view_unmap(view);
}

static struct e1000e_view *
view_alloc(struct rte_eth_dev *eth, int fd)
{
	struct e1000e_view *view = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*view));
	unsigned int i;

	if (view == NULL)
		return NULL;
	*view = (struct e1000e_view){.eth = eth,
		.dev = VFIO_PCI_DEVICE(eth->device),
		.port_id = eth->data->port_id,
		.fd = fd,
		.quiet_fd = eventfd(0, EFD_CLOEXEC)};
	rte_strscpy(view->name, eth->data->name, sizeof(view->name));
	for (i = 0; i < E1000E_QUEUES; i++) {
		view->rx_data[i] = &view->rxq[i];
		view->tx_data[i] = &view->txq[i];
	}
	return view;
}

/* Give ethdev's fast functions the queues of this process instead of those in shared memory. */
static void
view_set_bursts(struct e1000e_view *view)
{
	struct rte_eth_fp_ops *fast = &rte_eth_fp_ops[view->port_id];
	struct rte_eth_dev *eth = view->eth;

	fast->rxq.data = view->rx_data;
	fast->txq.data = view->tx_data;
	fast->rx_queue_count = eth->rx_queue_count = e1000e_view_rx_queue_count;
	fast->rx_descriptor_status = eth->rx_descriptor_status = e1000e_view_rx_descriptor_status;
	fast->tx_descriptor_status = eth->tx_descriptor_status = e1000e_view_tx_descriptor_status;
	fast->tx_pkt_prepare = eth->tx_pkt_prepare = e1000e_view_tx_prepare;
	eth->rx_pkt_burst = e1000e_view_rx_burst;
	eth->tx_pkt_burst = e1000e_view_tx_burst;
	__atomic_store_n(&fast->rx_pkt_burst, e1000e_view_rx_burst, __ATOMIC_RELEASE);
	__atomic_store_n(&fast->tx_pkt_burst, e1000e_view_tx_burst, __ATOMIC_RELEASE);
}

int
e1000e_view_start(struct rte_eth_dev *eth, int fd)
{
	struct e1000e_view *view = view_alloc(eth, fd);
	int rc;

	if (view == NULL) {
		close(fd);
		return -ENOMEM;
	}
	rc = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
	if (rc == 0 && view->quiet_fd < 0)
		rc = -EMFILE;
	if (rc == 0)
		rc = view_receive_state(view);
	if (rc == 0)
		rc = view_watch(view);
	if (rc < 0) {
		view_release(view);
		view_free(view->intr, view);
		return rc;
	}
	eth->process_private = view;
	view_set_bursts(view);
	return 0;
}

int
e1000e_view_attach(struct rte_eth_dev *eth)
{
	int fds[2], rc = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		rc = -errno;
	if (rc == 0) {
		rc = gantry_secondary_ask(&e1000e_secondary, eth, fds[1]);
		close(fds[1]);
		if (rc == 0)
			rc = e1000e_view_start(eth, fds[0]);
		else
			close(fds[0]);
	}
	if (rc < 0)
		E1000E_LOG(WARNING, eth->data->name,
			"the primary process does not hand over the queues, so the port sends and"
			" receives nothing here: %s",
			strerror(-rc));
	return rc;
}

void
e1000e_view_detach(struct rte_eth_dev *eth)
{
	struct e1000e_view *view = eth->process_private;

	if (view == NULL)
		return;
	eth->process_private = NULL;
	/*
	 * The port may be closed by an event, so within view_cb(). Otherwise that may still run
	 * until it is unregistered.
	 */
	if (rte_thread_is_intr() &&
		rte_intr_callback_unregister_pending(view->intr, view_cb, view, view_free) > 0) {
		view_release(view);
		view->eth = NULL;
		return;
	}
	rte_intr_callback_unregister_sync(view->intr, view_cb, view);
	view_release(view);
	view_free(view->intr, view);
}

bool
e1000e_view_gone(const struct rte_eth_dev *eth)
{
	const struct e1000e_view *view = eth->process_private;

	return view != NULL && __atomic_load_n(&view->gone, __ATOMIC_RELAXED);
}

int
e1000e_view_done_cleanup(void *queue, uint32_t n)
{
	const struct e1000e_txq *q = queue;
	const struct e1000e_view *view = rte_eth_devices[q->port_id].process_private;

	return view != NULL ? e1000e_view_tx_done_cleanup(view->tx_data[q->id], n) : -ENOTSUP;
}
