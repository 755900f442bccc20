/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How does memory get an IOVA, and lose it? Take, map everywhere, publish; and back.
 */

#include <errno.h>
#include <sched.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_rcu_qsbr.h>

#include "dm_backend.h"

#define KNOWN_FLAGS (DMAMAP_RW | DMAMAP_FIXED | DMAMAP_LOW32 | DMAMAP_ALIAS)

int
dm_range_cmp(const void *a, const void *b)
{
	const struct dmamap_range *x = a, *y = b;

	return x->last < y->start ? -1 : x->start > y->last;
}

struct dm_mapping *
dm_mapping_at(const struct dmamap_container *c, rte_iova_t iova)
{
	return dm_xlate_object(c->iova2mapping, iova);
}

struct dm_mapping *
dm_mapping_find(const struct dmamap_container *c, struct dmamap_range r)
{
	uint64_t at;

	return dm_xlate_first(c->iova2mapping, r.start, r.last, &at) ? dm_mapping_at(c, at) : NULL;
}

struct dm_mapping *
dm_mapping_find_va(const struct dmamap_container *c, struct dmamap_range vas)
{
	uint64_t at;

	return dm_xlate_first(c->va2iova, vas.start, vas.last, &at)
		? dm_mapping_at(c, dm_xlate_lookup(c->va2iova, at))
		: NULL;
}

struct dm_taken *
dm_taken_find(const struct dmamap_container *c, struct dmamap_range r)
{
	struct dm_taken *const *node = tfind(&r, &c->taken, dm_range_cmp);

	return node != NULL ? *node : NULL;
}

int
dm_map_check_args(const struct dmamap_container *c, const void *va, uint64_t len, uint32_t flags,
	const rte_iova_t *iova)
{
	uint64_t sys_page = sysconf(_SC_PAGESIZE);

	if (c == NULL || va == NULL || iova == NULL)
		return DM_FAIL(EINVAL, "map: no container, memory or place for the IOVA given");
	if ((flags & ~KNOWN_FLAGS) != 0 || (flags & DMAMAP_RW) == 0)
		return DM_FAIL(EINVAL,
			"container %s: map of %p: flags 0x%x: give DMAMAP_READ, "
			"DMAMAP_WRITE or both, and no unknown ones",
			c->name, va, flags);
	if (len == 0 || len % sys_page != 0 || (uintptr_t)va % sys_page != 0)
		return DM_FAIL(EINVAL,
			"container %s: map of %p, 0x%" PRIx64 " bytes: address and "
			"length must be multiples of the page size, 0x%" PRIx64,
			c->name, va, len, sys_page);
	if ((uintptr_t)va + len < (uintptr_t)va)
		return DM_FAIL(EINVAL, "container %s: map of %p, 0x%" PRIx64 " bytes wraps around",
			c->name, va, len);
	return 0;
}

/** Is part of the memory mapped already, at an IOVA that translation answers? */
static int
check_not_mapped(const struct dmamap_container *c, struct dmamap_range vas)
{
	const struct dm_mapping *m = dm_mapping_find_va(c, vas);

	if (m == NULL)
		return 0;
	return DM_FAIL(EEXIST,
		"container %s: map of memory " DM_RANGE_FMT ": " DM_RANGE_FMT
		" is mapped at IOVA 0x%" PRIx64 " already: use that, or DMAMAP_ALIAS",
		c->name, DM_RANGE_ARG(vas), DM_RANGE_ARG(m->vas), m->range.start);
}

/** The largest page size of which memory at va, len bytes, holds at least one aligned page. */
static uint64_t
best_page(uint64_t page_sizes, uint64_t va, uint64_t len)
{
	uint64_t bits = page_sizes, page, first;

	while (bits != 0) {
		page = UINT64_C(1) << (63 - __builtin_clzll(bits));
		first = (va + page - 1) & ~(page - 1);
		if (len >= page && first >= va && first - va <= len - page)
			return page;
		bits &= ~page;
	}
	return page_sizes & -page_sizes;
}

static int
take_fixed(struct dmamap_container *c, struct dm_mapping *m)
{
	struct dmamap_reserved hit;
	const struct dm_mapping *other;
	const struct dm_taken *taken;
	struct dmamap_range fenced;

	if (dm_reserved_hit(c, m->range, &hit)) {
		DM_LOG(ERR,
			"container %s: map at " DM_RANGE_FMT " touches " DM_RANGE_FMT
			" (%s), reserved by %s: choose another IOVA",
			c->name, DM_RANGE_ARG(m->range), DM_RANGE_ARG(hit.range),
			dm_reserved_type_name(hit.type), hit.owner);
		return hit.type == DMAMAP_RESERVED_APERTURE ? -ERANGE : -EADDRINUSE;
	}
	other = dm_mapping_find(c, m->range);
	if (other != NULL)
		return DM_FAIL(EEXIST,
			"container %s: map at " DM_RANGE_FMT " overlaps the mapping " DM_RANGE_FMT
			": unmap that first",
			c->name, DM_RANGE_ARG(m->range), DM_RANGE_ARG(other->range));
	if (dm_range_set_overlaps(&c->fenced, m->range, &fenced))
		return DM_FAIL(EEXIST,
			"container %s: map at " DM_RANGE_FMT " touches " DM_RANGE_FMT
			", fenced off after a failed unmap: choose another IOVA",
			c->name, DM_RANGE_ARG(m->range), DM_RANGE_ARG(fenced));
	taken = dm_taken_find(c, m->range);
	if (taken != NULL && taken->zone != NULL && !taken->open)
		return DM_FAIL(EEXIST,
			"container %s: map at " DM_RANGE_FMT " touches " DM_RANGE_FMT
			", into which zone %s may grow: choose another IOVA",
			c->name, DM_RANGE_ARG(m->range), DM_RANGE_ARG(taken->range),
			taken->zone->name);
	if (taken != NULL && dm_range_inside(m->range, taken->range)) {
		m->owns_iova = false;
		return 0;
	}
	if (taken != NULL)
		return DM_FAIL(EEXIST,
			"container %s: map at " DM_RANGE_FMT " reaches beyond the "
			"taken range " DM_RANGE_FMT,
			c->name, DM_RANGE_ARG(m->range), DM_RANGE_ARG(taken->range));
	return dm_iova_take_fixed(c->space, m->range.start, dm_range_len(m->range));
}

/** Choose and take the IOVA of a mapping. */
static int
take_iova(struct dmamap_container *c, struct dm_mapping *m, uint64_t len, uint64_t align,
	rte_iova_t wanted)
{
	struct dmamap_range within = {0, c->mask_last};
	uint64_t min_page = dm_min_page(c), va = m->vas.start;
	rte_iova_t iova;
	int rc;

	if (len % min_page != 0 || va % min_page != 0)
		return DM_FAIL(EINVAL,
			"container %s: map of %p, 0x%" PRIx64 " bytes: address and "
			"length must be multiples of the IOMMU's page size, 0x%" PRIx64,
			c->name, dm_mapping_va(m), len, min_page);
	m->owns_iova = true;
	rc = dm_backend_place(c, dm_mapping_va(m), len, &iova);
	if (rc < 0)
		return rc;
	if (rc > 0) {
		if ((m->flags & DMAMAP_FIXED) && wanted != iova)
			return DM_FAIL(EINVAL,
				"container %s: map of %p at IOVA 0x%" PRIx64 ": no IOMMU "
				"translates, so it can only be at its physical address, 0x%" PRIx64,
				c->name, dm_mapping_va(m), wanted, iova);
		m->range = dm_range(iova, len);
		return take_fixed(c, m);
	}
	if (m->flags & DMAMAP_FIXED) {
		if (wanted % min_page != 0 || wanted + len - 1 < wanted)
			return DM_FAIL(EINVAL,
				"container %s: map at IOVA 0x%" PRIx64 ", 0x%" PRIx64
				" bytes: no multiple of the IOMMU's page size, 0x%" PRIx64
				", or wraps around",
				c->name, wanted, len, min_page);
		m->range = dm_range(wanted, len);
		return take_fixed(c, m);
	}
	if (m->flags & DMAMAP_LOW32)
		within.last = RTE_MIN(within.last, (rte_iova_t)UINT32_MAX);
	/* IOVA and VA alike modulo the page size, or the IOMMU cannot use that page size. */
	align = RTE_MAX(align, best_page(c->page_sizes, va, len));
	rc = dm_iova_take(c->space, len, align, va & (align - 1), within, &iova);
	if (rc < 0)
		return DM_FAIL(-rc,
			"container %s: no IOVA range of 0x%" PRIx64 " bytes, aligned to "
			"0x%" PRIx64 ", is free in " DM_RANGE_FMT ": %s",
			c->name, len, align, DM_RANGE_ARG(within), strerror(-rc));
	m->range = dm_range(iova, len);
	return 0;
}

static void
give_iova(struct dmamap_container *c, const struct dm_mapping *m, bool fence)
{
	if (!fence) {
		if (m->owns_iova)
			dm_iova_give(c->space, m->range.start, dm_range_len(m->range));
		return;
	}
	DM_LOG(ERR,
		"container %s: " DM_RANGE_FMT " is fenced off: it is given out no more, as a "
		"domain may still translate it",
		c->name, DM_RANGE_ARG(m->range));
	/* The allocator keeps it as live; the set is for maps into a range that the user took. */
	c->fenced_len += dm_range_len(m->range);
	if (dm_range_set_add(&c->fenced, m->range) < 0)
		DM_LOG(ERR,
			"container %s: no memory to remember that " DM_RANGE_FMT " is fenced off",
			c->name, DM_RANGE_ARG(m->range));
}

int
dm_publish(struct dmamap_container *c, const struct dm_mapping *m)
{
	uint64_t len = dm_range_len(m->range);
	int rc;

	rc = dm_xlate_insert(c->iova2va, m->range.start, m->vas.start, len);
	if (rc < 0 || (m->flags & DMAMAP_ALIAS))
		return rc;
	rc = dm_xlate_insert(c->va2iova, m->vas.start, m->range.start, len);
	if (rc < 0)
		dm_xlate_remove(c->iova2va, m->range.start, len);
	else if (m->zone != NULL)
		dm_window_open(c, m); /* back in after a failed unmap */
	return rc;
}

void
dm_withdraw(struct dmamap_container *c, const struct dm_mapping *m)
{
	uint64_t len = dm_range_len(m->range);

	dm_window_shut(c, m);
	if (!(m->flags & DMAMAP_ALIAS))
		dm_xlate_remove(c->va2iova, m->vas.start, len);
	dm_xlate_remove(c->iova2va, m->range.start, len);
}

int
dm_index_add(struct dmamap_container *c, struct dm_mapping *m)
{
	return dm_xlate_insert_object(c->iova2mapping, m->range.start, dm_range_len(m->range), m);
}

void
dm_index_del(struct dmamap_container *c, struct dm_mapping *m)
{
	dm_xlate_remove(c->iova2mapping, m->range.start, dm_range_len(m->range));
}

/** Everything that can be known before the first domain is asked. */
static int
preflight(const struct dmamap_container *c, struct dmamap_range vas, uint32_t flags)
{
	int rc = 0;

	if (!(flags & DMAMAP_ALIAS))
		rc = check_not_mapped(c, vas);
	if (rc == 0)
		rc = dm_domains_budget(c, 1);
	if (rc == 0)
		rc = dm_pin_memlock_check(dm_range_len(vas) * dm_domains_charges(c), c->name);
	return rc;
}

static int
map_once(struct dmamap_container *c, void *va, uint64_t len, uint64_t align, uint32_t flags,
	rte_iova_t *iova, struct dm_mapping **mapping)
{
	struct dmamap_range vas = dm_range((uintptr_t)va, len);
	struct dm_mapping *m;
	bool fence = false;
	int rc;

	rc = preflight(c, vas, flags);
	if (rc < 0)
		return rc;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->c = c;
	m->vas = vas;
	m->flags = flags;
	rc = take_iova(c, m, len, align, *iova);
	if (rc < 0)
		goto free_mapping;
	dm_xlate_prefetch(c->iova2va, m->range.start);
	rc = dm_index_add(c, m);
	if (rc < 0)
		goto give;
	rc = dm_domains_map(c, m, &fence);
	if (rc < 0)
		goto forget;
	rc = dm_publish(c, m);
	if (rc < 0)
		goto unmap;

	TAILQ_INSERT_TAIL(&c->mappings, m, next);
	c->n_mappings++;
	c->mapped_len += len;
	*iova = m->range.start;
	if (mapping != NULL)
		*mapping = m;
	return 0;

unmap:
	if (dm_domains_unmap(c, m->range, 1, &fence) < 0)
		fence = true;
forget:
	dm_index_del(c, m);
give:
	give_iova(c, m, fence);
free_mapping:
	free(m);
	return rc;
}

int
dm_map_locked(struct dmamap_container *c, void *va, uint64_t len, uint64_t align, uint32_t flags,
	rte_iova_t *iova, struct dm_mapping **mapping)
{
	int rc = map_once(c, va, len, align, flags, iova, mapping);

	/* What is mapped, but not used, makes room for what is. */
	if ((rc == -ENOSPC || rc == -ENOMEM) && dm_registrations_trim(c, 0))
		rc = map_once(c, va, len, align, flags, iova, mapping);
	return rc;
}

/** May the caller unmap m? Only its owner does that with a zone's or a registered one. */
static int
check_owner(
	const struct dmamap_container *c, const struct dm_mapping *m, const struct dm_mapping *own)
{
	if (m->users > 0)
		return DM_FAIL(EBUSY,
			"container %s: unmap of " DM_RANGE_FMT ": %u registrations "
			"are in use there: dmamap_deregister() first",
			c->name, DM_RANGE_ARG(m->range), m->users);
	if (m == own || (m->zone == NULL && !m->registered) ||
		(own != NULL && m->zone != NULL && m->zone == own->zone))
		return 0;
	if (m->zone != NULL)
		return DM_FAIL(EINVAL,
			"container %s: unmap of " DM_RANGE_FMT
			": zone %s is there: use dmamap_zone_free()",
			c->name, DM_RANGE_ARG(m->range), m->zone->name);
	return DM_FAIL(EINVAL,
		"container %s: unmap of " DM_RANGE_FMT ": it was registered: use "
		"dmamap_invalidate()",
		c->name, DM_RANGE_ARG(m->range));
}

/** Check that r consists of whole mappings, without holes, which the caller may unmap; count them.
 * The first is m, or NULL. */
static int
check_whole(const struct dmamap_container *c, struct dmamap_range r, const struct dm_mapping *m,
	const struct dm_mapping *own, uint64_t *n)
{
	rte_iova_t at = r.start;
	int rc;

	for (*n = 1;; (*n)++, m = dm_mapping_at(c, at)) {
		if (m == NULL)
			return DM_FAIL(ENOENT,
				"container %s: unmap of " DM_RANGE_FMT
				": nothing is mapped at 0x%" PRIx64,
				c->name, DM_RANGE_ARG(r), at);
		if (m->range.start != at || m->range.last > r.last)
			return DM_FAIL(EINVAL,
				"container %s: unmap of " DM_RANGE_FMT
				" would cut the mapping " DM_RANGE_FMT ": unmap whole mappings",
				c->name, DM_RANGE_ARG(r), DM_RANGE_ARG(m->range));
		rc = check_owner(c, m, own);
		if (rc < 0)
			return rc;
		if (m->range.last == r.last)
			return 0;
		at = m->range.last + 1;
	}
}

/** Call a function for each of the mappings that make up r, of which m is the first; it may free
 * its mapping. */
static void
each_mapping(struct dmamap_container *c, struct dmamap_range r, struct dm_mapping *m,
	void (*fn)(struct dmamap_container *c, struct dm_mapping *m, bool fence), bool fence)
{
	rte_iova_t last;

	for (;; m = dm_mapping_at(c, last + 1)) {
		last = m->range.last;
		fn(c, m, fence);
		if (last == r.last)
			return;
	}
}

static void
withdraw_one(struct dmamap_container *c, struct dm_mapping *m, bool fence)
{
	dm_withdraw(c, m);
}

static void
publish_one(struct dmamap_container *c, struct dm_mapping *m, bool fence)
{
	/* Its place in the tables is still there: what was withdrawn a moment ago goes back in. */
	if (dm_publish(c, m) == 0)
		return;
	DM_LOG(ERR,
		"container %s: no memory to translate " DM_RANGE_FMT
		" again: it stays mapped, but is not found",
		c->name, DM_RANGE_ARG(m->range));
	/* Its memory may be mapped a second time now: that is what an alias is. */
	if (m->registered && !(m->flags & DMAMAP_ALIAS))
		c->idle_aliases++;
	m->flags |= DMAMAP_ALIAS;
}

static void
forget_one(struct dmamap_container *c, struct dm_mapping *m, bool fence)
{
	dm_index_del(c, m);
	TAILQ_REMOVE(&c->mappings, m, next);
	c->n_mappings--;
	c->mapped_len -= dm_range_len(m->range);
	give_iova(c, m, fence);
	free(m);
}

void
dm_mapping_drop(struct dmamap_container *c, struct dm_mapping *m)
{
	dm_withdraw(c, m);
	forget_one(c, m, false);
}

/** Wait until no reader can hold a translation that was withdrawn. The CPU is left to them
 * meanwhile. */
static void
wait_for_readers(const struct dmamap_container *c)
{
	uint64_t token;

	if (c->conf.rcu == NULL)
		return;
	token = rte_rcu_qsbr_start(c->conf.rcu);
	while (rte_rcu_qsbr_check(c->conf.rcu, token, false) == 0)
		sched_yield();
}

/**
 * The mapping at the beginning of a range that is about to be unmapped; NULL: none. With very many
 * mappings what an unmap reads is in no cache: all of it is fetched at once, not one after the
 * other.
 */
static struct dm_mapping *
mapping_to_unmap(const struct dmamap_container *c, struct dmamap_range r)
{
	struct dm_mapping *m;

	dm_xlate_prefetch(c->iova2va, r.start);
	dm_iova_prefetch(c->space, r.start, dm_range_len(r));
	m = dm_mapping_at(c, r.start);
	if (m == NULL)
		return NULL;
	dm_xlate_prefetch(c->va2iova, m->vas.start);
	__builtin_prefetch(TAILQ_NEXT(m, next));
	__builtin_prefetch(m->next.tqe_prev);
	return m;
}

int
dm_unmap_locked(struct dmamap_container *c, struct dmamap_range r, const struct dm_mapping *own)
{
	struct dm_mapping *m = mapping_to_unmap(c, r);
	bool fence = false;
	uint64_t n;
	int rc;

	rc = check_whole(c, r, m, own, &n);
	if (rc < 0)
		return rc;
	each_mapping(c, r, m, withdraw_one, false);
	wait_for_readers(c);
	dm_clients_unmap(c, r);
	rc = dm_domains_unmap(c, r, n, &fence);
	if (rc < 0 && !fence) {
		each_mapping(c, r, m, publish_one, false);
		return rc;
	}
	each_mapping(c, r, m, forget_one, fence);
	return rc;
}

void
dm_unmap_or_fence(struct dmamap_container *c, struct dmamap_range r)
{
	struct dm_mapping *m;

	/* What is lost in some domain is fenced off by then; what all domains refuse to unmap is
	 * not. */
	if (dm_unmap_locked(c, r, NULL) == 0)
		return;
	m = dm_mapping_find(c, r);
	if (m == NULL)
		return;
	each_mapping(c, r, m, withdraw_one, false);
	each_mapping(c, r, m, forget_one, true);
}

int
dmamap_map(struct dmamap_container *c, void *va, size_t len, uint32_t flags, rte_iova_t *iova)
{
	int rc;

	rc = dm_map_check_args(c, va, len, flags, iova);
	if (rc < 0)
		return rc;
	dm_lock(c);
	rc = dm_map_locked(c, va, len, 0, flags, iova, NULL);
	dm_unlock(c);
	return rc;
}

int
dmamap_map_check(struct dmamap_container *c, size_t len, unsigned int n)
{
	int rc;

	if (c == NULL)
		return DM_FAIL(EINVAL, "map: no container given");
	dm_lock(c);
	rc = dm_domains_budget(c, n);
	if (rc == 0)
		rc = dm_pin_memlock_check(len * dm_domains_charges(c), c->name);
	dm_unlock(c);
	return rc;
}

int
dmamap_unmap(struct dmamap_container *c, rte_iova_t iova, size_t len)
{
	int rc;

	if (c == NULL || len == 0 || iova + (len - 1) < iova)
		return DM_FAIL(EINVAL,
			"unmap at IOVA 0x%" PRIx64 ", 0x%zx bytes: no container, no "
			"length, or it wraps around",
			iova, len);
	dm_lock(c);
	rc = dm_unmap_locked(c, dm_range(iova, len), NULL);
	dm_unlock(c);
	return rc;
}

_Static_assert(offsetof(struct dmamap_container, shown) == 0,
	"dmamap_va2iova() takes a container for its window");

rte_iova_t
dmamap_va2iova_outside(const struct dmamap_container *c, const void *va)
{
	return dm_xlate_lookup(c->va2iova, (uintptr_t)va);
}

rte_iova_t
dmamap_va2iova_run(const struct dmamap_container *c, const void *va, size_t *len)
{
	uint64_t run = *len;
	rte_iova_t iova = dm_xlate_lookup_run(c->va2iova, (uintptr_t)va, &run);

	*len = run;
	return iova;
}

void *
dmamap_iova2va(const struct dmamap_container *c, rte_iova_t iova)
{
	uint64_t va = dm_window_iova2va(&c->shown, iova);

	if (va == DM_XLATE_NONE)
		va = dm_xlate_lookup(c->iova2va, iova);
	return va == DM_XLATE_NONE ? NULL : (void *)(uintptr_t)va;
}
