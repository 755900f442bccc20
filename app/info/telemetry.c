/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A running process, and the sockets by which it answers: the telemetry of DPDK, and others.
 * Implements part of info.h.
 *
 * Invariant: a socket is read only if the user of the process owns it, since anybody may create one
 * in /tmp.
 */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "info.h"

#define TIMEOUT_S 2

int
info_process_find(const struct info_host *h, const char *pid, struct info_process *p)
{
	const size_t len = strlen(pid);
	char path[PATH_MAX];
	struct stat st;

	*p = (struct info_process){.host = h, .pid = pid};
	if (len == 0 || len > 9 || strspn(pid, "0123456789") != len || pid[0] == '0')
		return info_fail(h, INFO_USAGE, "%s: not a process ID", pid);
	if (stat(info_path(h, path, "/proc/%s", pid), &st) < 0)
		return info_fail(h, INFO_FAILED, "%s: no such process", pid);
	p->uid = st.st_uid;
	return INFO_OK;
}

/* Sockets */

int
info_connect(const struct info_process *p, const char *path, int type)
{
	const struct timeval wait = {.tv_sec = TIMEOUT_S};
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct stat st;
	int fd;

	if (snprintf(at.sun_path, sizeof(at.sun_path), "%s", path) >= (int)sizeof(at.sun_path))
		return -ENAMETOOLONG;
	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_uid != p->uid)
		return -ENOENT;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	close(fd);
	return -errno;
}

/**
 * jansson has no integers above INT64_MAX, so numbers are read as reals. Make them integers again;
 * UINT64_MAX is libdmamap's "no limit".
 */
static json_t *
numbers_restore(json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;
	void *tmp;

	if (json_is_real(value) && json_real_value(value) < 0x1p63)
		return json_integer((json_int_t)json_real_value(value));
	if (json_is_real(value))
		return json_string("no known limit");
	if (json_is_array(value))
		json_array_foreach(value, i, item)
			json_array_set_new(value, i, numbers_restore(item));
	if (json_is_object(value))
		json_object_foreach_safe(value, tmp, key, item)
			json_object_set_new(value, key, numbers_restore(item));
	return json_incref(value);
}

json_t *
info_answer(const char *text, size_t len)
{
	json_t *value = json_loadb(text, len, JSON_DECODE_INT_AS_REAL, NULL), *restored;

	if (value == NULL)
		return NULL;
	restored = numbers_restore(value);
	json_decref(value);
	return restored;
}

/* Telemetry of DPDK */

json_t *
info_telemetry_ask(int fd, const char *question)
{
	char *text = malloc(INFO_ANSWER_MAX);
	json_t *answer = NULL, *member;
	char key[INFO_NAME_MAX];
	ssize_t len;

	if (text != NULL &&
		(question == NULL || send(fd, question, strlen(question), MSG_NOSIGNAL) > 0)) {
		len = recv(fd, text, INFO_ANSWER_MAX, 0);
		answer = len > 0 ? info_answer(text, (size_t)len) : NULL;
	}
	free(text);
	if (question == NULL || answer == NULL)
		return answer;
	/* The answer is named by the command, without its parameters. */
	snprintf(key, sizeof(key), "%.*s", (int)strcspn(question, ","), question);
	member = json_incref(json_object_get(answer, key));
	json_decref(answer);
	return member;
}

/** Whether a telemetry socket is this process's: its greeting has the PID. */
static bool
telemetry_is_of(const struct info_process *p, int fd)
{
	json_t *greeting = info_telemetry_ask(fd, NULL);
	char pid[32];

	snprintf(pid, sizeof(pid), "%" JSON_INTEGER_FORMAT,
		json_integer_value(json_object_get(greeting, "pid")));
	json_decref(greeting);
	return strcmp(pid, p->pid) == 0;
}

/** Search the sockets of one file prefix. @return a descriptor; -1: the process is not there */
static int
telemetry_in(const struct info_process *p, const char *dir)
{
	json_t *files = info_list(p->host, "%s", dir), *file;
	char path[PATH_MAX];
	int fd, found = -1;
	size_t i;

	json_array_foreach(files, i, file) {
		const char *name = json_string_value(file);

		if (found >= 0 ||
			strncmp(name, "dpdk_telemetry.v2", strlen("dpdk_telemetry.v2")) != 0)
			continue;
		fd = info_connect(p, info_path(p->host, path, "%s/%s", dir, name), SOCK_SEQPACKET);
		if (fd < 0)
			continue;
		if (telemetry_is_of(p, fd))
			found = fd;
		else
			close(fd);
	}
	json_decref(files);
	return found;
}

int
info_telemetry_open(const struct info_process *p)
{
	char dirs[2][64], dir[PATH_MAX];
	json_t *prefixes, *prefix;
	unsigned int d;
	int found = -1;
	size_t i;

	/* As lib/eal/unix/eal_filesystem.c: root's and other users' run-time folders. */
	snprintf(dirs[0], sizeof(dirs[0]), "/var/run/dpdk");
	snprintf(dirs[1], sizeof(dirs[1]), "/run/user/%u/dpdk", p->uid);
	for (d = 0; d < 2; d++) {
		prefixes = info_list(p->host, "%s", dirs[d]);
		json_array_foreach(prefixes, i, prefix) {
			snprintf(dir, sizeof(dir), "%s/%s", dirs[d], json_string_value(prefix));
			found = found >= 0 ? found : telemetry_in(p, dir);
		}
		json_decref(prefixes);
	}
	return found;
}

bool
info_telemetry_containers(int fd, json_t *array)
{
	json_t *names = info_telemetry_ask(fd, "/dmamap/containers"), *name, *one;
	const bool told = json_is_array(names);
	char question[INFO_NAME_MAX];
	size_t i;

	json_array_foreach(names, i, name) {
		snprintf(question, sizeof(question), "/dmamap/container,%s",
			json_string_value(name));
		one = info_telemetry_ask(fd, question);
		/* It may be destroyed meanwhile. */
		if (json_is_object(one))
			json_array_append(array, one);
		json_decref(one);
	}
	json_decref(names);
	return told;
}
