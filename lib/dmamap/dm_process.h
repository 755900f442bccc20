/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Identity of the calling process, distinct from those it was forked from, without a system call.
 *
 * Containers and backends record the process that created them. A forked child shares the open
 * files of its parent, so an ioctl there would change the parent's IOMMU. Invariant: a child makes
 * no such call, and operations that need one fail with -ECHILD. Any thread; no lock, does not wait.
 * Called by container/, iommu/, pin/ and dm_va.c.
 */

#ifndef DM_PROCESS_H
#define DM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/** The identity of this process; 0 right after a fork, as the kernel wipes it in the child. */
extern uint64_t *dm_process_word;

/** Assign an identity to a process that has none yet. @return it */
uint64_t dm_process_enter(void);

/**
 * The identity of this process: a number that no process has from which this one was forked. Never
 * 0. One load, except for the first call.
 */
static inline uint64_t
dm_process_id(void)
{
	uint64_t id = __atomic_load_n(dm_process_word, __ATOMIC_RELAXED);

	return __builtin_expect(id != 0, 1) ? id : dm_process_enter();
}

/** Whether this is the process with that identity. */
static inline bool
dm_process_is(uint64_t id)
{
	return dm_process_id() == id;
}

/**
 * Check that this process may change what the process with that identity created.
 * @param container  its name, for the log.
 * @param what       the operation, for the log.
 * @return 0, or -ECHILD (logged)
 */
int dm_process_check(uint64_t id, const char *container, const char *what);

#endif /* DM_PROCESS_H */
