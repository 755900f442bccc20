/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * iommufd objects of the mock kernel: one per open of /dev/iommu.
 *
 * Invariant: an iommufd lives until its file is closed, and no group and no bound device refers to
 * it.
 */

#include <errno.h>
#include <stdlib.h>

#include "mock_priv.h"

int
mock_ctx_open(struct vfio_mock *m)
{
	struct mock_ctx *ctx;
	int fd;

	if (m->conf.linux_version < VFIO_MOCK_LINUX(6, 2))
		return -ENOENT;
	ctx = calloc(1, sizeof(*ctx));
	if (ctx == NULL)
		return -ENOMEM;
	TAILQ_INIT(&ctx->spaces);
	ctx->refs = 1;
	ctx->low_id = 1;
	fd = mock_file_new(m, (struct mock_file){.kind = MOCK_IOMMUFD, .ctx = ctx});
	if (fd < 0) {
		free(ctx);
		return fd;
	}
	TAILQ_INSERT_TAIL(&m->ctxs, ctx, next);
	return fd;
}

void
mock_ctx_put(struct vfio_mock *m, struct mock_ctx *ctx)
{
	struct mock_ioas *ioas;

	if (--ctx->refs != 0)
		return;
	while ((ioas = TAILQ_FIRST(&ctx->spaces)) != NULL) {
		TAILQ_REMOVE(&ctx->spaces, ioas, next);
		mock_ioas_free(m, ioas);
	}
	TAILQ_REMOVE(&m->ctxs, ctx, next);
	free(ctx);
}
