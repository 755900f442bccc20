/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The program's maps, with the borders that the program gave them, and the kernel entries that hold
 * them. Called by front_container.c under `op` of the container.
 *
 * - A *map* is one VFIO_IOMMU_MAP_DMA of the program.
 * - A *run* is a mapping of the dmamap_container: one kernel entry in each domain. It holds one
 *   map, or several that are contiguous in IOVA and in memory. It lives until its last map is
 *   unmapped.
 * - A map without a run is *deferred*. That is safe while no device is open, and lets following
 *   maps join the same run.
 * - A *hole* is a part of a run that the program has unmapped while a device is open. Devices can
 *   still reach it, because a kernel entry cannot be split. While no device is open, the run is
 *   dissolved instead, and its maps are deferred again.
 *
 * Calls return what Linux returns (drivers/vfio/vfio_iommu_type1.c, vfio_dma_do_map(),
 * vfio_dma_do_unmap()).
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "front_priv.h"

#define MAP_NAME "VFIO_IOMMU_MAP_DMA"
#define UNMAP_NAME "VFIO_IOMMU_UNMAP_DMA"
#define PROT_FLAGS (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

/* <linux/mman.h> has them since Linux 5.14. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/** A kernel entry. */
struct run {
	struct dmamap_range range;
	uint64_t n_maps; /**< maps of the program in it; not 0 */
	uint64_t len; /**< bytes of these maps; less than the range's: there are holes */
};

/** A map of the program. */
struct front_map {
	RB_ENTRY(front_map) link;
	struct dmamap_range range;
	uint64_t va;
	uint32_t flags; /**< VFIO_DMA_MAP_FLAG_READ, _WRITE */
	struct run *run; /**< NULL: deferred */
};

static int
map_compare(const struct front_map *a, const struct front_map *b)
{
	return a->range.start < b->range.start ? -1 : a->range.start > b->range.start;
}

RB_GENERATE_INTERNAL(front_map_tree, front_map, link, map_compare, DM_UNUSED static)

static uint64_t
range_len(struct dmamap_range range)
{
	return range.last - range.start + 1;
}

/** First map that ends at or after an IOVA, or NULL. */
static struct front_map *
map_from(struct front_maps *m, uint64_t iova)
{
	struct front_map key = {.range = {iova, iova}}, *at, *before;

	at = RB_NFIND(front_map_tree, &m->by_iova, &key);
	before = at != NULL ? RB_PREV(front_map_tree, &m->by_iova, at)
			    : RB_MAX(front_map_tree, &m->by_iova);
	return before != NULL && before->range.last >= iova ? before : at;
}

/** First map that overlaps a range, or NULL. */
static struct front_map *
map_in(struct front_maps *m, struct dmamap_range range)
{
	struct front_map *p = map_from(m, range.start);

	return p != NULL && p->range.start <= range.last ? p : NULL;
}

void
front_maps_init(struct front_maps *m, struct dmamap_container *dma, bool coalesce)
{
	*m = (struct front_maps){.dma = dma, .coalesce = coalesce};
	RB_INIT(&m->by_iova);
}

/* Runs */

static void
runs_count(struct front_maps *m, int n)
{
	m->n_runs += n;
	front_count(FRONT_ENTRIES_NOW, n);
}

static struct run *
run_new(struct dmamap_range range, uint64_t n_maps)
{
	struct run *run = malloc(sizeof(*run));

	if (run != NULL)
		*run = (struct run){range, n_maps, range_len(range)};
	return run;
}

/**
 * Map memory in all domains.
 * @return 0; the errno that the kernel would return. The reason is set, nothing is logged.
 */
static int
run_map(struct front_maps *m, const struct front_map *first, uint64_t len)
{
	dmamap_iova_t iova = first->range.start;
	uint32_t flags = DMAMAP_FIXED | DMAMAP_ALIAS;
	int rc;

	flags |= first->flags & VFIO_DMA_MAP_FLAG_READ ? DMAMAP_READ : 0;
	flags |= first->flags & VFIO_DMA_MAP_FLAG_WRITE ? DMAMAP_WRITE : 0;
	front_reason_clear();
	rc = dmamap_map(m->dma, (void *)(uintptr_t)first->va, len, flags, &iova);
	if (rc == 0)
		runs_count(m, 1);
	return rc == -EADDRINUSE || rc == -ERANGE ? -EINVAL : rc;
}

/** Unmap a run from all domains and free it, also on failure. */
static int
run_unmap(struct front_maps *m, struct run *run)
{
	int rc;

	front_reason_clear();
	rc = dmamap_unmap(m->dma, run->range.start, range_len(run->range));
	runs_count(m, -1);
	free(run);
	return rc;
}

/**
 * Whether `b` begins where `a` ends, in IOVA and memory, with the same permissions: both fit one
 * entry.
 */
static bool
map_follows(const struct front_map *a, const struct front_map *b)
{
	return a->range.last != UINT64_MAX && b->range.start == a->range.last + 1 &&
		b->va == a->va + range_len(a->range) && b->flags == a->flags;
}

static void
map_defer(struct front_maps *m, struct front_map *p)
{
	p->run = NULL;
	m->n_deferred++;
	m->deferred_len += range_len(p->range);
}

/** Unmap a run; its maps are deferred. No device is open. */
static int
run_dissolve(struct front_maps *m, struct run *run)
{
	struct front_map *p;

	for (p = map_in(m, run->range); p != NULL && p->range.start <= run->range.last;
		p = RB_NEXT(front_map_tree, &m->by_iova, p)) {
		map_defer(m, p);
		m->n_sequences++;
	}
	return run_unmap(m, run);
}

/* MAP_DMA */

/** Run that overlaps a range, or NULL. No map overlaps the range, so the overlap is a hole. */
static struct run *
run_with_hole(struct front_maps *m, struct dmamap_range range)
{
	struct front_map *after = map_from(m, range.start);
	struct front_map *before = after != NULL ? RB_PREV(front_map_tree, &m->by_iova, after)
						 : RB_MAX(front_map_tree, &m->by_iova);

	if (before != NULL && before->run != NULL && before->run->range.last >= range.start)
		return before->run;
	if (after != NULL && after->run != NULL && after->run->range.start <= range.last)
		return after->run;
	return NULL;
}

/** Check the arguments of VFIO_IOMMU_MAP_DMA. @param page_sizes  bit mask. */
static int
map_check(const struct vfio_iommu_type1_dma_map *map, uint64_t page_sizes)
{
	const uint64_t mask = (page_sizes & -page_sizes) - 1;

	if (map->argsz < sizeof(*map) || (map->flags & ~PROT_FLAGS) != 0)
		return front_refuse(MAP_NAME, EINVAL,
			"argsz %u, flags 0x%x: only VFIO_DMA_MAP_FLAG_READ and _WRITE are supported",
			map->argsz, map->flags);
	if ((map->flags & PROT_FLAGS) == 0)
		return front_refuse(MAP_NAME, EINVAL, "flags 0: neither readable nor writable");
	if (map->size == 0 || ((map->size | map->iova | map->vaddr) & mask) != 0)
		return front_refuse(MAP_NAME, EINVAL,
			"IOVA 0x%" PRIx64 ", address 0x%" PRIx64 ", length 0x%" PRIx64
			": not aligned to 0x%" PRIx64
			" bytes, the smallest page size that all IOMMUs"
			" of the container support",
			(uint64_t)map->iova, (uint64_t)map->vaddr, (uint64_t)map->size, mask + 1);
	if (map->iova + map->size - 1 < map->iova || map->vaddr + map->size - 1 < map->vaddr)
		return front_refuse(MAP_NAME, EINVAL,
			"IOVA 0x%" PRIx64 ", length 0x%" PRIx64
			": wraps around the end of the address space",
			(uint64_t)map->iova, (uint64_t)map->size);
	return 0;
}

static bool
range_is_usable(const struct dmamap_container_info *info, struct dmamap_range range)
{
	unsigned int i;

	for (i = 0; i < DM_MIN(info->n_ranges, (unsigned int)DM_DIM(info->ranges)); i++)
		if (range.start >= info->ranges[i].start && range.last <= info->ranges[i].last)
			return true;
	return false;
}

/** Whether a map joins a sequence of deferred maps, and so needs no entry of its own. */
static bool
map_joins_deferred(struct front_maps *m, const struct front_map *p)
{
	struct front_map *after = map_from(m, p->range.start);
	struct front_map *before = after != NULL ? RB_PREV(front_map_tree, &m->by_iova, after)
						 : RB_MAX(front_map_tree, &m->by_iova);

	return (before != NULL && before->run == NULL && map_follows(before, p)) ||
		(after != NULL && after->run == NULL && map_follows(p, after));
}

/**
 * Whether the memory is there and can be pinned with these permissions. Faults it in. False on
 * kernels before Linux 5.14.
 */
static bool
map_has_memory(const struct front_map *p)
{
	const int advice =
		p->flags & VFIO_DMA_MAP_FLAG_WRITE ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;

	return madvise((void *)(uintptr_t)p->va, range_len(p->range), advice) == 0;
}

/**
 * Whether a map can be deferred. Maps that the kernel would refuse now are not: the range must be
 * usable, the memory present, entries and lockable memory sufficient.
 */
static bool
map_can_defer(
	struct front_maps *m, const struct front_map *p, const struct dmamap_container_info *info)
{
	const unsigned int entries = m->n_sequences + (map_joins_deferred(m, p) ? 0 : 1);

	return m->coalesce && range_is_usable(info, p->range) &&
		dmamap_map_check(
			m->dma, m->deferred_len + range_len(p->range), DM_MAX(entries, 1u)) == 0 &&
		map_has_memory(p);
}

static int
map_refuse_overlap(const struct vfio_iommu_type1_dma_map *map, const struct front_map *p)
{
	const uint64_t last = map->iova + map->size - 1;

	if (p->range.start == map->iova && p->range.last == last && p->va == map->vaddr)
		return front_refuse(MAP_NAME, EEXIST,
			"[0x%" PRIx64 "-0x%" PRIx64 "] is mapped already,"
			" from the same memory",
			p->range.start, p->range.last);
	return front_refuse(MAP_NAME, EEXIST,
		"[0x%" PRIx64 "-0x%" PRIx64 "], memory at 0x%" PRIx64
		": overlaps a map of other memory, at 0x%" PRIx64 " ([0x%" PRIx64 "-0x%" PRIx64
		"]): unmap that first",
		(uint64_t)map->iova, last, (uint64_t)map->vaddr, p->va, p->range.start,
		p->range.last);
}

static int
map_refuse_hole(struct dmamap_range range, const struct run *run)
{
	return front_refuse(MAP_NAME, ENOSPC,
		"[0x%" PRIx64 "-0x%" PRIx64 "] is a hole in the kernel entry [0x%" PRIx64
		"-0x%" PRIx64 "], which cannot be split while devices use the rest: start the"
		" program with --coalesce=off",
		range.start, range.last, run->range.start, run->range.last);
}

static void
map_insert(struct front_maps *m, struct front_map *p)
{
	RB_INSERT(front_map_tree, &m->by_iova, p);
	m->n_maps++;
	front_count(FRONT_MAPS_NOW, 1);
}

static bool
run_has_hole(const struct run *run)
{
	return run->len != range_len(run->range);
}

/**
 * Replace two adjacent runs by one. `first` is the first map of `before`.
 * @return false: both runs are mapped again, or an error was logged.
 */
static bool
runs_replace(struct front_maps *m, struct front_map *first, struct run *before, struct run *after,
	const struct run *joined)
{
	struct front_map *p, *middle = map_in(m, after->range);
	const struct dmamap_range old[] = {before->range, after->range};

	if (dmamap_unmap(m->dma, old[0].start, range_len(old[0])) < 0)
		return false;
	if (dmamap_unmap(m->dma, old[1].start, range_len(old[1])) == 0 &&
		run_map(m, first, range_len(joined->range)) == 0) {
		runs_count(m, -2);
		for (p = middle; p != NULL && p->run == after;
			p = RB_NEXT(front_map_tree, &m->by_iova, p))
			p->run = before;
		*before = *joined;
		free(after);
		return true;
	}
	runs_count(m, -2);
	if (run_map(m, first, range_len(old[0])) < 0 || run_map(m, middle, range_len(old[1])) < 0)
		front_log(DMAMAP_LOG_ERR,
			"IOVA 0x%" PRIx64
			": kernel entries could neither be merged nor mapped again:"
			" DMA there faults",
			old[0].start);
	return false;
}

/**
 * Join a run with the run before it. No device does DMA, so the gap between unmap and map is safe.
 * @return false: nothing was joined.
 */
static bool
run_join_before(struct front_maps *m, struct run *run)
{
	struct front_map *first = map_in(m, run->range);
	struct front_map *last = RB_PREV(front_map_tree, &m->by_iova, first);
	struct run *before = last != NULL && map_follows(last, first) ? last->run : NULL;
	struct run joined;

	/*
	 * Join runs of similar sizes only. So memory is pinned again a few times only, however many
	 * maps follow.
	 */
	if (before == NULL || range_len(before->range) > range_len(run->range) ||
		run_has_hole(before) || run_has_hole(run))
		return false;
	joined = (struct run){{before->range.start, run->range.last}, before->n_maps + run->n_maps,
		before->len + run->len};
	return runs_replace(m, map_in(m, before->range), before, run, &joined);
}

int
front_maps_map(struct front_maps *m, const struct vfio_iommu_type1_dma_map *map, enum front_use use)
{
	const bool running = use != FRONT_UNUSED;
	struct dmamap_container_info info;
	struct front_map *p;
	struct run *run;
	int rc;

	dmamap_container_info(m->dma, &info);
	rc = map_check(map, info.page_sizes);
	if (rc < 0)
		return rc;
	p = malloc(sizeof(*p));
	if (p == NULL)
		return front_refuse(MAP_NAME, ENOMEM, "out of memory");
	*p = (struct front_map){.range = {map->iova, map->iova + map->size - 1},
		.va = map->vaddr,
		.flags = map->flags};
	if (map_in(m, p->range) != NULL) {
		rc = map_refuse_overlap(map, map_in(m, p->range));
		goto free_map;
	}
	while ((run = run_with_hole(m, p->range)) != NULL) {
		rc = running ? map_refuse_hole(p->range, run) : run_dissolve(m, run);
		if (rc < 0)
			goto free_map;
	}
	if (!running && map_can_defer(m, p, &info)) {
		front_count(FRONT_SAVED, 1);
		m->n_sequences += map_joins_deferred(m, p) ? 0 : 1;
		map_defer(m, p);
	} else if (m->pins_late && !map_has_memory(p)) {
		rc = front_refuse(MAP_NAME, EFAULT,
			"no memory at address 0x%" PRIx64 ", length 0x%" PRIx64, p->va,
			(uint64_t)map->size);
		goto free_map;
	} else {
		p->run = run_new(p->range, 1);
		rc = p->run == NULL ? -ENOMEM : run_map(m, p, map->size);
		if (rc < 0) {
			free(p->run);
			front_refuse(MAP_NAME, -rc, NULL);
			goto free_map;
		}
	}
	map_insert(m, p);
	while (use == FRONT_IDLE && p->run != NULL && run_join_before(m, p->run))
		;
	return 0;

free_map:
	free(p);
	return rc;
}

/* Deferred maps */

/** Last of the contiguous deferred maps that begin with `first`. @param n  out: how many. */
static struct front_map *
sequence_end(struct front_maps *m, struct front_map *first, uint64_t *n)
{
	struct front_map *p = first, *next;

	for (*n = 1;; p = next, (*n)++) {
		next = RB_NEXT(front_map_tree, &m->by_iova, p);
		if (next == NULL || next->run != NULL || !map_follows(p, next))
			return p;
	}
}

/** Map the n deferred maps from `first` to `end` as one entry. */
static int
sequence_map(struct front_maps *m, struct front_map *first, const struct front_map *end, uint64_t n)
{
	struct run *run = run_new((struct dmamap_range){first->range.start, end->range.last}, n);
	struct front_map *p;
	int rc = run == NULL ? -ENOMEM : run_map(m, first, range_len(run->range));

	if (rc < 0) {
		free(run);
		return rc;
	}
	front_count(FRONT_SAVED, -1);
	m->n_deferred -= n;
	m->deferred_len -= run->len;
	for (p = first; n-- > 0; p = RB_NEXT(front_map_tree, &m->by_iova, p))
		p->run = run;
	return 0;
}

int
front_maps_flush(struct front_maps *m)
{
	struct front_map *p, *end;
	uint64_t n;
	int rc;

	if (m->n_deferred == 0)
		return 0;
	RB_FOREACH(p, front_map_tree, &m->by_iova) {
		if (p->run != NULL)
			continue;
		end = sequence_end(m, p, &n);
		rc = sequence_map(m, p, end, n);
		if (rc < 0)
			return front_refuse(MAP_NAME, -rc, NULL);
		p = end;
	}
	m->n_sequences = 0;
	return 0;
}

/* UNMAP_DMA */

/** Check the arguments of VFIO_IOMMU_UNMAP_DMA. */
static int
unmap_check(const struct vfio_iommu_type1_dma_unmap *unmap, uint64_t page_sizes)
{
	const uint64_t mask = (page_sizes & -page_sizes) - 1;
	const bool all = unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL;

	if (unmap->argsz < sizeof(*unmap) || (unmap->flags & ~VFIO_DMA_UNMAP_FLAG_ALL) != 0)
		return front_refuse(UNMAP_NAME, EINVAL,
			"argsz %u, flags 0x%x: only VFIO_DMA_UNMAP_FLAG_ALL is supported",
			unmap->argsz, unmap->flags);
	if (all && (unmap->iova != 0 || unmap->size != 0))
		return front_refuse(
			UNMAP_NAME, EINVAL, "VFIO_DMA_UNMAP_FLAG_ALL needs IOVA 0 and length 0");
	if (all)
		return 0;
	if (unmap->size == 0 || ((unmap->size | unmap->iova) & mask) != 0 ||
		unmap->iova + unmap->size - 1 < unmap->iova)
		return front_refuse(UNMAP_NAME, EINVAL,
			"IOVA 0x%" PRIx64 ", length 0x%" PRIx64 ": empty, not aligned to 0x%" PRIx64
			" bytes (the smallest page size that all IOMMUs of the container support), or"
			" wraps around",
			(uint64_t)unmap->iova, (uint64_t)unmap->size, mask + 1);
	return 0;
}

/** Type1 v2: the range must not split a map. */
static int
unmap_check_borders(struct front_maps *m, struct dmamap_range range)
{
	const struct front_map *first = map_in(m, range);
	const struct front_map *last = map_in(m, (struct dmamap_range){range.last, range.last});
	const struct front_map *cut = NULL;

	if (last != NULL && last->range.last > range.last)
		cut = last;
	if (first != NULL && first->range.start < range.start)
		cut = first;
	if (cut == NULL)
		return 0;
	return front_refuse(UNMAP_NAME, EINVAL,
		"[0x%" PRIx64 "-0x%" PRIx64 "] would split the map [0x%" PRIx64 "-0x%" PRIx64
		"]: type1 v2 unmaps whole maps only",
		range.start, range.last, cut->range.start, cut->range.last);
}

/**
 * Take a map out of its run.
 * @return 0; the errno of the unmap, after which the map is gone too.
 */
static int
map_withdraw(struct front_maps *m, struct front_map *p, bool running)
{
	struct run *run = p->run;

	if (run == NULL) {
		front_count(FRONT_SAVED, 1);
		m->n_sequences = --m->n_deferred == 0 ? 0 : m->n_sequences;
		m->deferred_len -= range_len(p->range);
		return 0;
	}
	run->len -= range_len(p->range);
	if (--run->n_maps == 0)
		return run_unmap(m, run);
	front_count(FRONT_SAVED, 1);
	return running ? 0 : run_dissolve(m, run);
}

static int
map_remove(struct front_maps *m, struct front_map *p, bool running)
{
	int rc;

	RB_REMOVE(front_map_tree, &m->by_iova, p);
	m->n_maps--;
	front_count(FRONT_MAPS_NOW, -1);
	rc = map_withdraw(m, p, running);
	free(p);
	return rc;
}

int
front_maps_unmap(
	struct front_maps *m, struct vfio_iommu_type1_dma_unmap *unmap, bool v2, bool running)
{
	struct dmamap_range range = {unmap->iova, unmap->iova + unmap->size - 1};
	struct dmamap_container_info info;
	struct front_map *p, *next;
	uint64_t done = 0;
	int rc, failed = 0;

	dmamap_container_info(m->dma, &info);
	rc = unmap_check(unmap, info.page_sizes);
	if (rc < 0)
		return rc;
	if (unmap->flags & VFIO_DMA_UNMAP_FLAG_ALL)
		range = DMAMAP_ANYWHERE;
	rc = v2 ? unmap_check_borders(m, range) : 0;
	if (rc < 0)
		return rc;
	for (p = map_in(m, range); p != NULL && p->range.start <= range.last; p = next) {
		/*
		 * Type1 v1: a range that begins inside a map unmaps nothing. A map that begins in
		 * the range is unmapped whole, even if it ends beyond.
		 */
		if (p->range.start < range.start)
			break;
		next = RB_NEXT(front_map_tree, &m->by_iova, p);
		done += range_len(p->range);
		rc = map_remove(m, p, running);
		failed = failed < 0 ? failed : rc;
	}
	unmap->size = done;
	return failed < 0 ? front_refuse(UNMAP_NAME, -failed, NULL) : 0;
}

void
front_maps_clear(struct front_maps *m)
{
	struct front_map *p, *next;

	front_count(FRONT_MAPS_NOW, -(int64_t)m->n_maps);
	front_count(FRONT_ENTRIES_NOW, -(int64_t)m->n_runs);

	for (p = RB_MIN(front_map_tree, &m->by_iova); p != NULL; p = next) {
		next = RB_NEXT(front_map_tree, &m->by_iova, p);
		RB_REMOVE(front_map_tree, &m->by_iova, p);
		if (p->run != NULL && --p->run->n_maps == 0)
			free(p->run);
		free(p);
	}
	front_maps_init(m, NULL, false);
}
