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
	if (conf->len == 0 || (conf->align != 0 && !rte_is_power_of_2(conf->align)) ||
		(conf->page_size != 0 && !rte_is_power_of_2(conf->page_size)) ||
		(conf->flags & ~KNOWN_FLAGS) != 0)
		return DM_FAIL(EINVAL, "container %s: zone %s: length 0, alignment or page size no "
			"power of two, or unknown flags (0x%x)", c->name,
			conf->name != NULL ? conf->name : "zone", conf->flags);
	return 0;
}

static int
wanted_node(const struct dmamap_zone_conf *conf)
{
	if (conf->dev != NULL)
		return dmamap_device_node(conf->dev);
	return conf->on_node ? conf->node : -1;
}

/** Map a zone's memory, in the window if it can be, and enter it in the list. */
static int
map_zone(struct dmamap_container *c, struct dmamap_zone *z, uint64_t align, uint32_t flags)
{
	rte_iova_t iova = 0;
	int rc;

	if (dm_window_enter(c, z, align, flags, &iova))
		flags |= DMAMAP_FIXED;
	rc = dm_map_locked(c, z->pin->va, z->pin->len, align, flags, &iova, &z->mapping);
	if (rc < 0)
		return rc;
	z->mapping->zone = z;
	LIST_INSERT_HEAD(&c->zones, z, next);
	dm_window_open(c, z);
	return 0;
}

int
dmamap_zone_alloc(struct dmamap_container *c, const struct dmamap_zone_conf *conf,
	struct dmamap_zone **out)
{
	struct dm_pin_conf pin_conf;
	struct dmamap_zone *z;
	uint32_t flags;
	int rc;

	rc = check_conf(c, conf, out);
	if (rc < 0)
		return rc;
	z = calloc(1, sizeof(*z));
	if (z == NULL)
		return -ENOMEM;
	z->c = c;
	z->placement = conf->placement;
	snprintf(z->name, sizeof(z->name), "%s", conf->name != NULL ? conf->name : "zone");
	if (conf->owner != NULL || conf->dev != NULL)
		snprintf(z->owner, sizeof(z->owner), "%s",
			conf->owner != NULL ? conf->owner : dmamap_device_name(conf->dev));
	pin_conf = (struct dm_pin_conf){.len = conf->len, .align = conf->align,
		.page_size = conf->page_size, .node = wanted_node(conf), .name = z->name,
		.placement = conf->placement, .allow = conf->flags & FALLBACKS, .threads = conf->threads,
		.progress = conf->progress, .progress_arg = conf->progress_arg};
	rc = dm_pin_alloc(&pin_conf, &z->pin);
	if (rc < 0)
		goto free_zone;

	flags = conf->flags & ~FALLBACKS;
	if ((flags & DMAMAP_RW) == 0)
		flags |= DMAMAP_RW;
	dm_lock(c);
	rc = map_zone(c, z, conf->align, flags);
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
	rc = dm_unmap_locked(c, z->mapping->range, z->mapping);
	if (rc < 0 && rc != -EIO) {
		dm_unlock(c);
		return rc;
	}
	LIST_REMOVE(z, next);
	/* Where a domain kept the mapping, the kernel keeps the pages pinned: nobody else gets them. */
	dm_window_leave(c, z);
	dm_unlock(c);
	free(z);
	return rc;
}

void
dm_zones_drop(struct dmamap_container *c)
{
	struct dmamap_zone *z;

	while ((z = LIST_FIRST(&c->zones)) != NULL) {
		LIST_REMOVE(z, next);
		dm_mapping_drop(c, z->mapping);
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
	return z->pin->len;
}

size_t
dmamap_zone_page_size(const struct dmamap_zone *z)
{
	return z->pin->page_size;
}

int
dmamap_zone_node(const struct dmamap_zone *z)
{
	return z->pin->node;
}

int
dmamap_zone_info(const struct dmamap_zone *z, struct dmamap_zone_info *info)
{
	if (z == NULL || info == NULL)
		return -EINVAL;
	memset(info, 0, sizeof(*info));
	info->name = z->name;
	info->owner = z->owner[0] != '\0' ? z->owner : z->c->name;
	info->len = z->pin->len;
	info->page_size = z->pin->page_size;
	info->kind = z->pin->kind;
	info->placement = z->placement;
	info->node = z->pin->wanted;
	info->as_asked = z->pin->as_asked;
	info->n_nodes = z->pin->nodes.n;
	memcpy(info->nodes, z->pin->nodes.of, z->pin->nodes.n * sizeof(info->nodes[0]));
	return 0;
}
