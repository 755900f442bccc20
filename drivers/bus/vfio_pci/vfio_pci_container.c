/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where does a device live? Containers by name, and what rte_dev_dma_map() maps there.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_string_fns.h>

#include "vfio_pci_private.h"

/** A device's wish for memory at an IOVA. Those of one container that wish the same share it. */
struct dma_wish {
	RTE_TAILQ_ENTRY(dma_wish) next;
	const struct vfio_pci_inner *inner;
	void *va;
	rte_iova_t iova;
	size_t len;
	bool there; /**< it was mapped already, as memory of the EAL's */
};

RTE_TAILQ_HEAD(dma_wish_list, dma_wish);

/** A container with devices of this bus in it. */
struct vfio_pci_space {
	RTE_TAILQ_ENTRY(vfio_pci_space) next;
	struct dmamap_container *container;
	bool made; /**< by the bus, which destroys it with its last device */
	bool isolate;
	bool wants_mem; /**< devices are to reach the EAL's memory */
	struct vfio_pci_mem *mem; /**< that, or NULL */
	unsigned int n_devices;
	struct dma_wish_list wishes;
};

static RTE_TAILQ_HEAD(, vfio_pci_space) spaces = TAILQ_HEAD_INITIALIZER(spaces);

static struct vfio_pci_space *
space_find(const struct dmamap_container *c)
{
	struct vfio_pci_space *space;

	TAILQ_FOREACH(space, &spaces, next)
		if (space->container == c)
			return space;
	return NULL;
}

/** Is a container that is there already what the device's parameters want? */
static int
space_fits(
	const struct vfio_pci_space *space, const char *dev, const struct vfio_pci_params *params)
{
	struct dmamap_container_info info;

	if (!space->made && params->isolate >= 0)
		return VFIO_PCI_FAIL(EINVAL,
			"%s: container %s is the application's, which alone says whether it "
			"isolates; leave isolate= out",
			dev, params->container);
	if (params->isolate >= 0 && space->isolate != (params->isolate == 1))
		return VFIO_PCI_FAIL(EINVAL,
			"%s: container %s %s its devices; give this one isolate=%d or another "
			"container",
			dev, params->container,
			space->isolate ? "isolates" : "shares domains among", space->isolate);
	if (params->eal_memory >= 0 && space->wants_mem != (params->eal_memory == 1))
		return VFIO_PCI_FAIL(EINVAL,
			"%s: container %s has eal_memory=%d for all its devices; give this one the same "
			"or another container",
			dev, params->container, space->wants_mem);
	if (params->backend == DMAMAP_BACKEND_AUTO)
		return 0;
	if (dmamap_container_info(space->container, &info) == 0 && info.backend != params->backend)
		return VFIO_PCI_FAIL(EINVAL,
			"%s: container %s has another backend; leave backend= out or name "
			"another container",
			dev, params->container);
	return 0;
}

/** Find the space that parameters name, or make it; without devices it goes with space_put(). */
static int
space_get(const char *dev, const struct vfio_pci_params *params, struct vfio_pci_space **found)
{
	struct dmamap_container_conf conf = {
		.name = params->container,
		.backend = params->backend,
		.sharing = params->isolate == 1 ? DMAMAP_ISOLATE : DMAMAP_SHARE,
	};
	struct dmamap_container *c = dmamap_container_by_name(params->container);
	struct vfio_pci_space *space = c != NULL ? space_find(c) : NULL;
	int rc;

	if (space == NULL) {
		space = calloc(1, sizeof(*space));
		if (space == NULL)
			return VFIO_PCI_FAIL(ENOMEM, "%s: out of memory", dev);
		TAILQ_INIT(&space->wishes);
		space->container = c;
		space->isolate = params->isolate == 1;
		space->wants_mem = params->eal_memory != 0;
		if (c == NULL) {
			rc = dmamap_container_create(&conf, &space->container);
			if (rc < 0) {
				free(space);
				return rc;
			}
			space->made = true;
		}
		TAILQ_INSERT_TAIL(&spaces, space, next);
		*found = space;
		return space->made ? 0 : space_fits(space, dev, params);
	}
	*found = space;
	return space_fits(space, dev, params);
}

static void
space_put(struct vfio_pci_space *space)
{
	if (space->n_devices > 0)
		return;
	TAILQ_REMOVE(&spaces, space, next);
	if (space->mem != NULL)
		vfio_pci_mem_leave(space->mem);
	if (space->made)
		dmamap_container_destroy(space->container);
	free(space);
}

int
vfio_pci_space_join(struct vfio_pci_inner *inner, const struct vfio_pci_params *params)
{
	struct vfio_pci_device *dev = &inner->dev;
	struct vfio_pci_space *space = NULL;
	char name[sizeof(dev->name) + sizeof(" vf_token=") + sizeof(params->vf_token)];
	int rc;

	rc = space_get(dev->name, params, &space);
	if (rc < 0)
		goto fail;
	snprintf(name, sizeof(name), "%s%s%s", dev->name,
		params->vf_token[0] != '\0' ? " vf_token=" : "", params->vf_token);
	rc = dmamap_container_attach(space->container, name, &dev->dma);
	if (rc < 0)
		goto fail;
	if (space->wants_mem && space->mem == NULL)
		rc = vfio_pci_mem_join(space->container, dev->name, &space->mem);
	if (rc < 0)
		goto detach;
	space->n_devices++;
	inner->space = space;
	dev->container = space->container;
	return 0;

detach:
	dmamap_container_detach(dev->dma);
	dev->dma = NULL;
fail:
	if (space != NULL)
		space_put(space);
	return rc;
}

static struct dma_wish *
wish_find(const struct vfio_pci_space *space, const struct vfio_pci_inner *inner, const void *va,
	rte_iova_t iova, size_t len)
{
	struct dma_wish *wish;

	TAILQ_FOREACH(wish, &space->wishes, next)
		if ((inner == NULL || wish->inner == inner) && wish->va == va &&
			wish->iova == iova && wish->len == len)
			return wish;
	return NULL;
}

/** Drop a wish, and the mapping if nobody else wishes it. */
static int
wish_drop(struct vfio_pci_space *space, struct dma_wish *wish)
{
	int rc = 0;

	TAILQ_REMOVE(&space->wishes, wish, next);
	if (!wish->there && wish_find(space, NULL, wish->va, wish->iova, wish->len) == NULL)
		rc = dmamap_unmap(space->container, wish->iova, wish->len);
	if (rc < 0)
		TAILQ_INSERT_TAIL(&space->wishes, wish, next);
	else
		free(wish);
	return rc;
}

void
vfio_pci_space_leave(struct vfio_pci_inner *inner)
{
	struct vfio_pci_space *space = inner->space;
	struct vfio_pci_device *dev = &inner->dev;
	struct dma_wish *wish, *tmp;

	RTE_TAILQ_FOREACH_SAFE(wish, &space->wishes, next, tmp)
		if (wish->inner == inner && wish_drop(space, wish) < 0) {
			/* The application took the mapping away behind our back. */
			TAILQ_REMOVE(&space->wishes, wish, next);
			free(wish);
		}
	dmamap_container_detach(dev->dma);
	dev->dma = NULL;
	dev->container = NULL;
	inner->space = NULL;
	space->n_devices--;
	space_put(space);
}

static int
dma_map(struct vfio_pci_inner *inner, void *va, rte_iova_t iova, size_t len)
{
	struct vfio_pci_space *space = inner->space;
	struct dma_wish *wish;
	int rc;

	if (space == NULL)
		return -EINVAL;
	if (wish_find(space, inner, va, iova, len) != NULL)
		return -EEXIST;
	wish = malloc(sizeof(*wish));
	if (wish == NULL)
		return -ENOMEM;
	*wish = (struct dma_wish){.inner = inner, .va = va, .iova = iova, .len = len};
	wish->there = space->mem != NULL && vfio_pci_mem_has(space->mem, va, iova, len);
	if (!wish->there && wish_find(space, NULL, va, iova, len) == NULL) {
		rc = dmamap_map(space->container, va, len, DMAMAP_RW | DMAMAP_FIXED, &iova);
		if (rc < 0) {
			free(wish);
			return rc;
		}
	}
	TAILQ_INSERT_TAIL(&space->wishes, wish, next);
	return 0;
}

static int
dma_unmap(struct vfio_pci_inner *inner, const void *va, rte_iova_t iova, size_t len)
{
	struct dma_wish *wish;

	if (inner->space == NULL)
		return -EINVAL;
	wish = wish_find(inner->space, inner, va, iova, len);
	return wish == NULL ? -ENOENT : wish_drop(inner->space, wish);
}

/**
 * Page 0 is never mapped, so who names IOVA 0 means none in particular: the one that buffers in the
 * memory will carry. That is what dpdk-testpmd does with its own anonymous memory.
 */
static rte_iova_t
meant(const void *va, uint64_t iova)
{
	return iova == 0 && rte_eal_iova_mode() == RTE_IOVA_VA ? (uintptr_t)va : iova;
}

/** The EAL wants -1 and rte_errno. */
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
		dma_map(vfio_pci_inner(VFIO_PCI_DEVICE(device)), addr, meant(addr, iova), len));
}

int
vfio_pci_dma_unmap(struct rte_device *device, void *addr, uint64_t iova, size_t len)
{
	return as_rte_errno(
		dma_unmap(vfio_pci_inner(VFIO_PCI_DEVICE(device)), addr, meant(addr, iova), len));
}
