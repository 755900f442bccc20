/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Internal interface of gantry-broker, which opens VFIO files for processes that have no permission
 * to, such as those in pods.
 *
 * Invariant: it opens only the files of the devices on its command line, and the two files that
 * belong to no device (/dev/vfio/vfio, /dev/iommu). A path in a request is compared with that list
 * and never opened. Single-threaded.
 */

#ifndef BROKER_H
#define BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "broker_wire.h"

/** Exit statuses, as those of env(1). Otherwise the program's. */
#define BROKER_FAILED 125
#define BROKER_NOT_RUN 126
#define BROKER_NOT_FOUND 127

/** Kind of a file. */
enum broker_kind {
	BROKER_CONTAINER, /**< /dev/vfio/vfio */
	BROKER_IOMMUFD, /**< /dev/iommu */
	BROKER_GROUP, /**< /dev/vfio/N */
	BROKER_CDEV, /**< /dev/vfio/devices/vfioN */
};

/** A file that may be passed to clients. */
struct broker_file {
	enum broker_kind kind;
	char path[BROKER_PATH_SIZE]; /**< as clients name it */
};

struct broker {
	const char *sysfs; /**< "/sys", or where the host's is mounted */
	const char *dev; /**< "/dev", or where the host's is mounted */
	const char *socket;
	bool once; /**< serve one process, and exit when it exits */
	bool has_uid, has_gid, has_memlock;
	uid_t uid; /**< user that is served, besides root */
	gid_t gid;
	rlim_t memlock; /**< RLIMIT_MEMLOCK of served processes */
	unsigned int n_files;
	struct broker_file *files;
};

/** @name log.c: one line per call, on standard error */
/**@{*/
void broker_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Log a line. @return status, for main() to return. */
int broker_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/**@}*/

/** @name devices.c */
/**@{*/
/**
 * Find the group and the character device of a PCI device in sysfs, and add their files.
 * @param name  PCI address, with or without a domain: 0000:01:00.0
 * @return 0; an exit status, after logging a line.
 */
int broker_device_add(struct broker *b, const char *name);
/** Add the files that belong to no device. @return 0; an exit status, after logging a line. */
int broker_common_add(struct broker *b);
/** @return the file of this path; NULL: not served. */
const struct broker_file *broker_file_find(const struct broker *b, const char *path);
/**
 * Open a file.
 * @return a descriptor with FD_CLOEXEC; a negative errno; -ENODEV: not a character device.
 */
int broker_file_open(const struct broker *b, const struct broker_file *file);
/**@}*/

/**
 * Serve clients until a signal arrives, or, with `once`, until the served process exits.
 * @return an exit status.
 */
int broker_serve(const struct broker *b);

/**
 * Open all files, change to the user, and execute a program.
 * @param cdevs  pass the device files (cdevs) and not the group files; the kernel allows only one
 *   of the two at a time.
 * @return an exit status, after logging a line: the program could not be executed.
 */
int broker_run(const struct broker *b, bool cdevs, char **argv);

#endif /* BROKER_H */
