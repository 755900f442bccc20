/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does the modelled iommufd answer to the calls of VFIO's containers? They mean one IOAS of
 * it.
 */

#include <errno.h>
#include <stdlib.h>

#include "model_priv.h"

static int
set_iommu(struct mk_ctx *ctx, unsigned long type)
{
	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
		return -EINVAL;
	if (ctx->compat == NULL)
		return -ENODEV;
	/* v1 unmaps parts of maps, which takes page tables that can be cut anywhere. */
	return type == VFIO_TYPE1_IOMMU ? mk_ioas_set_base_pages(ctx->compat, true) : 0;
}

static int
extension(const struct mk_ctx *ctx, unsigned long which)
{
	const struct mk_domain *dom;

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
get_info(struct dmamap_model *m, const struct mk_ioas *ioas, struct vfio_iommu_type1_info *arg)
{
	uint64_t page_sizes = UINT64_MAX;
	const struct mk_domain *dom;
	struct mk_ranges usable;
	int rc = mk_ioas_usable(m, ioas, &usable);

	if (rc < 0)
		return rc;
	TAILQ_FOREACH(dom, &ioas->domains, next)
		page_sizes &= dom->iommu->conf.page_sizes;
	if (page_sizes & (MK_PAGE - 1))
		page_sizes = (page_sizes & ~(MK_PAGE - 1)) | MK_PAGE;
	rc = mk_answer_info(arg, page_sizes, &usable, UINT32_MAX, 0);
	free(usable.v);
	return rc;
}

static int
map(struct dmamap_model *m, struct mk_ioas *ioas, const struct vfio_iommu_type1_dma_map *arg)
{
	const uint32_t access = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	struct mk_ioas_request request = {.fixed = true, .len = arg->size, .iova = arg->iova};

	if (arg->argsz < sizeof(*arg) || arg->flags & ~access)
		return -EINVAL;
	if (arg->flags & VFIO_DMA_MAP_FLAG_READ)
		request.prot |= DMAMAP_READ;
	if (arg->flags & VFIO_DMA_MAP_FLAG_WRITE)
		request.prot |= DMAMAP_WRITE;
	return mk_ioas_map(m, ioas, arg->vaddr, &request);
}

/** v1: the maps at both ends are cut where the range ends. */
static int
cut(struct mk_ioas *ioas, struct dmamap_range r)
{
	int rc;

	if (!ioas->base_pages)
		return 0;
	rc = mk_ioas_cut(ioas, r.last);
	return rc == 0 && r.start != 0 ? mk_ioas_cut(ioas, r.start - 1) : rc;
}

static int
unmap(struct dmamap_model *m, struct mk_ioas *ioas, struct vfio_iommu_type1_dma_unmap *arg)
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
		if (mk_wraps(arg->iova, arg->size))
			return -EOVERFLOW;
		r = (struct dmamap_range){arg->iova, arg->iova + arg->size - 1};
		rc = cut(ioas, r);
	}
	if (rc < 0)
		return rc;
	rc = mk_ioas_unmap(m, ioas, r, &done);
	arg->size = done;
	return rc;
}

/** Calls that mean the IOAS. */
static int
ioas_call(struct dmamap_model *m, struct mk_ctx *ctx, unsigned long request, void *arg)
{
	if (ctx->compat == NULL)
		return -ENODEV;
	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		return get_info(m, ctx->compat, arg);
	case VFIO_IOMMU_MAP_DMA:
		return map(m, ctx->compat, arg);
	default:
		return unmap(m, ctx->compat, arg);
	}
}

int
mk_compat_ioctl(
	struct dmamap_model *m, struct mk_ctx *ctx, unsigned long request, unsigned long arg)
{
	enum dmamap_model_call kind;
	int rc;

	switch (request) {
	case VFIO_GET_API_VERSION:
	case VFIO_CHECK_EXTENSION:
		kind = DMAMAP_MODEL_CHECK_EXTENSION;
		break;
	case VFIO_SET_IOMMU:
		kind = DMAMAP_MODEL_SET_IOMMU;
		break;
	case VFIO_IOMMU_GET_INFO:
		kind = DMAMAP_MODEL_GET_INFO;
		break;
	case VFIO_IOMMU_MAP_DMA:
		kind = DMAMAP_MODEL_MAP;
		break;
	case VFIO_IOMMU_UNMAP_DMA:
		kind = DMAMAP_MODEL_UNMAP;
		break;
	default:
		return -ENOTTY;
	}
	rc = mk_call(m, kind);
	if (rc < 0)
		return rc;
	if (request == VFIO_GET_API_VERSION)
		return VFIO_API_VERSION;
	if (request == VFIO_CHECK_EXTENSION)
		return extension(ctx, arg);
	if (request == VFIO_SET_IOMMU)
		return set_iommu(ctx, arg);
	return ioas_call(m, ctx, request, (void *)arg);
}
