/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is a good refusal? The right errno, one line that says what it must, and a container as it
 * was.
 */

#ifndef TEST_BAD_INPUT_H
#define TEST_BAD_INPUT_H

#include <stdbool.h>

#include <dmamap.h>

/** Most texts that a line is searched for. */
#define SAYS_MAX 4

/** A call that must be refused. */
struct wrong_call {
	const char *name;
	int (*call)(struct dmamap_container *c);
	int rc; /**< what it must return */
	const char *says[SAYS_MAX]; /**< what its one line must contain; NULL: no more */
};

/**
 * Make a call that must be refused, and compare container and log with what must be.
 * @return whether all is right; says what is not.
 */
bool is_refused(struct dmamap_container *c, const struct wrong_call *wrong);

#endif /* TEST_BAD_INPUT_H */
