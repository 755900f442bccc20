/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Counters of a container: calls that it refused, by reason, and latencies as histograms.
 *
 * Invariants: counters only grow, and are added to without a lock. No counter is touched by a
 * translation or by a registration that is a hit. Calls: counters.c is called by map.c, unmap.c,
 * attach.c, domains.c, reserve.c, sg.c, zone.c and registration.c, and read by telemetry.c.
 */

#ifndef DM_COUNTERS_H
#define DM_COUNTERS_H

#include <stdint.h>

#include "dm_port.h"

/** Calls of users that may be refused. */
enum dm_op {
	DM_OP_MAP, /**< dmamap_map(), dmamap_map_sg() */
	DM_OP_UNMAP, /**< dmamap_unmap(), dmamap_zone_free(), a registration that ends */
	DM_OP_ATTACH, /**< dmamap_container_attach(), dmamap_container_attach_fds() */
	DM_OP_RESERVE, /**< dmamap_iova_reserve() */
	DM_OP_REGISTER, /**< dmamap_register(), and streams that are not bounced */
	DM_OP_ZONE, /**< dmamap_zone_alloc() */
	DM_OP_COUNT
};

/** What is timed. */
enum dm_timed {
	DM_TIME_MAP, /**< one request to map, by whatever call: all domains, with evictions */
	DM_TIME_UNMAP, /**< one request to unmap, with the wait for readers and clients */
	DM_TIME_ATTACH, /**< one attach, with the wait for the topology lock and replays */
	DM_TIME_KERNEL_MAP, /**< the backend's call for one mapping of one domain */
	DM_TIME_KERNEL_UNMAP, /**< the backend's call for one run of one domain */
	DM_TIME_KERNEL_ATTACH, /**< the backend's call for one device and one domain */
	DM_TIME_COUNT
};

/** Reasons by errno: those of counters.c, then any other. */
#define DM_REASONS 18u
/** Buckets of a histogram. Bucket i counts up to 2^(DM_TIME_FIRST + i) ns; the last all others. */
#define DM_TIME_BUCKETS 28u
#define DM_TIME_FIRST 8u

struct dm_histogram {
	uint64_t sum_ns;
	uint64_t bucket[DM_TIME_BUCKETS];
};

struct dm_counters {
	uint64_t refused[DM_OP_COUNT][DM_REASONS];
	struct dm_histogram time[DM_TIME_COUNT];
};

/** Begin of what is timed, for dm_time_end(). Any thread. */
static inline uint64_t
dm_time_begin(void)
{
	return dm_port_ticks();
}

/** Count what began at `begin`. Any thread; no lock. @return how long it took, in nanoseconds */
uint64_t dm_time_end(struct dm_counters *counters, enum dm_timed what, uint64_t begin);

/** The bucket of a duration. */
unsigned int dm_time_bucket(uint64_t ns);

/** Count a refusal: rc is negative. Any thread; no lock. */
void dm_refused_count(struct dm_counters *counters, enum dm_op op, int rc);

/** Name of reason i, such as "ENOSPC"; "other" for the last. */
const char *dm_reason_name(unsigned int i);
const char *dm_op_name(enum dm_op op);
const char *dm_timed_name(enum dm_timed what);

#endif /* DM_COUNTERS_H */
