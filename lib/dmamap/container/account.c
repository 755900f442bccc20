/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where is every byte? By container, zone, owner, page size and node.
 */

#include <errno.h>

#include "dm_container.h"

struct walk {
	int (*fn)(const struct dmamap_memory *memory, void *arg);
	void *arg;
};

/** A zone, node by node. */
static int
walk_zone(const struct walk *w, const struct dmamap_zone *z)
{
	struct dmamap_zone_info info;
	struct dmamap_memory memory;
	unsigned int i;
	int rc = 0;

	dmamap_zone_info(z, &info);
	for (i = 0; i < info.n_nodes && rc == 0; i++) {
		memory = (struct dmamap_memory){.container = z->c->name,
			.zone = info.name,
			.owner = info.owner,
			.kind = info.kind,
			.page_size = info.page_size,
			.node = info.nodes[i].node,
			.len = info.nodes[i].len};
		rc = w->fn(&memory, w->arg);
	}
	return rc;
}

/** What a container maps that is no zone. */
static int
walk_foreign(const struct walk *w, const struct dmamap_container *c)
{
	static const char *const names[] = {"mapped", "registered", "idle"};
	struct dmamap_memory memory = {
		.container = c->name, .owner = c->name, .kind = DMAMAP_PAGES_FOREIGN, .node = -1};
	uint64_t len[RTE_DIM(names)] = {0};
	const struct dm_mapping *m;
	unsigned int i;
	int rc = 0;

	TAILQ_FOREACH(m, &c->mappings, next)
		if (m->zone == NULL && !(m->flags & DMAMAP_ALIAS))
			len[!m->registered ? 0 : m->users > 0 ? 1 : 2] += dm_range_len(m->range);
	for (i = 0; i < RTE_DIM(names) && rc == 0; i++) {
		memory.zone = names[i];
		memory.len = len[i];
		rc = len[i] > 0 ? w->fn(&memory, w->arg) : 0;
	}
	return rc;
}

static int
walk_container(struct dmamap_container *c, void *arg)
{
	const struct dmamap_zone *z;
	int rc = 0;

	LIST_FOREACH(z, &c->zones, next) {
		rc = walk_zone(arg, z);
		if (rc != 0)
			return rc;
	}
	return walk_foreign(arg, c);
}

int
dmamap_memory_walk(int (*fn)(const struct dmamap_memory *memory, void *arg), void *arg)
{
	struct walk w = {fn, arg};

	if (fn == NULL)
		return DM_FAIL(EINVAL, "account of memory: no function to call");
	return dm_containers_walk(walk_container, &w);
}
