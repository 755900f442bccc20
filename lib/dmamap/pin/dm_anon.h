/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What if it is not hugetlb? Memory for base pages and for transparent hugepages: how much, and are
 * they huge?
 */

#ifndef DM_ANON_H
#define DM_ANON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The size of transparent hugepages.
 * @return bytes; 0: this kernel has none, or they are switched off
 * (/sys/kernel/mm/transparent_hugepage/enabled).
 */
size_t dm_anon_transparent_size(void);

/**
 * Make huge what is not yet, of a range that is backed (MADV_COLLAPSE, Linux 6.1), and look.
 * @return whether all of the range consists of transparent hugepages.
 */
bool dm_anon_make_transparent(void *va, size_t len);

/**
 * How much memory could the kernel find without killing somebody? Free, or what it caches of files.
 * @param node  NUMA node, or -1: all.
 * @return bytes; UINT64_MAX: it does not say.
 */
uint64_t dm_anon_available(int node);

#endif /* DM_ANON_H */
