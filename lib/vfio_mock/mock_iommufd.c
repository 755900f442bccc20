/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * ioctls on /dev/iommu of the mock kernel (Linux, drivers/iommu/iommufd/main.c, ioas.c). Called by
 * mock_kernel.c.
 */

#include <errno.h>
#include <stdlib.h>

#include "dm_util.h"
#include "iommufd_abi.h"
#include "mock_priv.h"

/* ioctls. Each structure begins with its size, which the dispatcher has checked. */

static int
ioas_alloc(struct vfio_mock *m, struct mock_ctx *ctx, struct abi_ioas_alloc *cmd)
{
	struct mock_ioas *ioas;

	if (cmd->flags != 0)
		return -EOPNOTSUPP;
	ioas = mock_ioas_new(ctx);
	if (ioas == NULL)
		return -ENOMEM;
	ioas->id = cmd->out_ioas_id = mock_free_id(m, ctx);
	TAILQ_INSERT_TAIL(&ctx->spaces, ioas, next);
	return 0;
}

static int
object_destroy(struct vfio_mock *m, struct mock_ctx *ctx, const struct abi_iommu_destroy *cmd)
{
	struct mock_ioas *ioas = mock_ioas_find(ctx, cmd->id);

	/*
	 * Page tables that the kernel created, and devices, count as in use as long as they exist.
	 */
	if (ioas == NULL)
		return mock_id_taken(m, ctx, cmd->id) ? -EBUSY : -ENOENT;
	if (!TAILQ_EMPTY(&ioas->domains))
		return -EBUSY;
	if (ctx->compat == ioas)
		ctx->compat = NULL;
	TAILQ_REMOVE(&ctx->spaces, ioas, next);
	mock_id_free(ctx, ioas->id);
	mock_ioas_free(m, ioas);
	return 0;
}

static int
ioas_iova_ranges(struct vfio_mock *m, struct mock_ctx *ctx, struct abi_ioas_iova_ranges *cmd)
{
	struct abi_iova_range *to = (void *)(uintptr_t)cmd->allowed_iovas;
	struct mock_ioas *ioas = mock_ioas_find(ctx, cmd->ioas_id);
	uint32_t cap = cmd->num_iovas;
	struct mock_ranges usable;
	size_t i;
	int rc;

	if (cmd->reserved != 0)
		return -EOPNOTSUPP;
	if (ioas == NULL)
		return -ENOENT;
	rc = mock_ioas_usable(m, ioas, &usable);
	if (rc < 0)
		return rc;
	for (i = 0; i < DM_MIN(usable.n, cap); i++)
		to[i] = (struct abi_iova_range){usable.v[i].start, usable.v[i].last};
	cmd->num_iovas = usable.n;
	cmd->out_iova_alignment = mock_ioas_alignment(ioas);
	free(usable.v);
	return cmd->num_iovas > cap ? -EMSGSIZE : 0;
}

static int
range_order(const void *a, const void *b)
{
	const struct dmamap_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/** Read the ranges of IOMMU_IOAS_ALLOW_IOVAS and sort them. */
static int
ranges_load(const struct abi_iova_range *from, uint32_t n, struct mock_ranges *to)
{
	uint32_t i;

	to->v = calloc(DM_MAX(n, 1u), sizeof(*to->v));
	if (to->v == NULL)
		return -ENOMEM;
	to->n = n;
	for (i = 0; i < n; i++) {
		if (from[i].start >= from[i].last)
			return -EINVAL;
		to->v[i] = (struct dmamap_range){from[i].start, from[i].last};
	}
	qsort(to->v, n, sizeof(*to->v), range_order);
	for (i = 1; i < n; i++)
		if (to->v[i].start <= to->v[i - 1].last)
			return -EINVAL;
	return 0;
}

static int
ioas_allow_iovas(struct vfio_mock *m, struct mock_ctx *ctx, const struct abi_ioas_allow_iovas *cmd)
{
	struct mock_ioas *ioas = mock_ioas_find(ctx, cmd->ioas_id);
	struct mock_ranges allowed = {0}, usable = {0};
	size_t i;
	int rc;

	if (cmd->reserved != 0)
		return -EOPNOTSUPP;
	if (ioas == NULL)
		return -ENOENT;
	rc = ranges_load((const void *)(uintptr_t)cmd->allowed_iovas, cmd->num_iovas, &allowed);
	if (rc == 0)
		rc = mock_ioas_usable(m, ioas, &usable);
	if (rc == 0) {
		for (i = 0; i < allowed.n; i++)
			if (!mock_ranges_contain(&usable, allowed.v[i]))
				rc = -EADDRINUSE;
		free(usable.v);
	}
	if (rc == 0)
		mock_ranges_replace(&ioas->allowed, &allowed);
	free(allowed.v);
	return rc;
}

/** Check and read the arguments that IOMMU_IOAS_MAP and IOMMU_IOAS_COPY have in common. */
static int
request_read(uint32_t flags, uint64_t len, dmamap_iova_t iova, struct mock_ioas_request *request)
{
	if (flags & ~(ABI_IOAS_MAP_FIXED_IOVA | ABI_IOAS_MAP_READABLE | ABI_IOAS_MAP_WRITEABLE))
		return -EOPNOTSUPP;
	if (iova == UINT64_MAX || len == UINT64_MAX)
		return -EOVERFLOW;
	if (!(flags & (ABI_IOAS_MAP_READABLE | ABI_IOAS_MAP_WRITEABLE)))
		return -EINVAL;
	*request = (struct mock_ioas_request){
		.fixed = flags & ABI_IOAS_MAP_FIXED_IOVA, .len = len, .iova = iova};
	if (flags & ABI_IOAS_MAP_READABLE)
		request->prot |= DMAMAP_READ;
	if (flags & ABI_IOAS_MAP_WRITEABLE)
		request->prot |= DMAMAP_WRITE;
	return 0;
}

static int
ioas_map(struct vfio_mock *m, struct mock_ctx *ctx, struct abi_ioas_map *cmd)
{
	struct mock_ioas *ioas = mock_ioas_find(ctx, cmd->ioas_id);
	struct mock_ioas_request request;
	int rc;

	if (cmd->reserved != 0)
		return -EOPNOTSUPP;
	rc = request_read(cmd->flags, cmd->length, cmd->iova, &request);
	if (rc < 0)
		return rc;
	if (ioas == NULL)
		return -ENOENT;
	rc = mock_ioas_map(m, ioas, cmd->user_va, &request);
	if (rc == 0)
		cmd->iova = request.iova;
	return rc;
}

static int
ioas_copy(struct vfio_mock *m, struct mock_ctx *ctx, struct abi_ioas_copy *cmd)
{
	struct mock_ioas *to = mock_ioas_find(ctx, cmd->dst_ioas_id);
	struct mock_ioas *from = mock_ioas_find(ctx, cmd->src_ioas_id);
	struct mock_ioas_request request;
	int rc;

	if (cmd->src_iova == UINT64_MAX)
		return -EOVERFLOW;
	rc = request_read(cmd->flags, cmd->length, cmd->dst_iova, &request);
	if (rc < 0)
		return rc;
	if (from == NULL || to == NULL)
		return -ENOENT;
	rc = mock_ioas_copy(m, to, from, cmd->src_iova, &request);
	if (rc == 0)
		cmd->dst_iova = request.iova;
	return rc;
}

static int
ioas_unmap(struct vfio_mock *m, struct mock_ctx *ctx, struct abi_ioas_unmap *cmd)
{
	bool all = cmd->iova == 0 && cmd->length == UINT64_MAX;
	struct mock_ioas *ioas = mock_ioas_find(ctx, cmd->ioas_id);
	struct dmamap_range r = DMAMAP_ANYWHERE;
	uint64_t nth = m->short_nth, done;
	int rc;

	if (ioas == NULL)
		return -ENOENT;
	if (!all) {
		if (cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX)
			return -EOVERFLOW;
		if (cmd->length == 0)
			return -EINVAL;
		if (mock_wraps(cmd->iova, cmd->length))
			return -EOVERFLOW;
		r = (struct dmamap_range){cmd->iova, cmd->iova + cmd->length - 1};
	}
	rc = mock_ioas_unmap(m, ioas, r, &done);
	if (rc < 0)
		return rc;
	if (done == 0 && !all && nth != 1)
		return -ENOENT;
	cmd->length = done;
	return 0;
}

/* Options */

static int
option_rlimit_mode(struct vfio_mock *m, struct mock_ctx *ctx, struct abi_iommu_option *cmd)
{
	if (cmd->object_id != 0)
		return -EOPNOTSUPP;
	if (cmd->op == ABI_OPTION_GET) {
		cmd->val64 = ctx->per_process;
		return 0;
	}
	if (cmd->op != ABI_OPTION_SET)
		return -EOPNOTSUPP;
	if (mock_free_id(m, ctx) != 1)
		return -EBUSY;
	if (cmd->val64 > 1)
		return -EINVAL;
	ctx->per_process = cmd->val64;
	return 0;
}

static int
option_huge_pages(struct mock_ctx *ctx, struct abi_iommu_option *cmd)
{
	struct mock_ioas *ioas = mock_ioas_find(ctx, cmd->object_id);

	if (ioas == NULL)
		return -ENOENT;
	if (cmd->op == ABI_OPTION_GET) {
		cmd->val64 = !ioas->base_pages;
		return 0;
	}
	if (cmd->op != ABI_OPTION_SET)
		return -EOPNOTSUPP;
	return cmd->val64 > 1 ? -EINVAL : mock_ioas_set_base_pages(ioas, cmd->val64 == 0);
}

static int
iommufd_option(struct vfio_mock *m, struct mock_ctx *ctx, struct abi_iommu_option *cmd)
{
	if (cmd->reserved != 0)
		return -EOPNOTSUPP;
	switch (cmd->option_id) {
	case ABI_OPTION_RLIMIT_MODE:
		return option_rlimit_mode(m, ctx, cmd);
	case ABI_OPTION_HUGE_PAGES:
		return option_huge_pages(ctx, cmd);
	default:
		return -EOPNOTSUPP;
	}
}

static int
vfio_ioas(struct mock_ctx *ctx, struct abi_vfio_ioas *cmd)
{
	struct mock_ioas *ioas;

	if (cmd->reserved != 0)
		return -EOPNOTSUPP;
	switch (cmd->op) {
	case ABI_VFIO_IOAS_GET:
		if (ctx->compat == NULL)
			return -ENODEV;
		cmd->ioas_id = ctx->compat->id;
		return 0;
	case ABI_VFIO_IOAS_SET:
		ioas = mock_ioas_find(ctx, cmd->ioas_id);
		if (ioas == NULL)
			return -ENOENT;
		ctx->compat = ioas;
		return 0;
	case ABI_VFIO_IOAS_CLEAR:
		ctx->compat = NULL;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

/** Kind and structure size of each ioctl. */
static const struct {
	unsigned long request;
	enum vfio_mock_call kind;
	uint32_t size;
} calls[] = {
	{ABI_IOMMU_DESTROY, VFIO_MOCK_IOMMU_DESTROY, sizeof(struct abi_iommu_destroy)},
	{ABI_IOMMU_IOAS_ALLOC, VFIO_MOCK_IOAS_ALLOC, sizeof(struct abi_ioas_alloc)},
	{ABI_IOMMU_IOAS_ALLOW_IOVAS, VFIO_MOCK_ALLOW_IOVAS, sizeof(struct abi_ioas_allow_iovas)},
	{ABI_IOMMU_IOAS_COPY, VFIO_MOCK_IOAS_COPY, sizeof(struct abi_ioas_copy)},
	{ABI_IOMMU_IOAS_IOVA_RANGES, VFIO_MOCK_IOVA_RANGES, sizeof(struct abi_ioas_iova_ranges)},
	{ABI_IOMMU_IOAS_MAP, VFIO_MOCK_IOAS_MAP, sizeof(struct abi_ioas_map)},
	{ABI_IOMMU_IOAS_UNMAP, VFIO_MOCK_IOAS_UNMAP, sizeof(struct abi_ioas_unmap)},
	{ABI_IOMMU_OPTION, VFIO_MOCK_OPTION, sizeof(struct abi_iommu_option)},
	{ABI_IOMMU_VFIO_IOAS, VFIO_MOCK_VFIO_IOAS, sizeof(struct abi_vfio_ioas)},
};

static int
iommufd_call(struct vfio_mock *m, struct mock_ctx *ctx, unsigned long request, void *arg)
{
	switch (request) {
	case ABI_IOMMU_DESTROY:
		return object_destroy(m, ctx, arg);
	case ABI_IOMMU_IOAS_ALLOC:
		return ioas_alloc(m, ctx, arg);
	case ABI_IOMMU_IOAS_ALLOW_IOVAS:
		return ioas_allow_iovas(m, ctx, arg);
	case ABI_IOMMU_IOAS_COPY:
		return ioas_copy(m, ctx, arg);
	case ABI_IOMMU_IOAS_IOVA_RANGES:
		return ioas_iova_ranges(m, ctx, arg);
	case ABI_IOMMU_IOAS_MAP:
		return ioas_map(m, ctx, arg);
	case ABI_IOMMU_IOAS_UNMAP:
		return ioas_unmap(m, ctx, arg);
	case ABI_IOMMU_OPTION:
		return iommufd_option(m, ctx, arg);
	default:
		return vfio_ioas(ctx, arg);
	}
}

int
mock_iommufd_ioctl(
	struct vfio_mock *m, struct mock_ctx *ctx, unsigned long request, unsigned long arg)
{
	unsigned int i;
	int rc;

	for (i = 0; i < DM_DIM(calls); i++)
		if (calls[i].request == request)
			break;
	if (i == DM_DIM(calls))
		return mock_compat_ioctl(m, ctx, request, arg);
	rc = mock_call(m, calls[i].kind);
	if (rc < 0)
		return rc;
	if (*(const uint32_t *)arg < calls[i].size)
		return -EINVAL;
	return iommufd_call(m, ctx, request, (void *)arg);
}
