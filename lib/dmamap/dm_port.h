/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The library's interface to its environment: a log, a clock, and the readers of DPDK's RCU
 * variables.
 *
 * Implemented by dm_port_eal.c on DPDK's EAL, and by dm_port_plain.c on the C library alone
 * (-Deal=disabled). A build has one of the two. All other sources are the same in both builds,
 * except the tracepoints (dm_trace.h) and container/telemetry.c, which only the EAL calls: a build
 * without the EAL leaves it out.
 * Called by dm_log.c, container.c and counters.c.
 */

#ifndef DM_PORT_H
#define DM_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "dmamap.h"

/** Whether the environment's log accepts lines of this level. Any thread; does not wait. */
bool dm_port_log_wanted(enum dmamap_log_level level);

/** Write a line, without a newline, to the environment's log. Any thread; may wait for a file. */
void dm_port_log(enum dmamap_log_level level, const char *line);

/**
 * Convert an RCU variable of DPDK (rte_rcu_qsbr) into reader callbacks. Any thread; does not wait.
 * @return 0; -ENOTSUP: the library was built without the EAL.
 */
int dm_port_rcu_readers(struct rte_rcu_qsbr *rcu, struct dmamap_readers *readers);

/** A clock that only grows, as far as CPUs agree on it. Any thread; does not wait. */
uint64_t dm_port_ticks(void);

/** Nanoseconds of a difference of dm_port_ticks(). Any thread; does not wait. */
uint64_t dm_port_ticks_ns(uint64_t ticks);

#endif /* DM_PORT_H */
