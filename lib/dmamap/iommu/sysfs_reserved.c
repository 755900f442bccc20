/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which IOVAs are reserved? What /sys/kernel/iommu_groups/<n>/reserved_regions lists
 * (Documentation/ABI/testing/sysfs-kernel-iommu_groups).
 */

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dm_kernel.h"
#include "dm_sysfs_dev.h"

static enum dmamap_reserved_type
type_of(const char *word)
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

	for (i = 0; i < RTE_DIM(types); i++)
		if (strcmp(word, types[i].word) == 0)
			return types[i].type;
	/* "reserved", and what a later kernel may add. */
	return DMAMAP_RESERVED_BUS;
}

static int
by_start(const void *a, const void *b)
{
	const struct dm_iommu_resv *x = a, *y = b;

	if (x->range.start != y->range.start)
		return x->range.start < y->range.start ? -1 : 1;
	return (x->range.last > y->range.last) - (x->range.last < y->range.last);
}

static bool
is_same(const struct dm_iommu_resv *a, const struct dm_iommu_resv *b)
{
	return by_start(a, b) == 0 && a->type == b->type;
}

/** Append one, unless it is there. */
static int
add(struct dm_iommu_resv **resv, unsigned int *n, const struct dm_iommu_resv *one)
{
	struct dm_iommu_resv *more;
	unsigned int i;

	for (i = 0; i < *n; i++)
		if (is_same(&(*resv)[i], one))
			return 0;
	more = realloc(*resv, (*n + 1) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	more[*n] = *one;
	*resv = more;
	(*n)++;
	return 0;
}

/** Append those of one group. */
static int
add_group(const char *group, struct dm_iommu_resv **resv, unsigned int *n)
{
	char path[PATH_MAX], line[128], word[32];
	struct dm_iommu_resv one;
	FILE *f;
	int rc = 0;

	dm_kernel_sysfs(path, sizeof(path), "kernel/iommu_groups/%s/reserved_regions", group);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	while (rc == 0 && fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%" SCNx64 " %" SCNx64 " %31s", &one.range.start, &one.range.last,
			    word) != 3 ||
			one.range.last < one.range.start)
			continue;
		one.type = type_of(word);
		rc = add(resv, n, &one);
	}
	fclose(f);
	return rc;
}

/** Sort, or give up what was gathered. */
static int
finish(int rc, struct dm_iommu_resv **resv, unsigned int *n)
{
	if (rc == 0 && *n > 0)
		qsort(*resv, *n, sizeof(**resv), by_start);
	if (rc < 0) {
		free(*resv);
		*resv = NULL;
		*n = 0;
	}
	return rc;
}

int
dm_sysfs_group_reserved(int group, struct dm_iommu_resv **resv, unsigned int *n)
{
	char name[16];

	*resv = NULL;
	*n = 0;
	snprintf(name, sizeof(name), "%d", group);
	return finish(add_group(name, resv, n), resv, n);
}

int
dm_sysfs_host_reserved(struct dm_iommu_resv **resv, unsigned int *n)
{
	char path[PATH_MAX];
	const struct dirent *e;
	int rc = 0;
	DIR *dir;

	*resv = NULL;
	*n = 0;
	dm_kernel_sysfs(path, sizeof(path), "kernel/iommu_groups");
	dir = opendir(path);
	if (dir == NULL)
		return 0;
	while (rc == 0 && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.')
			rc = add_group(e->d_name, resv, n);
	closedir(dir);
	return finish(rc, resv, n);
}
