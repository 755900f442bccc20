/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The status socket of a program under gantry-run --status (lib/vfio_front/front_serve.h).
 * Implements part of info.h.
 */

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "info.h"

/** Longest answer that is read: it has the IOVA spaces, with one part for each hole or name. */
#define STATUS_MAX (64u << 20)

/** Read until the end. @return its length; 0: nothing, or too much */
static size_t
answer_read(int fd, char **text)
{
	size_t len = 0, size = 0;
	ssize_t got = 1;
	char *grown;

	while (got > 0 && len < STATUS_MAX) {
		if (len == size) {
			size = size > 0 ? size * 2 : 1 << 16;
			grown = realloc(*text, size);
			if (grown == NULL)
				return 0;
			*text = grown;
		}
		got = recv(fd, *text + len, size - len, 0);
		len += got > 0 ? (size_t)got : 0;
	}
	return got == 0 ? len : 0;
}

static json_t *
status_read(const struct info_process *p, const char *dir)
{
	char path[PATH_MAX], *text = NULL;
	json_t *answer = NULL;
	size_t len = 0;
	int fd;

	fd = info_connect(
		p, info_path(p->host, path, "%s/gantry-vfio.%s", dir, p->pid), SOCK_STREAM);
	if (fd < 0)
		return NULL;
	len = answer_read(fd, &text);
	close(fd);
	if (len > 0)
		answer = info_answer(text, len);
	free(text);
	return answer;
}

json_t *
info_status(const struct info_process *p)
{
	char user[64];
	const char *const dirs[] = {user, getenv("XDG_RUNTIME_DIR"), "/run/gantry", "/tmp"};
	json_t *answer = NULL;
	unsigned int i;

	snprintf(user, sizeof(user), "/run/user/%u", p->uid);
	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && answer == NULL; i++)
		if (dirs[i] != NULL)
			answer = status_read(p, dirs[i]);
	return answer;
}
