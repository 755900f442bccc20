/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of what the 82574L driver says of faults: a driver that is broken on purpose gives its chip
 * a wrong address, the mock kernel blocks it, and the line names queue and descriptor.
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <bus_vfio_pci_driver.h>
#include <dmamap.h>
#include <vfio_mock.h>

#include "e1000e_nic.h"
#include "e1000e_regs.h"
#include "test.h"

#define KB4 ((size_t)4096)
/* Where nothing is mapped. */
#define NOWHERE UINT64_C(0x6000000000)

static int log_pipe[2];
static struct dmamap_fault_listener *listener;
static unsigned int n_told; /* atomic */

static void
told(struct dmamap_fault *fault, void *arg)
{
	RTE_SET_USED(fault);
	RTE_SET_USED(arg);
	__atomic_add_fetch(&n_told, 1, __ATOMIC_RELEASE);
}

/* Listens before the bus does, so the records are those of the mock. */
static int
setup(void)
{
	struct dmamap_fault_conf conf = {.fault = told};
	int rc = nic_setup();

	n_told = 0;
	if (rc != 0)
		return rc;
	if (pipe2(log_pipe, O_DIRECT | O_NONBLOCK | O_CLOEXEC) < 0)
		return -1;
	conf.log_fd = log_pipe[0];
	vfio_mock_log_faults(nic_machine, log_pipe[1]);
	return dmamap_fault_listen(&conf, &listener);
}

static void
teardown(void)
{
	vfio_mock_log_faults(nic_machine, -1);
	nic_teardown();
	dmamap_fault_unlisten(listener);
	listener = NULL;
	close(log_pipe[0]);
	close(log_pipe[1]);
}

/* The chip's access. @return what the line says in the end; "": it was not blocked, or no line */
static const char *
blocked(uint64_t iova, bool write)
{
	static struct dmamap_fault fault;
	struct dmamap_fault_counts before, after;
	unsigned int i;
	char byte = 0;
	int rc;

	dmamap_fault_counts(&before);
	rc = write ? vfio_mock_dma_write(nic_machine, NIC, iova, &byte, 1)
		   : vfio_mock_dma_read(nic_machine, NIC, iova, &byte, 1);
	if (rc != -EFAULT)
		return "";
	/* A second fault of a device waits for its second to be over. */
	for (i = 0; i < 2000; i++) {
		dmamap_fault_counts(&after);
		if (after.lines > before.lines && dmamap_faults(&fault, 1) == 1)
			break;
		usleep(5000);
	}
	printf("  %s\n", fault.text);
	return i < 2000 ? fault.text : "";
}

/* A ring of the chip. */
static void *
ring_at(uint32_t low, uint32_t high)
{
	return dmamap_iova2va(nic_container(), nic_reg(low) | (uint64_t)nic_reg(high) << 32);
}

static int
a_receive_descriptor_is_named(void)
{
	volatile union e1000e_rx_desc *ring;
	const char *text;

	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	ring = ring_at(E1000E_RDBAL(0), E1000E_RDBAH(0));
	TEST_ASSERT_NOT_NULL((const void *)(uintptr_t)ring, "no ring");
	ring[7].read.addr = rte_cpu_to_le_64(NOWHERE + 128);
	text = blocked(NOWHERE + 200, true);
	TEST_ASSERT_NOT_NULL(strstr(text, "nothing is or was mapped there"), "%s", text);
	TEST_ASSERT_NOT_NULL(strstr(text, "; rx queue 0, descriptor 7: "), "%s", text);
	TEST_ASSERT_NOT_NULL(strstr(text, " bytes at 0x6000000080"), "%s", text);
	/* Another page: no descriptor has it. */
	text = blocked(NOWHERE + 16 * KB4, true);
	TEST_ASSERT_NOT_NULL(strstr(text, "; no descriptor has this address"), "%s", text);
	return nic_no_fault();
}

static int
memory_that_was_unmapped_too_early_is_named(void)
{
	const struct dmamap_zone_conf conf = {.len = KB4, .page_size = KB4, .name = "frames"};
	volatile union e1000e_tx_desc *ring;
	struct dmamap_zone *zone;
	const char *text;
	uint64_t iova;

	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(dmamap_zone_alloc(nic_container(), &conf, &zone), "zone");
	iova = dmamap_zone_iova(zone);
	ring = ring_at(E1000E_TDBAL(0), E1000E_TDBAH(0));
	ring[3].data.addr = rte_cpu_to_le_64(iova + 64);
	ring[3].data.cmd =
		rte_cpu_to_le_32(E1000E_TXD_DEXT | E1000E_TXD_DTYP_DATA | E1000E_TXD_EOP | 60);
	TEST_ASSERT_SUCCESS(dmamap_zone_free(zone), "free");
	text = blocked(iova + 64, false);
	TEST_ASSERT_NOT_NULL(strstr(text, "it was zone frames ["), "%s", text);
	TEST_ASSERT_NOT_NULL(strstr(text, " ms ago by thread "), "%s", text);
	TEST_ASSERT_NOT_NULL(
		strstr(text, "; tx queue 0, descriptor 3: 60 bytes at 0x"), "%s", text);
	return nic_no_fault();
}

static int
a_wrong_ring_is_named(void)
{
	const char *text;
	uint32_t low, high;

	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	low = nic_reg(E1000E_RDBAL(0));
	high = nic_reg(E1000E_RDBAH(0));
	nic_regs()[E1000E_RDBAL(0) / 4] = (uint32_t)NOWHERE;
	nic_regs()[E1000E_RDBAH(0) / 4] = NOWHERE >> 32;
	text = blocked(NOWHERE + 16, false);
	nic_regs()[E1000E_RDBAL(0) / 4] = low;
	nic_regs()[E1000E_RDBAH(0) / 4] = high;
	TEST_ASSERT_NOT_NULL(
		strstr(text,
			"; rx queue 0: the chip has its ring at 0x6000000000, which is "
			"not the driver's"),
		"%s", text);
	return nic_no_fault();
}

static int
a_port_without_queues_says_so(void)
{
	const char *text;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	text = blocked(NOWHERE, true);
	TEST_ASSERT_NOT_NULL(strstr(text, "; the port has no queues"), "%s", text);
	return nic_no_fault();
}

static const struct test_case cases[] = {
	{"a receive descriptor is named", a_receive_descriptor_is_named},
	{"memory that was unmapped too early is named",
		memory_that_was_unmapped_too_early_is_named},
	{"a wrong ring is named", a_wrong_ring_is_named},
	{"a port without queues says so", a_port_without_queues_says_so},
};

REGISTER_TEST_SUITE(net_e1000e_fault) = {.name = "net_e1000e_fault",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = setup,
	.teardown = teardown,
	.needs_eal = true};
