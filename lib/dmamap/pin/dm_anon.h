/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Memory that is not hugetlb: base pages and transparent hugepages.
 *
 * Checks how much is available before it is touched, and whether transparent hugepages are really
 * huge. No state and no lock: each call reads /proc, /sys and the control groups again. Called by
 * plan.c and populate.c; any thread may call.
 */

#ifndef DM_ANON_H
#define DM_ANON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The size of transparent hugepages.
 * @return bytes; 0: the kernel has none, or they are off
 *   (/sys/kernel/mm/transparent_hugepage/enabled).
 */
size_t dm_anon_transparent_size(void);

/**
 * Collapse the base pages of a populated range into transparent hugepages (MADV_COLLAPSE, Linux
 * 6.1).
 * @param va   start, a multiple of the base page size.
 * @param len  bytes.
 * @return whether all of the range consists of transparent hugepages now.
 */
bool dm_anon_make_transparent(void *va, size_t len);

/**
 * Memory that the kernel can provide without killing a process: free, or reclaimable (MemAvailable;
 * for a node, MemFree, page cache of files and SReclaimable).
 * @param node  NUMA node, or -1: all.
 * @return bytes; UINT64_MAX: unknown.
 */
uint64_t dm_anon_available(int node);

/** Buffer size for dm_anon_shortage(). */
#define DM_ANON_SHORTAGE_MAX 512

/**
 * Check whether touching len bytes would exceed what is available: on the node or the machine, and
 * in the memory control groups of this process. Beyond either the kernel kills a process, so the
 * caller must not touch the memory then. An allowance for page tables and per-CPU charges is added
 * to len.
 *
 * memory.high of a control group is no hard limit: exceeding it is logged as a warning only. Other
 * processes may use memory in the meantime, so the result is a snapshot.
 *
 * @param len   bytes.
 * @param node  the only NUMA node that may serve, or -1: any.
 * @param what  the object, for the warning.
 * @param buf   out: what is needed, what is available, and which file holds the limit. Always
 *   written.
 * @return whether memory is short.
 */
bool dm_anon_shortage(uint64_t len, int node, const char *what, char buf[DM_ANON_SHORTAGE_MAX]);

#endif /* DM_ANON_H */
