/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Memory for zones: hugepage-backed, placed on a NUMA node, faulted in; and the limits on it.
 *
 * Allocation has two steps, so that the caller can reserve addresses in between. dm_pin_plan()
 * decides which pages and how many; dm_pin_populate() creates them at the caller's address. Called
 * by container/.
 *
 * Invariant: a populated pin is fully backed and zeroed. A failed call leaves nothing behind.
 *
 * Threads: no function takes a lock or has state of its own, with one exception: the first file
 * that a process opens on a hugetlbfs waits for the sweep of dm_hugefile.h. Calls for different
 * pins may run concurrently; a pin is used by one caller at a time. No function waits for RCU
 * readers. plan and populate do file I/O and may sleep.
 *
 * Cost: a plan reads some 20 files of /proc and /sys, in the order of 100 us. Populate and free
 * grow with the bytes.
 */

#ifndef DM_PIN_H
#define DM_PIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "dmamap.h"
#include "dm_node.h"

struct dm_pin_todo;

/** A request. */
struct dm_pin_conf {
	size_t len; /**< bytes, not 0 */
	size_t align; /**< power of two, or 0: the page size */
	size_t page_size; /**< bytes; 0: the largest available size that wastes at most an eighth */
	/** Length and alignment are multiples of this too, whichever pages serve; 0: any. Power of
	 * two */
	size_t unit;
	int node; /**< NUMA node, see placement; -1: any */
	const char *name; /**< for messages and the name of the memfd; not NULL, copied */
	enum dmamap_placement placement;
	uint32_t allow; /**< DMAMAP_ALLOW_TRANSPARENT, DMAMAP_ALLOW_BASE */
	unsigned int threads; /**< see struct dm_prefault_conf; dm_pin_alloc() only */
	int (*progress)(void *arg, uint64_t done, uint64_t len); /**< dm_pin_alloc() only */
	void *progress_arg; /**< dm_pin_alloc() only */
	void *at; /**< see dm_pin_populate(); dm_pin_alloc() only */
	/** Use pages of the same kind and size as this pin only; NULL: any */
	const struct dm_pin *like;
	bool want_fd; /**< keep a file descriptor for dm_pin_fd() */
};

/** How to fault pages in. All zero: threads by length and CPUs, progress is logged. */
struct dm_pin_fill {
	unsigned int threads; /**< see struct dm_prefault_conf */
	/** Called by the calling thread; nonzero cancels. NULL: log. */
	int (*progress)(void *arg, uint64_t done, uint64_t len);
	void *progress_arg;
};

/** Memory, planned or populated. Read-only outside pin/. */
struct dm_pin {
	void *va; /**< a multiple of align; NULL: not populated */
	/** Bytes, a multiple of page_size; once populated, all faulted in and zeroed */
	size_t len;
	size_t align; /**< alignment of va in bytes; at least the page size of every choice */
	size_t page_size; /**< bytes; before populate: of the first choice */
	size_t unit; /**< as requested */
	enum dmamap_page_kind kind; /**< before populate: of the first choice */
	bool locked; /**< locked by mlock(2) */
	int wanted; /**< node asked for, LOCAL resolved to a number; -1: any */
	bool as_asked; /**< the pages are where the placement asked for them */
	int node; /**< node of the pages; -1: several, or unknown */
	struct dm_node_lens nodes; /**< bytes by node */
	bool borrowed; /**< lies in address space that the caller has reserved */
	int fd; /**< file behind the memory, if want_fd; -1: none */
	uint64_t process; /**< creator; its forks do not inherit the memory (dm_process.h) */
	struct dm_pin_todo *todo; /**< the plan for dm_pin_populate(); NULL: populated */
};

/**
 * Decide which pages will serve: kind, size, node, length. Reads pools, overcommit, control groups
 * (hugetlb and memory), free memory, RLIMIT_MEMLOCK and RLIMIT_NOFILE. Maps nothing and allocates
 * no page.
 *
 * If hugepages are short, the fallbacks that conf->allow names serve instead. More choices remain
 * for dm_pin_populate(), in case the pages are gone by then: smaller hugepages (only if
 * conf->page_size is 0), transparent hugepages, base pages.
 *
 * pin->len and pin->align are final and fit all choices; a choice whose page size does not divide
 * the length is dropped. If transparent hugepages are larger than the first choice, the length is
 * rounded up for them, unless that wastes more than an eighth of it.
 *
 * With conf->want_fd transparent hugepages are left out, since no file is behind them.
 *
 * conf->at, conf->threads and conf->progress are ignored.
 *
 * @param pin  out: to be freed by dm_pin_free(), populated or not. Unchanged on failure.
 * @return 0; -EINVAL; -ENOMEM: too few pages, or a limit (the log names it, and the command that
 *   raises it); -ENOENT: the system has no pages of that size; -ENODEV: no such node; -EMFILE,
 *   -ENFILE: no file can be opened to read the limits.
 */
int dm_pin_plan(const struct dm_pin_conf *conf, struct dm_pin **pin);

/**
 * Create the memory of a plan. Maps, sets the memory policy (mbind(2)), excludes the memory from
 * fork (MADV_DONTFORK), faults in without a SIGBUS (MADV_POPULATE_WRITE), locks a fallback, and
 * counts nodes.
 *
 * In a reservation of the caller, no failure leaves a hole that an mmap(2) of another thread could
 * land in, on any kernel. A failed mmap(2) with MAP_FIXED may already have removed the old mapping
 * (Linux before 6.12, mmap_region()). So the pages of a file are reserved before the file is mapped
 * there. Base pages get access by mprotect(2), which removes nothing.
 *
 * @param at    address space that the caller has reserved with dm_va_reserve(): a multiple of
 *   pin->align, at least pin->len bytes. NULL: the pin reserves its own.
 * @param fill  how; NULL: as if all zero.
 * @return 0; -EINVAL: `at` is not aligned, or the pin is populated; -ENOMEM: too few pages, a
 *   limit, or no address space; -EPERM: STRICT placement, and this process may not call mbind(2);
 *   -ECANCELED: by progress(); -EMFILE, -ENFILE; -EFBIG: RLIMIT_FSIZE; else the errno of a system
 *   call. Logged. After a failure `at` is reserved as before, and the plan can be populated again.
 */
int dm_pin_populate(struct dm_pin *pin, void *at, const struct dm_pin_fill *fill);

/**
 * dm_pin_plan(), then dm_pin_populate() at conf->at with conf->threads and conf->progress.
 * @return as these; *pin is unchanged on failure
 */
int dm_pin_alloc(const struct dm_pin_conf *conf, struct dm_pin **pin);

/**
 * The file behind the memory, for sharing with another process, which maps it with MAP_SHARED. A
 * memfd or a hugetlbfs file. A memfd is sealed against changes of its size (F_SEAL_SHRINK,
 * F_SEAL_GROW).
 * @param offset  out: where the memory begins in the file, in bytes; may be NULL.
 * @return a file descriptor that the pin owns; use dup(2) to keep it. -ENOTSUP: conf->want_fd was
 *   not set, or the pin is not populated.
 */
int dm_pin_fd(const struct dm_pin *pin, uint64_t *offset);

/**
 * Free a pin, planned or populated, and its memory. No thread and no device may use the memory any
 * more.
 *
 * If the memory lies in address space of the caller, that is reserved again in one step, without
 * access, and remains the caller's. At the limit of VMAs (vm.max_map_count) the addresses may stay
 * accessible, without pages; that is logged.
 * @param pin  may be NULL.
 */
void dm_pin_free(struct dm_pin *pin);

/**
 * Check whether the kernel would let this process lock `len` more bytes. Called before the first
 * map call. Reads CAP_IPC_LOCK, RLIMIT_MEMLOCK and VmLck/VmPin of /proc/self/status. VFIO charges
 * hugepages too, in base pages (drivers/vfio/vfio_iommu_type1.c, vfio_lock_acct()).
 *
 * @param len    bytes that will be charged (once for each kernel container).
 * @param what   the object, for the message.
 * @return 0; -ENOMEM: the log says how much is needed, what the limit is, and how to raise it.
 */
int dm_pin_memlock_check(uint64_t len, const char *what);

/**
 * dm_pin_memlock_check() for memory that is mapped already. Memory that the kernel does not charge
 * is left out (see dm_pin_memlock_chargeable()); that is determined only if the limit looks too
 * low.
 *
 * @param sge      address ranges of this process, in any order, not overlapping.
 * @param n_sge    how many.
 * @param charges  how often each byte is charged: once for each kernel container.
 * @param what     the object, for the message.
 * @return as dm_pin_memlock_check()
 */
int dm_pin_memlock_check_sge(
	const struct iovec *sge, unsigned int n_sge, unsigned int charges, const char *what);

/** dm_pin_memlock_check_sge() for one range. */
int dm_pin_memlock_check_range(
	const void *va, uint64_t len, unsigned int charges, const char *what);

/**
 * Bytes of some address ranges that the kernel charges against RLIMIT_MEMLOCK: all except mappings
 * of device memory (VM_PFNMAP, VM_IO: PCI BARs), whose pages type1 does not count
 * (drivers/vfio/vfio_iommu_type1.c, is_invalid_reserved_pfn()).
 *
 * Reads /proc/self/maps. Reads /proc/self/smaps only if a named mapping lies in the ranges: the
 * kernel walks page tables for it, which takes milliseconds in a large process.
 *
 * @return bytes; addresses that are not mapped, or whose mapping cannot be read, count.
 */
uint64_t dm_pin_memlock_chargeable_sge(const struct iovec *sge, unsigned int n_sge);

/** dm_pin_memlock_chargeable_sge() for one range. */
uint64_t dm_pin_memlock_chargeable(const void *va, uint64_t len);

#endif /* DM_PIN_H */
