/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Checks of `why` on memory: the limit on locked memory, and hugepages. See why.h.
 */

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include "why.h"

bool
why_memlock(struct why *w)
{
	const uint64_t need = (w->want->length + 1023) & ~UINT64_C(1023);
	uint64_t soft, hard;
	char limit[32];

	if (!info_memlock(&soft, &hard))
		return why_passes(
			w, soft == RLIM_INFINITY ? "unlimited" : "this process has CAP_IPC_LOCK");
	snprintf(limit, sizeof(limit), "%s", info_size(soft));
	if (soft >= need)
		return why_passes(w, "%s", limit);
	if (hard >= need)
		why_command(w, "ulimit -S -l %" PRIu64, need >> 10);
	else
		why_command(w, "prlimit --pid $$ --memlock=%" PRIu64 ":%" PRIu64, need, need);
	why_note(w,
		"for a service of systemd: LimitMEMLOCK=; for logins: memlock in"
		" /etc/security/limits.conf");
	return why_fails(w,
		"RLIMIT_MEMLOCK is %s, and %s are to be mapped: pinned memory counts as locked",
		limit, info_size(need));
}

static bool
size_is_line(void *arg, char *line)
{
	return sscanf(line, "Hugepagesize: %" SCNu64 " kB", (uint64_t *)arg) == 1;
}

/** Bytes in hugepages that are free and not reserved by a process. */
static uint64_t
hugepages_available(const struct info_host *h)
{
	json_t *sizes = info_list(h, "/sys/kernel/mm/hugepages"), *one;
	uint64_t kib, free_pages, reserved, len = 0;
	size_t i;

	json_array_foreach(sizes, i, one) {
		const char *name = json_string_value(one);

		if (sscanf(name, "hugepages-%" SCNu64 "kB", &kib) != 1)
			continue;
		info_number(h, &free_pages, "/sys/kernel/mm/hugepages/%s/free_hugepages", name);
		info_number(h, &reserved, "/sys/kernel/mm/hugepages/%s/resv_hugepages", name);
		len += free_pages > reserved ? (free_pages - reserved) * (kib << 10) : 0;
	}
	json_decref(sizes);
	return len;
}

/** Free hugepages on the device's node; noted if there are none. */
static void
note_node(struct why *w)
{
	json_t *array = json_array(), *one;
	uint64_t n = 0;
	char node[16];
	size_t i;

	info_hugepages(w->host, array);
	snprintf(node, sizeof(node), "%d", w->dev.node);
	json_array_foreach(array, i, one)
		if (strcmp(json_string_value(json_object_get(one, "node")), node) == 0)
			n += (uint64_t)json_integer_value(json_object_get(one, "free"));
	json_decref(array);
	if (n == 0)
		why_note(w,
			"no hugepage is free on node %d, where the device is: echo 64"
			" >/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages",
			w->dev.node, w->dev.node);
}

bool
why_hugepages(struct why *w)
{
	const uint64_t available = hugepages_available(w->host);
	uint64_t kib = 0, total, size, more;
	char text[32];

	if (w->want->no_huge)
		return why_passes(w, "not wanted");
	snprintf(text, sizeof(text), "%s", info_size(available));
	if (available >= w->want->length) {
		if (w->dev.node >= 0)
			note_node(w);
		return why_passes(w, "%s are free", text);
	}
	info_each_line(w->host, size_is_line, &kib, "/proc/meminfo");
	size = kib != 0 ? kib << 10 : UINT64_C(2) << 20;
	info_hugepages_free(w->host, size, &total);
	more = (w->want->length - available + size - 1) / size;
	why_command(w, "sysctl -w vm.nr_hugepages=%" PRIu64, total + more);
	why_note(
		w, "programs that need no hugepages: gantry-info why %s --no-huge", w->dev.address);
	return why_fails(w, "too few hugepages: %s are free, and %s are wanted",
		available == 0 ? "none" : text, info_size(w->want->length));
}
