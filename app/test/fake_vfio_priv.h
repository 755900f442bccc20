/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What do the two halves of the fake kernel share? Its open files.
 */

#ifndef FAKE_VFIO_PRIV_H
#define FAKE_VFIO_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#define FAKE_FIRST_FD 1000
#define FAKE_FILES 32

enum fake_kind { FAKE_FREE, FAKE_CONTAINER, FAKE_GROUP, FAKE_DEVICE, FAKE_IOMMUFD, FAKE_CDEV };

struct fake_file {
	enum fake_kind kind;
	int number;	     /**< of a group or a character device */
	struct fake_file *inside; /**< a group's container, a device's group */
	unsigned int members; /**< groups of a container, devices of a group */
	bool type_set;
	bool noiommu;	     /**< a group, or the container it is in */
	bool bound;	      /**< a character device */
	uint32_t ioas;	      /**< that it is attached to, or 0 */
	uint32_t compat_ioas; /**< an iommufd's */
};

extern struct fake_file fake_files[FAKE_FILES];

/** The open file, or NULL. */
struct fake_file *fake_file_of(int fd);

/** The calls on /dev/iommu and on /dev/vfio/devices/vfio<n>. */
int fake_iommufd_ioctl(struct fake_file *f, unsigned long request, uintptr_t arg);
int fake_cdev_ioctl(struct fake_file *f, unsigned long request, uintptr_t arg);

#endif /* FAKE_VFIO_PRIV_H */
