/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Histograms of latencies: bucket n has the calls that took 2^n to 2^(n + 1) - 1 ns. Called by
 * follow.c.
 */

#include <inttypes.h>

#include "trace.h"

/** Width of the longest bar. */
#define BAR 40

uint64_t
trace_histogram_at(const struct trace_wire_histogram *h, unsigned int percent)
{
	/* At least one call, and rounded up. */
	uint64_t wanted = (h->calls * percent + 99) / 100, seen = 0;
	unsigned int i;

	for (i = 0; i < TRACE_WIRE_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen >= wanted && seen > 0)
			return (2ULL << i) - 1;
	}
	return 0;
}

/** "512 ns", "4.1 us", "1.0 ms". */
static void
time_text(double ns, char text[24])
{
	if (ns < 1e3)
		snprintf(text, 24, "%.0f ns", ns);
	else if (ns < 1e6)
		snprintf(text, 24, "%.1f us", ns / 1e3);
	else if (ns < 1e9)
		snprintf(text, 24, "%.1f ms", ns / 1e6);
	else
		snprintf(text, 24, "%.1f s", ns / 1e9);
}

void
trace_histogram_print(FILE *out, uint32_t request, const struct trace_wire_histogram *h)
{
	static const char bar[BAR + 1] = "########################################";
	unsigned int i, first = TRACE_WIRE_BUCKETS, last = 0;
	char mean[24], most[24], from[24];
	uint64_t highest = 1;

	for (i = 0; i < TRACE_WIRE_BUCKETS; i++)
		if (h->buckets[i] > 0) {
			first = i < first ? i : first;
			last = i;
			highest = h->buckets[i] > highest ? h->buckets[i] : highest;
		}
	time_text(h->calls > 0 ? (double)h->sum / (double)h->calls : 0, mean);
	time_text((double)trace_histogram_at(h, 99), most);
	fprintf(out, "\n%s: %" PRIu64 " calls, %" PRIu64 " failed, mean %s, 99 %% within %s\n",
		trace_ioctl_name(request), (uint64_t)h->calls, (uint64_t)h->failed, mean, most);
	for (i = first; i <= last && i < TRACE_WIRE_BUCKETS; i++) {
		time_text((double)(1ULL << i), from);
		fprintf(out, "  from %10s %10" PRIu64 " %.*s\n", from, (uint64_t)h->buckets[i],
			(int)((h->buckets[i] * BAR + highest - 1) / highest), bar);
	}
}

json_t *
trace_histogram_json(uint32_t request, const struct trace_wire_histogram *h)
{
	json_t *json = json_object(), *buckets, *one;
	unsigned int i;

	info_put(json, "call", "%s", trace_ioctl_name(request));
	info_put_int(json, "calls", h->calls);
	info_put_int(json, "failed", h->failed);
	info_put_int(json, "sum_ns", h->sum);
	info_put_int(json, "percent_99_ns", trace_histogram_at(h, 99));
	buckets = info_put_array(json, "buckets");
	for (i = 0; i < TRACE_WIRE_BUCKETS; i++)
		if (h->buckets[i] > 0) {
			one = info_add_object(buckets);
			info_put_int(one, "from_ns", 1ULL << i);
			info_put_int(one, "calls", h->buckets[i]);
		}
	return json;
}
