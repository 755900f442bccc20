/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Reserved virtual address space: pages without access, for memory that is populated later.
 *
 * Invariant: a reserved range stays mapped (PROT_NONE) until its owner replaces or releases it, so
 * no other mmap(2) of the process gets its addresses. Any thread; no lock. Called by pin/, xlate/
 * and container/zone.c.
 */

#ifndef DM_VA_H
#define DM_VA_H

#include <stddef.h>
#include <stdint.h>

/**
 * Reserve address space, not inherited by children and not dumped.
 * @param at   where, replacing what is mapped there; NULL: anywhere.
 * @param len  bytes, not 0.
 * @return NULL: no address space.
 */
void *dm_va_reserve(void *at, size_t len);

/**
 * Reserve aligned address space anywhere. The caller owns it and releases it with munmap(2) or
 * dm_va_release(), in the same process.
 * @param len    bytes, a multiple of the base page size.
 * @param align  power of two, a multiple of the base page size; len + align must not wrap around.
 * @return NULL: no address space.
 */
void *dm_va_reserve_aligned(size_t len, size_t align);

/**
 * Release address space, with its contents, in the process that reserved it. In a forked child this
 * does nothing: a child does not inherit the range (MADV_DONTFORK), and may have mapped something
 * else there since.
 * @param process  dm_process_id() of the process that reserved it.
 */
void dm_va_release(void *va, size_t len, uint64_t process);

#endif /* DM_VA_H */
