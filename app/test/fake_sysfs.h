/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where do backends look devices up in tests? A sysfs in a folder of its own.
 */

#ifndef FAKE_SYSFS_H
#define FAKE_SYSFS_H

/** The folder, for dm_kernel's sysfs. */
extern char fake_sysfs[];

/** Make an empty one. @return 0, or negative errno. */
int fake_sysfs_begin(void);
/** Remove it. */
void fake_sysfs_end(void);
/** Put a device into it. driver NULL: bound to none; group -1: none. */
int fake_sysfs_device(const char *bdf, int group, const char *driver);
/** Give a device that VFIO holds its character device, vfio<number>. */
int fake_sysfs_cdev(const char *bdf, unsigned int number);
/** Write a file of it. */
int fake_sysfs_file(const char *path, const char *text);

#endif /* FAKE_SYSFS_H */
