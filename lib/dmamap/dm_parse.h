/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Parsers of user input: UUIDs and PCI addresses. No function keeps state. Any thread. Called by
 * iommu/.
 */

#ifndef DM_PARSE_H
#define DM_PARSE_H

#include <stddef.h>
#include <stdint.h>

/** A UUID (RFC 4122): its bytes, in the order of the text. */
typedef uint8_t dm_uuid_t[16];

/** Bytes of a UUID as text, including the terminating zero. */
#define DM_UUID_STRLEN (36 + 1)

/**
 * Parse a UUID: 8-4-4-4-12 hexadecimal digits of either case, and nothing else.
 * @return 0; -EINVAL: the text is not a UUID, and the contents of uuid are undefined.
 */
int dm_uuid_parse(const char *text, dm_uuid_t uuid);

/**
 * Rewrite a PCI address as sysfs has it: lower case, at least four digits of segment. A missing
 * segment is 0. Segments have up to 32 bits: those of VMD controllers begin at 0x10000.
 *
 * @param name  in and out: the text; unchanged if it is not a PCI address or the result does not
 *              fit.
 * @param size  of name in bytes.
 * @return 0; -EINVAL: not `[SEGMENT:]BUS:DEVICE.FUNCTION`; -ENAMETOOLONG.
 */
int dm_pci_name_normalize(char *name, size_t size);

#endif /* DM_PARSE_H */
