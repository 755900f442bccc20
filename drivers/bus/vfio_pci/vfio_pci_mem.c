/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do devices reach memory that the EAL owns? At the address that the EAL expects, in runs,
 * while it grows.
 *
 * The EAL says of each page at which IOVA devices are to find it: its virtual address
 * (--iova-mode=va) or its physical one. What lies side by side in both is a run, and one mapping.
 * Since the kernel cannot cut a mapping, pages of a run stay with the EAL's heap
 * (RTE_MEMSEG_FLAG_DO_NOT_FREE) as long as a device is there; else a page could go under a running
 * device.
 *
 * Nobody asks the listener of memory events whether memory may be had. So what can be known is
 * asked for before: IOVAs are taken for all that the EAL has reserved, and a validator refuses
 * growth for which entries or RLIMIT_MEMLOCK do not suffice. If the kernel refuses all the same,
 * the run is remembered, and no further memory is had before it could be mapped.
 *
 * Memory that others gave to the EAL (an external heap) is mapped in the same way, but it can lie
 * where no device ever reaches it. Then that heap is without devices; the EAL's own goes on
 * growing.
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

/** What callbacks are registered by. */
#define CALLBACK_NAME "gantry_vfio_pci"
/** The alignment of addresses that are proposed for --base-virtaddr. */
#define BASE_ALIGN (UINT64_C(1) << 30)

/** Memory of the EAL, contiguous in its addresses and its IOVAs. */
struct run {
	RTE_TAILQ_ENTRY(run) next;
	char *va;
	rte_iova_t iova;
	size_t len;
	bool external; /**< others gave it to the EAL */
	bool mapped; /**< false: devices cannot reach it */
	int refused; /**< why it is not mapped: a negative errno; 0: it was not tried yet */
};

RTE_TAILQ_HEAD(run_list, run);

/** The EAL's memory in one container. */
struct vfio_pci_mem {
	RTE_TAILQ_ENTRY(vfio_pci_mem) next;
	struct dmamap_container *container;
	struct run_list runs;
	struct dmamap_range taken[RTE_MAX_MEMSEG_LISTS]; /**< IOVAs of what the EAL has reserved */
	unsigned int n_taken;
	uint64_t closed; /**< sockets whose memory may not grow: some of it could not be mapped */
};

/** Pages that were kept from being given back. */
struct kept {
	RTE_TAILQ_ENTRY(kept) next;
	char *va;
	size_t len;
};

RTE_TAILQ_HEAD(kept_list, kept);

/* Changed with the EAL's memory lock held for reading, read by callbacks, for which it is held for
 * writing. */
static RTE_TAILQ_HEAD(, vfio_pci_mem) mems = TAILQ_HEAD_INITIALIZER(mems);
static struct kept_list kepts = TAILQ_HEAD_INITIALIZER(kepts);

/** @name Pages that stay */
/**@{*/

/** Keep a page; a stretch of them is one entry. */
static int
keep_page(const struct rte_memseg *ms)
{
	struct kept *kept = TAILQ_LAST(&kepts, kept_list);
	struct rte_memseg *page = rte_mem_virt2memseg(ms->addr, NULL);

	if (page == NULL || (page->flags & RTE_MEMSEG_FLAG_DO_NOT_FREE) != 0)
		return 0;
	if (kept == NULL || kept->va + kept->len != (char *)ms->addr) {
		kept = calloc(1, sizeof(*kept));
		if (kept == NULL)
			return -ENOMEM;
		kept->va = ms->addr;
		TAILQ_INSERT_TAIL(&kepts, kept, next);
	}
	kept->len += ms->len;
	page->flags |= RTE_MEMSEG_FLAG_DO_NOT_FREE;
	return 0;
}

/** Let the EAL give back again what was kept. What it took from us meanwhile is not there, or not
 * in use. */
static void
release_pages(void)
{
	struct rte_memseg *page;
	struct kept *kept;
	size_t at;

	while ((kept = TAILQ_FIRST(&kepts)) != NULL) {
		for (at = 0; at < kept->len; at += page->len) {
			page = rte_mem_virt2memseg(kept->va + at, NULL);
			if (page == NULL || page->len == 0)
				break;
			page->flags &= ~RTE_MEMSEG_FLAG_DO_NOT_FREE;
		}
		TAILQ_REMOVE(&kepts, kept, next);
		free(kept);
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

/** Is there hope that what was refused is mapped if tried again? */
static bool
run_may_be_mapped(const struct run *run)
{
	return !run->external || run->refused == 0 || run->refused == -ENOMEM ||
		run->refused == -ENOSPC;
}

static void
run_unmap(const struct vfio_pci_mem *mem, struct run *run)
{
	/* What cannot be unmapped has had its line, and is fenced off by the container. */
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

/** Add a page, to the last run if it continues that one and that was not tried to be mapped yet. */
static int
add_page(struct vfio_pci_mem *mem, const struct rte_memseg *ms, bool external)
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

/** Map what is not mapped. @return 0, or why some of the EAL's own memory could not be. */
static int
map_new_runs(struct vfio_pci_mem *mem)
{
	struct run *run;
	int rc = 0;

	TAILQ_FOREACH(run, &mem->runs, next) {
		/* After one that the kernel refused it would refuse the others too, with a line for
		 * each. */
		if (run->mapped || rc < 0 || !run_may_be_mapped(run))
			continue;
		if (run_map(mem, run) < 0 && !run->external)
			rc = run->refused;
	}
	return rc;
}

/** Why some of [va, last] is not mapped, or 0. */
static int
why_refused(const struct vfio_pci_mem *mem, uintptr_t va, uintptr_t last)
{
	const struct run *run;

	TAILQ_FOREACH(run, &mem->runs, next)
		if ((uintptr_t)run->va <= last && va <= (uintptr_t)run->va + run->len - 1 &&
			!run->mapped)
			return run->refused != 0 ? run->refused : -ENOMEM;
	return 0;
}
/**@}*/

/** @name What the EAL says */
/**@{*/

struct in_use {
	int socket;
	size_t len;
};

static int
add_in_use(const struct rte_memseg_list *msl, void *arg)
{
	struct in_use *in_use = arg;

	if (!msl->external && msl->socket_id == in_use->socket)
		in_use->len += msl->memseg_arr.count * msl->page_sz;
	return 0;
}

/** May the memory on a socket grow to so many bytes? */
static int
may_grow(int socket, size_t limit, size_t new_len)
{
	struct in_use in_use = {.socket = socket};
	struct vfio_pci_mem *mem;
	size_t growth;

	RTE_SET_USED(limit);
	rte_memseg_list_walk_thread_unsafe(add_in_use, &in_use);
	growth = new_len > in_use.len ? new_len - in_use.len : 0;
	TAILQ_FOREACH(mem, &mems, next) {
		if (map_new_runs(mem) < 0)
			return VFIO_PCI_FAIL(ENOMEM,
				"container %s: the EAL gets no more memory before all "
				"that it has could be mapped",
				dmamap_container_name(mem->container));
		if (mem->closed & (UINT64_C(1) << (socket % 64)))
			return VFIO_PCI_FAIL(ENOMEM,
				"container %s: the EAL gets no more memory on socket "
				"%d: some would be where devices cannot reach it; start the program with "
				"-m or --socket-mem, or another --base-virtaddr",
				dmamap_container_name(mem->container), socket);
		if (dmamap_map_check(mem->container, growth, 1) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void
memory_came(const struct rte_memseg_list *msl, const char *va, size_t len)
{
	struct vfio_pci_mem *mem;
	const struct rte_memseg *ms;
	size_t at;
	int rc;

	TAILQ_FOREACH(mem, &mems, next) {
		rc = 0;
		for (at = 0; at < len && rc == 0; at += msl->page_sz) {
			ms = rte_mem_virt2memseg(va + at, msl);
			rc = add_page(mem, ms, msl->external);
			if (!msl->external)
				keep_page(ms);
		}
		map_new_runs(mem);
		if (rc == 0)
			rc = why_refused(mem, (uintptr_t)va, (uintptr_t)va + len - 1);
		if (rc < 0)
			VFIO_PCI_LOG(ERR,
				"container %s: devices cannot reach the EAL's new memory %p, "
				"0x%zx bytes: %s",
				dmamap_container_name(mem->container), va, len, rte_strerror(-rc));
	}
}

/** Take a run that loses some of its pages away, and map what it keeps. */
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
memory_goes(const char *va, size_t len)
{
	struct vfio_pci_mem *mem;
	struct run *run, *tmp;
	struct kept *kept, *kept_tmp;

	RTE_TAILQ_FOREACH_SAFE(kept, &kepts, next, kept_tmp)
		if (kept->va >= va && kept->va + kept->len <= va + len) {
			TAILQ_REMOVE(&kepts, kept, next);
			free(kept);
		}
	TAILQ_FOREACH(mem, &mems, next) {
		RTE_TAILQ_FOREACH_SAFE(run, &mem->runs, next, tmp)
			if (run->va < va + len && va < run->va + run->len)
				run_cut(mem, run, va, len);
		map_new_runs(mem);
	}
}

static void
memory_changed(enum rte_mem_event event, const void *va, size_t len, void *arg)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(va);

	RTE_SET_USED(arg);
	if (event == RTE_MEM_EVENT_FREE)
		memory_goes(va, len);
	else if (msl != NULL)
		memory_came(msl, va, len);
}

static void
ignore_memory(void)
{
	unsigned int i;

	for (i = 0; i < rte_socket_count(); i++)
		rte_mem_alloc_validator_unregister(CALLBACK_NAME, rte_socket_id_by_idx(i));
	rte_mem_event_callback_unregister(CALLBACK_NAME, NULL);
	release_pages();
}

/** Hear of changes. An EAL in legacy mode, or without hugepages, has none. */
static int
listen_to_memory(void)
{
	unsigned int i;
	int rc;

	rc = rte_mem_event_callback_register(CALLBACK_NAME, memory_changed, NULL);
	for (i = 0; i < rte_socket_count() && rc == 0; i++)
		rc = rte_mem_alloc_validator_register(
			CALLBACK_NAME, may_grow, rte_socket_id_by_idx(i), 0);
	if (rc == 0 || rte_errno == ENOTSUP)
		return 0;
	rc = -rte_errno;
	ignore_memory();
	return VFIO_PCI_FAIL(-rc, "the EAL does not tell of its memory: %s", rte_strerror(-rc));
}
/**@}*/

/** @name Before the first mapping */
/**@{*/

/** The usable range that holds r, or NULL. */
static const struct dmamap_range *
range_around(const struct dmamap_container_info *info, struct dmamap_range r)
{
	unsigned int i;

	for (i = 0; i < RTE_MIN(info->n_ranges, RTE_DIM(info->ranges)); i++)
		if (r.start >= info->ranges[i].start && r.last <= info->ranges[i].last)
			return &info->ranges[i];
	return NULL;
}

/** Where the EAL's memory would be well: the largest usable range, from an even address on. */
static struct dmamap_range
best_range(const struct dmamap_container_info *info)
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

/** Does the EAL speak of addresses that the container can map at? */
static int
check_iova_mode(const char *dev, const char *container, enum dmamap_backend backend)
{
	bool physical = rte_eal_iova_mode() == RTE_IOVA_PA;

	if (physical == (backend == DMAMAP_BACKEND_NOIOMMU))
		return 0;
	return VFIO_PCI_FAIL(EINVAL,
		"%s: the EAL wants its memory at %s addresses, and container %s %s: start "
		"the program with --iova-mode=%s, or give eal_memory=0 if devices need none of it",
		dev, physical ? "physical" : "virtual", container,
		physical ? "may have them in use" : "has no IOMMU to translate",
		physical ? "va" : "pa");
}

static int
check_runs(
	const char *dev, const struct vfio_pci_mem *mem, const struct dmamap_container_info *info)
{
	struct dmamap_range r, best;
	const struct run *run;

	TAILQ_FOREACH(run, &mem->runs, next) {
		r = (struct dmamap_range){run->iova, run->iova + run->len - 1};
		if (info->n_ranges > RTE_DIM(info->ranges) || range_around(info, r) != NULL)
			continue;
		best = best_range(info);
		return VFIO_PCI_FAIL(ERANGE,
			"%s: the EAL's memory at 0x%" PRIx64 "-0x%" PRIx64 " is not where "
			"container %s can map it, which is 0x%" PRIx64 "-0x%" PRIx64
			": start the program "
			"with --base-virtaddr=0x%" PRIx64
			", or give eal_memory=0 if devices need none of it",
			dev, r.start, r.last, dmamap_container_name(mem->container), best.start,
			best.last, best.start);
	}
	return 0;
}

/** Have the EAL refuse memory beyond a range's end, if that is the end of an address width. */
static bool
eal_keeps_below(uint64_t top)
{
	return rte_is_power_of_2(top + 1) &&
		rte_mem_check_dma_mask_thread_unsafe(__builtin_ctzll(top + 1)) == 0;
}

struct taking {
	struct vfio_pci_mem *mem;
	const struct dmamap_container_info *info;
};

/** Take the IOVAs of what the EAL has reserved for memory to come. */
static int
take_list(const struct rte_memseg_list *msl, void *arg)
{
	const struct taking *taking = arg;
	const struct dmamap_container_info *info = taking->info;
	struct vfio_pci_mem *mem = taking->mem;
	struct dmamap_range r = {(uintptr_t)msl->base_va, (uintptr_t)msl->base_va + msl->len - 1};
	uint64_t top;
	rte_iova_t iova;

	if (msl->external || msl->len == 0 || info->n_ranges == 0 ||
		info->n_ranges > RTE_DIM(info->ranges))
		return 0;
	top = info->ranges[info->n_ranges - 1].last;
	if (r.last > top && eal_keeps_below(top)) {
		r.last = top;
		if (r.start > top)
			return 0;
	}
	if (range_around(info, r) == NULL) {
		mem->closed |= UINT64_C(1) << (msl->socket_id % 64);
		return 0;
	}
	if (dmamap_iova_take(mem->container, r.last - r.start + 1, 0, r, &iova) < 0)
		return VFIO_PCI_FAIL(EEXIST,
			"container %s: something is mapped where the EAL's memory belongs: "
			"let a device of the bus join before, or give eal_memory=0 if devices need none of it",
			dmamap_container_name(mem->container));
	mem->taken[mem->n_taken++] = r;
	return 0;
}

static int
take_page(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	/* Other programs' memory is mapped by rte_dev_dma_map(), if it is no heap. */
	if (msl->external && !msl->heap)
		return 0;
	return add_page(arg, ms, msl->external);
}

static int
keep_any(const struct rte_memseg_list *msl, const struct rte_memseg *ms, void *arg)
{
	RTE_SET_USED(arg);
	return msl->external ? 0 : keep_page(ms);
}

/** Check all, then take and map all. */
static int
mem_fill(const char *dev, struct vfio_pci_mem *mem)
{
	struct dmamap_container_info info;
	struct taking taking = {.mem = mem, .info = &info};
	int rc;

	rc = dmamap_container_info(mem->container, &info);
	if (rc == 0)
		rc = check_iova_mode(dev, dmamap_container_name(mem->container), info.backend);
	/* The walks make -1 of every error. */
	if (rc == 0 && rte_memseg_walk_thread_unsafe(take_page, mem) < 0)
		rc = -ENOMEM;
	if (rc == 0)
		rc = check_runs(dev, mem, &info);
	if (rc == 0 && info.backend != DMAMAP_BACKEND_NOIOMMU &&
		rte_memseg_list_walk_thread_unsafe(take_list, &taking) < 0)
		rc = -EEXIST;
	if (rc == 0)
		map_new_runs(mem);
	return rc == 0 ? why_refused(mem, 0, UINTPTR_MAX) : rc;
}

static void
mem_empty(struct vfio_pci_mem *mem)
{
	struct run *run, *tmp;

	RTE_TAILQ_FOREACH_SAFE(run, &mem->runs, next, tmp)
		run_del(mem, run);
	while (mem->n_taken > 0) {
		mem->n_taken--;
		dmamap_iova_give(mem->container, mem->taken[mem->n_taken].start,
			mem->taken[mem->n_taken].last - mem->taken[mem->n_taken].start + 1);
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
		rc = listen_to_memory();
		if (rc == 0 && rte_memseg_walk_thread_unsafe(keep_any, NULL) < 0) {
			rc = VFIO_PCI_FAIL(ENOMEM, "%s: out of memory", dev);
			ignore_memory();
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
		ignore_memory();
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
