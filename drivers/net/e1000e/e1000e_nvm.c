/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Contents of the NVM, read and written as bytes. Words are little-endian.
 *
 * A write of the first 0x40 words also writes the checksum, so that the chip accepts them at its
 * next reset (6.1). Operations of ethdev, on the control path.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "e1000e.h"

/* As Linux e1000_get_eeprom() has it: vendor and device. */
#define NVM_MAGIC (UINT32_C(0x10d3) << 16 | 0x8086)

int
e1000e_get_eeprom_length(struct rte_eth_dev *eth)
{
	const struct e1000e_port *port = eth->data->dev_private;

	if (e1000e_hw_gone(&port->hw))
		return -EIO;
	return (int)e1000e_nvm_words(&port->hw) * 2;
}

/* @return 0; -EINVAL, after a line: there are no such bytes */
static int
nvm_check_range(const struct e1000e_port *port, const struct rte_dev_eeprom_info *info)
{
	const uint32_t size = e1000e_nvm_words(&port->hw) * 2;

	if (info->data != NULL && info->length != 0 && info->offset < size &&
		info->length <= size - info->offset)
		return 0;
	return E1000E_FAIL(EINVAL, port->hw.name,
		"bytes %u to %" PRIu64 " of the NVM: it has %u bytes", info->offset,
		(uint64_t)info->offset + info->length, size);
}

/* Read n words from the first one on. @return 0; negative errno, after a line */
static int
nvm_read_words(struct e1000e_port *port, uint32_t first, uint32_t n, uint16_t *words)
{
	int rc = 0;

	for (; rc == 0 && n > 0; n--)
		rc = e1000e_nvm_read(&port->hw, first++, 1, words++);
	if (rc < 0)
		return E1000E_FAIL(-rc, port->hw.name,
			"word %u of the NVM cannot be read: reset the device", first - 1);
	return 0;
}

int
e1000e_get_eeprom(struct rte_eth_dev *eth, struct rte_dev_eeprom_info *info)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint8_t *out = info->data;
	uint32_t at, i;
	uint16_t word = 0;
	int rc = nvm_check_range(port, info);

	if (rc < 0)
		return rc;
	info->magic = NVM_MAGIC;
	for (i = 0; i < info->length; i++) {
		at = info->offset + i;
		if (i == 0 || at % 2 == 0)
			rc = nvm_read_words(port, at / 2, 1, &word);
		if (rc < 0)
			return rc;
		out[i] = at % 2 == 0 ? word & 0xFF : word >> 8;
	}
	return 0;
}

/* Put the bytes into words that begin with word 0. */
static void
nvm_merge(uint16_t *words, const struct rte_dev_eeprom_info *info)
{
	const uint8_t *bytes = info->data;
	uint32_t at, i;

	for (i = 0; i < info->length; i++) {
		at = info->offset + i;
		words[at / 2] = at % 2 == 0 ? (words[at / 2] & 0xFF00) | bytes[i]
					    : (words[at / 2] & 0xFF) | bytes[i] << 8;
	}
}

/* 6.1: the words up to the checksum add up to 0xBABA. */
static void
nvm_set_checksum(uint16_t *words)
{
	uint16_t sum = 0;
	unsigned int i;

	for (i = 0; i < E1000E_NVM_CHECKSUM; i++)
		sum += words[i];
	words[E1000E_NVM_CHECKSUM] = E1000E_NVM_SUM - sum;
}

int
e1000e_set_eeprom(struct rte_eth_dev *eth, struct rte_dev_eeprom_info *info)
{
	struct e1000e_port *port = eth->data->dev_private;
	uint16_t *before, *after;
	uint32_t n;
	int rc = nvm_check_range(port, info);

	if (rc < 0)
		return rc;
	if (info->magic != NVM_MAGIC)
		return E1000E_FAIL(EINVAL, port->hw.name,
			"magic 0x%08" PRIx32 " does not fit this NVM: pass 0x%08" PRIx32
			", which rte_eth_dev_get_eeprom() gives",
			info->magic, NVM_MAGIC);
	n = RTE_MAX((info->offset + info->length + 1) / 2, E1000E_NVM_CHECKSUM + UINT32_C(1));
	before = calloc(2 * (size_t)n, sizeof(*before));
	if (before == NULL)
		return -ENOMEM;
	after = before + n;
	rc = nvm_read_words(port, 0, n, before);
	if (rc < 0)
		goto out;
	memcpy(after, before, n * sizeof(*after));
	nvm_merge(after, info);
	if (info->offset / 2 <= E1000E_NVM_CHECKSUM)
		nvm_set_checksum(after);
	rc = e1000e_nvm_update(&port->hw, n, before, after);
out:
	free(before);
	return rc;
}
