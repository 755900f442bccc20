/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What does a backend do with a kernel that answers oddly? A fake one, small, behind dm_kernel.
 */

#ifndef FAKE_VFIO_H
#define FAKE_VFIO_H

#include <stdbool.h>
#include <stdint.h>

#include "fake_sysfs.h"

/** Room for an answer of VFIO_IOMMU_GET_INFO. */
#define FAKE_ANSWER_MAX 4096

/**
 * What the fake kernel is to do, and what it saw. It keeps the order of calls (facts 1 to 5 of the
 * contract: what comes before what, and who is busy); the rest is said here.
 */
struct fake_vfio {
	/* To do. 0 or "": as a sound kernel does. */
	const char *no_file; /**< opening this path fails with no_file_errno */
	int no_file_errno;
	int version; /**< of the API */
	bool no_type1v2;
	bool noiommu_mode; /**< VFIO takes devices without an IOMMU */
	bool not_viable; /**< every group */
	int fail_errno; /**< what the fail_at-th call answers */
	unsigned int fail_at; /**< counted from 1 */
	int set_container_errno, set_iommu_errno, get_device_errno;
	bool coherent;
	uint64_t unmap_short; /**< bytes by which an unmap falls short */
	uint8_t answer[FAKE_ANSWER_MAX]; /**< of GET_INFO; argsz inside is what the kernel says */
	uint32_t answer_len;
	uint32_t argsz_grows; /**< each question answers that so much more room is needed */

	/* Seen. */
	unsigned int calls; /**< all but close */
	unsigned int open_files; /**< 0: nothing was left behind */
	unsigned int set_iommu_calls;
	char device_name[128]; /**< the last one asked for */
	uint32_t map_flags;
	uint64_t map_iova, map_len, map_vaddr;
};

/** The fake kernel; zeroed by fake_vfio_begin(). */
extern struct fake_vfio fake_vfio;

/** Take Linux' place, with an empty fake_sysfs. @return 0, or negative errno. */
int fake_vfio_begin(void);
/** Go away, with the folder. */
void fake_vfio_end(void);

#endif /* FAKE_VFIO_H */
