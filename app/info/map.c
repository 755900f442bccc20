/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The command `map`: what is where in the IOVA spaces of a DPDK program, by its telemetry. Called
 * by options.c, and by programs.c for each program that is served.
 * Implements part of info.h.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "info.h"

/** Pages of an answer that are read: the space may grow while it is read. */
#define PAGES_MAX 10000
/** Zones that are read. */
#define ZONES_MAX 20000

/** Append the parts of one answer. @return where to go on; NULL: that was the end */
static const char *
parts_append(json_t *answer, json_t *parts, char next[32])
{
	const json_t *at = json_object_get(answer, "next");
	char number[16];
	json_t *part;
	size_t i;

	for (i = 0;; i++) {
		snprintf(number, sizeof(number), "%zu", i);
		part = json_object_get(answer, number);
		if (part == NULL)
			break;
		json_array_append(parts, part);
	}
	if (i == 0 || !json_is_string(at))
		return NULL;
	snprintf(next, 32, "%s", json_string_value(at));
	return next;
}

/** @return whether the program tells of spaces */
static bool
parts_read(int fd, const char *container, json_t *parts)
{
	char question[INFO_NAME_MAX], next[32] = "0";
	const char *more = next;
	unsigned int pages;
	json_t *answer;

	for (pages = 0; more != NULL && pages < PAGES_MAX; pages++) {
		snprintf(question, sizeof(question), "/dmamap/space,%s,%s", container, next);
		answer = info_telemetry_ask(fd, question);
		if (!json_is_object(answer)) {
			json_decref(answer);
			return false;
		}
		more = parts_append(answer, parts, next);
		json_decref(answer);
	}
	return true;
}

static bool
containers_read(int fd, json_t *array)
{
	bool told = info_telemetry_containers(fd, array);
	json_t *one;
	size_t i;

	json_array_foreach(array, i, one)
		told = parts_read(fd, json_string_value(json_object_get(one, "name")),
			       info_put_array(one, "parts")) &&
			told;
	return told;
}

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

	if (!containers_read(fd, containers))
		return false;
	counters_read(fd, containers);
	zones_read(fd, info_put_array(facts, "zones"));
	info_put_answer(facts, "memory", info_telemetry_ask(fd, "/dmamap/memory"));
	info_put_answer(facts, "faults", info_telemetry_ask(fd, "/dmamap/faults"));
	info_numa(h, facts);
	return true;
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
	if (fd < 0)
		return info_fail(h, INFO_FAILED,
			"%s: no telemetry: it is no DPDK program, runs with --no-telemetry, or belongs to"
			" another user",
			pid);
	info_line(h, name, sizeof(name), "/proc/%s/comm", pid);
	info_put_int(facts, "pid", strtoull(pid, NULL, 10));
	info_put(facts, "name", "%s", name);
	told = info_map_read(h, fd, facts);
	close(fd);
	if (told)
		return INFO_OK;
	json_object_clear(facts);
	return info_fail(h, INFO_FAILED,
		"%s: it does not use libdmamap, or an older one that does not tell what is where",
		pid);
}
