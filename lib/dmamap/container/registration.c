/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How is a buffer registered again and again at the cost of a look-up? Mappings that outlive their
 * use.
 */

#include <errno.h>
#include <unistd.h>

#include "dm_container.h"

/* A registration is the mapping that it uses. Idle ones are linked by `idle` in c->idle; an alias
 * in use, which va2iova does not know, in c->aliases. There can be very many idle ones, so no list
 * of them is walked but for aliases, of which c->idle_aliases are idle: what overlaps some memory
 * is asked of va2iova.
 */

static struct dm_mapping *
mapping_of(struct dmamap_registration *reg)
{
	return (struct dm_mapping *)reg;
}

static bool
serves(const struct dm_mapping *m, struct dmamap_range vas, uint32_t flags)
{
	if (!dm_range_inside(vas, m->vas) || (flags & DMAMAP_RW & ~m->flags) != 0)
		return false;
	return !(flags & DMAMAP_LOW32) || m->range.last <= UINT32_MAX;
}

/** A mapping that covers the memory with these permissions; NULL: none. */
static struct dm_mapping *
find(const struct dmamap_container *c, struct dmamap_range vas, uint32_t flags)
{
	struct dm_mapping *m = dm_mapping_find_va(c, (struct dmamap_range){vas.start, vas.start});

	if (m != NULL && serves(m, vas, flags))
		return m;
	TAILQ_FOREACH(m, &c->aliases, idle)
		if (serves(m, vas, flags))
			return m;
	if (c->idle_aliases == 0)
		return NULL;
	TAILQ_FOREACH(m, &c->idle, idle)
		if ((m->flags & DMAMAP_ALIAS) && serves(m, vas, flags))
			return m;
	return NULL;
}

/** A registration, no alias, that overlaps the memory and is in use, or idle; NULL: none. */
static struct dm_mapping *
overlapping(const struct dmamap_container *c, struct dmamap_range vas, bool idle)
{
	struct dm_mapping *m;

	while ((m = dm_mapping_find_va(c, vas)) != NULL) {
		if (m->registered && (m->users == 0) == idle)
			return m;
		if (m->vas.last >= vas.last)
			return NULL;
		vas.start = m->vas.last + 1;
	}
	return NULL;
}

/** An idle registration that overlaps the memory; NULL: none. */
static struct dm_mapping *
idle_overlapping(const struct dmamap_container *c, struct dmamap_range vas)
{
	struct dm_mapping *m = overlapping(c, vas, true);

	if (m != NULL || c->idle_aliases == 0)
		return m;
	TAILQ_FOREACH(m, &c->idle, idle)
		if ((m->flags & DMAMAP_ALIAS) && dm_range_overlap(m->vas, vas))
			return m;
	return NULL;
}

static void
make_busy(struct dmamap_container *c, struct dm_mapping *m)
{
	if (m->users++ > 0 || !m->registered)
		return;
	TAILQ_REMOVE(&c->idle, m, idle);
	c->idle_len -= dm_range_len(m->range);
	if (m->flags & DMAMAP_ALIAS) {
		c->idle_aliases--;
		TAILQ_INSERT_TAIL(&c->aliases, m, idle);
	}
}

static void
make_idle(struct dmamap_container *c, struct dm_mapping *m)
{
	if (--m->users > 0 || !m->registered)
		return;
	if (m->flags & DMAMAP_ALIAS) {
		c->idle_aliases++;
		TAILQ_REMOVE(&c->aliases, m, idle);
	}
	TAILQ_INSERT_TAIL(&c->idle, m, idle);
	c->idle_len += dm_range_len(m->range);
}

/** Unmap an idle registration. It is off the list, whatever becomes of it, unless nothing changed.
 */
static int
drop(struct dmamap_container *c, struct dm_mapping *m)
{
	uint64_t len = dm_range_len(m->range);
	bool alias = m->flags & DMAMAP_ALIAS;
	int rc;

	TAILQ_REMOVE(&c->idle, m, idle);
	rc = dm_unmap_locked(c, m->range, m);
	if (rc < 0 && rc != -EIO) {
		TAILQ_INSERT_HEAD(&c->idle, m, idle);
		return rc;
	}
	c->idle_len -= len;
	c->idle_aliases -= alias;
	return rc;
}

bool
dm_registrations_trim(struct dmamap_container *c, uint64_t keep)
{
	struct dm_mapping *m;
	bool any = false;

	while (c->idle_len > keep && (m = TAILQ_FIRST(&c->idle)) != NULL) {
		if (drop(c, m) < 0)
			break;
		any = true;
	}
	return any;
}

/**
 * Unmap every idle registration that overlaps the memory, and widen *vas to cover what they
 * covered, if that is wanted.
 * @return 0, or the error of an unmap.
 */
static int
drop_overlapping(struct dmamap_container *c, struct dmamap_range *vas, bool widen)
{
	struct dm_mapping *m;
	int rc;

	while ((m = idle_overlapping(c, *vas)) != NULL) {
		if (widen && !(m->flags & DMAMAP_ALIAS)) {
			vas->start = RTE_MIN(vas->start, m->vas.start);
			vas->last = RTE_MAX(vas->last, m->vas.last);
		}
		rc = drop(c, m);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int
map_anew(struct dmamap_container *c, struct dmamap_range vas, uint32_t flags, struct dm_mapping **m)
{
	struct dmamap_range wide = vas;
	rte_iova_t iova = 0;
	int rc;

	rc = drop_overlapping(c, &wide, true);
	if (rc < 0)
		return rc;
	/* The union is one run of pages that were all mapped a moment ago; unless somebody else is
	 * in it. */
	if (dm_mapping_find_va(c, wide) != NULL) {
		wide = vas;
		if (dm_mapping_find_va(c, wide) != NULL)
			flags |= DMAMAP_ALIAS;
	}
	rc = dm_map_locked(
		c, (void *)(uintptr_t)wide.start, dm_range_len(wide), 0, flags, &iova, m);
	if (rc < 0)
		return rc;
	(*m)->registered = true;
	(*m)->users = 1;
	if ((*m)->flags & DMAMAP_ALIAS)
		TAILQ_INSERT_TAIL(&c->aliases, *m, idle);
	return 0;
}

int
dmamap_register(struct dmamap_container *c, void *va, size_t len, uint32_t flags, rte_iova_t *iova,
	struct dmamap_registration **reg)
{
	uint64_t page, start = (uintptr_t)va;
	struct dmamap_range vas;
	struct dm_mapping *m;
	int rc = 0;

	if (c == NULL || va == NULL || iova == NULL || reg == NULL || len == 0 ||
		start + (len - 1) < start || (flags & DMAMAP_RW) == 0 ||
		(flags & ~(DMAMAP_RW | DMAMAP_LOW32)) != 0)
		return DM_FAIL(EINVAL,
			"register of %p, 0x%zx bytes, flags 0x%x: no container, memory, "
			"length or access, or unknown flags",
			va, len, flags);
	dm_lock(c);
	vas = dm_range(start, len);
	m = find(c, vas, flags);
	if (m != NULL) {
		make_busy(c, m);
		goto found;
	}
	page = RTE_MAX(dm_min_page(c), (uint64_t)sysconf(_SC_PAGESIZE));
	vas.start &= ~(page - 1);
	vas.last |= page - 1;
	rc = map_anew(c, vas, flags, &m);
	if (rc < 0)
		goto unlock;
found:
	*iova = m->range.start + (start - m->vas.start);
	*reg = (struct dmamap_registration *)m;
unlock:
	dm_unlock(c);
	return rc;
}

void
dmamap_deregister(struct dmamap_registration *reg)
{
	struct dmamap_container *c;

	if (reg == NULL)
		return;
	c = mapping_of(reg)->c;
	dm_lock(c);
	make_idle(c, mapping_of(reg));
	dm_registrations_trim(c, c->idle_limit);
	dm_unlock(c);
}

/** Is registered memory of this range in use? */
static bool
in_use(const struct dmamap_container *c, struct dmamap_range vas)
{
	const struct dm_mapping *m;

	TAILQ_FOREACH(m, &c->aliases, idle)
		if (dm_range_overlap(m->vas, vas))
			return true;
	return overlapping(c, vas, false) != NULL;
}

int
dmamap_invalidate(struct dmamap_container *c, const void *va, size_t len)
{
	struct dmamap_range vas;
	int rc;

	if (c == NULL || len == 0 || (uintptr_t)va + (len - 1) < (uintptr_t)va)
		return DM_FAIL(EINVAL,
			"invalidate of %p, 0x%zx bytes: no container, no length, or it "
			"wraps around",
			va, len);
	vas = dm_range((uintptr_t)va, len);
	dm_lock(c);
	if (in_use(c, vas))
		rc = DM_FAIL(EBUSY,
			"container %s: invalidate of %p, 0x%zx bytes: a registration "
			"is in use there: dmamap_deregister() first",
			c->name, va, len);
	else
		rc = drop_overlapping(c, &vas, false);
	dm_unlock(c);
	return rc;
}

void
dmamap_registration_limit(struct dmamap_container *c, uint64_t len)
{
	dm_lock(c);
	c->idle_limit = len;
	dm_registrations_trim(c, len);
	dm_unlock(c);
}
