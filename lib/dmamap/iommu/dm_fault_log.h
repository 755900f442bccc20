/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Reads IOMMU faults out of the kernel's log, the one place to which every IOMMU driver of Linux
 * reports them. Knows the text of those drivers and nothing else. Called by
 * container/fault_watch.c.
 *
 * The texts, which kernels may change (those of Linux 5.10 to 6.17 are known):
 * - VT-d: drivers/iommu/intel/dmar.c, dmar_fault_do_one(). No segment; whole pages of 4 KiB.
 * - AMD-Vi: drivers/iommu/amd/iommu.c, amd_iommu_report_page_fault().
 * - SMMUv3: drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c, arm_smmu_evtq_thread(); before Linux 6.15
 *   five lines, a heading and the event's four words.
 * - virtio-iommu: drivers/iommu/virtio-iommu.c, viommu_fault_handler().
 */

#ifndef DM_FAULT_LOG_H
#define DM_FAULT_LOG_H

#include <stdint.h>

#include "dmamap.h"

/** One blocked access, or several that the kernel summed up. */
struct dm_fault_record {
	/** "0000:01:00.0", or "01:00.0" if the kernel does not tell the segment. */
	char dev[DMAMAP_NAME_MAX];
	struct dmamap_range iovas; /**< the address is in here; one byte if the kernel tells it */
	uint32_t access; /**< DMAMAP_READ or DMAMAP_WRITE; 0: the line does not tell */
	char reason[DMAMAP_FAULT_REASON_MAX]; /**< the kernel's words */
};

/** What a line means. */
enum dm_fault_line {
	DM_FAULT_NONE, /**< nothing, or the beginning of something */
	DM_FAULT_ONE, /**< a fault: the record is filled */
	DM_FAULT_SUPPRESSED, /**< the kernel left out lines of faults: n of them */
};

/** State between the lines of one event. Zeroes to begin with. */
struct dm_fault_parser {
	unsigned int words; /**< of an SMMUv3 event, still to come */
	unsigned int event;
	uint64_t word[4];
};

/**
 * Read the next line.
 * @param line    the text, with or without the prefix of a /dev/kmsg record.
 * @param record  out, with DM_FAULT_ONE.
 * @param n       out, with DM_FAULT_SUPPRESSED: lines left out, of one or more devices.
 */
enum dm_fault_line dm_fault_parse(struct dm_fault_parser *p, const char *line,
	struct dm_fault_record *record, unsigned int *n);

#endif /* DM_FAULT_LOG_H */
