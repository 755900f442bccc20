/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The containers that devices of this bus are attached to, and what rte_dev_dma_map() maps there.
 *
 * A record exists as long as a device is attached. Devices that request the same memory at the same
 * IOVA share one mapping; it is unmapped with the last of these requests. Called by vfio_pci_dev.c
 * when a device is opened and closed, and by the EAL.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_string_fns.h>

#include "vfio_pci_private.h"

/** A call of rte_dev_dma_map() for a device. Equal ones of one container share a mapping. */
struct dma_request {
	RTE_TAILQ_ENTRY(dma_request) next;
	const struct vfio_pci_inner *inner;
	void *va;
	rte_iova_t iova;
	size_t len;
	bool mapped_by_mem; /**< vfio_pci_mem has it mapped: no mapping of its own */
};

RTE_TAILQ_HEAD(dma_request_list, dma_request);

/** A container with devices of this bus in it. */
struct vfio_pci_container {
	RTE_TAILQ_ENTRY(vfio_pci_container) next;
	struct dmamap_container *container;
	bool created; /**< created by the bus, so parameters of devices set its properties */
	bool isolate;
	bool eal_memory; /**< devices reach the EAL's memory */
	struct vfio_pci_mem *mem; /**< that memory; NULL: not mapped */
	unsigned int n_devices;
	struct dma_request_list requests;
};

static RTE_TAILQ_HEAD(, vfio_pci_container) containers = TAILQ_HEAD_INITIALIZER(containers);

static struct vfio_pci_container *
container_find(const struct dmamap_container *c)
{
	struct vfio_pci_container *record;

	TAILQ_FOREACH(record, &containers, next)
		if (record->container == c)
			return record;
	return NULL;
}

/** Check that a container has the properties that the parameters name. @return 0, or -EINVAL */
static int
container_fits(const struct vfio_pci_container *record, const char *dev,
	const struct vfio_pci_params *params)
{
	struct dmamap_container_info info;

	if (!record->created && params->isolate >= 0)
		return VFIO_PCI_FAIL(EINVAL,
			"%s: container %s was created by the application, which decides whether it "
			"isolates its devices; leave isolate= out",
			dev, params->container);
	if (params->isolate >= 0 && record->isolate != (params->isolate == 1))
		return VFIO_PCI_FAIL(EINVAL,
			"%s: container %s %s its devices; give this one isolate=%d or another "
			"container",
			dev, params->container,
			record->isolate ? "isolates" : "shares domains among", record->isolate);
	if (params->eal_memory >= 0 && record->eal_memory != (params->eal_memory == 1))
		return VFIO_PCI_FAIL(EINVAL,
			"%s: container %s has eal_memory=%d for all its devices; give this one the "
			"same or another container",
			dev, params->container, record->eal_memory);
	if (params->backend == DMAMAP_BACKEND_AUTO)
		return 0;
	if (dmamap_container_info(record->container, &info) == 0 && info.backend != params->backend)
		return VFIO_PCI_FAIL(EINVAL,
			"%s: container %s has another backend; leave backend= out or name "
			"another container",
			dev, params->container);
	return 0;
}

/**
 * Find or create the record of the container that the parameters name, and the container. @see
 * container_put()
 */
static int
container_get(
	const char *dev, const struct vfio_pci_params *params, struct vfio_pci_container **found)
{
	struct dmamap_container_conf conf = {
		.name = params->container,
		.backend = params->backend,
		.sharing = params->isolate == 1 ? DMAMAP_ISOLATE : DMAMAP_SHARE,
	};
	struct dmamap_container *c = dmamap_container_by_name(params->container);
	struct vfio_pci_container *record = c != NULL ? container_find(c) : NULL;
	int rc;

	if (record == NULL) {
		record = calloc(1, sizeof(*record));
		if (record == NULL) {
			dmamap_container_put(c);
			return VFIO_PCI_FAIL(ENOMEM, "%s: out of memory", dev);
		}
		TAILQ_INIT(&record->requests);
		record->container = c;
		record->isolate = params->isolate == 1;
		record->eal_memory = params->eal_memory != 0;
		if (c == NULL) {
			rc = dmamap_container_create(&conf, &record->container);
			if (rc < 0) {
				free(record);
				return rc;
			}
			record->created = true;
		}
		/* The record owns the reference from here on. */
		TAILQ_INSERT_TAIL(&containers, record, next);
		*found = record;
		return record->created ? 0 : container_fits(record, dev, params);
	}
	dmamap_container_put(c);
	*found = record;
	return container_fits(record, dev, params);
}

/** Free a record if it has no devices. */
static void
container_put(struct vfio_pci_container *record)
{
	if (record->n_devices > 0)
		return;
	TAILQ_REMOVE(&containers, record, next);
	if (record->mem != NULL)
		vfio_pci_mem_leave(record->mem);
	dmamap_container_put(record->container);
	free(record);
}

int
vfio_pci_container_join(struct vfio_pci_inner *inner, const struct vfio_pci_params *params)
{
	struct vfio_pci_device *dev = &inner->dev;
	struct vfio_pci_container *record = NULL;
	char name[sizeof(dev->name) + sizeof(" vf_token=") + sizeof(params->vf_token)];
	int rc;

	rc = container_get(dev->name, params, &record);
	if (rc < 0)
		goto fail;
	snprintf(name, sizeof(name), "%s%s%s", dev->name,
		params->vf_token[0] != '\0' ? " vf_token=" : "", params->vf_token);
	rc = dmamap_container_attach(record->container, name, &dev->dma);
	if (rc < 0)
		goto fail;
	if (record->eal_memory && record->mem == NULL)
		rc = vfio_pci_mem_join(record->container, dev->name, &record->mem);
	if (rc < 0)
		goto detach;
	record->n_devices++;
	inner->container = record;
	dev->container = record->container;
	return 0;

detach:
	dmamap_container_detach(dev->dma);
	dev->dma = NULL;
fail:
	if (record != NULL)
		container_put(record);
	return rc;
}

static struct dma_request *
request_find(const struct vfio_pci_container *record, const struct vfio_pci_inner *inner,
	const void *va, rte_iova_t iova, size_t len)
{
	struct dma_request *request;

	TAILQ_FOREACH(request, &record->requests, next)
		if ((inner == NULL || request->inner == inner) && request->va == va &&
			request->iova == iova && request->len == len)
			return request;
	return NULL;
}

/** Remove a request, and the mapping if no other request shares it. */
static int
request_drop(struct vfio_pci_container *record, struct dma_request *request)
{
	int rc = 0;

	TAILQ_REMOVE(&record->requests, request, next);
	if (!request->mapped_by_mem &&
		request_find(record, NULL, request->va, request->iova, request->len) == NULL)
		rc = dmamap_unmap(record->container, request->iova, request->len);
	if (rc < 0)
		TAILQ_INSERT_TAIL(&record->requests, request, next);
	else
		free(request);
	return rc;
}

void
vfio_pci_container_leave(struct vfio_pci_inner *inner)
{
	struct vfio_pci_container *record = inner->container;
	struct vfio_pci_device *dev = &inner->dev;
	struct dma_request *request, *tmp;

	RTE_TAILQ_FOREACH_SAFE(request, &record->requests, next, tmp)
		if (request->inner == inner && request_drop(record, request) < 0) {
			/* The application has unmapped it itself. */
			TAILQ_REMOVE(&record->requests, request, next);
			free(request);
		}
	dmamap_container_detach(dev->dma);
	dev->dma = NULL;
	dev->container = NULL;
	inner->container = NULL;
	record->n_devices--;
	container_put(record);
}

static int
dma_map(struct vfio_pci_inner *inner, void *va, rte_iova_t iova, size_t len)
{
	struct vfio_pci_container *record = inner->container;
	struct dma_request *request;
	int rc;

	if (record == NULL)
		return -EINVAL;
	if (request_find(record, inner, va, iova, len) != NULL)
		return -EEXIST;
	request = malloc(sizeof(*request));
	if (request == NULL)
		return -ENOMEM;
	*request = (struct dma_request){.inner = inner, .va = va, .iova = iova, .len = len};
	request->mapped_by_mem =
		record->mem != NULL && vfio_pci_mem_has(record->mem, va, iova, len);
	if (!request->mapped_by_mem && request_find(record, NULL, va, iova, len) == NULL) {
		rc = dmamap_map(record->container, va, len, DMAMAP_RW | DMAMAP_FIXED, &iova);
		if (rc < 0) {
			free(request);
			return rc;
		}
	}
	TAILQ_INSERT_TAIL(&record->requests, request, next);
	return 0;
}

static int
dma_unmap(struct vfio_pci_inner *inner, const void *va, rte_iova_t iova, size_t len)
{
	struct dma_request *request;

	if (inner->container == NULL)
		return -EINVAL;
	request = request_find(inner->container, inner, va, iova, len);
	return request == NULL ? -ENOENT : request_drop(inner->container, request);
}

/**
 * The IOVA to map at. Page 0 is never mapped, so IOVA 0 stands for the one that buffers in this
 * memory carry: dpdk-testpmd passes it for its own anonymous memory.
 */
static rte_iova_t
dma_iova(const void *va, uint64_t iova)
{
	return iova == 0 && rte_eal_iova_mode() == RTE_IOVA_VA ? (uintptr_t)va : iova;
}

/** Convert a result to what the EAL expects: -1 and rte_errno. */
static int
as_rte_errno(int rc)
{
	if (rc == 0)
		return 0;
	rte_errno = -rc;
	return -1;
}

int
vfio_pci_dma_map(struct rte_device *device, void *addr, uint64_t iova, size_t len)
{
	return as_rte_errno(
		dma_map(vfio_pci_inner(VFIO_PCI_DEVICE(device)), addr, dma_iova(addr, iova), len));
}

int
vfio_pci_dma_unmap(struct rte_device *device, void *addr, uint64_t iova, size_t len)
{
	return as_rte_errno(dma_unmap(
		vfio_pci_inner(VFIO_PCI_DEVICE(device)), addr, dma_iova(addr, iova), len));
}
