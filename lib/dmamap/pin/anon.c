/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What if it is not hugetlb? See dm_anon.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_common.h>

#include "dm_anon.h"
#include "dm_file.h"

/* Since Linux 6.1; the C library's headers may be older. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define THP "/sys/kernel/mm/transparent_hugepage/"

size_t
dm_anon_transparent_size(void)
{
	char line[128];
	int64_t size;

	if (dm_file_line(THP "enabled", line, sizeof(line)) < 0 ||
		strstr(line, "[never]") != NULL ||
		dm_file_number(THP "hpage_pmd_size", &size) < 0 || size <= 0)
		return 0;
	return size;
}

/**
 * Do all areas of the process that meet the range consist of transparent hugepages (proc(5),
 * smaps)? An area may be joined with a neighbour's; one that is huge only in part is not taken for
 * huge.
 */
static bool
is_transparent(uintptr_t start, uintptr_t end)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	uint64_t from, to, kib, size = 0;
	bool inside = false, huge = f != NULL, seen = false;
	char line[512], perms[8];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, perms) == 3) {
			inside = from < end && to > start;
			size = to - from;
		} else if (inside && sscanf(line, "AnonHugePages: %" SCNu64, &kib) == 1) {
			seen = true;
			huge = huge && kib << 10 == size;
		}
	}
	if (f != NULL)
		fclose(f);
	return huge && seen;
}

bool
dm_anon_make_transparent(void *va, size_t len)
{
	uintptr_t start = (uintptr_t)va;

	if (is_transparent(start, start + len))
		return true;
	return madvise(va, len, MADV_COLLAPSE) == 0 && is_transparent(start, start + len);
}

uint64_t
dm_anon_available(int node)
{
	uint64_t kib, sum = 0;
	char path[64], line[256], word[64];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	f = node >= 0 ? fopen(path, "re") : NULL;
	if (f == NULL) {
		node = -1;
		f = fopen("/proc/meminfo", "re");
	}
	if (f == NULL)
		return UINT64_MAX;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, node >= 0 ? "Node %*d %63[^:]: %" SCNu64 : "%63[^:]: %" SCNu64,
			    word, &kib) != 2)
			continue;
		if (node < 0 ? strcmp(word, "MemAvailable") == 0
			     : strcmp(word, "MemFree") == 0 || strcmp(word, "Active(file)") == 0 ||
					strcmp(word, "Inactive(file)") == 0 ||
					strcmp(word, "SReclaimable") == 0) {
			sum += kib << 10;
			found = true;
		}
	}
	fclose(f);
	return found ? sum : UINT64_MAX;
}
