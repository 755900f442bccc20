/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does the modelled kernel consist of? Objects that its parts share; the model's lock guards all.
 */

#ifndef MODEL_PRIV_H
#define MODEL_PRIV_H

#include <pthread.h>
#include <stdio.h>
#include <sys/queue.h>

#include "model_kernel.h"

/** The kernel charges and checks in these. */
#define MK_PAGE UINT64_C(4096)
#define MK_FAULTS 64

/** One map of a container. Page tables of domains refer to it. */
struct mk_map {
	struct dmamap_range iova;
	uint64_t va;
	uint32_t prot;	      /**< DMAMAP_READ | DMAMAP_WRITE */
	unsigned int process; /**< who mapped it */
	bool va_invalid;      /**< VFIO_DMA_UNMAP_FLAG_VADDR was used on it */
	uint64_t charged;     /**< pages of locked memory */
};

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
};

struct mk_group {
	TAILQ_ENTRY(mk_group) next;
	int id;
	struct mk_iommu *iommu; /**< NULL: noiommu */
	bool no_snoop_control;
	unsigned int n_resv;
	struct dmamap_model_resv *resv;
	unsigned int refs;	 /**< of its open file: the fd and one for each open device */
	unsigned int devices_open;
	struct mk_container *container; /**< that it was set to */
	struct mk_domain *domain;	/**< that translates for it; NULL: all its DMA is blocked */
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
};

/** A kernel container: /dev/vfio/vfio as opened once. */
struct mk_container {
	TAILQ_ENTRY(mk_container) next;
	unsigned int refs;  /**< its file and its groups */
	unsigned long type; /**< what SET_IOMMU chose; 0: none yet */
	bool noiommu;
	struct mk_group_list groups;
	/* type1's: */
	TAILQ_HEAD(, mk_domain) domains;
	struct mk_table maps;
	struct mk_ranges ranges;
	uint64_t page_sizes;
	unsigned int entries_left;
	unsigned int va_invalid;
	bool dirty_tracking;
};

enum mk_file_kind {
	MK_NONE,
	MK_CONTAINER,
	MK_GROUP,
	MK_DEVICE,
};

struct mk_file {
	enum mk_file_kind kind;
	union {
		struct mk_container *container;
		struct mk_group *group;
		struct mk_device *device;
	};
};

struct dmamap_model {
	pthread_mutex_t lock;
	struct dmamap_model_conf conf;
	int n_iommus, n_groups;
	TAILQ_HEAD(, mk_iommu) iommus;
	TAILQ_HEAD(, mk_device) devices;
	struct mk_group_list groups;
	TAILQ_HEAD(, mk_container) containers;
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

/** Count a call, and say whether it is to fail. @return 0 or the negative errno that was wished for. */
int mk_call(struct dmamap_model *m, enum dmamap_model_call kind);

struct mk_device *mk_find_device(struct dmamap_model *m, const char *name);
struct mk_group *mk_find_group(struct dmamap_model *m, int id);
/** Does the device's driver do DMA on the host's behalf, so that its group is not viable? */
bool mk_spoils(const struct mk_device *dev);
/** Is the device bound to a driver of VFIO? */
bool mk_is_vfio(const struct mk_device *dev);
/** Does a driver of the host own the group's DMA? */
bool mk_claimed(struct dmamap_model *m, const struct mk_group *group);

/** Index of the first map that ends at or after iova; table->n: none. */
size_t mk_table_from(const struct mk_table *table, rte_iova_t iova);
/** First map that overlaps r, or NULL. */
struct mk_map *mk_table_find(const struct mk_table *table, struct dmamap_range r);
/** @return 0 or -ENOMEM. */
int mk_table_add(struct mk_table *table, struct mk_map *map);
void mk_table_del(struct mk_table *table, const struct mk_map *map);
void mk_table_free(struct mk_table *table);

/** type1 opens its state in a container. */
void mk_type1_open(struct dmamap_model *m, struct mk_container *c, unsigned long type);
/** type1 forgets everything; no group is left. */
void mk_type1_release(struct dmamap_model *m, struct mk_container *c);
/** A group joins. @return 0 or the negative errno of SET_CONTAINER; then nothing has changed. */
int mk_type1_attach(struct dmamap_model *m, struct mk_container *c, struct mk_group *group);
void mk_type1_detach(struct dmamap_model *m, struct mk_container *c, struct mk_group *group);
int mk_type1_ioctl(struct dmamap_model *m, struct mk_container *c, unsigned long request,
	unsigned long arg);
/** VFIO_CHECK_EXTENSION; c is NULL or without a type before SET_IOMMU. */
int mk_type1_extension(const struct mk_container *c, unsigned long extension);

#endif /* MODEL_PRIV_H */
