/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The list of devices that are on the bus, and the EAL's searches in it.
 *
 * The list ascends by address, and no address is in it twice. The EAL calls a bus from one thread
 * at a time, except for the SIGBUS handler, which any thread may enter at any time. So the list and
 * the places of BARs change only under a lock, which the handler takes. vfio_pci_scan.c adds and
 * removes devices.
 */

#include <errno.h>
#include <string.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_kvargs.h>
#include <rte_pause.h>

#include "vfio_pci_private.h"

struct vfio_pci_device_list vfio_pci_devices = TAILQ_HEAD_INITIALIZER(vfio_pci_devices);

/*
 * The lock: the thread that holds it, or 0. It can be taken again by its holder, since a signal
 * that another process sends can interrupt the holder. Atomics of the language, unlike
 * rte_spinlock's assembly, are known to the thread sanitizer.
 */
static int lock_owner;
static unsigned int lock_depth; /* of the holder */

void
vfio_pci_list_lock(void)
{
	const int me = rte_gettid();
	int nobody = 0;

	if (__atomic_load_n(&lock_owner, __ATOMIC_RELAXED) != me)
		while (!__atomic_compare_exchange_n(
			&lock_owner, &nobody, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			nobody = 0;
			rte_pause();
		}
	lock_depth++;
}

void
vfio_pci_list_unlock(void)
{
	if (--lock_depth == 0)
		__atomic_store_n(&lock_owner, 0, __ATOMIC_RELEASE);
}

struct vfio_pci_device *
vfio_pci_list_find(const struct rte_pci_addr *addr)
{
	struct vfio_pci_device *dev;

	TAILQ_FOREACH(dev, &vfio_pci_devices, next)
		if (rte_pci_addr_cmp(&dev->addr, addr) == 0)
			return dev;
	return NULL;
}

void
vfio_pci_list_insert(struct vfio_pci_device *dev)
{
	struct vfio_pci_device *after;

	TAILQ_FOREACH(after, &vfio_pci_devices, next)
		if (rte_pci_addr_cmp(&dev->addr, &after->addr) < 0)
			break;
	vfio_pci_list_lock();
	if (after != NULL)
		TAILQ_INSERT_BEFORE(after, dev, next);
	else
		TAILQ_INSERT_TAIL(&vfio_pci_devices, dev, next);
	vfio_pci_list_unlock();
}

void
vfio_pci_list_remove(struct vfio_pci_device *dev)
{
	vfio_pci_list_lock();
	TAILQ_REMOVE(&vfio_pci_devices, dev, next);
	vfio_pci_list_unlock();
}

struct rte_device *
vfio_pci_find_device(const struct rte_device *start, rte_dev_cmp_t cmp, const void *data)
{
	struct vfio_pci_device *dev;

	dev = start == NULL ? TAILQ_FIRST(&vfio_pci_devices)
			    : TAILQ_NEXT(VFIO_PCI_DEVICE_CONST(start), next);
	for (; dev != NULL; dev = TAILQ_NEXT(dev, next))
		if (cmp(&dev->device, data) == 0)
			return &dev->device;
	return NULL;
}

/** Compare a device with a filter. 0: it matches. */
static int
filter_cmp(const struct rte_device *device, const void *data)
{
	const struct vfio_pci_device *dev = VFIO_PCI_DEVICE_CONST(device);
	const struct rte_kvargs *kv = data;
	const char *text;
	struct rte_pci_addr addr;

	if (kv == NULL)
		return 0;
	text = rte_kvargs_get(kv, "addr");
	if (text != NULL &&
		(vfio_pci_parse_name(text, true, &addr) < 0 ||
			rte_pci_addr_cmp(&addr, &dev->addr) != 0))
		return 1;
	text = rte_kvargs_get(kv, "container");
	if (text != NULL &&
		(dev->container == NULL ||
			strcmp(text, dmamap_container_name(dev->container)) != 0))
		return 1;
	return 0;
}

void *
vfio_pci_dev_iterate(const void *start, const char *str, const struct rte_dev_iterator *it)
{
	static const char *const keys[] = {"addr", "container", NULL};
	struct rte_kvargs *kv = NULL;
	struct rte_device *found;

	RTE_SET_USED(it);
	if (str != NULL) {
		kv = rte_kvargs_parse(str, keys);
		if (kv == NULL) {
			VFIO_PCI_LOG(
				ERR, "invalid filter \"%s\": its keys are addr and container", str);
			rte_errno = EINVAL;
			return NULL;
		}
	}
	found = vfio_pci_find_device(start, filter_cmp, kv);
	rte_kvargs_free(kv);
	return found;
}
