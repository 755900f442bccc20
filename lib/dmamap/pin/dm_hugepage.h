/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which hugepages has this system? Sizes, counts for each node, and files made of them.
 */

#ifndef DM_HUGEPAGE_H
#define DM_HUGEPAGE_H

#include <stddef.h>
#include <stdint.h>

/** More sizes than any architecture has (arm64 with 64 KiB pages: four). */
#define DM_HUGEPAGE_SIZES_MAX 16

/** Room for dm_hugepage_size_str(). */
#define DM_HUGEPAGE_STR_MAX 24

/** Pages of one size. */
struct dm_hugepage_count {
	uint64_t total;
	uint64_t free;
};

/**
 * The hugepage sizes that the kernel knows, with or without pages in their pools
 * (/sys/kernel/mm/hugepages).
 * @return how many; sizes in bytes, largest first.
 */
unsigned int dm_hugepage_sizes(size_t sizes[DM_HUGEPAGE_SIZES_MAX]);

/**
 * Count the pages of a size.
 * @param node  NUMA node, or -1: all.
 * @return 0; -ENOENT: no such size.
 */
int dm_hugepage_count(size_t page_size, int node, struct dm_hugepage_count *count);

/**
 * Log one error line: how many pages are needed, how many are free, and the command that reserves
 * more.
 * @param what    the object.
 * @param needed  pages.
 */
void dm_hugepage_log_shortage(const char *what, size_t page_size, int node, uint64_t needed);

/**
 * Open an empty file made of hugepages, which has no name and so vanishes with its last user:
 * memfd_create(2) with MFD_HUGETLB (Linux 4.14; 4.16 for pages of 1 GiB), else
 * dm_hugepage_mount_file().
 * @return a file descriptor; -ENOENT: neither can be had; else as the kernel says.
 */
int dm_hugepage_file(size_t page_size, const char *name);

/**
 * Open an unlinked file on a mounted hugetlbfs.
 * @return a file descriptor; -ENOENT: no writable hugetlbfs with that page size is mounted.
 */
int dm_hugepage_mount_file(size_t page_size);

/** Write a size for people: "2 MiB". @return buf */
const char *dm_hugepage_size_str(size_t page_size, char buf[DM_HUGEPAGE_STR_MAX]);

#endif /* DM_HUGEPAGE_H */
