/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The PHY: power, what it advertises, a forced speed, and the outcome for pause frames.
 *
 * The PHY keeps its registers across a reset of the MAC and across power-down, so registers that
 * hold the right value are not written: the link stays up. Called by e1000e_link.c on the control
 * path and on the EAL's interrupt thread.
 */

#include <errno.h>

#include <rte_cycles.h>

#include "e1000e.h"

/* DPDK base driver, e1000_power_up_phy_copper() and e1000_power_down_phy_copper() */
#define POWER_UP_US 300
#define POWER_DOWN_US 1000
/* IEEE 802.3, 22.2.4.1.1: a reset ends within 0.5 s. */
#define RESET_WAIT_US 1000
#define RESET_WAIT_TRIES 500

#define AN_PAUSE_BITS (E1000E_AN_PAUSE | E1000E_AN_ASM_DIR)
#define AN_SPEED_BITS (E1000E_AN_10_HD | E1000E_AN_10_FD | E1000E_AN_100_HD | E1000E_AN_100_FD)
#define BMCR_SPEED_BITS (E1000E_BMCR_1000 | E1000E_BMCR_100 | E1000E_BMCR_FD)

/* DPDK base driver, e1000_copper_link_setup_m88(), for the PHY of the 82574 */
#define BIAS1 0x0003
#define BIAS2 0x0000

/* Set the bits of a register under a mask. @return 1: written; 0: they were so; negative errno */
static int
phy_update(struct e1000e_hw *hw, unsigned int reg, uint16_t mask, uint16_t bits)
{
	uint16_t old;
	int rc;

	rc = e1000e_phy_read(hw, reg, &old);
	if (rc < 0 || (old & mask) == bits)
		return rc;
	rc = e1000e_phy_write(hw, reg, (old & ~mask) | bits);
	return rc < 0 ? rc : 1;
}

int
e1000e_phy_power(struct e1000e_hw *hw, bool up)
{
	int rc;

	rc = phy_update(hw, E1000E_PHY_BMCR, E1000E_BMCR_PDOWN, up ? 0 : E1000E_BMCR_PDOWN);
	if (rc > 0)
		rte_delay_us(up ? POWER_UP_US : POWER_DOWN_US);
	return RTE_MIN(rc, 0);
}

/* A software reset makes the PHY use what was written, and negotiate again. */
static int
phy_commit(struct e1000e_hw *hw)
{
	unsigned int i;
	uint16_t bmcr;
	int rc;

	rc = phy_update(hw, E1000E_PHY_BMCR, E1000E_BMCR_RESET, E1000E_BMCR_RESET);
	for (i = 0; rc >= 0 && i < RESET_WAIT_TRIES; i++) {
		rc = e1000e_phy_read(hw, E1000E_PHY_BMCR, &bmcr);
		if (rc == 0 && !(bmcr & E1000E_BMCR_RESET))
			return 0;
		rte_delay_us(RESET_WAIT_US);
	}
	return rc < 0 ? rc : -EIO;
}

/*
 * DPDK base driver, e1000_copper_link_setup_m88(): no reversed polarity, downshift switched off and
 * on again, and the bias registers. Crossover is automatic only if the speed is negotiated
 * (e1000_phy_force_speed_duplex_m88()).
 */
static int
copper_setup(struct e1000e_hw *hw, bool forced)
{
	const uint16_t mask =
		E1000E_COPPER_POLARITY_OFF | E1000E_COPPER_AUTO_MDIX | E1000E_COPPER_DOWNSHIFT;
	const uint16_t want = E1000E_COPPER_DOWNSHIFT | (forced ? 0 : E1000E_COPPER_AUTO_MDIX);
	uint16_t copper;
	int rc;

	rc = e1000e_phy_read(hw, E1000E_PHY_COPPER_CTRL, &copper);
	if (rc < 0 || (copper & mask) == want)
		return rc;
	copper = (copper & ~mask) | want;
	rc = e1000e_phy_write(hw, E1000E_PHY_COPPER_CTRL, copper & ~E1000E_COPPER_DOWNSHIFT);
	if (rc == 0)
		rc = phy_commit(hw);
	if (rc == 0)
		rc = e1000e_phy_write(hw, E1000E_PHY_COPPER_CTRL, copper);
	if (rc == 0)
		rc = e1000e_phy_write(hw, E1000E_PHY_BIAS1, BIAS1);
	if (rc == 0)
		rc = e1000e_phy_write(hw, E1000E_PHY_BIAS2, BIAS2);
	return rc < 0 ? rc : phy_commit(hw);
}

/* IEEE 802.3, 28B.3: who wants to receive only advertises both, as the base driver does. */
static uint16_t
pause_bits(enum rte_eth_fc_mode mode)
{
	switch (mode) {
	case RTE_ETH_FC_NONE:
		return 0;
	case RTE_ETH_FC_TX_PAUSE:
		return E1000E_AN_ASM_DIR;
	default:
		return AN_PAUSE_BITS;
	}
}

/* Negotiate, with these speeds and this flow control. */
static int
phy_negotiate(struct e1000e_hw *hw, const struct e1000e_link_conf *conf)
{
	uint16_t adv = pause_bits(conf->fc_mode);
	int rc, changed;

	adv |= conf->speeds & RTE_ETH_LINK_SPEED_10M_HD ? E1000E_AN_10_HD : 0;
	adv |= conf->speeds & RTE_ETH_LINK_SPEED_10M ? E1000E_AN_10_FD : 0;
	adv |= conf->speeds & RTE_ETH_LINK_SPEED_100M_HD ? E1000E_AN_100_HD : 0;
	adv |= conf->speeds & RTE_ETH_LINK_SPEED_100M ? E1000E_AN_100_FD : 0;
	changed = phy_update(hw, E1000E_PHY_ANAR, AN_SPEED_BITS | AN_PAUSE_BITS, adv);
	if (changed < 0)
		return changed;
	/* The chip does not do 1000 Mb/s in half duplex. */
	rc = phy_update(hw, E1000E_PHY_CTRL1000, E1000E_CTRL1000_HD | E1000E_CTRL1000_FD,
		conf->speeds & RTE_ETH_LINK_SPEED_1G ? E1000E_CTRL1000_FD : 0);
	if (rc < 0)
		return rc;
	changed |= rc;
	rc = phy_update(hw, E1000E_PHY_BMCR, E1000E_BMCR_AN, E1000E_BMCR_AN);
	if (rc < 0 || (rc | changed) == 0)
		return rc;
	rc = phy_update(hw, E1000E_PHY_BMCR, E1000E_BMCR_AN_RESTART, E1000E_BMCR_AN_RESTART);
	return RTE_MIN(rc, 0);
}

/* Force the one speed of conf. */
static int
phy_force(struct e1000e_hw *hw, uint32_t speed)
{
	uint16_t bmcr = 0;
	int rc;

	bmcr |= speed & (RTE_ETH_LINK_SPEED_100M | RTE_ETH_LINK_SPEED_100M_HD) ? E1000E_BMCR_100
									       : 0;
	bmcr |= speed & (RTE_ETH_LINK_SPEED_10M | RTE_ETH_LINK_SPEED_100M) ? E1000E_BMCR_FD : 0;
	rc = phy_update(hw, E1000E_PHY_BMCR, E1000E_BMCR_AN | BMCR_SPEED_BITS, bmcr);
	return rc > 0 ? phy_commit(hw) : rc;
}

int
e1000e_phy_setup(struct e1000e_hw *hw, const struct e1000e_link_conf *conf)
{
	int rc;

	rc = e1000e_phy_power(hw, true);
	/* DPDK base driver, e1000_check_reset_block_generic(): firmware has set up the link. */
	if (rc < 0 || (e1000e_read(hw, E1000E_MANC) & E1000E_MANC_BLOCK_PHY_RESET))
		return rc;
	rc = copper_setup(hw, conf->forced);
	if (rc < 0)
		return rc;
	return conf->forced ? phy_force(hw, conf->speeds) : phy_negotiate(hw, conf);
}

int
e1000e_phy_pause(struct e1000e_hw *hw, enum rte_eth_fc_mode want, enum rte_eth_fc_mode *mode)
{
	uint16_t bmsr, own, peer;
	int rc;

	*mode = RTE_ETH_FC_NONE;
	rc = e1000e_phy_read(hw, E1000E_PHY_BMSR, &bmsr);
	if (rc < 0 || !(bmsr & E1000E_BMSR_AN_DONE))
		return rc;
	rc = e1000e_phy_read(hw, E1000E_PHY_ANAR, &own);
	if (rc == 0)
		rc = e1000e_phy_read(hw, E1000E_PHY_ANLPAR, &peer);
	if (rc < 0)
		return rc;
	/* IEEE 802.3, table 28B-3. */
	if (own & peer & E1000E_AN_PAUSE)
		*mode = want == RTE_ETH_FC_FULL ? RTE_ETH_FC_FULL : RTE_ETH_FC_RX_PAUSE;
	else if (!(own & peer & E1000E_AN_ASM_DIR))
		*mode = RTE_ETH_FC_NONE;
	else if (peer & E1000E_AN_PAUSE)
		*mode = RTE_ETH_FC_TX_PAUSE;
	else if (own & E1000E_AN_PAUSE)
		*mode = RTE_ETH_FC_RX_PAUSE;
	return 0;
}
