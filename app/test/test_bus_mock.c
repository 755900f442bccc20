/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of the vfio_pci bus on the mock kernel: a device from probe to removal, with each call
 * into the kernel made to fail in turn.
 * The NIC's driver runs on lib/e1000e_chip.c, the others as far as registers in plain memory allow.
 * The test acts as the device: it does DMA and raises interrupts.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "bus_machine.h"
#include "e1000e_chip.h"
#include "e1000e_regs.h"
#include "test.h"

/* A device for the driver below, an 82574L, and an edu device. */
#define TOY "0000:aa:00.0"
#define NIC "0000:bb:00.0"
#define EDU "0000:cc:00.0"
#define KB4 ((size_t)4096)
#define VECTORS 3
#define TABLE_BAR 1

static unsigned int n_interrupts, n_removals, n_link_changes;

/* The machine */

static const struct vfio_mock_device_conf toy_conf = {
	.region =
		{
			[0] = {.size = 16 * KB4, .mappable = true},
			[TABLE_BAR] = {.size = 4 * KB4, .mappable = true},
			[2] = {.size = 32},
			[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = KB4},
		},
	.irqs = {[VFIO_PCI_INTX_IRQ_INDEX] = 1,
		[VFIO_PCI_MSI_IRQ_INDEX] = 1,
		[VFIO_PCI_MSIX_IRQ_INDEX] = VECTORS,
		[VFIO_PCI_REQ_IRQ_INDEX] = 1},
	.msix_bar = TABLE_BAR,
};

static const struct vfio_mock_device_conf nic_conf = {
	.region =
		{
			[0] = {.size = 32 * KB4, .mappable = true},
			[3] = {.size = 4 * KB4, .mappable = true},
			[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = KB4},
		},
	.irqs = {[VFIO_PCI_MSIX_IRQ_INDEX] = E1000E_MSIX_VECTORS, [VFIO_PCI_REQ_IRQ_INDEX] = 1},
	.msix_bar = 3,
};

static const struct vfio_mock_device_conf edu_conf = {
	.region =
		{
			[0] = {.size = 256 * KB4, .mappable = true},
			[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = 256},
		},
	.irqs = {[VFIO_PCI_REQ_IRQ_INDEX] = 1},
	.no_reset = true,
};

static volatile uint32_t *
nic_reg(unsigned int at)
{
	return (volatile uint32_t *)((uint8_t *)vfio_mock_region(machine, NIC, 0) + at);
}

/** Devices of the machine. TOY is the first. */
static const struct bus_device devices[] = {
	{TOY, &toy_conf, 0x1af4, 0x0007, false},
	{NIC, &nic_conf, 0x8086, 0x10d3, false},
	{EDU, &edu_conf, 0x1234, 0x11e8, false},
	{0},
};

static const struct rte_pci_id toy_ids[] = {VFIO_PCI_ID(0x1af4, 0x0007), {.vendor_id = 0}};

static struct vfio_pci_driver toy_driver = {
	.driver.name = "test_toy",
	.id_table = toy_ids,
	.probe = toy_probe,
	.remove = toy_remove,
};

static int
setup(void)
{
	int rc = bus_machine_setup(&toy_driver, DMAMAP_BACKEND_TYPE1, devices);

	n_interrupts = n_removals = n_link_changes = 0;
	if (rc == 0)
		chip_power_on(NIC, nic_reg(0));
	return rc;
}

static void
teardown(void)
{
	chip_power_off();
	bus_machine_teardown(&toy_driver);
}

/* State that must be unchanged */

struct state {
	char *kernel;
	unsigned int files;
	unsigned int bars; /**< mappings of regions in this process */
};

static unsigned int
count_bars(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned int n = 0;
	char line[512];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, "/memfd:vfio_mock") != NULL;
	if (f != NULL)
		fclose(f);
	return n;
}

static struct state
state_now(void)
{
	return (struct state){.kernel = vfio_mock_dump(machine),
		.files = test_open_files(),
		.bars = count_bars()};
}

/** Whether the state is as before. Frees the record. */
static bool
state_is(struct state *before)
{
	struct state now = state_now();
	bool same = now.kernel != NULL && before->kernel != NULL &&
		strcmp(now.kernel, before->kernel) == 0 && now.files == before->files &&
		now.bars == before->bars;

	if (!same)
		printf("  before: %u files, %u BARs, %s\n  now: %u files, %u BARs, %s\n",
			before->files, before->bars, before->kernel, now.files, now.bars,
			now.kernel);
	free(now.kernel);
	free(before->kernel);
	before->kernel = NULL;
	return same;
}

static void
count_cb(void *counter)
{
	__atomic_add_fetch((unsigned int *)counter, 1, __ATOMIC_RELEASE);
}

/* Cases */

/**
 * Whether this process can read an address. A system call tests it, so that no signal is raised.
 */
static bool
is_mapped(volatile uint8_t *at)
{
	uint8_t byte;
	struct iovec local = {&byte, 1}, remote = {(void *)(uintptr_t)at, 1};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1;
}

static int
check_bars(void)
{
	uint8_t *memory = vfio_mock_region(machine, TOY, 0), byte = 0;
	uint32_t word = 0;

	TEST_ASSERT_EQUAL(toy->bar[0].len, 16 * KB4, "BAR 0 has 0x%" PRIx64, toy->bar[0].len);
	toy->bar[0].addr[15 * KB4] = 0x5a;
	TEST_ASSERT_EQUAL(memory[15 * KB4], 0x5a, "the device does not see what is written");
	memory[1] = 0xa5;
	TEST_ASSERT_EQUAL(toy->bar[0].addr[1], 0xa5, "what the device writes is not seen");
	/* A stray write to the table would redirect an interrupt. */
	TEST_ASSERT(is_mapped(toy->bar[TABLE_BAR].addr), "before the table");
	TEST_ASSERT(!is_mapped(toy->bar[TABLE_BAR].addr + BUS_TABLE_AT), "the table is mapped");
	TEST_ASSERT(is_mapped(toy->bar[TABLE_BAR].addr + BUS_TABLE_AT + KB4), "after the table");
	TEST_ASSERT_NULL((void *)(uintptr_t)toy->bar[2].addr, "ports are mapped");
	word = 0x01020304;
	TEST_ASSERT_SUCCESS(vfio_pci_bar_write(toy, 2, &word, sizeof(word), 28), "ports");
	TEST_ASSERT_SUCCESS(vfio_pci_bar_read(toy, 2, &byte, 1, 28), "ports");
	TEST_ASSERT_EQUAL(byte, 4, "it reads %u", byte);
	TEST_ASSERT_EQUAL(vfio_pci_bar_read(toy, 2, &word, sizeof(word), 29), -EINVAL, "beyond");
	TEST_ASSERT_EQUAL(vfio_pci_bar_read(toy, 3, &byte, 1, 0), -EINVAL, "an absent BAR");
	return 0;
}

static int
check_config(void)
{
	uint16_t vendor;

	TEST_ASSERT_SUCCESS(vfio_pci_cfg_read(toy, &vendor, sizeof(vendor), PCI_VENDOR_ID), "read");
	TEST_ASSERT(vendor == 0x1af4 && toy->id.vendor_id == 0x1af4 && toy->id.device_id == 7 &&
			toy->id.subsystem_device_id == 0x1100 && toy->id.class_id == 0x020000,
		"ids");
	TEST_ASSERT_EQUAL(vfio_pci_find_capability(toy, PCI_CAP_ID_MSIX), BUS_CAP_AT, "capability");
	TEST_ASSERT_EQUAL(vfio_pci_find_capability(toy, PCI_CAP_ID_MSI), 0, "an absent one");
	/* Activity that an earlier user left running was stopped. */
	TEST_ASSERT_EQUAL(command_of(TOY), PCI_COMMAND_MEMORY | PCI_COMMAND_IO, "command 0x%x",
		command_of(TOY));
	TEST_ASSERT_SUCCESS(vfio_pci_bus_master(toy, true), "master");
	TEST_ASSERT((command_of(TOY) & PCI_COMMAND_MASTER) != 0, "it is off");
	test_log_begin();
	TEST_ASSERT_EQUAL(dmamap_container_detach(toy->dma), -EBUSY, "detached while it runs");
	test_log_end();
	TEST_ASSERT_EQUAL(vfio_mock_resets(machine, TOY), 1u, "resets");
	TEST_ASSERT_SUCCESS(vfio_pci_reset(toy), "reset");
	TEST_ASSERT_EQUAL(vfio_mock_resets(machine, TOY), 2u, "resets");
	/* Bus mastering stays on: the bus turns it off when the device is removed. */
	return 0;
}

static int
open_and_remove(void)
{
	struct state before;

	/* The first probe makes what the EAL keeps for good. */
	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	before = state_now();
	TEST_ASSERT_SUCCESS(vfio_mock_describe_device(machine, TOY, &toy_conf), "describe");
	config_fill(&devices[0]);

	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT_NOT_NULL(toy, "the driver was not asked");
	TEST_ASSERT(toy->container == box, "another container");
	TEST_ASSERT_SUCCESS(check_bars(), "BARs");
	TEST_ASSERT_SUCCESS(check_config(), "configuration space");
	test_log_begin();
	toy_remove_result = -EBUSY;
	TEST_ASSERT_EQUAL(unplug(TOY), -EBUSY, "the driver keeps it");
	test_log_end();
	toy_remove_result = 0;
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	TEST_ASSERT(on_bus(TOY) == NULL && toy == NULL, "it is still there");
	TEST_ASSERT((command_of(TOY) & PCI_COMMAND_MASTER) == 0, "it masters the bus still");
	TEST_ASSERT_EQUAL(vfio_mock_resets(machine, TOY), 3u, "resets");
	TEST_ASSERT(state_is(&before), "something is left");
	return TEST_SUCCESS;
}

static int
a_device_opens_and_closes(void)
{
	return open_and_remove();
}

static int
the_same_on_iommufd(void)
{
	bus_machine_drop();
	TEST_ASSERT_SUCCESS(
		bus_machine_make(VFIO_MOCK_LINUX(6, 12), DMAMAP_BACKEND_IOMMUFD, devices),
		"machine");
	return open_and_remove();
}

/** Whether an eventfd has been signalled. Clears it. */
static bool
signalled(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t n;

	return poll(&p, 1, 0) == 1 && read(fd, &n, sizeof(n)) == sizeof(n);
}

static int
check_msix(void)
{
	const uint32_t msix = VFIO_PCI_MSIX_IRQ_INDEX;

	TEST_ASSERT_EQUAL(vfio_pci_intr_vectors(toy, VFIO_PCI_INTR_MSIX), VECTORS, "vectors");
	TEST_ASSERT_EQUAL(vfio_pci_intr_enable(toy, VFIO_PCI_INTR_MSIX, VECTORS + 1), -ENOTSUP,
		"more than it has");
	TEST_ASSERT_SUCCESS(vfio_pci_intr_enable(toy, VFIO_PCI_INTR_MSIX, VECTORS), "enable");
	TEST_ASSERT_EQUAL(vfio_pci_intr_enable(toy, VFIO_PCI_INTR_MSI, 1), -EBUSY, "twice");
	TEST_ASSERT_SUCCESS(
		rte_intr_callback_register(toy->intr_handle, count_cb, &n_interrupts), "register");
	TEST_ASSERT_SUCCESS(vfio_mock_interrupt(machine, TOY, msix, 0), "vector 0");
	TEST_ASSERT(wait_for(&n_interrupts, 1), "%u interrupts arrived", n_interrupts);
	TEST_ASSERT_SUCCESS(vfio_mock_interrupt(machine, TOY, msix, 2), "vector 2");
	TEST_ASSERT(signalled(vfio_pci_intr_fd(toy, 2)), "vector 2 has no signal");
	TEST_ASSERT(!signalled(vfio_pci_intr_fd(toy, 1)), "vector 1 has one");
	TEST_ASSERT_SUCCESS(vfio_mock_interrupt(machine, TOY, msix, 0), "vector 0");
	TEST_ASSERT(wait_for(&n_interrupts, 2), "%u interrupts arrived", n_interrupts);
	TEST_ASSERT_EQUAL(
		rte_intr_callback_unregister_sync(toy->intr_handle, count_cb, &n_interrupts), 1,
		"unregister");
	vfio_pci_intr_disable(toy);
	TEST_ASSERT_EQUAL(vfio_pci_intr_fd(toy, 0), -1, "a descriptor is left");
	TEST_ASSERT_EQUAL(vfio_mock_interrupt(machine, TOY, msix, 0), -ENOENT, "it is on still");
	return 0;
}

static int
interrupts_arrive(void)
{
	struct state before;

	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	before = state_now();
	TEST_ASSERT_SUCCESS(check_msix(), "MSI-X");
	TEST_ASSERT_SUCCESS(vfio_pci_intr_enable(toy, VFIO_PCI_INTR_INTX, 1), "INTx");
	TEST_ASSERT_SUCCESS(
		rte_intr_callback_register(toy->intr_handle, count_cb, &n_interrupts), "register");
	TEST_ASSERT_SUCCESS(vfio_mock_interrupt(machine, TOY, VFIO_PCI_INTX_IRQ_INDEX, 0), "INTx");
	TEST_ASSERT(wait_for(&n_interrupts, 3), "%u interrupts arrived", n_interrupts);
	TEST_ASSERT_EQUAL(
		rte_intr_callback_unregister_sync(toy->intr_handle, count_cb, &n_interrupts), 1,
		"unregister");
	vfio_pci_intr_disable(toy);
	TEST_ASSERT(state_is(&before), "something is left");

	/* The bus disables interrupts that a driver left enabled. */
	TEST_ASSERT_SUCCESS(vfio_pci_intr_enable(toy, VFIO_PCI_INTR_MSIX, VECTORS), "MSI-X");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	TEST_ASSERT_EQUAL(vfio_mock_interrupt(machine, TOY, VFIO_PCI_MSIX_IRQ_INDEX, 0), -ENOENT,
		"it is on still");
	return TEST_SUCCESS;
}

static void
removal_cb(const char *name, enum rte_dev_event_type event, void *arg)
{
	RTE_SET_USED(arg);
	if (event == RTE_DEV_EVENT_REMOVE && strcmp(name, TOY) == 0)
		count_cb(&n_removals);
}

static int
a_request_to_release_reaches_the_application(void)
{
	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT_SUCCESS(rte_dev_event_callback_register(TOY, removal_cb, NULL), "register");
	test_log_begin();
	TEST_ASSERT_SUCCESS(
		vfio_mock_interrupt(machine, TOY, VFIO_PCI_REQ_IRQ_INDEX, 0), "request");
	TEST_ASSERT(wait_for(&n_removals, 1), "%u requests arrived", n_removals);
	TEST_ASSERT(test_logged(TOY ": the kernel requests that the device be released"), "line");
	TEST_ASSERT_EQUAL(
		rte_dev_event_callback_unregister(TOY, removal_cb, NULL), 1, "unregister");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	TEST_ASSERT_EQUAL(vfio_mock_interrupt(machine, TOY, VFIO_PCI_REQ_IRQ_INDEX, 0), -ENOENT,
		"somebody listens still");
	return TEST_SUCCESS;
}

/* Each call into the kernel fails */

/**
 * Probe a device repeatedly, and let the nth call of these kinds fail, until no nth call is left.
 * @return the number of failure points, or -1.
 */
static int
fail_each_call_of_a_probe(const char *name, const char *args, uint32_t kinds)
{
	struct vfio_pci_device *dev;
	struct state before;
	uint64_t n;
	int rc, failed;

	for (n = 1;; n++) {
		before = state_now();
		vfio_mock_fail(machine, kinds, n, EIO);
		rc = plug(name, args);
		failed = vfio_mock_failed(machine);
		vfio_mock_fail(machine, 0, 0, 0);
		dev = on_bus(name);
		if (rc != 0 && failed < 0) {
			printf("  %s: without a failure: %d\n", name, rc);
			return -1;
		}
		/* Some regions may lack a description; the device works without them. */
		if (rc == 0 && unplug(name) != 0)
			return -1;
		if (rc != 0 && dev != NULL)
			vfio_pci_device_remove(dev);
		if (!state_is(&before)) {
			printf("  %s: call %u (%s) failed, result %d\n", name, (unsigned int)n,
				vfio_mock_call_name(failed), rc);
			return -1;
		}
		if (failed < 0)
			return n - 1;
	}
}

static int
each_call_of_a_probe_may_fail(void)
{
	int n;

	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	n = fail_each_call_of_a_probe(TOY, ",eal_memory=0", UINT32_C(1) << VFIO_MOCK_DEVICE);
	/* Information, nine regions, three BARs again, reset, requests. */
	TEST_ASSERT(n > 12, "%d calls on the device failed", n);
	n = fail_each_call_of_a_probe(TOY, ",eal_memory=0", VFIO_MOCK_ANY);
	TEST_ASSERT(n > 30, "%d calls failed", n);
	printf("  %d calls failed in turn\n", n);
	return TEST_SUCCESS;
}

static int
each_call_of_interrupts_may_fail(void)
{
	struct state before;
	uint64_t n;
	int rc;

	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	for (n = 1;; n++) {
		before = state_now();
		vfio_mock_fail(machine, UINT32_C(1) << VFIO_MOCK_DEVICE, n, EIO);
		test_log_begin();
		rc = vfio_pci_intr_enable(toy, VFIO_PCI_INTR_MSIX, VECTORS);
		test_log_end();
		vfio_mock_fail(machine, 0, 0, 0);
		if (rc == 0)
			break;
		TEST_ASSERT_EQUAL(rc, -EIO, "call %u: %d", (unsigned int)n, rc);
		TEST_ASSERT(state_is(&before), "call %u leaves something", (unsigned int)n);
	}
	/* The device's interrupts, and their routing. */
	TEST_ASSERT_EQUAL(n, 3u, "%u calls", (unsigned int)n);
	vfio_pci_intr_disable(toy);
	TEST_ASSERT(state_is(&before), "something is left");
	test_log_begin();
	vfio_mock_fail(machine, UINT32_C(1) << VFIO_MOCK_DEVICE, 1, ENOSPC);
	TEST_ASSERT_EQUAL(vfio_pci_reset(toy), -ENOSPC, "reset");
	TEST_ASSERT(test_logged(TOY ": cannot be reset"), "line");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	return TEST_SUCCESS;
}

static int
a_removal_succeeds_even_if_kernel_calls_fail(void)
{
	struct state before;
	uint64_t n, points = 0;

	TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
	TEST_ASSERT_SUCCESS(unplug(TOY), "remove");
	for (n = 1; n <= points + 1; n++) {
		before = state_now();
		TEST_ASSERT_SUCCESS(plug(TOY, ",eal_memory=0"), "probe");
		TEST_ASSERT_SUCCESS(vfio_pci_intr_enable(toy, VFIO_PCI_INTR_MSIX, 1), "enable");
		TEST_ASSERT_SUCCESS(vfio_pci_bus_master(toy, true), "master");
		vfio_mock_fail(machine, UINT32_C(1) << VFIO_MOCK_DEVICE, n, EIO);
		test_log_begin();
		TEST_ASSERT_SUCCESS(unplug(TOY), "call %u", (unsigned int)n);
		test_log_end();
		points += vfio_mock_failed(machine) >= 0;
		vfio_mock_fail(machine, 0, 0, 0);
		TEST_ASSERT(state_is(&before), "call %u leaves something", (unsigned int)n);
	}
	/* Requests, interrupts, reset. */
	TEST_ASSERT_EQUAL(points, 3u, "%u calls", (unsigned int)points);
	return TEST_SUCCESS;
}

/* The drivers */

static int
an_edu_device_that_does_not_answer_is_refused(void)
{
	struct state before = state_now();

	/*
	 * Its ID register is right, but its liveness register does not invert what is written to
	 * it.
	 */
	*(uint32_t *)vfio_mock_region(machine, EDU, 0) = 0x010000ed;
	TEST_ASSERT_EQUAL(plug(EDU, ",eal_memory=0"), -ENODEV, "it is driven");
	vfio_pci_device_remove(on_bus(EDU));
	TEST_ASSERT(state_is(&before), "something is left");
	return TEST_SUCCESS;
}

static int
link_cb(uint16_t port, enum rte_eth_event_type event, void *arg, void *ret)
{
	RTE_SET_USED(port);
	RTE_SET_USED(ret);
	if (event == RTE_ETH_EVENT_INTR_LSC)
		count_cb(arg);
	return 0;
}

static int
check_link(uint16_t port)
{
	struct rte_eth_link link;

	TEST_ASSERT_SUCCESS(rte_eth_dev_callback_register(
				    port, RTE_ETH_EVENT_INTR_LSC, link_cb, &n_link_changes),
		"register");
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_DOWN, "it is up");
	chip_cable(true);
	*nic_reg(E1000E_ICR) = E1000E_INTR_LSC | E1000E_INTR_OTHER;
	TEST_ASSERT_SUCCESS(vfio_mock_interrupt(machine, NIC, VFIO_PCI_MSIX_IRQ_INDEX, 0), "raise");
	TEST_ASSERT(wait_for(&n_link_changes, 1), "no event of the link");
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_UP, "it is down");
	rte_eth_dev_callback_unregister(port, RTE_ETH_EVENT_INTR_LSC, link_cb, &n_link_changes);
	return 0;
}

static uint64_t
ring_base(unsigned int low, unsigned int high)
{
	return *nic_reg(low) | (uint64_t)*nic_reg(high) << 32;
}

/**
 * The NIC receives a frame: it writes the buffer of its first descriptor, then writes that
 * descriptor back.
 */
static int
check_receive(uint16_t port)
{
	const uint64_t ring = ring_base(E1000E_RDBAL(0), E1000E_RDBAH(0));
	union e1000e_rx_desc desc,
		done = {.wb = {.status = rte_cpu_to_le_32(E1000E_RXD_DD | E1000E_RXD_EOP),
				.len = rte_cpu_to_le_16(60)}};
	struct rte_mbuf *got = NULL;
	char frame[60];

	memset(frame, 0x3c, sizeof(frame));
	TEST_ASSERT_SUCCESS(
		vfio_mock_dma_read(machine, NIC, ring, &desc, sizeof(desc)), "descriptor");
	TEST_ASSERT_SUCCESS(vfio_mock_dma_write(machine, NIC, rte_le_to_cpu_64(desc.read.addr),
				    frame, sizeof(frame)),
		"buffer");
	TEST_ASSERT_EQUAL(rte_eth_rx_burst(port, 0, &got, 1), 0, "a frame before there is one");
	TEST_ASSERT_SUCCESS(
		vfio_mock_dma_write(machine, NIC, ring, &done, sizeof(done)), "write back");
	TEST_ASSERT_EQUAL(rte_eth_rx_burst(port, 0, &got, 1), 1, "no frame");
	TEST_ASSERT_EQUAL(rte_pktmbuf_pkt_len(got), sizeof(frame), "length");
	TEST_ASSERT_EQUAL(memcmp(rte_pktmbuf_mtod(got, char *), frame, sizeof(frame)), 0, "bytes");
	rte_pktmbuf_free(got);
	return 0;
}

/** The NIC sends a frame: its first descriptor refers to the mbuf that was sent. */
static int
check_transmit(uint16_t port, struct rte_mempool *pool)
{
	const uint64_t ring = ring_base(E1000E_TDBAL(0), E1000E_TDBAH(0));
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	union e1000e_tx_desc desc;
	char frame[60] = "";

	TEST_ASSERT_NOT_NULL(m, "mbuf");
	memset(rte_pktmbuf_append(m, sizeof(frame)), 0xc3, sizeof(frame));
	TEST_ASSERT_EQUAL(rte_eth_tx_burst(port, 0, &m, 1), 1, "send");
	TEST_ASSERT_EQUAL(*nic_reg(E1000E_TDT(0)), 1u, "the tail is %u", *nic_reg(E1000E_TDT(0)));
	TEST_ASSERT_SUCCESS(
		vfio_mock_dma_read(machine, NIC, ring, &desc, sizeof(desc)), "descriptor");
	TEST_ASSERT_EQUAL(rte_le_to_cpu_32(desc.data.cmd) & 0xFFFFF, sizeof(frame), "length");
	TEST_ASSERT_SUCCESS(vfio_mock_dma_read(machine, NIC, rte_le_to_cpu_64(desc.data.addr),
				    frame, sizeof(frame)),
		"buffer");
	TEST_ASSERT(frame[0] == (char)0xc3 && frame[sizeof(frame) - 1] == (char)0xc3, "bytes");
	return 0;
}

static int
run_port(struct rte_mempool *pool)
{
	const struct rte_eth_conf conf = {.intr_conf.lsc = 1};
	uint16_t port;

	TEST_ASSERT_SUCCESS(rte_eth_dev_get_port_by_name(NIC, &port), "no port");
	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(port, 1, 1, &conf), "configure");
	TEST_ASSERT_SUCCESS(rte_eth_rx_queue_setup(port, 0, 64, 0, NULL, pool), "Rx queue");
	TEST_ASSERT_SUCCESS(rte_eth_tx_queue_setup(port, 0, 256, 0, NULL), "Tx queue");
	chip_cable(false);
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(port), "start");
	TEST_ASSERT((command_of(NIC) & PCI_COMMAND_MASTER) != 0, "it does not master the bus");
	TEST_ASSERT_SUCCESS(check_link(port), "link");
	TEST_ASSERT_SUCCESS(check_receive(port), "receive");
	TEST_ASSERT_SUCCESS(check_transmit(port, pool), "transmit");
	TEST_ASSERT_EQUAL(vfio_mock_faults(machine, NULL, 0), 0u, "faults");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(port), "stop");
	return 0;
}

static int
the_nic_driver_runs_on_a_model_of_the_chip(void)
{
	const struct dmamap_zone_conf conf = {.len = KB4};
	struct dmamap_zone *zone;
	struct rte_mempool *pool;
	struct state before;
	int rc;

	test_log_begin();
	rc = dmamap_zone_alloc(box, &conf, &zone);
	test_log_end();
	if (rc < 0)
		return test_skip("no free hugepage, where its rings lie");
	TEST_ASSERT_SUCCESS(dmamap_zone_free(zone), "zone");
	pool = rte_pktmbuf_pool_create("bus_mock", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	TEST_ASSERT_NOT_NULL(pool, "pool: %s", rte_strerror(rte_errno));
	TEST_ASSERT_SUCCESS(plug(NIC, ""), "probe");
	TEST_ASSERT_SUCCESS(unplug(NIC), "remove");
	before = state_now();
	TEST_ASSERT_SUCCESS(plug(NIC, ""), "probe");
	rc = run_port(pool);
	TEST_ASSERT_SUCCESS(unplug(NIC), "remove");
	TEST_ASSERT_SUCCESS(rc, "port");
	TEST_ASSERT(state_is(&before), "something is left");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(pool), 255u, "mbufs are lost");
	rte_mempool_free(pool);
	return TEST_SUCCESS;
}

static int
each_call_of_the_nics_probe_may_fail(void)
{
	int n;

	TEST_ASSERT_SUCCESS(plug(NIC, ""), "probe");
	TEST_ASSERT_SUCCESS(unplug(NIC), "remove");
	n = fail_each_call_of_a_probe(NIC, "", VFIO_MOCK_ANY);
	TEST_ASSERT(n > 30, "%d calls failed", n);
	printf("  %d calls failed in turn\n", n);
	return TEST_SUCCESS;
}

static const struct test_case cases[] = {
	{"a device opens and closes", a_device_opens_and_closes},
	{"the same on iommufd", the_same_on_iommufd},
	{"interrupts arrive", interrupts_arrive},
	{"a request to release reaches the application",
		a_request_to_release_reaches_the_application},
	{"each call of a probe may fail", each_call_of_a_probe_may_fail},
	{"each call of interrupts may fail", each_call_of_interrupts_may_fail},
	{"a removal succeeds even if kernel calls fail",
		a_removal_succeeds_even_if_kernel_calls_fail},
	{"an edu device that does not answer is refused",
		an_edu_device_that_does_not_answer_is_refused},
	{"the NIC driver runs on a model of the chip", the_nic_driver_runs_on_a_model_of_the_chip},
	{"each call of the NIC's probe may fail", each_call_of_the_nics_probe_may_fail},
};

REGISTER_TEST_SUITE(bus_mock) = {
	.name = "bus_mock",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true,
};
