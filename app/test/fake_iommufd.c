/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does a backend do with an iommufd that answers oddly? The other half of the fake kernel.
 */

#include <errno.h>
#include <string.h>

#include <rte_common.h>

#include "fake_vfio.h"
#include "fake_vfio_priv.h"
#include "iommufd_abi.h"

static bool
is_attached(uint32_t ioas)
{
	unsigned int i;

	for (i = 0; i < FAKE_FILES; i++)
		if (fake_files[i].kind == FAKE_CDEV && fake_files[i].ioas == ioas)
			return true;
	return false;
}

/** IOAS have the numbers from 1; one that is gone does not come back. */
static int
destroy(const struct abi_iommu_destroy *cmd)
{
	if (cmd->size != sizeof(*cmd))
		return -EINVAL;
	if (is_attached(cmd->id))
		return -EBUSY;
	fake_vfio.ioas_alive--;
	return 0;
}

static int
iova_ranges(struct abi_ioas_iova_ranges *cmd)
{
	uint32_t room = cmd->num_iovas;

	fake_vfio.n_ranges += fake_vfio.n_ranges_grows;
	cmd->num_iovas = fake_vfio.n_ranges;
	cmd->out_iova_alignment = fake_vfio.iova_alignment;
	memcpy((void *)(uintptr_t)cmd->allowed_iovas, fake_vfio.ranges,
		RTE_MIN(RTE_MIN(room, fake_vfio.n_ranges), (uint32_t)RTE_DIM(fake_vfio.ranges)) *
			sizeof(fake_vfio.ranges[0]));
	return room < fake_vfio.n_ranges ? -EMSGSIZE : 0;
}

static int
map(const struct abi_ioas_map *cmd)
{
	if (cmd->size != sizeof(*cmd) || !(cmd->flags & ABI_IOAS_MAP_FIXED_IOVA))
		return -EINVAL;
	fake_vfio.map_flags = cmd->flags;
	fake_vfio.map_iova = cmd->iova;
	fake_vfio.map_len = cmd->length;
	fake_vfio.map_vaddr = cmd->user_va;
	fake_vfio.maps_alive++;
	return 0;
}

static int
copy(const struct abi_ioas_copy *cmd)
{
	if (cmd->size != sizeof(*cmd) || !(cmd->flags & ABI_IOAS_MAP_FIXED_IOVA) ||
		cmd->src_ioas_id == cmd->dst_ioas_id)
		return -EINVAL;
	if (fake_vfio.maps_alive == 0)
		return -ENOENT;
	fake_vfio.map_flags = cmd->flags;
	fake_vfio.map_iova = cmd->dst_iova;
	fake_vfio.map_len = cmd->length;
	fake_vfio.copies++;
	fake_vfio.copied_from = cmd->src_iova;
	fake_vfio.maps_alive++;
	return 0;
}

static int
unmap(struct abi_ioas_unmap *cmd)
{
	if (cmd->size != sizeof(*cmd))
		return -EINVAL;
	if (fake_vfio.maps_alive == 0)
		return -ENOENT;
	if (cmd->iova == 0 && cmd->length == UINT64_MAX)
		fake_vfio.maps_alive = 0;
	else
		fake_vfio.maps_alive--;
	cmd->length -= fake_vfio.unmap_short;
	return 0;
}

static int
vfio_ioas(struct fake_file *f, const struct abi_vfio_ioas *cmd)
{
	if (cmd->size != sizeof(*cmd))
		return -EINVAL;
	f->compat_ioas = cmd->op == ABI_VFIO_IOAS_SET ? cmd->ioas_id : 0;
	return 0;
}

int
fake_iommufd_ioctl(struct fake_file *f, unsigned long request, uintptr_t arg)
{
	switch (request) {
	case ABI_IOMMU_IOAS_ALLOC:
		((struct abi_ioas_alloc *)arg)->out_ioas_id = ++f->members;
		fake_vfio.ioas_alive++;
		return 0;
	case ABI_IOMMU_DESTROY:
		return destroy((const struct abi_iommu_destroy *)arg);
	case ABI_IOMMU_IOAS_IOVA_RANGES:
		return iova_ranges((struct abi_ioas_iova_ranges *)arg);
	case ABI_IOMMU_IOAS_MAP:
		return map((const struct abi_ioas_map *)arg);
	case ABI_IOMMU_IOAS_COPY:
		return copy((const struct abi_ioas_copy *)arg);
	case ABI_IOMMU_IOAS_UNMAP:
		return unmap((struct abi_ioas_unmap *)arg);
	case ABI_IOMMU_VFIO_IOAS:
		return vfio_ioas(f, (const struct abi_vfio_ioas *)arg);
	case VFIO_CHECK_EXTENSION:
		return f->compat_ioas == 0 ? -ENODEV : arg == VFIO_DMA_CC_IOMMU && fake_vfio.coherent;
	default:
		return -ENOTTY;
	}
}

static int
bind_device(struct fake_file *f, const struct abi_vfio_bind_iommufd *cmd)
{
	const struct fake_file *i = fake_file_of(cmd->iommufd);
	unsigned int n;

	if (cmd->flags != 0 && !fake_vfio.knows_token)
		return -EINVAL;
	if (i == NULL || i->kind != FAKE_IOMMUFD)
		return -EBADF;
	for (n = 0; n < FAKE_FILES; n++)
		if (fake_files[n].kind == FAKE_CDEV && fake_files[n].bound &&
				fake_files[n].number == f->number)
			return -EINVAL;
	if (fake_vfio.bind_errno != 0)
		return -fake_vfio.bind_errno;
	if (cmd->flags & ABI_VFIO_BIND_FLAG_TOKEN)
		memcpy(fake_vfio.token, (const void *)(uintptr_t)cmd->token_uuid_ptr,
			sizeof(fake_vfio.token));
	f->bound = true;
	return 0;
}

int
fake_cdev_ioctl(struct fake_file *f, unsigned long request, uintptr_t arg)
{
	switch (request) {
	case ABI_VFIO_BIND_IOMMUFD:
		return bind_device(f, (const struct abi_vfio_bind_iommufd *)arg);
	case ABI_VFIO_ATTACH_PT:
		if (!f->bound)
			return -EINVAL;
		if (fake_vfio.attach_errno != 0)
			return -fake_vfio.attach_errno;
		if (((const struct abi_vfio_attach_pt *)arg)->pt_id == fake_vfio.conflict_ioas)
			return -EADDRINUSE;
		f->ioas = ((const struct abi_vfio_attach_pt *)arg)->pt_id;
		return 0;
	case ABI_VFIO_DETACH_PT:
		f->ioas = 0;
		return 0;
	default:
		return -ENOTTY;
	}
}
