/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Faults of devices, to their drivers: libdmamap tells whose memory a device could not reach, the
 * driver which of its queues asked for it. Called by vfio_pci.c when a device is probed and
 * removed.
 *
 * Only the primary process has containers, so only that listens, from its first device to its last.
 *
 * Lock order: `listen_lock` (start, stop) > libdmamap's locks of listeners > `watched_lock`. The
 * last is held while a driver answers, so that its device stays, and by nobody who waits for that
 * thread.
 */

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <rte_errno.h>

#include "vfio_pci_private.h"

/* Under `listen_lock`. */
static pthread_mutex_t listen_lock = PTHREAD_MUTEX_INITIALIZER;
static struct dmamap_fault_listener *listener;
static unsigned int n_devices;

static pthread_mutex_t watched_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(, vfio_pci_inner) watched = LIST_HEAD_INITIALIZER(watched);

/** On libdmamap's thread. */
static void
fault_ask_driver(struct dmamap_fault *fault, void *arg)
{
	struct vfio_pci_inner *inner;

	RTE_SET_USED(arg);
	pthread_mutex_lock(&watched_lock);
	LIST_FOREACH(inner, &watched, watched)
		if (strcmp(dmamap_device_name(inner->dev.dma), fault->device) == 0) {
			inner->dev.driver->fault(&inner->dev, fault);
			break;
		}
	pthread_mutex_unlock(&watched_lock);
}

void
vfio_pci_faults_watch(struct vfio_pci_inner *inner)
{
	const struct dmamap_fault_conf conf = {.fault = fault_ask_driver};
	int rc = 0;

	if (inner->dev.driver->fault != NULL) {
		pthread_mutex_lock(&watched_lock);
		LIST_INSERT_HEAD(&watched, inner, watched);
		pthread_mutex_unlock(&watched_lock);
	}
	pthread_mutex_lock(&listen_lock);
	if (n_devices++ == 0)
		rc = dmamap_fault_listen(&conf, &listener);
	pthread_mutex_unlock(&listen_lock);
	if (rc < 0)
		VFIO_PCI_LOG(INFO,
			"faults of devices are not explained: /dev/kmsg: %s; it takes CAP_SYSLOG, or "
			"sysctl kernel.dmesg_restrict=0",
			rte_strerror(-rc));
}

void
vfio_pci_faults_forget(struct vfio_pci_inner *inner)
{
	struct dmamap_fault_listener *last = NULL;

	if (inner->dev.driver->fault != NULL) {
		pthread_mutex_lock(&watched_lock);
		LIST_REMOVE(inner, watched);
		pthread_mutex_unlock(&watched_lock);
	}
	pthread_mutex_lock(&listen_lock);
	if (--n_devices == 0) {
		last = listener;
		listener = NULL;
		/* Waits for a callback, which takes `watched_lock` only. */
		dmamap_fault_unlisten(last);
	}
	pthread_mutex_unlock(&listen_lock);
}
