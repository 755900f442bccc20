/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The plan that dm_pin_plan() makes and dm_pin_populate() carries out. Private to pin/: plan.c,
 * populate.c and pin.c.
 */

#ifndef DM_PIN_TODO_H
#define DM_PIN_TODO_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "dm_anon.h"
#include "dm_hugepage.h"
#include "dm_pin.h"
#include "dm_refusal.h"

/** Every hugepage size, transparent hugepages, base pages. */
#define DM_PIN_CHOICES_MAX (DM_HUGEPAGE_SIZES_MAX + 2)

/** Buffer size for the reason why a choice cannot serve. */
#define DM_PIN_WHY_MAX (DM_ANON_SHORTAGE_MAX + 128)

/** Buffer size for the reasons of a fallback: one about hugepages, one about other pages. */
#define DM_PIN_REASONS_MAX (2 * DM_PIN_WHY_MAX)

/** A kind of pages that may serve. */
struct dm_pin_choice {
	enum dmamap_page_kind kind;
	size_t page_size;
	bool locked; /**< a fallback, to be locked by mlock(2) */
};

/** A plan. choice[] is in order of preference; n is not 0. */
struct dm_pin_todo {
	char name[DMAMAP_NAME_MAX + 64];
	enum dmamap_placement placement;
	bool want_fd;
	struct timespec planned; /**< time of the plan; CLOCK_MONOTONIC_COARSE */
	unsigned int n;
	struct dm_pin_choice choice[DM_PIN_CHOICES_MAX];
	/** Why the first choices cannot serve; "": they can, so far. */
	char why[DM_PIN_REASONS_MAX];
};

/** The only node whose memory may serve; -1: any. */
static inline int
dm_pin_only_node(const struct dm_pin *pin)
{
	return pin->todo->placement == DMAMAP_PLACE_STRICT ? pin->wanted : -1;
}

/** Bytes of a base page. */
size_t dm_pin_base_size(void);

/**
 * Check whether a choice is short of pages or memory.
 * @param why  out: what is missing. Always written: the kernel may refuse although nothing looks
 *   short.
 * @return whether it is short now.
 */
bool dm_pin_is_short(
	const struct dm_pin *pin, const struct dm_pin_choice *choice, char why[DM_PIN_WHY_MAX]);

/** Append the reason why a choice cannot serve to those of the choices before it. */
void dm_pin_why_add(struct dm_pin_todo *todo, const struct dm_pin_choice *choice, const char *why);

/**
 * Revoke access to the memory of a pin, release its pages and reserve the address space again, in
 * one step. At the limit of VMAs (vm.max_map_count) the kernel may refuse, since this can split a
 * VMA. The pages are then released, and the addresses stay mapped; that is logged.
 */
void dm_pin_vacate(const struct dm_pin *pin);

#endif /* DM_PIN_TODO_H */
