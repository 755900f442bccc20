/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Faults of a program's devices (gantry-run --faults): when the IOMMU blocks one, a line tells what
 * the program has, or had, mapped at that address.
 *
 * Off by default, because it adds a thread and two descriptors to the program. libdmamap's thread
 * blocks all signals; the descriptors are hidden. Caller: front_libc.c.
 */

#ifndef FRONT_FAULTS_H
#define FRONT_FAULTS_H

/**
 * Start to watch, until the process ends. After front_init(), once; any thread. A failure is logged
 * and does no harm.
 * @return 0; a negative errno.
 */
int front_faults_start(void);

#endif /* FRONT_FAULTS_H */
