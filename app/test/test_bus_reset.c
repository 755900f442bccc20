/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the vfio_pci bus on the mock kernel: functions that cannot be reset alone.
 */

#include <errno.h>

#include "bus_machine.h"
#include "test.h"

/* Two functions of one device, which have no reset of their own. */
#define FN0 "0000:aa:00.0"
#define FN1 "0000:aa:00.1"
#define KB4 ((size_t)4096)

static const struct vfio_mock_device_conf function_conf = {
	.region = {[0] = {.size = 4 * KB4, .mappable = true},
		[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = KB4}},
	.irqs = {[VFIO_PCI_REQ_IRQ_INDEX] = 1},
	.no_reset = true,
};

static const struct bus_device devices[] = {
	{FN0, &function_conf, 0x1af4, 0x0009, false},
	{FN1, &function_conf, 0x1af4, 0x0009, true},
	{0},
};

static const struct rte_pci_id toy_ids[] = {VFIO_PCI_ID(0x1af4, 0x0009), {.vendor_id = 0}};

static struct vfio_pci_driver toy_driver = {
	.driver.name = "test_reset",
	.id_table = toy_ids,
	.probe = toy_probe,
	.remove = toy_remove,
};

static int
setup(void)
{
	return bus_machine_setup(&toy_driver, DMAMAP_BACKEND_TYPE1, devices);
}

static void
teardown(void)
{
	bus_machine_teardown(&toy_driver);
}

/* Resets */

/** A page of a device's BAR 0 reads as ones, since an access raised SIGBUS. */
static int
page_vanishes(const struct vfio_pci_device *dev)
{
	TEST_ASSERT_SUCCESS(
		vfio_pci_bus.bus.sigbus_handler((void *)(uintptr_t)(dev->bar[0].addr + KB4)),
		"handler");
	TEST_ASSERT_EQUAL(dev->bar[0].addr[KB4], 0xff, "it does not read as ones");
	return 0;
}

static unsigned int
resets(void)
{
	return vfio_mock_hot_resets(machine, FN0);
}

static int
reset_with_the_bus(void)
{
	TEST_ASSERT_SUCCESS(plug(FN0, ",eal_memory=0"), "probe");
	TEST_ASSERT_EQUAL(resets(), 1u, "%u resets by opening", resets());
	TEST_ASSERT_EQUAL(vfio_mock_hot_resets(machine, FN1), 1u, "not the whole bus");
	TEST_ASSERT_SUCCESS(page_vanishes(toy), "SIGBUS");
	TEST_ASSERT_SUCCESS(vfio_pci_reset(toy), "reset");
	TEST_ASSERT_EQUAL(resets(), 2u, "%u resets", resets());
	TEST_ASSERT_EQUAL(toy->bar[0].addr[KB4], 0, "the BAR was not mapped again");
	TEST_ASSERT_SUCCESS(unplug(FN0), "remove");
	TEST_ASSERT_EQUAL(resets(), 3u, "%u resets by closing", resets());
	return TEST_SUCCESS;
}

static int
a_function_without_a_reset_is_reset_with_its_bus(void)
{
	TEST_ASSERT_SUCCESS(reset_with_the_bus(), "type1");
	bus_machine_drop();
	TEST_ASSERT_SUCCESS(
		bus_machine_make(VFIO_MOCK_LINUX(6, 12), DMAMAP_BACKEND_IOMMUFD, devices),
		"iommufd");
	return reset_with_the_bus();
}

static int
a_function_in_use_is_not_reset_with_another(void)
{
	struct vfio_pci_device *other;

	TEST_ASSERT_SUCCESS(plug(FN0, ",eal_memory=0"), "probe");
	other = toy;
	TEST_ASSERT_SUCCESS(plug(FN1, ",eal_memory=0"), "probe");
	TEST_ASSERT(plug_log[0] == '\0', "it logs %s", plug_log);
	TEST_ASSERT_EQUAL(resets(), 1u, "opening the second resets the first");
	test_log_begin();
	TEST_ASSERT_EQUAL(vfio_pci_reset(toy), -EBUSY, "reset");
	TEST_ASSERT(test_logged("resets " FN0 " too, whose driver would not know"), "line");
	TEST_ASSERT_EQUAL(resets(), 1u, "it was reset");

	/* The driver of both resets both. */
	TEST_ASSERT_SUCCESS(page_vanishes(other), "SIGBUS");
	TEST_ASSERT_SUCCESS(vfio_pci_hot_reset(toy), "reset of both");
	TEST_ASSERT_EQUAL(resets(), 2u, "%u resets", resets());
	TEST_ASSERT_EQUAL(other->bar[0].addr[KB4], 0, "the other's BAR was not mapped again");

	/* No function is reset while it does DMA. */
	TEST_ASSERT_SUCCESS(vfio_pci_bus_master(other, true), "master");
	test_log_begin();
	TEST_ASSERT_EQUAL(vfio_pci_hot_reset(toy), -EBUSY, "while the other runs");
	TEST_ASSERT(test_logged("resets " FN0 " too, which is running"), "line");
	TEST_ASSERT_EQUAL(resets(), 2u, "it was reset");

	TEST_ASSERT_SUCCESS(unplug(FN1), "remove");
	TEST_ASSERT_EQUAL(resets(), 2u, "closing the second resets the first");
	TEST_ASSERT_SUCCESS(unplug(FN0), "remove");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"a function without a reset is reset with its bus",
		a_function_without_a_reset_is_reset_with_its_bus},
	{"a function in use is not reset with another",
		a_function_in_use_is_not_reset_with_another},
};

REGISTER_TEST_SUITE(bus_reset) = {
	.name = "bus_reset",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
