/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * An IOAS, one IOVA address space of iommufd. See dm_ioas.h.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm_ioas.h"
#include "dm_kernel.h"
#include "dm_log.h"
#include "dm_util.h"
#include "iommufd_abi.h"

/** Initial size of the array for ranges; it grows as needed. */
#define RANGES_FIRST 16
/** More ranges than this are taken as a malformed answer. */
#define RANGES_MAX 65536
/** Attempts until the array is large enough: ranges can be added in between. */
#define QUERY_MAX 8

int
dm_ioas_create(const struct dm_iommu *iommu, int iommufd, struct dm_ioas *ioas)
{
	struct abi_ioas_alloc alloc = {.size = sizeof(alloc)};
	int rc = dm_kernel_ioctl(iommu, iommufd, ABI_IOMMU_IOAS_ALLOC, &alloc);

	*ioas = (struct dm_ioas){.iommu = iommu, .iommufd = iommufd, .id = alloc.out_ioas_id};
	return rc;
}

void
dm_ioas_destroy(const struct dm_ioas *ioas)
{
	struct abi_iommu_destroy destroy = {.size = sizeof(destroy), .id = ioas->id};
	int rc = dm_kernel_ioctl(ioas->iommu, ioas->iommufd, ABI_IOMMU_DESTROY, &destroy);

	if (rc < 0 && rc != -ECHILD)
		DM_LOG(WARNING, "iommufd keeps IOAS %u until the container is destroyed: %s",
			ioas->id, strerror(-rc));
}

static int
ranges_malformed(const char *what)
{
	return DM_FAIL(EPROTO, "IOMMU_IOAS_IOVA_RANGES: malformed answer: %s", what);
}

/** Query the ranges; the array grows to the number that the kernel last reported. */
static int
ranges_query(const struct dm_ioas *ioas, struct abi_ioas_iova_ranges *cmd,
	struct abi_iova_range **ranges)
{
	struct abi_iova_range *more;
	uint32_t capacity = RANGES_FIRST;
	unsigned int i;
	int rc;

	for (i = 0; i < QUERY_MAX; i++) {
		more = realloc(*ranges, capacity * sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		*ranges = more;
		cmd->num_iovas = capacity;
		cmd->allowed_iovas = (uintptr_t)more;
		rc = dm_kernel_ioctl(ioas->iommu, ioas->iommufd, ABI_IOMMU_IOAS_IOVA_RANGES, cmd);
		if (rc == 0)
			return cmd->num_iovas <= capacity
				? 0
				: ranges_malformed("more ranges than the buffer holds");
		if (rc != -EMSGSIZE)
			return rc;
		if (cmd->num_iovas <= capacity || cmd->num_iovas > RANGES_MAX)
			return ranges_malformed("invalid number of ranges");
		capacity = cmd->num_iovas;
	}
	return ranges_malformed("the number of ranges grows without end");
}

static int
ranges_copy(const struct abi_iova_range *from, uint32_t n, struct dm_iommu_info *info)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (from[i].last < from[i].start || (i > 0 && from[i].start <= from[i - 1].last))
			return ranges_malformed("ranges are not ascending");
	info->ranges = malloc(DM_MAX(n, 1u) * sizeof(*info->ranges));
	if (info->ranges == NULL)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		info->ranges[i] = (struct dmamap_range){from[i].start, from[i].last};
	info->n_ranges = n;
	return 0;
}

/**
 * The IOAS that is set as the VFIO container of iommufd. @return 0; -ENODEV: none; else the
 * kernel's errno
 */
static int
compat_get(const struct dm_ioas *ioas, uint32_t *id)
{
	struct abi_vfio_ioas get = {.size = sizeof(get), .op = ABI_VFIO_IOAS_GET};
	int rc = dm_kernel_ioctl(ioas->iommu, ioas->iommufd, ABI_IOMMU_VFIO_IOAS, &get);

	*id = get.ioas_id;
	return rc;
}

static int
compat_change(const struct dm_ioas *ioas, uint32_t id, uint16_t op)
{
	struct abi_vfio_ioas change = {.size = sizeof(change), .ioas_id = id, .op = op};

	return dm_kernel_ioctl(ioas->iommu, ioas->iommufd, ABI_IOMMU_VFIO_IOAS, &change);
}

int
dm_ioas_compat_set(struct dm_ioas *ioas)
{
	uint32_t id;
	int rc;

	if (ioas->shared && compat_get(ioas, &id) == 0)
		return DM_FAIL(EBUSY,
			"the iommufd that was handed in is a VFIO container already (IOAS"
			" %u): hand in another one",
			id);
	rc = compat_change(ioas, ioas->id, ABI_VFIO_IOAS_SET);
	if (rc < 0)
		return rc == -ECHILD ? rc
				     : DM_FAIL(-rc, "iommufd cannot be set as a VFIO container: %s",
					       strerror(-rc));
	ioas->is_compat = true;
	return 0;
}

void
dm_ioas_compat_clear(struct dm_ioas *ioas)
{
	ioas->is_compat = false;
	compat_change(ioas, 0, ABI_VFIO_IOAS_CLEAR);
}

/** Coherency of the IOAS that is set as the VFIO container. */
static bool
compat_is_coherent(const struct dm_ioas *ioas)
{
	return dm_kernel_ioctl_int(
		       ioas->iommu, ioas->iommufd, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU) > 0;
}

/**
 * Query coherency. Only VFIO's compatibility interface reports it, for the one IOAS that is set as
 * the VFIO container (drivers/iommu/iommufd/vfio_compat.c, iommufd_vfio_cc_iommu()). While groups
 * are attached that IOAS is not replaced: a device may be opened at any time.
 */
static bool
ioas_is_coherent(const struct dm_ioas *ioas)
{
	uint32_t before;
	bool yes, had;

	if (ioas->is_compat)
		return compat_is_coherent(ioas);
	/* The application that handed in iommufd may have set its own IOAS; restore it. */
	had = ioas->shared && compat_get(ioas, &before) == 0;
	if (compat_change(ioas, ioas->id, ABI_VFIO_IOAS_SET) < 0)
		return false;
	yes = compat_is_coherent(ioas);
	if (had)
		compat_change(ioas, before, ABI_VFIO_IOAS_SET);
	else
		compat_change(ioas, 0, ABI_VFIO_IOAS_CLEAR);
	return yes;
}

int
dm_ioas_info(const struct dm_ioas *ioas, struct dm_iommu_info *info)
{
	struct abi_ioas_iova_ranges cmd = {.size = sizeof(cmd), .ioas_id = ioas->id};
	struct abi_iova_range *ranges = NULL;
	uint64_t smallest;
	int rc;

	*info = (struct dm_iommu_info){0};
	rc = ranges_query(ioas, &cmd, &ranges);
	if (rc == 0)
		rc = ranges_copy(ranges, cmd.num_iovas, info);
	free(ranges);
	if (rc < 0)
		return rc;
	smallest = DM_MAX(cmd.out_iova_alignment, (uint64_t)sysconf(_SC_PAGESIZE));
	info->page_sizes = ~(smallest - 1);
	info->entries_left = UINT64_MAX;
	info->coherent = ioas_is_coherent(ioas);
	return 0;
}

static uint32_t
map_flags(uint32_t prot)
{
	return ABI_IOAS_MAP_FIXED_IOVA | (prot & DMAMAP_READ ? ABI_IOAS_MAP_READABLE : 0) |
		(prot & DMAMAP_WRITE ? ABI_IOAS_MAP_WRITEABLE : 0);
}

int
dm_ioas_map(
	const struct dm_ioas *ioas, dmamap_iova_t iova, const void *va, uint64_t len, uint32_t prot)
{
	struct abi_ioas_map map = {
		.size = sizeof(map),
		.flags = map_flags(prot),
		.ioas_id = ioas->id,
		.user_va = (uintptr_t)va,
		.length = len,
		.iova = iova,
	};

	return dm_kernel_ioctl(ioas->iommu, ioas->iommufd, ABI_IOMMU_IOAS_MAP, &map);
}

int
dm_ioas_copy(const struct dm_ioas *ioas, const struct dm_ioas *from, dmamap_iova_t iova,
	uint64_t len, uint32_t prot)
{
	struct abi_ioas_copy copy = {
		.size = sizeof(copy),
		.flags = map_flags(prot),
		.dst_ioas_id = ioas->id,
		.src_ioas_id = from->id,
		.length = len,
		.dst_iova = iova,
		.src_iova = iova,
	};

	return dm_kernel_ioctl(ioas->iommu, ioas->iommufd, ABI_IOMMU_IOAS_COPY, &copy);
}

int
dm_ioas_unmap(const struct dm_ioas *ioas, dmamap_iova_t iova, uint64_t len, uint64_t *done)
{
	struct abi_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = ioas->id, .iova = iova, .length = len};
	int rc = dm_kernel_ioctl(ioas->iommu, ioas->iommufd, ABI_IOMMU_IOAS_UNMAP, &unmap);

	/* A forked process has nothing mapped in the parent's IOMMU. */
	if (rc == -ECHILD) {
		*done = len;
		return 0;
	}
	*done = rc < 0 ? 0 : unmap.length;
	return rc;
}

void
dm_ioas_clear(const struct dm_ioas *ioas)
{
	uint64_t done;
	int rc = dm_ioas_unmap(ioas, 0, UINT64_MAX, &done);

	if (rc < 0 && rc != -ENOENT)
		DM_LOG(WARNING, "cannot unmap everything from IOAS %u: %s", ioas->id,
			strerror(-rc));
}
