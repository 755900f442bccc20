/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The environment of a DPDK program: the EAL's log, as type `lib.dmamap`, its RCU library, and the
 * processor's time-stamp counter. See dm_port.h.
 */

#include <time.h>

#include <rte_cycles.h>
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

/** Both clocks when the library was loaded, to measure one by the other. */
static uint64_t loaded_ticks, loaded_ns;

static uint64_t
clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

RTE_INIT(dm_port_clock_init)
{
	loaded_ticks = rte_rdtsc();
	loaded_ns = clock_now();
}

/**
 * The frequency of the counter, in Hz. The EAL knows it once it has started. Before, it is measured
 * since the library was loaded. *sure: it will not get better.
 */
static uint64_t
ticks_hz(bool *sure)
{
	const uint64_t hz = rte_get_tsc_hz(), ns = clock_now() - loaded_ns;

	*sure = hz > 0 || ns > 10000000;
	if (hz > 0 || ns == 0)
		return hz > 0 ? hz : 1000000000;
	return (uint64_t)((unsigned __int128)(rte_rdtsc() - loaded_ticks) * 1000000000 / ns);
}

uint64_t
dm_port_ticks(void)
{
	return rte_rdtsc();
}

uint64_t
dm_port_ticks_ns(uint64_t ticks)
{
	static uint64_t ns_per_tick; /* atomic; a fixed-point number with 32 bits of fraction */
	uint64_t factor = __atomic_load_n(&ns_per_tick, __ATOMIC_RELAXED), hz;
	bool sure;

	if (__builtin_expect(factor == 0, 0)) {
		hz = ticks_hz(&sure);
		factor = hz > 0 ? (UINT64_C(1000000000) << 32) / hz : UINT64_C(1) << 32;
		if (sure)
			__atomic_store_n(&ns_per_tick, factor, __ATOMIC_RELAXED);
	}
	return (uint64_t)(((unsigned __int128)ticks * factor) >> 32);
}
