/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is where in the IOVA spaces of a running process, by its telemetry or its status socket.
 * Implements part of info.h. gantry-trace links it too.
 */

#include <string.h>
#include <unistd.h>

#include "info.h"

/** Pages of an answer that are read: the space may grow while it is read. */
#define PAGES_MAX 10000

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

bool
info_telemetry_spaces(int fd, json_t *array)
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

bool
info_spaces(const struct info_process *p, json_t *array)
{
	json_t *status = info_status(p), *spaces = json_object_get(status, "spaces");
	int fd = info_telemetry_open(p);
	bool told = json_is_array(spaces);
	json_t *more = json_array();

	if (told)
		json_array_extend(array, spaces);
	json_decref(status);
	/* A DPDK program under gantry-run has telemetry, too. */
	if (fd >= 0 && info_telemetry_spaces(fd, more)) {
		json_array_extend(array, more);
		told = true;
	}
	json_decref(more);
	if (fd >= 0)
		close(fd);
	return told;
}
