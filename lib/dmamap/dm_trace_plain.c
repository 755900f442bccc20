/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * No tracepoints, in a build without the EAL. See dm_trace.h.
 */

#include "dm_trace.h"

void
dm_trace_attach(const char *container, const char *device, uint64_t ns, int rc)
{
}

void
dm_trace_detach(const char *container, const char *device)
{
}

void
dm_trace_map(const char *container, dmamap_iova_t iova, const void *va, uint64_t len,
	uint32_t flags, uint64_t ns, int rc)
{
}

void
dm_trace_unmap(const char *container, struct dmamap_range range, uint64_t n, int rc)
{
}

void
dm_trace_kernel_map(const char *container, unsigned int domain, dmamap_iova_t iova, const void *va,
	uint64_t len, uint64_t ns, int rc)
{
}

void
dm_trace_kernel_unmap(
	const char *container, unsigned int domain, struct dmamap_range range, uint64_t ns, int rc)
{
}

void
dm_trace_reserve(const char *container, dmamap_iova_t iova, uint64_t len, int rc)
{
}

void
dm_trace_release(const char *container, dmamap_iova_t iova, uint64_t len, int rc)
{
}

void
dm_trace_zone_alloc(
	const char *container, const char *zone, dmamap_iova_t iova, uint64_t len, int rc)
{
}

void
dm_trace_zone_free(const char *container, const char *zone, int rc)
{
}

void
dm_trace_fault(
	const char *device, const char *container, struct dmamap_range range, uint32_t access)
{
}
