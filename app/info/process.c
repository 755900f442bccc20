/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A running process: limits and VFIO's files from /proc; its containers from the telemetry of a
 * DPDK program, or its status socket under gantry-run --status. Implements part of info.h.
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

/** Longest answer that is read; the telemetry of DPDK 22.11 sends at most 16 KiB. */
#define ANSWER_MAX (1 << 18)
#define TIMEOUT_S 2

struct process {
	const struct info_host *host;
	const char *pid;
	uid_t uid;
};

/* Sockets */

/** Connect to the socket of a process. @return a descriptor; -errno */
static int
socket_connect(const struct process *p, const char *path, int type)
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

static json_t *
answer_parse(const char *text, size_t len)
{
	json_t *value = json_loadb(text, len, JSON_DECODE_INT_AS_REAL, NULL), *restored;

	if (value == NULL)
		return NULL;
	restored = numbers_restore(value);
	json_decref(value);
	return restored;
}

/* Telemetry of DPDK */

/** One answer: the member that is named as the question, or the greeting. @return NULL: none */
static json_t *
telemetry_ask(int fd, const char *question)
{
	char *text = malloc(ANSWER_MAX);
	json_t *answer = NULL, *member;
	char key[INFO_NAME_MAX];
	ssize_t len;

	if (text != NULL &&
		(question == NULL || send(fd, question, strlen(question), MSG_NOSIGNAL) > 0)) {
		len = recv(fd, text, ANSWER_MAX, 0);
		answer = len > 0 ? answer_parse(text, (size_t)len) : NULL;
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
telemetry_is_of(const struct process *p, int fd)
{
	json_t *greeting = telemetry_ask(fd, NULL);
	char pid[32];

	snprintf(pid, sizeof(pid), "%" JSON_INTEGER_FORMAT,
		json_integer_value(json_object_get(greeting, "pid")));
	json_decref(greeting);
	return strcmp(pid, p->pid) == 0;
}

static void
telemetry_put(int fd, json_t *facts)
{
	json_t *names = telemetry_ask(fd, "/dmamap/containers"), *name;
	json_t *array = info_put_array(facts, "containers");
	char question[INFO_NAME_MAX];
	size_t i;

	json_array_foreach(names, i, name) {
		snprintf(question, sizeof(question), "/dmamap/container,%s",
			json_string_value(name));
		json_array_append_new(array, telemetry_ask(fd, question));
	}
	if (names == NULL)
		info_put(facts, "containers", "none: the program does not use libdmamap");
	json_decref(names);
	json_object_set_new(facts, "memory", telemetry_ask(fd, "/dmamap/memory"));
	json_object_set_new(facts, "owners", telemetry_ask(fd, "/dmamap/owners"));
}

/** Search the sockets of one file prefix. @return whether the process was found */
static bool
telemetry_in(const struct process *p, const char *dir, json_t *facts)
{
	json_t *files = info_list(p->host, "%s", dir), *file;
	char path[PATH_MAX];
	bool found = false;
	size_t i;
	int fd;

	json_array_foreach(files, i, file) {
		const char *name = json_string_value(file);

		if (found || strncmp(name, "dpdk_telemetry.v2", strlen("dpdk_telemetry.v2")) != 0)
			continue;
		fd = socket_connect(
			p, info_path(p->host, path, "%s/%s", dir, name), SOCK_SEQPACKET);
		if (fd < 0)
			continue;
		found = telemetry_is_of(p, fd);
		if (found)
			telemetry_put(fd, info_put_object(facts, "dpdk"));
		close(fd);
	}
	json_decref(files);
	return found;
}

static bool
telemetry_find(const struct process *p, json_t *facts)
{
	char dirs[2][64], dir[PATH_MAX];
	bool found = false;
	unsigned int d;
	json_t *prefixes, *prefix;
	size_t i;

	/* As lib/eal/unix/eal_filesystem.c: root's and other users' run-time folders. */
	snprintf(dirs[0], sizeof(dirs[0]), "/var/run/dpdk");
	snprintf(dirs[1], sizeof(dirs[1]), "/run/user/%u/dpdk", p->uid);
	for (d = 0; d < 2; d++) {
		prefixes = info_list(p->host, "%s", dirs[d]);
		json_array_foreach(prefixes, i, prefix) {
			snprintf(dir, sizeof(dir), "%s/%s", dirs[d], json_string_value(prefix));
			found = found || telemetry_in(p, dir, facts);
		}
		json_decref(prefixes);
	}
	return found;
}

/* gantry-run --status */

static bool
status_read(const struct process *p, const char *dir, json_t *facts)
{
	char path[PATH_MAX], *text = malloc(ANSWER_MAX);
	json_t *answer = NULL;
	size_t len = 0;
	ssize_t got;
	int fd;

	fd = socket_connect(
		p, info_path(p->host, path, "%s/gantry-vfio.%s", dir, p->pid), SOCK_STREAM);
	if (fd >= 0 && text != NULL)
		while (len < ANSWER_MAX && (got = recv(fd, text + len, ANSWER_MAX - len, 0)) > 0)
			len += (size_t)got;
	if (fd >= 0)
		close(fd);
	if (len > 0)
		answer = answer_parse(text, len);
	free(text);
	if (answer != NULL)
		json_object_set_new(facts, "gantry_run", answer);
	return answer != NULL;
}

static bool
status_find(const struct process *p, json_t *facts)
{
	char user[64];
	const char *const dirs[] = {user, getenv("XDG_RUNTIME_DIR"), "/run/gantry", "/tmp"};
	bool found = false;
	unsigned int i;

	snprintf(user, sizeof(user), "/run/user/%u", p->uid);
	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && !found; i++)
		found = dirs[i] != NULL && status_read(p, dirs[i], facts);
	return found;
}

/* /proc */

/** Lines of /proc/PID/status that concern pinned memory, in KiB. */
static bool
memory_line(void *arg, char *line)
{
	static const struct {
		const char *word, *key;
	} lines[] = {
		{"VmLck:", "locked_bytes"},
		{"VmPin:", "pinned_bytes"},
		{"HugetlbPages:", "hugepage_bytes"},
	};
	unsigned int i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (strncmp(line, lines[i].word, strlen(lines[i].word)) == 0)
			info_put_int(arg, lines[i].key,
				strtoull(line + strlen(lines[i].word), NULL, 10) << 10);
	return false;
}

static bool
limit_line(void *arg, char *line)
{
	static const char word[] = "Max locked memory";
	char soft[32], hard[32];

	if (strncmp(line, word, strlen(word)) != 0 ||
		sscanf(line + strlen(word), "%31s %31s", soft, hard) != 2)
		return false;
	info_put(arg, "memlock", "%s, at most %s (bytes)", soft, hard);
	return true;
}

static bool
cgroup_line(void *arg, char *line)
{
	if (strncmp(line, "0::", 3) != 0)
		return false;
	info_put(arg, "control_group", "%s", line + 3);
	return true;
}

/** Files of VFIO and iommufd that the process has open, each once. */
static void
files_put(const struct process *p, json_t *facts)
{
	json_t *fds = info_list(p->host, "/proc/%s/fd", p->pid), *fd, *seen = json_object();
	json_t *array = info_put_array(facts, "vfio_files");
	char link[PATH_MAX], target[PATH_MAX];
	ssize_t len;
	size_t i;

	json_array_foreach(fds, i, fd) {
		info_path(p->host, link, "/proc/%s/fd/%s", p->pid, json_string_value(fd));
		len = readlink(link, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		if ((strncmp(target, "/dev/vfio/", 10) != 0 && strcmp(target, "/dev/iommu") != 0) ||
			json_object_get(seen, target) != NULL)
			continue;
		json_object_set_new(seen, target, json_true());
		info_add(array, target);
	}
	json_decref(fds);
	json_decref(seen);
}

int
info_process(const struct info_host *h, const char *pid, json_t *facts)
{
	struct process p = {.host = h, .pid = pid};
	const size_t len = strlen(pid);
	char path[PATH_MAX], name[INFO_NAME_MAX];
	struct stat st;
	bool told;

	if (len == 0 || len > 9 || strspn(pid, "0123456789") != len || pid[0] == '0')
		return info_fail(h, INFO_USAGE, "%s: not a process ID", pid);
	if (stat(info_path(h, path, "/proc/%s", pid), &st) < 0)
		return info_fail(h, INFO_FAILED, "%s: no such process", pid);
	p.uid = st.st_uid;
	info_line(h, name, sizeof(name), "/proc/%s/comm", pid);
	info_put_int(facts, "pid", strtoull(pid, NULL, 10));
	info_put(facts, "name", "%s", name);
	info_put_int(facts, "user", p.uid);
	info_each_line(h, memory_line, facts, "/proc/%s/status", pid);
	info_each_line(h, limit_line, facts, "/proc/%s/limits", pid);
	info_each_line(h, cgroup_line, facts, "/proc/%s/cgroup", pid);
	files_put(&p, facts);
	told = telemetry_find(&p, facts);
	told = status_find(&p, facts) || told;
	if (!told)
		info_put(facts, "containers",
			"unknown: neither a DPDK program with telemetry nor under"
			" gantry-run --status, or of another user");
	return INFO_OK;
}
