/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Limits of the control groups of this process. See dm_cgroup.h.
 *
 * A walk goes from the group of /proc/self/cgroup up to the mount of its hierarchy. A file that
 * cannot be read counts as no limit: the kernel still enforces its own.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "dm_cgroup.h"
#include "dm_file.h"
#include "dm_util.h"

/** Limits from here on mean "no limit": version 1 shows the largest whole page below 2^63. */
#define NO_LIMIT (INT64_MAX - (UINT64_C(1) << 24))

/** A mounted hierarchy that has the controller. */
struct hierarchy {
	bool v2;
	char mount[PATH_MAX]; /**< mount point */
	char top[PATH_MAX]; /**< the group that is the root of the mount; "" for the root group */
};

/** Called for each group, from that of the process upwards. */
typedef void (*group_fn)(const char *dir, bool v2, void *arg);

/** Whether a comma-separated list contains a word. */
static bool
list_has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (list != NULL) {
		if (strncmp(list, word, len) == 0 &&
			(list[len] == ',' || list[len] == '\0' || list[len] == '\n'))
			return true;
		list = strchr(list, ',');
		list = list != NULL ? list + 1 : NULL;
	}
	return false;
}

/** Parse a line of mountinfo (proc(5)). @return whether it is a hierarchy with the controller */
static bool
hierarchy_parse(const char *line, const char *controller, struct hierarchy *h)
{
	const char *dash = strstr(line, " - ");
	char type[32], options[1024];

	if (dash == NULL || sscanf(line, "%*s %*s %*s %4095s %4095s", h->top, h->mount) != 2 ||
		sscanf(dash, " - %31s %*s %1023s", type, options) != 2)
		return false;
	if (strcmp(h->top, "/") == 0)
		h->top[0] = '\0';
	h->v2 = strcmp(type, "cgroup2") == 0;
	return h->v2 || (strcmp(type, "cgroup") == 0 && list_has_word(options, controller));
}

/** Find the group of this process in a hierarchy, from /proc/self/cgroup. */
static bool
hierarchy_find_group(const char *root, const char *controller, bool v2, char group[PATH_MAX])
{
	char path[PATH_MAX], line[PATH_MAX], controllers[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) == 0) {
			found = v2;
			snprintf(group, PATH_MAX, "%s", &line[3]);
		} else if (sscanf(line, "%*u:%255[^:]:%4095s", controllers, group) == 2) {
			found = !v2 && list_has_word(controllers, controller);
		}
	}
	fclose(f);
	return found;
}

/** Visit the group of this process and its parents, up to the mount. */
static void
hierarchy_walk_up(
	const char *root, const struct hierarchy *h, const char *controller, group_fn fn, void *arg)
{
	size_t top = strlen(h->top), base = strlen(root) + strlen(h->mount);
	char group[PATH_MAX], dir[PATH_MAX];
	const char *below = group;

	if (!hierarchy_find_group(root, controller, h->v2, group))
		return;
	if (strncmp(group, h->top, top) == 0)
		below = &group[top];
	if (snprintf(dir, sizeof(dir), "%s%s%s", root, h->mount, below) >= PATH_MAX)
		return;
	for (;;) {
		fn(dir, h->v2, arg);
		if (strlen(dir) <= base)
			return;
		*strrchr(dir, '/') = '\0';
	}
}

/** Visit the groups of this process in all mounted hierarchies that have a controller. */
static void
group_each(const char *root, const char *controller, group_fn fn, void *arg)
{
	char path[PATH_MAX], line[3 * PATH_MAX];
	struct hierarchy h;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		if (hierarchy_parse(line, controller, &h))
			hierarchy_walk_up(root, &h, controller, fn, arg);
	fclose(f);
}

/**
 * Read a number of bytes from a file of a group. @return `none` for "max" and for an unreadable
 * file
 */
static uint64_t
group_read_bytes(const char *dir, const char *name, uint64_t none)
{
	char path[PATH_MAX];
	int64_t value;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= PATH_MAX)
		return none;
	return dm_file_number(path, &value) == 0 && value >= 0 ? (uint64_t)value : none;
}

/** len - use, at least 0. */
static uint64_t
bytes_left(uint64_t len, uint64_t use)
{
	return len > use ? len - use : 0;
}

/**
 * Replace *tightest by a limit that leaves no more. Of equals the later one stays: it is of a group
 * further up, where raising it helps.
 */
static void
limit_tighten(struct dm_cgroup_limit *tightest, const char *dir, const char *name, uint64_t limit,
	uint64_t use)
{
	uint64_t left = bytes_left(limit, use);
	char path[PATH_MAX];

	if (limit >= NO_LIMIT || left > tightest->left ||
		snprintf(path, sizeof(path), "%s/%s", dir, name) >= PATH_MAX)
		return;
	tightest->left = left;
	tightest->limit = limit;
	strcpy(tightest->file, path);
}

/** State of a walk over hugetlb limits. */
struct hugetlb_walk {
	const char *stem; /**< "hugetlb.2MB" */
	struct dm_cgroup_limit *tightest;
};

/** Check the limits of a group on use and on reservations. */
static void
group_check_hugetlb(const char *dir, bool v2, void *arg)
{
	const char *limit = v2 ? "max" : "limit_in_bytes", *use = v2 ? "current" : "usage_in_bytes";
	const struct hugetlb_walk *h = arg;
	char limit_name[64], use_name[64];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		snprintf(limit_name, sizeof(limit_name), "%s.%s%s", h->stem, i == 0 ? "" : "rsvd.",
			limit);
		snprintf(
			use_name, sizeof(use_name), "%s.%s%s", h->stem, i == 0 ? "" : "rsvd.", use);
		limit_tighten(h->tightest, dir, limit_name,
			group_read_bytes(dir, limit_name, UINT64_MAX),
			group_read_bytes(dir, use_name, 0));
	}
}

void
dm_cgroup_hugetlb(const char *root, size_t page_size, struct dm_cgroup_limit *tightest)
{
	char stem[48];

	*tightest = (struct dm_cgroup_limit){.left = UINT64_MAX};
	/* Sizes are written as mem_fmt() in the kernel's mm/hugetlb_cgroup.c does. */
	if (page_size >= 1 << 30)
		snprintf(stem, sizeof(stem), "hugetlb.%zuGB", page_size >> 30);
	else if (page_size >= 1 << 20)
		snprintf(stem, sizeof(stem), "hugetlb.%zuMB", page_size >> 20);
	else
		snprintf(stem, sizeof(stem), "hugetlb.%zuKB", page_size >> 10);
	group_each(root, "hugetlb", group_check_hugetlb, &(struct hugetlb_walk){stem, tightest});
}

/** The parts of memory.stat that are needed, children included. */
struct memory_stat {
	uint64_t file; /**< bytes of page cache that can be dropped */
	/** The tightest limit of this group and its parents; version 1 only. */
	uint64_t hierarchical;
};

static struct memory_stat
group_read_stat(const char *dir, bool v2)
{
	struct memory_stat stat = {0, UINT64_MAX};
	char path[PATH_MAX], line[128], key[64];
	uint64_t value;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/memory.stat", dir) >= PATH_MAX)
		return stat;
	f = fopen(path, "re");
	if (f == NULL)
		return stat;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "%63s %" SCNu64, key, &value) != 2)
			continue;
		/* In version 1, keys without "total_" leave out the children. */
		if (strcmp(key, v2 ? "active_file" : "total_active_file") == 0 ||
			strcmp(key, v2 ? "inactive_file" : "total_inactive_file") == 0)
			stat.file += value;
		else if (strcmp(key, "hierarchical_memory_limit") == 0)
			stat.hierarchical = value;
	}
	fclose(f);
	return stat;
}

/** State of a walk over memory limits. */
struct memory_walk {
	uint64_t need;
	struct dm_cgroup_limit *tightest, *high;
	bool below; /**< a group below this one was visited */
};

/**
 * Check the memory limits of a group. memory.stat costs as much as all other files, so it is read
 * only if it can matter.
 */
static void
group_check_memory(const char *dir, bool v2, void *arg)
{
	const char *const name = v2 ? "memory.max" : "memory.limit_in_bytes";
	uint64_t limit = group_read_bytes(dir, name, UINT64_MAX), high = UINT64_MAX, use;
	struct memory_stat stat = {0, UINT64_MAX};
	struct memory_walk *m = arg;
	const bool lowest = !m->below;

	m->below = true;
	if (v2)
		high = group_read_bytes(dir, "memory.high", UINT64_MAX);
	/*
	 * In version 1, the lowest group knows the limits of all parents, including those outside
	 * the mount.
	 */
	if (DM_MIN(limit, high) >= NO_LIMIT && (v2 || !lowest))
		return;
	use = group_read_bytes(dir, v2 ? "memory.current" : "memory.usage_in_bytes", UINT64_MAX);
	/* The root group of version 2 has neither file. */
	if (use == UINT64_MAX)
		return;
	if ((!v2 && lowest) || bytes_left(DM_MIN(limit, high), use) < m->need)
		stat = group_read_stat(dir, v2);
	use = bytes_left(use, stat.file);
	limit_tighten(m->tightest, dir, "memory.stat", stat.hierarchical, use);
	limit_tighten(m->tightest, dir, name, limit, use);
	limit_tighten(m->high, dir, "memory.high", high, use);
}

void
dm_cgroup_memory(const char *root, uint64_t need, struct dm_cgroup_limit *tightest,
	struct dm_cgroup_limit *high)
{
	struct memory_walk m = {.need = need, .tightest = tightest, .high = high};

	*tightest = (struct dm_cgroup_limit){.left = UINT64_MAX};
	*high = (struct dm_cgroup_limit){.left = UINT64_MAX};
	group_each(root, "memory", group_check_memory, &m);
}
