/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Counters of refusals, and histograms of latencies. See dm_counters.h.
 */

#include <errno.h>

#include "dm_counters.h"
#include "dm_util.h"

static const struct {
	int number;
	const char *name;
} reasons[] = {
	{EACCES, "EACCES"},
	{EADDRINUSE, "EADDRINUSE"},
	{EALREADY, "EALREADY"},
	{EBUSY, "EBUSY"},
	{ECHILD, "ECHILD"},
	{EEXIST, "EEXIST"},
	{EFAULT, "EFAULT"},
	{EINVAL, "EINVAL"},
	{EIO, "EIO"},
	{ENODEV, "ENODEV"},
	{ENOENT, "ENOENT"},
	{ENOMEM, "ENOMEM"},
	{ENOSPC, "ENOSPC"},
	{ENOTSUP, "ENOTSUP"},
	{EPERM, "EPERM"},
	{ERANGE, "ERANGE"},
	{ESHUTDOWN, "ESHUTDOWN"},
};

_Static_assert(DM_DIM(reasons) + 1 == DM_REASONS, "one reason for all others");

static void
counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_add_fetch(counter, n, __ATOMIC_RELAXED);
}

unsigned int
dm_time_bucket(uint64_t ns)
{
	unsigned int bits = ns <= 1 ? 0 : 64 - (unsigned int)__builtin_clzll(ns - 1);

	if (bits <= DM_TIME_FIRST)
		return 0;
	return DM_MIN(bits - DM_TIME_FIRST, DM_TIME_BUCKETS - 1);
}

uint64_t
dm_time_end(struct dm_counters *counters, enum dm_timed what, uint64_t begin)
{
	const uint64_t end = dm_port_ticks();
	/* Clocks of two CPUs may differ. */
	const uint64_t ns = end > begin ? dm_port_ticks_ns(end - begin) : 0;

	counter_add(&counters->time[what].sum_ns, ns);
	counter_add(&counters->time[what].bucket[dm_time_bucket(ns)], 1);
	return ns;
}

void
dm_refused_count(struct dm_counters *counters, enum dm_op op, int rc)
{
	unsigned int i;

	for (i = 0; i < DM_DIM(reasons) && reasons[i].number != -rc;)
		i++;
	counter_add(&counters->refused[op][i], 1);
}

const char *
dm_reason_name(unsigned int i)
{
	return i < DM_DIM(reasons) ? reasons[i].name : "other";
}

const char *
dm_op_name(enum dm_op op)
{
	static const char *const names[DM_OP_COUNT] = {
		"map", "unmap", "attach", "reserve", "register", "zone"};

	return names[op];
}

const char *
dm_timed_name(enum dm_timed what)
{
	static const char *const names[DM_TIME_COUNT] = {
		"map", "unmap", "attach", "kernel_map", "kernel_unmap", "kernel_attach"};

	return names[what];
}
