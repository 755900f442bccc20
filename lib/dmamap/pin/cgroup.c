/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * How many hugepages do the control groups of this process still allow? See dm_cgroup.h.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>

#include "dm_cgroup.h"
#include "dm_file.h"

/** A hierarchy that may limit hugepages. */
struct hierarchy {
	bool v2;
	char mount[PATH_MAX]; /**< where it is mounted */
	char top[PATH_MAX]; /**< the group that is visible at the mount; "" for the root */
};

/** Is a word in a list with commas? */
static bool
has_word(const char *list, const char *word)
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

/** Read a line of mountinfo (proc(5)). @return whether it is a hierarchy of interest */
static bool
parse_mount(const char *line, struct hierarchy *h)
{
	const char *dash = strstr(line, " - ");
	char type[32], options[1024];

	if (dash == NULL || sscanf(line, "%*s %*s %*s %4095s %4095s", h->top, h->mount) != 2 ||
		sscanf(dash, " - %31s %*s %1023s", type, options) != 2)
		return false;
	if (strcmp(h->top, "/") == 0)
		h->top[0] = '\0';
	h->v2 = strcmp(type, "cgroup2") == 0;
	return h->v2 || (strcmp(type, "cgroup") == 0 && has_word(options, "hugetlb"));
}

/** The group of this process in a hierarchy, as /proc/self/cgroup says. */
static bool
find_group(const char *root, bool v2, char group[PATH_MAX])
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
			found = !v2 && has_word(controllers, "hugetlb");
		}
	}
	fclose(f);
	return found;
}

/** A number of bytes; "max" is none, as is what cannot be read. */
static uint64_t
read_bytes(const char *path, uint64_t none)
{
	int64_t value;

	return dm_file_number(path, &value) == 0 && value >= 0 ? (uint64_t)value : none;
}

/** Take a pair of limit and use into account. */
static void
consider(const char *dir, const char *stem, const char *limit_name, const char *use_name,
	struct dm_cgroup_room *room)
{
	char path[PATH_MAX], use_path[PATH_MAX];
	uint64_t limit, use;

	if (snprintf(path, sizeof(path), "%s/%s.%s", dir, stem, limit_name) >= PATH_MAX ||
		snprintf(use_path, sizeof(use_path), "%s/%s.%s", dir, stem, use_name) >= PATH_MAX)
		return;
	limit = read_bytes(path, UINT64_MAX);
	if (limit == UINT64_MAX)
		return;
	use = read_bytes(use_path, 0);
	use = limit > use ? limit - use : 0;
	if (use >= room->left)
		return;
	room->left = use;
	room->limit = limit;
	strcpy(room->file, path);
}

/** The limits of a group and of those above it, up to what is mounted. */
static void
climb(const char *root, const struct hierarchy *h, const char *stem, struct dm_cgroup_room *room)
{
	const char *limit = h->v2 ? "max" : "limit_in_bytes",
		   *use = h->v2 ? "current" : "usage_in_bytes";
	char group[PATH_MAX], dir[PATH_MAX], rsvd_limit[32], rsvd_use[32];
	size_t top = strlen(h->top), base;
	const char *below = group;

	if (!find_group(root, h->v2, group))
		return;
	if (strncmp(group, h->top, top) == 0)
		below = &group[top];
	base = strlen(root) + strlen(h->mount);
	if (snprintf(dir, sizeof(dir), "%s%s%s", root, h->mount, below) >= PATH_MAX)
		return;
	snprintf(rsvd_limit, sizeof(rsvd_limit), "rsvd.%s", limit);
	snprintf(rsvd_use, sizeof(rsvd_use), "rsvd.%s", use);
	for (;;) {
		consider(dir, stem, limit, use, room);
		consider(dir, stem, rsvd_limit, rsvd_use, room);
		if (strlen(dir) <= base)
			return;
		*strrchr(dir, '/') = '\0';
	}
}

void
dm_cgroup_hugetlb(const char *root, size_t page_size, struct dm_cgroup_room *room)
{
	char path[PATH_MAX], line[3 * PATH_MAX], stem[48];
	struct hierarchy h;
	FILE *f;

	*room = (struct dm_cgroup_room){.left = UINT64_MAX};
	/* As mem_fmt() of the kernel's hugetlb_cgroup.c writes sizes. */
	if (page_size >= 1 << 30)
		snprintf(stem, sizeof(stem), "hugetlb.%zuGB", page_size >> 30);
	else if (page_size >= 1 << 20)
		snprintf(stem, sizeof(stem), "hugetlb.%zuMB", page_size >> 20);
	else
		snprintf(stem, sizeof(stem), "hugetlb.%zuKB", page_size >> 10);

	snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		if (parse_mount(line, &h))
			climb(root, &h, stem, room);
	fclose(f);
}
