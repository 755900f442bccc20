/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where do the bytes live? Hugepage-backed memory on a NUMA node, and the limits on it.
 */

#ifndef DM_PIN_H
#define DM_PIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dmamap.h"
#include "dm_node.h"

/** What is wanted. */
struct dm_pin_conf {
	size_t len; /**< bytes, not 0 */
	size_t align; /**< power of two, or 0: the page size */
	size_t page_size; /**< 0: the largest available size that wastes at most an eighth of the
			     result */
	int node; /**< NUMA node, as the placement says; -1: any */
	const char *name; /**< for messages and the memfd's name; not NULL */
	enum dmamap_placement placement;
	uint32_t allow; /**< DMAMAP_ALLOW_TRANSPARENT, DMAMAP_ALLOW_BASE */
	unsigned int threads; /**< see struct dm_prefault_conf */
	int (*progress)(void *arg, uint64_t done, uint64_t len);
	void *progress_arg;
	/** Where the memory is to lie: address space of the caller, aligned and with room, see
	 * dm_pin_move(); or NULL */
	void *at;
	const struct dm_pin
		*like; /**< pages of the same kind and size as these, and no others; or NULL */
};

/** Memory that was got. Read-only for others. */
struct dm_pin {
	void *va; /**< aligned as asked for */
	size_t len; /**< bytes, a multiple of page_size, all faulted in and zero */
	size_t page_size; /**< bytes */
	enum dmamap_page_kind kind;
	bool locked; /**< by mlock(2) */
	int wanted; /**< the node asked for, LOCAL made a number; -1: any */
	bool as_asked; /**< the pages are where the placement wants them */
	int node; /**< where the pages really are; -1: on several nodes */
	struct dm_node_lens nodes; /**< the same, counted */
	bool lodger; /**< lies in address space of somebody else, see dm_pin_move() */
};

/**
 * Allocate. memfd_create(2) with MFD_HUGETLB (a file on a hugetlbfs mount where the kernel has no
 * hugetlb memfd) for hugepages, so nothing is left behind however the process ends; anonymous
 * memory for base pages. Placed as wished (libnuma), faulted in before return without a SIGBUS
 * (MADV_POPULATE_WRITE), excluded from fork (MADV_DONTFORK). Limits are looked at first: pools,
 * overcommit, hugetlb cgroups, memory.
 *
 * Where hugepages cannot be had, what conf->allow names serves instead, with one line of warning.
 * So it is said if pages are not where they were wished.
 *
 * @return 0; -EINVAL; -ENOMEM: too few pages (the log says size, node, needed, free, and the
 * command that reserves more); -ENOENT: this system has no pages of that size; -ENODEV: no such
 * node; -ECANCELED: by conf->progress.
 */
int dm_pin_alloc(const struct dm_pin_conf *conf, struct dm_pin **pin);

/**
 * Move memory, which nobody uses yet, into address space that the caller has reserved: pin->va
 * becomes `at`. dm_pin_free() does not touch that address space; the caller takes it back, and the
 * memory with it, by mapping over it.
 * @param at  multiple of pin->page_size, with pin->len bytes of room that is the caller's.
 * @return 0; -EINVAL, -ENOMEM: the kernel cannot move it (hugetlb memory: from Linux 5.16 on);
 * nothing changed.
 */
int dm_pin_move(struct dm_pin *pin, void *at);

/** Give the memory back. Nobody may use it any more. */
void dm_pin_free(struct dm_pin *pin);

/**
 * Would the kernel let this process lock `len` more bytes? Called before the first map call.
 * Looks at CAP_IPC_LOCK, RLIMIT_MEMLOCK and VmLck/VmPin of /proc/self/status. VFIO charges
 * hugepages too, in base pages (drivers/vfio/vfio_iommu_type1.c, vfio_lock_acct()).
 *
 * @param len    bytes that will be charged (for each kernel container, once).
 * @param what   the object, for the message.
 * @return 0; -ENOMEM: the log says how much is needed, what the limit is, and how to raise it.
 */
int dm_pin_memlock_check(uint64_t len, const char *what);

#endif /* DM_PIN_H */
