/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the vfio_pci bus on the mock kernel: what the kernel reports of a device while it is
 * driven, the end of the EAL with devices in use, and devices that are named again.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_memzone.h>

#include "bus_machine.h"
#include "e1000e_chip.h"
#include "e1000e_regs.h"
#include "test.h"

#define TOY "0000:aa:00.0"
#define NIC "0000:bb:00.0"
#define KB4 ((size_t)4096)

static unsigned int n_errors, n_removals, n_resets;
static char removed[RTE_DEV_NAME_MAX_LEN];

/* The machine */

static const struct vfio_mock_device_conf toy_conf = {
	.region = {[0] = {.size = 4 * KB4, .mappable = true},
		[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = KB4}},
	.irqs = {[VFIO_PCI_ERR_IRQ_INDEX] = 1, [VFIO_PCI_REQ_IRQ_INDEX] = 1},
};

static const struct vfio_mock_device_conf nic_conf = {
	.region = {[0] = {.size = 32 * KB4, .mappable = true},
		[3] = {.size = 4 * KB4, .mappable = true},
		[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = KB4}},
	.irqs = {[VFIO_PCI_MSIX_IRQ_INDEX] = E1000E_MSIX_VECTORS,
		[VFIO_PCI_ERR_IRQ_INDEX] = 1,
		[VFIO_PCI_REQ_IRQ_INDEX] = 1},
	.msix_bar = 3,
};

/** Devices of the machine. TOY is the first. */
static const struct bus_device devices[] = {
	{TOY, &toy_conf, 0x1af4, 0x0008, false},
	{NIC, &nic_conf, 0x8086, 0x10d3, false},
	{0},
};

static bool
masters_the_bus(const char *name)
{
	return (command_of(name) & PCI_COMMAND_MASTER) != 0;
}

/* A driver that records its calls */

static void
count(unsigned int *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELEASE);
}

static void
toy_error(struct vfio_pci_device *dev)
{
	RTE_SET_USED(dev);
	count(&n_errors);
}

/**
 * What an application may do in RTE_ETH_EVENT_INTR_RMV: remove the device. Other memory then takes
 * the place of the device's.
 */
static void
toy_remove_in_request(struct vfio_pci_device *dev)
{
	char *other[32];
	unsigned int i;

	toy_remove_result = rte_dev_remove(&dev->device);
	for (i = 0; i < RTE_DIM(other); i++) {
		other[i] = malloc(sizeof(struct vfio_pci_inner));
		if (other[i] != NULL)
			memset(other[i], 'x', sizeof(struct vfio_pci_inner));
	}
	for (i = 0; i < RTE_DIM(other); i++)
		free(other[i]);
}

static const struct rte_pci_id toy_ids[] = {VFIO_PCI_ID(0x1af4, 0x0008), {.vendor_id = 0}};

static struct vfio_pci_driver toy_driver;

static int
setup(void)
{
	int rc;

	n_errors = n_removals = n_resets = 0;
	removed[0] = '\0';
	toy_driver = (struct vfio_pci_driver){
		.driver.name = "test_events",
		.id_table = toy_ids,
		.probe = toy_probe,
		.remove = toy_remove,
	};
	rc = bus_machine_setup(&toy_driver, DMAMAP_BACKEND_TYPE1, devices);
	if (rc == 0)
		chip_power_on(NIC, vfio_mock_region(machine, NIC, 0));
	return rc;
}

static void
teardown(void)
{
	chip_power_off();
	bus_machine_teardown(&toy_driver);
}

static void
removal_cb(const char *name, enum rte_dev_event_type event, void *arg)
{
	RTE_SET_USED(arg);
	if (event != RTE_DEV_EVENT_REMOVE)
		return;
	snprintf(removed, sizeof(removed), "%s", name);
	count(&n_removals);
}

/** Stop listening, also if the callback has not returned yet. */
static void
removal_ignore(void)
{
	while (rte_dev_event_callback_unregister(NULL, removal_cb, NULL) == -EAGAIN)
		rte_pause();
}

/* Requests and errors */

static int
a_request_may_remove_the_device(void)
{
	bool told;

	toy_driver.remove_request = toy_remove_in_request;
	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT_SUCCESS(rte_dev_event_callback_register(NULL, removal_cb, NULL), "register");
	test_log_begin();
	TEST_ASSERT_SUCCESS(
		vfio_mock_interrupt(machine, TOY, VFIO_PCI_REQ_IRQ_INDEX, 0), "request");
	told = wait_for(&n_removals, 1);
	test_log_end();
	removal_ignore();
	TEST_ASSERT(told, "%u requests arrived", n_removals);
	TEST_ASSERT_SUCCESS(toy_remove_result, "remove: %d", toy_remove_result);
	TEST_ASSERT_NULL(on_bus(TOY), "it is on the bus still");
	TEST_ASSERT_SUCCESS(strcmp(removed, TOY), "the event is of \"%s\"", removed);
	return TEST_SUCCESS;
}

/** Raise an error of the toy. @return whether it was reported by the counter, and by no other */
static bool
error_is_told(const unsigned int *counter)
{
	bool told;

	if (rte_dev_event_callback_register(NULL, removal_cb, NULL) != 0)
		return false;
	test_log_begin();
	told = vfio_mock_interrupt(machine, TOY, VFIO_PCI_ERR_IRQ_INDEX, 0) == 0 &&
		wait_for(counter, 1);
	removal_ignore();
	return told && test_logged(TOY ": the device reported an uncorrectable error") &&
		n_errors + n_removals == 1;
}

static int
an_error_reaches_the_driver(void)
{
	toy_driver.error = toy_error;
	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT(error_is_told(&n_errors), "%u errors, %u removals", n_errors, n_removals);
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	TEST_ASSERT_EQUAL(vfio_mock_interrupt(machine, TOY, VFIO_PCI_ERR_IRQ_INDEX, 0), -ENOENT,
		"somebody listens still");
	return TEST_SUCCESS;
}

static int
an_error_that_a_driver_ignores_is_a_removal(void)
{
	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT(error_is_told(&n_removals), "%u errors, %u removals", n_errors, n_removals);
	TEST_ASSERT_SUCCESS(strcmp(removed, TOY), "the event is of \"%s\"", removed);
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	return TEST_SUCCESS;
}

static int
a_device_without_error_reports_is_driven(void)
{
	struct vfio_mock_device_conf conf = toy_conf;

	conf.irqs[VFIO_PCI_ERR_IRQ_INDEX] = 0;
	TEST_ASSERT_SUCCESS(vfio_mock_describe_device(machine, TOY, &conf), "describe");
	config_fill(&devices[0]);
	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT_NULL(vfio_pci_inner(toy)->event[VFIO_PCI_EVENT_ERROR], "it is listened to");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	return TEST_SUCCESS;
}

static int
reset_cb(uint16_t port, enum rte_eth_event_type event, void *arg, void *ret)
{
	RTE_SET_USED(port);
	RTE_SET_USED(arg);
	RTE_SET_USED(ret);
	if (event == RTE_ETH_EVENT_INTR_RESET)
		count(&n_resets);
	return 0;
}

/** Probe the NIC and start its port. @return 0; positive: there is no memory for its rings */
static int
nic_start(struct rte_mempool **pool, uint16_t *port)
{
	const struct dmamap_zone_conf zone_conf = {.len = KB4};
	const struct rte_eth_conf conf = {0};
	struct dmamap_zone *zone;
	int rc;

	test_log_begin();
	rc = dmamap_zone_alloc(box, &zone_conf, &zone);
	test_log_end();
	if (rc < 0)
		return 1;
	TEST_ASSERT_SUCCESS(dmamap_zone_free(zone), "zone");
	*pool = rte_pktmbuf_pool_create("bus_events", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	TEST_ASSERT_NOT_NULL(*pool, "pool");
	TEST_ASSERT_SUCCESS(plug(NIC, ""), "probe");
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_port_by_name(NIC, port), "no port");
	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(*port, 1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_rx_queue_setup(*port, 0, 64, 0, NULL, *pool), "Rx queue");
	TEST_ASSERT_SUCCESS(rte_eth_tx_queue_setup(*port, 0, 256, 0, NULL), "Tx queue");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(*port), "start");
	TEST_ASSERT(masters_the_bus(NIC), "it does not master the bus");
	return 0;
}

static int
an_error_of_a_port_is_an_event(void)
{
	const unsigned int resets = vfio_mock_resets(machine, NIC);
	struct rte_mempool *pool = NULL;
	uint16_t port;
	bool told;
	int rc = nic_start(&pool, &port);

	if (rc > 0)
		return test_skip("no free hugepage, where its rings lie");
	TEST_ASSERT_SUCCESS(rc, "start");
	TEST_ASSERT_SUCCESS(
		rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_RESET, reset_cb, NULL),
		"register");
	test_log_begin();
	TEST_ASSERT_SUCCESS(vfio_mock_interrupt(machine, NIC, VFIO_PCI_ERR_IRQ_INDEX, 0), "error");
	told = wait_for(&n_resets, 1);
	test_log_end();
	rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_INTR_RESET, reset_cb, NULL);
	TEST_ASSERT(told, "%u events", n_resets);

	/* What the application does about it. */
	TEST_ASSERT_SUCCESS(rte_eth_dev_reset(port), "reset");
	TEST_ASSERT(vfio_mock_resets(machine, NIC) > resets + 1, "the function was not reset");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(port), "start");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(port), "stop");
	TEST_ASSERT_SUCCESS(unplug(NIC), "remove");
	rte_mempool_free(pool);
	return TEST_SUCCESS;
}

/* Faults */

static unsigned int n_asked, n_answered;
static char detail[DMAMAP_FAULT_TEXT_MAX];

/** Takes its time. */
static void
toy_fault(struct vfio_pci_device *dev, struct dmamap_fault *fault)
{
	count(&n_asked);
	usleep(100000);
	snprintf(fault->detail, sizeof(fault->detail), "%s: engine 2, descriptor 5", dev->name);
	count(&n_answered);
}

static void
fault_cb(struct dmamap_fault *fault, void *arg)
{
	RTE_SET_USED(arg);
	snprintf(detail, sizeof(detail), "%s", fault->text);
}

/** A write of the toy where nothing is mapped. @return whether the driver was asked */
static bool
toy_goes_astray(void)
{
	char byte = 0;

	n_asked = n_answered = 0;
	return vfio_mock_dma_write(machine, TOY, 0x5000, &byte, 1) == -EFAULT &&
		wait_for(&n_asked, 1);
}

static int
ask_the_driver(const int *ends)
{
	struct dmamap_fault_conf conf = {.fault = fault_cb, .log_fd = ends[0]};
	struct dmamap_fault_listener *l;
	struct dmamap_fault fault;

	TEST_ASSERT_SUCCESS(dmamap_fault_listen(&conf, &l), "listen");
	toy_driver.fault = toy_fault;
	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	vfio_mock_log_faults(machine, ends[1]);
	test_log_begin();
	TEST_ASSERT(toy_goes_astray(), "the driver is not asked");
	/* A removal waits for the answer. */
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	TEST_ASSERT_EQUAL(n_answered, 1u, "the device left in between");
	dmamap_fault_unlisten(l);
	test_log_end();
	TEST_ASSERT_EQUAL(dmamap_faults(&fault, 1), 1, "no fault is known");
	TEST_ASSERT_NOT_NULL(
		strstr(fault.text, "; " TOY ": engine 2, descriptor 5"), "%s", fault.text);
	TEST_ASSERT_NOT_NULL(
		strstr(detail, "device " TOY ": the IOMMU blocked a write"), "%s", detail);

	/* A driver that knows nothing, and none at all. */
	toy_driver.fault = NULL;
	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	return TEST_SUCCESS;
}

static int
a_fault_asks_the_driver(void)
{
	int ends[2], rc;

	TEST_ASSERT_SUCCESS(pipe2(ends, O_DIRECT | O_NONBLOCK | O_CLOEXEC), "pipe");
	rc = ask_the_driver(ends);
	vfio_mock_log_faults(machine, -1);
	close(ends[0]);
	close(ends[1]);
	return rc;
}

/* The end of the EAL */

static int
cleanup_removes_a_running_port(void)
{
	struct rte_mempool *pool = NULL;
	const char *log;
	uint16_t port;
	int rc = nic_start(&pool, &port);

	if (rc > 0)
		return test_skip("no free hugepage, where its rings lie");
	TEST_ASSERT_SUCCESS(rc, "start");
	test_log_begin();
	rc = vfio_pci_bus.bus.cleanup();
	log = test_log_end();
	TEST_ASSERT(!masters_the_bus(NIC), "it masters the bus still");
	TEST_ASSERT_SUCCESS(rc, "cleanup: %d: %s", rc, log);
	TEST_ASSERT(log[0] == '\0', "it logs %s", log);
	TEST_ASSERT_NULL(on_bus(NIC), "it is on the bus still");
	TEST_ASSERT(!rte_eth_dev_is_valid_port(port), "the port is there still");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(pool), 255u, "mbufs are lost");
	rte_mempool_free(pool);
	return TEST_SUCCESS;
}

static int
cleanup_cuts_off_what_a_driver_keeps(void)
{
	const char *log;
	int rc;

	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT_SUCCESS(vfio_pci_bus_master(toy, true), "master");
	toy_remove_result = -EBUSY;
	test_log_begin();
	rc = vfio_pci_bus.bus.cleanup();
	log = test_log_end();
	TEST_ASSERT_EQUAL(rc, -1, "cleanup: %d", rc);
	TEST_ASSERT(!masters_the_bus(TOY), "it masters the bus still");
	TEST_ASSERT_NOT_NULL(strstr(log, TOY ": its driver keeps it"), "%s", log);
	toy_remove_result = 0;
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	return TEST_SUCCESS;
}

/* Devices that come back */

/** The registers of the toy are gone: reads of a page of BAR 0 raise SIGBUS. */
static int
toy_vanishes(void)
{
	TEST_ASSERT_SUCCESS(
		vfio_pci_bus.bus.sigbus_handler((void *)(uintptr_t)(toy->bar[0].addr + KB4)),
		"handler");
	TEST_ASSERT_EQUAL(toy->bar[0].addr[KB4], 0xff, "it does not read as ones");
	return 0;
}

/** BAR 0 is the device's memory, at the same address as before. */
static int
toy_is_back(volatile uint8_t *where)
{
	uint8_t *memory = vfio_mock_region(machine, TOY, 0);

	TEST_ASSERT(toy->bar[0].addr == where, "BAR 0 has moved");
	memory[KB4] = 0x5a;
	TEST_ASSERT_EQUAL(where[KB4], 0x5a, "what the device writes is not seen");
	where[KB4 + 1] = 0xa5;
	TEST_ASSERT_EQUAL(memory[KB4 + 1], 0xa5, "the device does not see what is written");
	return 0;
}

static int
a_reset_brings_back_registers_that_were_gone(void)
{
	volatile uint8_t *where;

	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	where = toy->bar[0].addr;
	TEST_ASSERT_SUCCESS(toy_vanishes(), "SIGBUS");
	TEST_ASSERT_SUCCESS(vfio_pci_reset(toy), "reset");
	TEST_ASSERT_SUCCESS(toy_is_back(where), "after the reset");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	return TEST_SUCCESS;
}

static int
a_device_sleeps_and_comes_back(void)
{
	uint8_t *cfg = config_of(TOY);
	volatile uint8_t *where;

	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	where = toy->bar[0].addr;
	TEST_ASSERT_EQUAL(vfio_pci_power(toy, false), -ENOTSUP, "without the capability");
	put16(cfg + PCI_STATUS, PCI_STATUS_CAP_LIST);
	cfg[PCI_CAPABILITY_LIST] = BUS_CAP_AT;
	cfg[BUS_CAP_AT] = PCI_CAP_ID_PM;
	cfg[BUS_CAP_AT + PCI_PM_CTRL] = PCI_PM_CTRL_NO_SOFT_RESET;

	TEST_ASSERT_SUCCESS(vfio_pci_power(toy, false), "D3");
	TEST_ASSERT_EQUAL(cfg[BUS_CAP_AT + PCI_PM_CTRL], PCI_PM_CTRL_NO_SOFT_RESET | 3,
		"state 0x%x", cfg[BUS_CAP_AT + PCI_PM_CTRL]);
	TEST_ASSERT_SUCCESS(toy_vanishes(), "SIGBUS");
	/* What a function loses in D3hot. */
	cfg[PCI_COMMAND] = 0;
	TEST_ASSERT_SUCCESS(vfio_pci_power(toy, true), "D0");
	TEST_ASSERT_EQUAL(cfg[BUS_CAP_AT + PCI_PM_CTRL], PCI_PM_CTRL_NO_SOFT_RESET, "state 0x%x",
		cfg[BUS_CAP_AT + PCI_PM_CTRL]);
	TEST_ASSERT((cfg[PCI_COMMAND] & PCI_COMMAND_MEMORY) != 0, "memory is not decoded");
	TEST_ASSERT_SUCCESS(toy_is_back(where), "in D0");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	return TEST_SUCCESS;
}

/* Devices that are named again */

static bool
args_are(const char *name, const char *text)
{
	const struct rte_devargs *da = on_bus(name)->device.devargs;
	const char *args = da->bus_str != NULL ? da->bus_str : da->args;

	if (strcmp(args, text) == 0)
		return true;
	printf("  the arguments are \"%s\", not \"%s\"\n", args, text);
	return false;
}

/** Name the toy again, with other arguments, in each syntax. */
static int
name_again(const char *args)
{
	static const char *const texts[] = {"vfio_pci:" TOY ",container=other",
		"bus=vfio_pci,addr=" TOY ",container=other",
		"vfio_pci:" TOY ",container=" BUS_BOX ",nonsense=1"};
	unsigned int i;

	for (i = 0; i < RTE_DIM(texts); i++) {
		test_log_begin();
		TEST_ASSERT_SUCCESS(rte_dev_probe(texts[i]), "%s", texts[i]);
		/* The EAL has a line of its own. */
		TEST_ASSERT_NOT_NULL(
			strstr(test_log_end(), TOY ": plugged in already"), "%s", texts[i]);
		TEST_ASSERT(args_are(TOY, args), "%s", texts[i]);
	}
	return 0;
}

static int
a_plugged_device_keeps_its_arguments(void)
{
	static const char layered[] =
		"bus=vfio_pci,addr=" TOY ",container=" BUS_BOX ",eal_memory=0";

	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT_SUCCESS(name_again("container=" BUS_BOX ",eal_memory=0"), "legacy syntax");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	TEST_ASSERT_NULL(rte_devargs_next("vfio_pci", NULL), "devargs are left");

	TEST_ASSERT_SUCCESS(rte_dev_probe(layered), "probe");
	TEST_ASSERT_SUCCESS(name_again(layered), "layered syntax");
	/* The same arguments again need no line. */
	test_log_begin();
	TEST_ASSERT_SUCCESS(rte_dev_probe(layered), "probe again");
	TEST_ASSERT_NULL(strstr(test_log_end(), "vfio_pci: "), "a line for nothing");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	/* After the removal, new arguments are used. */
	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0,driver=test_events"), "probe");
	TEST_ASSERT(
		args_are(TOY, "container=" BUS_BOX ",eal_memory=0,driver=test_events"), "new ones");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	return TEST_SUCCESS;
}

/* Secondary processes */

/** Name the shared devices, as a secondary process does. @return whether the toy is among them */
static bool
toy_is_shared(void)
{
	struct rte_devargs *da;
	bool shared = false;

	vfio_pci_shared_name_all();
	while ((da = rte_devargs_next("vfio_pci", NULL)) != NULL) {
		shared = shared || strcmp(da->name, "vfio_pci:" TOY) == 0;
		rte_devargs_remove(da);
	}
	return shared;
}

static int
secondary_processes_find_what_their_drivers_can_use(void)
{
	struct vfio_pci_device dev = {.name = TOY, .driver = &toy_driver};
	const struct rte_memzone *zone;

	vfio_pci_shared_add(&dev);
	TEST_ASSERT(!toy_is_shared(), "its driver is for primary processes");
	toy_driver.secondary_probe = toy_probe;
	vfio_pci_shared_add(&dev);
	TEST_ASSERT(toy_is_shared(), "it is not found");
	vfio_pci_shared_remove(&dev);
	TEST_ASSERT(!toy_is_shared(), "it is found after its removal");

	/* The bus adds and removes it. */
	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	zone = rte_memzone_lookup("gantry_vfio_pci");
	TEST_ASSERT(zone != NULL && strcmp(zone->addr, TOY) == 0, "it is not shared at probe");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	TEST_ASSERT(!toy_is_shared(), "it is found after its removal");
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"a callback of a request may remove the device", a_request_may_remove_the_device},
	{"an error reaches the driver", an_error_reaches_the_driver},
	{"an error that a driver ignores is a removal",
		an_error_that_a_driver_ignores_is_a_removal},
	{"a device without error reports is driven", a_device_without_error_reports_is_driven},
	{"an error of a port is an event, and a reset cures it", an_error_of_a_port_is_an_event},
	{"a fault asks the driver for its queue", a_fault_asks_the_driver},
	{"cleanup stops and removes a running port", cleanup_removes_a_running_port},
	{"cleanup cuts off what a driver keeps", cleanup_cuts_off_what_a_driver_keeps},
	{"a reset brings back registers that were gone",
		a_reset_brings_back_registers_that_were_gone},
	{"a device sleeps and comes back", a_device_sleeps_and_comes_back},
	{"secondary processes find what their drivers can use",
		secondary_processes_find_what_their_drivers_can_use},
	{"a plugged device keeps its arguments", a_plugged_device_keeps_its_arguments},
};

REGISTER_TEST_SUITE(bus_events) = {
	.name = "bus_events",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
