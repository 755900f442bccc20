/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * IOMMUs of the machine: kind, what their registers tell, and why there is none. Needs no root.
 * Implements part of info.h.
 */

#include <inttypes.h>
#include <string.h>

#include "info.h"

/** Longest command line of Linux (COMMAND_LINE_SIZE of x86 is 2048). */
#define CMDLINE_MAX 4096

/** Kind of an IOMMU by the name that its driver gives it in /sys/class/iommu. */
static const char *
iommu_kind(const char *name)
{
	static const struct {
		const char *prefix, *kind;
	} kinds[] = {
		{"dmar", "Intel VT-d"}, /* drivers/iommu/intel/dmar.c */
		{"ivhd", "AMD-Vi"}, /* drivers/iommu/amd/init.c */
		{"smmu3.", "Arm SMMUv3"}, /* drivers/iommu/arm/arm-smmu-v3 */
		{"smmu.", "Arm SMMU"}, /* drivers/iommu/arm/arm-smmu */
		{"virtio", "virtio-iommu"}, /* drivers/iommu/virtio-iommu.c */
	};
	unsigned int i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(name, kinds[i].prefix, strlen(kinds[i].prefix)) == 0)
			return kinds[i].kind;
	return "other";
}

/**
 * Capabilities of an Intel IOMMU. Intel Virtualization Technology for Directed I/O, 11.4.2 and
 * 11.4.3: SAGAW (CAP 12:8, bit n: n+2 levels of 9 bits above 12), MGAW (CAP 21:16, bits less 1),
 * SLLPS (CAP 37:34: 2 MiB, 1 GiB), C, IR and SC (ECAP 0, 3, 7).
 */
static void
intel_put(const struct info_host *h, const char *name, json_t *facts)
{
	unsigned int mgaw, width = 0, i;
	uint64_t cap, ecap;
	char line[64];
	json_t *sizes;

	if (info_line(h, line, sizeof(line), "/sys/class/iommu/%s/intel-iommu/cap", name) < 0 ||
		sscanf(line, "%" SCNx64, &cap) != 1 ||
		info_line(h, line, sizeof(line), "/sys/class/iommu/%s/intel-iommu/ecap", name) <
			0 ||
		sscanf(line, "%" SCNx64, &ecap) != 1)
		return;
	mgaw = (unsigned int)(cap >> 16 & 0x3f) + 1;
	for (i = 0; i < 5; i++)
		if (cap >> (8 + i) & 1)
			width = 30 + 9 * i;
	info_put_int(facts, "address_bits", width < mgaw ? width : mgaw);
	sizes = info_put_array(facts, "page_size_bytes");
	json_array_append_new(sizes, json_integer(4096));
	for (i = 0; i < 2; i++)
		if (cap >> (34 + i) & 1)
			json_array_append_new(sizes, json_integer((json_int_t)1 << (21 + 9 * i)));
	info_put_bool(facts, "coherent_walks", ecap & 1);
	info_put_bool(facts, "interrupt_remapping", ecap >> 3 & 1);
	info_put_bool(facts, "snoop_control", ecap >> 7 & 1);
}

static void
iommu_put(const struct info_host *h, const char *name, json_t *facts)
{
	info_put(facts, "name", "%s", name);
	info_put(facts, "kind", "%s", iommu_kind(name));
	if (strncmp(name, "dmar", 4) == 0)
		intel_put(h, name, facts);
}

void
info_iommus(const struct info_host *h, json_t *facts)
{
	json_t *names = info_list(h, "/sys/class/iommu"), *name, *one, *devices;
	json_t *array = info_put_array(facts, "iommus");
	size_t i;

	json_array_foreach(names, i, name) {
		one = info_add_object(array);
		iommu_put(h, json_string_value(name), one);
		devices = info_list(h, "/sys/class/iommu/%s/devices", json_string_value(name));
		info_put_int(one, "devices", json_array_size(devices));
		json_decref(devices);
	}
	json_decref(names);
}

void
info_device_iommu(const struct info_host *h, const char *address, json_t *facts)
{
	char name[INFO_NAME_MAX];

	if (info_link(h, name, sizeof(name), "/sys/bus/pci/devices/%s/iommu", address))
		iommu_put(h, name, info_put_object(facts, "iommu"));
}

/* The kernel's command line */

static bool
option_matters(const char *word)
{
	static const char *const prefixes[] = {"intel_iommu=", "amd_iommu=", "iommu=", "iommu.",
		"arm-smmu", "vfio", "hugepages=", "hugepagesz=", "default_hugepagesz=", "pci=",
		"pcie_acs_override=", "kvm", "hugetlb_", "intremap=", "systemd.unified_cgroup"};
	unsigned int i;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(word, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

void
info_kernel_options(const struct info_host *h, json_t *facts)
{
	json_t *array = info_put_array(facts, "kernel_options");
	char line[CMDLINE_MAX], *rest = line, *word;

	info_line(h, line, sizeof(line), "/proc/cmdline");
	while ((word = strsep(&rest, " ")) != NULL)
		if (option_matters(word))
			info_add(array, word);
}

bool
info_has_option(const struct info_host *h, const char *wanted)
{
	char line[CMDLINE_MAX], *rest = line, *word;

	info_line(h, line, sizeof(line), "/proc/cmdline");
	while ((word = strsep(&rest, " ")) != NULL)
		if (strcmp(word, wanted) == 0)
			return true;
	return false;
}

/* Why there is none */

/** How to add or remove a word of the command line: as this machine's boot loader wants it. */
static void
command_option(const struct info_host *h, char *command, const char *word, bool add)
{
	if (info_exists(h, "/etc/default/grub") && add)
		snprintf(command, INFO_TEXT_MAX,
			"sed -i 's/^GRUB_CMDLINE_LINUX=\"/&%s /' /etc/default/grub && update-grub"
			" && reboot",
			word);
	else if (info_exists(h, "/etc/default/grub"))
		snprintf(command, INFO_TEXT_MAX,
			"sed -i 's/\\<%s\\>//' /etc/default/grub && update-grub && reboot", word);
	else
		snprintf(command, INFO_TEXT_MAX,
			"%s the word %s %s the kernel's command line in the boot loader, and reboot",
			add ? "add" : "remove", word, add ? "to" : "from");
}

/** Whether the firmware describes an IOMMU: ACPI tables, or the device tree of other machines. */
static const char *
firmware_table(const struct info_host *h)
{
	static const char *const tables[] = {"DMAR", "IVRS", "IORT", "VIOT"};
	unsigned int i;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (info_exists(h, "/sys/firmware/acpi/tables/%s", tables[i]))
			return tables[i];
	return NULL;
}

static bool
flag_is_hypervisor(void *arg, char *line)
{
	return strncmp(line, "flags", 5) == 0 && strstr(line, " hypervisor") != NULL;
}

static void
reason_firmware(const struct info_host *h, char *reason, char *command)
{
	if (info_each_line(h, flag_is_hypervisor, NULL, "/proc/cpuinfo")) {
		snprintf(reason, INFO_TEXT_MAX, "this virtual machine has no IOMMU");
		snprintf(command, INFO_TEXT_MAX,
			"give the virtual machine an IOMMU, in QEMU by"
			" -M q35,kernel-irqchip=split -device intel-iommu,intremap=on,"
			"caching-mode=on, and boot it with intel_iommu=on");
		return;
	}
	snprintf(reason, INFO_TEXT_MAX,
		"the firmware describes no IOMMU (no ACPI table DMAR, IVRS, IORT or VIOT)");
	snprintf(command, INFO_TEXT_MAX,
		"switch on VT-d (Intel), AMD-Vi or IOMMU (AMD), or SMMU (Arm) in the firmware's"
		" set-up, and reboot");
}

void
info_iommu_off(const struct info_host *h, char *reason, char *command)
{
	static const char *const off[] = {"intel_iommu=off", "amd_iommu=off", "iommu=off"};
	const char *table = firmware_table(h);
	unsigned int i;

	for (i = 0; i < sizeof(off) / sizeof(off[0]); i++) {
		if (!info_has_option(h, off[i]))
			continue;
		snprintf(reason, INFO_TEXT_MAX, "the kernel's command line has %s", off[i]);
		command_option(h, command, off[i], false);
		return;
	}
	if (table == NULL) {
		reason_firmware(h, reason, command);
		return;
	}
	if (strcmp(table, "DMAR") == 0 && !info_has_option(h, "intel_iommu=on")) {
		snprintf(reason, INFO_TEXT_MAX,
			"the firmware describes an Intel IOMMU, and the kernel does not use it:"
			" its command line lacks intel_iommu=on");
		command_option(h, command, "intel_iommu=on", true);
		return;
	}
	snprintf(reason, INFO_TEXT_MAX,
		"the firmware describes an IOMMU (table %s), and the kernel has not started it",
		table);
	snprintf(command, INFO_TEXT_MAX, "dmesg | grep -i -e dmar -e amd-vi -e smmu -e iommu");
}
