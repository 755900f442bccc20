/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A bpffs of the test program alone. Mounts do not propagate from here.
 */

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mount.h>

#include <bpf/bpf.h>

#include "private_bpffs.h"
#include "test.h"

char bpffs_dir[64];

/* Have mounts of this thread be its own, from now on. */
static int
mounts_own(void)
{
	static bool done;

	if (done)
		return 0;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	done = true;
	return 0;
}

int
bpffs_setup(void)
{
	int rc = mounts_own();

	if (rc < 0)
		return test_skip("no mount namespace: %s", strerror(-rc));
	snprintf(bpffs_dir, sizeof(bpffs_dir), "/tmp/gantry-bpffs-XXXXXX");
	TEST_ASSERT_NOT_NULL(mkdtemp(bpffs_dir), "folder: %s", strerror(errno));
	if (mount("bpffs", bpffs_dir, "bpf", 0, NULL) == 0)
		return 0;
	rc = errno;
	rmdir(bpffs_dir);
	bpffs_dir[0] = '\0';
	return test_skip("no bpffs: %s", strerror(rc));
}

void
bpffs_teardown(void)
{
	if (bpffs_dir[0] == '\0')
		return;
	umount2(bpffs_dir, MNT_DETACH);
	rmdir(bpffs_dir);
	bpffs_dir[0] = '\0';
}

const char *
bpffs_pin(int fd, const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", bpffs_dir, name);
	return bpf_obj_pin(fd, path) < 0 ? NULL : path;
}
