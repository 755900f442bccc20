/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Threads of the library. See dm_thread.h.
 */

#include <numa.h>
#include <signal.h>

#include "dm_thread.h"

int
dm_thread_start(pthread_t *thread, void *(*run)(void *), const char *name)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err == 0)
		pthread_setname_np(*thread, name);
	return -err;
}

void
dm_thread_use_all_cpus(void)
{
	if (numa_available() >= 0)
		numa_run_on_node(-1);
}
