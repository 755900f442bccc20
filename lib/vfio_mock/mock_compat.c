/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * VFIO container ioctls on an iommufd of the mock kernel. They act on one IOAS, ctx->compat. Called
 * by mock_iommufd.c.
 */

#include <errno.h>
#include <stdlib.h>

#include "mock_priv.h"

static int
compat_set_iommu(struct mock_ctx *ctx, unsigned long type)
{
	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
		return -EINVAL;
	if (ctx->compat == NULL)
		return -ENODEV;
	/* Type1 v1 unmaps parts of maps, so page tables must be splittable anywhere. */
	return type == VFIO_TYPE1_IOMMU ? mock_ioas_set_base_pages(ctx->compat, true) : 0;
}

static int
compat_extension(const struct mock_ctx *ctx, unsigned long which)
{
	const struct mock_domain *dom;

	switch (which) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
	case VFIO_NOIOMMU_IOMMU:
		return 1;
	case VFIO_DMA_CC_IOMMU:
		if (ctx->compat == NULL)
			return -ENODEV;
		TAILQ_FOREACH(dom, &ctx->compat->domains, next)
			if (!dom->coherent)
				return 0;
		return 1;
	default:
		return 0;
	}
}

static int
compat_get_info(
	struct vfio_mock *m, const struct mock_ioas *ioas, struct vfio_iommu_type1_info *arg)
{
	uint64_t page_sizes = UINT64_MAX;
	const struct mock_domain *dom;
	struct mock_ranges usable;
	int rc = mock_ioas_usable(m, ioas, &usable);

	if (rc < 0)
		return rc;
	TAILQ_FOREACH(dom, &ioas->domains, next)
		page_sizes &= dom->iommu->conf.page_sizes;
	if (page_sizes & (MOCK_PAGE - 1))
		page_sizes = (page_sizes & ~(MOCK_PAGE - 1)) | MOCK_PAGE;
	rc = mock_answer_info(arg, page_sizes, &usable, UINT32_MAX, 0);
	free(usable.v);
	return rc;
}

static int
compat_map(struct vfio_mock *m, struct mock_ioas *ioas, const struct vfio_iommu_type1_dma_map *arg)
{
	const uint32_t access = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	struct mock_ioas_request request = {.fixed = true, .len = arg->size, .iova = arg->iova};

	if (arg->argsz < sizeof(*arg) || arg->flags & ~access)
		return -EINVAL;
	if (arg->flags & VFIO_DMA_MAP_FLAG_READ)
		request.prot |= DMAMAP_READ;
	if (arg->flags & VFIO_DMA_MAP_FLAG_WRITE)
		request.prot |= DMAMAP_WRITE;
	return mock_ioas_map(m, ioas, arg->vaddr, &request);
}

/** Type1 v1: split the maps at both ends of the range. */
static int
compat_cut(struct mock_ioas *ioas, struct dmamap_range r)
{
	int rc;

	if (!ioas->base_pages)
		return 0;
	rc = mock_ioas_cut(ioas, r.last);
	return rc == 0 && r.start != 0 ? mock_ioas_cut(ioas, r.start - 1) : rc;
}

static int
compat_unmap(struct vfio_mock *m, struct mock_ioas *ioas, struct vfio_iommu_type1_dma_unmap *arg)
{
	struct dmamap_range r = DMAMAP_ANYWHERE;
	uint64_t done;
	int rc = 0;

	if (arg->argsz < sizeof(*arg) || arg->flags & ~VFIO_DMA_UNMAP_FLAG_ALL)
		return -EINVAL;
	if (arg->flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (arg->iova != 0 || arg->size != 0)
			return -EINVAL;
	} else {
		if (arg->size == 0)
			return -EINVAL;
		if (mock_wraps(arg->iova, arg->size))
			return -EOVERFLOW;
		r = (struct dmamap_range){arg->iova, arg->iova + arg->size - 1};
		rc = compat_cut(ioas, r);
	}
	if (rc < 0)
		return rc;
	rc = mock_ioas_unmap(m, ioas, r, &done);
	arg->size = done;
	return rc;
}

/** ioctls that act on the IOAS. */
static int
compat_ioas_call(struct vfio_mock *m, struct mock_ctx *ctx, unsigned long request, void *arg)
{
	if (ctx->compat == NULL)
		return -ENODEV;
	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		return compat_get_info(m, ctx->compat, arg);
	case VFIO_IOMMU_MAP_DMA:
		return compat_map(m, ctx->compat, arg);
	default:
		return compat_unmap(m, ctx->compat, arg);
	}
}

int
mock_compat_ioctl(
	struct vfio_mock *m, struct mock_ctx *ctx, unsigned long request, unsigned long arg)
{
	enum vfio_mock_call kind;
	int rc;

	switch (request) {
	case VFIO_GET_API_VERSION:
	case VFIO_CHECK_EXTENSION:
		kind = VFIO_MOCK_CHECK_EXTENSION;
		break;
	case VFIO_SET_IOMMU:
		kind = VFIO_MOCK_SET_IOMMU;
		break;
	case VFIO_IOMMU_GET_INFO:
		kind = VFIO_MOCK_GET_INFO;
		break;
	case VFIO_IOMMU_MAP_DMA:
		kind = VFIO_MOCK_MAP;
		break;
	case VFIO_IOMMU_UNMAP_DMA:
		kind = VFIO_MOCK_UNMAP;
		break;
	default:
		return -ENOTTY;
	}
	rc = mock_call(m, kind);
	if (rc < 0)
		return rc;
	if (request == VFIO_GET_API_VERSION)
		return VFIO_API_VERSION;
	if (request == VFIO_CHECK_EXTENSION)
		return compat_extension(ctx, arg);
	if (request == VFIO_SET_IOMMU)
		return compat_set_iommu(ctx, arg);
	return compat_ioas_call(m, ctx, request, (void *)arg);
}
