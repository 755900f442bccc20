/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How do the backends of real kernels run on the model? It takes Linux' place behind dm_kernel, and
 * in a sysfs.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dm_kernel.h"
#include "fake_sysfs.h"
#include "model_kernel.h"
#include "model_linux.h"

int (*model_linux_hook)(unsigned long request, void *arg, int rc);
static struct dmamap_model *model_in_use;
static const struct dm_kernel *before;

static int
open_in_model(const char *path, int flags)
{
	return model_in_use == NULL ? -ENOENT : dm_mk_open(model_in_use, path);
}

static int
ioctl_in_model(int fd, unsigned long request, uintptr_t arg)
{
	int rc;

	if (model_in_use == NULL)
		return -EBADF;
	rc = dm_mk_ioctl(model_in_use, fd, request, arg);
	return model_linux_hook == NULL ? rc : model_linux_hook(request, (void *)arg, rc);
}

static int
close_in_model(int fd)
{
	return model_in_use == NULL ? -EBADF : dm_mk_close(model_in_use, fd);
}

static const struct dm_kernel kernel = {
	.sysfs = fake_sysfs,
	.open = open_in_model,
	.ioctl = ioctl_in_model,
	.close = close_in_model,
};

/** As the kernel writes it (drivers/iommu/iommu.c, iommu_group_show_resv_regions()). */
static int
write_reserved(const struct dm_mk_sysfs *info)
{
	static const char *const words[] = {[DMAMAP_RESERVED_MSI] = "msi",
		[DMAMAP_RESERVED_DIRECT] = "direct",
		[DMAMAP_RESERVED_RELAXABLE] = "direct-relaxable",
		[DMAMAP_RESERVED_BUS] = "reserved"};
	char path[64], *text = NULL;
	unsigned int i;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int rc;

	if (out == NULL)
		return -ENOMEM;
	for (i = 0; i < info->n_resv; i++)
		fprintf(out, "0x%016" PRIx64 " 0x%016" PRIx64 " %s\n", info->resv[i].range.start,
			info->resv[i].range.last, words[info->resv[i].type]);
	fclose(out);
	snprintf(path, sizeof(path), "kernel/iommu_groups/%d/reserved_regions", info->group);
	rc = fake_sysfs_file(path, text);
	free(text);
	return rc;
}

static int
describe(struct dmamap_model *model, const char *name)
{
	struct dm_mk_sysfs info;
	int rc = dm_mk_sysfs(model, name, &info);

	if (rc < 0)
		return rc;
	rc = fake_sysfs_device(name, info.group, info.driver[0] != '\0' ? info.driver : NULL);
	if (rc == 0 && info.cdev >= 0)
		rc = fake_sysfs_cdev(name, info.cdev);
	if (rc == 0)
		rc = write_reserved(&info);
	free(info.resv);
	return rc;
}

int
model_linux_begin(struct dmamap_model *model, const char *const *names, unsigned int n)
{
	unsigned int i;
	int rc = fake_sysfs_begin();

	if (rc < 0)
		return rc;
	for (i = 0; i < n && rc == 0; i++)
		rc = describe(model, names[i]);
	if (rc < 0) {
		fake_sysfs_end();
		return rc;
	}
	before = dm_kernel;
	dm_kernel = &kernel;
	model_linux_use(model);
	return 0;
}

void
model_linux_use(struct dmamap_model *model)
{
	model_in_use = model;
}

void
model_linux_end(void)
{
	dm_kernel = before;
	model_in_use = NULL;
	model_linux_hook = NULL;
	fake_sysfs_end();
}
