/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is printed of an audit: one line for each difference, or JSON. Called by audit.c.
 */

#include <inttypes.h>

#include "trace.h"

/** "zone e1000e rings of 0000:01:00.0", "mapping". */
static const char *
part_text(const struct trace_difference *d, char *text, size_t size)
{
	snprintf(text, size, "%s%s%s%s%s", d->what, d->name[0] != '\0' ? " " : "", d->name,
		d->owner[0] != '\0' ? " of " : "", d->owner);
	return text;
}

static const char *
access_text(uint32_t prot)
{
	static const char *const texts[] = {"no access", "read", "write", "read and write"};

	return texts[prot & 3];
}

static void
difference_print(FILE *out, const struct trace_difference *d)
{
	char text[3 * TRACE_NAME_MAX];

	if (d->kind == TRACE_UNKNOWN_HERE) {
		fprintf(out,
			"kernel maps 0x%" PRIx64 "..0x%" PRIx64 ", nobody here knows it: %s, %s",
			d->range.start, d->range.last, d->domain, access_text(d->prot));
		if (d->vaddr != 0)
			fprintf(out, ", memory 0x%" PRIx64, d->vaddr);
		fprintf(out,
			d->container[0] != '\0' ? ", container %s\n"
						: ", no container has this domain\n",
			d->container);
		return;
	}
	fprintf(out,
		"%s believes 0x%" PRIx64 "..0x%" PRIx64
		" mapped, the kernel has nothing: %s, container %s\n",
		part_text(d, text, sizeof(text)), d->range.start, d->range.last,
		d->domain[0] != '\0' ? d->domain : "there is no such domain", d->container);
}

void
trace_found_print(FILE *out, const char *pid, const struct trace_found *found)
{
	size_t i;

	for (i = 0; i < found->differences.n; i++)
		difference_print(out, &found->differences.v[i]);
	fprintf(out,
		"process %s: %zu containers, %zu domains of the kernel with %zu mappings: ", pid,
		found->containers, found->domains, found->entries);
	if (found->differences.n == 0)
		fprintf(out, "same");
	else
		fprintf(out, "%zu differences", found->differences.n);
	fprintf(out, found->torn ? " (they changed during each walk)\n" : "\n");
	fflush(out);
}

json_t *
trace_found_json(const char *pid, const struct trace_found *found)
{
	json_t *facts = json_object(), *array, *one;
	const struct trace_difference *d;
	size_t i;

	info_put(facts, "pid", "%s", pid);
	info_put_bool(facts, "same", found->differences.n == 0);
	info_put_int(facts, "containers", found->containers);
	info_put_int(facts, "domains", found->domains);
	info_put_int(facts, "kernel_mappings", found->entries);
	info_put_bool(facts, "changing", found->torn);
	array = info_put_array(facts, "differences");
	for (i = 0; i < found->differences.n; i++) {
		d = &found->differences.v[i];
		one = info_add_object(array);
		info_put(one, "kind", d->kind == TRACE_UNKNOWN_HERE ? "unknown" : "lost");
		info_put_range(one, d->range.start, d->range.last);
		info_put(one, "domain", "%s", d->domain);
		info_put(one, "container", "%s", d->container);
		if (d->kind == TRACE_LOST) {
			info_put(one, "what", "%s", d->what);
			info_put(one, "name", "%s", d->name);
			info_put(one, "owner", "%s", d->owner);
		} else {
			info_put(one, "access", "%s", access_text(d->prot));
			info_put(one, "memory", "0x%" PRIx64, d->vaddr);
		}
	}
	return facts;
}
