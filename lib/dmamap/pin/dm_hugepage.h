/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which hugepages has this system? Sizes, counts for each node, and files made of them.
 */

#ifndef DM_HUGEPAGE_H
#define DM_HUGEPAGE_H

#include <stdbool.h>
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
	uint64_t reserved; /**< of the free ones, promised to mappings; known for all nodes together
			      only, so there for each */
	uint64_t surplus; /**< pages that the kernel may still make beyond its pools
			     (nr_overcommit_hugepages) */
};

/**
 * The hugepage sizes that the kernel knows, with or without pages in their pools
 * (/sys/kernel/mm/hugepages).
 * @return how many; sizes in bytes, largest first.
 */
unsigned int dm_hugepage_sizes(size_t sizes[DM_HUGEPAGE_SIZES_MAX]);

/**
 * The smallest hugepages that are worth a try: those of the size that this kernel uses where none
 * is named, or smaller ones if somebody has set some aside. (Kernels for arm64 know pages of 64
 * KiB, whose pool is mostly empty.)
 * @return bytes; 0: the kernel has none.
 */
size_t dm_hugepage_smallest(void);

/**
 * Count the pages of a size.
 * @param node  NUMA node, or -1: all.
 * @return 0; -ENOENT: no such size.
 */
int dm_hugepage_count(size_t page_size, int node, struct dm_hugepage_count *count);

/** How many pages of a size this process could get now: free and not promised, or surplus. */
uint64_t dm_hugepage_available(size_t page_size, int node);

/** Room for dm_hugepage_shortage(). */
#define DM_HUGEPAGE_SHORTAGE_MAX 512

/**
 * Would pages of a size be too few now? Looks at the pools, at overcommit, and at the hugetlb
 * limits of the control group.
 * @param needed  pages.
 * @param buf     what is needed, what there is, and the command that helps; written in either case
 * (where nothing is found short, for the case that the kernel refuses all the same).
 * @return whether they are too few.
 */
bool dm_hugepage_shortage(
	size_t page_size, int node, uint64_t needed, char buf[DM_HUGEPAGE_SHORTAGE_MAX]);

/**
 * Open an empty file made of hugepages, which has no name and so vanishes with its last user:
 * memfd_create(2) with MFD_HUGETLB (Linux 4.14; 4.16 for pages of 1 GiB), else
 * dm_hugefile_open().
 * @return a file descriptor; -ENOENT: neither can be had; else as the kernel says.
 */
int dm_hugepage_file(size_t page_size, const char *name);

/** Write a size for people: "2 MiB". @return buf */
const char *dm_hugepage_size_str(size_t page_size, char buf[DM_HUGEPAGE_STR_MAX]);

#endif /* DM_HUGEPAGE_H */
