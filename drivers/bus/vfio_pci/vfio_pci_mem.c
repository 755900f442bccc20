/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The EAL's memory in containers: mapped at the IOVAs that the EAL expects, while it grows.
 *
 * The EAL assigns an IOVA to each page: its virtual address (--iova-mode=va) or its physical one. A
 * run is contiguous in both, and is one mapping. The kernel cannot split a mapping, so the EAL
 * keeps the pages of a run (RTE_MEMSEG_FLAG_DO_NOT_FREE) as long as a device is attached. Otherwise
 * a page could be unmapped under a running device.
 *
 * A listener of memory events cannot refuse an allocation, so two things are done beforehand. IOVAs
 * are reserved for all virtual memory that the EAL has reserved. A validator refuses growth for
 * which mapping entries or RLIMIT_MEMLOCK do not suffice. If the kernel refuses a map all the same,
 * the run is recorded as unmapped. The EAL gets no more memory until it is mapped.
 *
 * External memory of the EAL (a heap that the application added) is mapped in the same way. It can
 * lie outside of the aperture; then devices do not reach it, and the EAL's own memory still grows.
 *
 * Called by vfio_pci_container.c, and by the EAL from any thread that allocates memory.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_memory.h>

#include "vfio_pci_private.h"

/** The name that callbacks are registered under. */
#define CALLBACK_NAME "gantry_vfio_pci"
/** The alignment of addresses that are proposed for --base-virtaddr. */
#define BASE_ALIGN (UINT64_C(1) << 30)

/** Memory of the EAL, contiguous in its addresses and its IOVAs. */
struct run {
	RTE_TAILQ_ENTRY(run) next;
	char *va;
	rte_iova_t iova;
	size_t len;
	bool external; /**< the application added it to the EAL */
	bool mapped; /**< false: devices cannot reach it */
	int refused; /**< the negative errno of the last attempt to map it; 0: not tried yet */
};

RTE_TAILQ_HEAD(run_list, run);

/** The EAL's memory in one container. */
struct vfio_pci_mem {
	RTE_TAILQ_ENTRY(vfio_pci_mem) next;
	struct dmamap_container *container;
	struct run_list runs;
	struct dmamap_range reserved[RTE_MAX_MEMSEG_LISTS]; /**< IOVAs for the EAL to grow into */
	unsigned int n_reserved;
	uint64_t closed; /**< sockets whose memory must not grow: some of it cannot be mapped */
};

/** Pages that the EAL must not free. */
struct held {
	RTE_TAILQ_ENTRY(held) next;
	char *va;
	size_t len;
};

RTE_TAILQ_HEAD(held_list, held);

/*
 * Joins and leaves change mems, with the EAL's memory lock held for reading. Callbacks run with it
 * held for writing: they read mems, and change runs and held_pages.
 */
static RTE_TAILQ_HEAD(, vfio_pci_mem) mems = TAILQ_HEAD_INITIALIZER(mems);
static struct held_list held_pages = TAILQ_HEAD_INITIALIZER(held_pages);

/** @name Held pages */
/**@{*/

/** Keep the EAL from freeing a page; contiguous pages are one entry. */
static int
page_hold(const struct rte_memseg *ms)
{
	struct held *held = TAILQ_LAST(&held_pages, held_list);
	struct rte_memseg *page = rte_mem_virt2memseg(ms->addr, NULL);

	if (page == NULL || (page->flags & RTE_MEMSEG_FLAG_DO_NOT_FREE) != 0)
		return 0;
	if (held == NULL || held->va + held->len != (char *)ms->addr) {
		held = calloc(1, sizeof(*held));
		if (held == NULL)
			return -ENOMEM;
		held->va = ms->addr;
		TAILQ_INSERT_TAIL(&held_pages, held, next);
	}
	held->len += ms->len;
	page->flags |= RTE_MEMSEG_FLAG_DO_NOT_FREE;
	return 0;
}

/** Let the EAL free the held pages again. Pages that were removed meanwhile are skipped. */
static void
pages_release(void)
{
	struct rte_memseg *page;
	struct held *held;
	size_t at;

	while ((held = TAILQ_FIRST(&held_pages)) != NULL) {
		for (at = 0; at < held->len; at += page->len) {
			page = rte_mem_virt2memseg(held->va + at, NULL);
			if (page == NULL || page->len == 0)
				break;
			page->flags &= ~RTE_MEMSEG_FLAG_DO_NOT_FREE;
		}
		TAILQ_REMOVE(&held_pages, held, next);
		free(held);
	}
}
/**@}*/

/** @name Runs */
/**@{*/

static int
run_map(const struct vfio_pci_mem *mem, struct run *run)
{
	rte_iova_t iova = run->iova;
	int rc = dmamap_map(mem->container, run->va, run->len, DMAMAP_RW | DMAMAP_FIXED, &iova);

	run->mapped = rc == 0;
	run->refused = rc;
	return rc;
}

/**
 * @return false for external memory that a map refused for good, such as outside of the aperture
 */
static bool
run_may_be_mapped(const struct run *run)
{
	return !run->external || run->refused == 0 || run->refused == -ENOMEM ||
		run->refused == -ENOSPC;
}

static void
run_unmap(const struct vfio_pci_mem *mem, struct run *run)
{
	/* If it fails, the container has logged a line and has quarantined the IOVAs. */
	if (run->mapped)
		dmamap_unmap(mem->container, run->iova, run->len);
	run->mapped = false;
}

static struct run *
run_add(struct vfio_pci_mem *mem, char *va, rte_iova_t iova, size_t len, bool external)
{
	struct run *run = calloc(1, sizeof(*run));

	if (run == NULL)
		return NULL;
	*run = (struct run){.va = va, .iova = iova, .len = len, .external = external};
	TAILQ_INSERT_TAIL(&mem->runs, run, next);
	return run;
}

static void
run_del(struct vfio_pci_mem *mem, struct run *run)
{
	run_unmap(mem, run);
	TAILQ_REMOVE(&mem->runs, run, next);
	free(run);
}

/** Add a page to the last run if it continues it and no map of it was tried; else to a new run. */
static int
run_add_page(struct vfio_pci_mem *mem, const struct rte_memseg *ms, bool external)
{
	struct run *run = TAILQ_LAST(&mem->runs, run_list);

	if (ms->iova == RTE_BAD_IOVA)
		return 0;
	if (run == NULL || run->mapped || run->refused != 0 || run->external != external ||
		run->va + run->len != (char *)ms->addr || run->iova + run->len != ms->iova)
		run = run_add(mem, ms->addr, ms->iova, 0, external);
	if (run == NULL)
		return VFIO_PCI_FAIL(ENOMEM, "container %s: out of memory",
			dmamap_container_name(mem->container));
	run->len += ms->len;
	return 0;
}

/**
 * Map all runs that are not mapped. @return 0, or the error of the EAL's own memory that was
 * refused
 */
static int
runs_map(struct vfio_pci_mem *mem)
{
	struct run *run;
	int rc = 0;

	TAILQ_FOREACH(run, &mem->runs, next) {
		/* After one refusal the kernel would refuse the others too, each with a line. */
		if (run->mapped || rc < 0 || !run_may_be_mapped(run))
			continue;
		if (run_map(mem, run) < 0 && !run->external)
			rc = run->refused;
	}
	return rc;
}

/** @return 0, or the negative errno of the first run in [va, last] that is not mapped */
static int
runs_refusal(const struct vfio_pci_mem *mem, uintptr_t va, uintptr_t last)
{
	const struct run *run;

	TAILQ_FOREACH(run, &mem->runs, next)
		if (!run->mapped && (uintptr_t)run->va <= last &&
			va <= (uintptr_t)run->va + run->len - 1)
			return run->refused != 0 ? run->refused : -ENOMEM;
	return 0;
}
/**@}*/

/** @name Events of the EAL's memory */
/**@{*/

struct mem_in_use {
	int socket;
	size_t len;
};

static int
mem_in_use_add(const struct rte_memseg_list *msl, void *arg)
{
	struct mem_in_use *mem_in_use = arg;

	if (!msl->external && msl->socket_id == mem_in_use->socket)
		mem_in_use->len += msl->memseg_arr.count * msl->page_sz;
	return 0;
}

/**
 * The EAL's validator. @return 0 if the memory on a socket may grow to new_len bytes, or -ENOMEM
 */
static int
mem_may_grow(int socket, size_t limit, size_t new_len)
{
	struct mem_in_use mem_in_use = {.socket = socket};
	struct vfio_pci_mem *mem;
	size_t growth;

	RTE_SET_USED(limit);
	rte_memseg_list_walk_thread_unsafe(mem_in_use_add, &mem_in_use);
	growth = new_len > mem_in_use.len ? new_len - mem_in_use.len : 0;
	TAILQ_FOREACH(mem, &mems, next) {
		if (runs_map(mem) < 0)
			return VFIO_PCI_FAIL(ENOMEM,
				"container %s: the EAL gets no more memory: some of its memory "
				"is not mapped: see the line before",
				dmamap_container_name(mem->container));
		if (mem->closed & (UINT64_C(1) << (socket % 64)))
			return VFIO_PCI_FAIL(ENOMEM,
				"container %s: the EAL gets no more memory on socket %d: some would be "
				"where devices cannot reach it: start the program with -m or "
				"--socket-mem, or another --base-virtaddr",
				dmamap_container_name(mem->container), socket);
		if (dmamap_map_check(mem->container, growth, 1) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void
mem_added(const struct rte_memseg_list *msl, const char *va, size_t len)
{
	struct vfio_pci_mem *mem;
	const struct rte_memseg *ms;
	size_t at;
	int rc;

	TAILQ_FOREACH(mem, &mems, next) {
		rc = 0;
		for (at = 0; at < len && rc == 0; at += msl->page_sz) {
			ms = rte_mem_virt2memseg(va + at, msl);
			rc = run_add_page(mem, ms, msl->external);
			if (!msl->external)
				page_hold(ms);
		}
		runs_map(mem);
		if (rc == 0)
			rc = runs_refusal(mem, (uintptr_t)va, (uintptr_t)va + len - 1);
		if (rc < 0)
			VFIO_PCI_LOG(ERR,
				"container %s: devices cannot reach the EAL's new memory %p, "
				"0x%zx bytes: %s",
				dmamap_container_name(mem->container), va, len, rte_strerror(-rc));
	}
}

/** Replace a run that loses pages by the runs that remain; they are mapped later. */
static void
run_cut(struct vfio_pci_mem *mem, struct run *run, const char *va, size_t len)
{
	const struct run whole = *run;
	const char *last = RTE_MIN(va + len, whole.va + whole.len);

	run_del(mem, run);
	if (va > whole.va)
		run_add(mem, whole.va, whole.iova, va - whole.va, whole.external);
	if (last < whole.va + whole.len)
		run_add(mem, RTE_PTR_ADD(whole.va, last - whole.va), whole.iova + (last - whole.va),
			whole.va + whole.len - last, whole.external);
}

static void
mem_removed(const char *va, size_t len)
{
	struct vfio_pci_mem *mem;
	struct run *run, *tmp;
	struct held *held, *held_tmp;

	RTE_TAILQ_FOREACH_SAFE(held, &held_pages, next, held_tmp)
		if (held->va >= va && held->va + held->len <= va + len) {
			TAILQ_REMOVE(&held_pages, held, next);
			free(held);
		}
	TAILQ_FOREACH(mem, &mems, next) {
		RTE_TAILQ_FOREACH_SAFE(run, &mem->runs, next, tmp)
			if (run->va < va + len && va < run->va + run->len)
				run_cut(mem, run, va, len);
		runs_map(mem);
	}
}

static void
mem_event(enum rte_mem_event event, const void *va, size_t len, void *arg)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(va);

	RTE_SET_USED(arg);
	if (event == RTE_MEM_EVENT_FREE)
		mem_removed(va, len);
	else if (msl != NULL)
		mem_added(msl, va, len);
}

static void
mem_ignore(void)
{
	unsigned int i;

	for (i = 0; i < rte_socket_count(); i++)
		rte_mem_alloc_validator_unregister(CALLBACK_NAME, rte_socket_id_by_idx(i));
	rte_mem_event_callback_unregister(CALLBACK_NAME, NULL);
	pages_release();
}

/** Register for memory events. An EAL in legacy mode, or without hugepages, has none. */
static int
mem_listen(void)
{
	unsigned int i;
	int rc;

	rc = rte_mem_event_callback_register(CALLBACK_NAME, mem_event, NULL);
	for (i = 0; i < rte_socket_count() && rc == 0; i++)
		rc = rte_mem_alloc_validator_register(
			CALLBACK_NAME, mem_may_grow, rte_socket_id_by_idx(i), 0);
	if (rc == 0 || rte_errno == ENOTSUP)
		return 0;
	rc = -rte_errno;
	mem_ignore();
	return VFIO_PCI_FAIL(
		-rc, "cannot register for the EAL's memory events: %s", rte_strerror(-rc));
}
/**@}*/

/** @name Joining a container */
/**@{*/

/** The usable range that holds r, or NULL. */
static const struct dmamap_range *
info_range_around(const struct dmamap_container_info *info, struct dmamap_range r)
{
	unsigned int i;

	for (i = 0; i < RTE_MIN(info->n_ranges, RTE_DIM(info->ranges)); i++)
		if (r.start >= info->ranges[i].start && r.last <= info->ranges[i].last)
			return &info->ranges[i];
	return NULL;
}

/** The usable range to propose for the EAL's memory: the largest, its start aligned. */
static struct dmamap_range
info_best_range(const struct dmamap_container_info *info)
{
	struct dmamap_range best = {0, 0}, r;
	unsigned int i;

	for (i = 0; i < RTE_MIN(info->n_ranges, RTE_DIM(info->ranges)); i++) {
		r = info->ranges[i];
		r.start = RTE_MAX(RTE_ALIGN_CEIL(r.start, BASE_ALIGN), BASE_ALIGN);
		if (r.start <= r.last && r.last - r.start >= best.last - best.start)
			best = r;
	}
	return best;
}

/**
 * @return 0, or -EINVAL after one log line: the container cannot map at the IOVAs that the EAL uses
 */
static int
mem_check_iova_mode(const char *dev, const char *container, enum dmamap_backend backend)
{
	bool physical = rte_eal_iova_mode() == RTE_IOVA_PA;

	if (physical == (backend == DMAMAP_BACKEND_NOIOMMU))
		return 0;
	return VFIO_PCI_FAIL(EINVAL,
		"%s: the EAL uses %s addresses as IOVAs, and container %s %s: start the program "
		"with --iova-mode=%s, or give eal_memory=0 if devices need none of it",
		dev, physical ? "physical" : "virtual", container,
		physical ? "may have them in use" : "has no IOMMU to translate",
		physical ? "va" : "pa");
}

static int
mem_check_runs(
	const char *dev, const struct vfio_pci_mem *mem, const struct dmamap_container_info *info)
{
	struct dmamap_range r, best;
	const struct run *run;

	TAILQ_FOREACH(run, &mem->runs, next) {
		r = (struct dmamap_range){run->iova, run->iova + run->len - 1};
		if (info->n_ranges > RTE_DIM(info->ranges) || info_range_around(info, r) != NULL)
			continue;
		best = info_best_range(info);
		return VFIO_PCI_FAIL(ERANGE,
			"%s: the EAL's memory at 0x%" PRIx64 "-0x%" PRIx64
			" is not where container %s can map it, which is 0x%" PRIx64 "-0x%" PRIx64
			": start the program with --base-virtaddr=0x%" PRIx64
			", or give eal_memory=0 if devices need none of it",
			dev, r.start, r.last, dmamap_container_name(mem->container), best.start,
			best.last, best.start);
	}
	return 0;
}

/**
 * Make the EAL refuse memory beyond top, if top is the end of an address width. @return true if so
 */
static bool
eal_limit_to(uint64_t top)
{
	return rte_is_power_of_2(top + 1) &&
		rte_mem_check_dma_mask_thread_unsafe(__builtin_ctzll(top + 1)) == 0;
}

struct reserving {
	struct vfio_pci_mem *mem;
	const struct dmamap_container_info *info;
};

/** Reserve the IOVAs of the virtual memory that the EAL has reserved for growth. */
static int
list_reserve(const struct rte_memseg_list *msl, void *arg)
{
	const struct reserving *reserving = arg;
	const struct dmamap_container_info *info = reserving->info;
	struct vfio_pci_mem *mem = reserving->mem;
	struct dmamap_range r = {(uintptr_t)msl->base_va, (uintptr_t)msl->base_va + msl->len - 1};
	uint64_t top;
	rte_iova_t iova;

	if (msl->external || msl->len == 0 || info->n_ranges == 0 ||
		info->n_ranges > RTE_DIM(info->ranges))
		return 0;
	top = info->ranges[info->n_ranges - 1].last;
	if (r.last > top && eal_limit_to(top)) {
		r.last = top;
		if (r.start > top)
			return 0;
	}
	if (info_range_around(info, r) == NULL) {
		mem->closed |= UINT64_C(1) << (msl->socket_id % 64);
		return 0;
	}
	if (dmamap_iova_reserve(mem->container, r.last - r.start + 1, 0, r, &iova) < 0)
		return VFIO_PCI_FAIL(EEXIST,
			"container %s: IOVAs of the EAL's memory are in use: attach a device of "
			"the bus earlier, or give eal_memory=0 if devices need none of it",
			dmamap_container_name(mem->container));
	mem->reserved[mem->n_reserved++] = r;
	return 0;
}

static int
page_add(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	/* External memory that is no heap is mapped by rte_dev_dma_map(). */
	if (msl->external && !msl->heap)
		return 0;
	return run_add_page(arg, ms, msl->external);
}

static int
page_hold_own(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	RTE_SET_USED(arg);
	return msl->external ? 0 : page_hold(ms);
}

/** Check everything, then reserve and map. */
static int
mem_fill(const char *dev, struct vfio_pci_mem *mem)
{
	struct dmamap_container_info info;
	struct reserving reserving = {.mem = mem, .info = &info};
	int rc;

	rc = dmamap_container_info(mem->container, &info);
	if (rc == 0)
		rc = mem_check_iova_mode(dev, dmamap_container_name(mem->container), info.backend);
	/* The walks return -1 for every error. */
	if (rc == 0 && rte_memseg_walk_thread_unsafe(page_add, mem) < 0)
		rc = -ENOMEM;
	if (rc == 0)
		rc = mem_check_runs(dev, mem, &info);
	if (rc == 0 && info.backend != DMAMAP_BACKEND_NOIOMMU &&
		rte_memseg_list_walk_thread_unsafe(list_reserve, &reserving) < 0)
		rc = -EEXIST;
	if (rc == 0)
		runs_map(mem);
	return rc == 0 ? runs_refusal(mem, 0, UINTPTR_MAX) : rc;
}

static void
mem_empty(struct vfio_pci_mem *mem)
{
	struct run *run, *tmp;

	RTE_TAILQ_FOREACH_SAFE(run, &mem->runs, next, tmp)
		run_del(mem, run);
	while (mem->n_reserved > 0) {
		const struct dmamap_range *r = &mem->reserved[--mem->n_reserved];

		dmamap_iova_release(mem->container, r->start, r->last - r->start + 1);
	}
}
/**@}*/

int
vfio_pci_mem_join(struct dmamap_container *container, const char *dev, struct vfio_pci_mem **joined)
{
	struct vfio_pci_mem *mem = calloc(1, sizeof(*mem));
	int rc;

	if (mem == NULL)
		return VFIO_PCI_FAIL(ENOMEM, "%s: out of memory", dev);
	TAILQ_INIT(&mem->runs);
	mem->container = container;

	rte_mcfg_mem_read_lock();
	rc = mem_fill(dev, mem);
	if (rc == 0 && TAILQ_EMPTY(&mems)) {
		rc = mem_listen();
		if (rc == 0 && rte_memseg_walk_thread_unsafe(page_hold_own, NULL) < 0) {
			rc = VFIO_PCI_FAIL(ENOMEM, "%s: out of memory", dev);
			mem_ignore();
		}
	}
	if (rc == 0)
		TAILQ_INSERT_TAIL(&mems, mem, next);
	else
		mem_empty(mem);
	rte_mcfg_mem_read_unlock();
	if (rc < 0)
		free(mem);
	else
		*joined = mem;
	return rc;
}

void
vfio_pci_mem_leave(struct vfio_pci_mem *mem)
{
	rte_mcfg_mem_read_lock();
	TAILQ_REMOVE(&mems, mem, next);
	if (TAILQ_EMPTY(&mems))
		mem_ignore();
	mem_empty(mem);
	rte_mcfg_mem_read_unlock();
	free(mem);
}

bool
vfio_pci_mem_has(const struct vfio_pci_mem *mem, const void *va, rte_iova_t iova, size_t len)
{
	const struct run *run;
	const char *start = va;
	bool has = false;

	rte_mcfg_mem_read_lock();
	TAILQ_FOREACH(run, &mem->runs, next)
		if (run->mapped && start >= run->va && len <= run->len &&
			(size_t)(start - run->va) <= run->len - len &&
			run->iova + (start - run->va) == iova)
			has = true;
	rte_mcfg_mem_read_unlock();
	return has;
}
