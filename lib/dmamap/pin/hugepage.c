/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which hugepages has this system? Sizes, counts for each node, and files made of them.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>
#include <linux/memfd.h>

#include <rte_common.h>

#include "dm_file.h"
#include "dm_hugepage.h"
#include "dm_log.h"

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

/** The folder with the counters; a kernel without NUMA has those of all nodes only. */
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
read_counter(const char *pool, const char *counter, uint64_t *value)
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
	char pool[PATH_MAX];
	int rc;

	pool_path(page_size, node, pool);
	rc = read_counter(pool, "nr_hugepages", &count->total);
	if (rc == 0)
		rc = read_counter(pool, "free_hugepages", &count->free);
	return rc;
}

void
dm_hugepage_log_shortage(const char *what, size_t page_size, int node, uint64_t needed)
{
	struct dm_hugepage_count count = {0};
	char size[DM_HUGEPAGE_STR_MAX], where[32] = "", pool[PATH_MAX];

	dm_hugepage_size_str(page_size, size);
	if (node >= 0)
		snprintf(where, sizeof(where), " on node %d", node);
	pool_path(page_size, node, pool);
	dm_hugepage_count(page_size, node, &count);

	if (count.free < needed)
		DM_LOG(ERR, "%s: needs %" PRIu64 " pages of %s%s, %" PRIu64
			" are free: echo %" PRIu64 " > %s/nr_hugepages",
			what, needed, size, where, count.free,
			count.total + needed - count.free, pool);
	else
		DM_LOG(ERR, "%s: needs %" PRIu64 " pages of %s%s; %" PRIu64
			" are free, but promised to other programs or beyond this one's hugetlb"
			" cgroup limit: echo %" PRIu64 " > %s/nr_hugepages, or raise the limit",
			what, needed, size, where, count.free, count.total + needed, pool);
}

/** Is a mount a hugetlbfs whose pages have this size? */
static int
mount_fits(const struct mntent *m, size_t page_size)
{
	struct statfs fs;

	return strcmp(m->mnt_type, "hugetlbfs") == 0 && statfs(m->mnt_dir, &fs) == 0 &&
		fs.f_type == HUGETLBFS_MAGIC && (size_t)fs.f_bsize == page_size;
}

static int
unlinked_file(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/gantry-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

int
dm_hugepage_mount_file(size_t page_size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent m;
	char buf[4096];
	int fd = -ENOENT;

	if (mounts == NULL)
		return -ENOENT;
	while (fd < 0 && getmntent_r(mounts, &m, buf, sizeof(buf)) != NULL)
		if (mount_fits(&m, page_size))
			fd = unlinked_file(m.mnt_dir);
	endmntent(mounts);
	return fd < 0 ? -ENOENT : fd;
}

int
dm_hugepage_file(size_t page_size, const char *name)
{
	unsigned int log2_size = __builtin_ctzl(page_size);
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_HUGETLB | log2_size << MFD_HUGE_SHIFT);

	if (fd >= 0)
		return fd;
	if (errno == EMFILE || errno == ENFILE)
		return -errno;
	return dm_hugepage_mount_file(page_size);
}

const char *
dm_hugepage_size_str(size_t page_size, char buf[DM_HUGEPAGE_STR_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	unsigned int i;

	for (i = 0; i < RTE_DIM(units) - 1 && page_size % 1024 == 0; i++)
		page_size >>= 10;
	snprintf(buf, DM_HUGEPAGE_STR_MAX, "%zu %s", page_size, units[i]);
	return buf;
}
