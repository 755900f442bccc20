/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Threads of the library: they take no signal of the program, and run where no lcore is disturbed.
 * Called by pin/watch.c and container/fault_watch.c.
 */

#ifndef DM_THREAD_H
#define DM_THREAD_H

#include <pthread.h>

/**
 * Start a thread with all signals blocked.
 * @param name  up to 15 characters, for top(1) and debuggers.
 * @return 0; a negative errno of pthread_create(3), not logged.
 */
int dm_thread_start(pthread_t *thread, void *(*run)(void *), const char *name);

/**
 * Run on all CPUs of the process. To be called first by a thread: the EAL binds the creating thread
 * to a CPU, and may poll there.
 */
void dm_thread_use_all_cpus(void);

#endif /* DM_THREAD_H */
