/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Names of the ioctls of VFIO and iommufd, as <linux/vfio.h> and <linux/iommufd.h> of Linux 6.13
 * number them. Called by decode.c and hist.c.
 */

#include "trace.h"

/** _IO(';', 0), and the number of the first call of each of the two. */
#define TYPE 0x3b00u
#define VFIO_FIRST 100u
#define IOMMUFD_FIRST 0x80u

#define DIM(a) (sizeof(a) / sizeof((a)[0]))

/** On containers, groups and devices: numbers that have one meaning. */
static const char *const vfio[] = {
	"VFIO_GET_API_VERSION",
	"VFIO_CHECK_EXTENSION",
	"VFIO_SET_IOMMU",
	"VFIO_GROUP_GET_STATUS",
	"VFIO_GROUP_SET_CONTAINER",
	"VFIO_GROUP_UNSET_CONTAINER",
	"VFIO_GROUP_GET_DEVICE_FD",
	"VFIO_DEVICE_GET_INFO",
	"VFIO_DEVICE_GET_REGION_INFO",
	"VFIO_DEVICE_GET_IRQ_INFO",
	"VFIO_DEVICE_SET_IRQS",
	"VFIO_DEVICE_RESET",
	"VFIO_IOMMU_GET_INFO",
	"VFIO_IOMMU_MAP_DMA",
	"VFIO_IOMMU_UNMAP_DMA",
	"VFIO_IOMMU_ENABLE",
	"VFIO_IOMMU_DISABLE",
	"VFIO_IOMMU_DIRTY_PAGES",
	"VFIO_DEVICE_BIND_IOMMUFD",
	"VFIO_DEVICE_ATTACH_IOMMUFD_PT",
	"VFIO_DEVICE_DETACH_IOMMUFD_PT",
};

/** On devices: numbers that mean something else on containers. */
static const char *const devices[] = {
	[12] = "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
	[13] = "VFIO_DEVICE_PCI_HOT_RESET",
	[14] = "VFIO_DEVICE_QUERY_GFX_PLANE",
	[15] = "VFIO_DEVICE_GET_GFX_DMABUF",
	[16] = "VFIO_DEVICE_IOEVENTFD",
	[17] = "VFIO_DEVICE_FEATURE",
};

static const char *const iommufd[] = {
	"IOMMU_DESTROY",
	"IOMMU_IOAS_ALLOC",
	"IOMMU_IOAS_ALLOW_IOVAS",
	"IOMMU_IOAS_COPY",
	"IOMMU_IOAS_IOVA_RANGES",
	"IOMMU_IOAS_MAP",
	"IOMMU_IOAS_UNMAP",
	"IOMMU_OPTION",
	"IOMMU_VFIO_IOAS",
	"IOMMU_HWPT_ALLOC",
	"IOMMU_GET_HW_INFO",
	"IOMMU_HWPT_SET_DIRTY_TRACKING",
	"IOMMU_HWPT_GET_DIRTY_BITMAP",
	"IOMMU_HWPT_INVALIDATE",
	"IOMMU_FAULT_QUEUE_ALLOC",
	"IOMMU_IOAS_MAP_FILE",
	"IOMMU_VIOMMU_ALLOC",
	"IOMMU_VDEVICE_ALLOC",
	"IOMMU_IOAS_CHANGE_PROCESS",
};

const char *
trace_ioctl_name(uint32_t request)
{
	const uint32_t plain = request & ~TRACE_WIRE_DEVICE, number = plain - TYPE;
	static char unknown[32];

	if (plain >= TYPE + IOMMUFD_FIRST && number - IOMMUFD_FIRST < DIM(iommufd))
		return iommufd[number - IOMMUFD_FIRST];
	if (plain >= TYPE + VFIO_FIRST && number - VFIO_FIRST < DIM(vfio)) {
		if (request != plain && number - VFIO_FIRST < DIM(devices) &&
			devices[number - VFIO_FIRST] != NULL)
			return devices[number - VFIO_FIRST];
		return vfio[number - VFIO_FIRST];
	}
	snprintf(unknown, sizeof(unknown), "ioctl 0x%x", plain);
	return unknown;
}
