/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does the modelled kernel's /dev/iommu answer? Objects, and the calls on them.
 */

#include <errno.h>
#include <stdlib.h>

#include <rte_common.h>

#include "iommufd_abi.h"
#include "model_priv.h"

/* Objects have numbers from 1; one that is free is given again */

struct mk_ioas *
mk_ioas_find(struct mk_ctx *ctx, uint32_t id)
{
	struct mk_ioas *ioas;

	TAILQ_FOREACH(ioas, &ctx->spaces, next)
		if (ioas->id == id)
			return ioas;
	return NULL;
}

bool
mk_id_taken(struct dmamap_model *m, const struct mk_ctx *ctx, uint32_t id)
{
	const struct mk_ioas *ioas;
	const struct mk_domain *dom;
	const struct mk_device *dev;

	TAILQ_FOREACH(ioas, &ctx->spaces, next) {
		if (ioas->id == id)
			return true;
		TAILQ_FOREACH(dom, &ioas->domains, next)
			if (dom->id == id)
				return true;
	}
	TAILQ_FOREACH(dev, &m->devices, next)
		if (dev->ctx == ctx && dev->id == id)
			return true;
	return false;
}

uint32_t
mk_free_id(struct dmamap_model *m, const struct mk_ctx *ctx)
{
	uint32_t id = 1;

	while (mk_id_taken(m, ctx, id))
		id++;
	return id;
}

int
mk_iommufd_open(struct dmamap_model *m)
{
	struct mk_ctx *ctx;
	int fd;

	if (m->conf.linux_version < DMAMAP_MODEL_LINUX(6, 2))
		return -ENOENT;
	ctx = calloc(1, sizeof(*ctx));
	if (ctx == NULL)
		return -ENOMEM;
	TAILQ_INIT(&ctx->spaces);
	ctx->refs = 1;
	fd = mk_file_new(m, (struct mk_file){.kind = MK_IOMMUFD, .ctx = ctx});
	if (fd < 0) {
		free(ctx);
		return fd;
	}
	TAILQ_INSERT_TAIL(&m->ctxs, ctx, next);
	return fd;
}

void
mk_iommufd_put(struct dmamap_model *m, struct mk_ctx *ctx)
{
	struct mk_ioas *ioas;

	if (--ctx->refs != 0)
		return;
	while ((ioas = TAILQ_FIRST(&ctx->spaces)) != NULL) {
		TAILQ_REMOVE(&ctx->spaces, ioas, next);
		mk_ioas_free(m, ioas);
	}
	TAILQ_REMOVE(&m->ctxs, ctx, next);
	free(ctx);
}

/* Calls. Each structure begins with its size, which was checked. */

static int
ioas_alloc(struct dmamap_model *m, struct mk_ctx *ctx, struct abi_ioas_alloc *cmd)
{
	struct mk_ioas *ioas;

	if (cmd->flags != 0)
		return -EOPNOTSUPP;
	ioas = mk_ioas_new(ctx);
	if (ioas == NULL)
		return -ENOMEM;
	ioas->id = cmd->out_ioas_id = mk_free_id(m, ctx);
	TAILQ_INSERT_TAIL(&ctx->spaces, ioas, next);
	return 0;
}

static int
destroy(struct dmamap_model *m, struct mk_ctx *ctx, const struct abi_iommu_destroy *cmd)
{
	struct mk_ioas *ioas = mk_ioas_find(ctx, cmd->id);

	/* Page tables that the kernel made, and devices, are in use as long as they are there. */
	if (ioas == NULL)
		return mk_id_taken(m, ctx, cmd->id) ? -EBUSY : -ENOENT;
	if (!TAILQ_EMPTY(&ioas->domains))
		return -EBUSY;
	if (ctx->compat == ioas)
		ctx->compat = NULL;
	TAILQ_REMOVE(&ctx->spaces, ioas, next);
	mk_ioas_free(m, ioas);
	return 0;
}

static int
iova_ranges(struct dmamap_model *m, struct mk_ctx *ctx, struct abi_ioas_iova_ranges *cmd)
{
	struct abi_iova_range *to = (void *)(uintptr_t)cmd->allowed_iovas;
	struct mk_ioas *ioas = mk_ioas_find(ctx, cmd->ioas_id);
	uint32_t room = cmd->num_iovas;
	struct mk_ranges usable;
	size_t i;
	int rc;

	if (cmd->reserved != 0)
		return -EOPNOTSUPP;
	if (ioas == NULL)
		return -ENOENT;
	rc = mk_ioas_usable(m, ioas, &usable);
	if (rc < 0)
		return rc;
	for (i = 0; i < RTE_MIN(usable.n, room); i++)
		to[i] = (struct abi_iova_range){usable.v[i].start, usable.v[i].last};
	cmd->num_iovas = usable.n;
	cmd->out_iova_alignment = mk_ioas_alignment(ioas);
	free(usable.v);
	return cmd->num_iovas > room ? -EMSGSIZE : 0;
}

static int
range_order(const void *a, const void *b)
{
	const struct dmamap_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/** Read the ranges that a user allows. */
static int
load_allowed(const struct abi_iova_range *from, uint32_t n, struct mk_ranges *to)
{
	uint32_t i;

	to->v = calloc(RTE_MAX(n, 1u), sizeof(*to->v));
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
allow_iovas(struct dmamap_model *m, struct mk_ctx *ctx, const struct abi_ioas_allow_iovas *cmd)
{
	struct mk_ioas *ioas = mk_ioas_find(ctx, cmd->ioas_id);
	struct mk_ranges allowed = {0}, usable = {0};
	size_t i;
	int rc;

	if (cmd->reserved != 0)
		return -EOPNOTSUPP;
	if (ioas == NULL)
		return -ENOENT;
	rc = load_allowed((const void *)(uintptr_t)cmd->allowed_iovas, cmd->num_iovas, &allowed);
	if (rc == 0)
		rc = mk_ioas_usable(m, ioas, &usable);
	if (rc == 0) {
		for (i = 0; i < allowed.n; i++)
			if (!mk_ranges_contain(&usable, allowed.v[i]))
				rc = -EADDRINUSE;
		free(usable.v);
	}
	if (rc == 0)
		mk_ranges_replace(&ioas->allowed, &allowed);
	free(allowed.v);
	return rc;
}

/** What a map or a copy asks for. */
static int
read_request(uint32_t flags, uint64_t len, rte_iova_t iova, struct mk_ioas_request *request)
{
	if (flags & ~(ABI_IOAS_MAP_FIXED_IOVA | ABI_IOAS_MAP_READABLE | ABI_IOAS_MAP_WRITEABLE))
		return -EOPNOTSUPP;
	if (iova == UINT64_MAX || len == UINT64_MAX)
		return -EOVERFLOW;
	if (!(flags & (ABI_IOAS_MAP_READABLE | ABI_IOAS_MAP_WRITEABLE)))
		return -EINVAL;
	*request = (struct mk_ioas_request){
		.fixed = flags & ABI_IOAS_MAP_FIXED_IOVA, .len = len, .iova = iova};
	if (flags & ABI_IOAS_MAP_READABLE)
		request->prot |= DMAMAP_READ;
	if (flags & ABI_IOAS_MAP_WRITEABLE)
		request->prot |= DMAMAP_WRITE;
	return 0;
}

static int
ioas_map(struct dmamap_model *m, struct mk_ctx *ctx, struct abi_ioas_map *cmd)
{
	struct mk_ioas *ioas = mk_ioas_find(ctx, cmd->ioas_id);
	struct mk_ioas_request request;
	int rc;

	if (cmd->reserved != 0)
		return -EOPNOTSUPP;
	rc = read_request(cmd->flags, cmd->length, cmd->iova, &request);
	if (rc < 0)
		return rc;
	if (ioas == NULL)
		return -ENOENT;
	rc = mk_ioas_map(m, ioas, cmd->user_va, &request);
	if (rc == 0)
		cmd->iova = request.iova;
	return rc;
}

static int
ioas_copy(struct dmamap_model *m, struct mk_ctx *ctx, struct abi_ioas_copy *cmd)
{
	struct mk_ioas *to = mk_ioas_find(ctx, cmd->dst_ioas_id);
	struct mk_ioas *from = mk_ioas_find(ctx, cmd->src_ioas_id);
	struct mk_ioas_request request;
	int rc;

	if (cmd->src_iova == UINT64_MAX)
		return -EOVERFLOW;
	rc = read_request(cmd->flags, cmd->length, cmd->dst_iova, &request);
	if (rc < 0)
		return rc;
	if (from == NULL || to == NULL)
		return -ENOENT;
	rc = mk_ioas_copy(m, to, from, cmd->src_iova, &request);
	if (rc == 0)
		cmd->dst_iova = request.iova;
	return rc;
}

static int
ioas_unmap(struct dmamap_model *m, struct mk_ctx *ctx, struct abi_ioas_unmap *cmd)
{
	bool all = cmd->iova == 0 && cmd->length == UINT64_MAX;
	struct mk_ioas *ioas = mk_ioas_find(ctx, cmd->ioas_id);
	struct dmamap_range r = DMAMAP_ANYWHERE;
	uint64_t wish = m->short_nth, done;
	int rc;

	if (ioas == NULL)
		return -ENOENT;
	if (!all) {
		if (cmd->iova == UINT64_MAX || cmd->length == UINT64_MAX)
			return -EOVERFLOW;
		if (cmd->length == 0)
			return -EINVAL;
		if (mk_wraps(cmd->iova, cmd->length))
			return -EOVERFLOW;
		r = (struct dmamap_range){cmd->iova, cmd->iova + cmd->length - 1};
	}
	rc = mk_ioas_unmap(m, ioas, r, &done);
	if (rc < 0)
		return rc;
	if (done == 0 && !all && wish != 1)
		return -ENOENT;
	cmd->length = done;
	return 0;
}

/* Options */

static int
rlimit_mode(struct dmamap_model *m, struct mk_ctx *ctx, struct abi_iommu_option *cmd)
{
	if (cmd->object_id != 0)
		return -EOPNOTSUPP;
	if (cmd->op == ABI_OPTION_GET) {
		cmd->val64 = ctx->per_process;
		return 0;
	}
	if (cmd->op != ABI_OPTION_SET)
		return -EOPNOTSUPP;
	if (mk_free_id(m, ctx) != 1)
		return -EBUSY;
	if (cmd->val64 > 1)
		return -EINVAL;
	ctx->per_process = cmd->val64;
	return 0;
}

static int
huge_pages(struct mk_ctx *ctx, struct abi_iommu_option *cmd)
{
	struct mk_ioas *ioas = mk_ioas_find(ctx, cmd->object_id);

	if (ioas == NULL)
		return -ENOENT;
	if (cmd->op == ABI_OPTION_GET) {
		cmd->val64 = !ioas->base_pages;
		return 0;
	}
	if (cmd->op != ABI_OPTION_SET)
		return -EOPNOTSUPP;
	return cmd->val64 > 1 ? -EINVAL : mk_ioas_set_base_pages(ioas, cmd->val64 == 0);
}

static int
option(struct dmamap_model *m, struct mk_ctx *ctx, struct abi_iommu_option *cmd)
{
	if (cmd->reserved != 0)
		return -EOPNOTSUPP;
	switch (cmd->option_id) {
	case ABI_OPTION_RLIMIT_MODE:
		return rlimit_mode(m, ctx, cmd);
	case ABI_OPTION_HUGE_PAGES:
		return huge_pages(ctx, cmd);
	default:
		return -EOPNOTSUPP;
	}
}

static int
vfio_ioas(struct mk_ctx *ctx, struct abi_vfio_ioas *cmd)
{
	struct mk_ioas *ioas;

	if (cmd->reserved != 0)
		return -EOPNOTSUPP;
	switch (cmd->op) {
	case ABI_VFIO_IOAS_GET:
		if (ctx->compat == NULL)
			return -ENODEV;
		cmd->ioas_id = ctx->compat->id;
		return 0;
	case ABI_VFIO_IOAS_SET:
		ioas = mk_ioas_find(ctx, cmd->ioas_id);
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

/** A call's kind and the size of its structure. */
static const struct {
	unsigned long request;
	enum dmamap_model_call kind;
	uint32_t size;
} calls[] = {
	{ABI_IOMMU_DESTROY, DMAMAP_MODEL_IOMMU_DESTROY, sizeof(struct abi_iommu_destroy)},
	{ABI_IOMMU_IOAS_ALLOC, DMAMAP_MODEL_IOAS_ALLOC, sizeof(struct abi_ioas_alloc)},
	{ABI_IOMMU_IOAS_ALLOW_IOVAS, DMAMAP_MODEL_ALLOW_IOVAS, sizeof(struct abi_ioas_allow_iovas)},
	{ABI_IOMMU_IOAS_COPY, DMAMAP_MODEL_IOAS_COPY, sizeof(struct abi_ioas_copy)},
	{ABI_IOMMU_IOAS_IOVA_RANGES, DMAMAP_MODEL_IOVA_RANGES, sizeof(struct abi_ioas_iova_ranges)},
	{ABI_IOMMU_IOAS_MAP, DMAMAP_MODEL_IOAS_MAP, sizeof(struct abi_ioas_map)},
	{ABI_IOMMU_IOAS_UNMAP, DMAMAP_MODEL_IOAS_UNMAP, sizeof(struct abi_ioas_unmap)},
	{ABI_IOMMU_OPTION, DMAMAP_MODEL_OPTION, sizeof(struct abi_iommu_option)},
	{ABI_IOMMU_VFIO_IOAS, DMAMAP_MODEL_VFIO_IOAS, sizeof(struct abi_vfio_ioas)},
};

static int
do_call(struct dmamap_model *m, struct mk_ctx *ctx, unsigned long request, void *arg)
{
	switch (request) {
	case ABI_IOMMU_DESTROY:
		return destroy(m, ctx, arg);
	case ABI_IOMMU_IOAS_ALLOC:
		return ioas_alloc(m, ctx, arg);
	case ABI_IOMMU_IOAS_ALLOW_IOVAS:
		return allow_iovas(m, ctx, arg);
	case ABI_IOMMU_IOAS_COPY:
		return ioas_copy(m, ctx, arg);
	case ABI_IOMMU_IOAS_IOVA_RANGES:
		return iova_ranges(m, ctx, arg);
	case ABI_IOMMU_IOAS_MAP:
		return ioas_map(m, ctx, arg);
	case ABI_IOMMU_IOAS_UNMAP:
		return ioas_unmap(m, ctx, arg);
	case ABI_IOMMU_OPTION:
		return option(m, ctx, arg);
	default:
		return vfio_ioas(ctx, arg);
	}
}

int
mk_iommufd_ioctl(
	struct dmamap_model *m, struct mk_ctx *ctx, unsigned long request, unsigned long arg)
{
	unsigned int i;
	int rc;

	for (i = 0; i < RTE_DIM(calls); i++)
		if (calls[i].request == request)
			break;
	if (i == RTE_DIM(calls))
		return mk_compat_ioctl(m, ctx, request, arg);
	rc = mk_call(m, calls[i].kind);
	if (rc < 0)
		return rc;
	if (*(const uint32_t *)arg < calls[i].size)
		return -EINVAL;
	return do_call(m, ctx, request, (void *)arg);
}
