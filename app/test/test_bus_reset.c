/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the vfio_pci bus on the mock kernel: functions that cannot be reset alone, and vectors
 * that are added while others are enabled.
 */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_epoll.h>

#include "bus_machine.h"
#include "test.h"

/* Two functions of one device, which have no reset of their own. */
#define FN0 "0000:aa:00.0"
#define FN1 "0000:aa:00.1"
/* A device with MSI-X. */
#define NIC "0000:bb:00.0"
#define KB4 ((size_t)4096)
#define VECTORS 4

static const struct vfio_mock_device_conf function_conf = {
	.region = {[0] = {.size = 4 * KB4, .mappable = true},
		[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = KB4}},
	.irqs = {[VFIO_PCI_REQ_IRQ_INDEX] = 1},
	.no_reset = true,
};

static const struct vfio_mock_device_conf nic_conf = {
	.region = {[0] = {.size = 4 * KB4, .mappable = true},
		[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = KB4}},
	.irqs = {[VFIO_PCI_MSI_IRQ_INDEX] = 1,
		[VFIO_PCI_MSIX_IRQ_INDEX] = VECTORS,
		[VFIO_PCI_REQ_IRQ_INDEX] = 1},
};

static const struct bus_device devices[] = {
	{FN0, &function_conf, 0x1af4, 0x0009, false},
	{FN1, &function_conf, 0x1af4, 0x0009, true},
	{NIC, &nic_conf, 0x1af4, 0x0009, false},
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
	bus_machine_hook = NULL;
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

/* Vectors */

static unsigned int n_fired, n_lost;

/** After each call on a device, vector 1 fires. */
static void
fire_hook(unsigned long request)
{
	const int rc = vfio_mock_interrupt(machine, NIC, VFIO_PCI_MSIX_IRQ_INDEX, 1);

	RTE_SET_USED(request);
	n_fired += rc == 0;
	n_lost += rc != 0;
}

/** The number of signals of a vector since the last call. */
static uint64_t
signals(unsigned int vector)
{
	struct pollfd p = {.fd = vfio_pci_intr_fd(toy, vector), .events = POLLIN};
	uint64_t n = 0;

	return poll(&p, 1, 0) == 1 && read(p.fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

/** Plug the NIC in, and enable n vectors. */
static int
nic_begin(bool dynamic, unsigned int n)
{
	struct vfio_mock_device_conf conf = nic_conf;

	conf.dynamic_msix = dynamic;
	TEST_ASSERT_SUCCESS(vfio_mock_describe_device(machine, NIC, &conf), "describe");
	config_fill(&devices[2]);
	TEST_ASSERT_SUCCESS(plug(NIC, ",eal_memory=0"), "probe");
	TEST_ASSERT_SUCCESS(vfio_pci_intr_enable(toy, VFIO_PCI_INTR_MSIX, n), "enable");
	n_fired = n_lost = 0;
	return 0;
}

/** Add vectors 2 and 3. Vector 1 is a queue's, and somebody waits for it. */
static int
vectors_grow(void)
{
	struct rte_intr_handle *handle = toy->intr_handle;
	const int fd = vfio_pci_intr_fd(toy, 1);
	struct rte_epoll_event event;

	TEST_ASSERT_SUCCESS(rte_intr_rx_ctl(handle, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD,
				    RTE_INTR_VEC_RXTX_OFFSET, NULL),
		"wait for vector 1");
	bus_machine_hook = fire_hook;
	TEST_ASSERT_SUCCESS(vfio_pci_intr_grow(toy, VECTORS), "grow");
	bus_machine_hook = NULL;
	TEST_ASSERT_EQUAL(vfio_pci_intr_fd(toy, 1), fd, "vector 1 has another descriptor");
	TEST_ASSERT_EQUAL(rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, 0), 1,
		"who waits for vector 1 is not woken");
	TEST_ASSERT_SUCCESS(rte_intr_rx_ctl(handle, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_DEL,
				    RTE_INTR_VEC_RXTX_OFFSET, NULL),
		"wait no longer");
	TEST_ASSERT_EQUAL(rte_intr_nb_efd_get(handle), VECTORS - 1, "queues");
	TEST_ASSERT_EQUAL(rte_intr_efds_index_get(handle, 2), vfio_pci_intr_fd(toy, 3), "vector 3");
	TEST_ASSERT_SUCCESS(
		vfio_mock_interrupt(machine, NIC, VFIO_PCI_MSIX_IRQ_INDEX, 3), "vector 3");
	TEST_ASSERT_EQUAL(signals(3), 1u, "vector 3 has no signal");
	TEST_ASSERT_EQUAL(signals(2), 0u, "vector 2 has one");
	return 0;
}

static int
vectors_are_added_without_a_gap(void)
{
	TEST_ASSERT_SUCCESS(nic_begin(true, 2), "begin");
	TEST_ASSERT_SUCCESS(vectors_grow(), "grow");
	TEST_ASSERT(n_fired > 0 && n_lost == 0, "%u arrived, %u are lost", n_fired, n_lost);
	TEST_ASSERT_EQUAL(signals(0), 0u, "vector 0 has a signal that nothing raised");
	return unplug(NIC);
}

static int
a_gap_loses_nothing(void)
{
	TEST_ASSERT_SUCCESS(nic_begin(false, 2), "begin");
	TEST_ASSERT_SUCCESS(vectors_grow(), "grow");
	/* The one that was lost is made up for, for every vector. */
	TEST_ASSERT_EQUAL(n_lost, 1u, "%u are lost", n_lost);
	TEST_ASSERT_EQUAL(signals(0), 1u, "vector 0 has no signal");
	return unplug(NIC);
}

static int
one_vector_becomes_many(void)
{
	TEST_ASSERT_SUCCESS(nic_begin(true, 1), "begin");
	TEST_ASSERT_EQUAL(rte_intr_efds_index_get(toy->intr_handle, 0), vfio_pci_intr_fd(toy, 0),
		"the queue has no vector");
	TEST_ASSERT_SUCCESS(vfio_pci_intr_grow(toy, 2), "grow");
	TEST_ASSERT_EQUAL(rte_intr_efds_index_get(toy->intr_handle, 0), vfio_pci_intr_fd(toy, 1),
		"the queue has another's vector");
	TEST_ASSERT_EQUAL(rte_intr_nb_efd_get(toy->intr_handle), 1, "queues");
	return unplug(NIC);
}

static int
what_cannot_grow_is_refused(void)
{
	TEST_ASSERT_SUCCESS(nic_begin(true, 2), "begin");
	TEST_ASSERT_SUCCESS(vfio_pci_intr_grow(toy, 2), "no change");
	TEST_ASSERT_EQUAL(vfio_pci_intr_grow(toy, 1), -EINVAL, "fewer");
	TEST_ASSERT_EQUAL(vfio_pci_intr_grow(toy, VECTORS + 1), -ENOTSUP, "more than it has");
	vfio_pci_intr_disable(toy);
	TEST_ASSERT_EQUAL(vfio_pci_intr_grow(toy, 2), -EINVAL, "none is enabled");
	TEST_ASSERT_SUCCESS(vfio_pci_intr_enable(toy, VFIO_PCI_INTR_MSI, 1), "MSI");
	test_log_begin();
	TEST_ASSERT_EQUAL(vfio_pci_intr_grow(toy, 2), -EINVAL, "MSI");
	TEST_ASSERT(test_log_end()[0] == '\0', "the kernel was asked");
	return unplug(NIC);
}

/** Route vectors 2 and 3 behind the bus's back. */
static int
route_more(void)
{
	const int fd = vfio_pci_intr_fd(toy, 0);
	union {
		struct vfio_irq_set set;
		uint8_t bytes[sizeof(struct vfio_irq_set) + 2 * sizeof(int)];
	} r = {.set = {.argsz = sizeof(r),
		       .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		       .index = VFIO_PCI_MSIX_IRQ_INDEX,
		       .start = 2,
		       .count = 2}};

	memcpy(r.set.data, &fd, sizeof(fd));
	memcpy(r.set.data + sizeof(fd), &fd, sizeof(fd));
	return dmamap_device_ioctl(toy->dma, VFIO_DEVICE_SET_IRQS, &r);
}

static int
the_mock_adds_vectors_only_if_it_says_so(void)
{
	struct vfio_irq_info info = {.argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX};
	int dynamic;

	for (dynamic = 0; dynamic < 2; dynamic++) {
		TEST_ASSERT_SUCCESS(nic_begin(dynamic != 0, 2), "begin");
		TEST_ASSERT_SUCCESS(
			dmamap_device_ioctl(toy->dma, VFIO_DEVICE_GET_IRQ_INFO, &info), "info");
		TEST_ASSERT_EQUAL(
			(info.flags & VFIO_IRQ_INFO_NORESIZE) == 0, dynamic != 0, "%d", dynamic);
		TEST_ASSERT_EQUAL(route_more(), dynamic != 0 ? 0 : -EINVAL, "%d", dynamic);
		TEST_ASSERT_SUCCESS(unplug(NIC), "remove");
	}
	return TEST_SUCCESS;
}

/** Each call of a growth fails in turn; afterwards vector 1 works as before. */
static int
fail_each_call_of_growth(bool dynamic, unsigned int calls)
{
	unsigned int n, files_begun;
	int rc, failed;

	TEST_ASSERT_SUCCESS(nic_begin(dynamic, 2), "begin");
	files_begun = test_open_files();
	for (n = 1;; n++) {
		vfio_mock_fail(machine, UINT32_C(1) << VFIO_MOCK_DEVICE, n, EIO);
		test_log_begin();
		rc = vfio_pci_intr_grow(toy, VECTORS);
		test_log_end();
		failed = vfio_mock_failed(machine);
		vfio_mock_fail(machine, 0, 0, 0);
		if (failed < 0)
			break;
		TEST_ASSERT_EQUAL(rc, -EIO, "call %u: %d", n, rc);
		TEST_ASSERT_EQUAL(test_open_files(), files_begun, "call %u: files", n);
		TEST_ASSERT_EQUAL(vfio_pci_intr_fd(toy, 2), -1, "call %u: there are more", n);
		TEST_ASSERT_EQUAL(rte_intr_nb_efd_get(toy->intr_handle), 1, "call %u: queues", n);
		signals(1);
		TEST_ASSERT_SUCCESS(vfio_mock_interrupt(machine, NIC, VFIO_PCI_MSIX_IRQ_INDEX, 1),
			"call %u: vector 1 is off", n);
		TEST_ASSERT_EQUAL(signals(1), 1u, "call %u: vector 1", n);
	}
	TEST_ASSERT(rc == 0 && n == calls + 1, "%u calls, result %d", n - 1, rc);
	TEST_ASSERT_SUCCESS(unplug(NIC), "remove");
	return 0;
}

static int
each_call_of_growth_may_fail(void)
{
	/* The number of vectors, and their routing. */
	TEST_ASSERT_SUCCESS(fail_each_call_of_growth(true, 2), "adding");
	/* All are disabled in between. */
	return fail_each_call_of_growth(false, 3);
}

/** No call succeeds once the vectors are disabled. */
static void
fail_hook(unsigned long request)
{
	if (request == VFIO_DEVICE_SET_IRQS)
		vfio_mock_fail_all(machine, UINT32_C(1) << VFIO_MOCK_DEVICE, ENOSPC);
}

static int
a_driver_can_recover_from_a_growth_that_lost_its_vectors(void)
{
	TEST_ASSERT_SUCCESS(nic_begin(false, 2), "begin");
	bus_machine_hook = fail_hook;
	test_log_begin();
	TEST_ASSERT_EQUAL(vfio_pci_intr_grow(toy, VECTORS), -EIO, "grow");
	TEST_ASSERT(test_logged(NIC ": 2 MSI-X vectors cannot become 4"), "line");
	bus_machine_hook = NULL;
	vfio_mock_fail_all(machine, UINT32_C(1) << VFIO_MOCK_DEVICE, 0);
	TEST_ASSERT_EQUAL(signals(1), 1u, "nobody is told that vector 1 is off");
	vfio_pci_intr_disable(toy);
	TEST_ASSERT_SUCCESS(vfio_pci_intr_enable(toy, VFIO_PCI_INTR_MSIX, VECTORS), "enable");
	return unplug(NIC);
}

static const struct test_case cases[] = {
	{"a function without a reset is reset with its bus",
		a_function_without_a_reset_is_reset_with_its_bus},
	{"a function in use is not reset with another",
		a_function_in_use_is_not_reset_with_another},
	{"vectors are added without a gap", vectors_are_added_without_a_gap},
	{"a gap loses nothing where vectors cannot be added", a_gap_loses_nothing},
	{"one vector becomes many", one_vector_becomes_many},
	{"what cannot grow is refused", what_cannot_grow_is_refused},
	{"the mock adds vectors only if it says so", the_mock_adds_vectors_only_if_it_says_so},
	{"each call of a growth may fail", each_call_of_growth_may_fail},
	{"a driver can recover from a growth that lost its vectors",
		a_driver_can_recover_from_a_growth_that_lost_its_vectors},
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
