/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Bounce buffers: memory that a device works on in place of a buffer that it cannot reach.
 *
 * There is one pool for each power of two of bytes, access and reach of devices. A pool is created
 * on first use, does not shrink, and is freed with its container; a merge moves it. A buffer that
 * fits no pool (large, or too many) is a zone of its own. Invariant: an object is aligned to its
 * size, and lies within the reach of every device of the container. Called by stream.c, merge.c and
 * container.c.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "dm_bounce.h"
#include "dm_pool.h"
#include "dm_util.h"

/** Smallest and largest class of lengths: 256 bytes and 1 GiB. */
#define ORDER_MIN 8u
#define ORDER_MAX 30u
/** Bytes of a pool that was not reserved; larger classes have a pool only if it was reserved. */
#define CLASS_LEN_MAX (UINT64_C(16) << 20)

/** The pools for one reach and one access. In a container's list; freed with it. */
struct dm_bounce_set {
	LIST_ENTRY(dm_bounce_set) next;
	dmamap_iova_t last; /**< c->mask_last at creation: no object lies beyond */
	uint32_t flags; /**< DMAMAP_READ, DMAMAP_WRITE */
	struct dmamap_pool *pool[ORDER_MAX + 1]; /**< NULL: not made yet */
};

static unsigned int
bounce_order(size_t len)
{
	const unsigned int order = len <= 1 ? 0 : 64 - __builtin_clzll(len - 1);

	return DM_MAX(order, ORDER_MIN);
}

/** Bookkeeping is held. */
static struct dm_bounce_set *
bounce_find(struct dmamap_container *c, dmamap_iova_t last, uint32_t flags)
{
	struct dm_bounce_set *s;

	LIST_FOREACH(s, &c->bounces, next)
		if (s->last == last && s->flags == flags)
			return s;
	return NULL;
}

/** The set for a reach and access, created if there is none; NULL: out of memory. */
static struct dm_bounce_set *
bounce_set(struct dmamap_container *c, dmamap_iova_t last, uint32_t flags)
{
	struct dm_bounce_set *s, *new = NULL;

	dm_book_lock(c);
	s = bounce_find(c, last, flags);
	if (s == NULL)
		new = calloc(1, sizeof(*new));
	if (new != NULL) {
		new->last = last;
		new->flags = flags;
		LIST_INSERT_HEAD(&c->bounces, new, next);
		s = new;
	}
	dm_book_unlock(c);
	return s;
}

static int
bounce_pool_make(struct dmamap_container *c, const struct dm_bounce_set *s, unsigned int order,
	uint64_t n, struct dmamap_pool **p)
{
	const struct dmamap_pool_conf conf = {.name = "bounce",
		.obj_size = (size_t)1 << order,
		.align = (size_t)1 << order,
		.initial = n,
		.flags = s->flags,
		.max = DM_MAX(DM_MAX(CLASS_LEN_MAX >> order, n), UINT64_C(1))};

	return dm_pool_create(c, &conf, s->last, false, p);
}

/** The pool of a class, created if there is none. @return 0; the error of its first zone */
static int
bounce_pool(struct dmamap_container *c, struct dm_bounce_set *s, unsigned int order, uint64_t n,
	struct dmamap_pool **p)
{
	struct dmamap_pool *new;
	int rc;

	*p = __atomic_load_n(&s->pool[order], __ATOMIC_ACQUIRE);
	if (*p != NULL)
		return 0;
	rc = bounce_pool_make(c, s, order, n, &new);
	if (rc < 0)
		return rc;
	if (__atomic_compare_exchange_n(
		    &s->pool[order], p, new, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		*p = new;
	else
		dm_pool_abandon(new);
	return 0;
}

/** Get a buffer from a pool. @return 0; -ENOSPC: no pool for it; the pool's error */
static int
bounce_from_pool(
	struct dmamap_container *c, dmamap_iova_t last, uint32_t flags, struct dm_bounce *b)
{
	const unsigned int order = bounce_order(b->len);
	struct dm_bounce_set *s;
	int rc;

	if (order > ORDER_MAX)
		return -ENOSPC;
	s = bounce_set(c, last, flags);
	if (s == NULL)
		return -ENOMEM;
	if (CLASS_LEN_MAX >> order == 0 &&
		__atomic_load_n(&s->pool[order], __ATOMIC_RELAXED) == NULL)
		return -ENOSPC;
	rc = bounce_pool(c, s, order, 0, &b->pool);
	if (rc == 0)
		rc = dmamap_pool_get(b->pool, &b->va, &b->iova);
	if (rc < 0)
		b->pool = NULL;
	return rc;
}

/** Allocate a zone for one buffer. */
static int
bounce_from_zone(
	struct dmamap_container *c, dmamap_iova_t last, uint32_t flags, struct dm_bounce *b)
{
	struct dmamap_zone_conf conf = {
		.page_size = sysconf(_SC_PAGESIZE), .flags = flags, .name = "bounce"};
	size_t unit;
	int rc;

	dm_book_lock(c);
	unit = DM_MAX(conf.page_size, dm_min_page(c));
	/* Without an IOMMU, only hugepages have physical addresses that do not change. */
	if (__atomic_load_n(&c->backend, __ATOMIC_RELAXED) == DMAMAP_BACKEND_NOIOMMU)
		conf.page_size = 0;
	dm_book_unlock(c);
	conf.len = DM_ALIGN_CEIL(b->len, unit);
	conf.align = unit;
	if (conf.len < b->len)
		return DM_FAIL(
			EINVAL, "container %s: bounce buffer of 0x%zx bytes", c->name, b->len);
	rc = dmamap_zone_alloc(c, &conf, &b->zone);
	if (rc < 0)
		return rc;
	b->va = dmamap_zone_va(b->zone);
	b->iova = dmamap_zone_iova(b->zone);
	if (b->iova + (b->len - 1) <= last)
		return 0;
	rc = DM_FAIL(ENOSPC,
		"container %s: bounce buffer: memory at IOVA 0x%" PRIx64 " is beyond the DMA mask "
		"of a device, which ends at 0x%" PRIx64 ": no memory is available within reach",
		c->name, b->iova, last);
	dmamap_zone_free(b->zone);
	b->zone = NULL;
	return rc;
}

int
dm_bounce_get(struct dmamap_container *c, size_t len, uint32_t flags, struct dm_bounce *b)
{
	const dmamap_iova_t last = dm_mask_last(c);

	*b = (struct dm_bounce){.len = len};
	if (bounce_from_pool(c, last, flags, b) == 0)
		return 0;
	return bounce_from_zone(c, last, flags, b);
}

int
dm_bounce_put(struct dm_bounce *b)
{
	return b->pool != NULL ? dmamap_pool_put(b->pool, b->va) : dmamap_zone_free(b->zone);
}

int
dmamap_bounce_reserve(
	struct dmamap_container *c, enum dmamap_direction dir, size_t len, unsigned int n)
{
	struct dm_bounce_set *s;
	struct dmamap_pool *p;
	unsigned int order;
	int rc;

	if (c == NULL || len == 0 || n == 0 || (unsigned int)dir > DMAMAP_BIDIRECTIONAL)
		return DM_FAIL(EINVAL,
			"bounce buffers: no container, length or number, or unknown "
			"direction");
	order = bounce_order(len);
	if (order > ORDER_MAX)
		return DM_FAIL(EINVAL,
			"container %s: bounce buffers of 0x%zx bytes: they have 0x%" PRIx64
			" at most",
			c->name, len, UINT64_C(1) << ORDER_MAX);
	s = bounce_set(c, dm_mask_last(c), dm_access_of(dir));
	if (s == NULL)
		return -ENOMEM;
	rc = bounce_pool(c, s, order, n, &p);
	return rc < 0 ? rc : dm_pool_reserve(p, n);
}

void
dm_bounces_move(struct dmamap_container *into, struct dmamap_container *from)
{
	struct dm_bounce_set *s;

	while ((s = LIST_FIRST(&from->bounces)) != NULL) {
		LIST_REMOVE(s, next);
		LIST_INSERT_HEAD(&into->bounces, s, next);
	}
}

void
dm_bounces_fini(struct dmamap_container *c)
{
	struct dm_bounce_set *s;
	unsigned int i;

	while ((s = LIST_FIRST(&c->bounces)) != NULL) {
		LIST_REMOVE(s, next);
		for (i = 0; i < DM_DIM(s->pool); i++)
			if (s->pool[i] != NULL)
				dm_pool_forget(s->pool[i]);
		free(s);
	}
}
