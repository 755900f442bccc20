/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 */

#ifndef DMAMAP_H
#define DMAMAP_H

/**
 * @file
 * libdmamap: one IOVA address space for many devices.
 *
 * A *container* is one IOVA address space. Devices are attached to it and memory is mapped into it.
 * A container holds one or more *domains* (sets of IOMMU page tables) and hides how many.
 * Invariant: every mapping is present in every domain of its container, or in none.
 * If the kernel refuses to put a device's group into an existing domain, the container opens a new
 * one and replays all mappings into it.
 *
 * Common to all functions, unless the function says otherwise:
 * - `int` results are 0 or a negative errno value. A failed call changes nothing.
 * - Lengths are in bytes. Ranges are inclusive: `[start, last]`.
 * - Any thread may call any function at any time, on the same objects too. The exception is a call
 *   that frees an object: it must be the last call on that object.
 * - Functions that change a container may sleep. No function may be called from a signal handler.
 * - Map and unmap run concurrently with each other. Attach, detach, move and merge wait for maps
 *   and unmaps of their containers that are in progress, and block new ones. Queries do not
 *   wait, but for dmamap_reserved() and dmamap_container_conflicts(): these read the topology, and
 *   wait for an attach, detach, move or merge of the container that is in progress.
 * - An unmap waits for readers of translations (conf.rcu or .readers). So a registered, online
 *   reader must not call a function that unmaps: unmap, deregister, invalidate, zone_free,
 *   zone_resize, stream_unmap, registration_cache, destroy, the last put, merge. With the
 *   registration cache armed, neither may it call a function that can evict: map, map_sg, register,
 *   stream_map, zone_alloc, iova_reserve, attach, move, dma_mask. It may call all other functions.
 * - dmamap_va2iova() and dmamap_iova2va() take no lock, make no system call and do not allocate.
 * - Each failure logs one line (dmamap_log_set()): the object, what failed, the cause, the remedy.
 *   Conflicts (dmamap_container_conflicts()) log one line each.
 * - No header of DPDK is needed. A build without the EAL differs in log, telemetry and conf.rcu;
 *   each of these says how. With the EAL, `rte_eal_init()` need not have been called.
 *
 * fork(2):
 * - A container, and all that is in it, belongs to the process that created it. A child shares open
 *   files with its parent, but none of the parent's pinned memory.
 * - In a child, functions that change a container fail with -ECHILD. Functions that release, which
 *   are detach, unmap, deregister, zone_free and destroy, free the child's bookkeeping, close the
 *   child's descriptors and succeed. The parent's IOMMU is not changed.
 * - Descriptors that a child keeps open keep the parent's groups in use. A child that lives on
 *   cleans up or calls exec(3), which closes them.
 * - As everywhere in POSIX, a child may do so only if no other thread of its parent was inside the
 *   library at the fork. Otherwise it must exec or exit.
 * - A child does not inherit the memory of zones. It may create containers of its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rte_rcu_qsbr;
struct dmamap_container;
struct dmamap_device;
struct dmamap_pool;
struct dmamap_zone;
struct dmamap_kernel;

/** An address that a device puts on the bus. DPDK's rte_iova_t is the same type. */
typedef uint64_t dmamap_iova_t;
/** No IOVA: the result of a translation that does not exist. Equal to DPDK's RTE_BAD_IOVA. */
#define DMAMAP_BAD_IOVA UINT64_MAX

/** Longest name of a container, a device or an owner, including its terminating zero. */
#define DMAMAP_NAME_MAX 64

/** An inclusive range of IOVAs. */
struct dmamap_range {
	dmamap_iova_t start; /**< first IOVA */
	dmamap_iova_t last; /**< last IOVA, not below start */
};

/** Every IOVA: the `within` of a caller that accepts any. */
#ifdef __cplusplus
#define DMAMAP_ANYWHERE (dmamap_range{0, UINT64_MAX})
#else
#define DMAMAP_ANYWHERE ((struct dmamap_range){0, UINT64_MAX})
#endif

/** Severity of a log line, with the numbers of syslog(3). */
enum dmamap_log_level {
	DMAMAP_LOG_ERR = 3,
	DMAMAP_LOG_WARNING = 4,
	DMAMAP_LOG_NOTICE = 5,
	DMAMAP_LOG_INFO = 6,
	DMAMAP_LOG_DEBUG = 7,
};

/**
 * Receives log lines. Called by the thread that logs, by several threads at once, and without a
 * bookkeeping lock. It may wait, which delays the operation that logs. It must not call this
 * library.
 * @param arg   as passed to dmamap_log_set().
 * @param line  one line without a newline, valid during the call.
 */
typedef void (*dmamap_log_fn)(void *arg, enum dmamap_log_level level, const char *line);

/**
 * Set the destination of the log. Lines of all levels and all containers of the process go to the
 * function and nowhere else. Without a function, lines go to the EAL's log (type `lib.dmamap`). In
 * a build without the EAL, errors and warnings then go to standard error.
 *
 * Any thread, at any time. Waits for calls of the previous function to return, so that function is
 * not running after the return.
 *
 * @param fn  NULL: no function.
 * @return 0; -EDEADLK: called from within such a function.
 */
int dmamap_log_set(dmamap_log_fn fn, void *arg);

/**
 * Callbacks for threads that use translations without a lock. An unmap starts a grace period and
 * waits until it is over: each reader has passed a state in which it holds no translation. All
 * zeroes: no readers.
 *
 * Any thread that maps or unmaps calls both functions, also several threads at once and under locks
 * of the library. So they must neither wait nor call the library.
 */
struct dmamap_readers {
	/** Start a grace period. @return a token that identifies it */
	uint64_t (*start)(void *arg);
	/** Whether a grace period is over. Polled until it is. */
	bool (*done)(void *arg, uint64_t token);
	void *arg; /**< passed to both; must outlive the container */
};

/** The kernel interface below a container. */
enum dmamap_backend {
	DMAMAP_BACKEND_AUTO, /**< iommufd, else type1; never noiommu */
	DMAMAP_BACKEND_TYPE1, /**< /dev/vfio/vfio, type1 v2 */
	DMAMAP_BACKEND_IOMMUFD, /**< /dev/iommu and VFIO character devices */
	DMAMAP_BACKEND_NOIOMMU, /**< no translation, no protection: physical addresses */
};

/** Whether groups share domains. */
enum dmamap_sharing {
	DMAMAP_SHARE, /**< as few domains as the kernel allows */
	DMAMAP_ISOLATE, /**< one domain for each group */
};

/** @name Flags of mappings and zones */
/**@{*/
#define DMAMAP_READ UINT32_C(0x01) /**< devices may read */
/**
 * Devices may write. With Linux's VT-d driver they can then read as well, whether READ is set or
 * not.
 */
#define DMAMAP_WRITE UINT32_C(0x02)
#define DMAMAP_FIXED UINT32_C(0x04) /**< map exactly at the IOVA passed in */
#define DMAMAP_LOW32 UINT32_C(0x08) /**< IOVAs below 4 GiB only */
/**
 * A further IOVA for memory that is mapped already. dmamap_iova2va() finds it; dmamap_va2iova()
 * continues to return the IOVA of the first mapping.
 */
#define DMAMAP_ALIAS UINT32_C(0x10)
/**
 * Zones: if hugepages are not available, allow transparent hugepages (madvise(2), MADV_HUGEPAGE),
 * locked.
 */
#define DMAMAP_ALLOW_TRANSPARENT UINT32_C(0x20)
/**
 * Zones: if neither hugepages nor transparent hugepages (if these are allowed) are available, allow
 * locked base pages.
 */
#define DMAMAP_ALLOW_BASE UINT32_C(0x40)
/** Readable and writable by devices. A zone without access flags gets both. */
#define DMAMAP_RW (DMAMAP_READ | DMAMAP_WRITE)
/**@}*/

/**
 * An optional number: a descriptor, or a group. All zeroes means "none", although 0 is a valid
 * descriptor and a valid group. So a structure that is zeroed, or shorter than the library's,
 * passes in nothing. A negative descriptor that is passed in, as open(2) returns it on failure, is
 * an error and not "none". The structure type prevents a plain int from being used by mistake.
 */
struct dmamap_given {
	int value; /**< the number */
	bool given; /**< false: none */
};

/** Pass a number in: `.group_fd = DMAMAP_GIVEN(fd)`. */
#ifdef __cplusplus
#define DMAMAP_GIVEN(n) (dmamap_given{(n), true})
#else
#define DMAMAP_GIVEN(n) ((struct dmamap_given){(n), true})
#endif

/** Configuration of a new container. All zeroes is a good default. */
struct dmamap_container_conf {
	const char *name; /**< unique in the process; NULL: "dmamap<number>" */
	enum dmamap_backend backend; /**< AUTO: see enum dmamap_backend */
	enum dmamap_sharing sharing; /**< whether groups share domains */
	/**
	 * RCU variable of the readers of translations. An unmap waits for them before it changes
	 * the IOMMU. Optional: without readers, the caller of dmamap_unmap() and dmamap_zone_free()
	 * ensures that no thread still uses the address. Owned by the caller; must outlive the
	 * container. For DPDK programs; others use `readers`. Build without the EAL: -ENOTSUP.
	 */
	struct rte_rcu_qsbr *rcu;
	/**
	 * The system calls for VFIO, iommufd and sysfs (dmamap_kernel.h); NULL: Linux's own. Must
	 * outlive the container.
	 */
	const struct dmamap_kernel *kernel;

	/**
	 * @name Files that are opened by another process or program
	 * For a process that may not open /dev/vfio/vfio or /dev/iommu itself. The library
	 * duplicates each descriptor before the call returns and never closes the caller's. With
	 * AUTO, the files that are passed in determine the backend. Devices are then passed in as
	 * files too: dmamap_container_attach_fds().
	 */
	/**@{*/
	/**
	 * An open /dev/vfio/vfio, for type1 and noiommu. It becomes the first domain. The library
	 * then opens no such file itself, so a device that needs a further domain needs
	 * open_container.
	 */
	struct dmamap_given container_fd;
	/**
	 * An open /dev/iommu, for iommufd. One file serves all domains, and may serve several
	 * containers.
	 */
	struct dmamap_given iommu_fd;
	/**
	 * Get one more open /dev/vfio/vfio, for one more domain. NULL: no further file is
	 * available; or, without container_fd, the library opens them itself. Called by threads
	 * that attach, one at a time, while they block maps of this container. It may block but
	 * must not call the library. It must remain callable as long as the container exists.
	 * @return the descriptor, which the library closes; or a negative errno.
	 */
	int (*open_container)(void *arg);
	void *open_arg; /**< passed to open_container */
	/**@}*/
	struct dmamap_readers readers; /**< `rcu` for any kind of readers; do not set both */
	/**
	 * Apply only the rules of the kernel's VFIO, for FIXED maps and for the ranges of
	 * dmamap_container_info():
	 * - Every IOVA that all domains translate is usable, page 0 included. Without FIXED, no
	 *   mapping or reservation begins at IOVA 0, unless `within` requires it.
	 * - The kernel enforces RLIMIT_MEMLOCK. The log explains its refusal.
	 *
	 * Ranges that sysfs reports as reserved for a group are excluded at once. The kernel's own
	 * ranges may exclude them later: iommufd does so only while a device of the group is open.
	 */
	bool as_linux;
};

/** dmamap_container_create() with the size of the caller's structure. */
int dmamap_container_create_sized(
	const struct dmamap_container_conf *conf, size_t size, struct dmamap_container **c);

/**
 * Create a container without devices. Mappings may be added at once; they are replayed when a
 * device is attached. Until then IOVAs stay below 2^39 and avoid only the reserved ranges that this
 * host reports for any group.
 *
 * Containers are reference-counted. The caller gets the first reference.
 *
 * The kernel's VFIO is first used when a device is attached. So a container without devices also
 * works on a machine without VFIO.
 *
 * @return
 *   - 0: *c is the container, to be released with dmamap_container_destroy() or
 *     dmamap_container_put().
 *   - -EINVAL: a value in conf is invalid.
 *   - -ENOTSUP: conf.rcu is set, and the library was built without the EAL.
 *   - -EEXIST: the name is in use.
 *   - -ENOMEM.
 */
static inline int
dmamap_container_create(const struct dmamap_container_conf *conf, struct dmamap_container **c)
{
	return dmamap_container_create_sized(conf, sizeof(*conf), c);
}

/**
 * Undo all mappings and reservations, free all zones, and drop one reference. Pointers to the
 * container's zones and registrations become invalid. Waits for zones that other threads are
 * creating and for unmaps in progress, and so for readers of translations too. Holders of other
 * references may still query the container; calls that would add to it fail with -ESHUTDOWN.
 * Look-ups by name no longer find it.
 *
 * @return 0, or -EBUSY while a device or client is attached, or a pool (dmamap_pool_create())
 * exists.
 */
int dmamap_container_destroy(struct dmamap_container *c);

/** Get one more reference. Any thread that holds one. @return c; NULL for NULL. */
struct dmamap_container *dmamap_container_get(struct dmamap_container *c);
/**
 * Drop a reference. The last one destroys the container as dmamap_container_destroy() does. Devices
 * and clients hold a reference each, so none is attached then. NULL is allowed.
 */
void dmamap_container_put(struct dmamap_container *c);

/** The container's name; valid as long as the caller holds a reference. */
const char *dmamap_container_name(const struct dmamap_container *c);

/**
 * Find a container of this process by name, or by a device or client that is attached to it. Any
 * thread; does not wait.
 * @return the container, with a reference that the caller drops with dmamap_container_put(); NULL:
 * not found.
 */
struct dmamap_container *dmamap_container_by_name(const char *name);
/** @see dmamap_container_by_name() */
struct dmamap_container *dmamap_container_by_device(const char *dev);

/**
 * Attach a device. Its group joins a domain of the container, or a new one into which all mappings
 * are replayed in order. On failure the container, its mappings and the kernel are as before.
 *
 * @param dev
 *   A PCI address ("0000:01:00.0"), for a VF that needs a token followed by " vf_token=UUID"; or
 *   the name of a device of another bus as sysfs has it (platform, mdev).
 * @param d
 *   Out: the attached device, to be released with dmamap_container_detach().
 * @return
 *   - 0
 *   - -ENOENT: this kernel or machine lacks the backend.
 *   - -ENODEV: no such device, or it has no IOMMU.
 *   - -EPERM: the group is not viable (a host driver holds another member), or the platform does
 *     not isolate its interrupts, or access to its file is denied.
 *   - -EBUSY: the device is not bound to a VFIO driver, or another process or container uses its
 *     group.
 *   - -EADDRINUSE: a live mapping or a reservation lies in a range that is reserved for this
 * device, or beyond what its IOMMU can translate. The log names the mapping, the range and its
 * owner, one line for each of the first DMAMAP_CONFLICTS_LOGGED conflicts.
 *     dmamap_container_conflicts() lists all.
 *   - -EALREADY: the device is already attached to this container.
 *   - the error of the replay.
 */
int dmamap_container_attach(struct dmamap_container *c, const char *dev, struct dmamap_device **d);

/**
 * A device whose files are already open. Needed: a name, or descriptors that identify the device;
 * and at least one file.
 */
struct dmamap_attach_conf {
	/**
	 * As for dmamap_container_attach(). NULL: read from the fdinfo of device_fd or cdev_fd
	 * (Linux 6.18). If both are known, they must agree. The kernel checks that a group has a
	 * device of this name. For a cdev_fd before Linux 6.18 the name is not checked.
	 */
	const char *name;
	/**
	 * The group's file, /dev/vfio/N, not yet in a VFIO container. It may be opened by any name:
	 * the library opens no group by number. Devices of one group share it, so it need not be
	 * passed in for the second.
	 */
	struct dmamap_given group_fd;
	/**
	 * The device's own file, as VFIO_GROUP_GET_DEVICE_FD returned it. Its group must already be
	 * in this container's conf.container_fd, and that file must have its IOMMU type. Both
	 * remain so after a detach. group_fd is not needed.
	 */
	struct dmamap_given device_fd;
	/**
	 * For iommufd: the character device, /dev/vfio/devices/vfioN, not bound to any iommufd. It
	 * can be bound once only.
	 */
	struct dmamap_given cdev_fd;
	/**
	 * The group's number. Needed only where sysfs does not show it (a pod without /sys). Any
	 * number will do that all devices of the group share and no other group uses.
	 */
	struct dmamap_given group;
	/**
	 * Attach the group of group_fd, but no device. No device file is opened, or closed at
	 * detach, and dmamap_device_fd() is -1. For a caller that opens devices of the group
	 * itself, with VFIO_GROUP_GET_DEVICE_FD on its own group_fd, after the attach.
	 *
	 * Requires group_fd; device_fd and cdev_fd must not be set. `name` is the name of any
	 * device of the group, or NULL for "group-N" with N from `group`. The library reads the
	 * reserved ranges of that group from sysfs. One attach serves the whole group. After the
	 * caller has opened or closed a device, dmamap_container_refresh() reports what changed.
	 * The caller must close all devices of the group before detach, move or destroy.
	 */
	bool group_only;
};

/** dmamap_container_attach_fds() with the size of the caller's structure. */
int dmamap_container_attach_fds_sized(struct dmamap_container *c,
	const struct dmamap_attach_conf *conf, size_t size, struct dmamap_device **d);

/**
 * Attach a device by open files, as dmamap_container_attach() does by name.
 *
 * The library duplicates the descriptors (closed on exec), keeps the duplicates until the device is
 * detached, and never closes the caller's. Close yours after the call. Otherwise a device or group
 * stays in use after its detach. A group is free, and a character device unbound, only when all
 * descriptors are closed.
 *
 * The group, reserved ranges and NUMA node come from sysfs. Without sysfs, reserved ranges are
 * those that the kernel's IOVA ranges exclude, with unknown type and owner. The node is -1 then,
 * and a line is logged.
 *
 * @return
 *   - those of dmamap_container_attach(), and
 *   - -EBADF: a descriptor is passed in that is not open.
 *   - -ENODEV: also: a descriptor is of another kind of file.
 *   - -EINVAL: no name is passed in and no fdinfo has it; name or group contradicts the kernel; a
 *     file that the backend needs is missing; no group number is known.
 *   - -EACCES: a further domain is needed, and conf.open_container is NULL.
 *   - -EBUSY: also: the group is in a VFIO container, or the character device is or was bound.
 *
 * With group_only:
 *   - -EALREADY: the group is already attached to this container.
 *   - -ENOTSUP: iommufd, and conf.sharing is DMAMAP_ISOLATE: all groups of an iommufd share one
 *     domain.
 *   - -EINVAL: also: no group_fd, or files that cannot be combined with it; the group is in another
 *     VFIO container (-EBUSY with iommufd); iommufd with devices attached by character device
 *     (nor can such a device be attached beside groups).
 */
static inline int
dmamap_container_attach_fds(
	struct dmamap_container *c, const struct dmamap_attach_conf *conf, struct dmamap_device **d)
{
	return dmamap_container_attach_fds_sized(c, conf, sizeof(*conf), d);
}

/**
 * Detach a device. Mappings stay in the container, and in the domains of its other devices. The
 * device must not do DMA any more: its bus has reset it.
 *
 * If the caller of group_only has left a device of the group open, the group stays in the kernel's
 * container. That is emptied if it was the last group there, and a line is logged.
 *
 * @return 0, or -EBUSY while the device is marked as running (dmamap_device_hold()).
 */
int dmamap_container_detach(struct dmamap_device *d);

/**
 * Mark a device as running, so that it cannot be detached; dmamap_device_release() undoes it. A
 * driver holds its device from start to stop. Counted; any thread.
 */
void dmamap_device_hold(struct dmamap_device *d);
/** @see dmamap_device_hold() */
void dmamap_device_release(struct dmamap_device *d);

/** The VFIO device's file descriptor, owned by the library; valid in the container's kernel. */
int dmamap_device_fd(const struct dmamap_device *d);
/**
 * ioctl(2) on the device's file, through the container's kernel: regions, interrupts, reset
 * (<linux/vfio.h>, VFIO_DEVICE_*). A driver that calls this, instead of ioctl(2) on
 * dmamap_device_fd(), also runs on a mock kernel. Errors of the kernel are not logged.
 *
 * Any thread. Waits for an attach, detach, move or merge of the device's container that is in
 * progress. These in turn wait for the call, so the file stays open throughout. Maps and unmaps run
 * concurrently. May take as long as the kernel does.
 *
 * @param arg  address of the request's structure, or another argument of the request; NULL: none.
 * @return
 *   - 0 or positive: the result of the kernel.
 *   - -ENODEV: the device is in no container, since dmamap_device_move() has lost it.
 *   - -ECHILD: this process was forked from the one that created the container.
 *   - -EINVAL: no device.
 *   - the kernel's error; -ENOTTY: the file does not support the request.
 */
int dmamap_device_ioctl(const struct dmamap_device *d, unsigned long request, void *arg);

/** @name Flags of dmamap_device_hot_reset() */
/**@{*/
/** Reset other devices of the container too. Whoever drives them sets their registers up again. */
#define DMAMAP_HOT_RESET_OTHERS (UINT32_C(1) << 0)
/** Log nothing: the caller continues without the reset. */
#define DMAMAP_HOT_RESET_TRY (UINT32_C(1) << 1)
/**@}*/

/**
 * Reset the whole slot or bus that a PCI device is on (VFIO_DEVICE_PCI_HOT_RESET), for a device
 * that has no reset of its own. Registers are as after power-on. The kernel restores the
 * configuration space of all devices there, so memory decoding, bus mastering and interrupts are as
 * before.
 *
 * Each affected device must be attached to this container, or belong to a group of it; and all must
 * be bound to vfio-pci. The kernel checks it, too (drivers/vfio/pci/vfio_pci_core.c).
 *
 * Any thread. Holds the container's topology as an attach does: maps, unmaps, attaches and starts
 * of devices wait meanwhile. Takes as long as the bus needs, often more than a second.
 *
 * @param flags  DMAMAP_HOT_RESET_*, or 0.
 * @return
 *   - 0
 *   - -EOPNOTSUPP, unlogged: nothing can reset it, as on the root bus; or it is no PCI device.
 *   - -EBUSY: another affected device is running (dmamap_device_hold()), or is attached and
 *     DMAMAP_HOT_RESET_OTHERS is not set. Nothing was reset.
 *   - -EPERM: an affected device is not in this container, is not bound to vfio-pci, or the file of
 *     its group was not passed in. The log names it. Nothing was reset.
 *   - -EINVAL: no device; unknown flags; it was attached with group_only.
 *   - -ENODEV, -ECHILD: as dmamap_device_ioctl().
 *   - -EAGAIN, and -EBUSY too: a device was being accessed, try again. Nothing was reset.
 *   - -ENOTTY: the bus was reset, but its link or a device did not come back in time.
 *   - -ENOMEM, or another error of the kernel.
 */
int dmamap_device_hot_reset(struct dmamap_device *d, uint32_t flags);
/** The device's NUMA node, or -1 where the platform does not report it. */
int dmamap_device_node(const struct dmamap_device *d);
/** The number of the device's IOMMU group. */
int dmamap_device_group(const struct dmamap_device *d);
/** The name by which it was attached; valid as long as the device. */
const char *dmamap_device_name(const struct dmamap_device *d);
/**
 * The container that the device is attached to now, with a reference for the caller; NULL: none.
 */
struct dmamap_container *dmamap_device_container(const struct dmamap_device *d);

/**
 * Set the device's DMA mask: it can address all IOVAs below 2^bits. Until the device is detached,
 * the container allocates no IOVA beyond; FIXED mappings are not checked. Existing mappings stay. A
 * line is logged if some are out of the device's reach.
 *
 * @param bits  from 12 to 64.
 * @return 0, or -EINVAL.
 */
int dmamap_device_dma_mask(struct dmamap_device *d, unsigned int bits);

/**
 * Merge two containers into one address space. All devices, mappings, zones and reservations of
 * `from` move to `into` and keep their IOVAs, and each device reaches all mappings of both. Domains
 * are kept, and get the mappings of the other container. `from` is left empty; its owner still
 * holds it.
 *
 * @return
 *   - 0
 *   - -EINVAL: the same container twice, or backends of different kinds.
 *   - -EADDRINUSE: a mapping or reservation of one container overlaps one of the other, or lies in
 * a range that the other's devices cannot reach. The log names both, and
 *     dmamap_container_conflicts(into) lists all.
 *   - -EBUSY: a client is attached to `from`.
 *   - -EEXIST: the same memory is mapped in both, at different IOVAs.
 *   - -ENOSPC, -ENOMEM, and the errors of the maps: as with dmamap_map().
 */
int dmamap_container_merge(struct dmamap_container *into, struct dmamap_container *from);

/**
 * Move a device to another container. No other device of its group may be attached. Afterwards it
 * reaches exactly the new container's address space.
 *
 * The device's file is closed and reopened. So dmamap_device_fd() changes, and mappings of the old
 * file (BARs, interrupts) become invalid. Files that were passed in are used again. A cdev_fd can
 * move only to a container with the same backend instance.
 *
 * A device of a group_only attach keeps -1 as its descriptor. Its owner must close the group's
 * devices first: type1 fails with -EBUSY otherwise, and iommufd leaves them where they were.
 *
 * @return
 *   - 0
 *   - -EBUSY: the device is running (dmamap_device_hold()), or another device of its group is
 *     attached.
 *   - -EINVAL: it is in that container already.
 *   - the errors of dmamap_container_attach(); the device is back in its old container then.
 *   - -ENODEV: it could not be put back either. It is in no container; the only call allowed on it
 *     is dmamap_container_detach(), which frees it.
 */
int dmamap_device_move(struct dmamap_device *d, struct dmamap_container *to);

/**
 * Find the domain that serves a device.
 * @param dev  name of an attached device, as it was attached.
 * @return the number of the domain, as messages name it; -ENODEV: not attached here.
 */
int dmamap_domain_by_device(const struct dmamap_container *c, const char *dev);

/**
 * Find the domain that serves a device by its requester ID on the bus.
 * @param segment       PCI segment (in Linux: domain); those of VMD controllers have more than 16
 *                      bits.
 * @param requester_id  bus << 8 | device << 3 | function (PCI Express Base 5.0, 2.2.6.2).
 * @return as dmamap_domain_by_device().
 */
int dmamap_domain_by_rid(const struct dmamap_container *c, uint32_t segment, uint16_t requester_id);

/** State of a container, as of the call. */
struct dmamap_container_info {
	enum dmamap_backend backend; /**< kernel interface below it */
	unsigned int n_domains; /**< domains */
	unsigned int n_groups; /**< groups */
	unsigned int n_devices; /**< devices */
	uint64_t page_sizes; /**< bitmap: page sizes that every domain can map */
	uint64_t n_mappings; /**< live mappings */
	uint64_t mapped_len; /**< bytes in live mappings */
	uint64_t reservation_len; /**< bytes of IOVA that are reserved without a mapping */
	uint64_t quarantined_len; /**< bytes of IOVA in quarantine: withdrawn after a failed undo */
	uint64_t entries_left; /**< map entries that the tightest domain has left; UINT64_MAX: no
				  known limit */
	uint64_t map_calls; /**< map calls to the backend so far, over all domains */
	uint64_t unmap_calls; /**< the same for unmap calls */
	bool coherent; /**< every domain enforces cache coherency */
	unsigned int n_ranges; /**< number of usable ranges; may be more than `ranges` can hold */
	struct dmamap_range ranges[32]; /**< usable ranges, ascending, without reserved ones */
	uint64_t faults; /**< accesses of its devices that an IOMMU blocked, as far as somebody
			    listens (dmamap_fault_listen()) */
};

/**
 * Read the state of each domain from the kernel again: ranges, page sizes, coherency, entries. For
 * callers that open or close devices of a group themselves (group_only). With iommufd, an open
 * device can narrow what its domain translates, and closing the last one widens it. Attach and
 * detach do this for their own devices.
 *
 * Mappings and reservations that are now out of range stay. A line is logged for each of the first
 * DMAMAP_CONFLICTS_LOGGED of them, and dmamap_container_conflicts() lists all. Their IOVAs are not
 * usable again once they are released.
 *
 * Any thread. Like an attach, it waits for maps and unmaps in progress and blocks new ones. Cost: a
 * few kernel calls for each domain, and a walk of all mappings and reservations.
 *
 * @return
 *   - 0; also without devices, when there is nothing to read.
 *   - -EINVAL: no container; the domains have no common page size.
 *   - -ENOMEM; the kernel's error: nothing changed.
 */
int dmamap_container_refresh(struct dmamap_container *c);

/** dmamap_container_info() with the size of the caller's structure. */
int dmamap_container_info_sized(
	const struct dmamap_container *c, struct dmamap_container_info *info, size_t size);

/**
 * Describe a container. Any thread, also an online reader of translations; does not wait.
 * @return 0, or -EINVAL.
 */
static inline int
dmamap_container_info(const struct dmamap_container *c, struct dmamap_container_info *info)
{
	return dmamap_container_info_sized(c, info, sizeof(*info));
}

/**
 * Map memory into all domains of a container, or into none.
 *
 * The kernel pins the pages as long as the mapping exists. The caller keeps the memory, and must
 * not unmap it from the process, nor replace its pages, before dmamap_unmap(): see @ref
 * dmamap_memory.
 *
 * @param va     start of the memory, a multiple of the system's page size.
 * @param len    bytes, a multiple of the smallest page size of all domains, not 0.
 * @param flags  at least one of DMAMAP_READ and DMAMAP_WRITE; also FIXED, LOW32, ALIAS.
 * @param iova   in: the wanted IOVA with DMAMAP_FIXED. Out: the IOVA of the mapping.
 * @return
 *   - 0
 *   - -EINVAL: a null pointer, invalid length or flags, or an address or length that is no multiple
 *     of the page size.
 *   - -EEXIST: FIXED, and it overlaps a live mapping or a reservation; or the memory is already
 *     mapped in part or whole (see DMAMAP_ALIAS).
 *   - -EADDRINUSE: FIXED, and it overlaps a reserved range; the log names the range and its owner.
 *   - -ERANGE: FIXED, and beyond the aperture.
 *   - -ENOSPC: no IOVA is free, or a domain has no entry left.
 *   - -ENOMEM: RLIMIT_MEMLOCK would be exceeded (the log says how much is needed), or out of
 * memory.
 *   - -EFAULT: the memory cannot be pinned.
 */
int dmamap_map(
	struct dmamap_container *c, void *va, size_t len, uint32_t flags, dmamap_iova_t *iova);

/**
 * Check limits before memory is allocated that is to be mapped. Every domain must have entries for
 * n more mappings, and RLIMIT_MEMLOCK must allow len more bytes. The map itself may still fail.
 *
 * @param len  bytes.
 * @return 0; -EINVAL: no container; -ENOSPC: too few entries; -ENOMEM: RLIMIT_MEMLOCK would be
 * exceeded.
 */
int dmamap_map_check(struct dmamap_container *c, size_t len, unsigned int n);

/**
 * Unmap from all domains. `[iova, iova + len - 1]` must consist of whole mappings of dmamap_map(),
 * without holes.
 *
 * @return
 *   - 0
 *   - -EINVAL: the range does not begin and end with a mapping, or is part of a zone or of a
 *     registration.
 *   - -EBUSY: memory in it is registered and in use (dmamap_register()).
 *   - -ENOENT: nothing is mapped there, or there is a hole.
 *   - -EIO: a domain unmapped another size than requested; the range goes into quarantine.
 */
int dmamap_unmap(struct dmamap_container *c, dmamap_iova_t iova, size_t len);

/**
 * Reserve IOVAs without a mapping. dmamap_map() with DMAMAP_FIXED may use them afterwards.
 *
 * @param len     bytes, a multiple of 4096, not 0.
 * @param align   bytes, a power of two; 0: 4096.
 * @param within  the range to allocate from.
 * @param iova    out: first IOVA of the reservation.
 * @return 0, -EINVAL, or -ENOSPC.
 */
int dmamap_iova_reserve(struct dmamap_container *c, size_t len, size_t align,
	struct dmamap_range within, dmamap_iova_t *iova);

/**
 * Release exactly what dmamap_iova_reserve() reserved.
 * @return 0; -ENOENT: no reservation; -EINVAL: the reservation has another length; -EBUSY:
 * something is mapped in it.
 */
int dmamap_iova_release(struct dmamap_container *c, dmamap_iova_t iova, size_t len);

/** An entry of a scatter list, for dmamap_map_sg(). */
struct dmamap_sge {
	void *va; /**< a multiple of the system's page size */
	size_t len; /**< bytes, a multiple of the smallest page size of all domains */
};

/**
 * Map scattered memory into one contiguous IOVA range, in the order of the list. Entries that are
 * also adjacent in memory become one mapping. One dmamap_unmap() over the whole range undoes it.
 *
 * @param sge     n of them, n not 0.
 * @param flags   as for dmamap_map(); without DMAMAP_FIXED the library chooses the range.
 * @param iova    in: the wanted IOVA with DMAMAP_FIXED; out: the IOVA of the first entry.
 * @return as dmamap_map().
 */
int dmamap_map_sg(struct dmamap_container *c, const struct dmamap_sge *sge, unsigned int n,
	uint32_t flags, dmamap_iova_t *iova);

/** @name Registration of application buffers
 * Makes memory of the application reachable for as long as it is used. Repeated registrations of
 * the same memory can be served from a cache, if the application arms it
 * (dmamap_registration_cache()).
 */
/**@{*/
struct dmamap_registration;

/**
 * Make a buffer reachable by the container's devices, as one contiguous IOVA range.
 *
 * Hit: the buffer lies in memory that is already mapped, with at least these permissions and in
 * reach of all devices. A hit takes no lock and makes no system call, unless the cache is watched.
 *
 * Miss: the pages that hold the buffer are mapped. If they overlap idle registrations of similar
 * size, one mapping with the permissions of all replaces these. If they overlap memory in use, they
 * are mapped once more at another IOVA (as with DMAMAP_ALIAS).
 *
 * Any thread. A hit does not wait. A miss waits while another thread maps the same memory. With the
 * cache armed, a miss also waits for readers of translations if it must evict idle registrations.
 *
 * @param va     any address; neighbours in the same pages become reachable too.
 * @param len    bytes, not 0.
 * @param flags  DMAMAP_READ, DMAMAP_WRITE, DMAMAP_LOW32.
 * @param iova   out: IOVA of va.
 * @param reg    out: a handle, to be released with dmamap_deregister(). Each call returns a handle
 *               of its own.
 * @return 0, or as dmamap_map(); -EBUSY: other threads kept mapping and unmapping the same memory.
 */
int dmamap_register(struct dmamap_container *c, void *va, size_t len, uint32_t flags,
	dmamap_iova_t *iova, struct dmamap_registration **reg);

/**
 * Release a registration. When the last user of a mapping releases it, the mapping is unmapped,
 * which waits for readers of translations. With the cache armed it stays mapped, idle, and mappings
 * that have been unused for longer may be unmapped instead. Any thread, except an online reader.
 *
 * @return
 *   - 0; NULL is allowed.
 *   - -EINVAL: not a registration, or released before; nothing changed.
 *   - the error of the unmap, as of dmamap_unmap(); the registration is released all the same.
 */
int dmamap_deregister(struct dmamap_registration *reg);

/** How idle registrations are kept from outliving their memory. */
enum dmamap_cache_mode {
	DMAMAP_CACHE_OFF, /**< no cache: unused registrations are unmapped */
	DMAMAP_CACHE_WATCHED, /**< the library watches registered memory, with userfaultfd(2) */
	DMAMAP_CACHE_PROMISED, /**< the application calls dmamap_invalidate() before it releases
				  memory */
};

/**
 * Keep unused registrations mapped (idle), for the next registration of the same memory. Off unless
 * armed: through a stale mapping a device reaches pages that the process no longer has.
 *
 * PROMISED: the application calls dmamap_invalidate() before it unmaps, remaps or discards memory
 * that it has registered. Memory of malloc(3) cannot be promised, as free(3) may do so at any time,
 * unseen. Streams (dmamap_stream_map()) do not use such a cache, as the owner of their buffers
 * has promised nothing.
 *
 * WATCHED: a registration is invalid before the application's munmap(2), mremap(2) or madvise(2)
 * returns. Memory that cannot be watched (mapped files) is not cached.
 *
 * Idle registrations never make another operation fail. They are evicted when a map, zone, attach,
 * merge or DMA mask needs their entries, IOVAs, lockable memory or range. The order is
 * approximately LRU (second chance). Waits for readers of translations.
 *
 * @param limit  bytes that may be idle; ignored with OFF.
 * @return 0; -EINVAL; -ENOTSUP: this kernel cannot watch memory; -EPERM: it does not allow this
 * process to; -ESHUTDOWN: the container is being destroyed.
 */
int dmamap_registration_cache(
	struct dmamap_container *c, enum dmamap_cache_mode mode, uint64_t limit);

/**
 * Announce that memory is about to be unmapped: unmap the idle registrations that overlap it. Costs
 * the unmaps, and a look-up for each mapping in the range. Any thread, except an online reader:
 * waits for readers of translations.
 * @param len  bytes, not 0.
 * @return 0; -EBUSY: some of it is registered and in use, and nothing was unmapped; the errors of
 * dmamap_unmap().
 */
int dmamap_invalidate(struct dmamap_container *c, const void *va, size_t len);
/**@}*/

/** @name The DMA API of a device
 * For drivers that get buffers from anywhere.
 */
/**@{*/
/** What a device can reach, as of the call. */
struct dmamap_device_info {
	unsigned int domain; /**< number of its domain */
	int group; /**< its group */
	int node; /**< its NUMA node, or -1 */
	unsigned int mask_bits; /**< see dmamap_device_dma_mask() */
	uint64_t page_sizes; /**< bitmap, of its domain */
	bool coherent; /**< its domain enforces cache coherency */
	bool identity; /**< no IOMMU: an IOVA is a physical address, and all memory is reachable */
	struct dmamap_range aperture; /**< lowest and highest IOVA that its domain translates */
};

/** dmamap_device_info() with the size of the caller's structure. */
int dmamap_device_info_sized(
	const struct dmamap_device *d, struct dmamap_device_info *info, size_t size);

/** Describe what a device can reach. Any thread; does not wait. @return 0, or -EINVAL. */
static inline int
dmamap_device_info(const struct dmamap_device *d, struct dmamap_device_info *info)
{
	return dmamap_device_info_sized(d, info, sizeof(*info));
}

/** The direction of a streaming mapping. */
enum dmamap_direction {
	DMAMAP_TO_DEVICE, /**< the device reads */
	DMAMAP_FROM_DEVICE, /**< the device writes */
	DMAMAP_BIDIRECTIONAL,
};

/**
 * A streaming mapping of a buffer. Owned by the caller of dmamap_stream_map(), which reads iova
 * only.
 */
struct dmamap_stream {
	dmamap_iova_t iova; /**< the address for the descriptor */
	struct dmamap_device *dev; /**< the device */
	void *va; /**< the buffer */
	size_t len; /**< bytes */
	enum dmamap_direction dir; /**< who writes and who reads */
	struct dmamap_registration *reg; /**< registration of the buffer, or NULL */
	void *bounce; /**< the bounce buffer that the device works on, or NULL */
	struct dmamap_pool *pool; /**< the pool of `bounce`; NULL: `zone` was made for it */
	struct dmamap_zone *zone; /**< zone of this bounce buffer alone, or NULL */
};

/**
 * Map a buffer for DMA by one device. The buffer is registered (dmamap_register()). If the device
 * cannot reach its IOVA, the device gets a bounce buffer within reach. The bytes are copied at map,
 * sync and unmap. Bounce buffers come from pools of the container: see dmamap_bounce_reserve().
 * Each is aligned to its length, rounded up to a power of two.
 *
 * Any thread. May sleep; waits as dmamap_register() does.
 *
 * @param len  bytes, not 0.
 * @param s    out: the mapping, to be released with dmamap_stream_unmap().
 * @return 0; -EINVAL; -ENODEV: the device is in no container; as dmamap_register() and
 * dmamap_zone_alloc().
 */
int dmamap_stream_map(struct dmamap_device *d, void *va, size_t len, enum dmamap_direction dir,
	struct dmamap_stream *s);
/** Make what the device has written so far visible to the CPU. The device must be idle on it. */
void dmamap_stream_sync_for_cpu(const struct dmamap_stream *s);
/** Make what the CPU has written since visible to the device. */
void dmamap_stream_sync_for_device(const struct dmamap_stream *s);
/**
 * Unmap the buffer; the device must be done with it. Waits for readers of translations where
 * dmamap_deregister() or dmamap_zone_free() does. @return 0, or the error of these.
 */
int dmamap_stream_unmap(struct dmamap_stream *s);

/**
 * Allocate bounce buffers in advance, so that none of them needs a system call when it is used.
 *
 * Without this call, a pool of bounce buffers is created at the first bounce. There is one pool for
 * each power of two of bytes from 256 on, each direction, and each DMA mask that the container has
 * had. A pool that was not reserved grows to 16 MiB at most. A pool keeps its memory until the
 * container is destroyed. A bounce buffer that fits no pool is allocated for each use
 * (dmamap_zone_alloc()).
 *
 * Without an IOMMU, bounce buffers lie in hugepages at their physical addresses. If these are
 * beyond a device's mask, the call fails.
 *
 * Any thread; may sleep, as dmamap_zone_alloc() does. Call it after all masks are set
 * (dmamap_device_dma_mask()).
 *
 * @param dir  of the streams that will use them.
 * @param len  minimum bytes of each, not 0, at most 1 GiB.
 * @param n    how many, in use or not; not 0.
 * @return 0; -EINVAL; as dmamap_zone_alloc(); -ENOSPC: no memory is available within the devices'
 * reach.
 *
 * @warning @b EXPERIMENTAL: may change or be removed without prior notice.
 */
int dmamap_bounce_reserve(
	struct dmamap_container *c, enum dmamap_direction dir, size_t len, unsigned int n);

/** One entry of a descriptor: bytes that are contiguous for the device. */
struct dmamap_segment {
	dmamap_iova_t iova; /**< first IOVA */
	size_t len; /**< bytes, not 0 */
};

/**
 * Map a scatter list for DMA by one device, all of it or nothing.
 *
 * Entries that are adjacent in memory are registered as one. Only entries that the device cannot
 * reach are bounced. Entries with adjacent IOVAs become one segment, in the order of the list.
 *
 * Any thread; allocates nothing itself. Costs one registration for each run of entries, as
 * dmamap_stream_map().
 *
 * @param sge      n entries, n not 0; any address, any length but 0.
 * @param s        array of n streams, owned by the caller, to be passed unchanged to
 *                 dmamap_stream_unmap_sg().
 * @param seg      out: the segments; an array of max_seg.
 * @param max_seg  how many segments a descriptor can hold, not 0.
 * @return the number of segments; -E2BIG: more than max_seg; -EINVAL; as dmamap_stream_map().
 *
 * @warning @b EXPERIMENTAL: may change or be removed without prior notice.
 */
int dmamap_stream_map_sg(struct dmamap_device *d, const struct dmamap_sge *sge, unsigned int n,
	enum dmamap_direction dir, struct dmamap_stream *s, struct dmamap_segment *seg,
	unsigned int max_seg);
/** @see dmamap_stream_sync_for_cpu() @b EXPERIMENTAL */
void dmamap_stream_sync_sg_for_cpu(const struct dmamap_stream *s, unsigned int n);
/** @see dmamap_stream_sync_for_device() @b EXPERIMENTAL */
void dmamap_stream_sync_sg_for_device(const struct dmamap_stream *s, unsigned int n);
/**
 * Unmap all of the list, also after an error. @return 0, or the first error of
 * dmamap_stream_unmap(). @b EXPERIMENTAL
 */
int dmamap_stream_unmap_sg(struct dmamap_stream *s, unsigned int n);
/**@}*/

/** @name Software devices
 * A client is a device without hardware. It reads and writes memory at IOVAs with the permissions
 * of a device, and gets a callback before a mapping is removed.
 */
/**@{*/
struct dmamap_client;

/** Configuration of a new client. */
struct dmamap_client_conf {
	const char *name; /**< for messages, copied; NULL: "client" */
	/**
	 * Called before an unmap of `range` completes. The client must drop every address in the
	 * range that it has looked up before it returns. Called by any thread that unmaps, under no
	 * lock of the library. So it may wait for threads that are in dmamap_client_read() or any
	 * other call that does not unmap. May be NULL.
	 */
	void (*unmap)(void *arg, struct dmamap_range range);
	void *arg; /**< passed to unmap */
};

/**
 * Attach a client. @return 0: *client is to be released with dmamap_client_detach(); -EINVAL;
 * -ENOMEM; -ESHUTDOWN: the container is being destroyed.
 */
int dmamap_client_attach(struct dmamap_container *c, const struct dmamap_client_conf *conf,
	struct dmamap_client **client);
/** Detach a client. Waits for its callbacks in progress; none is called after the return. */
void dmamap_client_detach(struct dmamap_client *client);

/**
 * Read len bytes at an IOVA, across mappings if they are adjacent.
 * @return 0; -EINVAL; -EFAULT: some of it is not mapped, or not readable; nothing was copied then.
 */
int dmamap_client_read(struct dmamap_client *client, dmamap_iova_t iova, void *dst, size_t len);
/** Write len bytes at an IOVA. @see dmamap_client_read() */
int dmamap_client_write(
	struct dmamap_client *client, dmamap_iova_t iova, const void *src, size_t len);
/**@}*/

/** Why a range is reserved. */
enum dmamap_reserved_type {
	DMAMAP_RESERVED_PAGE0, /**< page 0: a null pointer must fault */
	DMAMAP_RESERVED_MSI, /**< interrupt window */
	DMAMAP_RESERVED_DIRECT, /**< identity-mapped for firmware (RMRR, unity map) */
	DMAMAP_RESERVED_RELAXABLE, /**< direct, but not needed once a driver owns the device */
	DMAMAP_RESERVED_BUS, /**< other: PCI windows, holes of the IOMMU */
	DMAMAP_RESERVED_APERTURE, /**< outside what a domain can translate */
};

/** A reserved range and its owner. */
struct dmamap_reserved {
	struct dmamap_range range; /**< the IOVAs */
	enum dmamap_reserved_type type; /**< why */
	char owner[DMAMAP_NAME_MAX]; /**< "group 3 (0000:01:00.0)", "domain 0", "gantry" */
};

/**
 * List reserved ranges, ascending by start; ranges of different owners may overlap.
 *
 * @param out  array of n entries; may be NULL if n is 0.
 * @return the number of ranges, which may be more than n; -EINVAL; -ENOMEM.
 */
int dmamap_reserved(const struct dmamap_container *c, struct dmamap_reserved *out, unsigned int n);

/** The kind of a conflict. */
enum dmamap_conflict_kind {
	DMAMAP_CONFLICT_RESERVED, /**< IOVAs that the new device's group reserves, or that an IOMMU
				     does not translate */
	DMAMAP_CONFLICT_PAGE_SIZE, /**< not a multiple of the page size of an IOMMU */
	DMAMAP_CONFLICT_QUARANTINED, /**< IOVAs in quarantine in the other container of a merge */
	DMAMAP_CONFLICT_IOVA, /**< IOVAs that both containers of a merge use */
	DMAMAP_CONFLICT_MEMORY, /**< memory that both containers of a merge map */
};

/** A mapping or reservation of a container, and what it conflicts with. */
struct dmamap_conflict {
	enum dmamap_conflict_kind kind; /**< what kind */
	struct dmamap_range range; /**< its IOVAs */
	void *va; /**< its memory; NULL: a reservation */
	char name[DMAMAP_NAME_MAX]; /**< "mapping", "zone rings", "registration" or "reservation" */
	char container[DMAMAP_NAME_MAX]; /**< the container that holds it */
	struct dmamap_range with; /**< the conflicting IOVAs; not used with PAGE_SIZE */
	enum dmamap_reserved_type type; /**< of RESERVED */
	uint64_t page_size; /**< of PAGE_SIZE: the IOMMU's smallest, in bytes */
	char owner[DMAMAP_NAME_MAX]; /**< RESERVED: as in struct dmamap_reserved; else the
					conflicting object, as in `name` */
};

/** Maximum number of conflicts that are logged, one line each. */
#define DMAMAP_CONFLICTS_LOGGED 16u

/**
 * List every conflict that made the last attach or move to this container, or the last merge into
 * it, fail. The list is empty after an operation that succeeded, or that failed for another reason.
 * An object that conflicts with several ranges is listed once for each.
 *
 * @param out  array of n entries; may be NULL if n is 0.
 * @return the number of conflicts, which may be more than n; -EINVAL; -ENOMEM: there was no memory
 * to record all.
 */
int dmamap_container_conflicts(
	const struct dmamap_container *c, struct dmamap_conflict *out, unsigned int n);

/**
 * @name Faults: accesses of a device that an IOMMU blocked
 *
 * The kernel tells the device and the address. These functions tell whose memory is or was there:
 * a container remembers its latest 4,096 unmaps. Experimental.
 */
/**@{*/
/** Longest reason of a fault, and longest text, with the terminating zero. */
#define DMAMAP_FAULT_REASON_MAX 96
#define DMAMAP_FAULT_TEXT_MAX 640 /**< @see DMAMAP_FAULT_REASON_MAX */

/** What is known of an address that a device could not reach. */
enum dmamap_fault_kind {
	DMAMAP_FAULT_UNKNOWN, /**< nothing was mapped there within the unmaps that are remembered */
	DMAMAP_FAULT_PAST, /**< it was mapped, and is not any more: a use after an unmap */
	DMAMAP_FAULT_DENIED, /**< it is mapped, but not for this access */
	DMAMAP_FAULT_LIVE, /**< it is mapped now, and was not yet when the device came */
	DMAMAP_FAULT_CHANGING, /**< a map or an unmap is in progress */
	DMAMAP_FAULT_QUARANTINED, /**< an unmap failed there before */
	DMAMAP_FAULT_RESERVED, /**< a reserved range or reservation, or no domain translates it */
	DMAMAP_FAULT_BESIDE, /**< in no mapping, but within 64 KiB of one: an overrun */
	DMAMAP_FAULT_DETACHED, /**< the device left the container within the last minute */
};

/** A fault. Strings end with a zero. */
struct dmamap_fault {
	enum dmamap_fault_kind kind; /**< what is known of the address */
	char device[DMAMAP_NAME_MAX]; /**< the device, as dmamap_device_name() */
	char container[DMAMAP_NAME_MAX]; /**< the container that it is, or was, attached to */
	struct dmamap_range iovas; /**< the address lies in here; VT-d tells the page only */
	uint32_t access; /**< DMAMAP_READ or DMAMAP_WRITE by the device; 0: the kernel does not tell
			  */
	char reason[DMAMAP_FAULT_REASON_MAX]; /**< the kernel's words; "": an explanation */
	char name[DMAMAP_NAME_MAX]; /**< "zone rings", "mapping", "registration", "reservation",
				       or the owner of a reserved range; UNKNOWN: "" */
	struct dmamap_range range; /**< the IOVAs of that object */
	uint64_t distance; /**< BESIDE: bytes from the object's nearest byte */
	uint64_t ago_ns; /**< PAST, DETACHED: since then; the clock's tick is some milliseconds */
	uint32_t thread; /**< PAST, DETACHED: the thread that did it, as gettid(2) */
	char thread_name[16]; /**< PAST, DETACHED: its name; "": not known any more */
	uint64_t count; /**< faults of the device since the last report, this one included */
	char detail[128]; /**< for the first listener that knows more: "rx queue 0, descriptor 12"
			   */
	char text[DMAMAP_FAULT_TEXT_MAX]; /**< all of it, as one line without a newline */
};

/** dmamap_fault_explain() with the size of the caller's structure. */
int dmamap_fault_explain_sized(const char *dev, struct dmamap_range iovas, uint32_t access,
	struct dmamap_fault *fault, size_t size);

/**
 * Tell what lives or lived at an address at which a device was blocked. For programs that learn of
 * faults by themselves. Counts nothing.
 *
 * Any thread that holds no lock of its own that a callback takes. Waits for an attach or detach in
 * progress. Cost: a walk of the container's reserved ranges and of 128 KiB of past unmaps.
 *
 * @param dev     name of an attached device.
 * @param iovas   the address, or the page if only that is known.
 * @param access  DMAMAP_READ, DMAMAP_WRITE or 0: not known.
 * @param fault   out.
 * @return 0; -EINVAL; -ENODEV: the device is not attached to a container of this process.
 */
static inline int
dmamap_fault_explain(
	const char *dev, struct dmamap_range iovas, uint32_t access, struct dmamap_fault *fault)
{
	return dmamap_fault_explain_sized(dev, iovas, access, fault, sizeof(*fault));
}

struct dmamap_fault_listener;

/** How to listen to faults. */
struct dmamap_fault_conf {
	/**
	 * Called for faults of devices of this process, from the library's thread, under no lock.
	 * The first `detail` that a listener writes is in the line. Must not stop a listener.
	 * NULL: the line and the counters suffice.
	 */
	void (*fault)(struct dmamap_fault *fault, void *arg);
	void *arg; /**< for the callback */
	/**
	 * Records of the kernel's log, as /dev/kmsg gives them, already open; one read(2) is one
	 * record. Kept by the caller, duplicated here. 0: open /dev/kmsg, from its end on. That of
	 * the first listener counts; others share it.
	 */
	int log_fd;
	/**
	 * Optional; of the first listener: takes each of the two descriptors that the watch opens,
	 * and returns the number to use instead, after it has closed this one, or this one. For
	 * programs that keep descriptors of libraries out of reach of others.
	 */
	int (*place)(int fd, void *arg);
};

/** dmamap_fault_listen() with the size of the caller's structure. */
int dmamap_fault_listen_sized(
	const struct dmamap_fault_conf *conf, size_t size, struct dmamap_fault_listener **listener);

/**
 * Start to watch the kernel's log for faults of devices that are attached to containers of this
 * process. Each gives one error line with what is known of the address, is counted, and is told to
 * the listeners in their order. In a storm there is one line and one call a device and second, with
 * the number of faults since the last; a storm ends with such a line.
 *
 * The first listener starts a thread, "dm-faults", which sleeps until the kernel logs something.
 * Linux itself limits such lines to 10 in 5 s; what it left out is in the telemetry
 * (/dmamap/faults).
 *
 * Any thread. Not in a forked child.
 * @return 0; -EINVAL; -ENOMEM; -EPERM, -EACCES: /dev/kmsg may not be read (CAP_SYSLOG, or
 *   kernel.dmesg_restrict=0); -ENOENT: there is none here; another error of open(2) or
 *   pthread_create(3). Not logged: nothing else suffers.
 */
static inline int
dmamap_fault_listen(const struct dmamap_fault_conf *conf, struct dmamap_fault_listener **listener)
{
	return dmamap_fault_listen_sized(conf, sizeof(*conf), listener);
}

/**
 * Stop listening. Waits for a callback in progress. The last listener ends the thread, and is told
 * before what a storm has left. Any thread
 * but the library's. NULL is allowed.
 */
void dmamap_fault_unlisten(struct dmamap_fault_listener *listener);

/** What the watch has seen since the process started. */
struct dmamap_fault_counts {
	uint64_t faults; /**< of devices of this process */
	uint64_t lines; /**< error lines for them */
	uint64_t suppressed; /**< lines that the kernel left out, of any device of the machine */
	uint64_t lost; /**< times that the kernel's log overran its reader */
};

/** Count the faults. Any thread; does not wait. */
void dmamap_fault_counts(struct dmamap_fault_counts *counts);

/**
 * Copy the latest faults that had a line, oldest first. Any thread; does not wait for callbacks.
 * @param out  at least n entries; may be NULL if n is 0.
 * @return the number of entries copied; at most 16 are kept.
 */
unsigned int dmamap_faults(struct dmamap_fault *out, unsigned int n);
/**@}*/

/**
 * Find the node of a VFIO file. The kernel's names of groups, devices' own files, the container and
 * iommufd need not be those of the nodes in a pod: a node is known by the device number that sysfs
 * tells for the file. A node of the right name and another number is another file.
 *
 * Containers find nodes by this function. It serves programs that open the files themselves and
 * hand them in. Any thread. Cost: two files read, and with another name the folders /dev/vfio and
 * /dev/vfio/devices. Experimental.
 *
 * @param path  the kernel's name, such as "/dev/vfio/12".
 * @param buf   out: the path of the node; as `path` if it is not below /dev/vfio, or sysfs does not
 *              tell its number.
 * @param size  bytes in buf.
 * @return 0; -ENOENT: there is no such node; -ENAMETOOLONG; -EINVAL: not below /dev.
 */
int dmamap_vfio_node(const char *path, char *buf, size_t size);

/**
 * @name The IOVA space: what is where
 * For pictures and audits. Experimental.
 */
/**@{*/
/** What a part of an IOVA space is. */
enum dmamap_space_kind {
	DMAMAP_SPACE_FREE, /**< can be mapped */
	DMAMAP_SPACE_OUTSIDE, /**< some domain or device does not reach it */
	DMAMAP_SPACE_RESERVED, /**< a reserved range */
	DMAMAP_SPACE_RESERVATION, /**< reserved without a mapping: by the user, or a zone's room */
	DMAMAP_SPACE_QUARANTINE, /**< withdrawn after an unmap that failed */
	DMAMAP_SPACE_ZONE, /**< a zone */
	DMAMAP_SPACE_MAPPING, /**< mapped by dmamap_map() */
	DMAMAP_SPACE_REGISTRATION, /**< registered memory */
};

/** A part of an IOVA space. */
struct dmamap_space {
	struct dmamap_range range; /**< the IOVAs */
	enum dmamap_space_kind kind; /**< what it is */
	enum dmamap_reserved_type type; /**< of RESERVED */
	uint32_t flags; /**< of what is mapped: DMAMAP_READ, DMAMAP_WRITE, DMAMAP_ALIAS */
	uint64_t n; /**< mappings that are joined here; 0: none */
	uint64_t page_size; /**< bytes, of a ZONE; else 0 */
	int node; /**< NUMA node, of a ZONE on one node; else -1 */
	char name[DMAMAP_NAME_MAX]; /**< of a ZONE or of its room; else "" */
	char owner[DMAMAP_NAME_MAX]; /**< of a ZONE or RESERVED; else "" */
};

/**
 * Walk a container's IOVA space from an address on, ascending and without gaps, up to 2^64 - 1.
 * Adjacent mappings that differ in their memory only are one part.
 *
 * Any thread. Waits for an attach or detach in progress; the function is called under no lock. Cost
 * grows with the mappings; the tables are locked for 64 of them at a time, so what is mapped or
 * unmapped meanwhile may be there or not.
 *
 * @param from  0, or an address to go on from; the first part begins there.
 * @param fn    called for each part until it returns a value other than 0.
 * @return the last result of fn; -EINVAL; -ENOMEM.
 */
int dmamap_space_walk(const struct dmamap_container *c, dmamap_iova_t from,
	int (*fn)(const struct dmamap_space *part, void *arg), void *arg);
/**@}*/

/** How strictly a NUMA node is requested. dmamap_zone_info() reports the actual placement. */
enum dmamap_placement {
	DMAMAP_PLACE_STRICT, /**< on the node or fail; without a node: anywhere */
	DMAMAP_PLACE_PREFERRED, /**< on the node while it has pages, then elsewhere, which is
				   logged */
	DMAMAP_PLACE_INTERLEAVE, /**< in turn over all nodes that the process may use; the node is
				    ignored */
	DMAMAP_PLACE_LOCAL, /**< preferred on the node of the calling thread's CPU; the node is
			       ignored */
};

/** The pages of a zone. */
enum dmamap_page_kind {
	DMAMAP_PAGES_HUGETLB, /**< hugepages of the system's pools */
	DMAMAP_PAGES_TRANSPARENT, /**< transparent hugepages, locked (DMAMAP_ALLOW_TRANSPARENT) */
	DMAMAP_PAGES_BASE, /**< the system's base pages; locked if they are a fallback
			      (DMAMAP_ALLOW_BASE) */
	DMAMAP_PAGES_FOREIGN, /**< in accounts only: mapped memory that Gantry did not allocate */
};

/** Configuration of a new zone. Zeroes: no preference. */
struct dmamap_zone_conf {
	size_t len; /**< bytes, not 0; rounded up to whole pages */
	size_t align; /**< of VA and IOVA; power of two, 0: the page size */
	size_t page_size; /**< bytes: 4 KiB, 2 MiB or 1 GiB; 0: the largest that wastes no more than
			     an eighth */
	const struct dmamap_device *dev; /**< place the zone on this device's node; or NULL */
	bool on_node; /**< use `node`; without it, and without dev, any node will do */
	int node; /**< NUMA node; -1: any */
	/**
	 * DMAMAP_READ, DMAMAP_WRITE (none: both), DMAMAP_LOW32, DMAMAP_FIXED,
	 * DMAMAP_ALLOW_TRANSPARENT, DMAMAP_ALLOW_BASE
	 */
	uint32_t flags;
	const char *name; /**< for accounts and messages, copied; NULL: "zone" */
	const char *owner; /**< owner of the bytes in accounts, copied; NULL: dev's name, else the
			      container's */
	enum dmamap_placement placement; /**< whether other nodes will do */
	/**
	 * Threads that fault the pages in, on CPUs of the node. 0: chosen by the length and the
	 * CPUs (one for 128 MiB, 16 at most). 1: the calling thread alone, for a node whose CPUs
	 * are busy.
	 */
	unsigned int threads;
	/**
	 * Called by the calling thread while pages are faulted in, at the end with done == len. May
	 * be NULL: then a line is logged at most once a second. It must not call this library.
	 * @return 0; otherwise the whole allocation is undone and fails with -ECANCELED.
	 */
	int (*progress)(void *arg, uint64_t done, uint64_t len);
	void *progress_arg; /**< passed to progress */
	/**
	 * Bytes of virtual addresses and IOVAs that are reserved for the zone to grow into
	 * (dmamap_zone_resize()); at least len. 0: it cannot grow. A reservation costs no memory.
	 * Not supported without an IOMMU, where IOVAs cannot be chosen.
	 */
	size_t max_len;
	dmamap_iova_t iova; /**< with DMAMAP_FIXED in flags: the zone's IOVA */
	bool shared; /**< its memory can be shared with other processes: see dmamap_zone_fd() */
};

/**
 * Allocate memory that devices can reach: hugepage-backed, zeroed, placed on the device's NUMA
 * node, pinned and mapped at one IOVA range. It is freed when the process ends, however that ends.
 *
 * Any thread; may sleep. Pages are faulted in under no lock.
 *
 * @return
 *   - 0: *z, to be freed with dmamap_zone_free() or with its container.
 *   - -EINVAL: conf is invalid.
 *   - -ENODEV: no such node, or none that this process may use.
 *   - -ENOTSUP: max_len or FIXED, and no IOMMU translates.
 *   - -EEXIST: FIXED, and the IOVAs are not free.
 *   - -ENOENT: this system has no pages of that size.
 *   - -ENOMEM: too few hugepages on the node (the log says how many are needed and free, and how to
 *     reserve more), a hugetlb cgroup's limit, too little memory, or RLIMIT_MEMLOCK.
 *   - -ENOSPC: see dmamap_map().
 *   - -ECANCELED: by conf->progress.
 */
int dmamap_zone_alloc(
	struct dmamap_container *c, const struct dmamap_zone_conf *conf, struct dmamap_zone **z);
/**
 * Unmap and free a zone. Waits for readers of translations. NULL is allowed.
 * @return 0; -EIO as with dmamap_unmap(), and the zone is freed all the same; another error of
 * dmamap_unmap(): nothing changed.
 */
int dmamap_zone_free(struct dmamap_zone *z);
/**
 * Grow or shrink a zone at its end, all or nothing. What stays keeps its virtual addresses and
 * IOVAs.
 *
 * Each growth is a separate mapping, with pages of the zone's kind and size. A mapping cannot be
 * cut (see dmamap_unmap()). So a zone shrinks by whole growths only: to a length that it has had,
 * and never below the initial one. No other thread may use the zone's functions meanwhile; devices
 * may use what stays. A shrink waits for readers of translations.
 *
 * @param len  bytes, rounded up to whole pages, at most conf.max_len.
 * @return
 *   - 0; also if nothing changes.
 *   - -EINVAL: no zone or length, or a shrink that would cut a growth; the log names the lengths
 *     below and above.
 *   - -ENOSPC: more than conf.max_len, or a domain has no entry left.
 *   - -EBUSY: memory of the part to be removed is registered and in use (dmamap_register()).
 *   - -EIO: the part is removed, but a domain may still translate it. The zone is shorter, and
 *     cannot grow there again.
 *   - -ENOMEM: as with dmamap_zone_alloc(). conf.progress is not called.
 */
int dmamap_zone_resize(struct dmamap_zone *z, size_t len);
/**
 * The file that holds a zone's memory, for another process to map with MAP_SHARED. The zone must
 * have been made with conf.shared, and must not have grown. The zone owns the descriptor: dup(2)
 * it, or send it over a socket.
 * @param offset  out: where in the file the zone begins, in bytes; may be NULL.
 * @return the descriptor; -EINVAL; -ENOTSUP: the zone was made without conf.shared, or has grown.
 */
int dmamap_zone_fd(const struct dmamap_zone *z, uint64_t *offset);
/** Virtual address of a zone's first byte. */
void *dmamap_zone_va(const struct dmamap_zone *z);
/** IOVA of a zone's first byte. */
dmamap_iova_t dmamap_zone_iova(const struct dmamap_zone *z);
/** Length of a zone in bytes, a multiple of its page size. */
size_t dmamap_zone_len(const struct dmamap_zone *z);
/** Page size of a zone in bytes. */
size_t dmamap_zone_page_size(const struct dmamap_zone *z);
/** The NUMA node that a zone's pages are really on, or -1 if on several. */
int dmamap_zone_node(const struct dmamap_zone *z);

/** Bytes on a NUMA node. */
struct dmamap_node_len {
	int node; /**< -1: the kernel does not report it, or more nodes than DMAMAP_NODES_MAX */
	uint64_t len; /**< bytes, not 0 */
};

/** Maximum number of nodes in a report; few machines have more. */
#define DMAMAP_NODES_MAX 64

/** Description of a zone, and the actual placement of its bytes. */
struct dmamap_zone_info {
	const char *name; /**< valid as long as the zone */
	const char *owner; /**< owner of the bytes; valid as long as the zone and its container */
	size_t len; /**< bytes */
	size_t max_len; /**< bytes that it can grow to; len, if it cannot */
	size_t page_size; /**< bytes */
	enum dmamap_page_kind kind; /**< kind of pages */
	enum dmamap_placement placement; /**< as requested */
	int node; /**< as requested; LOCAL: the node at that time; -1: any */
	bool as_asked; /**< all bytes are placed as requested */
	unsigned int n_nodes; /**< entries of `nodes` that are set */
	struct dmamap_node_len
		nodes[DMAMAP_NODES_MAX]; /**< the first n_nodes are set, ascending by node */
};

/** dmamap_zone_info() with the size of the caller's structure. */
int dmamap_zone_info_sized(const struct dmamap_zone *z, struct dmamap_zone_info *info, size_t size);

/**
 * Describe a zone, as of when its pages were faulted in. Any thread; does not wait.
 * @return 0, or -EINVAL.
 */
static inline int
dmamap_zone_info(const struct dmamap_zone *z, struct dmamap_zone_info *info)
{
	return dmamap_zone_info_sized(z, info, sizeof(*info));
}

/**
 * @page dmamap_memory Memory that changes while it is mapped
 *
 * A mapping refers to the pages that were at an address when the kernel pinned them, not to the
 * address. Later changes of the process at that address do not affect devices. libdmamap is not
 * notified of them, except for watched registrations (dmamap_registration_cache()). Until
 * dmamap_unmap():
 *
 * - madvise(2) with MADV_DONTNEED, MADV_FREE or MADV_REMOVE, a hole punched with fallocate(2), or a
 *   truncated file: devices stay on the old pages, the process gets new ones or SIGBUS.
 *   dmamap_va2iova() is unchanged.
 * - mremap(2): devices follow the pages. dmamap_va2iova() translates the old address, not the new
 *   one.
 * - munmap(2): devices stay on the old pages, which are not reused. dmamap_va2iova() is unchanged,
 *   whatever memory comes to the address next.
 *
 * A kernel container that is opened afterwards pins the pages that are at the address then. That
 * happens in a merge, and in an attach that needs another domain. If there is no memory, the attach
 * fails with -EFAULT. If there are other pages, domains differ, and this is not detected. So do not
 * replace pages under a mapping that devices still use.
 *
 * What the kernel does not pin, it does not map; the errno is the kernel's:
 *
 * - BARs and other memory without pages (VM_PFNMAP): type1 maps them without pinning, iommufd does
 *   not: -EFAULT.
 * - shared mappings of files on file systems that write back (ext4, xfs), writable: -EFAULT from
 *   Linux 6.5 on, where the backend pins to write. Before, the map succeeds, and data that devices
 *   write may be lost. memfd, hugetlbfs and tmpfs are pinned.
 * - files on DAX file systems (fsdax): -EOPNOTSUPP. Device DAX is pinned.
 * - private mappings of files: pinned; devices see the process's copy.
 *
 * dmamap_stream_map() works on a copy of such memory.
 */

/** @name Pools of small coherent objects
 * Descriptors, PRP lists, completion entries: objects of one size that CPU and devices share for a
 * long time. A zone costs pages and a map entry; a pool carves many objects from each zone.
 *
 * @warning @b EXPERIMENTAL: these functions may change or be removed without prior notice.
 */
/**@{*/
/** Configuration of a new pool. Zeroes: no preference. */
struct dmamap_pool_conf {
	const char *name; /**< for accounts and messages, copied; NULL: "pool" */
	size_t obj_size; /**< bytes of an object, not 0, at most 1 GiB */
	size_t align; /**< of VA and IOVA, a power of two, at most 1 GiB; 0: obj_size rounded up to
			 a power of two, 64 at most */
	/**
	 * An object does not cross a multiple of this, in VA or IOVA. A power of two, not below
	 * obj_size; 0: it may.
	 */
	size_t boundary;
	uint64_t initial; /**< objects at creation */
	uint64_t max; /**< objects at most; 0: no limit */
	bool zero; /**< dmamap_pool_get() zeroes each object; else a new one is zero, and a used one
		      has the contents it was put with */
	const struct dmamap_device *dev; /**< place the objects on this device's node; or NULL */
	bool on_node; /**< use `node`; without it, and without dev, any node will do */
	int node; /**< NUMA node; -1: any */
	enum dmamap_placement placement; /**< as for zones */
	size_t page_size; /**< as for zones, but 0: base pages; hugepages without an IOMMU */
	uint32_t flags; /**< as for zones, without DMAMAP_FIXED */
	const char *owner; /**< for accounts, copied; NULL: dev's name, else the container's */
};

/** dmamap_pool_create() with the size of the caller's structure. */
int dmamap_pool_create_sized(struct dmamap_container *c, const struct dmamap_pool_conf *conf,
	size_t size, struct dmamap_pool **p);

/**
 * Create a pool. It has at least one zone, and doubles when it is empty, up to conf.max: n objects
 * cost log2(n) map entries in each domain. Without an IOMMU each zone is one hugepage. A pool does
 * not shrink.
 *
 * The pool holds a reference to its container, which cannot be destroyed before the pool. A merge
 * moves the pool with its zones. May sleep, as dmamap_zone_alloc() does.
 *
 * @return
 *   - 0: *p is the pool, to be released with dmamap_pool_destroy().
 *   - -EINVAL: conf is invalid.
 *   - -ENOTSUP: an alignment or boundary that memory without an IOMMU does not happen to have.
 *   - -ENOSPC, -ENOMEM and others: as dmamap_zone_alloc().
 */
static inline int
dmamap_pool_create(
	struct dmamap_container *c, const struct dmamap_pool_conf *conf, struct dmamap_pool **p)
{
	return dmamap_pool_create_sized(c, conf, sizeof(*conf), p);
}

/**
 * Destroy a pool that no other thread uses. Unmaps its zones, so it waits for readers of
 * translations.
 * @return
 *   - 0; NULL is allowed.
 *   - -EBUSY: objects are in use (the log says how many), or memory of the pool is registered
 *     (dmamap_register()). The pool remains usable and can be destroyed later.
 *   - -EIO as dmamap_zone_free(); the pool is freed all the same.
 */
int dmamap_pool_destroy(struct dmamap_pool *p);

/**
 * Get an object. Any thread. While one is free: constant time, no lock, no system call. Otherwise
 * the pool grows, once for all threads that wait for it, and may sleep.
 *
 * @param va    out: virtual address of the object.
 * @param iova  out: IOVA of the object; never changes, not even in a merge.
 * @return 0; -EINVAL; -ENOSPC, not logged: conf.max objects are in use; as dmamap_zone_alloc().
 */
int dmamap_pool_get(struct dmamap_pool *p, void **va, dmamap_iova_t *iova);

/**
 * Put an object back; devices must be done with it. Any thread. No lock, no system call. Constant
 * time for most objects; at worst one check for each zone.
 *
 * @return 0; -EINVAL: no object of this pool begins at va, or it is not in use; nothing changed.
 * A double put is detected unless another thread got the object in between.
 */
int dmamap_pool_put(struct dmamap_pool *p, void *va);

/** State of a pool, as of the call. */
struct dmamap_pool_info {
	size_t obj_size; /**< bytes, as configured */
	size_t stride; /**< bytes from one object to the next */
	uint64_t n_objs; /**< objects in all zones */
	uint64_t n_out; /**< of these, objects in use */
	uint64_t max; /**< objects at most; 0: no limit */
	uint64_t len; /**< bytes of all zones */
	unsigned int n_zones; /**< zones, and so map entries used in each domain */
};

/** dmamap_pool_info() with the size of the caller's structure. */
int dmamap_pool_info_sized(struct dmamap_pool *p, struct dmamap_pool_info *info, size_t size);

/**
 * Describe a pool. Any thread; waits while the pool grows; reads one bit for each object.
 * @return 0, or -EINVAL.
 */
static inline int
dmamap_pool_info(struct dmamap_pool *p, struct dmamap_pool_info *info)
{
	return dmamap_pool_info_sized(p, info, sizeof(*info));
}
/**@}*/

/**
 * One entry of the account of this process's memory: the bytes of one zone on one node, or mapped
 * memory that Gantry did not allocate.
 */
struct dmamap_memory {
	char container[DMAMAP_NAME_MAX]; /**< its name */
	char zone[DMAMAP_NAME_MAX]; /**< its name; FOREIGN: "mapped", "registered" or "idle"
				       (registered, without users) */
	char owner[DMAMAP_NAME_MAX]; /**< owner of the bytes, see struct dmamap_zone_conf */
	enum dmamap_page_kind kind; /**< kind of pages */
	size_t page_size; /**< bytes; 0: FOREIGN */
	int node; /**< NUMA node; -1: unknown, or FOREIGN */
	uint64_t len; /**< bytes, not 0 */
};

/**
 * Account for every byte that this process has in containers. The function is called for each zone,
 * node by node. It is also called for each container with the memory that Gantry did not allocate.
 * Each byte is counted once for each container; aliases are not counted. Memory that is mapped in
 * two containers is counted in both, as FOREIGN where it is not a zone.
 *
 * Telemetry reports the same, where the EAL runs it: /dmamap/memory, /dmamap/owners,
 * /dmamap/zones, /dmamap/containers, /dmamap/container,NAME.
 *
 * Any thread, also an online reader of translations; does not wait.
 *
 * @param fn  called under no lock, with a recent copy; it may call this library. A result other
 *            than 0 ends the walk.
 * @return 0; the result of fn; -EINVAL: no fn; -ENOMEM.
 */
int dmamap_memory_walk(int (*fn)(const struct dmamap_memory *memory, void *arg), void *arg);

/**
 * @name Fast path of dmamap_va2iova()
 * A container begins with a pointer to an array of words, one for each 2 MiB of VAs (a unit). The
 * lower bits of a word identify the unit; the upper bits are IOVA minus VA, in pages of 4 KiB. 0:
 * none. Public only so that the function can be inlined; not for other use.
 */
/**@{*/
#define DMAMAP_UNIT_SHIFT 21 /**< log2 of the bytes of a unit */
#define DMAMAP_UNIT_SLOTS (1u << 18) /**< words of the table */
#define DMAMAP_UNIT_TAG_BITS 26 /**< bits of a word that say which unit it is of */

/** Index of an address's word. Units that are 512 GiB apart share a word. */
static inline uint64_t
dmamap_unit_slot(uint64_t va)
{
	return va >> DMAMAP_UNIT_SHIFT & (DMAMAP_UNIT_SLOTS - 1);
}

/** The lower bits of an address's word: the unit's bits that are not in the index, plus 1. */
static inline uint64_t
dmamap_unit_tag(uint64_t va)
{
	return (va >> 39) + 1;
}

/** Look an address up by its unit. @return false: its word is of another unit; *iova is invalid */
static inline bool
dmamap_unit_find(const uint64_t *units, uint64_t va, uint64_t *iova)
{
	/* Relaxed: the word is all there is to read. It is of this unit if no tag bit is left. */
	const uint64_t word = __atomic_load_n(&units[dmamap_unit_slot(va)], __ATOMIC_RELAXED) -
		dmamap_unit_tag(va);

	*iova = va + (uint64_t)((int64_t)word >> (DMAMAP_UNIT_TAG_BITS - 12));
	return (word & ((1u << DMAMAP_UNIT_TAG_BITS) - 1)) == 0;
}
/**@}*/

/** Slow path of dmamap_va2iova(): mappings smaller than a unit, and VAs from 2^48 on. */
dmamap_iova_t dmamap_va2iova_outside(const struct dmamap_container *c, const void *va);

/**
 * Translate an address of this process into the IOVA at which the container's devices reach it.
 * Any thread; takes no lock, makes no system call, allocates nothing.
 * @return the IOVA, or DMAMAP_BAD_IOVA if nothing is mapped there.
 */
static inline dmamap_iova_t
dmamap_va2iova(const struct dmamap_container *c, const void *va)
{
	const uint64_t *units = *(const uint64_t *const *)(const void *)c;
	uint64_t iova;

	/* Fast path: most addresses are in hugepages, so keep this branch fall-through. */
	if (__builtin_expect(dmamap_unit_find(units, (uintptr_t)va, &iova), true))
		return iova;
	return dmamap_va2iova_outside(c, va);
}

/**
 * Translate an address, and find how far the IOVAs are contiguous from there: for scatter lists.
 * Any thread; takes no lock.
 *
 * @param len  in: bytes wanted from va on. Out: how many of these are one run of IOVAs; 0: va is
 * not mapped.
 * @return the IOVA of va, or DMAMAP_BAD_IOVA.
 */
dmamap_iova_t dmamap_va2iova_run(const struct dmamap_container *c, const void *va, size_t *len);

/**
 * Translate an IOVA into an address of this process. Any thread; takes no lock.
 * @return the address, or NULL if nothing is mapped at that IOVA.
 */
void *dmamap_iova2va(const struct dmamap_container *c, dmamap_iova_t iova);

#ifdef __cplusplus
}
#endif

#endif /* DMAMAP_H */
