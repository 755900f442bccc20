/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Control of the chip: reset, NVM, addresses, filters and link. Follows section 4.6 of the data
 * sheet, in its order, and the filters of 7.1.
 *
 * Uses registers only: it knows no queue and no ethdev port. Called by e1000e_ethdev.c and
 * e1000e_stats.c on the control path. A reset waits for milliseconds.
 */

#include <errno.h>
#include <string.h>

#include <rte_cycles.h>

#include "e1000e.h"

#define RESET_WAIT_US 1000
#define MASTER_WAIT_US 100
#define MASTER_WAIT_TRIES 800
#define AUTO_RD_WAIT_US 1000
#define AUTO_RD_WAIT_TRIES 10
/* DPDK base driver, e1000_reset_hw_82571(): the PHY's configuration follows the NVM's. */
#define PHY_CONFIG_WAIT_MS 25

/* Interrupts are at least 195 * 256 ns apart: 20,000 a second (10.2.4). */
#define EITR_INTERVAL 195

static int
reg_wait(const struct e1000e_hw *hw, uint32_t reg, uint32_t bit, bool set, unsigned int us,
	unsigned int tries)
{
	for (; tries > 0; tries--) {
		if (!(e1000e_read(hw, reg) & bit) == !set)
			return 0;
		rte_delay_us(us);
	}
	return -ETIMEDOUT;
}

bool
e1000e_hw_gone(const struct e1000e_hw *hw)
{
	/* A read without an answer gives all ones; STATUS always has bits that are 0. */
	return e1000e_read(hw, E1000E_STATUS) == UINT32_MAX;
}

void
e1000e_hw_quiesce(const struct e1000e_hw *hw)
{
	unsigned int q;

	/* 4.6.1: no interrupts. */
	e1000e_write(hw, E1000E_IMC, UINT32_MAX);
	e1000e_write(hw, E1000E_RCTL, 0);
	e1000e_write(hw, E1000E_TCTL, E1000E_TCTL_PSP);
	/* Writes are posted; a read flushes them. Then wait for DMA under way to end. */
	e1000e_read(hw, E1000E_STATUS);
	rte_delay_us(RESET_WAIT_US);
	for (q = 0; q < E1000E_QUEUES; q++) {
		e1000e_write(hw, E1000E_RDLEN(q), 0);
		e1000e_write(hw, E1000E_TDLEN(q), 0);
	}
	e1000e_read(hw, E1000E_ICR);
}

/* Registers that a software reset may leave unchanged, at least in emulation. */
static void
regs_clear(const struct e1000e_hw *hw)
{
	unsigned int i;

	for (i = 1; i < E1000E_RAR_ENTRIES; i++)
		e1000e_hw_mac_clear(hw, i);
	for (i = 0; i < E1000E_MTA_WORDS; i++)
		e1000e_write(hw, E1000E_MTA(i), 0);
	for (i = 0; i < E1000E_VFTA_WORDS; i++)
		e1000e_write(hw, E1000E_VFTA(i), 0);
	e1000e_write(hw, E1000E_IVAR, 0);
	e1000e_write(hw, E1000E_EIAC, 0);
	e1000e_write(hw, E1000E_IAM, 0);
	e1000e_write(hw, E1000E_MRQC, 0);
	e1000e_write(hw, E1000E_RXCSUM, 0);
	e1000e_write(hw, E1000E_RDTR, 0);
	e1000e_write(hw, E1000E_RADV, 0);
	e1000e_write(hw, E1000E_TIDV, 0);
	e1000e_write(hw, E1000E_TADV, 0);
	e1000e_write(hw, E1000E_FCRTL, 0);
	e1000e_write(hw, E1000E_FCRTH, 0);
	/* Linux e1000e_reset(): no wake-up event is armed. */
	e1000e_write(hw, E1000E_WUC, 0);
	for (i = 0; i < E1000E_MSIX_VECTORS; i++)
		e1000e_write(hw, E1000E_EITR(i), EITR_INTERVAL);
}

static void
reg_update(const struct e1000e_hw *hw, uint32_t reg, uint32_t clear, uint32_t set)
{
	e1000e_write(hw, reg, (e1000e_read(hw, reg) & ~clear) | set);
}

/*
 * Bits that the errata of the chip ask for, and that the data sheet calls reserved: DPDK base
 * driver, e1000_initialize_hw_bits_82571() and e1000_init_hw_82571().
 */
static void
errata_write(struct e1000e_hw *hw)
{
	unsigned int q;

	for (q = 0; q < E1000E_QUEUES; q++)
		reg_update(hw, E1000E_TXDCTL(q), 0, E1000E_TXDCTL_ONE);
	reg_update(hw, E1000E_TARC(0), E1000E_TARC_ERRATUM_OFF, E1000E_TARC_ERRATUM_ON);
	e1000e_hw_ctrl_update(hw, E1000E_CTRL_ERRATUM_OFF, 0);
	reg_update(hw, E1000E_CTRL_EXT, E1000E_CTRL_EXT_ERRATUM_OFF, E1000E_CTRL_EXT_ERRATUM_ON);
	reg_update(hw, E1000E_GCR, 0, E1000E_GCR_ERRATUM_ON | E1000E_GCR_L1_WITHOUT_L0S);
	/* Unreliable PCIe completions, above all with ASPM, stop transmission. */
	reg_update(hw, E1000E_GCR2, 0, E1000E_GCR2_ERRATUM_ON);
}

/* 4.6.1, 4.6.2: reset all of the chip but the PHY, and wait until it has read its NVM. */
static int
reset_global(struct e1000e_hw *hw)
{
	uint32_t ctrl;
	int owned;

	/* CTRL.GIO_MASTER_DISABLE (10.2.2): requests under way end before the reset. */
	ctrl = e1000e_read(hw, E1000E_CTRL);
	e1000e_write(hw, E1000E_CTRL, ctrl | E1000E_CTRL_GIO_MASTER_DISABLE);
	if (reg_wait(hw, E1000E_STATUS, E1000E_STATUS_GIO_MASTER, false, MASTER_WAIT_US,
		    MASTER_WAIT_TRIES) < 0)
		E1000E_LOG(WARNING, hw->name,
			"PCIe requests are still pending after 80 ms: resetting anyway");
	/* DPDK base driver, e1000_reset_hw_82571(): firmware must not be in an MDIO access. */
	owned = e1000e_mdio_acquire(hw);
	if (owned < 0)
		E1000E_LOG(WARNING, hw->name,
			"the firmware holds the PHY for over 20 ms: resetting anyway");
	e1000e_write(hw, E1000E_CTRL, ctrl | E1000E_CTRL_RST);
	rte_delay_us(RESET_WAIT_US);
	if (owned == 0)
		e1000e_mdio_release(hw);
	/* The chip reads its NVM after a reset (4.2). */
	if (reg_wait(hw, E1000E_EEC, E1000E_EEC_AUTO_RD, true, AUTO_RD_WAIT_US,
		    AUTO_RD_WAIT_TRIES) < 0)
		return E1000E_FAIL(EIO, hw->name,
			"the chip did not read its NVM within 10 ms of a reset: check the NVM");
	rte_delay_ms(PHY_CONFIG_WAIT_MS);
	return 0;
}

int
e1000e_hw_reset(struct e1000e_hw *hw)
{
	int rc;

	if (e1000e_hw_gone(hw))
		return E1000E_FAIL(ENODEV, hw->name,
			"the device does not answer: check that it is still plugged in");
	/* 4.6.1, 4.6.2: interrupts off, then a global reset, then interrupts off again. */
	e1000e_hw_quiesce(hw);
	rc = reset_global(hw);
	if (rc < 0)
		return rc;
	e1000e_write(hw, E1000E_IMC, UINT32_MAX);
	e1000e_read(hw, E1000E_ICR);

	regs_clear(hw);
	errata_write(hw);
	e1000e_write(hw, E1000E_PBA, E1000E_PBA_RX_KIB);
	return 0;
}

void
e1000e_hw_ctrl_update(struct e1000e_hw *hw, uint32_t clear, uint32_t set)
{
	rte_spinlock_lock(&hw->ctrl_lock);
	reg_update(hw, E1000E_CTRL, clear, set);
	rte_spinlock_unlock(&hw->ctrl_lock);
}

void
e1000e_hw_tx_arbitrate(const struct e1000e_hw *hw, unsigned int n_queues)
{
	uint32_t set = E1000E_TARC_COUNT(3) | E1000E_TARC_EN | E1000E_TARC_ERRATUM_ON;
	unsigned int q;

	/* FreeBSD em_initialize_transmit_unit(): more bits of the erratum with two queues. */
	if (n_queues > 1)
		set |= E1000E_TARC_COMPENSATE | E1000E_TARC_TWO_QUEUES;
	for (q = 0; q < n_queues; q++)
		reg_update(
			hw, E1000E_TARC(q), E1000E_TARC_COUNT_MASK | E1000E_TARC_ERRATUM_OFF, set);
}

int
e1000e_hw_mac_read(struct e1000e_hw *hw, struct rte_ether_addr *mac)
{
	uint32_t low = e1000e_read(hw, E1000E_RAL(0)), high = e1000e_read(hw, E1000E_RAH(0));
	uint16_t word[3];
	unsigned int i;

	/* 4.6.2: the reset loads entry 0 from the NVM. */
	for (i = 0; i < 4; i++)
		mac->addr_bytes[i] = low >> (8 * i);
	for (i = 0; i < 2; i++)
		mac->addr_bytes[4 + i] = high >> (8 * i);
	if ((high & E1000E_RAH_AV) && rte_is_valid_assigned_ether_addr(mac))
		return 0;

	if (e1000e_nvm_read(hw, E1000E_NVM_MAC, RTE_DIM(word), word) < 0)
		return -EIO;
	for (i = 0; i < RTE_DIM(word); i++) {
		mac->addr_bytes[2 * i] = word[i] & 0xFF;
		mac->addr_bytes[2 * i + 1] = word[i] >> 8;
	}
	return rte_is_valid_assigned_ether_addr(mac) ? 0 : -EIO;
}

void
e1000e_hw_mac_write(const struct e1000e_hw *hw, unsigned int i, const struct rte_ether_addr *mac)
{
	const uint8_t *b = mac->addr_bytes;

	/* Low half first: the high half makes the entry valid. */
	e1000e_write(hw, E1000E_RAH(i), 0);
	e1000e_write(hw, E1000E_RAL(i),
		b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24);
	e1000e_write(hw, E1000E_RAH(i), b[4] | (uint32_t)b[5] << 8 | E1000E_RAH_AV);
}

void
e1000e_hw_mac_clear(const struct e1000e_hw *hw, unsigned int i)
{
	e1000e_write(hw, E1000E_RAH(i), 0);
	e1000e_write(hw, E1000E_RAL(i), 0);
}

unsigned int
e1000e_mta_bit(const struct rte_ether_addr *mac)
{
	/* RCTL.MO = 00b: bits 47:36 of the address. */
	return (mac->addr_bytes[4] >> 4 | (unsigned int)mac->addr_bytes[5] << 4) & 0xFFF;
}

void
e1000e_hw_mc_write(const struct e1000e_hw *hw, const struct rte_ether_addr *mc, unsigned int n)
{
	uint32_t mta[E1000E_MTA_WORDS] = {0};
	unsigned int i, bit;

	for (i = 0; i < n; i++) {
		bit = e1000e_mta_bit(&mc[i]);
		mta[bit / 32] |= RTE_BIT32(bit % 32);
	}
	for (i = 0; i < E1000E_MTA_WORDS; i++)
		e1000e_write(hw, E1000E_MTA(i), mta[i]);
}

void
e1000e_hw_link_setup(struct e1000e_hw *hw, const struct e1000e_link_conf *conf)
{
	const uint32_t hd = RTE_ETH_LINK_SPEED_10M_HD | RTE_ETH_LINK_SPEED_100M_HD;
	const uint32_t s100 = RTE_ETH_LINK_SPEED_100M | RTE_ETH_LINK_SPEED_100M_HD;
	uint32_t set = E1000E_CTRL_SLU;

	/* 4.6.3: the MAC uses what the PHY negotiates, or what is forced on both. */
	if (conf->forced)
		set |= E1000E_CTRL_FRCSPD | E1000E_CTRL_FRCDPX |
			(conf->speeds & s100 ? E1000E_CTRL_SPEED_100 : 0);
	if (!conf->forced || !(conf->speeds & hd))
		set |= E1000E_CTRL_FD;
	e1000e_hw_ctrl_update(hw,
		E1000E_CTRL_FRCSPD | E1000E_CTRL_FRCDPX | E1000E_CTRL_SPEED_MASK | E1000E_CTRL_FD |
			E1000E_CTRL_ASDE | E1000E_CTRL_GIO_MASTER_DISABLE,
		set);
}

void
e1000e_hw_link_get(const struct e1000e_hw *hw, struct rte_eth_link *link)
{
	static const uint32_t speeds[] = {RTE_ETH_SPEED_NUM_10M, RTE_ETH_SPEED_NUM_100M,
		RTE_ETH_SPEED_NUM_1G, RTE_ETH_SPEED_NUM_1G};
	uint32_t status = e1000e_read(hw, E1000E_STATUS);

	memset(link, 0, sizeof(*link));
	link->link_autoneg = RTE_ETH_LINK_AUTONEG;
	if (status == UINT32_MAX || !(status & E1000E_STATUS_LU))
		return;
	link->link_status = RTE_ETH_LINK_UP;
	link->link_speed = speeds[E1000E_STATUS_SPEED(status)];
	link->link_duplex =
		status & E1000E_STATUS_FD ? RTE_ETH_LINK_FULL_DUPLEX : RTE_ETH_LINK_HALF_DUPLEX;
}

void
e1000e_hw_vlan_strip(struct e1000e_hw *hw, bool on)
{
	/* 7.5: one bit enables both stripping and insertion. */
	e1000e_write(hw, E1000E_VET, RTE_ETHER_TYPE_VLAN);
	e1000e_hw_ctrl_update(hw, E1000E_CTRL_VME, on ? E1000E_CTRL_VME : 0);
}

void
e1000e_hw_rss_write(
	const struct e1000e_hw *hw, const uint8_t *key, const uint8_t *reta, uint64_t rss_hf)
{
	uint32_t mrqc = E1000E_MRQC_RSS, word;
	unsigned int i, j;

	/* 7.1.11: the key byte by byte, the redirection table four entries a register. */
	for (i = 0; i < E1000E_RSSRK_LEN / 4; i++) {
		for (word = 0, j = 0; j < 4; j++)
			word |= (uint32_t)key[4 * i + j] << (8 * j);
		e1000e_write(hw, E1000E_RSSRK(i), word);
	}
	for (i = 0; i < E1000E_RETA_ENTRIES / 4; i++) {
		for (word = 0, j = 0; j < 4; j++)
			word |= (uint32_t)reta[4 * i + j] << (8 * j + E1000E_RETA_QUEUE_SHIFT);
		e1000e_write(hw, E1000E_RETA(i), word);
	}
	mrqc |= rss_hf & RTE_ETH_RSS_IPV4 ? E1000E_MRQC_IPV4 : 0;
	mrqc |= rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_TCP ? E1000E_MRQC_TCPIPV4 : 0;
	mrqc |= rss_hf & RTE_ETH_RSS_IPV6 ? E1000E_MRQC_IPV6 : 0;
	mrqc |= rss_hf & RTE_ETH_RSS_IPV6_EX ? E1000E_MRQC_IPV6EX : 0;
	mrqc |= rss_hf & RTE_ETH_RSS_NONFRAG_IPV6_TCP ? E1000E_MRQC_TCPIPV6 : 0;
	e1000e_write(hw, E1000E_MRQC, rss_hf != 0 ? mrqc : 0);
}

void
e1000e_hw_own(const struct e1000e_hw *hw, bool own)
{
	uint32_t ext = e1000e_read(hw, E1000E_CTRL_EXT);

	/* 10.2.2, CTRL_EXT.DRV_LOAD: tells the firmware that a driver is loaded. */
	e1000e_write(hw, E1000E_CTRL_EXT,
		own ? ext | E1000E_CTRL_EXT_DRV_LOAD : ext & ~E1000E_CTRL_EXT_DRV_LOAD);
}
