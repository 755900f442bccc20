/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Explains faults: from a device and an address to what lives or lived there. Called by
 * fault_watch.c and users.
 */

#ifndef DM_FAULT_H
#define DM_FAULT_H

#include "dm_container.h"

/**
 * Explain a fault and count it for its container.
 * @param fault  in: iovas, access, reason, count; out: the rest, without text and detail.
 * @param dev    a device's name; without a segment, any segment fits.
 * @return 0; -ENODEV: no such device is attached, or was within the last minute.
 */
int dm_fault_resolve(const char *dev, struct dmamap_fault *fault);
/** Compose fault->text from the other fields. */
void dm_fault_tell(struct dmamap_fault *fault);

#endif /* DM_FAULT_H */
