/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The units table: one word for each 2 MiB of VAs (a unit) that one mapping covers wholly. The fast
 * path of dmamap_va2iova(), which reads it inline before the radix tree.
 *
 * It is a direct-mapped array. A word holds the number of its unit and IOVA - VA. So one load gets
 * both, a reader sees a whole translation or none, and no epoch is needed. Two units that are 512
 * GiB apart share a slot: the first one keeps it, and the other is translated by the radix tree
 * (dm_xlate.h).
 *
 * Invariant: a translation in this table is in the radix tree too, which holds all mappings. The
 * caller serialises writers; readers take no lock. Called by container/mapping.c.
 */

#ifndef DM_UNITS_H
#define DM_UNITS_H

#include <stdint.h>

#include "dmamap.h"

/**
 * Create an empty table: address space for DMAMAP_UNIT_SLOTS words. It uses one page of memory for
 * each GiB of VAs in use, allocated at the first write.
 * @return 0; -ENOMEM, *units unchanged
 */
int dm_units_create(uint64_t **units);

/** Free the table. No reader may be inside. NULL is allowed. */
void dm_units_destroy(uint64_t *units);

/**
 * Add translations for the units that lie wholly in [va, va + len - 1]. Units whose
 * slot is taken are skipped. Adds nothing if a VA or IOVA has more than 48 bits. Cost: one store
 * for each unit.
 */
void dm_units_add(uint64_t *units, uint64_t va, uint64_t iova, uint64_t len);

/** Remove what dm_units_add() added with the same arguments. Cost: one store for each unit. */
void dm_units_del(uint64_t *units, uint64_t va, uint64_t iova, uint64_t len);

#endif /* DM_UNITS_H */
