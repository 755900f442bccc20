/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Facts as text: one "name: value" a line, what belongs to a name indented below it, and one line
 * for each object of an array. Numbers whose names end in "_bytes" are printed as sizes. Implements
 * part of info.h.
 */

#include <inttypes.h>
#include <string.h>

#include "info.h"

#define INDENT 2

const char *
info_size(uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
	static char text[32];
	uint64_t number = bytes >> 10;
	unsigned int i = 0;

	if (bytes == 0 || bytes % 1024 != 0) {
		snprintf(text, sizeof(text), "%" PRIu64 " bytes", bytes);
		return text;
	}
	for (; number % 1024 == 0 && i < sizeof(units) / sizeof(units[0]) - 1; i++)
		number >>= 10;
	snprintf(text, sizeof(text), "%" PRIu64 " %s", number, units[i]);
	return text;
}

static bool
key_is_size(const char *key)
{
	const size_t len = strlen(key), suffix = strlen("_bytes");

	return len > suffix && strcmp(key + len - suffix, "_bytes") == 0;
}

static void
print_key(FILE *out, const char *key)
{
	const size_t len = strlen(key) - (key_is_size(key) ? strlen("_bytes") : 0);
	size_t i;

	for (i = 0; i < len; i++)
		fputc(key[i] == '_' ? ' ' : key[i], out);
}

static bool
is_scalar(const json_t *value)
{
	return !json_is_object(value) && !json_is_array(value);
}

static void
print_scalar(FILE *out, const char *key, const json_t *value)
{
	if (json_is_string(value))
		fputs(json_string_value(value), out);
	else if (json_is_integer(value) && key_is_size(key))
		fputs(info_size((uint64_t)json_integer_value(value)), out);
	else if (json_is_integer(value))
		fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		fprintf(out, "%g", json_real_value(value));
	else
		fputs(json_is_true(value) ? "yes" : json_is_false(value) ? "no" : "unknown", out);
}

/** Whether an array or object holds scalars only, so that it fits on a line. */
static bool
is_flat(const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_array(value)) {
		json_array_foreach(value, i, item)
			if (!is_scalar(item))
				return false;
		return true;
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, item)
		if (!is_scalar(item) && !(json_is_array(item) && is_flat(item)))
			return false;
	return true;
}

static void
print_list(FILE *out, const char *key, const json_t *array)
{
	json_t *item;
	size_t i;

	if (json_array_size(array) == 0)
		fputs("none", out);
	json_array_foreach(array, i, item) {
		fputs(i > 0 ? ", " : "", out);
		print_scalar(out, key, item);
	}
}

/** An object of an array, on one line: "start 0x0, last 0xfff". */
static void
print_flat_object(FILE *out, const json_t *object)
{
	const char *key, *comma = "";
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value) {
		fputs(comma, out);
		print_key(out, key);
		fputc(' ', out);
		if (json_is_array(value))
			print_list(out, key, value);
		else
			print_scalar(out, key, value);
		comma = ", ";
	}
}

static void print_object(FILE *out, const json_t *object, int indent);

static void
print_objects(FILE *out, const json_t *array, int indent)
{
	json_t *item;
	size_t i;

	json_array_foreach(array, i, item) {
		if (json_is_object(item) && !is_flat(item)) {
			print_object(out, item, indent);
			continue;
		}
		fprintf(out, "%*s", indent, "");
		if (json_is_object(item))
			print_flat_object(out, item);
		else
			print_scalar(out, "", item);
		fputc('\n', out);
	}
}

static void
print_object(FILE *out, const json_t *object, int indent)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value) {
		fprintf(out, "%*s", indent, "");
		print_key(out, key);
		fputc(':', out);
		if (is_scalar(value)) {
			fputc(' ', out);
			print_scalar(out, key, value);
		} else if (json_is_array(value) && is_flat(value)) {
			fputc(' ', out);
			print_list(out, key, value);
		}
		fputc('\n', out);
		if (json_is_object(value))
			print_object(out, value, indent + INDENT);
		else if (json_is_array(value) && !is_flat(value))
			print_objects(out, value, indent + INDENT);
	}
}

void
info_print(FILE *out, const json_t *facts)
{
	print_object(out, facts, 0);
}
