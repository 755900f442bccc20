/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What would a slow but plain allocator say? A model that judges each answer of the real one.
 */

#ifndef IOVA_MODEL_H
#define IOVA_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/** How many kinds of address space histories know: tiny, tight, 39 bit with holes, all 64 bits, 1
 * TiB that gets full. */
#define IOVA_SCENES 5

/** A random history of one allocator against the model, and how it ended. */
struct iova_history {
	uint64_t seed; /**< same seed, same scene: same history */
	uint64_t steps; /**< how many calls */
	unsigned int scene; /**< below IOVA_SCENES */
	const uint8_t
		*script; /**< choices are read from here instead of from the seed; may be NULL */
	uint64_t script_len; /**< bytes in script; the history ends with them */
	uint64_t step; /**< out: the call that went wrong */
	const char *wrong; /**< out: what was wrong with it */
	bool seen_padding; /**< out: ranges with padding were among the live ones */
};

/**
 * Run a history: take, take_fixed, give, bad gives, set_usable, next_live, stats. Every answer is
 * judged: overlap, usable, within, alignment, refusals (ENOSPC only if the model sees no hole at
 * all) and at the end that no address was lost.
 * @return 0; -1: h->step and h->wrong say what and when.
 */
int iova_history_run(struct iova_history *h);

#endif /* IOVA_MODEL_H */
