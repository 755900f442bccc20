/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The command `map`: what is where in the IOVA spaces of a DPDK program, by its telemetry, or of
 * a program under gantry-run, by its status socket. Called by options.c, and by programs.c for each
 * program that is served. Implements part of info.h.
 */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "info.h"

/** Zones that are read. */
#define ZONES_MAX 20000

static void
counters_read(int fd, json_t *containers)
{
	char question[INFO_NAME_MAX];
	const char *name;
	json_t *one;
	size_t i;

	json_array_foreach(containers, i, one) {
		name = json_string_value(json_object_get(one, "name"));
		snprintf(question, sizeof(question), "/dmamap/counters,%s",
			name != NULL ? name : "");
		info_put_answer(one, "counters", info_telemetry_ask(fd, question));
	}
}

/** Read all zones, 40 in an answer. */
static void
zones_read(int fd, json_t *zones)
{
	char question[INFO_NAME_MAX], number[16];
	json_t *answer, *zone;
	size_t before;

	do {
		before = json_array_size(zones);
		snprintf(question, sizeof(question), "/dmamap/zones,%zu", before);
		answer = info_telemetry_ask(fd, question);
		for (;;) {
			snprintf(number, sizeof(number), "%zu", json_array_size(zones));
			zone = json_object_get(answer, number);
			if (!json_is_object(zone))
				break;
			json_array_append(zones, zone);
		}
		json_decref(answer);
	} while (json_array_size(zones) > before && json_array_size(zones) < ZONES_MAX);
}

bool
info_map_read(const struct info_host *h, int fd, json_t *facts)
{
	json_t *containers = info_put_array(facts, "containers");

	if (!info_telemetry_spaces(fd, containers))
		return false;
	counters_read(fd, containers);
	zones_read(fd, info_put_array(facts, "zones"));
	info_put_answer(facts, "memory", info_telemetry_ask(fd, "/dmamap/memory"));
	info_put_answer(facts, "faults", info_telemetry_ask(fd, "/dmamap/faults"));
	info_numa(h, facts);
	return true;
}

/** Read the spaces of a program under gantry-run. @return whether it tells of them */
static bool
status_map_read(const struct info_process *p, json_t *facts)
{
	json_t *status = info_status(p), *spaces = json_object_get(status, "spaces");
	const bool told = json_is_array(spaces);

	if (told)
		json_object_set(facts, "containers", spaces);
	json_decref(status);
	return told;
}

int
info_map(const struct info_host *h, const char *pid, json_t *facts)
{
	char name[INFO_NAME_MAX];
	struct info_process p;
	int fd, rc = info_process_find(h, pid, &p);
	bool told;

	if (rc != INFO_OK)
		return rc;
	fd = info_telemetry_open(&p);
	info_line(h, name, sizeof(name), "/proc/%s/comm", pid);
	info_put_int(facts, "pid", strtoull(pid, NULL, 10));
	info_put(facts, "name", "%s", name);
	told = fd >= 0 && info_map_read(h, fd, facts);
	if (fd >= 0)
		close(fd);
	if (told || status_map_read(&p, facts))
		return INFO_OK;
	json_object_clear(facts);
	if (fd < 0)
		return info_fail(h, INFO_FAILED,
			"%s: no telemetry, no status socket: it is no DPDK program, runs with"
			" --no-telemetry, was not started by gantry-run --status, or belongs to"
			" another user",
			pid);
	return info_fail(h, INFO_FAILED,
		"%s: it does not use libdmamap, or an older one that does not tell what is where",
		pid);
}
