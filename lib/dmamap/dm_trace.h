/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Events of a container, for tracepoints: what was asked for, what came of it, how long it took.
 *
 * With the EAL they are tracepoints of DPDK, "lib.dmamap.*", which the option --trace of the EAL
 * switches on (dm_trace_eal.c). A build without the EAL has none (dm_trace_plain.c). Translations,
 * and registrations that are hits, have no event.
 *
 * Each is told after the fact, under no lock of the container's tables. Any thread; does not wait.
 * If it is off: a call and a look at one word. Called by container/.
 */

#ifndef DM_TRACE_H
#define DM_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "dmamap.h"

/**
 * @param ns  how long it took, in nanoseconds.
 * @param rc  0 or a negative errno.
 */
void dm_trace_attach(const char *container, const char *device, uint64_t ns, int rc);
void dm_trace_detach(const char *container, const char *device);
/** A request to map, of any kind. @param iova  the lowest one; with an error: the wanted one */
void dm_trace_map(const char *container, dmamap_iova_t iova, const void *va, uint64_t len,
	uint32_t flags, uint64_t ns, int rc);
/** A run of n mappings that were unmapped together. */
void dm_trace_unmap(const char *container, struct dmamap_range range, uint64_t n, int rc);
/** A call of the kernel for one domain. */
void dm_trace_kernel_map(const char *container, unsigned int domain, dmamap_iova_t iova,
	const void *va, uint64_t len, uint64_t ns, int rc);
void dm_trace_kernel_unmap(
	const char *container, unsigned int domain, struct dmamap_range range, uint64_t ns, int rc);
void dm_trace_reserve(const char *container, dmamap_iova_t iova, uint64_t len, int rc);
void dm_trace_release(const char *container, dmamap_iova_t iova, uint64_t len, int rc);
void dm_trace_zone_alloc(
	const char *container, const char *zone, dmamap_iova_t iova, uint64_t len, int rc);
void dm_trace_zone_free(const char *container, const char *zone, int rc);
/** A fault with a line. @param access  of struct dmamap_fault */
void dm_trace_fault(
	const char *device, const char *container, struct dmamap_range range, uint32_t access);

#endif /* DM_TRACE_H */
