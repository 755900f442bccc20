/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Streaming DMA mappings: in place if the buffer can be registered within the device's reach, else
 * by a copy in a bounce buffer (bounce.c). Called by drivers and stream_sg.c.
 */

#include <errno.h>
#include <string.h>

#include "dm_bounce.h"

/** Use a bounce buffer. */
static int
stream_bounce(struct dmamap_container *c, struct dmamap_stream *s)
{
	struct dm_bounce b;
	int rc;

	/* The container hands out no IOVA beyond any device's mask (dmamap_device_dma_mask()). */
	rc = dm_bounce_get(c, s->len, dm_access_of(s->dir), &b);
	if (rc < 0)
		return rc;
	s->iova = b.iova;
	s->bounce = b.va;
	s->pool = b.pool;
	s->zone = b.zone;
	/* In any direction: bytes that the device does not write must come back unchanged. */
	memcpy(s->bounce, s->va, s->len);
	return 0;
}

/** Register the buffer, or bounce it. c is the device's owner as of a moment ago. */
static int
stream_place(struct dmamap_container *c, struct dmamap_stream *s)
{
	unsigned int mark;
	int rc;

	dm_log_defer();
	mark = dm_log_mark();
	rc = dm_register(c, s->va, s->len, dm_access_of(s->dir), true, &s->iova, &s->reg);
	if (rc < 0) {
		rc = stream_bounce(c, s);
		if (rc == 0)
			dm_log_forget(mark);
	}
	dm_log_flush();
	return rc;
}

int
dmamap_stream_map(struct dmamap_device *d, void *va, size_t len, enum dmamap_direction dir,
	struct dmamap_stream *s)
{
	struct dmamap_container *c;
	bool done;
	int rc;

	if (d == NULL || va == NULL || len == 0 || s == NULL ||
		(unsigned int)dir > DMAMAP_BIDIRECTIONAL ||
		(uintptr_t)va + (len - 1) < (uintptr_t)va)
		return DM_FAIL(EINVAL,
			"stream of %p, 0x%zx bytes: no device, memory, length or "
			"direction",
			va, len);
	do {
		*s = (struct dmamap_stream){.dev = d, .va = va, .len = len, .dir = dir};
		c = dm_owner_get(&d->c);
		if (c == NULL)
			return DM_FAIL(ENODEV, "stream of %p: %s is in no container", va, d->name);
		rc = stream_place(c, s);
		/* After a merge the device may not reach it: undo and retry in its new owner. */
		done = rc < 0 || dm_owner_is(&d->c, c);
		if (!done)
			rc = dmamap_stream_unmap(s);
		dmamap_container_put(c);
	} while (!done && rc == 0);
	return rc;
}

void
dmamap_stream_sync_for_cpu(const struct dmamap_stream *s)
{
	if (s->bounce != NULL && s->dir != DMAMAP_TO_DEVICE)
		memcpy(s->va, s->bounce, s->len);
}

void
dmamap_stream_sync_for_device(const struct dmamap_stream *s)
{
	if (s->bounce != NULL && s->dir != DMAMAP_FROM_DEVICE)
		memcpy(s->bounce, s->va, s->len);
}

int
dmamap_stream_unmap(struct dmamap_stream *s)
{
	struct dm_bounce b = {.pool = s->pool, .zone = s->zone, .va = s->bounce};
	int rc;

	if (s->bounce == NULL) {
		rc = dmamap_deregister(s->reg);
		s->reg = NULL;
		return rc;
	}
	dmamap_stream_sync_for_cpu(s);
	rc = dm_bounce_put(&b);
	if (rc == 0 || rc == -EIO)
		s->bounce = NULL;
	return rc;
}
