/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Faults of a program's devices. See front_faults.h.
 */

#include <string.h>

#include "front_faults.h"
#include "front_priv.h"

/** Move a descriptor to a high number and hide it from the program. */
static int
fd_hide(int fd, void *arg DM_UNUSED)
{
	fd = front_fd_raise(fd);
	pthread_mutex_lock(&front_tree);
	/* Without memory for it the program can close it, which ends the watch. */
	front_file_new(FRONT_HIDDEN, fd);
	pthread_mutex_unlock(&front_tree);
	return fd;
}

/** libdmamap's own error lines are kept for the call that fails, and no call does here. */
static void
fault_log(struct dmamap_fault *fault, void *arg DM_UNUSED)
{
	front_log(DMAMAP_LOG_ERR, "%s", fault->text);
}

int
front_faults_start(void)
{
	const struct dmamap_fault_conf conf = {.fault = fault_log, .place = fd_hide};
	struct dmamap_fault_listener *listener;
	int rc = dmamap_fault_listen(&conf, &listener);

	if (rc < 0)
		front_log(DMAMAP_LOG_WARNING,
			"faults: /dev/kmsg: %s: the program runs without them: it takes CAP_SYSLOG,"
			" or sysctl kernel.dmesg_restrict=0",
			strerror(-rc));
	return rc;
}
