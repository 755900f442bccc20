/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Passing VFIO files to the program through the environment. Implements hand_in.h.
 */

#include "hand_in.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "broker_wire.h"
#include "program.h"

static bool
path_is_vfio(const char *path)
{
	return (strncmp(path, "/dev/vfio/", 10) == 0 || strcmp(path, "/dev/iommu") == 0) &&
		strlen(path) < BROKER_PATH_SIZE && strchr(path, ',') == NULL;
}

static int
environment_set(const char *name, const char *value)
{
	return setenv(name, value, 1) == 0 ? 0
					   : run_fail(RUN_FAILED, "%s: %s", name, strerror(errno));
}

int
run_hand_in_fd(const char *item)
{
	const char *old = getenv(BROKER_FDS_ENV);
	struct stat st;
	char *end, *list;
	long fd = strtol(item, &end, 10);
	int rc;

	if (end == item || *end != '=' || fd < 0 || fd > INT_MAX || !path_is_vfio(end + 1))
		return run_fail(RUN_FAILED,
			"--fd=%s: not NUMBER=PATH with a path such as /dev/vfio/vfio", item);
	if (fstat((int)fd, &st) < 0)
		return run_fail(RUN_FAILED, "--fd=%s: descriptor %ld is not open", item, fd);
	if (!S_ISCHR(st.st_mode))
		return run_fail(
			RUN_FAILED, "--fd=%s: descriptor %ld is not a character device", item, fd);
	if (asprintf(&list, "%s%s%s", old != NULL ? old : "",
		    old != NULL && old[0] != '\0' ? "," : "", item) < 0)
		return run_fail(RUN_FAILED, "out of memory");
	rc = environment_set(BROKER_FDS_ENV, list);
	free(list);
	return rc;
}

/** The program may change its directory, so the path is made absolute. */
int
run_hand_in_broker(const char *path)
{
	char absolute[PATH_MAX];
	struct stat st;

	if (realpath(path, absolute) == NULL || stat(absolute, &st) < 0)
		return run_fail(RUN_FAILED,
			"--broker=%s: %s: start gantry-broker, or mount its socket here", path,
			strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return run_fail(RUN_FAILED, "--broker=%s: not a socket", path);
	if (strlen(absolute) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return run_fail(RUN_FAILED,
			"--broker=%s: longer than the path of a UNIX socket can be", path);
	return environment_set(BROKER_SOCKET_ENV, absolute);
}
