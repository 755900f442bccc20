/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Where kernel modules are: loaded, built in, on disk, or nowhere. Implements part of info.h.
 */

#include <limits.h>
#include <string.h>
#include <sys/utsname.h>

#include "info.h"

/** A module that is searched in modules.dep or modules.builtin. */
struct module_search {
	const struct info_host *host;
	const char *name, *release;
	bool on_disk; /**< its file has to exist, too */
};

void
info_release(const struct info_host *h, char *release, size_t size)
{
	struct utsname names;

	if (info_line(h, release, size, "/proc/sys/kernel/osrelease") == 0 && release[0] != '\0')
		return;
	snprintf(release, size, "%s", uname(&names) == 0 ? names.release : "");
}

/** Whether a path ends in NAME.ko or NAME.ko.xz. Files have "-" or "_", as they like. */
static bool
path_is_module(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	size_t i;

	path = slash != NULL ? slash + 1 : path;
	for (i = 0; name[i] != '\0'; i++)
		if (path[i] != name[i] &&
			!(strchr("-_", name[i]) && path[i] && strchr("-_", path[i])))
			return false;
	return strncmp(path + i, ".ko", 3) == 0 && (path[i + 3] == '\0' || path[i + 3] == '.');
}

/** A line of modules.dep ("kernel/.../vfio-pci.ko.xz: ...") or modules.builtin. */
static bool
module_is_line(void *arg, char *line)
{
	const struct module_search *s = arg;

	line[strcspn(line, ":")] = '\0';
	return path_is_module(line, s->name) &&
		(!s->on_disk || info_exists(s->host, "/lib/modules/%s/%s", s->release, line));
}

enum info_module
info_module_find(const struct info_host *h, const char *name)
{
	struct module_search s = {.host = h, .name = name};
	char release[INFO_NAME_MAX], loaded[INFO_NAME_MAX], *at;

	/* /sys/module has "_" only. */
	snprintf(loaded, sizeof(loaded), "%s", name);
	while ((at = strchr(loaded, '-')) != NULL)
		*at = '_';
	if (info_exists(h, "/sys/module/%s", loaded) ||
		info_exists(h, "/sys/bus/pci/drivers/%s", name))
		return INFO_MODULE_LOADED;
	info_release(h, release, sizeof(release));
	s.release = release;
	if (info_each_line(h, module_is_line, &s, "/lib/modules/%s/modules.builtin", release))
		return INFO_MODULE_LOADED;
	if (!info_exists(h, "/lib/modules/%s/modules.dep", release))
		return INFO_MODULE_NO_FOLDER;
	s.on_disk = true;
	return info_each_line(h, module_is_line, &s, "/lib/modules/%s/modules.dep", release)
		? INFO_MODULE_ON_DISK
		: INFO_MODULE_ABSENT;
}

const char *
info_module_text(enum info_module state)
{
	static const char *const texts[] = {[INFO_MODULE_ABSENT] = "absent",
		[INFO_MODULE_NO_FOLDER] = "no modules of the running kernel",
		[INFO_MODULE_ON_DISK] = "not loaded",
		[INFO_MODULE_LOADED] = "loaded"};

	return texts[state];
}
