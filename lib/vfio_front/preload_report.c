/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Report of a process. Implements preload_report.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "front.h"
#include "preload_log.h"
#include "preload_report.h"

/** Maxima so far. Each is atomic. */
static struct {
	uint64_t containers, groups, devices, domains;
} most;

static void
most_raise(uint64_t *value, uint64_t now)
{
	uint64_t old = __atomic_load_n(value, __ATOMIC_RELAXED);

	while (old < now &&
		!__atomic_compare_exchange_n(
			value, &old, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void
preload_report_sample(void)
{
	struct front_stats now;

	front_stats(&now);
	most_raise(&most.containers, now.n_containers);
	most_raise(&most.groups, now.n_groups);
	most_raise(&most.devices, now.n_devices);
	most_raise(&most.domains, now.n_domains);
}

static void
print_refusals(uint64_t total)
{
	static struct front_refusal latest[FRONT_REFUSALS];
	unsigned int n = front_refusals(latest, FRONT_REFUSALS), i;

	preload_log_line("report: %" PRIu64 " calls refused%s", total,
		total > n       ? ", the latest of them:"
			: n > 0 ? ":"
				: "");
	for (i = 0; i < n; i++)
		preload_log_line("report:   %" PRIu64 ". %s: %s: %s", latest[i].number,
			latest[i].call, strerror(latest[i].err), latest[i].why);
}

void
preload_report_print(void)
{
	struct front_stats s;

	preload_report_sample();
	front_stats(&s);
	preload_log_line("report: process %d, %s", (int)getpid(), program_invocation_short_name);
	preload_log_line("report: at most %" PRIu64 " devices in %" PRIu64 " groups, %" PRIu64
			 " containers on %" PRIu64 " domains",
		most.devices, most.groups, most.containers, most.domains);
	preload_log_line("report: at most %" PRIu64 " maps in %" PRIu64 " entries a domain",
		s.peak_maps, s.peak_entries);
	preload_log_line("report: %" PRIu64 " maps and %" PRIu64 " unmaps called, %" PRIu64
			 " and %" PRIu64 " issued to the kernel, over all domains: %" PRIu64
			 " saved",
		s.map_calls, s.unmap_calls, s.kernel_maps, s.kernel_unmaps, s.saved);
	print_refusals(s.refusals);
}
