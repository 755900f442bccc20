/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Bench for the conformance facts: calls into the kernel whose files are closed after each case,
 * devices found by the property that a fact needs, and a record of answers for the table. Called
 * by test_conformance.c and test_conformance_iommufd.c. Single-threaded.
 */

#ifndef CONFORMANCE_BENCH_H
#define CONFORMANCE_BENCH_H

#include <linux/vfio.h>

#include "conformance.h"
#include "test.h"

#define PAGE 4096
#define PAGES 64
#define IOVA UINT64_C(0x40000000)
#define RD VFIO_DMA_MAP_FLAG_READ
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define V1 VFIO_TYPE1_IOMMU
#define V2 VFIO_TYPE1v2_IOMMU
#define NOTHING INT32_MAX /* ends a list of accepted answers */

/** The kernel under test; set by bench_setup(). */
extern const struct kernel *k;
extern uint8_t *memory; /**< PAGES pages, followed by pages without access */

/** Prepare a case: memory, a kernel, and its devices. @return as a suite's setup. */
int bench_setup(int (*begin)(const struct kernel **kernel));
/** Close what the case left open, and print its recorded answers; a suite's teardown. */
void bench_teardown(void);
/** As bench_teardown(), and destroy the mock kernel. */
void bench_teardown_mock(void);

/** Record an answer for the table of doc/conformance.md. */
void seen(const char *fmt, ...) __rte_format_printf(1, 2);
/** Name of a result: "EINVAL" for -EINVAL, "3" for 3. Valid until the next call. */
const char *answer_name(int rc);
/**
 * Whether got is in the list; prints a failure if not. If the list has several answers, the one
 * that was got is recorded.
 */
bool accepted(const char *what, int got, const int *list, int line);

#define WANT(what, got, ...)                                                                       \
	do {                                                                                       \
		if (!accepted(what, got, (const int[]){__VA_ARGS__, NOTHING}, __LINE__))           \
			return TEST_FAILED;                                                        \
	} while (0)

#define TRY(call)                                                                                  \
	do {                                                                                       \
		int try_rc = (call);                                                               \
		if (try_rc != TEST_SUCCESS)                                                        \
			return try_rc;                                                             \
	} while (0)

/** @name Calls of the kernel under test; files that a case leaves open are closed after it */
/**@{*/
int k_open(const char *path);
int k_open_group(const struct place *place);
void k_close(int fd);
int k_device(int group, const char *name);
int k_set_container(int group, int container);
int k_unset_container(int group);
int k_map_at(int c, uint64_t iova, uint64_t va, uint64_t size, uint32_t flags);
/** Map pages of `memory`, readable and writable. */
int k_map(int c, uint64_t iova, unsigned int page, unsigned int pages);
/** @param done  bytes unmapped, 0 after an error. */
int k_unmap(int c, uint64_t iova, uint64_t size, uint32_t flags, uint64_t *done);
/**@}*/

/** The answer of VFIO_IOMMU_GET_INFO, as the contract describes it. */
struct facts {
	uint64_t page_sizes;
	bool has_avail, has_ranges, has_migration;
	uint32_t avail;
	unsigned int n_ranges;
	struct dmamap_range ranges[32];
};

int k_info(int c, struct facts *f);
bool same_facts(const struct facts *a, const struct facts *b);
bool in_ranges(const struct facts *f, uint64_t iova);

/** Property of a device that a fact needs. */
enum need {
	PLAIN, /**< the first device that works */
	SECOND, /**< in another group, otherwise like PLAIN */
	OTHER_IOMMU, /**< in another group behind another IOMMU, otherwise like PLAIN */
	UNVIABLE,
	NOIOMMU,
	RESERVED, /**< has a reserved range that PLAIN can use */
	RELAXABLE, /**< has a relaxable reserved range */
	NARROW, /**< its aperture ends before PLAIN's */
	LATE, /**< its aperture starts after PLAIN's */
	DISJOINT, /**< its aperture has no address in common with PLAIN's */
	NO_RANGE, /**< its reserved ranges leave no usable address */
	NO_MSI, /**< its interrupts are not isolated */
	BIG_PAGES, /**< its smallest page is larger than PLAIN's */
	INCOHERENT, /**< its IOMMU does not enforce coherency, but PLAIN's does */
	TOP, /**< can use the last page of the 64-bit address space */
	TWIN, /**< another device of PLAIN's group */
	N_NEEDS,
};

/** A device, and its properties when it is attached alone. */
struct probed {
	struct place place;
	bool viable;
	int rc; /**< result of VFIO_SET_IOMMU */
	bool coherent;
	struct facts facts;
	struct dmamap_range
		special; /**< the range that distinguishes it, if its property is a range */
};

/** Find the device with a property. @return NULL: no device here has it. */
struct probed *find_place(enum need need);
/**
 * Find the device with a property, as find_place().
 * @return TEST_SUCCESS, or the result of test_skip().
 */
int get_place(enum need need, struct probed **p);
/** Find the device with a property, and open its group. @return as get_place(), or TEST_FAILED */
int open_other(enum need need, struct probed **p, int *group);

/** A container with one group in it. */
struct bench {
	struct probed *at;
	int c, g;
};

/**
 * Open a container with the group of a device.
 * @param type  of VFIO_SET_IOMMU; 0: without it
 */
int bench_open(struct bench *b, enum need need, unsigned long type);

#endif /* CONFORMANCE_BENCH_H */
