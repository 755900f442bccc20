/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Shared by the suites of lib/dmamap/pin: page sizes of this machine, and allocations whose log is
 * checked.
 */

#ifndef GANTRY_TEST_PAGES_H
#define GANTRY_TEST_PAGES_H

#include <stddef.h>

#include "dm_pin.h"

/** A hugepage size with neither free nor surplus pages; 0: there is none. */
size_t pages_empty_size(void);

/**
 * Call dm_pin_alloc() and check the log: it must contain a text, or be empty if the text is NULL.
 * @return as dm_pin_alloc(); 1: the log is different, and printed. *pin is NULL unless it was
 * allocated.
 */
int pages_alloc(const struct dm_pin_conf *conf, const char *says, struct dm_pin **pin);

#endif /* GANTRY_TEST_PAGES_H */
