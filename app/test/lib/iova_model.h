/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Model of the IOVA allocator, and random call sequences that compare the allocator with it. The
 * model is slow and simple: a sorted list of live ranges. Called by test_iova.c and fuzz_iova.c.
 */

#ifndef IOVA_MODEL_H
#define IOVA_MODEL_H

#include <stdint.h>

/**
 * Number of scenes (address spaces): tiny, tight, 39 bit with holes, all 64 bits, 1 TiB that gets
 * full.
 */
#define IOVA_SCENES 5

/** A random sequence of calls on one allocator and the model, and its result. */
struct iova_history {
	uint64_t seed; /**< the same seed and scene give the same calls */
	uint64_t steps; /**< number of calls */
	unsigned int scene; /**< below IOVA_SCENES */
	const uint8_t
		*script; /**< read choices from these bytes instead of from the seed; NULL: seed */
	uint64_t script_len; /**< bytes in script; the sequence ends with them */
	uint64_t step; /**< out: index of the call that went wrong */
	const char *wrong; /**< out: what was wrong with it */
};

/**
 * Run a sequence of reserve, reserve_fixed, release, invalid releases, set_usable, next_live and
 * stats. Each result is compared with the model: overlap, usable, within, alignment. A refusal
 * (ENOSPC) is right only if the model finds no hole. At the end no address may be lost.
 * @return 0; -1: h->step and h->wrong say which call and why.
 */
int iova_history_run(struct iova_history *h);

#endif /* IOVA_MODEL_H */
