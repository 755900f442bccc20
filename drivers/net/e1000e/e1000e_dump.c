/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * What a person who debugs a port reads: the registers.
 *
 * Registers that a read changes are left out: ICR, and the counters. An operation of ethdev, on
 * the control path.
 */

#include <errno.h>

#include "e1000e.h"

/* Runs of registers, in the order of the dump. doc/net_e1000e.md has the same table. */
static const struct {
	uint32_t first;
	unsigned int n;
} reg_runs[] = {
	{E1000E_CTRL, 1},
	{E1000E_STATUS, 1},
	{E1000E_EEC, 1},
	{E1000E_CTRL_EXT, 1},
	{E1000E_FCAL, 3},
	{E1000E_VET, 1},
	{E1000E_IMS, 1},
	{E1000E_EIAC, 3},
	{E1000E_EITR(0), E1000E_MSIX_VECTORS},
	{E1000E_RCTL, 1},
	{E1000E_FCTTV, 1},
	{E1000E_TCTL, 1},
	{E1000E_TIPG, 1},
	{E1000E_LEDCTL, 1},
	{E1000E_EXTCNF_CTRL, 1},
	{E1000E_PBA, 1},
	{E1000E_FCRTL, 1},
	{E1000E_FCRTH, 1},
	{E1000E_RDBAL(0), 3},
	{E1000E_RDH(0), 1},
	{E1000E_RDT(0), 1},
	{E1000E_RXDCTL(0), 1},
	{E1000E_RDBAL(1), 3},
	{E1000E_RDH(1), 1},
	{E1000E_RDT(1), 1},
	{E1000E_RXDCTL(1), 1},
	{E1000E_TDBAL(0), 3},
	{E1000E_TDH(0), 1},
	{E1000E_TDT(0), 1},
	{E1000E_TXDCTL(0), 1},
	{E1000E_TARC(0), 1},
	{E1000E_TDBAL(1), 3},
	{E1000E_TDH(1), 1},
	{E1000E_TDT(1), 1},
	{E1000E_TXDCTL(1), 1},
	{E1000E_TARC(1), 1},
	{E1000E_RXCSUM, 1},
	{E1000E_RFCTL, 1},
	{E1000E_RAL(0), 2 * E1000E_RAR_ENTRIES},
	{E1000E_WUC, 1},
	{E1000E_MRQC, 1},
	{E1000E_MANC, 1},
	{E1000E_GCR, 1},
	{E1000E_GCR2, 1},
	{E1000E_RETA(0), E1000E_RETA_ENTRIES / 4},
};

static unsigned int
regs_count(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < RTE_DIM(reg_runs); i++)
		n += reg_runs[i].n;
	return n;
}

int
e1000e_get_reg(struct rte_eth_dev *eth, struct rte_dev_reg_info *info)
{
	const struct e1000e_port *port = eth->data->dev_private;
	const unsigned int n = regs_count();
	uint32_t *out = info->data;
	unsigned int i, j;

	info->width = sizeof(*out);
	/* As Linux e1000_get_regs(): a version of the format, and the device. */
	info->version = 1U << 24 | 0x10d3;
	if (out == NULL) {
		info->length = n;
		return 0;
	}
	/* 0: all, as ethtool-like programs ask; otherwise the size of the buffer, in registers. */
	if (info->offset != 0 || (info->length != 0 && info->length != n))
		return E1000E_FAIL(ENOTSUP, port->hw.name,
			"the register dump is read as a whole: offset 0, length %u", n);
	info->length = n;
	for (i = 0; i < RTE_DIM(reg_runs); i++)
		for (j = 0; j < reg_runs[i].n; j++)
			*out++ = e1000e_read(&port->hw, reg_runs[i].first + 4 * j);
	return 0;
}
