/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Memory that can be mapped: hugepages by node, RLIMIT_MEMLOCK, control groups. Implements part of
 * info.h.
 */

#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "info.h"

#define NODES "/sys/devices/system/node"

/** Add the hugepages of one node. */
static void
node_add(const struct info_host *h, const char *node, json_t *array)
{
	json_t *sizes = info_list(h, NODES "/%s/hugepages", node), *size, *one;
	uint64_t kib, number;
	size_t i;

	json_array_foreach(sizes, i, size) {
		const char *name = json_string_value(size);

		if (sscanf(name, "hugepages-%" SCNu64 "kB", &kib) != 1)
			continue;
		one = info_add_object(array);
		info_put(one, "node", "%s", node + strlen("node"));
		info_put_int(one, "page_size_bytes", kib << 10);
		info_number(h, &number, NODES "/%s/hugepages/%s/free_hugepages", node, name);
		info_put_int(one, "free", number);
		info_number(h, &number, NODES "/%s/hugepages/%s/nr_hugepages", node, name);
		info_put_int(one, "total", number);
	}
	json_decref(sizes);
}

void
info_hugepages(const struct info_host *h, json_t *array)
{
	json_t *nodes = info_list(h, NODES), *node;
	size_t i;

	json_array_foreach(nodes, i, node)
		if (strncmp(json_string_value(node), "node", 4) == 0)
			node_add(h, json_string_value(node), array);
	json_decref(nodes);
}

uint64_t
info_hugepages_free(const struct info_host *h, uint64_t size, uint64_t *total)
{
	json_t *array = json_array(), *one;
	uint64_t n = 0;
	size_t i;

	*total = 0;
	info_hugepages(h, array);
	json_array_foreach(array, i, one) {
		if (size != 0 &&
			(uint64_t)json_integer_value(json_object_get(one, "page_size_bytes")) !=
				size)
			continue;
		n += (uint64_t)json_integer_value(json_object_get(one, "free"));
		*total += (uint64_t)json_integer_value(json_object_get(one, "total"));
	}
	json_decref(array);
	return n;
}

bool
info_memlock(uint64_t *soft, uint64_t *hard)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
	struct rlimit limit = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	*soft = limit.rlim_cur;
	*hard = limit.rlim_max;
	return limit.rlim_cur != RLIM_INFINITY &&
		!(syscall(SYS_capget, &head, caps) == 0 &&
			(caps[0].effective & UINT32_C(1) << CAP_IPC_LOCK) != 0);
}

/** The path of this process in one hierarchy of /proc/self/cgroup. */
struct cgroup_search {
	const char *v1;
	char *path;
	size_t size;
};

/** A line "NUMBER:CONTROLLERS:PATH"; number 0 and no controller: version 2 (cgroups(7)). */
static bool
cgroup_is_line(void *arg, char *line)
{
	const struct cgroup_search *s = arg;
	char *names = strchr(line, ':'), *path, *one;

	path = names != NULL ? strchr(names + 1, ':') : NULL;
	if (path == NULL)
		return false;
	*path++ = '\0';
	names++;
	snprintf(s->path, s->size, "%s", path);
	if (s->v1 == NULL)
		return names[0] == '\0';
	while ((one = strsep(&names, ",")) != NULL)
		if (strcmp(one, s->v1) == 0)
			return true;
	return false;
}

bool
info_cgroup(const struct info_host *h, const char *v1, char *path, size_t size)
{
	struct cgroup_search s = {.v1 = v1, .path = path, .size = size};

	path[0] = '\0';
	if (info_each_line(h, cgroup_is_line, &s, "/proc/self/cgroup"))
		return true;
	path[0] = '\0';
	return false;
}

/** Limits of a control group of version 2, where the file exists and sets one. */
static void
cgroup_put(const struct info_host *h, const char *path, json_t *facts)
{
	static const char *const files[] = {
		"memory.max", "hugetlb.2MB.max", "hugetlb.1GB.max", "cpuset.mems.effective"};
	char line[INFO_NAME_MAX];
	unsigned int i;

	info_put(facts, "path", "%s", path);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (info_line(h, line, sizeof(line), "/sys/fs/cgroup%s/%s", path, files[i]) == 0)
			info_put(facts, files[i], "%s", line);
}

static void
limit_put(json_t *facts, const char *key, uint64_t limit)
{
	if (limit == RLIM_INFINITY)
		info_put(facts, key, "unlimited");
	else
		info_put(facts, key, "%s", info_size(limit));
}

void
info_memory_limits(const struct info_host *h, json_t *facts)
{
	char path[INFO_TEXT_MAX];
	uint64_t soft, hard;
	bool applies = info_memlock(&soft, &hard);
	json_t *memlock = info_put_object(facts, "memlock");

	limit_put(memlock, "soft", soft);
	limit_put(memlock, "hard", hard);
	if (!applies && soft != RLIM_INFINITY)
		info_put(memlock, "applies", "no: this process has CAP_IPC_LOCK");
	if (info_cgroup(h, NULL, path, sizeof(path)))
		cgroup_put(h, path, info_put_object(facts, "control_group"));
	if (info_cgroup(h, "devices", path, sizeof(path)))
		info_put(facts, "devices_control_group", "%s", path);
}
