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
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_memory.h>
#include <rte_mempool.h>

#include <bus_vfio_pci_driver.h>

#include "e1000e.h"
#include "e1000e_view.h"

struct e1000e_view {
	struct gantry_view base;
	struct vfio_pci_device *dev;
	void *rings; /**< as mapped; NULL: neither they nor the BAR is */
	size_t rings_len;
	void *rx_data[E1000E_QUEUES]; /**< what ethdev's table has for each queue */
	void *tx_data[E1000E_QUEUES];
	struct e1000e_view_rxq rxq[E1000E_QUEUES];
	struct e1000e_view_txq txq[E1000E_QUEUES];
};

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
	gantry_view_barrier();
	for (i = 0; i < E1000E_QUEUES; i++) {
		if (!(rx_open & RTE_BIT32(i)))
			gantry_view_wait_while(&view->rxq[i].busy);
		if (!(tx_open & RTE_BIT32(i))) {
			gantry_view_wait_while(&view->txq[i].busy);
			gantry_view_wait_while(&view->txq[i].preparing);
		}
	}
}

static void
view_unmap(struct e1000e_view *view)
{
	if (view->rings == NULL)
		return;
	e1000e_bar[view->base.port_id] = NULL;
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
		return E1000E_FAIL(EMFILE, view->base.name,
			"this process cannot have the files of device and rings: too many are"
			" open: raise ulimit -n");
	rc = vfio_pci_bar_import(view->dev, 0, &msg->bar, fds[E1000E_SHARE_DEVICE]);
	if (rc < 0)
		return rc;
	at = mmap(msg->rings, msg->rings_len, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_FIXED_NOREPLACE, fds[E1000E_SHARE_RINGS], msg->rings_at);
	rc = at == MAP_FAILED ? -errno : 0;
	if (rc == -EEXIST)
		E1000E_LOG(ERR, view->base.name,
			"the addresses of the primary's rings are taken in this process: start it"
			" again, with random addresses (kernel.randomize_va_space=2)");
	else if (rc < 0)
		E1000E_LOG(ERR, view->base.name, "its rings cannot be mapped: %s", strerror(-rc));
	if (rc < 0) {
		vfio_pci_bars_drop(view->dev);
		return rc;
	}
	view->rings = msg->rings;
	view->rings_len = msg->rings_len;
	e1000e_bar[view->base.port_id] = view->dev->bar[0].addr;
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
	v->q = view->base.eth->data->rx_queues[i];
	v->burst = rx_burst_of(rx);
	if (!pool_is_shared(v->q->pool))
		return E1000E_FAIL(ENOTSUP, view->base.name,
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
	v->q = view->base.eth->data->tx_queues[i];
	__atomic_store_n(&v->open, 1, __ATOMIC_RELEASE);
}

static int
view_follow(struct gantry_view *base, const struct gantry_share_head *head, int *fds)
{
	const struct e1000e_share_msg *msg = (const struct e1000e_share_msg *)head;
	struct e1000e_view *view = (struct e1000e_view *)base;
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

/* The device may be freed afterwards. */
static void
view_drop(struct gantry_view *base)
{
	struct e1000e_view *view = (struct e1000e_view *)base;

	queues_close(view, 0, 0);
	view_unmap(view);
}

static const struct gantry_view_ops view_ops = {
	.secondary = &e1000e_secondary,
	.msg_len = sizeof(struct e1000e_share_msg),
	.follow = view_follow,
	.drop = view_drop,
};

static struct e1000e_view *
view_alloc(struct rte_eth_dev *eth)
{
	struct e1000e_view *view = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*view));
	unsigned int i;

	if (view == NULL)
		return NULL;
	*view = (struct e1000e_view){.dev = VFIO_PCI_DEVICE(eth->device)};
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
	struct rte_eth_fp_ops *fast = &rte_eth_fp_ops[view->base.port_id];
	struct rte_eth_dev *eth = view->base.eth;

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
	struct e1000e_view *view = view_alloc(eth);
	int rc;

	if (view == NULL) {
		close(fd);
		return -ENOMEM;
	}
	rc = gantry_view_start(&view->base, eth, &view_ops, fd);
	if (rc == 0)
		view_set_bursts(view);
	return rc;
}

int
e1000e_view_attach(struct rte_eth_dev *eth)
{
	struct e1000e_view *view = view_alloc(eth);
	int rc;

	if (view == NULL)
		return E1000E_FAIL(ENOMEM, eth->data->name, "out of memory");
	rc = gantry_view_attach(&view->base, eth, &view_ops);
	if (rc == 0)
		view_set_bursts(view);
	return rc;
}

int
e1000e_view_done_cleanup(void *queue, uint32_t n)
{
	const struct e1000e_txq *q = queue;
	const struct e1000e_view *view = rte_eth_devices[q->port_id].process_private;

	return view != NULL ? e1000e_view_tx_done_cleanup(view->tx_data[q->id], n) : -ENOTSUP;
}
