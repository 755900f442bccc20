/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What the BPF programs of gantry-trace and the program itself pass to each other. Included by
 * both, so it has fixed-size types of the kernel only.
 */

#ifndef TRACE_WIRE_H
#define TRACE_WIRE_H

#include <linux/types.h>

/** Kind of a kernel domain. */
enum trace_wire_kind {
	TRACE_WIRE_TYPE1 = 1, /**< a container of VFIO with the type1 IOMMU driver */
	TRACE_WIRE_IOMMUFD = 2, /**< an IOAS of an iommufd */
};

/** What audit.bpf.c is asked for: element 0 of its map `request`. */
struct trace_wire_request {
	__u32 pid; /**< thread group in the first PID namespace; 0: the iterator is limited already
		    */
	__u32 vfio; /**< device number of /dev/vfio/vfio, as the kernel has it: major << 20 | minor
		     */
	__u32 iommufd; /**< of /dev/iommu */
	__u32 max; /**< entries in one answer; 0: list the domains */
	__u64 domain; /**< whose entries; from struct trace_wire_domain, as the next two */
	__u32 tid;
	__u32 fd;
	__u64 from; /**< first IOVA of interest */
};

/** A kernel domain, in the answer to a request with max 0. */
struct trace_wire_domain {
	__u32 kind; /**< enum trace_wire_kind */
	__u32 fd;
	__u32 tid;
	__u32 id; /**< of the IOAS; type1: 0 */
	__u64 domain; /**< identity in the kernel */
};

/** A mapping of the kernel. */
struct trace_wire_entry {
	__u64 start;
	__u64 last;
	__u64 vaddr; /**< address in the process; iommufd: 0 */
	__u32 prot; /**< 1: read, 2: write */
	__u32 pad;
};

/** Most entries in one answer: the buffer of an iterator has 32 KiB. */
#define TRACE_WIRE_ENTRIES 900

/** What follow.bpf.c follows. */
struct trace_wire_settings {
	__u32 ioctl_number; /**< of the system call */
	__u32 follow_children; /**< 1: processes that a followed one starts are followed, too */
	__u32 vfio_number; /**< device numbers, as in struct trace_wire_request */
	__u32 iommufd_number;
};

/** Kind of an event of follow.bpf.c. */
enum trace_wire_event_kind {
	TRACE_WIRE_IOCTL,
	TRACE_WIRE_IOMMU_MAP,
	TRACE_WIRE_IOMMU_UNMAP,
	TRACE_WIRE_ATTACH,
	TRACE_WIRE_FAULT,
};

/**
 * Added to a request if the file is neither a container nor an iommufd: VFIO uses the same numbers
 * for containers and for devices, as 0x3b71 for VFIO_IOMMU_MAP_DMA and VFIO_DEVICE_PCI_HOT_RESET.
 */
#define TRACE_WIRE_DEVICE 0x80000000u

/** Bytes of an ioctl's structure that are kept. */
#define TRACE_WIRE_BYTES 48
#define TRACE_WIRE_NAME 32

/** An event, in the ring buffer `events`. */
struct trace_wire_event {
	__u32 kind; /**< enum trace_wire_event_kind */
	__u32 tgid; /**< 0: none, as for a fault */
	__u32 tid;
	__u32 request; /**< of IOCTL, with TRACE_WIRE_DEVICE */
	__u64 time; /**< ns since boot, at its end */
	__u64 latency; /**< ns, of IOCTL */
	__s64 result; /**< of IOCTL: what the kernel returns */
	__s32 fd; /**< of IOCTL */
	__u32 has_bytes; /**< of IOCTL: bytes were read */
	union {
		__u8 bytes[TRACE_WIRE_BYTES]; /**< IOCTL: the structure, after the call */
		struct {
			__u64 iova, size; /**< IOMMU_MAP, IOMMU_UNMAP; FAULT: iova, and flags */
			char device[TRACE_WIRE_NAME]; /**< ATTACH, FAULT */
		};
	};
};

/** Buckets of a histogram; bucket n has latencies of 2^n to 2^(n + 1) - 1 ns. */
#define TRACE_WIRE_BUCKETS 40

/** Calls of one ioctl: value of the map `histograms`, whose key is the request. */
struct trace_wire_histogram {
	__u64 calls, failed;
	__u64 sum; /**< ns */
	__u64 buckets[TRACE_WIRE_BUCKETS];
};

#endif /* TRACE_WIRE_H */
