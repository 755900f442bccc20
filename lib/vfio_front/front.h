/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Public interface of vfio_front: virtual VFIO containers, each of them a dmamap_container. A
 * program uses them through the kernel's ABI (linux/vfio.h).
 *
 * The functions replace system calls on VFIO descriptors. Callers: front_libc.c, from the C library
 * symbols that it interposes; tests, on the mock kernel.
 *
 * The program's descriptors are the kernel's own files. The descriptor of a virtual container is
 * its first kernel container. Further kernel containers are opened on hidden descriptors.
 *
 * Invariant: a tracked descriptor has the same meaning here as in the program, from front_opened()
 * or front_dup() until front_close().
 *
 * Threads: any thread may call any function at any time, but no signal handler may. Each virtual
 * container has one lock, held across kernel calls, as type1 in Linux holds its own. Calls on one
 * container are serialised; calls on different containers run in parallel. Calls on other
 * descriptors take no such lock.
 */

#ifndef FRONT_H
#define FRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "dmamap.h"
#include "dmamap_kernel.h"

/** Kind of a descriptor. */
enum front_kind {
	FRONT_NONE, /**< not tracked */
	FRONT_CONTAINER, /**< /dev/vfio/vfio */
	FRONT_GROUP, /**< /dev/vfio/N */
	FRONT_DEVICE, /**< returned by VFIO_GROUP_GET_DEVICE_FD */
	/**
	 * opened by vfio_front: a further kernel container or an iommufd. The program must not
	 * close it
	 */
	FRONT_HIDDEN,
	/** container of another process: received over a socket, or inherited by fork(2) */
	FRONT_FOREIGN,
	/** only for front_opened(): /dev/iommu, opened because the kernel has no /dev/vfio/vfio */
	FRONT_IOMMUFD,
};

/** When contiguous maps of the program are merged into one kernel entry. */
enum front_coalesce {
	FRONT_COALESCE_OFF,
	/** maps that are present when the container's first device is opened */
	FRONT_COALESCE_START,
	/** also later maps, if no device of the container can do DMA at that moment */
	FRONT_COALESCE_ALWAYS,
};

/**
 * Configuration of a process. All zeroes: the kernel's behaviour, on the backend that is available.
 */
struct front_conf {
	enum dmamap_backend backend; /**< AUTO, TYPE1 or IOMMUFD */
	bool isolate; /**< one domain per group */
	enum front_coalesce coalesce;
	/** System calls; NULL: Linux. open() must set O_CLOEXEC. Must outlive all use. */
	const struct dmamap_kernel *kernel;
};

/**
 * Set the configuration. Call it before the first descriptor is tracked.
 * @return 0; -EINVAL: bad configuration; -EBUSY: it was set before.
 */
int front_init(const struct front_conf *conf);
/**
 * Release all state and close hidden descriptors. For tests: no other call may run at the same
 * time, and only front_init() may follow.
 */
void front_fini(void);

/**
 * Kind of a descriptor. Takes no lock, makes no system call, and costs a few ns. So it can be
 * called before each call on any descriptor. `fd` need not be open.
 */
enum front_kind front_kind(int fd);

/**
 * Track a file that the program has opened.
 * @param kind   CONTAINER, IOMMUFD, GROUP, or FOREIGN for a container received from another
 *   process.
 * @param group  number of the group, derived from the file and not from the name; -1: unknown.
 * @return 0; -ENOMEM: the descriptor is not tracked and stays open; -EINVAL: another kind.
 */
int front_opened(int fd, enum front_kind kind, int group);

/**
 * Track `to` as a duplicate of `from`, in this process. `to` must not be tracked.
 * @return 0; -ENOMEM: `to` is not tracked; -EBADF: `from` is not tracked, or hidden.
 */
int front_dup(int from, int to);

/**
 * ioctl(2) on a descriptor whose kind is not NONE. May wait for other calls on the same container.
 * @param request  only the low 32 bits are compared.
 * @param arg      a number or an address in the program, depending on the request.
 * @return the result of the ioctl; a negative errno.
 */
int front_ioctl(int fd, unsigned long request, uintptr_t arg);

/**
 * close(2) of a descriptor whose kind is not NONE. A HIDDEN one stays open.
 * @return 0; -EBADF: HIDDEN; another negative errno of close(2).
 */
int front_close(int fd);

/**
 * Stop tracking a descriptor whose number is about to get another file (dup2(2)). The kernel closes
 * the old file when it replaces it.
 */
void front_forget(int fd);

/**
 * Find the lowest descriptor from `first` to `last` (inclusive) whose kind is not NONE. Takes no
 * lock and makes no system call.
 * @return the descriptor; -1: there is none.
 */
int front_next(int first, int last);

/**
 * Move a HIDDEN descriptor to another number, because the program uses its number as the target of
 * dup2(2). The old number stays open until the kernel replaces its file; its kind is NONE from now
 * on.
 * @return 0; -EINVAL: not hidden; -EMFILE: no other number is free; -ENOMEM.
 */
int front_relocate(int fd);

/**
 * Run first in the child of a fork(2). Marks containers FOREIGN, drops all other tracking, and
 * undoes nothing in the kernel.
 */
void front_child(void);

/** Statistics of this process. */
struct front_stats {
	unsigned int n_containers; /**< virtual containers, now */
	unsigned int n_groups; /**< groups in these containers, now */
	unsigned int n_devices; /**< open devices of these groups, now */
	unsigned int n_domains; /**< kernel containers or IOASes of these containers, now */
	uint64_t n_maps; /**< maps of the program, now */
	/** kernel entries that hold these maps, deferred maps included, in one domain */
	uint64_t n_entries;
	uint64_t map_calls; /**< VFIO_IOMMU_MAP_DMA calls by the program, total */
	uint64_t unmap_calls; /**< VFIO_IOMMU_UNMAP_DMA calls by the program, total */
	uint64_t kernel_maps; /**< map calls to the kernel, total of all domains */
	uint64_t kernel_unmaps; /**< unmap calls to the kernel, total of all domains */
	uint64_t refusals; /**< failed calls, total */
	uint64_t peak_maps; /**< maximum of n_maps so far */
	uint64_t peak_entries; /**< maximum so far of entries in the kernel, in one domain */
	uint64_t saved; /**< maps and unmaps of the program that succeeded without a kernel call */
};

/** A failed call and its reason. */
struct front_refusal {
	uint64_t number; /**< sequence number, from 1 */
	const char *call; /**< "VFIO_IOMMU_MAP_DMA" */
	int err; /**< positive errno */
	char why[256]; /**< one line: range, owner, remedy */
};

/** Number of refusals in the history. */
#define FRONT_REFUSALS 64

/**
 * Fill in the statistics. Takes each container's lock in turn, so it waits for calls that are under
 * way.
 */
void front_stats(struct front_stats *stats);
/**
 * Copy the latest refusals, oldest first. Waits for no container.
 * @return how many were written to `out`, at most `n`.
 */
unsigned int front_refusals(struct front_refusal *out, unsigned int n);
/** Set the function that receives log lines; NULL: discard them. @see dmamap_log_fn */
void front_log_set(dmamap_log_fn fn, void *arg);

#endif /* FRONT_H */
