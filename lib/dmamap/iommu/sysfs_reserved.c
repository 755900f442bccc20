/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Reserved ranges of groups, from /sys/kernel/iommu_groups/<n>/reserved_regions
 * (Documentation/ABI/testing/sysfs-kernel-iommu_groups). See dm_sysfs_dev.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_kernel.h"
#include "dm_sysfs_dev.h"
#include "dm_util.h"

static enum dmamap_reserved_type
resv_type(const char *word)
{
	static const struct {
		const char *word;
		enum dmamap_reserved_type type;
	} types[] = {
		{"msi", DMAMAP_RESERVED_MSI},
		{"direct", DMAMAP_RESERVED_DIRECT},
		{"direct-relaxable", DMAMAP_RESERVED_RELAXABLE},
	};
	unsigned int i;

	for (i = 0; i < DM_DIM(types); i++)
		if (strcmp(word, types[i].word) == 0)
			return types[i].type;
	/* "reserved", and types that a later kernel may add. */
	return DMAMAP_RESERVED_BUS;
}

static int
resv_cmp(const void *a, const void *b)
{
	const struct dm_iommu_resv *x = a, *y = b;

	if (x->range.start != y->range.start)
		return x->range.start < y->range.start ? -1 : 1;
	return (x->range.last > y->range.last) - (x->range.last < y->range.last);
}

static bool
resv_is_same(const struct dm_iommu_resv *a, const struct dm_iommu_resv *b)
{
	return resv_cmp(a, b) == 0 && a->type == b->type;
}

/** A growing list. */
struct resv_list {
	const struct dmamap_kernel *kernel;
	struct dm_iommu_resv *v;
	unsigned int n;
};

/** Append a range, unless the list has it already. */
static int
resv_list_add(struct resv_list *list, const struct dm_iommu_resv *one)
{
	struct dm_iommu_resv *more;
	unsigned int i;

	for (i = 0; i < list->n; i++)
		if (resv_is_same(&list->v[i], one))
			return 0;
	more = realloc(list->v, (list->n + 1) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	more[list->n++] = *one;
	list->v = more;
	return 0;
}

/** Append the ranges of one group. */
static int
resv_list_add_group(void *ctx, const char *group)
{
	struct resv_list *list = ctx;
	char *text, *rest, *line, word[32];
	struct dm_iommu_resv one;
	int rc;

	rc = dm_kernel_text(list->kernel, &text, "kernel/iommu_groups/%s/reserved_regions", group);
	if (rc == -ENOENT)
		return 0;
	rest = text;
	while (rc == 0 && (line = strsep(&rest, "\n")) != NULL) {
		if (sscanf(line, "%" SCNx64 " %" SCNx64 " %31s", &one.range.start, &one.range.last,
			    word) != 3 ||
			one.range.last < one.range.start)
			continue;
		one.type = resv_type(word);
		rc = resv_list_add(list, &one);
	}
	free(text);
	return rc;
}

/** Return the sorted list, or free it on error. */
static int
resv_list_finish(int rc, struct resv_list *list, struct dm_iommu_resv **resv, unsigned int *n)
{
	*resv = NULL;
	*n = 0;
	if (rc < 0) {
		free(list->v);
		return rc;
	}
	if (list->n > 0)
		qsort(list->v, list->n, sizeof(*list->v), resv_cmp);
	*resv = list->v;
	*n = list->n;
	return 0;
}

int
dm_sysfs_group_reserved(
	const struct dmamap_kernel *k, int group, struct dm_iommu_resv **resv, unsigned int *n)
{
	struct resv_list list = {.kernel = k};
	char name[16];

	snprintf(name, sizeof(name), "%d", group);
	return resv_list_finish(resv_list_add_group(&list, name), &list, resv, n);
}

/** Errors other than -ENOMEM are ignored: the group is read again when a device is attached. */
static int
resv_list_add_host_group(void *ctx, const char *group)
{
	return resv_list_add_group(ctx, group) == -ENOMEM ? -ENOMEM : 0;
}

int
dm_sysfs_host_reserved(const struct dmamap_kernel *k, struct dm_iommu_resv **resv, unsigned int *n)
{
	struct resv_list list = {.kernel = k};
	int rc = dm_kernel_list(k, resv_list_add_host_group, &list, "kernel/iommu_groups");

	return resv_list_finish(rc == -ENOMEM ? rc : 0, &list, resv, n);
}
