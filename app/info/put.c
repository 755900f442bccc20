/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Members of JSON objects, in the forms that gantry-info uses. Out of memory: the member is left
 * out. Implements part of info.h.
 */

#include <inttypes.h>
#include <stdarg.h>

#include "info.h"

/** Make a text printable: names of processes and links may hold any byte. */
static char *
printable(char *text)
{
	char *at;

	for (at = text; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return text;
}

void
info_put(json_t *object, const char *key, const char *fmt, ...)
{
	char text[INFO_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_object_set_new(object, key, json_string(printable(text)));
}

void
info_put_int(json_t *object, const char *key, uint64_t number)
{
	json_object_set_new(
		object, key, json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number));
}

void
info_put_answer(json_t *object, const char *key, json_t *answer)
{
	if (answer != NULL)
		json_object_set_new(object, key, answer);
}

void
info_put_bool(json_t *object, const char *key, bool value)
{
	json_object_set_new(object, key, json_boolean(value));
}

json_t *
info_put_object(json_t *object, const char *key)
{
	json_t *inner = json_object();

	json_object_set_new(object, key, inner);
	return inner;
}

json_t *
info_put_array(json_t *object, const char *key)
{
	json_t *inner = json_array();

	json_object_set_new(object, key, inner);
	return inner;
}

json_t *
info_add_object(json_t *array)
{
	json_t *inner = json_object();

	json_array_append_new(array, inner);
	return inner;
}

void
info_add(json_t *array, const char *text)
{
	char copy[INFO_TEXT_MAX];

	snprintf(copy, sizeof(copy), "%s", text);
	json_array_append_new(array, json_string(printable(copy)));
}

void
info_put_range(json_t *object, uint64_t start, uint64_t last)
{
	info_put(object, "start", "0x%" PRIx64, start);
	info_put(object, "last", "0x%" PRIx64, last);
}
