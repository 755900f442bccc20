/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * On what do the facts of the contract stand? Calls that leave nothing behind, devices with a
 * property, answers told.
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

/** The kernel under test. */
extern const struct kernel *k;
extern uint8_t *memory; /**< PAGES pages, the last followed by a hole */

/** Prepare a case: memory, a kernel, its devices. @return as a suite's setup. */
int bench_setup(int (*begin)(const struct kernel **kernel));
/** Close what the case left open, and tell what it saw. */
void bench_teardown(void);
/** The same on a model, which goes too. */
void bench_teardown_model(void);

/** Note what was seen, for the table. */
void seen(const char *fmt, ...) __rte_format_printf(1, 2);
/** "EINVAL" for -EINVAL, "3" for 3. */
const char *answer_name(int rc);
/** Is got in the list? Which one it was is told where the list leaves a choice. */
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

/** @name Calls; files that a case leaves open are closed after it */
/**@{*/
int k_open(const char *path);
int k_open_group(const struct place *place);
void k_close(int fd);
int k_device(int group, const char *name);
int k_set_container(int group, int container);
int k_unset_container(int group);
int k_map_at(int c, uint64_t iova, uint64_t va, uint64_t size, uint32_t flags);
/** Map pages of the memory. */
int k_map(int c, uint64_t iova, unsigned int page, unsigned int pages);
/** @param done  bytes unmapped, 0 after an error. */
int k_unmap(int c, uint64_t iova, uint64_t size, uint32_t flags, uint64_t *done);
/**@}*/

/** What GET_INFO says, read as the contract has it. */
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

/** Which device has the property that a fact is about? */
enum need {
	PLAIN, /**< the first that works */
	SECOND, /**< another group, like PLAIN in all */
	OTHER_IOMMU, /**< another group behind another IOMMU, like PLAIN in the rest */
	UNVIABLE,
	NOIOMMU,
	RESERVED, /**< has a reserved range that PLAIN can use */
	RELAXABLE, /**< has a relaxable one */
	NARROW, /**< an aperture that ends before PLAIN's */
	LATE, /**< an aperture that starts after PLAIN's */
	DISJOINT, /**< an aperture that lacks all of it */
	NO_RANGE, /**< reserved ranges leave nothing */
	NO_MSI, /**< interrupts are not isolated */
	BIG_PAGES, /**< its smallest page is larger than PLAIN's */
	INCOHERENT, /**< not enforced, but PLAIN's is */
	TOP, /**< the last page of the address space can be used */
	TWIN, /**< another device of PLAIN's group */
	N_NEEDS,
};

/** A place and what it looks like when attached alone. */
struct probed {
	struct place place;
	bool viable;
	int rc; /**< of SET_IOMMU */
	bool coherent;
	struct facts facts;
	struct dmamap_range special; /**< what distinguishes it, where that is a range */
};

/** @return NULL: no device here has it. */
struct probed *find_place(enum need need);
/** @return TEST_SUCCESS, or a skip with its reason. */
int get_place(enum need need, struct probed **p);
/** Open the group of a place. */
int open_other(enum need need, struct probed **p, int *group);

/** A container with one group in it. */
struct bench {
	struct probed *at;
	int c, g;
};

/** Make one; type 0: without SET_IOMMU. */
int bench_open(struct bench *b, enum need need, unsigned long type);

#endif /* CONFORMANCE_BENCH_H */
