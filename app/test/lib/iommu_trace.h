/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Counts what the kernel entered into IOMMU page tables and removed from them, by its tracepoints
 * iommu:map and iommu:unmap. Used by suites on real kernels. One recording at a time.
 */

#ifndef GANTRY_TEST_IOMMU_TRACE_H
#define GANTRY_TEST_IOMMU_TRACE_H

#include <stdint.h>

#include <dmamap.h>

/** Counts of the kernel's trace events iommu:map and iommu:unmap. */
struct iommu_trace {
	unsigned int maps;
	unsigned int unmaps;
	uint64_t mapped; /**< bytes */
	uint64_t unmapped; /**< bytes */
};

/**
 * Clear the trace buffer and start recording. @return 0; -ENOENT: this kernel has no such
 * tracepoints, or tracefs is not readable.
 */
int iommu_trace_start(void);

/**
 * Count what has been recorded since iommu_trace_start().
 * @param within  IOVAs that count. A kernel tests each new domain's tables with a map at another
 * IOVA.
 */
void iommu_trace_read(struct dmamap_range within, struct iommu_trace *trace);

/** Stop recording. */
void iommu_trace_stop(void);

#endif /* GANTRY_TEST_IOMMU_TRACE_H */
