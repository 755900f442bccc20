/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Texts that name the limit of the process or the system that was reached, and how to raise it.
 *
 * For log messages after a failed system call. Each call reads /proc again; no state, no lock.
 * Called by the files of pin/.
 */

#ifndef DM_REFUSAL_H
#define DM_REFUSAL_H

#include <stddef.h>

/** Buffer size for the texts of this file. */
#define DM_REFUSAL_MAX 192

/**
 * Explain why mmap(2) or mprotect(2) failed: RLIMIT_AS, RLIMIT_DATA, vm.max_map_count or
 * vm.overcommit_memory; strerror(err) if none of them is reached.
 * @param len  bytes that were asked for.
 * @param err  the errno, positive.
 * @return buf
 */
const char *dm_refusal_mmap(size_t len, int err, char buf[DM_REFUSAL_MAX]);

/**
 * Explain why open(2) or memfd_create(2) failed: RLIMIT_NOFILE, fs.file-max, else strerror(err).
 * @param err  the errno, positive.
 * @return buf
 */
const char *dm_refusal_file(int err, char buf[DM_REFUSAL_MAX]);

/**
 * Check whether this process can open the few files that the limits are read from.
 * @return 0; -EMFILE, -ENFILE: it cannot, so no limit can be checked.
 */
int dm_refusal_files_check(void);

#endif /* DM_REFUSAL_H */
