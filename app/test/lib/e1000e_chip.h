/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * A model of the 82574L's registers, for the driver's control path: it answers as the chip does,
 * records writes in order, and notes each rule that the driver breaks.
 *
 * It stands behind e1000e_read() and e1000e_write() (ld --wrap) for one device. Registers without a
 * behaviour are the plain memory that the caller gives, which is the device's BAR, so rings work.
 * Any thread may access it.
 */

#ifndef E1000E_CHIP_H
#define E1000E_CHIP_H

#include <stdbool.h>
#include <stdint.h>

struct dmamap_container;

/** In the record: a write to register r of the PHY. */
#define CHIP_PHY(r) (UINT32_C(0x80000000) | (r))

/** What the link partner advertises by default: all of register 5. */
#define CHIP_PARTNER 0x0DE1

/** Words of the NVM. */
#define CHIP_NVM_WORDS 128

/**
 * Power the chip on, with a cable whose other end advertises CHIP_PARTNER and 1000 Mb/s.
 *
 * @param name  of the device, as the driver knows it.
 * @param regs  its BAR 0; 128 KiB, which are overwritten.
 */
void chip_power_on(const char *name, volatile uint32_t *regs);
/** Registers are plain memory again. */
void chip_power_off(void);

/** @name What a test changes */
/**@{*/
void chip_cable(bool plugged);
/** What the partner advertises: register 5, and whether it does 1000 Mb/s. */
void chip_partner(uint16_t anlpar, bool gigabit);
/** A register of the PHY, as it is. */
uint16_t *chip_phy(unsigned int reg);
/** A word of the NVM. */
uint16_t *chip_nvm(unsigned int word);
/** The firmware keeps PHY and NVM. */
void chip_hold_mdio(bool hold);
/** The PHY does not answer. */
void chip_mute_phy(bool mute);
/** The NVM is never read after a reset. */
void chip_break_nvm(bool broken);
/**
 * Words from this one on are not written: the chip reports a write, and the word stays.
 * CHIP_NVM_WORDS: all are.
 */
void chip_protect_nvm(unsigned int word);
/** EEWR never reports a write. */
void chip_mute_eewr(bool mute);
/** The NVM is a flash, with a copy in RAM that chip_nvm() gives. Before the probe. */
void chip_use_flash(void);
/** A word of the flash. */
uint16_t chip_flash(unsigned int word);
/** The link does not depend on the PHY's power, as in QEMU. */
void chip_stick_link(bool stuck);
/** Every read gives all ones, as after an unplug. */
void chip_unplug(bool unplugged);
/** Nothing is sent, as without a link. */
void chip_stall(bool stalled);
/**@}*/

/**
 * The memory that the chip's DMA reaches. With it, a read of TDH sends what lies in that ring.
 *
 * @param memory  valid until chip_power_off() or another call; NULL: none.
 */
void chip_memory(struct dmamap_container *memory);
/**
 * Receive a frame.
 *
 * @param hash  its RSS hash.
 * @param len  bytes, each of them `value`; they fit into one buffer.
 * @return the queue that has it; -1: reception is off; -2: that queue has no descriptor.
 */
int chip_receive(uint32_t hash, uint16_t len, uint8_t value);

/** Begin a new record. Nothing is recorded before the first one. */
void chip_record(void);
/**
 * Find a write in the record.
 *
 * @param from  index to begin at.
 * @return the index of the first write from there on with (value & mask) == bits; -1: none.
 */
int chip_find(int from, uint32_t at, uint32_t mask, uint32_t bits);
/** @return how many such writes there are */
unsigned int chip_count(uint32_t at, uint32_t mask, uint32_t bits);
/** @return how often a register was read since chip_record() */
unsigned int chip_reads(uint32_t at);
/** @return the first rule that was broken since power-on, and forget it; NULL: none */
const char *chip_fault(void);

#endif /* E1000E_CHIP_H */
