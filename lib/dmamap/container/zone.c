/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does a driver get memory for rings and buffers? Zones: pinned, placed, mapped as one.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "dm_container.h"

#define FALLBACKS (DMAMAP_ALLOW_TRANSPARENT | DMAMAP_ALLOW_BASE)
#define KNOWN_FLAGS (DMAMAP_RW | DMAMAP_LOW32 | FALLBACKS)

static int
check_conf(const struct dmamap_container *c, const struct dmamap_zone_conf *conf,
	struct dmamap_zone **z)
{
	if (c == NULL || conf == NULL || z == NULL)
		return DM_FAIL(EINVAL, "zone: no container, description or place for the result");
	if (conf->max_len != 0 && conf->max_len < conf->len)
		return DM_FAIL(EINVAL, "container %s: zone %s: of %zu bytes, it cannot grow to %zu",
			c->name, conf->name != NULL ? conf->name : "zone", conf->len,
			conf->max_len);
	if (conf->len == 0 || (conf->align != 0 && !rte_is_power_of_2(conf->align)) ||
		(conf->page_size != 0 && !rte_is_power_of_2(conf->page_size)) ||
		(conf->flags & ~KNOWN_FLAGS) != 0)
		return DM_FAIL(EINVAL,
			"container %s: zone %s: length 0, alignment or page size no "
			"power of two, or unknown flags (0x%x)",
			c->name, conf->name != NULL ? conf->name : "zone", conf->flags);
	return 0;
}

static int
wanted_node(const struct dmamap_zone_conf *conf)
{
	if (conf->dev != NULL)
		return dmamap_device_node(conf->dev);
	return conf->on_node ? conf->node : -1;
}

uint32_t
dm_zone_map_flags(const struct dmamap_zone *z)
{
	uint32_t flags = z->conf.flags & ~FALLBACKS;

	return (flags & DMAMAP_RW) == 0 ? flags | DMAMAP_RW : flags;
}

/** Map a zone's memory, in the window if it can be, and enter it in the list. */
static int
map_zone(struct dmamap_container *c, struct dmamap_zone *z)
{
	uint32_t flags = dm_zone_map_flags(z);
	uint64_t align = z->conf.align;
	rte_iova_t iova = 0;
	int rc = 0;

	if (z->conf.max_len != 0) {
		rc = dm_room_take(c, z, align, flags, &iova);
		flags |= DMAMAP_FIXED;
	} else if (dm_window_enter(c, z, z->pin->len, align, flags, &iova)) {
		flags |= DMAMAP_FIXED;
	}
	if (rc < 0)
		return rc;
	rc = dm_map_locked(c, z->pin->va, z->pin->len, align, flags, &iova, &z->mapping);
	if (rc < 0)
		return rc;
	dm_room_close(z);
	z->mapping->zone = z;
	LIST_INSERT_HEAD(&c->zones, z, next);
	dm_window_open(c, z->mapping);
	return 0;
}

/** Make a zone without memory. */
static struct dmamap_zone *
new_zone(struct dmamap_container *c, const struct dmamap_zone_conf *conf)
{
	struct dmamap_zone *z = calloc(1, sizeof(*z));

	if (z == NULL)
		return NULL;
	z->c = c;
	TAILQ_INIT(&z->growths);
	snprintf(z->name, sizeof(z->name), "%s", conf->name != NULL ? conf->name : "zone");
	if (conf->owner != NULL || conf->dev != NULL)
		snprintf(z->owner, sizeof(z->owner), "%s",
			conf->owner != NULL ? conf->owner : dmamap_device_name(conf->dev));
	z->conf = *conf;
	z->conf.node = wanted_node(conf);
	/* What the caller owns may be gone when the zone grows. */
	z->conf.name = z->name;
	z->conf.owner = NULL;
	z->conf.dev = NULL;
	z->conf.progress = NULL;
	z->conf.progress_arg = NULL;
	return z;
}

int
dmamap_zone_alloc(
	struct dmamap_container *c, const struct dmamap_zone_conf *conf, struct dmamap_zone **out)
{
	struct dm_pin_conf pin_conf;
	struct dmamap_zone *z;
	int rc;

	rc = check_conf(c, conf, out);
	if (rc < 0)
		return rc;
	z = new_zone(c, conf);
	if (z == NULL)
		return -ENOMEM;
	pin_conf = (struct dm_pin_conf){.len = conf->len,
		.align = conf->align,
		.page_size = conf->page_size,
		.node = z->conf.node,
		.name = z->name,
		.placement = conf->placement,
		.allow = conf->flags & FALLBACKS,
		.threads = conf->threads,
		.progress = conf->progress,
		.progress_arg = conf->progress_arg};
	rc = dm_pin_alloc(&pin_conf, &z->pin);
	if (rc < 0)
		goto free_zone;
	z->len = z->pin->len;

	dm_lock(c);
	rc = map_zone(c, z);
	if (rc < 0)
		dm_window_leave(c, z);
	dm_unlock(c);
	if (rc < 0)
		goto free_zone;
	*out = z;
	return 0;

free_zone:
	free(z);
	return rc;
}

int
dmamap_zone_free(struct dmamap_zone *z)
{
	struct dmamap_container *c;
	int rc;

	if (z == NULL)
		return 0;
	c = z->c;
	dm_lock(c);
	rc = dm_unmap_locked(c, dm_range(z->mapping->range.start, z->len), z->mapping);
	if (rc < 0 && rc != -EIO) {
		dm_unlock(c);
		return rc;
	}
	LIST_REMOVE(z, next);
	/* Where a domain kept the mapping, the kernel keeps the pages pinned: nobody else gets
	 * them. */
	dm_window_leave(c, z);
	dm_unlock(c);
	free(z);
	return rc;
}

void
dm_zones_drop(struct dmamap_container *c)
{
	struct dmamap_zone *z;
	struct dm_growth *g;

	while ((z = LIST_FIRST(&c->zones)) != NULL) {
		LIST_REMOVE(z, next);
		dm_mapping_drop(c, z->mapping);
		TAILQ_FOREACH(g, &z->growths, next)
			dm_mapping_drop(c, g->mapping);
		dm_window_leave(c, z);
		free(z);
	}
}

void *
dmamap_zone_va(const struct dmamap_zone *z)
{
	return z->pin->va;
}

rte_iova_t
dmamap_zone_iova(const struct dmamap_zone *z)
{
	return z->mapping->range.start;
}

size_t
dmamap_zone_len(const struct dmamap_zone *z)
{
	return z->len;
}

size_t
dmamap_zone_page_size(const struct dmamap_zone *z)
{
	return z->pin->page_size;
}

int
dmamap_zone_node(const struct dmamap_zone *z)
{
	const struct dm_growth *g;

	TAILQ_FOREACH(g, &z->growths, next)
		if (g->pin->node != z->pin->node)
			return -1;
	return z->pin->node;
}

int
dmamap_zone_info(const struct dmamap_zone *z, struct dmamap_zone_info *info)
{
	struct dm_node_lens lens;
	const struct dm_growth *g;
	unsigned int i;

	if (z == NULL || info == NULL)
		return -EINVAL;
	memset(info, 0, sizeof(*info));
	info->name = z->name;
	info->owner = z->owner[0] != '\0' ? z->owner : z->c->name;
	info->len = z->len;
	info->max_len = dm_zone_max_len(z);
	info->page_size = z->pin->page_size;
	info->kind = z->pin->kind;
	info->placement = z->conf.placement;
	info->node = z->pin->wanted;
	info->as_asked = z->pin->as_asked;
	lens = z->pin->nodes;
	TAILQ_FOREACH(g, &z->growths, next) {
		info->as_asked = info->as_asked && g->pin->as_asked;
		for (i = 0; i < g->pin->nodes.n; i++)
			dm_node_add(&lens, g->pin->nodes.of[i].node, g->pin->nodes.of[i].len);
	}
	info->n_nodes = lens.n;
	memcpy(info->nodes, lens.of, lens.n * sizeof(info->nodes[0]));
	return 0;
}
