/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * DMA by devices of the mock, through the page tables of their group, and the history of faults.
 * Called by tests.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dm_util.h"
#include "mock_log.h"
#include "mock_priv.h"

/** Write a fault as VT-d's driver logs it: whole pages, and no segment of a PCI address. */
static void
fault_log(const struct vfio_mock *m, const struct mock_device *dev, dmamap_iova_t iova, bool wrote)
{
	const char *name = dev->name;
	char record[256];
	int len;

	if (m->fault_fd < 0)
		return;
	if (strlen(name) == strlen("0000:00:00.0") && name[4] == ':' && name[7] == ':')
		name += strlen("0000:");
	len = snprintf(record, sizeof(record),
		"3,%u,0,-;DMAR: [DMA %s NO_PASID] Request device [%s] fault addr 0x%" PRIx64
		" [fault reason 0x0%c] PTE %s access is not set\n",
		m->n_faults, wrote ? "Write" : "Read", name, iova & ~UINT64_C(4095),
		wrote ? '5' : '6', wrote ? "Write" : "Read");
	/* A reader of /dev/kmsg reads whole records. A full pipe loses them, as the log does. */
	if (write(m->fault_fd, record, len) != len)
		MOCK_LOG("a fault of %s is not in the log: %s", dev->name, strerror(errno));
}

static void
fault_record(struct vfio_mock *m, const struct mock_device *dev, dmamap_iova_t iova, bool write)
{
	struct vfio_mock_fault *fault = &m->faults[m->n_faults++ % MOCK_FAULTS];

	dm_strlcpy(fault->dev, dev->name, sizeof(fault->dev));
	fault->iova = iova;
	fault->write = write;
	fault_log(m, dev, iova, write);
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

void
vfio_mock_log_faults(struct vfio_mock *m, int fd)
{
	pthread_mutex_lock(&m->lock);
	m->fault_fd = fd;
	pthread_mutex_unlock(&m->lock);
}
