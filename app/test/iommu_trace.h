/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What did the kernel really do? Its own account of what went into the IOMMUs' tables and out of
 * them.
 */

#ifndef GANTRY_TEST_IOMMU_TRACE_H
#define GANTRY_TEST_IOMMU_TRACE_H

#include <stdint.h>

#include <dmamap.h>

/** Events of the kernel's tracepoints iommu:map and iommu:unmap. */
struct iommu_trace {
	unsigned int maps;
	unsigned int unmaps;
	uint64_t mapped; /**< bytes */
	uint64_t unmapped; /**< bytes */
};

/** Forget what was recorded, and record. @return 0; -ENOENT: this kernel has no such tracepoints,
 * or hides them. */
int iommu_trace_start(void);

/**
 * Count what has been recorded since iommu_trace_start().
 * @param within  IOVAs that count: a kernel tries out each new domain's tables with a map somewhere
 * else.
 */
void iommu_trace_read(struct dmamap_range within, struct iommu_trace *trace);

/** Record no more. */
void iommu_trace_stop(void);

#endif /* GANTRY_TEST_IOMMU_TRACE_H */
