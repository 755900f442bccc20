/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * An IOMMU group: members, drivers, viability, reserved ranges. Implements part of info.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include "info.h"

bool
info_driver_is_harmless(const char *driver)
{
	/*
	 * Since Linux 5.19 these are the drivers marked driver_managed_dma, before that a list of
	 * names (drivers/vfio/vfio.c, vfio_dev_viable()). The kernel has the last word:
	 * info_group_viable().
	 */
	return driver[0] == '\0' || strstr(driver, "vfio") != NULL ||
		strcmp(driver, "pci-stub") == 0 || strcmp(driver, "pcieport") == 0;
}

static void
member_driver(const struct info_host *h, int group, const char *member, char *driver)
{
	info_link(h, driver, INFO_NAME_MAX, "/sys/kernel/iommu_groups/%d/devices/%s/driver", group,
		member);
}

unsigned int
info_group_suspects(const struct info_host *h, int group, char *text, char *addresses)
{
	json_t *members = info_list(h, "/sys/kernel/iommu_groups/%d/devices", group), *member;
	size_t i, len = 0, at = 0;
	char driver[INFO_NAME_MAX];
	unsigned int n = 0;

	text[0] = addresses[0] = '\0';
	json_array_foreach(members, i, member) {
		const char *name = json_string_value(member);

		member_driver(h, group, name, driver);
		if (info_driver_is_harmless(driver) || len >= INFO_TEXT_MAX || at >= INFO_TEXT_MAX)
			continue;
		len += (size_t)snprintf(text + len, INFO_TEXT_MAX - len, "%s%s (%s)",
			n > 0 ? ", " : "", name, driver);
		at += (size_t)snprintf(
			addresses + at, INFO_TEXT_MAX - at, "%s%s", n > 0 ? " " : "", name);
		n++;
	}
	json_decref(members);
	return n;
}

int
info_group_viable(const struct info_host *h, int group, bool noiommu)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	char path[INFO_NAME_MAX];
	int fd, rc;

	fd = info_open(h, info_node(h, path, "/dev/vfio/%s%d", noiommu ? "noiommu-" : "", group));
	if (fd < 0)
		return fd;
	rc = info_ioctl(h, fd, VFIO_GROUP_GET_STATUS, &status);
	info_close(h, fd);
	return rc < 0 ? rc : (status.flags & VFIO_GROUP_FLAGS_VIABLE) != 0;
}

struct reserved_lines {
	json_t *array;
	int group;
};

/** A line of reserved_regions (Documentation/ABI/testing/sysfs-kernel-iommu_groups). */
static bool
reserved_add(void *arg, char *line)
{
	const struct reserved_lines *lines = arg;
	uint64_t start, last;
	char type[32];
	json_t *one;

	if (sscanf(line, "%" SCNx64 " %" SCNx64 " %31s", &start, &last, type) != 3)
		return false;
	one = info_add_object(lines->array);
	info_put_range(one, start, last);
	info_put(one, "type", "%s", type);
	info_put(one, "owner", "group %d", lines->group);
	return false;
}

void
info_group_reserved(const struct info_host *h, int group, json_t *array)
{
	struct reserved_lines lines = {.array = array, .group = group};

	info_each_line(
		h, reserved_add, &lines, "/sys/kernel/iommu_groups/%d/reserved_regions", group);
}

/** Viability, by the kernel if this user may ask it, else by the names of the drivers. */
static void
group_put_viable(const struct info_host *h, int group, bool noiommu, json_t *facts)
{
	char text[INFO_TEXT_MAX], addresses[INFO_TEXT_MAX];
	unsigned int n = info_group_suspects(h, group, text, addresses);
	int rc = info_group_viable(h, group, noiommu);

	if (rc >= 0)
		info_put(facts, "viable", "%s, says the kernel", rc > 0 ? "yes" : "no");
	else
		info_put(facts, "viable", "%s, by the names of the drivers",
			n == 0 ? "yes" : "probably not");
	if (n > 0)
		info_put(facts, "held_by_the_host", "%s", text);
}

static void
group_put_users(const struct info_host *h, int group, bool noiommu, json_t *facts)
{
	char path[INFO_NAME_MAX], text[INFO_TEXT_MAX];
	int pid;

	info_node(h, path, "/dev/vfio/%s%d", noiommu ? "noiommu-" : "", group);
	if (info_holders(h, path, text, &pid) > 0)
		info_put(facts, "in_use_by", "%s", text);
}

void
info_group_facts(const struct info_host *h, int group, json_t *facts)
{
	json_t *members = info_list(h, "/sys/kernel/iommu_groups/%d/devices", group), *member, *one;
	json_t *array;
	char line[INFO_NAME_MAX], driver[INFO_NAME_MAX];
	bool noiommu;
	size_t i;

	info_put_int(facts, "number", (uint64_t)group);
	if (info_line(h, line, sizeof(line), "/sys/kernel/iommu_groups/%d/type", group) == 0)
		info_put(facts, "default_domain", "%s", line);
	noiommu =
		info_line(h, line, sizeof(line), "/sys/kernel/iommu_groups/%d/name", group) == 0 &&
		strcmp(line, "vfio-noiommu") == 0;
	if (noiommu)
		info_put(facts, "protection", "none: VFIO holds it without an IOMMU");
	group_put_viable(h, group, noiommu, facts);
	group_put_users(h, group, noiommu, facts);
	array = info_put_array(facts, "members");
	json_array_foreach(members, i, member) {
		one = info_add_object(array);
		info_put(one, "address", "%s", json_string_value(member));
		member_driver(h, group, json_string_value(member), driver);
		info_put(one, "driver", "%s", driver[0] != '\0' ? driver : "none");
	}
	json_decref(members);
	info_group_reserved(h, group, info_put_array(facts, "reserved"));
}

int
info_group(const struct info_host *h, const char *number, json_t *facts)
{
	const size_t len = strlen(number);

	if (len == 0 || len > 9 || strspn(number, "0123456789") != len)
		return info_fail(h, INFO_USAGE, "%s: not the number of an IOMMU group", number);
	if (!info_exists(h, "/sys/kernel/iommu_groups/%d", atoi(number)))
		return info_fail(h, INFO_FAILED,
			"%s: no such IOMMU group (gantry-bind status lists the devices with"
			" theirs)",
			number);
	info_group_facts(h, atoi(number), facts);
	return INFO_OK;
}
