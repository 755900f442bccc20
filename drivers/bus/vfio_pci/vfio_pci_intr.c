/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A device's interrupts: vectors as eventfds.
 *
 * At most one kind of interrupt is enabled at a time. An eventfd is closed only after its vector is
 * disabled. Called by vfio_pci_dev.c when a device is opened and closed, by vfio_pci_event.c, and
 * by drivers.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_eal.h>
#include <rte_epoll.h>

#include "vfio_pci_private.h"

/** Each kind's VFIO index, EAL handle type and name. */
static const struct {
	uint32_t index;
	enum rte_intr_handle_type type;
	const char *name;
} intr_kinds[] = {
	[VFIO_PCI_INTR_INTX] = {VFIO_PCI_INTX_IRQ_INDEX, RTE_INTR_HANDLE_VFIO_LEGACY, "INTx"},
	[VFIO_PCI_INTR_MSI] = {VFIO_PCI_MSI_IRQ_INDEX, RTE_INTR_HANDLE_VFIO_MSI, "MSI"},
	[VFIO_PCI_INTR_MSIX] = {VFIO_PCI_MSIX_IRQ_INDEX, RTE_INTR_HANDLE_VFIO_MSIX, "MSI-X"},
};

/** vfio_pci_irqs_set() for vectors from `first` on. */
static int
irqs_set_from(const struct vfio_pci_device *dev, uint32_t index, unsigned int first,
	const int *event_fds, unsigned int n)
{
	const size_t len = sizeof(struct vfio_irq_set) + n * sizeof(int);
	struct vfio_irq_set *set;
	int rc;

	set = calloc(1, len);
	if (set == NULL)
		return -ENOMEM;
	set->argsz = len;
	set->flags = VFIO_IRQ_SET_ACTION_TRIGGER |
		(n > 0 ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->start = first;
	set->count = n;
	if (n > 0)
		memcpy(set->data, event_fds, n * sizeof(int));
	rc = dmamap_device_ioctl(dev->dma, VFIO_DEVICE_SET_IRQS, set);
	if (rc > 0)
		rc = -ENOSPC; /* the host has only rc vectors left */
	free(set);
	return rc;
}

int
vfio_pci_irqs_set(
	const struct vfio_pci_device *dev, uint32_t index, const int *event_fds, unsigned int n)
{
	return irqs_set_from(dev, index, 0, event_fds, n);
}

static int
eventfds_make(int *fds, unsigned int n)
{
	unsigned int i;
	int rc;

	for (i = 0; i < n; i++) {
		fds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (fds[i] < 0) {
			rc = -errno;
			while (i-- > 0)
				close(fds[i]);
			return rc;
		}
	}
	return 0;
}

static void
eventfds_close(const int *fds, unsigned int n)
{
	while (n-- > 0)
		close(fds[n]);
}

/**
 * Get the number of vectors of a kind.
 * @param can_add  out: vectors can be added while others are enabled.
 */
static int
vectors_ask(const struct vfio_pci_device *dev, enum vfio_pci_intr kind, bool *can_add)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = intr_kinds[kind].index};
	int rc = dmamap_device_ioctl(dev->dma, VFIO_DEVICE_GET_IRQ_INFO, &info);

	if (rc < 0)
		return rc;
	*can_add = (info.flags & VFIO_IRQ_INFO_NORESIZE) == 0;
	return (info.flags & VFIO_IRQ_INFO_EVENTFD) != 0 ? (int)info.count : 0;
}

int
vfio_pci_intr_vectors(const struct vfio_pci_device *dev, enum vfio_pci_intr kind)
{
	bool can_add;

	return (unsigned int)kind >= RTE_DIM(intr_kinds) ? -EINVAL
							 : vectors_ask(dev, kind, &can_add);
}

/**
 * Enter the vectors into the EAL's handle, in the layout of its own VFIO code: vector 0 is the
 * handle's own file, the others are for queues. The handle's type makes the interrupt thread read
 * the 8 bytes of an eventfd, and makes rte_intr_enable() route the same descriptors again.
 */
static int
handle_fill(struct vfio_pci_device *dev, enum vfio_pci_intr kind, const int *fds, unsigned int n)
{
	struct rte_intr_handle *handle = dev->intr_handle;
	unsigned int i, n_efd = n > 1 ? n - 1 : 1;
	const int *efd = n > 1 ? fds + 1 : fds;

	for (i = 0; i < n_efd; i++)
		if (rte_intr_efds_index_set(handle, i, efd[i]) != 0)
			return -rte_errno;
	if (rte_intr_nb_efd_set(handle, n_efd) != 0 || rte_intr_max_intr_set(handle, n) != 0 ||
		rte_intr_fd_set(handle, fds[0]) != 0 ||
		rte_intr_type_set(handle, intr_kinds[kind].type) != 0)
		return -rte_errno;
	return 0;
}

/**
 * Reserve the handle's lists for all vectors that can follow. They cannot grow later: Rx interrupts
 * that are in use point into them (rte_intr_rx_ctl()).
 */
static int
handle_reserve(struct vfio_pci_device *dev, unsigned int n)
{
	struct rte_intr_handle *handle = dev->intr_handle;

	if ((unsigned int)rte_intr_nb_intr_get(handle) < n &&
		rte_intr_event_list_update(handle, n) != 0)
		return -ENOMEM;
	return 0;
}

static void
handle_clear(struct vfio_pci_device *dev)
{
	struct rte_intr_handle *handle = dev->intr_handle;

	rte_intr_free_epoll_fd(handle);
	rte_intr_nb_efd_set(handle, 0);
	rte_intr_max_intr_set(handle, 0);
	rte_intr_fd_set(handle, -1);
	rte_intr_type_set(handle, RTE_INTR_HANDLE_UNKNOWN);
}

int
vfio_pci_intr_enable(struct vfio_pci_device *dev, enum vfio_pci_intr kind, unsigned int n)
{
	struct vfio_pci_inner *inner = vfio_pci_inner(dev);
	int have, rc, *fds;

	if (n == 0 || (unsigned int)kind >= RTE_DIM(intr_kinds))
		return -EINVAL;
	if (inner->n_vectors != 0)
		return -EBUSY;
	have = vfio_pci_intr_vectors(dev, kind);
	if (have < 0)
		return have;
	if (n > (unsigned int)have)
		return -ENOTSUP;

	fds = malloc(n * sizeof(*fds));
	if (fds == NULL)
		return -ENOMEM;
	rc = eventfds_make(fds, n);
	if (rc < 0)
		goto free_fds;
	rc = handle_reserve(dev, kind == VFIO_PCI_INTR_MSIX ? (unsigned int)have : n);
	if (rc == 0)
		rc = handle_fill(dev, kind, fds, n);
	if (rc < 0)
		goto clear;
	rc = vfio_pci_irqs_set(dev, intr_kinds[kind].index, fds, n);
	if (rc < 0)
		goto clear;
	inner->intr_kind = kind;
	inner->n_vectors = n;
	inner->vector_fd = fds;
	return 0;

clear:
	handle_clear(dev);
	eventfds_close(fds, n);
free_fds:
	free(fds);
	return VFIO_PCI_FAIL(-rc, "%s: %u %s vectors cannot be enabled: %s", dev->name, n,
		intr_kinds[kind].name, rte_strerror(-rc));
}

/**
 * Disable the first `was` MSI-X vectors, and enable n. An interrupt in between is lost, so signal
 * the old ones. If the host has too few, enable the old ones again.
 */
static int
vectors_replace(const struct vfio_pci_device *dev, const int *fds, unsigned int was, unsigned int n)
{
	unsigned int i;
	int rc;

	rc = vfio_pci_irqs_set(dev, VFIO_PCI_MSIX_IRQ_INDEX, NULL, 0);
	if (rc < 0)
		return rc;
	rc = vfio_pci_irqs_set(dev, VFIO_PCI_MSIX_IRQ_INDEX, fds, n);
	if (rc < 0 && vfio_pci_irqs_set(dev, VFIO_PCI_MSIX_IRQ_INDEX, fds, was) < 0)
		rc = -EIO;
	for (i = 0; i < was; i++)
		eventfd_write(fds[i], 1);
	return rc;
}

int
vfio_pci_intr_grow(struct vfio_pci_device *dev, unsigned int n)
{
	struct vfio_pci_inner *inner = vfio_pci_inner(dev);
	const unsigned int was = inner->n_vectors;
	int have, rc, *fds;
	bool can_add;

	if (was == 0 || inner->intr_kind != VFIO_PCI_INTR_MSIX || n < was)
		return -EINVAL;
	if (n == was)
		return 0;
	have = vectors_ask(dev, VFIO_PCI_INTR_MSIX, &can_add);
	if (have < 0)
		return have;
	if (n > (unsigned int)have)
		return -ENOTSUP;

	fds = malloc(n * sizeof(*fds));
	if (fds == NULL)
		return -ENOMEM;
	memcpy(fds, inner->vector_fd, was * sizeof(*fds));
	rc = eventfds_make(fds + was, n - was);
	if (rc < 0)
		goto free_fds;
	rc = handle_fill(dev, VFIO_PCI_INTR_MSIX, fds, n);
	if (rc < 0)
		goto close_fds;
	rc = can_add ? irqs_set_from(dev, VFIO_PCI_MSIX_IRQ_INDEX, was, fds + was, n - was)
		     : vectors_replace(dev, fds, was, n);
	if (rc < 0)
		goto close_fds;
	free(inner->vector_fd);
	inner->vector_fd = fds;
	inner->n_vectors = n;
	return 0;

close_fds:
	handle_fill(dev, VFIO_PCI_INTR_MSIX, fds, was);
	eventfds_close(fds + was, n - was);
free_fds:
	free(fds);
	return VFIO_PCI_FAIL(-rc, "%s: %u MSI-X vectors cannot become %u: %s", dev->name, was, n,
		rte_strerror(-rc));
}

void
vfio_pci_intr_disable(struct vfio_pci_device *dev)
{
	struct vfio_pci_inner *inner = vfio_pci_inner(dev);

	if (inner->n_vectors == 0)
		return;
	vfio_pci_irqs_set(dev, intr_kinds[inner->intr_kind].index, NULL, 0);
	handle_clear(dev);
	eventfds_close(inner->vector_fd, inner->n_vectors);
	free(inner->vector_fd);
	inner->vector_fd = NULL;
	inner->n_vectors = 0;
}

int
vfio_pci_intr_fd(const struct vfio_pci_device *dev, unsigned int vector)
{
	const struct vfio_pci_inner *inner = vfio_pci_inner(dev);

	return vector < inner->n_vectors ? inner->vector_fd[vector] : -1;
}

int
vfio_pci_intr_open(struct vfio_pci_inner *inner)
{
	struct rte_intr_handle *handle;

	handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (handle == NULL)
		return VFIO_PCI_FAIL(ENOMEM, "%s: out of memory", inner->dev.name);
	rte_intr_fd_set(handle, -1);
	rte_intr_type_set(handle, RTE_INTR_HANDLE_UNKNOWN);
	rte_intr_dev_fd_set(handle, vfio_pci_fd(&inner->dev));
	inner->dev.intr_handle = handle;
	return 0;
}

void
vfio_pci_intr_close(struct vfio_pci_inner *inner)
{
	vfio_pci_intr_disable(&inner->dev);
	rte_intr_instance_free(inner->dev.intr_handle);
	inner->dev.intr_handle = NULL;
}
