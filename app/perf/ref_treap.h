/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is the allocator measured against? First fit in a treap of live ranges that knows its gaps.
 */

#ifndef REF_TREAP_H
#define REF_TREAP_H

#include <stdint.h>

#include "dm_range_set.h"

struct ref_treap;

/** An allocator of what is usable; at most 2^31 live ranges. @return NULL without memory */
struct ref_treap *ref_treap_create(const struct dm_range_set *usable);
/** Free it. */
void ref_treap_destroy(struct ref_treap *t);
/** The lowest place for len bytes. @return 0, -ENOSPC, -ENOMEM */
int ref_treap_take(struct ref_treap *t, uint64_t len, uint64_t align, rte_iova_t *iova);
/** Give back exactly what was taken. @return 0, -ENOENT, -EINVAL */
int ref_treap_give(struct ref_treap *t, rte_iova_t iova, uint64_t len);

#endif /* REF_TREAP_H */
