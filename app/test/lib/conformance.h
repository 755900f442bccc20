/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A kernel under the conformance suites: the calls that the mock and Linux share, and the
 * properties in which they differ. Implemented by test_conformance_mock.c,
 * test_conformance_front.c and test_conformance_linux.c, used through conformance_bench.h.
 */

#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "dmamap.h"

#define PLACE_RESV 16

/** A device that facts can be tried on, as sysfs describes it. */
struct place {
	char name[DMAMAP_NAME_MAX];
	int group;
	bool noiommu; /**< VFIO's noiommu mode */
	char cdev[32]; /**< its file in /dev/vfio/devices, or "" */
	char iommu[64]; /**< name of its IOMMU: equal texts are one IOMMU; "": unknown */
	unsigned int n_resv;
	struct dmamap_reserved resv[PLACE_RESV]; /**< owner is not set */
};

/** A kernel under test. Calls return 0 or more, or a negative errno. */
struct kernel {
	const char *name;
	int (*open)(const char *path);
	int (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, unsigned long arg);
	/** The i-th device that tests may use. @return 0; -ENOENT: there are no more. */
	int (*device)(unsigned int i, struct place *place);
	/** Bytes of locked memory charged to this process. */
	uint64_t (*locked)(void);
	/**
	 * Bytes that iommufd has pinned for this process. It charges them to the user, so locked()
	 * does not show them.
	 */
	uint64_t (*pinned)(void);
	/**
	 * Set RLIMIT_MEMLOCK, and switch CAP_IPC_LOCK on or off.
	 * @param bytes  0: as at the start
	 * @return 0; -ENOTSUP.
	 */
	int (*limit_memory)(uint64_t bytes, bool capable);
	/**
	 * Set the number of entries of containers made from now on; 0: as at the start.
	 * @return 0; -ENOTSUP.
	 */
	int (*limit_entries)(unsigned int n);
	/**
	 * Maps are deferred until a device is open, and contiguous ones are joined to one entry.
	 */
	bool defers;
	/** Maps cost no entries. */
	bool unlimited;
	/** The kernel below has no type1 containers; an iommufd serves in their place. */
	bool no_container;
	/** Locked memory is charged for each domain, as each is a kernel container below. */
	bool charges_domains;
	/** Locked memory is charged to the user, and not to the process. */
	bool charges_user;
	/**
	 * The unmap ioctl, made by another process on the same file; NULL: this kernel does not see
	 * calls of other processes.
	 */
	int (*ioctl_elsewhere)(int fd, unsigned long request, void *arg, size_t len);
	/** Map events so far: operations that entered pages into IOMMU tables; -1: unknown. */
	int64_t (*map_events)(void);
	/**
	 * Make the nth map event from now fail with err; NULL: this kernel cannot inject failures.
	 */
	void (*fail_map_event)(unsigned int nth, int err);
};

/**
 * Prepare a mock kernel of this Linux version for one case.
 * @return as a suite's setup.
 */
int conformance_mock_5_15(const struct kernel **kernel);
/** @see conformance_mock_5_15() */
int conformance_mock_6_1(const struct kernel **kernel);
/** @see conformance_mock_5_15() */
int conformance_mock_6_12(const struct kernel **kernel);
/** @see conformance_mock_5_15() */
int conformance_mock_6_18(const struct kernel **kernel);
/** The mock kernel of the running case. */
struct vfio_mock *conformance_mock(void);
/** Destroy the mock kernel after a case; a suite's teardown. */
void conformance_mock_end(void);
/**
 * @name Virtual containers in front of the mock: one kernel container, one for each group, joined
 * maps, iommufd
 */
/**@{*/
int conformance_front_type1(const struct kernel **kernel);
int conformance_front_isolated(const struct kernel **kernel);
int conformance_front_coalescing(const struct kernel **kernel);
int conformance_front_iommufd(const struct kernel **kernel);
/** iommufd, on a kernel without type1 containers. */
int conformance_front_no_container(const struct kernel **kernel);
void conformance_front_end(void);
/**@}*/
/** Prepare the kernel that this process runs on. @return as a suite's setup. */
int conformance_linux(const struct kernel **kernel);

#endif /* CONFORMANCE_H */
