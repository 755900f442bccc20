/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Options --fd and --broker of gantry-run: tell the library through the environment which VFIO
 * files others open (front_broker.h). Called by main.c.
 */

#ifndef RUN_HAND_IN_H
#define RUN_HAND_IN_H

/**
 * Hand in a descriptor that is open in this process, and stays open in the program. Appends to the
 * environment variable.
 * @param item  NUMBER=PATH
 * @return 0; RUN_FAILED, after logging a line.
 */
int run_hand_in_fd(const char *item);

/** Set the broker's socket. @return 0; RUN_FAILED, after logging a line. */
int run_hand_in_broker(const char *path);

#endif /* RUN_HAND_IN_H */
