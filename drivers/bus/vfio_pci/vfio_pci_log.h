/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Log macros of the bus. All its files use them; they depend on none of these.
 */

#ifndef VFIO_PCI_LOG_H
#define VFIO_PCI_LOG_H

#include <rte_log.h>

/** The log type `bus.vfio_pci`. */
extern int vfio_pci_logtype;

/** Log one line; the newline is added. */
#define VFIO_PCI_LOG(level, fmt, ...)                                                              \
	rte_log(RTE_LOG_##level, vfio_pci_logtype, "vfio_pci: " fmt "\n", ##__VA_ARGS__)

/**
 * Log an error line and yield the negative errno.
 * err is read before the line is logged: it may be errno, which logging can change.
 */
#define VFIO_PCI_FAIL(err, fmt, ...)                                                               \
	({                                                                                         \
		const int err_ = (err);                                                            \
		VFIO_PCI_LOG(ERR, fmt, ##__VA_ARGS__);                                             \
		-err_;                                                                             \
	})

#endif /* VFIO_PCI_LOG_H */
