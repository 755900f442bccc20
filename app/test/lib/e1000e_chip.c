/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The model of the 82574L. Its rules are those of the data sheet and of the drivers that are known
 * to work on silicon; each fault's text says which.
 */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include <dmamap.h>
#include <e1000e.h>

#include "e1000e_chip.h"

#define N_EVENTS 8192
#define N_REGS (0x20000 / 4)
/* Reads of EEC after a reset until it shows that the NVM was read. */
#define AUTO_RD_READS 2
#define PHY_QUIET_MS 25

uint32_t __real_e1000e_read(const struct e1000e_hw *hw, uint32_t reg);
void __real_e1000e_write(const struct e1000e_hw *hw, uint32_t reg, uint32_t value);
uint32_t __wrap_e1000e_read(const struct e1000e_hw *hw, uint32_t reg);
void __wrap_e1000e_write(const struct e1000e_hw *hw, uint32_t reg, uint32_t value);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char chip_name[32];
static volatile uint32_t *regs;
static uint16_t phy[32], nvm[CHIP_NVM_WORDS], flash[CHIP_NVM_WORDS], partner;
static unsigned int protected_from, flupd_reads;
static bool is_flash, eewr_mute, eewr_busy;
static struct dmamap_container *dma;
static bool cable, gigabit, held, mute, broken, unplugged, stuck, stalled;
static unsigned int auto_rd_reads, bmcr_reads;
static bool mdic_busy, masked, recording;
static uint64_t quiet_until;
static struct {
	uint32_t at, value;
} events[N_EVENTS];
static int n_events;
static uint16_t reads[N_REGS];
static char fault[128];

#define REG(at) regs[(at) / 4]

static void
broke(const char *rule)
{
	if (fault[0] == '\0')
		snprintf(fault, sizeof(fault), "%s", rule);
}

static void
record(uint32_t at, uint32_t value)
{
	if (!recording)
		return;
	if (n_events == N_EVENTS) {
		broke("the record is full");
		return;
	}
	events[n_events].at = at;
	events[n_events++].value = value;
}

static bool
owned(void)
{
	return (REG(E1000E_EXTCNF_CTRL) & E1000E_EXTCNF_CTRL_MDIO_SW) != 0;
}

/* The values after power-on and after a reset. Bits that the errata ask for are wrong. */
static void
regs_reset(void)
{
	unsigned int q;

	REG(E1000E_CTRL) = E1000E_CTRL_ERRATUM_OFF | E1000E_CTRL_FD;
	REG(E1000E_CTRL_EXT) = E1000E_CTRL_EXT_ERRATUM_OFF;
	REG(E1000E_GCR) = REG(E1000E_GCR2) = 0;
	REG(E1000E_WUC) = 1;
	REG(E1000E_LEDCTL) = 0x00068302;
	REG(E1000E_EXTCNF_CTRL) = 0;
	REG(E1000E_IMS) = REG(E1000E_ICR) = 0;
	REG(E1000E_RCTL) = REG(E1000E_TCTL) = 0;
	REG(E1000E_FCRTL) = REG(E1000E_FCRTH) = REG(E1000E_FCTTV) = 0;
	REG(E1000E_FCAL) = REG(E1000E_FCAH) = REG(E1000E_FCT) = 0;
	for (q = 0; q < E1000E_QUEUES; q++) {
		REG(E1000E_TXDCTL(q)) = 0;
		REG(E1000E_TARC(q)) = E1000E_TARC_COUNT(3) | E1000E_TARC_EN | E1000E_FIELD(5, 27);
	}
	/* The NVM has one address. */
	REG(E1000E_RAL(0)) = 0x12005452;
	REG(E1000E_RAH(0)) = 0x5634 | E1000E_RAH_AV;
	/* 1 KiB: size 1 of 2^(6 + size) words. */
	REG(E1000E_EEC) = 1 << 11 | (is_flash ? 3 << 15 | E1000E_EEC_AUPDEN : 0);
	REG(E1000E_EEWR) = E1000E_EERD_DONE;
	auto_rd_reads = 0;
	quiet_until = UINT64_MAX;
	masked = false;
}

static void
global_reset(void)
{
	if (!masked)
		broke("4.6.1: interrupts are not masked before a reset");
	if ((REG(E1000E_RCTL) & E1000E_RCTL_EN) || (REG(E1000E_TCTL) & E1000E_TCTL_EN))
		broke("a reset while the chip receives or transmits");
	if (!(REG(E1000E_CTRL) & E1000E_CTRL_GIO_MASTER_DISABLE))
		broke("10.2.2: a reset with PCIe requests under way");
	if (!owned() && !held)
		broke("DPDK base driver: a reset without ownership of the MDIO");
	regs_reset();
}

/* The link: speed in STATUS's bits, or -1 if there is none. */
static int
link_speed(bool *full)
{
	const uint16_t bmcr = phy[E1000E_PHY_BMCR];
	const uint16_t both = phy[E1000E_PHY_ANAR] & partner;
	const uint32_t ctrl = REG(E1000E_CTRL);
	int speed;

	*full = true;
	if (!cable || (!stuck && (bmcr & E1000E_BMCR_PDOWN)) || !(ctrl & E1000E_CTRL_SLU))
		return -1;
	if (!(bmcr & E1000E_BMCR_AN)) {
		speed = bmcr & E1000E_BMCR_1000 ? 2 : bmcr & E1000E_BMCR_100 ? 1 : 0;
		*full = bmcr & E1000E_BMCR_FD;
		/* The MAC has to be forced to the same. */
		if (!(ctrl & E1000E_CTRL_FRCSPD) || !(ctrl & E1000E_CTRL_FRCDPX) ||
			(int)(ctrl >> 8 & 3) != speed || !(ctrl & E1000E_CTRL_FD) == *full ||
			(phy[E1000E_PHY_COPPER_CTRL] & E1000E_COPPER_AUTO_MDIX))
			return -1;
		return speed;
	}
	if (ctrl & (E1000E_CTRL_FRCSPD | E1000E_CTRL_FRCDPX))
		return -1;
	if (gigabit && (phy[E1000E_PHY_CTRL1000] & E1000E_CTRL1000_FD))
		return 2;
	if (both & (E1000E_AN_100_FD | E1000E_AN_100_HD)) {
		*full = both & E1000E_AN_100_FD;
		return 1;
	}
	*full = both & E1000E_AN_10_FD;
	return both & (E1000E_AN_10_FD | E1000E_AN_10_HD) ? 0 : -1;
}

static uint32_t
status(void)
{
	bool full;
	int speed = link_speed(&full);
	uint32_t value =
		REG(E1000E_CTRL) & E1000E_CTRL_GIO_MASTER_DISABLE ? 0 : E1000E_STATUS_GIO_MASTER;

	if (speed < 0)
		return value;
	return value | E1000E_STATUS_LU | E1000E_FIELD(speed, 6) | (full ? E1000E_STATUS_FD : 0);
}

static uint16_t
phy_read(unsigned int reg)
{
	uint16_t value = phy[reg];
	bool full;

	switch (reg) {
	case E1000E_PHY_BMCR:
		/* A reset takes a while, and keeps the settings. */
		if ((value & E1000E_BMCR_RESET) && ++bmcr_reads > 2)
			phy[reg] = value &= ~E1000E_BMCR_RESET;
		return value;
	case E1000E_PHY_BMSR:
		return (value & ~E1000E_BMSR_AN_DONE) |
			((phy[E1000E_PHY_BMCR] & E1000E_BMCR_AN) && link_speed(&full) >= 0
					? E1000E_BMSR_AN_DONE
					: 0);
	case E1000E_PHY_ANLPAR:
		return partner;
	default:
		return value;
	}
}

static void
phy_write(unsigned int reg, uint16_t value)
{
	record(CHIP_PHY(reg), value);
	if (reg == E1000E_PHY_BMCR) {
		value &= ~E1000E_BMCR_AN_RESTART;
		bmcr_reads = 0;
	}
	phy[reg] = value;
}

static void
mdic_write(uint32_t value)
{
	const unsigned int reg = E1000E_MDIC_REG_OF(value);

	if (!owned())
		broke("DPDK base driver: MDIC without ownership");
	if (rte_get_timer_cycles() < quiet_until)
		broke("DPDK base driver: MDIC within 25 ms of EEC.AUTO_RD");
	if (mdic_busy && !mute)
		broke("10.2.2: MDIC while an access is under way");
	if ((value >> 21 & 0x1F) != E1000E_PHY_ADDRESS) {
		REG(E1000E_MDIC) = value | E1000E_MDIC_READY | E1000E_MDIC_ERROR;
		return;
	}
	if (reg >= E1000E_PHY_PAGED && reg != E1000E_PHY_PAGE && phy[E1000E_PHY_PAGE] != 0)
		broke("10.3: a register of page 0 while another page is selected");
	if (value & E1000E_MDIC_WRITE)
		phy_write(reg, (uint16_t)value);
	else
		value = (value & ~UINT32_C(0xFFFF)) | phy_read(reg);
	REG(E1000E_MDIC) = value;
	mdic_busy = true;
}

static uint32_t
mdic_read(void)
{
	uint32_t value = REG(E1000E_MDIC);

	if (mute)
		return value;
	/* The first read finds it busy. */
	REG(E1000E_MDIC) |= E1000E_MDIC_READY;
	mdic_busy = false;
	return value;
}

static void
eerd_write(uint32_t value)
{
	const unsigned int word = value >> 2 & 0x3FFF;

	if (!owned())
		broke("DPDK base driver: EERD without ownership");
	if (rte_get_timer_cycles() < quiet_until)
		broke("DPDK base driver: EERD within 25 ms of EEC.AUTO_RD");
	if (word >= CHIP_NVM_WORDS)
		broke("a word beyond the NVM");
	REG(E1000E_EERD) = E1000E_EERD_DONE | E1000E_FIELD(nvm[word % CHIP_NVM_WORDS], 16);
}

static void
eewr_write(uint32_t value)
{
	const unsigned int word = value >> 2 & 0x3FFF;

	if (!owned())
		broke("DPDK base driver: EEWR without ownership");
	if (eewr_busy)
		broke("10.2.2: EEWR while a write is under way");
	if (is_flash && (REG(E1000E_EEC) & E1000E_EEC_AUPDEN))
		broke("Linux: EEWR with EEC.AUPDEN set");
	if (word >= CHIP_NVM_WORDS)
		broke("a word beyond the NVM");
	else if (word < protected_from)
		nvm[word] = value >> 16;
	REG(E1000E_EEWR) = 0;
	eewr_busy = true;
}

static uint32_t
eewr_read(void)
{
	const uint32_t value = REG(E1000E_EEWR);

	if (eewr_mute)
		return 0;
	/* The first read finds it busy. */
	REG(E1000E_EEWR) |= E1000E_EERD_DONE;
	eewr_busy = false;
	return value;
}

static void
eec_write(uint32_t value)
{
	if ((value & E1000E_EEC_FLUPD) && !is_flash)
		broke("10.2.2: EEC.FLUPD without a flash");
	if (value & E1000E_EEC_FLUPD) {
		memcpy(flash, nvm, sizeof(flash));
		flupd_reads = 0;
	}
	REG(E1000E_EEC) = value;
}

static uint32_t
eec_read(void)
{
	if ((REG(E1000E_EEC) & E1000E_EEC_FLUPD) && ++flupd_reads > 2)
		REG(E1000E_EEC) &= ~E1000E_EEC_FLUPD;
	if (!broken && ++auto_rd_reads == AUTO_RD_READS) {
		REG(E1000E_EEC) |= E1000E_EEC_AUTO_RD;
		quiet_until = rte_get_timer_cycles() + PHY_QUIET_MS * rte_get_timer_hz() / 1000;
	}
	return REG(E1000E_EEC);
}

static void *
ring_at(uint32_t low, uint32_t high, uint32_t index)
{
	return dmamap_iova2va(
		dma, ((uint64_t)REG(high) << 32 | REG(low)) + (uint64_t)index * E1000E_DESC_LEN);
}

/* Send what lies in a ring, and report where it is asked for. @return the head */
static uint32_t
tdh_read(unsigned int q)
{
	union e1000e_tx_desc *desc;
	uint32_t head = REG(E1000E_TDH(q));

	if (dma == NULL || stalled || !(REG(E1000E_TCTL) & E1000E_TCTL_EN))
		return head;
	for (; head != REG(E1000E_TDT(q));
		head = (head + 1) % (REG(E1000E_TDLEN(q)) / E1000E_DESC_LEN)) {
		desc = ring_at(E1000E_TDBAL(q), E1000E_TDBAH(q), head);
		if (rte_le_to_cpu_32(desc->data.cmd) & E1000E_TXD_RS)
			desc->data.status |= rte_cpu_to_le_32(E1000E_TXD_DD);
	}
	return REG(E1000E_TDH(q)) = head;
}

int
chip_receive(uint32_t hash, uint16_t len, uint8_t value)
{
	union e1000e_rx_desc *desc;
	unsigned int q = 0;
	int rc = -1;

	pthread_mutex_lock(&lock);
	if (!(REG(E1000E_RCTL) & E1000E_RCTL_EN))
		goto out;
	if (REG(E1000E_MRQC) != 0)
		q = REG(E1000E_RETA(hash % E1000E_RETA_ENTRIES / 4)) >>
				(8 * (hash % 4) + E1000E_RETA_QUEUE_SHIFT) &
			1;
	rc = -2;
	if (REG(E1000E_RDH(q)) == REG(E1000E_RDT(q)))
		goto out;
	desc = ring_at(E1000E_RDBAL(q), E1000E_RDBAH(q), REG(E1000E_RDH(q)));
	memset(dmamap_iova2va(dma, rte_le_to_cpu_64(desc->read.addr)), value, len);
	*desc = (union e1000e_rx_desc){
		.wb = {
			.len = rte_cpu_to_le_16(len),
			.status = rte_cpu_to_le_32(E1000E_RXD_DD | E1000E_RXD_EOP),
		}};
	REG(E1000E_RDH(q)) = (REG(E1000E_RDH(q)) + 1) % (REG(E1000E_RDLEN(q)) / E1000E_DESC_LEN);
	rc = (int)q;
out:
	pthread_mutex_unlock(&lock);
	return rc;
}

/* Registers of a ring, but the tail, while its direction is enabled. */
static void
check_ring_write(uint32_t at)
{
	unsigned int q;

	for (q = 0; q < E1000E_QUEUES; q++) {
		if (at >= E1000E_RDBAL(q) && at <= E1000E_RDH(q) &&
			(REG(E1000E_RCTL) & E1000E_RCTL_EN))
			broke("10.2.5: a receive ring is changed while RCTL.EN is set");
		if (at >= E1000E_TDBAL(q) && at <= E1000E_TDH(q) &&
			(REG(E1000E_TCTL) & E1000E_TCTL_EN))
			broke("10.2.6: a transmit ring is changed while TCTL.EN is set");
	}
}

static uint32_t
chip_read(uint32_t at)
{
	if (unplugged)
		return UINT32_MAX;
	reads[at / 4]++;
	switch (at) {
	case E1000E_STATUS:
		return status();
	case E1000E_MDIC:
		return mdic_read();
	case E1000E_EEC:
		return eec_read();
	case E1000E_EEWR:
		return eewr_read();
	case E1000E_TDH(0):
	case E1000E_TDH(1):
		return tdh_read(at == E1000E_TDH(1));
	default:
		return REG(at);
	}
}

static void
chip_write(uint32_t at, uint32_t value)
{
	if (unplugged)
		return;
	record(at, value);
	check_ring_write(at);
	switch (at) {
	case E1000E_CTRL:
		if (value & E1000E_CTRL_RST)
			global_reset();
		else
			REG(at) = value;
		break;
	case E1000E_MDIC:
		mdic_write(value);
		break;
	case E1000E_EERD:
		eerd_write(value);
		break;
	case E1000E_EEWR:
		eewr_write(value);
		break;
	case E1000E_EEC:
		eec_write(value);
		break;
	case E1000E_EXTCNF_CTRL:
		REG(at) = held ? value & ~E1000E_EXTCNF_CTRL_MDIO_SW : value;
		break;
	case E1000E_IMC:
		REG(E1000E_IMS) &= ~value;
		masked = REG(E1000E_IMS) == 0;
		break;
	case E1000E_IMS:
		REG(at) |= value;
		break;
	case E1000E_ICR:
		REG(at) &= ~value;
		break;
	case E1000E_STATUS:
		break;
	default:
		REG(at) = value;
	}
}

uint32_t
__wrap_e1000e_read(const struct e1000e_hw *hw, uint32_t reg)
{
	uint32_t value;

	pthread_mutex_lock(&lock);
	value = regs != NULL && strcmp(hw->name, chip_name) == 0 ? chip_read(reg)
								 : __real_e1000e_read(hw, reg);
	pthread_mutex_unlock(&lock);
	return value;
}

void
__wrap_e1000e_write(const struct e1000e_hw *hw, uint32_t reg, uint32_t value)
{
	pthread_mutex_lock(&lock);
	if (regs != NULL && strcmp(hw->name, chip_name) == 0)
		chip_write(reg, value);
	else
		__real_e1000e_write(hw, reg, value);
	pthread_mutex_unlock(&lock);
}

void
chip_power_on(const char *name, volatile uint32_t *memory)
{
	unsigned int i;

	pthread_mutex_lock(&lock);
	snprintf(chip_name, sizeof(chip_name), "%s", name);
	regs = memory;
	for (i = 0; i < N_REGS; i++)
		regs[i] = 0;
	is_flash = eewr_mute = eewr_busy = false;
	protected_from = CHIP_NVM_WORDS;
	regs_reset();
	/* What the kernel's driver leaves: the PHY without power, another page selected. */
	memset(phy, 0, sizeof(phy));
	phy[E1000E_PHY_BMCR] =
		E1000E_BMCR_AN | E1000E_BMCR_FD | E1000E_BMCR_1000 | E1000E_BMCR_PDOWN;
	phy[E1000E_PHY_BMSR] = 0x7949;
	phy[2] = 0x0141;
	phy[3] = 0x0CB1;
	phy[E1000E_PHY_ANAR] = 0x01E1;
	phy[E1000E_PHY_CTRL1000] = E1000E_CTRL1000_HD | E1000E_CTRL1000_FD;
	phy[E1000E_PHY_COPPER_CTRL] = 0x3300 | E1000E_COPPER_POLARITY_OFF;
	phy[E1000E_PHY_PAGE] = 2;
	phy[E1000E_PHY_BIAS1] = phy[E1000E_PHY_BIAS2] = 0x5555;
	memset(nvm, 0xFF, sizeof(nvm));
	nvm[0] = 0x5452;
	nvm[1] = 0x1200;
	nvm[2] = 0x5634;
	nvm[E1000E_NVM_ID_LED] = 0xF746;
	nvm[E1000E_NVM_VERSION] = 0x2010;
	nvm[E1000E_NVM_INIT2] = 0x8058;
	partner = CHIP_PARTNER;
	cable = gigabit = true;
	held = mute = broken = unplugged = stuck = stalled = mdic_busy = recording = false;
	dma = NULL;
	fault[0] = '\0';
	n_events = 0;
	pthread_mutex_unlock(&lock);
}

void
chip_power_off(void)
{
	pthread_mutex_lock(&lock);
	regs = NULL;
	dma = NULL;
	pthread_mutex_unlock(&lock);
}

#define SETTER(function, variable)                                                                 \
	void function(bool value)                                                                  \
	{                                                                                          \
		pthread_mutex_lock(&lock);                                                         \
		variable = value;                                                                  \
		pthread_mutex_unlock(&lock);                                                       \
	}

SETTER(chip_cable, cable)
SETTER(chip_hold_mdio, held)
SETTER(chip_break_nvm, broken)
SETTER(chip_unplug, unplugged)
SETTER(chip_stick_link, stuck)
SETTER(chip_stall, stalled)
SETTER(chip_mute_eewr, eewr_mute)

void
chip_protect_nvm(unsigned int word)
{
	pthread_mutex_lock(&lock);
	protected_from = word;
	pthread_mutex_unlock(&lock);
}

void
chip_use_flash(void)
{
	pthread_mutex_lock(&lock);
	is_flash = true;
	memcpy(flash, nvm, sizeof(flash));
	regs_reset();
	pthread_mutex_unlock(&lock);
}

uint16_t
chip_flash(unsigned int word)
{
	return flash[word];
}

void
chip_memory(struct dmamap_container *value)
{
	pthread_mutex_lock(&lock);
	dma = value;
	pthread_mutex_unlock(&lock);
}

void
chip_mute_phy(bool value)
{
	pthread_mutex_lock(&lock);
	mute = value;
	mdic_busy = false;
	pthread_mutex_unlock(&lock);
}

void
chip_partner(uint16_t anlpar, bool does_gigabit)
{
	pthread_mutex_lock(&lock);
	partner = anlpar;
	gigabit = does_gigabit;
	pthread_mutex_unlock(&lock);
}

uint16_t *
chip_phy(unsigned int reg)
{
	return &phy[reg];
}

uint16_t *
chip_nvm(unsigned int word)
{
	return &nvm[word];
}

void
chip_record(void)
{
	pthread_mutex_lock(&lock);
	n_events = 0;
	recording = true;
	memset(reads, 0, sizeof(reads));
	pthread_mutex_unlock(&lock);
}

int
chip_find(int from, uint32_t at, uint32_t mask, uint32_t bits)
{
	int i;

	for (i = from; i < n_events; i++)
		if (events[i].at == at && (events[i].value & mask) == bits)
			return i;
	return -1;
}

unsigned int
chip_count(uint32_t at, uint32_t mask, uint32_t bits)
{
	unsigned int n = 0;
	int i;

	for (i = chip_find(0, at, mask, bits); i >= 0; i = chip_find(i + 1, at, mask, bits))
		n++;
	return n;
}

unsigned int
chip_reads(uint32_t at)
{
	return reads[at / 4];
}

const char *
chip_fault(void)
{
	static char text[sizeof(fault)];

	if (fault[0] == '\0')
		return NULL;
	memcpy(text, fault, sizeof(text));
	fault[0] = '\0';
	return text;
}
