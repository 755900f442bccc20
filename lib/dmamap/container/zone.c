/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Zones: memory for rings and buffers, pinned, placed on a NUMA node, mapped as one range.
 *
 * A zone is made in steps, each under only the locks that it needs:
 * 1. plan the pages;
 * 2. reserve IOVAs and virtual addresses, in the linear map if possible;
 * 3. populate in place;
 * 4. map.
 *
 * Memory is never moved. A zone is in its container's list before its addresses are reserved, so
 * that a merge moves it. It is `ready` when others may use it. Called by users, pool.c, bounce.c
 * and zone_resize.c.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dm_backend.h"
#include "dm_va.h"
#include "dm_util.h"

#define FALLBACKS (DMAMAP_ALLOW_TRANSPARENT | DMAMAP_ALLOW_BASE)
#define KNOWN_FLAGS (DMAMAP_RW | DMAMAP_LOW32 | DMAMAP_FIXED | FALLBACKS)
/** Longest address space of a zone. */
#define LEN_MAX (UINT64_C(1) << 47)

static int
zone_check_conf(const struct dmamap_container *c, const struct dmamap_zone_conf *conf,
	struct dmamap_zone **z)
{
	if (c == NULL || conf == NULL || z == NULL)
		return DM_FAIL(EINVAL, "zone: container, configuration or result pointer is NULL");
	if (conf->max_len != 0 && conf->max_len < conf->len)
		return DM_FAIL(EINVAL, "container %s: zone %s: of %zu bytes, it cannot grow to %zu",
			c->name, conf->name != NULL ? conf->name : "zone", conf->len,
			conf->max_len);
	if (conf->len == 0 || (conf->align != 0 && !dm_is_power_of_2(conf->align)) ||
		(conf->page_size != 0 && !dm_is_power_of_2(conf->page_size)) ||
		(conf->flags & ~KNOWN_FLAGS) != 0)
		return DM_FAIL(EINVAL,
			"container %s: zone %s: length 0, alignment or page size no "
			"power of two, or unknown flags (0x%x)",
			c->name, conf->name != NULL ? conf->name : "zone", conf->flags);
	return 0;
}

static int
zone_wanted_node(const struct dmamap_zone_conf *conf)
{
	if (conf->dev != NULL)
		return dmamap_device_node(conf->dev);
	return conf->on_node ? conf->node : -1;
}

static uint32_t
zone_map_flags(const struct dmamap_zone *z)
{
	uint32_t flags = z->conf.flags & ~(FALLBACKS | DMAMAP_FIXED);

	return (flags & DMAMAP_RW) == 0 ? flags | DMAMAP_RW : flags;
}

/** Create a zone without memory, and add it to the container's list. */
static int
zone_new(struct dmamap_container *c, const struct dmamap_zone_conf *conf, struct dmamap_zone **out)
{
	struct dmamap_zone *z = calloc(1, sizeof(*z));
	int rc = 0;

	if (z == NULL)
		return -ENOMEM;
	z->c = c;
	z->process = dm_process_id();
	TAILQ_INIT(&z->growths);
	snprintf(z->name, sizeof(z->name), "%s", conf->name != NULL ? conf->name : "zone");
	if (conf->owner != NULL || conf->dev != NULL)
		snprintf(z->owner, sizeof(z->owner), "%s",
			conf->owner != NULL ? conf->owner : dmamap_device_name(conf->dev));
	z->conf = *conf;
	z->conf.node = zone_wanted_node(conf);
	/* The caller's strings and device may be gone when the zone grows. */
	z->conf.name = z->name;
	z->conf.owner = NULL;
	z->conf.dev = NULL;
	z->conf.progress = NULL;
	z->conf.progress_arg = NULL;
	rc = dm_process_check(c->process, c->name, "zone");
	if (rc < 0) {
		free(z);
		return rc;
	}
	dm_book_lock(c);
	if (c->closed) {
		rc = DM_FAIL(ESHUTDOWN, "container %s: zone %s: it is being destroyed", c->name,
			z->name);
	} else {
		LIST_INSERT_HEAD(&c->zones, z, next);
		c->n_making++;
	}
	dm_book_unlock(c);
	if (rc < 0) {
		free(z);
		return rc;
	}
	*out = z;
	return 0;
}

/**
 * End the making or freeing of a zone. `ready`: others may use it; else it is removed from the
 * list. Until then its container is not destroyed.
 */
static void
zone_made(struct dmamap_zone *z, bool ready)
{
	struct dmamap_container *c = dm_owner_lock(&z->c);

	z->ready = ready;
	c->n_making--;
	dm_book_changed(c);
	if (!ready)
		LIST_REMOVE(z, next);
	dm_owner_unlock(c);
	if (!ready && z->holds_ref)
		dmamap_container_put(c);
}

void
dm_zone_hold_container(struct dmamap_zone *z)
{
	struct dmamap_container *c = dm_owner_lock(&z->c);

	z->holds_ref = true;
	dmamap_container_get(c);
	dm_owner_unlock(c);
}

/** Reserve IOVAs outside the linear map, for the address space that the zone has. */
static int
zone_reserve_iovas(struct dmamap_container *c, struct dmamap_zone *z, uint64_t align)
{
	struct dm_reserve_req req = {
		.len = z->va_len, .align = align, .zone = z, .within = {0, UINT64_MAX}};
	int rc;

	if (z->conf.flags & DMAMAP_FIXED)
		req.within = dm_range(z->conf.iova, z->va_len);
	else if (z->conf.flags & DMAMAP_LOW32)
		req.within.last = UINT32_MAX;
	if (z->conf.flags & DMAMAP_FIXED)
		req.align = DM_IOVA_GRANULE;
	else
		req.phase = (uintptr_t)z->va & (align - 1);
	rc = dm_reservation_make(c, &req, &z->resv);
	/* Alignment for large pages is optional: retry with the smallest. */
	if (rc == -ENOSPC && align > z->conf.align && !(z->conf.flags & DMAMAP_FIXED)) {
		req.align = DM_MAX(z->conf.align, dm_min_page(c));
		req.phase = (uintptr_t)z->va & (req.align - 1);
		rc = dm_reservation_make(c, &req, &z->resv);
	}
	if (rc == -ESTALE)
		return rc;
	if (rc == -ENOSPC && (z->conf.flags & DMAMAP_FIXED))
		return DM_FAIL(EEXIST,
			"container %s: zone %s: IOVAs " DM_RANGE_FMT " are not free: choose "
			"others, or do not set DMAMAP_FIXED",
			c->name, z->name, DM_RANGE_ARG(req.within));
	if (rc < 0)
		return DM_FAIL(-rc,
			"container %s: zone %s: no IOVA range of 0x%zx bytes is free in " DM_RANGE_FMT
			": %s",
			c->name, z->name, z->va_len, DM_RANGE_ARG(req.within), strerror(-rc));
	return 0;
}

/**
 * Reserve virtual addresses and IOVAs for the zone and its growths.
 * @return 0; -ESTALE: it now belongs to another container; another error (logged)
 */
static int
zone_place_in(struct dmamap_container *c, struct dmamap_zone *z)
{
	const uint64_t align = z->pin->align;
	struct dm_reserve_req req = {.align = DM_MAX(align, DM_LINEAR_UNIT),
		.zone = z,
		.within = {0, UINT64_MAX},
		.linear = &z->linear};
	int rc;

	if (dm_backend_places(c)) {
		if (z->conf.max_len != 0 || (z->conf.flags & DMAMAP_FIXED))
			return DM_FAIL(ENOTSUP,
				"container %s: zone %s: without an IOMMU it cannot grow or have a "
				"fixed IOVA: set neither max_len nor DMAMAP_FIXED",
				c->name, z->name);
		return 0;
	}
	z->va_len = z->pin->len;
	if (z->conf.max_len != 0)
		z->va_len = DM_ALIGN_CEIL((uint64_t)z->conf.max_len, req.align);
	if (z->va_len < z->conf.max_len || z->va_len > LEN_MAX)
		return DM_FAIL(EINVAL, "container %s: zone %s: it cannot grow to 0x%zx bytes",
			c->name, z->name, z->conf.max_len);
	if (z->va_len % DM_LINEAR_UNIT == 0 && !(z->conf.flags & (DMAMAP_LOW32 | DMAMAP_FIXED))) {
		dm_linear_make(c);
		req.len = z->va_len;
		rc = dm_reservation_make(c, &req, &z->resv);
		if (rc == 0)
			z->va = req.va;
		if (rc == 0 || rc == -ESTALE)
			return rc;
	}
	z->va = dm_va_reserve_aligned(z->va_len, align);
	if (z->va == NULL)
		return DM_FAIL(ENOMEM,
			"container %s: zone %s: no address space of 0x%zx bytes: see ulimit -v",
			c->name, z->name, z->va_len);
	rc = zone_reserve_iovas(c, z, align);
	if (rc == -ESTALE) {
		munmap(z->va, z->va_len);
		z->va = NULL;
	}
	return rc;
}

/** Reserve addresses; retries if a merge moves the zone to another container meanwhile. */
static int
zone_place(struct dmamap_zone *z)
{
	struct dmamap_container *c;
	int rc;

	do {
		c = dm_owner_get(&z->c);
		rc = zone_place_in(c, z);
		dmamap_container_put(c);
	} while (rc == -ESTALE);
	return rc;
}

int
dm_zone_map(
	struct dmamap_zone *z, const struct dm_pin *pin, dmamap_iova_t iova, struct dm_mapping **m)
{
	const struct dmamap_sge sge = {.va = pin->va, .len = pin->len};
	const struct dm_map_req req = {.sge = &sge,
		.n = 1,
		.len = pin->len,
		.iova = iova,
		.zone = z,
		.flags = zone_map_flags(z) | (z->resv != NULL ? DMAMAP_FIXED : 0)};
	struct dmamap_container *c;
	dmamap_iova_t at;
	int rc;

	do {
		c = dm_owner_get(&z->c);
		rc = dm_map(c, &req, &at, m);
		dmamap_container_put(c);
	} while (rc == -ESTALE);
	return rc;
}

int
dm_zone_unmap(struct dmamap_zone *z, struct dmamap_range r)
{
	struct dmamap_container *c;
	int rc;

	do {
		c = dm_owner_get(&z->c);
		rc = dm_unmap_range(c, r, z);
		dmamap_container_put(c);
	} while (rc == -ESTALE);
	return rc;
}

/** Free the memory of a zone, and then release its addresses. Nothing of it is mapped. */
static void
zone_release(struct dmamap_zone *z)
{
	struct dmamap_container *c;
	struct dm_growth *g;

	if (z->pin != NULL)
		dm_pin_free(z->pin);
	while ((g = TAILQ_FIRST(&z->growths)) != NULL) {
		TAILQ_REMOVE(&z->growths, g, next);
		dm_pin_free(g->pin);
		free(g);
	}
	if (z->va != NULL && z->linear == NULL)
		dm_va_release(z->va, z->va_len, z->process);
	c = dm_owner_topo_read(&z->c);
	dm_book_lock(c);
	if (z->linear != NULL)
		dm_linear_release(z->linear, z->va, z->va_len);
	if (z->resv != NULL)
		dm_reservation_remove(c, z->resv, true);
	dm_book_unlock(c);
	dm_owner_topo_unlock(c);
	free(z->resv);
}

/** Drop the reservation of a zone that cannot grow: its mapping owns the IOVAs then. */
static void
zone_drop_reservation(struct dmamap_zone *z)
{
	struct dmamap_container *c;

	if (z->resv == NULL || z->conf.max_len != 0)
		return;
	c = dm_owner_topo_read(&z->c);
	dm_book_lock(c);
	dm_reservation_remove(c, z->resv, false);
	z->mapping->owns_iova = true;
	free(z->resv);
	z->resv = NULL;
	dm_book_unlock(c);
	dm_owner_topo_unlock(c);
}

/**
 * Smallest page of the IOMMUs. Small pages of the CPU may serve as a fallback, so the zone has
 * whole pages of both.
 */
static size_t
zone_unit(struct dmamap_zone *z)
{
	struct dmamap_container *c = dm_owner_lock(&z->c);
	size_t unit = dm_min_page(c);

	dm_owner_unlock(c);
	return unit;
}

static int
zone_build(struct dmamap_zone *z, const struct dmamap_zone_conf *conf)
{
	const struct dm_pin_conf pin_conf = {.len = conf->len,
		.align = conf->align,
		.page_size = conf->page_size,
		.unit = zone_unit(z),
		.node = z->conf.node,
		.name = z->name,
		.placement = conf->placement,
		.allow = conf->flags & FALLBACKS,
		.want_fd = conf->shared};
	const struct dm_pin_fill fill = {.threads = conf->threads,
		.progress = conf->progress,
		.progress_arg = conf->progress_arg};
	int rc;

	rc = dm_pin_plan(&pin_conf, &z->pin);
	if (rc == 0)
		rc = zone_place(z);
	if (rc == 0)
		rc = dm_pin_populate(z->pin, z->va, &fill);
	if (rc == 0)
		rc = dm_zone_map(
			z, z->pin, z->resv != NULL ? z->resv->range.start : 0, &z->mapping);
	if (rc < 0)
		return rc;
	z->len = z->pin->len;
	z->iova = z->mapping->range.start;
	if (z->va == NULL) {
		z->va = z->pin->va;
		z->va_len = z->pin->len;
	}
	zone_drop_reservation(z);
	return 0;
}

int
dmamap_zone_alloc(
	struct dmamap_container *c, const struct dmamap_zone_conf *conf, struct dmamap_zone **out)
{
	struct dmamap_zone *z;
	int rc;

	rc = zone_check_conf(c, conf, out);
	if (rc == 0)
		rc = zone_new(c, conf, &z);
	if (rc < 0)
		return dm_refused(c, DM_OP_ZONE, rc);
	rc = zone_build(z, conf);
	dm_trace_zone_alloc(c->name, z->name, rc == 0 ? z->iova : 0, conf->len, rc);
	if (rc < 0)
		zone_release(z);
	zone_made(z, rc == 0);
	if (rc < 0)
		free(z);
	else
		*out = z;
	return dm_refused(c, DM_OP_ZONE, rc);
}

int
dmamap_zone_free(struct dmamap_zone *z)
{
	struct dmamap_container *c;
	int rc;

	if (z == NULL)
		return 0;
	rc = dm_zone_unmap(z, dm_range(z->iova, z->len));
	if (rc < 0 && rc != -EIO)
		return rc;
	c = dm_owner_lock(&z->c);
	z->ready = false;
	c->n_making++;
	dm_owner_unlock(c);
	dm_trace_zone_free(c->name, z->name, rc);
	/* With -EIO a domain may keep the mapping. The kernel keeps its pages pinned then. */
	zone_release(z);
	zone_made(z, false);
	free(z);
	return rc;
}

void
dm_zones_drop(struct dmamap_container *c)
{
	struct dmamap_zone *z;
	struct dm_growth *g;

	for (;;) {
		/* Holders of references may be reading the list. */
		dm_book_lock(c);
		z = LIST_FIRST(&c->zones);
		if (z != NULL) {
			LIST_REMOVE(z, next);
			dm_mapping_drop(c, z->mapping);
			TAILQ_FOREACH(g, &z->growths, next)
				dm_mapping_drop(c, g->mapping);
		}
		dm_book_unlock(c);
		if (z == NULL)
			break;
		zone_release(z);
		free(z);
	}
}

void *
dmamap_zone_va(const struct dmamap_zone *z)
{
	return z->pin->va;
}

dmamap_iova_t
dmamap_zone_iova(const struct dmamap_zone *z)
{
	return z->iova;
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

size_t
dm_zone_round(const struct dmamap_zone *z, size_t len)
{
	return DM_ALIGN_CEIL(len, DM_MAX(z->pin->page_size, z->pin->unit));
}

size_t
dm_zone_max_len(const struct dmamap_zone *z)
{
	return z->conf.max_len != 0 ? dm_zone_round(z, z->conf.max_len) : z->len;
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
dmamap_zone_fd(const struct dmamap_zone *z, uint64_t *offset)
{
	if (z == NULL)
		return DM_FAIL(EINVAL, "zone: no zone given");
	if (!TAILQ_EMPTY(&z->growths))
		return DM_FAIL(ENOTSUP,
			"zone %s: it has grown, so it is in several files: call dmamap_zone_fd() "
			"before it grows",
			z->name);
	return dm_pin_fd(z->pin, offset);
}

void
dm_zone_describe(const struct dmamap_zone *z, struct dmamap_zone_info *info)
{
	struct dm_node_lens lens;
	const struct dm_growth *g;
	unsigned int i;

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
}

int
dmamap_zone_info_sized(const struct dmamap_zone *z, struct dmamap_zone_info *info, size_t size)
{
	struct dmamap_zone_info all;
	struct dmamap_container *c;

	if (z == NULL || info == NULL)
		return -EINVAL;
	c = dm_owner_lock(&z->c);
	dm_zone_describe(z, &all);
	dm_owner_unlock(c);
	return dm_copy_out(info, size, &all, sizeof(all));
}
