/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Access to registers on the control path, and where they are for the fast path, which writes tail
 * registers itself.
 *
 * The lowest layer: calls nothing. All files but e1000e_rx.c and e1000e_tx.c use it. The functions
 * are out of line, so that a test can put a model of the chip in their place.
 */

#include "e1000e.h"

volatile uint8_t *e1000e_bar[RTE_MAX_ETHPORTS];

uint32_t
e1000e_read(const struct e1000e_hw *hw, uint32_t reg)
{
	return rte_read32(hw->regs + reg);
}

void
e1000e_write(const struct e1000e_hw *hw, uint32_t reg, uint32_t value)
{
	rte_write32(value, hw->regs + reg);
}
