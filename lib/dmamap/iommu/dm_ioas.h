/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * An IOAS, one IOVA address space of iommufd: create, query, map, unmap.
 *
 * Called by the iommufd backend and compat_group.c. Map, copy and unmap of one IOAS may run in
 * several threads at once; the caller serialises all other calls. No call takes a lock here; the
 * kernel may sleep.
 */

#ifndef DM_IOAS_H
#define DM_IOAS_H

#include "dm_iommu.h"

/** An IOAS. The owner embeds it; constant after dm_ioas_create() but for the flags. */
struct dm_ioas {
	const struct dm_iommu *iommu; /**< backend that opened iommufd */
	int iommufd; /**< open /dev/iommu; borrowed from the backend */
	uint32_t id;
	bool shared; /**< iommufd was handed in, so others may use it as a VFIO container too */
	bool is_compat; /**< this IOAS is set as the VFIO container of iommufd */
};

/* All return 0 or the kernel's negative errno. */

/**
 * Create an IOAS without mappings.
 * @param ioas  out: to be freed by dm_ioas_destroy() on success.
 */
int dm_ioas_create(const struct dm_iommu *iommu, int iommufd, struct dm_ioas *ioas);
/** Unmap what is left and free the IOAS. No device may be attached. A failure is logged. */
void dm_ioas_destroy(const struct dm_ioas *ioas);

/**
 * Read usable ranges, page sizes and coherency. iommufd reports only the smallest page size, so all
 * powers of two from there up are returned.
 * @param info  out: the caller frees info->ranges.
 * @return also -EPROTO: malformed answer (logged); -ENOMEM.
 */
int dm_ioas_info(const struct dm_ioas *ioas, struct dm_iommu_info *info);

/**
 * Map [iova, iova + len - 1] to the memory at va and pin it.
 * @param prot  DMAMAP_READ | DMAMAP_WRITE
 */
int dm_ioas_map(const struct dm_ioas *ioas, dmamap_iova_t iova, const void *va, uint64_t len,
	uint32_t prot);
/** Map what `from` maps at the same IOVA; the pages are shared and not pinned again. */
int dm_ioas_copy(const struct dm_ioas *ioas, const struct dm_ioas *from, dmamap_iova_t iova,
	uint64_t len, uint32_t prot);
/**
 * Unmap. In a forked process nothing is done, and the whole length is reported.
 * @param done  out: bytes unmapped; 0 on error.
 * @return also -ENOENT: nothing is mapped in the range.
 */
int dm_ioas_unmap(const struct dm_ioas *ioas, dmamap_iova_t iova, uint64_t len, uint64_t *done);
/**
 * Set this IOAS as the VFIO container of iommufd (IOMMU_VFIO_IOAS), until dm_ioas_compat_clear().
 * @return also -EBUSY: another IOAS is set on an iommufd that was handed in. Logged.
 */
int dm_ioas_compat_set(struct dm_ioas *ioas);
/** Undo dm_ioas_compat_set(). No group may be attached. */
void dm_ioas_compat_clear(struct dm_ioas *ioas);
/** Unmap everything. A failure is logged. */
void dm_ioas_clear(const struct dm_ioas *ioas);

#endif /* DM_IOAS_H */
