/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal interface of vfio_front: objects, locks and layers. Included by the files of vfio_front
 * only.
 *
 * Layers: each file calls only files before it in this list: front_log.c, front_user.c, front_fd.c,
 * front_json.c, front_broker.c, front_below.c, front_group.c, front_maps.c, front_container.c,
 * front.c, front_spaces.c, front_serve.c.
 *
 * Locks, in the order in which they are taken:
 * - `op` of a container: serialises calls on it; held across kernel calls.
 * - front_tree: guards the tables of descriptors, files, groups and containers. Held for short:
 *   table updates and, at most, kernel calls that do not wait. Never held across a call of
 *   libdmamap.
 * front_kind() takes no lock.
 */

#ifndef FRONT_PRIV_H
#define FRONT_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <bsd/sys/tree.h>

#include <linux/vfio.h>

#include "dm_util.h"
#include "front.h"

struct front_container;
struct front_group;

/** An open file of the program, and the descriptors that refer to it. Changed under front_tree. */
struct front_file {
	enum front_kind kind;
	int *fds; /**< n_fds descriptors; our own calls use the first */
	unsigned int n_fds;
	unsigned int cap;
	/** FOREIGN: pass all ioctls to the kernel, because the container has only one domain */
	bool pass;
	struct front_container *c; /**< CONTAINER and HIDDEN: the container */
	struct front_group *g; /**< GROUP and DEVICE: the group */
};

/** front_group.in: in no kernel container. */
#define FRONT_NOWHERE (-1)

/** A group that the program has open, or that has an open device. */
struct front_group {
	LIST_ENTRY(front_group) next; /**< link in the list of all groups */
	TAILQ_ENTRY(front_group) in_c; /**< link in c->groups, in the order of SET_CONTAINER */
	int number; /**< IOMMU group number on the host; -1: unknown */
	int token; /**< token in front_below.c */
	/** NULL: all descriptors are closed, though devices may be open. Guarded by front_tree */
	struct front_file *file;
	/**
	 * virtual container that the group is in, with a reference; or NULL. Guarded by front_tree
	 */
	struct front_container *c;
	/** open device files in this process. This field and all below: guarded by `op` of c */
	unsigned int n_devices;
	struct dmamap_device *dev; /**< device object attached to c->dma, or NULL */
	int in; /**< kernel container that the group is in (a token), or FRONT_NOWHERE */
	/**
	 * iommufd: hidden descriptor of a device, or of the group, that keeps the group in its
	 * IOAS; or NULL
	 */
	struct front_file *anchor;
};

LIST_HEAD(front_group_list, front_group);
TAILQ_HEAD(front_group_queue, front_group);

/** State of a virtual container. */
enum front_state {
	FRONT_NEW, /**< no IOMMU type yet: groups are in the program's own kernel container */
	FRONT_TYPED, /**< type1: c->dma has its groups and maps */
	FRONT_PASS, /**< noiommu or an unknown type: ioctls pass to the kernel */
};

struct front_map;
RB_HEAD(front_map_tree, front_map);

/**
 * The maps of the program in one container, and the kernel entries that hold them. Guarded by `op`
 * of the container.
 */
struct front_maps {
	struct dmamap_container *dma;
	struct front_map_tree by_iova; /**< by IOVA; disjoint */
	uint64_t n_maps;
	uint64_t n_deferred; /**< maps that are not in the kernel yet */
	uint64_t deferred_len; /**< total bytes of the deferred maps */
	/** upper bound of the entries that the deferred maps will take */
	unsigned int n_sequences;
	uint64_t n_runs; /**< kernel entries, in one domain */
	bool coalesce;
	bool pins_late; /**< iommufd: the kernel pins memory only when a device is opened */
};

/** A virtual container. */
struct front_container {
	/** link in the list of all containers; guarded by front_tree */
	LIST_ENTRY(front_container) next;
	/** references: its file, its groups, calls in progress; guarded by front_tree */
	unsigned int refs;
	/** NULL: all descriptors are closed, though groups may be in it. Guarded by front_tree */
	struct front_file *file;
	int token; /**< token in front_below.c */
	/** the program's descriptor is an iommufd, because the kernel has no VFIO containers */
	bool is_iommufd;
	/** guards all fields below, and serialises kernel calls on the container */
	pthread_mutex_t op;
	enum front_state state;
	bool v2; /**< the program set VFIO_TYPE1v2_IOMMU: its unmap rules apply */
	enum dmamap_backend backend; /**< backend of dma, in state TYPED */
	struct front_group_queue groups;
	unsigned int n_devices; /**< open devices of all its groups */
	unsigned int n_domains; /**< domains of dma */
	struct dmamap_container *dma; /**< in state TYPED; else NULL */
	struct front_maps maps;
};

/** @name front_log.c: log lines, refusals, counters. Any thread, under any lock. */
/**@{*/
/** Counters, changed by front_count(). */
enum front_counter {
	FRONT_MAP_CALLS,
	FRONT_UNMAP_CALLS,
	FRONT_KERNEL_MAPS,
	FRONT_KERNEL_UNMAPS,
	FRONT_SAVED,
	FRONT_MAPS_NOW,
	FRONT_ENTRIES_NOW,
	FRONT_N_COUNTERS,
};
/** Add to a counter; `n` may be negative. Updates the peak. */
void front_count(enum front_counter counter, int64_t n);
/** Current value of a counter. */
uint64_t front_counted(enum front_counter counter);
/** Maximum value of a counter so far. */
uint64_t front_counted_peak(enum front_counter counter);
/** Log a line that does not belong to a failed call. */
void front_log(enum dmamap_log_level level, const char *fmt, ...) DM_PRINTF_LIKE(2, 3);
/**
 * Record a failed call with its reason, and log it. With a NULL format the reason is the last error
 * that libdmamap logged in this thread since front_reason_clear().
 * @param call  name of the call; must be a constant.
 * @param err   positive errno.
 * @return -err
 */
int front_refuse(const char *call, int err, const char *fmt, ...) DM_PRINTF_LIKE(3, 4);
/** Clear the last error of libdmamap in this thread. */
void front_reason_clear(void);
/**
 * Copy an argument of an ioctl from the program's memory. One system call, so that the kernel
 * judges the address; where seccomp(2) forbids it, a plain copy. Takes no lock.
 * @return 0; -EFAULT: not all of it can be read.
 */
int front_user_read(void *to, uintptr_t from, size_t len);
/** Copy an answer to the program's memory, as front_user_read() does. @return 0 or -EFAULT. */
int front_user_write(uintptr_t to, const void *from, size_t len);

/** Set the reason that front_refuse() uses in place of libdmamap's last error. */
void front_reason_set(const char *fmt, ...) DM_PRINTF_LIKE(1, 2);
/** Number of refusals so far. */
uint64_t front_n_refusals(void);
/** Install the log callback of libdmamap. */
void front_log_start(void);
/** Restore libdmamap's log callback; clear refusals and counters. */
void front_log_stop(void);
/** In the child of a fork(2): reinitialise the lock. */
void front_log_child(void);
/**@}*/

/**
 * @name front_fd.c: table from descriptor to file. front_kind() takes no lock; call all other
 *   functions under front_tree, unless stated otherwise.
 */
/**@{*/
extern pthread_mutex_t front_tree;
/** @return the file; NULL: not tracked. */
struct front_file *front_fd_get(int fd);
/** Change the kind of a file and of its descriptors. */
void front_file_set_kind(struct front_file *file, enum front_kind kind);
/** Create a file with one descriptor. @return NULL: out of memory. */
struct front_file *front_file_new(enum front_kind kind, int fd);
/** Add a descriptor to a file. @return 0; -ENOMEM. */
int front_fd_add(struct front_file *file, int fd);
/**
 * Remove a descriptor from the table.
 * @return true: it was the last one of its file, which the caller now owns and frees.
 */
bool front_fd_remove(int fd);
/** Free a file. Its descriptors must be out of the table. */
void front_file_free(struct front_file *file);
/** Call `each` once per file. `each` may remove or free that file. */
void front_fd_each(void (*each)(struct front_file *file, void *arg), void *arg);
/**
 * Move a descriptor of Linux to a free high number, with FD_CLOEXEC, out of the program's way.
 * Needs no lock.
 * @return the new number; `fd` itself if none is free.
 */
int front_fd_raise(int fd);
/**@}*/

/** @name front_below.c: calls into the kernel, for vfio_front and for libdmamap */
/**@{*/
/** System call table that libdmamap is given. */
extern struct dmamap_kernel front_table;
/** Select the kernel. @param kernel  NULL: Linux. */
void front_below_init(const struct dmamap_kernel *kernel);
/** Calls on real descriptors; return a negative errno on failure. */
int front_below_ioctl(int fd, unsigned long request, uintptr_t arg);
int front_below_open(const char *path, int flags);
int front_below_close(int fd);
/**
 * Create a token for a container or a group. A token stays valid whichever of its descriptors is
 * open. Under front_tree.
 * @return the token; -ENOMEM.
 */
int front_token_new(struct front_container *c, struct front_group *g);
void front_token_free(int token);
/**
 * Descriptor to use now for a token. A number that is no token is returned unchanged. Takes
 * front_tree.
 * @param g  out: the group of the token, or NULL.
 * @return the descriptor; -EBADF: all descriptors are closed.
 */
int front_token_fd(int fd, struct front_group **g);
/** Open a hidden file for `c`. @return its token; a negative errno. */
int front_hidden_open(struct front_container *c, const char *path);
/**
 * Duplicate a hidden file to another number; the old number stays open. Under front_tree and `op`
 * of the container.
 */
int front_hidden_move(struct front_file *file);
/**
 * Container on whose behalf this thread calls libdmamap; it owns the files that libdmamap opens.
 */
extern __thread struct front_container *front_current;
/**
 * Move a group into a kernel container (a token), out of its current one.
 * @return 0; a negative errno.
 */
int front_group_join(struct front_group *g, int container);
/** Remove a group from its kernel container. @return 0, also if it is in none; a negative errno. */
int front_group_leave(struct front_group *g);
/**
 * Open a device of a group on a hidden descriptor (the anchor). On iommufd the kernel attaches a
 * group's IOMMU, and pins mapped memory, only while a device of the group is open.
 * @return 0; -ENODEV, -EACCES: no device can be opened this way; another errno: the kernel refused
 *   the group.
 */
int front_anchor_open(struct front_container *c, struct front_group *g);
/**
 * Keep the group's file open on a hidden descriptor, when the program closes its last descriptor of
 * the group while a device is open. A type1 container keeps the group by itself; on iommufd another
 * process could open the group.
 */
void front_anchor_keep(struct front_container *c, struct front_group *g, int fd);
/** Close the anchor, if there is one. */
void front_anchor_close(struct front_group *g);
/**
 * Whether an open device of a container may do DMA. A PCI device may if its bus mastering is
 * enabled (PCI Express Base 5.0, 7.5.1.1.3); any other device always may. Reads the configuration
 * space of each device. Takes front_tree.
 */
bool front_may_dma(const struct front_container *c);
/**
 * Whether any process has the group's file or one of its devices open. Tries to open the group's
 * file. Not under front_tree.
 */
bool front_group_is_open(const struct front_group *g);
/**@}*/

/** @name front_group.c: groups. Under front_tree, except front_group_free() */
/**@{*/
/** Create a group. @param number  IOMMU group number; -1: unknown. @return NULL: out of memory. */
struct front_group *front_group_new(int number);
/** @return the group; NULL: none has this number. */
struct front_group *front_group_find(int number);
/** Free a group that is in no container. */
void front_group_drop(struct front_group *g);
/** front_group_drop(), taking front_tree. */
void front_group_free(struct front_group *g);
/**@}*/

/** @name front_maps.c: maps of the program. Under `op` of the container */
/**@{*/
/** Whether devices can reach what is mapped. */
enum front_use {
	FRONT_UNUSED, /**< no device is open */
	FRONT_IDLE, /**< devices are open, and bus mastering is disabled in all of them */
	FRONT_RUNNING, /**< devices may do DMA: every mapping must stay in place */
};
/** Initialise. @param coalesce  merge contiguous maps into one kernel entry. */
void front_maps_init(struct front_maps *m, struct dmamap_container *dma, bool coalesce);
/** VFIO_IOMMU_MAP_DMA. All or nothing. @return 0; a negative errno, already logged. */
int front_maps_map(
	struct front_maps *m, const struct vfio_iommu_type1_dma_map *map, enum front_use use);
/**
 * VFIO_IOMMU_UNMAP_DMA. Sets unmap->size to the bytes that were unmapped, also on failure of the
 * kernel.
 * @param v2       apply the rules of type1 v2: no map is split.
 * @param running  a device is open.
 * @return 0; a negative errno, already logged.
 */
int front_maps_unmap(
	struct front_maps *m, struct vfio_iommu_type1_dma_unmap *unmap, bool v2, bool running);
/**
 * Map all deferred maps in the kernel. On failure, the rest stays deferred.
 * @return 0; a negative errno, already logged.
 */
int front_maps_flush(struct front_maps *m);
/** Free all maps. Kernel entries go with the container. */
void front_maps_clear(struct front_maps *m);
/**@}*/

/**
 * @name front_container.c: virtual containers. Under `op` of the container, unless stated otherwise
 */
/**@{*/
/** Configuration of the process, set by front_init(). */
extern struct front_conf front_conf;
/**
 * Create a container. Under front_tree.
 * @return the container, with one reference for its file; NULL: out of memory.
 */
struct front_container *front_container_new(bool is_iommufd);
/** Drop a reference; the last one frees the container. Under front_tree. */
void front_container_put(struct front_container *c);
/**
 * Container after `c`, or the first one if `c` is NULL, with a reference. Under front_tree.
 * @return NULL: no more.
 */
struct front_container *front_container_next(struct front_container *c);
/**
 * ioctl(2) on a container's descriptor.
 * @param fd  the program's descriptor.
 */
int front_container_ioctl(struct front_container *c, int fd, unsigned long request, uintptr_t arg);
/**
 * VFIO_GROUP_SET_CONTAINER, for a group that is in no container. The caller has set g->c to `c`.
 */
int front_container_add(struct front_container *c, struct front_group *g);
/** VFIO_GROUP_UNSET_CONTAINER. */
int front_container_remove(struct front_container *c, struct front_group *g);
/** Remove groups that the kernel has released and of which this process has no descriptor left. */
void front_container_settle(struct front_container *c);
/**
 * Remove a group that the kernel has released. With the last group, the container loses its maps
 * and its type.
 */
void front_container_left(struct front_container *c, struct front_group *g);
/** Prepare for opening a device: map all deferred maps, and count the device as open. */
int front_container_device_begin(struct front_container *c, struct front_group *g);
/** Finish opening a device. @param rc  result of the kernel; negative: not opened. @return rc */
int front_container_device_end(struct front_container *c, struct front_group *g, int rc);
/** Account for the close of a device's last descriptor. */
void front_container_device_closed(struct front_container *c, struct front_group *g);
/**@}*/

struct front_json;
/** Add "spaces": the containers with what is where. Any thread, under no lock. front_spaces.c */
void front_spaces_add(struct front_json *json);

#endif /* FRONT_PRIV_H */
