/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Reference IOVA allocator for the benchmarks: first fit in a treap of live ranges with their
 * gaps.
 * Called by perf_iova.c. Single-threaded.
 */

#ifndef REF_TREAP_H
#define REF_TREAP_H

#include <stdint.h>

#include <rte_common.h>

#include "dm_range_set.h"

struct ref_treap;

/** Make an allocator of the usable ranges; at most 2^31 live ranges. @return NULL: no memory */
struct ref_treap *ref_treap_create(const struct dm_range_set *usable);
/** Free it. */
void ref_treap_destroy(struct ref_treap *t);
/** Reserve the lowest fit for len bytes. @return 0, -ENOSPC, -ENOMEM */
int ref_treap_reserve(struct ref_treap *t, uint64_t len, uint64_t align, rte_iova_t *iova);
/** Release exactly one reserved range. @return 0, -ENOENT, -EINVAL */
int ref_treap_release(struct ref_treap *t, rte_iova_t iova, uint64_t len);

#endif /* REF_TREAP_H */
