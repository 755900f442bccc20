/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The link: speeds, flow control, link up and down, and the identification LED.
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

/* DPDK base driver, e1000_valid_led_default_82571(): an NVM word that stands for a default. */
#define ID_LED_RESERVED 0xF746
#define ID_LED_DEFAULT 0x1811

void
e1000e_link_init(struct e1000e_port *port)
{
	uint16_t word = 0;

	port->link = (struct e1000e_link_conf){.speeds = E1000E_SPEEDS, .fc_mode = RTE_ETH_FC_FULL};
	port->fc = (struct rte_eth_fc_conf){
		.pause_time = PAUSE_TIME_DEFAULT, .send_xon = 1, .autoneg = 1};
	port->led_default = e1000e_read(&port->hw, E1000E_LEDCTL);
	/* DPDK base driver, e1000_check_mng_mode_82574(). An unreadable NVM: leave the PHY on. */
	port->phy_shared = e1000e_nvm_read(&port->hw, E1000E_NVM_INIT2, 1, &word) < 0 ||
		(word & E1000E_NVM_INIT2_MANAGED) != 0 ||
		(e1000e_read(&port->hw, E1000E_MANC) & E1000E_MANC_BLOCK_PHY_RESET) != 0;
	e1000e_hw_link_setup(&port->hw, &port->link);
}

int
e1000e_link_configure(struct e1000e_port *port, uint32_t speeds, uint64_t tx_offloads)
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
	if (wanted != 0 && !(wanted & RTE_ETH_LINK_SPEED_1G) &&
		(tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO))
		return E1000E_FAIL(EINVAL, port->hw.name,
			"link_speeds 0x%x: no TCP segmentation below 1000 Mb/s, where the chip"
			" has errors: clear RTE_ETH_TX_OFFLOAD_TCP_TSO, or add RTE_ETH_LINK_SPEED_1G",
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

static int
link_set(struct rte_eth_dev *eth, bool up)
{
	struct e1000e_port *port = eth->data->dev_private;
	int rc = link_power(port, up);

	if (rc == -EBUSY && port->phy_shared)
		return E1000E_FAIL(EBUSY, port->hw.name,
			"the chip's firmware uses the PHY: its power stays on");
	if (rc < 0)
		return E1000E_FAIL(-rc, port->hw.name, "the PHY does not answer: reset the device");
	e1000e_link_update(eth, 0);
	return 0;
}

int
e1000e_set_link_up(struct rte_eth_dev *eth)
{
	return link_set(eth, true);
}

int
e1000e_set_link_down(struct rte_eth_dev *eth)
{
	return link_set(eth, false);
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

/* Linux, e1000_probe(): no segmentation below 1000 Mb/s, "to avoid some hardware issues". */
static void
warn_slow_tso(const struct rte_eth_dev *eth, const struct rte_eth_link *link)
{
	const struct e1000e_port *port = eth->data->dev_private;

	if (link->link_status == RTE_ETH_LINK_UP && link->link_speed < RTE_ETH_SPEED_NUM_1G &&
		(eth->data->dev_conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO))
		E1000E_LOG(WARNING, port->hw.name,
			"link at %u Mb/s: TCP segmentation below 1000 Mb/s, where the chip has"
			" errors: configure the port without RTE_ETH_TX_OFFLOAD_TCP_TSO if"
			" transmission stalls",
			link->link_speed);
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
	if (link.link_speed != old.link_speed)
		warn_slow_tso(eth, &link);
	if (old.link_speed != link.link_speed || old.link_duplex != link.link_duplex)
		e1000e_link_changed(port);
	/* Cleared first: a change during fc_apply() makes the next call apply it again. */
	if (link.link_status == RTE_ETH_LINK_UP &&
		__atomic_exchange_n(&port->fc_stale, false, __ATOMIC_ACQ_REL))
		fc_apply(port, link.link_duplex);
	return rte_eth_linkstatus_set(eth, &link);
}

int
e1000e_flow_ctrl_get(struct rte_eth_dev *eth, struct rte_eth_fc_conf *conf)
{
	const struct e1000e_port *port = eth->data->dev_private;
	uint32_t ctrl, high, low;

	*conf = port->fc;
	fc_thresholds(port, port->data->mtu, &high, &low);
	conf->high_water = high;
	conf->low_water = low;
	conf->mode = port->link.fc_mode;
	if (eth->data->dev_started && eth->data->dev_link.link_status == RTE_ETH_LINK_UP) {
		ctrl = e1000e_read(&port->hw, E1000E_CTRL);
		conf->mode = ctrl & E1000E_CTRL_RFCE
			? (ctrl & E1000E_CTRL_TFCE ? RTE_ETH_FC_FULL : RTE_ETH_FC_RX_PAUSE)
			: (ctrl & E1000E_CTRL_TFCE ? RTE_ETH_FC_TX_PAUSE : RTE_ETH_FC_NONE);
	}
	return 0;
}

/* @return 0, or -EINVAL and a line */
static int
fc_check(const struct e1000e_port *port, const struct rte_eth_fc_conf *conf)
{
	const uint32_t most = E1000E_PBA_RX_KIB * 1024 - (port->data->mtu + E1000E_OVERHEAD);

	if ((unsigned int)conf->mode > RTE_ETH_FC_FULL)
		return E1000E_FAIL(
			EINVAL, port->hw.name, "flow control: unknown mode %d", (int)conf->mode);
	if (conf->high_water > most ||
		(conf->high_water != 0 &&
			(conf->high_water & E1000E_FCRT_MASK) <=
				(conf->low_water & E1000E_FCRT_MASK)))
		return E1000E_FAIL(EINVAL, port->hw.name,
			"flow control: high_water %u, low_water %u: set low_water < high_water <="
			" %u, in multiples of 8 bytes, or 0 for both",
			conf->high_water, conf->low_water, most);
	if (conf->high_water == 0 && conf->low_water != 0)
		return E1000E_FAIL(EINVAL, port->hw.name,
			"flow control: low_water %u without a high_water: set both, or none",
			conf->low_water);
	return 0;
}

int
e1000e_flow_ctrl_set(struct rte_eth_dev *eth, const struct rte_eth_fc_conf *conf)
{
	struct e1000e_port *port = eth->data->dev_private;
	const struct e1000e_link_conf old_link = port->link;
	const struct rte_eth_fc_conf old_fc = port->fc;
	int rc;

	rc = fc_check(port, conf);
	if (rc < 0)
		return rc;
	port->fc = *conf;
	port->link.fc_mode = conf->mode;
	if (!eth->data->dev_started)
		return 0;
	/* Another advertisement starts a new negotiation, which takes the link down for a while. */
	rc = port->link_off ? 0 : e1000e_phy_setup(&port->hw, &port->link);
	if (rc < 0) {
		port->link = old_link;
		port->fc = old_fc;
		return E1000E_FAIL(-rc, port->hw.name, "the PHY does not answer: reset the device");
	}
	e1000e_fc_write(port, port->data->mtu);
	e1000e_link_changed(port);
	e1000e_link_update(eth, 0);
	return 0;
}

/*
 * Make LEDCTL for one of the two states of the identification LED that NVM word 4 gives, in four
 * bits a LED: 4 to 6 are on in state 1, 7 to 9 off; 2, 5 and 8 are on in state 2, 3, 6 and 9 off;
 * otherwise a LED stays as it is (DPDK base driver, e1000_id_led_init_generic()).
 */
static uint32_t
led_state(const struct e1000e_port *port, uint16_t id, bool on)
{
	uint32_t ledctl = port->led_default, led;
	unsigned int i, code, state;
	bool link = e1000e_read(&port->hw, E1000E_STATUS) & E1000E_STATUS_LU;

	for (i = 0; i < E1000E_LEDCTL_LEDS; i++) {
		code = (id >> (4 * i)) & 0xF;
		if (code < 1 || code > 9)
			continue;
		/* 0: as it is, 1: on, 2: off */
		state = on ? (code - 1) % 3 : (code - 1) / 3;
		if (state == 0)
			continue;
		led = state == 1 ? E1000E_LEDCTL_MODE_ON : E1000E_LEDCTL_MODE_OFF;
		/* e1000_led_on_82574(): without a link, "on" is dark unless it is inverted. */
		if (on && state == 1 && !link)
			led |= E1000E_LEDCTL_INVERT;
		ledctl &= ~E1000E_FIELD(0xFF, 8 * i);
		ledctl |= E1000E_FIELD(led, 8 * i);
	}
	return ledctl;
}

static int
led_set(struct rte_eth_dev *eth, bool on)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t id;
	int rc;

	rc = e1000e_nvm_read(&port->hw, E1000E_NVM_ID_LED, 1, &id);
	if (rc < 0)
		return E1000E_FAIL(-rc, port->hw.name,
			"the NVM, which describes the LEDs, cannot be read: reset the device");
	if (id == ID_LED_RESERVED)
		id = ID_LED_DEFAULT;
	e1000e_write(&port->hw, E1000E_LEDCTL, led_state(port, id, on));
	return 0;
}

int
e1000e_led_on(struct rte_eth_dev *eth)
{
	return led_set(eth, true);
}

int
e1000e_led_off(struct rte_eth_dev *eth)
{
	return led_set(eth, false);
}
