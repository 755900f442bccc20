/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is one IOVA address space of iommufd? An IOAS: made, described, mapped into, emptied.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>

#include "dm_ioas.h"
#include "dm_kernel.h"
#include "dm_log.h"
#include "iommufd_abi.h"

/** Ranges asked for first; more are made room for as needed. */
#define RANGES_FIRST 16
/** More than that many ranges are nonsense. */
#define RANGES_MAX 65536
/** Questions until the room is large enough: ranges can be added in between. */
#define ASK_MAX 8

int
dm_ioas_create(int iommufd, uint32_t *id)
{
	struct abi_ioas_alloc alloc = {.size = sizeof(alloc)};
	int rc = dm_kernel_ioctl(iommufd, ABI_IOMMU_IOAS_ALLOC, &alloc);

	*id = alloc.out_ioas_id;
	return rc;
}

void
dm_ioas_destroy(int iommufd, uint32_t id)
{
	struct abi_iommu_destroy destroy = {.size = sizeof(destroy), .id = id};
	int rc = dm_kernel_ioctl(iommufd, ABI_IOMMU_DESTROY, &destroy);

	if (rc < 0)
		DM_LOG(WARNING, "iommufd keeps IOAS %u until the container is destroyed: %s", id,
			strerror(-rc));
}

static int
malformed(const char *what)
{
	return DM_FAIL(EPROTO, "IOMMU_IOAS_IOVA_RANGES: malformed answer: %s", what);
}

/** Ask with room for as many ranges as the kernel last had. */
static int
ask(int iommufd, struct abi_ioas_iova_ranges *cmd, struct abi_iova_range **ranges)
{
	struct abi_iova_range *more;
	uint32_t room = RANGES_FIRST;
	unsigned int i;
	int rc;

	for (i = 0; i < ASK_MAX; i++) {
		more = realloc(*ranges, room * sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		*ranges = more;
		cmd->num_iovas = room;
		cmd->allowed_iovas = (uintptr_t)more;
		rc = dm_kernel_ioctl(iommufd, ABI_IOMMU_IOAS_IOVA_RANGES, cmd);
		if (rc == 0)
			return cmd->num_iovas <= room ? 0 : malformed("more ranges than room");
		if (rc != -EMSGSIZE)
			return rc;
		if (cmd->num_iovas <= room || cmd->num_iovas > RANGES_MAX)
			return malformed("the number of ranges makes no sense");
		room = cmd->num_iovas;
	}
	return malformed("the number of ranges grows without end");
}

static int
copy_ranges(const struct abi_iova_range *from, uint32_t n, struct dm_iommu_info *info)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (from[i].last < from[i].start || (i > 0 && from[i].start <= from[i - 1].last))
			return malformed("ranges are not ascending");
	info->ranges = malloc(RTE_MAX(n, 1u) * sizeof(*info->ranges));
	if (info->ranges == NULL)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		info->ranges[i] = (struct dmamap_range){from[i].start, from[i].last};
	info->n_ranges = n;
	return 0;
}

/**
 * Only VFIO's old interface tells this, which iommufd speaks too: for the one IOAS that is its
 * container (drivers/iommu/iommufd/vfio_compat.c, iommufd_vfio_cc_iommu()).
 */
static bool
is_coherent(int iommufd, uint32_t id)
{
	struct abi_vfio_ioas ioas = {.size = sizeof(ioas), .ioas_id = id, .op = ABI_VFIO_IOAS_SET};
	bool yes;

	if (dm_kernel_ioctl(iommufd, ABI_IOMMU_VFIO_IOAS, &ioas) < 0)
		return false;
	yes = dm_kernel_ioctl_int(iommufd, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU) > 0;
	ioas.op = ABI_VFIO_IOAS_CLEAR;
	dm_kernel_ioctl(iommufd, ABI_IOMMU_VFIO_IOAS, &ioas);
	return yes;
}

int
dm_ioas_info(int iommufd, uint32_t id, struct dm_iommu_info *info)
{
	struct abi_ioas_iova_ranges cmd = {.size = sizeof(cmd), .ioas_id = id};
	struct abi_iova_range *ranges = NULL;
	uint64_t smallest;
	int rc;

	*info = (struct dm_iommu_info){0};
	rc = ask(iommufd, &cmd, &ranges);
	if (rc == 0)
		rc = copy_ranges(ranges, cmd.num_iovas, info);
	free(ranges);
	if (rc < 0)
		return rc;
	smallest = RTE_MAX(cmd.out_iova_alignment, (uint64_t)sysconf(_SC_PAGESIZE));
	info->page_sizes = ~(smallest - 1);
	info->entries_left = UINT64_MAX;
	info->coherent = is_coherent(iommufd, id);
	return 0;
}

static uint32_t
map_flags(uint32_t prot)
{
	return ABI_IOAS_MAP_FIXED_IOVA | (prot & DMAMAP_READ ? ABI_IOAS_MAP_READABLE : 0) |
		(prot & DMAMAP_WRITE ? ABI_IOAS_MAP_WRITEABLE : 0);
}

int
dm_ioas_map(int iommufd, uint32_t id, rte_iova_t iova, const void *va, uint64_t len, uint32_t prot)
{
	struct abi_ioas_map map = {
		.size = sizeof(map),
		.flags = map_flags(prot),
		.ioas_id = id,
		.user_va = (uintptr_t)va,
		.length = len,
		.iova = iova,
	};

	return dm_kernel_ioctl(iommufd, ABI_IOMMU_IOAS_MAP, &map);
}

int
dm_ioas_copy(int iommufd, uint32_t id, uint32_t from, rte_iova_t iova, uint64_t len, uint32_t prot)
{
	struct abi_ioas_copy copy = {
		.size = sizeof(copy),
		.flags = map_flags(prot),
		.dst_ioas_id = id,
		.src_ioas_id = from,
		.length = len,
		.dst_iova = iova,
		.src_iova = iova,
	};

	return dm_kernel_ioctl(iommufd, ABI_IOMMU_IOAS_COPY, &copy);
}

int
dm_ioas_unmap(int iommufd, uint32_t id, rte_iova_t iova, uint64_t len, uint64_t *done)
{
	struct abi_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = id, .iova = iova, .length = len};
	int rc = dm_kernel_ioctl(iommufd, ABI_IOMMU_IOAS_UNMAP, &unmap);

	*done = rc < 0 ? 0 : unmap.length;
	return rc;
}

void
dm_ioas_clear(int iommufd, uint32_t id)
{
	uint64_t done;
	int rc = dm_ioas_unmap(iommufd, id, 0, UINT64_MAX, &done);

	if (rc < 0 && rc != -ENOENT)
		DM_LOG(WARNING, "iommufd does not empty IOAS %u: %s", id, strerror(-rc));
}
