/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The state of all programs as metrics, in the text format 0.0.4 of Prometheus
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Implements part of info.h.
 *
 * Invariants: a metric has its HELP and TYPE once, and all its samples behind them. Counters end in
 * _total, other units are base units.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"

/** What samples are printed with. */
struct metrics {
	FILE *out;
	const json_t *program, *container;
	const char *name; /**< of the metric */
};

static const char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

/** Print a label. In its value, backslash, quote and newline are escaped. */
static void
label_print(const struct metrics *m, const char *name, const char *value, bool first)
{
	fprintf(m->out, "%s%s=\"", first ? "" : ",", name);
	for (; *value != '\0'; value++) {
		if (*value == '\n')
			fputs("\\n", m->out);
		else if (*value == '\\' || *value == '"')
			fprintf(m->out, "\\%c", *value);
		else
			fputc(*value, m->out);
	}
	fputc('"', m->out);
}

/** Print a name, and the labels of program and container, and further ones: name, value, NULL. */
static void
sample_begin(const struct metrics *m, const char *suffix, const char *const *labels)
{
	unsigned int i;
	char pid[32];

	fprintf(m->out, "%s%s", m->name, suffix);
	if (m->program != NULL || labels != NULL)
		fputc('{', m->out);
	if (m->program != NULL) {
		snprintf(pid, sizeof(pid), "%" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(m->program, "pid")));
		label_print(m, "pid", pid, true);
		label_print(m, "program", text_of(m->program, "name"), false);
	}
	if (m->container != NULL)
		label_print(m, "container", text_of(m->container, "name"), false);
	for (i = 0; labels != NULL && labels[i] != NULL; i += 2)
		label_print(m, labels[i], labels[i + 1], m->program == NULL && i == 0);
	if (m->program != NULL || labels != NULL)
		fputc('}', m->out);
	fputc(' ', m->out);
}

#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
sample(const struct metrics *m, const char *const *labels, uint64_t value)
{
	sample_begin(m, "", labels);
	fprintf(m->out, "%" PRIu64 "\n", value);
}

/** Print a number of an object, unless it has none. */
static void
sample_of(const struct metrics *m, const json_t *object, const char *key, const char *const *labels)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_integer(value))
		sample(m, labels, (uint64_t)json_integer_value(value));
}

/* What metrics tell of a container. */

static void
container_number(const struct metrics *m, const char *key)
{
	sample_of(m, m->container, key, NULL);
}

/** Bytes of the IOVA space by kind; "free" and "outside" are not held by anybody. */
static void
container_space(const struct metrics *m, const char *key)
{
	static const char *const kinds[] = {
		"zone", "mapping", "registration", "reservation", "reserved", "quarantine", "free"};
	json_t *part;
	uint64_t sum;
	unsigned int k;
	size_t i;

	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		sum = 0;
		json_array_foreach(json_object_get(m->container, "parts"), i, part)
			if (strcmp(text_of(part, "kind"), kinds[k]) == 0)
				sum += strtoull(text_of(part, "last"), NULL, 16) -
					strtoull(text_of(part, "start"), NULL, 16) + 1;
		sample(m, LABELS("kind", kinds[k]), sum);
	}
}

static void
container_devices(const struct metrics *m, const char *key)
{
	char domain[24], group[24], node[24];
	json_t *device;
	const char *i;

	json_object_foreach(json_object_get(m->container, "attached"), i, device) {
		snprintf(domain, sizeof(domain), "%" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(device, "domain")));
		snprintf(group, sizeof(group), "%" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(device, "group")));
		snprintf(node, sizeof(node), "%" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(device, "node")));
		sample(m,
			LABELS("device", text_of(device, "name"), "domain", domain, "group", group,
				"node", node),
			1);
	}
}

static void
container_refused(const struct metrics *m, const char *key)
{
	json_t *refused = json_object_get(json_object_get(m->container, "counters"), "refused");
	const char *call, *reason;
	json_t *reasons, *n;

	json_object_foreach(refused, call, reasons)
		json_object_foreach(reasons, reason, n)
			sample(m, LABELS("call", call, "errno", reason),
				(uint64_t)json_integer_value(n));
}

static void
histogram_print(const struct metrics *m, const char *call, const json_t *h, double bound)
{
	const json_t *buckets = json_object_get(h, "buckets");
	const size_t n = json_array_size(buckets);
	uint64_t sum = 0;
	char le[32];
	size_t i;

	for (i = 0; i < n; i++, bound *= 2) {
		sum += (uint64_t)json_integer_value(json_array_get(buckets, i));
		snprintf(le, sizeof(le), "%.9g", bound / 1e9);
		sample_begin(m, "_bucket", LABELS("call", call, "le", i + 1 < n ? le : "+Inf"));
		fprintf(m->out, "%" PRIu64 "\n", sum);
	}
	sample_begin(m, "_sum", LABELS("call", call));
	fprintf(m->out, "%.9f\n", (double)json_integer_value(json_object_get(h, "sum_ns")) / 1e9);
	sample_begin(m, "_count", LABELS("call", call));
	fprintf(m->out, "%" PRIu64 "\n", sum);
}

/** Print the histograms whose names begin with a prefix, without it. "": those with no prefix. */
static void
container_times(const struct metrics *m, const char *prefix)
{
	static const char *const calls[] = {"map", "unmap", "attach"};
	json_t *counters = json_object_get(m->container, "counters"), *one;
	const json_t *first = json_object_get(counters, "first_ns");
	char name[32];
	unsigned int i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", prefix, calls[i]);
		one = json_object_get(json_object_get(counters, "times"), name);
		if (json_is_object(one))
			histogram_print(m, calls[i], one, (double)json_integer_value(first));
	}
}

/* What metrics tell of a program. */

static void
program_up(const struct metrics *m, const char *key)
{
	sample(m, NULL, strcmp(text_of(m->program, "state"), "running") == 0);
}

static void
program_containers(const struct metrics *m, const char *key)
{
	sample(m, NULL, json_array_size(json_object_get(m->program, "containers")));
}

static void
program_faults(const struct metrics *m, const char *key)
{
	sample_of(m, json_object_get(m->program, "faults"), key, NULL);
}

static void
program_owners(const struct metrics *m, const char *key)
{
	json_t *node, *owner;
	size_t i, j;

	json_array_foreach(json_object_get(m->program, "numa"), i, node)
		json_array_foreach(json_object_get(node, "owners"), j, owner)
			sample_of(m, owner, "bytes",
				LABELS("owner", text_of(owner, "owner"), "node",
					text_of(node, "node")));
}

/* What metrics tell of the machine and of this program. */

static void
state_reads(const struct metrics *m, const json_t *state, const char *key)
{
	sample_of(m, state, key, NULL);
}

static void
state_hugepages(const struct metrics *m, const json_t *state, const char *key)
{
	json_t *one;
	char size[24];
	size_t i;

	json_array_foreach(json_object_get(state, "hugepages"), i, one) {
		snprintf(size, sizeof(size), "%" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(one, "page_size_bytes")));
		sample_of(
			m, one, key, LABELS("node", text_of(one, "node"), "page_size_bytes", size));
	}
}

static const struct metric {
	const char *name, *type, *help;
	void (*of_state)(const struct metrics *m, const json_t *state, const char *key);
	void (*of_program)(const struct metrics *m, const char *key);
	void (*of_container)(const struct metrics *m, const char *key);
	const char *key;
} all[] = {
	{"gantry_info_reads_total", "counter", "Times that the programs were asked.",
		.of_state = state_reads, .key = "reads"},
	{"gantry_node_hugepages", "gauge", "Hugepages of the machine by node and size.",
		.of_state = state_hugepages, .key = "total"},
	{"gantry_node_hugepages_free", "gauge", "Hugepages that are free, by node and size.",
		.of_state = state_hugepages, .key = "free"},
	{"gantry_up", "gauge", "1 if the program answers and uses libdmamap.",
		.of_program = program_up},
	{"gantry_containers", "gauge", "Containers of the program.",
		.of_program = program_containers},
	{"gantry_faults_total", "counter", "Accesses of devices that an IOMMU blocked.",
		.of_program = program_faults, .key = "faults"},
	{"gantry_faults_suppressed_total", "counter",
		"Faults that were counted and not logged, so as to log one a second.",
		.of_program = program_faults, .key = "suppressed"},
	{"gantry_faults_lost_total", "counter", "Lines of the kernel's log that were lost.",
		.of_program = program_faults, .key = "lost"},
	{"gantry_owner_bytes", "gauge", "Memory of zones by owner and NUMA node.",
		.of_program = program_owners},
	{"gantry_container_domains", "gauge", "IOMMU domains.", .of_container = container_number,
		.key = "domains"},
	{"gantry_container_groups", "gauge", "IOMMU groups.", .of_container = container_number,
		.key = "groups"},
	{"gantry_container_devices", "gauge", "Devices that are attached.",
		.of_container = container_number, .key = "devices"},
	{"gantry_device_info", "gauge", "A device, with its domain, group and NUMA node; always 1.",
		.of_container = container_devices},
	{"gantry_container_entries_used", "gauge", "Map entries that are used in each domain.",
		.of_container = container_number, .key = "mappings"},
	{"gantry_container_entries_left", "gauge",
		"Map entries that are left in the fullest domain; absent without a limit.",
		.of_container = container_number, .key = "entries_left"},
	{"gantry_container_mapped_bytes", "gauge", "Bytes that are mapped.",
		.of_container = container_number, .key = "mapped_bytes"},
	{"gantry_container_zone_bytes", "gauge", "Bytes of zones.",
		.of_container = container_number, .key = "zone_bytes"},
	{"gantry_container_quarantined_bytes", "gauge",
		"IOVA space that is lost after a failed unmap.", .of_container = container_number,
		.key = "quarantined_bytes"},
	{"gantry_container_space_bytes", "gauge", "IOVA space by what is there.",
		.of_container = container_space},
	{"gantry_container_faults_total", "counter",
		"Accesses of the container's devices that an IOMMU blocked.",
		.of_container = container_number, .key = "faults"},
	{"gantry_container_kernel_maps_total", "counter", "Map calls to the kernel.",
		.of_container = container_number, .key = "map_calls"},
	{"gantry_container_kernel_unmaps_total", "counter", "Unmap calls to the kernel.",
		.of_container = container_number, .key = "unmap_calls"},
	{"gantry_container_refused_total", "counter", "Calls that failed, by errno.",
		.of_container = container_refused},
	{"gantry_call_duration_seconds", "histogram",
		"Time of a request to map, to unmap or to attach.", .of_container = container_times,
		.key = ""},
	{"gantry_kernel_call_duration_seconds", "histogram",
		"The kernel's time for one domain, of a map, an unmap or an attach.",
		.of_container = container_times, .key = "kernel_"},
};

static void
metric_of_programs(struct metrics *m, const struct metric *metric, const json_t *state)
{
	json_t *program, *container;
	size_t i, j;

	json_array_foreach(json_object_get(state, "programs"), i, program) {
		/* Of a program that has ended, only that is told. */
		if (metric->of_program != program_up &&
			strcmp(text_of(program, "state"), "gone") == 0)
			continue;
		m->program = program;
		if (metric->of_program != NULL)
			metric->of_program(m, metric->key);
		if (metric->of_container == NULL)
			continue;
		json_array_foreach(json_object_get(program, "containers"), j, container) {
			m->container = container;
			metric->of_container(m, metric->key);
		}
		m->container = NULL;
	}
	m->program = NULL;
}

void
info_metrics(FILE *out, const json_t *state)
{
	struct metrics m = {.out = out};
	unsigned int i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		m.name = all[i].name;
		fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", m.name, all[i].help, m.name,
			all[i].type);
		if (all[i].of_state != NULL)
			all[i].of_state(&m, state, all[i].key);
		else
			metric_of_programs(&m, &all[i], state);
	}
}
