/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The linear map: address space in which IOVA = VA + constant. First-fit allocation of 2 MiB units.
 * See dm_linear.h.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dm_linear.h"
#include "dm_process.h"
#include "dm_va.h"
#include "dm_util.h"

static bool
units_all_reserved(const uint8_t *reserved, uint64_t n)
{
	while (n > 0 && reserved[n - 1] != 0)
		n--;
	return n == 0;
}

int
dm_linear_create(uint64_t len, uint64_t iova, struct dm_linear **out)
{
	struct dm_linear *l;
	void *va = NULL;

	if (len == 0 || len % DM_LINEAR_ALIGN != 0 || len > DM_LINEAR_MAX)
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	l->reserved = calloc(len / DM_LINEAR_UNIT, 1);
	if (l->reserved != NULL)
		va = dm_va_reserve_aligned(len, DM_LINEAR_ALIGN);
	if (va == NULL) {
		free(l->reserved);
		free(l);
		return -ENOMEM;
	}
	l->start = (uintptr_t)va;
	l->len = len;
	l->process = dm_process_id();
	l->delta = iova - l->start;
	*out = l;
	return 0;
}

void
dm_linear_destroy(struct dm_linear *l)
{
	if (l == NULL)
		return;
	dm_va_release((void *)(uintptr_t)l->start, l->len, l->process);
	free(l->reserved);
	free(l);
}

int
dm_linear_reserve(struct dm_linear *l, uint64_t len, uint64_t align, void **va)
{
	const uint64_t units = l->len / DM_LINEAR_UNIT, n = len / DM_LINEAR_UNIT;
	const uint64_t step = DM_MAX(align, DM_LINEAR_UNIT) / DM_LINEAR_UNIT;
	uint64_t at, used;

	if (len == 0 || len % DM_LINEAR_UNIT != 0 || !dm_is_power_of_2(align) ||
		align > DM_LINEAR_ALIGN)
		return -EINVAL;
	for (at = 0; at + n <= units && at + n >= at; at = DM_ALIGN_CEIL(used + 1, step)) {
		for (used = at; used < at + n && l->reserved[used] == 0;)
			used++;
		if (used < at + n)
			continue;
		memset(&l->reserved[at], 1, n);
		*va = (void *)(uintptr_t)(l->start + at * DM_LINEAR_UNIT);
		return 0;
	}
	return -ENOSPC;
}

int
dm_linear_release(struct dm_linear *l, const void *va, uint64_t len)
{
	uint64_t offset = (uintptr_t)va - l->start, at = offset / DM_LINEAR_UNIT,
		 n = len / DM_LINEAR_UNIT;

	if (offset >= l->len || len == 0 || len > l->len - offset ||
		(offset | len) % DM_LINEAR_UNIT != 0 || !units_all_reserved(&l->reserved[at], n))
		return -EINVAL;
	memset(&l->reserved[at], 0, n);
	return 0;
}
