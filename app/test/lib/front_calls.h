/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * System calls of a program that runs on virtual containers (lib/vfio_front), on a mock kernel:
 * what the preloaded library does for calls of the C library. Any thread.
 */

#ifndef GANTRY_TEST_FRONT_CALLS_H
#define GANTRY_TEST_FRONT_CALLS_H

#include <stdint.h>

#include "front.h"
#include "vfio_mock.h"

/** Start a front on a mock; conf's kernel becomes the mock's. @return as front_init() */
int front_calls_begin(struct vfio_mock *below, struct front_conf conf);
/**
 * Remove type1 containers from the kernel until front_calls_end(): an open of /dev/vfio/vfio
 * returns an iommufd, as it does under the preloaded library.
 */
void front_calls_no_container(void);
/** Close all files that are open; the mock stays. */
void front_calls_end(void);

/** @name System calls of the program; results are 0 or more, or a negative errno */
/**@{*/
int front_calls_open(const char *path);
int front_calls_close(int fd);
int front_calls_ioctl(int fd, unsigned long request, unsigned long arg);
/**@}*/

#endif /* GANTRY_TEST_FRONT_CALLS_H */
