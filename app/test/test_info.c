/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of gantry-info: each check and each verdict of `why`, and the facts of machine, device,
 * group and process, as text and as JSON. sysfs, procfs and /dev are files in a folder; VFIO is the
 * mock kernel's. e2e/test_info_vm.py does the same with a real kernel.
 */

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <info.h>

#include "machine.h"
#include "odd_kernel.h"
#include "test.h"

#define NIC "0000:01:00.0"
#define TWIN "0000:01:00.1"
#define RELEASE "6.1.0-test"
#define DEVICES "/sys/bus/pci/devices/"
#define GROUP "/sys/kernel/iommu_groups/0"
#define HUGE "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define NODE0 "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/"

#define ARGS_MAX 12

static char root[] = "/tmp/gantry-info.XXXXXX";
static struct vfio_mock *kernel;
static struct info_host host;
/* Results of the last run: text, errors, and the parsed JSON. */
static char *text, *errors;
static json_t *facts;

/* Files below the root */

/** Create a file, and the folders above it. */
static void
put(const char *path, const char *fmt, ...)
{
	char full[PATH_MAX], *at;
	va_list ap;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (at = full + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		mkdir(full, 0755);
		*at = '/';
	}
	f = fopen(full, "we");
	if (f == NULL)
		return;
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	fclose(f);
}

/** Remove a file or a link, or create a link. */
static void
put_link(const char *path, const char *target)
{
	char full[PATH_MAX], name[PATH_MAX];

	/* A file creates the folders. */
	snprintf(name, sizeof(name), "%s.", path);
	put(name, "");
	snprintf(full, sizeof(full), "%s%s.", root, path);
	unlink(full);
	full[strlen(full) - 1] = '\0';
	unlink(full);
	if (target != NULL && symlink(target, full) < 0)
		printf("  %s: no link\n", full);
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static void
remove_all(const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", root, path);
	nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
put_driver(const char *address, const char *driver)
{
	char path[PATH_MAX], target[PATH_MAX];

	snprintf(path, sizeof(path), DEVICES "%s/driver", address);
	snprintf(target, sizeof(target), "../../drivers/%s", driver != NULL ? driver : "");
	put_link(path, driver != NULL ? target : NULL);
	vfio_mock_bind(kernel, address, driver);
}

/** A device in group 0. */
static void
put_device(const char *address, const char *driver)
{
	char path[PATH_MAX], target[PATH_MAX];

	vfio_mock_add_device(kernel, 0, address, 0, driver);
	snprintf(path, sizeof(path), DEVICES "%s/class", address);
	put(path, "0x020000\n");
	snprintf(path, sizeof(path), DEVICES "%s/numa_node", address);
	put(path, "0\n");
	put_driver(address, driver);
	snprintf(path, sizeof(path), DEVICES "%s/iommu_group", address);
	put_link(path, "../../../../kernel/iommu_groups/0");
	snprintf(path, sizeof(path), GROUP "/devices/%s", address);
	snprintf(target, sizeof(target), "../../../../bus/pci/devices/%s", address);
	put_link(path, target);
}

static void
put_hugepages(unsigned int available, unsigned int total)
{
	put(HUGE "free_hugepages", "%u\n", available);
	put(HUGE "resv_hugepages", "0\n");
	put(NODE0 "free_hugepages", "%u\n", available);
	put(NODE0 "nr_hugepages", "%u\n", total);
}

/** A machine on which NIC is usable. */
static void
put_machine(void)
{
	put_device(NIC, "vfio-pci");
	put(DEVICES NIC "/vendor", "0x8086\n");
	put(DEVICES NIC "/device", "0x10d3\n");
	put_link(DEVICES NIC "/iommu", "../../../../class/iommu/dmar0");
	put("/sys/class/iommu/dmar0/intel-iommu/cap", "d2008c222f0286\n");
	put("/sys/class/iommu/dmar0/intel-iommu/ecap", "f00fca\n");
	put("/sys/class/iommu/dmar0/devices/" NIC, "");
	put(GROUP "/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n");
	put(GROUP "/type", "DMA\n");
	put("/sys/module/vfio_pci/x", "");
	put("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "65535\n");
	put("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N\n");
	put("/dev/vfio/vfio", "");
	put("/dev/vfio/0", "");
	put("/proc/cmdline", "root=/dev/sda1 intel_iommu=on quiet hugepages=4\n");
	put("/proc/cpuinfo", "flags\t\t: fpu vmx\n");
	put("/proc/meminfo", "Hugepagesize:       2048 kB\n");
	put("/proc/self/cgroup", "0::/user.slice\n");
	put("/proc/sys/kernel/osrelease", RELEASE "\n");
	put_hugepages(4, 4);
}

static int
setup(void)
{
	const struct vfio_mock_iommu_conf iommu = {.enforces_coherency = true};
	const struct vfio_mock_resv resv = {{0xfee00000, 0xfeefffff}, DMAMAP_RESERVED_MSI};
	const struct vfio_mock_group_conf group = {.n_resv = 1, .resv = &resv};
	static char sysfs[PATH_MAX];

	strcpy(root + strlen(root) - 6, "XXXXXX");
	TEST_ASSERT_NOT_NULL(mkdtemp(root), "no folder");
	TEST_ASSERT_SUCCESS(vfio_mock_create(NULL, &kernel), "no mock");
	vfio_mock_add_iommu(kernel, &iommu);
	TEST_ASSERT_EQUAL(vfio_mock_add_group(kernel, &group), 0, "group");
	odd_kernel_begin(kernel);
	/* Files and links are those of the folder. */
	snprintf(sysfs, sizeof(sysfs), "%s/sys", root);
	odd_kernel.table.sysfs = sysfs;
	odd_kernel.table.read_file = NULL;
	odd_kernel.table.read_link = NULL;
	odd_kernel.table.list = NULL;
	host = (struct info_host){.root = root, .kernel = &odd_kernel.table};
	put_machine();
	return 0;
}

static void
forget(void)
{
	free(text);
	free(errors);
	json_decref(facts);
	text = errors = NULL;
	facts = NULL;
}

static void
teardown(void)
{
	forget();
	if (vfio_mock_destroy(kernel) < 0)
		printf("  something is left open in the mock\n");
	remove_all("");
}

/* Runs */

/** Run the program once. @return its exit status */
static int
run_once(char **out, const char *const *words, bool json)
{
	char copy[ARGS_MAX + 2][128] = {"gantry-info", "--json"}, *argv[ARGS_MAX + 3];
	int argc = json ? 2 : 1, i, rc;
	size_t len;

	for (i = 0; words[i] != NULL; i++)
		snprintf(copy[argc++], sizeof(copy[0]), "%s", words[i]);
	for (i = 0; i < argc; i++)
		argv[i] = copy[i];
	argv[argc] = NULL;
	free(errors);
	host.out = open_memstream(out, &len);
	host.err = open_memstream(&errors, &len);
	rc = info_run(&host, argc, argv);
	fclose(host.out);
	fclose(host.err);
	return rc;
}

/** Run it with text and with JSON. @return the exit status of both; -1: they differ */
static int
run(const char *const *words)
{
	char *json = NULL;
	int rc, other;

	forget();
	rc = run_once(&text, words, false);
	other = run_once(&json, words, true);
	facts = json_loads(json, 0, NULL);
	free(json);
	return rc == other ? rc : -1;
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static const char *
fact(const char *key)
{
	const char *value = json_string_value(json_object_get(facts, key));

	return value != NULL ? value : "";
}

/** Whether `why` named this check and command, and a verdict with this text; in both forms. */
static bool
says(const char *failed, const char *verdict, const char *command)
{
	char lines[2 * INFO_TEXT_MAX + 64];

	snprintf(lines, sizeof(lines), NIC ": not usable: %s\ndo: %s\n", fact("verdict"), command);
	if (strcmp(fact("failed"), failed) == 0 && strstr(fact("verdict"), verdict) != NULL &&
		strcmp(fact("do"), command) == 0 && strncmp(text, lines, strlen(lines)) == 0)
		return true;
	printf("  wanted %s: %s: %s\n", failed, verdict, command);
	printf("  failed %s, do \"%s\"; text:\n%s%s", fact("failed"), fact("do"), text, errors);
	return false;
}

/** Whether a note has this text, in both forms. */
static bool
notes(const char *wanted)
{
	json_t *array = json_object_get(facts, "notes"), *one;
	char line[INFO_TEXT_MAX + 8];
	size_t i;

	json_array_foreach(array, i, one) {
		snprintf(line, sizeof(line), "note: %s\n", json_string_value(one));
		if (strstr(line, wanted) != NULL && strstr(text, line) != NULL)
			return true;
	}
	printf("  no note \"%s\": %s\n", wanted, text);
	return false;
}

static bool
is_usable(int rc)
{
	if (rc == INFO_OK && json_is_true(json_object_get(facts, "usable")) &&
		strncmp(text, NIC ": usable: ", strlen(NIC ": usable: ")) == 0)
		return true;
	printf("  not usable (%d): %s%s\n", rc, text, errors);
	return false;
}

#define ASSERT_SAYS(failed, verdict, command) TEST_ASSERT(says(failed, verdict, command), "verdict")
#define ASSERT_USABLE(...) TEST_ASSERT(is_usable(RUN("why", NIC, ##__VA_ARGS__)), "not usable")
#define ASSERT_NOT_USABLE(...)                                                                     \
	TEST_ASSERT_EQUAL(RUN("why", NIC, ##__VA_ARGS__), INFO_FAILED, "%s%s", text, errors)

/* why */

static int
a_sound_device_is_usable(void)
{
	ASSERT_USABLE();
	TEST_ASSERT_NOT_NULL(strstr(fact("verdict"), "2 MiB mapped at 0x"), "%s", fact("verdict"));
	TEST_ASSERT_EQUAL(json_array_size(json_object_get(facts, "checks")), 16, "all checks");
	TEST_ASSERT_NOT_NULL(strstr(text, "\nok      map "), "%s", text);
	TEST_ASSERT_EQUAL(odd_kernel.open_files, 0, "%u files are open", odd_kernel.open_files);
	TEST_ASSERT_EQUAL(vfio_mock_locked(kernel), 0, "memory is pinned");
	TEST_ASSERT_EQUAL(vfio_mock_calls(kernel, VFIO_MOCK_UNMAP),
		vfio_mock_calls(kernel, VFIO_MOCK_MAP), "maps and unmaps");
	TEST_ASSERT(vfio_mock_calls(kernel, VFIO_MOCK_MAP) >= 2, "maps of both runs");
	return TEST_SUCCESS;
}

static int
an_address_may_lack_its_domain(void)
{
	TEST_ASSERT(is_usable(RUN("why", "01:00.0")), "short address");
	return TEST_SUCCESS;
}

static int
no_such_device(void)
{
	remove_all(DEVICES NIC);
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("device", "no such PCI device", "lspci -D");
	return TEST_SUCCESS;
}

/** A machine without IOMMU groups. */
static void
switch_iommu_off(const char *cmdline, const char *table)
{
	char path[PATH_MAX];

	remove_all("/sys/kernel/iommu_groups");
	remove_all("/sys/class/iommu");
	put_link(DEVICES NIC "/iommu_group", NULL);
	put("/proc/cmdline", "%s\n", cmdline);
	snprintf(path, sizeof(path), "/sys/firmware/acpi/tables/%s", table);
	if (table[0] != '\0')
		put(path, "");
}

static int
intel_iommu_not_switched_on(void)
{
	switch_iommu_off("quiet", "DMAR");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("iommu", "its command line lacks intel_iommu=on",
		"add the word intel_iommu=on to the kernel's command line in the boot loader, and"
		" reboot");
	put("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("iommu", "its command line lacks intel_iommu=on",
		"sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on /' /etc/default/grub &&"
		" update-grub && reboot");
	return TEST_SUCCESS;
}

static int
iommu_switched_off_on_the_command_line(void)
{
	static const char *const words[] = {"intel_iommu=off", "amd_iommu=off", "iommu=off"};
	char command[INFO_TEXT_MAX];
	unsigned int i;

	put("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"\n");
	for (i = 0; i < RTE_DIM(words); i++) {
		switch_iommu_off(words[i], "IVRS");
		ASSERT_NOT_USABLE();
		snprintf(command, sizeof(command),
			"sed -i 's/\\<%s\\>//' /etc/default/grub && update-grub && reboot",
			words[i]);
		ASSERT_SAYS("iommu", words[i], command);
	}
	return TEST_SUCCESS;
}

static int
no_iommu_in_the_firmware(void)
{
	switch_iommu_off("intel_iommu=on", "");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("iommu", "the firmware describes no IOMMU",
		"switch on VT-d (Intel), AMD-Vi or IOMMU (AMD), or SMMU (Arm) in the firmware's"
		" set-up, and reboot");
	put("/proc/cpuinfo", "flags\t\t: fpu hypervisor lahf\n");
	ASSERT_NOT_USABLE();
	TEST_ASSERT_NOT_NULL(strstr(fact("verdict"), "virtual machine"), "%s", text);
	return TEST_SUCCESS;
}

static int
an_iommu_that_the_kernel_did_not_start(void)
{
	switch_iommu_off("quiet", "IVRS");
	put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("iommu", "table IVRS", "dmesg | grep -i -e dmar -e amd-vi -e smmu -e iommu");
	TEST_ASSERT(notes("backend noiommu"), "note");
	return TEST_SUCCESS;
}

static int
a_device_beside_the_iommu(void)
{
	put_link(DEVICES NIC "/iommu_group", NULL);
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("iommu", "1 groups of other devices", "gantry-bind status");
	return TEST_SUCCESS;
}

static int
held_without_an_iommu(void)
{
	put(GROUP "/name", "vfio-noiommu\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS(
		"iommu", "its DMA reaches all memory", "gantry-info why " NIC " --backend=noiommu");
	return TEST_SUCCESS;
}

static void
unload_module(void)
{
	put_driver(NIC, NULL);
	remove_all("/sys/module/vfio_pci");
}

static int
a_kernel_without_the_module(void)
{
	unload_module();
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("module", "/lib/modules has no folder for it",
		"apt-get install --reinstall linux-image-" RELEASE);
	TEST_ASSERT(notes("reboot"), "note");
	/* modules.dep names it, and its file is gone. */
	put("/lib/modules/" RELEASE "/modules.dep",
		"kernel/a.ko:\nkernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/x.ko\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("module", "neither loaded nor in /lib/modules/" RELEASE,
		"apt-get install --reinstall linux-image-" RELEASE);
	put("/lib/modules/" RELEASE "/kernel/drivers/vfio/pci/vfio-pci.ko.xz", "");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("driver", "no driver holds it", "gantry-bind vfio-pci " NIC);
	return TEST_SUCCESS;
}

static int
a_built_in_module_is_found(void)
{
	unload_module();
	put("/lib/modules/" RELEASE "/modules.builtin", "kernel/drivers/vfio/pci/vfio-pci.ko\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("driver", "no driver holds it", "gantry-bind vfio-pci " NIC);
	return TEST_SUCCESS;
}

static int
another_driver(void)
{
	put_driver(NIC, "e1000e");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("driver", "driver e1000e holds it", "gantry-bind vfio-pci " NIC);
	put(DEVICES NIC "/net/eth7/flags", "0x1002\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("driver", "driver e1000e holds it: ", "gantry-bind vfio-pci " NIC);
	put(DEVICES NIC "/net/eth7/flags", "0x1003\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("driver", "interface eth7 is up",
		"ip link set eth7 down && gantry-bind vfio-pci " NIC);
	remove_all(DEVICES NIC "/net");
	/* The kernel allows such a name, and the command is for a shell. */
	put(DEVICES NIC "/net/$(a'b)/flags", "0x1003\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("driver", "interface $(a'b) is up",
		"ip link set '$(a'\\''b)' down && gantry-bind vfio-pci " NIC);
	return TEST_SUCCESS;
}

static int
a_bridge(void)
{
	put_driver(NIC, "pcieport");
	put(DEVICES NIC "/class", "0x060400\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("driver", "PCI bridge", "gantry-bind status");
	return TEST_SUCCESS;
}

static int
a_variant_of_vfio_pci_is_usable(void)
{
	put_driver(NIC, "mlx5_vfio_pci");
	ASSERT_USABLE();
	return TEST_SUCCESS;
}

static int
a_group_that_is_not_viable(void)
{
	put_device(TWIN, "e1000e");
	put_device("0000:01:00.2", "snd_hda_intel");
	put_device("0000:01:00.3", "pcieport");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("group", TWIN " (e1000e), 0000:01:00.2 (snd_hda_intel)",
		"gantry-bind vfio-pci " TWIN " 0000:01:00.2");
	put_driver(TWIN, "vfio-pci");
	put_driver("0000:01:00.2", NULL);
	ASSERT_USABLE();
	return TEST_SUCCESS;
}

static int
the_kernel_decides_on_viability(void)
{
	/* The kernel takes it for viable, although a name says otherwise. */
	put_device(TWIN, "vfio-pci");
	put_link(DEVICES TWIN "/driver", "../../drivers/shpchp");
	ASSERT_USABLE();
	TEST_ASSERT_NOT_NULL(strstr(text, "though drivers of the host hold members"), "%s", text);
	/* Who may not ask goes by the name. */
	odd_kernel.no_file = "/dev/vfio/0";
	odd_kernel.no_file_errno = EACCES;
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("group", TWIN " (shpchp)", "gantry-bind vfio-pci " TWIN);
	return TEST_SUCCESS;
}

static int
a_file_that_is_absent(void)
{
	odd_kernel.no_file = "/dev/vfio/0";
	odd_kernel.no_file_errno = ENOENT;
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("files", "there is no /dev/vfio/0",
		"gantry-bind none " NIC " && gantry-bind vfio-pci " NIC);
	TEST_ASSERT(notes("gantry-broker"), "note");
	odd_kernel.no_file = "/dev/vfio/vfio";
	remove_all("/sys/module/vfio_iommu_type1");
	put("/lib/modules/" RELEASE "/modules.dep", "kernel/vfio_iommu_type1.ko:\n");
	put("/lib/modules/" RELEASE "/kernel/vfio_iommu_type1.ko", "");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("files", "there is no /dev/vfio/vfio", "modprobe vfio_iommu_type1");
	return TEST_SUCCESS;
}

static int
kernels_without_a_part_of_vfio(void)
{
	put(DEVICES NIC "/vfio-dev/vfio0/dev", "");
	odd_kernel.no_file = "/dev/vfio/0";
	odd_kernel.no_file_errno = ENOENT;
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("files", "CONFIG_VFIO_GROUP", "gantry-info why " NIC " --backend=iommufd");
	odd_kernel.no_file = "/dev/vfio/vfio";
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("files", "CONFIG_VFIO_CONTAINER", "gantry-info why " NIC " --backend=iommufd");
	odd_kernel.no_file = "/dev/iommu";
	ASSERT_NOT_USABLE("--backend=iommufd");
	ASSERT_SAYS("files", "lacks iommufd", "gantry-info why " NIC " --backend=type1");
	remove_all(DEVICES NIC "/vfio-dev");
	ASSERT_NOT_USABLE("--backend=iommufd");
	ASSERT_SAYS("files", "CONFIG_VFIO_DEVICE_CDEV", "gantry-info why " NIC " --backend=type1");
	return TEST_SUCCESS;
}

static int
no_permission(void)
{
	char path[PATH_MAX];

	odd_kernel.no_file = "/dev/vfio/0";
	odd_kernel.no_file_errno = EACCES;
	snprintf(path, sizeof(path), "%s/dev/vfio/0", root);
	chmod(path, 0600);
	ASSERT_NOT_USABLE();
	TEST_ASSERT_EQUAL(geteuid(), 0, "the names below are root's");
	ASSERT_SAYS("permission", "which is of root:root with mode 0600", "chown root /dev/vfio/0");
	TEST_ASSERT(notes("70-gantry.rules"), "note");
	if (chown(path, 0, 1) < 0)
		return TEST_FAILED;
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("permission", "root:daemon with mode 0600", "chown root /dev/vfio/0");
	chmod(path, 0660);
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("permission", "mode 0660", "usermod --append --groups daemon root");
	return TEST_SUCCESS;
}

static int
a_control_group_that_forbids_it(void)
{
	odd_kernel.no_file = "/dev/vfio/0";
	odd_kernel.no_file_errno = EPERM;
	put("/proc/self/cgroup", "0::/system.slice/app.service\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("control group", "/system.slice/app.service does not allow /dev/vfio/0",
		"systemctl set-property app.service DeviceAllow='/dev/vfio/0 rw'");
	put("/proc/self/cgroup", "0::/system.slice/a\\x2db.service\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("control group", "a\\x2db.service does not allow",
		"systemctl set-property 'a\\x2db.service' DeviceAllow='/dev/vfio/0 rw'");
	put("/proc/self/cgroup", "0::/docker/12ab\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("control group", "/docker/12ab",
		"start the container with --device=/dev/vfio/vfio --device=/dev/vfio/0");
	put("/proc/self/cgroup", "2:cpu:/wrong\n3:cpu,devices:/box\n0::/\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("control group", "/box does not allow",
		"echo 'c 0:0 rw' >/sys/fs/cgroup/devices/box/devices.allow");
	return TEST_SUCCESS;
}

static int
a_busy_group(void)
{
	int fd = vfio_mock_open(kernel, "/dev/vfio/0");

	TEST_ASSERT(fd >= 0, "group");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS(
		"busy", "which this user cannot see: /dev/vfio/0 is busy", "fuser -v /dev/vfio/0");
	put("/proc/4242/comm", "qemu\n");
	put_link("/proc/4242/fd/9", "/dev/vfio/0");
	put("/proc/77/comm", "other\n");
	put_link("/proc/77/fd/3", "/dev/vfio/01");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("busy", "process 4242 (qemu) has /dev/vfio/0 open", "kill 4242");
	vfio_mock_close(kernel, fd);
	ASSERT_USABLE();
	return TEST_SUCCESS;
}

static int
other_errors_of_files(void)
{
	odd_kernel.no_file = "/dev/vfio/0";
	odd_kernel.no_file_errno = EIO;
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("busy", "/dev/vfio/0 cannot be opened: Input/output error", "dmesg | tail");
	return TEST_SUCCESS;
}

static int
a_low_memlock(void)
{
	if (machine_limit_memory(64 << 10) < 0)
		return test_skip("this process may not change its limit");
	ASSERT_NOT_USABLE();
	machine_limit_memory(0);
	ASSERT_SAYS("memlock", "RLIMIT_MEMLOCK is 64 KiB, and 2 MiB are to be mapped",
		"ulimit -S -l 2048");
	TEST_ASSERT(notes("LimitMEMLOCK="), "note");
	return TEST_SUCCESS;
}

static int
an_attach_that_the_kernel_refuses(void)
{
	vfio_mock_fail_all(kernel, UINT32_C(1) << VFIO_MOCK_SET_CONTAINER, EINVAL);
	ASSERT_NOT_USABLE();
	vfio_mock_fail_all(kernel, UINT32_C(1) << VFIO_MOCK_SET_CONTAINER, 0);
	ASSERT_SAYS("attach", NIC ": ", "dmesg | tail");
	TEST_ASSERT_EQUAL(odd_kernel.open_files, 0, "%u files are open", odd_kernel.open_files);
	return TEST_SUCCESS;
}

static int
too_few_entries(void)
{
	vfio_mock_set_entry_limit(kernel, 100);
	ASSERT_USABLE("--maps=100");
	ASSERT_NOT_USABLE("--maps=101");
	ASSERT_SAYS("entries", "100 map entries left, and 101 are wanted",
		"echo 101 >/sys/module/vfio_iommu_type1/parameters/dma_entry_limit");
	TEST_ASSERT(notes("/etc/modprobe.d/vfio.conf"), "note");
	return TEST_SUCCESS;
}

static int
beyond_the_aperture(void)
{
	/* The mock's IOMMU has 39 bits. */
	ASSERT_USABLE("--iova=0x7fffe00000");
	TEST_ASSERT_NOT_NULL(
		strstr(fact("verdict"), "mapped at 0x7fffe00000 by type1"), "%s", fact("verdict"));
	ASSERT_NOT_USABLE("--iova=0x7fffe00000", "--length=4M");
	ASSERT_SAYS("aperture", "0x7fffe00000-0x80001fffff is outside what its IOMMU translates",
		"gantry-info why " NIC " --iova=0x100000000 --length=4194304");
	TEST_ASSERT(notes("--base-virtaddr=0x100000000"), "note");
	ASSERT_USABLE("--iova=0x100000000", "--length=4194304");
	return TEST_SUCCESS;
}

static int
beyond_the_dma_mask(void)
{
	ASSERT_USABLE("--dma-mask=33", "--iova=0x1ffe00000");
	ASSERT_NOT_USABLE("--dma-mask=32", "--iova=0xfffff000", "--length=8K");
	ASSERT_SAYS("aperture", "0xfffff000-0x100000fff is beyond the 32 bits",
		"gantry-info why " NIC " --iova=0x200000 --length=8192 --dma-mask=32");
	ASSERT_NOT_USABLE("--dma-mask=32", "--iova=0x1ffe00000", "--backend=type1");
	ASSERT_SAYS("aperture", "beyond the 32 bits that the device reaches",
		"gantry-info why " NIC " --iova=0x200000 --length=2097152 --backend=type1"
		" --dma-mask=32");
	return TEST_SUCCESS;
}

static int
a_range_that_is_reserved(void)
{
	ASSERT_NOT_USABLE("--iova=0xfee00000", "--length=4096", "--no-huge");
	ASSERT_SAYS("reserved",
		"0xfee00000-0xfee00fff meets 0xfee00000-0xfeefffff (msi), reserved by group 0",
		"gantry-info why " NIC " --iova=0x100000000 --length=4096 --no-huge");
	ASSERT_USABLE("--iova=0xfedff000", "--length=4096", "--no-huge");
	ASSERT_USABLE("--iova=0xfef00000", "--length=4096", "--no-huge");
	ASSERT_NOT_USABLE("--iova=0xfeeff000", "--length=4096", "--no-huge");
	ASSERT_SAYS("reserved", "0xfeeff000-0xfeefffff meets",
		"gantry-info why " NIC " --iova=0x100000000 --length=4096 --no-huge");
	ASSERT_NOT_USABLE("--iova=0xfedff000", "--length=8K", "--no-huge");
	ASSERT_SAYS("reserved", "0xfedff000-0xfee00fff meets",
		"gantry-info why " NIC " --iova=0x100000000 --length=8192 --no-huge");
	return TEST_SUCCESS;
}

static int
too_few_hugepages(void)
{
	put_hugepages(0, 3);
	ASSERT_NOT_USABLE();
	ASSERT_SAYS(
		"hugepages", "none are free, and 2 MiB are wanted", "sysctl -w vm.nr_hugepages=4");
	ASSERT_USABLE("--no-huge");
	put_hugepages(2, 3);
	ASSERT_NOT_USABLE("--length=9M");
	ASSERT_SAYS(
		"hugepages", "4 MiB are free, and 9 MiB are wanted", "sysctl -w vm.nr_hugepages=6");
	/* Reserved pages are another process's. */
	put(HUGE "resv_hugepages", "1\n");
	ASSERT_USABLE();
	ASSERT_NOT_USABLE("--length=4M");
	ASSERT_SAYS(
		"hugepages", "2 MiB are free, and 4 MiB are wanted", "sysctl -w vm.nr_hugepages=4");
	put(HUGE "resv_hugepages", "2\n");
	ASSERT_NOT_USABLE();
	ASSERT_SAYS("hugepages", "none are free", "sysctl -w vm.nr_hugepages=4");
	return TEST_SUCCESS;
}

static int
hugepages_on_another_node(void)
{
	put(DEVICES NIC "/numa_node", "1\n");
	ASSERT_USABLE();
	TEST_ASSERT(notes("no hugepage is free on node 1, where the device is"), "note");
	put(DEVICES NIC "/numa_node", "0\n");
	ASSERT_USABLE();
	TEST_ASSERT_NULL(strstr(text, "note:"), "%s", text);
	return TEST_SUCCESS;
}

static int
a_map_that_the_kernel_refuses(void)
{
	vfio_mock_fail_all(kernel, UINT32_C(1) << VFIO_MOCK_MAP, EFAULT);
	ASSERT_NOT_USABLE();
	vfio_mock_fail_all(kernel, UINT32_C(1) << VFIO_MOCK_MAP, 0);
	ASSERT_SAYS("map", "the test map fails: ", "dmesg | tail");
	TEST_ASSERT_EQUAL(odd_kernel.open_files, 0, "%u files are open", odd_kernel.open_files);
	return TEST_SUCCESS;
}

/* The other commands */

/** Whether the text has all of these pieces. */
static bool
has(const char *const *pieces)
{
	bool all = true;

	for (; *pieces != NULL; pieces++) {
		if (strstr(text, *pieces) != NULL)
			continue;
		printf("  no \"%s\" in:\n%s", *pieces, text);
		all = false;
	}
	return all;
}

#define ASSERT_HAS(...) TEST_ASSERT(has((const char *const[]){__VA_ARGS__, NULL}), "text")

/** A number of the JSON facts, by a path of keys and indices. */
static json_int_t
number_at(const char *first, size_t index, const char *key)
{
	return json_integer_value(
		json_object_get(json_array_get(json_object_get(facts, first), index), key));
}

static int
the_machine_is_described(void)
{
	TEST_ASSERT_EQUAL(run((const char *const[]){NULL}), INFO_OK, "%s", errors);
	ASSERT_HAS("kernel: 6.1.0-test\n", "kernel options: intel_iommu=on, hugepages=4\n",
		"name dmar0, kind Intel VT-d, address bits 39, page size 4 KiB, 2 MiB, 1 GiB",
		"snoop control yes, devices 1\n", "groups: 1\n",
		"address 0000:01:00.0, driver vfio-pci, group 0, node 0\n",
		"name vfio-pci, state loaded\n",
		"name vfio_iommu_type1.dma_entry_limit, value 65535\n",
		"/dev/vfio/vfio: accessible\n", "/dev/iommu: absent\n",
		"node 0, page size 2 MiB, free 4, total 4\n", "path: /user.slice\n");
	TEST_ASSERT_EQUAL(number_at("hugepages", 0, "page_size_bytes"), 2 << 20, "size");
	TEST_ASSERT_EQUAL(number_at("iommus", 0, "address_bits"), 39, "bits");
	TEST_ASSERT_EQUAL(number_at("vfio_devices", 0, "group"), 0, "group");
	TEST_ASSERT_NULL(strstr(text, "no iommu:"), "%s", text);
	return TEST_SUCCESS;
}

static int
a_machine_without_an_iommu_says_why(void)
{
	switch_iommu_off("intel_iommu=off", "DMAR");
	TEST_ASSERT_EQUAL(run((const char *const[]){NULL}), INFO_OK, "%s", errors);
	ASSERT_HAS("groups: 0\n", "no iommu: the kernel's command line has intel_iommu=off\n",
		"do: remove the word intel_iommu=off from the kernel's command line");
	return TEST_SUCCESS;
}

static int
a_device_is_described(void)
{
	json_t *domain;

	TEST_ASSERT_EQUAL(RUN("device", NIC), INFO_OK, "%s", errors);
	ASSERT_HAS("address: 0000:01:00.0\n", "vendor: 0x8086\n", "driver: vfio-pci\n", "node: 0\n",
		"  kind: Intel VT-d\n", "  number: 0\n", "  viable: yes, says the kernel\n",
		"    start 0xfee00000, last 0xfeefffff, type msi, owner group 0\n",
		"  backend: type1\n", "  smallest page: 4 KiB\n",
		"  page size: 4 KiB, 2 MiB, 1 GiB\n", "  coherent: yes\n",
		"  entries left: 65535\n",
		"start 0x8000000000, last 0xffffffffffffffff, type aperture");
	domain = json_object_get(facts, "domain");
	TEST_ASSERT_EQUAL(
		json_integer_value(json_object_get(domain, "entries_left")), 65535, "entries");
	TEST_ASSERT(json_is_true(json_object_get(domain, "coherent")), "coherent");
	TEST_ASSERT_EQUAL(json_array_size(json_object_get(domain, "page_size_bytes")), 3, "sizes");
	return TEST_SUCCESS;
}

static int
a_device_is_described_without_a_domain(void)
{
	put_driver(NIC, "e1000e");
	put(DEVICES NIC "/net/eth7/flags", "0x1003\n");
	put(DEVICES NIC "/driver_override", "(null)\n");
	TEST_ASSERT_EQUAL(RUN("device", NIC), INFO_OK, "%s", errors);
	ASSERT_HAS("driver: e1000e\n", "interface that is up: eth7\n",
		"unknown: bind it to vfio-pci to see its domain\n");
	TEST_ASSERT_NULL(strstr(text, "override"), "%s", text);
	TEST_ASSERT_EQUAL(vfio_mock_calls(kernel, VFIO_MOCK_SET_CONTAINER), 0, "it was touched");
	put_driver(NIC, "vfio-pci");
	odd_kernel.no_file = "/dev/vfio/0";
	odd_kernel.no_file_errno = EACCES;
	TEST_ASSERT_EQUAL(RUN("device", NIC), INFO_OK, "%s", errors);
	ASSERT_HAS("viable: yes, by the names of the drivers\n",
		"unknown: " NIC ": no permission for /dev/vfio/0");
	/* The second run meets nothing of the first. */
	TEST_ASSERT_NOT_NULL(strstr(json_string_value(json_object_get(
					    json_object_get(facts, "domain"), "unknown")),
				     "no permission"),
		"JSON");
	return TEST_SUCCESS;
}

static int
a_group_is_described(void)
{
	put_device(TWIN, "e1000e");
	put("/proc/4242/comm", "q\x01u\n");
	put_link("/proc/4242/fd/9", "/dev/vfio/0");
	TEST_ASSERT_EQUAL(RUN("group", "0"), INFO_OK, "%s", errors);
	ASSERT_HAS("number: 0\n", "default domain: DMA\n", "viable: no, says the kernel\n",
		"held by the host: " TWIN " (e1000e)\n", "in use by: 4242 (q?u)\n",
		"  address " NIC ", driver vfio-pci\n", "  address " TWIN ", driver e1000e\n",
		"  start 0xfee00000, last 0xfeefffff, type msi, owner group 0\n");
	TEST_ASSERT_EQUAL(json_array_size(json_object_get(facts, "members")), 2, "members");
	odd_kernel.no_file = "/dev/vfio/0";
	odd_kernel.no_file_errno = EACCES;
	TEST_ASSERT_EQUAL(RUN("group", "0"), INFO_OK, "%s", errors);
	ASSERT_HAS("viable: probably not, by the names of the drivers\n");
	return TEST_SUCCESS;
}

/* Processes */

/** A server of one connection: sends the greeting, then an answer for each question. */
struct server {
	int fd;
	const char *const *answers; /**< questions and answers in turn; "": the greeting */
};

static void *
server_run(void *arg)
{
	const struct server *s = arg;
	char question[256];
	unsigned int i;
	ssize_t len;
	int fd;

	/* Once for text, once for JSON. */
	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		send(fd, s->answers[1], strlen(s->answers[1]), MSG_NOSIGNAL);
		while (s->answers[2] != NULL &&
			(len = recv(fd, question, sizeof(question) - 1, 0)) > 0) {
			question[len] = '\0';
			for (i = 2; s->answers[i] != NULL && strcmp(s->answers[i], question) != 0;)
				i += 2;
			if (s->answers[i] != NULL)
				send(fd, s->answers[i + 1], strlen(s->answers[i + 1]),
					MSG_NOSIGNAL);
			else
				send(fd, "{}", 2, MSG_NOSIGNAL);
		}
		close(fd);
	}
	return NULL;
}

static pthread_t
server_start(struct server *s, const char *path, int type)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	pthread_t thread;

	put_link(path, NULL);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s%s", root, path);
	s->fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (bind(s->fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(s->fd, 4) < 0)
		printf("  %s: %s\n", path, strerror(errno));
	pthread_create(&thread, NULL, server_run, s);
	return thread;
}

static void
server_stop(struct server *s, pthread_t thread)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(s->fd);
}

static void
put_process(void)
{
	put("/proc/4242/comm", "dpdk-app\n");
	put("/proc/4242/status",
		"Name:\tx\nVmLck:\t    64 kB\nVmPin:\t    2048 kB\n"
		"HugetlbPages:\t    4096 kB\n");
	put("/proc/4242/limits",
		"Limit  Soft Limit  Hard Limit  Units\n"
		"Max locked memory         65536                8388608 bytes\n");
	put("/proc/4242/cgroup", "3:devices:/x\n0::/system.slice/app.service\n");
	put_link("/proc/4242/fd/9", "/dev/vfio/0");
	put_link("/proc/4242/fd/10", "/dev/vfio/0");
	put_link("/proc/4242/fd/11", "/dev/null");
}

static int
a_process_is_described(void)
{
	put_process();
	TEST_ASSERT_EQUAL(RUN("process", "4242"), INFO_OK, "%s", errors);
	ASSERT_HAS("pid: 4242\n", "name: dpdk-app\n", "locked: 64 KiB\n", "pinned: 2 MiB\n",
		"hugepage: 4 MiB\n", "memlock: 65536, at most 8388608 (bytes)\n",
		"control group: /system.slice/app.service\n", "vfio files: /dev/vfio/0\n",
		"containers: unknown");
	return TEST_SUCCESS;
}

static int
a_dpdk_program_is_asked(void)
{
	static const char container[] =
		"{\"/dmamap/container\":{\"name\":\"default\",\"mappings\":7,"
		"\"entries_left\":18446744073709551615,"
		"\"attached\":{\"0\":{\"name\":\"" NIC "\",\"group\":0}}}}";
	static const char *const answers[] = {"", "{\"version\":\"x\",\"pid\":4242}",
		"/dmamap/containers", "{\"/dmamap/containers\":[\"default\"]}",
		"/dmamap/container,default", container, "/dmamap/memory",
		"{\"/dmamap/memory\":{\"zone_bytes\":2097152}}", NULL};
	static const char *const others[] = {"", "{\"version\":\"x\",\"pid\":99}", NULL};
	struct server s = {.answers = answers}, other = {.answers = others};
	pthread_t thread, second;

	put_process();
	second = server_start(&other, "/var/run/dpdk/a/dpdk_telemetry.v2", SOCK_SEQPACKET);
	thread = server_start(&s, "/var/run/dpdk/b/dpdk_telemetry.v2", SOCK_SEQPACKET);
	TEST_ASSERT_EQUAL(RUN("process", "4242"), INFO_OK, "%s", errors);
	server_stop(&s, thread);
	server_stop(&other, second);
	ASSERT_HAS("name: default\n", "mappings: 7\n", "entries left: no known limit\n",
		"name: 0000:01:00.0\n", "zone: 2 MiB\n");
	TEST_ASSERT_EQUAL(
		json_integer_value(json_object_get(
			json_object_get(json_object_get(facts, "dpdk"), "memory"), "zone_bytes")),
		2 << 20, "memory");
	return TEST_SUCCESS;
}

/** A program whose space comes in two pages; "</script>" in a name must not end the page's data. */
static const char *const space_answers[] = {"", "{\"version\":\"x\",\"pid\":4242}",
	"/dmamap/containers", "{\"/dmamap/containers\":[\"default\"]}", "/dmamap/container,default",
	"{\"/dmamap/container\":{\"name\":\"default\",\"backend\":\"type1\",\"domains\":1,\"faults\":3,"
	"\"attached\":{\"0\":{\"name\":\"" NIC "\",\"group\":7,\"domain\":0,\"node\":1}}}}",
	"/dmamap/space,default,0",
	"{\"/dmamap/space\":{\"0\":{\"start\":\"0x0\",\"last\":\"0xfff\",\"kind\":\"reserved\","
	"\"owner\":\"gantry\"},\"1\":{\"start\":\"0x1000\",\"last\":\"0x200fff\",\"kind\":\"zone\","
	"\"name\":\"a</script>b\",\"owner\":\"me\",\"mappings\":2,\"page_size\":2097152,\"node\":1},"
	"\"next\":\"0x201000\"}}",
	"/dmamap/space,default,0x201000",
	"{\"/dmamap/space\":{\"0\":{\"start\":\"0x201000\",\"last\":\"0xffffffffffffffff\","
	"\"kind\":\"free\"}}}",
	"/dmamap/zones,0",
	"{\"/dmamap/zones\":{\"0\":{\"owner\":\"me\",\"nodes\":{\"0\":2097152,\"1\":4194304}},"
	"\"1\":{\"owner\":\"you\",\"nodes\":{\"1\":4096}},\"total\":3}}",
	"/dmamap/zones,2",
	"{\"/dmamap/zones\":{\"2\":{\"owner\":\"you\",\"nodes\":{\"1\":61440}},\"total\":3}}",
	"/dmamap/memory", "{\"/dmamap/memory\":{\"zone_bytes\":2097152}}", NULL};

/** Write the page of process 4242. @return exit status */
static int
page_save(const char *path)
{
	struct info_host quiet = host;
	char option[PATH_MAX + 8];
	char *argv[] = {"gantry-info", option, "map", "4242", NULL};
	int rc;

	snprintf(option, sizeof(option), "--html=%s", path);
	quiet.out = quiet.err = fopen("/dev/null", "we");
	rc = info_run(&quiet, 4, argv);
	fclose(quiet.out);
	return rc;
}

static int
a_space_is_drawn(void)
{
	struct server s = {.answers = space_answers};
	char path[PATH_MAX], page[65536] = "";
	const char *json, *end;
	json_t *parts;
	pthread_t thread;
	FILE *f;

	put_process();
	thread = server_start(&s, "/var/run/dpdk/b/dpdk_telemetry.v2", SOCK_SEQPACKET);
	TEST_ASSERT_EQUAL(RUN("map", "4242"), INFO_OK, "%s", errors);
	ASSERT_HAS("process 4242 (dpdk-app)\n", "container default: type1, domains: 1, faults: 3\n",
		"  domain 0\n    " NIC ": group 7, node 1\n",
		"node 0\n  ################                 2 MiB me\n"
		"  hugepages of 2 MiB: 4 of 4 free\n"
		"node 1\n  ################################ 4 MiB me\n"
		"  #                                64 KiB you\n  device " NIC "\n",
		"  0x0000000000000000 xxxxxx                           reserved     4 KiB, of gantry\n",
		"  0x0000000000001000 ###########                      zone         2 MiB, a</script>b, "
		"of me, 2 mappings, pages of 2 MiB, node 1\n",
		"  0x0000000000201000 ................................ free         16383 PiB\n");
	parts = json_object_get(json_array_get(json_object_get(facts, "containers"), 0), "parts");
	TEST_ASSERT_EQUAL(json_array_size(parts), 3, "%zu parts", json_array_size(parts));

	snprintf(path, sizeof(path), "%s/page.html", root);
	TEST_ASSERT_EQUAL(page_save(path), INFO_OK, "page");
	TEST_ASSERT_EQUAL(page_save("/nowhere/page.html"), INFO_FAILED, "no folder");
	server_stop(&s, thread);
	f = fopen(path, "re");
	TEST_ASSERT_NOT_NULL(f, "no page");
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	fclose(f);
	/* What a browser takes for the data. */
	json = strstr(page, "id=\"facts\">");
	TEST_ASSERT_NOT_NULL(json, "no data");
	json += strlen("id=\"facts\">");
	end = strstr(json, "</script>");
	TEST_ASSERT_NOT_NULL(end, "no end");
	parts = json_loadb(json, (size_t)(end - json), 0, NULL);
	TEST_ASSERT_EQUAL(json_integer_value(json_object_get(parts, "pid")), 4242, "%.*s",
		(int)(end - json), json);
	json_decref(parts);
	TEST_ASSERT_NOT_NULL(strstr(end, "</html>"), "half a page");
	return TEST_SUCCESS;
}

static int
a_program_without_spaces_says_so(void)
{
	static const char *const answers[] = {"", "{\"version\":\"x\",\"pid\":4242}",
		"/dmamap/containers", "{\"/dmamap/containers\":null}", NULL};
	struct server s = {.answers = answers};
	pthread_t thread;

	put_process();
	TEST_ASSERT_EQUAL(RUN("map", "4242"), INFO_FAILED, "%s", errors);
	TEST_ASSERT_NOT_NULL(strstr(errors, "4242: no telemetry"), "%s", errors);
	thread = server_start(&s, "/var/run/dpdk/b/dpdk_telemetry.v2", SOCK_SEQPACKET);
	TEST_ASSERT_EQUAL(RUN("map", "4242"), INFO_FAILED, "%s", errors);
	server_stop(&s, thread);
	TEST_ASSERT_NOT_NULL(strstr(errors, "4242: it does not use libdmamap"), "%s", errors);
	return TEST_SUCCESS;
}

static int
a_program_under_gantry_run_is_asked(void)
{
	static const char *const answers[] = {
		"", "{\"program\":\"qemu\",\"pid\":4242,\"stats\":{\"domains\":2}}\n", NULL};
	struct server s = {.answers = answers};
	pthread_t thread;

	put_process();
	thread = server_start(&s, "/run/gantry/gantry-vfio.4242", SOCK_STREAM);
	TEST_ASSERT_EQUAL(RUN("process", "4242"), INFO_OK, "%s", errors);
	server_stop(&s, thread);
	ASSERT_HAS("gantry run:\n", "program: qemu\n", "domains: 2\n");
	TEST_ASSERT_NULL(strstr(text, "containers: unknown"), "%s", text);
	return TEST_SUCCESS;
}

static int
a_program_under_gantry_run_has_a_map(void)
{
	static const char *const answers[] = {"",
		"{\"program\":\"qemu\",\"spaces\":[{\"name\":\"dmamap0\",\"backend\":\"type1\","
		"\"domains\":2,\"parts\":[{\"start\":\"0x0\",\"last\":\"0xfedfffff\","
		"\"kind\":\"free\"},{\"start\":\"0xfee00000\",\"last\":\"0xfeefffff\","
		"\"kind\":\"reserved\",\"name\":\"MSI\"},{\"start\":\"0xfef00000\","
		"\"last\":\"0xffffffffffffffff\",\"kind\":\"outside\"}]}]}\n",
		NULL};
	struct server s = {.answers = answers};
	pthread_t thread;

	put_process();
	thread = server_start(&s, "/run/gantry/gantry-vfio.4242", SOCK_STREAM);
	TEST_ASSERT_EQUAL(RUN("map", "4242"), INFO_OK, "%s", errors);
	server_stop(&s, thread);
	ASSERT_HAS("container dmamap0: type1, domains: 2", "0x00000000fee00000 ");
	return TEST_SUCCESS;
}

/** Spaces as gantry-trace reads them, of a DPDK program under gantry-run. */
static int
spaces_of_each_answer_are_read(void)
{
	static const char *const status[] = {"",
		"{\"program\":\"testpmd\",\"spaces\":[{\"name\":\"dmamap0\",\"domains\":1,"
		"\"parts\":[{\"start\":\"0x0\"}]}]}\n",
		NULL};
	static const char *const without[] = {"", "{\"version\":\"x\",\"pid\":4242}",
		"/dmamap/containers", "{\"/dmamap/containers\":null}", NULL};
	struct server first = {.answers = status}, second = {.answers = without};
	struct info_process p = {.host = &host, .pid = "4242", .uid = getuid()};
	pthread_t threads[2];
	json_t *spaces = json_array(), *parts;

	put_process();
	TEST_ASSERT(!info_spaces(&p, spaces), "neither answers");
	threads[0] = server_start(&first, "/run/gantry/gantry-vfio.4242", SOCK_STREAM);
	TEST_ASSERT_EQUAL(RUN("process", "4242"), INFO_OK, "%s", errors);
	ASSERT_HAS("program: testpmd\n");
	TEST_ASSERT_NULL(strstr(text, "dmamap0"), "they are not for a person: %s", text);
	/* Telemetry of DPDK without libdmamap leaves what the status tells. */
	threads[1] = server_start(&second, "/var/run/dpdk/b/dpdk_telemetry.v2", SOCK_SEQPACKET);
	TEST_ASSERT(info_spaces(&p, spaces), "the status socket");
	server_stop(&second, threads[1]);
	parts = json_object_get(json_array_get(spaces, 0), "parts");
	TEST_ASSERT(json_array_size(spaces) == 1 && json_array_size(parts) == 1, "%zu, %zu",
		json_array_size(spaces), json_array_size(parts));
	/* And with it, both are told. */
	second.answers = space_answers;
	threads[1] = server_start(&second, "/var/run/dpdk/c/dpdk_telemetry.v2", SOCK_SEQPACKET);
	json_array_clear(spaces);
	TEST_ASSERT(info_spaces(&p, spaces), "both");
	server_stop(&second, threads[1]);
	server_stop(&first, threads[0]);
	TEST_ASSERT_EQUAL(json_array_size(spaces), 2, "%zu", json_array_size(spaces));
	json_decref(spaces);
	return TEST_SUCCESS;
}

static int
a_socket_of_another_user_is_not_read(void)
{
	static const char *const answers[] = {"", "{\"program\":\"liar\"}\n", NULL};
	struct server s = {.answers = answers};
	char path[PATH_MAX];
	pthread_t thread;

	put_process();
	thread = server_start(&s, "/tmp/gantry-vfio.4242", SOCK_STREAM);
	snprintf(path, sizeof(path), "%s/tmp/gantry-vfio.4242", root);
	TEST_ASSERT_SUCCESS(lchown(path, 12345, 12345), "owner");
	TEST_ASSERT_EQUAL(RUN("process", "4242"), INFO_OK, "%s", errors);
	server_stop(&s, thread);
	TEST_ASSERT_NULL(strstr(text, "liar"), "%s", text);
	return TEST_SUCCESS;
}

/* Bad input */

struct bad_case {
	const char *words[4];
	int status;
	const char *says;
};

static int
bad_input_is_one_line(void)
{
	static const struct bad_case cases[] = {
		{{"nothing"}, INFO_USAGE, "nothing: unknown command"},
		{{"why"}, INFO_USAGE, "why: wants one argument, the PCI address"},
		{{"why", NIC, NIC}, INFO_USAGE, "why: wants one argument"},
		{{"why", "eth0"}, INFO_USAGE, "eth0: not a PCI address"},
		{{"why", "0000:01:20.0"}, INFO_USAGE, "not a PCI address"},
		{{"why", "0000:01:00.8"}, INFO_USAGE, "not a PCI address"},
		{{"why", "0000:01:00.0x"}, INFO_USAGE, "not a PCI address"},
		{{"device", "../.."}, INFO_USAGE, "not a PCI address"},
		{{"device", "0000:7f:00.0"}, INFO_FAILED, "no such PCI device"},
		{{"group", "x"}, INFO_USAGE, "x: not the number of an IOMMU group"},
		{{"group", "-1"}, INFO_USAGE, "see --help"},
		{{"group", "99"}, INFO_FAILED, "99: no such IOMMU group"},
		{{"group", "9999999999"}, INFO_USAGE, "not the number"},
		{{"process", "0"}, INFO_USAGE, "0: not a process ID"},
		{{"process", "../1"}, INFO_USAGE, "not a process ID"},
		{{"process", "99"}, INFO_FAILED, "99: no such process"},
		{{"map", "0"}, INFO_USAGE, "0: not a process ID"},
		{{"map", "99"}, INFO_FAILED, "99: no such process"},
		{{"--html=x", "process", "99"}, INFO_USAGE, "are for why, map or serve"},
		{{"--html=", "map", "99"}, INFO_USAGE, "--html=: not a file name"},
		{{"--watch=0", "map", "99"}, INFO_USAGE, "--watch=0: not a number of seconds"},
		{{"--watch=x", "map", "99"}, INFO_USAGE, "--watch=x: not a number of seconds"},
		{{"--watch", "map", "99"}, INFO_FAILED, "99: no such process"},
		{{"--iova=0x1000", "map", "99"}, INFO_USAGE, "are for why, map or serve"},
		{{"--nothing"}, INFO_USAGE, "--nothing: unknown option"},
		{{"--iova"}, INFO_USAGE, "--iova: lacks its value"},
		{{"--iova=1", "why", NIC}, INFO_USAGE, "--iova=1: not a multiple of 4096"},
		{{"--iova=x", "why", NIC}, INFO_USAGE, "--iova=x: not a multiple"},
		{{"--iova=0xfffffffffffff000", "why", NIC}, INFO_USAGE, "beyond 64 bits"},
		{{"--length=0", "why", NIC}, INFO_USAGE, "--length=0"},
		{{"--length=5X", "why", NIC}, INFO_USAGE, "--length=5X"},
		{{"--length=99999999G", "why", NIC}, INFO_USAGE, "--length=99999999G"},
		{{"--length=-1", "why", NIC}, INFO_USAGE, "--length=-1"},
		{{"--maps=0", "why", NIC}, INFO_USAGE, "--maps=0"},
		{{"--dma-mask=11", "why", NIC}, INFO_USAGE, "--dma-mask=11"},
		{{"--dma-mask=65", "why", NIC}, INFO_USAGE, "--dma-mask=65"},
		{{"--backend=vfio", "why", NIC}, INFO_USAGE, "--backend=vfio"},
		{{"--maps=1", "device", NIC}, INFO_USAGE, "are for why"},
	};
	const char *newline;
	unsigned int i;

	for (i = 0; i < RTE_DIM(cases); i++) {
		TEST_ASSERT_EQUAL(run(cases[i].words), cases[i].status, "case %u: %s", i, errors);
		TEST_ASSERT_NOT_NULL(strstr(errors, cases[i].says), "case %u: %s", i, errors);
		newline = strchr(errors, '\n');
		TEST_ASSERT(newline != NULL && newline[1] == '\0' &&
				strncmp(errors, "gantry-info: ", 13) == 0,
			"case %u: not one line: %s", i, errors);
		TEST_ASSERT_EQUAL(text[0], '\0', "case %u: %s", i, text);
	}
	return TEST_SUCCESS;
}

static int
help_and_version(void)
{
	char *out = NULL;

	TEST_ASSERT_EQUAL(run_once(&out, (const char *const[]){"--help", NULL}, false), 0, "help");
	TEST_ASSERT(strncmp(out, "usage: gantry-info ", 19) == 0 && errors[0] == '\0', "%s", out);
	free(out);
	TEST_ASSERT_EQUAL(
		run_once(&out, (const char *const[]){"--version", NULL}, false), 0, "version");
	TEST_ASSERT(strncmp(out, "gantry-info ", 12) == 0, "%s", out);
	free(out);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"why: a sound device is usable, and nothing is left open", a_sound_device_is_usable},
	{"why: an address may lack its domain", an_address_may_lack_its_domain},
	{"why: no such device", no_such_device},
	{"why: an Intel IOMMU that is not switched on", intel_iommu_not_switched_on},
	{"why: an IOMMU switched off on the command line", iommu_switched_off_on_the_command_line},
	{"why: no IOMMU in the firmware, or in the virtual machine", no_iommu_in_the_firmware},
	{"why: an IOMMU that the kernel did not start", an_iommu_that_the_kernel_did_not_start},
	{"why: a device beside the IOMMU", a_device_beside_the_iommu},
	{"why: held by VFIO without an IOMMU", held_without_an_iommu},
	{"why: a kernel without the module", a_kernel_without_the_module},
	{"why: a built-in module is found", a_built_in_module_is_found},
	{"why: another driver, and its network interface", another_driver},
	{"why: a bridge", a_bridge},
	{"why: a variant of vfio-pci is usable", a_variant_of_vfio_pci_is_usable},
	{"why: a group that is not viable", a_group_that_is_not_viable},
	{"why: the kernel decides on viability", the_kernel_decides_on_viability},
	{"why: a file that is absent", a_file_that_is_absent},
	{"why: kernels without a part of VFIO", kernels_without_a_part_of_vfio},
	{"why: no permission", no_permission},
	{"why: a control group that forbids it", a_control_group_that_forbids_it},
	{"why: a busy group, and who has it", a_busy_group},
	{"why: other errors of files", other_errors_of_files},
	{"why: a low RLIMIT_MEMLOCK", a_low_memlock},
	{"why: an attach that the kernel refuses", an_attach_that_the_kernel_refuses},
	{"why: too few entries", too_few_entries},
	{"why: beyond the aperture", beyond_the_aperture},
	{"why: beyond the DMA mask", beyond_the_dma_mask},
	{"why: a range that is reserved", a_range_that_is_reserved},
	{"why: too few hugepages", too_few_hugepages},
	{"why: hugepages on another node", hugepages_on_another_node},
	{"why: a map that the kernel refuses", a_map_that_the_kernel_refuses},
	{"the machine is described", the_machine_is_described},
	{"a machine without an IOMMU says why", a_machine_without_an_iommu_says_why},
	{"a device is described", a_device_is_described},
	{"a device is described without a domain", a_device_is_described_without_a_domain},
	{"a group is described", a_group_is_described},
	{"a process is described", a_process_is_described},
	{"a DPDK program is asked by telemetry", a_dpdk_program_is_asked},
	{"a space is drawn", a_space_is_drawn},
	{"a program without spaces says so", a_program_without_spaces_says_so},
	{"a program under gantry-run is asked", a_program_under_gantry_run_is_asked},
	{"a program under gantry-run has a map", a_program_under_gantry_run_has_a_map},
	{"spaces of each answer are read", spaces_of_each_answer_are_read},
	{"a socket of another user is not read", a_socket_of_another_user_is_not_read},
	{"bad input is one line", bad_input_is_one_line},
	{"help and version", help_and_version},
};

REGISTER_TEST_SUITE(info) = {
	.name = "info",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
};
