/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The environment of a DPDK program: the EAL's log, as type `lib.dmamap`, and its RCU library. See
 * dm_port.h.
 */

#include <rte_log.h>
#include <rte_rcu_qsbr.h>

#include "dm_port.h"

RTE_LOG_REGISTER(dm_logtype, lib.dmamap, NOTICE);

/** The EAL's number of a log level. */
static uint32_t
eal_level(enum dmamap_log_level level)
{
	/* Both follow syslog(3); the EAL counts from 1. */
	_Static_assert(RTE_LOG_ERR == DMAMAP_LOG_ERR + 1 && RTE_LOG_DEBUG == DMAMAP_LOG_DEBUG + 1,
		"levels of DPDK's log");
	return (uint32_t)level + 1;
}

bool
dm_port_log_wanted(enum dmamap_log_level level)
{
	return rte_log_can_log(dm_logtype, eal_level(level));
}

void
dm_port_log(enum dmamap_log_level level, const char *line)
{
	rte_log(eal_level(level), dm_logtype, "%s\n", line);
}

static uint64_t
rcu_start(void *arg)
{
	return rte_rcu_qsbr_start(arg);
}

static bool
rcu_done(void *arg, uint64_t token)
{
	return rte_rcu_qsbr_check(arg, token, false) == 1;
}

int
dm_port_rcu_readers(struct rte_rcu_qsbr *rcu, struct dmamap_readers *readers)
{
	*readers = (struct dmamap_readers){.start = rcu_start, .done = rcu_done, .arg = rcu};
	return 0;
}
