/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does a device work on a buffer from anywhere? In place if it can reach it, else on a copy.
 */

#include <errno.h>
#include <string.h>

#include "dm_container.h"

int
dmamap_device_info(const struct dmamap_device *d, struct dmamap_device_info *info)
{
	const struct dm_iommu_info *dom;

	if (d == NULL || info == NULL || d->c == NULL)
		return -EINVAL;
	memset(info, 0, sizeof(*info));
	dm_lock(d->c);
	dom = &d->domain->info;
	info->domain = d->domain->dom->id;
	info->group = d->dev->group;
	info->node = d->dev->node;
	info->mask_bits = d->mask_bits;
	info->page_sizes = dom->page_sizes;
	info->coherent = dom->coherent;
	info->identity = d->c->backend == DMAMAP_BACKEND_NOIOMMU;
	if (dom->n_ranges > 0)
		info->aperture = (struct dmamap_range){
			dom->ranges[0].start, dom->ranges[dom->n_ranges - 1].last};
	dm_unlock(d->c);
	return 0;
}

static uint32_t
access_of(enum dmamap_direction dir)
{
	return dir == DMAMAP_TO_DEVICE      ? DMAMAP_READ
		: dir == DMAMAP_FROM_DEVICE ? DMAMAP_WRITE
					    : DMAMAP_RW;
}

static bool
in_reach(const struct dmamap_device *d, rte_iova_t iova, size_t len)
{
	return d->mask_bits == 64 || iova + (len - 1) <= (UINT64_C(1) << d->mask_bits) - 1;
}

/** Give the device a zone that it can reach instead of the buffer. */
static int
bounce(struct dmamap_stream *s)
{
	struct dmamap_zone_conf conf = {.len = s->len,
		.page_size = 4096,
		.dev = s->dev,
		.flags = access_of(s->dir),
		.name = "bounce"};
	int rc;

	/* The container gives out no IOVA beyond the mask of any device (dmamap_device_dma_mask()).
	 */
	rc = dmamap_zone_alloc(s->dev->c, &conf, &s->bounce);
	if (rc < 0)
		return rc;
	s->iova = dmamap_zone_iova(s->bounce);
	/* Whatever the direction: bytes that the device does not write must come back as they were.
	 */
	memcpy(dmamap_zone_va(s->bounce), s->va, s->len);
	return 0;
}

int
dmamap_stream_map(struct dmamap_device *d, void *va, size_t len, enum dmamap_direction dir,
	struct dmamap_stream *s)
{
	int rc;

	if (d == NULL || d->c == NULL || va == NULL || len == 0 || s == NULL ||
		(unsigned int)dir > DMAMAP_BIDIRECTIONAL)
		return DM_FAIL(EINVAL,
			"stream of %p, 0x%zx bytes: no device, memory, length or "
			"direction",
			va, len);
	*s = (struct dmamap_stream){.dev = d, .va = va, .len = len, .dir = dir};
	rc = dmamap_register(d->c, va, len, access_of(dir), &s->iova, &s->reg);
	if (rc < 0)
		return rc;
	if (in_reach(d, s->iova, len))
		return 0;
	dmamap_deregister(s->reg);
	s->reg = NULL;
	return bounce(s);
}

void
dmamap_stream_sync_for_cpu(const struct dmamap_stream *s)
{
	if (s->bounce != NULL && s->dir != DMAMAP_TO_DEVICE)
		memcpy(s->va, dmamap_zone_va(s->bounce), s->len);
}

void
dmamap_stream_sync_for_device(const struct dmamap_stream *s)
{
	if (s->bounce != NULL && s->dir != DMAMAP_FROM_DEVICE)
		memcpy(dmamap_zone_va(s->bounce), s->va, s->len);
}

int
dmamap_stream_unmap(struct dmamap_stream *s)
{
	int rc;

	if (s->bounce == NULL) {
		dmamap_deregister(s->reg);
		s->reg = NULL;
		return 0;
	}
	dmamap_stream_sync_for_cpu(s);
	rc = dmamap_zone_free(s->bounce);
	if (rc == 0 || rc == -EIO)
		s->bounce = NULL;
	return rc;
}
