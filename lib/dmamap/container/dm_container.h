/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is a container made of? The structures and steps that the files of this folder share.
 */

#ifndef DM_CONTAINER_H
#define DM_CONTAINER_H

#include <inttypes.h>
#include <pthread.h>
#include <sys/queue.h>

#include "dmamap.h"
#include "dm_iommu.h"
#include "dm_iova.h"
#include "dm_log.h"
#include "dm_pin.h"
#include "dm_window.h"
#include "dm_xlate.h"

/** How a range is written in messages. */
#define DM_RANGE_FMT "[0x%" PRIx64 ", 0x%" PRIx64 "]"
#define DM_RANGE_ARG(r) (r).start, (r).last

/** A live mapping: present in every domain of its container. */
struct dm_mapping {
	TAILQ_ENTRY(dm_mapping) next; /**< in the order of mapping, which is the order of replay */
	struct dmamap_container *c;
	struct dmamap_range range; /**< of IOVAs */
	struct dmamap_range vas; /**< of the memory's addresses in this process */
	uint32_t flags;
	bool owns_iova; /**< false: it lies in a range that the user took */
	struct dmamap_zone *zone; /**< the zone it backs, or NULL */
	unsigned int users; /**< registrations that are in use */
	bool registered; /**< made by dmamap_register(): idle without users */
	TAILQ_ENTRY(dm_mapping) idle; /**< in the list of idle ones, longest unused first */
};

/** A range that dmamap_iova_take() gave out. */
struct dm_taken {
	struct dmamap_range range; /**< first, as in struct dm_mapping */
	const struct dmamap_zone *zone; /**< the one that may grow into it, or NULL: the user's */
	bool open; /**< the zone is growing now */
};

struct dm_domain {
	TAILQ_ENTRY(dm_domain) next;
	struct dm_iommu_domain *dom;
	unsigned int n_devices;
	struct dm_iommu_info
		info; /**< as of the last attach or detach; entries_left is kept up to date */
};

struct dmamap_device {
	TAILQ_ENTRY(dmamap_device) next;
	struct dmamap_container *c;
	struct dm_domain *domain;
	struct dm_iommu_dev *dev;
	char spec[2 * DMAMAP_NAME_MAX]; /**< what the user attached, with options */
	unsigned int mask_bits;
	unsigned int holds; /**< atomic */
};

/** What a zone has grown by, once. */
struct dm_growth {
	TAILQ_ENTRY(dm_growth) next;
	struct dm_pin *pin;
	struct dm_mapping *mapping;
};

TAILQ_HEAD(dm_growth_list, dm_growth);

struct dmamap_zone {
	LIST_ENTRY(dmamap_zone) next;
	struct dmamap_container *c;
	struct dm_pin *pin; /**< what it was made with */
	struct dm_mapping *mapping; /**< of pin */
	struct dm_growth_list growths; /**< what follows, in the order of addresses */
	size_t len; /**< bytes of all */
	struct dm_taken *room; /**< IOVAs to grow into, with as much address space from pin->va on;
				  NULL: none */
	struct dmamap_zone_conf conf; /**< as it was made, for growths; without the pointers */
	struct dm_window *window; /**< the one it lies in, or NULL */
	char name[DMAMAP_NAME_MAX];
	char owner[DMAMAP_NAME_MAX]; /**< "": the container */
};

struct dmamap_client {
	LIST_ENTRY(dmamap_client) next;
	struct dmamap_container *c;
	void (*unmap)(void *arg, struct dmamap_range range);
	void *arg;
	char name[DMAMAP_NAME_MAX];
};

/** What is left of a container that was merged into this one: its domains and zones live on. */
struct dm_merged {
	LIST_ENTRY(dm_merged) next;
	struct dm_iommu *iommu; /**< or NULL */
	struct dm_window *window; /**< or NULL */
};

/** What made the last attach or merge impossible. */
struct dm_conflicts {
	struct dmamap_conflict *v;
	unsigned int n, cap;
	bool lost; /**< there was no memory for all of them */
};

TAILQ_HEAD(dm_mapping_list, dm_mapping);
TAILQ_HEAD(dm_domain_list, dm_domain);

struct dmamap_container {
	struct dmamap_window shown; /**< the readers' part of *window: what dmamap_va2iova() looks
				       at first, so it comes first */
	TAILQ_ENTRY(dmamap_container) next; /**< in the process's list */
	char name[DMAMAP_NAME_MAX];
	struct dmamap_container_conf conf;
	enum dmamap_backend backend; /**< what AUTO came to */

	pthread_mutex_t lock; /**< all below, but for what the translation reads */
	struct dm_iommu *iommu; /**< NULL until the first attach */
	struct dm_domain_list domains;
	TAILQ_HEAD(, dmamap_device) devices;
	LIST_HEAD(, dmamap_zone) zones;
	LIST_HEAD(, dmamap_client) clients;
	LIST_HEAD(, dm_merged) merged;
	struct dm_mapping_list mappings;
	struct dm_mapping_list idle; /**< registered mappings without users */
	struct dm_mapping_list
		aliases; /**< registered mappings that are not in va2iova; linked by `idle` */
	uint64_t idle_len, idle_limit,
		idle_aliases; /**< bytes; bytes; how many of `idle` are aliases */
	void *taken; /**< tsearch(3) tree of struct dm_taken */

	struct dm_iova_space *space;
	struct dm_range_set usable; /**< what every domain translates, without reserved ranges */
	struct dm_range_set fenced; /**< withdrawn for good after a failed undo */
	struct dm_iommu_resv
		*host_resv; /**< of any group of this machine, until a device is attached */
	unsigned int n_host_resv;
	uint64_t page_sizes;
	rte_iova_t mask_last; /**< last IOVA that every device can put on the bus */
	unsigned int next_domain_id;

	struct dm_window *window; /**< made with the first zone that goes there */
	rte_iova_t window_iova; /**< where its IOVAs begin */
	bool no_window; /**< none can be made, or not again */
	struct dm_xlate *va2iova; /**< without aliases */
	struct dm_xlate *iova2va;
	struct dm_xlate *iova2mapping; /**< a table of objects, under the lock */

	uint64_t n_mappings, mapped_len, taken_len, fenced_len;
	uint64_t map_calls, unmap_calls;
	struct dm_conflicts conflicts;
};

/** Bytes of registered memory that may lie idle unless the user says otherwise. */
#define DM_IDLE_LIMIT (UINT64_C(1) << 30)

/**
 * Where the IOVAs of the window begin: at one of so many multiples of its length, above what narrow
 * devices reach and below 2^39; not the same for all containers, so that two of them can be merged.
 */
#define DM_WINDOW_PLACES 7

/** IOVAs that a container without devices hands out: what the narrowest VT-d unit translates. */
#define DM_PROVISIONAL_LAST ((UINT64_C(1) << 39) - 1)

static inline struct dmamap_range
dm_range(rte_iova_t start, uint64_t len)
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

/** Order of disjoint ranges, for tsearch(3); overlapping ones are "equal". */
int dm_range_cmp(const void *a, const void *b);

static inline void *
dm_mapping_va(const struct dm_mapping *m)
{
	return (void *)(uintptr_t)m->vas.start;
}

/** The mapping in which this IOVA lies; NULL: none. */
struct dm_mapping *dm_mapping_at(const struct dmamap_container *c, rte_iova_t iova);

/** The lowest mapping that overlaps r; NULL: none. */
struct dm_mapping *dm_mapping_find(const struct dmamap_container *c, struct dmamap_range r);

/** The lowest mapping, no alias, whose memory overlaps vas; NULL: none. */
struct dm_mapping *dm_mapping_find_va(const struct dmamap_container *c, struct dmamap_range vas);

/** The taken range that overlaps r; NULL: none. */
struct dm_taken *dm_taken_find(const struct dmamap_container *c, struct dmamap_range r);

/** Take the lock; it may be taken to read a container that is const. */
static inline void
dm_lock(const struct dmamap_container *c)
{
	pthread_mutex_lock((pthread_mutex_t *)(uintptr_t)&c->lock);
}

static inline void
dm_unlock(const struct dmamap_container *c)
{
	pthread_mutex_unlock((pthread_mutex_t *)(uintptr_t)&c->lock);
}

/** Smallest page size of all domains. */
static inline uint64_t
dm_min_page(const struct dmamap_container *c)
{
	return c->page_sizes & -c->page_sizes;
}

/** @name domains.c: the same in every domain, or in none */
/**@{*/
/** Would every domain take n more maps? @return 0, or -ENOSPC (logged). */
int dm_domains_budget(const struct dmamap_container *c, uint64_t n);
/** How many domains there are. */
unsigned int dm_domains_count(const struct dmamap_container *c);
/** Is memory that is mapped into a domain charged for it, or does it share what another has pinned?
 */
bool dm_domain_charges(const struct dmamap_container *c, const struct dm_domain *d);
/** How many times memory is charged that is mapped into all domains. */
unsigned int dm_domains_charges(const struct dmamap_container *c);
/** Map into one domain, keeping count. */
int dm_domain_map(struct dmamap_container *c, struct dm_domain *d, const struct dm_mapping *m);
/** Map into all domains, or none. *fence: an undo failed, the IOVAs must not be used again. */
int dm_domains_map(struct dmamap_container *c, const struct dm_mapping *m, bool *fence);
/**
 * Unmap n consecutive mappings that make up r from all domains, or from none.
 * @return 0; an error: all is as before; an error and *fence: some domain has lost its mappings or
 * kept them against orders, and the IOVAs must not be used again.
 */
int dm_domains_unmap(struct dmamap_container *c, struct dmamap_range r, uint64_t n, bool *fence);
/**@}*/

/** @name reserved.c: whose is this range? */
/**@{*/
/** Find a reserved range (relaxable ones aside) that overlaps r. @return false: none. */
bool dm_reserved_hit(
	const struct dmamap_container *c, struct dmamap_range r, struct dmamap_reserved *hit);
/** Describe a reserved range of a device's group. */
void dm_reserved_of_dev(const struct dm_iommu_dev *dev, const struct dm_iommu_resv *resv,
	struct dmamap_reserved *out);
/** "MSI window", ... */
const char *dm_reserved_type_name(enum dmamap_reserved_type type);
/** Called for each reserved range. @return false to stop. */
typedef bool (*dm_reserved_visit_t)(const struct dmamap_reserved *r, void *arg);
/** Visit all reserved ranges of a container; those of groups come before those of domains, as they
 * say more. @return false: stopped. */
bool dm_reserved_visit(const struct dmamap_container *c, dm_reserved_visit_t visit, void *arg);
/** Visit what is outside a domain's ranges. @return false: stopped. */
bool dm_reserved_visit_holes(const struct dm_domain *d, dm_reserved_visit_t visit, void *arg);
/** Work out what is usable in all domains. @return 0, or -ENOMEM; *out is unchanged then. */
int dm_usable_ranges(const struct dmamap_container *c, struct dm_range_set *out);
/**@}*/

/** @name conflict.c: what is in the way of an attach or a merge? Each adds to c->conflicts. */
/**@{*/
void dm_conflicts_clear(struct dmamap_container *c);
/** Was anything found? */
bool dm_conflicts_any(const struct dmamap_container *c);
/** What c holds in ranges that are reserved for a device's group. */
void dm_conflicts_of_dev(struct dmamap_container *c, const struct dm_iommu_dev *dev);
/** Does a domain translate all that another does, by pages that are no larger than the other's
 * smallest? */
bool dm_info_covers(const struct dm_iommu_info *wide, const struct dm_iommu_info *narrow);
/** What c holds that a domain cannot translate; what is reserved for the group of `dev` aside. */
void dm_conflicts_of_domain(
	struct dmamap_container *c, const struct dm_domain *d, const struct dm_iommu_dev *dev);
/** What two containers hold that cannot be in one; remembered in `into`. */
void dm_conflicts_of_merge(struct dmamap_container *into, const struct dmamap_container *from);
/** What is reserved where something is live, of which only the allocator knows. */
void dm_conflicts_live(struct dmamap_container *c, struct dmamap_range live);
/**
 * Log what was found: "cannot `what` `whom`".
 * @return 0: nothing was; -EADDRINUSE; -EEXIST: memory that is mapped in both; -ENOMEM: what was
 * found was lost.
 */
int dm_conflicts_report(
	const struct dmamap_container *c, const char *what, const char *whom, const char *advice);
/**@}*/

/** @name attach.c */
/**@{*/
/** Attach d->spec. @return as dmamap_container_attach(); d->dev and d->domain are set on success
 * only. */
int dm_attach_locked(struct dmamap_container *c, struct dmamap_device *d);
/** Take an attached device out; d lives on, outside. */
void dm_detach_locked(struct dmamap_device *d);
/** Work out anew what all domains have in common. @return 0; -EADDRINUSE (what is in the way is in
 * c->conflicts); -EINVAL; -ENOMEM. */
int dm_refresh(struct dmamap_container *c);
/** Put all mappings of c into a domain, in order, one map call each. Undoes nothing on failure. */
int dm_replay(struct dmamap_container *c, struct dm_domain *d);
/**@}*/

/** @name registration.c */
/**@{*/
/**
 * Unmap idle registrations, longest unused first, until at most `keep` bytes of them are left.
 * @return whether any was unmapped.
 */
bool dm_registrations_trim(struct dmamap_container *c, uint64_t keep);
/**@}*/

/** @name client.c */
/**@{*/
/** Tell every client that a range goes. */
void dm_clients_unmap(struct dmamap_container *c, struct dmamap_range r);
/**@}*/

/** @name map.c */
/**@{*/
/** Check what dmamap_map() is given. @return 0, or -EINVAL (logged). */
int dm_map_check_args(const struct dmamap_container *c, const void *va, uint64_t len,
	uint32_t flags, const rte_iova_t *iova);
/** Let dm_mapping_find() know a mapping. @return 0 or -ENOMEM. */
int dm_index_add(struct dmamap_container *c, struct dm_mapping *m);
/** Undo dm_index_add(). */
void dm_index_del(struct dmamap_container *c, struct dm_mapping *m);
/** Let readers, and dm_mapping_find_va(), see a mapping. @return 0, -EEXIST or -ENOMEM; nothing is
 * visible then. */
int dm_publish(struct dmamap_container *c, const struct dm_mapping *m);
/** Undo dm_publish(). */
void dm_withdraw(struct dmamap_container *c, const struct dm_mapping *m);
/** dmamap_map() under the lock, for a zone, a registration or the user. Idle registrations make
 * room if need be. */
int dm_map_locked(struct dmamap_container *c, void *va, uint64_t len, uint64_t align,
	uint32_t flags, rte_iova_t *iova, struct dm_mapping **mapping);
/** Unmap a range of whole mappings under the lock: the user's, or one that is a zone's or
 * registered. */
int dm_unmap_locked(
	struct dmamap_container *c, struct dmamap_range r, const struct dm_mapping *own);
/** Unmap what the user was not told of yet: where that fails, forget it and fence the range off. */
void dm_unmap_or_fence(struct dmamap_container *c, struct dmamap_range r);
/** Forget a mapping without a word to the domains. */
void dm_mapping_drop(struct dmamap_container *c, struct dm_mapping *m);
/**@}*/

/** Free all zones; domains are gone. */
void dm_zones_drop(struct dmamap_container *c);

/**
 * Call a function for each container of the process, locked, in the order of their making, until it
 * returns not 0.
 * @return what it returned, or 0.
 */
int dm_containers_walk(int (*fn)(struct dmamap_container *c, void *arg), void *arg);

/** @name window.c: zones in which IOVA is VA plus a constant */
/**@{*/
/**
 * Move a zone's memory, not mapped yet, into the window if it fits there, with len bytes of room
 * for it. @return whether; *iova is what goes with it then.
 */
bool dm_window_enter(struct dmamap_container *c, struct dmamap_zone *z, uint64_t len,
	uint64_t align, uint32_t flags, rte_iova_t *iova);
/** Let a part of a zone that is mapped now translate by the window. */
void dm_window_open(struct dmamap_container *c, const struct dm_mapping *m);
/** Let it translate by the window no more. */
void dm_window_shut(struct dmamap_container *c, const struct dm_mapping *m);
/** Free the zone's memory, and its place in the window if it has one. */
void dm_window_leave(struct dmamap_container *c, struct dmamap_zone *z);
/**@}*/

/** @name room.c: zones that grow */
/**@{*/
/**
 * Reserve addresses for a zone's conf.max_len, and move its memory, not mapped yet, to where they
 * begin.
 * @return 0: *iova is where it is to be mapped, then dm_room_close(); a negative errno, logged.
 */
int dm_room_take(struct dmamap_container *c, struct dmamap_zone *z, uint64_t align, uint32_t flags,
	rte_iova_t *iova);
/** From now on nobody maps into the zone's room. */
void dm_room_close(struct dmamap_zone *z);
/** Give the IOVAs of a zone's room back, if it has one; nothing is mapped in it. */
void dm_room_give(struct dmamap_container *c, struct dmamap_zone *z);
/** To how many bytes a zone can grow. */
size_t dm_zone_max_len(const struct dmamap_zone *z);
/** A zone's flags for its mappings. */
uint32_t dm_zone_map_flags(const struct dmamap_zone *z);
/**@}*/

#endif /* DM_CONTAINER_H */
