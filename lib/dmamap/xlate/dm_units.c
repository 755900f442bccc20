/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The units table: one word for each 2 MiB of VAs that one mapping covers wholly. See dm_units.h.
 */

#include <errno.h>
#include <sys/mman.h>

#include "dm_units.h"
#include "dm_util.h"

#define UNIT (UINT64_C(1) << DMAMAP_UNIT_SHIFT)
/** VAs and IOVAs in words have at most this many bits, so that their signed difference fits. */
#define FIT_BITS 48
#define TABLE_BYTES (DMAMAP_UNIT_SLOTS * sizeof(uint64_t))

int
dm_units_create(uint64_t **units)
{
	void *p = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	/* A huge page would be allocated whole for a single word. */
	madvise(p, TABLE_BYTES, MADV_NOHUGEPAGE);
	*units = p;
	return 0;
}

void
dm_units_destroy(uint64_t *units)
{
	if (units != NULL)
		munmap(units, TABLE_BYTES);
}

/** A change to the words of all whole units of a range. */
struct change {
	uint64_t at, n; /**< VA of the first unit; number of units */
	uint64_t delta; /**< IOVA - VA as encoded in each word, without the tag */
};

/** @return false: the range has no whole unit, or one whose VA or IOVA does not fit a word */
static bool
change_make(struct change *ch, uint64_t va, uint64_t iova, uint64_t len)
{
	ch->at = DM_ALIGN_CEIL(va, UNIT);
	if (len < ch->at - va || (va + (len - 1)) >> FIT_BITS != 0 ||
		(iova + (len - 1)) >> FIT_BITS != 0)
		return false;
	ch->n = DM_MIN((len - (ch->at - va)) / UNIT, (uint64_t)DMAMAP_UNIT_SLOTS);
	ch->delta = (iova - va) << (DMAMAP_UNIT_TAG_BITS - 12);
	return true;
}

/** For each unit: store its word if the slot is empty, or clear the slot if it holds that word. */
static void
units_change(uint64_t *units, uint64_t va, uint64_t iova, uint64_t len, bool add)
{
	uint64_t word, *slot;
	struct change ch;

	if (!change_make(&ch, va, iova, len))
		return;
	for (; ch.n > 0; ch.n--, ch.at += UNIT) {
		slot = &units[dmamap_unit_slot(ch.at)];
		word = ch.delta | dmamap_unit_tag(ch.at);
		/* The slot may belong to a unit 512 GiB away. */
		if (*slot == (add ? 0 : word))
			__atomic_store_n(slot, add ? word : 0, __ATOMIC_RELEASE);
	}
}

void
dm_units_add(uint64_t *units, uint64_t va, uint64_t iova, uint64_t len)
{
	units_change(units, va, iova, len, true);
}

void
dm_units_del(uint64_t *units, uint64_t va, uint64_t iova, uint64_t len)
{
	units_change(units, va, iova, len, false);
}
