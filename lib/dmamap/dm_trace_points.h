/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The fields of libdmamap's tracepoints. Included by dm_trace_points.c and dm_trace_eal.c.
 *
 * A name is cut to 31 characters (__RTE_TRACE_EMIT_STRING_LEN_MAX). Addresses and lengths are in
 * bytes, `ns` is in nanoseconds, `rc` is 0 or a negative errno.
 */

#ifndef DM_TRACE_POINTS_H
#define DM_TRACE_POINTS_H

#include <rte_trace_point.h>

/* clang-format off */
RTE_TRACE_POINT(
	dm_point_attach,
	RTE_TRACE_POINT_ARGS(const char *container, const char *device, uint64_t ns, int rc),
	rte_trace_point_emit_string(container);
	rte_trace_point_emit_string(device);
	rte_trace_point_emit_u64(ns);
	rte_trace_point_emit_int(rc);
)

RTE_TRACE_POINT(
	dm_point_detach,
	RTE_TRACE_POINT_ARGS(const char *container, const char *device),
	rte_trace_point_emit_string(container);
	rte_trace_point_emit_string(device);
)

RTE_TRACE_POINT(
	dm_point_map,
	RTE_TRACE_POINT_ARGS(const char *container, uint64_t iova, const void *va, uint64_t len,
		uint32_t flags, uint64_t ns, int rc),
	rte_trace_point_emit_string(container);
	rte_trace_point_emit_u64(iova);
	rte_trace_point_emit_ptr(va);
	rte_trace_point_emit_u64(len);
	rte_trace_point_emit_u32(flags);
	rte_trace_point_emit_u64(ns);
	rte_trace_point_emit_int(rc);
)

RTE_TRACE_POINT(
	dm_point_unmap,
	RTE_TRACE_POINT_ARGS(const char *container, uint64_t iova, uint64_t len, uint64_t mappings,
		int rc),
	rte_trace_point_emit_string(container);
	rte_trace_point_emit_u64(iova);
	rte_trace_point_emit_u64(len);
	rte_trace_point_emit_u64(mappings);
	rte_trace_point_emit_int(rc);
)

RTE_TRACE_POINT(
	dm_point_kernel_map,
	RTE_TRACE_POINT_ARGS(const char *container, uint32_t domain, uint64_t iova, const void *va,
		uint64_t len, uint64_t ns, int rc),
	rte_trace_point_emit_string(container);
	rte_trace_point_emit_u32(domain);
	rte_trace_point_emit_u64(iova);
	rte_trace_point_emit_ptr(va);
	rte_trace_point_emit_u64(len);
	rte_trace_point_emit_u64(ns);
	rte_trace_point_emit_int(rc);
)

RTE_TRACE_POINT(
	dm_point_kernel_unmap,
	RTE_TRACE_POINT_ARGS(const char *container, uint32_t domain, uint64_t iova, uint64_t len,
		uint64_t ns, int rc),
	rte_trace_point_emit_string(container);
	rte_trace_point_emit_u32(domain);
	rte_trace_point_emit_u64(iova);
	rte_trace_point_emit_u64(len);
	rte_trace_point_emit_u64(ns);
	rte_trace_point_emit_int(rc);
)

RTE_TRACE_POINT(
	dm_point_reserve,
	RTE_TRACE_POINT_ARGS(const char *container, uint64_t iova, uint64_t len, int rc),
	rte_trace_point_emit_string(container);
	rte_trace_point_emit_u64(iova);
	rte_trace_point_emit_u64(len);
	rte_trace_point_emit_int(rc);
)

RTE_TRACE_POINT(
	dm_point_release,
	RTE_TRACE_POINT_ARGS(const char *container, uint64_t iova, uint64_t len, int rc),
	rte_trace_point_emit_string(container);
	rte_trace_point_emit_u64(iova);
	rte_trace_point_emit_u64(len);
	rte_trace_point_emit_int(rc);
)

RTE_TRACE_POINT(
	dm_point_zone_alloc,
	RTE_TRACE_POINT_ARGS(const char *container, const char *zone, uint64_t iova, uint64_t len,
		int rc),
	rte_trace_point_emit_string(container);
	rte_trace_point_emit_string(zone);
	rte_trace_point_emit_u64(iova);
	rte_trace_point_emit_u64(len);
	rte_trace_point_emit_int(rc);
)

RTE_TRACE_POINT(
	dm_point_zone_free,
	RTE_TRACE_POINT_ARGS(const char *container, const char *zone, int rc),
	rte_trace_point_emit_string(container);
	rte_trace_point_emit_string(zone);
	rte_trace_point_emit_int(rc);
)

RTE_TRACE_POINT(
	dm_point_fault,
	RTE_TRACE_POINT_ARGS(const char *device, const char *container, uint64_t iova, uint64_t len,
		uint32_t access),
	rte_trace_point_emit_string(device);
	rte_trace_point_emit_string(container);
	rte_trace_point_emit_u64(iova);
	rte_trace_point_emit_u64(len);
	rte_trace_point_emit_u32(access);
)
/* clang-format on */

#endif /* DM_TRACE_POINTS_H */
