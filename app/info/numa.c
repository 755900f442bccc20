/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where a program's memory and devices are: by NUMA node, the bytes of each owner, devices, and the
 * machine's hugepages. Implements part of info.h.
 *
 * A node is a number as text; "unknown" is memory or a device whose node Linux does not tell.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"

/** The entry of a node, made if there is none. */
static json_t *
node_of(json_t *numa, const char *node)
{
	json_t *one;
	size_t i;

	json_array_foreach(numa, i, one)
		if (strcmp(json_string_value(json_object_get(one, "node")), node) == 0)
			return one;
	one = info_add_object(numa);
	info_put(one, "node", "%s", node);
	info_put_array(one, "owners");
	info_put_array(one, "devices");
	info_put_array(one, "hugepages");
	return one;
}

static void
owner_add(json_t *owners, const char *owner, json_int_t bytes)
{
	json_t *one = NULL;
	size_t i;

	json_array_foreach(owners, i, one)
		if (strcmp(json_string_value(json_object_get(one, "owner")), owner) == 0)
			break;
	if (i == json_array_size(owners)) {
		one = info_add_object(owners);
		json_object_set_new(one, "owner", json_string(owner));
		json_object_set_new(one, "bytes", json_integer(0));
	}
	bytes += json_integer_value(json_object_get(one, "bytes"));
	json_object_set_new(one, "bytes", json_integer(bytes));
}

static void
zones_add(json_t *numa, const json_t *zones)
{
	json_t *zone, *bytes;
	const char *node, *owner;
	size_t i;

	json_array_foreach(zones, i, zone) {
		owner = json_string_value(json_object_get(zone, "owner"));
		json_object_foreach(json_object_get(zone, "nodes"), node, bytes)
			owner_add(json_object_get(node_of(numa, node), "owners"),
				owner != NULL ? owner : "", json_integer_value(bytes));
	}
}

static void
devices_add(json_t *numa, const json_t *containers)
{
	json_t *container, *device;
	const char *key, *name;
	char number[16];
	size_t i;

	json_array_foreach(containers, i, container)
		json_object_foreach(json_object_get(container, "attached"), key, device) {
			const json_int_t node = json_integer_value(json_object_get(device, "node"));

			snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, node);
			name = json_string_value(json_object_get(device, "name"));
			info_add(json_object_get(
					 node_of(numa, node < 0 ? "unknown" : number), "devices"),
				name != NULL ? name : "");
		}
}

static void
hugepages_add(const struct info_host *h, json_t *numa)
{
	json_t *all = json_array(), *one, *to;
	size_t i;

	info_hugepages(h, all);
	json_array_foreach(all, i, one) {
		to = node_of(numa, json_string_value(json_object_get(one, "node")));
		json_object_del(one, "node");
		json_array_append(json_object_get(to, "hugepages"), one);
	}
	json_decref(all);
}

void
info_numa(const struct info_host *h, json_t *facts)
{
	json_t *numa = info_put_array(facts, "numa");

	/* The machine's nodes first, in their order. */
	hugepages_add(h, numa);
	zones_add(numa, json_object_get(facts, "zones"));
	devices_add(numa, json_object_get(facts, "containers"));
}
