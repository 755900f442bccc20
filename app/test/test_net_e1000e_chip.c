/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Tests of what the 82574L driver tells the chip: reset, errata, PHY, flow control, LED, dumps. The
 * NIC is on the mock kernel, with lib/e1000e_chip.c behind its registers, and is used through
 * ethdev. After each case the model must have seen no broken rule.
 */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>

#include <rte_alarm.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <vfio_mock.h>

#include "bus_machine.h"
#include "e1000e_chip.h"
#include "e1000e_nic.h"
#include "e1000e_regs.h"
#include "test.h"
#include "vfio_pci_private.h"

/* A step of a sequence: a write of these bits. */
struct step {
	const char *what;
	uint32_t at, mask, bits;
};

/* Whether the record has all steps, in this order. */
static int
in_order(const struct step *steps, unsigned int n)
{
	unsigned int i;
	int at = -1, next;

	for (i = 0; i < n; i++) {
		next = chip_find(at + 1, steps[i].at, steps[i].mask, steps[i].bits);
		TEST_ASSERT(next >= 0, "step %u is missing or too early: %s", i, steps[i].what);
		at = next;
	}
	return 0;
}

/* Reset and errata */

static int
a_reset_goes_by_its_steps(void)
{
	static const struct step steps[] = {
		{"interrupts off", E1000E_IMC, UINT32_MAX, UINT32_MAX},
		{"reception off", E1000E_RCTL, UINT32_MAX, 0},
		{"transmission off", E1000E_TCTL, E1000E_TCTL_EN, 0},
		{"PCIe requests end", E1000E_CTRL, E1000E_CTRL_GIO_MASTER_DISABLE,
			E1000E_CTRL_GIO_MASTER_DISABLE},
		{"the MDIO is owned", E1000E_EXTCNF_CTRL, E1000E_EXTCNF_CTRL_MDIO_SW,
			E1000E_EXTCNF_CTRL_MDIO_SW},
		{"reset", E1000E_CTRL, E1000E_CTRL_RST, E1000E_CTRL_RST},
		{"the MDIO is released", E1000E_EXTCNF_CTRL, E1000E_EXTCNF_CTRL_MDIO_SW, 0},
		{"interrupts off again", E1000E_IMC, UINT32_MAX, UINT32_MAX},
		{"no wake-up", E1000E_WUC, UINT32_MAX, 0},
		{"transmit queue 0", E1000E_TXDCTL(0), E1000E_TXDCTL_ONE, E1000E_TXDCTL_ONE},
		{"transmit queue 1", E1000E_TXDCTL(1), E1000E_TXDCTL_ONE, E1000E_TXDCTL_ONE},
		{"arbiter", E1000E_TARC(0), RTE_BIT32(26) | E1000E_FIELD(0xF, 27), RTE_BIT32(26)},
		{"CTRL", E1000E_CTRL, RTE_BIT32(29), 0},
		{"CTRL_EXT", E1000E_CTRL_EXT, RTE_BIT32(23) | RTE_BIT32(22), RTE_BIT32(22)},
		{"GCR", E1000E_GCR, RTE_BIT32(22) | RTE_BIT32(27), RTE_BIT32(22) | RTE_BIT32(27)},
		{"GCR2", E1000E_GCR2, 1, 1},
		{"packet buffer", E1000E_PBA, UINT32_MAX, 20},
	};

	chip_record();
	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	TEST_ASSERT_EQUAL(chip_count(E1000E_CTRL, E1000E_CTRL_RST, E1000E_CTRL_RST), 1u, "resets");
	if (in_order(steps, RTE_DIM(steps)) != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(nic_reg(E1000E_EXTCNF_CTRL) & E1000E_EXTCNF_CTRL_MDIO_SW, 0u,
		"the firmware cannot use the MDIO");
	return nic_no_fault();
}

/* A dead NVM leaves the chip without addresses and settings. */
static int
a_chip_that_does_not_read_its_nvm_is_refused(void)
{
	chip_break_nvm(true);
	test_log_begin();
	TEST_ASSERT(rte_dev_probe("vfio_pci:" NIC ",container=" NIC_CONTAINER) != 0, "accepted");
	TEST_ASSERT(strstr(test_log_end(), "did not read its NVM") != NULL, "no line");
	chip_break_nvm(false);
	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	return nic_no_fault();
}

static int
the_errata_bits_hold_in_a_running_port(void)
{
	const uint32_t arbiter = RTE_BIT32(26) | RTE_BIT32(10) | 3;

	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(nic_reg(E1000E_CTRL) & RTE_BIT32(29), 0u, "CTRL");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_CTRL_EXT) & 0xC00000, 0x400000u, "CTRL_EXT");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_GCR), 0x08400000u, "GCR 0x%x", nic_reg(E1000E_GCR));
	TEST_ASSERT_EQUAL(nic_reg(E1000E_GCR2), 1u, "GCR2");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_WUC), 0u, "WUC");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_TARC(0)), arbiter, "TARC0 0x%x", nic_reg(E1000E_TARC(0)));
	TEST_ASSERT((nic_reg(E1000E_TXDCTL(0)) & nic_reg(E1000E_TXDCTL(1)) & RTE_BIT32(22)) != 0,
		"TXDCTL");
	rte_eth_dev_stop(nic_port);
	nic_n_queues = 2;
	if (nic_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(nic_reg(E1000E_TARC(0)), arbiter | 0x03800080, "TARC0 0x%x",
		nic_reg(E1000E_TARC(0)));
	TEST_ASSERT_EQUAL(nic_reg(E1000E_TARC(1)), arbiter | 0x03800080, "TARC1 0x%x",
		nic_reg(E1000E_TARC(1)));
	return nic_no_fault();
}

/* PHY */

/* The chip comes from a kernel driver that has powered its PHY down. */
static int
a_start_sets_the_phy_up_before_it_receives(void)
{
	static const struct step steps[] = {
		{"reset", E1000E_CTRL, E1000E_CTRL_RST, E1000E_CTRL_RST},
		{"errata", E1000E_GCR2, 1, 1},
		{"link up", E1000E_CTRL,
			E1000E_CTRL_SLU | E1000E_CTRL_FRCSPD | E1000E_CTRL_FRCDPX |
				E1000E_CTRL_ASDE,
			E1000E_CTRL_SLU},
		{"power", CHIP_PHY(E1000E_PHY_BMCR), E1000E_BMCR_PDOWN, 0},
		{"page 0", CHIP_PHY(E1000E_PHY_PAGE), UINT32_MAX, 0},
		{"no downshift", CHIP_PHY(E1000E_PHY_COPPER_CTRL), 0x0862, 0x0060},
		{"PHY reset", CHIP_PHY(E1000E_PHY_BMCR), E1000E_BMCR_RESET, E1000E_BMCR_RESET},
		{"downshift", CHIP_PHY(E1000E_PHY_COPPER_CTRL), 0x0862, 0x0860},
		{"bias 1", CHIP_PHY(E1000E_PHY_BIAS1), UINT32_MAX, 3},
		{"bias 2", CHIP_PHY(E1000E_PHY_BIAS2), UINT32_MAX, 0},
		{"PHY reset", CHIP_PHY(E1000E_PHY_BMCR), E1000E_BMCR_RESET, E1000E_BMCR_RESET},
		{"advertisement", CHIP_PHY(E1000E_PHY_ANAR), 0x0DE0, 0x0DE0},
		{"advertisement of 1000", CHIP_PHY(E1000E_PHY_CTRL1000), 0x0300, 0x0200},
		{"negotiation", CHIP_PHY(E1000E_PHY_BMCR), 0x1A00, 0x1200},
		{"pause type", E1000E_FCT, UINT32_MAX, 0x8808},
		{"transmission", E1000E_TCTL, E1000E_TCTL_EN, E1000E_TCTL_EN},
		{"reception", E1000E_RCTL, E1000E_RCTL_EN, E1000E_RCTL_EN},
	};
	struct rte_eth_link link;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_DOWN, "a link without power");
	if (nic_configure() != 0)
		return TEST_FAILED;
	chip_record();
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	if (in_order(steps, RTE_DIM(steps)) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
	TEST_ASSERT(link.link_status == RTE_ETH_LINK_UP && link.link_speed == 1000 &&
			link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX &&
			link.link_autoneg == RTE_ETH_LINK_AUTONEG,
		"status %u, speed %u", link.link_status, link.link_speed);
	return nic_no_fault();
}

static int
a_stop_powers_the_phy_down_and_a_restart_only_up(void)
{
	struct rte_eth_link link;

	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT((*chip_phy(E1000E_PHY_BMCR) & E1000E_BMCR_PDOWN) != 0, "the peer sees a link");
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_DOWN, "it is up");
	chip_record();
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	TEST_ASSERT_EQUAL(
		*chip_phy(E1000E_PHY_BMCR), 0x1140, "BMCR 0x%x", *chip_phy(E1000E_PHY_BMCR));
	/* It keeps its settings, and negotiates by itself when it gets power. */
	TEST_ASSERT_EQUAL(chip_count(CHIP_PHY(E1000E_PHY_BMCR), 0, 0), 1u, "writes");
	TEST_ASSERT_EQUAL(chip_count(CHIP_PHY(E1000E_PHY_ANAR), 0, 0), 0u, "writes");
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_UP, "it is down");
	return nic_no_fault();
}

static int
firmware_that_uses_the_link_keeps_it(void)
{
	*chip_nvm(E1000E_NVM_INIT2) |= 0x2000;
	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_set_link_down(nic_port), -EBUSY, "it lost its link");
	TEST_ASSERT(test_logged("the chip's firmware uses the PHY"), "line");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_EQUAL(*chip_phy(E1000E_PHY_BMCR) & E1000E_BMCR_PDOWN, 0, "it lost its link");
	return nic_no_fault();
}

/* MANC says that the firmware has set the PHY up. */
static int
firmware_that_reserves_the_phy_keeps_its_settings(void)
{
	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	nic_regs()[E1000E_MANC / 4] = E1000E_MANC_BLOCK_PHY_RESET;
	if (nic_configure() != 0)
		return TEST_FAILED;
	chip_record();
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	TEST_ASSERT_EQUAL(
		chip_count(CHIP_PHY(E1000E_PHY_BMCR), E1000E_BMCR_RESET, E1000E_BMCR_RESET), 0u,
		"the PHY was reset");
	TEST_ASSERT_EQUAL(chip_count(CHIP_PHY(E1000E_PHY_ANAR), 0, 0), 0u, "advertisement");
	return nic_no_fault();
}

static int
set_link_down_and_up_switch_the_phy(void)
{
	struct rte_eth_link link;

	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_link_down(nic_port), "down");
	TEST_ASSERT((*chip_phy(E1000E_PHY_BMCR) & E1000E_BMCR_PDOWN) != 0, "it has power");
	TEST_ASSERT_SUCCESS(rte_eth_link_get(nic_port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_DOWN, "it is up");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_link_up(nic_port), "up");
	TEST_ASSERT_EQUAL(*chip_phy(E1000E_PHY_BMCR), 0x1140, "BMCR");
	TEST_ASSERT_SUCCESS(rte_eth_link_get(nic_port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_UP, "it is down");
	chip_stick_link(true);
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_link_down(nic_port), "down");
	TEST_ASSERT_SUCCESS(rte_eth_link_get(nic_port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_DOWN, "it is up in an emulator");
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_link_up(nic_port), "up");
	chip_stick_link(false);
	chip_mute_phy(true);
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_set_link_down(nic_port), -EIO, "a PHY that is not there");
	TEST_ASSERT(test_logged("the PHY does not answer"), "line");
	chip_mute_phy(false);
	TEST_ASSERT_SUCCESS(rte_eth_link_get(nic_port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_UP, "it is down");
	/* A start brings the link up, whatever was before. */
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_UP, "it is down");
	return nic_no_fault();
}

static int
a_start_without_an_answer_of_the_phy_is_refused(void)
{
	uint16_t command;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	if (nic_configure() != 0)
		return TEST_FAILED;
	chip_mute_phy(true);
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(nic_port), -EIO, "started");
	TEST_ASSERT(test_logged("the PHY does not answer"), "line");
	chip_mute_phy(false);
	memcpy(&command, nic_config_space() + PCI_COMMAND, sizeof(command));
	TEST_ASSERT_EQUAL(rte_le_to_cpu_16(command) & PCI_COMMAND_MASTER, 0, "it masters the bus");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(nic_pool), NIC_MBUFS, "mbufs are lost");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_EXTCNF_CTRL) & E1000E_EXTCNF_CTRL_MDIO_SW, 0u, "MDIO");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	return nic_no_fault();
}

static int
a_start_that_fails_leaves_the_phy_off(void)
{
	struct rte_mbuf *all[NIC_MBUFS];

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	if (nic_configure() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_pktmbuf_alloc_bulk(nic_pool, all, NIC_MBUFS), "take all");
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(nic_port), -ENOMEM, "started");
	test_log_end();
	rte_pktmbuf_free_bulk(all, NIC_MBUFS);
	TEST_ASSERT((*chip_phy(E1000E_PHY_BMCR) & E1000E_BMCR_PDOWN) != 0, "the peer sees a link");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	return nic_no_fault();
}

static int
firmware_that_never_releases_the_mdio_is_told(void)
{
	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	if (nic_configure() != 0)
		return TEST_FAILED;
	chip_hold_mdio(true);
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_start(nic_port), -EBUSY, "started");
	TEST_ASSERT(strstr(test_log_end(), "the firmware holds the PHY") != NULL, "line");
	chip_hold_mdio(false);
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	return nic_no_fault();
}

/* Speeds */

static int
link_speeds_are_advertised(void)
{
	static const struct {
		uint32_t speeds;
		uint16_t anar, ctrl1000;
		uint32_t speed;
		uint16_t duplex;
	} table[] = {
		{RTE_ETH_LINK_SPEED_AUTONEG, 0x1E0, 0x200, 1000, RTE_ETH_LINK_FULL_DUPLEX},
		{RTE_ETH_LINK_SPEED_1G, 0, 0x200, 1000, RTE_ETH_LINK_FULL_DUPLEX},
		{RTE_ETH_LINK_SPEED_10M | RTE_ETH_LINK_SPEED_100M, 0x140, 0, 100,
			RTE_ETH_LINK_FULL_DUPLEX},
		{RTE_ETH_LINK_SPEED_100M_HD, 0x080, 0, 100, RTE_ETH_LINK_HALF_DUPLEX},
		{RTE_ETH_LINK_SPEED_10M, 0x040, 0, 10, RTE_ETH_LINK_FULL_DUPLEX},
		{RTE_ETH_LINK_SPEED_10M_HD, 0x020, 0, 10, RTE_ETH_LINK_HALF_DUPLEX},
		{RTE_ETH_LINK_SPEED_10M_HD | RTE_ETH_LINK_SPEED_1G, 0x020, 0x200, 1000,
			RTE_ETH_LINK_FULL_DUPLEX},
		/* 1000BASE-T cannot do without a negotiation. */
		{RTE_ETH_LINK_SPEED_1G | RTE_ETH_LINK_SPEED_FIXED, 0, 0x200, 1000,
			RTE_ETH_LINK_FULL_DUPLEX},
	};
	struct rte_eth_link link;
	unsigned int i;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	for (i = 0; i < RTE_DIM(table); i++) {
		nic_conf.link_speeds = table[i].speeds;
		if (nic_start() != 0)
			return TEST_FAILED;
		TEST_ASSERT_EQUAL(*chip_phy(E1000E_PHY_ANAR) & 0x1E0, table[i].anar, "%u: 0x%x", i,
			*chip_phy(E1000E_PHY_ANAR));
		TEST_ASSERT_EQUAL(*chip_phy(E1000E_PHY_CTRL1000) & 0x300, table[i].ctrl1000,
			"%u: 0x%x", i, *chip_phy(E1000E_PHY_CTRL1000));
		TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
		TEST_ASSERT(link.link_speed == table[i].speed &&
				link.link_duplex == table[i].duplex &&
				link.link_autoneg == RTE_ETH_LINK_AUTONEG,
			"%u: speed %u", i, link.link_speed);
		rte_eth_dev_stop(nic_port);
	}
	return nic_no_fault();
}

static int
a_fixed_speed_is_forced_on_phy_and_mac(void)
{
	static const struct {
		uint32_t speeds, ctrl;
		uint16_t bmcr, duplex;
		uint32_t speed;
	} table[] = {
		{RTE_ETH_LINK_SPEED_10M_HD, 0x1800, 0x0000, RTE_ETH_LINK_HALF_DUPLEX, 10},
		{RTE_ETH_LINK_SPEED_10M, 0x1801, 0x0100, RTE_ETH_LINK_FULL_DUPLEX, 10},
		{RTE_ETH_LINK_SPEED_100M_HD, 0x1900, 0x2000, RTE_ETH_LINK_HALF_DUPLEX, 100},
		{RTE_ETH_LINK_SPEED_100M, 0x1901, 0x2100, RTE_ETH_LINK_FULL_DUPLEX, 100},
	};
	struct rte_eth_link link;
	unsigned int i;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	for (i = 0; i < RTE_DIM(table); i++) {
		nic_conf.link_speeds = table[i].speeds | RTE_ETH_LINK_SPEED_FIXED;
		if (nic_configure() != 0)
			return TEST_FAILED;
		chip_record();
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
		TEST_ASSERT_EQUAL(*chip_phy(E1000E_PHY_BMCR), table[i].bmcr, "%u: BMCR 0x%x", i,
			*chip_phy(E1000E_PHY_BMCR));
		TEST_ASSERT_EQUAL(nic_reg(E1000E_CTRL) & 0x1B21, table[i].ctrl, "%u: CTRL 0x%x", i,
			nic_reg(E1000E_CTRL));
		/* The PHY uses what is forced only after a reset. */
		TEST_ASSERT(
			chip_find(chip_find(0, CHIP_PHY(E1000E_PHY_BMCR), 0x3940, table[i].bmcr),
				CHIP_PHY(E1000E_PHY_BMCR), E1000E_BMCR_RESET,
				E1000E_BMCR_RESET) >= 0,
			"%u: no reset after it", i);
		TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
		TEST_ASSERT(link.link_status == RTE_ETH_LINK_UP &&
				link.link_speed == table[i].speed &&
				link.link_duplex == table[i].duplex &&
				link.link_autoneg == RTE_ETH_LINK_FIXED,
			"%u: status %u, speed %u", i, link.link_status, link.link_speed);
		/* There is nobody to agree with on pause frames. */
		TEST_ASSERT_EQUAL(nic_reg(E1000E_CTRL) & (E1000E_CTRL_RFCE | E1000E_CTRL_TFCE), 0u,
			"%u: flow control", i);
		rte_eth_dev_stop(nic_port);
	}
	nic_conf.link_speeds = 0;
	if (nic_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
	TEST_ASSERT(link.link_speed == 1000 && link.link_autoneg == RTE_ETH_LINK_AUTONEG,
		"back to %u", link.link_speed);
	return nic_no_fault();
}

static int
impossible_speeds_are_refused(void)
{
	static const uint32_t refused[] = {
		RTE_ETH_LINK_SPEED_FIXED,
		RTE_ETH_LINK_SPEED_FIXED | RTE_ETH_LINK_SPEED_10M | RTE_ETH_LINK_SPEED_100M,
		RTE_ETH_LINK_SPEED_2_5G,
		RTE_ETH_LINK_SPEED_1G | RTE_ETH_LINK_SPEED_10G,
		RTE_ETH_LINK_SPEED_FIXED | RTE_ETH_LINK_SPEED_10G,
	};
	unsigned int i;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	for (i = 0; i < RTE_DIM(refused); i++) {
		nic_conf.link_speeds = refused[i];
		test_log_begin();
		TEST_ASSERT_EQUAL(
			rte_eth_dev_configure(nic_port, 1, 1, &nic_conf), -EINVAL, "%u", i);
		TEST_ASSERT(strstr(test_log_end(), "link_speeds 0x") != NULL, "%u: no line", i);
	}
	nic_conf.link_speeds = 0;
	if (nic_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(*chip_phy(E1000E_PHY_ANAR) & 0x1E0, 0x1E0, "a refused one was kept");
	return nic_no_fault();
}

/* Flow control */

static uint32_t
pause_bits(void)
{
	return nic_reg(E1000E_CTRL) & (E1000E_CTRL_RFCE | E1000E_CTRL_TFCE);
}

/* IEEE 802.3, table 28B-3; the partner's bits are PAUSE 0x400 and ASM_DIR 0x800. */
static int
flow_control_is_what_both_ends_agree_on(void)
{
	const uint32_t rx = E1000E_CTRL_RFCE, tx = E1000E_CTRL_TFCE;
	const struct {
		enum rte_eth_fc_mode want;
		uint16_t own, peer;
		uint32_t ctrl;
		enum rte_eth_fc_mode mode;
	} table[] = {
		{RTE_ETH_FC_FULL, 0xC00, 0xC00, rx | tx, RTE_ETH_FC_FULL},
		{RTE_ETH_FC_FULL, 0xC00, 0x400, rx | tx, RTE_ETH_FC_FULL},
		{RTE_ETH_FC_FULL, 0xC00, 0x800, rx, RTE_ETH_FC_RX_PAUSE},
		{RTE_ETH_FC_FULL, 0xC00, 0x000, 0, RTE_ETH_FC_NONE},
		{RTE_ETH_FC_RX_PAUSE, 0xC00, 0xC00, rx, RTE_ETH_FC_RX_PAUSE},
		{RTE_ETH_FC_RX_PAUSE, 0xC00, 0x800, rx, RTE_ETH_FC_RX_PAUSE},
		{RTE_ETH_FC_RX_PAUSE, 0xC00, 0x000, 0, RTE_ETH_FC_NONE},
		{RTE_ETH_FC_TX_PAUSE, 0x800, 0xC00, tx, RTE_ETH_FC_TX_PAUSE},
		{RTE_ETH_FC_TX_PAUSE, 0x800, 0x400, 0, RTE_ETH_FC_NONE},
		{RTE_ETH_FC_TX_PAUSE, 0x800, 0x800, 0, RTE_ETH_FC_NONE},
		{RTE_ETH_FC_NONE, 0x000, 0xC00, 0, RTE_ETH_FC_NONE},
	};
	struct rte_eth_fc_conf fc;
	unsigned int i;

	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_get(nic_port, &fc), "get");
	TEST_ASSERT(fc.mode == RTE_ETH_FC_FULL && fc.autoneg && fc.send_xon, "defaults");
	for (i = 0; i < RTE_DIM(table); i++) {
		chip_partner(0x1E1 | table[i].peer, true);
		fc.mode = table[i].want;
		TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_set(nic_port, &fc), "%u: set", i);
		TEST_ASSERT_EQUAL(*chip_phy(E1000E_PHY_ANAR) & 0xC00, table[i].own, "%u: 0x%x", i,
			*chip_phy(E1000E_PHY_ANAR));
		TEST_ASSERT_EQUAL(pause_bits(), table[i].ctrl, "%u: CTRL 0x%x", i, pause_bits());
		TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_get(nic_port, &fc), "get");
		TEST_ASSERT_EQUAL(fc.mode, table[i].mode, "%u: mode %d", i, (int)fc.mode);
	}
	return nic_no_fault();
}

static int
flow_control_follows_the_link(void)
{
	struct rte_eth_link link;

	chip_cable(false);
	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(pause_bits(), 0u, "without a link");
	chip_cable(true);
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_UP, "it is down");
	TEST_ASSERT_EQUAL(pause_bits(), E1000E_CTRL_RFCE | E1000E_CTRL_TFCE, "0x%x", pause_bits());
	/* Half duplex has collisions, and no pause frames. */
	chip_partner(0x0C81, false);
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
	TEST_ASSERT(link.link_speed == 100 && link.link_duplex == RTE_ETH_LINK_HALF_DUPLEX, "link");
	TEST_ASSERT_EQUAL(pause_bits(), 0u, "0x%x", pause_bits());
	return nic_no_fault();
}

/* The link can come back with another partner before anybody has looked. */
static int
flow_control_follows_an_interrupt(void)
{
	struct rte_eth_link link;
	unsigned int ms;

	/* A link that was seen before the start has no flow control either. */
	*chip_phy(E1000E_PHY_BMCR) &= ~E1000E_BMCR_PDOWN;
	nic_conf.intr_conf.lsc = 1;
	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	TEST_ASSERT_SUCCESS(rte_eth_link_get_nowait(nic_port, &link), "link");
	TEST_ASSERT_EQUAL(link.link_status, RTE_ETH_LINK_UP, "it is down");
	if (nic_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(pause_bits(), E1000E_CTRL_RFCE | E1000E_CTRL_TFCE, "0x%x", pause_bits());
	chip_partner(0x01E1, true);
	nic_regs()[E1000E_ICR / 4] = E1000E_INTR_LSC;
	TEST_ASSERT_SUCCESS(
		vfio_mock_interrupt(nic_machine, NIC, VFIO_PCI_MSIX_IRQ_INDEX, 0), "raise");
	for (ms = 0; ms < 5000 && pause_bits() != 0; ms++)
		rte_delay_us_sleep(1000);
	TEST_ASSERT_EQUAL(pause_bits(), 0u, "0x%x", pause_bits());
	return nic_no_fault();
}

static int
flow_control_has_thresholds(void)
{
	struct rte_eth_fc_conf fc;

	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT(nic_reg(E1000E_FCAL) == 0x00C28001 && nic_reg(E1000E_FCAH) == 0x100 &&
			nic_reg(E1000E_FCT) == 0x8808 && nic_reg(E1000E_FCTTV) == 0x680,
		"pause frames");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_FCRTH), 18432u, "%u", nic_reg(E1000E_FCRTH));
	TEST_ASSERT_EQUAL(
		nic_reg(E1000E_FCRTL), 18424u | E1000E_FCRTL_XONE, "%x", nic_reg(E1000E_FCRTL));
	TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_get(nic_port, &fc), "get");
	TEST_ASSERT(fc.high_water == 18432 && fc.low_water == 18424, "%u", fc.high_water);
	fc.high_water = 16000;
	fc.low_water = 8005;
	fc.pause_time = 0x1234;
	fc.send_xon = 0;
	TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_set(nic_port, &fc), "set");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_FCRTH), 16000u, "%u", nic_reg(E1000E_FCRTH));
	TEST_ASSERT_EQUAL(nic_reg(E1000E_FCRTL), 8000u, "%x", nic_reg(E1000E_FCRTL));
	TEST_ASSERT_EQUAL(nic_reg(E1000E_FCTTV), 0x1234u, "%x", nic_reg(E1000E_FCTTV));
	/* Who sends no pause frames has no thresholds. */
	fc.mode = RTE_ETH_FC_RX_PAUSE;
	TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_set(nic_port, &fc), "set");
	TEST_ASSERT(nic_reg(E1000E_FCRTH) == 0 && nic_reg(E1000E_FCRTL) == 0, "thresholds");
	/* A restart keeps it. */
	fc.mode = RTE_ETH_FC_FULL;
	TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_set(nic_port, &fc), "set");
	rte_eth_dev_stop(nic_port);
	/* A large frame must fit above the threshold. */
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_mtu(nic_port, 9000), "MTU");
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_FCRTH), 11456u, "%u", nic_reg(E1000E_FCRTH));
	TEST_ASSERT_EQUAL(nic_reg(E1000E_FCTTV), 0x1234u, "%x", nic_reg(E1000E_FCTTV));
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_mtu(nic_port, 1500), "MTU");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_FCRTH), 16000u, "%u", nic_reg(E1000E_FCRTH));
	return nic_no_fault();
}

static int
flow_control_can_be_forced(void)
{
	struct rte_eth_fc_conf fc = {.mode = RTE_ETH_FC_TX_PAUSE, .mac_ctrl_frame_fwd = 1};

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	chip_partner(0x01E1, true);
	TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_set(nic_port, &fc), "set before the start");
	if (nic_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_EQUAL(pause_bits(), E1000E_CTRL_TFCE, "0x%x", pause_bits());
	TEST_ASSERT((nic_reg(E1000E_RCTL) & E1000E_RCTL_PMCF) != 0, "MAC control frames");
	TEST_ASSERT_SUCCESS(rte_eth_promiscuous_enable(nic_port), "promiscuous");
	TEST_ASSERT((nic_reg(E1000E_RCTL) & E1000E_RCTL_PMCF) != 0, "MAC control frames");
	fc.mac_ctrl_frame_fwd = 0;
	TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_set(nic_port, &fc), "set");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_RCTL) & E1000E_RCTL_PMCF, 0u, "MAC control frames");
	return nic_no_fault();
}

static int
bad_flow_control_is_refused(void)
{
	static const struct {
		uint32_t high, low;
		int mode;
	} table[] = {{100, 100, RTE_ETH_FC_FULL}, {20480, 0, RTE_ETH_FC_FULL},
		{0, 8, RTE_ETH_FC_FULL}, {15, 8, RTE_ETH_FC_FULL}, {8, 16, RTE_ETH_FC_FULL},
		{0, 0, 17}};
	struct rte_eth_fc_conf fc;
	unsigned int i;

	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	chip_record();
	for (i = 0; i < RTE_DIM(table); i++) {
		fc = (struct rte_eth_fc_conf){.high_water = table[i].high,
			.low_water = table[i].low,
			.mode = (enum rte_eth_fc_mode)table[i].mode};
		test_log_begin();
		TEST_ASSERT_EQUAL(rte_eth_dev_flow_ctrl_set(nic_port, &fc), -EINVAL, "%u", i);
		TEST_ASSERT(test_logged("flow control: "), "%u: line", i);
	}
	TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_get(nic_port, &fc), "get");
	TEST_ASSERT(fc.mode == RTE_ETH_FC_FULL && fc.high_water == 18432, "it changed");
	TEST_ASSERT_EQUAL(chip_find(0, E1000E_FCRTH, 0, 0), -1, "it was written");
	fc.mode = RTE_ETH_FC_NONE;
	chip_mute_phy(true);
	test_log_begin();
	TEST_ASSERT_EQUAL(
		rte_eth_dev_flow_ctrl_set(nic_port, &fc), -EIO, "a PHY that is not there");
	TEST_ASSERT(test_logged("the PHY does not answer"), "line");
	chip_mute_phy(false);
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_flow_ctrl_get(nic_port, &fc), "get");
	TEST_ASSERT_EQUAL(fc.mode, RTE_ETH_FC_FULL, "what was refused holds for the next start");
	return nic_no_fault();
}

/* LED, registers, NVM */

static int
the_led_is_switched_as_the_nvm_says(void)
{
	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	/* 0xF746 stands for 0x1811: the third LED, on in one state, off in the other. */
	TEST_ASSERT_SUCCESS(rte_eth_led_on(nic_port), "on");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_LEDCTL), 0x000E8302u, "0x%x", nic_reg(E1000E_LEDCTL));
	TEST_ASSERT_SUCCESS(rte_eth_led_off(nic_port), "off");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_LEDCTL), 0x000F8302u, "0x%x", nic_reg(E1000E_LEDCTL));
	*chip_nvm(E1000E_NVM_ID_LED) = 0x0492;
	TEST_ASSERT_SUCCESS(rte_eth_led_on(nic_port), "on");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_LEDCTL), 0x00060F0Eu, "0x%x", nic_reg(E1000E_LEDCTL));
	TEST_ASSERT_SUCCESS(rte_eth_led_off(nic_port), "off");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_LEDCTL), 0x000E0F02u, "0x%x", nic_reg(E1000E_LEDCTL));
	/* Without a link "on" has to be inverted. */
	chip_cable(false);
	TEST_ASSERT_SUCCESS(rte_eth_led_on(nic_port), "on");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_LEDCTL), 0x00060F4Eu, "0x%x", nic_reg(E1000E_LEDCTL));
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_SUCCESS(rte_eth_dev_close(nic_port), "close");
	TEST_ASSERT_EQUAL(nic_reg(E1000E_LEDCTL), 0x00068302u, "0x%x", nic_reg(E1000E_LEDCTL));
	return nic_no_fault();
}

static int
registers_are_dumped_without_a_change(void)
{
	struct rte_dev_reg_info info = {0};
	uint32_t data[256];
	unsigned int at;

	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_reg_info(nic_port, &info), "size");
	TEST_ASSERT(info.width == 4 && info.length > 100 && info.length < RTE_DIM(data), "%u of %u",
		info.length, info.width);
	memset(data, 0xEE, sizeof(data));
	info.data = data;
	chip_record();
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_reg_info(nic_port, &info), "dump");
	TEST_ASSERT(
		data[0] == nic_reg(E1000E_CTRL) && (data[1] & E1000E_STATUS_LU) != 0, "the first");
	TEST_ASSERT(data[info.length - 1] == nic_reg(E1000E_RETA(31)) &&
			data[info.length] == 0xEEEEEEEE,
		"the last");
	TEST_ASSERT_EQUAL(chip_reads(E1000E_ICR), 0u, "it clears causes");
	for (at = 0x4000; at < 0x4200; at += 4)
		TEST_ASSERT_EQUAL(chip_reads(at), 0u, "it clears counter 0x%x", at);
	TEST_ASSERT_EQUAL(chip_find(0, E1000E_CTRL, 0, 0), -1, "it writes");
	test_log_begin();
	info.length = 1;
	TEST_ASSERT_EQUAL(rte_eth_dev_get_reg_info(nic_port, &info), -ENOTSUP, "a part");
	TEST_ASSERT(test_logged("the register dump is read as a whole"), "line");
	return nic_no_fault();
}

static int
the_nvm_is_read_byte_by_byte(void)
{
	static const struct {
		uint32_t offset, length;
	} refused[] = {{256, 1}, {0, 257}, {255, 2}, {0, 0}, {UINT32_MAX, 2}};
	struct rte_dev_eeprom_info info = {0};
	uint8_t data[257];
	unsigned int i;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	*chip_nvm(CHIP_NVM_WORDS - 1) = 0xBEEF;
	TEST_ASSERT_EQUAL(rte_eth_dev_get_eeprom_length(nic_port), 256, "length");
	info.data = data;
	info.length = 256;
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_eeprom(nic_port, &info), "read");
	TEST_ASSERT_EQUAL(info.magic, 0x10d38086u, "magic");
	TEST_ASSERT(memcmp(data, "\x52\x54\x00\x12\x34\x56", 6) == 0 && data[254] == 0xEF &&
			data[255] == 0xBE,
		"contents");
	memset(data, 0, sizeof(data));
	info.offset = 3;
	info.length = 2;
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_eeprom(nic_port, &info), "read");
	TEST_ASSERT(data[0] == 0x12 && data[1] == 0x34 && data[2] == 0, "odd bytes");
	for (i = 0; i < RTE_DIM(refused); i++) {
		info.offset = refused[i].offset;
		info.length = refused[i].length;
		test_log_begin();
		TEST_ASSERT_EQUAL(rte_eth_dev_get_eeprom(nic_port, &info), -EINVAL, "%u", i);
		TEST_ASSERT(test_logged("of the NVM: it has 256 bytes"), "%u: line", i);
	}
	return nic_no_fault();
}

/* The sum of the words up to the checksum, which the chip expects to be 0xBABA (6.1). */
static uint16_t
nvm_sum(void)
{
	uint16_t sum = 0;
	unsigned int i;

	for (i = 0; i <= 0x3F; i++)
		sum += *chip_nvm(i);
	return sum;
}

static int
the_nvm_is_written_with_its_checksum(void)
{
	uint8_t data[4] = {0xA1, 0xA2, 0xA3, 0xA4};
	struct rte_dev_eeprom_info info = {.data = data, .length = 4, .magic = 0x10d38086};

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	*chip_nvm(0x10) = 0x1111;
	*chip_nvm(0x12) = 0x2222;
	chip_record();
	info.offset = 0x21; /* odd, so it has halves of two words */
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_eeprom(nic_port, &info), "write");
	TEST_ASSERT_EQUAL(*chip_nvm(0x10), 0xA111, "0x%x", *chip_nvm(0x10));
	TEST_ASSERT_EQUAL(*chip_nvm(0x11), 0xA3A2, "0x%x", *chip_nvm(0x11));
	TEST_ASSERT_EQUAL(*chip_nvm(0x12), 0x22A4, "0x%x", *chip_nvm(0x12));
	TEST_ASSERT_EQUAL(nvm_sum(), 0xBABA, "sum 0x%x", nvm_sum());
	TEST_ASSERT_EQUAL(chip_count(E1000E_EEWR, 0, 0), 4u, "words were written that are equal");
	memset(data, 0, sizeof(data));
	TEST_ASSERT_SUCCESS(rte_eth_dev_get_eeprom(nic_port, &info), "read");
	TEST_ASSERT(memcmp(data, "\xA1\xA2\xA3\xA4", 4) == 0, "it reads otherwise");

	/* Words behind the checksum are not in it; a checksum of the application is set right. */
	chip_record();
	info.offset = 0x80;
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_eeprom(nic_port, &info), "write");
	TEST_ASSERT(*chip_nvm(0x40) == 0xA2A1 && *chip_nvm(0x41) == 0xA4A3, "words");
	TEST_ASSERT_EQUAL(chip_count(E1000E_EEWR, 0, 0), 2u, "the checksum was written");
	info.offset = 0x7C;
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_eeprom(nic_port, &info), "write");
	TEST_ASSERT_EQUAL(nvm_sum(), 0xBABA, "sum 0x%x", nvm_sum());
	info.offset = 252;
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_eeprom(nic_port, &info), "the last words");
	TEST_ASSERT_EQUAL(*chip_nvm(CHIP_NVM_WORDS - 1), 0xA4A3, "the last word");
	return nic_no_fault();
}

static int
an_nvm_in_a_flash_is_copied_to_it(void)
{
	uint8_t data[2] = {0x34, 0x12};
	struct rte_dev_eeprom_info info = {
		.data = data, .length = 2, .offset = 0x20, .magic = 0x10d38086};

	chip_use_flash();
	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	chip_record();
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_eeprom(nic_port, &info), "write");
	TEST_ASSERT_EQUAL(chip_flash(0x10), 0x1234, "0x%x", chip_flash(0x10));
	TEST_ASSERT_EQUAL(chip_flash(0x3F), *chip_nvm(0x3F), "checksum");
	TEST_ASSERT_EQUAL(nvm_sum(), 0xBABA, "sum 0x%x", nvm_sum());
	TEST_ASSERT_EQUAL(chip_find(0, E1000E_HICR, 0, 0), -1, "firmware was reset");
	/* A flash whose opcode for erasure is STM's needs a reset of the firmware. */
	nic_regs()[E1000E_FLOP / 4] = 0xDB00;
	data[0] = 0x35;
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_eeprom(nic_port, &info), "write");
	TEST_ASSERT(chip_find(chip_find(0, E1000E_HICR, UINT32_MAX, 0x40), E1000E_HICR, UINT32_MAX,
			    0x80) > 0,
		"firmware was not reset");
	TEST_ASSERT_EQUAL(chip_flash(0x10), 0x1235, "0x%x", chip_flash(0x10));

	/* What fails in the RAM does not reach the flash. */
	chip_protect_nvm(0x3F);
	data[0] = 0x36;
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_set_eeprom(nic_port, &info), -EIO, "written");
	TEST_ASSERT(test_logged("word 63 of the NVM was not written"), "line");
	TEST_ASSERT(chip_flash(0x10) == 0x1235 && *chip_nvm(0x10) == 0x1235, "it changed");
	return nic_no_fault();
}

static int
a_bad_write_of_the_nvm_is_refused(void)
{
	static const struct {
		uint32_t offset, length, magic;
		const char *line;
	} refused[] = {{256, 1, 0x10d38086, "it has 256 bytes"},
		{255, 2, 0x10d38086, "it has 256 bytes"}, {0, 0, 0x10d38086, "it has 256 bytes"},
		{UINT32_MAX, 2, 0x10d38086, "it has 256 bytes"},
		{0, 2, 0, "does not fit this NVM: pass 0x10d38086"},
		{0, 2, 0x10d38087, "does not fit this NVM"}};
	uint8_t data[4] = {1, 2, 3, 4};
	struct rte_dev_eeprom_info info = {.data = data};
	unsigned int i;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	chip_record();
	for (i = 0; i < RTE_DIM(refused); i++) {
		info.offset = refused[i].offset;
		info.length = refused[i].length;
		info.magic = refused[i].magic;
		test_log_begin();
		TEST_ASSERT_EQUAL(rte_eth_dev_set_eeprom(nic_port, &info), -EINVAL, "%u", i);
		TEST_ASSERT(test_logged(refused[i].line), "%u: line", i);
	}
	info = (struct rte_dev_eeprom_info){.data = data, .length = 4, .magic = 0x10d38086};
	chip_hold_mdio(true);
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_set_eeprom(nic_port, &info), -EBUSY, "the firmware has it");
	chip_hold_mdio(false);
	test_log_end();
	chip_mute_eewr(true);
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_set_eeprom(nic_port, &info), -EIO, "no report");
	TEST_ASSERT(test_logged("so it was left alone: reset the device"), "line");
	TEST_ASSERT_EQUAL(chip_find(0, E1000E_EEWR, 0, 0), -1, "it was written");
	return nic_no_fault();
}

static int
a_write_of_the_nvm_that_fails_is_undone(void)
{
	uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct rte_dev_eeprom_info info = {
		.data = data, .length = 8, .offset = 0x20, .magic = 0x10d38086};
	unsigned int i;

	TEST_ASSERT_SUCCESS(nic_probe(), "probe");
	chip_protect_nvm(0x12);
	test_log_begin();
	TEST_ASSERT_EQUAL(rte_eth_dev_set_eeprom(nic_port, &info), -EIO, "written");
	TEST_ASSERT(test_logged("word 18 of the NVM was not written, and the former words are "
				"back: check that it is not write-protected"),
		"line");
	for (i = 0x10; i < 0x14; i++)
		TEST_ASSERT_EQUAL(*chip_nvm(i), 0xFFFF, "word 0x%x: 0x%x", i, *chip_nvm(i));
	chip_protect_nvm(CHIP_NVM_WORDS);
	TEST_ASSERT_SUCCESS(rte_eth_dev_set_eeprom(nic_port, &info), "write");
	TEST_ASSERT_EQUAL(*chip_nvm(0x13), 0x0807, "word");
	return nic_no_fault();
}

/* Interrupts. A case that fails may leave the EAL's interrupt thread stuck. */

static struct {
	int what; /* what the callback does */
	int rc; /* what its calls returned, or'ed */
	unsigned int entered, left; /* numbers of calls */
	pthread_mutex_t *mutex;
} cb;

enum { CB_STOP = 1, CB_RESTART, CB_REMOVE, CB_LOCK, CB_ONLY_COUNT };

static int
event_cb(uint16_t id, enum rte_eth_event_type event, void *arg, void *ret)
{
	RTE_SET_USED(event);
	RTE_SET_USED(arg);
	RTE_SET_USED(ret);
	__atomic_add_fetch(&cb.entered, 1, __ATOMIC_RELEASE);
	switch (cb.what) {
	case CB_STOP:
		cb.rc |= rte_eth_dev_stop(id);
		break;
	case CB_RESTART:
		cb.rc |= rte_eth_dev_stop(id);
		cb.rc |= rte_eth_dev_start(id);
		break;
	case CB_REMOVE:
		cb.rc |= rte_eth_dev_stop(id);
		cb.rc |= rte_eth_dev_close(id);
		cb.rc |= rte_dev_remove(&nic_on_bus()->device);
		break;
	case CB_LOCK:
		pthread_mutex_lock(cb.mutex);
		pthread_mutex_unlock(cb.mutex);
		break;
	default:
		break;
	}
	__atomic_add_fetch(&cb.left, 1, __ATOMIC_RELEASE);
	return 0;
}

/* Change the link, and raise vector 0. */
static int
link_changes(bool up)
{
	chip_cable(up);
	nic_regs()[E1000E_ICR / 4] = E1000E_INTR_LSC | E1000E_INTR_OTHER;
	return vfio_mock_interrupt(nic_machine, NIC, VFIO_PCI_MSIX_IRQ_INDEX, 0);
}

/* Start with link interrupts, and with this callback. */
static int
start_with(enum rte_eth_event_type event, int what)
{
	memset(&cb, 0, sizeof(cb));
	cb.what = what;
	nic_conf.intr_conf.lsc = 1;
	if (nic_probe_and_start() != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(
		rte_eth_dev_callback_register(nic_port, event, event_cb, NULL), "register");
	return 0;
}

/* Undo start_with(). ethdev keeps callbacks of a removed port for the next one of its number. */
static void
forget_callback(enum rte_eth_event_type event)
{
	rte_eth_dev_callback_unregister(RTE_ETH_ALL, event, event_cb, NULL);
}

static void
alarm_cb(void *counter)
{
	__atomic_add_fetch((unsigned int *)counter, 1, __ATOMIC_RELEASE);
}

/* Whether the interrupt thread still serves others. */
static bool
interrupt_thread_lives(void)
{
	static unsigned int fired;
	const unsigned int before = __atomic_load_n(&fired, __ATOMIC_ACQUIRE);

	return rte_eal_alarm_set(1, alarm_cb, &fired) == 0 && wait_for(&fired, before + 1);
}

static int
a_link_callback_may_stop_the_port(void)
{
	if (start_with(RTE_ETH_EVENT_INTR_LSC, CB_STOP) != 0)
		return TEST_FAILED;
	TEST_ASSERT_SUCCESS(link_changes(false), "raise");
	TEST_ASSERT(wait_for(&cb.left, 1), "it does not return");
	TEST_ASSERT_SUCCESS(cb.rc, "stop");
	TEST_ASSERT(interrupt_thread_lives(), "the interrupt thread hangs");
	/* The port works again, with one callback. */
	cb.what = CB_ONLY_COUNT;
	chip_cable(true);
	TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "start");
	TEST_ASSERT_SUCCESS(link_changes(false), "raise");
	TEST_ASSERT(wait_for(&cb.left, 2), "no event after the restart");
	forget_callback(RTE_ETH_EVENT_INTR_LSC);
	return nic_no_fault();
}

static int
a_link_callback_may_restart_the_port(void)
{
	unsigned int i;

	if (start_with(RTE_ETH_EVENT_INTR_LSC, CB_RESTART) != 0)
		return TEST_FAILED;
	for (i = 0; i < 4; i++) {
		TEST_ASSERT_SUCCESS(link_changes(i % 2), "raise");
		TEST_ASSERT(wait_for(&cb.left, i + 1), "%u: it does not return", i);
		TEST_ASSERT_SUCCESS(cb.rc, "%u: restart", i);
		TEST_ASSERT(interrupt_thread_lives(), "%u: the interrupt thread hangs", i);
	}
	forget_callback(RTE_ETH_EVENT_INTR_LSC);
	return nic_no_fault();
}

/* The chip is gone: its registers read all ones. */
static int
a_removal_callback_may_remove_the_device(void)
{
	if (start_with(RTE_ETH_EVENT_INTR_RMV, CB_REMOVE) != 0)
		return TEST_FAILED;
	chip_unplug(true);
	test_log_begin();
	TEST_ASSERT_SUCCESS(
		vfio_mock_interrupt(nic_machine, NIC, VFIO_PCI_MSIX_IRQ_INDEX, 0), "raise");
	TEST_ASSERT(wait_for(&cb.left, 1), "it does not return");
	test_log_end();
	TEST_ASSERT_SUCCESS(cb.rc, "stop, close, remove");
	TEST_ASSERT_NULL(nic_on_bus(), "it is still there");
	forget_callback(RTE_ETH_EVENT_INTR_RMV);
	TEST_ASSERT(interrupt_thread_lives(), "the interrupt thread hangs");
	TEST_ASSERT_EQUAL(rte_mempool_avail_count(nic_pool), NIC_MBUFS, "mbufs are lost");
	return nic_no_fault();
}

/* An application stops the port under a lock that its callback takes too. */
static int
a_stop_does_not_wait_for_a_callback(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	unsigned int i;

	if (start_with(RTE_ETH_EVENT_INTR_LSC, CB_LOCK) != 0)
		return TEST_FAILED;
	cb.mutex = &mutex;
	for (i = 0; i < 3; i++) {
		pthread_mutex_lock(&mutex);
		TEST_ASSERT_SUCCESS(link_changes(false), "raise");
		TEST_ASSERT(wait_for(&cb.entered, i + 1), "%u: no event", i);
		TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "%u: stop", i);
		/* The next start can get an eventfd of the same number. */
		chip_cable(true);
		TEST_ASSERT_SUCCESS(rte_eth_dev_start(nic_port), "%u: start", i);
		TEST_ASSERT_EQUAL(__atomic_load_n(&cb.left, __ATOMIC_ACQUIRE), i, "it left");
		pthread_mutex_unlock(&mutex);
		TEST_ASSERT(wait_for(&cb.left, i + 1), "%u: it does not return", i);
	}
	TEST_ASSERT(interrupt_thread_lives(), "the interrupt thread hangs");
	TEST_ASSERT_SUCCESS(link_changes(false), "raise");
	TEST_ASSERT(wait_for(&cb.left, i + 1), "no event after the restart");
	forget_callback(RTE_ETH_EVENT_INTR_LSC);
	return nic_no_fault();
}

/* The same to the end: the port is closed and removed while the callback runs. */
static int
a_removal_does_not_wait_for_a_callback(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	if (start_with(RTE_ETH_EVENT_INTR_LSC, CB_LOCK) != 0)
		return TEST_FAILED;
	cb.mutex = &mutex;
	pthread_mutex_lock(&mutex);
	TEST_ASSERT_SUCCESS(link_changes(false), "raise");
	TEST_ASSERT(wait_for(&cb.entered, 1), "no event");
	TEST_ASSERT_SUCCESS(rte_eth_dev_stop(nic_port), "stop");
	TEST_ASSERT_SUCCESS(rte_dev_remove(&nic_on_bus()->device), "remove");
	pthread_mutex_unlock(&mutex);
	TEST_ASSERT(wait_for(&cb.left, 1), "it does not return");
	forget_callback(RTE_ETH_EVENT_INTR_LSC);
	TEST_ASSERT(interrupt_thread_lives(), "the interrupt thread hangs");
	return nic_no_fault();
}

static const struct test_case cases[] = {
	{"a reset goes by its steps", a_reset_goes_by_its_steps},
	{"a chip that does not read its NVM is refused",
		a_chip_that_does_not_read_its_nvm_is_refused},
	{"the errata bits hold in a running port", the_errata_bits_hold_in_a_running_port},
	{"a start sets the PHY up before it receives", a_start_sets_the_phy_up_before_it_receives},
	{"a stop powers the PHY down, and a restart only up",
		a_stop_powers_the_phy_down_and_a_restart_only_up},
	{"firmware that uses the link keeps it", firmware_that_uses_the_link_keeps_it},
	{"firmware that reserves the PHY keeps its settings",
		firmware_that_reserves_the_phy_keeps_its_settings},
	{"set_link_down and set_link_up switch the PHY", set_link_down_and_up_switch_the_phy},
	{"a start without an answer of the PHY is refused",
		a_start_without_an_answer_of_the_phy_is_refused},
	{"a start that fails leaves the PHY off", a_start_that_fails_leaves_the_phy_off},
	{"firmware that never releases the MDIO is told of",
		firmware_that_never_releases_the_mdio_is_told},
	{"link_speeds are advertised", link_speeds_are_advertised},
	{"a fixed speed is forced on PHY and MAC", a_fixed_speed_is_forced_on_phy_and_mac},
	{"impossible speeds are refused", impossible_speeds_are_refused},
	{"flow control is what both ends agree on", flow_control_is_what_both_ends_agree_on},
	{"flow control follows the link", flow_control_follows_the_link},
	{"flow control follows an interrupt", flow_control_follows_an_interrupt},
	{"flow control has thresholds", flow_control_has_thresholds},
	{"flow control can be forced", flow_control_can_be_forced},
	{"bad flow control is refused", bad_flow_control_is_refused},
	{"the LED is switched as the NVM says", the_led_is_switched_as_the_nvm_says},
	{"registers are dumped without a change", registers_are_dumped_without_a_change},
	{"the NVM is read byte by byte", the_nvm_is_read_byte_by_byte},
	{"the NVM is written with its checksum", the_nvm_is_written_with_its_checksum},
	{"an NVM in a flash is copied to it", an_nvm_in_a_flash_is_copied_to_it},
	{"a bad write of the NVM is refused", a_bad_write_of_the_nvm_is_refused},
	{"a write of the NVM that fails is undone", a_write_of_the_nvm_that_fails_is_undone},
	{"a link callback may stop the port", a_link_callback_may_stop_the_port},
	{"a link callback may restart the port", a_link_callback_may_restart_the_port},
	{"a removal callback may remove the device", a_removal_callback_may_remove_the_device},
	{"a stop does not wait for a callback", a_stop_does_not_wait_for_a_callback},
	{"a removal does not wait for a callback", a_removal_does_not_wait_for_a_callback},
};

REGISTER_TEST_SUITE(net_e1000e_chip) = {
	.name = "net_e1000e_chip",
	.kind = TEST_FAST,
	.cases = cases,
	.n_cases = RTE_DIM(cases),
	.setup = nic_setup,
	.teardown = nic_teardown,
	.needs_eal = true,
};
