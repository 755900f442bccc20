/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Parsers of UUIDs and PCI addresses. See dm_parse.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dm_parse.h"

/** The value of a hexadecimal digit; -1: not a digit. */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	/* Bit 5 makes letters lower case. */
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
dm_uuid_parse(const char *text, dm_uuid_t uuid)
{
	int high, low;
	size_t i;

	for (i = 0; i < sizeof(dm_uuid_t); i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return -EINVAL;
		high = hex_digit(text[0]);
		low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0)
			return -EINVAL;
		uuid[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return *text == '\0' ? 0 : -EINVAL;
}

/**
 * Parse 1 to 8 hexadecimal digits followed by the character `end`.
 * @return the text after that character; NULL: other text, or a value above max.
 */
static const char *
parse_field(const char *text, char end, uint32_t max, uint32_t *value)
{
	uint32_t n = 0;
	unsigned int i;
	int digit;

	for (i = 0; i < 8 && (digit = hex_digit(text[i])) >= 0; i++)
		n = n << 4 | (uint32_t)digit;
	if (i == 0 || text[i] != end || n > max)
		return NULL;
	*value = n;
	return end == '\0' ? &text[i] : &text[i + 1];
}

/** Parse BUS:DEVICE.FUNCTION. @return as parse_field() */
static const char *
parse_bdf(const char *text, uint32_t *bus, uint32_t *device, uint32_t *function)
{
	text = parse_field(text, ':', 0xff, bus);
	if (text != NULL)
		text = parse_field(text, '.', 0x1f, device);
	return text == NULL ? NULL : parse_field(text, '\0', 7, function);
}

int
dm_pci_name_normalize(char *name, size_t size)
{
	uint32_t segment = 0, bus, device, function;
	const char *bdf = name;
	char text[sizeof("ffffffff:ff:1f.7")];
	int len;

	if (parse_bdf(bdf, &bus, &device, &function) == NULL) {
		bdf = parse_field(name, ':', UINT32_MAX, &segment);
		if (bdf == NULL || parse_bdf(bdf, &bus, &device, &function) == NULL)
			return -EINVAL;
	}
	len = snprintf(text, sizeof(text), "%04" PRIx32 ":%02x:%02x.%x", segment, (uint8_t)bus,
		(uint8_t)device & 0x1f, (uint8_t)function & 7);
	if (len < 0 || (size_t)len >= size)
		return -ENAMETOOLONG;
	memcpy(name, text, (size_t)len + 1);
	return 0;
}
