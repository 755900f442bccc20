/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of vf_token= of the vfio_pci bus on the mock kernel: a physical function sets the token, a
 * virtual function has to know it.
 */

#include <errno.h>
#include <string.h>

#include <vfio_mock.h>

#include "bus_machine.h"
#include "test.h"
#include "vf_tokens.h"

#define PF "0000:aa:00.0"
#define VF "0000:aa:10.0"

static const struct vfio_mock_device_conf function_conf = {
	.region = {[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = 4096}},
	.irqs = {[VFIO_PCI_REQ_IRQ_INDEX] = 1},
};

static const struct bus_device devices[] = {
	{PF, &function_conf, 0x1af4, 0x0009, false},
	{VF, &function_conf, 0x1af4, 0x0009, false},
	{.name = NULL},
};

static const struct rte_pci_id ids[] = {VFIO_PCI_ID(0x1af4, 0x0009), {.vendor_id = 0}};

static struct vfio_pci_driver function_driver = {
	.driver.name = "test_token",
	.id_table = ids,
	.probe = toy_probe,
	.remove = toy_remove,
};

static int
setup(void)
{
	TEST_ASSERT_SUCCESS(
		bus_machine_setup(&function_driver, DMAMAP_BACKEND_TYPE1, devices), "machine");
	return vfio_mock_make_vf(machine, VF, PF);
}

static void
teardown(void)
{
	bus_machine_teardown(&function_driver);
}

static const struct vf_token_plugs plugs = {.plug = plug, .unplug = unplug};

static int
a_pf_sets_the_token_and_its_vfs_need_it(void)
{
	TEST_ASSERT_SUCCESS(vf_tokens_check(&plugs, PF, VF), "type1");
	bus_machine_drop();
	TEST_ASSERT_SUCCESS(
		bus_machine_make(VFIO_MOCK_LINUX(6, 18), DMAMAP_BACKEND_IOMMUFD, devices),
		"machine of 6.18");
	TEST_ASSERT_SUCCESS(vfio_mock_make_vf(machine, VF, PF), "VF of the PF");
	TEST_ASSERT_SUCCESS(vf_tokens_check(&plugs, PF, VF), "iommufd");
	return TEST_SUCCESS;
}

static int
device_files_of_older_kernels_know_no_token(void)
{
	bus_machine_drop();
	TEST_ASSERT_SUCCESS(
		bus_machine_make(VFIO_MOCK_LINUX(6, 16), DMAMAP_BACKEND_IOMMUFD, devices),
		"machine of 6.16");
	TEST_ASSERT_SUCCESS(vfio_mock_make_vf(machine, VF, PF), "VF of the PF");
	TEST_ASSERT_SUCCESS(vf_tokens_check_none(&plugs, PF, VF), "tokens");
	TEST_ASSERT_SUCCESS(plug(PF, TOKEN_A), "a token for the PF");
	TEST_ASSERT_NOT_NULL(strstr(plug_log, "does not check VF tokens"), "%s", plug_log);
	TEST_ASSERT_SUCCESS(unplug(PF), "remove the PF");
	return TEST_SUCCESS;
}

static int
a_refusal_names_the_token(void)
{
	TEST_ASSERT_SUCCESS(plug(PF, TOKEN_A), "PF");
	TEST_ASSERT_EQUAL(plug(VF, ""), -EACCES, "a VF without the token");
	TEST_ASSERT_NOT_NULL(strstr(plug_log, "VF token"), "%s", plug_log);
	TEST_ASSERT_SUCCESS(unplug(PF), "remove");
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
	{"device files of older kernels know no token",
		device_files_of_older_kernels_know_no_token},
	{"a refusal names the token", a_refusal_names_the_token},
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
