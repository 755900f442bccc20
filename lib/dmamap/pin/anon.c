/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Memory that is not hugetlb: sizes, shortage checks and transparent hugepages. See dm_anon.h.
 */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dm_anon.h"
#include "dm_cgroup.h"
#include "dm_file.h"
#include "dm_log.h"

/* Since Linux 6.1; the C library's headers may be older. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/*
 * PAGEMAP_SCAN, ioctl(2) of /proc/self/pagemap, since Linux 6.7
 * (Documentation/admin-guide/mm/pagemap.rst); the C library's headers may be older.
 */
struct scan {
	uint64_t size, flags;
	uint64_t start, end; /**< addresses, whole pages */
	uint64_t walk_end; /**< out */
	uint64_t vec, vec_len; /**< struct scan_region[] */
	uint64_t max_pages; /**< maximum number of pages to report */
	uint64_t inverted, mask, anyof_mask, return_mask; /**< categories */
};

struct scan_region {
	uint64_t start, end, categories;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan)
#define SCAN_IS_HUGE (UINT64_C(1) << 6)

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
 * Whether the range has a page that is not part of a hugepage. @return 1: yes; 0: no; -1: the
 * kernel has no PAGEMAP_SCAN, or refuses it
 */
static int
range_has_small_page(uintptr_t start, uintptr_t end)
{
	struct scan_region region;
	struct scan scan = {.size = sizeof(scan),
		.start = start,
		.end = end,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.max_pages = 1,
		.inverted = SCAN_IS_HUGE,
		.mask = SCAN_IS_HUGE,
		.return_mask = SCAN_IS_HUGE};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), n;

	if (fd < 0)
		return -1;
	n = ioctl(fd, SCAN_IOCTL, &scan);
	close(fd);
	return n;
}

/**
 * Fallback for older kernels: whether all VMAs that overlap the range consist of transparent
 * hugepages (proc(5), smaps). May return false for a range that is huge: a VMA can extend beyond
 * the range, and one that is only partly huge does not count.
 */
static bool
range_vmas_are_huge(uintptr_t start, uintptr_t end)
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

static bool
range_is_transparent(uintptr_t start, uintptr_t end)
{
	int small = range_has_small_page(start, end);

	return small < 0 ? range_vmas_are_huge(start, end) : small == 0;
}

bool
dm_anon_make_transparent(void *va, size_t len)
{
	uintptr_t start = (uintptr_t)va;

	if (range_is_transparent(start, start + len))
		return true;
	return madvise(va, len, MADV_COLLAPSE) == 0 && range_is_transparent(start, start + len);
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

/**
 * Bytes that the kernel charges for len bytes of memory: page tables (1/512) and per-CPU batches
 * are added.
 */
static uint64_t
len_with_allowance(uint64_t len)
{
	return len + len / 128;
}

bool
dm_anon_shortage(uint64_t len, int node, const char *what, char buf[DM_ANON_SHORTAGE_MAX])
{
	const uint64_t need = len_with_allowance(len), available = dm_anon_available(node);
	struct dm_cgroup_limit group, high;
	char where[32] = "";

	dm_cgroup_memory("", need, &group, &high);
	if (need <= available && group.left < need) {
		snprintf(buf, DM_ANON_SHORTAGE_MAX,
			"needs %" PRIu64 " KiB of memory, the control group has %" PRIu64
			" of %" PRIu64 " KiB left: raise %.300s",
			need >> 10, group.left >> 10, group.limit >> 10, group.file);
		return true;
	}
	if (node >= 0)
		snprintf(where, sizeof(where), " on node %d", node);
	snprintf(buf, DM_ANON_SHORTAGE_MAX,
		"needs %" PRIu64 " KiB of memory%s, %" PRIu64 " KiB are available%s", need >> 10,
		where, available >> 10,
		need > available ? ": stop other programs, or request less"
				 : ", but the kernel refuses");
	if (need <= available && high.left < need)
		DM_LOG(WARNING,
			"%s: needs %" PRIu64
			" KiB of memory, the control group is throttled (memory.high)"
			" beyond another %" PRIu64 " KiB: raise %.300s",
			what, need >> 10, high.left >> 10, high.file);
	return need > available;
}
