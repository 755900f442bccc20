/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal interface of container/: the structures that its files share, their invariants, and the
 * functions of each file, lowest file first. A file calls only files above it in this list. See
 * doc/architecture.md for locks and lifetimes.
 */

#ifndef DM_CONTAINER_H
#define DM_CONTAINER_H

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/queue.h>

#include "dm_util.h"
#include "dmamap.h"
#include "dm_counters.h"
#include "dm_iommu.h"
#include "dm_iova.h"
#include "dm_linear.h"
#include "dm_lock.h"
#include "dm_log.h"
#include "dm_pin.h"
#include "dm_process.h"
#include "dm_trace.h"
#include "dm_watch.h"
#include "dm_units.h"
#include "dm_xlate.h"

/** A range in messages. */
#define DM_RANGE_FMT "[0x%" PRIx64 ", 0x%" PRIx64 "]"
#define DM_RANGE_ARG(r) (r).start, (r).last

/**
 * The states of a mapping. A mapping is in the index (IOVA to mapping) in every state but FREE. It
 * is in the list of mappings, which a replay walks, in LIVE and DYING.
 *
 *   FREE ─► MAPPING ─► LIVE ─► DYING ─► FREE
 *              └─► FREE  └──◄───┘ the kernel refused to unmap: published again
 *
 * A mapping that a failed undo leaves in some domain becomes FREE too; its IOVAs go into
 * quarantine.
 */
enum dm_state {
	DM_FREE, /**< in the pool */
	DM_MAPPING, /**< IOVAs reserved, kernel call in progress; not visible to translations */
	DM_LIVE, /**< mapped in every domain, visible to translations */
	DM_DYING, /**< still mapped in every domain, no longer visible to translations */
};

/** In dm_mapping.use: closed to new users. Else `use` is the number of users. */
#define DM_USE_CLOSED UINT32_C(0x80000000)

/**
 * A mapping. Its memory comes from a pool and is only ever reused for mappings. So a look-up
 * without a lock may read `use` of any mapping it finds. A thread that has raised `use` may read
 * all fixed fields. The bookkeeping lock guards the other fields.
 */
struct dm_mapping {
	TAILQ_ENTRY(dm_mapping) next; /**< in the order of mapping, which is the order of replay */
	/** In the list of the operation that maps or unmaps it. FREE: in c->free_mappings. */
	TAILQ_ENTRY(dm_mapping) work;
	TAILQ_ENTRY(dm_mapping) inflight; /**< in c->inflight, in state MAPPING */
	struct dmamap_container *c; /**< the owner; only a merge changes it */
	struct dmamap_range range; /**< of IOVAs; fixed */
	struct dmamap_range vas; /**< of addresses in this process; fixed */
	uint32_t flags; /**< DMAMAP_*; fixed but for ALIAS, which a failed unmap may add */
	uint32_t use; /**< atomic; registrations in use, or DM_USE_CLOSED */
	enum dm_state state;
	unsigned int copies; /**< copies by clients in progress */
	bool owns_iova; /**< false: it lies in a reservation that outlives it */
	bool stale; /**< atomic; its memory was unmapped or replaced while it was in use */
	bool recent; /**< atomic; used since the clock hand passed */
	bool once; /**< do not cache when idle */
	bool watched; /**< atomic; `watch` is added */
	struct dm_watch_range watch; /**< the watched range of its memory */
	struct dmamap_zone *zone; /**< the zone it backs, or NULL */
	struct dm_cache *cache; /**< registered: the cache that counts it; else NULL. Fixed */
	TAILQ_ENTRY(dm_mapping) clock; /**< registered: in cache->all */
	LIST_ENTRY(dm_mapping) alias; /**< registered alias: in the alias index */
} __attribute__((aligned(16)));

TAILQ_HEAD(dm_mapping_list, dm_mapping);
TAILQ_HEAD(dm_work_list, dm_mapping);

/** A chunk of mappings: the unit of allocation. */
struct dm_mapping_chunk {
	struct dm_mapping_chunk *next;
	struct dm_mapping m[64];
};

/**
 * IOVAs that are reserved without a mapping: by dmamap_iova_reserve(), or for a zone that is being
 * made or may grow. In the tree c->reservations.
 */
struct dm_reservation {
	struct dmamap_range range; /**< first, as in struct dm_mapping */
	const struct dmamap_zone *zone; /**< the zone that owns it; NULL: the user does */
};

/**
 * A domain: one kernel container or iommufd page table. Lists and info change under the topology
 * lock (writer) and the bookkeeping lock.
 */
struct dm_domain {
	TAILQ_ENTRY(dm_domain) next;
	struct dm_iommu_domain *dom;
	unsigned int n_devices;
	struct dm_iommu_info
		info; /**< as of the last attach or detach; entries_left is kept up to date */
};

/** A group with attached devices. */
struct dm_group {
	int id; /**< first: the key of c->groups */
	unsigned int n_devices;
	struct dm_domain *domain;
	const struct dmamap_device
		*first; /**< one of its devices, which provides the group's reserved ranges */
};

/** An attached device. Owned by the caller of attach until detach. */
struct dmamap_device {
	TAILQ_ENTRY(dmamap_device) next;
	/** The owner; the old one during a move; NULL: lost in a move. */
	struct dmamap_container *c;
	struct dm_domain *domain;
	/**
	 * Queries report `domain`; false during a move, when they report `last`. Under the owner's
	 * bookkeeping.
	 */
	bool domain_valid;
	struct dmamap_device_info
		last; /**< what queries report during a move; locked as `domain_valid` */
	struct dm_group *group;
	struct dm_iommu_dev *dev;
	char spec[2 * DMAMAP_NAME_MAX]; /**< as passed to attach, with options */
	const struct dmamap_kernel *kernel; /**< of the container that it was attached to */
	bool has_given; /**< its files were passed in */
	struct dm_iommu_given given; /**< these files; the device's own duplicates */
	char name[DMAMAP_NAME_MAX]; /**< dev->name; does not change during a move */
	int group_id, node, fd; /**< as of the last attach; atomic. -1 while it is in no domain */
	unsigned int mask_bits;
	unsigned int holds; /**< under the bookkeeping lock */
};

/** One growth of a zone: its memory and its mapping. */
struct dm_growth {
	TAILQ_ENTRY(dm_growth) next;
	struct dm_pin *pin;
	struct dm_mapping *mapping;
};

TAILQ_HEAD(dm_growth_list, dm_growth);

/** A zone. Fields change under bookkeeping of the owner, unless its maker still builds it. */
struct dmamap_zone {
	LIST_ENTRY(dmamap_zone) next;
	struct dmamap_container *c; /**< the owner */
	bool ready; /**< allocated and mapped; until then only its maker uses it */
	bool holds_ref; /**< it holds a reference to its container, which cannot be destroyed before
		       the zone is freed */
	struct dm_pin *pin; /**< its initial memory */
	struct dm_mapping *mapping; /**< of pin */
	struct dm_growth_list growths; /**< further memory, in the order of addresses */
	dmamap_iova_t iova; /**< of its first byte */
	size_t len; /**< bytes in all, growths included */
	struct dm_reservation *resv; /**< IOVAs, while it is made and to grow into; or NULL */
	void *va; /**< address space reserved for it */
	uint64_t process; /**< dm_process_id() of the process that reserved it */
	size_t va_len; /**< bytes of that address space: more than len if the zone can grow */
	struct dmamap_zone_conf conf; /**< as it was made, for growths; without the pointers */
	struct dm_linear *linear; /**< the linear map that it lies in, or NULL */
	char name[DMAMAP_NAME_MAX];
	char owner[DMAMAP_NAME_MAX]; /**< "": the container's name */
};

/** A client. In its container's list until it is detached. */
struct dmamap_client {
	LIST_ENTRY(dmamap_client) next;
	struct dmamap_container *c;
	unsigned int calls; /**< callbacks in progress */
	void (*unmap)(void *arg, struct dmamap_range range);
	void *arg;
	char name[DMAMAP_NAME_MAX];
};

/**
 * Remains of a container that was merged into this one. Its domains, zones and mappings still use
 * them.
 */
struct dm_merged {
	LIST_ENTRY(dm_merged) next;
	struct dm_iommu *iommu; /**< or NULL */
	struct dm_linear *linear; /**< or NULL */
};

/** The conflicts that made the last attach or merge fail. */
struct dm_conflicts {
	struct dmamap_conflict *v;
	unsigned int n, cap;
	bool lost; /**< there was no memory to record all of them */
};

TAILQ_HEAD(dm_domain_list, dm_domain);

/**
 * The registered mappings of one container as it was created; a merge moves the cache. Idle bytes
 * are counted without a lock. Eviction is by second chance (CLOCK): `all` is walked in a circle.
 */
struct dm_cache {
	LIST_ENTRY(dm_cache) next;
	struct dmamap_container *c; /**< the owner */
	enum dmamap_cache_mode mode; /**< atomic */
	uint64_t limit; /**< atomic; bytes that may be idle */
	uint64_t idle_len; /**< atomic; bytes of mappings without a user */
	uint64_t idle_alias_len; /**< atomic; of these, bytes in aliases */
	struct dm_mapping_list all; /**< linked by `clock`; the clock hand is at the head */
	unsigned int n; /**< length of `all` */
};

/** Buckets of the alias index; a power of two. */
#define DM_ALIAS_BUCKETS 16384u

/** Index of registered aliases by their memory. See alias.c. */
struct dm_alias_index {
	LIST_HEAD(dm_alias_bucket, dm_mapping) * buckets; /**< NULL until the first one */
	unsigned int n;
	unsigned int of_class[64];
};

/** A request to reclaim idle registrations. */
struct dm_want {
	enum {
		DM_WANT_ANY, /**< at least `entries`, by second chance (about LRU) */
		DM_WANT_VAS, /**< those whose memory overlaps `range` */
		DM_WANT_IOVAS /**< those whose IOVAs overlap `range` */
	} what;
	struct dmamap_range range;
	uint64_t entries;
	uint64_t len; /**< ANY: and at least so many bytes */
};

/** A container. Each group of fields names the locks that guard it. */
struct dmamap_container {
	uint64_t *units; /**< table of whole units that are mapped (dm_units.h); fixed. First, as
			    dmamap_va2iova() reads it */
	TAILQ_ENTRY(dmamap_container) next; /**< in the process's list; under the list lock */
	unsigned int refs; /**< atomic; reaches 0 under the list lock only */
	char name[DMAMAP_NAME_MAX];
	struct dmamap_container_conf conf; /**< fixed */
	uint64_t process; /**< its creator; a fork of that may only free it (dm_process.h); fixed */
	void (*teardown)(struct dmamap_container *c); /**< called with the last reference */
	/** Unmap idle registrations, under no lock. @return how many were unmapped */
	uint64_t (*reclaim)(struct dmamap_container *c, const struct dm_want *want);

	pthread_rwlock_t topo;
	pthread_mutex_t book;
	pthread_cond_t changed; /**< dm_book_wait() sleeps on it */
	unsigned int waiters;

	/* Changed under topology (writer) and bookkeeping; read under either. */
	enum dmamap_backend backend; /**< atomic; with AUTO the chosen one, once it is open */
	struct dm_iommu *iommu; /**< NULL until the first attach */
	struct dm_domain_list domains;
	TAILQ_HEAD(, dmamap_device) devices;
	void *devices_by_name; /**< tsearch(3) tree */
	void *groups; /**< tsearch(3) tree of struct dm_group */
	unsigned int n_domains, n_devices, n_groups;
	LIST_HEAD(, dm_merged) merged;
	struct dm_range_set usable; /**< what every domain translates, without reserved ranges */
	bool refresh_due; /**< a detach could not widen `usable`: no memory */
	struct dm_iommu_resv
		*host_resv; /**< of any group of this machine, until a device is attached */
	unsigned int n_host_resv;
	uint64_t page_sizes; /**< atomic */
	unsigned int next_domain_id;
	struct dm_conflicts conflicts;
	dmamap_iova_t mask_last; /**< atomic; last IOVA that every device can put on the bus */

	/*
	 * Changed under topology (reader at least) and bookkeeping; read under bookkeeping, or
	 * topology (writer).
	 */
	struct dm_linear *linear; /**< made with the first zone that goes there */
	dmamap_iova_t linear_iova; /**< first IOVA of the linear map; fixed */
	bool no_linear; /**< no linear map can be made, or not again */
	struct dm_iova_allocator *iova_space;
	struct dm_mapping_list mappings;
	void *reservations; /**< tsearch(3) tree of struct dm_reservation */
	struct dm_range_set beyond; /**< live, but no longer usable since a domain narrowed */
	struct dm_range_set quarantined; /**< withdrawn for good after a failed undo */
	struct dm_xlate *va2iova; /**< without aliases; read without a lock */
	struct dm_xlate *iova2va; /**< read without a lock */
	struct dm_xlate *index; /**< IOVA to mapping; read without a lock */
	uint64_t n_mappings, mapped_len, reservation_len, quarantined_len;
	uint64_t plain_len, registered_len; /**< parts of mapped_len, without zones and aliases */

	/* Under bookkeeping. */
	bool closed; /**< being destroyed: nothing can be added */
	bool frozen; /**< a merge waits until n_unmaps is 0 and blocks new unmaps */
	unsigned int n_unmaps; /**< unmaps in progress that hold no lock */
	unsigned int n_making; /**< zones that are being made or freed */
	TAILQ_HEAD(, dm_mapping) inflight; /**< in state MAPPING */
	LIST_HEAD(, dmamap_zone) zones;
	LIST_HEAD(, dm_bounce_set) bounces; /**< see bounce.c */
	LIST_HEAD(, dmamap_client) clients;
	LIST_HEAD(, dm_cache) caches; /**< of this container and those merged into it */
	struct dm_cache *cache; /**< counts new registrations; a merge replaces it */
	enum dmamap_cache_mode cache_mode; /**< atomic; of all caches */
	bool listening; /**< atomic; `listener` is registered with the watcher */
	struct dm_watch_listener listener;
	struct dm_alias_index aliases;
	struct dm_mapping_chunk *chunks;
	TAILQ_HEAD(, dm_mapping) free_mappings; /**< linked by `work` */

	struct dm_history *history; /**< what was unmapped; see dm_history.h */

	uint64_t map_calls, unmap_calls; /**< atomic */
	uint64_t faults; /**< atomic; accesses of its devices that an IOMMU blocked */
	struct dm_counters counters; /**< atomic; refusals and latencies */
};

/** Count a refusal. @return rc, whether it is one or not */
static inline int
dm_refused(struct dmamap_container *c, enum dm_op op, int rc)
{
	if (DM_UNLIKELY(rc < 0) && c != NULL)
		dm_refused_count(&c->counters, op, rc);
	return rc;
}

/**
 * Number of possible places of the linear map's IOVAs: multiples of its length, above what narrow
 * devices reach and below 2^39. Containers use them in turn, so that two can be merged.
 */
#define DM_LINEAR_PLACES 7

/** Last IOVA of a container without devices: the narrowest VT-d unit translates 39 bits. */
#define DM_PROVISIONAL_LAST ((UINT64_C(1) << 39) - 1)

static inline struct dmamap_range
dm_range(dmamap_iova_t start, uint64_t len)
{
	return (struct dmamap_range){start, start + len - 1};
}

static inline uint64_t
dm_range_len(struct dmamap_range r)
{
	return r.last - r.start + 1;
}

static inline bool
dm_range_overlap(struct dmamap_range a, struct dmamap_range b)
{
	return a.start <= b.last && b.start <= a.last;
}

static inline bool
dm_range_inside(struct dmamap_range inner, struct dmamap_range outer)
{
	return inner.start >= outer.start && inner.last <= outer.last;
}

static inline void *
dm_mapping_va(const struct dm_mapping *m)
{
	return (void *)(uintptr_t)m->vas.start;
}

/** Flags, for a holder of the topology lock only: a failed unmap may set ALIAS meanwhile. */
static inline uint32_t
dm_mapping_flags(const struct dm_mapping *m)
{
	return __atomic_load_n(&m->flags, __ATOMIC_RELAXED);
}

/** Count a registered mapping as idle or as used. Any thread that has closed it or uses it. */
static inline void
dm_cache_count_idle(struct dm_cache *cache, const struct dm_mapping *m, bool idle)
{
	const uint64_t len = idle ? dm_range_len(m->range) : -dm_range_len(m->range);

	__atomic_add_fetch(&cache->idle_len, len, __ATOMIC_RELAXED);
	if (dm_mapping_flags(m) & DMAMAP_ALIAS)
		__atomic_add_fetch(&cache->idle_alias_len, len, __ATOMIC_RELAXED);
}

/** Copy a structure to a caller that was built with another version of it. @return 0 */
static inline int
dm_copy_out(void *to, size_t to_size, const void *from, size_t from_size)
{
	memset(to, 0, to_size);
	memcpy(to, from, DM_MIN(to_size, from_size));
	return 0;
}

/** Smallest page size of all domains, in bytes. */
static inline uint64_t
dm_min_page(const struct dmamap_container *c)
{
	const uint64_t page_sizes = __atomic_load_n(&c->page_sizes, __ATOMIC_RELAXED);

	return page_sizes & -page_sizes;
}

/** Largest alignment of IOVAs: a larger one gains nothing and fragments the IOVA space. */
#define DM_ALIGN_MAX (UINT64_C(1) << 30)

/** The common page sizes that the IOVA allocator aligns to. */
static inline uint64_t
dm_align_page_sizes(uint64_t page_sizes)
{
	const uint64_t small = page_sizes & (DM_ALIGN_MAX | (DM_ALIGN_MAX - 1));

	return small != 0 ? small : page_sizes;
}

/** Last IOVA that every device can put on the bus. */
static inline dmamap_iova_t
dm_mask_last(const struct dmamap_container *c)
{
	return __atomic_load_n(&c->mask_last, __ATOMIC_RELAXED);
}

/** @name lookup.c: find mappings, reservations, devices, groups. Under a lock of the container. */
/**@{*/
/** Compare disjoint ranges, for tsearch(3); overlapping ones are "equal". */
int dm_range_cmp(const void *a, const void *b);
/** The mapping that contains this IOVA; NULL: none. */
struct dm_mapping *dm_mapping_at(const struct dmamap_container *c, dmamap_iova_t iova);
/** The lowest mapping that overlaps r; NULL: none. */
struct dm_mapping *dm_mapping_find(const struct dmamap_container *c, struct dmamap_range r);
/**
 * The lowest mapping, no alias, that is visible to translations and whose memory overlaps vas;
 * NULL: none.
 */
struct dm_mapping *dm_mapping_find_va(const struct dmamap_container *c, struct dmamap_range vas);
/** A mapping in state MAPPING, no alias, whose memory overlaps vas; NULL: none. */
struct dm_mapping *dm_mapping_inflight_va(
	const struct dmamap_container *c, struct dmamap_range vas);
/** A reservation that overlaps r, not always the lowest; NULL: none. */
struct dm_reservation *dm_reservation_find(const struct dmamap_container *c, struct dmamap_range r);
/** The attached device of that name; NULL: none. */
struct dmamap_device *dm_device_find(const struct dmamap_container *c, const char *name);
/** The group of that number; NULL: no device of it is attached. */
struct dm_group *dm_group_find(const struct dmamap_container *c, int id);
/** Compare devices by name and groups by number, for tsearch(3). */
int dm_device_cmp(const void *a, const void *b);
int dm_group_cmp(const void *a, const void *b);
/** Whether the mapping is registered and without users. */
bool dm_mapping_is_idle(const struct dm_mapping *m);
/** What a mapping is, in messages: "mapping", "zone rings", "registration". NULL: a reservation. */
void dm_mapping_title(const struct dm_mapping *m, char title[DMAMAP_NAME_MAX]);
/**@}*/

/** @name alias.c: index of registered aliases by their memory. Under bookkeeping. */
/**@{*/
/** Create the index. @return 0, or -ENOMEM */
int dm_alias_init(struct dmamap_container *c);
void dm_alias_add(struct dmamap_container *c, struct dm_mapping *m);
void dm_alias_del(struct dmamap_container *c, struct dm_mapping *m);
/**
 * Find an alias whose memory overlaps vas and for which `fits` returns true, in no particular
 * order. Costs a few look-ups for each class of lengths in use, and one call for each overlap.
 */
struct dm_mapping *dm_alias_find(const struct dmamap_container *c, struct dmamap_range vas,
	bool (*fits)(const struct dm_mapping *m, const void *arg), const void *arg);
/**@}*/

/** @name domains.c: the same in every domain, or in none. Under the topology lock only. */
/**@{*/
/** Check that every domain has n entries left. Under bookkeeping too. @return 0, or -ENOSPC */
int dm_domains_budget(const struct dmamap_container *c, uint64_t n);
/** Count n entries as used (negative: as free) in every domain. Under bookkeeping too. */
void dm_domains_entries(struct dmamap_container *c, int64_t n);
/** The same in one domain. Under topology (writer), or bookkeeping too. */
void dm_domain_count_entries(struct dm_domain *d, int64_t n);
/**
 * Whether the kernel charges memory that is mapped into this domain to RLIMIT_MEMLOCK. False: the
 * domain shares the pinned pages of another.
 */
bool dm_domain_charges(const struct dmamap_container *c, const struct dm_domain *d);
/** How often the kernel charges memory that is mapped into all domains. */
unsigned int dm_domains_charges(const struct dmamap_container *c);
/** Map into one domain. The caller counts the entry. @return 0, or the kernel's error (logged) */
int dm_domain_map(struct dmamap_container *c, struct dm_domain *d, const struct dm_mapping *m);
/** The backend's unmap of a range from one domain, counted and timed. @return the backend's */
int dm_domain_unmap_call(
	struct dmamap_container *c, struct dm_domain *d, struct dmamap_range r, uint64_t *done);
/**
 * Map into all domains, or none.
 * @return 0, or the kernel's error (logged). *quarantine: an undo failed too, so the IOVAs must not
 * be reused.
 */
int dm_domains_map(struct dmamap_container *c, const struct dm_mapping *m, bool *quarantine);
/**
 * Unmap mappings that are adjacent in `work` and make up r from all domains, or from none.
 * @param last  the last of them.
 * @return 0; an error: all is as before. With *quarantine: some domain has lost its mappings or
 * kept them after an unmap, so the IOVAs must not be reused.
 */
int dm_domains_unmap(struct dmamap_container *c, struct dmamap_range r,
	const struct dm_mapping *first, const struct dm_mapping *last, bool *quarantine);
/**@}*/

/** @name reserved.c: reserved ranges with their owners, and what they leave usable */
/**@{*/
/** Find a reserved range that overlaps r, except relaxable ones. @return false: none. */
bool dm_reserved_hit(
	const struct dmamap_container *c, struct dmamap_range r, struct dmamap_reserved *hit);
/** Describe a reserved range of a device's group, with its owner. */
void dm_reserved_of_dev(const struct dm_iommu_dev *dev, const struct dm_iommu_resv *resv,
	struct dmamap_reserved *out);
/** Name of a type in messages: "MSI window", ... */
const char *dm_reserved_type_name(enum dmamap_reserved_type type);
/** Callback for each reserved range. @return false to stop */
typedef bool (*dm_reserved_visit_t)(const struct dmamap_reserved *r, void *arg);
/**
 * Visit all reserved ranges of a container. Those of groups come before those of domains, as they
 * name a device. @return false: stopped
 */
bool dm_reserved_visit(const struct dmamap_container *c, dm_reserved_visit_t visit, void *arg);
/** Visit the ranges that a domain does not translate. @return false: stopped */
bool dm_reserved_visit_holes(const struct dm_domain *d, dm_reserved_visit_t visit, void *arg);
/** Compute the ranges that are usable in all domains. @return 0, or -ENOMEM: *out is unchanged */
int dm_usable_ranges(const struct dmamap_container *c, struct dm_range_set *out);
/**
 * Set the allocator's ranges: what is usable, and c->beyond, which is live but no longer usable.
 * Under topology (writer), or bookkeeping.
 * @return as dm_iova_set_usable().
 */
int dm_usable_set(struct dmamap_container *c, const struct dm_range_set *usable,
	uint64_t page_sizes, struct dmamap_range *conflict);
/**
 * The same, but accept live ranges outside `usable`: they become c->beyond. Walks all live ranges.
 * Under topology (writer).
 * @return 0, or -ENOMEM; nothing changed then.
 */
int dm_usable_force(
	struct dmamap_container *c, const struct dm_range_set *usable, uint64_t page_sizes);
/**
 * IOVAs were released: withdraw from the allocator what lies in c->beyond. Bookkeeping is held.
 */
void dm_usable_shed(struct dmamap_container *c, struct dmamap_range r);
/**
 * Narrow a set by one more device: remove the reserved ranges of its group, and what its domain
 * does not translate.
 * @return 0, or -ENOMEM; the contents of the set are undefined then.
 */
int dm_usable_narrow(
	struct dm_range_set *set, const struct dm_iommu_dev *dev, const struct dm_domain *d);
/**@}*/

/**
 * @name conflict.c: what prevents an attach or a merge. Under topology (writer). Each search adds
 * to c->conflicts.
 */
/**@{*/
void dm_conflicts_clear(struct dmamap_container *c);
/** Whether any conflicts are recorded. */
bool dm_conflicts_any(const struct dmamap_container *c);
/** Find what c holds in ranges that are reserved for a device's group. */
void dm_conflicts_of_dev(struct dmamap_container *c, const struct dm_iommu_dev *dev);
/**
 * Whether domain `wide` translates all that `narrow` does, with a smallest page no larger.
 */
bool dm_info_covers(const struct dm_iommu_info *wide, const struct dm_iommu_info *narrow);
/** Find what c holds that a domain cannot translate, except ranges reserved for dev's group. */
void dm_conflicts_of_domain(
	struct dmamap_container *c, const struct dm_domain *d, const struct dm_iommu_dev *dev);
/** Find what two containers hold that one container cannot; recorded in `into`. */
void dm_conflicts_of_merge(struct dmamap_container *into, const struct dmamap_container *from);
/** Find what c holds that its own domains no longer translate. */
void dm_conflicts_of_reach(struct dmamap_container *c);
/** Record the reserved ranges that overlap a live range; `live` comes from the allocator. */
void dm_conflicts_live(struct dmamap_container *c, struct dmamap_range live);
/**
 * Log the recorded conflicts as errors: "cannot `what` `whom`".
 * @return 0: none recorded; -EADDRINUSE; -EEXIST: memory that is mapped in both; -ENOMEM: conflicts
 * could not be recorded.
 */
int dm_conflicts_report(
	const struct dmamap_container *c, const char *what, const char *whom, const char *advice);
/** Log the recorded conflicts as warnings: no operation fails because of them. */
void dm_conflicts_note(const struct dmamap_container *c, const char *what);
/**@}*/

/** @name client.c: software devices */
/**@{*/
/** Call every client before a range is unmapped. Under no lock. */
void dm_clients_unmap(struct dmamap_container *c, struct dmamap_range r);
/**@}*/

/** @name linear.c: the linear map, in which IOVA is VA plus a constant */
/**@{*/
/** Create the container's linear map if it has none and can have one. Under no lock. */
void dm_linear_make(struct dmamap_container *c);
/**@}*/

/** @name mapping.c, map.c, unmap.c: the only files that add and remove mappings */
/**@{*/
/** A request to map. Zeroes: anywhere, for the user. */
struct dm_map_req {
	const struct dmamap_sge *sge; /**< memory, to be mapped to adjacent IOVAs; no two entries
					 are adjacent in memory */
	unsigned int n; /**< number of entries, not 0 */
	uint64_t len; /**< bytes of all entries */
	uint64_t align; /**< minimum alignment of the IOVA; 0: chosen by the memory */
	uint32_t flags; /**< DMAMAP_RW, FIXED, LOW32, ALIAS */
	dmamap_iova_t iova; /**< with FIXED: the IOVA */
	struct dmamap_zone
		*zone; /**< owner of the memory; the mapping goes into the zone's reservation */
	bool registered; /**< the container's cache counts it; it starts with one user */
	bool once; /**< registered, but do not cache when idle */
};

/** Count the entries from the first on that are adjacent in memory. *len: their bytes. */
unsigned int dm_sge_run(const struct dmamap_sge *sge, unsigned int n, uint64_t *len);
/** Check the arguments of dmamap_map(). @return 0, or -EINVAL (logged) */
int dm_map_check_args(const struct dmamap_container *c, const void *va, uint64_t len,
	uint32_t flags, const dmamap_iova_t *iova);
/**
 * Map into all domains or none, and publish. Reclaims idle registrations if needed, which waits for
 * readers. Under no lock.
 * @param first  out: the mapping of the first sge; may be NULL.
 * @return 0; as dmamap_map(); -ESTALE, not logged: the zone now belongs to another container.
 */
int dm_map(struct dmamap_container *c, const struct dm_map_req *req, dmamap_iova_t *iova,
	struct dm_mapping **first);
/**
 * Bytes of all mappings that the kernel charges to RLIMIT_MEMLOCK: all but device memory. Reads
 * /proc. Under topology (writer).
 */
uint64_t dm_mappings_chargeable(const struct dmamap_container *c);

/**
 * Begin an unmap; waits while a merge is in progress. Bookkeeping is held. @return 0, or -ESHUTDOWN
 */
int dm_unmap_begin(struct dmamap_container *c);
/** End an unmap. Bookkeeping is held. */
void dm_unmap_end(struct dmamap_container *c);
/**
 * Hide a mapping from translations, and add it to a list of mappings to unmap. It is LIVE and
 * closed. Bookkeeping is held.
 */
void dm_mapping_condemn(
	struct dmamap_container *c, struct dm_mapping *m, struct dm_work_list *list);
/**
 * Hide a mapping's memory from translations, as if it were an alias; it stays mapped. Bookkeeping
 * is held.
 */
void dm_mapping_demote(struct dmamap_container *c, struct dm_mapping *m);
/** Stop watching a mapping's memory. Under no lock but topology. */
void dm_mapping_unwatch(struct dm_mapping *m);
/** Undo dm_mapping_condemn(). The mapping stays closed. Bookkeeping is held. */
void dm_mapping_revive(struct dmamap_container *c, struct dm_mapping *m);
/**
 * Unmap condemned mappings from all domains; one call for mappings that are adjacent in the list
 * and in IOVAs. Between dm_unmap_begin() and dm_unmap_end(), under no lock. Waits for readers,
 * clients and copies once. If the kernel refuses a run, its mappings are revived and reopened.
 * @return 0, or the first error; -EIO: a run is unmapped, and its IOVAs are in quarantine.
 */
int dm_mappings_unmap(struct dmamap_container *c, struct dm_work_list *list);
/**
 * Unmap a range of whole mappings.
 * @param zone  the zone that owns them; NULL: they are the user's.
 * @return as dmamap_unmap(); -ESTALE, not logged: the zone now belongs to another container.
 */
int dm_unmap_range(
	struct dmamap_container *c, struct dmamap_range r, const struct dmamap_zone *zone);
/** At the end of a container: keep the memory of its mappings for reuse by other containers. */
void dm_mapping_retire(struct dmamap_container *c);
/**
 * Drop the bookkeeping for a mapping; does not unmap it from the IOMMU. No other thread uses the
 * container.
 */
void dm_mapping_drop(struct dmamap_container *c, struct dm_mapping *m);
/** Add to and remove from the tables of a container, for a merge. Under its topology (writer). */
int dm_mapping_adopt(struct dmamap_container *c, struct dm_mapping *m);
void dm_mapping_disown(struct dmamap_container *c, struct dm_mapping *m);
/**
 * Quarantine a range: a domain of c may have a translation there that is not a mapping of c.
 * Bookkeeping is held.
 */
void dm_quarantine(struct dmamap_container *c, struct dmamap_range r);
/**@}*/

/**
 * @name reserve.c: IOVAs without a mapping. Under topology (reader) and bookkeeping, except
 * dm_reservation_make().
 */
/**@{*/
/** A request to reserve IOVAs. */
struct dm_reserve_req {
	uint64_t len, align, phase; /**< as of dm_iova_reserve() */
	struct dmamap_range within;
	const struct dmamap_zone *zone; /**< the owner; NULL: the user */
	struct dm_linear **linear; /**< not NULL: reserve in the linear map only. Out: that map */
	void *va; /**< out, with linear: the matching virtual address */
};
/**
 * Reserve; reclaims idle registrations if needed, except with req->linear. Under no lock.
 * @return 0; -ENOSPC; -ESHUTDOWN; -ENOMEM; -ESTALE: the zone now belongs to another container. Not
 * logged.
 */
int dm_reservation_make(
	struct dmamap_container *c, struct dm_reserve_req *req, struct dm_reservation **r);
/** Record a reservation for IOVAs that the allocator has handed out. @return 0, or -ENOMEM */
int dm_reservation_enter(struct dmamap_container *c, struct dm_reservation *r);
/** Remove a reservation. `release`: its IOVAs become free, unless they are in quarantine. */
void dm_reservation_remove(struct dmamap_container *c, struct dm_reservation *r, bool release);
/**@}*/

/** @name evict.c: eviction of idle registrations. Under no lock. */
/**@{*/
/** Idle bytes of a cache above its limit. Any thread. */
uint64_t dm_cache_excess(const struct dm_cache *cache);
/**
 * Unmap idle registrations; the implementation of c->reclaim. Does not wait if no cache is armed:
 * an online reader may call it then.
 * @return how many were unmapped; 0 if the kernel refused.
 */
uint64_t dm_registrations_reclaim(struct dmamap_container *c, const struct dm_want *want);
/**
 * Evict from the caches of a container what is above their limits. Each cache that came with a
 * merge has its own limit.
 */
void dm_registrations_shrink(struct dmamap_container *c);
/**
 * Unmap all idle registrations, and wait for other threads that unmap.
 * @param anyway  wait even if no cache is armed now.
 * @return how many were unmapped or waited for.
 */
uint64_t dm_registrations_flush_all(struct dmamap_container *c, bool anyway);
/**@}*/

/** @name registration.c and cache.c: registrations and their cache */
/**@{*/
/**
 * dmamap_register() with checked arguments.
 * @param streaming  the caller does not own the buffer: use an idle registration only if the cache
 *   is watched.
 */
int dm_register(struct dmamap_container *c, void *va, size_t len, uint32_t flags, bool streaming,
	dmamap_iova_t *iova, struct dmamap_registration **reg);
/** Create the container's cache. @return 0, or -ENOMEM */
int dm_registrations_init(struct dmamap_container *c);
/**
 * Register the container with the watcher of memory, if it is not yet. Under no lock.
 * @return 0; -ESHUTDOWN; as dm_watch_start()
 */
int dm_registrations_listen(struct dmamap_container *c);
/** Whether it is registered with the watcher. Any thread. */
bool dm_registrations_listening(const struct dmamap_container *c);
/** Undo dm_registrations_listen(), at the container's end. Under no lock. */
void dm_registrations_unlisten(struct dmamap_container *c);
/** Allocate an empty cache for a container, in mode OFF. @return NULL: out of memory */
struct dm_cache *dm_cache_new(struct dmamap_container *c);
/** Free all caches; no mapping is left. */
void dm_registrations_fini(struct dmamap_container *c);
/**
 * Unmap every idle registration, and wait for unmaps in progress if a cache is armed. Under no
 * lock.
 * @return how many were unmapped or waited for.
 */
uint64_t dm_registrations_flush(struct dmamap_container *c);
/**@}*/

/** @name zone.c: zones */
/**@{*/
/** Bytes to which a zone can grow. */
size_t dm_zone_max_len(const struct dmamap_zone *z);
/** Round a length up to whole pages of a zone and of the IOMMUs that it was made for. */
size_t dm_zone_round(const struct dmamap_zone *z, size_t len);
/**
 * Map memory of a zone at an IOVA in its reservation. Without a reservation, where the backend
 * requires it. @return 0, or as dmamap_map()
 */
int dm_zone_map(
	struct dmamap_zone *z, const struct dm_pin *pin, dmamap_iova_t iova, struct dm_mapping **m);
/** Unmap IOVAs of a zone. @return as dmamap_unmap() */
int dm_zone_unmap(struct dmamap_zone *z, struct dmamap_range r);
/** Let a zone hold a reference to its container, which then outlives the zone. Under no lock. */
void dm_zone_hold_container(struct dmamap_zone *z);
/** Free all zones. Domains are gone, and no other thread uses the container. */
void dm_zones_drop(struct dmamap_container *c);
/** Describe a zone. Bookkeeping of its container is held. */
void dm_zone_describe(const struct dmamap_zone *z, struct dmamap_zone_info *info);
/**@}*/

/** @name attach.c: devices enter and leave a container. Under topology (writer). */
/**@{*/
/**
 * Attach d->spec. On success d->dev and d->domain are set, and d holds a reference to c.
 * @return as dmamap_container_attach().
 */
int dm_attach_locked(struct dmamap_container *c, struct dmamap_device *d);
/** Describe an attached device. Bookkeeping is held. */
void dm_device_describe(const struct dmamap_container *c, const struct dmamap_device *d,
	struct dmamap_device_info *info);
/** Detach a device. d still exists afterwards; c remains its owner until that changes. */
void dm_detach_locked(struct dmamap_container *c, struct dmamap_device *d);
/** Compute c->mask_last again. */
void dm_refresh_mask(struct dmamap_container *c);
/**@}*/

/** @name refresh.c: what the domains have in common. Under topology (writer). */
/**@{*/
/** How a domain's ranges or page sizes differ from before. */
struct dm_info_change {
	bool narrower, wider;
};

/**
 * Read from the kernel again what a domain translates.
 * @param change  out; may be NULL.
 * @return 0; the kernel's error (logged); -EINVAL: its IOMMUs have no common page size (not logged
 * if devices are in the domain). On failure d->info is unchanged.
 */
int dm_domain_read(struct dmamap_container *c, struct dm_domain *d, struct dm_info_change *change);
/**
 * Compute again what all domains have in common.
 * @param joined  the only change is that this device was attached; NULL: anything may have changed.
 * @return 0; -EADDRINUSE: c->conflicts holds the conflicts; -EINVAL; -ENOMEM.
 */
int dm_refresh(struct dmamap_container *c, const struct dmamap_device *joined);

/** @name registry.c: the containers of this process */
/**@{*/
/** Add a container to the list, under a unique name. @return 0, or -EEXIST */
int dm_registry_add(struct dmamap_container *c, const char *name);
/** Remove it from the list, so that look-ups do not find it any more. */
void dm_registry_remove(struct dmamap_container *c);
/**
 * Call a function for each container of the process, in the order of creation, until it returns a
 * value other than 0. Calls are under no lock, with a reference to the container held.
 * @return the function's last result, or 0; -ENOMEM.
 */
int dm_containers_walk(int (*fn)(struct dmamap_container *c, void *arg), void *arg);
/**@}*/

/**
 * dmamap_space_walk() of a page: ends after `parts` parts at the earliest. Takes the time of that
 * many parts, not of all, so that a walk page by page takes no longer than one of the whole. A part
 * that begins before `from` is counted from there on. space.c.
 */
int dm_space_walk_some(const struct dmamap_container *c, dmamap_iova_t from, size_t parts,
	int (*fn)(const struct dmamap_space *part, void *arg), void *arg);

#endif /* DM_CONTAINER_H */
