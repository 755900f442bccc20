/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * DMA by devices of the mock, through the page tables of their group, and the history of faults.
 * Called by tests.
 */

#include <errno.h>
#include <string.h>

#include "dm_util.h"
#include "mock_priv.h"

static void
fault_record(struct vfio_mock *m, const struct mock_device *dev, dmamap_iova_t iova, bool write)
{
	struct vfio_mock_fault *fault = &m->faults[m->n_faults++ % MOCK_FAULTS];

	dm_strlcpy(fault->dev, dev->name, sizeof(fault->dev));
	fault->iova = iova;
	fault->write = write;
}

/**
 * Walk the page tables of a group.
 * @return the map that permits the access to iova; NULL: fault.
 */
static const struct mock_map *
group_walk(const struct mock_group *group, dmamap_iova_t iova, bool write)
{
	const struct mock_map *map;

	if (group->domain == NULL)
		return NULL;
	map = mock_table_find(&group->domain->table, (struct dmamap_range){iova, iova});
	if (map == NULL || !(map->prot & (write ? DMAMAP_WRITE : DMAMAP_READ)))
		return NULL;
	return map;
}

static int
device_dma(struct vfio_mock *m, const struct mock_device *dev, dmamap_iova_t iova, uint8_t *buf,
	size_t len, bool write)
{
	while (len > 0) {
		const struct mock_map *map = group_walk(dev->group, iova, write);
		uint8_t *memory;
		size_t chunk;

		if (map == NULL) {
			fault_record(m, dev, iova, write);
			return -EFAULT;
		}
		chunk = DM_MIN((uint64_t)len - 1, map->iova.last - iova) + 1;
		memory = (uint8_t *)(uintptr_t)(map->va + (iova - map->iova.start));
		if (write)
			memcpy(memory, buf, chunk);
		else
			memcpy(buf, memory, chunk);
		buf += chunk;
		iova += chunk;
		len -= chunk;
	}
	return 0;
}

int
vfio_mock_dma_read(struct vfio_mock *m, const char *name, dmamap_iova_t iova, void *buf, size_t len)
{
	const struct mock_device *dev;
	int rc;

	pthread_mutex_lock(&m->lock);
	dev = mock_find_device(m, name);
	rc = dev == NULL ? -ENODEV : device_dma(m, dev, iova, buf, len, false);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int
vfio_mock_dma_write(
	struct vfio_mock *m, const char *name, dmamap_iova_t iova, const void *buf, size_t len)
{
	const struct mock_device *dev;
	int rc;

	pthread_mutex_lock(&m->lock);
	dev = mock_find_device(m, name);
	rc = dev == NULL ? -ENODEV : device_dma(m, dev, iova, (uint8_t *)(uintptr_t)buf, len, true);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

unsigned int
vfio_mock_faults(struct vfio_mock *m, struct vfio_mock_fault *out, unsigned int n)
{
	unsigned int total, known, i;

	pthread_mutex_lock(&m->lock);
	total = m->n_faults;
	known = DM_MIN(total, (unsigned int)MOCK_FAULTS);
	n = DM_MIN(n, known);
	for (i = 0; i < n; i++)
		out[i] = m->faults[(total - n + i) % MOCK_FAULTS];
	pthread_mutex_unlock(&m->lock);
	return total;
}
