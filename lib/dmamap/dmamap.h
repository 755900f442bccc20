/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 */

#ifndef DMAMAP_H
#define DMAMAP_H

/**
 * @file
 * libdmamap: one IOVA address space for many devices.
 *
 * A *container* is one IOVA address space. Devices are attached to it, memory is mapped into it,
 * and every mapping is present in every *domain* (set of IOMMU page tables) that the container
 * holds, or in none. How many domains there are is the container's business: it opens another one
 * when the kernel refuses to put a device's group into those it has, and replays all mappings.
 *
 * Common to all functions, unless one says otherwise:
 * - `int` results are 0 or a negative errno value, and a failed call changed nothing.
 * - Lengths are in bytes. Ranges are inclusive: `[start, last]`.
 * - Functions that change a container may be called by any thread; they serialise on the
 *   container's lock and may sleep. None may be called from a signal handler.
 * - dmamap_va2iova() and dmamap_iova2va() take no lock, make no system call and allocate nothing.
 * - One line is logged (type `lib.dmamap`) for a failure: what failed, on which object, what to do;
 * conflicts (dmamap_container_conflicts()) have a line each.
 * - `rte_eal_init()` need not have been called.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rte_rcu_qsbr;
struct dmamap_container;
struct dmamap_device;
struct dmamap_zone;
struct dmamap_model;

/** Longest name of a container, a device or an owner, with its terminating zero. */
#define DMAMAP_NAME_MAX 64

/** An inclusive range of IOVAs. */
struct dmamap_range {
	rte_iova_t start; /**< first IOVA */
	rte_iova_t last; /**< last IOVA, not below start */
};

/** Every IOVA: the `within` of a caller who does not care. */
#define DMAMAP_ANYWHERE ((struct dmamap_range){0, UINT64_MAX})

/** Which kernel interface (or the software model) is below a container. */
enum dmamap_backend {
	DMAMAP_BACKEND_AUTO, /**< iommufd, else type1; never noiommu */
	DMAMAP_BACKEND_TYPE1, /**< /dev/vfio/vfio, type1 v2 */
	DMAMAP_BACKEND_IOMMUFD, /**< /dev/iommu and VFIO character devices */
	DMAMAP_BACKEND_NOIOMMU, /**< no translation, no protection: physical addresses */
	DMAMAP_BACKEND_MODEL, /**< the software model (dmamap_model.h), for tests without hardware
			       */
};

/** Whether groups share domains. */
enum dmamap_sharing {
	DMAMAP_SHARE, /**< as few domains as the kernel agrees to */
	DMAMAP_ISOLATE, /**< a domain for each group */
};

/** @name Flags of mappings and zones */
/**@{*/
#define DMAMAP_READ UINT32_C(0x01) /**< devices may read */
/** Devices may write. With Linux's VT-d driver they can then read as well, whether READ is given or
 * not. */
#define DMAMAP_WRITE UINT32_C(0x02)
#define DMAMAP_FIXED UINT32_C(0x04) /**< map exactly at the IOVA passed in */
#define DMAMAP_LOW32 UINT32_C(0x08) /**< IOVAs below 4 GiB only */
/**
 * A further IOVA for memory that is mapped already: dmamap_iova2va() knows it,
 * dmamap_va2iova() keeps answering the first mapping's IOVA.
 */
#define DMAMAP_ALIAS UINT32_C(0x10)
/** Zones: where hugepages cannot be had, transparent ones may serve (madvise(2), MADV_HUGEPAGE),
 * locked. */
#define DMAMAP_ALLOW_TRANSPARENT UINT32_C(0x20)
/** Zones: where hugepages cannot be had, nor transparent ones if these are allowed, locked base
 * pages may serve. */
#define DMAMAP_ALLOW_BASE UINT32_C(0x40)
/** Readable and writable by devices: what 0 access flags mean for a zone. */
#define DMAMAP_RW (DMAMAP_READ | DMAMAP_WRITE)
/**@}*/

/** How a container is to be made. All zeroes is a good default. */
struct dmamap_container_conf {
	const char *name; /**< unique in the process; NULL: "dmamap<number>" */
	enum dmamap_backend backend; /**< AUTO: see there */
	enum dmamap_sharing sharing;
	/**
	 * Readers of the translation that are to be waited for before an unmap reaches the IOMMU.
	 * Optional: without it, the caller of dmamap_unmap() and dmamap_zone_free() makes sure that
	 * no thread still uses the address. Owned by the caller, outlives the container. A thread
	 * that is registered in it goes offline before it calls a function that changes the
	 * container.
	 */
	struct rte_rcu_qsbr *rcu;
	struct dmamap_model *model; /**< for DMAMAP_BACKEND_MODEL only; outlives the container */
};

/**
 * Make a container without devices. Mappings may be added at once: they are replayed
 * when a device is attached. Until then only reserved ranges that this host reports for any group
 * are avoided, and IOVAs stay below 2^39.
 *
 * @return
 *   - 0: *c is the container, to be given back with dmamap_container_destroy().
 *   - -EINVAL: a value in conf makes no sense.
 *   - -EEXIST: the name is taken.
 *   - -ENOMEM.
 *
 * The kernel is first asked for something when a device is attached, so a container also works,
 * without devices, where there is no VFIO.
 */
int dmamap_container_create(const struct dmamap_container_conf *conf, struct dmamap_container **c);

/**
 * Undo all mappings, free all zones and the container. Pointers to its zones are dead then.
 *
 * @return 0, or -EBUSY while a device is attached.
 */
int dmamap_container_destroy(struct dmamap_container *c);

/** The container's name; valid as long as the container. */
const char *dmamap_container_name(const struct dmamap_container *c);

/**
 * Find a container of this process by name, or by a device or client that is attached to it.
 * @return the container, or NULL. Nothing keeps it alive but its owner.
 */
struct dmamap_container *dmamap_container_by_name(const char *name);
/** @see dmamap_container_by_name() */
struct dmamap_container *dmamap_container_by_device(const char *dev);

/**
 * Attach a device: its group joins a domain of the container, or a new one into which all mappings
 * are replayed, in order. On failure the container, its mappings and the kernel are as before.
 *
 * @param dev
 *   A PCI address ("0000:01:00.0"), for a VF that wants a token followed by " vf_token=UUID", or
 *   the name of one of the model's devices.
 * @param d
 *   The attached device, to be given back with dmamap_container_detach().
 * @return
 *   - 0
 *   - -ENOENT: this kernel or machine lacks the backend.
 *   - -ENODEV: no such device, or no IOMMU is in charge of it.
 *   - -EPERM: the group is not viable (another member is held by a host driver), or the platform
 *     does not isolate its interrupts, or access to its file is denied.
 *   - -EBUSY: the device is not bound to a VFIO driver, or its group is used by another process or
 *     container.
 *   - -EADDRINUSE: a live mapping or a taken range lies in a range that is reserved for this device
 * or beyond what its IOMMU can translate. The log names the mapping, the range and its owner, with
 * a line for each of the first DMAMAP_CONFLICTS_LOGGED of them; dmamap_container_conflicts() lists
 * all.
 *   - -EALREADY: the device is attached to this container already.
 *   - the error of the replay.
 */
int dmamap_container_attach(struct dmamap_container *c, const char *dev, struct dmamap_device **d);

/**
 * Detach a device. Mappings stay in the container, and in the domains of its other devices.
 * The device must not do DMA any more: its bus has reset it.
 *
 * @return 0, or -EBUSY while the device is marked as running (dmamap_device_hold()).
 */
int dmamap_container_detach(struct dmamap_device *d);

/**
 * Say that a device is running, so that it cannot be detached; undone by dmamap_device_release().
 * A driver holds its device from start to stop. Counted; any thread.
 */
void dmamap_device_hold(struct dmamap_device *d);
/** @see dmamap_device_hold() */
void dmamap_device_release(struct dmamap_device *d);

/** The VFIO device's file descriptor, owned by the library; -1 for one of the model's devices. */
int dmamap_device_fd(const struct dmamap_device *d);
/** The NUMA node the device is on, or -1 where the platform does not say. */
int dmamap_device_node(const struct dmamap_device *d);
/** The number of the device's IOMMU group. */
int dmamap_device_group(const struct dmamap_device *d);
/** The name it was attached by; valid as long as the device. */
const char *dmamap_device_name(const struct dmamap_device *d);
/** The container that the device is attached to. */
struct dmamap_container *dmamap_device_container(const struct dmamap_device *d);

/**
 * Say which addresses the device can put on the bus: all below 2^bits. From then on, and until
 * the device is detached, the container gives out no IOVA beyond (FIXED mappings are the caller's
 * word). What is mapped already stays; a line is logged if some of it is out of the device's reach.
 *
 * @param bits  from 12 to 64.
 * @return 0, or -EINVAL.
 */
int dmamap_device_dma_mask(struct dmamap_device *d, unsigned int bits);

/**
 * Make one address space of two: all devices, mappings, zones and taken ranges of `from` come to
 * `into`, and each device reaches all of them. `from` is left without any, still its owner's.
 * Everything keeps its IOVA. A domain stays what it is, and gets the other container's mappings.
 *
 * @return
 *   - 0
 *   - -EINVAL: the same container twice, or backends of different kinds.
 *   - -EADDRINUSE: a mapping or taken range of one is in the way of the other's, or in a range that
 * the other's devices cannot reach; the log names both, and dmamap_container_conflicts(into) lists
 * all.
 *   - -EEXIST: the same memory is mapped in both, at different IOVAs.
 *   - -ENOSPC, -ENOMEM, and the errors of the maps: as with dmamap_map().
 */
int dmamap_container_merge(struct dmamap_container *into, struct dmamap_container *from);

/**
 * Move a device, alone in its group or at least the only one of it that is attached, to another
 * container: it sees exactly that one's address space afterwards. Its file is closed and opened
 * anew, so dmamap_device_fd() changes, and mappings of the old one (BARs, interrupts) are void.
 *
 * @return
 *   - 0
 *   - -EBUSY: the device is running (dmamap_device_hold()), or another device of its group is
 * attached.
 *   - -EINVAL: it is there already.
 *   - the errors of dmamap_container_attach(); the device is back where it was then.
 *   - -ENODEV: it could not be put back either. It is in no container; only
 * dmamap_container_detach() may be called on it, to free it.
 */
int dmamap_device_move(struct dmamap_device *d, struct dmamap_container *to);

/**
 * Which of a container's domains serves a device?
 * @param dev  name of an attached device, as it was attached.
 * @return the number of the domain, as messages name it; -ENODEV: not attached here.
 */
int dmamap_domain_by_device(const struct dmamap_container *c, const char *dev);

/**
 * The same by what the device puts on the bus.
 * @param segment       PCI segment (domain, in Linux's words).
 * @param requester_id  bus << 8 | device << 3 | function (PCI Express Base 5.0, 2.2.6.2).
 */
int dmamap_domain_by_rid(const struct dmamap_container *c, uint16_t segment, uint16_t requester_id);

/** What a container is made of, as of the call. */
struct dmamap_container_info {
	enum dmamap_backend backend;
	unsigned int n_domains;
	unsigned int n_groups;
	unsigned int n_devices;
	uint64_t page_sizes; /**< bitmap: what every domain can map */
	uint64_t n_mappings; /**< live mappings */
	uint64_t mapped_len; /**< bytes in live mappings */
	uint64_t taken_len; /**< bytes of IOVA taken without a mapping */
	uint64_t fenced_len; /**< bytes of IOVA withdrawn for good after a failed undo */
	uint64_t entries_left; /**< maps the tightest domain still takes; UINT64_MAX: no limit known
				*/
	uint64_t map_calls; /**< map calls issued to the backend so far, over all domains */
	uint64_t unmap_calls; /**< the same for unmap calls */
	bool coherent; /**< every domain enforces cache coherency */
	unsigned int n_ranges; /**< usable ranges in all; more than fit below if above RTE_DIM */
	struct dmamap_range ranges[32]; /**< usable ranges, ascending, without reserved ones */
};

/** Describe a container. @return 0, or -EINVAL. */
int dmamap_container_info(const struct dmamap_container *c, struct dmamap_container_info *info);

/**
 * Map memory into all domains of a container.
 *
 * The pages are pinned by the kernel as long as the mapping lives. The memory stays the caller's,
 * who must not unmap it from the process before dmamap_unmap().
 *
 * @param va     start of the memory, a multiple of the system's page size.
 * @param len    bytes, a multiple of the smallest page size of all domains, not 0.
 * @param flags  DMAMAP_READ and/or DMAMAP_WRITE, and others; at least one of these two.
 * @param iova   in: the wanted IOVA if DMAMAP_FIXED is given. Out: where it was mapped.
 * @return
 *   - 0
 *   - -EINVAL: a null pointer, length or flags make no sense, or an address or length is no page
 * multiple.
 *   - -EEXIST: FIXED, and overlaps a live mapping or a taken range; or the memory is mapped
 *     already in part or whole (see DMAMAP_ALIAS).
 *   - -EADDRINUSE: FIXED, and touches a reserved range; the log names it and its owner.
 *   - -ERANGE: FIXED, and beyond the aperture.
 *   - -ENOSPC: no IOVA is free, or a domain has no entry left.
 *   - -ENOMEM: RLIMIT_MEMLOCK would be passed (the log says how much is needed), or out of memory.
 *   - -EFAULT: the memory cannot be pinned.
 */
int dmamap_map(struct dmamap_container *c, void *va, size_t len, uint32_t flags, rte_iova_t *iova);

/**
 * Ask before memory is had that is to be mapped afterwards: are there entries for n more mappings
 * in every domain, and does RLIMIT_MEMLOCK leave len more bytes? The kernel has the last word all
 * the same.
 *
 * @return 0; -EINVAL: no container; -ENOSPC: too few entries; -ENOMEM: RLIMIT_MEMLOCK would be
 * passed.
 */
int dmamap_map_check(struct dmamap_container *c, size_t len, unsigned int n);

/**
 * Unmap from all domains. `[iova, iova + len - 1]` must consist of whole mappings of
 * dmamap_map(), without holes.
 *
 * @return
 *   - 0
 *   - -EINVAL: the range does not begin and end with a mapping, or is part of a zone or of a
 * registration.
 *   - -EBUSY: memory in it is registered by somebody (dmamap_register()).
 *   - -ENOENT: nothing is mapped there, or there is a hole.
 *   - -EIO: a domain unmapped another size than asked for; the range is fenced off for good.
 */
int dmamap_unmap(struct dmamap_container *c, rte_iova_t iova, size_t len);

/**
 * Take IOVAs without mapping anything there; dmamap_map() with DMAMAP_FIXED may use them
 * afterwards.
 *
 * @param len     bytes, a multiple of 4096, not 0.
 * @param align   power of two, or 0 for 4096.
 * @param within  where to look.
 * @return 0, -EINVAL, or -ENOSPC.
 */
int dmamap_iova_take(struct dmamap_container *c, size_t len, size_t align,
	struct dmamap_range within, rte_iova_t *iova);

/**
 * Give back exactly what dmamap_iova_take() gave.
 * @return 0, -ENOENT: not taken; -EINVAL: another length was taken; -EBUSY: something is mapped
 * there.
 */
int dmamap_iova_give(struct dmamap_container *c, rte_iova_t iova, size_t len);

/** A piece of memory, for dmamap_map_sg(). */
struct dmamap_piece {
	void *va; /**< a multiple of the system's page size */
	size_t len; /**< bytes, a multiple of the smallest page size of all domains */
};

/**
 * Map scattered pieces of memory side by side: one contiguous IOVA range. Pieces that also follow
 * each other in memory become one mapping. Give it back with one dmamap_unmap() over all of it.
 *
 * @param pieces  n of them, n not 0.
 * @param flags   as for dmamap_map(); without DMAMAP_FIXED the range is chosen.
 * @param iova    in: the wanted IOVA if DMAMAP_FIXED; out: where the first piece is.
 * @return as dmamap_map().
 */
int dmamap_map_sg(struct dmamap_container *c, const struct dmamap_piece *pieces, unsigned int n,
	uint32_t flags, rte_iova_t *iova);

/** @name Registration of application buffers
 * Memory that is not Gantry's, registered again and again at the cost of a look-up: a registration
 * that nobody uses any more stays mapped until the room is needed, or until the application says
 * that the memory goes.
 */
/**@{*/
struct dmamap_registration;

/**
 * Make a buffer reachable by the container's devices, as one contiguous IOVA range.
 *
 * A buffer inside memory that is mapped already, with at least these permissions, is answered from
 * there: nothing is asked of the kernel. Otherwise the pages that hold it are mapped. Where they
 * overlap idle registrations, these are replaced by one that covers all of it; where they overlap
 * memory in use, they are mapped once more at another IOVA (as with DMAMAP_ALIAS). The answer
 * always covers all of the buffer.
 *
 * @param va     any address; neighbours in the same pages become reachable too.
 * @param len    bytes, not 0.
 * @param flags  DMAMAP_READ, DMAMAP_WRITE, DMAMAP_LOW32.
 * @param iova   out: IOVA of va.
 * @param reg    out: to be given back with dmamap_deregister(). Counted: each registration is given
 * back once.
 * @return 0, or as dmamap_map().
 */
int dmamap_register(struct dmamap_container *c, void *va, size_t len, uint32_t flags,
	rte_iova_t *iova, struct dmamap_registration **reg);

/** Give one registration back. The pages stay mapped, idle, for the next one. */
void dmamap_deregister(struct dmamap_registration *reg);

/**
 * Say that memory is about to go (munmap(2), free(3) of large blocks): idle registrations that
 * overlap it are unmapped.
 * @return 0; -EBUSY: one is in use, and none was unmapped; the errors of dmamap_unmap().
 */
int dmamap_invalidate(struct dmamap_container *c, const void *va, size_t len);

/**
 * How much memory may stay mapped without being used, in bytes; 1 GiB unless set. The longest
 * unused goes first. Idle registrations also go when a map fails for want of entries, IOVAs or
 * lockable memory.
 */
void dmamap_registration_limit(struct dmamap_container *c, uint64_t len);
/**@}*/

/** @name The DMA API of a device
 * For drivers that are handed buffers from anywhere.
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
	bool identity; /**< no IOMMU: an IOVA is a physical address, and nothing is out of reach */
	struct dmamap_range aperture; /**< lowest and highest IOVA that its domain translates */
};

/** Describe what a device can reach. @return 0, or -EINVAL. */
int dmamap_device_info(const struct dmamap_device *d, struct dmamap_device_info *info);

/** Who writes and who reads a streaming mapping. */
enum dmamap_direction {
	DMAMAP_TO_DEVICE, /**< the device reads */
	DMAMAP_FROM_DEVICE, /**< the device writes */
	DMAMAP_BIDIRECTIONAL,
};

/** A buffer lent to a device. Its owner is who called dmamap_stream_map(); only iova is for
 * reading. */
struct dmamap_stream {
	rte_iova_t iova; /**< what goes into the descriptor */
	struct dmamap_device *dev;
	void *va;
	size_t len;
	enum dmamap_direction dir;
	struct dmamap_registration *reg;
	struct dmamap_zone *bounce; /**< where the device really works, or NULL */
};

/**
 * Lend a buffer to a device. It is registered (dmamap_register()); if the device cannot reach where
 * it is mapped, the device gets a zone that it can reach, and the bytes are copied at map, sync and
 * unmap (a bounce buffer).
 *
 * @return 0: *s is to be given back with dmamap_stream_unmap(); -EINVAL; as dmamap_register() and
 * dmamap_zone_alloc().
 */
int dmamap_stream_map(struct dmamap_device *d, void *va, size_t len, enum dmamap_direction dir,
	struct dmamap_stream *s);
/** The CPU looks at what the device wrote so far, the device being done with it for now. */
void dmamap_stream_sync_for_cpu(const struct dmamap_stream *s);
/** The device is to see what the CPU wrote since. */
void dmamap_stream_sync_for_device(const struct dmamap_stream *s);
/** Take the buffer back; the device must be done with it. @return 0, or the error of
 * dmamap_zone_free(). */
int dmamap_stream_unmap(struct dmamap_stream *s);
/**@}*/

/** @name Software devices
 * A client is a device without hardware: it reads and writes memory at IOVAs, as a device would,
 * with the same permissions, and is told before a mapping goes.
 */
/**@{*/
struct dmamap_client;

/** How a client is to be made. */
struct dmamap_client_conf {
	const char *name; /**< for messages, copied; NULL: "client" */
	/**
	 * Called before an unmap of `range` completes: the client lets go of every address in it
	 * that it looked up before it returns. Any thread that unmaps; no function of this library
	 * may be called from within. May be NULL.
	 */
	void (*unmap)(void *arg, struct dmamap_range range);
	void *arg; /**< passed to unmap */
};

/** Attach a client. @return 0: *client, to be given back; -EINVAL; -ENOMEM. */
int dmamap_client_attach(struct dmamap_container *c, const struct dmamap_client_conf *conf,
	struct dmamap_client **client);
/** Detach it; its callback is not called any more after the return. */
void dmamap_client_detach(struct dmamap_client *client);

/**
 * Read len bytes at an IOVA, across mappings if they are adjacent.
 * @return 0; -EFAULT: some of it is not mapped, or not for reading; nothing was copied then.
 */
int dmamap_client_read(struct dmamap_client *client, rte_iova_t iova, void *dst, size_t len);
/** Write. @see dmamap_client_read() */
int dmamap_client_write(struct dmamap_client *client, rte_iova_t iova, const void *src, size_t len);
/**@}*/

/** Why a range is reserved. */
enum dmamap_reserved_type {
	DMAMAP_RESERVED_PAGE0, /**< page 0: a null pointer must fault */
	DMAMAP_RESERVED_MSI, /**< interrupt window */
	DMAMAP_RESERVED_DIRECT, /**< identity-mapped for firmware (RMRR, unity map) */
	DMAMAP_RESERVED_RELAXABLE, /**< direct, but no longer needed once a driver owns the device
				    */
	DMAMAP_RESERVED_BUS, /**< other: PCI windows, holes of the IOMMU */
	DMAMAP_RESERVED_APERTURE, /**< outside of what a domain can translate */
};

/** A reserved range and whose it is. */
struct dmamap_reserved {
	struct dmamap_range range;
	enum dmamap_reserved_type type;
	char owner[DMAMAP_NAME_MAX]; /**< "group 3 (0000:01:00.0)", "domain 0", "gantry" */
};

/**
 * List reserved ranges, ascending by start; ranges of different owners may overlap.
 *
 * @param out  room for n entries, may be NULL if n is 0.
 * @return how many there are, which may be more than n; or -EINVAL.
 */
int dmamap_reserved(const struct dmamap_container *c, struct dmamap_reserved *out, unsigned int n);

/** How two things cannot both be. */
enum dmamap_conflict_kind {
	DMAMAP_CONFLICT_RESERVED, /**< IOVAs that a newcomer's group reserves, or that an IOMMU does
				     not translate */
	DMAMAP_CONFLICT_PAGE_SIZE, /**< not made of whole pages of an IOMMU */
	DMAMAP_CONFLICT_FENCED, /**< IOVAs that the other container of a merge has fenced off */
	DMAMAP_CONFLICT_IOVA, /**< IOVAs that both containers of a merge use */
	DMAMAP_CONFLICT_MEMORY, /**< memory that both containers of a merge map */
};

/** Something that a container holds, and what is in its way. */
struct dmamap_conflict {
	enum dmamap_conflict_kind kind;
	struct dmamap_range range; /**< its IOVAs */
	void *va; /**< its memory; NULL: taken without a mapping */
	char name[DMAMAP_NAME_MAX]; /**< "mapping", "zone rings", "registration" or "taken range" */
	char container[DMAMAP_NAME_MAX]; /**< which holds it */
	struct dmamap_range with; /**< IOVAs in its way; of no meaning for PAGE_SIZE */
	enum dmamap_reserved_type type; /**< of RESERVED */
	uint64_t page_size; /**< of PAGE_SIZE: the IOMMU's smallest, in bytes */
	char owner[DMAMAP_NAME_MAX]; /**< as in struct dmamap_reserved; else what is in its way, as
					in `name` */
};

/** At most so many conflicts are logged, a line each. */
#define DMAMAP_CONFLICTS_LOGGED 16u

/**
 * List every conflict that made the last attach or move to this container, or the last merge into
 * it, fail. None is left once one has succeeded, or failed for another reason. Something that is in
 * several ranges' way is listed with each.
 *
 * @param out  room for n entries, may be NULL if n is 0.
 * @return how many there are, which may be more than n; -EINVAL; -ENOMEM: there was no memory for
 * all.
 */
int dmamap_container_conflicts(
	const struct dmamap_container *c, struct dmamap_conflict *out, unsigned int n);

/** How far the wish for a NUMA node goes. What was really got: dmamap_zone_info(). */
enum dmamap_placement {
	DMAMAP_PLACE_STRICT, /**< on the node or not at all; without a node: anywhere */
	DMAMAP_PLACE_PREFERRED, /**< on the node as long as it has pages, then elsewhere, which is
				   logged */
	DMAMAP_PLACE_INTERLEAVE, /**< in turn over all nodes that the process may use; the node is
				    not looked at */
	DMAMAP_PLACE_LOCAL, /**< preferred on the node of the calling thread's CPU; the node is not
			       looked at */
};

/** What pages a zone is made of. */
enum dmamap_page_kind {
	DMAMAP_PAGES_HUGETLB, /**< hugepages of the system's pools */
	DMAMAP_PAGES_TRANSPARENT, /**< transparent hugepages, locked; see DMAMAP_ALLOW_TRANSPARENT
				   */
	DMAMAP_PAGES_BASE, /**< the system's base pages; locked if they are a fallback
			      (DMAMAP_ALLOW_BASE) */
	DMAMAP_PAGES_FOREIGN, /**< in accounts only: memory that is mapped, but not Gantry's */
};

/** What a zone is to be. Zeroes mean: no wish. */
struct dmamap_zone_conf {
	size_t len; /**< bytes, not 0; rounded up to whole pages */
	size_t align; /**< of VA and IOVA; power of two, 0: the page size */
	size_t page_size; /**< 0: the largest that wastes no more than an eighth; else 4 KiB, 2 MiB,
			     1 GiB */
	const struct dmamap_device *dev; /**< the device the memory is for: on its node; or NULL */
	bool on_node; /**< `node` is a wish; without it, and without dev, any node will do */
	int node; /**< NUMA node; -1: any */
	/** DMAMAP_READ, DMAMAP_WRITE (none: both), DMAMAP_LOW32, DMAMAP_ALLOW_TRANSPARENT,
	 * DMAMAP_ALLOW_BASE */
	uint32_t flags;
	const char *name; /**< for accounts and messages, copied; NULL: "zone" */
	const char *owner; /**< for accounts, whose the bytes are, copied; NULL: dev's name, else
			      the container's */
	enum dmamap_placement placement;
	/**
	 * Threads that bring the pages to life, on CPUs of the node. 0: by the length and the CPUs
	 * (one for 128 MiB, 16 at most); 1: the calling thread alone, where the node's CPUs have
	 * better to do.
	 */
	unsigned int threads;
	/**
	 * Called by the calling thread while pages come to life, at the end with done == len. May
	 * be NULL: then a line is logged at most once a second. No function of this library may be
	 * called from within.
	 * @return 0; else the allocation is given up, whole, with -ECANCELED.
	 */
	int (*progress)(void *arg, uint64_t done, uint64_t len);
	void *progress_arg; /**< passed to progress */
	/**
	 * Addresses, of the process and for devices, that are reserved for the zone to grow into
	 * (dmamap_zone_resize()); not 0: at least len. 0: it cannot grow. They cost no memory. Not
	 * without an IOMMU, whose lack leaves nothing to choose.
	 */
	size_t max_len;
};

/**
 * Allocate memory that devices can reach: hugepage-backed, zeroed, placed on the device's NUMA
 * node, pinned and mapped at one IOVA range. It vanishes with the process, however that ends.
 *
 * @return
 *   - 0: *z, to be given back with dmamap_zone_free() or with its container.
 *   - -EINVAL: conf makes no sense.
 *   - -ENODEV: no such node, or none that this process may use.
 *   - -ENOTSUP: max_len where no IOMMU translates, or on a kernel that cannot move hugepages
 * (before Linux 5.16).
 *   - -ENOENT: this system has no pages of that size.
 *   - -ENOMEM: too few hugepages on the node (the log says how many are needed and free, and how to
 *     reserve more), a hugetlb cgroup's limit, too little memory, or RLIMIT_MEMLOCK.
 *   - -ENOSPC: see dmamap_map().
 *   - -ECANCELED: by conf->progress.
 */
int dmamap_zone_alloc(
	struct dmamap_container *c, const struct dmamap_zone_conf *conf, struct dmamap_zone **z);
/**
 * Unmap and free a zone.
 * @return 0; -EIO as with dmamap_unmap(), and the zone is gone all the same; another error of
 * dmamap_unmap(): nothing changed.
 */
int dmamap_zone_free(struct dmamap_zone *z);
/**
 * Let a zone grow or shrink at its end, all or not at all. What is in it keeps its addresses, those
 * of the process and those for devices.
 *
 * Each growth is a mapping of its own, with pages of the zone's kind and size. A mapping cannot be
 * cut (see dmamap_unmap()), so a zone shrinks by whole growths only: to a length that it has had,
 * and never below the one it was made with. Nobody else may use the zone's functions meanwhile;
 * devices may use what stays.
 *
 * @param len  bytes, rounded up to whole pages, at most conf.max_len.
 * @return
 *   - 0; also if nothing changes.
 *   - -EINVAL: no zone or length, or a shrinking that would cut a growth; the log names the lengths
 * below and above.
 *   - -ENOSPC: more than conf.max_len, or a domain has no entry left.
 *   - -EBUSY: memory in what would go is registered by somebody (dmamap_register()).
 *   - -EIO: what was to go is gone, but a domain may still translate it; the zone is shorter, and
 * cannot grow there again.
 *   - -ENOMEM: as with dmamap_zone_alloc(). conf.progress is not called.
 */
int dmamap_zone_resize(struct dmamap_zone *z, size_t len);
/** First byte of a zone. */
void *dmamap_zone_va(const struct dmamap_zone *z);
/** Its IOVA. */
rte_iova_t dmamap_zone_iova(const struct dmamap_zone *z);
/** Its length in bytes, a multiple of the page size. */
size_t dmamap_zone_len(const struct dmamap_zone *z);
/** The size of its pages in bytes. */
size_t dmamap_zone_page_size(const struct dmamap_zone *z);
/** The NUMA node its pages are really on, or -1 if on several. */
int dmamap_zone_node(const struct dmamap_zone *z);

/** Bytes on a NUMA node. */
struct dmamap_node_len {
	int node; /**< -1: the kernel does not say, or there were more nodes than room for them */
	uint64_t len; /**< bytes, not 0 */
};

/** Nodes that a report has room for; there are few machines with more. */
#define DMAMAP_NODES_MAX 64

/** What a zone is, and where its bytes really are. */
struct dmamap_zone_info {
	const char *name; /**< valid as long as the zone */
	const char *owner; /**< whose the bytes are; valid as long as the zone and its container */
	size_t len; /**< bytes */
	size_t max_len; /**< bytes that it can grow to; len, if it cannot */
	size_t page_size; /**< bytes */
	enum dmamap_page_kind kind;
	enum dmamap_placement placement; /**< as asked for */
	int node; /**< as asked for, LOCAL: as it was then; -1: any */
	bool as_asked; /**< all bytes are where the placement wants them */
	unsigned int n_nodes;
	struct dmamap_node_len
		nodes[DMAMAP_NODES_MAX]; /**< the first n_nodes are set, ascending by node */
};

/** Describe a zone, as of when its pages came to life. @return 0, or -EINVAL. */
int dmamap_zone_info(const struct dmamap_zone *z, struct dmamap_zone_info *info);

/** A part of the account of this process's memory: bytes of one zone on one node, or memory that is
 * not Gantry's. */
struct dmamap_memory {
	const char *container; /**< its name */
	const char *zone; /**< its name; FOREIGN: "mapped", "registered" or "idle" (registered,
			     without users) */
	const char *owner; /**< whose the bytes are, see struct dmamap_zone_conf */
	enum dmamap_page_kind kind;
	size_t page_size; /**< bytes; 0: FOREIGN */
	int node; /**< NUMA node; -1: not known, FOREIGN */
	uint64_t len; /**< bytes, not 0 */
};

/**
 * Give an account of every byte that this process has in containers: fn is called for each zone,
 * node by node, and for each container with what it maps of memory that is not Gantry's. Each byte
 * is counted once in a container (aliases are not counted); what is mapped in two containers is
 * counted in both, as FOREIGN where it is no zone.
 *
 * The same is told by telemetry, where the EAL runs it: /dmamap/memory, /dmamap/owners,
 * /dmamap/zones, /dmamap/containers, /dmamap/container,NAME.
 *
 * @param fn  gets what is valid until it returns, under locks: it calls no function of this
 * library. Not 0: stop.
 * @return 0; what fn returned; -EINVAL: no fn.
 */
int dmamap_memory_walk(int (*fn)(const struct dmamap_memory *memory, void *arg), void *arg);

/** Zones in the window are multiples of this. */
#define DMAMAP_WINDOW_UNIT (UINT64_C(2) << 20)
/** Units that struct dmamap_window tells apart: 16 bits of a unit's number, which a load extends
 * for nothing. */
#define DMAMAP_WINDOW_UNITS 65536u

/**
 * What dmamap_va2iova() looks at first: zones of whole hugepages lie in one window of address
 * space, in which an IOVA is the VA plus a constant. A container begins with this. Laid open for
 * that function alone, not for other use.
 *
 * One comparison tells whether an address is the window's and whether its unit is published, and
 * the two loads of a look-up do not depend on each other.
 */
struct dmamap_window {
	/** By the last bits of its number, VA / DMAMAP_WINDOW_UNIT: that number, if the unit is
	 * published. Read with acquire */
	uint64_t unit[DMAMAP_WINDOW_UNITS];
	uint64_t delta; /**< IOVA minus VA; set once, before any unit is published */
};

/** Does an address lie in a published unit? delta can be read then. */
static inline bool
dmamap_window_has(const struct dmamap_window *w, uint64_t va)
{
	const uint64_t unit = va / DMAMAP_WINDOW_UNIT;

	return __atomic_load_n(&w->unit[unit % DMAMAP_WINDOW_UNITS], __ATOMIC_ACQUIRE) == unit;
}

/** dmamap_va2iova() for what does not lie in the window. */
rte_iova_t dmamap_va2iova_outside(const struct dmamap_container *c, const void *va);

/**
 * Translate an address of this process into the IOVA at which the container's devices reach it.
 * Lock-free, any thread.
 * @return the IOVA, or RTE_BAD_IOVA if nothing is mapped there.
 */
static inline rte_iova_t
dmamap_va2iova(const struct dmamap_container *c, const void *va)
{
	const struct dmamap_window *w = (const struct dmamap_window *)(const void *)c;

	/* Who asks is most often right: the way there has no jump. */
	if (likely(dmamap_window_has(w, (uintptr_t)va)))
		return (uintptr_t)va + w->delta;
	return dmamap_va2iova_outside(c, va);
}

/**
 * Translate a run, for scatter lists: how far from va on are the IOVAs contiguous too? Lock-free,
 * any thread.
 *
 * @param len  in: bytes wanted from va on. Out: how many of them, from va on, are one run of IOVAs;
 * 0: va is not mapped.
 * @return the IOVA of va, or RTE_BAD_IOVA.
 */
rte_iova_t dmamap_va2iova_run(const struct dmamap_container *c, const void *va, size_t *len);

/** The way back. @return the address, or NULL if nothing is mapped at that IOVA. */
void *dmamap_iova2va(const struct dmamap_container *c, rte_iova_t iova);

#ifdef __cplusplus
}
#endif

#endif /* DMAMAP_H */
