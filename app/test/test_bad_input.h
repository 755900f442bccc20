/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Check of a refused call: it returns the right errno, logs one line with the expected texts, and
 * leaves the container unchanged. Used by test_bad_input.c and test_bad_input_vm.c.
 */

#ifndef TEST_BAD_INPUT_H
#define TEST_BAD_INPUT_H

#include <stdbool.h>

#include <dmamap.h>

/** Maximum number of texts that a line must contain. */
#define SAYS_MAX 4

/** A call that must be refused. */
struct wrong_call {
	const char *name;
	int (*call)(struct dmamap_container *c);
	int rc; /**< what it must return */
	const char *says[SAYS_MAX]; /**< texts that its one line must contain; NULL ends the list */
};

/**
 * Make a call that must be refused, and compare the container before and after, its result and its
 * log.
 * @return whether all is right; if not, prints what is wrong.
 */
bool is_refused(struct dmamap_container *c, const struct wrong_call *wrong);

#endif /* TEST_BAD_INPUT_H */
