/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * The log type of the bus. All its other files use it.
 */

#include "vfio_pci_log.h"

RTE_LOG_REGISTER(vfio_pci_logtype, bus.vfio_pci, NOTICE);
