/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The environment of a program without DPDK: errors and warnings go to standard error; DPDK's RCU
 * variables are not supported. See dm_port.h.
 */

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "dm_port.h"

bool
dm_port_log_wanted(enum dmamap_log_level level)
{
	return level <= DMAMAP_LOG_WARNING;
}

void
dm_port_log(enum dmamap_log_level level, const char *line)
{
	fprintf(stderr, "%s\n", line);
}

int
dm_port_rcu_readers(struct rte_rcu_qsbr *rcu, struct dmamap_readers *readers)
{
	return -ENOTSUP;
}

uint64_t
dm_port_ticks(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

uint64_t
dm_port_ticks_ns(uint64_t ticks)
{
	return ticks;
}
