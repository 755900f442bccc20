/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Account of memory: by container, zone, owner, page size and node.
 *
 * Invariant: the bytes of a container are copied under its bookkeeping lock, and the user's
 * function is called under no lock. Called by users and telemetry.c.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "dm_container.h"
#include "dm_util.h"

/** Copies of one container's entries. */
struct account {
	struct dmamap_memory *v;
	unsigned int n, cap;
};

static void
account_add(struct account *a, const struct dmamap_memory *memory)
{
	if (a->n < a->cap)
		a->v[a->n] = *memory;
	a->n++;
}

/** Add a zone, one entry for each node. */
static void
account_zone(struct account *a, const struct dmamap_container *c, const struct dmamap_zone *z)
{
	struct dmamap_memory memory = {0};
	struct dmamap_zone_info info;
	unsigned int i;

	dm_zone_describe(z, &info);
	for (i = 0; i < info.n_nodes; i++) {
		snprintf(memory.container, sizeof(memory.container), "%s", c->name);
		snprintf(memory.zone, sizeof(memory.zone), "%s", info.name);
		snprintf(memory.owner, sizeof(memory.owner), "%s", info.owner);
		memory.kind = info.kind;
		memory.page_size = info.page_size;
		memory.node = info.nodes[i].node;
		memory.len = info.nodes[i].len;
		account_add(a, &memory);
	}
}

/** Add the memory that is not in zones: mapped, registered and in use, registered and idle. */
static void
account_foreign(struct account *a, const struct dmamap_container *c)
{
	static const char *const names[] = {"mapped", "registered", "idle"};
	struct dmamap_memory memory = {.kind = DMAMAP_PAGES_FOREIGN, .node = -1};
	uint64_t len[DM_DIM(names)] = {c->plain_len, c->registered_len, 0};
	const struct dm_cache *cache;
	unsigned int i;

	/* Idle bytes are read last: a registration that becomes idle meanwhile is counted once. */
	LIST_FOREACH(cache, &c->caches, next)
		len[2] += __atomic_load_n(&cache->idle_len, __ATOMIC_RELAXED) -
			__atomic_load_n(&cache->idle_alias_len, __ATOMIC_RELAXED);
	len[2] = DM_MIN(len[2], len[1]);
	len[1] -= len[2];
	snprintf(memory.container, sizeof(memory.container), "%s", c->name);
	snprintf(memory.owner, sizeof(memory.owner), "%s", c->name);
	for (i = 0; i < DM_DIM(names); i++) {
		snprintf(memory.zone, sizeof(memory.zone), "%s", names[i]);
		memory.len = len[i];
		if (len[i] > 0)
			account_add(a, &memory);
	}
}

static void
account_fill(struct account *a, struct dmamap_container *c)
{
	const struct dmamap_zone *z;

	a->n = 0;
	dm_book_lock(c);
	LIST_FOREACH(z, &c->zones, next)
		if (z->ready)
			account_zone(a, c, z);
	account_foreign(a, c);
	dm_book_unlock(c);
}

struct walk {
	int (*fn)(const struct dmamap_memory *memory, void *arg);
	void *arg;
};

static int
account_walk_container(struct dmamap_container *c, void *arg)
{
	struct account a = {0};
	struct walk *w = arg;
	unsigned int i;
	int rc = 0;

	for (account_fill(&a, c); a.n > a.cap; account_fill(&a, c)) {
		free(a.v);
		a.cap = a.n + 16;
		a.v = calloc(a.cap, sizeof(a.v[0]));
		if (a.v == NULL)
			return -ENOMEM;
	}
	for (i = 0; i < a.n && rc == 0; i++)
		rc = w->fn(&a.v[i], w->arg);
	free(a.v);
	return rc;
}

int
dmamap_memory_walk(int (*fn)(const struct dmamap_memory *memory, void *arg), void *arg)
{
	struct walk w = {fn, arg};

	if (fn == NULL)
		return DM_FAIL(EINVAL, "account of memory: no function to call");
	return dm_containers_walk(account_walk_container, &w);
}
