/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does the modelled kernel consist of? Objects that its parts share; the model's lock guards
 * all.
 */

#ifndef MODEL_PRIV_H
#define MODEL_PRIV_H

#include <pthread.h>
#include <stdio.h>
#include <sys/queue.h>

#include <linux/vfio.h>

#include "model_kernel.h"

/** The kernel charges and checks in these. */
#define MK_PAGE UINT64_C(4096)
#define MK_FAULTS 64

struct mk_ctx;
struct mk_ioas;
struct mk_pages;

/** One map of a container or an IOAS. Page tables of domains refer to it. */
struct mk_map {
	struct dmamap_range iova;
	uint64_t va;
	uint32_t prot; /**< DMAMAP_READ | DMAMAP_WRITE */
	unsigned int process; /**< who mapped it */
	bool va_invalid; /**< VFIO_DMA_UNMAP_FLAG_VADDR was used on it */
	uint64_t charged; /**< pages of locked memory; type1's */
	/* An IOAS's: */
	struct mk_pages *pages; /**< whose part it maps; copies share them */
	TAILQ_ENTRY(mk_map) in_pages;
	bool filled; /**< it is in page tables, so that its memory is pinned */
};
TAILQ_HEAD(mk_map_list, mk_map);

/** Maps, ascending, disjoint. */
struct mk_table {
	struct mk_map **v;
	size_t n, cap;
};

/** Usable IOVAs, ascending, disjoint. */
struct mk_ranges {
	struct dmamap_range *v;
	size_t n;
};

struct mk_iommu {
	TAILQ_ENTRY(mk_iommu) next;
	int id;
	struct dmamap_model_iommu_conf conf;
};

struct mk_device {
	TAILQ_ENTRY(mk_device) next;
	char name[DMAMAP_NAME_MAX];
	char driver[DMAMAP_NAME_MAX];
	int node;
	struct mk_group *group;
	unsigned int open; /**< files */
	int index; /**< of its character device */
	unsigned int
		granted; /**< files that may use it: bound to an iommufd, or opened by the group */
	struct mk_ctx *ctx; /**< iommufd that it is bound to, or NULL */
	uint32_t id; /**< its number there */
	bool attached; /**< to its group's page tables, which are then an IOAS's */
};

struct mk_group {
	TAILQ_ENTRY(mk_group) next;
	int id;
	struct mk_iommu *iommu; /**< NULL: noiommu */
	bool no_snoop_control;
	unsigned int n_resv;
	struct dmamap_model_resv *resv;
	unsigned int refs; /**< of its open file: the fd and one for each open device */
	unsigned int devices_open;
	struct mk_container *container; /**< that it was set to */
	struct mk_domain *domain; /**< that translates for it; NULL: all its DMA is blocked */
	struct mk_ctx *ctx; /**< iommufd that it was set to instead */
	unsigned int cdevs_bound; /**< of its devices, by their character devices */
	unsigned int n_attached; /**< of its devices, to an IOAS's page tables */
	TAILQ_ENTRY(mk_group) in_container;
	TAILQ_ENTRY(mk_group) in_domain;
};
TAILQ_HEAD(mk_group_list, mk_group);

/** One set of page tables. */
struct mk_domain {
	TAILQ_ENTRY(mk_domain) next;
	struct mk_iommu *iommu;
	bool coherent;
	struct mk_table table;
	struct mk_group_list groups;
	struct mk_ioas *ioas; /**< whose it is, or NULL: type1's */
	uint32_t id; /**< in the iommufd */
};
TAILQ_HEAD(mk_domain_list, mk_domain);

/** A kernel container: /dev/vfio/vfio as opened once. */
struct mk_container {
	TAILQ_ENTRY(mk_container) next;
	unsigned int refs; /**< its file and its groups */
	unsigned long type; /**< what SET_IOMMU chose; 0: none yet */
	bool noiommu;
	struct mk_group_list groups;
	/* type1's: */
	struct mk_domain_list domains;
	struct mk_table maps;
	struct mk_ranges ranges;
	uint64_t page_sizes;
	unsigned int entries_left;
	unsigned int va_invalid;
	bool dirty_tracking;
};

/** Memory that was given to IOMMU_IOAS_MAP once. */
struct mk_pages {
	unsigned int refs; /**< maps, and calls under way */
	uint64_t va, len;
	bool writable;
	uint64_t charged; /**< pages of it that are pinned: once, however often they are mapped */
	struct mk_map_list areas; /**< maps of it, ascending by va */
};

/** An IOVA address space of an iommufd. */
struct mk_ioas {
	TAILQ_ENTRY(mk_ioas) next;
	struct mk_ctx *ctx;
	uint32_t id;
	struct mk_table areas;
	struct mk_domain_list domains;
	struct mk_ranges allowed; /**< for automatic maps; none: anywhere */
	bool base_pages; /**< maps can be cut, since page tables have no large pages */
};

/** /dev/iommu as opened once. */
struct mk_ctx {
	TAILQ_ENTRY(mk_ctx) next;
	unsigned int refs; /**< its file, its groups, devices that are bound to it */
	TAILQ_HEAD(, mk_ioas) spaces;
	struct mk_ioas *compat; /**< what the calls of VFIO's containers mean, or NULL */
	bool per_process; /**< IOMMU_OPTION_RLIMIT_MODE */
};

enum mk_file_kind {
	MK_NONE,
	MK_CONTAINER,
	MK_GROUP,
	MK_DEVICE,
	MK_IOMMUFD,
	MK_CDEV,
	MK_FOLDER, /**< /dev/vfio/devices */
};

struct mk_file {
	enum mk_file_kind kind;
	union {
		struct mk_container *container;
		struct mk_group *group;
		struct mk_device *device; /**< also of MK_CDEV */
		struct mk_ctx *ctx;
	};
	bool bound; /**< a character device, to an iommufd; a device, by a group in an iommufd */
};

struct dmamap_model {
	pthread_mutex_t lock;
	struct dmamap_model_conf conf;
	int n_iommus, n_groups, n_devices;
	TAILQ_HEAD(, mk_iommu) iommus;
	TAILQ_HEAD(, mk_device) devices;
	struct mk_group_list groups;
	TAILQ_HEAD(, mk_container) containers;
	TAILQ_HEAD(, mk_ctx) ctxs;
	struct mk_file *files;
	int n_files;
	unsigned int process;
	uint64_t locked; /**< pages */

	uint64_t calls[DMAMAP_MODEL_N_CALLS];
	uint32_t fail_kinds;
	uint64_t fail_nth;
	int fail_err;
	int failed_kind;
	int fail_all[DMAMAP_MODEL_N_CALLS];
	uint64_t short_nth;
	uint64_t short_most;

	unsigned int n_faults;
	struct dmamap_model_fault faults[MK_FAULTS];
};

/** Count a call, and say whether it is to fail. @return 0 or the negative errno that was wished
 * for. */
int mk_call(struct dmamap_model *m, enum dmamap_model_call kind);

struct mk_device *mk_find_device(struct dmamap_model *m, const char *name);
struct mk_group *mk_find_group(struct dmamap_model *m, int id);
/** Does the device's driver do DMA on the host's behalf, so that its group is not viable? */
bool mk_spoils(const struct mk_device *dev);
/** Is the device bound to a driver of VFIO? */
bool mk_is_vfio(const struct mk_device *dev);
/** Does a driver of the host own the group's DMA? */
bool mk_claimed(struct dmamap_model *m, const struct mk_group *group);

/** An open file, or NULL. */
struct mk_file *mk_file_get(struct dmamap_model *m, int fd);
/** A new file, with the lowest free number. @return its number, or -ENOMEM. */
int mk_file_new(struct dmamap_model *m, struct mk_file file);

/** Index of the first map that ends at or after iova; table->n: none. */
size_t mk_table_from(const struct mk_table *table, rte_iova_t iova);
/** First map that overlaps r, or NULL. */
struct mk_map *mk_table_find(const struct mk_table *table, struct dmamap_range r);
/** @return 0 or -ENOMEM. */
int mk_table_add(struct mk_table *table, struct mk_map *map);
void mk_table_del(struct mk_table *table, const struct mk_map *map);
void mk_table_free(struct mk_table *table);

/** dst gets memory of its own, with room for one more range. @return 0 or -ENOMEM. */
int mk_ranges_copy(struct mk_ranges *dst, const struct mk_ranges *src);
/** Keep what lies in r. An empty list means "nothing known yet", and becomes r. */
void mk_ranges_clip(struct mk_ranges *ranges, struct dmamap_range r);
/** Take r out, which may split one range. @return 0 or -ENOMEM. */
int mk_ranges_exclude(struct mk_ranges *ranges, struct dmamap_range r);
/** Take out what a group reserves. @return 0; -EINVAL: nothing is left; -ENOMEM. */
int mk_ranges_exclude_reserved(struct mk_ranges *ranges, const struct mk_group *group);
bool mk_ranges_contain(const struct mk_ranges *ranges, struct dmamap_range r);
/** Move `with` over. */
void mk_ranges_replace(struct mk_ranges *ranges, struct mk_ranges *with);

uint64_t mk_smallest_page(uint64_t page_sizes);
/** Into one domain's page tables, and out of them. @return 0; -EINVAL: off its pages; -ENOMEM; a
 * wish. */
int mk_domain_map(struct dmamap_model *m, struct mk_domain *dom, struct mk_map *map);
/** @see mk_domain_map() */
void mk_domain_unmap(struct dmamap_model *m, struct mk_domain *dom, const struct mk_map *map);

/** Charge pages of locked memory. @return 0; -ENOMEM: over the limit. */
int mk_charge(struct dmamap_model *m, uint64_t pages);
/** Fault memory in, in whole pages. @return 0 or -EFAULT. */
int mk_populate(const struct dmamap_model *m, uint64_t va, uint64_t len, uint32_t prot);
/** Does the range go beyond the last address? size is not 0. */
bool mk_wraps(uint64_t start, uint64_t size);
/** Does a border of r lie inside of a map? */
bool mk_bisects(const struct mk_table *maps, struct dmamap_range r);
/** Is this unmap one that a test wished to fall short? Counts it. */
bool mk_short_unmap(struct dmamap_model *m);

/** type1 opens its state in a container. */
void mk_type1_open(struct dmamap_model *m, struct mk_container *c, unsigned long type);
/** type1 forgets everything; no group is left. */
void mk_type1_release(struct dmamap_model *m, struct mk_container *c);
/** A group joins. @return 0 or the negative errno of SET_CONTAINER; then nothing has changed. */
int mk_type1_attach(struct dmamap_model *m, struct mk_container *c, struct mk_group *group);
void mk_type1_detach(struct dmamap_model *m, struct mk_container *c, struct mk_group *group);
int mk_type1_ioctl(
	struct dmamap_model *m, struct mk_container *c, unsigned long request, unsigned long arg);
/** VFIO_CHECK_EXTENSION; c is NULL or without a type before SET_IOMMU. */
int mk_type1_extension(const struct mk_container *c, unsigned long extension);

/* The address space of an iommufd */

/** What a map asks for. */
struct mk_ioas_request {
	bool fixed;
	uint32_t prot;
	uint64_t len;
	rte_iova_t iova; /**< comes back if it was not fixed */
};

struct mk_ioas *mk_ioas_new(struct mk_ctx *ctx);
/** Unmap all and forget it; no page table is left. */
void mk_ioas_free(struct dmamap_model *m, struct mk_ioas *ioas);
/** What has no owner. @return 0 or -ENOMEM; out is to be freed. */
int mk_ioas_usable(struct dmamap_model *m, const struct mk_ioas *ioas, struct mk_ranges *out);
/** Bytes that all maps are multiples of. */
uint64_t mk_ioas_alignment(const struct mk_ioas *ioas);
/** @return 0; -EADDRINUSE: a map or an allowed range is there. */
int mk_ioas_check_free(const struct mk_ioas *ioas, struct dmamap_range r);
int mk_ioas_map(
	struct dmamap_model *m, struct mk_ioas *ioas, uint64_t va, struct mk_ioas_request *request);
int mk_ioas_copy(struct dmamap_model *m, struct mk_ioas *to, const struct mk_ioas *from,
	rte_iova_t from_iova, struct mk_ioas_request *request);
/** Whole maps in r. @return 0, nothing unmapped included; -ENOENT: a map is not whole, those before
 * are gone. */
int mk_ioas_unmap(
	struct dmamap_model *m, struct mk_ioas *ioas, struct dmamap_range r, uint64_t *done);
/** Make `last` the last address of the map that it lies in, where that is possible. */
int mk_ioas_cut(struct mk_ioas *ioas, rte_iova_t last);
/** Give an IOAS page tables for a group's IOMMU. */
int mk_ioas_add_domain(struct dmamap_model *m, struct mk_ioas *ioas, const struct mk_group *group,
	struct mk_domain **out);
/** Take page tables away; no group is in them. */
void mk_ioas_remove_domain(struct dmamap_model *m, struct mk_domain *dom);
/** IOMMU_OPTION_HUGE_PAGES. @return 0; -EINVAL: something is mapped; -EADDRINUSE: off base pages.
 */
int mk_ioas_set_base_pages(struct mk_ioas *ioas, bool yes);

/* iommufd and its devices */

int mk_iommufd_open(struct dmamap_model *m);
void mk_iommufd_put(struct dmamap_model *m, struct mk_ctx *ctx);
int mk_iommufd_ioctl(
	struct dmamap_model *m, struct mk_ctx *ctx, unsigned long request, unsigned long arg);
struct mk_ioas *mk_ioas_find(struct mk_ctx *ctx, uint32_t id);
/** Has an object of an iommufd this number? */
bool mk_id_taken(struct dmamap_model *m, const struct mk_ctx *ctx, uint32_t id);
/** The lowest number that none has. */
uint32_t mk_free_id(struct dmamap_model *m, const struct mk_ctx *ctx);
/** VFIO's calls on an iommufd. */
int mk_compat_ioctl(
	struct dmamap_model *m, struct mk_ctx *ctx, unsigned long request, unsigned long arg);

int mk_cdev_open(struct dmamap_model *m, const char *name);
int mk_cdev_ioctl(
	struct dmamap_model *m, struct mk_file *file, unsigned long request, unsigned long arg);
/** Bind a device to an iommufd. @return 0; -EPERM: interrupts, or another owner of the group. */
int mk_device_bind(struct dmamap_model *m, struct mk_device *dev, struct mk_ctx *ctx);
/** Detach it too. */
void mk_device_unbind(struct dmamap_model *m, struct mk_device *dev);
/** Attach a bound device to an IOAS or a page table. @param id  comes back as the page table's. */
int mk_device_attach(struct dmamap_model *m, struct mk_device *dev, uint32_t *id);
void mk_device_detach(struct dmamap_model *m, struct mk_device *dev);
/** Has an iommufd other than ctx (which may be NULL) one of the group's devices? */
bool mk_owned_elsewhere(
	struct dmamap_model *m, const struct mk_group *group, const struct mk_ctx *ctx);

/**
 * Write VFIO_IOMMU_GET_INFO's answer: a head with these page sizes, and the capabilities.
 * @param avail  of dma_avail.
 * @param migration_page  what dirty pages are told in; 0: they are not.
 */
int mk_answer_info(struct vfio_iommu_type1_info *arg, uint64_t page_sizes,
	const struct mk_ranges *ranges, uint32_t avail, uint64_t migration_page);

#endif /* MODEL_PRIV_H */
