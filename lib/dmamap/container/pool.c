/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Pools: many small coherent objects of one size, carved from few zones.
 *
 * A pool owns slabs. A slab is a zone, with its bookkeeping outside, since devices may write all of
 * a zone. Free objects form one lock-free stack of references (slab, object), linked through
 * slab->next. Invariant: an object is either in the stack or marked in slab->out, except during a
 * get or put. Slabs are added under the pool's own lock and stay until the pool is destroyed. So a
 * reference that was once in the stack may be read at any time.
 *
 * Called by drivers and by bounce.c.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm_backend.h"
#include "dm_hugepage.h"
#include "dm_pool.h"
#include "dm_util.h"

/** A reference has 10 bits of slab and 22 bits of object plus 1; 0: none. */
#define OBJ_BITS 22u
#define SLABS_MAX (1u << (32 - OBJ_BITS))
#define SLAB_OBJS_MAX ((1u << OBJ_BITS) - 1)
/** Minimum bytes of a slab: map entries are scarcer than memory. */
#define SLAB_LEN_MIN ((size_t)64 << 10)
/** Longest object and alignment. */
#define OBJ_SIZE_MAX ((size_t)1 << 30)
/** Largest default alignment: objects do not share a cache line on common machines. */
#define ALIGN_UNASKED 64u

#define KNOWN_FLAGS (DMAMAP_RW | DMAMAP_LOW32 | DMAMAP_ALLOW_TRANSPARENT | DMAMAP_ALLOW_BASE)

struct slab {
	struct dmamap_zone *zone;
	char *va;
	dmamap_iova_t iova;
	uint32_t n; /**< objects */
	uint64_t *out; /**< atomic; one bit for each object: it is in use */
	uint32_t next[]; /**< atomic; for an object in the stack: the reference below it */
};

struct dmamap_pool {
	/** Atomic; the top reference in the lower half, a count of changes (ABA) in the upper. */
	uint64_t head;
	/* Fixed from here on. */
	size_t obj_size DM_CACHE_ALIGNED;
	size_t align;
	size_t stride; /**< bytes from one object to the next */
	size_t block; /**< objects do not cross multiples of this in a zone; 0: none can */
	size_t per_block; /**< objects in a block */
	size_t boundary;
	bool zero;
	dmamap_iova_t last; /**< last IOVA that every device reaches */
	struct dmamap_zone_conf zone_conf;
	char name[DMAMAP_NAME_MAX];
	/* Under `grow`. */
	pthread_mutex_t grow;
	uint64_t n_objs, max; /**< max 0: no limit */
	unsigned int n_slabs; /**< atomic; set with release after the slab is added */
	struct slab *slab[SLABS_MAX];
};

/* The stack. */

static uint32_t *
ref_next(struct dmamap_pool *p, uint32_t ref)
{
	struct slab *s = __atomic_load_n(&p->slab[ref >> OBJ_BITS], __ATOMIC_ACQUIRE);

	return &s->next[(ref & SLAB_OBJS_MAX) - 1];
}

/** Push linked references, from first to last. */
static void
pool_push(struct dmamap_pool *p, uint32_t first, uint32_t last)
{
	uint64_t head = __atomic_load_n(&p->head, __ATOMIC_RELAXED), new;

	do {
		__atomic_store_n(ref_next(p, last), (uint32_t)head, __ATOMIC_RELAXED);
		new = ((head >> 32) + 1) << 32 | first;
	} while (!__atomic_compare_exchange_n(
		&p->head, &head, new, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/** @return a reference; 0: the stack is empty */
static uint32_t
pool_pop(struct dmamap_pool *p)
{
	uint64_t head = __atomic_load_n(&p->head, __ATOMIC_ACQUIRE), new;

	do {
		if ((uint32_t)head == 0)
			return 0;
		/* Stale if another thread got the object meanwhile; then head has changed. */
		new = ((head >> 32) + 1) << 32 |
			__atomic_load_n(ref_next(p, (uint32_t)head), __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(
		&p->head, &head, new, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
	return (uint32_t)head;
}

/* Where objects lie in a slab. */

static size_t
obj_offset(const struct dmamap_pool *p, uint32_t i)
{
	if (p->block == 0)
		return i * p->stride;
	return i / p->per_block * p->block + i % p->per_block * p->stride;
}

/** @return whether an object begins at an offset */
static bool
obj_at(const struct dmamap_pool *p, size_t off, uint32_t *i)
{
	const size_t block = p->block != 0 ? off / p->block : 0;
	const size_t in = p->block != 0 ? off % p->block : off;

	*i = block * p->per_block + in / p->stride;
	return in % p->stride == 0 && (p->block == 0 || in / p->stride < p->per_block);
}

/** Number of objects that fit into len bytes. */
static uint64_t
objs_in(const struct dmamap_pool *p, size_t len)
{
	if (p->block == 0)
		return len / p->stride;
	return len / p->block * p->per_block + DM_MIN(p->per_block, len % p->block / p->stride);
}

/* Slabs. */

static void
slab_free(struct slab *s)
{
	free(s->out);
	free(s);
}

/** Add a slab and push its objects. The pool's lock is held. */
static void
slab_enter(struct dmamap_pool *p, struct slab *s)
{
	const uint32_t base = p->n_slabs << OBJ_BITS;
	uint32_t i;

	for (i = 0; i + 1 < s->n; i++)
		s->next[i] = base + i + 2;
	__atomic_store_n(&p->slab[p->n_slabs], s, __ATOMIC_RELEASE);
	__atomic_store_n(&p->n_slabs, p->n_slabs + 1, __ATOMIC_RELEASE);
	p->n_objs += s->n;
	pool_push(p, base + 1, base + s->n);
}

/**
 * Plan a zone for n objects: its length, alignment and page size. Without an IOMMU it holds what
 * fits into one hugepage.
 */
static void
slab_plan(const struct dmamap_pool *p, const struct dmamap_container *c, uint64_t n,
	struct dmamap_zone_conf *conf)
{
	const size_t page = sysconf(_SC_PAGESIZE), huge = dm_hugepage_smallest();
	size_t len = DM_MAX(obj_offset(p, n - 1) + p->stride, SLAB_LEN_MIN), unit;
	bool identity;

	if (p->max != 0)
		len = DM_MIN(len, obj_offset(p, p->max - p->n_objs - 1) + p->stride);
	dm_book_lock(c);
	unit = DM_MAX(page, dm_min_page(c));
	identity = dm_backend_places(c);
	dm_book_unlock(c);
	if (conf->page_size == 0 && !identity)
		conf->page_size = page;
	/*
	 * Without an IOMMU, only one page is contiguous for a device, and only hugepages have
	 * physical addresses that do not change.
	 */
	if (identity && huge != 0)
		len = DM_MAX(DM_MIN(len, huge), p->stride);
	conf->len = DM_ALIGN_CEIL(len, unit);
	conf->align = DM_MAX(p->align, DM_MIN(p->boundary, dm_align_power_of_2(conf->len)));
	conf->align = DM_MAX(conf->align, identity ? 1 : unit);
}

/** Check that a zone is within reach and aligned. */
static int
slab_check(const struct dmamap_pool *p, const struct dmamap_zone *z, size_t align)
{
	const dmamap_iova_t iova = dmamap_zone_iova(z), last = iova + dmamap_zone_len(z) - 1;

	if (last > p->last)
		return DM_FAIL(ENOSPC,
			"pool %s: memory at IOVAs " DM_RANGE_FMT " is beyond the DMA mask of a "
			"device, which ends at 0x%" PRIx64 ": no memory is available within reach",
			p->name, iova, last, p->last);
	if ((iova & (align - 1)) != 0 || ((uintptr_t)dmamap_zone_va(z) & (align - 1)) != 0)
		return DM_FAIL(ENOTSUP,
			"pool %s: memory at IOVA 0x%" PRIx64 " is not aligned to 0x%zx, and "
			"no IOMMU could move it: use an alignment and a boundary of a "
			"hugepage at most",
			p->name, iova, align);
	return 0;
}

/** Make a slab of n objects, or as many as slab_plan() allows. */
static int
slab_make(struct dmamap_pool *p, struct dmamap_container *c, uint64_t n, struct slab **out)
{
	struct dmamap_zone_conf conf = p->zone_conf;
	struct slab *s = NULL;
	struct dmamap_zone *z;
	int rc;

	slab_plan(p, c, n, &conf);
	rc = dmamap_zone_alloc(c, &conf, &z);
	if (rc < 0)
		return rc;
	rc = slab_check(p, z, conf.align);
	if (rc < 0)
		goto free_zone;
	n = DM_MIN(objs_in(p, dmamap_zone_len(z)), (uint64_t)SLAB_OBJS_MAX);
	if (p->max != 0)
		n = DM_MIN(n, p->max - p->n_objs);
	rc = -ENOMEM;
	s = calloc(1, sizeof(*s) + n * sizeof(s->next[0]));
	if (s == NULL)
		goto free_zone;
	s->out = calloc(n / 64 + 1, sizeof(s->out[0]));
	if (s->out == NULL)
		goto free_zone;
	s->zone = z;
	s->va = dmamap_zone_va(z);
	s->iova = dmamap_zone_iova(z);
	s->n = n;
	*out = s;
	return 0;

free_zone:
	free(s);
	dmamap_zone_free(z);
	return rc;
}

/** Whether two zones have the same owner. During a merge this may be false in error, never true. */
static bool
zone_same_owner(const struct dmamap_zone *a, const struct dmamap_zone *b)
{
	struct dmamap_container *c = dm_owner_get(&a->c);
	bool same = dm_owner_is(&b->c, c);

	dmamap_container_put(c);
	return same;
}

/** Add a slab of n objects, or fewer if limits require. The pool's lock is held. */
static int
pool_grow(struct dmamap_pool *p, struct dmamap_container *c, uint64_t n)
{
	struct slab *s;
	int rc;

	if (p->n_slabs == SLABS_MAX || (p->max != 0 && p->n_objs >= p->max))
		return -ENOSPC;
	n = DM_MIN(DM_MAX(n, UINT64_C(1)), (uint64_t)SLAB_OBJS_MAX);
	if (p->max != 0)
		n = DM_MIN(n, p->max - p->n_objs);
	for (;;) {
		struct dmamap_container *owner = p->n_slabs == 0
			? dmamap_container_get(c)
			: dm_owner_get(&p->slab[0]->zone->c);

		rc = slab_make(p, owner, n, &s);
		dmamap_container_put(owner);
		if (rc < 0)
			return rc;
		if (p->n_slabs == 0 || zone_same_owner(s->zone, p->slab[0]->zone))
			break;
		/* A merge came between: the pool's devices are now in another container. */
		dmamap_zone_free(s->zone);
		slab_free(s);
	}
	slab_enter(p, s);
	return 0;
}

/** The stack is empty: double the number of objects. Other threads wait for the lock. */
static int
pool_refill(struct dmamap_pool *p, uint32_t *ref)
{
	int rc = 0;

	pthread_mutex_lock(&p->grow);
	while ((*ref = pool_pop(p)) == 0 && rc == 0)
		rc = pool_grow(p, NULL, p->n_objs);
	pthread_mutex_unlock(&p->grow);
	return *ref != 0 ? 0 : rc;
}

int
dm_pool_reserve(struct dmamap_pool *p, uint64_t n)
{
	int rc = 0;

	pthread_mutex_lock(&p->grow);
	if (p->max != 0)
		p->max = DM_MAX(p->max, n);
	while (rc == 0 && p->n_objs < n)
		rc = pool_grow(p, NULL, n - p->n_objs);
	pthread_mutex_unlock(&p->grow);
	return rc;
}

/* Getting and putting. */

int
dmamap_pool_get(struct dmamap_pool *p, void **va, dmamap_iova_t *iova)
{
	struct slab *s;
	uint32_t ref, i;
	size_t off;
	int rc;

	if (DM_UNLIKELY(p == NULL || va == NULL || iova == NULL))
		return DM_FAIL(EINVAL, "pool: get: pool or result pointer is NULL");
	ref = pool_pop(p);
	if (DM_UNLIKELY(ref == 0)) {
		rc = pool_refill(p, &ref);
		if (rc < 0)
			return rc;
	}
	s = __atomic_load_n(&p->slab[ref >> OBJ_BITS], __ATOMIC_ACQUIRE);
	i = (ref & SLAB_OBJS_MAX) - 1;
	__atomic_fetch_or(&s->out[i / 64], UINT64_C(1) << (i % 64), __ATOMIC_RELAXED);
	off = obj_offset(p, i);
	if (p->zero)
		memset(s->va + off, 0, p->obj_size);
	*va = s->va + off;
	*iova = s->iova + off;
	return 0;
}

/** Find the slab of an address. Each slab is as large as all before it, so search from the last. */
static struct slab *
pool_find(struct dmamap_pool *p, uintptr_t va, unsigned int *number)
{
	unsigned int i = __atomic_load_n(&p->n_slabs, __ATOMIC_ACQUIRE);
	struct slab *s;

	while (i-- > 0) {
		s = __atomic_load_n(&p->slab[i], __ATOMIC_RELAXED);
		if (va >= (uintptr_t)s->va && va - (uintptr_t)s->va <= obj_offset(p, s->n - 1)) {
			*number = i;
			return s;
		}
	}
	return NULL;
}

int
dmamap_pool_put(struct dmamap_pool *p, void *va)
{
	unsigned int number;
	uint32_t i, ref;
	struct slab *s;
	uint64_t bit;

	if (DM_UNLIKELY(p == NULL))
		return DM_FAIL(EINVAL, "pool: put of %p without a pool", va);
	s = pool_find(p, (uintptr_t)va, &number);
	if (DM_UNLIKELY(s == NULL || !obj_at(p, (uintptr_t)va - (uintptr_t)s->va, &i)))
		return DM_FAIL(EINVAL, "pool %s: put of %p: no object of this pool begins there",
			p->name, va);
	bit = UINT64_C(1) << (i % 64);
	if (DM_UNLIKELY((__atomic_fetch_and(&s->out[i / 64], ~bit, __ATOMIC_ACQ_REL) & bit) == 0))
		return DM_FAIL(EINVAL, "pool %s: put of %p: it is not in use: put each object once",
			p->name, va);
	ref = number << OBJ_BITS | (i + 1);
	pool_push(p, ref, ref);
	return 0;
}

/* Beginning and end. */

static int
pool_check_conf(const struct dmamap_container *c, const struct dmamap_pool_conf *conf)
{
	const char *name = conf->name != NULL ? conf->name : "pool";

	if (conf->obj_size == 0 || conf->obj_size > OBJ_SIZE_MAX || conf->align > OBJ_SIZE_MAX)
		return DM_FAIL(EINVAL,
			"container %s: pool %s: objects of %zu bytes, aligned to %zu: each "
			"must be from 1 to %zu (0: any alignment)",
			c->name, name, conf->obj_size, conf->align, OBJ_SIZE_MAX);
	if ((conf->align & (conf->align - 1)) != 0 ||
		(conf->boundary & (conf->boundary - 1)) != 0 ||
		(conf->boundary != 0 && conf->boundary < conf->obj_size))
		return DM_FAIL(EINVAL,
			"container %s: pool %s: alignment 0x%zx and boundary 0x%zx must be "
			"powers of two, and a boundary not below the object's %zu bytes",
			c->name, name, conf->align, conf->boundary, conf->obj_size);
	if ((conf->flags & ~KNOWN_FLAGS) != 0 || (conf->max != 0 && conf->max < conf->initial))
		return DM_FAIL(EINVAL,
			"container %s: pool %s: unknown flags (0x%x), or more initial "
			"objects (%" PRIu64 ") than max allows (%" PRIu64 ")",
			c->name, name, conf->flags, conf->initial, conf->max);
	return 0;
}

static void
pool_init(struct dmamap_pool *p, const struct dmamap_pool_conf *conf)
{
	snprintf(p->name, sizeof(p->name), "%s", conf->name != NULL ? conf->name : "pool");
	p->obj_size = conf->obj_size;
	p->align = conf->align != 0
		? conf->align
		: DM_MIN(dm_align_power_of_2(p->obj_size), (size_t)ALIGN_UNASKED);
	p->stride = DM_ALIGN_CEIL(p->obj_size, p->align);
	/* An object aligned to the boundary, and not longer, does not cross it. */
	p->boundary = conf->boundary > p->align ? conf->boundary : 1;
	p->block = p->boundary > p->stride && p->boundary % p->stride != 0 ? p->boundary : 0;
	p->per_block = p->block / p->stride;
	p->zero = conf->zero;
	p->max = conf->max;
	p->zone_conf = (struct dmamap_zone_conf){.page_size = conf->page_size,
		.dev = conf->dev,
		.on_node = conf->on_node,
		.node = conf->node,
		.flags = conf->flags,
		.name = p->name,
		.owner = conf->owner,
		.placement = conf->placement,
		.threads = 1};
	/* conf->dev may be gone when the pool grows, so resolve the node now. */
	if (conf->dev != NULL) {
		p->zone_conf.on_node = true;
		p->zone_conf.node = dmamap_device_node(conf->dev);
		p->zone_conf.dev = NULL;
	}
	pthread_mutex_init(&p->grow, NULL);
}

int
dm_pool_create(struct dmamap_container *c, const struct dmamap_pool_conf *conf, dmamap_iova_t last,
	bool hold_ref, struct dmamap_pool **out)
{
	struct dmamap_pool *p;
	int rc;

	rc = pool_check_conf(c, conf);
	if (rc < 0)
		return rc;
	if (posix_memalign((void **)&p, DM_CACHE_LINE, sizeof(*p)) != 0)
		return -ENOMEM;
	memset(p, 0, sizeof(*p));
	pool_init(p, conf);
	p->last = last;
	do
		rc = pool_grow(p, c, DM_MAX(conf->initial, p->n_objs + 1) - p->n_objs);
	while (rc == 0 && p->n_objs < conf->initial);
	/* conf->owner is the caller's string: later growths use the first zone's copy. */
	p->zone_conf.owner = p->n_slabs > 0 && p->slab[0]->zone->owner[0] != '\0'
		? p->slab[0]->zone->owner
		: NULL;
	if (rc < 0) {
		dm_pool_abandon(p);
		return rc;
	}
	if (hold_ref)
		dm_zone_hold_container(p->slab[0]->zone);
	*out = p;
	return 0;
}

int
dmamap_pool_create_sized(struct dmamap_container *c, const struct dmamap_pool_conf *given,
	size_t size, struct dmamap_pool **p)
{
	struct dmamap_pool_conf conf = {0};
	char owner[DMAMAP_NAME_MAX];

	if (c == NULL || given == NULL || p == NULL)
		return DM_FAIL(EINVAL, "pool: container, configuration or result pointer is NULL");
	memcpy(&conf, given, DM_MIN(size, sizeof(conf)));
	/* As with zones, the default owner is the device. */
	if (conf.owner == NULL && conf.dev != NULL) {
		snprintf(owner, sizeof(owner), "%s", dmamap_device_name(conf.dev));
		conf.owner = owner;
	}
	return dm_pool_create(c, &conf, UINT64_MAX, true, p);
}

static uint64_t
pool_count_out(const struct dmamap_pool *p)
{
	const unsigned int n_slabs = __atomic_load_n(&p->n_slabs, __ATOMIC_ACQUIRE);
	uint64_t out = 0;
	unsigned int i;
	uint32_t k;

	for (i = 0; i < n_slabs; i++)
		for (k = 0; k < p->slab[i]->n / 64 + 1; k++)
			out += __builtin_popcountll(
				__atomic_load_n(&p->slab[i]->out[k], __ATOMIC_RELAXED));
	return out;
}

void
dm_pool_forget(struct dmamap_pool *p)
{
	while (p->n_slabs > 0)
		slab_free(p->slab[--p->n_slabs]);
	pthread_mutex_destroy(&p->grow);
	free(p);
}

/** After a failed destroy: rebuild the stack from the slabs that remain. */
static void
pool_restack(struct dmamap_pool *p)
{
	const unsigned int n = p->n_slabs;

	p->n_slabs = 0;
	p->n_objs = 0;
	__atomic_store_n(&p->head, p->head & ~(uint64_t)UINT32_MAX, __ATOMIC_RELAXED);
	while (p->n_slabs < n)
		slab_enter(p, p->slab[p->n_slabs]);
}

int
dmamap_pool_destroy(struct dmamap_pool *p)
{
	int rc, result = 0;
	uint64_t out;

	if (p == NULL)
		return 0;
	out = pool_count_out(p);
	if (out > 0)
		return DM_FAIL(EBUSY,
			"pool %s: %" PRIu64 " of %" PRIu64 " objects are in use: put them first",
			p->name, out, p->n_objs);
	/* Free the first zone last: it holds the container's reference, and names the owner. */
	while (p->n_slabs > 0) {
		rc = dmamap_zone_free(p->slab[p->n_slabs - 1]->zone);
		if (rc < 0 && rc != -EIO) {
			pool_restack(p);
			return rc;
		}
		result = rc < 0 ? rc : result;
		slab_free(p->slab[--p->n_slabs]);
	}
	dm_pool_forget(p);
	return result;
}

void
dm_pool_abandon(struct dmamap_pool *p)
{
	int rc = dmamap_pool_destroy(p);

	/* A zone that cannot be unmapped is freed with its container. */
	if (rc < 0 && rc != -EIO)
		dm_pool_forget(p);
}

int
dmamap_pool_info_sized(struct dmamap_pool *p, struct dmamap_pool_info *info, size_t size)
{
	struct dmamap_pool_info all = {0};
	unsigned int i;

	if (p == NULL || info == NULL)
		return -EINVAL;
	all.obj_size = p->obj_size;
	all.stride = p->stride;
	all.n_out = pool_count_out(p);
	pthread_mutex_lock(&p->grow);
	all.n_objs = p->n_objs;
	all.max = p->max;
	all.n_zones = p->n_slabs;
	for (i = 0; i < p->n_slabs; i++)
		all.len += dmamap_zone_len(p->slab[i]->zone);
	pthread_mutex_unlock(&p->grow);
	return dm_copy_out(info, size, &all, sizeof(all));
}
