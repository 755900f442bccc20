/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal interface of the mock kernel: its objects, and the functions that its files share.
 * Included by the files of the mock only.
 *
 * Invariant: the machine's lock guards all objects. Every function here is called with it held, and
 * returns 0 (or a number) or a negative errno, unless stated otherwise.
 */

#ifndef MOCK_PRIV_H
#define MOCK_PRIV_H

#include <pthread.h>
#include <stdio.h>
#include <sys/queue.h>

#include <linux/vfio.h>

#include "dmamap_kernel.h"
#include "vfio_mock.h"

/** Unit in which the kernel charges and checks memory. */
#define MOCK_PAGE UINT64_C(4096)
#define MOCK_FAULTS 64
/** Mount point of sysfs. */
#define MOCK_SYSFS "/sys"
#define MOCK_BUCKETS 1024

struct mock_ctx;
struct mock_ioas;
struct mock_pages;
struct mock_vdev;

/** A map of a container or an IOAS. Page tables of domains refer to it. */
struct mock_map {
	struct dmamap_range iova;
	uint64_t va;
	uint32_t prot; /**< DMAMAP_READ | DMAMAP_WRITE */
	unsigned int process; /**< process that mapped it */
	bool va_invalid; /**< VFIO_DMA_UNMAP_FLAG_VADDR was applied to it */
	uint64_t charged; /**< type1: pages of locked memory */
	/* Only in an IOAS: */
	struct mock_pages *pages; /**< memory that it maps a part of; copies share it */
	TAILQ_ENTRY(mock_map) in_pages;
	bool filled; /**< is in page tables, so its memory is pinned */
};
TAILQ_HEAD(mock_map_list, mock_map);

struct mock_chunk;

/** Maps, in ascending order, disjoint. */
struct mock_table {
	size_t n; /**< maps */
	size_t n_chunks, cap;
	struct mock_chunk **chunks;
	dmamap_iova_t *first; /**< first address of each chunk */
};

/** Usable IOVAs, in ascending order, disjoint. */
struct mock_ranges {
	struct dmamap_range *v;
	size_t n;
};

struct mock_iommu {
	TAILQ_ENTRY(mock_iommu) next;
	int id;
	struct vfio_mock_iommu_conf conf;
};

/** Bytes of a UUID as text, with its NUL. */
#define MOCK_TOKEN_LEN 37

struct mock_device {
	TAILQ_ENTRY(mock_device) next;
	LIST_ENTRY(mock_device) same_hash;
	TAILQ_ENTRY(mock_device) in_group;
	char name[DMAMAP_NAME_MAX];
	char driver[DMAMAP_NAME_MAX];
	int node;
	struct mock_group *group;
	unsigned int open; /**< open files */
	int index; /**< number of its character device */
	struct mock_vdev *vdev; /**< regions and interrupts; NULL: not described */
	bool has_cdev; /**< the modelled Linux has device files (cdevs) */
	unsigned int granted; /**< files with access: bound to an iommufd, or opened by the group */
	struct mock_ctx *ctx; /**< iommufd that it is bound to, or NULL */
	uint32_t id; /**< its object ID in that iommufd */
	bool attached; /**< to the page tables of its group, which then belong to an IOAS */
	char pf[DMAMAP_NAME_MAX]; /**< its physical function; "": it is no virtual function */
	char vf_token[MOCK_TOKEN_LEN]; /**< of a physical function: a UUID; "": none set yet */
};

struct mock_group {
	TAILQ_ENTRY(mock_group) next;
	int id;
	struct mock_iommu *iommu; /**< NULL: noiommu */
	TAILQ_HEAD(, mock_device) devices; /**< devices of the group */
	bool no_snoop_control;
	unsigned int n_resv;
	struct vfio_mock_resv *resv;
	unsigned int refs; /**< of its open file: the descriptor, and one for each open device */
	unsigned int devices_open;
	struct mock_container *container; /**< container that it was set to */
	struct mock_domain *domain; /**< domain that translates for it; NULL: its DMA is blocked */
	struct mock_ctx *ctx; /**< iommufd that it was set to in place of a container */
	unsigned int cdevs_bound; /**< its devices that are bound by their character devices */
	unsigned int n_attached; /**< its devices that are attached to page tables of an IOAS */
	TAILQ_ENTRY(mock_group) in_container;
	TAILQ_ENTRY(mock_group) in_domain;
};
TAILQ_HEAD(mock_group_list, mock_group);

/** A set of page tables. */
struct mock_domain {
	TAILQ_ENTRY(mock_domain) next;
	struct mock_iommu *iommu;
	bool coherent;
	struct mock_table table;
	struct mock_group_list groups;
	struct mock_ioas *ioas; /**< IOAS that it belongs to; NULL: type1's */
	uint32_t id; /**< object ID in the iommufd */
};
TAILQ_HEAD(mock_domain_list, mock_domain);

/** A kernel container: one open of /dev/vfio/vfio. */
struct mock_container {
	TAILQ_ENTRY(mock_container) next;
	unsigned int refs; /**< its file and its groups */
	unsigned long type; /**< type of VFIO_SET_IOMMU; 0: none yet */
	bool noiommu;
	struct mock_group_list groups;
	/* Only with type1: */
	struct mock_domain_list domains;
	struct mock_table maps;
	struct mock_ranges ranges;
	uint64_t page_sizes;
	unsigned int entries_left;
	unsigned int va_invalid;
	bool dirty_tracking;
};

/** Memory of one IOMMU_IOAS_MAP. */
struct mock_pages {
	unsigned int refs; /**< maps, and calls in progress */
	uint64_t va, len;
	bool writable;
	uint64_t charged; /**< pinned pages, each counted once, however often it is mapped */
	struct mock_map_list areas; /**< maps of this memory, by ascending va */
};

/** An IOVA address space of an iommufd. */
struct mock_ioas {
	TAILQ_ENTRY(mock_ioas) next;
	struct mock_ctx *ctx;
	uint32_t id;
	struct mock_table areas;
	struct mock_domain_list domains;
	struct mock_ranges allowed; /**< ranges for automatic maps; none: no restriction */
	bool base_pages; /**< no large pages in the page tables, so maps can be split */
};

/** One open of /dev/iommu. */
struct mock_ctx {
	TAILQ_ENTRY(mock_ctx) next;
	unsigned int refs; /**< its file, its groups, devices bound to it */
	TAILQ_HEAD(, mock_ioas) spaces;
	uint32_t low_id; /**< no object ID below it is free */
	struct mock_ioas *compat; /**< IOAS that VFIO container ioctls act on, or NULL */
	bool per_process; /**< IOMMU_OPTION_RLIMIT_MODE */
};

enum mock_file_kind {
	MOCK_NONE,
	MOCK_CONTAINER,
	MOCK_GROUP,
	MOCK_DEVICE,
	MOCK_IOMMUFD,
	MOCK_CDEV,
	MOCK_FOLDER, /**< /dev/vfio/devices */
	MOCK_COPY, /**< another descriptor of an open file */
};

struct mock_file {
	enum mock_file_kind kind;
	union {
		struct mock_container *container;
		struct mock_group *group;
		struct mock_device *device; /**< also for MOCK_CDEV */
		struct mock_ctx *ctx;
	};
	bool is_real; /**< its number is a real descriptor: a device with regions */
	int number; /**< the real descriptor */
	int of; /**< MOCK_COPY: index of the file */
	unsigned int copies; /**< further descriptors of the file */
	bool closed; /**< its own descriptor is closed, but not all copies are */
	/** MOCK_CDEV: bound to an iommufd; MOCK_DEVICE: opened by a group in an iommufd */
	bool bound;
};

struct vfio_mock {
	pthread_mutex_t lock;
	struct vfio_mock_conf conf;
	/** result of vfio_mock_kernel(); filled in at its first call */
	struct dmamap_kernel kernel;
	int n_iommus, n_groups, n_devices;
	TAILQ_HEAD(, mock_iommu) iommus;
	TAILQ_HEAD(, mock_device) devices;
	LIST_HEAD(, mock_device) by_name[MOCK_BUCKETS];
	struct mock_group_list groups;
	struct mock_group **group_by_id; /**< n_groups entries; none is ever removed */
	TAILQ_HEAD(, mock_container) containers;
	TAILQ_HEAD(, mock_ctx) ctxs;
	struct mock_file *files;
	int n_files;
	int low_file; /**< no index below it is free */
	/** Memory that the current call faulted in before it took the lock; {0, 0}: none. */
	uint64_t present_va, present_len;
	bool present_writable;
	unsigned int process;
	uint64_t locked; /**< pages */

	uint64_t calls[VFIO_MOCK_N_CALLS];
	uint32_t fail_kinds;
	uint64_t fail_nth;
	int fail_err;
	int failed_kind;
	int fail_all[VFIO_MOCK_N_CALLS];
	uint64_t short_nth;
	uint64_t short_most;

	unsigned int n_faults;
	int fault_fd; /**< vfio_mock_log_faults(); -1: none */
	struct vfio_mock_fault faults[MOCK_FAULTS];
};

/**
 * Count a call, and decide whether it fails.
 * @return 0; the negative errno that a test requested.
 */
int mock_call(struct vfio_mock *m, enum vfio_mock_call kind);

/** Log all objects that are still in use. @return their number. */
unsigned int mock_report_leaks(const struct vfio_mock *m);

/** @return NULL: no such device. */
struct mock_device *mock_find_device(struct vfio_mock *m, const char *name);
struct mock_group *mock_find_group(struct vfio_mock *m, int id);
/** Whether the device's driver is a host driver that does DMA, so that its group is not viable. */
bool mock_claims_dma(const struct mock_device *dev);
/** Whether the device is bound to a VFIO driver. */
bool mock_is_vfio(const struct mock_device *dev);
/** Number of its file in /dev/vfio/devices; -1: none. */
int mock_cdev_number(const struct mock_device *dev);
/** Whether a host driver owns the group's DMA. */
bool mock_claimed(const struct mock_group *group);

/** @return the open file of a descriptor; NULL: not open. */
struct mock_file *mock_file_get(struct vfio_mock *m, int fd);
/**
 * Create a file at the lowest free number. The number of a device with regions is a real
 * descriptor.
 * @return its number; -ENOMEM; -EMFILE.
 */
int mock_file_new(struct vfio_mock *m, struct mock_file file);
/** Create another descriptor of a file. @return its number; -EBADF; -ENOMEM; -EMFILE. */
int mock_file_dup(struct vfio_mock *m, int fd);
/**
 * Close a descriptor.
 * @param last  out: the file, if this was its last descriptor; else its kind is MOCK_NONE.
 * @return 0 or -EBADF.
 */
int mock_file_close(struct vfio_mock *m, int fd, struct mock_file *last);
/** Free a file and its number. */
void mock_file_free(struct vfio_mock *m, struct mock_file *file);

/** First map that ends at or after iova, or NULL. */
struct mock_map *mock_table_from(const struct mock_table *table, dmamap_iova_t iova);
/** Map after one that is in the table, or NULL. */
struct mock_map *mock_table_next(const struct mock_table *table, const struct mock_map *map);
/** All maps in ascending order. The loop must not remove any. */
#define MOCK_TABLE_FOREACH(map, table)                                                             \
	for ((map) = mock_table_from(table, 0); (map) != NULL; (map) = mock_table_next(table, map))
/** First map that overlaps r, or NULL. */
struct mock_map *mock_table_find(const struct mock_table *table, struct dmamap_range r);
/** Add a map that overlaps none in the table. @return 0 or -ENOMEM. */
int mock_table_add(struct mock_table *table, struct mock_map *map);
/** Remove a map; no effect if it is not in the table. */
void mock_table_del(struct mock_table *table, const struct mock_map *map);
void mock_table_free(struct mock_table *table);

/** Copy into memory of its own, with a spare slot for one more range. @return 0 or -ENOMEM. */
int mock_ranges_copy(struct mock_ranges *dst, const struct mock_ranges *src);
/** Restrict to r. An empty list means that nothing is known yet; it becomes r. */
void mock_ranges_clip(struct mock_ranges *ranges, struct dmamap_range r);
/** Remove r, which may split a range. @return 0 or -ENOMEM. */
int mock_ranges_exclude(struct mock_ranges *ranges, struct dmamap_range r);
/** Remove the reserved ranges of a group. @return 0; -EINVAL: nothing is left; -ENOMEM. */
int mock_ranges_exclude_reserved(struct mock_ranges *ranges, const struct mock_group *group);
bool mock_ranges_contain(const struct mock_ranges *ranges, struct dmamap_range r);
/** Replace the content by that of `with`, which is empty afterwards. */
void mock_ranges_replace(struct mock_ranges *ranges, struct mock_ranges *with);

uint64_t mock_smallest_page(uint64_t page_sizes);
/**
 * Add a map to one domain's page tables.
 * @return 0; -EINVAL: not aligned to its pages; -ENOMEM; the errno that a test requested.
 */
int mock_domain_map(struct vfio_mock *m, struct mock_domain *dom, struct mock_map *map);
/** Remove a map from one domain's page tables. */
void mock_domain_unmap(struct vfio_mock *m, struct mock_domain *dom, const struct mock_map *map);

/** Charge locked pages. @return 0; -ENOMEM: over the limit. */
int mock_charge(struct vfio_mock *m, uint64_t pages);
/**
 * Fault memory in, in whole pages, unless that was done before the lock was taken.
 * @return 0 or -EFAULT.
 */
int mock_populate(const struct vfio_mock *m, uint64_t va, uint64_t len, uint32_t prot);
/** Fault memory in, in whole pages. Without the lock. @return 0 or -EFAULT. */
int mock_fault_in(uint64_t va, uint64_t len, bool writable);
/** Whether the limit of locked memory allows this many more pages. */
bool mock_may_charge(const struct vfio_mock *m, uint64_t pages);
/** Whether a range ends beyond the last address. size is not 0. */
bool mock_wraps(uint64_t start, uint64_t size);
/** Whether a border of r lies inside a map. */
bool mock_bisects(const struct mock_table *maps, struct dmamap_range r);
/** Count an unmap. @return whether a test requested that it falls short. */
bool mock_short_unmap(struct vfio_mock *m);

/** Set the type of a container to type1. */
void mock_type1_open(struct vfio_mock *m, struct mock_container *c, unsigned long type);
/** Unmap everything and reset the type. No group is left. */
void mock_type1_release(struct vfio_mock *m, struct mock_container *c);
/** Attach a group. All or nothing. @return 0; the negative errno of VFIO_GROUP_SET_CONTAINER. */
int mock_type1_attach(struct vfio_mock *m, struct mock_container *c, struct mock_group *group);
/** Detach a group. The last group of a domain removes the domain; the last domain, all maps. */
void mock_type1_detach(struct vfio_mock *m, struct mock_container *c, struct mock_group *group);
int mock_type1_ioctl(
	struct vfio_mock *m, struct mock_container *c, unsigned long request, unsigned long arg);
/** VFIO_CHECK_EXTENSION. Before VFIO_SET_IOMMU, c is NULL or has no type. */
int mock_type1_extension(const struct mock_container *c, unsigned long extension);

/* The address space of an iommufd */

/** Arguments of a map. */
struct mock_ioas_request {
	bool fixed;
	uint32_t prot;
	uint64_t len;
	dmamap_iova_t iova; /**< out, if not fixed */
};

/** @return an IOAS without an ID; NULL: out of memory. */
struct mock_ioas *mock_ioas_new(struct mock_ctx *ctx);
/** Unmap everything and free the IOAS. No page table is left. */
void mock_ioas_free(struct vfio_mock *m, struct mock_ioas *ioas);
/**
 * IOVAs that are in the apertures and not reserved.
 * @return 0 or -ENOMEM; the caller frees `out`.
 */
int mock_ioas_usable(struct vfio_mock *m, const struct mock_ioas *ioas, struct mock_ranges *out);
/** Alignment of all maps, in bytes. */
uint64_t mock_ioas_alignment(const struct mock_ioas *ioas);
/** @return 0; -EADDRINUSE: a map or an allowed range overlaps r. */
int mock_ioas_check_free(const struct mock_ioas *ioas, struct dmamap_range r);
/** IOMMU_IOAS_MAP. All or nothing. @return 0; a negative errno of Linux. */
int mock_ioas_map(struct vfio_mock *m, struct mock_ioas *ioas, uint64_t va,
	struct mock_ioas_request *request);
/** IOMMU_IOAS_COPY. All or nothing. @return 0; a negative errno of Linux. */
int mock_ioas_copy(struct vfio_mock *m, struct mock_ioas *to, const struct mock_ioas *from,
	dmamap_iova_t from_iova, struct mock_ioas_request *request);
/**
 * Unmap the maps in r, from the lowest on.
 * @param done  out: bytes that were unmapped.
 * @return 0, also if nothing was mapped; -ENOENT: r splits a map, and those before it are unmapped.
 */
int mock_ioas_unmap(
	struct vfio_mock *m, struct mock_ioas *ioas, struct dmamap_range r, uint64_t *done);
/**
 * Split the map around `last`, so that one part ends there. No effect at a border of a map.
 * @return 0; -EINVAL: not aligned; -ENOMEM.
 */
int mock_ioas_cut(struct mock_ioas *ioas, dmamap_iova_t last);
/**
 * Add page tables for a group's IOMMU, filled with all maps. All or nothing.
 * @return 0; a negative errno of Linux.
 */
int mock_ioas_add_domain(struct vfio_mock *m, struct mock_ioas *ioas,
	const struct mock_group *group, struct mock_domain **out);
/** Remove page tables. No group uses them. */
void mock_ioas_remove_domain(struct vfio_mock *m, struct mock_domain *dom);
/**
 * IOMMU_OPTION_HUGE_PAGES.
 * @return 0; -EINVAL: something is mapped; -EADDRINUSE: a map is not aligned to base pages.
 */
int mock_ioas_set_base_pages(struct mock_ioas *ioas, bool yes);

/* iommufd and its devices */

/**
 * open(2) of /dev/iommu.
 * @return its number; -ENOENT: the modelled Linux has none; -ENOMEM; -EMFILE.
 */
int mock_ctx_open(struct vfio_mock *m);
/** Drop a reference; the last one frees the iommufd. */
void mock_ctx_put(struct vfio_mock *m, struct mock_ctx *ctx);
int mock_iommufd_ioctl(
	struct vfio_mock *m, struct mock_ctx *ctx, unsigned long request, unsigned long arg);
struct mock_ioas *mock_ioas_find(struct mock_ctx *ctx, uint32_t id);
/** Whether an object of the iommufd has this ID. */
bool mock_id_taken(struct vfio_mock *m, const struct mock_ctx *ctx, uint32_t id);
/** Mark an object ID free. */
void mock_id_free(struct mock_ctx *ctx, uint32_t id);
/** Lowest free object ID. */
uint32_t mock_free_id(struct vfio_mock *m, struct mock_ctx *ctx);
/** VFIO container ioctls on an iommufd. */
int mock_compat_ioctl(
	struct vfio_mock *m, struct mock_ctx *ctx, unsigned long request, unsigned long arg);

/** open(2) below /dev/vfio/devices/. @param name  "" for the directory itself. */
int mock_cdev_open(struct vfio_mock *m, const char *name);
int mock_cdev_ioctl(
	struct vfio_mock *m, struct mock_file *file, unsigned long request, unsigned long arg);
/**
 * Bind a device to an iommufd.
 * @return 0; -EPERM: interrupts are not isolated, or the group has another owner.
 */
int mock_device_bind(struct vfio_mock *m, struct mock_device *dev, struct mock_ctx *ctx);
/** Unbind a device, detaching it first. */
void mock_device_unbind(struct vfio_mock *m, struct mock_device *dev);
/**
 * Attach a bound device.
 * @param id  in: an IOAS or a page table; out: the page table.
 * @return 0; a negative errno of Linux.
 */
int mock_device_attach(struct vfio_mock *m, struct mock_device *dev, uint32_t *id);
void mock_device_detach(struct vfio_mock *m, struct mock_device *dev);
/** Whether an iommufd other than ctx, which may be NULL, has one of the group's devices. */
bool mock_owned_elsewhere(const struct mock_group *group, const struct mock_ctx *ctx);

/**
 * Write the answer to VFIO_IOMMU_GET_INFO: the structure and its capabilities.
 * @param avail           entries left, for the capability dma_avail.
 * @param migration_page  page size of dirty tracking; 0: no migration capability.
 * @return 0; -EINVAL: argsz is too small; -ENOMEM.
 */
int mock_answer_info(struct vfio_iommu_type1_info *arg, uint64_t page_sizes,
	const struct mock_ranges *ranges, uint32_t avail, uint64_t migration_page);

/* Devices that a test described */

/** @return 0; -EINVAL: a region or a number of vectors is too large; -ENOMEM; -EMFILE. */
int mock_vdev_new(const struct vfio_mock_device_conf *conf, struct mock_vdev **out);
/** Free a description; NULL is allowed. */
void mock_vdev_free(struct mock_vdev *vdev);
/** Open a descriptor of its regions. @return the descriptor; a negative errno. */
int mock_vdev_open(const struct mock_vdev *vdev);
/** Disable all interrupts, when the last file of the device is closed. */
void mock_vdev_disable_irqs(struct mock_vdev *vdev);
void *mock_vdev_region(const struct mock_vdev *vdev, unsigned int index);
unsigned int mock_vdev_resets(const struct mock_vdev *vdev);
unsigned int mock_vdev_hot_resets(const struct mock_vdev *vdev);
/** Count a reset of the device's bus. */
void mock_vdev_hot_reset(struct mock_vdev *vdev);
/** @see vfio_mock_interrupt() */
int mock_vdev_fire(struct mock_vdev *vdev, unsigned int index, unsigned int vector);
int mock_vdev_ioctl(struct mock_vdev *vdev, unsigned long request, unsigned long arg);
/**
 * Check the VF token with which a device is opened, and set it if the device is a physical
 * function.
 * @param token  a UUID as text, or "".
 * @return 0; -EACCES: missing or wrong; -EINVAL: given for a VF whose PF vfio-pci does not hold.
 */
int mock_token_check(struct vfio_mock *m, struct mock_device *dev, const char *token);
/** ioctl on the file of a device. */
int mock_device_ioctl(struct vfio_mock *m, const struct mock_file *file, unsigned long request,
	unsigned long arg);
/** VFIO_DEVICE_GET_PCI_HOT_RESET_INFO and VFIO_DEVICE_PCI_HOT_RESET on the file of a device. */
int mock_hot_reset_ioctl(struct vfio_mock *m, const struct mock_file *file, unsigned long request,
	unsigned long arg);

/* VFIO's containers and groups */

int mock_open_container(struct vfio_mock *m);
/** @param noiommu  the name begins with "noiommu-". */
int mock_open_group(struct vfio_mock *m, int id, bool noiommu);
int mock_container_ioctl(
	struct vfio_mock *m, struct mock_container *c, unsigned long request, unsigned long arg);
int mock_group_ioctl(
	struct vfio_mock *m, struct mock_group *group, unsigned long request, unsigned long arg);
void mock_container_put(struct vfio_mock *m, struct mock_container *c);
/**
 * Drop a reference: of the descriptor, or of an open device. The last one closes the group's file.
 */
void mock_group_put(struct vfio_mock *m, struct mock_group *group);
/** Close a file of a device, opened through its group or by its character device. */
void mock_close_device(struct vfio_mock *m, const struct mock_file *file);

/* sysfs, with the contracts of struct dmamap_kernel. */

int mock_sysfs_read(struct vfio_mock *m, const char *path, char *buf, size_t size);
int mock_sysfs_link(struct vfio_mock *m, const char *path, char *buf, size_t size);
/** @param names  out: allocated with malloc(); the caller frees it. */
int mock_sysfs_list(
	struct vfio_mock *m, const char *path, char (**names)[DMAMAP_NAME_MAX], unsigned int *n);

#endif /* MOCK_PRIV_H */
