/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Counts the kernel's iommu:map and iommu:unmap trace events. See iommu_trace.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "iommu_trace.h"
#include "test.h"

#define TRACING "/sys/kernel/tracing/"

int
iommu_trace_start(void)
{
	if (access(TRACING "events", F_OK) < 0)
		mount("tracefs", TRACING, "tracefs", 0, NULL);
	test_write_file(TRACING "trace", "%s", "");
	if (test_write_file(TRACING "events/iommu/map/enable", "1") < 0 ||
		test_write_file(TRACING "events/iommu/unmap/enable", "1") < 0)
		return -ENOENT;
	return 0;
}

void
iommu_trace_stop(void)
{
	test_write_file(TRACING "events/iommu/map/enable", "0");
	test_write_file(TRACING "events/iommu/unmap/enable", "0");
}

/*
 * Lines as of Linux 6.1 (include/trace/events/iommu.h):
 *   ... map: IOMMU: iova=0x... - 0x... paddr=0x... size=N
 *   ... unmap: IOMMU: iova=0x... - 0x... size=N unmapped_size=N
 */
void
iommu_trace_read(struct dmamap_range within, struct iommu_trace *trace)
{
	FILE *in = fopen(TRACING "trace", "r");
	char line[512];
	const char *at;
	uint64_t iova, bytes;

	*trace = (struct iommu_trace){0};
	while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
		at = strstr(line, "map: IOMMU: iova=");
		if (at == NULL || sscanf(at, "map: IOMMU: iova=%" SCNx64, &iova) != 1)
			continue;
		if (iova < within.start || iova > within.last)
			continue;
		if (strstr(line, " unmap: ") != NULL) {
			at = strstr(line, "unmapped_size=");
			if (at != NULL && sscanf(at, "unmapped_size=%" SCNu64, &bytes) == 1) {
				trace->unmaps++;
				trace->unmapped += bytes;
			}
		} else {
			at = strstr(line, " size=");
			if (at != NULL && sscanf(at, " size=%" SCNu64, &bytes) == 1) {
				trace->maps++;
				trace->mapped += bytes;
			}
		}
	}
	if (in != NULL)
		fclose(in);
}
