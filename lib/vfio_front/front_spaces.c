/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is where in the IOVA spaces of the program's containers, for the status socket. Called by
 * front_serve.c.
 *
 * Invariant: parts are sent under no lock. `op` of a container is held only to take a reference to
 * its dmamap_container. Only what libdmamap knows is told: a deferred map (front_maps.c) is not in
 * the kernel yet.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "front_json.h"
#include "front_priv.h"

static void
json_address(struct front_json *json, const char *name, uint64_t address)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, address);
	front_json_text(json, name, text);
}

static int
part_add(const struct dmamap_space *part, void *arg)
{
	/* As the telemetry of libdmamap names enum dmamap_space_kind. */
	static const char *const kinds[] = {"free", "outside", "reserved", "reservation",
		"quarantine", "zone", "mapping", "registration"};
	struct front_json *json = arg;

	front_json_open(json, NULL, '{');
	json_address(json, "start", part->range.start);
	json_address(json, "last", part->range.last);
	front_json_text(json, "kind", kinds[part->kind]);
	if (part->name[0] != '\0')
		front_json_text(json, "name", part->name);
	if (part->owner[0] != '\0')
		front_json_text(json, "owner", part->owner);
	if (part->n > 0)
		front_json_number(json, "mappings", part->n);
	front_json_close(json, '}');
	return json->failed;
}

/** @return the dmamap_container of a container, with a reference; NULL: it has none */
static struct dmamap_container *
dma_get(struct front_container *c)
{
	struct dmamap_container *dma;

	pthread_mutex_lock(&c->op);
	dma = c->dma != NULL ? dmamap_container_get(c->dma) : NULL;
	pthread_mutex_unlock(&c->op);
	return dma;
}

static void
space_add(struct front_json *json, struct dmamap_container *dma)
{
	static const char *const backends[] = {"auto", "type1", "iommufd", "noiommu"};
	struct dmamap_container_info info;
	int rc;

	dmamap_container_info(dma, &info);
	front_json_open(json, NULL, '{');
	front_json_text(json, "name", dmamap_container_name(dma));
	front_json_text(json, "backend", backends[info.backend]);
	front_json_number(json, "domains", info.n_domains);
	front_json_open(json, "parts", '[');
	rc = dmamap_space_walk(dma, 0, part_add, json);
	front_json_close(json, ']');
	/* Parts are missing: no reader may take the rest for free. */
	if (rc < 0)
		front_json_text(json, "error", strerrorname_np(-rc));
	front_json_close(json, '}');
}

void
front_spaces_add(struct front_json *json)
{
	struct front_container *c = NULL, *next;
	struct dmamap_container *dma;

	front_json_open(json, "spaces", '[');
	do {
		pthread_mutex_lock(&front_tree);
		next = front_container_next(c);
		if (c != NULL)
			front_container_put(c);
		pthread_mutex_unlock(&front_tree);
		c = next;
		dma = c != NULL ? dma_get(c) : NULL;
		if (dma != NULL) {
			space_add(json, dma);
			dmamap_container_put(dma);
		}
	} while (c != NULL);
	front_json_close(json, ']');
}
