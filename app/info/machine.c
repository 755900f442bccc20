/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The machine: kernel, IOMMUs, groups, modules, files of VFIO, hugepages, limits. Needs no root.
 * Implements part of info.h.
 */

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "info.h"

static void
machine_put_modules(const struct info_host *h, json_t *facts)
{
	static const char *const names[] = {"vfio-pci", "vfio_iommu_type1", "iommufd"};
	static const char *const parameters[][2] = {
		{"vfio_iommu_type1", "dma_entry_limit"},
		{"vfio_iommu_type1", "allow_unsafe_interrupts"},
		{"vfio", "enable_unsafe_noiommu_mode"},
		{"vfio_pci", "disable_idle_d3"},
		{"iommufd", "allow_unsafe_interrupts"},
	};
	json_t *modules = info_put_array(facts, "modules");
	json_t *values = info_put_array(facts, "module_parameters"), *one;
	char line[INFO_NAME_MAX];
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		one = info_add_object(modules);
		info_put(one, "name", "%s", names[i]);
		info_put(one, "state", "%s", info_module_text(info_module_find(h, names[i])));
	}
	for (i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		if (info_line(h, line, sizeof(line), "/sys/module/%s/parameters/%s",
			    parameters[i][0], parameters[i][1]) < 0)
			continue;
		one = info_add_object(values);
		info_put(one, "name", "%s.%s", parameters[i][0], parameters[i][1]);
		info_put(one, "value", "%s", line);
	}
}

/** Whether this user may open VFIO's common files. Opens none, because that loads modules. */
static void
machine_put_files(const struct info_host *h, json_t *facts)
{
	static const char *const files[] = {"/dev/vfio/vfio", "/dev/iommu"};
	json_t *object = info_put_object(facts, "files");
	char path[PATH_MAX];
	unsigned int i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		info_path(h, path, "%s", files[i]);
		info_put(object, files[i], "%s",
			access(path, F_OK) < 0                   ? "absent"
				: eaccess(path, R_OK | W_OK) < 0 ? "no permission"
								 : "accessible");
	}
}

/** Devices that are bound to VFIO, with their groups. */
static void
machine_put_devices(const struct info_host *h, json_t *facts)
{
	json_t *names = info_list(h, "/sys/bus/pci/devices"), *name, *one;
	json_t *array = info_put_array(facts, "vfio_devices");
	struct info_device dev;
	size_t i;

	json_array_foreach(names, i, name) {
		if (strlen(json_string_value(name)) >= INFO_ADDRESS_MAX ||
			info_device_find(h, json_string_value(name), &dev) < 0 || !dev.is_vfio)
			continue;
		one = info_add_object(array);
		info_put(one, "address", "%s", dev.address);
		info_put(one, "driver", "%s", dev.driver);
		if (dev.group >= 0)
			info_put_int(one, "group", (uint64_t)dev.group);
		if (dev.node >= 0)
			info_put_int(one, "node", (uint64_t)dev.node);
	}
	json_decref(names);
}

int
info_machine(const struct info_host *h, json_t *facts)
{
	char release[INFO_NAME_MAX], reason[INFO_TEXT_MAX], command[INFO_TEXT_MAX];
	json_t *groups = info_list(h, "/sys/kernel/iommu_groups");

	info_release(h, release, sizeof(release));
	info_put(facts, "kernel", "%s", release);
	info_kernel_options(h, facts);
	info_iommus(h, facts);
	info_put_int(facts, "groups", json_array_size(groups));
	if (json_array_size(groups) == 0) {
		info_iommu_off(h, reason, command);
		info_put(facts, "no_iommu", "%s", reason);
		info_put(facts, "do", "%s", command);
	}
	json_decref(groups);
	machine_put_devices(h, facts);
	machine_put_modules(h, facts);
	machine_put_files(h, facts);
	info_hugepages(h, info_put_array(facts, "hugepages"));
	info_memory_limits(h, facts);
	return INFO_OK;
}
