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

static json_int_t
number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
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

/** Print the first n cells of a bar, and blanks. */
static void
cells_print(FILE *out, char cell, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < BAR_MAX; i++)
		fputc(i < n ? cell : ' ', out);
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
	unsigned int i;
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
	cells_print(out, cell, (bits > 0 ? bits - 1 : 0) / 2 + 1);
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

/** Print the devices of each domain. */
static void
domains_print(FILE *out, json_t *devices)
{
	json_int_t domain = -1, next;
	json_t *device;
	const char *key;

	for (;; domain = next) {
		next = INT64_MAX;
		json_object_foreach(devices, key, device)
			if (number_of(device, "domain") > domain &&
				number_of(device, "domain") < next)
				next = number_of(device, "domain");
		if (next == INT64_MAX)
			return;
		fprintf(out, "  domain %" JSON_INTEGER_FORMAT "\n", next);
		json_object_foreach(devices, key, device) {
			if (number_of(device, "domain") != next)
				continue;
			fprintf(out, "    %s: group %" JSON_INTEGER_FORMAT, text_of(device, "name"),
				number_of(device, "group"));
			if (number_of(device, "node") >= 0)
				fprintf(out, ", node %" JSON_INTEGER_FORMAT,
					number_of(device, "node"));
			fputc('\n', out);
		}
	}
}

/** Print a node: a bar for each owner, whose length is the share of the most on any node. */
static void
node_print(FILE *out, const json_t *node, json_int_t most, bool colours)
{
	json_t *one;
	size_t i;

	fprintf(out, "node %s\n", text_of(node, "node"));
	json_array_foreach(json_object_get(node, "owners"), i, one) {
		fprintf(out, "  %s", colours ? "\033[32m" : "");
		cells_print(out, '#',
			(unsigned int)(1 + number_of(one, "bytes") * (BAR_MAX - 1) / most));
		fprintf(out, "%s ", colours ? "\033[0m" : "");
		size_print(out, (uint64_t)number_of(one, "bytes"));
		fprintf(out, " %s\n", text_of(one, "owner"));
	}
	json_array_foreach(json_object_get(node, "devices"), i, one)
		fprintf(out, "  device %s\n", json_string_value(one));
	json_array_foreach(json_object_get(node, "hugepages"), i, one)
		if (number_of(one, "total") > 0)
			fprintf(out,
				"  hugepages of %s: %" JSON_INTEGER_FORMAT
				" of %" JSON_INTEGER_FORMAT " free\n",
				info_size((uint64_t)number_of(one, "page_size_bytes")),
				number_of(one, "free"), number_of(one, "total"));
}

static void
numa_print(FILE *out, json_t *numa, bool colours)
{
	json_t *node, *owner;
	json_int_t most = 1;
	size_t i, j;

	json_array_foreach(numa, i, node)
		json_array_foreach(json_object_get(node, "owners"), j, owner)
			if (number_of(owner, "bytes") > most)
				most = number_of(owner, "bytes");
	json_array_foreach(numa, i, node)
		node_print(out, node, most, colours);
}

static void
container_print(FILE *out, json_t *container, bool colours)
{
	json_t *part;
	size_t i;

	fprintf(out,
		"container %s: %s, domains: %" JSON_INTEGER_FORMAT ", faults: %" JSON_INTEGER_FORMAT
		"\n",
		text_of(container, "name"), text_of(container, "backend"),
		json_integer_value(json_object_get(container, "domains")),
		json_integer_value(json_object_get(container, "faults")));
	domains_print(out, json_object_get(container, "attached"));
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
	numa_print(out, json_object_get(facts, "numa"), colours);
}
