/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The link: speeds, flow control, and the power of the PHY.
 *
 * What the application asks for is kept in the port and written when it starts. The MAC's flow
 * control follows each change of the link, on whichever thread sees it first. Operations of ethdev;
 * called by e1000e_ethdev.c and e1000e_intr.c.
 */

#include <errno.h>

#include <rte_cycles.h>

#include "e1000e.h"

#define LINK_WAIT_MS 100
#define LINK_WAIT_TRIES 90

#define SPEEDS_FORCED                                                                              \
	(RTE_ETH_LINK_SPEED_10M_HD | RTE_ETH_LINK_SPEED_10M | RTE_ETH_LINK_SPEED_100M_HD |         \
		RTE_ETH_LINK_SPEED_100M)

/* IEEE 802.3, 31B.1: address and type of pause frames. */
#define PAUSE_ADDRESS_LOW 0x00C28001
#define PAUSE_ADDRESS_HIGH 0x00000100
#define PAUSE_TYPE 0x8808
/* DPDK em, EM_FC_PAUSE_TIME */
#define PAUSE_TIME_DEFAULT 0x0680

void
e1000e_link_init(struct e1000e_port *port)
{
	uint16_t word = 0;

	port->link = (struct e1000e_link_conf){.speeds = E1000E_SPEEDS, .fc_mode = RTE_ETH_FC_FULL};
	port->fc = (struct rte_eth_fc_conf){
		.pause_time = PAUSE_TIME_DEFAULT, .send_xon = 1, .autoneg = 1};
	/* DPDK base driver, e1000_check_mng_mode_82574(). An unreadable NVM: leave the PHY on. */
	port->phy_shared = e1000e_nvm_read(&port->hw, E1000E_NVM_INIT2, 1, &word) < 0 ||
		(word & E1000E_NVM_INIT2_MANAGED) != 0 ||
		(e1000e_read(&port->hw, E1000E_MANC) & E1000E_MANC_BLOCK_PHY_RESET) != 0;
	e1000e_hw_link_setup(&port->hw, &port->link);
}

int
e1000e_link_configure(struct e1000e_port *port, uint32_t speeds)
{
	const uint32_t wanted = speeds & ~RTE_ETH_LINK_SPEED_FIXED;
	const bool fixed = speeds & RTE_ETH_LINK_SPEED_FIXED;

	if (wanted & ~E1000E_SPEEDS)
		return E1000E_FAIL(EINVAL, port->hw.name,
			"link_speeds 0x%x: the chip does 10, 100 (both in half duplex too) and 1000"
			" Mb/s: clear the other bits",
			speeds);
	if (fixed && !rte_is_power_of_2(wanted))
		return E1000E_FAIL(EINVAL, port->hw.name,
			"link_speeds 0x%x: a fixed link has one speed: set one bit beside"
			" RTE_ETH_LINK_SPEED_FIXED, or clear that",
			speeds);
	/*
	 * IEEE 802.3, 40.5.1: 1000BASE-T always negotiates. A fixed 1000 Mb/s advertises nothing
	 * else, as Linux e1000_set_spd_dplx() does.
	 */
	port->link.forced = fixed && (wanted & SPEEDS_FORCED) != 0;
	port->link.speeds = wanted != 0 ? wanted : E1000E_SPEEDS;
	return 0;
}

/* Thresholds in bytes: those that were asked for, or Linux e1000e_reset()'s for the MTU. */
static void
fc_thresholds(const struct e1000e_port *port, uint16_t mtu, uint32_t *high, uint32_t *low)
{
	const uint32_t buffer = E1000E_PBA_RX_KIB * 1024;
	const uint32_t most = buffer - (mtu + E1000E_OVERHEAD);

	*high = port->fc.high_water & E1000E_FCRT_MASK;
	*low = port->fc.low_water & E1000E_FCRT_MASK;
	/* A larger MTU since then can leave less space above the threshold. */
	if (*high == 0 || *high > most) {
		*high = RTE_MIN(buffer * 9 / 10, most) & E1000E_FCRT_MASK;
		*low = *high - 8;
	}
}

void
e1000e_fc_write(struct e1000e_port *port, uint16_t mtu)
{
	uint32_t high = 0, low = 0;

	/* DPDK base driver, e1000_setup_link_generic() and e1000_set_fc_watermarks_generic(). */
	e1000e_write(&port->hw, E1000E_FCT, PAUSE_TYPE);
	e1000e_write(&port->hw, E1000E_FCAH, PAUSE_ADDRESS_HIGH);
	e1000e_write(&port->hw, E1000E_FCAL, PAUSE_ADDRESS_LOW);
	e1000e_write(&port->hw, E1000E_FCTTV, port->fc.pause_time);
	if (port->link.fc_mode == RTE_ETH_FC_TX_PAUSE || port->link.fc_mode == RTE_ETH_FC_FULL) {
		fc_thresholds(port, mtu, &high, &low);
		low |= port->fc.send_xon ? E1000E_FCRTL_XONE : 0;
	}
	e1000e_write(&port->hw, E1000E_FCRTL, low);
	e1000e_write(&port->hw, E1000E_FCRTH, high);
}

/* Have the MAC do what was negotiated, or what is forced (10.2.2, CTRL.RFCE and CTRL.TFCE). */
static void
fc_apply(struct e1000e_port *port, uint16_t duplex)
{
	enum rte_eth_fc_mode mode = port->link.fc_mode;
	uint32_t set = 0;

	if (port->fc.autoneg && e1000e_phy_pause(&port->hw, port->link.fc_mode, &mode) < 0)
		E1000E_LOG(ERR, port->hw.name,
			"the PHY does not tell what was negotiated: no flow control");
	if (duplex == RTE_ETH_LINK_HALF_DUPLEX)
		mode = RTE_ETH_FC_NONE; /* IEEE 802.3, 31.1 */
	if (mode == RTE_ETH_FC_RX_PAUSE || mode == RTE_ETH_FC_FULL)
		set |= E1000E_CTRL_RFCE;
	if (mode == RTE_ETH_FC_TX_PAUSE || mode == RTE_ETH_FC_FULL)
		set |= E1000E_CTRL_TFCE;
	e1000e_hw_ctrl_update(&port->hw, E1000E_CTRL_RFCE | E1000E_CTRL_TFCE, set);
}

int
e1000e_link_start(struct e1000e_port *port)
{
	int rc;

	e1000e_hw_link_setup(&port->hw, &port->link);
	rc = e1000e_phy_setup(&port->hw, &port->link);
	if (rc < 0)
		return E1000E_FAIL(-rc, port->hw.name,
			"the PHY does not answer: reset the device, or look for a program that"
			" keeps its MDIO");
	port->link_off = false;
	e1000e_fc_write(port, port->data->mtu);
	e1000e_link_changed(port);
	return 0;
}

/* Power the PHY down, so that the link partner sees the link go. */
static int
link_power(struct e1000e_port *port, bool up)
{
	int rc;

	if (port->phy_shared)
		return -EBUSY;
	rc = e1000e_phy_power(&port->hw, up);
	if (rc == 0)
		port->link_off = !up;
	return rc;
}

void
e1000e_link_stop(struct e1000e_port *port)
{
	if (e1000e_hw_gone(&port->hw))
		return;
	e1000e_hw_ctrl_update(&port->hw, E1000E_CTRL_RFCE | E1000E_CTRL_TFCE, 0);
	if (!port->phy_shared && link_power(port, false) < 0)
		E1000E_LOG(ERR, port->hw.name,
			"the PHY does not answer: the link partner sees the link up");
}

static void
link_get(const struct e1000e_port *port, struct rte_eth_link *link)
{
	e1000e_hw_link_get(&port->hw, link);
	if (port->link_off)
		link->link_status = RTE_ETH_LINK_DOWN;
	link->link_autoneg = port->link.forced ? RTE_ETH_LINK_FIXED : RTE_ETH_LINK_AUTONEG;
	if (link->link_status == RTE_ETH_LINK_DOWN) {
		link->link_speed = RTE_ETH_SPEED_NUM_NONE;
		link->link_duplex = RTE_ETH_LINK_HALF_DUPLEX;
	}
}

void
e1000e_link_changed(struct e1000e_port *port)
{
	__atomic_store_n(&port->fc_stale, true, __ATOMIC_RELEASE);
}

int
e1000e_link_update(struct rte_eth_dev *eth, int wait)
{
	struct e1000e_port *port = eth->data->dev_private;
	struct rte_eth_link link, old;
	unsigned int i;

	link_get(port, &link);
	for (i = 0; wait && link.link_status == RTE_ETH_LINK_DOWN && !port->link_off &&
		i < LINK_WAIT_TRIES;
		i++) {
		rte_delay_ms(LINK_WAIT_MS);
		link_get(port, &link);
	}
	rte_eth_linkstatus_get(eth, &old);
	if (old.link_speed != link.link_speed || old.link_duplex != link.link_duplex)
		e1000e_link_changed(port);
	/* Cleared first: a change during fc_apply() makes the next call apply it again. */
	if (link.link_status == RTE_ETH_LINK_UP &&
		__atomic_exchange_n(&port->fc_stale, false, __ATOMIC_ACQ_REL))
		fc_apply(port, link.link_duplex);
	return rte_eth_linkstatus_set(eth, &link);
}
