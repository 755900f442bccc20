/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Report at the end of a process (gantry-run --report): maxima of objects and maps, calls saved,
 * refused calls and reasons. Called by front_libc.c.
 */

#ifndef PRELOAD_REPORT_H
#define PRELOAD_REPORT_H

/**
 * Update the maxima from the current state. Programs close their devices before they end, so call
 * it after a device was opened and before a descriptor is closed. Any thread. Waits for calls on
 * containers.
 */
void preload_report_sample(void);

/** Log the report, at the end of the process. */
void preload_report_print(void);

#endif /* PRELOAD_REPORT_H */
