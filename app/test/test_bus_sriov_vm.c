/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the vfio_pci bus with a physical function of SR-IOV that is its own: an 82576 of
 * $GANTRY_DEVICES on real VFIO. The kernel's vfio-pci makes the virtual functions.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <rte_cycles.h>
#include <rte_dev.h>

#include "bus_machine.h"
#include "test.h"
#include "vf_tokens.h"
#include "vfio_pci_private.h"

#define SYSFS_PCI "/sys/bus/pci/devices/"
#define ENABLE "/sys/module/vfio_pci/parameters/enable_sriov"
/* Time limit of waits for the kernel. Exceeding it is a failure; it is no measurement. */
#define GIVE_UP_S 30

static char pf[32], vf[32]; /* PCI addresses */
static const char *backend; /* of the container that devices are plugged into */

static const struct rte_pci_id ids[] = {
	VFIO_PCI_ID(0x8086, 0x10c9), /* 82576 */
	VFIO_PCI_ID(0x8086, 0x10ca), /* its virtual functions */
	{.vendor_id = 0},
};

static struct vfio_pci_driver function_driver = {
	.driver.name = "test_sriov",
	.id_table = ids,
	.probe = toy_probe,
};

/* The number of a device's virtual functions becomes n. */
static int
functions_make(const char *n)
{
	char path[128];

	snprintf(path, sizeof(path), SYSFS_PCI "%s/sriov_numvfs", pf);
	return test_write_file(path, "%s", n);
}

/* Read the last part of a link in a device's folder. @return whether there is one */
static bool
link_read(const char *device, const char *name, char *last, size_t size)
{
	char path[128], target[256];
	ssize_t n;

	snprintf(path, sizeof(path), SYSFS_PCI "%s/%s", device, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	snprintf(last, size, "%s", strrchr(target, '/') + 1);
	return true;
}

/* Wait until vfio-pci, which keeps the functions of its devices, has the first one. */
static bool
function_is_bound(void)
{
	char driver[32];
	unsigned int ms;

	for (ms = 0; ms < GIVE_UP_S * 1000; ms++) {
		if (link_read(pf, "virtfn0", vf, sizeof(vf)) &&
			link_read(vf, "driver", driver, sizeof(driver)) &&
			strcmp(driver, "vfio-pci") == 0)
			return true;
		rte_delay_us_sleep(1000);
	}
	return false;
}

static int
setup(void)
{
	const char *list = getenv("GANTRY_DEVICES");
	char *copy, *name, *save, path[128];

	pf[0] = '\0';
	copy = strdup(list != NULL ? list : "");
	for (name = strtok_r(copy, " ,", &save); name != NULL; name = strtok_r(NULL, " ,", &save)) {
		snprintf(path, sizeof(path), SYSFS_PCI "%s/sriov_numvfs", name);
		if (pf[0] == '\0' && access(path, F_OK) == 0)
			snprintf(pf, sizeof(pf), "%s", name);
	}
	free(copy);
	if (pf[0] == '\0')
		return test_skip("a device with SR-IOV, bound to vfio-pci, is wanted in "
				 "$GANTRY_DEVICES");
	if (test_write_file(ENABLE, "1") != 0)
		return test_skip("vfio-pci of this kernel cannot make virtual functions");
	vfio_pci_register(&function_driver);
	return TEST_SUCCESS;
}

static void
teardown(void)
{
	struct vfio_pci_device *dev, *tmp;

	if (pf[0] == '\0')
		return;
	RTE_TAILQ_FOREACH_SAFE(dev, &vfio_pci_devices, next, tmp)
		vfio_pci_bus.bus.unplug(&dev->device);
	vfio_pci_unregister(&function_driver);
	functions_make("0");
	test_write_file(ENABLE, "0");
}

static int
plug_on_backend(const char *name, const char *args)
{
	char text[160];

	snprintf(text, sizeof(text), "vfio_pci:%s,container=sriov_%s,backend=%s%s", name, backend,
		backend, args);
	return rte_dev_probe(text);
}

static const struct vf_token_plugs plugs = {.plug = plug_on_backend, .unplug = unplug};

/* Both functions are in one container, and answer. */
static int
check_both(void)
{
	struct vfio_pci_device *dev[2];
	unsigned int i;

	TEST_ASSERT_SUCCESS(plug_on_backend(pf, TOKEN_A), "PF");
	TEST_ASSERT_SUCCESS(plug_on_backend(vf, TOKEN_A), "VF");
	dev[0] = on_bus(pf);
	dev[1] = on_bus(vf);
	TEST_ASSERT(dev[0]->container == dev[1]->container, "two containers");
	for (i = 0; i < 2; i++) {
		uint16_t command = 0;

		TEST_ASSERT_NOT_NULL((const void *)(uintptr_t)dev[i]->bar[0].addr,
			"%s: BAR 0 is not mapped", dev[i]->name);
		TEST_ASSERT_SUCCESS(
			vfio_pci_cfg_read(dev[i], &command, sizeof(command), PCI_COMMAND), "read");
		TEST_ASSERT(
			command & PCI_COMMAND_MEMORY, "%s: command 0x%x", dev[i]->name, command);
	}
	TEST_ASSERT_SUCCESS(unplug(vf), "remove the VF");
	TEST_ASSERT_SUCCESS(unplug(pf), "remove the PF");
	return 0;
}

/* Whether iommufd's device files know tokens: from Linux 6.17 on. */
static bool
files_know_tokens(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname running;

	if (uname(&running) == 0)
		sscanf(running.release, "%u.%u", &major, &minor);
	return major > 6 || (major == 6 && minor >= 17);
}

static int
on_backend(const char *name, bool knows_tokens)
{
	backend = name;
	TEST_ASSERT_SUCCESS(plug_on_backend(pf, TOKEN_A), "plug the PF in");
	TEST_ASSERT_SUCCESS(functions_make("1"), "make a VF of a PF in use");
	TEST_ASSERT(function_is_bound(), "vfio-pci does not get the VF");
	TEST_ASSERT_SUCCESS(unplug(pf), "remove the PF");
	TEST_ASSERT_SUCCESS(
		(knows_tokens ? vf_tokens_check : vf_tokens_check_none)(&plugs, pf, vf), "tokens");
	TEST_ASSERT_SUCCESS(check_both(), "both");
	TEST_ASSERT_SUCCESS(functions_make("0"), "remove the VF");
	TEST_ASSERT_EQUAL(plug_on_backend(vf, TOKEN_A), -ENODEV, "a VF that is gone");
	return TEST_SUCCESS;
}

static int
functions_of_our_pf_on_type1(void)
{
	return on_backend("type1", true);
}

static int
functions_of_our_pf_on_iommufd(void)
{
	if (access("/dev/iommu", F_OK) != 0)
		return test_skip("there is no /dev/iommu");
	return on_backend("iommufd", files_know_tokens());
}

static const struct test_case cases[] = {
	{"a PF and its VF are ours, on type1", functions_of_our_pf_on_type1},
	{"a PF and its VF are ours, on iommufd", functions_of_our_pf_on_iommufd},
};

REGISTER_TEST_SUITE(bus_sriov_vm) = {
	.name = "bus_sriov_vm",
	.kind = TEST_VM,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
