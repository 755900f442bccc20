/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
 * Copyright (c) 2026 The Gantry authors
 *
 * Follows the calls of VFIO and iommufd of some processes, and what the kernel does to IOMMUs for
 * them. Loaded by follow.c.
 *
 * Each ioctl whose type is ';' is one of VFIO or iommufd (<linux/vfio.h>, <linux/iommufd.h>).
 * Histograms count every call, also those whose event finds no room in the ring buffer.
 */

#include <linux/bpf.h>
#include <linux/types.h>

#include <stddef.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "trace_wire.h"

/** _IOC_TYPE() of VFIO and iommufd. */
#define IOCTL_TYPE 0x3b
/** Calls of ioctl(2) in progress. */
#define CALLS_MAX 1024

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kobject {
	const char *name;
};

struct device {
	struct kobject kobj;
};

/* Registers that hold the first three arguments of a system call. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long di, si, dx;
};
#define ARGUMENT_1 di
#define ARGUMENT_2 si
#define ARGUMENT_3 dx
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 orig_x0; /* regs[0] has the result */
};
#define ARGUMENT_1 orig_x0
#define ARGUMENT_2 regs[1]
#define ARGUMENT_3 regs[2]
#else
#error "where are the arguments of a system call on this architecture?"
#endif

struct inode {
	__u32 i_rdev;
};

struct file {
	struct inode *f_inode;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct task_struct {
	int pid;
	int tgid;
	struct files_struct *files;
};

#pragma clang attribute pop

/** Processes that are followed: thread groups. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} followed SEC(".maps");

struct call {
	__u64 start;
	__u64 arg;
	__u32 request;
	__s32 fd;
};

/** Calls in progress, by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CALLS_MAX);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

/** By request. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct trace_wire_histogram);
} histograms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/** 0: events that found no room; 1: calls that found none in `calls` or `histograms`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/** Written by follow.c before the object is loaded. In a section of its own: libbpf's map of it. */
const volatile struct trace_wire_settings settings SEC(".rodata.settings") = {0};

static const struct trace_wire_histogram no_calls;

static __always_inline void
count_lost(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&lost, &what);

	if (n != NULL)
		__sync_fetch_and_add(n, 1);
}

static __always_inline int
is_followed(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return bpf_map_lookup_elem(&followed, &tgid) != NULL;
}

/** @return an event with its common members, which the caller submits; NULL: no room */
static __always_inline struct trace_wire_event *
event_begin(__u32 kind)
{
	struct trace_wire_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	__u64 who = bpf_get_current_pid_tgid();

	if (e == NULL) {
		count_lost(0);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = kind;
	e->tgid = who >> 32;
	e->tid = (__u32)who;
	e->time = bpf_ktime_get_boot_ns();
	return e;
}

/* ioctl(2) */

/** @return TRACE_WIRE_DEVICE: the file is neither a container nor an iommufd; else 0 */
static __always_inline __u32
file_kind(__u32 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;
	__u32 device;

	if (fd >= BPF_CORE_READ(table, max_fds) ||
		bpf_probe_read_kernel(&file, sizeof(file), files + fd) < 0 || file == NULL)
		return 0;
	device = BPF_CORE_READ(file, f_inode, i_rdev);
	return device != 0 && (device == settings.vfio_number || device == settings.iommufd_number)
		? 0
		: TRACE_WIRE_DEVICE;
}

SEC("raw_tp/sys_enter")
int
follow_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = (struct pt_regs *)ctx->args[0];
	__u64 thread = bpf_get_current_pid_tgid();
	unsigned long fd, request;
	struct call call = {0};

	if (ctx->args[1] != settings.ioctl_number || !is_followed())
		return 0;
	fd = BPF_CORE_READ(regs, ARGUMENT_1);
	request = BPF_CORE_READ(regs, ARGUMENT_2);
	call.arg = BPF_CORE_READ(regs, ARGUMENT_3);
	if ((request >> 8 & 0xff) != IOCTL_TYPE)
		return 0;
	call.request = (__u32)request;
	/* Numbers of iommufd, from 0x80 on, have one meaning. */
	if ((request & 0xff) < 0x80)
		call.request |= file_kind((__u32)fd);
	call.fd = (__s32)fd;
	call.start = bpf_ktime_get_boot_ns();
	if (bpf_map_update_elem(&calls, &thread, &call, BPF_ANY) < 0)
		count_lost(1);
	return 0;
}

/** Without a loop, of which the verifier would follow each way through. */
static __always_inline __u32
log2_of(__u64 n)
{
	__u32 log = 0, step;

	step = (n > 0xffffffff) << 5;
	n >>= step;
	log |= step;
	step = (n > 0xffff) << 4;
	n >>= step;
	log |= step;
	step = (n > 0xff) << 3;
	n >>= step;
	log |= step;
	step = (n > 0xf) << 2;
	n >>= step;
	log |= step;
	step = (n > 0x3) << 1;
	n >>= step;
	return log | step | (n > 1);
}

static __always_inline void
histogram_count(const struct call *call, __u64 latency, __s64 result)
{
	struct trace_wire_histogram *h = bpf_map_lookup_elem(&histograms, &call->request);
	__u32 bucket;

	if (h == NULL) {
		bpf_map_update_elem(&histograms, &call->request, &no_calls, BPF_NOEXIST);
		h = bpf_map_lookup_elem(&histograms, &call->request);
	}
	if (h == NULL) {
		count_lost(1);
		return;
	}
	bucket = log2_of(latency);
	__sync_fetch_and_add(&h->calls, 1);
	if (result < 0)
		__sync_fetch_and_add(&h->failed, 1);
	__sync_fetch_and_add(&h->sum, latency);
	if (bucket < TRACE_WIRE_BUCKETS)
		__sync_fetch_and_add(&h->buckets[bucket], 1);
}

SEC("raw_tp/sys_exit")
int
follow_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *at = bpf_map_lookup_elem(&calls, &thread), call;
	struct trace_wire_event *e;
	__u64 now;

	if (at == NULL)
		return 0;
	now = bpf_ktime_get_boot_ns();
	call = *at;
	bpf_map_delete_elem(&calls, &thread);
	histogram_count(&call, now - call.start, (__s64)ctx->args[1]);
	e = event_begin(TRACE_WIRE_IOCTL);
	if (e == NULL)
		return 0;
	e->time = now;
	e->latency = now - call.start;
	e->result = (__s64)ctx->args[1];
	e->request = call.request;
	e->fd = call.fd;
	e->has_bytes = bpf_probe_read_user(e->bytes, sizeof(e->bytes), (void *)call.arg) == 0;
	/* The structure may end before a page that is not mapped. */
	if (!e->has_bytes)
		e->has_bytes = bpf_probe_read_user(e->bytes, 32, (void *)call.arg) == 0;
	if (!e->has_bytes)
		e->has_bytes = bpf_probe_read_user(e->bytes, 24, (void *)call.arg) == 0;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("raw_tp/sched_process_fork")
int
follow_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = (struct task_struct *)ctx->args[0];
	struct task_struct *child = (struct task_struct *)ctx->args[1];
	__u32 of = BPF_CORE_READ(parent, tgid), tgid = BPF_CORE_READ(child, tgid), one = 1;

	if (settings.follow_children && tgid != of && bpf_map_lookup_elem(&followed, &of) != NULL)
		bpf_map_update_elem(&followed, &tgid, &one, BPF_ANY);
	return 0;
}

/* include/trace/events/iommu.h */

static __always_inline void
range_event(__u32 kind, __u64 iova, __u64 size)
{
	struct trace_wire_event *e = is_followed() ? event_begin(kind) : NULL;

	if (e == NULL)
		return;
	e->iova = iova;
	e->size = size;
	bpf_ringbuf_submit(e, 0);
}

SEC("raw_tp/map")
int
follow_map(struct bpf_raw_tracepoint_args *ctx)
{
	range_event(TRACE_WIRE_IOMMU_MAP, ctx->args[0], ctx->args[2]);
	return 0;
}

SEC("raw_tp/unmap")
int
follow_unmap(struct bpf_raw_tracepoint_args *ctx)
{
	range_event(TRACE_WIRE_IOMMU_UNMAP, ctx->args[0], ctx->args[1]);
	return 0;
}

static __always_inline void
device_event(struct trace_wire_event *e, const struct device *device)
{
	const char *name = BPF_CORE_READ(device, kobj.name);

	if (bpf_probe_read_kernel_str(e->device, sizeof(e->device), name) < 0)
		e->device[0] = '\0';
}

SEC("raw_tp/attach_device_to_domain")
int
follow_attach(struct bpf_raw_tracepoint_args *ctx)
{
	struct trace_wire_event *e = is_followed() ? event_begin(TRACE_WIRE_ATTACH) : NULL;

	if (e == NULL)
		return 0;
	device_event(e, (const struct device *)ctx->args[0]);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

/** Reported in an interrupt, so of all devices: the interrupted process did not cause it. */
SEC("raw_tp/io_page_fault")
int
follow_fault(struct bpf_raw_tracepoint_args *ctx)
{
	struct trace_wire_event *e = event_begin(TRACE_WIRE_FAULT);

	if (e == NULL)
		return 0;
	e->tgid = 0;
	e->tid = 0;
	e->iova = ctx->args[1];
	e->size = ctx->args[2];
	device_event(e, (const struct device *)ctx->args[0]);
	bpf_ringbuf_submit(e, 0);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
