/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * `gantry-info why`: the table of checks, the walk through it, and the verdict. See why.h.
 */

#include <stdarg.h>
#include <string.h>

#include "why.h"

static const struct {
	const char *name;
	bool (*run)(struct why *w);
} checks[] = {
	{"device", why_device},
	{"iommu", why_iommu},
	{"module", why_module},
	{"driver", why_driver},
	{"group", why_group},
	{"files", why_files},
	{"permission", why_permission},
	{"control group", why_cgroup},
	{"busy", why_busy},
	{"memlock", why_memlock},
	{"attach", why_attach},
	{"entries", why_entries},
	{"aperture", why_aperture},
	{"reserved", why_reserved},
	{"hugepages", why_hugepages},
	{"map", why_map},
};

/** Format into a text of INFO_TEXT_MAX bytes. */
#define FORMAT(text, fmt)                                                                          \
	do {                                                                                       \
		va_list ap_;                                                                       \
                                                                                                   \
		va_start(ap_, fmt);                                                                \
		vsnprintf(text, INFO_TEXT_MAX, fmt, ap_);                                          \
		va_end(ap_);                                                                       \
	} while (0)

bool
why_passes(struct why *w, const char *fmt, ...)
{
	FORMAT(w->saw, fmt);
	return true;
}

bool
why_fails(struct why *w, const char *fmt, ...)
{
	FORMAT(w->saw, fmt);
	return false;
}

void
why_command(struct why *w, const char *fmt, ...)
{
	FORMAT(w->command, fmt);
}

void
why_note(struct why *w, const char *fmt, ...)
{
	char text[INFO_TEXT_MAX];

	FORMAT(text, fmt);
	info_add(w->notes, text);
}

static void
check_put(json_t *array, const char *name, const char *result, const char *saw)
{
	json_t *one = info_add_object(array);

	info_put(one, "name", "%s", name);
	info_put(one, "result", "%s", result);
	if (saw[0] != '\0')
		info_put(one, "saw", "%s", saw);
}

/** Run the checks. @return the name of the one that failed, or NULL */
static const char *
walk(struct why *w, json_t *array)
{
	const char *failed = NULL;
	unsigned int i;

	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (failed != NULL) {
			check_put(array, checks[i].name, "not reached", "");
			continue;
		}
		w->saw[0] = '\0';
		if (!checks[i].run(w))
			failed = checks[i].name;
		check_put(array, checks[i].name, failed == NULL ? "ok" : "failed", w->saw);
	}
	/* The last check's result is the verdict: what failed, or what the map found. */
	return failed;
}

static const char *
verdict_of(const json_t *array)
{
	const char *saw = "";
	json_t *one, *text;
	size_t i;

	json_array_foreach(array, i, one) {
		text = json_object_get(one, "saw");
		saw = text != NULL ? json_string_value(text) : saw;
	}
	return saw;
}

int
info_why(const struct info_host *h, const struct info_options *o, const char *name, json_t *facts)
{
	struct why w = {.host = h, .want = o, .notes = json_array()};
	json_t *array = json_array();
	const char *failed;

	if (info_address(name, w.dev.address) < 0) {
		json_decref(array);
		json_decref(w.notes);
		return info_fail(h, INFO_USAGE, "%s: not a PCI address such as 0000:01:00.0", name);
	}
	failed = walk(&w, array);
	info_domain_close(&w.domain);
	info_put(facts, "address", "%s", w.dev.address);
	info_put_bool(facts, "usable", failed == NULL);
	info_put(facts, "verdict", "%s", verdict_of(array));
	if (failed != NULL) {
		info_put(facts, "failed", "%s", failed);
		info_put(facts, "do", "%s", w.command);
	}
	json_object_set_new(facts, "notes", w.notes);
	json_object_set_new(facts, "checks", array);
	return failed == NULL ? INFO_OK : INFO_FAILED;
}

/** A member that is a text. */
static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

void
info_why_print(FILE *out, const json_t *facts)
{
	const json_t *notes = json_object_get(facts, "notes");
	const json_t *array = json_object_get(facts, "checks");
	const bool usable = json_is_true(json_object_get(facts, "usable"));
	json_t *one;
	size_t i;

	fprintf(out, "%s: %s: %s\n", text_of(facts, "address"), usable ? "usable" : "not usable",
		text_of(facts, "verdict"));
	if (!usable)
		fprintf(out, "do: %s\n", text_of(facts, "do"));
	json_array_foreach(notes, i, one)
		fprintf(out, "note: %s\n", json_string_value(one));
	fputc('\n', out);
	json_array_foreach(array, i, one)
		if (strcmp(text_of(one, "result"), "not reached") != 0)
			fprintf(out, "%-7s %-14s %s\n", text_of(one, "result"),
				text_of(one, "name"), text_of(one, "saw"));
}
