/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Parser of the options. Implements preload_options.h.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "preload_options.h"

/** A value of an option, by name. */
struct choice {
	const char *name;
	int value;
};

static const struct choice backends[] = {
	{"auto", DMAMAP_BACKEND_AUTO},
	{"type1", DMAMAP_BACKEND_TYPE1},
	{"iommufd", DMAMAP_BACKEND_IOMMUFD},
	{NULL, 0},
};

static const struct choice coalescing[] = {
	{"off", FRONT_COALESCE_OFF},
	{"start", FRONT_COALESCE_START},
	{"always", FRONT_COALESCE_ALWAYS},
	{NULL, 0},
};

/**
 * Match an item with a key. A key that ends in "=" matches as a prefix; any other must be equal.
 * @return the item's value, possibly empty; NULL: no match.
 */
static const char *
item_value(const char *item, size_t len, const char *key)
{
	size_t key_len = strlen(key);

	if (len < key_len || strncmp(item, key, key_len) != 0)
		return NULL;
	return key[key_len - 1] == '=' || len == key_len ? item + key_len : NULL;
}

/** @return the value of a name; -EINVAL: unknown. */
static int
choice_find(const struct choice *choices, const char *value, size_t len)
{
	for (; choices->name != NULL; choices++)
		if (strlen(choices->name) == len && strncmp(choices->name, value, len) == 0)
			return choices->value;
	return -EINVAL;
}

/** Parse any item except log. */
static int
item_parse(const char *item, size_t len, struct preload_options *o)
{
	const char *value;
	int number;

	value = item_value(item, len, "backend=");
	if (value != NULL) {
		number = choice_find(backends, value, item + len - value);
		o->conf.backend = number < 0 ? o->conf.backend : (enum dmamap_backend)number;
		return number < 0 ? number : 0;
	}
	value = item_value(item, len, "coalesce=");
	if (value != NULL) {
		number = choice_find(coalescing, value, item + len - value);
		o->conf.coalesce = number < 0 ? o->conf.coalesce : (enum front_coalesce)number;
		return number < 0 ? number : 0;
	}
	if (item_value(item, len, "isolate") != NULL)
		o->conf.isolate = true;
	else if (item_value(item, len, "report") != NULL)
		o->report = true;
	else if (item_value(item, len, "status") != NULL)
		o->status = true;
	else if (item_value(item, len, "faults") != NULL)
		o->faults = true;
	else
		return -EINVAL;
	return 0;
}

static int
log_parse(const char *path, struct preload_options *o)
{
	if (path[0] == '\0' || strlen(path) >= sizeof(o->log))
		return -EINVAL;
	strcpy(o->log, path);
	return 0;
}

int
preload_options_parse(const char *text, struct preload_options *options, char *bad, size_t size)
{
	const char *path;
	size_t len = 0;
	int rc = 0;

	memset(options, 0, sizeof(*options));
	for (; text != NULL && *text != '\0' && rc == 0; text += len + (text[len] == ',')) {
		len = strcspn(text, ",");
		path = item_value(text, len, "log=");
		if (path != NULL)
			len = strlen(text);
		rc = path != NULL ? log_parse(path, options) : item_parse(text, len, options);
		if (rc < 0) {
			snprintf(bad, size, "%.*s", (int)len, text);
			memset(options, 0, sizeof(*options));
		}
	}
	return rc;
}
