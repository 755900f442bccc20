/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Calls into the mock kernel: counts by kind, and failure injection. mock_call() is called at the
 * start of every system call and every IOMMU operation.
 */

#include <assert.h>

#include "dm_util.h"
#include "mock_priv.h"

static const char *const call_names[] = {
	[VFIO_MOCK_LOOKUP] = "LOOKUP",
	[VFIO_MOCK_OPEN] = "OPEN",
	[VFIO_MOCK_CHECK_EXTENSION] = "CHECK_EXTENSION",
	[VFIO_MOCK_GROUP_STATUS] = "GROUP_STATUS",
	[VFIO_MOCK_SET_CONTAINER] = "SET_CONTAINER",
	[VFIO_MOCK_UNSET_CONTAINER] = "UNSET_CONTAINER",
	[VFIO_MOCK_SET_IOMMU] = "SET_IOMMU",
	[VFIO_MOCK_GET_DEVICE_FD] = "GET_DEVICE_FD",
	[VFIO_MOCK_GET_INFO] = "GET_INFO",
	[VFIO_MOCK_MAP] = "MAP",
	[VFIO_MOCK_UNMAP] = "UNMAP",
	[VFIO_MOCK_DIRTY_PAGES] = "DIRTY_PAGES",
	[VFIO_MOCK_IOAS_ALLOC] = "IOAS_ALLOC",
	[VFIO_MOCK_IOMMU_DESTROY] = "IOMMU_DESTROY",
	[VFIO_MOCK_IOVA_RANGES] = "IOVA_RANGES",
	[VFIO_MOCK_ALLOW_IOVAS] = "ALLOW_IOVAS",
	[VFIO_MOCK_IOAS_MAP] = "IOAS_MAP",
	[VFIO_MOCK_IOAS_COPY] = "IOAS_COPY",
	[VFIO_MOCK_IOAS_UNMAP] = "IOAS_UNMAP",
	[VFIO_MOCK_OPTION] = "OPTION",
	[VFIO_MOCK_VFIO_IOAS] = "VFIO_IOAS",
	[VFIO_MOCK_BIND_IOMMUFD] = "BIND_IOMMUFD",
	[VFIO_MOCK_ATTACH_PT] = "ATTACH_PT",
	[VFIO_MOCK_DETACH_PT] = "DETACH_PT",
	[VFIO_MOCK_DEVICE] = "DEVICE",
	[VFIO_MOCK_CLOSE] = "CLOSE",
	[VFIO_MOCK_IOMMU_ATTACH] = "IOMMU_ATTACH",
	[VFIO_MOCK_IOMMU_MAP] = "IOMMU_MAP",
	[VFIO_MOCK_IOMMU_UNMAP] = "IOMMU_UNMAP",
};

static_assert(DM_DIM(call_names) == VFIO_MOCK_N_CALLS, "a kind of call has no name");

const char *
vfio_mock_call_name(enum vfio_mock_call kind)
{
	return kind < VFIO_MOCK_N_CALLS ? call_names[kind] : "?";
}

int
mock_call(struct vfio_mock *m, enum vfio_mock_call kind)
{
	m->calls[kind]++;
	if (m->fail_all[kind] != 0)
		return -m->fail_all[kind];
	if (m->fail_nth == 0 || !(m->fail_kinds & UINT32_C(1) << kind) || --m->fail_nth != 0)
		return 0;
	m->failed_kind = kind;
	return -m->fail_err;
}

uint64_t
vfio_mock_calls(struct vfio_mock *m, enum vfio_mock_call kind)
{
	uint64_t n;

	if (kind >= VFIO_MOCK_N_CALLS)
		return 0;
	pthread_mutex_lock(&m->lock);
	n = m->calls[kind];
	pthread_mutex_unlock(&m->lock);
	return n;
}

void
vfio_mock_fail(struct vfio_mock *m, uint32_t kinds, uint64_t nth, int err)
{
	pthread_mutex_lock(&m->lock);
	m->fail_kinds = kinds;
	m->fail_nth = nth;
	m->fail_err = err;
	m->failed_kind = -1;
	pthread_mutex_unlock(&m->lock);
}

void
vfio_mock_fail_all(struct vfio_mock *m, uint32_t kinds, int err)
{
	unsigned int kind;

	pthread_mutex_lock(&m->lock);
	for (kind = 0; kind < VFIO_MOCK_N_CALLS; kind++)
		if (kinds & UINT32_C(1) << kind)
			m->fail_all[kind] = err;
	pthread_mutex_unlock(&m->lock);
}

int
vfio_mock_failed(struct vfio_mock *m)
{
	int kind;

	pthread_mutex_lock(&m->lock);
	kind = m->failed_kind;
	pthread_mutex_unlock(&m->lock);
	return kind;
}

void
vfio_mock_short_unmap(struct vfio_mock *m, uint64_t nth, uint64_t most)
{
	pthread_mutex_lock(&m->lock);
	m->short_nth = nth;
	m->short_most = most;
	pthread_mutex_unlock(&m->lock);
}
