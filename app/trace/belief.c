/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What the containers of a process believe, out of the answers of telemetry or of the status socket
 * (app/info/spaces.c). Called by audit.c.
 *
 * Invariant: an answer is untrusted. Parts have to ascend without overlap, or nothing of it is
 * used.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

/** @return whether the member is an address, "0x1000" */
static bool
address_parse(const json_t *part, const char *key, uint64_t *address)
{
	const char *text = json_string_value(json_object_get(part, key));
	char *end;

	if (text == NULL || strncmp(text, "0x", 2) != 0 ||
		strspn(text + 2, "0123456789abcdef") > 16)
		return false;
	*address = strtoull(text + 2, &end, 16);
	return end != text + 2 && *end == '\0';
}

static void
text_copy(char *to, size_t size, const json_t *part, const char *key)
{
	const char *text = json_string_value(json_object_get(part, key));
	char *at;

	snprintf(to, size, "%s", text != NULL ? text : "");
	for (at = to; *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
}

static int
part_parse(const json_t *part, struct trace_container *c, uint64_t *next, bool *ended)
{
	static const char *const mapped[] = {"zone", "mapping", "registration"};
	struct trace_part p = {0};
	unsigned int i;

	if (!address_parse(part, "start", &p.range.start) ||
		!address_parse(part, "last", &p.range.last) || p.range.last < p.range.start ||
		*ended || p.range.start < *next)
		return -EBADMSG;
	*next = p.range.last + 1;
	*ended = *next == 0;
	text_copy(p.kind, sizeof(p.kind), part, "kind");
	text_copy(p.name, sizeof(p.name), part, "name");
	text_copy(p.owner, sizeof(p.owner), part, "owner");
	if (strcmp(p.kind, "quarantine") == 0)
		return trace_ranges_add(&c->unsure, p.range.start, p.range.last);
	for (i = 0; i < sizeof(mapped) / sizeof(mapped[0]); i++)
		if (strcmp(p.kind, mapped[i]) == 0) {
			c->parts[c->n_parts++] = p;
			return trace_ranges_add(&c->mapped, p.range.start, p.range.last);
		}
	return 0;
}

static int
container_parse(const json_t *json, struct trace_container *c, char *why, size_t size)
{
	const json_t *parts = json_object_get(json, "parts"), *domains, *part;
	char backend[16];
	uint64_t next = 0;
	bool ended = false;
	size_t i;
	int rc;

	text_copy(c->name, sizeof(c->name), json, "name");
	domains = json_object_get(json, "domains");
	if (!json_is_array(parts) || !json_is_integer(domains) || c->name[0] == '\0' ||
		json_integer_value(domains) < 0 || json_integer_value(domains) > UINT16_MAX) {
		snprintf(why, size, "a container lacks its name, domains or parts");
		return -EBADMSG;
	}
	if (json_object_get(json, "error") != NULL) {
		snprintf(why, size, "container %s: the program cannot tell all parts now: %s",
			c->name, json_string_value(json_object_get(json, "error")));
		return -EBADMSG;
	}
	c->domains = (unsigned int)json_integer_value(domains);
	/* Without an IOMMU the kernel maps nothing. */
	text_copy(backend, sizeof(backend), json, "backend");
	if (strcmp(backend, "noiommu") == 0)
		c->domains = 0;
	c->parts = calloc(json_array_size(parts) + 1, sizeof(c->parts[0]));
	if (c->parts == NULL)
		return -ENOMEM;
	json_array_foreach(parts, i, part) {
		rc = part_parse(part, c, &next, &ended);
		if (rc < 0) {
			snprintf(why, size,
				"container %s: part %zu is no range after the one before", c->name,
				i);
			return rc;
		}
	}
	return 0;
}

int
trace_belief_parse(const json_t *containers, struct trace_belief *b, char *why, size_t size)
{
	const json_t *json;
	size_t i;
	int rc = 0;

	*b = (struct trace_belief){0};
	snprintf(why, size, "it is no list of containers");
	if (!json_is_array(containers))
		return -EBADMSG;
	b->v = calloc(json_array_size(containers) + 1, sizeof(b->v[0]));
	if (b->v == NULL)
		return -ENOMEM;
	json_array_foreach(containers, i, json) {
		rc = container_parse(json, &b->v[b->n++], why, size);
		if (rc < 0)
			break;
	}
	if (rc < 0)
		trace_belief_free(b);
	return rc;
}

void
trace_belief_free(struct trace_belief *b)
{
	size_t i;

	for (i = 0; i < b->n; i++) {
		free(b->v[i].parts);
		trace_ranges_free(&b->v[i].mapped);
		trace_ranges_free(&b->v[i].unsure);
	}
	free(b->v);
	*b = (struct trace_belief){0};
}
