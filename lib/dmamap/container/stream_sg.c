/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Streaming DMA mappings of scatter lists, all or none. A run is entries that are adjacent in
 * memory. Each run is one stream in place. If that is not possible, each of its entries is a
 * stream.
 *
 * The caller provides a stream for each entry. The stream of a run's first entry stands for the
 * run. Those of its other entries are empty (length 0), and sync and unmap ignore them. Called by
 * drivers.
 */

#include <errno.h>

#include "dm_container.h"

static int
sg_check(const struct dmamap_device *d, const struct dmamap_sge *sge, unsigned int n,
	enum dmamap_direction dir, const struct dmamap_stream *s, const struct dmamap_segment *seg,
	unsigned int max_seg)
{
	unsigned int i;

	if (d == NULL || sge == NULL || n == 0 || s == NULL || seg == NULL || max_seg == 0 ||
		(unsigned int)dir > DMAMAP_BIDIRECTIONAL)
		return DM_FAIL(EINVAL,
			"stream of a scatter list: no device, entries, result arrays or direction");
	for (i = 0; i < n; i++)
		if (sge[i].va == NULL || sge[i].len == 0 ||
			(uintptr_t)sge[i].va + (sge[i].len - 1) < (uintptr_t)sge[i].va)
			return DM_FAIL(EINVAL,
				"stream of a scatter list: entry %u of %u, %p, 0x%zx "
				"bytes: no memory, or it wraps around",
				i, n, sge[i].va, sge[i].len);
	return 0;
}

/**
 * Map a run in place, or else each of its entries.
 * @param n_mapped  out, on failure too: entries whose streams are set.
 */
static int
sg_map_run(struct dmamap_device *d, const struct dmamap_sge *sge, unsigned int n, size_t len,
	enum dmamap_direction dir, struct dmamap_stream *s, unsigned int *n_mapped)
{
	unsigned int i, mark;
	int rc;

	*n_mapped = 0;
	dm_log_defer();
	mark = dm_log_mark();
	rc = dmamap_stream_map(d, sge[0].va, len, dir, &s[0]);
	if (rc == 0 && (n == 1 || s[0].bounce == NULL)) {
		for (i = 1; i < n; i++)
			s[i] = (struct dmamap_stream){.dev = d, .va = sge[i].va, .dir = dir};
		*n_mapped = n;
		goto flush;
	}
	if (rc == 0)
		rc = dmamap_stream_unmap(&s[0]);
	else if (n > 1)
		rc = 0;
	/* An entry that cannot be mapped logs its own line. */
	if (n > 1)
		dm_log_forget(mark);
	while (rc == 0 && n > 1 && *n_mapped < n) {
		rc = dmamap_stream_map(
			d, sge[*n_mapped].va, sge[*n_mapped].len, dir, &s[*n_mapped]);
		*n_mapped += rc == 0;
	}
flush:
	dm_log_flush();
	return rc;
}

/** Join the streams with adjacent IOVAs to segments. @return their number, even above max_seg */
static unsigned int
sg_segments(const struct dmamap_stream *s, unsigned int n, struct dmamap_segment *seg,
	unsigned int max_seg)
{
	struct dmamap_segment last = {0};
	unsigned int i, n_seg = 0;

	for (i = 0; i < n; i++) {
		if (s[i].len == 0)
			continue;
		if (n_seg > 0 && s[i].iova == last.iova + last.len) {
			last.len += s[i].len;
		} else {
			last = (struct dmamap_segment){s[i].iova, s[i].len};
			n_seg++;
		}
		if (n_seg <= max_seg)
			seg[n_seg - 1] = last;
	}
	return n_seg;
}

int
dmamap_stream_map_sg(struct dmamap_device *d, const struct dmamap_sge *sge, unsigned int n,
	enum dmamap_direction dir, struct dmamap_stream *s, struct dmamap_segment *seg,
	unsigned int max_seg)
{
	unsigned int i, run, mapped, n_seg;
	uint64_t len;
	int rc;

	rc = sg_check(d, sge, n, dir, s, seg, max_seg);
	for (i = 0; rc == 0 && i < n; i += mapped) {
		run = dm_sge_run(&sge[i], n - i, &len);
		rc = sg_map_run(d, &sge[i], run, len, dir, &s[i], &mapped);
	}
	n_seg = rc == 0 ? sg_segments(s, n, seg, max_seg) : 0;
	if (n_seg > max_seg)
		rc = DM_FAIL(E2BIG,
			"%s: stream of a scatter list: %u entries become %u segments, more "
			"than the limit of %u: copy some of them together",
			dmamap_device_name(d), n, n_seg, max_seg);
	if (rc == 0)
		return n_seg;
	/* Devices have not seen them, so the copies back leave the buffers unchanged. */
	while (i-- > 0)
		dmamap_stream_unmap(&s[i]);
	return rc;
}

void
dmamap_stream_sync_sg_for_cpu(const struct dmamap_stream *s, unsigned int n)
{
	while (n-- > 0)
		dmamap_stream_sync_for_cpu(&s[n]);
}

void
dmamap_stream_sync_sg_for_device(const struct dmamap_stream *s, unsigned int n)
{
	while (n-- > 0)
		dmamap_stream_sync_for_device(&s[n]);
}

int
dmamap_stream_unmap_sg(struct dmamap_stream *s, unsigned int n)
{
	int rc, result = 0;

	while (n-- > 0) {
		rc = dmamap_stream_unmap(&s[n]);
		if (result == 0)
			result = rc;
	}
	return result;
}
