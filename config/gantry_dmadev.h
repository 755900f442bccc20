/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 The Gantry authors
 *
 * Differences of dmadev between the DPDK versions that Gantry is built with (22.11 to 25.11).
 * Included by tests. Not installed.
 */

#ifndef GANTRY_DMADEV_H
#define GANTRY_DMADEV_H

#include <rte_version.h>
#include <rte_dmadev.h>

/** Initialiser of the member of struct rte_dma_conf that asks for silent mode: flags since 25.11.
 */
#if RTE_VERSION < RTE_VERSION_NUM(25, 11, 0, 0)
#define GANTRY_DMA_CONF_SILENT .enable_silent = true
#else
#define GANTRY_DMA_CONF_SILENT .flags = RTE_DMA_CFG_FLAG_SILENT
#endif

#endif /* GANTRY_DMADEV_H */
