/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A test core for the preload library. libfront_probe.so is libgantry_vfio.so with this core in
 * place of virtual containers, so it runs where there is no VFIO. It treats /dev/zero as a
 * container, /dev/full as group 7, and /dev/random as the iommufd of a kernel without containers.
 * It tracks descriptors as the real core must, and counts the calls that it gets.
 *
 * Exported by the library, for the program that is linked with it (client.c). Any thread.
 */

#ifndef PROBE_H
#define PROBE_H

#include "front.h"

/** @name ioctls that the probe answers; on a group also VFIO_GROUP_GET_DEVICE_FD */
/**@{*/
#define PROBE_ECHO 0x3b10u /**< returns its argument */
#define PROBE_FAIL 0x3b11u /**< fails with EXDEV, having changed errno in between */
#define PROBE_LIBC                                                                                 \
	0x3b12u /**< calls interposed functions on the descriptor itself; 0: all reached the       \
		   kernel */
/**@}*/

/**
 * Paths that cannot be opened. For the first the probe returns a container; for the second it fails
 * with EXDEV.
 */
#define PROBE_ELSEWHERE "/dev/vfio/elsewhere"
#define PROBE_REFUSED "/dev/vfio/refused"
/** The kernel's name of a group whose node has another name, PROBE_NODE. */
#define PROBE_RENAMED "/dev/vfio/7"
#define PROBE_NODE "/dev/full"
/** Path of the container file; it does not exist. */
#define PROBE_NO_CONTAINER "/dev/front-probe"

/** Calls of the core so far. A forked child goes on from its parent's counts. */
struct probe_counts {
	unsigned int inits, opened, dups, ioctls, closes, forgets, relocations, children;
};

struct probe_counts probe_counts(void);
/**
 * Kind of a descriptor (enum front_kind). The table has numbers up to 4095; others are FRONT_NONE.
 */
int probe_kind(int fd);
/** Make a descriptor hidden. */
void probe_hide(int fd);
/** Options with which the core was started. */
struct front_conf probe_conf(void);

#endif /* PROBE_H */
