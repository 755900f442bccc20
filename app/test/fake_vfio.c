/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does a backend do with a kernel that answers oddly? A fake one, small, behind dm_kernel.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/vfio.h>

#include <rte_common.h>
#include <rte_string_fns.h>

#include "dm_kernel.h"
#include "fake_sysfs.h"
#include "fake_vfio.h"

#define FAKE_FIRST_FD 1000
#define FAKE_FILES 32

enum fake_kind { FAKE_FREE, FAKE_CONTAINER, FAKE_GROUP, FAKE_DEVICE };

/** An open file. */
struct fake_file {
	enum fake_kind kind;
	int number; /**< of a group */
	struct fake_file *inside; /**< a group's container, a device's group */
	unsigned int members; /**< groups of a container, devices of a group */
	bool type_set;
	bool noiommu; /**< a group, or the container it is in */
};

struct fake_vfio fake_vfio;
static struct fake_file fake_files[FAKE_FILES];
static const struct dm_kernel *before;

/** Is it this call's turn to fail? */
static bool
must_fail(void)
{
	return ++fake_vfio.calls == fake_vfio.fail_at;
}

static int
new_file(enum fake_kind kind, int number)
{
	unsigned int i;

	for (i = 0; i < FAKE_FILES; i++) {
		if (fake_files[i].kind != FAKE_FREE)
			continue;
		fake_files[i] = (struct fake_file){.kind = kind, .number = number};
		fake_vfio.open_files++;
		return FAKE_FIRST_FD + i;
	}
	return -EMFILE;
}

static struct fake_file *
fake_file_of(int fd)
{
	if (fd < FAKE_FIRST_FD || fd >= FAKE_FIRST_FD + FAKE_FILES ||
		fake_files[fd - FAKE_FIRST_FD].kind == FAKE_FREE)
		return NULL;
	return &fake_files[fd - FAKE_FIRST_FD];
}

static int
fake_open(const char *path, int flags)
{
	unsigned int i;
	bool noiommu;
	int number, fd;

	if (must_fail())
		return -fake_vfio.fail_errno;
	if (fake_vfio.no_file != NULL && strcmp(path, fake_vfio.no_file) == 0)
		return -fake_vfio.no_file_errno;
	if (strcmp(path, "/dev/vfio/vfio") == 0)
		return new_file(FAKE_CONTAINER, -1);
	noiommu = sscanf(path, "/dev/vfio/noiommu-%d", &number) == 1;
	if (!noiommu && sscanf(path, "/dev/vfio/%d", &number) != 1)
		return -ENOENT;
	for (i = 0; i < FAKE_FILES; i++)
		if (fake_files[i].kind == FAKE_GROUP && fake_files[i].number == number)
			return -EBUSY;
	fd = new_file(FAKE_GROUP, number);
	if (fd >= 0)
		fake_file_of(fd)->noiommu = noiommu;
	return fd;
}

static void
leave(struct fake_file *group)
{
	if (--group->inside->members == 0)
		group->inside->type_set = false;
	group->inside = NULL;
}

static int
fake_close(int fd)
{
	struct fake_file *f = fake_file_of(fd);

	if (f == NULL)
		return -EBADF;
	if (f->kind == FAKE_DEVICE)
		f->inside->members--;
	if (f->kind == FAKE_GROUP && f->inside != NULL)
		leave(f);
	f->kind = FAKE_FREE;
	fake_vfio.open_files--;
	return 0;
}

static int
set_container(struct fake_file *group, const int *fd)
{
	struct fake_file *c = fake_file_of(*fd);

	if (c == NULL || c->kind != FAKE_CONTAINER)
		return -EBADF;
	if (group->inside != NULL)
		return -EINVAL;
	if (fake_vfio.not_viable)
		return -EPERM;
	if (fake_vfio.set_container_errno != 0)
		return -fake_vfio.set_container_errno;
	group->inside = c;
	c->members++;
	c->noiommu = group->noiommu;
	return 0;
}

static int
get_device(struct fake_file *group, const char *name)
{
	int fd;

	rte_strlcpy(fake_vfio.device_name, name, sizeof(fake_vfio.device_name));
	if (group->inside == NULL || !group->inside->type_set)
		return -EINVAL;
	if (fake_vfio.get_device_errno != 0)
		return -fake_vfio.get_device_errno;
	fd = new_file(FAKE_DEVICE, -1);
	if (fd >= 0) {
		fake_file_of(fd)->inside = group;
		group->members++;
	}
	return fd;
}

static int
group_ioctl(struct fake_file *group, unsigned long request, void *arg)
{
	struct vfio_group_status *status = arg;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		status->flags = fake_vfio.not_viable ? 0 : VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		return set_container(group, arg);
	case VFIO_GROUP_UNSET_CONTAINER:
		if (group->inside == NULL)
			return -EINVAL;
		if (group->members > 0)
			return -EBUSY;
		leave(group);
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		return get_device(group, arg);
	default:
		return -ENOTTY;
	}
}

static int
set_iommu(struct fake_file *c, uintptr_t type)
{
	fake_vfio.set_iommu_calls++;
	if (c->members == 0 || c->type_set ||
		type != (c->noiommu ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1v2_IOMMU))
		return -EINVAL;
	if (fake_vfio.set_iommu_errno != 0)
		return -fake_vfio.set_iommu_errno;
	c->type_set = true;
	return 0;
}

/** As Linux: an argsz that is too small is no error, there is just nothing behind the head. */
static int
get_info(uint32_t *argsz)
{
	uint32_t room = *argsz, said;
	const uint32_t no_caps = 0;

	fake_vfio.answer_len += fake_vfio.argsz_grows;
	memcpy(argsz, fake_vfio.answer, RTE_MIN(room, (uint32_t)FAKE_ANSWER_MAX));
	said = fake_vfio.argsz_grows > 0 ? fake_vfio.answer_len : *argsz;
	*argsz = said;
	if (room < said)
		memcpy(RTE_PTR_ADD(argsz, offsetof(struct vfio_iommu_type1_info, cap_offset)),
			&no_caps, sizeof(no_caps));
	return 0;
}

static int
container_ioctl(struct fake_file *c, unsigned long request, uintptr_t arg)
{
	struct vfio_iommu_type1_dma_unmap *unmap;
	const struct vfio_iommu_type1_dma_map *map;

	switch (request) {
	case VFIO_GET_API_VERSION:
		return fake_vfio.version;
	case VFIO_CHECK_EXTENSION:
		if (arg == VFIO_NOIOMMU_IOMMU)
			return fake_vfio.noiommu_mode;
		return arg == VFIO_TYPE1v2_IOMMU
			? !fake_vfio.no_type1v2
			: arg == VFIO_DMA_CC_IOMMU && c->type_set && fake_vfio.coherent;
	case VFIO_SET_IOMMU:
		return set_iommu(c, arg);
	}
	if (!c->type_set)
		return -EINVAL;
	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		return get_info((uint32_t *)arg);
	case VFIO_IOMMU_MAP_DMA:
		map = (const struct vfio_iommu_type1_dma_map *)arg;
		fake_vfio.map_flags = map->flags;
		fake_vfio.map_iova = map->iova;
		fake_vfio.map_len = map->size;
		fake_vfio.map_vaddr = map->vaddr;
		return 0;
	case VFIO_IOMMU_UNMAP_DMA:
		unmap = (struct vfio_iommu_type1_dma_unmap *)arg;
		unmap->size -= fake_vfio.unmap_short;
		return 0;
	default:
		return -ENOTTY;
	}
}

static int
fake_ioctl(int fd, unsigned long request, uintptr_t arg)
{
	struct fake_file *f = fake_file_of(fd);

	if (must_fail())
		return -fake_vfio.fail_errno;
	if (f == NULL)
		return -EBADF;
	switch (f->kind) {
	case FAKE_CONTAINER:
		return container_ioctl(f, request, arg);
	case FAKE_GROUP:
		return group_ioctl(f, request, (void *)arg);
	default:
		return -ENOTTY;
	}
}

static struct dm_kernel fake_kernel = {
	.open = fake_open,
	.ioctl = fake_ioctl,
	.close = fake_close,
};

int
fake_vfio_begin(void)
{
	int rc;

	memset(&fake_vfio, 0, sizeof(fake_vfio));
	memset(fake_files, 0, sizeof(fake_files));
	rc = fake_sysfs_begin();
	if (rc < 0)
		return rc;
	fake_kernel.sysfs = fake_sysfs;
	before = dm_kernel;
	dm_kernel = &fake_kernel;
	return 0;
}

void
fake_vfio_end(void)
{
	dm_kernel = before;
	fake_sysfs_end();
}
