/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tells which queue has the address at which the IOMMU blocked the chip. The answer comes from what
 * the chip has: its ring registers, and the descriptors there. The bus asks on a thread of
 * libdmamap, while others poll and configure the port.
 *
 * Ports are on a list as long as they have rings, so neither a port nor its rings go away in
 * between. Called by the bus, and by e1000e_queue.c when rings are made and freed.
 */

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include <rte_byteorder.h>

#include <bus_vfio_pci_driver.h>
#include <dmamap.h>

#include "e1000e.h"

/* Held while a question is answered. Waits for nothing. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, e1000e_port) ports = LIST_HEAD_INITIALIZER(ports);

/* A ring as the chip has it. */
struct chip_ring {
	const char *kind; /**< "rx", "tx" */
	unsigned int queue;
	rte_iova_t base;
	uint32_t len; /**< bytes; 0: none */
};

void
e1000e_fault_watch(struct e1000e_port *port)
{
	pthread_mutex_lock(&lock);
	LIST_INSERT_HEAD(&ports, port, with_rings);
	pthread_mutex_unlock(&lock);
}

void
e1000e_fault_forget(struct e1000e_port *port)
{
	pthread_mutex_lock(&lock);
	LIST_REMOVE(port, with_rings);
	pthread_mutex_unlock(&lock);
}

static struct chip_ring
ring_of(const struct e1000e_port *port, bool rx, unsigned int q)
{
	const struct e1000e_hw *hw = &port->hw;
	struct chip_ring ring = {.kind = rx ? "rx" : "tx", .queue = q};

	ring.base = e1000e_read(hw, rx ? E1000E_RDBAL(q) : E1000E_TDBAL(q)) |
		(uint64_t)e1000e_read(hw, rx ? E1000E_RDBAH(q) : E1000E_TDBAH(q)) << 32;
	ring.len = e1000e_read(hw, rx ? E1000E_RDLEN(q) : E1000E_TDLEN(q));
	return ring;
}

static bool
overlaps(struct dmamap_range r, rte_iova_t start, uint64_t len)
{
	return len > 0 && start <= r.last && (start >= r.start || r.start - start < len);
}

/* @return the ring's first byte in the zone of the driver; NULL: it is elsewhere */
static const volatile void *
ring_va(const struct e1000e_port *port, const struct chip_ring *ring)
{
	const rte_iova_t zone = dmamap_zone_iova(port->rings);
	const size_t len = dmamap_zone_len(port->rings);

	if (ring->base < zone || ring->base - zone > len || len - (ring->base - zone) < ring->len)
		return NULL;
	return RTE_PTR_ADD(dmamap_zone_va(port->rings), ring->base - zone);
}

/* The buffer of descriptor i, if the chip may use it. @return its length; 0: none */
static uint64_t
rx_buffer(const struct e1000e_port *port, const volatile void *ring, unsigned int i, rte_iova_t *at)
{
	const volatile union e1000e_rx_desc *d = ring;

	/* A descriptor that is done has no address any more (7.1.4). */
	if (rte_le_to_cpu_32(d[i].wb.status) & E1000E_RXD_DD)
		return 0;
	*at = rte_le_to_cpu_64(d[i].read.addr);
	return *at != 0 ? port->rx_buf_len : 0;
}

static uint64_t
tx_buffer(const volatile void *ring, unsigned int i, rte_iova_t *at)
{
	const volatile union e1000e_tx_desc *d = ring;
	const uint32_t cmd = rte_le_to_cpu_32(d[i].data.cmd);
	const uint32_t data = E1000E_TXD_DEXT | E1000E_TXD_DTYP_DATA;

	if ((cmd & data) != data)
		return 0;
	*at = rte_le_to_cpu_64(d[i].data.addr);
	return cmd & E1000E_TSO_MAX_PAYLEN;
}

/* Look for the address in a ring. @return whether it says all */
static bool
ring_explains(const struct e1000e_port *port, bool rx, unsigned int q, struct dmamap_fault *f)
{
	const struct chip_ring ring = ring_of(port, rx, q);
	const volatile void *va = ring_va(port, &ring);
	rte_iova_t at = 0;
	uint64_t len;
	unsigned int i;

	if (ring.len == 0)
		return false;
	if (va == NULL) {
		if (!overlaps(f->iovas, ring.base, ring.len))
			return false;
		snprintf(f->detail, sizeof(f->detail),
			"%s queue %u: the chip has its ring at 0x%" PRIx64
			", which is not the driver's",
			ring.kind, q, ring.base);
		return true;
	}
	for (i = 0; i < ring.len / E1000E_DESC_LEN; i++) {
		len = rx ? rx_buffer(port, va, i, &at) : tx_buffer(va, i, &at);
		if (!overlaps(f->iovas, at, len))
			continue;
		snprintf(f->detail, sizeof(f->detail),
			"%s queue %u, descriptor %u: %" PRIu64 " bytes at 0x%" PRIx64, ring.kind, q,
			i, len, at);
		return true;
	}
	return false;
}

void
e1000e_fault(struct vfio_pci_device *dev, struct dmamap_fault *fault)
{
	/* What writes are reception's; descriptors are written back by both. */
	const bool rx_first = fault->access != DMAMAP_READ;
	const struct e1000e_port *port;
	unsigned int q;

	pthread_mutex_lock(&lock);
	LIST_FOREACH(port, &ports, with_rings)
		if (port->dev == dev)
			break;
	if (port == NULL)
		snprintf(fault->detail, sizeof(fault->detail), "the port has no queues");
	for (q = 0; port != NULL && fault->detail[0] == '\0' && q < 2 * E1000E_QUEUES; q++)
		ring_explains(port, (q < E1000E_QUEUES) == rx_first, q % E1000E_QUEUES, fault);
	pthread_mutex_unlock(&lock);
	if (fault->detail[0] == '\0')
		snprintf(fault->detail, sizeof(fault->detail), "no descriptor has this address");
}
