/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The NIC on the mock kernel, and its port. Calls of ethdev that a suite makes in each case.
 */

#include <errno.h>
#include <string.h>

#include <linux/pci_regs.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <vfio_mock.h>

#include "e1000e_chip.h"
#include "e1000e_nic.h"
#include "e1000e_regs.h"
#include "test.h"
#include "vfio_pci_private.h"

#define KB4 ((size_t)4096)
#define CAP_AT 0x40

struct vfio_mock *nic_machine;
static struct dmamap_container *box;
static struct vfio_pci_sysfs real_sysfs;
struct rte_mempool *nic_pool;
uint16_t nic_port;
struct rte_eth_conf nic_conf;
uint16_t nic_n_queues;

static const struct vfio_mock_device_conf nic_regions = {
	.region =
		{
			[0] = {.size = 32 * KB4, .mappable = true},
			[3] = {.size = 4 * KB4, .mappable = true},
			[VFIO_PCI_CONFIG_REGION_INDEX] = {.size = KB4},
		},
	.irqs = {[VFIO_PCI_MSIX_IRQ_INDEX] = E1000E_MSIX_VECTORS, [VFIO_PCI_REQ_IRQ_INDEX] = 1},
	.msix_bar = 3,
};

uint8_t *
nic_config_space(void)
{
	return vfio_mock_region(nic_machine, NIC, VFIO_PCI_CONFIG_REGION_INDEX);
}

struct dmamap_container *
nic_container(void)
{
	return box;
}

volatile uint32_t *
nic_regs(void)
{
	return (volatile uint32_t *)vfio_mock_region(nic_machine, NIC, 0);
}

uint32_t
nic_reg(uint32_t at)
{
	return nic_regs()[at / 4];
}

static void
put16(unsigned int at, uint16_t value)
{
	value = rte_cpu_to_le_16(value);
	memcpy(nic_config_space() + at, &value, sizeof(value));
}

static int
make_machine(void)
{
	/* 48 bits, since the EAL's memory is mapped at IOVA = VA. */
	const struct vfio_mock_iommu_conf iommu = {.aperture = {0, (UINT64_C(1) << 48) - 1}};
	const struct vfio_mock_conf mock = {.linux_version = 0};
	struct dmamap_container_conf cconf = {
		.name = NIC_CONTAINER, .backend = DMAMAP_BACKEND_TYPE1};
	struct vfio_mock_group_conf group = {0};

	TEST_ASSERT_SUCCESS(vfio_mock_create(&mock, &nic_machine), "machine");
	group.iommu = vfio_mock_add_iommu(nic_machine, &iommu);
	TEST_ASSERT_SUCCESS(vfio_mock_add_device(nic_machine,
				    vfio_mock_add_group(nic_machine, &group), NIC, 0, "vfio-pci"),
		"device");
	TEST_ASSERT_SUCCESS(vfio_mock_describe_device(nic_machine, NIC, &nic_regions), "device");
	put16(PCI_VENDOR_ID, 0x8086);
	put16(PCI_DEVICE_ID, 0x10d3);
	put16(PCI_CLASS_DEVICE, 0x0200);
	put16(PCI_STATUS, PCI_STATUS_CAP_LIST);
	nic_config_space()[PCI_CAPABILITY_LIST] = CAP_AT;
	nic_config_space()[CAP_AT] = PCI_CAP_ID_MSIX;
	put16(CAP_AT + PCI_MSIX_FLAGS, E1000E_MSIX_VECTORS - 1);
	put16(CAP_AT + PCI_MSIX_TABLE, 3);
	cconf.kernel = vfio_mock_kernel(nic_machine);
	vfio_pci_sysfs = (struct vfio_pci_sysfs){.sysfs = cconf.kernel->sysfs,
		.arg = cconf.kernel->arg,
		.read_file = cconf.kernel->read_file};
	return dmamap_container_create(&cconf, &box);
}

static bool
has_hugepage(void)
{
	const struct dmamap_zone_conf zconf = {.len = KB4};
	struct dmamap_zone *zone;
	int rc;

	test_log_begin();
	rc = dmamap_zone_alloc(box, &zconf, &zone);
	test_log_end();
	return rc == 0 && dmamap_zone_free(zone) == 0;
}

int
nic_setup(void)
{
	real_sysfs = vfio_pci_sysfs;
	memset(&nic_conf, 0, sizeof(nic_conf));
	nic_n_queues = 1;
	if (make_machine() != 0)
		return TEST_FAILED;
	chip_power_on(NIC, nic_regs());
	chip_memory(box);
	if (!has_hugepage())
		return test_skip("no free hugepage, where the rings lie");
	nic_pool = rte_pktmbuf_pool_create("chip", NIC_MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	TEST_ASSERT_NOT_NULL(nic_pool, "pool: %s", rte_strerror(rte_errno));
	return 0;
}

struct vfio_pci_device *
nic_on_bus(void)
{
	struct rte_pci_addr addr;

	return rte_pci_addr_parse(NIC, &addr) == 0 ? vfio_pci_list_find(&addr) : NULL;
}

void
nic_teardown(void)
{
	struct vfio_pci_device *dev = nic_on_bus();

	test_log_begin();
	chip_mute_phy(false);
	chip_hold_mdio(false);
	chip_unplug(false);
	chip_stall(false);
	if (rte_eth_dev_get_port_by_name(NIC, &nic_port) == 0)
		rte_eth_dev_stop(nic_port);
	if (dev != NULL && dev->driver != NULL)
		rte_dev_remove(&dev->device);
	else if (dev != NULL)
		vfio_pci_device_remove(dev);
	test_log_end();
	chip_power_off();
	rte_mempool_free(nic_pool);
	nic_pool = NULL;
	dmamap_container_destroy(box);
	vfio_mock_destroy(nic_machine);
	vfio_pci_sysfs = real_sysfs;
}

int
nic_probe(void)
{
	int rc;

	test_log_begin();
	rc = rte_dev_probe("vfio_pci:" NIC ",container=" NIC_CONTAINER);
	test_log_end();
	if (rc == 0)
		rc = rte_eth_dev_get_port_by_name(NIC, &nic_port);
	return rc;
}

int
nic_configure(void)
{
	uint16_t q;

	TEST_ASSERT_SUCCESS(rte_eth_dev_configure(nic_port, nic_n_queues, nic_n_queues, &nic_conf),
		"configure");
	for (q = 0; q < nic_n_queues; q++) {
		TEST_ASSERT_SUCCESS(
			rte_eth_rx_queue_setup(nic_port, q, NIC_DESC, 0, NULL, nic_pool), "Rx");
		TEST_ASSERT_SUCCESS(rte_eth_tx_queue_setup(nic_port, q, 256, 0, NULL), "Tx");
	}
	return 0;
}

int
nic_start(void)
{
	if (nic_configure() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	return 0;
}

int
nic_probe_and_start(void)
{
	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	return nic_start();
}

int
nic_start_two(void)
{
	nic_conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	nic_conf.rx_adv_conf.rss_conf.rss_hf = RTE_ETH_RSS_IPV4;
	nic_n_queues = 2;
	return nic_probe_and_start();
}

int
nic_no_fault(void)
{
	const char *rule = chip_fault();

	TEST_ASSERT_NULL(rule, "%s", rule);
	return TEST_SUCCESS;
}
