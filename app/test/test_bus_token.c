/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of vf_token= of the vfio_pci bus on the mock kernel: a physical function sets the token, a
 * virtual function has to know it.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>

#include <rte_dev.h>

#include <vfio_mock.h>

#include "test.h"
#include "vfio_pci_private.h"

#define PF "0000:aa:00.0"
#define VF "0000:aa:10.0"
#define BOX "box"
#define TOKEN_A ",vf_token=11111111-2222-3333-4444-5555555555aa"
/* The same, as another operator writes it. */
#define TOKEN_A_CAPITALS ",vf_token=11111111-2222-3333-4444-5555555555AA"
#define TOKEN_B ",vf_token=11111111-2222-3333-4444-5555555555bb"

static struct vfio_mock *machine;
static struct dmamap_container *box;
static struct vfio_pci_sysfs real_sysfs;
static const char *plug_log; /**< what the last plug() logged */

static const struct vfio_mock_device_conf function_conf = {
	.region = {[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = 4096}},
	.irqs = {[VFIO_PCI_REQ_IRQ_INDEX] = 1},
};

static int
function_probe(struct vfio_pci_driver *driver, struct vfio_pci_device *dev)
{
	RTE_SET_USED(driver);
	RTE_SET_USED(dev);
	return 0;
}

static const struct rte_pci_id ids[] = {VFIO_PCI_ID(0x1af4, 0x0009), {.vendor_id = 0}};

static struct vfio_pci_driver function_driver = {
	.driver.name = "test_token",
	.id_table = ids,
	.probe = function_probe,
};

static int
function_add(int iommu, const char *name)
{
	const struct vfio_mock_group_conf group = {.iommu = iommu};
	uint8_t *cfg;

	TEST_ASSERT_SUCCESS(vfio_mock_add_device(machine, vfio_mock_add_group(machine, &group),
				    name, 0, "vfio-pci"),
		"%s", name);
	TEST_ASSERT_SUCCESS(vfio_mock_describe_device(machine, name, &function_conf), "%s", name);
	cfg = vfio_mock_region(machine, name, VFIO_PCI_CONFIG_REGION_INDEX);
	memcpy(cfg + PCI_VENDOR_ID, (uint8_t[]){0xf4, 0x1a, 0x09, 0x00}, 4);
	return 0;
}

static int
machine_make(unsigned int linux_version, enum dmamap_backend backend)
{
	const struct vfio_mock_conf conf = {.linux_version = linux_version};
	struct dmamap_container_conf cconf = {.name = BOX, .backend = backend};
	int iommu;

	TEST_ASSERT_SUCCESS(vfio_mock_create(&conf, &machine), "machine");
	iommu = vfio_mock_add_iommu(machine, NULL);
	TEST_ASSERT_SUCCESS(function_add(iommu, PF), "PF");
	TEST_ASSERT_SUCCESS(function_add(iommu, VF), "VF");
	TEST_ASSERT_SUCCESS(vfio_mock_make_vf(machine, VF, PF), "VF of the PF");
	cconf.kernel = vfio_mock_kernel(machine);
	vfio_pci_sysfs = (struct vfio_pci_sysfs){.sysfs = cconf.kernel->sysfs,
		.arg = cconf.kernel->arg,
		.read_file = cconf.kernel->read_file};
	return dmamap_container_create(&cconf, &box);
}

static int
machine_drop(void)
{
	struct vfio_pci_device *dev, *tmp;

	RTE_TAILQ_FOREACH_SAFE(dev, &vfio_pci_devices, next, tmp)
		if (dev->driver == NULL)
			vfio_pci_device_remove(dev);
	if (!TAILQ_EMPTY(&vfio_pci_devices))
		return -EBUSY;
	dmamap_container_destroy(box);
	return vfio_mock_destroy(machine);
}

static int
setup(void)
{
	real_sysfs = vfio_pci_sysfs;
	vfio_pci_register(&function_driver);
	return machine_make(0, DMAMAP_BACKEND_TYPE1);
}

static void
teardown(void)
{
	vfio_pci_unregister(&function_driver);
	machine_drop();
	vfio_pci_sysfs = real_sysfs;
}

static int
plug(const char *name, const char *token)
{
	char text[160];
	int rc;

	snprintf(text, sizeof(text), "vfio_pci:%s,container=" BOX ",eal_memory=0%s", name, token);
	test_log_begin();
	rc = rte_dev_probe(text);
	plug_log = test_log_end();
	return rc;
}

static int
unplug(const char *name)
{
	struct rte_pci_addr addr;
	struct vfio_pci_device *dev;

	rte_pci_addr_parse(name, &addr);
	dev = vfio_pci_list_find(&addr);
	return dev == NULL ? -ENODEV : rte_dev_remove(&dev->device);
}

static int
check_tokens(void)
{
	TEST_ASSERT_SUCCESS(plug(PF, TOKEN_A), "the PF sets a token");
	TEST_ASSERT_EQUAL(plug(VF, ""), -EACCES, "a VF without the token");
	TEST_ASSERT_NOT_NULL(strstr(plug_log, "VF token"), "%s", plug_log);
	TEST_ASSERT_EQUAL(plug(VF, TOKEN_B), -EACCES, "a VF with another token");
	TEST_ASSERT_SUCCESS(plug(VF, TOKEN_A_CAPITALS), "a VF with the token");

	/* While the VF is in use, only who knows the token opens the PF. */
	TEST_ASSERT_SUCCESS(unplug(PF), "remove the PF");
	TEST_ASSERT_EQUAL(plug(PF, ""), -EACCES, "the PF without the token");
	TEST_ASSERT_EQUAL(plug(PF, TOKEN_B), -EACCES, "the PF with another token");
	TEST_ASSERT_SUCCESS(plug(PF, TOKEN_A), "the PF with the token");

	/* Afterwards the PF sets another. */
	TEST_ASSERT_SUCCESS(unplug(VF), "remove the VF");
	TEST_ASSERT_SUCCESS(unplug(PF), "remove the PF");
	TEST_ASSERT_SUCCESS(plug(PF, TOKEN_B), "the PF with another token");
	TEST_ASSERT_EQUAL(plug(VF, TOKEN_A), -EACCES, "a VF with the former token");
	TEST_ASSERT_SUCCESS(plug(VF, TOKEN_B), "a VF with the new token");
	TEST_ASSERT_SUCCESS(unplug(VF), "remove the VF");
	TEST_ASSERT_SUCCESS(unplug(PF), "remove the PF");
	return 0;
}

static int
a_pf_sets_the_token_and_its_vfs_need_it(void)
{
	TEST_ASSERT_SUCCESS(check_tokens(), "type1");
	TEST_ASSERT_SUCCESS(machine_drop(), "machine");
	TEST_ASSERT_SUCCESS(
		machine_make(VFIO_MOCK_LINUX(6, 18), DMAMAP_BACKEND_IOMMUFD), "machine");
	TEST_ASSERT_SUCCESS(check_tokens(), "iommufd");
	return TEST_SUCCESS;
}

static int
a_vf_of_a_kernel_driver_needs_no_token(void)
{
	TEST_ASSERT_SUCCESS(vfio_mock_bind(machine, PF, "pci-stub"), "bind");
	TEST_ASSERT_SUCCESS(plug(VF, ""), "no token");
	TEST_ASSERT_SUCCESS(unplug(VF), "remove");
	TEST_ASSERT_EQUAL(plug(VF, TOKEN_A), -EINVAL, "a token that nobody has set");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"a PF sets the token, and its VFs need it", a_pf_sets_the_token_and_its_vfs_need_it},
	{"a VF of a kernel driver's PF needs no token", a_vf_of_a_kernel_driver_needs_no_token},
};

REGISTER_TEST_SUITE(bus_token) = {
	.name = "bus_token",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
