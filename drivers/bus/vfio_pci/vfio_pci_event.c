/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What the kernel reports of a device beside its interrupts: requests to release it, and errors.
 *
 * Each event has an eventfd, which the EAL's interrupt thread reads. A callback of the driver or of
 * the application may remove the device, so nothing of the device is read after one has run. Called
 * by vfio_pci_dev.c and vfio_pci.c when a device is opened, removed and closed.
 */

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_string_fns.h>

#include "vfio_pci_private.h"

/** Notify an application that may have removed the device in a callback of its driver. */
static void
application_notify(const char *name)
{
	rte_dev_event_callback_process(name, RTE_DEV_EVENT_REMOVE);
}

int
vfio_pci_hot_unplug(struct rte_device *device)
{
	struct vfio_pci_device *dev = VFIO_PCI_DEVICE(device);
	const struct vfio_pci_driver *driver = dev->driver;
	char name[sizeof(dev->name)];

	strlcpy(name, dev->name, sizeof(name));
	VFIO_PCI_LOG(NOTICE, "%s: the kernel requests that the device be released", name);
	if (driver != NULL && driver->remove_request != NULL)
		driver->remove_request(dev);
	application_notify(name);
	return 0;
}

static void
event_request_cb(void *arg)
{
	vfio_pci_hot_unplug(arg);
}

/** Linux, drivers/vfio/pci/vfio_pci_core.c, vfio_pci_core_aer_err_detected(). */
static void
event_error_cb(void *arg)
{
	struct vfio_pci_device *dev = VFIO_PCI_DEVICE((struct rte_device *)arg);
	const struct vfio_pci_driver *driver = dev->driver;
	char name[sizeof(dev->name)];

	strlcpy(name, dev->name, sizeof(name));
	VFIO_PCI_LOG(ERR,
		"%s: the device reported an uncorrectable error: reset it, or remove it and probe "
		"it again; the kernel's log has the AER details",
		name);
	if (driver != NULL && driver->error != NULL)
		driver->error(dev);
	else
		application_notify(name);
}

static const struct {
	uint32_t index;
	rte_intr_callback_fn cb;
	const char *name;
	bool optional; /**< some devices lack it */
} events[VFIO_PCI_N_EVENTS] = {
	[VFIO_PCI_EVENT_REQUEST] = {VFIO_PCI_REQ_IRQ_INDEX, event_request_cb, "release requests",
		false},
	[VFIO_PCI_EVENT_ERROR] = {VFIO_PCI_ERR_IRQ_INDEX, event_error_cb, "error reports", true},
};

/** Whether the device can report an event: only PCI Express has errors. 1, 0, or negative errno. */
static int
event_exists(const struct vfio_pci_device *dev, enum vfio_pci_event event)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = events[event].index};
	int rc;

	if (!events[event].optional)
		return 1;
	rc = dmamap_device_ioctl(dev->dma, VFIO_DEVICE_GET_IRQ_INFO, &info);
	/* VFIO refuses an index that the device lacks (vfio_pci_ioctl_get_irq_info()). */
	if (rc == -EINVAL)
		return 0;
	if (rc < 0)
		return rc;
	return info.count > 0 && (info.flags & VFIO_IRQ_INFO_EVENTFD) != 0;
}

/** Close the eventfd of an event whose last callback has returned. */
static void
event_close(struct rte_intr_handle *handle, void *arg)
{
	RTE_SET_USED(arg);
	close(rte_intr_fd_get(handle));
}

/** A handle whose eight bytes the EAL's interrupt thread reads. NULL: out of memory. */
static struct rte_intr_handle *
event_handle_make(int fd)
{
	struct rte_intr_handle *handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);

	if (handle == NULL)
		return NULL;
	if (rte_intr_fd_set(handle, fd) == 0 &&
		rte_intr_type_set(handle, RTE_INTR_HANDLE_VFIO_REQ) == 0)
		return handle;
	rte_intr_instance_free(handle);
	return NULL;
}

static int
event_listen(struct vfio_pci_inner *inner, enum vfio_pci_event event)
{
	struct rte_device *device = &inner->dev.device;
	struct rte_intr_handle *handle;
	int fd, rc;

	rc = event_exists(&inner->dev, event);
	if (rc <= 0)
		return rc;
	fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	handle = event_handle_make(fd);
	if (handle == NULL) {
		rc = -ENOMEM;
		goto close_fd;
	}
	rc = rte_intr_callback_register(handle, events[event].cb, device);
	if (rc < 0)
		goto free_handle;
	rc = vfio_pci_irqs_set(&inner->dev, events[event].index, &fd, 1);
	if (rc < 0)
		goto unregister;
	inner->event[event] = handle;
	return 0;

unregister:
	rte_intr_callback_unregister_sync(handle, events[event].cb, device);
free_handle:
	rte_intr_instance_free(handle);
close_fd:
	close(fd);
	return rc;
}

static void
event_ignore(struct vfio_pci_inner *inner, enum vfio_pci_event event)
{
	struct rte_intr_handle *handle = inner->event[event];
	void *arg = &inner->dev.device;

	if (handle == NULL)
		return;
	vfio_pci_irqs_set(&inner->dev, events[event].index, NULL, 0);
	/*
	 * A callback that removes the device runs on the thread that unregister_sync() would wait
	 * for.
	 */
	if (!rte_thread_is_intr() ||
		rte_intr_callback_unregister_pending(handle, events[event].cb, arg, event_close) <=
			0) {
		rte_intr_callback_unregister_sync(handle, events[event].cb, arg);
		close(rte_intr_fd_get(handle));
	}
	rte_intr_instance_free(handle);
	inner->event[event] = NULL;
}

int
vfio_pci_events_listen(struct vfio_pci_inner *inner)
{
	unsigned int i;
	int rc;

	for (i = 0; i < VFIO_PCI_N_EVENTS; i++) {
		rc = event_listen(inner, i);
		if (rc < 0) {
			vfio_pci_events_ignore(inner);
			return VFIO_PCI_FAIL(-rc, "%s: cannot listen for the kernel's %s: %s",
				inner->dev.name, events[i].name, rte_strerror(-rc));
		}
	}
	return 0;
}

void
vfio_pci_events_ignore(struct vfio_pci_inner *inner)
{
	unsigned int i;

	for (i = 0; i < VFIO_PCI_N_EVENTS; i++)
		event_ignore(inner, i);
}
