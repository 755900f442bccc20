/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The hugepages of this system, from sysfs. See dm_hugepage.h.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/memfd.h>

#include "dm_cgroup.h"
#include "dm_file.h"
#include "dm_hugefile.h"
#include "dm_hugepage.h"
#include "dm_util.h"

#define POOLS "/sys/kernel/mm/hugepages"

static int
larger_first(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

unsigned int
dm_hugepage_sizes(size_t sizes[DM_HUGEPAGE_SIZES_MAX])
{
	DIR *dir = opendir(POOLS);
	const struct dirent *e;
	unsigned int n = 0;
	size_t kib;

	if (dir == NULL)
		return 0;
	while (n < DM_HUGEPAGE_SIZES_MAX && (e = readdir(dir)) != NULL)
		if (sscanf(e->d_name, "hugepages-%zukB", &kib) == 1)
			sizes[n++] = kib << 10;
	closedir(dir);
	qsort(sizes, n, sizeof(sizes[0]), larger_first);
	return n;
}

/** The directory of the counters. A kernel without NUMA has only that of all nodes. */
static void
pool_path(size_t page_size, int node, char path[PATH_MAX])
{
	if (node >= 0) {
		snprintf(path, PATH_MAX,
			"/sys/devices/system/node/node%d/hugepages/hugepages-%zukB", node,
			page_size >> 10);
		if (access(path, F_OK) == 0)
			return;
	}
	snprintf(path, PATH_MAX, POOLS "/hugepages-%zukB", page_size >> 10);
}

static int
pool_read_counter(const char *pool, const char *counter, uint64_t *value)
{
	char path[PATH_MAX + 32];
	int64_t number;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", pool, counter);
	rc = dm_file_number(path, &number);
	if (rc < 0)
		return rc;
	*value = number;
	return 0;
}

int
dm_hugepage_count(size_t page_size, int node, struct dm_hugepage_count *count)
{
	uint64_t overcommit = 0, surplus = 0;
	char pool[PATH_MAX], all[PATH_MAX];
	int rc;

	pool_path(page_size, node, pool);
	pool_path(page_size, -1, all);
	rc = pool_read_counter(pool, "nr_hugepages", &count->total);
	if (rc == 0)
		rc = pool_read_counter(pool, "free_hugepages", &count->free);
	if (rc < 0)
		return rc;
	/* These counters are optional: they only refine the result. */
	count->reserved = 0;
	pool_read_counter(all, "resv_hugepages", &count->reserved);
	pool_read_counter(all, "nr_overcommit_hugepages", &overcommit);
	pool_read_counter(all, "surplus_hugepages", &surplus);
	count->surplus = overcommit > surplus ? overcommit - surplus : 0;
	return 0;
}

/** Bytes of the default hugepage (Hugepagesize of /proc/meminfo). */
static size_t
hugepage_default_size(void)
{
	FILE *meminfo = fopen("/proc/meminfo", "re");
	char line[128];
	size_t kib = 0;

	while (meminfo != NULL && fgets(line, sizeof(line), meminfo) != NULL)
		if (sscanf(line, "Hugepagesize: %zu kB", &kib) == 1)
			break;
	if (meminfo != NULL)
		fclose(meminfo);
	return kib << 10;
}

size_t
dm_hugepage_smallest(void)
{
	size_t sizes[DM_HUGEPAGE_SIZES_MAX], usual = hugepage_default_size();
	unsigned int n = dm_hugepage_sizes(sizes);
	struct dm_hugepage_count count;

	for (; n > 1 && sizes[n - 1] < usual; n--)
		if (dm_hugepage_count(sizes[n - 1], -1, &count) == 0 &&
			count.total + count.surplus > 0)
			break;
	return n > 0 ? sizes[n - 1] : 0;
}

/** Pages that are free and not reserved, on all nodes or on one of them. */
static uint64_t
pool_unreserved(size_t page_size, int node, const struct dm_hugepage_count *count)
{
	struct dm_hugepage_count all;
	uint64_t left;

	if (node < 0 || dm_hugepage_count(page_size, -1, &all) < 0)
		all = *count;
	/*
	 * A reservation names no node, so the kernel refuses when all nodes together cannot serve
	 * one more.
	 */
	left = all.free > all.reserved ? all.free - all.reserved : 0;
	return DM_MIN(left, count->free);
}

uint64_t
dm_hugepage_available(size_t page_size, int node)
{
	struct dm_hugepage_count count;

	if (dm_hugepage_count(page_size, node, &count) < 0)
		return 0;
	return pool_unreserved(page_size, node, &count) + count.surplus;
}

bool
dm_hugepage_shortage(
	size_t page_size, int node, uint64_t needed, char buf[DM_HUGEPAGE_SHORTAGE_MAX])
{
	struct dm_hugepage_count count = {0};
	char size[DM_HUGEPAGE_STR_MAX], where[32] = "", pool[PATH_MAX];
	struct dm_cgroup_limit group;
	uint64_t free, missing;

	dm_hugepage_size_str(page_size, size);
	if (node >= 0)
		snprintf(where, sizeof(where), " on node %d", node);
	pool_path(page_size, node, pool);
	dm_hugepage_count(page_size, node, &count);
	free = pool_unreserved(page_size, node, &count);
	missing = needed > free + count.surplus ? needed - free - count.surplus : 0;
	dm_cgroup_hugetlb("", page_size, &group);

	if (missing == 0 && group.left / page_size < needed) {
		snprintf(buf, DM_HUGEPAGE_SHORTAGE_MAX,
			"needs %" PRIu64 " pages of %s, the control group allows %" PRIu64
			" more: echo %" PRIu64 " > %.300s",
			needed, size, group.left / page_size,
			group.limit - group.left + needed * page_size, group.file);
		return true;
	}
	snprintf(buf, DM_HUGEPAGE_SHORTAGE_MAX,
		"needs %" PRIu64 " pages of %s%s, %" PRIu64 " are free%s: echo %" PRIu64
		" > %.300s/nr_hugepages",
		needed, size, where, free, missing > 0 ? "" : ", but the kernel refuses",
		count.total + (missing > 0 ? missing : needed), pool);
	return missing > 0;
}

int
dm_hugepage_file(size_t page_size, const char *name)
{
	unsigned int log2_size = __builtin_ctzl(page_size);
	/* Sealing of hugetlb memfds and pages of 1 GiB: Linux 4.16. */
	int fd = memfd_create(
		name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | log2_size << MFD_HUGE_SHIFT);

	if (fd >= 0)
		return fd;
	if (errno == EMFILE || errno == ENFILE)
		return -errno;
	return dm_hugefile_open(page_size);
}

const char *
dm_hugepage_size_str(size_t page_size, char buf[DM_HUGEPAGE_STR_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	unsigned int i;

	for (i = 0; i < DM_DIM(units) - 1 && page_size % 1024 == 0; i++)
		page_size >>= 10;
	snprintf(buf, DM_HUGEPAGE_STR_MAX, "%zu %s", page_size, units[i]);
	return buf;
}
