/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Object IDs of an iommufd. A new object gets the lowest free ID, from 1 on.
 */

#include "dm_util.h"
#include "mock_priv.h"

struct mock_ioas *
mock_ioas_find(struct mock_ctx *ctx, uint32_t id)
{
	struct mock_ioas *ioas;

	TAILQ_FOREACH(ioas, &ctx->spaces, next)
		if (ioas->id == id)
			return ioas;
	return NULL;
}

bool
mock_id_taken(struct vfio_mock *m, const struct mock_ctx *ctx, uint32_t id)
{
	const struct mock_ioas *ioas;
	const struct mock_domain *dom;
	const struct mock_device *dev;

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
mock_free_id(struct vfio_mock *m, struct mock_ctx *ctx)
{
	while (mock_id_taken(m, ctx, ctx->low_id))
		ctx->low_id++;
	return ctx->low_id;
}

void
mock_id_free(struct mock_ctx *ctx, uint32_t id)
{
	ctx->low_id = DM_MIN(ctx->low_id, id);
}
