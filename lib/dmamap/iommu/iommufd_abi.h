/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The ABI of iommufd: numbers and layouts, for systems whose headers are older than Linux 6.6
 * (include/uapi/linux/iommufd.h, include/uapi/linux/vfio.h). Names are our own, so that the
 * kernel's headers can be included too. Included by the iommufd backend and by the mock kernel.
 */

#ifndef IOMMUFD_ABI_H
#define IOMMUFD_ABI_H

#include <assert.h>
#include <linux/ioctl.h>
#include <linux/vfio.h>
#include <stdint.h>

/** ioctls of /dev/iommu. Each structure begins with its size. */
#define ABI_IOMMU_DESTROY _IO(';', 0x80)
#define ABI_IOMMU_IOAS_ALLOC _IO(';', 0x81)
#define ABI_IOMMU_IOAS_ALLOW_IOVAS _IO(';', 0x82)
#define ABI_IOMMU_IOAS_COPY _IO(';', 0x83)
#define ABI_IOMMU_IOAS_IOVA_RANGES _IO(';', 0x84)
#define ABI_IOMMU_IOAS_MAP _IO(';', 0x85)
#define ABI_IOMMU_IOAS_UNMAP _IO(';', 0x86)
#define ABI_IOMMU_OPTION _IO(';', 0x87)
#define ABI_IOMMU_VFIO_IOAS _IO(';', 0x88)

/** ioctls of a VFIO character device. Each structure begins with its size, called argsz. */
#define ABI_VFIO_BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)
#define ABI_VFIO_ATTACH_PT _IO(VFIO_TYPE, VFIO_BASE + 19)
#define ABI_VFIO_DETACH_PT _IO(VFIO_TYPE, VFIO_BASE + 20)

/**
 * @name VFIO_DEVICE_GET_PCI_HOT_RESET_INFO on a character device
 * The field group_id of struct vfio_pci_dependent_device has an object ID of the iommufd, or one of
 * these values.
 */
/**@{*/
#define ABI_VFIO_HOT_RESET_DEV_ID 1u /**< flag: the answer has IDs */
#define ABI_VFIO_HOT_RESET_DEV_ID_OWNED 2u /**< flag: the caller owns all affected devices */
#define ABI_VFIO_DEVID_OWNED 0u /**< in a group that the caller owns, but not open */
#define ABI_VFIO_DEVID_NOT_OWNED UINT32_MAX
/**@}*/

/** Free an object: an IOAS or a page table. */
struct abi_iommu_destroy {
	uint32_t size;
	uint32_t id;
};

/** Create an IOAS: one IOVA address space. */
struct abi_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};

struct abi_iova_range {
	uint64_t start;
	uint64_t last;
};

/** Query usable ranges. On EMSGSIZE, num_iovas is the number of ranges. */
struct abi_ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas; /**< pointer to num_iovas ranges */
	uint64_t out_iova_alignment;
};

/** Restrict automatic IOVA allocation; 0 ranges: anywhere. */
struct abi_ioas_allow_iovas {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas;
	uint32_t reserved;
	uint64_t allowed_iovas; /**< pointer to num_iovas ranges */
};

/** Flags of map and copy. */
#define ABI_IOAS_MAP_FIXED_IOVA (1u << 0)
#define ABI_IOAS_MAP_WRITEABLE (1u << 1)
#define ABI_IOAS_MAP_READABLE (1u << 2)

struct abi_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};

/** Map what another IOAS maps; the pages are shared, not pinned again. */
struct abi_ioas_copy {
	uint32_t size;
	uint32_t flags;
	uint32_t dst_ioas_id;
	uint32_t src_ioas_id;
	uint64_t length;
	uint64_t dst_iova;
	uint64_t src_iova;
};

/**
 * Unmap. iova 0 and length UINT64_MAX: everything. The kernel returns the unmapped bytes in length.
 */
struct abi_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length;
};

#define ABI_OPTION_RLIMIT_MODE 0 /**< 1: charge the process, as type1 does; 0: charge the user */
#define ABI_OPTION_HUGE_PAGES 1 /**< of an IOAS; 0: map base pages only */
#define ABI_OPTION_SET 0
#define ABI_OPTION_GET 1

struct abi_iommu_option {
	uint32_t size;
	uint32_t option_id;
	uint16_t op;
	uint16_t reserved;
	uint32_t object_id;
	uint64_t val64;
};

#define ABI_VFIO_IOAS_GET 0
#define ABI_VFIO_IOAS_SET 1
#define ABI_VFIO_IOAS_CLEAR 2

/** Get, set or clear the IOAS that acts as the VFIO container. */
struct abi_vfio_ioas {
	uint32_t size;
	uint32_t ioas_id;
	uint16_t op;
	uint16_t reserved;
};

/** Since Linux 6.17; older kernels reject flags and need no token. */
#define ABI_VFIO_BIND_FLAG_TOKEN (1u << 0)

struct abi_vfio_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
	uint64_t token_uuid_ptr;
};

struct abi_vfio_attach_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
};

struct abi_vfio_detach_pt {
	uint32_t argsz;
	uint32_t flags;
};

static_assert(sizeof(struct abi_iommu_destroy) == 8, "ABI");
static_assert(sizeof(struct abi_ioas_alloc) == 12, "ABI");
static_assert(sizeof(struct abi_iova_range) == 16, "ABI");
static_assert(sizeof(struct abi_ioas_iova_ranges) == 32, "ABI");
static_assert(sizeof(struct abi_ioas_allow_iovas) == 24, "ABI");
static_assert(sizeof(struct abi_ioas_map) == 40, "ABI");
static_assert(sizeof(struct abi_ioas_copy) == 40, "ABI");
static_assert(sizeof(struct abi_iommu_option) == 24, "ABI");
static_assert(sizeof(struct abi_ioas_unmap) == 24, "ABI");
static_assert(sizeof(struct abi_vfio_ioas) == 12, "ABI");
static_assert(sizeof(struct abi_vfio_bind_iommufd) == 24, "ABI");
static_assert(sizeof(struct abi_vfio_attach_pt) == 12, "ABI");
static_assert(sizeof(struct abi_vfio_detach_pt) == 8, "ABI");

#endif /* IOMMUFD_ABI_H */
