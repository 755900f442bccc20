/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The hugepages of this system: sizes, counts for each node, and files made of them.
 *
 * Everything is read from sysfs on each call; nothing is cached. Called by the files
 * of pin/ and by container/. Any thread may call.
 */

#ifndef DM_HUGEPAGE_H
#define DM_HUGEPAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** More sizes than any architecture has (arm64 with 64 KiB pages: four). */
#define DM_HUGEPAGE_SIZES_MAX 16

/** Buffer size for dm_hugepage_size_str(). */
#define DM_HUGEPAGE_STR_MAX 24

/** Counts of pages of one size. */
struct dm_hugepage_count {
	uint64_t total;
	uint64_t free;
	/**
	 * free pages that are reserved for mappings; the kernel reports only the sum over all nodes
	 */
	uint64_t reserved;
	/** Pages that the kernel may still create beyond its pools (nr_overcommit_hugepages) */
	uint64_t surplus;
};

/**
 * List the hugepage sizes that the kernel supports (/sys/kernel/mm/hugepages), with or without
 * pages in their pools.
 * @param sizes  out: bytes, largest first.
 * @return how many.
 */
unsigned int dm_hugepage_sizes(size_t sizes[DM_HUGEPAGE_SIZES_MAX]);

/**
 * The smallest hugepage size that is worth trying: the default size (Hugepagesize of
 * /proc/meminfo), or a smaller one whose pool has pages or may overcommit. (Kernels for arm64
 * support pages of 64 KiB, whose pool is mostly empty.)
 * @return bytes; 0: the kernel has no hugepages.
 */
size_t dm_hugepage_smallest(void);

/**
 * Count the pages of a size.
 * @param page_size  bytes.
 * @param node       NUMA node, or -1: all.
 * @param count      out; partly written on error.
 * @return 0; -ENOENT: no such size; else why a counter cannot be read.
 */
int dm_hugepage_count(size_t page_size, int node, struct dm_hugepage_count *count);

/**
 * Pages of a size that this process could get now: free and unreserved, or surplus. 0 if the size
 * does not exist.
 */
uint64_t dm_hugepage_available(size_t page_size, int node);

/** Buffer size for dm_hugepage_shortage(). */
#define DM_HUGEPAGE_SHORTAGE_MAX 512

/**
 * Check whether too few pages of a size are available: in the pools, with overcommit, and within
 * the hugetlb limits of the control group.
 * @param page_size  bytes.
 * @param node       the only NUMA node that may serve, or -1: any.
 * @param needed     pages.
 * @param buf        out: what is needed, what is available, and the command that helps. Always
 *   written: the kernel may refuse although nothing looks short.
 * @return whether pages are short.
 */
bool dm_hugepage_shortage(
	size_t page_size, int node, uint64_t needed, char buf[DM_HUGEPAGE_SHORTAGE_MAX]);

/**
 * Open an unnamed, empty file made of hugepages, which vanishes with its last user: memfd_create(2)
 * with MFD_HUGETLB and MFD_ALLOW_SEALING (Linux 4.16), else dm_hugefile_open().
 * @param page_size  bytes, a power of two.
 * @param name       shown in /proc/PID/maps; not unique.
 * @return a file descriptor, which the caller closes; -ENOENT: neither is possible; -EMFILE,
 *   -ENFILE.
 */
int dm_hugepage_file(size_t page_size, const char *name);

/** Format a size for log messages: "2 MiB". @return buf */
const char *dm_hugepage_size_str(size_t page_size, char buf[DM_HUGEPAGE_STR_MAX]);

#endif /* DM_HUGEPAGE_H */
