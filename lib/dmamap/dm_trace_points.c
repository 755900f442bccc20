/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Names of libdmamap's tracepoints, and their registration with the EAL. Here the macros of
 * dm_trace_points.h describe the fields and emit nothing, so the events are emitted by another
 * file, dm_trace_eal.c.
 */

#include <rte_trace_point_register.h>

#include "dm_trace_points.h"

RTE_TRACE_POINT_REGISTER(dm_point_attach, lib.dmamap.attach)
RTE_TRACE_POINT_REGISTER(dm_point_detach, lib.dmamap.detach)
RTE_TRACE_POINT_REGISTER(dm_point_map, lib.dmamap.map)
RTE_TRACE_POINT_REGISTER(dm_point_unmap, lib.dmamap.unmap)
RTE_TRACE_POINT_REGISTER(dm_point_kernel_map, lib.dmamap.kernel_map)
RTE_TRACE_POINT_REGISTER(dm_point_kernel_unmap, lib.dmamap.kernel_unmap)
RTE_TRACE_POINT_REGISTER(dm_point_reserve, lib.dmamap.reserve)
RTE_TRACE_POINT_REGISTER(dm_point_release, lib.dmamap.release)
RTE_TRACE_POINT_REGISTER(dm_point_zone_alloc, lib.dmamap.zone_alloc)
RTE_TRACE_POINT_REGISTER(dm_point_zone_free, lib.dmamap.zone_free)
RTE_TRACE_POINT_REGISTER(dm_point_fault, lib.dmamap.fault)
