/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Regions and interrupts of a device that a test described, and its VFIO ioctls
 * (include/uapi/linux/vfio.h, drivers/vfio/pci). Called by mock_device.c and mock_files.c.
 *
 * All regions are in one memory file, each at the offset that VFIO reports. So pread, pwrite and
 * mmap on a descriptor of the device are the real system calls.
 */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "dm_util.h"
#include "mock_priv.h"

static_assert(VFIO_MOCK_REGIONS == VFIO_PCI_NUM_REGIONS, "regions");
static_assert(VFIO_MOCK_IRQS == VFIO_PCI_NUM_IRQS, "interrupts");

/** File offset of a region: index << OFFSET_SHIFT (drivers/vfio/pci, VFIO_PCI_OFFSET_SHIFT). */
#define OFFSET_SHIFT 40
#define VECTORS_MAX 2048

struct irq {
	unsigned int n; /**< vectors that the device has */
	int *event; /**< eventfd of each vector, or -1 */
	bool masked, pending; /**< INTx only */
	/** MSI, MSI-X: vectors from 0 on that the host has allocated; 0: the index is disabled */
	unsigned int allocated;
};

struct mock_vdev {
	struct vfio_mock_device_conf conf;
	int memory; /**< memory file of all regions */
	void *region[VFIO_MOCK_REGIONS]; /**< mappings for tests */
	struct irq irq[VFIO_MOCK_IRQS];
	unsigned int resets, hot_resets;
};

/* Creation and destruction */

/** Close the eventfds of an index, and clear its state. */
static void
irq_disable(struct irq *irq)
{
	unsigned int i;

	for (i = 0; i < irq->n; i++) {
		if (irq->event[i] >= 0)
			close(irq->event[i]);
		irq->event[i] = -1;
	}
	irq->masked = irq->pending = false;
	irq->allocated = 0;
}

void
mock_vdev_disable_irqs(struct mock_vdev *vdev)
{
	unsigned int i;

	for (i = 0; i < VFIO_MOCK_IRQS; i++)
		irq_disable(&vdev->irq[i]);
}

void
mock_vdev_free(struct mock_vdev *vdev)
{
	unsigned int i;

	if (vdev == NULL)
		return;
	mock_vdev_disable_irqs(vdev);
	for (i = 0; i < VFIO_MOCK_IRQS; i++)
		free(vdev->irq[i].event);
	for (i = 0; i < VFIO_MOCK_REGIONS; i++)
		if (vdev->region[i] != NULL)
			munmap(vdev->region[i], vdev->conf.region[i].size);
	if (vdev->memory >= 0)
		close(vdev->memory);
	free(vdev);
}

static int
irq_init(struct irq *irq, unsigned int n)
{
	if (n > VECTORS_MAX)
		return -EINVAL;
	irq->event = malloc(DM_MAX(n, 1u) * sizeof(*irq->event));
	if (irq->event == NULL)
		return -ENOMEM;
	memset(irq->event, -1, n * sizeof(*irq->event));
	irq->n = n;
	return 0;
}

static int
region_init(struct mock_vdev *vdev, unsigned int i)
{
	uint64_t size = vdev->conf.region[i].size;
	void *va;

	if (size == 0)
		return 0;
	if (size > UINT64_C(1) << OFFSET_SHIFT)
		return -EINVAL;
	va = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vdev->memory,
		(off_t)i << OFFSET_SHIFT);
	if (va == MAP_FAILED)
		return -errno;
	vdev->region[i] = va;
	return 0;
}

int
mock_vdev_new(const struct vfio_mock_device_conf *conf, struct mock_vdev **out)
{
	struct mock_vdev *vdev = calloc(1, sizeof(*vdev));
	unsigned int i;
	int rc = 0;

	if (vdev == NULL)
		return -ENOMEM;
	vdev->conf = *conf;
	vdev->memory = memfd_create("vfio_mock", MFD_CLOEXEC);
	if (vdev->memory < 0 ||
		ftruncate(vdev->memory, (off_t)VFIO_MOCK_REGIONS << OFFSET_SHIFT) < 0)
		rc = -errno;
	for (i = 0; i < VFIO_MOCK_REGIONS && rc == 0; i++)
		rc = region_init(vdev, i);
	for (i = 0; i < VFIO_MOCK_IRQS && rc == 0; i++)
		rc = irq_init(&vdev->irq[i], conf->irqs[i]);
	if (rc < 0) {
		mock_vdev_free(vdev);
		return rc;
	}
	*out = vdev;
	return 0;
}

int
mock_vdev_open(const struct mock_vdev *vdev)
{
	int fd = fcntl(vdev->memory, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

void *
mock_vdev_region(const struct mock_vdev *vdev, unsigned int index)
{
	return index < VFIO_MOCK_REGIONS ? vdev->region[index] : NULL;
}

unsigned int
mock_vdev_resets(const struct mock_vdev *vdev)
{
	return vdev->resets;
}

unsigned int
mock_vdev_hot_resets(const struct mock_vdev *vdev)
{
	return vdev->hot_resets;
}

void
mock_vdev_hot_reset(struct mock_vdev *vdev)
{
	vdev->hot_resets++;
}

/* Interrupts */

int
mock_vdev_fire(struct mock_vdev *vdev, unsigned int index, unsigned int vector)
{
	const uint64_t one = 1;
	struct irq *irq;

	if (index >= VFIO_MOCK_IRQS || vector >= vdev->irq[index].n)
		return -EINVAL;
	irq = &vdev->irq[index];
	if (irq->event[vector] < 0)
		return -ENOENT;
	if (irq->masked) {
		irq->pending = true;
		return -EAGAIN;
	}
	/* vfio-pci masks INTx until the user unmasks it. */
	irq->masked = index == VFIO_PCI_INTX_IRQ_INDEX;
	return write(irq->event[vector], &one, sizeof(one)) < 0 ? -errno : 0;
}

static bool
irq_enabled(const struct irq *irq)
{
	unsigned int i;

	for (i = 0; i < irq->n; i++)
		if (irq->event[i] >= 0)
			return true;
	return false;
}

/** Whether another of INTx, MSI and MSI-X is enabled: they exclude each other. */
static bool
irq_other_enabled(const struct mock_vdev *vdev, unsigned int index)
{
	unsigned int i;

	for (i = VFIO_PCI_INTX_IRQ_INDEX; i <= VFIO_PCI_MSIX_IRQ_INDEX; i++)
		if (i != index && index <= VFIO_PCI_MSIX_IRQ_INDEX && irq_enabled(&vdev->irq[i]))
			return true;
	return false;
}

/** Whether vectors can be allocated while others are (pci_msix_can_alloc_dyn()). */
static bool
irq_can_grow(const struct mock_vdev *vdev, unsigned int index)
{
	return index == VFIO_PCI_MSIX_IRQ_INDEX && vdev->conf.dynamic_msix;
}

/**
 * Allocate the host's vectors below n. The first call decides how many there are, unless the device
 * can have more later (drivers/vfio/pci/vfio_pci_intrs.c, vfio_pci_set_msi_trigger(),
 * vfio_msi_alloc_irq()).
 */
static int
irq_allocate(struct mock_vdev *vdev, unsigned int index, unsigned int n)
{
	struct irq *irq = &vdev->irq[index];

	if (index != VFIO_PCI_MSI_IRQ_INDEX && index != VFIO_PCI_MSIX_IRQ_INDEX)
		return 0;
	if (irq->allocated != 0 && n > irq->allocated && !irq_can_grow(vdev, index))
		return -EINVAL;
	irq->allocated = DM_MAX(irq->allocated, n);
	return 0;
}

/** Set the eventfds of vectors, all or none. */
static int
irq_set_events(struct mock_vdev *vdev, const struct vfio_irq_set *set)
{
	struct irq *irq = &vdev->irq[set->index];
	int *fds = malloc(DM_MAX(set->count, 1u) * sizeof(*fds));
	unsigned int i, done;
	int fd;

	if (fds == NULL)
		return -ENOMEM;
	for (done = 0; done < set->count; done++) {
		memcpy(&fd, set->data + done * sizeof(fd), sizeof(fd));
		fds[done] = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (fd >= 0 && fds[done] < 0)
			goto undo;
	}
	for (i = 0; i < set->count; i++) {
		if (irq->event[set->start + i] >= 0)
			close(irq->event[set->start + i]);
		irq->event[set->start + i] = fds[i];
	}
	free(fds);
	return 0;
undo:
	while (done-- > 0)
		if (fds[done] >= 0)
			close(fds[done]);
	free(fds);
	return -EBADF;
}

/** VFIO_IRQ_SET_ACTION_TRIGGER without eventfds: fire the vectors. */
static int
irq_loop_back(struct mock_vdev *vdev, const struct vfio_irq_set *set)
{
	unsigned int i;

	for (i = 0; i < set->count; i++)
		if (!(set->flags & VFIO_IRQ_SET_DATA_BOOL) || set->data[i] != 0)
			mock_vdev_fire(vdev, set->index, set->start + i);
	return 0;
}

static int
irq_trigger(struct mock_vdev *vdev, const struct vfio_irq_set *set)
{
	struct irq *irq = &vdev->irq[set->index];

	if (set->count == 0) {
		if (!(set->flags & VFIO_IRQ_SET_DATA_NONE))
			return -EINVAL;
		irq_disable(irq);
		return 0;
	}
	if (irq_other_enabled(vdev, set->index))
		return -EINVAL;
	if (set->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		const unsigned int was = irq->allocated;
		int rc = irq_allocate(vdev, set->index, set->start + set->count);

		if (rc == 0)
			rc = irq_set_events(vdev, set);
		if (rc < 0)
			irq->allocated = was;
		return rc;
	}
	return irq_enabled(irq) ? irq_loop_back(vdev, set) : -EINVAL;
}

static int
irq_mask(struct mock_vdev *vdev, const struct vfio_irq_set *set, bool yes)
{
	struct irq *irq = &vdev->irq[set->index];
	bool was_pending = irq->pending;

	if (set->index != VFIO_PCI_INTX_IRQ_INDEX || !(set->flags & VFIO_IRQ_SET_DATA_NONE))
		return -ENOTTY;
	irq->masked = yes;
	if (yes || !was_pending)
		return 0;
	irq->pending = false;
	mock_vdev_fire(vdev, set->index, 0);
	return 0;
}

static int
vdev_set_irqs(struct mock_vdev *vdev, const struct vfio_irq_set *set)
{
	const uint32_t types = VFIO_IRQ_SET_DATA_TYPE_MASK, actions = VFIO_IRQ_SET_ACTION_TYPE_MASK;
	unsigned int n;
	size_t each;

	if (set->argsz < sizeof(*set) || set->index >= VFIO_MOCK_IRQS ||
		set->flags & ~(types | actions))
		return -EINVAL;
	switch (set->flags & types) {
	case VFIO_IRQ_SET_DATA_NONE:
		each = 0;
		break;
	case VFIO_IRQ_SET_DATA_BOOL:
		each = sizeof(uint8_t);
		break;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		each = sizeof(int32_t);
		break;
	default:
		return -EINVAL;
	}
	n = vdev->irq[set->index].n;
	if (set->start > n || set->count > n - set->start ||
		set->argsz - sizeof(*set) < set->count * each)
		return -EINVAL;
	switch (set->flags & actions) {
	case VFIO_IRQ_SET_ACTION_TRIGGER:
		return irq_trigger(vdev, set);
	case VFIO_IRQ_SET_ACTION_MASK:
		return irq_mask(vdev, set, true);
	case VFIO_IRQ_SET_ACTION_UNMASK:
		return irq_mask(vdev, set, false);
	default:
		return -ENOTTY;
	}
}

/* Information */

static int
vdev_get_info(const struct mock_vdev *vdev, struct vfio_device_info *info)
{
	if (info->argsz < offsetof(struct vfio_device_info, num_irqs) + sizeof(info->num_irqs))
		return -EINVAL;
	info->flags = VFIO_DEVICE_FLAGS_PCI | (vdev->conf.no_reset ? 0 : VFIO_DEVICE_FLAGS_RESET);
	info->num_regions = VFIO_MOCK_REGIONS;
	info->num_irqs = VFIO_MOCK_IRQS;
	return 0;
}

/** Add VFIO_REGION_INFO_CAP_MSIX_MAPPABLE to the region that holds the MSI-X table. */
static void
region_add_msix_cap(struct vfio_region_info *info)
{
	const struct vfio_info_cap_header cap = {
		.id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, .version = 1};
	const uint32_t needed = sizeof(*info) + sizeof(cap);

	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	info->cap_offset = 0;
	if (info->argsz < needed) {
		info->argsz = needed;
		return;
	}
	info->cap_offset = sizeof(*info);
	memcpy(info + 1, &cap, sizeof(cap));
}

static int
vdev_get_region(const struct mock_vdev *vdev, struct vfio_region_info *info)
{
	const struct vfio_mock_region_conf *region;

	if (info->argsz < sizeof(*info) || info->index >= VFIO_MOCK_REGIONS)
		return -EINVAL;
	region = &vdev->conf.region[info->index];
	if (info->index == VFIO_PCI_VGA_REGION_INDEX && region->size == 0)
		return -EINVAL;
	info->offset = (uint64_t)info->index << OFFSET_SHIFT;
	info->size = region->size;
	info->flags = 0;
	info->cap_offset = 0;
	if (region->size == 0)
		return 0;
	info->flags = VFIO_REGION_INFO_FLAG_READ |
		(region->read_only ? 0 : VFIO_REGION_INFO_FLAG_WRITE) |
		(region->mappable ? VFIO_REGION_INFO_FLAG_MMAP : 0);
	if (region->mappable && vdev->irq[VFIO_PCI_MSIX_IRQ_INDEX].n > 0 &&
		vdev->conf.msix_bar == info->index)
		region_add_msix_cap(info);
	return 0;
}

static int
vdev_get_irq(const struct mock_vdev *vdev, struct vfio_irq_info *info)
{
	if (info->argsz < sizeof(*info) || info->index >= VFIO_MOCK_IRQS)
		return -EINVAL;
	/* Only PCI Express functions report errors (vfio_pci_core.c). */
	if (info->index == VFIO_PCI_ERR_IRQ_INDEX && vdev->irq[info->index].n == 0)
		return -EINVAL;
	info->count = vdev->irq[info->index].n;
	info->flags = VFIO_IRQ_INFO_EVENTFD;
	if (info->index == VFIO_PCI_INTX_IRQ_INDEX)
		info->flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	else if (!irq_can_grow(vdev, info->index))
		info->flags |= VFIO_IRQ_INFO_NORESIZE;
	return 0;
}

int
mock_vdev_ioctl(struct mock_vdev *vdev, unsigned long request, unsigned long arg)
{
	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		return vdev_get_info(vdev, (void *)arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return vdev_get_region(vdev, (void *)arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return vdev_get_irq(vdev, (void *)arg);
	case VFIO_DEVICE_SET_IRQS:
		return vdev_set_irqs(vdev, (const void *)arg);
	case VFIO_DEVICE_RESET:
		if (vdev->conf.no_reset)
			return -EINVAL;
		vdev->resets++;
		return 0;
	default:
		return -ENOTTY;
	}
}
