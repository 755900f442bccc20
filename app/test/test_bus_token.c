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

#define PF "0000:aa:00.0"
#define VF "0000:aa:10.0"
#define TOKEN_A ",vf_token=11111111-2222-3333-4444-5555555555aa"
/* The same, as another operator writes it. */
#define TOKEN_A_CAPITALS ",vf_token=11111111-2222-3333-4444-5555555555AA"
#define TOKEN_B ",vf_token=11111111-2222-3333-4444-5555555555bb"

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
	bus_machine_drop();
	TEST_ASSERT_SUCCESS(
		bus_machine_make(VFIO_MOCK_LINUX(6, 18), DMAMAP_BACKEND_IOMMUFD, devices),
		"machine of 6.18");
	TEST_ASSERT_SUCCESS(vfio_mock_make_vf(machine, VF, PF), "VF of the PF");
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
