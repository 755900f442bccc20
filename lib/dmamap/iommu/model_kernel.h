/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does the modelled kernel look like from user space? Files and ioctls, as in <linux/vfio.h>
 * and <linux/iommufd.h>.
 */

#ifndef MODEL_KERNEL_H
#define MODEL_KERNEL_H

#include "dmamap_model.h"

/**
 * open(2) of "/dev/vfio/vfio", "/dev/vfio/<group>" or "/dev/vfio/noiommu-<group>", and where the
 * modelled Linux has them of "/dev/iommu", the folder "/dev/vfio/devices/" and
 * "/dev/vfio/devices/vfio<n>". The lowest free number is given out, as POSIX has it; numbers are
 * the model's own and no files of this process.
 * @return the file, not negative; -ENOENT, -EBUSY, -ENOMEM, ... as Linux.
 */
int dm_mk_open(struct dmamap_model *m, const char *path);

/** close(2). @return 0 or -EBADF. */
int dm_mk_close(struct dmamap_model *m, int fd);

/**
 * ioctl(2), with requests and structures of <linux/vfio.h> and iommufd_abi.h. The caller's memory
 * is trusted: no EFAULT for it.
 * @return 0 or more, as the request has it; a negative errno.
 */
int dm_mk_ioctl(struct dmamap_model *m, int fd, unsigned long request, unsigned long arg);

/** The calling process from now on, for rules that tell processes apart. 0 at first. */
void dm_mk_set_process(struct dmamap_model *m, unsigned int process);

/** What sysfs says of a device. */
struct dm_mk_sysfs {
	char name[DMAMAP_NAME_MAX];
	char driver[DMAMAP_NAME_MAX]; /**< "": none */
	int group;
	int node;
	bool noiommu; /**< no IOMMU is in charge of it */
	int cdev; /**< number of its file in /dev/vfio/devices, or -1 */
	char spoilers[256]; /**< other members of the group that make it not viable, with drivers;
			       "": none */
	unsigned int n_resv; /**< reserved ranges of the group, ascending */
	struct dmamap_model_resv *resv; /**< malloc()ed, the caller frees */
};

/** Look a device up. @return 0; -ENODEV: no such device; -ENOMEM. */
int dm_mk_sysfs(struct dmamap_model *m, const char *name, struct dm_mk_sysfs *info);

/** Reserved ranges of all groups, ascending, each once; *resv is malloc()ed. @return 0 or -ENOMEM.
 */
int dm_mk_host_reserved(struct dmamap_model *m, struct dmamap_model_resv **resv, unsigned int *n);

#endif /* MODEL_KERNEL_H */
