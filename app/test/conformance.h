/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What is a kernel under test? Calls that the model and Linux answer alike, and what differs around
 * them.
 */

#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "dmamap.h"

#define PLACE_RESV 16

/** A device that the facts can be tried on, as sysfs describes it. */
struct place {
	char name[DMAMAP_NAME_MAX];
	int group;
	bool noiommu; /**< VFIO's noiommu mode */
	char cdev[32]; /**< its file in /dev/vfio/devices, or "" */
	char iommu[64]; /**< which IOMMU: equal texts are one IOMMU; "": unknown */
	unsigned int n_resv;
	struct dmamap_reserved resv[PLACE_RESV]; /**< owner is not set */
};

/** A kernel under test. Results are 0 or more, or a negative errno. */
struct kernel {
	const char *name;
	int (*open)(const char *path);
	int (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, unsigned long arg);
	/** The i-th device that may be used. @return 0; -ENOENT: there are no more. */
	int (*device)(unsigned int i, struct place *place);
	/** Bytes of locked memory charged to this process. */
	uint64_t (*locked)(void);
	/** Bytes that iommufd has pinned for this process: it charges a user, so this tells what it
	 * holds. */
	uint64_t (*pinned)(void);
	/**
	 * Set RLIMIT_MEMLOCK, and have CAP_IPC_LOCK or not; bytes 0: as at the start.
	 * @return 0; -ENOTSUP.
	 */
	int (*limit_memory)(uint64_t bytes, bool capable);
	/** Maps that containers made from now on take; 0: as at the start. @return 0; -ENOTSUP. */
	int (*limit_entries)(unsigned int n);
	/** The unmap ioctl, called by another process with the same file. */
	int (*ioctl_elsewhere)(int fd, unsigned long request, void *arg, size_t len);
	/** How many times the kernel has put something into an IOMMU's tables; -1: unknown. */
	int64_t (*map_events)(void);
	/** Make the nth of these from now fail. NULL: this kernel cannot be made to. */
	void (*fail_map_event)(unsigned int nth, int err);
};

/** Prepare a kernel for one case. @return as a suite's setup. */
int conformance_model_5_15(const struct kernel **kernel);
/** @see conformance_model_5_15() */
int conformance_model_6_1(const struct kernel **kernel);
/** @see conformance_model_5_15() */
int conformance_model_6_12(const struct kernel **kernel);
/** @see conformance_model_5_15() */
int conformance_model_6_18(const struct kernel **kernel);
/** @return as a suite's teardown. */
void conformance_model_end(void);
/** The kernel that this process runs on. */
int conformance_linux(const struct kernel **kernel);

#endif /* CONFORMANCE_H */
