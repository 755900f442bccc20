/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Which processes have a file open: /proc/PID/fd, as fuser(1) does. Files of other users' processes
 * are visible to root only. Implements part of info.h.
 */

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "info.h"

static bool
process_has(const struct info_host *h, const char *pid, const char *path)
{
	json_t *fds = info_list(h, "/proc/%s/fd", pid), *fd;
	char link[PATH_MAX], target[PATH_MAX];
	bool has = false;
	ssize_t len;
	size_t i;

	json_array_foreach(fds, i, fd) {
		info_path(h, link, "/proc/%s/fd/%s", pid, json_string_value(fd));
		len = readlink(link, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		has = has || strcmp(target, path) == 0;
	}
	json_decref(fds);
	return has;
}

unsigned int
info_holders(const struct info_host *h, const char *path, char *text, int *pid)
{
	json_t *pids = info_list(h, "/proc"), *one;
	char name[INFO_NAME_MAX];
	unsigned int n = 0;
	size_t i, len = 0;
	const char *at;

	text[0] = '\0';
	*pid = 0;
	json_array_foreach(pids, i, one) {
		at = json_string_value(one);
		if (!isdigit((unsigned char)at[0]) || atoi(at) == getpid() ||
			!process_has(h, at, path))
			continue;
		info_line(h, name, sizeof(name), "/proc/%s/comm", at);
		if (len < INFO_TEXT_MAX)
			len += (size_t)snprintf(text + len, INFO_TEXT_MAX - len, "%s%s (%s)",
				n > 0 ? ", " : "", at, name[0] != '\0' ? name : "?");
		*pid = n++ == 0 ? atoi(at) : *pid;
	}
	json_decref(pids);
	return n;
}
