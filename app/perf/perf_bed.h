/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The set-up of benchmarks that use public calls only: a mock machine, a container, address space.
 *
 * Memory is address space without pages, so the mock looks at none. All set-ups are independent,
 * so two of them can be measured side by side.
 */

#ifndef GANTRY_PERF_BED_H
#define GANTRY_PERF_BED_H

#include <stdint.h>

#include "dmamap.h"
#include "dmamap_kernel.h"
#include "vfio_mock.h"

#define PERF_PAGE UINT64_C(4096)
#define PERF_M (UINT64_C(1) << 20)
#define PERF_G (UINT64_C(1) << 30)

/** Cost of a map call into the kernel. */
enum perf_kernel {
	PERF_KERNEL_MOCK, /**< the mock updates its page tables */
	PERF_KERNEL_FREE, /**< none: calls succeed at once, so the library's part is measured */
	PERF_KERNEL_BUSY, /**< each call takes PERF_BUSY_NS of CPU time, without a lock */
	PERF_KERNEL_SLOW, /**< as FREE, but maps of PERF_SLOW_LEN or more sleep */
};

/** CPU time of a call with PERF_KERNEL_BUSY. */
#define PERF_BUSY_NS 2000u

/** Length from which maps sleep with PERF_KERNEL_SLOW. */
#define PERF_SLOW_LEN (UINT64_C(4) << 30)

/** A machine with one IOMMU of 48 bits and groups of one device each, and a container on it. */
struct perf_bed {
	struct vfio_mock *mock;
	struct dmamap_kernel kernel;
	enum perf_kernel cost;
	struct dmamap_container *c;
	struct dmamap_device **dev; /**< attached devices, in the order of their numbers */
	unsigned int n_dev;
	unsigned int n_machine; /**< devices of the machine */
	char *area; /**< address space, aligned to 1 GiB */
	uint64_t area_len;
	void *area_base;
};

/** Parameters of a bed. */
struct perf_bed_conf {
	unsigned int n_machine; /**< devices of the machine */
	unsigned int n_attached; /**< devices that are attached at first */
	enum perf_kernel cost;
	unsigned int entry_limit; /**< entries of a domain; 0: more than any benchmark uses */
	uint64_t area_len; /**< bytes of address space */
	struct rte_rcu_qsbr *rcu; /**< readers of translations; NULL: none */
};

/** Make a bed. Call perf_bed_fini() after failure, too. @return 0 or a negative errno */
int perf_bed_init(struct perf_bed *b, const struct perf_bed_conf *conf);

/** Destroy the bed's container, machine and memory. A zeroed bed is accepted. */
void perf_bed_fini(struct perf_bed *b);

/** Attach the device with the next number. */
int perf_bed_attach(struct perf_bed *b);

/** Detach the device with the highest number. */
int perf_bed_detach(struct perf_bed *b);

/**
 * Map n buffers of len bytes, `stride` bytes apart from area + at on. The container chooses the
 * IOVAs. @return 0 or a negative errno
 */
int perf_bed_map(struct perf_bed *b, unsigned int n, uint64_t at, uint64_t len, uint64_t stride);

/** Register and deregister n buffers so placed. With an armed cache they stay mapped, idle. */
int perf_bed_idle(struct perf_bed *b, unsigned int n, uint64_t at, uint64_t len, uint64_t stride);

#endif /* GANTRY_PERF_BED_H */
