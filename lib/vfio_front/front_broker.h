/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Opens VFIO files for a process that has no permission to, as in a pod. Sources: descriptors that
 * the process was started with (GANTRY_VFIO_FDS), then a broker's socket (GANTRY_VFIO_BROKER).
 *
 * Callers: front_libc.c when the program's own open(2) failed; front_below.c for files that
 * libdmamap opens. The environment is read once, at the first call for a VFIO file.
 *
 * Invariant: a descriptor that was handed in behaves as a file that is opened at that moment. A
 * container or an iommufd holds one address space, so each such descriptor serves one open. A
 * group's descriptor serves many opens, one after the other; the group leaves its container in
 * between.
 */

#ifndef FRONT_BROKER_H
#define FRONT_BROKER_H

#include <stdbool.h>

/**
 * Whether to call front_broker_open() after an open(2) that failed. Any thread; does not allocate.
 * For most paths it compares a few characters.
 * @param path  as the program named it.
 * @param err   positive errno of the open. Served: ENOENT, EACCES, EPERM (the pod lacks the file or
 *   the permission); EBUSY (a group that was handed in is open already).
 */
bool front_broker_serves(const char *path, int err);

/**
 * Get a VFIO file, open for reading and writing. Any thread. Opens no other descriptor. Waits for
 * the broker, at most 10 s. Failures other than ENOENT and EBUSY are recorded as refusals and
 * logged.
 * @param flags  of open(2): only O_CLOEXEC matters.
 * @return the descriptor, at the lowest free number; -ENOENT: nothing was handed in for this path,
 *   and there is no broker; -EBUSY: the group is in use; -EMFILE: all descriptors for this path
 *   were used; -EPERM, -EACCES: refused by the broker; -ETIMEDOUT, -ECONNREFUSED, ...: no answer
 *   from the broker.
 */
int front_broker_open(const char *path, int flags);

/** Run in the child of a fork(2). Descriptors that were handed in belong to the parent. */
void front_broker_child(void);
/**
 * Close descriptors that were handed in; the next call reads the environment again. For tests: no
 * other call may run at the same time.
 */
void front_broker_fini(void);

#endif /* FRONT_BROKER_H */
