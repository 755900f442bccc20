/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Look-ups of a container that keep no reference. For tests in which something else keeps the
 * container alive.
 */

#ifndef GANTRY_TEST_PEEK_H
#define GANTRY_TEST_PEEK_H

#include "dmamap.h"

/**
 * Drop the reference that a look-up returned. @return the container, which the test must keep alive
 */
static inline struct dmamap_container *
peek(struct dmamap_container *container)
{
	dmamap_container_put(container);
	return container;
}

#endif /* GANTRY_TEST_PEEK_H */
