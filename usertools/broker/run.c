/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * gantry-broker without a socket: executes a program with its VFIO files open. Implements
 * broker_run() of broker.h.
 *
 * Invariant: files are opened and the limit is set as root. Then the process becomes the
 * user and drops its capabilities, and then the program is executed. If a step fails, the program
 * is not executed.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker.h"

/** Open a file for the program, and add it to the list. @return 0; an exit status. */
static int
file_pass(const struct broker *b, const struct broker_file *file, char *list, size_t size)
{
	const size_t at = strlen(list);
	int fd = broker_file_open(b, file);

	if (fd < 0)
		return broker_fail(BROKER_FAILED, "%s: %s", file->path, strerror(-fd));
	if (fcntl(fd, F_SETFD, 0) < 0)
		return broker_fail(BROKER_FAILED, "%s: %s", file->path, strerror(errno));
	if (snprintf(list + at, size - at, "%s%d=%s", at > 0 ? "," : "", fd, file->path) >=
		(int)(size - at))
		return broker_fail(
			BROKER_FAILED, "too many files for " BROKER_FDS_ENV ": name fewer devices");
	broker_log("hands %s to the program, as descriptor %d", file->path, fd);
	return 0;
}

/** Whether a file may be missing: not all kernels have both /dev/iommu and /dev/vfio/vfio. */
static bool
file_is_optional(const struct broker_file *file)
{
	return file->kind == BROKER_IOMMUFD || file->kind == BROKER_CONTAINER;
}

/**
 * Number of descriptors of a file. A container serves one address space on one IOMMU. One per group
 * is enough: a group that one kernel container refuses goes into another.
 */
static unsigned int
file_copies(const struct broker *b, const struct broker_file *file)
{
	unsigned int i, n_groups = 0;

	for (i = 0; i < b->n_files; i++)
		n_groups += b->files[i].kind == BROKER_GROUP;
	return file->kind == BROKER_CONTAINER ? n_groups : 1;
}

static int
files_pass(const struct broker *b, bool cdevs)
{
	char list[4096] = "";
	unsigned int i, n;
	int rc = 0, fd;

	for (i = 0; i < b->n_files && rc == 0; i++) {
		const struct broker_file *file = &b->files[i];

		if (file->kind == (cdevs ? BROKER_GROUP : BROKER_CDEV) ||
			(cdevs && file->kind == BROKER_CONTAINER))
			continue;
		if (file_is_optional(file)) {
			fd = broker_file_open(b, file);
			if (fd < 0)
				continue;
			close(fd);
		}
		for (n = file_copies(b, file); n > 0 && rc == 0; n--)
			rc = file_pass(b, file, list, sizeof(list));
	}
	if (rc == 0 && setenv(BROKER_FDS_ENV, list, 1) < 0)
		rc = broker_fail(BROKER_FAILED, "%s", strerror(errno));
	return rc;
}

static int
limit_set(const struct broker *b)
{
	const struct rlimit limit = {.rlim_cur = b->memlock, .rlim_max = b->memlock};

	if (b->has_memlock && setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return broker_fail(BROKER_FAILED, "--memlock: %s", strerror(errno));
	return 0;
}

/** Drop all capabilities, also those that execve(2) would keep. */
static int
capabilities_drop(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
		syscall(SYS_capset, &header, none) < 0)
		return broker_fail(
			BROKER_FAILED, "capabilities cannot be dropped: %s", strerror(errno));
	return 0;
}

/** Change to the user, permanently. Root stays root, with all capabilities. */
static int
user_become(const struct broker *b)
{
	const struct passwd *user = getpwuid(b->uid);
	gid_t gid = b->has_gid ? b->gid : user != NULL ? user->pw_gid : (gid_t)-1;
	int rc;

	if (gid == (gid_t)-1)
		return broker_fail(BROKER_FAILED,
			"--user=%u: has no entry in passwd, so no group: give"
			" --group too",
			(unsigned int)b->uid);
	rc = user != NULL ? initgroups(user->pw_name, gid) : setgroups(1, &gid);
	if (rc < 0 || setresgid(gid, gid, gid) < 0 || setresuid(b->uid, b->uid, b->uid) < 0)
		return broker_fail(BROKER_FAILED, "--user: %s: start it as root", strerror(errno));
	return b->uid == 0 ? 0 : capabilities_drop();
}

int
broker_run(const struct broker *b, bool cdevs, char **argv)
{
	int rc = files_pass(b, cdevs);

	if (rc == 0)
		rc = limit_set(b);
	if (rc == 0)
		rc = user_become(b);
	if (rc != 0)
		return rc;
	execvp(argv[0], argv);
	return broker_fail(errno == ENOENT ? BROKER_NOT_FOUND : BROKER_NOT_RUN, "%s: %s", argv[0],
		strerror(errno));
}
