/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The serial interfaces behind the chip: registers of the PHY (MDIO) and words of the NVM.
 *
 * The chip's firmware uses both too, so an access needs the ownership bit in EXTCNF_CTRL; a lock
 * keeps the threads of this process apart. Called by e1000e_phy.c, e1000e_hw.c and e1000e_nvm.c on
 * the control path and on the EAL's interrupt thread. All calls busy-wait.
 */

#include <errno.h>

#include <rte_cycles.h>

#include "e1000e.h"

/* DPDK base driver, e1000_get_hw_semaphore_82573(): 10 tries, 2 ms apart. */
#define OWN_WAIT_US 2000
#define OWN_WAIT_TRIES 10
/* DPDK base driver, e1000_read_phy_reg_mdic(): 1,920 tries, 50 us apart. */
#define MDIC_WAIT_US 50
#define MDIC_WAIT_TRIES 1920
#define NVM_WAIT_US 50
#define NVM_WAIT_TRIES 200
/* Linux e1000e_poll_eerd_eewr_done(): 100,000 tries, 5 us apart. */
#define EEWR_WAIT_US 5
#define EEWR_WAIT_TRIES 100000
/* Linux e1000_update_nvm_checksum_82571(): 2,000 tries, 1 to 2 ms apart. */
#define FLASH_WAIT_US 1000
#define FLASH_WAIT_TRIES 2000

/* DPDK base driver, e1000_init_nvm_params_82571() */
#define NVM_FLASH_WORDS 2048
#define NVM_SIZE_SHIFT 6
#define NVM_SIZE_SHIFT_MAX 14

int
e1000e_mdio_acquire(struct e1000e_hw *hw)
{
	unsigned int i;

	rte_spinlock_lock(&hw->mdio_lock);
	for (i = 0; i < OWN_WAIT_TRIES; i++) {
		/* The bit reads as 1 only if firmware is not the owner (10.2.2, EXTCNF_CTRL). */
		e1000e_write(hw, E1000E_EXTCNF_CTRL,
			e1000e_read(hw, E1000E_EXTCNF_CTRL) | E1000E_EXTCNF_CTRL_MDIO_SW);
		if (e1000e_read(hw, E1000E_EXTCNF_CTRL) & E1000E_EXTCNF_CTRL_MDIO_SW)
			return 0;
		rte_delay_us(OWN_WAIT_US);
	}
	/* Withdraw the request, or firmware would wait for this driver. */
	e1000e_mdio_release(hw);
	return -EBUSY;
}

void
e1000e_mdio_release(struct e1000e_hw *hw)
{
	e1000e_write(hw, E1000E_EXTCNF_CTRL,
		e1000e_read(hw, E1000E_EXTCNF_CTRL) & ~E1000E_EXTCNF_CTRL_MDIO_SW);
	rte_spinlock_unlock(&hw->mdio_lock);
}

/* 10.2.2, MDIC: one access. @return 0, or -EIO */
static int
mdic(struct e1000e_hw *hw, unsigned int reg, uint32_t command, uint16_t *value)
{
	uint32_t got = 0;
	unsigned int i;

	e1000e_write(hw, E1000E_MDIC,
		command | E1000E_MDIC_REG(reg) | E1000E_MDIC_PHY(E1000E_PHY_ADDRESS));
	for (i = 0; i < MDIC_WAIT_TRIES; i++) {
		rte_delay_us(MDIC_WAIT_US);
		got = e1000e_read(hw, E1000E_MDIC);
		if (got & E1000E_MDIC_READY)
			break;
	}
	if (!(got & E1000E_MDIC_READY) || (got & E1000E_MDIC_ERROR) ||
		E1000E_MDIC_REG_OF(got) != reg)
		return -EIO;
	if (value != NULL)
		*value = (uint16_t)got;
	return 0;
}

/* An access with ownership. Registers in pages are all of page 0 here. */
static int
phy_access(struct e1000e_hw *hw, unsigned int reg, uint32_t command, uint16_t *value)
{
	int rc;

	rc = e1000e_mdio_acquire(hw);
	if (rc < 0)
		return rc;
	if (reg >= E1000E_PHY_PAGED)
		rc = mdic(hw, E1000E_PHY_PAGE, E1000E_MDIC_WRITE, NULL);
	if (rc == 0)
		rc = mdic(hw, reg, command, value);
	e1000e_mdio_release(hw);
	return rc;
}

int
e1000e_phy_read(struct e1000e_hw *hw, unsigned int reg, uint16_t *value)
{
	return phy_access(hw, reg, E1000E_MDIC_READ, value);
}

int
e1000e_phy_write(struct e1000e_hw *hw, unsigned int reg, uint16_t value)
{
	return phy_access(hw, reg, E1000E_MDIC_WRITE | value, NULL);
}

/* 10.2.2, EERD: write address and start; data is valid with done. */
static int
eerd(const struct e1000e_hw *hw, uint16_t word, uint16_t *value)
{
	uint32_t got;
	unsigned int i;

	e1000e_write(hw, E1000E_EERD, E1000E_EERD_ADDR(word) | E1000E_EERD_START);
	for (i = 0; i < NVM_WAIT_TRIES; i++) {
		got = e1000e_read(hw, E1000E_EERD);
		if (got & E1000E_EERD_DONE) {
			*value = E1000E_EERD_DATA(got);
			return 0;
		}
		rte_delay_us(NVM_WAIT_US);
	}
	return -EIO;
}

int
e1000e_nvm_read(struct e1000e_hw *hw, uint16_t word, unsigned int n, uint16_t *value)
{
	int rc;

	/* DPDK base driver: the NVM of the 82574 has the ownership bit of the MDIO. */
	rc = e1000e_mdio_acquire(hw);
	if (rc < 0)
		return rc;
	while (rc == 0 && n-- > 0)
		rc = eerd(hw, word++, value++);
	e1000e_mdio_release(hw);
	return rc;
}

static int
eewr_wait(const struct e1000e_hw *hw)
{
	unsigned int i;

	for (i = 0; i < EEWR_WAIT_TRIES; i++) {
		if (e1000e_read(hw, E1000E_EEWR) & E1000E_EERD_DONE)
			return 0;
		rte_delay_us(EEWR_WAIT_US);
	}
	return -EIO;
}

/* Write a word as Linux e1000_write_nvm_eewr_82571() does, and read it back. */
static int
eewr(const struct e1000e_hw *hw, uint16_t word, uint16_t value)
{
	uint16_t got;
	int rc;

	e1000e_write(hw, E1000E_EEWR,
		E1000E_EEWR_DATA(value) | E1000E_EERD_ADDR(word) | E1000E_EERD_START);
	rc = eewr_wait(hw);
	if (rc == 0)
		rc = eerd(hw, word, &got);
	return rc < 0 ? rc : (got == value ? 0 : -EIO);
}

/* @return 0; -EIO: the copy to the flash does not end */
static int
flash_wait(const struct e1000e_hw *hw)
{
	unsigned int i;

	for (i = 0; i < FLASH_WAIT_TRIES; i++) {
		if (!(e1000e_read(hw, E1000E_EEC) & E1000E_EEC_FLUPD))
			return 0;
		rte_delay_us_sleep(FLASH_WAIT_US);
	}
	return -EIO;
}

/* The words lie in a RAM of the chip: copy them, as Linux e1000_update_nvm_checksum_82571() does.
 */
static int
flash_commit(const struct e1000e_hw *hw)
{
	/* With this opcode, firmware has to be reset: enable it, then do it. */
	if ((e1000e_read(hw, E1000E_FLOP) & 0xFF00) == E1000E_FLOP_STM) {
		e1000e_write(hw, E1000E_HICR, E1000E_HICR_FW_RESET_ENABLE);
		e1000e_read(hw, E1000E_STATUS); /* flushes the write */
		e1000e_write(hw, E1000E_HICR, E1000E_HICR_FW_RESET);
	}
	e1000e_write(hw, E1000E_EEC, e1000e_read(hw, E1000E_EEC) | E1000E_EEC_FLUPD);
	return flash_wait(hw);
}

/* Write words as e1000e_nvm_update() does; the NVM is owned and ready. @return 0; -EIO */
static int
nvm_write_words(
	const struct e1000e_hw *hw, unsigned int n, const uint16_t *before, const uint16_t *after)
{
	unsigned int i, failed;
	int rc = 0;

	for (i = 0; i < n && rc == 0; i++)
		if (before[i] != after[i])
			rc = eewr(hw, i, after[i]);
	if (rc == 0)
		return 0;
	failed = i - 1;
	for (rc = 0; i-- > 0;)
		if (before[i] != after[i] && eewr(hw, i, before[i]) < 0)
			rc = -EIO;
	return E1000E_FAIL(EIO, hw->name,
		"word %u of the NVM was not written, and %s: check that it is not write-protected",
		failed,
		rc == 0 ? "the former words are back" : "not all of the former words are back");
}

int
e1000e_nvm_update(
	struct e1000e_hw *hw, unsigned int n, const uint16_t *before, const uint16_t *after)
{
	const uint32_t eec = e1000e_read(hw, E1000E_EEC);
	int rc;

	if (E1000E_EEC_IS_FLASH(eec)) {
		if (flash_wait(hw) < 0)
			return E1000E_FAIL(EBUSY, hw->name,
				"the flash is being written for 2 s, so the NVM was left alone: try "
				"again later");
		/* Linux e1000_init_nvm_params_82571(): such updates are faulty. */
		e1000e_write(hw, E1000E_EEC, e1000e_read(hw, E1000E_EEC) & ~E1000E_EEC_AUPDEN);
	}
	rc = e1000e_mdio_acquire(hw);
	if (rc < 0)
		return E1000E_FAIL(-rc, hw->name,
			"the firmware holds the NVM for over 20 ms, so it was left alone: try "
			"again later");
	if (eewr_wait(hw) < 0)
		rc = E1000E_FAIL(EIO, hw->name,
			"the chip does not report that its NVM can be written (EEWR), so it was "
			"left alone: reset the device");
	else
		rc = nvm_write_words(hw, n, before, after);
	e1000e_mdio_release(hw);
	if (rc == 0 && E1000E_EEC_IS_FLASH(eec) && flash_commit(hw) < 0)
		rc = E1000E_FAIL(EIO, hw->name,
			"the flash does not take the NVM's words within 2 s: read them again "
			"after a power cycle");
	return rc;
}

unsigned int
e1000e_nvm_words(const struct e1000e_hw *hw)
{
	uint32_t eec = e1000e_read(hw, E1000E_EEC);

	if (E1000E_EEC_IS_FLASH(eec))
		return NVM_FLASH_WORDS;
	return 1U << RTE_MIN(NVM_SIZE_SHIFT + E1000E_EEC_SIZE(eec), NVM_SIZE_SHIFT_MAX);
}
