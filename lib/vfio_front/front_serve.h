/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Status socket of a process (gantry-run --status): reports what the process does with VFIO while
 * it runs.
 *
 * The socket is gantry-vfio.PID in the first usable directory of XDG_RUNTIME_DIR, /run/gantry and
 * /tmp. Each connection gets one JSON object and is closed. Only root and the user of the process
 * are served.
 *
 * Off by default, because it adds a thread and a descriptor to the program. The thread blocks all
 * signals; the descriptor is hidden. Caller: front_libc.c.
 */

#ifndef FRONT_SERVE_H
#define FRONT_SERVE_H

#include <stddef.h>

/**
 * Start to serve. After front_init(); any thread. A failure is logged and does no harm.
 * @return 0; -EALREADY: it is running; another negative errno.
 */
int front_serve_start(void);

/**
 * Stop serving and remove the socket. Waits at most 1 s for the thread. Does nothing in a child of
 * the process that started it.
 */
void front_serve_stop(void);

/** Path of the socket, for messages and tests. @return its length; 0: not running. */
size_t front_serve_path(char *path, size_t size);

#endif /* FRONT_SERVE_H */
