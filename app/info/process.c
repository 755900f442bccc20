/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A running process: limits and VFIO's files from /proc; its containers from the telemetry of a
 * DPDK program, or its status socket under gantry-run --status. Implements part of info.h.
 */

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "info.h"

static void
telemetry_put(int fd, json_t *facts)
{
	if (!info_telemetry_containers(fd, info_put_array(facts, "containers")))
		info_put(facts, "containers", "none: the program does not use libdmamap");
	json_object_set_new(facts, "memory", info_telemetry_ask(fd, "/dmamap/memory"));
	json_object_set_new(facts, "owners", info_telemetry_ask(fd, "/dmamap/owners"));
}

/** @return whether there is a status socket */
static bool
status_put(const struct info_process *p, json_t *facts)
{
	json_t *answer = info_status(p);

	if (answer == NULL)
		return false;
	/* One line for each part would hide the rest. */
	json_object_del(answer, "spaces");
	json_object_set_new(facts, "gantry_run", answer);
	return true;
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
files_put(const struct info_process *p, json_t *facts)
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
	struct info_process p;
	char name[INFO_NAME_MAX];
	int fd, rc = info_process_find(h, pid, &p);
	bool told;

	if (rc != INFO_OK)
		return rc;
	info_line(h, name, sizeof(name), "/proc/%s/comm", pid);
	info_put_int(facts, "pid", strtoull(pid, NULL, 10));
	info_put(facts, "name", "%s", name);
	info_put_int(facts, "user", p.uid);
	info_each_line(h, memory_line, facts, "/proc/%s/status", pid);
	info_each_line(h, limit_line, facts, "/proc/%s/limits", pid);
	info_each_line(h, cgroup_line, facts, "/proc/%s/cgroup", pid);
	files_put(&p, facts);
	fd = info_telemetry_open(&p);
	told = fd >= 0;
	if (told) {
		telemetry_put(fd, info_put_object(facts, "dpdk"));
		close(fd);
	}
	told = status_put(&p, facts) || told;
	if (!told)
		info_put(facts, "containers",
			"unknown: neither a DPDK program with telemetry nor under"
			" gantry-run --status, or of another user");
	return INFO_OK;
}
