/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Events as tracepoints of DPDK. See dm_trace.h; their fields are in dm_trace_points.h.
 */

#include "dm_trace_points.h"

#include "dm_trace.h"
#include "dm_util.h"

static uint64_t
range_len(struct dmamap_range range)
{
	return range.last - range.start + 1;
}

void
dm_trace_attach(const char *container, const char *device, uint64_t ns, int rc)
{
	dm_point_attach(container, device, ns, rc);
}

void
dm_trace_detach(const char *container, const char *device)
{
	dm_point_detach(container, device);
}

void
dm_trace_map(const char *container, dmamap_iova_t iova, const void *va, uint64_t len,
	uint32_t flags, uint64_t ns, int rc)
{
	dm_point_map(container, iova, va, len, flags, ns, rc);
}

void
dm_trace_unmap(const char *container, struct dmamap_range range, uint64_t n, int rc)
{
	dm_point_unmap(container, range.start, range_len(range), n, rc);
}

void
dm_trace_kernel_map(const char *container, unsigned int domain, dmamap_iova_t iova, const void *va,
	uint64_t len, uint64_t ns, int rc)
{
	dm_point_kernel_map(container, domain, iova, va, len, ns, rc);
}

void
dm_trace_kernel_unmap(
	const char *container, unsigned int domain, struct dmamap_range range, uint64_t ns, int rc)
{
	dm_point_kernel_unmap(container, domain, range.start, range_len(range), ns, rc);
}

void
dm_trace_reserve(const char *container, dmamap_iova_t iova, uint64_t len, int rc)
{
	dm_point_reserve(container, iova, len, rc);
}

void
dm_trace_release(const char *container, dmamap_iova_t iova, uint64_t len, int rc)
{
	dm_point_release(container, iova, len, rc);
}

void
dm_trace_zone_alloc(
	const char *container, const char *zone, dmamap_iova_t iova, uint64_t len, int rc)
{
	dm_point_zone_alloc(container, zone, iova, len, rc);
}

void
dm_trace_zone_free(const char *container, const char *zone, int rc)
{
	dm_point_zone_free(container, zone, rc);
}

void
dm_trace_fault(
	const char *device, const char *container, struct dmamap_range range, uint32_t access)
{
	dm_point_fault(device, container, range.start, range_len(range), access);
}
