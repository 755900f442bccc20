/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
 * Copyright (c) 2026 The Gantry authors
 *
 * What the kernel has mapped for a process: two BPF iterators over its open files, one for type1
 * containers and one for iommufd. Loaded by kernel.c.
 *
 * No lock of the kernel is held, so a tree may change during a walk. Each step searches the tree
 * from its root for the next entry by address. So a walk always ends, never shows an address twice,
 * and a wrong pointer is a failed read. It may miss entries: kernel.c repeats it until two are
 * equal.
 *
 * The structures below have only the members that are read, and the loader finds them by name in
 * the BTF of the running kernel and its modules (CO-RE). Source: drivers/vfio/container.c,
 * drivers/vfio/vfio_iommu_type1.c, drivers/iommu/iommufd/ of Linux 6.12.
 */

#include <linux/bpf.h>
#include <linux/types.h>
#include <stddef.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "trace_wire.h"

/** Depth of a balanced tree of 2^32 entries. */
#define DEPTH_MAX 64
/** IDs of an iommufd that are looked at: they are given from 1 on. */
#define IDS_MAX 4096
/** Levels of an xarray with 64-bit indices and 6 bits a level. */
#define LEVELS_MAX 11

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct module {
	char name[56];
};

struct file_operations {
	struct module *owner;
};

struct inode {
	__u32 i_rdev;
};

struct file {
	const struct file_operations *f_op;
	struct inode *f_inode;
	void *private_data;
};

struct task_struct {
	int pid;
	int tgid;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct rb_node {
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
};

struct xarray {
	void *xa_head;
};

struct xa_node {
	unsigned char shift;
	void *slots[64];
};

/* vfio */
struct vfio_container {
	void *iommu_data;
};

/* vfio_iommu_type1 */
struct vfio_iommu {
	struct rb_root dma_list;
};

struct vfio_dma {
	struct rb_node node;
	__u64 iova;
	unsigned long vaddr;
	unsigned long size;
	int prot;
};

/* iommufd */
struct interval_tree_node {
	struct rb_node rb;
	unsigned long start;
	unsigned long last;
};

struct iopt_area {
	struct interval_tree_node node;
	int iommu_prot;
};

struct io_pagetable {
	struct rb_root_cached area_itree;
};

enum iommufd_object_type {
	IOMMUFD_OBJ_IOAS = 4,
};

struct iommufd_object {
	enum iommufd_object_type type;
	unsigned int id;
};

struct iommufd_ioas {
	struct iommufd_object obj;
	struct io_pagetable iopt;
};

struct iommufd_ctx {
	struct xarray objects;
};

#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct trace_wire_request);
} request SEC(".maps");

/** A walk in progress. */
struct walk {
	struct seq_file *seq;
	struct rb_node *root;
	__u64 next; /**< where the next entry begins at the earliest */
};

static __always_inline int
name_is_iommufd(const struct file *file)
{
	static const char wanted[8] = "iommufd";
	struct module *owner = BPF_CORE_READ(file, f_op, owner);
	char name[8] = "";
	int i;

	if (owner == NULL || BPF_CORE_READ_INTO(&name, owner, name) < 0)
		return 0;
	for (i = 0; i < 8; i++)
		if (name[i] != wanted[i])
			return 0;
	return 1;
}

/** @return whether a file of the process may be of this kind */
static __always_inline int
file_is(const struct file *file, const struct task_struct *task, __u32 fd,
	const struct trace_wire_request *q, int kind)
{
	__u32 device;

	if ((q->pid != 0 && (__u32)task->tgid != q->pid) ||
		(q->max > 0 && ((__u32)task->pid != q->tid || fd != q->fd)))
		return 0;
	device = BPF_CORE_READ(file, f_inode, i_rdev);
	if (device == 0)
		return 0;
	if (device == q->vfio)
		/* CONFIG_IOMMUFD_VFIO_CONTAINER: an iommufd has this device number. */
		return name_is_iommufd(file) == (kind == TRACE_WIRE_IOMMUFD);
	return device == q->iommufd && kind == TRACE_WIRE_IOMMUFD;
}

static __always_inline void
domain_show(struct seq_file *seq, struct trace_wire_domain d, __u32 id, const void *domain)
{
	d.id = id;
	d.domain = (__u64)domain;
	bpf_seq_write(seq, &d, sizeof(d));
}

/* type1 */

static long
dma_next(__u32 i, void *arg)
{
	struct walk *w = arg;
	struct rb_node *node = w->root;
	struct trace_wire_entry e = {0};
	struct vfio_dma *dma, *found = NULL;
	int depth;

	for (depth = 0; depth < DEPTH_MAX && node != NULL; depth++) {
		dma = (void *)node - bpf_core_field_offset(struct vfio_dma, node);
		if (BPF_CORE_READ(dma, iova) >= w->next) {
			found = dma;
			node = BPF_CORE_READ(node, rb_left);
		} else {
			node = BPF_CORE_READ(node, rb_right);
		}
	}
	if (found == NULL)
		return 1;
	e.start = BPF_CORE_READ(found, iova);
	e.last = e.start + BPF_CORE_READ(found, size) - 1;
	e.vaddr = BPF_CORE_READ(found, vaddr);
	e.prot = BPF_CORE_READ(found, prot) & 3;
	/* It was freed meanwhile. */
	if (e.start < w->next || e.last < e.start)
		return 1;
	bpf_seq_write(w->seq, &e, sizeof(e));
	w->next = e.last + 1;
	return w->next == 0;
}

SEC("iter/task_file")
int
audit_type1(struct bpf_iter__task_file *ctx)
{
	const __u32 zero = 0;
	struct trace_wire_request *q = bpf_map_lookup_elem(&request, &zero);
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct vfio_container *container;
	struct trace_wire_domain d = {0};
	struct vfio_iommu *iommu;
	struct walk w;

	if (q == NULL || task == NULL || file == NULL ||
		!file_is(file, task, ctx->fd, q, TRACE_WIRE_TYPE1))
		return 0;
	container = BPF_CORE_READ(file, private_data);
	iommu = BPF_CORE_READ(container, iommu_data);
	/* No VFIO_SET_IOMMU so far, or no IOMMU. */
	if (iommu == NULL)
		return 0;
	if (q->max == 0) {
		d.kind = TRACE_WIRE_TYPE1;
		d.fd = ctx->fd;
		d.tid = task->pid;
		domain_show(ctx->meta->seq, d, 0, iommu);
		return 0;
	}
	if ((__u64)iommu != q->domain)
		return 0;
	w.seq = ctx->meta->seq;
	w.root = BPF_CORE_READ(iommu, dma_list.rb_node);
	w.next = q->from;
	bpf_loop(q->max, dma_next, &w, 0);
	return 0;
}

/* iommufd */

/** An entry of an xarray that is no pointer: a node, or reserved. lib/xarray.c, xa_is_internal().
 */
static __always_inline int
xa_internal(const void *entry)
{
	return ((__u64)entry & 3) == 2;
}

static __always_inline void *
xa_find(const struct xarray *xa, __u64 index)
{
	void *entry = BPF_CORE_READ(xa, xa_head), *at;
	unsigned char shift;
	int level;

	for (level = 0; level < LEVELS_MAX && xa_internal(entry) && (__u64)entry > 4096; level++) {
		at = entry - 2;
		shift = BPF_CORE_READ((struct xa_node *)at, shift);
		if (shift > 60 || (level == 0 && index >> shift > 63))
			return NULL;
		at += bpf_core_field_offset(struct xa_node, slots) +
			(index >> shift & 63) * sizeof(void *);
		if (bpf_probe_read_kernel(&entry, sizeof(entry), at) < 0)
			return NULL;
	}
	return xa_internal(entry) ? NULL : entry;
}

/** The IOAS of an ID, or NULL. */
static __always_inline struct iommufd_ioas *
ioas_find(const struct iommufd_ctx *ictx, __u32 id)
{
	struct iommufd_object *object = xa_find(&ictx->objects, id);

	if (object == NULL || BPF_CORE_READ(object, id) != id ||
		BPF_CORE_READ(object, type) !=
			bpf_core_enum_value(enum iommufd_object_type, IOMMUFD_OBJ_IOAS))
		return NULL;
	return (void *)object - bpf_core_field_offset(struct iommufd_ioas, obj);
}

struct listing {
	struct seq_file *seq;
	struct trace_wire_domain d; /**< what all IOAS of an iommufd have in common */
	struct iommufd_ctx *ictx;
	__u64 want; /**< the IOAS that is searched for; 0: show all */
	int found;
};

static long
ioas_each(__u32 i, void *arg)
{
	struct listing *l = arg;
	struct iommufd_ioas *ioas = ioas_find(l->ictx, i);

	if (ioas == NULL)
		return 0;
	if (l->want == 0)
		domain_show(l->seq, l->d, i, ioas);
	l->found = (__u64)ioas == l->want;
	return l->found;
}

static long
area_next(__u32 i, void *arg)
{
	struct walk *w = arg;
	struct rb_node *node = w->root;
	struct trace_wire_entry e = {0};
	struct interval_tree_node *at, *found = NULL;
	struct iopt_area *area;
	int depth;

	for (depth = 0; depth < DEPTH_MAX && node != NULL; depth++) {
		at = (void *)node - bpf_core_field_offset(struct interval_tree_node, rb);
		if (BPF_CORE_READ(at, start) >= w->next) {
			found = at;
			node = BPF_CORE_READ(node, rb_left);
		} else {
			node = BPF_CORE_READ(node, rb_right);
		}
	}
	if (found == NULL)
		return 1;
	area = (void *)found - bpf_core_field_offset(struct iopt_area, node);
	e.start = BPF_CORE_READ(found, start);
	e.last = BPF_CORE_READ(found, last);
	e.prot = BPF_CORE_READ(area, iommu_prot) & 3;
	if (e.start < w->next || e.last < e.start)
		return 1;
	bpf_seq_write(w->seq, &e, sizeof(e));
	w->next = e.last + 1;
	return w->next == 0;
}

SEC("iter/task_file")
int
audit_iommufd(struct bpf_iter__task_file *ctx)
{
	const __u32 zero = 0;
	struct trace_wire_request *q = bpf_map_lookup_elem(&request, &zero);
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct listing l = {0};
	struct iommufd_ioas *ioas;
	struct walk w;

	if (q == NULL || task == NULL || file == NULL ||
		!file_is(file, task, ctx->fd, q, TRACE_WIRE_IOMMUFD))
		return 0;
	l.seq = ctx->meta->seq;
	l.d.kind = TRACE_WIRE_IOMMUFD;
	l.d.fd = ctx->fd;
	l.d.tid = task->pid;
	l.ictx = BPF_CORE_READ(file, private_data);
	l.want = q->max > 0 ? q->domain : 0;
	bpf_loop(IDS_MAX, ioas_each, &l, 0);
	if (q->max == 0 || !l.found)
		return 0;
	ioas = (void *)q->domain;
	w.seq = ctx->meta->seq;
	w.root = BPF_CORE_READ(ioas, iopt.area_itree.rb_root.rb_node);
	w.next = q->from;
	bpf_loop(q->max, area_next, &w, 0);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
