/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The facts of `map` as a picture of text: one line a part. The length of a bar is the logarithm of
 * the part's length, so 4 KiB and 128 GiB both show. Implements part of info.h.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"

/** Cells of the longest bar: one for each two bits of a length. */
#define BAR_MAX 32

/** How a kind is drawn. */
static const struct {
	const char *kind, *colour;
	char cell;
} kinds[] = {
	{"free", "2", '.'},
	{"outside", "2", ' '},
	{"reserved", "31", 'x'},
	{"reservation", "33", '-'},
	{"quarantine", "1;31", '!'},
	{"zone", "32", '#'},
	{"mapping", "34", '='},
	{"registration", "36", '+'},
};

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

static uint64_t
address_of(const json_t *object, const char *key)
{
	return strtoull(text_of(object, key), NULL, 16);
}

/** A length in at most five digits and a unit, rounded down; 0: 2^64. */
static void
size_print(FILE *out, uint64_t len)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned int unit = 0;

	while (unit < 6 && (len >= 102400 || (len >= 1024 && len % 1024 == 0))) {
		len >>= 10;
		unit++;
	}
	if (len == 0)
		fputs("16 EiB", out);
	else
		fprintf(out, "%" PRIu64 " %s", len, units[unit]);
}

static void
part_print(FILE *out, const json_t *part, bool colours)
{
	const uint64_t start = address_of(part, "start"),
		       len = address_of(part, "last") - start + 1;
	const json_int_t n = json_integer_value(json_object_get(part, "mappings"));
	/* All 2^64 bytes have a length of 0. */
	const unsigned int bits = len == 0 ? 64 : 63 - (unsigned int)__builtin_clzll(len);
	const char *kind = text_of(part, "kind");
	unsigned int i, cells;
	char cell = '?';

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].kind, kind) == 0)
			break;
	if (i < sizeof(kinds) / sizeof(kinds[0]))
		cell = kinds[i].cell;
	else
		colours = false;
	fprintf(out, "  0x%016" PRIx64 " ", start);
	if (colours)
		fprintf(out, "\033[%sm", kinds[i].colour);
	for (cells = 0; cells < BAR_MAX; cells++)
		fputc(cells <= (bits > 0 ? bits - 1 : 0) / 2 ? cell : ' ', out);
	if (colours)
		fputs("\033[0m", out);
	fprintf(out, " %-12s ", kind);
	size_print(out, len);
	if (text_of(part, "name")[0] != '\0')
		fprintf(out, ", %s", text_of(part, "name"));
	if (text_of(part, "owner")[0] != '\0')
		fprintf(out, ", of %s", text_of(part, "owner"));
	if (n > 1)
		fprintf(out, ", %" JSON_INTEGER_FORMAT " mappings", n);
	if (json_object_get(part, "page_size") != NULL) {
		fprintf(out, ", pages of %s",
			info_size(
				(uint64_t)json_integer_value(json_object_get(part, "page_size"))));
		if (json_integer_value(json_object_get(part, "node")) >= 0)
			fprintf(out, ", node %" JSON_INTEGER_FORMAT,
				json_integer_value(json_object_get(part, "node")));
	}
	fputc('\n', out);
}

static void
container_print(FILE *out, json_t *container, bool colours)
{
	json_t *devices = json_object_get(container, "attached"), *device, *part;
	const char *key;
	size_t i;

	fprintf(out,
		"container %s: %s, domains: %" JSON_INTEGER_FORMAT ", faults: %" JSON_INTEGER_FORMAT
		"\n",
		text_of(container, "name"), text_of(container, "backend"),
		json_integer_value(json_object_get(container, "domains")),
		json_integer_value(json_object_get(container, "faults")));
	json_object_foreach(devices, key, device)
		fprintf(out,
			"  device %s: domain %" JSON_INTEGER_FORMAT ", group %" JSON_INTEGER_FORMAT
			", node %" JSON_INTEGER_FORMAT "\n",
			text_of(device, "name"),
			json_integer_value(json_object_get(device, "domain")),
			json_integer_value(json_object_get(device, "group")),
			json_integer_value(json_object_get(device, "node")));
	json_array_foreach(json_object_get(container, "parts"), i, part)
		part_print(out, part, colours);
}

void
info_picture(FILE *out, const json_t *facts, bool colours)
{
	json_t *containers = json_object_get(facts, "containers"), *container;
	size_t i;

	fprintf(out, "process %" JSON_INTEGER_FORMAT " (%s)\n",
		json_integer_value(json_object_get(facts, "pid")), text_of(facts, "name"));
	json_array_foreach(containers, i, container)
		container_print(out, container, colours);
	if (json_array_size(containers) == 0)
		fputs("no container\n", out);
}
