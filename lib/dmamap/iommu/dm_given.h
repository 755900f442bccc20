/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Device files that the application opened and handed in: duplicated, checked and identified.
 * Called by container/ when a device is attached.
 *
 * Invariant: the application's descriptors are never used after the call, only duplicates. No
 * state; any thread may call.
 */

#ifndef DM_GIVEN_H
#define DM_GIVEN_H

#include "dm_iommu.h"

/**
 * Duplicate a descriptor if one was handed in.
 * @param what  its name, for the log.
 * @param copy  out: the duplicate, which the caller closes; -1: none was handed in.
 * @return 0; -EBADF, -EMFILE: logged.
 */
int dm_given_dup(
	const struct dmamap_kernel *k, struct dmamap_given fd, const char *what, int *copy);

/**
 * Duplicate all files of a device that were handed in.
 * @param given  out: the duplicates, to be closed by dm_given_close(); all closed on error.
 * @return 0; as dm_given_dup(); -EINVAL: a negative group number. Logged.
 */
int dm_given_open(const struct dmamap_kernel *k, const struct dmamap_attach_conf *conf,
	struct dm_iommu_given *given);
/**
 * Check that the files and the name that were handed in fit together.
 * @param said  name from the caller, or NULL.
 * @return 0; -EINVAL: group_only without the files or name it needs. Logged.
 */
int dm_given_check(const struct dm_iommu_given *given, const char *said);
/** Close the duplicates and set them to -1. */
void dm_given_close(const struct dmamap_kernel *k, struct dm_iommu_given *given);

/**
 * Determine the name of a device: from fdinfo (Linux 6.18), else from the caller, perhaps with
 * options. A group alone (group_only) may be named "group-N".
 * @param said  name from the caller, or NULL.
 * @param spec  out: the name, with the caller's options.
 * @param size  bytes in spec.
 * @return 0; -EINVAL: no name is known, or the two names differ. Logged.
 */
int dm_given_name(const struct dmamap_kernel *k, const struct dm_iommu_given *given,
	const char *said, char *spec, size_t size);

#endif /* DM_GIVEN_H */
